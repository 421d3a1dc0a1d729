//! A grant's host is the virtual host that the call is routed to, however it is spelled; and the scheme is the
//! connection's, whatever the request says.

use std::sync::{Arc, LazyLock};
use std::time::Duration;

use everycall_tests::client::RawRequest;
use everycall_tests::envoy::connection_manager;
use everycall_tests::h2::{Field, H2};
use serde_json::json;

use crate::requests::{get, with_policy};
use crate::world::{Listener, Paths, World};

const POLICY: &str = r#"
decision := {"allow": true} if not startswith(input.request.path, "/t/https")

decision := {"allow": true} if {
	startswith(input.request.path, "/t/https")
	input.request.scheme == "https"
}
"#;

/// What the virtual host answers that no grant names.
const OTHER: u16 = 418;

/// Grants are for `t`, `t:8080` on another path, and `any` with any port. Every other host is routed elsewhere.
static WORLD: LazyLock<Arc<World>> = LazyLock::new(|| {
    let mut config = with_policy("t", POLICY);
    let grants = config["bundle"]["inline"]["grants"].as_array_mut().unwrap();
    for (id, host, path) in
        [("port", "t:8080", "/port"), ("any", "any:*", "/t/{rest...}"), ("exact", "any:80", "/t/80")]
    {
        let mut grant = grants.last().unwrap().clone();
        (grant["id"], grant["hosts"], grant["paths"]) = (json!(id), json!([host]), json!([path]));
        grants.push(grant);
    }
    let listener = |name: &str, paths| Listener { name: name.into(), config: config.clone(), paths };
    let listeners = [("mended", Paths::Mended), ("plain", Paths::Plain), ("h2", Paths::Plain)];
    World::start_with(&listeners.map(|(name, paths)| listener(name, paths)), |document| {
        for listener in document["static_resources"]["listeners"].as_array_mut().unwrap() {
            let hosts = &mut connection_manager(listener)["route_config"]["virtual_hosts"];
            let routes = hosts[0]["routes"].clone();
            *hosts = json!([
                {"name": "granted", "domains": ["t", "t:8080", "any", "any:80", "any:9000"], "routes": routes},
                {"name": "other", "domains": ["*"], "routes": [
                    {"match": {"prefix": "/"}, "direct_response": {"status": OTHER}}]},
            ]);
        }
    })
});

fn status(listener: &str, host: &str, path: &str) -> u16 {
    WORLD.send(listener, &get(host, path)).response.status
}

/// Over HTTP/2, with a scheme of the client's choice, as it came.
fn status_h2(scheme: &str, host: &str, path: &str) -> u16 {
    let mut client = H2::connect(WORLD.address("h2")).unwrap();
    let fields = [(":method", "GET"), (":scheme", scheme), (":authority", host), (":path", path)];
    let fields = fields.map(|(name, value)| Field::Plain(name, value.as_bytes()));
    let stream = client.request(&fields, true).unwrap();
    // A stream that the codec resets was answered by nobody.
    client.status(stream, Duration::from_secs(20)).unwrap_or(400)
}

#[test]
fn host_routed() {
    for host in ["t", "T"] {
        assert_eq!(status("plain", host, "/t/a"), 200, "{host}");
        assert_eq!(status_h2("http", host, "/t/a"), 200, "{host}");
    }
    // Each is routed elsewhere: what is granted is another host.
    for host in ["t:80", "t:443", "t.", "t.:80", "t:8080", "T.", "t.t", "t:81"] {
        assert_eq!(status("plain", host, "/t/a"), 401, "{host}");
        for scheme in ["http", "https", "ftp", "HTTPS"] {
            let status = status_h2(scheme, host, "/t/a");
            // Envoy takes no other schemes than these two.
            assert!(
                status == 401 || status == 400 && !scheme.starts_with("http"),
                "{scheme} {host}: {status}"
            );
        }
    }
    for host in ["t:", "t:x", "t:0", "t:080", ":80", "t..", "a@t", "t,t", "[t]", "t:80:80"] {
        assert_eq!(status("plain", host, "/t/a"), 400, "{host}");
        assert_eq!(status_h2("https", host, "/t/a"), 400, "{host}");
        assert_eq!(status_h2("ftp", host, "/t/a"), 400, "{host}");
    }
}

#[test]
fn host_with_port() {
    assert_eq!(status("plain", "t:8080", "/port"), 200);
    for host in ["t", "t:80", "t:808", "t:8081", "t."] {
        assert_eq!(status("plain", host, "/port"), 401, "{host}");
    }
    // Each of them is a host that the grant names, wherever it is routed to.
    for (host, expected) in [
        ("any", 200),
        ("any:80", 200),
        ("any:9000", 200),
        ("ANY:9000", 200),
        ("any:1", OTHER),
        ("any.", 401),
        ("any.:80", 401),
    ] {
        assert_eq!(status("plain", host, "/t/a"), expected, "{host}");
    }
    // One that names the host as it came before one for any of its ports.
    for (host, grant) in [("any:80", "exact"), ("any:9000", "any"), ("any", "any")] {
        let seen = WORLD.send("plain", &get(host, "/t/80"));
        assert_eq!(WORLD.record(&seen)["grant"]["id"], grant, "{host}");
    }
}

/// With what is rendered, a host that a client completes is the one that is granted, and routed.
#[test]
fn host_mended() {
    let port = WORLD.address("mended").port();
    for host in ["t", "t.", &format!("t:{port}"), &format!("t.:{port}")] {
        assert_eq!(status("mended", host, "/t/a"), 200, "{host}");
    }
    for host in ["t:80", "t:443", "t.:80"] {
        assert_eq!(status("mended", host, "/t/a"), 401, "{host}");
    }
}

#[test]
fn scheme_said() {
    for scheme in ["http", "https"] {
        assert_eq!(status_h2(scheme, "t", "/t/https"), 403, "{scheme}");
    }
    let mut headers = vec![("host".to_owned(), b"t".to_vec())];
    for forwarded in [None, Some(("x-forwarded-proto", "https"))] {
        headers.extend(forwarded.map(|(name, value)| (name.to_owned(), value.into())));
        for path in ["/t/https", "https://t/t/https"] {
            let raw = RawRequest {
                method: "GET".into(),
                path: path.into(),
                headers: headers.clone(),
                ..RawRequest::default()
            };
            let seen = WORLD.send_raw("plain", [127, 0, 0, 1].into(), &raw);
            assert_eq!(seen.response.status, 403, "{path} {forwarded:?}");
        }
    }
}
