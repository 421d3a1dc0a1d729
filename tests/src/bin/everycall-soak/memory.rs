//! What Envoy's process holds, over the run.

use std::time::Duration;

use anyhow::ensure;
use serde_json::{json, Value};

use crate::proxy::Proxy;
use crate::run::Run;

/// Between two looks.
const EVERY: Duration = Duration::from_secs(2);
/// How much more it may hold at the median of the last quarter than at that of the second one. The first one is for
/// warming up: connections, caches, and what V8 compiles.
///
/// In ten minutes there are five from the middle of the one to the middle of the other, with some 70,000 requests,
/// 60 bundles, 20 keys, 6,000 revocations and 900 streams. So it sees a leak of 120 bytes a request, of 9 KB a stream,
/// or of 140 KB a bundle: 14 in each of ten engines, of a file of 60. Resident memory varies by less than 2 MiB from
/// one run to the next, and what is leaked stays in it.
const BOUND: u64 = 8 << 20;
/// V8 compiles what is hot for minutes: in a shorter run memory is shown, and not judged.
const LEAST: Duration = Duration::from_secs(300);

/// One look, in bytes.
#[derive(Clone, Copy)]
struct Sample {
    at: Duration,
    resident: u64,
    /// What the allocator gave out; the memory of V8 and of modules comes from elsewhere.
    allocated: u64,
}

pub struct Memory(Vec<Sample>);

impl Memory {
    /// Looks until the run is over, and says how it goes.
    pub fn watch(proxy: &Proxy, run: &Run, all: Duration) -> anyhow::Result<Self> {
        let mut samples = Vec::new();
        while run.sleep(EVERY) {
            let (resident, allocated) = proxy.memory()?;
            samples.push(Sample { at: run.elapsed(), resident, allocated });
            proxy.forget();
            let decided = proxy.metrics()?.sum("decisions", &[]);
            eprint!(
                "\r{} of {} s: {decided} decisions, {} MiB resident ",
                run.elapsed().as_secs(),
                all.as_secs(),
                resident >> 20
            );
        }
        eprintln!();
        ensure!(samples.len() >= 8, "too short a run to tell what memory does");
        Ok(Self(samples))
    }

    /// The median of each quarter.
    fn quarters(&self, of: impl Fn(&Sample) -> u64) -> [u64; 4] {
        [0, 1, 2, 3].map(|quarter| {
            let len = self.0.len();
            let mut part: Vec<u64> =
                self.0[len * quarter / 4..len * (quarter + 1) / 4].iter().map(&of).collect();
            part.sort_unstable();
            part[part.len() / 2]
        })
    }

    /// How much more is resident in the last quarter than in the second one; 0 if it is less.
    pub fn grown(&self) -> u64 {
        let [_, second, _, last] = self.quarters(|sample| sample.resident);
        last.saturating_sub(second)
    }

    /// The bound, if the run was long enough for one.
    pub fn bound(&self) -> Option<u64> {
        self.0.last().is_some_and(|last| last.at >= LEAST).then_some(BOUND)
    }

    /// Bytes a second of the line through what is resident after the first quarter.
    #[allow(clippy::cast_precision_loss)] // bytes of memory
    fn slope(&self) -> f64 {
        let warm = &self.0[self.0.len() / 4..];
        let count = warm.len() as f64;
        let points = || warm.iter().map(|sample| (sample.at.as_secs_f64(), sample.resident as f64));
        let mean = |of: fn((f64, f64)) -> f64| points().map(of).sum::<f64>() / count;
        let (x, y) = (mean(|point| point.0), mean(|point| point.1));
        let (over, under) = points().fold((0.0, 0.0), |(over, under), point| {
            (over + (point.0 - x) * (point.1 - y), under + (point.0 - x).powi(2))
        });
        over / under
    }

    pub fn print(&self) {
        println!("{:10} {:>9} {:>9} {:>9} {:>9}  MiB, medians of the quarters", "memory", "1", "2", "3", "4");
        for (name, quarters) in [
            ("resident", self.quarters(|sample| sample.resident)),
            ("allocated", self.quarters(|sample| sample.allocated)),
        ] {
            let [a, b, c, d] = quarters.map(mib);
            println!("{name:10} {a:>9.1} {b:>9.1} {c:>9.1} {d:>9.1}");
        }
        println!("resident: {:+.1} KiB a second from the second quarter on", self.slope() / 1024.0);
    }

    pub fn json(&self) -> Value {
        let series = |of: fn(&Sample) -> u64| self.0.iter().map(of).collect::<Vec<u64>>();
        json!({
            "at_s": self.0.iter().map(|sample| sample.at.as_secs()).collect::<Vec<u64>>(),
            "resident": series(|sample| sample.resident), "allocated": series(|sample| sample.allocated),
            "resident_quarters": self.quarters(|sample| sample.resident),
            "allocated_quarters": self.quarters(|sample| sample.allocated),
            "resident_grown": self.grown(), "resident_bytes_per_s": self.slope(),
        })
    }
}

#[allow(clippy::cast_precision_loss)] // megabytes
pub fn mib(bytes: u64) -> f64 {
    bytes as f64 / f64::from(1 << 20)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Ten minutes with so much resident memory at each second.
    fn memory(resident: impl Fn(u64) -> u64) -> Memory {
        let sample =
            |at: u64| Sample { at: Duration::from_secs(at), resident: resident(at), allocated: resident(at) };
        Memory((2..=600).step_by(2).map(sample).collect())
    }

    fn is_flat(memory: &Memory) -> bool {
        memory.grown() <= memory.bound().unwrap()
    }

    #[test]
    fn a_leak_is_told_from_warming_up_and_from_peaks() {
        const BASE: u64 = 180 << 20;
        assert!(is_flat(&memory(|at| BASE + (at.min(140) << 20))), "warming up");
        let peaks = |at| if at % 12 == 0 { 100 << 20 } else { 0 };
        assert!(is_flat(&memory(|at| BASE + peaks(at))), "peaks");
        assert!(
            !is_flat(&memory(|at| BASE + peaks(at) + at * 240 * 130)),
            "130 bytes of each of 240 requests a second"
        );
        assert!(!is_flat(&memory(|at| BASE + at / 5 * 160_000)), "a part of each bundle");
        assert!(memory(|at| BASE + at * 1_000).slope() > 990.0);
    }
}
