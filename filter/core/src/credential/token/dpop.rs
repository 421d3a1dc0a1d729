//! DPoP proofs (RFC 9449): the client signs method, URL and token of each request with the key that
//! the token is bound to.

use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use base64::Engine as _;
use serde_json::Value;
use sha2::{Digest as _, Sha256};

use super::claims::numeric_date;

use crate::base::reason::{reject, Denied, Reason};
use crate::base::time::UnixTime;
use crate::config::{Dpop, ProofAge};
use crate::http::request::Headers;
use crate::http::target::{split_port, Target};
use crate::jose::checks::Checks;
use crate::jose::jws::Unverified;
use crate::jose::keys::{Algorithm, Key};

/// The longest proof, in bytes.
const MAX_BYTES: usize = 8 * 1024;
/// The longest `jti`, in bytes.
const MAX_JTI: usize = 256;

/// A valid proof. Whether it was used before is still to be asked.
#[derive(Debug)]
pub(crate) struct Proof {
    /// Names this proof among all: its key and `jti`.
    pub(crate) id: [u8; 32],
    /// From when on its age alone refuses it, whatever the configuration is or becomes.
    pub(crate) until: UnixTime,
}

/// Checks the request's proof against the token and its thumbprint (RFC 9449 section 4.3; the
/// numbers are those of its list).
///
/// # Errors
/// [`Reason::BindingMissing`] without a proof, else [`Reason::DpopInvalid`] with what is wrong.
pub(crate) fn check(
    headers: &Headers,
    token: &str,
    thumbprint: &str,
    target: &Target,
    rules: &Dpop,
    checks: Checks<'_>,
    now: UnixTime,
) -> Result<Proof, Denied> {
    let bad = |detail: &str| Denied { reason: Reason::DpopInvalid, detail: format!("DPoP proof: {detail}") };
    // 1: one header. Envoy does not join it, and a proof holds no comma.
    let mut values = headers.all("dpop");
    let proof = match (values.next(), values.next()) {
        (Some(proof), None) => std::str::from_utf8(proof).map_err(|_| bad("not ASCII"))?,
        (None, _) => return reject(Reason::BindingMissing, "the token is bound to a key, and no proof came"),
        (Some(_), Some(_)) => return Err(bad("more than one")),
    };
    // 2: a well-formed JWT.
    let proof = Unverified::parse(proof, MAX_BYTES).map_err(|error| bad(&error.detail))?;
    proof.header_rules().map_err(|error| bad(&error.detail))?;
    // 4: its type.
    proof.type_rule(&["dpop+jwt"]).map_err(|error| bad(&error.detail))?;
    // 5, 7: an offered algorithm, and the public key in the header.
    let algorithm = proof.algorithm().and_then(Algorithm::named);
    let algorithm = algorithm.ok_or_else(|| bad("`alg` is not an offered algorithm"))?;
    let Some(Value::Object(jwk)) = proof.header.get("jwk") else { return Err(bad("`jwk` is missing")) };
    let key = Key::of_jwk(jwk, algorithm).map_err(|error| bad(&format!("`jwk`: {error}")))?;
    // The client chose it, and what it costs to check: 8,192 bits are 15 times as dear as 2,048.
    if key.rsa_bits().is_some_and(|bits| bits > *rules.max_rsa_bits) {
        return Err(bad(&format!("`jwk`: an RSA key of more than {} bits", rules.max_rsa_bits)));
    }
    // 12: the key that the token is bound to. Before the signature: nobody else's is worth checking.
    if key.thumbprint() != thumbprint {
        return Err(bad("it is signed with another key than the token is bound to"));
    }
    // 6: the signature.
    match checks.verify(&key, proof.signed.as_bytes(), &proof.signature) {
        Ok(true) => {}
        Ok(false) => return Err(bad("the signature does not fit the key")),
        Err((reason, detail)) => return reject(reason, format!("DPoP proof: {detail}")),
    }
    // 3, 8, 9: this method, this URL.
    let text = |claim: &str| proof.claims.get(claim).and_then(Value::as_str);
    if text("htm") != Some(target.method.as_str()) {
        return Err(bad("`htm` is not the request's method"));
    }
    if !text("htu").is_some_and(|htu| is_url_of(htu, target, rules)) {
        return Err(bad("`htu` is not the request's URL"));
    }
    // 11: the time.
    let issued_at = numeric_date(&proof.claims, "iat").map_err(|error| bad(&error.detail))?;
    let age = now.secs().saturating_sub(issued_at.secs());
    if age > *rules.max_age_s || age < rules.leeway_s.saturating_neg() {
        return Err(bad(&format!("it is {age} s old; expected at most {} s", rules.max_age_s)));
    }
    // 12: this token.
    if text("ath") != Some(URL_SAFE_NO_PAD.encode(Sha256::digest(token.as_bytes())).as_str()) {
        return Err(bad("`ath` is not the token's hash"));
    }
    let Some(jti) = text("jti").filter(|jti| (1..=MAX_JTI).contains(&jti.len())) else {
        return Err(bad("`jti` is missing or too long"));
    };
    let id = Sha256::new().chain_update(thumbprint).chain_update([0]).chain_update(jti).finalize().into();
    let until = issued_at.secs().saturating_add(ProofAge::MAX).saturating_add(1);
    Ok(Proof { id, until: UnixTime::from_secs(until) })
}

/// Whether a URL is the request's, without query and fragment, after the normalisation of RFC 3986
/// sections 6.2.2 and 6.2.3: it is read by the rules that the request itself is read by.
fn is_url_of(htu: &str, target: &Target, rules: &Dpop) -> bool {
    let scheme = rules.scheme.map_or(&*target.scheme, |scheme| scheme.as_str());
    let Some((named, rest)) = htu.split_once("://") else { return false };
    if !named.eq_ignore_ascii_case(scheme) {
        return false;
    }
    let end = rest.find(['/', '?', '#']).unwrap_or(rest.len());
    let Some((authority, path)) = rest.split_at_checked(end) else { return false };
    let path = path.split(['?', '#']).next().unwrap_or_default();
    let read = |authority: &str, path: &str| {
        let pair = |name: &str, value: &str| (name.to_owned(), value.as_bytes().to_vec());
        let path = if path.is_empty() { "/" } else { path };
        Target::read(&Headers::new(vec![
            pair(":method", &target.method),
            pair(":scheme", scheme),
            pair(":authority", authority),
            pair(":path", path),
        ]))
    };
    match read(authority, path) {
        Ok(named) => {
            origin(&named.host, scheme) == origin(&target.host, scheme)
                && target.path != "*"
                && normalised(&named.path) == normalised(&target.path)
        }
        Err(_) => false,
    }
}

/// A host without the port that its scheme has anyway, and without the dot of a name that is complete (RFC 3986
/// sections 3.2.2 and 6.2.3).
fn origin<'h>(host: &'h str, scheme: &str) -> (&'h str, Option<&'h str>) {
    let (name, port) = split_port(host);
    let default = if scheme == "http" { "80" } else { "443" };
    (name.strip_suffix('.').unwrap_or(name), port.filter(|port| *port != default))
}

/// A path without escapes of unreserved characters, and the others in upper case (RFC 3986 section
/// 6.2.2). `%3B` is not `;`.
fn normalised(path: &str) -> String {
    let mut normal = String::with_capacity(path.len());
    let mut rest = path;
    while let Some((plain, escaped)) = rest.split_once('%') {
        normal.push_str(plain);
        let (digits, after) = escaped.split_at_checked(2).unwrap_or((escaped, ""));
        match u8::from_str_radix(digits, 16) {
            Ok(byte) if byte.is_ascii_alphanumeric() || b"-._~".contains(&byte) => {
                normal.push(char::from(byte))
            }
            _ => {
                normal.push('%');
                normal.push_str(&digits.to_ascii_uppercase());
            }
        }
        rest = after;
    }
    normal.push_str(rest);
    normal
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::Scheme;

    fn target(scheme: &str, authority: &str, path: &str) -> Target {
        let pair = |name: &str, value: &str| (name.to_owned(), value.as_bytes().to_vec());
        Target::read(&Headers::new(vec![
            pair(":method", "GET"),
            pair(":scheme", scheme),
            pair(":authority", authority),
            pair(":path", path),
        ]))
        .unwrap()
    }

    #[test]
    fn urls_are_compared_after_normalisation_and_without_query() {
        let rules = |scheme| Dpop { scheme, ..Dpop::default() };
        let own = target("https", "shop.example", "/a/b?x=1");
        for same in [
            "https://shop.example/a/b",
            "HTTPS://SHOP.example:443/a/b",
            "https://shop.example/a/b?other#x",
            "https://shop.example/%61/b",
            "https://shop.example./a/b",
            "https://shop.example/a/%62",
        ] {
            assert!(is_url_of(same, &own, &rules(None)), "{same}");
        }
        for other in [
            "",
            "/a/b",
            "http://shop.example/a/b",
            "https://shop.example:8443/a/b",
            "https://shop.example/a/b/",
            "https://shop.example/a",
            "https://shop.example/A/b",
            "https://shop.example/a/../a/b",
            "https://shop.example/a%2Fb",
            "https://shop.example//a/b",
            "https://user@shop.example/a/b",
            "https://evil.example/a/b",
            "https://shop.example@evil.example/a/b",
            "https:///a/b",
            "https:shop.example/a/b",
        ] {
            assert!(!is_url_of(other, &own, &rules(None)), "{other}");
        }
        // Reserved characters are themselves, escaped or not.
        let reserved = target("https", "shop.example", "/a;b@%c3%A4");
        assert!(is_url_of("https://shop.example/a;b@%C3%a4", &reserved, &rules(None)));
        for other in ["https://shop.example/a%3Bb@%C3%A4", "https://shop.example/a;b%40%C3%A4"] {
            assert!(!is_url_of(other, &reserved, &rules(None)), "{other}");
        }
        assert!(is_url_of("http://shop.example", &target("http", "shop.example:80", "/"), &rules(None)));
        // Behind something that ends TLS.
        let inner = target("http", "shop.example", "/a");
        assert!(is_url_of("https://shop.example:443/a", &inner, &rules(Some(Scheme::Https))));
        assert!(!is_url_of("http://shop.example/a", &inner, &rules(Some(Scheme::Https))));
    }

    /// Says so to each signature, and counts them.
    struct Says(bool, std::cell::Cell<usize>);

    impl crate::jose::signature::SignatureVerifier for Says {
        fn verify(&self, _: &Key, _: &[u8], _: &[u8]) -> Result<bool, crate::jose::signature::Unavailable> {
            self.1.set(self.1.get().saturating_add(1));
            Ok(self.0)
        }
    }

    /// The header of a proof for the token `t` by an RSA key of so many bits, and the key's thumbprint.
    fn proof(bits: usize, algorithm: Algorithm, claims: Value) -> (Headers, String) {
        let text = |bytes: &[u8]| URL_SAFE_NO_PAD.encode(bytes);
        let mut modulus = vec![0xff; bits / 8];
        *modulus.last_mut().unwrap() = 0xfd;
        let jwk = serde_json::json!({"kty": "RSA", "n": text(&modulus), "e": "AQAB"});
        let key = Key::of_jwk(jwk.as_object().unwrap(), Algorithm::Rs256).unwrap();
        let header = serde_json::json!({"typ": "dpop+jwt", "alg": algorithm.as_str(), "jwk": jwk});
        let [header, claims] = [header, claims].map(|part| text(part.to_string().as_bytes()));
        let proof = format!("{header}.{claims}.{}", text(&[0; 256]));
        (Headers::new(vec![("dpop".to_owned(), proof.into_bytes())]), key.thumbprint())
    }

    #[test]
    fn the_client_does_not_choose_what_its_proof_costs() {
        let target = target("https", "shop.example", "/a");
        for (bits, max_rsa_bits, algorithm, checks) in [
            (2_048, 3_072, Algorithm::Ps256, 1),
            (3_072, 3_072, Algorithm::Ps256, 1),
            (3_080, 3_072, Algorithm::Ps256, 0),
            (8_192, 3_072, Algorithm::Rs256, 0),
            (8_192, 8_192, Algorithm::Rs256, 1),
            // The host can't.
            (4_096, 8_192, Algorithm::Ps256, 1),
            (4_104, 8_192, Algorithm::Ps256, 0),
            (3_072, 2_048, Algorithm::Ps256, 0),
        ] {
            let (headers, thumbprint) = proof(bits, algorithm, serde_json::json!({}));
            let rules: Dpop =
                serde_json::from_value(serde_json::json!({"max_rsa_bits": max_rsa_bits})).unwrap();
            let no = Says(false, 0.into());
            let checked = Checks::unbounded(&no);
            let refused = check(&headers, "t", &thumbprint, &target, &rules, checked, UnixTime::default());
            let refused = refused.unwrap_err();
            assert_eq!(refused.reason, Reason::DpopInvalid);
            assert_eq!(no.1.get(), checks, "{bits} of {max_rsa_bits}");
            let said = ["an RSA key of more than", "expected at most 4096"];
            let said = said.iter().any(|said| refused.detail.contains(said));
            assert_eq!(said, checks == 0, "{}", refused.detail);
        }
    }

    #[test]
    fn a_used_proof_is_remembered_for_the_longest_age_that_there_may_be() {
        let ath = URL_SAFE_NO_PAD.encode(Sha256::digest("t"));
        let claims = serde_json::json!({"jti": "j", "htm": "GET", "htu": "https://shop.example/a", "iat": 1_000, "ath": ath});
        let (headers, thumbprint) = proof(2_048, Algorithm::Ps256, claims);
        let target = target("https", "shop.example", "/a");
        for (max_age_s, at, taken) in
            [(60, 1_060, true), (60, 1_061, false), (300, 1_300, true), (300, 1_301, false)]
        {
            let rules: Dpop = serde_json::from_value(serde_json::json!({"max_age_s": max_age_s})).unwrap();
            let (yes, now) = (Says(true, 0.into()), UnixTime::from_secs(at));
            let checked = check(&headers, "t", &thumbprint, &target, &rules, Checks::unbounded(&yes), now);
            assert_eq!(checked.is_ok(), taken, "{max_age_s} at {at}");
            // Whoever takes it for longer finds it as long.
            if let Ok(proof) = checked {
                assert_eq!(proof.until.secs(), 1_301);
            }
        }
    }

    quickcheck::quickcheck! {
        fn any_url_is_read(url: String) -> bool {
            let rules = Dpop::default();
            !is_url_of(&url, &target("https", "shop.example", "/a"), &rules)
        }
    }
}
