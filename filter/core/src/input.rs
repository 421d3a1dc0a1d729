//! The `input` document of a policy, built as values and not as text, and only what is read.

pub(crate) mod opa;
mod shape;

use std::collections::BTreeMap;
use std::sync::Arc;

use regorus::Value;
use serde_json::{Map, Value as Json};

use crate::attributes::SOURCE_IP;
use crate::elevations::Elevated;
use crate::exceptions::Exception;
use crate::grants::Granted;
use crate::identity::{Binding, Identity};
use crate::network::Network;
use crate::pdp::Answer;
use crate::policy::PolicyValue;
use crate::record::{RequestRecord, SignalsRecord};
use crate::target::Target;
use crate::time::UnixTime;
use crate::token::cache::Verified;
use crate::token::Texts;
pub(crate) use shape::{Names, Shape};
use shape::{OfGrant, OfRequest, Root};

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
    pub(crate) shape: &'a Shape,
}

/// `input` but for `pdp`. Bounded by the caller.
pub(crate) fn build(facts: &Facts<'_>) -> PolicyValue {
    let value = |member| match member {
        Root::Clock => clock(facts.now).unwrap_or(Value::Undefined),
        Root::Connection => connection(facts),
        Root::Elevation => facts.granted.elevated.as_ref().map_or(Value::Null, elevation),
        Root::Exception => {
            let exception = facts.caller.and_then(|caller| caller.exception.as_deref());
            exception.map_or(Value::Null, exception_value)
        }
        Root::Grant => grant(facts),
        Root::Identity => facts.caller.map_or(Value::Null, |caller| identity(caller, facts)),
        Root::Request => request(facts),
        Root::Signals => facts.signals.map_or(Value::Undefined, signals),
        Root::Time => Value::from(facts.now.secs()),
    };
    PolicyValue(facts.shape.root.object(value))
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
pub(crate) fn identity_once(identity: &Identity, texts: &mut Texts) -> PolicyValue {
    let mut shared = |text: &str| Value::String(texts.share(text));
    let mut text = |text: Option<&str>| text.map_or(Value::Null, &mut shared);
    let actors: Vec<Value> = identity.actors.iter().map(|actor| text(Some(actor))).collect();
    let task = identity.task.as_deref().map(|task| (text(Some("id")), text(Some(task))));
    let members = [
        ("kind", text(Some(identity.kind.as_str()))),
        ("id", text(Some(&identity.id))),
        ("issuer", text(Some(&identity.issuer))),
        ("credential", text(Some(&identity.credential))),
        ("claims", identity.claims.value().0.clone()),
        ("principal", text(identity.principal.as_deref())),
        ("actors", Value::from(actors)),
        ("task", task.map_or(Value::Null, |task| Value::from(BTreeMap::from([task])))),
        ("bound", text(identity.bound.map(Binding::as_str))),
    ];
    let members = members.into_iter().map(|(name, value)| (shared(name), value));
    PolicyValue(Value::from(members.collect::<BTreeMap<_, _>>()))
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
    facts.shape.request.object(|member| match member {
        OfRequest::Headers => values(&request.headers),
        OfRequest::Host => Value::from(request.host.as_str()),
        OfRequest::Id => request.id.as_deref().map_or(Value::Null, Value::from),
        OfRequest::Method => Value::from(request.method.as_str()),
        OfRequest::Path => Value::from(request.path.as_str()),
        OfRequest::Query => values(&request.query),
        OfRequest::Scheme => Value::from(request.scheme.as_str()),
        OfRequest::Segments => {
            let segments = facts.target.segments.iter().map(|segment| Value::from(segment.as_str()));
            Value::from(segments.collect::<Vec<_>>())
        }
    })
}

/// Names to lists of text.
fn values(all: &Map<String, Json>) -> Value {
    let texts = |texts: &Json| {
        let texts = texts.as_array().into_iter().flatten().filter_map(Json::as_str);
        Value::from(texts.map(Value::from).collect::<Vec<_>>())
    };
    let all = all.iter().map(|(name, of)| (Value::from(name.as_str()), texts(of)));
    Value::from(all.collect::<BTreeMap<_, _>>())
}

fn connection(facts: &Facts<'_>) -> Value {
    let mut members: Vec<(&str, Value)> =
        facts.connection.iter().map(|(name, value)| (name.as_str(), Value::from(value.clone()))).collect();
    if facts.shape.networks {
        let source = facts.connection.get(SOURCE_IP).and_then(Json::as_str).and_then(|ip| ip.parse().ok());
        if let Some(source) = source {
            let names = facts.networks.iter().filter(|network| network.holds(source));
            let names: Vec<Value> = names.map(|network| Value::from(network.name.as_str())).collect();
            members.push(("networks", Value::from(names)));
        }
    }
    object(members)
}

fn identity(caller: &Verified, facts: &Facts<'_>) -> Value {
    let mut value = caller.input.0.clone();
    if !facts.shape.expires_in {
        return value;
    }
    if let Ok(members) = value.as_object_mut() {
        let left = caller.identity.expires_at.secs().saturating_sub(facts.now.secs());
        members.insert(Value::from("expires_in"), Value::from(left));
    }
    value
}

fn grant(facts: &Facts<'_>) -> Value {
    let text = |text: &Option<Arc<str>>| text.as_deref().map_or(Value::Null, Value::from);
    let Granted { grant, params, .. } = facts.granted;
    facts.shape.grant.object(|member| match member {
        OfGrant::Id => Value::from(&*grant.id),
        OfGrant::Owner => Value::from(&*grant.owner),
        OfGrant::Params => {
            let params = params.iter().map(|(name, value)| (name.as_str(), Value::from(value.as_str())));
            object(params.collect())
        }
        OfGrant::Purpose => Value::from(&*grant.purpose),
        OfGrant::Sensitivity => text(&grant.sensitivity),
        OfGrant::Source => text(&grant.source),
        OfGrant::Ticket => text(&grant.ticket),
    })
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
