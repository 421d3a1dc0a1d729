//! A request as `everycall decide` reads it: one JSON object a line.

use everycall_core::{json, UnixTime};
use serde::Deserialize;

use crate::bytes::Bytes;
use crate::wire::{default_scheme, default_source_ip, WireRequest};
use crate::At;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Line {
    method: String,
    host: String,
    path: Bytes,
    #[serde(default)]
    headers: Vec<(String, Bytes)>,
    #[serde(default = "default_scheme")]
    scheme: String,
    #[serde(default = "default_source_ip")]
    source_ip: String,
    peer_id: Option<String>,
    peer_certificate: Option<String>,
    at: Option<At>,
}

/// Reads a line: the request, and when it arrives if it says so.
///
/// # Errors
/// What is wrong, with the JSON path.
pub(super) fn read(line: &[u8]) -> Result<(WireRequest, Option<UnixTime>), String> {
    let Line { method, host, path, headers, scheme, source_ip, peer_id, peer_certificate, at } = parse(line)?;
    let headers = headers.into_iter().map(|(name, value)| (name, value.0)).collect();
    Ok((
        WireRequest { method, scheme, host, path: path.0, headers, source_ip, peer_id, peer_certificate },
        at.map(|At(at)| at),
    ))
}

/// Reads strict JSON into a type.
///
/// # Errors
/// What is wrong, with the JSON path and without the value: it may be a token that stands where it
/// should not.
pub(super) fn parse<T: serde::de::DeserializeOwned>(text: &[u8]) -> Result<T, String> {
    let document = json::parse(text).map_err(|cause| format!("not strict JSON: {cause}"))?;
    serde_path_to_error::deserialize(document).map_err(|cause| {
        let path = cause.path().to_string();
        let message = without_value(&cause.into_inner().to_string());
        match path.as_str() {
            "." => message,
            path => format!("{path}: {message}"),
        }
    })
}

/// serde says `invalid type: string "…", expected …`.
fn without_value(message: &str) -> String {
    match (message.split_once(" string \""), message.rsplit_once("\", expected ")) {
        (Some((start, _)), Some((_, expected))) => format!("{start} string, expected {expected}"),
        _ => message.to_owned(),
    }
}
