//! Where the credential of a request is found (RFC 6750 section 2.1).

use crate::base::ascii;
use crate::base::reason::Reason;
use crate::http::request::Headers;

/// A header that may hold a credential, behind one of these schemes.
#[derive(Debug)]
pub(crate) struct CredentialSource {
    pub(crate) header: String,
    pub(crate) schemes: Vec<String>,
    /// The upstream sees it.
    pub(crate) forward: bool,
}

/// A credential as it was presented: not yet believed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Presented<'a> {
    /// The token or key itself.
    pub(crate) text: &'a str,
    /// It came with the scheme `DPoP` (RFC 9449 section 7.1).
    pub(crate) is_dpop: bool,
}

/// Looks for the one credential of the request in the configured headers.
///
/// # Errors
/// [`Reason::CredentialAmbiguous`] if there is more than one, or one that two readers could take
/// for different ones; and what was wrong, for the record.
pub(crate) fn find<'a>(
    headers: &'a Headers,
    sources: &[CredentialSource],
) -> Result<Option<Presented<'a>>, (Reason, &'static str)> {
    let mut found: Option<Presented<'a>> = None;
    for source in sources {
        let mut values = headers.all(&source.header);
        let Some(value) = values.next() else { continue };
        if values.next().is_some() {
            return Err((Reason::CredentialAmbiguous, "a credential header is repeated"));
        }
        let presented = read(value, &source.schemes)?;
        if found.is_some_and(|other| other.text != presented.text) {
            return Err((Reason::CredentialAmbiguous, "two different credentials"));
        }
        found = found.or(Some(presented));
    }
    Ok(found)
}

fn read<'a>(value: &'a [u8], schemes: &[String]) -> Result<Presented<'a>, (Reason, &'static str)> {
    // Envoy joins repeated Authorization headers with a comma, and a token never holds one.
    if value.contains(&b',') {
        return Err((Reason::CredentialAmbiguous, "a credential holds a comma"));
    }
    let text =
        std::str::from_utf8(value).map_err(|_| (Reason::TokenMalformed, "the credential is not ASCII"))?;
    let (name, rest) = text.split_once(' ').unwrap_or((text, ""));
    // RFC 9110 section 11.1: the scheme's case does not matter.
    let named = schemes.iter().find(|scheme| !scheme.is_empty() && scheme.eq_ignore_ascii_case(name));
    let presented = match (named, schemes.iter().any(String::is_empty)) {
        // RFC 9110 section 11.4: one blank, or more.
        (Some(scheme), _) => {
            let text = rest.trim_start_matches(' ');
            Presented { text, is_dpop: scheme.eq_ignore_ascii_case("DPoP") }
        }
        (None, true) => Presented { text, is_dpop: false },
        (None, false) => return Err((Reason::TokenMalformed, "the credential has another scheme")),
    };
    if !presented.text.is_empty() && ascii::is_graphic(presented.text.as_bytes()) {
        Ok(presented)
    } else {
        Err((Reason::TokenMalformed, "the credential is not one token"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn find_in(pairs: &[(&str, &[u8])]) -> Result<Option<String>, Reason> {
        let headers = Headers::new(pairs.iter().map(|(n, v)| (n.to_string(), v.to_vec())).collect());
        let sources = [
            CredentialSource {
                header: "authorization".into(),
                schemes: vec!["Bearer".into(), "DPoP".into()],
                forward: true,
            },
            CredentialSource { header: "x-api-token".into(), schemes: vec![String::new()], forward: true },
        ];
        find(&headers, &sources).map(|t| t.map(|t| t.text.to_owned())).map_err(|(reason, _)| reason)
    }

    #[test]
    fn one_token_is_found_in_any_configured_header() {
        assert_eq!(find_in(&[]), Ok(None));
        assert_eq!(find_in(&[("cookie", b"Bearer a")]), Ok(None));
        assert_eq!(find_in(&[("authorization", b"bEARER a.b.c")]), Ok(Some("a.b.c".into())));
        assert_eq!(find_in(&[("authorization", b"dpop a.b.c")]), Ok(Some("a.b.c".into())));
        assert_eq!(find_in(&[("authorization", b"Bearer   a.b.c")]), Ok(Some("a.b.c".into())));
        assert_eq!(find_in(&[("x-api-token", b"a.b.c")]), Ok(Some("a.b.c".into())));
        assert_eq!(find_in(&[("authorization", b"Bearer a"), ("x-api-token", b"a")]), Ok(Some("a".into())));
    }

    #[test]
    fn what_two_readers_could_read_differently_is_refused() {
        for pairs in [
            &[("authorization", &b"Bearer a"[..]), ("authorization", b"Bearer a")][..],
            &[("authorization", b"Bearer a,Bearer b")],
            &[("authorization", b"Bearer a"), ("authorization", b"DPoP a")],
            &[("authorization", b"DPoP a"), ("x-api-token", b"b")],
            &[("authorization", b"Bearer a"), ("x-api-token", b"b")],
        ] {
            assert_eq!(find_in(pairs), Err(Reason::CredentialAmbiguous));
        }
        for value in [
            &b"Basic dTpw"[..],
            b"Bearer",
            b"Bearer ",
            b"Bearer   ",
            b"Bearer \ta",
            b"Bearer  a b",
            b" Bearer a",
            b"Bearer\ta",
            b"Bearer a b",
            b"Bearer \xff",
            b"",
            b"a.b.c",
        ] {
            assert_eq!(find_in(&[("authorization", value)]), Err(Reason::TokenMalformed));
        }
    }
}
