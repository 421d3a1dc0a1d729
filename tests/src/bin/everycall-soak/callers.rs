//! Who calls: an issuer whose keys rotate, and the tokens that it gives, good and bad.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use anyhow::{anyhow, Context as _};
use everycall::clock;
use everycall::mint::{compact, signing_input};
use everycall::sign::SigningKey;
use everycall_core::Algorithm;
use everycall_tests::server::Answer;
use serde_json::{json, Value};
use sha2::{Digest as _, Sha256};

use crate::run::Run;

pub const ISSUER: &str = "https://id.shop.example/workloads";
const AUDIENCE: &str = "https://shop.example";

/// From one new key to the next.
const ROTATION: Duration = Duration::from_secs(15);
/// How long the old key is published beside the new one.
const BESIDE: Duration = Duration::from_secs(5);
/// How long the server of keys fails in each rotation.
const DOWN: Duration = Duration::from_secs(2);
/// No worker has a dropped key any more after that: a set is fetched again when it is 10 s old, and nothing is
/// fetched while the server is down.
const GONE: Duration = Duration::from_secs(16);
/// How long tokens live, in seconds: for less than the revocations that end them.
pub const LIFETIME_S: i64 = 100;

/// The issuer and its server of keys.
pub struct Issuer {
    keys: Mutex<Keys>,
    serial: AtomicU64,
}

struct Keys {
    signs: Arc<SigningKey>,
    published: Vec<Arc<SigningKey>>,
    /// Those that no worker knows any more, after that moment.
    dropped: Vec<(Instant, Arc<SigningKey>)>,
    /// Its private half is with somebody else.
    forger: Arc<SigningKey>,
    is_down: bool,
}

/// What is wrong with a token.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Flaw {
    None,
    Expired,
    Audience,
    /// Signed by somebody else.
    Forged,
    /// Signed with a key that is not published any more.
    Dropped,
}

impl Issuer {
    pub fn new() -> anyhow::Result<Self> {
        let first = key(0)?;
        let keys = Keys {
            signs: Arc::clone(&first),
            published: vec![first],
            dropped: Vec::new(),
            forger: key(u64::MAX)?,
            is_down: false,
        };
        Ok(Self { keys: Mutex::new(keys), serial: AtomicU64::new(0) })
    }

    /// What the server of keys says.
    pub fn answer(&self) -> Answer {
        let keys = self.keys.lock().unwrap();
        if keys.is_down {
            return Answer::Http(503, b"down\n".to_vec());
        }
        let all: Vec<Value> = keys.published.iter().map(|key| Value::Object(key.public_jwk())).collect();
        Answer::Http(200, json!({"keys": all}).to_string().into_bytes())
    }

    /// Rotates keys until the run is over; how many there were. A new key signs at once: the hardest case.
    pub fn rotate(&self, run: &Run) -> anyhow::Result<u64> {
        let mut count = 1;
        while run.sleep(ROTATION - BESIDE - DOWN) {
            let next = key(count)?;
            count += 1;
            {
                let mut keys = self.keys.lock().unwrap();
                keys.published.push(Arc::clone(&next));
                keys.signs = next;
            }
            run.sleep(BESIDE);
            {
                let mut keys = self.keys.lock().unwrap();
                let old = keys.published.remove(0);
                keys.dropped.push((Instant::now() + GONE, old));
                keys.is_down = true;
            }
            run.sleep(DOWN);
            self.keys.lock().unwrap().is_down = false;
        }
        Ok(count)
    }

    /// A token for this caller and task.
    pub fn token(&self, caller: &str, task: &str, flaw: Flaw) -> anyhow::Result<String> {
        let (key, named) = {
            let keys = self.keys.lock().unwrap();
            let gone = keys.dropped.iter().rfind(|(since, _)| *since < Instant::now());
            match (flaw, gone) {
                (Flaw::Forged, _) => (Arc::clone(&keys.forger), Arc::clone(&keys.signs)),
                (Flaw::Dropped, Some((_, gone))) => (Arc::clone(gone), Arc::clone(gone)),
                // None has been dropped yet: one that was never published.
                (Flaw::Dropped, None) => (Arc::clone(&keys.forger), Arc::clone(&keys.forger)),
                _ => (Arc::clone(&keys.signs), Arc::clone(&keys.signs)),
            }
        };
        let now = clock::now().secs();
        let issued_at = if flaw == Flaw::Expired { now - 2 * LIFETIME_S } else { now };
        let audience = if flaw == Flaw::Audience { "https://else.example" } else { AUDIENCE };
        let claims = json!({"iss": ISSUER, "aud": audience, "sub": format!("spiffe://shop.example/soak/{caller}"),
            "jti": self.serial.fetch_add(1, Ordering::Relaxed).to_string(), "iat": issued_at,
            "exp": issued_at + LIFETIME_S, "task": task});
        let header = json!({"alg": key.algorithm().as_str(), "kid": named.id(), "typ": "JWT"});
        let message =
            signing_input(header.as_object().context("no header")?, claims.as_object().context("no claims")?);
        let signature = key.sign(message.as_bytes()).map_err(|error| anyhow!(error))?;
        Ok(compact(&message, &signature))
    }
}

/// A key of its own for each number.
fn key(number: u64) -> anyhow::Result<Arc<SigningKey>> {
    let bytes: [u8; 32] = Sha256::digest(format!("everycall soak {number}")).into();
    Ok(Arc::new(SigningKey::from_random(Algorithm::Es256, &bytes).map_err(|error| anyhow!(error))?))
}
