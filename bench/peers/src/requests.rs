//! What is sent: whole requests, byte by byte, in memory and in a file for wrk.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

use everycall_core::Algorithm;

use crate::policy::{HOST, IDENTITIES};
use crate::tokens;

/// Different paths.
const PATHS: usize = 10_000;
/// Different tokens where each request brings a new one. Everycall forgets the oldest of 10,000, so each
/// is new again when its turn comes.
pub const FRESH: usize = 12_000;
/// Headers of a large request, and the bytes that they make up with what a small one has, about.
const LARGE_HEADERS: usize = 30;
const LARGE_BYTES: usize = 4_096;

/// Where requests come from.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Source {
    /// A token for each caller.
    Warm(Algorithm),
    /// A new token for each request.
    Fresh(Algorithm),
    /// The same tokens as `Warm` in a request with many headers.
    Large(Algorithm),
}

/// Requests that are sent one after the other, again and again.
pub struct Requests {
    pub file: PathBuf,
    pub all: Vec<Vec<u8>>,
}

/// Tokens by algorithm.
pub struct Tokens(Vec<(Algorithm, Vec<String>)>);

impl Tokens {
    /// As many as these sources need.
    pub fn for_all(sources: &BTreeSet<Source>) -> anyhow::Result<Self> {
        let mut all = Vec::new();
        for algorithm in [Algorithm::Rs256, Algorithm::Es256] {
            let is_fresh = sources.contains(&Source::Fresh(algorithm));
            all.push((algorithm, tokens::mint(algorithm, if is_fresh { FRESH } else { IDENTITIES })?));
        }
        Ok(Self(all))
    }

    fn of(&self, algorithm: Algorithm) -> &[String] {
        self.0.iter().find(|(known, _)| *known == algorithm).map_or(&[], |(_, tokens)| tokens)
    }
}

impl Source {
    pub const fn algorithm(self) -> Algorithm {
        match self {
            Source::Warm(algorithm) | Source::Fresh(algorithm) | Source::Large(algorithm) => algorithm,
        }
    }

    /// All its requests, with a file of them in this directory.
    pub fn requests(self, tokens: &Tokens, directory: &Path) -> anyhow::Result<Requests> {
        let tokens = tokens.of(self.algorithm());
        let tokens = if matches!(self, Source::Fresh(_)) { tokens } else { &tokens[..IDENTITIES] };
        let more =
            if matches!(self, Source::Large(_)) { large_headers(tokens[0].len()) } else { String::new() };
        let all: Vec<Vec<u8>> = (0..PATHS.max(tokens.len()))
            .map(|number| request(&path(number), Some(&tokens[number % tokens.len()]), &more))
            .collect();
        let file = directory.join(format!("{self:?}.requests").replace(['(', ')'], "-"));
        fs::write(&file, all.concat())?;
        Ok(Requests { file, all })
    }
}

pub fn path(number: usize) -> String {
    format!("/orders/o-{:05}", number % PATHS)
}

/// A request with these further header lines.
pub fn request(path: &str, token: Option<&str>, more: &str) -> Vec<u8> {
    let credential = token.map_or(String::new(), |token| format!("authorization: Bearer {token}\r\n"));
    format!("GET {path} HTTP/1.1\r\nhost: {HOST}\r\n{credential}{more}\r\n").into_bytes()
}

/// Such as the calls of an agent's tools bring.
fn large_headers(token: usize) -> String {
    let mut lines = String::from(
        "accept: application/json, text/event-stream\r\ncontent-type: application/json\r\n\
         mcp-protocol-version: 2026-07-28\r\nmcp-method: tools/call\r\nmcp-name: show_order\r\n\
         traceparent: 00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01\r\n",
    );
    // With `host` and `authorization`.
    let left = LARGE_HEADERS - lines.lines().count() - 2;
    let bytes = LARGE_BYTES.saturating_sub(token + lines.len() + 100) / left;
    for number in 0..left {
        let name = format!("mcp-param-argument-{number}: ");
        lines.push_str(&format!("{name}{}\r\n", "v".repeat(bytes.saturating_sub(name.len() + 2))));
    }
    lines
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_large_request_has_thirty_headers_of_four_kilobytes() {
        let token = "t".repeat(700);
        let whole = String::from_utf8(request(&path(1), Some(&token), &large_headers(token.len()))).unwrap();
        assert_eq!(whole.lines().count(), 1 + LARGE_HEADERS + 1);
        assert!((3_900..=4_100).contains(&whole.len()), "{}", whole.len());
        assert!(whole.starts_with("GET /orders/o-00001 HTTP/1.1\r\nhost: orders.shop.example\r\n"));
        assert!(whole.ends_with("\r\n\r\n"));
    }
}
