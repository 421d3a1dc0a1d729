//! `everycall test`: outcomes, coverage and changes that no case notices.

use serde_json::{json, Value};

use crate::common::{config, everycall, Files, Output, NOW};

const POLICY: &str = "package everycall

import data.lib

decision := {\"allow\": true, \"reason\": \"read\"} if {
\tinput.request.method == \"GET\"
\tlib.stated
}

decision := {\"allow\": true, \"reason\": \"write\"} if {
\tinput.request.method == \"POST\"
\tlib.stated
}
";
const LIB: &str = "package lib\n\nstated if input.request.headers[\"x-purpose\"][0] == \"fulfilment\"\n";

fn case(name: &str, method: &str, purpose: &str, expect: Value) -> Value {
    json!({
        "name": name,
        "request": {"method": method, "host": "orders.example", "path": "/orders/o-1", "headers": [["x-purpose", purpose]]},
        "token": {"issuer": "https://id.example", "claims": {"sub": "checkout"}},
        "expect": expect,
    })
}

fn all() -> Vec<Value> {
    vec![
        case("reading", "GET", "fulfilment", json!({"decision": "allow", "rule": "read"})),
        case("reading for fun", "GET", "fun", json!({"decision": "deny", "reason": "policy_undefined"})),
        case("writing", "POST", "fulfilment", json!({"decision": "allow", "rule": "write"})),
        case("writing for fun", "POST", "fun", json!({"decision": "deny"})),
    ]
}

fn files(cases: &[Value]) -> Files {
    let files = Files::new();
    let mut config = config();
    config["bundle"]["inline"]["policies"] = json!({"orders.rego": POLICY, "lib.rego": LIB});
    files.put("everycall.yaml", &config.to_string());
    files.put("cases/orders.json", &json!({"about": "orders", "cases": cases}).to_string());
    files
}

fn test(files: &Files, more: &[&str]) -> Output {
    let (directory, at) = (files.name(""), NOW.to_string());
    let mut args = vec!["test", directory.as_str(), "--at", at.as_str()];
    args.extend(more);
    everycall(&args, "")
}

#[test]
fn what_passes_is_a_line_and_every_rule_is_covered() {
    let output = test(&files(&all()), &["--coverage-min", "100", "--mutate"]);
    assert_eq!((output.code, output.err.as_str()), (0, ""), "{}", output.out);
    for line in [
        "orders.json     4 cases  ok",
        "coverage: 3 of 3 rules held in a case (100 %)",
        " changes to rules were noticed",
        "4 cases, 0 failed",
    ] {
        assert!(output.out.contains(line), "{line}: {}", output.out);
    }
}

#[test]
fn what_fails_is_explained() {
    let mut cases = all();
    cases[1]["expect"] = json!({"decision": "allow"});
    let files = files(&cases);
    let output = test(&files, &["--junit", &files.name("junit.xml")]);
    assert_eq!(output.code, 1);
    for text in [
        "1 FAILED",
        "FAILED: reading for fun",
        "decision: expected `allow`, found `deny`",
        "not met     lib.rego:3: stated if",
        "            orders.rego:7: lib.stated",
        "input.request.headers[\"x-purpose\"][0] = \"fun\"",
        "4 cases, 1 failed",
    ] {
        assert!(output.out.contains(text), "{text}: {}", output.out);
    }
    let junit = std::fs::read_to_string(files.path("junit.xml")).unwrap();
    for text in
        ["<testsuites name=\"everycall\" tests=\"4\"", "failures=\"1\"", "expected `allow`, found `deny`"]
    {
        assert!(junit.contains(text), "{text}: {junit}");
    }
    let result = &test(&files, &["--json"]).json()[0];
    assert_eq!((&result["ok"], &result["cases"]), (&json!(false), &json!(4)));
    assert_eq!(result["failures"][0]["case"], "reading for fun");
    assert_eq!(result["failures"][0]["record"]["reason"], "policy_undefined");
}

#[test]
fn junit_is_well_formed_whatever_the_cases_are_called() {
    let mut cases = all();
    cases[0]["name"] = json!("a \"<name>\" & 'more' \u{1b}[0m ]]>");
    cases[0]["expect"]["rule"] = json!("<&>");
    let files = files(&cases);
    assert_eq!(test(&files, &["--junit", &files.name("junit.xml")]).code, 1);
    let junit = std::fs::read_to_string(files.path("junit.xml")).unwrap();
    let report = quick_junit::Report::deserialize_from_str(&junit).unwrap();
    assert_eq!((report.tests, report.failures), (4, 1));
}

#[test]
fn a_rule_that_no_case_made_hold_is_named() {
    let files = files(&all()[..2]);
    let output = test(&files, &[]);
    assert_eq!(output.code, 0, "{}", output.all());
    assert!(output.out.contains("2 of 3 rules held in a case (66 %)"), "{}", output.out);
    assert!(output.out.contains("orders.rego:10: everycall.decision held in no case"), "{}", output.out);
    assert_eq!(test(&files, &["--coverage-min", "66"]).code, 0);
    let output = test(&files, &["--coverage-min", "67"]);
    assert_eq!(output.code, 1);
    assert!(output.out.contains("but 67 % are asked for"), "{}", output.out);
    // What only looked at a rule, without making it hold, does not cover it.
    let output = test(&self::files(&all()[1..2]), &["--json"]);
    assert_eq!(output.json()[0]["coverage"]["percent"], 0);
}

#[test]
fn a_change_that_no_case_notices_is_named() {
    // Nobody writes without a purpose, so nobody notices if writing needs none.
    let cases = [&all()[..3]].concat();
    let output = test(&files(&cases), &["--mutate"]);
    assert_eq!(output.code, 1);
    assert!(
        output.out.contains("orders.rego:12: no case notices: condition left out: lib.stated"),
        "{}",
        output.out
    );
    let result = &test(&files(&cases), &["--mutate", "--json"]).json()[0];
    assert_eq!(
        result["mutation"]["survivors"],
        json!([{"file": "orders.rego", "line": 12, "rule": "everycall.decision", "change": "condition left out", "text": "lib.stated"}])
    );
    // A reason in the line above says that it is meant.
    for (comment, code) in [
        ("# everycall:allow surviving_mutant nobody writes for fun", 0),
        ("# everycall:allow surviving_mutant", 1),
        ("# everycall:allow another_code because", 1),
    ] {
        let files = files(&cases);
        let mut config = config();
        let policy = POLICY.replace("\"POST\"\n", &format!("\"POST\"\n\t{comment}\n"));
        config["bundle"]["inline"]["policies"] = json!({"orders.rego": policy, "lib.rego": LIB});
        files.put("everycall.yaml", &config.to_string());
        assert_eq!(test(&files, &["--mutate"]).code, code, "{comment}");
    }
}

#[test]
fn a_filter_chooses_cases_and_files() {
    let files = files(&all());
    for (filter, cases) in [("writing", 2), ("orders.json", 4), ("for fun", 2)] {
        assert_eq!(test(&files, &["--filter", filter, "--json"]).json()[0]["cases"], cases, "{filter}");
    }
    let output = test(&files, &["--filter", "nothing like it"]);
    assert!(output.code == 2 && output.err.contains("no case in"), "{}", output.all());
}

#[test]
fn what_cannot_be_run_is_told_apart() {
    let files = files(&all());
    files.put("cases/bad.json", "{\"about\": \"x\", \"cases\": [{\"name\": \"a\"}]}");
    let output = test(&files, &[]);
    assert!(output.code == 1 && output.err.contains("cases[0]: missing field `request`"), "{}", output.all());
    files.put("cases/bad.json", &json!({"about": "x", "config": {"version": 2}, "cases": all()}).to_string());
    let output = test(&files, &[]);
    assert!(output.code == 1 && output.err.contains("bad.json: version: `2`"), "{}", output.all());
    assert_eq!(test(&Files::with_config(), &[]).code, 2);
    let output = test(&files, &["--config", &files.name("nowhere.yaml")]);
    assert_eq!(output.code, 2);
}

/// What `make test` asks of the reference bundle.
#[test]
fn the_reference_bundle_is_covered_and_every_change_to_it_is_noticed() {
    let directory = concat!(env!("CARGO_MANIFEST_DIR"), "/../../policies");
    let at = NOW.to_string();
    let output = everycall(&["test", directory, "--at", &at, "--coverage-min", "100", "--mutate"], "");
    assert_eq!(output.code, 0, "{}", output.all());
}

const OFFICE_HOURS: &str = "package everycall

decision := {\"allow\": true, \"reason\": \"office\"} if {
\tinput.clock.weekday == \"Monday\"
\tinput.clock.hour >= 9
\tinput.clock.hour < 17
}
";

/// Cases about office hours, each with its time.
fn hours(cases: &[(&str, Value, &str)]) -> Files {
    let cases: Vec<Value> = cases
        .iter()
        .map(|(name, at, decision)| {
            let mut case = case(name, "GET", "x", json!({"decision": decision}));
            case["at"] = at.clone();
            case
        })
        .collect();
    let files = files(&cases);
    let mut config = config();
    config["bundle"]["inline"]["policies"] = json!({"orders.rego": OFFICE_HOURS});
    files.put("everycall.yaml", &config.to_string());
    files
}

#[test]
fn weekday_and_hours_are_tested_whenever_the_cases_run() {
    let all = [
        ("the first second", json!("2026-02-02T09:00:00Z"), "allow"),
        ("the second before", json!("2026-02-02T08:59:59Z"), "deny"),
        ("the last second, in Unix seconds", json!(1_770_051_599), "allow"),
        ("the second after", json!("2026-02-02T17:00:00Z"), "deny"),
        ("the day before", json!("2026-02-01T12:00:00Z"), "deny"),
        ("the day after", json!("2026-02-03T12:00:00Z"), "deny"),
    ];
    for at in ["2026-02-02T12:00:00Z", "2026-02-07T03:00:00+01:00", "0"] {
        let directory = hours(&all);
        let output = everycall(
            &["test", &directory.name(""), "--at", at, "--coverage-min", "100", "--mutate", "--json"],
            "",
        );
        let result = &output.json()[0];
        assert_eq!((output.code, &result["cases"]), (0, &json!(6)), "{at}: {result}");
    }
    // Nobody tests the day after.
    let output = test(&hours(&all[..4]), &["--mutate"]);
    assert!(
        output.code == 1 && output.out.contains("condition left out: input.clock.weekday"),
        "{}",
        output.all()
    );
    let output = test(&hours(&[("noon", json!("2026-02-01T12:00:00Z"), "allow")]), &[]);
    assert!(output.code == 1 && output.out.contains("2026-02-01T12:00:00Z"), "{}", output.all());
}

#[test]
fn a_time_that_is_none_is_told_with_what_was_expected() {
    for at in ["noon", "2026-02-02", "1770051599000"] {
        let output = everycall(&["test", &hours(&[]).name(""), "--at", at], "");
        assert_eq!((output.code, output.out.as_str()), (2, ""), "{at}");
        let expected = format!("invalid value '{at}' for '--at <TIME>': expected an RFC 3339 instant");
        assert!(output.err.contains(&expected), "{}", output.err);
        let output = test(&hours(&[("a", json!(at), "allow")]), &[]);
        let expected = format!("cases[0].at: invalid value: string \"{at}\", expected an RFC 3339 instant");
        assert!(output.code == 1 && output.err.contains(&expected), "{}", output.all());
    }
}
