//! What OPA's plugin for Envoy gives its policies and takes from them: which parts of its input are
//! here, what is not and what to write instead, and how its results are read. `input::opa` builds it.

use regorus::Value;

use super::{fail, Outcome, PolicyFailure};
use crate::reads::{self, Reads};
use crate::reason::Reason;

/// The plugin's default.
pub(super) const ENTRYPOINT: &str = "envoy.authz.allow";

/// Its members, and what each is made from.
const MEMBERS: &[(&[&str], &[&str])] = &[
    (&["attributes", "request", "http", "headers"], &["request", "headers"]),
    (&["attributes", "request", "http", "headers", ":path"], &["request", "query"]),
    (&["attributes", "request", "http", "path"], &["request", "query"]),
    (&["attributes", "request", "http", "protocol"], &["connection", "protocol"]),
    (&["attributes", "source", "address"], &["connection", "source_ip"]),
    (&["attributes", "source", "principal"], &["connection", "peer_id"]),
    (&["attributes", "destination", "address"], &["connection", "destination_ip"]),
    (&["parsed_query"], &["request", "query"]),
    (&["everycall"], &[]),
];

/// What the plugin gives and we do not, and what to write instead. A policy that reads one of them
/// is refused: a member that is always absent makes a negation hold.
const ABSENT: &[(&[&str], &str)] = &[
    (&["parsed_body"], BODY),
    (&["truncated_body"], BODY),
    (&["attributes", "request", "http", "body"], BODY),
    (&["attributes", "request", "http", "rawBody"], BODY),
    (&["attributes", "request", "http", "raw_body"], BODY),
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

/// What a policy reads of our own input when it reads this of the plugin's.
pub(super) fn reads(reads: &Reads) -> Reads {
    reads.translated(MEMBERS)
}

/// Every read of what is not offered, as `file:line: message`.
pub(super) fn absent(file: &str, source: &str) -> Vec<String> {
    let mut found = Vec::new();
    for site in reads::sites(source) {
        let within = |absent: &[&str]| {
            site.path.len() >= absent.len() && site.path.iter().zip(absent).all(|(a, b)| a == b)
        };
        if let Some((path, instead)) = ABSENT.iter().find(|(path, _)| within(path)) {
            let line = site.line;
            let message = format!("{file}:{line}: `input.{}` is not there: {instead}", path.join("."));
            if !found.contains(&message) {
                found.push(message);
            }
        }
    }
    found
}

/// Reads a result: a boolean, or an object with a boolean `allowed`.
pub(super) fn outcome(value: &Value) -> Result<Option<Outcome>, PolicyFailure> {
    let members = match value {
        Value::Undefined => return Ok(None),
        Value::Bool(allow) => return Ok(Some(Outcome { allow: *allow, ..Outcome::default() })),
        Value::Object(members) => members,
        _ => return fail(Reason::PolicyResult, "the result is neither a boolean nor an object"),
    };
    let mut outcome = Outcome::default();
    let mut decided = false;
    for (key, value) in members.iter() {
        match (key.as_string().map(|key| key.as_ref()), value) {
            (Ok("allowed"), Value::Bool(allow)) => (outcome.allow, decided) = (*allow, true),
            // They shape the answer to a refusal only.
            (Ok("body"), Value::String(_)) | (Ok("http_status"), Value::Number(_)) => {}
            (
                Ok(
                    name @ ("headers"
                    | "response_headers_to_add"
                    | "request_headers_to_remove"
                    | "dynamic_metadata"
                    | "query_parameters_to_set"
                    | "query_parameters_to_remove"),
                ),
                _,
            ) => drop(outcome.obligations.insert(name.to_owned(), serde_json::Value::Null)),
            _ => {
                return fail(
                    Reason::PolicyResult,
                    format!("the result holds {key} of an unknown name or form"),
                )
            }
        }
    }
    if !outcome.allow {
        // Our own answer goes out instead.
        outcome.obligations.clear();
    }
    match decided {
        true => Ok(Some(outcome)),
        false => fail(Reason::PolicyResult, "the result has no boolean `allowed`"),
    }
}
