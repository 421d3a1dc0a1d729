//! One run of one scenario: an Envoy of its own with one worker, checked, warmed up, measured, stopped.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::net::{Ipv4Addr, SocketAddr};
use std::path::Path;
use std::time::{Duration, Instant};

use anyhow::{ensure, Context};
use everycall_tests::client::{self, RawRequest, Response};
use everycall_tests::envoy::{Envoy, Start};
use everycall_tests::worker::WorkerTime;

use crate::bootstrap::Places;
use crate::cores::Apart;
use crate::paced::{self, Took};
use crate::policy::HOST;
use crate::requests::{self, Requests, Source, Tokens};
use crate::scenario::{Filter, Scenario};
use crate::sidecar::Sidecar;
use crate::statistics::at;
use crate::tokens;
use crate::wrk::Wrk;

/// V8 compiles what is hot while it runs.
const WARM_UP: Duration = Duration::from_secs(1);
/// Longer than the filter takes to write what it still has to write.
const REST: Duration = Duration::from_millis(600);
/// Requests of which percentiles tell something.
const ENOUGH: usize = 500;

/// What a run came to.
#[derive(Debug, Clone, Default)]
pub struct Run {
    pub requests_per_s: f64,
    /// The worker's processor time for a request, in microseconds.
    pub cpu_us: f64,
    /// The same with all other threads of Envoy, and the sidecar.
    pub all_cpu_us: f64,
    /// The time that a request took at a fixed rate, in microseconds: of 50, 99 and 99.9 of 100. Of those
    /// during which nothing else had the processor, if they are enough to tell.
    pub latency_us: Option<[f64; 3]>,
    /// The same of all.
    pub all_latency_us: Option<[f64; 3]>,
    /// The share of requests during which something else had the processor.
    pub disturbed: Option<f64>,
    /// Everycall only: the share of requests for which a signature was checked.
    pub verified: Option<f64>,
    /// Everycall only: the share of requests whose record was dropped because too many waited.
    pub unrecorded: Option<f64>,
    /// The share of the time in which the worker was ready to run and had no processor.
    pub waited: f64,
    /// Bytes of the access log for a request.
    pub logged_bytes: f64,
}

/// What all runs share.
pub struct Bench {
    pub places: Places,
    pub time: Duration,
    sidecar: Sidecar,
    wrk: Wrk,
    requests: BTreeMap<Source, Requests>,
}

impl Bench {
    /// Prepares what these sources need; files go into the directory.
    pub fn new(directory: &Path, sources: &BTreeSet<Source>, time: Duration) -> anyhow::Result<Self> {
        let wrk = Wrk::new(directory)?;
        let sidecar = Sidecar::start()?;
        let places = Places::new(directory, sidecar.address())?;
        eprintln!("signing tokens");
        let tokens = Tokens::for_all(sources)?;
        let made = |source: &Source| Ok((*source, source.requests(&tokens, directory)?));
        let requests = sources.iter().map(made).collect::<anyhow::Result<_>>()?;
        Ok(Self { places, time, sidecar, wrk, requests })
    }

    pub fn requests(&self, source: Source) -> &Requests {
        &self.requests[&source]
    }

    /// An Envoy with this filter that writes its access log as Envoy does by default.
    pub fn envoy(&self, filter: &Filter, workers: u32) -> anyhow::Result<(Envoy, SocketAddr)> {
        let start = Start { flush_ms: 10_000, ..Start::with(workers) };
        let envoy = Envoy::start_as(&self.places.bootstrap(filter)?, &start)?;
        let inbound = envoy.listener("inbound")?;
        Ok((envoy, inbound))
    }

    pub fn run(&self, scenario: &Scenario) -> anyhow::Result<Run> {
        let (envoy, inbound) = self.envoy(&scenario.filter, 1)?;
        let requests = self.requests(scenario.source);
        check(scenario, requests, inbound)?;
        let worker = WorkerTime::of(&envoy)?;
        self.wrk.run(inbound, &requests.file, served(&envoy)?, WARM_UP)?;

        let read = || Reading::at_rest(&envoy, &worker, self.sidecar.id());
        let before = read()?;
        let begun = Instant::now();
        let requests_per_s = self.wrk.run(inbound, &requests.file, before.served, self.time)?;
        let waited = worker.waited()?.saturating_sub(before.waited).div_duration_f64(begun.elapsed());
        let after = read()?;

        #[allow(clippy::cast_precision_loss)] // nanoseconds of a few seconds
        let each = |from: u64, to: u64| (to - from) as f64 / (after.served - before.served) as f64;
        let took = match scenario.cost_only {
            true => Took::default(),
            false => {
                let _apart = Apart::from(worker.thread()?)?;
                paced::run(inbound, &requests.all, served(&envoy)?, self.time, &worker)?
            }
        };
        let percentiles =
            |took: &[f64]| (took.len() >= ENOUGH).then(|| [0.5, 0.99, 0.999].map(|share| at(took, share)));
        #[allow(clippy::cast_precision_loss)] // thousands
        let share =
            |part: &[f64], all: &[f64]| (!all.is_empty()).then(|| part.len() as f64 / all.len() as f64);
        let counts = matches!(scenario.filter, Filter::Everycall(_));
        let run = Run {
            requests_per_s,
            cpu_us: each(before.worker_ns, after.worker_ns) / 1e3,
            all_cpu_us: each(before.all_ns, after.all_ns) / 1e3,
            latency_us: percentiles(&took.undisturbed),
            all_latency_us: percentiles(&took.all),
            disturbed: share(&took.undisturbed, &took.all).map(|share| 1.0 - share),
            verified: counts.then(|| each(before.signatures, after.signatures)),
            unrecorded: counts.then(|| each(before.dropped, after.dropped)),
            waited,
            logged_bytes: logged(&envoy)?,
        };
        if let Some(verified) = run.verified {
            let is_fresh = matches!(scenario.source, Source::Fresh(_));
            let is_right = if is_fresh { verified > 0.99 } else { verified < 0.01 };
            ensure!(is_right, "{}: a signature was checked for {verified} of the requests", scenario.name);
        }
        ensure!(envoy.stat("wasm.everycall.vm_reload_success")? == 0, "{}: a VM crashed", scenario.name);
        Ok(run)
    }
}

/// How many requests Envoy has had.
fn served(envoy: &Envoy) -> anyhow::Result<u64> {
    envoy.stat("http.inbound.downstream_rq_total")
}

/// What was counted so far.
struct Reading {
    served: u64,
    worker_ns: u64,
    /// Of all threads of Envoy, and the sidecar.
    all_ns: u64,
    waited: Duration,
    signatures: u64,
    dropped: u64,
}

impl Reading {
    /// When nothing is left to be done: a filter may write records after the answer, and publishes its
    /// counters from time to time.
    fn at_rest(envoy: &Envoy, worker: &WorkerTime, sidecar: u32) -> anyhow::Result<Self> {
        std::thread::sleep(REST);
        let counted = |name: &str| envoy.stat(&format!("wasmcustom.everycall.{name}"));
        Ok(Self {
            served: served(envoy)?,
            worker_ns: u64::try_from(worker.time()?.as_nanos())?,
            all_ns: process_ns(envoy.id())? + process_ns(sidecar)?,
            waited: worker.waited()?,
            signatures: counted("signatures;instance=bench;by=host")?
                + counted("signatures;instance=bench;by=rust")?,
            dropped: counted("records_dropped;instance=bench")?,
        })
    }
}

/// The processor time of all threads of a process.
fn process_ns(id: u32) -> anyhow::Result<u64> {
    let mut all = 0;
    for task in fs::read_dir(format!("/proc/{id}/task"))? {
        // A thread may have ended since.
        let Ok(text) = fs::read_to_string(task?.path().join("schedstat")) else { continue };
        all +=
            text.split(' ').next().and_then(|ns| ns.parse::<u64>().ok()).context("no time in schedstat")?;
    }
    Ok(all)
}

/// The mean length of the lines that are in the access log by now.
fn logged(envoy: &Envoy) -> anyhow::Result<f64> {
    use std::io::Read as _;
    let mut text = Vec::new();
    fs::File::open(envoy.directory().join("access.log"))?.take(1 << 20).read_to_end(&mut text)?;
    let lines = text.iter().filter(|byte| **byte == b'\n').count();
    #[allow(clippy::cast_precision_loss)] // a megabyte
    Ok(text.len() as f64 / lines.max(1) as f64)
}

/// What is measured is what it is called: the first request is admitted; where there is a policy, those
/// that it forbids are not.
fn check(scenario: &Scenario, requests: &Requests, to: SocketAddr) -> anyhow::Result<()> {
    let first = answer(to, &requests.all[0])?;
    let text = String::from_utf8_lossy(&first.body);
    ensure!(first.status == 200, "{}: a request came to {}: {text}", scenario.name, first.status);
    if !scenario.filter.decides() {
        return Ok(());
    }
    let text = String::from_utf8_lossy(&requests.all[0]).into_owned();
    let path = requests::path(0);
    let mut forbidden = vec![
        ("a request without a token", requests::request(&path, None, "")),
        ("another path", text.replacen(&path, "/invoices/1", 1).into_bytes()),
        ("another method", text.replacen("GET", "DELETE", 1).into_bytes()),
        ("another host", text.replacen(HOST, "invoices.shop.example", 1).into_bytes()),
    ];
    for (what, token) in tokens::wrong(scenario.source.algorithm())? {
        forbidden.push((what, requests::request(&path, Some(&token), "")));
    }
    for (what, bytes) in forbidden {
        let status = answer(to, &bytes)?.status;
        ensure!(matches!(status, 401 | 403), "{}: {what} came to {status}", scenario.name);
    }
    Ok(())
}

fn answer(to: SocketAddr, bytes: &[u8]) -> anyhow::Result<Response> {
    client::send(to, Ipv4Addr::LOCALHOST.into(), &raw(bytes)?, Duration::from_secs(5))
}

/// The request that these bytes are, for a client that makes a connection for each.
pub fn raw(bytes: &[u8]) -> anyhow::Result<RawRequest> {
    let text = String::from_utf8_lossy(bytes);
    let mut lines = text.split("\r\n").take_while(|line| !line.is_empty());
    let mut first = lines.next().context("no request")?.split(' ');
    let (method, path) = (first.next().context("no method")?, first.next().context("no path")?);
    let headers = lines.filter_map(|line| line.split_once(": "));
    Ok(RawRequest {
        method: method.into(),
        path: path.into(),
        headers: headers.map(|(name, value)| (name.to_owned(), value.as_bytes().to_vec())).collect(),
        body: Vec::new(),
    })
}
