//! What a run of the suites leaves: one JSON document for each target, for the checker to merge.

use serde_json::{json, Value};

use crate::suite::{Suite, Vectors};

/// Runs the suites.
pub fn results(target: &str, suites: &[Suite], vectors: &Vectors) -> Value {
    let suites: Vec<Value> = suites
        .iter()
        .filter(|suite| suite.targets.contains(&target))
        .map(|suite| {
            assert!(suite.minimum > 0, "{}: without a minimum, all cases could get lost", suite.name);
            let cases: Vec<Value> = (suite.run)(vectors)
                .into_iter()
                .map(|case| json!({"id": case.id, "agrees": case.agrees, "note": case.note}))
                .collect();
            json!({"name": suite.name, "cases": cases})
        })
        .collect();
    json!({"target": target, "suites": suites})
}
