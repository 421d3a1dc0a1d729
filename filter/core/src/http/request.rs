//! The snapshot of one request: its headers as bytes, and what the host says of its connection.

use serde_json::Value;

use crate::http::attributes::{scheme, Attribute, TLS_VERSION};

/// The caller's name for a stream.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct StreamId(pub u64);

/// Headers that no policy sees, besides those that credentials are looked for in.
pub(crate) const SECRET_HEADERS: [&str; 3] = ["authorization", "proxy-authorization", "dpop"];

/// Headers below this prefix are ours: a client's are removed, spelled with `-` or `_`.
pub const OWN_HEADER_PREFIX: &str = "x-everycall-";

/// Gives the reason for a call that breaks the glass. One of ours: never sent on, no policy reads it.
pub(crate) const BREAK_GLASS_HEADER: &str = "x-everycall-break-glass";

/// Headers that are removed from the client's request besides our own, unless `trusted_headers` names them: each
/// makes some upstream see another method, target, lifetime or source than the one decided on. Sorted.
pub const REMOVED_HEADERS: &[&str] = &[
    "cf-connecting-ip",
    "cf-connecting-ipv6",
    "client-ip",
    "fastly-client-ip",
    "fly-client-ip",
    "forwarded",
    "forwarded-for",
    "front-end-https",
    "proxy-client-ip",
    "true-client-ip",
    "wl-proxy-client-ip",
    "x-appengine-user-ip",
    "x-azure-clientip",
    "x-azure-socketip",
    "x-client-ip",
    "x-cluster-client-ip",
    "x-envoy-original-host",
    "x-envoy-original-path",
    "x-envoy-upstream-stream-duration-ms",
    "x-forwarded-client-ip",
    "x-forwarded-host",
    "x-forwarded-method",
    "x-forwarded-path",
    "x-forwarded-port",
    "x-forwarded-prefix",
    "x-forwarded-protocol",
    "x-forwarded-scheme",
    "x-forwarded-server",
    "x-forwarded-ssl",
    "x-forwarded-uri",
    "x-forwarded-url",
    "x-host",
    "x-http-destinationurl",
    "x-http-host-override",
    "x-http-method",
    "x-http-method-override",
    "x-http-path-override",
    "x-method-override",
    "x-original-forwarded-for",
    "x-original-host",
    "x-original-method",
    "x-original-uri",
    "x-original-url",
    "x-originating-ip",
    "x-override-url",
    "x-proxyuser-ip",
    "x-real-ip",
    "x-remote-addr",
    "x-remote-ip",
    "x-rewrite-url",
    "x-scheme",
    "x-true-client-ip",
    "x-url-scheme",
];

/// Headers that are removed likewise, since upstreams take them for who calls. A policy may set them. Sorted.
pub const IDENTITY_HEADERS: &[&str] = &[
    "x-auth-request-access-token",
    "x-auth-request-email",
    "x-auth-request-groups",
    "x-auth-request-preferred-username",
    "x-auth-request-user",
    "x-forwarded-access-token",
    "x-forwarded-email",
    "x-forwarded-groups",
    "x-forwarded-preferred-username",
    "x-forwarded-user",
    "x-remote-user",
];

/// How much of a target a record holds before the target is known to be good, in bytes.
const MAX_LOSSY: usize = 4 * 1024;
/// The longest entity tag that is sent back.
const MAX_ETAG: usize = 256;

/// Request headers in order of arrival, pseudo-headers included, repeated ones kept apart.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct Headers {
    /// One behind the other: a request costs three allocations, not two for each header.
    names: String,
    values: Vec<u8>,
    /// Where each name and each value ends.
    ends: Vec<(usize, usize)>,
}

impl Headers {
    /// Takes name and value pairs; names are lower-cased.
    pub fn new(pairs: Vec<(String, Vec<u8>)>) -> Self {
        let mut headers = Self::default();
        for (name, value) in &pairs {
            headers.push(name, value);
        }
        headers
    }

    /// Without any, with room for so many of so many bytes.
    pub fn with_capacity(count: usize, bytes: usize) -> Self {
        Self {
            // Most are no longer than `x-forwarded-proto`; a large header is one of a large value.
            names: String::with_capacity(bytes.min(count.saturating_mul(20))),
            values: Vec::with_capacity(bytes),
            ends: Vec::with_capacity(count),
        }
    }

    /// Adds one; its name is lower-cased.
    pub fn push(&mut self, name: &str, value: &[u8]) {
        let begin = self.names.len();
        self.names.push_str(name);
        if let Some(name) = self.names.get_mut(begin..) {
            name.make_ascii_lowercase();
        }
        self.values.extend_from_slice(value);
        self.ends.push((self.names.len(), self.values.len()));
    }

    /// How long names and values are.
    pub(crate) fn bytes(&self) -> usize {
        self.names.len().saturating_add(self.values.len())
    }

    /// All values of one header, in order of arrival.
    pub fn all<'a, 'n>(&'a self, name: &'n str) -> impl Iterator<Item = &'a [u8]> + use<'a, 'n> {
        self.iter().filter(move |(other, _)| *other == name).map(|(_, value)| value)
    }

    /// The value of a header that must not be repeated; `None` if it is absent or repeated.
    pub fn only(&self, name: &str) -> Option<&[u8]> {
        let mut values = self.all(name);
        let first = values.next()?;
        values.next().is_none().then_some(first)
    }

    /// Name and value pairs, in order of arrival.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &[u8])> {
        let mut begin = (0, 0);
        self.ends.iter().map(move |&end| {
            let (name, value) = std::mem::replace(&mut begin, end);
            let name = self.names.get(name..end.0).unwrap_or_default();
            (name, self.values.get(value..end.1).unwrap_or_default())
        })
    }

    /// The one entity tag of an answer (RFC 9110 section 8.8.3), if it is well-formed.
    pub(crate) fn etag(&self) -> Option<String> {
        let etag = std::str::from_utf8(self.only("etag")?).ok()?;
        let opaque = etag.strip_prefix("W/").unwrap_or(etag).strip_prefix('"')?.strip_suffix('"')?;
        let plain = opaque.bytes().all(|b| b.is_ascii_graphic() && b != b'"');
        (etag.len() <= MAX_ETAG && plain).then(|| etag.to_owned())
    }

    /// Takes out the headers that a client must not set, but for `trusted` ones; answers their names as they were
    /// spelled.
    fn take_forbidden(&mut self, trusted: &[String]) -> Vec<String> {
        let is_forbidden =
            |name: &str| no_client_sets(name) && !trusted.iter().any(|trusted| trusted == name);
        if !self.iter().any(|(name, _)| is_forbidden(name)) {
            return Vec::new();
        }
        let mut removed: Vec<String> = Vec::new();
        for (name, value) in std::mem::take(self).iter() {
            match is_forbidden(name) {
                true if removed.iter().any(|known| known == name) => {}
                true => removed.push(name.to_owned()),
                false => self.push(name, value),
            }
        }
        removed
    }
}

/// No values: they may hold credentials.
impl std::fmt::Debug for Headers {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_list().entries(self.iter().map(|(name, _)| name)).finish()
    }
}

/// Whether a client must not set a header, however it is spelled.
pub(crate) fn no_client_sets(name: &str) -> bool {
    // Most names have none of these beginnings: look at them before anything is copied.
    match name.as_bytes() {
        [b'x', second, ..] if !second.is_ascii_alphanumeric() => {}
        [b'f', b'a' | b'l' | b'o' | b'r', ..] | [b'c', b'f' | b'l', ..] => {}
        [b'p', b'r', b'o', ..] | [b't', b'r', b'u', ..] | [b'w', b'l', ..] => {}
        _ => return false,
    }
    let folded_name: String;
    let name = if name.bytes().all(|byte| folded(byte) == byte) {
        name
    } else {
        folded_name = dashed(name);
        &folded_name
    };
    let is_listed = |list: &[&str]| list.binary_search(&name).is_ok();
    name.starts_with(OWN_HEADER_PREFIX) || is_listed(REMOVED_HEADERS) || is_listed(IDENTITY_HEADERS)
}

/// Servers that hand headers on as variables (CGI, RFC 3875 section 4.1.18, and what came after it) have one
/// character for all that are neither letters nor digits.
const fn folded(byte: u8) -> u8 {
    if byte.is_ascii_alphanumeric() {
        byte
    } else {
        b'-'
    }
}

/// A header's name as such servers know it.
pub(crate) fn dashed(name: &str) -> String {
    name.bytes().map(|byte| char::from(folded(byte))).collect()
}

/// Whether many servers take one header for the other.
pub(crate) fn is_spelling(name: &str, other: &str) -> bool {
    name.len() == other.len() && other.bytes().map(folded).eq(name.bytes().map(folded))
}

/// What the host says of the connection: only the attributes that a policy reads.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Connection(Vec<(&'static Attribute, Value)>);

impl Connection {
    /// Sets one attribute from the host's bytes; bytes that do not decode leave it absent.
    pub fn set(&mut self, attribute: &'static Attribute, bytes: &[u8]) {
        if let Some(value) = attribute.decode(bytes) {
            self.0.push((attribute, value));
        }
    }

    /// Puts back what a record holds.
    pub(crate) fn restore(&mut self, name: &str, value: &Value) {
        if let Some(attribute) = Attribute::named(name) {
            self.0.push((attribute, value.clone()));
        }
    }

    /// Forgets one.
    pub(crate) fn withhold(&mut self, name: &str) {
        self.0.retain(|(attribute, _)| attribute.name != name);
    }

    /// The value of one attribute.
    pub fn get(&self, name: &str) -> Option<&Value> {
        self.iter().find(|(other, _)| *other == name).map(|(_, value)| value)
    }

    /// By which scheme it came, as far as it was asked: what the request says of it is up to the client.
    pub(crate) fn scheme(&self) -> &'static str {
        scheme(self.get(TLS_VERSION).is_some())
    }

    /// Names and values.
    pub fn iter(&self) -> impl Iterator<Item = (&'static str, &Value)> {
        self.0.iter().map(|(attribute, value)| (attribute.name, value))
    }
}

/// Everything that is known of one request when its headers have arrived.
#[derive(Debug, Clone)]
pub struct Request {
    /// The caller's name for this stream; unique among its live streams.
    pub stream: StreamId,
    headers: Headers,
    /// Facts of the connection.
    pub connection: Connection,
    removed: Vec<String>,
    break_glass_reasons: Vec<Vec<u8>>,
}

impl Request {
    /// Takes the snapshot.
    pub fn new(stream: StreamId, headers: Headers, connection: Connection) -> Self {
        Self { stream, headers, connection, removed: Vec::new(), break_glass_reasons: Vec::new() }
    }

    /// Takes out the headers that a client must not set, but for `trusted` ones, before anything can read them. Their
    /// names stay known so that they are removed on the way upstream.
    pub(crate) fn withhold(&mut self, trusted: &[String]) {
        self.break_glass_reasons = self.headers.all(BREAK_GLASS_HEADER).map(<[u8]>::to_vec).collect();
        self.removed = self.headers.take_forbidden(trusted);
    }

    /// The values of [`BREAK_GLASS_HEADER`].
    pub(crate) fn break_glass_reasons(&self) -> &[Vec<u8>] {
        &self.break_glass_reasons
    }

    /// The headers; once a decision has begun, without the forbidden ones.
    pub fn headers(&self) -> &Headers {
        &self.headers
    }

    /// Names of the headers that must not reach the upstream, as the client spelled them.
    pub(crate) fn removed(&self) -> &[String] {
        &self.removed
    }

    /// The client's headers that are this one, or that many servers take for it.
    pub(crate) fn spelled<'a>(&'a self, name: &'a str) -> impl Iterator<Item = &'a str> {
        self.headers.iter().map(|(other, _)| other).filter(move |other| is_spelling(name, other))
    }

    /// The client's headers that many servers take for this one, spelled otherwise.
    pub(crate) fn spellings<'a>(&'a self, name: &'a str) -> impl Iterator<Item = &'a str> {
        self.spelled(name).filter(move |other| *other != name)
    }

    /// The beginning of a pseudo-header or header for the record, which must hold what came even if it
    /// is invalid.
    pub(crate) fn lossy(&self, name: &str) -> String {
        let value = self.headers.all(name).next().unwrap_or_default();
        String::from_utf8_lossy(value.get(..MAX_LOSSY).unwrap_or(value)).into_owned()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn forbidden_headers_are_taken_out_however_they_are_spelled() {
        let names = [
            "X-Everycall-Subject",
            "x_everycall_subject",
            "x-everycall_kind",
            "x.everycall~kind",
            "x everycall kind",
            "x_http-method_override",
            "x-forwarded-host",
            "x_forwarded_host",
            "x-ok",
            "xeverycall-kind",
            "x-everycall",
            "x-forwarded-for",
            "x-forwarded-proto",
            "x-forwarded-client-cert",
        ];
        let pairs: Vec<_> = names.iter().map(|name| (name.to_string(), b"v".to_vec())).collect();
        let left = |trusted: &[&str]| {
            let trusted: Vec<String> = trusted.iter().map(|name| (*name).to_owned()).collect();
            let mut request = Request::new(StreamId(1), Headers::new(pairs.clone()), Connection::default());
            request.withhold(&trusted);
            assert_eq!(request.removed().len() + request.headers().iter().count(), names.len());
            request.headers().iter().map(|(name, _)| name.to_owned()).collect::<Vec<_>>()
        };
        let kept = [
            "x-ok",
            "xeverycall-kind",
            "x-everycall",
            "x-forwarded-for",
            "x-forwarded-proto",
            "x-forwarded-client-cert",
        ];
        assert_eq!(left(&[]), kept);
        let mut trusting = vec!["x-forwarded-host"];
        trusting.extend(kept);
        assert_eq!(left(&["x-forwarded-host"]), trusting, "spelled so, and not otherwise");
        for list in [REMOVED_HEADERS, IDENTITY_HEADERS] {
            assert!(list.is_sorted(), "they are searched");
            for name in list {
                assert!(no_client_sets(name), "{name}");
                assert!(
                    no_client_sets(&name.replace('-', "_")) && no_client_sets(&name.replace('-', ".")),
                    "{name}"
                );
            }
        }
    }
}
