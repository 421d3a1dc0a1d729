//! `everycall decide`: records, explanations, the answers of decision points, replay.

use serde_json::{json, Value};

use crate::common::{config, everycall, forged, request, token, unsigned, Files, Output, NOW};

fn decide(args: &[&str], input: &str) -> Output {
    let files = Files::with_config();
    let (config, now) = (files.name("config.json"), NOW.to_string());
    everycall(&[&["decide", "--config", &config, "--at", &now], args].concat(), input)
}

/// Decision, reason, status and layer of each line.
fn outcomes(output: &Output) -> Vec<[Value; 4]> {
    let member = |record: &Value, name| record.get(name).cloned().unwrap_or_default();
    let outcome = |record: &Value| ["decision", "reason", "status", "layer"].map(|name| member(record, name));
    output.json().iter().map(outcome).collect()
}

fn outcome(decision: &str, reason: &str, status: u16, layer: &str) -> [Value; 4] {
    [json!(decision), json!(reason), json!(status), json!(layer)]
}

fn fulfilment() -> Value {
    json!([["x-purpose", "fulfilment"]])
}

#[test]
fn requests_are_allowed_and_denied_with_their_record() {
    let good = token(json!({}));
    let input = [
        request("GET", fulfilment(), Some(&good)),
        request("GET", json!([]), Some(&good)),
        request("GET", fulfilment(), None),
        request("DELETE", fulfilment(), Some(&good)),
    ]
    .join("\n");
    let output = decide(&[], &input);
    assert_eq!(output.code, 0, "{}", output.err);
    assert_eq!(
        outcomes(&output),
        [
            outcome("allow", "allowed", 200, "policy"),
            outcome("deny", "policy_undefined", 403, "policy"),
            outcome("deny", "credential_missing", 401, "credential"),
            outcome("deny", "not_granted", 403, "grant"),
        ]
    );
    let record = &output.json()[0];
    assert_eq!(record["identity"]["id"], "checkout");
    assert_eq!(record["grant"]["id"], "orders");
    assert_eq!(record["policy"]["rule"], "own_order");
    assert_eq!(record["request"]["headers"], json!({"x-purpose": ["fulfilment"]}));
    assert_eq!(record["time"], NOW as f64);
    let ids: std::collections::BTreeSet<String> =
        output.json().iter().map(|record| record["id"].to_string()).collect();
    assert_eq!(ids.len(), 4);
    assert_eq!(decide(&[], &input).out, output.out, "the same input gives the same output");
}

#[test]
fn questions_are_shown_or_answered() {
    let line = request("POST", json!([]), Some(&token(json!({}))));
    let output = decide(&[], &line);
    let record = output.json().remove(0);
    assert_eq!(output.code, 0);
    assert_eq!(
        (&record["decision"], &record["reason"], &record["layer"]),
        (&json!("ask"), &Value::Null, &json!("pdp"))
    );
    assert_eq!(record["pdp"][0]["question"]["resource"], json!({"type": "order", "id": "o-1"}));
    for (pdp, expected) in [
        ("allow", outcome("allow", "allowed", 200, "pdp")),
        ("deny", outcome("deny", "pdp_denied", 403, "pdp")),
        ("down", outcome("deny", "pdp_unavailable", 503, "pdp")),
    ] {
        assert_eq!(outcomes(&decide(&["--pdp", pdp], &line)), [expected]);
    }
    assert_eq!(decide(&["--pdp", "perhaps"], &line).code, 2);
}

#[test]
fn decision_points_of_all_protocols_are_stood_in_for() {
    let line = request("POST", json!([]), Some(&token(json!({}))));
    for protocol in
        [json!({"protocol": "opa", "path": "/v1/data/orders/allow"}), json!({"protocol": "ext_authz"})]
    {
        let mut config = config();
        config["pdps"]["default"].as_object_mut().unwrap().extend(protocol.as_object().unwrap().clone());
        let files = Files::new();
        let (config, now) = (files.put("config.json", &config.to_string()), NOW.to_string());
        for (pdp, reason) in [("allow", "allowed"), ("deny", "pdp_denied"), ("down", "pdp_unavailable")] {
            let output = everycall(&["decide", "--config", &config, "--at", &now, "--pdp", pdp], &line);
            assert_eq!((output.code, &output.json()[0]["reason"]), (0, &json!(reason)), "{protocol} {pdp}");
        }
    }
}

#[test]
fn malformed_lines_are_named_and_the_others_decided() {
    let good = request("GET", fulfilment(), Some(&token(json!({}))));
    let mut unknown: Value = serde_json::from_str(&good).unwrap();
    unknown["colour"] = json!("red");
    let mut wrong: Value = serde_json::from_str(&good).unwrap();
    wrong["headers"][0][1] = json!(1);
    let input = format!("{good}\n{{\n\n{unknown}\n{wrong}\n[]\n{good}\n");
    let output = decide(&[], &input);
    assert_eq!((output.code, output.json().len()), (1, 2), "{}", output.err);
    let errors: Vec<&str> = output.err.lines().collect();
    for (error, start) in errors.iter().zip([
        "-:2: not strict JSON",
        "-:4: colour: unknown field `colour`",
        "-:5: headers[0][1]: ",
        "-:6: ",
    ]) {
        assert!(error.starts_with(start), "{error}");
    }
    assert_eq!(errors.len(), 4);
}

#[test]
fn a_request_may_hold_bytes_and_its_own_time() {
    let token = token(json!({}));
    let line = |at: i64, path: Value| {
        let mut line: Value = serde_json::from_str(&request("GET", fulfilment(), Some(&token))).unwrap();
        (line["at"], line["path"]) = (json!(at), path);
        line.to_string()
    };
    let path = || json!("/orders/o-1");
    // Backwards by less than an engine takes for a step of the clock.
    let input = [
        line(NOW + 300, path()),
        line(NOW + 299, path()),
        line(NOW - 6, path()),
        line(NOW, json!({"b64": "L/8="})),
    ];
    let output = decide(&[], &input.join("\n"));
    let reasons: Vec<Value> = output.json().iter_mut().map(|record| record["reason"].take()).collect();
    assert_eq!(reasons, ["token_expired", "allowed", "token_not_yet_valid", "path_ambiguous"]);
}

#[test]
fn an_explanation_goes_through_the_layers() {
    let line = request("POST", json!([]), Some(&token(json!({}))));
    let output = decide(&["--explain", "--pdp", "deny"], &line);
    let mut rest = output.out.as_str();
    for text in [
        "deny pdp_denied (403)",
        "request     POST http://orders.example/orders/o-1",
        "credential  workload `checkout`",
        "grant       `orders`: fulfil orders (owner: team-orders)",
        "policy      everycall: no rule with a code",
        "held        orders.rego:4: everycall.ask",
        "not met     orders.rego:2: ",
        "orders.rego:3: decision := {\"allow\": true, \"reason\": \"approved\"} if input.pdp.refund.decision",
        "read        input.grant.params.order = \"o-1\"",
        "input.pdp.refund.decision = false",
        "input.request.headers[\"x-purpose\"][0] is undefined",
        "pdp         `default` asked `refund`",
        "answered {\"context\":{},\"decision\":false}",
        "refused by  pdp",
        "fact        question `refund` was answered with no",
    ] {
        let (_, after) = rest.split_once(text).unwrap_or_else(|| panic!("{text} in {}", output.out));
        rest = after;
    }
    let mut wild: Value = serde_json::from_str(&line).unwrap();
    wild["path"] = json!("/\u{1b}[2J\nallow allowed");
    let output = decide(&["--explain"], &wild.to_string());
    assert!(
        !output.out.contains('\u{1b}') && !output.out.lines().any(|line| line.starts_with("allow")),
        "{}",
        output.out
    );
}

#[test]
fn a_record_is_replayed_to_the_same_outcome() {
    let files = Files::with_config();
    let config_name = files.name("config.json");
    let good = token(json!({}));
    let lines = [
        request("GET", fulfilment(), Some(&good)),
        request("GET", json!([]), Some(&good)),
        request("GET", fulfilment(), Some(&forged())),
        request("GET", fulfilment(), None),
        request("DELETE", json!([]), Some(&good)),
        request("POST", json!([]), Some(&good)),
    ];
    for pdp in ["allow", "deny", "down"] {
        let first = decide(&["--pdp", pdp], &lines.join("\n"));
        let log: String =
            first.out.lines().map(|line| format!("[2026][info][wasm] wasm log: {line}\n")).collect();
        let replay = |config: &str, explain: &[&str]| {
            everycall(&[&["decide", "--config", config, "--record", "-"], explain].concat(), &log)
        };
        let again = replay(&config_name, &[]);
        assert_eq!((again.code, again.err.as_str()), (0, ""));
        assert_eq!(again.json(), first.json());
        // As access logs hold them: as text in a member, or as they are.
        for held in [
            |line: &str| {
                let sent = line.replace("\"method\":\"GET\"", "\"method\":\"PUT\"");
                json!({"agent": sent, "code": 200, "decision": line}).to_string()
            },
            |line: &str| format!("{{\"code\":200,\"flags\":\"-\",\"record\":{line}}}"),
        ] {
            let log: Vec<String> = first.out.lines().map(held).collect();
            let again = everycall(&["decide", "--config", &config_name, "--record", "-"], &log.join("\n"));
            assert_eq!((again.code, again.err.as_str()), (0, ""));
            assert_eq!(again.json(), first.json());
        }
        let explained = replay(&config_name, &["--explain"]);
        assert_eq!(
            explained.out.matches("recorded    the same outcome").count(),
            lines.len(),
            "{}",
            explained.out
        );

        let mut other = config();
        other["bundle"]["inline"]["grants"][0]["subject"] = json!("somebody-else");
        let explained = replay(&files.put("other.json", &other.to_string()), &["--explain"]);
        assert!(explained.out.contains("recorded    ANOTHER outcome: allow allowed"), "{}", explained.out);
        assert!(explained.out.contains("under another configuration"));
    }
    // Of a long value it holds the beginning: with that alone it would come out otherwise.
    let mut cut = decide(&[], &lines[0]).json()[0].clone();
    let (name, _) = cut["request"]["headers"].as_object().unwrap().iter().next().unwrap();
    let name = name.clone();
    cut["request"]["headers"][&name] = json!([{"begins": "f", "bytes": 5000, "sha256": "00"}]);
    let output = everycall(&["decide", "--config", &config_name, "--record", "-"], &cut.to_string());
    assert_eq!((output.code, output.out.as_str()), (1, ""));
    assert!(output
        .err
        .contains(&format!("can't be decided again: the record holds only beginnings of `{name}`")));
    let output = everycall(
        &["decide", "--config", &config_name, "--record", "-"],
        "no record\n{\"v\":1}\n{\"decision\":\"allow\"}\n{\"record\":{\"v\":1}}\n",
    );
    let errors: Vec<&str> = output.err.lines().collect();
    let [first, second, none, others] = errors.as_slice() else { panic!("{}", output.err) };
    assert!(
        output.code == 1
            && first.starts_with("-:2: missing field")
            && second.starts_with("-:4: missing field")
    );
    assert_eq!((*none, *others), ("-: there is no record here", "-: 2 lines of something else passed over"));
    assert_eq!(
        everycall(&["decide", "--config", &config_name, "--record", "-", "--pdp", "allow"], "").code,
        2
    );
}

/// A whole log: records of several calls, and everything that a proxy writes besides.
#[test]
fn a_record_is_found_in_a_log_by_its_id() {
    let files = Files::with_config();
    let config = files.name("config.json");
    let good = token(json!({}));
    let lines = [request("GET", fulfilment(), Some(&good)), request("DELETE", json!([]), Some(&good))];
    let records = decide(&[], &lines.join("\n"));
    let ids: Vec<String> = records.json().iter().map(|one| one["id"].as_str().unwrap().to_owned()).collect();
    let lines: Vec<&str> = records.out.lines().collect();
    let (cut, _) = lines[0].split_at(lines[0].len() / 2);
    let summary = |id: &str| json!({"response_code": 200, "decision": json!({"id": id, "decision": "allow"}).to_string()});
    let ended = json!({"v": 2, "event": "stream_ended", "id": ids[0]});
    let sent = json!({"agent": lines[0].replace(&ids[0], "forged"), "decision": null});
    let log = format!(
        "[2026-12-01][info][main] starting {{base}}\n\n[info][wasm] wasm log: {}\n[info][wasm] wasm log: {}\n{ended}\n{sent}\n{}\n",
        lines[0],
        lines[1],
        summary("in-short"),
    );
    let record = |log: &str, more: &[&str]| {
        everycall(&[&["decide", "--config", &config, "--record", "-"], more].concat(), log)
    };
    let all = record(&log, &[]);
    assert_eq!((all.code, all.json()), (0, records.json()));
    let said: Vec<&str> = all.err.lines().collect();
    let [others, summaries] = said.as_slice() else { panic!("{}", all.err) };
    assert_eq!(*others, "-: 3 lines of something else passed over");
    assert!(
        summaries.starts_with("-: 1 line with a decision in short passed over: records are in"),
        "{summaries}"
    );
    for (id, expected) in ids.iter().zip(records.json()) {
        let one = record(&log, &["--id", id]);
        assert_eq!((one.code, one.err.as_str(), one.json()), (0, "", vec![expected]));
    }
    for (id, why) in [
        ("in-short", "is here only in short"),
        ("forged", "there is no record of the decision `forged`"),
        ("", "there is no record of the decision ``"),
    ] {
        let none = record(&log, &["--id", id]);
        assert_eq!((none.code, none.out.as_str()), (1, ""), "{id}");
        assert!(none.err.contains(why), "{id}: {}", none.err);
    }
    // Another line's fault is not in the way of the one that is looked for.
    let torn = format!("[info] {cut}\n{}\n", lines[1]);
    assert_eq!((record(&torn, &["--id", &ids[1]]).code, record(&torn, &["--id", &ids[0]]).code), (0, 1));
    let whole = record(&torn, &[]);
    assert!(whole.code == 1 && whole.err.starts_with("-:1: ") && whole.json().len() == 1, "{}", whole.err);
    assert_eq!(record("", &[]).code, 1);
    assert_eq!(everycall(&["decide", "--config", &config, "--id", "x"], "").code, 2);
}

#[test]
fn no_token_is_ever_printed() {
    let tokens = [
        token(json!({})),
        token(json!({"exp": NOW})),
        forged(),
        unsigned(),
        format!("{}x", token(json!({}))),
    ];
    for token in tokens {
        let good = request("POST", fulfilment(), Some(&token));
        let malformed = good.replacen("\"method\"", "\"methud\"", 1);
        let torn = good.trim_end_matches('}');
        let misplaced = [
            json!({"headers": [format!("Bearer {token}")]}),
            json!({"headers": token}),
            json!({"headers": {"authorization": token}}),
            json!({"headers": [["authorization", [token]]]}),
            json!({"headers": [["authorization", {"b64": token}]]}),
            json!({"at": token}),
            json!(token),
        ];
        let mut input = format!("{good}\n{malformed}\n{torn}\n");
        misplaced.iter().for_each(|line| input.push_str(&format!("{line}\n")));
        for args in [&[][..], &["--explain"], &["--pdp", "allow"]] {
            let output = decide(args, &input);
            assert_eq!(output.err.lines().count(), 2 + misplaced.len(), "{}", output.err);
            let signature = token.rsplit('.').next().filter(|part| !part.is_empty()).unwrap_or(&token);
            assert!(!output.all().contains(&token) && !output.all().contains(signature), "{}", output.all());
        }
    }
}
