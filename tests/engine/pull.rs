//! Bundles from a server: several workers that share one map, one clock, and a server that is told
//! what to answer.

mod changes;
mod shared;

use std::collections::BTreeMap;

use everycall::bundle_file::{test_bundle_file, Issue};
use everycall::mint::TestKey;
use everycall_core::http::Failure;
use everycall_core::sync::{FileFault, Freshness, LocalData, SharedData};
use everycall_core::{Algorithm, Call, Effect, Headers, Reason, Reply, UnixTime, Work};
use serde_json::{json, Value};

use super::bundle::{issue, key, parts, signed};
use super::workers::{self, Server};
use super::{done, later, request, settings, NOW};

/// A server that answers what it is told.
struct Files {
    reply: Reply,
    /// The `if-none-match` of each call.
    asked: Vec<Option<String>>,
}

impl Server for Files {
    fn answer(&mut self, call: &Call, _: UnixTime) -> Reply {
        assert_eq!((call.cluster.as_str(), call.max_body), ("bundles", 1_000_000));
        let condition = call.headers.iter().find(|(name, _)| name == "if-none-match");
        self.asked.push(condition.map(|(_, value)| value.clone()));
        self.reply.clone()
    }
}

type Workers<D = LocalData> = workers::Workers<Files, D>;

fn configuration() -> Value {
    let mut config = super::configuration();
    config["bundle"] = json!({"keys": key().public_jwks(),
        "remote": {"cluster": "bundles", "host": "b.example", "path": "/b", "interval_s": 10, "max_bytes": 1_000_000}});
    config
}

fn file(body: Vec<u8>) -> Reply {
    Reply::http(200, body)
}

fn tagged(body: Vec<u8>, etag: &str) -> Reply {
    let headers = Headers::new(vec![("etag".to_owned(), etag.as_bytes().to_vec())]);
    Reply::Http { status: 200, headers, body, trailers: Headers::default() }
}

/// The bundle without the grant for `/open`.
fn closed(sequence: u64) -> Vec<u8> {
    let mut parts = parts();
    parts["grants"].as_array_mut().unwrap().retain(|grant| grant["id"] != "open");
    test_bundle_file(&parts, &issue(sequence), &key()).unwrap()
}

fn started(count: usize, config: &Value) -> Workers {
    started_on(LocalData::default(), count, config)
}

fn started_on<D: SharedData + 'static>(data: D, count: usize, config: &Value) -> Workers<D> {
    Workers::with(count, config, data, Files { reply: file(signed(5)), asked: Vec::new() })
}

impl<D: SharedData + 'static> Workers<D> {
    /// What worker says of `/open`, and by which bundle.
    fn decides(&mut self, worker: usize, now: UnixTime) -> (Reason, u64) {
        let record = done(self.engines[worker].check(request(1, "/open", &token_at(now)), now)).record;
        (record.reason.unwrap(), record.bundle.map_or(0, |bundle| bundle.sequence))
    }

    fn refused(&self, worker: usize) -> BTreeMap<FileFault, u64> {
        self.engines[worker].stats().bundle.unwrap().fetches.refused
    }
}

fn token_at(now: UnixTime) -> String {
    let key = TestKey::es256().unwrap();
    let claims = json!({"iss": "https://id.shop.example/workloads", "aud": "https://shop.example", "sub": "s",
        "iat": now.secs(), "exp": now.secs() + 60});
    format!("Bearer {}", key.sign(&key.header(), claims.as_object().unwrap()).unwrap())
}

const ALLOWED: Reason = Reason::Allowed;

#[test]
fn bundle_refused_and_the_one_before_stays() {
    let foreign = TestKey::foreign(Algorithm::Es256).unwrap();
    let with = |change: &dyn Fn(&mut Issue), key: &TestKey| {
        let mut issue = issue(6);
        change(&mut issue);
        file(test_bundle_file(&parts(), &issue, key).unwrap())
    };
    let bad = |from: &str, to: &str| {
        let text = serde_json::to_string(&parts()).unwrap().replace(from, to);
        file(test_bundle_file(&serde_json::from_str(&text).unwrap(), &issue(6), &key()).unwrap())
    };
    let mut tampered = signed(6);
    let at = tampered.len() - 20;
    tampered[at] ^= 1;
    let cut = signed(6)[..signed(6).len() - 10].to_vec();
    // Its head is the one in force.
    let mut tampered_again = signed(5);
    tampered_again[at] ^= 1;
    let mut grants = vec![parts()["grants"][2].clone(); 3];
    grants[1]["id"] = json!("other");
    let mut doubled = parts();
    doubled["grants"] = json!(grants);
    for (reply, fault) in [
        (with(&|_| {}, &foreign), FileFault::Signature),
        (file(tampered), FileFault::Digest),
        (file(tampered_again), FileFault::Digest),
        (file(cut), FileFault::Digest),
        (file(closed(4)), FileFault::Older),
        (file(closed(5)), FileFault::Older),
        (with(&|issue| issue.issued_at = later(-90_000), &key()), FileFault::Expired),
        (with(&|issue| issue.issued_at = later(900), &key()), FileFault::NotYetValid),
        (
            with(&|issue| (issue.issued_at, issue.expires_at) = (later(-9), later(5)), &key()),
            FileFault::Expired,
        ),
        (bad("input.pdp.q.decision", "input.pdp.q.decision :="), FileFault::Invalid),
        (bad("everycall.open", "everycall.opened"), FileFault::Invalid),
        (bad("\"owner\":\"o\"", "\"owner\":\"\""), FileFault::Invalid),
        (bad("\"owner\":\"o\"", "\"owner\":\"o\",\"ownr\":\"o\""), FileFault::Invalid),
        (file(test_bundle_file(&doubled, &issue(6), &key()).unwrap()), FileFault::Invalid),
        (file(b"<html><body>Maintenance</body></html>\n".to_vec()), FileFault::Malformed),
        (file(Vec::new()), FileFault::Malformed),
        (Reply::Failed(Failure::TooLarge), FileFault::TooLarge),
    ] {
        let mut config = configuration();
        config["bundle"]["max_stale_s"] = json!(3_000);
        let mut workers = started(2, &config);
        workers.tick(NOW);
        workers.warnings.clear();
        workers.server.reply = reply;
        workers.tick(later(10));
        workers.tick(later(12));
        assert_eq!(workers.server.asked.len(), 2, "{fault:?}");
        let counted: u64 = (0..2).filter_map(|worker| workers.refused(worker).get(&fault).copied()).sum();
        assert_eq!(counted, 1, "{fault:?}: {:?}", workers.warnings);
        assert!(matches!(workers.warnings.as_slice(), [_]), "{fault:?}: {:?}", workers.warnings);
        for worker in 0..2 {
            assert_eq!(workers.decides(worker, later(12)), (ALLOWED, 5), "{fault:?}");
        }
        // A good one is taken after it.
        workers.server.reply = file(closed(7));
        workers.tick(later(20));
        workers.tick(later(21));
        assert_eq!(workers.decides(0, later(21)), (Reason::NotGranted, 7), "{fault:?}");
    }
}

#[test]
fn bundle_server_failures_keep_what_is_in_force_until_it_is_stale() {
    for reply in [
        Reply::http(503, "upstream connect error"),
        Reply::http(404, ""),
        Reply::http(302, ""),
        Reply::http(304, ""),
        Reply::Failed(Failure::Unavailable),
    ] {
        let mut config = configuration();
        config["bundle"]["max_stale_s"] = json!(100);
        let mut workers = started(1, &config);
        // With nothing in hand even 304 is a failure.
        workers.server.reply = reply.clone();
        workers.tick(later(-20));
        assert_eq!(workers.engines[0].stats().bundle.unwrap().fetches.failed, 1, "{reply:?}");
        assert_eq!(workers.decides(0, later(-20)), (Reason::NotReady, 0), "{reply:?}");
        workers.server.reply = file(signed(5));
        workers.tick(later(-10));
        workers.server.reply = reply.clone();
        for second in [0, 30, 60, 90, 100] {
            workers.tick(later(second));
            assert_eq!(workers.decides(0, later(second)), (ALLOWED, 5), "{reply:?} at {second}");
        }
        assert_eq!(workers.engines[0].stats().bundle.unwrap().fetches.failed, 6, "{reply:?}");
        let stale = |workers: &Workers| {
            workers.warnings.iter().filter(|warning| warning.starts_with("the bundle is stale: ")).count()
        };
        assert_eq!(stale(&workers), 0, "{reply:?}: {:?}", workers.warnings);
        workers.tick(later(101));
        workers.tick(later(103));
        assert_eq!(stale(&workers), 1, "{reply:?}: {:?}", workers.warnings);
        workers.notes.clear();
        assert_eq!(workers.decides(0, later(101)).0, Reason::BundleStale, "{reply:?}");
        assert_eq!(workers.engines[0].stats().bundle.unwrap().freshness, Freshness::Stale, "{reply:?}");
        workers.server.reply =
            file(test_bundle_file(&parts(), &Issue { issued_at: later(110), ..issue(6) }, &key()).unwrap());
        workers.tick(later(120));
        assert_eq!(workers.decides(0, later(120)), (ALLOWED, 6), "{reply:?}");
        workers.tick(later(121));
        let [in_force, fresh] = workers.notes.as_slice() else { panic!("{:?}", workers.notes) };
        assert!(in_force.ends_with("(sequence 6) is in force"), "{in_force}");
        assert_eq!((fresh.as_str(), stale(&workers)), ("the bundle is fresh again", 1));
    }
}

#[test]
fn an_entity_tag_saves_the_fetch_and_not_the_age() {
    let mut config = configuration();
    config["bundle"]["max_stale_s"] = json!(100);
    let mut workers = started(2, &config);
    workers.server.reply = tagged(signed(5), "\"five\"");
    workers.tick(NOW);
    workers.server.reply = Reply::http(304, "");
    for second in [10, 20, 95] {
        workers.tick(later(second));
    }
    let tag = Some("\"five\"".to_owned());
    assert_eq!(workers.server.asked, [None, tag.clone(), tag.clone(), tag.clone()]);
    assert!(workers.warnings.is_empty(), "{:?}", workers.warnings);
    assert_eq!(workers.decides(0, later(100)), (ALLOWED, 5));
    assert_eq!(workers.decides(0, later(101)).0, Reason::BundleStale);
    // Signed anew, with the same content: nothing is built again, and it is fresh.
    let again = Issue { issued_at: later(105), ..issue(5) };
    workers.server.reply = tagged(test_bundle_file(&parts(), &again, &key()).unwrap(), "W/\"five-2\"");
    workers.tick(later(106));
    workers.tick(later(107));
    for worker in 0..2 {
        assert_eq!(workers.decides(worker, later(200)), (ALLOWED, 5));
    }
    // A refused one is not sent again and again.
    workers.server.reply = tagged(closed(4), "\"four\"");
    workers.tick(later(210));
    workers.tick(later(220));
    workers.tick(later(230));
    let last = workers.server.asked.last().unwrap().clone();
    assert!(last == Some("\"four\"".to_owned()) || last == Some("W/\"five-2\"".to_owned()), "{last:?}");
}

#[test]
fn garbage_entity_tags_are_not_sent_back() {
    let long = format!("\"{}\"", "x".repeat(300));
    for garbage in ["five", "\"", "", "\"a\"b\"", "\"a\nb\"", "\"a\r\nx: y\"", "w/\"a\"", "\"\u{e9}\"", &long]
    {
        let mut workers = started(1, &configuration());
        workers.server.reply = tagged(signed(5), garbage);
        workers.tick(NOW);
        assert_eq!(workers.decides(0, NOW), (ALLOWED, 5), "{garbage}");
        workers.tick(later(10));
        assert_eq!(workers.server.asked, [None, None], "{garbage}");
    }
}

#[test]
fn a_clock_that_goes_back_does_not_end_the_fetches() {
    let mut workers = started(2, &configuration());
    workers.tick(NOW);
    workers.server.reply = file(closed(6));
    workers.tick(later(-5_000));
    assert_eq!(workers.server.asked.len(), 2);
    workers.tick(later(-4_990));
    assert_eq!(workers.server.asked.len(), 3);
}

/// A reply to a fetch of before is nobody's, and one that never comes is forgotten.
#[test]
fn replies_are_to_the_fetch_that_is_open() {
    let mut workers = started(1, &configuration());
    let fetch = |effects: Vec<Effect>| match effects.as_slice() {
        [Effect::Fetch { id, .. }] => *id,
        other => panic!("{other:?}"),
    };
    let first = fetch(workers.engines[0].tick(NOW));
    assert!(workers.engines[0].tick(later(20)).is_empty(), "one is open");
    let second = fetch(workers.engines[0].tick(later(22)));
    assert!(workers.engines[0].fetched(first, file(signed(5)), later(22)).is_empty());
    assert!(!workers.engines[0].has_work(Work::Updates));
    drop(workers.engines[0].fetched(second, file(signed(5)), later(22)));
    assert!(workers.engines[0].has_work(Work::Updates));
}

/// What the configuration holds would be refused for this; of a bundle it is known when it is here.
#[test]
fn a_bundle_from_a_server_that_reads_signals_decides_nothing_without_them() {
    let mut parts = parts();
    parts["policies"]["open.rego"] =
        json!("package everycall.open\ndecision := {\"allow\": true} if not input.signals.task.risk");
    let mut config = configuration();
    let mut workers = started(1, &config);
    workers.server.reply = file(test_bundle_file(&parts, &issue(5), &key()).unwrap());
    workers.tick(NOW);
    assert_eq!(workers.decides(0, NOW), (Reason::SignalsStale, 5));
    config["signals"] = json!({"inline": []});
    workers.engines[0].configure(settings(&config));
    assert_eq!(workers.decides(0, NOW), (ALLOWED, 5));
}
