//! What OPA's index knows of bodies: which facts and arguments must be there, or be what a constant says. Where a
//! rule that is passed over for that would end in a conflict, that is a difference.
//!
//! The index goes through a body once, statement by statement, when all references outside of equalities are in
//! variables already. [`Needs`] hears of the statements in that order.

mod reader;

use super::glob;
use super::*;
pub(super) use reader::Reader;

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
