//! Streams that stay open in a real Envoy, and how they end.

mod replaced;

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use everycall::cases::CaseFile;
use everycall::mint::TestKey;
use everycall::publisher::Publisher;
use everycall_core::facts::FeedKind;
use everycall_core::UnixTime;
use everycall_tests::calls::Calls;
use everycall_tests::client::{OpenStream, RawRequest, WEBSOCKET};
use everycall_tests::envoy::{with_upgrades, Start};
use everycall_tests::feeds::answer;
use everycall_tests::grpc::{Answer as GrpcAnswer, Code, GrpcServer, EVENTS};
use everycall_tests::server::Server;
use serde_json::{json, Value};

use crate::world::{connection_manager, now, Listener, Paths, World};

const CHECKOUT: &str = "spiffe://shop.example/ns/checkout/sa/checkout";
/// Events come that often.
const EVENT: Duration = Duration::from_millis(50);

/// The reference configuration with a grant of everything below `/t/` for one workload.
pub fn configuration() -> Value {
    let mut config = everycall_tests::cases::reference().unwrap();
    config["issuers"][0]["task_claim"] = json!("task");
    let bundle = &mut config["bundle"]["inline"];
    bundle["policies"]["t.rego"] = json!("package everycall.t\ndecision := {\"allow\": true}");
    bundle["grants"].as_array_mut().unwrap().push(json!({
        "id": "t", "owner": "o", "purpose": "p", "subject": CHECKOUT, "kinds": ["workload"], "hosts": ["t"],
        "methods": ["GET", "POST"], "paths": ["/t/{rest...}", EVENTS], "policy": "t"}));
    config
}

/// A token of that workload for a task.
pub fn token(task: &str, lifetime: i64) -> String {
    let file = json!({"about": "a", "cases": [{"name": "a", "expect": {"decision": "allow"},
        "request": {"method": "GET", "host": "t", "path": "/"},
        "token": {"issuer": "https://id.shop.example/workloads",
                  "claims": {"sub": CHECKOUT, "task": task, "exp": {"$now": lifetime}}}}]});
    let file = CaseFile::parse("inline", &file.to_string()).unwrap();
    let wire = file.cases[0].request(&configuration(), now()).unwrap();
    String::from_utf8(wire.headers.into_iter().find(|(name, _)| name == "authorization").unwrap().1).unwrap()
}

pub fn get(path: &str, token: &str, more: &[(&str, &str)]) -> RawRequest {
    let headers = [("host", "t"), ("authorization", token)];
    let headers =
        headers.iter().chain(more).map(|(name, value)| ((*name).to_owned(), value.as_bytes().to_vec()));
    RawRequest { method: "GET".into(), path: path.into(), headers: headers.collect(), body: Vec::new() }
}

pub fn start(config: Value, change: impl FnOnce(&mut Value)) -> Arc<World> {
    start_as(config, Start::with(1), change)
}

pub fn start_as(config: Value, how: Start, change: impl FnOnce(&mut Value)) -> Arc<World> {
    let listener = Listener { name: "only".into(), config, paths: Paths::Plain };
    World::start_as(&[listener], how, |document| {
        with_upgrades(document);
        change(document);
    })
}

/// A stream of each kind that HTTP/1.1 has.
pub fn open(world: &World, token: &str) -> [OpenStream; 2] {
    let address = world.address("only");
    let events = OpenStream::open(address, &get("/t/events", token, &[])).unwrap();
    assert_eq!(events.status, 200);
    let mut socket = OpenStream::open(address, &get("/t/socket", token, &WEBSOCKET)).unwrap();
    assert_eq!(socket.status, 101);
    socket.send(b"hello").unwrap();
    [events, socket]
}

/// The records of streams that ended, by decision id.
pub fn ended(world: &World, count: usize) -> BTreeMap<String, Value> {
    let deadline = Instant::now() + Duration::from_secs(10);
    loop {
        let ended: BTreeMap<String, Value> = world
            .records(1)
            .into_iter()
            .filter(|record| record["event"] == "stream_ended")
            .map(|record| (record["id"].as_str().unwrap().to_owned(), record))
            .collect();
        if ended.len() >= count || Instant::now() > deadline {
            return ended;
        }
        std::thread::sleep(Duration::from_millis(20));
    }
}

/// The access log's lines with the decision's id.
pub fn lines(world: &World, count: usize) -> Vec<(String, Value)> {
    let lines = world.envoy.lines("only.log", count);
    let id = |line: &Value| {
        let decision: Value = serde_json::from_str(line["decision"].as_str().unwrap()).unwrap();
        decision["id"].as_str().unwrap().to_owned()
    };
    lines
        .iter()
        .map(|line| serde_json::from_str::<Value>(line).unwrap())
        .map(|line| (id(&line), line))
        .collect()
}

pub fn still_runs(stream: &OpenStream, events: bool) {
    assert!(stream.ended().is_none());
    if events {
        let before = stream.bytes();
        std::thread::sleep(6 * EVENT);
        assert!(stream.bytes() > before);
    }
}

#[test]
fn stream_of_an_expired_token() {
    let world = start(configuration(), |_| {});
    let lifetime = 3;
    let (short, long) = (token("t-1", lifetime), token("t-2", 600));
    let decoys = open(&world, &long);
    let minted = now();
    let begun = Instant::now();
    let streams = open(&world, &short);
    for stream in &streams {
        let end = stream.wait(Duration::from_secs(6)).expect("it is cut");
        // Tokens tell whole seconds: its last one began up to a second ago.
        let life = end.duration_since(begun).as_secs_f64();
        assert!((1.9..4.3).contains(&life), "{life}");
    }
    still_runs(&decoys[0], true);
    still_runs(&decoys[1], false);
    let ended = ended(&world, 2);
    assert_eq!(ended.len(), 2);
    for (id, line) in lines(&world, 2) {
        assert_eq!(line["cut"], "token_expired");
        let record = &ended[&id];
        assert_eq!((&record["reason"], &record["cut"]), (&json!("token_expired"), &json!(true)));
        assert_eq!((&record["identity"]["task"], &record["grant"]), (&json!("t-1"), &json!("t")));
        let over = record["time"].as_f64().unwrap() - minted.secs() as f64 - lifetime as f64;
        assert!((-0.1..1.1).contains(&over), "{over}");
        assert!(record["bytes_received"].as_u64().unwrap() > 100);
    }
    assert_eq!(world.envoy.stat("wasmcustom.everycall.streams_open;instance=only").unwrap(), 2);
    world.assert_no_crash();
}

/// A server of revocations.
pub struct Revocations {
    pub server: Server,
    pub publisher: Arc<Mutex<Publisher>>,
}

impl Revocations {
    pub fn start() -> Self {
        let key = TestKey::es256().unwrap();
        let publisher = Arc::new(Mutex::new(Publisher::new(FeedKind::Revocations, key, now())));
        let behind = Arc::clone(&publisher);
        let server = Server::start(move |request| answer(&mut behind.lock().unwrap(), request)).unwrap();
        Self { server, publisher }
    }

    pub fn add(&self, mut fact: Value) {
        fact["expires_at"] = json!(UnixTime::from_secs(now().secs() + 600).to_string());
        self.publisher.lock().unwrap().publish([fact], now());
    }

    pub fn configured(&self) -> Value {
        let mut config = configuration();
        config["revocations"] = json!({"keys": TestKey::es256().unwrap().public_jwks(),
            "remote": {"cluster": "revocations", "host": "r", "path": "/revocations"}});
        config
    }

    /// Starts Envoy with a cluster that leads here.
    fn world(&self, config: Value) -> Arc<World> {
        self.world_with(config, |_| {})
    }

    fn world_with(&self, config: Value, change: impl FnOnce(&mut Value)) -> Arc<World> {
        start(config, |document| {
            crate::world::lead(document, "revocations", &[self.server.address()]);
            change(document);
        })
    }
}

#[test]
fn stream_of_a_revoked_task() {
    let revocations = Revocations::start();
    let world = revocations.world(revocations.configured());
    let (one, other) = (token("t-1", 600), token("t-2", 600));
    wait_for_list(&world, &other);
    let (streams, decoys) = (open(&world, &one), open(&world, &other));
    std::thread::sleep(Duration::from_secs(1));
    let young = open(&world, &one);
    let begun = Instant::now();
    revocations.add(json!({"revoke": "task", "id": "t-1"}));
    for stream in streams.iter().chain(&young) {
        let end = stream.wait(Duration::from_secs(5)).expect("it is cut");
        assert!(end.duration_since(begun) < Duration::from_millis(2_500));
    }
    still_runs(&decoys[0], true);
    still_runs(&decoys[1], false);
    let refused = world.send_raw_unlogged(&get("/t/a", &one, &[]));
    assert_eq!(refused.status, 401);
    let ended = ended(&world, 4);
    assert_eq!(ended.len(), 4);
    let cut: Vec<_> = lines(&world, 5).into_iter().filter(|(id, _)| ended.contains_key(id)).collect();
    assert_eq!(cut.len(), 4);
    for (id, line) in cut {
        assert_eq!(line["response_code_details"], "everycall_cut{reason=revoked}", "{line}");
        assert_eq!(line["cut"], "revoked");
        assert_eq!(ended[&id]["detail"], "its task was revoked");
    }
    assert_eq!(world.envoy.stat("wasmcustom.everycall.streams_cut;instance=only;reason=revoked").unwrap(), 4);
    world.assert_no_crash();
}

/// What goes through a CONNECT is not looked at; whether it may go on is (RFC 9110 section 9.3.6).
#[test]
fn stream_of_a_tunnel() {
    let revocations = Revocations::start();
    let mut config = revocations.configured();
    config["bundle"]["inline"]["grants"].as_array_mut().unwrap().push(json!({
        "id": "tunnel", "owner": "o", "purpose": "p", "subject": CHECKOUT, "kinds": ["workload"],
        "hosts": ["t:8443"], "methods": ["CONNECT"], "paths": ["*"], "policy": "t"}));
    let world = revocations.world_with(config, |document| {
        let manager = connection_manager(&mut document["static_resources"]["listeners"][0]);
        manager["upgrade_configs"] = json!([{"upgrade_type": "CONNECT"}]);
        manager["route_config"]["virtual_hosts"][0]["routes"] = json!([
            {"match": {"connect_matcher": {}}, "route": {"cluster": "upstream", "timeout": "0s",
                "upgrade_configs": [{"upgrade_type": "CONNECT", "connect_config": {}}]}},
            {"match": {"prefix": "/"}, "route": {"cluster": "upstream", "timeout": "0s"}}]);
    });
    let (one, other) = (token("t-1", 600), token("t-2", 600));
    wait_for_list(&world, &other);
    let tunnel = |to: &str, token: &str| {
        let headers = [("host", to), ("authorization", token)];
        let headers = headers.map(|(name, value)| (name.to_owned(), value.as_bytes().to_vec())).into();
        let request = RawRequest { method: "CONNECT".into(), path: to.into(), headers, body: Vec::new() };
        OpenStream::open(world.address("only"), &request).unwrap()
    };
    assert_eq!(tunnel("other:8443", &one).status, 403);
    let (mut cut, mut decoy) = (tunnel("t:8443", &one), tunnel("t:8443", &other));
    for open in [&mut cut, &mut decoy] {
        assert_eq!(open.status, 200);
        open.send(b"GET /t/events HTTP/1.1\r\nhost: inside\r\n\r\n").unwrap();
    }
    std::thread::sleep(Duration::from_secs(1));
    still_runs(&cut, true);
    revocations.add(json!({"revoke": "task", "id": "t-1"}));
    cut.wait(Duration::from_secs(5)).expect("it is cut");
    still_runs(&decoy, true);
    assert_eq!(tunnel("t:8443", &one).status, 401);
    let ended = ended(&world, 1);
    let (id, record) = ended.first_key_value().unwrap();
    assert_eq!((&record["reason"], &record["grant"]), (&json!("revoked"), &json!("tunnel")));
    let line = lines(&world, 3).into_iter().find(|(of, _)| of == id).unwrap().1;
    assert_eq!(line["response_code_details"], "everycall_cut{reason=revoked}", "{line}");
    world.assert_no_crash();
}

#[test]
fn stream_of_grpc() {
    let revocations = Revocations::start();
    let upstream = GrpcServer::start(|_| GrpcAnswer::says(false)).unwrap();
    let world = revocations.world_with(revocations.configured(), |document| {
        crate::world::lead(document, "upstream", &[upstream.address()]);
        let clusters = document["static_resources"]["clusters"].as_array_mut().unwrap();
        let cluster = clusters.iter_mut().find(|cluster| cluster["name"] == "upstream").unwrap();
        cluster.as_object_mut().unwrap().remove("max_requests_per_connection");
        cluster["typed_extension_protocol_options"] = json!({"envoy.extensions.upstreams.http.v3.HttpProtocolOptions": {
            "@type": "type.googleapis.com/envoy.extensions.upstreams.http.v3.HttpProtocolOptions",
            "explicit_http_config": {"http2_protocol_options": {}}}});
    });
    let (one, other) = (token("t-1", 600), token("t-2", 600));
    wait_for_list(&world, &other);
    let calls = Calls::start(world.address("only"), &[&one, &other, &one]);
    calls.wait(|calls| calls.messages.lock().unwrap().len() == 3);
    let begun = Instant::now();
    revocations.add(json!({"revoke": "task", "id": "t-1"}));
    calls.wait(|calls| calls.ended.lock().unwrap().len() == 2);
    let ends = calls.ended.lock().unwrap().clone();
    for (index, (end, code)) in &ends {
        assert!([0, 2].contains(index) && end.duration_since(begun) < Duration::from_millis(1_500));
        assert_eq!(*code, Code::Internal, "the stream was reset");
    }
    let before = calls.messages.lock().unwrap()[&1];
    calls.wait(|calls| calls.messages.lock().unwrap()[&1] > before + 3);
    let ended = ended(&world, 2);
    assert_eq!(ended.len(), 2);
    let cut: Vec<_> = lines(&world, 3).into_iter().filter(|(id, _)| ended.contains_key(id)).collect();
    for (_, line) in &cut {
        assert_eq!(line["response_code_details"], "everycall_cut{reason=revoked}", "{line}");
    }
    // And when its token expires.
    let begun = now();
    let calls = Calls::start(world.address("only"), &[&token("t-3", 2)]);
    calls.wait(|calls| calls.ended.lock().unwrap().len() == 1);
    let lived = now().micros() - begun.secs() * 1_000_000;
    assert!((1_900_000..3_100_000).contains(&lived), "{lived}");
    world.assert_no_crash();
}

/// Until the first list has come, calls with a credential are refused.
pub fn wait_for_list(world: &World, token: &str) {
    let deadline = Instant::now() + Duration::from_secs(10);
    while world.send_raw_unlogged(&get("/t/a", token, &[])).status == 503 {
        assert!(Instant::now() < deadline, "{}", world.envoy.log());
        std::thread::sleep(Duration::from_millis(200));
    }
}

/// The streams of one instance that are open, once there are so many.
pub fn wait_for_open(world: &World, count: u64) {
    let deadline = Instant::now() + Duration::from_secs(5);
    while world.envoy.stat("wasmcustom.everycall.streams_open;instance=only").unwrap() != count {
        assert!(
            Instant::now() < deadline,
            "{}",
            world.envoy.admin("/stats?filter=everycall.streams").unwrap()
        );
        std::thread::sleep(Duration::from_millis(50));
    }
}

#[test]
fn stream_whose_client_is_gone() {
    let mut config = configuration();
    config["log"] = json!({"streams_after_s": 0});
    let world = start(config, |_| {});
    let (short, long) = (token("t-1", 3), token("t-2", 600));
    let decoys = open(&world, &long);
    for stream in open(&world, &short) {
        stream.close();
    }
    let settled = open(&world, &short);
    std::thread::sleep(Duration::from_secs(1));
    for stream in settled {
        stream.close();
    }
    wait_for_open(&world, 2);
    let ended = ended(&world, 4);
    assert!(ended.len() == 4 && ended.values().all(|record| record["reason"] == "closed"), "{ended:?}");
    assert!(ended.values().all(|record| record["cut"] == false && record["bytes_sent"].as_u64() > Some(50)));
    // Nothing is left to be cut when the token expires.
    std::thread::sleep(Duration::from_secs(3));
    let cuts = world.envoy.admin("/stats?filter=everycall.streams_cut").unwrap();
    assert_eq!(cuts.trim(), "", "{cuts}");
    for (_, line) in lines(&world, 4) {
        assert_eq!(
            (&line["cut"], &line["response_code_details"]),
            (&json!(null), &json!("downstream_remote_disconnect")),
            "{line}"
        );
    }
    still_runs(&decoys[0], true);
    world.assert_no_crash();
}
