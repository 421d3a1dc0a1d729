//! How many instructions a decision takes in the core, natively, counted by Valgrind: figures that do not
//! depend on what else the machine does. Each has a bound, so that what makes decisions dearer is seen when
//! it is made. A table, or with `--json` a row a line; both stand in `target/bench-instructions.json` as well.

use std::path::Path;
use std::process::{Command, ExitCode};

use anyhow::{bail, ensure, Context};
use everycall_instructions::stages::{Ready, Stage, STAGES};
use serde_json::{json, Value};

const HELP: &str = "Counts the instructions that a decision takes in the core.\n\n\
    usage: everycall-instructions [--json] [--check]\n\n\
    \x20 --json    the figures as JSON, no table\n\
    \x20 --check   exit code 1 if a figure is above its bound\n\n\
    example: make bench-instructions";

/// So often each is done in two runs: what a run takes besides is the same in both.
const TIMES: [u64; 2] = [50, 250];

fn main() -> anyhow::Result<ExitCode> {
    let (mut as_json, mut check) = (false, false);
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    if let [run, name, times] = arguments.as_slice() {
        if run == "--run" {
            let stage = STAGES.iter().find(|stage| stage.name == name).context("no such stage")?;
            Ready::new(stage)?.run(times.parse()?)?;
            return Ok(ExitCode::SUCCESS);
        }
    }
    for argument in &arguments {
        match argument.as_str() {
            "--json" => as_json = true,
            "--check" => check = true,
            "--help" => {
                println!("{HELP}");
                return Ok(ExitCode::SUCCESS);
            }
            other => bail!("unknown argument `{other}`; see `--help`"),
        }
    }
    let mut rows = Vec::new();
    for stage in &STAGES {
        eprintln!("counting: {}", stage.what);
        let [few, many] = [count(stage, TIMES[0])?, count(stage, TIMES[1])?];
        rows.push((stage, many.saturating_sub(few) / (TIMES[1] - TIMES[0])));
    }
    let figures: Vec<Value> = rows
        .iter()
        .map(|(stage, counted)| {
            let (beyond, adds) = stage.beyond.unzip();
            json!({"name": stage.name, "what": stage.what, "instructions": counted, "bound": stage.bound,
                "beyond": beyond, "adds": adds})
        })
        .collect();
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
    std::fs::create_dir_all(root.join("target"))?;
    std::fs::write(root.join("target/bench-instructions.json"), format!("{}\n", json!(figures)))?;
    if as_json {
        figures.iter().for_each(|figure| println!("{figure}"));
    } else {
        println!("{:44}  instructions       bound", "");
        for (stage, counted) in &rows {
            let broken = if *counted > stage.bound { "  broken" } else { "" };
            println!("{:44}  {counted:12}  {:10}{broken}", stage.what, stage.bound);
        }
    }
    let holds = rows.iter().all(|(stage, counted)| counted <= &stage.bound);
    Ok(if holds || !check { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

/// All that a run of this stage takes, in instructions.
fn count(stage: &Stage, times: u64) -> anyhow::Result<u64> {
    let output = Command::new("valgrind")
        .args(["--tool=callgrind", "--callgrind-out-file=/dev/null"])
        .arg(std::env::current_exe()?)
        .args(["--run", stage.name, &times.to_string()])
        .output()
        .context("no `valgrind`: install it from the system's packages")?;
    let told = String::from_utf8_lossy(&output.stderr);
    ensure!(output.status.success(), "valgrind: {told}");
    let counted = told.lines().find_map(|line| line.split_once("Collected : "));
    let (_, counted) = counted.with_context(|| format!("valgrind counted nothing: {told}"))?;
    Ok(counted.trim().parse()?)
}
