//! `everycall test`: the case files of a bundle, by the same core and the same evaluator as in the filter.

mod report;

use std::io::{self, IsTerminal as _, Write};
use std::path::PathBuf;

use anyhow::Context as _;
use serde_json::json;

use super::feed_lists::FeedListArgs;
use super::offline::BundleArg;
use super::{Configuration, Outcome};
use crate::suite::{Ran, Suite};
use crate::At;

/// Run the case files of a directory of policies
#[derive(clap::Args)]
#[command(after_help = "Example:\n  everycall test policies --coverage-min 100 --mutate\n\n\
    Runs DIR/cases/*.json under DIR/everycall.yaml. Exit code 1 if a case fails, if fewer rules held in a\n\
    case than --coverage-min asks for, or if --mutate finds a change to a rule that no case notices.\n\n\
    With a bundle and revocations on servers (`bundle.remote`, `revocations.remote`):\n  \
    everycall test policies --bundle shop.bundle --revocations revoked.jsonl")]
pub(super) struct Args {
    /// The directory that holds the configuration and `cases/`
    #[arg(default_value = "policies", value_name = "DIR")]
    directory: PathBuf,
    /// The configuration instead of DIR/everycall.yaml
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,
    #[command(flatten)]
    bundle: BundleArg,
    #[command(flatten)]
    feed_lists: FeedListArgs,
    /// Run the cases whose file or name holds this text; the coverage is that of these cases
    #[arg(long, value_name = "TEXT", default_value = "")]
    filter: String,
    /// What the cases call now: an RFC 3339 instant or Unix seconds; a case's own `at` goes before it
    #[arg(long, value_name = "TIME", allow_negative_numbers = true)]
    at: Option<At>,
    /// Fail if fewer rules than this held in a case
    #[arg(long, value_name = "PERCENT", value_parser = clap::value_parser!(u8).range(0..=100))]
    coverage_min: Option<u8>,
    /// Leave out and turn round each rule and each condition, and fail if no case notices
    #[arg(long, conflicts_with = "filter")]
    mutate: bool,
    /// Write the outcomes as JUnit XML as well
    #[arg(long, value_name = "FILE")]
    junit: Option<PathBuf>,
    /// Print the result as one JSON object on the standard output
    #[arg(long)]
    json: bool,
}

pub(super) fn run(args: &Args, out: &mut dyn Write) -> anyhow::Result<Outcome> {
    let config = args.config.clone().unwrap_or_else(|| args.directory.join("everycall.yaml"));
    let now = super::time(args.at);
    let configuration = args.bundle.apply(Configuration::read(&config)?, Some(now))?;
    let mut configuration = args.feed_lists.apply(configuration, Some(now))?;
    configuration.needs_bundle()?;
    configuration.judge_bundle(now)?;
    configuration.warn_of_unread();
    let unread: Vec<_> =
        configuration.unread().iter().copied().chain(configuration.assume_nothing_told()).collect();
    let document = configuration.opened()?.document.into_owned();
    let suite = match Suite::read(document.clone(), &args.directory.join("cases"), &args.filter, now) {
        Ok(suite) => suite,
        Err(error) if error.unreadable => return Err(error.into()),
        Err(error) => return Ok(bad_files(&error.to_string())),
    };
    if suite.is_empty() {
        anyhow::bail!("no case in `{}` matches", args.directory.join("cases").display());
    }
    let progress = Progress::new();
    let mut count: usize = 0;
    let ran = suite.run(|_| {
        count = count.saturating_add(1);
        progress.show("case", count, suite.len());
    });
    let ran = match ran {
        Ok(ran) => ran,
        Err(error) => return Ok(bad_files(&error.to_string())),
    };
    let coverage = suite.coverage(&ran);
    let mutation = args.mutate.then(|| suite.mutate(&ran, |tried, of| progress.show("change", tried, of)));
    progress.clear();
    if let Some(file) = &args.junit {
        let text = report::junit(&suite, &ran)?;
        std::fs::write(file, text).with_context(|| format!("`{}` cannot be written", file.display()))?;
    }
    let covered = args.coverage_min.is_none_or(|min| coverage.percent() >= usize::from(min));
    let noticed = mutation.as_ref().is_none_or(|mutation| mutation.survivors.is_empty());
    let ok = covered && noticed && ran.iter().all(|ran| ran.failure.is_none());
    if args.json {
        let failures: Vec<_> = failed(&ran).map(report::failure).collect();
        let result = json!({
            "ok": ok,
            "cases": ran.len(),
            "unread": unread,
            "failures": failures,
            "coverage": {"rules": coverage.rules, "percent": coverage.percent(), "uncovered": coverage.uncovered},
            "mutation": mutation.map(|mutation| json!({"changes": mutation.made, "survivors": mutation.survivors})),
        });
        super::write_line(out, &result)?;
    } else {
        report::table(out, &suite, &ran, &document)?;
        report::coverage(out, &coverage, args.coverage_min)?;
        if let Some(mutation) = &mutation {
            report::mutation(out, mutation)?;
        }
        writeln!(out, "{} cases, {} failed", ran.len(), failed(&ran).count())?;
    }
    Ok(Outcome::from_good(ok))
}

/// A case file that is wrong is an input that is not well.
fn bad_files(message: &str) -> Outcome {
    eprintln!("{message}");
    Outcome::Bad
}

fn failed(ran: &[Ran]) -> impl Iterator<Item = &Ran> {
    ran.iter().filter(|ran| ran.failure.is_some())
}

/// A line that is written over, on a terminal; nothing elsewhere.
struct Progress(bool);

impl Progress {
    fn new() -> Self {
        Self(io::stderr().is_terminal())
    }

    fn show(&self, what: &str, done: usize, of: usize) {
        if self.0 {
            eprint!("\r\u{1b}[K{what} {done} of {of}");
        }
    }

    fn clear(&self) {
        if self.0 {
            eprint!("\r\u{1b}[K");
        }
    }
}
