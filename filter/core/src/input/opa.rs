//! The input of OPA's plugin for Envoy (`version`: ext_authz v3 as protojson), for policies that were
//! written for it: facts in rows, as for our own. Members with a default value are absent there, so they are
//! here. Our own input stands whole in `input.everycall`: verified claims among it, which its policies had
//! to decode.

use everycall_rego::Kind::{Array, Object as Members, Text};
use everycall_rego::{Object, Value};
use serde_json::Value as Json;

use super::described::Member;
use super::facts::{scheme, text, texts};
use super::slots::{members, one, Fact};
use super::Sources;
use crate::http::attributes::{DESTINATION_IP, PEER_ID, PROTOCOL, SOURCE_IP};

/// Where our own input stands.
pub(super) const OWN: &str = "everycall";

/// The facts, by path.
pub(super) const FACTS: &[Fact] = &[
    one("attributes.destination", |_| Some(Value::Object(Object::default()))).always(Members),
    one("attributes.destination.address", |of| address(of, DESTINATION_IP))
        .made_from("connection.destination_ip")
        .holding(ADDRESS),
    // Those that the policy reads, and the pseudo-headers.
    members("attributes.request.http.headers", headers).made_from("request.headers").in_lower_case(),
    one("attributes.request.http.headers.:authority", |of| Some(text(&of.request.host))).always(Text),
    one("attributes.request.http.headers.:method", |of| Some(text(&of.request.method))).always(Text),
    one("attributes.request.http.headers.:path", path).made_from("request.query").always(Text),
    one("attributes.request.http.headers.:scheme", scheme).made_from("connection.tls_version").always(Text),
    one("attributes.request.http.host", |of| Some(text(&of.request.host))).always(Text),
    one("attributes.request.http.method", |of| Some(text(&of.request.method))).always(Text),
    one("attributes.request.http.path", path).made_from("request.query").always(Text),
    one("attributes.request.http.protocol", |of| connection(of, PROTOCOL)).made_from("connection.protocol"),
    one("attributes.request.http.scheme", scheme).made_from("connection.tls_version").always(Text),
    one("attributes.request.time", |of| Some(Value::from(of.now.to_string()))).timed().always(Text),
    one("attributes.source", |_| Some(Value::Object(Object::default()))).always(Members),
    one("attributes.source.address", |of| address(of, SOURCE_IP))
        .made_from("connection.source_ip")
        .holding(ADDRESS),
    one("attributes.source.principal", |of| connection(of, PEER_ID)).made_from("connection.peer_id"),
    // The decision is made before a body arrives. Policies that name one of these are refused.
    one("parsed_body", |_| Some(Value::Null)),
    one("parsed_path", |of| {
        Some(match of.target.segments.as_slice() {
            // As Go splits an empty path: one empty segment.
            [] => Value::from(vec![Value::from(of.target.path.trim_start_matches('/'))]),
            segments => texts(segments.iter()),
        })
    })
    .always(Array),
    members("parsed_query", |of, name| super::facts::of_map(&of.request.query, name))
        .made_from("request.query"),
    one("truncated_body", |_| Some(Value::Bool(true))),
    one("version.encoding", |_| Some(Value::from("protojson"))).always(Text),
    one("version.ext_authz", |_| Some(Value::from("v3"))).always(Text),
];

const ADDRESS: &[Member] = &[("socketAddress.address", Text, "The address, without its port")];

fn path(of: &Sources<'_>) -> Option<Value> {
    Some(Value::from(of.target.path_and_query()))
}

fn connection(of: &Sources<'_>, name: &str) -> Option<Value> {
    of.connection.get(name).and_then(Json::as_str).map(Value::from)
}

fn address(of: &Sources<'_>, name: &str) -> Option<Value> {
    let inside = |name: &str, value| Value::Object(Object::from(vec![(Value::from(name), value)]));
    Some(inside("socketAddress", inside("address", connection(of, name)?)))
}

/// Repeated headers are joined as Envoy joins them.
fn headers(of: &Sources<'_>, name: Option<&str>) -> Option<Value> {
    let joined = |values: &Json| {
        let values: Vec<&str> = values.as_array().into_iter().flatten().filter_map(Json::as_str).collect();
        Value::from(values.join(","))
    };
    super::facts::of_all(
        of.request.headers.iter().map(|(name, values)| (name.as_str(), values)),
        name,
        joined,
    )
}
