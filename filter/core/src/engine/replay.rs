//! Decisions made again from their records: for reviews and explanations.

use std::sync::Arc;

use serde_json::Value;

use super::case::{Case, Cause, Refused};
use super::Engine;
use crate::decision::Decision;
use crate::pdp::{self, Answer};
use crate::reason::Layer;
use crate::record::{DecisionRecord, ElevationRecord, RequestRecord, Verdict};
use crate::request::{Connection, Headers, Request, BREAK_GLASS_HEADER};
use crate::step::{Pending, Step, StreamId};
use crate::time::UnixTime;
use crate::token::cache::Verified;

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
        let request = record.request.to_request(record.elevation.as_ref());
        let mut case =
            Case::new(request, record.id.clone(), now, &self.settings, Arc::clone(&self.attributes));
        case.replayed = Some(record.identity.as_ref().map(|identity| {
            let exception = record.exception.clone();
            Arc::new(Verified { exception, ..Verified::new((**identity).clone()) })
        }));
        for (name, value) in &record.connection {
            case.request.connection.restore(name, value);
        }
        if let (Some(reason), Verdict::Deny, Layer::Request | Layer::Credential | Layer::Service) =
            (record.reason, record.decision, record.layer)
        {
            let revision = std::mem::take(&mut case.record.revision);
            case.record = DecisionRecord { revision, ..record.clone() };
            let detail = record.detail.clone();
            return self.denied(case, Refused { reason, detail, obligations: None });
        }
        let mut step = self.run(case, now);
        loop {
            match step {
                Step::Done(decision) => return decision,
                Step::Ask { pending, .. } | Step::Wait { pending } => {
                    step = self.resume_recorded(pending, record, now);
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

impl RequestRecord {
    /// A request with the recorded values and nothing else.
    fn to_request(&self, elevation: Option<&ElevationRecord>) -> Request {
        let mut path = self.path.clone();
        let encode = |text: &str| text.bytes().map(|byte| format!("%{byte:02X}")).collect::<String>();
        // What came tells more than the values that were read of it.
        let query = self.query.iter().filter(|_| self.path_and_query.is_none());
        if let Some(whole) = &self.path_and_query {
            path.clone_from(whole);
        }
        for (name, values) in query {
            for value in values.as_array().into_iter().flatten().filter_map(Value::as_str) {
                path.push(if path.contains('?') { '&' } else { '?' });
                path.push_str(&encode(name));
                path.push('=');
                path.push_str(&encode(value));
            }
        }
        let mut pairs = vec![
            (":method".to_owned(), self.method.clone().into_bytes()),
            (":scheme".to_owned(), self.scheme.clone().into_bytes()),
            (":authority".to_owned(), self.host.clone().into_bytes()),
            (":path".to_owned(), path.into_bytes()),
        ];
        if let Some(id) = &self.id {
            pairs.push(("x-request-id".to_owned(), id.clone().into_bytes()));
        }
        if let Some(reason) = elevation.and_then(|elevation| elevation.break_glass_reason.as_ref()) {
            pairs.push((BREAK_GLASS_HEADER.to_owned(), reason.clone().into_bytes()));
        }
        for (name, values) in &self.headers {
            for value in values.as_array().into_iter().flatten().filter_map(Value::as_str) {
                if name != "x-request-id" || self.id.is_none() {
                    pairs.push((name.clone(), value.as_bytes().to_vec()));
                }
            }
        }
        Request::new(StreamId(0), Headers::new(pairs), Connection::default())
    }
}
