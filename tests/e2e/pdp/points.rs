//! A decision point of each protocol, each behind a door of its own that faults are put into.

use std::collections::BTreeMap;
use std::sync::{Arc, LazyLock, Mutex, MutexGuard, PoisonError};

use everycall_tests::fault::{Door, Fault};
use everycall_tests::grpc::{self, GrpcServer};
use everycall_tests::server::{Answer, Received, Server};
use serde_json::{json, Value};

use crate::requests::{get, with_policy};
use crate::world::{extension, lead, Listener, Paths, Seen, World};

/// Names of decision points: the protocol that each speaks.
pub const PROTOCOLS: [&str; 3] = ["authzen", "opa", "ext_authz"];
/// How long an answer may take: long enough for a machine that is busy.
const TIMEOUT_MS: u32 = 1_500;
/// How long a breaker stays open.
pub const OPEN_MS: u32 = 2_000;
/// Failures that open it.
pub const FAILURES: u32 = 2;

/// `/t/PDP/WHO` asks that decision point about that subject: all allow `alice` and nobody else.
const POLICY: &str = r#"
    ask contains {"id": "q", "pdp": input.request.segments[1], "subject": {"type": "user", "id": input.request.segments[2]},
        "action": {"name": "read"}, "resource": {"type": "order", "id": "o-1"}}
    decision := {"allow": true, "reason": "yes"} if input.pdp.q.decision
"#;

/// A server behind its door.
enum Behind {
    Http(Server),
    Grpc(GrpcServer),
}

/// A decision point.
pub struct Point {
    pub door: Door,
    server: Behind,
}

/// All of them, and an Envoy that asks them.
pub struct Points {
    pub world: Arc<World>,
    points: BTreeMap<String, Point>,
    turn: Mutex<()>,
    _nobody: Door,
}

/// Each protocol's decision point under the protocol's name, under `breaking_NAME` with a breaker, under
/// `twice_NAME` with two servers, the first of which is gone, and under `once_NAME` the same without retries.
pub static POINTS: LazyLock<Points> = LazyLock::new(|| {
    let mut config = with_policy("t", POLICY);
    // Nobody ever listens there.
    let nobody = Door::to(([127, 0, 0, 1], 0).into()).unwrap();
    nobody.set(Fault::Gone);
    let mut points = BTreeMap::new();
    for protocol in PROTOCOLS {
        for way in ["", "breaking_", "twice_", "once_"] {
            let name = format!("{way}{protocol}");
            let mut pdp =
                json!({"protocol": protocol, "cluster": name, "host": "pdp", "timeout_ms": TIMEOUT_MS});
            if protocol == "opa" {
                pdp["path"] = json!("/v1/data/shop/allow");
            }
            match way {
                "breaking_" => pdp["breaker"] = json!({"failures": FAILURES, "open_ms": OPEN_MS}),
                "once_" => pdp["connect_retries"] = json!(0),
                _ => {}
            }
            config["pdps"][&name] = pdp;
            points.insert(name, Point::start(protocol));
        }
    }
    let listener = Listener { name: "points".into(), config, paths: Paths::Plain };
    let world = World::start_with(&[listener], |document| {
        for (name, point) in &points {
            let there = point.door.address();
            match name.starts_with("twice_") || name.starts_with("once_") {
                true => lead(document, name, &[nobody.address(), there]),
                false => lead(document, name, &[there]),
            }
        }
    });
    Points { world, points, turn: Mutex::default(), _nobody: nobody }
});

impl Point {
    fn start(protocol: &str) -> Self {
        let (address, server) = match protocol {
            "ext_authz" => {
                let says = |check: &grpc::CheckRequest| {
                    let who = extension(check, "subject.id");
                    grpc::Answer::says(who.as_deref() == Some("alice"))
                };
                let server = GrpcServer::start(says).unwrap();
                (server.address(), Behind::Grpc(server))
            }
            _ => {
                let server = Server::start(if protocol == "opa" { opa } else { authzen }).unwrap();
                (server.address(), Behind::Http(server))
            }
        };
        Self { door: Door::to(address).unwrap(), server }
    }

    /// The values of these headers in each question since the last call.
    pub fn asked(&self, names: &[&str]) -> Vec<Vec<Option<String>>> {
        let text = |value: &[u8]| String::from_utf8_lossy(value).into_owned();
        match &self.server {
            Behind::Http(server) => {
                let of =
                    |received: &Received, name: &str| received.all(name).first().map(|value| text(value));
                let all = server.take();
                all.iter().map(|received| names.iter().map(|name| of(received, name)).collect()).collect()
            }
            Behind::Grpc(server) => {
                let of = |received: &grpc::Received, name: &str| {
                    received.metadata.get(name).map(|value| text(value.as_bytes()))
                };
                let all = server.take();
                all.iter().map(|received| names.iter().map(|name| of(received, name)).collect()).collect()
            }
        }
    }
}

impl Points {
    /// Faults are set by one test at a time.
    pub fn turn(&self) -> MutexGuard<'_, ()> {
        self.turn.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub fn point(&self, name: &str) -> &Point {
        &self.points[name]
    }

    /// Asks this decision point about this subject.
    pub fn ask(&self, name: &str, who: &str) -> Seen {
        self.ask_with(name, who, &[])
    }

    /// As `ask`, in a request with these headers. Nothing refused reaches the upstream.
    pub fn ask_with(&self, name: &str, who: &str, headers: &[(&str, &str)]) -> Seen {
        let mut request = get("t", &format!("/t/{name}/{who}"));
        request.headers = headers.iter().map(|(n, v)| ((*n).to_owned(), v.as_bytes().to_vec())).collect();
        let seen = self.world.send("points", &request);
        assert_eq!(seen.upstream.len(), usize::from(seen.response.status == 200));
        seen
    }

    /// The request is refused because the question failed, in this way.
    pub fn fails(&self, name: &str, what: &str, error: &str) {
        let seen = self.ask(name, "alice");
        let outcome = (seen.response.status, seen.reason());
        assert_eq!(outcome, (503, "pdp_unavailable"), "{name}, {what}: {}", seen.line);
        let record = self.world.record(&seen);
        assert_eq!(record["pdp"][0]["answer"], json!({"error": error}), "{name}, {what}: {record}");
    }

    /// The request is allowed.
    pub fn works(&self, name: &str, what: &str) {
        let seen = self.ask(name, "alice");
        assert_eq!((seen.response.status, seen.reason()), (200, "allowed"), "{name}, {what}: {}", seen.line);
    }
}

/// An AuthZEN server.
fn authzen(request: &Received) -> Answer {
    let question: Value = serde_json::from_slice(&request.body).unwrap_or_default();
    match question.pointer("/subject/id") {
        Some(who) if request.path == "/access/v1/evaluation" => {
            Answer::Http(200, json!({"decision": who == "alice"}).to_string().into_bytes())
        }
        _ => Answer::Http(400, Vec::new()),
    }
}

/// OPA's Data API with one rule, `data.shop.allow`: true for `alice`, false for `bob`, else undefined.
fn opa(request: &Received) -> Answer {
    let Ok(question) = serde_json::from_slice::<Value>(&request.body) else {
        return Answer::Http(
            400,
            br#"{"code":"invalid_parameter","message":"body contains malformed input"}"#.to_vec(),
        );
    };
    let mut answer = json!({"decision_id": "d-1"});
    let who = question.pointer("/input/subject/id").and_then(Value::as_str);
    match (request.method.as_str(), request.path.as_str(), who) {
        ("POST", "/v1/data/shop/allow", Some("alice")) => answer["result"] = json!(true),
        ("POST", "/v1/data/shop/allow", Some("bob")) => answer["result"] = json!(false),
        ("POST", path, _) if path.starts_with("/v1/data/") => {}
        _ => return Answer::Http(404, Vec::new()),
    }
    Answer::Http(200, answer.to_string().into_bytes())
}
