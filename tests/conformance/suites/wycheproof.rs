//! C2SP/wycheproof: signatures, tokens and key sets made to break verifiers.

use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use base64::Engine as _;
use everycall_core::Algorithm;
use serde_json::{json, Value};

use super::jose::{fetched_key_set, key_set, list, text, verify};
use crate::suite::{verifier, CaseResult, Suite, Vectors, IN_ENVOY_TOO};

pub fn suites() -> Vec<Suite> {
    vec![
        Suite { name: "wycheproof-jws", minimum: 200, targets: IN_ENVOY_TOO, run: jws },
        Suite { name: "wycheproof-jws-encoding", minimum: 10, targets: IN_ENVOY_TOO, run: jws_encoding },
        Suite { name: "wycheproof-jwk", minimum: 13, targets: IN_ENVOY_TOO, run: jwk },
        Suite { name: "wycheproof-ecdsa-p256", minimum: 131, targets: IN_ENVOY_TOO, run: ecdsa },
        Suite { name: "wycheproof-ed25519", minimum: 75, targets: IN_ENVOY_TOO, run: ed25519 },
        Suite { name: "wycheproof-rsa-pkcs1", minimum: 129, targets: IN_ENVOY_TOO, run: rsa_pkcs1 },
        Suite { name: "wycheproof-rsa-pss", minimum: 54, targets: IN_ENVOY_TOO, run: rsa_pss },
    ]
}

fn groups(vectors: &Vectors, file: &str) -> Vec<Value> {
    list(&vectors.json(&format!("wycheproof/{file}"))["testGroups"]).to_vec()
}

/// Each case with its group. `acceptable` is what a lenient verifier may let pass: to be refused.
fn each(groups: &[Value], outcome: impl Fn(&Value, &Value) -> Result<(), String>) -> Vec<CaseResult> {
    let cases = groups.iter().flat_map(|group| list(&group["tests"]).iter().map(move |case| (group, case)));
    cases
        .map(|(group, case)| {
            let accept = text(&case["result"]) == "valid";
            CaseResult::compare(case["tcId"].to_string(), accept, outcome(group, case))
        })
        .collect()
}

fn jws(vectors: &Vectors) -> Vec<CaseResult> {
    each(&groups(vectors, "json_web_signature_test.json"), |group, case| {
        let key = group.get("public").unwrap_or(&group["private"]);
        with_both_readers(std::slice::from_ref(key), text(&case["jws"]))
    })
}

/// The group on base64url has a symmetric key, which is refused before its cases can show anything.
/// What they say of the encoding holds with any key.
fn jws_encoding(vectors: &Vectors) -> Vec<CaseResult> {
    let mut groups = groups(vectors, "json_web_signature_test.json");
    groups.retain(|group| group["comment"] == "base64");
    let x = base64url(&[6; 32]);
    let other = key_set(&[json!({"kty": "OKP", "crv": "Ed25519", "x": x})], &Algorithm::ALL);
    each(&groups, |_, case| match verify(text(&case["jws"]), &other) {
        Err(why) if why.starts_with("token_malformed") => Err(why),
        Err(why) if why.starts_with("key set") => panic!("{why}"),
        _ => Ok(()),
    })
}

fn jwk(vectors: &Vectors) -> Vec<CaseResult> {
    each(&groups(vectors, "json_web_key_test.json"), |group, case| {
        let set = group.get("public").unwrap_or(&group["private"]);
        with_both_readers(list(&set["keys"]), text(&case["jws"]))
    })
}

/// Key sets of a configuration and of a server are read by different rules, with one outcome here.
fn with_both_readers(keys: &[Value], jws: &str) -> Result<(), String> {
    let configured = verify(jws, &key_set(keys, &Algorithm::ALL));
    let fetched = verify(jws, &fetched_key_set(keys, &Algorithm::ALL));
    assert_eq!(configured.is_ok(), fetched.is_ok(), "{jws}: {configured:?} {fetched:?}");
    configured
}

fn ecdsa(vectors: &Vectors) -> Vec<CaseResult> {
    each(&groups(vectors, "ecdsa_secp256r1_sha256_p1363_test.json"), |group, case| {
        let point = bytes(&group["publicKey"]["uncompressed"]);
        let (x, y) = point[1..].split_at(32);
        let made = json!({"kty": "EC", "crv": "P-256", "x": base64url(x), "y": base64url(y), "kid": "none"});
        signature(group.get("publicKeyJwk").unwrap_or(&made), Algorithm::Es256, case)
    })
}

fn ed25519(vectors: &Vectors) -> Vec<CaseResult> {
    each(&groups(vectors, "ed25519_test.json"), |group, case| {
        signature(&group["publicKeyJwk"], Algorithm::EdDsa, case)
    })
}

fn rsa_pkcs1(vectors: &Vectors) -> Vec<CaseResult> {
    each(&groups(vectors, "rsa_signature_2048_sha256_test.json"), |group, case| {
        signature(&group["keyJwk"], Algorithm::Rs256, case)
    })
}

fn rsa_pss(vectors: &Vectors) -> Vec<CaseResult> {
    each(&groups(vectors, "rsa_pss_2048_sha256_mgf1_32_test.json"), |group, case| {
        signature(&group["publicKeyJwk"], Algorithm::Ps256, case)
    })
}

/// One signature over a message, both in hexadecimal.
fn signature(jwk: &Value, algorithm: Algorithm, case: &Value) -> Result<(), String> {
    let keys = key_set(std::slice::from_ref(jwk), &[algorithm])?;
    let key = keys.candidates(jwk["kid"].as_str(), None).next().ok_or("the key is not found")?;
    match verifier().verify(key, &bytes(&case["msg"]), &bytes(&case["sig"])) {
        Ok(true) => Ok(()),
        Ok(false) => Err("bad signature".into()),
        Err(unavailable) => Err(format!("{unavailable:?}")),
    }
}

fn base64url(bytes: &[u8]) -> String {
    URL_SAFE_NO_PAD.encode(bytes)
}

fn bytes(hexadecimal: &Value) -> Vec<u8> {
    let digits = text(hexadecimal);
    let byte = |at| u8::from_str_radix(&digits[at..at + 2], 16).expect("hexadecimal");
    (0..digits.len()).step_by(2).map(byte).collect()
}
