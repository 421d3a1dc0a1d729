//! Configurations: every mistake is named with its JSON path, all of them at once but where the rest can't be read,
//! and a document with a mistake is never used.
#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing, missing_docs)] // a test that fails panics

mod mistakes;

use everycall_core::Settings;
use mistakes::{api_key, exception, mistakes, valid};
use serde_json::{json, Value};

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
    for (pointer, value, path, message) in mistakes() {
        let found = errors(&pointer, value.clone());
        let named = found.iter().any(|(at, what)| at.starts_with(path) && what.contains(message));
        assert!(named, "{pointer} = {value}: expected `{path}` and `{message}`, found {found:?}");
        assert_eq!(found.len(), 1, "{pointer} = {value}: no echoes: {found:?}");
    }
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
    document["issuers"][0]["leeway_s"] = json!(-1);
    document["issuers"][0]["audiences"] = json!([]);
    document["issuers"][0]["keys"] =
        json!({"remote": {"cluster": "c", "host": "h", "path": "/p", "refresh_s": 9, "max_waiting": 10_001}});
    document["limits"] = json!({"instructions": 1, "signature_ms": 1_001, "pdp_rounds": 16});
    document["pdps"]["default"]["breaker"] = json!({"failures": 0, "open_ms": 9});
    let grant = document["bundle"]["inline"]["grants"][0].clone();
    document["bundle"]["inline"]["grants"].as_array_mut().unwrap().push(grant);
    document["bundle"]["inline"]["grants"][0].as_object_mut().unwrap().remove("owner");
    document["bundle"]["inline"]["grants"][1]["hots"] = json!([]);
    let grant = document["bundle"]["inline"]["grants"][0].clone();
    let grants = document["bundle"]["inline"]["grants"].as_array_mut().unwrap();
    grants.extend([grant.clone(), grant]);
    for grant in grants.iter_mut().skip(2) {
        grant["owner"] = json!(" ");
        grant["id"] = json!("twice");
    }
    assert_eq!(
        paths(document),
        [
            "bundle.inline.grants[0].owner",
            "bundle.inline.grants[1].hots",
            "bundle.inline.grants[2].owner",
            "bundle.inline.grants[3].id",
            "bundle.inline.grants[3].owner",
            "issuers[0].audiences",
            "issuers[0].keys.remote.max_waiting",
            "issuers[0].keys.remote.refresh_s",
            "issuers[0].leeway_s",
            "limits.instructions",
            "limits.signature_ms",
            "pdps.default.breaker.failures",
            "pdps.default.breaker.open_ms",
            "version",
        ]
    );
}

/// Where they stand, in order.
fn paths(document: Value) -> Vec<String> {
    let mut paths: Vec<String> = all(document).into_iter().map(|(path, _)| path).collect();
    paths.sort();
    paths
}

/// What stands behind it can't be read, so nothing is said of what that would mean.
#[test]
fn the_first_thing_of_another_form_is_told_with_the_ranges_before_it() {
    let mut document = valid();
    document["dpop"] = json!({"max_age_s": 0});
    document["version"] = json!(7);
    document["streams"] = json!({"sweep_ms": 1});
    document["issuers"][0].as_object_mut().unwrap().remove("audiences");
    assert_eq!(paths(document.clone()), ["dpop.max_age_s", "issuers[0].audiences"]);
    document["issuers"][0]["max_lifetime_s"] = json!("long");
    assert_eq!(paths(document.clone()), ["dpop.max_age_s", "issuers[0].max_lifetime_s"]);
    document["hosts"] = json!({"a.b": {"path.case": "x"}});
    assert_eq!(paths(document.clone()), ["dpop.max_age_s", "hosts.a.b.path.case"]);
    document["credentials"] = json!({});
    assert_eq!(paths(document), ["credentials"]);
}

/// An elevation that names it says nothing wrong.
#[test]
fn a_grant_that_can_t_be_read_is_there() {
    let mut document = valid();
    let inline = &mut document["bundle"]["inline"];
    inline["grants"][0]["hots"] = json!([]);
    inline["elevations"] = json!([{"id": "e", "subject": "s", "grants": ["g", "h"], "approver": "a", "ticket": "t",
        "reason": "r", "valid_from": "2026-01-01T00:00:00Z", "valid_until": "2026-01-01T01:00:00Z"}]);
    assert_eq!(paths(document), ["bundle.inline.elevations[0].grants[1]", "bundle.inline.grants[0].hots"]);
}

#[test]
fn mistakes_in_grants_are_named_where_they_are_and_once() {
    let mut document = valid();
    let inline = document["bundle"]["inline"].clone();
    document["shadow"] = json!({"inline": inline});
    let grants = document["shadow"]["inline"]["grants"].as_array_mut().unwrap();
    // A list of hosts that is none admits nothing either, which is an echo.
    grants[0]["hosts"] = json!("orders.shop.example");
    grants.push(json!(["a", "b"]));
    let found = all(document.clone());
    let paths: Vec<&str> = found.iter().map(|(path, _)| path.as_str()).collect();
    assert_eq!(paths, ["shadow.inline.grants[0].hosts", "shadow.inline.grants[1]"]);

    document["shadow"]["inline"]["grants"] = json!({});
    assert_eq!(all(document.clone())[0].0, "shadow.inline.grants");
    document.as_object_mut().unwrap().remove("shadow");
    let grant = document["bundle"]["inline"]["grants"][0].clone();
    document["bundle"]["inline"].as_object_mut().unwrap().remove("grants");
    assert_eq!(all(document.clone()).len(), 1, "{:?}", all(document));

    let mut many = vec![grant; 1_000];
    many.iter_mut().for_each(|grant| grant["hots"] = json!([]));
    document["bundle"]["inline"]["grants"] = json!(many);
    let unknown = all(document).into_iter().filter(|(path, _)| path.ends_with(".hots")).count();
    assert_eq!(unknown, 100, "the rest is not looked at");
}

#[test]
fn duplicate_members_and_ids_are_mistakes() {
    let text = valid().to_string().replacen("\"version\":1", "\"version\":1,\"version\":1", 1);
    assert!(Settings::from_json(text.as_bytes()).is_err());
    let mut document = valid();
    let mut key = document["issuers"][0]["keys"]["inline"]["keys"][0].clone();
    document["issuers"][0]["keys"]["inline"]["keys"].as_array_mut().unwrap().push(key.clone());
    assert_eq!(all(document.clone()), [], "the same key twice is one");
    // The generator of P-256.
    key["x"] = json!("axfR8uEsQkf4vOblY6RA8ncDfYEt6zOg9KE5RdiYwpY");
    key["y"] = json!("T-NC4v4af5uO5-tKfA-eFivOM1drMV7Oy7ZAaDe_UfU");
    document["issuers"][0]["keys"]["inline"]["keys"][1] = key;
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

/// An IPv4 client is looked for by its IPv4 address: such a range would hold nobody.
#[test]
fn ranges_of_mapped_addresses_are_refused_with_what_to_write() {
    for (range, right) in [
        ("::ffff:10.0.0.0/104", "10.0.0.0/8"),
        ("::ffff:192.0.2.1/128", "192.0.2.1/32"),
        ("::ffff:0:0/96", "0.0.0.0/0"),
    ] {
        let found = errors("/networks/office", json!([range]));
        assert_eq!(found.len(), 1, "{found:?}");
        assert_eq!(found[0].0, "networks.office[0]");
        assert!(found[0].1.contains(&format!("expected `{right}`")), "{found:?}");
    }
    for range in ["::/0", "::1/128", "2001:db8::/32", "64:ff9b::/96", "10.0.0.0/8"] {
        assert_eq!(errors("/networks/office", json!([range])), [], "{range}");
    }
}

#[test]
fn only_headers_that_are_removed_can_be_trusted() {
    for name in ["x-forwarded-host", "X-Forwarded-User", "forwarded"] {
        assert_eq!(errors("/trusted_headers", json!([name])), [], "{name}");
    }
    for name in ["x-everycall-identity", "authorization", "x-tenant", "x_forwarded_host", ""] {
        let found = errors("/trusted_headers", json!(["forwarded", name]));
        assert_eq!(found.len(), 1, "{found:?}");
        assert_eq!(found[0].0, "trusted_headers[1]");
    }
}

/// A worker reads it at once.
#[test]
fn a_text_has_bounds() {
    let document = valid().to_string();
    let padded = |bytes: usize| format!("{document}{}", " ".repeat(bytes - document.len()));
    // An array counts as one, and what is in it.
    let numbers = |text: &str, count: usize| {
        let mut document = valid();
        document["bundle"]["inline"]["data"] = json!({"all": ["here"]});
        document.to_string().replace("\"here\"", &vec![text; count].join(","))
    };
    let counts: Vec<usize> = (39_000..40_000).collect();
    let most = 39_000 + counts.partition_point(|count| Settings::from_json(numbers("0", *count)).is_ok());
    assert!(most < 39_990, "the rest of it has some values, too");
    for (text, message) in [
        (padded(512 * 1024 + 1), "524289 bytes; a worker reads at most 524288 at once"),
        (numbers("0", most), "more than 40000 values"),
        (numbers("{}", most), "more than 40000 values"),
        (numbers("123456789012345678901234567890", 2), "a number that 64 bits do not hold as it is written"),
        (numbers("0.10000000000000000001", 2), "a number that 64 bits do not hold as it is written"),
    ] {
        let errors = Settings::from_json(&text).unwrap_err();
        let errors: Vec<_> = errors.iter().map(|error| (&*error.path, &*error.message)).collect();
        assert!(matches!(&*errors, [("", said)] if said.contains(message)), "{message}: {errors:?}");
    }
    for text in [padded(512 * 1024), numbers("0.5", most - 1), numbers("18446744073709551615", 2)] {
        assert!(Settings::from_json(&text).is_ok(), "{text:.1000}");
    }
}

/// Whoever reads this repository has their secrets.
#[test]
fn test_keys_are_told_wherever_they_are_trusted() {
    let file = concat!(env!("CARGO_MANIFEST_DIR"), "/../../tests/keys/test-only-es256.jwk.json");
    let mut key: Value = serde_json::from_slice(&std::fs::read(file).unwrap()).unwrap();
    key.as_object_mut().unwrap().remove("d");
    let set = json!({"keys": [key]});
    let told = |document: &Value| Settings::from_value(document.clone()).unwrap().test_keys().to_vec();
    assert_eq!(told(&valid()), []);
    let remote = json!({"cluster": "c", "host": "h", "path": "/p"});
    let mut document = valid();
    document["issuers"][0]["algorithms"] = json!(["EdDSA", "ES256"]);
    document["issuers"][0]["keys"]["inline"]["keys"].as_array_mut().unwrap().push(key.clone());
    document["bundle"] = json!({"remote": remote, "keys": set});
    for feed in ["revocations", "signals"] {
        document[feed] = json!({"remote": remote, "keys": set});
    }
    let places: Vec<String> = told(&document).into_iter().map(|(place, _)| place).collect();
    assert_eq!(places, ["issuers[0].keys", "revocations.keys", "signals.keys", "bundle.keys"]);
    assert!(told(&document).iter().all(|(_, id)| id == "test-only-es256"));
}
