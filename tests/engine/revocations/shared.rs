//! What workers share, and what they believe of it.

use everycall::mint::TestKey;
use everycall_core::http::Failure;
use everycall_core::sync::{FileFault, SharedData as _};
use everycall_core::{Algorithm, Reason, Reply};
use everycall_tests::feeds::document;

use super::{at, configuration, end, issue, ready, started, started_on, ALLOWED};
use crate::{Broken, NOW};

#[test]
fn forged_shared_changes_are_not_believed() {
    let mut workers = ready(&configuration());
    workers.server.publisher.publish([end("t-1")], NOW);
    workers.feel(|_, _| Reply::Failed(Failure::Unavailable));
    // Whatever another module writes there.
    for name in workers.data.names() {
        let (bytes, version) = workers.data.get(&name).unwrap().unwrap();
        let mut forged = bytes.clone();
        let last = forged.len() - 1;
        forged[last] ^= 1;
        assert!(workers.data.put(&name, &forged, Some(version)).unwrap());
    }
    workers.ticks(100, 5_000);
    assert_eq!(workers.all_say("t-1", at(5_000)), [ALLOWED; 2]);
    workers.server.mood = None;
    workers.ticks(5_100, 6_500);
    assert_eq!(workers.all_say("t-1", at(6_500)), [Reason::Revoked; 2]);
}

/// Another configuration's workers share under the same name and key, and trust another key.
#[test]
fn what_another_worker_shared_is_verified() {
    let foreign = TestKey::foreign(Algorithm::Es256).unwrap();
    let mut trusting = configuration();
    trusting["revocations"]["keys"]["keys"].as_array_mut().unwrap().push(foreign.public_jwk());
    let mut workers = started(1, &trusting);
    workers.add(&configuration());
    workers.tick(NOW);
    let sequence = workers.server.publisher.sequence();
    let forged = document(&[end("t-1")], &issue(sequence + 1, Some(sequence), NOW), &foreign);
    workers.feel(move |_, _| Reply::http(226, forged.clone()));
    workers.ticks(500, 3_000);
    assert_eq!(workers.all_say("t-1", at(3_000)), [Reason::Revoked, ALLOWED]);
    assert!(workers.refused(1).contains_key(&FileFault::Signature));
    assert!(workers.warnings.len() < 6, "{:?}", workers.warnings);
}

#[test]
fn where_shared_data_fails_each_worker_asks_for_itself() {
    let mut workers = started_on(Broken, 2, &configuration());
    workers.tick(NOW);
    workers.server.publisher.publish([end("t-1")], NOW);
    workers.ticks(500, 1_200);
    assert_eq!(workers.all_say("t-1", at(1_200)), [Reason::Revoked; 2]);
}
