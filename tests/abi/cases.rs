//! The case files through the ABI: the adapter must come to the same outcome as the core.

use everycall::cases::{asks, run_case, CaseFile};
use everycall_core::{Engine, IdSeed, Settings, UnixTime, Verdict};
use serde_json::Value;

use crate::fake::host;
use crate::vm::{fresh, Vm};

fn now() -> UnixTime {
    UnixTime::from_micros(host(|host| host.nanos / 1_000).try_into().unwrap())
}

#[test]
fn every_case_has_the_same_outcome_as_in_the_core() {
    let (base, files) = everycall_tests::cases::all().unwrap();
    let mut ran = 0;
    for (name, text) in files {
        ran += fresh(|| run_file(&name, &text, &base));
    }
    assert!(ran > 100, "{ran} cases");
}

fn run_file(name: &str, text: &str, base: &Value) -> usize {
    let file = CaseFile::parse(name, text).unwrap();
    let config = file.config(base, now());
    let mut vm = Vm::start(&config).unwrap();
    let mut failures = Vec::new();
    for case in &file.cases {
        // Each in a second of its own: one has a bound for the signatures that are checked in it.
        host(|host| host.nanos += 1_000_000_000);
        let at = now();
        let mut core = Engine::standalone(Settings::from_value(config.clone()).unwrap(), IdSeed::derive(&[]));
        let expected = run_case(&mut core, case, &config, at).unwrap().record;
        if let Err(error) = case.expect.compare(&expected) {
            failures.push(format!("{name}: {}: {error}", case.name));
            continue;
        }
        let wire = case.request(&config, at).unwrap();
        let outcome = vm.request(&wire, |callout| {
            let asked = expected.pdp.iter().find(|exchange| asks(exchange, &callout.body)).unwrap();
            let protocol = &config["pdps"][&asked.pdp]["protocol"];
            case.pdp_reply(&asked.id, serde_json::from_value(protocol.clone()).unwrap())
        });
        let record = outcome.record.unwrap();
        if let Err(error) = case.expect.compare(&record) {
            failures.push(format!("{name}: {}: through the ABI: {error}", case.name));
        }
        let allowed = record.decision == Verdict::Allow;
        assert_eq!(outcome.passed, allowed, "{name}: {}", case.name);
        assert_eq!(outcome.response.is_none(), allowed, "{name}: {}", case.name);
        if let Some(response) = outcome.response {
            assert_eq!(response.status, u32::from(record.status));
            // A policy's own body does not have it.
            let of_header = response.headers.iter().find(|(name, _)| name == "x-everycall-decision-id");
            let id = match of_header {
                Some((_, id)) => String::from_utf8(id.clone()).unwrap(),
                None => serde_json::from_slice::<Value>(&response.body).unwrap()["decision_id"]
                    .as_str()
                    .unwrap()
                    .to_owned(),
            };
            assert_eq!(id, record.id);
        }
        let summary = outcome.summary.unwrap();
        assert_eq!(summary["id"], record.id.as_str());
        assert_eq!(summary["reason"], record.reason.unwrap().code());
    }
    assert!(failures.is_empty(), "\n{}", failures.join("\n"));
    file.cases.len()
}
