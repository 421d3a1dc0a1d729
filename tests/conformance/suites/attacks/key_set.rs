//! Attacks on what a set of keys holds: keys that are weak, wrong, secret or there twice.

use everycall::mint::{self, TestKey};
use everycall_core::http::Failure;
use everycall_core::jose::{KeyRules, Usage};
use everycall_core::{Algorithm, KeySet, Reply};
use serde_json::{json, Value};

use super::key::hmac;
use super::key_server::{honest, remote};
use super::world::{bearer, config, done, is_refused, later, of, waits, Forge, Row, World, NOW};
use crate::suite::Vectors;

/// Whether a server's set is taken, and the ids of its usable keys.
fn fetched(set: &Value) -> Result<Vec<String>, String> {
    let rules = KeyRules { algorithms: &[Algorithm::Rs256, Algorithm::Es256], usage: Usage::Signature };
    let fetched = KeySet::fetched(set.to_string().as_bytes(), &rules)?;
    Ok(fetched.keys.ids().map(str::to_owned).collect())
}

pub fn a41(row: &mut Row, _: &Vectors) {
    let good = of(Algorithm::Es256).public_jwk();
    let private: Value =
        serde_json::from_str(include_str!("../../../keys/test-only-es256.jwk.json")).unwrap();
    let private_rsa: Value =
        serde_json::from_str(include_str!("../../../keys/test-only-rs256.jwk.json")).unwrap();
    let other = of(Algorithm::Rs256).public_jwk();
    let foreign = TestKey::foreign(Algorithm::Es256).unwrap().public_jwk();
    let with = |jwk: &Value, changes: Value| {
        let mut jwk = jwk.clone();
        jwk.as_object_mut().unwrap().extend(changes.as_object().unwrap().clone());
        jwk
    };
    let secret = json!({"kty": "oct", "kid": "s", "k": super::world::base64url([7; 32]), "alg": "HS256"});
    // Beside a good key, each of these is left out; alone, it makes no set.
    let bad = [
        ("a symmetric key", secret.clone()),
        ("a symmetric key that is said to be ES256", with(&secret, json!({"alg": "ES256"}))),
        ("a private EC key", with(&private, json!({"kid": "b"}))),
        ("a private RSA key", with(&private_rsa, json!({"kid": "b"}))),
        ("a public key with k", with(&other, json!({"kid": "b", "k": "AAAA"}))),
        ("use enc", with(&other, json!({"kid": "b", "use": "enc"}))),
        ("use of another case", with(&other, json!({"kid": "b", "use": "SIG"}))),
        ("use jwt-svid", with(&other, json!({"kid": "b", "use": "jwt-svid"}))),
        ("key_ops without verify", with(&other, json!({"kid": "b", "key_ops": ["encrypt"]}))),
        ("key_ops to sign", with(&other, json!({"kid": "b", "key_ops": ["sign"]}))),
        ("empty key_ops", with(&other, json!({"kid": "b", "key_ops": []}))),
        ("key_ops twice", with(&other, json!({"kid": "b", "key_ops": ["verify", "verify"]}))),
        ("key_ops as text", with(&other, json!({"kid": "b", "key_ops": "verify"}))),
        ("an unknown kty", json!({"kty": "AKP", "kid": "b", "alg": "ML-DSA-44", "pub": "AAAA"})),
        ("no kty", json!({"kid": "b"})),
        ("kty of another case", with(&other, json!({"kid": "b", "kty": "rsa"}))),
        ("a kid that is a number", with(&other, json!({"kid": 1}))),
        ("another algorithm", with(&other, json!({"kid": "b", "alg": "PS256"}))),
        ("an algorithm of another type", with(&other, json!({"kid": "b", "alg": "ES256"}))),
        ("HS256 for an RSA key", with(&other, json!({"kid": "b", "alg": "HS256"}))),
        ("alg none", with(&other, json!({"kid": "b", "alg": "none"}))),
        ("a point off the curve", with(&good, json!({"kid": "b", "y": good["x"]}))),
        ("a short coordinate", with(&good, json!({"kid": "b", "x": "AAAA"}))),
        ("padding", with(&good, json!({"kid": "b", "x": format!("{}=", good["x"].as_str().unwrap())}))),
        ("text", json!("key")),
        ("null", json!(null)),
        ("a list", json!([good])),
        ("nothing", json!({})),
    ];
    for (name, jwk) in bad {
        for set in [json!({"keys": [good, jwk]}), json!({"keys": [jwk, good]})] {
            let ids = fetched(&set);
            let left_out = ids.as_ref().is_ok_and(|ids| *ids == ["test-only-es256"]) || ids.is_err();
            row.expect(name, left_out, format!("{ids:?}"));
        }
        let ids = fetched(&json!({"keys": [jwk]}));
        row.expect(&format!("{name}, alone"), ids.is_err(), format!("{ids:?}"));
        let mut config = config();
        config["issuers"][0]["algorithms"] = json!(["RS256", "ES256"]);
        config["issuers"][0]["keys"]["inline"] = json!({"keys": [jwk]});
        row.expect(&format!("{name}, configured"), is_refused(&config), "the configuration is taken");
    }
    for (name, set) in [
        ("one kid twice", json!({"keys": [good, with(&foreign, json!({"kid": good["kid"]}))]})),
        (
            "one kid twice, among others",
            json!({"keys": [other, good, with(&foreign, json!({"kid": good["kid"]}))]}),
        ),
        (
            "two keys without kid",
            json!({"keys": [with(&good, json!({"kid": null})), with(&other, json!({"kid": null}))]}),
        ),
        ("no keys", json!({"keys": []})),
        ("keys as an object", json!({"keys": {"a": good}})),
        ("no member keys", json!({"Keys": [good]})),
        ("a key alone", good.clone()),
        ("a list", json!([good])),
        ("null", json!(null)),
        (
            "101 keys",
            json!({"keys": (0..101).map(|id| with(&good, json!({"kid": id.to_string()}))).collect::<Vec<_>>()}),
        ),
    ] {
        row.expect(name, fetched(&set).is_err(), format!("{:?}", fetched(&set)));
    }
    // One key is one however often it is written, and of one name there is one for each algorithm.
    for (name, keys) in [
        ("one key twice", json!([good, good])),
        ("one kid for two algorithms", json!([good, with(&other, json!({"kid": good["kid"]}))])),
    ] {
        let set = json!({"keys": keys});
        row.expect(name, fetched(&set).is_ok(), format!("{:?}", fetched(&set)));
    }
    row.expect("the good one", fetched(&json!({"keys": [good]})).is_ok(), "is refused");
    let text = json!({"keys": [good]}).to_string();
    for (name, text) in [
        ("keys twice", text.replacen('{', "{\"keys\":[],", 1)),
        ("trailing bytes", format!("{text}x")),
        ("BOM", format!("\u{feff}{text}")),
        ("a member twice", text.replacen("\"kty\"", "\"kty\":\"oct\",\"kty\"", 1)),
    ] {
        let rules = KeyRules { algorithms: &[Algorithm::Es256], usage: Usage::Signature };
        row.expect(name, KeySet::fetched(text.as_bytes(), &rules).is_err(), "it is taken");
    }
    // Nobody signs with what stands in a public set.
    let forge = Forge::new(&of(Algorithm::Es256)).header("alg", "HS256").header("kid", "s");
    let message = forge.unsigned();
    let token = mint::compact(&message, &hmac(&[7; 32], message.as_bytes()));
    let mut world = World::fetching(&remote());
    world.feed(json!({"keys": [secret, good]}));
    row.any("HS256 with the set's own secret", &world.patient(&bearer(&token), NOW), &[401, 503]);
    // 10 MB: the caller is told how much to read, and what it says then brings no keys.
    let mut world = World::fetching(&remote());
    let pending = waits(world.step(&bearer(&honest()), NOW));
    let due = world.tick(NOW);
    let fetch = due.fetches.first().unwrap().0;
    let due = world.answer(fetch, Reply::Failed(Failure::TooLarge), NOW);
    row.expect("too large", due.woken.is_empty() && due.warnings.len() == 1, format!("{due:?}"));
    let decision = done(world.engine.resume(pending, Vec::new(), later(2)));
    row.is("without keys", &decision, 503);
}

/// A certificate in `x5c` that is not the key's (RFC 7517 section 4.7 forbids it).
pub fn a41_x5c(row: &mut Row, vectors: &Vectors) {
    let bundle = vectors.json("spiffe/bundle/spiffebundle/testdata/spiffebundle_valid_1.json");
    let mut jwk = of(Algorithm::Es256).public_jwk();
    jwk["x5c"] = bundle["keys"][0]["x5c"].clone();
    let ids = fetched(&json!({"keys": [jwk]}));
    row.expect("x5c of another key", ids.is_err(), format!("{ids:?}"));
}
