//! Rego rule sets, each compiled to one small program of regorus' VM. The only module besides
//! `input` that knows regorus' types.
//!
//! A rule set is a package with a rule `decision` and, if it wants to know more, a rule `ask`.
//! Rules state what is allowed. An error inside a rule skips that rule, as in OPA, and no rule at
//! all is `Undefined`: so anything but a well-formed allow is a denial.

mod advice;
mod bounds;
mod calls;
mod charges;
mod claims;
mod library;
mod mended;
mod opa;
mod text;
mod trace;
mod work;

use std::fmt;
use std::sync::Arc;

use regorus::rvm::program::Program;
use regorus::rvm::vm::{RegoVM, VmError};
use regorus::{CompiledPolicy, Value};
use serde_json::{Map, Value as Json};

use crate::config::InputFormat;
use crate::input::Shape;
use crate::pdp::Question;
use crate::reads::Reads;
use crate::reason::Reason;
pub use claims::Claims;
pub(crate) use library::Library;
pub use trace::{RuleTrace, Trace};

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

/// Which rule of which package decides, and what it is given.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Entry {
    pub(crate) package: Arc<str>,
    pub(crate) rule: String,
    pub(crate) format: InputFormat,
}

impl Entry {
    /// The rule set that a grant's `policy` names, in our own form.
    pub(crate) fn named(policy: Option<&str>) -> Self {
        let package = match policy {
            Some(name) => format!("everycall.{name}"),
            None => "everycall".to_owned(),
        };
        Self { package: package.into(), rule: "decision".to_owned(), format: InputFormat::Everycall }
    }

    /// An entry point of OPA-Envoy, such as `envoy.authz.allow`, which is its default.
    ///
    /// # Errors
    /// It is not a package and a rule.
    pub(crate) fn opa(entrypoint: Option<&str>) -> Result<Self, String> {
        let text = entrypoint.unwrap_or(opa::ENTRYPOINT);
        let is_name = |name: &str| {
            !name.is_empty()
                && !name.starts_with(|c: char| c.is_ascii_digit())
                && name.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_')
        };
        match text.rsplit_once('.') {
            Some((package, rule)) if text.split('.').all(is_name) => {
                Ok(Self { package: package.into(), rule: rule.into(), format: InputFormat::OpaEnvoy })
            }
            _ => Err(format!("`{text}` is not a package and a rule such as `{}`", opa::ENTRYPOINT)),
        }
    }
}

/// One compiled rule set.
pub struct RuleSet {
    entry: Entry,
    vm: RegoVM,
    program: Arc<Program>,
    /// What its builtins may do in one evaluation.
    work: u64,
    /// Its rules as they are written, for traces.
    policy: CompiledPolicy,
    asks: bool,
    reads: Reads,
    /// What follows from that for its input.
    shape: Shape,
}

impl fmt::Debug for RuleSet {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "RuleSet({})", self.entry.package)
    }
}

/// What the rule `decision` says.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Outcome {
    pub(crate) allow: bool,
    /// The policy's own code for the rule that decided.
    pub(crate) rule: Option<String>,
    pub(crate) without_pdp: bool,
    /// What came with it to be done, as it is written.
    pub(crate) obligations: Map<String, Json>,
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

impl RuleSet {
    /// The Rego package.
    pub fn package(&self) -> &str {
        &self.entry.package
    }

    /// The same, for a record.
    pub(crate) fn shared_package(&self) -> Arc<str> {
        Arc::clone(&self.entry.package)
    }

    /// The form of its input.
    pub(crate) const fn format(&self) -> InputFormat {
        self.entry.format
    }

    /// What it reads of `input`.
    pub(crate) fn reads(&self) -> &Reads {
        &self.reads
    }

    /// The same, as its input is built by it.
    pub(crate) fn shape(&self) -> &Shape {
        &self.shape
    }

    /// Whether time alone can change what it says.
    pub(crate) fn reads_time(&self) -> bool {
        let times: [&[&str]; 3] = [&["time"], &["clock"], &["identity", "expires_in"]];
        times.iter().any(|time| self.reads.any(time))
    }

    /// Whether it reads signals, and says so: without the word it was written for no signals.
    pub(crate) fn reads_signals(&self) -> bool {
        self.reads.speaks_of_signals() && self.reads.any(&["signals"])
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

    /// What its rule says of this input; `None` if no rule holds.
    pub(crate) fn decide(&mut self, input: &PolicyValue) -> Result<Option<Outcome>, PolicyFailure> {
        let value = self.evaluate(0, input)?;
        if self.entry.format == InputFormat::OpaEnvoy {
            return opa::outcome(&value);
        }
        match value {
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
                        (Ok("obligations"), Value::Object(_)) => match serde_json::to_value(value) {
                            Ok(Json::Object(all)) => outcome.obligations = all,
                            _ => return fail(Reason::ObligationInvalid, "the obligations are not JSON"),
                        },
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

    fn evaluate(&mut self, entry_point: usize, input: &PolicyValue) -> Result<Value, PolicyFailure> {
        self.vm.set_input(input.0.clone());
        bounds::begin(self.work);
        let result = self.vm.execute_entry_point_by_index(entry_point);
        self.vm.set_input(Value::Null);
        let result = result.and_then(|value| bounds::take_result(&value).map(|()| value));
        result.map_err(|error| match error {
            VmError::InstructionLimitExceeded { limit, .. } => PolicyFailure {
                reason: Reason::PolicyLimit,
                detail: format!("more than {limit} instructions"),
            },
            VmError::MemoryLimitExceeded { .. } => PolicyFailure {
                reason: Reason::PolicyLimit,
                detail: format!("more than {} units of work, or values too deep", self.work),
            },
            VmError::RegexSizeLimitExceeded { limit, .. } => PolicyFailure {
                reason: Reason::PolicyLimit,
                detail: format!("a regex of more than {limit} bytes"),
            },
            error => PolicyFailure {
                reason: Reason::PolicyError,
                detail: format!("the evaluation failed: {}", kind(&error)),
            },
        })
    }
}

/// What kind of an error it is. The rest may repeat values of the input, and be long: it is not written.
fn kind(error: &VmError) -> String {
    struct Name(String);
    impl fmt::Write for Name {
        fn write_str(&mut self, text: &str) -> fmt::Result {
            let name = text.split(|c: char| !c.is_ascii_alphanumeric()).next().unwrap_or_default();
            self.0.push_str(name);
            if name.len() < text.len() {
                Err(fmt::Error)
            } else {
                Ok(())
            }
        }
    }
    let mut name = Name(String::new());
    // It ends where the name does.
    fmt::write(&mut name, format_args!("{error:?}")).ok();
    name.0
}

/// A policy's own code for a rule: it goes into records and headers.
fn is_code(text: &str) -> bool {
    (1..=64).contains(&text.len())
        && text.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'_')
}
