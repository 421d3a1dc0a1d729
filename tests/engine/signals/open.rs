//! Open streams, and signals that change, go or are late.

use everycall_core::{Reason, UnixTime};
use serde_json::json;

use super::{host, risk, rules, until, with_feed, ALLOWED, STALE};
use crate::streams::{millis, token_of_task, with_rule, Host};
use crate::{later, reason, request, settings, token, yes};

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
