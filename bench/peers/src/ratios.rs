//! What the runs say together: each figure once, under its key, with the target that it has to reach.
//! Ratios and differences are taken in each round; their median counts, so that what the machine does
//! besides falls on both sides.

use std::collections::BTreeMap;

use crate::run::Run;
use crate::statistics::Spread;

/// The runs of each scenario, a run for each round.
pub type Runs = BTreeMap<&'static str, Vec<Run>>;
/// Figures by key.
pub type Figures = BTreeMap<String, Spread>;

/// What a figure has to be.
pub struct Target {
    pub key: &'static str,
    pub what: &'static str,
    pub bound: Bound,
}

#[derive(Debug, Clone, Copy)]
pub enum Bound {
    AtLeast(f64),
    AtMost(f64),
}

impl Bound {
    pub fn is_met(self, value: f64) -> bool {
        match self {
            Bound::AtLeast(bound) => value >= bound,
            Bound::AtMost(bound) => value <= bound,
        }
    }
}

const fn target(key: &'static str, what: &'static str, bound: Bound) -> Target {
    Target { key, what, bound }
}

pub const TARGETS: [Target; 12] = [
    target("e_over_c_rs256", "(e) / (c) jwt_authn and RBAC, RS256", Bound::AtLeast(1.5)),
    target("e_over_c_cached_rs256", "(e) / (c) with its cache, RS256", Bound::AtLeast(0.9)),
    target("e_over_d", "(e) / (d) ext_authz, always yes", Bound::AtLeast(1.8)),
    target("f_over_c_es256", "(f) / (c) jwt_authn and RBAC, ES256", Bound::AtLeast(0.9)),
    target("p50_added_us", "latency of (e) over (b), p50, us", Bound::AtMost(15.0)),
    target("p99_added_us", "the same, p99, us", Bound::AtMost(100.0)),
    target("module_bytes", "the module, bytes", Bound::AtMost(2_000_000.0)),
    target("worker_mib", "memory of a worker over (b), MiB", Bound::AtMost(24.0)),
    target("start_ms", "start to ready over (b), ms", Bound::AtMost(300.0)),
    target("grants_100k_over_100", "cost with 100,000 grants / with 100", Bound::AtMost(1.2)),
    target("rules_1000_over_10", "cost with 1,000 rules / with 10", Bound::AtMost(1.2)),
    target("unrecorded", "records dropped, a request", Bound::AtMost(0.0)),
];

/// Throughputs that are compared: the key, and between which scenarios. Each has a second one, by the
/// worker's processor time, with `_cpu` at its end: it says the same and depends less on what else runs.
const THROUGHPUTS: [(&str, &str, &str); 11] = [
    ("e_over_a", "e_rs256", "a"),
    ("e_over_b", "e_rs256", "b"),
    ("e_over_c_rs256", "e_rs256", "c_rs256"),
    ("e_over_c_es256", "e_es256", "c_es256"),
    ("e_over_c_cached_rs256", "e_rs256", "c_cached_rs256"),
    ("e_over_c_cached_es256", "e_es256", "c_cached_es256"),
    ("e_over_d", "e_rs256", "d"),
    ("f_over_c_rs256", "f_rs256", "c_rs256"),
    ("f_over_c_es256", "f_es256", "c_es256"),
    ("g_over_d", "g", "d"),
    ("h_over_c_large", "h", "c_large"),
];
/// Latencies that are compared with those of `b`. With `all_` in front: also those of requests during
/// which something else had the processor.
const LATENCIES: [(&str, usize); 3] = [("p50_added_us", 0), ("p99_added_us", 1), ("p999_added_us", 2)];
/// What is costs more than `b`, compared: the worker's processor time for a request without that of `b`.
const COSTS: [(&str, &str, &str); 2] = [
    ("grants_100k_over_100", "e_100k_grants", "e_rs256"),
    ("rules_1000_over_10", "e_1000_rules", "e_10_rules"),
];

/// All figures that these runs allow.
pub fn figures(runs: &Runs) -> Figures {
    let mut figures = Figures::new();
    for (key, one, other) in THROUGHPUTS {
        figures.extend(over(runs, one, other).map(|figure| (key.to_owned(), figure)));
        let figure = paired(runs, [one, other], |[one, other]| other.cpu_us / one.cpu_us);
        figures.extend(figure.map(|figure| (format!("{key}_cpu"), figure)));
    }
    for (key, at) in LATENCIES {
        figures.extend(added(runs, "e_rs256", at).map(|figure| (key.to_owned(), figure)));
        let latency = |run: &Run| run.all_latency_us.map_or(f64::NAN, |latency| latency[at]);
        let all = paired(runs, ["e_rs256", "b"], |[one, empty]| latency(one) - latency(empty));
        figures.extend(all.map(|figure| (format!("all_{key}"), figure)));
    }
    for (key, one, other) in COSTS {
        let figure = paired(runs, [one, other, "b"], |[one, other, empty]| {
            (one.cpu_us - empty.cpu_us) / (other.cpu_us - empty.cpu_us)
        });
        figures.extend(figure.map(|figure| (key.to_owned(), figure)));
    }
    let dropped: Vec<f64> = runs.values().flatten().filter_map(|run| run.unrecorded).collect();
    // The worst run counts: what is dropped costs nothing.
    figures.extend(
        Spread::of(&dropped).map(|all| ("unrecorded".to_owned(), Spread { median: all.most, ..all })),
    );
    figures
}

/// What a scenario adds to one of the latencies of `b`, in microseconds.
pub fn added(runs: &Runs, scenario: &str, at: usize) -> Option<Spread> {
    let latency = |run: &Run| run.latency_us.map_or(f64::NAN, |latency| latency[at]);
    paired(runs, [scenario, "b"], |[one, empty]| latency(one) - latency(empty))
}

/// The throughput of a scenario as a ratio to that of another.
pub fn over(runs: &Runs, scenario: &str, other: &str) -> Option<Spread> {
    paired(runs, [scenario, other], |[one, other]| one.requests_per_s / other.requests_per_s)
}

/// A figure of each round in which all of these ran.
fn paired<const N: usize>(
    runs: &Runs,
    scenarios: [&str; N],
    figure: impl Fn([&Run; N]) -> f64,
) -> Option<Spread> {
    let of = scenarios.map(|scenario| runs.get(scenario).map_or(&[][..], Vec::as_slice));
    let rounds = of.iter().map(|runs| runs.len()).min()?;
    let all: Vec<f64> = (0..rounds)
        .map(|round| figure(of.map(|runs| &runs[round])))
        // A latency that was not measured is no number.
        .filter(|figure| figure.is_finite())
        .collect();
    Spread::of(&all)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn run(requests_per_s: f64, cpu_us: f64, p50: f64) -> Run {
        Run { requests_per_s, cpu_us, latency_us: Some([p50, 2.0 * p50, 3.0 * p50]), ..Run::default() }
    }

    #[test]
    fn ratios_are_of_rounds_and_their_median_counts() {
        // The machine was slow in the second round: the medians alone would say 10/9.
        let runs = Runs::from([
            ("e_rs256", vec![run(20.0, 5.0, 50.0), run(8.0, 12.0, 90.0), run(10.0, 10.0, 60.0)]),
            ("c_rs256", vec![run(10.0, 10.0, 40.0), run(4.0, 24.0, 70.0), run(9.0, 20.0, 50.0)]),
        ]);
        let figures = figures(&runs);
        let ratio = figures["e_over_c_rs256"];
        assert_eq!((ratio.median, ratio.most), (2.0, 2.0));
        assert_eq!(figures["e_over_c_rs256_cpu"].median, 2.0);
        // Nothing is said of what did not run.
        assert_eq!(figures.keys().collect::<Vec<_>>(), ["e_over_c_rs256", "e_over_c_rs256_cpu"]);
    }

    #[test]
    fn what_is_added_is_added_to_the_empty_filter() {
        let runs = Runs::from([
            ("b", vec![run(1.0, 10.0, 40.0), run(1.0, 10.0, 80.0)]),
            ("e_rs256", vec![run(1.0, 30.0, 50.0), run(1.0, 30.0, 90.0)]),
            ("e_100k_grants", vec![Run { latency_us: None, ..run(1.0, 34.0, 0.0) }; 2]),
        ]);
        let figures = figures(&runs);
        let median = |key: &str| figures[key].median;
        assert_eq!(
            [median("p50_added_us"), median("p99_added_us"), median("p999_added_us")],
            [10.0, 20.0, 30.0]
        );
        assert_eq!(median("grants_100k_over_100"), 1.2);
        assert_eq!(added(&runs, "e_100k_grants", 0), None);
        // Where one round has none, the others count.
        let mut runs = runs;
        runs.get_mut("b").unwrap()[0].latency_us = None;
        runs.get_mut("e_rs256").unwrap()[1].latency_us = Some([95.0; 3]);
        assert_eq!(added(&runs, "e_rs256", 0), Some(Spread { median: 15.0, least: 15.0, most: 15.0 }));
    }

    #[test]
    fn a_record_that_was_dropped_in_one_run_counts() {
        let run = |unrecorded| Run { unrecorded: Some(unrecorded), ..Run::default() };
        let runs = Runs::from([("e_rs256", vec![run(0.0), run(0.0)]), ("g", vec![run(0.5), run(0.0)])]);
        let target = TARGETS.iter().find(|target| target.key == "unrecorded").unwrap();
        assert!(!target.bound.is_met(figures(&runs)["unrecorded"].median));
    }

    #[test]
    fn a_target_is_met_at_its_bound() {
        assert!(Bound::AtLeast(1.5).is_met(1.5) && !Bound::AtLeast(1.5).is_met(1.49));
        assert!(Bound::AtMost(24.0).is_met(24.0) && !Bound::AtMost(24.0).is_met(24.01));
        assert!(!Bound::AtMost(1.0).is_met(f64::NAN) && !Bound::AtLeast(1.0).is_met(f64::NAN));
    }

    #[test]
    fn every_key_of_a_ratio_is_of_scenarios_that_there_are() {
        use crate::scenario::SCENARIOS;
        let names = THROUGHPUTS.iter().chain(&COSTS).flat_map(|(_, one, other)| [one, other]);
        for name in names {
            assert!(SCENARIOS.iter().any(|scenario| scenario.name == *name), "{name}");
        }
    }
}
