//! The PDP: the Access Evaluation API of AuthZEN Authorization API 1.0, and the same rule through OPA's
//! Data API, answered by Rego.

use std::path::Path;
use std::sync::Mutex;

use axum::extract::{ConnectInfo, State};
use axum::http::{HeaderMap, HeaderName, StatusCode};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use axum::{Json, Router};
use serde_json::{json, Map, Value};

use super::fault::Fault;
use super::listener::Hangup;
use super::rego::Policy;
use super::reply::{base_url, Refused, Strict};
use super::ring::Ring;
use super::{lock, Server, Shared};

/// Questions that are remembered.
const MAX_QUESTIONS: usize = 1_000;
const REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");
const EVALUATION: &str = "/access/v1/evaluation";
/// The Data API's path of the rule that answers, `data.pdp.decision`.
const DATA: &str = "/v1/data/pdp/decision";

/// How an answer is asked for and written.
#[derive(Debug, Clone, Copy)]
enum Protocol {
    Authzen,
    Opa,
}

/// The policy, what was asked, and how to misbehave.
pub(super) struct Pdp {
    policy: Option<Policy>,
    questions: Mutex<Ring>,
    pub(super) fault: Mutex<Fault>,
}

impl Pdp {
    pub(super) fn load(directory: Option<&Path>) -> anyhow::Result<Self> {
        let policy = directory.map(Policy::load).transpose()?;
        Ok(Self { policy, questions: Mutex::new(Ring::new(MAX_QUESTIONS)), fault: Mutex::default() })
    }

    /// What the policy says to a well-formed question; `None` if no rule holds.
    fn decide(&self, question: &Value) -> Result<Option<Value>, Refused> {
        let Some(policy) = &self.policy else {
            return Ok(Some(json!({"decision": false, "context": {"reason": "no_policy"}})));
        };
        match policy.evaluate(question) {
            Ok(None) => Ok(None),
            Ok(Some(answer)) if answer.is_boolean() || is_answer(&answer) => Ok(Some(answer)),
            Ok(Some(_)) => Err(Refused::server_error(
                "`data.pdp.decision` is neither a boolean nor an object of `decision` and `context`",
            )),
            Err(error) => Err(Refused::server_error(format!("the evaluation failed: {error}"))),
        }
    }
}

fn is_answer(answer: &Value) -> bool {
    let Value::Object(members) = answer else { return false };
    members.get("decision").is_some_and(Value::is_boolean)
        && members.iter().all(|(name, value)| match name.as_str() {
            "decision" => true,
            "context" => value.is_object(),
            _ => false,
        })
}

impl Protocol {
    /// What is asked, in a body.
    fn question(self, mut body: Map<String, Value>) -> Result<Value, Refused> {
        match self {
            Self::Authzen => check(&body).map(|()| Value::Object(body)),
            Self::Opa => body.remove("input").ok_or_else(|| Refused::bad_request("`input` is missing")),
        }
    }

    /// The body that says this. In OPA what is undefined has no result.
    fn answer(self, said: Option<Value>) -> Value {
        match (self, said) {
            (Self::Authzen, None) => json!({"decision": false}),
            (Self::Authzen, Some(Value::Bool(decision))) => json!({"decision": decision}),
            (Self::Authzen, Some(answer)) => answer,
            (Self::Opa, None) => json!({}),
            (Self::Opa, Some(result)) => json!({"result": result}),
        }
    }
}

/// The members that the specification requires; unknown ones are for the policy to read or leave.
fn check(question: &Map<String, Value>) -> Result<(), Refused> {
    for (entity, members) in
        [("subject", ["type", "id"].as_slice()), ("action", &["name"]), ("resource", &["type", "id"])]
    {
        let Some(Value::Object(found)) = question.get(entity) else {
            return Err(Refused::bad_request(format!("`{entity}` is missing or not an object")));
        };
        if let Some(member) = members.iter().find(|member| !found.get(**member).is_some_and(Value::is_string))
        {
            return Err(Refused::bad_request(format!("`{entity}.{member}` is missing or not text")));
        }
        if found.get("properties").is_some_and(|properties| !properties.is_object()) {
            return Err(Refused::bad_request(format!("`{entity}.properties` is not an object")));
        }
    }
    match question.get("context") {
        None | Some(Value::Object(_)) => Ok(()),
        Some(_) => Err(Refused::bad_request("`context` is not an object")),
    }
}

pub(super) fn routes() -> Router<Shared> {
    Router::new()
        .route(EVALUATION, post(evaluation))
        .route(DATA, post(data))
        .route("/access/v1/questions", get(questions).delete(forget))
        .route("/.well-known/authzen-configuration", get(metadata))
}

type Body = Result<Strict<Map<String, Value>>, Refused>;

async fn evaluation(
    State(server): State<Shared>,
    ConnectInfo(hangup): ConnectInfo<Hangup>,
    headers: HeaderMap,
    body: Body,
) -> Response {
    respond(Protocol::Authzen, &server, &hangup, &headers, body).await
}

async fn data(
    State(server): State<Shared>,
    ConnectInfo(hangup): ConnectInfo<Hangup>,
    headers: HeaderMap,
    body: Body,
) -> Response {
    respond(Protocol::Opa, &server, &hangup, &headers, body).await
}

async fn respond(
    protocol: Protocol,
    server: &Server,
    hangup: &Hangup,
    headers: &HeaderMap,
    body: Body,
) -> Response {
    let id = headers.get(REQUEST_ID);
    let mut response = match body.and_then(|Strict(body)| protocol.question(body)) {
        Ok(question) => {
            let id = id.map(|id| String::from_utf8_lossy(id.as_bytes()).into_owned());
            answer(protocol, server, hangup, id, question).await
        }
        Err(refused) => refused.into_response(),
    };
    if let Some(id) = id {
        response.headers_mut().insert(REQUEST_ID, id.clone());
    }
    response
}

async fn answer(
    protocol: Protocol,
    server: &Server,
    hangup: &Hangup,
    id: Option<String>,
    question: Value,
) -> Response {
    let fault = lock(&server.pdp.fault).clone();
    let mut decision = None;
    let response = fault.answer(hangup).unwrap_or_else(|| match server.pdp.decide(&question) {
        Ok(said) => {
            decision = Protocol::Authzen.answer(said.clone()).get("decision").cloned();
            Json(protocol.answer(said)).into_response()
        }
        Err(refused) => refused.into_response(),
    });
    lock(&server.pdp.questions).push(json!({"x_request_id": id, "question": question, "decision": decision}));
    fault.wait(server.stop.clone()).await;
    response
}

async fn questions(State(server): State<Shared>) -> Json<Value> {
    Json(lock(&server.pdp.questions).to_json("questions"))
}

async fn forget(State(server): State<Shared>) -> StatusCode {
    lock(&server.pdp.questions).clear();
    StatusCode::NO_CONTENT
}

async fn metadata(State(server): State<Shared>, headers: HeaderMap) -> Json<Value> {
    let base = base_url(&server, &headers);
    let endpoint = format!("{base}{EVALUATION}");
    Json(json!({"policy_decision_point": base, "access_evaluation_endpoint": endpoint}))
}
