//! Decisions by a bundle that stands in for the server's, and records that are decided again.

use everycall::mint::TestKey;
use serde_json::{json, Value};

use super::{check, remote, signed, signed_at};
use crate::common::{config, everycall, request, token, Files, Output, NOW};

/// `decide` with this bundle in the place of the server's.
fn decide(config: &Value, bundle: &str, more: &[&str]) -> Output {
    let files = Files::new();
    let (config, bundle) = (files.put("c.json", &config.to_string()), files.put("b", bundle));
    let at = NOW.to_string();
    let line = request("GET", json!([["x-purpose", "fulfilment"]]), Some(&token(json!({}))));
    let mut arguments = vec!["decide", "--config", &config, "--at", &at, "--bundle", &bundle];
    arguments.extend(more);
    everycall(&arguments, &line)
}

#[test]
fn decisions_are_made_by_the_file() {
    let files = Files::new();
    let path = files.put("c.json", &remote().to_string());
    for arguments in [&["decide", "--config", &path][..], &["decide", "--config", &path, "--record", "x"]] {
        let output = everycall(arguments, "");
        assert_eq!((output.code, output.out.as_str()), (2, ""));
        assert!(
            output.err.contains("`bundle.remote`") && output.err.contains("--bundle FILE"),
            "{}",
            output.err
        );
    }
    let parts = config()["bundle"]["inline"].clone();
    let output = decide(&remote(), &signed(&parts, 7), &[]);
    let record = &output.json()[0];
    assert_eq!((&record["decision"], &record["bundle"]["sequence"]), (&json!("allow"), &json!(7)));
    assert_eq!(output.err, "");
    // The revision is that of the configuration, as the filter has it.
    let revision = check(&remote(), &[]).0["revision"].clone();
    assert_eq!(record["revision"], revision);
    let explained = decide(&remote(), &signed(&parts, 7), &["--explain"]).out;
    assert!(
        explained.contains("held        orders.rego:2") && explained.contains("read        input"),
        "{explained}"
    );
    // What serves until the server has answered does decide, and it is said.
    let mut both = remote();
    both["bundle"]["inline"] = parts;
    let path = files.put("both.json", &both.to_string());
    let line = request("GET", json!([["x-purpose", "fulfilment"]]), Some(&token(json!({}))));
    let output = everycall(&["decide", "--config", &path, "--at", &NOW.to_string()], &line);
    assert_eq!((output.json()[0]["decision"].as_str(), output.code), (Some("allow"), 0));
    assert!(output.err.contains("only what serves until its server has answered"), "{}", output.err);
}

#[test]
fn a_file_is_taken_by_the_rules_on_what_is_fetched() {
    let parts = config()["bundle"]["inline"].clone();
    let good = signed(&parts, 7);
    let refused = |config: &Value, file: &str, message: &str| {
        let output = decide(config, file, &[]);
        assert_eq!((output.code, output.out.as_str()), (1, ""), "{message}: {}", output.err);
        let line = output.err.lines().next().unwrap();
        assert!(line.starts_with("bundle.remote: `") && line.contains(message), "{message}: {}", output.err);
    };
    let taken = |config: &Value, file: &str| {
        let output = decide(config, file, &[]);
        assert!(output.out.contains("\"decision\":\"allow\""), "{}", output.all());
    };
    // Time.
    refused(
        &remote(),
        &signed_at(&parts, 7, NOW - 600, NOW),
        "(expired): the bundle `v7` expired at 2026-09-21T",
    );
    taken(&remote(), &signed_at(&parts, 7, NOW - 600, NOW + 1));
    refused(
        &remote(),
        &signed_at(&parts, 7, NOW + 61, NOW + 600),
        "(not_yet_valid): the bundle `v7` is not valid",
    );
    taken(&remote(), &signed_at(&parts, 7, NOW + 60, NOW + 600));
    let mut stale = remote();
    stale["bundle"]["max_stale_s"] = json!(9);
    refused(&stale, &good, "(expired): the bundle `v7` is 10 s old; at most 9 are allowed");
    stale["bundle"]["max_stale_s"] = json!(10);
    taken(&stale, &good);
    // Order, against what the configuration holds.
    let mut other = parts.clone();
    other["grants"][0]["purpose"] = json!("another");
    let mut both = remote();
    both["bundle"]["signed"] = json!(good);
    refused(&both, &signed(&parts, 6), "(older): `v6` has the sequence 6; 7 was in force");
    refused(&both, &signed(&other, 7), "(older): `v7` has the sequence 7 of another that was in force");
    taken(&both, &good);
    taken(&both, &signed(&other, 8));
    // Form, signature, size, content.
    refused(&remote(), "<html>\n", "(malformed): line 1: ");
    refused(&remote(), &good.replace("team-orders", "team-others"), "(digest): line 1: ");
    refused(&remote(), &good[..good.len() - 1], "(digest): line 1: ");
    let mut keys = remote();
    keys["bundle"]["keys"] = TestKey::eddsa().unwrap().public_jwks();
    refused(&keys, &good, "(signature): line 1: ");
    let mut small = remote();
    small["bundle"]["remote"]["max_bytes"] = json!(good.len() - 1);
    refused(&small, &good, "(too_large): ");
    small["bundle"]["remote"]["max_bytes"] = json!(good.len());
    taken(&small, &good);
    let mut broken = parts.clone();
    broken["policies"]["orders.rego"] = json!("package everycall\nx :=");
    broken["grants"][0]["owner"] = json!("");
    let output = decide(&remote(), &signed(&broken, 7), &[]);
    assert!(output.code == 1 && output.err.contains("(invalid): line 2: orders.rego:2:"), "{}", output.err);
    assert!(output.err.contains("(invalid): line 3.owner: must not be empty"), "{}", output.err);
    // The limits are those of the configuration.
    let mut tight = remote();
    tight["limits"] = json!({"elevation_hours": 1});
    let mut long = parts;
    long["elevations"] = json!([{
        "id": "e", "subject": "x", "grants": ["orders"], "approver": "a", "ticket": "T-1", "reason": "r",
        "valid_from": "2026-09-21T14:00:00Z", "valid_until": "2026-09-21T16:00:00Z",
    }]);
    refused(&tight, &signed(&long, 7), "(invalid): line 3.valid_until: ");
    taken(&remote(), &signed(&long, 7));
    // A check says the same as JSON.
    let files = Files::new();
    let (result, output) = check(&remote(), &["--bundle", &files.put("b", &good)]);
    assert_eq!((output.code, &result["errors"][0]["path"]), (1, &json!("bundle.remote")));
    assert!(result["errors"][0]["message"].as_str().unwrap().contains("(expired)"), "{result}");
}

#[test]
fn what_cannot_stand_in_is_a_wrong_usage() {
    let files = Files::with_config();
    let file = files.put("b", &signed(&config()["bundle"]["inline"], 7));
    let remote = files.put("remote.json", &remote().to_string());
    for command in ["check", "exceptions"] {
        let output = everycall(&[command, &files.name("config.json"), "--bundle", &file], "");
        assert!(output.code == 2 && output.err.contains("no `bundle.remote`"), "{command}: {}", output.err);
        let output = everycall(&[command, &remote, "--bundle", &files.name("nowhere")], "");
        assert!(
            output.code == 2 && output.err.contains("nowhere` cannot be read"),
            "{command}: {}",
            output.err
        );
    }
    let output = everycall(&["exceptions", &remote], "");
    assert!(output.code == 2 && output.err.contains("--bundle FILE"), "{}", output.err);
}

/// What served then does not any more, and a record says by which it was decided.
#[test]
fn records_are_decided_again_by_the_file() {
    let files = Files::new();
    let parts = config()["bundle"]["inline"].clone();
    let record = decide(&remote(), &signed(&parts, 7), &[]).out;
    let (path, record) = (files.put("c.json", &remote().to_string()), files.put("r", &record));
    let again = |file: &str| {
        let file = files.put("b", file);
        everycall(&["decide", "--config", &path, "--bundle", &file, "--record", &record, "--explain"], "")
    };
    let same = again(&signed(&parts, 7));
    assert!(same.code == 0 && same.out.contains("the same outcome"), "{}", same.all());
    assert!(!same.out.contains("under another"), "{}", same.out);
    let mut closed = parts.clone();
    closed["grants"][0]["methods"] = json!(["POST"]);
    let other = again(&signed(&closed, 8)).out;
    assert!(other.contains("ANOTHER outcome: allow allowed"), "{other}");
    assert!(other.contains("recorded    under another bundle: `v7`, sequence 7"), "{other}");
}

/// Nothing is fetched: lists stand in for the servers of feeds, and what a record tells of them stands.
#[test]
fn a_record_tells_what_was_known_of_feeds() {
    let files = Files::new();
    let keys = TestKey::es256().unwrap().public_jwks();
    let feed = |place: &str| json!({"keys": keys, "remote": {"cluster": place, "host": place, "path": "/x"}});
    let mut config = config();
    config["revocations"] = feed("revocations");
    config["signals"] = feed("signals");
    let policies = config["bundle"]["inline"]["policies"].as_object_mut().unwrap();
    for (_, text) in policies.iter_mut() {
        *text = json!(
            "package everycall\ndecision := {\"allow\": true} if object.get(input.signals.identity, \"risk\", 0) == 0"
        );
    }
    let config = files.put("config.json", &config.to_string());
    let asked = request("GET", json!([]), Some(&token(json!({}))));
    let none = files.put("none", "");
    let risk = json!({"about": "identity", "id": "checkout", "signal": "risk", "value": 9,
        "expires_at": everycall_core::UnixTime::from_secs(NOW + 60).to_string()});
    let risk = files.put("risk", &format!("{risk}\n"));
    let decide = |lists: &[&str]| {
        everycall(&[&["decide", "--config", &config, "--at", &NOW.to_string()], lists].concat(), &asked)
    };
    for (lists, untold, reason) in [
        (vec![], "`revocations.remote` is not known here, and calls with a credential", "revocations_stale"),
        (
            vec!["--revocations", &none],
            "`signals.remote` is not known here, and calls whose policy reads",
            "signals_stale",
        ),
        (vec!["--revocations", &none, "--signals", &risk], "", "policy_undefined"),
    ] {
        let output = decide(&lists);
        assert!(output.err.contains(untold), "{}", output.err);
        assert_eq!(output.json()[0]["reason"], reason, "{}", output.out);
    }
    let decided = decide(&["--revocations", &none, "--signals", &none]);
    assert!(!decided.err.contains("not known here"), "{}", decided.err);
    let record = &decided.json()[0];
    assert_eq!(record["decision"], "allow", "{}", decided.out);
    assert_eq!(record["signals"]["identity"], json!({}));
    let mut risky = record.clone();
    risky["signals"]["identity"] = json!({"risk": 9});
    let record = files.put("record", &risky.to_string());
    let again = everycall(&["decide", "--config", &config, "--record", &record], "");
    assert!(!again.err.contains("not known here"), "{}", again.err);
    assert_eq!(again.json()[0]["reason"], "policy_undefined", "{}", again.out);
}
