//! What is counted. The host wants each name defined once per VM and keeps the numbers.
//!
//! Here is what is counted when it happens; the figures of the engine are in `figures`.

mod figures;

use std::cell::RefCell;
use std::collections::BTreeMap;

use everycall_core::{Engine, Reason, ShadowOutcome};

use crate::host::{self, MetricKind};
use crate::verifier::Signatures;
use figures::Figures;

/// The metrics of one instance in one VM.
#[derive(Debug)]
pub(crate) struct Metrics {
    instance: String,
    decisions: Metric<Reason>,
    /// By whether the call was let through.
    broke_glass: Metric<bool>,
    observed: Metric<Reason>,
    shadows: Metric<(String, ShadowOutcome)>,
    slices: Metric<Timed>,
    figures: RefCell<Figures>,
}

/// The host's ids of a metric, by what its labels tell; none where the host offers no metrics.
type Metric<K> = RefCell<BTreeMap<K, Option<u32>>>;

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
        self.increment(&self.decisions, reason, || {
            format!("everycall.decisions;outcome={outcome};reason={reason}")
        });
    }

    /// Counts a refusal that was passed on.
    pub(crate) fn would_refuse(&self, reason: Reason) {
        self.increment(&self.observed, reason, || format!("everycall.would_refuse;reason={reason}"));
    }

    /// Counts what a shadow said.
    pub(crate) fn shadow(&self, name: &str, outcome: ShadowOutcome) {
        self.increment(&self.shadows, (name.to_owned(), outcome), || {
            format!("everycall.shadow;shadow={};outcome={}", label(name), outcome.code())
        });
    }

    /// Counts one decision on a call that breaks the glass.
    pub(crate) fn broke_glass(&self, reason: Reason) {
        let outcome = outcome(reason.is_allow());
        self.increment(&self.broke_glass, reason.is_allow(), || {
            format!("everycall.break_glass;outcome={outcome}")
        });
    }

    /// Files how long a request may have waited for one piece of work.
    pub(crate) fn took(&self, work: Timed, micros: u64) {
        let (kind, name) = match work {
            Timed::Updates => (MetricKind::Histogram, "everycall.slice_us;work=updates"),
            Timed::Streams => (MetricKind::Histogram, "everycall.slice_us;work=streams"),
            Timed::Tick => (MetricKind::Histogram, "everycall.slice_us;work=tick"),
            Timed::Fetched => (MetricKind::Histogram, "everycall.slice_us;work=fetched"),
            Timed::Configure => (MetricKind::Histogram, "everycall.slice_us;work=configure"),
            Timed::Start => (MetricKind::Histogram, "everycall.slice_us;work=start"),
        };
        let id = *self.slices.borrow_mut().entry(work).or_insert_with(|| self.define(kind, name));
        if let Some(id) = id {
            host::record_metric(id, micros);
        }
    }

    /// Publishes the figures of the engine.
    pub(crate) fn publish(&self, engine: &Engine, signatures: &Signatures) {
        self.figures.borrow_mut().publish(&self.instance, engine, signatures);
    }

    fn increment<K: Ord>(&self, metric: &Metric<K>, key: K, name: impl FnOnce() -> String) {
        let id = *metric.borrow_mut().entry(key).or_insert_with(|| self.define(MetricKind::Counter, &name()));
        if let Some(id) = id {
            host::increment_metric(id, 1);
        }
    }

    fn define(&self, kind: MetricKind, name: &str) -> Option<u32> {
        host::define_metric(kind, &labelled(name, &self.instance)).ok()
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

/// The instance is the first label of every metric.
fn labelled(name: &str, instance: &str) -> String {
    let (name, labels) =
        name.split_once(';').map_or((name, String::new()), |(name, labels)| (name, format!(";{labels}")));
    format!("{name};instance={instance}{labels}")
}
