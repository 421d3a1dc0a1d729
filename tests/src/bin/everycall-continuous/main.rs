//! How soon access ends when its reason ends, in a real Envoy with the release module and the project's
//! devserver: the next request after a revocation, open streams, and tokens that expire; and how long a
//! worker with thousands of open streams is held when they are cut. Tables; `target/bench-continuous.json`
//! has the figures. Fails where one is worse than it may be.

mod cut;
mod figures;
mod pauses;
mod proxy;
mod refused;
mod streams;

use std::fs;
use std::process::ExitCode;
use std::time::Instant;

use anyhow::{bail, ensure};
use everycall_tests::envoy;
use serde_json::{json, Map, Value};

use figures::Figure;
use proxy::Proxy;

const HELP: &str = "Measures how soon access ends when its reason ends, in a real Envoy.\n\n\
    usage: everycall-continuous [--json] [--only SECTION] [--streams N]\n\n\
    \x20 --json          the figures as JSON, no tables\n\
    \x20 --only SECTION  one of refused, cut, expiry, pauses\n\
    \x20 --streams N     open streams of the one worker in `pauses`; 10000 if absent\n\n\
    example: make bench-continuous";

const SECTIONS: [&str; 4] = ["refused", "cut", "expiry", "pauses"];
/// Workers of Envoy.
const WORKERS: u32 = 4;

struct Options {
    json: bool,
    only: Option<String>,
    streams: usize,
}

fn main() -> anyhow::Result<ExitCode> {
    let Some(options) = options()? else {
        println!("{HELP}");
        return Ok(ExitCode::SUCCESS);
    };
    // Each stream is a connection of its client, two of Envoy's, and one of the upstream.
    everycall_tests::connection::allow_many()?;

    let begun = Instant::now();
    let is_wanted = |section: &str| options.only.as_ref().is_none_or(|only| only == section);
    let (mut result, mut figures) = (Map::new(), Vec::new());
    if SECTIONS[..3].iter().any(|section| is_wanted(section)) {
        eprintln!("starting the devserver, an upstream, and Envoy with {WORKERS} workers");
        let proxy = Proxy::start(WORKERS, streams::EVERY)?;
        if is_wanted("refused") {
            refused::measure(&proxy)?.report(&mut result, &mut figures);
        }
        if is_wanted("cut") {
            cut::measure(&proxy)?.report(&mut result, &mut figures);
        }
        if is_wanted("expiry") {
            cut::measure_expiry(&proxy)?.report(&mut result, &mut figures);
        }
        ensure!(proxy.envoy.stat("wasm.everycall.vm_reload_success")? == 0, "a VM crashed");
    }
    if is_wanted("pauses") {
        pauses::measure(options.streams)?.report(&mut result, &mut figures);
    }
    result.insert("took_s".into(), json!(figures::rounded(begun.elapsed().as_secs_f64())));
    let result = Value::Object(result);
    if options.json {
        println!("{result:#}");
    } else {
        figures::print(&figures);
    }
    // Half of the figures would pass for all of them.
    if options.only.is_none() {
        fs::write(envoy::root().join("target/bench-continuous.json"), format!("{result:#}\n"))?;
    }
    for broken in figures.iter().filter_map(Figure::broken) {
        eprintln!("{broken}");
    }
    let is_kept = figures.iter().all(|figure| figure.broken().is_none());
    Ok(if is_kept { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

/// `None`: help is wanted.
fn options() -> anyhow::Result<Option<Options>> {
    let mut options = Options { json: false, only: None, streams: 10_000 };
    let mut arguments = std::env::args().skip(1);
    while let Some(argument) = arguments.next() {
        match argument.as_str() {
            "--help" | "-h" => return Ok(None),
            "--json" => options.json = true,
            "--only" => match arguments.next() {
                Some(section) if SECTIONS.contains(&section.as_str()) => options.only = Some(section),
                other => {
                    bail!("`--only {}`; expected one of {}", other.unwrap_or_default(), SECTIONS.join(", "))
                }
            },
            "--streams" => match arguments.next().unwrap_or_default().parse() {
                Ok(streams @ 10..) => options.streams = streams,
                _ => bail!("`--streams` needs a number of at least 10"),
            },
            other => bail!("unknown argument `{other}`; see `--help`"),
        }
    }
    Ok(Some(options))
}
