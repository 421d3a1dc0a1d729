//! The sink of decision records: the last ones in memory, all of them in a file if one is named.

use std::fs::File;
use std::io::Write as _;
use std::path::Path;
use std::sync::Mutex;

use anyhow::Context as _;
use axum::extract::rejection::QueryRejection;
use axum::extract::{DefaultBodyLimit, Query, State};
use axum::http::StatusCode;
use axum::routing::get;
use axum::{Json, Router};
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::reply::{objects, Raw, Refused};
use super::ring::Ring;
use super::{lock, Shared, LARGE_BODY_BYTES};

/// Records that are remembered.
const MAX_RECORDS: usize = 10_000;
/// Records that are returned if the query does not say.
const DEFAULT_LIMIT: usize = 100;

/// Where records go.
pub(super) struct Sink {
    records: Mutex<Ring>,
    file: Option<Mutex<File>>,
}

impl Sink {
    pub(super) fn open(path: Option<&Path>) -> anyhow::Result<Self> {
        let open = |path: &Path| {
            let file = File::options().create(true).append(true).open(path);
            file.with_context(|| format!("log `{}` cannot be opened", path.display()))
        };
        let file = path.map(open).transpose()?.map(Mutex::new);
        Ok(Self { records: Mutex::new(Ring::new(MAX_RECORDS)), file })
    }

    /// All of the records, or none if the file cannot be written.
    fn append(&self, records: Vec<Value>) -> std::io::Result<()> {
        if let Some(file) = &self.file {
            let lines: String = records.iter().map(|record| format!("{record}\n")).collect();
            lock(file).write_all(lines.as_bytes())?;
        }
        let mut ring = lock(&self.records);
        records.into_iter().for_each(|record| ring.push(record));
        Ok(())
    }
}

pub(super) fn routes() -> Router<Shared> {
    let limit = DefaultBodyLimit::max(LARGE_BODY_BYTES);
    Router::new().route("/logs", get(list).post(append).delete(forget).layer(limit))
}

async fn append(State(server): State<Shared>, Raw(body): Raw) -> Result<Json<Value>, Refused> {
    let records = objects(&body)?;
    let accepted = records.len();
    server
        .log
        .append(records)
        .map_err(|error| Refused::server_error(format!("the log file cannot be written: {error}")))?;
    Ok(Json(serde_json::json!({"accepted": accepted})))
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Filter {
    decision: Option<Decision>,
    limit: Option<usize>,
}

#[derive(Clone, Copy, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
enum Decision {
    Allow,
    Deny,
    Ask,
}

/// The newest records that fit, oldest first.
async fn list(
    State(server): State<Shared>,
    filter: Result<Query<Filter>, QueryRejection>,
) -> Result<Json<Value>, Refused> {
    let Query(Filter { decision, limit }) =
        filter.map_err(|error| Refused::bad_request(error.body_text().to_lowercase()))?;
    let decision = decision.map(|decision| serde_json::json!(decision));
    let ring = lock(&server.log.records);
    let mut records: Vec<&Value> = ring
        .iter()
        .rev()
        .filter(|record| decision.is_none() || record.get("decision") == decision.as_ref())
        .take(limit.unwrap_or(DEFAULT_LIMIT))
        .collect();
    records.reverse();
    Ok(Json(serde_json::json!({"total": ring.total(), "records": records})))
}

async fn forget(State(server): State<Shared>) -> StatusCode {
    lock(&server.log.records).clear();
    StatusCode::NO_CONTENT
}
