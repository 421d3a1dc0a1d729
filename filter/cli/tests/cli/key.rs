//! `everycall key new`: the key opens what its record stands for, and the record tells nothing of it.

use serde_json::{json, Value};

use crate::common::{config, everycall, request, Files, NOW};

const NEW: [&str; 8] =
    ["key", "new", "--id", "reports", "--subject", "legacy:reports", "--exception", "until-june"];

/// A configuration with these records.
fn with_records(records: Value) -> Value {
    let mut config = config();
    config["api_keys"] = records;
    let inline = &mut config["bundle"]["inline"];
    inline["exceptions"] = json!([{
        "id": "until-june", "owner": "team-reports", "reason": "an old tool", "compensating_control": "read only",
        "valid_from": "2026-09-01T00:00:00Z", "valid_until": "2026-11-01T00:00:00Z",
    }]);
    inline["grants"][0]["subject"] = json!("legacy:reports");
    inline["grants"][0]["kinds"] = json!(["legacy"]);
    config
}

#[test]
fn a_printed_key_opens_what_its_printed_record_stands_for() {
    let output = everycall(&NEW, "");
    assert_eq!((output.code, output.err.as_str()), (0, ""));
    assert!(output.out.contains("can't be shown again"));
    let key = output.out.lines().find(|line| line.starts_with("ek_")).unwrap();
    let (_, yaml) = output.out.split_once("`api_keys:`.\n").unwrap();
    let records: Value = serde_yaml_ng::from_str(yaml).unwrap();
    let secret = key.strip_prefix("ek_reports_").unwrap();
    assert_eq!((secret.len(), output.out.matches(secret).count()), (43, 1));
    assert!(!yaml.contains(&secret[..8]) && !yaml.contains(&secret[35..]), "{yaml}");

    let files = Files::new();
    let config = files.put("c.json", &with_records(records).to_string());
    let decide = |key: &str| {
        let line = request("GET", json!([["x-purpose", "fulfilment"]]), Some(key));
        let at = NOW.to_string();
        let output = everycall(&["decide", "--config", &config, "--at", &at], &line);
        assert!(!output.all().contains(secret));
        output.json().remove(0)
    };
    let record = decide(key);
    assert_eq!((&record["decision"], &record["identity"]["id"]), (&json!("allow"), &json!("legacy:reports")));
    assert_eq!(record["exception"]["id"], "until-june");
    let line = request("GET", json!([["x-purpose", "fulfilment"]]), Some(key));
    let explained =
        everycall(&["decide", "--config", &config, "--at", &NOW.to_string(), "--explain"], &line).out;
    assert!(explained.contains("by an API key, key `reports`"), "{explained}");
    assert!(
        explained.contains("\n  exception   `until-june`: ") && explained.contains("made up for by: "),
        "{explained}"
    );
    let changed = if secret.starts_with('A') { "B" } else { "A" };
    for other in [
        format!("ek_reports_{changed}{}", &secret[1..]),
        format!("ek_reports_{secret}A"),
        format!("ek_other_{secret}"),
    ] {
        assert_eq!(decide(&other)["reason"], "api_key_invalid");
    }
}

#[test]
fn no_two_keys_are_alike() {
    let made = || {
        let output = everycall(&[&NEW[..], &["--json"]].concat(), "");
        assert_eq!(output.code, 0);
        output.json().remove(0)
    };
    let (one, other) = (made(), made());
    assert_eq!(one.as_object().unwrap().keys().collect::<Vec<_>>(), ["key", "record"]);
    assert_ne!(one["key"], other["key"]);
    for member in ["salt", "hash"] {
        assert_ne!(one["record"][member], other["record"][member]);
    }
    assert_eq!(one["record"]["exception"], "until-june");
    let secret = one["key"].as_str().unwrap().strip_prefix("ek_reports_").unwrap();
    assert!(!one["record"].to_string().contains(secret));
    let both = with_records(json!([one["record"]]));
    assert_eq!(everycall(&["check", "-"], &both.to_string()).code, 0);
}

#[test]
fn what_a_configuration_would_refuse_is_refused_here() {
    for (name, value) in [
        ("--id", ""),
        ("--id", "Reports"),
        ("--id", "a_b"),
        ("--subject", " "),
        ("--subject", "spiffe://shop.example/x"),
        ("--exception", ""),
    ] {
        let mut args = NEW.map(str::to_owned);
        let at = args.iter().position(|arg| arg == name).unwrap();
        args[at + 1] = value.to_owned();
        let args: Vec<&str> = args.iter().map(String::as_str).collect();
        let output = everycall(&args, "");
        assert_eq!((output.code, output.out.as_str()), (2, ""), "{name} {value}");
    }
    assert_eq!(everycall(&NEW[..6], "").code, 2);
}
