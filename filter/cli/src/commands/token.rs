//! `everycall token verify`: what the filter would say of tokens. The tokens are not repeated.

use std::io::Write;
use std::path::Path;

use everycall_core::PureRust;
use serde_json::json;

use super::remote_keys::RemoteKeysArg;
use super::{ConfigArg, Outcome};
use crate::{clock, At};

/// Look into tokens
#[derive(clap::Args)]
pub(super) struct Args {
    #[command(subcommand)]
    command: Command,
}

#[derive(clap::Subcommand)]
enum Command {
    Verify(VerifyArgs),
}

/// Verify tokens: one compact token a line in, one JSON result a line out
#[derive(clap::Args)]
#[command(after_help = "Example:\n  \
    everycall token verify --config policies/everycall.yaml < tokens.txt\n\n\
    Prints {\"ok\":true,\"identity\":{...}} or {\"ok\":false,\"reason\":\"token_expired\",\"detail\":\"...\"}.\n\
    Exit code 1 if any token is refused.")]
struct VerifyArgs {
    #[command(flatten)]
    config: ConfigArg,
    #[command(flatten)]
    keys: RemoteKeysArg,
    /// Verify at this time: an RFC 3339 instant or Unix seconds
    #[arg(long, value_name = "TIME", allow_negative_numbers = true)]
    at: Option<At>,
}

pub(super) fn run(args: &Args, out: &mut dyn Write) -> anyhow::Result<Outcome> {
    let Command::Verify(args) = &args.command;
    let input = Path::new("-");
    let settings = args.keys.apply(args.config.read_beside(input)?)?.settings;
    let at = args.at.map(|At(at)| at);
    let mut good = true;
    for line in super::lines(input)? {
        let line = line?;
        // A token is ASCII: what is lost here was none.
        let line = String::from_utf8_lossy(line.trim_ascii());
        if line.is_empty() {
            continue;
        }
        let now = at.unwrap_or_else(clock::now);
        let result = settings.verify(&line, &PureRust, now);
        good &= result.is_ok();
        let result = match result {
            Ok(identity) => json!({"ok": true, "identity": identity}),
            Err(refused) => json!({"ok": false, "reason": refused.reason, "detail": refused.detail}),
        };
        super::write_line(out, &result)?;
    }
    Ok(Outcome::from_good(good))
}
