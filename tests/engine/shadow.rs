//! Shadows: they decide too, are written down, and nothing comes of it.

mod config;

use everycall::bundle_file::test_bundle_file;
use everycall::cases::Expect;
use everycall_core::record::{ShadowOutcome, ShadowRecord};
use everycall_core::{
    Connection, Decision, Effect, Reason, Reply, Request, StreamId, UnixTime, Verdict, Work,
};
use serde_json::{json, Value};
use ShadowOutcome::{Differs, Error, Same, Unknown};

use super::bundle::{issue, key};
use super::{asks, configuration, done, engine, get, headers, later, request, token, yes, NOW};

const ALLOW: &str = "decision := {\"allow\": true, \"reason\": \"new\"}";
const DENY: &str = "decision := {\"allow\": false, \"reason\": \"never\"}";
const NOTHING: &str = "decision := {\"allow\": true} if input.request.headers[\"x-none\"]";
const QUESTION: &str =
    r#""subject": {"type": "t", "id": "s"}, "action": {"name": "a"}, "resource": {"type": "t", "id": "r"}"#;

/// The rules of `everycall.NAME`.
fn policy(name: &str, rules: &str) -> Value {
    json!(format!("package everycall.{name}\n{rules}"))
}

/// The rule set that decides on `/NAME` has a shadow `next` with these rules.
fn by_rule_set(name: &str, rules: &str) -> Value {
    let mut config = configuration();
    let bundle = &mut config["bundle"]["inline"];
    bundle["policies"]["next.rego"] = policy("next", rules);
    bundle["rule_sets"] = json!({name: {"shadow": "next"}});
    config
}

/// A shadow bundle, which is as the one in force but for a change.
fn by_bundle(change: impl FnOnce(&mut Value)) -> Value {
    let mut config = configuration();
    let mut shadow = config["bundle"].clone();
    change(&mut shadow["inline"]);
    config["shadow"] = shadow;
    config
}

fn enforce(config: &mut Value, name: &str, rules: &str) {
    config["bundle"]["inline"]["policies"][format!("{name}.rego")] = policy(name, rules);
}

fn decided(config: &Value, path: &str) -> Decision {
    done(engine(config).check(request(1, path, &token(60)), NOW))
}

/// What the one shadow said.
fn said(decision: &Decision) -> ShadowRecord {
    let [shadow] = decision.record.shadow.as_slice() else { panic!("{:?}", decision.record.shadow) };
    shadow.clone()
}

fn outcome(config: &Value, path: &str) -> (ShadowOutcome, Verdict, Option<Reason>) {
    let shadow = said(&decided(config, path));
    (shadow.outcome, shadow.decision, shadow.reason)
}

/// The same configuration without any shadow.
fn alone(config: &Value) -> Value {
    let mut config = config.clone();
    config.as_object_mut().unwrap().remove("shadow");
    config["bundle"]["inline"].as_object_mut().unwrap().remove("rule_sets");
    config
}

/// Everything that a client or an upstream could notice.
fn answer(decision: &Decision) -> String {
    format!("{:?}", decision.verdict)
}

#[test]
fn a_shadow_changes_no_answer() {
    let allow = Some(Reason::Allowed);
    let obliged = "decision := {\"allow\": true, \"obligations\": {\"max_stream_s\": 5, \
                   \"response_headers\": {\"set\": {\"x-a\": \"b\"}}}}";
    let refuses = "decision := {\"allow\": false, \"obligations\": {\"response\": {\"status\": 404}}}";
    for (enforced, shadow, expected) in [
        (ALLOW, ALLOW, (Same, Verdict::Allow, allow)),
        (ALLOW, DENY, (Differs, Verdict::Deny, Some(Reason::PolicyDenied))),
        (ALLOW, NOTHING, (Differs, Verdict::Deny, Some(Reason::PolicyUndefined))),
        (DENY, ALLOW, (Differs, Verdict::Allow, allow)),
        (DENY, NOTHING, (Same, Verdict::Deny, Some(Reason::PolicyUndefined))),
        (NOTHING, obliged, (Differs, Verdict::Allow, allow)),
        (obliged, ALLOW, (Same, Verdict::Allow, allow)),
        (refuses, ALLOW, (Differs, Verdict::Allow, allow)),
        (obliged, refuses, (Differs, Verdict::Deny, Some(Reason::PolicyDenied))),
    ] {
        let mut by_rule_set = by_rule_set("open", shadow);
        enforce(&mut by_rule_set, "open", enforced);
        let mut by_bundle = by_bundle(|bundle| bundle["policies"]["open.rego"] = policy("open", shadow));
        enforce(&mut by_bundle, "open", enforced);
        for config in [by_rule_set, by_bundle] {
            let decision = decided(&config, "/open");
            let shadow = said(&decision);
            assert_eq!((shadow.outcome, shadow.decision, shadow.reason), expected, "{config}");
            let mut plain = decided(&alone(&config), "/open");
            assert_eq!(answer(&decision), answer(&plain), "{config}");
            // The records differ in nothing else.
            plain.record.shadow.clone_from(&decision.record.shadow);
            plain.record.revision.clone_from(&decision.record.revision);
            assert_eq!(decision.record, plain.record, "{config}");
        }
    }
}

#[test]
fn a_shadow_says_which_rule_and_who_it_is() {
    let shadow = said(&decided(&by_rule_set("open", DENY), "/open"));
    assert_eq!((shadow.name.as_str(), shadow.rule.as_deref()), ("next", Some("never")));
    assert!(shadow.detail.unwrap().contains("the policy says no: never"));
    let shadow = said(&decided(&by_bundle(|_| {}), "/open"));
    assert_eq!((shadow.name.as_str(), shadow.rule, shadow.bundle), ("bundle", None, None));
    // Both at once.
    let mut both = by_rule_set("open", DENY);
    both["shadow"] = by_bundle(|_| {})["shadow"].clone();
    let names: Vec<_> =
        decided(&both, "/open").record.shadow.into_iter().map(|s| (s.name, s.outcome)).collect();
    assert_eq!(names, [("next".to_owned(), Differs), ("bundle".to_owned(), Same)]);
    let expect: Expect =
        serde_json::from_value(json!({"decision": "allow", "shadow": {"next": "differs", "bundle": "same"}}))
            .unwrap();
    assert_eq!(expect.compare(&decided(&both, "/open").record), Ok(()));
    assert!(expect
        .compare(&decided(&by_bundle(|_| {}), "/open").record)
        .unwrap_err()
        .contains("next differs"));
}

#[test]
fn a_shadow_that_fails_is_an_error_and_no_more() {
    let endless = "decision := {\"allow\": true} if { every x in input.request.segments { every a in data.many { every b in data.many { a + b >= 0; x } } } }";
    for (rules, reason) in [
        (endless, Reason::PolicyLimit),
        ("decision := \"true\"", Reason::PolicyResult),
        ("decision := {\"allow\": \"true\"}", Reason::PolicyResult),
        ("decision := {\"allow\": true, \"obligations\": {\"max_stream_s\": 0}}", Reason::ObligationInvalid),
        ("decision := {\"allow\": true}\nask := 1", Reason::PolicyResult),
    ] {
        for enforced in [ALLOW, DENY] {
            let mut config = by_rule_set("open", rules);
            config["bundle"]["inline"]["data"] = json!({"many": (0..400).collect::<Vec<_>>()});
            enforce(&mut config, "open", enforced);
            let mut engine = engine(&config);
            let decision = done(engine.check(request(1, "/open", &token(60)), NOW));
            let shadow = said(&decision);
            assert_eq!((shadow.outcome, shadow.decision), (Error, Verdict::Deny), "{rules}: {shadow:?}");
            assert_eq!(shadow.reason, Some(reason), "{rules}");
            assert_eq!(answer(&decision), answer(&decided(&alone(&config), "/open")), "{rules}");
            // And the next one is served.
            assert_eq!(
                said(&done(engine.check(request(2, "/open", &token(60)), NOW))).outcome,
                Error,
                "{rules}"
            );
        }
    }
    // What it may do is its own: it takes nothing from the decision.
    let mut config = by_rule_set("open", endless);
    config["bundle"]["inline"]["data"] = json!({"many": (0..400).collect::<Vec<_>>()});
    let heavy = "decision := {\"allow\": true} if { every a in numbers { a >= 0 } }\n\
                 numbers := [a | some a in data.many]";
    enforce(&mut config, "open", heavy);
    assert!(decided(&config, "/open").verdict.is_ok());
}

#[test]
fn a_shadow_sees_the_layers_of_its_own_bundle() {
    let denied = |reason| (Differs, Verdict::Deny, Some(reason));
    let none = by_bundle(|bundle| drop(bundle["grants"].as_array_mut().unwrap().pop()));
    assert_eq!(outcome(&none, "/open"), denied(Reason::NotGranted));
    let elevated = by_bundle(|bundle| bundle["grants"][2]["requires_elevation"] = json!(true));
    assert_eq!(outcome(&elevated, "/open"), denied(Reason::ElevationRequired));
    // What is not granted is not granted, whatever the shadow says.
    let more = by_bundle(|bundle| bundle["grants"][2]["paths"] = json!(["/open", "/more"]));
    let decision = decided(&more, "/more");
    assert_eq!(decision.verdict.as_ref().unwrap_err().reason, Reason::NotGranted);
    assert_eq!((said(&decision).outcome, said(&decision).decision), (Differs, Verdict::Allow));
    // A route that is to be open to all.
    let public = by_bundle(|bundle| {
        bundle["grants"][2] = json!({"id": "open", "owner": "o", "purpose": "p", "subject": "anonymous",
            "hosts": ["h"], "methods": ["GET"], "paths": ["/open"], "policy": "open"});
    });
    let nobody = || get(1, "/open", &[]);
    let decision = done(engine(&public).check(nobody(), NOW));
    assert_eq!(decision.record.reason, Some(Reason::CredentialMissing));
    assert_eq!((said(&decision).outcome, said(&decision).decision), (Differs, Verdict::Allow));
    // A shadow of a rule set is heard where the rule set is reached.
    let mut config = by_rule_set("open", ALLOW);
    config["bundle"]["inline"]["grants"][2]["requires_elevation"] = json!(true);
    assert_eq!(decided(&config, "/open").record.shadow, []);
    assert_eq!(decided(&by_rule_set("open", ALLOW), "/more").record.shadow, []);
    // A bad credential, a bad request and a filter that can't decide are not a bundle's matter.
    let config = by_bundle(|_| {});
    for (path, token) in [("/open", "Bearer x.y.z"), ("/a//b", token(60).as_str())] {
        assert_eq!(done(engine(&config).check(request(1, path, token), NOW)).record.shadow, [], "{path}");
    }
}

#[test]
fn a_shadow_asks_nothing() {
    let asks_the_same = format!(
        "ask contains {{\"id\": \"q\", {QUESTION}}} if true\ndecision := {{\"allow\": true}} if input.pdp.q.decision"
    );
    let reply = |status, body: &str| vec![Reply::http(status, body.as_bytes())];
    let after = |config: &Value, path: &str, replies: Vec<Reply>| {
        let mut engine = engine(config);
        let (calls, pending) = asks(engine.check(request(1, path, &token(60)), NOW));
        assert_eq!(calls.len(), replies.len(), "no question more");
        let decision = done(engine.resume(pending, replies, NOW));
        (decision.record.reason.unwrap(), said(&decision))
    };
    let same = by_rule_set("ask", &asks_the_same);
    for (replies, enforced, outcome) in [
        (yes(), Reason::Allowed, Same),
        (reply(200, "{\"decision\": false}"), Reason::PdpDenied, Same),
        (reply(500, ""), Reason::PdpUnavailable, Same),
    ] {
        let (reason, shadow) = after(&same, "/ask", replies);
        assert_eq!(
            (reason, shadow.reason, shadow.outcome),
            (enforced, Some(enforced), outcome),
            "{enforced}"
        );
    }
    // The no of a decision point may not be the last word.
    let (reason, shadow) = after(&by_rule_set("ask", ALLOW), "/ask", reply(200, "{\"decision\": false}"));
    assert_eq!((reason, shadow.outcome), (Reason::PdpDenied, Differs));
    // Another id, another question, another decision point: nobody knows.
    for (from, to) in [
        ("\"id\": \"q\"", "\"id\": \"p\""),
        ("\"name\": \"a\"", "\"name\": \"b\""),
        ("\"id\": \"q\"", "\"id\": \"q\", \"pdp\": \"other\""),
        ("\"id\": \"r\"}", "\"id\": \"r\"}, \"context\": {\"x\": 1}"),
    ] {
        assert!(asks_the_same.contains(from), "{from}");
        let config = by_rule_set("ask", &asks_the_same.replacen(from, to, 1));
        let (reason, shadow) = after(&config, "/ask", yes());
        assert_eq!(reason, Reason::Allowed, "{to}");
        assert_eq!((shadow.outcome, shadow.decision, shadow.reason), (Unknown, Verdict::Ask, None), "{to}");
        assert!(shadow.detail.unwrap().contains("was not asked"), "{to}");
    }
    let decision = decided(&by_rule_set("open", &asks_the_same), "/open");
    assert_eq!((decision.verdict.is_ok(), said(&decision).outcome), (true, Unknown));
    assert!(decision.record.pdp.is_empty());
    // One after the other, of what was asked together; and no more rounds than a decision has.
    let chain = format!(
        "ask contains {{\"id\": \"q\", {QUESTION}}} if true\n\
         ask contains {{\"id\": \"o\", \"pdp\": \"other\", {QUESTION}}} if input.pdp.q.decision\n\
         decision := {{\"allow\": true}} if input.pdp.o.decision"
    );
    let both = || [yes(), yes()].concat();
    let mut config = by_rule_set("two", &chain);
    assert_eq!(after(&config, "/two", both()).1.outcome, Same);
    config["limits"] = json!({"pdp_rounds": 1});
    let shadow = after(&config, "/two", both()).1;
    assert_eq!((shadow.outcome, shadow.reason), (Error, Some(Reason::PolicyLimit)));
}

#[test]
fn what_only_a_shadow_reads_stands_with_it_and_is_decided_by_again() {
    let reads = "decision := {\"allow\": true, \"reason\": \"new\"} if {\n\
        input.request.headers[\"x-a\"] == [\"1\"]\ninput.request.query.q == [\"2 3\"]\ninput.connection.sni == \"h\"\n}";
    let mut config = by_rule_set("open", reads);
    let own = "decision := {\"allow\": true} if input.request.headers[\"x-b\"][0] == \"2\"";
    enforce(&mut config, "open", own);
    let mut engine = engine(&config);
    let sni = engine.attributes().iter().find(|attribute| attribute.name == "sni").copied();
    let mut connection = Connection::default();
    connection.set(sni.expect("the shadow's attributes are asked for"), b"h");
    let token = token(60);
    let more = [("authorization", token.as_str()), ("x-a", "1"), ("x-b", "2"), ("x-c", "3")];
    let request = Request::new(StreamId(1), headers("/open?q=2%203&r=1", &more), connection);
    let decision = done(engine.check(request, NOW));
    let record = &decision.record;
    assert_eq!(
        (&record.request.headers, record.request.query.len()),
        (json!({"x-b": ["2"]}).as_object().unwrap(), 0)
    );
    assert!(record.connection.is_empty());
    let shadow = said(&decision);
    assert_eq!((shadow.outcome, shadow.rule.as_deref()), (Same, Some("new")));
    let read = serde_json::to_value(&shadow.read).unwrap();
    assert_eq!(read, json!({"headers": {"x-a": ["1"]}, "query": {"q": ["2 3"]}, "connection": {"sni": "h"}}));
    let line = serde_json::to_string(record).unwrap();
    assert!(!line.contains("x-c"));
    let again = engine.replay(&serde_json::from_str(&line).unwrap()).record;
    assert_eq!(&again, record);
}

#[test]
fn shadow_records_are_logged_where_they_differ() {
    let logged = |config: &Value| {
        let mut config = config.clone();
        config["log"] = json!({"records": "refusals"});
        let mut engine = engine(&config);
        let record = done(engine.check(request(1, "/open", &token(60)), NOW)).record;
        engine.record(&record);
        let effects = engine.work(Work::Records, NOW);
        effects.iter().filter(|effect| matches!(effect, Effect::Emit { .. })).count()
    };
    assert_eq!(logged(&configuration()), 0);
    assert_eq!(logged(&by_rule_set("open", ALLOW)), 0);
    assert_eq!(logged(&by_rule_set("open", DENY)), 1);
    assert_eq!(logged(&by_rule_set("open", "decision := 1")), 1);
}

#[test]
fn shadow_bundle_stale() {
    let signed = |expires_at: UnixTime, max_stale_s: Option<i64>| {
        let mut config = configuration();
        let issue = everycall::bundle_file::Issue { expires_at, ..issue(7) };
        let file = test_bundle_file(&config["bundle"]["inline"], &issue, &key()).unwrap();
        config["shadow"] = json!({"signed": String::from_utf8(file).unwrap(), "keys": key().public_jwks(),
                                  "max_stale_s": max_stale_s});
        config
    };
    let at = |config: &Value, now| {
        let decision = done(engine(config).check(request(1, "/open", &token(300)), now));
        assert!(decision.verdict.is_ok(), "{:?}", decision.record);
        assert_eq!(decision.record.bundle, None);
        let shadow = said(&decision);
        assert_eq!(shadow.bundle.as_ref().unwrap().sequence, 7);
        (shadow.outcome, shadow.reason.unwrap())
    };
    let stale = (Error, Reason::BundleStale);
    assert_eq!(at(&signed(later(20), None), later(19)), (Same, Reason::Allowed));
    assert_eq!(at(&signed(later(20), None), later(20)), stale);
    assert_eq!(at(&signed(later(3_600), Some(10)), later(10)), (Same, Reason::Allowed));
    assert_eq!(at(&signed(later(3_600), Some(10)), later(11)), stale);
}

#[test]
fn a_shadow_on_an_observed_route_is_compared_with_the_refusal() {
    let mut config = by_rule_set("open", ALLOW);
    enforce(&mut config, "open", DENY);
    config["observe"] = json!({"hosts": ["h"], "paths": ["/open"], "until": later(60).to_string()});
    let decision = decided(&config, "/open");
    assert_eq!((decision.record.reason, said(&decision).outcome), (Some(Reason::Observed), Differs));
}
