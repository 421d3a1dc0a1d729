//! The modules of a bundle, and how a rule set is compiled from them.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use regorus::languages::rego::compiler::Compiler;
use regorus::rvm::program::Program;
use regorus::rvm::vm::RegoVM;
use regorus::Value;

use super::{advice, bounds, calls, charges, opa, text, Entry, RuleSet};
use crate::config::{InputFormat, Limits};
use crate::input::Shape;
use crate::reads::{self, Reads};

struct Source {
    file: String,
    package: String,
    text: String,
}

/// The modules of a bundle, parsed, and their data: what rule sets are compiled from.
pub(crate) struct Library {
    engine: regorus::Engine,
    sources: Vec<Source>,
    data: Value,
}

impl Default for Library {
    fn default() -> Self {
        let mut engine = regorus::Engine::new();
        // Strict mode turns comparisons of mixed types into skipped rules: `input.amount > 100`
        // with "1000" would then say no more than an absent rule does.
        engine.set_strict_builtin_errors(false);
        Self { engine, sources: Vec::new(), data: Value::new_object() }
    }
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
        merge(&mut self.data, Value::from(serde_json::Value::Object(data)))
    }

    /// Parses one module.
    ///
    /// # Errors
    /// `file:line:column: message`.
    pub(crate) fn add(&mut self, file: &str, source: &str) -> Result<(), String> {
        text::check_text(file, source)?;
        let package = self
            .engine
            .add_policy(file.to_owned(), source.to_owned())
            .map_err(|error| advice::parse_error(position(file, &error.to_string())))?;
        let package = package.strip_prefix("data.").unwrap_or(&package).to_owned();
        if let Some((line, member)) = reads::bare_nullable(source) {
            return Err(format!(
                "{file}:{line}: `{member}` is null where there is none, and null holds as a condition: compare it with null"
            ));
        }
        self.sources.push(Source { file: file.to_owned(), package, text: source.to_owned() });
        Ok(())
    }

    /// Compiles one rule set.
    ///
    /// # Errors
    /// Its rule is missing, something does not compile, or a builtin or a member of `input` is not
    /// offered: each place with what to write instead, where that is known.
    pub(crate) fn rule_set(&mut self, entry: Entry, limits: &Limits) -> Result<RuleSet, Vec<String>> {
        let reached = reads::reach(&entry.package, &self.modules());
        let reached = |source: &&Source| reached.contains(&source.package);
        let mut absent = Vec::new();
        if entry.format == InputFormat::OpaEnvoy {
            absent.extend(
                self.sources
                    .iter()
                    .filter(reached)
                    .flat_map(|source| opa::absent(&source.file, &source.text)),
            );
        }
        let compiled = self.compile(entry, limits);
        let known = || {
            let sources = self.sources.iter().filter(reached);
            sources.flat_map(|source| advice::constructs(&source.file, &source.text))
        };
        match compiled {
            Ok(rules) if absent.is_empty() => Ok(rules),
            Ok(_) => Err(absent),
            Err(message) => {
                absent.extend(known());
                // What is not known is at least said as the compiler says it.
                Err(if absent.is_empty() { vec![message] } else { absent })
            }
        }
    }

    /// Package to the texts of its modules.
    fn modules(&self) -> BTreeMap<String, Vec<&str>> {
        let mut modules: BTreeMap<String, Vec<&str>> = BTreeMap::new();
        for source in &self.sources {
            modules.entry(source.package.clone()).or_default().push(&source.text);
        }
        modules
    }

    fn compile(&mut self, entry: Entry, limits: &Limits) -> Result<RuleSet, String> {
        let Entry { package, rule, format } = &entry;
        let package = &**package;
        let decision = format!("data.{package}.{rule}");
        let ask = format!("data.{package}.ask");
        let file_of = |error: &str| position(package, error);
        let mut files = self.sources.iter().filter(|source| source.package == package).peekable();
        if files.peek().is_none() {
            return Err(format!("no module has the package `{package}`"));
        }
        if !files.any(|source| self.engine.has_declared_rule_rooted_at(&source.file, rule).unwrap_or(true)) {
            return Err(format!("the package `{package}` has no rule `{rule}`"));
        }
        let mut reads = Reads::of(package, &self.modules());
        if *format == InputFormat::OpaEnvoy {
            reads = opa::reads(&reads);
        }
        let policy = self
            .engine
            .compile_with_entrypoint(&decision.as_str().into())
            .map_err(|error| file_of(&error.to_string()))?;
        // OPA-Envoy knows no questions: a rule that happens to be called so is only a rule.
        let asks = *format == InputFormat::Everycall && policy.get_rules().contains_key(&ask);
        let entry_points: &[&str] = if asks { &[&decision, &ask] } else { &[&decision] };
        let mut program: Arc<Program> = Compiler::compile_from_policy(&policy, entry_points)
            .map_err(|error| file_of(&error.to_string()))?;
        let unknown: BTreeSet<&str> = program
            .builtin_info_table
            .iter()
            .map(|builtin| builtin.name.as_str())
            // Operators that the compiler spells as calls.
            .filter(|name| !name.starts_with("__builtin_"))
            .filter(|name| !super::BUILTINS.contains(name))
            .collect();
        if let Some(name) = unknown.first() {
            let instead = advice::builtin(name).unwrap_or("its cost is not bounded");
            return Err(format!("the builtin `{name}` is not offered: {instead}"));
        }
        bounds::check_calls(&program)?;
        let owners = bounds::owners(&program);
        let counted = Arc::make_mut(&mut program);
        calls::in_place_of_lookups(counted);
        bounds::guard(counted)?;
        charges::insert(counted, &owners)?;
        let mut vm = RegoVM::new();
        vm.set_max_instructions(limits.instructions);
        vm.set_compiled_policy(policy.clone());
        vm.load_program(Arc::clone(&program));
        vm.set_data(self.data.clone()).map_err(|error| format!("`data` and rules overlap: {error}"))?;
        Ok(RuleSet {
            work: u64::try_from(limits.builtin_work).unwrap_or(u64::MAX),
            entry,
            vm,
            program,
            policy,
            asks,
            shape: Shape::of(&reads),
            reads,
        })
    }
}

/// Objects become one; anything else must not meet. As deep as JSON that was read may be.
fn merge(into: &mut Value, piece: Value) -> Result<(), String> {
    let (Ok(members), Value::Object(piece)) = (into.as_object_mut(), piece) else {
        return Err("`data` has two values at one place".to_owned());
    };
    for (name, value) in piece.iter() {
        match members.get_mut(name) {
            Some(known) => {
                merge(known, value.clone()).map_err(|_| format!("`data` has two values at {name}"))?
            }
            None => drop(members.insert(name.clone(), value.clone())),
        }
    }
    Ok(())
}

/// regorus says `--> file:line:col` above a picture of the place; we want one line.
fn position(file: &str, error: &str) -> String {
    let place = error.lines().find_map(|line| line.trim_start().strip_prefix("--> "));
    let message = error
        .lines()
        .map(str::trim)
        .filter_map(|line| line.strip_prefix("error: ").or_else(|| line.strip_prefix("Error: ")))
        .next_back()
        .map(str::to_owned)
        .unwrap_or_else(|| error.split_whitespace().collect::<Vec<_>>().join(" "));
    format!("{}: {message}", place.unwrap_or(file))
}
