//! The header `x-forwarded-client-cert` (XFCC) as Envoy writes it: elements joined by `,`, each of
//! pairs `key=value` joined by `;`, a value quoted or bare.
//!
//! Envoy escapes nothing: the backslashes in a quoted subject are those of RFC 2253, and a URI or
//! DNS name stands bare, whatever it holds. A certificate whose URI holds `;` or `,` therefore reads
//! as more pairs or more elements, and only the certificate itself could tell.

/// The longest header, in bytes.
const MAX_BYTES: usize = 64 * 1024;
/// The most elements: proxies that the request came through.
const MAX_ELEMENTS: usize = 32;

const KEYS: [&str; 7] = ["by", "hash", "cert", "chain", "subject", "uri", "dns"];
/// The keys that one element may hold several times: one pair for each name of the certificate.
const REPEATABLE: [&str; 3] = ["by", "uri", "dns"];

/// What one proxy says of the client certificate that it saw. An empty value counts as absent.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Element {
    /// SHA-256 of the certificate's DER: 64 lower-case hex digits.
    pub(crate) hash: Option<String>,
    /// The URI names, not decoded.
    pub(crate) uris: Vec<String>,
    /// The DNS names.
    pub(crate) dns: Vec<String>,
    /// The subject as RFC 2253 text. Its escapes are kept: without them `CN=a\\,O=b` and
    /// `CN=a\,O=b` would read the same.
    pub(crate) subject: Option<String>,
}

/// Parses the header, oldest proxy first. Blanks are allowed around the comma between elements,
/// where header lines are joined, and nowhere else.
///
/// # Errors
/// What is wrong with the header: nothing is skipped and nothing repaired.
pub(crate) fn parse(value: &[u8]) -> Result<Vec<Element>, &'static str> {
    if value.len() > MAX_BYTES {
        return Err("the header is longer than 64 KiB");
    }
    let mut rest = match std::str::from_utf8(value) {
        Ok(text) if text.bytes().all(|byte| matches!(byte, b' '..=b'~')) => text,
        _ => return Err("the header holds more than printable ASCII"),
    };
    let mut elements = Vec::new();
    loop {
        if elements.len() == MAX_ELEMENTS {
            return Err("the header has more than 32 elements");
        }
        let (element, after) = parse_element(rest)?;
        elements.push(element);
        if after.is_empty() {
            return Ok(elements);
        }
        let next = after.trim_start_matches(' ').strip_prefix(',').ok_or("text behind a value")?;
        rest = next.trim_start_matches(' ');
    }
}

/// The element that the text starts with, and what follows it.
fn parse_element(mut text: &str) -> Result<(Element, &str), &'static str> {
    let mut element = Element::default();
    let mut seen = Vec::new();
    loop {
        let (key, value, rest) = parse_pair(text)?;
        if seen.contains(&key) && !REPEATABLE.contains(&key) {
            return Err("a key is repeated");
        }
        seen.push(key);
        match key {
            _ if value.is_empty() => {}
            "hash" => element.hash = Some(sha256_hex(value)?),
            "uri" => element.uris.push(value.to_owned()),
            "dns" => element.dns.push(value.to_owned()),
            "subject" => element.subject = Some(value.to_owned()),
            _ => {}
        }
        match rest.strip_prefix(';') {
            Some(next) => text = next,
            None => return Ok((element, rest)),
        }
    }
}

/// The pair that the text starts with: the key in lower case, the value, and what follows it.
fn parse_pair(text: &str) -> Result<(&'static str, &str, &str), &'static str> {
    if text.is_empty() || text.starts_with([',', ';']) {
        return Err("an empty element or pair");
    }
    let (name, rest) = text.split_once('=').ok_or("a key without a value")?;
    let key = KEYS.into_iter().find(|key| key.eq_ignore_ascii_case(name)).ok_or("an unknown key")?;
    let (value, rest) = match rest.strip_prefix('"') {
        Some(quoted) => split_quoted(quoted).ok_or("a quote is not closed")?,
        None => {
            let end = rest.find([',', ';', '=', '"', ' ']);
            end.and_then(|end| rest.split_at_checked(end)).unwrap_or((rest, ""))
        }
    };
    Ok((key, value, rest))
}

/// The text before and behind the closing quote. A backslash takes the next character with it, or
/// the subject `CN=a\\` would run on into the next pair.
fn split_quoted(text: &str) -> Option<(&str, &str)> {
    let mut escaped = false;
    text.split_once(|c| {
        let closes = c == '"' && !escaped;
        escaped = c == '\\' && !escaped;
        closes
    })
}

fn sha256_hex(value: &str) -> Result<String, &'static str> {
    if value.len() == 64 && value.bytes().all(|byte| byte.is_ascii_hexdigit()) {
        Ok(value.to_ascii_lowercase())
    } else {
        Err("a hash is not 64 hex digits")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const HASH: &str = "468ed33be74eee6556d90c0149c1309e9ba61d6425303443c0748a02dd8de688";

    fn one(header: &str) -> Element {
        let elements = parse(header.as_bytes()).unwrap();
        assert_eq!(elements.len(), 1, "{header}");
        elements.into_iter().next().unwrap()
    }

    fn error(header: &str) -> &'static str {
        match parse(header.as_bytes()) {
            Ok(elements) => panic!("{header} is {elements:?}"),
            Err(error) => error,
        }
    }

    fn subject(header: &str) -> Option<String> {
        one(header).subject
    }

    #[test]
    fn an_element_holds_what_the_proxy_saw() {
        let header = format!(
            "By=spiffe://td/proxy;Hash={HASH};Cert=\"-----BEGIN%20CERTIFICATE-----%0AMIIB%3D%0A\";\
             Chain=\"a%2Cb\";Subject=\"CN=a,O=b\";URI=spiffe://td/a;DNS=a.example;DNS=b.example"
        );
        let expected = Element {
            hash: Some(HASH.into()),
            uris: vec!["spiffe://td/a".into()],
            dns: vec!["a.example".into(), "b.example".into()],
            subject: Some("CN=a,O=b".into()),
        };
        assert_eq!(one(&header), expected);
    }

    #[test]
    fn elements_stand_oldest_first() {
        let uris = |header: &str| -> Vec<Vec<String>> {
            parse(header.as_bytes()).unwrap().into_iter().map(|element| element.uris).collect()
        };
        for header in
            ["URI=a,URI=b", "URI=a, URI=b", "URI=a ,URI=b", "URI=a  ,   URI=b", "URI=\"a\" , URI=\"b\""]
        {
            assert_eq!(uris(header), [["a"], ["b"]], "{header}");
        }
        assert_eq!(uris("By=x;URI=a;URI=b;By=y,By=z"), [vec!["a", "b"], vec![]]);
    }

    #[test]
    fn keys_have_any_case_and_values_keep_theirs() {
        let element = one(&format!("HASH={};uri=spiffe://td/A;dNs=A;sUBJECT=CN", HASH.to_uppercase()));
        assert_eq!(element.hash.as_deref(), Some(HASH));
        assert_eq!(element.uris, ["spiffe://td/A"]);
        assert_eq!(element.dns, ["A"]);
        assert_eq!(element.subject.as_deref(), Some("CN"));
    }

    #[test]
    fn empty_values_are_absent() {
        for header in ["URI=", "Hash=", "Hash=\"\";Subject=\"\";URI=\"\";DNS=", "By=;URI=;URI="] {
            assert_eq!(one(header), Element::default(), "{header}");
        }
        assert_eq!(one("URI=;URI=a").uris, ["a"]);
        assert_eq!(parse(b"URI= ,URI=").unwrap().len(), 2);
    }

    #[test]
    fn quoted_values_hold_separators_and_escapes() {
        assert_eq!(subject(r#"Subject="a,b;URI=c d""#).unwrap(), "a,b;URI=c d");
        assert_eq!(one(r#"Subject="a,b;URI=c d""#).uris, [""; 0]);
        assert_eq!(subject(r#"Subject="CN=a\"b";URI=c"#).unwrap(), r#"CN=a\"b"#);
        assert_eq!(subject(r#"Subject="CN=a\",URI=b""#).unwrap(), r#"CN=a\",URI=b"#);
        assert_eq!(subject(r#"Subject="O=a\\,CN=b\,c\;d\C3\A9""#).unwrap(), r"O=a\\,CN=b\,c\;d\C3\A9");
        assert_eq!(one(r#"Subject="CN=a\\";URI=b"#).uris, ["b"]);
        assert_eq!(one(r#"Subject="CN=a\\\"";URI=b"#).uris, ["b"]);
        assert_eq!(one(r#"URI="spiffe://td/a";DNS="b""#).uris, ["spiffe://td/a"]);
        assert_eq!(one("DNS=a\\").dns, ["a\\"]);
    }

    #[test]
    fn names_are_not_decoded() {
        assert_eq!(one("URI=spiffe://td/a%2Fb%00").uris, ["spiffe://td/a%2Fb%00"]);
    }

    #[test]
    fn what_is_not_the_grammar_is_refused() {
        for (header, expected) in [
            ("", "an empty element or pair"),
            (",", "an empty element or pair"),
            (";", "an empty element or pair"),
            ("URI=a,", "an empty element or pair"),
            ("URI=a, ", "an empty element or pair"),
            (",URI=a", "an empty element or pair"),
            ("URI=a,,URI=b", "an empty element or pair"),
            ("URI=a, ,URI=b", "an empty element or pair"),
            ("URI=a;", "an empty element or pair"),
            (";URI=a", "an empty element or pair"),
            ("URI=a;;DNS=b", "an empty element or pair"),
            ("URI=a;,DNS=b", "an empty element or pair"),
            ("URI", "a key without a value"),
            (" ", "a key without a value"),
            ("URI=a;DNS", "a key without a value"),
            ("URI=a,DNS", "a key without a value"),
            ("=a", "an unknown key"),
            ("URI;DNS=b", "an unknown key"),
            ("SAN=a", "an unknown key"),
            ("URI =a", "an unknown key"),
            (" URI=a", "an unknown key"),
            ("\"URI\"=a", "an unknown key"),
            ("URI=a; DNS=b", "an unknown key"),
            ("URI=a=b", "text behind a value"),
            ("URI==", "text behind a value"),
            ("URI= a", "text behind a value"),
            ("URI=a ", "text behind a value"),
            ("URI=a ;DNS=b", "text behind a value"),
            ("URI=a b", "text behind a value"),
            ("URI=a\"b\"", "text behind a value"),
            ("Subject=\"a\"b", "text behind a value"),
            ("Subject=\"a\"\"b\"", "text behind a value"),
            ("Subject=\"a\" ", "text behind a value"),
            ("Subject=\"a\" ;URI=b", "text behind a value"),
            ("Subject=\"", "a quote is not closed"),
            ("Subject=\"a", "a quote is not closed"),
            ("Subject=\"a\\\"", "a quote is not closed"),
            ("Subject=\"a\\", "a quote is not closed"),
            ("Subject=\"a\\\\\\\";URI=b", "a quote is not closed"),
        ] {
            assert_eq!(error(header), expected, "{header}");
        }
    }

    #[test]
    fn single_keys_are_not_repeated() {
        for key in ["Hash", "Cert", "Chain", "Subject"] {
            assert_eq!(error(&format!("{key}=;URI=a;{}=", key.to_lowercase())), "a key is repeated");
            assert!(parse(format!("{key}=,{key}=").as_bytes()).is_ok());
        }
    }

    #[test]
    fn hashes_are_sha256_in_hex() {
        let (short, long) = (HASH.trim_end_matches('8'), format!("{HASH}0"));
        for bad in ["abcdefg", short, &long, &HASH.replace('d', ":"), &HASH.replace('d', "g")] {
            assert_eq!(error(&format!("Hash={bad}")), "a hash is not 64 hex digits", "{bad}");
        }
    }

    #[test]
    fn only_printable_ascii_passes() {
        for bad in [
            &b"URI=a\r\nURI=b"[..],
            b"URI=a\n",
            b"URI=a,\tURI=b",
            b"URI=\0",
            b"Subject=\"a\x7f\"",
            b"Subject=\"\xc3\xa9\"",
            b"Subject=\"\xff\"",
        ] {
            assert_eq!(parse(bad), Err("the header holds more than printable ASCII"));
        }
    }

    #[test]
    fn size_and_elements_are_bounded() {
        let uri = |bytes: usize| format!("URI={}", "a".repeat(bytes - "URI=".len()));
        assert!(parse(uri(65_536).as_bytes()).is_ok());
        assert_eq!(error(&uri(65_537)), "the header is longer than 64 KiB");
        assert_eq!(parse(vec!["URI=a"; 32].join(",").as_bytes()).unwrap().len(), 32);
        assert_eq!(error(&vec!["URI=a"; 33].join(",")), "the header has more than 32 elements");
    }

    quickcheck::quickcheck! {
        fn any_bytes_are_read_or_refused(bytes: Vec<u8>) -> bool {
            let _ = parse(&bytes);
            true
        }

        /// Any row of the grammar's own pieces: no panic, and what passes has no empty value.
        fn any_pieces_are_read_or_refused(picks: Vec<u8>) -> bool {
            let pieces = ["URI=", "DNS=", "Hash=", "Subject=", "\"", "\\", ",", ";", "=", " ", "a", HASH];
            let piece = |pick: u8| pieces.iter().cycle().nth(pick.into()).unwrap();
            let header: String = picks.into_iter().map(piece).copied().collect();
            let Ok(elements) = parse(header.as_bytes()) else { return true };
            !elements.is_empty()
                && elements.iter().all(|element| {
                    let values = element.uris.iter().chain(&element.dns).chain(&element.subject);
                    values.chain(&element.hash).all(|value| !value.is_empty())
                })
        }

        /// Whatever a quoted value holds, once escaped it ends where it should.
        fn an_escaped_value_does_not_leak(text: String) -> bool {
            let text: String = text.chars().filter(|c| matches!(c, ' '..='~')).collect();
            let escaped = text.replace('\\', "\\\\").replace('"', "\\\"");
            let element = one(&format!("Subject=\"{escaped}\";URI=a"));
            element.uris == ["a"] && element.subject.unwrap_or_default() == escaped
        }
    }
}
