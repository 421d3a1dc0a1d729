//! What becomes of the bundle, and of what waits, when the configuration or the bundle changes.

use everycall::bundle_file::test_bundle_file;
use everycall::mint::TestKey;
use everycall_core::{Reason, Reply, Work};
use serde_json::json;

use super::{closed, configuration, file, started, token_at, Workers, ALLOWED};
use crate::bundle::{issue, key, parts, signed};
use crate::{asks, done, later, reason, request, settings, yes, NOW};

#[test]
fn what_waits_for_an_answer_is_decided_again_under_the_new_bundle() {
    let mut workers = started(1, &configuration());
    workers.tick(NOW);
    let waits = |workers: &mut Workers, stream, now| {
        asks(workers.engines[0].check(request(stream, "/ask", &token_at(now)), now)).1
    };
    let (kept, gone) = (waits(&mut workers, 1, NOW), waits(&mut workers, 2, NOW));
    // Half prepared it is not in force.
    workers.server.reply = file(closed(6));
    let effects = workers.engines[0].tick(later(10));
    workers.run(0, effects, later(10));
    workers.engines[0].work(Work::Updates, later(10));
    assert_eq!(workers.decides(0, later(10)), (ALLOWED, 5));
    let decided = done(workers.engines[0].resume(kept, yes(), later(10))).record;
    assert_eq!((decided.reason, decided.bundle.unwrap().sequence), (Some(ALLOWED), 5));
    workers.prepare(0, later(10));
    assert_eq!(workers.decides(0, later(10)), (Reason::NotGranted, 6));
    let decided = done(workers.engines[0].resume(gone, yes(), later(10))).record;
    assert_eq!(
        (decided.reason, decided.bundle.unwrap().sequence),
        (Some(ALLOWED), 6),
        "the grant for it is still there"
    );

    let pending = waits(&mut workers, 3, later(10));
    let mut parts = parts();
    parts["grants"].as_array_mut().unwrap().retain(|grant| grant["id"] != "ask");
    workers.server.reply = file(test_bundle_file(&parts, &issue(7), &key()).unwrap());
    workers.tick(later(20));
    assert_eq!(reason(workers.engines[0].resume(pending, yes(), later(20))), Reason::NotGranted);
}

/// Facts that nobody asked the host for are not taken for absent.
#[test]
fn what_waits_is_not_decided_by_facts_that_were_not_asked_for() {
    let mut workers = started(1, &configuration());
    workers.tick(NOW);
    let (_, pending) = asks(workers.engines[0].check(request(1, "/ask", &token_at(NOW)), NOW));
    let mut parts = parts();
    parts["policies"]["ask.rego"] =
        json!("package everycall.ask\ndecision := {\"allow\": true} if not input.connection.mtls");
    workers.server.reply = file(test_bundle_file(&parts, &issue(6), &key()).unwrap());
    workers.tick(later(10));
    assert_eq!(workers.engines[0].attributes().len(), 1);
    assert_eq!(reason(workers.engines[0].resume(pending, yes(), later(10))), Reason::NotReady);
}

#[test]
fn a_configuration_keeps_the_pulled_bundle_of_the_same_server() {
    let mut workers = started(1, &configuration());
    workers.server.reply = file(closed(6));
    workers.tick(NOW);
    let mut config = configuration();
    config["log"] = json!({"records": "off"});
    config["bundle"]["remote"]["interval_s"] = json!(20);
    config["bundle"]["inline"] = parts();
    workers.engines[0].configure(settings(&config));
    assert_eq!(workers.decides(0, NOW), (Reason::NotGranted, 6));
    // Under other limits it is built again, out of what is shared.
    config["limits"] = json!({"instructions": 200});
    workers.engines[0].configure(settings(&config));
    let asked = workers.server.asked.len();
    workers.slices = 0;
    workers.tick(later(2));
    assert!(workers.slices > 4 && workers.server.asked.len() == asked, "{}", workers.slices);
    assert_eq!(workers.decides(0, later(2)), (Reason::NotGranted, 6));
    // What the configuration holds counts if it is newer, and where there is another server.
    let mut newer = config.clone();
    newer["bundle"].as_object_mut().unwrap().remove("inline");
    newer["bundle"]["signed"] = json!(String::from_utf8(signed(7)).unwrap());
    workers.engines[0].configure(settings(&newer));
    assert_eq!(workers.decides(0, later(3)), (ALLOWED, 7));
    workers.tick(later(4));
    assert_eq!(workers.decides(0, later(4)), (ALLOWED, 7), "what is shared is older");
    config["bundle"]["remote"]["path"] = json!("/other");
    workers.engines[0].configure(settings(&config));
    assert_eq!(workers.decides(0, later(4)), (ALLOWED, 0));
}

#[test]
fn a_bundle_whose_key_is_withdrawn_decides_no_more() {
    let mut workers = started(1, &configuration());
    workers.tick(NOW);
    let other = TestKey::eddsa().unwrap();
    let mut config = configuration();
    config["bundle"]["keys"]["keys"].as_array_mut().unwrap().push(other.public_jwk());
    workers.engines[0].configure(settings(&config));
    assert_eq!(workers.decides(0, NOW), (ALLOWED, 5), "its key may still sign");
    config["bundle"]["keys"] = other.public_jwks();
    workers.engines[0].configure(settings(&config));
    assert_eq!(workers.decides(0, NOW), (Reason::NotReady, 0));
    workers.server.reply = file(test_bundle_file(&parts(), &issue(6), &other).unwrap());
    // First it looks at what is shared, and refuses it.
    workers.tick(later(10));
    workers.tick(later(11));
    assert_eq!(workers.decides(0, later(11)), (ALLOWED, 6));
}

#[test]
fn what_the_configuration_holds_serves_until_the_first_answer() {
    let mut config = configuration();
    config["bundle"]["inline"] = parts();
    let mut workers = started(1, &config);
    assert_eq!(workers.decides(0, NOW), (ALLOWED, 0));
    workers.server.reply = Reply::http(503, "");
    workers.tick(NOW);
    assert_eq!(workers.decides(0, NOW), (ALLOWED, 0));
    workers.server.reply = file(closed(1));
    workers.tick(later(10));
    assert_eq!(workers.decides(0, later(10)), (Reason::NotGranted, 1));
    // A signed one is a floor.
    let mut config = configuration();
    config["bundle"]["signed"] = json!(String::from_utf8(signed(5)).unwrap());
    let mut workers = started(1, &config);
    workers.server.reply = file(closed(4));
    workers.tick(NOW);
    assert_eq!(workers.decides(0, NOW), (ALLOWED, 5));
    workers.server.reply = file(closed(6));
    workers.tick(later(10));
    assert_eq!(workers.decides(0, later(10)), (Reason::NotGranted, 6));
}
