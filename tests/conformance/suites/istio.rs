//! Istio's sample tokens, and the requests that its integration tests send with them.
//!
//! The published tokens live for a hundred years and most name no audience, which no configuration
//! of ours accepts. So they are verified as published, as signatures, and minted again with the
//! published key, a short life and an audience.

use base64::engine::general_purpose::STANDARD;
use base64::Engine as _;
use everycall::mint::TestKey;
use everycall::WireRequest;
use everycall_core::jose::{KeyRules, SignatureVerifier as _, Usage};
use everycall_core::{Algorithm, KeySet, PureRust, Reply, Step, UnixTime};
use serde_json::{json, Map, Value};

use super::attacks::world::{base64url, came, config, done, get, settings, Forge, World, NOW};
use crate::suite::{CaseResult, Suite, Vectors, IN_ENVOY_TOO, IN_RUST};

pub fn suites() -> Vec<Suite> {
    vec![
        Suite { name: "istio-tokens", minimum: 16, targets: IN_RUST, run: tokens },
        Suite { name: "istio-signatures", minimum: 16, targets: IN_ENVOY_TOO, run: signatures },
        Suite { name: "istio-minted", minimum: 16, targets: IN_RUST, run: minted },
        Suite { name: "istio-requests", minimum: 49, targets: IN_ENVOY_TOO, run: requests },
    ]
}

const COMMON: &str = "istio/tests/common/jwt";
const SAMPLES: &str = "istio/security/tools/jwt/samples";
/// What our configuration wants of tokens that name no audience.
const AUDIENCE: &str = "istio.example";
/// How long a token lives that is minted again, in seconds.
const LIFE_S: i64 = 600;

/// A published token: its name, its text, and the folder of the key that signed it.
struct Published {
    name: String,
    text: String,
    keys: &'static str,
}

fn published(vectors: &Vectors) -> Vec<Published> {
    let file = vectors.json("istio/jwt_tokens.json");
    let mut tokens: Vec<Published> = (file["tokens"].as_object().expect("the file has tokens").iter())
        .map(|(name, token)| {
            let text = token["token"].as_str().expect("a token is text").to_owned();
            Published { name: name.clone(), text, keys: COMMON }
        })
        .collect();
    for name in ["demo", "groups-scope"] {
        let text = vectors.text(&format!("{SAMPLES}/{name}.jwt")).trim().to_owned();
        tokens.push(Published { name: name.to_owned(), text, keys: SAMPLES });
    }
    tokens
}

impl Published {
    /// A part of it as JSON; empty if it has no such part.
    fn part(&self, index: usize) -> Map<String, Value> {
        let part = self.text.split('.').nth(index).unwrap_or_default();
        let bytes = base64::engine::general_purpose::URL_SAFE_NO_PAD.decode(part).unwrap_or_default();
        serde_json::from_slice(&bytes).unwrap_or_default()
    }

    /// It is a token and not over at this time.
    fn is_valid(&self, now: UnixTime) -> bool {
        self.part(1).get("exp").and_then(Value::as_i64).is_some_and(|exp| exp > now.secs())
    }

    /// It, minted again: for some minutes from now on, or until a moment ago if it is over, and for
    /// this audience if it was for nobody. What is no token stays as it is.
    fn again(&self, vectors: &Vectors, now: UnixTime, audience: Option<&str>) -> String {
        let mut claims = self.part(1);
        if claims.is_empty() {
            return self.text.clone();
        }
        let issued = if self.is_valid(now) { now.secs() } else { now.secs() - LIFE_S - 1 };
        claims.insert("iat".into(), json!(issued));
        claims.insert("exp".into(), json!(issued + LIFE_S));
        if let (Some(audience), false) = (audience, claims.contains_key("aud")) {
            claims.insert("aud".into(), json!(audience));
        }
        Forge { header: self.part(0), claims }.signed(&private_key(vectors, self.keys))
    }

    /// A configuration for exactly this token.
    fn config(&self, vectors: &Vectors) -> Value {
        let claims = self.part(1);
        let aud = match claims.get("aud") {
            Some(Value::Array(all)) => all.first().cloned(),
            one => one.cloned(),
        };
        let mut config = config();
        let name = claims.get("iss").cloned().unwrap_or(json!("nobody"));
        let jwks = vectors.json(&format!("{}/jwks.json", self.keys));
        config["issuers"] = json!([issuer(&name, &aud.unwrap_or(json!(AUDIENCE)), json!({"inline": jwks}))]);
        config
    }
}

fn issuer(name: &Value, audience: &Value, keys: Value) -> Value {
    json!({
        "issuer": name, "audiences": [audience], "algorithms": ["RS256"], "max_lifetime_s": 86_400, "kind": "human",
        "keys": keys,
    })
}

fn verify(token: &str, config: &Value) -> Result<(), String> {
    let got = settings(config).verify(token, &PureRust, NOW);
    got.map(|_| ()).map_err(|rejection| format!("{}: {}", rejection.reason.code(), rejection.detail))
}

fn tokens(vectors: &Vectors) -> Vec<CaseResult> {
    let all = published(vectors).into_iter();
    all.map(|token| {
        let got = verify(&token.text, &token.config(vectors));
        CaseResult::compare(&token.name, token.is_valid(NOW), got)
    })
    .collect()
}

fn signatures(vectors: &Vectors) -> Vec<CaseResult> {
    published(vectors)
        .iter()
        .map(|token| CaseResult::compare(&token.name, token.text.contains('.'), signed(vectors, token)))
        .collect()
}

/// Whether the published key made the signature, and of this text only.
fn signed(vectors: &Vectors, token: &Published) -> Result<(), String> {
    let jwks = vectors.text(&format!("{}/jwks.json", token.keys));
    let rules = KeyRules { algorithms: &[Algorithm::Rs256], usage: Usage::Signature };
    let keys = KeySet::fetched(jwks.as_bytes(), &rules)?.keys;
    let (message, signature) = token.text.rsplit_once('.').ok_or("it has no signature")?;
    let signature = base64::engine::general_purpose::URL_SAFE_NO_PAD
        .decode(signature)
        .map_err(|error| error.to_string())?;
    let header = token.part(0);
    let key = keys
        .candidates(header.get("kid").and_then(Value::as_str), None)
        .next()
        .ok_or("it has another key")?;
    let good = PureRust.verify(key, message.as_bytes(), &signature);
    let bad = PureRust.verify(key, &message.as_bytes()[1..], &signature);
    match (good, bad) {
        (Ok(true), Ok(false)) => Ok(()),
        other => Err(format!("{other:?}")),
    }
}

fn minted(vectors: &Vectors) -> Vec<CaseResult> {
    let all = published(vectors).into_iter();
    all.map(|token| {
        let text = token.again(vectors, NOW, Some(AUDIENCE));
        CaseResult::compare(&token.name, token.is_valid(NOW), verify(&text, &token.config(vectors)))
    })
    .collect()
}

/// The published private key.
fn private_key(vectors: &Vectors, folder: &str) -> TestKey {
    let pem = vectors.text(&format!("{folder}/key.pem"));
    let body: String = pem.lines().filter(|line| !line.starts_with('-')).collect();
    let der = STANDARD.decode(body).expect("PEM holds base64");
    // RFC 8017 appendix A.1.2: version, n, e, d, p, q and what follows from them.
    let numbers = integers(&der);
    let [_, n, e, d, p, q, ..] = numbers.as_slice() else { panic!("{folder}: not an RSA key") };
    let [n, e, d, p, q] = [n, e, d, p, q].map(base64url);
    let jwk = json!({"kty": "RSA", "n": n, "e": e, "d": d, "p": p, "q": q});
    TestKey::published("istio", Algorithm::Rs256, &jwk).expect("a published key")
}

/// The integers of a DER sequence of nothing else, without leading zeros.
fn integers(der: &[u8]) -> Vec<Vec<u8>> {
    let (mut rest, _) = element(der);
    let mut integers = Vec::new();
    while !rest.is_empty() {
        let (content, after) = element(rest);
        integers.push(content.iter().copied().skip_while(|byte| *byte == 0).collect());
        rest = after;
    }
    integers
}

/// The content of a DER element, and what follows it.
fn element(der: &[u8]) -> (&[u8], &[u8]) {
    let (_tag, first, rest) = (der[0], usize::from(der[1]), &der[2..]);
    let bytes = first.saturating_sub(0x80);
    let long = rest[..bytes].iter().fold(0, |length, byte| length << 8 | usize::from(*byte));
    rest[bytes..].split_at(if bytes == 0 { first } else { long })
}

/// What stands behind the cluster [`KEY_CLUSTER`] of a row.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum KeyServer {
    /// Nothing: no issuer of the row has its keys on a server.
    Unused,
    /// This body, with status 200.
    Answers(String),
    /// It takes requests and never answers.
    Silent,
}

/// The cluster that rows with a [`KeyServer`] name.
pub const KEY_CLUSTER: &str = "keys";
const KEY_HOST: &str = "keys.example";

/// One request of Istio's tests.
#[derive(Debug, Clone)]
pub struct Row {
    /// Unique.
    pub id: String,
    /// Our configuration for what Istio's policies say.
    pub config: Value,
    pub key_server: KeyServer,
    pub request: WireRequest,
    /// The published status.
    pub status: u16,
}

/// All rows, with tokens for this time.
pub fn rows(vectors: &Vectors, now: UnixTime) -> Vec<Row> {
    let file = vectors.json("istio/jwt_request_cases.json");
    let tokens = published(vectors);
    let cases = file["cases"].as_array().expect("the file has cases");
    cases.iter().map(|case| row(vectors, &tokens, case, now)).collect()
}

fn row(vectors: &Vectors, tokens: &[Published], case: &Value, now: UnixTime) -> Row {
    let text = |name: &str| case[name].as_str().unwrap_or_default();
    let sub = text("sub");
    let token = |name: &str| {
        let token = tokens.iter().find(|token| token.name == name).expect("a row names a published token");
        // The policy `aud` wants `foo` of issuer 1, and a token without it is to stay without.
        let issuer_1 = token.part(1).get("iss") == Some(&json!("test-issuer-1@istio.io"));
        let audience = (sub != "aud" || !issuer_1).then_some(AUDIENCE);
        token.again(vectors, now, audience)
    };
    let mut headers: Vec<(String, Vec<u8>)> = Vec::new();
    for header in case["headers"].as_array().into_iter().flatten() {
        let name = match header[0].as_str().unwrap_or_default() {
            "headers.AccessControlRequestMethod" => "access-control-request-method".to_owned(),
            "headers.Origin" => "origin".to_owned(),
            name => name.to_ascii_lowercase(),
        };
        headers.push((name, expression(header[1].as_str().unwrap_or_default(), &token).into_bytes()));
    }
    let bearer = case["authorization_bearer"].as_str();
    if let Some(name) = bearer.filter(|_| !headers.iter().any(|(name, _)| name == "authorization")) {
        headers.push(("authorization".into(), format!("Bearer {}", token(name)).into_bytes()));
    }
    let path = match case["path_expr"].as_str().map(|path| expression(path, &token)) {
        Some(path) if !path.is_empty() => path,
        _ => "/".to_owned(),
    };
    let host = case["host_expr"].as_str().map_or("b.example".to_owned(), host);
    let (config, key_server) = policy(vectors, sub);
    Row {
        id: format!("{sub}: {}", text("name")),
        config,
        key_server,
        request: WireRequest {
            method: case["method"].as_str().unwrap_or("GET").to_owned(),
            scheme: "http".into(),
            host,
            headers,
            ..get(&path)
        },
        status: case["expect"].as_u64().and_then(|status| u16::try_from(status).ok()).unwrap_or_default(),
    }
}

/// The value of a Go expression: texts and tokens, joined by `+`.
fn expression(text: &str, token: &dyn Fn(&str) -> String) -> String {
    let mut value = String::new();
    for term in text.split('+').map(str::trim) {
        match term.strip_prefix("jwt.") {
            Some(name) => value.push_str(&token(name)),
            None => value.push_str(term.trim_matches('"')),
        }
    }
    value
}

/// `fmt.Sprintf("example.%s.com", …)`: the service is `b`.
fn host(expression: &str) -> String {
    expression.split('"').nth(1).unwrap_or_default().replace("%s", "b")
}

/// Our configuration for Istio's policies of this name.
fn policy(vectors: &Vectors, name: &str) -> (Value, KeyServer) {
    let jwks = vectors.text(&format!("{COMMON}/jwks.json")).to_owned();
    let remote = json!({"remote": {"cluster": KEY_CLUSTER, "host": KEY_HOST, "path": "/jwks"}});
    let (keys, key_server) = match name {
        "remote" => (remote, KeyServer::Answers(jwks)),
        "timeout" => (remote, KeyServer::Silent),
        "invalid-jwks" => (remote, KeyServer::Answers("not a key set".to_owned())),
        _ => (json!({"inline": vectors.json(&format!("{COMMON}/jwks.json"))}), KeyServer::Unused),
    };
    let issuers: Vec<Value> = (1..=3)
        .map(|number| {
            let audience = if name == "aud" && number == 1 { "foo" } else { AUDIENCE };
            issuer(&json!(format!("test-issuer-{number}@istio.io")), &json!(audience), keys.clone())
        })
        // One set of keys on a server is one issuer's.
        .take(if key_server == KeyServer::Unused { 3 } else { 1 })
        .collect();
    let mut config = config();
    config["issuers"] = json!(issuers);
    if name == "headers-params" {
        config["credentials"] = json!([{"header": "x-jwt-token", "scheme": "Value"}, {"header": "auth-token", "scheme": "Token"}]);
    }
    config["bundle"]["inline"]["elevations"] = json!([]);
    config["bundle"]["inline"]["grants"] = json!(grants(name));
    (config, key_server)
}

const EXAMPLE: &str = "example.b.com";
const ANY_PRINCIPAL: &str = "any-request-principal-ok.b.com";

fn grants(name: &str) -> Vec<Value> {
    let everywhere = ["/", "/{rest...}"];
    let anybody = |host: &str, paths: &[&str]| grant("anonymous", host, paths);
    let users = |host: &str| ["sub-1", "sub-2"].map(|subject| grant(subject, host, &everywhere));
    match name {
        // Istio's authorization asks for a request principal.
        "authn-authz" | "headers-params" => users("b.example").to_vec(),
        "ingress-authn" | "gateway-authn" => {
            let mut grants = vec![anybody(EXAMPLE, &["/healthz"]), grant("sub-1", EXAMPLE, &everywhere)];
            grants.extend(users(ANY_PRINCIPAL));
            grants
        }
        _ => {
            let mut grants = users("b.example").to_vec();
            grants.push(anybody("b.example", &everywhere));
            grants
        }
    }
}

fn grant(subject: &str, host: &str, paths: &[&str]) -> Value {
    let mut grant = json!({
        "id": format!("{subject}-{host}"), "owner": "conformance", "purpose": "what Istio lets through",
        "subject": subject, "hosts": [host], "methods": ["GET", "OPTIONS"], "paths": paths,
    });
    if subject != "anonymous" {
        grant["kinds"] = json!(["human"]);
    }
    grant
}

fn requests(vectors: &Vectors) -> Vec<CaseResult> {
    rows(vectors, NOW)
        .into_iter()
        .map(|row| {
            let decision = decide(&row);
            let agrees =
                decision.record.status == row.status && decision.verdict.is_ok() == (row.status == 200);
            CaseResult {
                id: row.id,
                agrees,
                note: format!("published: {}; ours: {}", row.status, came(&decision)),
            }
        })
        .collect()
}

/// The decision on a row, with its server of keys played: woken when keys came, or after as long as
/// a request may wait.
fn decide(row: &Row) -> everycall_core::Decision {
    let mut world = World::fetching(&row.config);
    let step = world.step(&row.request, NOW);
    let mut woken = false;
    for (fetch, ..) in world.tick(NOW).fetches {
        if let KeyServer::Answers(body) = &row.key_server {
            woken |= !world.answer(fetch, Reply::http(200, body.as_str()), NOW).woken.is_empty();
        }
    }
    match step {
        Step::Wait { pending } => {
            let at = if woken { NOW } else { UnixTime::from_secs(NOW.secs() + 5) };
            done(world.engine.resume(pending, Vec::new(), at))
        }
        step => done(step),
    }
}
