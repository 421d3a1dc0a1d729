//! Bad configurations: a static Envoy does not start, and one that gets its filter's configuration
//! while it runs keeps the old one.

use std::time::{Duration, Instant};

use everycall_tests::envoy::Envoy;
use everycall_tests::server::{Answer, Server};
use serde_json::{json, Value};

use crate::world::{connection_manager, now, plugin, rendered, start_envoy, Discovery, World};

fn reference() -> Value {
    everycall_tests::cases::reference().unwrap()
}

/// Envoy does not start with this configuration, and its log names the path and says what is wrong.
fn refused(config: &Value, path: &str, message: &str) {
    let nowhere = ([127, 0, 0, 1], 9).into();
    let good = reference();
    let mut document = rendered(&good, nowhere, nowhere);
    let listener = &mut document["static_resources"]["listeners"][0];
    plugin(connection_manager(listener))["configuration"]["value"] = json!(config.to_string());
    let (status, log) = Envoy::refuses(&document.to_string()).unwrap();
    assert_eq!(status.code(), Some(1), "{log}");
    let line = log
        .lines()
        .find(|line| line.contains("everycall: configuration refused"))
        .unwrap_or_else(|| panic!("{log}"));
    assert!(line.contains(path) && line.contains(message), "expected `{path}` and `{message}`: {line}");
}

#[test]
fn config_missing_issuer() {
    let mut config = reference();
    config["issuers"][0].as_object_mut().unwrap().remove("audiences");
    refused(&config, "issuers[0].audiences", "missing");
    config["issuers"] = json!([]);
    refused(&config, "issuers", "at least one");
}

#[test]
fn config_unknown_key() {
    let mut config = reference();
    config["limits"] = json!({"instrutions": 1});
    refused(&config, "limits", "instrutions");
}

#[test]
fn config_wrong_type() {
    let mut config = reference();
    config["issuers"][1]["max_lifetime_s"] = json!("900");
    refused(&config, "issuers[1].max_lifetime_s", "string");
}

#[test]
fn config_unreadable_keys() {
    let mut config = reference();
    config["issuers"][0]["keys"]["inline"]["keys"][0]["x"] = json!("*");
    refused(&config, "issuers[0].keys.inline.keys[0].x", "base64url");
}

#[test]
fn config_policy_does_not_compile() {
    let mut config = reference();
    config["bundle"]["inline"]["policies"]["orders.rego"] =
        json!("package everycall.orders\n\ndecision := {\n");
    refused(&config, "orders.rego", "orders.rego:");
}

#[test]
fn config_entry_point_missing() {
    let mut config = reference();
    config["bundle"]["inline"]["grants"][0]["policy"] = json!("nowhere");
    refused(&config, "bundle.inline.grants[0].policy", "everycall.nowhere");
}

#[test]
fn config_policy_calls_itself() {
    for (text, part) in [
        ("f(x) := f([x])\ndecision := {\"allow\": true} if f(1)", "call themselves"),
        ("decision := d if true\nd := decision if true", "call themselves"),
    ] {
        let mut config = reference();
        config["bundle"]["inline"]["policies"]["t.rego"] = json!(format!("package everycall.t\n{text}"));
        config["bundle"]["inline"]["grants"][0]["policy"] = json!("t");
        refused(&config, "bundle.inline.grants[0].policy", part);
    }
    let mut config = reference();
    let deep = format!("package everycall.t\nx := {}{}", "[".repeat(1_000), "]".repeat(1_000));
    config["bundle"]["inline"]["policies"]["t.rego"] = json!(deep);
    refused(&config, "bundle.inline.policies[\"t.rego\"]", "brackets inside each other");
}

#[test]
fn config_grant_without_owner() {
    let mut config = reference();
    config["bundle"]["inline"]["grants"][2].as_object_mut().unwrap().remove("owner");
    refused(&config, "bundle.inline.grants[2].owner", "missing");
}

#[test]
fn config_duplicate_grants() {
    let mut config = reference();
    let id = config["bundle"]["inline"]["grants"][0]["id"].clone();
    config["bundle"]["inline"]["grants"][1]["id"] = id;
    refused(&config, "bundle.inline.grants[1].id", "duplicate");
}

#[test]
fn grants_in_conflict() {
    let mut config = reference();
    let mut grant = config["bundle"]["inline"]["grants"][0].clone();
    grant["id"] = json!("another");
    grant["sensitivity"] = json!("none");
    config["bundle"]["inline"]["grants"].as_array_mut().unwrap().insert(1, grant);
    refused(&config, "bundle.inline.grants[1].paths[0]", "conflicts with grant");
}

/// An Envoy whose filter finds its configuration in a file that is replaced while it runs.
struct Updated {
    discovery: Discovery,
    envoy: std::sync::Arc<everycall_tests::envoy::Envoy>,
    address: std::net::SocketAddr,
    _upstream: Server,
}

impl Updated {
    fn start(config: &Value) -> Self {
        let upstream = Server::start(|_| Answer::Http(200, Vec::new())).unwrap();
        let mut document = rendered(config, upstream.address(), upstream.address());
        let discovery = Discovery::of(&mut document);
        discovery.put(config);
        let envoy = start_envoy(document.to_string(), 1).unwrap();
        let address = envoy.listener("inbound").unwrap();
        let updated = Self { discovery, envoy, address, _upstream: upstream };
        updated.eventually("the first configuration decides", || updated.status("/healthz") == 200);
        updated
    }

    fn status(&self, path: &str) -> u16 {
        let request = everycall_tests::client::RawRequest {
            method: "GET".into(),
            path: path.into(),
            headers: vec![("host".into(), b"orders.shop.example".to_vec())],
            body: Vec::new(),
        };
        everycall_tests::client::send(self.address, [127, 0, 0, 1].into(), &request, Duration::from_secs(5))
            .unwrap()
            .status
    }

    fn eventually(&self, what: &str, condition: impl Fn() -> bool) {
        let deadline = Instant::now() + Duration::from_secs(20);
        while !condition() {
            assert!(Instant::now() < deadline, "{what}:\n{}", self.envoy.log());
            std::thread::sleep(Duration::from_millis(20));
        }
    }

    fn rejected(&self) -> u64 {
        let stats = self.envoy.admin("/stats?filter=extension_config_discovery").unwrap();
        let lines =
            stats.lines().filter(|line| line.contains("config_fail") || line.contains("update_rejected"));
        lines.filter_map(|line| line.rsplit_once(": ")?.1.parse::<u64>().ok()).sum()
    }
}

/// The same configuration without what opens `/healthz` to all.
fn closed() -> Value {
    let mut config = reference();
    let grants = config["bundle"]["inline"]["grants"].as_array_mut().unwrap();
    grants.retain(|grant| grant["id"] != "public-health");
    config
}

#[test]
fn config_update_broken() {
    let updated = Updated::start(&reference());
    let mut ownerless = reference();
    ownerless["bundle"]["inline"]["grants"][0].as_object_mut().unwrap().remove("owner");
    let mut unparsed = reference();
    unparsed["bundle"]["inline"]["policies"]["more.rego"] = json!("package more\nx :=");
    for (broken, place) in
        [(ownerless, "bundle.inline.grants[0].owner"), (unparsed, "bundle.inline.policies[\"more.rego\"]")]
    {
        let before = updated.rejected();
        updated.discovery.put(&broken);
        updated.eventually("the broken configuration is refused", || updated.rejected() > before);
        assert!(updated.envoy.log().contains(place), "{}", updated.envoy.log());
        let found = (updated.status("/healthz"), updated.status("/orders"));
        assert_eq!(found, (200, 401), "the old configuration goes on deciding");
    }
    updated.discovery.put(&closed());
    updated.eventually("a good configuration is taken after a bad one", || updated.status("/healthz") == 401);
}

/// A worker builds its bundle between requests, and decides by the one before meanwhile.
#[test]
fn config_update_large() {
    let updated = Updated::start(&reference());
    let mut large = closed();
    let inline = &mut large["bundle"]["inline"];
    for module in 0..4 {
        let rule = |at: usize| format!("r if input.request.path == \"/{module}/{at}\"\n");
        let text = format!("package more.p{module}\n\n{}", (0..500).map(rule).collect::<String>());
        inline["policies"][format!("more{module}.rego")] = json!(text);
    }
    let like = inline["grants"][0].clone();
    for at in 0..300 {
        let mut grant = like.clone();
        grant["id"] = json!(format!("more-{at}"));
        grant["paths"] = json!([format!("/more/{at}")]);
        inline["grants"].as_array_mut().unwrap().push(grant);
    }
    updated.discovery.put(&large);
    updated.eventually("it is in force", || {
        let status = updated.status("/healthz");
        assert!(matches!(status, 200 | 401), "{status}");
        status == 401
    });
    for _ in 0..50 {
        assert_eq!(updated.status("/healthz"), 401, "nothing goes back to what was before");
    }
}

/// Reloading the same instance keeps what it knows, and the new rules hold at once.
#[test]
fn a_listener_pair_with_two_instances_decides_apart() {
    let open = reference();
    let mut closed = open.clone();
    closed["bundle"]["inline"]["grants"]
        .as_array_mut()
        .unwrap()
        .retain(|grant| grant["id"] != "public-health");
    let listener = |name: &str, config: &Value| crate::world::Listener {
        name: name.into(),
        config: config.clone(),
        paths: crate::world::Paths::Mended,
    };
    let world = World::start(&[listener("open", &open), listener("closed", &closed)]);
    let request = crate::requests::get("orders.shop.example", "/healthz");
    for _ in 0..3 {
        assert_eq!(world.send("open", &request).reason(), "allowed");
        assert_eq!(world.send("closed", &request).reason(), "credential_missing");
    }
    assert!(now().secs() > 0);
}
