//! A real Envoy on free loopback ports, stopped by its process id when it is dropped.

use std::fs;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::{Duration, Instant};

use anyhow::{bail, Context};
use everycall::commands::render::{bootstrap, Bootstrap};
use serde_json::{json, Value};

/// How long Envoy may take to be ready; it compiles the module once per worker.
const START: Duration = Duration::from_secs(60);

/// A running Envoy.
pub struct Envoy {
    child: Child,
    directory: tempfile::TempDir,
    admin: SocketAddr,
    start: Start,
    /// The processes of a hot restart before it.
    epoch: u32,
}

/// How Envoy is started.
#[derive(Debug, Clone)]
pub struct Start {
    /// Threads that serve.
    pub workers: u32,
    /// How long, in seconds, what was replaced may go on with what it has.
    pub drain_s: u32,
    /// A library that is loaded before all others.
    pub preload: Option<PathBuf>,
    /// How long, in milliseconds, lines wait until they are in the access log.
    pub flush_ms: u32,
}

impl Start {
    /// With so many workers, short drains, and an access log that is soon up to date.
    pub const fn with(workers: u32) -> Self {
        Self { workers, drain_s: 2, preload: None, flush_ms: 5 }
    }
}

/// The Envoy binary that `make envoy` got.
///
/// # Errors
/// It is missing: a test that needs Envoy fails then, and is not skipped.
pub fn binary() -> anyhow::Result<PathBuf> {
    required("EVERYCALL_ENVOY", ".tools/envoy", "make envoy")
}

/// The module that `make wasm` built.
///
/// # Errors
/// It is missing.
pub fn module() -> anyhow::Result<PathBuf> {
    required("EVERYCALL_WASM", "target/everycall.wasm", "make wasm")
}

fn required(variable: &str, default: &str, target: &str) -> anyhow::Result<PathBuf> {
    let path = match std::env::var_os(variable) {
        Some(path) => PathBuf::from(path),
        None => root().join(default),
    };
    path.canonicalize().with_context(|| format!("`{}` is missing: run `{target}`", path.display()))
}

/// A rendered bootstrap around this module and configuration, as a document: its ports are free ones,
/// the upstream gets a connection for each request, and every other cluster leads to `others`.
///
/// # Errors
/// The configuration can't be rendered.
pub fn rendered(
    module: &str,
    config: &Value,
    upstream: SocketAddr,
    others: SocketAddr,
) -> anyhow::Result<Value> {
    let address = |text: &str| text.parse().map_err(|error: String| anyhow::anyhow!(error));
    let others = vec![others.to_string().parse().map_err(|error: String| anyhow::anyhow!(error))?];
    let options = Bootstrap {
        module: module.to_owned(),
        listen: address("127.0.0.1:0")?,
        admin: address("127.0.0.1:0")?,
        upstream: address(&upstream.to_string())?,
        pdp: others.clone(),
        keys: others.clone(),
        bundles: others.first().map(|others| others.address.clone()),
        revocations: others.first().map(|others| others.address.clone()),
        signals: others.first().map(|others| others.address.clone()),
        keys_ca: String::new(),
        access_log: "{directory}/access.log".into(),
    };
    let mut document: Value = serde_yaml_ng::from_str(&bootstrap(&options, config)?)?;
    // None is closed behind Envoy's back.
    for cluster in document["static_resources"]["clusters"].as_array_mut().into_iter().flatten() {
        cluster["max_requests_per_connection"] = json!(1);
    }
    Ok(document)
}

/// The connection manager's options of a listener.
///
/// # Panics
/// There is none.
pub fn connection_manager(listener: &mut Value) -> &mut Value {
    &mut listener["filter_chains"][0]["filters"][0]["typed_config"]
}

/// The filter in a connection manager: one that prepares for it may stand in front.
///
/// # Panics
/// There is none.
pub fn wasm_filter(manager: &mut Value) -> &mut Value {
    let filters = manager["http_filters"].as_array_mut().unwrap();
    filters.iter_mut().find(|filter| filter["name"] == "envoy.filters.http.wasm").unwrap()
}

/// Takes out of a connection manager what is in front of the router.
///
/// # Panics
/// There is none.
pub fn without_filters(manager: &mut Value) {
    let filters = manager["http_filters"].as_array_mut().unwrap();
    filters.retain(|filter| filter["name"] == "envoy.filters.http.router");
}

/// The filter's plugin configuration in a connection manager.
///
/// # Panics
/// There is none.
pub fn plugin(manager: &mut Value) -> &mut Value {
    &mut wasm_filter(manager)["typed_config"]["config"]
}

/// Lets a listener take WebSockets.
///
/// # Panics
/// There is none.
pub fn with_upgrades(document: &mut Value) {
    for listener in document["static_resources"]["listeners"].as_array_mut().unwrap() {
        connection_manager(listener)["upgrade_configs"] = json!([{"upgrade_type": "websocket"}]);
    }
}

/// Makes a cluster lead to these addresses.
///
/// # Panics
/// There is none.
pub fn lead(document: &mut Value, cluster: &str, to: &[SocketAddr]) {
    let clusters = document["static_resources"]["clusters"].as_array_mut().unwrap();
    let cluster = clusters.iter_mut().find(|known| known["name"] == cluster).unwrap();
    let endpoints = to.iter().map(|address| {
        let address = json!({"address": address.ip().to_string(), "port_value": address.port()});
        json!({"endpoint": {"address": {"socket_address": address}}})
    });
    cluster["load_assignment"]["endpoints"][0]["lb_endpoints"] = endpoints.collect();
}

/// The project's root.
pub fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..")
}

impl Envoy {
    /// Starts Envoy with this bootstrap and waits until it is ready. The admin address and the
    /// listeners should have port 0. `{directory}` in the text becomes a directory of its own.
    ///
    /// # Errors
    /// It ended or was not ready in time; the error holds the end of its log.
    pub fn start(bootstrap: &str, workers: u32) -> anyhow::Result<Self> {
        Self::start_as(bootstrap, &Start::with(workers))
    }

    /// As [`Self::start`], started like this.
    ///
    /// # Errors
    /// As there.
    pub fn start_as(bootstrap: &str, start: &Start) -> anyhow::Result<Self> {
        let directory = tempfile::tempdir()?;
        let bootstrap = bootstrap.replace("{directory}", &directory.path().to_string_lossy());
        fs::write(directory.path().join("envoy.yaml"), bootstrap)?;
        let mut command = Command::new(binary()?);
        command.arg("--base-id-path").arg(directory.path().join("base-id")).arg("--use-dynamic-base-id");
        command.arg("-c").arg(directory.path().join("envoy.yaml"));
        Self::run(command, directory, start, 0)
    }

    /// Starts the next process of a hot restart: it takes over the listeners, and this one keeps the
    /// connections that it has.
    ///
    /// # Errors
    /// It ended or was not ready in time; the error holds the end of its log.
    pub fn restarted(&self) -> anyhow::Result<Self> {
        let base_id = fs::read_to_string(self.directory.path().join("base-id"))?;
        let epoch = self.epoch + 1;
        let mut command = Command::new(binary()?);
        command.args(["--base-id", base_id.trim(), "--restart-epoch", &epoch.to_string()]);
        command.arg("-c").arg(self.directory.path().join("envoy.yaml"));
        Self::run(command, tempfile::tempdir()?, &self.start, epoch)
    }

    fn run(
        mut command: Command,
        directory: tempfile::TempDir,
        start: &Start,
        epoch: u32,
    ) -> anyhow::Result<Self> {
        let log = fs::File::create(directory.path().join("envoy.log"))?;
        if let Some(library) = &start.preload {
            command.env("LD_PRELOAD", library);
        }
        let child = command
            .args(["--drain-time-s", &start.drain_s.to_string(), "--concurrency", &start.workers.to_string()])
            .args(["--file-flush-interval-msec", &start.flush_ms.to_string()])
            .args(["--log-level", "info", "--admin-address-path"])
            .arg(directory.path().join("admin"))
            .stdin(Stdio::null())
            .stdout(log.try_clone()?)
            .stderr(log)
            .spawn()?;
        let admin = ([127, 0, 0, 1], 0).into();
        let mut envoy = Self { child, directory, admin, start: start.clone(), epoch };
        let deadline = Instant::now() + START;
        loop {
            if let Some(status) = envoy.child.try_wait()? {
                bail!("envoy ended with {status}:\n{}", envoy.log_tail());
            }
            let address = fs::read_to_string(envoy.directory.path().join("admin")).unwrap_or_default();
            if let Ok(address) = address.trim().parse() {
                envoy.admin = address;
                if envoy.admin("/ready").is_ok_and(|text| text.trim() == "LIVE") {
                    return Ok(envoy);
                }
            }
            if Instant::now() > deadline {
                bail!("envoy is not ready after {} s:\n{}", START.as_secs(), envoy.log_tail());
            }
            std::thread::sleep(Duration::from_millis(5));
        }
    }

    /// Starts Envoy expecting that it refuses to run; answers how it ended, and its log.
    ///
    /// # Errors
    /// It runs.
    pub fn refuses(bootstrap: &str) -> anyhow::Result<(ExitStatus, String)> {
        match Self::start(bootstrap, 1) {
            Ok(_) => bail!("envoy runs"),
            Err(error) => {
                let text = format!("{error:#}");
                let code = text.split("exit status: ").nth(1).and_then(|rest| rest.split(':').next());
                let code: i32 = code.and_then(|code| code.trim().parse().ok()).context(text.clone())?;
                Ok((std::os::unix::process::ExitStatusExt::from_raw(code << 8), text))
            }
        }
    }

    /// The directory that is its own.
    pub fn directory(&self) -> &Path {
        self.directory.path()
    }

    /// The text at a path of the admin interface.
    ///
    /// # Errors
    /// It does not answer.
    pub fn admin(&self, path: &str) -> anyhow::Result<String> {
        self.ask_admin("GET", path)
    }

    /// Makes the admin interface do something.
    ///
    /// # Errors
    /// It does not answer.
    pub fn tell_admin(&self, path: &str) -> anyhow::Result<String> {
        self.ask_admin("POST", path)
    }

    fn ask_admin(&self, method: &str, path: &str) -> anyhow::Result<String> {
        let request = crate::client::RawRequest {
            method: method.into(),
            path: path.into(),
            headers: vec![("host".into(), b"admin".to_vec())],
            body: Vec::new(),
        };
        let response =
            crate::client::send(self.admin, [127, 0, 0, 1].into(), &request, Duration::from_secs(5))?;
        Ok(String::from_utf8_lossy(&response.body).into_owned())
    }

    /// Where the listener of this name listens.
    ///
    /// # Errors
    /// There is none.
    pub fn listener(&self, name: &str) -> anyhow::Result<SocketAddr> {
        let listeners: Value = serde_json::from_str(&self.admin("/listeners?format=json")?)?;
        let found =
            listeners["listener_statuses"].as_array().into_iter().flatten().find(|l| l["name"] == name);
        let socket =
            &found.with_context(|| format!("no listener `{name}`"))?["local_address"]["socket_address"];
        let port = socket["port_value"].as_u64().context("no port")?;
        Ok(([127, 0, 0, 1], u16::try_from(port)?).into())
    }

    /// The value of a statistic; 0 if it was never counted.
    ///
    /// # Errors
    /// The admin interface does not answer.
    pub fn stat(&self, name: &str) -> anyhow::Result<u64> {
        let stats = self.admin("/stats")?;
        let line = stats.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(": "));
        Ok(line.and_then(|value| value.trim().parse().ok()).unwrap_or(0))
    }

    /// Its log so far.
    pub fn log(&self) -> String {
        let bytes = fs::read(self.directory.path().join("envoy.log")).unwrap_or_default();
        String::from_utf8_lossy(&bytes).into_owned()
    }

    fn log_tail(&self) -> String {
        let log = self.log();
        let lines: Vec<&str> = log.lines().collect();
        lines[lines.len().saturating_sub(40)..].join("\n")
    }

    /// The lines of a file in its directory that are whole, once there are at least `count` of them
    /// or after ten seconds.
    pub fn lines(&self, file: &str, count: usize) -> Vec<String> {
        let deadline = Instant::now() + Duration::from_secs(10);
        loop {
            let text = fs::read_to_string(self.directory.path().join(file)).unwrap_or_default();
            let whole = text.rsplit_once('\n').map_or("", |(whole, _)| whole);
            let lines: Vec<String> = whole.lines().map(str::to_owned).collect();
            if lines.len() >= count || Instant::now() > deadline {
                return lines;
            }
            std::thread::sleep(Duration::from_millis(3));
        }
    }

    /// Its process id.
    pub fn id(&self) -> u32 {
        self.child.id()
    }
}

impl Drop for Envoy {
    fn drop(&mut self) {
        // Gone already is as good.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
