//! What OPA's plugin for Envoy gives its policies and takes from them: what of its input is not here and
//! what to write instead, and how its results are read. What is here is in `input::opa`.

use std::sync::Arc;

use everycall_rego::Value;
use serde_json::{json, Map, Value as Json};

use super::Outcome;
use crate::base::reason::{reject, Denied, Reason};

/// The plugin's default.
pub(super) const ENTRYPOINT: &str = "envoy.authz.allow";

/// What the plugin gives and we do not, and what to write instead. A policy that reads one of them
/// is refused: a member that is always absent makes a negation hold.
const ABSENT: &[(&[&str], &str)] = &[
    (&["parsed_body"], BODY),
    (&["truncated_body"], BODY),
    (&["attributes", "request", "http", "body"], BODY),
    (&["attributes", "request", "http", "rawBody"], BODY),
    (&["attributes", "request", "http", "headers", "authorization"], CREDENTIAL),
    (&["attributes", "request", "http", "headers", "proxy-authorization"], CREDENTIAL),
    (&["attributes", "request", "http", "headers", "dpop"], CREDENTIAL),
    (
        &["attributes", "request", "http", "id"],
        "read `input.attributes.request.http.headers[\"x-request-id\"]`",
    ),
    (&["attributes", "request", "http", "size"], "read the header `content-length`"),
    (&["attributes", "request", "http", "query"], "read `input.parsed_query`"),
    (
        &["attributes", "request", "http", "fragment"],
        "requests with a fragment are refused before any policy",
    ),
    (
        &["attributes", "source", "address", "socketAddress", "portValue"],
        "a client's port says nothing of it",
    ),
    (&["attributes", "source", "certificate"], "read `input.everycall.connection.peer_id`"),
    (&["attributes", "source", "labels"], "read `input.everycall.identity`"),
    (&["attributes", "source", "service"], "read `input.everycall.identity`"),
    (&["attributes", "destination", "principal"], "name the service in the grant's `hosts`"),
    (&["attributes", "destination", "labels"], "name the service in the grant's `hosts`"),
    (&["attributes", "destination", "service"], "name the service in the grant's `hosts`"),
    (&["attributes", "contextExtensions"], "put settings into the bundle's `data`"),
    (&["attributes", "metadataContext"], "verified claims are in `input.everycall.identity.claims`"),
    (&["attributes", "routeMetadataContext"], "put settings into the bundle's `data`"),
    (&["attributes", "tlsSession"], "read `input.everycall.connection.sni`"),
];

const BODY: &str = "everycall decides before the body arrives: decide by path, query and headers, \
                    and let the service check the body";
const CREDENTIAL: &str = "no policy sees credentials: read the verified claims in \
                          `input.everycall.identity.claims`";

/// A path below what is not offered, and what to write instead.
pub(super) fn absent(path: &[Arc<str>]) -> Option<(String, &'static str)> {
    let within = |absent: &[&str]| {
        path.len() >= absent.len() && path.iter().zip(absent).all(|(own, name)| is_spelled(own, name))
    };
    let (absent, instead) = ABSENT.iter().find(|(absent, _)| within(absent))?;
    Some((absent.join("."), instead))
}

/// Whether a name is that of a member, also as protobuf (`metadata_context`) or Go (`MetadataContext`) spell it.
fn is_spelled(own: &str, name: &str) -> bool {
    let plain = |text: &str| text.replace('_', "").to_ascii_lowercase();
    own == name || plain(own) == plain(name)
}

/// Reads a result: a boolean, or an object with a boolean `allowed`. What else it holds becomes our
/// obligations, and what those do not know is a refusal.
pub(super) fn outcome(value: &Value) -> Result<Outcome, Denied> {
    let mut members = match value {
        Value::Bool(allow) => return Ok(Outcome { allow: *allow, ..Outcome::default() }),
        value => match serde_json::to_value(value) {
            Ok(Json::Object(members)) => members,
            _ => return reject(Reason::PolicyResult, "the result is neither a boolean nor an object"),
        },
    };
    let Some(Json::Bool(allow)) = members.remove("allowed") else {
        return reject(Reason::PolicyResult, "the result has no boolean `allowed`");
    };
    let mut found = Found::default();
    for (name, value) in members {
        found.note(&name, value).map_err(|what| Denied {
            reason: Reason::PolicyResult,
            detail: format!("`{name}` in the result is not {what}"),
        })?;
    }
    Ok(Outcome { allow, obligations: found.obligations(allow), ..Outcome::default() })
}

/// What a result holds besides `allowed`.
#[derive(Default)]
struct Found {
    headers: Map<String, Json>,
    response_headers: Map<String, Json>,
    removed: Vec<Json>,
    body: Option<Json>,
    status: Option<Json>,
    /// What a module can't do, or what would change what was decided on.
    others: Map<String, Json>,
}

impl Found {
    /// Files one member.
    ///
    /// # Errors
    /// What it should be.
    fn note(&mut self, name: &str, value: Json) -> Result<(), &'static str> {
        match (name, value) {
            ("headers", Json::Object(all)) => self.headers = joined(all)?,
            ("response_headers_to_add", Json::Object(all)) => self.response_headers = joined(all)?,
            ("request_headers_to_remove", Json::Array(all)) if all.iter().all(Json::is_string) => {
                self.removed = all;
            }
            ("body", body @ Json::String(_)) => self.body = Some(body),
            ("http_status", status @ Json::Number(_)) => self.status = Some(status),
            (
                "dynamic_metadata" | "query_parameters_to_set" | "query_parameters_to_remove",
                value @ (Json::Object(_) | Json::Array(_)),
            ) => drop(self.others.insert(name.to_owned(), value)),
            ("headers" | "response_headers_to_add", _) => return Err("an object of texts"),
            ("request_headers_to_remove", _) => return Err("a list of texts"),
            _ => return Err("known, or not of its form"),
        }
        Ok(())
    }

    /// The same as our obligations. The plugin's `headers` go to the upstream with an allow and to the
    /// client with a refusal.
    fn obligations(self, allow: bool) -> Map<String, Json> {
        let Self { headers, response_headers, removed, body, status, others } = self;
        // With a refusal there is no request to change, and the plugin does not: only the answer counts.
        let (mut all, to_client) =
            if allow { (others, response_headers) } else { (Map::new(), headers.clone()) };
        if allow && !(headers.is_empty() && removed.is_empty()) {
            all.insert("request_headers".into(), json!({"set": headers, "remove": removed}));
        }
        if !to_client.is_empty() {
            all.insert("response_headers".into(), json!({"set": to_client}));
        }
        if !allow && (body.is_some() || status.is_some()) {
            let mut response = Map::from_iter([("status".to_owned(), status.unwrap_or(json!(403)))]);
            response.extend(body.map(|body| ("body".to_owned(), body)));
            all.insert("response".into(), Json::Object(response));
        }
        all
    }
}

/// Header values in one text each: several are joined, as RFC 9110 section 5.3 allows.
fn joined(headers: Map<String, Json>) -> Result<Map<String, Json>, &'static str> {
    const WHAT: &str = "an object of texts";
    let one = |value: Json| match value {
        Json::String(_) => Ok(value),
        Json::Array(values) => {
            let texts: Option<Vec<&str>> = values.iter().map(Json::as_str).collect();
            Ok(Json::from(texts.ok_or(WHAT)?.join(", ")))
        }
        _ => Err(WHAT),
    };
    headers.into_iter().map(|(name, value)| Ok((name.to_ascii_lowercase(), one(value)?))).collect()
}
