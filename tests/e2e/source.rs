//! Where a call comes from: what a client writes into `x-forwarded-for` counts only where the configuration says
//! that proxies in front wrote it.

use std::sync::{Arc, LazyLock};

use everycall_core::UnixTime;
use everycall_tests::envoy::connection_manager;
use serde_json::{json, Value};

use crate::requests::{get, with_policy};
use crate::world::{now, Listener, Paths, Seen, World};

/// `/t/office` is for the office, `/t/here` for this machine, `/t/unknown` for whom nothing is known of, and
/// `/t/else` for anywhere but the office.
const POLICY: &str = r#"
decision := {"allow": true} if {
	network := {"/t/office": "office", "/t/here": "here"}[input.request.path]
	network in input.connection.networks
}

decision := {"allow": true} if {
	input.request.path == "/t/unknown"
	not input.connection.source_ip
}

decision := {"allow": true} if {
	input.request.path == "/t/else"
	input.connection.source_ip
	not "office" in input.connection.networks
}
"#;

fn config(source: Value) -> Value {
    let mut config = with_policy("t", POLICY);
    config["source"] = source;
    config["networks"] = json!({"office": ["10.20.0.0/16"], "here": ["127.0.0.0/8"], "cluster": []});
    let bundle = &mut config["bundle"]["inline"];
    let grants = bundle["grants"].as_array_mut().unwrap();
    let mut elevated = grants.last().unwrap().clone();
    for (key, value) in [
        ("id", json!("elevated")),
        ("subject", json!("legacy:scanner")),
        ("kinds", json!(["legacy"])),
        ("paths", json!(["/elevated"])),
        ("requires_elevation", json!(true)),
    ] {
        elevated[key] = value;
    }
    grants.push(elevated);
    bundle["policies"]["t.rego"] = json!(format!(
        "package everycall.t\n{POLICY}\ndecision := {{\"allow\": true}} if input.elevation.id\n"
    ));
    let (from, until) = (now().secs() - 60, now().secs() + 3600);
    let [from, until] = [from, until].map(|secs| UnixTime::from_secs(secs).to_string());
    bundle["exceptions"][0]["valid_from"] = json!(from);
    bundle["exceptions"][0]["valid_until"] = json!(until);
    bundle["elevations"].as_array_mut().unwrap().push(json!({
        "id": "from-the-office", "owner": "o", "subject": "legacy:scanner", "grants": ["elevated"],
        "networks": ["office"], "approver": "user:dora", "ticket": "T", "reason": "r",
        "valid_from": from, "valid_until": until}));
    config
}

static WORLD: LazyLock<Arc<World>> = LazyLock::new(|| {
    let listener = |name: &str, source: Value| Listener {
        name: name.into(),
        config: config(source),
        paths: Paths::Plain,
    };
    let listeners = [
        listener("connection", json!({"from": "connection"})),
        listener("connection-untold", json!({"from": "connection"})),
        listener("undeclared", Value::Null),
        listener("remote", json!({"from": "use_remote_address"})),
        listener("hops", json!({"from": "use_remote_address", "trusted_hops": 1})),
        listener("two-hops", json!({"from": "use_remote_address", "trusted_hops": 2})),
    ];
    World::start_with(&listeners, |document| {
        for listener in document["static_resources"]["listeners"].as_array_mut().unwrap() {
            let name = listener["name"].as_str().unwrap().to_owned();
            let manager = connection_manager(listener);
            // As by Envoy's defaults, and in Istio's sidecars.
            if name.starts_with("connection") || name == "undeclared" {
                manager["use_remote_address"] = json!(false);
            }
            if name == "connection-untold" {
                let filters = manager["http_filters"].as_array_mut().unwrap();
                assert_eq!(filters.remove(0)["name"], "envoy.filters.http.set_filter_state");
            }
        }
    })
});

fn send(listener: &str, path: &str, forwarded: Option<&str>) -> Seen {
    let mut request = get("t", path);
    if let Some(forwarded) = forwarded {
        request.headers.push(("x-forwarded-for".into(), forwarded.into()));
    }
    if path == "/elevated" {
        request.headers.push(("x-scanner-key".into(), SCANNER.into()));
    }
    WORLD.send(listener, &request)
}

/// The secret of the reference configuration's test key.
const SCANNER: &str = "ek_test-only-scanner_Izyt8aVRX13j3BoH2n62UatGXe0BjWXtbToZA35OyKU";

/// What each path comes to: the office, here, unknown, elsewhere, and the elevation.
fn statuses(listener: &str, forwarded: Option<&str>) -> [u16; 5] {
    ["/t/office", "/t/here", "/t/unknown", "/t/else", "/elevated"]
        .map(|path| send(listener, path, forwarded).response.status)
}

const OFFICE: [u16; 5] = [200, 403, 403, 403, 200];
const HERE: [u16; 5] = [403, 200, 403, 200, 403];
const ELSEWHERE: [u16; 5] = [403, 403, 403, 200, 403];
const UNKNOWN: [u16; 5] = [403, 403, 200, 403, 403];

#[test]
fn what_a_client_says_of_itself_counts_for_nothing() {
    for forwarded in [None, Some("10.20.1.1"), Some("10.20.1.1, 10.20.1.2"), Some("::ffff:10.20.1.1")] {
        assert_eq!(statuses("connection", forwarded), HERE, "{forwarded:?}");
        assert_eq!(statuses("remote", forwarded), HERE, "{forwarded:?}");
        assert_eq!(statuses("undeclared", forwarded), UNKNOWN, "{forwarded:?}");
    }
    let seen = send("connection", "/t/here", Some("10.20.1.1"));
    assert_eq!(WORLD.record(&seen)["connection"]["source_ip"], "127.0.0.1");
    let seen = send("undeclared", "/t/unknown", Some("10.20.1.1"));
    assert_eq!(WORLD.record(&seen)["connection"], json!({}));
    let seen = send("undeclared", "/elevated", Some("10.20.1.1"));
    assert_eq!(seen.reason(), "elevation_inactive");
    let detail = WORLD.record(&seen)["detail"].as_str().unwrap().to_owned();
    assert!(detail.contains("the source address is not known"), "{detail}");
}

#[test]
fn proxies_in_front_are_believed_as_far_as_there_are_some() {
    // The last address was written by the proxy that connected.
    assert_eq!(statuses("hops", Some("10.20.1.1")), OFFICE);
    assert_eq!(statuses("hops", Some("10.20.1.1, 192.0.2.9")), ELSEWHERE);
    assert_eq!(statuses("hops", None), HERE);
    assert_eq!(statuses("two-hops", Some("10.20.1.1, 192.0.2.9")), OFFICE);
    assert_eq!(statuses("two-hops", Some("10.20.1.1, 192.0.2.7, 192.0.2.9")), ELSEWHERE);
    // Who comes round the second proxy is who connected.
    assert_eq!(statuses("two-hops", Some("10.20.1.1")), HERE);
}

#[test]
fn without_the_filter_in_front_nothing_passes() {
    for path in ["/t/office", "/t/here", "/t/unknown", "/t/else", "/elevated"] {
        let seen = send("connection-untold", path, Some("10.20.1.1"));
        assert_eq!((seen.response.status, seen.reason()), (503, "not_ready"), "{path}");
        assert!(seen.upstream.is_empty(), "{path}");
    }
    let seen = send("connection-untold", "/t/here", None);
    let detail = WORLD.record(&seen)["detail"].as_str().unwrap().to_owned();
    assert_eq!(detail, "no filter in front tells the source address, as `everycall.source`");
}
