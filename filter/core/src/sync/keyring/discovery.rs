//! OpenID Connect Discovery 1.0: where an issuer's key set is. The answer can name no other server
//! than the configured one.

use serde_json::Value;

use crate::base::json;

const WELL_KNOWN: &str = "/.well-known/openid-configuration";

/// The path of an issuer's metadata (section 4): behind the issuer's own path.
pub(super) fn path(issuer: &str) -> String {
    let own = split(issuer).map(|(_, _, path)| path).unwrap_or_default();
    format!("{}{WELL_KNOWN}", own.strip_suffix('/').unwrap_or(own))
}

/// The path of the key set.
///
/// # Errors
/// The document is not JSON, is another issuer's (section 4.3), or leads to another server.
pub(super) fn read(body: &[u8], issuer: &str, host: &str) -> Result<String, String> {
    let document = json::parse_object(body).map_err(|error| format!("not strict JSON: {error}"))?;
    let text = |name: &str| document.get(name).and_then(Value::as_str);
    match text("issuer") {
        Some(named) if named == issuer => {}
        Some(named) => return Err(format!("the discovery document is of `{named}`")),
        None => return Err("the discovery document names no issuer".to_owned()),
    }
    let Some(uri) = text("jwks_uri") else {
        return Err("the discovery document has no `jwks_uri`".to_owned());
    };
    let elsewhere = || format!("`jwks_uri` is `{uri}`; expected one on `{host}`");
    let (scheme, authority, path) = split(uri).ok_or_else(elsewhere)?;
    let own_scheme = split(issuer).map_or("https", |(scheme, _, _)| scheme);
    let default_port = format!(":{}", if scheme == "http" { 80 } else { 443 });
    let plain = |authority: &str| {
        let lower = authority.to_ascii_lowercase();
        lower.strip_suffix(&default_port).map(str::to_owned).unwrap_or(lower)
    };
    let good_path = path.starts_with('/') && path.bytes().all(|b| b.is_ascii_graphic() && b != b'#');
    if scheme == own_scheme && plain(authority) == plain(host) && good_path {
        Ok(path.to_owned())
    } else {
        Err(elsewhere())
    }
}

/// Scheme, authority and path of an http or https URL.
fn split(url: &str) -> Option<(&str, &str, &str)> {
    let (scheme, rest) = url.split_once("://")?;
    let end = rest.find(['/', '?', '#']).unwrap_or(rest.len());
    let (authority, path) = rest.split_at_checked(end)?;
    (matches!(scheme, "https" | "http") && !authority.is_empty()).then_some((scheme, authority, path))
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn metadata_is_below_the_issuers_path() {
        assert_eq!(path("https://id.example"), WELL_KNOWN);
        assert_eq!(path("https://id.example/"), WELL_KNOWN);
        assert_eq!(path("https://id.example/a/b"), format!("/a/b{WELL_KNOWN}"));
    }

    #[test]
    fn only_the_configured_server_is_named() {
        let issuer = "https://id.example/a";
        let read = |issuer_claim: &str, uri: &str, host: &str| {
            let document = json!({"issuer": issuer_claim, "jwks_uri": uri}).to_string();
            super::read(document.as_bytes(), issuer, host)
        };
        assert_eq!(read(issuer, "https://id.example/keys?x=1", "id.example"), Ok("/keys?x=1".into()));
        assert_eq!(read(issuer, "https://ID.example:443/keys", "id.example"), Ok("/keys".into()));
        for uri in [
            "https://evil.example/keys",
            "http://id.example/keys",
            "https://id.example:8443/keys",
            "https://id.example@evil.example/keys",
            "https://id.example",
            "https://id.example/ke ys",
            "https://id.example/keys#x",
            "//id.example/keys",
            "/keys",
            "",
        ] {
            assert!(read(issuer, uri, "id.example").is_err(), "{uri}");
        }
        for other in ["https://id.example", "https://id.example/a/", "https://ID.example/a", ""] {
            assert!(read(other, "https://id.example/keys", "id.example").is_err(), "{other}");
        }
        for body in ["", "[]", "{}", "<html>", r#"{"issuer":"https://id.example/a"}"#] {
            assert!(super::read(body.as_bytes(), issuer, "id.example").is_err(), "{body}");
        }
    }
}
