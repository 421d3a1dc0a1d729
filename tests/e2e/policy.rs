//! Policies that say nothing, say it wrongly, or take too long.

use crate::requests::{get, with_policy};
use crate::world::World;

/// The outcome of a request to a policy with this body.
fn decided(rego: &str) -> (u16, String) {
    let world = World::with(&with_policy("t", rego));
    let seen = world.send("only", &get("t", "/t/a?n=zz"));
    assert!(seen.upstream.is_empty() || seen.response.status == 200);
    world.assert_no_crash();
    (seen.response.status, seen.reason().to_owned())
}

fn refused(reason: &str) -> (u16, String) {
    (403, reason.to_owned())
}

#[test]
fn policy_undefined() {
    assert_eq!(
        decided("decision := {\"allow\": true} if input.request.query.absent"),
        refused("policy_undefined")
    );
}

#[test]
fn policy_conflict() {
    for rego in [
        "decision := {\"allow\": true} if true\ndecision := {\"allow\": false} if true",
        "decision := {\"allow\": v} if some v in [true, false]",
        "default decision := {\"allow\": true}\ndecision := {\"allow\": f(1)}\nf(_) := true\nf(n) := false if n == 1",
        "decision := {\"allow\": true} if not m.a\nm[\"a\"] := v if some v in [true, false]",
    ] {
        assert_eq!(decided(rego), refused("policy_error"), "{rego}");
    }
}

#[test]
fn policy_wrong_type() {
    for decision in [
        "true",
        "\"allow\"",
        "1",
        "[true]",
        "{\"allow\": \"true\"}",
        "{\"allow\": 1}",
        "{\"allow\": null}",
        "{}",
    ] {
        assert_eq!(decided(&format!("decision := {decision}")), refused("policy_result"), "{decision}");
    }
}

#[test]
fn policy_unknown_key() {
    assert_eq!(decided("decision := {\"allow\": true, \"alow\": true}"), refused("policy_result"));
    assert_eq!(
        decided("decision := {\"allow\": true, \"reason\": \"Not A Code\"}"),
        refused("policy_result")
    );
    assert_eq!(
        decided("decision := {\"allow\": true, \"obligations\": {\"x\": 1}}"),
        refused("obligation_unknown")
    );
}

#[test]
fn policy_work_too_large() {
    let four = |n: usize| format!("t{n} := concat(\"\", [t{0}, t{0}, t{0}, t{0}])\n", n - 1);
    let text = format!(
        "t0 := \"x\"\n{}decision := {{\"allow\": true}} if not contains(t19, \"y\")",
        (1..20).map(four).collect::<String>()
    );
    let world = World::with(&with_policy("t", &text));
    // The same worker serves the next request, and the one after that.
    for _ in 0..3 {
        let seen = world.send("only", &get("t", "/t/a"));
        assert_eq!((seen.response.status, seen.reason()), (403, "policy_limit"));
    }
    world.assert_no_crash();
}

#[test]
fn policy_too_long() {
    // About 40^4 steps, well past the limit.
    let digits = "[0,1,2,3,4,5,6,7,8,9,10,11,12,13,14,15,16,17,18,19,20,21,22,23,24,25,26,27,28,29,30,31,32,33,34,35,36,37,38,39]";
    let rego = format!(
        "n := {digits}\ndecision := {{\"allow\": true}} if count([1 | some a in n; some b in n; some c in n; some d in n; a + b + c + d > 0]) > 0"
    );
    let world = World::with(&with_policy("t", &rego));
    let seen = world.send("only", &get("t", "/t/a"));
    assert_eq!((seen.response.status, seen.reason()), (403, "policy_limit"), "{}", seen.line);
    // The worker serves the next request.
    assert_eq!(world.send("only", &get("orders.shop.example", "/healthz")).reason(), "allowed");
    world.assert_no_crash();
}

#[test]
fn input_too_big() {
    let mut config = with_policy("t", "decision := {\"allow\": true} if input.request.headers[\"x-large\"]");
    config["limits"] = serde_json::json!({"input_bytes": 1024});
    let world = World::with(&config);
    let mut request = get("t", "/t/a");
    request.headers.push(("x-large".into(), vec![b'a'; 500]));
    assert_eq!(world.send("only", &request).reason(), "allowed");
    request.headers[0].1 = vec![b'a'; 1_500];
    let seen = world.send("only", &request);
    assert_eq!((seen.response.status, seen.reason()), (403, "policy_limit"), "{}", seen.line);
}

#[test]
fn builtin_error_in_deny_rule() {
    // `to_number("zz")` is an error, which skips the rule: behind a type check it still denies.
    let guarded = "n := input.request.query.n[0]\n\
        numeric if regex.match(`^[0-9]+$`, n)\n\
        deny contains \"type\" if not numeric\n\
        deny contains \"large\" if to_number(n) > 10\n\
        decision := {\"allow\": true} if count(deny) == 0";
    assert_eq!(decided(guarded), refused("policy_undefined"));
}
