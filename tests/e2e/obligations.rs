//! What a policy wants done along with its decision, as a client and an upstream of Envoy see it.

use std::sync::{Arc, LazyLock};
use std::time::{Duration, Instant};

use serde_json::{json, Value};

use crate::requests::{get, with_policy};
use crate::world::{Seen, World};

static SHOP: LazyLock<Arc<World>> = LazyLock::new(|| {
    let mut config = with_policy("t", "decision := data.results[input.request.segments[1]]");
    let allow = |obligations: Value| json!({"allow": true, "obligations": obligations});
    let deny = |obligations: Value| json!({"allow": false, "obligations": obligations});
    config["bundle"]["inline"]["data"]["results"] = json!({
        "request": allow(json!({"request_headers": {"set": {"x-tenant-id": "acme"}, "remove": ["x-debug"]}})),
        "response": allow(json!({"response_headers": {"set": {"x-frame-options": "DENY"}, "remove": ["x-envoy"]}})),
        "date": allow(json!({"response_headers": {"set": {"content-type": "text/plain"}, "remove": ["date"]}})),
        "stream": allow(json!({"max_stream_s": 1})),
        "unknown": allow(json!({"mask": ["iban"]})),
        "split": allow(json!({"response_headers": {"set": {"x-a": "b\r\nx-injected: 1"}}})),
        "step_up": deny(json!({"step_up": {"acr_values": ["urn:shop:mfa"], "max_age": 300}})),
        "teapot": deny(json!({"response": {"status": 418}})),
        "gone": deny(json!({"response": {"status": 410, "body": "Gone for good."},
                            "response_headers": {"set": {"x-contact": "team@shop.example"}}})),
        "slowly": deny(json!({"response": {"status": 429, "body": {"error": "slow_down"}},
                              "response_headers": {"set": {"retry-after": "30"}}})),
    });
    World::with(&config)
});

fn send(path: &str, headers: &[(&str, &str)]) -> Seen {
    let mut request = get("t", path);
    request.headers =
        headers.iter().map(|(name, value)| ((*name).to_owned(), value.as_bytes().to_vec())).collect();
    SHOP.send("only", &request)
}

fn refused(seen: &Seen, status: u16, reason: &str) {
    assert_eq!((seen.response.status, seen.reason()), (status, reason), "{}", seen.line);
    assert!(seen.upstream.is_empty());
}

#[test]
fn obligation_on_request_headers() {
    let client = [
        ("x-tenant-id", "evil"),
        ("X-Tenant-Id", "evil"),
        ("x_tenant_id", "evil"),
        ("x-debug", "1"),
        ("X_Debug", "1"),
        ("x-other", "1"),
    ];
    let seen = send("/t/request", &client);
    assert_eq!((seen.response.status, seen.reason()), (200, "allowed"), "{}", seen.line);
    let upstream = &seen.upstream[0];
    assert_eq!(upstream.all("x-tenant-id"), [b"acme"]);
    assert_eq!(upstream.all("x-other"), [b"1"]);
    for name in ["x_tenant_id", "x-debug", "x_debug"] {
        assert!(upstream.all(name).is_empty(), "{name}");
    }
    SHOP.assert_no_crash();
}

#[test]
fn obligation_on_response_headers() {
    let seen = send("/t/response", &[]);
    assert_eq!((seen.response.status, seen.response.header("x-frame-options")), (200, Some("DENY")));
    let seen = send("/t/date", &[]);
    assert_eq!(seen.response.header("content-type"), Some("text/plain"));
    // A value that would begin a header of its own never gets that far.
    let seen = send("/t/split", &[]);
    refused(&seen, 403, "obligation_invalid");
    assert_eq!(seen.response.header("x-injected"), None);
    SHOP.assert_no_crash();
}

#[test]
fn obligation_unknown() {
    refused(&send("/t/unknown", &[]), 403, "obligation_unknown");
    refused(&send("/t/teapot", &[]), 403, "obligation_invalid");
}

#[test]
fn obligation_on_the_response() {
    let seen = send("/t/gone", &[]);
    refused(&seen, 410, "policy_denied");
    assert_eq!(seen.response.body, b"Gone for good.");
    assert_eq!(seen.response.header("content-type"), Some("text/plain; charset=utf-8"));
    assert_eq!(seen.response.header("x-contact"), Some("team@shop.example"));
    let id = seen.decision.as_ref().unwrap()["id"].as_str();
    assert_eq!(seen.response.header("x-everycall-decision-id"), id);

    let seen = send("/t/slowly", &[]);
    refused(&seen, 429, "policy_denied");
    assert_eq!(seen.response.body, br#"{"error":"slow_down"}"#);
    assert_eq!(seen.response.header("content-type"), Some("application/json"));
    assert_eq!(seen.response.header("retry-after"), Some("30"));
}

#[test]
fn obligation_to_step_up() {
    let seen = send("/t/step_up", &[]);
    refused(&seen, 401, "step_up_required");
    assert_eq!(
        seen.response.header("www-authenticate"),
        Some(
            r#"Bearer realm="everycall", error="insufficient_user_authentication", acr_values="urn:shop:mfa", max_age="300""#
        )
    );
}

#[test]
fn obligation_on_the_stream() {
    // The first request waits for the proxy's start.
    send("/t/gone", &[]);
    let before = Instant::now();
    let seen = send("/t/stream/slow", &[]);
    // The upstream would take five seconds.
    assert!(before.elapsed() < Duration::from_secs(4), "{:?}", before.elapsed());
    assert_eq!(seen.reason(), "allowed", "{}", seen.line);
    assert_eq!(seen.response.status, 504, "{}", seen.line);
    assert_eq!(seen.line["response_code_details"], "upstream_max_stream_duration_reached", "{}", seen.line);
    // The client's own limit does not count.
    let seen = send("/t/stream", &[("x-envoy-upstream-stream-duration-ms", "1")]);
    assert_eq!(seen.response.status, 200, "{}", seen.line);
}
