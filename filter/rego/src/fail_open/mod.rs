//! Where a policy says yes because something failed: what stands under `not`, in an emptiness test, in the
//! domain of `every`, before an `else` or in place of a default must not be able to fail or to be undefined.
//! An error skips its body, so that a rule that should have said no is silent, and its negation holds.
//!
//! Two questions go down the plan together. What is **made**, comes to hold because something failed; what is
//! **lost**, does not hold because something failed. Each turns into the other under a negation.

mod facts;
mod known;

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

/// What an expression's value is used for.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Use {
    /// The body goes on unless it is false.
    Condition,
    /// It is, or is part of, what the rule comes to.
    Result,
    Other,
}

/// What can fail.
type Why = Option<String>;

impl<'p> Look<'p> {
    fn note(&mut self, scope: Scope<'_, 'p>, what: Denial, why: Why) {
        self.found.extend(why.map(|why| FailOpen { site: scope.site, what, why }));
    }

    // What is made.

    fn made_document(&mut self, id: DocumentId) {
        let Some(document) = self.plan.documents.get(id) else { return };
        if !self.made.insert(id) {
            return;
        }
        let decides = document.path.last().is_some_and(|name| matches!(&**name, "decision" | "allow"));
        for rule in document.rules.iter().chain(&document.default) {
            for branch in &rule.branches {
                let origins = Origins::of(branch);
                let mut facts = Facts::default();
                facts.learn(self.plan, &origins, &branch.steps);
                let scope = Scope { facts: &facts, origins: &origins, site: branch.site };
                self.made_steps(scope, &branch.steps);
                let heads = branch.tail.iter().chain([&branch.value]);
                heads.for_each(|head| self.made_expr(scope, head, Use::Result));
            }
            if decides {
                self.made_by_else(rule);
            }
        }
    }

    /// What follows an `else` holds because what is before it did not.
    fn made_by_else(&mut self, rule: &'p Rule) {
        let mut rest = rule.branches.as_slice();
        while let Some((branch, after)) = rest.split_first() {
            rest = after;
            let denies = !matches!(Verdict::of(&branch.value), Verdict::Yes);
            if denies && after.iter().any(|later| !matches!(Verdict::of(&later.value), Verdict::No)) {
                let why = self.lost_branch(rule, branch, &Facts::default(), &[]);
                let (facts, origins) = (Facts::default(), Origins::of(branch));
                let scope = Scope { facts: &facts, origins: &origins, site: branch.site };
                self.note(scope, Denial::Else, why);
            }
        }
    }

    fn made_steps(&mut self, around: Scope<'_, 'p>, steps: &'p [Step]) {
        let tested = self.tested(around, steps);
        let negated = facts::negated(steps);
        for step in steps {
            let scope = Scope { site: own(step.site, around.site), ..around };
            match &step.kind {
                StepKind::Let(_, expr) if negated.contains(&step.site) => {
                    let why = self.lost_expr(scope, expr);
                    let why = why.or_else(|| self.contents(scope, expr));
                    self.note(scope, Denial::Operand, why);
                }
                StepKind::Let(register, _) if tested.contains(register) => {}
                StepKind::Test(expr) => self.made_expr(scope, expr, Use::Condition),
                StepKind::Let(_, expr) | StepKind::Match(_, expr) => self.made_expr(scope, expr, Use::Other),
                StepKind::Scan { over, .. } | StepKind::Walk { over, .. } => {
                    self.made_expr(scope, over, Use::Other);
                }
                StepKind::Not(inner) => {
                    let why = self.lost_steps(scope, inner);
                    self.note(scope, Denial::Not, why);
                }
                StepKind::Every { domain, body, .. } => {
                    let why = self.contents(scope, domain);
                    self.note(scope, Denial::Every, why);
                    let mut facts = scope.facts.clone();
                    facts.learn(self.plan, scope.origins, body);
                    self.made_steps(Scope { facts: &facts, ..scope }, body);
                }
                StepKind::With(replaced, inner) => {
                    let known = self.replaced.len();
                    self.replace(replaced);
                    self.made_steps(scope, inner);
                    self.replaced.truncate(known);
                }
            }
        }
    }

    /// Registers that are compared with nothing: what they were given is denied where that is done.
    fn tested(&self, scope: Scope<'_, 'p>, steps: &'p [Step]) -> BTreeSet<usize> {
        let mut found = BTreeSet::new();
        let mut open: Vec<&Expr> = steps
            .iter()
            .filter_map(|step| match &step.kind {
                StepKind::Test(Expr::Operator(operator, sides)) => {
                    Some(denied_contents(scope, *operator, &sides.0, &sides.1)?.1)
                }
                StepKind::Every { domain, .. } => Some(domain),
                _ => None,
            })
            .collect();
        while let Some(expr) = open.pop() {
            expr.each(&mut |inner| {
                if let Expr::Local(register) = inner {
                    if found.insert(*register) {
                        open.extend(scope.origins.given(*register));
                    }
                }
            });
        }
        found
    }

    /// What comes to be something else because something failed.
    fn made_expr(&mut self, scope: Scope<'_, 'p>, expr: &'p Expr, used: Use) {
        let by_default = match used {
            Use::Condition => self.default_that(scope, expr, &|value| *value != Value::Bool(false)),
            Use::Result => self.default_that(scope, expr, &|value| *value == Value::Bool(true)),
            Use::Other => None,
        };
        self.note(scope, Denial::Default, by_default);
        match expr {
            Expr::Const(_) | Expr::Input(_) | Expr::Base(_) => {}
            // What gives a register its value is a step of its own.
            Expr::Local(_) => match scope.origins.behind(expr) {
                Expr::Local(_) => {}
                result if used == Use::Result => self.made_expr(scope, result, used),
                _ => {}
            },
            Expr::Document(id) => self.made_document(*id),
            Expr::Member(id, keys) => {
                self.made_document(*id);
                keys.iter().for_each(|key| self.made_expr(scope, key, Use::Other));
            }
            Expr::Node(node, keys) => {
                self.plan.below(*node).into_iter().for_each(|id| self.made_document(id));
                keys.iter().for_each(|key| self.made_expr(scope, key, Use::Other));
            }
            Expr::Get { base, keys, .. } => {
                self.made_expr(scope, base, Use::Other);
                keys.iter().for_each(|key| self.made_expr(scope, key, Use::Other));
            }
            Expr::Array(items) | Expr::Set(items) => {
                items.iter().for_each(|item| self.made_expr(scope, item, inner(used)));
            }
            Expr::Object(members) => members.iter().for_each(|(key, value)| {
                self.made_expr(scope, key, Use::Other);
                self.made_expr(scope, value, inner(used));
            }),
            Expr::Collect(_, collect) => {
                let mut facts = scope.facts.clone();
                facts.learn(self.plan, scope.origins, &collect.steps);
                let scope = Scope { facts: &facts, ..scope };
                self.made_steps(scope, &collect.steps);
                heads(collect).for_each(|head| self.made_expr(scope, head, Use::Other));
            }
            Expr::Operator(operator, sides) => self.made_operator(scope, *operator, &sides.0, &sides.1),
            Expr::Call(call) => {
                if let Callee::Rule(id) = call.callee {
                    self.made_document(id);
                }
                call.arguments.iter().for_each(|argument| self.made_expr(scope, argument, Use::Other));
            }
            Expr::In(parts) => {
                let (key, value, collection) = &**parts;
                if let (None, Expr::Const(all)) = (key, collection) {
                    let why = self.default_that(scope, value, &|value| all.has_member(value));
                    self.note(scope, Denial::Default, why);
                }
                key.iter()
                    .chain([value, collection])
                    .for_each(|part| self.made_expr(scope, part, Use::Other));
            }
        }
    }

    fn made_operator(&mut self, scope: Scope<'_, 'p>, operator: Operator, left: &'p Expr, right: &'p Expr) {
        let tested = denied_contents(scope, operator, left, right);
        if let Some((what, tested)) = tested {
            if let Some(why) = self.contents(scope, tested) {
                return self.note(scope, what, Some(why));
            }
        }
        for (side, other) in [(left, right), (right, left)] {
            let Expr::Const(constant) = scope.origins.behind(other) else { continue };
            let why = match operator {
                Operator::Equal => self.default_that(scope, side, &|value| value == constant),
                Operator::NotEqual => self.default_that(scope, side, &|value| value != constant),
                _ => None,
            };
            if why.is_some() {
                return self.note(scope, Denial::Default, why);
            }
        }
        // What is denied is not made.
        let denied = tested.filter(|(what, tested)| {
            *what == Denial::Emptiness || matches!(scope.origins.behind(tested), Expr::Call(_))
        });
        for side in [left, right] {
            if denied.is_none_or(|(_, tested)| !std::ptr::eq(tested, side)) {
                self.made_expr(scope, side, Use::Other);
            }
        }
    }

    /// A rule that is such a value by default or by an `else`, while a body before it that would come to another
    /// can be lost.
    fn default_that(
        &mut self,
        scope: Scope<'_, 'p>,
        expr: &'p Expr,
        is_such: &dyn Fn(&Value) -> bool,
    ) -> Why {
        let (id, kinds) = match scope.origins.behind(expr) {
            Expr::Document(id) => (*id, Vec::new()),
            Expr::Call(call) => match call.callee {
                Callee::Rule(id) => (id, self.kinds(scope, &call.arguments)),
                _ => return None,
            },
            _ => return None,
        };
        let document = self.plan.documents.get(id)?;
        let facts = scope.facts.outside();
        let such = |branch: &Branch| match &branch.value {
            Expr::Const(value) => is_such(value),
            _ => false,
        };
        let is_default_such = document.default.iter().flat_map(|rule| &rule.branches).any(such);
        for rule in &document.rules {
            let last = rule.branches.iter().rposition(such).filter(|_| !is_default_such);
            let before = if is_default_such { rule.branches.len() } else { last.unwrap_or(0) };
            let mut others = rule.branches.iter().take(before).filter(|branch| !such(branch));
            let why = others.find_map(|branch| self.lost_branch(rule, branch, &facts, &kinds));
            if why.is_some() {
                return why;
            }
        }
        None
    }

    // What is lost.

    /// Whether any body of a document can fail instead of saying no.
    fn lost_document(&mut self, id: DocumentId, facts: &Facts, kinds: Vec<Kind>) -> Why {
        let key = (id, kinds, facts.outside());
        if let Some(known) = self.lost.get(&key) {
            return known.clone();
        }
        let document = self.plan.documents.get(id)?;
        let branches =
            document.rules.iter().flat_map(|rule| rule.branches.iter().map(move |branch| (rule, branch)));
        let why = { branches }.find_map(|(rule, branch)| self.lost_branch(rule, branch, &key.2, &key.1));
        self.lost.insert(key, why.clone());
        why
    }

    fn lost_branch(&mut self, rule: &'p Rule, branch: &'p Branch, facts: &Facts, kinds: &[Kind]) -> Why {
        if self.left == 0 {
            return Some("the rules are too many to be looked through".to_owned());
        }
        self.left = self.left.saturating_sub(1);
        let origins = Origins::of(branch);
        let mut facts = facts.clone();
        facts.arguments(&rule.arguments, kinds);
        facts.learn_kinds(self.plan, &origins, &branch.steps);
        let scope = Scope { facts: &facts, origins: &origins, site: branch.site };
        let why = self.lost_steps(scope, &branch.steps);
        why.or_else(|| branch.tail.iter().chain([&branch.value]).find_map(|head| self.lost_expr(scope, head)))
    }

    fn lost_steps(&mut self, scope: Scope<'_, 'p>, steps: &'p [Step]) -> Why {
        steps
            .iter()
            .find_map(|step| self.lost_step(Scope { site: own(step.site, scope.site), ..scope }, step))
    }

    fn lost_step(&mut self, scope: Scope<'_, 'p>, step: &'p Step) -> Why {
        match &step.kind {
            StepKind::Test(expr) | StepKind::Let(_, expr) => self.lost_expr(scope, expr),
            StepKind::Match(pattern, expr) => {
                self.lost_expr(scope, expr).or_else(|| self.lost_pattern(scope, pattern))
            }
            StepKind::Scan { over, key, value } => {
                let why = self.collection(scope, over).or_else(|| self.lost_pattern(scope, key));
                why.or_else(|| self.lost_pattern(scope, value))
            }
            StepKind::Walk { over, result } => {
                self.lost_expr(scope, over).or_else(|| self.lost_pattern(scope, result))
            }
            // It is lost where what it denies is made.
            StepKind::Not(inner) => {
                let (found, made) = (std::mem::take(&mut self.found), std::mem::take(&mut self.made));
                self.made_steps(scope, inner);
                self.made = made;
                std::mem::replace(&mut self.found, found).into_iter().next().map(|found| found.why)
            }
            StepKind::Every { domain, body, .. } => {
                let why = self.collection(scope, domain);
                why.or_else(|| {
                    let mut facts = scope.facts.clone();
                    facts.learn_kinds(self.plan, scope.origins, body);
                    self.lost_steps(Scope { facts: &facts, ..scope }, body)
                })
            }
            StepKind::With(replaced, inner) => {
                let values = replaced.iter().filter_map(|with| match with {
                    With::Input(_, value) | With::Data(_, value) | With::Value(_, value) => Some(value),
                    With::Function(..) => None,
                });
                let why = { values }.find_map(|value| self.lost_expr(scope, value));
                why.or_else(|| {
                    let known = self.replaced.len();
                    self.replace(replaced);
                    let why = self.lost_steps(scope, inner);
                    self.replaced.truncate(known);
                    why
                })
            }
        }
    }

    fn lost_pattern(&mut self, scope: Scope<'_, 'p>, pattern: &'p Pattern) -> Why {
        match pattern {
            Pattern::Any | Pattern::Bind(_) => None,
            Pattern::Equal(expr) => self.lost_expr(scope, expr),
            Pattern::Array(items) => items.iter().find_map(|item| self.lost_pattern(scope, item)),
            Pattern::Object(members) => members.iter().find_map(|(key, value)| {
                self.lost_expr(scope, key).or_else(|| self.lost_pattern(scope, value))
            }),
        }
    }

    /// Whether an expression can fail or be undefined. A register has a value, which may have lost members: where
    /// it got none, the body that gave it does not hold.
    fn lost_expr(&mut self, scope: Scope<'_, 'p>, expr: &'p Expr) -> Why {
        match expr {
            Expr::Const(_) => None,
            Expr::Local(_) => self.contents(scope, expr),
            Expr::Input(_) | Expr::Base(_) | Expr::Get { .. } => self.lost_reference(scope, expr),
            Expr::Document(id) => self.lost_document(*id, scope.facts, Vec::new()),
            // That nothing stands at the keys is what the rules say.
            Expr::Member(id, keys) => {
                let why = self.lost_all(scope, keys);
                why.or_else(|| self.lost_document(*id, scope.facts, Vec::new()))
            }
            Expr::Node(node, keys) => {
                let why = self.lost_all(scope, keys);
                let why = why.or_else(|| {
                    self.plan
                        .below(*node)
                        .into_iter()
                        .find_map(|id| self.lost_document(id, scope.facts, Vec::new()))
                });
                why.or_else(|| (!keys.is_empty()).then(|| self.at(scope, expr, "may be absent")))
            }
            Expr::Array(items) | Expr::Set(items) => self.lost_all(scope, items),
            Expr::Object(members) => members
                .iter()
                .find_map(|(key, value)| self.lost_expr(scope, key).or_else(|| self.lost_expr(scope, value))),
            Expr::Collect(_, collect) => {
                let mut facts = scope.facts.clone();
                facts.learn_kinds(self.plan, scope.origins, &collect.steps);
                let scope = Scope { facts: &facts, ..scope };
                let why = self.lost_steps(scope, &collect.steps);
                why.or_else(|| heads(collect).find_map(|head| self.lost_expr(scope, head)))
            }
            Expr::Operator(operator, sides) => self.lost_operator(scope, *operator, &sides.0, &sides.1),
            Expr::Call(call) => self.lost_call(scope, call),
            Expr::In(parts) => {
                let (key, value, collection) = &**parts;
                let why = key.iter().chain([value]).find_map(|part| self.lost_expr(scope, part));
                why.or_else(|| self.collection(scope, collection))
            }
        }
    }

    fn lost_all(&mut self, scope: Scope<'_, 'p>, exprs: &'p [Expr]) -> Why {
        exprs.iter().find_map(|expr| self.lost_expr(scope, expr))
    }

    fn lost_operator(
        &mut self,
        scope: Scope<'_, 'p>,
        operator: Operator,
        left: &'p Expr,
        right: &'p Expr,
    ) -> Why {
        use Operator::{And, Equal, Greater, GreaterOrEqual, Less, LessOrEqual, NotEqual, Or};
        let kinds = (self.kind(scope, left), self.kind(scope, right));
        let wanted = match operator {
            Equal | NotEqual => return self.lost_expr(scope, left).or_else(|| self.lost_expr(scope, right)),
            // Values of different kinds are ordered by their kinds: null is less than any number.
            Less | LessOrEqual | Greater | GreaterOrEqual => {
                let why = self.lost_expr(scope, left).or_else(|| self.lost_expr(scope, right));
                let other = "may be of another type than what it is compared with";
                return why.or_else(|| match kinds {
                    (Kind::Any, _) => Some(self.at(scope, left, other)),
                    (_, Kind::Any) => Some(self.at(scope, right, other)),
                    (left, right) if left != right => Some(self.statement(scope, "compares different types")),
                    _ => None,
                });
            }
            And | Or => Kind::Set,
            Operator::Arithmetic(Arithmetic::Minus) if kinds.0 == Kind::Set => Kind::Set,
            Operator::Arithmetic(_) => Kind::Number,
        };
        let why = self.typed(scope, left, wanted).or_else(|| self.typed(scope, right, wanted));
        let is_zero = |value: &Value| integer(value).is_none_or(|number| number == 0);
        let divides = matches!(operator, Operator::Arithmetic(Arithmetic::Divide | Arithmetic::Remainder))
            && !matches!(scope.origins.behind(right), Expr::Const(value) if !is_zero(value));
        why.or_else(|| divides.then(|| self.statement(scope, "may divide by zero")))
    }

    fn lost_call(&mut self, scope: Scope<'_, 'p>, call: &'p Call) -> Why {
        let name = match call.callee {
            Callee::Now => return None,
            Callee::Rule(id) => {
                let why = self.lost_all(scope, &call.arguments);
                let kinds = self.kinds(scope, &call.arguments);
                return why.or_else(|| self.lost_document(id, scope.facts, kinds));
            }
            Callee::Builtin(builtin) => builtin.name,
        };
        let fails = |look: &Self| look.statement_of(scope, &format!("`{name}` can fail"));
        match (name, call.arguments.as_slice()) {
            ("count", [of]) if self.kind(scope, of) == Kind::Text => self.lost_expr(scope, of),
            ("count", [of]) => self.collection(scope, of),
            ("concat", [between, texts]) => {
                let items = match scope.origins.behind(texts) {
                    Expr::Array(items) => items.iter().all(|item| self.kind(scope, item) == Kind::Text),
                    Expr::Const(Value::Array(items)) => items.iter().all(|item| item.as_str().is_some()),
                    _ => false,
                };
                let why = self.typed(scope, between, Kind::Text).or_else(|| self.lost_expr(scope, texts));
                why.or_else(|| (!items).then(|| fails(self)))
            }
            // A pattern that is written there was compiled when the policy was tried out.
            ("regex.match" | "glob.match", [pattern, rest @ .., text])
                if matches!(scope.origins.behind(pattern), Expr::Const(Value::String(_))) =>
            {
                self.lost_all(scope, rest).or_else(|| self.typed(scope, text, Kind::Text))
            }
            (_, arguments) => match known::wants(name) {
                Some(wanted) => {
                    let mut pairs = arguments.iter().zip(wanted);
                    pairs.find_map(|(argument, wanted)| self.typed(scope, argument, *wanted))
                }
                None => Some(fails(self)),
            },
        }
    }

    /// Something that is gone through: another value than a collection has no members.
    fn collection(&mut self, scope: Scope<'_, 'p>, expr: &'p Expr) -> Why {
        let why = self.lost_expr(scope, expr);
        why.or_else(|| {
            if self.kind(scope, expr).is_collection() {
                None
            } else {
                Some(self.at(scope, expr, "may be no collection"))
            }
        })
    }

    fn typed(&mut self, scope: Scope<'_, 'p>, expr: &'p Expr, wanted: Kind) -> Why {
        let why = self.lost_expr(scope, expr);
        why.or_else(|| {
            if wanted == Kind::Any || self.kind(scope, expr) == wanted {
                None
            } else {
                Some(self.at(scope, expr, "may be of another type"))
            }
        })
    }

    fn lost_reference(&mut self, scope: Scope<'_, 'p>, expr: &'p Expr) -> Why {
        if let Expr::Get { keys, .. } = expr {
            if let Some(why) = keys.iter().find_map(|key| self.lost_expr(scope, key)) {
                return Some(why);
            }
        }
        let is_defined =
            name_of(self.plan, scope.origins, expr).is_some_and(|name| scope.facts.is_defined(&name));
        if is_defined || self.sure(scope, expr).is_some() {
            return None;
        }
        if let Expr::Get { base, .. } = expr {
            if let Some(why) = self.lost_expr(scope, base) {
                return Some(why);
            }
        }
        Some(self.at(scope, expr, "may be absent"))
    }

    /// What always stands where a reference leads.
    fn sure(&self, scope: Scope<'_, 'p>, expr: &'p Expr) -> Option<Kind> {
        if let Some(path) = self.input_path(scope, expr) {
            let is_replaced =
                self.replaced.iter().any(|other| path.starts_with(other) || other.starts_with(&path));
            if is_replaced {
                return None;
            }
            if path.is_empty() {
                return Some(Kind::Object);
            }
            let sure = self.input.sure(&path)?;
            let may_be_null = path.get(..sure.nullable).filter(|names| !names.is_empty());
            let is_there =
                may_be_null.is_none_or(|names| scope.facts.is_not_null(&path_name("input", names)));
            return is_there.then_some(sure.kind);
        }
        match scope.origins.behind(expr) {
            Expr::Base(slot) => self.plan.bases.get(*slot)?.1.as_ref().map(Kind::of),
            Expr::Get { base, keys, .. } => {
                let Expr::Base(slot) = scope.origins.behind(base) else { return None };
                let value = self.plan.bases.get(*slot)?.1.as_ref()?;
                let mut keys = keys.iter();
                let found = keys.try_fold(value, |value, key| match scope.origins.behind(key) {
                    Expr::Const(key) => value.get(key),
                    _ => None,
                });
                found.map(Kind::of)
            }
            _ => None,
        }
    }

    /// The path below `input` that an expression reads, if that is known.
    fn input_path(&self, scope: Scope<'_, 'p>, expr: &'p Expr) -> Option<Path> {
        match scope.origins.behind(expr) {
            Expr::Input(slot) => self.plan.inputs.get(*slot).cloned(),
            Expr::Get { base, keys, .. } => {
                let mut path = self.input_path(scope, base)?;
                for key in keys {
                    path.push(match scope.origins.behind(key) {
                        Expr::Const(Value::String(name)) => Arc::clone(name),
                        _ => return None,
                    });
                }
                Some(path)
            }
            _ => None,
        }
    }

    fn replace(&mut self, replaced: &[With]) {
        self.replaced.extend(replaced.iter().filter_map(|with| match with {
            With::Input(path, _) => Some(path.clone()),
            _ => None,
        }));
    }

    // What members can be missing from.

    /// Whether members can be missing from a collection: one that rules or a comprehension build.
    fn contents(&mut self, scope: Scope<'_, 'p>, expr: &'p Expr) -> Why {
        match scope.origins.behind(expr) {
            Expr::Const(_) | Expr::Local(_) | Expr::Input(_) | Expr::Base(_) | Expr::In(_) => None,
            collect @ Expr::Collect(..) => self.lost_expr(scope, collect),
            Expr::Call(call) => match call.callee {
                Callee::Builtin(_) => {
                    call.arguments.iter().find_map(|argument| self.contents(scope, argument))
                }
                Callee::Rule(id) => {
                    let kinds = self.kinds(scope, &call.arguments);
                    self.lost_document(id, scope.facts, kinds)
                }
                Callee::Now => None,
            },
            // A set that lost members takes fewer away.
            Expr::Operator(Operator::Arithmetic(Arithmetic::Minus), sides) => self.contents(scope, &sides.0),
            Expr::Operator(_, sides) => {
                self.contents(scope, &sides.0).or_else(|| self.contents(scope, &sides.1))
            }
            Expr::Array(items) | Expr::Set(items) => items.iter().find_map(|item| self.contents(scope, item)),
            Expr::Object(members) => members.iter().find_map(|(_, value)| self.contents(scope, value)),
            Expr::Get { base, .. } => self.contents(scope, base),
            Expr::Document(id) | Expr::Member(id, _) => self.document_contents(*id, scope.facts),
            // Each rule below is a member.
            Expr::Node(node, _) => {
                let mut below = self.plan.below(*node).into_iter();
                below.find_map(|id| self.lost_document(id, scope.facts, Vec::new()))
            }
        }
    }

    /// A document that collects, or whose value is made of what others collect.
    fn document_contents(&mut self, id: DocumentId, facts: &Facts) -> Why {
        let document = self.plan.documents.get(id)?;
        if document.kind != Made::Complete {
            return self.lost_document(id, facts, Vec::new());
        }
        if self.left == 0 {
            return Some("the rules are too many to be looked through".to_owned());
        }
        self.left = self.left.saturating_sub(1);
        let mut branches = document.rules.iter().flat_map(|rule| &rule.branches);
        branches.find_map(|branch| {
            let origins = Origins::of(branch);
            let mut facts = facts.outside();
            facts.learn(self.plan, &origins, &branch.steps);
            self.contents(Scope { facts: &facts, origins: &origins, site: branch.site }, &branch.value)
        })
    }

    // What is known.

    fn kinds(&self, scope: Scope<'_, 'p>, exprs: &'p [Expr]) -> Vec<Kind> {
        exprs.iter().map(|expr| self.kind(scope, expr)).collect()
    }

    /// What is known of the value of an expression.
    fn kind(&self, scope: Scope<'_, 'p>, expr: &'p Expr) -> Kind {
        let named = name_of(self.plan, scope.origins, expr).and_then(|name| scope.facts.kind(&name));
        if let Some(kind) = named.filter(|kind| *kind != Kind::Any) {
            return kind;
        }
        match scope.origins.behind(expr) {
            Expr::Const(value) => Kind::of(value),
            Expr::Array(_) => Kind::Array,
            Expr::Set(_) => Kind::Set,
            Expr::Object(_) => Kind::Object,
            Expr::In(_) => Kind::Boolean,
            Expr::Collect(collected, _) => match collected {
                crate::hir::Collected::Array => Kind::Array,
                crate::hir::Collected::Set => Kind::Set,
                crate::hir::Collected::Object => Kind::Object,
            },
            Expr::Operator(operator, sides) => match operator {
                Operator::And | Operator::Or => Kind::Set,
                Operator::Arithmetic(Arithmetic::Minus) if self.kind(scope, &sides.0) == Kind::Set => {
                    Kind::Set
                }
                Operator::Arithmetic(_) => Kind::Number,
                _ => Kind::Boolean,
            },
            Expr::Call(call) => match call.callee {
                Callee::Builtin(builtin) => known::gives(builtin.name),
                Callee::Now => Kind::Number,
                Callee::Rule(_) => Kind::Any,
            },
            Expr::Document(id) => {
                self.plan.documents.get(*id).map_or(Kind::Any, |document| self.made_kind(document))
            }
            Expr::Node(_, keys) if keys.is_empty() => Kind::Object,
            expr => self.sure(scope, expr).unwrap_or(Kind::Any),
        }
    }

    fn made_kind(&self, document: &'p Document) -> Kind {
        match document.kind {
            Made::Set => return Kind::Set,
            Made::Object => return Kind::Object,
            Made::Function(_) => return Kind::Any,
            Made::Complete => {}
        }
        let facts = Facts::default();
        let branches = document.rules.iter().chain(&document.default).flat_map(|rule| &rule.branches);
        let kinds: BTreeSet<Kind> = branches
            .map(|branch| {
                let origins = Origins::of(branch);
                self.kind(Scope { facts: &facts, origins: &origins, site: branch.site }, &branch.value)
            })
            .collect();
        match kinds.len() {
            1 => kinds.first().copied().unwrap_or(Kind::Any),
            _ => Kind::Any,
        }
    }

    // What is said.

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

const fn inner(used: Use) -> Use {
    match used {
        Use::Result => Use::Result,
        _ => Use::Other,
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

/// What is compared with nothing, or held below a bound: fewer members are not more than that.
fn denied_contents<'p>(
    scope: Scope<'_, 'p>,
    operator: Operator,
    left: &'p Expr,
    right: &'p Expr,
) -> Option<(Denial, &'p Expr)> {
    let constant = |side: &'p Expr| match scope.origins.behind(side) {
        Expr::Const(value) => Some(value),
        _ => None,
    };
    let is_nothing = |value: &Value| match value {
        Value::Number(_) => integer(value) == Some(0),
        Value::String(text) => matches!(&**text, "" | "[]" | "{}"),
        Value::Array(_) | Value::Set(_) | Value::Object(_) => value.members() == 0,
        Value::Null | Value::Bool(_) => false,
    };
    let bound = |upper: &'p Expr, by: &'p Expr| {
        let is_none = constant(by)
            .is_some_and(|by| is_nothing(by) || integer(by) == Some(1) && operator != Operator::Equal);
        // The least of fewer is not less.
        let is_least = |side: &'p Expr| {
            matches!(scope.origins.behind(side), Expr::Call(call)
                if matches!(call.callee, Callee::Builtin(builtin) if builtin.name == "min"))
        };
        match (is_least(upper), is_least(by)) {
            (_, true) => Some((Denial::Bound, by)),
            (true, false) => None,
            (false, false) => Some((if is_none { Denial::Emptiness } else { Denial::Bound }, upper)),
        }
    };
    match operator {
        Operator::Equal => [(left, right), (right, left)]
            .into_iter()
            .find(|(_, nothing)| constant(nothing).is_some_and(is_nothing))
            .map(|(tested, _)| (Denial::Emptiness, tested)),
        Operator::Less | Operator::LessOrEqual => bound(left, right),
        Operator::Greater | Operator::GreaterOrEqual => bound(right, left),
        _ => None,
    }
}

/// What a rule's value says, whatever the reason it gives.
#[derive(Clone, Copy)]
enum Verdict {
    Yes,
    No,
    Unknown,
}

impl Verdict {
    fn of(value: &Expr) -> Self {
        match value {
            Expr::Const(Value::Bool(true)) => Self::Yes,
            Expr::Const(Value::Bool(false)) => Self::No,
            Expr::Const(object @ Value::Object(members)) => {
                let says = ["allow", "allowed"].iter().find_map(|name| object.get_str(name));
                let is_plain =
                    members.keys().all(|key| matches!(key.as_str(), Some("allow" | "allowed" | "reason")));
                match says {
                    Some(Value::Bool(false)) => Self::No,
                    Some(Value::Bool(true)) if is_plain => Self::Yes,
                    _ => Self::Unknown,
                }
            }
            _ => Self::Unknown,
        }
    }
}
