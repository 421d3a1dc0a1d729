//! Requests that wait: what is decided anew when they go on, and for how long they may.

use everycall_core::engine::StreamClose;
use everycall_core::{Reason, Reply, StreamId};
use serde_json::json;

use super::{asks, configuration, done, engine, get, later, reason, request, settings, token, yes, NOW};

#[test]
fn a_yes_in_time_allows() {
    let mut engine = engine(&configuration());
    let (calls, pending) = asks(engine.check(request(1, "/ask", &token(60)), NOW));
    assert_eq!(calls.len(), 1);
    assert_eq!(engine.stats().pending, 1);
    assert_eq!(reason(engine.resume(pending, yes(), later(1))), Reason::Allowed);
    assert_eq!(engine.stats().pending, 0);
}

#[test]
fn what_ended_while_a_request_waited_is_over() {
    let mut engine = engine(&configuration());
    let (_, pending) = asks(engine.check(request(1, "/ask", &token(60)), NOW));
    assert_eq!(reason(engine.resume(pending, yes(), later(60))), Reason::TokenExpired);

    let mut config = configuration();
    config["bundle"]["inline"]["grants"][0]["valid_until"] = json!(later(10).to_string());
    let mut engine = self::engine(&config);
    let (_, pending) = asks(engine.check(request(1, "/ask", &token(60)), NOW));
    let mut record = done(engine.resume(pending, yes(), later(10))).record;
    assert_eq!(record.reason, Some(Reason::NotGranted));
    record.duration_us = Some(10_000_000);
    let again = engine.replay(&record).record;
    assert_eq!((again.reason, again.detail), (record.reason, record.detail));
}

#[test]
fn missing_replies_are_failures() {
    let mut engine = engine(&configuration());
    let (_, pending) = asks(engine.check(request(1, "/ask", &token(60)), NOW));
    assert_eq!(reason(engine.resume(pending, Vec::new(), NOW)), Reason::PdpUnavailable);
    let (calls, pending) = asks(engine.check(request(1, "/two", &token(60)), NOW));
    assert_eq!(calls.len(), 2);
    assert_eq!(reason(engine.resume(pending, yes(), NOW)), Reason::PdpUnavailable);
}

#[test]
fn a_configuration_that_changed_decides_anew_and_keeps_answers_to_the_same_questions() {
    let mut engine = engine(&configuration());
    let (_, pending) = asks(engine.check(request(1, "/ask", &token(60)), NOW));
    let mut config = configuration();
    config["limits"] = json!({"pdp_rounds": 1});
    engine.configure(settings(&config));
    assert_eq!(reason(engine.resume(pending, yes(), NOW)), Reason::Allowed, "the question is the same");

    let (_, pending) = asks(engine.check(request(1, "/ask", &token(60)), NOW));
    config["bundle"]["inline"]["grants"][0]["policy"] = json!("open");
    engine.configure(settings(&config));
    assert_eq!(reason(engine.resume(pending, yes(), NOW)), Reason::Allowed, "nothing is asked any more");

    config["bundle"]["inline"]["grants"][0]["policy"] = json!("two");
    engine.configure(settings(&config));
    let (_, pending) = asks(engine.check(request(1, "/ask", &token(60)), NOW));
    config["bundle"]["inline"]["grants"].as_array_mut().unwrap().remove(0);
    engine.configure(settings(&config));
    let replies = [yes(), yes()].concat();
    assert_eq!(reason(engine.resume(pending, replies, NOW)), Reason::NotGranted, "the grant is gone");
}

#[test]
fn a_changed_question_is_asked_again_and_a_second_change_refuses() {
    let mut engine = engine(&configuration());
    let (_, pending) = asks(engine.check(request(1, "/ask", &token(60)), NOW));
    let mut config = configuration();
    let policy = config["bundle"]["inline"]["policies"]["ask.rego"]
        .as_str()
        .unwrap()
        .replace("\"q\"", "\"q2\"")
        .replace(".q.", ".q2.");
    config["bundle"]["inline"]["policies"]["ask.rego"] = json!(policy);
    engine.configure(settings(&config));
    let (calls, pending) = asks(engine.resume(pending, yes(), NOW));
    assert_eq!(calls.len(), 1, "the old answer is not an answer to the new question");
    config["limits"] = json!({"pdp_rounds": 1});
    engine.configure(settings(&config));
    assert_eq!(reason(engine.resume(pending, yes(), NOW)), Reason::NotReady);
    assert_eq!(engine.stats().pending, 0);
}

/// A question may differ in what it says and not in its name, and answers that nobody asked for any more count for
/// nothing: not even that they failed.
#[test]
fn what_was_answered_before_a_change_is_no_answer_to_another_question() {
    let mut engine = engine(&configuration());
    let mut config = configuration();
    let ask = config["bundle"]["inline"]["policies"]["ask.rego"].as_str().unwrap().to_owned();
    let failed = || vec![Reply::http(500, "")];
    for (policy, replies) in [
        (ask.replace("\"id\": \"r\"", "\"id\": \"r2\""), yes()),
        (ask.replace("\"id\": \"r\"", "\"id\": \"r3\""), failed()),
        (ask.replace("\"q\"", "\"q2\"").replace(".q.", ".q2."), failed()),
    ] {
        let (_, pending) = asks(engine.check(request(1, "/ask", &token(60)), NOW));
        config["bundle"]["inline"]["policies"]["ask.rego"] = json!(policy);
        engine.configure(settings(&config));
        let (calls, pending) = asks(engine.resume(pending, replies, NOW));
        assert_eq!(calls.len(), 1, "{policy}");
        let record = done(engine.resume(pending, yes(), NOW)).record;
        assert_eq!((record.reason, record.pdp.len()), (Some(Reason::Allowed), 1), "{record:?}");
        assert_eq!(self::engine(&config).replay(&record).record, record, "{policy}");
    }
    // Nothing is asked any more.
    let (_, pending) = asks(engine.check(request(1, "/ask", &token(60)), NOW));
    config["bundle"]["inline"]["grants"][0]["policy"] = json!("open");
    engine.configure(settings(&config));
    let record = done(engine.resume(pending, failed(), NOW)).record;
    assert_eq!((record.reason, record.pdp.len()), (Some(Reason::Allowed), 0), "{record:?}");
    assert_eq!(self::engine(&config).replay(&record).record, record);
}

/// Whether a credential is needed is the grants' to say, and so is said again.
#[test]
fn a_missing_credential_is_judged_again_by_the_grants() {
    let config = configuration();
    let mut open = config.clone();
    let grant = &mut open["bundle"]["inline"]["grants"][2];
    grant["subject"] = json!("anonymous");
    grant.as_object_mut().unwrap().remove("kinds");
    let mut elsewhere = open.clone();
    elsewhere["bundle"]["inline"]["grants"][2]["paths"] = json!(["/elsewhere"]);
    let record = done(engine(&config).check(get(1, "/open", &[]), NOW)).record;
    assert_eq!(record.reason, Some(Reason::CredentialMissing));
    assert_eq!(engine(&config).replay(&record).record, record);
    assert_eq!(engine(&open).replay(&record).record.reason, Some(Reason::Allowed));
    assert_eq!(engine(&elsewhere).replay(&record).record.reason, Some(Reason::CredentialMissing));
    // A bad one stands: it is not in the record.
    let bad = done(engine(&config).check(request(2, "/open", "Bearer a.b.c"), NOW)).record;
    assert_eq!(bad.reason, Some(Reason::TokenMalformed));
    assert_eq!(engine(&open).replay(&bad).record.reason, bad.reason);
}

#[test]
fn policies_see_the_time_of_arrival_also_when_a_request_has_waited() {
    let mut config = configuration();
    let ask = config["bundle"]["inline"]["policies"]["ask.rego"].as_str().unwrap().to_owned();
    let in_time =
        format!("{{ input.pdp.q.decision; input.time == {}; input.clock.minute >= 0 }}", NOW.secs());
    config["bundle"]["inline"]["policies"]["ask.rego"] = json!(ask.replace("input.pdp.q.decision", &in_time));
    let mut engine = engine(&config);
    let (_, pending) = asks(engine.check(request(1, "/ask", &token(60)), NOW));
    config["limits"] = json!({"pdp_rounds": 1});
    engine.configure(settings(&config));
    let record = done(engine.resume(pending, yes(), later(2))).record;
    assert_eq!((record.reason, record.time), (Some(Reason::Allowed), NOW));
    assert_eq!(self::engine(&config).replay(&record).record, record);
}

#[test]
fn waiting_is_bounded_and_ends_with_the_stream() {
    let mut config = configuration();
    config["limits"] = json!({"max_pending": 2});
    config["pdps"]["other"]["max_in_flight"] = json!(1);
    let mut engine = engine(&config);
    let first = asks(engine.check(request(1, "/two", &token(60)), NOW));
    assert_eq!(
        reason(engine.check(request(2, "/two", &token(60)), NOW)),
        Reason::Overloaded,
        "one question to `other`"
    );
    let second = asks(engine.check(request(3, "/ask", &token(60)), NOW));
    assert_eq!(
        reason(engine.check(request(4, "/ask", &token(60)), NOW)),
        Reason::Overloaded,
        "two requests wait"
    );
    engine.ended(StreamId(1), StreamClose::default(), NOW);
    drop(first);
    let third = asks(engine.check(request(5, "/two", &token(60)), NOW));
    assert_eq!(reason(engine.resume(second.1, yes(), NOW)), Reason::Allowed);
    assert_eq!(reason(engine.resume(third.1, [yes(), yes()].concat(), NOW)), Reason::Allowed);
}
