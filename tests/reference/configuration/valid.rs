//! The objects of a configuration, and a valid one with at least one of each.

use serde_json::{json, Value};

/// The objects of a configuration: their names in the table, `*` for any name and `[]` for any
/// place in a list.
pub(super) const OBJECTS: &[&str] = &[
    "",
    "issuers[]",
    "issuers[].keys",
    REMOTE,
    "issuers[].kinds[]",
    "credentials[]",
    "dpop",
    "mtls",
    "mtls.forwarded",
    "hosts.*",
    "source",
    "api_keys[]",
    "bundle",
    BUNDLE,
    "bundle.inline",
    "bundle.inline.rule_sets.*",
    "bundle.inline.grants[]",
    "bundle.inline.grants[].delegation",
    "bundle.inline.elevations[]",
    "bundle.inline.exceptions[]",
    "revocations",
    "revocations.inline[]",
    FEED,
    "signals",
    "signals.inline[]",
    SIGNALS,
    "pdps.*",
    "pdps.*.breaker",
    "limits",
    "streams",
    "log",
    "observe",
];

/// The one object that excludes another: `issuers[].keys.inline`.
pub(super) const REMOTE: &str = "issuers[].keys.remote";

/// The one that needs another beside it: `bundle.keys`.
pub(super) const BUNDLE: &str = "bundle.remote";

/// The other ones that exclude what is inline.
pub(super) const FEED: &str = "revocations.remote";
pub(super) const SIGNALS: &str = "signals.remote";

/// A valid configuration with at least one of each object, and this one.
pub(super) fn valid_with(object: &str) -> Value {
    let mut config = valid();
    if object == REMOTE {
        config["issuers"][0]["keys"] = json!({"remote": {"cluster": "c", "host": "h", "path": "/p"}});
    }
    if object == BUNDLE {
        config["bundle"]["remote"] = json!({"cluster": "c", "host": "h", "path": "/p"});
        config["bundle"]["keys"] = everycall::mint::TestKey::es256().unwrap().public_jwks();
    }
    if let Some(feed) = [FEED, SIGNALS].into_iter().find(|feed| *feed == object) {
        let feed = feed.strip_suffix(".remote").unwrap();
        config[feed] = json!({"remote": {"cluster": "c", "host": "h", "path": "/p"},
            "keys": everycall::mint::TestKey::es256().unwrap().public_jwks()});
    }
    config
}

/// A valid configuration with at least one of each object but those four.
pub(super) fn valid() -> Value {
    let mut config = everycall_tests::cases::reference().unwrap();
    config["limits"] = json!({});
    config["streams"] = json!({});
    config["hosts"] = json!({"h": {}});
    config["dpop"] = json!({});
    config["pdps"]["default"]["breaker"] = json!({"failures": 5, "open_ms": 1000});
    config["observe"] = json!({"hosts": ["h"], "paths": ["/"], "until": "2026-12-01T00:00:00Z"});
    let hop = "spiffe://shop.example/ns/edge/sa/gateway";
    config["mtls"] =
        json!({"trust_domains": ["shop.example"], "forwarded": {"hops": [hop], "appends": true}});
    config["issuers"][0]["kinds"] = json!([{"claim": "c", "value": "v", "kind": "agent"}]);
    config["revocations"] =
        json!({"inline": [{"revoke": "task", "id": "t", "expires_at": "2026-12-01T00:00:00Z"}]});
    config["signals"] = json!({"inline": [{"about": "task", "id": "t", "signal": "risk", "value": 1,
        "expires_at": "2026-12-01T00:00:00Z"}]});
    let zeros = "A".repeat(43);
    config["api_keys"] =
        json!([{"id": "a", "subject": "legacy:a", "salt": zeros, "hash": zeros, "exception": "e"}]);
    config["bundle"]["inline"]["exceptions"] = json!([{"id": "e", "owner": "o", "reason": "r",
        "compensating_control": "c", "valid_from": "2026-01-01T00:00:00Z", "valid_until": "2026-03-01T00:00:00Z"}]);
    config["bundle"]["inline"]["rule_sets"] = json!({"orders": {}});
    config["networks"]["office"] = json!(["10.0.0.0/8"]);
    let grant = config["bundle"]["inline"]["grants"][0]["id"].clone();
    config["bundle"]["inline"]["elevations"] = json!([{"id": "e", "subject": "s", "grants": [grant], "approver": "a",
        "ticket": "t", "reason": "r", "valid_from": "2026-01-01T00:00:00Z", "valid_until": "2026-01-01T01:00:00Z"}]);
    let grants = config["bundle"]["inline"]["grants"].as_array_mut().unwrap();
    let delegated = grants.iter().position(|grant| grant.get("delegation").is_some()).unwrap();
    grants.swap(0, delegated);
    config
}
