//! Where the credential of a request is found (RFC 6750 section 2.1).

use crate::reason::Reason;
use crate::request::Headers;
use crate::settings::CredentialSource;

/// Looks for the one token of the request in the configured headers.
///
/// # Errors
/// [`Reason::CredentialAmbiguous`] if there is more than one, or one that two readers could take
/// for different ones; and what was wrong, for the record.
pub(crate) fn find<'a>(
    headers: &'a Headers,
    sources: &[CredentialSource],
) -> Result<Option<&'a str>, (Reason, &'static str)> {
    let mut found: Option<&str> = None;
    for source in sources {
        let mut values = headers.all(&source.header);
        let Some(value) = values.next() else { continue };
        if values.next().is_some() {
            return Err((Reason::CredentialAmbiguous, "a credential header is repeated"));
        }
        let token = token(value, &source.scheme)?;
        // The same token in two headers is one credential; two tokens are a question of who reads.
        if found.is_some_and(|other| other != token) {
            return Err((Reason::CredentialAmbiguous, "two different credentials"));
        }
        found = Some(token);
    }
    Ok(found)
}

fn token<'a>(value: &'a [u8], scheme: &str) -> Result<&'a str, (Reason, &'static str)> {
    // Envoy joins repeated Authorization headers with a comma, and a token never holds one.
    if value.contains(&b',') {
        return Err((Reason::CredentialAmbiguous, "a credential holds a comma"));
    }
    let text =
        std::str::from_utf8(value).map_err(|_| (Reason::TokenMalformed, "the credential is not ASCII"))?;
    let token = match scheme {
        "" => text,
        scheme => {
            // RFC 9110 section 11.1: the scheme's case does not matter.
            let (name, token) = text.split_once(' ').unwrap_or((text, ""));
            if !name.eq_ignore_ascii_case(scheme) {
                return Err((Reason::TokenMalformed, "the credential has another scheme"));
            }
            token
        }
    };
    match !token.is_empty() && token.bytes().all(|b| b.is_ascii_graphic()) {
        true => Ok(token),
        false => Err((Reason::TokenMalformed, "the credential is not one token")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn find_in(pairs: &[(&str, &[u8])]) -> Result<Option<String>, Reason> {
        let headers = Headers::new(pairs.iter().map(|(n, v)| (n.to_string(), v.to_vec())).collect());
        let sources = [
            CredentialSource { header: "authorization".into(), scheme: "Bearer".into() },
            CredentialSource { header: "x-api-token".into(), scheme: String::new() },
        ];
        find(&headers, &sources).map(|t| t.map(str::to_owned)).map_err(|(reason, _)| reason)
    }

    #[test]
    fn one_token_is_found_in_any_configured_header() {
        assert_eq!(find_in(&[]), Ok(None));
        assert_eq!(find_in(&[("cookie", b"Bearer a")]), Ok(None));
        assert_eq!(find_in(&[("authorization", b"bEARER a.b.c")]), Ok(Some("a.b.c".into())));
        assert_eq!(find_in(&[("x-api-token", b"a.b.c")]), Ok(Some("a.b.c".into())));
        assert_eq!(find_in(&[("authorization", b"Bearer a"), ("x-api-token", b"a")]), Ok(Some("a".into())));
    }

    #[test]
    fn what_two_readers_could_read_differently_is_refused() {
        for pairs in [
            &[("authorization", &b"Bearer a"[..]), ("authorization", b"Bearer a")][..],
            &[("authorization", b"Bearer a,Bearer b")],
            &[("authorization", b"Bearer a"), ("x-api-token", b"b")],
        ] {
            assert_eq!(find_in(pairs), Err(Reason::CredentialAmbiguous));
        }
        for value in [
            &b"Basic dTpw"[..],
            b"Bearer",
            b"Bearer ",
            b"Bearer  a",
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
