//! What a policy is compiled to: for each document its rules, for each rule the steps of its bodies,
//! with every name in its place. It is walked as it stands.

use std::cmp::Reverse;
use std::collections::BTreeSet;
use std::sync::Arc;

use everycall_rego_values::{Builtin, Value};

use crate::hir::{Collected, Operator, Path, Site};
use crate::library::{DROPPED, DROPPED_EACH};
use crate::lower::glob::split;

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

/// What must be there, or be of a form, before anything else of a body is tried: as OPA's index does.
pub(crate) struct Guard {
    /// The place of its operand among those that are asked about in the document.
    pub(crate) level: usize,
    pub(crate) operand: Operand,
    /// Of which it must have one.
    pub(crate) forms: Vec<Form>,
    /// A text is also taken as the array of its parts between these, each by itself.
    pub(crate) delimiters: Vec<String>,
}

/// Where a branch is found: how it fits by level. What asks nothing on a level is before what does.
pub(crate) type Rank = Vec<(Reverse<usize>, Fit)>;

/// What a guard asks for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Form {
    Any,
    /// This scalar, or a collection that has it as a member: OPA's index keeps both in one place.
    Scalar(Value),
    /// An array of so many items, some of which are constants.
    Array(Vec<Option<Value>>),
}

/// How a value fits a guard, in the order in which OPA's index finds rules by that.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Fit {
    No,
    Any,
    /// By which of its items are constants.
    Array(u64),
    Scalar,
    /// A collection that has the scalar at this place.
    Member(usize),
    /// A text whose parts are the array.
    Parts(u64),
    /// A text that has the scalar as a part.
    Part,
}

impl Fit {
    /// It is what a guard of one form asks for, and not only something that the index takes for it.
    pub(crate) const fn is_all(self) -> bool {
        matches!(self, Self::Any | Self::Array(_) | Self::Scalar)
    }
}

impl Guard {
    /// How a value fits, and the work of finding out. Constants are small.
    #[inline]
    pub(crate) fn fits(&self, value: &Value) -> (Fit, usize) {
        match self.forms.as_slice() {
            [Form::Any] => (Fit::Any, 0),
            [Form::Scalar(constant)] if value.is_scalar() && self.delimiters.is_empty() => {
                (if value == constant { Fit::Scalar } else { Fit::No }, 0)
            }
            [Form::Array(items)] if self.delimiters.is_empty() => (fits_array(items, value), items.len()),
            _ => (self.fits_some(value), self.work(value)),
        }
    }

    fn fits_some(&self, value: &Value) -> Fit {
        let as_is = |form: &Form| match form {
            Form::Any => Fit::Any,
            Form::Scalar(constant) if value == constant => Fit::Scalar,
            Form::Scalar(constant) => value.place_of(constant).map_or(Fit::No, Fit::Member),
            Form::Array(items) => fits_array(items, value),
        };
        match (first(self.forms.iter().map(as_is)), value.as_str()) {
            (Fit::No, Some(text)) if !self.delimiters.is_empty() => self.fits_parts(text),
            (fit, _) => fit,
        }
    }

    fn fits_parts(&self, text: &str) -> Fit {
        let sets = || self.delimiters.iter();
        let in_parts = |form: &Form| match form {
            Form::Any => Fit::Any,
            Form::Scalar(constant) => {
                let is_part = |set: &String| split(text, set).any(|part| constant.as_str() == Some(part));
                if sets().any(is_part) {
                    Fit::Part
                } else {
                    Fit::No
                }
            }
            Form::Array(items) => {
                let are_parts = |set: &String| {
                    are_items(items, split(text, set), |item, part| item.as_str() == Some(part))
                };
                if sets().any(are_parts) {
                    Fit::Parts(constants(items))
                } else {
                    Fit::No
                }
            }
        };
        first(self.forms.iter().map(in_parts))
    }

    fn work(&self, value: &Value) -> usize {
        let form = |form: &Form| match form {
            Form::Any => 0,
            Form::Scalar(_) => value.members(),
            Form::Array(items) => items.len(),
        };
        let text = value.as_str().map_or(0, str::len).saturating_mul(self.delimiters.len());
        self.forms.iter().fold(text, |work, each| work.saturating_add(form(each)))
    }
}

/// By which of several forms a rule is found first.
fn first(fits: impl Iterator<Item = Fit>) -> Fit {
    fits.filter(|fit| *fit != Fit::No).min().unwrap_or(Fit::No)
}

/// Which items are constants, a bit for each of the first ones: what may be anything is found before.
pub(crate) fn constants(items: &[Option<Value>]) -> u64 {
    items.iter().take(64).fold(0, |bits, item| (bits << 1) | u64::from(item.is_some()))
}

fn fits_array(items: &[Option<Value>], value: &Value) -> Fit {
    match value {
        Value::Array(values) if are_items(items, values.iter(), |item, value| item == value) => {
            Fit::Array(constants(items))
        }
        _ => Fit::No,
    }
}

/// Whether there are so many items, and each is what is asked of it.
fn are_items<T>(
    asked: &[Option<Value>],
    mut items: impl Iterator<Item = T>,
    is_it: impl Fn(&Value, T) -> bool,
) -> bool {
    let each = |asked: &Option<Value>| {
        items.next().is_some_and(|item| asked.as_ref().is_none_or(|asked| is_it(asked, item)))
    };
    asked.iter().all(each) && items.next().is_none()
}

/// What a guard looks at: a slot, and constant keys below it.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Operand {
    Input(usize, Vec<Value>),
    Base(usize, Vec<Value>),
    Argument(usize),
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

impl Branch {
    /// Calls `on_step` for each step, and `on_expr` for each expression, also inside of others: of negations,
    /// comprehensions and heads.
    pub(crate) fn visit<'p>(&'p self, on_step: &mut dyn FnMut(&'p Step), on_expr: &mut dyn FnMut(&'p Expr)) {
        visit_steps(&self.steps, on_step, on_expr);
        self.tail.iter().chain([&self.value]).for_each(|expr| visit(expr, on_step, on_expr));
    }
}

fn visit_steps<'p>(steps: &'p [Step], on_step: &mut dyn FnMut(&'p Step), on_expr: &mut dyn FnMut(&'p Expr)) {
    for step in steps {
        on_step(step);
        match &step.kind {
            StepKind::Test(expr) | StepKind::Let(_, expr) => visit(expr, on_step, on_expr),
            StepKind::Match(pattern, expr) | StepKind::Walk { over: expr, result: pattern } => {
                visit(expr, on_step, on_expr);
                pattern.visit(on_step, on_expr);
            }
            StepKind::Scan { over, key, value } => {
                visit(over, on_step, on_expr);
                key.visit(on_step, on_expr);
                value.visit(on_step, on_expr);
            }
            StepKind::Not(inner) => visit_steps(inner, on_step, on_expr),
            StepKind::Every { domain, body, .. } => {
                visit(domain, on_step, on_expr);
                visit_steps(body, on_step, on_expr);
            }
            StepKind::With(replaced, inner) => {
                for with in replaced {
                    if let With::Input(_, value) | With::Data(_, value) | With::Value(_, value) = with {
                        visit(value, on_step, on_expr);
                    }
                }
                visit_steps(inner, on_step, on_expr);
            }
        }
    }
}

fn visit<'p>(expr: &'p Expr, on_step: &mut dyn FnMut(&'p Step), on_expr: &mut dyn FnMut(&'p Expr)) {
    on_expr(expr);
    if let Expr::Collect(_, collect) = expr {
        visit_steps(&collect.steps, on_step, on_expr);
        collect.key.iter().chain([&collect.value]).for_each(|head| visit(head, on_step, on_expr));
    }
    expr.parts(&mut |part| visit(part, on_step, on_expr));
}

impl Pattern {
    fn visit<'p>(&'p self, on_step: &mut dyn FnMut(&'p Step), on_expr: &mut dyn FnMut(&'p Expr)) {
        match self {
            Self::Any | Self::Bind(_) => {}
            Self::Equal(expr) => visit(expr, on_step, on_expr),
            Self::Array(items) => items.iter().for_each(|item| item.visit(on_step, on_expr)),
            Self::Object(members) => members.iter().for_each(|(key, value)| {
                visit(key, on_step, on_expr);
                value.visit(on_step, on_expr);
            }),
        }
    }
}

impl Expr {
    /// Calls `each` for the expressions that this one is made of; of a comprehension for none.
    pub(crate) fn parts<'p>(&'p self, each: &mut dyn FnMut(&'p Expr)) {
        match self {
            Self::Const(_)
            | Self::Local(_)
            | Self::Input(_)
            | Self::Base(_)
            | Self::Document(_)
            | Self::Collect(..) => {}
            Self::Member(_, items) | Self::Node(_, items) | Self::Array(items) | Self::Set(items) => {
                items.iter().for_each(each);
            }
            Self::Get { base, keys, .. } => {
                each(base);
                keys.iter().for_each(each);
            }
            Self::Object(members) => members.iter().for_each(|(key, value)| {
                each(key);
                each(value);
            }),
            Self::Operator(_, sides) => {
                each(&sides.0);
                each(&sides.1);
            }
            Self::Call(call) => call.arguments.iter().chain(&call.given).for_each(each),
            Self::In(parts) => {
                let (key, value, collection) = &**parts;
                key.iter().chain([value, collection]).for_each(each);
            }
        }
    }

    /// Calls `each` for this expression and all inside of it, but for what is in comprehensions.
    pub(crate) fn each<'p>(&'p self, each: &mut dyn FnMut(&'p Expr)) {
        each(self);
        self.parts(&mut |part| part.each(each));
    }
}
