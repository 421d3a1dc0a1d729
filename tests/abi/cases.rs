//! The case files through the ABI: the adapter must come to the same outcome as the core.

use everycall::cases::{asks, run_case, Case, CaseFile};
use everycall::commands::explain::failed_again;
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
    let (mut ran, mut timed, mut failures) = (0, 0, Vec::new());
    for (name, text) in files {
        let file = CaseFile::parse(&name, &text).unwrap();
        for (at, cases) in file.by_time(now()) {
            ran += cases.len();
            timed += cases.iter().filter(|case| case.at().is_some()).count();
            failures.extend(fresh(|| run_lot(&name, &file.config(&base, at), at, cases)));
        }
    }
    assert!(failures.is_empty(), "{}", failures.join("\n"));
    assert!(ran > 100 && timed > 5, "{ran} cases, {timed} with a time of their own");
}

/// Those that failed of cases that take place at the same time.
fn run_lot(file_name: &str, config: &Value, at: UnixTime, cases: &[Case]) -> Vec<String> {
    host(|host| host.nanos = u64::try_from(at.micros()).unwrap() * 1_000);
    let mut vm = Vm::start(config).unwrap();
    let mut failures = Vec::new();
    for case in cases {
        let name = format!("{file_name}: {}", case.name);
        // Each in a second of its own, but for those that name theirs: one has a bound for the signatures that are
        // checked in it.
        if case.at().is_none() {
            host(|host| host.nanos += 1_000_000_000);
        }
        let at = now();
        let mut core = Engine::standalone(Settings::from_value(config.clone()).unwrap(), IdSeed::derive(&[]));
        let expected = run_case(&mut core, case, config, at).unwrap().record;
        if let Err(error) = case.expect.compare(&expected) {
            failures.push(failed_again(config, &name, &error, &expected));
            continue;
        }
        let wire = case.request(config, at).unwrap();
        let outcome = vm.request(&wire, |callout| {
            let asked = expected.pdp.iter().find(|exchange| asks(exchange, &callout.body)).unwrap();
            let protocol = &config["pdps"][&asked.pdp]["protocol"];
            case.pdp_reply(&asked.id, serde_json::from_value(protocol.clone()).unwrap())
        });
        let record = outcome.record.unwrap();
        if let Err(error) = case.expect.compare(&record) {
            failures.push(failed_again(config, &format!("{name}, through the ABI"), &error, &record));
        }
        let allowed = record.decision == Verdict::Allow;
        assert_eq!(outcome.passed, allowed, "{name}");
        assert_eq!(outcome.response.is_none(), allowed, "{name}");
        if let Some(response) = outcome.response {
            assert_eq!(response.status, u32::from(record.status), "{name}");
            // A policy's own body does not have it.
            let of_header = response.headers.iter().find(|(name, _)| name == "x-everycall-decision-id");
            let id = match of_header {
                Some((_, id)) => String::from_utf8(id.clone()).unwrap(),
                None => serde_json::from_slice::<Value>(&response.body).unwrap()["decision_id"]
                    .as_str()
                    .unwrap()
                    .to_owned(),
            };
            assert_eq!(id, record.id, "{name}");
        }
        let summary = outcome.summary.unwrap();
        assert_eq!(summary["id"], record.id.as_str(), "{name}");
        assert_eq!(summary["reason"], record.reason.unwrap().code(), "{name}");
    }
    failures
}
