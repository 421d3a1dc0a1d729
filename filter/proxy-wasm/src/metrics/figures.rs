//! The figures of the engine: the host is told now and then what has changed of them.

use std::collections::BTreeMap;

use everycall_core::engine::{PdpStats, Stats, StreamStats};
use everycall_core::sync::{FetchStats, FollowerStats, Freshness};
use everycall_core::{Engine, UnixTime};

use super::table::{self, Metric};
use super::{define, label};
use crate::host;
use crate::verifier::Signatures;

/// Of the engine itself.
const ENGINE: Names<8> = [
    (table::PENDING, ""),
    (table::AWAITING_KEYS, ""),
    (table::TOKENS_CACHED, ""),
    (table::STREAMS_OPEN, ""),
    (table::CLOCK_STEPPED, ""),
    (table::RECORDS_DROPPED, ""),
    (table::SIGNATURES, ";by=host"),
    (table::SIGNATURES, ";by=rust"),
];
/// Of the keys of one issuer: workers by the state of their keys, and fetches.
const KEYS: Names<6> = [
    (table::KEYS, ";state=missing"),
    (table::KEYS, ";state=fresh"),
    (table::KEYS, ";state=stale"),
    (table::KEYS, ";state=expired"),
    (table::KEY_FETCHES, ";outcome=ok"),
    (table::KEY_FETCHES, ";outcome=failed"),
];
/// Of one decision point: workers whose breaker is open, and questions.
const PDP: Names<4> = [
    (table::PDP_BREAKERS_OPEN, ""),
    (table::PDP_QUESTIONS, ";outcome=answered"),
    (table::PDP_QUESTIONS, ";outcome=failed"),
    (table::PDP_QUESTIONS, ";outcome=short_circuited"),
];
/// Of bundles that come from a server.
const BUNDLES: PulledNames = PulledNames {
    states_and_fetches: [
        (table::BUNDLE, ";state=missing"),
        (table::BUNDLE, ";state=serving"),
        (table::BUNDLE, ";state=stale"),
        (table::BUNDLE_FETCHES, ";outcome=ok"),
        (table::BUNDLE_FETCHES, ";outcome=unchanged"),
        (table::BUNDLE_FETCHES, ";outcome=failed"),
    ],
    refused: table::BUNDLE_REFUSED,
    latest: &[table::BUNDLE_SEQUENCE, table::BUNDLE_ISSUED_AT],
};
/// Of feeds that come from servers.
const FEEDS: PulledNames = PulledNames {
    states_and_fetches: [
        (table::FEED, ";state=missing"),
        (table::FEED, ";state=fresh"),
        (table::FEED, ";state=stale"),
        (table::FEED_FETCHES, ";outcome=ok"),
        (table::FEED_FETCHES, ";outcome=unchanged"),
        (table::FEED_FETCHES, ";outcome=failed"),
    ],
    refused: table::FEED_REFUSED,
    latest: &[table::FEED_SEQUENCE, table::FEED_ISSUED_AT, table::FEED_ENTRIES],
};

/// Metrics, each with the labels that tell it from its like.
type Names<const N: usize> = [(Metric, &'static str); N];

/// The metrics of what is pulled.
#[derive(Debug)]
struct PulledNames {
    /// Workers by the state of theirs, and fetches.
    states_and_fetches: Names<6>,
    /// What was not taken.
    refused: Metric,
    /// Number, time and size of what was put in force last, in whichever worker.
    latest: &'static [Metric],
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
        let bundles: Vec<_> =
            stats.bundle.into_iter().map(|bundle| State::of(String::new(), bundle)).collect();
        self.bundles.publish(instance, &bundles);
        let feeds: Vec<_> =
            stats.feeds.into_iter().map(|feed| State::of(format!(";feed={}", feed.name), feed)).collect();
        self.feeds.publish(instance, &feeds);
        for (end, times) in ended {
            self.streams.publish(instance, table::STREAMS_ENDED, format!(";reason={end}"), times);
        }
        for (reason, times) in cut {
            self.streams.publish(instance, table::STREAMS_CUT, format!(";reason={reason}"), times);
        }
    }
}

fn of_keys(FollowerStats { name, freshness, fetches, .. }: &FollowerStats) -> (String, [i64; 6]) {
    let is = |other| i64::from(*freshness == other);
    let [missing, fresh] = [is(Freshness::Missing), is(Freshness::Fresh)];
    let [stale, expired] = [is(Freshness::Stale), is(Freshness::Expired)];
    let values = [missing, fresh, stale, expired, total(fetches.fetched), total(fetches.failed)];
    (format!(";issuer={}", label(name)), values)
}

fn of_pdp(
    PdpStats { pdp, breaker_open, answered, failed, short_circuited }: &PdpStats,
) -> (String, [i64; 4]) {
    let values = [i64::from(*breaker_open), total(*answered), total(*failed), total(*short_circuited)];
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
    fn of(labels: String, FollowerStats { freshness, signed, entries, fetches, .. }: FollowerStats) -> Self {
        let states = [Freshness::Missing, Freshness::Fresh, Freshness::Stale];
        let entries = u64::try_from(entries).unwrap_or_default();
        let latest = signed.map(|(sequence, issued_at)| [sequence, secs(issued_at), entries]);
        Self { labels, states: states.map(|other| freshness == other), fetches, latest }
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
                let labels = format!(";reason={}{labels}", fault.as_str());
                self.refused.publish(instance, self.names.refused, labels, *times);
            }
            let Some(values) = *latest else { continue };
            let names = self.names.latest.iter();
            let latest = self.latest.entry(labels.clone()).or_insert_with(|| {
                let ids = names.map(|metric| define(*metric, instance, labels)).collect();
                Latest { ids, values: None }
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
    names: &[(Metric, &str)],
    published: &mut Published,
    instance: &str,
    now: &[(&str, &[i64])],
) {
    for (labels, figures) in &mut *published {
        if now.iter().all(|(present, _)| present != labels) {
            let gauges = names.iter().zip(figures).filter(|((metric, _), _)| metric.kind.is_gauge());
            gauges.for_each(|(_, figure)| figure.publish(0));
        }
    }
    for (labels, values) in now {
        let figures = published.entry((*labels).to_owned()).or_insert_with(|| {
            let define =
                |(metric, own): &(Metric, &str)| Figure::define(*metric, instance, &format!("{own}{labels}"));
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
    fn define(metric: Metric, instance: &str, labels: &str) -> Self {
        Self { id: define(metric, instance, labels), published: 0 }
    }

    /// Publishes what changed: the host adds up over workers.
    fn publish(&mut self, value: i64) {
        if let Some(id) = self.id {
            host::increment_metric(id, value.saturating_sub(self.published));
        }
        self.published = value;
    }
}

/// How often things happened that are named once they did, by the metric that counts them and its labels.
#[derive(Debug, Default)]
struct Tallies(BTreeMap<(&'static str, String), Figure>);

impl Tallies {
    fn publish(&mut self, instance: &str, metric: Metric, labels: String, times: u64) {
        let define = |(_, labels): &(&str, String)| Figure::define(metric, instance, labels);
        self.0.entry((metric.name, labels)).or_insert_with_key(define).publish(total(times));
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
