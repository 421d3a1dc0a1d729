//! Bad answers, none, late ones, and those to nobody.

use std::collections::BTreeMap;

use everycall::feed_file::test_feed_documents;
use everycall::mint::TestKey;
use everycall::publisher::Publisher;
use everycall_core::facts::FeedKind;
use everycall_core::http::Failure;
use everycall_core::sync::{FileFault, Freshness};
use everycall_core::{Algorithm, Effect, Reason, Reply};
use everycall_tests::feeds::document;
use serde_json::{json, Value};

use super::{at, configuration, end, issue, key, ready, started, token, ALLOWED, BEAT_MS};
use crate::workers::Server as _;
use crate::{done, later, request, NOW};

/// Down, slow, cut, garbage, of another key, older, of another feed, from the future, over: nothing of
/// it is taken, what was known counts on until it is too old, and a good answer heals it.
#[test]
fn a_bad_answer_changes_nothing_until_the_list_is_too_old() {
    let foreign = TestKey::foreign(Algorithm::Es256).unwrap();
    let sequence = Publisher::new(FeedKind::Revocations, key(), NOW).sequence();
    let full =
        |facts: &[Value], sequence, issued_at| document(facts, &issue(sequence, None, issued_at), &key());
    let http = |body: Vec<u8>| Reply::http(200, body);
    let next = sequence + 5;
    let mut of_bundle = key().header();
    of_bundle.insert("typ".into(), json!("everycall-bundle+jwt"));
    let cases: Vec<(&str, Reply, Option<FileFault>)> = vec![
        ("down", Reply::Failed(Failure::Unavailable), None),
        ("slow", Reply::http(504, "upstream request timeout"), None),
        ("not found", Reply::http(404, ""), None),
        ("moved", Reply::http(302, ""), None),
        ("too large", Reply::Failed(Failure::TooLarge), Some(FileFault::TooLarge)),
        ("empty", http(Vec::new()), Some(FileFault::Malformed)),
        ("garbage", http(b"<html>Maintenance</html>\n".to_vec()), Some(FileFault::Malformed)),
        ("noise", http(vec![0xff; 20_000]), Some(FileFault::Malformed)),
        ("cut", http(full(&[end("t-2")], next, NOW)[..460].to_vec()), Some(FileFault::Digest)),
        (
            "cut at a line",
            http({
                let mut text = full(&[end("t-2"), end("t-3")], next, NOW);
                let end = text[..text.len() - 1].iter().rposition(|byte| *byte == b'\n').unwrap();
                text.truncate(end + 1);
                text
            }),
            Some(FileFault::Digest),
        ),
        (
            "changed",
            http({
                let text = String::from_utf8(full(&[end("t-2")], next, NOW)).unwrap();
                text.replace("t-2", "t-3").into_bytes()
            }),
            Some(FileFault::Digest),
        ),
        (
            "changed, under the sequence that is known",
            http({
                let text = String::from_utf8(full(&[end("t-1")], sequence + 1, later(1))).unwrap();
                text.replace("t-1", "t-2").into_bytes()
            }),
            Some(FileFault::Digest),
        ),
        (
            "changes of before, changed",
            Reply::http(226, {
                let old = issue(sequence, Some(sequence - 1), later(1));
                let text = String::from_utf8(document(&[end("t-1")], &old, &key())).unwrap();
                text.replace("t-1", "t-2").into_bytes()
            }),
            Some(FileFault::Digest),
        ),
        (
            "another key",
            http(document(&[end("t-2")], &issue(next, None, NOW), &foreign)),
            Some(FileFault::Signature),
        ),
        ("older", http(full(&[], sequence - 1, NOW)), Some(FileFault::Older)),
        ("another of that number", http(full(&[end("t-2")], sequence + 1, NOW)), Some(FileFault::Older)),
        ("from the future", http(full(&[end("t-2")], next, later(600))), Some(FileFault::NotYetValid)),
        ("over", http(full(&[end("t-2")], next, later(-3_600))), Some(FileFault::Expired)),
        (
            "a fact that is not understood",
            http(full(&[end("t-2"), json!({"revoke": "jti", "id": "x"})], next, NOW)),
            Some(FileFault::Invalid),
        ),
        (
            "a fact too much",
            http(full(&[end("t-2"), json!({"revoke": "task", "id": "x", "until": 1})], next, NOW)),
            Some(FileFault::Invalid),
        ),
        ("no fact", http(full(&[end("t-2"), json!("t-3")], next, NOW)), Some(FileFault::Invalid)),
        (
            "changes of what is not known",
            http(document(&[end("t-2")], &issue(next, Some(next - 1), NOW), &key())),
            None,
        ),
        (
            "another page",
            http(
                test_feed_documents(&vec![end(&"x".repeat(1_500)); 2_000], &issue(next, None, NOW), &key())
                    .unwrap()
                    .remove(1),
            ),
            Some(FileFault::Malformed),
        ),
    ];
    for (name, reply, fault) in cases {
        let mut workers = started(2, &configuration());
        workers.server.publisher.publish([end("t-1")], NOW);
        workers.tick(NOW);
        assert_eq!(workers.all_say("t-1", NOW), [Reason::Revoked; 2], "{name}");
        let first = workers.server.answers.len();
        let bad = reply.clone();
        workers.feel(move |_, _| bad.clone());
        workers.warnings.clear();
        workers.ticks(500, 5_000);
        assert!(workers.server.answers.len() > first + 2, "{name}: it is asked again");
        for (task, expected) in
            [("t-1", Reason::Revoked), ("t-2", ALLOWED), ("t-3", ALLOWED), ("t-4", ALLOWED)]
        {
            assert_eq!(workers.all_say(task, at(5_000)), [expected; 2], "{name}: {task}");
        }
        assert!((1..=2).contains(&workers.warnings.len()), "{name}: {:?}", workers.warnings);
        workers.notes.clear();
        let faults: BTreeMap<_, _> = (0..2).flat_map(|worker| workers.refused(worker)).collect();
        assert_eq!(faults.keys().copied().collect::<Vec<_>>(), Vec::from_iter(fault), "{name}");
        let failed: u64 = (0..2).map(|worker| workers.stats(worker).fetches.failed).sum();
        assert!(fault.is_some_and(|fault| fault != FileFault::TooLarge) || failed > 0, "{name}");
        // Until it is too old.
        workers.ticks(59_000, 60_900);
        assert_eq!(workers.all_say("t-4", at(60_900)), [ALLOWED; 2], "{name}");
        workers.tick(at(61_000));
        assert_eq!(workers.all_say("t-4", at(61_000)), [Reason::RevocationsStale; 2], "{name}");
        assert_eq!(workers.all_say("t-1", at(61_000)), [Reason::Revoked; 2], "{name}");
        workers.ticks(61_000, 63_000);
        let stale = |warnings: &[String]| {
            let said =
                warnings.iter().filter(|warning| warning.starts_with("the list of revocations is stale: "));
            said.count()
        };
        assert_eq!(stale(&workers.warnings), 2, "{name}: once by each: {:?}", workers.warnings);
        assert_eq!(workers.notes, [""; 0], "{name}");
        workers.server.mood = None;
        workers.server.publisher.publish([end("t-4")], at(61_000));
        workers.ticks(63_100, 70_000);
        assert_eq!(workers.all_say("t-4", at(70_000)), [Reason::Revoked; 2], "{name}");
        assert_eq!(stale(&workers.warnings), 2, "{name}: {:?}", workers.warnings);
        let fresh = workers.notes.iter().filter(|note| *note == "the list of revocations is fresh again");
        assert_eq!(fresh.count(), 2, "{name}: {:?}", workers.notes);
        assert_eq!(workers.all_say("t-2", at(70_000)), [ALLOWED; 2], "{name}");
    }
}

/// The same while there is no list yet.
#[test]
fn without_a_list_callers_are_refused_whatever_is_configured() {
    for when_stale in ["refuse", "last_known"] {
        let mut config = configuration();
        config["revocations"]["when_stale"] = json!(when_stale);
        let mut workers = started(2, &config);
        for reply in [
            Reply::Failed(Failure::Unavailable),
            Reply::http(200, "{}"),
            Reply::http(304, ""),
            Reply::http(226, document(&[], &issue(9, Some(9), NOW), &key())),
            Reply::http(200, document(&[], &issue(9, None, later(-3_600)), &key())),
        ] {
            let bad = reply.clone();
            workers.feel(move |_, _| bad.clone());
            workers.ticks(0, 20_000);
            assert_eq!(
                workers.all_say("t", at(20_000)),
                [Reason::RevocationsStale; 2],
                "{when_stale}: {reply:?}"
            );
            assert_eq!(workers.stats(0).freshness, Freshness::Missing, "{when_stale}: {reply:?}");
        }
        // It is asked less and less often, but soon enough.
        assert!(workers.server.answers.len() < 120, "{}", workers.server.answers.len());
        workers.server.mood = None;
        workers.ticks(20_000, 26_000);
        assert_eq!(workers.all_say("t", at(26_000)), [ALLOWED; 2], "{when_stale}");
    }
}

#[test]
fn last_known_goes_on_by_the_last_list_and_says_so() {
    let mut config = configuration();
    config["revocations"]["when_stale"] = json!("last_known");
    config["revocations"]["max_age_s"] = json!(10);
    let mut workers = started(1, &config);
    workers.server.publisher.publish([end("t-1")], NOW);
    workers.tick(NOW);
    workers.feel(|_, _| Reply::Failed(Failure::Unavailable));
    workers.tick(later(11));
    let record =
        done(workers.engines[0].check(request(1, "/open", &token("t-2", later(11))), later(11))).record;
    assert_eq!((record.reason, record.revocations.unwrap().stale), (Some(ALLOWED), true));
    assert_eq!(workers.stats(0).freshness, Freshness::Stale);
    assert_eq!(workers.all_say("t-1", later(11)), [Reason::Revoked]);
}

/// A reply to a fetch of before is nobody's, and one that never comes is forgotten.
#[test]
fn replies_are_to_the_fetch_that_is_open() {
    let mut workers = started(1, &configuration());
    let fetch = |effects: Vec<Effect>| match effects.as_slice() {
        [Effect::Fetch { id, .. }] => *id,
        other => panic!("{other:?}"),
    };
    let list = || Reply::http(200, document(&[], &issue(5, None, NOW), &key()));
    let first = fetch(workers.engines[0].tick(NOW));
    assert!(workers.engines[0].tick(at(4_900)).is_empty(), "one is open");
    let second = fetch(workers.engines[0].tick(at(5_100)));
    assert!(workers.engines[0].fetched(first, list(), at(5_100)).is_empty());
    assert_eq!(workers.all_say("t", at(5_100)), [Reason::RevocationsStale]);
    drop(workers.engines[0].fetched(second, list(), at(5_100)));
    workers.prepare(0, at(5_100));
    assert_eq!(workers.all_say("t", at(5_100)), [ALLOWED]);
}

/// While one worker waits for a slow answer, another that was asked meanwhile is enough for both.
#[test]
fn a_slow_answer_holds_nobody_up() {
    let mut workers = ready(&configuration());
    workers.server.publisher.publish([end("t-1")], NOW);
    let effects = workers.engines[0].tick(at(BEAT_MS));
    let [Effect::Fetch { id, call }] = effects.as_slice() else { panic!("{effects:?}") };
    let late = workers.server.answer(call, at(BEAT_MS));
    workers.server.publisher.publish([end("t-2")], at(700));
    let effects = workers.engines[1].tick(at(1_300));
    workers.run(1, effects, at(1_300));
    workers.prepare(1, at(1_300));
    workers.tick(at(1_400));
    assert_eq!(workers.all_say("t-2", at(1_400)), [Reason::Revoked; 2]);
    // What it says is known by then.
    let effects = workers.engines[0].fetched(*id, late, at(1_500));
    workers.run(0, effects, at(1_500));
    workers.prepare(0, at(1_500));
    assert_eq!(workers.all_say("t-2", at(1_500)), [Reason::Revoked; 2]);
    assert!(workers.warnings.is_empty() && workers.refused(0).is_empty(), "{:?}", workers.warnings);
}
