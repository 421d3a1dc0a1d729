//! What became of each body in one evaluation, for people and for coverage: never for decisions.

use std::collections::BTreeMap;

use everycall_rego_values::Budget;

use crate::facts::Facts;
use crate::hir::Site;
use crate::plan::Plan;

/// What became of one body of a rule.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BodyTrace {
    /// The rule's path below `data`, such as `everycall.lib.purpose`.
    pub rule: String,
    /// Where the body is written; the whole rule for its first body.
    pub site: Site,
    /// It was evaluated. Rules are tried only where something refers to them.
    pub entered: bool,
    /// It gave a value.
    pub held: bool,
    /// The statement at which it did not go on, the last of them in its text, if it gave no value.
    pub stopped: Option<Site>,
}

impl Plan {
    /// Evaluates entries, and says what became of every body that they may use.
    pub fn trace(&self, entries: &[usize], facts: &dyn Facts, budget: &Budget) -> Vec<BodyTrace> {
        let mut watch = Watch::default();
        for entry in entries {
            watch = self.watched(*entry, facts, &mut budget.clone(), watch);
        }
        let rules = self
            .documents
            .iter()
            .flat_map(|document| document.rules.iter().map(move |rule| (document, rule)));
        let mut bodies: Vec<BodyTrace> = rules
            .flat_map(|(document, rule)| {
                let watch = &watch;
                rule.branches.iter().map(move |branch| {
                    let seen = watch.seen.get(&branch.site);
                    let held = seen.is_some_and(|seen| seen.held);
                    BodyTrace {
                        rule: document.path.join("."),
                        site: branch.site,
                        entered: seen.is_some(),
                        held,
                        stopped: seen.filter(|_| !held).and_then(|seen| seen.stopped),
                    }
                })
            })
            .collect();
        bodies.sort_by_key(|body| body.site);
        bodies
    }
}

/// What was seen of one body.
#[derive(Debug, Default)]
struct Seen {
    held: bool,
    stopped: Option<Site>,
}

/// Watches an evaluation.
#[derive(Debug, Default)]
pub(crate) struct Watch {
    seen: BTreeMap<Site, Seen>,
    /// The body whose own statements are carried out.
    branch: Option<Site>,
    /// What is left for all that is carried out for people only; `None` before the first of it.
    aside: Option<Budget>,
    is_aside: bool,
}

impl Watch {
    pub(crate) fn enter(&mut self, branch: Site) {
        self.seen.entry(branch).or_default();
        self.branch = Some(branch);
    }

    pub(crate) fn hold(&mut self, branch: Site) {
        self.seen.entry(branch).or_default().held = true;
    }

    pub(crate) fn stop(&mut self, site: Site) {
        let Some(seen) = self.branch.and_then(|branch| self.seen.get_mut(&branch)) else { return };
        if seen.stopped.is_none_or(|known| known < site) {
            seen.stopped = Some(site);
        }
    }

    /// The body whose own statements are carried out.
    pub(crate) const fn branch(&self) -> Option<Site> {
        self.branch
    }

    /// Begins what is carried out for people only, with what is left for all of it. `None` if that has begun: what
    /// it leads to is a part of it.
    pub(crate) fn begin_aside(&mut self, left: &Budget) -> Option<Budget> {
        if std::mem::replace(&mut self.is_aside, true) {
            return None;
        }
        Some(self.aside.take().unwrap_or_else(|| left.clone()))
    }

    pub(crate) fn end_aside(&mut self, left: Budget) {
        self.is_aside = false;
        self.aside = Some(left);
    }

    /// What is carried out now is no statement of a body.
    pub(crate) fn pause(&mut self) -> Option<Site> {
        self.branch.take()
    }

    pub(crate) fn go_on(&mut self, branch: Option<Site>) {
        self.branch = branch;
    }
}
