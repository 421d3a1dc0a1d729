//! Faults on demand: how the PDP misbehaves until it is told otherwise.

use axum::extract::{DefaultBodyLimit, State};
use axum::routing::get;
use axum::{Json, Router};
use serde::{Deserialize, Serialize};

use super::reply::{Refused, Strict};
use super::{lock, Shared, LARGE_BODY_BYTES};

/// Longest delay.
const MAX_DELAY_MS: u64 = 60_000;

/// How the evaluation endpoint answers. Variants without members have braces because serde would
/// let unknown members pass otherwise.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(tag = "mode", rename_all = "snake_case", deny_unknown_fields)]
pub(super) enum Fault {
    /// As the policy says.
    Ok {},
    /// As the policy says, later.
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
}

impl Default for Fault {
    fn default() -> Self {
        Self::Ok {}
    }
}

impl Fault {
    fn check(&self) -> Result<(), Refused> {
        match self {
            Fault::Slow { delay_ms } if *delay_ms > MAX_DELAY_MS => Err(Refused::bad_request(format!(
                "`delay_ms` is {delay_ms}; expected at most {MAX_DELAY_MS}"
            ))),
            Fault::Status { status, .. } if !(200..=599).contains(status) => {
                Err(Refused::bad_request(format!("`status` is {status}; expected 200 to 599")))
            }
            _ => Ok(()),
        }
    }
}

pub(super) fn routes() -> Router<Shared> {
    let limit = DefaultBodyLimit::max(LARGE_BODY_BYTES);
    Router::new().route("/faults/pdp", get(current).put(set).layer(limit))
}

async fn current(State(server): State<Shared>) -> Json<Fault> {
    Json(lock(&server.pdp.fault).clone())
}

async fn set(State(server): State<Shared>, Strict(fault): Strict<Fault>) -> Result<Json<Fault>, Refused> {
    fault.check()?;
    *lock(&server.pdp.fault) = fault.clone();
    Ok(Json(fault))
}
