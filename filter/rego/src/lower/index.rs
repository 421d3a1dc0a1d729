//! What a body needs before all else: reads of `input`, base data and arguments that must be there, or be
//! what a constant says. OPA's index passes over bodies by them, and orders rules by them; where a rule that
//! is passed over would end in a conflict, that is a difference.

use super::*;

/// How a body uses what it needs, in the order in which OPA's index visits it.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Use {
    /// Not at all.
    None,
    /// It must be there.
    Any,
    /// It must be this constant.
    Constant,
    /// It must have this form.
    Form,
}

/// One thing that a body needs.
pub(super) struct Need {
    pub(super) operand: Operand,
    pub(super) kind: Use,
    form: Form,
    site: Site,
    /// It is written as a statement of its own.
    whole: bool,
}

impl Planner<'_> {
    /// What the branch needs, and the same as guards.
    pub(super) fn needs(&mut self, arguments: &[Pattern], branch: &crate::hir::Branch) -> Vec<Need> {
        let mut needs = Vec::new();
        for literal in &branch.body {
            if !literal.with.is_empty() {
                // What replaces something is evaluated before.
                for with in &literal.with {
                    let Replacement::Value(value) = &with.value else { continue };
                    value.visit(&mut |term| {
                        if let (Term::Ref(..), Some(operand)) = (term, self.operand(arguments, term)) {
                            let (kind, form) = (Use::Any, Form::Any);
                            needs.push(Need { operand, kind, form, site: literal.site, whole: false });
                        }
                    });
                }
                continue;
            }
            let mut found = Vec::new();
            match &literal.kind {
                Statement::Unify(left, right) => found.extend(self.equality(left, right)),
                Statement::Expr(Term::Call(Function::Operator(Operator::Equal), operands, _)) => {
                    if let [left, right] = operands.as_slice() {
                        found.extend(self.equality(left, right));
                    }
                }
                _ => {}
            }
            let mut add = |term: &Term, use_: Option<(Use, Form)>, whole| {
                if let Some(operand) = self.operand(arguments, term) {
                    let (kind, form) = use_.unwrap_or((Use::Any, Form::Any));
                    // An argument is always there.
                    if kind != Use::Any || !matches!(operand, Operand::Argument(_)) {
                        needs.push(Need { operand, kind, form, site: literal.site, whole });
                    }
                }
            };
            for (term, kind, form) in found {
                add(term, Some((kind, form)), true);
            }
            match &literal.kind {
                Statement::Expr(Term::Call(Function::Operator(Operator::Equal), sides, _)) => {
                    sides.iter().for_each(|side| inside(side, &mut |term| add(term, None, false)));
                }
                Statement::Expr(term) => {
                    if let Term::In(None, member, all) = term {
                        if let Some((term, form)) = membership(member, all) {
                            add(term, Some((Use::Constant, form)), false);
                        }
                    }
                    let whole = matches!(term, Term::Ref(..));
                    term.visit(&mut |term| add(term, None, whole));
                }
                Statement::Unify(left, right) => {
                    inside(left, &mut |term| add(term, None, false));
                    inside(right, &mut |term| add(term, None, false));
                }
                Statement::Output(result, call) => {
                    result.visit(&mut |term| add(term, None, false));
                    call.visit(&mut |term| add(term, None, false));
                }
                // A key that is written is looked up.
                Statement::SomeIn(Some(key @ Term::Const(_)), _, Term::Ref(head, keys)) => {
                    let keys = keys.iter().chain([key]).cloned().collect();
                    add(&Term::Ref(head.clone(), keys), None, false);
                }
                Statement::SomeIn(_, _, collection) => inside(collection, &mut |term| add(term, None, false)),
                Statement::Every { domain, .. } => domain.visit(&mut |term| add(term, None, false)),
                // What it is applied to is evaluated before.
                Statement::Not(inner) => match &**inner {
                    Statement::Unify(left, right) => {
                        [left, right]
                            .into_iter()
                            .for_each(|side| inside(side, &mut |term| add(term, None, false)));
                    }
                    Statement::Expr(Term::Call(Function::Operator(Operator::Equal), sides, _)) => {
                        sides.iter().for_each(|side| inside(side, &mut |term| add(term, None, false)));
                    }
                    Statement::Expr(term) => inside(term, &mut |term| add(term, None, false)),
                    Statement::Output(result, call) => {
                        result.visit(&mut |term| add(term, None, false));
                        call.visit(&mut |term| add(term, None, false));
                    }
                    Statement::SomeIn(..) | Statement::Not(_) | Statement::Every { .. } => {}
                },
            }
        }
        for head in branch.tail.iter().chain([&branch.value]) {
            head.visit(&mut |term| {
                if let (Term::Ref(..), Some(operand)) = (term, self.operand(arguments, term)) {
                    needs.push(Need {
                        operand,
                        kind: Use::Any,
                        form: Form::Any,
                        site: branch.site,
                        whole: false,
                    });
                }
            });
        }
        needs
    }

    /// A reference or argument that is made equal to something that an index knows.
    fn equality<'t>(&self, left: &'t Term, right: &'t Term) -> Option<(&'t Term, Use, Form)> {
        let known = |term: &Term| match term {
            Term::Const(Value::Array(items)) => {
                let flat = items.iter().all(|item| {
                    item.members() == 0
                        && item.type_name() != "array"
                        && item.type_name() != "object"
                        && item.type_name() != "set"
                });
                flat.then(|| (Use::Form, Form::Equal(Value::Array(items.clone()))))
            }
            Term::Const(Value::Object(_) | Value::Set(_)) => None,
            Term::Const(value) => Some((Use::Constant, Form::Equal(value.clone()))),
            Term::Array(items) => {
                let item = |item: &Term| match item {
                    Term::Const(value) if value.is_scalar() => Some(Some(value.clone())),
                    Term::Const(_) | Term::Array(_) | Term::Object(_) | Term::Set(_) => None,
                    // What is computed is in a variable by then.
                    _ => Some(None),
                };
                let items = items.iter().map(item).collect::<Option<Vec<_>>>()?;
                Some((Use::Form, Form::Array(items)))
            }
            Term::Var(_) | Term::Call(..) | Term::In(..) => Some((Use::Any, Form::Any)),
            _ => None,
        };
        let is_operand = |term: &Term| matches!(term, Term::Ref(..) | Term::Var(_));
        for (term, other) in [(left, right), (right, left)] {
            if let (true, Some((kind, form))) = (is_operand(term), known(other)) {
                return Some((term, kind, form));
            }
        }
        None
    }

    fn operand(&mut self, arguments: &[Pattern], term: &Term) -> Option<Operand> {
        match term {
            Term::Ref(Head::Input, keys) => {
                let (path, rest) = constants_of(keys)?;
                match self.input(path, Site::default()) {
                    Expr::Input(slot) => Some(Operand::Input(slot, rest)),
                    _ => None,
                }
            }
            Term::Ref(Head::Data, keys) => {
                let (path, rest) = constants_of(keys).filter(|(path, _)| self.is_base(path))?;
                match self.base(path) {
                    Expr::Base(slot) => Some(Operand::Base(slot, rest)),
                    _ => None,
                }
            }
            Term::Var(var) => arguments
                .iter()
                .position(|pattern| matches!(pattern, Pattern::Bind(bound) if bound == var))
                .map(Operand::Argument),
            _ => None,
        }
    }
}

/// What a membership asks of a reference or argument: to have a constant as a member, or to be one of some.
fn membership<'t>(member: &'t Term, all: &'t Term) -> Option<(&'t Term, Form)> {
    let is_operand = |term: &Term| matches!(term, Term::Ref(..) | Term::Var(_));
    match (member, all) {
        (Term::Const(member), all) if member.is_scalar() && is_operand(all) => {
            Some((all, Form::Has(member.clone())))
        }
        (member, Term::Const(all)) if all.members() > 0 && is_operand(member) => {
            Some((member, Form::Within(all.clone())))
        }
        _ => None,
    }
}

/// The texts that constant keys begin with, and the keys behind them; `None` if one is not constant.
fn constants_of(keys: &[Term]) -> Option<(Path, Vec<Value>)> {
    let path: Path = keys.iter().map_while(name).collect();
    let constant = |key: &Term| match key {
        Term::Const(value) => Some(value.clone()),
        _ => None,
    };
    let rest = keys.iter().skip(path.len()).map(constant).collect::<Option<Vec<_>>>()?;
    Some((path, rest))
}

/// What is computed for one side of an equality: all but a reference that stands there itself.
fn inside(side: &Term, each: &mut dyn FnMut(&Term)) {
    match side {
        Term::Ref(_, keys) => keys.iter().for_each(|key| key.visit(each)),
        side => side.visit(each),
    }
}

/// The guards that follow: each thing once.
pub(super) fn guards(needs: &[Need]) -> Vec<Guard> {
    let mut guards: Vec<Guard> = Vec::new();
    for need in needs {
        let guard = Guard { operand: need.operand.clone(), form: need.form.clone() };
        if !guards.iter().any(|known| known.operand == guard.operand && known.form == guard.form) {
            guards.push(guard);
        }
    }
    guards
}

/// Whether a guard says all that a statement says.
pub(super) fn is_guarded(needs: &[Need], site: Site) -> bool {
    needs.iter().any(|need| need.whole && need.kind == Use::Constant && need.site == site)
}

/// Brings rules into the order in which OPA's index finds them.
pub(super) fn order(rules: &mut Vec<Rule>, needs: Vec<Vec<Need>>) {
    let mut counts: Vec<(Operand, usize, Site)> = Vec::new();
    for need in needs.iter().flatten() {
        match counts.iter_mut().find(|(operand, ..)| *operand == need.operand) {
            Some((_, count, _)) => *count = count.saturating_add(1),
            None => counts.push((need.operand.clone(), 1, need.site)),
        }
    }
    counts.sort_by(|(_, a, first), (_, b, second)| b.cmp(a).then(first.cmp(second)));
    let key = |needs: &[Need]| -> Vec<Use> {
        let last = |operand: &Operand| needs.iter().rev().find(|need| need.operand == *operand);
        counts.iter().map(|(operand, ..)| last(operand).map_or(Use::None, |need| need.kind)).collect()
    };
    let mut keyed: Vec<(Vec<Use>, Rule)> =
        rules.drain(..).zip(&needs).map(|(rule, needs)| (key(needs), rule)).collect();
    keyed.sort_by(|(a, _), (b, _)| a.cmp(b));
    rules.extend(keyed.into_iter().map(|(_, rule)| rule));
}
