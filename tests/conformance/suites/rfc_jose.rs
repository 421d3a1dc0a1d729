//! The examples of RFC 7515, 7517, 7519, 7638, 7797, 8037 and 9449.

use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use base64::Engine as _;
use everycall_core::jose::Key;
use everycall_core::{Algorithm, KeySet};
use serde_json::Value;

use super::jose::{algorithms, key_set, list, public, refused, text, verify};
use crate::suite::{CaseResult, Suite, Vectors, IN_ENVOY_TOO, IN_RUST};

pub fn suites() -> Vec<Suite> {
    vec![
        Suite { name: "rfc-jws", minimum: 13, targets: IN_ENVOY_TOO, run: jws },
        Suite { name: "rfc-jwk", minimum: 10, targets: IN_RUST, run: jwk },
    ]
}

fn jws(vectors: &Vectors) -> Vec<CaseResult> {
    let document = vectors.json("rfc-jose/rfc7515_7519_8037.json");
    let example = |section: &str| {
        let found =
            list(&document["vectors"]).iter().find(|vector| text(&vector["name"]).starts_with(section));
        found.unwrap_or_else(|| panic!("{section} is not in the vectors"))
    };
    let keys_of = |section: &str| {
        let example = example(section);
        key_set(&[public(&example["key"])], &algorithms(&example["alg"]))
    };
    let mut results = Vec::new();
    for section in ["RFC7515 A.1", "RFC7515 A.2", "RFC7515 A.3", "RFC7515 A.4"] {
        let outcome = verify(text(&example(section)["jws"]), &keys_of(section));
        results.push(CaseResult::compare(section, true, outcome));
    }
    let eddsa = example("RFC8037 A.4");
    let keys = key_set(list(&eddsa["keys_public"]["keys"]), &Algorithm::ALL);
    let outcome = verify(text(&eddsa["values"]["jws_serialization_compact"]), &keys);
    results.push(CaseResult::compare("RFC8037 A.4", true, outcome));

    let encrypted = &example("RFC7519 A2")["values"];
    let unencoded = URL_SAFE_NO_PAD.encode(text(&example("RFC7797")["header"]));
    let unencoded = [format!("{unencoded}.$.02."), format!("{unencoded}..")];
    for (id, token, reason) in [
        ("RFC7515 A.5 unsecured", text(&example("RFC7515 A.5")["jws"]), "token_algorithm"),
        ("RFC7515 A.6 general JSON", text(&example("RFC7515 A.6")["jws_json"]), "token_malformed"),
        ("RFC7515 A.7 flattened JSON", text(&example("RFC7515 A.7")["jws_json"]), "token_malformed"),
        ("RFC7515 E unknown in crit", text(&example("RFC7515 E")["jws"]), "token_critical"),
        ("RFC7519 A.1 encrypted", text(&encrypted["A1_token"]), "token_malformed"),
        ("RFC7519 A.2 nested", text(&encrypted["A2_token"]), "token_malformed"),
        ("RFC7797 b64=false", &unencoded[0], "token_malformed"),
        ("RFC7797 b64=false, detached", &unencoded[1], "token_critical"),
    ] {
        results.push(refused(id, reason, verify(token, &keys_of("RFC7515 A.2"))));
    }
    results
}

fn jwk(vectors: &Vectors) -> Vec<CaseResult> {
    let document = vectors.json("rfc-jose/rfc7517_jwks.json");
    let read = |keys: &[Value]| key_set(keys, &[Algorithm::Rs256, Algorithm::Es256]);
    let set = |name: &str| read(list(&document[name]["keys"]));
    let key = |name: &str| read(std::slice::from_ref(&document[name]));
    let holds = |keys: Result<KeySet, String>, ids: &[&str]| {
        let keys = keys?;
        match keys.ids().eq(ids.iter().copied()) {
            true => Ok(()),
            false => Err(format!("keys {:?}", keys.ids().collect::<Vec<_>>())),
        }
    };
    let none = |keys: Result<KeySet, String>| keys.map(drop);
    let mut results = vec![
        // The other one of the set is for encryption.
        CaseResult::compare("RFC7517 A.1", true, holds(set("rfc7517_A1_public"), &["2011-04-29"])),
        refused("RFC7517 A.2 private", "a private key", none(set("rfc7517_A2_private"))),
        refused("RFC7517 A.3 symmetric", "a symmetric key", none(set("rfc7517_A3_symmetric"))),
        CaseResult::compare("RFC7517 B", true, holds(key("rfc7517_B_x5c"), &["1b94c"])),
        refused("RFC7517 C.1 private", "a private key", none(key("rfc7517_C1_rsa_private"))),
    ];

    let a1 = &document["rfc7517_A1_public"];
    let mut thumbprints: Vec<(String, &Value, &Value)> = list(&a1["keys"])
        .iter()
        .zip(list(&a1["thumbprints"]))
        .map(|(jwk, thumbprint)| (format!("RFC7517 A.1 thumbprint {}", jwk["kid"]), jwk, thumbprint))
        .collect();
    let published = vectors.json("rfc-jose/rfc7638_thumbprints.json");
    for (entry, id) in list(&published["vectors"]).iter().zip(["RFC7638 3.1", "RFC8037 A.3", "RFC9449 6.1"]) {
        thumbprints.push((id.to_owned(), &entry["jwk"], &entry["thumbprint"]));
    }
    results.extend(
        thumbprints
            .into_iter()
            .map(|(id, jwk, expected)| CaseResult::compare(id, true, has_thumbprint(jwk, text(expected)))),
    );
    results
}

fn has_thumbprint(jwk: &Value, expected: &str) -> Result<(), String> {
    let algorithm = match text(&jwk["kty"]) {
        "RSA" => Algorithm::Rs256,
        "EC" => Algorithm::Es256,
        _ => Algorithm::EdDsa,
    };
    let mut members = jwk.as_object().expect("a JWK").clone();
    members.remove("use");
    match Key::of_jwk(&members, algorithm)?.thumbprint() {
        thumbprint if thumbprint == expected => Ok(()),
        other => Err(format!("{other}; expected {expected}")),
    }
}
