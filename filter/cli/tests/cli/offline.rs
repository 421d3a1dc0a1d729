//! Bundles that are signed, or on a server: `check`, `test`, `decide` and `exceptions` look into them as
//! into those of the configuration, and say so where they can't.

mod decisions;

use everycall::bundle_file::{bundle_parts, test_bundle_file, Issue};
use everycall::mint::TestKey;
use everycall_core::UnixTime;
use serde_json::{json, Value};

use crate::common::{config, everycall, Files, Output, NOW};

const NEGATION: &str = "package everycall
decision := {\"allow\": true, \"reason\": \"read\"} if {
\tinput.identity.id
\tnot input.identity.claims.suspended
}
";

/// Parts of a bundle that has something for an author to look at: a negation, and an owner that is none.
fn odd() -> Value {
    let mut parts = config()["bundle"]["inline"].clone();
    parts["policies"]["orders.rego"] = json!(NEGATION);
    parts["grants"][0]["owner"] = json!("todo");
    parts
}

fn signed_at(parts: &Value, sequence: u64, from: i64, until: i64) -> String {
    let (issued_at, expires_at) = (UnixTime::from_secs(from), UnixTime::from_secs(until));
    let issue = Issue { revision: Some(format!("v{sequence}")), sequence, issued_at, expires_at };
    String::from_utf8(test_bundle_file(parts, &issue, &TestKey::es256().unwrap()).unwrap()).unwrap()
}

/// Good at `NOW`.
fn signed(parts: &Value, sequence: u64) -> String {
    signed_at(parts, sequence, NOW - 10, NOW + 600)
}

/// Good now.
fn signed_now(parts: &Value) -> String {
    let now = everycall::clock::now().secs();
    signed_at(parts, 7, now - 10, now + 600)
}

fn with_bundle(bundle: Value) -> Value {
    let mut config = config();
    config["bundle"] = bundle;
    if config["bundle"].get("inline").is_none() {
        config["bundle"]["keys"] = TestKey::es256().unwrap().public_jwks();
    }
    config
}

fn remote() -> Value {
    with_bundle(
        json!({"remote": {"cluster": "bundles", "host": "b.example", "path": "/b", "max_bytes": 100_000}}),
    )
}

/// The JSON of a check, and its exit code.
fn check(config: &Value, more: &[&str]) -> (Value, Output) {
    let output = everycall(&[&["check", "--json", "-"], more].concat(), &config.to_string());
    (output.json().remove(0), output)
}

fn places(result: &Value) -> Vec<String> {
    let of = |lint: &Value| format!("{} {}", lint["code"].as_str().unwrap(), lint["place"].as_str().unwrap());
    result["lints"].as_array().unwrap().iter().map(of).collect()
}

#[test]
fn a_check_looks_into_what_is_signed() {
    let found = |config: &Value| places(&check(config, &[]).0);
    let inline = found(&with_bundle(json!({"inline": odd()})));
    assert_eq!(inline, ["missing_owner bundle.inline.grants[0].owner", "negation_can_fail orders.rego:4"]);
    let (result, output) = check(&with_bundle(json!({"signed": signed_now(&odd())})), &[]);
    assert_eq!(
        places(&result),
        ["missing_owner bundle.signed.grants[0].owner", "negation_can_fail orders.rego:4"]
    );
    assert_eq!((output.code, &result["ok"], &result["grants"]), (1, &json!(false), &json!(1)));
    assert_eq!(result["unread"], json!([]));
    assert!(!output.err.contains("`bundle.signed`"), "{}", output.err);
    // What is not verified is not looked into.
    let tampered = signed_now(&odd()).replace("team", "teem").replace("todo", "tudu");
    let (result, _) = check(&with_bundle(json!({"signed": tampered})), &[]);
    assert_eq!((&result["errors"][0]["path"], result.get("lints")), (&json!("bundle.signed"), None));
    // What does not serve any more is told of.
    let old = signed(&config()["bundle"]["inline"], 1);
    let (result, output) = check(&with_bundle(json!({"signed": old})), &[]);
    assert_eq!(result["ok"], true);
    assert!(output.err.contains("`bundle.signed`: the bundle `v1` expired at"), "{}", output.err);
    assert!(output.err.contains("every request is refused"), "{}", output.err);
}

#[test]
fn a_check_looks_into_the_shadow() {
    let mut shadowed = config();
    for (bundle, place) in [
        (json!({"inline": odd()}), "shadow.inline"),
        (
            json!({"signed": signed_now(&odd()), "keys": TestKey::es256().unwrap().public_jwks()}),
            "shadow.signed",
        ),
    ] {
        shadowed["shadow"] = bundle;
        assert_eq!(
            places(&check(&shadowed, &[]).0)[..2],
            [
                format!("missing_owner {place}.grants[0].owner"),
                "negation_can_fail shadow: orders.rego:4".into()
            ]
        );
    }
}

#[test]
fn a_check_says_what_it_did_not_look_at() {
    let files = Files::new();
    let (result, output) = check(&remote(), &[]);
    assert_eq!((output.code, &result["unread"]), (0, &json!(["bundle.remote"])));
    assert!(
        output.err.contains("WARNING: the bundle of `bundle.remote` was not looked at: `--bundle FILE`"),
        "{}",
        output.err
    );
    let plain = everycall(&["check", "-"], &remote().to_string());
    assert!(plain.code == 0 && plain.out.contains("unread      bundle.remote"), "{}", plain.all());
    let mut both = remote();
    both["bundle"]["inline"] = odd();
    let (result, output) = check(&both, &[]);
    assert_eq!(places(&result)[0], "missing_owner bundle.inline.grants[0].owner");
    assert_eq!(result["unread"], json!(["bundle.remote"]));
    assert!(output.err.contains("not looked at, only what serves until its server"), "{}", output.err);
    // A file in its place.
    let file = files.put("b", &signed_now(&odd()));
    for config in [remote(), both] {
        let (result, output) = check(&config, &["--bundle", &file]);
        assert_eq!(
            places(&result),
            ["missing_owner bundle.remote.grants[0].owner", "negation_can_fail orders.rego:4"]
        );
        assert_eq!((output.code, &result["unread"], &result["grants"]), (1, &json!([]), &json!(1)));
        assert!(!output.err.contains("not looked at"), "{}", output.err);
    }
    let good = files.put("good", &signed_now(&config()["bundle"]["inline"]));
    assert_eq!(check(&remote(), &["--bundle", &good]).1.code, 0);
}

/// Names that the configuration does not have are no error of a bundle that is fetched: nobody is
/// elevated there, which is odd enough to be told.
#[test]
fn networks_that_a_fetched_bundle_names_may_be_unknown() {
    let now = everycall::clock::now();
    let mut parts = config()["bundle"]["inline"].clone();
    parts["grants"][0]["requires_elevation"] = json!(true);
    parts["elevations"] = json!([{
        "id": "e", "subject": "checkout", "grants": ["orders"], "approver": "a", "ticket": "T-1", "reason": "r",
        "valid_from": now.to_string(), "valid_until": UnixTime::from_secs(now.secs() + 60).to_string(), "networks": ["office"],
    }]);
    let files = Files::new();
    let file = files.put("b", &signed_now(&parts));
    let (result, output) = check(&remote(), &["--bundle", &file]);
    assert_eq!(
        places(&result),
        [
            "elevation_never_serves bundle.remote.elevations[0].grants[0]",
            "source_missing source",
            "elevation_missing bundle.remote.grants[0].requires_elevation",
            "allow_without_identity orders.rego:2"
        ],
        "{}",
        output.all()
    );
}

fn exceptions(config: &Value, file: &str) -> Output {
    let files = Files::new();
    let path = files.put("c.json", &config.to_string());
    everycall(
        &["exceptions", &path, "--bundle", &files.put("b", file), "--at", &NOW.to_string(), "--json"],
        "",
    )
}

#[test]
fn exceptions_are_those_of_the_file() {
    let mut parts = config()["bundle"]["inline"].clone();
    parts["exceptions"] = json!([{
        "id": "x", "owner": "o", "reason": "r", "compensating_control": "c",
        "valid_from": "2026-09-01T00:00:00Z", "valid_until": "2026-10-01T00:00:00Z",
    }]);
    let output = exceptions(&remote(), &signed(&parts, 7));
    assert_eq!(output.json()[0]["exceptions"][0]["id"], "x", "{}", output.err);
}

const POLICY: &str = "package everycall
decision := {\"allow\": true, \"reason\": \"read\"} if {
\tinput.request.method == \"GET\"
\tinput.request.headers[\"x-purpose\"][0] == \"fulfilment\"
}
";

/// A directory with cases; `full`: for each condition one that notices when it is left out.
fn suite(bundle: Value, full: bool) -> Files {
    let case = |name: &str, method: &str, purpose: &str, decision: &str| {
        json!({
            "name": name,
            "request": {"method": method, "host": "orders.example", "path": "/orders/o-1", "headers": [["x-purpose", purpose]]},
            "token": {"issuer": "https://id.example", "claims": {"sub": "checkout"}},
            "expect": {"decision": decision},
        })
    };
    let mut cases = vec![case("a", "GET", "fulfilment", "allow"), case("b", "GET", "fun", "deny")];
    cases.extend(full.then(|| case("c", "POST", "fulfilment", "deny")));
    let files = Files::new();
    files.put("everycall.yaml", &with_bundle(bundle).to_string());
    files.put("cases/orders.json", &json!({"about": "orders", "cases": cases}).to_string());
    files
}

fn test(files: &Files, more: &[&str]) -> Output {
    let (directory, at) = (files.name(""), NOW.to_string());
    everycall(&[&["test", &directory, "--at", &at, "--json", "--mutate"], more].concat(), "")
}

#[test]
fn cases_cover_what_is_signed_and_what_is_on_a_server() {
    let mut parts = config()["bundle"]["inline"].clone();
    parts["policies"]["orders.rego"] = json!(POLICY);
    let remote = remote()["bundle"].clone();
    for full in [true, false] {
        let inline = test(&suite(json!({"inline": parts}), full), &[]);
        let expected = &inline.json()[0];
        assert_eq!((inline.code, &expected["coverage"]["rules"]), (i32::from(!full), &json!(1)));
        assert_eq!(expected["mutation"]["survivors"].as_array().unwrap().is_empty(), full, "{expected}");
        let signed_one = test(&suite(json!({"signed": signed(&parts, 7)}), full), &[]);
        assert_eq!((signed_one.code, &signed_one.json()[0]), (inline.code, expected), "{}", signed_one.err);
        let files = suite(remote.clone(), full);
        let file = files.put("b", &signed(&parts, 7));
        let pulled = test(&files, &["--bundle", &file]);
        assert_eq!((pulled.code, &pulled.json()[0]), (inline.code, expected), "{}", pulled.err);
    }
    // Nothing is covered where nothing is known.
    let output = test(&suite(remote.clone(), true), &[]);
    assert_eq!((output.code, output.out.as_str()), (2, ""));
    assert!(output.err.contains("`bundle.remote`") && output.err.contains("--bundle FILE"), "{}", output.err);
    let mut both = remote;
    both["inline"] = parts.clone();
    let mut config = with_bundle(both);
    config["bundle"]["keys"] = TestKey::es256().unwrap().public_jwks();
    let files = suite(json!({"inline": parts}), true);
    files.put("everycall.yaml", &config.to_string());
    let output = test(&files, &[]);
    assert_eq!((output.code, &output.json()[0]["unread"]), (0, &json!(["bundle.remote"])));
    assert!(output.err.contains("only what serves until"), "{}", output.err);
    // What the filter would not serve by is no bundle to test.
    let old = suite(json!({"signed": signed_at(&parts, 7, NOW - 600, NOW)}), true);
    let output = test(&old, &[]);
    assert!(
        output.code == 1 && output.err.contains("bundle.signed: not taken: the bundle `v7` expired"),
        "{}",
        output.err
    );
}

#[test]
fn a_bundle_file_has_the_parts_that_it_was_made_of() {
    let directory = concat!(env!("CARGO_MANIFEST_DIR"), "/../../policies");
    let mut parts = Value::Object(everycall::load::bundle_directory(directory.as_ref()).unwrap());
    parts["rule_sets"] = json!({"orders": {"shadow": "orders_next"}});
    // More than a line, cut at several levels.
    let many =
        |count: usize| -> Value { (0..count).map(|n| (format!("k{n}"), json!(["x".repeat(90)]))).collect() };
    parts["data"]["large"] = json!({"a": many(900), "b": {"c": many(500), "d": null}, "e": {}});
    assert_eq!(bundle_parts(signed(&parts, 1).as_bytes()), Ok(parts.as_object().unwrap().clone()));
    assert!(bundle_parts(b"head\n{\"grand\":{}}\n").unwrap_err().contains("line 2: `grand`"));
    assert!(bundle_parts(b"head\nnot json\n").unwrap_err().contains("line 2: "));
}
