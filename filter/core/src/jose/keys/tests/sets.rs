//! Sets of keys: what spoils one, and what skips a key alone.

use super::*;

#[test]
fn a_spiffe_bundle_holds_keys_that_are_named_and_for_jwt_svids() {
    let svid = |changes: Value| {
        let Value::Object(mut key) = changed(EC, json!({"use": "jwt-svid"})) else { panic!() };
        key.extend(changes.as_object().unwrap().clone());
        Value::Object(key)
    };
    let mut nameless = svid(json!({}));
    nameless.as_object_mut().unwrap().remove("kid");
    refused(nameless, &SPIFFE, "kid", "missing");
    let bundle = json!({
        "keys": [svid(json!({"kid": "a"})), svid(json!({"use": "x509-svid", "x5c": 1})), changed(OKP, json!({"use": null})), changed(P384, json!({}))],
        "spiffe_sequence": 7, "spiffe_refresh_hint": 300, "other": {}
    });
    let set = fetched(&bundle, &SPIFFE).unwrap();
    assert_eq!(set.keys.ids().collect::<Vec<_>>(), ["a"]);
    assert_eq!((set.sequence, set.refresh_hint_s), (Some(7), Some(300)));
    assert_eq!(set.skipped, [("keys[2].use".to_owned(), "missing; expected `jwt-svid`".to_owned())]);

    let set = fetched(&json!({"keys": []}), &SPIFFE).unwrap();
    assert_eq!((set.keys.fingerprints().count(), set.sequence, set.refresh_hint_s), (0, None, None));
    assert_eq!(fetched(&json!({"keys": [changed(EC, json!({}))]}), &SPIFFE).unwrap_err(), "no usable key");
    for wrong in [json!(-1), json!(1.5), json!("7"), Value::Null] {
        for member in ["spiffe_sequence", "spiffe_refresh_hint"] {
            let error = fetched(&json!({"keys": [], member: wrong}), &SPIFFE).unwrap_err();
            assert_eq!(error, format!("`{member}` is not a whole number"));
            assert!(fetched(&json!({"keys": [changed(EC, json!({}))], member: wrong}), &SIGNATURES).is_ok());
        }
    }
}

#[test]
fn two_keys_with_one_name_or_none_spoil_the_set() {
    let rules = &SIGNATURES;
    let other = p256::SecretKey::from_slice(&[1; 32]).unwrap().public_key();
    let other = p256::ecdsa::VerifyingKey::from(other).to_encoded_point(false);
    let coordinate = |bytes: Option<&p256::FieldBytes>| URL_SAFE_NO_PAD.encode(bytes.unwrap());
    let other = json!({"kid": "a", "x": coordinate(other.x()), "y": coordinate(other.y())});
    let twice = [changed(EC, json!({"kid": "a"})), changed(EC, other)];
    let error = ("keys[1].kid".to_owned(), "duplicate key id `a`".to_owned());
    assert_eq!(read(&twice, rules).unwrap_err(), [error]);
    let error = fetched(&json!({"keys": twice}), rules).unwrap_err();
    assert_eq!(error, "`keys[1].kid`: duplicate key id `a`");
    let nameless = [changed(EC, json!({"kid": null})), changed(OKP, json!({"kid": null}))];
    assert_eq!(read(&nameless, rules).unwrap_err()[0].0, "keys[1].kid");
    assert!(fetched(&json!({"keys": nameless}), rules).is_err());
    // Keycloak's: one name for each of a realm's algorithms, and the same key written down once more.
    let rsa = |alg: &str| changed(RSA, json!({"kid": "a", "alg": alg}));
    let several = [changed(EC, json!({"kid": "a"})), rsa("RS256"), rsa("PS256"), rsa("RS256")];
    let set = read(&several, rules).unwrap();
    assert_eq!(set.ids().collect::<Vec<_>>(), ["a", "a", "a"]);
    assert_eq!(fetched(&json!({"keys": several}), rules).unwrap().keys.ids().count(), 3);
    for (algorithm, expected) in [
        (Some("ES256"), vec![Algorithm::Es256]),
        (Some("PS256"), vec![Algorithm::Ps256]),
        (Some("RS384"), vec![]),
        (Some("none"), vec![]),
        (None, vec![]),
    ] {
        let found: Vec<_> = set.candidates(Some("a"), algorithm).map(Key::algorithm).collect();
        assert_eq!(found, expected, "{algorithm:?}");
    }
    // Who signs files is named by the id alone.
    let signer = KeyRules { usage: Usage::Signer, ..SIGNATURES };
    for twice in [&several[..2], &several[1..3], &[several[1].clone(), several[3].clone()]] {
        assert_eq!(read(twice, &signer).unwrap_err()[0].0, "keys[1].kid");
    }
    // A key that can't be used has no say.
    let unusable = [changed(EC, json!({"kid": "a"})), changed(OKP, json!({"kid": "a", "use": "enc"}))];
    assert!(fetched(&json!({"keys": unusable}), rules).is_ok());
}

#[test]
fn a_fetched_set_is_strict_json_and_not_endless() {
    for body in ["", "<html></html>", "[]", "{\"keys\":[],\"keys\":[]}", "{\"keys\":[]} x", "null"] {
        let error = KeySet::fetched(body.as_bytes(), &SIGNATURES).unwrap_err();
        assert!(error.contains("JSON"), "{error}");
    }
    for set in [json!({}), json!({"keys": {}}), json!({"keys": null})] {
        assert_eq!(fetched(&set, &SIGNATURES).unwrap_err(), "`keys` is missing or not an array");
    }
    for keys in [json!([]), json!([1, null]), json!([changed(EC, json!({"use": "enc"}))])] {
        assert_eq!(fetched(&json!({"keys": keys}), &SIGNATURES).unwrap_err(), "no usable key");
    }
    let mut keys = vec![json!({}); 99];
    keys.push(changed(EC, json!({})));
    assert_eq!(fetched(&json!({"keys": keys}), &SIGNATURES).unwrap().skipped.len(), 99);
    keys.push(json!({}));
    assert_eq!(
        fetched(&json!({"keys": keys}), &SIGNATURES).unwrap_err(),
        "`keys`: 101 keys; expected at most 100"
    );
    assert_eq!(read(&keys, &SIGNATURES).unwrap_err().len(), 1);
}

/// A key of a kind that is not offered is no mistake of who copied a set; everything else is.
#[test]
fn keys_of_another_kind_are_left_out_of_a_configuration() {
    let good = changed(EC, json!({}));
    let rules = KeyRules { algorithms: &[Algorithm::Es256, Algorithm::Rs256], usage: Usage::Signature };
    let named = |stored: &str, changes: Value| {
        let Value::Object(mut key) = changed(stored, changes) else { panic!() };
        key.insert("kid".into(), json!("other"));
        Value::Object(key)
    };
    for (key, member) in [
        (json!({"kty": "AKP", "kid": "other", "alg": "ML-DSA-44", "pub": "AAAA"}), "kty"),
        (named(EC, json!({"crv": "P-521", "alg": "ES512"})), "crv"),
        (json!({"kty": "OKP", "kid": "other", "crv": "Ed448", "alg": "Ed448", "x": "AAAA"}), "crv"),
        (named(RSA, json!({"alg": "RSA-OAEP"})), "alg"),
        (named(OKP, json!({})), "alg"),
        (named(RSA, json!({"alg": "PS256"})), "alg"),
    ] {
        let set = read(&[good.clone(), key.clone()], &rules).unwrap();
        assert_eq!(set.ids().collect::<Vec<_>>(), ["test-only-es256"], "{key}");
        let [(path, why)] = set.left_out() else { panic!("{key}: {:?}", set.left_out()) };
        assert_eq!(*path, format!("keys[1].{member}"), "{key}: {why}");
        assert_eq!(fetched(&json!({"keys": [good, key]}), &rules).unwrap().skipped, set.left_out());
        // Alone it is why nobody could be believed, and whoever signs files has no such key.
        assert_eq!(read(std::slice::from_ref(&key), &rules).unwrap_err()[0].0, format!("keys[0].{member}"));
        let signer = KeyRules { usage: Usage::Signer, ..rules };
        assert_eq!(read(&[good.clone(), key], &signer).unwrap_err().len(), 1);
    }
    let mut weak = URL_SAFE_NO_PAD.decode(public(RSA)["n"].as_str().unwrap()).unwrap();
    weak.truncate(128);
    for key in [
        named(RSA, json!({"n": URL_SAFE_NO_PAD.encode(weak)})),
        named(RSA, json!({"e": "Aw"})),
        named(EC, json!({"y": "AAAA"})),
        named(EC, json!({"crv": null})),
        named(EC, json!({"kty": null})),
        named(EC, json!({"d": "AAAA", "alg": "ES512"})),
        json!({"kty": "oct", "kid": "other", "k": "AAAA", "alg": "HS256"}),
        json!({"kty": "AKP", "kid": "other", "d": "AAAA"}),
        named(EC, json!({"key_ops": ["verify", "verify"]})),
    ] {
        assert_eq!(read(&[good.clone(), key.clone()], &rules).unwrap_err().len(), 1, "{key}");
    }
    // SPIRE's discovery provider says no `use`.
    let svid = |usage: Value| changed(EC, json!({"use": usage}));
    let set = read(&[svid(json!("jwt-svid")), named(EC, json!({"use": null}))], &SPIFFE).unwrap();
    assert_eq!(set.left_out(), [("keys[1].use".to_owned(), "missing; expected `jwt-svid`".to_owned())]);
}

#[test]
fn a_member_of_a_wrong_type_skips_its_key_alone_and_is_not_repeated() {
    let keys = json!([
        changed(OKP, json!({"x": 5})),
        changed(OKP, json!({"key_ops": "S3CRET"})),
        changed(OKP, json!({"key_ops": ["verify", {"S3CRET": 1}]})),
        ["RSA", "a"],
        "S3CRET",
        changed(EC, json!({"x5c": 5, "x5t": [], "x5u": {}, "n": null})),
    ]);
    let set = fetched(&json!({"keys": keys}), &SIGNATURES).unwrap();
    assert_eq!(set.keys.ids().collect::<Vec<_>>(), ["test-only-es256"]);
    let paths: Vec<&str> = set.skipped.iter().map(|(path, _)| path.as_str()).collect();
    assert_eq!(paths, ["keys[0].x", "keys[1].key_ops", "keys[2].key_ops[1]", "keys[3]", "keys[4]"]);
    assert!(set.skipped.iter().all(|(_, message)| !message.contains("S3CRET")));
}
