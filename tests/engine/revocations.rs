//! Revocations from a server: several workers that share one map, one clock, and a server that does
//! what the protocol says, until it is told to do something else.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::rc::Rc;

use everycall::feed_file::{test_feed_documents, FeedIssue};
use everycall::mint::TestKey;
use everycall::publisher::Publisher;
use everycall_core::facts::FeedKind;
use everycall_core::http::Failure;
use everycall_core::sync::{FileFault, FollowerStats, Freshness, LocalData, SharedData};
use everycall_core::{Algorithm, Call, Effect, Headers, Reason, Reply, UnixTime};
use everycall_tests::feeds::{self, document};
use serde_json::{json, Value};

use super::workers::{self, Server};
use super::{asks, done, get, later, reason, request, settings, yes, Broken, NOW};

const ISSUER: &str = "https://id.shop.example/workloads";
const ALLOWED: Reason = Reason::Allowed;
/// As fast as it gets: with the least jitter.
const BEAT_MS: i64 = 600;

fn key() -> TestKey {
    TestKey::es256().unwrap()
}

fn at(millis: i64) -> UnixTime {
    UnixTime::from_micros(NOW.micros() + millis * 1_000)
}

fn configuration() -> Value {
    let mut config = super::configuration();
    config["issuers"][0]["task_claim"] = json!("task");
    config["revocations"] = json!({"keys": key().public_jwks(),
        "remote": {"cluster": "feeds", "host": "f.example", "path": "/revocations"}});
    config
}

fn token(task: &str, now: UnixTime) -> String {
    let claims = json!({"iss": ISSUER, "aud": "https://shop.example", "sub": "s", "iat": now.secs(),
        "exp": now.secs() + 60, "task": task, "jti": format!("j-{task}")});
    let key = key();
    format!("Bearer {}", key.sign(&key.header(), claims.as_object().unwrap()).unwrap())
}

fn end(task: &str) -> Value {
    json!({"revoke": "task", "id": task, "expires_at": later(86_400).to_string()})
}

fn issue(sequence: u64, since: Option<u64>, issued_at: UnixTime) -> FeedIssue {
    FeedIssue { since, ..feeds::issue(FeedKind::Revocations, sequence, issued_at) }
}

/// What the server does instead of its work.
type Mood = Box<dyn Fn(&Call, Reply) -> Reply>;

/// A server that does what the protocol says, unless it is in a mood.
struct Feed {
    publisher: Publisher,
    mood: Option<Mood>,
    /// It knows no changes, as one of files.
    full_only: bool,
    /// Status of each answer, with the page that was asked for.
    answers: Vec<(u16, String)>,
}

impl Server for Feed {
    fn answer(&mut self, call: &Call, now: UnixTime) -> Reply {
        assert_eq!(call.cluster, "feeds");
        let header = |name: &str| {
            let found = call.headers.iter().find(|(other, _)| other == name);
            found.map(|(_, value)| value.clone())
        };
        let path = header(":path").unwrap();
        assert!(path == "/revocations" || path.starts_with("/revocations?page="), "{path}");
        let mut asked = feeds::asked(&path, header);
        asked.delta &= !self.full_only;
        let answer = self.publisher.answer(&asked, now).unwrap();
        let etag = answer.etag.map(|etag| ("etag".to_owned(), etag.into_bytes()));
        let headers = Headers::new(etag.into_iter().collect());
        let reply =
            Reply::Http { status: answer.status, headers, body: answer.body, trailers: Headers::default() };
        let reply = match &self.mood {
            Some(mood) => mood(call, reply),
            None => reply,
        };
        let status = match &reply {
            Reply::Http { status, .. } => *status,
            Reply::Failed(_) => 0,
        };
        self.answers.push((status, path));
        reply
    }
}

type Workers<D = LocalData> = workers::Workers<Feed, D>;

fn started(count: usize, config: &Value) -> Workers {
    started_on(LocalData::default(), count, config)
}

fn started_on<D: SharedData + 'static>(data: D, count: usize, config: &Value) -> Workers<D> {
    let publisher = Publisher::new(FeedKind::Revocations, key(), NOW);
    Workers::with(count, config, data, Feed { publisher, mood: None, full_only: false, answers: Vec::new() })
}

/// Two workers that know a list without facts.
fn ready(config: &Value) -> Workers {
    let mut workers = started(2, config);
    workers.tick(NOW);
    workers.server.answers.clear();
    workers.warnings.clear();
    workers
}

impl<D: SharedData + 'static> Workers<D> {
    /// As the adapter does: ten times a second.
    fn ticks(&mut self, from_ms: i64, to_ms: i64) {
        for millis in (from_ms..=to_ms).step_by(100) {
            self.tick(at(millis));
        }
    }

    fn decides(&mut self, worker: usize, task: &str, now: UnixTime) -> Reason {
        let token = token(task, now);
        reason(self.engines[worker].check(request(1, "/open", &token), now))
    }

    /// What each worker says of a token of this task.
    fn all_say(&mut self, task: &str, now: UnixTime) -> Vec<Reason> {
        (0..self.engines.len()).map(|worker| self.decides(worker, task, now)).collect()
    }

    fn stats(&self, worker: usize) -> FollowerStats {
        self.engines[worker].stats().feeds.remove(0)
    }

    fn refused(&self, worker: usize) -> BTreeMap<FileFault, u64> {
        self.stats(worker).fetches.refused
    }

    fn feel(&mut self, mood: impl Fn(&Call, Reply) -> Reply + 'static) {
        self.server.mood = Some(Box::new(mood));
    }
}

/// Waits until somebody has asked, and returns the time.
fn poll(workers: &mut Workers, from_ms: i64) -> i64 {
    workers.ticks(from_ms, from_ms + BEAT_MS);
    from_ms + BEAT_MS
}

#[test]
fn what_was_revoked_is_refused_by_every_worker_within_a_second() {
    let mut workers = started(4, &configuration());
    assert_eq!(workers.all_say("t-1", NOW), [Reason::RevocationsStale; 4]);
    workers.tick(NOW);
    assert_eq!(workers.all_say("t-1", NOW), [ALLOWED; 4]);
    assert_eq!(workers.server.answers.len(), 4, "who has no list fetches it");
    workers.server.answers.clear();
    workers.server.publisher.publish([end("t-1")], NOW);
    workers.ticks(100, 700);
    assert_eq!(workers.all_say("t-1", at(700)), [Reason::Revoked; 4]);
    assert_eq!(workers.all_say("t-2", at(700)), [ALLOWED; 4]);
    let changes = workers.server.answers.iter().filter(|(status, _)| *status == 226).count();
    assert_eq!(
        (changes, workers.server.answers.len()),
        (1, 2),
        "one of them asked: {:?}",
        workers.server.answers
    );
    // A token that was verified before is refused, too.
    let token = token("t-3", at(700));
    let check = |workers: &mut Workers, now| {
        let step = workers.engines[0].check(request(9, "/open", &token), now);
        done(step).record
    };
    assert_eq!(check(&mut workers, at(700)).reason, Some(ALLOWED));
    let first = workers.server.publisher.sequence();
    workers.server.publisher.publish([end("t-3")], at(700));
    workers.ticks(800, 1_400);
    let record = check(&mut workers, at(1_400));
    assert_eq!(record.reason, Some(Reason::Revoked));
    assert_eq!(record.detail.as_deref(), Some("its task was revoked"));
    let revocations = record.revocations.unwrap();
    assert_eq!((revocations.sequence, revocations.stale), (first + 1, false));
    // And withdrawn.
    let mut over = end("t-3");
    over["expires_at"] = json!(later(-1).to_string());
    workers.server.publisher.publish([over], at(1_400));
    workers.ticks(1_500, 2_100);
    assert_eq!(workers.all_say("t-3", at(2_100)), [ALLOWED; 4]);
    assert_eq!(workers.warnings.len(), 4, "one for the first list of each: {:?}", workers.warnings);
}

/// What was shared of an older list is nothing to be refused, and nothing to wait for.
#[test]
fn a_server_of_full_lists_only_reaches_every_worker_as_soon() {
    let mut workers = started(4, &configuration());
    workers.server.full_only = true;
    workers.tick(NOW);
    // It was signed again in the meantime, and the others were told.
    workers.ticks(100, 6_000);
    for round in 0..20 {
        let began = 6_000 + round * 900;
        let task = format!("t-{round}");
        workers.server.publisher.publish([end(&task)], at(began));
        workers.ticks(began + 100, began + 900);
        // The lease, and then each for itself.
        assert_eq!(workers.all_say(&task, at(began + 900)), [Reason::Revoked; 4], "{round}");
    }
    for worker in 0..4 {
        let stats = workers.stats(worker);
        assert_eq!((stats.fetches.failed, stats.fetches.refused.len()), (0, 0), "{stats:?}");
        assert!(stats.fetches.fetched < 4 * 22, "{stats:?}");
    }
}

#[test]
fn anonymous_calls_need_no_list_and_callers_of_all_sorts_do() {
    let mut config = configuration();
    config["bundle"]["inline"]["grants"].as_array_mut().unwrap().push(json!({"id": "all", "owner": "o",
        "purpose": "p", "subject": "anonymous", "hosts": ["h"], "methods": ["GET"], "paths": ["/all"]}));
    config["bundle"]["inline"]["policies"]["all.rego"] =
        json!("package everycall\ndecision := {\"allow\": true}");
    let workers = started(1, &config);
    let mut engine = workers.engines.into_iter().next().unwrap();
    let record = done(engine.check(get(1, "/all", &[]), NOW)).record;
    assert_eq!((record.reason, record.revocations), (Some(ALLOWED), None));
    assert_eq!(reason(engine.check(request(2, "/all", &token("t", NOW)), NOW)), Reason::RevocationsStale);
}

#[test]
fn what_waits_for_an_answer_is_asked_again_whether_it_was_revoked() {
    let mut workers = ready(&configuration());
    let (_, pending) = asks(workers.engines[0].check(request(1, "/ask", &token("t-1", NOW)), NOW));
    let (_, other) = asks(workers.engines[0].check(request(2, "/ask", &token("t-2", NOW)), NOW));
    workers.server.publisher.publish([end("t-1")], NOW);
    workers.ticks(100, 700);
    assert_eq!(reason(workers.engines[0].resume(pending, yes(), at(700))), Reason::Revoked);
    assert_eq!(reason(workers.engines[0].resume(other, yes(), at(700))), ALLOWED);
    // And whether that can still be told.
    let (_, pending) =
        asks(workers.engines[0].check(request(3, "/ask", &token("t-3", later(30))), later(30)));
    let decided = workers.engines[0].resume(pending, yes(), later(70));
    assert_eq!(reason(decided), Reason::RevocationsStale);
}

#[test]
fn a_heartbeat_renews_the_list_and_a_304_does_not() {
    let mut workers = ready(&configuration());
    for second in 1..=90 {
        workers.ticks(second * 1_000, second * 1_000 + 900);
    }
    assert_eq!(workers.all_say("t", later(91)), [ALLOWED; 2]);
    assert!(workers.server.answers.iter().any(|(status, _)| *status == 304));
    assert!(workers.server.answers.len() < 200, "{} of two workers in 90 s", workers.server.answers.len());
    // From now on it says that nothing has changed.
    let last = workers.stats(0).signed.unwrap().1;
    workers.feel(|_, reply| match reply {
        Reply::Http { headers, .. } => {
            Reply::Http { status: 304, headers, body: Vec::new(), trailers: Headers::default() }
        }
        failed => failed,
    });
    for second in 91..=200 {
        let now = later(second);
        workers.tick(now);
        let expected = if now.secs() - last.secs() > 60 { Reason::RevocationsStale } else { ALLOWED };
        assert_eq!(workers.all_say("t", now), [expected; 2], "{second}");
    }
    assert_eq!(workers.stats(0).freshness, Freshness::Stale);
    workers.server.mood = None;
    workers.ticks(201_000, 202_000);
    assert_eq!(workers.all_say("t", at(202_000)), [ALLOWED; 2]);
}

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
        workers.server.mood = None;
        workers.server.publisher.publish([end("t-4")], at(61_000));
        workers.ticks(61_100, 70_000);
        assert_eq!(workers.all_say("t-4", at(70_000)), [Reason::Revoked; 2], "{name}");
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

#[test]
fn pages_are_fetched_one_by_one_and_count_when_they_are_read() {
    let many: Vec<Value> = (0..20_000).map(|number| end(&format!("{number}-{}", "x".repeat(100)))).collect();
    let last = many.last().unwrap()["id"].as_str().unwrap().to_owned();
    let mut workers = started(1, &configuration());
    workers.server.publisher.publish(many.clone(), NOW);
    workers.tick(NOW);
    let pages: Vec<String> = workers.server.answers.iter().map(|(_, path)| path.clone()).collect();
    assert!(pages.len() > 3 && pages[0] == "/revocations" && pages[2] == "/revocations?page=3", "{pages:?}");
    assert_eq!(workers.all_say(&last, NOW), [Reason::Revoked]);
    assert_eq!(workers.stats(0).entries, 20_000);
    assert!(workers.slices > 200, "{}", workers.slices);
    // The list moves on while a second worker fetches it: it starts again.
    workers.add(&configuration());
    let moved = Rc::new(RefCell::new(0));
    let count = Rc::clone(&moved);
    workers.feel(move |call, reply| {
        let is_page = call.headers.iter().any(|(name, value)| name == ":path" && value.ends_with("page=3"));
        if is_page && *count.borrow() < 2 {
            *count.borrow_mut() += 1;
            return Reply::http(412, "");
        }
        reply
    });
    workers.tick(at(100));
    assert_eq!(workers.decides(1, "t-1", at(100)), Reason::RevocationsStale, "it is not complete");
    assert_eq!(workers.decides(1, "19-x", at(100)), Reason::RevocationsStale);
    workers.ticks(200, 5_000);
    assert_eq!(*moved.borrow(), 2);
    assert_eq!(workers.all_say(&last, at(5_000)), [Reason::Revoked; 2]);
    assert_eq!(workers.stats(1).entries, 20_000);
    // A page that does not come is asked for again, and not the whole.
    workers.add(&configuration());
    let cut = Rc::new(RefCell::new(false));
    let count = Rc::clone(&cut);
    workers.feel(move |call, reply| {
        let is_page = call.headers.iter().any(|(name, value)| name == ":path" && value.ends_with("page=2"));
        if is_page && !count.replace(true) {
            return Reply::Failed(Failure::Unavailable);
        }
        reply
    });
    workers.server.answers.clear();
    workers.ticks(5_100, 8_000);
    assert_eq!(workers.decides(2, &last, at(8_000)), Reason::Revoked);
    let full = workers
        .server
        .answers
        .iter()
        .filter(|(status, path)| *status == 200 && path == "/revocations")
        .count();
    assert_eq!(full, 1);
}

/// Pages of two lists never make one.
#[test]
fn pages_of_another_list_are_not_taken() {
    let facts: Vec<Value> = (0..10_000).map(|number| end(&format!("{number}-{}", "x".repeat(100)))).collect();
    let pages =
        |sequence, issued_at| test_feed_documents(&facts, &issue(sequence, None, issued_at), &key()).unwrap();
    let (one, later_one, next) = (pages(50, NOW), pages(50, later(1)), pages(51, NOW));
    assert_eq!(one.len(), 2);
    for (what, wrong) in
        [("signed later", &later_one[1]), ("of the next list", &next[1]), ("the first again", &one[0])]
    {
        let mut workers = started(1, &configuration());
        let (first, second) = (one[0].clone(), wrong.clone());
        workers.feel(move |call, _| {
            let is_page = call.headers.iter().any(|(name, value)| name == ":path" && value.contains("page="));
            Reply::http(200, if is_page { second.clone() } else { first.clone() })
        });
        workers.tick(NOW);
        assert_eq!(workers.refused(0), BTreeMap::from([(FileFault::Malformed, 1)]), "{what}");
        assert_eq!(workers.all_say("t", NOW), [Reason::RevocationsStale], "{what}");
    }
}

#[test]
fn a_list_is_bounded() {
    let mut config = configuration();
    config["revocations"]["remote"]["max_entries"] = json!(10);
    let facts = |many: usize| (0..many).map(|number| end(&format!("t-{number}"))).collect::<Vec<_>>();
    let mut workers = started(1, &config);
    workers.server.publisher.publish(facts(11), NOW);
    workers.tick(NOW);
    assert_eq!(workers.refused(0), BTreeMap::from([(FileFault::TooLarge, 1)]));
    assert_eq!(workers.all_say("t", NOW), [Reason::RevocationsStale]);
    assert_eq!(workers.stats(0).entries, 0);
    let mut workers = started(1, &config);
    workers.server.publisher.publish(facts(10), NOW);
    workers.tick(NOW);
    assert_eq!((workers.all_say("t-9", NOW), workers.stats(0).entries), (vec![Reason::Revoked], 10));
    // One more change than fits: the list is incomplete and grows old; what is known counts.
    workers.server.publisher.publish([end("more")], NOW);
    workers.ticks(500, 60_000);
    assert_eq!(workers.all_say("t-9", at(60_000)), [Reason::Revoked]);
    assert_eq!(workers.stats(0).entries, 10);
    assert_eq!(workers.all_say("more", at(62_000)), [Reason::RevocationsStale]);
    // A list that fits heals it: what expired is left out.
    let over = facts(5).into_iter().map(|mut fact| {
        fact["expires_at"] = json!(later(61).to_string());
        fact
    });
    workers.server.publisher.publish(over, at(62_000));
    workers.ticks(62_000, 70_000);
    workers.server.publisher.publish([end("t-9")], at(70_000));
    workers.ticks(70_000, 80_000);
    assert_eq!(workers.all_say("more", at(80_000)), [Reason::Revoked]);
    assert_eq!(workers.all_say("t-1", at(80_000)), [ALLOWED]);
}

/// A delta with a gap: the server forgot what changed, or says what leads on from elsewhere.
#[test]
fn who_can_not_follow_the_changes_fetches_the_list() {
    let mut workers = ready(&configuration());
    // More changes than are kept.
    for number in 0..1_100 {
        workers.server.publisher.publish([end(&format!("t-{number}"))], NOW);
    }
    poll(&mut workers, 100);
    workers.ticks(800, 2_000);
    assert_eq!(workers.all_say("t-0", at(2_000)), [Reason::Revoked; 2]);
    assert!(workers.server.answers.iter().any(|(status, _)| *status == 200));
    // What is sent does not lead on from here: the full list is asked for.
    let sequence = workers.server.publisher.sequence();
    workers.server.publisher.publish([end("next")], at(2_000));
    workers.server.answers.clear();
    workers.feel(move |_, reply| match reply {
        Reply::Http { status: 226, .. } => {
            Reply::http(226, document(&[end("x")], &issue(sequence + 9, Some(sequence + 8), NOW), &key()))
        }
        other => other,
    });
    workers.ticks(2_100, 6_000);
    assert_eq!(workers.all_say("next", at(6_000)), [Reason::Revoked; 2]);
    assert_eq!(workers.all_say("x", at(6_000)), [ALLOWED; 2]);
}

/// What a full list leaves out is not revoked any more, and what it has stays so all the time.
#[test]
fn a_full_list_replaces_what_was_known() {
    let mut workers = started(1, &configuration());
    let sequence = workers.server.publisher.sequence();
    let serve = |workers: &mut Workers, facts: Vec<Value>, sequence: u64, now: UnixTime| {
        let text = document(&facts, &issue(sequence, None, now), &key());
        workers.feel(move |_, _| Reply::http(200, text.clone()));
    };
    serve(&mut workers, vec![end("t-1"), end("t-2")], sequence, NOW);
    workers.tick(NOW);
    serve(&mut workers, vec![end("t-2"), end("t-3")], sequence + 1, NOW);
    workers.ticks(600, 1_200);
    for (task, expected) in [("t-1", ALLOWED), ("t-2", Reason::Revoked), ("t-3", Reason::Revoked)] {
        assert_eq!(workers.all_say(task, at(1_200)), [expected], "{task}");
    }
    assert_eq!(workers.stats(0).entries, 2);
    // A server without entity tags sends it again and again: that is no work, and renews it.
    workers.slices = 0;
    serve(&mut workers, vec![end("t-2"), end("t-3")], sequence + 1, later(50));
    workers.ticks(50_000, 51_000);
    assert!(workers.slices < 5, "{}", workers.slices);
    assert_eq!(workers.stats(0).signed, Some((sequence + 1, later(50))));
}

#[test]
fn a_worker_that_starts_anew_takes_no_older_list() {
    let mut workers = ready(&configuration());
    let sequence = workers.server.publisher.sequence();
    workers.server.publisher.publish([end("t-1")], NOW);
    workers.ticks(100, 700);
    workers.engines.clear();
    workers.add(&configuration());
    let old = document(&[], &issue(sequence, None, at(700)), &key());
    workers.feel(move |_, _| Reply::http(200, old.clone()));
    workers.ticks(800, 5_000);
    assert_eq!(workers.all_say("t-1", at(5_000)), [Reason::RevocationsStale]);
    assert!(workers.refused(0).contains_key(&FileFault::Older));
    workers.server.mood = None;
    workers.ticks(5_100, 11_000);
    assert_eq!(workers.all_say("t-1", at(11_000)), [Reason::Revoked]);
}

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

#[test]
fn a_clock_that_goes_back_and_forth_loses_nothing() {
    let mut workers = started(2, &configuration());
    workers.server.publisher.publish([end("t-1")], NOW);
    workers.tick(NOW);
    // Days ahead: by that clock the revocation is over, and the list is old.
    let ahead = later(200_000);
    workers.feel(|_, _| Reply::Failed(Failure::Unavailable));
    workers.tick(ahead);
    assert_eq!(workers.all_say("t-1", ahead), [Reason::RevocationsStale; 2]);
    for _ in 0..20 {
        workers.tick(ahead);
    }
    // And back: it still counts.
    workers.tick(later(1));
    assert_eq!(workers.all_say("t-1", later(1)), [Reason::Revoked; 2]);
    assert_eq!(workers.all_say("t-2", later(1)), [ALLOWED; 2]);
    // Hours back: the list is from the future, and that is no age.
    workers.tick(later(-7_200));
    assert_eq!(workers.all_say("t-2", later(-7_200)), [Reason::RevocationsStale; 2]);
    workers.server.mood = None;
    workers.ticks(2_000, 8_000);
    assert_eq!(workers.all_say("t-2", at(8_000)), [ALLOWED; 2]);
    assert_eq!(workers.all_say("t-1", at(8_000)), [Reason::Revoked; 2]);
}

#[test]
fn a_configuration_keeps_the_list_of_the_same_server_and_key() {
    let mut workers = started(1, &configuration());
    workers.server.publisher.publish([end("t-1")], NOW);
    workers.tick(NOW);
    workers.server.answers.clear();
    let mut config = configuration();
    config["log"] = json!({"records": "off"});
    workers.engines[0].configure(settings(&config));
    assert_eq!(workers.all_say("t-1", NOW), [Reason::Revoked]);
    assert_eq!(workers.all_say("t-2", NOW), [ALLOWED]);
    // Another key: nothing is known until it has signed.
    let other = TestKey::eddsa().unwrap();
    config["revocations"]["keys"] = other.public_jwks();
    workers.engines[0].configure(settings(&config));
    workers.tick(at(100));
    assert_eq!(workers.all_say("t-2", at(100)), [Reason::RevocationsStale]);
    assert_eq!(workers.all_say("t-1", at(100)), [Reason::Revoked], "what was revoked stays so");
    let sequence = workers.server.publisher.sequence();
    let signed = document(&[end("t-3")], &issue(sequence + 1, None, NOW), &other);
    workers.feel(move |_, _| Reply::http(200, signed.clone()));
    workers.ticks(200, 6_000);
    for (task, expected) in [("t-1", ALLOWED), ("t-2", ALLOWED), ("t-3", Reason::Revoked)] {
        assert_eq!(workers.all_say(task, at(6_000)), [expected], "{task}");
    }
    // In the configuration, and nowhere.
    config["revocations"] = json!({"inline": [end("t-4")]});
    workers.engines[0].configure(settings(&config));
    assert_eq!(workers.all_say("t-4", at(6_000)), [Reason::Revoked]);
    workers.prepare(0, at(6_000));
    assert_eq!(workers.all_say("t-3", at(6_000)), [ALLOWED]);
    assert!(workers.engines[0].stats().feeds.is_empty());
    config.as_object_mut().unwrap().remove("revocations");
    workers.engines[0].configure(settings(&config));
    assert_eq!(workers.all_say("t-4", at(6_000)), [ALLOWED]);
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

/// What counts is what was known when it was decided: who decides it again need not know any list.
#[test]
fn a_record_with_answers_is_decided_again_without_the_list() {
    let config = configuration();
    let mut workers = ready(&config);
    let (_, pending) = asks(workers.engines[0].check(request(1, "/ask", &token("t-1", NOW)), NOW));
    let record = done(workers.engines[0].resume(pending, yes(), NOW)).record;
    assert_eq!(record.reason, Some(ALLOWED));
    let again = super::engine(&config).replay(&record).record;
    assert_eq!(again, record);
    // The task has ended since.
    workers.server.publisher.publish([end("t-1")], NOW);
    poll(&mut workers, 100);
    assert_eq!(workers.engines[0].replay(&record).record, record);
}
