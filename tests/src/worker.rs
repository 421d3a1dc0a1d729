//! The processor time of threads: of Envoy's only worker, and of the one that measures it.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{bail, Context};

use crate::envoy::Envoy;

/// Reads how long the worker was on a processor: up to date while the worker sleeps.
pub struct WorkerTime {
    times: PathBuf,
}

impl WorkerTime {
    /// Of the calling thread, for tests that have no Envoy.
    pub fn of_this_thread() -> Self {
        Self { times: "/proc/thread-self/schedstat".into() }
    }

    /// # Errors
    /// Envoy has no worker.
    pub fn of(envoy: &Envoy) -> anyhow::Result<Self> {
        let tasks = Path::new("/proc").join(envoy.id().to_string()).join("task");
        for task in fs::read_dir(&tasks)? {
            let task = task?.path();
            if fs::read_to_string(task.join("comm"))?.starts_with("wrk:") {
                return Ok(Self { times: task.join("schedstat") });
            }
        }
        bail!("Envoy has no worker in `{}`", tasks.display())
    }

    /// The id of its thread.
    ///
    /// # Errors
    /// It is not a worker of Envoy.
    pub fn thread(&self) -> anyhow::Result<i32> {
        let name = self.times.parent().and_then(Path::file_name).context("no thread")?;
        Ok(name.to_string_lossy().parse()?)
    }

    /// The processor time that it took so far.
    ///
    /// # Errors
    /// It is gone.
    pub fn time(&self) -> anyhow::Result<Duration> {
        read(&self.times, 0)
    }

    /// How long it was ready to run so far and had no processor.
    ///
    /// # Errors
    /// It is gone.
    pub fn waited(&self) -> anyhow::Result<Duration> {
        read(&self.times, 1)
    }
}

/// How long the calling thread was ready to run and had no processor.
///
/// # Errors
/// The system does not tell.
pub fn waited_for_processor() -> anyhow::Result<Duration> {
    read(Path::new("/proc/thread-self/schedstat"), 1)
}

/// A field of `schedstat`.
fn read(path: &Path, field: usize) -> anyhow::Result<Duration> {
    let text = fs::read_to_string(path)?;
    let ns =
        text.split(' ').nth(field).and_then(|ns| ns.trim().parse().ok()).context("no time in schedstat")?;
    Ok(Duration::from_nanos(ns))
}
