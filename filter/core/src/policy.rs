//! Rego rule sets, each compiled to one small plan.
//!
//! A rule set is a package with a rule `decision` and, if it wants to know more, a rule `ask`.
//! Rules state what is allowed. An error inside a rule skips that rule, as in OPA, and no rule at
//! all is `Undefined`: so anything but a well-formed allow is a denial.

mod library;
mod opa;
mod trace;

use std::fmt;
use std::sync::Arc;

pub use everycall_rego::offered_builtins;
use everycall_rego::{Budget, Halt, Plan, Value};
use serde_json::{Map, Value as Json};

use crate::base::reads::{Names, Reads};
use crate::base::reason::{reject, Denied, Reason};
use crate::config::InputFormat;
use crate::input::{PolicyInput, Slots, Sources};
use crate::pdp::{Answer, Question};
use library::Source;
pub(crate) use library::{Compiling, Library};
pub use trace::{RuleTrace, Trace};

/// Which rule of which package decides, and what it is given.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Entrypoint {
    pub(crate) package: Arc<str>,
    pub(crate) rule: String,
    pub(crate) format: InputFormat,
}

impl Entrypoint {
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
        // As OPA's own configuration has it: a path, or a reference.
        let dotted = text.replace('/', ".");
        let dotted = dotted.strip_prefix("data.").unwrap_or(&dotted);
        match text.rsplit_once('.') {
            Some((package, rule)) if dotted == text && text.split('.').all(is_name) => {
                Ok(Self { package: package.into(), rule: rule.into(), format: InputFormat::OpaEnvoy })
            }
            _ if dotted.contains('.') && dotted.split('.').all(is_name) => {
                Err(format!("write `{text}` as `{dotted}`"))
            }
            _ => Err(format!("`{text}` is not a package and a rule such as `{}`", opa::ENTRYPOINT)),
        }
    }
}

/// One compiled rule set.
pub struct RuleSet {
    entry: Entrypoint,
    /// Its entries are `decision` and `ask`.
    plan: Plan,
    /// What one evaluation may take.
    budget: Budget,
    asks: bool,
    /// What answers what it reads of its input.
    slots: Slots,
    reads: Reads,
    headers: Names,
    query: Names,
    connection: Names,
    /// The modules of its bundle, for traces.
    sources: Arc<Vec<Source>>,
}

/// The places of the entries in a plan.
const DECISION: usize = 0;
const ASK: usize = 1;

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

impl RuleSet {
    /// Drops some of it, after which it does not decide any more; whether there is more.
    pub(crate) fn take_apart(&mut self) -> bool {
        self.plan.take_apart()
    }

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
    pub(crate) const fn reads(&self) -> &Reads {
        &self.reads
    }

    /// The headers that it reads.
    pub(crate) const fn headers(&self) -> &Names {
        &self.headers
    }

    /// The names of the query that it reads.
    pub(crate) const fn query(&self) -> &Names {
        &self.query
    }

    /// The attributes of the connection that it reads.
    pub(crate) const fn connection(&self) -> &Names {
        &self.connection
    }

    /// Whether time alone can change what it says.
    pub(crate) const fn reads_time(&self) -> bool {
        self.slots.are_timed() || self.plan.reads_now()
    }

    /// What it sees of these.
    pub(crate) fn input(&self, of: &Sources<'_>) -> PolicyInput {
        PolicyInput::new(&self.slots, of)
    }

    /// Adds the answers to its questions so far.
    pub(crate) fn put_answers(&self, input: &mut PolicyInput, answered: &[(Question, Answer)]) {
        if !answered.is_empty() {
            let answers = answered.iter().map(|(question, answer)| (question.id.as_str(), answer));
            input.put_answers(&self.slots, answers);
        }
    }

    /// Whether it reads signals, and says so: without the word it was written for no signals.
    pub(crate) fn reads_signals(&self) -> bool {
        self.reads.speaks_of_signals() && self.reads.any(&["signals"])
    }

    /// The questions that `ask` holds for this input; none if the rule is absent or empty.
    pub(crate) fn questions(&self, input: &PolicyInput) -> Result<Vec<Question>, Denied> {
        if !self.asks {
            return Ok(Vec::new());
        }
        let items = match self.evaluate(ASK, input)? {
            None => return Ok(Vec::new()),
            Some(Value::Set(items)) => items,
            Some(_) => return reject(Reason::PolicyResult, "`ask` is not a set"),
        };
        let mut questions: Vec<Question> = Vec::with_capacity(items.len());
        for item in items.iter() {
            let Ok(json) = serde_json::to_value(item) else {
                return reject(Reason::PolicyResult, "a question is not JSON");
            };
            let question =
                Question::read(json).map_err(|detail| Denied { reason: Reason::PolicyResult, detail })?;
            if questions.iter().any(|other| other.id == question.id) {
                return reject(Reason::PolicyResult, format!("two questions have the id `{}`", question.id));
            }
            questions.push(question);
        }
        Ok(questions)
    }

    /// What its rule says of this input; `None` if no rule holds.
    pub(crate) fn decide(&self, input: &PolicyInput) -> Result<Option<Outcome>, Denied> {
        let Some(value) = self.evaluate(DECISION, input)? else { return Ok(None) };
        if self.entry.format == InputFormat::OpaEnvoy {
            return opa::outcome(&value).map(Some);
        }
        outcome(&value).map(Some)
    }

    fn evaluate(&self, entry: usize, input: &PolicyInput) -> Result<Option<Value>, Denied> {
        let mut budget = self.budget.clone();
        self.plan.evaluate(entry, input, &mut budget).map_err(|halt| {
            let reason = match &halt {
                Halt::Limit(_) => Reason::PolicyLimit,
                Halt::Conflict(_) => Reason::PolicyError,
            };
            Denied { reason, detail: format!("the evaluation ended: {halt}") }
        })
    }
}

/// Reads the result of `decision`.
fn outcome(value: &Value) -> Result<Outcome, Denied> {
    let Value::Object(result) = value else {
        return reject(Reason::PolicyResult, "`decision` is not an object");
    };
    let mut outcome = Outcome::default();
    let mut decided = false;
    for (key, value) in result.iter() {
        match (key.as_str(), value) {
            (Some("allow"), Value::Bool(allow)) => (outcome.allow, decided) = (*allow, true),
            (Some("reason"), Value::String(code)) if is_code(code) => {
                outcome.rule = Some(code.to_string());
            }
            (Some("reason"), _) => {
                let message = "`reason` is no code of 1 to 64 of `a-z`, `0-9` and `_`";
                return reject(Reason::PolicyResult, message);
            }
            (Some("without_pdp"), Value::Bool(without)) => outcome.without_pdp = *without,
            (Some("obligations"), Value::Object(_)) => match serde_json::to_value(value) {
                Ok(Json::Object(all)) => outcome.obligations = all,
                _ => return reject(Reason::ObligationInvalid, "the obligations are not JSON"),
            },
            _ => {
                return reject(
                    Reason::PolicyResult,
                    format!("`decision` holds {} of an unknown name or form", key.to_json()),
                )
            }
        }
    }
    if decided {
        Ok(outcome)
    } else {
        reject(Reason::PolicyResult, "`decision` has no boolean `allow`")
    }
}

/// What a result of the rule that decides says, in the form of its rule set: whether it allows, and the obligations
/// as they are written.
///
/// # Errors
/// The filter would refuse whatever it answers to.
pub fn read_result(format: InputFormat, value: &Value) -> Result<(bool, Map<String, Json>), Denied> {
    let outcome = match format {
        InputFormat::Everycall => outcome(value),
        InputFormat::OpaEnvoy => opa::outcome(value),
    }?;
    Ok((outcome.allow, outcome.obligations))
}

/// A policy's own code for a rule: it goes into records and headers.
fn is_code(text: &str) -> bool {
    (1..=64).contains(&text.len())
        && text.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'_')
}
