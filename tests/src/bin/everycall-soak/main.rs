//! A soak: a real Envoy with the release module and four workers, under all that changes and fails at once, for ten
//! minutes. Keys rotate, bundles and revocations change, decision points fail, clients flood, crawl and leave. Memory
//! must stay flat, no VM may trap, every decision must be written down, and must come out the same when the core
//! decides it again natively from its record. A table; `target/soak.json` has the figures. Fails where one is worse
//! than it may be.

mod bundles;
mod callers;
mod clients;
mod hostile;
mod memory;
mod point;
mod proxy;
mod records;
mod report;
mod run;
mod tasks;

use std::fs;
use std::process::ExitCode;
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::bail;
use everycall_tests::envoy;
use serde_json::json;

use memory::Memory;
use proxy::{Proxy, WORKERS};
use records::Records;
use report::{Figure, Load};
use run::Run;

const HELP: &str = "Soaks Envoy with the module: memory, traps, records, and every decision again.\n\n\
    usage: everycall-soak [--json] [--seconds N]\n\n\
    \x20 --json       the figures as JSON, no tables\n\
    \x20 --seconds N  how long the load goes on; 600 if absent, at least 60. Below 300 memory is shown and not judged\n\n\
    example: make soak ARGUMENTS='--seconds 60'";

/// How long records and streams may take to their end after the last request.
const DRAIN: Duration = Duration::from_secs(30);

struct Options {
    json: bool,
    seconds: u64,
}

fn main() -> anyhow::Result<ExitCode> {
    let Some(options) = options()? else {
        println!("{HELP}");
        return Ok(ExitCode::SUCCESS);
    };
    everycall_tests::connection::allow_many()?;

    eprintln!("starting the servers, and Envoy with {WORKERS} workers");
    let proxy = Proxy::start(options.seconds)?;
    let all = Duration::from_secs(options.seconds);
    let run = Run::new(all);
    let (memory, load) = load(&proxy, &run, all)?;
    let drained = drain(&proxy)?;

    let begun = Instant::now();
    let directory = tempfile::tempdir()?;
    let bundles = proxy.servers.bundles.files();
    let each = |inbound| Records::of(&proxy, inbound, &bundles, directory.path());
    let records = std::thread::scope(|scope| -> anyhow::Result<Records> {
        let threads: Vec<_> =
            proxy.inbounds.iter().map(|inbound| scope.spawn(move || each(inbound))).collect();
        let mut records = Records::default();
        for thread in threads {
            let of_one = thread.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic))?;
            records = records.and(of_one);
        }
        Ok(records)
    })?;
    eprintln!("decided again in {} s", begun.elapsed().as_secs());

    let metrics = proxy.metrics()?;
    let traps = proxy.traps()?;
    let mut figures = report::figures(&memory, &load, &records, &metrics, &traps);
    if !drained {
        figures.push(Figure::never("not written, or not at its end, after the last request", 1, 1));
    }
    let result = json!({"seconds": options.seconds, "workers": WORKERS, "memory": memory.json(),
        "records": records.json(), "figures": report::json(&figures)});
    if options.json {
        println!("{result:#}");
    } else {
        report::print(&figures);
        memory.print();
        records.print();
    }
    fs::write(envoy::root().join("target/soak.json"), format!("{result:#}\n"))?;
    traps.iter().for_each(|line| eprintln!("{line}"));
    for (what, texts) in &records.shown {
        texts.iter().for_each(|text| eprintln!("{what}:\n{text}"));
    }
    for what in records.never_came_up() {
        eprintln!("{what}");
    }
    let broken: Vec<String> = figures.iter().filter_map(Figure::broken).collect();
    broken.iter().for_each(|broken| eprintln!("{broken}"));
    Ok(if broken.is_empty() { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

/// Everything at once, until the run is over.
fn load(proxy: &Proxy, run: &Run, all: Duration) -> anyhow::Result<(Memory, Load)> {
    let inbounds: Vec<_> = proxy.inbounds.iter().map(|inbound| inbound.address).collect();
    let servers = &proxy.servers;
    let changes = proxy.change(run);
    let clients = clients::start(servers, &inbounds, run);
    let on = |work: fn(&proxy::Servers, &[std::net::SocketAddr], &Run) -> anyhow::Result<u64>| {
        let (servers, inbounds) = (Arc::clone(servers), inbounds.clone());
        run.spawn(move |run| work(&servers, &inbounds, run))
    };
    let slow: Vec<_> = (0..4).map(|_| on(|_, inbounds, run| hostile::slow(inbounds, run))).collect();
    let leave = on(hostile::leave);
    let to = inbounds.clone();
    let floods = run.spawn(move |run| hostile::flood(&to, run));
    let (with, to) = (Arc::clone(servers), inbounds.clone());
    let streams = run.spawn(move |run| hostile::stream(&with, &to, run));

    let memory = Memory::watch(proxy, run, all);
    let mut load = Load::default();
    for (answered, lost) in clients.into_iter().map(run::Job::end).collect::<anyhow::Result<Vec<_>>>()? {
        load.lost += lost;
        answered.into_iter().for_each(|(key, count)| *load.answered.entry(key).or_default() += count);
    }
    (load.flooded, load.read) = floods.end()?;
    load.streams = streams.end()?;
    load.left = leave.end()?;
    for client in slow {
        load.slow += client.end()?;
    }
    for change in changes {
        load.keys = load.keys.max(change.end()?);
    }
    load.bundles = servers.bundles.files().len() as u64;
    Ok((memory?, load))
}

/// Waits until everything is over, and as many records are written as there were decisions; whether that came.
fn drain(proxy: &Proxy) -> anyhow::Result<bool> {
    let deadline = Instant::now() + DRAIN;
    loop {
        let metrics = proxy.metrics()?;
        let is_over =
            ["pending", "awaiting_keys", "streams_open"].iter().all(|name| metrics.sum(name, &[]) == 0);
        let mut is_done = report::bundle_in_force(&metrics) == proxy.servers.bundles.files().len() as u64;
        for inbound in &proxy.inbounds {
            let of = [("instance", inbound.instance)];
            let (decided, dropped) = (metrics.sum("decisions", &of), metrics.sum("records_dropped", &of));
            is_done &= records::written(proxy, inbound)? + dropped == decided;
        }
        if (is_over && is_done) || Instant::now() > deadline {
            return Ok(is_over && is_done);
        }
        std::thread::sleep(Duration::from_millis(500));
    }
}

/// `None`: help is wanted.
fn options() -> anyhow::Result<Option<Options>> {
    let mut options = Options { json: false, seconds: 600 };
    let mut arguments = std::env::args().skip(1);
    while let Some(argument) = arguments.next() {
        match argument.as_str() {
            "--help" | "-h" => return Ok(None),
            "--json" => options.json = true,
            "--seconds" => match arguments.next().unwrap_or_default().parse() {
                Ok(seconds @ 60..) => options.seconds = seconds,
                _ => bail!("`--seconds` needs a number of at least 60"),
            },
            other => bail!("unknown argument `{other}`; see `--help`"),
        }
    }
    Ok(Some(options))
}
