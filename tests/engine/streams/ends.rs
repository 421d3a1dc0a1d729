//! When a stream is over: by what ends first, whichever clock says so, and that it is written down.

use everycall_core::engine::StreamClose;
use everycall_core::record::StreamEnd;
use everycall_core::{Effect, Reason, StreamId, Work};
use serde_json::json;

use super::{millis, public, with_rule, Host};
use crate::{configuration, done, engine, get, later, request, token, NOW};

#[test]
fn a_stream_is_cut_when_its_token_expires_and_others_stay() {
    let mut host = Host::new(&configuration());
    host.admit(1, "/open", &token(10));
    host.admit(2, "/open", &token(60));
    host.until(millis(9_900));
    assert_eq!((host.cut.len(), host.open()), (0, 2));
    host.until(millis(10_300));
    assert_eq!((host.cut_for(1), host.cut_for(2)), (Some("token_expired"), None));
    host.tick(host.now);
    let record = &host.records[0];
    assert_eq!(record.reason, StreamEnd::Over(Reason::TokenExpired));
    assert!(record.cut && (10.0..10.4).contains(&record.open_s), "{record:?}");
    assert_eq!((record.bytes_received, record.bytes_sent), (Some(100), Some(2_000)));
    assert_eq!(record.identity.as_ref().unwrap().id, "s");
    assert_eq!((record.grant.as_deref(), host.records.len()), (Some("open"), 1));
    let stats = host.engine.stats().streams;
    assert_eq!((stats.open, stats.cut[&Reason::TokenExpired]), (1, 1));
    assert_eq!(stats.ended[&StreamEnd::Over(Reason::TokenExpired)], 1);
    host.until(millis(60_300));
    assert_eq!((host.cut_for(2), host.open()), (Some("token_expired"), 0));
}

/// Whatever ends first ends the stream, and its name is the reason.
#[test]
fn a_stream_ends_with_the_first_thing_that_it_rests_on() {
    let mut config = configuration();
    config["streams"] = json!({"max_s": 40});
    with_rule(&mut config, "short", "true");
    let grants = config["bundle"]["inline"]["grants"].as_array_mut().unwrap();
    grants.last_mut().unwrap()["valid_until"] = json!(later(20).to_string());
    let obliged =
        "package everycall.obliged\ndecision := {\"allow\": true, \"obligations\": {\"max_stream_s\": 5}}";
    with_rule(&mut config, "obliged", "true");
    config["bundle"]["inline"]["policies"]["obliged.rego"] = json!(obliged);
    with_rule(&mut config, "elevated", "true");
    let grants = config["bundle"]["inline"]["grants"].as_array_mut().unwrap();
    grants.last_mut().unwrap()["requires_elevation"] = json!(true);
    config["bundle"]["inline"]["elevations"] = json!([{"id": "e", "subject": "s", "grants": ["elevated"],
        "approver": "a", "ticket": "t", "reason": "r", "valid_from": later(-5).to_string(),
        "valid_until": later(15).to_string()}]);
    public(&mut config);
    let mut host = Host::new(&config);
    for (stream, path, lifetime) in
        [(1, "/open", 10), (2, "/short", 60), (3, "/obliged", 60), (4, "/elevated", 60), (5, "/open", 60)]
    {
        host.admit(stream, path, &token(lifetime));
    }
    host.admit_request(get(6, "/public", &[]));
    for (at, stream, expected) in [
        (5, 3, "duration_cap"),
        (10, 1, "token_expired"),
        (15, 4, "elevation_inactive"),
        (20, 2, "not_granted"),
        (40, 5, "duration_cap"),
    ] {
        host.until(millis(at * 1_000 - 100));
        assert_eq!(host.cut_for(stream), None, "{stream}");
        host.until(millis(at * 1_000 + 300));
        assert_eq!(host.cut_for(stream), Some(expected), "{stream}");
    }
    assert_eq!(host.cut_for(6), Some("duration_cap"), "nobody's, and as long");
    host.tick(host.now);
    let elevated = host.records.iter().find(|record| record.elevation.is_some()).unwrap();
    assert_eq!(elevated.elevation.as_deref(), Some("e"));
}

#[test]
fn every_admitted_request_has_a_native_ceiling() {
    let mut config = configuration();
    config["streams"] = json!({"max_s": 30});
    public(&mut config);
    config["observe"] = json!({"hosts": ["h"], "paths": ["/{rest...}"], "until": later(20).to_string()});
    let mut host = Host::new(&config);
    assert_eq!(host.ceiling("/open", &token(10)), "10000");
    assert_eq!(host.ceiling("/open", &token(60)), "30000");
    let permit = done(host.engine.check(get(1, "/public", &[]), NOW)).verdict.unwrap();
    assert!(permit.headers_to_set().any(|set| set == ("x-envoy-upstream-stream-duration-ms", "30000")));
    // A request that is only observed lives no longer than observing does.
    assert_eq!(host.ceiling("/nowhere", &token(60)), "20000");
    assert_eq!(host.ceiling("/nowhere", &token(10)), "10000");
}

/// The host ends it by itself at the same moment: it is no less over for that.
#[test]
fn an_end_by_the_host_s_own_clock_has_the_reason() {
    let mut host = Host::new(&configuration());
    host.admit(1, "/open", &token(10));
    for stream in 2..=4 {
        host.admit(stream, "/open", &token(10));
    }
    host.until(millis(8_800));
    // Its timers are early by a little. One that is early by more is for another reason.
    let timed_out = StreamClose { timed_out: true, ..StreamClose::default() };
    for (stream, close, at, expected) in [
        (1, timed_out, 8_900, None),
        (2, StreamClose::default(), 9_990, None),
        (3, timed_out, 9_990, Some(Reason::TokenExpired)),
        (4, StreamClose::default(), 10_000, Some(Reason::TokenExpired)),
    ] {
        assert_eq!(host.engine.ended(StreamId(stream), close, millis(at)), expected, "{stream}");
    }
    host.tick(millis(10_100));
    let ends: Vec<_> = host.records.iter().map(|record| (record.reason.code(), record.cut)).collect();
    let (closed, expired) = (("closed", false), ("token_expired", true));
    assert_eq!(ends, [closed, closed, expired, expired]);
    assert!(host.cut.is_empty() && host.records[0].bytes_sent.is_none());
}

#[test]
fn ends_are_recorded_of_long_streams_and_of_cut_ones() {
    for (choice, after, expected) in [
        ("all", 5, vec!["token_expired", "closed"]),
        ("all", 0, vec!["closed", "token_expired", "closed"]),
        ("refusals", 0, vec!["token_expired"]),
        ("off", 0, vec![]),
    ] {
        let mut config = configuration();
        config["log"] = json!({"records": choice, "streams_after_s": after});
        let mut engine = engine(&config);
        for (stream, lifetime) in [(1, 60), (2, 4), (3, 60)] {
            let permit = done(engine.check(request(stream, "/open", &token(lifetime)), NOW)).verdict;
            engine.admitted(permit.unwrap().into_parts().1);
        }
        let mut asked_for = 0;
        for (stream, ends) in [(1, 4), (2, 5), (3, 6)] {
            // Only then is the host asked how much went through.
            asked_for += usize::from(
                engine.open_stream(StreamId(stream)).is_some_and(|open| open.asks_for_close(later(ends))),
            );
            engine.ended(StreamId(stream), StreamClose::default(), later(ends));
        }
        assert_eq!(asked_for, expected.len().max(1), "{choice}: the access log shows the one that was cut");
        let effects = engine.work(Work::Records, NOW);
        let ends: Vec<_> = effects
            .into_iter()
            .map(|effect| match effect {
                Effect::Emit { record: everycall_core::Record::Stream(record) } => record.reason.code(),
                other => panic!("{other:?}"),
            })
            .collect();
        assert_eq!(ends, expected, "{choice}");
    }
}

#[test]
fn a_stream_that_is_gone_is_not_cut() {
    let mut host = Host::new(&configuration());
    for stream in 1..=3 {
        host.admit(stream, "/open", &token(10));
    }
    // One while it is young, one once it is settled.
    assert_eq!(host.engine.ended(StreamId(1), StreamClose::default(), millis(1)), None);
    host.until(millis(1_000));
    host.engine.ended(StreamId(2), StreamClose::default(), host.now);
    // What was never there, or twice.
    host.engine.ended(StreamId(2), StreamClose::default(), host.now);
    host.engine.ended(StreamId(77), StreamClose::default(), host.now);
    host.until(millis(12_000));
    assert_eq!(host.cut.into_keys().collect::<Vec<_>>(), [StreamId(3)]);
    assert_eq!(host.engine.stats().streams.open, 0);
    assert_eq!(host.engine.stats().streams.ended[&StreamEnd::Closed], 2);
}

/// A cut that the host did not carry out is told again, and counts once the stream has ended.
#[test]
fn a_cut_is_told_again_until_the_stream_has_ended() {
    let mut engine = engine(&configuration());
    let permit = done(engine.check(request(1, "/open", &token(2)), NOW)).verdict.unwrap();
    engine.admitted(permit.into_parts().1);
    let mut cuts = Vec::new();
    for step in 0..60 {
        let now = millis(step * 100);
        drop(engine.tick(now));
        while engine.has_work(Work::Streams) {
            let told = engine.work(Work::Streams, now);
            cuts.extend(told.into_iter().map(|_| step));
        }
    }
    assert!((3..=5).contains(&cuts.len()) && cuts[0] >= 20, "{cuts:?}");
    assert!(engine.open_stream(StreamId(1)).is_some_and(|open| open.is_cut()));
    assert_eq!(engine.ended(StreamId(1), StreamClose::default(), later(6)), Some(Reason::TokenExpired));
    assert!(!engine.open_stream(StreamId(1)).is_some_and(|open| open.is_cut()));
}

/// The host's clock goes on whatever the wall clock does.
#[test]
fn a_clock_that_is_set_back_gives_no_longer_life() {
    let mut host = Host::new(&configuration());
    host.admit(1, "/open", &token(60));
    host.until(millis(10_000));
    host.admit(2, "/open", &token(60));
    host.tick(later(-3_590));
    for step in 0..=50 {
        host.tick(later(-3_590 + step));
        assert_eq!(host.cut.is_empty(), step < 50, "{step}");
    }
    assert_eq!(host.cut.len(), 2);
    host.tick(later(-3_539));
    assert!((59.0..62.0).contains(&host.records[0].open_s), "{:?}", host.records[0]);
}

#[test]
fn a_clock_that_is_set_forward_ends_what_is_over_by_it() {
    let mut host = Host::new(&configuration());
    host.admit(1, "/open", &token(60));
    host.admit(2, "/open", &token(900));
    host.until(millis(1_000));
    host.tick(later(600));
    host.tick(later(601));
    assert_eq!((host.cut_for(1), host.cut_for(2)), (Some("token_expired"), None));
}

#[test]
fn a_stream_id_that_comes_again_is_another_stream() {
    let mut host = Host::new(&configuration());
    host.admit(1, "/open", &token(10));
    host.until(millis(1_000));
    host.admit(1, "/open", &token(60));
    assert_eq!(host.open(), 1);
    host.until(millis(12_000));
    assert!(host.cut.is_empty());
}
