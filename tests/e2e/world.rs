//! One Envoy for many tests: a listener for each configuration, an upstream that remembers, and a
//! decision point that does what it is told.

use std::collections::BTreeMap;
use std::net::{IpAddr, SocketAddr};
use std::sync::{mpsc, Arc, Mutex};
use std::time::{Duration, Instant};

use everycall::cases::PdpAnswer;
use everycall::WireRequest;
use everycall_core::config::PdpProtocol;
use everycall_core::{Reply, UnixTime};
use everycall_tests::client::{self, RawRequest, Response};
pub use everycall_tests::discovery::Discovery;
use everycall_tests::envoy::{self, module, Envoy, Start};
pub use everycall_tests::envoy::{connection_manager, lead, plugin};
use everycall_tests::grpc::{self, CheckRequest, GrpcServer};
use everycall_tests::server::{Answer, Server};
use serde_json::{json, Value};

/// How the connection manager of a listener treats paths and hosts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Paths {
    /// As rendered: normalised, slashes merged, escaped slashes refused; hosts without their dot and port.
    Mended,
    /// As they came.
    Plain,
}

/// A listener with the filter.
#[derive(Debug, Clone)]
pub struct Listener {
    pub name: String,
    pub config: Value,
    pub paths: Paths,
}

/// What came of a request.
#[derive(Debug)]
pub struct Seen {
    pub response: Response,
    /// The access log's line.
    pub line: Value,
    /// The filter's decision, if it came to one.
    pub decision: Option<Value>,
    /// What the upstream got.
    pub upstream: Vec<everycall_tests::server::Received>,
}

impl Seen {
    pub fn reason(&self) -> &str {
        self.decision.as_ref().and_then(|decision| decision["reason"].as_str()).unwrap_or("none")
    }
}

type Answers = Arc<Mutex<BTreeMap<String, PdpAnswer>>>;

pub struct World {
    pub envoy: Arc<Envoy>,
    pub upstream: Server,
    answers: Answers,
    addresses: BTreeMap<String, SocketAddr>,
    // Requests of one world run one after another, so that access log lines have an owner.
    turn: Mutex<BTreeMap<String, usize>>,
}

pub fn now() -> UnixTime {
    UnixTime::from_micros(std::time::UNIX_EPOCH.elapsed().unwrap().as_micros().try_into().unwrap())
}

/// The rendered bootstrap, as a document. The decision point is the server of keys as well.
pub fn rendered(config: &Value, upstream: SocketAddr, pdp: SocketAddr) -> Value {
    envoy::rendered(&module().unwrap().display().to_string(), config, upstream, pdp).unwrap()
}

/// Starts Envoy with this bootstrap.
pub fn start_envoy(bootstrap: String, workers: u32) -> anyhow::Result<Arc<Envoy>> {
    keep(move || Envoy::start(&bootstrap, workers))
}

/// Starts Envoy on a thread that lives as long as the process: Envoy ends with the thread that
/// started it.
pub fn keep(start: impl FnOnce() -> anyhow::Result<Envoy> + Send + 'static) -> anyhow::Result<Arc<Envoy>> {
    let (sender, receiver) = mpsc::channel();
    std::thread::spawn(move || {
        let started = start().map(Arc::new);
        let keep = started.as_ref().ok().map(Arc::downgrade);
        sender.send(started).unwrap();
        while keep.as_ref().is_some_and(|envoy| envoy.strong_count() > 0) {
            std::thread::sleep(Duration::from_millis(50));
        }
    });
    receiver.recv()?
}

/// The last segment of a path below `/t/`.
fn below_t(path: &str) -> Option<&str> {
    path.strip_prefix("/t/")?.rsplit('/').next()
}

impl World {
    pub fn start(listeners: &[Listener]) -> Arc<Self> {
        Self::start_with(listeners, |_| {})
    }

    /// Starts a world after this change of the bootstrap.
    pub fn start_with(listeners: &[Listener], change: impl FnOnce(&mut Value)) -> Arc<Self> {
        Self::start_as(listeners, Start::with(1), change)
    }

    /// As `start_with`, with Envoy started like this.
    pub fn start_as(listeners: &[Listener], start: Start, change: impl FnOnce(&mut Value)) -> Arc<Self> {
        let answers: Answers = Arc::default();
        // Below `/t`, so that no case waits for the end of a stream.
        let upstream = Server::start(|request| match below_t(&request.path) {
            Some("slow") => Answer::Silence(Duration::from_secs(5)),
            Some("events") => Answer::Events,
            Some("socket") => Answer::Echo,
            _ => Answer::Http(200, b"upstream\n".to_vec()),
        })
        .unwrap();
        let for_pdp = Arc::clone(&answers);
        let pdp = Server::start(move |request| {
            let question = serde_json::from_slice::<Value>(&request.body).unwrap_or_default();
            let answers = for_pdp.lock().unwrap();
            let inside = || answers.get(&question.get("input")?.to_string());
            let answer = answers.get(&question.to_string()).or_else(inside).cloned();
            let protocol = match question.get("input") {
                Some(_) => PdpProtocol::Opa,
                None => PdpProtocol::Authzen,
            };
            let says = |answer: PdpAnswer| match answer.reply(protocol) {
                Reply::Http { status, body, .. } => Answer::Http(status, body),
                Reply::Failed(_) => Answer::Close,
            };
            match answer.unwrap_or(PdpAnswer::Absent) {
                yes_or_no @ (PdpAnswer::Allow | PdpAnswer::Deny) => says(yes_or_no),
                PdpAnswer::Http { status, body } => Answer::Http(status, body.into_bytes()),
                PdpAnswer::Timeout => Answer::Silence(Duration::from_secs(3)),
                PdpAnswer::Down | PdpAnswer::Absent => Answer::Close,
            }
        })
        .unwrap();
        let for_grpc = Arc::clone(&answers);
        let grpc = GrpcServer::start(move |check| {
            let id = extension(check, "id").unwrap_or_default();
            match for_grpc.lock().unwrap().get(&format!("id {id}")).unwrap_or(&PdpAnswer::Absent) {
                PdpAnswer::Allow => grpc::Answer::says(true),
                PdpAnswer::Deny => grpc::Answer::says(false),
                PdpAnswer::Timeout => grpc::Answer::Silence(Duration::from_secs(3)),
                PdpAnswer::Http { .. } | PdpAnswer::Down | PdpAnswer::Absent => {
                    grpc::Answer::Status(grpc::Code::Unavailable, "down")
                }
            }
        })
        .unwrap();
        let mut document = rendered(&listeners[0].config, upstream.address(), pdp.address());
        for listener in listeners {
            add_clusters(&mut document, &listener.config, pdp.address(), grpc.address());
        }
        // Each as it is rendered for its configuration.
        let all = listeners.iter().map(|listener| {
            let own = rendered(&listener.config, upstream.address(), pdp.address());
            with_listener(&own["static_resources"]["listeners"][0], listener)
        });
        let all: Vec<Value> = all.collect();
        document["static_resources"]["listeners"] = Value::Array(all);
        change(&mut document);
        let envoy = keep(move || Envoy::start_as(&document.to_string(), &start)).unwrap();
        let addresses =
            listeners.iter().map(|l| (l.name.clone(), envoy.listener(&l.name).unwrap())).collect();
        Arc::new(Self { envoy, upstream, answers, addresses, turn: Mutex::default() })
    }

    /// A world with one listener.
    pub fn with(config: &Value) -> Arc<Self> {
        Self::start(&[Listener { name: "only".into(), config: config.clone(), paths: Paths::Plain }])
    }

    pub fn address(&self, listener: &str) -> SocketAddr {
        self.addresses[listener]
    }

    /// What the decision point says to each question, by its body.
    pub fn answer(&self, answers: BTreeMap<String, PdpAnswer>) {
        *self.answers.lock().unwrap() = answers;
    }

    /// Sends a request and collects what came of it.
    pub fn send(&self, listener: &str, request: &WireRequest) -> Seen {
        let mut headers = vec![("host".to_owned(), request.host.clone().into_bytes())];
        headers.extend(request.headers.iter().cloned());
        let raw = RawRequest {
            method: request.method.clone(),
            path: request.path.clone(),
            headers,
            body: Vec::new(),
        };
        self.send_raw(listener, request.source_ip.parse().unwrap(), &raw)
    }

    /// Access log lines of requests that were not sent through the world.
    pub fn skip_lines(&self, listener: &str, count: usize) {
        *self.turn.lock().unwrap().entry(listener.to_owned()).or_default() += count;
    }

    pub fn send_raw(&self, listener: &str, from: IpAddr, raw: &RawRequest) -> Seen {
        let mut turn = self.turn.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        let file = format!("{}.log", listener.replace('/', "-"));
        let before = turn.entry(listener.to_owned()).or_default();
        self.upstream.take();
        let response = client::send(self.address(listener), from, raw, Duration::from_secs(20)).unwrap();
        let lines = self.envoy.lines(&file, *before + 1);
        assert_eq!(lines.len(), *before + 1, "one access log line a request");
        *before += 1;
        let line: Value = serde_json::from_str(&lines[lines.len() - 1]).unwrap();
        let decision = line["decision"].as_str().and_then(|text| serde_json::from_str(text).ok());
        Seen { response, line, decision, upstream: self.upstream.take() }
    }

    /// Sends a request whatever the access log says of it.
    pub fn send_raw_unlogged(&self, raw: &RawRequest) -> Response {
        client::send(self.address("only"), [127, 0, 0, 1].into(), raw, Duration::from_secs(20)).unwrap()
    }

    /// The records in Envoy's log, once there are at least `count`.
    pub fn records(&self, count: usize) -> Vec<Value> {
        let deadline = Instant::now() + Duration::from_secs(10);
        loop {
            let log = self.envoy.log();
            let records: Vec<Value> = log
                .lines()
                .filter_map(|line| {
                    serde_json::from_str(line.get(line.find(everycall_tests::RECORD_BEGINS)?..)?).ok()
                })
                .collect();
            if records.len() >= count || Instant::now() > deadline {
                return records;
            }
            std::thread::sleep(Duration::from_millis(20));
        }
    }

    /// The record of the decision on this request.
    pub fn record(&self, seen: &Seen) -> Value {
        let id = &seen.decision.as_ref().unwrap()["id"];
        let deadline = Instant::now() + Duration::from_secs(10);
        loop {
            if let Some(record) = self.records(1).into_iter().find(|record| record["id"] == *id) {
                return record;
            }
            assert!(Instant::now() < deadline, "no record of {id}");
            std::thread::sleep(Duration::from_millis(20));
        }
    }

    /// No VM has trapped, and none was refused work since.
    pub fn assert_no_crash(&self) {
        for stat in ["vm_reload_success", "vm_reload_backoff", "vm_reload_failure"] {
            assert_eq!(
                self.envoy.stat(&format!("wasm.everycall.{stat}")).unwrap(),
                0,
                "{stat}:\n{}",
                self.envoy.log()
            );
        }
        let log = self.envoy.log();
        assert!(!log.contains("Uncaught RuntimeError") && !log.contains("panicked"), "{log}");
    }
}

/// What the question says of `key` in `context_extensions`.
pub fn extension(check: &CheckRequest, key: &str) -> Option<String> {
    check.attributes.as_ref()?.context_extensions.get(key).cloned()
}

/// Adds the clusters of a configuration that are not there yet; those for gRPC lead to `grpc`.
pub fn add_clusters(document: &mut Value, config: &Value, pdp: SocketAddr, grpc: SocketAddr) {
    let mut more = rendered(config, pdp, pdp)["static_resources"]["clusters"].take();
    let clusters = document["static_resources"]["clusters"].as_array_mut().unwrap();
    for mut cluster in more.as_array_mut().unwrap().drain(..) {
        let speaks_grpc = cluster.get("typed_extension_protocol_options").is_some();
        if speaks_grpc {
            cluster["load_assignment"]["endpoints"][0]["lb_endpoints"][0]["endpoint"]["address"]
                ["socket_address"]["port_value"] = json!(grpc.port());
        }
        match clusters.iter_mut().find(|known| known["name"] == cluster["name"]) {
            Some(known) if speaks_grpc => *known = cluster,
            Some(_) => {}
            None => clusters.push(cluster),
        }
    }
}

fn with_listener(template: &Value, listener: &Listener) -> Value {
    let mut value = template.clone();
    value["name"] = json!(listener.name);
    let file = format!("{{directory}}/{}.log", listener.name.replace('/', "-"));
    let manager = connection_manager(&mut value);
    manager["access_log"][0]["typed_config"]["path"] = json!(file);
    manager["stat_prefix"] = json!(listener.name.replace(['/', '.'], "_"));
    if listener.paths == Paths::Plain {
        let mends =
            ["normalize_path", "merge_slashes", "strip_matching_host_port", "strip_trailing_host_dot"];
        for option in mends {
            manager[option] = json!(false);
        }
        manager["path_with_escaped_slashes_action"] = json!("KEEP_UNCHANGED");
    }
    let mut config = listener.config.clone();
    // Listeners with different configurations must not share an engine.
    config["instance"] = json!(listener.name.replace('/', "-"));
    plugin(manager)["configuration"]["value"] = json!(config.to_string());
    value
}
