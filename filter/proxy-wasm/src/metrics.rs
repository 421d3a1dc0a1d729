//! What is counted. The host wants each name defined once per VM and keeps the numbers.
//!
//! Here is what is counted when it happens; the figures of the engine are in `figures`, all names in `table`.

mod figures;
pub(crate) mod table;

use std::cell::RefCell;
use std::collections::BTreeMap;

use everycall_core::record::ShadowOutcome;
use everycall_core::{Engine, Reason};

use crate::host;
use crate::verifier::Signatures;
use figures::Figures;
use table::Metric;

/// The metrics of one instance in one VM.
#[derive(Debug)]
pub(crate) struct Metrics {
    instance: String,
    decisions: Ids<Reason>,
    /// By whether the call was let through.
    broke_glass: Ids<bool>,
    observed: Ids<Reason>,
    shadows: Ids<(String, ShadowOutcome)>,
    slices: Ids<Timed>,
    figures: RefCell<Figures>,
}

/// The host's ids of a metric, by what its labels tell; none where the host offers no metrics.
type Ids<K> = RefCell<BTreeMap<K, Option<u32>>>;

/// Work that is done between requests.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Timed {
    /// A slice: bundles and feeds are read, or a configuration's bundle.
    Updates,
    /// A slice: open streams are looked at.
    Streams,
    /// A whole tick, slices and all.
    Tick,
    /// What was fetched is taken from the host.
    Fetched,
    /// A configuration is read while another one is in force.
    Configure,
    /// The first one of a worker is read and its bundle built, before it serves.
    Start,
}

impl Metrics {
    pub(crate) fn new(instance: &str) -> Self {
        Self {
            instance: instance.to_owned(),
            decisions: RefCell::default(),
            broke_glass: RefCell::default(),
            observed: RefCell::default(),
            shadows: RefCell::default(),
            slices: RefCell::default(),
            figures: RefCell::default(),
        }
    }

    /// Counts one decision.
    pub(crate) fn decided(&self, reason: Reason) {
        let outcome = outcome(reason.is_allow());
        self.increment(table::DECISIONS, &self.decisions, reason, || {
            format!(";outcome={outcome};reason={reason}")
        });
    }

    /// Counts a refusal that was passed on.
    pub(crate) fn would_refuse(&self, reason: Reason) {
        self.increment(table::WOULD_REFUSE, &self.observed, reason, || format!(";reason={reason}"));
    }

    /// Counts what a shadow said.
    pub(crate) fn shadow(&self, name: &str, outcome: ShadowOutcome) {
        self.increment(table::SHADOW, &self.shadows, (name.to_owned(), outcome), || {
            format!(";shadow={};outcome={}", label(name), outcome.as_str())
        });
    }

    /// Counts one decision on a call that breaks the glass.
    pub(crate) fn broke_glass(&self, reason: Reason) {
        let outcome = outcome(reason.is_allow());
        self.increment(table::BREAK_GLASS, &self.broke_glass, reason.is_allow(), || {
            format!(";outcome={outcome}")
        });
    }

    /// Files how long a request may have waited for one piece of work.
    pub(crate) fn took(&self, work: Timed, micros: u64) {
        let labels = match work {
            Timed::Updates => ";work=updates",
            Timed::Streams => ";work=streams",
            Timed::Tick => ";work=tick",
            Timed::Fetched => ";work=fetched",
            Timed::Configure => ";work=configure",
            Timed::Start => ";work=start",
        };
        let define = || self.define(table::SLICE_US, labels);
        let id = *self.slices.borrow_mut().entry(work).or_insert_with(define);
        if let Some(id) = id {
            host::record_metric(id, micros);
        }
    }

    /// Publishes the figures of the engine.
    pub(crate) fn publish(&self, engine: &Engine, signatures: &Signatures) {
        self.figures.borrow_mut().publish(&self.instance, engine, signatures);
    }

    fn increment<K: Ord>(&self, metric: Metric, ids: &Ids<K>, key: K, labels: impl FnOnce() -> String) {
        let id = *ids.borrow_mut().entry(key).or_insert_with(|| self.define(metric, &labels()));
        if let Some(id) = id {
            host::increment_metric(id, 1);
        }
    }

    fn define(&self, metric: Metric, labels: &str) -> Option<u32> {
        define(metric, &self.instance, labels)
    }
}

const fn outcome(is_allow: bool) -> &'static str {
    if is_allow {
        "allow"
    } else {
        "deny"
    }
}

/// Names of a configuration go into labels; `;` would begin one of its own.
fn label(name: &str) -> String {
    name.replace([';', '='], "_")
}

/// The instance is the first label of every metric; each of the others begins with `;`.
fn define(metric: Metric, instance: &str, labels: &str) -> Option<u32> {
    host::define_metric(metric.kind, &format!("{};instance={instance}{labels}", metric.name)).ok()
}
