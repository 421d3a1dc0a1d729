//! A decision point that never answers, and a crowd that waits for it.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::time::{Duration, Instant};

use everycall_tests::client::{send, RawRequest};
use everycall_tests::fault::{Door, Fault};
use serde_json::{json, Value};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::task::JoinSet;

use crate::requests::with_policy;
use crate::world::{lead, Listener, Paths, World};

const CROWD: usize = 1_000;
/// `limits.max_pending` where it is not set.
const MAX_PENDING: usize = 200;
/// Long enough for all of them to come before the first gives up.
const TIMEOUT: Duration = Duration::from_secs(8);

/// Status and reason of a GET, and when it was answered.
async fn get(address: SocketAddr, start: Instant) -> anyhow::Result<(String, Duration)> {
    let mut stream = TcpStream::connect(address).await?;
    // The connection stays open until all is read, as in `send`.
    stream.write_all(b"GET /t/ask HTTP/1.1\r\nhost: t\r\n\r\n").await?;
    let mut bytes = Vec::new();
    // A refusal ends with its JSON, a response of the upstream with its line.
    while !(bytes.ends_with(b"}") || bytes.ends_with(b"}\n") || bytes.ends_with(b"upstream\n")) {
        let more = stream.read_buf(&mut bytes).await?;
        anyhow::ensure!(
            more > 0,
            "no whole answer after {:?}: {:?}",
            start.elapsed(),
            String::from_utf8_lossy(&bytes)
        );
    }
    let text = String::from_utf8(bytes)?;
    let status = text.get(9..12).unwrap_or_default().to_owned();
    let body: Value = text
        .split_once("\r\n\r\n")
        .map_or(Value::Null, |(_, body)| serde_json::from_str(body).unwrap_or_default());
    Ok((format!("{status} {}", body["reason"].as_str().unwrap_or_default()), start.elapsed()))
}

#[test]
fn pdp_never_answers_while_1000_requests_wait() {
    // Envoy inherits it: a connection of each request, on both sides.
    everycall_tests::connection::allow_many().unwrap();

    let mut config = with_policy(
        "t",
        r#"ask contains {"id": "q", "subject": {"type": "t", "id": "s"}, "action": {"name": "a"},
            "resource": {"type": "t", "id": "r"}} if input.request.segments[1] == "ask"
        decision := {"allow": true} if input.pdp.q.decision
        decision := {"allow": true} if input.request.segments[1] == "open""#,
    );
    let pdp = &mut config["pdps"]["default"];
    pdp["timeout_ms"] = json!(TIMEOUT.as_millis());
    // So that it is the worker's bound that holds.
    pdp["max_in_flight"] = json!(CROWD);
    let cluster = pdp["cluster"].as_str().unwrap().to_owned();
    let server = everycall_tests::server::Server::start(|_| {
        everycall_tests::server::Answer::Http(200, br#"{"decision":true}"#.to_vec())
    });
    let door = Door::to(server.unwrap().address()).unwrap();
    door.set(Fault::Silent);
    let listener = Listener { name: "only".into(), config, paths: Paths::Plain };
    let world = World::start_with(&[listener], |document| lead(document, &cluster, &[door.address()]));
    let address = world.address("only");

    let start = Instant::now();
    let crowd = std::thread::spawn(move || {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(async {
            let mut requests = JoinSet::new();
            for _ in 0..CROWD {
                requests.spawn(get(address, start));
            }
            requests.join_all().await
        })
    });
    // Whoever needs no decision point is served meanwhile.
    let open = RawRequest {
        method: "GET".into(),
        path: b"/t/open".to_vec(),
        headers: vec![("host".into(), b"t".to_vec())],
        body: Vec::new(),
    };
    let mut served = 0;
    while !crowd.is_finished() {
        let before = Instant::now();
        assert_eq!(send(address, [127, 0, 0, 1].into(), &open, TIMEOUT).unwrap().status, 200);
        assert!(before.elapsed() < TIMEOUT / 2, "served after {:?}", before.elapsed());
        served += 1;
        std::thread::sleep(Duration::from_millis(20));
    }
    assert!(served > 10, "{served} were served meanwhile");

    let mut times: BTreeMap<String, Vec<Duration>> = BTreeMap::new();
    for answer in crowd.join().unwrap() {
        let (outcome, time) = answer.unwrap();
        times.entry(outcome).or_default().push(time);
    }
    let counts: BTreeMap<&str, usize> = times.iter().map(|(outcome, all)| (&**outcome, all.len())).collect();
    let expected = [("503 overloaded", CROWD - MAX_PENDING), ("503 pdp_unavailable", MAX_PENDING)];
    assert_eq!(counts, BTreeMap::from(expected));
    let bounds = |outcome: &str| (times[outcome].iter().min().unwrap(), times[outcome].iter().max().unwrap());
    assert!(bounds("503 overloaded").1 < &TIMEOUT, "those that are too many do not wait");
    let (first, last) = bounds("503 pdp_unavailable");
    assert!(first >= &TIMEOUT && last < &(TIMEOUT * 2), "{first:?} to {last:?}");
    assert_eq!(door.connections(), MAX_PENDING, "the others were not asked about");
    world.assert_no_crash();

    door.set(Fault::None);
    let again = RawRequest { path: b"/t/ask".to_vec(), ..open };
    assert_eq!(send(address, [127, 0, 0, 1].into(), &again, TIMEOUT).unwrap().status, 200);
    assert!(world.upstream.take().iter().filter(|received| received.path == "/t/ask").count() == 1);
}
