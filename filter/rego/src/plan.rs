//! What a policy is compiled to: for each document its rules, for each rule the steps of its bodies,
//! with every name in its place. It is walked as it stands.

mod guards;
mod visit;

use std::cmp::Reverse;
use std::collections::BTreeSet;
use std::sync::Arc;

use everycall_rego_values::{Builtin, Value};

use crate::hir::{Collected, Operator, Path, Site};
use crate::library::{DROPPED, DROPPED_EACH};
pub(crate) use guards::{constants, Fit, Form, Guard, Operand, Rank};

/// A place in the frame of the rule that is evaluated.
pub(crate) type Register = usize;
/// A document's place in the plan.
pub(crate) type DocumentId = usize;

/// A compiled policy.
pub struct Plan {
    pub(crate) documents: Vec<Document>,
    /// Paths below `input` that are read, each once. A path stands for all below it.
    pub(crate) inputs: Vec<Path>,
    /// Where each of them is read first.
    pub(crate) input_sites: Vec<Site>,
    /// Statements that are nothing but a read of one of them.
    pub(crate) conditions: BTreeSet<(Site, usize)>,
    /// Paths below `data` that hold no rules, and what stands there.
    pub(crate) bases: Vec<(Path, Option<Value>)>,
    /// Where each of them is read first.
    pub(crate) base_sites: Vec<Site>,
    /// Parts of the tree of rules that are read as a whole.
    pub(crate) nodes: Vec<Node>,
    pub(crate) entries: Vec<Option<DocumentId>>,
    pub(crate) data: Value,
    pub(crate) reads_now: bool,
}

impl std::fmt::Debug for Plan {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Plan({} documents)", self.documents.len())
    }
}

impl Plan {
    /// Drops some of it, after which it answers nothing any more: to drop all of a large one at once would take
    /// long. Whether there is more.
    pub fn take_apart(&mut self) -> bool {
        let mut dropped: usize = 0;
        while dropped < DROPPED {
            let Some(document) = self.documents.last_mut() else { return false };
            match document.rules.pop() {
                Some(rule) => dropped = dropped.saturating_add(rule.bytes()),
                None => drop(self.documents.pop()),
            }
            dropped = dropped.saturating_add(DROPPED_EACH);
        }
        true
    }

    /// The paths below `input` that it reads, each with the place that reads it first: the slots of its
    /// facts. A path stands for all below it, and the empty one for all of `input`.
    pub fn inputs(&self) -> impl Iterator<Item = (&[Arc<str>], Site)> {
        self.inputs.iter().zip(&self.input_sites).map(|(path, site)| (&**path, *site))
    }

    /// The paths below `data` that it reads and where nothing stands, each with the place that reads it first.
    pub fn absent(&self) -> impl Iterator<Item = (&[Arc<str>], Site)> {
        let all = self.bases.iter().zip(&self.base_sites);
        all.filter(|((_, value), _)| value.is_none()).map(|((path, _), site)| (&**path, *site))
    }

    /// The path of a slot.
    pub fn input(&self, slot: usize) -> Option<&[Arc<str>]> {
        self.inputs.get(slot).map(|path| &**path)
    }

    /// Statements that are nothing but a read of `input`, each with its slot.
    pub fn conditions(&self) -> impl Iterator<Item = (Site, usize)> + '_ {
        self.conditions.iter().copied()
    }

    /// Whether it reads the time by `time.now_ns`.
    pub const fn reads_now(&self) -> bool {
        self.reads_now
    }
}

/// All rules of one path, or what they come to below keys that are known when it is read.
pub(crate) struct Document {
    /// Below `data`.
    pub(crate) path: Path,
    pub(crate) kind: Kind,
    /// The same document without keys, if that is read as well.
    pub(crate) whole: Option<DocumentId>,
    pub(crate) rules: Vec<Rule>,
    /// Whether the first rule that holds decides: all come to one constant. `None` if that depends on which of
    /// them are tried.
    pub(crate) one_is_enough: Option<bool>,
    /// The order in which rules are tried depends on which of their branches may hold.
    pub(crate) is_order_open: bool,
    /// What it is where no rule holds.
    pub(crate) default: Option<Rule>,
    /// A function of which some calls say what it must come to. What one call found is then known to all.
    pub(crate) is_given: bool,
}

impl Document {
    pub(crate) const fn complete(path: Path, rules: Vec<Rule>) -> Self {
        Self {
            path,
            kind: Kind::Complete,
            whole: None,
            rules,
            one_is_enough: None,
            is_order_open: false,
            default: None,
            is_given: false,
        }
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    /// One value.
    Complete,
    /// A set to which rules add.
    Set,
    /// An object to which rules add.
    Object,
    /// Of so many arguments.
    Function(usize),
}

/// One definition.
pub(crate) struct Rule {
    /// Registers it needs.
    pub(crate) frame: usize,
    /// Of a function, or the keys of its head where the document is read by keys.
    pub(crate) arguments: Vec<Pattern>,
    /// The body, and each `else`.
    pub(crate) branches: Vec<Branch>,
    /// Adds an element to a set.
    pub(crate) contains: bool,
}

impl Rule {
    /// How long its text is.
    fn bytes(&self) -> usize {
        let sites = self.branches.iter().map(|branch| branch.site);
        let bytes = |site: Site| usize::try_from(site.end.saturating_sub(site.start)).unwrap_or(usize::MAX);
        sites.fold(0, |sum: usize, site| sum.saturating_add(bytes(site)))
    }
}

pub(crate) struct Branch {
    pub(crate) site: Site,
    pub(crate) guards: Vec<Guard>,
    /// The last part of its rank: it is found behind what the index goes no further for.
    pub(crate) last: Option<(Reverse<usize>, Fit)>,
    pub(crate) steps: Vec<Step>,
    /// Keys below the document.
    pub(crate) tail: Vec<Expr>,
    pub(crate) value: Expr,
}

impl Branch {
    /// What it comes to, where that does not depend on anything.
    pub(crate) fn constant(&self) -> Option<&Value> {
        match &self.value {
            Expr::Const(value) => Some(value),
            _ => None,
        }
    }
}

/// One step of a body.
pub(crate) struct Step {
    pub(crate) kind: StepKind,
    pub(crate) site: Site,
    /// A guard of its rule says the same.
    pub(crate) guarded: bool,
}

pub(crate) enum StepKind {
    /// Goes on if it is defined and not false.
    Test(Expr),
    /// Goes on if it is defined.
    Let(Register, Expr),
    /// Goes on if it is defined and of this form.
    Match(Pattern, Expr),
    /// Goes on for each member that is of this form.
    Scan { over: Expr, key: Pattern, value: Pattern },
    /// Goes on for each `[path, value]` of it and all below it.
    Walk { over: Expr, result: Pattern },
    /// Goes on if it has no solution.
    Not(Vec<Step>),
    /// Goes on if it has a solution for each member.
    Every { domain: Expr, key: Option<Register>, value: Register, body: Vec<Step> },
    /// Goes on for each solution of these with the replacements, and without them from there on.
    With(Vec<With>, Vec<Step>),
}

/// What `with` replaces.
pub(crate) enum With {
    Input(Path, Expr),
    Data(Path, Expr),
    /// A function by its number.
    Value(usize, Expr),
    Function(usize, Callee),
}

/// An expression: it has one value, or none.
pub(crate) enum Expr {
    Const(Value),
    Local(Register),
    /// What is read of `input`, by its place in `inputs`.
    Input(usize),
    /// What is read of `data` where no rule stands, by its place in `bases`.
    Base(usize),
    Document(DocumentId),
    /// What stands at these keys of a document to which rules add: they are given to the rules, which make
    /// nothing else then.
    Member(DocumentId, Vec<Expr>),
    /// A node of the tree of rules, or what the keys find from there.
    Node(usize, Vec<Expr>),
    /// What the keys find. In base data, which OPA keeps in a store, by the keys' texts.
    Get {
        base: Box<Expr>,
        keys: Vec<Expr>,
        stored: bool,
    },
    Array(Vec<Expr>),
    Set(Vec<Expr>),
    Object(Vec<(Expr, Expr)>),
    Collect(Collected, Box<Collect>),
    Operator(Operator, Box<(Expr, Expr)>),
    Call(Box<Call>),
    /// `key, value in collection`.
    In(Box<(Option<Expr>, Expr, Expr)>),
}

pub(crate) struct Collect {
    pub(crate) steps: Vec<Step>,
    /// Of an object, the key.
    pub(crate) key: Option<Expr>,
    pub(crate) value: Expr,
}

pub(crate) struct Call {
    pub(crate) callee: Callee,
    pub(crate) arguments: Vec<Expr>,
    /// Its number among the functions that `with` replaces.
    pub(crate) mock: Option<usize>,
    /// What it must come to: a definition of a function that comes to something else does not hold.
    pub(crate) given: Option<Expr>,
}

#[derive(Clone, Copy)]
pub(crate) enum Callee {
    Builtin(&'static Builtin),
    Rule(DocumentId),
    Now,
}

/// What a value must be.
pub(crate) enum Pattern {
    Any,
    Bind(Register),
    Equal(Expr),
    Array(Vec<Pattern>),
    /// Exactly these keys.
    Object(Vec<(Expr, Pattern)>),
}

/// A node of the tree of rules.
pub(crate) struct Node {
    /// Below `data`.
    pub(crate) path: Path,
    /// By name, in order.
    pub(crate) children: Vec<(Arc<str>, Child)>,
}

impl Node {
    /// What stands at a name.
    pub(crate) fn child(&self, name: &str) -> Option<Child> {
        let at = self.children.binary_search_by(|(known, _)| (**known).cmp(name)).ok()?;
        self.children.get(at).map(|(_, child)| *child)
    }
}

#[derive(Clone, Copy)]
pub(crate) enum Child {
    /// Also by the keys behind it, if rules add to it and keys are there.
    Document(DocumentId, Option<(DocumentId, usize)>),
    Node(usize),
}
