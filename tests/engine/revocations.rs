//! Revocations from a server: several workers that share one map, one clock, and a server that does
//! what the protocol says, until it is told to do something else.

mod answers;
mod lists;
mod shared;

use std::collections::BTreeMap;

use everycall::feed_file::FeedIssue;
use everycall::mint::TestKey;
use everycall::publisher::Publisher;
use everycall_core::facts::FeedKind;
use everycall_core::http::Failure;
use everycall_core::sync::{FileFault, FollowerStats, Freshness, LocalData, SharedData};
use everycall_core::{Call, Headers, Reason, Reply, UnixTime};
use everycall_tests::feeds::{self, document};
use serde_json::{json, Value};

use super::workers::{self, Server};
use super::{asks, done, get, later, reason, request, settings, yes, NOW};

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
    assert_eq!(workers.notes.len(), 4, "one for the first list of each: {:?}", workers.notes);
    assert!(workers.warnings.is_empty(), "{:?}", workers.warnings);
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
