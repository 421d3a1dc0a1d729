//! Questions that a policy asks a policy decision point, and their answers. Each protocol is a row below and a
//! module, which makes a call of a question and an answer of a reply.

mod breaker;
mod grpc;
mod trace;

use serde::Deserialize;
use serde_json::{json, Map, Value};

use crate::base::json;
#[cfg(feature = "schema")]
use crate::base::patterns;
use crate::base::ranged::{Ranged, Timeout};
#[cfg(feature = "schema")]
use crate::base::relations::{absent, all, given, is};
use crate::base::time::UnixTime;
use crate::http::call::{Call, Failure, Reply};
use crate::http::request::Request;
pub(crate) use breaker::Breaker;
pub use breaker::BreakerRule;

macro_rules! protocols {
    ($($(#[doc = $doc:literal])+ $variant:ident = $name:literal, $module:ident;)+) => {
        $(mod $module;)+

        /// The protocols that are spoken with a policy decision point.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
        #[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
        pub enum PdpProtocol {
            $($(#[doc = $doc])+ #[serde(rename = $name)] $variant,)+
        }

        impl PdpProtocol {
            /// All of them.
            pub(crate) const ALL: &'static [Self] = &[$(Self::$variant),+];

            /// As it is written in configurations.
            pub(crate) const fn name(self) -> &'static str {
                match self { $(Self::$variant => $name),+ }
            }

            /// What is its own.
            pub(crate) const fn rules(self) -> &'static Protocol {
                match self { $(Self::$variant => &$module::PROTOCOL),+ }
            }
        }
    };
}

protocols! {
    /// AuthZEN Authorization API 1.0, Access Evaluation.
    Authzen = "authzen", authzen;
    /// The Data API of Open Policy Agent.
    Opa = "opa", opa;
    /// Envoy's `envoy.service.auth.v3.Authorization`, over gRPC.
    ExtAuthz = "ext_authz", ext_authz;
}

/// What is a protocol's own.
pub(crate) struct Protocol {
    pub(crate) path: PathRule,
    /// Present: a server is told of the request, and these attributes of its connection.
    pub(crate) told: Option<&'static [&'static str]>,
    /// Whether a question can be asked in it: what is missing or too much.
    check: fn(&Question) -> Result<(), String>,
    headers: fn(&Pdp) -> Vec<(String, String)>,
    body: fn(&Pdp, &Question, &Asker<'_>) -> Vec<u8>,
    answer: fn(&Reply) -> Answer,
    #[cfg(feature = "cases")]
    played: Played,
}

/// How a server of the protocol is played in cases.
#[cfg(feature = "cases")]
struct Played {
    /// Whether a call is to one.
    is_asked: fn(&Call) -> bool,
    /// Yes or no, and nothing else.
    says: fn(bool) -> Reply,
}

#[cfg(feature = "cases")]
impl PdpProtocol {
    /// The protocol of a call to a decision point, as its server tells it.
    pub fn of_call(call: &Call) -> Option<Self> {
        Self::ALL.iter().copied().find(|protocol| (protocol.rules().played.is_asked)(call))
    }

    /// A reply that says yes or no, and nothing else.
    pub fn says(self, yes: bool) -> Reply {
        (self.rules().played.says)(yes)
    }
}

/// Whether a call asks in JSON, with a member `input` or without.
#[cfg(feature = "cases")]
fn asks_in_json(call: &Call, with_input: bool) -> bool {
    json::parse(&call.body).is_ok_and(|body| body.is_object() && body.get("input").is_some() == with_input)
}

/// What the path of calls may be.
pub(crate) enum PathRule {
    /// This one, unless another is configured.
    Default(&'static str),
    /// This one.
    Only(&'static str),
    /// It has to be configured, as it is said here.
    Needed(&'static str),
}

/// What a configuration of one has or lacks by its protocol.
#[cfg(feature = "schema")]
fn relations(schema: &mut schemars::Schema) {
    let rule = |protocol: &PdpProtocol| {
        let Protocol { path, told, .. } = protocol.rules();
        let path = match path {
            PathRule::Default(_) => json!(true),
            PathRule::Only(_) => absent("path"),
            PathRule::Needed(_) => given("path"),
        };
        let headers = if told.is_some() { json!(true) } else { absent("headers") };
        json!({"if": is("protocol", &[protocol.name()]), "then": {"allOf": [path, headers]}})
    };
    all(schema, PdpProtocol::ALL.iter().map(rule).collect());
}

/// One policy decision point.
#[derive(Debug, Clone, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields, expecting = "an object")]
#[cfg_attr(feature = "schema", schemars(transform = relations))]
pub struct Pdp {
    /// What it speaks.
    pub protocol: PdpProtocol,
    /// The Envoy cluster that leads to it.
    #[cfg_attr(feature = "schema", schemars(length(min = 1)))]
    pub cluster: String,
    /// The `:authority` of the calls.
    #[cfg_attr(feature = "schema", schemars(regex(pattern = patterns::HOST)))]
    pub host: String,
    /// The path of the calls. `authzen`: without it `/access/v1/evaluation`; `opa`: needed, such as
    /// `/v1/data/shop/allow`; `ext_authz` has its own.
    #[serde(default)]
    #[cfg_attr(feature = "schema", schemars(regex(pattern = patterns::PATH)))]
    pub path: Option<String>,
    /// `ext_authz` only: the request's headers that it is told, and no others; without it all but secret ones.
    #[serde(default)]
    #[cfg_attr(feature = "schema", schemars(inner(regex(pattern = patterns::HEADER))))]
    pub headers: Option<Vec<String>>,
    /// How long an answer may take.
    #[serde(default)]
    pub timeout_ms: Timeout<200>,
    /// Open questions per worker; one more is refused with `overloaded`.
    #[serde(default)]
    pub max_in_flight: Ranged<usize, 1, 100_000, 100>,
    /// How often Envoy tries again when the PDP has not seen the call; all within `timeout_ms`.
    #[serde(default)]
    pub connect_retries: Ranged<u32, 0, 3, 1>,
    /// Leaves it alone for a while after failures in a row.
    #[serde(default)]
    pub breaker: Option<BreakerRule>,
}

impl Pdp {
    /// The path of the calls.
    fn path(&self) -> &str {
        match (&self.path, &self.protocol.rules().path) {
            (Some(path), _) => path,
            (None, PathRule::Default(path) | PathRule::Only(path)) => path,
            (None, PathRule::Needed(_)) => "",
        }
    }

    /// Whether it is told this attribute of the request's connection.
    pub(crate) fn is_told(&self, attribute: &str) -> bool {
        self.protocol.rules().told.is_some_and(|told| told.contains(&attribute))
    }
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

    /// Whether it can be asked in this protocol.
    ///
    /// # Errors
    /// What is missing or too much.
    pub(crate) fn check(&self, protocol: PdpProtocol) -> Result<(), String> {
        (protocol.rules().check)(self)
    }

    fn has_no_input(&self) -> Result<(), String> {
        if self.body.contains_key("input") {
            let id = &self.id;
            return Err(format!(
                "question `{id}` has `input`, which is for decision points that speak `opa`"
            ));
        }
        Ok(())
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
    let protocol = pdp.protocol.rules();
    let mut headers =
        vec![header(":method", "POST"), header(":path", pdp.path()), header(":authority", &pdp.host)];
    headers.extend((protocol.headers)(pdp));
    headers.push(header("x-request-id", asker.decision_id));
    headers.extend(trace::headers(asker.request.headers()));
    Call {
        cluster: pdp.cluster.clone(),
        headers,
        body: (protocol.body)(pdp, question, asker),
        timeout_ms: *pdp.timeout_ms,
        max_body: MAX_ANSWER,
        connect_retries: *pdp.connect_retries,
    }
}

fn header(name: &str, value: &str) -> (String, String) {
    (name.to_owned(), value.to_owned())
}

/// Of a call whose body is JSON, as its answer's.
fn json_headers(_: &Pdp) -> Vec<(String, String)> {
    vec![header("content-type", "application/json"), header("accept", "application/json")]
}

/// A map of JSON values always serialises; an empty body would be answered with an error.
fn json_body(body: &impl serde::Serialize) -> Vec<u8> {
    serde_json::to_vec(body).unwrap_or_default()
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
    (pdp.protocol.rules().answer)(reply)
}

/// The object in the body of a good reply. The content type is not looked at: what is strict JSON of the right shape
/// is an answer.
fn json_object(reply: &Reply) -> Result<Map<String, Value>, AnswerError> {
    match reply {
        Reply::Http { status: 200, body, .. } => json::parse_object(body).map_err(|_| AnswerError::Invalid),
        Reply::Http { status: 504, .. } => Err(AnswerError::Timeout),
        // 408 and 429 are about the server's state, the others about the question.
        Reply::Http { status, .. } if (400..500).contains(status) && !matches!(status, 408 | 429) => {
            Err(AnswerError::Refused)
        }
        Reply::Http { .. } | Reply::Failed(Failure::Unavailable) => Err(AnswerError::Unavailable),
        Reply::Failed(Failure::TooLarge) => Err(AnswerError::Invalid),
    }
}

#[cfg(test)]
mod tests;
