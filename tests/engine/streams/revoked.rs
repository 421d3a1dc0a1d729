//! Open streams of callers that are revoked.

use everycall_core::{Reason, UnixTime};
use serde_json::json;

use super::{millis, public, token_of_task, with_feed, Host};
use crate::{get, later, reason, request, token, yes, NOW};

#[test]
fn a_revoked_task_ends_its_streams_and_no_other() {
    let mut config = with_feed();
    config["issuers"][0]["task_claim"] = json!("task");
    public(&mut config);
    let mut host = Host::with_list(&config);
    let (one, other) = (token_of_task("t-1"), token_of_task("t-2"));
    for stream in 0..300 {
        host.admit(stream, "/open", if stream % 3 == 0 { &one } else { &other });
    }
    host.admit(300, "/open", &token(600));
    host.admit_request(get(301, "/public", &[]));
    host.until(millis(3_000));
    // Some are young.
    for stream in 302..330 {
        host.admit(stream, "/open", if stream % 3 == 0 { &one } else { &other });
    }
    let until = later(3_600).to_string();
    host.publish(
        2,
        &[
            json!({"revoke": "task", "id": "t-1", "expires_at": until}),
            json!({"revoke": "task", "id": "t-3", "expires_at": until}),
        ],
    );
    host.until(millis(4_000));
    let expected: Vec<u64> = (0..330).filter(|stream| stream % 3 == 0 && *stream != 300).collect();
    assert_eq!(host.cut.keys().map(|stream| stream.0).collect::<Vec<_>>(), expected);
    assert!(host.cut.values().all(|reason| reason == "revoked"));
    let record = &host.records[0];
    assert_eq!(record.detail.as_deref(), Some("its task was revoked"));
    assert_eq!(record.identity.as_ref().unwrap().task.as_deref(), Some("t-1"));
    // No new one gets in.
    assert_eq!(reason(host.engine.check(request(400, "/open", &one), host.now)), Reason::Revoked);
    assert_eq!(reason(host.engine.check(request(400, "/open", &other), host.now)), Reason::Allowed);
    host.until(millis(8_000));
    assert_eq!(host.cut.len(), expected.len());
}

#[test]
fn a_stream_is_found_by_whatever_is_revoked_of_its_caller() {
    let until = later(3_600).to_string();
    let issuer = "https://id.shop.example/workloads";
    let iat = NOW.secs();
    let at = |secs: i64| UnixTime::from_secs(iat + secs).to_string();
    for (fact, expected) in [
        (json!({"revoke": "subject", "id": "s"}), true),
        (json!({"revoke": "subject", "id": "s", "issuer": issuer}), true),
        (json!({"revoke": "subject", "id": "s", "issuer": "https://other"}), false),
        (json!({"revoke": "subject", "id": "t"}), false),
        (json!({"revoke": "actor", "id": "s"}), false),
        (json!({"revoke": "subject", "id": "s", "issued_before": at(100)}), true),
        (json!({"revoke": "subject", "id": "s", "issued_before": at(-100)}), false),
        (json!({"revoke": "subject", "id": "s", "issued_before": at(1)}), true),
        (json!({"revoke": "subject", "id": "s", "issued_before": at(0)}), false),
        (json!({"revoke": "issuer", "issuer": issuer, "issued_before": at(100)}), true),
        (json!({"revoke": "issuer", "issuer": issuer, "issued_before": at(-100)}), false),
        (json!({"revoke": "issuer", "issuer": issuer, "issued_before": at(1)}), true),
        (json!({"revoke": "issuer", "issuer": issuer, "issued_before": at(0)}), false),
    ] {
        let mut host = Host::with_list(&with_feed());
        host.admit(1, "/open", &token(600));
        host.until(millis(2_000));
        host.admit(2, "/open", &token(600));
        let mut fact = fact;
        fact["expires_at"] = json!(until);
        host.publish(2, &[fact.clone()]);
        host.until(millis(3_000));
        let cut = [host.cut_for(1), host.cut_for(2)];
        assert_eq!(cut, [expected.then_some("revoked"); 2], "{fact}");
    }
}

/// Streams were admitted under a list that was fresh. What comes new is refused.
#[test]
fn open_streams_stay_while_there_is_no_news_of_revocations() {
    let mut config = with_feed();
    let mut host = Host::with_list(&config);
    host.admit(1, "/open", &token(600));
    host.until(millis(2_000));
    host.list = None;
    host.until(millis(70_000));
    assert_eq!(
        reason(host.engine.check(request(2, "/open", &token(600)), host.now)),
        Reason::RevocationsStale
    );
    host.change(&mut config);
    host.until(millis(75_000));
    assert!(host.cut.is_empty());
    // It is looked at again when there is news.
    host.publish(2, &[json!({"revoke": "subject", "id": "s", "expires_at": later(3_600).to_string()})]);
    host.until(millis(78_000));
    assert_eq!(host.cut_for(1), Some("revoked"));
}

/// One that was revoked while a decision point was asked about it is not let go on by the answer.
#[test]
fn a_stream_that_is_asked_about_can_be_revoked() {
    let mut config = with_feed();
    let mut host = Host::with_list(&config);
    host.admit_asking(1, "/ask", &token(600));
    host.until(millis(1_000));
    host.change(&mut config);
    host.until(millis(1_100));
    assert_eq!(host.asked.len(), 1);
    host.publish(2, &[json!({"revoke": "subject", "id": "s", "expires_at": later(3_600).to_string()})]);
    host.until(millis(2_000));
    assert_eq!(host.cut_for(1), Some("revoked"));
    host.answer(yes());
    assert_eq!((host.open(), host.engine.stats().pending), (0, 0));
}
