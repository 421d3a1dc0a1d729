//! What a worker adds to Envoy's memory: that of Envoy with three workers less that with one, by two; and
//! of that what is more than with the empty filter. Each worker has 10,000 grants, and has seen 10,000
//! different tokens, which it remembers.

use std::fs;
use std::io::{Read as _, Write as _};
use std::net::TcpStream;
use std::time::{Duration, Instant};

use anyhow::{ensure, Context};
use everycall_core::Algorithm::Rs256;
use everycall_tests::envoy::Envoy;

use crate::paced::is_whole;
use crate::policy::{Rules, Setting, IDENTITIES};
use crate::requests::Source;
use crate::run::Bench;
use crate::scenario::Filter;

/// Where the tokens come from.
pub const SOURCE: Source = Source::Fresh(Rs256);
const TOKENS: usize = 10_000;
const GRANTS: usize = 10_000;
const WORKERS: [u32; 2] = [1, 3];
/// Until what is free has been given back.
const REST: Duration = Duration::from_secs(2);

/// Envoy's memory in MiB with one worker, and with three.
#[derive(Debug, Clone, Copy)]
pub struct Memory {
    pub empty: [f64; 2],
    pub everycall: [f64; 2],
}

impl Memory {
    pub fn measure(bench: &Bench) -> anyhow::Result<Self> {
        let setting = Setting {
            grants: GRANTS - IDENTITIES,
            rules: Rules::One,
            asks: false,
            caches_all: true,
            algorithm: Rs256,
        };
        let of = |filter: Filter| -> anyhow::Result<[f64; 2]> {
            let [one, three] = WORKERS.map(|workers| with(bench, &filter, workers));
            Ok([one?, three?])
        };
        Ok(Self { empty: of(Filter::Empty)?, everycall: of(Filter::Everycall(setting))? })
    }

    /// What one worker adds.
    pub fn worker(&self) -> f64 {
        let by = f64::from(WORKERS[1] - WORKERS[0]);
        let each = |[one, three]: [f64; 2]| (three - one) / by;
        each(self.everycall) - each(self.empty)
    }
}

fn with(bench: &Bench, filter: &Filter, workers: u32) -> anyhow::Result<f64> {
    let (envoy, inbound) = bench.envoy(filter, workers)?;
    let tokens = bench.requests(SOURCE).all.get(..TOKENS).context("too few tokens")?;
    let deadline = Instant::now() + Duration::from_secs(120);
    let mut seen = connections(&envoy)?;
    let mut fed = 0;
    // Connections are the workers' as the kernel gives them: each worker's first one brings all tokens.
    while fed < workers {
        ensure!(Instant::now() < deadline, "{fed} of {workers} workers got a connection");
        let mut stream = TcpStream::connect(inbound)?;
        stream.set_nodelay(true)?;
        stream.set_read_timeout(Some(Duration::from_secs(10)))?;
        ask(&mut stream, tokens.first().context("no tokens")?)?;
        let now = connections(&envoy)?;
        let is_first = seen.iter().zip(&now).any(|(before, now)| *before == 0 && *now > 0);
        seen = now;
        if is_first {
            for request in tokens {
                ask(&mut stream, request)?;
            }
            fed += 1;
        }
    }
    std::thread::sleep(REST);
    if matches!(filter, Filter::Everycall(_)) {
        let cached = envoy.stat("wasmcustom.everycall.tokens_cached;instance=bench")?;
        let all = u64::from(workers) * TOKENS as u64;
        ensure!(cached == all, "{workers} workers remember {cached} tokens, not {all}");
    }
    let rollup = fs::read_to_string(format!("/proc/{}/smaps_rollup", envoy.id()))?;
    own(&rollup).context("the system does not tell Envoy's memory")
}

fn ask(stream: &mut TcpStream, request: &[u8]) -> anyhow::Result<()> {
    stream.write_all(request)?;
    let (mut answer, mut bytes) = (Vec::new(), [0; 4096]);
    while is_whole(&answer)?.is_none() {
        let read = stream.read(&mut bytes)?;
        ensure!(read > 0, "Envoy ended a connection");
        answer.extend(&bytes[..read]);
    }
    Ok(())
}

/// How many connections each worker has had.
fn connections(envoy: &Envoy) -> anyhow::Result<Vec<u64>> {
    let stats = envoy.admin("/stats?filter=worker_[0-9]*.downstream_cx_total")?;
    let counts: Option<Vec<u64>> =
        stats.lines().map(|line| line.rsplit_once(": ")?.1.trim().parse().ok()).collect();
    counts.with_context(|| format!("connections of workers: {stats}"))
}

/// The memory in `smaps_rollup` that is no file, in MiB. How much of Envoy's own file is in memory depends
/// on what the system read ahead.
fn own(rollup: &str) -> Option<f64> {
    let of = |name: &str| -> Option<f64> {
        let line = rollup.lines().find_map(|line| line.strip_prefix(name))?;
        line.trim().strip_suffix("kB")?.trim().parse().ok()
    };
    Some((of("Pss_Anon:")? + of("Pss_Shmem:")?) / 1024.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_worker_is_half_of_what_two_add() {
        let memory = Memory { empty: [30.0, 34.0], everycall: [100.0, 150.0] };
        assert_eq!(memory.worker(), 23.0);
    }

    #[test]
    fn what_is_no_file_is_read() {
        let text = "560d1 ---p 00000000 00:00 0 [rollup]\nRss:   91000 kB\nPss:   82000 kB\nPss_Anon:   \
            40960 kB\nPss_File:  40 kB\nPss_Shmem:    1024 kB\n";
        assert_eq!(own(text), Some(41.0));
        assert_eq!(own("Pss: 1 kB\n"), None);
    }
}
