//! How long a worker of Envoy is held, in the release module: by the worst policies, the largest requests, tokens that
//! nobody signed, and what it is told between requests. Of requests it is the worker's processor time for one, so that
//! what else the machine does counts little; of the rest the longest time at once. A table; with `--json` a row a line.
//! Both stand in `target/holds.json` as well.

mod requests;
mod signatures;
mod updates;

use std::fs;
use std::net::Ipv4Addr;
use std::time::Duration;

use anyhow::{bail, ensure};
use everycall_tests::client::{self, RawRequest};
use everycall_tests::envoy::{self, Envoy};
use everycall_tests::hostile;
use everycall_tests::server::{Answer, Server};
use everycall_tests::worker::WorkerTime;
use serde_json::{json, Value};

/// What holds a worker no longer, in milliseconds; but for what the host's crypto takes.
pub(crate) const BOUND_MS: f64 = 10.0;

/// The first is the slowest: V8 compiles what is hot while it runs.
const TIMES: usize = 5;

const HELP: &str =
    "Measures how long a worker of Envoy is held: by the worst policies, large requests, forged tokens, and what \
    it is told between requests.\n\n\
    usage: everycall-holds [--json] [--only TEXT]\n\n\
    --only TEXT   only by what has TEXT in its name\n\n\
    example: make holds";

fn main() -> anyhow::Result<()> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let (json, only) = match arguments.iter().map(String::as_str).collect::<Vec<_>>().as_slice() {
        [] => (false, ""),
        ["--json"] => (true, ""),
        ["--only", text] => (false, *text),
        ["--json", "--only", text] => (true, *text),
        ["--help"] => {
            println!("{HELP}");
            return Ok(());
        }
        other => bail!("unknown arguments `{}`; --help tells what there is", other.join(" ")),
    };
    let mut wrong = Vec::new();
    let mut result = json!({});
    by_requests(json, only, &mut result, &mut wrong)?;
    result["updates"] = by_what_it_is_told(json, only, &mut wrong)?;
    fs::write(envoy::root().join("target/holds.json"), format!("{result:#}\n"))?;
    ensure!(wrong.is_empty(), "{}", wrong.join("\n"));
    Ok(())
}

/// The worst policies, and tokens that nobody signed.
fn by_requests(json: bool, only: &str, result: &mut Value, wrong: &mut Vec<String>) -> anyhow::Result<()> {
    let worst = hostile::worst();
    // Unknown or not, it would be allowed: the limit itself has to refuse.
    let bodies: Vec<String> = worst.iter().map(|hostile| hostile.decisions()[1].clone()).collect();
    eprintln!("starting Envoy with {} policies", bodies.len());
    let upstream = Server::start(|_| Answer::Http(200, b"upstream\n".to_vec()))?;
    let module = envoy::module()?.display().to_string();
    let document =
        envoy::rendered(&module, &hostile::config(&bodies), upstream.address(), upstream.address())?;
    let envoy = Envoy::start(&document.to_string(), 1)?;
    let worker = Worker::of(&envoy)?;
    // What is measured is not the first request that this worker sees.
    for _ in 0..200 {
        worker.hold("/ordinary")?;
    }
    let mut rows = Vec::new();
    for (at, hostile) in worst.iter().enumerate().filter(|(_, hostile)| hostile.name.contains(only)) {
        let mut held = Vec::new();
        for _ in 0..TIMES {
            let (time, status) = worker.hold(&format!("/{at}"))?;
            held.push(time);
            if status != 403 {
                wrong.push(format!("`{}` came to {status}", hostile.name));
                break;
            }
        }
        if !worker.serves()? {
            wrong.push(format!("the next request was not served after `{}`", hostile.name));
        }
        let ms = |time: Option<&Duration>| time.map_or(0.0, |time| (time.as_secs_f64() * 1e4).round() / 10.0);
        let row = json!({"policy": hostile.name, "first_ms": ms(held.first()), "least_ms": ms(held.iter().min()),
                         "most_ms": ms(held.iter().max()), "bound_ms": BOUND_MS});
        if json {
            println!("{row}");
        } else {
            eprint!("\r{}/{} ", at + 1, worst.len());
        }
        rows.push(row);
    }
    let mut ordinary = Duration::ZERO;
    for _ in 0..200 {
        ordinary += worker.hold("/ordinary")?.0 / 200;
    }
    slowest_first(&mut rows);
    if !json {
        table("policy", &rows);
        println!("an ordinary request: {:.2} ms, with all that Envoy does", ordinary.as_secs_f64() * 1e3);
    }
    let mut large = requests::rows(only)?;
    slowest_first(&mut large);
    if json {
        large.iter().for_each(|row| println!("{row}"));
    } else {
        table("request", &large);
    }
    for row in rows.iter().chain(&large) {
        // The others are also held by what the machine does besides.
        if row["least_ms"].as_f64().is_none_or(|least| least > BOUND_MS) {
            wrong.push(format!("longer than {BOUND_MS} ms each time: {row}"));
        }
    }
    let signatures = signatures::rows(only)?;
    if json {
        signatures.iter().for_each(|row| println!("{row}"));
    } else {
        println!(
            "{:>9} {:>9} {:>9}  signature of a forged token, besides the request",
            "least ms", "median ms", "most ms"
        );
        for row in &signatures {
            let ms = |name: &str| row[name].as_f64().unwrap_or(0.0);
            let name = row["signature"].as_str().unwrap_or_default();
            println!("{:>9.2} {:>9.2} {:>9.2}  {name}", ms("least_ms"), ms("median_ms"), ms("most_ms"));
        }
    }
    *result = json!({"policies": rows, "requests": large, "signatures": signatures, "ordinary_ms": ordinary.as_secs_f64() * 1e3});
    Ok(())
}

/// Bundles, keys, lists and configurations.
fn by_what_it_is_told(json: bool, only: &str, wrong: &mut Vec<String>) -> anyhow::Result<Value> {
    let updates = updates::rows(only)?;
    let text = |row: &Value, name: &str| row[name].as_str().unwrap_or_default().to_owned();
    if json {
        updates.iter().for_each(|row| println!("{row}"));
    } else {
        println!(
            "{:>9} {:>9} {:>9} {:>9} {:>9} {:>9} {:>9}  what a worker is told; the longest time at once, in milliseconds. Before it serves, \
             `start` is at most {:.0}",
            "updates", "streams", "tick", "fetched", "configure", "bound", "start", updates::START_BOUND_MS
        );
        for row in &updates {
            let ms = |work: &str| row["ms"][work].as_f64().map_or_else(String::new, |ms| format!("{ms:.1}"));
            let [updates, streams, tick, fetched, configure, start] = updates::WORK.map(ms);
            println!(
                "{updates:>9} {streams:>9} {tick:>9} {fetched:>9} {configure:>9} {:>9.1} {start:>9} {:>9}  {}",
                BOUND_MS,
                text(row, "outcome"),
                text(row, "input")
            );
        }
    }
    for row in &updates {
        let start_ms = row["start_ms"].as_f64().unwrap_or_default();
        if most_ms(row) > BOUND_MS || start_ms > updates::START_BOUND_MS {
            let input = text(row, "input");
            wrong.push(format!("{} ms at once, and {start_ms} at the start, for `{input}`", most_ms(row)));
        }
    }
    Ok(json!(updates))
}

fn table(what: &str, rows: &[Value]) {
    println!("\r{:>9} {:>9} {:>9} {:>9}  {what}", "first ms", "least ms", "most ms", "bound");
    for row in rows {
        let ms = |name: &str| row[name].as_f64().unwrap_or(0.0);
        let name = row[what].as_str().unwrap_or_default();
        println!(
            "{:>9.1} {:>9.1} {:>9.1} {:>9.1}  {name}",
            ms("first_ms"),
            ms("least_ms"),
            ms("most_ms"),
            ms("bound_ms")
        );
    }
}

fn most_ms(row: &Value) -> f64 {
    row["most_ms"].as_f64().unwrap_or_default()
}

fn slowest_first(rows: &mut [Value]) {
    rows.sort_by(|a, b| most_ms(b).total_cmp(&most_ms(a)));
}

/// Envoy's only worker.
struct Worker {
    listener: std::net::SocketAddr,
    time: WorkerTime,
}

impl Worker {
    fn of(envoy: &Envoy) -> anyhow::Result<Self> {
        Ok(Self { listener: envoy.listener("inbound")?, time: WorkerTime::of(envoy)? })
    }

    /// What it takes for one request, and the response's status.
    fn hold(&self, path: &str) -> anyhow::Result<(Duration, u16)> {
        let headers =
            vec![("host".to_owned(), b"h".to_vec()), (hostile::HEADER.to_owned(), vec![b'x'; 30_000])];
        let request = RawRequest { method: "GET".into(), path: path.into(), headers, body: Vec::new() };
        let before = self.time.time()?;
        let response =
            client::send(self.listener, Ipv4Addr::LOCALHOST.into(), &request, Duration::from_secs(120))?;
        Ok((self.time.time()?.saturating_sub(before), response.status))
    }

    /// Whether the next request is served. If not, waits until one is.
    fn serves(&self) -> anyhow::Result<bool> {
        for times in 0..50 {
            if self.hold("/ordinary")?.1 == 200 {
                return Ok(times == 0);
            }
            std::thread::sleep(Duration::from_millis(200));
        }
        bail!("Envoy does not recover")
    }
}
