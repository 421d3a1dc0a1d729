//! Everycall beside what people use today, in one run: as many requests as get through, a fixed rate for
//! latency, memory, and the start, each with an Envoy of its own. A table; `target/bench-peers.json` has
//! the figures, and `target/bench-peers.svg` shows them.

mod bootstrap;
mod chart;
mod cores;
mod machine;
mod memory;
mod options;
mod paced;
mod policy;
mod ratios;
mod report;
mod requests;
mod run;
mod scenario;
mod sidecar;
mod start;
mod statistics;
mod tokens;
mod wrk;

use std::collections::BTreeSet;
use std::fs;
use std::process::ExitCode;
use std::time::{Duration, Instant};

use everycall_tests::envoy;

use memory::Memory;
use options::Options;
use ratios::Runs;
use report::Report;
use run::Bench;
use scenario::Scenario;
use start::Started;

/// Starts and memory are measured so often at most: they differ less than the rest.
const STARTS: usize = 5;
const MEMORIES: usize = 3;
/// A run that fails for what else the machine does is made again.
const TRIES: usize = 3;

fn main() -> anyhow::Result<ExitCode> {
    if std::env::args().nth(1).as_deref() == Some(sidecar::ARGUMENT) {
        sidecar::serve()?;
        return Ok(ExitCode::SUCCESS);
    }
    let Some(options) = Options::parse(std::env::args().skip(1))? else {
        println!("{}", options::help());
        return Ok(ExitCode::SUCCESS);
    };
    let begun = Instant::now();
    let directory = tempfile::tempdir()?;
    let wanted: Vec<&Scenario> = options.scenarios().collect();
    let mut sources: BTreeSet<_> = wanted.iter().map(|scenario| scenario.source).collect();
    sources.extend(options.wants("memory").then_some(memory::SOURCE));
    sources.extend(options.wants("start").then_some(start::SOURCE));
    let bench = Bench::new(directory.path(), &sources, Duration::from_secs(options.seconds))?;
    let machine = machine::machine(&bench.places.module)?;

    let (mut runs, mut starts, mut memories, mut again) = (Runs::new(), Vec::new(), Vec::new(), 0);
    for round in 0..options.rounds {
        // What comes after what changes from round to round.
        for number in 0..wanted.len() {
            let scenario = wanted[if round % 2 == 0 { number } else { wanted.len() - 1 - number }];
            let progress =
                format!("round {}/{}: ({}) {}", round + 1, options.rounds, scenario.name, scenario.what);
            eprintln!("{progress}");
            runs.entry(scenario.name).or_default().push(tried(&mut again, || bench.run(scenario))?);
        }
        if options.wants("start") && round < STARTS {
            eprintln!("round {}/{}: start", round + 1, options.rounds);
            starts.push(tried(&mut again, || Started::measure(&bench))?);
        }
        if options.wants("memory") && round < MEMORIES {
            eprintln!("round {}/{}: memory", round + 1, options.rounds);
            memories.push(tried(&mut again, || Memory::measure(&bench))?);
        }
    }
    let report = Report { machine, options: &options, runs, starts, memories, again, took: begun.elapsed() };
    let json = format!("{:#}\n", report.json());
    match options.json {
        true => print!("{json}"),
        false => report.print(),
    }
    // Half of the figures would pass for all of them.
    if options.only.is_empty() {
        let target = envoy::root().join("target");
        fs::write(target.join("bench-peers.json"), json)?;
        fs::write(target.join("bench-peers.svg"), chart::svg(&report.runs))?;
    }
    let fails = options.check && !report.is_met();
    Ok(if fails { ExitCode::FAILURE } else { ExitCode::SUCCESS })
}

fn tried<T>(again: &mut usize, measure: impl Fn() -> anyhow::Result<T>) -> anyhow::Result<T> {
    for _ in 1..TRIES {
        match measure() {
            Ok(measured) => return Ok(measured),
            Err(error) => eprintln!("{error:#}: once more"),
        }
        *again += 1;
    }
    measure()
}
