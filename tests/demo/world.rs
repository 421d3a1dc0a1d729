//! Everything that runs: the devserver, an upstream and Envoy.

use std::net::SocketAddr;
use std::time::{Duration, Instant};

use anyhow::{bail, Context};
use everycall::cases::redate::redate;
use everycall::commands::render::{bootstrap, Bootstrap};
use everycall_core::UnixTime;
use everycall_tests::client::{self, OpenStream};
use everycall_tests::devserver::Devserver;
use everycall_tests::envoy::{self, Envoy};
use everycall_tests::server::{Answer, Server};
use serde_json::{json, Value};

use crate::calls::{Call, CHECKOUT};

/// When the elevations of the reference are active.
const AS_OF: &str = "2026-11-22T09:00:00Z";
const WORKERS: u32 = 2;

/// Everything that runs.
pub struct World {
    pub devserver: Devserver,
    pub upstream: Server,
    pub envoy: Envoy,
    inbound: SocketAddr,
}

/// What came of a call.
pub struct Outcome {
    pub status: u16,
    /// How long after the end of its task its stream was cut.
    pub cut: Option<Duration>,
}

impl World {
    pub fn start() -> anyhow::Result<Self> {
        eprintln!("starting the devserver (issuer and policy decision point), an upstream and Envoy");
        let as_of = UnixTime::parse_rfc3339(AS_OF).with_context(|| format!("`{AS_OF}` is no instant"))?;
        let mut config = everycall_tests::cases::whole_reference()?;
        redate(
            &mut config,
            as_of,
            UnixTime::from_secs(i64::try_from(std::time::UNIX_EPOCH.elapsed()?.as_secs())?),
        );
        let devserver = Devserver::start(config.clone())?;
        let upstream = Server::start(|request| {
            if request.path.ends_with("/events") {
                return Answer::Events;
            }
            Answer::Http(200, format!("upstream: {} {}\n", request.method, request.path).into())
        })?;
        let options = Bootstrap {
            module: envoy::module()?.display().to_string(),
            listen: parse("127.0.0.1:0")?,
            admin: parse("127.0.0.1:0")?,
            upstream: parse(&upstream.address().to_string())?,
            pdp: vec![parse(&devserver.address().to_string())?],
            keys: Vec::new(),
            keys_ca: String::new(),
            bundles: None,
            revocations: Some(parse(&devserver.address().to_string())?),
            signals: None,
            access_log: "{directory}/access.log".into(),
        };
        let envoy = Envoy::start(&bootstrap(&options, &config)?, WORKERS)?;
        let inbound = envoy.listener("inbound")?;
        let world = Self { devserver, upstream, inbound, envoy };
        world.wait_for_revocations()?;
        Ok(world)
    }

    /// Until each worker, and the main thread, knows what was revoked: before that they refuse.
    fn wait_for_revocations(&self) -> anyhow::Result<()> {
        let fresh = "wasmcustom.everycall.feed;instance=shop-inbound;state=fresh;feed=revocations";
        let deadline = Instant::now() + Duration::from_secs(30);
        while self.envoy.stat(fresh)? <= u64::from(WORKERS) {
            if Instant::now() > deadline {
                bail!("the feed of revocations did not reach every worker:\n{}", self.envoy.log());
            }
            std::thread::sleep(Duration::from_millis(20));
        }
        Ok(())
    }

    /// Makes a call as it is meant.
    pub fn make(&self, call: &Call) -> anyhow::Result<Outcome> {
        if let Some(task) = call.cut_by_end_of {
            return self.stream(call, task);
        }
        if call.while_pdp_is_down {
            self.devserver.call("PUT", "/faults/pdp", &json!({"mode": "drop"}))?;
        }
        let response = client::send(self.inbound, call.from, &call.request(), Duration::from_secs(10))?;
        if call.while_pdp_is_down {
            self.devserver.call("PUT", "/faults/pdp", &json!({"mode": "ok"}))?;
        }
        Ok(Outcome { status: response.status, cut: None })
    }

    /// Opens a stream, ends the task of its caller after a while, and waits until it is cut.
    fn stream(&self, call: &Call, task: &str) -> anyhow::Result<Outcome> {
        let stream = OpenStream::open(self.inbound, &call.request())?;
        std::thread::sleep(Duration::from_millis(500));
        if let Some(ended) = stream.ended() {
            bail!("the stream ended {:?} ago, before its task did", ended.elapsed());
        }
        let ending = Instant::now();
        self.devserver
            .post(&format!("/tasks/{task}/end"), &json!({"reason": "the customer has an answer"}))?;
        let cut = stream.wait(Duration::from_secs(5));
        Ok(Outcome { status: stream.status, cut: cut.map(|at| at.saturating_duration_since(ending)) })
    }

    /// The line of the access log with this number, from 1.
    pub fn line(&self, number: usize) -> anyhow::Result<Value> {
        let lines = self.envoy.lines("access.log", number);
        Ok(serde_json::from_str(lines.get(number - 1).context("no access log line")?)?)
    }

    /// Leaves everything running until somebody says that it is enough.
    pub fn keep(&self) -> anyhow::Result<()> {
        let token = self.devserver.token("workloads", json!({"sub": CHECKOUT}))?;
        let (inbound, devserver) = (self.inbound, self.devserver.address());
        println!("Envoy listens on {inbound}, the devserver on http://{devserver} (its first page lists what it offers).");
        println!("The access log is {}/access.log.\n", self.envoy.directory().display());
        println!("As the checkout workload, for five minutes:");
        println!("  curl -i http://{inbound}/orders/o-1001 -H 'host: orders.shop.example' -H 'x-purpose: show-order' \\\n    -H 'authorization: {token}'\n");
        println!("A fresh token:");
        println!("  curl -s http://{devserver}/issuers/workloads/token -H 'content-type: application/json' \\\n    -d '{{\"sub\":\"{CHECKOUT}\"}}'\n");
        println!("Without one:");
        println!("  curl -i http://{inbound}/orders/o-1001 -H 'host: orders.shop.example'\n");
        println!("Press Enter, or close the standard input, to stop.");
        std::io::stdin().read_line(&mut String::new())?;
        Ok(())
    }
}

fn parse<T: std::str::FromStr<Err = String>>(text: &str) -> anyhow::Result<T> {
    text.parse().map_err(anyhow::Error::msg)
}
