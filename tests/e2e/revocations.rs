//! Revocations from a server in a real Envoy: known by every worker, refused when they are bad, and what
//! becomes of calls when they are too old.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use everycall::mint::TestKey;
use everycall::publisher::Publisher;
use everycall_core::facts::FeedKind;
use everycall_core::{Algorithm, UnixTime};
use everycall_tests::connection::Connection;
use everycall_tests::envoy::Envoy;
use everycall_tests::feeds::{self, answer};
use everycall_tests::server::{Answer, Received, Server};
use serde_json::{json, Value};

use crate::world::{connection_manager, now, plugin, rendered, start_envoy};

const ISSUER: &str = "https://id.shop.example/workloads";

fn key() -> TestKey {
    TestKey::es256().unwrap()
}

fn token(task: &str) -> String {
    let key = key();
    let claims = json!({"iss": ISSUER, "aud": "https://shop.example", "sub": "s", "iat": now().secs() - 1,
        "exp": now().secs() + 300, "task": task});
    key.sign(&key.header(), claims.as_object().unwrap()).unwrap()
}

fn end(task: &str) -> Value {
    json!({"revoke": "task", "id": task, "expires_at": UnixTime::from_secs(now().secs() + 600).to_string()})
}

fn document(facts: &[Value], sequence: u64, key: &TestKey) -> Vec<u8> {
    let issued_at = UnixTime::from_secs(now().secs());
    feeds::document(facts, &feeds::issue(FeedKind::Revocations, sequence, issued_at), key)
}

struct Proxy {
    envoy: Arc<Envoy>,
    inbound: std::net::SocketAddr,
    publisher: Arc<Mutex<Publisher>>,
    /// What the server says instead of its feed.
    fault: Arc<Mutex<Option<Answer>>>,
    workers: u32,
}

impl Proxy {
    fn start(workers: u32, change: impl FnOnce(&mut Value)) -> Self {
        let publisher = Arc::new(Mutex::new(Publisher::new(FeedKind::Revocations, key(), now())));
        let fault: Arc<Mutex<Option<Answer>>> = Arc::default();
        let (behind, broken) = (Arc::clone(&publisher), Arc::clone(&fault));
        let server = Server::start(move |request: &Received| {
            let fault = broken.lock().unwrap().clone();
            fault.unwrap_or_else(|| answer(&mut behind.lock().unwrap(), request))
        })
        .unwrap();
        let upstream = Server::start(|_| Answer::Http(200, b"upstream\n".to_vec())).unwrap();
        let mut config = everycall_tests::cases::reference().unwrap();
        config["issuers"][0]["task_claim"] = json!("task");
        config["bundle"]["inline"] = json!({
            "policies": {"all.rego": "package everycall\ndecision := {\"allow\": true}"},
            "grants": [{"id": "all", "owner": "o", "purpose": "p", "subject": "s", "kinds": ["workload"],
                "hosts": ["h"], "methods": ["GET"], "paths": ["/"]}],
            "exceptions": config["bundle"]["inline"]["exceptions"].clone()});
        config["revocations"] = json!({"keys": key().public_jwks(),
            "remote": {"cluster": "revocations", "host": "r.example", "path": "/revocations"}});
        config["log"] = json!({"records": "off"});
        change(&mut config);
        let mut document = rendered(&config, upstream.address(), server.address());
        let clusters = document["static_resources"]["clusters"].as_array_mut().unwrap();
        // The load is on the filter, not on connections to the upstream.
        for cluster in clusters {
            cluster.as_object_mut().unwrap().remove("max_requests_per_connection");
        }
        let manager = connection_manager(&mut document["static_resources"]["listeners"][0]);
        plugin(manager)["configuration"]["value"] = json!(config.to_string());
        let envoy = start_envoy(document.to_string(), workers).unwrap();
        let inbound = envoy.listener("inbound").unwrap();
        Self { envoy, inbound, publisher, fault, workers }
    }

    fn stat(&self, name: &str, labels: &str) -> u64 {
        let name = format!("wasmcustom.everycall.{name};instance=shop-inbound{labels};feed=revocations");
        self.envoy.stat(&name).unwrap()
    }

    /// Waits until all workers, and the main thread, have a list in this state.
    fn all_are(&self, state: &str) {
        let all = u64::from(self.workers) + 1;
        self.until(state, || self.stat("feed", &format!(";state={state}")) == all);
    }

    fn until(&self, what: &str, condition: impl Fn() -> bool) {
        let deadline = Instant::now() + Duration::from_secs(60);
        while !condition() {
            assert!(Instant::now() < deadline, "{what}:\n{}", self.envoy.log());
            std::thread::sleep(Duration::from_millis(20));
        }
    }

    fn publish(&self, facts: impl IntoIterator<Item = Value>) {
        self.publisher.lock().unwrap().publish(facts, now());
    }

    fn fault(&self, answer: Option<Answer>) {
        *self.fault.lock().unwrap() = answer;
    }

    /// Connections enough for each worker to have some: of which is not known.
    fn connections(&self) -> Vec<Connection> {
        (0..self.workers * 12).map(|_| Connection::new(self.inbound)).collect()
    }

    fn all_say(&self, connections: &mut [Connection], task: &str) -> BTreeMap<(u16, String), usize> {
        let header = format!("authorization: Bearer {}\r\n", token(task));
        let mut said = BTreeMap::new();
        for connection in connections {
            *said.entry(connection.get_with("/", &header).unwrap()).or_default() += 1;
        }
        said
    }
}

fn only(said: BTreeMap<(u16, String), usize>) -> (u16, String) {
    assert_eq!(said.len(), 1, "{said:?}");
    said.into_keys().next().unwrap()
}

const ALLOWED: (u16, &str) = (200, "");
/// All tokens that are refused get one answer.
const REVOKED: (u16, &str) = (401, "invalid_token");
const STALE: (u16, &str) = (503, "revocations_stale");

fn is(said: BTreeMap<(u16, String), usize>, expected: (u16, &str)) {
    assert_eq!(only(said), (expected.0, expected.1.to_owned()));
}

/// How soon is measured by `make bench-continuous`.
#[test]
fn revocation_reaches_every_worker() {
    const ROUNDS: u64 = 5;
    let proxy = Proxy::start(4, |_| {});
    proxy.all_are("fresh");
    let mut connections = proxy.connections();
    let count = connections.len() as u64;
    for round in 0..ROUNDS {
        let task = format!("t-{round}");
        is(proxy.all_say(&mut connections, &task), ALLOWED);
        proxy.publish([end(&task)]);
        let began = Instant::now();
        let header = format!("authorization: Bearer {}\r\n", token(&task));
        let mut open: Vec<usize> = (0..connections.len()).collect();
        while !open.is_empty() {
            assert!(began.elapsed() < Duration::from_secs(10), "{}", proxy.envoy.log());
            open.retain(|at| connections[*at].get_with("/", &header).unwrap().0 == 200);
        }
        is(proxy.all_say(&mut connections, &task), REVOKED);
        is(proxy.all_say(&mut connections, "other"), ALLOWED);
    }
    // A request that was under way when its task ended was admitted, and is cut.
    let refused = "wasmcustom.everycall.decisions;instance=shop-inbound;outcome=deny;reason=revoked";
    let cut = "wasmcustom.everycall.streams_cut;instance=shop-inbound;reason=revoked";
    let counted = |name| proxy.envoy.stat(name).unwrap_or_default();
    proxy.until("each is counted once", || counted(refused) + counted(cut) == ROUNDS * 2 * count);
    assert_eq!(proxy.envoy.stat("wasm.everycall.vm_reload_success").unwrap(), 0);
}

/// Bad lists change nothing; a server that is gone leaves the list to grow old.
#[test]
fn revocation_feed_bad_or_gone() {
    let proxy = Proxy::start(2, |config| config["revocations"]["max_age_s"] = json!(8));
    proxy.fault(Some(Answer::Close));
    proxy.publish([end("t-1")]);
    proxy.fault(None);
    proxy.all_are("fresh");
    let mut connections = proxy.connections();
    is(proxy.all_say(&mut connections, "t-1"), REVOKED);
    let sequence = proxy.publisher.lock().unwrap().sequence();
    let foreign = TestKey::foreign(Algorithm::Es256).unwrap();
    let good = document(&[end("t-2")], sequence + 9, &key());
    let facts = || [end("t-2")];
    for (body, reason) in [
        (document(&facts(), sequence + 9, &foreign), "signature"),
        (document(&[], sequence - 1, &key()), "older"),
        (good[..good.len() - 20].to_vec(), "digest"),
        (b"<html>Maintenance</html>\n".to_vec(), "malformed"),
        (vec![b'x'; 3_000_000], "too_large"),
    ] {
        proxy.fault(Some(Answer::Http(200, body)));
        proxy.until(reason, || proxy.stat("feed_refused", &format!(";reason={reason}")) > 0);
        is(proxy.all_say(&mut connections, "t-2"), ALLOWED);
        is(proxy.all_say(&mut connections, "t-1"), REVOKED);
        // What is wrong with it is no reason for the list to grow old.
        proxy.fault(None);
        std::thread::sleep(Duration::from_millis(1_200));
    }
    for fault in [Answer::Close, Answer::Silence(Duration::from_secs(3)), Answer::Http(304, Vec::new())] {
        proxy.fault(None);
        proxy.all_are("fresh");
        proxy.fault(Some(fault.clone()));
        proxy.all_are("stale");
        is(proxy.all_say(&mut connections, "t-2"), STALE);
        is(proxy.all_say(&mut connections, "t-1"), REVOKED);
    }
    proxy.fault(None);
    proxy.publish([end("t-2")]);
    proxy.all_are("fresh");
    proxy.until("it is revoked", || proxy.stat("feed_sequence", "") > sequence);
    std::thread::sleep(Duration::from_millis(300));
    is(proxy.all_say(&mut connections, "t-2"), REVOKED);
    is(proxy.all_say(&mut connections, "t-3"), ALLOWED);
    assert_eq!(proxy.envoy.stat("wasm.everycall.vm_reload_success").unwrap(), 0);
}

/// Without a list, callers are refused, and a list of a million is read while requests are decided.
#[test]
fn revocation_feed_of_a_million() {
    let proxy = Proxy::start(1, |_| {});
    proxy.fault(Some(Answer::Close));
    let mut connections = proxy.connections();
    proxy.publish((0..1_000_000).map(|number| end(&format!("t-{number}"))));
    println!("published");
    proxy.fault(None);
    let (began, mut slow) = (Instant::now(), BTreeMap::<u128, u64>::new());
    let header = format!("authorization: Bearer {}\r\n", token("t-999999"));
    let mut said = (200, String::new());
    while said.0 != 401 {
        assert!(began.elapsed() < Duration::from_secs(240), "{said:?} {}", proxy.envoy.log());
        let asked = Instant::now();
        said = connections[0].get_with("/", &header).unwrap();
        *slow.entry(asked.elapsed().as_millis()).or_default() += 1;
    }
    println!("it is known after {:?}; requests by milliseconds: {slow:?}", began.elapsed());
    proxy.all_are("fresh");
    println!("complete after {:?}", began.elapsed());
    println!("{}", proxy.envoy.admin("/stats?filter=feed").unwrap().trim());
    assert_eq!(proxy.stat("feed_entries", ""), 1_000_000);
    is(proxy.all_say(&mut connections, "t-x"), ALLOWED);
    assert_eq!(proxy.envoy.stat("wasm.everycall.vm_reload_success").unwrap(), 0);
}
