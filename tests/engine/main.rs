//! What the engine does over time: waiting, resuming, changed configurations, caches, records.

mod api_keys;
mod authority;
mod bundle;
mod keys;
mod limits;
mod mutation;
mod obligations;
mod observe;
mod pdp;
mod pull;
mod revocations;
mod shadow;
mod signals;
mod streams;
mod workers;

use std::collections::BTreeSet;

use everycall::cases::{run_case, CaseFile};
use everycall_core::engine::StreamClose;
use everycall_core::jose::Unavailable;
use everycall_core::sync::SharedData;
use everycall_core::{
    Call, Connection, Decision, DecisionRecord, Effect, Engine, Headers, IdSeed, Pending, Reason, Reply,
    Request, Settings, Step, StreamId, UnixTime, Work,
};
use serde_json::{json, Value};

const NOW: UnixTime = UnixTime::from_secs(1_800_000_000);

/// A host without shared data.
struct Broken;

impl SharedData for Broken {
    fn get(&self, _: &str) -> Result<Option<(Vec<u8>, u32)>, Unavailable> {
        Err(Unavailable)
    }

    fn put(&self, _: &str, _: &[u8], _: Option<u32>) -> Result<bool, Unavailable> {
        Err(Unavailable)
    }
}

fn later(secs: i64) -> UnixTime {
    UnixTime::from_secs(NOW.secs() + secs)
}

/// `/ask` asks one question of the decision point `default`, `/two` asks `default` and `other`.
fn configuration() -> Value {
    let mut config = everycall_tests::cases::reference().unwrap();
    config["source"] = json!({"from": "use_remote_address"});
    let question = r#""subject": {"type": "t", "id": "s"}, "action": {"name": "a"}, "resource": {"type": "t", "id": "r"}"#;
    config["pdps"]["other"] = json!({"protocol": "authzen", "cluster": "pdp", "host": "other"});
    let bundle = &mut config["bundle"]["inline"];
    bundle["policies"] = json!({
        "ask.rego": format!("package everycall.ask\nask contains {{\"id\": \"q\", {question}}} if true\n\
            decision := {{\"allow\": true}} if input.pdp.q.decision"),
        "two.rego": format!("package everycall.two\nask contains {{\"id\": \"q\", {question}}} if true\n\
            ask contains {{\"id\": \"o\", \"pdp\": \"other\", {question}}} if true\n\
            decision := {{\"allow\": true}} if {{ input.pdp.q.decision; input.pdp.o.decision }}"),
        "open.rego": "package everycall.open\ndecision := {\"allow\": true}",
    });
    let grant = |id: &str| {
        json!({"id": id, "owner": "o", "purpose": "p", "subject": "s", "kinds": ["workload"], "hosts": ["h"],
               "methods": ["GET"], "paths": [format!("/{id}")], "policy": id})
    };
    bundle["elevations"] = json!([]);
    bundle["grants"] = json!([grant("ask"), grant("two"), grant("open")]);
    config
}

fn settings(config: &Value) -> Settings {
    Settings::from_value(config.clone()).unwrap_or_else(|errors| panic!("{errors}"))
}

fn engine(config: &Value) -> Engine {
    Engine::standalone(settings(config), IdSeed::derive(&[b"test"]))
}

/// A token of the subject `s` that lives for so many seconds.
fn token(lifetime: i64) -> String {
    let file = json!({"about": "a", "cases": [{"name": "a", "expect": {"decision": "allow"},
        "request": {"method": "GET", "host": "h", "path": "/"},
        "token": {"issuer": "https://id.shop.example/workloads", "claims": {"sub": "s", "exp": {"$now": lifetime}}}}]});
    let file = CaseFile::parse("inline", &file.to_string()).unwrap();
    let wire = file.cases[0].request(&configuration(), NOW).unwrap();
    String::from_utf8(wire.headers.into_iter().find(|(name, _)| name == "authorization").unwrap().1).unwrap()
}

/// What a GET of this path at the host `h` has, with these headers.
fn headers(path: &str, more: &[(&str, &str)]) -> Headers {
    let pseudo = [(":method", "GET"), (":scheme", "http"), (":authority", "h"), (":path", path)];
    let pairs =
        pseudo.iter().chain(more).map(|(name, value)| ((*name).to_owned(), value.as_bytes().to_vec()));
    Headers::new(pairs.collect())
}

fn get(stream: u64, path: &str, more: &[(&str, &str)]) -> Request {
    Request::new(StreamId(stream), headers(path, more), Connection::default())
}

fn request(stream: u64, path: &str, token: &str) -> Request {
    get(stream, path, &[("authorization", token)])
}

fn asks(step: Step) -> (Vec<Call>, Pending) {
    match step {
        Step::Ask { calls, pending } => (calls, pending),
        Step::Done(decision) => panic!("decided: {:?}", decision.record),
        Step::Wait { .. } => panic!("waits"),
    }
}

fn done(step: Step) -> Decision {
    match step {
        Step::Done(decision) => decision,
        Step::Ask { calls, .. } => panic!("asks: {calls:?}"),
        Step::Wait { .. } => panic!("waits"),
    }
}

fn reason(step: Step) -> Reason {
    let decision = done(step);
    let reason = decision.record.reason.unwrap();
    assert_eq!(decision.verdict.is_ok(), reason.is_allow());
    assert_eq!(decision.verdict.err().map(|denial| denial.reason), (!reason.is_allow()).then_some(reason));
    reason
}

fn yes() -> Vec<Reply> {
    vec![Reply::http(200, br#"{"decision":true}"#)]
}

#[test]
fn a_yes_in_time_allows() {
    let mut engine = engine(&configuration());
    let (calls, pending) = asks(engine.check(request(1, "/ask", &token(60)), NOW));
    assert_eq!(calls.len(), 1);
    assert_eq!(engine.stats().pending, 1);
    assert_eq!(reason(engine.resume(pending, yes(), later(1))), Reason::Allowed);
    assert_eq!(engine.stats().pending, 0);
}

#[test]
fn what_ended_while_a_request_waited_is_over() {
    let mut engine = engine(&configuration());
    let (_, pending) = asks(engine.check(request(1, "/ask", &token(60)), NOW));
    assert_eq!(reason(engine.resume(pending, yes(), later(60))), Reason::TokenExpired);

    let mut config = configuration();
    config["bundle"]["inline"]["grants"][0]["valid_until"] = json!(later(10).to_string());
    let mut engine = self::engine(&config);
    let (_, pending) = asks(engine.check(request(1, "/ask", &token(60)), NOW));
    let mut record = done(engine.resume(pending, yes(), later(10))).record;
    assert_eq!(record.reason, Some(Reason::NotGranted));
    record.duration_us = Some(10_000_000);
    let again = engine.replay(&record).record;
    assert_eq!((again.reason, again.detail), (record.reason, record.detail));
}

#[test]
fn missing_replies_are_failures() {
    let mut engine = engine(&configuration());
    let (_, pending) = asks(engine.check(request(1, "/ask", &token(60)), NOW));
    assert_eq!(reason(engine.resume(pending, Vec::new(), NOW)), Reason::PdpUnavailable);
    let (calls, pending) = asks(engine.check(request(1, "/two", &token(60)), NOW));
    assert_eq!(calls.len(), 2);
    assert_eq!(reason(engine.resume(pending, yes(), NOW)), Reason::PdpUnavailable);
}

#[test]
fn a_configuration_that_changed_decides_anew_and_keeps_answers_to_the_same_questions() {
    let mut engine = engine(&configuration());
    let (_, pending) = asks(engine.check(request(1, "/ask", &token(60)), NOW));
    let mut config = configuration();
    config["limits"] = json!({"pdp_rounds": 1});
    engine.configure(settings(&config));
    assert_eq!(reason(engine.resume(pending, yes(), NOW)), Reason::Allowed, "the question is the same");

    let (_, pending) = asks(engine.check(request(1, "/ask", &token(60)), NOW));
    config["bundle"]["inline"]["grants"][0]["policy"] = json!("open");
    engine.configure(settings(&config));
    assert_eq!(reason(engine.resume(pending, yes(), NOW)), Reason::Allowed, "nothing is asked any more");

    config["bundle"]["inline"]["grants"][0]["policy"] = json!("two");
    engine.configure(settings(&config));
    let (_, pending) = asks(engine.check(request(1, "/ask", &token(60)), NOW));
    config["bundle"]["inline"]["grants"].as_array_mut().unwrap().remove(0);
    engine.configure(settings(&config));
    let replies = [yes(), yes()].concat();
    assert_eq!(reason(engine.resume(pending, replies, NOW)), Reason::NotGranted, "the grant is gone");
}

#[test]
fn a_changed_question_is_asked_again_and_a_second_change_refuses() {
    let mut engine = engine(&configuration());
    let (_, pending) = asks(engine.check(request(1, "/ask", &token(60)), NOW));
    let mut config = configuration();
    let policy = config["bundle"]["inline"]["policies"]["ask.rego"]
        .as_str()
        .unwrap()
        .replace("\"q\"", "\"q2\"")
        .replace(".q.", ".q2.");
    config["bundle"]["inline"]["policies"]["ask.rego"] = json!(policy);
    engine.configure(settings(&config));
    let (calls, pending) = asks(engine.resume(pending, yes(), NOW));
    assert_eq!(calls.len(), 1, "the old answer is not an answer to the new question");
    config["limits"] = json!({"pdp_rounds": 1});
    engine.configure(settings(&config));
    assert_eq!(reason(engine.resume(pending, yes(), NOW)), Reason::NotReady);
    assert_eq!(engine.stats().pending, 0);
}

/// A question may differ in what it says and not in its name, and answers that nobody asked for any more count for
/// nothing: not even that they failed.
#[test]
fn what_was_answered_before_a_change_is_no_answer_to_another_question() {
    let mut engine = engine(&configuration());
    let mut config = configuration();
    let ask = config["bundle"]["inline"]["policies"]["ask.rego"].as_str().unwrap().to_owned();
    let failed = || vec![Reply::http(500, "")];
    for (policy, replies) in [
        (ask.replace("\"id\": \"r\"", "\"id\": \"r2\""), yes()),
        (ask.replace("\"id\": \"r\"", "\"id\": \"r3\""), failed()),
        (ask.replace("\"q\"", "\"q2\"").replace(".q.", ".q2."), failed()),
    ] {
        let (_, pending) = asks(engine.check(request(1, "/ask", &token(60)), NOW));
        config["bundle"]["inline"]["policies"]["ask.rego"] = json!(policy);
        engine.configure(settings(&config));
        let (calls, pending) = asks(engine.resume(pending, replies, NOW));
        assert_eq!(calls.len(), 1, "{policy}");
        let record = done(engine.resume(pending, yes(), NOW)).record;
        assert_eq!((record.reason, record.pdp.len()), (Some(Reason::Allowed), 1), "{record:?}");
        assert_eq!(self::engine(&config).replay(&record).record, record, "{policy}");
    }
    // Nothing is asked any more.
    let (_, pending) = asks(engine.check(request(1, "/ask", &token(60)), NOW));
    config["bundle"]["inline"]["grants"][0]["policy"] = json!("open");
    engine.configure(settings(&config));
    let record = done(engine.resume(pending, failed(), NOW)).record;
    assert_eq!((record.reason, record.pdp.len()), (Some(Reason::Allowed), 0), "{record:?}");
    assert_eq!(self::engine(&config).replay(&record).record, record);
}

/// Whether a credential is needed is the grants' to say, and so is said again.
#[test]
fn a_missing_credential_is_judged_again_by_the_grants() {
    let config = configuration();
    let mut open = config.clone();
    let grant = &mut open["bundle"]["inline"]["grants"][2];
    grant["subject"] = json!("anonymous");
    grant.as_object_mut().unwrap().remove("kinds");
    let mut elsewhere = open.clone();
    elsewhere["bundle"]["inline"]["grants"][2]["paths"] = json!(["/elsewhere"]);
    let record = done(engine(&config).check(get(1, "/open", &[]), NOW)).record;
    assert_eq!(record.reason, Some(Reason::CredentialMissing));
    assert_eq!(engine(&config).replay(&record).record, record);
    assert_eq!(engine(&open).replay(&record).record.reason, Some(Reason::Allowed));
    assert_eq!(engine(&elsewhere).replay(&record).record.reason, Some(Reason::CredentialMissing));
    // A bad one stands: it is not in the record.
    let bad = done(engine(&config).check(request(2, "/open", "Bearer a.b.c"), NOW)).record;
    assert_eq!(bad.reason, Some(Reason::TokenMalformed));
    assert_eq!(engine(&open).replay(&bad).record.reason, bad.reason);
}

#[test]
fn policies_see_the_time_of_arrival_also_when_a_request_has_waited() {
    let mut config = configuration();
    let ask = config["bundle"]["inline"]["policies"]["ask.rego"].as_str().unwrap().to_owned();
    let in_time =
        format!("{{ input.pdp.q.decision; input.time == {}; input.clock.minute >= 0 }}", NOW.secs());
    config["bundle"]["inline"]["policies"]["ask.rego"] = json!(ask.replace("input.pdp.q.decision", &in_time));
    let mut engine = engine(&config);
    let (_, pending) = asks(engine.check(request(1, "/ask", &token(60)), NOW));
    config["limits"] = json!({"pdp_rounds": 1});
    engine.configure(settings(&config));
    let record = done(engine.resume(pending, yes(), later(2))).record;
    assert_eq!((record.reason, record.time), (Some(Reason::Allowed), NOW));
    assert_eq!(self::engine(&config).replay(&record).record, record);
}

#[test]
fn waiting_is_bounded_and_ends_with_the_stream() {
    let mut config = configuration();
    config["limits"] = json!({"max_pending": 2});
    config["pdps"]["other"]["max_in_flight"] = json!(1);
    let mut engine = engine(&config);
    let first = asks(engine.check(request(1, "/two", &token(60)), NOW));
    assert_eq!(
        reason(engine.check(request(2, "/two", &token(60)), NOW)),
        Reason::Overloaded,
        "one question to `other`"
    );
    let second = asks(engine.check(request(3, "/ask", &token(60)), NOW));
    assert_eq!(
        reason(engine.check(request(4, "/ask", &token(60)), NOW)),
        Reason::Overloaded,
        "two requests wait"
    );
    engine.ended(StreamId(1), StreamClose::default(), NOW);
    drop(first);
    let third = asks(engine.check(request(5, "/two", &token(60)), NOW));
    assert_eq!(reason(engine.resume(second.1, yes(), NOW)), Reason::Allowed);
    assert_eq!(reason(engine.resume(third.1, [yes(), yes()].concat(), NOW)), Reason::Allowed);
}

#[test]
fn a_cached_token_is_the_whole_token_and_is_checked_again() {
    let mut engine = engine(&configuration());
    let token = token(60);
    assert_eq!(reason(engine.check(request(1, "/open", &token), NOW)), Reason::Allowed);
    assert_eq!(engine.stats().tokens_cached, 1);
    // The verified signature under other parts.
    let parts: Vec<&str> = token.split('.').collect();
    let mut claims: Vec<char> = parts[1].chars().collect();
    claims[20] = if claims[20] == 'A' { 'B' } else { 'A' };
    let forged = format!("{}.{}.{}", parts[0], claims.iter().collect::<String>(), parts[2]);
    assert_ne!(reason(engine.check(request(1, "/open", &forged), NOW)), Reason::Allowed);
    assert_ne!(reason(engine.check(request(1, "/open", &format!("{token}=")), NOW)), Reason::Allowed);
    // What is told of the header and what of the rest: each end of both.
    let (header, rest) = (parts[0].trim_start_matches("Bearer "), format!("{}.{}", parts[1], parts[2]));
    for forged in [
        format!("Bearer {}.{rest}", &header[1..]),
        format!("Bearer {}.{rest}", &header[..header.len() - 1]),
        format!("Bearer e{header}.{rest}"),
        format!("Bearer {header}{rest}"),
        format!("Bearer {header}..{rest}"),
        format!("Bearer {header}.{}", &rest[1..]),
        format!("Bearer {rest}"),
    ] {
        assert_ne!(reason(engine.check(request(1, "/open", &forged), NOW)), Reason::Allowed, "{forged}");
    }
    assert_eq!(reason(engine.check(request(1, "/open", &token), later(60))), Reason::TokenExpired);
}

#[test]
fn a_cached_token_is_verified_again_when_its_issuer_changed() {
    let mut engine = engine(&configuration());
    let token = token(60);
    assert_eq!(reason(engine.check(request(1, "/open", &token), NOW)), Reason::Allowed);
    let mut config = configuration();
    config["issuers"][0]["audiences"] = json!(["https://elsewhere.example"]);
    engine.configure(settings(&config));
    assert_eq!(reason(engine.check(request(1, "/open", &token), NOW)), Reason::TokenAudience);
}

#[test]
fn the_token_cache_is_bounded() {
    let mut config = configuration();
    config["limits"] = json!({"tokens_cached": 3});
    let mut engine = engine(&config);
    for lifetime in 10..20 {
        assert_eq!(reason(engine.check(request(1, "/open", &token(lifetime)), NOW)), Reason::Allowed);
    }
    assert_eq!(engine.stats().tokens_cached, 3);
}

#[test]
fn the_token_cache_is_bounded_by_bytes_too() {
    let mut config = configuration();
    config["limits"] = json!({"tokens_cached_bytes": 20_000});
    let mut engine = engine(&config);
    for lifetime in 10..100 {
        assert_eq!(reason(engine.check(request(1, "/open", &token(lifetime)), NOW)), Reason::Allowed);
    }
    let cached = engine.stats().tokens_cached;
    assert!((3..=12).contains(&cached), "{cached}");
    config["limits"] = json!({"tokens_cached_bytes": 0});
    engine.configure(settings(&config));
    assert_eq!(engine.stats().tokens_cached, 0);
    assert_eq!(reason(engine.check(request(1, "/open", &token(60)), NOW)), Reason::Allowed);
    assert_eq!(engine.stats().tokens_cached, 0);
}

#[test]
fn bad_tokens_push_no_good_one_out() {
    let mut config = configuration();
    config["limits"] = json!({"tokens_cached": 1});
    let mut engine = engine(&config);
    let good = token(60);
    assert_eq!(reason(engine.check(request(1, "/open", &good), NOW)), Reason::Allowed);
    for number in 0..5_000 {
        // The good one's end, so that it would fall on the same entry.
        let bad = format!("Bearer {number}{}", good.trim_start_matches("Bearer "));
        assert_ne!(reason(engine.check(request(1, "/open", &bad), NOW)), Reason::Allowed);
    }
    assert_eq!(engine.stats().tokens_cached, 1);
    assert_eq!(reason(engine.check(request(1, "/open", &good), NOW)), Reason::Allowed);
}

#[test]
fn decision_ids_are_unique() {
    let mut ids = BTreeSet::new();
    for seed in [&b"worker 1"[..], b"worker 2"] {
        let mut engine = Engine::standalone(settings(&configuration()), IdSeed::derive(&[seed]));
        for _ in 0..1_000 {
            let record = done(engine.check(request(1, "/nowhere", "Bearer x"), NOW)).record;
            assert!(record.id.len() == 32 && record.id.bytes().all(|b| b.is_ascii_hexdigit()));
            ids.insert(record.id);
        }
    }
    assert_eq!(ids.len(), 2_000);
}

#[test]
fn records_go_out_a_few_at_a_time_and_by_choice() {
    for (choice, expected) in [("all", 3), ("refusals", 2), ("off", 0)] {
        let mut config = configuration();
        config["log"] = json!({"records": choice});
        let mut engine = engine(&config);
        let calls = [("/open", token(60)), ("/nowhere", token(60)), ("/open", "Bearer x".into())];
        for (path, token) in calls.iter().cycle().take(3 * 15) {
            let record = done(engine.check(request(1, path, token), NOW)).record;
            engine.record(&record);
        }
        let mut written = 0;
        loop {
            let effects = engine.work(Work::Records, NOW);
            assert!(effects.len() <= 20, "{choice}");
            if effects.is_empty() {
                break;
            }
            written += effects.iter().filter(|effect| matches!(effect, Effect::Emit { .. })).count();
        }
        assert_eq!(written, 15 * expected, "{choice}");
    }
}

#[test]
fn a_record_replays_to_the_same_outcome_and_holds_no_token() {
    let (base, files) = everycall_tests::cases::all().unwrap();
    let (mut replayed, mut delegated) = (0, 0);
    for (name, text) in files {
        let file = CaseFile::parse(&name, &text).unwrap();
        let config = file.config(&base, NOW);
        let mut engine = engine(&config);
        let mut replayer = self::engine(&config);
        for case in &file.cases {
            let record = run_case(&mut engine, case, &config, NOW).unwrap().record;
            let text = serde_json::to_string(&record).unwrap();
            for (header, value) in case.request(&config, NOW).unwrap().headers {
                let signature =
                    value.rsplit(|b| *b == b'.').next().map(String::from_utf8_lossy).unwrap_or_default();
                assert!(
                    header != "authorization" || signature.len() < 40 || !text.contains(&*signature),
                    "{name}: {}",
                    case.name
                );
            }
            let read = serde_json::from_str(&text).unwrap();
            let again = replayer.replay(&read).record;
            assert_eq!(again.decision, record.decision, "{name}: {}: {text}", case.name);
            assert_eq!(again.reason, record.reason, "{name}: {}: {text}", case.name);
            assert_eq!(again.policy, record.policy, "{name}: {}", case.name);
            // A record of version 1, in which one word was another.
            let mut before: Value = serde_json::from_str(&text).unwrap();
            before["v"] = json!(1);
            for place in ["/identity", "/signals"] {
                if let Some(members) = before.pointer_mut(place).and_then(Value::as_object_mut) {
                    let value = members.remove("on_behalf_of").unwrap();
                    delegated += usize::from(value.is_string());
                    members.insert("principal".to_owned(), value);
                }
            }
            let of_before = serde_json::from_value(before.clone()).unwrap();
            let again = replayer.replay(&of_before).record;
            let outcome = |record: &DecisionRecord| (record.decision, record.reason, record.policy.clone());
            assert_eq!(outcome(&again), outcome(&record), "{name}: {}: {before}", case.name);
            replayed += 1;
        }
    }
    assert!(replayed > 500 && delegated > 20, "{replayed}, {delegated}");
}

#[test]
fn an_explanation_names_the_conditions_that_did_not_hold() {
    let mut config = configuration();
    config["bundle"]["inline"]["policies"]["open.rego"] = json!(
        "package everycall.open\ndecision := {\"allow\": true} if {\n\tinput.identity.id == \"s\"\n\tinput.identity.task != null\n\tinput.time > 0\n}\n\
         decision := {\"allow\": true} if input.grant.id == \"other\"\n"
    );
    let mut engine = engine(&config);
    let record = done(engine.check(request(1, "/open", &token(60)), NOW)).record;
    assert_eq!(record.reason, Some(Reason::PolicyUndefined));
    engine.traces();
    engine.replay(&record);
    let traces = engine.traces();
    let unmet: Vec<_> =
        traces.iter().flat_map(|trace| &trace.rules).map(|rule| rule.stopped.clone()).collect();
    assert_eq!(
        unmet,
        [
            Some((4, "input.identity.task != null".to_owned())),
            Some((7, "decision := {\"allow\": true} if input.grant.id == \"other\"".to_owned())),
        ]
    );
    // It decides as before.
    assert_eq!(reason(engine.check(request(1, "/open", &token(60)), NOW)), Reason::PolicyUndefined);
}
