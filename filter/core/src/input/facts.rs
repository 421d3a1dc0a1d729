//! The facts of our own input, each in a row: where it stands below `input`, and what answers it. Another
//! fact is another row.

use everycall_rego::Kind::{Array, Boolean, Number, Object as Members, Text};
use everycall_rego::{Object, Value};
use serde_json::{Map, Value as Json};

use super::slots::{answers, members, one, Fact};
use super::Sources;
use crate::authority::elevations::Elevated;
use crate::authority::exceptions::Exception;
use crate::http::attributes::{self, SOURCE_IP, TLS_VERSION};

/// The facts, by path.
pub(super) const FACTS: &[Fact] = &[
    // UTC, which Rego would compute slowly.
    one("clock", |of| of.now.utc().map(|_| nothing())).always(Members),
    one("clock.date", |of| Some(Value::from(of.now.utc()?.date().to_string()))).timed().always(Text),
    one("clock.hour", |of| Some(Value::from(i64::from(of.now.utc()?.hour())))).timed().always(Number),
    one("clock.minute", |of| Some(Value::from(i64::from(of.now.utc()?.minute())))).timed().always(Number),
    one("clock.weekday", |of| Some(Value::from(of.now.utc()?.weekday().to_string()))).timed().always(Text),
    members("connection", |of, name| of_map(of.connection, name)),
    one("connection.networks", networks).made_from("connection.source_ip"),
    one("elevation", |of| Some(if of.elevated().is_some() { nothing() } else { Value::Null })).nullable(),
    one("elevation.approver", |of| Some(text(&of.elevated()?.elevation.approver))).always(Text),
    one("elevation.break_glass", |of| Some(Value::Bool(of.elevated()?.elevation.break_glass)))
        .always(Boolean),
    one("elevation.break_glass_reason", |of| Some(optional(&of.elevated()?.break_glass_reason))).nullable(),
    one("elevation.id", |of| Some(text(&of.elevated()?.elevation.id))).always(Text),
    one("elevation.owner", |of| Some(optional(&of.elevated()?.elevation.owner))).nullable(),
    one("elevation.reason", |of| Some(text(&of.elevated()?.elevation.reason))).always(Text),
    one("elevation.ticket", |of| Some(text(&of.elevated()?.elevation.ticket))).always(Text),
    one("elevation.valid_from", |of| Some(Value::from(of.elevated()?.elevation.valid_from.secs())))
        .always(Number),
    one("elevation.valid_until", |of| Some(Value::from(of.elevated()?.elevation.valid_until.secs())))
        .always(Number),
    one("exception", |of| Some(if of.exception().is_some() { nothing() } else { Value::Null })).nullable(),
    one("exception.compensating_control", |of| Some(text(&of.exception()?.compensating_control)))
        .always(Text),
    one("exception.id", |of| Some(text(&of.exception()?.id))).always(Text),
    one("exception.owner", |of| Some(text(&of.exception()?.owner))).always(Text),
    one("exception.reason", |of| Some(text(&of.exception()?.reason))).always(Text),
    one("exception.valid_until", |of| Some(Value::from(of.exception()?.valid_until.secs()))).always(Number),
    one("grant.id", |of| Some(Value::from(of.granted.grant.id.clone()))).always(Text),
    one("grant.owner", |of| Some(Value::from(of.granted.grant.owner.clone()))).always(Text),
    members("grant.params", |of, name| {
        of_all(of.granted.params.iter().map(|(known, value)| (known.as_str(), value)), name, |value| {
            text(value)
        })
    }),
    one("grant.purpose", |of| Some(Value::from(of.granted.grant.purpose.clone()))).always(Text),
    one("grant.sensitivity", |of| {
        Some(of.granted.grant.sensitivity.clone().map_or(Value::Null, Value::from))
    })
    .nullable(),
    one("grant.source", |of| Some(of.granted.grant.source.clone().map_or(Value::Null, Value::from)))
        .nullable(),
    one("grant.ticket", |of| Some(of.granted.grant.ticket.clone().map_or(Value::Null, Value::from)))
        .nullable(),
    one("identity", |of| Some(if of.caller.is_some() { nothing() } else { Value::Null })).nullable(),
    one("identity.actors", |of| of.identity("actors")).always(Array),
    one("identity.bound", |of| of.identity("bound")).nullable(),
    one("identity.claims", |of| of.identity("claims")).always(Members),
    one("identity.credential", |of| of.identity("credential")).always(Text),
    one("identity.expires_in", |of| {
        let end = of.caller?.identity.expires_at.secs();
        Some(Value::from(end.saturating_sub(of.now.secs())))
    })
    .timed()
    .always(Number),
    one("identity.id", |of| of.identity("id")).always(Text),
    one("identity.issuer", |of| of.identity("issuer")).always(Text),
    one("identity.kind", |of| of.identity("kind")).always(Text),
    one("identity.principal", |of| of.identity("principal")).nullable(),
    one("identity.task", |of| of.identity("task")).nullable(),
    answers("pdp"),
    members("request.headers", |of, name| of_map(&of.request.headers, name)),
    one("request.host", |of| Some(text(&of.request.host))).always(Text),
    one("request.id", |of| Some(optional(&of.request.id))).nullable(),
    one("request.method", |of| Some(text(&of.request.method))).always(Text),
    one("request.path", |of| Some(text(&of.request.path))).always(Text),
    members("request.query", |of, name| of_map(&of.request.query, name)),
    one("request.scheme", scheme).made_from("connection.tls_version").always(Text),
    one("request.segments", |of| Some(texts(of.target.segments.iter()))).always(Array),
    // Every member is there, so that a policy can tell what was not raised from what is not known.
    one("signals", |of| of.signals.map(|_| nothing())).always(Members),
    one("signals.actors", |of| {
        let actors = of.signals?.actors.iter().filter_map(|actor| of_map(actor, None));
        Some(Value::from(actors.collect::<Vec<_>>()))
    })
    .always(Array),
    members("signals.identity", |of, name| of_map(&of.signals?.identity, name)),
    members("signals.principal", |of, name| of_map(&of.signals?.principal, name)),
    members("signals.task", |of, name| of_map(&of.signals?.task, name)),
    one("time", |of| Some(Value::from(of.now.secs()))).timed().always(Number),
];

impl<'a> Sources<'a> {
    fn elevated(&self) -> Option<&'a Elevated> {
        self.granted.elevated.as_ref()
    }

    fn exception(&self) -> Option<&'a Exception> {
        self.caller?.exception
    }

    /// A part of the caller that does not change with use, made once.
    fn identity(&self, name: &str) -> Option<Value> {
        self.caller?.value.get_str(name).cloned()
    }
}

/// An object that others fill.
fn nothing() -> Value {
    Value::Object(Object::default())
}

pub(super) fn text(text: &str) -> Value {
    Value::from(text)
}

fn optional(text: &Option<String>) -> Value {
    text.as_deref().map_or(Value::Null, Value::from)
}

pub(super) fn texts<'t>(texts: impl Iterator<Item = &'t String>) -> Value {
    Value::from(texts.map(|one| text(one)).collect::<Vec<_>>())
}

/// The member of this name, or an object of all.
pub(super) fn of_all<'m, T>(
    mut all: impl Iterator<Item = (&'m str, T)>,
    name: Option<&str>,
    value: impl Fn(T) -> Value,
) -> Option<Value> {
    match name {
        Some(name) if name.is_ascii() => all.find(|(known, _)| *known == name).map(|(_, found)| value(found)),
        // Not every character is the same as a value.
        _ => {
            let all = all.map(|(name, found)| (Value::from(name), value(found)));
            let all = Object::from(all.collect::<Vec<_>>());
            match name {
                Some(name) => all.get_str(name).cloned(),
                None => Some(Value::Object(all)),
            }
        }
    }
}

pub(super) fn of_map(all: &Map<String, Json>, name: Option<&str>) -> Option<Value> {
    match name {
        Some(name) if name.is_ascii() => all.get(name).map(Value::from),
        _ => of_all(all.iter().map(|(name, value)| (name.as_str(), value)), name, Value::from),
    }
}

/// The connection's, whatever the request says: a client writes `:scheme` as it likes.
pub(super) fn scheme(of: &Sources<'_>) -> Option<Value> {
    Some(text(attributes::scheme(of.connection.contains_key(TLS_VERSION))))
}

/// The names of the networks that hold the source; nothing if the host does not tell it.
fn networks(of: &Sources<'_>) -> Option<Value> {
    let source = of.connection.get(SOURCE_IP)?.as_str()?.parse().ok()?;
    Some(texts(of.networks.iter().filter(|network| network.holds(source)).map(|network| &network.name)))
}
