//! The rules of all modules by their paths, and what a name in a module means.

use std::collections::{BTreeMap, BTreeSet};

use everycall_rego::syntax_tree::{Expr, Rule, RuleHead};
use serde_json::Value;

use crate::rego::{walk, Body, RegoFile};

/// All modules of a bundle.
pub(super) struct Program<'m> {
    pub(super) modules: &'m [RegoFile],
    /// Bodies by the rule's path, each with its module.
    pub(super) rules: BTreeMap<String, Vec<(&'m RegoFile, Body<'m>)>>,
    /// Values of `default` rules by the rule's path.
    pub(super) defaults: BTreeMap<String, (&'m RegoFile, usize, &'m Expr)>,
    pub(super) data: Value,
    /// The rules that decide, and whether a grant without a credential leads there.
    pub(super) entries: Vec<Entry>,
}

/// A rule set that grants name.
pub(super) struct Entry {
    pub(super) package: String,
    pub(super) rule: String,
    pub(super) anonymous: bool,
    /// Its result has our form.
    pub(super) ours: bool,
}

/// What a reference leads to.
pub(super) enum Target {
    /// A rule, and whether something of its value is meant and not all of it.
    Rule(String, bool),
    /// A path below `input`, with the names in it as far as they are literal.
    Input(Path),
    /// A path below `data` that is no rule.
    Data(Path),
    /// A name of this body, and whether something of its value is meant.
    Local(String, Path),
}

/// Literal names, and whether that is the whole path.
#[derive(Debug, Clone, Default)]
pub(super) struct Path {
    pub(super) names: Vec<String>,
    pub(super) dynamic: bool,
}

impl<'m> Program<'m> {
    pub(super) fn new(document: &Value, modules: &'m [RegoFile]) -> Self {
        let mut rules: BTreeMap<String, Vec<_>> = BTreeMap::new();
        let mut defaults = BTreeMap::new();
        for file in modules {
            for body in file.bodies() {
                rules.entry(body.rule.clone()).or_default().push((file, body));
            }
            for rule in &file.module.policy {
                if let Rule::Default { span, value, .. } = rule.as_ref() {
                    let line = usize::try_from(span.line).unwrap_or_default();
                    defaults.insert(file.rule_path(rule), (file, line, value.as_ref()));
                }
            }
        }
        let data = document.pointer("/bundle/inline/data").cloned().unwrap_or_default();
        Self { modules, rules, defaults, data, entries: entries(document) }
    }

    pub(super) fn is_rule(&self, path: &str) -> bool {
        self.rules.contains_key(path) || self.defaults.contains_key(path)
    }

    /// What a reference means in a module, where `local` tells names of the body. `None` for what is
    /// no reference.
    pub(super) fn target(
        &self,
        file: &RegoFile,
        expr: &Expr,
        local: &dyn Fn(&str) -> bool,
    ) -> Option<Target> {
        let (root, path) = chain(expr)?;
        if local(&root) {
            return Some(Target::Local(root, path));
        }
        match root.as_str() {
            "input" => return Some(Target::Input(path)),
            "data" => return Some(self.below_data(path.names, path.dynamic)),
            _ => {}
        }
        if let Some(mut names) = imported(file, &root) {
            names.extend(path.names);
            return Some(match names.split_first() {
                Some((first, rest)) if first == "input" => {
                    Target::Input(Path { names: rest.to_vec(), dynamic: path.dynamic })
                }
                _ => self.below_data(names.get(1..).unwrap_or_default().to_vec(), path.dynamic),
            });
        }
        let rule = format!("{}.{root}", file.package);
        let part = path.dynamic || !path.names.is_empty();
        match self.is_rule(&rule) {
            true => Some(Target::Rule(rule, part)),
            // Bound by what is around it.
            false => Some(Target::Local(root, path)),
        }
    }

    fn below_data(&self, names: Vec<String>, dynamic: bool) -> Target {
        for end in (1..=names.len()).rev() {
            let path = names.get(..end).unwrap_or_default().join(".");
            if self.is_rule(&path) {
                return Target::Rule(path, dynamic || end < names.len());
            }
        }
        Target::Data(Path { names, dynamic })
    }

    /// What one body refers to: whole references, and those in their brackets.
    pub(super) fn references(&self, file: &RegoFile, body: &Body<'_>) -> Vec<Target> {
        let mut found = Vec::new();
        let mut visit = |expr: &Expr| self.reference(file, expr, &mut found);
        walk::head(body.head, &mut visit);
        if let RuleHead::Func { args, .. } = body.head {
            args.iter().for_each(|arg| walk::expression(arg, &mut visit));
        }
        body.written.iter().for_each(|body| walk::body(body, &mut visit));
        found
    }

    /// Notes a reference; its parts are none. Answers whether to look deeper.
    fn reference(&self, file: &RegoFile, expr: &Expr, found: &mut Vec<Target>) -> bool {
        let Some(target) = self.target(file, expr, &|_| false) else { return true };
        found.push(target);
        let mut inner = expr;
        while let Expr::RefDot { refr, .. } | Expr::RefBrack { refr, .. } = inner {
            if let Expr::RefBrack { index, .. } = inner {
                walk::expression(index, &mut |expr| self.reference(file, expr, found));
            }
            inner = refr;
        }
        false
    }

    /// The rules that one rule refers to, in any way: also below a path that only the evaluation knows.
    pub(super) fn refers_to(&self, rule: &str) -> BTreeSet<String> {
        let bodies = self.rules.get(rule).into_iter().flatten();
        let mut targets: Vec<Target> = bodies.flat_map(|(file, body)| self.references(file, body)).collect();
        if let Some((file, _, value)) = self.defaults.get(rule) {
            walk::expression(value, &mut |expr| self.reference(file, expr, &mut targets));
        }
        let mut found = BTreeSet::new();
        for target in targets {
            match target {
                Target::Rule(path, _) => drop(found.insert(path)),
                Target::Data(path) => {
                    let prefix = path.names.join(".");
                    found.extend(self.rules.keys().filter(|rule| is_below(rule, &prefix)).cloned());
                }
                Target::Input(_) | Target::Local(..) => {}
            }
        }
        found
    }

    /// Whether any of these rules looks at a member of `input`.
    pub(super) fn reads(&self, rules: &BTreeSet<String>, member: &str) -> bool {
        let bodies = rules.iter().filter_map(|rule| self.rules.get(rule)).flatten();
        bodies.into_iter().any(|(file, body)| read_member(&self.references(file, body), member))
    }

    /// A rule and all that it depends on.
    pub(super) fn closure(&self, rule: &str) -> BTreeSet<String> {
        let mut seen = BTreeSet::new();
        let mut open = vec![rule.to_owned()];
        while let Some(rule) = open.pop() {
            if seen.insert(rule.clone()) {
                open.extend(self.refers_to(&rule));
            }
        }
        seen
    }
}

fn is_below(rule: &str, prefix: &str) -> bool {
    prefix.is_empty() || rule.strip_prefix(prefix).is_some_and(|rest| rest.starts_with('.'))
}

/// The name that a reference starts with, and its path.
pub(super) fn chain(expr: &Expr) -> Option<(String, Path)> {
    match expr {
        Expr::Var { span, .. } => Some((span.text().to_owned(), Path::default())),
        Expr::RefDot { refr, field, .. } => {
            let (root, mut path) = chain(refr)?;
            if !path.dynamic {
                path.names.push(field.0.text().to_owned());
            }
            Some((root, path))
        }
        Expr::RefBrack { refr, index, .. } => {
            let (root, mut path) = chain(refr)?;
            match index.as_ref() {
                Expr::String { value, .. } | Expr::RawString { value, .. } if !path.dynamic => {
                    path.names.push(value.as_string().map(|text| text.to_string()).unwrap_or_default());
                }
                Expr::Number { span, .. } if !path.dynamic => path.names.push(span.text().to_owned()),
                _ => path.dynamic = true,
            }
            Some((root, path))
        }
        _ => None,
    }
}

/// What an import calls by this name.
fn imported(file: &RegoFile, name: &str) -> Option<Vec<String>> {
    file.module.imports.iter().find_map(|import| {
        let (root, path) = chain(&import.refr)?;
        let last = path.names.last().cloned().unwrap_or_else(|| root.clone());
        let called = import.r#as.as_ref().map_or(last, |name| name.text().to_owned());
        (called == name && root != "rego").then(|| [vec![root], path.names].concat())
    })
}

fn entries(document: &Value) -> Vec<Entry> {
    let text = |value: &Value, name: &str| value.get(name).and_then(Value::as_str).map(str::to_owned);
    let mut entries: BTreeMap<(String, String), Entry> = BTreeMap::new();
    let grants = document.pointer("/bundle/inline/grants").and_then(Value::as_array);
    let options =
        |name: Option<&String>| document.pointer("/bundle/inline/rule_sets").and_then(|all| all.get(name?));
    let policies = grants.into_iter().flatten().flat_map(|grant| {
        let policy = text(grant, "policy");
        let shadow = options(policy.as_ref()).and_then(|options| text(options, "shadow"));
        [Some(policy), shadow.map(Some)].into_iter().flatten().map(move |policy| (grant, policy))
    });
    for (grant, policy) in policies {
        let entry = entry(document, policy.as_deref());
        let key = (entry.package.clone(), entry.rule.clone());
        let entry = entries.entry(key).or_insert(entry);
        entry.anonymous |= text(grant, "subject").as_deref() == Some("anonymous");
    }
    entries.into_values().collect()
}

/// Where the rule set is that grants call this.
pub(super) fn entry(document: &Value, policy: Option<&str>) -> Entry {
    let text = |value: &Value, name: &str| value.get(name).and_then(Value::as_str).map(str::to_owned);
    let options = document.pointer("/bundle/inline/rule_sets").and_then(|all| all.get(policy?));
    let opa = options.filter(|options| text(options, "input_format").as_deref() == Some("opa-envoy"));
    let (package, rule) = match opa {
        Some(options) => {
            let entry = text(options, "entrypoint").unwrap_or_else(|| "envoy.authz.allow".to_owned());
            entry.rsplit_once('.').map(|(a, b)| (a.to_owned(), b.to_owned())).unwrap_or_default()
        }
        None => {
            let package = policy.map_or("everycall".to_owned(), |name| format!("everycall.{name}"));
            (package, "decision".to_owned())
        }
    };
    Entry { package, rule, anonymous: false, ours: opa.is_none() }
}

/// `input` as a whole counts.
pub(super) fn read_member(targets: &[Target], member: &str) -> bool {
    let is_member = |names: &[String]| names.first().is_none_or(|first| first == member);
    targets.iter().any(|target| matches!(target, Target::Input(path) if is_member(&path.names)))
}
