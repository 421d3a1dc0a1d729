//! Tasks over HTTP.

use super::*;

/// A task without its times, which are instants of this century.
fn timeless(mut task: Value) -> Value {
    for name in ["started_at", "ended_at"] {
        if let Some(time) = task.as_object_mut().and_then(|members| members.remove(name)) {
            assert!(time.as_str().unwrap().starts_with("20"), "{time}");
        }
    }
    task
}

#[tokio::test]
async fn tasks_are_started_listed_and_ended() {
    let server = Running::start(options()).await;
    let open = |id: &str, owner: &str| json!({"id": id, "owner": owner, "state": "open", "tokens": 0});
    let (status, first) = server.post("/tasks", json!({"id": "t-1", "owner": "alice"})).await;
    assert_eq!((status, timeless(first)), (StatusCode::CREATED, open("t-1", "alice")));
    let (status, second) = server.post("/tasks", json!({"owner": "bob"})).await;
    assert_eq!((status, timeless(second.clone())), (StatusCode::CREATED, open("t-2", "bob")));
    assert_eq!(server.get("/tasks/t-2").await, (StatusCode::OK, second.clone()));
    assert_eq!(server.delete("/tasks/t-1").await, StatusCode::NO_CONTENT);
    assert_eq!(server.delete("/tasks/t-1").await, StatusCode::NO_CONTENT);
    let (_, list) = server.get("/tasks").await;
    assert_eq!(list["tasks"][0]["state"], "ended");
    assert_eq!((&list["tasks"][1], list["tasks"].as_array().unwrap().len()), (&second, 2));
}

#[tokio::test]
async fn a_task_ends_once_and_says_why() {
    let server = Running::start(options()).await;
    server.post("/tasks", json!({"id": "t-1", "owner": "alice"})).await;
    let (status, ended) = server.post("/tasks/t-1/end", json!({"reason": "done", "ticket": "INC-1"})).await;
    assert_eq!((status, &ended["state"]), (StatusCode::OK, &json!("ended")));
    assert_eq!((&ended["reason"], &ended["ticket"]), (&json!("done"), &json!("INC-1")));
    assert!(ended["ended_at"].is_string());
    // The first reason is the one that counts.
    let again = server.post("/tasks/t-1/end", json!({"reason": "other"})).await;
    assert_eq!(again, (StatusCode::OK, ended.clone()));
    assert_eq!(server.call(Method::POST, "/tasks/t-1/end", "").await, (StatusCode::OK, ended));
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
    server.refused(Method::GET, "/tasks/t-9", "", 404, "no task `t-9`").await;
    server.refused(Method::POST, "/tasks/t-9/end", "", 404, "no task `t-9`").await;
    for (body, words) in [
        ("[]", "not a strict JSON object"),
        (r#"{"why":"x"}"#, "unknown field `why`"),
        (r#"{"reason":""}"#, "`reason`"),
    ] {
        server.refused(Method::POST, "/tasks/t-1/end", body, 400, words).await;
    }
}
