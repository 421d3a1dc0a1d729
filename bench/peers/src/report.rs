//! What was measured, as a table and as JSON.

use std::io::IsTerminal as _;
use std::time::Duration;

use serde_json::{json, Map, Value};

use crate::memory::Memory;
use crate::options::{Options, NOTES};
use crate::ratios::{added, figures, over, Bound, Figures, Runs, TARGETS};
use crate::run::Run;
use crate::scenario::SCENARIOS;
use crate::start::Started;
use crate::statistics::Spread;

pub struct Report<'a> {
    pub machine: Value,
    pub options: &'a Options,
    pub runs: Runs,
    pub starts: Vec<Started>,
    pub memories: Vec<Memory>,
    /// Runs that were made again because they failed.
    pub again: usize,
    pub took: Duration,
}

impl Report<'_> {
    /// Each figure under its key.
    pub fn figures(&self) -> Figures {
        let mut figures = figures(&self.runs);
        let all = |key: &str, values: Vec<f64>| Spread::of(&values).map(|spread| (key.to_owned(), spread));
        figures.extend(all("worker_mib", self.memories.iter().map(Memory::worker).collect()));
        figures.extend(all("start_ms", self.starts.iter().map(Started::added).collect()));
        figures.extend(all("module_bytes", self.machine["module_bytes"].as_f64().into_iter().collect()));
        figures
    }

    /// Whether all figures were measured, and reach their targets.
    pub fn is_met(&self) -> bool {
        let figures = self.figures();
        TARGETS
            .iter()
            .all(|target| figures.get(target.key).is_some_and(|figure| target.bound.is_met(figure.median)))
    }

    pub fn json(&self) -> Value {
        let figures = self.figures();
        let mut scenarios = Map::new();
        for scenario in SCENARIOS.iter() {
            let Some(runs) = self.runs.get(scenario.name) else { continue };
            let of = |figure: &dyn Fn(&Run) -> f64| Spread::over(runs, figure).map(|spread| spread.json());
            scenarios.insert(
                scenario.name.into(),
                json!({"what": scenario.what, "requests_per_s": of(&|run| run.requests_per_s),
                    "cpu_us": of(&|run| run.cpu_us), "all_cpu_us": of(&|run| run.all_cpu_us),
                    "logged_bytes": of(&|run| run.logged_bytes),
                    "runs": runs.iter().map(Run::json).collect::<Vec<_>>()}),
            );
        }
        let ratios: Map<String, Value> =
            figures.iter().map(|(key, figure)| (key.clone(), json!(rounded(figure.median)))).collect();
        let spreads: Map<String, Value> =
            figures.iter().map(|(key, figure)| (key.clone(), figure.json())).collect();
        let targets: Map<String, Value> = TARGETS
            .iter()
            .map(|target| {
                let (word, bound) = target.bound.parts();
                let met = figures.get(target.key).map(|figure| target.bound.is_met(figure.median));
                (target.key.to_owned(), json!({word: bound, "met": met}))
            })
            .collect();
        json!({
            "machine": self.machine, "notes": NOTES, "rounds": self.options.rounds,
            "seconds": self.options.seconds, "took_s": self.took.as_secs(), "repeated_runs": self.again,
            "ratios": ratios, "spreads": spreads, "targets": targets, "scenarios": scenarios,
            "memory_mib": self.memories.iter().map(Memory::json).collect::<Vec<_>>(),
            "start_ms": self.starts.iter().map(Started::json).collect::<Vec<_>>(),
        })
    }

    pub fn print(&self) {
        print!("{}", self.text(std::io::stdout().is_terminal()));
    }

    /// The tables.
    fn text(&self, colour: bool) -> String {
        let mut text = String::new();
        if !self.runs.is_empty() {
            text.push_str(&self.scenarios());
        }
        text.push_str(&self.targets(colour));
        text.push_str(&self.disturbances());
        let machine = |key: &str| {
            self.machine[key].as_str().map_or_else(|| self.machine[key].to_string(), str::to_owned)
        };
        text.push_str(&format!(
            "{}, {} cores, Linux {}, Envoy {}, wrk {}; {} rounds, {} s\n",
            machine("cpu"),
            machine("cores"),
            machine("kernel"),
            machine("envoy"),
            machine("wrk"),
            self.options.rounds,
            self.took.as_secs()
        ));
        text
    }

    /// How far something else had the processors.
    fn disturbances(&self) -> String {
        let all = |figure: fn(&Run) -> Option<f64>| {
            let shares: Vec<f64> = self.runs.values().flatten().filter_map(figure).collect();
            Spread::of(&shares).map(|all| 100.0 * all.median)
        };
        let (Some(waited), Some(disturbed)) = (all(|run| Some(run.waited)), all(|run| run.disturbed)) else {
            return String::new();
        };
        format!(
            "\nThe worker waited for a processor {waited:.0} % of the time; {disturbed:.0} % of the requests at a fixed rate were disturbed\n\
             by that, and are left out above. The less, the truer the figures: nothing else should run.\n"
        )
    }

    fn scenarios(&self) -> String {
        let width = SCENARIOS.iter().map(|scenario| scenario.what.len()).max().unwrap_or_default();
        let mut text = format!(
            "{:14} {:width$} {:>24}  {:>5} {:>5} {:>5}  {:>7} {:>7}  {:>8} {:>8} {:>8}\n{:14} {:width$} {:>24}  {:>5} {:>5} {:>5}  {:>7} {:>7}  {:>26}\n",
            "", "", "requests/s", "/ (a)", "/ (c)", "/ (d)", "CPU", "all CPU", "p50", "p99", "p99.9",
            "", "", "median (least to most)", "", "", "", "us", "us", "us more than (b)",
        );
        for scenario in SCENARIOS.iter() {
            let Some(runs) = self.runs.get(scenario.name) else { continue };
            let Some(rate) = Spread::over(runs, &|run: &Run| run.requests_per_s) else { continue };
            let number = |spread: Option<Spread>, digits: usize| {
                spread
                    .filter(|spread| spread.median.is_finite())
                    .map_or("-".to_owned(), |spread| format!("{:.digits$}", spread.median))
            };
            let ratio = |other: &str| number(over(&self.runs, scenario.name, other), 2);
            let cpu = |figure: &dyn Fn(&Run) -> f64| number(Spread::over(runs, figure), 1);
            let more = |at: usize| number(added(&self.runs, scenario.name, at), 0);
            text.push_str(&format!(
                "{:14} {:width$} {:>24}  {:>5} {:>5} {:>5}  {:>7} {:>7}  {:>8} {:>8} {:>8}\n",
                scenario.name,
                scenario.what,
                format!("{:.0} ({:.0} to {:.0})", rate.median, rate.least, rate.most),
                ratio("a"),
                ratio(scenario.native()),
                ratio("d"),
                cpu(&|run| run.cpu_us),
                cpu(&|run| run.all_cpu_us),
                more(0),
                more(1),
                more(2),
            ));
        }
        text.push('\n');
        text
    }

    fn targets(&self, colour: bool) -> String {
        let figures = self.figures();
        let width = TARGETS.iter().map(|target| target.what.len()).max().unwrap_or_default();
        let mut text =
            format!("{:22} {:width$} {:>10} {:>24} {:>12}\n", "", "", "median", "least to most", "target");
        for target in &TARGETS {
            let Some(figure) = figures.get(target.key) else {
                if self.options.only.is_empty() {
                    text.push_str(&format!("{:22} {:width$} not measured\n", target.key, target.what));
                }
                continue;
            };
            let is_met = target.bound.is_met(figure.median);
            let verdict = match (is_met, colour) {
                (true, _) => "met",
                (false, true) => "\x1b[31mnot met\x1b[0m",
                (false, false) => "not met",
            };
            let cpu = figures.get(&format!("{}_cpu", target.key));
            let cpu = cpu.map_or(String::new(), |cpu| format!(" (by processor time {:.2})", cpu.median));
            let (word, bound) = target.bound.parts();
            let spread = format!("{} to {}", rounded(figure.least), rounded(figure.most));
            text.push_str(&format!(
                "{:22} {:width$} {:>10} {spread:>24} {:>12} {verdict}{cpu}\n",
                target.key,
                target.what,
                rounded(figure.median),
                format!("{} {bound}", if word == "at_least" { ">=" } else { "<=" }),
            ));
        }
        text
    }
}

impl Bound {
    /// In words, and the number.
    const fn parts(self) -> (&'static str, f64) {
        match self {
            Bound::AtLeast(bound) => ("at_least", bound),
            Bound::AtMost(bound) => ("at_most", bound),
        }
    }
}

impl Spread {
    /// Of a figure of each run.
    fn over(runs: &[Run], figure: &dyn Fn(&Run) -> f64) -> Option<Self> {
        Spread::of(&runs.iter().map(figure).collect::<Vec<_>>())
    }

    fn json(&self) -> Value {
        json!({"median": rounded(self.median), "least": rounded(self.least), "most": rounded(self.most)})
    }
}

impl Run {
    fn json(&self) -> Value {
        let latency = |all: Option<[f64; 3]>| {
            all.map(
                |[p50, p99, p999]| json!({"p50": rounded(p50), "p99": rounded(p99), "p999": rounded(p999)}),
            )
        };
        json!({"requests_per_s": rounded(self.requests_per_s), "cpu_us": rounded(self.cpu_us),
            "all_cpu_us": rounded(self.all_cpu_us), "latency_us": latency(self.latency_us),
            "all_latency_us": latency(self.all_latency_us), "disturbed": self.disturbed.map(rounded), "waited": rounded(self.waited),
            "verified": self.verified.map(rounded), "unrecorded": self.unrecorded.map(rounded),
            "logged_bytes": rounded(self.logged_bytes)})
    }
}

impl Memory {
    fn json(&self) -> Value {
        let of = |[one, three]: [f64; 2]| json!({"1": rounded(one), "3": rounded(three)});
        json!({"empty": of(self.empty), "everycall": of(self.everycall), "worker": rounded(self.worker())})
    }
}

impl Started {
    /// What Everycall adds.
    pub fn added(&self) -> f64 {
        self.everycall - self.empty
    }

    fn json(&self) -> Value {
        json!({"empty": rounded(self.empty), "everycall": rounded(self.everycall)})
    }
}

/// To thousandths.
fn rounded(value: f64) -> f64 {
    (value * 1e3).round() / 1e3
}

#[cfg(test)]
mod tests {
    use super::*;

    fn report(options: &Options) -> Report<'_> {
        let run = |requests_per_s: f64, cpu_us: f64| {
            let latency_us = Some([cpu_us, 2.0 * cpu_us, 3.0 * cpu_us]);
            vec![Run { requests_per_s, cpu_us, latency_us, unrecorded: Some(0.0), ..Run::default() }; 3]
        };
        let runs = SCENARIOS.iter().map(|scenario| match scenario.letter() {
            "a" => (scenario.name, run(30_000.0, 25.0)),
            "b" => (scenario.name, run(25_000.0, 30.0)),
            "e" => (scenario.name, run(20_000.0, 40.0)),
            _ => (scenario.name, run(10_000.0, 90.0)),
        });
        Report {
            machine: json!({"cpu": "AMD EPYC", "cores": 2, "kernel": "6.1", "envoy": "1.40.0", "wrk": "wrk 4",
                "module_bytes": 1_900_000}),
            options,
            runs: runs.collect(),
            starts: vec![Started { empty: 200.0, everycall: 600.0 }],
            memories: vec![Memory { empty: [40.0, 44.0], everycall: [80.0, 120.0] }],
            again: 0,
            took: Duration::from_secs(60),
        }
    }

    fn options() -> Options {
        Options::parse(std::iter::empty()).unwrap().unwrap()
    }

    #[test]
    fn the_json_has_every_ratio_under_its_key() {
        let options = options();
        let json = report(&options).json();
        let expected = [
            ("e_over_c_rs256", 2.0),
            ("e_over_c_rs256_cpu", 2.25),
            ("e_over_c_cached_rs256", 2.0),
            ("e_over_d", 2.0),
            ("f_over_c_es256", 1.0),
            ("p50_added_us", 10.0),
            ("p99_added_us", 20.0),
            ("module_bytes", 1_900_000.0),
            ("worker_mib", 18.0),
            ("start_ms", 400.0),
            ("grants_100k_over_100", 1.0),
            ("rules_1000_over_10", 1.0),
        ];
        for (key, value) in expected {
            assert_eq!(json["ratios"][key], value, "{key}");
            assert_eq!(json["spreads"][key]["median"], value, "{key}");
        }
        for target in &TARGETS {
            assert_eq!(json["targets"][target.key]["met"], target.key != "start_ms", "{}", target.key);
        }
        assert_eq!(json["scenarios"]["e_rs256"]["runs"].as_array().unwrap().len(), 3);
        assert_eq!(json["scenarios"]["e_rs256"]["runs"][0]["latency_us"]["p99"], 80.0);
    }

    #[test]
    fn all_targets_have_to_be_met_and_measured() {
        let options = options();
        let mut report = report(&options);
        assert!(!report.is_met());
        report.starts = vec![Started { empty: 200.0, everycall: 500.0 }];
        assert!(report.is_met());
        report.memories.clear();
        assert!(!report.is_met());
        let text = report.text(false);
        let line = text.lines().find(|line| line.starts_with("worker_mib ")).unwrap();
        assert!(line.ends_with("not measured"), "{text}");
    }

    #[test]
    fn the_tables_have_a_line_for_each_scenario_and_target() {
        let options = options();
        let text = report(&options).text(false);
        for scenario in SCENARIOS.iter() {
            assert!(
                text.lines().any(|line| line.starts_with(scenario.name) && line.contains(scenario.what)),
                "{text}"
            );
        }
        let line = |key: &str| text.lines().find(|line| line.starts_with(&format!("{key} "))).unwrap();
        assert!(line("e_rs256").contains("20000 (20000 to 20000)   0.67  2.00  2.00     40.0"), "{text}");
        assert!(line("e_over_c_rs256").ends_with(">= 1.5 met (by processor time 2.25)"), "{text}");
        assert!(line("start_ms").ends_with("<= 300 not met"), "{text}");
        assert!(!text.contains("NaN"), "{text}");
    }
}
