//! The right to fetch something, which one worker at a time has, for an interval whatever comes of
//! it.

use crate::base::time::UnixTime;
use crate::sync::shared::{read_time, Shared, SharedEntry};

/// By how much the clock may go back without a lease being taken for a wrong one, in seconds.
const CLOCK_SLACK_S: i64 = 60;

/// A worker's view of one lease.
#[derive(Debug, Default)]
pub(crate) struct Lease {
    /// Until when this worker's own last one lasts.
    until: UnixTime,
}

impl Lease {
    /// Whether this worker may fetch now: nobody has within the interval. Where shared data does
    /// not work, each worker keeps the interval for itself.
    pub(crate) fn take(&mut self, shared: &Shared, name: &str, interval_ms: i64, now: UnixTime) -> bool {
        if now < self.until {
            return false;
        }
        let until = now.plus_millis(interval_ms);
        let leased = shared.read(name).and_then(|read| {
            let free_at = match &read {
                SharedEntry::Ours { payload, .. } => {
                    read_time(payload).map(|(time, _)| time).unwrap_or_default()
                }
                SharedEntry::Absent | SharedEntry::Foreign { .. } => UnixTime::default(),
            };
            // One further ahead than any that is taken now was taken before the clock went back. A
            // little further is another worker's reading of the clock.
            if now < free_at && free_at <= until.plus_secs(CLOCK_SLACK_S) {
                Ok(false)
            } else {
                shared.write(name, &until.micros().to_le_bytes(), &read)
            }
        });
        let leased = leased.unwrap_or(true);
        if leased {
            self.until = until;
        }
        leased
    }

    /// The clock went back: what was counted by the old time means nothing.
    pub(crate) fn clock_stepped(&mut self, now: UnixTime) {
        self.until = now;
    }
}
