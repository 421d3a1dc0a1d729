//! Programs with OPA's answers: made at random, and those that once were answered otherwise.

use std::path::Path;

use everycall_rego_tests::ours::evaluate;
use everycall_rego_tests::stored::Stored;

fn run(programs: impl Iterator<Item = (String, Stored)>) {
    let (mut count, mut failures) = (0, Vec::new());
    for (name, stored) in programs {
        count += 1;
        if let Err(failure) = stored.check(evaluate) {
            failures.push(format!("{name}: {failure}"));
        }
    }
    println!("{count} programs, {} answered otherwise than in OPA", failures.len());
    assert!(
        failures.is_empty(),
        "{} differ, the first ones:\n{}",
        failures.len(),
        failures[..failures.len().min(5)].join("\n")
    );
}

fn cases() -> &'static Path {
    Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/cases"))
}

fn run_file(name: &str) {
    let text = std::fs::read_to_string(cases().join(name)).expect(name);
    let lines = text.lines().enumerate();
    run(lines.map(|(at, line)| (format!("{name}:{}", at + 1), serde_json::from_str(line).expect(line))));
}

#[test]
fn programs_at_random() {
    run_file("stored.jsonl");
}

/// Programs by hand that OPA was asked about: orders of evaluation, its index, replaced functions, a minus.
#[test]
fn programs_by_hand() {
    run_file("asked.jsonl");
}

#[test]
fn differences_that_were() {
    let Ok(folder) = std::fs::read_dir(cases().join("differences")) else { return };
    let mut files: Vec<_> = folder.map(|entry| entry.expect("an entry").path()).collect();
    files.sort();
    run(files.iter().map(|file| {
        let text = std::fs::read_to_string(file).expect("a case");
        (file.display().to_string(), serde_json::from_str(&text).expect("a case"))
    }));
}
