use std::slice::from_ref;

use serde_json::json;

use super::*;
use crate::identity::{Identity, Kind};

const NOW: UnixTime = UnixTime::from_secs(1_800_000_000);
const MAX: usize = 100;

fn at(secs: i64) -> UnixTime {
    NOW.plus_secs(secs)
}

/// An agent that acts for `alice`, with `planner` before it in the chain.
fn caller() -> Revocable {
    Revocable::of(&Identity {
        kind: Kind::Agent,
        id: "agent".into(),
        issuer: "https://id".into(),
        credential: "jwt".into(),
        on_behalf_of: Some("alice".into()),
        actors: vec!["planner".into(), "first".into()],
        task: Some("t-1".into()),
        token_id: None,
        key_id: None,
        bound: None,
        not_before: NOW,
        expires_at: at(60),
        claims: Default::default(),
    })
}

fn line(about: &str, id: &str, value: Value) -> Value {
    json!({"about": about, "id": id, "signal": "risk", "value": value, "expires_at": at(60).to_string()})
}

fn with(mut line: Value, name: &str, value: Value) -> Value {
    line[name] = value;
    line
}

fn take(signals: &mut Signals, lines: &[Value]) -> Result<bool, Full> {
    lines.iter().for_each(|line| signals.stage(line.clone()).unwrap());
    signals.commit(usize::MAX, NOW, MAX)
}

fn known(lines: &[Value]) -> Signals {
    let mut signals = Signals::default();
    assert_eq!(take(&mut signals, lines), Ok(false));
    signals
}

fn reads(path: &[&str]) -> Reads {
    let mut reads = Reads::default();
    reads.add(path.iter().map(|name| (*name).into()).collect());
    reads
}

fn all() -> Reads {
    reads(&["signals"])
}

fn seen(signals: &Signals, now: UnixTime) -> Value {
    let SignalsRecord { identity, on_behalf_of, actors, task, .. } =
        signals.of_call(Some(&caller()), &all(), now);
    json!([identity, on_behalf_of, actors, task])
}

#[test]
fn each_part_of_a_call_has_its_own() {
    let nothing = json!([{}, {}, [{}, {}], {}]);
    let high = json!({"risk": "high"});
    for (about, id, pointer) in [
        ("identity", "agent", "/0"),
        ("identity", "alice", "/1"),
        ("identity", "planner", "/2/0"),
        ("identity", "first", "/2/1"),
        ("task", "t-1", "/3"),
    ] {
        let mut expected = nothing.clone();
        *expected.pointer_mut(pointer).unwrap() = high.clone();
        let said = line(about, id, json!("high"));
        assert_eq!(seen(&known(from_ref(&said)), NOW), expected, "{id}");
        let issued = with(said.clone(), "issuer", json!("https://id"));
        assert_eq!(seen(&known(&[issued]), NOW), expected, "{id}");
        for near in [
            with(said.clone(), "issuer", json!("https://other")),
            with(said.clone(), "id", json!(format!("{id} "))),
            with(said.clone(), "about", json!(if about == "task" { "identity" } else { "task" })),
        ] {
            assert_eq!(seen(&known(from_ref(&near)), NOW), nothing, "{near}");
        }
    }
    let nobody = known(&[line("identity", "agent", json!(1))]).of_call(None, &all(), NOW);
    assert_eq!(nobody, SignalsRecord::default());
}

#[test]
fn a_later_one_replaces_and_a_past_one_withdraws() {
    let (low, high) = (line("task", "t-1", json!("low")), line("task", "t-1", json!("high")));
    let over = with(high.clone(), "expires_at", json!(NOW.to_string()));
    let other = with(over.clone(), "signal", json!("other"));
    let task = |lines: &[Value]| seen(&known(lines), NOW)[3].clone();
    assert_eq!(task(&[low.clone(), high.clone()]), json!({"risk": "high"}));
    assert_eq!(task(&[high.clone(), low.clone()]), json!({"risk": "low"}));
    assert_eq!(task(&[high.clone(), over.clone()]), json!({}));
    assert_eq!(task(&[over.clone(), high.clone()]), json!({"risk": "high"}));
    assert_eq!(task(&[high.clone(), other]), json!({"risk": "high"}));
    assert_eq!(task(&[high.clone(), with(over, "issuer", json!("https://id"))]), json!({"risk": "high"}));
    let issued = with(low, "issuer", json!("https://id"));
    for order in [[issued.clone(), high.clone()], [high, issued]] {
        assert_eq!(task(&order), json!({"risk": "low"}), "who names the issuer counts");
    }
}

#[test]
fn each_ends_to_the_microsecond() {
    let mut said = line("task", "t-1", json!(true));
    said["expires_at"] = json!("2027-01-15T08:00:00.25Z");
    let signals = known(&[said]);
    let end = UnixTime::from_micros(NOW.micros() + 250_000);
    assert_eq!(seen(&signals, UnixTime::from_micros(end.micros() - 1))[3], json!({"risk": true}));
    assert_eq!(seen(&signals, end)[3], json!({}));
}

#[test]
fn only_names_that_are_read_are_there() {
    let signals = known(&[
        line("task", "t-1", json!(1)),
        with(line("task", "t-1", json!(2)), "signal", json!("other")),
    ]);
    let task = |path: &[&str]| json!(signals.of_call(Some(&caller()), &reads(path), NOW).task);
    assert_eq!(task(&["signals", "task", "risk"]), json!({"risk": 1}));
    assert_eq!(task(&["signals", "task"]), json!({"risk": 1, "other": 2}));
    assert_eq!(task(&["signals", "identity", "risk"]), json!({}));
}

#[test]
fn lines_that_are_no_signals_are_refused() {
    let good = line("task", "t-1", json!("high"));
    let long = |count: usize| json!("a".repeat(count));
    for (name, value, place) in [
        ("about", json!("token"), "about"),
        ("about", json!(null), "about"),
        ("id", json!(""), "id"),
        ("id", long(2_049), "id"),
        ("issuer", json!(""), "issuer"),
        ("ticket", long(2_049), "ticket"),
        ("signal", json!("Risk"), "signal"),
        ("signal", json!("1"), "signal"),
        ("signal", json!("a-b"), "signal"),
        ("signal", json!(""), "signal"),
        ("signal", long(65), "signal"),
        ("value", json!(null), "value"),
        ("value", json!([1]), "value"),
        ("value", json!({}), "value"),
        ("value", long(257), "value"),
        ("expires_at", json!("tomorrow"), "expires_at"),
        ("expires_at", json!(1_800_000_000), "expires_at"),
        ("severity", json!(1), "severity"),
    ] {
        let line = with(good.clone(), name, value.clone());
        let error = Signal::read(line).and_then(|line| line.check()).unwrap_err();
        assert!(error.starts_with(place) || error.contains(&format!("`{place}`")), "{error}");
    }
    for name in ["about", "id", "signal", "value", "expires_at"] {
        let mut line = good.clone();
        line.as_object_mut().unwrap().remove(name);
        assert!(Signal::read(line).unwrap_err().contains(name), "{name}");
    }
    for value in [long(256), json!(-1.5), json!(false)] {
        assert_eq!(Signal::read(with(good.clone(), "value", value)).unwrap().check(), Ok(()));
    }
}

#[test]
fn what_is_known_is_bounded() {
    let named =
        |id: &str, number: usize| with(line("task", id, json!(1)), "signal", json!(format!("s{number}")));
    let many: Vec<Value> = (0..MAX_ABOUT_ONE).map(|number| named("t-1", number)).collect();
    let mut signals = known(&many);
    assert_eq!(take(&mut signals, &[named("t-1", 0)]), Ok(false), "it is known already");
    assert!(take(&mut signals, &[named("t-1", 99)]).is_err());
    assert_eq!(take(&mut signals, &[named("t-2", 99)]), Ok(false));
    // A full list may name others: those before it go when it is complete.
    signals.begin_full();
    let others: Vec<Value> = (20..20 + MAX_ABOUT_ONE).map(|number| named("t-1", number)).collect();
    assert_eq!(take(&mut signals, &others), Ok(false));
    signals.begin_tidy();
    while signals.tidy(3, NOW, true) {}
    assert_eq!(signals.len(), MAX_ABOUT_ONE);
    let ids: Vec<Value> = (0..MAX).map(|id| named(&format!("u-{id}"), 0)).collect();
    assert_eq!(take(&mut Signals::default(), &ids), Ok(false));
    assert_eq!(take(&mut signals, &ids), Err(Full::ENTRIES));
}

#[test]
fn what_comes_changes_and_goes_is_news() {
    let task = Handle::of(RevocationKind::Task, None, "t-1");
    let low = line("task", "t-1", json!("low"));
    let mut signals = known(from_ref(&low));
    let news = |signals: &mut Signals, lines: &[Value]| {
        take(signals, lines).unwrap();
        signals.take_newly().contains(&task)
    };
    assert!(news(&mut signals, &[]));
    let version = signals.version();
    assert!(!news(&mut signals, from_ref(&low)), "nothing changed");
    assert_eq!(signals.version(), version);
    assert!(news(&mut signals, &[line("task", "t-1", json!("high"))]));
    assert!(news(&mut signals, &[with(low.clone(), "expires_at", json!(at(90).to_string()))]));
    assert!(news(&mut signals, &[with(low.clone(), "expires_at", json!(at(-1).to_string()))]));
    assert!(!news(&mut signals, &[with(low.clone(), "expires_at", json!(at(-1).to_string()))]));
    assert!(!news(&mut signals, &[line("task", "t-2", json!(1))]));
    for (signed_at, named_only) in [(at(60), false), (NOW, true)] {
        let mut signals = known(from_ref(&low));
        assert!(news(&mut signals, &[]));
        signals.begin_full();
        signals.begin_tidy();
        while signals.tidy(10, signed_at, named_only) {}
        assert!(news(&mut signals, &[]) && signals.len() == 0);
    }
}
