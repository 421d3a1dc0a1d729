//! Decision points over time and on the wire: breakers, trace context, and ext_authz against the types of
//! envoy-types, which are made by others from the same definition.

use everycall_core::engine::StreamClose;
use everycall_core::pdp::MAX_ANSWER;
use everycall_core::{Engine, Reason, Reply, StreamId, UnixTime};
use everycall_tests::grpc::{CheckRequest, CheckResponse, CheckResponseExt, Status};
use prost::Message as _;
use serde_json::{json, Value};

use super::{asks, configuration, done, engine, later, reason, request, token, yes, NOW};
use everycall_core::{Call, Connection, Headers, Request};

fn with_pdp(pdp: Value) -> Engine {
    let mut config = configuration();
    config["pdps"]["default"] = pdp;
    engine(&config)
}

fn breaking() -> Engine {
    with_pdp(json!({"protocol": "authzen", "cluster": "pdp", "host": "pdp",
        "breaker": {"failures": 2, "open_ms": 1000}}))
}

fn ask(engine: &mut Engine, stream: u64, reply: Reply, now: UnixTime) -> Reason {
    let (_, pending) = asks(engine.check(request(stream, "/ask", &token(60)), now));
    reason(engine.resume(pending, vec![reply], now))
}

fn is_open(engine: &Engine) -> bool {
    engine.stats().pdps.iter().any(|stats| stats.pdp == "default" && stats.breaker_open)
}

#[test]
fn pdp_breaker_opens_and_closes() {
    let mut engine = breaking();
    let down = || Reply::http(503, "");
    for stream in 0..2 {
        assert!(!is_open(&engine));
        assert_eq!(ask(&mut engine, stream, down(), NOW), Reason::PdpUnavailable);
    }
    assert!(is_open(&engine));
    let spared = done(engine.check(request(3, "/ask", &token(60)), NOW));
    assert_eq!(spared.record.reason, Some(Reason::PdpUnavailable));
    assert_eq!(spared.record.pdp[0].answer, Some(json!({"error": "unavailable"})));
    // One is tried; the others go on failing at once. If its client leaves, another one is tried.
    let (_, tried) = asks(engine.check(request(4, "/ask", &token(60)), later(1)));
    assert_eq!(reason(engine.check(request(5, "/ask", &token(60)), later(1))), Reason::PdpUnavailable);
    engine.ended(StreamId(4), StreamClose::default(), later(1));
    drop(tried);
    let (_, pending) = asks(engine.check(request(6, "/ask", &token(60)), later(1)));
    assert_eq!(reason(engine.resume(pending, yes(), later(1))), Reason::Allowed);
    assert!(!is_open(&engine));
    assert_eq!(engine.stats().pending, 0);
    let stats = engine.stats().pdps.into_iter().find(|stats| stats.pdp == "default").unwrap();
    assert_eq!((stats.answered, stats.failed, stats.short_circuited), (1, 2, 2));
}

#[test]
fn a_caller_who_is_refused_by_a_decision_point_does_not_open_its_breaker() {
    let mut engine = breaking();
    for stream in 0..10 {
        assert_eq!(ask(&mut engine, stream, Reply::http(400, ""), NOW), Reason::PdpUnavailable);
    }
    assert!(!is_open(&engine));
}

#[test]
fn a_breaker_is_of_one_decision_point_only() {
    let mut engine = breaking();
    for stream in 0..2 {
        ask(&mut engine, stream, Reply::http(500, ""), NOW);
    }
    // Of its two questions only the one to `other` goes out, and the answer of that is not enough.
    let (calls, pending) = asks(engine.check(request(3, "/two", &token(60)), NOW));
    assert_eq!(calls.len(), 1);
    assert_eq!(reason(engine.resume(pending, yes(), NOW)), Reason::PdpUnavailable);
}

#[test]
fn a_new_configuration_closes_breakers() {
    let mut engine = breaking();
    for stream in 0..2 {
        ask(&mut engine, stream, Reply::http(500, ""), NOW);
    }
    assert!(is_open(&engine));
    engine.configure(super::settings(&configuration()));
    assert!(!is_open(&engine));
}

fn plain_request(more: &[(&str, &str)]) -> Request {
    let token = token(60);
    let pairs = [
        (":method", "GET"),
        (":scheme", "https"),
        (":authority", "h"),
        (":path", "/ask?a=1"),
        ("authorization", token.as_str()),
    ];
    let pairs = pairs.iter().chain(more).map(|(name, value)| ((*name).to_owned(), value.as_bytes().to_vec()));
    Request::new(StreamId(1), Headers::new(pairs.collect()), Connection::default())
}

/// The same over a connection with TLS.
fn request_by_tls(more: &[(&str, &str)]) -> Request {
    let mut request = plain_request(more);
    let version = everycall_core::http::ATTRIBUTES.iter().find(|attribute| attribute.name == "tls_version");
    request.connection.set(version.unwrap(), b"TLSv1.3");
    request
}

fn header<'a>(call: &'a Call, name: &str) -> Option<&'a str> {
    call.headers.iter().find(|(other, _)| other == name).map(|(_, value)| value.as_str())
}

fn checked(call: &Call) -> CheckRequest {
    let size = u32::from_be_bytes(call.body[1..5].try_into().unwrap());
    assert_eq!((call.body[0], usize::try_from(size).unwrap()), (0, call.body.len() - 5));
    CheckRequest::decode(&call.body[5..]).unwrap()
}

#[test]
fn an_ext_authz_server_reads_what_envoy_would_tell_it_and_no_secrets() {
    let mut engine = with_pdp(json!({"protocol": "ext_authz", "cluster": "pdp", "host": "pdp"}));
    let trace = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";
    let more = [("x-a", "1"), ("x-a", "2"), ("cookie", "secret"), ("dpop", "secret"), ("traceparent", trace)];
    // A client says by itself which scheme it is.
    let (calls, _) = asks(engine.check(plain_request(&more), NOW));
    let told = checked(&calls[0]).attributes.unwrap().request.unwrap().http.unwrap();
    assert_eq!(told.scheme, "http");
    let (calls, pending) = asks(engine.check(request_by_tls(&more), NOW));
    let call = &calls[0];
    assert_eq!(header(call, ":path"), Some("/envoy.service.auth.v3.Authorization/Check"));
    assert_eq!(
        (header(call, "te"), header(call, "content-type")),
        (Some("trailers"), Some("application/grpc"))
    );
    assert_eq!((header(call, "traceparent"), header(call, "grpc-timeout")), (Some(trace), Some("200m")));
    let id = header(call, "x-request-id").unwrap();
    let attributes = checked(call).attributes.unwrap();
    let sent = attributes.request.clone().unwrap();
    assert_eq!(sent.time.unwrap().seconds, NOW.secs());
    let http = sent.http.unwrap();
    assert_eq!((http.method.as_str(), http.path.as_str(), http.host.as_str()), ("GET", "/ask?a=1", "h"));
    assert_eq!((http.scheme.as_str(), http.size, http.id.as_str()), ("https", -1, id));
    assert_eq!(http.headers["x-a"], "1,2");
    assert_eq!(http.headers[":path"], "/ask?a=1");
    for secret in ["authorization", "cookie", "dpop"] {
        assert!(!http.headers.contains_key(secret), "{secret}");
    }
    for (key, value) in [("id", "q"), ("subject.id", "s"), ("action.name", "a"), ("resource.id", "r")] {
        assert_eq!(attributes.context_extensions[key], value, "{key}");
    }
    assert_eq!(
        reason(engine.resume(pending, vec![grpc(&CheckResponse::with_status(Status::ok("")))], NOW)),
        Reason::Allowed
    );
}

#[test]
fn an_ext_authz_server_is_told_exactly_the_headers_that_are_named() {
    let pdp = json!({"protocol": "ext_authz", "cluster": "pdp", "host": "pdp", "headers": ["Authorization"]});
    let mut engine = with_pdp(pdp);
    let (calls, _) = asks(engine.check(plain_request(&[("x-a", "1")]), NOW));
    let headers = checked(&calls[0]).attributes.unwrap().request.unwrap().http.unwrap().headers;
    assert!(headers["authorization"].starts_with("Bearer "));
    assert!(!headers.contains_key("x-a"));
}

fn grpc(response: &CheckResponse) -> Reply {
    let message = response.encode_to_vec();
    let size = u32::try_from(message.len()).unwrap().to_be_bytes();
    let map = |name: &str, value: &str| Headers::new(vec![(name.to_owned(), value.as_bytes().to_vec())]);
    Reply::Http {
        status: 200,
        headers: map("content-type", "application/grpc"),
        body: [&[0], &size[..], &message].concat(),
        trailers: map("grpc-status", "0"),
    }
}

#[test]
fn answers_of_an_ext_authz_server_are_read_as_they_are_meant() {
    let decide = |response: CheckResponse| {
        let mut engine = with_pdp(json!({"protocol": "ext_authz", "cluster": "pdp", "host": "pdp"}));
        let (_, pending) = asks(engine.check(request(1, "/ask", &token(60)), NOW));
        reason(engine.resume(pending, vec![grpc(&response)], NOW))
    };
    assert_eq!(decide(CheckResponse::with_status(Status::ok(""))), Reason::Allowed);
    assert_eq!(decide(CheckResponse::with_status(Status::permission_denied("no"))), Reason::PdpDenied);
    assert_eq!(decide(CheckResponse::default()), Reason::PdpUnavailable, "Envoy itself would let it pass");
    let mut ok = envoy_types::ext_authz::v3::OkHttpResponseBuilder::new();
    ok.add_header("x-tenant", "acme", None, false);
    let mut response = CheckResponse::with_status(Status::ok(""));
    response.set_http_response(ok);
    assert_eq!(decide(response), Reason::ObligationUnknown);
    let mut denied = envoy_types::ext_authz::v3::DeniedHttpResponseBuilder::new();
    denied.set_body("no");
    let mut response = CheckResponse::with_status(Status::ok(""));
    response.set_http_response(denied);
    assert_eq!(decide(response), Reason::PdpUnavailable, "a yes that is denied");
}

/// They are read at once.
#[test]
fn answers_of_one_round_have_a_bound_together() {
    let mut config = configuration();
    let policy = "package everycall.ask\n\nask contains {\"id\": id, \"pdp\": \"default\", \"subject\": {\"type\": \"user\", \"id\": id}, \
        \"action\": {\"name\": \"a\"}, \"resource\": {\"type\": \"r\", \"id\": \"1\"}} if some id in {\"1\", \"2\", \"3\"}\n\n\
        decision := {\"allow\": true} if not some_no\n\nsome_no if { some id in {\"1\", \"2\", \"3\"}; not input.pdp[id].decision }\n";
    config["bundle"]["inline"]["policies"]["ask.rego"] = json!(policy);
    config["pdps"]["default"] = json!({"protocol": "authzen", "cluster": "pdp", "host": "pdp",
        "breaker": {"failures": 1, "open_ms": 1000}});
    let body = |bytes: usize| format!("{{\"decision\":true}}{}", " ".repeat(bytes - 17));
    for (sizes, expected) in [
        ([17, 17, MAX_ANSWER - 34], Reason::Allowed),
        ([17, 17, MAX_ANSWER - 33], Reason::PdpUnavailable),
        ([30_000, 30_000, 30_000], Reason::PdpUnavailable),
        ([MAX_ANSWER, 17, 17], Reason::PdpUnavailable),
        ([20_000, 20_000, 20_000], Reason::Allowed),
    ] {
        let mut engine = engine(&config);
        let (calls, pending) = asks(engine.check(request(1, "/ask", &token(60)), NOW));
        assert_eq!(calls.len(), 3, "{sizes:?}");
        let replies = sizes.map(|bytes| Reply::http(200, body(bytes))).into();
        assert_eq!(reason(engine.resume(pending, replies, NOW)), expected, "{sizes:?}");
        assert!(!is_open(&engine), "it is there");
    }
}
