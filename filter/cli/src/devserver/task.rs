//! Tasks: what short-lived tokens are bound to. An ended task gets no more tokens, neither new nor
//! refreshed ones, those that it has are revoked, and its id never comes back.

use std::collections::{BTreeMap, VecDeque};

use axum::extract::{Path, State};
use axum::http::StatusCode;
use axum::routing::{get, post};
use axum::{Json, Router};
use everycall_core::UnixTime;
use serde::{Deserialize, Serialize};
use serde_json::{json, Value};

use super::issuer::TokenRequest;
use super::reply::{object, Raw, Refused, Strict};
use super::{lock, Server, Shared};
use crate::clock;

/// The most tasks that are remembered, ended ones too.
const MAX_TASKS: usize = 10_000;
/// Refresh tokens of one task; beyond it the oldest stops working.
const MAX_REFRESH: usize = 100;

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
enum TaskState {
    Open,
    Ended,
}

/// A task, and what it holds.
struct Task {
    owner: String,
    started_at: UnixTime,
    ended: Option<Ended>,
    /// Tokens that were bound to it.
    tokens: u64,
    refresh: VecDeque<Refresh>,
}

/// How a task ended.
#[derive(Clone)]
struct Ended {
    at: UnixTime,
    reason: Option<String>,
    ticket: Option<String>,
    /// The state of the feed that says so.
    revoked_by: Option<u64>,
}

/// What makes new tokens like an old one.
struct Refresh {
    secret: String,
    issuer: String,
    request: TokenRequest,
}

impl Task {
    const fn state(&self) -> TaskState {
        match self.ended {
            None => TaskState::Open,
            Some(_) => TaskState::Ended,
        }
    }

    fn to_json(&self, id: &str) -> Value {
        let mut document = json!({
            "id": id, "owner": self.owner, "state": self.state(), "tokens": self.tokens,
            "started_at": whole(self.started_at).to_string(),
        });
        if let (Some(ended), Some(members)) = (&self.ended, document.as_object_mut()) {
            let Ended { at, reason, ticket, revoked_by } = ended;
            members.insert("ended_at".into(), whole(*at).to_string().into());
            for (name, text) in [("reason", reason), ("ticket", ticket)] {
                if let Some(text) = text {
                    members.insert(name.into(), text.as_str().into());
                }
            }
            revoked_by.map(|sequence| members.insert("revoked_by".into(), sequence.into()));
        }
        document
    }
}

/// For people.
fn whole(time: UnixTime) -> UnixTime {
    UnixTime::from_secs(time.secs())
}

/// All tasks by id.
#[derive(Default)]
pub(super) struct Tasks {
    all: BTreeMap<String, Task>,
    counted: u64,
}

impl Tasks {
    /// A token is bound to the task now. With `refresh`, an issuer and what it was asked for, answers
    /// a token that gets more of the kind.
    ///
    /// # Errors
    /// The task is not open.
    pub(super) fn bind(
        &mut self,
        id: &str,
        refresh: Option<(&str, TokenRequest)>,
    ) -> Result<Option<String>, Refused> {
        let task = self.all.get_mut(id).filter(|task| task.state() == TaskState::Open);
        let task = task.ok_or_else(|| not_open(id))?;
        task.tokens = task.tokens.saturating_add(1);
        let Some((issuer, request)) = refresh else { return Ok(None) };
        let secret = super::secret()?;
        let token = format!("{id}{SEPARATOR}{secret}");
        task.refresh.push_back(Refresh { secret, issuer: issuer.to_owned(), request });
        while task.refresh.len() > MAX_REFRESH {
            task.refresh.pop_front();
        }
        Ok(Some(token))
    }

    /// What the issuer was asked for when it gave this refresh token.
    ///
    /// # Errors
    /// It gave no such token, or the task is not open any more.
    pub(super) fn refresh(&self, issuer: &str, token: &str) -> Result<TokenRequest, Refused> {
        let unknown = || invalid_grant(format!("the refresh token is not one of the issuer `{issuer}`"));
        let (id, secret) = token.split_once(SEPARATOR).ok_or_else(unknown)?;
        let task = self.all.get(id).ok_or_else(unknown)?;
        if task.state() == TaskState::Ended {
            return Err(not_open(id));
        }
        let mut all = task.refresh.iter();
        let found = all.find(|refresh| refresh.secret == secret && refresh.issuer == issuer);
        found.map(|refresh| refresh.request.clone()).ok_or_else(unknown)
    }

    fn open(&mut self, id: Option<String>, owner: String, now: UnixTime) -> Result<Value, Refused> {
        if self.all.len() >= MAX_TASKS {
            let message = format!("{MAX_TASKS} tasks are remembered; restart the devserver");
            return Err(Refused::new(StatusCode::SERVICE_UNAVAILABLE, "too_many_tasks", message));
        }
        if !is_text(&owner) {
            return Err(Refused::bad_request("`owner` is not a text of 1 to 256 characters"));
        }
        let id = match id {
            Some(id) if !is_id(&id) => {
                return Err(Refused::bad_request(
                    "`id` is not 1 to 128 letters, digits, `-`, `_`, `.` or `:`",
                ));
            }
            Some(id) => id,
            None => self.count(),
        };
        if self.all.contains_key(&id) {
            let message = format!("the task `{id}` exists; an id is used once");
            return Err(Refused::new(StatusCode::CONFLICT, "task_exists", message));
        }
        let task = Task { owner, started_at: now, ended: None, tokens: 0, refresh: VecDeque::new() };
        let document = task.to_json(&id);
        self.all.insert(id, task);
        Ok(document)
    }

    /// The next free counted id.
    fn count(&mut self) -> String {
        loop {
            self.counted = self.counted.saturating_add(1);
            let id = format!("t-{}", self.counted);
            if !self.all.contains_key(&id) {
                return id;
            }
        }
    }

    fn find(&self, id: &str) -> Result<&Task, Refused> {
        self.all.get(id).ok_or_else(|| no_task(id))
    }

    fn to_json(&self) -> Value {
        let tasks: Vec<Value> = self.all.iter().map(|(id, task)| task.to_json(id)).collect();
        json!({"tasks": tasks})
    }
}

/// Between the task and the secret in a refresh token; no id of a task holds it.
const SEPARATOR: char = '~';

fn no_task(id: &str) -> Refused {
    Refused::not_found(format!("no task `{id}`"))
}

fn not_open(id: &str) -> Refused {
    invalid_grant(format!("the task `{id}` is not open; `POST /tasks` opens one"))
}

fn invalid_grant(message: String) -> Refused {
    Refused::new(StatusCode::BAD_REQUEST, "invalid_grant", message)
}

fn is_text(text: &str) -> bool {
    (1..=256).contains(&text.chars().count()) && !text.chars().any(char::is_control)
}

fn is_id(text: &str) -> bool {
    (1..=128).contains(&text.len())
        && text.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'_' | b'.' | b':'))
}

pub(super) fn routes() -> Router<Shared> {
    Router::new()
        .route("/tasks", get(list).post(open))
        .route("/tasks/{id}", get(show).delete(remove))
        .route("/tasks/{id}/end", post(end))
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct NewTask {
    id: Option<String>,
    owner: String,
}

async fn open(
    State(server): State<Shared>,
    Strict(NewTask { id, owner }): Strict<NewTask>,
) -> Result<(StatusCode, Json<Value>), Refused> {
    let task = lock(&server.tasks).open(id, owner, clock::now())?;
    Ok((StatusCode::CREATED, Json(task)))
}

async fn list(State(server): State<Shared>) -> Json<Value> {
    Json(lock(&server.tasks).to_json())
}

async fn show(State(server): State<Shared>, Path(id): Path<String>) -> Result<Json<Value>, Refused> {
    Ok(Json(lock(&server.tasks).find(&id)?.to_json(&id)))
}

/// Why a task ends.
#[derive(Default, Deserialize)]
#[serde(deny_unknown_fields)]
struct End {
    reason: Option<String>,
    ticket: Option<String>,
}

async fn end(
    State(server): State<Shared>,
    Path(id): Path<String>,
    Raw(body): Raw,
) -> Result<Json<Value>, Refused> {
    let why = match body.trim_ascii() {
        [] => End::default(),
        body => serde_json::from_value(Value::Object(object(body)?))
            .map_err(|error| Refused::bad_request(error.to_string()))?,
    };
    for (name, text) in [("reason", &why.reason), ("ticket", &why.ticket)] {
        if text.as_ref().is_some_and(|text| !is_text(text)) {
            return Err(Refused::bad_request(format!("`{name}` is not a text of 1 to 256 characters")));
        }
    }
    server.end_task(&id, why).map(Json)
}

async fn remove(State(server): State<Shared>, Path(id): Path<String>) -> Result<StatusCode, Refused> {
    server.end_task(&id, End::default())?;
    Ok(StatusCode::NO_CONTENT)
}

impl Server {
    /// Ends a task and revokes what it holds. Once more is no error and changes nothing.
    fn end_task(&self, id: &str, End { reason, ticket }: End) -> Result<Value, Refused> {
        let now = clock::now();
        let mut tasks = lock(&self.tasks);
        let task = tasks.all.get_mut(id).ok_or_else(|| no_task(id))?;
        if task.ended.is_none() {
            let revoked_by = self.revocations.end_task(id, reason.as_deref(), ticket.as_deref(), now)?;
            task.ended = Some(Ended { at: now, reason, ticket, revoked_by });
            task.refresh.clear();
        }
        Ok(task.to_json(id))
    }
}
