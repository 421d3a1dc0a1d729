//! Programs as trees of text, so that they can be written for us and for the oracle, and made smaller
//! without knowing what they say.

use std::borrow::Cow;

/// A part of a program's text.
#[derive(Clone, Debug)]
pub enum Node {
    Text(Cow<'static, str>),
    /// One after another.
    Seq(Vec<Node>),
    /// A term: another may take its place.
    Term(Vec<Node>),
    /// Things of a kind: each may be left out, but for the last of those that have to be there.
    List {
        between: &'static str,
        least: usize,
        items: Vec<Node>,
    },
    /// A call that may fail. The oracle ends at an error of a builtin, where OPA as people run it goes on
    /// with undefined; it gets a function that asks before it calls.
    Guarded {
        name: &'static str,
        infix: Option<&'static str>,
        arguments: Vec<Node>,
    },
}

/// Text.
pub fn t(text: impl Into<Cow<'static, str>>) -> Node {
    Node::Text(text.into())
}

/// A term of these parts.
pub fn term(parts: Vec<Node>) -> Node {
    Node::Term(parts)
}

/// Who reads the text.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Reader {
    Us,
    Oracle,
}

impl Node {
    /// The text.
    pub fn write(&self, reader: Reader, out: &mut String) {
        match self {
            Self::Text(text) => out.push_str(text),
            Self::Seq(parts) | Self::Term(parts) => parts.iter().for_each(|part| part.write(reader, out)),
            Self::List { between, items, .. } => join(items, between, reader, out),
            Self::Guarded { infix: Some(operator), arguments, .. } if reader == Reader::Us => {
                out.push('(');
                join(arguments, &format!(" {operator} "), reader, out);
                out.push(')');
            }
            Self::Guarded { name, arguments, .. } => {
                if reader == Reader::Oracle {
                    out.push_str("data.everycall_guarded.");
                    out.push_str(&crate::generate::builtins::guarded_name(name));
                } else {
                    out.push_str(name);
                }
                out.push('(');
                join(arguments, ", ", reader, out);
                out.push(')');
            }
        }
    }

    /// Whether a call in it is one that may fail.
    pub fn is_guarded(&self) -> bool {
        match self {
            Self::Text(_) => false,
            Self::Seq(parts) | Self::Term(parts) | Self::List { items: parts, .. } => {
                parts.iter().any(Self::is_guarded)
            }
            Self::Guarded { .. } => true,
        }
    }

    /// Every tree that is this one with one thing less, the largest cuts first.
    pub fn smaller(&self) -> Vec<Node> {
        let mut all = Vec::new();
        self.cuts(&mut |node| all.push(node));
        all
    }

    fn cuts(&self, found: &mut dyn FnMut(Node)) {
        match self {
            Self::Text(_) => {}
            Self::List { between, least, items } => {
                let with = |items| Self::List { between, least: *least, items };
                if items.len() > *least {
                    for at in 0..items.len() {
                        let mut rest = items.clone();
                        rest.remove(at);
                        found(with(rest));
                    }
                }
                each(items, &mut |items| found(with(items)));
            }
            Self::Seq(parts) => each(parts, &mut |parts| found(Self::Seq(parts))),
            Self::Term(parts) => {
                for within in self.terms_within() {
                    found(within);
                }
                if !matches!(parts.as_slice(), [Self::Text(_)]) {
                    for constant in ["1", "\"a\"", "true", "[]", "input.absent"] {
                        found(Self::Term(vec![t(constant)]));
                    }
                }
                each(parts, &mut |parts| found(Self::Term(parts)));
            }
            Self::Guarded { name, infix, arguments } => {
                arguments.iter().for_each(|argument| found(argument.clone()));
                each(arguments, &mut |arguments| found(Self::Guarded { name, infix: *infix, arguments }));
            }
        }
    }

    /// The nearest terms within.
    fn terms_within(&self) -> Vec<Node> {
        fn collect(parts: &[Node], into: &mut Vec<Node>) {
            for part in parts {
                match part {
                    Node::Term(_) | Node::Guarded { .. } => into.push(part.clone()),
                    Node::Seq(parts) | Node::List { items: parts, .. } => collect(parts, into),
                    Node::Text(_) => {}
                }
            }
        }
        let mut within = Vec::new();
        if let Self::Term(parts) = self {
            collect(parts, &mut within);
        }
        within
    }
}

fn each(parts: &[Node], found: &mut dyn FnMut(Vec<Node>)) {
    for (at, part) in parts.iter().enumerate() {
        part.cuts(&mut |smaller| {
            let mut parts = parts.to_vec();
            parts[at] = smaller;
            found(parts);
        });
    }
}

fn join(items: &[Node], between: &str, reader: Reader, out: &mut String) {
    for (at, item) in items.iter().enumerate() {
        let mut text = String::new();
        item.write(reader, &mut text);
        if at > 0 {
            // A line that starts with a minus goes on with the one before it.
            if between.starts_with('\n') && text.starts_with('-') {
                out.push(';');
            }
            out.push_str(between);
        }
        out.push_str(&text);
    }
}

/// A program with its documents and what is asked of it.
#[derive(Clone)]
pub struct Program {
    pub modules: Vec<Node>,
    pub data: serde_json::Value,
    pub input: Option<serde_json::Value>,
    pub query: String,
    /// What it is made of, by name.
    pub constructs: Vec<&'static str>,
}

impl Program {
    /// Its modules' texts.
    pub fn texts(&self, reader: Reader) -> Vec<(String, String)> {
        let mut texts = Vec::new();
        for (at, module) in self.modules.iter().enumerate() {
            let mut text = String::new();
            module.write(reader, &mut text);
            texts.push((format!("m{at}.rego"), text));
        }
        texts
    }

    /// Every program that is this one with one thing less.
    pub fn smaller(&self) -> Vec<Program> {
        let mut all = Vec::new();
        for at in 0..self.modules.len() {
            if self.modules.len() > 1 {
                let mut program = self.clone();
                program.modules.remove(at);
                all.push(program);
            }
        }
        for (at, module) in self.modules.iter().enumerate() {
            for smaller in module.smaller() {
                let mut program = self.clone();
                program.modules[at] = smaller;
                all.push(program);
            }
        }
        for data in json_cuts(&self.data) {
            all.push(Program { data, ..self.clone() });
        }
        if let Some(input) = &self.input {
            for input in json_cuts(input) {
                all.push(Program { input: Some(input), ..self.clone() });
            }
        }
        all
    }
}

fn json_cuts(value: &serde_json::Value) -> Vec<serde_json::Value> {
    let mut all = Vec::new();
    match value {
        serde_json::Value::Object(members) => {
            for name in members.keys() {
                let mut rest = members.clone();
                rest.remove(name);
                all.push(rest.into());
            }
            for (name, member) in members {
                for smaller in json_cuts(member) {
                    let mut rest = members.clone();
                    rest.insert(name.clone(), smaller);
                    all.push(rest.into());
                }
            }
        }
        serde_json::Value::Array(items) => {
            for at in 0..items.len() {
                let mut rest = items.clone();
                rest.remove(at);
                all.push(rest.into());
            }
            for (at, item) in items.iter().enumerate() {
                for smaller in json_cuts(item) {
                    let mut rest = items.clone();
                    rest[at] = smaller;
                    all.push(rest.into());
                }
            }
        }
        _ => {}
    }
    all
}
