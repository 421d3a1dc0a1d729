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
    one("clock.date", |of| Some(Value::from(of.now.utc()?.date().to_string())))
        .timed()
        .always(Text)
        .says("`2026-01-31`, UTC"),
    one("clock.hour", |of| Some(Value::from(i64::from(of.now.utc()?.hour()))))
        .timed()
        .always(Number)
        .says("0 to 23, UTC"),
    one("clock.minute", |of| Some(Value::from(i64::from(of.now.utc()?.minute()))))
        .timed()
        .always(Number)
        .says("0 to 59"),
    one("clock.weekday", |of| Some(Value::from(of.now.utc()?.weekday().to_string())))
        .timed()
        .always(Text)
        .says("`Monday` to `Sunday`, UTC"),
    members("connection", |of, name| of_map(of.connection, name)),
    one("connection.networks", networks)
        .made_from("connection.source_ip")
        .sometimes(Array)
        .says("Names of the `networks` that hold `source_ip`"),
    one("elevation", |of| Some(if of.elevated().is_some() { nothing() } else { Value::Null }))
        .nullable(Members),
    one("elevation.approver", |of| Some(text(&of.elevated()?.elevation.approver)))
        .always(Text)
        .says("Who approved it"),
    one("elevation.break_glass", |of| Some(Value::Bool(of.elevated()?.elevation.break_glass)))
        .always(Boolean)
        .says("It breaks the glass"),
    one("elevation.break_glass_reason", |of| Some(optional(&of.elevated()?.break_glass_reason)))
        .nullable(Text)
        .says("The reason that the request gave for that"),
    one("elevation.id", |of| Some(text(&of.elevated()?.elevation.id)))
        .always(Text)
        .says("The elevation that is active for the call. Without one `elevation` is null"),
    one("elevation.owner", |of| Some(optional(&of.elevated()?.elevation.owner)))
        .nullable(Text)
        .says("Its owner"),
    one("elevation.reason", |of| Some(text(&of.elevated()?.elevation.reason)))
        .always(Text)
        .says("Why it is needed"),
    one("elevation.ticket", |of| Some(text(&of.elevated()?.elevation.ticket)))
        .always(Text)
        .says("Its ticket"),
    one("elevation.valid_from", |of| Some(Value::from(of.elevated()?.elevation.valid_from.secs())))
        .always(Number)
        .says("Unix seconds from which on it is active"),
    one("elevation.valid_until", |of| Some(Value::from(of.elevated()?.elevation.valid_until.secs())))
        .always(Number)
        .says("Unix seconds from which on it is not"),
    one("exception", |of| Some(if of.exception().is_some() { nothing() } else { Value::Null }))
        .nullable(Members),
    one("exception.compensating_control", |of| Some(text(&of.exception()?.compensating_control)))
        .always(Text)
        .says("What makes up for it"),
    one("exception.id", |of| Some(text(&of.exception()?.id)))
        .always(Text)
        .says("The exception by which the credential exists. Without one `exception` is null"),
    one("exception.owner", |of| Some(text(&of.exception()?.owner))).always(Text).says("Its owner"),
    one("exception.reason", |of| Some(text(&of.exception()?.reason))).always(Text).says("Why it is needed"),
    one("exception.valid_until", |of| Some(Value::from(of.exception()?.valid_until.secs())))
        .always(Number)
        .says("Unix seconds from which on it is not valid"),
    one("grant.id", |of| Some(Value::from(of.granted.grant.id.clone()))).always(Text).says("The grant"),
    one("grant.owner", |of| Some(Value::from(of.granted.grant.owner.clone()))).always(Text).says("Its owner"),
    members("grant.params", |of, name| {
        of_all(of.granted.params.iter().map(|(known, value)| (known.as_str(), value)), name, |value| {
            text(value)
        })
    })
    .says("Values of the path template"),
    one("grant.purpose", |of| Some(Value::from(of.granted.grant.purpose.clone())))
        .always(Text)
        .says("Its purpose"),
    one("grant.sensitivity", |of| {
        Some(of.granted.grant.sensitivity.clone().map_or(Value::Null, Value::from))
    })
    .nullable(Text)
    .says("Its sensitivity"),
    one("grant.source", |of| Some(of.granted.grant.source.clone().map_or(Value::Null, Value::from)))
        .nullable(Text)
        .says("Which system it comes from"),
    one("grant.ticket", |of| Some(of.granted.grant.ticket.clone().map_or(Value::Null, Value::from)))
        .nullable(Text)
        .says("Its number there"),
    one("identity", |of| Some(if of.caller.is_some() { nothing() } else { Value::Null })).nullable(Members),
    one("identity.actors", |of| of.identity("actors"))
        .always(Array)
        .says("Prior actors, nearest first, without the caller"),
    one("identity.bound", |of| of.identity("bound"))
        .nullable(Text)
        .says("What the token is bound to, and was proven with: `dpop`, `certificate` or `both`"),
    one("identity.claims", |of| of.identity("claims")).always(Members).says("All verified claims"),
    one("identity.credential", |of| of.identity("credential"))
        .always(Text)
        .says("`jwt`, `jwt_svid`, `mtls` or `api_key`"),
    one("identity.expires_in", |of| {
        let end = of.caller?.identity.expires_at.secs();
        Some(Value::from(end.saturating_sub(of.now.secs())))
    })
    .timed()
    .always(Number)
    .says("Seconds until the credential expires; 3600 at most for certificates and API keys"),
    one("identity.id", |of| of.identity("id"))
        .always(Text)
        .says("The caller: the outermost actor, else what the issuer's `id` makes of the claims"),
    one("identity.issuer", |of| of.identity("issuer"))
        .always(Text)
        .says("`iss`; `spiffe://` and the trust domain for JWT-SVIDs and certificates, `api_keys` for those"),
    one("identity.kind", |of| of.identity("kind"))
        .always(Text)
        .says("`workload`, `agent`, `human`, `legacy`. Without a credential `identity` is null"),
    one("identity.on_behalf_of", |of| of.identity("on_behalf_of"))
        .nullable(Text)
        .says("On whose behalf: `sub` of a delegated token"),
    one("identity.task", |of| of.identity("task")).nullable(Members).holding(&[(
        "id",
        Text,
        "The task. Without one `identity.task` is null",
    )]),
    answers("pdp").holding(&[
        (
            "ID.decision",
            Boolean,
            "The answer to the question `ID`. `input.pdp` is absent before anything was asked",
        ),
        ("ID.context", Members, "The answer's context"),
        ("ID.error", Text, "Instead of an answer: `timeout`, `unavailable` or `invalid`"),
    ]),
    members("request.headers", |of, name| of_map(&of.request.headers, name))
        .in_lower_case()
        .says("Names in lower case to lists of values, repeated ones kept apart"),
    one("request.host", |of| Some(text(&of.request.host)))
        .always(Text)
        .says("In lower case, as the proxy routes by it: with its port, if it has one"),
    one("request.id", |of| Some(optional(&of.request.id)))
        .nullable(Text)
        .says("The client's `x-request-id`, if it has at most 128 bytes"),
    one("request.method", |of| Some(text(&of.request.method))).always(Text).says("The method"),
    one("request.path", |of| Some(text(&of.request.path)))
        .always(Text)
        .says("As it was sent, without the query"),
    members("request.query", |of, name| of_map(&of.request.query, name))
        .says("Decoded names to lists of decoded values"),
    one("request.scheme", scheme)
        .made_from("connection.tls_version")
        .always(Text)
        .says("`https` if the connection has TLS, else `http`, whatever the request says"),
    one("request.segments", |of| Some(texts(of.target.segments.iter())))
        .always(Array)
        .says("The path's decoded segments"),
    // Every member is there, so that a policy can tell what was not raised from what is not known.
    one("signals", |of| of.signals.map(|_| nothing())).always(Members),
    one("signals.actors", |of| {
        let actors = of.signals?.actors.iter().filter_map(|actor| of_map(actor, None));
        Some(Value::from(actors.collect::<Vec<_>>()))
    })
    .always(Array)
    .of(Members)
    .says("About each of `identity.actors`"),
    members("signals.identity", |of, name| of_map(&of.signals?.identity, name))
        .says("Signals about the caller: values by name. There is `signals` only for a policy that names it"),
    members("signals.on_behalf_of", |of, name| of_map(&of.signals?.on_behalf_of, name))
        .says("About the one that it acts for; empty without one"),
    members("signals.task", |of, name| of_map(&of.signals?.task, name))
        .says("About the task; empty without one"),
    one("time", |of| Some(Value::from(of.now.secs())))
        .timed()
        .always(Number)
        .says("Unix seconds of the request's arrival"),
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
