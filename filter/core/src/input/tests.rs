use serde_json::json;

use super::facts::FACTS;
use super::*;
use crate::authority::elevations::{Elevated, Elevation};
use crate::authority::exceptions::Exception;
use crate::authority::grants::Grant;
use crate::base::reads::Path;
use crate::config::InputFormat;
use crate::credential::token::cache::Verified;
use crate::identity::{Claims, Kind, Kinds};
use sources::{callers, for_all, grants, networks, requests, signals};

mod sources;

const NOW: i64 = 1_790_000_000;

fn at(secs: i64) -> UnixTime {
    UnixTime::from_secs(secs)
}

fn map(json: Json) -> Map<String, Json> {
    json.as_object().cloned().unwrap()
}

fn path(names: &[&str]) -> Path {
    names.iter().map(|name| Arc::from(*name)).collect()
}

/// Every path of a document.
fn paths_of(value: &Value, here: &Path, into: &mut Vec<Path>) {
    into.push(here.clone());
    if let Value::Object(members) = value {
        for (name, value) in members.iter() {
            let mut below = here.clone();
            below.push(name.as_str().unwrap().into());
            paths_of(value, &below, into);
        }
    }
}

fn values(format: InputFormat, paths: &[Path], of: &Sources<'_>) -> (Slots, PolicyInput) {
    let (slots, _) = Slots::resolve(format, paths.iter().map(Vec::as_slice));
    let input = PolicyInput::new(&slots, of);
    (slots, input)
}

#[test]
fn a_slot_is_what_stands_at_its_path_in_the_whole_input() {
    for format in [InputFormat::Everycall, InputFormat::OpaEnvoy] {
        // All that can stand somewhere, and near misses of it.
        let mut all =
            vec![path(&[]), path(&["pdp"]), path(&["pdp", "q", "decision"]), path(&["pdp", "absent"])];
        for_all(|of| {
            let (_, input) = values(format, &[path(&[])], of);
            paths_of(input.slots[0].as_ref().unwrap(), &path(&[]), &mut all);
        });
        all.sort_unstable();
        all.dedup();
        let near = all.iter().flat_map(|path| {
            ["absent", "id", "x-a", "risk", "", "networks", "expires_in", ":path"].map(|name| {
                let mut near = path.clone();
                near.push(name.into());
                near
            })
        });
        let mut all: Vec<Path> = all.iter().cloned().chain(near.collect::<Vec<_>>()).collect();
        all.sort_unstable();
        all.dedup();
        assert!(all.len() > 500 && all[0].is_empty());
        let answer = Answer::from_json(&json!({"decision": true, "context": {"a": [1]}})).unwrap();
        // Alone, each is answered by its fact; together, by what is read as a whole.
        let alone: Vec<Slots> =
            all.iter().map(|path| Slots::resolve(format, [&path[..]].into_iter()).0).collect();
        let (slots, _) = Slots::resolve(format, all.iter().rev().map(Vec::as_slice));
        for_all(|of| {
            let whole = alone[0].values(of).remove(0).unwrap();
            for (path, slots) in all.iter().zip(&alone) {
                assert!(slots.values(of)[0] == slots::descend(&whole, path), "{format:?}: {path:?}");
            }
            let mut input = PolicyInput::new(&slots, of);
            for round in 0..3 {
                let whole = input.slots.last().unwrap().clone().unwrap();
                for (path, value) in all.iter().rev().zip(&input.slots) {
                    assert!(*value == slots::descend(&whole, path), "{format:?}: {path:?}");
                }
                assert_eq!(whole.get_str("pdp").is_some(), round > 0 && format == InputFormat::Everycall);
                let answers = [("q", &answer), ("r", &Answer::Error(crate::pdp::AnswerError::Timeout))];
                input.put_answers(&slots, answers.into_iter().take(round + 1));
            }
        });
    }
}

#[test]
fn the_whole_input_is_what_it_is_said_to_be() {
    let (networks, callers, grants, requests, signals) =
        (networks(), callers(), grants(), requests(), signals());
    let whole = |format, full: bool| {
        let last = |len: usize| if full { len - 1 } else { 0 };
        let (request, target, connection) = &requests[usize::from(full)];
        let of = Sources {
            now: at(NOW),
            request,
            target,
            connection,
            caller: callers[last(callers.len())].as_ref().map(Verified::caller),
            granted: &grants[usize::from(full)],
            signals: signals[last(signals.len())].as_ref(),
            networks: &networks,
        };
        let (_, input) = values(format, &[path(&[])], &of);
        input.document([&path(&[])[..]].into_iter())
    };
    let none = json!({
        "clock": {"date": "2026-09-21", "hour": 14, "minute": 13, "weekday": "Monday"},
        "connection": {}, "elevation": null, "exception": null,
        "grant": {"id": "g", "owner": "o", "params": {}, "purpose": "p", "sensitivity": null, "source": null, "ticket": null},
        "identity": null,
        "request": {"headers": {}, "host": "orders.shop.example", "id": null, "method": "GET", "path": "/", "query": {},
            "scheme": "http", "segments": []},
        "time": NOW
    });
    assert_eq!(whole(InputFormat::Everycall, false), none);
    let full = json!({
        "clock": {"date": "2026-09-21", "hour": 14, "minute": 13, "weekday": "Monday"},
        "connection": {"mtls": true, "peer_id": "spiffe://a/b", "source_ip": "10.1.2.3", "destination_ip": "10.0.0.9",
            "protocol": "HTTP/2", "tls_version": "TLSv1.3", "sni": "orders", "networks": ["office", "lab"]},
        "elevation": {"id": "el", "owner": null, "approver": "boss", "ticket": "T-2", "reason": "because",
            "valid_from": NOW - 5, "valid_until": NOW + 5, "break_glass": false, "break_glass_reason": null},
        "exception": {"id": "e", "owner": "o", "reason": "r", "compensating_control": "c", "valid_until": 1_800_000_000},
        "grant": {"id": "g", "owner": "o", "params": {"order": "7", "id": "a b", "": "empty"}, "purpose": "p",
            "sensitivity": "high", "source": "iga", "ticket": "T-1"},
        "identity": {"kind": "agent", "id": "agent", "issuer": "https://id", "credential": "jwt",
            "claims": {"role": "admin", "deep": {"list": [1, 2.5], "": null}, "n": 1e300, "id": "x", "claims": {"role": 1}},
            "on_behalf_of": "alice", "actors": ["first", "second"], "task": {"id": "t-1"}, "expires_in": 288, "bound": "dpop"},
        "request": {"headers": {"x-a": ["1", "2"], "x-b": [""], "path": ["odd"], "host": ["h"]},
            "host": "orders.shop.example", "id": "r-1", "method": "GET", "path": "/orders/a%20b/",
            "query": {"q": ["1", "a b"], "r": [""]}, "scheme": "https", "segments": ["orders", "a b", ""]},
        "signals": {"identity": {"risk": "high", "score": 1.5}, "on_behalf_of": {}, "actors": [{"risk": true}, {}],
            "task": {"seen": 3}},
        "time": NOW
    });
    assert_eq!(whole(InputFormat::Everycall, true), full);
    assert_eq!(
        whole(InputFormat::OpaEnvoy, false),
        json!({
            "attributes": {
                "request": {"time": "2026-09-21T14:13:20Z", "http": {"method": "GET", "path": "/",
                    "host": "orders.shop.example", "scheme": "http",
                    "headers": {":method": "GET", ":path": "/", ":authority": "orders.shop.example",
                        ":scheme": "http"}}},
                "source": {}, "destination": {}
            },
            "parsed_path": [""], "parsed_query": {}, "parsed_body": null, "truncated_body": true,
            "version": {"ext_authz": "v3", "encoding": "protojson"}, "everycall": none
        })
    );
    let path = "/orders/a%20b/?q=1&q=a+b&r";
    assert_eq!(
        whole(InputFormat::OpaEnvoy, true),
        json!({
            "attributes": {
                "request": {"time": "2026-09-21T14:13:20Z", "http": {"method": "GET", "path": path,
                    "host": "orders.shop.example", "scheme": "https", "protocol": "HTTP/2",
                    "headers": {":method": "GET", ":path": path, ":authority": "orders.shop.example",
                        ":scheme": "https", "x-a": "1,2", "x-b": "", "path": "odd", "host": "h"}}},
                "source": {"address": {"socketAddress": {"address": "10.1.2.3"}}, "principal": "spiffe://a/b"},
                "destination": {"address": {"socketAddress": {"address": "10.0.0.9"}}}
            },
            "parsed_path": ["orders", "a b", ""], "parsed_query": {"q": ["1", "a b"], "r": [""]},
            "parsed_body": null, "truncated_body": true,
            "version": {"ext_authz": "v3", "encoding": "protojson"}, "everycall": full
        })
    );
}

#[test]
fn each_fact_stands_in_one_place_and_in_order() {
    for facts in [FACTS, opa::FACTS] {
        let (slots, _) = Slots::resolve(InputFormat::Everycall, std::iter::empty());
        assert!(!slots.are_timed());
        let paths: Vec<Vec<&str>> = facts.iter().map(|fact| fact.names().collect()).collect();
        assert!(paths.is_sorted_by(|a, b| a < b), "{paths:?}");
    }
}

fn resolved(format: InputFormat, paths: &[&[&str]]) -> (Slots, crate::base::reads::Reads) {
    let paths: Vec<Path> = paths.iter().map(|names| path(names)).collect();
    Slots::resolve(format, paths.iter().map(Vec::as_slice))
}

#[test]
fn what_is_read_follows_from_the_slots() {
    let own = |paths: &[&[&str]]| resolved(InputFormat::Everycall, paths).1;
    let opa = |paths: &[&[&str]]| resolved(InputFormat::OpaEnvoy, paths).1;
    let needs = |reads: &crate::base::reads::Reads| {
        let connection = crate::base::reads::Names::of(reads, &["connection"]);
        let attributes = crate::http::attributes::ATTRIBUTES.iter().map(|attribute| attribute.name);
        attributes
            .filter(|name| crate::http::attributes::is_read(name, &connection))
            .collect::<Vec<_>>()
            .join(" ")
    };
    let all = "mtls peer_id source_ip destination_ip protocol tls_version sni";
    for (reads, expected) in [
        (own(&[&["connection", "sni"]]), "sni"),
        (own(&[&["connection", "networks"]]), "source_ip"),
        (own(&[&["connection"]]), all),
        (own(&[&[]]), all),
        (own(&[&["identity"], &["time"], &["request", "host"]]), ""),
        (own(&[&["request"]]), "tls_version"),
        (own(&[&["request", "scheme"]]), "tls_version"),
        (opa(&[&["attributes", "source", "address", "socketAddress", "address"]]), "source_ip"),
        (opa(&[&["attributes", "source"]]), "peer_id source_ip"),
        (opa(&[&["attributes"]]), "peer_id source_ip destination_ip protocol tls_version"),
        (opa(&[&["attributes", "request", "http", "scheme"]]), "tls_version"),
        (opa(&[&["attributes", "request", "http", "headers", ":scheme"]]), "tls_version"),
        (opa(&[&["attributes", "request", "http", "protocol"]]), "protocol"),
        (opa(&[&["everycall", "connection", "networks"]]), "source_ip"),
        (opa(&[&["everycall"]]), all),
        (opa(&[&[]]), all),
    ] {
        assert_eq!(needs(&reads), expected, "{reads:?}");
    }
    let http = ["attributes", "request", "http"];
    let below = |name: &'static str| [&http[..], &[name]].concat();
    let header = |name: &'static str| [&http[..], &["headers", name]].concat();
    let names = |reads: &crate::base::reads::Reads, part: &str| {
        let names = reads.names(&["request", part])?;
        Some(names.into_iter().collect::<Vec<_>>().join(" "))
    };
    let some = |names: &str| Some(names.to_owned());
    for (reads, headers, query) in [
        (opa(&[&below("method")]), some(""), some("")),
        (opa(&[&header("x-a")]), some("x-a"), some("")),
        (opa(&[&header(":path")]), some(""), None),
        (opa(&[&header(":method")]), some(""), some("")),
        (opa(&[&below("path")]), some(""), None),
        (opa(&[&below("headers")]), None, None),
        (opa(&[&http]), None, None),
        (opa(&[&["parsed_query", "q"]]), some(""), some("q")),
        (opa(&[&["parsed_query"]]), some(""), None),
        (opa(&[&["everycall", "request", "headers", "x-b"]]), some("x-b"), some("")),
        (own(&[&["request", "headers", "x-b"], &["request", "query", "q"]]), some("x-b"), some("q")),
    ] {
        assert_eq!((names(&reads, "headers"), names(&reads, "query")), (headers, query), "{reads:?}");
    }
}

#[test]
fn time_and_null_are_known_by_the_slots() {
    for (format, path, timed) in [
        (InputFormat::Everycall, &["time"][..], true),
        (InputFormat::Everycall, &["clock", "hour"], true),
        (InputFormat::Everycall, &["clock"], true),
        (InputFormat::Everycall, &["identity", "expires_in"], true),
        (InputFormat::Everycall, &["identity"], true),
        (InputFormat::Everycall, &["identity", "id"], false),
        (InputFormat::Everycall, &[], true),
        (InputFormat::Everycall, &["request"], false),
        (InputFormat::OpaEnvoy, &["everycall", "time"], true),
        (InputFormat::OpaEnvoy, &["attributes", "request", "time"], true),
        (InputFormat::OpaEnvoy, &["attributes", "request", "http"], false),
    ] {
        assert_eq!(resolved(format, &[path]).0.are_timed(), timed, "{path:?}");
    }
    let nullable = [
        "identity",
        "identity.on_behalf_of",
        "identity.task",
        "identity.bound",
        "grant.sensitivity",
        "grant.source",
        "grant.ticket",
        "request.id",
        "elevation",
        "elevation.owner",
        "elevation.break_glass_reason",
        "exception",
    ];
    for fact in FACTS {
        let path: Vec<&str> = fact.names().collect();
        let expected = nullable.contains(&path.join(".").as_str());
        let below = [&["everycall"], &path[..]].concat();
        assert_eq!(resolved(InputFormat::Everycall, &[&path]).0.is_nullable(0), expected, "{path:?}");
        assert_eq!(resolved(InputFormat::OpaEnvoy, &[&below]).0.is_nullable(0), expected, "{path:?}");
        assert!(!resolved(InputFormat::Everycall, &[&[&path[..], &["x"]].concat()]).0.is_nullable(0));
    }
}
