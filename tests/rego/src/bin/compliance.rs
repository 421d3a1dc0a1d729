//! Runs OPA's compliance cases: all, or those whose note contains a text.

use std::path::PathBuf;
use std::process::ExitCode;

use clap::Parser;
use everycall_rego_tests::{cases, interpreter, ours};

/// Runs OPA's compliance cases, each by itself and read by a rule of another package.
#[derive(Parser)]
struct Arguments {
    /// The folder of vectors.
    #[arg(long, env = "VECTORS", default_value = "../shared/vectors")]
    vectors: PathBuf,
    /// Only cases whose note contains this.
    #[arg(default_value = "")]
    only: String,
    /// Run them with regorus' interpreter: a test of the cases.
    #[arg(long)]
    interpreter: bool,
}

fn main() -> ExitCode {
    let arguments = Arguments::parse();
    let path = arguments.vectors.join("opa-compliance/cases.json");
    let text = match std::fs::read_to_string(&path) {
        Ok(text) => text,
        Err(error) => {
            eprintln!("error: {}: {error}", path.display());
            return ExitCode::from(2);
        }
    };
    let evaluate = if arguments.interpreter {
        interpreter::quiet();
        interpreter::evaluate
    } else {
        ours::evaluate
    };
    match cases::run(&text, &arguments.only, evaluate) {
        Ok(report) => {
            println!("{report}");
            if report.met() {
                ExitCode::SUCCESS
            } else {
                ExitCode::FAILURE
            }
        }
        Err(error) => {
            eprintln!("error: {}: {error}", path.display());
            ExitCode::from(2)
        }
    }
}
