//! `everycall key new`: an API key, and the record of it that tells nothing of its secret.

use std::io::Write;

use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use base64::Engine as _;
use everycall_core::authority::{api_key_hash, is_api_key_id, API_KEY_PREFIX};
use serde::Serialize;
use serde_json::json;

use super::Outcome;

/// Make API keys
#[derive(clap::Args)]
pub(super) struct Args {
    #[command(subcommand)]
    command: Command,
}

#[derive(clap::Subcommand)]
enum Command {
    New(NewArgs),
}

/// Make an API key, and the record of it for the configuration
#[derive(clap::Args)]
#[command(after_help = "Example:\n  \
    everycall key new --id reports --subject legacy:reports --exception reports-until-june\n\n\
    The key is printed once: the configuration holds a salted hash of its secret. The exception that\n\
    `--exception` names stands in the bundle, and a grant of the kind `legacy` names the subject.")]
struct NewArgs {
    /// The part of the key that finds its record: 1 to 64 of `a-z`, `0-9` and `-`
    #[arg(long, value_parser = id)]
    id: String,
    /// The caller's id, for grants
    #[arg(long, value_parser = subject)]
    subject: String,
    /// The id of the exception that allows the key
    #[arg(long, value_parser = not_empty)]
    exception: String,
    /// Print one JSON object with `key` and `record`
    #[arg(long)]
    json: bool,
}

/// A member of `api_keys`.
#[derive(Serialize)]
struct Record<'a> {
    id: &'a str,
    subject: &'a str,
    salt: String,
    hash: String,
    exception: &'a str,
}

pub(super) fn run(args: &Args, out: &mut dyn Write) -> anyhow::Result<Outcome> {
    let Command::New(NewArgs { id, subject, exception, json }) = &args.command;
    let secret = URL_SAFE_NO_PAD.encode(random::<32>()?);
    let salt = random::<16>()?;
    let hash = URL_SAFE_NO_PAD.encode(api_key_hash(&salt, &secret));
    let record = Record { id, subject, salt: URL_SAFE_NO_PAD.encode(salt), hash, exception };
    let key = format!("{API_KEY_PREFIX}{id}_{secret}");
    if *json {
        super::write_line(out, &json!({"key": key, "record": record}))?;
        return Ok(Outcome::Good);
    }
    writeln!(out, "# The key, for its caller alone. It can't be shown again.\n{key}\n")?;
    let yaml = serde_yaml_ng::to_string(&[record])?;
    write!(out, "# Its record, to paste below `api_keys:`.\n{yaml}")?;
    Ok(Outcome::Good)
}

/// Bytes of the system's own randomness.
pub(super) fn random<const N: usize>() -> anyhow::Result<[u8; N]> {
    let mut bytes = [0; N];
    getrandom::getrandom(&mut bytes)
        .map_err(|error| anyhow::anyhow!("the system gives no random bytes: {error}"))?;
    Ok(bytes)
}

fn id(text: &str) -> Result<String, String> {
    if is_api_key_id(text) {
        Ok(text.to_owned())
    } else {
        Err("expected 1 to 64 of `a-z`, `0-9` and `-`".to_owned())
    }
}

/// As the configuration wants it.
fn subject(text: &str) -> Result<String, String> {
    if text.starts_with("spiffe:") {
        Err("a SPIFFE ID is not the name of a legacy caller".to_owned())
    } else {
        not_empty(text)
    }
}

fn not_empty(text: &str) -> Result<String, String> {
    if text.trim().is_empty() {
        Err("must not be empty".to_owned())
    } else {
        Ok(text.to_owned())
    }
}
