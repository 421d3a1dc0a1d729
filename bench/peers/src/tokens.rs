//! Tokens for the policy: signed with the project's test keys before anything is measured.

use std::thread;
use std::time::UNIX_EPOCH;

use anyhow::Context;
use everycall::mint::TestKey;
use everycall_core::Algorithm;
use serde_json::{json, Map, Value};

use crate::policy::{identity, AUDIENCE, IDENTITIES, ISSUER, LIFETIME_S, SCOPE};

/// Different tokens of one algorithm, the caller changing from each to the next. All valid for longer
/// than the run lasts.
pub fn mint(algorithm: Algorithm, count: usize) -> anyhow::Result<Vec<String>> {
    let threads = thread::available_parallelism()?.get();
    let share = count.div_ceil(threads).max(1);
    thread::scope(|scope| {
        let minting: Vec<_> = (0..count)
            .step_by(share)
            .map(|from| {
                scope.spawn(move || {
                    let key = TestKey::of(algorithm)?;
                    (from..count.min(from + share)).map(|number| signed(&key, &claims(number)?)).collect()
                })
            })
            .collect();
        let mut tokens = Vec::with_capacity(count);
        for part in minting {
            let part: anyhow::Result<Vec<String>> =
                part.join().ok().context("a token could not be signed")?;
            tokens.extend(part?);
        }
        Ok(tokens)
    })
}

/// A token that nobody may be let in with: of a key that is not trusted, or for somebody else.
pub fn wrong(algorithm: Algorithm) -> anyhow::Result<[(&'static str, String); 2]> {
    let mut for_others = claims(0)?;
    for_others.insert("aud".into(), json!("invoices"));
    let mut stranger = TestKey::foreign(algorithm)?.header();
    stranger.insert("kid".into(), json!(TestKey::of(algorithm)?.id()));
    let other_key = TestKey::foreign(algorithm)?.sign(&stranger, &claims(0)?)?;
    Ok([
        ("a token of another key", other_key),
        ("a token for others", signed(&TestKey::of(algorithm)?, &for_others)?),
    ])
}

fn signed(key: &TestKey, claims: &Map<String, Value>) -> anyhow::Result<String> {
    Ok(key.sign(&key.header(), claims)?)
}

fn claims(number: usize) -> anyhow::Result<Map<String, Value>> {
    let now = i64::try_from(UNIX_EPOCH.elapsed()?.as_secs())?;
    let claims = json!({"iss": ISSUER, "sub": identity(number % IDENTITIES), "aud": AUDIENCE, "scope": SCOPE,
        "iat": now, "exp": now + LIFETIME_S, "jti": format!("token-{number:06}")});
    claims.as_object().cloned().context("no claims")
}
