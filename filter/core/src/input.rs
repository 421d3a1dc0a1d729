//! The `input` document of a policy, built as values and not as text, and only what is read.

pub(crate) mod opa;

use std::collections::BTreeMap;
use std::sync::Arc;

use regorus::Value;
use serde_json::{Map, Value as Json};

use crate::attributes::SOURCE_IP;
use crate::elevations::Elevated;
use crate::exceptions::Exception;
use crate::grants::Granted;
use crate::identity::Identity;
use crate::network::Network;
use crate::pdp::Answer;
use crate::policy::PolicyValue;
use crate::reads::Reads;
use crate::record::{RequestRecord, SignalsRecord};
use crate::target::Target;
use crate::time::UnixTime;
use crate::token::cache::Verified;

/// What a decision's input is built from. The request's part is the record's: the two cannot
/// disagree.
pub(crate) struct Facts<'a> {
    pub(crate) now: UnixTime,
    pub(crate) request: &'a RequestRecord,
    pub(crate) target: &'a Target,
    pub(crate) connection: &'a Map<String, Json>,
    pub(crate) caller: Option<&'a Verified>,
    pub(crate) granted: &'a Granted,
    /// Absent: the policy does not read them.
    pub(crate) signals: Option<&'a SignalsRecord>,
    pub(crate) networks: &'a [Network],
    pub(crate) reads: &'a Reads,
}

/// `input` but for `pdp`. Bounded by the caller.
pub(crate) fn build(facts: &Facts<'_>) -> PolicyValue {
    let reads = facts.reads;
    let mut input = vec![("time", Value::from(facts.now.secs()))];
    if reads.any(&["request"]) {
        input.push(("request", request(facts)));
    }
    if reads.any(&["connection"]) {
        input.push(("connection", connection(facts)));
    }
    if reads.any(&["clock"]) {
        if let Some(clock) = clock(facts.now) {
            input.push(("clock", clock));
        }
    }
    if reads.any(&["identity"]) {
        input.push(("identity", facts.caller.map_or(Value::Null, |caller| identity(caller, facts.now))));
    }
    if reads.any(&["grant"]) {
        input.push(("grant", grant(facts.granted)));
    }
    input.push(("elevation", facts.granted.elevated.as_ref().map_or(Value::Null, elevation)));
    let exception = facts.caller.and_then(|caller| caller.exception.as_deref());
    input.push(("exception", exception.map_or(Value::Null, exception_value)));
    input.extend(facts.signals.map(|known| ("signals", signals(known))));
    PolicyValue(object(input))
}

/// The same input with the answers of the policy decision points.
pub(crate) fn with_answers<'a>(
    input: &PolicyValue,
    answers: impl Iterator<Item = (&'a str, &'a Answer)>,
) -> PolicyValue {
    let answers = answers.map(|(id, answer)| (Value::from(id), Value::from(answer.to_json())));
    let mut input = input.clone();
    if let Ok(members) = input.0.as_object_mut() {
        members.insert(Value::from("pdp"), Value::from(answers.collect::<BTreeMap<_, _>>()));
    }
    input
}

/// `input.identity` but for `expires_in`, which changes with every use.
pub(crate) fn identity_once(identity: &Identity) -> PolicyValue {
    let text = |text: &Option<String>| text.as_deref().map_or(Value::Null, Value::from);
    let task = identity.task.as_deref().map_or(Value::Null, |task| object(vec![("id", Value::from(task))]));
    let actors: Vec<Value> = identity.actors.iter().map(|actor| Value::from(actor.as_str())).collect();
    PolicyValue(object(vec![
        ("kind", Value::from(identity.kind.as_str())),
        ("id", Value::from(identity.id.as_str())),
        ("issuer", Value::from(identity.issuer.as_str())),
        ("credential", Value::from(identity.credential.as_str())),
        ("claims", Value::from(Json::Object(identity.claims.clone()))),
        ("principal", text(&identity.principal)),
        ("actors", Value::from(actors)),
        ("task", task),
        ("bound", identity.bound.map_or(Value::Null, |bound| Value::from(bound.as_str()))),
    ]))
}

fn elevation(elevated: &Elevated) -> Value {
    let text = |text: &Option<String>| text.as_deref().map_or(Value::Null, Value::from);
    let elevation = &elevated.elevation;
    object(vec![
        ("id", Value::from(elevation.id.as_str())),
        ("owner", text(&elevation.owner)),
        ("approver", Value::from(elevation.approver.as_str())),
        ("ticket", Value::from(elevation.ticket.as_str())),
        ("reason", Value::from(elevation.reason.as_str())),
        ("valid_from", Value::from(elevation.valid_from.secs())),
        ("valid_until", Value::from(elevation.valid_until.secs())),
        ("break_glass", Value::from(elevation.break_glass)),
        ("break_glass_reason", text(&elevated.break_glass_reason)),
    ])
}

fn exception_value(exception: &Exception) -> Value {
    object(vec![
        ("id", Value::from(exception.id.as_str())),
        ("owner", Value::from(exception.owner.as_str())),
        ("reason", Value::from(exception.reason.as_str())),
        ("compensating_control", Value::from(exception.compensating_control.as_str())),
        ("valid_until", Value::from(exception.valid_until.secs())),
    ])
}

fn object(members: Vec<(&str, Value)>) -> Value {
    Value::from(
        members.into_iter().map(|(name, value)| (Value::from(name), value)).collect::<BTreeMap<_, _>>(),
    )
}

fn request(facts: &Facts<'_>) -> Value {
    let request = facts.request;
    let mut members = vec![
        ("method", Value::from(request.method.as_str())),
        ("scheme", Value::from(request.scheme.as_str())),
        ("host", Value::from(request.host.as_str())),
        ("path", Value::from(request.path.as_str())),
    ];
    if facts.reads.any(&["request", "id"]) {
        members.push(("id", request.id.as_deref().map_or(Value::Null, Value::from)));
    }
    if facts.reads.any(&["request", "segments"]) {
        let segments: Vec<Value> =
            facts.target.segments.iter().map(|segment| Value::from(segment.as_str())).collect();
        members.push(("segments", Value::from(segments)));
    }
    members.push(("headers", Value::from(Json::Object(request.headers.clone()))));
    members.push(("query", Value::from(Json::Object(request.query.clone()))));
    object(members)
}

fn connection(facts: &Facts<'_>) -> Value {
    let mut members: Vec<(&str, Value)> =
        facts.connection.iter().map(|(name, value)| (name.as_str(), Value::from(value.clone()))).collect();
    if facts.reads.any(&["connection", "networks"]) {
        let source = facts.connection.get(SOURCE_IP).and_then(Json::as_str).and_then(|ip| ip.parse().ok());
        if let Some(source) = source {
            let names = facts.networks.iter().filter(|network| network.holds(source));
            let names: Vec<Value> = names.map(|network| Value::from(network.name.as_str())).collect();
            members.push(("networks", Value::from(names)));
        }
    }
    object(members)
}

fn identity(caller: &Verified, now: UnixTime) -> Value {
    let mut value = caller.input.0.clone();
    if let Ok(members) = value.as_object_mut() {
        let left = caller.identity.expires_at.secs().saturating_sub(now.secs());
        members.insert(Value::from("expires_in"), Value::from(left));
    }
    value
}

fn grant(granted: &Granted) -> Value {
    let text = |text: &Option<Arc<str>>| text.as_deref().map_or(Value::Null, Value::from);
    let grant = &granted.grant;
    let params = granted.params.iter();
    let params = params.map(|(name, value)| (name.as_str(), Value::from(value.as_str()))).collect();
    object(vec![
        ("id", Value::from(&*grant.id)),
        ("purpose", Value::from(&*grant.purpose)),
        ("owner", Value::from(&*grant.owner)),
        ("sensitivity", text(&grant.sensitivity)),
        ("source", text(&grant.source)),
        ("ticket", text(&grant.ticket)),
        ("params", object(params)),
    ])
}

/// Every member is there, so that a policy can tell what was not raised from what is not known.
fn signals(known: &SignalsRecord) -> Value {
    let of = |all: &Map<String, Json>| Value::from(Json::Object(all.clone()));
    let actors: Vec<Value> = known.actors.iter().map(of).collect();
    object(vec![
        ("identity", of(&known.identity)),
        ("principal", of(&known.principal)),
        ("actors", Value::from(actors)),
        ("task", of(&known.task)),
    ])
}

/// UTC calendar facts, which Rego would compute slowly.
fn clock(now: UnixTime) -> Option<Value> {
    let utc = now.utc()?;
    Some(object(vec![
        ("weekday", Value::from(utc.weekday().to_string().as_str())),
        ("hour", Value::from(i64::from(utc.hour()))),
        ("minute", Value::from(i64::from(utc.minute()))),
        ("date", Value::from(utc.date().to_string().as_str())),
    ]))
}
