//! The project's devserver in this process, with the policies of `envoy/pdp`.

use std::net::SocketAddr;
use std::sync::{mpsc, Arc};
use std::time::Duration;

use anyhow::Context;
use everycall::devserver;
use serde_json::{json, Value};

use crate::client::{self, RawRequest};

/// A running devserver.
pub struct Devserver {
    address: SocketAddr,
}

impl Devserver {
    /// Starts it on a thread that lives as long as the process.
    ///
    /// # Errors
    /// The configuration is not valid, or no port is free.
    pub fn start(config: Value) -> anyhow::Result<Self> {
        let (sender, receiver) = mpsc::channel();
        let options = devserver::Options {
            listen: "127.0.0.1:0".parse()?,
            upstream: None,
            signer: Arc::new(devserver::TestKeys::of(&config)?),
            config,
            policies: Some(crate::envoy::root().join("envoy/pdp")),
            bundle: None,
            log: None,
        };
        std::thread::spawn(move || {
            let failed = sender.clone();
            let served = tokio::runtime::Runtime::new().map_err(anyhow::Error::from).and_then(|runtime| {
                let ready = move |ready: devserver::Ready| drop(sender.send(Ok(ready.address)));
                runtime.block_on(devserver::serve(options, std::future::pending(), ready))
            });
            if let Err(error) = served {
                // Nobody listens any more if it was ready already.
                let _ = failed.send(Err(error));
            }
        });
        Ok(Self { address: receiver.recv().context("the devserver ended")?? })
    }

    /// Where it listens.
    pub const fn address(&self) -> SocketAddr {
        self.address
    }

    /// `Bearer` and a token of this issuer, for what the request says. Its task is opened if it has to be.
    ///
    /// # Errors
    /// The devserver gives none.
    pub fn token(&self, issuer: &str, request: Value) -> anyhow::Result<String> {
        if let Some(task) = request.get("task") {
            // Known already is as good: several tokens share a task.
            self.post("/tasks", &json!({"id": task, "owner": "user:alice"}))?;
        }
        let answer = self.post(&format!("/issuers/{issuer}/token"), &request)?;
        let token = answer["access_token"].as_str().with_context(|| format!("no token: {answer}"))?;
        Ok(format!("Bearer {token}"))
    }

    /// What it says to a `POST`.
    ///
    /// # Errors
    /// It does not answer.
    pub fn post(&self, path: &str, body: &Value) -> anyhow::Result<Value> {
        self.call("POST", path, body)
    }

    /// What it says to a request; null where that is no JSON.
    ///
    /// # Errors
    /// It does not answer.
    pub fn call(&self, method: &str, path: &str, body: &Value) -> anyhow::Result<Value> {
        let request = RawRequest {
            method: method.into(),
            path: path.into(),
            headers: vec![
                ("host".into(), b"devserver".to_vec()),
                ("content-type".into(), b"application/json".to_vec()),
            ],
            body: body.to_string().into_bytes(),
        };
        let response = client::send(self.address, [127, 0, 0, 1].into(), &request, Duration::from_secs(5))?;
        Ok(serde_json::from_slice(&response.body).unwrap_or_default())
    }
}
