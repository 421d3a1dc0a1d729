//! What is counted. The host wants each name defined once per VM and keeps the numbers.

use std::cell::RefCell;
use std::collections::BTreeMap;

use everycall_core::{
    BundleState, BundleStats, FeedKind, FeedState, FeedStats, FileFault, KeyState, KeyStats, PdpStats,
    Reason, ShadowOutcome, Stats, StreamEnd, StreamStats, UnixTime,
};

use crate::host::{self, MetricKind};
use crate::verifier::Signatures;

/// Metrics of the engine, in the order in which `publish` lists them.
const FIGURES: [(MetricKind, &str); 7] = [
    (MetricKind::Gauge, "everycall.pending"),
    (MetricKind::Gauge, "everycall.awaiting_keys"),
    (MetricKind::Gauge, "everycall.tokens_cached"),
    (MetricKind::Counter, "everycall.clock_stepped"),
    (MetricKind::Counter, "everycall.records_dropped"),
    (MetricKind::Counter, "everycall.signatures;by=host"),
    (MetricKind::Counter, "everycall.signatures;by=rust"),
];
/// Metrics of the keys of one issuer: workers by the state of their keys, and fetches.
const KEY_FIGURES: [(MetricKind, &str); 6] = [
    (MetricKind::Gauge, "everycall.keys;state=missing"),
    (MetricKind::Gauge, "everycall.keys;state=fresh"),
    (MetricKind::Gauge, "everycall.keys;state=stale"),
    (MetricKind::Gauge, "everycall.keys;state=expired"),
    (MetricKind::Counter, "everycall.key_fetches;outcome=ok"),
    (MetricKind::Counter, "everycall.key_fetches;outcome=failed"),
];
/// Metrics of one decision point: workers whose breaker is open, and questions.
const PDP_FIGURES: [(MetricKind, &str); 4] = [
    (MetricKind::Gauge, "everycall.pdp_breakers_open"),
    (MetricKind::Counter, "everycall.pdp_questions;outcome=answered"),
    (MetricKind::Counter, "everycall.pdp_questions;outcome=failed"),
    (MetricKind::Counter, "everycall.pdp_questions;outcome=spared"),
];

/// Metrics of bundles that come from a server: workers by the state of theirs, and fetches.
const BUNDLE_FIGURES: [(MetricKind, &str); 6] = [
    (MetricKind::Gauge, "everycall.bundle;state=missing"),
    (MetricKind::Gauge, "everycall.bundle;state=serving"),
    (MetricKind::Gauge, "everycall.bundle;state=stale"),
    (MetricKind::Counter, "everycall.bundle_fetches;outcome=ok"),
    (MetricKind::Counter, "everycall.bundle_fetches;outcome=unchanged"),
    (MetricKind::Counter, "everycall.bundle_fetches;outcome=failed"),
];
/// Of the bundle that was put in force last, in whichever worker.
const BUNDLE_SEQUENCE: (MetricKind, &str) = (MetricKind::Gauge, "everycall.bundle_sequence");
const BUNDLE_ISSUED_AT: (MetricKind, &str) = (MetricKind::Gauge, "everycall.bundle_issued_at");

/// How long one slice of work between requests took: of reading bundles and feeds, of open streams.
const SLICE_US: [(MetricKind, &str); 2] = [
    (MetricKind::Histogram, "everycall.slice_us;work=updates"),
    (MetricKind::Histogram, "everycall.slice_us;work=streams"),
];

/// Metrics of one feed: workers by the state of theirs, and fetches.
const FEED_FIGURES: [(MetricKind, &str); 6] = [
    (MetricKind::Gauge, "everycall.feed;state=missing"),
    (MetricKind::Gauge, "everycall.feed;state=fresh"),
    (MetricKind::Gauge, "everycall.feed;state=stale"),
    (MetricKind::Counter, "everycall.feed_fetches;outcome=ok"),
    (MetricKind::Counter, "everycall.feed_fetches;outcome=unchanged"),
    (MetricKind::Counter, "everycall.feed_fetches;outcome=failed"),
];
/// Of the list that was put in force last, in whichever worker.
const FEED_LIST: [(MetricKind, &str); 3] = [
    (MetricKind::Gauge, "everycall.feed_sequence"),
    (MetricKind::Gauge, "everycall.feed_issued_at"),
    (MetricKind::Gauge, "everycall.feed_entries"),
];

/// Admitted requests that are open.
const STREAMS_OPEN: (MetricKind, &str) = (MetricKind::Gauge, "everycall.streams_open");

/// A metric of the host, and what was published of it.
#[derive(Debug)]
struct Figure {
    id: Option<u32>,
    published: i64,
}

impl Figure {
    fn define(kind: MetricKind, name: &str) -> Self {
        Self { id: host::define_metric(kind, name).ok(), published: 0 }
    }

    /// Publishes what changed: the host adds up over workers.
    fn publish(&mut self, value: i64) {
        if let Some(id) = self.id {
            host::increment_metric(id, value.saturating_sub(self.published));
        }
        self.published = value;
    }
}

/// The metrics of one instance in one VM.
#[derive(Debug)]
pub(crate) struct Metrics {
    instance: String,
    decisions: RefCell<BTreeMap<Reason, Option<u32>>>,
    /// By whether the call was let through.
    broke_glass: RefCell<BTreeMap<bool, Option<u32>>>,
    observed: RefCell<BTreeMap<Reason, Option<u32>>>,
    shadows: RefCell<BTreeMap<(String, ShadowOutcome), Option<u32>>>,
    figures: RefCell<Vec<Figure>>,
    keys: RefCell<BTreeMap<String, Vec<Figure>>>,
    pdps: RefCell<BTreeMap<String, Vec<Figure>>>,
    bundle: RefCell<Option<BundleFigures>>,
    feeds: RefCell<BTreeMap<FeedKind, FeedFigures>>,
    streams: RefCell<StreamFigures>,
    /// As in [`SLICE_US`]; present once there was one.
    slices: RefCell<[Option<u32>; 2]>,
}

/// Work that is done in slices, between requests.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Work {
    /// Bundles and feeds are read.
    Updates,
    /// Open streams are looked at.
    Streams,
}

/// What is published of one feed.
#[derive(Debug)]
struct FeedFigures {
    figures: Vec<Figure>,
    refused: BTreeMap<FileFault, Figure>,
    list: Vec<Option<u32>>,
    published: Option<[u64; 3]>,
}

/// What is published of open streams.
#[derive(Debug)]
struct StreamFigures {
    open: Figure,
    ended: BTreeMap<StreamEnd, Figure>,
    cut: BTreeMap<Reason, Figure>,
}

/// What is published of bundles.
#[derive(Debug)]
struct BundleFigures {
    figures: Vec<Figure>,
    refused: BTreeMap<FileFault, Figure>,
    sequence: Option<u32>,
    issued_at: Option<u32>,
    signed: Option<(u64, UnixTime)>,
}

impl Metrics {
    pub(crate) fn new(instance: &str) -> Self {
        let define = |(kind, name): &(MetricKind, &str)| Figure::define(*kind, &labelled(name, instance));
        Self {
            instance: instance.to_owned(),
            decisions: RefCell::default(),
            broke_glass: RefCell::default(),
            observed: RefCell::default(),
            shadows: RefCell::default(),
            figures: RefCell::new(FIGURES.iter().map(define).collect()),
            keys: RefCell::default(),
            pdps: RefCell::default(),
            bundle: RefCell::default(),
            feeds: RefCell::default(),
            streams: RefCell::new(StreamFigures {
                open: define(&STREAMS_OPEN),
                ended: BTreeMap::new(),
                cut: BTreeMap::new(),
            }),
            slices: RefCell::default(),
        }
    }

    /// Counts one decision.
    pub(crate) fn decided(&self, reason: Reason) {
        let mut decisions = self.decisions.borrow_mut();
        let id = decisions.entry(reason).or_insert_with(|| {
            let outcome = if reason.is_allow() { "allow" } else { "deny" };
            self.define(&format!("everycall.decisions;outcome={outcome};reason={reason}"))
        });
        increment(*id);
    }

    /// Counts a refusal that was passed on.
    pub(crate) fn would_refuse(&self, reason: Reason) {
        let mut observed = self.observed.borrow_mut();
        let id = observed
            .entry(reason)
            .or_insert_with(|| self.define(&format!("everycall.would_refuse;reason={reason}")));
        increment(*id);
    }

    /// Counts what a shadow said.
    pub(crate) fn shadow(&self, name: &str, outcome: ShadowOutcome) {
        let mut shadows = self.shadows.borrow_mut();
        let id = shadows.entry((name.to_owned(), outcome)).or_insert_with(|| {
            let (name, outcome) = (label(name), outcome.code());
            self.define(&format!("everycall.shadow;shadow={name};outcome={outcome}"))
        });
        increment(*id);
    }

    fn define(&self, name: &str) -> Option<u32> {
        host::define_metric(MetricKind::Counter, &labelled(name, &self.instance)).ok()
    }

    /// Counts one decision on a call that breaks the glass.
    pub(crate) fn broke_glass(&self, reason: Reason) {
        let mut broke_glass = self.broke_glass.borrow_mut();
        let id = broke_glass.entry(reason.is_allow()).or_insert_with_key(|is_allow| {
            let outcome = if *is_allow { "allow" } else { "deny" };
            let name = format!("everycall.break_glass;outcome={outcome}");
            host::define_metric(MetricKind::Counter, &labelled(&name, &self.instance)).ok()
        });
        if let Some(id) = *id {
            host::increment_metric(id, 1);
        }
    }

    /// Publishes the engine's figures.
    pub(crate) fn publish(&self, stats: Stats, keys: &[KeyStats], signatures: &Signatures) {
        let Stats { pending, awaiting_keys, tokens_cached, clock_stepped, records_dropped } = stats;
        let values = [
            count(pending),
            count(awaiting_keys),
            count(tokens_cached),
            total(clock_stepped),
            total(records_dropped),
            signatures.host.get(),
            signatures.rust.get(),
        ];
        for (figure, value) in self.figures.borrow_mut().iter_mut().zip(values) {
            figure.publish(value);
        }
        let mut published = self.keys.borrow_mut();
        // An issuer that is not configured any more is in no state; what was fetched stays counted.
        for (_, figures) in
            published.iter_mut().filter(|(issuer, _)| keys.iter().all(|now| now.issuer != **issuer))
        {
            figures.iter_mut().take(4).for_each(|figure| figure.publish(0));
        }
        for now in keys {
            if !published.contains_key(&now.issuer) {
                let issuer = label(&now.issuer);
                let define = |(kind, name): &(MetricKind, &str)| {
                    Figure::define(*kind, &labelled(&format!("{name};issuer={issuer}"), &self.instance))
                };
                published.insert(now.issuer.clone(), KEY_FIGURES.iter().map(define).collect());
            }
            let state = |state| i64::from(now.state == state);
            let values = [
                state(KeyState::Missing),
                state(KeyState::Fresh),
                state(KeyState::Stale),
                state(KeyState::Expired),
                total(now.fetched),
                total(now.failed),
            ];
            for (figure, value) in published.get_mut(&now.issuer).into_iter().flatten().zip(values) {
                figure.publish(value);
            }
        }
    }

    /// Publishes the figures of open streams.
    pub(crate) fn publish_streams(&self, stats: &StreamStats) {
        let mut streams = self.streams.borrow_mut();
        streams.open.publish(count(stats.open));
        for (end, times) in &stats.ended {
            let figure = streams.ended.entry(*end).or_insert_with(|| {
                let name = format!("everycall.streams_ended;reason={end}");
                Figure::define(MetricKind::Counter, &labelled(&name, &self.instance))
            });
            figure.publish(total(*times));
        }
        for (reason, times) in &stats.cut {
            let figure = streams.cut.entry(*reason).or_insert_with(|| {
                let name = format!("everycall.streams_cut;reason={reason}");
                Figure::define(MetricKind::Counter, &labelled(&name, &self.instance))
            });
            figure.publish(total(*times));
        }
    }

    /// Publishes the figures of the decision points.
    pub(crate) fn publish_pdps(&self, pdps: &[PdpStats]) {
        let mut published = self.pdps.borrow_mut();
        // One that is not configured any more has no breaker.
        for (_, figures) in published.iter_mut().filter(|(pdp, _)| pdps.iter().all(|now| now.pdp != **pdp)) {
            figures.iter_mut().take(1).for_each(|figure| figure.publish(0));
        }
        for PdpStats { pdp, breaker_open, answered, failed, spared } in pdps {
            if !published.contains_key(pdp) {
                let of = label(pdp);
                let define = |(kind, name): &(MetricKind, &str)| {
                    Figure::define(*kind, &labelled(&format!("{name};pdp={of}"), &self.instance))
                };
                published.insert(pdp.clone(), PDP_FIGURES.iter().map(define).collect());
            }
            let values = [i64::from(*breaker_open), total(*answered), total(*failed), total(*spared)];
            for (figure, value) in published.get_mut(pdp).into_iter().flatten().zip(values) {
                figure.publish(value);
            }
        }
    }
}

/// Names of a configuration go into labels; `;` would begin one of its own.
fn label(name: &str) -> String {
    name.replace([';', '='], "_")
}

impl Metrics {
    /// Publishes the figures of bundles that come from a server.
    pub(crate) fn publish_bundle(&self, stats: &BundleStats) {
        let mut bundle = self.bundle.borrow_mut();
        let bundle = bundle.get_or_insert_with(|| BundleFigures::define(&self.instance));
        let state = |state| i64::from(stats.state == state);
        let values = [
            state(BundleState::Missing),
            state(BundleState::Serving),
            state(BundleState::Stale),
            total(stats.fetches.fetched),
            total(stats.fetches.unchanged),
            total(stats.fetches.failed),
        ];
        for (figure, value) in bundle.figures.iter_mut().zip(values) {
            figure.publish(value);
        }
        for (fault, times) in &stats.fetches.refused {
            let figure = bundle.refused.entry(*fault).or_insert_with(|| {
                let name = format!("everycall.bundle_refused;reason={}", fault.code());
                Figure::define(MetricKind::Counter, &labelled(&name, &self.instance))
            });
            figure.publish(total(*times));
        }
        if let (Some((sequence, issued_at)), true) = (stats.signed, bundle.signed != stats.signed) {
            let set = |id: Option<u32>, value| id.into_iter().for_each(|id| host::record_metric(id, value));
            set(bundle.sequence, sequence);
            set(bundle.issued_at, u64::try_from(issued_at.secs()).unwrap_or_default());
            bundle.signed = stats.signed;
        }
    }

    /// Publishes the figures of feeds. One that is not configured any more is in no state.
    pub(crate) fn publish_feeds(&self, feeds: &[FeedStats]) {
        let mut published = self.feeds.borrow_mut();
        for (_, gone) in published.iter_mut().filter(|(feed, _)| feeds.iter().all(|now| now.feed != **feed)) {
            gone.figures.iter_mut().take(3).for_each(|figure| figure.publish(0));
        }
        for stats in feeds {
            let name = |name: &str| labelled(&format!("{name};feed={}", stats.feed), &self.instance);
            let feed = published.entry(stats.feed).or_insert_with(|| FeedFigures {
                figures: FEED_FIGURES.iter().map(|(kind, text)| Figure::define(*kind, &name(text))).collect(),
                refused: BTreeMap::new(),
                list: FEED_LIST
                    .iter()
                    .map(|(kind, text)| host::define_metric(*kind, &name(text)).ok())
                    .collect(),
                published: None,
            });
            let state = |state| i64::from(stats.state == state);
            let values = [
                state(FeedState::Missing),
                state(FeedState::Fresh),
                state(FeedState::Stale),
                total(stats.fetches.fetched),
                total(stats.fetches.unchanged),
                total(stats.fetches.failed),
            ];
            for (figure, value) in feed.figures.iter_mut().zip(values) {
                figure.publish(value);
            }
            for (fault, times) in &stats.fetches.refused {
                let figure = feed.refused.entry(*fault).or_insert_with(|| {
                    let text = format!("everycall.feed_refused;reason={}", fault.code());
                    Figure::define(MetricKind::Counter, &name(&text))
                });
                figure.publish(total(*times));
            }
            let Some((sequence, issued_at)) = stats.signed else { continue };
            let entries = u64::try_from(stats.entries).unwrap_or_default();
            let list = [sequence, u64::try_from(issued_at.secs()).unwrap_or_default(), entries];
            if feed.published.replace(list) != Some(list) {
                for (id, value) in feed.list.iter().zip(list) {
                    id.iter().for_each(|id| host::record_metric(*id, value));
                }
            }
        }
    }

    /// Files how long a request may have waited for one slice of work.
    pub(crate) fn slice_took(&self, work: Work, micros: u64) {
        let [updates, streams] = &mut *self.slices.borrow_mut();
        let (slot, (kind, name)) = match work {
            Work::Updates => (updates, SLICE_US[0]),
            Work::Streams => (streams, SLICE_US[1]),
        };
        if slot.is_none() {
            *slot = host::define_metric(kind, &labelled(name, &self.instance)).ok();
        }
        if let Some(id) = *slot {
            host::record_metric(id, micros);
        }
    }
}

impl BundleFigures {
    fn define(instance: &str) -> Self {
        let figure = |(kind, name): &(MetricKind, &str)| Figure::define(*kind, &labelled(name, instance));
        let metric =
            |(kind, name): (MetricKind, &str)| host::define_metric(kind, &labelled(name, instance)).ok();
        Self {
            figures: BUNDLE_FIGURES.iter().map(figure).collect(),
            refused: BTreeMap::new(),
            sequence: metric(BUNDLE_SEQUENCE),
            issued_at: metric(BUNDLE_ISSUED_AT),
            signed: None,
        }
    }
}

fn increment(id: Option<u32>) {
    if let Some(id) = id {
        host::increment_metric(id, 1);
    }
}

/// The instance is the first label of every metric.
fn labelled(name: &str, instance: &str) -> String {
    let (name, labels) =
        name.split_once(';').map_or((name, String::new()), |(name, labels)| (name, format!(";{labels}")));
    format!("{name};instance={instance}{labels}")
}

fn count(value: usize) -> i64 {
    i64::try_from(value).unwrap_or(i64::MAX)
}

fn total(value: u64) -> i64 {
    i64::try_from(value).unwrap_or(i64::MAX)
}
