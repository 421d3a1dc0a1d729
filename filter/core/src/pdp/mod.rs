//! Questions that a policy asks a policy decision point, and their answers. Each protocol is a module
//! that makes a call of a question and an answer of a reply.

mod authzen;
mod breaker;
mod ext_authz;
mod grpc;
mod opa;
mod protobuf;
mod trace;

use serde_json::{json, Map, Value};

use crate::base::time::UnixTime;
use crate::config::{self, PdpProtocol};
use crate::http::call::{Call, Failure, Reply};
use crate::http::request::{Headers, Request};
pub(crate) use authzen::PATH as AUTHZEN_PATH;
pub(crate) use breaker::Breaker;
pub(crate) use ext_authz::{ATTRIBUTES as EXT_AUTHZ_ATTRIBUTES, PATH as EXT_AUTHZ_PATH};

/// A policy decision point.
#[derive(Debug, Clone)]
pub(crate) struct Pdp {
    pub(crate) protocol: PdpProtocol,
    pub(crate) cluster: String,
    pub(crate) host: String,
    pub(crate) path: String,
    /// Request headers that it is told, by lower-case name; `None`: all but secret ones.
    pub(crate) headers: Option<Vec<String>>,
    pub(crate) timeout_ms: u32,
    pub(crate) max_in_flight: usize,
    pub(crate) connect_retries: u32,
    pub(crate) breaker: Option<config::Breaker>,
}

/// The longest answer of a decision point, in bytes; also of all answers together that one round of questions gets,
/// since they are read at once.
pub const MAX_ANSWER: usize = 64 * 1024;

/// The decision point of a question that names none.
pub(crate) const DEFAULT_PDP: &str = "default";

/// What identifies the entities of a question.
const ENTITIES: [(&str, &str); 5] =
    [("subject", "type"), ("subject", "id"), ("action", "name"), ("resource", "type"), ("resource", "id")];

/// One question of a rule `ask`.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Question {
    pub(crate) id: String,
    pub(crate) pdp: String,
    /// `subject`, `action`, `resource` and `context`, or `input`, as the policy made them.
    pub(crate) body: Map<String, Value>,
}

impl Question {
    /// Reads one member of `ask`. Which members it must have is a matter of the protocol.
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
                ("subject" | "action" | "resource" | "context" | "input", Value::Object(_)) => {}
                ("subject" | "action" | "resource" | "context" | "input", _) => {
                    return Err(format!("`{name}` of question `{id}` is not an object"))
                }
                _ => return Err(format!("question `{id}` has an unknown member `{name}`")),
            }
        }
        Ok(Self { id, pdp, body })
    }

    /// Whether it can be asked in this protocol: AuthZEN wants its entities, OPA takes any `input` in
    /// their place, and ext_authz tells of the request anyway.
    ///
    /// # Errors
    /// What is missing or too much.
    pub(crate) fn check(&self, protocol: PdpProtocol) -> Result<(), String> {
        let id = &self.id;
        match (protocol, self.body.contains_key("input")) {
            (PdpProtocol::Opa, true) if self.body.len() > 1 => {
                Err(format!("question `{id}` has `input` and other members"))
            }
            (PdpProtocol::Opa, true) | (PdpProtocol::ExtAuthz, false) => Ok(()),
            (PdpProtocol::Authzen | PdpProtocol::Opa, false) => self.has_entities(),
            (PdpProtocol::Authzen | PdpProtocol::ExtAuthz, true) => {
                Err(format!("question `{id}` has `input`, which is for decision points that speak `opa`"))
            }
        }
    }

    fn has_entities(&self) -> Result<(), String> {
        let id = &self.id;
        let member = |entity: &str, member: &str| self.body.get(entity).and_then(|entity| entity.get(member));
        let missing = |(entity, name): &&(&str, &str)| !member(entity, name).is_some_and(Value::is_string);
        if let Some((entity, name)) = ENTITIES.iter().find(missing) {
            return Err(format!("question `{id}` has no `{entity}.{name}`"));
        }
        let no_object = |entity: &&&str| !member(entity, "properties").is_none_or(Value::is_object);
        match ["subject", "action", "resource"].iter().find(no_object) {
            Some(entity) => Err(format!("`{entity}.properties` of question `{id}` is not an object")),
            None => Ok(()),
        }
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
    /// It does not take this question. For policies as `Unavailable`; but it is there.
    Refused,
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
            Answer::Error(AnswerError::Unavailable | AnswerError::Refused) => json!({"error": "unavailable"}),
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

    /// Whether the decision point works, as far as one answer tells. What a caller brought it to refuse
    /// must not look like an outage, or that caller could make one.
    pub(crate) const fn is_sign_of_life(&self) -> bool {
        matches!(self, Answer::Decision { .. } | Answer::Error(AnswerError::Refused))
    }
}

/// What calls are made from, besides their question.
pub(crate) struct Asker<'a> {
    /// Whether the value of a header with this name is secret.
    pub(crate) is_secret: &'a dyn Fn(&str) -> bool,
    pub(crate) decision_id: &'a str,
    pub(crate) request: &'a Request,
    pub(crate) now: UnixTime,
}

/// The call that asks this question.
pub(crate) fn call(pdp: &Pdp, question: &Question, asker: &Asker<'_>) -> Call {
    let header = |name: &str, value: &str| (name.to_owned(), value.to_owned());
    let mut headers =
        vec![header(":method", "POST"), header(":path", &pdp.path), header(":authority", &pdp.host)];
    match pdp.protocol {
        PdpProtocol::Authzen | PdpProtocol::Opa => {
            headers.extend([header("content-type", "application/json"), header("accept", "application/json")])
        }
        PdpProtocol::ExtAuthz => headers.extend(grpc::headers(pdp.timeout_ms)),
    }
    headers.push(header("x-request-id", asker.decision_id));
    headers.extend(trace::headers(asker.request.headers()));
    // A map of JSON values always serialises; an empty body would be answered with an error.
    let body = match pdp.protocol {
        PdpProtocol::Authzen => serde_json::to_vec(&question.body).unwrap_or_default(),
        PdpProtocol::Opa => serde_json::to_vec(&opa::document(question)).unwrap_or_default(),
        PdpProtocol::ExtAuthz => grpc::frame(&ext_authz::request(pdp, question, asker)),
    };
    Call {
        cluster: pdp.cluster.clone(),
        headers,
        body,
        timeout_ms: pdp.timeout_ms,
        max_body: MAX_ANSWER,
        connect_retries: pdp.connect_retries,
        pdp: Some(pdp.protocol),
    }
}

/// The answer in a reply. Anything but a well-formed 200 is a failure: a proxy answers 502, 503 or
/// 504 by itself when the call failed. `left` is what the answers that are read at once may still have, in bytes.
pub(crate) fn answer(pdp: &Pdp, reply: &Reply, left: &mut usize) -> Answer {
    if let Reply::Http { body, .. } = reply {
        match left.checked_sub(body.len()) {
            Some(less) => *left = less,
            // It is there.
            None => return Answer::Error(AnswerError::Refused),
        }
    }
    let message = match pdp.protocol {
        PdpProtocol::Authzen | PdpProtocol::Opa => http_body(reply),
        PdpProtocol::ExtAuthz => grpc::message(reply),
    };
    match (message, pdp.protocol) {
        (Ok(body), PdpProtocol::Authzen) => authzen::answer(body),
        (Ok(body), PdpProtocol::Opa) => opa::answer(body),
        (Ok(message), PdpProtocol::ExtAuthz) => ext_authz::answer(message),
        (Err(error), _) => Answer::Error(error),
    }
}

/// The content type is not looked at: what is strict JSON of the right shape is an answer.
fn http_body(reply: &Reply) -> Result<&[u8], AnswerError> {
    match reply {
        Reply::Http { status: 200, body, .. } => Ok(body),
        Reply::Http { status: 504, .. } => Err(AnswerError::Timeout),
        // 408 and 429 are about the server's state, the others about the question.
        Reply::Http { status, .. } if (400..500).contains(status) && !matches!(status, 408 | 429) => {
            Err(AnswerError::Refused)
        }
        Reply::Http { .. } | Reply::Failed(Failure::Unavailable) => Err(AnswerError::Unavailable),
        Reply::Failed(Failure::TooLarge) => Err(AnswerError::Invalid),
    }
}

impl PdpProtocol {
    /// A reply that says yes or no: what stands in for a decision point gives it.
    pub fn reply(self, yes: bool) -> Reply {
        let grpc = |name: &str, value: &str| Headers::new(vec![(name.to_owned(), value.as_bytes().to_vec())]);
        match self {
            PdpProtocol::Authzen => Reply::http(200, json!({"decision": yes}).to_string()),
            PdpProtocol::Opa => Reply::http(200, json!({"result": yes}).to_string()),
            PdpProtocol::ExtAuthz => Reply::Http {
                status: 200,
                headers: grpc("content-type", "application/grpc"),
                body: grpc::frame(&ext_authz::plain(yes)),
                trailers: grpc("grpc-status", "0"),
            },
        }
    }
}

#[cfg(test)]
mod tests;
