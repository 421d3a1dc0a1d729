//! The snapshot of one request: its headers as bytes, and what the host says of its connection.

use serde_json::Value;

use crate::attributes::Attribute;
use crate::step::StreamId;

/// Headers below this prefix are ours: a client's are removed, spelled with `-` or `_`.
pub const OWN_HEADER_PREFIX: &str = "x-everycall-";

/// Gives the reason for a call that breaks the glass. One of ours: never sent on, no policy reads it.
pub const BREAK_GLASS_HEADER: &str = "x-everycall-break-glass";

/// Headers that are removed from the client's request besides our own, also when spelled with `_`:
/// each makes some upstream see another method, path or lifetime than the one decided on.
pub const REMOVED_HEADERS: &[&str] = &[
    "x-http-method-override",
    "x-http-method",
    "x-method-override",
    "x-original-url",
    "x-rewrite-url",
    "x-envoy-original-path",
    "x-envoy-upstream-stream-duration-ms",
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

    /// Takes out the headers that a client must not set; answers their names as they were spelled.
    fn take_forbidden(&mut self) -> Vec<String> {
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

fn is_forbidden(name: &str) -> bool {
    // Most names have neither prefix: look at the first two bytes before anything is copied.
    if !name.starts_with("x-") && !name.starts_with("x_") {
        return false;
    }
    let dashed;
    let name = if name.contains('_') {
        dashed = name.replace('_', "-");
        dashed.as_str()
    } else {
        name
    };
    name.starts_with(OWN_HEADER_PREFIX) || REMOVED_HEADERS.contains(&name)
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

    /// The value of one attribute.
    pub fn get(&self, name: &str) -> Option<&Value> {
        self.iter().find(|(other, _)| *other == name).map(|(_, value)| value)
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
    /// Takes the snapshot. Headers that a client must not set are taken out here, before anything
    /// can read them; their names stay known so that they are removed on the way upstream.
    pub fn new(stream: StreamId, mut headers: Headers, connection: Connection) -> Self {
        let break_glass_reasons = headers.all(BREAK_GLASS_HEADER).map(<[u8]>::to_vec).collect();
        let removed = headers.take_forbidden();
        Self { stream, headers, connection, removed, break_glass_reasons }
    }

    /// The values of [`BREAK_GLASS_HEADER`].
    pub(crate) fn break_glass_reasons(&self) -> &[Vec<u8>] {
        &self.break_glass_reasons
    }

    /// The headers, without the forbidden ones.
    pub fn headers(&self) -> &Headers {
        &self.headers
    }

    /// Names of the headers that must not reach the upstream, as the client spelled them.
    pub(crate) fn removed(&self) -> &[String] {
        &self.removed
    }

    /// The client's headers that many servers take for this one: spelled with `_` for `-`, or the
    /// other way about.
    pub(crate) fn spellings<'a>(&'a self, name: &'a str) -> impl Iterator<Item = &'a str> {
        let dashed = |byte: u8| if byte == b'_' { b'-' } else { byte };
        let same = move |other: &str| other.bytes().map(dashed).eq(name.bytes().map(dashed));
        self.headers.iter().map(|(other, _)| other).filter(move |other| *other != name && same(other))
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
    fn forbidden_headers_are_taken_out_in_both_spellings() {
        let names = [
            "X-Everycall-Subject",
            "x_everycall_subject",
            "x-everycall_kind",
            "x_http-method_override",
            "x-ok",
        ];
        let pairs = names.iter().map(|name| (name.to_string(), b"v".to_vec())).collect();
        let request = Request::new(StreamId(1), Headers::new(pairs), Connection::default());
        assert_eq!(request.headers().iter().map(|(name, _)| name).collect::<Vec<_>>(), ["x-ok"]);
        assert_eq!(request.removed().len(), 4);
        for name in REMOVED_HEADERS {
            assert!(is_forbidden(name) && is_forbidden(&name.replace('-', "_")), "{name}");
        }
    }
}
