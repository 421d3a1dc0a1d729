//! Signals: which policies need a list of them, what becomes of calls without one, and of open streams
//! when something about them becomes known.

mod open;

use everycall_core::facts::FeedKind;
use everycall_core::sync::Freshness;
use everycall_core::{DecisionRecord, Reason, Settings, UnixTime};
use serde_json::{json, Value};

use super::streams::{millis, token_of_task, with_rule, Host};
use super::{configuration, done, engine, later, reason, request};

const ALLOWED: Reason = Reason::Allowed;
const STALE: Reason = Reason::SignalsStale;

/// `/calm` wants no high risk of the task, `/negated` says so with `not`, `/low` wants it to be low.
fn rules() -> Value {
    let mut config = configuration();
    config["issuers"][0]["task_claim"] = json!("task");
    with_rule(&mut config, "calm", r#"object.get(input.signals.task, "risk", "") != "high""#);
    with_rule(&mut config, "negated", r#"not input.signals.task.risk == "high""#);
    with_rule(&mut config, "low", r#"input.signals.task.risk == "low""#);
    config
}

fn with_feed() -> Value {
    let mut config = rules();
    config["signals"] = json!({"keys": super::bundle::key().public_jwks(),
        "remote": {"cluster": "s", "host": "s", "path": "/s"}});
    config
}

fn risk(task: &str, value: &str) -> Value {
    json!({"about": "task", "id": task, "signal": "risk", "value": value,
           "expires_at": later(600).to_string()})
}

fn until(mut signal: Value, secs: i64) -> Value {
    signal["expires_at"] = json!(later(secs).to_string());
    signal
}

impl Host {
    fn signals(&mut self, sequence: u64, facts: &[Value]) {
        self.publish_as(FeedKind::Signals, sequence, facts);
    }

    /// What is said of a request with a token of this task.
    fn says(&mut self, path: &str, task: &str) -> Reason {
        reason(self.engine.check(request(99, path, &token_of_task(task)), self.now))
    }

    fn record(&mut self, path: &str, task: &str) -> DecisionRecord {
        done(self.engine.check(request(99, path, &token_of_task(task)), self.now)).record
    }
}

/// With a list of these signals, in force.
fn host(config: &Value, facts: &[Value]) -> Host {
    let mut host = Host::new(config);
    host.signals(1, facts);
    host.until(millis(1_000));
    host
}

#[test]
fn policies_that_read_signals_need_a_list_of_them() {
    let errors = |config: &Value| {
        let errors = Settings::from_value(config.clone()).err();
        errors.iter().flat_map(|errors| errors.iter().map(ToString::to_string)).collect::<Vec<_>>()
    };
    let expected =
        |name: &str| vec![format!("signals: missing; the rule set `everycall.{name}` reads `input.signals`")];
    for condition in [
        "input.signals.task.risk == \"low\"",
        "not input.signals.task.risk",
        "input[\"signals\"].task.risk",
        "input[`signals`].task",
        "input[\"s\\u0069gnals\"].task",
        "{ all := input; not all.signals.task.risk }",
        "{ name := \"signals\"; not input[name].task.risk }",
        "object.get(input, [\"signals\", \"task\", \"risk\"], 1) == 1",
    ] {
        let mut config = configuration();
        with_rule(&mut config, "x", condition);
        assert_eq!(errors(&config), expected("x"), "{condition}");
        let mut shadow = configuration();
        shadow["shadow"] = json!({"inline": config["bundle"]["inline"]});
        assert_eq!(errors(&shadow), expected("x"), "shadow: {condition}");
        config["signals"] = json!({"inline": []});
        assert_eq!(errors(&config), Vec::<String>::new(), "{condition}");
    }
    // By another module.
    let mut config = configuration();
    with_rule(&mut config, "x", "data.lib.quiet");
    config["bundle"]["inline"]["policies"]["lib.rego"] =
        json!("package lib\nquiet if not input.signals.task.risk");
    assert_eq!(errors(&config), expected("x"));
    for condition in [
        "input.request.path == \"/signals\"",
        "count(input) > 0",
        "{ some name, _ in input; name == \"time\" }",
        "true # input.signals",
    ] {
        let mut config = configuration();
        with_rule(&mut config, "x", condition);
        assert_eq!(errors(&config), Vec::<String>::new(), "{condition}");
    }
}

#[test]
fn signals_in_the_configuration_are_understood_or_refused() {
    let error = |signals: Value| {
        let mut config = configuration();
        config["signals"] = signals;
        Settings::from_value(config).unwrap_err().iter().next().unwrap().to_string()
    };
    let many: Vec<Value> = (0..17)
        .map(|number| {
            let mut line = risk("t", "high");
            line["signal"] = json!(format!("s{number}"));
            line
        })
        .collect();
    let keys = super::bundle::key().public_jwks();
    let remote = json!({"cluster": "c", "host": "h", "path": "/p"});
    for (signals, expected) in [
        (json!({}), "signals: expected either `inline` or `remote`"),
        (json!({"inline": [], "remote": remote, "keys": keys}), "signals: expected either `inline` or"),
        (json!({"remote": remote}), "signals.keys: missing"),
        (json!({"inline": [], "keys": keys}), "signals.keys: an `inline` list is not signed"),
        (json!({"inline": [], "max_age_s": 0}), "signals.max_age_s: "),
        (json!({"inline": [], "when_stale": "allow"}), "signals.when_stale: "),
        (json!({"inline": [{"about": "task"}]}), "signals.inline[0]"),
        (json!({"inline": [risk("t", &"a".repeat(257))]}), "signals.inline[0]: value: more than 256 bytes"),
        (json!({"inline": many}), "signals.inline: there are more than 16 signals about one thing"),
    ] {
        let error = error(signals.clone());
        assert!(error.starts_with(expected), "{signals}: {error}");
    }
}

#[test]
fn without_a_list_only_what_reads_signals_is_refused() {
    for when_stale in ["refuse", "last_known"] {
        let mut config = with_feed();
        config["signals"]["when_stale"] = json!(when_stale);
        let mut host = Host::new(&config);
        for _ in 0..2 {
            for path in ["/calm", "/negated", "/low"] {
                assert_eq!(host.says(path, "t-1"), STALE, "{path}");
            }
            assert_eq!(host.says("/open", "t-1"), ALLOWED, "{when_stale}");
            host.until(millis(3_000));
        }
        assert_eq!(host.engine.stats().feeds[0].freshness, Freshness::Missing, "{when_stale}");
        let record = host.record("/negated", "t-1");
        assert_eq!((record.status, record.signals.unwrap().list), (503, None), "{when_stale}");
        host.signals(1, &[]);
        host.until(millis(20_000));
        assert_eq!(
            (host.says("/negated", "t-1"), host.says("/low", "t-1")),
            (ALLOWED, Reason::PolicyUndefined),
            "{when_stale}"
        );
    }
}

#[test]
fn an_old_list_of_signals_refuses_only_what_reads_it() {
    let facts = [risk("t-high", "high"), until(risk("t-short", "high"), 70)];
    let mut host = host(&with_feed(), &facts);
    assert_eq!(
        (host.says("/negated", "t-high"), host.says("/negated", "t-1")),
        (Reason::PolicyUndefined, ALLOWED)
    );
    // The server signs nothing any more.
    host.until(later(60));
    assert_eq!(host.says("/negated", "t-1"), ALLOWED);
    host.until(later(62));
    for path in ["/calm", "/negated", "/low"] {
        assert_eq!((host.says(path, "t-1"), host.says(path, "t-high")), (STALE, STALE), "{path}");
    }
    assert_eq!(host.says("/open", "t-high"), ALLOWED);
    assert!(host.record("/calm", "t-1").signals.unwrap().list.unwrap().stale);
    host.signals(2, &facts);
    host.until(later(64));
    assert_eq!(
        (host.says("/negated", "t-high"), host.says("/negated", "t-1")),
        (Reason::PolicyUndefined, ALLOWED)
    );
}

#[test]
fn last_known_signals_go_on_until_they_end_and_the_record_says_so() {
    let mut config = with_feed();
    config["signals"]["when_stale"] = json!("last_known");
    let facts = [risk("t-high", "high"), until(risk("t-short", "high"), 70)];
    let mut host = host(&config, &facts);
    host.until(later(69));
    for task in ["t-high", "t-short"] {
        assert_eq!(host.says("/negated", task), Reason::PolicyUndefined, "{task}");
    }
    let record = host.record("/negated", "t-1");
    assert_eq!(record.reason, Some(ALLOWED));
    let list = record.signals.unwrap().list.unwrap();
    assert!(list.stale && list.sequence == 1, "{list:?}");
    host.now = UnixTime::from_micros(later(70).micros() - 1);
    assert_eq!(host.says("/negated", "t-short"), Reason::PolicyUndefined);
    host.now = later(70);
    assert_eq!(host.says("/negated", "t-short"), ALLOWED, "to the microsecond");
}

/// A document of the one feed is none of the other, though the same key signs both.
#[test]
fn revocations_are_no_signals() {
    let mut host = Host::new(&with_feed());
    host.publish_as(FeedKind::Revocations, 1, &[]);
    host.until(millis(2_000));
    assert_eq!(host.says("/negated", "t-1"), STALE);
    for line in
        [json!({"revoke": "task", "id": "t", "expires_at": later(60).to_string()}), json!({"about": "task"})]
    {
        let text = line.to_string();
        let broken = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| host.signals(2, &[line])));
        assert!(broken.is_ok(), "{text}");
        host.until(UnixTime::from_micros(host.now.micros() + 12_000_000));
        assert_eq!(host.says("/negated", "t-1"), STALE, "{text}");
    }
    let stats = host.engine.stats().feeds.remove(0);
    assert!(stats.fetches.refused.values().sum::<u64>() >= 3, "{stats:?}");
}

#[test]
fn the_record_holds_what_the_policy_read_and_replays() {
    let mut other = risk("t-high", "often");
    other["signal"] = json!("seen");
    let config = with_feed();
    let mut host = host(&config, &[risk("t-high", "high"), other]);
    let record = host.record("/negated", "t-high");
    let signals = record.signals.clone().unwrap();
    assert_eq!(json!(signals.task), json!({"risk": "high"}), "what it does not read is not there");
    assert_eq!(signals.list.unwrap().sequence, 1);
    assert_eq!(host.record("/open", "t-high").signals, None);
    // Somebody without the list decides it again, and so does who knows better by now.
    let mut replayer = engine(&config);
    for (path, task) in [("/negated", "t-high"), ("/negated", "t-1"), ("/low", "t-1")] {
        let record = host.record(path, task);
        let text = serde_json::to_string(&record).unwrap();
        let again = replayer.replay(&serde_json::from_str(&text).unwrap()).record;
        assert_eq!((again.reason, again.signals), (record.reason, record.signals), "{path} {task}");
    }
    let mut missing = Host::new(&config);
    let record = missing.record("/negated", "t-1");
    assert_eq!(record.reason, Some(STALE));
    assert_eq!(replayer.replay(&record).record.reason, Some(STALE));
}

#[test]
fn a_shadow_that_reads_signals_is_heard_and_its_record_replays() {
    let mut config = with_feed();
    let mut shadow = config["bundle"]["inline"].clone();
    shadow["policies"]["open.rego"] = json!(
        "package everycall.open\ndecision := {\"allow\": true} if not input.signals.task.risk == \"high\""
    );
    config["shadow"] = json!({"inline": shadow});
    let mut host = host(&config, &[risk("t-high", "high")]);
    let record = host.record("/open", "t-high");
    assert_eq!((record.reason, &record.signals), (Some(ALLOWED), &None));
    assert_eq!(json!(record.shadow[0].outcome), json!("differs"));
    assert_eq!(json!(record.shadow[0].read.signals.as_ref().unwrap().task), json!({"risk": "high"}));
    let again = engine(&config).replay(&record).record;
    assert_eq!((again.reason, json!(again.shadow)), (record.reason, json!(record.shadow)));
    // Without a list the shadow can't say anything, and nothing else comes of it.
    let record = Host::new(&config).record("/open", "t-high");
    assert_eq!((record.reason, json!(record.shadow[0].outcome)), (Some(ALLOWED), json!("error")));
}
