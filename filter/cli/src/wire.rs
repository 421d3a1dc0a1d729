//! One HTTP request as a proxy sees it, before it is a request of the core.

use std::fmt;
use std::net::{IpAddr, SocketAddr};

use base64::engine::general_purpose::STANDARD;
use base64::Engine as _;
use everycall_core::http::{ATTRIBUTES, PROOF_ATTRIBUTES};
use everycall_core::{hex, Connection, Headers, Request, StreamId};
use sha2::{Digest as _, Sha256};

/// A request with its headers in order, and the facts of its connection.
#[derive(Clone, PartialEq, Eq)]
pub struct WireRequest {
    /// The method.
    pub method: String,
    /// `http` or `https`.
    pub scheme: String,
    /// The `:authority`.
    pub host: String,
    /// Path and query; may hold any bytes.
    pub path: Vec<u8>,
    /// Names and values in order, credentials included, repeated ones kept apart.
    pub headers: Vec<(String, Vec<u8>)>,
    /// The client's address.
    pub source_ip: String,
    /// The URI SAN of the client's certificate.
    pub peer_id: Option<String>,
    /// The client's certificate in PEM. Without it and `peer_id` the connection is not mTLS.
    pub peer_certificate: Option<String>,
}

/// No header values: they may be credentials.
impl fmt::Debug for WireRequest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let path = String::from_utf8_lossy(&self.path);
        write!(f, "WireRequest({} {}://{}{path})", self.method, self.scheme, self.host)
    }
}

impl WireRequest {
    /// The core's request, with the connection's attributes in the host's encodings.
    pub fn to_core(&self, stream: StreamId) -> Request {
        let mut pairs = vec![
            (":method".to_owned(), self.method.clone().into_bytes()),
            (":scheme".to_owned(), self.scheme.clone().into_bytes()),
            (":authority".to_owned(), self.host.clone().into_bytes()),
            (":path".to_owned(), self.path.clone()),
        ];
        pairs.extend(self.headers.iter().cloned());
        let mut connection = Connection::default();
        for attribute in ATTRIBUTES.iter().chain(PROOF_ATTRIBUTES) {
            if let Some(bytes) = self.attribute(attribute.name) {
                connection.set(attribute, &bytes);
            }
        }
        Request::new(stream, Headers::new(pairs), connection)
    }

    /// What Envoy would answer for an attribute; `None` where it has no value.
    pub fn attribute(&self, name: &str) -> Option<Vec<u8>> {
        match name {
            "mtls" => Some(vec![u8::from(self.peer_id.is_some() || self.peer_certificate.is_some())]),
            "peer_id" => self.peer_id.clone().map(String::into_bytes),
            "peer_certificate" => self.peer_certificate.clone().map(String::into_bytes),
            "peer_digest" => {
                let lines = self.peer_certificate.as_ref()?.lines();
                let body: String = lines.filter(|line| !line.starts_with("-----")).collect();
                let der = STANDARD.decode(body).ok()?;
                Some(hex::encode(&Sha256::digest(der)).into_bytes())
            }
            "tls_version" => (self.scheme == "https").then(|| b"TLSv1.3".to_vec()),
            "source_ip" => {
                let address = match self.source_ip.parse::<IpAddr>() {
                    Ok(ip) => SocketAddr::new(ip, 0).to_string(),
                    Err(_) => self.source_ip.clone(),
                };
                Some(address.into_bytes())
            }
            _ => None,
        }
    }
}

/// What a request is taken for that does not say.
pub(crate) fn default_scheme() -> String {
    "http".into()
}

pub(crate) fn default_source_ip() -> String {
    "127.0.0.1".into()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_request_reaches_the_core_as_the_host_would_hand_it_in() {
        let wire = WireRequest {
            method: "GET".into(),
            scheme: "http".into(),
            host: "h".into(),
            path: b"/\xff".to_vec(),
            headers: vec![("X-A".into(), b"1".to_vec()), ("x-a".into(), b"\xff".to_vec())],
            source_ip: "::1".into(),
            peer_id: Some("spiffe://a/b".into()),
            peer_certificate: None,
        };
        let request = wire.to_core(StreamId(7));
        assert_eq!(request.stream, StreamId(7));
        assert_eq!(request.headers().all("x-a").collect::<Vec<_>>(), [&b"1"[..], b"\xff"]);
        assert_eq!(request.headers().only(":path"), Some(&b"/\xff"[..]));
        assert_eq!(request.connection.get("source_ip"), Some(&"::1".into()));
        assert_eq!(request.connection.get("peer_id"), Some(&"spiffe://a/b".into()));
        assert_eq!(request.connection.get("mtls"), Some(&true.into()));
        assert_eq!(request.connection.get("sni"), None);
        let plain = WireRequest { peer_id: None, ..wire }.to_core(StreamId(8));
        assert_eq!(plain.connection.get("mtls"), Some(&false.into()));
    }
}
