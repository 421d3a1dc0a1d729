//! What runs: Envoy with two listeners, whose records go into the access log and into the proxy's log, and the
//! servers that the filter asks.

use everycall_tests::RECORD_BEGINS;
use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};
use std::{fs, io};

use anyhow::{bail, ensure, Context as _};
use everycall::mint::TestKey;
use everycall_tests::envoy::{self, connection_manager, lead, plugin, rendered, Envoy};
use everycall_tests::fault::Door;
use everycall_tests::server::{Answer, Server};
use serde_json::{json, Value};

use crate::bundles::Bundles;
use crate::callers::{Issuer, ISSUER};
use crate::point::Point;
use crate::run::{Job, Run};
use crate::tasks::Tasks;

/// Workers of Envoy.
pub const WORKERS: u32 = 4;
/// As envoy/README.md has it: records are the line's member `record`.
const FORMAT: &str = "{\"code\":%RESPONSE_CODE%,\"flags\":\"%RESPONSE_FLAGS%\",\"record\":%FILTER_STATE(wasm.everycall.decision:PLAIN)%}\n";
/// What no cluster comes to.
const MANY: u32 = 10_000;

pub struct Servers {
    pub issuer: Issuer,
    pub tasks: Tasks,
    pub bundles: Bundles,
    pub point: Point,
}

/// A listener with an engine of its own.
pub struct Inbound {
    /// The engine's name.
    pub instance: &'static str,
    /// Where its records go.
    pub to: &'static str,
    pub address: SocketAddr,
    /// The configuration, in a file.
    pub config: PathBuf,
}

pub struct Proxy {
    pub servers: Arc<Servers>,
    pub envoy: Envoy,
    pub inbounds: Vec<Inbound>,
    pub door: Arc<Door>,
    /// What remembers each request that it got.
    remember: [Server; 2],
    /// How many VMs there were when all was ready.
    vms: u64,
    // Configurations and bundles are here.
    _directory: tempfile::TempDir,
}

impl Proxy {
    pub fn start(run_s: u64) -> anyhow::Result<Self> {
        let directory = tempfile::tempdir()?;
        let servers = Arc::new(Servers {
            issuer: Issuer::new()?,
            tasks: Tasks::new()?,
            bundles: Bundles::new(directory.path(), run_s)?,
            point: Point::new(),
        });
        let behind = Arc::clone(&servers);
        let others = Server::start(move |request| match request.path.as_str() {
            "/jwks.json" => behind.issuer.answer(),
            "/soak.bundle" => behind.bundles.answer(request),
            path if path.starts_with("/revocations") => behind.tasks.answer(request),
            _ => behind.point.answer(request),
        })?;
        let upstream = Server::start(|request| match request.path.split('/').nth(1) {
            Some("events") => Answer::EventsEvery(Duration::from_millis(500)),
            _ if request.path.ends_with("-late") => Answer::Silence(Duration::from_secs(1)),
            _ => Answer::Http(200, b"upstream\n".to_vec()),
        })?;
        let door = Arc::new(Door::to(others.address())?);
        let module = envoy::module()?.display().to_string();
        let (mut inbounds, mut listeners, mut document) = (Vec::new(), Vec::new(), Value::Null);
        for (instance, to) in [("soak-access", "access_log"), ("soak-proxy", "proxy_log")] {
            let config = config(instance, to)?;
            let mut own = rendered(&module, &config, upstream.address(), others.address())?;
            listeners.push(listener(own["static_resources"]["listeners"][0].take(), instance, to, &config)?);
            document = own;
            let file = directory.path().join(format!("{instance}.json"));
            fs::write(&file, config.to_string())?;
            let address = ([127, 0, 0, 1], 0).into();
            inbounds.push(Inbound { instance, to, address, config: file });
        }
        document["static_resources"]["listeners"] = listeners.into();
        for cluster in document["static_resources"]["clusters"].as_array_mut().context("no clusters")? {
            // The load is on the filter, not on connections to the upstream; and nothing else is in short supply.
            cluster.as_object_mut().context("no cluster")?.remove("max_requests_per_connection");
            cluster["circuit_breakers"] = json!({"thresholds": [{"max_connections": MANY,
                "max_pending_requests": MANY, "max_requests": MANY}]});
        }
        lead(&mut document, "pdp", &[door.address()]);
        let envoy = Envoy::start(&document.to_string(), WORKERS)?;
        for inbound in &mut inbounds {
            inbound.address = envoy.listener(inbound.instance)?;
        }
        let remember = [others, upstream];
        let mut proxy = Self { servers, envoy, inbounds, door, remember, vms: 0, _directory: directory };
        proxy.wait_until_ready()?;
        proxy.vms = proxy.vms_created()?;
        Ok(proxy)
    }

    /// Until each worker, and the main thread, has a bundle, keys, and a list of what was revoked.
    fn wait_until_ready(&self) -> anyhow::Result<()> {
        let all = u64::from(WORKERS) + 1;
        let deadline = Instant::now() + Duration::from_secs(60);
        loop {
            let metrics = self.metrics()?;
            let is_ready = self.inbounds.iter().all(|inbound| {
                let has = |name, state| {
                    metrics.sum(name, &[("instance", inbound.instance), ("state", state)]) == all
                };
                has("bundle", "serving") && has("feed", "fresh") && has("keys", "fresh")
            });
            if is_ready {
                return Ok(());
            }
            ensure!(Instant::now() < deadline, "the filter does not get ready:\n{}", self.envoy.log());
            std::thread::sleep(Duration::from_millis(50));
        }
    }

    /// Starts whatever makes the world change.
    pub fn change(&self, run: &Run) -> Vec<Job<u64>> {
        let [keys, bundles, tasks, point] = [0; 4].map(|_| Arc::clone(&self.servers));
        let door = Arc::clone(&self.door);
        vec![
            run.spawn(move |run| keys.issuer.rotate(run)),
            run.spawn(move |run| bundles.bundles.change(run).map(|()| 0)),
            run.spawn(move |run| tasks.tasks.change(run).map(|()| 0)),
            run.spawn(move |run| point.point.change(&door, run).map(|()| 0)),
        ]
    }

    /// Lets the servers forget what they got: this process should not grow.
    pub fn forget(&self) {
        self.remember.iter().for_each(|server| drop(server.take()));
    }

    /// What the filter counts.
    pub fn metrics(&self) -> anyhow::Result<Metrics> {
        let stats = self.envoy.admin("/stats?filter=wasmcustom.everycall")?;
        let mut all = Vec::new();
        for line in stats.lines() {
            let Some((name, value)) = line.rsplit_once(": ") else { continue };
            // Histograms have no one value.
            let Ok(value) = value.trim().parse() else { continue };
            let mut parts = name.trim_start_matches("wasmcustom.everycall.").split(';');
            let name = parts.next().unwrap_or_default().to_owned();
            let labels = parts.filter_map(|part| part.split_once('='));
            let labels = labels.map(|(label, value)| (label.to_owned(), value.to_owned())).collect();
            all.push(Metric { name, labels, value });
        }
        Ok(Metrics(all))
    }

    /// Memory of Envoy's process, and what its allocator gave out of it, in bytes.
    pub fn memory(&self) -> anyhow::Result<(u64, u64)> {
        let status = fs::read_to_string(format!("/proc/{}/status", self.envoy.id()))?;
        let resident = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).context("no VmRSS")?;
        let resident: u64 = resident.trim().trim_end_matches(" kB").parse()?;
        let memory: Value = serde_json::from_str(&self.envoy.admin("/memory")?)?;
        let allocated = memory["allocated"].as_str().context("no `allocated`")?.parse()?;
        Ok((resident * 1024, allocated))
    }

    /// What shows that a VM failed: it is started again, and what it died of is in the log.
    pub fn traps(&self) -> anyhow::Result<Vec<String>> {
        let stats = self.envoy.admin("/stats?filter=wasm.everycall.vm_reload")?;
        ensure!(stats.contains("vm_reload_success: "), "Envoy does not count VMs that failed:\n{stats}");
        let mut found: Vec<String> =
            stats.lines().filter(|line| !line.ends_with(": 0")).map(str::to_owned).collect();
        let created = self.vms_created()?;
        if created != self.vms {
            found.push(format!("{created} VMs were created, and {} at the start", self.vms));
        }
        for line in self.lines("envoy.log")? {
            let line = line?;
            if is_sign_of_trap(&line) {
                found.push(line);
            }
        }
        Ok(found)
    }

    fn vms_created(&self) -> anyhow::Result<u64> {
        let created = self.envoy.stat("wasm.envoy.wasm.runtime.v8.created")?;
        ensure!(created > 0, "Envoy counts no VMs");
        Ok(created)
    }

    /// The lines of a file of Envoy's.
    pub fn lines(&self, file: &str) -> anyhow::Result<io::Lines<io::BufReader<fs::File>>> {
        lines(&self.envoy.directory().join(file))
    }
}

/// A line of Envoy's log that tells of a VM that failed; what clients sent is in lines with records only.
fn is_sign_of_trap(line: &str) -> bool {
    const SIGNS: [&str; 4] = ["Uncaught RuntimeError", "panicked at", "in-VM backtrace", "VM failed"];
    !line.contains(RECORD_BEGINS) && SIGNS.iter().any(|sign| line.contains(sign))
}

fn lines(path: &Path) -> anyhow::Result<io::Lines<io::BufReader<fs::File>>> {
    use io::BufRead as _;
    let file = fs::File::open(path).with_context(|| format!("`{}`", path.display()))?;
    Ok(io::BufReader::new(file).lines())
}

/// What the filter counts, all instances together.
pub struct Metrics(Vec<Metric>);

struct Metric {
    name: String,
    labels: BTreeMap<String, String>,
    value: u64,
}

impl Metrics {
    /// The sum of all values of this metric with these labels.
    pub fn sum(&self, name: &str, labels: &[(&str, &str)]) -> u64 {
        let has = |metric: &&Metric| {
            metric.name == name
                && labels
                    .iter()
                    .all(|(label, value)| metric.labels.get(*label).is_some_and(|own| own == value))
        };
        self.0.iter().filter(has).map(|metric| metric.value).sum()
    }
}

/// The reference with keys, bundles and revocations from servers.
fn config(instance: &str, to: &str) -> anyhow::Result<Value> {
    let mut config = everycall_tests::cases::reference()?;
    let key = TestKey::es256()?;
    config["instance"] = json!(instance);
    let issuer = &mut config["issuers"][0];
    if issuer["issuer"] != ISSUER {
        bail!("the reference's first issuer is another one");
    }
    issuer["task_claim"] = json!("task");
    issuer["keys"] = json!({"remote": {"cluster": "keys", "host": "id.shop.example", "path": "/jwks.json",
        "interval_s": 1, "refresh_s": 10, "wait_ms": 5_000, "max_waiting": 500}});
    config["bundle"] = json!({"keys": key.public_jwks(), "remote": {"cluster": "bundles", "host": "b.example",
        "path": "/soak.bundle", "interval_s": 1, "timeout_ms": 3_000}});
    config["revocations"] = json!({"keys": key.public_jwks(),
        "remote": {"cluster": "revocations", "host": "r.example", "path": "/revocations"}});
    config["pdps"]["default"]["breaker"] = json!({"failures": 5, "open_ms": 1_000});
    // So few that all are there before memory is judged, and that tokens are forgotten all the time.
    config["limits"] = json!({"tokens_cached": 100});
    config["log"] = json!({"records": "all", "to": to});
    Ok(config)
}

/// The rendered listener for an instance; floods are answered by Envoy itself.
fn listener(mut listener: Value, instance: &str, to: &str, config: &Value) -> anyhow::Result<Value> {
    listener["name"] = json!(instance);
    let manager = connection_manager(&mut listener);
    manager["stat_prefix"] = json!(instance);
    let access = &mut manager["access_log"][0]["typed_config"];
    access["path"] = json!(format!("{{directory}}/{instance}.log"));
    if to == "access_log" {
        access["log_format"] = json!({"text_format_source": {"inline_string": FORMAT}});
    }
    let routes = manager["route_config"]["virtual_hosts"][0]["routes"].as_array_mut().context("no routes")?;
    for prefix in ["/flood/", "/read/"] {
        routes.insert(0, json!({"match": {"prefix": prefix}, "direct_response": {"status": 204}}));
    }
    plugin(manager)["configuration"]["value"] = json!(config.to_string());
    Ok(listener)
}
