//! What Prometheus gets of a real Envoy that was started from a rendered bootstrap.

use std::collections::{BTreeMap, BTreeSet};
use std::time::{Duration, Instant};

use everycall_filter::METRICS;
use everycall_tests::envoy::lead;
use serde_json::json;

use crate::requests::{get, with_policy};
use crate::world::{Listener, Paths, World};

#[test]
fn decisions_are_counted_by_outcome_and_reason() {
    let world = World::with(&everycall_tests::cases::reference().unwrap());
    let request = crate::requests::get("orders.shop.example", "/orders");
    for _ in 0..3 {
        world.send("only", &request);
    }
    let text = world.envoy.admin("/stats/prometheus").unwrap();
    let line = text
        .lines()
        .find(|line| line.starts_with("everycall_decisions{"))
        .unwrap_or_else(|| panic!("{text}"));
    for label in ["outcome=\"deny\"", "reason=\"credential_missing\"", "instance=\"only\""] {
        assert!(line.contains(label), "{line}");
    }
    assert!(line.ends_with(" 3"), "{line}");
}

/// The lines of the filter's metrics: the name, and the labels with their values.
fn exposed(text: &str) -> Vec<(String, BTreeMap<String, String>)> {
    let lines = text.lines().filter(|line| line.starts_with("everycall"));
    let parsed = lines.map(|line| {
        let (name, rest) = line.split_once('{').unwrap_or_else(|| panic!("no labels: {line}"));
        let labels = rest.rsplit_once('}').unwrap().0;
        let label = |label: &str| {
            let (name, value) = label.split_once('=').unwrap_or_else(|| panic!("{line}"));
            (name.to_owned(), value.trim_matches('"').to_owned())
        };
        (name.to_owned(), labels.split(',').map(label).collect())
    });
    parsed.collect()
}

/// Each metric of the table that can be seen without waiting for an accident: with its name, and its labels made of the
/// whole of what the host was told.
#[test]
fn prometheus_gets_the_names_and_labels_of_the_table() {
    let rego = "ask contains {\"id\": \"q\", \"action\": {\"name\": \"a\"}, \"resource\": {\"id\": \"r\", \"type\": \"t\"}, \
                \"subject\": {\"id\": \"s\", \"type\": \"t\"}} if true\n\
                decision := {\"allow\": true} if input.pdp.q.decision";
    let mut config = with_policy("t", rego);
    let keys = everycall::mint::TestKey::es256().unwrap().public_jwks();
    for feed in ["revocations", "signals"] {
        config[feed] = json!({"keys": keys, "remote": {"cluster": feed, "host": "f", "path": "/f"}});
    }
    config["bundle"]["keys"] = keys;
    config["bundle"]["remote"] = json!({"cluster": "bundles", "host": "b", "path": "/b"});
    config["bundle"]["inline"]["rule_sets"]["t"] = json!({"shadow": "public"});
    config["issuers"][0]["keys"] = json!({"remote": {"cluster": "issuer", "host": "i", "path": "/jwks"}});
    let listener = Listener { name: "only".into(), config, paths: Paths::Plain };
    let nobody = "127.0.0.1:1".parse().unwrap();
    let world = World::start_with(&[listener], |document| {
        for cluster in ["revocations", "signals", "bundles", "issuer"] {
            lead(document, cluster, &[nobody]);
        }
    });
    world.send("only", &get("t", "/t/a"));
    world.send("only", &get("orders.shop.example", "/orders"));
    let seen = |text: &str| -> BTreeSet<String> { exposed(text).into_iter().map(|(name, _)| name).collect() };
    let expected = [
        "decisions",
        "pending",
        "awaiting_keys",
        "tokens_cached",
        "streams_open",
        "shadow",
        "keys",
        "key_fetches",
        "pdp_breakers_open",
        "pdp_questions",
        "bundle",
        "bundle_fetches",
        "feed",
        "feed_fetches",
        "slice_us_bucket",
    ];
    let expected: BTreeSet<String> = expected.iter().map(|name| format!("everycall_{name}")).collect();
    let deadline = Instant::now() + Duration::from_secs(20);
    let text = loop {
        let text = world.envoy.admin("/stats/prometheus?histogram_buckets=cumulative").unwrap();
        if expected.is_subset(&seen(&text)) {
            break text;
        }
        let missing: Vec<_> = expected.difference(&seen(&text)).cloned().collect();
        assert!(Instant::now() < deadline, "{missing:?} are not exposed:\n{text}");
        std::thread::sleep(Duration::from_millis(200));
    };
    for (name, labels) in exposed(&text) {
        let metric = METRICS.iter().find(|metric| metric.is_exposed_as(&name));
        let metric = metric.unwrap_or_else(|| panic!("`{name}` is not in the table: {labels:?}"));
        let own: BTreeSet<&str> = metric.labels.iter().copied().collect();
        let got: BTreeSet<&str> = labels.keys().map(String::as_str).filter(|label| *label != "le").collect();
        assert_eq!(got, own, "{name}: {labels:?}");
        assert!(labels.values().all(|value| !value.contains(';')), "{name}: {labels:?}");
    }
}
