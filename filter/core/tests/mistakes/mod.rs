//! A valid configuration, and one mistake at a time: for the tests of the parser, and of the schema that is to
//! refuse the same.

use serde_json::{json, Value};

pub fn valid() -> Value {
    json!({
        "version": 1,
        "instance": "shop",
        "issuers": [{
            "issuer": "https://id", "audiences": ["orders"], "algorithms": ["EdDSA"], "max_lifetime_s": 900, "kind": "workload",
            "keys": {"inline": {"keys": [{"kty": "OKP", "crv": "Ed25519", "kid": "k1", "x": "11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo"}]}}
        }],
        "pdps": {"default": {"protocol": "authzen", "cluster": "pdp", "host": "pdp"}},
        "networks": {"office": ["10.0.0.0/8", "fd00::/8"]},
        "bundle": {"inline": {
            "policies": {"a.rego": "package everycall\ndecision := {\"allow\": true}\n"},
            "grants": [{"id": "g", "owner": "o", "purpose": "p", "subject": "s", "kinds": ["workload"],
                        "hosts": ["h"], "methods": ["GET"], "paths": ["/"]}]
        }}
    })
}

/// A JSON Pointer, what is put there, the path of the error and a part of its message.
pub type Mistake = (String, Value, &'static str, &'static str);

/// Each is the only one in its document.
pub fn mistakes() -> Vec<Mistake> {
    let grant = "/bundle/inline/grants/0";
    let key = "/issuers/0/keys/inline/keys/0";
    vec![
        ("/version".into(), json!(2), "version", "expected 1"),
        ("/instance".into(), json!("a b"), "instance", "name"),
        ("/nonsense".into(), json!(1), "nonsense", "unknown field"),
        ("/issuers".into(), json!([]), "issuers", "at least one"),
        ("/issuers/0/audiences".into(), json!([]), "issuers[0].audiences", "at least one"),
        ("/issuers/0/audiences".into(), json!("orders"), "issuers[0].audiences", "expected a sequence"),
        ("/issuers/0/algorithms".into(), json!(["HS256"]), "issuers[0].algorithms[0]", "HS256"),
        ("/issuers/0/algorithms".into(), json!(["none"]), "issuers[0].algorithms[0]", "none"),
        (
            "/issuers/0/algorithms".into(),
            json!(["ES256"]),
            "issuers[0].keys.inline.keys[0].alg",
            "not in the issuer's",
        ),
        ("/issuers/0/max_lifetime_s".into(), json!(0), "issuers[0].max_lifetime_s", "out of range"),
        ("/issuers/0/leeway_s".into(), json!(61), "issuers[0].leeway_s", "out of range"),
        ("/issuers/0/kind".into(), json!("robot"), "issuers[0].kind", "robot"),
        (
            "/issuers/0/audience_claim".into(),
            json!("client_id"),
            "issuers[0].audience_claim",
            "`required_values` beside",
        ),
        ("/issuers/0/audience_claim".into(), json!(""), "issuers[0].audience_claim", "must not be empty"),
        ("/issuers/0/required_values".into(), json!({"a": ""}), "issuers[0].required_values.a", "empty"),
        (
            "/issuers/0/required_values".into(),
            json!({"a": 1}),
            "issuers[0].required_values.a",
            "expected a string",
        ),
        (
            "/issuers/0/keys/remote".into(),
            json!({"cluster": "c", "host": "h", "path": "/p"}),
            "issuers[0].keys",
            "exactly one of",
        ),
        ("/issuers/0/keys".into(), json!({}), "issuers[0].keys", "exactly one of"),
        (
            "/issuers/0/keys".into(),
            json!({"remote": {"cluster": "c", "host": "https://h.example", "path": "/p"}}),
            "issuers[0].keys.remote.host",
            "write the host alone, `h.example`",
        ),
        ("/issuers/0/profile".into(), json!("ldap"), "issuers[0].profile", "ldap"),
        (
            "/issuers/0/issuer".into(),
            json!("spiffe://shop.example"),
            "issuers[0].profile",
            "needs the profile",
        ),
        ("/issuers/0/issuer".into(), json!("api_keys"), "issuers[0].issuer", "stands for API keys"),
        ("/issuers/0/id".into(), json!("everybody"), "issuers[0].id", "names no claim"),
        ("/issuers/0/id".into(), json!("{a}{b}"), "issuers[0].id", "text is needed"),
        ("/issuers/0/trust_domains".into(), json!(["Shop"]), "issuers[0].trust_domains[0]", "trust domain"),
        ("/issuers/0/required_binding".into(), json!("tls"), "issuers[0].required_binding", "tls"),
        ("/issuers/0/peer_match".into(), json!(true), "issuers[0].peer_match", "needs `mtls`"),
        (
            "/issuers/0/kinds".into(),
            json!([{"claim": "c", "value": "v"}]),
            "issuers[0].kinds[0].kind",
            "missing",
        ),
        ("/credentials".into(), json!([{"header": "dpop"}]), "credentials[0].header", "proofs"),
        (
            "/credentials".into(),
            json!([{"header": "a", "scheme": "x"}, {"header": "a", "scheme": "y", "forward": false}]),
            "credentials[1].forward",
            "another above for `a`",
        ),
        (
            "/credentials".into(),
            json!([{"header": "a", "scheme": "Bearer"}, {"header": "A", "scheme": "bearer"}]),
            "credentials[1].header",
            "duplicate",
        ),
        ("/dpop".into(), json!({"max_age_s": 0}), "dpop.max_age_s", "out of range"),
        ("/dpop".into(), json!({"leeway_s": 61}), "dpop.leeway_s", "out of range"),
        ("/dpop".into(), json!({"scheme": "ftp"}), "dpop.scheme", "ftp"),
        ("/dpop".into(), json!({"max_rsa_bits": 2047}), "dpop.max_rsa_bits", "out of range"),
        ("/dpop".into(), json!({"max_rsa_bits": 8193}), "dpop.max_rsa_bits", "out of range"),
        ("/mtls".into(), json!({"trust_domains": [], "kind": "workload"}), "mtls.trust_domains", "nobody"),
        ("/mtls".into(), json!({"trust_domains": ["a/b"]}), "mtls.trust_domains[0]", "trust domain"),
        (
            "/mtls".into(),
            json!({"trust_domains": ["a"], "forwarded": {"hops": [], "appends": true}}),
            "mtls.forwarded.hops",
            "nobody",
        ),
        (
            "/mtls".into(),
            json!({"trust_domains": ["a"], "forwarded": {"hops": ["spiffe://a"], "appends": true}}),
            "mtls.forwarded.hops[0]",
            "SPIFFE ID",
        ),
        (
            "/mtls".into(),
            json!({"trust_domains": ["a"], "forwarded": {"hops": ["spiffe://a/b"]}}),
            "mtls.forwarded.appends",
            "missing",
        ),
        (format!("{key}/x"), json!("!"), "issuers[0].keys.inline.keys[0].x", "base64url"),
        (format!("{key}/x"), json!("AAAA"), "issuers[0].keys.inline.keys[0].x", "expected 32"),
        // A point of small order: everything verifies under it.
        (
            format!("{key}/x"),
            json!("AQAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA"),
            "issuers[0].keys.inline.keys[0].x",
            "not a usable",
        ),
        (format!("{key}/crv"), json!("X25519"), "issuers[0].keys.inline.keys[0].crv", "Ed25519"),
        (format!("{key}/kty"), json!("oct"), "issuers[0].keys.inline.keys[0].kty", "symmetric"),
        (format!("{key}/d"), json!("secret"), "issuers[0].keys.inline.keys[0].d", "private"),
        (format!("{key}/alg"), json!("ES256"), "issuers[0].keys.inline.keys[0].alg", "expected `EdDSA`"),
        (format!("{key}/use"), json!("enc"), "issuers[0].keys.inline.keys", "no key for signatures"),
        (format!("{key}/key_ops"), json!(["sign"]), "issuers[0].keys.inline.keys", "no key for signatures"),
        ("/credentials".into(), json!([]), "credentials", "at least one"),
        ("/credentials".into(), json!([{"header": "a b"}]), "credentials[0].header", "header name"),
        (
            "/credentials".into(),
            json!([{"header": "a"}, {"header": "A"}]),
            "credentials[1].header",
            "duplicate",
        ),
        ("/pdps/default/timeout_ms".into(), json!(0), "pdps.default.timeout_ms", "out of range"),
        ("/pdps/default/path".into(), json!("x"), "pdps.default.path", "not a path"),
        ("/pdps/default/protocol".into(), json!("saml"), "pdps.default.protocol", "authzen"),
        ("/pdps/default/protocol".into(), json!("opa"), "pdps.default.path", "is needed for `opa`"),
        ("/pdps/default/connect_retries".into(), json!(4), "pdps.default.connect_retries", "out of range"),
        ("/pdps/default/headers".into(), json!(["x"]), "pdps.default.headers", "only an `ext_authz` server"),
        (
            "/pdps/default/breaker".into(),
            json!({"failures": 1}),
            "pdps.default.breaker",
            "missing field `open_ms`",
        ),
        (
            "/pdps/default/breaker".into(),
            json!({"failures": 0, "open_ms": 1000}),
            "pdps.default.breaker.failures",
            "out of range",
        ),
        (
            "/pdps/default/breaker".into(),
            json!({"failures": 1, "open_ms": 9}),
            "pdps.default.breaker.open_ms",
            "out of range",
        ),
        (
            "/pdps/default".into(),
            json!({"protocol": "ext_authz", "cluster": "c", "host": "h", "path": "/x"}),
            "pdps.default.path",
            "`ext_authz` has one path",
        ),
        (
            "/pdps/default".into(),
            json!({"protocol": "ext_authz", "cluster": "c", "host": "h", "headers": ["x:"]}),
            "pdps.default.headers[0]",
            "not the name of a header",
        ),
        ("/networks/office".into(), json!(["10.0.0.1/8"]), "networks.office[0]", "10.0.0.0/8"),
        ("/networks/office".into(), json!(["office"]), "networks.office[0]", "CIDR"),
        ("/limits".into(), json!({"instructions": 1}), "limits.instructions", "out of range"),
        ("/log".into(), json!({"records": "some"}), "log.records", "refusals"),
        (format!("{grant}/id"), json!(""), "bundle.inline.grants[0].id", "name"),
        (format!("{grant}/owner"), json!(" "), "bundle.inline.grants[0].owner", "empty"),
        (format!("{grant}/purpose"), json!(""), "bundle.inline.grants[0].purpose", "empty"),
        (format!("{grant}/kinds"), json!(["robot"]), "bundle.inline.grants[0].kinds[0]", "robot"),
        (format!("{grant}/subject"), json!("anonymous"), "bundle.inline.grants[0].kinds", "no kind"),
        (format!("{grant}/hosts"), json!([]), "bundle.inline.grants[0].hosts", "admits nothing"),
        (format!("{grant}/hosts"), json!(["H"]), "bundle.inline.grants[0].hosts[0]", "lower case"),
        (format!("{grant}/hosts"), json!(["*"]), "bundle.inline.grants[0].hosts[0]", "not a host"),
        (
            format!("{grant}/hosts"),
            json!(["https://h.example/x"]),
            "bundle.inline.grants[0].hosts[0]",
            "write the host alone, `h.example`",
        ),
        (format!("{grant}/methods"), json!(["get"]), "bundle.inline.grants[0].methods[0]", "upper case"),
        (format!("{grant}/paths"), json!(["a"]), "bundle.inline.grants[0].paths[0]", "starts with"),
        (format!("{grant}/paths"), json!(["/{a...}/b"]), "bundle.inline.grants[0].paths[0]", "last"),
        (format!("{grant}/paths"), json!(["/{a}/{a}"]), "bundle.inline.grants[0].paths[0]", "repeated"),
        (format!("{grant}/paths"), json!(["/{}"]), "bundle.inline.grants[0].paths[0]", "parameter name"),
        (format!("{grant}/paths"), json!(["/a{b}"]), "bundle.inline.grants[0].paths[0]", "a whole segment"),
        (format!("{grant}/paths"), json!(["/{a}:b"]), "bundle.inline.grants[0].paths[0]", "a whole segment"),
        (format!("{grant}/paths"), json!(["/a/../b"]), "bundle.inline.grants[0].paths[0]", "never matches"),
        (format!("{grant}/paths"), json!(["//"]), "bundle.inline.grants[0].paths[0]", "never matches"),
        (format!("{grant}/paths"), json!(["/a%20b"]), "bundle.inline.grants[0].paths[0]", "decoded"),
        (
            format!("{grant}/valid_from"),
            json!("2026-01-01"),
            "bundle.inline.grants[0].valid_from",
            "RFC 3339",
        ),
        (format!("{grant}/subject_prefix"), json!("spiffe://d/a/"), "bundle.inline.grants[0]", "exactly one"),
        (format!("{grant}/claims"), json!({"a": "b"}), "bundle.inline.grants[0]", "exactly one"),
        (format!("{grant}/subject"), Value::Null, "bundle.inline.grants[0]", "exactly one"),
        (format!("{grant}/subject"), json!(" "), "bundle.inline.grants[0].subject", "empty"),
        (format!("{grant}/source"), json!(""), "bundle.inline.grants[0].source", "empty"),
        (format!("{grant}/ticket"), json!(" "), "bundle.inline.grants[0].ticket", "empty"),
        (format!("{grant}/hosts"), json!(["h", "h"]), "bundle.inline.grants[0].hosts[1]", "repeated"),
        (format!("{grant}/paths"), json!(["/a", "/a"]), "bundle.inline.grants[0].paths[1]", "another path"),
        (
            format!("{grant}/paths"),
            json!(["/{a}", "/{b}"]),
            "bundle.inline.grants[0].paths[1]",
            "another path",
        ),
        (
            format!("{grant}/requires_binding"),
            json!("token"),
            "bundle.inline.grants[0].requires_binding",
            "expected one of",
        ),
        (
            format!("{grant}/delegation"),
            json!({"on_behalf_of": []}),
            "bundle.inline.grants[0].delegation.on_behalf_of",
            "nobody",
        ),
        (
            format!("{grant}/policy"),
            json!("x"),
            "bundle.inline.grants[0].policy",
            "no module has the package `everycall.x`",
        ),
        (
            "/bundle/inline/exceptions".into(),
            json!([exception("2026-01-01T00:00:00Z", "2026-04-02T00:00:00Z")]),
            "bundle.inline.exceptions[0].valid_until",
            "within 90 days",
        ),
        (
            "/bundle/inline/exceptions".into(),
            json!([exception("2026-01-01T00:00:00Z", "2026-01-01T00:00:00Z")]),
            "bundle.inline.exceptions[0].valid_until",
            "within 90 days",
        ),
        (
            "/bundle/inline/exceptions".into(),
            json!([exception("2026-01-01T00:00:00Z", "soon")]),
            "bundle.inline.exceptions[0].valid_until",
            "RFC 3339",
        ),
        (
            "/bundle/inline/grants/0/issuer".into(),
            json!(1),
            "bundle.inline.grants[0].issuer",
            "expected a string",
        ),
        (
            "/bundle/inline/policies".into(),
            json!({"a.rego": "package everycall\ndecision := {"}),
            "bundle.inline.policies[\"a.rego\"]",
            "a.rego:2:",
        ),
        (
            "/bundle/inline/policies".into(),
            json!({"a.rego": "package everycall\nallow := true"}),
            "bundle.inline.grants[0].policy",
            "has no rule `decision`",
        ),
        (
            "/bundle/inline/policies".into(),
            json!({"a.rego": "package everycall\ndecision := http.send({})"}),
            "bundle.inline.grants[0].policy",
            "http.send",
        ),
    ]
}

pub fn exception(from: &str, until: &str) -> Value {
    json!({"id": "e", "owner": "o", "reason": "r", "compensating_control": "c",
           "valid_from": from, "valid_until": until})
}

pub fn api_key() -> Value {
    json!({"id": "billing", "subject": "legacy:billing", "salt": "A".repeat(22), "hash": "A".repeat(43), "exception": "e"})
}
