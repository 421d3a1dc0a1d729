//! Authority records: which of them can't stand, alone or beside each other, and how each is named.
#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing, missing_docs)] // a test that fails panics

use everycall_core::Settings;
use serde_json::{json, Map, Value};

/// A grant with these members instead of its own.
fn grant(id: &str, members: Value) -> Value {
    let mut grant = json!({"id": id, "owner": "o", "purpose": "p", "subject": "s", "kinds": ["workload"],
        "hosts": ["h"], "methods": ["GET"], "paths": ["/a/{x}"]});
    patch(&mut grant, members);
    grant
}

/// Null takes a member out.
fn patch(record: &mut Value, members: Value) {
    let record = record.as_object_mut().unwrap();
    for (name, value) in members.as_object().cloned().unwrap_or_else(Map::new) {
        match value {
            Value::Null => drop(record.remove(&name)),
            value => drop(record.insert(name, value)),
        }
    }
}

fn errors(bundle: Value) -> Vec<(String, String)> {
    let mut inline = json!({"policies": {
        "a.rego": "package everycall\ndecision := {\"allow\": true}\n",
        "b.rego": "package everycall.other\ndecision := {\"allow\": true}\n",
    }});
    patch(&mut inline, bundle);
    let document = json!({
        "version": 1,
        "instance": "shop",
        "issuers": [{
            "issuer": "https://id", "audiences": ["orders"], "algorithms": ["EdDSA"], "max_lifetime_s": 900, "kind": "workload",
            "keys": {"inline": {"keys": [{"kty": "OKP", "crv": "Ed25519", "kid": "k1", "x": "11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo"}]}}
        }],
        "networks": {"office": ["10.0.0.0/8"]},
        "bundle": {"inline": inline},
    });
    match Settings::from_value(document) {
        Ok(_) => Vec::new(),
        Err(errors) => errors.iter().map(|error| (error.path.clone(), error.message.clone())).collect(),
    }
}

/// What is wrong with the second of two grants.
fn beside(one: Value, other: Value) -> Option<String> {
    let found = errors(json!({"grants": [one, other]}));
    assert!(found.len() <= 1, "{found:?}");
    let (path, message) = found.into_iter().next()?;
    assert_eq!(path, "bundle.inline.grants[1].paths[0]");
    Some(message)
}

/// The error at one path.
fn only(bundle: Value) -> (String, String) {
    let found = errors(bundle);
    assert_eq!(found.len(), 1, "{found:?}");
    found.into_iter().next().unwrap()
}

#[test]
fn grants_that_would_decide_one_call_differently_conflict() {
    for (name, value) in [
        ("policy", json!("other")),
        ("sensitivity", json!("high")),
        ("requires_binding", json!("any")),
        ("requires_elevation", json!(true)),
        ("break_glass_kinds", json!([])),
    ] {
        let message = beside(grant("one", json!({})), grant("two", json!({name: value}))).unwrap();
        assert!(message.starts_with("conflicts with grant `one`"), "{message}");
        assert!(message.ends_with(&format!("differ in `{name}`")), "{message}");
    }
    // Whatever else they have in common: it is enough that one call can be admitted by both.
    let other = json!({"policy": "other"});
    for members in [
        json!({"methods": ["POST", "GET"]}),
        json!({"kinds": ["agent", "workload"]}),
        json!({"issuer": "https://id"}),
        json!({"valid_from": "2026-01-01T00:00:00Z"}),
        json!({"delegation": {"on_behalf_of": ["user:alice"]}}),
        json!({"paths": ["/a/{x}", "/b"]}),
        json!({"hosts": ["g", "h"]}),
    ] {
        let mut second = grant("two", other.clone());
        patch(&mut second, members.clone());
        assert!(beside(grant("one", json!({})), second).is_some(), "{members}");
    }
}

#[test]
fn grants_that_no_call_has_in_common_do_not_conflict() {
    let until = json!({"valid_until": "2026-01-01T00:00:00Z", "issuer": "https://a"});
    for members in [
        json!({"methods": ["POST"]}),
        json!({"kinds": ["agent"]}),
        json!({"issuer": "https://b"}),
        json!({"valid_from": "2026-01-01T00:00:00Z"}),
        json!({"subject": "t"}),
        json!({"hosts": ["g"]}),
        json!({"paths": ["/a/b"]}),
        json!({"paths": ["/a/{x...}"]}),
        json!({"subject": null, "subject_prefix": "spiffe://s/"}),
        json!({"subject": null, "claims": {"sub": "s"}, "issuer": "https://a"}),
    ] {
        let mut second = grant("two", json!({"policy": "other"}));
        patch(&mut second, members.clone());
        assert_eq!(beside(grant("one", until.clone()), second), None, "{members}");
    }
}

#[test]
fn grants_that_differ_only_in_what_is_recorded_are_layers() {
    for members in [
        json!({"owner": "another"}),
        json!({"purpose": "another"}),
        json!({"source": "iga"}),
        json!({"ticket": "T1"}),
        json!({"delegation": {}}),
        json!({"valid_until": "2026-01-01T00:00:00Z"}),
    ] {
        assert_eq!(beside(grant("one", json!({})), grant("two", members.clone())), None, "{members}");
    }
}

#[test]
fn the_same_grant_twice_is_a_mistake() {
    let message = beside(grant("one", json!({})), grant("two", json!({}))).unwrap();
    assert!(message.starts_with("repeats grant `one`"), "{message}");
    let (path, message) = only(json!({"grants": [grant("one", json!({})), grant("one", json!({}))]}));
    assert_eq!((path.as_str(), message.as_str()), ("bundle.inline.grants[1].id", "duplicate grant id `one`"));
}

#[test]
fn one_path_with_two_names_for_its_values_is_ambiguous() {
    let second = grant("two", json!({"paths": ["/a/{y}"], "owner": "another"}));
    let message = beside(grant("one", json!({})), second.clone()).unwrap();
    assert!(message.starts_with("is ambiguous beside grant `one`"), "{message}");
    assert!(message.contains("`x` and `y`"), "{message}");
    // Not where the two are never for one call.
    let mut apart = second;
    patch(&mut apart, json!({"methods": ["PUT"]}));
    assert_eq!(beside(grant("one", json!({})), apart), None);
}

#[test]
fn how_many_grants_are_for_one_route_is_bounded() {
    let grants = |count: usize| -> Vec<Value> {
        (0..count).map(|at| grant(&format!("g{at}"), json!({"ticket": format!("T{at}")}))).collect()
    };
    assert_eq!(errors(json!({"grants": grants(256)})), []);
    let (path, message) = only(json!({"grants": grants(257)}));
    assert_eq!(path, "bundle.inline.grants[256].paths[0]");
    assert!(message.contains("more than 256"), "{message}");
}

#[test]
fn prefixes_end_with_a_slash_and_claims_have_an_issuer() {
    for prefix in
        ["spiffe://d/a", "spiffe://d//", "spiffe://D/a/", "spiffe:///", "spiffe://d/../", "ns/", "/", ""]
    {
        let (path, message) =
            only(json!({"grants": [grant("g", json!({"subject": null, "subject_prefix": prefix}))]}));
        assert_eq!(path, "bundle.inline.grants[0].subject_prefix", "{prefix}");
        assert!(message.contains("is not a SPIFFE ID with `/` behind it"), "{message}");
    }
    for (members, at) in [
        (json!({"claims": {"a": "b"}}), "issuer"),
        (json!({"claims": {}, "issuer": "i"}), "claims"),
        (json!({"claims": {"a": ""}, "issuer": "i"}), "claims.a"),
        (json!({"claims": {"": "a"}, "issuer": "i"}), "claims."),
        (json!({"claims": {"a": "b"}, "issuer": "i", "delegation": {}}), "delegation"),
    ] {
        let mut record = grant("g", json!({"subject": null}));
        patch(&mut record, members.clone());
        assert_eq!(only(json!({"grants": [record]})).0, format!("bundle.inline.grants[0].{at}"), "{members}");
    }
}

#[test]
fn elevations_that_cannot_stand_are_named() {
    let elevation = |members: Value| {
        let mut record = json!({"id": "e", "subject": "s", "grants": ["g"], "approver": "a", "ticket": "t", "reason": "r",
            "valid_from": "2026-01-01T00:00:00Z", "valid_until": "2026-01-01T08:00:00Z"});
        patch(&mut record, members);
        record
    };
    let with = |elevations: Value| {
        let grant = grant("g", json!({"requires_elevation": true}));
        json!({"grants": [grant], "elevations": elevations})
    };
    assert_eq!(errors(with(json!([elevation(json!({"networks": ["office"]}))]))), []);
    // An hour, by the subject itself.
    let hour = json!({"break_glass": true, "approver": "s", "valid_until": "2026-01-01T01:00:00Z"});
    assert_eq!(errors(with(json!([elevation(hour)]))), []);
    for (members, at, message) in [
        (json!({"id": "a b"}), "id", "not a name"),
        (json!({"subject": ""}), "subject", "empty"),
        (json!({"subject": "anonymous"}), "subject", "never elevated"),
        (json!({"approver": " "}), "approver", "empty"),
        (json!({"approver": "s"}), "approver", "is the subject"),
        (json!({"approver": " s\u{200b}"}), "approver", "is the subject"),
        (json!({"approver": "S"}), "approver", "is the subject"),
        (json!({"subject": "*"}), "subject", "stands for nothing else"),
        (json!({"ticket": ""}), "ticket", "empty"),
        (json!({"reason": " "}), "reason", "empty"),
        (json!({"owner": ""}), "owner", "empty"),
        (json!({"grants": []}), "grants", "admits nothing"),
        (json!({"grants": ["g", "g"]}), "grants[1]", "repeated"),
        (json!({"grants": ["g", "h"]}), "grants[1]", "no grant `h`"),
        (json!({"networks": []}), "networks", "admits nothing"),
        (json!({"networks": ["home"]}), "networks[0]", "no network `home`"),
        (json!({"valid_from": "today"}), "valid_from", "RFC 3339"),
        (json!({"valid_until": "2026-01-01T00:00:00Z"}), "valid_until", "within 8 hours"),
        (json!({"valid_until": "2025-12-31T23:59:59Z"}), "valid_until", "within 8 hours"),
        (json!({"valid_until": "2026-01-01T08:00:01Z"}), "valid_until", "limits.elevation_hours"),
        (
            json!({"break_glass": true, "valid_until": "2026-01-01T01:00:01Z"}),
            "valid_until",
            "within 60 minutes after `valid_from` (`limits.break_glass_minutes`)",
        ),
        (json!({"nets": []}), "nets", "unknown field"),
    ] {
        let (path, found) = only(with(json!([elevation(members.clone())])));
        assert_eq!(path, format!("bundle.inline.elevations[0].{at}"), "{members}");
        assert!(found.contains(message), "{members}: {found}");
    }
    let (path, message) = only(with(json!([elevation(json!({})), elevation(json!({}))])));
    assert_eq!((path.as_str(), message.contains("duplicate")), ("bundle.inline.elevations[1].id", true));
}

#[test]
fn nothing_is_asked_of_callers_without_a_credential() {
    for (name, value) in [
        ("kinds", json!(["human"])),
        ("issuer", json!("i")),
        ("delegation", json!({})),
        ("requires_binding", json!("any")),
        ("requires_elevation", json!(true)),
    ] {
        let mut record = grant("g", json!({"subject": "anonymous", "kinds": null}));
        patch(&mut record, json!({name: value}));
        assert_eq!(only(json!({"grants": [record]})).0, format!("bundle.inline.grants[0].{name}"));
    }
}

/// What is written as if it were a pattern of somebody else's would never match: it is refused, with what to write.
#[test]
fn wildcards_of_others_are_not_taken_in_silence() {
    for (path, message) in [
        ("/a/*", "write `/a/{rest...}`"),
        ("/*", "write `/{rest...}`"),
        ("/a/**", "write `/a/{rest...}`"),
        ("/a/*/b", "write `/a/{name}`"),
        ("/users/:id", "write `{id}`"),
        ("/users/:id/orders", "write `{id}`"),
    ] {
        for member in ["paths", "except"] {
            let (at, said) = only(json!({"grants": [grant("g", json!({member: [path]}))]}));
            assert_eq!(at, format!("bundle.inline.grants[0].{member}[0]"));
            assert!(said.contains(message), "{path}: {said}");
        }
    }
    for literal in ["/a*", "/a/b*c", "/v1/items:batchGet", "/a:b/c"] {
        assert_eq!(errors(json!({"grants": [grant("g", json!({"paths": [literal]}))]})), [], "{literal}");
    }
    for (members, at) in [
        (json!({"subject": "*"}), "subject"),
        (json!({"subject": "spiffe://d/ns/*"}), "subject"),
        (json!({"subject": "system:serviceaccount:ci:*"}), "subject"),
        (json!({"delegation": {"on_behalf_of": ["*"]}}), "delegation.on_behalf_of[0]"),
        (json!({"delegation": {"actors": ["a", "ns/*"]}}), "delegation.actors[1]"),
        (
            json!({"subject": null, "issuer": "https://id", "claims": {"repository": "shop/*"}}),
            "claims.repository",
        ),
    ] {
        let (path, message) = only(json!({"grants": [grant("g", members.clone())]}));
        assert_eq!(path, format!("bundle.inline.grants[0].{at}"), "{members}");
        assert!(message.contains("`*` stands for nothing else"), "{message}");
    }
    let (path, said) = only(json!({"grants": [grant("g", json!({"delegation": {"principals": ["a"]}}))]}));
    assert_eq!(path, "bundle.inline.grants[0].delegation.principals");
    assert!(said.contains("unknown field") && said.contains("expected `on_behalf_of`"), "{said}");
    for literal in ["a*b", "**a", "user*"] {
        assert_eq!(errors(json!({"grants": [grant("g", json!({"subject": literal}))]})), [], "{literal}");
    }
}

#[test]
fn how_much_one_record_holds_is_bounded() {
    let many =
        |count: usize, text: &str| -> Vec<String> { (0..count).map(|at| format!("{text}{at}")).collect() };
    let claims = |count: usize| -> Map<String, Value> {
        (0..count).map(|at| (format!("c{at}"), json!("x"))).collect()
    };
    let asking = |count: usize| json!({"subject": null, "issuer": "https://id", "claims": claims(count)});
    let deep = |count: usize| many(count, &"/a".repeat(50));
    for (member, most, more, message) in [
        (
            "paths",
            json!({"paths": many(100, "/p"), "hosts": many(10, "h")}),
            json!({"paths": many(77, "/p"), "hosts": many(13, "h")}),
            "1001 hosts times paths; a grant has at most 1000",
        ),
        (
            "paths",
            json!({"paths": deep(100), "hosts": many(2, "h")}),
            json!({"paths": deep(67), "hosts": many(3, "h")}),
            "10050 hosts times segments of paths; a grant has at most 10000",
        ),
        (
            "except",
            json!({"paths": ["/{rest...}"], "except": many(100, "/e")}),
            json!({"paths": ["/{rest...}"], "except": many(101, "/e")}),
            "101 paths; a grant has at most 100",
        ),
        (
            "methods",
            json!({"methods": (0..32).map(|at| "A".repeat(at + 1)).collect::<Vec<_>>()}),
            json!({"methods": (0..33).map(|at| "A".repeat(at + 1)).collect::<Vec<_>>()}),
            "33 methods; a grant has at most 32",
        ),
        ("claims", asking(16), asking(17), "17 claims; a grant has at most 16"),
    ] {
        assert_eq!(errors(json!({"grants": [grant("g", most)]})), [], "{member}");
        let (path, found) = only(json!({"grants": [grant("g", more)]}));
        assert_eq!((path, &*found), (format!("bundle.inline.grants[0].{member}"), message));
    }
    assert_eq!(errors(json!({"grants": [grant("g", json!({"paths": ["/a".repeat(64)]}))]})), []);
    let (path, found) = only(json!({"grants": [grant("g", json!({"paths": ["/a".repeat(65)]}))]}));
    assert_eq!(path, "bundle.inline.grants[0].paths[0]");
    assert_eq!(found, "more than 64 segments never match: such paths are refused");
}

#[test]
fn how_many_sets_of_claims_are_asked_for_is_bounded_for_each_issuer() {
    let asking = |at: usize, name: usize, issuer: &str| {
        let members =
            json!({"subject": null, "issuer": issuer, "claims": {format!("c{name}"): format!("{at}")}});
        grant(&format!("g{at}"), members)
    };
    let mut grants: Vec<Value> = (0..64).map(|at| asking(at, at, "https://id")).collect();
    // Of a known set, and of another issuer.
    grants.push(asking(64, 3, "https://id"));
    grants.push(asking(65, 64, "https://other"));
    assert_eq!(errors(json!({"grants": grants.clone()})), []);
    grants.push(asking(66, 64, "https://id"));
    let (path, message) = only(json!({"grants": grants}));
    assert_eq!(path, "bundle.inline.grants[66].claims");
    assert_eq!(message, "more than 64 different sets of claims are asked for of this issuer");
}

#[test]
fn how_many_elevations_are_for_one_grant_is_bounded() {
    let elevation = |at: usize, members: Value| {
        let mut elevation = json!({"id": format!("e{at}"), "subject": "s", "grants": ["g"], "approver": "a",
            "ticket": "T", "reason": "r", "valid_from": "2026-01-01T00:00:00Z", "valid_until": "2026-01-01T01:00:00Z"});
        patch(&mut elevation, members);
        elevation
    };
    let grants = json!([grant("g", json!({})), grant("h", json!({"paths": ["/h"]}))]);
    let mut elevations: Vec<Value> = (0..256).map(|at| elevation(at, json!({}))).collect();
    elevations.push(elevation(256, json!({"subject": "other"})));
    elevations.push(elevation(257, json!({"grants": ["h"]})));
    assert_eq!(errors(json!({"grants": grants, "elevations": elevations.clone()})), []);
    elevations.push(elevation(258, json!({"grants": ["h", "g"]})));
    let (path, message) = only(json!({"grants": grants, "elevations": elevations}));
    assert_eq!(path, "bundle.inline.elevations[258].grants[1]");
    assert_eq!(message, "more than 256 elevations are of this subject for this grant");
    let networks: Vec<String> = (0..1_001).map(|at| format!("n{at}")).collect();
    let (path, message) =
        only(json!({"grants": grants, "elevations": [elevation(0, json!({"networks": networks}))]}));
    assert_eq!(path, "bundle.inline.elevations[0].networks");
    assert_eq!(message, "1001 networks; an elevation has at most 1000");
}
