//! Attacks on which key verifies: confusion, injection, keys of other issuers.

use base64::engine::general_purpose::STANDARD;
use base64::Engine as _;
use everycall::mint::{self, TestKey};
use everycall_core::jose::{Key, KeyRules, Usage};
use everycall_core::{Algorithm, KeySet};
use serde_json::json;
use sha2::{Digest as _, Sha256};

use super::key_server::remote;
use super::world::{bearer, config, is_refused, issuer, later, of, trusting, Forge, Row, World, ISSUER, NOW};
use crate::suite::Vectors;

/// RFC 2104, with a secret of any length.
pub fn hmac(secret: &[u8], message: &[u8]) -> Vec<u8> {
    let mut block = [0_u8; 64];
    match secret.len() > 64 {
        true => block[..32].copy_from_slice(&Sha256::digest(secret)),
        false => block[..secret.len()].copy_from_slice(secret),
    }
    let padded = |with: u8| block.map(|byte| byte ^ with);
    let inner = Sha256::new().chain_update(padded(0x36)).chain_update(message).finalize();
    Sha256::new().chain_update(padded(0x5c)).chain_update(inner).finalize().to_vec()
}

pub fn a03(row: &mut Row, _: &Vectors) {
    for algorithm in [Algorithm::Rs256, Algorithm::Es256] {
        let key = of(algorithm);
        let mut world = World::new(&trusting(&key));
        row.is("honest", &world.token(&Forge::new(&key).signed(&key)), 200);
        let jwk = key.public_jwk();
        let public = Key::of_jwk(jwk.as_object().unwrap(), algorithm).unwrap();
        let body = STANDARD.encode(public.spki());
        let lines: Vec<&str> =
            body.as_bytes().chunks(64).map(|line| std::str::from_utf8(line).unwrap()).collect();
        let pem = format!("-----BEGIN PUBLIC KEY-----\n{}\n-----END PUBLIC KEY-----", lines.join("\n"));
        let member = if algorithm == Algorithm::Rs256 { "n" } else { "x" };
        for (name, secret) in [
            ("PEM", pem.clone().into_bytes()),
            ("PEM with a newline", format!("{pem}\n").into_bytes()),
            ("PEM with CR and LF", pem.replace('\n', "\r\n").into_bytes()),
            ("DER", public.spki().to_vec()),
            ("DER in base64", body.clone().into_bytes()),
            ("JWK", jwk.to_string().into_bytes()),
            ("JWKS", key.public_jwks().to_string().into_bytes()),
            ("the modulus or coordinate", jwk[member].as_str().unwrap().as_bytes().to_vec()),
            ("the key id", key.id().as_bytes().to_vec()),
            ("nothing", Vec::new()),
        ] {
            for forge in [Forge::new(&key), Forge::new(&key).without_header("kid")] {
                for alg in ["HS256", "hs256", "HS384"] {
                    let message = forge.clone().header("alg", alg).unsigned();
                    let token = mint::compact(&message, &hmac(&secret, message.as_bytes()));
                    row.is(&format!("{alg} with {name}"), &world.token(&token), 401);
                }
                // The header still says what the key's algorithm is.
                let message = forge.unsigned();
                let token = mint::compact(&message, &hmac(&secret, message.as_bytes()));
                row.is(&format!("an HMAC under the honest alg, with {name}"), &world.token(&token), 401);
            }
        }
    }
}

pub fn a04(row: &mut Row, _: &Vectors) {
    for trusted in Algorithm::ALL {
        let key = of(trusted);
        let mut world = World::new(&trusting(&key));
        for signing in Algorithm::ALL {
            let other = of(signing);
            let token = Forge::new(&other).header("kid", key.id()).signed(&other);
            let status = if signing == trusted { 200 } else { 401 };
            row.is(
                &format!("{} for a key of {}", signing.as_str(), trusted.as_str()),
                &world.token(&token),
                status,
            );
            if signing != trusted {
                let lying = Forge::new(&other).header("kid", key.id()).header("alg", trusted.as_str());
                row.is("and says that it is the key's", &world.token(&lying.signed(&other)), 401);
                let lying = Forge::new(&key).header("alg", signing.as_str());
                row.is("the key's, and says that it is another", &world.token(&lying.signed(&key)), 401);
            }
        }
        for alg in ["", "RS1", "ES256K", "ES512", "HS256", "none", &trusted.as_str().to_lowercase()] {
            row.is(alg, &world.token(&Forge::new(&key).header("alg", alg).signed(&key)), 401);
        }
    }
}

pub fn a05(row: &mut Row, _: &Vectors) {
    let rs256 = of(Algorithm::Rs256);
    let mut config = trusting(&rs256);
    config["issuers"][0]["keys"]["inline"]["keys"][0].as_object_mut().unwrap().remove("alg");
    let mut world = World::new(&config);
    for algorithm in Algorithm::ALL {
        let other = of(algorithm);
        let token = Forge::new(&other).header("kid", rs256.id()).signed(&other);
        let status = if algorithm == Algorithm::Rs256 { 200 } else { 401 };
        row.is(&format!("{}, where RS256 is configured", algorithm.as_str()), &world.token(&token), status);
    }
    config["issuers"][0]["algorithms"] = json!(["RS256", "ES256"]);
    let mut world = World::new(&config);
    row.is("RS256 of two families", &world.token(&Forge::new(&rs256).signed(&rs256)), 200);
    for two in [["RS256", "PS256"], ["RS256", "RS512"], ["PS256", "PS384"]] {
        config["issuers"][0]["algorithms"] = json!(two);
        row.expect("two algorithms for one key", is_refused(&config), "the configuration is taken");
    }
    // From a server, such a key is left out.
    let mut keys = rs256.public_jwks();
    keys["keys"][0].as_object_mut().unwrap().remove("alg");
    let rules = KeyRules { algorithms: &[Algorithm::Rs256, Algorithm::Ps256], usage: Usage::Signature };
    let fetched = KeySet::fetched(keys.to_string().as_bytes(), &rules);
    row.expect("two algorithms for one fetched key", fetched.is_err(), "it is taken");
}

pub fn a06(row: &mut Row, _: &Vectors) {
    let key = of(Algorithm::Es256);
    let mut world = World::fetching(&config());
    let mut large = config();
    large["limits"] = json!({"token_bytes": 65_536});
    let mut large = World::fetching(&large);
    let long = "k".repeat(10_000);
    for kid in [
        json!("../../../../dev/null"),
        json!("/dev/null"),
        json!("file:///etc/passwd"),
        json!("x' UNION SELECT '1';--"),
        json!("|sleep 10"),
        json!("$(sleep 10)"),
        json!("http://169.254.169.254/"),
        json!("test-only-es256\0"),
        json!("\0"),
        json!("test-only-es256 "),
        json!("Test-Only-ES256"),
        json!("test-only-es256\n"),
        json!(""),
        json!(long),
        json!(1),
        json!(null),
        json!(true),
        json!([key.id()]),
        json!({"kid": key.id()}),
    ] {
        let name: String = kid.to_string().chars().take(40).collect();
        let token = Forge::new(&key).header("kid", kid).signed(&key);
        for world in [&mut world, &mut large] {
            row.is(&name, &world.token(&token), 401);
            let due = world.tick(NOW);
            row.expect(&name, due.fetches.is_empty(), format!("fetches {:?}", due.fetches));
        }
    }
    row.is("the honest one", &world.token(&Forge::new(&key).signed(&key)), 200);
    // Several keys: a token without `kid` is tried with those of its algorithm, as long as they are few.
    let mut two = config();
    two["issuers"][0]["algorithms"] = json!(["ES256", "RS256"]);
    let both = json!([key.public_jwk(), of(Algorithm::Rs256).public_jwk()]);
    two["issuers"][0]["keys"]["inline"]["keys"] = both;
    let unnamed = Forge::new(&key).without_header("kid").signed(&key);
    row.is("no kid, one key of the algorithm", &World::new(&two).token(&unnamed), 200);
    let mut five = config();
    let copies = (0..5).map(|at| {
        let mut jwk = key.public_jwk();
        jwk["kid"] = json!(format!("copy-{at}"));
        jwk
    });
    five["issuers"][0]["keys"]["inline"]["keys"] = copies.collect();
    row.is("no kid, five keys of the algorithm", &World::new(&five).token(&unnamed), 401);
    // A key without `kid` is the one that a token names where there is no other.
    let mut nameless = config();
    nameless["issuers"][0]["keys"]["inline"]["keys"][0].as_object_mut().unwrap().remove("kid");
    row.is(
        "a kid, and an only key without",
        &World::new(&nameless).token(&Forge::new(&key).signed(&key)),
        200,
    );
    let mut beside = two;
    beside["issuers"][0]["keys"]["inline"]["keys"][0].as_object_mut().unwrap().remove("kid");
    row.is(
        "a kid, and a key without beside another",
        &World::new(&beside).token(&Forge::new(&key).signed(&key)),
        401,
    );
}

pub fn a07(row: &mut Row, _: &Vectors) {
    let (key, foreign) = (of(Algorithm::Es256), TestKey::foreign(Algorithm::Es256).unwrap());
    let mut world = World::fetching(&config());
    let mut remote = World::fetching(&remote());
    remote.feed(key.public_jwks());
    for url in [
        "http://169.254.169.254/",
        "http://127.0.0.1",
        "https://issuer@evil",
        "https://id.example/keys",
        "https://id.example@evil.example/keys",
        "file:///etc/passwd",
        "//evil.example/keys",
        "",
    ] {
        for name in ["jku", "x5u"] {
            let pointing = |key: &TestKey| Forge::new(key).header(name, url);
            let what = format!("{name} {url}");
            for token in [
                pointing(&foreign).signed(&foreign),
                pointing(&foreign).header("kid", key.id()).signed(&foreign),
                pointing(&foreign).without_header("kid").signed(&foreign),
            ] {
                row.is(&what, &world.token(&token), 401);
                let due = world.tick(NOW);
                row.expect(&what, due.fetches.is_empty(), format!("fetches {:?}", due.fetches));
            }
            let token = pointing(&foreign).header("kid", key.id()).signed(&foreign);
            row.is(&format!("remote keys, {what}"), &remote.at(&bearer(&token), NOW), 401);
            // What a good token points to is not looked at either.
            let _ = remote.at(&bearer(&pointing(&key).signed(&key)), NOW);
            let due = remote.tick(NOW);
            row.expect(&what, due.fetches.is_empty(), format!("fetches {:?}", due.fetches));
        }
    }
    // An unknown key makes a server be asked: the configured one for the configured path.
    let token = Forge::new(&foreign).header("jku", "http://169.254.169.254/").signed(&foreign);
    let _ = remote.step(&bearer(&token), later(30));
    for (_, cluster, host, path) in remote.tick(later(30)).fetches {
        let configured = (cluster.as_str(), host.as_str(), path.as_str()) == ("jwks", "id.example", "/keys");
        row.expect("an unknown key", configured, format!("asks {cluster} for {host}{path}"));
    }
}

pub fn a08(row: &mut Row, vectors: &Vectors) {
    let (key, foreign) = (of(Algorithm::Es256), TestKey::foreign(Algorithm::Es256).unwrap());
    let mut world = World::new(&config());
    let bundle = vectors.json("spiffe/bundle/spiffebundle/testdata/spiffebundle_valid_1.json");
    let mut embedded = foreign.public_jwk();
    embedded["kid"] = json!(key.id());
    for (name, value) in [
        ("jwk", foreign.public_jwk()),
        ("jwk", embedded),
        ("jwk", json!({"kty": "oct", "k": "AAAA"})),
        ("x5c", bundle["keys"][0]["x5c"].clone()),
        ("x5t", json!("AAAA")),
        ("x5t#S256", json!("AAAA")),
        ("jwks", foreign.public_jwks()),
    ] {
        for forge in [
            Forge::new(&foreign),
            Forge::new(&foreign).header("kid", key.id()),
            Forge::new(&foreign).without_header("kid"),
        ] {
            row.is(name, &world.token(&forge.header(name, value.clone()).signed(&foreign)), 401);
        }
    }
    let rsa = TestKey::foreign(Algorithm::Rs256).unwrap();
    let other = Forge::new(&rsa).header("kid", key.id()).header("jwk", rsa.public_jwk());
    row.is("a key of another type", &world.token(&other.signed(&rsa)), 401);
}

pub fn a29(row: &mut Row, _: &Vectors) {
    let (one, two) = (of(Algorithm::Es256), TestKey::foreign(Algorithm::Es256).unwrap());
    let other = "https://other.example";
    let mut config = config();
    let mut second = issuer(other, &two);
    second["keys"]["inline"]["keys"][0]["kid"] = json!(one.id());
    config["issuers"].as_array_mut().unwrap().push(second);
    let mut world = World::new(&config);
    let of_issuer = |issuer: &str| Forge::new(&one).claim("iss", issuer);
    for _ in 0..2 {
        row.is("issuer 1, key 1", &world.token(&of_issuer(ISSUER).signed(&one)), 200);
        row.is("issuer 2, key 2", &world.token(&of_issuer(other).signed(&two)), 200);
        row.is("issuer 1, key 2", &world.token(&of_issuer(ISSUER).signed(&two)), 401);
        row.is("issuer 2, key 1", &world.token(&of_issuer(other).signed(&one)), 401);
    }
    // The signature of one under the claims of the other.
    let [first, second] = [of_issuer(ISSUER).signed(&one), of_issuer(other).signed(&two)];
    let (message, _) = first.rsplit_once('.').unwrap();
    let (_, signature) = second.rsplit_once('.').unwrap();
    row.is("signatures swapped", &world.token(&format!("{message}.{signature}")), 401);
    // Grants that name the issuer know the difference.
    let mut named = config;
    named["bundle"]["inline"]["grants"][0]["issuer"] = json!(ISSUER);
    let mut world = World::new(&named);
    row.is("granted to issuer 1", &world.token(&of_issuer(ISSUER).signed(&one)), 200);
    row.is("not to the same subject of issuer 2", &world.token(&of_issuer(other).signed(&two)), 403);
}
