//! Bundles from a server in a real Envoy: swapped under load, refused, stale, and large ones prepared
//! between requests.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use everycall::mint::TestKey;
use everycall_core::Algorithm;
use everycall_tests::connection::Connection;
use everycall_tests::envoy::Envoy;
use everycall_tests::server::{Answer, Received, Server};
use serde_json::{json, Value};

use crate::world::{connection_manager, plugin, rendered, start_envoy};

fn key() -> TestKey {
    TestKey::es256().unwrap()
}

fn signed(parts: &Value, sequence: u64, key: &TestKey, lifetime: i64) -> Vec<u8> {
    everycall_tests::bundle::signed(parts, sequence, key, lifetime).unwrap()
}

/// What anybody may do says which bundle decided: `/odd` under odd sequences, `/even` under even ones,
/// `/both` under each.
fn parts(sequence: u64, more: usize) -> Value {
    let path = if sequence % 2 == 1 { "/odd" } else { "/even" };
    let mut grants = vec![json!({"id": format!("s{sequence}"), "owner": "o", "purpose": "p",
        "subject": "anonymous", "hosts": ["h"], "methods": ["GET"], "paths": ["/both", path]})];
    grants.extend((0..more).map(|number| {
        json!({"id": format!("g{number}"), "owner": "team", "purpose": "some purpose or other", "kinds": ["workload"],
            "subject": format!("spiffe://shop.example/ns/n{}/sa/s{number}", number % 100), "hosts": ["h"],
            "methods": ["GET"], "paths": [format!("/a{}/{{x}}/b{}", number % 300, number % 70)]})
    }));
    let data: serde_json::Map<String, Value> =
        (0..more / 10).map(|number| (format!("k{number}"), json!({"a": number, "b": ["x", "y"]}))).collect();
    json!({"policies": {"all.rego": "package everycall\ndecision := {\"allow\": true}"}, "data": {"many": data},
        "grants": grants})
}

struct Proxy {
    envoy: Arc<Envoy>,
    inbound: SocketAddr,
    answer: Arc<Mutex<Answer>>,
    asked: Server,
}

impl Proxy {
    fn start(workers: u32, first: Answer, change: impl FnOnce(&mut Value)) -> Self {
        let answer = Arc::new(Mutex::new(first));
        let behind = Arc::clone(&answer);
        let asked = Server::start(move |request: &Received| {
            let answer = behind.lock().unwrap().clone();
            match &answer {
                Answer::Full(200, headers, _) => {
                    let tag = headers.iter().find(|(name, _)| name == "etag").map(|(_, tag)| tag.as_bytes());
                    match tag.is_some() && request.all("if-none-match").first().copied() == tag {
                        true => Answer::Full(304, headers.clone(), Vec::new()),
                        false => answer,
                    }
                }
                _ => answer,
            }
        })
        .unwrap();
        let upstream = Server::start(|_| Answer::Http(200, b"upstream\n".to_vec())).unwrap();
        let mut config = everycall_tests::cases::reference().unwrap();
        config["bundle"] = json!({"keys": key().public_jwks(), "remote": {"cluster": "bundles", "host": "b.example",
            "path": "/shop.bundle", "interval_s": 1, "timeout_ms": 3000, "max_bytes": 33_554_432}});
        config["log"] = json!({"records": "off"});
        change(&mut config);
        let mut document = rendered(&config, upstream.address(), asked.address());
        // The load is on the filter, not on connections to the upstream.
        for cluster in document["static_resources"]["clusters"].as_array_mut().unwrap() {
            cluster.as_object_mut().unwrap().remove("max_requests_per_connection");
        }
        let manager = connection_manager(&mut document["static_resources"]["listeners"][0]);
        plugin(manager)["configuration"]["value"] = json!(config.to_string());
        let envoy = start_envoy(document.to_string(), workers).unwrap();
        let inbound = envoy.listener("inbound").unwrap();
        Self { envoy, inbound, answer, asked }
    }

    fn publish(&self, file: Vec<u8>) {
        *self.answer.lock().unwrap() = served(file);
    }

    fn stat(&self, name: &str) -> u64 {
        self.envoy.stat(&format!("wasmcustom.everycall.{name}")).unwrap()
    }

    fn refused(&self, reason: &str) -> u64 {
        self.stat(&format!("bundle_refused;instance=shop-inbound;reason={reason}"))
    }

    fn sequence(&self) -> u64 {
        self.stat("bundle_sequence;instance=shop-inbound")
    }

    fn state(&self, state: &str) -> u64 {
        self.stat(&format!("bundle;instance=shop-inbound;state={state}"))
    }

    /// Status and reason for a path, on a connection of its own.
    fn get(&self, path: &str) -> (u16, String) {
        let mut connection = Connection::new(self.inbound);
        connection.get(path).unwrap()
    }
}

/// With an entity tag of its bytes.
fn served(file: Vec<u8>) -> Answer {
    use sha2::Digest as _;
    let tag =
        sha2::Sha256::digest(&file).iter().take(8).map(|byte| format!("{byte:02x}")).collect::<String>();
    Answer::Full(200, vec![("etag".to_owned(), format!("\"{tag}\""))], file)
}

fn until(what: &str, proxy: &Proxy, condition: impl Fn() -> bool) {
    let deadline = Instant::now() + Duration::from_secs(60);
    while !condition() {
        assert!(Instant::now() < deadline, "{what}:\n{}", proxy.envoy.log());
        std::thread::sleep(Duration::from_millis(20));
    }
}

/// Several keep-alive clients ask for `/both`, `/odd` and `/even` in turn. Each answer must be right
/// under one bundle, and on a connection, which one worker serves, bundles must not go back.
#[test]
fn bundle_swap_under_load() {
    let workers = 2;
    let proxy = Arc::new(Proxy::start(workers, served(signed(&parts(1, 3_000), 1, &key(), 3_600)), |_| {}));
    until("all have the first bundle", &proxy, || proxy.state("serving") == u64::from(workers) + 1);
    let stop = Arc::new(AtomicBool::new(false));
    let clients: Vec<_> = (0..8)
        .map(|_| {
            let (proxy, stop) = (Arc::clone(&proxy), Arc::clone(&stop));
            std::thread::spawn(move || {
                let mut connection = Connection::new(proxy.inbound);
                let (mut count, mut swaps, mut slowest) = (0_u64, 0_u64, Duration::ZERO);
                // Between two answers there may be at most one swap: publishing takes longer.
                let mut odd: Option<bool> = None;
                while !stop.load(Ordering::Relaxed) {
                    for path in ["/both", "/odd", "/even"] {
                        let began = Instant::now();
                        let (status, reason) = connection.get(path).expect("no request is dropped");
                        slowest = slowest.max(began.elapsed());
                        count += 1;
                        let is_odd = match (path, status, reason.as_str()) {
                            ("/both", 200, _) => continue,
                            ("/odd", 200, _) | ("/even", 401, "credential_missing") => true,
                            ("/even", 200, _) | ("/odd", 401, "credential_missing") => false,
                            other => panic!("{other:?} is right under no bundle"),
                        };
                        swaps += u64::from(odd.is_some_and(|before| before != is_odd));
                        odd = Some(is_odd);
                    }
                }
                (count, swaps, slowest)
            })
        })
        .collect();
    let began = Instant::now();
    let last = 6;
    for sequence in 2..=last {
        proxy.publish(signed(&parts(sequence, 3_000), sequence, &key(), 3_600));
        until("the next bundle is in force", &proxy, || proxy.sequence() == sequence);
        // The other workers look once a second.
        std::thread::sleep(Duration::from_millis(2_500));
    }
    // What is refused changes nothing.
    let mut tampered = signed(&parts(7, 3_000), 7, &key(), 3_600);
    let at = tampered.len() - 40;
    tampered[at] ^= 1;
    let foreign = TestKey::foreign(Algorithm::Es256).unwrap();
    for (file, reason) in [
        (tampered, "digest"),
        (signed(&parts(7, 3_000), 7, &foreign, 3_600), "signature"),
        (signed(&parts(5, 3_000), 5, &key(), 3_600), "older"),
    ] {
        proxy.publish(file);
        until(reason, &proxy, || proxy.refused(reason) > 0);
    }
    let elapsed = began.elapsed();
    stop.store(true, Ordering::Relaxed);
    let results: Vec<_> = clients.into_iter().map(|client| client.join().unwrap()).collect();
    let total: u64 = results.iter().map(|(count, ..)| count).sum();
    let slowest = results.iter().map(|(.., slowest)| *slowest).max().unwrap();
    for (_, swaps, _) in &results {
        assert_eq!(*swaps, last - 1, "each connection sees each swap once, and none goes back");
    }
    assert_eq!(proxy.sequence(), last);
    assert_eq!(proxy.envoy.stat("wasm.everycall.vm_reload_success").unwrap(), 0);
    let rate = total as f64 / elapsed.as_secs_f64();
    println!("{total} requests, {rate:.0} a second, {} swaps, slowest {slowest:?}", last - 1);
    report_slices(&proxy);
}

/// Envoy's own quantiles of the slices, in microseconds.
fn report_slices(proxy: &Proxy) {
    let stats = proxy.envoy.admin("/stats?filter=slice_us&usedonly").unwrap();
    println!("{}", stats.trim());
}

#[test]
fn bundle_large() {
    let proxy = Proxy::start(1, served(signed(&parts(1, 0), 1, &key(), 3_600)), |_| {});
    until("the first bundle", &proxy, || proxy.state("serving") == 2);
    let file = signed(&parts(2, 40_000), 2, &key(), 3_600);
    let size = file.len();
    let mut connection = Connection::new(proxy.inbound);
    proxy.publish(file);
    let (began, mut slow) = (Instant::now(), BTreeMap::<u128, u64>::new());
    while proxy.sequence() < 2 || proxy.get("/even").0 != 200 {
        assert!(began.elapsed() < Duration::from_secs(120), "{}", proxy.envoy.log());
        for _ in 0..50 {
            let asked = Instant::now();
            assert_eq!(connection.get("/both").unwrap().0, 200);
            *slow.entry(asked.elapsed().as_millis()).or_default() += 1;
        }
    }
    println!("{size} bytes in {:?}; requests by milliseconds: {slow:?}", began.elapsed());
    report_slices(&proxy);
    // And away again.
    proxy.publish(signed(&parts(3, 0), 3, &key(), 3_600));
    until("a small one again", &proxy, || proxy.get("/odd").0 == 200);
    std::thread::sleep(Duration::from_millis(500));
    report_slices(&proxy);
    assert_eq!(proxy.envoy.stat("wasm.everycall.vm_reload_success").unwrap(), 0);
}

#[test]
fn bundle_server_down_until_it_is_stale() {
    let proxy = Proxy::start(2, Answer::Close, |config| config["bundle"]["max_stale_s"] = json!(8));
    assert_eq!(proxy.get("/both"), (503, "not_ready".to_owned()));
    let big = Answer::Http(200, vec![b'x'; 33_000_000]);
    for answer in [
        Answer::Silence(Duration::from_secs(4)),
        Answer::Http(200, b"<html>".to_vec()),
        Answer::Http(304, Vec::new()),
        big,
    ] {
        *proxy.answer.lock().unwrap() = answer;
        std::thread::sleep(Duration::from_millis(1_200));
        assert_eq!(proxy.get("/both"), (503, "not_ready".to_owned()));
    }
    assert!(proxy.refused("malformed") > 0);
    proxy.publish(signed(&parts(1, 10), 1, &key(), 3_600));
    until("it serves", &proxy, || proxy.state("serving") == 3);
    assert_eq!(proxy.get("/odd").0, 200);
    // Asked again and again, the server says that nothing has changed; the bundle grows old by that.
    proxy.asked.take();
    until("it is stale", &proxy, || proxy.state("stale") == 3);
    assert_eq!(proxy.get("/odd"), (503, "bundle_stale".to_owned()));
    assert!(proxy.stat("bundle_fetches;instance=shop-inbound;outcome=unchanged") > 0);
    *proxy.answer.lock().unwrap() = Answer::Close;
    std::thread::sleep(Duration::from_millis(1_500));
    assert_eq!(proxy.get("/odd"), (503, "bundle_stale".to_owned()));
    proxy.publish(signed(&parts(2, 10), 2, &key(), 3_600));
    until("it serves again", &proxy, || proxy.get("/even").0 == 200);
    assert_eq!(proxy.envoy.stat("wasm.everycall.vm_reload_success").unwrap(), 0);
}
