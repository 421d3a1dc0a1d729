//! How long a worker with thousands of open streams is held when they are cut: one client asks it
//! something all the time. What counts is the worker's processor time from one answer to the next, so
//! that what else the machine does counts little. It holds the request itself, the filter's work on
//! streams, and what Envoy does to take them apart. The client asks for what it has no grant for: the filter
//! answers in one turn of the worker, where an answer from the upstream takes several, with other work in
//! between.

use std::time::{Duration, Instant};

use anyhow::{ensure, Context};
use everycall_tests::calls::Calls;
use everycall_tests::connection::Connection;
use everycall_tests::worker::{waited_for_processor, WorkerTime};
use serde_json::{json, Map, Value};

use crate::figures::{rounded, Figure, Samples};
use crate::proxy::{Caller, Proxy};

/// A hypervisor that takes the processor away now and then counts as the worker's time, so that of each
/// round's longest the median counts: what the worker does itself, it does in each.
const ROUNDS: usize = 5;
/// Calls on each connection.
const SHARED_BY: usize = 500;
/// Streams are opened at this distance.
const OPENED: Duration = Duration::from_micros(250);
/// Between an answer and the next question.
const BETWEEN: Duration = Duration::from_micros(500);
/// Where one of both had to wait this long for a processor, the worker may have done several things, one
/// after the other.
const LATE: Duration = Duration::from_millis(1);
/// The longest that a worker may be held, in milliseconds.
const BOUND_MS: f64 = 5.0;

pub struct Pauses {
    streams: usize,
    phases: Vec<Phase>,
}

/// What the worker is doing besides.
struct Phase {
    name: &'static str,
    what: String,
    bound: Option<f64>,
    rounds: Vec<Round>,
}

struct Round {
    /// The worker's time from one answer to the next, and the client's, in milliseconds.
    held: Samples,
    waited: Samples,
    took_s: f64,
}

pub fn measure(streams: usize) -> anyhow::Result<Pauses> {
    eprintln!("pauses: starting the devserver, an upstream, and Envoy with one worker");
    let proxy = Proxy::start(1, Duration::from_secs(120))?;
    let few = streams / 10;
    let other = proxy.token(&Caller::workload("p", "p-other"), 600)?;
    let mut probe = Probe {
        connection: Connection::new(proxy.inbound),
        header: format!("authorization: {}\r\n", other.header),
        worker: WorkerTime::of(&proxy.envoy)?,
    };
    let phase = |name, what, bound| Phase { name, what, bound, rounds: Vec::new() };
    let mut phases = [
        phase("idle", "no stream is open".to_owned(), None),
        phase("settling", format!("{streams} streams were opened"), None),
        phase("open", "they are open".into(), None),
        phase("cut_few", format!("{few} of one task are cut"), Some(BOUND_MS)),
        phase("cut_most", format!("{} of one task are cut", streams - few), Some(BOUND_MS)),
        phase("after", "after that".into(), None),
    ];
    // V8 compiles what is hot while it runs.
    probe.run(for_secs(2))?;
    for round in 0..ROUNDS {
        eprintln!("pauses: {streams} streams are opened and cut ({}/{ROUNDS})", round + 1);
        let tasks = ["few", "most"].map(|name| format!("p-{name}-{round}"));
        let [one, most] = tasks.each_ref().map(|task| proxy.token(&Caller::workload("p", task), 600));
        let (one, most) = (one?.header, most?.header);
        phases[0].rounds.push(probe.run(for_secs(1))?);
        let tokens: Vec<&str> =
            (0..streams).map(|number| if number % 10 == 0 { &*one } else { &*most }).collect();
        let calls = Calls::start_on(proxy.inbound, &tokens, SHARED_BY, OPENED);
        let opened = || calls.messages.lock().unwrap().len();
        let ended = || calls.ended.lock().unwrap().len();
        let wait = |condition: &dyn Fn() -> bool| {
            let deadline = Instant::now() + Duration::from_secs(90);
            while !condition() && Instant::now() < deadline {
                std::thread::sleep(Duration::from_millis(5));
            }
        };
        wait(&|| opened() >= streams || ended() > 0);
        ensure!(opened() == streams && ended() == 0, "{} streams are open, {} ended", opened(), ended());
        phases[1].rounds.push(probe.run(for_secs(1))?);
        phases[2].rounds.push(probe.run(for_secs(1))?);
        for (phase, task, all) in [(3, &tasks[0], few), (4, &tasks[1], streams)] {
            proxy.end_task(task)?;
            let deadline = Instant::now() + Duration::from_secs(60);
            phases[phase].rounds.push(probe.run(|| ended() >= all || Instant::now() > deadline)?);
            ensure!(ended() == all, "{} of {all} streams ended", ended());
        }
        phases[5].rounds.push(probe.run(for_secs(1))?);
    }
    ensure!(proxy.envoy.stat("wasm.everycall.vm_reload_success")? == 0, "a VM crashed");
    Ok(Pauses { streams, phases: phases.into() })
}

fn for_secs(secs: u64) -> impl Fn() -> bool {
    let until = Instant::now() + Duration::from_secs(secs);
    move || Instant::now() >= until
}

struct Probe {
    connection: Connection,
    header: String,
    worker: WorkerTime,
}

impl Probe {
    /// How long the worker ran, and how long it and the client waited for a processor.
    fn times(&self) -> anyhow::Result<[Duration; 3]> {
        Ok([self.worker.time()?, self.worker.waited()?, waited_for_processor()?])
    }

    /// Asks until it is over.
    fn run(&mut self, over: impl Fn() -> bool) -> anyhow::Result<Round> {
        let begun = Instant::now();
        let (mut held, mut waited) = (Vec::new(), Vec::new());
        let mut before = self.times()?;
        while !over() {
            let asked = Instant::now();
            let (status, _) =
                self.connection.get_with("/none", &self.header).context("Envoy ended the connection")?;
            ensure!(status == 403, "a request without a grant came to {status}");
            waited.push(asked.elapsed().as_secs_f64() * 1e3);
            let now = self.times()?;
            let [ran, worker, client] = [0, 1, 2].map(|at| now[at].saturating_sub(before[at]));
            before = now;
            // What holds it for long is kept: it runs longer than it waits.
            if client < LATE && (worker < LATE || worker < ran) {
                held.push(ran.as_secs_f64() * 1e3);
            }
            std::thread::sleep(BETWEEN);
        }
        let [held, waited] = [held, waited].map(Samples::of);
        Ok(Round { held, waited, took_s: rounded(begun.elapsed().as_secs_f64()) })
    }
}

impl Phase {
    fn each(&self, figure: impl Fn(&Round) -> f64) -> Vec<f64> {
        self.rounds.iter().map(figure).collect()
    }
}

impl Pauses {
    pub fn report(&self, result: &mut Map<String, Value>, figures: &mut Vec<Figure>) {
        let mut all = Map::new();
        for phase in &self.phases {
            let held = |share| Samples::of(phase.each(|round| round.held.at(share))).at(0.5);
            let samples = phase.rounds.iter().map(|round| round.held.count()).sum();
            figures.push(Figure {
                what: format!("worker held: {}", phase.what),
                samples,
                median: Some(held(0.5)),
                p99: Some(held(0.99)),
                longest: Some(held(1.0)),
                value: held(1.0),
                unit: "ms",
                bound: phase.bound,
            });
            let rounds = |figure: &dyn Fn(&Round) -> f64| json!(phase.each(figure));
            all.insert(
                phase.name.into(),
                json!({"requests": samples, "took_s": rounds(&|round| round.took_s),
                    "held_p99_ms": rounds(&|round| round.held.at(0.99)),
                    "held_max_ms": rounds(&|round| round.held.at(1.0)),
                    "waited_p99_ms": rounds(&|round| round.waited.at(0.99)),
                    "waited_max_ms": rounds(&|round| round.waited.at(1.0))}),
            );
        }
        result.insert("pauses_streams".into(), json!(self.streams));
        result.insert("pauses".into(), all.into());
    }
}
