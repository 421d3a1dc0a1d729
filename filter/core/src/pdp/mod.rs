//! Questions that a policy asks a policy decision point, and their answers.

mod authzen;

use serde_json::{json, Map, Value};

use crate::config::PdpProtocol;
use crate::settings::Pdp;
use crate::step::{Call, Failure, Reply};

/// The longest answer of a decision point, in bytes.
pub const MAX_ANSWER: usize = 64 * 1024;

/// The decision point of a question that names none.
pub(crate) const DEFAULT_PDP: &str = "default";

/// One question of a rule `ask`.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Question {
    pub(crate) id: String,
    pub(crate) pdp: String,
    /// `subject`, `action`, `resource` and `context`, as the policy made them.
    pub(crate) body: Map<String, Value>,
}

impl Question {
    /// Reads one member of `ask`.
    ///
    /// # Errors
    /// What is wrong with it.
    pub(crate) fn read(question: Value) -> Result<Self, String> {
        let Value::Object(mut body) = question else { return Err("a question is not an object".into()) };
        let id = match body.remove("id") {
            Some(Value::String(id)) if !id.is_empty() => id,
            _ => return Err("a question has no `id`".into()),
        };
        let pdp = match body.remove("pdp") {
            None => DEFAULT_PDP.to_owned(),
            Some(Value::String(name)) => name,
            Some(_) => return Err(format!("`pdp` of question `{id}` is not text")),
        };
        for (name, value) in &body {
            match (name.as_str(), value) {
                ("subject" | "action" | "resource" | "context", Value::Object(_)) => {}
                ("subject" | "action" | "resource" | "context", _) => {
                    return Err(format!("`{name}` of question `{id}` is not an object"))
                }
                _ => return Err(format!("question `{id}` has an unknown member `{name}`")),
            }
        }
        authzen::check(&id, &body)?;
        Ok(Self { id, pdp, body })
    }
}

/// What a decision point said.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Answer {
    Decision {
        decision: bool,
        context: Map<String, Value>,
        /// It came with obligations. None is understood, so its yes counts as a no.
        obligations: bool,
    },
    Error(AnswerError),
}

/// Why there is no answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum AnswerError {
    Timeout,
    Unavailable,
    Invalid,
}

impl Answer {
    /// What stands in `input.pdp` and in the record.
    pub(crate) fn to_json(&self) -> Value {
        match self {
            // A policy that looks at `decision` alone must not take such a yes for one.
            Answer::Decision { decision, context, obligations } => {
                json!({"decision": *decision && !*obligations, "context": context})
            }
            Answer::Error(AnswerError::Timeout) => json!({"error": "timeout"}),
            Answer::Error(AnswerError::Unavailable) => json!({"error": "unavailable"}),
            Answer::Error(AnswerError::Invalid) => json!({"error": "invalid"}),
        }
    }

    /// Reads what [`Answer::to_json`] wrote; `None` if it did not.
    pub(crate) fn from_json(answer: &Value) -> Option<Self> {
        match answer.get("error").and_then(Value::as_str) {
            Some("timeout") => Some(Answer::Error(AnswerError::Timeout)),
            Some("unavailable") => Some(Answer::Error(AnswerError::Unavailable)),
            Some("invalid") => Some(Answer::Error(AnswerError::Invalid)),
            Some(_) => None,
            None => {
                let context = answer.get("context")?.as_object()?.clone();
                let obligations = authzen::has_obligations(&context);
                Some(Answer::Decision { decision: answer.get("decision")?.as_bool()?, context, obligations })
            }
        }
    }
}

/// The call that asks this question.
pub(crate) fn call(pdp: &Pdp, question: &Question, decision_id: &str) -> Call {
    match pdp.protocol {
        PdpProtocol::Authzen => authzen::call(pdp, question, decision_id),
    }
}

/// The answer in a reply. Anything but a well-formed 200 is a failure: a proxy answers 502, 503 or
/// 504 by itself when the call failed.
pub(crate) fn answer(pdp: &Pdp, reply: &Reply) -> Answer {
    match reply {
        Reply::Http { status: 200, body, .. } => match pdp.protocol {
            PdpProtocol::Authzen => authzen::answer(body),
        },
        Reply::Http { status: 504, .. } => Answer::Error(AnswerError::Timeout),
        Reply::Http { .. } | Reply::Failed(Failure::Unavailable) => Answer::Error(AnswerError::Unavailable),
        Reply::Failed(Failure::TooLarge) => Answer::Error(AnswerError::Invalid),
    }
}
