//! The modules of a bundle, and how a rule set is compiled from them.

use std::sync::Arc;

use everycall_rego::{Budget, Site, Value};

use super::{opa, Entry, RuleSet};
use crate::config::{InputFormat, Limits};
use crate::input::Slots;
use crate::reads::Names;

/// One module: its file, and its text.
#[derive(Debug, Clone)]
pub(super) struct Source {
    pub(super) file: String,
    pub(super) text: String,
}

/// The modules of a bundle, parsed, and their data: what rule sets are compiled from.
#[derive(Debug, Default)]
pub(crate) struct Library {
    rego: everycall_rego::Library,
    sources: Arc<Vec<Source>>,
}

impl Library {
    /// A piece of what policies see as `data`.
    ///
    /// # Errors
    /// Two pieces have a value at one place.
    pub(crate) fn add_data(
        &mut self,
        data: serde_json::Map<String, serde_json::Value>,
    ) -> Result<(), String> {
        self.rego.add_data(Value::from(serde_json::Value::Object(data)))
    }

    /// Parses one module.
    ///
    /// # Errors
    /// `file:line:column: message`.
    pub(crate) fn add(&mut self, file: &str, text: &str) -> Result<(), String> {
        self.rego.add(file, text)?;
        let source = Source { file: file.to_owned(), text: text.to_owned() };
        Arc::make_mut(&mut self.sources).push(source);
        Ok(())
    }

    /// Compiles one rule set.
    ///
    /// # Errors
    /// Its rule is missing, something does not compile, or a builtin or a member of `input` is not
    /// offered: each place with what to write instead, where that is known.
    pub(crate) fn rule_set(&self, entry: Entry, limits: &Limits) -> Result<RuleSet, Vec<String>> {
        let Entry { package, rule, format } = &entry;
        let (decision, ask) = (format!("{package}.{rule}"), format!("{package}.ask"));
        if !self.rego.packages().any(|known| known == **package) {
            return Err(vec![format!("no module has the package `{package}`")]);
        }
        let entries = [decision.as_str(), ask.as_str()];
        // OPA-Envoy knows no questions: a rule that happens to be called so is only a rule.
        let asks = *format == InputFormat::Everycall && self.rego.declares(package, "ask");
        let plan = self.rego.plan(if asks { &entries } else { entries.get(..1).unwrap_or_default() })?;
        if !self.rego.declares(package, rule) {
            return Err(vec![format!("the package `{package}` has no rule `{rule}`")]);
        }
        if let Some(path) = self.rego.overlaps().first() {
            return Err(vec![format!("`data` and rules overlap: base data stands at the rule `{path}`")]);
        }
        let (slots, mut reads) = Slots::resolve(*format, plan.inputs().map(|(path, _)| path));
        if self.rego.mentions(&plan, "signals") && reads.any(&["signals"]) {
            reads.name_signals();
        }
        let mut refused = Vec::new();
        if *format == InputFormat::OpaEnvoy {
            for (path, site) in plan.inputs() {
                if let Some((absent, instead)) = opa::absent(path) {
                    refused.push(self.at(site, &format!("`input.{absent}` is not there: {instead}")));
                }
            }
        }
        for (site, slot) in plan.conditions() {
            if let (true, Some((path, _))) = (slots.is_nullable(slot), plan.inputs().nth(slot)) {
                let message = format!(
                    "`input.{}` is null where there is none, and null holds as a condition: compare it with null",
                    path.join(".")
                );
                refused.push(self.at(site, &message));
            }
        }
        if !refused.is_empty() {
            return Err(refused);
        }
        let number = |limit: usize| u64::try_from(limit).unwrap_or(u64::MAX);
        Ok(RuleSet {
            budget: Budget::new(number(limits.instructions), number(limits.builtin_work)),
            headers: Names::of(&reads, &["request", "headers"]),
            query: Names::of(&reads, &["request", "query"]),
            connection: Names::of(&reads, &["connection"]),
            sources: Arc::clone(&self.sources),
            entry,
            plan,
            asks,
            slots,
            reads,
        })
    }

    /// `file:line: message`.
    fn at(&self, site: Site, message: &str) -> String {
        let file = self.rego.source(site).map_or("", |(file, _)| file);
        format!("{file}:{}: {message}", site.line)
    }
}
