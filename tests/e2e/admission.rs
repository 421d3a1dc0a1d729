//! Who gets in: tokens, grants and attributes that are missing, broken, late or too big.

use std::sync::{Arc, LazyLock};

use everycall::cases::CaseFile;
use serde_json::{json, Value};

use crate::world::{now, Seen, World};

static SHOP: LazyLock<Arc<World>> =
    LazyLock::new(|| World::with(&everycall_tests::cases::reference().unwrap()));

const CHECKOUT: &str = "spiffe://shop.example/ns/checkout/sa/checkout";

/// Reads an order as the checkout workload, with this changed in the case.
fn read_order(change: Value) -> Seen {
    let mut case = json!({
        "name": "a", "expect": {"decision": "allow"},
        "request": {"method": "GET", "host": "orders.shop.example", "path": "/orders/o-1", "headers": [["x-purpose", "show-order"]]},
        "token": {"issuer": "https://id.shop.example/workloads", "claims": {"sub": CHECKOUT}}});
    merge(&mut case, change);
    let file = CaseFile::parse("inline", &json!({"about": "a", "cases": [case]}).to_string()).unwrap();
    let config = everycall_tests::cases::reference().unwrap();
    SHOP.send("only", &file.cases[0].request(&config, now()).unwrap())
}

fn merge(into: &mut Value, from: Value) {
    match (into, from) {
        (Value::Object(into), Value::Object(from)) => {
            for (name, value) in from {
                merge(into.entry(name).or_insert(Value::Null), value);
            }
        }
        (into, from) => *into = from,
    }
}

fn refused(seen: &Seen, status: u16, reason: &str) {
    assert_eq!((seen.response.status, seen.reason()), (status, reason), "{}", seen.line);
    assert!(seen.upstream.is_empty());
    let body: Value = serde_json::from_slice(&seen.response.body).unwrap();
    assert_eq!(body["decision_id"], seen.decision.as_ref().unwrap()["id"]);
    assert_eq!(seen.response.header("content-type"), Some("application/problem+json"));
    assert_eq!(seen.response.header("www-authenticate").is_some(), status == 401);
    let details = format!("everycall_denied{{reason={reason}}}");
    assert_eq!(seen.line["response_code_details"], details.as_str());
}

#[test]
fn a_good_request_arrives_with_what_was_verified() {
    let seen = read_order(json!({}));
    assert_eq!((seen.response.status, seen.reason()), (200, "allowed"), "{}", seen.line);
    let received = &seen.upstream[0];
    assert_eq!(received.all("x-everycall-identity"), [CHECKOUT.as_bytes()]);
    assert_eq!(received.all("x-everycall-kind"), [b"workload"]);
    assert_eq!(received.all("x-everycall-grant"), [b"checkout-read-orders"]);
    assert_eq!(
        received.all("x-everycall-decision-id")[0],
        seen.decision.unwrap()["id"].as_str().unwrap().as_bytes()
    );
}

#[test]
fn token_absent() {
    refused(&read_order(json!({"token": null})), 401, "credential_missing");
}

#[test]
fn token_broken() {
    for raw in ["x", "a.b", "a.b.c", "a.b.c.d.e", "e30.e30.", "....", "eyJhbGciOiJub25lIn0.e30."] {
        let headers = json!([["x-purpose", "show-order"], ["authorization", format!("Bearer {raw}")]]);
        let seen = read_order(json!({"token": null, "request": {"headers": headers}}));
        assert_eq!(seen.response.status, 401, "{raw}: {}", seen.line);
        assert!(seen.upstream.is_empty());
    }
    refused(&read_order(json!({"token": {"sign": "flip"}})), 401, "token_signature");
    refused(&read_order(json!({"token": {"sign": "foreign"}})), 401, "token_signature");
    refused(
        &read_order(json!({"token": {"header": {"alg": "none"}, "sign": "none"}})),
        401,
        "token_algorithm",
    );
    SHOP.assert_no_crash();
}

#[test]
fn token_expired() {
    refused(
        &read_order(json!({"token": {"claims": {"iat": {"$now": -300}, "exp": {"$now": -1}}}})),
        401,
        "token_expired",
    );
    // Also one that was admitted before, from the cache.
    let short = json!({"token": {"claims": {"jti": "short", "iat": {"$now": -300}, "exp": {"$now": 6}}}});
    let mut case = json!({"name": "a", "expect": {"decision": "allow"},
        "request": {"method": "GET", "host": "orders.shop.example", "path": "/orders/o-1", "headers": [["x-purpose", "show-order"]]},
        "token": {"issuer": "https://id.shop.example/workloads", "claims": {"sub": CHECKOUT}}});
    merge(&mut case, short);
    let file = CaseFile::parse("inline", &json!({"about": "a", "cases": [case]}).to_string()).unwrap();
    let request = file.cases[0].request(&everycall_tests::cases::reference().unwrap(), now()).unwrap();
    assert_eq!(SHOP.send("only", &request).reason(), "allowed");
    std::thread::sleep(std::time::Duration::from_millis(6_100));
    refused(&SHOP.send("only", &request), 401, "token_expired");
}

#[test]
fn token_too_big() {
    let claim = "a".repeat(9_000);
    refused(&read_order(json!({"token": {"claims": {"large": claim}}})), 401, "token_too_large");
}

#[test]
fn token_twice() {
    let token =
        json!({"bearer": {"issuer": "https://id.shop.example/workloads", "claims": {"sub": CHECKOUT}}});
    let seen =
        read_order(json!({"request": {"headers": [["x-purpose", "show-order"], ["authorization", token]]}}));
    refused(&seen, 400, "credential_ambiguous");
}

#[test]
fn token_key_unknown() {
    refused(&read_order(json!({"token": {"header": {"kid": "nobody"}}})), 401, "token_key_unknown");
}

#[test]
fn token_bound_without_proof() {
    refused(
        &read_order(
            json!({"token": {"claims": {"cnf": {"jkt": "0ZcOCORZNYy-DWpqq30jZyJGHTN0d2HglBV3uiguA4I"}}}}),
        ),
        401,
        "binding_missing",
    );
}

#[test]
fn grant_absent() {
    refused(&read_order(json!({"request": {"method": "DELETE"}})), 403, "not_granted");
    refused(
        &read_order(json!({"token": {"claims": {"sub": "spiffe://shop.example/ns/checkout/sa/other"}}})),
        403,
        "not_granted",
    );
    refused(&read_order(json!({"request": {"host": "inventory.shop.example"}})), 403, "not_granted");
}

#[test]
fn grant_of_another_kind() {
    // The same subject from an issuer of agents.
    let seen = read_order(json!({"token": {"issuer": "https://id.shop.example/agents"}}));
    refused(&seen, 403, "not_granted");
}

#[test]
fn grant_over() {
    let mut config = everycall_tests::cases::reference().unwrap();
    let grants = config["bundle"]["inline"]["grants"].as_array_mut().unwrap();
    let grant = grants.iter_mut().find(|grant| grant["id"] == "public-health").unwrap();
    grant["valid_until"] = json!("2020-01-01T00:00:00Z");
    let world = World::with(&config);
    let seen = world.send("only", &crate::requests::get("orders.shop.example", "/healthz"));
    assert_eq!((seen.response.status, seen.reason()), (401, "credential_missing"), "{}", seen.line);
}

#[test]
fn attribute_absent() {
    // Plain text: there is no peer whose id the policy could like.
    let config = crate::requests::with_policy(
        "t",
        "decision := {\"allow\": true} if startswith(input.connection.peer_id, \"\")\n\
         decision := {\"allow\": true} if input.connection.tls_version != \"TLSv1.0\"",
    );
    let world = World::with(&config);
    let seen = world.send("only", &crate::requests::get("t", "/t/a"));
    assert_eq!((seen.response.status, seen.reason()), (403, "policy_undefined"), "{}", seen.line);
}
