//! `everycall bundle`: what is built verifies and decides, and what is not good is not written.

use serde_json::{json, Value};

use crate::common::{config, everycall, request, token, Files, NOW};

/// A directory with the good bundle, a key, and its public half.
fn world() -> (Files, String) {
    let files = Files::new();
    let inline = config()["bundle"]["inline"].clone();
    files.put("policies/orders.rego", inline["policies"]["orders.rego"].as_str().unwrap());
    files.put("policies/grants.yaml", &inline["grants"].to_string());
    let key = files.name("key.json");
    let output = everycall(&["bundle", "keygen", "-o", &key], "");
    assert_eq!((output.code, output.err.as_str()), (0, ""));
    files.put("jwks.json", &output.out);
    let directory = files.name("policies");
    (files, directory)
}

fn build(files: &Files, directory: &str, more: &[&str]) -> crate::common::Output {
    let (at, key, file) = (NOW.to_string(), files.name("key.json"), files.name("b"));
    let mut arguments =
        vec!["bundle", "build", directory, "-o", &file, "--sign-key", &key, "--at", &at, "--json"];
    arguments.extend(more);
    everycall(&arguments, "")
}

fn verify(files: &Files, at: i64) -> crate::common::Output {
    let (file, keys) = (files.name("b"), files.name("jwks.json"));
    everycall(&["bundle", "verify", &file, "--keys", &keys, "--at", &at.to_string(), "--json"], "")
}

#[test]
fn what_is_built_verifies_shows_and_decides() {
    let (files, directory) = world();
    let built = build(&files, &directory, &["--sequence", "7", "--revision", "v7", "--expires-in", "2h"]);
    assert_eq!((built.code, built.err.as_str()), (0, ""));
    let built = &built.json()[0];
    assert_eq!((&built["sequence"], &built["revision"]), (&json!(7), &json!("v7")));
    assert_eq!((&built["issued_at"], &built["expires_at"]), (&json!(NOW), &json!(NOW + 7_200)));
    assert_eq!(built["parts"], json!({"policy": 1, "grant": 1}));
    assert_eq!(verify(&files, NOW).json()[0]["ok"], true);

    let shown = everycall(&["bundle", "show", &files.name("b")], "");
    assert!(
        shown.code == 0 && shown.out.contains("revision    v7\n") && shown.out.contains("grant       1\n"),
        "{}",
        shown.out
    );

    let mut config = config();
    config["bundle"] = json!({"file": "b", "keys": {"file": "jwks.json"}});
    let config = files.put("c.json", &config.to_string());
    let line = request("GET", json!([["x-purpose", "fulfilment"]]), Some(&token(json!({}))));
    let output = everycall(&["decide", "--config", &config, "--at", &NOW.to_string()], &line);
    let record = &output.json()[0];
    assert_eq!(
        (&record["decision"], &record["bundle"]["sequence"]),
        (&json!("allow"), &json!(7)),
        "{}",
        output.err
    );
    let late = everycall(&["decide", "--config", &config, "--at", &(NOW + 7_200).to_string()], &line);
    assert_eq!(late.json()[0]["reason"], "bundle_stale");
    let rendered = everycall(&["render", "config", "--config", &config], "");
    let rendered: Value = serde_json::from_str(&rendered.out).unwrap();
    assert!(rendered["bundle"]["signed"].is_string() && rendered["bundle"]["keys"]["keys"].is_array());
    assert_eq!(rendered["bundle"].get("file"), None);
}

#[test]
fn one_content_is_one_file_and_numbers_grow_by_themselves() {
    let (files, directory) = world();
    let first = build(&files, &directory, &[]).json().remove(0);
    let bytes = std::fs::read(files.name("b")).unwrap();
    assert_eq!(first["sequence"], NOW);
    assert_eq!(first["revision"].as_str().unwrap().len(), 16);
    assert_eq!(first["expires_at"], NOW + 86_400);
    assert_eq!(build(&files, &directory, &[]).json().remove(0), first);
    assert_eq!(std::fs::read(files.name("b")).unwrap(), bytes);
}

#[test]
fn a_bad_bundle_is_not_written() {
    let (files, directory) = world();
    assert_eq!(build(&files, &directory, &[]).code, 0);
    let before = std::fs::read(files.name("b")).unwrap();
    files.put("policies/orders.rego", "package everycall\n\ndecision := {\n");
    let output = build(&files, &directory, &["--sequence", "9"]);
    assert!(output.code == 1 && output.err.contains("orders.rego:"), "{}", output.err);
    assert_eq!(std::fs::read(files.name("b")).unwrap(), before);
    for (more, expected) in [
        (["--revision", "a b"], "revision"),
        (["--expires-in", "1y"], "24h"),
        (["--expires-in", "0h"], "span"),
        (["--key-id", ""], "key's id"),
    ] {
        let output = build(&files, &directory, &more);
        assert!(output.code > 0 && output.err.contains(expected), "{more:?}: {}", output.err);
    }
    let missing = build(&files, &files.name("nowhere"), &[]);
    assert!(missing.code > 0 && missing.err.contains("nowhere"), "{}", missing.err);
}

#[test]
fn the_reference_bundle_can_be_signed() {
    let (files, _) = world();
    let directory = concat!(env!("CARGO_MANIFEST_DIR"), "/../../policies");
    let built = build(&files, directory, &[]);
    assert_eq!(built.code, 0, "{}", built.err);
    assert_eq!(built.json()[0]["parts"]["elevation"], 2);
}

#[test]
fn verify_says_what_is_wrong() {
    let (files, directory) = world();
    assert_eq!(build(&files, &directory, &["--expires-in", "60s"]).code, 0);
    let fault = |at: i64| {
        let output = verify(&files, at);
        (output.code, output.json()[0]["fault"].as_str().unwrap_or("none").to_owned())
    };
    assert_eq!(fault(NOW + 59), (0, "none".into()));
    assert_eq!(fault(NOW + 60), (1, "expired".into()));
    assert_eq!(fault(NOW - 61), (1, "not_yet_valid".into()));
    let good = std::fs::read_to_string(files.name("b")).unwrap();
    files.put("b", &good.replace("team-orders", "team-others"));
    assert_eq!(fault(NOW), (1, "digest".into()));
    files.put("b", &good[..good.len() - 3]);
    assert_eq!(fault(NOW), (1, "digest".into()));
    files.put("b", "<html>\n");
    assert_eq!(fault(NOW), (1, "malformed".into()));
    files.put("b", &good);
    let other = everycall(&["bundle", "keygen", "-o", &files.name("other.json"), "--alg", "EdDSA"], "");
    files.put("jwks.json", &other.out);
    assert_eq!(fault(NOW), (1, "signature".into()));
    let plain = everycall(
        &["bundle", "verify", &files.name("b"), "--keys", &files.name("jwks.json"), "--at", &NOW.to_string()],
        "",
    );
    assert!(plain.code == 1 && plain.err.starts_with("line 1: "), "{}", plain.err);
}

#[test]
fn a_key_is_for_its_owner_and_never_overwritten() {
    use std::os::unix::fs::PermissionsExt as _;
    let (files, _) = world();
    let path = files.name("key.json");
    assert_eq!(std::fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
    let before = std::fs::read_to_string(&path).unwrap();
    let public = std::fs::read_to_string(files.name("jwks.json")).unwrap();
    let secret = serde_json::from_str::<Value>(&before).unwrap()["d"].as_str().unwrap().to_owned();
    assert!(!public.contains(&secret) && !public.contains("\"d\""));
    assert_eq!(everycall(&["bundle", "keygen", "-o", &path], "").code, 2);
    assert_eq!(std::fs::read_to_string(&path).unwrap(), before);
}
