//! The request of a case: as on the wire, but for tokens, which are minted when it runs.

use std::fmt;

use everycall_core::UnixTime;
use serde::de::value::MapAccessDeserializer;
use serde::de::{Error, MapAccess, Visitor};
use serde::{Deserialize, Deserializer};
use serde_json::Value;

use super::patch;
use super::proof::ProofSpec;
use super::token::TokenSpec;
use crate::bytes::{from_base64, Bytes};
use crate::mint::MintError;
use crate::wire::{default_scheme, default_source_ip, WireRequest};

#[derive(Debug, Clone, Deserialize)]
#[cfg_attr(feature = "cli", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub(super) struct RequestSpec {
    /// The method.
    method: String,
    /// The `:authority`.
    host: String,
    /// Path and query.
    path: Bytes,
    /// `http` or `https`.
    #[serde(default = "default_scheme")]
    scheme: String,
    /// Names and values in order.
    #[serde(default)]
    headers: Vec<(String, HeaderValue)>,
    /// The client's address.
    #[serde(default = "default_source_ip")]
    source_ip: String,
    /// The URI SAN of the client's certificate.
    peer_id: Option<String>,
    /// The client's certificate in PEM.
    peer_certificate: Option<String>,
}

#[derive(Debug, Clone)]
enum HeaderValue {
    Bytes(Vec<u8>),
    Bearer(TokenSpec),
    Token(TokenSpec),
    Dpop(ProofSpec),
    Now(i64),
    Instant(i64),
}

impl RequestSpec {
    /// `token` is put behind the headers; `name` makes the ids of tokens and proofs unique.
    pub(super) fn wire(
        &self,
        token: Option<&TokenSpec>,
        name: &str,
        config: &Value,
        now: UnixTime,
    ) -> Result<WireRequest, MintError> {
        let id = |at: usize| format!("{name} {at} {}", now.micros());
        let mint = |spec: &TokenSpec, at: usize| spec.mint(config, now, &id(at));
        let token = match token {
            Some(spec) => Some((spec, mint(spec, self.headers.len())?)),
            None => None,
        };
        let mut headers = Vec::with_capacity(self.headers.len());
        for (at, (name, value)) in self.headers.iter().enumerate() {
            let value = match value {
                HeaderValue::Bytes(bytes) => bytes.clone(),
                HeaderValue::Bearer(spec) => format!("Bearer {}", mint(spec, at)?).into_bytes(),
                HeaderValue::Token(spec) => mint(spec, at)?.into_bytes(),
                HeaderValue::Dpop(spec) => {
                    let token = token.as_ref().map(|(_, text)| text.as_str());
                    spec.mint(&self.method, &self.url(), token, now, &id(at))?.into_bytes()
                }
                HeaderValue::Now(offset) => patch::moment(*offset, now).secs().to_string().into_bytes(),
                HeaderValue::Instant(offset) => patch::moment(*offset, now).to_string().into_bytes(),
            };
            headers.push((name.clone(), value));
        }
        if let Some((spec, text)) = &token {
            headers.push(("authorization".to_owned(), spec.behind_scheme(text).into_bytes()));
        }
        Ok(WireRequest {
            method: self.method.clone(),
            scheme: self.scheme.clone(),
            host: self.host.clone(),
            path: self.path.0.clone(),
            headers,
            source_ip: self.source_ip.clone(),
            peer_id: self.peer_id.clone(),
            peer_certificate: self.peer_certificate.clone(),
        })
    }

    /// The absolute URL without the query.
    fn url(&self) -> String {
        let path = String::from_utf8_lossy(&self.path.0);
        let path = path.split('?').next().unwrap_or_default();
        format!("{}://{}{path}", self.scheme, self.host)
    }
}

#[cfg(feature = "cli")]
super::schema_of!(HeaderValue, "text, or what is made of it when the case runs", String, Made);

impl<'de> Deserialize<'de> for HeaderValue {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(TextOrMade)
    }
}

struct TextOrMade;

#[derive(Deserialize)]
#[cfg_attr(feature = "cli", derive(schemars::JsonSchema))]
#[serde(rename_all = "snake_case")]
enum Made {
    /// Bytes in base64.
    B64(#[cfg_attr(feature = "cli", schemars(regex(pattern = crate::bytes::BASE64)))] String),
    /// A token behind `Bearer`.
    Bearer(TokenSpec),
    /// A token alone.
    Token(TokenSpec),
    /// A proof of possession for this request.
    Dpop(ProofSpec),
    /// So many seconds from now, as a number.
    #[serde(rename = "$now")]
    Now(i64),
    /// So many seconds from now, in RFC 3339.
    #[serde(rename = "$instant")]
    Instant(i64),
}

impl<'de> Visitor<'de> for TextOrMade {
    type Value = HeaderValue;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("text, or an object with one of `b64`, `bearer`, `token`, `dpop`, `$now`, `$instant`")
    }

    fn visit_str<E: Error>(self, text: &str) -> Result<HeaderValue, E> {
        Ok(HeaderValue::Bytes(text.as_bytes().to_vec()))
    }

    fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<HeaderValue, A::Error> {
        Ok(match Made::deserialize(MapAccessDeserializer::new(map))? {
            Made::B64(text) => HeaderValue::Bytes(from_base64(&text)?),
            Made::Bearer(spec) => HeaderValue::Bearer(spec),
            Made::Token(spec) => HeaderValue::Token(spec),
            Made::Dpop(spec) => HeaderValue::Dpop(spec),
            Made::Now(offset) => HeaderValue::Now(offset),
            Made::Instant(offset) => HeaderValue::Instant(offset),
        })
    }
}
