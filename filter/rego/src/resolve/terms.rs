//! Terms: operators, references and comprehensions, and patterns that declare names.

use everycall_rego_values::{has_bytes, Arithmetic, Number};
use regorus::unstable::{ArithOp, BinOp, BoolOp};

use super::scopes::Meaning;
use super::written::{is_written_again, is_written_alike, Written};
use super::*;
use crate::hir::{Closure, Collected};
use crate::syntax::string;

impl Resolver<'_> {
    /// A term whose names are declared by it, as in `[x, {"a": y}] := …`, function heads and `some … in`.
    /// Where a name may stand twice, the second one is the first: one that was declared after so many others.
    pub(super) fn pattern(&mut self, expr: &Expr, twice: Option<usize>) -> Result<Term, Problem> {
        match expr {
            Expr::Var { span, .. } => {
                let names = self.scopes.last().zip(twice);
                let known = names.and_then(|(scope, before)| {
                    scope
                        .declared
                        .iter()
                        .skip(before)
                        .find(|(known, _)| known == span.text())
                        .map(|(_, var)| *var)
                });
                match known {
                    Some(var) => Ok(Term::Var(var)),
                    None => self.declare(span),
                }
            }
            Expr::Array { items, .. } => {
                Ok(Term::Array(items.iter().map(|item| self.pattern(item, twice)).collect::<Result<_, _>>()?))
            }
            Expr::Object { fields, .. } => {
                let mut members = Vec::with_capacity(fields.len());
                for (_, key, value) in fields {
                    members.push((self.term(key)?, self.pattern(value, twice)?));
                }
                Ok(Term::Object(members))
            }
            _ => self.term(expr),
        }
    }

    pub(super) fn term(&mut self, expr: &Expr) -> Result<Term, Problem> {
        let operator = |operator| Function::Operator(operator);
        match expr {
            Expr::String { .. } | Expr::RawString { .. } => match string(expr) {
                Some(text) if has_bytes(&text) => {
                    self.problem(expr.span(), "the characters U+10FF80 to U+10FFFF are not offered")
                }
                Some(text) => Ok(Term::Const(Value::String(text))),
                None => self.problem(expr.span(), "not a string"),
            },
            Expr::Number { span, .. } => match Number::parse(span.text()) {
                Some(number) => Ok(Term::Const(Value::Number(number))),
                None => self.problem(span, "not a number that can be computed with"),
            },
            Expr::Bool { span, .. } => Ok(Term::Const(Value::Bool(span.text() == "true"))),
            Expr::Null { .. } => Ok(Term::Const(Value::Null)),
            Expr::Var { span, .. } => Ok(match self.meaning(span.text()) {
                Meaning::Var(var) => Term::Var(var),
                Meaning::Global(path) => reference(&path, Vec::new()),
            }),
            Expr::Array { items, .. } => Ok(Term::Array(self.terms(items)?)),
            Expr::Set { items, .. } => {
                let mut items = self.terms(items)?;
                items.sort_by(|a, b| Written::of(a).cmp(&Written::of(b)));
                Ok(Term::Set(items))
            }
            Expr::Object { fields, .. } => {
                let mut members = Vec::with_capacity(fields.len());
                for (at, (_, key, value)) in fields.iter().enumerate() {
                    if is_written_again(fields, at) {
                        continue;
                    }
                    let (key, value) = (self.term(key)?, self.term(value)?);
                    // Of a key that is written twice the last value counts, and the others are not there.
                    members.retain(|(known, _)| !is_written_alike(known, &key));
                    members.push((key, value));
                }
                members.sort_by(|(a, _), (b, _)| Written::of(a).cmp(&Written::of(b)));
                Ok(Term::Object(members))
            }
            Expr::ArrayCompr { term, query, .. } => self.closure(Collected::Array, &[term], query),
            Expr::SetCompr { term, query, .. } => self.closure(Collected::Set, &[term], query),
            Expr::ObjectCompr { key, value, query, .. } => {
                self.closure(Collected::Object, &[key, value], query)
            }
            Expr::Call { fcn, params, span, .. } => {
                let function = self.called(fcn, span)?;
                let arguments = self.terms(params)?;
                self.call(function, arguments, span)
            }
            Expr::UnaryExpr { span, expr, .. } => self.minus(expr, span),
            Expr::RefDot { .. } | Expr::RefBrack { .. } => self.reference(expr),
            Expr::BinExpr { op, lhs, rhs, span, .. } => {
                let op = match op {
                    BinOp::Intersection => Operator::And,
                    BinOp::Union => Operator::Or,
                };
                let operands = self.operands(lhs, rhs, false)?;
                Ok(Term::Call(operator(op), operands, site(self.origin, span)))
            }
            Expr::BoolExpr { op, lhs, rhs, span, .. } => {
                let op = match op {
                    BoolOp::Lt => Operator::Less,
                    BoolOp::Le => Operator::LessOrEqual,
                    BoolOp::Eq => Operator::Equal,
                    BoolOp::Ge => Operator::GreaterOrEqual,
                    BoolOp::Gt => Operator::Greater,
                    BoolOp::Ne => Operator::NotEqual,
                };
                let operands = self.operands(lhs, rhs, true)?;
                Ok(Term::Call(operator(op), operands, site(self.origin, span)))
            }
            Expr::ArithExpr { op, lhs, rhs, span, .. } => {
                let op = match op {
                    ArithOp::Add => Operator::Arithmetic(Arithmetic::Plus),
                    ArithOp::Sub => Operator::Arithmetic(Arithmetic::Minus),
                    ArithOp::Mul => Operator::Arithmetic(Arithmetic::Times),
                    ArithOp::Div => Operator::Arithmetic(Arithmetic::Divide),
                    ArithOp::Mod => Operator::Arithmetic(Arithmetic::Remainder),
                };
                let operands = self.operands(lhs, rhs, false)?;
                Ok(Term::Call(operator(op), operands, site(self.origin, span)))
            }
            Expr::AssignExpr { span, .. } => {
                self.problem(span, "an assignment has no place in an expression")
            }
            Expr::Membership { key, value, collection, .. } => {
                let key = key.as_ref().map(|key| self.term(key)).transpose()?.map(Box::new);
                Ok(Term::In(key, Box::new(self.term(value)?), Box::new(self.term(collection)?)))
            }
        }
    }

    fn operands(&mut self, lhs: &Expr, rhs: &Expr, is_compared: bool) -> Result<Vec<Term>, Problem> {
        match rhs {
            // Whatever follows would be a part of this operand, which it is only where both are compared.
            Expr::UnaryExpr { span, expr, .. } if is_infix(expr) && !(is_compared && is_computed(expr)) => {
                self.problem(
                    span,
                    "a minus in the middle of an expression: put it and its operand into brackets",
                )
            }
            rhs => Ok(vec![self.term(lhs)?, self.term(rhs)?]),
        }
    }

    /// A minus before a reference or a call. The parser takes all that follows for its operand: it belongs to the
    /// first.
    fn minus(&mut self, expr: &Expr, span: &ast::Span) -> Result<Term, Problem> {
        let behind = span.text().strip_prefix('-').unwrap_or_default().trim_start();
        let term = self.term(expr)?;
        let negated =
            if behind.starts_with(['(', '-']) { None } else { negated(term, site(self.origin, span)) };
        match negated {
            Some(term) => Ok(term),
            None => {
                self.problem(span, "a minus stands before a number, a reference or a call: write `0 - …`")
            }
        }
    }

    fn terms(&mut self, all: &[ast::Ref<Expr>]) -> Result<Vec<Term>, Problem> {
        all.iter().map(|expr| self.term(expr)).collect()
    }

    fn closure(
        &mut self,
        collected: Collected,
        heads: &[&ast::Ref<Expr>],
        query: &ast::Query,
    ) -> Result<Term, Problem> {
        self.depth = self.depth.saturating_add(1);
        let written: Vec<&Expr> = heads.iter().map(|head| &***head).collect();
        self.open_body(Some(query), &written);
        let body = self.body(query)?;
        let heads = heads.iter().map(|head| self.term(head)).collect::<Result<_, _>>()?;
        self.close();
        self.depth = self.depth.saturating_sub(1);
        Ok(Term::Collect(collected, Arc::new(Closure { body, heads })))
    }

    fn reference(&mut self, expr: &Expr) -> Result<Term, Problem> {
        let mut keys = Vec::new();
        let mut open = expr;
        loop {
            match open {
                Expr::RefDot { refr, field, .. } => {
                    keys.push(Term::Const(Value::from(field.0.text())));
                    open = refr;
                }
                Expr::RefBrack { refr, index, .. } => {
                    keys.push(self.term(index)?);
                    open = refr;
                }
                _ => break,
            }
        }
        keys.reverse();
        if let Expr::Var { span, .. } = open {
            return Ok(match self.meaning(span.text()) {
                Meaning::Var(var) => Term::Ref(Head::Term(Box::new(Term::Var(var))), keys),
                Meaning::Global(path) => reference(&path, keys),
            });
        }
        let head = self.term(open)?;
        Ok(Term::Ref(Head::Term(Box::new(head)), keys))
    }
}

/// `data.a.b` and keys below.
fn reference(path: &Path, keys: Vec<Term>) -> Term {
    let head = match path.first() {
        Some(root) if &**root == "input" => Head::Input,
        _ => Head::Data,
    };
    let names = path.iter().skip(1).map(|name| Term::Const(Value::String(Arc::clone(name))));
    Term::Ref(head, names.chain(keys).collect())
}

/// Two operands with something between them.
const fn is_infix(expr: &Expr) -> bool {
    is_computed(expr) || matches!(expr, Expr::BoolExpr { .. } | Expr::Membership { .. })
}

const fn is_computed(expr: &Expr) -> bool {
    matches!(expr, Expr::ArithExpr { .. } | Expr::BinExpr { .. })
}

/// The same with a minus before its first operand; `None` where that is no number, reference or call.
fn negated(term: Term, at: crate::hir::Site) -> Option<Term> {
    Some(match term {
        Term::Call(Function::Operator(operator), mut operands, site) => {
            let first = negated(operands.first()?.clone(), at)?;
            *operands.first_mut()? = first;
            Term::Call(Function::Operator(operator), operands, site)
        }
        Term::In(None, value, collection) => Term::In(None, Box::new(negated(*value, at)?), collection),
        Term::In(Some(key), value, collection) => {
            Term::In(Some(Box::new(negated(*key, at)?)), value, collection)
        }
        Term::Const(Value::Number(number)) => {
            Term::Const(Value::Number(Number::parse(&format!("-{number}"))?))
        }
        Term::Var(_) | Term::Ref(..) | Term::Call(..) => {
            let operands = vec![Term::Const(Value::from(0_i64)), term];
            Term::Call(Function::Operator(Operator::Arithmetic(Arithmetic::Minus)), operands, at)
        }
        Term::Const(_) | Term::Array(_) | Term::Set(_) | Term::Object(_) | Term::Collect(..) => return None,
    })
}
