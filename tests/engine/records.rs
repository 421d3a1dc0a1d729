//! Records of decisions, their ids, and what explains them.

use std::collections::BTreeSet;

use everycall::cases::{run_case, CaseFile};
use everycall_core::{DecisionRecord, Effect, Engine, IdSeed, Reason, Work};
use serde_json::{json, Value};

use super::{configuration, done, engine, reason, request, settings, token, NOW};

#[test]
fn decision_ids_are_unique() {
    let mut ids = BTreeSet::new();
    for seed in [&b"worker 1"[..], b"worker 2"] {
        let mut engine = Engine::standalone(settings(&configuration()), IdSeed::derive(&[seed]));
        for _ in 0..1_000 {
            let record = done(engine.check(request(1, "/nowhere", "Bearer x"), NOW)).record;
            assert!(record.id.len() == 32 && record.id.bytes().all(|b| b.is_ascii_hexdigit()));
            ids.insert(record.id);
        }
    }
    assert_eq!(ids.len(), 2_000);
}

#[test]
fn records_go_out_a_few_at_a_time_and_by_choice() {
    for (choice, expected) in [("all", 3), ("refusals", 2), ("off", 0)] {
        let mut config = configuration();
        config["log"] = json!({"records": choice});
        let mut engine = engine(&config);
        let calls = [("/open", token(60)), ("/nowhere", token(60)), ("/open", "Bearer x".into())];
        for (path, token) in calls.iter().cycle().take(3 * 15) {
            let record = done(engine.check(request(1, path, token), NOW)).record;
            engine.record(&record);
        }
        let mut written = 0;
        loop {
            let effects = engine.work(Work::Records, NOW);
            assert!(effects.len() <= 20, "{choice}");
            if effects.is_empty() {
                break;
            }
            written += effects.iter().filter(|effect| matches!(effect, Effect::Emit { .. })).count();
        }
        assert_eq!(written, 15 * expected, "{choice}");
    }
}

#[test]
fn a_record_replays_to_the_same_outcome_and_holds_no_token() {
    let (base, files) = everycall_tests::cases::all().unwrap();
    let (mut replayed, mut delegated) = (0, 0);
    for (name, text) in files {
        let file = CaseFile::parse(&name, &text).unwrap();
        for (now, cases) in file.by_time(NOW) {
            let config = file.config(&base, now);
            let mut engine = engine(&config);
            let mut replayer = self::engine(&config);
            for case in cases {
                let record = run_case(&mut engine, case, &config, now).unwrap().record;
                let text = serde_json::to_string(&record).unwrap();
                for (header, value) in case.request(&config, now).unwrap().headers {
                    let signature =
                        value.rsplit(|b| *b == b'.').next().map(String::from_utf8_lossy).unwrap_or_default();
                    assert!(
                        header != "authorization" || signature.len() < 40 || !text.contains(&*signature),
                        "{name}: {}",
                        case.name
                    );
                }
                let read = serde_json::from_str(&text).unwrap();
                let again = replayer.replay(&read).record;
                assert_eq!(again.decision, record.decision, "{name}: {}: {text}", case.name);
                assert_eq!(again.reason, record.reason, "{name}: {}: {text}", case.name);
                assert_eq!(again.policy, record.policy, "{name}: {}", case.name);
                // A record of version 1, in which one word was another.
                let mut before: Value = serde_json::from_str(&text).unwrap();
                before["v"] = json!(1);
                for place in ["/identity", "/signals"] {
                    if let Some(members) = before.pointer_mut(place).and_then(Value::as_object_mut) {
                        let value = members.remove("on_behalf_of").unwrap();
                        delegated += usize::from(value.is_string());
                        members.insert("principal".to_owned(), value);
                    }
                }
                let of_before = serde_json::from_value(before.clone()).unwrap();
                let again = replayer.replay(&of_before).record;
                let outcome =
                    |record: &DecisionRecord| (record.decision, record.reason, record.policy.clone());
                assert_eq!(outcome(&again), outcome(&record), "{name}: {}: {before}", case.name);
                replayed += 1;
            }
        }
    }
    assert!(replayed > 500 && delegated > 20, "{replayed}, {delegated}");
}

#[test]
fn an_explanation_names_the_conditions_that_did_not_hold() {
    let mut config = configuration();
    config["bundle"]["inline"]["policies"]["open.rego"] = json!(
        "package everycall.open\ndecision := {\"allow\": true} if {\n\tinput.identity.id == \"s\"\n\tinput.identity.task != null\n\tinput.time > 0\n}\n\
         decision := {\"allow\": true} if input.grant.id == \"other\"\n"
    );
    let mut engine = engine(&config);
    let record = done(engine.check(request(1, "/open", &token(60)), NOW)).record;
    assert_eq!(record.reason, Some(Reason::PolicyUndefined));
    engine.traces();
    engine.replay(&record);
    let traces = engine.traces();
    let unmet: Vec<_> =
        traces.iter().flat_map(|trace| &trace.rules).map(|rule| rule.stopped.clone()).collect();
    assert_eq!(
        unmet,
        [
            Some((4, "input.identity.task != null".to_owned())),
            Some((7, "decision := {\"allow\": true} if input.grant.id == \"other\"".to_owned())),
        ]
    );
    // It decides as before.
    assert_eq!(reason(engine.check(request(1, "/open", &token(60)), NOW)), Reason::PolicyUndefined);
}
