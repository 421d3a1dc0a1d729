//! Tokens, key sets and metadata. What is issued is verified by the filter's own core.

use everycall_core::{Identity, PureRust, Settings};

use super::*;
use crate::clock;
use crate::devserver::{with_test_keys, TestKeys};

const TOKEN: &str = "/issuers/agents/token";

fn verified(answer: &Value) -> Identity {
    let settings = Settings::from_value(config()).unwrap();
    let token = answer["access_token"].as_str().unwrap();
    settings.verify(token, &PureRust, clock::now()).unwrap()
}

#[tokio::test]
async fn a_token_binds_the_agent_its_principal_and_an_open_task() {
    let server = Running::start(options()).await;
    server.post("/tasks", json!({"id": "t-1", "owner": "alice"})).await;
    let request = json!({"sub": "alice", "act": {"sub": "spiffe://shop.example/agent"}, "task": "t-1",
        "lifetime_s": 900, "claims": {"purpose": "refund"}});
    let (status, answer) = server.post(TOKEN, request).await;
    assert_eq!(
        (status, &answer["token_type"], &answer["expires_in"]),
        (StatusCode::OK, &json!("Bearer"), &json!(900))
    );
    let identity = verified(&answer);
    assert_eq!(identity.id, "spiffe://shop.example/agent");
    assert_eq!(identity.on_behalf_of.as_deref(), Some("alice"));
    assert_eq!(identity.task.as_deref(), Some("t-1"));
    assert_eq!(identity.key_id.as_deref(), Some("k1"));
    assert_eq!(identity.claims.find_text("purpose"), Some("refund"));
    assert_eq!(identity.claims.find_text("aud"), Some("orders"));
}

#[tokio::test]
async fn the_least_request_is_a_subject() {
    let server = Running::start(options()).await;
    let (_, first) = server.post(TOKEN, json!({"sub": "checkout"})).await;
    let (_, second) = server.post(TOKEN, json!({"sub": "checkout", "audience": "inventory"})).await;
    assert_eq!(first["expires_in"], 300);
    assert_eq!(verified(&second).claims.find_text("aud"), Some("inventory"));
    let (first, second) = (verified(&first), verified(&second));
    assert_eq!((first.id.as_str(), first.on_behalf_of, first.task), ("checkout", None, None));
    assert_ne!(first.token_id, second.token_id);
}

#[tokio::test]
async fn an_ended_task_gets_no_more_tokens() {
    let server = Running::start(options()).await;
    let request = json!({"sub": "agent", "task": "t-1"});
    server.refused(Method::POST, TOKEN, request.to_string(), 400, "`t-1` is not open").await;
    server.post("/tasks", json!({"id": "t-1", "owner": "alice"})).await;
    assert_eq!(server.post(TOKEN, request.clone()).await.0, StatusCode::OK);
    server.delete("/tasks/t-1").await;
    let (_, answer) = server.post(TOKEN, request.clone()).await;
    assert_eq!(answer["error"], "invalid_grant");
    server.refused(Method::POST, TOKEN, request.to_string(), 400, "`t-1` is not open").await;
}

#[tokio::test]
async fn a_token_of_a_task_is_refreshed_while_the_task_lives() {
    let server = Running::start(options()).await;
    server.post("/tasks", json!({"id": "t-1", "owner": "alice"})).await;
    let (_, unbound) = server.post(TOKEN, json!({"sub": "checkout"})).await;
    assert_eq!(unbound.get("refresh_token"), None, "nothing would ever end it");
    let request = json!({"sub": "alice", "act": {"sub": "spiffe://shop.example/agent"}, "task": "t-1",
        "lifetime_s": 60, "claims": {"purpose": "refund"}});
    let (_, first) = server.post(TOKEN, request).await;
    let secret = first["refresh_token"].as_str().unwrap();
    let refresh = json!({"grant_type": "refresh_token", "refresh_token": secret});
    let form = format!("grant_type=refresh_token&refresh_token={}&client_id=x", secret.replace(':', "%3A"));
    for body in [refresh.to_string(), form.clone()] {
        let (status, next) = server.call(Method::POST, TOKEN, body).await;
        assert_eq!((status, &next["expires_in"]), (StatusCode::OK, &json!(60)), "{next}");
        assert_eq!(next["refresh_token"], secret);
        let (old, new) = (verified(&first), verified(&next));
        assert_eq!((new.id, new.on_behalf_of, new.task), (old.id, old.on_behalf_of, old.task));
        assert_eq!(new.claims.find_text("purpose"), Some("refund"));
        assert_ne!(new.token_id, old.token_id);
    }
    let (_, task) = server.get("/tasks/t-1").await;
    assert_eq!(task["tokens"], 3);

    for (path, body, error) in [
        ("people", refresh.clone(), "invalid_grant"),
        ("agents", json!({"grant_type": "refresh_token", "refresh_token": "t-1~0"}), "invalid_grant"),
        ("agents", json!({"grant_type": "refresh_token", "refresh_token": "t-1"}), "invalid_grant"),
        ("agents", json!({"grant_type": "password", "refresh_token": secret}), "unsupported_grant_type"),
        ("agents", json!({"grant_type": "refresh_token"}), "invalid_request"),
        (
            "agents",
            json!({"grant_type": "refresh_token", "refresh_token": secret, "sub": "bob"}),
            "invalid_request",
        ),
    ] {
        let (status, answer) = server.post(&format!("/issuers/{path}/token"), body).await;
        assert_eq!((status, &answer["error"]), (StatusCode::BAD_REQUEST, &json!(error)), "{answer}");
    }

    server.post("/tasks/t-1/end", json!({})).await;
    for body in [refresh.to_string(), form] {
        server.refused(Method::POST, TOKEN, body, 400, "`t-1` is not open").await;
    }
}

#[tokio::test]
async fn of_many_refresh_tokens_the_newest_work() {
    let server = Running::start(options()).await;
    server.post("/tasks", json!({"id": "t-1", "owner": "alice"})).await;
    let mut secrets = Vec::new();
    for _ in 0..=100 {
        let (_, answer) = server.post(TOKEN, json!({"sub": "a", "task": "t-1"})).await;
        secrets.push(answer["refresh_token"].clone());
    }
    let status = async |secret: &Value| {
        server.post(TOKEN, json!({"grant_type": "refresh_token", "refresh_token": secret})).await.0
    };
    assert_eq!(status(&secrets[0]).await, StatusCode::BAD_REQUEST);
    assert_eq!(status(&secrets[1]).await, StatusCode::OK);
    assert_eq!(status(&secrets[100]).await, StatusCode::OK);
}

#[tokio::test]
async fn bad_requests_get_no_token() {
    let server = Running::start(options()).await;
    server.post("/tasks", json!({"id": "t-1", "owner": "alice"})).await;
    for (body, words) in [
        ("", "not a strict JSON object"),
        ("sub=checkout", "not a strict JSON object"),
        (r#"{"sub":"a","sub":"b"}"#, "duplicate member"),
        ("{}", "missing field `sub`"),
        (r#"{"sub":""}"#, "`sub`"),
        (r#"{"sub":"a","scope":"x"}"#, "unknown field `scope`"),
        (
            r#"{"sub":"a","lifetime_s":901}"#,
            "`lifetime_s` is 901; tokens of the issuer `agents` live 1 to 900 s",
        ),
        (r#"{"sub":"a","lifetime_s":0}"#, "`lifetime_s` is 0"),
        (r#"{"sub":"a","lifetime_s":-1}"#, "`lifetime_s` is -1"),
        (r#"{"sub":"a","lifetime_s":1.5}"#, "expected i64"),
        (r#"{"sub":"a","audience":""}"#, "`audience`"),
        (r#"{"sub":"a","act":{}}"#, "`act.sub`"),
        (r#"{"sub":"a","act":{"sub":""}}"#, "`act.sub`"),
        (r#"{"sub":"a","act":"b"}"#, "expected a map"),
        (r#"{"sub":"a","claims":{"exp":9}}"#, "`claims.exp` is set by the issuer"),
        (r#"{"sub":"a","claims":{"act":{"sub":"x"}}}"#, "`claims.act` is set by the issuer"),
        (r#"{"sub":"a","claims":{"task":"t-1"}}"#, "`claims.task` is set by the issuer"),
    ] {
        server.refused(Method::POST, TOKEN, body, 400, words).await;
    }
    let (_, answer) = server.post(TOKEN, json!({})).await;
    assert_eq!(answer["error"], "invalid_request");
    let padded = json!({"sub": "a".repeat(64 * 1024)}).to_string();
    server.refused(Method::POST, TOKEN, padded, 413, "length limit").await;

    let people = "/issuers/people/token";
    server.refused(Method::POST, people, r#"{"sub":"a","lifetime_s":121}"#, 400, "live 1 to 120 s").await;
    server.refused(Method::POST, people, r#"{"sub":"a","task":"t-1"}"#, 400, "no `task_claim`").await;
    server.refused(Method::POST, people, r#"{"sub":"a"}"#, 500, "no private key").await;
    server.refused(Method::POST, "/issuers/robots/token", r#"{"sub":"a"}"#, 404, "no issuer `robots`").await;
    server.refused(Method::POST, "/issuers/robots/token", "", 404, "no issuer `robots`").await;
    server.refused(Method::GET, TOKEN, "", 405, "no such method").await;
}

#[tokio::test]
async fn keys_and_metadata() {
    let server = Running::start(options()).await;
    assert_eq!(server.get("/issuers/agents/jwks.json").await, (StatusCode::OK, TestSigner::new().keys()));
    let (_, metadata) = server.get("/issuers/agents/.well-known/openid-configuration").await;
    assert_eq!(metadata["issuer"], ISSUER);
    assert_eq!(metadata["jwks_uri"], server.url("/issuers/agents/jwks.json"));
    assert_eq!(metadata["token_endpoint"], server.url(TOKEN));
    assert_eq!(metadata["id_token_signing_alg_values_supported"], json!(["ES256"]));
    server.refused(Method::GET, "/issuers/people/jwks.json", "", 404, "no key").await;
    for path in ["jwks.json", ".well-known/openid-configuration"] {
        server.refused(Method::GET, &format!("/issuers/robots/{path}"), "", 404, "no issuer `robots`").await;
    }
}

#[tokio::test]
async fn a_token_is_not_cached_and_has_an_accepted_type() {
    let mut options = options();
    options.config["issuers"][0]["types"] = json!(["at+jwt"]);
    let server = Running::start(options).await;
    let response = server.client.post(server.url(TOKEN)).body(r#"{"sub":"a"}"#).send().await.unwrap();
    assert_eq!(response.headers()["cache-control"], "no-store");
    let answer: Value = response.json().await.unwrap();
    let token = answer["access_token"].as_str().unwrap();
    let header = URL_SAFE_NO_PAD.decode(token.split('.').next().unwrap()).unwrap();
    let header: Value = serde_json::from_slice(&header).unwrap();
    assert_eq!(header, json!({"alg": "ES256", "kid": "k1", "typ": "at+jwt"}));
}

#[test]
fn an_issuer_whose_keys_are_on_a_server_signs_with_a_test_key_that_it_serves() {
    let mut document = config();
    document["issuers"][0]["algorithms"] = json!(["EdDSA", "ES256"]);
    document["issuers"][0]["keys"] =
        json!({"remote": {"cluster": "keys", "host": "h", "path": "/jwks.json"}});
    document["issuers"][1]["profile"] = json!("spiffe");
    document["issuers"][1]["issuer"] = json!("spiffe://shop.example");
    document["issuers"][1]["keys"] = document["issuers"][0]["keys"].clone();
    document["issuers"][1].as_object_mut().unwrap().remove("max_lifetime_s");
    let document = with_test_keys(document).unwrap();
    let keys = TestKeys::of(&document).unwrap();
    let jwks = keys.jwks(ISSUER).unwrap();
    assert_eq!(
        (&jwks["keys"][0]["alg"], &jwks["keys"][0]["kid"]),
        (&json!("EdDSA"), &json!("test-only-eddsa"))
    );
    assert_eq!(keys.jwks("spiffe://shop.example").unwrap()["keys"][0]["use"], "jwt-svid");
    assert_eq!(document["issuers"][1]["max_lifetime_s"], 300);
    assert!(document["issuers"][0]["keys"].get("remote").is_none());
    // It is a configuration that trusts what is signed.
    assert!(everycall_core::Settings::from_value(document).is_ok());
}
