//! Policies as people publish them for Envoy and Istio with OPA: they run unchanged, and say the same.

use std::path::Path;

use everycall_rego_tests::ours::evaluate;
use everycall_rego_tests::stored::{Stored, Want};
use serde::Deserialize;
use serde_json::value::RawValue;

#[derive(Deserialize)]
struct Policy {
    query: String,
    #[serde(default)]
    data: Option<Box<RawValue>>,
    cases: Vec<Case>,
}

#[derive(Deserialize)]
struct Case {
    #[serde(default)]
    input: Option<Box<RawValue>>,
    want: Want,
}

#[test]
fn published_policies_say_what_they_say_in_opa() {
    let folder = Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/policies"));
    let (mut policies, mut count, mut failures) = (0, 0, Vec::new());
    let mut files: Vec<_> =
        folder.read_dir().expect("the folder").map(|entry| entry.expect("an entry").path()).collect();
    files.sort();
    for file in files.iter().filter(|file| file.extension().is_some_and(|extension| extension == "rego")) {
        let text = std::fs::read_to_string(file).expect("a policy");
        let cases = std::fs::read_to_string(file.with_extension("json")).expect("its cases");
        let Policy { query, data, cases } = serde_json::from_str(&cases).expect("its cases");
        policies += 1;
        for (at, Case { input, want }) in cases.into_iter().enumerate() {
            count += 1;
            let data = data.clone().unwrap_or_else(|| RawValue::from_string("{}".to_owned()).expect("JSON"));
            let stored =
                Stored { modules: vec![text.clone()], data, input, query: query.clone(), want, got: None };
            if let Err(failure) = stored.check(evaluate) {
                failures.push(format!("{}, case {at}: {failure}", file.display()));
            }
        }
    }
    println!("{policies} policies, {count} cases");
    assert!(policies >= 20);
    assert!(failures.is_empty(), "{} of {count}:\n{}", failures.len(), failures.join("\n"));
}
