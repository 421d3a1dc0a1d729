//! Signals: which policies need a list of them, what becomes of calls without one, and of open streams
//! when something about them becomes known.

use everycall_core::facts::FeedKind;
use everycall_core::sync::Freshness;
use everycall_core::{DecisionRecord, Reason, Settings, UnixTime};
use serde_json::{json, Value};

use super::streams::{millis, token_of_task, with_rule, Host};
use super::{configuration, done, engine, later, reason, request, settings, token, yes};

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

#[test]
fn a_stream_is_cut_when_a_signal_about_it_is_raised_and_others_stay() {
    let mut host = host(&with_feed(), &[]);
    for (stream, path, task) in
        [(1, "/calm", "t-1"), (2, "/negated", "t-1"), (3, "/calm", "t-2"), (4, "/open", "t-1")]
    {
        host.admit(stream, path, &token_of_task(task));
    }
    host.until(millis(3_000));
    host.signals(2, &[risk("t-1", "low")]);
    host.until(millis(5_000));
    assert_eq!((host.cut_for(1), host.open()), (None, 4), "it is decided again, and allowed");
    host.signals(3, &[risk("t-1", "high")]);
    let raised = host.now;
    while host.cut_for(1).is_none() || host.cut_for(2).is_none() {
        host.tick(UnixTime::from_micros(host.now.micros() + 100_000));
        assert!(host.now < UnixTime::from_micros(raised.micros() + 1_500_000), "{:?}", host.records);
    }
    assert_eq!((host.cut_for(1), host.cut_for(2)), (Some("policy_undefined"), Some("policy_undefined")));
    host.until(millis(9_000));
    assert_eq!((host.cut_for(3), host.cut_for(4), host.open()), (None, None, 2));
    assert_eq!(host.says("/calm", "t-1"), Reason::PolicyUndefined);
    assert_eq!(host.records.len(), 2);
}

#[test]
fn a_stream_that_needs_a_signal_is_cut_when_it_changes_goes_or_ends() {
    let low = |task: &str| risk(task, "low");
    let all = [low("t-1"), low("t-2"), until(low("t-3"), 30), low("t-4")];
    let mut host = host(&with_feed(), &all);
    for stream in 1..=4 {
        host.admit(stream, "/low", &token_of_task(&format!("t-{stream}")));
    }
    host.until(later(5));
    assert_eq!(host.open(), 4);
    host.signals(2, &[risk("t-1", "high"), all[1].clone(), all[2].clone(), all[3].clone()]);
    host.until(later(7));
    assert_eq!((host.cut_for(1), host.open()), (Some("policy_undefined"), 3), "it changed");
    host.signals(3, &[all[2].clone(), all[3].clone()]);
    host.until(later(9));
    assert_eq!((host.cut_for(2), host.open()), (Some("policy_undefined"), 2), "it is named no more");
    host.signals(4, &[all[2].clone(), all[3].clone()]);
    host.until(later(29));
    assert_eq!(host.open(), 2);
    host.until(later(41));
    assert_eq!(
        (host.cut_for(3), host.open()),
        (Some("policy_undefined"), 1),
        "it ended, and was looked at since"
    );
}

/// What is raised between the decision and the first sweep is not missed.
#[test]
fn a_young_stream_is_decided_again_too() {
    let mut host = host(&with_feed(), &[]);
    host.signals(2, &[risk("t-1", "high")]);
    let token = (token_of_task("t-1"), token_of_task("t-2"));
    while host.says("/calm", "t-1") == ALLOWED {
        host.admit(1, "/calm", &token.0);
        host.admit(2, "/calm", &token.1);
        host.tick(UnixTime::from_micros(host.now.micros() + 10_000));
    }
    host.until(UnixTime::from_micros(host.now.micros() + 1_000_000));
    assert_eq!((host.cut_for(1), host.cut_for(2)), (Some("policy_undefined"), None));
}

/// What is raised while a decision point is asked about a stream is not forgotten over its answer.
#[test]
fn news_while_a_decision_point_is_asked_is_not_lost() {
    let mut config = with_feed();
    config["streams"] = json!({"redecide_s": 3_600});
    with_rule(
        &mut config,
        "asks",
        r#"{ input.pdp.q.decision; object.get(input.signals.task, "risk", "") != "high" }"#,
    );
    let rego = &mut config["bundle"]["inline"]["policies"]["asks.rego"];
    *rego = json!(format!(
        "{}\nask contains {{\"id\": \"q\", \"subject\": {{\"type\": \"t\", \"id\": \"s\"}}, \"action\": {{\"name\": \"a\"}}, \
         \"resource\": {{\"type\": \"t\", \"id\": \"r\"}}}} if true",
        rego.as_str().unwrap()
    ));
    let mut host = host(&config, &[]);
    host.admit_asking(1, "/asks", &token_of_task("t-1"));
    host.until(millis(3_000));
    host.signals(2, &[risk("t-1", "low")]);
    host.until(millis(5_000));
    assert_eq!(host.asked.len(), 1, "it is decided again, and asks");
    host.signals(3, &[risk("t-1", "high")]);
    host.until(millis(7_000));
    assert_eq!((host.asked.len(), host.cut_for(1)), (1, None));
    host.answer(yes());
    host.until(millis(7_500));
    host.answer(yes());
    host.until(millis(8_000));
    assert_eq!(host.cut_for(1), Some("policy_undefined"));
}

#[test]
fn open_streams_stay_while_there_is_no_news_of_signals() {
    let mut host = host(&with_feed(), &[]);
    host.admit(1, "/calm", &token_of_task("t-1"));
    host.admit(2, "/calm", &token_of_task("t-2"));
    host.until(later(90));
    assert_eq!((host.says("/calm", "t-1"), host.open()), (STALE, 2));
    host.signals(2, &[risk("t-1", "high")]);
    host.until(later(96));
    assert_eq!((host.cut_for(1), host.cut_for(2)), (Some("policy_undefined"), None));
}

#[test]
fn signals_of_the_configuration_change_with_it() {
    let mut config = rules();
    config["signals"] = json!({"inline": [risk("t-1", "low")]});
    let mut host = Host::new(&config);
    host.admit(1, "/low", &token_of_task("t-1"));
    host.until(millis(1_000));
    assert_eq!((host.says("/low", "t-1"), host.says("/low", "t-2")), (ALLOWED, Reason::PolicyUndefined));
    config["signals"]["inline"] = json!([risk("t-2", "low")]);
    host.engine.configure(settings(&config));
    // Before the first tick, one that is named no more counts.
    host.until(millis(2_000));
    assert_eq!((host.says("/low", "t-1"), host.says("/low", "t-2")), (Reason::PolicyUndefined, ALLOWED));
    assert_eq!(host.cut_for(1), Some("policy_undefined"));
    assert_eq!(reason(host.engine.check(request(9, "/negated", &token(60)), host.now)), ALLOWED);
}
