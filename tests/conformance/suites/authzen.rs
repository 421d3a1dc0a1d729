//! AuthZEN Authorization API 1.0: what we ask is as its schemas want it, what is answered is what comes of the
//! request; for the decisions of its interop scenario and for its mapping of MCP.

mod coaz;
mod interop;
mod messages;

use everycall::{cases, WireRequest};
use everycall_core::config::PdpProtocol;
use everycall_core::{Decision, Reply, Step, UnixTime};
use serde_json::{json, Value};

use super::attacks::world::{World, NOW};
use crate::suite::{CaseResult, Suite, Vectors, IN_ENVOY_TOO, IN_RUST};

pub fn suites() -> Vec<Suite> {
    vec![
        Suite { name: "authzen-schemas", minimum: 30, targets: IN_RUST, run: messages::refused },
        Suite { name: "authzen-questions", minimum: 200, targets: IN_RUST, run: messages::sent },
        Suite { name: "authzen-answers", minimum: 15, targets: IN_RUST, run: messages::answers },
        Suite {
            name: "authzen-interop",
            minimum: 163,
            targets: IN_ENVOY_TOO,
            run: |vectors| here(&scenario("authzen-interop", vectors, NOW)),
        },
        Suite {
            name: "authzen-coaz",
            minimum: 40,
            targets: IN_ENVOY_TOO,
            run: |vectors| here(&scenario("authzen-coaz", vectors, NOW)),
        },
    ]
}

/// A configuration, whose decision point is `default`, and requests under it.
pub struct Scenario {
    pub config: Value,
    pub rows: Vec<Row>,
}

/// The scenario of a suite, with tokens for this time.
pub fn scenario(suite: &str, vectors: &Vectors, now: UnixTime) -> Scenario {
    match suite {
        "authzen-interop" => interop::scenario(vectors),
        _ => coaz::scenario(vectors, now),
    }
}

/// One request, what it makes us ask, and what is to come of it.
pub struct Row {
    pub id: String,
    pub request: WireRequest,
    /// Each question, and its answer; `None`: there is none.
    pub asks: Vec<(Value, Option<bool>)>,
    pub status: u16,
    /// Of the JSON-RPC error in the answer; `None`: whatever the answer is.
    pub code: Option<i64>,
}

impl Scenario {
    /// The answer to a question: yes, no, or none at all. A question that no row asks has a body that the
    /// decision point refuses.
    pub fn answer(&self, question: &Value) -> (u16, Value) {
        let mut all = self.rows.iter().flat_map(|row| &row.asks);
        match all.find(|(expected, _)| expected == question) {
            Some((_, Some(decision))) => (200, json!({"decision": decision})),
            Some((_, None)) => (503, Value::Null),
            None => (400, Value::Null),
        }
    }
}

impl Row {
    /// What came: status and body of the answer, whether the request went through, and all that was asked, in
    /// any order.
    pub fn result(&self, status: u16, body: &[u8], passed: bool, mut asked: Vec<Value>) -> CaseResult {
        let mut expected: Vec<Value> = self.asks.iter().map(|(question, _)| question.clone()).collect();
        let sort = |questions: &mut Vec<Value>| questions.sort_by_key(Value::to_string);
        sort(&mut expected);
        sort(&mut asked);
        let show = |questions: &[Value]| Value::Array(questions.to_vec()).to_string();
        let error: Value = serde_json::from_slice(body).unwrap_or_default();
        let code = error.pointer("/error/code").and_then(Value::as_i64);
        let is_answered = status == self.status && (self.code.is_none() || self.code == code);
        CaseResult {
            id: self.id.clone(),
            agrees: is_answered && passed == (self.status == 200) && asked == expected,
            note: format!(
                "published: {} {:?} after {}; ours: {status} {code:?} after {}, passed on: {passed}",
                self.status,
                self.code,
                show(&expected),
                show(&asked)
            ),
        }
    }
}

/// Decides each row in this process.
fn here(scenario: &Scenario) -> Vec<CaseResult> {
    let mut world = World::new(&scenario.config);
    let mut decided = |row: &Row| {
        let (asked, decision) = decide(&mut world, &row.request, NOW, |_, question| {
            let (status, body) = scenario.answer(question);
            Reply::http(status, body.to_string())
        });
        let body = decision.verdict.as_ref().err().map(|denial| denial.refusal().body).unwrap_or_default();
        row.result(decision.record.status, &body, decision.verdict.is_ok(), asked)
    };
    scenario.rows.iter().map(&mut decided).collect()
}

/// The questions that were put in AuthZEN, as they were sent, and the decision. `answer` gets the id of
/// a question and its body.
fn decide(
    world: &mut World,
    request: &WireRequest,
    now: UnixTime,
    answer: impl Fn(&str, &Value) -> Reply,
) -> (Vec<Value>, Decision) {
    let mut asked = Vec::new();
    let mut step = world.step(request, now);
    loop {
        match step {
            Step::Done(decision) => return (asked, decision),
            Step::Wait { pending } => step = world.engine.resume(pending, Vec::new(), now),
            Step::Ask { calls, pending } => {
                let open = pending.record().pdp.iter().filter(|exchange| exchange.answer.is_none());
                let replies = open.zip(&calls).map(|(exchange, call)| {
                    let body = serde_json::from_slice(&call.body).unwrap_or_default();
                    let reply = answer(&exchange.id, &body);
                    if cases::spoken(call) == PdpProtocol::Authzen {
                        asked.push(body);
                    }
                    reply
                });
                let replies = replies.collect();
                step = world.engine.resume(pending, replies, now);
            }
        }
    }
}
