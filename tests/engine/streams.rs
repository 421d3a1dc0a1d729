//! Streams that stay open: when they are over, and what becomes of them when what they rest on
//! changes. The host is one that does what it is told.

mod decided_again;
mod ends;
mod revoked;

use std::collections::BTreeMap;

use everycall::cases::CaseFile;
use everycall::feed_file::FeedIssue;
use everycall_core::engine::StreamClose;
use everycall_core::facts::FeedKind;
use everycall_core::http::Failure;
use everycall_core::record::StreamRecord;
use everycall_core::{Effect, Engine, Pending, Reply, Request, Step, StreamId, UnixTime, Work};
use everycall_tests::feeds;
use serde_json::{json, Value};

use super::{asks, configuration, done, engine, later, request, settings, yes, NOW};

pub(super) fn millis(millis: i64) -> UnixTime {
    UnixTime::from_micros(NOW.micros() + millis * 1_000)
}

/// An engine, and what it told its host to do.
pub(super) struct Host {
    pub(super) engine: Engine,
    pub(super) now: UnixTime,
    /// Why each stream was cut.
    cut: BTreeMap<StreamId, String>,
    pub(super) asked: Vec<(StreamId, Pending)>,
    /// Of streams that ended.
    pub(super) records: Vec<StreamRecord>,
    slices: usize,
    /// What the server of the feed answers.
    list: Option<Vec<u8>>,
}

impl Host {
    pub(super) fn new(config: &Value) -> Self {
        let (cut, asked, records) = (BTreeMap::new(), Vec::new(), Vec::new());
        Self { engine: engine(config), now: NOW, cut, asked, records, slices: 0, list: None }
    }

    /// One that knows a list of revocations without any.
    fn with_list(config: &Value) -> Self {
        let mut host = Self::new(config);
        host.publish(1, &[]);
        host.tick(NOW);
        host
    }

    /// Lets a request pass that is decided at once.
    pub(super) fn admit(&mut self, stream: u64, path: &str, token: &str) {
        self.admit_request(request(stream, path, token));
    }

    fn admit_request(&mut self, request: Request) {
        let step = self.engine.check(request, self.now);
        self.pass(step);
    }

    /// The same for one whose policy asks a decision point, which says yes.
    pub(super) fn admit_asking(&mut self, stream: u64, path: &str, token: &str) {
        let (_, pending) = asks(self.engine.check(request(stream, path, token), self.now));
        let step = self.engine.resume(pending, yes(), self.now);
        self.pass(step);
    }

    fn pass(&mut self, step: Step) {
        let (_, admission) = done(step).verdict.unwrap().into_parts();
        self.engine.admitted(admission);
    }

    fn configure(&mut self, config: &Value) {
        self.engine.configure(settings(config));
    }

    /// Something changes in the configuration, so that open streams are decided again.
    fn change(&mut self, config: &mut Value) {
        config["limits"] = json!({"pdp_rounds": 1});
        self.configure(config);
    }

    /// A tick, and all the work that it finds.
    pub(super) fn tick(&mut self, now: UnixTime) {
        self.now = now;
        let effects = self.engine.tick(now);
        self.run(effects);
        let records = self.engine.work(Work::Records, now);
        self.run(records);
        while self.engine.has_work(Work::Updates) {
            let effects = self.engine.work(Work::Updates, now);
            self.run(effects);
        }
        while self.engine.has_work(Work::Streams) {
            self.slices += 1;
            let effects = self.engine.work(Work::Streams, now);
            self.run(effects);
        }
    }

    /// Ticks every 100 ms until then.
    pub(super) fn until(&mut self, then: UnixTime) {
        while self.now < then {
            self.tick(UnixTime::from_micros(self.now.micros() + 100_000));
        }
    }

    fn run(&mut self, effects: Vec<Effect>) {
        for effect in effects {
            match effect {
                Effect::Cut { stream, refusal } => {
                    let reason = refusal.details.strip_prefix("everycall_cut{reason=").unwrap();
                    self.cut.insert(stream, reason.trim_end_matches('}').to_owned());
                    let close = StreamClose { received: Some(100), sent: Some(2_000), timed_out: false };
                    assert!(self
                        .engine
                        .open_stream(stream)
                        .is_some_and(|open| open.asks_for_close(self.now)));
                    self.engine.ended(stream, close, self.now);
                }
                Effect::Ask { stream, calls, pending } => {
                    assert_eq!(calls.len(), 1);
                    self.asked.push((stream, pending));
                }
                Effect::Emit { record: everycall_core::Record::Stream(record) } => self.records.push(*record),
                Effect::Fetch { id, .. } => {
                    let reply = self
                        .list
                        .clone()
                        .map_or(Reply::Failed(Failure::Unavailable), |list| Reply::http(200, list));
                    let effects = self.engine.fetched(id, reply, self.now);
                    self.run(effects);
                }
                Effect::Info { .. } | Effect::Warn { .. } => {}
                other => panic!("{other:?}"),
            }
        }
    }

    /// The server's list holds this from now on.
    fn publish(&mut self, sequence: u64, facts: &[Value]) {
        self.publish_as(FeedKind::Revocations, sequence, facts);
    }

    pub(super) fn publish_as(&mut self, feed: FeedKind, sequence: u64, facts: &[Value]) {
        let issue = FeedIssue { expires_at: later(86_400), ..feeds::issue(feed, sequence, self.now) };
        self.list = Some(feeds::document(facts, &issue, &super::bundle::key()));
    }

    pub(super) fn answer(&mut self, replies: Vec<Reply>) {
        let (_, pending) = self.asked.remove(0);
        let effects = self.engine.answered(pending, replies, self.now);
        self.run(effects);
    }

    pub(super) fn cut_for(&self, stream: u64) -> Option<&str> {
        self.cut.get(&StreamId(stream)).map(String::as_str)
    }

    pub(super) fn open(&self) -> usize {
        self.engine.stats().streams.open
    }

    /// What the host is told about the longest life of the stream of such a request.
    fn ceiling(&mut self, path: &str, token: &str) -> String {
        let decision = done(self.engine.check(request(9, path, token), self.now));
        let permit = decision.verdict.unwrap();
        let mut set = permit.headers_to_set();
        set.find(|(name, _)| *name == "x-envoy-upstream-stream-duration-ms").unwrap().1.to_owned()
    }
}

/// The configuration with a server of revocations.
fn with_feed() -> Value {
    let mut config = configuration();
    config["revocations"] = json!({"keys": super::bundle::key().public_jwks(),
        "remote": {"cluster": "r", "host": "r", "path": "/r"}});
    config
}

/// A token for a task of the subject `s`.
pub(super) fn token_of_task(task: &str) -> String {
    let file = json!({"about": "a", "cases": [{"name": "a", "expect": {"decision": "allow"},
        "request": {"method": "GET", "host": "h", "path": "/"},
        "token": {"issuer": "https://id.shop.example/workloads",
                  "claims": {"sub": "s", "task": task, "exp": {"$now": 600}}}}]});
    let file = CaseFile::parse("inline", &file.to_string()).unwrap();
    let wire = file.cases[0].request(&configuration(), NOW).unwrap();
    String::from_utf8(wire.headers.into_iter().find(|(name, _)| name == "authorization").unwrap().1).unwrap()
}

/// Adds a rule set and a grant of this name; the rule is what `decision` has behind `if`.
pub(super) fn with_rule(config: &mut Value, name: &str, condition: &str) {
    let bundle = &mut config["bundle"]["inline"];
    let rego = format!("package everycall.{name}\ndecision := {{\"allow\": true}} if {condition}");
    bundle["policies"][format!("{name}.rego")] = json!(rego);
    let mut grant = bundle["grants"][0].clone();
    (grant["id"], grant["policy"], grant["paths"]) = (json!(name), json!(name), json!([format!("/{name}")]));
    bundle["grants"].as_array_mut().unwrap().push(grant);
}

fn public(config: &mut Value) {
    with_rule(config, "public", "true");
    let grant = config["bundle"]["inline"]["grants"].as_array_mut().unwrap().last_mut().unwrap();
    grant["subject"] = json!("anonymous");
    grant.as_object_mut().unwrap().remove("kinds");
}
