//! The echo upstream.

use std::time::Duration;

use tokio::time::Instant;

use super::*;

const REQUESTS: &str = "/upstream-requests";

#[tokio::test]
async fn both_listeners_echo_and_remember() {
    let server = Running::start(options()).await;
    for (url, path) in [
        (server.echo_url("/orders/4%32?a=%20b"), "/orders/4%32?a=%20b"),
        (server.url("/upstream/orders/4%32?a=%20b"), "/upstream/orders/4%32?a=%20b"),
    ] {
        let request = server.client.patch(url).header("x-n", "1").header("x-n", "2").body("abc");
        let answer: Value = request.send().await.unwrap().json().await.unwrap();
        assert_eq!((&answer["method"], &answer["path"]), (&json!("PATCH"), &json!(path)));
        assert_eq!(answer["body_bytes"], 3);
        let headers = answer["headers"].as_array().unwrap();
        assert!(headers.contains(&json!(["x-n", "1"])) && headers.contains(&json!(["x-n", "2"])), "{answer}");
    }
    // The second listener is the upstream and nothing else.
    let echo: Value =
        server.client.get(server.echo_url("/healthz")).send().await.unwrap().json().await.unwrap();
    assert_eq!(echo["path"], "/healthz");

    let (_, arrived) = server.get(REQUESTS).await;
    let paths: Vec<&str> = arrived["requests"]
        .as_array()
        .unwrap()
        .iter()
        .map(|request| request["path"].as_str().unwrap())
        .collect();
    assert_eq!(paths, ["/orders/4%32?a=%20b", "/upstream/orders/4%32?a=%20b", "/healthz"]);
    assert_eq!(arrived["total"], 3);
    assert_eq!(server.delete(REQUESTS).await, StatusCode::NO_CONTENT);
    assert_eq!(server.get(REQUESTS).await.1, json!({"total": 0, "requests": [], "bytes_received": 0}));
}

#[tokio::test]
async fn credentials_are_neither_shown_nor_kept() {
    let server = Running::start(options()).await;
    let mut request = server.client.get(server.echo_url("/"));
    for name in ["authorization", "proxy-authorization", "cookie", "x-api-key"] {
        request = request.header(name, "hush");
    }
    let answer = request.send().await.unwrap().text().await.unwrap();
    let (_, arrived) = server.get(REQUESTS).await;
    assert!(!answer.contains("hush") && !arrived.to_string().contains("hush"), "{answer} {arrived}");
    assert_eq!(answer.matches("[redacted]").count(), 4, "{answer}");
}

#[tokio::test]
async fn what_cannot_be_read_has_arrived_all_the_same() {
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
    let server = Running::start(options()).await;
    let large = server.client.post(server.echo_url("/large")).body("x".repeat(64 * 1024 + 1));
    assert_eq!(large.send().await.unwrap().status(), StatusCode::PAYLOAD_TOO_LARGE);

    let mut stream = tokio::net::TcpStream::connect(server.ready.upstream.unwrap()).await.unwrap();
    stream.write_all(b"GET /bytes HTTP/1.1\r\nx-b: \xff\r\nconnection: close\r\n\r\n").await.unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await.unwrap();
    assert!(answer.contains("[\"x-b\",\"\u{fffd}\"]"), "{answer}");

    let (_, arrived) = server.get(REQUESTS).await;
    assert_eq!((&arrived["requests"][0]["path"], &arrived["total"]), (&json!("/large"), &json!(2)));

    server.delete(REQUESTS).await;
    let mut stream = tokio::net::TcpStream::connect(server.ready.upstream.unwrap()).await.unwrap();
    stream.write_all(b"GET /\xff HTTP/1.1\r\n\r\n").await.unwrap();
    stream.read_to_string(&mut answer).await.unwrap();
    let (_, arrived) = server.get(REQUESTS).await;
    assert_eq!(arrived, json!({"total": 0, "requests": [], "bytes_received": 19}));
}

#[tokio::test]
async fn events_flow_until_the_client_leaves() {
    let server = Running::start(options()).await;
    let before = Instant::now();
    let mut stream = server.client.get(server.echo_url("/stream/events")).send().await.unwrap();
    assert_eq!(stream.headers()["content-type"], "text/event-stream");
    let mut text = String::new();
    while !text.contains("id: 2\ndata: 2\n\n") {
        text.push_str(std::str::from_utf8(&stream.chunk().await.unwrap().unwrap()).unwrap());
    }
    assert!(text.starts_with("id: 0\ndata: 0\n\nid: 1\n"), "{text}");
    assert!(before.elapsed() >= Duration::from_millis(400));
    drop(stream);
    assert_eq!(server.get(REQUESTS).await.1["requests"][0]["path"], "/stream/events");
}
