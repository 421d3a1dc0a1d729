//! What belongs to no single request: configuration, clock, records, figures, ids.

use std::collections::{BTreeMap, VecDeque};

use sha2::{Digest as _, Sha256};

use super::{Engine, IdSeed, Stats};
use crate::record::{DecisionRecord, Verdict};
use crate::settings::{LogRecords, Settings};
use crate::signature::SignatureVerifier;
use crate::step::{Budget, Effect, FetchId, Reply, StreamId};
use crate::time::UnixTime;
use crate::token::cache::TokenCache;

/// A step back of the clock up to this is taken for jitter; a longer one is followed.
const CLOCK_STEP_S: i64 = 300;
/// Records that wait for a tick; one more pushes the oldest out, and is counted.
const MAX_RECORDS: usize = 10_000;

impl Engine {
    /// An engine with nothing cached.
    pub fn new(settings: Settings, verifier: Box<dyn SignatureVerifier>, seed: IdSeed) -> Self {
        Self {
            tokens: TokenCache::new(settings.limits.tokens_cached),
            settings,
            verifier,
            seed,
            counter: 0,
            latest: UnixTime::default(),
            waiting: BTreeMap::new(),
            records: VecDeque::new(),
            stats: Stats::default(),
            watched: None,
        }
    }

    /// Takes a new configuration. Caches live on; what no longer fits them is found by generation.
    pub fn configure(&mut self, settings: Settings) {
        self.tokens.set_capacity(settings.limits.tokens_cached);
        self.settings = settings;
    }

    /// The configuration in force.
    pub const fn settings(&self) -> &Settings {
        &self.settings
    }

    /// Current figures.
    pub fn stats(&self) -> Stats {
        Stats { pending: self.waiting.len(), tokens_cached: self.tokens.len(), ..self.stats }
    }

    /// Takes the record of a decision that was acted upon; a later tick hands it out.
    pub fn record(&mut self, record: DecisionRecord) {
        let wanted = match self.settings.log_records {
            LogRecords::All => true,
            LogRecords::Refusals => record.decision != Verdict::Allow,
            LogRecords::Off => false,
        };
        if !wanted {
            return;
        }
        if self.records.len() >= MAX_RECORDS {
            self.records.pop_front();
            self.stats.records_dropped = self.stats.records_dropped.saturating_add(1);
        }
        self.records.push_back(record);
    }

    /// Work that is due, within the budget.
    pub fn tick(&mut self, now: UnixTime, budget: Budget) -> Vec<Effect> {
        self.clock(now);
        let due = budget.records.min(self.records.len());
        self.records.drain(..due).map(|record| Effect::Emit { record: Box::new(record) }).collect()
    }

    /// The answer to an `Effect::Fetch`. Nothing is fetched yet, so no answer is awaited.
    pub fn fetched(&mut self, _id: FetchId, _reply: Reply, now: UnixTime) -> Vec<Effect> {
        self.clock(now);
        Vec::new()
    }

    /// A stream is gone. What it waited for is forgotten; the caller drops its `Pending`.
    pub fn ended(&mut self, stream: StreamId, now: UnixTime) {
        self.clock(now);
        self.waiting.remove(&stream);
    }

    /// Time never runs backwards by a little. By a lot it is followed, and what was believed
    /// because of the old time is forgotten.
    pub(super) fn clock(&mut self, now: UnixTime) -> UnixTime {
        let back = self.latest.secs().saturating_sub(now.secs());
        if back > CLOCK_STEP_S {
            self.tokens.clear();
            self.stats.clock_stepped = self.stats.clock_stepped.saturating_add(1);
            self.latest = now;
        } else {
            self.latest = self.latest.max(now);
        }
        self.latest
    }

    pub(super) fn next_id(&mut self) -> String {
        self.counter = self.counter.wrapping_add(1);
        let hash =
            Sha256::new().chain_update(self.seed.0).chain_update(self.counter.to_le_bytes()).finalize();
        let mut id = String::with_capacity(32);
        for byte in hash.iter().take(16) {
            for nibble in [byte >> 4, byte & 15] {
                id.extend(char::from_digit(u32::from(nibble), 16));
            }
        }
        id
    }
}
