//! Forms of texts in configurations and bundles.

use crate::http::host::ANY_PORT;
use crate::http::target::{is_port, split_port};

/// What an Envoy cluster is called with in order to reach a server.
/// What a call to a server has as `:authority`: not a URL, a path or a user.
pub(crate) fn is_host(text: &str) -> bool {
    !text.is_empty()
        && text.bytes().all(|b| b.is_ascii_graphic() && !matches!(b, b'/' | b'?' | b'#' | b'@' | b'\\'))
}

pub(crate) fn is_path(text: &str) -> bool {
    text.starts_with('/') && text.bytes().all(|b| b.is_ascii_graphic())
}

/// A host as grants name it: in lower case, alone, with a port, or with [`ANY_PORT`].
pub(crate) fn is_plain_host(text: &str) -> bool {
    let (name, port) = split_port(text.strip_suffix(ANY_PORT).unwrap_or(text));
    let plain = |b| matches!(b, b'a'..=b'z' | b'0'..=b'9' | b'-' | b'_' | b'.');
    let is_address = name.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')).is_some_and(|ip| {
        ip.parse::<std::net::Ipv6Addr>().is_ok() && !ip.bytes().any(|b| b.is_ascii_uppercase())
    });
    let is_name = !name.is_empty() && name.bytes().all(plain) && !name.ends_with('.');
    (is_name || is_address) && port.is_none_or(|port| is_port(port) && !text.ends_with(ANY_PORT))
}

pub(crate) fn is_label(text: &str) -> bool {
    (1..=64).contains(&text.len())
        && text.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'_' | b'.'))
}

#[cfg(test)]
mod tests {
    use super::is_plain_host;

    #[test]
    fn hosts_are_as_the_proxy_routes_by_them() {
        for host in ["h", "h-1.x_y", "h:8080", "h:80", "h:*", "[::1]", "[::1]:443", "[::1]:*", "127.0.0.1:1"]
        {
            assert!(is_plain_host(host), "{host}");
        }
        for host in [
            "", "H", "h.", "h.:80", "h:", "h:0", "h:080", "h:65536", "h:x", "h:**", "h:8080:*", "h:*:*",
            ":80", ":*", "*", "*.h", "http://h", "h/", "a@h", "::1", "[::1", "[x]", "[::A]", "[::1]x", "h h",
        ] {
            assert!(!is_plain_host(host), "{host}");
        }
    }
}
