//! Bundles from a server: several workers that share one map, one clock, and a server that is told
//! what to answer.

use std::collections::BTreeMap;

use everycall::bundle_file::{test_bundle_file, Issue};
use everycall::mint::TestKey;
use everycall_core::http::Failure;
use everycall_core::sync::Freshness;
use everycall_core::sync::{FileFault, LocalData, SharedData};
use everycall_core::{Algorithm, Call, Effect, Headers, Reason, Reply, UnixTime, Work};
use serde_json::{json, Value};

use super::bundle::{issue, key, parts, signed};
use super::workers::{self, Server};
use super::{asks, done, later, reason, request, settings, yes, Broken, NOW};

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
    let mut grants = vec![parts()["grants"][2].clone(); 3];
    grants[1]["id"] = json!("other");
    let mut doubled = parts();
    doubled["grants"] = json!(grants);
    for (reply, fault) in [
        (with(&|_| {}, &foreign), FileFault::Signature),
        (file(tampered), FileFault::Digest),
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
        workers.tick(later(101));
        assert_eq!(workers.decides(0, later(101)).0, Reason::BundleStale, "{reply:?}");
        assert_eq!(workers.engines[0].stats().bundle.unwrap().freshness, Freshness::Stale, "{reply:?}");
        workers.server.reply =
            file(test_bundle_file(&parts(), &Issue { issued_at: later(110), ..issue(6) }, &key()).unwrap());
        workers.tick(later(120));
        assert_eq!(workers.decides(0, later(120)), (ALLOWED, 6), "{reply:?}");
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
    assert!(workers.warnings.iter().all(|warning| warning.contains("in force")), "{:?}", workers.warnings);
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
