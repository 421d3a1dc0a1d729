//! `--revocations FILE`: `decide` and `test` take a list for what a server would send, by the filter's rules.

use everycall::feed_file::{test_feed_documents, test_feed_page, FeedIssue};
use everycall::mint::TestKey;
use everycall_core::facts::FeedKind;
use everycall_core::UnixTime;
use serde_json::{json, Value};

use crate::common::{config, everycall, request, token, Files, Output, NOW};

fn remote() -> Value {
    let mut config = config();
    config["revocations"] = json!({"keys": TestKey::es256().unwrap().public_jwks(),
        "remote": {"cluster": "revocations", "host": "r.example", "path": "/r", "max_entries": 3}});
    config
}

fn revoke(subject: &str) -> Value {
    json!({"revoke": "subject", "id": subject, "expires_at": UnixTime::from_secs(NOW + 600).to_string()})
}

fn lines(facts: &[Value]) -> String {
    facts.iter().map(|fact| format!("{fact}\n")).collect()
}

fn issue(since: Option<u64>, issued_at: i64) -> FeedIssue {
    let (issued_at, expires_at) = (UnixTime::from_secs(issued_at), UnixTime::from_secs(NOW + 600));
    FeedIssue { feed: FeedKind::Revocations, sequence: 9, since, issued_at, expires_at }
}

fn signed(facts: &[Value], issue: &FeedIssue, key: &TestKey) -> String {
    String::from_utf8(test_feed_documents(facts, issue, key).unwrap().remove(0)).unwrap()
}

fn page(facts: &[Value], which: (u32, u32)) -> String {
    let key = TestKey::es256().unwrap();
    let page = test_feed_page(lines(facts).as_bytes(), &issue(None, NOW), which, &key).unwrap();
    String::from_utf8(page).unwrap()
}

/// What comes of a good request with these lists.
fn decide(config: &Value, lists: &[&str]) -> Output {
    let files = Files::new();
    let path = files.put("c.json", &config.to_string());
    let at = NOW.to_string();
    let mut arguments = vec!["decide".to_owned(), "--config".into(), path, "--at".into(), at];
    for (number, list) in lists.iter().enumerate() {
        arguments.extend(["--revocations".to_owned(), files.put(&number.to_string(), list)]);
    }
    let line = request("GET", json!([["x-purpose", "fulfilment"]]), Some(&token(json!({}))));
    everycall(&arguments.iter().map(String::as_str).collect::<Vec<_>>(), &line)
}

fn reason(config: &Value, lists: &[&str]) -> String {
    let output = decide(config, lists);
    assert_eq!((output.code, output.err.as_str()), (0, ""));
    output.json()[0]["reason"].as_str().unwrap().to_owned()
}

#[test]
fn decisions_are_made_by_the_list() {
    let output = decide(&remote(), &[]);
    assert_eq!(output.json()[0]["reason"], "revocations_stale");
    assert!(output.err.contains("WARNING: the list of `revocations.remote` is not known"), "{}", output.err);
    let key = TestKey::es256().unwrap();
    let (ours, other) = (revoke("checkout"), revoke("other"));
    let both = [other.clone(), ours.clone()];
    for (facts, expected) in
        [(&[][..], "allowed"), (std::slice::from_ref(&other), "allowed"), (&both, "revoked")]
    {
        assert_eq!(reason(&remote(), &[&lines(facts)]), expected);
        assert_eq!(reason(&remote(), &[&signed(facts, &issue(None, NOW), &key)]), expected);
        assert_eq!(reason(&remote(), &[&page(facts, (1, 2)), &page(&[], (2, 2))]), expected);
        assert_eq!(reason(&remote(), &[&page(&[], (1, 2)), &page(facts, (2, 2))]), expected);
    }
    assert_eq!(reason(&remote(), &[&lines(&[other]), &lines(std::slice::from_ref(&ours))]), "revoked");
    // Over, or for what was issued before only.
    let mut over = ours.clone();
    over["expires_at"] = json!(UnixTime::from_secs(NOW).to_string());
    assert_eq!(reason(&remote(), &[&lines(&[ours.clone(), over])]), "allowed");
    let mut before = ours;
    before["issued_before"] = json!(UnixTime::from_secs(NOW).to_string());
    assert_eq!(reason(&remote(), &[&lines(&[before])]), "allowed");
    // The revision is that of the configuration.
    let revision = |lists: &[&str]| decide(&remote(), lists).json()[0]["revision"].clone();
    assert_eq!(revision(&[""]), revision(&[]));
}

#[test]
fn a_list_is_taken_by_the_rules_on_what_is_fetched() {
    let key = TestKey::es256().unwrap();
    let facts = [revoke("checkout"), revoke("other")];
    let good = signed(&facts, &issue(None, NOW), &key);
    let refused = |config: &Value, lists: &[&str], message: &str| {
        let output = decide(config, lists);
        assert_eq!((output.code, output.out.as_str()), (1, ""), "{message}: {}", output.err);
        let line = output.err.lines().next().unwrap();
        assert!(line.starts_with("revocations.remote: `") && line.contains(message), "{}", output.err);
    };
    refused(&remote(), &[&signed(&facts, &issue(None, NOW - 61), &key)], "(expired): ");
    assert_eq!(reason(&remote(), &[&signed(&facts, &issue(None, NOW - 60), &key)]), "revoked");
    refused(&remote(), &[&signed(&facts, &issue(None, NOW + 61), &key)], "(not_yet_valid): ");
    refused(&remote(), &[&signed(&facts, &issue(Some(8), NOW), &key)], "(malformed): it tells what changed");
    refused(&remote(), &[&page(&facts, (1, 2))], "(malformed): 1 of 2 pages were given");
    refused(
        &remote(),
        &[&page(&facts, (2, 2)), &page(&[], (1, 2))],
        "(malformed): page 2 stands in the place",
    );
    refused(&remote(), &[&good[..good.len() - 1]], "(digest): ");
    refused(&remote(), &[&good.replace("checkout", "checkin_")], "(digest): ");
    refused(&remote(), &["<html>\n"], "(malformed): ");
    let mut keys = remote();
    keys["revocations"]["keys"] = TestKey::eddsa().unwrap().public_jwks();
    refused(&keys, &[&good], "(signature): ");
    let mut unknown = revoke("checkout");
    unknown["unless"] = json!("friend");
    refused(&remote(), &[&lines(&[revoke("a"), unknown])], "(invalid): line 2: ");
    refused(&remote(), &[&format!("{}{good}", lines(&facts))], "(invalid): line 3: ");
    let four: Vec<Value> = ["a", "b", "c", "d"].map(revoke).into();
    refused(&remote(), &[&lines(&four)], "(too_large): ");
    refused(&remote(), &[&signed(&four, &issue(None, NOW), &key)], "(too_large): ");
    refused(&remote(), &[&lines(&four[..2]), &lines(&four[2..])], "(too_large): ");
}

#[test]
fn a_list_needs_a_server_to_stand_in_for() {
    let mut inline = config();
    inline["revocations"] = json!({"inline": []});
    for config in [config(), inline] {
        let output = decide(&config, &[""]);
        assert_eq!((output.code, output.out.as_str()), (2, ""));
        assert!(output.err.contains("has no `revocations.remote`"), "{}", output.err);
    }
}

#[test]
fn cases_run_by_the_list() {
    let files = Files::new();
    files.put("everycall.yaml", &remote().to_string());
    let case = json!({"about": "a", "cases": [{"name": "reads", "expect": {"decision": "allow"},
        "request": {"method": "GET", "host": "orders.example", "path": "/orders/o-1", "headers": [["x-purpose", "fulfilment"]]},
        "token": {"issuer": "https://id.example", "claims": {"sub": "checkout"}}}]});
    files.put("cases/a.json", &case.to_string());
    let directory = files.path("").to_str().unwrap().to_owned();
    let at = NOW.to_string();
    let run = |more: &[&str]| everycall(&[&["test", &directory, "--at", &at, "--json"], more].concat(), "");
    let output = run(&[]);
    assert_eq!((output.code, &output.json()[0]["unread"]), (0, &json!(["revocations.remote"])));
    assert!(output.err.contains("WARNING: there are no revocations here"), "{}", output.err);
    for (fact, code) in [("other", 0), ("checkout", 1)] {
        let output = run(&["--revocations", &files.put("list", &lines(&[revoke(fact)]))]);
        assert_eq!((output.code, &output.json()[0]["unread"]), (code, &json!([])), "{}", output.all());
        assert!(!output.err.contains("WARNING: there are no revocations"), "{}", output.err);
    }
}
