//! The figures of the engine: the host is told now and then what has changed of them.

use std::collections::BTreeMap;

use everycall_core::{
    BundleState, BundleStats, Engine, FeedState, FeedStats, FetchStats, KeyState, KeyStats, PdpStats, Stats,
    StreamStats, UnixTime,
};

use super::{label, labelled};
use crate::host::{self, MetricKind};
use crate::verifier::Signatures;

/// Of the engine itself.
const ENGINE: Names<8> = [
    (MetricKind::Gauge, "everycall.pending"),
    (MetricKind::Gauge, "everycall.awaiting_keys"),
    (MetricKind::Gauge, "everycall.tokens_cached"),
    (MetricKind::Gauge, "everycall.streams_open"),
    (MetricKind::Counter, "everycall.clock_stepped"),
    (MetricKind::Counter, "everycall.records_dropped"),
    (MetricKind::Counter, "everycall.signatures;by=host"),
    (MetricKind::Counter, "everycall.signatures;by=rust"),
];
/// Of the keys of one issuer: workers by the state of their keys, and fetches.
const KEYS: Names<6> = [
    (MetricKind::Gauge, "everycall.keys;state=missing"),
    (MetricKind::Gauge, "everycall.keys;state=fresh"),
    (MetricKind::Gauge, "everycall.keys;state=stale"),
    (MetricKind::Gauge, "everycall.keys;state=expired"),
    (MetricKind::Counter, "everycall.key_fetches;outcome=ok"),
    (MetricKind::Counter, "everycall.key_fetches;outcome=failed"),
];
/// Of one decision point: workers whose breaker is open, and questions.
const PDP: Names<4> = [
    (MetricKind::Gauge, "everycall.pdp_breakers_open"),
    (MetricKind::Counter, "everycall.pdp_questions;outcome=answered"),
    (MetricKind::Counter, "everycall.pdp_questions;outcome=failed"),
    (MetricKind::Counter, "everycall.pdp_questions;outcome=spared"),
];
/// Of bundles that come from a server.
const BUNDLES: PulledNames = PulledNames {
    states_and_fetches: [
        (MetricKind::Gauge, "everycall.bundle;state=missing"),
        (MetricKind::Gauge, "everycall.bundle;state=serving"),
        (MetricKind::Gauge, "everycall.bundle;state=stale"),
        (MetricKind::Counter, "everycall.bundle_fetches;outcome=ok"),
        (MetricKind::Counter, "everycall.bundle_fetches;outcome=unchanged"),
        (MetricKind::Counter, "everycall.bundle_fetches;outcome=failed"),
    ],
    refused: "everycall.bundle_refused;reason",
    latest: &[
        (MetricKind::Gauge, "everycall.bundle_sequence"),
        (MetricKind::Gauge, "everycall.bundle_issued_at"),
    ],
};
/// Of feeds that come from servers.
const FEEDS: PulledNames = PulledNames {
    states_and_fetches: [
        (MetricKind::Gauge, "everycall.feed;state=missing"),
        (MetricKind::Gauge, "everycall.feed;state=fresh"),
        (MetricKind::Gauge, "everycall.feed;state=stale"),
        (MetricKind::Counter, "everycall.feed_fetches;outcome=ok"),
        (MetricKind::Counter, "everycall.feed_fetches;outcome=unchanged"),
        (MetricKind::Counter, "everycall.feed_fetches;outcome=failed"),
    ],
    refused: "everycall.feed_refused;reason",
    latest: &[
        (MetricKind::Gauge, "everycall.feed_sequence"),
        (MetricKind::Gauge, "everycall.feed_issued_at"),
        (MetricKind::Gauge, "everycall.feed_entries"),
    ],
};

type Names<const N: usize> = [(MetricKind, &'static str); N];

/// The metrics of what is pulled.
#[derive(Debug)]
struct PulledNames {
    /// Workers by the state of theirs, and fetches.
    states_and_fetches: Names<6>,
    /// What was not taken.
    refused: &'static str,
    /// Number, time and size of what was put in force last, in whichever worker.
    latest: &'static [(MetricKind, &'static str)],
}

/// What was published of the engine of one instance.
#[derive(Debug)]
pub(super) struct Figures {
    engine: Family<8>,
    keys: Family<6>,
    pdps: Family<4>,
    bundles: Pulled,
    feeds: Pulled,
    streams: Tallies,
}

impl Default for Figures {
    fn default() -> Self {
        Self {
            engine: Family::new(&ENGINE),
            keys: Family::new(&KEYS),
            pdps: Family::new(&PDP),
            bundles: Pulled::new(&BUNDLES),
            feeds: Pulled::new(&FEEDS),
            streams: Tallies::default(),
        }
    }
}

impl Figures {
    pub(super) fn publish(&mut self, instance: &str, engine: &Engine, signatures: &Signatures) {
        let stats = engine.stats();
        let Stats { pending, awaiting_keys, tokens_cached, clock_stepped, records_dropped, .. } = stats;
        let StreamStats { open, ended, cut } = stats.streams;
        let of_engine = [
            count(pending),
            count(awaiting_keys),
            count(tokens_cached),
            count(open),
            total(clock_stepped),
            total(records_dropped),
            signatures.host.get(),
            signatures.rust.get(),
        ];
        self.engine.publish(instance, &[(String::new(), of_engine)]);
        let keys: Vec<_> = stats.keys.iter().map(of_keys).collect();
        self.keys.publish(instance, &keys);
        let pdps: Vec<_> = stats.pdps.iter().map(of_pdp).collect();
        self.pdps.publish(instance, &pdps);
        let bundles: Vec<_> = stats.bundle.into_iter().map(State::of_bundle).collect();
        self.bundles.publish(instance, &bundles);
        let feeds: Vec<_> = stats.feeds.into_iter().map(State::of_feed).collect();
        self.feeds.publish(instance, &feeds);
        for (end, times) in ended {
            self.streams.publish(instance, format!("everycall.streams_ended;reason={end}"), times);
        }
        for (reason, times) in cut {
            self.streams.publish(instance, format!("everycall.streams_cut;reason={reason}"), times);
        }
    }
}

fn of_keys(KeyStats { issuer, state, fetched, failed }: &KeyStats) -> (String, [i64; 6]) {
    let is = |other| i64::from(*state == other);
    let [missing, fresh] = [is(KeyState::Missing), is(KeyState::Fresh)];
    let [stale, expired] = [is(KeyState::Stale), is(KeyState::Expired)];
    (format!(";issuer={}", label(issuer)), [missing, fresh, stale, expired, total(*fetched), total(*failed)])
}

fn of_pdp(PdpStats { pdp, breaker_open, answered, failed, spared }: &PdpStats) -> (String, [i64; 4]) {
    let values = [i64::from(*breaker_open), total(*answered), total(*failed), total(*spared)];
    (format!(";pdp={}", label(pdp)), values)
}

/// How something stands that is pulled.
struct State {
    /// What tells it apart, as a label.
    labels: String,
    /// There is none, it is good, it is too old.
    states: [bool; 3],
    fetches: FetchStats,
    latest: Option<[u64; 3]>,
}

impl State {
    fn of_bundle(BundleStats { state, signed, fetches }: BundleStats) -> Self {
        let states = [BundleState::Missing, BundleState::Serving, BundleState::Stale];
        let latest = signed.map(|(sequence, issued_at)| [sequence, secs(issued_at), 0]);
        Self { labels: String::new(), states: states.map(|other| state == other), fetches, latest }
    }

    fn of_feed(FeedStats { feed, state, signed, entries, fetches }: FeedStats) -> Self {
        let states = [FeedState::Missing, FeedState::Fresh, FeedState::Stale];
        let entries = u64::try_from(entries).unwrap_or_default();
        let latest = signed.map(|(sequence, issued_at)| [sequence, secs(issued_at), entries]);
        Self { labels: format!(";feed={feed}"), states: states.map(|other| state == other), fetches, latest }
    }
}

/// What was published of bundles, or of feeds.
#[derive(Debug)]
struct Pulled {
    names: &'static PulledNames,
    states_and_fetches: Family<6>,
    refused: Tallies,
    latest: BTreeMap<String, Latest>,
}

/// The gauges of what is in force, and what they were set to: they belong to no worker.
#[derive(Debug)]
struct Latest {
    ids: Vec<Option<u32>>,
    values: Option<[u64; 3]>,
}

impl Pulled {
    fn new(names: &'static PulledNames) -> Self {
        Self {
            names,
            states_and_fetches: Family::new(&names.states_and_fetches),
            refused: Tallies::default(),
            latest: BTreeMap::new(),
        }
    }

    fn publish(&mut self, instance: &str, now: &[State]) {
        let values = |State { labels, states, fetches, .. }: &State| {
            let [missing, good, stale] = states.map(i64::from);
            let FetchStats { fetched, unchanged, failed, .. } = fetches;
            (labels.clone(), [missing, good, stale, total(*fetched), total(*unchanged), total(*failed)])
        };
        self.states_and_fetches.publish(instance, &now.iter().map(values).collect::<Vec<_>>());
        for State { labels, fetches, latest, .. } in now {
            for (fault, times) in &fetches.refused {
                let name = format!("{}={}{labels}", self.names.refused, fault.code());
                self.refused.publish(instance, name, *times);
            }
            let Some(values) = *latest else { continue };
            let names = self.names.latest.iter();
            let latest = self.latest.entry(labels.clone()).or_insert_with(|| {
                let define = |(kind, name): &(MetricKind, &str)| {
                    host::define_metric(*kind, &labelled(&format!("{name}{labels}"), instance)).ok()
                };
                Latest { ids: names.map(define).collect(), values: None }
            });
            if latest.values.replace(values) != Some(values) {
                for (id, value) in latest.ids.iter().zip(values) {
                    id.iter().for_each(|id| host::record_metric(*id, value));
                }
            }
        }
    }
}

/// The same figures of several, such as issuers, by the labels that tell them apart.
#[derive(Debug)]
struct Family<const N: usize> {
    names: &'static Names<N>,
    published: Published,
}

/// By their labels, as many as the family has names.
type Published = BTreeMap<String, Vec<Figure>>;

impl<const N: usize> Family<N> {
    const fn new(names: &'static Names<N>) -> Self {
        Self { names, published: BTreeMap::new() }
    }

    fn publish(&mut self, instance: &str, now: &[(String, [i64; N])]) {
        let now: Vec<_> = now.iter().map(|(labels, values)| (labels.as_str(), values.as_slice())).collect();
        publish_family(self.names, &mut self.published, instance, &now);
    }
}

/// What is not among these any more is in no state; what it counted stays counted.
fn publish_family(
    names: &[(MetricKind, &str)],
    published: &mut Published,
    instance: &str,
    now: &[(&str, &[i64])],
) {
    for (labels, figures) in &mut *published {
        if now.iter().all(|(present, _)| present != labels) {
            let gauges = names.iter().zip(figures).filter(|((kind, _), _)| kind.is_gauge());
            gauges.for_each(|(_, figure)| figure.publish(0));
        }
    }
    for (labels, values) in now {
        let figures = published.entry((*labels).to_owned()).or_insert_with(|| {
            let define = |(kind, name): &(MetricKind, &str)| {
                Figure::define(*kind, &labelled(&format!("{name}{labels}"), instance))
            };
            names.iter().map(define).collect()
        });
        figures.iter_mut().zip(*values).for_each(|(figure, value)| figure.publish(*value));
    }
}

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

/// How often things happened that are named once they did, by the metric that counts them.
#[derive(Debug, Default)]
struct Tallies(BTreeMap<String, Figure>);

impl Tallies {
    fn publish(&mut self, instance: &str, name: String, times: u64) {
        let define = |name: &String| Figure::define(MetricKind::Counter, &labelled(name, instance));
        self.0.entry(name).or_insert_with_key(define).publish(total(times));
    }
}

fn secs(time: UnixTime) -> u64 {
    u64::try_from(time.secs()).unwrap_or_default()
}

fn count(value: usize) -> i64 {
    i64::try_from(value).unwrap_or(i64::MAX)
}

fn total(value: u64) -> i64 {
    i64::try_from(value).unwrap_or(i64::MAX)
}
