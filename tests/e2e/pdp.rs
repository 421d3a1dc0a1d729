//! A policy decision point that fails, in every way it can: never a pass. Here what AuthZEN answers; below,
//! each protocol against a server of it.

mod calls;
mod faults;
mod points;
mod waiting;

use std::collections::BTreeMap;
use std::net::TcpListener;
use std::sync::{Arc, LazyLock};
use std::time::Duration;

use everycall::cases::PdpAnswer;
use serde_json::{json, Value};

use crate::requests::{get, with_policy};
use crate::world::{Seen, World};

const QUESTION: &str = r#"{"action": {"name": "read"}, "resource": {"id": "r", "type": "t"}, "subject": {"id": "s", "type": "t"}}"#;

/// Asks one question and takes its yes, in the ways that policies do: the last segment says which.
fn policy() -> String {
    format!(
        r#"ask contains object.union({{"id": "q"}}, {QUESTION}) if true
        way := input.request.segments[1]
        decision := {{"allow": true, "reason": "yes"}} if {{ way == "plain"; input.pdp.q.decision }}
        decision := {{"allow": true, "reason": "not_no"}} if {{ way == "not"; not input.pdp.q.decision == false }}
        deny contains "no" if input.pdp.q.decision == false
        decision := {{"allow": true, "reason": "no_deny"}} if {{ way == "deny"; count(deny) == 0 }}
        decision := {{"allow": true, "reason": "every"}} if {{ way == "every"; every a in [input.pdp.q]; {{ object.get(a, "decision", true) }} }}
        decision := {{"allow": true, "reason": "none_refused"}} if {{ way == "comprehension"; count([a | some a in [input.pdp.q]; a.decision == false]) == 0 }}
        decision := {{"allow": true, "reason": "without", "without_pdp": true}} if {{ way == "without"; input.pdp.q.error }}"#
    )
    .replace("every a in [input.pdp.q]; {", "every a in [input.pdp.q] {")
}

static WORLD: LazyLock<Arc<World>> = LazyLock::new(|| World::with(&with_policy("t", &policy())));

/// Requests share the decision point's script: one at a time.
static TURN: std::sync::Mutex<()> = std::sync::Mutex::new(());

fn ask(way: &str, answer: PdpAnswer) -> Seen {
    let _turn = TURN.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
    let question: Value = serde_json::from_str(QUESTION).unwrap();
    WORLD.answer(BTreeMap::from([(question.to_string(), answer)]));
    let seen = WORLD.send("only", &get("t", &format!("/t/{way}")));
    assert_eq!(seen.upstream.len(), usize::from(seen.response.status == 200));
    WORLD.assert_no_crash();
    seen
}

fn http(status: u16, body: &str) -> PdpAnswer {
    PdpAnswer::Http { status, body: body.into() }
}

/// The answer fails the question, and with it every way to allow.
fn fails(answer: &PdpAnswer) {
    for way in ["plain", "not", "deny", "every", "comprehension"] {
        let seen = ask(way, answer.clone());
        assert_eq!(
            (seen.response.status, seen.reason()),
            (503, "pdp_unavailable"),
            "{way} {answer:?}: {}",
            seen.line
        );
        assert_eq!(seen.response.header("retry-after"), Some("1"));
    }
    assert_eq!(ask("without", answer.clone()).reason(), "allowed", "a rule may say that it can do without");
}

#[test]
fn a_yes_passes_and_a_no_does_not() {
    assert_eq!(ask("plain", PdpAnswer::Allow).reason(), "allowed");
    assert_eq!(ask("plain", PdpAnswer::Deny).reason(), "pdp_denied");
    assert_eq!(ask("without", PdpAnswer::Allow).reason(), "policy_undefined");
}

#[test]
fn pdp_refuses_connection() {
    // A port that nobody listens on any more.
    let nobody = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let config = with_policy("t", &policy());
    let mut document = crate::world::rendered(&config, WORLD.upstream.address(), nobody);
    document["static_resources"]["listeners"][0]["name"] = json!("refused");
    let envoy = crate::world::start_envoy(document.to_string(), 1).unwrap();
    let raw = everycall_tests::client::RawRequest {
        method: "GET".into(),
        path: b"/t/plain".to_vec(),
        headers: vec![("host".into(), b"t".to_vec())],
        body: Vec::new(),
    };
    let address = envoy.listener("refused").unwrap();
    let response =
        everycall_tests::client::send(address, [127, 0, 0, 1].into(), &raw, Duration::from_secs(10)).unwrap();
    let body: Value = serde_json::from_slice(&response.body).unwrap();
    assert_eq!((response.status, body["reason"].as_str()), (503, Some("pdp_unavailable")));
    fails(&PdpAnswer::Down);
}

#[test]
fn pdp_too_slow() {
    let seen = ask("plain", PdpAnswer::Timeout);
    assert_eq!((seen.response.status, seen.reason()), (503, "pdp_unavailable"), "{}", seen.line);
}

#[test]
fn pdp_status_500() {
    for status in [201, 204, 302, 400, 403, 500, 503] {
        let body = if status == 204 { "" } else { r#"{"decision":true}"# };
        let seen = ask("plain", http(status, body));
        assert_eq!(
            (seen.response.status, seen.reason()),
            (503, "pdp_unavailable"),
            "{status}: {}",
            seen.line
        );
    }
}

#[test]
fn pdp_body_empty() {
    fails(&http(200, ""));
}

#[test]
fn pdp_not_json() {
    for body in ["yes", "{", "{\"decision\":true", "{\"decision\":true}x", "\u{feff}{\"decision\":true}"] {
        assert_eq!(ask("not", http(200, body)).reason(), "pdp_unavailable", "{body}");
    }
}

#[test]
fn pdp_decision_is_text() {
    fails(&http(200, r#"{"decision":"true"}"#));
}

#[test]
fn pdp_duplicate_keys() {
    fails(&http(200, r#"{"decision":false,"decision":true}"#));
}

#[test]
fn pdp_body_too_big() {
    fails(&http(200, &format!("{{\"decision\":true}}{}", " ".repeat(1024 * 1024))));
}

#[test]
fn pdp_unknown_obligations() {
    let answer = http(200, r#"{"decision":true,"context":{"obligations":[{"id":"x","type":"mask"}]}}"#);
    for way in ["plain", "not", "deny", "every", "comprehension"] {
        let seen = ask(way, answer.clone());
        assert_eq!(
            (seen.response.status, seen.reason()),
            (403, "obligation_unknown"),
            "{way}: {}",
            seen.line
        );
    }
}

#[test]
fn pdp_failed_under_negation() {
    for way in ["not", "deny", "every", "comprehension"] {
        assert_eq!(ask(way, PdpAnswer::Absent).reason(), "pdp_unavailable", "{way}");
        assert_ne!(ask(way, PdpAnswer::Deny).reason(), "allowed", "{way}");
    }
}

#[test]
fn pdp_overloaded() {
    let mut config = with_policy("t", &policy());
    config["limits"] = json!({"max_pending": 1});
    config["pdps"]["default"]["timeout_ms"] = json!(2_500);
    let world = World::with(&config);
    let question: Value = serde_json::from_str(QUESTION).unwrap();
    world.answer(BTreeMap::from([(question.to_string(), PdpAnswer::Timeout)]));
    let send = |address| {
        let raw = everycall_tests::client::RawRequest {
            method: "GET".into(),
            path: b"/t/plain".to_vec(),
            headers: vec![("host".into(), b"t".to_vec())],
            body: Vec::new(),
        };
        let response =
            everycall_tests::client::send(address, [127, 0, 0, 1].into(), &raw, Duration::from_secs(10))
                .unwrap();
        let body: Value = serde_json::from_slice(&response.body).unwrap();
        (response.status, body["reason"].as_str().unwrap().to_owned())
    };
    let address = world.address("only");
    let first = std::thread::spawn(move || send(address));
    let deadline = std::time::Instant::now() + Duration::from_secs(10);
    let wait_for = |pending: u64| {
        while world.envoy.stat("wasmcustom.everycall.pending;instance=only").unwrap() != pending {
            assert!(std::time::Instant::now() < deadline, "{pending} requests wait");
            std::thread::sleep(Duration::from_millis(20));
        }
    };
    wait_for(1);
    assert_eq!(send(address), (503, "overloaded".into()));
    assert_eq!(first.join().unwrap(), (503, "pdp_unavailable".into()));
    wait_for(0);
}
