//! Which bodies of rules held in a case whose decision used them.

use std::collections::BTreeSet;

use super::{Ran, Suite};
use crate::rego::{Place, RegoFile};

/// The rules that cases made hold.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Coverage {
    /// Bodies of rules in all modules.
    pub rules: usize,
    /// Those that no case made hold, in order of file and line.
    pub uncovered: Vec<Uncovered>,
}

/// A body that no case made hold.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize)]
pub struct Uncovered {
    /// The file in the bundle.
    pub file: String,
    /// The line where the body starts, from 1.
    pub line: usize,
    /// The rule's path.
    pub rule: String,
}

impl Coverage {
    /// Covered rules in percent, rounded down: 100 is all of them.
    pub fn percent(&self) -> usize {
        let covered = self.rules.saturating_sub(self.uncovered.len());
        covered.saturating_mul(100).checked_div(self.rules).unwrap_or(100)
    }
}

impl Suite {
    /// The coverage of the base configuration's policies by what ran.
    pub fn coverage(&self, ran: &[Ran]) -> Coverage {
        let held: BTreeSet<Place> = ran.iter().flat_map(|ran| ran.places(|rule| rule.held)).collect();
        let modules = self.modules();
        let bodies: Vec<_> = modules.iter().flat_map(RegoFile::bodies).collect();
        let uncovered = bodies.iter().filter(|body| !held.contains(&body.place)).map(|body| Uncovered {
            file: body.place.0.clone(),
            line: body.line,
            rule: body.rule.clone(),
        });
        Coverage { rules: bodies.len(), uncovered: uncovered.collect() }
    }
}
