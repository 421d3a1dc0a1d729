//! The case files of a bundle, run by the core as the filter runs it: outcomes, the rules that were
//! covered, and changes to rules that no case notices.

mod coverage;
mod mutation;

use std::path::Path;

use everycall_core::policy::Trace;
use everycall_core::{DecisionRecord, Engine, IdSeed, Settings, UnixTime};
use serde_json::Value;

pub use coverage::{Coverage, Uncovered};
pub use mutation::{Mutation, Survivor, SURVIVOR_CODE};

use crate::cases::{decide_case, Case, CaseFile};
use crate::rego::{Place, RegoFile};
use crate::wire::WireRequest;

/// Case files under one base configuration.
pub struct Suite {
    base: Value,
    lots: Vec<Lot>,
}

/// Cases of a file that take place at the same time, ready to run.
struct Lot {
    file: String,
    about: String,
    /// When they take place.
    now: UnixTime,
    config: Value,
    cases: Vec<(Case, WireRequest)>,
}

/// What came of one case.
pub struct Ran {
    /// The case's file.
    pub file: String,
    /// The case's name.
    pub name: String,
    /// What differs from what it expects.
    pub failure: Option<String>,
    /// The decision.
    pub record: DecisionRecord,
    /// What its policy did.
    pub traces: Vec<Trace>,
    /// The base configuration's modules are as they are there, so its traces count for the coverage.
    counts: bool,
    at: At,
}

/// A case: the index of its lot, and its own in it.
type At = (usize, usize);

/// A case file can't be run at all.
#[derive(Debug, thiserror::Error)]
#[error("{file}: {message}")]
pub struct SuiteError {
    file: String,
    message: String,
    /// The file can't be read.
    pub unreadable: bool,
}

impl Suite {
    /// Reads the case files of a directory, those cases whose file or name holds `filter`. Cases without a time of their
    /// own take place `now`.
    ///
    /// # Errors
    /// The first file that can't be read or whose cases can't be made.
    pub fn read(base: Value, directory: &Path, filter: &str, now: UnixTime) -> Result<Self, SuiteError> {
        let mut paths = Vec::new();
        let unreadable = |path: &Path, cause: std::io::Error| SuiteError {
            file: path.display().to_string(),
            message: format!("cannot be read: {cause}"),
            unreadable: true,
        };
        for entry in std::fs::read_dir(directory).map_err(|cause| unreadable(directory, cause))? {
            let path = entry.map_err(|cause| unreadable(directory, cause))?.path();
            if path.extension().is_some_and(|extension| extension == "json") {
                paths.push(path);
            }
        }
        paths.sort();
        let files = paths.iter().map(|path| {
            let text = std::fs::read_to_string(path).map_err(|cause| unreadable(path, cause))?;
            load(&base, path, &text, filter, now)
        });
        let lots: Vec<Vec<Lot>> = files.collect::<Result<_, _>>()?;
        let lots = lots.into_iter().flatten().filter(|lot| !lot.cases.is_empty()).collect();
        Ok(Self { base, lots })
    }

    /// How many cases there are.
    pub fn len(&self) -> usize {
        self.lots.iter().map(|lot| lot.cases.len()).sum()
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.lots.is_empty()
    }

    /// Name and subject of the case files.
    pub fn files(&self) -> impl Iterator<Item = (&str, &str)> {
        let files = self.lots.chunk_by(|lot, next| lot.file == next.file);
        files.filter_map(|lots| lots.first()).map(|lot| (lot.file.as_str(), lot.about.as_str()))
    }

    /// Runs all cases, in order; tells of each when it ran.
    ///
    /// # Errors
    /// A case file makes a configuration that does not hold.
    pub fn run(&self, mut progress: impl FnMut(&Ran)) -> Result<Vec<Ran>, SuiteError> {
        let mut all = Vec::with_capacity(self.len());
        for (at, lot) in self.lots.iter().enumerate() {
            let mut engine = engine(&lot.config).map_err(|message| lot.error(message))?;
            engine.traces();
            let counts = holds_modules(&lot.config, &self.base);
            for (index, (case, wire)) in lot.cases.iter().enumerate() {
                let record = decide_case(&mut engine, case, wire, lot.now).record;
                let ran = Ran {
                    file: lot.file.clone(),
                    name: case.name.clone(),
                    failure: case.expect.compare(&record).err(),
                    record,
                    traces: engine.traces(),
                    counts,
                    at: (at, index),
                };
                progress(&ran);
                all.push(ran);
            }
        }
        Ok(all)
    }

    /// The modules of the base configuration.
    fn modules(&self) -> Vec<RegoFile> {
        RegoFile::all(&self.base)
    }
}

impl Ran {
    /// The bodies of rules of the base configuration for which `which` holds.
    fn places(&self, which: impl Fn(&everycall_core::policy::RuleTrace) -> bool) -> Vec<Place> {
        let rules = self.traces.iter().filter(|_| self.counts).flat_map(|trace| &trace.rules);
        rules.filter(|rule| which(rule)).map(|rule| (rule.file.clone(), rule.start)).collect()
    }
}

impl Lot {
    fn error(&self, message: String) -> SuiteError {
        SuiteError { file: self.file.clone(), message, unreadable: false }
    }
}

/// Whether all of the base configuration's modules stand in this one, unchanged; others may, too.
fn holds_modules(config: &Value, base: &Value) -> bool {
    let modules = |document: &Value| document.pointer("/bundle/inline/policies").cloned().unwrap_or_default();
    let own = modules(config);
    let base = modules(base);
    let mut base = base.as_object().into_iter().flatten();
    base.all(|(file, text)| own.get(file) == Some(text))
}

fn load(base: &Value, path: &Path, text: &str, filter: &str, now: UnixTime) -> Result<Vec<Lot>, SuiteError> {
    let name = path.display().to_string();
    let error = |message: String| SuiteError { file: name.clone(), message, unreadable: false };
    let file_name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
    let file = CaseFile::parse(&file_name, text).map_err(|cause| error(cause.message().to_owned()))?;
    let mut lots = Vec::new();
    for (now, cases) in file.by_time(now) {
        let config = file.config(base, now);
        let chosen = cases.iter().filter(|case| name.contains(filter) || case.name.contains(filter));
        let mut cases = Vec::new();
        for case in chosen {
            let wire = case.request(&config, now);
            let wire = wire.map_err(|cause| error(format!("`{}`: {cause}", case.name)))?;
            cases.push((case.clone(), wire));
        }
        lots.push(Lot { file: name.clone(), about: file.about.clone(), now, config, cases });
    }
    Ok(lots)
}

/// An engine of a configuration, or all that is wrong with it.
fn engine(config: &Value) -> Result<Engine, String> {
    let settings = Settings::from_value(config.clone()).map_err(|errors| errors.to_string())?;
    Ok(Engine::standalone(settings, IdSeed::derive(&[b"everycall test"])))
}
