//! Tasks: what short-lived tokens are bound to. An ended task gets no more tokens, and its id never
//! comes back.

use std::collections::BTreeMap;

use axum::extract::{Path, State};
use axum::http::StatusCode;
use axum::routing::{delete, get};
use axum::{Json, Router};
use serde::{Deserialize, Serialize};
use serde_json::{json, Value};

use super::reply::{Refused, Strict};
use super::{lock, Shared};

/// The most tasks that are remembered, ended ones too.
const MAX_TASKS: usize = 10_000;

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
enum TaskState {
    Open,
    Ended,
}

#[derive(Debug)]
struct Task {
    owner: String,
    state: TaskState,
}

/// All tasks by id.
#[derive(Debug, Default)]
pub(super) struct Tasks {
    all: BTreeMap<String, Task>,
    counted: u64,
}

impl Tasks {
    /// Whether tokens may be bound to the task.
    pub(super) fn is_open(&self, id: &str) -> bool {
        self.all.get(id).is_some_and(|task| task.state == TaskState::Open)
    }

    fn open(&mut self, id: Option<String>, owner: String) -> Result<String, Refused> {
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
        self.all.insert(id.clone(), Task { owner, state: TaskState::Open });
        Ok(id)
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

    fn end(&mut self, id: &str) -> Result<(), Refused> {
        let task = self.all.get_mut(id).ok_or_else(|| Refused::not_found(format!("no task `{id}`")))?;
        task.state = TaskState::Ended;
        Ok(())
    }

    fn to_json(&self) -> Value {
        let tasks: Vec<Value> = self
            .all
            .iter()
            .map(|(id, task)| json!({"id": id, "owner": task.owner, "state": task.state}))
            .collect();
        json!({"tasks": tasks})
    }
}

fn is_text(text: &str) -> bool {
    (1..=256).contains(&text.chars().count()) && !text.chars().any(char::is_control)
}

fn is_id(text: &str) -> bool {
    (1..=128).contains(&text.len())
        && text.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'_' | b'.' | b':'))
}

pub(super) fn routes() -> Router<Shared> {
    Router::new().route("/tasks", get(list).post(open)).route("/tasks/{id}", delete(end))
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
    let id = lock(&server.tasks).open(id, owner)?;
    Ok((StatusCode::CREATED, Json(json!({"id": id}))))
}

async fn list(State(server): State<Shared>) -> Json<Value> {
    Json(lock(&server.tasks).to_json())
}

async fn end(State(server): State<Shared>, Path(id): Path<String>) -> Result<StatusCode, Refused> {
    lock(&server.tasks).end(&id)?;
    Ok(StatusCode::NO_CONTENT)
}
