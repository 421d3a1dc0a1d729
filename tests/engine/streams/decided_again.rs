//! Open streams that are decided again: when the configuration changes, time goes by, a decision point says
//! something else.

use everycall_core::engine::StreamClose;
use everycall_core::{Reason, Reply, StreamId, Work};
use serde_json::{json, Value};

use super::{millis, with_rule, Host};
use crate::{configuration, get, later, reason, request, token, yes, NOW};

#[test]
fn a_new_configuration_decides_open_streams_again() {
    let mut config = configuration();
    with_rule(&mut config, "role", "input.request.headers[\"x-a\"][0] == \"1\"");
    let mut host = Host::new(&config);
    host.admit(1, "/open", &token(60));
    let mut with_header = |stream, value: &str| {
        host.admit_request(get(stream, "/role", &[("authorization", &token(60)), ("x-a", value)]));
    };
    with_header(2, "1");
    host.until(millis(1_000));
    // Young ones are decided again as well.
    host.admit(3, "/open", &token(60));
    host.change(&mut config);
    host.until(millis(2_000));
    assert!(host.cut.is_empty(), "it says the same: {:?}", host.cut);

    let role =
        "package everycall.role\ndecision := {\"allow\": true} if input.request.headers[\"x-a\"][0] == \"2\"";
    config["bundle"]["inline"]["policies"]["role.rego"] = json!(role);
    host.configure(&config);
    host.until(millis(3_000));
    assert_eq!(host.cut.keys().map(|id| id.0).collect::<Vec<_>>(), [2]);
    assert_eq!(host.cut_for(2), Some("policy_undefined"));

    config["bundle"]["inline"]["grants"].as_array_mut().unwrap().retain(|grant| grant["id"] != "open");
    host.configure(&config);
    host.until(millis(4_000));
    assert_eq!((host.cut_for(1), host.cut_for(3)), (Some("not_granted"), Some("not_granted")));
    assert!(host.records.iter().all(|record| record.detail.is_some()));
}

#[test]
fn a_caller_whom_the_configuration_does_not_know_any_more_is_cut() {
    let base = configuration();
    let mut without_issuer = base.clone();
    without_issuer["issuers"].as_array_mut().unwrap().remove(0);
    let mut other_key = base.clone();
    other_key["issuers"][0]["keys"]["inline"]["keys"] = base["issuers"][1]["keys"]["inline"]["keys"].clone();
    other_key["issuers"][0]["algorithms"] = base["issuers"][1]["algorithms"].clone();
    for (change, expected) in [(without_issuer, "token_issuer"), (other_key, "token_key_unknown")] {
        let mut host = Host::new(&base);
        host.admit(1, "/open", &token(60));
        host.until(millis(1_000));
        host.configure(&change);
        host.until(millis(2_000));
        assert_eq!(host.cut_for(1), Some(expected), "{expected}");
    }
}

#[test]
fn a_stream_whose_request_was_not_kept_is_cut_when_policy_changes() {
    let mut config = configuration();
    let mut host = Host::new(&config);
    for (stream, size) in [(1, 100), (2, 9_000)] {
        let large = "a".repeat(size);
        host.admit_request(get(stream, "/open", &[("authorization", &token(60)), ("x-a", &large)]));
    }
    host.until(millis(5_000));
    assert!(host.cut.is_empty(), "nothing has changed");
    host.change(&mut config);
    host.until(millis(6_000));
    assert_eq!((host.cut_for(1), host.cut_for(2)), (None, Some("stream_not_kept")));
}

/// A fact of the connection that was not asked for reads like one that is not so.
#[test]
fn a_policy_that_reads_facts_that_were_not_asked_for_cuts() {
    let mut config = configuration();
    let mut host = Host::new(&config);
    host.admit(1, "/open", &token(60));
    host.until(millis(1_000));
    let open = "package everycall.open\ndecision := {\"allow\": true} if not input.connection.mtls == true";
    config["bundle"]["inline"]["policies"]["open.rego"] = json!(open);
    host.configure(&config);
    host.until(millis(2_000));
    assert_eq!(host.cut_for(1), Some("stream_not_kept"));
}

#[test]
fn a_policy_that_reads_the_time_is_asked_again_as_time_goes_by() {
    let mut config = configuration();
    let until = NOW.secs() + 25;
    with_rule(&mut config, "timed", &format!("input.time < {until}"));
    with_rule(&mut config, "left", "input.identity.expires_in > 20");
    for (every, low, high) in [(10, 25, 36), (1, 25, 27)] {
        config["streams"] = json!({"redecide_s": every});
        let mut host = Host::new(&config);
        host.admit(1, "/timed", &token(600));
        host.admit(2, "/open", &token(600));
        host.admit(3, "/left", &token(50));
        host.until(later(low));
        assert!(host.cut.is_empty(), "every {every} s");
        host.until(later(high));
        assert_eq!((host.cut_for(1), host.cut_for(2)), (Some("policy_undefined"), None), "every {every} s");
        host.until(later(42));
        assert_eq!(host.cut_for(3), Some("policy_undefined"), "every {every} s");
    }
}

/// Streams of rule sets that ask the decision point `default`.
fn asking(count: u64) -> (Host, Value) {
    let mut config = configuration();
    let mut host = Host::new(&config);
    for stream in 1..=count {
        host.admit_asking(stream, "/ask", &token(600));
    }
    host.until(millis(1_000));
    host.change(&mut config);
    host.until(millis(1_100));
    (host, config)
}

#[test]
fn a_decision_point_is_asked_again_about_open_streams() {
    let no = || vec![Reply::http(200, br#"{"decision":false}"#)];
    for (replies, expected) in
        [(yes(), None), (no(), Some("pdp_denied")), (Vec::new(), Some("pdp_unavailable"))]
    {
        let (mut host, _) = asking(1);
        assert_eq!(host.asked.len(), 1, "{expected:?}");
        host.answer(replies);
        host.until(millis(3_000));
        assert_eq!(host.cut_for(1), expected);
        assert_eq!(host.engine.stats().pending, 0, "{expected:?}");
    }
}

/// Requests need decision points, too: open streams are asked about in turn.
#[test]
fn not_all_streams_are_asked_about_at_once() {
    let (mut host, _) = asking(100);
    let mut asked = 0;
    while !host.asked.is_empty() {
        assert!(host.asked.len() <= 16, "{}", host.asked.len());
        asked += 1;
        host.answer(yes());
        host.tick(host.now);
    }
    assert_eq!((asked, host.cut.len(), host.open()), (100, 0, 100));
    assert_eq!(reason(host.engine.check(request(200, "/open", &token(600)), host.now)), Reason::Allowed);
}

#[test]
fn a_stream_may_end_or_change_while_it_is_asked_about() {
    let (mut host, mut config) = asking(3);
    assert_eq!(host.asked.len(), 3);
    host.engine.ended(StreamId(1), StreamClose::default(), host.now);
    host.answer(yes());
    assert_eq!(host.open(), 2);
    // The configuration changes again: the answer is not one to the new question.
    config["bundle"]["inline"]["grants"][0]["policy"] = json!("open");
    host.configure(&config);
    host.answer(yes());
    // The host gave up on the last one: it is tried again.
    let (stream, pending) = host.asked.remove(0);
    assert!(pending.stream() == stream && host.engine.answered(pending, Vec::new(), None).is_empty());
    host.until(millis(3_000));
    assert!(host.cut.is_empty() && host.asked.is_empty(), "{:?}", host.cut);
    assert_eq!((host.engine.stats().pending, host.open()), (0, 2));
}

/// That there is no bundle is not about the stream; and it does not hide what comes after.
#[test]
fn streams_stay_while_nothing_can_be_decided() {
    let config = configuration();
    let mut host = Host::new(&config);
    host.admit(1, "/open", &token(10));
    host.until(millis(1_000));
    let mut absent = config.clone();
    absent["bundle"] = json!({"keys": crate::bundle::key().public_jwks(),
        "remote": {"cluster": "b", "host": "b", "path": "/b"}});
    host.configure(&absent);
    let mut cut = 0;
    for step in 0..130 {
        let now = millis(1_000 + step * 100);
        // It asks for a bundle, and nobody answers.
        drop(host.engine.tick(now));
        while host.engine.has_work(Work::Streams) {
            let effects = host.engine.work(Work::Streams, now);
            host.now = now;
            host.run(effects);
        }
        cut = host.cut.len();
        assert!(cut == 0 || now >= later(10), "{now}");
    }
    assert_eq!((cut, host.cut_for(1)), (1, Some("token_expired")));
}

#[test]
fn an_observed_stream_stays_while_it_is_observed() {
    let mut config = configuration();
    config["observe"] = json!({"hosts": ["h"], "paths": ["/{rest...}"], "until": later(30).to_string()});
    let mut host = Host::new(&config);
    host.admit(1, "/nowhere", &token(600));
    host.admit(2, "/nowhere", &token(10));
    host.until(millis(1_000));
    host.change(&mut config);
    host.until(millis(29_000));
    assert_eq!((host.cut_for(1), host.cut_for(2)), (None, Some("token_expired")));
    host.until(millis(31_000));
    assert_eq!(host.cut_for(1), Some("not_granted"));
    // Observing is taken out of the configuration.
    let mut host = Host::new(&config);
    host.admit(1, "/nowhere", &token(600));
    host.until(millis(1_000));
    config.as_object_mut().unwrap().remove("observe");
    host.configure(&config);
    host.until(millis(2_000));
    assert_eq!(host.cut_for(1), Some("not_granted"));
}

#[test]
fn many_streams_are_cut_in_slices_and_none_is_missed() {
    let mut host = Host::new(&configuration());
    let (short, long) = (token(20), token(600));
    for stream in 0..2_000 {
        host.admit(stream, "/open", if stream % 4 == 0 { &long } else { &short });
    }
    host.until(millis(19_900));
    assert!(host.cut.is_empty());
    let before = host.slices;
    host.until(millis(20_300));
    assert_eq!((host.cut.len(), host.open()), (1_500, 500));
    assert!(host.slices - before > 1_500 / 32);
    assert!(host.cut.keys().all(|stream| stream.0 % 4 != 0));
}
