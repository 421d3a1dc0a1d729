//! What a page shows as printed is what is printed, but for ids, times and digests.

use everycall::cases::CaseFile;
use everycall::mint::TestKey;
use everycall_core::facts::FeedKind;
use everycall_core::UnixTime;
use everycall_tests::envoy::root;
use everycall_tests::feeds::{document, issue};
use serde_json::{json, Value};

use crate::page::{section, COMMANDS};

const AT: i64 = 1_795_500_000;

/// The second call of the page: the agent of a task about one order reads another.
fn request() -> Value {
    let file = json!({"about": "a", "cases": [{"name": "a", "expect": {"decision": "deny"},
        "request": {"method": "GET", "host": "orders.shop.example", "path": "/orders/o-2002",
            "headers": [["x-purpose", "answer-customer"]]},
        "token": {"issuer": "https://id.shop.example/agents", "claims": {"sub": "user:alice",
            "act": {"sub": "spiffe://shop.example/agent/support-bot"}, "task": "order:o-1001"}}}]});
    let config = everycall_tests::cases::whole_reference().unwrap();
    let file = CaseFile::parse("inline", &file.to_string()).unwrap();
    let wire = file.cases[0].request(&config, UnixTime::from_secs(AT)).unwrap();
    let headers = wire.headers.iter().map(|(name, value)| json!([name, String::from_utf8_lossy(value)]));
    json!({"method": wire.method, "host": wire.host, "path": "/orders/o-2002", "headers": headers.collect::<Vec<_>>()})
}

/// A line without what differs each time: the decision's id and time, the revision, and how long a token lasts.
fn lasting(line: &str) -> String {
    match (line.trim_start().starts_with("decision "), line.split_once(", expires in ")) {
        (true, _) => "  decision".to_owned(),
        (_, Some((line, _))) => line.to_owned(),
        _ => line.to_owned(),
    }
}

#[test]
fn the_explanation_on_the_page_is_what_is_printed() {
    let temporary = tempfile::tempdir().unwrap();
    let path = |name: &str| temporary.path().join(name).display().to_string();
    let list =
        document(&[], &issue(FeedKind::Revocations, 1, UnixTime::from_secs(AT)), &TestKey::es256().unwrap());
    std::fs::write(path("revocations"), list).unwrap();
    std::fs::write(path("requests"), request().to_string()).unwrap();
    let config = root().join("policies/everycall.yaml").display().to_string();
    let (revocations, requests, at) = (path("revocations"), path("requests"), AT.to_string());
    let mut out = Vec::new();
    let arguments = [
        "everycall",
        "decide",
        "--config",
        &config,
        "--revocations",
        &revocations,
        "--requests",
        &requests,
        "--at",
        &at,
        "--explain",
    ];
    assert_eq!(everycall::commands::run(arguments, &mut out), 0);
    let printed = String::from_utf8(out).unwrap();
    let shown = section(COMMANDS, "## Trying policies out").block("text");
    let lines = |text: &str| text.trim_end().lines().map(lasting).collect::<Vec<_>>();
    assert_eq!(lines(&printed), lines(&shown), "{printed}");
}
