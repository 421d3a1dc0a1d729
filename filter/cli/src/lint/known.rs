//! What always stands below `input`, for whatever call: of it a negation is sure.

use std::sync::Arc;

use everycall_rego::{InputContract, Kind, Sure};

/// The input of a rule set, in its form.
#[derive(Clone, Copy)]
pub(super) enum Input {
    /// Our own.
    Everycall,
    /// That of OPA's plugin for Envoy, with our own in `input.everycall`.
    OpaEnvoy,
}

/// What may be `null`: nothing is below it then.
const NULLABLE: &[&str] = &["elevation", "exception", "identity"];

const OWN: &[(&str, Kind)] = &[
    ("clock", Kind::Object),
    ("clock.date", Kind::Text),
    ("clock.hour", Kind::Number),
    ("clock.minute", Kind::Number),
    ("clock.weekday", Kind::Text),
    ("connection", Kind::Object),
    ("connection.networks", Kind::Array),
    ("elevation", Kind::Any),
    ("elevation.approver", Kind::Text),
    ("elevation.break_glass", Kind::Boolean),
    ("elevation.break_glass_reason", Kind::Any),
    ("elevation.id", Kind::Text),
    ("elevation.owner", Kind::Any),
    ("elevation.reason", Kind::Text),
    ("elevation.ticket", Kind::Text),
    ("elevation.valid_from", Kind::Number),
    ("elevation.valid_until", Kind::Number),
    ("exception", Kind::Any),
    ("exception.compensating_control", Kind::Text),
    ("exception.id", Kind::Text),
    ("exception.owner", Kind::Text),
    ("exception.reason", Kind::Text),
    ("exception.valid_until", Kind::Number),
    ("grant", Kind::Object),
    ("grant.id", Kind::Text),
    ("grant.owner", Kind::Text),
    ("grant.params", Kind::Object),
    ("grant.purpose", Kind::Text),
    ("grant.sensitivity", Kind::Any),
    ("grant.source", Kind::Any),
    ("grant.ticket", Kind::Any),
    ("identity", Kind::Any),
    ("identity.actors", Kind::Array),
    ("identity.bound", Kind::Any),
    ("identity.claims", Kind::Object),
    ("identity.credential", Kind::Text),
    ("identity.expires_in", Kind::Number),
    ("identity.id", Kind::Text),
    ("identity.issuer", Kind::Text),
    ("identity.kind", Kind::Text),
    ("identity.principal", Kind::Any),
    ("identity.task", Kind::Any),
    ("request", Kind::Object),
    ("request.headers", Kind::Object),
    ("request.host", Kind::Text),
    ("request.id", Kind::Any),
    ("request.method", Kind::Text),
    ("request.path", Kind::Text),
    ("request.query", Kind::Object),
    ("request.scheme", Kind::Text),
    ("request.segments", Kind::Array),
    ("signals", Kind::Object),
    ("signals.actors", Kind::Array),
    ("signals.identity", Kind::Object),
    ("signals.principal", Kind::Object),
    ("signals.task", Kind::Object),
    ("time", Kind::Number),
];

const OPA_ENVOY: &[(&str, Kind)] = &[
    ("attributes", Kind::Object),
    ("attributes.destination", Kind::Object),
    ("attributes.request", Kind::Object),
    ("attributes.request.http", Kind::Object),
    ("attributes.request.http.headers", Kind::Object),
    ("attributes.request.http.headers.:authority", Kind::Text),
    ("attributes.request.http.headers.:method", Kind::Text),
    ("attributes.request.http.headers.:path", Kind::Text),
    ("attributes.request.http.host", Kind::Text),
    ("attributes.request.http.method", Kind::Text),
    ("attributes.request.http.path", Kind::Text),
    ("attributes.request.time", Kind::Text),
    ("attributes.source", Kind::Object),
    ("everycall", Kind::Object),
    ("parsed_path", Kind::Array),
    ("parsed_query", Kind::Object),
    ("version", Kind::Object),
    ("version.encoding", Kind::Text),
    ("version.ext_authz", Kind::Text),
];

impl InputContract for Input {
    fn sure(&self, path: &[Arc<str>]) -> Option<Sure> {
        match (self, path.split_first()) {
            (Self::Everycall, _) => own(path),
            (Self::OpaEnvoy, Some((first, rest))) if **first == *"everycall" && !rest.is_empty() => {
                // Its own name is a part of the path to what may be null.
                own(rest).map(|sure| Sure {
                    nullable: if sure.nullable > 0 { sure.nullable.saturating_add(1) } else { 0 },
                    ..sure
                })
            }
            (Self::OpaEnvoy, _) => find(OPA_ENVOY, path).map(|kind| Sure { kind, nullable: 0 }),
        }
    }
}

fn own(path: &[Arc<str>]) -> Option<Sure> {
    let kind = find(OWN, path)?;
    let below = path.len() > 1 && path.first().is_some_and(|first| NULLABLE.contains(&&**first));
    Some(Sure { kind, nullable: usize::from(below) })
}

fn find(table: &[(&str, Kind)], path: &[Arc<str>]) -> Option<Kind> {
    let is_it = |name: &str| name.split('.').eq(path.iter().map(|name| &**name));
    table.iter().find(|(name, _)| is_it(name)).map(|(_, kind)| *kind)
}
