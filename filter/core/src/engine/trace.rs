//! What policies saw, kept for explanations and for the coverage of tests.

use super::Engine;
use crate::input::PolicyInput;
use crate::policy::Trace;
use crate::record::DecisionRecord;

/// One evaluation of a rule set.
pub(super) struct Watched {
    pub(super) rule_set: usize,
    pub(super) input: PolicyInput,
    /// No question was open, so `decision` was evaluated.
    pub(super) decided: bool,
    /// Of a shadow.
    pub(super) shadow: bool,
}

impl Engine {
    /// From now on, keep what policies are evaluated with until [`Engine::traces`] takes it: without
    /// bound, so not for an engine that serves.
    pub fn watch(&mut self) {
        self.watched.get_or_insert_default();
    }

    /// What became of the rules in each evaluation since the last call, in order. Those of a shadow
    /// bundle are not among them.
    pub fn traces(&mut self) -> Vec<Trace> {
        let watched = self.watched.as_mut().map(std::mem::take).unwrap_or_default();
        let mut traces = Vec::with_capacity(watched.len());
        for Watched { rule_set, input, decided, shadow } in watched {
            if let Some(rules) = self.bundle.rule_sets.get(rule_set) {
                traces.push(Trace { shadow, ..rules.trace(&input, decided) });
            }
        }
        traces
    }

    /// Decides a recorded request again and answers what its policy did in each round; nothing if the
    /// policy was not reached.
    pub fn explain(&mut self, record: &DecisionRecord) -> Vec<Trace> {
        self.watch();
        self.replay(record);
        self.traces()
    }
}
