//! The conformance suites: `run VECTORS` runs them natively, `envoy VECTORS` those that a real Envoy has
//! a part in, `check` merges what all targets left in `target/conformance/` and prints the verdict.

mod check;
mod envoy;
mod files;
mod results;
mod suite;
mod suites;

use std::path::Path;
use std::process::ExitCode;
use std::{env, fs};

use anyhow::{bail, Context};
use check::{Deviation, Report, Results};
use everycall_tests::envoy::root;
use everycall_tests::json_schema;
use serde_json::json;
use suite::Vectors;

fn main() -> anyhow::Result<ExitCode> {
    let arguments: Vec<String> = env::args().skip(1).collect();
    match arguments.iter().map(String::as_str).collect::<Vec<_>>().as_slice() {
        ["run", folder] => {
            let vectors = read(Path::new(folder))?;
            write("native", &results::results("native", &suites::all(), &vectors))
        }
        ["envoy", folder] => write("envoy", &envoy::results(&read(Path::new(folder))?)?),
        ["check"] => verdict(),
        _ => bail!("expected `run VECTORS`, `envoy VECTORS` or `check`"),
    }
}

fn read(folder: &Path) -> anyhow::Result<Vectors> {
    suite::REFERENCE
        .get_or_init(|| everycall_tests::cases::reference().expect("the reference configuration"));
    let mut vectors = Vectors(Default::default());
    for (name, path) in files::files_below(folder) {
        vectors.0.insert(name, fs::read(&path).with_context(|| path.display().to_string())?);
    }
    Ok(vectors)
}

fn write(target: &str, results: &serde_json::Value) -> anyhow::Result<ExitCode> {
    let out = root().join("target/conformance");
    fs::create_dir_all(&out)?;
    fs::write(out.join(format!("{target}.json")), results.to_string())?;
    Ok(ExitCode::SUCCESS)
}

fn verdict() -> anyhow::Result<ExitCode> {
    let list = fs::read(root().join("tests/conformance/deviations.json"))?;
    let deviations: Vec<Deviation> = serde_json::from_slice(&list).context("deviations.json")?;
    let mut results = Vec::new();
    for (name, path) in files::files_below(&root().join("target/conformance")) {
        let text = fs::read(&path).with_context(|| name.clone())?;
        let found: Results = serde_json::from_slice(&text).with_context(|| name.clone())?;
        if name != format!("{}.json", found.target) {
            bail!("{name} holds the results of `{}`", found.target);
        }
        results.push(found);
    }
    let suites: Vec<_> = suites::all().into_iter().chain(envoy::suites()).collect();
    let report = check::check(&suites, &deviations, &results);
    print(&report, &deviations);
    fs::write(root().join("target/conformance.json"), json!({"suites": report.rows}).to_string())?;
    Ok(if report.failures.is_empty() { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

fn print(report: &Report, deviations: &[Deviation]) {
    println!("{:<28} {:<8} {:>7} {:>10} {:>7}", "suite", "target", "passed", "deviations", "failed");
    for row in &report.rows {
        let check::Row { name, target, passed, deviations, failed } = row;
        println!("{name:<28} {target:<8} {passed:>7} {deviations:>10} {failed:>7}");
    }
    println!("\nDeviations, all on purpose:");
    for Deviation { suite, case, reason } in deviations {
        println!("  {suite} {case}: {reason}");
    }
    for failure in &report.failures {
        println!("FAILED {failure}");
    }
}
