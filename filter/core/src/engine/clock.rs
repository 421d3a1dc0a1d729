//! The time that an engine goes by.

use crate::base::time::UnixTime;

/// A step back of the clock up to this is taken for jitter; a longer one is followed.
const STEP_S: i64 = 300;

/// The last time that was told.
#[derive(Debug, Default)]
pub(super) struct Clock {
    latest: UnixTime,
    steps: u64,
}

impl Clock {
    pub(super) const fn latest(&self) -> UnixTime {
        self.latest
    }

    /// Times it went back by a lot.
    pub(super) const fn steps(&self) -> u64 {
        self.steps
    }

    /// It is `now`. If it went back by a lot: what it was before.
    pub(super) fn tell(&mut self, now: UnixTime) -> Option<UnixTime> {
        let before = self.latest;
        if before.secs().saturating_sub(now.secs()) <= STEP_S {
            self.latest = before.max(now);
            return None;
        }
        self.set(now);
        self.steps = self.steps.saturating_add(1);
        Some(before)
    }

    /// Whatever it was before.
    pub(super) fn set(&mut self, now: UnixTime) {
        self.latest = now;
    }
}
