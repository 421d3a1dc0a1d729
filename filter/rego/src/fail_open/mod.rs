//! Where a policy says yes because something failed: what stands under `not`, in an emptiness test, in the
//! domain of `every`, before an `else` or in place of a default must not be able to fail or to be undefined.
//! An error skips its body, so that a rule that should have said no is silent, and its negation holds.
//!
//! Two questions go down the plan together. What is **made**, comes to hold because something failed; what is
//! **lost**, does not hold because something failed. Each turns into the other under a negation.

mod contents;
mod facts;
mod kinds;
mod known;
mod lost;
mod made;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use everycall_rego_values::{Arithmetic, Value};

use crate::hir::{Operator, Path, Site};
use crate::library::Library;
use crate::plan::{
    Branch, Call, Callee, Collect, Document, DocumentId, Expr, Kind as Made, Pattern, Plan, Rule, Step,
    StepKind, With,
};
use facts::{name_of, path_name, Facts, Origins};
pub use known::{InputContract, Kind, Sure};

/// Rules that are looked into. A policy of a hundred rules takes some hundreds.
const MAX_LOOKS: usize = 100_000;

/// One place where a failure makes a policy say yes.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct FailOpen {
    /// The statement, or the body.
    pub site: Site,
    /// What holds then.
    pub what: Denial,
    /// What can fail, for people.
    pub why: String,
}

/// How something is denied.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Denial {
    /// `not`.
    Not,
    /// What `not` is applied to is evaluated before it: where it fails, the whole body does not hold.
    Operand,
    /// `every`, over what lost members.
    Every,
    /// `count(x) == 0`, `x == set()`, of what lost members.
    Emptiness,
    /// `count(x) < 3`, `min(x) > 2`, of what lost members.
    Bound,
    /// What a rule is by default, or behind an `else`.
    Default,
    /// What decides behind an `else`.
    Else,
}

impl Plan {
    /// Where a failure makes an entry say yes, in the order of the text.
    pub fn fails_open(&self, entry: usize, library: &Library, input: &dyn InputContract) -> Vec<FailOpen> {
        let mut look = Look {
            plan: self,
            library,
            input,
            found: Vec::new(),
            made: BTreeSet::new(),
            lost: BTreeMap::new(),
            replaced: Vec::new(),
            left: MAX_LOOKS,
        };
        self.entries.get(entry).copied().flatten().into_iter().for_each(|id| look.made_document(id));
        look.found.sort();
        look.found.dedup();
        look.found
    }
}

struct Look<'p> {
    plan: &'p Plan,
    library: &'p Library,
    input: &'p dyn InputContract,
    found: Vec<FailOpen>,
    /// Documents whose bodies were looked through for what is made.
    made: BTreeSet<DocumentId>,
    /// What a document loses, by what is known where it is read.
    lost: BTreeMap<(DocumentId, Vec<Kind>, Facts), Option<String>>,
    /// Paths below `input` that `with` replaces here.
    replaced: Vec<Path>,
    left: usize,
}

/// The body that is looked through.
#[derive(Clone, Copy)]
struct Scope<'s, 'p> {
    facts: &'s Facts,
    origins: &'s Origins<'p>,
    site: Site,
}

/// What can fail.
type Why = Option<String>;

impl<'p> Look<'p> {
    fn note(&mut self, scope: Scope<'_, 'p>, what: Denial, why: Why) {
        self.found.extend(why.map(|why| FailOpen { site: scope.site, what, why }));
    }

    fn replace(&mut self, replaced: &[With]) {
        self.replaced.extend(replaced.iter().filter_map(|with| match with {
            With::Input(path, _) => Some(path.clone()),
            _ => None,
        }));
    }

    fn at(&self, scope: Scope<'_, 'p>, expr: &'p Expr, what: &str) -> String {
        match name_of(self.plan, scope.origins, expr) {
            Some(name) if !name.contains("local:") => {
                let name = name.replacen("rule:", "data.", 1);
                self.statement_of(scope, &format!("`{name}` {what}"))
            }
            _ => self.statement(scope, &format!("holds what {what}")),
        }
    }

    /// Of the statement itself.
    fn statement(&self, scope: Scope<'_, 'p>, what: &str) -> String {
        let text = self.library.source(scope.site).map_or("", |(_, text)| text.lines().next().unwrap_or(""));
        let words: Vec<&str> = text.split_whitespace().collect();
        self.statement_of(scope, &format!("`{}` {what}", words.join(" ")))
    }

    fn statement_of(&self, scope: Scope<'_, 'p>, what: &str) -> String {
        let file = self.library.source(scope.site).map_or("", |(file, _)| file);
        format!("{what} ({file}:{})", scope.site.line)
    }
}

/// The site of a step, or that of what it is a part of.
const fn own(site: Site, around: Site) -> Site {
    if site.end == 0 {
        around
    } else {
        site
    }
}

fn heads(collect: &Collect) -> impl Iterator<Item = &Expr> {
    collect.key.iter().chain([&collect.value])
}

fn integer(value: &Value) -> Option<i64> {
    match value {
        Value::Number(number) => number.as_i64(),
        _ => None,
    }
}
