//! How long a token that nobody signed holds a worker, by the algorithm that its key is for.

use std::net::{Ipv4Addr, SocketAddr};
use std::time::Duration;

use anyhow::ensure;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use base64::Engine as _;
use everycall::mint::TestKey;
use everycall_core::{Algorithm, UnixTime};
use everycall_tests::client::{self, RawRequest};
use everycall_tests::envoy::{self, Envoy};
use everycall_tests::hostile;
use everycall_tests::server::{Answer, Server};
use everycall_tests::worker::WorkerTime;
use serde_json::{json, Map, Value};

/// The first is the slowest: V8 compiles what is hot while it runs.
const TIMES: usize = 40;

/// A token whose signature has to be computed to be refused.
struct Forged {
    name: String,
    jwk: Value,
    algorithm: Algorithm,
    token: String,
}

/// A row for each algorithm whose name has `only` in it, in milliseconds.
pub(crate) fn rows(only: &str) -> anyhow::Result<Vec<Value>> {
    let mut forged = all()?;
    forged.retain(|forged| forged.name.contains(only));
    if forged.is_empty() {
        return Ok(Vec::new());
    }
    let mut config = hostile::config(&[]);
    let issuers = forged.iter().enumerate().map(|(at, forged)| {
        json!({"issuer": format!("i{at}"), "audiences": ["a"], "algorithms": [forged.algorithm.as_str()],
            "max_lifetime_s": 600, "kind": "workload", "keys": {"inline": {"keys": [forged.jwk]}}})
    });
    config["issuers"] = issuers.collect();
    config["limits"] = json!({"signature_ms": 1000});
    let upstream = Server::start(|_| Answer::Http(200, b"upstream\n".to_vec()))?;
    let module = envoy::module()?.display().to_string();
    let document = envoy::rendered(&module, &config, upstream.address(), upstream.address())?;
    let envoy = Envoy::start(&document.to_string(), 1)?;
    let (listener, time) = (envoy.listener("inbound")?, WorkerTime::of(&envoy)?);
    let mut rows = Vec::new();
    // Whatever a request costs that is refused at once.
    let base = measure(listener, &time, "a.b.c")?;
    for forged in &forged {
        let held = measure(listener, &time, &forged.token)?;
        let besides = base.get(TIMES / 2).copied().unwrap_or_default();
        let ms = |at: usize| rounded(held.get(at).copied().unwrap_or_default().saturating_sub(besides));
        rows.push(json!({"signature": forged.name, "least_ms": ms(0), "median_ms": ms(TIMES / 2), "most_ms": ms(TIMES - 1)}));
    }
    Ok(rows)
}

fn rounded(time: Duration) -> f64 {
    (time.as_secs_f64() * 1e5).round() / 100.0
}

/// What the worker took each time, the least first.
fn measure(listener: SocketAddr, time: &WorkerTime, token: &str) -> anyhow::Result<Vec<Duration>> {
    let mut held = Vec::new();
    for _ in 0..TIMES {
        let headers = [("host", "h".to_owned()), ("authorization", format!("Bearer {token}"))];
        let headers = headers.map(|(name, value)| (name.to_owned(), value.into_bytes())).to_vec();
        let request =
            RawRequest { method: "GET".into(), path: "/ordinary".into(), headers, body: Vec::new() };
        let before = time.time()?;
        let response = client::send(listener, Ipv4Addr::LOCALHOST.into(), &request, Duration::from_secs(20))?;
        held.push(time.time()?.saturating_sub(before));
        ensure!(response.status == 401, "a forged token came to {}", response.status);
    }
    held.sort();
    Ok(held)
}

fn all() -> anyhow::Result<Vec<Forged>> {
    let mut all = Vec::new();
    for algorithm in Algorithm::ALL {
        let key = TestKey::of(algorithm)?;
        let claims = |sub: &str| claims(all.len(), sub);
        let signed = key.sign(&key.header(), &claims("s"))?;
        let (head, signature) = (signed.split('.').next(), signed.rsplit('.').next());
        let payload = URL_SAFE_NO_PAD.encode(Value::Object(claims("other")).to_string());
        let token = format!("{}.{payload}.{}", head.unwrap_or_default(), signature.unwrap_or_default());
        let name = format!("{} {}", algorithm.as_str(), key.public_jwk()["kty"].as_str().unwrap_or_default());
        all.push(Forged { name, jwk: key.public_jwk(), algorithm, token });
    }
    for bits in [3_072, 4_096] {
        let mut modulus = vec![0xff; bits / 8];
        modulus[bits / 8 - 1] = 0xfd;
        let jwk = json!({"kty": "RSA", "kid": "k", "alg": "PS256", "n": URL_SAFE_NO_PAD.encode(&modulus), "e": "AQAB"});
        let parts =
            [json!({"alg": "PS256", "kid": "k", "typ": "JWT"}), Value::Object(claims(all.len(), "s"))];
        let parts = parts.map(|part| URL_SAFE_NO_PAD.encode(part.to_string()));
        let signature = URL_SAFE_NO_PAD.encode(vec![0x7f; bits / 8]);
        let token = format!("{}.{}.{signature}", parts[0], parts[1]);
        all.push(Forged {
            name: format!("PS256 RSA of {bits} bits"),
            jwk,
            algorithm: Algorithm::Ps256,
            token,
        });
    }
    Ok(all)
}

fn claims(issuer: usize, sub: &str) -> Map<String, Value> {
    let now = UnixTime::from_micros(
        std::time::UNIX_EPOCH
            .elapsed()
            .ok()
            .and_then(|since| i64::try_from(since.as_micros()).ok())
            .unwrap_or_default(),
    );
    let claims = json!({"iss": format!("i{issuer}"), "aud": "a", "sub": sub, "iat": now.secs(), "exp": now.secs() + 300});
    claims.as_object().cloned().unwrap_or_default()
}
