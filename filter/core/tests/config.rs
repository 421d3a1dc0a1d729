//! Configurations: every mistake is named with its JSON path, all of them at once, and a document
//! with a mistake is never used.
#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing, missing_docs)] // a test that fails panics

use everycall_core::Settings;
use serde_json::{json, Value};

fn valid() -> Value {
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

/// The errors of the valid document after this change at a JSON pointer.
fn errors(pointer: &str, value: Value) -> Vec<(String, String)> {
    let mut document = valid();
    let (parent, name) = pointer.rsplit_once('/').unwrap();
    match document.pointer_mut(parent).unwrap() {
        Value::Object(members) => drop(members.insert(name.to_owned(), value)),
        Value::Array(items) => items[name.parse::<usize>().unwrap()] = value,
        _ => panic!("{pointer}"),
    }
    all(document)
}

fn all(document: Value) -> Vec<(String, String)> {
    match Settings::from_value(document) {
        Ok(_) => Vec::new(),
        Err(errors) => errors.iter().map(|error| (error.path.clone(), error.message.clone())).collect(),
    }
}

#[test]
fn the_valid_document_is_valid() {
    assert_eq!(all(valid()), []);
}

#[test]
fn each_mistake_is_named_with_its_path() {
    let grant = "/bundle/inline/grants/0";
    let key = "/issuers/0/keys/inline/keys/0";
    let rows: Vec<(String, Value, &str, &str)> = vec![
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
            "/issuers/0/keys/remote".into(),
            json!({"cluster": "c", "host": "h", "path": "/p"}),
            "issuers[0].keys",
            "exactly one of",
        ),
        ("/issuers/0/keys".into(), json!({}), "issuers[0].keys", "exactly one of"),
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
            json!([{"header": "a", "scheme": "Bearer"}, {"header": "A", "scheme": "bearer"}]),
            "credentials[1].header",
            "duplicate",
        ),
        ("/dpop".into(), json!({"max_age_s": 0}), "dpop.max_age_s", "out of range"),
        ("/dpop".into(), json!({"leeway_s": 61}), "dpop.leeway_s", "out of range"),
        ("/dpop".into(), json!({"scheme": "ftp"}), "dpop.scheme", "ftp"),
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
        (format!("{grant}/methods"), json!(["get"]), "bundle.inline.grants[0].methods[0]", "upper case"),
        (format!("{grant}/paths"), json!(["a"]), "bundle.inline.grants[0].paths[0]", "starts with"),
        (format!("{grant}/paths"), json!(["/{a...}/b"]), "bundle.inline.grants[0].paths[0]", "last"),
        (format!("{grant}/paths"), json!(["/{a}/{a}"]), "bundle.inline.grants[0].paths[0]", "repeated"),
        (format!("{grant}/paths"), json!(["/{}"]), "bundle.inline.grants[0].paths[0]", "parameter name"),
        (format!("{grant}/paths"), json!(["/a{b}"]), "bundle.inline.grants[0].paths[0]", "never matches"),
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
            json!({"principals": []}),
            "bundle.inline.grants[0].delegation.principals",
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
    ];
    for (pointer, value, path, message) in rows {
        let found = errors(&pointer, value.clone());
        let named = found.iter().any(|(at, what)| at.starts_with(path) && what.contains(message));
        assert!(named, "{pointer} = {value}: expected `{path}` and `{message}`, found {found:?}");
        assert_eq!(found.len(), 1, "{pointer} = {value}: no echoes: {found:?}");
    }
}

fn exception(from: &str, until: &str) -> Value {
    json!({"id": "e", "owner": "o", "reason": "r", "compensating_control": "c",
           "valid_from": from, "valid_until": until})
}

fn api_key() -> Value {
    json!({"id": "billing", "subject": "legacy:billing", "salt": "A".repeat(22), "hash": "A".repeat(43), "exception": "e"})
}

/// The errors of a document with one API key and its exception, with this member changed.
fn api_key_errors(member: &str, value: Value) -> Vec<(String, String)> {
    let mut document = valid();
    document["bundle"]["inline"]["exceptions"] =
        json!([exception("2026-01-01T00:00:00Z", "2026-04-01T00:00:00Z")]);
    document["api_keys"] = json!([api_key()]);
    document["api_keys"][0][member] = value;
    all(document)
}

#[test]
fn api_keys_need_salt_hash_and_an_exception() {
    assert_eq!(api_key_errors("id", json!("billing")), []);
    for (member, value, message) in [
        ("id", json!("Billing"), "1 to 64"),
        ("id", json!("a_b"), "1 to 64"),
        ("subject", json!(""), "name"),
        ("subject", json!("spiffe://shop.example/a"), "name"),
        ("salt", json!("AAAA"), "16 bytes"),
        ("salt", json!("!"), "16 bytes"),
        ("hash", json!("AAAA"), "SHA-256"),
        ("exception", json!("other"), "no exception"),
    ] {
        let found = api_key_errors(member, value.clone());
        let [(path, text)] = found.as_slice() else { panic!("{member} = {value}: {found:?}") };
        assert_eq!(*path, format!("api_keys[0].{member}"));
        assert!(text.contains(message), "{text}");
    }
    let mut document = valid();
    document["api_keys"] = json!([api_key(), api_key()]);
    assert!(all(document).iter().any(|(path, _)| path == "api_keys[1].id"), "duplicates");
}

#[test]
fn profiles_whose_rules_are_about_the_id_have_their_own() {
    for (profile, issuer) in [("spiffe", "spiffe://shop.example"), ("kubernetes", "https://id")] {
        let mut document = valid();
        let jwk = json!({"kty": "EC", "crv": "P-256", "kid": "k", "alg": "ES256",
            "use": if profile == "spiffe" { "jwt-svid" } else { "sig" },
            "x": "91FBOrxUWygYv5ouDRyuR2M_j0T0fHIwZSUNzP-D-UY", "y": "vKxpc-8pv3Qzv58VDt2zNEoePEX7mgh5vcgJC8QwFBg"});
        let known = &mut document["issuers"][0];
        known["issuer"] = json!(issuer);
        known["profile"] = json!(profile);
        known["algorithms"] = json!(["ES256"]);
        known["keys"] = json!({"inline": {"keys": [jwk]}});
        assert_eq!(all(document.clone()), []);
        document["issuers"][0]["id"] = json!("{sub}");
        let found = all(document);
        let [(path, _)] = found.as_slice() else { panic!("{found:?}") };
        assert_eq!(path, "issuers[0].id");
    }
}

#[test]
fn servers_of_keys_are_described_in_full() {
    let remote = |changes: Value| {
        let mut document = valid();
        let mut remote = json!({"cluster": "c", "host": "h", "path": "/p"});
        for (name, value) in changes.as_object().unwrap() {
            match value {
                Value::Null => drop(remote.as_object_mut().unwrap().remove(name)),
                value => remote[name] = value.clone(),
            }
        }
        document["issuers"][0]["keys"] = json!({"remote": remote});
        all(document)
    };
    assert_eq!(remote(json!({})), []);
    assert_eq!(remote(json!({"path": null, "discovery": true})), []);
    for (changes, member) in [
        (json!({"cluster": ""}), "cluster"),
        (json!({"host": "a b"}), "host"),
        (json!({"path": "p"}), "path"),
        (json!({"path": null}), "path"),
        (json!({"discovery": true}), "path"),
        (json!({"timeout_ms": 0}), "timeout_ms"),
        (json!({"interval_s": 0}), "interval_s"),
        (json!({"refresh_s": 9}), "refresh_s"),
        (json!({"refresh_s": 400, "max_stale_s": 399}), "max_stale_s"),
        (json!({"wait_ms": 60_001}), "wait_ms"),
        (json!({"max_waiting": 10_001}), "max_waiting"),
    ] {
        let found = remote(changes.clone());
        let [(path, _)] = found.as_slice() else { panic!("{changes}: {found:?}") };
        assert_eq!(*path, format!("issuers[0].keys.remote.{member}"), "{changes}");
    }
}

#[test]
fn required_keys_are_required() {
    for pointer in [
        "/version",
        "/instance",
        "/issuers",
        "/bundle",
        "/bundle/inline/grants",
        "/issuers/0/issuer",
        "/issuers/0/audiences",
        "/issuers/0/algorithms",
        "/issuers/0/max_lifetime_s",
        "/issuers/0/keys",
        "/issuers/0/kind",
        "/bundle/inline/grants/0/id",
        "/bundle/inline/grants/0/owner",
        "/bundle/inline/grants/0/purpose",
        "/bundle/inline/grants/0/kinds",
        "/bundle/inline/grants/0/hosts",
        "/bundle/inline/grants/0/methods",
        "/bundle/inline/grants/0/paths",
        "/pdps/default/cluster",
    ] {
        let mut document = valid();
        let (parent, name) = pointer.rsplit_once('/').unwrap();
        document.pointer_mut(parent).unwrap().as_object_mut().unwrap().remove(name).unwrap();
        let found = all(document);
        assert_eq!(found.len(), 1, "{pointer}: {found:?}");
        assert!(found[0].0.ends_with(name) && found[0].1.contains("missing"), "{pointer}: {found:?}");
    }
}

#[test]
fn all_mistakes_are_reported_at_once() {
    let mut document = valid();
    document["version"] = json!(7);
    document["nonsense"] = json!({});
    document["issuers"][0]["max_lifetime_s"] = json!("long");
    document["issuers"][0].as_object_mut().unwrap().remove("audiences");
    let grant = document["bundle"]["inline"]["grants"][0].clone();
    document["bundle"]["inline"]["grants"].as_array_mut().unwrap().push(grant);
    document["bundle"]["inline"]["grants"][0].as_object_mut().unwrap().remove("owner");
    document["bundle"]["inline"]["grants"][1]["hots"] = json!([]);
    let mut paths: Vec<String> = all(document).into_iter().map(|(path, _)| path).collect();
    paths.sort();
    assert_eq!(
        paths,
        [
            "bundle.inline.grants[0].owner",
            "bundle.inline.grants[1].hots",
            "bundle.inline.grants[1].id",
            "issuers[0].audiences",
            "issuers[0].max_lifetime_s",
            "nonsense",
            "version",
        ]
    );
}

#[test]
fn duplicate_members_and_ids_are_mistakes() {
    let text = valid().to_string().replacen("\"version\":1", "\"version\":1,\"version\":1", 1);
    assert!(Settings::from_json(text.as_bytes()).is_err());
    let mut document = valid();
    let key = document["issuers"][0]["keys"]["inline"]["keys"][0].clone();
    document["issuers"][0]["keys"]["inline"]["keys"].as_array_mut().unwrap().push(key);
    assert_eq!(all(document)[0].0, "issuers[0].keys.inline.keys[1].kid");
    let mut document = valid();
    let issuer = document["issuers"][0].clone();
    document["issuers"].as_array_mut().unwrap().push(issuer);
    assert_eq!(all(document)[0].0, "issuers[1].issuer");
}

#[test]
fn rsa_keys_have_a_sane_size() {
    for (bytes, good) in [(128, false), (255, false), (256, true), (1024, true), (1025, false)] {
        use base64::Engine as _;
        let mut modulus = vec![0xff; bytes];
        *modulus.last_mut().unwrap() = 0xfd;
        let n = base64::engine::general_purpose::URL_SAFE_NO_PAD.encode(&modulus);
        let mut document = valid();
        document["issuers"][0]["algorithms"] = json!(["RS256"]);
        document["issuers"][0]["keys"] = json!({"inline": {"keys": [{"kty": "RSA", "n": n, "e": "AQAB"}]}});
        assert_eq!(all(document).is_empty(), good, "{bytes} bytes");
    }
}

#[test]
fn what_is_no_object_is_refused_without_a_trace_of_types() {
    for text in ["", "null", "[]", "1", "\"x\"", "{", "\u{feff}{}"] {
        let errors = Settings::from_json(text.as_bytes()).unwrap_err().to_string();
        assert!(!errors.contains("struct"), "{text}: {errors}");
    }
}
