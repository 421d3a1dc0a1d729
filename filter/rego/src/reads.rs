//! What bodies of a plan read, for people and for lints: a body by itself, or with all that it depends on.

use std::collections::BTreeSet;
use std::sync::Arc;

use crate::hir::Site;
use crate::plan::{Branch, Callee, Child, DocumentId, Expr, Plan, Step, StepKind, With};

/// What is read.
#[derive(Debug, Default)]
pub struct Reads<'p> {
    /// Paths below `input`. A path stands for all below it, and the empty one for all of `input`.
    pub inputs: BTreeSet<&'p [Arc<str>]>,
    /// Paths below `data` at which no rule stands.
    pub data: BTreeSet<&'p [Arc<str>]>,
    /// The bodies whose reads these are.
    pub bodies: BTreeSet<Site>,
    documents: BTreeSet<DocumentId>,
}

impl Plan {
    /// What an entry depends on.
    pub fn entry_reads(&self, entry: usize) -> Reads<'_> {
        let mut reads = Reads::default();
        reads.documents.extend(self.entries.get(entry).copied().flatten());
        self.complete(reads)
    }

    /// Paths below `input` that `with` replaces somewhere.
    pub fn replaced_input(&self) -> BTreeSet<&[Arc<str>]> {
        self.replaced(|with| match with {
            With::Input(path, _) => Some(path.as_slice()),
            _ => None,
        })
    }

    /// Paths below `data` that `with` replaces somewhere.
    pub fn replaced_data(&self) -> BTreeSet<&[Arc<str>]> {
        self.replaced(|with| match with {
            With::Data(path, _) => Some(path.as_slice()),
            _ => None,
        })
    }

    fn replaced<'p>(&'p self, path: impl Fn(&'p With) -> Option<&'p [Arc<str>]>) -> BTreeSet<&'p [Arc<str>]> {
        let mut found = BTreeSet::new();
        let rules = self.documents.iter().flat_map(|document| document.rules.iter().chain(&document.default));
        for branch in rules.flat_map(|rule| &rule.branches) {
            let mut look = |step: &'p Step| {
                if let StepKind::With(replaced, _) = &step.kind {
                    found.extend(replaced.iter().filter_map(&path));
                }
            };
            branch.visit(&mut look, &mut |_| {});
        }
        found
    }

    /// Where its bodies are written; the whole rule for the first body of a rule.
    pub fn bodies(&self) -> impl Iterator<Item = Site> + '_ {
        let rules = self.documents.iter().flat_map(|document| document.rules.iter().chain(&document.default));
        rules.flat_map(|rule| &rule.branches).map(|branch| branch.site)
    }

    /// What the body at this place depends on.
    pub fn body_reads(&self, site: Site) -> Reads<'_> {
        self.complete(self.own_reads(site))
    }

    /// What the body at this place reads itself.
    pub fn own_reads(&self, site: Site) -> Reads<'_> {
        let mut reads = Reads::default();
        let rules = self.documents.iter().flat_map(|document| document.rules.iter().chain(&document.default));
        let branches = rules.flat_map(|rule| &rule.branches);
        branches.filter(|branch| branch.site == site).for_each(|branch| reads.add(self, branch));
        reads
    }

    fn complete<'p>(&'p self, mut reads: Reads<'p>) -> Reads<'p> {
        let mut seen = BTreeSet::new();
        while let Some(id) = reads.documents.pop_first() {
            let Some(document) = self.documents.get(id).filter(|_| seen.insert(id)) else { continue };
            let rules = document.rules.iter().chain(&document.default);
            rules.flat_map(|rule| &rule.branches).for_each(|branch| reads.add(self, branch));
        }
        reads
    }
}

impl<'p> Reads<'p> {
    /// Whether a member of `input` is read: `input` as a whole counts.
    pub fn has_member(&self, name: &str) -> bool {
        self.inputs.iter().any(|path| path.first().is_none_or(|first| **first == *name))
    }

    fn add(&mut self, plan: &'p Plan, branch: &'p Branch) {
        self.bodies.insert(branch.site);
        let (mut inputs, mut data, mut documents) = (BTreeSet::new(), BTreeSet::new(), BTreeSet::new());
        branch.visit(&mut |_| {}, &mut |expr| match expr {
            Expr::Input(slot) => inputs.extend(plan.inputs.get(*slot).map(Vec::as_slice)),
            Expr::Base(slot) => data.extend(plan.bases.get(*slot).map(|(path, _)| path.as_slice())),
            Expr::Document(id) | Expr::Member(id, _) => drop(documents.insert(*id)),
            Expr::Node(node, _) => documents.extend(plan.below(*node)),
            Expr::Call(call) => documents.extend(called(call.callee)),
            _ => {}
        });
        self.inputs.append(&mut inputs);
        self.data.append(&mut data);
        let mut replaced = |step: &'p Step| {
            if let StepKind::With(replaced, _) = &step.kind {
                documents.extend(replaced.iter().filter_map(|with| match with {
                    With::Function(_, callee) => called(*callee),
                    _ => None,
                }));
            }
        };
        branch.visit(&mut replaced, &mut |_| {});
        self.documents.append(&mut documents);
    }
}

const fn called(callee: Callee) -> Option<DocumentId> {
    match callee {
        Callee::Rule(id) => Some(id),
        Callee::Builtin(_) | Callee::Now => None,
    }
}

impl Plan {
    /// The documents of a part of the tree of rules.
    pub(crate) fn below(&self, node: usize) -> Vec<DocumentId> {
        let (mut found, mut open) = (Vec::new(), vec![node]);
        while let Some(node) = open.pop().and_then(|at| self.nodes.get(at)) {
            for (_, child) in &node.children {
                match child {
                    Child::Document(id, by_keys) => {
                        found.push(*id);
                        found.extend(by_keys.map(|(id, _)| id));
                    }
                    Child::Node(node) => open.push(*node),
                }
            }
        }
        found
    }
}
