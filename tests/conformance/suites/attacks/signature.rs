//! Attacks on signatures: ECDSA, RSA and EdDSA at the edges of what their numbers may be, and beyond.

use base64::Engine as _;
use everycall::mint::{self, TestKey};
use everycall_core::jose::ecdsa_der;
use everycall_core::Algorithm;
use serde_json::{json, Value};
use sha2::{Digest as _, Sha256};

use super::world::{is_refused, of, trusting, Forge, Row, World};
use crate::suite::Vectors;

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
    // RFC 9864 gives it a name of its own, which is that of no other key's algorithm.
    row.is("alg Ed25519", &world.token(&Forge::new(&key).header("alg", "Ed25519").signed(&key)), 200);
    let ec = of(Algorithm::Es256);
    let other = Forge::new(&ec).header("alg", "Ed25519").signed(&ec);
    row.is("alg Ed25519 for another key", &World::new(&trusting(&ec)).token(&other), 401);
    for alg in ["Ed448", "ed25519", "ED25519", "Ed25519ph"] {
        row.is(alg, &world.token(&Forge::new(&key).header("alg", alg).signed(&key)), 401);
    }
    let altered = |changes: Value| {
        let mut config = trusting(&key);
        for (name, value) in changes.as_object().unwrap() {
            config["issuers"][0]["keys"]["inline"]["keys"][0][name] = value.clone();
        }
        is_refused(&config)
    };
    let x = |bytes: &[u8]| json!({"x": super::world::base64url(bytes)});
    for (name, refused) in [
        ("a key with alg Ed448", altered(json!({"alg": "Ed448"}))),
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
