//! What policies saw, kept for explanations and for the coverage of tests.

use crate::bundle::Bundle;
use crate::input::PolicyInput;
use crate::policy::Trace;

/// One evaluation of a rule set.
pub(super) struct Watched {
    pub(super) rule_set: usize,
    pub(super) input: PolicyInput,
    /// No question was open, so `decision` was evaluated.
    pub(super) decided: bool,
    /// Of a shadow.
    pub(super) shadow: bool,
}

impl Watched {
    /// What became of its rules. Those of a shadow bundle are not known.
    pub(super) fn trace(self, bundle: &Bundle) -> Option<Trace> {
        let Self { rule_set, input, decided, shadow } = self;
        Some(Trace { shadow, ..bundle.rule_sets.get(rule_set)?.trace(&input, decided) })
    }
}
