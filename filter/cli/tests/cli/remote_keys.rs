//! `--keys ISSUER=FILE`: configurations whose keys are on a server, tried without it.

use everycall::mint::TestKey;
use serde_json::{json, Value};

use crate::common::{config, everycall, request, token, Files, Output, NOW};

/// Files with a configuration whose keys are on a server, and the server's set.
fn files() -> Files {
    let files = Files::new();
    let mut config = config();
    config["issuers"][0]["keys"] =
        json!({"remote": {"cluster": "id", "host": "id.example", "path": "/keys"}});
    config["issuers"][0]["algorithms"] = json!(["ES256"]);
    let mut inline = crate::common::config()["issuers"][0].clone();
    inline["issuer"] = json!("https://inline.example");
    config["issuers"].as_array_mut().unwrap().push(inline);
    files.put("config.json", &config.to_string());
    files.put("keys.json", &TestKey::es256().unwrap().public_jwks().to_string());
    files
}

/// What both commands say of a good token.
fn both(files: &Files, more: &[&str]) -> [Output; 2] {
    let (config, at) = (files.name("config.json"), NOW.to_string());
    let common = ["--config", &config, "--at", &at];
    let line = request("GET", json!([["x-purpose", "fulfilment"]]), Some(&token(json!({}))));
    [
        everycall(&[&["token", "verify"], &common[..], more].concat(), &token(json!({}))),
        everycall(&[&["decide"], &common[..], more].concat(), &line),
    ]
}

fn reasons(outputs: &[Output; 2]) -> [Value; 2] {
    outputs.each_ref().map(|output| output.json()[0]["reason"].clone())
}

#[test]
fn a_file_stands_in_for_the_server() {
    let files = files();
    assert_eq!(reasons(&both(&files, &[])), [json!("keys_unavailable"), json!("keys_unavailable")]);
    let keys = format!("https://id.example={}", files.name("keys.json"));
    let outputs = both(&files, &["--keys", &keys]);
    assert_eq!(reasons(&outputs), [Value::Null, json!("allowed")], "{}", outputs[0].all());
    assert_eq!(outputs.each_ref().map(|output| output.code), [0, 0]);

    // As in the filter: what this issuer may not sign with is left out, and said.
    let set = json!({"keys": [
        TestKey::rs256().unwrap().public_jwk(), {"kty": "?"}, TestKey::es256().unwrap().public_jwk()]});
    files.put("keys.json", &set.to_string());
    let outputs = both(&files, &["--keys", &keys]);
    assert_eq!(reasons(&outputs), [Value::Null, json!("allowed")], "{}", outputs[0].all());
    assert!(outputs[0].err.contains("keys[0]") && outputs[0].err.contains("keys[1]"), "{}", outputs[0].err);
}

#[test]
fn the_wrong_set_refuses() {
    let files = files();
    let mut other = TestKey::foreign(TestKey::es256().unwrap().algorithm()).unwrap().public_jwk();
    other["kid"] = json!("test-only-es256");
    let keys =
        format!("https://id.example={}", files.put("keys.json", &json!({"keys": [other]}).to_string()));
    let expected = [json!("token_signature"), json!("token_signature")];
    assert_eq!(reasons(&both(&files, &["--keys", &keys])), expected);
}

#[test]
fn mistakes_are_named() {
    let files = files();
    let good = files.name("keys.json");
    let put = |name: &str, text: &str| format!("https://id.example={}", files.put(name, text));
    let mut private = TestKey::es256().unwrap().public_jwk();
    private["d"] = json!("AAAA");
    for (keys, code, message) in [
        (format!("https://other.example={good}"), 2, "no issuer `https://other.example`"),
        (format!("https://inline.example={good}"), 2, "in the configuration"),
        (format!("https://id.example={}", files.name("absent.json")), 2, "absent.json` cannot be read"),
        ("https://id.example".to_owned(), 2, "expected an issuer, `=` and a file"),
        ("https://id.example=".to_owned(), 2, "expected an issuer, `=` and a file"),
        (put("text.json", "{"), 1, "text.json`: not a strict JSON object"),
        (put("list.json", "[]"), 1, "list.json`: "),
        (put("empty.json", r#"{"keys": []}"#), 1, "empty.json`: no usable key"),
        (put("private.json", &json!({"keys": [private]}).to_string()), 1, "private.json`: no usable key"),
    ] {
        for output in both(&files, &["--keys", &keys]) {
            assert_eq!((output.code, output.out.as_str()), (code, ""), "{keys}: {}", output.err);
            assert!(output.err.contains(message), "{keys}: {}", output.err);
        }
    }
}
