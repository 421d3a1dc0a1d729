//! Results that are refused whatever the call, and those that may be fine.

use super::*;

fn reasons(text: &str, opa: bool) -> Vec<String> {
    let module = format!("package {}\n{text}\n", if opa { "envoy.authz" } else { "everycall" });
    let mut document = document(&[("a.rego", &module)], false);
    if opa {
        document["bundle"]["inline"]["grants"][0]["policy"] = json!("envoy");
        document["bundle"]["inline"]["rule_sets"] = json!({"envoy": {"input_format": "opa-envoy"}});
    }
    let mut found = lint(&document, NOW);
    found.retain(|finding| finding.code == "decision_never_valid");
    let why = |finding: &Finding| finding.message.split_once(": ").map(|(_, why)| why.to_owned());
    found.iter().filter_map(why).collect()
}

#[test]
fn a_decision_that_is_none_is_found() {
    for (rule, why) in [
        ("decision := true if input.identity.id", "`decision` is not an object"),
        ("decision if input.identity.id", "`decision` is not an object"),
        ("decision := \"allow\"", "`decision` is not an object"),
        ("decision contains \"allow\" if input.identity.id", "`decision` is not an object"),
        ("default decision := false", "`decision` is not an object"),
        ("default decision := {}", "`decision` has no boolean `allow`"),
        ("decision := {\"reason\": \"a\"} if input.identity.id", "`decision` has no boolean `allow`"),
        (
            "decision := {\"allowed\": true} if input.identity.id",
            "`decision` holds \"allowed\" of an unknown name",
        ),
        (
            "decision := {\"allow\": input.time > 1, \"reasons\": input.identity.id}",
            "`decision` holds \"reasons\"",
        ),
        ("decision := {\"allow\": false, \"reason\": \"not on the list\"}", "`reason` is no code"),
        ("decision := {\"allow\": false, \"reason\": \"Upper\"}", "`reason` is no code"),
        ("decision := {\"allow\": false, \"reason\": [\"a\"]}", "`reason` is no code"),
        ("decision := {\"allow\": false} if input.time > 1\nelse := true", "`decision` is not an object"),
    ] {
        let found = reasons(rule, false);
        assert!(found.len() == 1 && found[0].starts_with(why), "{rule}: {found:?}");
    }
    for rule in [
        "decision := {\"allow\": false, \"reason\": \"not_listed\"}",
        "decision := {\"allow\": input.time > 1, \"reason\": why}\nwhy := \"whatever it says\"",
        "decision := {\"allow\": true, \"reason\": sprintf(\"%v\", [input.time])} if input.identity.id",
        "decision := result\nresult := true",
        "decision := object.union({\"allow\": true}, extra) if input.identity.id\nextra := {\"a\": 1}",
        "decision := {\"allow\": true, input.identity.id: 1} if input.identity.id",
        "decision[\"allow\"] := true if input.identity.id\ndecision[\"reason\"] := \"a\"",
        "decision.allow := true if input.identity.id",
        // A lint of its own.
        "decision := {\"allow\": \"true\"} if input.identity.id",
        "decision := {\"allow\": true, \"obligations\": {\"mask\": {}}} if input.identity.id",
        // Not what decides.
        "decision := {\"allow\": true} if { input.identity.id; other }\nother := true",
    ] {
        assert!(reasons(rule, false).is_empty(), "{rule}: {:?}", reasons(rule, false));
    }
}

#[test]
fn obligations_that_can_never_be_valid_are_found() {
    let rule = |allow: &str, obligations: &str| {
        format!("decision := {{\"allow\": {allow}, \"obligations\": {obligations}}} if input.identity.id")
    };
    for (allow, obligations, why) in [
        ("false", "{\"response\": {\"status\": 200}}", "obligation `response`: 200 is not one of"),
        ("false", "{\"response\": {\"status\": 404, \"body\": 1}}", "obligation `response`: `body`"),
        ("true", "{\"response\": {\"status\": 404}}", "obligation `response`: makes no sense for an allow"),
        ("false", "{\"step_up\": {}}", "obligation `step_up`: expected `acr_values`"),
        ("false", "{\"step_up\": {\"acr\": input.time}}", "obligation `step_up`: unknown field `acr`"),
        (
            "true",
            "{\"request_headers\": {\"set\": {\"X-User\": input.identity.id}}}",
            "obligation `request_headers`: `X-User` is not a header name",
        ),
        (
            "true",
            "{\"request_headers\": {\"set\": {\"x-user\": 1}}}",
            "obligation `request_headers`: invalid type",
        ),
        (
            "true",
            "{\"request_headers\": {\"x-user\": input.identity.id}}",
            "obligation `request_headers`: unknown field `x-user`",
        ),
        (
            "true",
            "{\"request_headers\": {\"remove\": [\"authorization\"]}}",
            "obligation `request_headers`: the header `authorization`",
        ),
        ("true", "{\"max_stream_s\": 0}", "obligation `max_stream_s`: expected a whole number"),
        ("true", "{\"max_stream_s\": \"60\"}", "obligation `max_stream_s`: expected a whole number"),
        ("true", "[\"step_up\"]", "`decision` holds \"obligations\" of an unknown name or form"),
        // For neither outcome.
        (
            "input.time > 1",
            "{\"max_stream_s\": 60, \"response\": {\"status\": 404}}",
            "obligation `response`: makes no sense for an allow",
        ),
    ] {
        let found = reasons(&rule(allow, obligations), false);
        assert!(found.len() == 1 && found[0].starts_with(why), "{obligations}: {found:?}");
    }
    for (allow, obligations) in [
        ("false", "{\"response\": {\"status\": 404, \"body\": {\"status\": input.time}}}"),
        ("false", "{\"response\": {\"status\": input.time, \"body\": input.identity.id}}"),
        ("input.time > 1", "{\"response\": {\"status\": 404}}"),
        ("input.time > 1", "{\"max_stream_s\": 60}"),
        ("false", "{\"step_up\": {\"acr_values\": [input.identity.id]}}"),
        ("false", "{\"step_up\": {\"max_age\": input.time, \"scope\": input.identity.id}}"),
        ("false", "{\"step_up\": wanted}"),
        ("true", "wanted"),
        ("true", "{\"request_headers\": {\"set\": {\"x-user\": input.identity.id, \"status\": input.identity.id}}}"),
        ("true", "{\"request_headers\": {\"set\": {input.identity.id: \"a\"}, \"remove\": [input.identity.id]}}"),
        ("true", "{\"request_headers\": {\"remove\": {\"x-a\", \"x-b\"}}, \"response_headers\": wanted}"),
        ("true", "{\"max_stream_s\": input.time - 5}"),
    ] {
        let module = format!("{}\nwanted := {{\"x\": input.time}}", rule(allow, obligations));
        assert!(reasons(&module, false).is_empty(), "{obligations}: {:?}", reasons(&module, false));
    }
}

#[test]
fn the_form_of_opa_has_results_of_its_own() {
    for (rule, why) in [
        ("allow := \"yes\" if input.everycall.identity.id", "the result is neither a boolean nor an object"),
        ("allow := {\"allow\": true} if input.everycall.identity.id", "the result has no boolean `allowed`"),
        (
            "allow := {\"allowed\": \"true\"} if input.everycall.identity.id",
            "the result has no boolean `allowed`",
        ),
        (
            "allow := {\"allowed\": true, \"header\": {}} if input.everycall.identity.id",
            "`header` in the result is not known",
        ),
        ("allow := {\"allowed\": false, \"http_status\": 401}", "obligation `response`: 401 is not one of"),
        ("default allow := {\"allowed\": false, \"http_status\": \"403\"}", "`http_status` in the result"),
        (
            "allow := {\"allowed\": true, \"headers\": {\"x user\": input.everycall.identity.id}}",
            "obligation `request_headers`: `x user` is not a header name",
        ),
        (
            "allow := {\"allowed\": true, \"headers\": {\"x-forwarded-for\": \"a\"}}",
            "obligation `request_headers`: the header `x-forwarded-for`",
        ),
        (
            "allow := {\"allowed\": true, \"dynamic_metadata\": input.everycall.identity}",
            "obligation `dynamic_metadata`",
        ),
    ] {
        let found = reasons(rule, true);
        assert!(found.len() == 1 && found[0].starts_with(why), "{rule}: {found:?}");
    }
    for rule in [
        "default allow := false",
        "allow if input.everycall.identity.id",
        "allow := {\"allowed\": true, \"headers\": {\"X-User\": input.everycall.identity.id}}",
        "allow := {\"allowed\": false, \"headers\": {\"x-a\": [\"a\", input.everycall.identity.id]}, \"body\": input.parsed_path[0], \"http_status\": 404}",
        "allow := {\"allowed\": input.everycall.time > 1, \"dynamic_metadata\": {\"a\": 1}}",
        "allow := {\"allowed\": true, \"headers\": wanted, \"request_headers_to_remove\": names}\nwanted := {}\nnames := []",
    ] {
        assert!(reasons(rule, true).is_empty(), "{rule}: {:?}", reasons(rule, true));
    }
}
