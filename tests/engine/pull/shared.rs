//! What workers share, and what they believe of it.

use std::collections::BTreeMap;

use everycall::bundle_file::test_bundle_file;
use everycall::mint::TestKey;
use everycall_core::sync::{FileFault, Freshness, SharedData as _};
use everycall_core::{Algorithm, Reason, Reply};

use super::{closed, configuration, file, started, started_on, ALLOWED};
use crate::bundle::{issue, parts, signed};
use crate::{later, Broken, NOW};

#[test]
fn one_worker_fetches_and_all_of_them_decide_by_it() {
    let mut workers = started(3, &configuration());
    assert_eq!(workers.decides(0, NOW), (Reason::NotReady, 0));
    workers.tick(NOW);
    for worker in 0..3 {
        assert_eq!(workers.decides(worker, NOW), (ALLOWED, 5), "{worker}");
    }
    assert_eq!(workers.server.asked, [None]);
    // Once in an interval, and a worker that starts later needs no fetch.
    workers.add(&configuration());
    workers.tick(later(9));
    assert_eq!(workers.decides(3, later(9)), (ALLOWED, 5));
    assert_eq!(workers.server.asked.len(), 1);
    workers.server.reply = file(closed(6));
    workers.tick(later(10));
    workers.tick(later(11));
    for worker in 0..4 {
        assert_eq!(workers.decides(worker, later(11)), (Reason::NotGranted, 6), "{worker}");
    }
    assert_eq!(workers.server.asked.len(), 2);
    let stats = workers.engines[3].stats().bundle.unwrap();
    assert_eq!((stats.freshness, stats.signed), (Freshness::Fresh, Some((6, NOW))));
}

#[test]
fn a_worker_that_starts_anew_takes_no_older_one() {
    let mut workers = started(1, &configuration());
    workers.server.reply = file(signed(8));
    workers.tick(NOW);
    // All workers start anew, and what is shared of the text is lost; the floor is not.
    workers.engines.clear();
    for name in
        workers.data.names().into_iter().filter(|name| name.contains("notice") || name.contains("chunk"))
    {
        let (_, version) = workers.data.get(&name).unwrap().unwrap();
        assert!(workers.data.put(&name, b"", Some(version)).unwrap());
    }
    workers.add(&configuration());
    workers.server.reply = file(signed(7));
    workers.tick(later(10));
    assert_eq!(workers.decides(0, later(10)), (Reason::NotReady, 0));
    assert_eq!(workers.refused(0)[&FileFault::Older], 1);
    workers.server.reply = file(signed(8));
    workers.tick(later(20));
    assert_eq!(workers.decides(0, later(20)), (ALLOWED, 8));
}

#[test]
fn forged_shared_data_is_not_believed() {
    let mut workers = started(1, &configuration());
    workers.tick(NOW);
    let names = workers.data.names();
    assert!(["rollback", "notice", "chunk/0", "lease"]
        .iter()
        .all(|part| names.iter().any(|name| name.ends_with(part))));
    for name in names {
        let (mut bytes, version) = workers.data.get(&name).unwrap().unwrap();
        let last = bytes.len() - 1;
        bytes[last] ^= 1;
        assert!(workers.data.put(&name, &bytes, Some(version)).unwrap());
    }
    workers.add(&configuration());
    workers.server.reply = Reply::http(503, "");
    workers.tick(later(1));
    assert_eq!(workers.decides(0, later(1)), (ALLOWED, 5));
    assert_eq!(workers.decides(1, later(1)), (Reason::NotReady, 0));
    // The floor of the worker that knows it holds.
    workers.engines.pop();
    workers.server.reply = file(closed(4));
    workers.tick(later(20));
    assert_eq!(workers.decides(0, later(20)), (ALLOWED, 5));
}

#[test]
fn what_another_worker_shared_is_verified() {
    // Another configuration's workers share under the same name and key, and trust another key.
    let foreign = TestKey::foreign(Algorithm::Es256).unwrap();
    let mut trusting = configuration();
    trusting["bundle"]["keys"] = foreign.public_jwks();
    let mut workers = started(1, &trusting);
    workers.server.reply = file(test_bundle_file(&parts(), &issue(9), &foreign).unwrap());
    workers.tick(NOW);
    assert_eq!(workers.decides(0, NOW), (ALLOWED, 9));
    workers.add(&configuration());
    workers.server.reply = Reply::http(503, "");
    workers.tick(later(1));
    workers.tick(later(3));
    assert_eq!(workers.decides(1, later(3)), (Reason::NotReady, 0));
    assert_eq!(workers.refused(1), BTreeMap::from([(FileFault::Signature, 1)]), "once, not each second");
}

#[test]
fn where_shared_data_fails_each_worker_fetches_for_itself() {
    let mut workers = started_on(Broken, 2, &configuration());
    workers.tick(NOW);
    workers.tick(later(5));
    assert_eq!(workers.server.asked.len(), 2);
    assert_eq!((workers.decides(0, NOW), workers.decides(1, NOW)), ((ALLOWED, 5), (ALLOWED, 5)));
    workers.server.reply = file(closed(4));
    workers.tick(later(10));
    assert_eq!(workers.decides(0, later(10)), (ALLOWED, 5));
}
