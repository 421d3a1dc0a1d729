//! Terms of a type: constants, variables, paths, rules, comprehensions.

use super::builtins::{CALLS, FAILING};
use super::documents::{record, NUMBERS, TEXTS};
use super::types::Ty;
use super::{package_name, Maker, Variable};
use crate::tree::{t, term, Node};

impl Maker {
    /// A text in quotes, as keys are.
    pub fn key(&mut self) -> String {
        format!("{:?}", self.random.pick(&TEXTS[..10]))
    }

    /// A constant.
    pub fn literal(&mut self, ty: &Ty, depth: usize) -> Node {
        let text = match ty {
            Ty::Null => {
                self.mark("null");
                "null".to_owned()
            }
            Ty::Bool => match self.random.percent(60) {
                true => "true".to_owned(),
                false => {
                    self.mark("false");
                    "false".to_owned()
                }
            },
            Ty::Num => {
                let number = *self.random.pick(NUMBERS);
                if number.starts_with('-') {
                    self.mark("negative number");
                }
                number.to_owned()
            }
            Ty::Str if self.random.percent(5) => {
                self.mark("raw string");
                format!("`{}`", self.random.pick(TEXTS))
            }
            Ty::Str => format!("{:?}", self.random.pick(TEXTS)),
            Ty::Any | Ty::Rec(_) => {
                let ty = self.scalar();
                return self.literal(&ty, depth);
            }
            Ty::Arr(item) => {
                self.mark("array literal");
                return self.elements("[", item, "]", depth);
            }
            Ty::Set(_) if self.random.percent(12) => {
                self.mark("empty set");
                "set()".to_owned()
            }
            Ty::Set(item) => {
                self.mark("set literal");
                let set = match self.elements("{", item, "}", depth) {
                    // Where it is asked before it is called it has another name, and so another place in the set.
                    set if set.is_guarded() => self.elements("{", item, "}", 0),
                    set => set,
                };
                // OPA goes through a set that is written down by how its elements are written, and nobody may
                // count on that: through what an operator made of it by their values.
                return match depth {
                    0 => set,
                    _ => term(vec![t("("), set, t(" | set())")]),
                };
            }
            Ty::Obj(member) => {
                self.mark("object literal");
                let mut items = Vec::new();
                for _ in 0..1 + self.random.below(2) {
                    let key = match self.random.percent(4) {
                        true => {
                            self.mark("key that is no text");
                            (*self.random.pick(&["1", "true", "[1, 2]", "null"])).to_owned()
                        }
                        false => self.key(),
                    };
                    let value = self.element(member, depth);
                    items.push(Node::Seq(vec![t(key), t(": "), value]));
                }
                return term(vec![t("{"), Node::List { between: ", ", least: 0, items }, t("}")]);
            }
        };
        term(vec![t(text)])
    }

    fn elements(&mut self, open: &'static str, item: &Ty, close: &'static str, depth: usize) -> Node {
        let items = (0..1 + self.random.below(3)).map(|_| self.element(item, depth)).collect();
        term(vec![t(open), Node::List { between: ", ", least: 1, items }, t(close)])
    }

    fn element(&mut self, ty: &Ty, depth: usize) -> Node {
        match depth {
            0 => self.literal(ty, 0),
            _ => self.term(ty, depth - 1),
        }
    }

    fn scalar(&mut self) -> Ty {
        self.random
            .weighted(&[(3, 0), (3, 1), (2, 2), (1, 3)].map(|(weight, which)| (weight, which)))
            .into_scalar()
    }

    /// Some collection that can be iterated, with the types of its keys and values.
    pub fn collection(&mut self, depth: usize) -> (Node, Ty, Ty) {
        let ty = match self.random.below(8) {
            0 | 1 => Ty::arr(Ty::Str),
            2 => Ty::arr(Ty::Num),
            3 => Ty::obj(Ty::Str),
            4 => Ty::set(Ty::Str),
            5 => Ty::obj(Ty::Num),
            6 => Ty::arr(Ty::Rec(0)),
            _ => Ty::obj(Ty::Rec(1)),
        };
        let node = match &ty {
            Ty::Arr(item) | Ty::Obj(item) if matches!(**item, Ty::Rec(_)) => self.path(&ty),
            _ => Some(self.term(&ty, depth)),
        };
        match (node, ty) {
            (Some(node), Ty::Arr(item)) => (node, Ty::Num, *item),
            (Some(node), Ty::Obj(item)) => (node, Ty::Str, *item),
            (Some(node), Ty::Set(item)) => (node, (*item).clone(), *item),
            _ => (self.literal(&Ty::arr(Ty::Str), 0), Ty::Num, Ty::Str),
        }
    }

    /// A path into the documents that has this type.
    pub fn path(&mut self, ty: &Ty) -> Option<Node> {
        let fits = |known: &Ty| match (ty, known) {
            (Ty::Any, _) => true,
            (ty, known) => ty == known,
        };
        let mut paths: Vec<_> = self.known.iter().filter(|known| fits(&known.ty)).collect();
        let there: Vec<_> = paths.iter().copied().filter(|known| known.value.is_some()).collect();
        let absent = self.random.percent(12);
        if !absent && !there.is_empty() {
            paths = there;
        }
        let known = (!paths.is_empty()).then(|| (*self.random.pick(&paths)).clone())?;
        if known.value.is_none() {
            self.mark("absent member");
        }
        let text = match known.path.strip_prefix("input.claims") {
            Some(rest) if self.claims_imported && self.random.percent(50) => format!("who{rest}"),
            _ => known.path,
        };
        Some(term(vec![t(text)]))
    }

    /// A term of this type.
    pub fn term(&mut self, ty: &Ty, depth: usize) -> Node {
        if *ty == Ty::Any {
            let ty = match self.random.below(12) {
                0 => return self.path(ty).unwrap_or_else(|| term(vec![t("null")])),
                1 => Ty::arr(Ty::Str),
                2 => Ty::set(Ty::Num),
                3 => Ty::obj(Ty::Num),
                _ => self.scalar(),
            };
            return self.term(&ty, depth);
        }
        for _ in 0..4 {
            let way = self.random.weighted(&[
                (15, "literal"),
                (30, "variable"),
                (25, "path"),
                (if depth > 0 { 16 } else { 3 }, "rule"),
                (if depth > 0 { 14 } else { 0 }, "builtin"),
                (if depth > 0 { 8 } else { 0 }, "user call"),
                (if depth > 0 { 10 } else { 0 }, "operation"),
                (if depth > 0 { 6 } else { 0 }, "comprehension"),
                (4, "member"),
                (if self.wild { 5 } else { 0 }, "failing"),
            ]);
            let made = match way {
                "literal" => Some(self.literal(ty, depth)),
                "variable" => self.variable(ty),
                "path" => self.path(ty),
                "rule" => self.rule_term(ty, depth),
                "builtin" => self.builtin(ty, depth, CALLS),
                "failing" => {
                    self.builtin(ty, depth, FAILING).inspect(|_| self.constructs.push("call that may fail"))
                }
                "user call" => self.user_call(ty, depth),
                "operation" => self.operation(ty, depth),
                "comprehension" => match ty {
                    Ty::Arr(_) | Ty::Set(_) | Ty::Obj(_) => Some(self.comprehension(ty, depth)),
                    Ty::Num => {
                        self.mark("comprehension in argument");
                        let inner = self.item_of_comprehension();
                        let inner = self.comprehension(&inner, depth);
                        Some(term(vec![t("count("), inner, t(")")]))
                    }
                    _ => None,
                },
                _ => self.member(ty, depth),
            };
            if let Some(node) = made {
                return node;
            }
        }
        self.literal(ty, depth)
    }

    fn item_of_comprehension(&mut self) -> Ty {
        self.random.pick(&[Ty::arr(Ty::Str), Ty::set(Ty::Num), Ty::obj(Ty::Str), Ty::arr(Ty::Num)]).clone()
    }

    fn variable(&mut self, ty: &Ty) -> Option<Node> {
        let mut names = Vec::new();
        for variable in &self.scope {
            if variable.ty == *ty {
                names.push(variable.name.clone());
            }
            if let Ty::Rec(which) = variable.ty {
                for (name, member) in record(which) {
                    if member == *ty {
                        names.push(format!("{}.{name}", variable.name));
                    }
                }
            }
        }
        (!names.is_empty()).then(|| term(vec![t(self.random.pick(&names).clone())]))
    }

    /// A rule, or a member of one.
    fn rule_term(&mut self, ty: &Ty, depth: usize) -> Option<Node> {
        let mut found = Vec::new();
        for rule in self.rules.iter().filter(|rule| rule.arguments.is_none()) {
            match &rule.ty {
                known if known == ty => found.push((rule.clone(), 0)),
                Ty::Obj(member) if **member == *ty => found.push((rule.clone(), 1)),
                Ty::Obj(member) => match &**member {
                    Ty::Obj(inner) if **inner == *ty => found.push((rule.clone(), 2)),
                    _ => {}
                },
                Ty::Set(item) if **item == *ty && self.random.percent(30) => found.push((rule.clone(), 3)),
                _ => {}
            }
        }
        if found.is_empty() {
            return None;
        }
        let (rule, keys) = self.random.pick(&found).clone();
        let mut parts = vec![t(self.reference(&rule))];
        match keys {
            3 => {
                self.mark("set lookup");
                let item = self.term(ty, depth.saturating_sub(1));
                parts.extend([t("["), item, t("]")]);
            }
            keys => {
                for _ in 0..keys {
                    self.mark("reference with bound key");
                    let key = self.term(&Ty::Str, 0);
                    parts.extend([t("["), key, t("]")]);
                }
            }
        }
        Some(term(parts))
    }

    /// A member of something of the documents, by a key that is computed.
    fn member(&mut self, ty: &Ty, depth: usize) -> Option<Node> {
        let (path, key) = match self.random.percent(60) {
            true => (self.path(&Ty::obj(ty.clone()))?, self.term(&Ty::Str, depth.saturating_sub(1))),
            false => (
                self.path(&Ty::arr(ty.clone()))?,
                term(vec![t(*self.random.pick(&["0", "1", "2", "input.n"]))]),
            ),
        };
        self.mark("reference with bound key");
        Some(term(vec![path, t("["), key, t("]")]))
    }

    /// A comprehension that makes this type.
    pub fn comprehension(&mut self, ty: &Ty, depth: usize) -> Node {
        let from = self.scope.len();
        self.nesting += 1;
        if self.nesting > 1 {
            self.mark("nested comprehension");
        }
        let mut statements = Vec::new();
        if self.random.percent(75) {
            self.binding(&mut statements, depth.saturating_sub(1));
        }
        if statements.is_empty() || self.random.percent(40) {
            self.statement(&mut statements, depth.saturating_sub(1));
        }
        let depth = depth.saturating_sub(1);
        let (head, open, close) = match ty {
            Ty::Arr(item) => {
                self.mark("array comprehension");
                (self.term(item, depth), "[", "]")
            }
            Ty::Obj(member) => {
                self.mark("object comprehension");
                let key = self.term(&Ty::Str, 0);
                let value = self.term(member, depth);
                (Node::Seq(vec![key, t(": "), value]), "{", "}")
            }
            Ty::Set(item) => {
                self.mark("set comprehension");
                (self.term(item, depth), "{", "}")
            }
            other => (self.term(other, depth), "[", "]"),
        };
        self.nesting -= 1;
        self.scope.truncate(from);
        term(vec![
            t(open),
            head,
            t(" | "),
            Node::List { between: "; ", least: 1, items: statements },
            t(close),
        ])
    }

    /// The value of a key of a package that is not known before.
    pub fn package_member(&mut self) -> Option<Node> {
        if self.package == 0 {
            return None;
        }
        self.mark("package with dynamic key");
        let package = self.random.below(self.package);
        let key = match self.random.percent(50) {
            true => {
                let name = self.fresh("k");
                self.scope.push(Variable { name: name.clone(), ty: Ty::Str });
                name
            }
            false => {
                let mut names = vec!["none".to_owned()];
                let rules =
                    self.rules.iter().filter(|rule| rule.package == package && rule.arguments.is_none());
                names.extend(rules.map(|rule| rule.name.clone()));
                format!("[{:?}][0]", self.random.pick(&names))
            }
        };
        Some(term(vec![t(format!("data.{}[{key}]", package_name(package)))]))
    }
}

trait IntoScalar {
    fn into_scalar(self) -> Ty;
}

impl IntoScalar for i32 {
    fn into_scalar(self) -> Ty {
        match self {
            0 => Ty::Str,
            1 => Ty::Num,
            2 => Ty::Bool,
            _ => Ty::Null,
        }
    }
}
