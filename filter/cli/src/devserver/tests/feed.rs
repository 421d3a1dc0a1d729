//! The feeds over HTTP. Its documents are read by the filter's own core.

use std::time::Duration;

use everycall_core::facts::FeedKind;
use everycall_core::jose::{Jwks, KeyRules, Usage};
use everycall_core::sync::{read_feed, FeedHead, FileFault};
use everycall_core::{Algorithm, KeySet, PureRust, UnixTime};
use tokio::time::Instant;

use super::*;
use crate::clock;
use crate::mint::TestKey;

const FEED: &str = "/revocations";

/// An answer of the feed.
struct Answer {
    status: u16,
    etag: Option<String>,
    manipulation: Option<String>,
    body: Vec<u8>,
}

impl Answer {
    /// Its document, if a filter would take it for one.
    fn read(&self) -> Result<(FeedHead, Vec<Value>), FileFault> {
        let jwks: Jwks = serde_json::from_value(TestKey::es256().unwrap().public_jwks()).unwrap();
        let rules = KeyRules { algorithms: &Algorithm::ALL, usage: Usage::Signature };
        let keys = KeySet::read(&jwks, &rules).unwrap();
        read_feed(FeedKind::Revocations, &self.body, &keys, &PureRust).map_err(|error| error.fault())
    }
}

async fn get(server: &Running, path: &str, headers: &[(&str, &str)]) -> Answer {
    let request = server.client.get(server.url(path));
    let request = headers.iter().fold(request, |request, (name, value)| request.header(*name, *value));
    let response = request.send().await.unwrap();
    let text = |name: &str| response.headers().get(name).map(|value| value.to_str().unwrap().to_owned());
    let (status, etag, manipulation) = (response.status().as_u16(), text("etag"), text("im"));
    Answer { status, etag, manipulation, body: response.bytes().await.unwrap().to_vec() }
}

async fn changes(server: &Running, since: &Answer) -> Answer {
    let known = since.etag.as_deref().unwrap();
    get(server, FEED, &[("if-none-match", known), ("a-im", "gzip;q=0.1, everycall-delta")]).await
}

async fn fault(server: &Running, fault: Value) {
    let (status, answer) = server.call(Method::PUT, "/faults/revocations", fault.to_string()).await;
    assert_eq!((status, &answer), (StatusCode::OK, &fault));
}

fn revoked(id: &str) -> Value {
    json!({"revoke": "task", "id": id, "expires_at": "2100-01-01T00:00:00Z"})
}

#[tokio::test]
async fn the_end_of_a_task_is_a_change_of_the_feed() {
    let server = Running::start(options()).await;
    let first = get(&server, FEED, &[]).await;
    let (head, facts) = first.read().unwrap();
    assert_eq!((first.status, head.about.since, facts.len()), (200, None, 0));
    assert_eq!(changes(&server, &first).await.status, 304);

    server.post("/tasks", json!({"id": "t-1", "owner": "alice"})).await;
    let before = clock::now();
    let (_, ended) = server.post("/tasks/t-1/end", json!({"reason": "done", "ticket": "INC-1"})).await;
    let delta = changes(&server, &first).await;
    let (change, facts) = delta.read().unwrap();
    assert_eq!((delta.status, delta.manipulation.as_deref()), (226, Some("everycall-delta")));
    assert_eq!((change.about.since, change.sequence), (Some(head.sequence), head.sequence + 1));
    assert_eq!(ended["revoked_by"], change.sequence);
    let until = facts[0]["expires_at"].as_str().and_then(UnixTime::parse_rfc3339).unwrap();
    assert!(until.secs() >= before.secs() + 900, "it outlives every token of the task");
    let expected = json!({"revoke": "task", "id": "t-1", "expires_at": facts[0]["expires_at"],
        "reason": "done", "ticket": "INC-1"});
    assert_eq!((&facts[0], facts.len()), (&expected, 1));

    // Once is enough.
    server.delete("/tasks/t-1").await;
    assert_eq!(changes(&server, &delta).await.status, 304);
    // Who does not know of changes gets all of it.
    let full = get(&server, FEED, &[("if-none-match", first.etag.as_deref().unwrap())]).await;
    assert_eq!((full.status, full.manipulation.as_deref()), (200, None));
    assert_eq!(full.read().unwrap().1, facts);
    let (_, list) = server.get("/revocations/list").await;
    assert_eq!(list, json!({"sequence": change.sequence, "total": 1, "revocations": [expected]}));
}

#[tokio::test]
async fn whatever_a_feed_can_hold_can_be_revoked() {
    let server = Running::start(options()).await;
    let first = get(&server, FEED, &[]).await;
    let issuer = json!({"revoke": "issuer", "issuer": ISSUER, "issued_before": "2026-01-01T00:00:00Z"});
    let (status, answer) = server.post(FEED, issuer).await;
    assert_eq!((status, &answer["accepted"]), (StatusCode::CREATED, &json!(1)));
    server.post(FEED, json!([revoked("a"), revoked("b")])).await;
    let lines = format!("{}\n{}\n", revoked("c"), revoked("d"));
    let (_, answer) = server.call(Method::POST, FEED, lines).await;
    let delta = changes(&server, &first).await;
    let (head, facts) = delta.read().unwrap();
    assert_eq!((&answer["accepted"], answer["sequence"].as_u64()), (&json!(2), Some(head.sequence)));
    assert_eq!(head.sequence, head.about.since.unwrap() + 3);
    assert_eq!(facts[1..], ["a", "b", "c", "d"].map(revoked));
    assert!(facts[0]["expires_at"].is_string(), "{facts:?}");
    assert_eq!(server.get("/revocations/list?limit=2").await.1["revocations"].as_array().unwrap().len(), 2);
    // The last word about a thing counts.
    let over = json!({"revoke": "task", "id": "a", "expires_at": "2001-01-01T00:00:00Z"});
    server.post(FEED, over.clone()).await;
    assert_eq!(changes(&server, &delta).await.read().unwrap().1, [over]);
    server.post(FEED, revoked("e")).await;
    assert_eq!(server.get("/revocations/list").await.1["total"], 5, "what is over is forgotten");
}

#[tokio::test]
async fn what_a_feed_cannot_hold_is_refused_as_a_whole() {
    let server = Running::start(options()).await;
    let first = get(&server, FEED, &[]).await;
    for (body, words) in [
        ("", "expected an object"),
        ("{}", "[0]: missing field `revoke`"),
        (r#"{"revoke":"all","id":"x"}"#, "unknown variant `all`"),
        (r#"{"revoke":"task"}"#, "[0]: id: missing"),
        (r#"{"revoke":"token","id":"x"}"#, "[0]: issuer: missing"),
        (r#"{"revoke":"task","id":"x","why":"y"}"#, "unknown field `why`"),
        (r#"{"revoke":"task","id":"x","expires_at":"soon"}"#, "[0]: expires_at: `soon`"),
        (r#"{"revoke":"task","id":"x","id":"y"}"#, "duplicate member"),
        (r#"[{"revoke":"task","id":"x"},{"revoke":"task","id":""}]"#, "[1]: id: "),
        ("[1]", "expected an array of objects"),
    ] {
        server.refused(Method::POST, FEED, body, 400, words).await;
    }
    assert_eq!(changes(&server, &first).await.status, 304);
    server.refused(Method::GET, "/revocations?page=x", "", 400, "query").await;
    server.refused(Method::GET, "/revocations/list?limit=-1", "", 400, "query").await;
    server.refused(Method::DELETE, FEED, "", 405, "no such method").await;
}

#[tokio::test]
async fn a_long_list_comes_in_pages() {
    let server = Running::start(options()).await;
    fault(&server, json!({"mode": "many", "entries": 20_000})).await;
    let first = get(&server, FEED, &[]).await;
    let (head, facts) = first.read().unwrap();
    let mut total = facts.len();
    assert!(head.about.pages > 2, "{head:?}");
    let tag = first.etag.as_deref().unwrap();
    for page in 2..=head.about.pages {
        let next = get(&server, &format!("{FEED}?page={page}"), &[("if-match", tag)]).await;
        assert!(next.body.len() <= 1024 * 1024 + 1024, "{}", next.body.len());
        let (of, facts) = next.read().unwrap();
        assert_eq!((next.status, of.sequence, of.about.page), (200, head.sequence, page));
        total += facts.len();
    }
    assert_eq!(total, 20_000);
    let beyond = format!("{FEED}?page={}", head.about.pages + 1);
    assert_eq!(get(&server, &beyond, &[("if-match", tag)]).await.status, 404);
    assert_eq!(get(&server, "/revocations?page=2", &[("if-match", "\"1-1\"")]).await.status, 412);
    assert_eq!(server.get("/revocations/list").await.1["total"], 0, "nobody asked for those");
    // Changes go on from there, and the end of it is a new list.
    server.post(FEED, revoked("a")).await;
    assert_eq!(changes(&server, &first).await.read().unwrap().1, [revoked("a")]);
    fault(&server, json!({"mode": "ok"})).await;
    let last = changes(&server, &first).await;
    assert_eq!((last.status, last.read().unwrap().1), (200, vec![revoked("a")]));
}

#[tokio::test]
async fn it_misbehaves_on_demand() {
    let server = Running::start(options()).await;
    server.post(FEED, json!([revoked("a"), revoked("b")])).await;
    let good = get(&server, FEED, &[]).await;
    let (head, facts) = good.read().unwrap();

    fault(&server, json!({"mode": "status", "status": 503, "body": ""})).await;
    assert_eq!(get(&server, FEED, &[]).await.status, 503);
    fault(&server, json!({"mode": "body", "body": "<html>"})).await;
    let garbage = get(&server, FEED, &[]).await;
    assert_eq!((garbage.status, garbage.read().unwrap_err()), (200, FileFault::Malformed));
    fault(&server, json!({"mode": "drop"})).await;
    assert!(server.client.get(server.url(FEED)).send().await.is_err());
    fault(&server, json!({"mode": "slow", "delay_ms": 300})).await;
    let before = Instant::now();
    assert_eq!(get(&server, FEED, &[]).await.body, good.body);
    assert!(before.elapsed() >= Duration::from_millis(300));

    fault(&server, json!({"mode": "truncated"})).await;
    let cut = get(&server, FEED, &[]).await;
    assert!(cut.status == 200 && cut.read().is_err() && good.body.starts_with(&cut.body));
    fault(&server, json!({"mode": "other_key"})).await;
    let foreign = get(&server, FEED, &[]).await;
    assert_eq!((foreign.status, foreign.read().unwrap_err()), (200, FileFault::Signature));
    fault(&server, json!({"mode": "older"})).await;
    let older = get(&server, FEED, &[]).await;
    let (past, lines) = older.read().unwrap();
    assert_eq!((past.sequence, past.issued_at, lines), (1, head.issued_at, facts));
    server.post(FEED, revoked("c")).await;
    let (past, lines) = changes(&server, &good).await.read().unwrap();
    assert_eq!((past.sequence, past.about.since, lines), (1, None, vec![revoked("c")]));

    fault(&server, json!({"mode": "ok"})).await;
    assert_eq!(changes(&server, &good).await.read().unwrap().1, [revoked("c")]);
}

#[tokio::test]
async fn bad_faults_are_refused_and_change_nothing() {
    let server = Running::start(options()).await;
    for (place, body, status, words) in [
        ("revocations", r#"{"mode":"many"}"#, 400, "missing field `entries`"),
        ("revocations", r#"{"mode":"many","entries":2000001}"#, 400, "`entries` is 2000001"),
        ("revocations", r#"{"mode":"older","sequence":2}"#, 400, "unknown field `sequence`"),
        ("pdp", r#"{"mode":"older"}"#, 400, "a fault of feeds"),
        ("pdp", r#"{"mode":"other_key"}"#, 400, "a fault of feeds"),
        ("pdp", r#"{"mode":"truncated"}"#, 400, "a fault of feeds"),
        ("pdp", r#"{"mode":"many","entries":1}"#, 400, "a fault of feeds"),
        ("weather", r#"{"mode":"ok"}"#, 404, "no faults of `weather`"),
    ] {
        server.refused(Method::PUT, &format!("/faults/{place}"), body, status, words).await;
    }
    server.refused(Method::GET, "/faults/weather", "", 404, "no faults of `weather`").await;
    assert_eq!(server.get("/faults/revocations").await.1, json!({"mode": "ok"}));
    assert_eq!(server.get("/faults/pdp").await.1, json!({"mode": "ok"}));
}

#[tokio::test]
async fn without_a_private_key_nothing_is_revoked_and_it_says_so() {
    let mut options = options();
    options.config["revocations"] = json!({"keys": TestSigner::new().keys()});
    let server = Running::start(options).await;
    server.refused(Method::GET, FEED, "", 500, "no private key").await;
    server.refused(Method::POST, FEED, revoked("a").to_string(), 500, "no private key").await;
    server.post("/tasks", json!({"id": "t-1", "owner": "alice"})).await;
    let (_, ended) = server.post("/tasks/t-1/end", json!({})).await;
    assert_eq!((&ended["state"], ended.get("revoked_by")), (&json!("ended"), None));
    let drop = r#"{"mode":"drop"}"#;
    assert_eq!(server.call(Method::PUT, "/faults/revocations", drop).await.0, StatusCode::OK);
}

#[tokio::test]
async fn the_key_is_the_one_that_the_configuration_trusts() {
    let mut options = options();
    options.config["revocations"] = json!({"keys": TestKey::eddsa().unwrap().public_jwks()});
    let server = Running::start(options).await;
    let body = get(&server, FEED, &[]).await.body;
    let (header, head) = FeedHead::unverified(&body).unwrap();
    assert!(head.is_of(FeedKind::Revocations).is_ok());
    assert_eq!((&header["kid"], &header["alg"]), (&json!("test-only-eddsa"), &json!("EdDSA")));
}

#[tokio::test]
async fn signals_have_a_feed_of_their_own() {
    let mut options = options();
    options.config["signals"] = json!({"keys": TestKey::eddsa().unwrap().public_jwks()});
    let server = Running::start(options).await;
    let risk = |task: &str, value: &str| {
        json!({"about": "task", "id": task, "signal": "risk", "value": value,
            "expires_at": "2100-01-01T00:00:00Z"})
    };
    let mood = json!({"about": "task", "id": "t-1", "signal": "mood", "value": 3});
    let (status, _) = server.post("/signals", json!([risk("t-1", "low"), mood, risk("t-2", "high")])).await;
    assert_eq!(status, StatusCode::CREATED);
    server.post("/signals", risk("t-1", "high")).await;
    let (_, list) = server.get("/signals/list").await;
    assert_eq!(list["total"], 3, "the last word about one signal counts");
    assert!(list["signals"].as_array().unwrap().contains(&risk("t-1", "high")), "{list}");
    let body = get(&server, "/signals", &[]).await.body;
    let (header, head) = FeedHead::unverified(&body).unwrap();
    assert_eq!(header["kid"], json!("test-only-eddsa"));
    assert!(head.is_of(FeedKind::Signals).is_ok() && head.is_of(FeedKind::Revocations).is_err());
    assert_eq!(server.get("/revocations/list").await.1["total"], 0);
    for (body, words) in [
        (revoked("a").to_string(), "unknown field `revoke`"),
        (r#"{"about":"task","id":"t","signal":"Risk","value":1}"#.to_owned(), "[0]: signal: `Risk`"),
        (r#"{"about":"task","id":"t","signal":"risk","value":null}"#.to_owned(), "[0]: value: "),
    ] {
        server.refused(Method::POST, "/signals", body, 400, words).await;
    }
    let down = json!({"mode": "status", "status": 503, "body": ""});
    server.call(Method::PUT, "/faults/signals", down.to_string()).await;
    assert_eq!(get(&server, "/signals", &[]).await.status, 503);
    assert_eq!(get(&server, FEED, &[]).await.status, 200);
}
