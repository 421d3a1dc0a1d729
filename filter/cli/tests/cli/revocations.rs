//! `everycall revocations` and `everycall signals`: what is built is what a filter takes.

use serde_json::{json, Value};

use crate::common::{everycall, Files, Output, NOW};

/// A key, its public half, and two revocations.
fn world() -> Files {
    let files = Files::new();
    let keys = everycall(&["bundle", "keygen", "-o", &files.name("key.json")], "");
    files.put("jwks.json", &keys.out);
    files.put("lines", &format!("{}\n\n{}\n", task("t-1"), json!({
        "revoke": "token", "issuer": "https://id.example", "id": "j-1", "expires_at": "2027-01-01T00:00:00Z",
        "reason": "lost\u{1b}[2J", "ticket": "INC-1",
    })));
    files
}

fn task(id: &str) -> Value {
    json!({"revoke": "task", "id": id, "expires_at": "2027-01-01T00:00:00Z"})
}

fn build(files: &Files, lines: &str, more: &[&str]) -> Output {
    let (key, output) = (files.name("key.json"), files.name("feed"));
    let arguments = ["revocations", "build", lines, "-o", &output, "--sign-key", &key, "--json"];
    everycall(&[&arguments, more].concat(), "")
}

fn verify(files: &Files, pages: &[&str], more: &[&str]) -> Output {
    let pages: Vec<String> = pages.iter().map(|page| files.name(page)).collect();
    let pages: Vec<&str> = pages.iter().map(String::as_str).collect();
    let keys = files.name("jwks.json");
    everycall(&[&["revocations", "verify", "--json", "--keys", &keys], pages.as_slice(), more].concat(), "")
}

#[test]
fn what_is_built_verifies_and_shows() {
    let files = world();
    let now = NOW.to_string();
    let built = build(&files, &files.name("lines"), &["--sequence", "7", "--at", &now]);
    assert_eq!((built.code, built.err.as_str()), (0, ""));
    let built = &built.json()[0];
    assert_eq!((&built["sequence"], &built["since"], &built["pages"]), (&json!(7), &Value::Null, &json!(1)));
    assert_eq!((&built["issued_at"], &built["expires_at"]), (&json!(NOW), &json!(NOW + 3_600)));
    assert_eq!(built["entries"], json!({"task": 1, "token": 1}));
    let verified = verify(&files, &["feed"], &["--at", &now]);
    assert_eq!((verified.code, &verified.json()[0]["ok"]), (0, &json!(true)));

    let shown = everycall(&["revocations", "show", &files.name("feed"), "--list"], "");
    let (head, list) = shown.out.split_once("\n\n").unwrap();
    assert!(
        head.contains("sequence    7\n") && head.contains("token       1\n") && !head.contains("since"),
        "{head}"
    );
    assert!(list.starts_with("revoke  issuer") && list.contains("t-1") && list.contains("INC-1"), "{list}");
    assert!(!list.contains('\u{1b}'), "no control characters reach the terminal");
    let shown = everycall(&["revocations", "show", &files.name("feed"), "--list", "--json"], "").json();
    assert_eq!(shown[0]["revocations"][0], task("t-1"));
}

#[test]
fn changes_follow_a_list_and_a_heartbeat_changes_nothing() {
    let files = world();
    let lines = task("t-2").to_string();
    let (key, output) = (files.name("key.json"), files.name("feed"));
    let arguments = ["revocations", "build", "-", "-o", &output, "--sign-key", &key, "--json"];
    let delta = everycall(&[&arguments[..], &["--since", "7", "--sequence", "9"]].concat(), &lines);
    assert_eq!((delta.code, &delta.json()[0]["since"]), (0, &json!(7)), "{}", delta.err);
    let beat = everycall(&[&arguments[..], &["--since", "9", "--sequence", "9"]].concat(), "");
    assert_eq!((beat.code, &beat.json()[0]["entries"]), (0, &json!({})), "{}", beat.err);
    assert_eq!(verify(&files, &["feed"], &["--max-age", "60s"]).code, 0);
    for (sequences, lines, words) in [
        (["--since", "9", "--sequence", "8"], "", "goes back"),
        (["--since", "9", "--sequence", "9"], lines.as_str(), "changes something"),
    ] {
        let output = everycall(&[&arguments[..], &sequences].concat(), lines);
        assert!(output.code == 1 && output.err.contains(words), "{}", output.err);
    }
    assert_eq!(verify(&files, &["feed"], &[]).json()[0]["since"], 9, "what was there stays");
}

#[test]
fn numbers_grow_by_themselves() {
    let files = world();
    let sequence = || build(&files, &files.name("lines"), &[]).json()[0]["sequence"].as_u64().unwrap();
    let (first, second) = (sequence(), sequence());
    assert!(first > 1_700_000_000_000 && second > first, "{first} {second}");
}

#[test]
fn a_line_that_is_no_revocation_is_named_and_nothing_is_written() {
    let files = world();
    assert_eq!(build(&files, &files.name("lines"), &[]).code, 0);
    let before = std::fs::read(files.path("feed")).unwrap();
    for (line, words) in [
        ("{}", "bad: line 2: missing field `revoke`"),
        (r#"{"revoke":"task","id":"x"}"#, "missing field `expires_at`"),
        (r#"{"revoke":"key","id":"x","expires_at":"2027-01-01T00:00:00Z"}"#, "line 2: issuer: missing"),
        (r#"{"revoke":"task","id":"x","id":"y","expires_at":"2027-01-01T00:00:00Z"}"#, "duplicate member"),
        (
            r#"{"revoke":"task","id":"x","until":1,"expires_at":"2027-01-01T00:00:00Z"}"#,
            "unknown field `until`",
        ),
        ("[]", "not a strict JSON object"),
    ] {
        let bad = files.put("bad", &format!("{}\n{line}\n", task("t-1")));
        let output = build(&files, &bad, &["--sequence", "9"]);
        assert!(output.code == 1 && output.err.contains(words), "{line}: {}", output.err);
    }
    assert_eq!(std::fs::read(files.path("feed")).unwrap(), before);
    assert_eq!(build(&files, &files.name("absent"), &[]).code, 2);
}

#[test]
fn a_long_list_has_pages_that_belong_together() {
    let files = world();
    let lines: String = (0..40_000).map(|id| format!("{}\n", task(&format!("t-{id}")))).collect();
    let built = build(&files, &files.put("many", &lines), &[]);
    assert_eq!(built.code, 0, "{}", built.err);
    let built = &built.json()[0];
    assert_eq!((&built["pages"], &built["entries"]["task"]), (&json!(3), &json!(40_000)));
    let good = verify(&files, &["feed", "feed.2", "feed.3"], &[]);
    assert_eq!((good.code, &good.json()[0]["entries"]["task"]), (0, &json!(40_000)));
    for (pages, words) in [
        (&["feed", "feed.2"][..], "2 of 3 pages"),
        (&["feed", "feed.3", "feed.2"], "page 3 stands in the place of page 2"),
        (&["feed.2"], "page 2 stands in the place of page 1"),
    ] {
        let output = verify(&files, pages, &[]);
        let message = output.json()[0]["errors"][0]["message"].as_str().unwrap().to_owned();
        assert!(output.code == 1 && message.contains(words), "{pages:?}: {message}");
    }
    std::fs::copy(files.path("feed.3"), files.path("old")).unwrap();
    build(&files, &files.name("many"), &[]);
    let output = verify(&files, &["feed", "feed.2", "old"], &[]);
    assert!(output.code == 1 && output.out.contains("of another list"), "{}", output.out);
    let changes = build(&files, &files.name("many"), &["--since", "1"]);
    assert!(changes.code == 1 && changes.err.contains("changes"), "{}", changes.err);
}

#[test]
fn verify_says_what_is_wrong() {
    let files = world();
    let now = NOW.to_string();
    build(&files, &files.name("lines"), &["--at", &now, "--expires-in", "90s"]);
    let fault = |at: i64, more: &[&str]| {
        let output = verify(&files, &["feed"], &[&["--at", &at.to_string()], more].concat());
        (output.code, output.json()[0]["fault"].as_str().unwrap_or("none").to_owned())
    };
    assert_eq!(fault(NOW + 89, &[]), (0, "none".into()));
    assert_eq!(fault(NOW + 90, &[]), (1, "expired".into()));
    assert_eq!(fault(NOW - 61, &[]), (1, "not_yet_valid".into()));
    assert_eq!(fault(NOW + 59, &["--max-age", "60s"]), (0, "none".into()));
    assert_eq!(fault(NOW + 61, &["--max-age", "60s"]), (1, "expired".into()));
    let good = std::fs::read_to_string(files.path("feed")).unwrap();
    files.put("feed", &good.replace("t-1", "t-2"));
    assert_eq!(fault(NOW, &[]), (1, "digest".into()));
    files.put("feed", "<html>\n");
    assert_eq!(fault(NOW, &[]), (1, "malformed".into()));
    assert_eq!(everycall(&["revocations", "show", &files.name("feed")], "").code, 1);
    files.put("feed", &good);
    files.put("jwks.json", &everycall(&["bundle", "keygen", "-o", &files.name("other")], "").out);
    assert_eq!(fault(NOW, &[]), (1, "signature".into()));
}

#[test]
fn signals_are_built_verified_and_shown_alike() {
    let files = world();
    let risk = json!({"about": "task", "id": "t-1", "signal": "risk", "value": "high", "ticket": "INC-1",
        "expires_at": "2027-01-01T00:00:00Z"});
    let score = json!({"about": "identity", "id": "user:alice", "signal": "score", "value": 87,
        "expires_at": "2027-01-01T00:00:00Z"});
    let lines = files.put("signals", &format!("{risk}\n{score}\n"));
    let (key, keys, feed) = (files.name("key.json"), files.name("jwks.json"), files.name("feed"));
    let build =
        |lines: &str| everycall(&["signals", "build", lines, "-o", &feed, "--sign-key", &key, "--json"], "");
    let built = build(&lines);
    assert_eq!(built.code, 0, "{}", built.err);
    assert_eq!(built.json()[0]["entries"], json!({"identity": 1, "task": 1}));
    let verified =
        everycall(&["signals", "verify", &feed, "--keys", &keys, "--max-age", "60s", "--json"], "");
    assert_eq!((verified.code, &verified.json()[0]["ok"]), (0, &json!(true)));
    let shown = everycall(&["signals", "show", &feed, "--list"], "").out;
    assert!(shown.contains("signal  value") && shown.contains("high") && shown.contains(" 87 "), "{shown}");
    let shown = everycall(&["signals", "show", &feed, "--list", "--json"], "").json();
    assert_eq!(shown[0]["signals"][0], risk);
    // The one is not the other.
    assert_eq!(everycall(&["revocations", "show", &feed], "").code, 1);
    let other = everycall(&["revocations", "verify", &feed, "--keys", &keys, "--json"], "");
    assert_eq!((other.code, &other.json()[0]["fault"]), (1, &json!("malformed")));
    let wrong = build(&files.put("wrong", &format!("{risk}\n{}\n", task("t-1"))));
    assert!(wrong.code == 1 && wrong.err.contains("line 2: "), "{}", wrong.err);
}
