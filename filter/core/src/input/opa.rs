//! The input of OPA's plugin for Envoy (`version`: ext_authz v3 as protojson), for policies that were
//! written for it. Members with a default value are absent there, so they are here. Our own input
//! stands whole in `input.everycall`: verified claims among it, which its policies had to decode.

use regorus::Value;
use serde_json::Value as Json;

use super::{object, Facts};
use crate::attributes::{DESTINATION_IP, PEER_ID, PROTOCOL, SOURCE_IP};
use crate::policy::PolicyValue;

/// The plugin's input. Bounded by the caller.
pub(crate) fn build(facts: &Facts<'_>) -> PolicyValue {
    let path = facts.target.path_and_query();
    let segments: Vec<Value> = match facts.target.segments.as_slice() {
        // As Go splits an empty path: one empty segment.
        [] => vec![Value::from(facts.target.path.trim_start_matches('/'))],
        segments => segments.iter().map(|segment| Value::from(segment.as_str())).collect(),
    };
    let version = object(vec![("ext_authz", Value::from("v3")), ("encoding", Value::from("protojson"))]);
    let mut members = vec![
        ("attributes", attributes(facts, &path)),
        ("parsed_path", Value::from(segments)),
        ("parsed_query", Value::from(Json::Object(facts.request.query.clone()))),
        // The decision is made before a body arrives. `check` refuses policies that name one of these.
        ("parsed_body", Value::Null),
        ("truncated_body", Value::from(true)),
        ("version", version),
    ];
    members.push(("everycall", super::build(facts).0));
    PolicyValue(object(members))
}

fn attributes(facts: &Facts<'_>, path: &str) -> Value {
    let request = facts.request;
    let connection = |name: &str| facts.connection.get(name).and_then(Json::as_str);
    let mut http = vec![
        ("method", Value::from(request.method.as_str())),
        ("path", Value::from(path)),
        ("host", Value::from(request.host.as_str())),
        ("headers", headers(facts, path)),
    ];
    http.extend((!request.scheme.is_empty()).then(|| ("scheme", Value::from(request.scheme.as_str()))));
    http.extend(connection(PROTOCOL).map(|protocol| ("protocol", Value::from(protocol))));
    let request = vec![("time", Value::from(facts.now.to_string())), ("http", object(http))];
    let address = |ip: &str| object(vec![("socketAddress", object(vec![("address", Value::from(ip))]))]);
    let mut source = Vec::new();
    source.extend(connection(SOURCE_IP).map(|ip| ("address", address(ip))));
    source.extend(connection(PEER_ID).map(|id| ("principal", Value::from(id))));
    let mut destination = Vec::new();
    destination.extend(connection(DESTINATION_IP).map(|ip| ("address", address(ip))));
    object(vec![
        ("request", object(request)),
        ("source", object(source)),
        ("destination", object(destination)),
    ])
}

/// The headers that the policy reads, repeated ones joined as Envoy joins them, and the pseudo-headers.
fn headers(facts: &Facts<'_>, path: &str) -> Value {
    let request = facts.request;
    let mut headers = vec![
        (":method", Value::from(request.method.as_str())),
        (":path", Value::from(path)),
        (":authority", Value::from(request.host.as_str())),
    ];
    headers.extend((!request.scheme.is_empty()).then(|| (":scheme", Value::from(request.scheme.as_str()))));
    for (name, values) in &request.headers {
        let values: Vec<&str> = values.as_array().into_iter().flatten().filter_map(Json::as_str).collect();
        headers.push((name.as_str(), Value::from(values.join(","))));
    }
    object(headers)
}
