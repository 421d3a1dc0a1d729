//! The reference server for demos and tests: issuer, tasks, revocations, signals, PDP, decision-log
//! sink and echo upstream. Not for production: whoever reaches it gets tokens. Policy comes from files, all state is in memory.

mod bundle;
mod fault;
mod feed;
mod index;
mod issuer;
mod listener;
mod log;
mod pdp;
mod rego;
mod reply;
mod ring;
mod signer;
mod task;
#[cfg(test)]
mod tests;
mod upstream;

use std::fmt;
use std::future::Future;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::atomic::AtomicU64;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use anyhow::Context as _;
use axum::extract::DefaultBodyLimit;
use axum::http::{HeaderName, HeaderValue};
use axum::response::Response;
use axum::routing::get;
use axum::Router;
use everycall_core::facts::FeedKind;
use serde_json::{json, Map, Value};
use tokio::net::TcpListener;
use tokio::sync::watch;

use listener::{Hangup, Listener};
pub use signer::{with_test_keys, TestKeys};

/// On every response.
const LABEL: (&str, &str) = ("x-everycall-devserver", "not-for-production");
/// Longest request body.
const BODY_BYTES: usize = 64 * 1024;
/// Longest request body where much may come at once: decision logs, and the answer of a fault.
const LARGE_BODY_BYTES: usize = 4 * 1024 * 1024;
/// How long open requests may go on once the server is told to stop.
const GRACE: Duration = Duration::from_secs(2);

/// What the server is started with.
pub struct Options {
    /// Where it listens; port 0 takes a free one.
    pub listen: SocketAddr,
    /// Where the echo upstream listens, if it is wanted.
    pub upstream: Option<SocketAddr>,
    /// The self-contained configuration: its issuers are the ones that tokens are made for.
    pub config: Value,
    /// Makes the tokens.
    pub signer: Arc<dyn Signer>,
    /// The directory with the PDP's Rego. Absent: the PDP says no to everything.
    pub policies: Option<PathBuf>,
    /// The bundle file that it gives out.
    pub bundle: Option<PathBuf>,
    /// A file that received decision records are appended to, one JSON line each.
    pub log: Option<PathBuf>,
}

/// Holds the private keys of issuers.
pub trait Signer: Send + Sync {
    /// A compact JWS over these claims, or `None` if there is no key that fits the header.
    /// `issuer` is the issuer as configured, such as `https://id.shop.example/agents`.
    fn sign(&self, issuer: &str, header: Map<String, Value>, claims: Map<String, Value>) -> Option<String>;

    /// The public JWK set of the issuer.
    fn jwks(&self, issuer: &str) -> Option<Value>;
}

/// Where a started server listens. Displays as the JSON line that says so.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Ready {
    /// The server.
    pub address: SocketAddr,
    /// The echo upstream.
    pub upstream: Option<SocketAddr>,
}

impl fmt::Display for Ready {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut line = json!({"ready": true, "address": self.address.to_string()});
        if let (Some(members), Some(upstream)) = (line.as_object_mut(), self.upstream) {
            members.insert("upstream".into(), upstream.to_string().into());
        }
        line.fmt(f)
    }
}

/// What the endpoints share.
struct Server {
    address: SocketAddr,
    issuers: issuer::Issuers,
    tasks: Mutex<task::Tasks>,
    revocations: feed::Feed,
    signals: feed::Feed,
    pdp: pdp::Pdp,
    bundle: Option<PathBuf>,
    log: log::Sink,
    arrivals: upstream::Arrivals,
    /// True once the server is told to stop.
    stop: watch::Receiver<bool>,
}

type Shared = Arc<Server>;

/// Serves until `shutdown` completes. `on_ready` is called once both addresses accept connections.
///
/// # Errors
/// An address can't be listened on, or the configuration, the policies or the log file can't be
/// used.
pub async fn serve(
    options: Options,
    shutdown: impl Future<Output = ()>,
    on_ready: impl FnOnce(Ready),
) -> anyhow::Result<()> {
    let Options { listen, upstream, config, signer, policies, bundle, log } = options;
    let issuers = issuer::Issuers::read(&config, signer)?;
    let revocations = feed::Feed::read(FeedKind::Revocations, &config)?;
    let signals = feed::Feed::read(FeedKind::Signals, &config)?;
    let pdp = pdp::Pdp::load(policies.as_deref())?;
    let log = log::Sink::open(log.as_deref())?;
    let arrivals = upstream::Arrivals::new(&config);
    let (listener, address) = bind(listen, Arc::default()).await?;
    let echo = match upstream {
        Some(upstream) => Some(bind(upstream, arrivals.received()).await?),
        None => None,
    };
    let ready = Ready { address, upstream: echo.as_ref().map(|(_, address)| *address) };
    let (stopping, stop) = watch::channel(false);
    let tasks = Mutex::default();
    let server = Arc::new(Server {
        address,
        issuers,
        tasks,
        revocations,
        signals,
        pdp,
        bundle,
        log,
        arrivals,
        stop: stop.clone(),
    });

    banner(ready);
    on_ready(ready);
    let main = run(listener, routes(server.clone()), stop.clone());
    let echo = async {
        match echo {
            Some((listener, _)) => run(listener, common(upstream::server(server)), stop).await,
            None => Ok(()),
        }
    };
    tokio::select! {
        served = async { tokio::try_join!(main, echo) } => served.map(|_| ()).context("the devserver failed"),
        () = async {
            shutdown.await;
            stopping.send_replace(true);
            tokio::time::sleep(GRACE).await;
        } => Ok(()),
    }
}

/// Completes on SIGTERM or SIGINT: the `shutdown` of a program.
///
/// # Errors
/// The handlers can't be installed.
pub fn signalled() -> anyhow::Result<impl Future<Output = ()>> {
    use tokio::signal::unix::{signal, SignalKind};
    let mut terminate = signal(SignalKind::terminate()).context("cannot listen for SIGTERM")?;
    let mut interrupt = signal(SignalKind::interrupt()).context("cannot listen for SIGINT")?;
    Ok(async move {
        tokio::select! {
            _ = terminate.recv() => {}
            _ = interrupt.recv() => {}
        }
    })
}

fn banner(ready: Ready) {
    eprintln!("everycall devserver: NOT FOR PRODUCTION; it gives tokens to whoever asks");
    for address in [Some(ready.address), ready.upstream].into_iter().flatten() {
        if !address.ip().is_loopback() {
            eprintln!("everycall devserver: {address} is not a loopback address; others may reach it");
        }
    }
}

async fn bind(address: SocketAddr, received: Arc<AtomicU64>) -> anyhow::Result<(Listener, SocketAddr)> {
    let context = || format!("cannot listen on `{address}`");
    let listener = TcpListener::bind(address).await.with_context(context)?;
    let bound = listener.local_addr().with_context(context)?;
    Ok((Listener::new(listener, received), bound))
}

async fn run(listener: Listener, app: Router, mut stop: watch::Receiver<bool>) -> std::io::Result<()> {
    let service = app.into_make_service_with_connect_info::<Hangup>();
    let stopped = async move {
        // An error means that the sender is gone: time to stop as well.
        let _ = stop.wait_for(|stop| *stop).await;
    };
    axum::serve(listener, service).with_graceful_shutdown(stopped).await
}

fn routes(server: Shared) -> Router {
    let app = Router::new()
        .route("/", get(index::page))
        .route("/healthz", get(async || "ok\n"))
        .merge(issuer::routes())
        .merge(task::routes())
        .merge(feed::routes())
        .merge(pdp::routes())
        .merge(fault::routes())
        .merge(bundle::routes())
        .merge(log::routes())
        .merge(upstream::routes())
        .fallback(reply::not_found)
        .method_not_allowed_fallback(reply::method_not_allowed)
        .with_state(server);
    common(app)
}

/// What holds for both listeners: bounded bodies, and the label.
fn common(app: Router) -> Router {
    app.layer(DefaultBodyLimit::max(BODY_BYTES)).layer(axum::middleware::map_response(
        async |mut response: Response| {
            let (name, value) = LABEL;
            response.headers_mut().insert(HeaderName::from_static(name), HeaderValue::from_static(value));
            response
        },
    ))
}

/// A text that nobody guesses.
fn secret() -> Result<String, reply::Refused> {
    let mut bytes = [0; 16];
    match getrandom::getrandom(&mut bytes) {
        Ok(()) => Ok(everycall_core::hex::encode(&bytes)),
        Err(error) => Err(reply::Refused::server_error(format!("the system gives no random bytes: {error}"))),
    }
}

/// A lock that a panic of another request does not take away.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
