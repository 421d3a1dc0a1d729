//! The decision-log sink.

use super::*;

#[tokio::test]
async fn records_come_in_three_forms_and_go_to_the_file() {
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("decisions.jsonl");
    std::fs::write(&file, "{\"n\":0}\n").unwrap();
    let server = Running::start(Options { log: Some(file.clone()), ..options() }).await;
    let accepted = |n: u64| (StatusCode::OK, json!({"accepted": n}));
    assert_eq!(server.call(Method::POST, "/logs", "{\"n\":\n1}\n").await, accepted(1));
    assert_eq!(server.call(Method::POST, "/logs", "[{\"n\":2}, {\"n\":3}]").await, accepted(2));
    assert_eq!(server.call(Method::POST, "/logs", "{\"n\":4}\r\n\n{\"n\":5}").await, accepted(2));
    assert_eq!(server.call(Method::POST, "/logs", "[]").await, accepted(0));
    let numbers: Vec<Value> = (1..=5).map(|n| json!({"n": n})).collect();
    assert_eq!(server.get("/logs").await, (StatusCode::OK, json!({"total": 5, "records": numbers})));
    let written = std::fs::read_to_string(&file).unwrap();
    assert_eq!(written, "{\"n\":0}\n{\"n\":1}\n{\"n\":2}\n{\"n\":3}\n{\"n\":4}\n{\"n\":5}\n");
    assert_eq!(server.delete("/logs").await, StatusCode::NO_CONTENT);
    assert_eq!(server.get("/logs").await.1, json!({"total": 0, "records": []}));
}

#[tokio::test]
async fn the_newest_that_fit_are_returned() {
    let server = Running::start(options()).await;
    let record = |n: u32| json!({"n": n, "decision": if n % 2 == 0 { "deny" } else { "allow" }});
    server.post("/logs", (1..=250).map(record).collect()).await;
    let numbers = async |query: &str| -> Vec<u64> {
        let (_, answer) = server.get(&format!("/logs{query}")).await;
        assert_eq!(answer["total"], 250);
        answer["records"].as_array().unwrap().iter().map(|record| record["n"].as_u64().unwrap()).collect()
    };
    assert_eq!(numbers("").await, (151..=250).collect::<Vec<_>>());
    assert_eq!(numbers("?limit=2").await, [249, 250]);
    assert_eq!(numbers("?decision=deny&limit=2").await, [248, 250]);
    assert_eq!(numbers("?decision=allow&limit=1").await, [249]);
    assert!(numbers("?decision=ask").await.is_empty());
    for (query, words) in [
        ("?decision=denied", "unknown variant `denied`"),
        ("?limit=-1", "invalid digit"),
        ("?reason=x", "unknown field `reason`"),
    ] {
        server.refused(Method::GET, &format!("/logs{query}"), "", 400, words).await;
    }
}

#[tokio::test]
async fn bad_records_are_refused_as_a_whole() {
    let server = Running::start(options()).await;
    for (body, words) in [
        ("", "expected an object"),
        ("1", "expected an object"),
        ("[1]", "expected an array of objects"),
        ("[{}", "not strict JSON"),
        ("{\"n\":1}\n{\"n\":", "not a strict JSON object"),
        ("{\"n\":1}\n[]", "expected an object"),
        ("{\"n\":1,\"n\":2}", "duplicate member"),
    ] {
        server.refused(Method::POST, "/logs", body, 400, words).await;
    }
    let mib = 1024 * 1024;
    let record = |bytes: usize| json!({"text": "x".repeat(bytes)}).to_string();
    server.refused(Method::POST, "/logs", record(4 * mib), 413, "length limit").await;
    assert_eq!(server.get("/logs").await.1["total"], 0);
    assert_eq!(server.call(Method::POST, "/logs", record(3 * mib)).await.0, StatusCode::OK);
}
