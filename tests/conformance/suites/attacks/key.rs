//! Attacks on which key verifies: confusion, injection, forged signatures, bad and changing key sets.

use std::collections::BTreeMap;

use base64::engine::general_purpose::STANDARD;
use base64::Engine as _;
use everycall::mint::{self, TestKey};
use everycall::WireRequest;
use everycall_core::http::Failure;
use everycall_core::jose::{ecdsa_der, Key, KeyRules, Usage};
use everycall_core::{Algorithm, Decision, Headers, KeySet, Reply, Step, UnixTime};
use serde_json::{json, Value};
use sha2::{Digest as _, Sha256};

use super::world::{
    bearer, config, done, get, is_refused, issuer, later, signed_bytes, text, waits, with, Forge, Row, World,
    AUDIENCE, ISSUER, NOW,
};
use crate::suite::Vectors;

fn of(algorithm: Algorithm) -> TestKey {
    TestKey::of(algorithm).unwrap()
}

/// The configuration with one issuer, whose key is this one.
fn trusting(key: &TestKey) -> Value {
    let mut config = config();
    config["issuers"][0] = issuer(ISSUER, key);
    config
}

/// RFC 2104, with a secret of any length.
fn hmac(secret: &[u8], message: &[u8]) -> Vec<u8> {
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

/// An honest message, signed by nobody.
fn message(key: &TestKey) -> String {
    Forge::new(key).unsigned()
}

/// The big-endian number plus `add`, in as many bytes.
fn plus(number: &[u8], add: i16) -> Vec<u8> {
    let mut carry = add;
    let mut bytes = number.to_vec();
    for byte in bytes.iter_mut().rev() {
        let sum = i16::from(*byte) + carry;
        *byte = sum.rem_euclid(256) as u8;
        carry = sum.div_euclid(256);
    }
    bytes
}

fn hex(text: &str) -> Vec<u8> {
    let digits: Vec<u8> = text.chars().map(|digit| digit.to_digit(16).unwrap() as u8).collect();
    digits.chunks(2).map(|pair| pair[0] << 4 | pair[1]).collect()
}

const P256_ORDER: &str = "ffffffff00000000ffffffffffffffffbce6faada7179e84f3b9cac2fc632551";
const P384_ORDER: &str = "ffffffffffffffffffffffffffffffffffffffffffffffffc7634d81f4372ddf\
                          581a0db248b0a77aecec196accc52973";

pub fn a38(row: &mut Row, _: &Vectors) {
    for (algorithm, order) in [(Algorithm::Es256, P256_ORDER), (Algorithm::Es384, P384_ORDER)] {
        let key = of(algorithm);
        let mut world = World::new(&trusting(&key));
        let message = message(&key);
        let honest = key.signature(message.as_bytes()).unwrap();
        let order = hex(order);
        let zero = vec![0; order.len()];
        let one = plus(&zero, 1);
        let (r, s) = honest.split_at(order.len());
        let edges =
            [zero.clone(), one, plus(&order, -1), order.clone(), plus(&order, 1), vec![0xff; order.len()]];
        let mut forged: Vec<(String, Vec<u8>)> = Vec::new();
        for (index, edge) in edges.iter().enumerate() {
            for (other, second) in edges.iter().enumerate() {
                forged.push((format!("edges {index} and {other}"), [edge.clone(), second.clone()].concat()));
            }
            forged.push((format!("r, edge {index}"), [r, edge].concat()));
            forged.push((format!("edge {index}, s"), [edge, s].concat()));
        }
        let der = ecdsa_der(algorithm, &honest).unwrap();
        forged.push(("DER".into(), der.clone()));
        forged.push(("DER, cut to size".into(), der[..honest.len()].to_vec()));
        forged.push(("nothing".into(), Vec::new()));
        forged.push(("a byte less".into(), honest[..honest.len() - 1].to_vec()));
        forged.push(("a byte less in front".into(), honest[1..].to_vec()));
        forged.push(("a byte more".into(), [&honest[..], &[0]].concat()));
        forged.push(("a zero in front".into(), [&[0], &honest[..]].concat()));
        forged.push(("zeros in front of both".into(), [&[0], r, &[0], s].concat()));
        forged.push(("r alone".into(), r.to_vec()));
        forged.push(("swapped".into(), [s, r].concat()));
        forged.push(("twice".into(), [&honest[..], &honest[..]].concat()));
        for at in [0, order.len() - 1, order.len(), honest.len() - 1] {
            let mut flipped = honest.clone();
            flipped[at] ^= 1;
            forged.push((format!("a bit of byte {at}"), flipped));
        }
        for (name, signature) in forged {
            let what = format!("{} {name}", algorithm.as_str());
            row.is(&what, &world.token(&mint::compact(&message, &signature)), 401);
        }
        row.is("honest", &world.token(&mint::compact(&message, &honest)), 200);
    }
    // A P-256 key that is said to be for ES384.
    let key = of(Algorithm::Es256);
    let mut config = trusting(&key);
    config["issuers"][0]["keys"]["inline"]["keys"][0]["alg"] = json!("ES384");
    config["issuers"][0]["algorithms"] = json!(["ES384", "ES256"]);
    row.expect("a P-256 key for ES384", is_refused(&config), "the configuration is taken");
    let mut world = World::new(&trusting(&key));
    row.is(
        "ES384 with a P-256 key",
        &world.token(&Forge::new(&key).header("alg", "ES384").signed(&key)),
        401,
    );
}

/// The DER prefix of a SHA-256 `DigestInfo` (RFC 8017 section 9.2).
const DIGEST_INFO: [u8; 19] = [
    0x30, 0x31, 0x30, 0x0d, 0x06, 0x09, 0x60, 0x86, 0x48, 0x01, 0x65, 0x03, 0x04, 0x02, 0x01, 0x05, 0x00,
    0x04, 0x20,
];

/// 256 bytes: padding, what is to be signed, and what stands behind it.
fn block(kind: u8, filler: u8, info: &[u8], behind: &[u8]) -> Vec<u8> {
    let filled = 256 - 3 - info.len() - behind.len();
    [&[0, kind], &vec![filler; filled][..], &[0], info, behind].concat()
}

pub fn a39(row: &mut Row, vectors: &Vectors) {
    let key = of(Algorithm::Rs256);
    let mut world = World::new(&trusting(&key));
    let message = message(&key);
    let digest = Sha256::digest(message.as_bytes()).to_vec();
    let info = [&DIGEST_INFO[..], &digest].concat();
    let signed = |block: Vec<u8>| key.rsa_block(&block).unwrap();
    let honest = signed(block(1, 0xff, &info, &[]));
    row.expect("the honest block", honest == key.signature(message.as_bytes()).unwrap(), "is another one");
    let mut no_null = DIGEST_INFO.to_vec();
    no_null.drain(15..17);
    no_null[1] -= 2;
    no_null[3] -= 2;
    let mut sha1 = DIGEST_INFO.to_vec();
    sha1[14] = 0x03;
    let mut long_form = DIGEST_INFO.to_vec();
    long_form.insert(1, 0x81);
    let mut inner_zero = block(1, 0xff, &info, &[]);
    inner_zero[10] = 0;
    let mut filler = block(1, 0xff, &info, &[]);
    filler[100] = 0xfe;
    let mut first = block(1, 0xff, &info, &[]);
    first[0] = 1;
    let mut forged: Vec<(&str, Vec<u8>)> = vec![
        ("no NULL", signed(block(1, 0xff, &[&no_null[..], &digest].concat(), &[]))),
        ("another hash", signed(block(1, 0xff, &[&sha1[..], &digest].concat(), &[]))),
        ("a length in long form", signed(block(1, 0xff, &[&long_form[..], &digest].concat(), &[]))),
        ("the digest alone", signed(block(1, 0xff, &digest, &[]))),
        ("no padding", signed([vec![0; 256 - info.len()], info.clone()].concat())),
        ("no padding, digest alone", signed([vec![0; 224], digest.clone()].concat())),
        ("block type 2", signed(block(2, 0xff, &info, &[]))),
        ("block type 0", signed(block(0, 0, &info, &[]))),
        ("padding of zeros", signed(block(1, 0, &info, &[]))),
        ("a byte of the padding", signed(filler)),
        ("a zero in the padding", signed(inner_zero)),
        ("a first byte of 1", signed(first)),
        ("bytes behind the digest", signed(block(1, 0xff, &info, &[0; 8]))),
        ("eight bytes of padding, the rest behind", signed(block(1, 0xff, &info, &[0x41; 256 - 3 - 51 - 8]))),
        ("no byte of padding", signed(block(1, 0xff, &info, &[0x41; 256 - 3 - 51]))),
        ("bytes inside the DigestInfo", {
            let mut info = info.clone();
            info[1] += 4;
            signed(block(1, 0xff, &[&info[..], &[4, 2, 0, 0]].concat(), &[]))
        }),
        ("zero", vec![0; 256]),
        ("one", plus(&[0; 256], 1)),
        ("nothing", Vec::new()),
        ("a zero in front", [&[0], &honest[..]].concat()),
        ("a zero behind", [&honest[..], &[0]].concat()),
        ("all ones", vec![0xff; 256]),
    ];
    let n = decoded(&key.public_jwk()["n"]);
    forged.push(("the modulus", n.clone()));
    forged.push(("the modulus less one", plus(&n, -1)));
    // The same number modulo n, one byte longer or not.
    let mut sum = vec![0_u8; 257];
    let mut carry = 0_u16;
    for at in (0..256).rev() {
        let added = u16::from(honest[at]) + u16::from(n[at]) + carry;
        sum[at + 1] = (added & 0xff) as u8;
        carry = added >> 8;
    }
    sum[0] = carry as u8;
    forged.push(("plus the modulus", if carry == 0 { sum[1..].to_vec() } else { sum }));
    for (name, signature) in forged {
        row.is(name, &world.token(&mint::compact(&message, &signature)), 401);
    }
    row.is("honest", &world.token(&mint::compact(&message, &honest)), 200);
    // A signature that begins with a zero has one spelling; this token has one.
    let message = Forge::new(&key).claim("jti", SHORT).unsigned();
    let signature = key.signature(message.as_bytes()).unwrap();
    row.expect("a signature that begins with a zero", signature[0] == 0, signature[0]);
    row.is("with its zero", &world.token(&mint::compact(&message, &signature)), 200);
    row.is("without its zero", &world.token(&mint::compact(&message, &signature[1..])), 401);
    pss(row);
    weak_rsa_keys(row, vectors);
}

/// PKCS #1 v1.5 for a key of PSS, and the other way round; salts of other lengths are Wycheproof's.
fn pss(row: &mut Row) {
    let (rs256, ps256) = (of(Algorithm::Rs256), of(Algorithm::Ps256));
    let mut world = World::new(&trusting(&ps256));
    let message = message(&ps256);
    row.is("PSS", &world.token(&mint::compact(&message, &ps256.signature(message.as_bytes()).unwrap())), 200);
    let other = rs256.signature(message.as_bytes()).unwrap();
    row.is("PKCS #1 for a PSS key", &world.token(&mint::compact(&message, &other)), 401);
}

fn decoded(text: &Value) -> Vec<u8> {
    base64::engine::general_purpose::URL_SAFE_NO_PAD.decode(text.as_str().unwrap()).unwrap()
}

fn weak_rsa_keys(row: &mut Row, vectors: &Vectors) {
    let with = |member: &str, value: Vec<u8>| {
        let mut config = trusting(&of(Algorithm::Rs256));
        config["issuers"][0]["keys"]["inline"]["keys"][0][member] = json!(super::world::base64url(value));
        config
    };
    for exponent in [0_u8, 1, 2, 3, 5, 17] {
        let refused = is_refused(&with("e", vec![exponent]));
        row.expect(&format!("e = {exponent}"), refused, "the configuration is taken");
    }
    row.expect("an even e", is_refused(&with("e", vec![1, 0, 0])), "the configuration is taken");
    row.expect("a huge e", is_refused(&with("e", vec![0xff; 256])), "the configuration is taken");
    // (2^16 + 1)^128 has the fingerprint of ROCA, 2049 bits, and is odd.
    let mut power = vec![1_u8];
    for _ in 0..128 {
        let shifted = [&power[..], &[0, 0]].concat();
        let padded = [&[0, 0], &power[..]].concat();
        let mut carry = 0_u16;
        let mut sum = shifted.clone();
        for at in (0..sum.len()).rev() {
            let added = u16::from(shifted[at]) + u16::from(padded[at]) + carry;
            sum[at] = (added & 0xff) as u8;
            carry = added >> 8;
        }
        assert_eq!(carry, 0);
        power = sum;
    }
    row.expect("ROCA", is_refused(&with("n", power.clone())), "the configuration is taken");
    row.expect("its neighbour", !is_refused(&with("n", plus(&power, 2))), "the configuration is refused");
    row.expect("an even modulus", is_refused(&with("n", plus(&power, 1))), "the configuration is taken");
    row.expect("1024 bits", is_refused(&with("n", vec![0xc1; 128])), "the configuration is taken");
    row.expect("2047 bits", is_refused(&with("n", vec![0x71; 256])), "the configuration is taken");
    row.expect("zero", is_refused(&with("n", vec![0; 256])), "the configuration is taken");
    for group in vectors.json("wycheproof/json_web_key_test.json")["testGroups"].as_array().unwrap() {
        let short = group["tests"][0]["comment"].as_str().is_some_and(|text| text.contains("1024bit"));
        if let Some(keys) = group.get("public").filter(|_| short) {
            let mut config = trusting(&of(Algorithm::Rs256));
            config["issuers"][0]["keys"]["inline"] = keys.clone();
            row.expect("published, 1024 bits", is_refused(&config), "the configuration is taken");
        }
    }
}

/// The `jti` of the token whose RS256 signature happens to begin with a zero.
const SHORT: &str = "454";

/// The order of the group of Ed25519, little-endian.
const L: [u8; 32] = [
    0xed, 0xd3, 0xf5, 0x5c, 0x1a, 0x63, 0x12, 0x58, 0xd6, 0x9c, 0xf7, 0xa2, 0xde, 0xf9, 0xde, 0x14, 0, 0, 0,
    0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0x10,
];

pub fn a40(row: &mut Row, _: &Vectors) {
    let key = of(Algorithm::EdDsa);
    let mut world = World::new(&trusting(&key));
    let message = message(&key);
    let honest = key.signature(message.as_bytes()).unwrap();
    let (r, s) = honest.split_at(32);
    let mut forged: Vec<(String, Vec<u8>)> = Vec::new();
    // S + k L verifies wherever S is not checked to be below L.
    let mut more = s.to_vec();
    for times in 1..=15 {
        let mut carry = 0_u16;
        for (byte, add) in more.iter_mut().zip(L) {
            let sum = u16::from(*byte) + u16::from(add) + carry;
            *byte = (sum & 0xff) as u8;
            carry = sum >> 8;
        }
        forged.push((format!("S + {times} L"), [r, &more].concat()));
    }
    for bit in [0x20, 0x40, 0x80] {
        let mut high = honest.clone();
        high[63] |= bit;
        forged.push((format!("bit {bit:#x} of S"), high));
    }
    // Points of small order as R, in both spellings where there are two, with S of 0.
    let mut identity = [0_u8; 32];
    identity[0] = 1;
    let mut twin = identity;
    twin[31] = 0x80;
    let mut modulus = [0xff_u8; 32];
    (modulus[0], modulus[31]) = (0xed, 0x7f);
    let mut beyond = modulus;
    beyond[0] = 0xee;
    for (name, point) in
        [("identity", identity), ("its twin", twin), ("p", modulus), ("p + 1", beyond), ("0", [0; 32])]
    {
        forged.push((format!("R is {name}, S is 0"), [point, [0; 32]].concat()));
        forged.push((format!("R is {name}"), [&point[..], s].concat()));
    }
    forged.push(("nothing".into(), Vec::new()));
    forged.push(("63 bytes".into(), honest[..63].to_vec()));
    forged.push(("65 bytes".into(), [&honest[..], &[0]].concat()));
    forged.push(("114 bytes, as of Ed448".into(), [&honest[..], &[0; 50]].concat()));
    forged.push(("zeros".into(), vec![0; 64]));
    for (name, signature) in forged {
        row.is(&name, &world.token(&mint::compact(&message, &signature)), 401);
    }
    row.is("honest", &world.token(&mint::compact(&message, &honest)), 200);
    // Ed25519 goes by `EdDSA` alone; RFC 9864 gives it a second name.
    row.is("alg Ed25519", &world.token(&Forge::new(&key).header("alg", "Ed25519").signed(&key)), 401);
    let altered = |changes: Value| {
        let mut config = trusting(&key);
        for (name, value) in changes.as_object().unwrap() {
            config["issuers"][0]["keys"]["inline"]["keys"][0][name] = value.clone();
        }
        is_refused(&config)
    };
    let x = |bytes: &[u8]| json!({"x": super::world::base64url(bytes)});
    for (name, refused) in [
        ("a key with alg Ed25519", altered(json!({"alg": "Ed25519"}))),
        ("an Ed448 key", altered(json!({"crv": "Ed448", "x": super::world::base64url([7; 57])}))),
        ("an X25519 key", altered(json!({"crv": "X25519"}))),
        ("a key of small order", altered(x(&identity))),
        ("a key of small order, y = 0", altered(x(&[0; 32]))),
        ("a key that is not canonical", altered(x(&beyond))),
        ("a key of 31 bytes", altered(x(&[7; 31]))),
        ("a key of 33 bytes", altered(x(&[7; 33]))),
    ] {
        row.expect(name, refused, "the configuration is taken");
    }
}

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
        ("one kid twice", json!({"keys": [good, with(&other, json!({"kid": good["kid"]}))]})),
        ("one key twice", json!({"keys": [good, good]})),
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

/// One issuer whose keys are on a server.
fn remote() -> Value {
    let mut config = config();
    config["issuers"][0] = json!({
        "issuer": ISSUER, "audiences": [AUDIENCE], "algorithms": ["ES256"], "max_lifetime_s": 3600,
        "kind": "workload",
        "keys": {"remote": {
            "cluster": "jwks", "host": "id.example", "path": "/keys",
            "refresh_s": 60, "interval_s": 10, "max_stale_s": 300, "wait_ms": 1000, "max_waiting": 100,
        }},
    });
    config
}

fn honest() -> String {
    let key = of(Algorithm::Es256);
    Forge::new(&key).signed(&key)
}

impl World {
    /// Answers the fetch that is due now with this set.
    fn feed(&mut self, set: Value) {
        let due = self.tick(NOW);
        let fetch = due.fetches.first().expect("a fetch is due").0;
        let due = self.answer(fetch, Reply::http(200, set.to_string()), NOW);
        assert!(due.fetches.is_empty());
    }

    /// The decision on a request that waits for keys, if it has to, for as long as it may.
    fn patient(&mut self, request: &WireRequest, now: UnixTime) -> Decision {
        match self.step(request, now) {
            Step::Wait { pending } => {
                let late = UnixTime::from_secs(now.secs() + 2);
                done(self.engine.resume(pending, Vec::new(), late))
            }
            step => done(step),
        }
    }
}

/// Answers of a server of keys that bring none.
fn failures() -> Vec<(&'static str, Reply)> {
    let set = of(Algorithm::Es256).public_jwks().to_string();
    let redirect = Headers::new(vec![("location".into(), b"https://evil.example/keys".to_vec())]);
    vec![
        ("unreachable", Reply::Failed(Failure::Unavailable)),
        ("too large", Reply::Failed(Failure::TooLarge)),
        ("timeout", Reply::http(504, "upstream request timeout")),
        ("500", Reply::http(500, set.clone())),
        ("404", Reply::http(404, set.clone())),
        ("204", Reply::http(204, set.clone())),
        ("301", moved(301, redirect.clone(), set.clone().into_bytes())),
        ("302", moved(302, redirect, Vec::new())),
        ("HTML", Reply::http(200, "<html><body>Sign in</body></html>")),
        ("truncated", Reply::http(200, set[..set.len() / 2].to_owned())),
        ("nothing", Reply::http(200, "")),
        ("no keys", Reply::http(200, "{\"keys\":[]}")),
        ("an error in JSON", Reply::http(200, "{\"error\":\"try again\"}")),
    ]
}

pub fn a42(row: &mut Row, _: &Vectors) {
    failing_fetches(row);
    lifetimes(row);
    flips(row);
    floods(row);
    discovery(row);
}

/// A failed fetch lets nobody in, without keys and with old ones alike.
fn failing_fetches(row: &mut Row) {
    for (name, reply) in failures() {
        let mut world = World::fetching(&remote());
        let pending = waits(world.step(&bearer(&honest()), NOW));
        let due = world.tick(NOW);
        row.expect(name, due.fetches.len() == 1, format!("{due:?}"));
        let due = world.answer(due.fetches[0].0, reply.clone(), NOW);
        row.expect(name, due.fetches.is_empty() && due.woken.is_empty(), format!("{due:?}"));
        row.expect(name, due.warnings.len() == 1, format!("warns {:?}", due.warnings));
        let again = world.tick(later(1));
        row.expect(name, again.fetches.is_empty(), "is tried again within the interval");
        row.expect(name, again.woken.len() == 1, "who waited is not woken");
        row.is(name, &done(world.engine.resume(pending, Vec::new(), later(1))), 503);
        // After the interval a good answer is taken.
        let due = world.tick(later(10));
        row.expect(name, due.fetches.len() == 1, format!("is not tried again: {due:?}"));
        let set = of(Algorithm::Es256).public_jwks().to_string();
        let _ = world.answer(due.fetches[0].0, Reply::http(200, set), later(10));
        row.is("keys at last", &world.at(&bearer(&honest()), later(10)), 200);
        // Keys that are there stay, but not for ever.
        let due = world.tick(later(80));
        row.expect(name, due.fetches.len() == 1, format!("is not refreshed: {due:?}"));
        let _ = world.answer(due.fetches[0].0, reply, later(80));
        row.is("old keys", &world.at(&bearer(&honest()), later(81)), 200);
    }
}

/// A token that lives until long after its keys.
fn long_lived() -> String {
    let key = of(Algorithm::Es256);
    Forge::new(&key).claim("exp", NOW.secs() + 3_600).signed(&key)
}

fn lifetimes(row: &mut Row) {
    for (name, reply) in failures() {
        let mut world = World::fetching(&remote());
        world.feed(of(Algorithm::Es256).public_jwks());
        row.is("fresh", &world.at(&bearer(&long_lived()), NOW), 200);
        for at in (10..=300).step_by(10) {
            for (fetch, ..) in world.tick(later(at)).fetches {
                let _ = world.answer(fetch, reply.clone(), later(at));
            }
        }
        row.is(&format!("{name}, 300 s old"), &world.at(&bearer(&long_lived()), later(300)), 200);
        // Also a token that was verified before.
        let decision = world.patient(&bearer(&long_lived()), later(301));
        row.is(&format!("{name}, 301 s old"), &decision, 503);
    }
    // Nobody answers at all.
    let mut world = World::fetching(&remote());
    world.feed(of(Algorithm::Es256).public_jwks());
    for at in 1..=301 {
        let _ = world.tick(later(at));
    }
    row.is("no answer ever", &world.patient(&bearer(&long_lived()), later(301)), 503);
}

/// Sets that come and go: who was taken away is out, also with a token that was verified before.
fn flips(row: &mut Row) {
    let (first, second) = (of(Algorithm::Es256), TestKey::foreign(Algorithm::Es256).unwrap());
    let mut world = World::fetching(&remote());
    world.feed(first.public_jwks());
    let token = |key: &TestKey| Forge::new(key).claim("exp", NOW.secs() + 3_000).signed(key);
    row.is("key 1", &world.at(&bearer(&token(&first)), NOW), 200);
    for turn in 1..6 {
        let now = later(turn * 130);
        let (in_set, out) = if turn % 2 == 1 { (&second, &first) } else { (&first, &second) };
        for (fetch, ..) in world.tick(now).fetches {
            let _ = world.answer(fetch, Reply::http(200, in_set.public_jwks().to_string()), now);
        }
        row.is("the key of the set", &world.at(&bearer(&token(in_set)), now), 200);
        let decision = world.patient(&bearer(&token(out)), now);
        row.any("the key that was taken away", &decision, &[401, 503]);
        // One key id under another key.
        let mut renamed = in_set.public_jwks();
        renamed["keys"][0]["kid"] = json!(out.id());
        let later = UnixTime::from_secs(now.secs() + 60);
        for (fetch, ..) in world.tick(later).fetches {
            let _ = world.answer(fetch, Reply::http(200, renamed.to_string()), later);
        }
        row.is("its id over another key", &world.at(&bearer(&token(out)), later), 401);
    }
}

/// Ids that no set has: few fetches, few that wait, and nobody else suffers.
fn floods(row: &mut Row) {
    let key = of(Algorithm::Es256);
    let mut world = World::fetching(&remote());
    world.feed(key.public_jwks());
    let mut fetches: BTreeMap<i64, usize> = BTreeMap::new();
    let mut waiting = 0_usize;
    let mut pendings = Vec::new();
    for second in 0..60 {
        for id in 0..300 {
            // Nobody gets as far as the signature.
            let message = Forge::new(&key).header("kid", format!("{second} {id}")).unsigned();
            match world.step(&bearer(&mint::compact(&message, &[7; 64])), later(second)) {
                Step::Wait { pending } => pendings.push(pending),
                step => row.any("an unknown id", &done(step), &[401, 503]),
            }
        }
        waiting = waiting.max(world.engine.stats().awaiting_keys);
        let due = world.tick(later(second));
        *fetches.entry(second / 10).or_default() += due.fetches.len();
        for (fetch, ..) in due.fetches {
            let _ = world.answer(fetch, Reply::http(200, key.public_jwks().to_string()), later(second));
        }
        for pending in pendings.drain(..) {
            if let Step::Done(decision) = world.engine.resume(pending, Vec::new(), later(second)) {
                row.any("an unknown id that waited", &decision, &[401, 503]);
            }
        }
        let good = Forge::new(&key).signed(&key);
        row.is("a good token meanwhile", &world.at(&bearer(&good), later(second)), 200);
    }
    let most = fetches.values().max().copied().unwrap_or_default();
    row.expect("one fetch per interval", most == 1, format!("{most}: {fetches:?}"));
    row.expect("a bounded number waits", waiting <= 100, format!("{waiting}"));
    // Without a credential nobody asks for keys.
    row.is("no token", &world.at(&get("/"), later(60)), 401);
    row.is("a key id in a header", &world.at(&with(&[("kid", "x")]), later(60)), 401);
    let plain = signed_bytes(&key, text(&key.header()), "{}");
    row.is("no issuer, no fetch", &world.at(&bearer(&plain), later(60)), 401);
}

/// The discovery document leads to no other server and no other issuer.
fn discovery(row: &mut Row) {
    let mut config = remote();
    let keys = &mut config["issuers"][0]["keys"]["remote"];
    keys.as_object_mut().unwrap().remove("path");
    keys["discovery"] = json!(true);
    for (name, document, follows) in [
        ("honest", json!({"issuer": ISSUER, "jwks_uri": "https://id.example/jwks"}), true),
        ("another server", json!({"issuer": ISSUER, "jwks_uri": "https://evil.example/jwks"}), false),
        ("a metadata address", json!({"issuer": ISSUER, "jwks_uri": "http://169.254.169.254/"}), false),
        ("a user", json!({"issuer": ISSUER, "jwks_uri": "https://id.example@evil.example/"}), false),
        ("another scheme", json!({"issuer": ISSUER, "jwks_uri": "http://id.example/jwks"}), false),
        ("another port", json!({"issuer": ISSUER, "jwks_uri": "https://id.example:8443/jwks"}), false),
        (
            "another issuer",
            json!({"issuer": "https://evil.example", "jwks_uri": "https://id.example/jwks"}),
            false,
        ),
        ("no issuer", json!({"jwks_uri": "https://id.example/jwks"}), false),
    ] {
        let mut world = World::fetching(&config);
        let due = world.tick(NOW);
        let (fetch, cluster, host, path) = due.fetches.first().unwrap().clone();
        let well_known = (cluster.as_str(), host.as_str(), path.as_str());
        let expected = ("jwks", "id.example", "/.well-known/openid-configuration");
        row.expect(name, well_known == expected, format!("{well_known:?}"));
        let due = world.answer(fetch, Reply::http(200, document.to_string()), NOW);
        let asked: Vec<(&str, &str)> =
            due.fetches.iter().map(|(_, cluster, host, _)| (cluster.as_str(), host.as_str())).collect();
        let expected = if follows { vec![("jwks", "id.example")] } else { Vec::new() };
        row.expect(name, asked == expected, format!("{:?}", due.fetches));
    }
}

fn moved(status: u16, headers: Headers, body: Vec<u8>) -> Reply {
    Reply::Http { status, headers, body, trailers: Headers::default() }
}
