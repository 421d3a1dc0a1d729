//! `everycall check`: exit codes, and every error with its path.

use serde_json::{json, Value};

use crate::common::{config, everycall, Files};

/// The errors of the good configuration with a change.
fn errors(change: impl Fn(&mut Value)) -> Vec<String> {
    let mut config = config();
    change(&mut config);
    let files = Files::new();
    let output = everycall(&["check", &files.put("c.json", &config.to_string())], "");
    assert_eq!((output.code, output.out.as_str()), (1, ""), "{}", output.err);
    output.err.lines().map(str::to_owned).collect()
}

#[test]
fn a_good_configuration_is_summarised() {
    let files = Files::with_config();
    let output = everycall(&["check", &files.name("config.json")], "");
    assert_eq!(output.code, 0);
    for text in ["cli-test", "https://id.example", "everycall"] {
        assert!(output.out.contains(text), "{}", output.out);
    }
    let output = everycall(&["check", "--json", "-"], &config().to_string());
    let result = output.json().remove(0);
    assert_eq!((output.code, &result["ok"], &result["grants"]), (0, &json!(true), &json!(1)));
    assert_eq!(result["rule_sets"], json!(["everycall"]));
}

#[test]
fn a_test_key_is_warned_of_whatever_its_name_is() {
    let mut config = config();
    config["issuers"][0]["keys"]["inline"]["keys"][0]["kid"] = json!("production-2026");
    let output = everycall(&["check", "-"], &config.to_string());
    assert_eq!(output.code, 0);
    assert!(
        output.err.contains("WARNING: issuers[0].keys.inline.keys[0] is `test-only-es256`"),
        "{}",
        output.err
    );
}

#[test]
fn lints_are_told_and_errors_among_them_count() {
    let with = |policy: &str| {
        let mut config = config();
        config["bundle"]["inline"]["policies"]["orders.rego"] = json!(policy);
        config.to_string()
    };
    let negation =
        with("package everycall\ndecision := {\"allow\": true} if not input.identity.claims.suspended\n");
    let output = everycall(&["check", "-"], &negation);
    assert_eq!(output.code, 1);
    assert!(
        output.err.contains("orders.rego:2: error: `not` holds where what it denies fails: `input.identity.claims.suspended` may be absent (orders.rego:2)"),
        "{}",
        output.err
    );
    assert!(output.err.contains("(negation_can_fail)"), "{}", output.err);
    let result = everycall(&["check", "--json", "-"], &negation).json().remove(0);
    assert_eq!((&result["ok"], &result["lints"][0]["code"]), (&json!(false), &json!("negation_can_fail")));
    assert_eq!(result["lints"][0]["place"], "orders.rego:2");
    let warning =
        with("package everycall\ndecision := {\"allow\": true} if input.request.method == \"GET\"\n");
    let output = everycall(&["check", "-"], &warning);
    assert!(output.code == 0 && output.err.contains("orders.rego:2: warning: "), "{}", output.all());
}

#[test]
fn one_mistake_is_one_line_with_its_path() {
    let cases: Vec<(Vec<String>, &str, &str)> = vec![
        (errors(|c| c["instanse"] = json!("x")), "instanse: ", "unknown field `instanse`"),
        (errors(|c| c["issuers"][0]["audience"] = json!("x")), "issuers[0].audience: ", "unknown field"),
        (
            errors(|c| c["issuers"][0]["audiences"] = json!("x")),
            "issuers[0].audiences: ",
            "expected a sequence",
        ),
        (
            errors(|c| drop(c["issuers"][0].as_object_mut().unwrap().remove("issuer"))),
            "issuers[0].issuer: ",
            "missing",
        ),
        (errors(|c| c["issuers"][0]["audiences"] = json!([])), "issuers[0].audiences: ", "at least one"),
        (
            errors(|c| c["issuers"][0]["keys"]["inline"] = json!({"keys": []})),
            "issuers[0].keys.inline.keys: ",
            "no key",
        ),
        (
            errors(|c| c["issuers"][0]["keys"]["inline"]["keys"][0]["x"] = json!("AAAA")),
            "issuers[0].keys.inline.keys[0].x: ",
            "expected 32",
        ),
        (
            errors(|c| {
                c["bundle"]["inline"]["policies"]["orders.rego"] =
                    json!("package everycall\n\ndecision := {\n")
            }),
            "bundle.inline.policies[\"orders.rego\"]: ",
            "orders.rego:",
        ),
        (
            errors(|c| {
                c["bundle"]["inline"]["policies"]["orders.rego"] = json!("package everycall\n\nx := 1\n")
            }),
            "bundle.inline.grants[0].policy: ",
            "everycall",
        ),
        (
            errors(|c| drop(c["bundle"]["inline"]["grants"][0].as_object_mut().unwrap().remove("owner"))),
            "bundle.inline.grants[0].owner: ",
            "missing field `owner`",
        ),
        (
            errors(|c| {
                let grant = c["bundle"]["inline"]["grants"][0].clone();
                c["bundle"]["inline"]["grants"].as_array_mut().unwrap().push(grant);
            }),
            "bundle.inline.grants[1].id: ",
            "duplicate grant id `orders`",
        ),
        (
            errors(|c| c["pdps"]["default"]["timeout_ms"] = json!(0)),
            "pdps.default.timeout_ms: ",
            "out of range",
        ),
    ];
    for (lines, path, message) in cases {
        assert_eq!(lines.len(), 1, "{lines:?}");
        assert!(lines[0].starts_with(path) && lines[0].contains(message), "{path}: {lines:?}");
    }
}

#[test]
fn rego_errors_say_file_line_and_column() {
    let lines = errors(|c| {
        c["bundle"]["inline"]["policies"]["orders.rego"] =
            json!("package everycall\n\ndecision := {\"allow\" true}\n");
    });
    assert!(lines[0].contains("orders.rego:3:"), "{lines:?}");
}

#[test]
fn several_mistakes_are_reported_at_once() {
    let change = |c: &mut Value| {
        c["version"] = json!(2);
        c["issuers"][0]["audiences"] = json!([]);
        let grants = c["bundle"]["inline"]["grants"].as_array_mut().unwrap();
        grants.push(grants[0].clone());
        grants[0]["owner"] = json!(" ");
        grants[1]["colour"] = json!("red");
        c["limits"] = json!({"instructions": 1});
    };
    let lines = errors(change);
    for path in [
        "version: ",
        "issuers[0].audiences: ",
        "bundle.inline.grants[0].owner: ",
        "bundle.inline.grants[1].colour: ",
        "limits.instructions: ",
    ] {
        assert!(lines.iter().any(|line| line.starts_with(path)), "{path} in {lines:?}");
    }
    let mut config = config();
    change(&mut config);
    let output = everycall(&["check", "--json", "-"], &config.to_string());
    let result = output.json().remove(0);
    assert_eq!((output.code, &result["ok"]), (1, &json!(false)));
    assert_eq!(result["errors"].as_array().unwrap().len(), lines.len());
    assert_eq!(result["errors"][0]["path"], "limits.instructions");
}

#[test]
fn duplicate_keys_are_refused_in_json_and_in_yaml() {
    let files = Files::new();
    for (name, text) in
        [("c.json", r#"{"version": 1, "version": 1}"#), ("c.yaml", "version: 1\nversion: 1\n")]
    {
        let output = everycall(&["check", &files.put(name, text)], "");
        assert_eq!(output.code, 1);
        assert!(output.err.contains(name) && output.err.contains("duplicate"), "{}", output.err);
    }
}

#[test]
fn what_cannot_be_looked_at_is_exit_code_2() {
    let files = Files::new();
    for args in
        [&["check", &files.name("absent.yaml")][..], &["check"], &["chekc", "x"], &["check", "--colour", "x"]]
    {
        assert_eq!(everycall(args, "").code, 2, "{args:?}");
    }
}

#[test]
fn a_bundle_is_read_from_a_directory_and_keys_from_a_file() {
    let files = Files::new();
    let mut config = config();
    let inline = config["bundle"]["inline"].clone();
    files.put("bundle/sub/orders.rego", inline["policies"]["orders.rego"].as_str().unwrap());
    files.put("bundle/orders_test.rego", "not rego");
    files.put("bundle/.hidden/x.rego", "not rego");
    files.put("bundle/data.yaml", "limit: 50\n");
    files.put("bundle/grants.yaml", &inline["grants"].to_string());
    files.put("jwks.json", &config["issuers"][0]["keys"]["inline"].to_string());
    config["bundle"] = json!({"directory": "bundle"});
    config["issuers"][0]["keys"] = json!({"file": "jwks.json"});
    let path = files.put("config.yaml", &config.to_string());
    let output = everycall(&["render", "config", "--config", &path], "");
    assert_eq!(output.code, 0, "{}", output.err);
    let rendered: Value = serde_json::from_str(&output.out).unwrap();
    let policies = rendered["bundle"]["inline"]["policies"].as_object().unwrap();
    assert_eq!(policies.keys().collect::<Vec<_>>(), ["sub/orders.rego"]);
    assert_eq!(rendered["bundle"]["inline"]["data"], json!({"limit": 50}));
    assert_eq!(rendered["issuers"], crate::common::config()["issuers"]);

    let wrong = |name: &str, text: Option<&str>, path: &str, message: &str| {
        let before = std::fs::read(files.path(name)).ok();
        match text {
            Some(text) => drop(files.put(name, text)),
            None => std::fs::remove_file(files.path(name)).unwrap(),
        }
        let output = everycall(&["check", &files.name("config.yaml")], "");
        assert_eq!(output.code, 1, "{}", output.err);
        assert!(output.err.starts_with(path) && output.err.contains(message), "{}", output.err);
        match before {
            Some(before) => std::fs::write(files.path(name), before).unwrap(),
            None => std::fs::remove_file(files.path(name)).unwrap(),
        }
    };
    // Links stay within the directory, as those of a mounted volume do.
    files.put("elsewhere.rego", "package everycall.elsewhere\ndecision := {\"allow\": true}\n");
    std::fs::create_dir_all(files.path("bundle/..data")).unwrap();
    std::fs::rename(files.path("bundle/data.yaml"), files.path("bundle/..data/data.yaml")).unwrap();
    std::os::unix::fs::symlink("..data/data.yaml", files.path("bundle/data.yaml")).unwrap();
    assert_eq!(everycall(&["check", &path], "").code, 0);
    for (name, to) in [
        ("bundle/linked.rego", "../elsewhere.rego"),
        ("bundle/linked", "../../"),
        ("bundle/elevations.yaml", "/etc/hostname"),
    ] {
        std::os::unix::fs::symlink(to, files.path(name)).unwrap();
        let output = everycall(&["check", &path], "");
        assert_eq!(output.code, 1, "{name}: {}", output.err);
        assert!(output.err.contains("leads out of the bundle's directory"), "{}", output.err);
        std::fs::remove_file(files.path(name)).unwrap();
    }

    wrong("jwks.json", None, "issuers[0].keys.file: ", "jwks.json");
    wrong("jwks.json", Some("{"), "configuration: ", "jwks.json");
    wrong("bundle/grants.yaml", None, "bundle.directory: ", "grants.yaml");
    wrong("bundle/grants.yaml", Some("{}"), "bundle.directory: ", "not a list");
    wrong("bundle/data.json", Some("{}"), "bundle.directory: ", "both");
    wrong("bundle/data.yaml", Some("[]"), "bundle.directory: ", "not an object");
    wrong(
        "bundle/sub/orders.rego",
        Some("package everycall\nx :="),
        "bundle.inline.policies",
        "sub/orders.rego:2:",
    );
}

#[test]
fn every_subcommand_has_help_with_an_example() {
    for command in [
        &["check"][..],
        &["decide"],
        &["token", "verify"],
        &["key", "new"],
        &["exceptions"],
        &["render", "config"],
        &["render", "envoy"],
        &["render", "istio"],
    ] {
        let output = everycall(&[command, &["--help"]].concat(), "");
        assert!(output.code == 0 && output.out.contains("Example:\n"), "{command:?}");
    }
}

/// Who may sign is told of like who may issue: anybody holds the other half of a test key.
#[test]
fn test_keys_that_sign_are_told_of() {
    let keys = everycall::mint::TestKey::es256().unwrap().public_jwks();
    let mut config = config();
    let place = "WARNING: revocations.keys.keys[0] is `test-only-es256`, a TEST ONLY key";
    assert!(!everycall(&["check", "-"], &config.to_string()).err.contains(place));
    config["revocations"] =
        json!({"keys": keys, "remote": {"cluster": "c", "host": "r.example", "path": "/r"}});
    config["shadow"] = json!({"inline": config["bundle"]["inline"]});
    config["bundle"] = json!({"keys": keys, "remote": {"cluster": "c", "host": "r.example", "path": "/b"}});
    let output = everycall(&["check", "-"], &config.to_string());
    assert!(
        output.err.contains(place) && output.err.contains("WARNING: bundle.keys.keys[0]"),
        "{}",
        output.err
    );
}
