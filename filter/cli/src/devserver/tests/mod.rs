//! Each endpoint over HTTP: what it does, and what it refuses.

mod bundle;
mod feed;
mod issuer;
mod log;
mod pdp;
mod server;
mod task;
mod upstream;

use std::net::{Ipv4Addr, SocketAddr};
use std::path::Path;
use std::sync::Arc;

use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use base64::Engine as _;
use p256::ecdsa::signature::Signer as _;
use p256::ecdsa::{Signature, SigningKey};
use reqwest::{Method, StatusCode};
use serde_json::{json, Map, Value};
use tokio::sync::oneshot;
use tokio::task::JoinHandle;

use super::{serve, Options, Ready, Signer};

const ISSUER: &str = "https://id.shop.example/agents";
const ANY_PORT: SocketAddr = SocketAddr::new(std::net::IpAddr::V4(Ipv4Addr::LOCALHOST), 0);

/// Signs for [`ISSUER`] alone.
struct TestSigner(SigningKey);

impl TestSigner {
    fn new() -> Self {
        Self(SigningKey::from_slice(&[7; 32]).unwrap())
    }

    fn keys(&self) -> Value {
        let point = self.0.verifying_key().to_encoded_point(false);
        let coordinate = |bytes: Option<&p256::FieldBytes>| URL_SAFE_NO_PAD.encode(bytes.unwrap());
        json!({"keys": [{"kty": "EC", "crv": "P-256", "alg": "ES256", "kid": "k1",
            "x": coordinate(point.x()), "y": coordinate(point.y())}]})
    }
}

impl Signer for TestSigner {
    fn sign(&self, issuer: &str, header: Map<String, Value>, claims: Map<String, Value>) -> Option<String> {
        let encode = |part: Map<String, Value>| URL_SAFE_NO_PAD.encode(Value::Object(part).to_string());
        let signed = format!("{}.{}", encode(header), encode(claims));
        let signature: Signature = self.0.sign(signed.as_bytes());
        (issuer == ISSUER).then(|| format!("{signed}.{}", URL_SAFE_NO_PAD.encode(signature.to_bytes())))
    }

    fn jwks(&self, issuer: &str) -> Option<Value> {
        (issuer == ISSUER).then(|| self.keys())
    }
}

/// A valid configuration with a second issuer that there is no private key for.
fn config() -> Value {
    let keys = json!({"inline": TestSigner::new().keys()});
    json!({
        "version": 1, "instance": "shop",
        "issuers": [
            {"issuer": ISSUER, "audiences": ["orders", "inventory"], "algorithms": ["ES256"],
             "max_lifetime_s": 900, "kind": "agent", "task_claim": "task", "trust_domains": ["shop.example"], "keys": keys},
            {"issuer": "https://id.shop.example/people", "audiences": ["orders"], "algorithms": ["ES256"],
             "max_lifetime_s": 120, "kind": "human", "keys": keys},
        ],
        "credentials": [{"header": "X-Api-Key"}, {"header": "authorization", "scheme": "Bearer"}],
        "bundle": {"inline": {"policies": {}, "grants": []}},
    })
}

fn options() -> Options {
    let signer = Arc::new(TestSigner::new());
    Options {
        listen: ANY_PORT,
        upstream: Some(ANY_PORT),
        config: config(),
        signer,
        policies: None,
        bundle: None,
        log: None,
    }
}

/// As [`options`], with this PDP policy; the directory has to outlive the start.
fn with_policy(directory: &Path, rego: &str) -> Options {
    std::fs::write(directory.join("pdp.rego"), rego).unwrap();
    Options { policies: Some(directory.to_owned()), ..options() }
}

/// A started server.
struct Running {
    ready: Ready,
    client: reqwest::Client,
    stop: oneshot::Sender<()>,
    served: JoinHandle<anyhow::Result<()>>,
}

impl Running {
    async fn start(options: Options) -> Self {
        let (stop, stopped) = oneshot::channel::<()>();
        let (tell, ready) = oneshot::channel();
        let shutdown = async {
            stopped.await.ok();
        };
        let served = tokio::spawn(serve(options, shutdown, |ready| tell.send(ready).unwrap()));
        let client = reqwest::Client::builder().no_proxy().build().unwrap();
        Self { ready: ready.await.unwrap(), client, stop, served }
    }

    fn url(&self, path: &str) -> String {
        format!("http://{}{path}", self.ready.address)
    }

    fn echo_url(&self, path: &str) -> String {
        format!("http://{}{path}", self.ready.upstream.unwrap())
    }

    /// Status and body; a body that is not JSON comes as text.
    async fn call(&self, method: Method, path: &str, body: impl Into<reqwest::Body>) -> (StatusCode, Value) {
        let response = self.client.request(method, self.url(path)).body(body).send().await.unwrap();
        let status = response.status();
        let text = response.text().await.unwrap();
        (status, serde_json::from_str(&text).unwrap_or(Value::String(text)))
    }

    async fn get(&self, path: &str) -> (StatusCode, Value) {
        self.call(Method::GET, path, "").await
    }

    async fn post(&self, path: &str, body: Value) -> (StatusCode, Value) {
        self.call(Method::POST, path, body.to_string()).await
    }

    async fn delete(&self, path: &str) -> StatusCode {
        self.call(Method::DELETE, path, "").await.0
    }

    /// A call that must be refused with this status and these words.
    async fn refused(
        &self,
        method: Method,
        path: &str,
        body: impl Into<reqwest::Body>,
        status: u16,
        words: &str,
    ) {
        let (found, answer) = self.call(method, path, body).await;
        assert_eq!(found.as_u16(), status, "{path}: {answer}");
        let description = answer["error_description"].as_str().unwrap_or_default();
        assert!(description.contains(words), "{path}: `{words}` is not in {answer}");
        assert!(answer["error"].is_string(), "{answer}");
    }
}
