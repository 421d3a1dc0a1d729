//! The time for which the load goes on.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::Arc;
use std::time::{Duration, Instant};

/// Shared by all that make load.
#[derive(Clone)]
pub struct Run {
    begun: Instant,
    lasts: Duration,
    /// Somebody failed: the others need not go on.
    broken: Arc<AtomicBool>,
}

impl Run {
    pub fn new(lasts: Duration) -> Self {
        Self { begun: Instant::now(), lasts, broken: Arc::default() }
    }

    pub fn elapsed(&self) -> Duration {
        self.begun.elapsed()
    }

    pub fn is_over(&self) -> bool {
        self.elapsed() >= self.lasts || self.broken.load(Ordering::Relaxed)
    }

    /// Sleeps for so long, or until it is over; whether it goes on.
    pub fn sleep(&self, time: Duration) -> bool {
        let until = Instant::now() + time;
        while !self.is_over() && Instant::now() < until {
            std::thread::sleep(
                until.saturating_duration_since(Instant::now()).min(Duration::from_millis(50)),
            );
        }
        !self.is_over()
    }

    /// Does this on a thread of its own; if it fails the others end too.
    pub fn spawn<T: Send + 'static>(
        &self,
        work: impl FnOnce(&Self) -> anyhow::Result<T> + Send + 'static,
    ) -> Job<T> {
        let run = self.clone();
        Job(std::thread::spawn(move || {
            let guard = Guard(&run);
            let done = work(&run);
            if done.is_ok() {
                std::mem::forget(guard);
            }
            done
        }))
    }
}

/// Says that somebody failed, also by a panic.
struct Guard<'r>(&'r Run);

impl Drop for Guard<'_> {
    fn drop(&mut self) {
        self.0.broken.store(true, Ordering::Relaxed);
    }
}

/// Work on another thread.
pub struct Job<T>(std::thread::JoinHandle<anyhow::Result<T>>);

impl<T> Job<T> {
    /// What it came to.
    pub fn end(self) -> anyhow::Result<T> {
        match self.0.join() {
            Ok(done) => done,
            Err(panic) => std::panic::resume_unwind(panic),
        }
    }
}
