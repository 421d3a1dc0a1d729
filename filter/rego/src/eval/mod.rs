//! The evaluation of a plan: documents on demand, each once; bodies step by step, with a way back where
//! a step has several results.

mod bodies;
mod calls;
mod documents;
mod expressions;
mod replaced;
mod rules;
mod tree;

use std::cmp::Reverse;
use std::collections::BTreeMap;
use std::sync::Arc;

use everycall_rego_values::{
    arithmetic, set_and, set_or, Budget, Failure, Number, Object, Set, Value, MAX_DEPTH as VALUE_DEPTH,
};

use crate::facts::Facts;
use crate::hir::{Collected, Operator, Path, Site};
use crate::lower::descend;
use crate::plan::{
    Branch, Call, Callee, Child, Collect, Document, DocumentId, Expr, Fit, Kind, Operand, Pattern, Plan,
    Rank, Register, Rule, Step, StepKind, With,
};
use crate::trace::Watch;
pub(crate) use tree::stored;

/// Room for the registers of the first rules.
const FRAMES: usize = 32;

/// Evaluations inside each other. Each takes some frames of the module's stack of 1 MB.
const MAX_DEPTH: usize = 200;

/// Why an evaluation has no result.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Halt {
    /// It takes more than it may. What of.
    Limit(&'static str),
    /// One place has two values. The document, below `data`.
    Conflict(String),
}

impl std::fmt::Display for Halt {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Limit(what) => write!(f, "it takes too {what}"),
            Self::Conflict(path) => write!(f, "`{path}` has two values"),
        }
    }
}

/// The only failure of what takes from a budget.
fn spent(_: Failure) -> Halt {
    Halt::Limit("much work")
}

type Outcome<T> = Result<T, Halt>;

/// Whether to look for more solutions.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Flow {
    More,
    Enough,
}

/// What is done with each solution.
type Then<'t, 'p> = &'t mut dyn FnMut(&mut Vm<'p>) -> Outcome<Flow>;

impl Plan {
    /// Whether anything stands at this entry.
    pub fn has(&self, entry: usize) -> bool {
        self.entries.get(entry).is_some_and(Option::is_some)
    }

    /// The value of an entry, whose reading is paid; `None` if it is undefined. What is left of the budget stays
    /// in it.
    ///
    /// # Errors
    /// A limit, or two values at one place.
    pub fn evaluate(
        &self,
        entry: usize,
        facts: &dyn Facts,
        budget: &mut Budget,
    ) -> Result<Option<Value>, Halt> {
        let Some(Some(document)) = self.entries.get(entry) else { return Ok(None) };
        let mut vm = Vm::new(self, facts, budget.clone());
        let value = vm.whole_document(*document);
        *budget = vm.budget;
        let value = value?;
        value.iter().try_for_each(|value| budget.charge_size(value)).map_err(spent)?;
        Ok(value)
    }

    /// Evaluates an entry while it is watched. How it ends does not matter.
    pub(crate) fn watched(
        &self,
        entry: usize,
        facts: &dyn Facts,
        budget: &mut Budget,
        watch: Watch,
    ) -> Watch {
        let Some(Some(document)) = self.entries.get(entry) else { return watch };
        let mut vm = Vm::new(self, facts, budget.clone());
        vm.watch = Some(Box::new(watch));
        vm.guards_say_all = false;
        // A limit ends it here where it ends the decision.
        let _ = vm.document(*document);
        vm.watch.map(|watch| *watch).unwrap_or_default()
    }
}

/// What `data` is while `with` replaces parts of it.
#[derive(Clone)]
struct ReplacedData {
    paths: Vec<Path>,
    data: Value,
    bases: Vec<Option<Value>>,
}

impl ReplacedData {
    /// Whether what stands at this path was put there, and is of no store.
    fn puts(&self, at: &[Arc<str>]) -> bool {
        self.paths.iter().any(|path| at.starts_with(path))
    }
}

/// What a function is replaced by.
#[derive(Clone)]
enum Mock {
    Value(Value),
    Callee(Callee),
}

struct Vm<'p> {
    plan: &'p Plan,
    facts: &'p dyn Facts,
    /// By the plan's paths below `input`: what is read there while `with` replaces something of it.
    inputs: Option<Vec<Option<Value>>>,
    replaced: Option<Box<ReplacedData>>,
    /// By document: its value, once it is known. Empty before the first one is.
    memo: Vec<Option<Option<Value>>>,
    /// By document and keys below it, or a function's arguments: the same.
    members: BTreeMap<(DocumentId, Vec<Value>), Option<Value>>,
    registers: Vec<Value>,
    /// Where the frame of the rule that is evaluated begins.
    base: usize,
    depth: usize,
    mocks: Vec<(usize, Mock)>,
    budget: Budget,
    watch: Option<Box<Watch>>,
    /// Statements that a guard has said need not be evaluated: nobody watches, and no guard let more pass.
    guards_say_all: bool,
}

impl<'p> Vm<'p> {
    fn new(plan: &'p Plan, facts: &'p dyn Facts, budget: Budget) -> Self {
        Self {
            plan,
            facts,
            inputs: None,
            replaced: None,
            memo: Vec::new(),
            members: BTreeMap::new(),
            registers: Vec::new(),
            base: 0,
            depth: 0,
            mocks: Vec::new(),
            budget,
            watch: None,
            guards_say_all: true,
        }
    }

    /// Takes a step.
    fn step(&mut self) -> Outcome<()> {
        match self.budget.steps.checked_sub(1) {
            Some(left) => {
                self.budget.steps = left;
                Ok(())
            }
            None => Err(Halt::Limit("many steps")),
        }
    }

    fn charge(&mut self, work: usize) -> Outcome<()> {
        self.budget.charge(work).map_err(spent)
    }

    fn enter(&mut self) -> Outcome<()> {
        self.step()?;
        self.depth = self.depth.saturating_add(1);
        match self.depth {
            0..=MAX_DEPTH => Ok(()),
            _ => Err(Halt::Limit("many evaluations inside each other")),
        }
    }

    fn leave(&mut self) {
        self.depth = self.depth.saturating_sub(1);
    }

    fn local(&self, register: Register) -> Option<&Value> {
        self.registers.get(self.base.saturating_add(register))
    }

    fn set(&mut self, register: Register, value: Value) {
        if let Some(place) = self.registers.get_mut(self.base.saturating_add(register)) {
            *place = value;
        }
    }

    /// What is read of `input` at one of the plan's paths.
    fn input(&self, slot: usize) -> Option<&Value> {
        match &self.inputs {
            Some(replaced) => replaced.get(slot)?.as_ref(),
            None => self.facts.fact(slot),
        }
    }

    /// A fact that need not be cloned.
    fn lent(&self, expr: &Expr) -> Option<&'p Value> {
        match (expr, &self.inputs) {
            (Expr::Input(slot), None) => self.facts.fact(*slot),
            _ => None,
        }
    }

    fn base(&self, slot: usize) -> Option<&Value> {
        match &self.replaced {
            Some(replaced) => replaced.bases.get(slot)?.as_ref(),
            None => self.plan.bases.get(slot)?.1.as_ref(),
        }
    }
}

#[cfg(test)]
mod tests;
