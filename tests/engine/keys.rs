//! Keys from servers: several workers that share one map, one clock, and a server that is told what
//! to answer.

mod sets;

use std::collections::BTreeMap;
use std::rc::Rc;

use everycall::mint::TestKey;
use everycall_core::engine::StreamClose;
use everycall_core::http::Failure;
use everycall_core::sync::{Freshness, LocalData, SharedData as _};
use everycall_core::{
    Algorithm, Effect, Engine, IdSeed, Pending, PureRust, Reason, Reply, Step, StreamId, UnixTime,
};
use serde_json::{json, Value};

use super::{later, reason, request, settings, Broken, NOW};

const ISSUER: &str = "https://id.shop.example/workloads";

/// The server: what it answers, and how often it was asked.
struct Server {
    reply: Reply,
    asked: usize,
}

/// Workers of one proxy.
struct Workers {
    engines: Vec<Engine>,
    server: Server,
    parked: BTreeMap<(usize, u64), Pending>,
    decided: Vec<(u64, Reason)>,
    notes: Vec<String>,
    warnings: Vec<String>,
}

fn configuration(remote: Value) -> Value {
    let mut config = super::configuration();
    let mut keys = json!({"cluster": "id", "host": "id.shop.example", "path": "/jwks", "wait_ms": 1000,
        "interval_s": 10, "refresh_s": 60, "max_stale_s": 600, "max_waiting": 3});
    for (name, value) in remote.as_object().unwrap() {
        keys[name] = value.clone();
    }
    config["issuers"][0]["algorithms"] = json!(["ES256", "RS256", "EdDSA"]);
    config["issuers"][0]["keys"] = json!({"remote": keys});
    config
}

fn set(algorithms: &[Algorithm]) -> Reply {
    let keys: Vec<Value> =
        algorithms.iter().map(|algorithm| TestKey::of(*algorithm).unwrap().public_jwk()).collect();
    Reply::http(200, json!({"keys": keys}).to_string())
}

fn token(algorithm: Algorithm, lifetime: i64, now: UnixTime) -> String {
    let key = TestKey::of(algorithm).unwrap();
    let claims = json!({"iss": ISSUER, "aud": "https://shop.example", "sub": "s", "iat": now.secs(),
        "exp": now.secs() + lifetime});
    format!("Bearer {}", key.sign(&key.header(), claims.as_object().unwrap()).unwrap())
}

impl Workers {
    fn new(count: usize, config: &Value) -> Self {
        let data = Rc::new(LocalData::default());
        let engine = |number: usize| {
            let data = Rc::clone(&data);
            Engine::new(settings(config), Box::new(PureRust), data, IdSeed::derive(&[&number.to_le_bytes()]))
        };
        Self {
            engines: (0..count).map(engine).collect(),
            server: Server { reply: set(&[Algorithm::Es256]), asked: 0 },
            parked: BTreeMap::new(),
            decided: Vec::new(),
            notes: Vec::new(),
            warnings: Vec::new(),
        }
    }

    /// Sends a request; `None` if it waits.
    fn send(&mut self, worker: usize, stream: u64, token: &str, now: UnixTime) -> Option<Reason> {
        match self.engines[worker].check(request(stream, "/open", token), now) {
            Step::Wait { pending } => {
                assert!(self.parked.insert((worker, stream), pending).is_none());
                None
            }
            step => Some(reason(step)),
        }
    }

    /// Ticks every worker, and answers what they fetch.
    fn tick(&mut self, now: UnixTime) {
        for worker in 0..self.engines.len() {
            let effects = self.engines[worker].tick(now);
            self.run(worker, effects, now);
        }
    }

    fn run(&mut self, worker: usize, effects: Vec<Effect>, now: UnixTime) {
        for effect in effects {
            match effect {
                Effect::Fetch { id, call } => {
                    assert_eq!((call.cluster.as_str(), call.timeout_ms), ("id", 2000));
                    self.server.asked += 1;
                    let reply = self.server.reply.clone();
                    let effects = self.engines[worker].fetched(id, reply, now);
                    self.run(worker, effects, now);
                }
                Effect::Wake { stream } => {
                    let Some(pending) = self.parked.remove(&(worker, stream.0)) else { continue };
                    match self.engines[worker].resume(pending, Vec::new(), now) {
                        Step::Wait { pending } => drop(self.parked.insert((worker, stream.0), pending)),
                        step => self.decided.push((stream.0, reason(step))),
                    }
                }
                Effect::Info { message } => self.notes.push(message),
                Effect::Warn { message } => self.warnings.push(message),
                other => panic!("{other:?}"),
            }
        }
    }

    fn state(&self, worker: usize) -> Freshness {
        self.engines[worker].stats().keys[0].freshness
    }
}

fn millis(millis: i64) -> UnixTime {
    UnixTime::from_micros(NOW.micros() + millis * 1000)
}

#[test]
fn four_workers_fetch_once_and_all_have_the_keys() {
    let mut workers = Workers::new(4, &configuration(json!({})));
    assert_eq!(
        workers.send(3, 1, &token(Algorithm::Es256, 60, NOW), NOW),
        None,
        "it waits for the first keys"
    );
    for at in 0..20 {
        workers.tick(millis(100 + at * 100));
    }
    assert_eq!(workers.server.asked, 1);
    assert_eq!(workers.decided, [(1, Reason::Allowed)]);
    for worker in 0..4 {
        assert_eq!(workers.state(worker), Freshness::Fresh);
        assert_eq!(
            workers.send(worker, 2, &token(Algorithm::Es256, 60, NOW), later(3)),
            Some(Reason::Allowed)
        );
    }
    // Ten minutes: about one fetch for each refresh, never two within the interval.
    for second in 3..600 {
        workers.tick(later(second));
    }
    assert!((10..=16).contains(&workers.server.asked), "{}", workers.server.asked);
}

#[test]
fn a_worker_that_read_the_clock_earlier_respects_a_later_lease() {
    let mut workers = Workers::new(2, &configuration(json!({})));
    workers.server.reply = Reply::Failed(Failure::Unavailable);
    for interval in 0..5 {
        let now = later(interval * 11);
        for (worker, micros) in [(0, 900), (1, 0), (0, 1_000), (1, 1_100)] {
            let now = UnixTime::from_micros(now.micros() + micros);
            let effects = workers.engines[worker].tick(now);
            workers.run(worker, effects, now);
        }
        assert_eq!(workers.server.asked, usize::try_from(interval).unwrap() + 1);
    }
}

#[test]
fn an_unknown_key_is_fetched_once_and_the_request_waits_for_it() {
    let mut workers = Workers::new(2, &configuration(json!({})));
    workers.tick(NOW);
    workers.tick(millis(100));
    // The interval after the first fetch is over, the refresh is not due.
    let at = later(20);
    workers.server.reply = set(&[Algorithm::Es256, Algorithm::EdDsa]);
    let rotated = token(Algorithm::EdDsa, 60, at);
    for stream in 1..=3 {
        assert_eq!(workers.send(0, stream, &rotated, at), None);
    }
    assert_eq!(workers.send(0, 4, &rotated, at), Some(Reason::KeysUnavailable), "three wait already");
    assert_eq!(workers.send(1, 5, &rotated, at), None, "another worker has its own three");
    workers.tick(later(20));
    workers.tick(later(20));
    assert_eq!(workers.server.asked, 2);
    workers.decided.sort();
    assert_eq!(workers.decided, [1, 2, 3, 5].map(|stream| (stream, Reason::Allowed)));
    // The old key is still there, and a token of neither is refused without another fetch.
    assert_eq!(workers.send(0, 6, &token(Algorithm::Es256, 60, at), at), Some(Reason::Allowed));
}

#[test]
fn after_a_fruitless_refresh_the_answer_is_no_and_stays_no_for_the_interval() {
    let mut workers = Workers::new(1, &configuration(json!({})));
    workers.tick(NOW);
    let stranger = token(Algorithm::EdDsa, 600, NOW);
    let at = later(20);
    assert_eq!(workers.send(0, 1, &stranger, at), None);
    workers.tick(at);
    assert_eq!(workers.decided, [(1, Reason::TokenKeyUnknown)]);
    for second in 21..29 {
        assert_eq!(workers.send(0, 2, &stranger, later(second)), Some(Reason::TokenKeyUnknown));
        workers.tick(later(second));
    }
    assert_eq!(workers.server.asked, 2, "one for the keys, one for the stranger");
    // Later it may be known: it is asked again.
    assert_eq!(workers.send(0, 3, &stranger, later(31)), None);
    workers.tick(later(31));
    assert_eq!((workers.server.asked, workers.decided.last()), (3, Some(&(3, Reason::TokenKeyUnknown))));
}

#[test]
fn a_flood_of_unknown_keys_makes_one_fetch_an_interval_and_never_piles_up() {
    let mut workers = Workers::new(4, &configuration(json!({})));
    workers.tick(NOW);
    let key = TestKey::of(Algorithm::EdDsa).unwrap();
    let mut refused: BTreeMap<&str, usize> = BTreeMap::new();
    for at in 0..300 {
        let now = millis(20_000 + at * 100);
        for worker in 0..4 {
            let mut header = key.header();
            header.insert("kid".into(), json!(format!("random-{worker}-{at}")));
            let claims = json!({"iss": ISSUER, "aud": "https://shop.example", "sub": "s", "iat": now.secs(), "exp": now.secs() + 60});
            let token = format!("Bearer {}", key.sign(&header, claims.as_object().unwrap()).unwrap());
            let stream = u64::try_from(at * 4).unwrap() + worker as u64;
            if let Some(reason) = workers.send(worker, stream, &token, now) {
                *refused.entry(reason.code()).or_default() += 1;
            }
            assert!(workers.engines[worker].stats().awaiting_keys <= 3);
        }
        workers.tick(now);
    }
    // 30 seconds: at most one at their beginning, and one for each interval of ten.
    assert!(workers.server.asked <= 1 + 4, "{} fetches", workers.server.asked);
    assert!(
        refused.keys().all(|code| ["keys_unavailable", "token_key_unknown"].contains(code)),
        "{refused:?}"
    );
    assert!(workers.decided.iter().all(|(_, reason)| *reason != Reason::Allowed));
    // Who has a good token does not notice.
    assert_eq!(
        workers.send(0, 9_999, &token(Algorithm::Es256, 60, later(50)), later(50)),
        Some(Reason::Allowed)
    );
}

#[test]
fn keys_live_on_over_a_changed_policy_and_not_over_a_changed_source() {
    let mut workers = Workers::new(1, &configuration(json!({})));
    workers.tick(NOW);
    let mut config = configuration(json!({}));
    config["log"] = json!({"records": "off"});
    workers.engines[0].configure(settings(&config));
    assert_eq!(workers.state(0), Freshness::Fresh);
    // A request that waits for keys of a source that is gone is decided anew.
    assert_eq!(workers.send(0, 1, &token(Algorithm::EdDsa, 60, later(20)), later(20)), None);
    workers.engines[0].configure(settings(&configuration(json!({"host": "other.shop.example"}))));
    assert_eq!(workers.state(0), Freshness::Missing);
    workers.tick(later(20));
    workers.tick(millis(21_100));
    assert_eq!(workers.decided, [(1, Reason::TokenKeyUnknown)]);
}

#[test]
fn one_key_id_at_two_issuers_is_two_keys() {
    let mut config = configuration(json!({}));
    let mut other = config["issuers"][0].clone();
    other["issuer"] = json!("https://other.example");
    other["keys"] = json!({"inline": {"keys": [TestKey::foreign(Algorithm::Es256).unwrap().public_jwk()]}});
    other["keys"]["inline"]["keys"][0]["kid"] = json!("test-only-es256");
    config["issuers"].as_array_mut().unwrap().push(other);
    let mut workers = Workers::new(1, &config);
    workers.tick(NOW);
    assert_eq!(workers.send(0, 1, &token(Algorithm::Es256, 60, NOW), later(1)), Some(Reason::Allowed));
    let key = TestKey::of(Algorithm::Es256).unwrap();
    let claims = json!({"iss": "https://other.example", "aud": "https://shop.example", "sub": "s",
        "iat": NOW.secs(), "exp": NOW.secs() + 60});
    let crossed = format!("Bearer {}", key.sign(&key.header(), claims.as_object().unwrap()).unwrap());
    assert_eq!(workers.send(0, 2, &crossed, later(1)), Some(Reason::TokenSignature));
}

#[test]
fn a_stream_that_leaves_is_not_woken_and_frees_its_place() {
    let mut workers = Workers::new(1, &configuration(json!({"max_waiting": 1})));
    let token = token(Algorithm::Es256, 60, NOW);
    assert_eq!(workers.send(0, 1, &token, NOW), None);
    assert_eq!(workers.send(0, 2, &token, NOW), Some(Reason::KeysUnavailable));
    workers.engines[0].ended(StreamId(1), StreamClose::default(), NOW);
    workers.parked.clear();
    assert_eq!(workers.send(0, 3, &token, NOW), None);
    workers.tick(millis(100));
    assert_eq!(workers.decided, [(3, Reason::Allowed)]);
}

#[test]
fn without_shared_data_each_worker_keeps_the_interval_for_itself() {
    let mut workers = Workers::new(0, &configuration(json!({})));
    for number in 0..2_u8 {
        let settings = settings(&configuration(json!({})));
        let seed = IdSeed::derive(&[&[number]]);
        workers.engines.push(Engine::new(settings, Box::new(PureRust), Rc::new(Broken), seed));
    }
    workers.server.reply = Reply::Failed(Failure::Unavailable);
    for second in 0..30 {
        workers.tick(later(second));
    }
    assert_eq!(workers.server.asked, 2 * 3);
    workers.server.reply = set(&[Algorithm::Es256]);
    workers.tick(later(30));
    for worker in 0..2 {
        assert_eq!(
            workers.send(worker, 1, &token(Algorithm::Es256, 60, later(30)), later(30)),
            Some(Reason::Allowed)
        );
    }
}

#[test]
fn what_somebody_else_shares_is_not_believed() {
    let data = Rc::new(LocalData::default());
    let config = configuration(json!({}));
    let engine = |data: &Rc<LocalData>| {
        let data = Rc::clone(data);
        Engine::new(settings(&config), Box::new(PureRust), data, IdSeed::derive(&[]))
    };
    let mut first = engine(&data);
    let fetch = |engine: &mut Engine, now: UnixTime| {
        engine.tick(now).into_iter().find_map(|effect| match effect {
            Effect::Fetch { id, .. } => Some(id),
            _ => None,
        })
    };
    let id = fetch(&mut first, NOW).unwrap();
    drop(first.fetched(id, set(&[Algorithm::Es256]), NOW));
    // Whoever can write there writes a set of his own over each entry, and then rubbish.
    let Reply::Http { body: forged, .. } = set(&[Algorithm::EdDsa]) else { panic!() };
    for name in data.names() {
        for bytes in [forged.clone(), [vec![0; 32], forged.clone()].concat(), Vec::new()] {
            let (_, version) = data.get(&name).unwrap().unwrap();
            data.put(&name, &bytes, Some(version)).unwrap();
            let mut second = engine(&data);
            for tenth in 0..20 {
                drop(second.tick(millis(100 + tenth * 100)));
            }
            let stranger = request(1, "/open", &token(Algorithm::EdDsa, 60, NOW));
            assert!(
                !matches!(second.check(stranger, later(3)), Step::Done(decision) if decision.verdict.is_ok()),
                "{name}"
            );
        }
    }
}
