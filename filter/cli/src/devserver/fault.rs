//! Faults on demand: how the PDP and the feeds misbehave until they are told otherwise.

use std::time::Duration;

use axum::extract::{DefaultBodyLimit, Path, State};
use axum::http::{header, StatusCode};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use axum::{Json, Router};
use everycall_core::facts::FeedKind;
use serde::{Deserialize, Serialize};
use tokio::sync::watch;

use super::listener::Hangup;
use super::reply::{Refused, Strict};
use super::{lock, Server, Shared, LARGE_BODY_BYTES};

/// Longest delay.
const MAX_DELAY_MS: u64 = 60_000;
/// The most facts that are made up.
const MAX_ENTRIES: usize = 2_000_000;

/// How an endpoint answers. Variants without members have braces because serde would let unknown
/// members pass otherwise.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(tag = "mode", rename_all = "snake_case", deny_unknown_fields)]
pub(super) enum Fault {
    /// As it should.
    Ok {},
    /// As it should, later.
    Slow { delay_ms: u64 },
    /// With this status.
    Status {
        status: u16,
        #[serde(default)]
        body: String,
    },
    /// With status 200 and this text.
    Body { body: String },
    /// Not at all: the connection is closed.
    Drop {},
    /// Feeds: with the first half of the document.
    Truncated {},
    /// Feeds: with a full list that has the sequence 1, well signed.
    Older {},
    /// Feeds: signed by a key that nobody trusts, under the name of the right one.
    OtherKey {},
    /// Feeds: with so many facts more, which nobody needs.
    Many { entries: usize },
}

impl Default for Fault {
    fn default() -> Self {
        Self::Ok {}
    }
}

/// Who misbehaves.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Place {
    Pdp,
    Feed(FeedKind),
}

impl Place {
    fn named(name: &str) -> Result<Self, Refused> {
        match name {
            "pdp" => Ok(Self::Pdp),
            "revocations" => Ok(Self::Feed(FeedKind::Revocations)),
            "signals" => Ok(Self::Feed(FeedKind::Signals)),
            _ => Err(Refused::not_found(format!("there are no faults of `{name}`"))),
        }
    }
}

impl Fault {
    fn check(&self, place: Place) -> Result<(), Refused> {
        let of_feeds =
            matches!(self, Self::Truncated {} | Self::Older {} | Self::OtherKey {} | Self::Many { .. });
        match self {
            _ if of_feeds && place == Place::Pdp => {
                Err(Refused::bad_request("this is a fault of feeds; the PDP has none of the kind"))
            }
            Self::Slow { delay_ms } if *delay_ms > MAX_DELAY_MS => Err(Refused::bad_request(format!(
                "`delay_ms` is {delay_ms}; expected at most {MAX_DELAY_MS}"
            ))),
            Self::Status { status, .. } if !(200..=599).contains(status) => {
                Err(Refused::bad_request(format!("`status` is {status}; expected 200 to 599")))
            }
            Self::Many { entries } if *entries > MAX_ENTRIES => {
                Err(Refused::bad_request(format!("`entries` is {entries}; expected at most {MAX_ENTRIES}")))
            }
            _ => Ok(()),
        }
    }

    /// The answer, where it has nothing to do with what was asked.
    pub(super) fn answer(&self, hangup: &Hangup) -> Option<Response> {
        match self {
            Self::Status { status, body } => {
                let status = StatusCode::from_u16(*status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
                Some((status, text(body)).into_response())
            }
            Self::Body { body } => Some(text(body).into_response()),
            Self::Drop {} => {
                hangup.hang_up();
                Some(StatusCode::OK.into_response())
            }
            _ => None,
        }
    }

    /// Waits where the answer is a late one, but not when the server stops.
    pub(super) async fn wait(&self, mut stop: watch::Receiver<bool>) {
        if let Self::Slow { delay_ms } = self {
            tokio::select! {
                () = tokio::time::sleep(Duration::from_millis(*delay_ms)) => {}
                _ = stop.wait_for(|stop| *stop) => {}
            }
        }
    }
}

/// A body that claims to be JSON.
fn text(body: &str) -> impl IntoResponse {
    ([(header::CONTENT_TYPE, "application/json")], body.to_owned())
}

pub(super) fn routes() -> Router<Shared> {
    let limit = DefaultBodyLimit::max(LARGE_BODY_BYTES);
    Router::new().route("/faults/{place}", get(current).put(set).layer(limit))
}

impl Server {
    const fn fault(&self, place: Place) -> &std::sync::Mutex<Fault> {
        match place {
            Place::Pdp => &self.pdp.fault,
            Place::Feed(kind) => &self.feed(kind).fault,
        }
    }
}

async fn current(State(server): State<Shared>, Path(name): Path<String>) -> Result<Json<Fault>, Refused> {
    let place = Place::named(&name)?;
    let fault = lock(server.fault(place)).clone();
    Ok(Json(fault))
}

async fn set(
    State(server): State<Shared>,
    Path(name): Path<String>,
    Strict(fault): Strict<Fault>,
) -> Result<Json<Fault>, Refused> {
    let place = Place::named(&name)?;
    fault.check(place)?;
    if let Place::Feed(kind) = place {
        let entries = if let Fault::Many { entries } = fault { entries } else { 0 };
        server.feed(kind).fill(entries).await?;
    }
    *lock(server.fault(place)) = fault.clone();
    Ok(Json(fault))
}
