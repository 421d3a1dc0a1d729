//! Rules of every kind.

use super::types::Ty;
use super::{package_name, Maker, Variable};
use crate::tree::{t, term, Node};

/// A rule that is made already.
#[derive(Clone)]
pub struct Rule {
    pub package: usize,
    pub name: String,
    /// What the document or the function's value is.
    pub ty: Ty,
    /// Of functions.
    pub arguments: Option<Vec<Ty>>,
}

impl Maker {
    /// Makes a rule, with all of its definitions.
    pub fn rule(&mut self, into: &mut Vec<Node>) {
        let kind = self.random.weighted(&[
            (22, "complete"),
            (12, "boolean"),
            (16, "function"),
            (12, "set"),
            (12, "object"),
            (4, "p[x][y]"),
            (4, "p[x].r"),
            (4, "p.a[x]"),
            (4, "a.b.c"),
            (4, "p[x] contains"),
            (3, "p.a contains"),
        ]);
        let name = self.fresh("r");
        let from = into.len();
        let rule = |maker: &Self, name: String, ty: Ty, arguments| Rule {
            package: maker.package,
            name,
            ty,
            arguments,
        };
        let made = match kind {
            "complete" => {
                let ty = self.some_type();
                self.complete(&name, &ty, into);
                rule(self, name, ty, None)
            }
            "boolean" => {
                self.mark("boolean rule");
                for _ in 0..self.definitions() {
                    let body = self.body(Vec::new());
                    into.push(Node::Seq(vec![t(format!("{name} if ")), body]));
                }
                if self.random.percent(25) {
                    self.mark("default");
                    into.push(t(format!("default {name} := false")));
                }
                rule(self, name, Ty::Bool, None)
            }
            "function" => {
                let name = match self.random.percent(15) {
                    true => {
                        self.mark("head a.b(x)");
                        format!("{name}.fn")
                    }
                    false => name,
                };
                let functions: Vec<_> =
                    self.rules.iter().filter(|rule| rule.arguments.is_some()).cloned().collect();
                let (ty, arguments) = match functions.last() {
                    // One that can stand in for another.
                    Some(Rule { ty, arguments: Some(arguments), .. }) if self.random.percent(50) => {
                        (ty.clone(), arguments.clone())
                    }
                    _ => {
                        let ty = self.some_type();
                        (ty, (0..1 + self.random.below(2)).map(|_| self.some_type()).collect())
                    }
                };
                self.function(&name, &ty, &arguments, into);
                rule(self, name, ty, Some(arguments))
            }
            "set" => {
                self.mark("partial set");
                let item = self.item_type();
                for _ in 0..self.definitions() {
                    self.define(&format!("{name} contains "), &[], &item, "", into);
                }
                rule(self, name, Ty::set(item), None)
            }
            "object" => {
                self.mark("partial object");
                let member = self.item_type();
                for _ in 0..self.definitions() {
                    if self.random.percent(25) {
                        self.mark("partial object, constant key");
                        let key = self.key();
                        let constant = matches!(self.random.below(3), 0);
                        let head = if constant { format!("{name}.a") } else { format!("{name}[{key}]") };
                        self.define(&head, &[], &member, " := ", into);
                    } else {
                        self.define(&name, &[Ty::Str], &member, " := ", into);
                    }
                }
                rule(self, name, Ty::obj(member), None)
            }
            "p[x][y]" => {
                self.mark("head p[x][y]");
                let member = self.item_type();
                for _ in 0..self.definitions() {
                    self.define(&name, &[Ty::Str, Ty::Str], &member, " := ", into);
                }
                rule(self, name, Ty::obj(Ty::obj(member)), None)
            }
            "p[x].r" => {
                self.mark("head p[x].r");
                let member = self.item_type();
                for _ in 0..self.definitions() {
                    let leaf = *self.random.pick(&[".r := ", ".s := ", ".r := "]);
                    self.define(&name, &[Ty::Str], &member, leaf, into);
                }
                rule(self, name, Ty::obj(Ty::obj(member)), None)
            }
            "p.a[x]" => {
                self.mark("head p.a[x]");
                let member = self.item_type();
                for _ in 0..self.definitions() {
                    let leaf = *self.random.pick(&["a", "a", "b"]);
                    self.define(&format!("{name}.{leaf}"), &[Ty::Str], &member, " := ", into);
                }
                rule(self, name, Ty::obj(Ty::obj(member)), None)
            }
            "a.b.c" => {
                self.mark("head a.b.c");
                let member = self.item_type();
                for _ in 0..self.definitions() {
                    let leaf = *self.random.pick(&["a.b", "a.c", "d.e"]);
                    self.define(&format!("{name}.{leaf}"), &[], &member, " := ", into);
                }
                rule(self, name, Ty::obj(Ty::obj(member)), None)
            }
            "p[x] contains" => {
                self.mark("head p[x] contains");
                let item = self.item_type();
                for _ in 0..self.definitions() {
                    self.define(&name, &[Ty::Str], &item, " contains ", into);
                }
                rule(self, name, Ty::obj(Ty::set(item)), None)
            }
            _ => {
                self.mark("head p.a contains");
                let item = self.item_type();
                for _ in 0..self.definitions() {
                    let leaf = *self.random.pick(&["a", "b"]);
                    self.define(&format!("{name}.{leaf} contains "), &[], &item, "", into);
                }
                rule(self, name, Ty::obj(Ty::set(item)), None)
            }
        };
        if into.len() > from + 1 {
            self.mark("several definitions");
        }
        self.rules.push(made);
    }

    pub fn definitions(&mut self) -> usize {
        self.random.weighted(&[(60, 1), (30, 2), (10, 3)])
    }

    fn some_type(&mut self) -> Ty {
        self.random.weighted(&[(25, 0), (25, 1), (20, 2), (10, 3), (8, 4), (8, 5), (4, 6)]).into_type()
    }

    fn item_type(&mut self) -> Ty {
        self.random.weighted(&[(30, 0), (40, 1), (10, 2), (10, 3), (10, 6)]).into_type()
    }

    /// `head[key]… := value if body`, with the keys and the value made of what the body binds.
    fn define(&mut self, head: &str, keys: &[Ty], value: &Ty, between: &'static str, into: &mut Vec<Node>) {
        let body = match self.random.percent(90) {
            true => Some(self.statements(2)),
            false => {
                self.mark("head without body");
                None
            }
        };
        let mut parts = vec![t(head.to_owned())];
        for key in keys {
            parts.push(t("["));
            // Mostly what the body binds: else there are no several values.
            let texts: Vec<_> =
                self.scope.iter().filter(|variable| variable.ty == *key).map(|v| v.name.clone()).collect();
            parts.push(match texts.is_empty() || self.random.percent(20) {
                true if self.random.percent(50) => term(vec![t(self.key())]),
                true => self.term(key, 1),
                false => term(vec![t(self.random.pick(&texts).clone())]),
            });
            parts.push(t("]"));
        }
        parts.push(t(between));
        parts.push(self.head_value(value));
        if let Some(body) = body {
            parts.push(t(" if "));
            parts.push(block(body));
        }
        self.scope.clear();
        into.push(Node::Seq(parts));
    }

    pub fn head_value(&mut self, ty: &Ty) -> Node {
        if self.random.percent(8) {
            self.mark("comprehension in head");
            return match ty {
                Ty::Arr(_) | Ty::Set(_) | Ty::Obj(_) => self.comprehension(ty, 2),
                _ => self.term(ty, 2),
            };
        }
        self.term(ty, 2)
    }

    fn complete(&mut self, name: &str, ty: &Ty, into: &mut Vec<Node>) {
        self.mark("complete rule");
        let sign = self.sign();
        if self.random.percent(12) {
            self.mark("constant rule");
            let value = self.term(ty, 1);
            into.push(Node::Seq(vec![t(format!("{name}{sign}")), value]));
            return;
        }
        // Several definitions conflict where both hold.
        let definitions = self.random.weighted(&[(80, 1), (20, 2)]);
        for _ in 0..definitions {
            let body = self.statements(3);
            let value = self.head_value(ty);
            self.scope.clear();
            let mut parts = vec![t(format!("{name}{sign}")), value, t(" if "), block(body)];
            let mut otherwise = Vec::new();
            let mut open = true;
            while open && self.random.percent(25) && otherwise.len() < 3 {
                let (node, conditional) = self.otherwise(ty);
                otherwise.push(node);
                open = conditional;
            }
            parts.push(Node::List { between: "", least: 0, items: otherwise });
            into.push(Node::Seq(parts));
        }
        if self.random.percent(25) {
            self.mark("default");
            let value = match ty {
                Ty::Arr(_) | Ty::Set(_) | Ty::Obj(_) if self.random.percent(50) => {
                    self.mark("default by comprehension");
                    self.comprehension(ty, 2)
                }
                _ => self.literal(ty, 0),
            };
            into.push(Node::Seq(vec![t(format!("default {name} := ")), value]));
        }
    }

    /// One `else`, and whether another can follow.
    pub fn otherwise(&mut self, ty: &Ty) -> (Node, bool) {
        self.mark("else");
        let from = self.scope.len();
        let body = self.random.percent(80).then(|| self.statements(2));
        let value = self.head_value(ty);
        self.scope.truncate(from);
        let mut parts = vec![t(" else := "), value];
        let conditional = body.is_some();
        if let Some(body) = body {
            parts.push(t(" if "));
            parts.push(block(body));
        }
        (Node::Seq(parts), conditional)
    }

    pub fn sign(&mut self) -> &'static str {
        if self.random.percent(85) {
            self.mark("head with :=");
            " := "
        } else {
            self.mark("head with =");
            " = "
        }
    }

    /// A body in braces, for a rule that binds nothing.
    pub fn body(&mut self, scope: Vec<Variable>) -> Node {
        self.scope = scope;
        let statements = self.statements(3);
        self.scope.clear();
        block(statements)
    }

    /// How a rule is written from the package that is being written.
    pub fn reference(&mut self, rule: &Rule) -> String {
        if rule.package == self.package && self.random.percent(80) {
            return rule.name.clone();
        }
        if rule.package != self.package {
            self.mark("rule of another package");
        }
        if let Some(alias) = self.aliases.get(rule.package).filter(|_| rule.package < self.package).cloned() {
            if self.random.percent(50) {
                return format!("{alias}.{}", rule.name);
            }
        }
        format!("data.{}.{}", package_name(rule.package), rule.name)
    }
}

/// Statements in braces.
pub fn block(statements: Vec<Node>) -> Node {
    Node::Seq(vec![t("{\n\t"), Node::List { between: "\n\t", least: 1, items: statements }, t("\n}")])
}

trait IntoType {
    fn into_type(self) -> Ty;
}

impl IntoType for i32 {
    fn into_type(self) -> Ty {
        match self {
            0 => Ty::Num,
            1 => Ty::Str,
            2 => Ty::Bool,
            3 => Ty::arr(Ty::Str),
            4 => Ty::set(Ty::Str),
            5 => Ty::obj(Ty::Num),
            _ => Ty::Any,
        }
    }
}
