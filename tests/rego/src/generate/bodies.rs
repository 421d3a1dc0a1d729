//! What bodies consist of.

use super::builtins::CALLS;
use super::documents::record;
use super::types::Ty;
use super::{Maker, Variable};
use crate::tree::{t, term, Node, Reader};

/// What `with` replaces, by number.
const FUNCTION: usize = 7;
const BUILTIN: usize = 8;

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
    fn iterable(&mut self) -> Option<(Node, Ty, Ty)> {
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

    fn condition(&mut self, way: &str, depth: usize) -> Node {
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

    /// A condition about rules, with something in the place of what they read.
    fn replaced(&mut self, depth: usize) -> Node {
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
