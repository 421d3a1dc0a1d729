use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use base64::Engine as _;
use everycall_core::{IdSeed, Reason, Settings, Verdict};
use serde_json::json;

use super::*;
use crate::mint::TestKey;

const POLICY: &str = r#"package everycall
decision := {"allow": true, "reason": "open"} if input.request.path == "/open"
ask contains {"id": "q", "subject": {"type": "workload", "id": input.identity.id}, "action": {"name": "read"},
    "resource": {"type": "path", "id": input.request.path}} if input.request.path == "/ask"
decision := {"allow": true, "reason": "answered"} if input.pdp.q.decision
"#;

fn base() -> Value {
    json!({
        "version": 1, "instance": "cases",
        "issuers": [{
            "issuer": "https://id.example", "audiences": ["orders"], "algorithms": ["RS256", "ES256", "EdDSA"],
            "max_lifetime_s": 900, "kind": "workload",
            "keys": {"inline": {"keys": [
                TestKey::eddsa().unwrap().public_jwk(),
                TestKey::rs256().unwrap().public_jwk(),
                {"kid": "renamed", "kty": "EC", "crv": "P-256",
                 "x": TestKey::es256().unwrap().public_jwk()["x"], "y": TestKey::es256().unwrap().public_jwk()["y"]},
            ]}},
        }],
        "bundle": {"inline": {"policies": {"p.rego": POLICY}, "grants": [{
            "id": "all", "owner": "team", "purpose": "test", "subject": "w", "kinds": ["workload"],
            "hosts": ["h"], "methods": ["GET"], "paths": ["/{rest...}"],
        }]}},
        "pdps": {"default": {"protocol": "authzen", "cluster": "pdp", "host": "pdp"}},
    })
}

fn now() -> UnixTime {
    UnixTime::from_secs(1_790_000_000)
}

fn record(file: &CaseFile, case: &Case) -> everycall_core::DecisionRecord {
    let config = file.config(&base(), now());
    let settings = Settings::from_value(config.clone()).unwrap();
    let mut engine = Engine::standalone(settings, IdSeed::derive(&[b"cases"]));
    run_case(&mut engine, case, &config, now()).unwrap().record
}

#[test]
fn tokens_are_honest_until_a_case_says_otherwise() {
    let spec = |more: Value| {
        let mut spec = json!({"issuer": "https://id.example", "claims": {"sub": "w"}});
        patch::merge(&mut spec, &more);
        spec
    };
    for (token, reason) in [
        (spec(json!({})), Reason::Allowed),
        (spec(json!({"key": "rs256"})), Reason::Allowed),
        (spec(json!({"key": "es256"})), Reason::Allowed),
        (spec(json!({"key": "eddsa"})), Reason::Allowed),
        (spec(json!({"sign": "none"})), Reason::TokenSignature),
        (spec(json!({"sign": "none", "header": {"alg": "none"}})), Reason::TokenAlgorithm),
        (spec(json!({"sign": "flip", "key": "rs256"})), Reason::TokenSignature),
        (spec(json!({"sign": "flip", "key": "es256"})), Reason::TokenSignature),
        (spec(json!({"sign": "flip"})), Reason::TokenSignature),
        (spec(json!({"sign": "foreign", "key": "rs256"})), Reason::TokenSignature),
        (spec(json!({"sign": "foreign", "key": "es256"})), Reason::TokenSignature),
        (spec(json!({"sign": "foreign"})), Reason::TokenSignature),
        (spec(json!({"claims": {"iat": {"$now": -60}, "exp": {"$now": 0}}})), Reason::TokenExpired),
        (spec(json!({"claims": {"exp": {"$now": 901}}})), Reason::TokenLifetime),
        (spec(json!({"claims": {"nbf": {"$now": 6}}})), Reason::TokenNotYetValid),
        (spec(json!({"issuer": "https://other.example"})), Reason::TokenIssuer),
        (json!({"raw": "a.b"}), Reason::TokenMalformed),
        (json!({"issuer": "https://id.example", "claims": {"sub": null}}), Reason::TokenClaims),
        (json!({"issuer": "https://id.example", "claims": {"sub": "w", "aud": null}}), Reason::TokenAudience),
        (
            json!({"issuer": "https://id.example", "claims": {"sub": "w"}, "header": {"kid": null}}),
            Reason::Allowed,
        ),
        (
            json!({"issuer": "https://id.example", "claims": {"sub": "w"}, "header": {"kid": "other"}}),
            Reason::TokenKeyUnknown,
        ),
    ] {
        let text = json!({"about": "tokens", "cases": [{
            "name": "n", "request": {"method": "GET", "host": "h", "path": "/open"}, "token": token,
            "expect": {"decision": if reason == Reason::Allowed { "allow" } else { "deny" }, "reason": reason.code()},
        }]});
        let file = CaseFile::parse("t.json", &text.to_string()).unwrap();
        let case = &file.cases[0];
        assert_eq!(case.expect.compare(&record(&file, case)), Ok(()), "{token}");
    }
}

#[test]
fn proofs_are_honest_until_a_case_says_otherwise() {
    let bound = |bind: &str| json!({"issuer": "https://id.example", "claims": {"sub": "w"}, "bind": bind, "scheme": "DPoP"});
    let mut many: Vec<(Value, Value, Reason)> = vec![
        (bound("es256"), json!({"claims": {"htm": "POST"}}), Reason::DpopInvalid),
        (bound("es256"), json!({"claims": {"htu": "http://h/other"}}), Reason::DpopInvalid),
        (bound("es256"), json!({"claims": {"ath": null}}), Reason::DpopInvalid),
        (bound("es256"), json!({"header": {"typ": "JWT"}}), Reason::DpopInvalid),
        (bound("es256"), json!({"sign": "flip"}), Reason::DpopInvalid),
        (bound("es256"), json!({"sign": "foreign"}), Reason::DpopInvalid),
        (bound("es256"), json!({"key": "es384"}), Reason::DpopInvalid),
    ];
    for algorithm in everycall_core::Algorithm::ALL {
        let name = algorithm.as_str().to_ascii_lowercase();
        many.push((bound(&name), json!({"key": name}), Reason::Allowed));
    }
    for (token, proof, reason) in many {
        let text = json!({"about": "proofs", "cases": [{
            "name": "n", "request": {"method": "GET", "host": "h", "path": "/open?q=1", "headers": [["dpop", {"dpop": proof}]]},
            "token": token,
            "expect": {"decision": if reason == Reason::Allowed { "allow" } else { "deny" }, "reason": reason.code()},
        }]});
        let file = CaseFile::parse("t.json", &text.to_string()).unwrap();
        let case = &file.cases[0];
        let mut config = base();
        config["bundle"]["inline"]["policies"]["p.rego"] =
            json!(POLICY.replace("input.request.path == \"/open\"", "true"));
        let engine =
            &mut Engine::standalone(Settings::from_value(config.clone()).unwrap(), IdSeed::derive(&[]));
        let record = run_case(engine, case, &config, now()).unwrap().record;
        assert_eq!(case.expect.compare(&record), Ok(()), "{proof}");
    }
}

#[test]
fn a_binding_stands_beside_what_the_case_confirms() {
    let spec = |claims: Value| {
        let spec = json!({"issuer": "i", "claims": claims, "bind": "es256"});
        let token = serde_json::from_value::<TokenSpec>(spec).unwrap().mint(&base(), now(), "id").unwrap();
        let claims = URL_SAFE_NO_PAD.decode(token.split('.').nth(1).unwrap()).unwrap();
        serde_json::from_slice::<Value>(&claims).unwrap()["cnf"].clone()
    };
    let jkt = TestKey::es256().unwrap().thumbprint().unwrap();
    assert_eq!(spec(json!({"sub": "w"})), json!({"jkt": jkt}));
    assert_eq!(spec(json!({"sub": "w", "cnf": {"x": 1}})), json!({"jkt": jkt, "x": 1}));
}

#[test]
fn questions_get_the_answers_of_the_case() {
    for (answers, reason, decision) in [
        (json!({"q": "allow"}), Reason::Allowed, Verdict::Allow),
        (json!({"q": "deny"}), Reason::PdpDenied, Verdict::Deny),
        (json!({"q": "down"}), Reason::PdpUnavailable, Verdict::Deny),
        (json!({"q": "timeout"}), Reason::PdpUnavailable, Verdict::Deny),
        (json!({"q": {"status": 200, "body": "{\"decision\":true}"}}), Reason::Allowed, Verdict::Allow),
        (
            json!({"q": {"status": 200, "body": "{\"decision\":true}", "blanks": 65536}}),
            Reason::PdpUnavailable,
            Verdict::Deny,
        ),
        (json!({"q": {"status": 500, "body": "{\"decision\":true}"}}), Reason::PdpUnavailable, Verdict::Deny),
        (json!({}), Reason::PdpUnavailable, Verdict::Deny),
    ] {
        let text = json!({"about": "answers", "cases": [{
            "name": "n", "request": {"method": "GET", "host": "h", "path": "/ask"}, "pdp": answers,
            "token": {"issuer": "https://id.example", "claims": {"sub": "w"}},
            "expect": {"decision": "deny"},
        }]});
        let file = CaseFile::parse("t.json", &text.to_string()).unwrap();
        let record = record(&file, &file.cases[0]);
        assert_eq!((record.reason, record.decision), (Some(reason), decision), "{answers}");
    }
}

#[test]
fn headers_hold_text_bytes_tokens_and_times() {
    let file = CaseFile::parse(
        "t.json",
        r#"{"about": "headers", "cases": [{"name": "n", "expect": {"decision": "deny"},
            "request": {"method": "GET", "host": "h", "path": {"b64": "L/8="}, "scheme": "https", "headers": [
                ["a", "text"], ["b", {"b64": "/w=="}], ["c", {"token": {"raw": "t"}}], ["c", {"bearer": {"raw": "t"}}],
                ["d", {"$now": 1}], ["e", {"$instant": 0}]]},
            "token": {"raw": "last"}}]}"#,
    )
    .unwrap();
    let wire = file.cases[0].request(&base(), now()).unwrap();
    assert_eq!((wire.path.as_slice(), wire.scheme.as_str()), (&b"/\xff"[..], "https"));
    let headers: Vec<(&str, &[u8])> = wire.headers.iter().map(|(n, v)| (n.as_str(), v.as_slice())).collect();
    assert_eq!(
        headers,
        [
            ("a", &b"text"[..]),
            ("b", b"\xff"),
            ("c", b"t"),
            ("c", b"Bearer t"),
            ("d", b"1790000001"),
            ("e", b"2026-09-21T14:13:20Z"),
            ("authorization", b"Bearer last"),
        ]
    );
}

#[test]
fn the_patch_changes_the_configuration_and_its_absence_nothing() {
    let case = r#"{"name": "n", "request": {"method": "GET", "host": "h", "path": "/"}, "expect": {"decision": "deny"}}"#;
    let plain = CaseFile::parse("t.json", &format!(r#"{{"about": "a", "cases": [{case}]}}"#)).unwrap();
    assert_eq!(plain.config(&base(), now()), base());
    let text = format!(
        r#"{{"about": "a", "config": {{"instance": "i", "limits": {{"x": {{"$now": 1}}}}}}, "cases": [{case}]}}"#
    );
    let config = CaseFile::parse("t.json", &text).unwrap().config(&base(), now());
    assert_eq!((&config["instance"], &config["limits"]["x"]), (&json!("i"), &json!(1_790_000_001)));
}

#[test]
fn grants_have_the_defaults_of_their_file_where_they_say_nothing_else() {
    let file = |grants: Value| {
        json!({"about": "a",
            "grant_defaults": {"owner": "o", "delegation": {"principals": ["p"]}, "valid_from": {"$instant": 0}},
            "config": {"bundle": {"inline": {"grants": grants}}},
            "cases": [{"name": "n", "request": {"method": "GET", "host": "h", "path": "/"}, "expect": {"decision": "deny"}}]})
    };
    let parse = |file: &Value| CaseFile::parse("t.json", &file.to_string());
    let written =
        file(json!([{"id": "a"}, {"id": "b", "owner": "p", "delegation": {}}, {"owner": null, "id": null}]));
    let grants = parse(&written).unwrap().config(&base(), now())["bundle"]["inline"]["grants"].take();
    let (from, delegation) = ("2026-09-21T14:13:20Z", json!({"principals": ["p"]}));
    assert_eq!(
        grants,
        json!([
            {"id": "a", "owner": "o", "delegation": delegation, "valid_from": from},
            {"id": "b", "owner": "p", "delegation": {}, "valid_from": from},
            {"id": null, "delegation": delegation, "valid_from": from},
        ])
    );

    let mut mistake = file(base()["bundle"]["inline"]["grants"].clone());
    mistake["grant_defaults"] = json!({"onwer": "o"});
    let config = parse(&mistake).unwrap().config(&base(), now());
    let error = Settings::from_value(config).err().unwrap().to_string();
    assert!(error.contains("bundle.inline.grants[0].onwer: "), "{error}");

    let mut nothing = file(json!([]));
    nothing.as_object_mut().unwrap().remove("config");
    assert_eq!(parse(&nothing).unwrap_err().message(), "grant_defaults: `config` has no grants");
}

#[test]
fn a_case_has_a_time_of_its_own() {
    let at = |text: &str| UnixTime::parse_rfc3339(text).unwrap();
    let case = |more: Value| {
        let mut case = json!({"name": more.to_string(), "request": {"method": "GET", "host": "h", "path": "/open", "headers": [["x", {"$instant": 60}]]},
            "token": {"issuer": "https://id.example", "claims": {"sub": "w"}}, "expect": {"decision": "allow"}});
        patch::merge(&mut case, &more);
        case
    };
    let policy = "package everycall\ndecision := {\"allow\": true} if input.clock.hour < data.until\n";
    let text = json!({"about": "times", "as_of": "2026-01-01T00:00:00Z",
    "config": {"bundle": {"inline": {"policies": {"p.rego": policy}, "data": {"until": 9, "now": {"$now": 0}}}}},
    "cases": [
        case(json!({"name": "a", "at": "2026-02-02T08:59:59Z"})),
        case(json!({"name": "b", "at": "2026-02-02T08:59:59Z"})),
        case(json!({"at": "2026-02-02T09:00:00Z", "expect": {"decision": "deny", "reason": "policy_undefined"}})),
        // Earlier than the one before, and in another form.
        case(json!({"at": 1_770_000_000})),
        case(json!({"expect": {"decision": "deny"}})),
    ]});
    let file = CaseFile::parse("t.json", &text.to_string()).unwrap();
    let mut base = base();
    base["bundle"]["inline"]["grants"][0]["valid_from"] = json!("2025-12-31T23:59:59Z");
    base["bundle"]["inline"]["grants"][0]["valid_until"] = json!("2026-01-01T00:00:01Z");
    let lots: Vec<(UnixTime, usize)> = file.by_time(now()).map(|(at, cases)| (at, cases.len())).collect();
    let morning = at("2026-02-02T08:59:59Z");
    let times =
        [(morning, 2), (at("2026-02-02T09:00:00Z"), 1), (UnixTime::from_secs(1_770_000_000), 1), (now(), 1)];
    assert_eq!(lots, times);
    for (at, cases) in file.by_time(now()) {
        let config = file.config(&base, at);
        assert_eq!(config["bundle"]["inline"]["data"]["now"], at.secs());
        let settings = Settings::from_value(config.clone()).unwrap();
        let mut engine = Engine::standalone(settings, IdSeed::derive(&[b"times"]));
        for case in cases {
            let record = run_case(&mut engine, case, &config, at).unwrap().record;
            assert_eq!(case.expect.compare(&record), Ok(()), "{}", case.name);
            assert_eq!(record.time, at);
        }
    }
    let wire = file.cases[0].request(&base, morning).unwrap();
    assert_eq!(wire.headers[0].1, b"2026-02-02T09:00:59Z");
}

#[test]
fn mistakes_in_case_files_are_named_with_their_path() {
    let parse = |request: Value, more: Value| {
        let mut case = json!({"name": "n", "expect": {"decision": "deny"},
            "request": {"method": "GET", "host": "h", "path": "/"}});
        patch::merge(&mut case["request"], &request);
        patch::merge(&mut case, &more);
        CaseFile::parse("t.json", &json!({"about": "a", "cases": [case]}).to_string())
            .unwrap_err()
            .to_string()
    };
    for (error, path, message) in [
        (
            parse(json!({"headers": [["a", {"b64": "/w"}]]}), json!({})),
            "cases[0].request.headers[0][1]",
            "base64",
        ),
        (
            parse(json!({"headers": [["a", {"b64": "", "token": {}}]]}), json!({})),
            "cases[0].request.headers[0][1]",
            "",
        ),
        (
            parse(json!({"headers": [["a", 1]]}), json!({})),
            "cases[0].request.headers[0][1]",
            "expected text, or",
        ),
        (parse(json!({"hots": "h"}), json!({})), "cases[0].request.hots", "unknown field `hots`"),
        (parse(json!({}), json!({"token": {"issuer": "i"}})), "cases[0].token", "no `sub`"),
        (
            parse(json!({}), json!({"token": {"raw": "", "issuer": "i"}})),
            "cases[0].token",
            "`raw` stands instead",
        ),
        (parse(json!({}), json!({"token": {"claims": {}}})), "cases[0].token", "missing field `issuer`"),
        (
            parse(json!({}), json!({"token": {"issuer": "i", "claims": {"sub": "w"}, "bind": "none"}})),
            "cases[0].token",
            "unknown `key` `none`",
        ),
        (
            parse(json!({"headers": [["a", {"dpop": {"claim": {}}}]]}), json!({})),
            "cases[0].request.headers[0][1]",
            "unknown field `claim`",
        ),
        (
            parse(json!({}), json!({"at": "noon"})),
            "cases[0].at",
            "string \"noon\", expected an RFC 3339 instant",
        ),
        (parse(json!({}), json!({"at": "2026-01-31"})), "cases[0].at", "string \"2026-01-31\", expected"),
        (parse(json!({}), json!({"at": 1_769_850_000_000_i64})), "cases[0].at", "`1769850000000`, expected"),
        (parse(json!({}), json!({"pdp": {"q": "yes"}})), "cases[0].pdp.q", "unknown variant `yes`"),
        (
            parse(json!({}), json!({"expect": {"reason": "nope"}})),
            "cases[0].expect.reason",
            "unknown variant `nope`",
        ),
    ] {
        assert!(error.starts_with(&format!("t.json: {path}")) && error.contains(message), "{error}");
    }
    for (text, message) in [
        (r#"{"about": "a", "cases": []}"#, "it holds no case"),
        (r#"{"about": "a", "about": "b", "cases": []}"#, "not strict JSON"),
    ] {
        assert!(CaseFile::parse("t.json", text).unwrap_err().to_string().contains(message));
    }
}
