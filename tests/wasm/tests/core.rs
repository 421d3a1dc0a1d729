//! The case files and the builtins, decided by the core on the module's target.
#![cfg(target_arch = "wasm32")]

#[path = "../../../filter/core/tests/builtins.rs"]
mod builtins;

use everycall::cases::{run_case, CaseFile};
use everycall_core::{Engine, IdSeed, Settings, UnixTime};
use wasm_bindgen_test::wasm_bindgen_test;

const CONFIG: &str = include_str!(concat!(env!("OUT_DIR"), "/config.json"));
const CASES: &[(&str, &str)] = include!(concat!(env!("OUT_DIR"), "/cases.rs"));
const NOW: UnixTime = UnixTime::from_secs(1_800_000_000);

/// As in the module: nothing here needs entropy.
fn no_entropy(_: &mut [u8]) -> Result<(), getrandom::Error> {
    Err(getrandom::Error::UNSUPPORTED)
}
getrandom::register_custom_getrandom!(no_entropy);

#[wasm_bindgen_test]
fn every_case_has_its_outcome() {
    let base = serde_json::from_str(CONFIG).unwrap();
    let mut failures = Vec::new();
    let mut ran = 0;
    for (name, text) in CASES {
        let file = CaseFile::parse(name, text).unwrap();
        for (now, cases) in file.by_time(NOW) {
            let config = file.config(&base, now);
            let settings = Settings::from_value(config.clone()).unwrap();
            let mut engine = Engine::standalone(settings, IdSeed::derive(&[]));
            for case in cases {
                let decision = run_case(&mut engine, case, &config, now).unwrap();
                if let Err(error) = case.expect.compare(&decision.record) {
                    failures.push(format!("{name}: {}: {error}", case.name));
                }
                ran += 1;
            }
        }
    }
    assert!(failures.is_empty(), "\n{}", failures.join("\n"));
    assert!(ran > 100, "{ran} cases");
}

#[wasm_bindgen_test]
fn builtins_are_those_of_the_native_core() {
    builtins::the_table_covers_exactly_what_is_offered();
    builtins::wrong_typed_and_missing_inputs_never_pass();
    builtins::builtins_that_are_not_offered_do_not_compile();
}
