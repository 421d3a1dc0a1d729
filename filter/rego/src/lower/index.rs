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
    /// How often the index counts it.
    times: usize,
}

impl Need {
    /// What must be there.
    const fn any(operand: Operand, site: Site) -> Self {
        Self { operand, kind: Use::Any, form: Form::Any, site, whole: false, times: 1 }
    }

    /// What else is known of the operand stays.
    const fn joins(&self) -> bool {
        matches!(self.form, Form::Within(_) | Form::Has(_))
    }
}

impl Planner<'_> {
    /// What the branch needs, and the same as guards.
    pub(super) fn needs(&mut self, arguments: &[Pattern], branch: &crate::hir::Branch) -> Vec<Need> {
        let mut needs = Vec::new();
        let bound = Bound::of(self, arguments, branch);
        for literal in &branch.body {
            if !literal.with.is_empty() {
                // What replaces something is evaluated before.
                for with in &literal.with {
                    let Replacement::Value(value) = &with.value else { continue };
                    value.visit(&mut |term| {
                        if let (Term::Ref(..), Some(operand)) = (term, self.operand(arguments, term)) {
                            needs.push(Need::any(operand, literal.site));
                        }
                    });
                }
                continue;
            }
            let (mut found, mut member) = (Vec::new(), None);
            // A membership counts what it looks at once more.
            let mut times = 1;
            if let Some((left, right)) = sides(&literal.kind) {
                match bound.reference(left, right) {
                    Some((reference, Known::Within(all))) => {
                        times = 2;
                        member = Some((reference.clone(), Form::Within(all.clone())))
                    }
                    Some((reference, Known::Has(item))) => {
                        times = 2;
                        member = Some((reference.clone(), Form::Has(item.clone())))
                    }
                    Some((reference, Known::LookedAt)) => {
                        times = 2;
                        found.push(((reference, Use::Any, Form::Any), false));
                    }
                    Some((reference, Known::Equal(constant))) => {
                        found.extend(self.equality(reference, constant).map(|found| (found, false)));
                        member = found_member(reference, constant);
                    }
                    None => {
                        found.extend(self.equality(left, right).map(|found| (found, true)));
                        member = found_member(left, right).or_else(|| found_member(right, left));
                    }
                }
            }
            let looked_at = match &literal.kind {
                Statement::Expr(Term::In(None, member, all)) => bound.looked_at(self, member, all),
                _ => None,
            };
            let mut add = |term: &Term, use_: Option<(Use, Form)>, whole, times| {
                if let Some(operand) = self.operand(arguments, term) {
                    let (kind, form) = use_.unwrap_or((Use::Any, Form::Any));
                    let is_argument = matches!(operand, Operand::Argument(_));
                    let times = if is_argument { 1 } else { times };
                    // An argument is always there.
                    if kind != Use::Any || !is_argument {
                        needs.push(Need { operand, kind, form, site: literal.site, whole, times });
                    }
                }
            };
            for ((term, kind, form), is_written) in found {
                add(term, Some((kind, form)), is_written, times);
            }
            if let Some((collection, form)) = member {
                add(&collection, Some((Use::Constant, form)), false, times);
            }
            match &literal.kind {
                Statement::Expr(Term::Call(Function::Operator(Operator::Equal), sides, _)) => {
                    sides.iter().for_each(|side| inside(side, &mut |term| add(term, None, false, 1)));
                }
                Statement::Expr(Term::In(None, member, all)) => {
                    let (member, all) = (bound.constant(member), bound.constant(all));
                    let known = membership(member, all);
                    let looked_at = known.as_ref().map(|(operand, _)| *operand).or(looked_at);
                    for side in [member, all] {
                        let times =
                            if looked_at.is_some_and(|term| std::ptr::eq(term, side)) { 2 } else { 1 };
                        match &known {
                            Some((operand, form)) if std::ptr::eq(*operand, side) => {
                                add(side, Some((Use::Constant, form.clone())), false, times);
                            }
                            None if matches!(side, Term::Ref(..)) => add(side, None, false, times),
                            _ => {}
                        }
                        inside(side, &mut |term| add(term, None, false, 1));
                    }
                }
                Statement::Expr(term) => {
                    let whole = matches!(term, Term::Ref(..));
                    term.visit(&mut |term| add(term, None, whole, 1));
                }
                Statement::Unify(left, right) => {
                    inside(left, &mut |term| add(term, None, false, 1));
                    inside(right, &mut |term| add(term, None, false, 1));
                }
                Statement::Output(result, call) => {
                    result.visit(&mut |term| add(term, None, false, 1));
                    call.visit(&mut |term| add(term, None, false, 1));
                }
                // A key that is written is looked up.
                Statement::SomeIn(Some(key @ Term::Const(_)), _, Term::Ref(head, keys)) => {
                    let keys = keys.iter().chain([key]).cloned().collect();
                    add(&Term::Ref(head.clone(), keys), None, false, 1);
                }
                Statement::SomeIn(_, value, collection) => {
                    if let (Term::Const(member), Term::Ref(..)) = (value, collection) {
                        if member.is_scalar() {
                            add(collection, Some((Use::Constant, Form::Has(member.clone()))), false, 1);
                        }
                    }
                    inside(value, &mut |term| add(term, None, false, 1));
                    inside(collection, &mut |term| add(term, None, false, 1));
                }
                Statement::Every { domain, .. } => domain.visit(&mut |term| add(term, None, false, 1)),
                // What it is applied to is evaluated before.
                Statement::Not(inner) => match &**inner {
                    Statement::Unify(left, right) => {
                        [left, right]
                            .into_iter()
                            .for_each(|side| inside(side, &mut |term| add(term, None, false, 1)));
                    }
                    Statement::Expr(Term::Call(Function::Operator(Operator::Equal), sides, _)) => {
                        sides.iter().for_each(|side| inside(side, &mut |term| add(term, None, false, 1)));
                    }
                    Statement::Expr(term) => inside(term, &mut |term| add(term, None, false, 1)),
                    Statement::Output(result, call) => {
                        result.visit(&mut |term| add(term, None, false, 1));
                        call.visit(&mut |term| add(term, None, false, 1));
                    }
                    Statement::SomeIn(..) | Statement::Not(_) | Statement::Every { .. } => {}
                },
            }
        }
        for head in branch.tail.iter().chain([&branch.value]) {
            head.visit(&mut |term| {
                if let (Term::Ref(..), Some(operand)) = (term, self.operand(arguments, term)) {
                    needs.push(Need::any(operand, branch.site));
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

    /// A reference to `input` or base data by constant keys.
    fn is_fact(&self, term: &Term) -> bool {
        match term {
            Term::Ref(Head::Input, keys) => constants_of(keys).is_some(),
            Term::Ref(Head::Data, keys) => constants_of(keys).is_some_and(|(path, _)| self.is_base(&path)),
            _ => false,
        }
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

/// What the first statement about a variable says of it: the index looks through such variables.
enum Known<'t> {
    Equal(&'t Term),
    Within(Value),
    Has(Value),
    /// By a membership that says nothing of it.
    LookedAt,
}

/// What statements of a body say of its variables.
struct Bound<'t> {
    known: BTreeMap<Var, Known<'t>>,
    /// Those that are arguments, or facts.
    facts: BTreeSet<Var>,
}

impl<'t> Bound<'t> {
    fn of(planner: &Planner<'_>, arguments: &[Pattern], branch: &'t crate::hir::Branch) -> Self {
        let is_argument = |var: Var| {
            arguments.iter().any(|pattern| matches!(pattern, Pattern::Bind(bound) if *bound == var))
        };
        let literals = || branch.body.iter().filter(|literal| literal.with.is_empty());
        let mut bound = Self { known: BTreeMap::new(), facts: BTreeSet::new() };
        for pattern in arguments {
            if let Pattern::Bind(var) = pattern {
                bound.facts.insert(*var);
            }
        }
        for (left, right) in literals().filter_map(|literal| sides(&literal.kind)) {
            for (var, term) in [(left, right), (right, left)] {
                if let (Term::Var(var), true) = (var, planner.is_fact(term)) {
                    bound.facts.insert(*var);
                }
            }
        }
        let mut found = BTreeMap::new();
        let mut add = |var: &Term, known| match var {
            Term::Var(var) if !is_argument(*var) => drop(found.entry(*var).or_insert(known)),
            _ => {}
        };
        for literal in literals() {
            if let Some((left, right)) = sides(&literal.kind) {
                for (var, term) in [(left, right), (right, left)] {
                    if constant(term).is_some() {
                        add(var, Known::Equal(term));
                    }
                }
            }
            if let Statement::Expr(Term::In(None, member, all)) = &literal.kind {
                if let Some(all) = constant(all).filter(|all| all.members() > 0) {
                    add(member, Known::Within(all));
                }
                if let Some(member) = constant(member).filter(Value::is_scalar) {
                    add(all, Known::Has(member));
                }
                if let Some(looked_at) = bound.looked_at(planner, member, all) {
                    add(looked_at, Known::LookedAt);
                }
            }
        }
        bound.known = found;
        bound
    }

    /// What a membership of which nothing is known looks at: the member, if the collection is written there, or
    /// the collection, if the member is no fact.
    fn looked_at(&self, planner: &Planner<'_>, member: &'t Term, all: &'t Term) -> Option<&'t Term> {
        let is_fact = |term: &Term| match term {
            Term::Var(var) => self.facts.contains(var),
            term => planner.is_fact(term),
        };
        match all {
            Term::Array(_) | Term::Set(_) | Term::Object(_) | Term::Const(_) => Some(member),
            all => (!is_fact(member)).then_some(all),
        }
    }

    /// A reference that is made equal to a variable of which something is known.
    fn reference(&self, left: &'t Term, right: &'t Term) -> Option<(&'t Term, &Known<'t>)> {
        match (left, right) {
            (reference @ Term::Ref(..), Term::Var(var)) | (Term::Var(var), reference @ Term::Ref(..)) => {
                Some((reference, self.known.get(var)?))
            }
            _ => None,
        }
    }

    /// The constant that a variable is equal to, in its place.
    fn constant(&self, term: &'t Term) -> &'t Term {
        match term {
            Term::Var(var) => match self.known.get(var) {
                Some(Known::Equal(constant)) => constant,
                _ => term,
            },
            term => term,
        }
    }
}

/// The sides of a statement that is an equality.
fn sides(kind: &Statement) -> Option<(&Term, &Term)> {
    match kind {
        Statement::Unify(left, right) => Some((left, right)),
        Statement::Expr(Term::Call(Function::Operator(Operator::Equal), sides, _)) => {
            match sides.as_slice() {
                [left, right] => Some((left, right)),
                _ => None,
            }
        }
        _ => None,
    }
}

/// A member of a collection, whose key is computed or found, that is made equal to a constant: the collection
/// has that member.
fn found_member(member: &Term, constant: &Term) -> Option<(Term, Form)> {
    match (member, constant) {
        (Term::Ref(head, keys), Term::Const(constant)) if constant.is_scalar() => {
            let (last, before) = keys.split_last()?;
            let is_found = !matches!(last, Term::Const(_));
            is_found.then(|| (Term::Ref(head.clone(), before.to_vec()), Form::Has(constant.clone())))
        }
        _ => None,
    }
}

/// What a membership asks of a reference or argument: to have a constant as a member, or to be one of some.
fn membership<'t>(member: &'t Term, all: &'t Term) -> Option<(&'t Term, Form)> {
    let is_operand = |term: &Term| matches!(term, Term::Ref(..) | Term::Var(_));
    match (member, all) {
        (Term::Const(member), all @ Term::Ref(..)) if member.is_scalar() => {
            Some((all, Form::Has(member.clone())))
        }
        (member, all) if is_operand(member) => {
            let all = constant(all).filter(|all| all.members() > 0)?;
            Some((member, Form::Within(all)))
        }
        _ => None,
    }
}

/// The value of a term in which nothing is computed.
fn constant(term: &Term) -> Option<Value> {
    match term {
        Term::Const(value) => Some(value.clone()),
        Term::Array(items) => items.iter().map(constant).collect::<Option<Vec<_>>>().map(Value::from),
        Term::Set(items) => {
            items.iter().map(constant).collect::<Option<Vec<_>>>().map(|items| Value::Set(Set::from(items)))
        }
        Term::Object(members) => {
            let member = |(key, value): &(Term, Term)| Some((constant(key)?, constant(value)?));
            let members = members.iter().map(member).collect::<Option<Vec<_>>>()?;
            Object::unique(members).map(Value::Object)
        }
        Term::Var(_) | Term::Ref(..) | Term::Collect(..) | Term::Call(..) | Term::In(..) => None,
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

/// The guards that follow. What is said of one thing in several statements are alternatives, as in OPA's index;
/// that it must be there takes their place, and theirs is taken by what says more.
pub(super) fn guards(needs: &[Need]) -> Vec<Guard> {
    let mut guards: Vec<Guard> = Vec::new();
    for need in needs {
        let form = || need.form.clone();
        match guards.iter_mut().find(|guard| guard.operand == need.operand) {
            None => guards.push(Guard { operand: need.operand.clone(), forms: vec![form()] }),
            Some(guard) if guard.forms.contains(&need.form) => {}
            Some(guard) if !need.joins() && (need.form == Form::Any || guard.forms == [Form::Any]) => {
                guard.forms = vec![form()];
            }
            Some(guard) => guard.forms.push(form()),
        }
    }
    guards
}

/// Whether the guards say all that a statement says.
pub(super) fn is_guarded(needs: &[Need], guards: &[Guard], site: Site) -> bool {
    needs.iter().filter(|need| need.whole && need.kind == Use::Constant && need.site == site).any(|need| {
        guards
            .iter()
            .any(|guard| guard.operand == need.operand && guard.forms == std::slice::from_ref(&need.form))
    })
}

/// Brings rules into the order in which OPA's index finds them.
pub(super) fn order(rules: &mut Vec<Rule>, needs: Vec<Vec<Need>>) {
    let mut counts: Vec<(Operand, usize, Site)> = Vec::new();
    for need in needs.iter().flatten() {
        match counts.iter_mut().find(|(operand, ..)| *operand == need.operand) {
            Some((_, count, _)) => *count = count.saturating_add(need.times),
            None => counts.push((need.operand.clone(), need.times, need.site)),
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
