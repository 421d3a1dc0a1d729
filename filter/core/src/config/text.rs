//! Forms of texts in configurations and bundles.

use crate::time::UnixTime;

/// What an Envoy cluster is called with in order to reach a server.
pub(crate) fn is_host(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(|b| b.is_ascii_graphic())
}

pub(crate) fn is_path(text: &str) -> bool {
    text.starts_with('/') && text.bytes().all(|b| b.is_ascii_graphic())
}

/// A host as grants name it: in lower case, with the port unless it is the scheme's default.
pub(crate) fn is_plain_host(text: &str) -> bool {
    let plain = |b| matches!(b, b'a'..=b'z' | b'0'..=b'9' | b'-' | b'_' | b'.' | b':' | b'[' | b']');
    !text.is_empty() && text.bytes().all(plain) && !text.ends_with('.')
}

pub(crate) fn is_label(text: &str) -> bool {
    (1..=64).contains(&text.len())
        && text.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'_' | b'.'))
}

/// An instant of RFC 3339.
pub(crate) fn instant(text: &str) -> Result<UnixTime, String> {
    UnixTime::parse_rfc3339(text)
        .ok_or_else(|| format!("`{text}` is not an RFC 3339 instant such as `2026-01-31T00:00:00Z`"))
}
