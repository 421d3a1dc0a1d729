//! Small documents with at least one of each object in them.

use serde_json::{json, Value};

use super::mistakes;

/// A configuration with all in it but bundles from elsewhere.
pub fn inline() -> Value {
    let mut config = mistakes::valid();
    let remote = json!({"cluster": "c", "host": "h", "path": "/p", "discovery": false, "timeout_ms": 2000, "refresh_s": 300,
        "interval_s": 10, "max_stale_s": 3600, "wait_ms": 1000, "max_waiting": 100});
    let other = json!({"issuer": "https://ci", "profile": "gitlab-ci", "audiences": ["orders"], "algorithms": ["RS256"],
        "keys": {"remote": remote}, "kind": "workload", "kinds": [{"claim": "c", "value": "v", "kind": "agent"}],
        "actor_kind": "agent", "id": "ci:{sub}", "task_claim": "job_id", "required_claims": ["sub"],
        "trust_domains": ["shop.example"], "leeway_s": 5, "required_binding": "any", "peer_match": true});
    let issuers = config["issuers"].as_array_mut().unwrap();
    issuers[0]["types"] = json!(["jwt"]);
    issuers.push(other);
    for (name, value) in [
        ("credentials", json!([{"header": "Authorization", "scheme": "Bearer", "forward": false}])),
        ("dpop", json!({"max_age_s": 60, "leeway_s": 5, "scheme": "https"})),
        (
            "mtls",
            json!({"trust_domains": ["shop.example"], "kind": "workload",
                "forwarded": {"hops": ["spiffe://shop.example/gateway"], "appends": true}}),
        ),
        ("api_keys", json!([mistakes::api_key()])),
        ("limits", json!({"instructions": 50000, "pdp_rounds": 2})),
        ("log", json!({"records": "refusals"})),
        ("observe", json!({"hosts": ["h"], "paths": ["/"], "until": "2026-12-01T00:00:00Z"})),
        (
            "pdps",
            json!({
                "default": {"protocol": "authzen", "cluster": "c", "host": "h", "path": "/a", "timeout_ms": 200,
                    "max_in_flight": 100, "connect_retries": 1, "breaker": {"failures": 5, "open_ms": 1000}},
                "opa": {"protocol": "opa", "cluster": "c", "host": "h", "path": "/v1/data/a"},
                "grpc": {"protocol": "ext_authz", "cluster": "c", "host": "h", "headers": ["X-A"]},
            }),
        ),
    ] {
        config[name] = value;
    }
    let rego = "package everycall.a\ndecision := {\"allow\": true}\n";
    let bundle = &mut config["bundle"]["inline"];
    bundle["policies"]["b.rego"] = json!(rego);
    bundle["policies"]["c.rego"] = json!(rego.replace(".a", ".c"));
    bundle["policies"]["d.rego"] = json!("package envoy.authz\nallow := true\n");
    bundle["data"] = json!({"limits": {"small": 50}});
    bundle["rule_sets"] = json!({"a": {"input_format": "everycall", "shadow": "c"},
        "o": {"input_format": "opa-envoy", "entrypoint": "envoy.authz.allow"}});
    let routes = json!({"owner": "o", "purpose": "p", "kinds": ["workload", "human"], "hosts": ["h", "g:8080"],
        "methods": ["GET"]});
    let grant = |members: Value| {
        let mut grant = routes.clone();
        grant.as_object_mut().unwrap().extend(members.as_object().unwrap().clone());
        grant
    };
    let grants = bundle["grants"].as_array_mut().unwrap();
    grants.push(grant(json!({"id": "a", "subject": "s", "paths": ["/a/{b}", "/c/{d...}"], "policy": "a",
        "sensitivity": "high", "source": "iga", "ticket": "T-1", "valid_from": "2026-01-01T00:00:00Z",
        "valid_until": "2027-01-01T00:00:00+01:00", "semicolons": true, "requires_elevation": true,
        "break_glass_kinds": ["human"], "requires_binding": "dpop", "issuer": "https://id",
        "delegation": {"on_behalf_of": ["user:alice"], "actors": []}})));
    grants.push(grant(
        json!({"id": "b", "subject_prefix": "spiffe://shop.example/ns/", "paths": ["/b"], "policy": "o"}),
    ));
    grants
        .push(grant(json!({"id": "c", "claims": {"role": "ops"}, "issuer": "https://id", "paths": ["/d"]})));
    let mut open = grant(json!({"id": "d", "subject": "anonymous", "paths": ["/e/"]}));
    open.as_object_mut().unwrap().remove("kinds");
    grants.push(open);
    let elevation = json!({"id": "x", "owner": "o", "subject": "s", "grants": ["a"], "approver": "m", "ticket": "t",
        "reason": "r", "valid_from": "2026-01-01T00:00:00Z", "valid_until": "2026-01-01T01:00:00Z",
        "networks": ["office"], "break_glass": false});
    bundle["elevations"] = json!([elevation]);
    bundle["exceptions"] = json!([mistakes::exception("2026-01-01T00:00:00Z", "2026-03-01T00:00:00Z")]);
    let mut shadow = mistakes::valid()["bundle"].clone();
    shadow["inline"]["data"] = json!({});
    config["shadow"] = shadow;
    config
}

/// A configuration with a bundle from a server, and the issuer that a trust domain is.
pub fn from_a_server() -> Value {
    let key = everycall::mint::TestKey::es256().unwrap();
    let mut config = mistakes::valid();
    config["bundle"] = json!({"remote": {"cluster": "c", "host": "h", "path": "/p", "timeout_ms": 1, "interval_s": 1,
        "max_bytes": 1024}, "keys": key.public_jwks(), "max_stale_s": 60});
    config["issuers"][0] = json!({"issuer": "spiffe://shop.example", "profile": "spiffe", "audiences": ["orders"],
        "algorithms": ["ES256"], "kind": "workload",
        "keys": {"remote": {"cluster": "c", "host": "h", "path": "/bundle"}}});
    config
}

/// A case file with everything that one may hold.
pub fn cases() -> Value {
    let answer = json!({"status": 400, "why": "w"});
    let proof = json!({"claims": {"htm": "GET"}, "header": {"typ": "x"}, "key": "es256", "sign": "flip"});
    let token = json!({"issuer": "https://id", "claims": {"sub": "s"}, "header": {"kid": null}, "key": "rs256",
        "sign": "honest", "bind": "es256", "scheme": "DPoP"});
    let headers = json!([["a", "text"], ["a", {"b64": "/w=="}], ["a", {"bearer": {"issuer": "i", "claims": {"sub": null}}}],
        ["a", {"token": {"raw": "x"}}], ["dpop", {"dpop": proof}], ["a", {"$now": -1}], ["a", {"$instant": 60}]]);
    let config = json!({"log": {"records": "off"}, "bundle": {"inline": {"grants": []}}});
    json!({"$schema": "../schemas/cases.json", "about": "all", "as_of": "2026-01-01T00:00:00Z", "grant_defaults": {"owner": "o"}, "config": config, "cases": [
        {
            "name": "a", "at": "2026-01-31T09:00:00Z",
            "request": {"method": "GET", "host": "h", "path": {"b64": "Lw=="}, "scheme": "https", "headers": headers,
                "source_ip": "::1", "peer_id": "spiffe://a/b", "peer_certificate": "-"},
            "token": token,
            "pdp": {"q": "allow", "r": {"status": 200, "body": "{}", "blanks": 1}},
            "expect": {"decision": "deny", "reason": "policy_denied", "rule": "r", "grant": "g", "elevation": "e",
                "status": 403, "identity": "i", "would_refuse": "not_granted", "shadow": {"bundle": "same"},
                "obligations": {"a": 1}},
            "envoy": answer, "envoy_plain": answer,
        },
        {"name": "b", "at": 1_769_850_000, "request": {"method": "GET", "host": "h", "path": "/"}, "token": {"raw": "x", "scheme": "y"},
            "expect": {"decision": "allow"}},
    ]})
}
