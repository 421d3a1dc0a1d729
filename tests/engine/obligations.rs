//! What permits and refusals carry of what a policy wants done.

use std::collections::BTreeSet;

use everycall_core::engine::Refusal;
use everycall_core::{Engine, Reason, Request};
use serde_json::{json, Value};

use super::{configuration, done, engine, get, reason, token, NOW};

/// Decides so for the subject `s` and for everybody.
fn obliged(result: Value) -> Engine {
    let mut config = configuration();
    let bundle = &mut config["bundle"]["inline"];
    bundle["policies"] = json!({"everycall.rego": "package everycall\ndecision := data.result"});
    bundle["data"] = json!({"result": result});
    let grant = json!({"id": "g", "owner": "o", "purpose": "p", "subject": "s", "kinds": ["workload"],
        "hosts": ["h"], "methods": ["GET"], "paths": ["/"]});
    let mut open = grant.clone();
    (open["id"], open["subject"], open["kinds"]) = (json!("open"), json!("anonymous"), json!([]));
    bundle["elevations"] = json!([]);
    bundle["grants"] = json!([grant, open]);
    engine(&config)
}

fn allow(obligations: Value) -> Engine {
    obliged(json!({"allow": true, "obligations": obligations}))
}

fn request(token: Option<&str>, headers: &[(&str, &str)]) -> Request {
    let token = token.map(|token| ("authorization", token));
    get(1, "/", &headers.iter().copied().chain(token).collect::<Vec<_>>())
}

/// How many milliseconds the stream may last.
fn duration(engine: &mut Engine, token: Option<&str>) -> Option<i64> {
    let permit = done(engine.check(request(token, &[]), NOW)).verdict.unwrap();
    let mut set = permit.headers_to_set();
    set.find(|(name, _)| *name == "x-envoy-upstream-stream-duration-ms").map(|(_, ms)| ms.parse().unwrap())
}

fn refusal(obligations: Value, token: Option<&str>) -> Refusal {
    let mut engine = obliged(json!({"allow": false, "obligations": obligations}));
    let decision = done(engine.check(request(token, &[]), NOW));
    let refusal = decision.verdict.unwrap_err().refusal();
    assert_eq!(decision.record.status, refusal.status);
    refusal
}

fn header<'r>(refusal: &'r Refusal, name: &str) -> Vec<&'r str> {
    refusal.headers.iter().filter(|(other, _)| other == name).map(|(_, value)| value.as_str()).collect()
}

#[test]
fn the_shorter_limit_of_a_stream_counts() {
    let minute = token(60);
    assert_eq!(duration(&mut allow(json!({"max_stream_s": 5})), Some(&minute)), Some(5_000));
    assert_eq!(duration(&mut allow(json!({"max_stream_s": 500})), Some(&minute)), Some(60_000));
    assert_eq!(duration(&mut allow(json!({})), Some(&minute)), Some(60_000));
    assert_eq!(duration(&mut allow(json!({"max_stream_s": 5})), None), Some(5_000));
    assert_eq!(duration(&mut allow(json!({})), None), Some(3_600_000));
}

#[test]
fn a_header_that_is_set_is_the_only_one_that_reads_like_it() {
    let changes = json!({"request_headers": {"set": {"x-tenant-id": "acme"}, "remove": ["x-debug"]}});
    let client = [
        ("x-tenant-id", "evil"),
        ("x_tenant_id", "evil"),
        ("x-tenant_id", "evil"),
        ("x_debug", "1"),
        ("x-debugger", "1"),
        ("x-everycall-identity", "root"),
    ];
    let decision = done(allow(changes.clone()).check(request(None, &client), NOW));
    let permit = decision.verdict.unwrap();
    let removed: BTreeSet<&str> = permit.headers_to_remove().iter().map(String::as_str).collect();
    let expected = ["x-everycall-identity", "x_debug", "x-debug", "x_tenant_id", "x-tenant_id"];
    assert_eq!(removed, BTreeSet::from(expected));
    assert!(permit.headers_to_set().any(|set| set == ("x-tenant-id", "acme")));
    assert_eq!(Value::Object(decision.record.obligations), changes);
}

#[test]
fn a_refusal_says_what_the_policy_chose_and_its_id() {
    let plain = refusal(json!({"response": {"status": 404}}), None);
    let body: Value = serde_json::from_slice(&plain.body).unwrap();
    assert_eq!((plain.status, &body["status"], &body["title"]), (404, &json!(404), &json!("Not Found")));
    assert_eq!(header(&plain, "content-type"), ["application/problem+json"]);

    let text = refusal(json!({"response": {"status": 451, "body": "<b>no</b>"}}), None);
    assert_eq!((text.status, text.body.as_slice()), (451, b"<b>no</b>".as_slice()));
    assert_eq!(header(&text, "content-type"), ["text/plain; charset=utf-8"]);
    assert_eq!(header(&text, "x-everycall-decision-id")[0].len(), 32);

    let chosen = json!({"response": {"status": 429, "body": {"a": 1}},
                        "response_headers": {"set": {"retry-after": "9"}}});
    let object = refusal(chosen, None);
    assert_eq!((object.status, object.body.as_slice()), (429, br#"{"a":1}"#.as_slice()));
    assert_eq!(header(&object, "content-type"), ["application/json"]);
    assert_eq!(header(&object, "retry-after"), ["9"]);
    assert_eq!(header(&object, "cache-control"), ["no-store"]);
}

#[test]
fn a_step_up_is_a_challenge() {
    let refusal = refusal(json!({"step_up": {"acr_values": ["a", "b"], "max_age": 60}}), Some(&token(60)));
    assert_eq!(refusal.status, 401);
    assert_eq!(
        header(&refusal, "www-authenticate"),
        [
            r#"Bearer realm="everycall", error="insufficient_user_authentication", acr_values="a b", max_age="60""#
        ]
    );
    let body: Value = serde_json::from_slice(&refusal.body).unwrap();
    assert_eq!(body["reason"], "step_up_required");
}

#[test]
fn two_rules_that_oblige_to_different_things_are_no_decision() {
    let mut config = configuration();
    let bundle = &mut config["bundle"]["inline"];
    let rule = |seconds: u32, condition: &str| {
        format!("decision := {{\"allow\": true, \"obligations\": {{\"max_stream_s\": {seconds}}}}} if {condition}\n")
    };
    bundle["policies"] = json!({"everycall.rego":
        format!("package everycall\n{}{}", rule(5, "true"), rule(6, "input.request.headers[\"x-a\"]"))});
    bundle["elevations"] = json!([]);
    bundle["grants"] = json!([{"id": "g", "owner": "o", "purpose": "p", "subject": "anonymous",
        "hosts": ["h"], "methods": ["GET"], "paths": ["/"]}]);
    let mut engine = engine(&config);
    assert_eq!(reason(engine.check(request(None, &[]), NOW)), Reason::Allowed);
    assert_eq!(reason(engine.check(request(None, &[("x-a", "b")]), NOW)), Reason::PolicyError);
}
