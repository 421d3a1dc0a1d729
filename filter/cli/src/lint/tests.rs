//! For each lint what it finds and the nearest that it does not.

use serde_json::{json, Value};

use super::*;

mod elevations;

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
fn negations_over_what_can_fail_are_found() {
    for (conditions, rules) in [
        // A builtin that errs, straight and through one and two rules.
        ("not to_number(input.request.query.n[0]) > 1", ""),
        ("not input.signals.task.risk == \"high\"", ""),
        ("not big", "big if to_number(input.request.query.n[0]) > 1"),
        ("not bad", "bad if big\nbig if to_number(input.request.query.n[0]) > 1"),
        ("count(deny) == 0", "deny contains \"x\" if to_number(input.request.query.n[0]) > 1"),
        ("count(deny) < 1", "deny contains \"x\" if to_number(input.request.query.n[0]) > 1"),
        ("0 == count(deny)", "deny contains \"x\" if to_number(input.request.query.n[0]) > 1"),
        ("deny == set()", "deny contains \"x\" if to_number(input.request.query.n[0]) > 1"),
        ("not count(deny) > 0", "deny contains \"x\" if to_number(input.request.query.n[0]) > 1"),
        ("n := count(deny); n == 0", "deny contains \"x\" if to_number(input.request.query.n[0]) > 1"),
        ("d := deny; count(d) == 0", "deny contains \"x\" if to_number(input.request.query.n[0]) > 1"),
        ("d := deny; not \"x\" in d", "deny contains \"x\" if to_number(input.request.query.n[0]) > 1"),
        ("none == 0", "none := count(deny)\ndeny contains \"x\" if input.identity.claims.bad"),
        ("not f(input.time)", "f(x) if g(x)\ng(x) if to_number(data.text) > x"),
        // What may not be there.
        ("not input.identity.claims.suspended", ""),
        // Where no address is told, there are no networks.
        ("not \"office\" in input.connection.networks", ""),
        ("not suspended", "suspended if input.identity.claims.suspended"),
        ("not input.identity.task.id == \"t\"", ""),
        ("not input.request.headers[\"x-a\"][0] == \"b\"", ""),
        ("not \"x\" in input.identity.claims.groups", ""),
        ("not data.missing", ""),
        ("not data.limits[input.identity.claims.level]", ""),
        ("c := input.identity.claims; not c.suspended", ""),
        ("not input.pdp.q.error", ""),
        // Comprehensions.
        ("count([x | some x in input.identity.claims.groups; x == \"bad\"]) == 0", ""),
        ("groups := input.identity.claims.groups; count([x | some x in groups; x == \"bad\"]) == 0", ""),
        ("[x | some x in input.request.segments; to_number(x) > 1] == []", ""),
        ("bad := [x | some x in input.request.segments; to_number(x) > 1]; bad == []", ""),
        ("{x | x := input.identity.claims.role} == set()", ""),
        ("every d in deny { d == \"\" }", "deny contains \"x\" if to_number(input.request.query.n[0]) > 1"),
        // Values of an unknown type: null is less than any number, and a text has no members.
        ("a := input.identity.claims.amount; not a > 100", ""),
        ("g := input.identity.claims.groups; not \"bad\" in g", ""),
        ("s := input.identity.claims.role; not startswith(s, \"bad\")", ""),
        ("h := input.request.query.h; not count(h) > 1", ""),
        // A check of another value, or one that is no check here.
        ("is_number(input.identity.claims.a); not input.identity.claims.b > 1", ""),
        ("is_string(input.identity.claims.a); not to_number(input.identity.claims.a) > 1", ""),
        ("not big", "big if { is_number(input.identity.claims.a); input.identity.claims.a > 1 }"),
        // What is counted is fewer.
        ("count(deny) < 3", "deny contains \"x\" if to_number(input.request.query.n[0]) > 1"),
        ("2 >= count(deny)", "deny contains \"x\" if to_number(input.request.query.n[0]) > 1"),
        ("max({n | some n in input.identity.claims.levels}) < 3", ""),
        ("sum([n | some n in input.identity.claims.amounts]) <= 100", ""),
        ("min({n | some n in input.identity.claims.levels}) > 3", ""),
        ("n := count(deny); not n > 0", "deny contains \"x\" if to_number(input.request.query.n[0]) > 1"),
        ("deny = set()", "deny contains \"x\" if to_number(input.request.query.n[0]) > 1"),
        ("concat(\",\", deny) == \"\"", "deny contains \"x\" if to_number(input.request.query.n[0]) > 1"),
        ("deny == {}", "deny[\"x\"] := 1 if to_number(input.request.query.n[0]) > 1"),
        ("count(all.deny) == 0", "all := {\"deny\": deny}\ndeny contains \"x\" if input.identity.claims.bad"),
        ("count({x | some x in deny; x != \"\"}) == 0", "deny contains \"x\" if input.identity.claims.bad"),
        ("count(deny - {\"y\"}) == 0", "deny contains \"x\" if input.identity.claims.bad"),
        (
            "count(deny | other) == 0",
            "deny contains \"x\" if input.identity.claims.bad\nother contains \"y\" if input.time < 1",
        ),
        // Negated three times, and through what `with` replaces.
        ("not a", "a if not b\nb if not c\nc if input.identity.claims.bad"),
        ("not a with input.time as 1", "a if input.identity.claims.bad"),
        ("not a with input.request.method as data.missing", "a if input.request.method == \"GET\""),
        // By default, behind an `else`, and the other way round.
        ("ok", "default ok := true\nok := false if input.identity.claims.bad"),
        ("ok == true", "default ok := true\nok := false if input.identity.claims.bad"),
        ("x := ok; x", "default ok := true\nok := false if input.identity.claims.bad"),
        ("ok(1)", "default ok(_) := true\nok(x) := false if input.identity.claims.bad == x"),
        ("ok", "ok := false if input.identity.claims.bad\nelse := true"),
        ("ok", "ok := false if { input.time > 1; input.identity.claims.bad } else := true if input.time > 2"),
        ("level == \"low\"", "default level := \"low\"\nlevel := \"high\" if input.identity.claims.bad"),
        ("level != \"high\"", "default level := \"low\"\nlevel := \"high\" if input.identity.claims.bad"),
        (
            "level in {\"low\", \"mid\"}",
            "default level := \"low\"\nlevel := \"high\" if input.identity.claims.bad",
        ),
        ("level != \"high\"", "level := \"high\" if input.identity.claims.bad\nelse := \"low\""),
        ("not level == \"high\"", "default level := \"low\"\nlevel := \"high\" if input.identity.claims.bad"),
        ("bad == false", "default bad := false\nbad if input.identity.claims.bad"),
        ("bad != true", "default bad := false\nbad if input.identity.claims.bad"),
        ("not 1 / input.time > 1", ""),
        // Inside of something else.
        ("count([x | some x in input.request.segments; not data.missing]) > 0", ""),
        ("every x in input.request.segments { not data.limits[x] }", ""),
    ] {
        let module = format!("{}{rules}\n", decision(conditions));
        let found = found(&module);
        assert!(found.iter().any(|found| found == "negation_can_fail:4"), "{module}: {found:?}");
    }
}

#[test]
fn negations_of_what_is_sure_are_not() {
    for (conditions, rules) in [
        ("not input.request.method == \"DELETE\"", ""),
        ("not deleting", "deleting if input.request.method in {\"DELETE\", \"PUT\"}"),
        ("not input.identity.kind == \"agent\"", ""),
        ("not \"x\" in data.banned", ""),
        ("not input.identity.id in data.banned", ""),
        ("is_array(input.connection.networks); not \"office\" in input.connection.networks", ""),
        ("not input.time > data.limits.high", ""),
        ("not object.get(input.identity.claims, \"suspended\", false)", ""),
        ("not object.get(input.signals.task, \"risk\", \"\") == \"high\"", ""),
        ("not startswith(input.request.path, \"/admin\")", ""),
        ("not regex.match(`^/admin`, input.request.path)", ""),
        ("count(deny) == 0", "deny contains \"x\" if input.request.method == \"DELETE\""),
        ("deny == set()", "deny contains \"x\" if input.time < 10"),
        // Guarded beside the negation.
        ("is_number(input.identity.claims.a); not input.identity.claims.a > 1", ""),
        ("a := input.identity.claims.a; is_number(a); not a > 1", ""),
        ("is_number(input.identity.claims.a); not to_number(input.identity.claims.a) > 1", ""),
        ("is_array(input.identity.claims.g); not \"bad\" in input.identity.claims.g", ""),
        ("g := input.identity.claims.g; is_array(g); count([x | some x in g; x == \"bad\"]) == 0", ""),
        ("is_boolean(input.identity.claims.s); not input.identity.claims.s", ""),
        ("is_number(input.identity.claims.a); not big", "big if input.identity.claims.a > 1"),
        ("a := input.identity.claims.a; is_number(a); not big(a)", "big(x) if x > 1"),
        (
            "input.identity.claims.a != null; not big",
            "big if { is_number(input.identity.claims.a); input.identity.claims.a > 1 }",
        ),
        ("not input.identity.claims.role == \"x\"; input.identity.claims.role", ""),
        // A second negation turns it round again.
        ("not outside", "outside if not input.identity.claims.inside"),
        // What is made of nothing is refused here: nothing is counted as few, or taken for a default.
        ("count(deny) < 3", "deny contains \"x\" if input.request.method == \"DELETE\""),
        ("count(input.request.segments) < 9", ""),
        ("count(good) >= 2", "good contains \"x\" if input.identity.claims.good"),
        ("count({\"a\", \"b\"} - good) == 0", "good contains \"x\" if input.identity.claims.good"),
        ("ok", "default ok := false\nok if input.identity.claims.good"),
        ("ok", "default ok := true\nok := false if input.time < 1"),
        ("ok", "ok if input.identity.claims.good\nelse := false"),
        ("ok", "ok if input.identity.claims.good\nelse if input.time > 1"),
        ("ok == false", "default ok := true\nok := false if input.identity.claims.good"),
        ("level == \"high\"", "default level := \"low\"\nlevel := \"high\" if input.identity.claims.good"),
        ("not ok", "default ok := true\nok := false if input.time > 1"),
        ("not a", "a if not b\nb if input.identity.claims.good"),
        ("not \"x\" in deny", "deny contains \"x\" if input.request.method == \"DELETE\""),
        ("count(deny) == 0", "deny contains \"x\" if not input.identity.claims.good"),
        (
            "limit := max_items; input.time < limit",
            "default max_items := 10\nmax_items := 5 if input.identity.claims.low",
        ),
        ("not input.grant.ticket == \"x\"", ""),
        ("input.elevation != null; not input.elevation.ticket == \"x\"", ""),
        // No emptiness tests: undefined is no.
        ("input.identity.actors == []", ""),
        ("count(input.identity.claims.groups) == 0", ""),
        ("count(deny) == 2", "deny contains input.identity.claims.x"),
        ("count(allowed) > 0", "allowed contains \"x\" if to_number(input.request.query.n[0]) > 1"),
        ("bad == false", "bad := input.identity.claims.bad"),
    ] {
        let module = format!("{}{rules}\n", decision(conditions));
        let found = found(&module);
        assert!(found.is_empty(), "{module}: {found:?}");
    }
    // What stands in another module, by its package or an import of it.
    let lib = "package lib\nbad if to_number(input.request.query.n[0]) > 1\nf(x) if x == 1\n";
    for (import, condition, finds) in [
        ("import data.lib", "not lib.bad", true),
        ("import data.lib as other", "not other.bad", true),
        ("import data.lib.bad", "not bad", true),
        ("", "not data.lib.bad", true),
        ("import data.lib", "not lib.f(input.time)", false),
        ("import data.lib", "not lib.f(input.identity.claims.x)", true),
    ] {
        let module = format!("package everycall\n{import}\n{}", decision(condition));
        let negations = found_in(&[("a.rego", &module), ("lib.rego", lib)]);
        let found = negations.iter().any(|found| found.starts_with("negation_can_fail"));
        assert_eq!(found, finds, "{module}: {negations:?}");
    }
}

/// Without the identity's being there `input.identity.kind` is not either.
#[test]
fn members_of_the_identity_may_be_absent_for_callers_without_one() {
    let module = "decision := {\"allow\": true} if {\n\tnot input.identity.kind == \"agent\"\n}";
    assert_eq!(found(module), ["negation_can_fail:3"]);
    for guard in ["input.identity != null", "input.identity.id"] {
        let module = format!(
            "decision := {{\"allow\": true}} if {{\n\tnot input.identity.kind == \"agent\"\n\t{guard}\n}}"
        );
        assert!(found(&module).is_empty(), "{guard}");
    }
}

#[test]
fn an_else_is_the_negation_of_what_stands_before_it() {
    let module = "decision := {\"allow\": false} if to_number(input.request.query.n[0]) > 1\nelse := {\"allow\": true} if input.identity.id";
    assert_eq!(found(module), ["negation_can_fail:2"]);
    let module =
        "decision := {\"allow\": false} if input.time > 1\nelse := {\"allow\": true} if input.identity.id";
    assert!(found(module).is_empty());
}

/// In what a decision answers, and in the form of OPA's plugin for Envoy, whose input is another.
#[test]
fn results_and_other_inputs_have_negations_too() {
    for (value, rules, finds) in [
        ("{\"allow\": ok}", "default ok := true\nok := false if input.identity.claims.bad", true),
        ("{\"allow\": ok}", "default ok := true\nok := false if input.time > 1", false),
        ("{\"allow\": ok}", "default ok := false\nok if input.identity.claims.good", false),
        ("{\"allow\": count(deny) == 0}", "deny contains 1 if input.identity.claims.bad", true),
        ("{\"allow\": count(good) > 0}", "good contains 1 if input.identity.claims.good", false),
        (
            "{\"allow\": true, \"reason\": why}",
            "default why := \"none\"\nwhy := \"bad\" if input.identity.claims.bad",
            false,
        ),
    ] {
        let module = format!("decision := {value} if input.identity.id\n{rules}\n");
        let found = found(&module);
        assert_eq!(found.contains(&"negation_can_fail:2".to_owned()), finds, "{module}: {found:?}");
    }
    for (rules, finds) in [
        ("allow if not input.attributes.request.http.method == \"DELETE\"", false),
        ("allow if not input.attributes.request.http.headers[\"x-a\"] == \"b\"", true),
        ("allow if not \"admin\" in input.parsed_path", false),
        ("allow if not input.everycall.identity.kind == \"agent\"", true),
        (
            "allow if { input.everycall.identity != null; not input.everycall.identity.kind == \"agent\" }",
            false,
        ),
        // Members of our own input, and not of this one.
        ("allow if not night\nnight if input.clock.hour < 6", true),
        ("allow if not night\nnight if input.everycall.clock.hour < 6", false),
    ] {
        let module = format!("package envoy.authz\n{rules}\n");
        let mut document = document(&[("a.rego", &module)], false);
        document["bundle"]["inline"]["grants"][0]["policy"] = json!("envoy");
        document["bundle"]["inline"]["rule_sets"] = json!({"envoy": {"input_format": "opa-envoy"}});
        let found = lint(&document, NOW);
        let found: Vec<&str> = found.iter().map(|finding| finding.code).collect();
        assert_eq!(found.contains(&"negation_can_fail"), finds, "{module}: {found:?}");
    }
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
        ("{\"allow\": true, \"obligations\": {\"step_up\": {}}}", None),
        ("{\"allow\": true, \"obligations\": {\"mask\": {}}}", Some("unknown_obligation:2")),
    ] {
        assert_eq!(found(&rule(value)).first().map(String::as_str), finds, "{value}");
    }
    assert_eq!(found("default decision := {\"allow\": true}\n"), ["default_allow:2"]);
    for nothing in ["{\"allow\": false}", "{}", "false"] {
        assert!(found(&format!("default decision := {nothing}\n")).is_empty(), "{nothing}");
    }
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

#[test]
fn grants_can_match() {
    let paths = |change: &dyn Fn(&mut Value)| {
        let mut document = document(
            &[("a.rego", "package everycall\ndecision := {\"allow\": true} if input.identity.id\n")],
            false,
        );
        change(&mut document);
        let findings = lint(&document, NOW);
        findings
            .iter()
            .map(|f| format!("{} {}", f.code, f.place.trim_start_matches("bundle.inline.")))
            .collect::<Vec<_>>()
    };
    let grant = |name: &'static str, value: Value| {
        paths(&move |document| document["bundle"]["inline"]["grants"][0][name] = value.clone())
    };
    assert!(paths(&|_| {}).is_empty());
    for (name, value, finds) in [
        ("valid_until", json!("2020-01-01T00:00:00Z"), "grant_expired grants[0].valid_until"),
        ("issuer", json!("https://other.example"), "grant_never_matches grants[0].issuer"),
        ("kinds", json!(["workload", "human"]), "grant_never_matches grants[0].kinds[1]"),
        ("subject", json!("spiffe://shop.example/a"), "grant_never_matches grants[0].subject"),
        (
            "subject_prefix",
            json!("spiffe://shop.example/ns/"),
            "grant_never_matches grants[0].subject_prefix",
        ),
        ("requires_binding", json!("certificate"), "grant_never_matches grants[0].requires_binding"),
        ("paths", json!(["/a;b"]), "grant_never_matches grants[0].paths[0]"),
        ("paths", json!(["/a", "*"]), "grant_never_matches grants[0].paths[1]"),
        ("paths", json!(["/a/{x}/c", "/a/{y}/c"]), "shadowed_path grants[0].paths[1]"),
        ("paths", json!(["/a/{x...}", "/a/{y...}"]), "shadowed_path grants[0].paths[1]"),
        ("owner", json!(" TODO "), "missing_owner grants[0].owner"),
        ("owner", json!("-"), "missing_owner grants[0].owner"),
    ] {
        assert_eq!(grant(name, value.clone()), [finds], "{name}: {value}");
    }
    for (name, value) in [
        ("valid_until", json!("2126-01-01T00:00:00Z")),
        ("issuer", json!("https://id.example")),
        ("subject", json!("spiffe-not:shop")),
        ("requires_binding", json!("dpop")),
        ("requires_binding", json!("any")),
        ("valid_until", json!("2026-09-21T14:13:21Z")),
        ("valid_from", json!("2126-01-01T00:00:00Z")),
        ("owner", json!("todo-team@shop.example")),
        ("owner", json!("x-ray team")),
        ("paths", json!(["/a/{x}", "/a/b", "/a/{x...}", "/a/{x}/"])),
        ("owner", json!("nobody-in-particular@shop.example")),
    ] {
        assert!(grant(name, value.clone()).is_empty(), "{name}: {value}");
    }
    // What else there is makes it possible, or not.
    for (name, value, grant, finds) in [
        ("mtls", json!({"trust_domains": ["d"]}), json!({"requires_binding": "certificate"}), None),
        (
            "credentials",
            json!([{"header": "x"}]),
            json!({"requires_binding": "dpop"}),
            Some("requires_binding"),
        ),
        (
            "credentials",
            json!([{"header": "x"}]),
            json!({"requires_binding": "any"}),
            Some("requires_binding"),
        ),
        (
            "credentials",
            json!([{"header": "x", "scheme": "dpop"}]),
            json!({"requires_binding": "dpop"}),
            None,
        ),
        ("api_keys", json!([{"subject": "s"}]), json!({"kinds": ["legacy"]}), None),
        ("api_keys", json!([{"subject": "t"}]), json!({"kinds": ["legacy"]}), Some("subject")),
        ("api_keys", json!([{"subject": "t"}]), json!({"kinds": ["legacy", "workload"]}), None),
        ("api_keys", json!([{"subject": "t"}]), json!({"issuer": "api_keys"}), Some("kinds[0]")),
        ("mtls", json!({"trust_domains": ["d"]}), json!({"issuer": "spiffe://d"}), Some("kinds[0]")),
        ("mtls", json!({"trust_domains": ["d"], "kind": "workload"}), json!({"issuer": "spiffe://d"}), None),
        ("mtls", json!({"trust_domains": ["d"], "kind": "agent"}), json!({"kinds": ["agent"]}), None),
    ] {
        let found = paths(&|document| {
            document[name] = value.clone();
            let members = document["bundle"]["inline"]["grants"][0].as_object_mut().unwrap();
            members.extend(grant.as_object().unwrap().clone());
        });
        let finds: Vec<_> =
            finds.map(|at| format!("grant_never_matches grants[0].{at}")).into_iter().collect();
        assert_eq!(found, finds, "{name}: {value}: {grant}");
    }
    let star = |methods: Value| {
        paths(&|document| {
            document["bundle"]["inline"]["grants"][0]["paths"] = json!(["*"]);
            document["bundle"]["inline"]["grants"][0]["methods"] = methods.clone();
        })
    };
    assert!(star(json!(["GET", "OPTIONS"])).is_empty() && star(json!(["CONNECT"])).is_empty());
    let trusted = paths(&|document| {
        document["issuers"][0]["trust_domains"] = json!(["shop.example"]);
        document["bundle"]["inline"]["grants"][0]["subject"] = json!("spiffe://shop.example/a");
    });
    assert!(trusted.is_empty(), "{trusted:?}");
    let two = |change: &dyn Fn(&mut Value)| {
        paths(&|document| {
            let grants = &mut document["bundle"]["inline"]["grants"];
            let mut second = grants[0].clone();
            second["id"] = json!("h");
            change(&mut second);
            grants.as_array_mut().unwrap().push(second);
        })
    };
    assert_eq!(two(&|_| {}), ["shadowed_path grants[1].paths[0]"]);
    for (name, value) in [
        ("methods", json!(["GET", "POST"])),
        ("subject", json!("other")),
        ("hosts", json!(["i"])),
        ("paths", json!(["/y"])),
        ("delegation", json!({})),
    ] {
        assert!(two(&|second| second[name] = value.clone()).is_empty(), "{name}");
    }
}

#[test]
fn a_broader_path_that_lets_others_in_is_said() {
    let lints = |narrow: Value, wide: Value| -> Vec<String> {
        let mut document = document(&[], false);
        let mut grants = Vec::new();
        for (id, change) in [("narrow", narrow), ("wide", wide)] {
            let mut grant = json!({"id": id, "owner": "team@shop.example", "purpose": "p", "kinds": ["workload"],
                "hosts": ["h"], "methods": ["GET"]});
            grant.as_object_mut().unwrap().extend(change.as_object().unwrap().clone());
            grants.push(grant);
        }
        document["bundle"]["inline"]["grants"] = json!(grants);
        let found = lint(&document, NOW).into_iter().filter(|finding| finding.code == "path_opened");
        found.map(|finding| format!("{} {}", finding.place, finding.message)).collect()
    };
    let role = |role: &str| json!({"role": role});
    let anybody = json!({"iss": "https://id.example"});
    let opened = |narrow: &[&str], wide: &[&str]| {
        !lints(
            json!({"claims": role("admin"), "issuer": "https://id.example", "paths": narrow}),
            json!({"claims": anybody, "issuer": "https://id.example", "paths": wide}),
        )
        .is_empty()
    };
    for (narrow, wide) in [
        ("/admin", "/{rest...}"),
        ("/admin/", "/{rest...}"),
        ("/admin/", "/admin/{rest...}"),
        ("/admin/{rest...}", "/{rest...}"),
        ("/admin/users", "/admin/{x}"),
        ("/admin/users/{id}", "/{area}/users/{id}"),
        ("/admin/{x}", "/admin/{rest...}"),
    ] {
        assert!(opened(&[narrow], &[wide]), "{narrow} {wide}");
        assert!(!opened(&[wide], &[narrow]), "{wide} {narrow}");
    }
    for (narrow, wide) in [
        ("/", "/{rest...}"),
        ("/admin", "/admin"),
        ("/admin/{x}", "/admin/{y}"),
        ("/admin/", "/admin/{x}"),
        ("/admin", "/admin/{rest...}"),
        ("/admin/a/b", "/admin/{x}"),
        ("/admins", "/admin/{rest...}"),
        ("*", "/{rest...}"),
    ] {
        assert!(!opened(&[narrow], &[wide]), "{narrow} {wide}");
    }
    // Hosts that some call has in common.
    let on = |narrow: &str, wide: &str| {
        let grant = |role: Value, host: &str, path: &str| json!({"claims": role, "issuer": "https://id.example", "hosts": [host], "paths": [path]});
        lints(grant(role("admin"), narrow, "/admin"), grant(anybody.clone(), wide, "/{rest...}")).len()
    };
    for (narrow, wide) in [
        ("h:8080", "h:*"),
        ("h:*", "h:8080"),
        ("h", "h:*"),
        ("h:*", "h"),
        ("[::1]", "[::1]:*"),
        ("h:*", "h:*"),
    ] {
        assert_eq!(on(narrow, wide), 1, "{narrow} {wide}");
    }
    for (narrow, wide) in [("h", "h:8080"), ("h:80", "h:8080"), ("hh", "h:*"), ("[::1]", "[::2]:*")] {
        assert_eq!(on(narrow, wide), 0, "{narrow} {wide}");
    }
    // A grant that asks for more, whose path falls to another one for the same callers in another spelling.
    let falls = |hosts: Value, narrow: Value, wide: Value| {
        let mut document = document(&[], false);
        document["hosts"] = hosts;
        let grant = |id: &str, change: Value| {
            let mut grant = json!({"id": id, "owner": "team@shop.example", "purpose": "p", "kinds": ["workload"],
                "subject": "s", "hosts": ["h"], "methods": ["GET"]});
            grant.as_object_mut().unwrap().extend(change.as_object().unwrap().clone());
            grant
        };
        document["bundle"]["inline"]["grants"] = json!([grant("narrow", narrow), grant("wide", wide)]);
        let found = lint(&document, NOW);
        found.iter().filter(|finding| finding.code == "path_variant").count()
    };
    let strict = |path: &str| json!({"paths": [path], "requires_elevation": true});
    let lax = |path: &str| json!({"paths": [path]});
    assert_eq!(falls(json!({}), strict("/margins/{rest...}"), lax("/{rest...}")), 1);
    assert_eq!(
        falls(json!({}), json!({"paths": ["/margins"], "requires_binding": "dpop"}), lax("/{area}")),
        1
    );
    for other in [json!({"policy": "p"}), json!({"sensitivity": "high"})] {
        let mut narrow = other.clone();
        narrow["paths"] = json!(["/margins"]);
        assert_eq!(falls(json!({}), narrow, lax("/{rest...}")), 1, "{other}");
    }
    for (hosts, narrow, wide) in [
        (json!({"h": {}}), strict("/margins/{rest...}"), lax("/{rest...}")),
        (json!({"h": {"path_case": "fold"}}), strict("/margins/{rest...}"), lax("/{rest...}")),
        (json!({"h:*": {}}), strict("/margins/{rest...}"), lax("/{rest...}")),
        (json!({}), lax("/margins"), json!({"paths": ["/{rest...}"], "requires_binding": "any"})),
        (json!({}), strict("/margins/{rest...}"), strict("/{rest...}")),
        (json!({}), lax("/margins/{rest...}"), lax("/{rest...}")),
        (json!({}), lax("/margins/{rest...}"), strict("/{rest...}")),
        (json!({}), strict("/margins/{rest...}"), lax("/other/{rest...}")),
        (json!({}), strict("/{a}/{rest...}"), lax("/{rest...}")),
        (json!({}), strict("/margins"), json!({"paths": ["/{rest...}"], "subject": "other"})),
        (json!({}), strict("/margins"), json!({"paths": ["/{rest...}"], "methods": ["PUT"]})),
        (json!({}), strict("/margins"), json!({"paths": ["/{rest...}"], "hosts": ["i"]})),
    ] {
        assert_eq!(falls(hosts.clone(), narrow.clone(), wide.clone()), 0, "{hosts} {narrow} {wide}");
    }
    // Whom they choose.
    let by = |narrow: Value, wide: Value| {
        let with = |mut grant: Value, path: &str| {
            grant["paths"] = json!([path]);
            grant
        };
        lints(with(narrow, "/admin"), with(wide, "/{rest...}")).len()
    };
    let claims = |claims: Value| json!({"claims": claims, "issuer": "https://id.example"});
    let prefix = |prefix: &str| json!({"subject_prefix": prefix});
    let subject = |subject: &str| json!({"subject": subject});
    for (narrow, wide) in [
        (claims(role("admin")), claims(role("user"))),
        (claims(json!({"role": "admin", "team": "a"})), claims(role("admin"))),
        (subject("spiffe://d/ns/a"), prefix("spiffe://d/ns/")),
        (prefix("spiffe://d/ns/a/"), prefix("spiffe://d/ns/")),
        (subject("spiffe://d/ns/a"), json!({"subject": "anonymous", "kinds": []})),
        (claims(role("admin")), json!({"subject": "anonymous", "kinds": []})),
    ] {
        assert_eq!(by(narrow.clone(), wide.clone()), 1, "{narrow} {wide}");
    }
    for (narrow, wide) in [
        (claims(role("admin")), claims(role("admin"))),
        (claims(role("admin")), claims(json!({"role": "admin", "team": "a"}))),
        (claims(role("admin")), json!({"claims": anybody, "issuer": "https://other.example"})),
        (
            claims(role("admin")),
            json!({"claims": anybody, "issuer": "https://id.example", "kinds": ["human"]}),
        ),
        (
            claims(role("admin")),
            json!({"claims": anybody, "issuer": "https://id.example", "methods": ["PUT"]}),
        ),
        (claims(role("admin")), json!({"claims": anybody, "issuer": "https://id.example", "hosts": ["i"]})),
        (subject("a"), subject("a")),
        (subject("a"), subject("b")),
        (subject("spiffe://d/nsa"), prefix("spiffe://d/ns/")),
        (prefix("spiffe://d/ns/"), prefix("spiffe://d/ns/")),
        (json!({"subject": "anonymous", "kinds": []}), json!({"subject": "anonymous", "kinds": []})),
        (json!({"subject": "anonymous", "kinds": []}), claims(anybody.clone())),
    ] {
        assert_eq!(by(narrow.clone(), wide.clone()), 0, "{narrow} {wide}");
    }
    // What is excepted is not opened.
    for (except, opened) in [
        (json!(["/admin", "/admin/{rest...}"]), 0),
        (json!(["/{x}"]), 0),
        (json!(["/{rest...}"]), 0),
        (json!(["/admin/{rest...}"]), 1),
        (json!(["/admin/", "/Admin"]), 1),
    ] {
        let mut wide = claims(anybody.clone());
        wide["except"] = except.clone();
        assert_eq!(by(claims(role("admin")), wide), opened, "{except}");
    }
}
