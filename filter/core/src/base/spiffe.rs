//! SPIFFE IDs: `spiffe://<trust domain>/<path>` (SPIFFE-ID section 2).
//!
//! Every valid ID has one spelling, so IDs are compared as text.

/// The longest SPIFFE ID, in bytes (SPIFFE-ID section 2.3).
const MAX_BYTES: usize = 2048;
/// The longest name of a trust domain, in bytes (SPIFFE-ID section 2.3).
const MAX_TRUST_DOMAIN: usize = 255;

/// A SPIFFE ID that keeps the rules.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct SpiffeId<'a> {
    trust_domain: &'a str,
    path: &'a str,
}

impl<'a> SpiffeId<'a> {
    /// Takes a SPIFFE ID apart. What other readers would normalize is refused: upper case in the
    /// scheme or the trust domain, percent-encoding, dot segments, empty segments.
    ///
    /// # Errors
    /// Which rule of SPIFFE-ID section 2 the text breaks.
    pub(crate) fn parse(text: &'a str) -> Result<Self, &'static str> {
        if text.len() > MAX_BYTES {
            return Err("the SPIFFE ID is longer than 2048 bytes");
        }
        let hier = text.strip_prefix("spiffe://").ok_or("the SPIFFE ID does not start with `spiffe://`")?;
        let (trust_domain, path) = match hier.find('/').and_then(|slash| hier.split_at_checked(slash)) {
            Some(parts) => parts,
            None => (hier, ""),
        };
        if !is_trust_domain(trust_domain) {
            return Err("the trust domain of the SPIFFE ID is not 1 to 255 of `a-z`, `0-9`, `.`, `_`, `-`");
        }
        // What stands before the first slash is no segment.
        for segment in path.split('/').skip(1) {
            match segment {
                "" => return Err("the path of the SPIFFE ID has an empty segment or a trailing slash"),
                "." | ".." => return Err("the path of the SPIFFE ID has a dot segment"),
                _ if !segment.bytes().all(is_path_byte) => {
                    return Err(
                        "the path of the SPIFFE ID holds more than `a-z`, `A-Z`, `0-9`, `.`, `_`, `-`",
                    )
                }
                _ => {}
            }
        }
        Ok(Self { trust_domain, path })
    }

    /// The name of the trust domain.
    pub(crate) fn trust_domain(&self) -> &'a str {
        self.trust_domain
    }

    /// The path with its leading slash. Empty for the ID of the trust domain itself.
    pub(crate) fn path(&self) -> &'a str {
        self.path
    }
}

/// Whether this is the name of a trust domain (SPIFFE-ID section 2.1): no port, no user.
pub(crate) fn is_trust_domain(name: &str) -> bool {
    (1..=MAX_TRUST_DOMAIN).contains(&name.len())
        && name.bytes().all(|byte| is_path_byte(byte) && !byte.is_ascii_uppercase())
}

fn is_path_byte(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'_' | b'-')
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parts(text: &str) -> Option<(&str, &str)> {
        SpiffeId::parse(text).ok().map(|id| (id.trust_domain(), id.path()))
    }

    #[test]
    fn an_id_is_a_trust_domain_and_a_path() {
        assert_eq!(parts("spiffe://trustdomain"), Some(("trustdomain", "")));
        assert_eq!(parts("spiffe://trustdomain/host"), Some(("trustdomain", "/host")));
        assert_eq!(parts("spiffe://a-b_c.1/ns/A/sa/b.c-d_e"), Some(("a-b_c.1", "/ns/A/sa/b.c-d_e")));
        assert_eq!(parts("spiffe://10.0.0.1/..."), Some(("10.0.0.1", "/...")));
        assert_eq!(parts("spiffe://td/.a/a./..b"), Some(("td", "/.a/a./..b")));
    }

    #[test]
    fn what_is_not_plainly_an_id_is_refused() {
        for bad in [
            "",
            "invalid subject",
            "trustdomain/host",
            "spiffe:",
            "spiffe:/td/a",
            "spiffe:td/a",
            "//td/a",
            " spiffe://td/a",
            "SPIFFE://td/a",
            "Spiffe://td/a",
            "https://td/a",
            "xspiffe://td/a",
        ] {
            assert_eq!(parts(bad), None, "{bad}");
        }
    }

    #[test]
    fn a_trust_domain_is_a_lower_case_name_alone() {
        for bad in [
            "",
            "TD",
            "Td",
            "td:443",
            "td:",
            "user@td",
            "user:pass@td",
            "@td",
            "[::1]",
            "t%64",
            "t d",
            "td\\",
            "td?",
            "td#",
            "td*",
            "tđ",
            "td\0",
            "td\n",
            "a/b",
        ] {
            assert!(!is_trust_domain(bad), "{bad}");
            if !bad.contains('/') {
                assert_eq!(parts(&format!("spiffe://{bad}")), None, "{bad}");
                assert_eq!(parts(&format!("spiffe://{bad}/a")), None, "{bad}");
            }
        }
        assert!(is_trust_domain("staging.example.com"));
        assert!(is_trust_domain(&"a".repeat(255)));
        assert!(!is_trust_domain(&"a".repeat(256)));
        assert_eq!(parts(&format!("spiffe://{}/a", "a".repeat(256))), None);
    }

    #[test]
    fn a_path_has_plain_segments_only() {
        for bad in [
            "/", "//", "//a", "/a/", "/a//b", "/.", "/..", "/./a", "/a/../b", "/a/..", "/a%2fb", "/%61",
            "/a?b", "/a?", "/a#b", "/a#", "/a b", "/a:b", "/a@b", "/a;b", "/a=b", "/a,b", "/a\\b", "/a~b",
            "/a*", "/{a}", "/ä", "/a\0", "/a\r\n",
        ] {
            assert_eq!(parts(&format!("spiffe://td{bad}")), None, "{bad}");
        }
    }

    #[test]
    fn the_length_is_bounded() {
        let long = |bytes: usize| format!("spiffe://td/{}", "a".repeat(bytes - "spiffe://td/".len()));
        assert!(parts(&long(2048)).is_some());
        assert_eq!(parts(&long(2049)), None);
    }

    quickcheck::quickcheck! {
        fn any_text_is_read_or_refused(text: String) -> bool {
            let _ = SpiffeId::parse(&text);
            true
        }

        /// Whatever follows the scheme: what passes is spelled the only way there is.
        fn any_id_is_refused_or_plain(rest: String) -> bool {
            let text = format!("spiffe://{rest}");
            let Ok(id) = SpiffeId::parse(&text) else { return true };
            let (trust_domain, path) = (id.trust_domain(), id.path());
            format!("spiffe://{trust_domain}{path}") == text
                && is_trust_domain(trust_domain)
                && !text.contains(['%', '?', '#', '@', '\\', ' '])
        }

        /// Any path of plain segments passes and comes back.
        fn plain_segments_pass(segments: Vec<u8>) -> bool {
            let path: String = segments.iter().take(100).map(|byte| format!("/s{byte}")).collect();
            parts(&format!("spiffe://td{path}")) == Some(("td", &path))
        }
    }
}
