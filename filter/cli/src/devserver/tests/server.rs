//! Start, stop, the page and the label.

use std::time::Duration;

use tokio::time::Instant;

use super::*;

async fn error_of(options: Options) -> String {
    let result = serve(options, std::future::pending(), |_| panic!("started")).await;
    format!("{:#}", result.unwrap_err())
}

#[tokio::test]
async fn everything_is_labelled_and_the_page_names_each_endpoint() {
    let server = Running::start(options()).await;
    for url in [server.url("/"), server.url("/nowhere"), server.echo_url("/x")] {
        let response = server.client.get(url).send().await.unwrap();
        assert_eq!(response.headers()["x-everycall-devserver"], "not-for-production");
    }
    let (status, page) = server.get("/").await;
    let page = page.as_str().unwrap();
    assert_eq!(status, StatusCode::OK);
    assert!(page.starts_with("everycall devserver: NOT FOR PRODUCTION\n"));
    assert!(page.contains(&server.url("/issuers/agents/token")), "{page}");
    assert!(page.contains("(agents, people)"), "{page}");
    assert_eq!(server.get("/healthz").await, (StatusCode::OK, json!("ok\n")));
    server.refused(Method::GET, "/nowhere", "", 404, "no such endpoint").await;
    server.refused(Method::PUT, "/tasks", "", 405, "no such method").await;
}

#[tokio::test]
async fn the_ready_line_is_json() {
    let server = Running::start(Options { upstream: None, ..options() }).await;
    let line: Value = serde_json::from_str(&server.ready.to_string()).unwrap();
    assert_eq!(line, json!({"ready": true, "address": server.ready.address.to_string()}));
    let both = Ready { address: ANY_PORT, upstream: Some(ANY_PORT) };
    assert_eq!(both.to_string(), r#"{"address":"127.0.0.1:0","ready":true,"upstream":"127.0.0.1:0"}"#);
}

#[tokio::test]
async fn stopping_ends_slow_answers_and_streams() {
    let server = Running::start(options()).await;
    let mut stream = server.client.get(server.echo_url("/events")).send().await.unwrap();
    stream.chunk().await.unwrap();
    let slow = json!({"mode": "slow", "delay_ms": 60_000});
    server.call(Method::PUT, "/faults/pdp", slow.to_string()).await;
    let question = server.client.post(server.url("/access/v1/evaluation")).body(pdp::question().to_string());
    let answer = tokio::spawn(question.send());
    while server.get("/access/v1/questions").await.1["total"] == 0 {}

    let before = Instant::now();
    server.stop.send(()).unwrap();
    server.served.await.unwrap().unwrap();
    assert!(before.elapsed() < crate::devserver::GRACE, "only by force");
    assert_eq!(answer.await.unwrap().unwrap().status(), StatusCode::OK);
    while stream.chunk().await.unwrap().is_some() {}
}

#[tokio::test]
async fn a_silent_connection_does_not_keep_it_from_stopping() {
    let server = Running::start(options()).await;
    let _silent = tokio::net::TcpStream::connect(server.ready.address).await.unwrap();
    server.get("/healthz").await;
    server.stop.send(()).unwrap();
    tokio::time::timeout(Duration::from_secs(5), server.served).await.unwrap().unwrap().unwrap();
}

#[tokio::test]
async fn it_does_not_start_on_what_it_cannot_use() {
    let taken = tokio::net::TcpListener::bind(ANY_PORT).await.unwrap();
    let taken = taken.local_addr().unwrap();
    assert!(error_of(Options { listen: taken, ..options() })
        .await
        .starts_with("cannot listen on `127.0.0.1:"));
    assert!(error_of(Options { config: json!({}), ..options() }).await.contains("missing field `issuers`"));

    let mut twins = config();
    twins["issuers"][1]["issuer"] = json!("https://other.example/agents/");
    assert!(error_of(Options { config: twins, ..options() }).await.contains("both end in `agents`"));
    let mut keyless = config();
    keyless["issuers"][1]["keys"]["inline"]["keys"] = json!([]);
    assert!(error_of(Options { config: keyless, ..options() }).await.contains("has no key"));

    let directory = tempfile::tempdir().unwrap();
    let empty = Options { policies: Some(directory.path().to_owned()), ..options() };
    assert!(error_of(empty).await.contains("no `*.rego` file"));
    let log = Options { log: Some(directory.path().to_owned()), ..options() };
    assert!(error_of(log).await.contains("cannot be opened"));
    for (rego, words) in [
        ("package pdp\n\ndecision := true if {", "pdp.rego:3"),
        ("package other\n\ndecision := true", "no rule `data.pdp.decision`"),
        ("package pdp\n\nallow := true", "no rule `data.pdp.decision`"),
        ("package pdp\n\ndecision := http.send({})", "http.send"),
    ] {
        let error = error_of(with_policy(directory.path(), rego)).await;
        assert!(error.contains(words), "`{words}` is not in {error}");
    }
}
