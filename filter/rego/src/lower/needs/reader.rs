//! Goes through a branch as OPA's index does, and asks for what each statement needs.

use super::*;

/// Goes through a branch and asks for what it needs.
pub(in crate::lower) struct Reader<'p, 'l> {
    planner: &'p mut Planner<'l>,
    arguments: &'p [Pattern],
    found: Needs,
}

impl<'p, 'l> Reader<'p, 'l> {
    pub(in crate::lower) fn of(planner: &'p mut Planner<'l>, arguments: &'p [Pattern]) -> Self {
        Self { planner, arguments, found: Needs::default() }
    }

    /// What a branch needs whose statements come in this order.
    pub(in crate::lower) fn read(mut self, branch: &Whole, site: Site) -> Needs {
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
                match self.base(path, Site::default()) {
                    Expr::Base(slot) => Some(Operand::Base(slot, rest)),
                    _ => None,
                }
            }
            _ => None,
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
