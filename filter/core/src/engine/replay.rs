//! Decisions made again from their records: for reviews and explanations.

use std::sync::Arc;

use serde_json::{Map, Value};

use super::case::{Case, Cause, Occasion, Refused};
use crate::base::reason::{Layer, Reason};
use crate::credential::token::cache::Verified;
use crate::engine::step::Pending;
use crate::http::attributes::Attribute;
use crate::http::request::{Connection, Headers, Request, StreamId, BREAK_GLASS_HEADER};
use crate::pdp::{self, Answer};
use crate::record::{DecisionRecord, ShadowReads, SignalsRecord, Verdict};
use crate::settings::Settings;

impl Case {
    /// A recorded request, with the recorded caller and the recorded values. The record's token is not known and not
    /// needed.
    pub(super) fn of_record(
        record: &DecisionRecord,
        settings: &Settings,
        attributes: &Arc<[&'static Attribute]>,
    ) -> Self {
        let (id, attributes) = (record.id.clone(), Arc::clone(attributes));
        let mut case = Self::new(to_request(record), id, record.time, settings, attributes);
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
        case
    }

    /// The refusal of the record stands as it is.
    pub(super) fn stands(&mut self, record: &DecisionRecord, reason: Reason) -> Refused {
        let revision = std::mem::take(&mut self.record.revision);
        self.record = DecisionRecord { revision, ..record.clone() };
        Refused { reason, detail: record.detail.clone(), obligations: None }
    }
}

impl Pending {
    /// Files the recorded answers to what it waits for.
    pub(super) fn answer_as(&mut self, record: &DecisionRecord) {
        let open = match &mut self.0.cause {
            Cause::Answers(asked) => std::mem::take(&mut asked.open),
            Cause::Keys => Vec::new(),
        };
        for question in open {
            let exchange = record.pdp.iter().find(|exchange| exchange.id == question.id);
            let answer = exchange
                .filter(|exchange| exchange.question == question.body)
                .and_then(|exchange| Answer::from_json(exchange.answer.as_ref()?))
                .unwrap_or(Answer::Error(pdp::AnswerError::Unavailable));
            self.0.case.note_answer(question, answer);
        }
    }
}

/// The reason of a refusal that [`crate::Engine::replay`] takes over, because it rests on what no record holds. That there was no credential is known: whether one is needed
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
