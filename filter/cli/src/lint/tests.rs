//! For each lint what it finds and the nearest that it does not.

mod elevations;
mod grants;
mod negations;
mod nowhere;
mod results;

use serde_json::{json, Value};

use super::*;

const NOW: UnixTime = UnixTime::from_secs(1_790_000_000);

fn document(modules: &[(&str, &str)], anonymous: bool) -> Value {
    let mut grant = json!({
        "id": "g", "owner": "team", "purpose": "p", "subject": "s", "kinds": ["workload"],
        "hosts": ["h"], "methods": ["GET"], "paths": ["/x"],
    });
    if anonymous {
        grant["subject"] = json!("anonymous");
        grant["kinds"] = json!([]);
    }
    let policies: serde_json::Map<String, Value> =
        modules.iter().map(|(name, text)| ((*name).to_owned(), json!(text))).collect();
    json!({
        "issuers": [{"issuer": "https://id.example", "kind": "workload"}],
        "bundle": {"inline": {"policies": policies, "grants": [grant],
            "data": {"limits": {"high": 10}, "banned": ["x"], "text": "t"}}},
    })
}

/// What is found in a module besides its decision on `identity`, as `code:line`.
fn found(module: &str) -> Vec<String> {
    found_in(&[("a.rego", &format!("package everycall\n{module}"))])
}

fn found_in(modules: &[(&str, &str)]) -> Vec<String> {
    let findings = lint(&document(modules, false), NOW);
    let place = |finding: &Finding| finding.place.rsplit(':').next().unwrap_or_default().to_owned();
    findings.iter().map(|finding| format!("{}:{}", finding.code, place(finding))).collect()
}

fn decision(conditions: &str) -> String {
    format!("decision := {{\"allow\": true}} if {{\n\tinput.identity.id == \"s\"\n\t{conditions}\n}}\n")
}

#[test]
fn a_comment_with_a_reason_allows() {
    let condition = |comment: &str| decision(&format!("{comment}\n\tnot input.identity.claims.suspended"));
    assert!(found(&condition("# everycall:allow negation_can_fail set by us alone")).is_empty());
    assert_eq!(
        found(&condition("# everycall:allow negation_can_fail")),
        ["bad_allow_comment:4", "negation_can_fail:5"]
    );
    assert_eq!(found(&condition("# everycall:allow default_allow why")), ["negation_can_fail:5"]);
    assert_eq!(
        found(&condition("# everycall:allow no_such why")),
        ["bad_allow_comment:4", "negation_can_fail:5"]
    );
}

#[test]
fn rules_are_reachable_and_can_hold() {
    let good = decision("helper") + "helper if f(1)\nf(x) if x == limit\nlimit := 1\nask contains {\"id\": id} if input.identity.task\nid := \"q\"\n";
    assert!(found(&good).is_empty(), "{:?}", found(&good));
    assert_eq!(found(&(decision("true") + "unused if true\n")), ["unreachable_rule:6"]);
    // Two rules that refer to each other only.
    assert_eq!(
        found(&(decision("true") + "a if b(1)\nb(x) if x == 1\n")),
        ["unreachable_rule:6", "unreachable_rule:7"]
    );
    for (condition, finds) in [
        ("false", true),
        ("1 == 2", true),
        ("\"a\" != \"a\"", true),
        ("1 == 1", false),
        ("input.time == 2", false),
    ] {
        assert_eq!(
            found(&decision(condition)).contains(&"constant_false:4".to_owned()),
            finds,
            "{condition}"
        );
    }
}

#[test]
fn a_decision_allows_by_a_boolean_and_looks_at_the_caller() {
    let rule = |value: &str| format!("decision := {value} if input.identity.id\n");
    for (value, finds) in [
        ("{\"allow\": \"true\"}", Some("allow_not_boolean:2")),
        ("{\"allow\": 1}", Some("allow_not_boolean:2")),
        ("{\"allow\": null}", Some("allow_not_boolean:2")),
        ("{\"allow\": false}", None),
        ("{\"allow\": input.identity.bound == \"dpop\"}", None),
        ("{\"allow\": false, \"obligations\": {\"step_up\": {\"max_age\": 60}}}", None),
        ("{\"allow\": true, \"obligations\": {\"mask\": {}}}", Some("unknown_obligation:2")),
    ] {
        assert_eq!(found(&rule(value)).first().map(String::as_str), finds, "{value}");
    }
    assert_eq!(found("default decision := {\"allow\": true}\n"), ["default_allow:2"]);
    assert!(found("default decision := {\"allow\": false}\n").is_empty());
    // Not what decides.
    assert!(found(&(decision("helper.allow") + "default helper := {\"allow\": true}\n")).is_empty());
    let obliged = |name: &str| {
        found(&rule(&format!("{{\"allow\": true, \"obligations\": {{\"{name}\": {{}}}}}}"))).is_empty()
    };
    assert!(obliged("request_headers") && obliged("response_headers") && !obliged("request_header"));
    let open = "package everycall\ndecision := {\"allow\": true} if input.request.method == \"GET\"\n";
    assert_eq!(found_in(&[("a.rego", open)]), ["allow_without_identity:2"]);
    assert!(lint(&document(&[("a.rego", open)], true), NOW).is_empty(), "a grant for everybody");
    // An answer is about who was asked about.
    let asked = |id: &str| {
        let question = format!("{{\"id\": \"q\", \"subject\": {{\"type\": \"t\", \"id\": {id}}}}}");
        format!("package everycall\nask contains {question} if true\ndecision := {{\"allow\": true}} if input.pdp.q.decision\n")
    };
    assert!(found_in(&[("a.rego", &asked("input.identity.id"))]).is_empty());
    assert_eq!(found_in(&[("a.rego", &asked("input.request.path"))]), ["allow_without_identity:3"]);
    // Through a rule and a function of another module.
    let module = "package everycall\nimport data.lib\ndecision := {\"allow\": true} if lib.known(1)\n";
    assert!(found_in(&[
        ("a.rego", module),
        ("b.rego", "package lib\nknown(x) if x == who\nwho := input.identity.claims.n\n")
    ])
    .is_empty());
}
