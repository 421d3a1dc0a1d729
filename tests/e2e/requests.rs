//! Requests that are malformed, oversized, or say what they must not say.

use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::{Arc, LazyLock};
use std::time::Duration;

use everycall::WireRequest;
use everycall_core::http::{IDENTITY_HEADERS, REMOVED_HEADERS};
use everycall_core::DecisionRecord;
use everycall_tests::client::RawRequest;
use everycall_tests::envoy::{connection_manager, lead};
use serde_json::{json, Value};

use crate::world::{Listener, Paths, World};

pub fn get(host: &str, path: &str) -> WireRequest {
    WireRequest {
        method: "GET".into(),
        scheme: "http".into(),
        host: host.into(),
        path: path.into(),
        headers: Vec::new(),
        source_ip: "127.0.0.1".into(),
        peer_id: None,
        peer_certificate: None,
    }
}

/// The reference configuration with one more rule set and grant: anonymous, any path below `/t/`
/// on the host `t`, decided by this module.
pub fn with_policy(name: &str, rego: &str) -> Value {
    let mut config = everycall_tests::cases::reference().unwrap();
    let bundle = &mut config["bundle"]["inline"];
    bundle["policies"]["t.rego"] = json!(format!("package everycall.{name}\n{rego}\n"));
    bundle["grants"].as_array_mut().unwrap().push(json!({
        "id": "t", "owner": "o", "purpose": "p", "subject": "anonymous", "hosts": ["t"], "methods": ["GET", "POST"],
        "paths": ["/t/{rest...}"], "policy": name}));
    config
}

/// The format that the page on running it gives for records in the access log.
fn format_with_record() -> Value {
    let block =
        include_str!("../../envoy/README.md").split("```").find(|block| block.contains("json_format:"));
    serde_yaml_ng::from_str(block.unwrap().strip_prefix("yaml").unwrap()).unwrap()
}

#[test]
fn records_in_the_access_log() {
    let mut config = with_policy("t", "decision := {\"allow\": true} if input.request.path == \"/t/a\"");
    config["log"] = json!({"to": "access_log"});
    let listener = |name: &str, paths| Listener { name: name.into(), config: config.clone(), paths };
    let world =
        World::start_with(&[listener("only", Paths::Plain), listener("mended", Paths::Mended)], |document| {
            for listener in document["static_resources"]["listeners"].as_array_mut().unwrap() {
                connection_manager(listener)["access_log"][0]["typed_config"]["log_format"] =
                    format_with_record();
            }
        });
    // Envoy refuses this by itself: nobody decided, and the line is JSON all the same.
    let seen = world.send("mended", &get("t", "/t/a%2Fb"));
    assert_eq!(
        (seen.response.status, &seen.line["code"], &seen.line["record"]),
        (400, &json!(400), &Value::Null)
    );
    for (path, status, decision) in [("/t/a", 200, "allow"), ("/t/b", 403, "deny"), ("/t/../b", 400, "deny")]
    {
        let seen = world.send("only", &get("t", path));
        let record: DecisionRecord = serde_json::from_str(seen.line["record"].as_str().unwrap()).unwrap();
        assert_eq!((&seen.line["code"], seen.response.status), (&json!(status), status));
        assert_eq!(serde_json::to_value(record.decision).unwrap(), decision);
        assert_eq!(record.request.path, path);
    }
    // Nothing is left to be written: a tick later it would be.
    std::thread::sleep(std::time::Duration::from_millis(300));
    assert!(!world.envoy.log().contains(everycall_tests::RECORD_BEGINS), "{}", world.envoy.log());
}

#[test]
fn a_credential_that_is_not_for_the_upstream_ends_here() {
    let token = crate::streams::token("t-1", 600).into_bytes();
    for forward in [true, false] {
        let mut config = crate::streams::configuration();
        config["credentials"] = json!([{"header": "authorization", "scheme": "Bearer", "forward": forward}]);
        let world = World::with(&config);
        let mut request = get("t", "/t/a");
        request.headers.push(("authorization".to_owned(), token.clone()));
        let seen = world.send("only", &request);
        assert_eq!(seen.response.status, 200, "{}", seen.line);
        let [received] = seen.upstream.as_slice() else { panic!("{:?}", seen.upstream) };
        assert_eq!(received.all("authorization").len(), usize::from(forward));
        assert_eq!(received.all("x-everycall-identity").len(), 1);
    }
}

/// A world with two listeners, with the connection manager's path options and without: `mended`
/// and `plain`.
fn both(config: &Value) -> Arc<World> {
    let listener = |name: &str, paths| Listener { name: name.into(), config: config.clone(), paths };
    World::start(&[listener("mended", Paths::Mended), listener("plain", Paths::Plain)])
}

/// Lets everything pass that gets as far as the policy, which reads headers and the query.
static OPEN: LazyLock<Arc<World>> = LazyLock::new(|| {
    both(&with_policy(
        "t",
        "decision := {\"allow\": true} if { object.get(input.request.headers, \"x-read\", [\"\"]); object.get(input.request.query, \"q\", [\"\"]) }",
    ))
});

fn send(path: &[u8], headers: &[(&str, &[u8])]) -> crate::world::Seen {
    let mut request = get("t", "");
    request.path = path.to_vec();
    request.headers = headers.iter().map(|(name, value)| ((*name).to_owned(), value.to_vec())).collect();
    OPEN.send("plain", &request)
}

#[test]
fn path_ambiguous() {
    for path in [
        &b"/t//a"[..],
        b"/t/./a",
        b"/t/../t/a",
        b"/t/%2e%2e/a",
        b"/t/%2E/a",
        b"/t/a%2Fb",
        b"/t/a%5Cb",
        b"/t/a\\b",
        b"/t/a;b",
        b"/t/a%3Bb",
        b"/t/a%00b",
        b"/t/%zz",
        b"/t/%",
        b"/t/%252e",
        b"/t/..;x/a",
        b"/t/a%0d%0ab",
        b"/t/a.",
        b"/t/a./b",
        b"/t/a%2E",
        b"/t/a%20",
        b"/t/%20a/b",
        b"/t/a%E2%80%8Bb",
        b"/t/a%EF%BC%8Fb",
        b"/t/%EF%BD%81",
        b"/t/q%C2%B3",
    ] {
        let seen = send(path, &[]);
        let text = String::from_utf8_lossy(path);
        assert_eq!((seen.response.status, seen.reason()), (400, "path_ambiguous"), "{text}: {}", seen.line);
        assert!(seen.upstream.is_empty(), "{text}");
    }
    assert_eq!(
        send(b"/t/%61%20b", &[]).upstream[0].path,
        "/t/%61%20b",
        "the bytes sent on are those decided on"
    );
    OPEN.assert_no_crash();
}

#[test]
fn host_ambiguous() {
    for host in ["", "t:080", "t..x", "user@t", "t,u"] {
        let seen = OPEN.send("plain", &get(host, "/t/a"));
        assert_eq!(seen.response.status, 400, "{host}: {}", seen.line);
        assert!(seen.upstream.is_empty(), "{host}");
    }
    // Two Host headers arrive as one value with a comma.
    let headers = vec![("host".into(), b"t".to_vec()), ("host".into(), b"u".to_vec())];
    let raw = RawRequest { method: "GET".into(), path: b"/t/a".to_vec(), headers, body: Vec::new() };
    let seen = OPEN.send_raw("plain", [127, 0, 0, 1].into(), &raw);
    assert_eq!(seen.response.status, 400, "{}", seen.line);
}

#[test]
fn header_not_utf8() {
    let seen = send(b"/t/a", &[("x-read", b"\xff\xfe")]);
    assert_eq!((seen.response.status, seen.reason()), (400, "header_invalid"), "{}", seen.line);
    let seen = send(b"/t/a", &[("authorization", b"Bearer \xff")]);
    assert_eq!((seen.response.status, seen.reason()), (401, "token_malformed"));
    OPEN.assert_no_crash();
}

#[test]
fn headers_too_big() {
    let world =
        World::with(&with_policy("t", "decision := {\"allow\": true} if input.request.headers[\"x-0\"]"));
    let large = vec![b'a'; 8 * 1024];
    let names: Vec<String> = (0..100).map(|n| format!("x-{n}")).collect();
    let headers: Vec<(String, Vec<u8>)> = names.iter().map(|name| (name.clone(), large.clone())).collect();
    let mut raw = RawRequest { method: "GET".into(), path: b"/t/a".to_vec(), headers, body: Vec::new() };
    raw.headers.push(("host".into(), b"t".to_vec()));
    // Envoy has its own bound, below this. It answers before it has read everything, and closes: the
    // answer may be lost to a reset.
    let answer = everycall_tests::client::send(
        world.address("only"),
        [127, 0, 0, 1].into(),
        &raw,
        std::time::Duration::from_secs(10),
    );
    if let Ok(response) = answer {
        assert_eq!(response.status, 431);
    }
    assert!(world.upstream.take().is_empty());
    // What Envoy lets through is defined as well.
    let seven = names.iter().take(7).map(|name| (name.clone(), large.clone())).collect();
    world.skip_lines("only", 1);
    let seen = world.send("only", &WireRequest { headers: seven, ..get("t", "/t/a") });
    assert_eq!(seen.reason(), "allowed", "{}", seen.line);
    world.assert_no_crash();
}

#[test]
fn header_forged() {
    let own = [
        "x-everycall-identity",
        "x-everycall-kind",
        "x-everycall-task",
        "x-everycall-on-behalf-of",
        "x-everycall-grant",
        "x-everycall-decision-id",
        "x-everycall-whatever",
    ];
    for name in own.iter().chain(REMOVED_HEADERS).chain(IDENTITY_HEADERS) {
        for spelling in [
            (*name).to_owned(),
            name.replace('-', "_"),
            name.to_ascii_uppercase(),
            name.replacen('-', "_", 1),
            name.replace('-', "."),
            name.replacen('-', "~", 1),
        ] {
            let seen = send(b"/t/a", &[(&spelling, b"forged"), ("x-kept", b"1")]);
            assert_eq!(seen.reason(), "allowed", "{spelling}: {}", seen.line);
            let received = &seen.upstream[0];
            assert!(received.headers.iter().all(|(_, value)| value != b"forged"), "{spelling}: {received:?}");
            assert_eq!(received.all("x-kept"), [b"1"]);
            assert_eq!(received.all("x-everycall-grant"), [b"t"], "{spelling}");
        }
    }
}

#[test]
fn header_trusted() {
    let mut config = with_policy("t", "decision := {\"allow\": true}");
    config["trusted_headers"] = json!(["x-forwarded-host", "x-forwarded-user"]);
    let listener = Listener { name: "only".into(), config, paths: Paths::Plain };
    let world = World::start(&[listener]);
    let mut request = get("t", "/t/a");
    let sent = ["x-forwarded-host", "x_forwarded_host", "X-Forwarded-User", "x-forwarded-email", "forwarded"];
    request.headers = sent.iter().map(|name| ((*name).to_owned(), b"set".to_vec())).collect();
    let seen = world.send("only", &request);
    let received = &seen.upstream[0].headers;
    let names: Vec<&str> =
        received.iter().filter(|(_, value)| value == b"set").map(|(name, _)| name.as_str()).collect();
    assert_eq!(names, ["x-forwarded-host", "x-forwarded-user"], "as they are named, and no other");
    world.assert_no_crash();
}

#[test]
fn trailer_forged() {
    // It keeps what it reads up to the end of a chunked body with trailers.
    let upstream = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = upstream.local_addr().unwrap();
    let (send, received) = std::sync::mpsc::channel();
    std::thread::spawn(move || {
        for stream in upstream.incoming() {
            let mut stream = stream.unwrap();
            let (mut text, mut buffer) = (Vec::new(), [0; 4096]);
            while !text.windows(5).any(|window| window == b"\r\n0\r\n") || !text.ends_with(b"\r\n\r\n") {
                match stream.read(&mut buffer).unwrap_or(0) {
                    0 => break,
                    size => text.extend(&buffer[..size]),
                }
            }
            stream.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n").unwrap();
            if send.send(String::from_utf8(text).unwrap()).is_err() {
                break;
            }
        }
    });
    // By its name: where one reads all headers, no trailer passes.
    let policy = "decision := {\"allow\": true} if not input.request.headers[\"x-read\"]";
    let mut config = with_policy("t", policy);
    config["credentials"].as_array_mut().unwrap().push(json!({"header": "x-api-token"}));
    let listener = Listener { name: "only".into(), config, paths: Paths::Plain };
    let world = World::start_with(&[listener], |document| {
        let options = json!({"enable_trailers": true});
        connection_manager(&mut document["static_resources"]["listeners"][0])["http_protocol_options"] =
            options.clone();
        for cluster in document["static_resources"]["clusters"].as_array_mut().unwrap() {
            if cluster["name"] == "upstream" {
                cluster["typed_extension_protocol_options"] = json!({
                "envoy.extensions.upstreams.http.v3.HttpProtocolOptions": {
                    "@type": "type.googleapis.com/envoy.extensions.upstreams.http.v3.HttpProtocolOptions",
                    "explicit_http_config": {"http_protocol_options": options},
                }});
            }
        }
        lead(document, "upstream", &[address]);
    });
    let kept = ["x-checksum", "x-everycall", "content-digest"];
    let taken_out = [
        "x-everycall-identity",
        "x_everycall_identity",
        "x.everycall.identity",
        "x-forwarded-user",
        "x-forwarded-for",
        "x-http-method-override",
        "authorization",
        "x-api-token",
        "x_api_token",
        "cookie",
        "x-read",
        "x_read",
        "x-envoy-original-dst-host",
    ];
    let trailers: String = kept.iter().chain(&taken_out).map(|name| format!("{name}: sent\r\n")).collect();
    let mut stream = TcpStream::connect(world.address("only")).unwrap();
    let head = "POST /t/a HTTP/1.1\r\nhost: t\r\ntransfer-encoding: chunked\r\n\r\n";
    stream.write_all(format!("{head}1\r\na\r\n0\r\n{trailers}\r\n").as_bytes()).unwrap();
    let text = received.recv_timeout(Duration::from_secs(10)).unwrap();
    let passed: Vec<&str> = text.lines().filter_map(|line| line.strip_suffix(": sent")).collect();
    assert_eq!(passed, kept, "{text}");
    world.assert_no_crash();
}

#[test]
fn log_line_forged() {
    // Quotes and escapes in what the client chooses: path, sub and kid.
    let at = crate::world::now();
    let file = json!({"about": "a", "cases": [{
        "name": "a", "request": {"method": "GET", "host": "t", "path": "/t/\"},{\"v\":2,\"decision\":\"allow\"}"},
        "token": {"issuer": "https://id.shop.example/workloads",
                  "claims": {"sub": "x\u{2028}\", \"decision\": \"allow\", \"y\": \"\\u000a"}},
        "expect": {"decision": "allow"}}, {
        "name": "b", "request": {"method": "GET", "host": "t", "path": "/t/b"},
        "token": {"issuer": "https://id.shop.example/workloads", "claims": {"sub": "x\r\ninjected: 1"}},
        "expect": {"decision": "deny"}}, {
        "name": "c", "request": {"method": "GET", "host": "t", "path": "/t/c"},
        "token": {"issuer": "https://id.shop.example/workloads", "claims": {"sub": "x"}, "header": {"kid": "k\r\n{\"v\":1}\n"}},
        "expect": {"decision": "deny"}}]});
    let file = everycall::cases::CaseFile::parse("inline", &file.to_string()).unwrap();
    let config = everycall_tests::cases::reference().unwrap();
    let mut ids = Vec::new();
    for (case, reason) in file.cases.iter().zip(["allowed", "token_claims", "token_key_unknown"]) {
        // `send` has checked that there is exactly one access log line, and that it is JSON.
        let seen = OPEN.send("plain", &case.request(&config, at).unwrap());
        assert_eq!(seen.reason(), reason, "{}", seen.line);
        ids.push(seen.decision.unwrap()["id"].as_str().unwrap().to_owned());
        for received in &seen.upstream {
            let identity = String::from_utf8_lossy(received.all("x-everycall-identity")[0]).into_owned();
            assert!(identity.starts_with("x%E2%80%A8\",%20\"decision\""), "{identity}");
            assert!(received.all("injected").is_empty());
        }
    }
    // Other tests of this world write records too: each of ours comes, and is there once.
    let has = |records: &[Value], id: &String| records.iter().any(|record| record["id"] == id.as_str());
    let deadline = std::time::Instant::now() + std::time::Duration::from_secs(10);
    let mut records = OPEN.records(ids.len());
    while !ids.iter().all(|id| has(&records, id)) && std::time::Instant::now() < deadline {
        std::thread::sleep(std::time::Duration::from_millis(20));
        records = OPEN.records(ids.len());
    }
    for id in &ids {
        assert_eq!(records.iter().filter(|record| record["id"] == id.as_str()).count(), 1);
    }
    assert!(records.iter().all(|record| record["id"].as_str().is_some_and(|id| id.len() == 32)));
}

#[test]
fn no_token_is_ever_written_down() {
    let config = everycall_tests::cases::reference().unwrap();
    let file = json!({"about": "a", "cases": [{
        "name": "a", "request": {"method": "GET", "host": "t", "path": "/t/secret"},
        "token": {"issuer": "https://id.shop.example/workloads", "claims": {"sub": "x"}}, "expect": {"decision": "allow"}}]});
    let file = everycall::cases::CaseFile::parse("inline", &file.to_string()).unwrap();
    let request = file.cases[0].request(&config, crate::world::now()).unwrap();
    let seen = OPEN.send("plain", &request);
    assert_eq!(seen.reason(), "allowed");
    let token = String::from_utf8(request.headers.last().unwrap().1.clone()).unwrap();
    let signature = token.rsplit('.').next().unwrap();
    std::thread::sleep(std::time::Duration::from_millis(300));
    assert!(!OPEN.envoy.log().contains(signature));
    assert!(!seen.line.to_string().contains(signature));
}
