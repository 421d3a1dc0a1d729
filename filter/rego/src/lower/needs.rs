//! What OPA's index knows of bodies: which facts and arguments must be there, or be what a constant says. Where a
//! rule that is passed over for that would end in a conflict, that is a difference.
//!
//! The index goes through a body once, statement by statement, when all references outside of equalities are in
//! variables already. [`Needs`] hears of the statements in that order.

use super::glob;
use super::*;

/// How a variable is called for which something must be there.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Name {
    /// Of nothing: the reference is a statement by itself, or a part of a pattern is anything.
    Bare,
    Variable(Var),
    /// Put there for a part of an expression that is computed first.
    Hoisted(usize),
}

/// What is asked of an operand.
#[derive(Clone, PartialEq)]
enum Asked {
    /// To be there.
    Name(Name),
    /// To be this constant.
    Value(Value),
    /// To be an array with these items, names or constants.
    Array(Vec<Asked>),
}

impl Asked {
    fn constant(&self) -> Option<Value> {
        match self {
            Self::Value(value) => Some(value.clone()),
            Self::Name(_) | Self::Array(_) => None,
        }
    }
}

/// One thing that is asked.
struct Need {
    operand: Operand,
    asked: Asked,
    /// Where a text splits into the array that is asked for.
    delimiters: Option<String>,
    /// The statement that says this and nothing else.
    site: Option<Site>,
}

/// What a branch needs.
#[derive(Default)]
pub(super) struct Needs {
    needs: Vec<Need>,
    /// All that was asked for, each time it was.
    pub(super) counted: Vec<(Operand, Site)>,
    /// What variables are that are made equal to constants.
    constants: BTreeMap<Name, Value>,
    hoisted: usize,
    /// The statement that is gone through.
    site: Site,
}

/// A side of an equality, or an argument, as the index sees it.
enum Side {
    Fact(Operand),
    /// A member of a fact whose key is not constant.
    Member(Operand),
    Name(Name),
    Value(Value),
    Array(Vec<Asked>),
    /// What the index doesn't know.
    Other,
}

/// Goes through a branch and asks for what it needs.
pub(super) struct Reader<'p, 'l> {
    planner: &'p mut Planner<'l>,
    arguments: &'p [Pattern],
    found: Needs,
}

impl<'p, 'l> Reader<'p, 'l> {
    pub(super) fn of(planner: &'p mut Planner<'l>, arguments: &'p [Pattern]) -> Self {
        Self { planner, arguments, found: Needs::default() }
    }

    /// What a branch needs whose statements come in this order.
    pub(super) fn read(mut self, branch: &Whole, site: Site) -> Needs {
        for literal in &branch.literals {
            self.found.site = literal.site;
            if literal.with.is_empty() {
                self.statement(&literal.kind);
            }
            // What replaces something is evaluated before.
            for with in &literal.with {
                if let Replacement::Value(value) = &with.value {
                    self.hoist(value);
                }
            }
        }
        self.found.site = site;
        branch.heads.iter().for_each(|head| self.hoist(head));
        self.found
    }

    fn statement(&mut self, statement: &Statement) {
        match statement {
            Statement::Unify(left, right) => self.equality(left, right),
            Statement::Expr(Term::Call(Function::Operator(Operator::Equal), sides, _)) => {
                if let [left, right] = sides.as_slice() {
                    self.equality(left, right);
                }
            }
            Statement::Expr(Term::In(None, member, all)) => self.membership(member, all),
            Statement::Expr(Term::Call(Function::Builtin(builtin), arguments, _))
                if builtin.name == "glob.match" =>
            {
                self.glob(arguments);
            }
            Statement::Expr(term @ Term::Ref(..)) => {
                self.inside(term);
                if let Side::Fact(operand) = self.side(term) {
                    self.found.ask(operand, Asked::Name(Name::Bare), None, false);
                }
            }
            Statement::Expr(term) => self.hoist(term),
            Statement::Output(result, call) => {
                self.hoist(result);
                self.hoist(call);
            }
            // It is `value = collection[key]`.
            Statement::SomeIn(key, value, Term::Ref(head, keys)) => {
                let key = key.clone().unwrap_or(Term::Var(Var::MAX));
                let member = Term::Ref(head.clone(), keys.iter().cloned().chain([key]).collect());
                self.equality(value, &member);
            }
            Statement::SomeIn(_, value, collection) => {
                self.inside(value);
                self.inside(collection);
            }
            Statement::Every { domain, .. } => self.hoist(domain),
            Statement::Not(denied) => self.denied(denied),
        }
    }

    /// Of what is denied only that is known which is evaluated before.
    fn denied(&mut self, denied: &Statement) {
        match denied {
            Statement::Unify(left, right) => [left, right].into_iter().for_each(|side| self.inside(side)),
            Statement::Expr(Term::Call(Function::Operator(Operator::Equal), sides, _)) => {
                sides.iter().for_each(|side| self.inside(side));
            }
            Statement::Expr(term) => self.inside(term),
            Statement::Output(result, call) => {
                self.hoist(result);
                self.hoist(call);
            }
            Statement::SomeIn(..) | Statement::Not(_) | Statement::Every { .. } => {}
        }
    }

    fn equality(&mut self, left: &Term, right: &Term) {
        self.inside(left);
        self.inside(right);
        let (left, right) = (self.side(left), self.side(right));
        let is_known = self.found.member(&left, &right) || self.found.member(&right, &left);
        if !is_known && !self.found.equal(&left, &right, self.arguments) {
            self.found.equal(&right, &left, self.arguments);
        }
    }

    fn membership(&mut self, member: &Term, all: &Term) {
        let (member, all) = (self.argument(member), self.items(all));
        // A fact that is one of the items.
        if let Side::Name(name) = member {
            if let Some(operand) = self.found.resolve(name, self.arguments) {
                let items = match all {
                    Items::Of(items) => items,
                    Items::Name(name) => match self.found.constants.get(&name) {
                        Some(all) => members(all).map(Asked::Value).collect(),
                        None => return,
                    },
                };
                for item in items {
                    self.found.ask(operand.clone(), item, None, false);
                }
                return;
            }
        }
        // A fact that has the member.
        let Items::Name(all) = all else { return };
        let member = match member {
            Side::Name(name) => match self.found.constants.get(&name) {
                Some(member) => Asked::Value(member.clone()),
                None => Asked::Name(name),
            },
            Side::Value(member) if member.is_scalar() => Asked::Value(member),
            _ => return,
        };
        if let Some(operand) = self.found.resolve(all, self.arguments) {
            // Those are no references of OPA's to it.
            if !matches!(operand, Operand::Argument(_)) {
                self.found.ask(operand, member, None, false);
            }
        }
    }

    fn glob(&mut self, arguments: &[Term]) {
        let sides: Vec<Side> = arguments.iter().map(|argument| self.argument(argument)).collect();
        let [Side::Value(pattern), Side::Value(delimiters), Side::Name(text)] = sides.as_slice() else {
            return;
        };
        let Some((parts, delimiters)) = glob::parts(pattern, delimiters) else { return };
        let part = |part: Option<Value>| part.map_or(Asked::Name(Name::Bare), Asked::Value);
        let parts = parts.into_iter().map(part).collect();
        if let Some(operand) = self.found.resolve(*text, self.arguments) {
            self.found.ask(operand, Asked::Array(parts), Some(delimiters), false);
        }
    }

    /// What a side of an equality is. References stay there.
    fn side(&mut self, term: &Term) -> Side {
        match term {
            Term::Ref(head, keys) => {
                if let Some(operand) = self.planner.operand(term) {
                    return Side::Fact(operand);
                }
                let Some((last, keys)) = keys.split_last() else { return Side::Other };
                if matches!(last, Term::Const(_)) {
                    return Side::Other;
                }
                let collection = Term::Ref(head.clone(), keys.to_vec());
                self.planner.operand(&collection).map_or(Side::Other, Side::Member)
            }
            Term::Var(var) => Side::Name(Name::Variable(*var)),
            Term::Call(..) | Term::In(..) => Side::Name(self.found.hoisted()),
            Term::Collect(..) => Side::Other,
            term => match (constant(term), term) {
                (Some(value), _) => Side::Value(value),
                (None, Term::Array(items)) => {
                    let item = |item: &Term| match item {
                        Term::Const(value) if value.is_scalar() => Some(Asked::Value(value.clone())),
                        Term::Const(_) | Term::Array(_) | Term::Object(_) | Term::Set(_) => None,
                        Term::Var(var) => Some(Asked::Name(Name::Variable(*var))),
                        _ => Some(Asked::Name(self.found.hoisted())),
                    };
                    items.iter().map(item).collect::<Option<_>>().map_or(Side::Other, Side::Array)
                }
                _ => Side::Other,
            },
        }
    }

    /// What an argument of a call is. References are in variables.
    fn argument(&mut self, term: &Term) -> Side {
        self.inside(term);
        match term {
            Term::Ref(..) => {
                let name = self.found.hoisted();
                if let Some(operand) = self.planner.operand(term) {
                    self.found.ask(operand, Asked::Name(name), None, false);
                }
                Side::Name(name)
            }
            Term::Collect(..) => Side::Name(self.found.hoisted()),
            term => self.side(term),
        }
    }

    /// What a collection is in which something is looked for.
    fn items(&mut self, all: &Term) -> Items {
        let terms: Vec<&Term> = match all {
            Term::Array(items) | Term::Set(items) => items.iter().collect(),
            Term::Object(members) => {
                members.iter().for_each(|(key, _)| self.hoist(key));
                members.iter().map(|(_, value)| value).collect()
            }
            Term::Const(all) => return Items::Of(members(all).map(Asked::Value).collect()),
            all => {
                return match self.argument(all) {
                    Side::Name(name) => Items::Name(name),
                    _ => Items::Of(Vec::new()),
                }
            }
        };
        let asked = |term: &Term| match self.argument(term) {
            Side::Name(name) => Asked::Name(name),
            Side::Value(value) => Asked::Value(value),
            Side::Array(items) => Asked::Array(items),
            // A set or an object with variables: anything.
            _ => Asked::Name(self.found.hoisted()),
        };
        Items::Of(terms.into_iter().map(asked).collect())
    }

    /// Asks for all that is computed in a term, itself included.
    fn hoist(&mut self, term: &Term) {
        term.visit(&mut |term| {
            if let Some(operand) = self.planner.operand(term) {
                let name = self.found.hoisted();
                self.found.ask(operand, Asked::Name(name), None, false);
            }
        });
    }

    /// The same, but for a reference that stands there itself.
    fn inside(&mut self, term: &Term) {
        let Term::Ref(head, keys) = term else { return self.hoist(term) };
        if let Head::Term(head) = head {
            self.hoist(head);
        }
        keys.iter().for_each(|key| self.hoist(key));
    }
}

/// A collection that is written, by its items, or one that a variable holds.
enum Items {
    Of(Vec<Asked>),
    Name(Name),
}

impl Needs {
    pub(super) fn is_empty(&self) -> bool {
        self.needs.is_empty()
    }

    /// What is asked about.
    pub(super) fn operands(&self) -> impl Iterator<Item = &Operand> {
        self.needs.iter().map(|need| &need.operand)
    }

    /// The forms of which an operand must have one, and where texts split for them. None, if nothing is asked of it.
    pub(super) fn of(&self, operand: &Operand) -> (Vec<Form>, Vec<String>) {
        let asked = || self.needs.iter().filter(|need| need.operand == *operand);
        let forms = if asked().any(|need| matches!(need.asked, Asked::Name(_))) {
            vec![Form::Any]
        } else {
            asked().map(Need::form).collect()
        };
        (forms, asked().filter_map(|need| need.delimiters.clone()).collect())
    }

    /// Whether the guards say all that a statement says.
    pub(super) fn are_guarded(&self, guards: &[Guard], site: Site) -> bool {
        self.needs.iter().filter(|need| need.site == Some(site)).any(|need| {
            let says = |guard: &Guard| guard.operand == need.operand && guard.forms == [need.form()];
            guards.iter().any(says)
        })
    }

    fn hoisted(&mut self) -> Name {
        self.hoisted = self.hoisted.saturating_add(1);
        Name::Hoisted(self.hoisted)
    }

    /// The fact or argument that a variable stands for.
    fn resolve(&self, name: Name, arguments: &[Pattern]) -> Option<Operand> {
        let found = self.needs.iter().find(|need| need.asked == Asked::Name(name));
        found.map(|need| need.operand.clone()).or_else(|| {
            let Name::Variable(var) = name else { return None };
            let is_it = |pattern: &Pattern| matches!(pattern, Pattern::Bind(bound) if *bound == var);
            arguments.iter().position(is_it).map(Operand::Argument)
        })
    }

    /// Something is asked of an operand: what is more than to be there takes the place of that, and all else are
    /// alternatives.
    fn ask(&mut self, operand: Operand, asked: Asked, delimiters: Option<String>, is_whole: bool) {
        self.counted.push((operand.clone(), self.site));
        let site = is_whole.then_some(self.site);
        for need in self.needs.iter_mut().filter(|need| need.operand == operand) {
            if need.asked == asked {
                return;
            }
            if let (Asked::Name(_), Asked::Value(_) | Asked::Array(_)) = (&need.asked, &asked) {
                *need = Need { operand, asked, delimiters, site };
                return;
            }
        }
        self.needs.push(Need { operand, asked, delimiters, site });
    }

    /// A member of a fact is made equal to a scalar.
    fn member(&mut self, member: &Side, to: &Side) -> bool {
        let Side::Member(operand) = member else { return false };
        let value = match to {
            Side::Name(name) => self.constants.get(name),
            Side::Value(value) => Some(value),
            _ => None,
        };
        let Some(value) = value.filter(|value| value.is_scalar()).cloned() else { return false };
        self.ask(operand.clone(), Asked::Value(value), None, false);
        true
    }

    /// A fact, an argument or a variable is made equal to something.
    fn equal(&mut self, left: &Side, right: &Side, arguments: &[Pattern]) -> bool {
        if let (Side::Name(name), Side::Value(value)) = (left, right) {
            self.constants.insert(*name, value.clone());
        }
        let operand = match left {
            Side::Fact(operand) => Some(operand.clone()),
            Side::Name(name) => self.resolve(*name, arguments),
            _ => None,
        };
        let asked = match (right, left) {
            (Side::Name(name), Side::Fact(_)) => match self.constants.get(name) {
                Some(constant) => Asked::Value(constant.clone()),
                None => Asked::Name(*name),
            },
            (Side::Name(name), _) => Asked::Name(*name),
            (Side::Value(value), _) if value.is_scalar() || is_flat(value) => Asked::Value(value.clone()),
            (Side::Array(items), _) => Asked::Array(items.clone()),
            _ => return false,
        };
        let Some(operand) = operand else { return false };
        let is_whole = matches!(right, Side::Value(value) if value.is_scalar());
        self.ask(operand, asked, None, is_whole);
        true
    }
}

/// An array of scalars.
fn is_flat(value: &Value) -> bool {
    matches!(value, Value::Array(items) if items.iter().all(Value::is_scalar))
}

fn members(all: &Value) -> impl Iterator<Item = Value> + '_ {
    (0..all.members()).filter_map(|at| all.member(at).map(|(_, member)| member.clone()))
}

impl Planner<'_> {
    /// A reference to `input` or base data by constant keys.
    fn operand(&mut self, term: &Term) -> Option<Operand> {
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
            _ => None,
        }
    }
}

impl Need {
    fn form(&self) -> Form {
        match &self.asked {
            Asked::Name(_) => Form::Any,
            Asked::Value(value) if value.is_scalar() => Form::Scalar(value.clone()),
            Asked::Value(Value::Array(items)) => {
                Form::Array(items.iter().map(|item| item.is_scalar().then(|| item.clone())).collect())
            }
            Asked::Value(_) => Form::Any,
            Asked::Array(items) => Form::Array(items.iter().map(Asked::constant).collect()),
        }
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
    let rest = keys.iter().skip(path.len()).map(constant).collect::<Option<Vec<_>>>()?;
    Some((path, rest))
}
