//! Decisions made again from their records: for reviews and explanations.

use std::sync::Arc;

use serde_json::{Map, Value};

use super::case::{Case, Cause, Occasion, Refused};
use super::Engine;
use crate::base::reason::{Layer, Reason};
use crate::base::time::UnixTime;
use crate::credential::token::cache::Verified;
use crate::engine::decision::Decision;
use crate::engine::step::{Pending, Step};
use crate::http::request::{Connection, Headers, Request, StreamId, BREAK_GLASS_HEADER};
use crate::pdp::{self, Answer};
use crate::record::{DecisionRecord, ShadowReads, SignalsRecord, Verdict};

impl Engine {
    /// Decides a recorded request again, under the configuration in force: the recorded caller, the
    /// recorded values, the recorded answers. The record's token is not known and not needed. Sets
    /// the engine's clock to the record's time: for engines that do nothing else.
    ///
    /// Refusals that rest on what no record holds, such as the token, the bytes of a malformed
    /// request or how busy the worker was, stand as they are.
    pub fn replay(&mut self, record: &DecisionRecord) -> Decision {
        let now = record.time;
        self.latest = now;
        let request = to_request(record);
        let mut case =
            Case::new(request, record.id.clone(), now, &self.settings, Arc::clone(&self.attributes));
        let caller = record.identity.as_ref().map(|identity| {
            let exception = record.exception.clone();
            Arc::new(Verified { exception, ..Verified::new((**identity).clone()) })
        });
        let of_shadows = record.shadow.iter().filter_map(|shadow| shadow.read.signals.as_ref());
        let signals = SignalsRecord::merged(record.signals.iter().chain(of_shadows));
        case.occasion = Occasion::Replay { caller, signals };
        let shadows = record.shadow.iter().flat_map(|shadow| &shadow.read.connection);
        case.record.revocations = record.revocations;
        for (name, value) in shadows.chain(&record.connection) {
            case.request.connection.restore(name, value);
        }
        if let Some(reason) = not_decided_again(record) {
            let revision = std::mem::take(&mut case.record.revision);
            case.record = DecisionRecord { revision, ..record.clone() };
            let detail = record.detail.clone();
            return self.denied(case, Refused { reason, detail, obligations: None });
        }
        // What was valid when the request came may have ended before it was answered.
        let waited = record.duration_us.and_then(|micros| i64::try_from(micros).ok()).unwrap_or_default();
        let answered = UnixTime::from_micros(now.micros().saturating_add(waited));
        let mut step = self.run(case, now);
        loop {
            match step {
                Step::Done(decision) => return decision,
                Step::Ask { pending, .. } | Step::Wait { pending } => {
                    step = self.resume_recorded(pending, record, answered);
                }
            }
        }
    }

    fn resume_recorded(&mut self, mut pending: Pending, record: &DecisionRecord, now: UnixTime) -> Step {
        let open = match &mut pending.0.cause {
            Cause::Answers(asked) => std::mem::take(&mut asked.open),
            Cause::Keys => Vec::new(),
        };
        for question in open {
            let exchange = record.pdp.iter().find(|exchange| exchange.id == question.id);
            let answer = exchange
                .filter(|exchange| exchange.question == question.body)
                .and_then(|exchange| Answer::from_json(exchange.answer.as_ref()?))
                .unwrap_or(Answer::Error(pdp::AnswerError::Unavailable));
            pending.0.case.note_answer(question, answer);
        }
        self.resume(pending, Vec::new(), now)
    }
}

/// The reason of a refusal that [`Engine::replay`] takes over, because it rests on what no record holds. That there was no credential is known: whether one is needed
/// is the grants' to say.
pub fn not_decided_again(record: &DecisionRecord) -> Option<Reason> {
    let is_of_such_a_layer = matches!(record.layer, Layer::Request | Layer::Credential | Layer::Service);
    let refused = record.reason.filter(|_| record.decision == Verdict::Deny && is_of_such_a_layer);
    refused.filter(|reason| *reason != Reason::CredentialMissing)
}

/// A request with the recorded values and nothing else.
fn to_request(record: &DecisionRecord) -> Request {
    let DecisionRecord { request, elevation, shadow, .. } = record;
    let (mut headers, mut query) = (request.headers.clone(), request.query.clone());
    let mut path_and_query = request.path_and_query.clone();
    for ShadowReads { path_and_query: whole, headers: read, query: values, .. } in
        shadow.iter().map(|shadow| &shadow.read)
    {
        path_and_query = path_and_query.or_else(|| whole.clone());
        let add = |into: &mut Map<String, Value>, from: &Map<String, Value>| {
            for (name, values) in from {
                into.entry(name).or_insert_with(|| values.clone());
            }
        };
        add(&mut headers, read);
        add(&mut query, values);
    }
    let mut path = request.path.clone();
    let encode = |text: &str| text.bytes().map(|byte| format!("%{byte:02X}")).collect::<String>();
    // What came tells more than the values that were read of it.
    if let Some(whole) = path_and_query {
        path = whole;
        query.clear();
    }
    for (name, values) in &query {
        for value in values.as_array().into_iter().flatten().filter_map(Value::as_str) {
            path.push(if path.contains('?') { '&' } else { '?' });
            path.push_str(&encode(name));
            path.push('=');
            path.push_str(&encode(value));
        }
    }
    let mut pairs = vec![
        (":method".to_owned(), request.method.clone().into_bytes()),
        (":scheme".to_owned(), request.scheme.clone().into_bytes()),
        (":authority".to_owned(), request.host.clone().into_bytes()),
        (":path".to_owned(), path.into_bytes()),
    ];
    if let Some(id) = &request.id {
        pairs.push(("x-request-id".to_owned(), id.clone().into_bytes()));
    }
    if let Some(reason) = elevation.as_ref().and_then(|elevation| elevation.break_glass_reason.as_ref()) {
        headers.remove(BREAK_GLASS_HEADER);
        pairs.push((BREAK_GLASS_HEADER.to_owned(), reason.clone().into_bytes()));
    }
    for (name, values) in &headers {
        for value in values.as_array().into_iter().flatten().filter_map(Value::as_str) {
            if name != "x-request-id" || request.id.is_none() {
                pairs.push((name.clone(), value.as_bytes().to_vec()));
            }
        }
    }
    Request::new(StreamId(0), Headers::new(pairs), Connection::default())
}
