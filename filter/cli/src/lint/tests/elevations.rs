//! Elevations and the grants that wait for them. `NOW` is 2026-09-21T14:13:20Z.

use super::*;

const READS: &str = "package everycall\ndecision := {\"allow\": true} if input.identity.id\n";

/// What is found in a configuration with one grant that requires an elevation, and one that serves it.
fn with(change: impl Fn(&mut Value)) -> Vec<String> {
    let mut document = document(&[("a.rego", READS)], false);
    let inline = &mut document["bundle"]["inline"];
    inline["grants"][0]["requires_elevation"] = json!(true);
    inline["elevations"] = json!([{
        "id": "e", "subject": "s", "grants": ["g"], "approver": "a", "ticket": "T-1", "reason": "r",
        "valid_from": "2026-09-21T14:00:00Z", "valid_until": "2026-09-21T20:00:00Z",
    }]);
    change(&mut document);
    let place = |finding: &Finding| finding.place.trim_start_matches("bundle.inline.").to_owned();
    let findings = lint(&document, NOW);
    findings.iter().map(|finding| format!("{} {}", finding.code, place(finding))).collect()
}

fn grant(document: &mut Value) -> &mut Value {
    &mut document["bundle"]["inline"]["grants"][0]
}

fn elevation(document: &mut Value) -> &mut Value {
    &mut document["bundle"]["inline"]["elevations"][0]
}

const NEVER: &str = "elevation_never_serves elevations[0].grants[0]";
const MISSING: &str = "elevation_missing grants[0].requires_elevation";

#[test]
fn an_elevation_serves_the_callers_of_its_grants() {
    assert!(with(|_| {}).is_empty(), "{:?}", with(|_| {}));
    let both = [NEVER, MISSING];
    // Of somebody else.
    assert_eq!(with(|d| elevation(d)["subject"] = json!("other")), both);
    assert_eq!(with(|d| elevation(d)["subject"] = json!("S")), both);
    let by_prefix = |subject: &str| {
        with(|d| {
            d["issuers"][0]["trust_domains"] = json!(["d"]);
            grant(d).as_object_mut().unwrap().remove("subject");
            grant(d)["subject_prefix"] = json!("spiffe://d/ns/");
            elevation(d)["subject"] = json!(subject);
        })
    };
    assert_eq!(by_prefix("spiffe://d/ns"), both);
    assert_eq!(by_prefix("spiffe://d/ns/"), both);
    assert_eq!(by_prefix("spiffe://d/nsx/a"), both);
    assert!(by_prefix("spiffe://d/ns/a").is_empty());
    let by_claims = with(|d| {
        grant(d).as_object_mut().unwrap().remove("subject");
        grant(d)["claims"] = json!({"role": "admin"});
        grant(d)["issuer"] = json!("https://id.example");
        elevation(d)["subject"] = json!("whoever");
    });
    assert!(by_claims.is_empty(), "{by_claims:?}");
    // What is over was good for something once.
    let over = with(|d| {
        elevation(d)["subject"] = json!("other");
        elevation(d)["valid_until"] = json!("2026-09-21T14:13:20Z");
    });
    assert_eq!(over, [MISSING]);
}

#[test]
fn an_elevation_and_its_grant_are_valid_together() {
    for (name, value, finds) in [
        ("valid_from", "2026-09-21T20:00:00Z", true),
        ("valid_from", "2026-09-21T19:59:59Z", false),
        ("valid_until", "2026-09-21T14:13:21Z", false),
    ] {
        assert_eq!(
            with(|d| grant(d)[name] = json!(value)).contains(&NEVER.to_owned()),
            finds,
            "{name}: {value}"
        );
    }
    // It will begin when the grant is over.
    let later = with(|d| {
        grant(d)["valid_until"] = json!("2026-09-21T16:00:00Z");
        elevation(d)["valid_from"] = json!("2026-09-21T16:00:00Z");
    });
    assert_eq!(later, [NEVER, MISSING]);
    // The grant is told of, nothing else.
    assert_eq!(
        with(|d| grant(d)["valid_until"] = json!("2026-09-21T14:00:00Z")),
        ["grant_expired grants[0].valid_until"]
    );
}

#[test]
fn an_elevation_is_for_networks_that_hold_an_address() {
    let networks = |names: Value| {
        with(|d| {
            d["networks"] = json!({"office": ["10.0.0.0/8"], "nowhere": []});
            elevation(d)["networks"] = names.clone();
        })
    };
    assert_eq!(networks(json!(["nowhere"])), [NEVER, MISSING]);
    assert_eq!(networks(json!(["unknown"])), [NEVER, MISSING]);
    assert!(networks(json!(["office"])).is_empty());
    assert!(networks(json!(["nowhere", "office"])).is_empty());
}

#[test]
fn the_glass_is_broken_by_kinds_that_may() {
    let glass = |kinds: Value, may: Option<Value>| {
        with(|d| {
            d["issuers"][0]["kinds"] = json!([{"kind": "human"}]);
            elevation(d)["break_glass"] = json!(true);
            elevation(d)["valid_until"] = json!("2026-09-21T14:30:00Z");
            grant(d)["kinds"] = kinds.clone();
            if let Some(may) = &may {
                grant(d)["break_glass_kinds"] = may.clone();
            }
        })
    };
    for (kinds, may, finds) in [
        (json!(["workload"]), None, true),
        (json!(["human"]), Some(json!([])), true),
        (json!(["human"]), Some(json!(["workload"])), true),
        (json!(["human"]), None, false),
        (json!(["workload", "human"]), None, false),
        (json!(["workload"]), Some(json!(["workload"])), false),
    ] {
        let expected: &[&str] = if finds { &[NEVER, MISSING] } else { &[] };
        assert_eq!(glass(kinds.clone(), may.clone()), expected, "{kinds}: {may:?}");
    }
    // One that somebody approved is for all kinds.
    assert!(with(|d| grant(d)["break_glass_kinds"] = json!([])).is_empty());
}

#[test]
fn a_grant_that_requires_an_elevation_has_one() {
    assert_eq!(with(|d| d["bundle"]["inline"]["elevations"] = json!([])), [MISSING]);
    assert_eq!(with(|d| elevation(d)["grants"] = json!(["another"])), [MISSING]);
    assert_eq!(with(|d| elevation(d)["valid_until"] = json!("2026-09-21T14:13:20Z")), [MISSING]);
    // To come is as good, and so is another one that is not over.
    assert!(with(|d| elevation(d)["valid_from"] = json!("2026-09-21T18:00:00Z")).is_empty());
    assert!(with(|d| elevation(d)["valid_until"] = json!("2026-09-21T14:13:21Z")).is_empty());
    let two = with(|d| {
        let mut second = elevation(d).clone();
        second["id"] = json!("f");
        d["bundle"]["inline"]["elevations"].as_array_mut().unwrap().push(second);
        elevation(d)["valid_from"] = json!("2026-09-20T14:00:00Z");
        elevation(d)["valid_until"] = json!("2026-09-20T20:00:00Z");
    });
    assert!(two.is_empty(), "{two:?}");
    assert!(with(|d| {
        grant(d)["requires_elevation"] = json!(false);
        d["bundle"]["inline"]["elevations"] = json!([]);
    })
    .is_empty());
}

#[test]
fn an_elevation_changes_something() {
    let policy = |policy: &str, options: Value| {
        with(|d| {
            d["bundle"]["inline"]["policies"] = json!({"a.rego": policy});
            d["bundle"]["inline"]["rule_sets"] = options.clone();
            grant(d)["requires_elevation"] = json!(false);
            if options != json!({}) {
                grant(d)["policy"] = json!("p");
            }
        })
    };
    let unused = "elevation_unused elevations[0].grants[0]";
    let rule = |condition: &str| {
        format!("package everycall\ndecision := {{\"allow\": true}} if {{\n\tinput.identity.id\n\t{condition}\n}}\n")
    };
    assert_eq!(policy(READS, json!({})), [unused]);
    assert_eq!(policy(&rule("input.exception"), json!({})), [unused]);
    assert!(policy(&rule("input.elevation.approver"), json!({})).is_empty());
    assert!(
        policy(&(rule("some_approved") + "some_approved if input.elevation != null\n"), json!({})).is_empty()
    );
    assert!(policy(&rule("count(input) > 1"), json!({})).is_empty());
    let asks = "ask contains {\"id\": \"q\", \"context\": {\"e\": input.elevation}} if true\n";
    assert!(policy(&(rule("true") + asks), json!({})).is_empty());
    // In the form of OPA-Envoy ours is below `everycall`.
    let opa = |condition: &str| {
        let options = json!({"p": {"input_format": "opa-envoy", "entrypoint": "x.allow"}});
        policy(&format!("package x\nallow if {condition}\n"), options)
    };
    assert_eq!(opa("input.attributes.source.principal == \"s\""), [unused]);
    assert!(opa("input.everycall.elevation.id == \"e\"").is_empty());
}

#[test]
fn a_ceiling_is_below_what_can_be_written() {
    for (limit, most) in [("elevation_hours", 168), ("break_glass_minutes", 1_440)] {
        let limits = |value: u64| with(|d| d["limits"] = json!({limit: value}));
        assert_eq!(limits(most), [format!("elevation_without_ceiling limits.{limit}")]);
        assert!(limits(most - 1).is_empty() && limits(8).is_empty());
    }
    assert!(with(|d| d["limits"] = json!({})).is_empty());
}

#[test]
fn elevations_that_take_over_from_each_other_are_one() {
    let second = |change: &dyn Fn(&mut Value)| {
        with(|d| {
            let mut second = elevation(d).clone();
            second["id"] = json!("f");
            second["valid_from"] = json!("2026-09-21T20:00:00Z");
            second["valid_until"] = json!("2026-09-21T23:00:00Z");
            change(&mut second);
            d["bundle"]["inline"]["elevations"].as_array_mut().unwrap().push(second);
        })
    };
    let finds = ["elevation_without_ceiling elevations[1].valid_until"];
    assert_eq!(second(&|_| {}), finds);
    // Overlapping, and one that began before the other was written.
    assert_eq!(second(&|e| e["valid_from"] = json!("2026-09-21T19:00:00Z")), finds);
    assert_eq!(
        second(&|e| {
            e["valid_from"] = json!("2026-09-21T10:00:00Z");
            e["valid_until"] = json!("2026-09-21T14:00:00Z");
        }),
        ["elevation_without_ceiling elevations[0].valid_until"]
    );
    for change in [
        json!({"valid_from": "2026-09-21T20:00:01Z"}),
        json!({"valid_until": "2026-09-21T22:00:00Z"}),
        json!({"subject": "t", "grants": ["h"]}),
        json!({"grants": ["h"]}),
        json!({"valid_from": "2026-09-21T15:00:00Z", "valid_until": "2026-09-21T19:00:00Z"}),
    ] {
        let change = |e: &mut Value| e.as_object_mut().unwrap().extend(change.as_object().unwrap().clone());
        assert!(second(&change).is_empty());
    }
    // What is over is over; a wider ceiling is a ceiling.
    let longer = |change: &dyn Fn(&mut Value)| {
        with(|d| {
            let mut second = elevation(d).clone();
            second["valid_from"] = json!("2026-09-21T20:00:00Z");
            second["valid_until"] = json!("2026-09-21T23:00:00Z");
            d["bundle"]["inline"]["elevations"].as_array_mut().unwrap().push(second);
            change(d);
        })
    };
    assert!(longer(&|d| d["limits"] = json!({"elevation_hours": 9})).is_empty());
    // Breaking the glass is counted by itself.
    let glass = |lasts: &str| {
        second(&|e| {
            e["break_glass"] = json!(true);
            e["valid_until"] = json!(lasts);
        })
    };
    assert!(!glass("2026-09-21T21:00:00Z").iter().any(|found| found.contains("ceiling")));
    assert!(glass("2026-09-21T21:00:01Z").contains(&finds[0].to_owned()));
}
