//! The facts of the connection: which host attribute stands where in `input`. To offer another
//! one to policies, add a row here.

use serde_json::Value;

use crate::base::reads::Names;

/// How the host encodes an attribute's value.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Encoding {
    /// One byte, 0 or 1.
    Bool,
    /// UTF-8 text; empty means absent.
    Text,
    /// `ip:port` or `[ip]:port`; the input holds the address alone.
    Address,
}

/// One fact of the connection.
#[derive(Debug, PartialEq, Eq)]
pub struct Attribute {
    /// Its name below `input.connection`.
    pub name: &'static str,
    /// The host's property path.
    pub host: &'static [&'static str],
    /// The encoding of the host's value.
    pub encoding: Encoding,
    /// What it is. Not in the module.
    #[cfg(feature = "schema")]
    pub meaning: &'static str,
}

/// Every attribute that a policy can read below `input.connection`.
pub const ATTRIBUTES: &[Attribute] = &[
    // True for any client certificate: the listener must require and verify it.
    Attribute::of("mtls", &["connection", "mtls"], Encoding::Bool)
        .says("The client has shown a certificate, *whichever*"),
    Attribute::of(PEER_ID, &["connection", "uri_san_peer_certificate"], Encoding::Text)
        .says("The first URI SAN of the client's certificate"),
    Attribute::of(SOURCE_IP, &["source", "address"], Encoding::Address)
        .says("The client's address; absent without `source`"),
    Attribute::of(DESTINATION_IP, &["destination", "address"], Encoding::Address)
        .says("The address that the client called, as Envoy sees it"),
    Attribute::of(PROTOCOL, &["request", "protocol"], Encoding::Text).says("`HTTP/1.1`, `HTTP/2`, …"),
    Attribute::of(TLS_VERSION, &["connection", "tls_version"], Encoding::Text).says("Such as `TLSv1.3`"),
    Attribute::of(SNI, &["connection", "requested_server_name"], Encoding::Text)
        .says("The server name that the client asked for; Envoy knows it with a `tls_inspector` only"),
];

/// The source address where the configuration's `source` is `connection`, instead of the host's own, which follows
/// what a client writes into `x-forwarded-for`.
pub const CONNECTION_SOURCE: Attribute =
    Attribute::of(SOURCE_IP, &["filter_state", SOURCE_STATE], Encoding::Address);

/// The name under which a filter in front keeps it.
pub const SOURCE_STATE: &str = "everycall.source";

/// What proofs of possession need of the client's certificate, besides `mtls`. Not for policies.
pub const PROOF_ATTRIBUTES: &[Attribute] = &[
    Attribute::of(PEER_CERTIFICATE, &["connection", "peer_certificate"], Encoding::Text),
    Attribute::of(PEER_DIGEST, &["connection", "sha256_peer_certificate_digest"], Encoding::Text),
];

/// The client's certificate in PEM.
pub(crate) const PEER_CERTIFICATE: &str = "peer_certificate";
/// The SHA-256 of its DER form, in hexadecimal digits.
pub(crate) const PEER_DIGEST: &str = "peer_digest";

/// The attribute that `networks` are matched against.
pub(crate) const SOURCE_IP: &str = "source_ip";
/// The version of TLS that it speaks; absent without TLS.
pub(crate) const TLS_VERSION: &str = "tls_version";
/// The server name that the client asked for.
pub(crate) const SNI: &str = "sni";

/// The address that the client called.
pub(crate) const DESTINATION_IP: &str = "destination_ip";

/// The protocol that the client speaks.
pub(crate) const PROTOCOL: &str = "protocol";

/// The first URI SAN of the client's certificate.
pub(crate) const PEER_ID: &str = "peer_id";

/// The scheme of a connection with or without TLS.
pub(crate) const fn scheme(tls: bool) -> &'static str {
    if tls {
        "https"
    } else {
        "http"
    }
}

/// Whether a policy that reads these of the connection needs the attribute.
pub(crate) fn is_read(name: &str, connection: &Names) -> bool {
    connection.hold(name) && Attribute::named(name).is_some()
}

impl Attribute {
    const fn of(name: &'static str, host: &'static [&'static str], encoding: Encoding) -> Self {
        Self {
            name,
            host,
            encoding,
            #[cfg(feature = "schema")]
            meaning: "",
        }
    }

    /// Adds what people are told of it.
    #[cfg(feature = "schema")]
    const fn says(self, meaning: &'static str) -> Self {
        Self { meaning, ..self }
    }

    #[cfg(not(feature = "schema"))]
    const fn says(self, _: &'static str) -> Self {
        self
    }

    /// The row with this name.
    pub fn named(name: &str) -> Option<&'static Self> {
        ATTRIBUTES.iter().find(|attribute| attribute.name == name)
    }

    /// Decodes the host's bytes. What does not decode is absent: policies deny on absence.
    pub fn decode(&self, bytes: &[u8]) -> Option<Value> {
        match self.encoding {
            Encoding::Bool => match bytes {
                [0] => Some(Value::Bool(false)),
                [1] => Some(Value::Bool(true)),
                _ => None,
            },
            Encoding::Text => {
                let text = std::str::from_utf8(bytes).ok().filter(|text| !text.is_empty())?;
                Some(Value::from(text))
            }
            Encoding::Address => {
                let text = std::str::from_utf8(bytes).ok()?;
                let ip = match text.parse::<std::net::SocketAddr>() {
                    Ok(address) => address.ip(),
                    Err(_) => text.parse::<std::net::IpAddr>().ok()?,
                };
                Some(Value::from(ip.to_string()))
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn host_values_decode_or_are_absent() {
        let decode = |name: &str, bytes: &[u8]| Attribute::named(name).unwrap().decode(bytes);
        assert_eq!(decode("mtls", &[1]), Some(Value::Bool(true)));
        assert_eq!(decode("mtls", b"true"), None);
        assert_eq!(decode("source_ip", b"127.0.0.1:48752"), Some("127.0.0.1".into()));
        assert_eq!(decode("source_ip", b"[::1]:80"), Some("::1".into()));
        assert_eq!(decode("source_ip", b"10.0.0.1"), Some("10.0.0.1".into()));
        assert_eq!(decode("source_ip", b"/tmp/envoy.sock"), None);
        assert_eq!(decode("sni", b""), None);
        assert_eq!(decode("sni", b"\xff"), None);
    }
}
