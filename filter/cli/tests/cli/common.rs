//! A small configuration, tokens for it, and the binary with its output.
#![cfg_attr(not(feature = "server"), allow(dead_code))]

use std::io::Write as _;
use std::path::PathBuf;
use std::process::{Command, Stdio};

use everycall::mint::TestKey;
use serde_json::{json, Map, Value};
use tempfile::TempDir;

/// When the tests take place.
pub const NOW: i64 = 1_790_000_000;

const POLICY: &str = r#"package everycall
decision := {"allow": true, "reason": "own_order"} if input.request.headers["x-purpose"][0] == "fulfilment"
decision := {"allow": true, "reason": "approved"} if input.pdp.refund.decision
ask contains {"id": "refund", "subject": {"type": "workload", "id": input.identity.id}, "action": {"name": "refund"},
    "resource": {"type": "order", "id": input.grant.params.order}} if input.request.method == "POST"
"#;

/// A configuration that holds.
pub fn config() -> Value {
    let public = [TestKey::es256(), TestKey::rs256(), TestKey::eddsa()].map(|key| key.unwrap().public_jwk());
    json!({
        "version": 1,
        "instance": "cli-test",
        "issuers": [{
            "issuer": "https://id.example", "audiences": ["orders"], "algorithms": ["ES256", "RS256", "EdDSA"],
            "max_lifetime_s": 900, "kind": "workload", "keys": {"inline": {"keys": public}},
        }],
        "bundle": {"inline": {
            "policies": {"orders.rego": POLICY},
            "grants": [{
                "id": "orders", "owner": "team-orders", "purpose": "fulfil orders", "subject": "checkout",
                "kinds": ["workload"], "hosts": ["orders.example"], "methods": ["GET", "POST"], "paths": ["/orders/{order}"],
            }],
        }},
        "pdps": {"default": {"protocol": "authzen", "cluster": "pdp", "host": "pdp.example", "timeout_ms": 300}},
    })
}

fn object(value: Value) -> Map<String, Value> {
    value.as_object().unwrap().clone()
}

/// Claims that are good at `NOW`.
pub fn claims() -> Map<String, Value> {
    object(
        json!({"iss": "https://id.example", "aud": ["orders"], "sub": "checkout", "iat": NOW, "exp": NOW + 300}),
    )
}

/// A token with some claims replaced.
pub fn token(changes: Value) -> String {
    let key = TestKey::es256().unwrap();
    let mut claims = claims();
    claims.extend(object(changes));
    key.sign(&key.header(), &claims).unwrap()
}

/// A token that somebody else signed.
pub fn forged() -> String {
    let (key, foreign) =
        (TestKey::es256().unwrap(), TestKey::foreign(TestKey::es256().unwrap().algorithm()).unwrap());
    foreign.sign(&key.header(), &claims()).unwrap()
}

/// An unsigned token.
pub fn unsigned() -> String {
    let header = object(json!({"alg": "none", "kid": "test-only-es256", "typ": "JWT"}));
    format!("{}.", everycall::mint::signing_input(&header, &claims()))
}

/// One request line.
pub fn request(method: &str, headers: Value, token: Option<&str>) -> String {
    let mut headers = headers.as_array().unwrap().clone();
    headers.extend(token.map(|token| json!(["authorization", format!("Bearer {token}")])));
    json!({"method": method, "host": "orders.example", "path": "/orders/o-1", "headers": headers}).to_string()
}

/// A directory with files in it.
pub struct Files(TempDir);

impl Files {
    pub fn new() -> Self {
        Self(tempfile::tempdir().unwrap())
    }

    /// Files with the good configuration as `config.json`.
    pub fn with_config() -> Self {
        let files = Self::new();
        files.put("config.json", &config().to_string());
        files
    }

    pub fn put(&self, name: &str, text: &str) -> String {
        let path = self.path(name);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(&path, text).unwrap();
        self.name(name)
    }

    pub fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    pub fn name(&self, name: &str) -> String {
        self.path(name).to_str().unwrap().to_owned()
    }
}

/// What came of a run of the binary.
pub struct Output {
    pub code: i32,
    pub out: String,
    pub err: String,
}

impl Output {
    /// The lines of the standard output as JSON.
    pub fn json(&self) -> Vec<Value> {
        self.out.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
    }

    /// Everything that was printed.
    pub fn all(&self) -> String {
        format!("{}{}", self.out, self.err)
    }
}

/// Runs the binary.
pub fn everycall(args: &[&str], input: &str) -> Output {
    let mut child = Command::new(env!("CARGO_BIN_EXE_everycall"))
        .args(args)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let mut stdin = child.stdin.take().unwrap();
    let input = input.to_owned();
    // A command that fails early does not read its input.
    let writer = std::thread::spawn(move || stdin.write_all(input.as_bytes()).ok());
    let output = child.wait_with_output().unwrap();
    writer.join().unwrap();
    Output {
        code: output.status.code().unwrap(),
        out: String::from_utf8(output.stdout).unwrap(),
        err: String::from_utf8(output.stderr).unwrap(),
    }
}

/// The devserver of the binary, until it is dropped.
pub struct Devserver {
    child: std::process::Child,
    address: String,
}

impl Devserver {
    /// Starts it with `config.json` of these files.
    pub fn start(files: &Files, args: &[&str]) -> Self {
        let mut child = Command::new(env!("CARGO_BIN_EXE_everycall"))
            .args(["devserver", "--config", &files.name("config.json")])
            .args(args)
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let mut line = String::new();
        let mut out = std::io::BufReader::new(child.stdout.take().unwrap());
        std::io::BufRead::read_line(&mut out, &mut line).unwrap();
        let ready: Value = serde_json::from_str(&line).unwrap();
        Self { child, address: ready["address"].as_str().unwrap().to_owned() }
    }

    /// Where it is.
    pub fn url(&self) -> String {
        format!("http://{}", self.address)
    }
}

impl Drop for Devserver {
    fn drop(&mut self) {
        self.child.kill().ok();
        self.child.wait().ok();
    }
}
