//! Every case file through a real Envoy, with its path options and without: Envoy, the core behind
//! `everycall decide` and the case must agree on decision and reason. Nobody sets Envoy's clock, so that cases with a time
//! of their own (`at`) are left to the runners that set theirs: natively, through the ABI and on wasm32.

use std::collections::BTreeMap;

use everycall::cases::{run_case, Case, CaseFile};
use everycall::commands::explain::failed_again;
use everycall_core::{DecisionRecord, Engine, IdSeed, Settings, UnixTime};
use everycall_tests::envoy::connection_manager;
use serde_json::{json, Value};

use crate::world::{now, Listener, Paths, World};

#[test]
fn every_case_has_the_same_outcome_in_envoy_as_in_decide() {
    let (base, files) = everycall_tests::cases::all().unwrap();
    let mut files: Vec<(String, CaseFile)> =
        files.iter().map(|(name, text)| (name.clone(), CaseFile::parse(name, text).unwrap())).collect();
    let timed = leave_out_timed(&mut files);
    let started = now();
    let mut listeners = Vec::new();
    for (name, file) in &files {
        let config = file.config(&base, started);
        for paths in [Paths::Mended, Paths::Plain] {
            listeners.push(Listener { name: format!("{name}-{paths:?}"), config: config.clone(), paths });
        }
    }
    let world = World::start_with(&listeners, |document| {
        for listener in document["static_resources"]["listeners"].as_array_mut().unwrap() {
            // A host that Envoy mends is another one than the case's: `hosts` is about these options.
            for option in ["strip_matching_host_port", "strip_trailing_host_dot"] {
                connection_manager(listener)[option] = json!(false);
            }
        }
    });
    let mut failures = Vec::new();
    let (mut ran, mut by_envoy) = (0, 0);
    for (listener, (name, file)) in listeners.iter().zip(files.iter().flat_map(|file| [file, file])) {
        let settings = Settings::from_value(listener.config.clone()).unwrap();
        let mut core = Engine::standalone(settings, IdSeed::derive(&[]));
        for case in &file.cases {
            ran += 1;
            let own = match listener.paths {
                Paths::Mended => case.envoy.as_ref(),
                Paths::Plain => case.envoy_plain.as_ref(),
            };
            by_envoy += usize::from(own.is_some());
            let at = now();
            let expected = run_case(&mut core, case, &listener.config, at).unwrap().record;
            let own = own.map(|answer| answer.status);
            if let Err(error) = run(&world, listener, case, (at, &expected), own) {
                let name = format!("{name} ({:?}): {}", listener.paths, case.name);
                failures.push(failed_again(&listener.config, &name, &error, &expected));
            }
        }
    }
    world.assert_no_crash();
    eprintln!(
        "{ran} cases in Envoy, {by_envoy} of them answered before the filter; {timed} left out, as they have a time of their own"
    );
    assert!(failures.is_empty(), "{} of {ran}:\n{}", failures.len(), failures.join("\n"));
    assert!(ran > 200 && by_envoy < ran / 5, "{ran} ran, {by_envoy} were answered before the filter");
    // Each of the others ran twice.
    assert!(timed < ran / 2 / 10, "{ran} ran, {timed} were left out");
}

/// Takes out the cases that take place at a time of their own, and then the files that hold no other. Answers how many
/// there were.
fn leave_out_timed(files: &mut Vec<(String, CaseFile)>) -> usize {
    let count = |files: &[(String, CaseFile)]| files.iter().map(|(_, file)| file.cases.len()).sum::<usize>();
    let before = count(files);
    for (_, file) in files.iter_mut() {
        file.cases.retain(|case| case.at().is_none());
    }
    files.retain(|(_, file)| !file.cases.is_empty());
    before - count(files)
}

fn run(
    world: &World,
    listener: &Listener,
    case: &Case,
    (at, expected): (UnixTime, &DecisionRecord),
    before_filter: Option<u16>,
) -> Result<(), String> {
    case.expect.compare(expected)?;
    world.answer(answers(case, expected));
    let wire = case.request(&listener.config, at).map_err(|error| error.to_string())?;
    let seen = world.send(&listener.name, &wire);
    if let Some(status) = before_filter {
        return match seen.response.status == status {
            true => Ok(()),
            false => Err(format!(
                "Envoy itself was to answer {status}; answered {} ({})",
                seen.response.status, seen.line
            )),
        };
    }
    let Some(decision) = &seen.decision else {
        return Err(format!("the filter did not decide: {}", seen.line));
    };
    let mut wrong = Vec::new();
    let text = |value: Option<&str>| value.map_or(Value::Null, Value::from);
    for (member, value) in [
        ("decision", serde_json::to_value(expected.decision).unwrap_or_default()),
        ("reason", text(expected.reason.map(|reason| reason.code()))),
        ("layer", serde_json::to_value(expected.layer).unwrap_or_default()),
        ("rule", text(expected.policy.as_ref().and_then(|policy| policy.rule.as_deref()))),
        ("identity", text(expected.identity.as_ref().map(|identity| identity.id.as_str()))),
        ("would_refuse", text(expected.would_refuse.as_ref().map(|would| would.reason.code()))),
        ("grant", text(expected.grant.as_ref().map(|grant| &*grant.id))),
    ] {
        if decision[member] != value {
            wrong.push(format!("{member}: decide says {value}, Envoy {}", decision[member]));
        }
    }
    let allowed = decision["decision"] == "allow";
    if seen.response.status != expected.status || seen.upstream.len() != usize::from(allowed) {
        wrong.push(format!(
            "status {}, {} requests at the upstream",
            seen.response.status,
            seen.upstream.len()
        ));
    }
    match wrong.is_empty() {
        true => Ok(()),
        false => {
            let record = world.records(0).into_iter().find(|record| record["id"] == decision["id"]);
            let detail = record.and_then(|record| Some(record["detail"].as_str()?.to_owned()));
            Err(format!("{} (in Envoy: {})", wrong.join("; "), detail.as_deref().unwrap_or("no detail")))
        }
    }
}

fn answers(case: &Case, record: &DecisionRecord) -> BTreeMap<String, everycall::cases::PdpAnswer> {
    let question =
        |exchange: &everycall_core::record::PdpExchange| Value::Object(exchange.question.clone()).to_string();
    let by_question = record.pdp.iter().map(|exchange| (question(exchange), case.pdp_answer(&exchange.id)));
    // What is asked over gRPC is known by its id.
    let by_id =
        record.pdp.iter().map(|exchange| (format!("id {}", exchange.id), case.pdp_answer(&exchange.id)));
    by_question.chain(by_id).collect()
}
