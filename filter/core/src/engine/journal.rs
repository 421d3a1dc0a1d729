//! What is written down: records on their way out, and, while somebody wants to know, what policies saw.

use std::collections::VecDeque;

use super::trace::Watched;
use crate::base::json;
use crate::config::LogRecords;
use crate::record::{DecisionRecord, Record, StreamEnd, Verdict};
use crate::settings::Settings;

/// Bytes of the records that wait for a tick: the oldest beyond that overflow.
pub(crate) const WAITING_BYTES: usize = 1024 * 1024;
/// Where nobody takes those, the oldest are dropped from here on, and counted.
const MAX_BYTES: usize = 2 * WAITING_BYTES;

/// Records that wait to be written.
#[derive(Default)]
pub(super) struct Journal {
    records: VecDeque<Record>,
    /// How much they hold.
    bytes: usize,
    /// How many could not be written down.
    pub(super) dropped: u64,
    /// What policies were evaluated with, while somebody wants to know.
    pub(super) watched: Option<Vec<Watched>>,
}

impl Journal {
    /// Takes the record of a decision. Answers what the access log is to show.
    pub(super) fn decided(&mut self, settings: &Settings, record: &DecisionRecord) -> String {
        let is_wanted = match settings.log.records {
            LogRecords::All => true,
            LogRecords::Refusals => {
                record.decision != Verdict::Allow || record.would_refuse.is_some() || record.has_dispute()
            }
            LogRecords::Off => false,
        };
        let line = is_wanted.then(|| {
            let cut = record.cut(*settings.log.value_bytes);
            json::line(cut.as_ref().unwrap_or(record))
        });
        let to = settings.log.to;
        match line {
            Some(Ok(line)) if to.is_shown() => {
                if to.is_queued() {
                    self.write_down(Record::Decision(line.clone()));
                }
                return line;
            }
            Some(Ok(line)) => self.write_down(Record::Decision(line)),
            Some(Err(_)) => self.drop_one(),
            None => {}
        }
        record.summary().unwrap_or_default()
    }

    /// Whether the end of a stream is recorded that is `old` enough.
    pub(super) fn takes_end(settings: &Settings, end: StreamEnd, is_old: bool) -> bool {
        match (settings.log.records, end) {
            (LogRecords::Off, _) | (LogRecords::Refusals, StreamEnd::Closed) => false,
            (LogRecords::All | LogRecords::Refusals, StreamEnd::Over(_)) => true,
            (LogRecords::All, StreamEnd::Closed) => is_old,
        }
    }

    pub(super) fn write_down(&mut self, record: Record) {
        self.bytes = self.bytes.saturating_add(record.bytes());
        self.records.push_back(record);
        while self.bytes > MAX_BYTES && self.next().is_some() {
            self.drop_one();
        }
    }

    fn drop_one(&mut self) {
        self.dropped = self.dropped.saturating_add(1);
    }

    fn next(&mut self) -> Option<Record> {
        let record = self.records.pop_front()?;
        self.bytes = self.bytes.saturating_sub(record.bytes());
        Some(record)
    }

    pub(super) fn is_empty(&self) -> bool {
        self.records.is_empty()
    }

    /// Whether there is no room for some of them until the next tick.
    pub(super) const fn overflows(&self) -> bool {
        self.bytes > WAITING_BYTES
    }

    /// Up to `many` records, in the order of what they tell of.
    pub(super) fn take(&mut self, many: usize) -> Vec<Record> {
        (0..many).map_while(|_| self.next()).collect()
    }

    /// Those for which there is no room.
    pub(super) fn take_overflow(&mut self) -> Vec<Record> {
        let mut taken = Vec::new();
        while self.overflows() {
            taken.extend(self.next());
        }
        taken
    }
}
