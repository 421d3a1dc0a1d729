//! `everycall decide --pdp URL`: real calls, and what Envoy would make of their failures.

use std::io::{Read as _, Write as _};
use std::net::TcpListener;

use serde_json::json;

use crate::common::{everycall, request, token, Files, NOW};

/// A server for one connection: answers with these bytes, and hands out what it was sent.
fn serve(answer: Vec<u8>) -> (String, std::thread::JoinHandle<String>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    let server = std::thread::spawn(move || {
        let (mut stream, _) = listener.accept().unwrap();
        let (mut received, mut buffer) = (Vec::new(), [0; 4096]);
        loop {
            let read = stream.read(&mut buffer).unwrap();
            received.extend_from_slice(&buffer[..read]);
            let text = String::from_utf8_lossy(&received);
            if read == 0 || text.split_once("\r\n\r\n").is_some_and(|(_, body)| body.ends_with('}')) {
                break;
            }
        }
        // The reader may have left already.
        let _ = stream.write_all(&answer);
        if answer.is_empty() {
            std::thread::sleep(std::time::Duration::from_millis(600));
        }
        String::from_utf8_lossy(&received).into_owned()
    });
    (url, server)
}

fn response(status: &str, body: &str) -> Vec<u8> {
    format!("HTTP/1.1 {status}\r\ncontent-length: {}\r\nlocation: /x\r\n\r\n{body}", body.len()).into_bytes()
}

fn decide(pdp: &str) -> serde_json::Value {
    let files = Files::with_config();
    let line = request("POST", json!([]), Some(&token(json!({}))));
    let (config, now) = (files.name("config.json"), NOW.to_string());
    let output = everycall(&["decide", "--config", &config, "--at", &now, "--pdp", pdp], &line);
    assert_eq!(output.code, 0, "{}", output.err);
    output.json().remove(0)
}

#[test]
fn a_question_is_posted_as_envoy_would_post_it() {
    for (path, sent) in
        [("", "POST /access/v1/evaluation HTTP/1.1"), ("/own/path", "POST /own/path HTTP/1.1")]
    {
        let (url, server) = serve(response("200 OK", r#"{"decision":true}"#));
        let record = decide(&format!("{url}{path}"));
        assert_eq!(record["reason"], "allowed");
        let received = server.join().unwrap();
        assert!(received.starts_with(sent), "{received}");
        for header in ["host: pdp.example", "content-type: application/json", "x-request-id: "] {
            assert!(received.to_ascii_lowercase().contains(header), "{received}");
        }
        assert!(received.contains(r#""action":{"name":"refund"}"#), "{received}");
    }
}

#[test]
fn what_is_not_an_answer_is_a_failure() {
    for (answer, reason, error) in [
        (response("200 OK", r#"{"decision":false}"#), "pdp_denied", None),
        (response("200 OK", r#"{"decision":"true"}"#), "pdp_unavailable", Some("invalid")),
        (response("200 OK", ""), "pdp_unavailable", Some("invalid")),
        (response("200 OK", &" ".repeat(70_000)), "pdp_unavailable", Some("invalid")),
        (response("500 No", r#"{"decision":true}"#), "pdp_unavailable", Some("unavailable")),
        (response("307 Elsewhere", r#"{"decision":true}"#), "pdp_unavailable", Some("unavailable")),
        (b"HTTP/1.1 200 OK\r\ncontent-length: 100\r\n\r\n{".to_vec(), "pdp_unavailable", Some("unavailable")),
        (b"SSH-2.0\r\n".to_vec(), "pdp_unavailable", Some("unavailable")),
        (Vec::new(), "pdp_unavailable", Some("timeout")),
    ] {
        let (url, server) = serve(answer);
        let record = decide(&url);
        assert_eq!(
            (&record["reason"], &record["pdp"][0]["answer"]["error"]),
            (&json!(reason), &json!(error))
        );
        server.join().unwrap();
    }
    let closed = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    assert_eq!(decide(&format!("http://{closed}"))["pdp"][0]["answer"]["error"], "unavailable");
}
