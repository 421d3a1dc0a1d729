//! Authority records over time, and the groups of cases that the truth table names.

use everycall::cases::run_case;
use everycall::commands::explain::failed_again;
use everycall_tests::hostile;

use super::*;

/// The grants of `/ask` and `/open` require an elevation of `s`, and there is one for 100 seconds.
pub fn elevated() -> Value {
    let mut config = configuration();
    let bundle = &mut config["bundle"]["inline"];
    for at in [0, 2] {
        bundle["grants"][at]["requires_elevation"] = json!(true);
    }
    bundle["elevations"] = json!([{"id": "e", "subject": "s", "grants": ["ask", "open"], "approver": "user:carol",
        "ticket": "CHG-1", "reason": "r", "valid_from": NOW.to_string(), "valid_until": later(100).to_string()}]);
    config
}

/// Cases of `tests/cases/FILE` come out as they expect, in a fresh engine.
fn cases(file: &str, names: &[&str]) {
    let (base, files) = everycall_tests::cases::all().unwrap();
    let (name, text) = files.iter().find(|(name, _)| name.ends_with(file)).unwrap();
    let parsed = CaseFile::parse(name, text).unwrap();
    let config = parsed.config(&base, NOW);
    let mut engine = engine(&config);
    for name in names {
        let case = parsed.cases.iter().find(|case| case.name == *name);
        let case = case.unwrap_or_else(|| panic!("{file}: no case `{name}`"));
        let record = run_case(&mut engine, case, &config, NOW).unwrap().record;
        let failed = |wrong: String| failed_again(&config, &format!("{file}: {name}"), &wrong, &record);
        case.expect.compare(&record).unwrap_or_else(|wrong| panic!("{}", failed(wrong)));
    }
}

fn stream_cap(step: Step) -> Option<String> {
    let permit = done(step).verdict.unwrap();
    let mut set = permit.headers_to_set();
    set.find(|(name, _)| *name == "x-envoy-upstream-stream-duration-ms").map(|(_, value)| value.to_owned())
}

#[test]
fn a_stream_ends_with_the_grant_or_the_elevation_if_the_token_lasts_longer() {
    let mut config = elevated();
    let mut engine = self::engine(&config);
    let token = token(600);
    assert_eq!(stream_cap(engine.check(request(1, "/open", &token), NOW)).as_deref(), Some("100000"));
    let short = self::token(50);
    assert_eq!(stream_cap(engine.check(request(1, "/open", &short), NOW)).as_deref(), Some("50000"));
    assert_eq!(stream_cap(engine.check(request(1, "/open", &token), later(99))).as_deref(), Some("1000"));
    config["bundle"]["inline"]["grants"][2]["valid_until"] = json!(later(30).to_string());
    let mut engine = self::engine(&config);
    assert_eq!(stream_cap(engine.check(request(1, "/open", &token), NOW)).as_deref(), Some("30000"));
}

#[test]
fn a_grant_that_ends_ends_anonymous_streams_too() {
    let mut config = configuration();
    config["bundle"]["inline"]["grants"][2] = json!({"id": "open", "owner": "o", "purpose": "p",
        "subject": "anonymous", "hosts": ["h"], "methods": ["GET"], "paths": ["/open"], "policy": "open",
        "valid_until": later(7).to_string()});
    let step = engine(&config).check(get(1, "/open", &[]), NOW);
    assert_eq!(stream_cap(step).as_deref(), Some("7000"));
}

#[test]
fn elevation_over() {
    let mut engine = engine(&elevated());
    let token = token(600);
    let check = |engine: &mut Engine, at| reason(engine.check(request(1, "/open", &token), later(at)));
    assert_eq!(check(&mut engine, 99), Reason::Allowed);
    assert_eq!(check(&mut engine, 100), Reason::ElevationInactive);
    // While the request waited.
    let mut engine = self::engine(&elevated());
    let (_, pending) = asks(engine.check(request(1, "/ask", &token), NOW));
    assert_eq!(reason(engine.resume(pending, yes(), later(99))), Reason::Allowed);
    let (_, pending) = asks(engine.check(request(1, "/ask", &token), later(99)));
    assert_eq!(reason(engine.resume(pending, yes(), later(100))), Reason::ElevationInactive);
    cases(
        "elevations.json",
        &["an active elevation", "an elevation that is over", "an elevation that has not begun"],
    );
}

#[test]
fn elevation_withdrawn_while_a_request_waited() {
    let mut engine = engine(&elevated());
    let token = token(600);
    let (_, pending) = asks(engine.check(request(1, "/ask", &token), NOW));
    let mut without = elevated();
    without["bundle"]["inline"]["elevations"] = json!([]);
    engine.configure(settings(&without));
    assert_eq!(reason(engine.resume(pending, yes(), later(1))), Reason::ElevationRequired);
}

#[test]
fn elevation_absent() {
    cases(
        "elevations.json",
        &[
            "no elevation",
            "an elevation of another subject",
            "an elevation for another grant",
            "a broader grant does not make up for the elevation that is missing",
        ],
    );
}

#[test]
fn elevation_from_elsewhere() {
    cases(
        "elevations.json",
        &["from the network", "from another network", "from no network", "from none of the networks"],
    );
    // The host tells no source address.
    let mut config = elevated();
    config["networks"]["all"] = json!(["0.0.0.0/0", "::/0"]);
    config["bundle"]["inline"]["elevations"][0]["networks"] = json!(["all"]);
    let mut engine = engine(&config);
    assert!(engine.attributes().iter().any(|attribute| attribute.name == "source_ip"));
    let unknown = request(1, "/open", &token(600));
    assert_eq!(reason(engine.check(unknown, NOW)), Reason::ElevationInactive);
    let mut connection = Connection::default();
    let source = engine.attributes().iter().find(|attribute| attribute.name == "source_ip").copied().unwrap();
    connection.set(source, b"192.0.2.1:4711");
    let mut known = request(1, "/open", &token(600));
    known.connection = connection;
    let decision = done(engine.check(known, NOW));
    assert_eq!(decision.record.reason, Some(Reason::Allowed));
    // What it rests on stands in the record, which comes out the same again.
    assert_eq!(decision.record.connection["source_ip"], "192.0.2.1");
    assert_eq!(engine.replay(&decision.record).record.reason, Some(Reason::Allowed));
}

#[test]
fn elevation_by_the_principal() {
    cases(
        "elevations.json",
        &[
            "approved by somebody who is not the principal",
            "approved by the principal of the call",
            "approved, and nobody's principal",
        ],
    );
}

#[test]
fn break_glass_without_reason() {
    cases(
        "elevations.json",
        &[
            "the glass is broken",
            "the glass without a reason",
            "the glass with a reason that is too short",
            "the glass with a reason that is too long",
            "the glass with a reason that holds a tab",
            "the glass with two reasons",
            "the glass with the reason in another header",
        ],
    );
}

#[test]
fn break_glass_by_header_alone() {
    cases(
        "elevations.json",
        &[
            "a reason where there is no elevation",
            "a reason where the elevation is over",
            "a reason where the elevation is of another subject",
            "a reason where there is no grant",
        ],
    );
}

#[test]
fn break_glass_by_a_workload() {
    cases(
        "elevations.json",
        &[
            "a workload breaks the glass",
            "a workload breaks the glass where the grant says so",
            "a human breaks the glass where nobody may",
        ],
    );
}

#[test]
fn broken_glass_is_loud_in_the_record_and_comes_out_the_same_again() {
    let mut config = elevated();
    let elevation = &mut config["bundle"]["inline"]["elevations"][0];
    elevation["break_glass"] = json!(true);
    elevation["approver"] = json!("s");
    config["bundle"]["inline"]["grants"][2]["break_glass_kinds"] = json!(["workload"]);
    let mut engine = engine(&config);
    let token = token(600);
    let why = [("authorization", &*token), ("x-everycall-break-glass", "INC-7: orders are stuck")];
    let decision = done(engine.check(get(1, "/open", &why), NOW));
    let removed = decision.verdict.unwrap();
    assert!(removed.headers_to_remove().contains(&"x-everycall-break-glass".to_owned()));
    let record = decision.record;
    assert!(record.is_break_glass());
    let written = serde_json::to_value(&record).unwrap();
    assert_eq!(written["elevation"]["break_glass"], true);
    assert_eq!(written["elevation"]["break_glass_reason"], "INC-7: orders are stuck");
    let again: everycall_core::DecisionRecord = serde_json::from_value(written).unwrap();
    assert_eq!(engine.replay(&again).record.elevation, record.elevation);
    assert_eq!(engine.replay(&again).record.reason, Some(Reason::Allowed));
    // Without the elevation of then it does not.
    let mut none = self::engine(&elevated());
    assert!(!none.replay(&again).record.is_break_glass());
}

#[test]
fn grant_of_a_prefix() {
    cases(
        "selectors.json",
        &[
            "below the prefix",
            "the prefix without its slash is nobody below it",
            "a segment that only begins like the prefix",
            "another segment",
            "nobody is not below a prefix",
        ],
    );
}

#[test]
fn grant_by_claims() {
    cases(
        "selectors.json",
        &[
            "claims",
            "the claim is missing",
            "another text of the claim",
            "the claim is a list that holds the text",
            "the claims of another issuer",
            "claims tell of the subject, not of who acts for it",
        ],
    );
}

#[test]
fn grant_for_a_chain() {
    cases(
        "selectors.json",
        &[
            "a chain of named actors",
            "a chain that goes on behind the named actors",
            "a chain with somebody else in it",
            "one between, where nobody may",
        ],
    );
}

#[test]
fn grant_requires_binding() {
    cases(
        "binding.json",
        &[
            "a grant that requires DPoP",
            "a grant that requires DPoP, and the token is not bound",
            "a grant that requires a certificate, and it is DPoP",
            "a grant that requires any binding, and the token has none",
        ],
    );
}

/// A grant for each of [`hostile::templates`].
fn templates(segments: usize) -> Vec<Value> {
    let of = |(at, template): (usize, String)| granted(&format!("t{at}"), &template, &json!({}));
    hostile::templates(segments).enumerate().map(of).collect()
}

fn granted(id: &str, path: &str, members: &Value) -> Value {
    let mut grant = json!({"id": id, "owner": "o", "purpose": "p", "subject": "s", "kinds": ["workload"],
        "hosts": ["h"], "methods": ["GET"], "paths": [path], "policy": "open"});
    for (name, member) in members.as_object().into_iter().flatten() {
        grant[name] = member.clone();
    }
    grant
}

/// What is the broader grant's is refused, since one that was not tried may say otherwise.
#[test]
fn grants_too_many() {
    let decided = |mut grants: Vec<Value>, path: &str| {
        let mut config = configuration();
        grants.push(granted("broad", "/{rest...}", &json!({})));
        config["bundle"]["inline"]["grants"] = Value::Array(grants);
        let decision = done(engine(&config).check(request(1, path, &token(600)), NOW));
        (decision.record.reason, decision.record.detail)
    };
    let too_many = |(reason, detail): (Option<Reason>, Option<String>)| {
        assert_eq!(reason, Some(Reason::NotGranted), "{detail:?}");
        detail.is_some_and(|detail| detail.contains("more grants are about such a path than are tried"))
    };
    let allowed = |(reason, detail)| assert_eq!(reason, Some(Reason::Allowed), "{detail:?}");
    allowed(decided(templates(12), &("/a".repeat(12) + "/y")));
    assert!(too_many(decided(templates(14), &("/a".repeat(14) + "/y"))));
    // Where not so many fit.
    allowed(decided(templates(14), &("/b".repeat(14) + "/y")));
    // The last of them is for now, and each excepts many paths.
    let alike = |count: i64, excepted: usize| {
        let except: Vec<String> = (0..excepted).map(|at| format!("/x/{{y}}/{at}")).collect();
        let of = |at: i64| {
            let from = later((at + 1 - count) * 10);
            let until = UnixTime::from_secs(from.secs() + 10);
            let valid =
                json!({"except": except, "valid_from": from.to_string(), "valid_until": until.to_string()});
            granted(&format!("a{at}"), "/x/{y}/{z}", &valid)
        };
        (0..count).map(of).collect::<Vec<_>>()
    };
    allowed(decided(alike(60, 100), "/x/y/z"));
    assert!(too_many(decided(alike(70, 100), "/x/y/z")));
    allowed(decided(alike(250, 10), "/x/y/z"));
}

#[test]
fn fractions_of_a_second_count() {
    let fraction = NOW.to_string().replace('Z', ".9Z");
    let after = |micros: i64| UnixTime::from_micros(NOW.micros() + micros);
    let decided = |members: Value, at: UnixTime| {
        let mut config = configuration();
        config["bundle"]["inline"]["grants"] = json!([granted("g", "/x", &members)]);
        done(engine(&config).check(request(1, "/x", &token(600)), at)).record.reason
    };
    for (member, before, then) in [
        ("valid_from", Reason::NotGranted, Reason::Allowed),
        ("valid_until", Reason::Allowed, Reason::NotGranted),
    ] {
        let of = |at: i64| decided(json!({ member: fraction }), after(at));
        assert_eq!((of(899_999), of(900_000)), (Some(before), Some(then)), "{member}");
    }
}
