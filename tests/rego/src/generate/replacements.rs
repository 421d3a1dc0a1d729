//! Conditions under `with`, and what it replaces.

use super::types::Ty;
use super::{Maker, Variable};
use crate::tree::{t, term, Node};

/// What `with` replaces, by number.
const FUNCTION: usize = 7;
const BUILTIN: usize = 8;

impl Maker {
    /// A condition about rules, with something in the place of what they read.
    pub fn replaced(&mut self, depth: usize) -> Node {
        let inner = match self.random.below(4) {
            0 => self.comparison(depth),
            1 => self.user_call(&Ty::Bool, depth).unwrap_or_else(|| term(vec![t("input.flag")])),
            2 => {
                let rules: Vec<_> =
                    self.rules.iter().filter(|rule| rule.arguments.is_none()).cloned().collect();
                match rules.is_empty() {
                    true => self.comparison(depth),
                    false => {
                        let rule = self.random.pick(&rules).clone();
                        let name = self.fresh("v");
                        let node =
                            Node::Seq(vec![t(format!("{name} := ")), term(vec![t(self.reference(&rule))])]);
                        self.scope.push(Variable { name, ty: rule.ty });
                        node
                    }
                }
            }
            _ => Node::Seq(vec![t("not "), self.condition("bare", depth)]),
        };
        let bound = match &inner {
            Node::Seq(parts) if self.scope.last().is_some_and(|last| matches!(&parts[0], Node::Text(text) if text.starts_with(&format!("{} :=", last.name)))) => {
                self.scope.pop()
            }
            _ => None,
        };
        let mut changes = Vec::new();
        for _ in 0..self.random.weighted(&[(75, 1), (25, 2)]) {
            let what = self.random.below(10);
            changes.extend(self.change(what, depth));
            // What stands in a function's place may read what another replacement changes.
            if what == FUNCTION && self.random.below(2) == 0 {
                let what = *self.random.pick(&[FUNCTION, BUILTIN]);
                changes.extend(self.change(what, depth));
            }
        }
        if changes.len() > 1 {
            self.mark("several with");
        }
        self.scope.extend(bound);
        Node::Seq(vec![inner, Node::List { between: "", least: 0, items: changes }])
    }

    fn change(&mut self, what: usize, depth: usize) -> Option<Node> {
        let with =
            |target: String, value: Node| Some(Node::Seq(vec![t(format!(" with {target} as ")), value]));
        match what {
            0 => {
                self.mark("with input");
                let value = *self.random.pick(&[
                    "{}",
                    "{\"user\": \"bob\", \"flag\": true}",
                    "{\"roles\": [\"admin\"], \"n\": 1, \"m\": 2}",
                    "null",
                    "[]",
                    "{\"claims\": {\"role\": \"admin\", \"level\": 3}, \"method\": \"GET\"}",
                ]);
                with("input".to_owned(), term(vec![t(value)]))
            }
            1..=4 => {
                self.mark("with part of input");
                let ty = self.random.pick(&[Ty::Str, Ty::Num, Ty::Bool, Ty::arr(Ty::Str)]).clone();
                let paths: Vec<_> = self
                    .known
                    .iter()
                    .filter(|known| {
                        known.ty == ty && known.path.starts_with("input.") && !known.path.contains('[')
                    })
                    .map(|known| known.path.clone())
                    .collect();
                let path = if paths.is_empty() {
                    "input.extra".to_owned()
                } else {
                    self.random.pick(&paths).clone()
                };
                let value = self.term(&ty, depth.saturating_sub(1));
                with(path, value)
            }
            5 | 6 => {
                self.mark("with data");
                let ty = self.random.pick(&[Ty::Str, Ty::Bool, Ty::arr(Ty::Num), Ty::obj(Ty::Num)]).clone();
                let paths: Vec<_> = self
                    .known
                    .iter()
                    .filter(|known| {
                        known.ty == ty && known.path.starts_with("data.base.") && !known.path.contains('[')
                    })
                    .map(|known| known.path.clone())
                    .collect();
                let path = if paths.is_empty() {
                    "data.base.extra".to_owned()
                } else {
                    self.random.pick(&paths).clone()
                };
                let value = self.term(&ty, depth.saturating_sub(1));
                with(path, value)
            }
            FUNCTION => {
                let functions: Vec<_> =
                    self.rules.iter().filter(|rule| rule.arguments.is_some()).cloned().collect();
                if functions.is_empty() {
                    return None;
                }
                let function = self.random.pick(&functions).clone();
                let alike: Vec<_> = functions
                    .iter()
                    .filter(|other| {
                        other.arguments == function.arguments
                            && other.ty == function.ty
                            && other.name != function.name
                    })
                    .cloned()
                    .collect();
                let target = self.reference(&function);
                if alike.is_empty() {
                    self.mark("with value for function");
                    let value = self.literal(&function.ty, 0);
                    return with(target, value);
                }
                self.mark("with function");
                let other = self.random.pick(&alike).clone();
                let value = self.reference(&other);
                with(target, term(vec![t(value)]))
            }
            BUILTIN => {
                self.mark("with builtin");
                let (name, values): (_, &[&str]) = *self.random.pick(&[
                    ("count", &["3", "0"][..]),
                    ("upper", &["\"X\"", "lower"][..]),
                    ("time.now_ns", &["1700000000000000000"][..]),
                    ("lower", &["upper"][..]),
                    ("startswith", &["true", "false", "contains"][..]),
                ]);
                let value = *self.random.pick(values);
                with(name.to_owned(), t(value))
            }
            _ => {
                let rules: Vec<_> = self
                    .rules
                    .iter()
                    .filter(|rule| {
                        rule.arguments.is_none()
                            && rule.package < self.package.max(1)
                            && !rule.name.contains('.')
                    })
                    .filter(|rule| matches!(rule.ty, Ty::Num | Ty::Str | Ty::Bool | Ty::Set(_)))
                    .cloned()
                    .collect();
                if rules.is_empty() {
                    return None;
                }
                self.mark("with rule");
                let rule = self.random.pick(&rules).clone();
                let value = self.literal(&rule.ty, 0);
                with(format!("data.{}.{}", super::package_name(rule.package), rule.name), value)
            }
        }
    }
}
