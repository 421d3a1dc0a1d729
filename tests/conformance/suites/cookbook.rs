//! The JOSE cookbook (RFC 7520) and its additions: which of its examples verify, and which forms are
//! no bearer token (RFC 7519 section 3 knows the compact one only).

use everycall_core::Algorithm;
use serde_json::Value;

use super::jose::{algorithms, key_set, public, refused, text, verify};
use crate::suite::{CaseResult, Suite, Vectors, IN_ENVOY_TOO};

pub fn suites() -> Vec<Suite> {
    vec![Suite { name: "jose-cookbook", minimum: 42, targets: IN_ENVOY_TOO, run }]
}

const COMPACT: [&str; 5] = [
    "jws/4_1.rsa_v15_signature",
    "jws/4_2.rsa-pss_signature",
    "jws/4_3.ecdsa_signature",
    "jws/4_4.hmac-sha2_integrity_protection",
    "curve25519/jws",
];

/// Of these, no form is a bearer token.
const OTHER: [&str; 7] = [
    "jws/4_5.signature_with_detached_content",
    "jws/4_6.protecting_specific_header_fields",
    "jws/4_7.protecting_content_only",
    "jws/4_8.multiple_signatures",
    "rfc7797/4.2.hmac-sha2_b64_false",
    "rfc7797/hmac-sha2_b64_false",
    "curve25519/ecdh-es",
];

fn run(vectors: &Vectors) -> Vec<CaseResult> {
    let read = |name: &str| vectors.json(&format!("jose-cookbook/{name}.json"));
    let keys = |input: &Value| key_set(&[public(&input["key"])], &algorithms(&input["alg"]));
    let mut results = Vec::new();

    for name in COMPACT {
        let example = read(name);
        let outcome = verify(text(&example["output"]["compact"]), &keys(&example["input"]));
        results.push(CaseResult::compare(name, true, outcome));
    }
    let nested = read("6.nesting_signatures_and_encryption");
    let signed = text(&nested["sign"]["output"]["compact"]);
    let outcome = verify(signed, &keys(&nested["sign"]["input"]));
    results.push(CaseResult::compare("6 nesting, signed", true, outcome));

    // A key that verifies: a token that is refused with it is so for its form.
    let rs256 = read("jws/4_1.rsa_v15_signature");
    let refuse =
        |id: String, reason: &str, token: &str| refused(id, reason, verify(token, &keys(&rs256["input"])));
    let outputs = COMPACT.iter().chain(&OTHER).map(|name| ((*name).to_owned(), read(name)["output"].take()));
    let nested = ("6 nesting, encrypted".to_owned(), nested["encrypt"]["output"].clone());
    for (name, output) in outputs.chain([nested]) {
        for form in ["json", "json_flat"] {
            if let Some(json) = output.get(form) {
                results.push(refuse(format!("{name} {form}"), "token_malformed", &json.to_string()));
            }
        }
        if let Some(Value::String(compact)) = output.get("compact").filter(|_| !COMPACT.contains(&&*name)) {
            let reason = if name.contains("4_5") { "token_key_unknown" } else { "token_malformed" };
            results.push(refuse(name, reason, compact));
        }
    }
    let detached = text(&rs256["output"]["compact"]).split('.').collect::<Vec<_>>();
    let detached = format!("{}..{}", detached[0], detached[2]);
    results.push(refuse("4_1 detached".into(), "token_signature", &detached));

    for (name, reason) in [
        ("jwk/3_1.ec_public_key", None),
        ("jwk/3_2.ec_private_key", Some("a private key")),
        ("jwk/3_3.rsa_public_key", None),
        ("jwk/3_4.rsa_private_key", Some("a private key")),
        ("jwk/3_5.symmetric_key_mac_computation", Some("a symmetric key")),
        ("jwk/3_6.symmetric_key_encryption", Some("a symmetric key")),
    ] {
        let outcome = key_set(&[read(name)], &[Algorithm::Rs256, Algorithm::Es256]).map(drop);
        results.push(match reason {
            Some(reason) => refused(name, reason, outcome),
            None => CaseResult::compare(name, true, outcome),
        });
    }
    results
}
