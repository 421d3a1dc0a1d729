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
    /// What was counted already of the engine's own counters.
    counted: RefCell<[u64; 2]>,
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
            counted: RefCell::default(),
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

    /// Publishes the engine's figures.
    pub(crate) fn publish(&self, stats: Stats) {
        let Stats { pending, tokens_cached, clock_stepped, records_dropped } = stats;
        for (id, value) in self.gauges.iter().zip([pending, tokens_cached]) {
            if let Some(id) = id {
                host::record_metric(*id, u64::try_from(value).unwrap_or(u64::MAX));
            }
        }
        let mut counted = self.counted.borrow_mut();
        for ((id, value), before) in
            self.counters.iter().zip([clock_stepped, records_dropped]).zip(counted.iter_mut())
        {
            if let Some(id) = id {
                host::increment_metric(*id, i64::try_from(value.saturating_sub(*before)).unwrap_or(i64::MAX));
            }
            *before = value;
        }
    }
}
