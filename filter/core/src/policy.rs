//! Rego rule sets, each compiled to one small program of regorus' VM. The only module besides
//! `input` that knows regorus' types.
//!
//! A rule set is a package with a rule `decision` and, if it wants to know more, a rule `ask`.
//! Rules state what is allowed. An error inside a rule skips that rule, as in OPA, and no rule at
//! all is `Undefined`: so anything but a well-formed allow is a denial.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::sync::Arc;

use regorus::languages::rego::compiler::Compiler;
use regorus::rvm::program::{Program, RuleInfo};
use regorus::rvm::vm::{ExecutionMode, ExecutionState, RegoVM, VmError};
use regorus::Value;

use crate::pdp::Question;
use crate::reads::{self, Reads};
use crate::reason::Reason;

/// A value of the policy language; opaque outside this module and `input`.
#[derive(Clone, PartialEq)]
pub(crate) struct PolicyValue(pub(crate) Value);

/// Claims and headers live in it: never printed.
impl fmt::Debug for PolicyValue {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("PolicyValue(..)")
    }
}

/// The builtins offered to policies: those of OPA whose cost is bounded by the size of their
/// arguments and that need nothing but their arguments. Not offered, for cost: `numbers.range`,
/// `sprintf` (widths), `strings.replace_n`, `graph.*`, `json.patch`, `units.*`.
const BUILTINS: &[&str] = &[
    "abs",
    "array.concat",
    "array.reverse",
    "array.slice",
    "base64.decode",
    "base64.encode",
    "base64.is_valid",
    "base64url.decode",
    "base64url.encode",
    "base64url.encode_no_pad",
    "bits.and",
    "bits.negate",
    "bits.or",
    "bits.xor",
    "ceil",
    "concat",
    "contains",
    "count",
    "endswith",
    "floor",
    "glob.match",
    "glob.quote_meta",
    "indexof",
    "indexof_n",
    "intersection",
    "is_array",
    "is_boolean",
    "is_null",
    "is_number",
    "is_object",
    "is_set",
    "is_string",
    "json.filter",
    "json.is_valid",
    "json.marshal",
    "json.remove",
    "json.unmarshal",
    "lower",
    "max",
    "min",
    "object.filter",
    "object.get",
    "object.keys",
    "object.remove",
    "object.subset",
    "object.union",
    "object.union_n",
    "product",
    "regex.find_n",
    "regex.is_valid",
    "regex.match",
    "regex.replace",
    "regex.split",
    "replace",
    "round",
    "semver.compare",
    "semver.is_valid",
    "sort",
    "split",
    "startswith",
    "strings.any_prefix_match",
    "strings.any_suffix_match",
    "strings.count",
    "strings.reverse",
    "substring",
    "sum",
    "to_number",
    "trim",
    "trim_left",
    "trim_prefix",
    "trim_right",
    "trim_space",
    "trim_suffix",
    "type_name",
    "union",
    "upper",
];

/// The names of the builtins that policies may call, sorted.
pub fn offered_builtins() -> &'static [&'static str] {
    BUILTINS
}

/// The package that a grant's `policy` names.
pub(crate) fn package(policy: Option<&str>) -> String {
    match policy {
        Some(name) => format!("everycall.{name}"),
        None => "everycall".to_owned(),
    }
}

/// One compiled rule set.
pub struct RuleSet {
    package: String,
    vm: RegoVM,
    program: Arc<Program>,
    /// The modules of the package.
    modules: Vec<Source>,
    asks: bool,
    reads: Reads,
}

impl fmt::Debug for RuleSet {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "RuleSet({})", self.package)
    }
}

/// What the rule `decision` says.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Outcome {
    pub(crate) allow: bool,
    /// The policy's own code for the rule that decided.
    pub(crate) rule: Option<String>,
    pub(crate) without_pdp: bool,
    /// Obligations that came with it. None is understood yet.
    pub(crate) obligations: Vec<String>,
}

/// Why there is no outcome.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct PolicyFailure {
    pub(crate) reason: Reason,
    pub(crate) detail: String,
}

fn fail<T>(reason: Reason, detail: impl Into<String>) -> Result<T, PolicyFailure> {
    Err(PolicyFailure { reason, detail: detail.into() })
}

#[derive(Clone)]
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

impl Library {
    pub(crate) fn new(data: serde_json::Map<String, serde_json::Value>) -> Self {
        let mut engine = regorus::Engine::new();
        // Strict mode turns comparisons of mixed types into skipped rules: `input.amount > 100`
        // with "1000" would then say no more than an absent rule does.
        engine.set_strict_builtin_errors(false);
        Self { engine, sources: Vec::new(), data: Value::from(serde_json::Value::Object(data)) }
    }

    /// Parses one module.
    ///
    /// # Errors
    /// `file:line:column: message`.
    pub(crate) fn add(&mut self, file: &str, source: &str) -> Result<(), String> {
        let package = self
            .engine
            .add_policy(file.to_owned(), source.to_owned())
            .map_err(|error| position(file, &error.to_string()))?;
        let package = package.strip_prefix("data.").unwrap_or(&package).to_owned();
        if let Some((line, member)) = reads::bare_nullable(source) {
            return Err(format!(
                "{file}:{line}: `{member}` is null where there is none, and null holds as a condition: compare it with null"
            ));
        }
        self.sources.push(Source { file: file.to_owned(), package, text: source.to_owned() });
        Ok(())
    }

    /// Compiles the rule set of one package.
    ///
    /// # Errors
    /// The rule `decision` is missing, something does not compile, or a builtin is not offered.
    pub(crate) fn rule_set(&mut self, package: &str, instructions: usize) -> Result<RuleSet, String> {
        let decision = format!("data.{package}.decision");
        let ask = format!("data.{package}.ask");
        let file_of = |error: &str| position(package, error);
        let mut files = self.sources.iter().filter(|source| source.package == package).peekable();
        if files.peek().is_none() {
            return Err(format!("no module has the package `{package}`"));
        }
        if !files
            .any(|source| self.engine.has_declared_rule_rooted_at(&source.file, "decision").unwrap_or(true))
        {
            return Err(format!("the package `{package}` has no rule `decision`"));
        }
        let policy = self
            .engine
            .compile_with_entrypoint(&decision.as_str().into())
            .map_err(|error| file_of(&error.to_string()))?;
        let asks = policy.get_rules().contains_key(&ask);
        let entry_points: &[&str] = if asks { &[&decision, &ask] } else { &[&decision] };
        let program: Arc<Program> = Compiler::compile_from_policy(&policy, entry_points)
            .map_err(|error| file_of(&error.to_string()))?;
        let unknown: BTreeSet<&str> = program
            .builtin_info_table
            .iter()
            .map(|builtin| builtin.name.as_str())
            // Operators that the compiler spells as calls.
            .filter(|name| !name.starts_with("__builtin_"))
            .filter(|name| !BUILTINS.contains(name))
            .collect();
        if let Some(name) = unknown.first() {
            return Err(format!("the builtin `{name}` is not offered: its cost is not bounded"));
        }
        let mut vm = RegoVM::new();
        vm.set_max_instructions(instructions);
        vm.set_compiled_policy(policy);
        vm.load_program(Arc::clone(&program));
        vm.set_data(self.data.clone()).map_err(|error| format!("`data` and rules overlap: {error}"))?;
        let mut modules: BTreeMap<String, Vec<&str>> = BTreeMap::new();
        for source in &self.sources {
            modules.entry(source.package.clone()).or_default().push(&source.text);
        }
        let reads = Reads::of(package, &modules);
        let modules = self.sources.iter().filter(|source| source.package == package).cloned().collect();
        Ok(RuleSet { package: package.to_owned(), vm, program, modules, asks, reads })
    }
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

impl RuleSet {
    /// The Rego package.
    pub fn package(&self) -> &str {
        &self.package
    }

    /// What it reads of `input`.
    pub(crate) fn reads(&self) -> &Reads {
        &self.reads
    }

    /// The questions that `ask` holds for this input; none if the rule is absent or empty.
    pub(crate) fn questions(&mut self, input: &PolicyValue) -> Result<Vec<Question>, PolicyFailure> {
        if !self.asks {
            return Ok(Vec::new());
        }
        let value = self.evaluate(1, input)?;
        let items: Vec<&Value> = match &value {
            Value::Undefined => Vec::new(),
            Value::Set(items) => items.iter().collect(),
            _ => return fail(Reason::PolicyResult, "`ask` is not a set"),
        };
        let mut questions: Vec<Question> = Vec::with_capacity(items.len());
        for item in items {
            let json = serde_json::to_value(item).map_err(|_| PolicyFailure {
                reason: Reason::PolicyResult,
                detail: "a question is not JSON".into(),
            })?;
            let question = Question::read(json)
                .map_err(|detail| PolicyFailure { reason: Reason::PolicyResult, detail })?;
            if questions.iter().any(|other| other.id == question.id) {
                return fail(Reason::PolicyResult, format!("two questions have the id `{}`", question.id));
            }
            questions.push(question);
        }
        Ok(questions)
    }

    /// What `decision` says of this input; `None` if no rule holds.
    pub(crate) fn decide(&mut self, input: &PolicyValue) -> Result<Option<Outcome>, PolicyFailure> {
        match self.evaluate(0, input)? {
            Value::Undefined => Ok(None),
            Value::Object(result) => {
                let mut outcome = Outcome::default();
                let mut decided = false;
                for (key, value) in result.iter() {
                    match (key.as_string().map(|key| key.as_ref()), value) {
                        (Ok("allow"), Value::Bool(allow)) => (outcome.allow, decided) = (*allow, true),
                        (Ok("reason"), Value::String(code)) if is_code(code) => {
                            outcome.rule = Some(code.to_string());
                        }
                        (Ok("without_pdp"), Value::Bool(without)) => outcome.without_pdp = *without,
                        (Ok("obligations"), Value::Object(all)) => {
                            outcome.obligations = all.iter().map(|(name, _)| name.to_string()).collect();
                        }
                        _ => {
                            return fail(
                                Reason::PolicyResult,
                                format!("`decision` holds {key} of an unknown name or form"),
                            )
                        }
                    }
                }
                match decided {
                    true => Ok(Some(outcome)),
                    false => fail(Reason::PolicyResult, "`decision` has no boolean `allow`"),
                }
            }
            _ => fail(Reason::PolicyResult, "`decision` is not an object"),
        }
    }

    /// Where each rule of `decision` stops that does not hold for this input: file, line and the
    /// text of the line. Goes through the program step by step: for people, not for decisions.
    pub(crate) fn unmet(&mut self, input: &PolicyValue) -> Vec<String> {
        let visited = self.steps(input);
        let program = &self.program;
        let starts = |rule: &RuleInfo| -> Vec<usize> {
            rule.definitions.iter().flatten().filter_map(|pc| usize::try_from(*pc).ok()).collect()
        };
        let all: BTreeSet<usize> = program.rule_infos.iter().flat_map(starts).collect();
        let name = format!("data.{}.decision", self.package);
        let mut places = Vec::new();
        for start in program.rule_infos.iter().filter(|rule| rule.name == name).flat_map(starts) {
            let end =
                all.range(start.saturating_add(1)..).next().copied().unwrap_or(program.instructions.len());
            // The instruction after the last one that held is the one that did not.
            let failed = visited.range(start..end).next_back().map_or(start, |last| last.saturating_add(1));
            let span = (failed..end).find_map(|pc| program.get_instruction_span(pc));
            let Some(span) = span else { continue };
            // The compiler numbers all sources 0: the file is known where the package has only one.
            let place = match self.modules.as_slice() {
                [only] => {
                    let line = only.text.lines().nth(span.line.saturating_sub(1)).unwrap_or_default();
                    format!("{}:{}: {}", only.file, span.line, line.trim())
                }
                _ => format!("{}:{}", self.package, span.line),
            };
            if !places.contains(&place) {
                places.push(place);
            }
        }
        places
    }

    /// The instructions that held when `decision` was evaluated one by one.
    fn steps(&mut self, input: &PolicyValue) -> BTreeSet<usize> {
        let mut visited = BTreeSet::new();
        self.vm.set_input(input.0.clone());
        self.vm.set_execution_mode(ExecutionMode::Suspendable);
        self.vm.set_step_mode(true);
        let mut result = self.vm.execute_entry_point_by_index(0);
        while result.is_ok() && matches!(self.vm.execution_state(), ExecutionState::Suspended { .. }) {
            visited.insert(self.vm.get_pc());
            result = self.vm.resume(None);
        }
        self.vm.set_step_mode(false);
        self.vm.set_execution_mode(ExecutionMode::RunToCompletion);
        self.vm.set_input(Value::Null);
        visited
    }

    fn evaluate(&mut self, entry_point: usize, input: &PolicyValue) -> Result<Value, PolicyFailure> {
        self.vm.set_input(input.0.clone());
        let result = self.vm.execute_entry_point_by_index(entry_point);
        self.vm.set_input(Value::Null);
        result.map_err(|error| match error {
            VmError::InstructionLimitExceeded { limit, .. } => PolicyFailure {
                reason: Reason::PolicyLimit,
                detail: format!("more than {limit} instructions"),
            },
            VmError::RegexSizeLimitExceeded { limit, .. } => PolicyFailure {
                reason: Reason::PolicyLimit,
                detail: format!("a regex of more than {limit} bytes"),
            },
            // The message may repeat values of the input: only its kind is kept.
            error => {
                let debug = format!("{error:?}");
                let kind = debug.split(|c: char| !c.is_ascii_alphanumeric()).next().unwrap_or_default();
                PolicyFailure {
                    reason: Reason::PolicyError,
                    detail: format!("the evaluation failed: {kind}"),
                }
            }
        })
    }
}

/// A policy's own code for a rule: it goes into records and headers.
fn is_code(text: &str) -> bool {
    (1..=64).contains(&text.len())
        && text.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'_')
}
