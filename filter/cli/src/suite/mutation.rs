//! Changes to the rules, each tried by the cases that it could matter to.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::Mutex;

use serde_json::Value;

use super::{engine, At, Ran, Suite};
use crate::cases::decide_case;
use crate::rego::{by_rule, mutants, Mutant, RegoFile};

/// What a comment `# everycall:allow` names to say that a change makes no difference.
pub const SURVIVOR_CODE: &str = "surviving_mutant";

/// What came of changing the rules.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Mutation {
    /// Changes that compile.
    pub made: usize,
    /// Those that no case noticed, in order of file and line.
    pub survivors: Vec<Survivor>,
}

/// A change that no case noticed.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, serde::Serialize)]
pub struct Survivor {
    /// The file in the bundle.
    pub file: String,
    /// The line that was changed, from 1.
    pub line: usize,
    /// The rule's path.
    pub rule: String,
    /// What was done.
    pub change: String,
    /// What it was done to.
    pub text: String,
}

enum Fate {
    DoesNotCompile,
    Noticed,
    Survives,
}

impl Suite {
    /// Changes one thing after the other in the policies and runs the cases whose decisions used the
    /// rule. `ran` are the outcomes without a change; cases that fail notice nothing. Tells how many
    /// of how many changes were tried.
    pub fn mutate(&self, ran: &[Ran], progress: impl Fn(usize, usize) + Sync) -> Mutation {
        let modules = self.modules();
        let used = self.cases_by_rule(ran);
        let unless_allowed = |file: &RegoFile| {
            let meant = |mutant: &Mutant| !file.allowed(mutant.line, SURVIVOR_CODE);
            mutants(file).into_iter().filter(meant).collect::<Vec<_>>()
        };
        let all: Vec<Mutant> = modules.iter().flat_map(unless_allowed).collect();
        let (next, tried) = (AtomicUsize::new(0), AtomicUsize::new(0));
        let result = Mutex::new(Mutation { made: 0, survivors: Vec::new() });
        let work = || {
            while let Some(mutant) = all.get(next.fetch_add(1, Ordering::Relaxed)) {
                let fate = self.fate(mutant, used.get(&mutant.rule).map_or(&[], Vec::as_slice));
                if let Ok(mut result) = result.lock() {
                    let compiles = !matches!(fate, Fate::DoesNotCompile);
                    result.made = result.made.saturating_add(usize::from(compiles));
                    if matches!(fate, Fate::Survives) {
                        result.survivors.push(survivor(mutant));
                    }
                }
                progress(tried.fetch_add(1, Ordering::Relaxed).saturating_add(1), all.len());
            }
        };
        let threads = std::thread::available_parallelism().map_or(1, usize::from);
        std::thread::scope(|scope| (0..threads).for_each(|_| drop(scope.spawn(work))));
        let mut result = result.into_inner().unwrap_or_else(std::sync::PoisonError::into_inner);
        result.survivors.sort();
        result
    }

    /// The cases whose decisions looked at any body of a rule, by the rule.
    fn cases_by_rule(&self, ran: &[Ran]) -> BTreeMap<String, Vec<At>> {
        let mut by_place: BTreeMap<_, BTreeSet<At>> = BTreeMap::new();
        for ran in ran.iter().filter(|ran| ran.failure.is_none()) {
            for place in ran.places(|rule| rule.entered) {
                by_place.entry(place).or_default().insert(ran.at);
            }
        }
        let cases = |places: Vec<_>| {
            let cases: BTreeSet<At> =
                places.iter().filter_map(|place| by_place.get(place)).flatten().copied().collect();
            cases.into_iter().collect()
        };
        by_rule(&self.modules()).into_iter().map(|(rule, places)| (rule, cases(places))).collect()
    }

    fn fate(&self, mutant: &Mutant, cases: &[At]) -> Fate {
        let mut compiled = None;
        let mut by_lot: BTreeMap<usize, Vec<usize>> = BTreeMap::new();
        for (lot, case) in cases {
            by_lot.entry(*lot).or_default().push(*case);
        }
        for (lot, cases) in by_lot {
            let Some(lot) = self.lots.get(lot) else { continue };
            let Ok(mut engine) = engine(&changed(&lot.config, mutant)) else { return Fate::DoesNotCompile };
            compiled = Some(());
            for (case, wire) in cases.into_iter().filter_map(|case| lot.cases.get(case)) {
                let record = decide_case(&mut engine, case, wire, lot.now).record;
                if case.expect.compare(&record).is_err() {
                    return Fate::Noticed;
                }
            }
        }
        if compiled.is_some() || engine(&changed(&self.base, mutant)).is_ok() {
            Fate::Survives
        } else {
            Fate::DoesNotCompile
        }
    }
}

fn changed(config: &Value, mutant: &Mutant) -> Value {
    let mut config = config.clone();
    let policies = config.pointer_mut("/bundle/inline/policies").and_then(Value::as_object_mut);
    if let Some(policies) = policies {
        policies.insert(mutant.file.clone(), Value::from(mutant.source.as_str()));
    }
    config
}

fn survivor(mutant: &Mutant) -> Survivor {
    Survivor {
        file: mutant.file.clone(),
        line: mutant.line,
        rule: mutant.rule.clone(),
        change: mutant.change.to_owned(),
        text: mutant.text.clone(),
    }
}
