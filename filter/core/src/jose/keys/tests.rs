use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use base64::Engine as _;
use serde_json::json;

use super::testing::{bytes, EC, OKP, P384, RSA};
use super::*;

mod sets;

const SIGNATURES: KeyRules<'static> = KeyRules { algorithms: &Algorithm::ALL, usage: Usage::Signature };
const SPIFFE: KeyRules<'static> = KeyRules { algorithms: &Algorithm::ALL, usage: Usage::JwtSvid };

/// The public half of a stored key.
fn public(stored: &str) -> Map<String, Value> {
    let mut jwk: Map<String, Value> = serde_json::from_str(stored).unwrap();
    jwk.retain(|member, _| !["d", "p", "q"].contains(&member.as_str()));
    jwk
}

/// The key with these members put in place; null takes one away.
fn changed(stored: &str, changes: Value) -> Value {
    let mut jwk = public(stored);
    for (member, value) in changes.as_object().unwrap() {
        match value {
            Value::Null => drop(jwk.remove(member)),
            value => drop(jwk.insert(member.clone(), value.clone())),
        }
    }
    Value::Object(jwk)
}

fn number(n: &rsa::BigUint) -> String {
    URL_SAFE_NO_PAD.encode(n.to_bytes_be())
}

fn read(keys: &[Value], rules: &KeyRules<'_>) -> Result<KeySet, Vec<KeyError>> {
    KeySet::read(&serde_json::from_value(json!({"keys": keys})).unwrap(), rules)
}

fn fetched(set: &Value, rules: &KeyRules<'_>) -> Result<Fetched, String> {
    KeySet::fetched(set.to_string().as_bytes(), rules)
}

/// The same rule holds in a configuration, where it is an error, and in a fetched set, where the key
/// is skipped.
#[track_caller]
fn refused(key: Value, rules: &KeyRules<'_>, member: &str, message: &str) {
    let errors = read(std::slice::from_ref(&key), rules).unwrap_err();
    let [(path, text)] = errors.as_slice() else { panic!("{errors:?}") };
    assert_eq!(path, &format!("keys[0].{member}"), "{text}");
    assert!(text.contains(message), "{text}");
    // A usable neighbour, so that the set as a whole is good.
    let usage = if rules.usage == Usage::JwtSvid { "jwt-svid" } else { "sig" };
    let neighbour = changed(P384, json!({"kid": "neighbour", "use": usage}));
    let rules = KeyRules { algorithms: &[rules.algorithms, &[Algorithm::Es384]].concat(), ..*rules };
    let set = fetched(&json!({"keys": [key, neighbour]}), &rules).unwrap();
    assert_eq!(set.skipped, errors);
    assert_eq!(set.keys.ids().collect::<Vec<_>>(), ["neighbour"]);
}

#[test]
fn algorithms_are_named_as_configurations_name_them() {
    for algorithm in Algorithm::ALL {
        assert_eq!(json!(algorithm), algorithm.as_str());
        assert_eq!(serde_json::from_value::<Algorithm>(json!(algorithm.as_str())).unwrap(), algorithm);
        assert_eq!(Algorithm::named(algorithm.as_str()), Some(algorithm));
    }
    assert_eq!(Algorithm::named("Ed25519"), Some(Algorithm::EdDsa));
    for other in ["", "none", "HS256", "ES256K", "ES512", "Ed448", "ed25519", "rs256", "EDDSA"] {
        assert_eq!(Algorithm::named(other), None);
    }
    let list = Algorithm::list(&[Algorithm::Rs256, Algorithm::Ps256, Algorithm::EdDsa], "or");
    assert_eq!(list, "`RS256`, `PS256` or `EdDSA`");
}

/// The key of a set that has one.
fn only(set: &KeySet) -> &Key {
    set.candidates(None, None).next().unwrap()
}

#[test]
fn a_key_that_is_not_named_may_be_one_of_those_that_serve_the_algorithm() {
    let candidates = |keys: &[Value], id: Option<&str>, algorithm: Option<&str>| {
        let set = read(keys, &SIGNATURES).unwrap();
        let ids = set.candidates(id, algorithm).map(|key| key.id().unwrap_or("-").to_owned());
        ids.collect::<Vec<_>>().join(" ")
    };
    let ec = |kid: Value| changed(EC, json!({"kid": kid}));
    let some = [
        ec(json!("a")),
        ec(json!("b")),
        changed(RSA, json!({"kid": "c"})),
        changed(RSA, json!({"kid": null})),
    ];
    for (id, algorithm, expected) in [
        (None, Some("ES256"), "a b"),
        (None, Some("RS256"), "c -"),
        (None, Some("ES384"), ""),
        (None, Some("none"), ""),
        (None, None, ""),
        // A key that is named is that one, whatever the algorithm: they are compared later.
        (Some("a"), Some("ES256"), "a"),
        (Some("a"), Some("RS256"), "a"),
        (Some("d"), Some("RS256"), ""),
        (Some(""), Some("RS256"), ""),
    ] {
        assert_eq!(candidates(&some, id, algorithm), expected, "{id:?} {algorithm:?}");
    }
    // A set's only key.
    for (kid, id, expected) in [
        (json!(null), Some("x"), "-"),
        (json!(null), None, "-"),
        (json!("a"), Some("x"), ""),
        (json!("a"), None, "a"),
        (json!("a"), Some("a"), "a"),
    ] {
        assert_eq!(candidates(&[ec(kid.clone())], id, Some("ES256")), expected, "{kid} {id:?}");
    }
}

#[test]
fn who_signs_files_names_the_key() {
    let rules = KeyRules { algorithms: &Algorithm::ALL, usage: Usage::Signer };
    assert!(read(&[changed(EC, json!({}))], &rules).is_ok());
    refused(changed(EC, json!({"kid": null})), &rules, "kid", "missing");
}

#[test]
fn a_key_without_alg_serves_one_algorithm_or_none() {
    use Algorithm::{EdDsa, Es256, Es384, Ps256, Ps512, Rs256, Rs384};
    let rules = |algorithms| KeyRules { algorithms, usage: Usage::Signature };
    let no_alg = |stored| changed(stored, json!({"alg": null}));
    for (stored, allowed, expected) in [
        (EC, &[Rs256, Es384, Es256][..], Es256),
        (P384, &[Es256, Es384], Es384),
        (OKP, &[Es256, EdDsa], EdDsa),
        (RSA, &[Es256, Ps256], Ps256),
        (RSA, &[Rs384, Rs384], Rs384),
    ] {
        let set = read(&[no_alg(stored)], &rules(allowed)).unwrap();
        assert_eq!(only(&set).algorithm(), expected);
    }
    let ambiguous = "missing; the issuer's `algorithms` allow `RS256` and `PS256` for this key";
    refused(no_alg(RSA), &rules(&[Ps256, Rs256]), "alg", ambiguous);
    refused(no_alg(RSA), &rules(&[Ps256, Rs256, Ps512]), "alg", "`RS256`, `PS256` and `PS512`");
    refused(no_alg(RSA), &rules(&[Es256]), "alg", "not in the issuer's");
    refused(no_alg(EC), &rules(&[Rs256]), "alg", "`ES256` is not in the issuer's `algorithms`");
}

#[test]
fn alg_is_of_the_key_s_type_and_allowed() {
    let alg = |stored, alg: &str| changed(stored, json!({"alg": alg}));
    for algorithm in Algorithm::ALL {
        let rules = KeyRules { algorithms: &[algorithm], usage: Usage::Signature };
        let stored = match algorithm {
            Algorithm::Es256 => EC,
            Algorithm::Es384 => P384,
            Algorithm::EdDsa => OKP,
            _ => RSA,
        };
        let set = read(&[alg(stored, algorithm.as_str())], &rules).unwrap();
        assert_eq!(only(&set).algorithm(), algorithm);
    }
    for (stored, name) in [(EC, "ES384"), (P384, "ES256"), (OKP, "Ed448"), (RSA, "ES256"), (RSA, "HS256")] {
        refused(alg(stored, name), &SIGNATURES, "alg", &format!("`{name}` is not supported for this key"));
    }
    // RFC 9864 section 2.2.
    let set = read(&[alg(OKP, "Ed25519")], &SIGNATURES).unwrap();
    assert_eq!(only(&set).algorithm(), Algorithm::EdDsa);
    refused(alg(EC, "Ed25519"), &SIGNATURES, "alg", "is not supported for this key");
    let all_rsa = "expected `RS256`, `RS384`, `RS512`, `PS256`, `PS384` or `PS512`";
    refused(alg(RSA, "none"), &SIGNATURES, "alg", all_rsa);
    let rules = KeyRules { algorithms: &[Algorithm::Rs256], usage: Usage::Signature };
    refused(alg(RSA, "PS256"), &rules, "alg", "`PS256` is not in the issuer's");
}

#[test]
fn rsa_keys_are_neither_short_nor_strange() {
    let n = rsa::BigUint::from_bytes_be(&bytes(&public(RSA)["n"]));
    let modulus = |n: &rsa::BigUint| changed(RSA, json!({"n": number(n)}));
    refused(modulus(&(&n >> 1)), &SIGNATURES, "n", "a modulus of 2047 bits");
    refused(modulus(&((&n << 6145) + 1_u32)), &SIGNATURES, "n", "a modulus of 8193 bits");
    refused(modulus(&(&n + 1_u32)), &SIGNATURES, "n", "even");
    let flawed = (0..128).fold(rsa::BigUint::from(1_u32), |power, _| power * 65_537_u32);
    refused(modulus(&flawed), &SIGNATURES, "n", "CVE-2017-15361");
    assert!(read(&[modulus(&((&n << 6144) + 1_u32))], &SIGNATURES).is_ok());

    let exponent = |e: u64| changed(RSA, json!({"e": number(&rsa::BigUint::from(e))}));
    for bad in [0, 1, 3, 65_535, 65_536, 65_538, 65_539, u64::from(u32::MAX), (1 << 32) + 1, u64::MAX] {
        refused(exponent(bad), &SIGNATURES, "e", "expected the exponent 65537");
    }
    assert!(read(&[exponent(65_537)], &SIGNATURES).is_ok());
    // PSS takes the module's own time.
    let long = |bits: usize, alg: &str| {
        let mut key = modulus(&((&n << (bits - 2_048)) + 1_u32));
        key["alg"] = json!(alg);
        key
    };
    for alg in ["PS256", "PS384", "PS512"] {
        assert!(read(&[long(4_096, alg)], &SIGNATURES).is_ok(), "{alg}");
        refused(long(4_097, alg), &SIGNATURES, "n", "a modulus of 4097 bits; expected at most 4096");
    }
    assert!(read(&[long(4_097, "RS512")], &SIGNATURES).is_ok());
    refused(changed(RSA, json!({"n": ""})), &SIGNATURES, "n", "0 bits");
    refused(changed(RSA, json!({"e": null})), &SIGNATURES, "e", "missing");
}

#[test]
fn curves_and_points_are_checked() {
    let x = public(EC)["x"].clone();
    refused(changed(EC, json!({"crv": "secp256k1"})), &SIGNATURES, "crv", "expected `P-256` or `P-384`");
    refused(changed(EC, json!({"crv": null})), &SIGNATURES, "crv", "missing");
    refused(changed(EC, json!({"crv": "P-384"})), &SIGNATURES, "x", "32 bytes; expected 48");
    refused(changed(EC, json!({"y": x})), &SIGNATURES, "x", "not a point of the curve P-256");
    let x = public(P384)["x"].clone();
    refused(changed(P384, json!({"y": x})), &SIGNATURES, "x", "not a point of the curve P-384");
    refused(changed(EC, json!({"kty": "oKP"})), &SIGNATURES, "kty", "unsupported key type `oKP`");
    refused(changed(EC, json!({"kty": null})), &SIGNATURES, "kty", "missing");
    // y = 3 written as p + 3: the same point again.
    let mut spelled = [0xff; 32];
    (spelled[0], spelled[31]) = (0xf0, 0x7f);
    let mut plain = [0; 32];
    plain[0] = 3;
    let point = |bytes: [u8; 32]| changed(OKP, json!({"x": URL_SAFE_NO_PAD.encode(bytes)}));
    assert!(ed25519_dalek::VerifyingKey::from_bytes(&spelled).is_ok());
    refused(point(spelled), &SIGNATURES, "x", "not a usable Ed25519 key");
    assert!(read(&[point(plain)], &SIGNATURES).is_ok());
}

#[test]
fn private_and_symmetric_keys_are_refused_whatever_they_are_for() {
    for member in ["d", "p", "q", "dp", "dq", "qi", "oth"] {
        refused(changed(RSA, json!({member: "AQAB", "use": "enc"})), &SIGNATURES, member, "private");
    }
    refused(changed(RSA, json!({"oth": [{"r": "AQAB"}]})), &SIGNATURES, "oth", "private");
    refused(changed(OKP, json!({"kty": "oct", "k": "AQAB"})), &SIGNATURES, "kty", "symmetric");
    refused(changed(OKP, json!({"k": "AQAB"})), &SIGNATURES, "kty", "symmetric");
}

#[test]
fn keys_for_something_else_are_left_alone() {
    let other_uses = [
        json!({"use": "enc"}),
        json!({"use": ""}),
        json!({"use": "jwt-svid"}),
        json!({"key_ops": []}),
        json!({"key_ops": ["sign"]}),
    ];
    for changes in other_uses {
        let set = json!({"keys": [changed(OKP, changes.clone()), changed(EC, json!({}))]});
        let set = fetched(&set, &SIGNATURES).unwrap();
        assert_eq!(set.keys.ids().collect::<Vec<_>>(), ["test-only-es256"]);
        assert_eq!(set.skipped, []);
        let errors = read(&[changed(OKP, changes)], &SIGNATURES).unwrap_err();
        assert_eq!(errors, [("keys".to_owned(), "holds no key for signatures".to_owned())]);
    }
    assert!(read(&[changed(OKP, json!({"key_ops": ["sign", "verify"], "use": null}))], &SIGNATURES).is_ok());
    let twice = changed(OKP, json!({"key_ops": ["verify", "x", "verify"]}));
    refused(twice, &SIGNATURES, "key_ops", "duplicate operation `verify`");
}

#[test]
fn fingerprints_are_of_the_key_and_its_algorithm() {
    let set = read(&[EC, P384, OKP, RSA].map(|stored| changed(stored, json!({}))), &SIGNATURES).unwrap();
    let all: std::collections::BTreeSet<_> = set.fingerprints().collect();
    assert_eq!(all.len(), 4);
    assert!(set.holds(set.find("test-only-es256").unwrap().fingerprint()));
    assert!(!set.holds(&[0; 32]));
    let one = |changes: Value| {
        let set = read(&[changed(RSA, changes)], &SIGNATURES).unwrap();
        *only(&set).fingerprint()
    };
    assert_eq!(one(json!({})), one(json!({"kid": "other"})));
    assert_ne!(one(json!({})), one(json!({"alg": "PS256"})));
    let key = set.find("test-only-eddsa").unwrap();
    let expected = Sha256::new_with_prefix("EdDSA\0").chain_update(bytes(&public(OKP)["x"])).finalize();
    assert_eq!(*key.fingerprint(), <[u8; 32]>::from(expected));
}

#[test]
fn thumbprints_are_those_that_were_published() {
    let thumbprint = |jwk: &Value, algorithm| {
        Key::of_jwk(jwk.as_object().unwrap(), algorithm).map(|key| key.thumbprint()).unwrap()
    };
    // RFC 7638 section 3.1.
    let n = "0vx7agoebGcQSuuPiLJXZptN9nndrQmbXEps2aiAFbWhM78LhWx4cbbfAAtVT86zwu1RK7aPFFxuhDR1L6tSoc_BJECPebWKRXjBZ\
             CiFV4n3oknjhMstn64tZ_2W-5JsGY4Hc5n9yBXArwl93lqt7_RN5w6Cf0h4QyQ5v-65YGjQR0_FDW2QvzqY368QQMicAtaSqzs8KJZ\
             gnYb9c7d0zgdAZHzu6qMQvRL5hajrn1n91CbOpbISD08qNLyrdkt-bFTWhAI4vMQFh6WeZu0fM4lFd2NcRwr3XPksINHaQ-G_xBniI\
             qbw0Ls1jF44-csFCur-kEgU8awapJzKnqDKgw";
    let rsa = json!({"kty": "RSA", "n": n, "e": "AQAB", "alg": "RS256", "kid": "2011-04-29"});
    let expected = "NzbLsXh8uDCcd-6MNwXF4W_7noWXFZAfHkxZsRGC9Xs";
    assert_eq!(thumbprint(&rsa, Algorithm::Rs256), expected);
    let longer = |text: &str| URL_SAFE_NO_PAD.encode([&[0], bytes(&json!(text)).as_slice()].concat());
    let padded = json!({"kty": "RSA", "n": longer(n), "e": longer("AQAB")});
    assert_eq!(thumbprint(&padded, Algorithm::Ps512), expected);
    // RFC 8037 section A.3.
    let okp = json!({"kty": "OKP", "crv": "Ed25519", "x": "11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo"});
    assert_eq!(thumbprint(&okp, Algorithm::EdDsa), "kPrK_qmxVWaYVA9wwBF6Iuo3vVzz7TxHCTwXBygrS4k");
    // RFC 9449 section 6.1.
    let ec = json!({
        "kty": "EC", "crv": "P-256", "x": "l8tFrhx-34tV3hRICRDY9zCkDlpBhF42UQUfWVAWBFs",
        "y": "9VE4jf_Ok_o64zbTTlcuNJajHmt6v9TDVrU0CdvGRDA"
    });
    assert_eq!(thumbprint(&ec, Algorithm::Es256), "0ZcOCORZNYy-DWpqq30jZyJGHTN0d2HglBV3uiguA4I");
    // The P-384 one has no published example: the members in order, hashed.
    let p384 = public(P384);
    let members = format!(r#"{{"crv":"P-384","kty":"EC","x":{},"y":{}}}"#, p384["x"], p384["y"]);
    let expected = URL_SAFE_NO_PAD.encode(Sha256::digest(members));
    assert_eq!(thumbprint(&Value::Object(p384), Algorithm::Es384), expected);
}

#[test]
fn the_key_of_a_proof_is_public_strong_and_of_the_algorithm() {
    let of = |stored, changes, algorithm| {
        let jwk = changed(stored, changes);
        Key::of_jwk(jwk.as_object().unwrap(), algorithm).map(|key| key.algorithm())
    };
    for changes in [json!({}), json!({"alg": null, "use": null, "kid": null}), json!({"key_ops": ["verify"]})]
    {
        assert_eq!(of(EC, changes, Algorithm::Es256), Ok(Algorithm::Es256));
    }
    for (stored, changes, algorithm, expected) in [
        (EC, json!({"alg": "ES384"}), Algorithm::Es256, "`alg`: `ES384`; expected `ES256`"),
        (EC, json!({}), Algorithm::Es384, "`kty`: a key of another type than `ES384` has"),
        (RSA, json!({}), Algorithm::Ps256, "`alg`: `RS256`; expected `PS256`"),
        (EC, json!({"use": "enc"}), Algorithm::Es256, "`use`: not for verifying signatures"),
        (EC, json!({"key_ops": ["sign"]}), Algorithm::Es256, "`key_ops`: not for verifying signatures"),
        (EC, json!({"d": "AQAB"}), Algorithm::Es256, "`d`: a private key does not belong here"),
        (EC, json!({"x": 1}), Algorithm::Es256, "`x`: of a wrong type"),
        (
            OKP,
            json!({"x": "AQAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA"}),
            Algorithm::EdDsa,
            "`x`: not a usable Ed25519 key",
        ),
    ] {
        assert_eq!(of(stored, changes, algorithm), Err(expected.to_owned()));
    }
    let error = of(EC, json!({"kty": "ü".repeat(5000)}), Algorithm::Es256).unwrap_err();
    assert!(error.len() < 200, "{error}");
}

#[test]
fn debug_shows_no_key() {
    let set = read(&[changed(EC, json!({}))], &SIGNATURES).unwrap();
    assert_eq!(format!("{set:?}"), r#"KeySet { keys: [Key(Some("test-only-es256"), ES256)], left_out: [] }"#);
}

/// An object of members that keys have, with values that they might have.
fn any_key(picks: &[(u8, u8, String)]) -> Value {
    const NAMES: [&str; 16] = [
        "kty", "kid", "alg", "use", "key_ops", "n", "e", "crv", "x", "y", "d", "p", "oth", "k", "x5c", "keys",
    ];
    let stored = [RSA, EC, P384, OKP].map(public);
    let mut key = stored[picks.len() % 4].clone();
    for (name, kind, text) in picks {
        let name = NAMES[usize::from(name % 16)];
        let value = match kind % 8 {
            0 => json!(text),
            1 => json!(URL_SAFE_NO_PAD.encode(text)),
            2 => json!(URL_SAFE_NO_PAD.encode(text.as_bytes().repeat(64))),
            3 => json!([text]),
            4 => json!(kind),
            5 => Value::Null,
            6 => json!({"": text}),
            _ => stored[text.len() % 4].get(name).cloned().unwrap_or_default(),
        };
        key.insert(name.to_owned(), value);
    }
    Value::Object(key)
}

quickcheck::quickcheck! {
    fn any_bytes_are_read_or_refused(body: Vec<u8>) -> bool {
        KeySet::fetched(&body, &SIGNATURES).is_err()
    }

    fn any_set_is_read_or_refused(keys: Vec<Vec<(u8, u8, String)>>, sequence: u8) -> bool {
        let keys: Vec<Value> = keys.iter().map(|picks| any_key(picks)).collect();
        let set = json!({"keys": keys, "spiffe_sequence": sequence});
        for rules in [SIGNATURES, SPIFFE] {
            if let Ok(set) = fetched(&set, &rules) {
                assert!(set.keys.fingerprints().count().saturating_add(set.skipped.len()) <= keys.len());
            }
        }
        true
    }

    fn any_proof_key_is_read_or_refused(picks: Vec<(u8, u8, String)>, algorithm: u8) -> bool {
        let algorithm = Algorithm::ALL[usize::from(algorithm) % 9];
        let key = any_key(&picks);
        match Key::of_jwk(key.as_object().unwrap(), algorithm) {
            Ok(key) => key.algorithm() == algorithm && key.thumbprint().len() == 43,
            Err(message) => message.len() < 1000,
        }
    }
}
