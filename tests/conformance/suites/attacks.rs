//! The checklist of attacks: a case per row, each of which builds the row's attacks and near misses
//! and sends them through the whole engine.
//!
//! Where we knowingly differ in one variant of a row, that variant is a case of its own, named
//! after the row: a listed deviation must not hide what else the row finds.

mod claims;
mod format;
mod key;
mod proof;
mod request;
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
    ("A14 base64", format::a14),
    ("A15 duplicate header members", format::a15),
    ("A16 duplicate claims", format::a16),
    ("A17 escaped names", format::a17),
    ("A18 encodings", format::a18),
    ("A19 trailing bytes", format::a19),
    ("A20 payload is no object", format::a20),
    ("A21 deep nesting", format::a21),
    ("A22 huge token", format::a22),
    ("A23 forms of exp", claims::a23),
    ("A24 nbf", claims::a24),
    ("A25 iat", claims::a25),
    ("A26 clock edges", claims::a26),
    ("A27 aud", claims::a27),
    ("A28 iss", claims::a28),
    ("A29 issuer and key mixed", key::a29),
    ("A30 place and issuer mixed", claims::a30),
    ("A31 unknown issuer on an open route", claims::a31),
    ("A32 two credentials", request::a32),
    ("A33 forms of the scheme", request::a33),
    ("A33 forms of the scheme, comma", request::a33_comma),
    ("A34 token elsewhere", request::a34),
    ("A35 header names", request::a35),
    ("A36 typ confusion", claims::a36),
    ("A37 typ as a media type", claims::a37),
    ("A38 ECDSA", key::a38),
    ("A39 RSA", key::a39),
    ("A40 EdDSA", key::a40),
    ("A41 key sets", key::a41),
    ("A41 key sets, x5c", key::a41_x5c),
    ("A42 fetched keys", key::a42),
    ("A43 JWT-SVID", proof::a43),
    ("A44 XFCC", proof::a44),
    ("A45 DPoP", proof::a45),
    ("A45 DPoP, changed configuration", proof::a45_configure),
    ("A45 DPoP, nonce", proof::a45_nonce),
    ("A45 DPoP, reserved characters", proof::a45_reserved),
    ("A46 DPoP and Bearer", proof::a46),
    ("A47 certificate binding", proof::a47),
    ("A48 status list", claims::a48),
    ("A49 act chains", claims::a49),
    ("A50 path confusion", request::a50),
    ("A51 methods", request::a51),
    ("A52 MCP bodies", no_bodies),
    ("A53 answers of decision points", request::a53),
    ("A53 answers of decision points, size", request::a53_size),
    ("A54 decision log", request::a54),
    ("A54 decision log, other controls", request::a54_controls),
    ("A54 decision log, proof", request::a54_dpop),
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
