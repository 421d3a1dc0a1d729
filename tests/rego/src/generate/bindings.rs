//! Statements that bind variables.

use super::types::Ty;
use super::{Maker, Variable};
use crate::tree::{t, term, Node, Reader};

impl Maker {
    /// A variable of what this is or has, which sometimes hides another: one that isn't read in it, and that
    /// no `every` declares, whose body has no scope of its own.
    fn bind(&mut self, stem: &str, ty: Ty, of: &Node) -> String {
        let mut read = String::new();
        of.write(Reader::Us, &mut read);
        let hidden: Vec<String> = match self.nesting > 0 && self.random.percent(4) {
            true => self.scope.iter().map(|variable| variable.name.clone()).collect(),
            false => Vec::new(),
        };
        let may_hide = |name: &String| !name.starts_with('e') && !read.contains(name.as_str());
        let hidden: Vec<String> = hidden.into_iter().filter(may_hide).collect();
        let name = match hidden.is_empty() {
            false => {
                self.mark("shadowed variable");
                let name = self.random.pick(&hidden).clone();
                self.scope.retain(|variable| variable.name != name);
                name
            }
            true => self.fresh(stem),
        };
        self.scope.push(Variable { name: name.clone(), ty });
        name
    }

    /// A statement that binds variables.
    pub fn binding(&mut self, into: &mut Vec<Node>, depth: usize) {
        let way = self.random.weighted(&[
            (20, ":="),
            (18, "some in"),
            (12, "some k, v in"),
            (12, "unbound"),
            (8, "some x"),
            (6, "two unbound"),
            (4, "= array"),
            (4, "= object"),
            (3, "= both"),
            (4, "="),
            (3, ":= array"),
            (4, "set pattern"),
            (3, "some pattern"),
            (3, "walk"),
            (3, "package"),
            (2, "output"),
        ]);
        match way {
            ":=" | "=" => {
                let ty = self
                    .random
                    .pick(&[
                        Ty::Num,
                        Ty::Str,
                        Ty::Str,
                        Ty::Bool,
                        Ty::arr(Ty::Str),
                        Ty::set(Ty::Str),
                        Ty::obj(Ty::Num),
                    ])
                    .clone();
                let value = self.term(&ty, depth);
                let sign = if way == ":=" { ":=" } else { "=" };
                self.mark(sign);
                let name = match sign {
                    ":=" => self.bind("v", ty, &value),
                    _ => {
                        let name = self.fresh("v");
                        self.scope.push(Variable { name: name.clone(), ty });
                        name
                    }
                };
                into.push(Node::Seq(vec![t(format!("{name} {sign} ")), value]));
            }
            "some in" => {
                self.mark("some x in");
                let (collection, _, item) = self.collection(depth);
                let name = self.bind("x", item, &collection);
                into.push(Node::Seq(vec![t(format!("some {name} in ")), collection]));
            }
            "some k, v in" => {
                self.mark("some k, v in");
                let (collection, key, item) = self.collection(depth);
                let key = match self.random.percent(15) {
                    true => {
                        self.mark("wildcard");
                        "_".to_owned()
                    }
                    false => self.bind("k", key, &collection),
                };
                let name = self.bind("x", item, &collection);
                into.push(Node::Seq(vec![t(format!("some {key}, {name} in ")), collection]));
            }
            "some pattern" => {
                self.mark("some pattern in");
                let name = self.fresh("x");
                let (pattern, collection) = match self.random.below(3) {
                    0 => (
                        format!("{{\"name\": {name}}}"),
                        t("[{\"name\": \"a\"}, {\"name\": \"bob\"}, {\"name\": \"a\", \"id\": 1}]"),
                    ),
                    1 => (
                        format!("[{name}, \"a\"]"),
                        t("[[\"b\", \"a\"], [\"c\", \"b\"], [\"alice\", \"a\"], [\"a\"]]"),
                    ),
                    _ => (
                        format!("\"a\", {name}"),
                        self.path(&Ty::obj(Ty::Str)).unwrap_or_else(|| t("{\"a\": \"b\", \"c\": \"d\"}")),
                    ),
                };
                self.scope.push(Variable { name, ty: Ty::Str });
                into.push(Node::Seq(vec![t(format!("some {pattern} in ")), term(vec![collection])]));
            }
            "unbound" | "some x" => {
                let Some((path, key, item)) = self.iterable() else { return };
                let index = match self.random.percent(30) {
                    true => {
                        self.mark("wildcard");
                        "_".to_owned()
                    }
                    false => self.fresh("i"),
                };
                self.mark("reference with unbound variable");
                if way == "some x" && index != "_" {
                    self.mark("some x");
                    into.push(t(format!("some {index}")));
                }
                let name = self.fresh("v");
                let sign = if self.random.percent(70) { ":=" } else { "=" };
                into.push(Node::Seq(vec![
                    t(format!("{name} {sign} ")),
                    term(vec![path, t(format!("[{index}]"))]),
                ]));
                if index != "_" {
                    self.scope.push(Variable { name: index, ty: key });
                }
                self.scope.push(Variable { name, ty: item });
            }
            "two unbound" => {
                self.mark("reference with two unbound variables");
                let [i, j, name] = [self.fresh("i"), self.fresh("j"), self.fresh("v")];
                let (path, types) = match self.random.below(5) {
                    0 => ("input.matrix", [Ty::Num, Ty::Num, Ty::Num]),
                    1 => ("data.base.roles", [Ty::Str, Ty::Num, Ty::Str]),
                    2 => ("data.base.deep", [Ty::Str, Ty::Str, Ty::Num]),
                    3 => ("input.items", [Ty::Num, Ty::Str, Ty::Any]),
                    _ => ("data.base.graph", [Ty::Str, Ty::Num, Ty::Str]),
                };
                into.push(Node::Seq(vec![
                    t(format!("{name} := ")),
                    term(vec![t(format!("{path}[{i}][{j}]"))]),
                ]));
                for (name, ty) in [i, j, name].into_iter().zip(types) {
                    self.scope.push(Variable { name, ty });
                }
            }
            "= array" | ":= array" => {
                let (sign, item) = match way {
                    "= array" => ("=", *self.random.pick(&["1", "\"a\"", "_", "_"])),
                    _ => (":=", "_"),
                };
                self.mark(if sign == "=" { "= array pattern" } else { ":= array pattern" });
                let name = self.fresh("v");
                let (value, ty) = match self.random.below(4) {
                    0 => (self.path(&Ty::arr(Ty::Str)), Ty::Str),
                    1 => (self.path(&Ty::arr(Ty::Num)), Ty::Num),
                    2 => (
                        Some(term(vec![t("[["), self.term(&Ty::Str, depth), t(", \"a\"], [\"b\", 1]][_]")])),
                        Ty::Str,
                    ),
                    _ => (self.path(&Ty::Any), Ty::Any),
                };
                if let Some(value) = value {
                    into.push(Node::Seq(vec![t(format!("[{name}, {item}] {sign} ")), value]));
                    self.scope.push(Variable { name, ty });
                }
            }
            "= object" => {
                self.mark("= object pattern");
                let key = self.key();
                let name = self.fresh("v");
                let value = match self.random.percent(50) {
                    true => self.path(&Ty::obj(Ty::Str)),
                    false => None,
                };
                let value = value.unwrap_or_else(|| {
                    let value = self.term(&Ty::Str, depth);
                    term(vec![t(format!("{{{key}: ")), value, t("}")])
                });
                into.push(Node::Seq(vec![t(format!("{{{key}: {name}}} = ")), value]));
                self.scope.push(Variable { name, ty: Ty::Str });
            }
            "= both" => {
                self.mark("= both ways");
                let [a, b] = [self.fresh("v"), self.fresh("v")];
                let [x, y] = [self.term(&Ty::Str, depth), self.term(&Ty::Num, depth)];
                let (left, right) = match self.random.percent(50) {
                    true => (vec![t(format!("[{a}, ")), y, t("]")], vec![t("["), x, t(format!(", {b}]"))]),
                    false => (
                        vec![t(format!("{{\"a\": {a}, \"b\": ")), y, t("}")],
                        vec![t("{\"a\": "), x, t(format!(", \"b\": {b}}}"))],
                    ),
                };
                into.push(Node::Seq(vec![term(left), t(" = "), term(right)]));
                self.scope.push(Variable { name: a, ty: Ty::Str });
                self.scope.push(Variable { name: b, ty: Ty::Num });
            }
            "set pattern" => {
                let sets: Vec<_> = self
                    .rules
                    .iter()
                    .filter(|rule| matches!(rule.ty, Ty::Set(_)) && rule.arguments.is_none())
                    .cloned()
                    .collect();
                if sets.is_empty() {
                    self.mark("set lookup by pattern");
                    let name = self.fresh("v");
                    let one = self.term(&Ty::Str, depth);
                    into.push(Node::Seq(vec![
                        t("{["),
                        one,
                        // Of what is computed, one element fits: OPA goes through them by how they are written.
                        t(format!(", 1], [\"b\", 2], [\"c\", 2]}}[[{name}, 1]]")),
                    ]));
                    self.scope.push(Variable { name, ty: Ty::Str });
                    return;
                }
                self.mark("set lookup");
                let rule = self.random.pick(&sets).clone();
                let Ty::Set(item) = rule.ty.clone() else { return };
                let reference = self.reference(&rule);
                let name = self.fresh("v");
                into.push(t(format!("{reference}[{name}]")));
                self.scope.push(Variable { name, ty: *item });
            }
            "walk" => {
                self.mark("walk");
                let [path, value] = [self.fresh("w"), self.fresh("v")];
                let what = self.path(&Ty::Any).unwrap_or_else(|| t("input"));
                into.push(Node::Seq(vec![t("walk("), what, t(format!(", [{path}, {value}])"))]));
                self.scope.push(Variable { name: path, ty: Ty::arr(Ty::Any) });
                self.scope.push(Variable { name: value, ty: Ty::Any });
            }
            "package" => {
                let Some(member) = self.package_member() else { return };
                let name = self.fresh("v");
                into.push(Node::Seq(vec![t(format!("{name} := ")), member]));
                self.scope.push(Variable { name, ty: Ty::Any });
            }
            _ => {
                self.mark("call with output argument");
                let name = self.fresh("v");
                let list = self.literal(&Ty::arr(Ty::Str), 0);
                into.push(Node::Seq(vec![t("count("), list, t(format!(", {name})"))]));
                self.scope.push(Variable { name, ty: Ty::Num });
            }
        }
    }

    /// A path that can be iterated, or a rule.
    pub fn iterable(&mut self) -> Option<(Node, Ty, Ty)> {
        let objects: Vec<_> = self
            .rules
            .iter()
            .filter(|rule| matches!(rule.ty, Ty::Obj(_)) && rule.arguments.is_none())
            .cloned()
            .collect();
        if !objects.is_empty() && self.random.percent(30) {
            let rule = self.random.pick(&objects).clone();
            if let Ty::Obj(member) = rule.ty.clone() {
                return Some((t(self.reference(&rule)), Ty::Str, *member));
            }
        }
        let ty = self
            .random
            .pick(&[
                Ty::arr(Ty::Str),
                Ty::arr(Ty::Num),
                Ty::arr(Ty::Any),
                Ty::obj(Ty::Str),
                Ty::obj(Ty::Num),
                Ty::arr(Ty::Rec(0)),
                Ty::obj(Ty::Rec(1)),
            ])
            .clone();
        let path = self.path(&ty)?;
        match ty {
            Ty::Arr(item) => Some((path, Ty::Num, *item)),
            Ty::Obj(item) => Some((path, Ty::Str, *item)),
            _ => None,
        }
    }
}
