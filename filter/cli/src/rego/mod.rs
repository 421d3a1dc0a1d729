//! Rego modules as they are written: where each body of each rule stands. Policies are run by the
//! core; this is for what looks at their text, by the parser that compiles them.

mod allow;
mod mutate;
mod values;
pub(crate) mod walk;

use std::collections::BTreeMap;

use everycall_rego::syntax_tree::{Expr, Module, Parser, Ref, Rule, RuleBody, RuleHead, Source, Span};
use serde_json::Value;

pub(crate) use mutate::{mutants, Mutant};
pub(crate) use values::values_read;

/// A body of a rule: its file and its first byte there. The first body of a rule starts where the
/// rule does.
pub(crate) type Place = (String, usize);

/// A parsed module.
pub(crate) struct RegoFile {
    pub(crate) name: String,
    pub(crate) text: String,
    /// Such as `everycall.refunds`.
    pub(crate) package: String,
    pub(crate) module: Module,
}

/// One body of a rule that has a value; `default` rules have no body.
pub(crate) struct Body<'m> {
    pub(crate) place: Place,
    pub(crate) line: usize,
    /// The rule's path, such as `everycall.refunds.decision`.
    pub(crate) rule: String,
    pub(crate) head: &'m RuleHead,
    /// Absent where the rule has a value and no conditions.
    pub(crate) written: Option<&'m RuleBody>,
}

impl RegoFile {
    /// Parses one module.
    ///
    /// # Errors
    /// What the parser says.
    pub(crate) fn parse(name: &str, text: &str) -> Result<Self, String> {
        let source =
            Source::from_contents(name.to_owned(), text.to_owned()).map_err(|error| error.to_string())?;
        let parse = || {
            let mut parser = Parser::new(&source)?;
            parser.enable_rego_v1()?;
            parser.parse()
        };
        let module = parse().map_err(|error| format!("{error:#}"))?;
        let package = path_of(module.package.refr.span());
        Ok(Self { name: name.to_owned(), text: text.to_owned(), package, module })
    }

    /// The modules of a configuration's inline bundle. What does not parse is left out: the core says
    /// what is wrong with it.
    pub(crate) fn all(document: &Value) -> Vec<Self> {
        let policies = document.pointer("/bundle/inline/policies").and_then(Value::as_object);
        let texts = policies.into_iter().flatten().filter_map(|(name, text)| Some((name, text.as_str()?)));
        texts.filter_map(|(name, text)| Self::parse(name, text).ok()).collect()
    }

    /// The path of a rule.
    pub(crate) fn rule_path(&self, rule: &Rule) -> String {
        let refr = match rule {
            Rule::Spec { head, .. } => head_reference(head),
            Rule::Default { refr, .. } => refr,
        };
        let name = path_of(refr.span());
        // A key in brackets is no part of the name.
        let name = name.split('[').next().unwrap_or_default();
        format!("{}.{name}", self.package)
    }

    /// Every body of every rule, in order.
    pub(crate) fn bodies(&self) -> Vec<Body<'_>> {
        let mut found = Vec::new();
        for rule in &self.module.policy {
            let Rule::Spec { span, head, bodies } = rule.as_ref() else { continue };
            let path = self.rule_path(rule);
            let mut add = |span: &Span, written| {
                let place = (self.name.clone(), number(span.start));
                found.push(Body { place, line: number(span.line), rule: path.clone(), head, written });
            };
            add(span, bodies.first());
            bodies.iter().skip(1).for_each(|body| add(&body.span, Some(body)));
        }
        found
    }
}

fn head_reference(head: &RuleHead) -> &Ref<Expr> {
    match head {
        RuleHead::Compr { refr, .. } | RuleHead::Set { refr, .. } | RuleHead::Func { refr, .. } => refr,
    }
}

/// A reference without blanks.
fn path_of(span: &Span) -> String {
    span.text().split_whitespace().collect()
}

pub(crate) fn number(n: u32) -> usize {
    usize::try_from(n).unwrap_or(usize::MAX)
}

/// Bodies by the rule that they belong to.
pub(crate) fn by_rule(files: &[RegoFile]) -> BTreeMap<String, Vec<Place>> {
    let mut rules: BTreeMap<String, Vec<Place>> = BTreeMap::new();
    for body in files.iter().flat_map(RegoFile::bodies) {
        rules.entry(body.rule).or_default().push(body.place);
    }
    rules
}
