//! What a client's bytes multiply into: memory of the worker, and lines of the log. Nothing traps, nobody else waits
//! long, and every decision is written down once, or counted as dropped.

use std::io::Read;
use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::sync::Arc;
use std::time::{Duration, Instant};

use everycall_tests::envoy::{connection_manager, lead, without_filters};
use everycall_tests::h2::{Event, Field, H2};
use serde_json::json;

use crate::requests::{get, with_policy};
use crate::world::{Listener, Paths, World};

/// Reads `origin`, as whoever answers preflights has to.
const POLICY: &str = r#"
decision := {"allow": true} if {
	startswith(input.request.path, "/t/a")
	input.request.headers.origin
}

decision := {"allow": true} if input.request.path == "/t/ok"
"#;
/// Asks about everything below `/t/ask`.
const ASKING: &str = r#"
ask contains {"id": "q", "subject": {"type": "t", "id": "s"}, "action": {"name": "a"},
	"resource": {"type": "t", "id": "r"}} if startswith(input.request.path, "/t/ask")

decision := {"allow": true} if input.pdp.q.decision
"#;
/// What 10,000 streams may add to the memory of Envoy, most of it its own.
const STREAMS_MB: u64 = 600;
/// What is held of a worker besides, whatever clients send.
const WORKER_MB: u64 = 150;

/// A proxy whose upstream and decision point take connections and say nothing.
fn world(has_filter: bool) -> Arc<World> {
    let mut config = with_policy("t", &format!("{POLICY}{ASKING}"));
    config["pdps"]["default"]["timeout_ms"] = json!(8_000);
    // So that it is the worker's bound that holds.
    config["pdps"]["default"]["max_in_flight"] = json!(1_000);
    let pdp = config["pdps"]["default"]["cluster"].as_str().unwrap().to_owned();
    config["bundle"]["inline"]["grants"].as_array_mut().unwrap().last_mut().unwrap()["paths"] =
        json!(["/t/{rest...}"]);
    let listener = Listener { name: "only".into(), config, paths: Paths::Plain };
    let silent = silent();
    World::start_with(&[listener], move |document| {
        for listener in document["static_resources"]["listeners"].as_array_mut().unwrap() {
            let manager = connection_manager(listener);
            // Who waits for an upstream, and who is sent on to one that answers.
            let routes = manager["route_config"]["virtual_hosts"][0]["routes"].as_array_mut().unwrap();
            let mut held = routes[0].clone();
            held["match"] = json!({"prefix": "/t/a/open"});
            held["route"]["cluster"] = json!("silent");
            let answered = json!({"match": {"prefix": "/t/a"}, "direct_response": {"status": 204}});
            routes.splice(0..0, [held, answered]);
            if !has_filter {
                without_filters(manager);
            }
            manager["http2_protocol_options"] = json!({"max_concurrent_streams": 20_000});
        }
        let clusters = document["static_resources"]["clusters"].as_array_mut().unwrap();
        let mut cluster = clusters.iter().find(|cluster| cluster["name"] == "upstream").unwrap().clone();
        cluster.as_object_mut().unwrap().remove("max_requests_per_connection");
        cluster["name"] = json!("silent");
        cluster["load_assignment"] = json!({"cluster_name": "silent", "endpoints": [{"lb_endpoints": [
            {"endpoint": {"address": {"socket_address": {"address": "127.0.0.1", "port_value": silent.port()}}}}]}]});
        let many = json!({"max_connections": 20_000, "max_pending_requests": 20_000, "max_requests": 20_000});
        cluster["circuit_breakers"] = json!({"thresholds": [many.clone()]});
        cluster["typed_extension_protocol_options"] = json!({"envoy.extensions.upstreams.http.v3.HttpProtocolOptions": {
            "@type": "type.googleapis.com/envoy.extensions.upstreams.http.v3.HttpProtocolOptions",
            "explicit_http_config": {"http2_protocol_options": {"max_concurrent_streams": 20_000}}}});
        clusters.push(cluster);
        if let Some(asked) = clusters.iter_mut().find(|cluster| cluster["name"] == *pdp) {
            asked["circuit_breakers"] = json!({"thresholds": [many]});
        }
        lead(document, &pdp, &[silent]);
    })
}

fn silent() -> SocketAddr {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
    let address = listener.local_addr().unwrap();
    std::thread::spawn(move || {
        for mut stream in listener.incoming().flatten() {
            std::thread::spawn(move || while matches!(stream.read(&mut [0; 65_536]), Ok(1..)) {});
        }
    });
    address
}

/// What is in memory of Envoy.
fn resident_mb(world: &World) -> u64 {
    let status = std::fs::read_to_string(format!("/proc/{}/status", world.envoy.id())).unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).unwrap();
    line.trim().trim_end_matches(" kB").parse::<u64>().unwrap() / 1024
}

/// Decisions that were counted.
fn decisions(world: &World) -> u64 {
    let stats = world.envoy.admin("/stats?filter=everycall.decisions").unwrap();
    stats.lines().filter_map(|line| line.rsplit_once(": ")?.1.trim().parse::<u64>().ok()).sum()
}

/// Waits until as many records are written or counted as dropped as there were decisions.
fn written_down(world: &World, count: u64) {
    let deadline = Instant::now() + Duration::from_secs(60);
    loop {
        let log = world.envoy.log();
        let written =
            u64::try_from(log.matches(&format!("{}\"id\"", everycall_tests::RECORD_BEGINS)).count()).unwrap();
        let dropped = world.envoy.stat("wasmcustom.everycall.records_dropped;instance=only").unwrap();
        let counted = decisions(world);
        if counted >= count && counted == written + dropped {
            return;
        }
        assert!(Instant::now() < deadline, "{counted} decisions, {written} records, {dropped} dropped");
        std::thread::sleep(Duration::from_millis(200));
    }
}

fn fields<'f>(path: &'f [u8], more: &[Field<'f>]) -> Vec<Field<'f>> {
    let plain = [(":method", &b"GET"[..]), (":scheme", b"http"), (":authority", b"t"), (":path", path)];
    plain.map(|(name, value)| Field::Plain(name, value)).into_iter().chain(more.iter().copied()).collect()
}

/// Sends 15 bytes of a header block that are 52 KB of `origin`, 8,000 times, and waits for all answers. How much larger
/// Envoy is then, in MB, and how long somebody else waited meanwhile.
fn multiply(world: &World) -> (u64, Duration) {
    let before = resident_mb(world);
    // An entry takes 32 bytes besides (RFC 7541 section 4.1), and the table has 4,096.
    let origin = vec![b'o'; 4_000];
    let mut clients: Vec<H2> = (0..8).map(|_| H2::connect(world.address("only")).unwrap()).collect();
    for client in &mut clients {
        client.request(&fields(b"/t/a", &[Field::Remembered("origin", &origin)]), true).unwrap();
        client.requests((0..1_000).map(|_| fields(b"/t/a", &[Field::Known(0); 13]))).unwrap();
    }
    let other = H2::connect(world.address("only")).unwrap();
    let waited = status_of(other, b"/t/ok");
    for client in &mut clients {
        let mut statuses = 0;
        while statuses < 1_001 {
            match client.event(Duration::from_secs(60)).unwrap() {
                Some(Event::Status(_, status)) => {
                    assert_eq!(status, 204);
                    statuses += 1;
                }
                Some(Event::End(_)) => {}
                other => panic!("{other:?} after {statuses} of 1,001"),
            }
        }
    }
    (resident_mb(world).saturating_sub(before), waited)
}

#[test]
fn hpack_multiplied() {
    let world = world(true);
    assert_eq!(world.send("only", &get("t", "/t/ok")).response.status, 200);
    let begun = Instant::now();
    let (grown, waited) = multiply(&world);
    let took = begun.elapsed();
    written_down(&world, 8_010);
    // Envoy by itself holds what it decoded.
    let begun = Instant::now();
    let (by_itself, waited_by_itself) = multiply(&self::world(false));
    eprintln!(
        "8,008 requests: {took:?}, another one {waited:?}, {grown} MB; without the filter {:?}, {waited_by_itself:?}, \
         {by_itself} MB",
        begun.elapsed()
    );
    assert!(grown < by_itself + WORKER_MB, "{grown} MB more, and {by_itself} without the filter");
    // A record holds no more of them than a value's beginning, some times.
    let longest = world.envoy.log().lines().map(str::len).max().unwrap();
    assert!(longest < 16 * 1024, "{longest}");
    world.assert_no_crash();
}

fn status_of(mut client: H2, path: &[u8]) -> Duration {
    let begun = Instant::now();
    let stream = client.request(&fields(path, &[]), true).unwrap();
    assert_eq!(client.status(stream, Duration::from_secs(60)).unwrap(), 200);
    begun.elapsed()
}

/// 10,000 streams on one connection, each admitted and open, with as much in their headers as may be.
#[test]
fn streams_many() {
    const STREAMS: u32 = 10_000;
    let world = world(true);
    assert_eq!(world.send("only", &get("t", "/t/ok")).response.status, 200);
    let before = resident_mb(&world);
    let value = vec![b'o'; 4_000];
    let mut client = H2::connect(world.address("only")).unwrap();
    client.request(&fields(b"/t/a/open", &[Field::Remembered("origin", &value)]), false).unwrap();
    for _ in 1..STREAMS {
        client.request(&fields(b"/t/a/open", &[Field::Known(0); 4]), false).unwrap();
    }
    let open = "wasmcustom.everycall.streams_open;instance=only";
    let deadline = Instant::now() + Duration::from_secs(120);
    while world.envoy.stat(open).unwrap() < u64::from(STREAMS) {
        assert!(Instant::now() < deadline, "{} are open", world.envoy.stat(open).unwrap());
        std::thread::sleep(Duration::from_millis(200));
    }
    let other = H2::connect(world.address("only")).unwrap();
    let waited = status_of(other, b"/t/ok");
    let grown = resident_mb(&world).saturating_sub(before);
    eprintln!("{STREAMS} streams: {grown} MB more, another request in {waited:?}");
    assert!(grown < STREAMS_MB, "{grown} MB more");
    // The client leaves: all of them end.
    drop(client);
    let deadline = Instant::now() + Duration::from_secs(60);
    while world.envoy.stat(open).unwrap() > 0 {
        assert!(Instant::now() < deadline, "{} are open", world.envoy.stat(open).unwrap());
        std::thread::sleep(Duration::from_millis(200));
    }
    written_down(&world, u64::from(STREAMS) + 2);
    world.assert_no_crash();
}

/// Streams of 52 KB of headers each, for which 15 bytes are sent. How much larger Envoy is while they wait, in MB, and
/// how many are answered meanwhile.
fn hold(world: &World, path: &[u8], streams: usize) -> (u64, usize) {
    assert_eq!(world.send("only", &get("t", "/t/ok")).response.status, 200);
    let before = resident_mb(world);
    let origin = vec![b'o'; 4_000];
    let mut client = H2::connect(world.address("only")).unwrap();
    client.request(&fields(path, &[Field::Remembered("origin", &origin)]), true).unwrap();
    client.requests((1..streams).map(|_| fields(path, &[Field::Known(0); 13]))).unwrap();
    let (mut answered, begun) = (0, Instant::now());
    while begun.elapsed() < Duration::from_secs(4) {
        match client.event(Duration::from_secs(1)).unwrap() {
            Some(Event::Status(_, status)) => {
                assert_eq!(status, 503);
                answered += 1;
            }
            Some(Event::End(_)) | None => {}
            other => panic!("{other:?}"),
        }
    }
    (resident_mb(world).saturating_sub(before), answered)
}

/// What waits for a decision point is held by the module, in three forms of its headers, and by Envoy.
#[test]
fn what_waits_for_a_decision_point() {
    const STREAMS: usize = 600;
    const WAITING: usize = 200;
    /// As envoy/README.md says.
    const WAITING_MB: u64 = 36;
    let world = world(true);
    let (grown, answered) = hold(&world, b"/t/ask", STREAMS);
    assert_eq!(answered, STREAMS - WAITING, "the others wait");
    let (by_itself, _) = hold(&self::world(false), b"/t/a/open", WAITING);
    eprintln!(
        "{WAITING} of {STREAMS} requests wait: {grown} MB more, {by_itself} MB where Envoy waits by itself"
    );
    // Half as much again: what was held for a while only, and pages that are not full.
    assert!(grown < by_itself + WAITING_MB * 3 / 2, "{grown} MB more, and {by_itself} without the filter");
    // Those that still waited have left with their client, undecided.
    written_down(&world, u64::try_from(STREAMS - WAITING).unwrap() + 1);
    world.assert_no_crash();
}
