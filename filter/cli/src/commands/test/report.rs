//! What `everycall test` says: a line a file, what failed and why, and the same as JUnit XML.

use std::io::Write;

use quick_junit::{NonSuccessKind, Report, TestCase, TestCaseStatus, TestSuite};
use serde_json::{json, Value};

use crate::commands::explain::{self, visible, Policies};
use crate::suite::{Coverage, Mutation, Ran, Suite};

/// A line for each file, with the cases that failed below it.
pub(super) fn table(
    out: &mut dyn Write,
    suite: &Suite,
    ran: &[Ran],
    document: &Value,
) -> std::io::Result<()> {
    let policies = Policies::of(document);
    let width = suite.files().map(|(name, _)| name.chars().count()).max().unwrap_or_default();
    for (name, _) in suite.files() {
        let cases: Vec<&Ran> = ran.iter().filter(|ran| ran.file == name).collect();
        let failed = cases.iter().filter(|ran| ran.failure.is_some()).count();
        let outcome = if failed == 0 { "ok".to_owned() } else { format!("{failed} FAILED") };
        writeln!(out, "{name:<width$}  {:>4} cases  {outcome}", cases.len())?;
        for ran in cases {
            if let Some(failure) = &ran.failure {
                writeln!(
                    out,
                    "{}",
                    explain::failed(&ran.name, failure, &ran.record, &ran.traces, &policies)
                )?;
            }
        }
    }
    Ok(())
}

pub(super) fn coverage(out: &mut dyn Write, coverage: &Coverage, min: Option<u8>) -> std::io::Result<()> {
    let covered = coverage.rules.saturating_sub(coverage.uncovered.len());
    let percent = coverage.percent();
    let short = min.filter(|min| percent < usize::from(*min));
    let note = short.map(|min| format!(", but {min} % are asked for")).unwrap_or_default();
    writeln!(out, "coverage: {covered} of {} rules held in a case ({percent} %){note}", coverage.rules)?;
    for rule in &coverage.uncovered {
        writeln!(out, "  {}:{}: {} held in no case", rule.file, rule.line, rule.rule)?;
    }
    Ok(())
}

pub(super) fn mutation(out: &mut dyn Write, mutation: &Mutation) -> std::io::Result<()> {
    let survivors = mutation.survivors.len();
    let noticed = mutation.made.saturating_sub(survivors);
    writeln!(out, "mutation: {noticed} of {} changes to rules were noticed", mutation.made)?;
    for survivor in &mutation.survivors {
        let text = visible(&survivor.text);
        writeln!(out, "  {}:{}: no case notices: {}: {text}", survivor.file, survivor.line, survivor.change)?;
    }
    Ok(())
}

pub(super) fn failure(ran: &Ran) -> Value {
    json!({"file": ran.file, "case": ran.name, "failure": ran.failure, "record": ran.record})
}

/// JUnit XML: a suite a file.
pub(super) fn junit(suite: &Suite, ran: &[Ran]) -> Result<String, quick_junit::SerializeError> {
    let mut report = Report::new("everycall");
    for (name, _) in suite.files() {
        let mut cases = TestSuite::new(name);
        for ran in ran.iter().filter(|ran| ran.file == name) {
            let status = match &ran.failure {
                None => TestCaseStatus::success(),
                Some(failure) => {
                    let mut status = TestCaseStatus::non_success(NonSuccessKind::Failure);
                    status.set_message(failure.as_str());
                    status
                }
            };
            let mut case = TestCase::new(ran.name.as_str(), status);
            case.set_classname(name);
            cases.add_test_case(case);
        }
        report.add_test_suite(cases);
    }
    report.to_string()
}
