//! The checklist of attacks: a case per row, each of which builds the row's attacks and near misses
//! and sends them through the whole engine.
//!
//! Where we knowingly differ in one variant of a row, that variant is a case of its own, named
//! after the row: a listed deviation must not hide what else the row finds.

mod answer;
mod binding;
mod claims;
mod client;
mod credential;
mod dpop;
mod encoding;
mod format;
mod hop;
mod key;
mod key_server;
mod key_set;
mod record;
mod request;
mod signature;
mod svid;
mod times;
pub mod world;

use std::collections::BTreeSet;

use crate::suite::{CaseResult, Suite, Vectors, IN_RUST};
use world::Row;

type Attack = fn(&mut Row, &Vectors);

const ATTACKS: &[(&str, Attack)] = &[
    ("A01 alg none", format::a01),
    ("A02 alg none with a signature", format::a02),
    ("A03 HS256 with the public key", key::a03),
    ("A04 another alg than the key's", key::a04),
    ("A05 key without alg", key::a05),
    ("A06 kid injection", key::a06),
    ("A07 jku and x5u", key::a07),
    ("A08 embedded key", key::a08),
    ("A09 crit", format::a09),
    ("A10 b64 false", format::a10),
    ("A11 JSON serialization", format::a11),
    ("A11 JSON serialization, status", format::a11_status),
    ("A12 JWE and nested tokens", format::a12),
    ("A13 number of parts", format::a13),
    ("A14 base64", encoding::a14),
    ("A15 duplicate header members", encoding::a15),
    ("A16 duplicate claims", encoding::a16),
    ("A17 escaped names", encoding::a17),
    ("A18 encodings", encoding::a18),
    ("A19 trailing bytes", encoding::a19),
    ("A20 payload is no object", encoding::a20),
    ("A21 deep nesting", encoding::a21),
    ("A22 huge token", encoding::a22),
    ("A23 forms of exp", times::a23),
    ("A24 nbf", times::a24),
    ("A25 iat", times::a25),
    ("A26 clock edges", times::a26),
    ("A27 aud", claims::a27),
    ("A28 iss", claims::a28),
    ("A29 issuer and key mixed", key::a29),
    ("A30 place and issuer mixed", claims::a30),
    ("A31 unknown issuer on an open route", claims::a31),
    ("A32 two credentials", credential::a32),
    ("A33 forms of the scheme", credential::a33),
    ("A33 forms of the scheme, comma", credential::a33_comma),
    ("A34 token elsewhere", credential::a34),
    ("A35 header names", credential::a35),
    ("A36 typ confusion", claims::a36),
    ("A37 typ as a media type", claims::a37),
    ("A38 ECDSA", signature::a38),
    ("A39 RSA", signature::a39),
    ("A40 EdDSA", signature::a40),
    ("A41 key sets", key_set::a41),
    ("A41 key sets, x5c", key_set::a41_x5c),
    ("A42 fetched keys", key_server::a42),
    ("A43 JWT-SVID", svid::a43),
    ("A44 XFCC", hop::a44),
    ("A45 DPoP", dpop::a45),
    ("A45 DPoP, changed configuration", dpop::a45_configure),
    ("A45 DPoP, nonce", dpop::a45_nonce),
    ("A45 DPoP, reserved characters", dpop::a45_reserved),
    ("A46 DPoP and Bearer", binding::a46),
    ("A47 certificate binding", binding::a47),
    ("A48 status list", claims::a48),
    ("A49 act chains", claims::a49),
    ("A50 path confusion", request::a50),
    ("A51 methods", request::a51),
    ("A52 MCP bodies", no_bodies),
    ("A53 answers of decision points", answer::a53),
    ("A53 answers of decision points, size", answer::a53_size),
    ("A54 decision log", record::a54),
    ("A54 decision log, other controls", record::a54_controls),
    ("A54 decision log, proof", record::a54_dpop),
];

/// No part of the engine sees a body yet.
fn no_bodies(row: &mut Row, _: &Vectors) {
    row.expect("a body", false, "nothing is decided by it");
}

pub fn suites() -> Vec<Suite> {
    vec![Suite { name: "attacks", minimum: 54, targets: IN_RUST, run }]
}

fn run(vectors: &Vectors) -> Vec<CaseResult> {
    let mut results: Vec<CaseResult> = ATTACKS
        .iter()
        .map(|(id, attack)| {
            let mut row = Row::new(*id);
            attack(&mut row, vectors);
            row.result()
        })
        .collect();
    // A row that the checklist has and we have not is not to be missed.
    let ours: BTreeSet<&str> = ATTACKS.iter().filter_map(|(id, _)| id.split(' ').next()).collect();
    let checklist = vectors.json("attack-lists/attack_checklist.json");
    let theirs = checklist["rows"].as_array().expect("the checklist has rows").iter();
    for id in theirs.filter_map(|row| row["id"].as_str()).filter(|id| !ours.contains(id)) {
        results.push(CaseResult {
            id: id.to_owned(),
            agrees: false,
            note: "there is no such case".to_owned(),
        });
    }
    results
}
