//! A small world to attack: one issuer, one caller, one host that is open to it, and the engine.

use std::rc::Rc;

use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use base64::Engine as _;
use everycall::mint::{self, TestKey};
use everycall::WireRequest;
use everycall_core::sync::LocalData;
use everycall_core::{
    Algorithm, Decision, Effect, Engine, FetchId, IdSeed, Pending, PureRust, Reply, Request, Settings, Step,
    StreamId, UnixTime,
};
use serde_json::{json, Map, Value};

use crate::suite::CaseResult;

pub const NOW: UnixTime = UnixTime::from_secs(1_800_000_000);
pub const HOST: &str = "api.example";
pub const ISSUER: &str = "https://id.example";
pub const AUDIENCE: &str = "https://api.example";
pub const CALLER: &str = "caller";

pub fn later(secs: i64) -> UnixTime {
    UnixTime::from_secs(NOW.secs() + secs)
}

pub fn base64url(bytes: impl AsRef<[u8]>) -> String {
    URL_SAFE_NO_PAD.encode(bytes)
}

/// The key that `config` trusts.
pub fn key() -> TestKey {
    TestKey::es256().unwrap()
}

pub fn of(algorithm: Algorithm) -> TestKey {
    TestKey::of(algorithm).unwrap()
}

/// A configuration that trusts the ES256 test key and lets `CALLER` do everything on `HOST`.
pub fn config() -> Value {
    json!({
        "version": 1,
        "instance": "conformance",
        "issuers": [issuer(ISSUER, &key())],
        "bundle": {"inline": {
            "policies": {"open.rego": "package everycall\ndecision := {\"allow\": true}"},
            "grants": [grant(CALLER)],
        }},
    })
}

pub fn issuer(name: &str, key: &TestKey) -> Value {
    json!({
        "issuer": name,
        "audiences": [AUDIENCE],
        "algorithms": [key.algorithm().as_str()],
        "max_lifetime_s": 3600,
        "kind": "workload",
        "keys": {"inline": key.public_jwks()},
    })
}

/// The configuration with one issuer, whose key is this one.
pub fn trusting(key: &TestKey) -> Value {
    let mut config = config();
    config["issuers"][0] = issuer(ISSUER, key);
    config
}

/// Everything on `HOST`. For `anonymous`, who has no kind, take `kinds` out.
pub fn grant(subject: &str) -> Value {
    json!({
        "id": subject.replace(['/', ':', '@'], "-"),
        "owner": "conformance",
        "purpose": "to be attacked",
        "subject": subject,
        "kinds": ["workload"],
        "hosts": [HOST],
        "methods": ["GET", "POST", "OPTIONS"],
        "paths": ["/", "/{rest...}"],
    })
}

/// A grant that everybody has.
pub fn anonymous() -> Value {
    let mut open = grant("anonymous");
    open.as_object_mut().unwrap().remove("kinds");
    open
}

pub fn add_grant(config: &mut Value, grant: Value) {
    config["bundle"]["inline"]["grants"].as_array_mut().unwrap().push(grant);
}

/// A token as an attacker likes it: honest until changed.
#[derive(Clone)]
pub struct Forge {
    pub header: Map<String, Value>,
    pub claims: Map<String, Value>,
}

impl Forge {
    /// An honest token of `CALLER`, to be signed with this key.
    pub fn new(key: &TestKey) -> Self {
        Self { header: key.header(), claims: claims() }
    }

    pub fn header(mut self, name: &str, value: impl Into<Value>) -> Self {
        self.header.insert(name.to_owned(), value.into());
        self
    }

    pub fn claim(mut self, name: &str, value: impl Into<Value>) -> Self {
        self.claims.insert(name.to_owned(), value.into());
        self
    }

    pub fn without_header(mut self, name: &str) -> Self {
        self.header.remove(name);
        self
    }

    pub fn without(mut self, name: &str) -> Self {
        self.claims.remove(name);
        self
    }

    pub fn signed(&self, key: &TestKey) -> String {
        key.sign(&self.header, &self.claims).unwrap()
    }

    /// What a signature would be over.
    pub fn unsigned(&self) -> String {
        mint::signing_input(&self.header, &self.claims)
    }
}

/// An honest token.
pub fn token() -> String {
    Forge::new(&key()).signed(&key())
}

/// The claims of an honest token of `CALLER`.
pub fn claims() -> Map<String, Value> {
    let claims = json!({
        "iss": ISSUER, "sub": CALLER, "aud": AUDIENCE, "jti": "1", "iat": NOW.secs(), "exp": NOW.secs() + 300,
    });
    claims.as_object().unwrap().clone()
}

/// A token of exactly these bytes, signed.
pub fn signed_bytes(key: &TestKey, header: impl AsRef<[u8]>, payload: impl AsRef<[u8]>) -> String {
    let message = format!("{}.{}", base64url(header), base64url(payload));
    mint::compact(&message, &key.signature(message.as_bytes()).unwrap())
}

/// The text of some members, as a header or payload has it.
pub fn text(members: &Map<String, Value>) -> String {
    Value::Object(members.clone()).to_string()
}

/// An honest request without a credential.
pub fn get(path: &str) -> WireRequest {
    WireRequest {
        method: "GET".into(),
        scheme: "https".into(),
        host: HOST.into(),
        path: path.into(),
        headers: Vec::new(),
        source_ip: "192.0.2.1".into(),
        peer_id: None,
        peer_certificate: None,
    }
}

/// A request with these headers.
pub fn with(headers: &[(&str, &str)]) -> WireRequest {
    let headers = headers.iter().map(|(name, value)| ((*name).to_owned(), value.as_bytes().to_vec()));
    WireRequest { headers: headers.collect(), ..get("/") }
}

pub fn bearer(token: &str) -> WireRequest {
    with(&[("authorization", &format!("Bearer {token}"))])
}

/// A certificate for this URI, in PEM: only what is read of one, and signed by nobody.
pub fn certificate(uri: &str) -> String {
    fn der(tag: u8, parts: &[&[u8]]) -> Vec<u8> {
        let content = parts.concat();
        let length = u16::try_from(content.len()).unwrap();
        let length = match length {
            0..=127 => vec![length as u8],
            128..=255 => vec![0x81, length as u8],
            _ => [&[0x82][..], &length.to_be_bytes()].concat(),
        };
        [vec![tag], length, content].concat()
    }
    let empty = der(0x30, &[]);
    let names = der(0x04, &[&der(0x30, &[&der(0x86, &[uri.as_bytes()])])]);
    let extension = der(0x30, &[&[0x06, 0x03, 0x55, 0x1d, 0x11], &names]);
    let extensions = der(0xa3, &[&der(0x30, &[&extension])]);
    let version = der(0xa0, &[&[0x02, 0x01, 0x02]]);
    let signed =
        der(0x30, &[&version, &[0x02, 0x01, 0x01], &empty, &empty, &empty, &empty, &empty, &extensions]);
    let certificate = der(0x30, &[&signed, &empty, &[0x03, 0x01, 0x00]]);
    format!("-----BEGIN CERTIFICATE-----\n{}\n-----END CERTIFICATE-----\n", STANDARD.encode(certificate))
}

/// One engine and the streams that ran through it.
pub struct World {
    pub engine: Engine,
    streams: u64,
}

impl World {
    pub fn new(config: &Value) -> Self {
        Self { engine: Engine::standalone(settings(config), IdSeed::derive(&[])), streams: 0 }
    }

    /// An engine whose fetches somebody carries out.
    pub fn fetching(config: &Value) -> Self {
        let shared = Rc::<LocalData>::default();
        let engine = Engine::new(settings(config), Box::new(PureRust), shared, IdSeed::derive(&[]));
        Self { engine, streams: 0 }
    }

    pub fn step(&mut self, request: &WireRequest, now: UnixTime) -> Step {
        self.streams += 1;
        self.engine.check(request.to_core(StreamId(self.streams)), now)
    }

    /// The decision on a request that has to wait for nothing.
    pub fn at(&mut self, request: &WireRequest, now: UnixTime) -> Decision {
        done(self.step(request, now))
    }

    pub fn check(&mut self, request: &WireRequest) -> Decision {
        self.at(request, NOW)
    }

    pub fn token(&mut self, token: &str) -> Decision {
        self.check(&bearer(token))
    }

    /// The decision on a request that `WireRequest` can't express.
    pub fn raw(&mut self, request: Request) -> Decision {
        done(self.engine.check(request, NOW))
    }

    /// What is due, split up: fetches, with the path that each asks for, and woken streams.
    pub fn tick(&mut self, now: UnixTime) -> Due {
        Due::of(self.engine.tick(now))
    }

    pub fn answer(&mut self, fetch: FetchId, reply: Reply, now: UnixTime) -> Due {
        Due::of(self.engine.fetched(fetch, reply, now))
    }
}

/// Effects by kind.
#[derive(Debug, Default)]
pub struct Due {
    /// Id, cluster, `:authority` and `:path`.
    pub fetches: Vec<(FetchId, String, String, String)>,
    pub woken: Vec<StreamId>,
    pub warnings: Vec<String>,
}

impl Due {
    fn of(effects: Vec<Effect>) -> Self {
        let mut due = Self::default();
        for effect in effects {
            match effect {
                Effect::Fetch { id, call } => {
                    let header = |name: &str| {
                        let found = call.headers.iter().find(|(other, _)| other == name);
                        found.map(|(_, value)| value.clone()).unwrap_or_default()
                    };
                    due.fetches.push((id, call.cluster.clone(), header(":authority"), header(":path")));
                }
                Effect::Wake { stream } => due.woken.push(stream),
                Effect::Info { .. } => {}
                Effect::Warn { message } => due.warnings.push(message),
                other => panic!("unexpected: {other:?}"),
            }
        }
        due
    }
}

pub fn settings(config: &Value) -> Settings {
    Settings::from_value(config.clone()).unwrap_or_else(|errors| panic!("{errors}"))
}

/// Whether the configuration is refused.
pub fn is_refused(config: &Value) -> bool {
    Settings::from_value(config.clone()).is_err()
}

pub fn done(step: Step) -> Decision {
    match step {
        Step::Done(decision) => decision,
        Step::Ask { calls, .. } => panic!("asks: {calls:?}"),
        Step::Wait { .. } => panic!("waits for keys"),
    }
}

pub fn waits(step: Step) -> Pending {
    match step {
        Step::Wait { pending } => pending,
        Step::Done(decision) => panic!("decided: {}", came(&decision)),
        Step::Ask { calls, .. } => panic!("asks: {calls:?}"),
    }
}

/// The outcome in a few words: `401 token_expired`.
pub fn came(decision: &Decision) -> String {
    let reason = decision.record.reason.map_or("", |reason| reason.code());
    format!("{} {reason}", decision.record.status)
}

/// One row while its variants run.
pub struct Row {
    id: String,
    wrong: Option<String>,
    variants: usize,
}

impl Row {
    pub fn new(id: impl Into<String>) -> Self {
        Self { id: id.into(), wrong: None, variants: 0 }
    }

    pub fn expect(&mut self, variant: &str, holds: bool, came: impl std::fmt::Display) {
        self.variants += 1;
        if !holds && self.wrong.is_none() {
            self.wrong = Some(format!("{variant}: {came}"));
        }
    }

    /// The variant is answered with one of these; 200 stands for a permit.
    pub fn any(&mut self, variant: &str, decision: &Decision, statuses: &[u16]) {
        let status = decision.record.status;
        let agrees = statuses.contains(&status) && decision.verdict.is_ok() == (status == 200);
        self.expect(variant, agrees, format!("published: {statuses:?}; ours: {}", came(decision)));
    }

    pub fn is(&mut self, variant: &str, decision: &Decision, status: u16) {
        self.any(variant, decision, &[status]);
    }

    /// The last word; a row without variants proves nothing.
    pub fn result(self) -> CaseResult {
        let Self { id, wrong, variants } = self;
        let agrees = wrong.is_none() && variants > 0;
        CaseResult { id, agrees, note: wrong.unwrap_or_else(|| format!("{variants} variants")) }
    }
}
