//! Signals in a real Envoy: what is raised about a task ends its streams and refuses its calls, and a
//! list that is too old refuses only what reads it.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use everycall::mint::TestKey;
use everycall::publisher::Publisher;
use everycall_core::facts::FeedKind;
use everycall_core::UnixTime;
use everycall_tests::feeds::answer;
use everycall_tests::server::{Answer, Received, Server};
use serde_json::{json, Value};

use crate::streams::{configuration, ended, get, open, start, still_runs, token, wait_for_list};
use crate::world::{lead, now, World};

fn key() -> TestKey {
    TestKey::es256().unwrap()
}

/// Everything below `/t/` is for tasks without a high risk, and `/other/` for all.
fn with_signals() -> Value {
    let mut config = configuration();
    config["signals"] = json!({"keys": key().public_jwks(), "max_age_s": 8,
        "remote": {"cluster": "signals", "host": "s", "path": "/signals"}});
    let bundle = &mut config["bundle"]["inline"];
    bundle["policies"]["t.rego"] = json!(
        "package everycall.t\ndecision := {\"allow\": true} if object.get(input.signals.task, \"risk\", \"\") != \"high\"");
    bundle["policies"]["other.rego"] = json!("package everycall.other\ndecision := {\"allow\": true}");
    let mut other = bundle["grants"].as_array().unwrap().last().unwrap().clone();
    (other["id"], other["paths"], other["policy"]) =
        (json!("other"), json!(["/other/{rest...}"]), json!("other"));
    bundle["grants"].as_array_mut().unwrap().push(other);
    config
}

fn status(world: &World, path: &str, token: &str) -> (u16, String) {
    let answer = world.send_raw_unlogged(&get(path, token, &[]));
    let body: Value = serde_json::from_slice(&answer.body).unwrap_or_default();
    (answer.status, body["reason"].as_str().unwrap_or_default().to_owned())
}

#[test]
fn signals_cut_streams_and_refuse_calls() {
    let publisher = Arc::new(Mutex::new(Publisher::new(FeedKind::Signals, key(), now())));
    let gone = Arc::new(AtomicBool::new(false));
    let (behind, is_gone) = (Arc::clone(&publisher), Arc::clone(&gone));
    let server = Server::start(move |request: &Received| match is_gone.load(Ordering::Relaxed) {
        true => Answer::Close,
        false => answer(&mut behind.lock().unwrap(), request),
    })
    .unwrap();
    let world = start(with_signals(), |document| lead(document, "signals", &[server.address()]));
    let (one, other) = (token("t-1", 600), token("t-2", 600));
    wait_for_list(&world, &other);
    let (streams, decoys) = (open(&world, &one), open(&world, &other));
    std::thread::sleep(Duration::from_secs(1));

    let begun = Instant::now();
    let expires_at = UnixTime::from_secs(now().secs() + 600).to_string();
    let risk =
        json!({"about": "task", "id": "t-1", "signal": "risk", "value": "high", "expires_at": expires_at});
    publisher.lock().unwrap().publish([risk], now());
    for stream in &streams {
        let end = stream.wait(Duration::from_secs(5)).expect("it is cut");
        println!("cut after {:?}", end.duration_since(begun));
        assert!(end.duration_since(begun) < Duration::from_millis(2_500));
    }
    still_runs(&decoys[0], true);
    still_runs(&decoys[1], false);
    assert_eq!(status(&world, "/t/a", &one), (403, "policy_undefined".to_owned()));
    assert_eq!(status(&world, "/t/a", &other).0, 200);
    assert_eq!(status(&world, "/other/a", &one).0, 200);
    let records = ended(&world, 2);
    assert!(records.len() == 2 && records.values().all(|record| record["reason"] == "policy_undefined"));
    assert!(records.values().all(|record| record["identity"]["task"] == "t-1"), "{records:?}");

    // Nobody signs it any more: what reads signals is refused, and what is open stays.
    gone.store(true, Ordering::Relaxed);
    let deadline = Instant::now() + Duration::from_secs(20);
    while status(&world, "/t/a", &other).0 == 200 {
        assert!(Instant::now() < deadline, "{}", world.envoy.log());
        std::thread::sleep(Duration::from_millis(200));
    }
    assert_eq!(status(&world, "/t/a", &other), (503, "signals_stale".to_owned()));
    assert_eq!(status(&world, "/other/a", &other).0, 200);
    std::thread::sleep(Duration::from_millis(1_500));
    still_runs(&decoys[0], true);
    let stale = "wasmcustom.everycall.feed;instance=only;state=stale;feed=signals";
    assert!(world.envoy.stat(stale).unwrap() >= 1);
    gone.store(false, Ordering::Relaxed);
    wait_for_list(&world, &other);
    assert_eq!(status(&world, "/t/a", &one), (403, "policy_undefined".to_owned()));
    world.assert_no_crash();
}
