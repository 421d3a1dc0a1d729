//! `everycall version`: which one this is.

use std::io::Write;

use super::Outcome;

/// Print the version of `everycall`, as `--version` does
#[derive(clap::Args)]
#[command(after_help = "Example:\n  everycall version")]
pub(super) struct Args {}

pub(super) fn run(out: &mut dyn Write) -> anyhow::Result<Outcome> {
    write!(out, "{}", super::cli().render_version())?;
    Ok(Outcome::Good)
}
