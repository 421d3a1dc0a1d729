//! The suites on signatures with the crypto of a real Envoy, and whole tokens and requests through
//! the module in it.

use std::collections::BTreeSet;
use std::net::SocketAddr;
use std::time::Duration;

use anyhow::Context;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use base64::Engine as _;
use everycall::WireRequest;
use everycall_core::jose::{Key, SignatureVerifier, Unavailable};
use everycall_core::{Algorithm, PureRust, Settings, UnixTime};
use everycall_tests::client::{self, RawRequest, Response};
use everycall_tests::envoy::{connection_manager, module, plugin, rendered, Envoy};
use everycall_tests::server::{Answer, Server};
use serde_json::{json, Value};

use crate::results;
use crate::suite::{CaseResult, Suite, Vectors, VERIFIER};
use crate::suites::{self, authzen, istio, opa_envoy};

/// What runs in Envoy alone.
pub fn suites() -> Vec<Suite> {
    vec![Suite {
        name: "envoy-tokens",
        minimum: 50,
        targets: &["envoy"],
        run: |vectors| made(tokens(vectors)),
    }]
}

/// The results of everything that a real Envoy has a part in.
pub fn results(vectors: &Vectors) -> anyhow::Result<Value> {
    anyhow::ensure!(VERIFIER.set(Box::new(InEnvoy::start()?)).is_ok(), "signatures were verified already");
    let mut all: Vec<Suite> = suites::all().into_iter().chain(suites()).collect();
    for suite in &mut all {
        match suite.name {
            "istio-requests" => {
                suite.run = |vectors| made(now().and_then(|now| requests(&istio::rows(vectors, now))))
            }
            "opa-envoy-requests" => {
                suite.run = |vectors| made(now().and_then(|now| requests(&opa_envoy::rows(vectors, now))))
            }
            "authzen-interop" => {
                suite.run = |vectors| made(now().and_then(|now| asked("authzen-interop", vectors, now)))
            }
            "authzen-coaz" => {
                suite.run = |vectors| made(now().and_then(|now| asked("authzen-coaz", vectors, now)))
            }
            _ => {}
        }
    }
    Ok(results::results("envoy", &all, vectors))
}

fn made(results: anyhow::Result<Vec<CaseResult>>) -> Vec<CaseResult> {
    results.unwrap_or_else(|error| panic!("{error:#}"))
}

/// One Envoy with a module in it.
pub struct Proxy {
    envoy: Envoy,
    inbound: SocketAddr,
    upstream: Server,
}

impl Proxy {
    /// `others` is where all clusters but the upstream's lead; without it nobody is asked anything.
    fn start(module: &str, config: &Value, others: Option<SocketAddr>) -> anyhow::Result<Self> {
        let upstream = Server::start(|_| Answer::Http(200, b"upstream".to_vec()))?;
        let others = others.unwrap_or(upstream.address());
        let envoy = Envoy::start(&rendered(module, config, upstream.address(), others)?.to_string(), 1)?;
        let inbound = envoy.listener("inbound")?;
        Ok(Self { envoy, inbound, upstream })
    }

    /// Sends a request; whether it reached the upstream stands beside the answer.
    fn send(&self, to: SocketAddr, request: &RawRequest) -> (Response, bool) {
        self.upstream.take();
        let response = client::send(to, [127, 0, 0, 1].into(), request, Duration::from_secs(20));
        let response = response.unwrap_or_else(|error| panic!("{request:?}: {error:#}"));
        (response, !self.upstream.take().is_empty())
    }

    /// The reasons of all decisions so far, in order.
    fn reasons(&self, count: usize) -> Vec<String> {
        let lines = self.envoy.lines("access.log", count);
        let reason = |line: &String| {
            let line: Value = serde_json::from_str(line).ok()?;
            let decision: Value = serde_json::from_str(line["decision"].as_str()?).ok()?;
            Some(decision["reason"].as_str()?.to_owned())
        };
        lines.iter().map(|line| reason(line).unwrap_or_else(|| "none".into())).collect()
    }
}

fn get(host: &str, path: &str, header: (&str, String)) -> RawRequest {
    let headers =
        vec![("host".to_owned(), host.as_bytes().to_vec()), (header.0.to_owned(), header.1.into_bytes())];
    RawRequest { method: "GET".into(), path: path.into(), headers, body: Vec::new() }
}

fn raw(request: &WireRequest) -> RawRequest {
    let WireRequest { method, host, path, headers, .. } = request;
    let mut all = vec![("host".to_owned(), host.as_bytes().to_vec())];
    all.extend(headers.iter().cloned());
    RawRequest { method: method.clone(), path: path.clone(), headers: all, body: Vec::new() }
}

/// Requests that make us ask a decision point, which answers by the body of each question.
fn asked(suite: &str, vectors: &Vectors, now: UnixTime) -> anyhow::Result<Vec<CaseResult>> {
    let (scenario, answers) =
        (authzen::scenario(suite, vectors, now), authzen::scenario(suite, vectors, now));
    let pdp = Server::start(move |question| match serde_json::from_slice(&question.body) {
        Ok(body) if question.path == "/access/v1/evaluation" => {
            let (status, body) = answers.answer(&body);
            Answer::Http(status, body.to_string().into_bytes())
        }
        _ => Answer::Close,
    })?;
    let proxy = Proxy::start(&module()?.display().to_string(), &scenario.config, Some(pdp.address()))?;
    let results = scenario.rows.iter().map(|row| {
        pdp.take();
        let (response, passed) = proxy.send(proxy.inbound, &raw(&row.request));
        let asked = pdp.take().into_iter().map(|question| serde_json::from_slice(&question.body));
        Ok(row.result(response.status, &response.body, passed, asked.collect::<Result<_, _>>()?))
    });
    results.collect()
}

/// Requests of others' own tests: a listener for each of their configurations, a server for each
/// behaviour of their key servers.
fn requests(rows: &[istio::Row]) -> anyhow::Result<Vec<CaseResult>> {
    let upstream = Server::start(|_| Answer::Http(200, b"upstream".to_vec()))?;
    let address = upstream.address();
    let mut document = rendered(&module()?.display().to_string(), &rows[0].config, address, address)?;
    let template = document["static_resources"]["listeners"][0].clone();
    let mut cluster = document["static_resources"]["clusters"][0].clone();
    let mut listeners = Vec::new();
    let mut kinds: Vec<(&Value, &istio::KeyServer)> = Vec::new();
    for row in rows {
        let kind = (&row.config, &row.key_server);
        if kinds.contains(&kind) {
            continue;
        }
        let name = format!("kind-{}", kinds.len());
        kinds.push(kind);
        let answer = match kind.1 {
            istio::KeyServer::Unused => Answer::Close,
            istio::KeyServer::Answers(body) => Answer::Http(200, body.clone().into_bytes()),
            istio::KeyServer::Silent => Answer::Silence(Duration::from_secs(30)),
        };
        let server = Server::start(move |_| answer.clone())?;
        cluster["name"] = json!(name);
        cluster["load_assignment"]["cluster_name"] = json!(name);
        cluster["load_assignment"]["endpoints"][0]["lb_endpoints"][0]["endpoint"]["address"]
            ["socket_address"]["port_value"] = json!(server.address().port());
        document["static_resources"]["clusters"].as_array_mut().context("clusters")?.push(cluster.clone());
        let mut config = row.config.clone();
        config["instance"] = json!(name);
        for issuer in config["issuers"].as_array_mut().into_iter().flatten() {
            if let Some(remote) = issuer.pointer_mut("/keys/remote/cluster") {
                *remote = json!(name);
            }
        }
        let mut listener = template.clone();
        listener["name"] = json!(name);
        let manager = connection_manager(&mut listener);
        manager["stat_prefix"] = json!(name);
        plugin(manager)["configuration"]["value"] = json!(config.to_string());
        listeners.push(listener);
    }
    document["static_resources"]["listeners"] = Value::Array(listeners);
    let envoy = Envoy::start(&document.to_string(), 1)?;
    let proxy = Proxy { inbound: envoy.listener("kind-0")?, envoy, upstream };
    rows.iter()
        .map(|row| {
            let kind = kinds.iter().position(|kind| *kind == (&row.config, &row.key_server));
            let listener = format!("kind-{}", kind.context("a kind")?);
            let (response, passed) = proxy.send(proxy.envoy.listener(&listener)?, &raw(&row.request));
            let status = response.status;
            Ok(CaseResult {
                id: row.id.clone(),
                agrees: status == row.status && passed == (row.status == 200),
                note: format!("published: {}; Envoy: {status}, passed on: {passed}", row.status),
            })
        })
        .collect()
}

fn now() -> anyhow::Result<UnixTime> {
    Ok(UnixTime::from_micros(std::time::UNIX_EPOCH.elapsed()?.as_micros().try_into()?))
}

/// Verifies in a real Envoy, by the code of the adapter: the host's crypto where the host has it.
pub struct InEnvoy {
    probe: Proxy,
}

impl InEnvoy {
    /// Starts Envoy with the module at `EVERYCALL_PROBE`.
    pub fn start() -> anyhow::Result<Self> {
        let module = std::env::var("EVERYCALL_PROBE").context("`EVERYCALL_PROBE` names no module")?;
        // Whatever the configuration: the probe has none.
        let config = everycall_tests::cases::reference()?;
        Ok(Self { probe: Proxy::start(&module, &config, None)? })
    }
}

impl SignatureVerifier for InEnvoy {
    fn verify(&self, key: &Key, message: &[u8], signature: &[u8]) -> Result<bool, Unavailable> {
        let jwk: Value = serde_json::from_str(&key.to_jwk()).expect("a JWK");
        let question = json!({"jwk": jwk, "alg": key.algorithm().as_str(),
            "message": URL_SAFE_NO_PAD.encode(message), "signature": URL_SAFE_NO_PAD.encode(signature)});
        let question = URL_SAFE_NO_PAD.encode(question.to_string());
        let (response, _) = self.probe.send(self.probe.inbound, &get("probe", "/", ("x-probe", question)));
        let answer: Value = serde_json::from_slice(&response.body).unwrap_or_else(|_| {
            panic!("the probe answers {} {}", response.status, String::from_utf8_lossy(&response.body))
        });
        assert_eq!(answer["key"], Value::Null, "{jwk}");
        let by_host = !matches!(
            key.algorithm(),
            Algorithm::Ps256 | Algorithm::Ps384 | Algorithm::Ps512 | Algorithm::EdDsa
        );
        // A signature that is not even one of its kind never gets to the host.
        if answer["host"] == json!(true) {
            assert_eq!(answer["by"], if by_host { "host" } else { "rust" }, "{jwk}");
        }
        assert_eq!(answer["host"], answer["rust"], "Envoy and Rust disagree: {jwk} {answer}");
        let native = PureRust.verify(key, message, signature)?;
        assert_eq!(answer["rust"], json!(native), "V8 and this machine disagree: {jwk} {answer}");
        answer["host"].as_bool().ok_or(Unavailable)
    }
}

/// Everything in the vectors that looks like a compact token goes through Envoy and through
/// `token verify`, under one configuration that trusts the published keys of Istio's samples.
pub fn tokens(vectors: &Vectors) -> anyhow::Result<Vec<CaseResult>> {
    let config = trusting(vectors);
    let settings = Settings::from_value(config.clone()).map_err(|errors| anyhow::anyhow!("{errors}"))?;
    let proxy = Proxy::start(&module()?.display().to_string(), &config, None)?;
    let tokens: Vec<String> = tokens_in(vectors).into_iter().collect();
    for token in &tokens {
        let request = get("orders.shop.example", "/nowhere", ("authorization", format!("Bearer {token}")));
        proxy.send(proxy.inbound, &request);
    }
    let reasons = proxy.reasons(tokens.len());
    anyhow::ensure!(reasons.len() == tokens.len(), "{} of {} decisions", reasons.len(), tokens.len());
    let now = now()?;
    Ok(tokens
        .iter()
        .zip(reasons)
        .enumerate()
        .map(|(index, (token, in_envoy))| {
            let here = match settings.verify(token, &PureRust, now) {
                // No grant covers the route: that was the next layer.
                Ok(_) => "not_granted".to_owned(),
                Err(rejection) => rejection.reason.code().to_owned(),
            };
            let shown: String = token.chars().take(40).collect();
            CaseResult {
                id: format!("token {index}"),
                agrees: here == in_envoy,
                note: format!("`{shown}…`: `token verify` says {here}, Envoy {in_envoy}"),
            }
        })
        .collect())
}

/// Trusts what the vectors' issuers are known by, as far as a strict filter can.
fn trusting(vectors: &Vectors) -> Value {
    let mut config = everycall_tests::cases::reference().expect("the reference configuration");
    let keys = vectors.json("istio/security/tools/jwt/samples/jwks.json");
    let issuers = config["issuers"].as_array_mut().expect("issuers");
    for issuer in ["testing@secure.istio.io", "test-issuer-1@istio.io", "test-issuer-2@istio.io"] {
        issuers.push(json!({"issuer": issuer, "audiences": ["foo", "bar", "bookstore_android.apps.googleusercontent.com"],
            "algorithms": ["RS256"], "max_lifetime_s": 86400, "kind": "workload", "keys": {"inline": keys}}));
    }
    config["limits"] = json!({"token_bytes": 65_536});
    config
}

fn tokens_in(vectors: &Vectors) -> BTreeSet<String> {
    let is_part = |c: char| c.is_ascii_alphanumeric() || c == '-' || c == '_';
    let mut found = BTreeSet::new();
    for bytes in vectors.0.values() {
        let text = String::from_utf8_lossy(bytes);
        for word in text.split(|c: char| !is_part(c) && c != '.') {
            // A header in base64url begins like this: `{"`.
            if word.starts_with("eyJ") && word.matches('.').count() == 2 && word.len() < 40_000 {
                found.insert(word.to_owned());
            }
        }
    }
    found
}
