//! The echo upstream: answers every request with what arrived, and remembers it. A demo proves with
//! it that nothing which was refused got through.

use std::convert::Infallible;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use axum::extract::{FromRequest as _, Request, State};
use axum::http::{HeaderMap, StatusCode};
use axum::response::sse::{Event, Sse};
use axum::response::{IntoResponse, Response};
use axum::routing::{any, get};
use axum::{Json, Router};
use futures_util::stream;
use serde_json::{json, Value};

use super::reply::Raw;
use super::ring::Ring;
use super::{lock, Shared};

/// Requests that are remembered.
const MAX_ARRIVALS: usize = 10_000;
/// From one event of a stream to the next.
const EVENT_INTERVAL: Duration = Duration::from_millis(200);

/// What arrived.
pub(super) struct Arrivals {
    requests: Mutex<Ring>,
    /// Bytes that the upstream's own listener received, of requests or not.
    received: Arc<AtomicU64>,
    /// Headers whose values are not kept or shown: they hold credentials.
    secret: Vec<String>,
}

impl Arrivals {
    pub(super) fn new(config: &Value) -> Self {
        let configured = config.get("credentials").and_then(Value::as_array).into_iter().flatten();
        let secret = configured
            .filter_map(|credential| credential.get("header")?.as_str())
            .chain(["authorization", "proxy-authorization", "cookie"])
            .map(str::to_ascii_lowercase)
            .collect();
        Self { requests: Mutex::new(Ring::new(MAX_ARRIVALS)), received: Arc::default(), secret }
    }

    /// The counter for the upstream's own listener.
    pub(super) fn received(&self) -> Arc<AtomicU64> {
        self.received.clone()
    }

    fn headers(&self, headers: &HeaderMap) -> Vec<(String, String)> {
        let shown = |name: &str, value: &[u8]| {
            if self.secret.iter().any(|secret| secret == name) {
                "[redacted]".to_owned()
            } else {
                String::from_utf8_lossy(value).into_owned()
            }
        };
        headers
            .iter()
            .map(|(name, value)| (name.to_string(), shown(name.as_str(), value.as_bytes())))
            .collect()
    }
}

/// The upstream on a listener of its own.
pub(super) fn server(server: Shared) -> Router {
    Router::new().fallback(echo).with_state(server)
}

pub(super) fn routes() -> Router<Shared> {
    Router::new().route("/upstream/{*rest}", any(echo)).route("/upstream-requests", get(list).delete(forget))
}

async fn echo(State(server): State<Shared>, request: Request) -> Response {
    let path = request.uri().path_and_query().map_or("", |path| path.as_str());
    let headers = server.arrivals.headers(request.headers());
    let mut arrival = json!({"method": request.method().as_str(), "path": path, "headers": headers});
    // Before the body is looked at: whatever is wrong with it, the request did arrive.
    lock(&server.arrivals.requests).push(arrival.clone());
    if request.uri().path().ends_with("/events") {
        return events(server).into_response();
    }
    match Raw::from_request(request, &server).await {
        Ok(Raw(body)) => {
            if let Value::Object(members) = &mut arrival {
                members.insert("body_bytes".into(), body.len().into());
            }
            Json(arrival).into_response()
        }
        Err(refused) => refused.into_response(),
    }
}

/// One event per interval until the client leaves or the server stops.
fn events(server: Shared) -> impl IntoResponse {
    let events = stream::unfold((0_u64, server.stop.clone()), async |(count, mut stop)| {
        if count > 0 {
            tokio::select! {
                () = tokio::time::sleep(EVENT_INTERVAL) => {}
                _ = stop.wait_for(|stop| *stop) => return None,
            }
        }
        let event = Event::default().id(count.to_string()).data(count.to_string());
        Some((Ok::<_, Infallible>(event), (count.saturating_add(1), stop)))
    });
    Sse::new(events)
}

async fn list(State(server): State<Shared>) -> Json<Value> {
    let mut arrived = lock(&server.arrivals.requests).to_json("requests");
    if let Value::Object(members) = &mut arrived {
        members.insert("bytes_received".into(), server.arrivals.received.load(Ordering::Relaxed).into());
    }
    Json(arrived)
}

async fn forget(State(server): State<Shared>) -> StatusCode {
    lock(&server.arrivals.requests).clear();
    server.arrivals.received.store(0, Ordering::Relaxed);
    StatusCode::NO_CONTENT
}
