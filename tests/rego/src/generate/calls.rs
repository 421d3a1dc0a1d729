//! Calls of functions and builtins, and operations.

use super::builtins::{Arg, Call, Out};
use super::types::Ty;
use super::Maker;
use crate::tree::{t, term, Node};

impl Maker {
    pub fn user_call(&mut self, ty: &Ty, depth: usize) -> Option<Node> {
        let functions: Vec<_> =
            self.rules.iter().filter(|rule| rule.arguments.is_some() && rule.ty == *ty).cloned().collect();
        if functions.is_empty() {
            return None;
        }
        self.mark("user call");
        let function = self.random.pick(&functions).clone();
        let mut items = Vec::new();
        for argument in function.arguments.iter().flatten() {
            items.push(match self.random.percent(6) {
                true => {
                    self.mark("absent member");
                    term(vec![t("input.absent")])
                }
                false => self.term(argument, depth.saturating_sub(1)),
            });
        }
        let name = self.reference(&function);
        Some(term(vec![t(name), t("("), Node::List { between: ", ", least: items.len(), items }, t(")")]))
    }

    /// A call of a builtin that makes this type.
    pub fn builtin(&mut self, ty: &Ty, depth: usize, calls: &'static [Call]) -> Option<Node> {
        let fits = |out: Out| {
            matches!(
                (out, ty),
                (Out::Num, Ty::Num) | (Out::Str, Ty::Str) | (Out::Bool, Ty::Bool) | (Out::Any, Ty::Any)
            ) || match (out, ty) {
                (Out::ArrStr, Ty::Arr(item)) | (Out::SetStr, Ty::Set(item)) => **item == Ty::Str,
                (Out::ArrNum, Ty::Arr(item)) => **item == Ty::Num,
                _ => false,
            }
        };
        let calls: Vec<_> = calls.iter().filter(|call| fits(call.out) && call.is_offered()).collect();
        if calls.is_empty() {
            return None;
        }
        let call = *self.random.pick(&calls);
        Some(self.call(call, depth))
    }

    /// A call of this builtin.
    pub fn call(&mut self, call: &'static Call, depth: usize) -> Node {
        let guarded = !call.guard.is_empty() && self.wild;
        let mut arguments = Vec::new();
        for argument in call.arguments {
            let depth = depth.saturating_sub(1);
            // Of what is not what it should be, and isn't asked before: only constants.
            let sure = self.wild && !guarded;
            let made = match *argument {
                Arg::Of(texts) => term(vec![t(*self.random.pick(texts))]),
                Arg::Any => self.term(&Ty::Any, depth),
                Arg::Coll => {
                    let ty = self
                        .random
                        .pick(&[Ty::Str, Ty::arr(Ty::Str), Ty::set(Ty::Str), Ty::obj(Ty::Num)])
                        .clone();
                    self.argument(&ty, depth, sure)
                }
                Arg::Num => self.argument(&Ty::Num, depth, sure),
                Arg::Str => self.argument(&Ty::Str, depth, sure),
                Arg::ArrAny => {
                    let ty =
                        self.random.pick(&[Ty::arr(Ty::Num), Ty::arr(Ty::Str), Ty::arr(Ty::Any)]).clone();
                    self.argument(&ty, depth, sure)
                }
                Arg::ArrStr => self.argument(&Ty::arr(Ty::Str), depth, sure),
                Arg::NumList => {
                    let ty = self.random.pick(&[Ty::arr(Ty::Num), Ty::set(Ty::Num)]).clone();
                    self.argument(&ty, depth, sure)
                }
                Arg::List => {
                    let ty =
                        self.random.pick(&[Ty::arr(Ty::Num), Ty::set(Ty::Str), Ty::arr(Ty::Any)]).clone();
                    self.argument(&ty, depth, sure)
                }
                Arg::SetStr => self.argument(&Ty::set(Ty::Str), depth, sure),
                Arg::SetSet => self.argument(&Ty::set(Ty::set(Ty::Str)), depth, true),
                Arg::Obj => self.argument(&Ty::obj(Ty::Num), depth, sure),
                Arg::Graph => term(vec![t(*self.random.pick(&[
                    "{\"a\": [\"b\", \"c\"], \"b\": [\"a\"], \"c\": []}",
                    "{\"admin\": {\"dev\"}, \"dev\": {\"read\"}, \"read\": set()}",
                    "{}",
                ]))]),
            };
            arguments.push(made);
        }
        if guarded {
            return Node::Guarded { name: call.name, infix: None, arguments };
        }
        let least = arguments.len();
        term(vec![t(call.name), t("("), Node::List { between: ", ", least, items: arguments }, t(")")])
    }

    fn argument(&mut self, ty: &Ty, depth: usize, sure: bool) -> Node {
        match sure {
            true => self.literal(ty, 0),
            false => self.term(ty, depth),
        }
    }

    pub fn operation(&mut self, ty: &Ty, depth: usize) -> Option<Node> {
        match ty {
            Ty::Num => {
                self.mark("arithmetic");
                let (name, operator) = self.random.weighted(&[
                    (3, ("plus", "+")),
                    (3, ("minus", "-")),
                    (2, ("mul", "*")),
                    (1, ("div", "/")),
                ]);
                let left = self.term(ty, depth - 1);
                let right = match (name, self.random.percent(50)) {
                    ("div", _) => term(vec![t(*self.random.pick(&["2", "3", "10"]))]),
                    (_, true) => term(vec![t(*self.random.pick(&["1", "2", "0.5"]))]),
                    _ => self.term(ty, depth - 1),
                };
                Some(match self.wild {
                    true => Node::Guarded { name, infix: Some(operator), arguments: vec![left, right] },
                    false => term(vec![t("("), left, t(format!(" {operator} ")), right, t(")")]),
                })
            }
            Ty::Set(_) => {
                self.mark("set operation");
                let operator = *self.random.pick(&[" | ", " & ", " - "]);
                let [left, right] = [self.term(ty, depth - 1), self.term(ty, depth - 1)];
                // Sets are never of the documents, so that these don't fail.
                Some(term(vec![t("("), left, t(operator), right, t(")")]))
            }
            Ty::Bool => {
                let condition = self.comparison(depth - 1);
                Some(term(vec![t("("), condition, t(")")]))
            }
            _ => None,
        }
    }

    /// `a < b`, of one type or of several.
    pub fn comparison(&mut self, depth: usize) -> Node {
        let operator = *self.random.pick(&[" == ", " == ", " != ", " < ", " <= ", " > ", " >= "]);
        match self.random.below(10) {
            0..=4 => {
                // With what is there: else few conditions hold.
                let there: Vec<_> = self
                    .known
                    .iter()
                    .filter(|known| matches!(&known.value, Some(value) if !value.is_object() && value.to_string().len() < 30))
                    .cloned()
                    .collect();
                if !there.is_empty() {
                    self.mark("comparison with what is there");
                    let known = self.random.pick(&there).clone();
                    let operator = self.random.weighted(&[(6, " == "), (1, operator)]);
                    let value = known.value.unwrap_or_default().to_string();
                    return Node::Seq(vec![term(vec![t(known.path)]), t(operator), term(vec![t(value)])]);
                }
            }
            5 | 6 => {
                self.mark("comparison across types");
                let left = self.path(&Ty::Any);
                let operator = *self.random.pick(&[" == ", " != ", " < ", " <= ", " > ", " >= "]);
                if let Some(left) = left {
                    let right = self.term(&Ty::Any, depth);
                    return Node::Seq(vec![left, t(operator), right]);
                }
            }
            _ => {}
        }
        self.mark("comparison");
        let ty = self
            .random
            .pick(&[Ty::Num, Ty::Num, Ty::Str, Ty::Str, Ty::Bool, Ty::arr(Ty::Str), Ty::set(Ty::Str)])
            .clone();
        let left = self.term(&ty, depth);
        let right = self.term(&ty, depth);
        Node::Seq(vec![left, t(operator), right])
    }
}
