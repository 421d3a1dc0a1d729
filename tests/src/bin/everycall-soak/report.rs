//! What has to hold, as figures with their bounds.

use std::io::IsTerminal as _;

use serde_json::{json, Value};

use crate::clients::{Answered, Kind};
use crate::hostile::Streams;
use crate::memory::{mib, Memory};
use crate::proxy::Metrics;
use crate::records::Records;

/// What was sent, and what clients saw.
#[derive(Default)]
pub struct Load {
    /// What the steady clients were answered.
    pub answered: Answered,
    /// Requests of theirs without an answer.
    pub lost: u64,
    pub flooded: u64,
    /// Of floods: requests whose header was read.
    pub read: u64,
    pub slow: u64,
    pub left: u64,
    pub keys: u64,
    pub bundles: u64,
    pub streams: Streams,
}

/// One row of the table.
pub struct Figure {
    what: String,
    value: f64,
    of: Option<f64>,
    bound: Bound,
}

enum Bound {
    None,
    Most(f64),
    Least(f64),
}

impl Figure {
    /// Something that must not be.
    pub fn never(what: &str, count: u64, of: u64) -> Self {
        Self { bound: Bound::Most(0.0), ..Self::shown(what, count, Some(of)) }
    }

    /// Without what the run would show nothing.
    fn some(what: &str, count: u64) -> Self {
        Self { bound: Bound::Least(1.0), ..Self::shown(what, count, None) }
    }

    fn shown(what: &str, count: u64, of: Option<u64>) -> Self {
        Self { what: what.to_owned(), value: count_of(count), of: of.map(count_of), bound: Bound::None }
    }

    /// What is wrong, if it is worse than it may be.
    pub fn broken(&self) -> Option<String> {
        match self.bound {
            Bound::Most(most) if self.value > most => {
                Some(format!("{}: {} is more than {most}", self.what, self.value))
            }
            Bound::Least(least) if self.value < least => {
                Some(format!("{}: {} is less than {least}", self.what, self.value))
            }
            _ => None,
        }
    }
}

/// The share of all decisions that replay lets stand, as they rest on the token, its key or a list. A quarter of the
/// steady clients' requests have no credential or a bad one; the rest of this bound is for chance. More would be good
/// requests that were refused so.
const STANDING: f64 = 0.25;
/// The share of requests that may be refused with 503, as a worker has no keys for a moment or is busy.
const BUSY: f64 = 0.01;

#[allow(clippy::cast_precision_loss)] // hundreds of thousands
const fn count_of(count: u64) -> f64 {
    count as f64
}

pub fn figures(
    memory: &Memory,
    load: &Load,
    records: &Records,
    metrics: &Metrics,
    traps: &[String],
) -> Vec<Figure> {
    let decisions = metrics.sum("decisions", &[]);
    let dropped = metrics.sum("records_dropped", &[]);
    let count = |name: &str, labels: &[(&str, &str)]| metrics.sum(name, labels);
    let standing = records.standing.values().sum::<u64>();
    // What clients saw and records tell, of requests that differ in nothing else.
    let told: u64 =
        records.statuses.iter().filter(|((kind, _), _)| kind.is_steady()).map(|(_, count)| count).sum();
    let mismatched = mismatched(&load.answered, &records.statuses);
    let mut figures = vec![
        Figure {
            what: "MiB more resident in the last quarter than in the second".into(),
            value: (mib(memory.grown()) * 10.0).round() / 10.0,
            of: None,
            bound: memory.bound().map_or(Bound::None, |most| Bound::Most(mib(most))),
        },
        Figure::never("signs of a trap", traps.len() as u64, 0),
        Figure::shown("decisions", decisions, None),
        Figure::never(
            "decisions neither recorded nor dropped",
            decisions.abs_diff(records.written + dropped),
            decisions,
        ),
        Figure::never("records dropped", dropped, decisions),
        Figure::never("records of a decision that has one already", records.twice, records.written),
        Figure::shown(
            "records decided again, all but the duration the same",
            records.again,
            Some(records.written),
        ),
        Figure::never("records that come out differently", records.different, records.written),
        Figure {
            bound: Bound::Most(STANDING * count_of(records.written)),
            ..Figure::shown(
                "refusals that rest on what no record holds, and stand",
                standing,
                Some(records.written),
            )
        },
        // What was sent is what those are held against.
        Figure::never(
            "records that say what can't become of their request",
            records.unexpected,
            records.written,
        ),
        Figure::never("records of no bundle that was published", records.unknown, records.written),
        Figure::never(
            "records with cut values, other than those of headers that are read and too long",
            records.cut_of(|kind| kind != Kind::Read)
                + records.cut_of(|kind| kind == Kind::Read).abs_diff(load.read),
            records.cut_of(|_| true),
        ),
        Figure {
            bound: Bound::Most(BUSY * count_of(records.written)),
            ..Figure::shown(
                "requests refused because a worker was busy or without keys",
                records.busy,
                Some(records.written),
            )
        },
        Figure::never(
            "answers that no record tells of, or the other way round",
            mismatched.saturating_sub(load.lost),
            told,
        ),
        Figure::never("requests of the steady clients without an answer", load.lost, told),
        Figure::never("outcomes that never came up", records.never_came_up().len() as u64, 0),
        Figure::never("streams of ended tasks missed", load.streams.missed, load.streams.to_be_cut),
        Figure::never("streams of other tasks cut", load.streams.cut_wrongly, load.streams.to_stay),
        Figure::some("streams that their client left", load.streams.left),
        Figure::shown("requests without a decision: the client was gone", records.undecided, None),
        Figure::some("requests of floods", load.flooded),
        Figure::some("requests that came byte by byte", load.slow),
        Figure::some("clients that left", load.left),
        Figure::some("keys that signed", load.keys.saturating_sub(1)),
        Figure::shown("bundles published", load.bundles, None),
        Figure::never(
            "the last bundle published is not in force",
            load.bundles.abs_diff(bundle_in_force(metrics)),
            0,
        ),
        Figure::some("fetches of keys that failed", count("key_fetches", &[("outcome", "failed")])),
        Figure::some("bundles refused", count("bundle_refused", &[])),
        Figure::some("lists of revocations refused", count("feed_refused", &[])),
        Figure::some("streams cut, as the filter counts", count("streams_cut", &[("reason", "revoked")])),
        Figure::some("questions answered", count("pdp_questions", &[("outcome", "answered")])),
        Figure::some("questions failed", count("pdp_questions", &[("outcome", "failed")])),
        Figure::some(
            "questions short-circuited by a breaker",
            count("pdp_questions", &[("outcome", "short_circuited")]),
        ),
    ];
    for gauge in ["pending", "awaiting_keys", "streams_open"] {
        figures.push(Figure::never(&format!("`everycall.{gauge}` at the end"), count(gauge, &[]), 0));
    }
    figures
}

/// The sequence that all instances have at the end; a gauge is shown once for each.
pub fn bundle_in_force(metrics: &Metrics) -> u64 {
    let of = |instance| metrics.sum("bundle_sequence", &[("instance", instance)]);
    of("soak-access").min(of("soak-proxy"))
}

/// How many answers and records of steady clients have no counterpart.
fn mismatched(answered: &Answered, recorded: &Answered) -> u64 {
    let keys: std::collections::BTreeSet<_> =
        answered.keys().chain(recorded.keys()).filter(|(kind, _)| kind.is_steady()).collect();
    let count = |of: &Answered, key| of.get(key).copied().unwrap_or_default();
    keys.into_iter().map(|key| count(answered, key).abs_diff(count(recorded, key))).sum()
}

pub fn print(figures: &[Figure]) {
    let width = figures.iter().map(|figure| figure.what.chars().count()).max().unwrap_or_default();
    let colour = std::io::stdout().is_terminal();
    println!("{:width$} {:>9} {:>9}     bound", "", "", "of");
    for figure in figures {
        let mark = match (figure.broken().is_some(), colour) {
            (true, true) => "  \x1b[31mbroken\x1b[0m",
            (true, false) => "  broken",
            (false, _) => "",
        };
        let of = figure.of.map_or(String::new(), |of| of.to_string());
        let bound = match figure.bound {
            Bound::None => String::new(),
            Bound::Most(most) => format!("<= {}", most.floor()),
            Bound::Least(least) => format!(">= {least}"),
        };
        println!("{:width$} {:>9} {of:>9} {bound:>9}{mark}", figure.what, figure.value);
    }
}

pub fn json(figures: &[Figure]) -> Value {
    let row = |figure: &Figure| {
        let (most, least) = match figure.bound {
            Bound::None => (None, None),
            Bound::Most(most) => (Some(most), None),
            Bound::Least(least) => (None, Some(least)),
        };
        json!({"what": figure.what, "value": figure.value, "of": figure.of, "most": most, "least": least,
            "broken": figure.broken().is_some()})
    };
    figures.iter().map(row).collect()
}
