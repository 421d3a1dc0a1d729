//! While latency is measured Envoy's worker has one core of the machine, and the client another: else the
//! system wakes the worker where the client runs, and the time that the client then waits would count as
//! the worker's. Under full load both run all the time, and the system keeps them apart.

use anyhow::Context;
use rustix::thread::{sched_getaffinity, sched_setaffinity, CpuSet, Pid};

/// While it lives, the calling thread has a core of its own.
pub struct Apart {
    before: CpuSet,
}

impl Apart {
    /// Puts this worker's thread on the first core, and the calling thread on the last one.
    pub fn from(worker: i32) -> anyhow::Result<Self> {
        let before = sched_getaffinity(None)?;
        let cores: Vec<usize> = (0..CpuSet::MAX_CPU).filter(|core| before.is_set(*core)).collect();
        if let (Some(first), Some(last)) = (cores.first(), cores.last()) {
            sched_setaffinity(Some(Pid::from_raw(worker).context("no thread")?), &only(*first))?;
            sched_setaffinity(None, &only(*last))?;
        }
        Ok(Self { before })
    }
}

impl Drop for Apart {
    fn drop(&mut self) {
        // What was allowed before is allowed again.
        let _ = sched_setaffinity(None, &self.before);
    }
}

fn only(core: usize) -> CpuSet {
    let mut set = CpuSet::new();
    set.set(core);
    set
}
