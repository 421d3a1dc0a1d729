//! `everycall bundle`: signed bundle files, made, looked into and verified.

use std::collections::BTreeMap;
use std::fs;
use std::io::Write;
use std::path::{Path, PathBuf};

use anyhow::{anyhow, Context as _};
use everycall_core::config::Limits;
use everycall_core::{
    json, Algorithm, Bundle, BundleHead, FileError, Jwks, KeyRules, KeySet, PureRust, UnixTime, Usage,
};
use serde::Deserialize as _;
use serde_json::{json, Value};

use super::{explain, key, Invalid, Outcome};
use crate::bundle_file::{bundle_file, Issue};
use crate::clock;
use crate::load::bundle_directory;
use crate::sign::SigningKey;

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
    /// The private key: PKCS#8 in PEM, or a JWK; on P-256, P-384 or Ed25519
    #[arg(long, value_name = "FILE")]
    sign_key: PathBuf,
    /// The key's `kid`; default: the JWK's own, else the key's thumbprint
    #[arg(long, value_name = "ID")]
    key_id: Option<String>,
    /// A name for this state of things; default: from the digest of the content
    #[arg(long, value_name = "TEXT")]
    revision: Option<String>,
    /// Must grow with each bundle; default: the Unix time
    #[arg(long, value_name = "NUMBER")]
    sequence: Option<u64>,
    /// How long it may serve, such as `90m`, `24h` or `7d`
    #[arg(long, value_name = "SPAN", default_value = "24h", value_parser = span)]
    expires_in: i64,
    /// Sign as at this time, in seconds since 1970
    #[arg(long, value_name = "UNIX")]
    at: Option<i64>,
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
    /// Verify at this time, in seconds since 1970
    #[arg(long, value_name = "UNIX", allow_negative_numbers = true)]
    at: Option<i64>,
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
    let shown = args.sign_key.display();
    let key = SigningKey::read(&read(&args.sign_key)?, args.key_id.as_deref())
        .map_err(|error| anyhow!("`{shown}`: {error}"))?;
    let issued_at = UnixTime::from_secs(args.at.unwrap_or_else(|| clock::now().secs()));
    let issue = Issue {
        revision: args.revision.clone(),
        sequence: args.sequence.unwrap_or_else(|| u64::try_from(issued_at.secs()).unwrap_or_default()),
        issued_at,
        expires_at: UnixTime::from_secs(issued_at.secs().saturating_add(args.expires_in)),
    };
    let bad = |message: String| Invalid { problems: vec![("bundle".to_owned(), message)], unreadable: false };
    let sign = |message: &[u8]| key.sign(message);
    let file = bundle_file(&parts, &issue, (key.id(), key.algorithm()), sign).map_err(bad)?;
    // What is written is what was read back, by the code of the filter.
    let keys = key_set(&json!({"keys": [key.public_jwk()]})).map_err(bad)?;
    let bundle = take(&file, &keys).map_err(|error| invalid(&error))?;
    replace(&args.output, &file)?;
    let head = bundle.head().context("the bundle has no head")?;
    print(out, args.json, head, &count(&file), &[("size", json!(file.len())), ("key", json!(key.id()))])?;
    Ok(Outcome::Good)
}

fn show(args: &ShowArgs, out: &mut dyn Write) -> anyhow::Result<Outcome> {
    let file = read(&args.file)?;
    let bad = |message: &str| Invalid {
        problems: vec![(args.file.display().to_string(), message.to_owned())],
        unreadable: false,
    };
    let (header, head) = BundleHead::unverified(&file).map_err(|error| bad(&error))?;
    let key = header.get("kid").and_then(Value::as_str).unwrap_or_default();
    print(out, args.json, &head, &count(&file), &[("size", json!(file.len())), ("key", json!(key))])?;
    Ok(Outcome::Good)
}

fn verify(args: &VerifyArgs, out: &mut dyn Write) -> anyhow::Result<Outcome> {
    let file = read(&args.file)?;
    let shown = args.keys.display();
    let set =
        json::parse(&read(&args.keys)?).map_err(|error| anyhow!("`{shown}`: not strict JSON: {error}"))?;
    let keys = key_set(&set).map_err(|error| anyhow!("`{shown}`: {error}"))?;
    let now = args.at.map_or_else(clock::now, UnixTime::from_secs);
    let judged = take(&file, &keys)
        .and_then(|bundle| bundle.head().map_or(Ok(()), |head| head.judge_times(now, None)).map(|()| bundle));
    match judged {
        Ok(bundle) => {
            let head = bundle.head().context("the bundle has no head")?;
            print(out, args.json, head, &count(&file), &[("ok", json!(true))])?;
            Ok(Outcome::Good)
        }
        Err(error) if args.json => {
            let errors =
                error.errors().iter().map(|error| json!({"path": error.path, "message": error.message}));
            let document =
                json!({"ok": false, "fault": error.fault().code(), "errors": errors.collect::<Vec<_>>()});
            super::write_line(out, &document)?;
            Ok(Outcome::Bad)
        }
        Err(error) => Err(invalid(&error).into()),
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

fn key_set(set: &Value) -> Result<KeySet, String> {
    let set = Jwks::deserialize(set).map_err(|error| error.to_string())?;
    let rules = KeyRules { algorithms: &Algorithm::ALL, usage: Usage::Signature };
    KeySet::read(&set, &rules).map_err(|errors| {
        errors.iter().map(|(path, message)| format!("{path}: {message}")).collect::<Vec<_>>().join("; ")
    })
}

fn invalid(error: &FileError) -> Invalid {
    let problem = |error: &everycall_core::ConfigError| (error.path.clone(), error.message.clone());
    Invalid { problems: error.errors().iter().map(problem).collect(), unreadable: false }
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
    counts: &BTreeMap<String, usize>,
    more: &[(&str, Value)],
) -> anyhow::Result<()> {
    let times = [("issued_at", head.issued_at), ("expires_at", head.expires_at)];
    if as_json {
        let mut document = json!({"revision": head.revision, "sequence": head.sequence, "parts": counts});
        if let Some(members) = document.as_object_mut() {
            members.extend(times.map(|(name, time)| (name.to_owned(), json!(time.secs()))));
            members.extend(more.iter().map(|(name, value)| ((*name).to_owned(), value.clone())));
        }
        return super::write_line(out, &document);
    }
    let mut rows = vec![("revision", head.revision.clone()), ("sequence", head.sequence.to_string())];
    rows.extend(times.map(|(name, time)| (name, time.to_string())));
    rows.extend(counts.iter().map(|(name, count)| (name.as_str(), count.to_string())));
    rows.extend(more.iter().map(|(name, value)| match value {
        Value::String(text) => (*name, text.clone()),
        other => (*name, other.to_string()),
    }));
    let rows: Vec<[String; 2]> =
        rows.into_iter().map(|(name, value)| [explain::visible(name), explain::visible(&value)]).collect();
    super::table(out, &rows)?;
    Ok(())
}

fn read(path: &Path) -> anyhow::Result<Vec<u8>> {
    fs::read(path).with_context(|| format!("`{}` cannot be read", path.display()))
}

/// Whole or not at all: a server may be reading it.
fn replace(path: &Path, bytes: &[u8]) -> anyhow::Result<()> {
    let mut name = path.file_name().unwrap_or_default().to_owned();
    name.push(".new");
    let new = path.with_file_name(name);
    fs::write(&new, bytes)
        .and_then(|()| fs::rename(&new, path))
        .with_context(|| format!("`{}` cannot be written", path.display()))
}

fn write_secret(path: &Path, text: &str) -> std::io::Result<()> {
    use std::os::unix::fs::OpenOptionsExt as _;
    let mut file = fs::OpenOptions::new().write(true).create_new(true).mode(0o600).open(path)?;
    writeln!(file, "{text}")
}

/// Seconds of a text such as `24h`.
fn span(text: &str) -> Result<i64, String> {
    let expected = || "expected a number with `s`, `m`, `h` or `d`, such as `24h`".to_owned();
    let (number, unit) = text.split_at_checked(text.len().saturating_sub(1)).ok_or_else(expected)?;
    let seconds = match unit {
        "s" => 1,
        "m" => 60,
        "h" => 3_600,
        "d" => 86_400,
        _ => return Err(expected()),
    };
    let number: i64 = number.parse().map_err(|_| expected())?;
    match number.checked_mul(seconds).filter(|span| (1..=315_360_000).contains(span)) {
        Some(span) => Ok(span),
        None => Err("expected a span of 1 second to 10 years".to_owned()),
    }
}

fn algorithm(text: &str) -> Result<Algorithm, String> {
    match Algorithm::named(text) {
        Some(algorithm @ (Algorithm::Es256 | Algorithm::EdDsa)) => Ok(algorithm),
        _ => Err("expected `ES256` or `EdDSA`".to_owned()),
    }
}
