//! Hosts as grants name them, and how the servers behind them compare paths.

use serde::Deserialize;
#[cfg(feature = "schema")]
use serde::Serialize;

/// Behind a host that grants name: with whatever port, and without one.
pub(crate) const ANY_PORT: &str = ":*";

/// What is wrong with a host that a grant or its like names.
pub(crate) fn no_host(host: &str) -> String {
    let instead = instead_of_host(host);
    format!("`{host}` is not a host in lower case such as `h`, `h:8080` or `h:*`{instead}")
}

/// What to write instead of what is no host, for what people bring along: URLs and wildcards.
pub(crate) fn instead_of_host(text: &str) -> String {
    match text.split_once("://") {
        Some((_, rest)) => {
            let host = rest.split(['/', '?', '#']).next().unwrap_or_default().to_ascii_lowercase();
            format!("; of a URL write the host alone, `{host}`")
        }
        None if text.starts_with('*') => "; there are no wildcards: write each host".to_owned(),
        None => String::new(),
    }
}

/// How the server behind a host compares paths: grants and policies see them likewise.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields, default, expecting = "an object")]
pub struct Host {
    /// Letter case: with `fold` segments are in lower case.
    pub path_case: Compared,
    /// A slash at the end: with `fold` it is not there.
    pub trailing_slash: Compared,
}

/// Whether a difference tells two paths apart.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema, Serialize))]
#[serde(rename_all = "snake_case")]
pub enum Compared {
    /// It does.
    #[default]
    Exact,
    /// It does not.
    Fold,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn urls_and_wildcards_are_told_what_to_write() {
        for (text, instead) in [
            ("https://Orders.example/x", "; of a URL write the host alone, `orders.example`"),
            ("http://orders.example:8080", "; of a URL write the host alone, `orders.example:8080`"),
            ("*.example", "; there are no wildcards: write each host"),
            ("orders.example/x", ""),
            ("Orders.example", ""),
            ("orders.*", ""),
        ] {
            assert_eq!(instead_of_host(text), instead, "{text}");
        }
    }
}
