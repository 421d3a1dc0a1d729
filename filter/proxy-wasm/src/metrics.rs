//! What is counted. The host wants each name defined once per VM and keeps the numbers.

use std::cell::RefCell;
use std::collections::BTreeMap;

use everycall_core::{Reason, Stats};

use crate::host::{self, MetricKind};

/// Metrics that exist for each instance. Decisions are counted by outcome and reason.
const GAUGES: [&str; 2] = ["everycall.pending", "everycall.tokens_cached"];
const COUNTERS: [&str; 2] = ["everycall.clock_stepped", "everycall.records_dropped"];

/// The metrics of one instance in one VM.
#[derive(Debug)]
pub(crate) struct Metrics {
    instance: String,
    decisions: RefCell<BTreeMap<Reason, u32>>,
    gauges: Vec<Option<u32>>,
    counters: Vec<Option<u32>>,
    /// What was published last, of gauges and then counters.
    published: RefCell<[i64; 4]>,
}

impl Metrics {
    pub(crate) fn new(instance: &str) -> Self {
        let define =
            |kind, name: &&str| host::define_metric(kind, &format!("{name};instance={instance}")).ok();
        Self {
            instance: instance.to_owned(),
            decisions: RefCell::default(),
            gauges: GAUGES.iter().map(|name| define(MetricKind::Gauge, name)).collect(),
            counters: COUNTERS.iter().map(|name| define(MetricKind::Counter, name)).collect(),
            published: RefCell::default(),
        }
    }

    /// Counts one decision.
    pub(crate) fn decided(&self, reason: Reason) {
        let mut decisions = self.decisions.borrow_mut();
        let id = match decisions.get(&reason) {
            Some(id) => *id,
            None => {
                let outcome = if reason.is_allow() { "allow" } else { "deny" };
                let name = format!(
                    "everycall.decisions;instance={};outcome={outcome};reason={reason}",
                    self.instance
                );
                let Ok(id) = host::define_metric(MetricKind::Counter, &name) else { return };
                decisions.insert(reason, id);
                id
            }
        };
        host::increment_metric(id, 1);
    }

    /// Publishes the engine's figures, as what changed: the host adds up over workers.
    pub(crate) fn publish(&self, stats: Stats) {
        let Stats { pending, tokens_cached, clock_stepped, records_dropped } = stats;
        let count = |value: usize| i64::try_from(value).unwrap_or(i64::MAX);
        let total = |value: u64| i64::try_from(value).unwrap_or(i64::MAX);
        let values = [count(pending), count(tokens_cached), total(clock_stepped), total(records_dropped)];
        let mut published = self.published.borrow_mut();
        for ((id, value), before) in
            self.gauges.iter().chain(&self.counters).zip(values).zip(published.iter_mut())
        {
            if let Some(id) = id {
                host::increment_metric(*id, value.saturating_sub(*before));
            }
            *before = value;
        }
    }
}
