//! Tasks over HTTP.

use super::*;

#[tokio::test]
async fn tasks_are_opened_listed_and_ended() {
    let server = Running::start(options()).await;
    let opened = |id: &str| (StatusCode::CREATED, json!({"id": id}));
    assert_eq!(server.post("/tasks", json!({"id": "t-1", "owner": "alice"})).await, opened("t-1"));
    assert_eq!(server.post("/tasks", json!({"owner": "bob"})).await, opened("t-2"));
    assert_eq!(server.delete("/tasks/t-1").await, StatusCode::NO_CONTENT);
    assert_eq!(server.delete("/tasks/t-1").await, StatusCode::NO_CONTENT);
    let (_, list) = server.get("/tasks").await;
    let first = json!({"id": "t-1", "owner": "alice", "state": "ended"});
    let second = json!({"id": "t-2", "owner": "bob", "state": "open"});
    assert_eq!(list, json!({"tasks": [first, second]}));
}

#[tokio::test]
async fn bad_tasks_are_refused() {
    let server = Running::start(options()).await;
    server.post("/tasks", json!({"id": "t-1", "owner": "alice"})).await;
    server.delete("/tasks/t-1").await;
    for (body, status, words) in [
        ("", 400, "not a strict JSON object"),
        ("[]", 400, "not a strict JSON object"),
        (r#"{"owner":"a","owner":"b"}"#, 400, "duplicate member"),
        ("{}", 400, "missing field `owner`"),
        (r#"{"owner":""}"#, 400, "`owner`"),
        (r#"{"owner":"a","x":1}"#, 400, "unknown field `x`"),
        (r#"{"owner":"a","id":"a/b"}"#, 400, "`id`"),
        (r#"{"owner":"a","id":""}"#, 400, "`id`"),
        (r#"{"owner":"a","id":"t-1"}"#, 409, "an id is used once"),
    ] {
        server.refused(Method::POST, "/tasks", body, status, words).await;
    }
    server.refused(Method::POST, "/tasks", " ".repeat(64 * 1024 + 1), 413, "length limit").await;
    server.refused(Method::DELETE, "/tasks/t-9", "", 404, "no task `t-9`").await;
}
