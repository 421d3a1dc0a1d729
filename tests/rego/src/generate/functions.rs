//! Functions, and the patterns of their arguments.

use super::rules::block;
use super::types::Ty;
use super::{Maker, Variable};
use crate::tree::{t, Node};

impl Maker {
    pub fn function(&mut self, name: &str, ty: &Ty, arguments: &[Ty], into: &mut Vec<Node>) {
        self.mark("function");
        for _ in 0..self.definitions() {
            let mut patterns = Vec::new();
            for argument in arguments {
                patterns.push(self.pattern(argument));
            }
            let parameters: Vec<Variable> = self.scope.clone();
            let body = self.random.percent(85).then(|| self.statements(2));
            let value = self.head_value(ty);
            let sign = self.sign();
            let mut parts = vec![
                t(format!("{name}(")),
                Node::List { between: ", ", least: patterns.len(), items: patterns },
                t(")"),
            ];
            // A function that is true where its body holds.
            if *ty != Ty::Bool || body.is_none() || self.random.percent(50) {
                parts.push(t(sign));
                parts.push(value);
            }
            if let Some(body) = body {
                parts.push(t(" if "));
                parts.push(block(body));
                self.scope = parameters;
                if self.random.percent(15) {
                    let (node, _) = self.otherwise(ty);
                    parts.push(node);
                }
            }
            self.scope.clear();
            into.push(Node::Seq(parts));
        }
        if self.random.percent(25) {
            self.mark("default function");
            let wildcards = vec!["_"; arguments.len()].join(", ");
            let value = self.literal(ty, 0);
            into.push(Node::Seq(vec![t(format!("default {name}({wildcards}) := ")), value]));
        }
    }

    /// A parameter: mostly a variable.
    fn pattern(&mut self, ty: &Ty) -> Node {
        let variable = |maker: &mut Self, ty: &Ty| {
            let name = maker.fresh("a");
            maker.scope.push(Variable { name: name.clone(), ty: ty.clone() });
            t(name)
        };
        match (self.random.below(10), ty) {
            (0, _) => {
                self.mark("argument pattern: wildcard");
                t("_")
            }
            (1, Ty::Num | Ty::Str | Ty::Bool) => {
                self.mark("argument pattern: constant");
                self.literal(ty, 0)
            }
            (1..=5, Ty::Arr(item)) => {
                self.mark("argument pattern: array");
                let second = if self.random.percent(50) { t("_") } else { variable(self, item) };
                Node::Seq(vec![t("["), variable(self, item), t(", "), second, t("]")])
            }
            (1..=5, Ty::Obj(member)) => {
                self.mark("argument pattern: object");
                Node::Seq(vec![t(format!("{{{}: ", self.key())), variable(self, member), t("}")])
            }
            _ => variable(self, ty),
        }
    }
}
