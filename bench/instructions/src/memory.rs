//! A worker that has many grants, and remembers many tokens.

use std::fmt::Write as _;
use std::rc::Rc;

use anyhow::bail;
use everycall::mint::{self, TestKey};
use everycall::WireRequest;
use everycall_core::jose::{Key, SignatureVerifier, Unavailable};
use everycall_core::sync::LocalData;
use everycall_core::{Algorithm, Engine, IdSeed, Settings, Step, StreamId};
use serde_json::{json, Map, Value};

use crate::stages::{HOST, ISSUER, NOW};

/// Callers. Each has a grant of its own.
const CALLERS: usize = 100;

/// A configuration with that many grants, as its text: written piece by piece, since a document of it would
/// grow the memory that is measured.
pub fn configuration(grants: usize) -> anyhow::Result<Vec<u8>> {
    let keys = TestKey::of(Algorithm::Rs256)?.public_jwks();
    let mut text = format!(
        "{{\"version\":1,\"instance\":\"memory\",\"issuers\":[{{\"issuer\":\"{ISSUER}\",\"audiences\":[\"orders\"],\
         \"algorithms\":[\"RS256\"],\"kind\":\"workload\",\"max_lifetime_s\":3600,\
         \"trust_domains\":[\"shop.example\"],\"keys\":{{\"inline\":{keys}}}}}],\
         \"limits\":{{\"tokens_cached_bytes\":268435456}},\
         \"bundle\":{{\"inline\":{{\"policies\":{{\"orders.rego\":\"package everycall.orders\\n\
         decision := {{\\\"allow\\\": true, \\\"reason\\\": \\\"reader\\\"}} if \
         input.identity.claims.scope == \\\"orders.read\\\"\\n\"}},\"grants\":["
    );
    for number in 0..grants {
        let (id, subject, path) = match number {
            0..CALLERS => (format!("caller-{number}"), caller(number), "/orders/{order...}".to_owned()),
            _ => (
                format!("g{number}"),
                format!("spiffe://shop.example/ns/n{}/sa/s{number}", number % 97),
                format!("/s{number}/orders/{{order}}"),
            ),
        };
        let comma = if number == 0 { "" } else { "," };
        write!(
            text,
            "{comma}{{\"id\":\"{id}\",\"owner\":\"team-orders@shop.example\",\
             \"purpose\":\"Show customers their orders\",\"subject\":\"{subject}\",\"kinds\":[\"workload\"],\
             \"hosts\":[\"{HOST}\"],\"methods\":[\"GET\",\"POST\"],\"paths\":[\"{path}\"],\"policy\":\"orders\"}}"
        )?;
    }
    text.push_str("]}}}");
    Ok(text.into_bytes())
}

fn caller(number: usize) -> String {
    format!("spiffe://shop.example/bench/caller-{number}")
}

/// Signatures are not what is measured.
struct Believes;

impl SignatureVerifier for Believes {
    fn verify(&self, _: &Key, _: &[u8], _: &[u8]) -> Result<bool, Unavailable> {
        Ok(true)
    }
}

/// An engine of this configuration.
pub fn engine(text: Vec<u8>) -> anyhow::Result<Engine> {
    let settings = Settings::from_json(text).map_err(|error| anyhow::anyhow!("{error}"))?;
    Ok(Engine::new(settings, Box::new(Believes), Rc::<LocalData>::default(), IdSeed::derive(&[])))
}

/// Lets the engine see that many different tokens.
pub fn remember(engine: &mut Engine, tokens: usize) -> anyhow::Result<()> {
    let header = TestKey::of(Algorithm::Rs256)?.header();
    for number in 0..tokens {
        let wire = WireRequest {
            method: "GET".into(),
            scheme: "https".into(),
            host: HOST.into(),
            path: b"/orders/o-1".to_vec(),
            headers: vec![(
                "authorization".into(),
                format!("Bearer {}", token(&header, number)).into_bytes(),
            )],
            source_ip: "127.0.0.1".into(),
            peer_id: None,
            peer_certificate: None,
        };
        let Step::Done(decision) = engine.check(wire.to_core(StreamId(1)), NOW) else {
            bail!("nobody is to be asked")
        };
        if let Err(denial) = decision.verdict {
            bail!("refused: {denial:?} {:?}", decision.record.detail);
        }
    }
    Ok(())
}

/// A token as RS256 ones are, but for its signature.
fn token(header: &Map<String, Value>, number: usize) -> String {
    let now = NOW.secs();
    let claims = json!({"iss": ISSUER, "sub": caller(number % CALLERS), "aud": "orders", "scope": "orders.read",
        "iat": now, "exp": now + 3_600, "jti": format!("token-{number:06}")});
    let claims = claims.as_object().cloned().unwrap_or_default();
    let mut state = u64::try_from(number).unwrap_or_default();
    let signature: Vec<u8> = (0..32)
        .flat_map(|_| {
            // SplitMix64: no two are alike.
            state = state.wrapping_add(0x9e37_79b9_7f4a_7c15);
            let mixed = (state ^ (state >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
            (mixed ^ (mixed >> 27)).to_be_bytes()
        })
        .collect();
    mint::compact(&mint::signing_input(header, &claims), &signature)
}
