//! Refusals that are passed on in the first days of a route, and those that are not.

use everycall_core::{Decision, Layer, Reason, Reply, UnixTime, Verdict};
use serde_json::{json, Value};

use super::{asks, configuration, done, engine, get, later, reason, request, settings, token, NOW};

/// Everything on the host `h` is observed until then; `/no` refuses with obligations.
fn observed(until: UnixTime) -> Value {
    let mut config = configuration();
    config["observe"] = json!({"hosts": ["h"], "paths": ["/{rest...}"], "until": until.to_string()});
    let bundle = &mut config["bundle"]["inline"];
    bundle["policies"]["no.rego"] = json!(
        "package everycall.no\ndecision := {\"allow\": false, \"obligations\": \
        {\"response\": {\"status\": 404}, \"response_headers\": {\"set\": {\"x-a\": \"b\"}}}}"
    );
    let mut grant = bundle["grants"][0].clone();
    (grant["id"], grant["policy"], grant["paths"]) = (json!("no"), json!("no"), json!(["/no"]));
    bundle["grants"].as_array_mut().unwrap().push(grant);
    config
}

fn decided(config: &Value, path: &str) -> Decision {
    done(engine(config).check(request(1, path, &token(60)), NOW))
}

#[test]
fn a_refusal_that_is_passed_on_says_so() {
    let decision = decided(&observed(later(60)), "/no");
    let record = decision.record;
    assert_eq!(
        (record.decision, record.reason, record.status),
        (Verdict::Allow, Some(Reason::Observed), 200)
    );
    assert_eq!((record.layer, record.detail), (Layer::Policy, None));
    let would = record.would_refuse.unwrap();
    assert_eq!((would.reason, would.status, would.layer), (Reason::PolicyDenied, 404, Layer::Policy));
    assert!(would.detail.unwrap().contains("the policy says no"));
    assert!(record.obligations.is_empty(), "nothing is done");
    let permit = decision.verdict.unwrap();
    let set: Vec<(&str, &str)> = permit.headers_to_set().collect();
    assert!(set.contains(&("x-everycall-observed", "policy_denied")));
    assert!(set.contains(&("x-everycall-identity", "s")), "who was verified is known");
    assert!(set.contains(&("x-envoy-upstream-stream-duration-ms", "60000")));
    assert!(!set.iter().any(|(name, _)| *name == "x-everycall-grant"));
    assert!(permit.into_parts().0.is_empty());
}

#[test]
fn an_observed_request_has_no_identity_that_was_not_verified() {
    let nobody = get(1, "/ask", &[("x-everycall-identity", "root"), ("x_everycall_kind", "human")]);
    let decision = done(engine(&observed(later(60))).check(nobody, NOW));
    assert_eq!(decision.record.would_refuse.unwrap().reason, Reason::CredentialMissing);
    let permit = decision.verdict.unwrap();
    assert_eq!(permit.headers_to_remove(), ["x-everycall-identity", "x_everycall_kind"]);
    let names: Vec<&str> = permit.headers_to_set().map(|(name, _)| name).collect();
    assert_eq!(
        names,
        ["x-everycall-decision-id", "x-envoy-upstream-stream-duration-ms", "x-everycall-observed"]
    );
}

#[test]
fn observing_ends_on_time_and_never_begins_with_an_end_too_far_away() {
    let days = |days: i64| later(days * 86_400);
    for (until, expected) in [
        (later(1), Reason::Observed),
        (NOW, Reason::PolicyDenied),
        (later(-1), Reason::PolicyDenied),
        (days(30), Reason::Observed),
        (later(30 * 86_400 + 1), Reason::PolicyDenied),
        (days(3_650), Reason::PolicyDenied),
    ] {
        let config = observed(until);
        let reason = decided(&config, "/no").record.reason.unwrap();
        assert_eq!(reason, expected, "{until}");
        assert_eq!(settings(&config).check_at(NOW).is_err(), until > days(30), "{until}");
    }
}

#[test]
fn a_request_that_waited_past_the_end_is_refused() {
    for (at, expected) in [(9, Reason::Observed), (10, Reason::PdpDenied)] {
        let mut engine = engine(&observed(later(10)));
        let (_, pending) = asks(engine.check(request(1, "/ask", &token(60)), NOW));
        let no = vec![Reply::http(200, br#"{"decision":false}"#)];
        assert_eq!(reason(engine.resume(pending, no, later(at))), expected, "{at}");
    }
}

/// What is wrong with the credential, or with ourselves, is never passed on, however late it shows.
#[test]
fn what_is_wrong_is_refused_in_the_first_days_too() {
    let mut engine = engine(&observed(later(3_600)));
    let (_, pending) = asks(engine.check(request(1, "/ask", &token(60)), NOW));
    assert_eq!(reason(engine.resume(pending, Vec::new(), later(60))), Reason::TokenExpired);

    let mut config = observed(later(3_600));
    config["limits"] = json!({"max_pending": 0});
    let mut engine = self::engine(&config);
    assert_eq!(reason(engine.check(request(1, "/ask", &token(60)), later(61))), Reason::TokenExpired);
    assert_eq!(reason(engine.check(request(1, "/ask", &token(600)), later(61))), Reason::Overloaded);
    assert_eq!(reason(engine.check(request(1, "/a//b", &token(600)), later(61))), Reason::PathAmbiguous);
    assert_eq!(reason(engine.check(request(1, "/ask", "Bearer x"), later(61))), Reason::TokenMalformed);
}

#[test]
fn an_observed_decision_is_the_same_when_it_is_made_again() {
    let config = observed(later(60));
    for path in ["/no", "/none"] {
        let record = decided(&config, path).record;
        let again = engine(&config).replay(&record).record;
        assert_eq!(
            (again.reason, &again.would_refuse),
            (Some(Reason::Observed), &record.would_refuse),
            "{path}"
        );
        // Under a configuration that does not observe it is what it would have been.
        let again = engine(&configuration()).replay(&record).record;
        assert_eq!(again.decision, Verdict::Deny, "{path}");
    }
}
