//! Negations over what can fail, and those of what is sure.

use super::*;

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
