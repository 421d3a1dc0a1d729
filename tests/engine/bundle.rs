//! Signed bundles: what is taken, what is refused and why, and for how long one serves.

use everycall::bundle_file::{test_bundle_file, Issue};
use everycall::mint::{compact, signing_input, TestKey};
use everycall_core::config::Limits;
use everycall_core::jose::{KeyRules, Usage};
use everycall_core::sync::FileFault;
use everycall_core::{Algorithm, Bundle, FileError, KeySet, PureRust, Reason, Settings, UnixTime};
use serde_json::{json, Map, Value};

use super::{done, engine, later, reason, request, settings, token, NOW};

pub fn key() -> TestKey {
    TestKey::es256().unwrap()
}

/// Signed now, good for an hour.
pub fn issue(sequence: u64) -> Issue {
    Issue { revision: Some(format!("r{sequence}")), sequence, issued_at: NOW, expires_at: later(3_600) }
}

/// The parts of the bundle that the other tests use.
pub fn parts() -> Value {
    super::configuration()["bundle"]["inline"].clone()
}

pub fn signed(sequence: u64) -> Vec<u8> {
    test_bundle_file(&parts(), &issue(sequence), &key()).unwrap()
}

/// A configuration whose bundle is this file.
pub fn configuration(file: &[u8]) -> Value {
    let mut config = super::configuration();
    config["bundle"] =
        json!({"signed": String::from_utf8(file.to_vec()).unwrap(), "keys": key().public_jwks()});
    config
}

fn keys() -> KeySet {
    let set = serde_json::from_value(key().public_jwks()).unwrap();
    KeySet::read(&set, &KeyRules { algorithms: &Algorithm::ALL, usage: Usage::Signature }).unwrap()
}

fn read(file: &[u8]) -> Result<Bundle, FileError> {
    Bundle::from_signed(file, &keys(), &PureRust, &Limits::default())
}

/// Content of these lines below a head that fits.
fn lines(lines: &[&str]) -> Vec<u8> {
    let content: String = lines.iter().map(|line| format!("{line}\n")).collect();
    with_content(content.as_bytes(), |_, _| {})
}

fn with_content(
    content: &[u8],
    change: impl FnOnce(&mut Map<String, Value>, &mut Map<String, Value>),
) -> Vec<u8> {
    let mut claims = everycall::bundle_file::bundle_claims(content, "r", 7, NOW, later(60)).unwrap();
    let mut header = key().header();
    header.insert("typ".into(), json!("everycall-bundle+jwt"));
    change(&mut header, &mut claims);
    let message = signing_input(&header, &claims);
    let mut file = compact(&message, &key().signature(message.as_bytes()).unwrap()).into_bytes();
    file.push(b'\n');
    file.extend_from_slice(content);
    file
}

const GRANT: &str = r#"{"grant":{"id":"g","owner":"o","purpose":"p","subject":"s","kinds":["workload"],"hosts":["h"],"methods":["GET"],"paths":["/open"]}}"#;
const POLICY: &str =
    r#"{"policy":{"file":"a.rego","text":"package everycall\ndecision := {\"allow\": true}"}}"#;

const OPTIONS: &str = r#"{"rule_set":{"name":"r","options":{}}}"#;

#[test]
fn a_signed_bundle_decides_and_the_record_names_it() {
    let mut engine = engine(&configuration(&signed(5)));
    let record = done(engine.check(request(1, "/open", &token(60)), NOW)).record;
    assert_eq!(record.reason, Some(Reason::Allowed));
    let bundle = record.bundle.unwrap();
    assert_eq!((&*bundle.revision, bundle.sequence), ("r5", 5));
    let mut unsigned = super::engine(&super::configuration());
    assert_eq!(done(unsigned.check(request(1, "/open", &token(60)), NOW)).record.bundle, None);
}

#[test]
fn elevations_of_a_signed_bundle_count() {
    let parts = super::authority::elevated()["bundle"]["inline"].clone();
    let file = |parts: &Value| test_bundle_file(parts, &issue(5), &key()).unwrap();
    let mut engine = engine(&configuration(&file(&parts)));
    let record = done(engine.check(request(1, "/open", &token(60)), NOW)).record;
    assert_eq!(record.elevation.unwrap().id, "e");
    assert_eq!(reason(engine.check(request(2, "/open", &token(600)), later(100))), Reason::ElevationInactive);
    // More of them than one slice looks at.
    let mut many = parts.clone();
    let first = many["elevations"][0].clone();
    let numbered = |n: usize| {
        let mut one = first.clone();
        one["id"] = json!(format!("e{n}"));
        one
    };
    many["elevations"] = (0..1_500).map(numbered).collect();
    for n in 0..1_500 {
        let mut grant = many["grants"][2].clone();
        grant["id"] = json!(format!("g{n}"));
        grant["paths"] = json!([format!("/g/{n}")]);
        many["grants"].as_array_mut().unwrap().push(grant);
        many["elevations"][n]["grants"] = json!([format!("g{n}")]);
    }
    assert!(read(&file(&many)).is_ok());
    for (at, wrong) in [(0, json!(["nowhere"])), (1_499, json!(["g1", "g"]))] {
        let mut parts = many.clone();
        parts["elevations"][at]["grants"] = wrong;
        let error = read(&file(&parts)).unwrap_err();
        assert_eq!(error.fault(), FileFault::Invalid, "{at}: {error}");
        assert!(error.to_string().contains("there is no grant `"), "{error}");
    }
}

#[test]
fn the_same_parts_give_the_same_file() {
    assert_eq!(signed(5), signed(5));
    assert_ne!(signed(5), signed(6));
}

#[test]
fn each_byte_of_a_signed_bundle_counts() {
    let file = lines(&[POLICY, GRANT]);
    assert!(read(&file).is_ok());
    for at in 0..file.len() {
        let mut forged = file.clone();
        forged[at] ^= 1;
        let error = read(&forged).unwrap_err();
        assert_ne!(error.fault(), FileFault::Invalid, "{at}: {error}");
    }
    for end in 0..file.len() {
        let error = read(&file[..end]).unwrap_err();
        assert!([FileFault::Malformed, FileFault::Digest].contains(&error.fault()), "{end}: {error}");
    }
    for more in ["\n", "x", POLICY] {
        assert_eq!(
            read(&[&file, more.as_bytes()].concat()).unwrap_err().fault(),
            FileFault::Digest,
            "{more:?}"
        );
    }
}

#[test]
fn heads_are_read_strictly() {
    type Change = fn(&mut Map<String, Value>, &mut Map<String, Value>);
    let changes: [(FileFault, &str, Change); 18] = [
        (FileFault::Malformed, "typ", |header, _| drop(header.insert("typ".into(), json!("JWT")))),
        (FileFault::Malformed, "typ", |header, _| drop(header.remove("typ"))),
        (FileFault::Malformed, "crit", |header, _| drop(header.insert("crit".into(), json!(["x"])))),
        (FileFault::Signature, "alg", |header, _| drop(header.insert("alg".into(), json!("none")))),
        (FileFault::Signature, "alg", |header, _| drop(header.insert("alg".into(), json!("HS256")))),
        (FileFault::Signature, "no key `other`", |header, _| {
            drop(header.insert("kid".into(), json!("other")))
        }),
        (FileFault::Malformed, "v", |_, claims| drop(claims.insert("v".into(), json!(2)))),
        (FileFault::Malformed, "unknown field", |_, claims| drop(claims.insert("x".into(), json!(2)))),
        (FileFault::Malformed, "missing", |_, claims| drop(claims.remove("exp"))),
        (FileFault::Malformed, "missing", |_, claims| drop(claims.remove("sequence"))),
        (FileFault::Malformed, "sequence", |_, claims| drop(claims.insert("sequence".into(), json!(-1)))),
        (FileFault::Malformed, "sequence", |_, claims| drop(claims.insert("sequence".into(), json!("7")))),
        (FileFault::Malformed, "exp", |_, claims| drop(claims.insert("exp".into(), claims["iat"].clone()))),
        (FileFault::Malformed, "revision", |_, claims| drop(claims.insert("revision".into(), json!("")))),
        (FileFault::Malformed, "revision", |_, claims| drop(claims.insert("revision".into(), json!("a\nb")))),
        (FileFault::Malformed, "digest", |_, claims| drop(claims.insert("digest".into(), json!("AAAA")))),
        (FileFault::Digest, "digest", |_, claims| {
            drop(claims.insert("digest".into(), json!("A".repeat(43))))
        }),
        (FileFault::Digest, "bytes", |_, claims| drop(claims.insert("bytes".into(), json!(1)))),
    ];
    for (fault, expected, change) in changes {
        let error = read(&with_content(format!("{POLICY}\n{GRANT}\n").as_bytes(), change)).unwrap_err();
        assert!(error.fault() == fault && error.to_string().contains(expected), "{expected}: {error}");
    }
    for text in ["", "\n", "<html>\n<body>Maintenance</body></html>\n", "a.b.c\n", "{}\n"] {
        assert_eq!(read(text.as_bytes()).unwrap_err().fault(), FileFault::Malformed, "{text}");
    }
    assert_eq!(read(&[b'x'; 20_000]).unwrap_err().fault(), FileFault::Malformed);
    // A token that this key signed for something else.
    let claims = json!({"iss": "i", "aud": "a", "sub": "s"});
    let token = key().sign(&key().header(), claims.as_object().unwrap()).unwrap();
    assert_eq!(read(format!("{token}\n").as_bytes()).unwrap_err().fault(), FileFault::Malformed);
}

#[test]
fn another_key_is_no_key() {
    let foreign = TestKey::foreign(Algorithm::Es256).unwrap();
    let file = test_bundle_file(&parts(), &issue(1), &foreign).unwrap();
    assert_eq!(read(&file).unwrap_err().fault(), FileFault::Signature);
    // Under the id of the one that may.
    let text = String::from_utf8(file).unwrap();
    let (head, content) = text.split_once('\n').unwrap();
    let (_, claims) = (head, head.split('.').nth(1).unwrap());
    let mut header = key().header();
    header.insert("typ".into(), json!("everycall-bundle+jwt"));
    let part = signing_input(&header, &Map::new());
    let message = format!("{}.{claims}", part.split('.').next().unwrap());
    let forged = compact(&message, &foreign.signature(message.as_bytes()).unwrap());
    assert_eq!(read(format!("{forged}\n{content}").as_bytes()).unwrap_err().fault(), FileFault::Signature);
}

#[test]
fn lines_are_read_strictly() {
    let long = format!(r#"{{"data":{{"a":"{}"}}}}"#, "x".repeat(200_000));
    let data = r#"{"data":{"a":{"b":1}}}"#;
    for (content, expected) in [
        (vec![""], "line 2: not strict JSON"),
        (vec!["[]"], "line 2: not an object"),
        (vec!["{}"], "line 2: invalid value"),
        (vec![r#"{"policy":{"file":"a","text":"package a"},"data":{}}"#], "line 2"),
        (vec![r#"{"data":{"a":1,"a":2}}"#], "line 2: not strict JSON: duplicate"),
        (vec![r#"{"polices":{}}"#], "line 2: unknown variant"),
        (vec![r#"{"policy":{"file":"a","text":"package a","x":1}}"#], "line 2: policy.x: unknown field `x`"),
        (vec![POLICY, GRANT, POLICY], "line 4: out of order"),
        (vec![data, POLICY], "line 3: out of order"),
        (vec![data, r#"{"data":{"a":{"b":2}}}"#], "line 3: `data` has two values at"),
        (vec![data, r#"{"data":{"a":1}}"#], "line 3: `data` has two values at"),
        (vec![&long], "line 2: longer than"),
        (vec![GRANT], "line 2.policy: no module has the package"),
        (vec![OPTIONS, OPTIONS], "line 3: the rule set `r` has options already"),
        (vec![POLICY, OPTIONS, GRANT], "line 3: no grant names the rule set `r`"),
        (vec![POLICY, GRANT, GRANT], "line 4.id: duplicate grant id"),
        (
            vec![POLICY, &GRANT.replace("\"owner\":\"o\"", "\"owner\":\"\"")],
            "line 3.owner: must not be empty",
        ),
        (vec![&POLICY.replace(":=", ":=:=")], "line 2: a.rego:2"),
    ] {
        let error = read(&lines(&content)).unwrap_err();
        assert!(error.fault() == FileFault::Invalid, "{error}");
        assert!(error.to_string().starts_with(&format!("invalid: {expected}")), "{expected}: {error}");
    }
    let cut = with_content(format!("{POLICY}\n{GRANT}").as_bytes(), |_, _| {});
    assert!(read(&cut).unwrap_err().to_string().contains("line 3: it has no end"));
}

#[test]
fn data_in_pieces_is_the_same_data() {
    let mut parts = parts();
    let many: Map<String, Value> = (0..5_000)
        .map(|number| (format!("user-{number}"), json!({"limit": number, "tags": ["a", "b"]})))
        .collect();
    parts["data"] = json!({"users": {"by_name": many, "none": {}}, "small": [1, 2]});
    parts["policies"]["open.rego"] = json!(
        "package everycall.open\ndecision := {\"allow\": true} if {\n\tdata.users.by_name[\"user-4999\"].limit == 4999\n\t\
         data.users.by_name[\"user-0\"].tags[1] == \"b\"\n\tcount(data.users.by_name) == 5000\n\tdata.users.none == {}\n\tdata.small[1] == 2\n}");
    let file = test_bundle_file(&parts, &issue(1), &key()).unwrap();
    assert!(file.split(|byte| *byte == b'\n').filter(|line| line.starts_with(b"{\"data\"")).count() > 5);
    let mut engine = engine(&configuration(&file));
    assert_eq!(reason(engine.check(request(1, "/open", &token(60)), NOW)), Reason::Allowed);
    // What can't be cut is not written.
    parts["data"] = json!({"list": vec!["x".repeat(100); 2_000]});
    let error = test_bundle_file(&parts, &issue(1), &key()).unwrap_err();
    assert!(error.starts_with("data.list: "), "{error}");
}

/// The cells of freshness: when a bundle serves, and what is said when it does not.
#[test]
fn bundle_stale_by_its_own_end_and_by_the_configured_age() {
    let status = |config: &Value, now: UnixTime| {
        let mut engine = engine(config);
        let record = done(engine.check(request(1, "/nowhere", "Basic x"), now)).record;
        (record.status, record.reason.unwrap())
    };
    let config = configuration(&signed(5));
    let decided = (401, Reason::TokenMalformed);
    assert_eq!(status(&config, NOW), decided);
    assert_eq!(status(&config, later(3_599)), decided);
    assert_eq!(status(&config, later(3_600)), (503, Reason::BundleStale));
    assert_eq!(status(&config, later(100_000)), (503, Reason::BundleStale));
    // Signed by a clock that runs ahead, a little and a lot.
    assert_eq!(status(&config, later(-60)), decided);
    assert_eq!(status(&config, later(-61)), (503, Reason::NotReady));
    let mut aged = config;
    aged["bundle"]["max_stale_s"] = json!(100);
    assert_eq!(status(&aged, later(100)), decided);
    assert_eq!(status(&aged, later(101)), (503, Reason::BundleStale));
}

#[test]
fn a_bundle_that_went_stale_while_a_request_waited_admits_it_no_more() {
    let issue = Issue { expires_at: later(20), ..issue(5) };
    let mut engine = engine(&configuration(&test_bundle_file(&parts(), &issue, &key()).unwrap()));
    let (_, pending) = super::asks(engine.check(request(1, "/ask", &token(300)), NOW));
    assert_eq!(reason(engine.resume(pending, super::yes(), later(20))), Reason::BundleStale);
    // The clock of an engine does not go back by a little.
    let mut engine = super::engine(&super::bundle::configuration(&signed(5)));
    // As a record it is decided by what was in force then.
    let record = done(engine.check(request(1, "/open", &token(300)), later(10))).record;
    let again = engine.replay(&record).record;
    assert_eq!((again.reason, &again.bundle), (record.reason, &record.bundle));
}

#[test]
fn bundles_of_a_configuration_are_refused_with_their_path() {
    let good = configuration(&signed(5));
    assert!(Settings::from_value(good.clone()).is_ok());
    let refused = |change: &dyn Fn(&mut Value), path: &str, expected: &str| {
        let mut config = good.clone();
        change(&mut config["bundle"]);
        let errors = Settings::from_value(config).unwrap_err();
        let found = errors.iter().any(|error| error.path == path && error.message.contains(expected));
        assert!(found, "{path}, {expected}: {errors}");
    };
    let foreign = TestKey::foreign(Algorithm::Es256).unwrap();
    refused(&|bundle| *bundle = json!({}), "bundle", "expected `inline`, `signed` or `remote`");
    refused(&|bundle| bundle["inline"] = parts(), "bundle", "exclude each other");
    refused(&|bundle| drop(bundle.as_object_mut().unwrap().remove("keys")), "bundle.keys", "missing");
    refused(&|bundle| bundle["keys"] = json!({"keys": []}), "bundle.keys.keys", "no key");
    refused(&|bundle| bundle["keys"] = foreign.public_jwks(), "bundle.signed", "line 1");
    refused(&|bundle| bundle["signed"] = json!("x"), "bundle.signed", "not a signed file");
    refused(&|bundle| bundle["max_stale_s"] = json!(0), "bundle.max_stale_s", "out of range");
    refused(
        &|bundle| *bundle = json!({"inline": parts(), "keys": key().public_jwks()}),
        "bundle.keys",
        "not signed",
    );
    refused(&|bundle| *bundle = json!({"inline": parts(), "max_stale_s": 5}), "bundle.max_stale_s", "no age");
    let remote = json!({"cluster": "b", "host": "h", "path": "/p"});
    refused(&|bundle| *bundle = json!({"remote": remote}), "bundle.keys", "missing");
    for (name, value, expected) in [
        ("cluster", json!(""), "empty"),
        ("host", json!("a b"), "not a host"),
        ("path", json!("p"), "not a path"),
        ("timeout_ms", json!(0), "out of range"),
        ("interval_s", json!(0), "out of range"),
        ("max_bytes", json!(10), "out of range"),
    ] {
        let mut remote = remote.clone();
        remote[name] = value;
        refused(&|bundle| bundle["remote"] = remote.clone(), &format!("bundle.remote.{name}"), expected);
    }
    // Before the server has answered there is nothing to decide by.
    let mut config = good.clone();
    config["bundle"] = json!({"remote": remote, "keys": key().public_jwks()});
    let mut engine = engine(&config);
    assert_eq!(reason(engine.check(request(1, "/open", &token(60)), NOW)), Reason::NotReady);
    let mut both = good;
    both["bundle"]["remote"] = remote;
    assert!(settings(&both).bundle().head().is_some());
}
