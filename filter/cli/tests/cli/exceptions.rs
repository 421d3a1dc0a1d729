//! `everycall exceptions`, and what `everycall check` says of them.

use everycall::clock;
use everycall_core::UnixTime;
use serde_json::{json, Value};

use crate::common::{config, everycall, Files};

const DAY: i64 = 86_400;

/// A configuration with exceptions that end so many seconds after `now`.
fn ending(now: i64, ends: &[(&str, i64)]) -> Value {
    let mut config = config();
    let instant = |offset: i64| UnixTime::from_secs(now + offset).to_string();
    let exceptions = ends.iter().map(|(id, end)| {
        json!({
            "id": id, "owner": format!("owner-of-{id}"), "reason": "r", "compensating_control": "one network\u{1b}",
            "valid_from": instant(end - 30 * DAY), "valid_until": instant(*end),
        })
    });
    config["bundle"]["inline"]["exceptions"] = exceptions.collect();
    let zeros = "A".repeat(43);
    let key = |id: &str| json!({"id": id, "subject": format!("legacy:{id}"), "salt": zeros, "hash": zeros, "exception": ends[0].0});
    config["api_keys"] = json!([key("one"), key("two")]);
    config
}

#[test]
fn exceptions_are_listed_soonest_expiry_first() {
    let now = 1_790_000_000;
    let config = ending(now, &[("later", 20 * DAY + 1), ("soon", DAY - 1), ("future", 40 * DAY)]).to_string();
    let at = now.to_string();
    let output = everycall(&["exceptions", "-", "--at", &at], &config);
    assert_eq!((output.code, output.err.as_str()), (0, ""), "{}", output.out);
    let lines: Vec<&str> = output.out.lines().collect();
    let cells = |line: &str| -> Vec<String> {
        line.split("  ").map(str::trim).filter(|cell| !cell.is_empty()).map(str::to_owned).collect()
    };
    assert_eq!(
        cells(lines[0]),
        ["id", "valid until", "days left", "owner", "API keys", "compensating control"]
    );
    assert_eq!(
        cells(lines[1]),
        ["soon", "2026-09-22T14:13:19Z", "0", "owner-of-soon", "none", "one network\\u{1b}"]
    );
    assert_eq!(cells(lines[2])[2..5], ["20", "owner-of-later", "one (legacy:one), two (legacy:two)"]);
    assert_eq!(cells(lines[3])[2], "from 2026-10-01T14:13:20Z");
    assert_eq!(lines.len(), 4);

    let later = (now + 2 * DAY).to_string();
    let output = everycall(&["exceptions", "-", "--at", &later], &config);
    assert_eq!(output.code, 1);
    assert_eq!(cells(output.out.lines().nth(1).unwrap())[2], "expired");
    let output = everycall(&["exceptions", "-", "--at", &later, "--json"], &config);
    let list = output.json().remove(0);
    assert_eq!((output.code, list["exceptions"].as_array().unwrap().len()), (1, 3));
    assert_eq!(
        (&list["exceptions"][0]["expired"], &list["exceptions"][0]["days_left"]),
        (&json!(true), &json!(-2))
    );
    assert_eq!(list["exceptions"][1]["api_keys"][1], json!({"id": "two", "subject": "legacy:two"}));
    // `valid_until` itself is too late.
    let end = (now + DAY - 1).to_string();
    assert_eq!(everycall(&["exceptions", "-", "--at", &end], &config).code, 1);
}

#[test]
fn no_exceptions_are_fine_and_bad_configurations_are_not() {
    let output = everycall(&["exceptions", "-"], &config().to_string());
    assert_eq!((output.code, output.out.as_str()), (0, "no exceptions\n"));
    let output = everycall(&["exceptions", "-", "--json"], &config().to_string());
    assert_eq!(output.json(), [json!({"exceptions": []})]);
    let output = everycall(&["exceptions", "-"], "{}");
    assert_eq!((output.code, output.out.as_str()), (1, ""));
    assert_eq!(everycall(&["exceptions", &Files::new().name("absent.yaml")], "").code, 2);
}

#[test]
fn a_check_warns_of_what_has_ended_or_soon_will() {
    let now = clock::now().secs();
    let config = ending(now, &[("over", -DAY), ("soon", 6 * DAY), ("later", 20 * DAY)]);
    let output = everycall(&["check", "-"], &config.to_string());
    assert_eq!(output.code, 0);
    let warned =
        |text: &str| output.err.lines().any(|line| line.starts_with("WARNING: ") && line.contains(text));
    assert!(warned("the exception `over` expired at"), "{}", output.err);
    assert!(warned("the exception `soon` ends within 7 days, at"), "{}", output.err);
    assert!(!output.err.contains("`later`"), "{}", output.err);
}

#[test]
fn a_bundle_directory_may_hold_exceptions() {
    let files = Files::new();
    let mut config = ending(clock::now().secs(), &[("only", 20 * DAY)]);
    let inline = config["bundle"]["inline"].clone();
    files.put("bundle/orders.rego", inline["policies"]["orders.rego"].as_str().unwrap());
    files.put("bundle/grants.yaml", &inline["grants"].to_string());
    files.put("bundle/exceptions.yaml", &inline["exceptions"].to_string());
    config["bundle"] = json!({"directory": "bundle"});
    let path = files.put("config.yaml", &config.to_string());
    let output = everycall(&["exceptions", &path], "");
    assert_eq!((output.code, output.out.lines().count()), (0, 2), "{}", output.all());
    files.put("bundle/exceptions.yaml", "{}");
    let output = everycall(&["check", &path], "");
    assert_eq!(output.code, 1);
    assert!(
        output.err.starts_with("bundle.directory: ") && output.err.contains("not a list"),
        "{}",
        output.err
    );
}
