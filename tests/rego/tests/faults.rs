//! The seven faults for which a virtual machine was replaced, each with what is near it: in a rule that
//! allows, and under `not`.

use everycall_rego_tests::ours::evaluate;
use everycall_rego_tests::stored::Stored;
use serde::Deserialize;

#[derive(Deserialize)]
struct Case {
    fault: u8,
    what: String,
    #[serde(flatten)]
    program: serde_json::Value,
}

#[test]
fn the_seven_faults_and_what_is_near_them() {
    let text = include_str!("../cases/faults.json");
    let cases: Vec<Case> = serde_json::from_str(text).expect("faults.json");
    let mut failures = Vec::new();
    for Case { fault, what, program } in &cases {
        let program: Stored = serde_json::from_str(&program.to_string()).expect(what);
        if let Err(failure) = program.check(evaluate) {
            failures.push(format!("fault {fault}, {what}: {failure}"));
        }
    }
    for fault in 1..=7 {
        assert!(cases.iter().filter(|case| case.fault == fault).count() >= 8, "fault {fault}");
    }
    println!("{} cases", cases.len());
    assert!(failures.is_empty(), "{} of {}:\n{}", failures.len(), cases.len(), failures.join("\n"));
}
