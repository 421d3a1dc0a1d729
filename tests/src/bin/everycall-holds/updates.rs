//! How long a worker is held between requests by what it is told: bundles, keys, lists and configurations that are as
//! large as they may be, or made to be hard to cut.

mod inputs;

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::time::{Duration, Instant};

use anyhow::{bail, Context as _};
use everycall::feed_file::test_feed_documents;
use everycall::mint::TestKey;
use everycall_core::facts::FeedKind;
use everycall_core::UnixTime;
use everycall_tests::client::{self, RawRequest};
use everycall_tests::discovery::Discovery;
use everycall_tests::envoy::{self, Envoy};
use everycall_tests::h2::{Field, H2};
use everycall_tests::server::{Answer, Server};
use everycall_tests::{bundle, feeds, hostile};
use serde_json::{json, Value};

use crate::BOUND_MS;
use inputs::{worst, Told};

/// Each time with an Envoy of its own. The shortest of the longest times counts: others are on the machine, too.
const TIMES: usize = 3;
/// Of what is measured, as the metric `everycall.slice_us` calls it.
pub(crate) const WORK: [&str; 6] = ["updates", "streams", "tick", "fetched", "configure", "start"];
/// What a worker does before it serves, which no request waits for, in milliseconds.
pub(crate) const START_BOUND_MS: f64 = 250.0;
/// Streams that are open when a configuration comes: a few less than Envoy has connections for.
const STREAMS: usize = 1_000;

/// A row for each input whose name has `only` in it: what came of it, and the longest time for each kind of work, in milliseconds.
pub(crate) fn rows(only: &str) -> anyhow::Result<Vec<Value>> {
    let mut all = worst()?;
    all.retain(|(name, _)| name.contains(only));
    let mut rows = Vec::new();
    for (at, (name, told)) in all.iter().enumerate() {
        eprint!("\rinput {}/{} ", at + 1, all.len());
        let mut least: BTreeMap<&str, f64> = BTreeMap::new();
        let mut outcome = "";
        for _ in 0..TIMES {
            let (came_to, times) = tell(told).with_context(|| name.clone())?;
            outcome = came_to;
            for (work, ms) in times {
                let least = least.entry(work).or_insert(f64::INFINITY);
                *least = least.min(ms);
            }
        }
        let start_ms = least.get("start").copied().unwrap_or_default();
        let most_ms =
            least.iter().filter(|(work, _)| **work != "start").map(|(_, ms)| *ms).fold(0.0, f64::max);
        rows.push(
            json!({"input": name, "outcome": outcome, "ms": least, "most_ms": most_ms, "bound_ms": BOUND_MS,
                "start_ms": start_ms, "start_bound_ms": START_BOUND_MS}),
        );
    }
    eprint!("\r");
    crate::slowest_first(&mut rows);
    Ok(rows)
}

/// What comes of an input, and the longest times.
fn tell(told: &Told) -> anyhow::Result<(&'static str, BTreeMap<&'static str, f64>)> {
    let key = TestKey::es256()?;
    let mut config = hostile::config(&[]);
    let remote = json!({"cluster": "remote", "host": "remote.example", "path": "/it"});
    let mut pages = match told {
        Told::Bundle(parts) => {
            config["bundle"] = json!({"keys": key.public_jwks(), "remote": remote});
            config["bundle"]["remote"]["max_bytes"] = json!(33_554_432);
            vec![bundle::signed(parts, 1, &key, 3_600)?]
        }
        Told::Keys(set) => {
            config["issuers"][0]["keys"] = json!({"remote": remote});
            config["issuers"][0]["algorithms"] = json!(["RS256", "ES256", "ES384"]);
            vec![set.clone().into_bytes()]
        }
        Told::Feed(kind, facts) => {
            config[kind.as_str()] = json!({"keys": key.public_jwks(), "remote": remote});
            list(*kind, *facts, &key)?
        }
        Told::Starting(new) => {
            config = new.clone();
            Vec::new()
        }
        Told::Configuration(_) | Told::Closing(_) => Vec::new(),
    };
    pages.reverse();
    let server = Server::start(move |request| {
        let page = request.path.split_once("?page=").map_or(Ok(1), |(_, page)| page.parse::<usize>());
        let body = page.ok().and_then(|page| pages.get(pages.len().checked_sub(page)?));
        match body {
            Some(body) => Answer::Full(200, vec![("etag".into(), "\"1\"".into())], body.clone()),
            None => Answer::Http(404, Vec::new()),
        }
    })?;
    let upstream = Server::start(|request| match request.all("x-open").is_empty() {
        true => Answer::Http(200, b"upstream\n".to_vec()),
        false => Answer::Silence(Duration::from_secs(120)),
    })?;
    let module = envoy::module()?.display().to_string();
    let mut document = envoy::rendered(&module, &config, upstream.address(), server.address())?;
    // Then histograms are merged.
    document["stats_flush_interval"] = json!("0.5s");
    let discovery = Discovery::of(&mut document);
    discovery.put(&config);
    let envoy = Envoy::start(&document.to_string(), 1)?;
    let listener = envoy.listener("inbound")?;
    // Of the worker; the main thread is told, too.
    let both = |what: &str| envoy.log().matches(what).count() >= 2;
    let stat = |name: String| envoy.stat(&format!("wasmcustom.everycall.{name}")).unwrap_or_default();
    let outcome = match told {
        Told::Bundle(_) => until(&envoy, || match () {
            () if both("(sequence 1) is in force") => Some("in force"),
            () if both("a bundle is refused") => Some("refused"),
            () => None,
        })?,
        Told::Keys(_) => until(&envoy, || {
            let fetches = |outcome| stat(format!("key_fetches;instance=limits;outcome={outcome};issuer=i"));
            match (fetches("ok"), fetches("failed")) {
                (0, 0) => None,
                (0, _) => Some("refused"),
                _ => Some("in force"),
            }
        })?,
        Told::Feed(kind, _) => until(&envoy, || {
            let fresh = stat(format!("feed;instance=limits;state=fresh;feed={}", kind.as_str()));
            (fresh >= 2).then_some("in force")
        })?,
        Told::Configuration(new) => {
            until(&envoy, || (status(listener, "/ordinary") == 200).then_some(""))?;
            discovery.put(new);
            until(&envoy, || (status(listener, "/ordinary") == 403).then_some("in force"))?
        }
        Told::Starting(_) => until(&envoy, || (status(listener, "/ordinary") == 403).then_some("in force"))?,
        Told::Closing(new) => {
            until(&envoy, || (status(listener, "/ordinary") == 200).then_some(""))?;
            let mut clients = Vec::new();
            // 100 of each connection, as Envoy takes by default.
            for _ in 0..STREAMS.div_ceil(100) {
                let mut client = H2::connect(listener)?;
                client.requests((0..100).map(|_| open_stream()))?;
                clients.push(client);
            }
            let open = || stat("streams_open;instance=limits".to_owned());
            until(&envoy, || (open() >= u64::try_from(STREAMS).unwrap_or(u64::MAX)).then_some(""))?;
            discovery.put(new);
            until(&envoy, || (open() == 0).then_some("all cut"))?
        }
    };
    // What it was made of is dropped, and the host has the figures.
    std::thread::sleep(Duration::from_secs(1));
    Ok((outcome, longest(&envoy)?))
}

fn until(envoy: &Envoy, condition: impl Fn() -> Option<&'static str>) -> anyhow::Result<&'static str> {
    let deadline = Instant::now() + Duration::from_secs(120);
    loop {
        if let Some(outcome) = condition() {
            return Ok(outcome);
        }
        if Instant::now() > deadline {
            bail!("nothing becomes of it:\n{}", envoy.log());
        }
        std::thread::sleep(Duration::from_millis(50));
    }
}

fn open_stream() -> Vec<Field<'static>> {
    let plain: [(&str, &[u8]); 5] = [
        (":method", b"GET"),
        (":scheme", b"http"),
        (":authority", b"h"),
        (":path", b"/ordinary"),
        ("x-open", b"1"),
    ];
    plain.map(|(name, value)| Field::Plain(name, value)).to_vec()
}

fn status(listener: SocketAddr, path: &str) -> u16 {
    let headers = vec![("host".to_owned(), b"h".to_vec())];
    let request = RawRequest { method: "GET".into(), path: path.into(), headers, body: Vec::new() };
    let loopback = std::net::Ipv4Addr::LOCALHOST.into();
    client::send(listener, loopback, &request, Duration::from_secs(5)).map_or(0, |response| response.status)
}

/// The longest times so far, in milliseconds: the host's last quantiles of what it has counted since it started.
fn longest(envoy: &Envoy) -> anyhow::Result<BTreeMap<&'static str, f64>> {
    let deadline = Instant::now() + Duration::from_secs(15);
    loop {
        let stats = envoy.admin("/stats?filter=slice_us&usedonly")?;
        let of = |work: &str| {
            let line = stats.lines().find(|line| line.contains(work))?;
            let most = line.rsplit_once("P100(")?.1.split(['(', ',', ')']).nth(1)?;
            most.parse::<f64>().ok().filter(|most| most.is_finite())
        };
        let times: BTreeMap<&str, f64> =
            WORK.into_iter().filter_map(|work| Some((work, of(work)?.round() / 1e3))).collect();
        if times.contains_key("tick") {
            return Ok(times);
        }
        if Instant::now() > deadline {
            bail!("no times in the statistics: {stats}");
        }
        std::thread::sleep(Duration::from_millis(200));
    }
}

/// A list of so many facts, signed now.
fn list(feed: FeedKind, facts: usize, key: &TestKey) -> anyhow::Result<Vec<Vec<u8>>> {
    let issue = feeds::issue(feed, 1, UnixTime::from_secs(everycall::clock::now().secs()));
    let fact = |at: usize| {
        let (id, expires_at) = (format!("t{at}"), issue.expires_at.to_string());
        match feed {
            FeedKind::Revocations => json!({"revoke": "task", "id": id, "expires_at": expires_at}),
            FeedKind::Signals => {
                json!({"about": "task", "id": id, "signal": "risk", "value": "high", "expires_at": expires_at})
            }
        }
    };
    let facts: Vec<Value> = (0..facts).map(fact).collect();
    test_feed_documents(&facts, &issue, key).map_err(anyhow::Error::msg)
}
