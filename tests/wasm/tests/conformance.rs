//! The conformance suites and OPA's compliance cases on the module's target. `tests/conformance/run.sh` reads
//! the lines it prints.
#![cfg(target_arch = "wasm32")]

#[path = "../../rego/src/cases.rs"]
mod cases;
#[path = "../../src/json_schema.rs"]
#[allow(dead_code)] // the suites use a part of it
mod json_schema;
#[path = "../../rego/src/ours.rs"]
mod ours;
#[path = "../../conformance/results.rs"]
mod results;
#[path = "../../conformance/suite.rs"]
mod suite;
#[path = "../../conformance/suites/mod.rs"]
mod suites;

use suite::Vectors;
use wasm_bindgen_test::{console_log, wasm_bindgen_test};

const VECTORS: &[(&str, &[u8])] = include!(concat!(env!("OUT_DIR"), "/vectors.rs"));

/// As in the module: nothing here needs entropy.
fn no_entropy(_: &mut [u8]) -> Result<(), getrandom::Error> {
    Err(getrandom::Error::UNSUPPORTED)
}
getrandom::register_custom_getrandom!(no_entropy);

#[wasm_bindgen_test]
fn every_suite_runs() {
    let reference = include_str!(concat!(env!("OUT_DIR"), "/config.json"));
    suite::REFERENCE.set(serde_json::from_str(reference).unwrap()).unwrap();
    let vectors = VECTORS.iter().map(|(path, bytes)| ((*path).to_owned(), bytes.to_vec())).collect();
    let results = results::results("wasm32", &suites::all(), &Vectors(vectors));
    console_log!("everycall-conformance: {results}");
}

#[wasm_bindgen_test]
fn policies_mean_what_they_mean_in_opa() {
    let (_, text) = VECTORS.iter().find(|(path, _)| *path == "opa-compliance/cases.json").unwrap();
    let report = cases::run(std::str::from_utf8(text).unwrap(), "", ours::evaluate).unwrap();
    assert!(report.met(), "{report}");
    let summary = report.to_string();
    console_log!("opa-compliance on wasm32: {}", summary.lines().last().unwrap());
}
