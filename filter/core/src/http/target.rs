//! The rules that make a request's target unambiguous.
//!
//! The bytes sent on are the bytes decided on: nothing here rewrites the path. A path that two
//! servers could read in two ways is refused instead (RFC 3986 section 6.2.2). Grants and policies
//! see decoded segments, so `%61dmin` is `admin`.

use serde_json::{Map, Value};

use crate::base::reason::Reason;
use crate::base::unicode::{is_invisible, is_like_ascii};
use crate::http::host::{Compared, Host};
use crate::http::request::Headers;

/// The longest path with query that is looked at, in bytes.
const MAX_PATH: usize = 16 * 1024;
/// The most segments a path may have; bounds the work of the route tree.
pub(crate) const MAX_SEGMENTS: usize = 64;

/// What the request asks for, in exactly one reading.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Target {
    /// Upper-case method.
    pub method: String,
    /// `http` or `https`, as the host says; empty if it does not.
    pub scheme: String,
    /// The host by which the proxy routes, in lower case: with its port and the dot at its end, if it has them.
    pub host: String,
    /// The path as it was sent, without the query. `*` for a CONNECT or OPTIONS without a path.
    pub path: String,
    /// The path's decoded segments; empty for `/` and `*`. A trailing slash is an empty last one. As the server behind
    /// the host compares them, if that is configured.
    pub segments: Vec<String>,
    /// The raw query without `?`; `None` if there is no `?`.
    pub query: Option<Vec<u8>>,
    /// The path holds `;`, which servers read differently: only a grant that opts in admits it.
    pub has_semicolon: bool,
}

/// Why a target is refused: the reason, and for the record what was wrong.
pub(crate) type TargetError = (Reason, &'static str);

impl Target {
    /// Reads the pseudo-headers.
    ///
    /// # Errors
    /// The reason for the refusal, all of status 400, and what is wrong with the request.
    pub(crate) fn read(headers: &Headers) -> Result<Self, TargetError> {
        let method = method(headers)?;
        let scheme = match headers.only(":scheme") {
            Some(b"https") => "https",
            Some(b"http") => "http",
            _ => "",
        };
        let host = host(headers)?;
        let raw = match headers.only(":path") {
            Some(path) => path,
            // RFC 9113 section 8.5: CONNECT has no path.
            None if method == "CONNECT" && headers.all(":path").next().is_none() => b"*",
            None => return Err((Reason::PathAmbiguous, "`:path` is missing or repeated")),
        };
        let (path, query) = split_query(raw)?;
        let mut target = Self {
            has_semicolon: path.contains(';'),
            method,
            scheme: scheme.to_owned(),
            host,
            path: path.to_owned(),
            segments: Vec::new(),
            query: query.map(<[u8]>::to_vec),
        };
        if path == "*" {
            if !matches!(target.method.as_str(), "CONNECT" | "OPTIONS") {
                return Err((Reason::PathAmbiguous, "`*` is a target of CONNECT and OPTIONS only"));
            }
            return Ok(target);
        }
        let Some(relative) = path.strip_prefix('/') else {
            return Err((Reason::PathAmbiguous, "the path does not start with `/`"));
        };
        if !relative.is_empty() {
            for segment in relative.split('/') {
                if target.segments.len() >= MAX_SEGMENTS {
                    return Err((Reason::PathAmbiguous, "the path has too many segments"));
                }
                let decoded = decode_segment(segment)?;
                target.has_semicolon |= decoded.contains(';');
                target.segments.push(decoded);
            }
        }
        // Only the last segment may be empty: `/a/` is a path, `//` and `/a//b` are ambiguous.
        let inner = target.segments.split_last().map(|(_, inner)| inner).unwrap_or_default();
        if inner.iter().any(String::is_empty) {
            return Err((Reason::PathAmbiguous, "the path holds an empty segment"));
        }
        Ok(target)
    }

    /// Takes the segments as the server behind the host does. What is sent on stays what it is.
    pub(crate) fn fold(&mut self, host: Host) {
        if host.path_case == Compared::Fold {
            for segment in &mut self.segments {
                if segment.chars().any(|c| !c.is_lowercase() && c.is_alphabetic()) {
                    *segment = segment.to_lowercase();
                }
            }
        }
        if host.trailing_slash == Compared::Fold && self.segments.last().is_some_and(String::is_empty) {
            self.segments.pop();
        }
    }

    /// The host without its port.
    pub(crate) fn host_name(&self) -> &str {
        split_port(&self.host).0
    }

    /// The path with the query, as it was sent.
    pub(crate) fn path_and_query(&self) -> String {
        match &self.query {
            Some(query) => format!("{}?{}", self.path, String::from_utf8_lossy(query)),
            None => self.path.clone(),
        }
    }

    /// The query as names to values, decoded; `+` is a blank.
    ///
    /// # Errors
    /// A bad escape or a result that is not UTF-8.
    pub(crate) fn query_values(&self) -> Result<Map<String, Value>, TargetError> {
        let mut values = Map::new();
        let Some(query) = &self.query else { return Ok(values) };
        for pair in query.split(|b| *b == b'&').filter(|pair| !pair.is_empty()) {
            let mut halves = pair.splitn(2, |b| *b == b'=');
            let name = decode_query(halves.next().unwrap_or_default())?;
            let value = decode_query(halves.next().unwrap_or_default())?;
            if let Value::Array(list) = values.entry(name).or_insert_with(|| Value::Array(Vec::new())) {
                list.push(Value::String(value));
            }
        }
        Ok(values)
    }
}

fn method(headers: &Headers) -> Result<String, TargetError> {
    let bytes = headers.only(":method").unwrap_or_default();
    let valid = (1..=32).contains(&bytes.len()) && bytes.iter().all(|b| b.is_ascii_uppercase() || *b == b'-');
    match std::str::from_utf8(bytes) {
        Ok(method) if valid => Ok(method.to_owned()),
        _ => Err((Reason::MethodInvalid, "the method is not a token of upper-case letters")),
    }
}

fn host(headers: &Headers) -> Result<String, TargetError> {
    let bytes =
        headers.only(":authority").ok_or((Reason::HostInvalid, "`:authority` is missing or repeated"))?;
    let text = std::str::from_utf8(bytes).map_err(|_| (Reason::HostInvalid, "the host is not ASCII"))?;
    let (name, port) = split_port(text);
    match name.strip_prefix('[') {
        Some(rest) => {
            let ip = rest.strip_suffix(']').ok_or((Reason::HostInvalid, "`[` without `]` at the end"))?;
            if ip.parse::<std::net::Ipv6Addr>().is_err() {
                return Err((Reason::HostInvalid, "not an IPv6 address in brackets"));
            }
        }
        None => {
            let name = name.strip_suffix('.').unwrap_or(name);
            let valid = (1..=253).contains(&name.len())
                && name.split('.').all(|label| {
                    !label.is_empty()
                        && label.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-' || b == b'_')
                });
            if !valid {
                return Err((Reason::HostInvalid, "the host is not a host name"));
            }
        }
    }
    if port.is_none_or(is_port) {
        Ok(text.to_ascii_lowercase())
    } else {
        Err((Reason::HostInvalid, "the port is not a number"))
    }
}

/// A host's name or bracketed address, and what stands behind the colon after it.
pub(crate) fn split_port(host: &str) -> (&str, Option<&str>) {
    match host.rsplit_once(':') {
        // The colons of an address stand inside its brackets.
        Some((name, port)) if !port.ends_with(']') => (name, Some(port)),
        _ => (host, None),
    }
}

/// A number of a port, in the one way to write it.
pub(crate) fn is_port(text: &str) -> bool {
    text.parse::<u16>().is_ok_and(|port| port != 0 && port.to_string() == text)
}

fn split_query(raw: &[u8]) -> Result<(&str, Option<&[u8]>), TargetError> {
    if raw.len() > MAX_PATH {
        return Err((Reason::PathTooLong, "the path is longer than 16 KiB"));
    }
    let mut halves = raw.splitn(2, |b| *b == b'?');
    let path = halves.next().unwrap_or_default();
    let query = halves.next();
    if query.is_some_and(|query| query.iter().any(|b| b.is_ascii_control() || matches!(b, b'#' | b' '))) {
        return Err((Reason::PathAmbiguous, "the query holds `#`, a blank or a control character"));
    }
    for byte in path {
        let wrong = match byte {
            b'#' => "the path holds `#`",
            b'\\' => "the path holds a backslash",
            0x21..=0x7e => continue,
            _ => "the path holds a blank, a control character or a byte beyond ASCII",
        };
        return Err((Reason::PathAmbiguous, wrong));
    }
    // All bytes are ASCII by now.
    let path = std::str::from_utf8(path).map_err(|_| (Reason::PathAmbiguous, "the path is not ASCII"))?;
    Ok((path, query))
}

/// Decodes one segment; refuses what decodes to a delimiter or to a dot segment.
fn decode_segment(segment: &str) -> Result<String, TargetError> {
    let decoded = if segment.contains('%') {
        percent_decode(segment.as_bytes()).ok_or((Reason::PathAmbiguous, "the path holds a bad escape"))?
    } else {
        segment.as_bytes().to_vec()
    };
    for byte in &decoded {
        let wrong = match byte {
            b'/' => "the path holds `%2F`",
            b'\\' => "the path holds `%5C`",
            b'%' => "the path is encoded twice",
            b'#' | b'?' if segment.contains('%') => "the path holds an encoded `#` or `?`",
            0..=0x1f | 0x7f => "the path holds an encoded control character",
            _ => continue,
        };
        return Err((Reason::PathAmbiguous, wrong));
    }
    // `..;x` is a dot segment to servers that cut parameters off.
    let name = decoded.split(|b| *b == b';').next().unwrap_or_default();
    if matches!(name, b"." | b"..") {
        return Err((Reason::PathAmbiguous, "the path holds a dot segment"));
    }
    let decoded = String::from_utf8(decoded)
        .map_err(|_| (Reason::PathAmbiguous, "the path is not UTF-8 when decoded"))?;
    match folded_by_some(&decoded) {
        None => Ok(decoded),
        Some(wrong) => Err((Reason::PathAmbiguous, wrong)),
    }
}

/// Why some servers take a decoded segment for another one, with which a stricter grant would be evaded.
pub(crate) fn folded_by_some(segment: &str) -> Option<&'static str> {
    // Also before what is cut off with `;`.
    let ends = |end: &[char]| segment.ends_with(end) || segment.split(';').any(|part| part.ends_with(end));
    if segment.starts_with(' ') || ends(&['.', ' ']) {
        return Some("a segment of the path begins or ends with a blank, or ends with a dot");
    }
    if segment.is_ascii() {
        return None;
    }
    let mut odd = segment.chars().filter(|c| !c.is_ascii());
    odd.any(|c| is_invisible(c) || is_like_ascii(c))
        .then_some("the path holds a character that is not seen, or is one of ASCII to some servers")
}

fn decode_query(bytes: &[u8]) -> Result<String, TargetError> {
    let blanks: Vec<u8> = bytes.iter().map(|b| if *b == b'+' { b' ' } else { *b }).collect();
    let decoded = percent_decode(&blanks).ok_or((Reason::QueryInvalid, "the query holds a bad escape"))?;
    String::from_utf8(decoded).map_err(|_| (Reason::QueryInvalid, "the query is not UTF-8 when decoded"))
}

/// RFC 3986 section 2.1; `None` for `%` without two hexadecimal digits.
fn percent_decode(bytes: &[u8]) -> Option<Vec<u8>> {
    let mut decoded = Vec::with_capacity(bytes.len());
    let mut rest = bytes.iter();
    let hex = |byte: Option<&u8>| char::from(*byte?).to_digit(16).and_then(|digit| u8::try_from(digit).ok());
    while let Some(byte) = rest.next() {
        match byte {
            b'%' => {
                let (high, low) = (hex(rest.next())?, hex(rest.next())?);
                decoded.push(high << 4 | low);
            }
            other => decoded.push(*other),
        }
    }
    Some(decoded)
}

#[cfg(test)]
mod tests;
