//! What bodies consist of.

use super::builtins::CALLS;
use super::documents::record;
use super::types::Ty;
use super::{Maker, Variable};
use crate::tree::{t, term, Node, Reader};

impl Maker {
    /// A body of at most so many statements, and one.
    pub fn statements(&mut self, most: usize) -> Vec<Node> {
        let mut statements = Vec::new();
        for _ in 0..1 + self.random.below(most) {
            if self.random.percent(50) {
                self.binding(&mut statements, 2);
            } else {
                self.statement(&mut statements, 2);
            }
        }
        if statements.len() > 1 && self.random.percent(6) {
            self.mark("statement before its variable");
            let at = self.random.below(statements.len() - 1);
            statements.swap(at, at + 1);
        }
        for statement in statements.iter_mut().skip(1) {
            // A parser that doesn't look at the end of a line takes it for a call of what is above.
            let mut text = String::new();
            statement.write(Reader::Us, &mut text);
            if text.starts_with('(') {
                *statement = Node::Seq(vec![t("true; "), std::mem::replace(statement, t(""))]);
            }
        }
        statements
    }

    /// A statement that binds nothing.
    pub fn statement(&mut self, into: &mut Vec<Node>, depth: usize) {
        let way = self.random.weighted(&[
            (30, "comparison"),
            (16, "not"),
            (10, "in"),
            (8, "every"),
            (10, "bare"),
            (10, "with"),
            (12, "call"),
            (3, "k, v in"),
        ]);
        match way {
            "every" => {
                let node = self.every(depth);
                into.push(node);
            }
            "not" => {
                let node = self.negation(depth);
                into.push(node);
            }
            "with" => {
                let node = self.replaced(depth);
                into.push(node);
            }
            _ => {
                let node = self.condition(way, depth);
                into.push(node);
            }
        }
    }

    pub fn condition(&mut self, way: &str, depth: usize) -> Node {
        match way {
            "in" => {
                self.mark("x in");
                let ty = self.random.pick(&[Ty::Str, Ty::Str, Ty::Num]).clone();
                let collection = match self.random.below(3) {
                    0 => Ty::arr(ty.clone()),
                    1 => Ty::set(ty.clone()),
                    _ => Ty::obj(ty.clone()),
                };
                let item = self.term(&ty, depth.saturating_sub(1));
                // OPA 1.20 passes over a rule with `input.a in ["b", input.a, "c"]`: its index takes the
                // constants for all there is.
                let collection = match &collection {
                    Ty::Arr(_) if depth > 0 => {
                        let all = self.term(&collection, depth);
                        let name = self.fresh("m");
                        term(vec![t(format!("[{name} | some {name} in ")), all, t("]")])
                    }
                    collection => self.term(collection, depth),
                };
                Node::Seq(vec![item, t(" in "), collection])
            }
            "k, v in" => {
                self.mark("k, v in");
                let key = self.term(&Ty::Str, 0);
                let item = self.term(&Ty::Num, 0);
                let collection = self.term(&Ty::obj(Ty::Num), depth);
                Node::Seq(vec![key, t(", "), item, t(" in "), collection])
            }
            "bare" => {
                self.mark("bare term");
                let ty = self.random.pick(&[Ty::Bool, Ty::Bool, Ty::Any, Ty::Num, Ty::arr(Ty::Str)]).clone();
                match self.random.percent(50) {
                    true => self.path(&ty).unwrap_or_else(|| term(vec![t("input.flag")])),
                    false => match self.rule_value(&ty) {
                        Some(node) => node,
                        None => self.path(&Ty::Bool).unwrap_or_else(|| term(vec![t("input.flag")])),
                    },
                }
            }
            "call" => {
                if self.random.percent(40) {
                    if let Some(node) = self.user_call(&Ty::Bool, depth) {
                        return node;
                    }
                }
                let offered: Vec<_> = CALLS.iter().filter(|call| call.is_offered()).collect();
                let call = *self.random.pick(&offered);
                self.call(call, depth)
            }
            _ => self.comparison(depth),
        }
    }

    fn rule_value(&mut self, ty: &Ty) -> Option<Node> {
        let rules: Vec<_> = self
            .rules
            .iter()
            .filter(|rule| rule.arguments.is_none() && (rule.ty == *ty || *ty == Ty::Any))
            .cloned()
            .collect();
        (!rules.is_empty()).then(|| {
            let rule = self.random.pick(&rules).clone();
            term(vec![t(self.reference(&rule))])
        })
    }

    fn negation(&mut self, depth: usize) -> Node {
        self.mark("not");
        let inner = match self.random.below(9) {
            0 => {
                self.mark("not comprehension");
                let ty = self.random.pick(&[Ty::arr(Ty::Str), Ty::set(Ty::Num), Ty::obj(Ty::Str)]).clone();
                let made = self.comprehension(&ty, depth);
                match self.random.percent(50) {
                    true => made,
                    false => Node::Seq(vec![
                        t("count("),
                        made,
                        t(*self.random.pick(&[") == 0", ") > 1", ") == 1"])),
                    ]),
                }
            }
            1 => {
                self.mark("not call");
                self.condition("call", depth)
            }
            2 => {
                self.mark("not undefined");
                term(vec![t(*self.random.pick(&[
                    "input.absent",
                    "input.user.absent",
                    "data.base.absent",
                    "data.absent.x",
                ]))])
            }
            3 => {
                self.mark("not reference with bound key");
                match self.iterable() {
                    Some((path, key, item)) => {
                        let key = self.term(&key, 0);
                        let path = Node::Seq(vec![path, t("["), key, t("]")]);
                        let (field, ty) = match item {
                            Ty::Rec(which) => {
                                let (name, ty) = self.random.pick(&record(which)).clone();
                                (format!(".{name}"), ty)
                            }
                            other => (String::new(), other),
                        };
                        let value = self.term(&ty, 0);
                        term(vec![path, t(format!("{field} == ")), value])
                    }
                    None => term(vec![t("input.roles[0]")]),
                }
            }
            4 => {
                self.mark("not membership");
                self.condition("in", depth)
            }
            5 | 6 => self.condition("bare", depth),
            _ => self.comparison(depth),
        };
        Node::Seq(vec![t("not "), inner])
    }

    fn every(&mut self, depth: usize) -> Node {
        let (collection, key, item) = self.collection(depth);
        let from = self.scope.len();
        let mut names = Vec::new();
        if self.random.percent(40) {
            self.mark("every k, v");
            names.push((self.bind_inner("k", key.clone()), key));
        } else {
            self.mark("every x");
        }
        names.push((self.bind_inner("e", item.clone()), item));
        let head: Vec<_> = names.iter().map(|(name, _)| name.as_str()).collect();
        let head = format!("every {} in ", head.join(", "));
        let mut statements = Vec::new();
        self.nesting += 1;
        if self.random.percent(20) {
            self.binding(&mut statements, depth.saturating_sub(1));
        }
        if self.random.percent(60) {
            self.statement(&mut statements, depth.saturating_sub(1));
        }
        self.nesting -= 1;
        // OPA takes no variable that isn't used.
        let mut text = String::new();
        statements.iter().for_each(|statement| statement.write(Reader::Us, &mut text));
        for (name, ty) in names {
            if !text.contains(&name) || statements.is_empty() {
                let operator = *self.random.pick(&[" != ", " != ", " > ", " == "]);
                let other = self.term(&ty, 0);
                statements.push(Node::Seq(vec![t(name), t(operator), other]));
            }
        }
        self.scope.truncate(from);
        Node::Seq(vec![
            t(head),
            collection,
            t(" { "),
            Node::List { between: "; ", least: 1, items: statements },
            t(" }"),
        ])
    }

    fn bind_inner(&mut self, stem: &str, ty: Ty) -> String {
        let name = self.fresh(stem);
        self.scope.push(Variable { name: name.clone(), ty });
        name
    }
}
