//! Streams that stay open: when they are over, and what becomes of them when what they rest on
//! changes. The host is one that does what it is told.

use std::collections::BTreeMap;

use everycall::cases::CaseFile;
use everycall::feed_file::FeedIssue;
use everycall_core::engine::StreamClose;
use everycall_core::facts::FeedKind;
use everycall_core::http::Failure;
use everycall_core::record::{StreamEnd, StreamRecord};
use everycall_core::{Effect, Engine, Pending, Reason, Reply, Request, Step, StreamId, UnixTime, Work};
use everycall_tests::feeds;
use serde_json::{json, Value};

use super::{asks, configuration, done, engine, get, later, reason, request, settings, token, yes, NOW};

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
                Effect::Warn { .. } => {}
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

#[test]
fn a_stream_is_cut_when_its_token_expires_and_others_stay() {
    let mut host = Host::new(&configuration());
    host.admit(1, "/open", &token(10));
    host.admit(2, "/open", &token(60));
    host.until(millis(9_900));
    assert_eq!((host.cut.len(), host.open()), (0, 2));
    host.until(millis(10_300));
    assert_eq!((host.cut_for(1), host.cut_for(2)), (Some("token_expired"), None));
    host.tick(host.now);
    let record = &host.records[0];
    assert_eq!(record.reason, StreamEnd::Over(Reason::TokenExpired));
    assert!(record.cut && (10.0..10.4).contains(&record.open_s), "{record:?}");
    assert_eq!((record.bytes_received, record.bytes_sent), (Some(100), Some(2_000)));
    assert_eq!(record.identity.as_ref().unwrap().id, "s");
    assert_eq!((record.grant.as_deref(), host.records.len()), (Some("open"), 1));
    let stats = host.engine.stats().streams;
    assert_eq!((stats.open, stats.cut[&Reason::TokenExpired]), (1, 1));
    assert_eq!(stats.ended[&StreamEnd::Over(Reason::TokenExpired)], 1);
    host.until(millis(60_300));
    assert_eq!((host.cut_for(2), host.open()), (Some("token_expired"), 0));
}

/// Whatever ends first ends the stream, and its name is the reason.
#[test]
fn a_stream_ends_with_the_first_thing_that_it_rests_on() {
    let mut config = configuration();
    config["streams"] = json!({"max_s": 40});
    with_rule(&mut config, "short", "true");
    let grants = config["bundle"]["inline"]["grants"].as_array_mut().unwrap();
    grants.last_mut().unwrap()["valid_until"] = json!(later(20).to_string());
    let obliged =
        "package everycall.obliged\ndecision := {\"allow\": true, \"obligations\": {\"max_stream_s\": 5}}";
    with_rule(&mut config, "obliged", "true");
    config["bundle"]["inline"]["policies"]["obliged.rego"] = json!(obliged);
    with_rule(&mut config, "elevated", "true");
    let grants = config["bundle"]["inline"]["grants"].as_array_mut().unwrap();
    grants.last_mut().unwrap()["requires_elevation"] = json!(true);
    config["bundle"]["inline"]["elevations"] = json!([{"id": "e", "subject": "s", "grants": ["elevated"],
        "approver": "a", "ticket": "t", "reason": "r", "valid_from": later(-5).to_string(),
        "valid_until": later(15).to_string()}]);
    public(&mut config);
    let mut host = Host::new(&config);
    for (stream, path, lifetime) in
        [(1, "/open", 10), (2, "/short", 60), (3, "/obliged", 60), (4, "/elevated", 60), (5, "/open", 60)]
    {
        host.admit(stream, path, &token(lifetime));
    }
    host.admit_request(get(6, "/public", &[]));
    for (at, stream, expected) in [
        (5, 3, "duration_cap"),
        (10, 1, "token_expired"),
        (15, 4, "elevation_inactive"),
        (20, 2, "not_granted"),
        (40, 5, "duration_cap"),
    ] {
        host.until(millis(at * 1_000 - 100));
        assert_eq!(host.cut_for(stream), None, "{stream}");
        host.until(millis(at * 1_000 + 300));
        assert_eq!(host.cut_for(stream), Some(expected), "{stream}");
    }
    assert_eq!(host.cut_for(6), Some("duration_cap"), "nobody's, and as long");
    host.tick(host.now);
    let elevated = host.records.iter().find(|record| record.elevation.is_some()).unwrap();
    assert_eq!(elevated.elevation.as_deref(), Some("e"));
}

#[test]
fn every_admitted_request_has_a_native_ceiling() {
    let mut config = configuration();
    config["streams"] = json!({"max_s": 30});
    public(&mut config);
    config["observe"] = json!({"hosts": ["h"], "paths": ["/{rest...}"], "until": later(20).to_string()});
    let mut host = Host::new(&config);
    assert_eq!(host.ceiling("/open", &token(10)), "10000");
    assert_eq!(host.ceiling("/open", &token(60)), "30000");
    let permit = done(host.engine.check(get(1, "/public", &[]), NOW)).verdict.unwrap();
    assert!(permit.headers_to_set().any(|set| set == ("x-envoy-upstream-stream-duration-ms", "30000")));
    // A request that is only observed lives no longer than observing does.
    assert_eq!(host.ceiling("/nowhere", &token(60)), "20000");
    assert_eq!(host.ceiling("/nowhere", &token(10)), "10000");
}

/// The host ends it by itself at the same moment: it is no less over for that.
#[test]
fn an_end_by_the_host_s_own_clock_has_the_reason() {
    let mut host = Host::new(&configuration());
    host.admit(1, "/open", &token(10));
    for stream in 2..=4 {
        host.admit(stream, "/open", &token(10));
    }
    host.until(millis(8_800));
    // Its timers are early by a little. One that is early by more is for another reason.
    let timed_out = StreamClose { timed_out: true, ..StreamClose::default() };
    for (stream, close, at, expected) in [
        (1, timed_out, 8_900, None),
        (2, StreamClose::default(), 9_990, None),
        (3, timed_out, 9_990, Some(Reason::TokenExpired)),
        (4, StreamClose::default(), 10_000, Some(Reason::TokenExpired)),
    ] {
        assert_eq!(host.engine.ended(StreamId(stream), close, millis(at)), expected, "{stream}");
    }
    host.tick(millis(10_100));
    let ends: Vec<_> = host.records.iter().map(|record| (record.reason.code(), record.cut)).collect();
    let (closed, expired) = (("closed", false), ("token_expired", true));
    assert_eq!(ends, [closed, closed, expired, expired]);
    assert!(host.cut.is_empty() && host.records[0].bytes_sent.is_none());
}

#[test]
fn ends_are_recorded_of_long_streams_and_of_cut_ones() {
    for (choice, after, expected) in [
        ("all", 5, vec!["token_expired", "closed"]),
        ("all", 0, vec!["closed", "token_expired", "closed"]),
        ("refusals", 0, vec!["token_expired"]),
        ("off", 0, vec![]),
    ] {
        let mut config = configuration();
        config["log"] = json!({"records": choice, "streams_after_s": after});
        let mut engine = engine(&config);
        for (stream, lifetime) in [(1, 60), (2, 4), (3, 60)] {
            let permit = done(engine.check(request(stream, "/open", &token(lifetime)), NOW)).verdict;
            engine.admitted(permit.unwrap().into_parts().1);
        }
        let mut asked_for = 0;
        for (stream, ends) in [(1, 4), (2, 5), (3, 6)] {
            // Only then is the host asked how much went through.
            asked_for += usize::from(
                engine.open_stream(StreamId(stream)).is_some_and(|open| open.asks_for_close(later(ends))),
            );
            engine.ended(StreamId(stream), StreamClose::default(), later(ends));
        }
        assert_eq!(asked_for, expected.len().max(1), "{choice}: the access log shows the one that was cut");
        let effects = engine.work(Work::Records, NOW);
        let ends: Vec<_> = effects
            .into_iter()
            .map(|effect| match effect {
                Effect::Emit { record: everycall_core::Record::Stream(record) } => record.reason.code(),
                other => panic!("{other:?}"),
            })
            .collect();
        assert_eq!(ends, expected, "{choice}");
    }
}

#[test]
fn a_stream_that_is_gone_is_not_cut() {
    let mut host = Host::new(&configuration());
    for stream in 1..=3 {
        host.admit(stream, "/open", &token(10));
    }
    // One while it is young, one once it is settled.
    assert_eq!(host.engine.ended(StreamId(1), StreamClose::default(), millis(1)), None);
    host.until(millis(1_000));
    host.engine.ended(StreamId(2), StreamClose::default(), host.now);
    // What was never there, or twice.
    host.engine.ended(StreamId(2), StreamClose::default(), host.now);
    host.engine.ended(StreamId(77), StreamClose::default(), host.now);
    host.until(millis(12_000));
    assert_eq!(host.cut.into_keys().collect::<Vec<_>>(), [StreamId(3)]);
    assert_eq!(host.engine.stats().streams.open, 0);
    assert_eq!(host.engine.stats().streams.ended[&StreamEnd::Closed], 2);
}

/// A cut that the host did not carry out is told again, and counts once the stream has ended.
#[test]
fn a_cut_is_told_again_until_the_stream_has_ended() {
    let mut engine = engine(&configuration());
    let permit = done(engine.check(request(1, "/open", &token(2)), NOW)).verdict.unwrap();
    engine.admitted(permit.into_parts().1);
    let mut cuts = Vec::new();
    for step in 0..60 {
        let now = millis(step * 100);
        drop(engine.tick(now));
        while engine.has_work(Work::Streams) {
            let told = engine.work(Work::Streams, now);
            cuts.extend(told.into_iter().map(|_| step));
        }
    }
    assert!((3..=5).contains(&cuts.len()) && cuts[0] >= 20, "{cuts:?}");
    assert!(engine.open_stream(StreamId(1)).is_some_and(|open| open.is_cut()));
    assert_eq!(engine.ended(StreamId(1), StreamClose::default(), later(6)), Some(Reason::TokenExpired));
    assert!(!engine.open_stream(StreamId(1)).is_some_and(|open| open.is_cut()));
}

#[test]
fn a_new_configuration_decides_open_streams_again() {
    let mut config = configuration();
    with_rule(&mut config, "role", "input.request.headers[\"x-a\"][0] == \"1\"");
    let mut host = Host::new(&config);
    host.admit(1, "/open", &token(60));
    let mut with_header = |stream, value: &str| {
        host.admit_request(get(stream, "/role", &[("authorization", &token(60)), ("x-a", value)]));
    };
    with_header(2, "1");
    host.until(millis(1_000));
    // Young ones are decided again as well.
    host.admit(3, "/open", &token(60));
    host.change(&mut config);
    host.until(millis(2_000));
    assert!(host.cut.is_empty(), "it says the same: {:?}", host.cut);

    let role =
        "package everycall.role\ndecision := {\"allow\": true} if input.request.headers[\"x-a\"][0] == \"2\"";
    config["bundle"]["inline"]["policies"]["role.rego"] = json!(role);
    host.configure(&config);
    host.until(millis(3_000));
    assert_eq!(host.cut.keys().map(|id| id.0).collect::<Vec<_>>(), [2]);
    assert_eq!(host.cut_for(2), Some("policy_undefined"));

    config["bundle"]["inline"]["grants"].as_array_mut().unwrap().retain(|grant| grant["id"] != "open");
    host.configure(&config);
    host.until(millis(4_000));
    assert_eq!((host.cut_for(1), host.cut_for(3)), (Some("not_granted"), Some("not_granted")));
    assert!(host.records.iter().all(|record| record.detail.is_some()));
}

#[test]
fn a_caller_whom_the_configuration_does_not_know_any_more_is_cut() {
    let base = configuration();
    let mut without_issuer = base.clone();
    without_issuer["issuers"].as_array_mut().unwrap().remove(0);
    let mut other_key = base.clone();
    other_key["issuers"][0]["keys"]["inline"]["keys"] = base["issuers"][1]["keys"]["inline"]["keys"].clone();
    other_key["issuers"][0]["algorithms"] = base["issuers"][1]["algorithms"].clone();
    for (change, expected) in [(without_issuer, "token_issuer"), (other_key, "token_key_unknown")] {
        let mut host = Host::new(&base);
        host.admit(1, "/open", &token(60));
        host.until(millis(1_000));
        host.configure(&change);
        host.until(millis(2_000));
        assert_eq!(host.cut_for(1), Some(expected), "{expected}");
    }
}

#[test]
fn a_stream_whose_request_was_not_kept_is_cut_when_policy_changes() {
    let mut config = configuration();
    let mut host = Host::new(&config);
    for (stream, size) in [(1, 100), (2, 9_000)] {
        let large = "a".repeat(size);
        host.admit_request(get(stream, "/open", &[("authorization", &token(60)), ("x-a", &large)]));
    }
    host.until(millis(5_000));
    assert!(host.cut.is_empty(), "nothing has changed");
    host.change(&mut config);
    host.until(millis(6_000));
    assert_eq!((host.cut_for(1), host.cut_for(2)), (None, Some("stream_not_kept")));
}

/// A fact of the connection that was not asked for reads like one that is not so.
#[test]
fn a_policy_that_reads_facts_that_were_not_asked_for_cuts() {
    let mut config = configuration();
    let mut host = Host::new(&config);
    host.admit(1, "/open", &token(60));
    host.until(millis(1_000));
    let open = "package everycall.open\ndecision := {\"allow\": true} if not input.connection.mtls == true";
    config["bundle"]["inline"]["policies"]["open.rego"] = json!(open);
    host.configure(&config);
    host.until(millis(2_000));
    assert_eq!(host.cut_for(1), Some("stream_not_kept"));
}

#[test]
fn a_policy_that_reads_the_time_is_asked_again_as_time_goes_by() {
    let mut config = configuration();
    let until = NOW.secs() + 25;
    with_rule(&mut config, "timed", &format!("input.time < {until}"));
    with_rule(&mut config, "left", "input.identity.expires_in > 20");
    for (every, low, high) in [(10, 25, 36), (1, 25, 27)] {
        config["streams"] = json!({"redecide_s": every});
        let mut host = Host::new(&config);
        host.admit(1, "/timed", &token(600));
        host.admit(2, "/open", &token(600));
        host.admit(3, "/left", &token(50));
        host.until(later(low));
        assert!(host.cut.is_empty(), "every {every} s");
        host.until(later(high));
        assert_eq!((host.cut_for(1), host.cut_for(2)), (Some("policy_undefined"), None), "every {every} s");
        host.until(later(42));
        assert_eq!(host.cut_for(3), Some("policy_undefined"), "every {every} s");
    }
}

/// Streams of rule sets that ask the decision point `default`.
fn asking(count: u64) -> (Host, Value) {
    let mut config = configuration();
    let mut host = Host::new(&config);
    for stream in 1..=count {
        host.admit_asking(stream, "/ask", &token(600));
    }
    host.until(millis(1_000));
    host.change(&mut config);
    host.until(millis(1_100));
    (host, config)
}

#[test]
fn a_decision_point_is_asked_again_about_open_streams() {
    let no = || vec![Reply::http(200, br#"{"decision":false}"#)];
    for (replies, expected) in
        [(yes(), None), (no(), Some("pdp_denied")), (Vec::new(), Some("pdp_unavailable"))]
    {
        let (mut host, _) = asking(1);
        assert_eq!(host.asked.len(), 1, "{expected:?}");
        host.answer(replies);
        host.until(millis(3_000));
        assert_eq!(host.cut_for(1), expected);
        assert_eq!(host.engine.stats().pending, 0, "{expected:?}");
    }
}

/// Requests need decision points, too: open streams are asked about in turn.
#[test]
fn not_all_streams_are_asked_about_at_once() {
    let (mut host, _) = asking(100);
    let mut asked = 0;
    while !host.asked.is_empty() {
        assert!(host.asked.len() <= 16, "{}", host.asked.len());
        asked += 1;
        host.answer(yes());
        host.tick(host.now);
    }
    assert_eq!((asked, host.cut.len(), host.open()), (100, 0, 100));
    assert_eq!(reason(host.engine.check(request(200, "/open", &token(600)), host.now)), Reason::Allowed);
}

#[test]
fn a_stream_may_end_or_change_while_it_is_asked_about() {
    let (mut host, mut config) = asking(3);
    assert_eq!(host.asked.len(), 3);
    host.engine.ended(StreamId(1), StreamClose::default(), host.now);
    host.answer(yes());
    assert_eq!(host.open(), 2);
    // The configuration changes again: the answer is not one to the new question.
    config["bundle"]["inline"]["grants"][0]["policy"] = json!("open");
    host.configure(&config);
    host.answer(yes());
    // The host gave up on the last one: it is tried again.
    let (stream, pending) = host.asked.remove(0);
    assert!(pending.stream() == stream && host.engine.answered(pending, Vec::new(), None).is_empty());
    host.until(millis(3_000));
    assert!(host.cut.is_empty() && host.asked.is_empty(), "{:?}", host.cut);
    assert_eq!((host.engine.stats().pending, host.open()), (0, 2));
}

/// That there is no bundle is not about the stream; and it does not hide what comes after.
#[test]
fn streams_stay_while_nothing_can_be_decided() {
    let config = configuration();
    let mut host = Host::new(&config);
    host.admit(1, "/open", &token(10));
    host.until(millis(1_000));
    let mut absent = config.clone();
    absent["bundle"] = json!({"keys": super::bundle::key().public_jwks(),
        "remote": {"cluster": "b", "host": "b", "path": "/b"}});
    host.configure(&absent);
    let mut cut = 0;
    for step in 0..130 {
        let now = millis(1_000 + step * 100);
        // It asks for a bundle, and nobody answers.
        drop(host.engine.tick(now));
        while host.engine.has_work(Work::Streams) {
            let effects = host.engine.work(Work::Streams, now);
            host.now = now;
            host.run(effects);
        }
        cut = host.cut.len();
        assert!(cut == 0 || now >= later(10), "{now}");
    }
    assert_eq!((cut, host.cut_for(1)), (1, Some("token_expired")));
}

#[test]
fn an_observed_stream_stays_while_it_is_observed() {
    let mut config = configuration();
    config["observe"] = json!({"hosts": ["h"], "paths": ["/{rest...}"], "until": later(30).to_string()});
    let mut host = Host::new(&config);
    host.admit(1, "/nowhere", &token(600));
    host.admit(2, "/nowhere", &token(10));
    host.until(millis(1_000));
    host.change(&mut config);
    host.until(millis(29_000));
    assert_eq!((host.cut_for(1), host.cut_for(2)), (None, Some("token_expired")));
    host.until(millis(31_000));
    assert_eq!(host.cut_for(1), Some("not_granted"));
    // Observing is taken out of the configuration.
    let mut host = Host::new(&config);
    host.admit(1, "/nowhere", &token(600));
    host.until(millis(1_000));
    config.as_object_mut().unwrap().remove("observe");
    host.configure(&config);
    host.until(millis(2_000));
    assert_eq!(host.cut_for(1), Some("not_granted"));
}

/// The host's clock goes on whatever the wall clock does.
#[test]
fn a_clock_that_is_set_back_gives_no_longer_life() {
    let mut host = Host::new(&configuration());
    host.admit(1, "/open", &token(60));
    host.until(millis(10_000));
    host.admit(2, "/open", &token(60));
    host.tick(later(-3_590));
    for step in 0..=50 {
        host.tick(later(-3_590 + step));
        assert_eq!(host.cut.is_empty(), step < 50, "{step}");
    }
    assert_eq!(host.cut.len(), 2);
    host.tick(later(-3_539));
    assert!((59.0..62.0).contains(&host.records[0].open_s), "{:?}", host.records[0]);
}

#[test]
fn a_clock_that_is_set_forward_ends_what_is_over_by_it() {
    let mut host = Host::new(&configuration());
    host.admit(1, "/open", &token(60));
    host.admit(2, "/open", &token(900));
    host.until(millis(1_000));
    host.tick(later(600));
    host.tick(later(601));
    assert_eq!((host.cut_for(1), host.cut_for(2)), (Some("token_expired"), None));
}

#[test]
fn many_streams_are_cut_in_slices_and_none_is_missed() {
    let mut host = Host::new(&configuration());
    let (short, long) = (token(20), token(600));
    for stream in 0..2_000 {
        host.admit(stream, "/open", if stream % 4 == 0 { &long } else { &short });
    }
    host.until(millis(19_900));
    assert!(host.cut.is_empty());
    let before = host.slices;
    host.until(millis(20_300));
    assert_eq!((host.cut.len(), host.open()), (1_500, 500));
    assert!(host.slices - before > 1_500 / 32);
    assert!(host.cut.keys().all(|stream| stream.0 % 4 != 0));
}

#[test]
fn a_stream_id_that_comes_again_is_another_stream() {
    let mut host = Host::new(&configuration());
    host.admit(1, "/open", &token(10));
    host.until(millis(1_000));
    host.admit(1, "/open", &token(60));
    assert_eq!(host.open(), 1);
    host.until(millis(12_000));
    assert!(host.cut.is_empty());
}

#[test]
fn a_revoked_task_ends_its_streams_and_no_other() {
    let mut config = with_feed();
    config["issuers"][0]["task_claim"] = json!("task");
    public(&mut config);
    let mut host = Host::with_list(&config);
    let (one, other) = (token_of_task("t-1"), token_of_task("t-2"));
    for stream in 0..300 {
        host.admit(stream, "/open", if stream % 3 == 0 { &one } else { &other });
    }
    host.admit(300, "/open", &token(600));
    host.admit_request(get(301, "/public", &[]));
    host.until(millis(3_000));
    // Some are young.
    for stream in 302..330 {
        host.admit(stream, "/open", if stream % 3 == 0 { &one } else { &other });
    }
    let until = later(3_600).to_string();
    host.publish(
        2,
        &[
            json!({"revoke": "task", "id": "t-1", "expires_at": until}),
            json!({"revoke": "task", "id": "t-3", "expires_at": until}),
        ],
    );
    host.until(millis(4_000));
    let expected: Vec<u64> = (0..330).filter(|stream| stream % 3 == 0 && *stream != 300).collect();
    assert_eq!(host.cut.keys().map(|stream| stream.0).collect::<Vec<_>>(), expected);
    assert!(host.cut.values().all(|reason| reason == "revoked"));
    let record = &host.records[0];
    assert_eq!(record.detail.as_deref(), Some("its task was revoked"));
    assert_eq!(record.identity.as_ref().unwrap().task.as_deref(), Some("t-1"));
    // No new one gets in.
    assert_eq!(reason(host.engine.check(request(400, "/open", &one), host.now)), Reason::Revoked);
    assert_eq!(reason(host.engine.check(request(400, "/open", &other), host.now)), Reason::Allowed);
    host.until(millis(8_000));
    assert_eq!(host.cut.len(), expected.len());
}

#[test]
fn a_stream_is_found_by_whatever_is_revoked_of_its_caller() {
    let until = later(3_600).to_string();
    let issuer = "https://id.shop.example/workloads";
    let iat = NOW.secs();
    let at = |secs: i64| UnixTime::from_secs(iat + secs).to_string();
    for (fact, expected) in [
        (json!({"revoke": "subject", "id": "s"}), true),
        (json!({"revoke": "subject", "id": "s", "issuer": issuer}), true),
        (json!({"revoke": "subject", "id": "s", "issuer": "https://other"}), false),
        (json!({"revoke": "subject", "id": "t"}), false),
        (json!({"revoke": "actor", "id": "s"}), false),
        (json!({"revoke": "subject", "id": "s", "issued_before": at(100)}), true),
        (json!({"revoke": "subject", "id": "s", "issued_before": at(-100)}), false),
        (json!({"revoke": "subject", "id": "s", "issued_before": at(1)}), true),
        (json!({"revoke": "subject", "id": "s", "issued_before": at(0)}), false),
        (json!({"revoke": "issuer", "issuer": issuer, "issued_before": at(100)}), true),
        (json!({"revoke": "issuer", "issuer": issuer, "issued_before": at(-100)}), false),
        (json!({"revoke": "issuer", "issuer": issuer, "issued_before": at(1)}), true),
        (json!({"revoke": "issuer", "issuer": issuer, "issued_before": at(0)}), false),
    ] {
        let mut host = Host::with_list(&with_feed());
        host.admit(1, "/open", &token(600));
        host.until(millis(2_000));
        host.admit(2, "/open", &token(600));
        let mut fact = fact;
        fact["expires_at"] = json!(until);
        host.publish(2, &[fact.clone()]);
        host.until(millis(3_000));
        let cut = [host.cut_for(1), host.cut_for(2)];
        assert_eq!(cut, [expected.then_some("revoked"); 2], "{fact}");
    }
}

/// Streams were admitted under a list that was fresh. What comes new is refused.
#[test]
fn open_streams_stay_while_there_is_no_news_of_revocations() {
    let mut config = with_feed();
    let mut host = Host::with_list(&config);
    host.admit(1, "/open", &token(600));
    host.until(millis(2_000));
    host.list = None;
    host.until(millis(70_000));
    assert_eq!(
        reason(host.engine.check(request(2, "/open", &token(600)), host.now)),
        Reason::RevocationsStale
    );
    host.change(&mut config);
    host.until(millis(75_000));
    assert!(host.cut.is_empty());
    // It is looked at again when there is news.
    host.publish(2, &[json!({"revoke": "subject", "id": "s", "expires_at": later(3_600).to_string()})]);
    host.until(millis(78_000));
    assert_eq!(host.cut_for(1), Some("revoked"));
}

/// One that was revoked while a decision point was asked about it is not let go on by the answer.
#[test]
fn a_stream_that_is_asked_about_can_be_revoked() {
    let mut config = with_feed();
    let mut host = Host::with_list(&config);
    host.admit_asking(1, "/ask", &token(600));
    host.until(millis(1_000));
    host.change(&mut config);
    host.until(millis(1_100));
    assert_eq!(host.asked.len(), 1);
    host.publish(2, &[json!({"revoke": "subject", "id": "s", "expires_at": later(3_600).to_string()})]);
    host.until(millis(2_000));
    assert_eq!(host.cut_for(1), Some("revoked"));
    host.answer(yes());
    assert_eq!((host.open(), host.engine.stats().pending), (0, 0));
}
