//! The test keys: that they sign, and are those that are published.

use everycall_core::jose::SignatureVerifier as _;
use everycall_core::PureRust;

use super::*;

#[test]
fn every_stored_key_signs_the_same_bytes_twice_and_knows_itself() {
    for id in test_key_ids() {
        let key = TestKey::named(id).unwrap();
        assert_eq!(key.public_jwk()["kid"], id);
        assert_eq!(key.public_jwk()["alg"], key.algorithm().as_str());
        assert_eq!(test_key_in(&key.public_jwk()), Some(id));
        let mut renamed = key.public_jwk();
        renamed["kid"] = "production".into();
        assert_eq!(test_key_in(&renamed), Some(id));
        assert_eq!(key.signature(b"m").unwrap(), TestKey::named(id).unwrap().signature(b"m").unwrap());
        for private in ["d", "p", "q", "dp", "dq", "qi"] {
            assert_eq!(key.public_jwk().get(private), None);
        }
    }
    let mut rsa = TestKey::rs256().unwrap().public_jwk();
    rsa.as_object_mut().unwrap().remove("alg");
    assert_eq!(test_key_in(&rsa), Some("test-only-rs256"));
    assert_eq!(test_key_for(&rsa, &[Algorithm::EdDsa, Algorithm::Ps384]), Some("test-only-ps384"));
    assert_eq!(test_key_for(&rsa, &[Algorithm::EdDsa]), Some("test-only-rs256"));
    assert_eq!(test_key_in(&json!({"kty": "OKP", "x": "AAAA"})), None);
    assert!(TestKey::named("other").is_err());
}

#[test]
fn the_public_key_sets_are_those_of_the_private_keys() {
    for (key, jwks) in [
        (TestKey::rs256(), include_str!("../../../../tests/keys/test-only-rs256.jwks.json")),
        (TestKey::es256(), include_str!("../../../../tests/keys/test-only-es256.jwks.json")),
        (TestKey::of(Algorithm::Es384), include_str!("../../../../tests/keys/test-only-es384.jwks.json")),
        (TestKey::eddsa(), include_str!("../../../../tests/keys/test-only-eddsa.jwks.json")),
    ] {
        assert_eq!(key.unwrap().public_jwks(), serde_json::from_str::<Value>(jwks).unwrap());
    }
}

#[test]
fn there_are_two_keys_for_every_algorithm_and_both_satisfy_the_verifier() {
    for algorithm in Algorithm::ALL {
        let keys = [TestKey::of(algorithm).unwrap(), TestKey::foreign(algorithm).unwrap()];
        let public =
            keys.each_ref().map(|key| Key::of_jwk(key.public_jwk().as_object().unwrap(), algorithm).unwrap());
        for (signs, key) in keys.iter().enumerate() {
            assert_eq!(key.algorithm(), algorithm);
            let signature = key.signature(b"m").unwrap();
            for (verifies, public) in public.iter().enumerate() {
                let expected = Ok(signs == verifies);
                assert_eq!(PureRust.verify(public, b"m", &signature), expected, "{}", key.id());
            }
        }
    }
}
