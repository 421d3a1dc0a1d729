//! What is asked for on the command line.

use anyhow::{bail, ensure};

use crate::scenario::{Scenario, SCENARIOS};

/// Measured besides the scenarios.
const SECTIONS: [&str; 2] = ["memory", "start"];

#[derive(Debug, PartialEq, Eq)]
pub struct Options {
    pub json: bool,
    /// Fails if a figure does not reach its target.
    pub check: bool,
    pub rounds: usize,
    /// Of load in each run, and once more at the fixed rate.
    pub seconds: u64,
    /// Letters and names; all if empty.
    pub only: Vec<String>,
}

impl Options {
    /// `None`: help is wanted.
    pub fn parse(arguments: impl Iterator<Item = String>) -> anyhow::Result<Option<Self>> {
        let mut options = Self { json: false, check: false, rounds: 5, seconds: 3, only: Vec::new() };
        let mut arguments = arguments;
        while let Some(argument) = arguments.next() {
            let mut number = || match arguments.next().unwrap_or_default().parse() {
                Ok(number @ 1..=100) => Ok(number),
                _ => bail!("`{argument}` needs a number from 1 to 100"),
            };
            match argument.as_str() {
                "--help" | "-h" => return Ok(None),
                "--json" => options.json = true,
                "--check" => options.check = true,
                "--rounds" => options.rounds = usize::try_from(number()?)?,
                "--seconds" => options.seconds = number()?,
                "--only" => {
                    let list = arguments.next().unwrap_or_default();
                    options.only = list.split(',').map(str::to_owned).collect();
                    for one in &options.only {
                        let is_known = SECTIONS.contains(&one.as_str())
                            || SCENARIOS.iter().any(|scenario| is_called(scenario, one));
                        ensure!(is_known, "`--only {one}`: expected letters or names; see `--help`");
                    }
                }
                other => bail!("unknown argument `{other}`; see `--help`"),
            }
        }
        Ok(Some(options))
    }

    /// The scenarios that are wanted.
    pub fn scenarios(&self) -> impl Iterator<Item = &'static Scenario> + '_ {
        let is_wanted = |scenario: &&Scenario| {
            self.only.is_empty() || self.only.iter().any(|one| is_called(scenario, one))
        };
        SCENARIOS.iter().filter(is_wanted)
    }

    /// Whether this section is wanted.
    pub fn wants(&self, section: &str) -> bool {
        self.only.is_empty() || self.only.iter().any(|one| one == section)
    }
}

/// By its name, or with others by its letter.
fn is_called(scenario: &Scenario, one: &str) -> bool {
    scenario.name == one || scenario.letter() == one
}

pub fn help() -> String {
    let scenarios: String =
        SCENARIOS.iter().map(|scenario| format!("  {:15} {}\n", scenario.name, scenario.what)).collect();
    format!(
        "Measures Everycall beside what people use today, in a real Envoy with one worker.\n\n\
        usage: everycall-peers [--rounds N] [--seconds N] [--only LIST] [--json] [--check]\n\n\
        \x20 --rounds N     so often; 5 if absent\n\
        \x20 --seconds N    of load in each run, and once more at the fixed rate; 3 if absent\n\
        \x20 --only LIST    of the scenarios by name or letter, and of memory and start; nothing is written\n\
        \x20 --json         the figures as JSON, no table\n\
        \x20 --check        exit code 1 if a figure does not reach its target\n\n\
        The scenarios:\n{scenarios}\n{}\n\nexample: make bench-peers",
        NOTES.join("\n")
    )
}

/// What has to be known to read the figures.
pub const NOTES: [&str; 8] = [
    "Load: wrk, one thread, 16 connections that are kept, 10,000 paths, 100 callers; for latency 1,000 requests/s, with the worker on the first core and the client on the last one.",
    "Latency is of requests during which neither the worker nor the client waited 0.1 ms for a processor that something else had; the JSON has that of all as well.",
    "Envoy answers itself, so that an upstream does not hide the difference: all ratios are further apart than in service.",
    "The policy is the same in (c) and (e) to (h): issuer, audience, expiry, one claim, host, methods, path; (e) to (h) have a grant for each caller besides.",
    "Everycall writes each record (`log.records: all`) into the access log; the others write Istio's default access log, of about that length. All to files.",
    "(d) asks a server on one thread of its own that says yes to everything; its processor time is in `all CPU`.",
    "Memory is what a worker adds that has 10,000 grants and remembers 10,000 RS256 tokens; `limits.tokens_cached_bytes` is raised until they fit.",
    "(f) brings 12,000 tokens in turn, of which Everycall forgets each before it comes again; the run fails unless a signature was checked for each.",
];

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(text: &str) -> anyhow::Result<Option<Options>> {
        Options::parse(text.split_whitespace().map(str::to_owned))
    }

    #[test]
    fn a_letter_means_all_its_scenarios() {
        let options = parse("--only c,e_rs256,memory --rounds 2").unwrap().unwrap();
        let names: Vec<&str> = options.scenarios().map(|scenario| scenario.name).collect();
        assert_eq!(names, ["c_rs256", "c_es256", "c_cached_rs256", "c_cached_es256", "c_large", "e_rs256"]);
        assert!(options.wants("memory") && !options.wants("start") && options.rounds == 2);
        assert_eq!(parse("").unwrap().unwrap().scenarios().count(), SCENARIOS.len());
    }

    #[test]
    fn what_is_not_understood_is_an_error() {
        for text in ["--only x", "--only", "--rounds 0", "--seconds", "--seconds 1s", "e"] {
            assert!(parse(text).is_err(), "{text}");
        }
        assert_eq!(parse("--only e --help").unwrap(), None);
    }
}
