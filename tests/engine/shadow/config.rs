//! Shadows in a configuration: which are none, and how they come and go.

use everycall_core::{Settings, Step, Work};
use serde_json::{json, Value};

use super::{by_bundle, by_rule_set, said, ALLOW};
use crate::bundle::key;
use crate::{asks, configuration, done, engine, request, settings, token, yes, NOW};

#[test]
fn a_shadow_comes_and_goes_with_the_configuration() {
    let mut engine = engine(&configuration());
    let check = |engine: &mut everycall_core::Engine| {
        done(engine.check(request(1, "/open", &token(60)), NOW)).record.shadow.len()
    };
    assert_eq!(check(&mut engine), 0);
    engine.configure(settings(&by_bundle(|_| {})));
    assert_eq!(check(&mut engine), 1);
    // While one waits, too: it is decided anew, and heard once.
    let (_, pending) = asks(engine.check(request(2, "/ask", &token(60)), NOW));
    engine.configure(settings(&by_rule_set("ask", ALLOW)));
    let Step::Done(decision) = engine.resume(pending, yes(), NOW) else { panic!("asks again") };
    assert_eq!(said(&decision).name, "next");
    engine.configure(settings(&configuration()));
    assert_eq!(check(&mut engine), 0);
    while engine.has_work(Work::Updates) {
        engine.work(Work::Updates, NOW);
    }
}

#[test]
fn config_shadow() {
    let refused = |config: &Value, path: &str, expected: &str| {
        let errors = Settings::from_value(config.clone()).unwrap_err();
        let found = errors.iter().any(|error| error.path == path && error.message.contains(expected));
        assert!(found, "{path}, {expected}: {errors}");
        errors.iter().count()
    };
    let rule_sets = |options: Value| {
        let mut config = by_rule_set("open", ALLOW);
        config["bundle"]["inline"]["rule_sets"] = options;
        config
    };
    let at = |name: &str| format!("bundle.inline.rule_sets.{name}.shadow");
    for (options, expected) in [
        (json!({"open": {"shadow": "none"}}), "no module has the package `everycall.none`"),
        (json!({"open": {"shadow": "open"}}), "not its own shadow"),
        (json!({"open": {"shadow": "bundle"}}), "what a shadow bundle is called"),
        (json!({"open": {"shadow": "next"}, "next": {"shadow": "ask"}}), "has a shadow itself"),
        (json!({"open": {"shadow": "ask"}, "ask": {"shadow": "open"}}), "has a shadow itself"),
        (json!({"open": {"shadow": 1}}), "expected a string"),
    ] {
        refused(&rule_sets(options), &at("open"), expected);
    }
    refused(
        &rule_sets(json!({"next": {"shadow": "open"}})),
        "bundle.inline.rule_sets.next",
        "no grant names",
    );
    refused(
        &rule_sets(json!({"open": {"shade": "x"}})),
        "bundle.inline.rule_sets.open.shade",
        "unknown field",
    );
    // The options of a shadow are its own, and it may decide elsewhere.
    assert!(Settings::from_value(rule_sets(json!({"open": {"shadow": "next"}, "next": {}}))).is_ok());
    assert!(Settings::from_value(rule_sets(json!({"open": {"shadow": "ask"}}))).is_ok());

    let shadow = |shadow: Value| {
        let mut config = configuration();
        config["shadow"] = shadow;
        config
    };
    let inline = || by_bundle(|_| {})["shadow"]["inline"].clone();
    let remote = json!({"remote": {"cluster": "c", "host": "h", "path": "/p"}, "keys": key().public_jwks()});
    assert_eq!(refused(&shadow(remote), "shadow.remote", "is not fetched"), 1);
    assert_eq!(refused(&shadow(json!({})), "shadow", "expected `inline` or `signed`"), 1);
    refused(&shadow(json!({"inline": inline(), "signed": "x"})), "shadow", "exclude each other");
    refused(&shadow(json!({"signed": "x"})), "shadow.keys", "missing");
    refused(&shadow(json!({"inline": inline(), "zzz": 1})), "shadow.zzz", "unknown field");
    let mut nested = inline();
    nested["rule_sets"] = json!({"open": {"shadow": "ask"}});
    refused(&shadow(json!({"inline": nested})), "shadow", "no shadows of their own");
    let mut wrong = inline();
    wrong["grants"][0]["owner"] = json!("");
    refused(&shadow(json!({"inline": wrong})), "shadow.inline.grants[0].owner", "empty");
}
