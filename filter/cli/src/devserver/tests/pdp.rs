//! The PDP and its faults.

use std::time::Duration;

use tokio::time::Instant;

use super::*;

const EVALUATION: &str = "/access/v1/evaluation";
const DATA: &str = "/v1/data/pdp/decision";
const QUESTIONS: &str = "/access/v1/questions";
const REGO: &str = r#"
package pdp

decision := true if input.resource.id == "small"
decision := {"decision": false, "context": {"reason": "too_much"}} if input.resource.id == "large"
decision := {"decision": "true"} if input.resource.id == "text"
decision := {"decision": true, "obligations": []} if input.resource.id == "unknown_member"
decision := "yes" if input.resource.id == "word"
decision := true if {
    input.resource.id == "endless"
    every a in numbers.range(1, 2000) { every b in numbers.range(1, 2000) { a + b > 0 } }
}
"#;

pub(super) fn question() -> Value {
    about("small")
}

fn about(order: &str) -> Value {
    json!({"subject": {"type": "workload", "id": "checkout"}, "action": {"name": "refund"},
        "resource": {"type": "order", "id": order}, "context": {"amount": 3}, "extra": 1})
}

async fn started() -> (Running, tempfile::TempDir) {
    let directory = tempfile::tempdir().unwrap();
    (Running::start(with_policy(directory.path(), REGO)).await, directory)
}

async fn fault(server: &Running, fault: Value) {
    let (status, set) = server.call(Method::PUT, "/faults/pdp", fault.to_string()).await;
    assert_eq!(status, StatusCode::OK, "{set}");
    assert_eq!(server.get("/faults/pdp").await.1, set);
}

#[tokio::test]
async fn the_policy_answers() {
    let (server, _directory) = started().await;
    for (order, answer) in [
        ("small", json!({"decision": true})),
        ("large", json!({"decision": false, "context": {"reason": "too_much"}})),
        ("other", json!({"decision": false})), // no rule holds
    ] {
        assert_eq!(server.post(EVALUATION, about(order)).await, (StatusCode::OK, answer), "{order}");
    }
    for (order, words) in [
        ("text", "neither a boolean"),
        ("unknown_member", "neither a boolean"),
        ("word", "neither a boolean"),
        ("endless", "the evaluation failed"),
    ] {
        server.refused(Method::POST, EVALUATION, about(order).to_string(), 500, words).await;
    }
    // One failed evaluation does not spoil the next.
    assert_eq!(server.post(EVALUATION, question()).await.1, json!({"decision": true}));
}

#[tokio::test]
async fn the_policy_answers_through_the_data_api_of_opa() {
    let (server, _directory) = started().await;
    for (order, answer) in [
        ("small", json!({"result": true})),
        ("large", json!({"result": {"decision": false, "context": {"reason": "too_much"}}})),
        ("other", json!({})), // undefined
    ] {
        let input = json!({"input": {"resource": {"id": order}}});
        assert_eq!(server.post(DATA, input).await, (StatusCode::OK, answer), "{order}");
    }
    assert_eq!(server.get(QUESTIONS).await.1["questions"][2]["decision"], false);
    server.refused(Method::POST, DATA, "{}", 400, "`input` is missing").await;
    server.refused(Method::POST, DATA, "[]", 400, "not a strict JSON object").await;
    let word = json!({"input": {"resource": {"id": "word"}}});
    server.refused(Method::POST, DATA, word.to_string(), 500, "neither a boolean").await;
    fault(&server, json!({"mode": "status", "status": 503, "body": ""})).await;
    assert_eq!(server.post(DATA, json!({"input": {}})).await.0, StatusCode::SERVICE_UNAVAILABLE);
}

#[tokio::test]
async fn without_a_policy_the_answer_is_no() {
    let server = Running::start(options()).await;
    let no = json!({"decision": false, "context": {"reason": "no_policy"}});
    assert_eq!(server.post(EVALUATION, question()).await, (StatusCode::OK, no));
}

#[tokio::test]
async fn malformed_questions_are_refused_and_not_remembered() {
    let (server, _directory) = started().await;
    let changed = |pointer: &str, value: Value| {
        let mut question = question();
        *question.pointer_mut(pointer).unwrap() = value;
        question.to_string()
    };
    for (body, words) in [
        (String::new(), "not a strict JSON object"),
        ("[]".into(), "not a strict JSON object"),
        (r#"{"subject":{},"subject":{}}"#.into(), "duplicate member"),
        ("{}".into(), "`subject` is missing"),
        (changed("/subject", json!("checkout")), "`subject` is missing or not an object"),
        (changed("/subject/id", json!(7)), "`subject.id`"),
        (changed("/subject", json!({"id": "x"})), "`subject.type`"),
        (changed("/action", json!({})), "`action.name`"),
        (changed("/resource/id", Value::Null), "`resource.id`"),
        (changed("/context", json!([])), "`context`"),
        (changed("/action", json!({"name": "x", "properties": 1})), "`action.properties`"),
    ] {
        server.refused(Method::POST, EVALUATION, body, 400, words).await;
    }
    server.refused(Method::POST, EVALUATION, " ".repeat(64 * 1024 + 1), 413, "length limit").await;
    server.refused(Method::GET, EVALUATION, "", 405, "no such method").await;
    assert_eq!(server.get(QUESTIONS).await.1["total"], 0);
}

#[tokio::test]
async fn questions_are_remembered_with_their_request_id() {
    let (server, _directory) = started().await;
    for body in [question().to_string(), "{}".into()] {
        let call = server.client.post(server.url(EVALUATION)).header("x-request-id", "r-1").body(body);
        assert_eq!(call.send().await.unwrap().headers()["x-request-id"], "r-1");
    }
    server.post(EVALUATION, about("word")).await;
    let first = json!({"x_request_id": "r-1", "question": question(), "decision": true});
    let second = json!({"x_request_id": null, "question": about("word"), "decision": null});
    let expected = json!({"total": 2, "questions": [first, second]});
    assert_eq!(server.get(QUESTIONS).await, (StatusCode::OK, expected));
    assert_eq!(server.delete(QUESTIONS).await, StatusCode::NO_CONTENT);
    assert_eq!(server.get(QUESTIONS).await.1, json!({"total": 0, "questions": []}));
}

#[tokio::test]
async fn faults_last_until_they_are_taken_back() {
    let (server, _directory) = started().await;
    fault(&server, json!({"mode": "status", "status": 503, "body": "{\"decision\":true}"})).await;
    let (status, answer) = server.post(EVALUATION, question()).await;
    assert_eq!((status.as_u16(), answer), (503, json!({"decision": true})));
    fault(&server, json!({"mode": "status", "status": 500})).await;
    assert_eq!(server.post(EVALUATION, question()).await, (StatusCode::INTERNAL_SERVER_ERROR, json!("")));

    let large = "x".repeat(1024 * 1024);
    for body in ["", "{\"decision\":\"true\"}", "{\"decision\":false,\"decision\":true}", large.as_str()] {
        fault(&server, json!({"mode": "body", "body": body})).await;
        let response = server.client.post(server.url(EVALUATION)).body(question().to_string());
        let response = response.send().await.unwrap();
        assert_eq!(response.headers()["content-type"], "application/json");
        assert_eq!((response.status(), response.text().await.unwrap().as_str()), (StatusCode::OK, body));
    }

    fault(&server, json!({"mode": "slow", "delay_ms": 300})).await;
    let before = Instant::now();
    assert_eq!(server.post(EVALUATION, question()).await.1, json!({"decision": true}));
    assert!(before.elapsed() >= Duration::from_millis(300));

    fault(&server, json!({"mode": "drop"})).await;
    for _ in 0..2 {
        let dropped = server.client.post(server.url(EVALUATION)).body(question().to_string()).send().await;
        assert!(dropped.unwrap_err().is_request());
    }
    assert_eq!(server.get("/healthz").await.0, StatusCode::OK);

    fault(&server, json!({"mode": "ok"})).await;
    assert_eq!(server.post(EVALUATION, question()).await.1, json!({"decision": true}));
    let (_, questions) = server.get(QUESTIONS).await;
    let decisions: Vec<&Value> =
        questions["questions"].as_array().unwrap().iter().map(|question| &question["decision"]).collect();
    assert_eq!(questions["total"], decisions.len());
    assert_eq!(decisions.first(), Some(&&Value::Null));
    assert_eq!(decisions.last(), Some(&&json!(true)));
}

#[tokio::test]
async fn a_dropped_call_gets_not_one_byte() {
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
    let (server, _directory) = started().await;
    fault(&server, json!({"mode": "drop"})).await;
    let body = question().to_string();
    let length = body.len();
    let request = format!("POST {EVALUATION} HTTP/1.1\r\nhost: x\r\ncontent-length: {length}\r\n\r\n{body}");
    let mut stream = tokio::net::TcpStream::connect(server.ready.address).await.unwrap();
    stream.write_all(request.as_bytes()).await.unwrap();
    let mut answer = Vec::new();
    stream.read_to_end(&mut answer).await.unwrap();
    assert_eq!(answer, b"");
}

#[tokio::test]
async fn bad_faults_are_refused_and_change_nothing() {
    let server = Running::start(options()).await;
    for (body, words) in [
        ("", "not a strict JSON object"),
        ("{}", "missing field `mode`"),
        (r#"{"mode":"explode"}"#, "unknown variant `explode`"),
        (r#"{"mode":"slow"}"#, "missing field `delay_ms`"),
        (r#"{"mode":"slow","delay_ms":60001}"#, "`delay_ms` is 60001"),
        (r#"{"mode":"status","status":100}"#, "`status` is 100"),
        (r#"{"mode":"status","status":700}"#, "`status` is 700"),
        (r#"{"mode":"ok","delay_ms":1}"#, "unknown field `delay_ms`"),
        (r#"{"mode":"drop","body":""}"#, "unknown field `body`"),
    ] {
        server.refused(Method::PUT, "/faults/pdp", body, 400, words).await;
    }
    assert_eq!(server.get("/faults/pdp").await.1, json!({"mode": "ok"}));
}

#[tokio::test]
async fn metadata_names_the_endpoint() {
    let server = Running::start(options()).await;
    let (_, metadata) = server.get("/.well-known/authzen-configuration").await;
    assert_eq!(
        metadata,
        json!({"policy_decision_point": server.url(""), "access_evaluation_endpoint": server.url(EVALUATION)})
    );
}
