//! `everycall bundle`: signed bundle files, made, looked into and verified.

use std::collections::BTreeMap;
use std::fs;
use std::io::Write;
use std::path::{Path, PathBuf};

use anyhow::{anyhow, Context as _};
use everycall_core::bundle::BundleHead;
use everycall_core::config::Limits;
use everycall_core::{json, Algorithm, Bundle, FileError, KeySet, PureRust};
use serde_json::{json, Value};

use super::signed::{self, SignArgs};
use super::{key, Invalid, Outcome};
use crate::bundle_file::{bundle_file, Issue};
use crate::load::bundle_directory;
use crate::sign::SigningKey;
use crate::At;

/// Make, show and verify signed bundle files
#[derive(clap::Args)]
pub(super) struct Args {
    #[command(subcommand)]
    command: Command,
}

#[derive(clap::Subcommand)]
enum Command {
    Build(BuildArgs),
    Show(ShowArgs),
    Verify(VerifyArgs),
    Keygen(KeygenArgs),
}

/// Make one signed file of a directory of policies and authority records
#[derive(clap::Args)]
#[command(after_help = "Example:\n  \
    everycall bundle keygen -o bundle.key.json > bundle.jwks.json\n  \
    everycall bundle build policies -o shop.bundle --sign-key bundle.key.json --expires-in 24h\n\n\
    Nothing is written if the bundle is not one that the filter would take. Exit code 1 then.")]
struct BuildArgs {
    /// The directory, as in `bundle.directory`
    directory: PathBuf,
    /// Where the file goes; replaced as a whole
    #[arg(short, long, value_name = "FILE")]
    output: PathBuf,
    #[command(flatten)]
    sign: SignArgs,
    /// A name for this state of things; default: from the digest of the content
    #[arg(long, value_name = "TEXT")]
    revision: Option<String>,
    /// Must grow with each bundle; default: the Unix time
    #[arg(long, value_name = "NUMBER")]
    sequence: Option<u64>,
    /// How long it may serve, such as `90m`, `24h` or `7d`
    #[arg(long, value_name = "SPAN", default_value = "24h", value_parser = signed::span)]
    expires_in: i64,
    /// Print one JSON object
    #[arg(long)]
    json: bool,
}

/// Show what a bundle file says of itself and how many parts it has. The signature is not looked at
#[derive(clap::Args)]
#[command(after_help = "Example:\n  everycall bundle show shop.bundle")]
struct ShowArgs {
    /// The bundle file
    file: PathBuf,
    /// Print one JSON object
    #[arg(long)]
    json: bool,
}

/// Verify a bundle file: signature, digest, times, and that all of it compiles
#[derive(clap::Args)]
#[command(after_help = "Example:\n  everycall bundle verify shop.bundle --keys bundle.jwks.json\n\n\
    Exit code 1 if the filter would not take it.")]
struct VerifyArgs {
    /// The bundle file
    file: PathBuf,
    /// The JWK set of those who may sign, as in `bundle.keys`
    #[arg(long, value_name = "FILE")]
    keys: PathBuf,
    /// Verify at this time: an RFC 3339 instant or Unix seconds
    #[arg(long, value_name = "TIME", allow_negative_numbers = true)]
    at: Option<At>,
    /// Print one JSON object
    #[arg(long)]
    json: bool,
}

/// Make a key that signs bundles, and print the JWK set of its public half
#[derive(clap::Args)]
#[command(after_help = "Example:\n  everycall bundle keygen -o bundle.key.json > bundle.jwks.json\n\n\
    The private key is written for its owner alone, and never over a file that is there.")]
struct KeygenArgs {
    /// Where the private JWK goes
    #[arg(short, long, value_name = "FILE")]
    output: PathBuf,
    /// What it signs with: `ES256` or `EdDSA`
    #[arg(long, value_name = "ALG", default_value = "ES256", value_parser = algorithm)]
    alg: Algorithm,
    /// Its `kid`; default: its thumbprint
    #[arg(long, value_name = "ID")]
    key_id: Option<String>,
}

pub(super) fn run(args: &Args, out: &mut dyn Write) -> anyhow::Result<Outcome> {
    match &args.command {
        Command::Build(args) => build(args, out),
        Command::Show(args) => show(args, out),
        Command::Verify(args) => verify(args, out),
        Command::Keygen(args) => keygen(args, out),
    }
}

fn build(args: &BuildArgs, out: &mut dyn Write) -> anyhow::Result<Outcome> {
    let parts = bundle_directory(&args.directory).map_err(|error| Invalid {
        problems: vec![(error.path().to_owned(), error.message())],
        unreadable: error.is_unreadable(),
    })?;
    let key = args.sign.key()?;
    let issued_at = args.sign.issued_at();
    let issue = Issue {
        revision: args.revision.clone(),
        sequence: args.sequence.unwrap_or_else(|| u64::try_from(issued_at.secs()).unwrap_or_default()),
        issued_at,
        expires_at: signed::later(issued_at, args.expires_in),
    };
    let sign = |message: &[u8]| key.sign(message);
    let file = bundle_file(&parts, &issue, (key.id(), key.algorithm()), sign)
        .map_err(|message| signed::bad("bundle", message))?;
    // What is written is what was read back, by the code of the filter.
    let bundle = take(&file, &signed::own_keys(&key)?).map_err(|error| signed::invalid(&error))?;
    signed::replace(&args.output, &file)?;
    let head = bundle.head().context("the bundle has no head")?;
    print(out, args.json, head, &file, &[("size", json!(file.len())), ("key", json!(key.id()))])?;
    Ok(Outcome::Good)
}

fn show(args: &ShowArgs, out: &mut dyn Write) -> anyhow::Result<Outcome> {
    let file = signed::read(&args.file)?;
    let (header, head) = BundleHead::unverified(&file)
        .map_err(|error| signed::bad(&args.file.display().to_string(), error))?;
    let key = header.get("kid").and_then(Value::as_str).unwrap_or_default();
    print(out, args.json, &head, &file, &[("size", json!(file.len())), ("key", json!(key))])?;
    Ok(Outcome::Good)
}

fn verify(args: &VerifyArgs, out: &mut dyn Write) -> anyhow::Result<Outcome> {
    let file = signed::read(&args.file)?;
    let keys = signed::trusted(&args.keys)?;
    let now = super::time(args.at);
    let judged = take(&file, &keys)
        .and_then(|bundle| bundle.head().map_or(Ok(()), |head| head.judge_times(None, now)).map(|()| bundle));
    match judged {
        Ok(bundle) => {
            let head = bundle.head().context("the bundle has no head")?;
            print(out, args.json, head, &file, &[("ok", json!(true))])?;
            Ok(Outcome::Good)
        }
        Err(error) => signed::refuse(out, args.json, &error),
    }
}

fn keygen(args: &KeygenArgs, out: &mut dyn Write) -> anyhow::Result<Outcome> {
    let mut made =
        SigningKey::from_random(args.alg, &key::random::<32>()?).map_err(|error| anyhow!(error))?;
    if let Some(id) = &args.key_id {
        let jwk = Value::Object(made.private_jwk()).to_string();
        made = SigningKey::read(jwk.as_bytes(), Some(id)).map_err(|error| anyhow!(error))?;
    }
    let text = serde_json::to_string_pretty(&made.private_jwk())?;
    write_secret(&args.output, &text)
        .with_context(|| format!("`{}` cannot be written", args.output.display()))?;
    let set = json!({"keys": [made.public_jwk()]});
    writeln!(out, "{}", serde_json::to_string_pretty(&set)?)?;
    Ok(Outcome::Good)
}

fn take(file: &[u8], keys: &KeySet) -> Result<Bundle, FileError> {
    Bundle::from_signed(file, keys, &PureRust, &Limits::default())
}

/// How many lines of each kind there are below the head.
fn count(file: &[u8]) -> BTreeMap<String, usize> {
    let mut counts = BTreeMap::new();
    for line in file.split(|byte| *byte == b'\n').skip(1) {
        let name = json::parse_object(line).ok().and_then(|members| members.into_iter().next());
        if let Some((name, _)) = name {
            let count: &mut usize = counts.entry(name).or_default();
            *count = count.saturating_add(1);
        }
    }
    counts
}

fn print(
    out: &mut dyn Write,
    as_json: bool,
    head: &BundleHead,
    file: &[u8],
    more: &[(&str, Value)],
) -> anyhow::Result<()> {
    let members = [
        ("revision", json!(head.about.revision)),
        ("sequence", json!(head.sequence)),
        ("issued_at", json!(head.issued_at.secs())),
        ("expires_at", json!(head.expires_at.secs())),
        ("parts", json!(count(file))),
    ];
    signed::print(out, as_json, &[&members, more].concat())
}

fn write_secret(path: &Path, text: &str) -> std::io::Result<()> {
    use std::os::unix::fs::OpenOptionsExt as _;
    let mut file = fs::OpenOptions::new().write(true).create_new(true).mode(0o600).open(path)?;
    writeln!(file, "{text}")
}

fn algorithm(text: &str) -> Result<Algorithm, String> {
    match Algorithm::named(text) {
        Some(algorithm @ (Algorithm::Es256 | Algorithm::EdDsa)) => Ok(algorithm),
        _ => Err("expected `ES256` or `EdDSA`".to_owned()),
    }
}
