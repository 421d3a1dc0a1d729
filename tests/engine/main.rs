//! What the engine does over time: waiting, resuming, changed configurations, caches, records.

mod api_keys;
mod authority;
mod bundle;
mod credentials;
mod keys;
mod limits;
mod mutation;
mod obligations;
mod observe;
mod pdp;
mod pull;
mod records;
mod revocations;
mod shadow;
mod signals;
mod streams;
mod token_cache;
mod waiting;
mod workers;

use everycall::cases::CaseFile;
use everycall_core::jose::Unavailable;
use everycall_core::sync::SharedData;
use everycall_core::{
    Call, Connection, Decision, Engine, Headers, IdSeed, Pending, Reason, Reply, Request, Settings, Step,
    StreamId, UnixTime,
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
