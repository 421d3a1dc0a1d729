//! A rule with its names resolved: what stands between the syntax tree and the plan.

use std::sync::Arc;

use everycall_rego_values::{Arithmetic, Builtin, Value};

/// A variable of one rule.
pub(crate) type Var = usize;

/// Where something is written.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Site {
    /// The place of its module in the library.
    pub module: u32,
    /// Its first byte in the module's text.
    pub start: u32,
    /// The byte behind its last one.
    pub end: u32,
    /// The line of its first byte, from 1.
    pub line: u32,
}

/// What a reference starts with.
#[derive(Clone)]
pub(crate) enum Head {
    Input,
    Data,
    Term(Box<Term>),
}

/// A path below `data`.
pub(crate) type Path = Vec<Arc<str>>;

/// What is called.
#[derive(Clone)]
pub(crate) enum Function {
    Builtin(&'static Builtin),
    Operator(Operator),
    /// `walk`, which gives many results.
    Walk,
    /// `time.now_ns`: the time of the decision.
    Now,
    Rule(Path),
}

/// What is written between two operands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Operator {
    Equal,
    NotEqual,
    Less,
    LessOrEqual,
    Greater,
    GreaterOrEqual,
    Arithmetic(Arithmetic),
    And,
    Or,
}

#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Collected {
    Array,
    Set,
    Object,
}

/// An expression.
#[derive(Clone)]
pub(crate) enum Term {
    Const(Value),
    Var(Var),
    Ref(Head, Vec<Term>),
    Array(Vec<Term>),
    Set(Vec<Term>),
    Object(Vec<(Term, Term)>),
    /// Of an object, the key and the value.
    Collect(Collected, Arc<Closure>),
    Call(Function, Vec<Term>, Site),
    /// `key, value in collection`.
    In(Option<Box<Term>>, Box<Term>, Box<Term>),
}

/// A body with what is made of each of its solutions. It has variables of its own.
pub(crate) struct Closure {
    pub(crate) body: Vec<Literal>,
    pub(crate) heads: Vec<Term>,
}

/// One statement of a body.
#[derive(Clone)]
pub(crate) struct Literal {
    pub(crate) kind: Kind,
    pub(crate) with: Vec<With>,
    pub(crate) site: Site,
}

#[derive(Clone)]
pub(crate) enum Kind {
    Expr(Term),
    /// `=`, and `:=`, whose variables are new.
    Unify(Term, Term),
    /// A call whose last argument is what it gives: that, and the call.
    Output(Term, Term),
    /// `some key, value in collection`.
    SomeIn(Option<Term>, Term, Term),
    Not(Box<Kind>),
    Every {
        key: Option<Var>,
        value: Var,
        domain: Term,
        body: Arc<Vec<Literal>>,
    },
}

/// What `with` replaces, and by what.
#[derive(Clone)]
pub(crate) struct With {
    pub(crate) target: Target,
    pub(crate) value: Replacement,
}

#[derive(Clone, PartialEq)]
pub(crate) enum Target {
    Input(Path),
    Data(Path),
    /// By its name, or its path with `data.` before it.
    Function(String),
}

#[derive(Clone)]
pub(crate) enum Replacement {
    Value(Term),
    Function(Function),
}

/// One definition of a rule.
pub(crate) struct Rule {
    pub(crate) site: Site,
    pub(crate) arguments: Vec<Term>,
    /// A rule that adds an element to a set.
    pub(crate) contains: bool,
    /// The body, and each `else`.
    pub(crate) branches: Vec<Branch>,
    /// How deep in closures each of its variables is at home.
    pub(crate) depths: Vec<usize>,
}

pub(crate) struct Branch {
    pub(crate) site: Site,
    pub(crate) body: Vec<Literal>,
    pub(crate) value: Term,
    /// What stands behind the constant part of the head, in the scope of the body.
    pub(crate) tail: Vec<Term>,
}

impl Term {
    /// Calls `each` for this term and all inside of it but for what is in closures.
    pub(crate) fn visit(&self, each: &mut dyn FnMut(&Term)) {
        each(self);
        match self {
            Self::Const(_) | Self::Var(_) | Self::Collect(..) => {}
            Self::Ref(head, keys) => {
                if let Head::Term(term) = head {
                    term.visit(each);
                }
                keys.iter().for_each(|key| key.visit(each));
            }
            Self::Array(items) | Self::Set(items) | Self::Call(_, items, _) => {
                items.iter().for_each(|item| item.visit(each));
            }
            Self::Object(members) => members.iter().for_each(|(key, value)| {
                key.visit(each);
                value.visit(each);
            }),
            Self::In(key, value, collection) => {
                if let Some(key) = key {
                    key.visit(each);
                }
                value.visit(each);
                collection.visit(each);
            }
        }
    }

    /// The same of what `each` makes of its parts, in their order. What is in closures stays.
    ///
    /// # Errors
    /// The first of `each`.
    pub(crate) fn map<E>(&self, each: &mut dyn FnMut(&Self) -> Result<Self, E>) -> Result<Self, E> {
        let mut made = self.clone();
        let mut put = |part: &mut Self| {
            *part = each(part)?;
            Ok(())
        };
        match &mut made {
            Self::Const(_) | Self::Var(_) | Self::Collect(..) => {}
            Self::Array(items) | Self::Set(items) | Self::Call(_, items, _) => {
                items.iter_mut().try_for_each(put)?;
            }
            Self::Object(members) => {
                for (key, value) in members {
                    put(key)?;
                    put(value)?;
                }
            }
            Self::Ref(head, keys) => {
                if let Head::Term(inner) = head {
                    put(inner)?;
                }
                keys.iter_mut().try_for_each(put)?;
            }
            Self::In(key, value, collection) => {
                for part in key.iter_mut().chain([value, collection]) {
                    put(part)?;
                }
            }
        }
        Ok(made)
    }

    /// Calls `each` for its variables, but for what is in closures.
    pub(crate) fn variables(&self, each: &mut dyn FnMut(Var)) {
        self.visit(&mut |inner| {
            if let Self::Var(var) = inner {
                each(*var);
            }
        });
    }

    fn in_closures(&self, each: &mut dyn FnMut(Var)) {
        self.visit(&mut |inner| {
            if let Self::Collect(_, closure) = inner {
                closure.body.iter().for_each(|literal| literal.variables(each));
                for head in &closure.heads {
                    head.in_closures(each);
                    head.variables(each);
                }
            }
        });
    }
}

impl Kind {
    /// Calls `each` for the terms it is made of, but for what is in closures.
    pub(crate) fn terms(&self, each: &mut dyn FnMut(&Term)) {
        match self {
            Self::Expr(term) => each(term),
            Self::Unify(left, right) | Self::Output(left, right) => {
                each(left);
                each(right);
            }
            Self::SomeIn(key, value, collection) => {
                key.iter().for_each(&mut *each);
                each(value);
                each(collection);
            }
            Self::Not(inner) => inner.terms(each),
            Self::Every { domain, .. } => each(domain),
        }
    }

    /// Calls `each` for the variables in its closures: those that they read, and their own.
    pub(crate) fn in_closures(&self, each: &mut dyn FnMut(Var)) {
        if let Self::Every { body, .. } = self {
            body.iter().for_each(|literal| literal.variables(each));
        }
        self.terms(&mut |term| term.in_closures(each));
    }
}

impl Literal {
    fn variables(&self, each: &mut dyn FnMut(Var)) {
        self.kind.in_closures(each);
        self.kind.terms(&mut |term| term.variables(each));
        for with in &self.with {
            if let Replacement::Value(value) = &with.value {
                value.in_closures(each);
                value.variables(each);
            }
        }
    }
}
