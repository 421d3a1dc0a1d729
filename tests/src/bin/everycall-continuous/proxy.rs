//! What runs: the devserver, two upstreams, and Envoy.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::time::{Duration, Instant};

use anyhow::{bail, ensure, Context};
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use base64::Engine as _;
use everycall::mint::TestKey;
use everycall_core::Algorithm;
use everycall_tests::devserver::Devserver;
use everycall_tests::envoy::{connection_manager, lead, plugin, rendered, with_upgrades, Envoy};
use everycall_tests::grpc::{self, GrpcServer, EVENTS};
use everycall_tests::server::{Answer, Server};
use serde_json::{json, Value};

pub const WORKLOADS: &str = "https://id.shop.example/workloads";
/// Whom tokens of agents are for.
const PRINCIPAL: &str = "user:alice";

pub struct Proxy {
    pub devserver: Devserver,
    pub envoy: Envoy,
    pub inbound: SocketAddr,
}

impl Proxy {
    /// Starts everything; streams bring an event in each such time.
    pub fn start(workers: u32, every: Duration) -> anyhow::Result<Self> {
        let config = config()?;
        let devserver = Devserver::start(config.clone())?;
        let upstream = Server::start(move |request| match request.path.rsplit('/').next() {
            Some("events") => Answer::EventsEvery(every),
            Some("socket") => Answer::Echo,
            _ => Answer::Http(200, b"upstream\n".to_vec()),
        })?;
        let grpc = GrpcServer::start_with(|_| grpc::Answer::says(false), every)?;
        let module = everycall_tests::envoy::module()?.display().to_string();
        let mut document = rendered(&module, &config, upstream.address(), devserver.address())?;
        with_upgrades(&mut document);
        let manager = connection_manager(&mut document["static_resources"]["listeners"][0]);
        plugin(manager)["configuration"]["value"] = json!(config.to_string());
        let routes = manager["route_config"]["virtual_hosts"][0]["routes"].as_array_mut();
        let to_grpc = json!({"match": {"path": EVENTS}, "route": {"cluster": "grpc", "timeout": "0s"}});
        routes.context("no routes")?.insert(0, to_grpc);
        let clusters = document["static_resources"]["clusters"].as_array_mut().context("no clusters")?;
        let mut more = clusters.first().context("no clusters")?.clone();
        more["name"] = json!("grpc");
        more["typed_extension_protocol_options"] = json!({"envoy.extensions.upstreams.http.v3.HttpProtocolOptions": {
            "@type": "type.googleapis.com/envoy.extensions.upstreams.http.v3.HttpProtocolOptions",
            "explicit_http_config": {"http2_protocol_options": {}}}});
        clusters.push(more);
        for cluster in clusters {
            // The load is on the filter, not on connections to the upstream; and nothing else is in short supply.
            cluster.as_object_mut().context("no cluster")?.remove("max_requests_per_connection");
            let many = json!(1_000_000);
            cluster["circuit_breakers"] = json!({"thresholds": [{"max_connections": many,
                "max_pending_requests": many, "max_requests": many}]});
        }
        lead(&mut document, "grpc", &[grpc.address()]);
        let envoy = Envoy::start(&document.to_string(), workers)?;
        let inbound = envoy.listener("inbound")?;
        let proxy = Self { devserver, envoy, inbound };
        proxy.wait_for_list(workers)?;
        Ok(proxy)
    }

    /// Until each worker, and the main thread, knows what was revoked: before that they refuse.
    fn wait_for_list(&self, workers: u32) -> anyhow::Result<()> {
        let fresh = "wasmcustom.everycall.feed;instance=shop-inbound;state=fresh;feed=revocations";
        let deadline = Instant::now() + Duration::from_secs(30);
        while self.envoy.stat(fresh)? <= u64::from(workers) {
            ensure!(Instant::now() < deadline, "the list did not reach every worker:\n{}", self.envoy.log());
            std::thread::sleep(Duration::from_millis(20));
        }
        Ok(())
    }

    /// A token of this caller, bound to a task.
    pub fn token(&self, caller: &Caller, lifetime_s: i64) -> anyhow::Result<Token> {
        let id = &caller.id;
        let (issuer, mut request) = match caller.is_agent {
            false => ("workloads", json!({"sub": id})),
            true => ("agents", json!({"sub": PRINCIPAL, "act": {"sub": id}})),
        };
        request["task"] = json!(caller.task);
        request["lifetime_s"] = json!(lifetime_s);
        let header = self.devserver.token(issuer, request)?;
        let part = |index: usize| -> anyhow::Result<Value> {
            let text = header.trim_start_matches("Bearer ").split('.').nth(index).context("not a token")?;
            Ok(serde_json::from_slice(&URL_SAFE_NO_PAD.decode(text)?)?)
        };
        let (head, claims) = (part(0)?, part(1)?);
        let key_id = head["kid"].as_str().context("a token without a key id")?.to_owned();
        let id = claims["jti"].as_str().context("a token without an id")?.to_owned();
        let expires_at = claims["exp"].as_i64().context("a token without an end")?;
        Ok(Token { header, id, key_id, expires_at })
    }

    /// Lets the devserver revoke something. Answers when it was told to.
    pub fn revoke(&self, fact: &Value) -> anyhow::Result<Instant> {
        let begun = Instant::now();
        let answer = self.devserver.post("/revocations", fact)?;
        ensure!(answer["accepted"] == 1, "the devserver does not revoke {fact}: {answer}");
        Ok(begun)
    }

    /// The same by the end of a task.
    pub fn end_task(&self, task: &str) -> anyhow::Result<Instant> {
        let begun = Instant::now();
        let answer = self.devserver.post(&format!("/tasks/{task}/end"), &json!({}))?;
        ensure!(answer["revoked_by"].is_u64(), "the devserver does not end the task `{task}`: {answer}");
        Ok(begun)
    }

    /// How many streams were cut, by reason, as the filter counts.
    pub fn counted_cuts(&self) -> anyhow::Result<BTreeMap<String, u64>> {
        let mut counted = BTreeMap::new();
        for line in self.envoy.admin("/stats?filter=everycall.streams_cut")?.lines() {
            let Some((name, count)) = line.split_once(": ") else { bail!("`{line}` is no counter") };
            let reason = name.rsplit_once("reason=").map_or(name, |(_, reason)| reason);
            counted.insert(reason.to_owned(), count.trim().parse()?);
        }
        Ok(counted)
    }
}

/// Who calls, and what for.
#[derive(Debug, Clone)]
pub struct Caller {
    pub id: String,
    /// It acts for somebody.
    pub is_agent: bool,
    pub task: String,
}

impl Caller {
    pub fn workload(id: &str, task: &str) -> Self {
        let id = format!("spiffe://shop.example/bench/{id}");
        Self { id, is_agent: false, task: task.to_owned() }
    }

    pub fn agent(id: &str, task: &str) -> Self {
        Self { is_agent: true, ..Self::workload(id, task) }
    }
}

pub struct Token {
    /// With `Bearer`.
    pub header: String,
    pub id: String,
    pub key_id: String,
    /// Seconds.
    pub expires_at: i64,
}

/// The reference with grants for everything that is asked here. What is measured stays as it is by default.
fn config() -> anyhow::Result<Value> {
    let mut config = everycall_tests::cases::reference()?;
    config["issuers"][0]["task_claim"] = json!("task");
    config["revocations"] = json!({"keys": TestKey::of(Algorithm::Es256)?.public_jwks(),
        "remote": {"cluster": "revocations", "host": "devserver", "path": "/revocations"}});
    let bundle = &mut config["bundle"]["inline"];
    bundle["policies"]["bench.rego"] = json!("package everycall.bench\ndecision := {\"allow\": true}");
    let grants = bundle["grants"].as_array_mut().context("no grants")?;
    for kind in ["workload", "agent"] {
        let mut grant = json!({
            "id": format!("bench-{kind}"), "owner": "o", "purpose": "p", "kinds": [kind], "hosts": ["t", "h"],
            "subject_prefix": "spiffe://shop.example/bench/", "methods": ["GET", "POST"],
            "paths": ["/t/{rest...}", EVENTS], "policy": "bench"});
        if kind == "agent" {
            grant["delegation"] = json!({"on_behalf_of": [PRINCIPAL]});
        }
        grants.push(grant);
    }
    Ok(config)
}
