//! Bundles that are signed, or on a server: `check`, `test`, `decide` and `exceptions` look into them as
//! into those of the configuration, and say so where they can't.

use everycall::bundle_file::{bundle_parts, test_bundle_file, Issue};
use everycall::mint::TestKey;
use everycall_core::UnixTime;
use serde_json::{json, Value};

use crate::common::{config, everycall, request, token, Files, Output, NOW};

const NEGATION: &str = "package everycall
decision := {\"allow\": true, \"reason\": \"read\"} if {
\tinput.identity.id
\tnot input.identity.claims.suspended
}
";

/// Parts of a bundle that has something for an author to look at: a negation, and an owner that is none.
fn odd() -> Value {
    let mut parts = config()["bundle"]["inline"].clone();
    parts["policies"]["orders.rego"] = json!(NEGATION);
    parts["grants"][0]["owner"] = json!("todo");
    parts
}

fn signed_at(parts: &Value, sequence: u64, from: i64, until: i64) -> String {
    let (issued_at, expires_at) = (UnixTime::from_secs(from), UnixTime::from_secs(until));
    let issue = Issue { revision: Some(format!("v{sequence}")), sequence, issued_at, expires_at };
    String::from_utf8(test_bundle_file(parts, &issue, &TestKey::es256().unwrap()).unwrap()).unwrap()
}

/// Good at `NOW`.
fn signed(parts: &Value, sequence: u64) -> String {
    signed_at(parts, sequence, NOW - 10, NOW + 600)
}

/// Good now.
fn signed_now(parts: &Value) -> String {
    let now = everycall::clock::now().secs();
    signed_at(parts, 7, now - 10, now + 600)
}

fn with_bundle(bundle: Value) -> Value {
    let mut config = config();
    config["bundle"] = bundle;
    if config["bundle"].get("inline").is_none() {
        config["bundle"]["keys"] = TestKey::es256().unwrap().public_jwks();
    }
    config
}

fn remote() -> Value {
    with_bundle(
        json!({"remote": {"cluster": "bundles", "host": "b.example", "path": "/b", "max_bytes": 100_000}}),
    )
}

/// The JSON of a check, and its exit code.
fn check(config: &Value, more: &[&str]) -> (Value, Output) {
    let output = everycall(&[&["check", "--json", "-"], more].concat(), &config.to_string());
    (output.json().remove(0), output)
}

fn places(result: &Value) -> Vec<String> {
    let of = |lint: &Value| format!("{} {}", lint["code"].as_str().unwrap(), lint["place"].as_str().unwrap());
    result["lints"].as_array().unwrap().iter().map(of).collect()
}

#[test]
fn a_check_looks_into_what_is_signed() {
    let found = |config: &Value| places(&check(config, &[]).0);
    let inline = found(&with_bundle(json!({"inline": odd()})));
    assert_eq!(inline, ["missing_owner bundle.inline.grants[0].owner", "negation_can_fail orders.rego:4"]);
    let (result, output) = check(&with_bundle(json!({"signed": signed_now(&odd())})), &[]);
    assert_eq!(
        places(&result),
        ["missing_owner bundle.signed.grants[0].owner", "negation_can_fail orders.rego:4"]
    );
    assert_eq!((output.code, &result["ok"], &result["grants"]), (1, &json!(false), &json!(1)));
    assert_eq!(result["unread"], json!([]));
    assert!(!output.err.contains("`bundle.signed`"), "{}", output.err);
    // What is not verified is not looked into.
    let tampered = signed_now(&odd()).replace("team", "teem").replace("todo", "tudu");
    let (result, _) = check(&with_bundle(json!({"signed": tampered})), &[]);
    assert_eq!((&result["errors"][0]["path"], result.get("lints")), (&json!("bundle.signed"), None));
    // What does not serve any more is told of.
    let old = signed(&config()["bundle"]["inline"], 1);
    let (result, output) = check(&with_bundle(json!({"signed": old})), &[]);
    assert_eq!(result["ok"], true);
    assert!(output.err.contains("`bundle.signed`: the bundle `v1` expired at"), "{}", output.err);
    assert!(output.err.contains("every request is refused"), "{}", output.err);
}

#[test]
fn a_check_looks_into_the_shadow() {
    let mut shadowed = config();
    for (bundle, place) in [
        (json!({"inline": odd()}), "shadow.inline"),
        (
            json!({"signed": signed_now(&odd()), "keys": TestKey::es256().unwrap().public_jwks()}),
            "shadow.signed",
        ),
    ] {
        shadowed["shadow"] = bundle;
        assert_eq!(
            places(&check(&shadowed, &[]).0)[..2],
            [
                format!("missing_owner {place}.grants[0].owner"),
                "negation_can_fail shadow: orders.rego:4".into()
            ]
        );
    }
}

#[test]
fn a_check_says_what_it_did_not_look_at() {
    let files = Files::new();
    let (result, output) = check(&remote(), &[]);
    assert_eq!((output.code, &result["unread"]), (0, &json!(["bundle.remote"])));
    assert!(
        output.err.contains("WARNING: the bundle of `bundle.remote` was not looked at: `--bundle FILE`"),
        "{}",
        output.err
    );
    let plain = everycall(&["check", "-"], &remote().to_string());
    assert!(plain.code == 0 && plain.out.contains("unread      bundle.remote"), "{}", plain.all());
    let mut both = remote();
    both["bundle"]["inline"] = odd();
    let (result, output) = check(&both, &[]);
    assert_eq!(places(&result)[0], "missing_owner bundle.inline.grants[0].owner");
    assert_eq!(result["unread"], json!(["bundle.remote"]));
    assert!(output.err.contains("not looked at, only what serves until its server"), "{}", output.err);
    // A file in its place.
    let file = files.put("b", &signed_now(&odd()));
    for config in [remote(), both] {
        let (result, output) = check(&config, &["--bundle", &file]);
        assert_eq!(
            places(&result),
            ["missing_owner bundle.remote.grants[0].owner", "negation_can_fail orders.rego:4"]
        );
        assert_eq!((output.code, &result["unread"], &result["grants"]), (1, &json!([]), &json!(1)));
        assert!(!output.err.contains("not looked at"), "{}", output.err);
    }
    let good = files.put("good", &signed_now(&config()["bundle"]["inline"]));
    assert_eq!(check(&remote(), &["--bundle", &good]).1.code, 0);
}

/// Names that the configuration does not have are no error of a bundle that is fetched: nobody is
/// elevated there, which is odd enough to be told.
#[test]
fn networks_that_a_fetched_bundle_names_may_be_unknown() {
    let now = everycall::clock::now();
    let mut parts = config()["bundle"]["inline"].clone();
    parts["grants"][0]["requires_elevation"] = json!(true);
    parts["elevations"] = json!([{
        "id": "e", "subject": "checkout", "grants": ["orders"], "approver": "a", "ticket": "T-1", "reason": "r",
        "valid_from": now.to_string(), "valid_until": UnixTime::from_secs(now.secs() + 60).to_string(), "networks": ["office"],
    }]);
    let files = Files::new();
    let file = files.put("b", &signed_now(&parts));
    let (result, output) = check(&remote(), &["--bundle", &file]);
    assert_eq!(
        places(&result),
        [
            "elevation_never_serves bundle.remote.elevations[0].grants[0]",
            "source_missing source",
            "elevation_missing bundle.remote.grants[0].requires_elevation",
            "allow_without_identity orders.rego:2"
        ],
        "{}",
        output.all()
    );
}

/// `decide` with this bundle in the place of the server's.
fn decide(config: &Value, bundle: &str, more: &[&str]) -> Output {
    let files = Files::new();
    let (config, bundle) = (files.put("c.json", &config.to_string()), files.put("b", bundle));
    let at = NOW.to_string();
    let line = request("GET", json!([["x-purpose", "fulfilment"]]), Some(&token(json!({}))));
    let mut arguments = vec!["decide", "--config", &config, "--at", &at, "--bundle", &bundle];
    arguments.extend(more);
    everycall(&arguments, &line)
}

#[test]
fn decisions_are_made_by_the_file() {
    let files = Files::new();
    let path = files.put("c.json", &remote().to_string());
    for arguments in [&["decide", "--config", &path][..], &["decide", "--config", &path, "--record", "x"]] {
        let output = everycall(arguments, "");
        assert_eq!((output.code, output.out.as_str()), (2, ""));
        assert!(
            output.err.contains("`bundle.remote`") && output.err.contains("--bundle FILE"),
            "{}",
            output.err
        );
    }
    let parts = config()["bundle"]["inline"].clone();
    let output = decide(&remote(), &signed(&parts, 7), &[]);
    let record = &output.json()[0];
    assert_eq!((&record["decision"], &record["bundle"]["sequence"]), (&json!("allow"), &json!(7)));
    assert_eq!(output.err, "");
    // The revision is that of the configuration, as the filter has it.
    let revision = check(&remote(), &[]).0["revision"].clone();
    assert_eq!(record["revision"], revision);
    let explained = decide(&remote(), &signed(&parts, 7), &["--explain"]).out;
    assert!(
        explained.contains("held        orders.rego:2") && explained.contains("read        input"),
        "{explained}"
    );
    // What serves until the server has answered does decide, and it is said.
    let mut both = remote();
    both["bundle"]["inline"] = parts;
    let path = files.put("both.json", &both.to_string());
    let line = request("GET", json!([["x-purpose", "fulfilment"]]), Some(&token(json!({}))));
    let output = everycall(&["decide", "--config", &path, "--at", &NOW.to_string()], &line);
    assert_eq!((output.json()[0]["decision"].as_str(), output.code), (Some("allow"), 0));
    assert!(output.err.contains("only what serves until its server has answered"), "{}", output.err);
}

#[test]
fn a_file_is_taken_by_the_rules_on_what_is_fetched() {
    let parts = config()["bundle"]["inline"].clone();
    let good = signed(&parts, 7);
    let refused = |config: &Value, file: &str, message: &str| {
        let output = decide(config, file, &[]);
        assert_eq!((output.code, output.out.as_str()), (1, ""), "{message}: {}", output.err);
        let line = output.err.lines().next().unwrap();
        assert!(line.starts_with("bundle.remote: `") && line.contains(message), "{message}: {}", output.err);
    };
    let taken = |config: &Value, file: &str| {
        let output = decide(config, file, &[]);
        assert!(output.out.contains("\"decision\":\"allow\""), "{}", output.all());
    };
    // Time.
    refused(
        &remote(),
        &signed_at(&parts, 7, NOW - 600, NOW),
        "(expired): the bundle `v7` expired at 2026-09-21T",
    );
    taken(&remote(), &signed_at(&parts, 7, NOW - 600, NOW + 1));
    refused(
        &remote(),
        &signed_at(&parts, 7, NOW + 61, NOW + 600),
        "(not_yet_valid): the bundle `v7` is not valid",
    );
    taken(&remote(), &signed_at(&parts, 7, NOW + 60, NOW + 600));
    let mut stale = remote();
    stale["bundle"]["max_stale_s"] = json!(9);
    refused(&stale, &good, "(expired): the bundle `v7` is 10 s old; at most 9 are allowed");
    stale["bundle"]["max_stale_s"] = json!(10);
    taken(&stale, &good);
    // Order, against what the configuration holds.
    let mut other = parts.clone();
    other["grants"][0]["purpose"] = json!("another");
    let mut both = remote();
    both["bundle"]["signed"] = json!(good);
    refused(&both, &signed(&parts, 6), "(older): `v6` has the sequence 6; 7 was in force");
    refused(&both, &signed(&other, 7), "(older): `v7` has the sequence 7 of another that was in force");
    taken(&both, &good);
    taken(&both, &signed(&other, 8));
    // Form, signature, size, content.
    refused(&remote(), "<html>\n", "(malformed): line 1: ");
    refused(&remote(), &good.replace("team-orders", "team-others"), "(digest): line 1: ");
    refused(&remote(), &good[..good.len() - 1], "(digest): line 1: ");
    let mut keys = remote();
    keys["bundle"]["keys"] = TestKey::eddsa().unwrap().public_jwks();
    refused(&keys, &good, "(signature): line 1: ");
    let mut small = remote();
    small["bundle"]["remote"]["max_bytes"] = json!(good.len() - 1);
    refused(&small, &good, "(too_large): ");
    small["bundle"]["remote"]["max_bytes"] = json!(good.len());
    taken(&small, &good);
    let mut broken = parts.clone();
    broken["policies"]["orders.rego"] = json!("package everycall\nx :=");
    broken["grants"][0]["owner"] = json!("");
    let output = decide(&remote(), &signed(&broken, 7), &[]);
    assert!(output.code == 1 && output.err.contains("(invalid): line 2: orders.rego:2:"), "{}", output.err);
    assert!(output.err.contains("(invalid): line 3.owner: must not be empty"), "{}", output.err);
    // The limits are those of the configuration.
    let mut tight = remote();
    tight["limits"] = json!({"elevation_hours": 1});
    let mut long = parts;
    long["elevations"] = json!([{
        "id": "e", "subject": "x", "grants": ["orders"], "approver": "a", "ticket": "T-1", "reason": "r",
        "valid_from": "2026-09-21T14:00:00Z", "valid_until": "2026-09-21T16:00:00Z",
    }]);
    refused(&tight, &signed(&long, 7), "(invalid): line 3.valid_until: ");
    taken(&remote(), &signed(&long, 7));
    // A check says the same as JSON.
    let files = Files::new();
    let (result, output) = check(&remote(), &["--bundle", &files.put("b", &good)]);
    assert_eq!((output.code, &result["errors"][0]["path"]), (1, &json!("bundle.remote")));
    assert!(result["errors"][0]["message"].as_str().unwrap().contains("(expired)"), "{result}");
}

#[test]
fn what_cannot_stand_in_is_a_wrong_usage() {
    let files = Files::with_config();
    let file = files.put("b", &signed(&config()["bundle"]["inline"], 7));
    let remote = files.put("remote.json", &remote().to_string());
    for command in ["check", "exceptions"] {
        let output = everycall(&[command, &files.name("config.json"), "--bundle", &file], "");
        assert!(output.code == 2 && output.err.contains("no `bundle.remote`"), "{command}: {}", output.err);
        let output = everycall(&[command, &remote, "--bundle", &files.name("nowhere")], "");
        assert!(
            output.code == 2 && output.err.contains("nowhere` cannot be read"),
            "{command}: {}",
            output.err
        );
    }
    let output = everycall(&["exceptions", &remote], "");
    assert!(output.code == 2 && output.err.contains("--bundle FILE"), "{}", output.err);
}

/// What served then does not any more, and a record says by which it was decided.
#[test]
fn records_are_decided_again_by_the_file() {
    let files = Files::new();
    let parts = config()["bundle"]["inline"].clone();
    let record = decide(&remote(), &signed(&parts, 7), &[]).out;
    let (path, record) = (files.put("c.json", &remote().to_string()), files.put("r", &record));
    let again = |file: &str| {
        let file = files.put("b", file);
        everycall(&["decide", "--config", &path, "--bundle", &file, "--record", &record, "--explain"], "")
    };
    let same = again(&signed(&parts, 7));
    assert!(same.code == 0 && same.out.contains("the same outcome"), "{}", same.all());
    assert!(!same.out.contains("under another"), "{}", same.out);
    let mut closed = parts.clone();
    closed["grants"][0]["methods"] = json!(["POST"]);
    let other = again(&signed(&closed, 8)).out;
    assert!(other.contains("ANOTHER outcome: allow allowed"), "{other}");
    assert!(other.contains("recorded    under another bundle: `v7`, sequence 7"), "{other}");
}

fn exceptions(config: &Value, file: &str) -> Output {
    let files = Files::new();
    let path = files.put("c.json", &config.to_string());
    everycall(
        &["exceptions", &path, "--bundle", &files.put("b", file), "--at", &NOW.to_string(), "--json"],
        "",
    )
}

#[test]
fn exceptions_are_those_of_the_file() {
    let mut parts = config()["bundle"]["inline"].clone();
    parts["exceptions"] = json!([{
        "id": "x", "owner": "o", "reason": "r", "compensating_control": "c",
        "valid_from": "2026-09-01T00:00:00Z", "valid_until": "2026-10-01T00:00:00Z",
    }]);
    let output = exceptions(&remote(), &signed(&parts, 7));
    assert_eq!(output.json()[0]["exceptions"][0]["id"], "x", "{}", output.err);
}

const POLICY: &str = "package everycall
decision := {\"allow\": true, \"reason\": \"read\"} if {
\tinput.request.method == \"GET\"
\tinput.request.headers[\"x-purpose\"][0] == \"fulfilment\"
}
";

/// A directory with cases; `full`: for each condition one that notices when it is left out.
fn suite(bundle: Value, full: bool) -> Files {
    let case = |name: &str, method: &str, purpose: &str, decision: &str| {
        json!({
            "name": name,
            "request": {"method": method, "host": "orders.example", "path": "/orders/o-1", "headers": [["x-purpose", purpose]]},
            "token": {"issuer": "https://id.example", "claims": {"sub": "checkout"}},
            "expect": {"decision": decision},
        })
    };
    let mut cases = vec![case("a", "GET", "fulfilment", "allow"), case("b", "GET", "fun", "deny")];
    cases.extend(full.then(|| case("c", "POST", "fulfilment", "deny")));
    let files = Files::new();
    files.put("everycall.yaml", &with_bundle(bundle).to_string());
    files.put("cases/orders.json", &json!({"about": "orders", "cases": cases}).to_string());
    files
}

fn test(files: &Files, more: &[&str]) -> Output {
    let (directory, at) = (files.name(""), NOW.to_string());
    everycall(&[&["test", &directory, "--at", &at, "--json", "--mutate"], more].concat(), "")
}

#[test]
fn cases_cover_what_is_signed_and_what_is_on_a_server() {
    let mut parts = config()["bundle"]["inline"].clone();
    parts["policies"]["orders.rego"] = json!(POLICY);
    let remote = remote()["bundle"].clone();
    for full in [true, false] {
        let inline = test(&suite(json!({"inline": parts}), full), &[]);
        let expected = &inline.json()[0];
        assert_eq!((inline.code, &expected["coverage"]["rules"]), (i32::from(!full), &json!(1)));
        assert_eq!(expected["mutation"]["survivors"].as_array().unwrap().is_empty(), full, "{expected}");
        let signed_one = test(&suite(json!({"signed": signed(&parts, 7)}), full), &[]);
        assert_eq!((signed_one.code, &signed_one.json()[0]), (inline.code, expected), "{}", signed_one.err);
        let files = suite(remote.clone(), full);
        let file = files.put("b", &signed(&parts, 7));
        let pulled = test(&files, &["--bundle", &file]);
        assert_eq!((pulled.code, &pulled.json()[0]), (inline.code, expected), "{}", pulled.err);
    }
    // Nothing is covered where nothing is known.
    let output = test(&suite(remote.clone(), true), &[]);
    assert_eq!((output.code, output.out.as_str()), (2, ""));
    assert!(output.err.contains("`bundle.remote`") && output.err.contains("--bundle FILE"), "{}", output.err);
    let mut both = remote;
    both["inline"] = parts.clone();
    let mut config = with_bundle(both);
    config["bundle"]["keys"] = TestKey::es256().unwrap().public_jwks();
    let files = suite(json!({"inline": parts}), true);
    files.put("everycall.yaml", &config.to_string());
    let output = test(&files, &[]);
    assert_eq!((output.code, &output.json()[0]["unread"]), (0, &json!(["bundle.remote"])));
    assert!(output.err.contains("only what serves until"), "{}", output.err);
    // What the filter would not serve by is no bundle to test.
    let old = suite(json!({"signed": signed_at(&parts, 7, NOW - 600, NOW)}), true);
    let output = test(&old, &[]);
    assert!(
        output.code == 1 && output.err.contains("bundle.signed: not taken: the bundle `v7` expired"),
        "{}",
        output.err
    );
}

#[test]
fn a_bundle_file_has_the_parts_that_it_was_made_of() {
    let directory = concat!(env!("CARGO_MANIFEST_DIR"), "/../../policies");
    let mut parts = Value::Object(everycall::load::bundle_directory(directory.as_ref()).unwrap());
    parts["rule_sets"] = json!({"orders": {"shadow": "orders_next"}});
    // More than a line, cut at several levels.
    let many =
        |count: usize| -> Value { (0..count).map(|n| (format!("k{n}"), json!(["x".repeat(90)]))).collect() };
    parts["data"]["large"] = json!({"a": many(900), "b": {"c": many(500), "d": null}, "e": {}});
    assert_eq!(bundle_parts(signed(&parts, 1).as_bytes()), Ok(parts.as_object().unwrap().clone()));
    assert!(bundle_parts(b"head\n{\"grand\":{}}\n").unwrap_err().contains("line 2: `grand`"));
    assert!(bundle_parts(b"head\nnot json\n").unwrap_err().contains("line 2: "));
}

/// Nothing is fetched: lists stand in for the servers of feeds, and what a record tells of them stands.
#[test]
fn a_record_tells_what_was_known_of_feeds() {
    let files = Files::new();
    let keys = TestKey::es256().unwrap().public_jwks();
    let feed = |place: &str| json!({"keys": keys, "remote": {"cluster": place, "host": place, "path": "/x"}});
    let mut config = config();
    config["revocations"] = feed("revocations");
    config["signals"] = feed("signals");
    let policies = config["bundle"]["inline"]["policies"].as_object_mut().unwrap();
    for (_, text) in policies.iter_mut() {
        *text = json!(
            "package everycall\ndecision := {\"allow\": true} if object.get(input.signals.identity, \"risk\", 0) == 0"
        );
    }
    let config = files.put("config.json", &config.to_string());
    let asked = request("GET", json!([]), Some(&token(json!({}))));
    let none = files.put("none", "");
    let risk = json!({"about": "identity", "id": "checkout", "signal": "risk", "value": 9,
        "expires_at": everycall_core::UnixTime::from_secs(NOW + 60).to_string()});
    let risk = files.put("risk", &format!("{risk}\n"));
    let decide = |lists: &[&str]| {
        everycall(&[&["decide", "--config", &config, "--at", &NOW.to_string()], lists].concat(), &asked)
    };
    for (lists, untold, reason) in [
        (vec![], "`revocations.remote` is not known here, and calls with a credential", "revocations_stale"),
        (
            vec!["--revocations", &none],
            "`signals.remote` is not known here, and calls whose policy reads",
            "signals_stale",
        ),
        (vec!["--revocations", &none, "--signals", &risk], "", "policy_undefined"),
    ] {
        let output = decide(&lists);
        assert!(output.err.contains(untold), "{}", output.err);
        assert_eq!(output.json()[0]["reason"], reason, "{}", output.out);
    }
    let decided = decide(&["--revocations", &none, "--signals", &none]);
    assert!(!decided.err.contains("not known here"), "{}", decided.err);
    let record = &decided.json()[0];
    assert_eq!(record["decision"], "allow", "{}", decided.out);
    assert_eq!(record["signals"]["identity"], json!({}));
    let mut risky = record.clone();
    risky["signals"]["identity"] = json!({"risk": 9});
    let record = files.put("record", &risky.to_string());
    let again = everycall(&["decide", "--config", &config, "--record", &record], "");
    assert!(!again.err.contains("not known here"), "{}", again.err);
    assert_eq!(again.json()[0]["reason"], "policy_undefined", "{}", again.out);
}
