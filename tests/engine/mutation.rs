//! Nothing that differs from a good token or proof by as much as a bit is taken for one.

use everycall::mint::TestKey;
use everycall_core::{Algorithm, Engine, Reason, Step};
use serde_json::json;
use sha2::{Digest as _, Sha256};

use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use base64::Engine as _;

use super::{configuration, engine, get, NOW};

const ISSUER: &str = "https://id.shop.example/workloads";

fn outcome(engine: &mut Engine, authorization: &str, proof: Option<&str>) -> Reason {
    let mut credential = vec![("authorization", authorization)];
    credential.extend(proof.map(|proof| ("dpop", proof)));
    match engine.check(get(1, "/open", &credential), NOW) {
        Step::Done(decision) => decision.record.reason.unwrap(),
        other => panic!("{other:?}"),
    }
}

/// Every text that differs from this one in one character: another letter of the alphabet, one that
/// is in no token, one less, one more.
fn mutations(text: &str) -> impl Iterator<Item = String> + '_ {
    (0..text.len()).flat_map(move |at| {
        let (before, after) = (&text[..at], &text[at + 1..]);
        let old = &text[at..=at];
        let flipped = ["A", "Q", "_", "-", ".", "=", "+", "/", "\u{7f}"];
        let replaced = flipped
            .into_iter()
            .filter(move |new| *new != old)
            .map(move |new| format!("{before}{new}{after}"));
        replaced.chain([format!("{before}{after}"), format!("{before}{old}{old}{after}")])
    })
}

fn token(algorithm: Algorithm, cnf: Option<String>) -> String {
    let key = TestKey::of(algorithm).unwrap();
    let mut claims = json!({"iss": ISSUER, "aud": "https://shop.example", "sub": "s", "iat": NOW.secs(), "exp": NOW.secs() + 60});
    if let Some(jkt) = cnf {
        claims["cnf"] = json!({"jkt": jkt});
    }
    key.sign(&key.header(), claims.as_object().unwrap()).unwrap()
}

fn any_text_is_refused(engine: &mut Engine, scheme: &str, credential: &str, proof: &str) -> bool {
    // What can't stand in a header never gets here.
    let plain = |text: &str| text.replace(['\0', '\r', '\n'], "");
    let authorization = format!("{scheme} {}", plain(credential));
    outcome(engine, &authorization, Some(&plain(proof))) != Reason::Allowed
}

#[test]
fn any_text_as_credential_or_proof_is_refused() {
    fn property(credential: String, proof: String, parts: (Vec<u8>, Vec<u8>, Vec<u8>)) -> bool {
        let mut engine = engine(&configuration());
        let part = |bytes: &[u8]| URL_SAFE_NO_PAD.encode(bytes);
        let made = format!("{}.{}.{}", part(&parts.0), part(&parts.1), part(&parts.2));
        let bound = format!("DPoP {}", token(Algorithm::EdDsa, Some("A".repeat(43))));
        let key = format!("ek_{credential}");
        [&credential, &made, &key].into_iter().all(|text| {
            ["Bearer", "DPoP", ""].iter().all(|scheme| any_text_is_refused(&mut engine, scheme, text, &proof))
        }) && [&proof, &made].into_iter().all(|text| any_text_is_refused(&mut engine, "", &bound, text))
    }
    quickcheck::quickcheck(property as fn(String, String, (Vec<u8>, Vec<u8>, Vec<u8>)) -> bool);
}

#[test]
fn no_mutated_token_is_accepted() {
    let mut config = configuration();
    config["issuers"][0]["algorithms"] = json!(Algorithm::ALL);
    let keys: Vec<_> = Algorithm::ALL.iter().map(|alg| TestKey::of(*alg).unwrap().public_jwk()).collect();
    config["issuers"][0]["keys"] = json!({"inline": {"keys": keys}});
    for algorithm in Algorithm::ALL {
        let mut engine = engine(&config);
        let token = token(algorithm, None);
        // Cached or not.
        for _ in 0..2 {
            // Every place with the fast algorithm, each seventh with the others.
            let step = if algorithm == Algorithm::EdDsa { 1 } else { 37 };
            for mutated in mutations(&token).step_by(step) {
                let reason = outcome(&mut engine, &format!("Bearer {mutated}"), None);
                assert_ne!(reason, Reason::Allowed, "{algorithm:?}: {mutated}");
            }
            assert_eq!(
                outcome(&mut engine, &format!("Bearer {token}"), None),
                Reason::Allowed,
                "{algorithm:?}"
            );
        }
    }
}

#[test]
fn no_mutated_proof_is_accepted() {
    let key = TestKey::of(Algorithm::EdDsa).unwrap();
    let token = token(Algorithm::Es256, Some(key.thumbprint().unwrap()));
    let header = json!({"typ": "dpop+jwt", "alg": "EdDSA", "jwk": key.bare_jwk()});
    let claims = json!({"jti": "j", "htm": "GET", "htu": "http://h/open", "iat": NOW.secs(),
        "ath": URL_SAFE_NO_PAD.encode(Sha256::digest(&token))});
    let proof = key.sign(header.as_object().unwrap(), claims.as_object().unwrap()).unwrap();
    let mut engine = engine(&configuration());
    let authorization = format!("DPoP {token}");
    for mutated in mutations(&proof) {
        let reason = outcome(&mut engine, &authorization, Some(&mutated));
        assert_eq!(reason, Reason::DpopInvalid, "{mutated}");
    }
    assert_eq!(outcome(&mut engine, &authorization, Some(&proof)), Reason::Allowed);
    assert_eq!(outcome(&mut engine, &authorization, Some(&proof)), Reason::DpopReplayed);
}
