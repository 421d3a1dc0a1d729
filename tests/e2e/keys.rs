//! Keys from a server, over four workers: rotated under load, gone for longer than they may be old,
//! and back. Time here is real: the test takes as long as the ages that it is about.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use everycall::mint::TestKey;
use everycall_core::Algorithm;
use everycall_tests::client::{self, RawRequest, Response};
use everycall_tests::envoy::Envoy;
use everycall_tests::server::{Answer, Server};
use serde_json::{json, Value};

use crate::world::{connection_manager, now, plugin, rendered, start_envoy};

const ISSUER: &str = "https://id.shop.example/workloads";
const AGENTS: &str = "https://id.shop.example/agents";
const INTERVAL: Duration = Duration::from_secs(1);
const MAX_STALE: Duration = Duration::from_secs(6);

/// What the server of keys does, and when it was asked.
struct Issuer {
    answer: Mutex<Answer>,
    asked: Mutex<Vec<Instant>>,
}

impl Issuer {
    fn publish(&self, algorithms: &[Algorithm]) {
        let keys: Vec<Value> =
            algorithms.iter().map(|algorithm| TestKey::of(*algorithm).unwrap().public_jwk()).collect();
        *self.answer.lock().unwrap() = Answer::Http(200, json!({"keys": keys}).to_string().into_bytes());
    }

    fn fail(&self, answer: Answer) {
        *self.answer.lock().unwrap() = answer;
    }
}

struct Proxy {
    envoy: Arc<Envoy>,
    inbound: SocketAddr,
    issuer: Arc<Issuer>,
    serial: AtomicU64,
}

impl Proxy {
    fn start(workers: u32) -> Self {
        Self::start_with(workers, |_| {})
    }

    fn start_with(workers: u32, change: impl FnOnce(&mut Value)) -> Self {
        let issuer = Arc::new(Issuer { answer: Mutex::new(Answer::Close), asked: Mutex::default() });
        issuer.publish(&[Algorithm::Es256]);
        let behind = Arc::clone(&issuer);
        let keys = Server::start(move |request| {
            // The decision point as well.
            if request.method == "POST" {
                return Answer::Http(200, br#"{"decision":true}"#.to_vec());
            }
            if request.path == "/workloads/.well-known/openid-configuration" {
                let document = json!({"issuer": ISSUER, "jwks_uri": "https://id.shop.example/jwks.json"});
                return Answer::Http(200, document.to_string().into_bytes());
            }
            if request.path == "/jwks.json" {
                behind.asked.lock().unwrap().push(Instant::now());
            }
            behind.answer.lock().unwrap().clone()
        })
        .unwrap();
        let upstream = Server::start(|_| Answer::Http(200, b"upstream\n".to_vec())).unwrap();
        let mut config = everycall_tests::cases::reference().unwrap();
        let remote = json!({"remote": {"cluster": "keys", "host": "id.shop.example", "path": "/jwks.json",
            "interval_s": 1, "refresh_s": 2, "max_stale_s": MAX_STALE.as_secs(), "wait_ms": 2500,
            "max_waiting": 50, "timeout_ms": 500}});
        config["issuers"][0]["algorithms"] = json!(["ES256", "EdDSA", "RS256", "ES384"]);
        config["issuers"][0]["keys"] = remote.clone();
        config["issuers"][2]["keys"] = remote;
        config["issuers"][2]["keys"]["remote"]["refresh_s"] = json!(600);
        config["issuers"][2]["keys"]["remote"]["max_stale_s"] = json!(600);
        config["issuers"][2]["keys"]["remote"]["path"] = json!("/agents.json");
        config["log"] = json!({"records": "refusals"});
        change(&mut config);
        let mut document = rendered(&config, upstream.address(), keys.address());
        let manager = connection_manager(&mut document["static_resources"]["listeners"][0]);
        plugin(manager)["configuration"]["value"] = json!(config.to_string());
        let envoy = start_envoy(document.to_string(), workers).unwrap();
        let inbound = envoy.listener("inbound").unwrap();
        Self { envoy, inbound, issuer, serial: AtomicU64::new(0) }
    }

    /// Reads an order with a token that was never seen before.
    fn send(&self, algorithm: Algorithm, kid: Option<&str>) -> Response {
        let sub = "spiffe://shop.example/ns/checkout/sa/checkout";
        let mut claims = json!({"iss": ISSUER, "sub": sub});
        let token = self.token(algorithm, kid, &mut claims);
        self.call("GET", "/orders/o-1", "show-order", &token)
    }

    fn token(&self, algorithm: Algorithm, kid: Option<&str>, claims: &mut Value) -> String {
        let key = TestKey::of(algorithm).unwrap();
        let mut header = key.header();
        if let Some(kid) = kid {
            header.insert("kid".into(), json!(kid));
        }
        claims["aud"] = json!("https://shop.example");
        claims["jti"] = json!(self.serial.fetch_add(1, Ordering::Relaxed).to_string());
        claims["iat"] = json!(now().secs());
        claims["exp"] = json!(now().secs() + 60);
        key.sign(&header, claims.as_object().unwrap()).unwrap()
    }

    fn call(&self, method: &str, path: &str, purpose: &str, token: &str) -> Response {
        let headers = [
            ("host", "orders.shop.example"),
            ("x-purpose", purpose),
            ("authorization", &format!("Bearer {token}")),
        ];
        let request = RawRequest {
            method: method.into(),
            path: path.into(),
            headers: headers.map(|(name, value)| (name.to_owned(), value.as_bytes().to_vec())).to_vec(),
            body: Vec::new(),
        };
        client::send(self.inbound, [127, 0, 0, 1].into(), &request, Duration::from_secs(10)).unwrap()
    }

    fn state(&self, state: &str) -> u64 {
        let name = format!("wasmcustom.everycall.keys;instance=shop-inbound;state={state};issuer={ISSUER}");
        self.envoy.stat(&name).unwrap()
    }

    /// Requests by several clients until told to stop; statuses and how often they came.
    fn load(self: &Arc<Self>, clients: usize, algorithm: &Arc<Mutex<Algorithm>>) -> Load {
        let stop = Arc::new(AtomicBool::new(false));
        let seen: Arc<Mutex<BTreeMap<String, usize>>> = Arc::default();
        let threads: Vec<_> = (0..clients)
            .map(|_| {
                let (proxy, algorithm, stop, seen) =
                    (Arc::clone(self), Arc::clone(algorithm), Arc::clone(&stop), Arc::clone(&seen));
                std::thread::spawn(move || {
                    while !stop.load(Ordering::Relaxed) {
                        let algorithm = *algorithm.lock().unwrap();
                        let response = proxy.send(algorithm, None);
                        let body = String::from_utf8_lossy(&response.body).into_owned();
                        let outcome = format!("{} {}", response.status, body.trim());
                        *seen.lock().unwrap().entry(outcome).or_default() += 1;
                    }
                })
            })
            .collect();
        Load { stop, threads, seen }
    }
}

struct Load {
    stop: Arc<AtomicBool>,
    threads: Vec<std::thread::JoinHandle<()>>,
    seen: Arc<Mutex<BTreeMap<String, usize>>>,
}

impl Load {
    fn finish(self) -> BTreeMap<String, usize> {
        self.stop.store(true, Ordering::Relaxed);
        self.threads.into_iter().for_each(|thread| thread.join().unwrap());
        Arc::try_unwrap(self.seen).unwrap().into_inner().unwrap()
    }
}

fn until(what: &str, condition: impl Fn() -> bool) {
    let deadline = Instant::now() + Duration::from_secs(15);
    while !condition() {
        assert!(Instant::now() < deadline, "{what}");
        std::thread::sleep(Duration::from_millis(20));
    }
}

/// One fetch an interval, whichever worker made it. The lease is by the proxy's clock, and a busy
/// machine delays what arrives: so two in a row may come a little closer, but not all of them.
fn assert_one_fetch_an_interval(asked: &[Instant]) {
    let gaps: Vec<Duration> = asked.windows(2).map(|pair| pair[1] - pair[0]).collect();
    assert!(gaps.iter().all(|gap| *gap >= INTERVAL / 2), "{gaps:?}");
    let whole: Duration = gaps.iter().sum();
    let most = whole.as_secs_f64() / INTERVAL.as_secs_f64() + 1.5;
    assert!((gaps.len() as f64) < most, "{} fetches in {whole:?}: {gaps:?}", asked.len());
}

#[test]
fn keys_rotate_under_load_without_a_wrong_401() {
    let proxy = Arc::new(Proxy::start(4));
    let signing = Arc::new(Mutex::new(Algorithm::Es256));
    let load = proxy.load(6, &signing);
    std::thread::sleep(Duration::from_millis(1500));
    let mut before = Algorithm::Es256;
    for next in [Algorithm::EdDsa, Algorithm::Rs256, Algorithm::Es384] {
        // The new key is published and signs at once: the hardest case. The old one goes a while later.
        proxy.issuer.publish(&[before, next]);
        *signing.lock().unwrap() = next;
        std::thread::sleep(Duration::from_millis(1500));
        proxy.issuer.publish(&[next]);
        std::thread::sleep(Duration::from_millis(3000));
        before = next;
    }
    let seen = load.finish();
    let total: usize = seen.values().sum();
    assert!(total > 500 && seen.keys().all(|outcome| outcome == "200 upstream"), "{seen:?}");
    // A token of a key that was taken away is not believed any more.
    assert_eq!(proxy.send(Algorithm::Es256, None).status, 401);
    assert_one_fetch_an_interval(&proxy.issuer.asked.lock().unwrap());
    assert_eq!(proxy.envoy.stat("wasm.everycall.vm_reload_success").unwrap(), 0);
}

#[test]
fn keys_server_down_for_longer_than_they_may_be_old() {
    let proxy = Arc::new(Proxy::start(4));
    // Four workers and the main thread.
    until("all have keys", || proxy.state("fresh") == 5);
    assert_eq!(proxy.send(Algorithm::Es256, None).status, 200);
    proxy.issuer.fail(Answer::Close);
    let down = Instant::now();
    let mut stale_seen = false;
    loop {
        let response = proxy.send(Algorithm::Es256, None);
        match response.status {
            200 => {
                stale_seen |= proxy.state("stale") > 0;
                assert!(down.elapsed() < MAX_STALE + Duration::from_secs(3), "served beyond the hard age");
            }
            503 => {
                let body: Value = serde_json::from_slice(&response.body).unwrap();
                assert_eq!(body["reason"], "keys_unavailable");
                assert!(response.header("retry-after").is_some());
                break;
            }
            other => panic!("{other}: {}", String::from_utf8_lossy(&response.body)),
        }
        std::thread::sleep(Duration::from_millis(50));
    }
    assert!(stale_seen, "it was stale for a while and served");
    assert!(down.elapsed() >= MAX_STALE - Duration::from_secs(3), "{:?}", down.elapsed());
    until("all have expired", || proxy.state("expired") == 5);
    // The server is slow now, then nonsense, then it is back.
    proxy.issuer.fail(Answer::Silence(Duration::from_secs(3)));
    assert_eq!(proxy.send(Algorithm::Es256, None).status, 503);
    proxy.issuer.fail(Answer::Http(200, b"<html>Maintenance</html>".to_vec()));
    assert_eq!(proxy.send(Algorithm::Es256, None).status, 503);
    proxy.issuer.fail(Answer::Http(200, vec![b' '; 5 << 20]));
    assert_eq!(proxy.send(Algorithm::Es256, None).status, 503);
    proxy.issuer.publish(&[Algorithm::Es256]);
    until("it recovers", || proxy.send(Algorithm::Es256, None).status == 200);
    until("all have keys again", || proxy.state("fresh") == 5);
    assert_one_fetch_an_interval(&proxy.issuer.asked.lock().unwrap());
    let failed =
        format!("wasmcustom.everycall.key_fetches;instance=shop-inbound;outcome=failed;issuer={ISSUER}");
    assert!(proxy.envoy.stat(&failed).unwrap() > 0);
}

#[test]
fn keys_server_down_at_the_start() {
    let proxy = Proxy::start(1);
    proxy.issuer.fail(Answer::Close);
    let response = proxy.send(Algorithm::EdDsa, None);
    assert_eq!(response.status, 503, "{}", String::from_utf8_lossy(&response.body));
    proxy.issuer.publish(&[Algorithm::EdDsa]);
    until("it has keys", || proxy.send(Algorithm::EdDsa, None).status == 200);
}

#[test]
fn keys_unknown_flood() {
    let proxy = Arc::new(Proxy::start(4));
    until("all have keys", || proxy.state("fresh") == 5);
    let stop = Arc::new(AtomicBool::new(false));
    let threads: Vec<_> = (0..8)
        .map(|client| {
            let (proxy, stop) = (Arc::clone(&proxy), Arc::clone(&stop));
            std::thread::spawn(move || {
                let mut statuses = BTreeMap::<u16, usize>::new();
                let mut count = 0;
                while !stop.load(Ordering::Relaxed) {
                    count += 1;
                    let kid = format!("random-{client}-{count}");
                    let status = proxy.send(Algorithm::EdDsa, Some(&kid)).status;
                    *statuses.entry(status).or_default() += 1;
                }
                statuses
            })
        })
        .collect();
    let started = Instant::now();
    // Who has a good token does not notice.
    while started.elapsed() < Duration::from_secs(4) {
        assert_eq!(proxy.send(Algorithm::Es256, None).status, 200);
    }
    stop.store(true, Ordering::Relaxed);
    for thread in threads {
        let statuses = thread.join().unwrap();
        assert!(statuses.keys().all(|status| [401, 503].contains(status)), "{statuses:?}");
    }
    assert_one_fetch_an_interval(&proxy.issuer.asked.lock().unwrap());
}

#[test]
fn a_request_that_waited_for_keys_asks_the_decision_point_then() {
    let proxy = Proxy::start(1);
    // What is published at first is no key for agents.
    let name =
        format!("wasmcustom.everycall.key_fetches;instance=shop-inbound;outcome=failed;issuer={AGENTS}");
    until("the agents' keys were asked for", || proxy.envoy.stat(&name).unwrap() > 0);
    proxy.issuer.publish(&[Algorithm::EdDsa]);
    let mut claims = json!({"iss": AGENTS, "sub": "user:alice", "task": "order:o-1",
        "act": {"sub": "spiffe://shop.example/agent/support-bot"}});
    let token = proxy.token(Algorithm::EdDsa, None, &mut claims);
    let started = Instant::now();
    let response = proxy.call("POST", "/orders/o-1/refund?amount=300", "refund-complaint", &token);
    assert_eq!(response.status, 200, "{}", String::from_utf8_lossy(&response.body));
    let again = proxy.call("POST", "/orders/o-1/refund?amount=300", "refund-complaint", &token);
    assert_eq!(again.status, 200);
    let waited: Vec<Value> = (proxy.envoy.lines("access.log", 2).iter())
        .map(|line| serde_json::from_str::<Value>(line).unwrap())
        .map(|line| serde_json::from_str(line["decision"].as_str().unwrap()).unwrap())
        .collect();
    assert_eq!((&waited[0]["layer"], &waited[1]["layer"]), (&json!("pdp"), &json!("pdp")));
    assert!(waited[0]["duration_us"].as_u64() > Some(1_000), "{waited:?} after {:?}", started.elapsed());
    assert_eq!(proxy.envoy.stat("wasm.everycall.vm_reload_success").unwrap(), 0);
}

#[test]
fn keys_are_discovered() {
    let discover = |host: &'static str| {
        move |config: &mut Value| {
            let remote = &mut config["issuers"][0]["keys"]["remote"];
            remote["path"] = Value::Null;
            remote["discovery"] = json!(true);
            remote["host"] = json!(host);
        }
    };
    let proxy = Proxy::start_with(1, discover("id.shop.example"));
    assert_eq!(proxy.send(Algorithm::Es256, None).status, 200);
    // The document names another server than the configured one.
    let proxy = Proxy::start_with(1, discover("keys.shop.example"));
    assert_eq!(proxy.send(Algorithm::Es256, None).status, 503);
    assert!(proxy.issuer.asked.lock().unwrap().is_empty());
    assert!(proxy.envoy.log().contains("expected one on `keys.shop.example`"));
}
