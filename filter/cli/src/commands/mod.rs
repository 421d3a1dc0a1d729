//! The command line: one file per subcommand.
//!
//! Exit codes: 0 all is well, 1 the input is not (a bad configuration, a malformed line, a refused
//! token), 2 it could not be looked at (usage, unreadable file).

mod bundle;
mod check;
mod completion;
mod decide;
#[cfg(feature = "server")]
mod devserver;
mod exceptions;
pub mod explain;
mod feed;
mod feed_lists;
mod init;
mod key;
mod offline;
mod pdp;
mod remote_keys;
pub mod render;
mod replay;
mod request;
mod schema;
mod signed;
#[cfg(feature = "server")]
mod task;
mod test;
mod token;
mod version;

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::io::{self, BufRead as _, Write};
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::Context as _;
use clap::{CommandFactory as _, Parser, Subcommand};
use everycall_core::facts::FeedKind;
use everycall_core::jose::TEST_KEY_PREFIX;
use everycall_core::{ConfigErrors, Settings, UnixTime};
use serde_json::Value;

use crate::load::load;
use crate::{clock, mint, At};

/// Decides every call: check configurations, decide requests, verify tokens, render for proxies.
#[derive(Parser)]
#[command(name = "everycall", version, disable_help_subcommand = true)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    Init(init::Args),
    Check(check::Args),
    Bundle(bundle::Args),
    Test(test::Args),
    Decide(decide::Args),
    Token(token::Args),
    /// Make, show and verify signed lists of revocations
    Revocations(feed::Args),
    /// Make, show and verify signed lists of signals
    Signals(feed::Args),
    Key(key::Args),
    Exceptions(exceptions::Args),
    Render(render::Args),
    Schema(schema::Args),
    #[cfg(feature = "server")]
    Task(task::Args),
    #[cfg(feature = "server")]
    Devserver(devserver::Args),
    Completion(completion::Args),
    Version(version::Args),
}

/// What a command that could do its work has to say by its exit code.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Outcome {
    Good,
    Bad,
}

impl Outcome {
    fn from_good(good: bool) -> Self {
        if good {
            Self::Good
        } else {
            Self::Bad
        }
    }
}

/// Runs the command line of this process.
pub fn main() -> ExitCode {
    ExitCode::from(run(std::env::args_os(), &mut io::stdout()))
}

/// The command line as `clap` knows it.
fn cli() -> clap::Command {
    Cli::command()
}

/// The commands by name, each with what it does: for the page on them.
pub fn commands() -> Vec<(String, String)> {
    let cli = cli();
    let about = |command: &clap::Command| command.get_about().map(ToString::to_string).unwrap_or_default();
    cli.get_subcommands().map(|command| (command.get_name().to_owned(), about(command))).collect()
}

/// Runs a command line, the program's name first, with this as its standard output. Answers the
/// exit code.
pub fn run(arguments: impl IntoIterator<Item = impl Into<OsString> + Clone>, out: &mut dyn Write) -> u8 {
    let command = match Cli::try_parse_from(arguments) {
        Ok(cli) => cli.command,
        Err(error) => {
            // Help goes to the standard output and is no mistake. Nothing is left to say if it can't.
            let _ = error.print();
            return u8::try_from(error.exit_code()).unwrap_or(2);
        }
    };
    let outcome = match command {
        Command::Init(args) => init::run(&args, out),
        Command::Check(args) => check::run(&args, out),
        Command::Bundle(args) => bundle::run(&args, out),
        Command::Test(args) => test::run(&args, out),
        Command::Decide(args) => decide::run(&args, out),
        Command::Token(args) => token::run(&args, out),
        Command::Revocations(args) => feed::run(FeedKind::Revocations, &args, out),
        Command::Signals(args) => feed::run(FeedKind::Signals, &args, out),
        Command::Key(args) => key::run(&args, out),
        Command::Exceptions(args) => exceptions::run(&args, out),
        Command::Render(args) => render::run(&args, out),
        Command::Schema(args) => schema::run(&args, out),
        #[cfg(feature = "server")]
        Command::Task(args) => task::run(&args, out),
        #[cfg(feature = "server")]
        Command::Devserver(args) => devserver::run(args, out),
        Command::Completion(args) => completion::run(&args, out),
        Command::Version(version::Args {}) => version::run(out),
    };
    match outcome.and_then(|outcome| Ok(out.flush().map(|()| outcome)?)) {
        Ok(Outcome::Good) => 0,
        Ok(Outcome::Bad) => 1,
        Err(error) => match (error.downcast_ref::<Invalid>(), error.downcast_ref::<io::Error>()) {
            (Some(invalid), _) => {
                invalid.print();
                if invalid.unreadable {
                    2
                } else {
                    1
                }
            }
            // The reader has seen enough.
            (_, Some(error)) if error.kind() == io::ErrorKind::BrokenPipe => 0,
            _ => {
                eprintln!("error: {error:#}");
                2
            }
        },
    }
}

/// Where a configuration is.
#[derive(clap::Args)]
struct ConfigArg {
    /// The configuration: YAML or JSON; `-` is JSON on the standard input
    #[arg(long, value_name = "FILE")]
    config: PathBuf,
}

impl ConfigArg {
    /// Reads it for a command that reads `input` as well.
    fn read_beside(&self, input: &Path) -> anyhow::Result<Configuration> {
        if self.config == Path::new("-") && input == Path::new("-") {
            anyhow::bail!("only one of the configuration and the input can be the standard input");
        }
        Ok(Configuration::read(&self.config)?)
    }
}

/// Where a configuration is, for commands about nothing else: it may stand without the option's name.
#[derive(clap::Args)]
#[group(required = true, multiple = false)]
struct OnlyConfigArg {
    /// The same by the option that all commands have
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,
    /// The configuration: YAML or JSON; `-` is JSON on the standard input
    #[arg(value_name = "FILE")]
    file: Option<PathBuf>,
}

impl OnlyConfigArg {
    fn read(&self) -> anyhow::Result<Configuration> {
        let path = self.config.as_ref().or(self.file.as_ref()).context("no configuration is named")?;
        Ok(Configuration::read(path)?)
    }
}

/// A configuration that holds.
struct Configuration {
    /// Self-contained, as the filter takes it.
    document: Value,
    settings: Settings,
    /// The bundle file that was taken in the place of what a server would send.
    taken: Option<Vec<u8>>,
    /// The facts of feeds, in the place of what servers would tell.
    feed_facts: BTreeMap<FeedKind, Vec<Value>>,
}

/// Everything that is wrong with a configuration: JSON path and message.
#[derive(Debug)]
struct Invalid {
    problems: Vec<(String, String)>,
    unreadable: bool,
}

impl Invalid {
    fn print(&self) {
        eprint!("{self}");
    }
}

impl std::fmt::Display for Invalid {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        for (path, message) in &self.problems {
            let path = if path.is_empty() { "configuration" } else { path };
            writeln!(f, "{path}: {message}")?;
        }
        Ok(())
    }
}

impl std::error::Error for Invalid {}

impl Configuration {
    fn read(path: &Path) -> Result<Self, Invalid> {
        let document = load(path).map_err(|error| Invalid {
            problems: vec![(error.path().to_owned(), error.message())],
            unreadable: error.is_unreadable(),
        })?;
        let settings = settings(&document)?;
        Ok(Self { document, settings, taken: None, feed_facts: BTreeMap::new() })
    }

    /// The test keys that it trusts: JSON path and key id.
    fn test_keys(&self) -> Vec<(String, String)> {
        let mut found = Vec::new();
        let issuers = self.document.get("issuers").and_then(Value::as_array);
        for (at, issuer) in issuers.into_iter().flatten().enumerate() {
            let keys = issuer.pointer("/keys/inline/keys").and_then(Value::as_array);
            for (index, jwk) in keys.into_iter().flatten().enumerate() {
                if let Some(id) = mint::test_key_in(jwk) {
                    found.push((format!("issuers[{at}].keys.inline.keys[{index}]"), id.to_owned()));
                }
            }
        }
        for part in ["bundle", "shadow", "revocations", "signals"] {
            let keys = self.document.get(part).and_then(|part| part.pointer("/keys/keys")?.as_array());
            for (index, jwk) in keys.into_iter().flatten().enumerate() {
                if let Some(id) = mint::test_key_in(jwk) {
                    found.push((format!("{part}.keys.keys[{index}]"), id.to_owned()));
                }
            }
        }
        let keys = self.document.get("api_keys").and_then(Value::as_array);
        for (at, key) in keys.into_iter().flatten().enumerate() {
            let id = key.get("id").and_then(Value::as_str);
            if let Some(id) = id.filter(|id| id.starts_with(TEST_KEY_PREFIX)) {
                found.push((format!("api_keys[{at}]"), id.to_owned()));
            }
        }
        found
    }

    /// A test key in production is an open door.
    fn warn_of_test_keys(&self) {
        let found = self.test_keys();
        for (path, id) in &found {
            eprintln!("WARNING: {path} is `{id}`, a TEST ONLY key: its secret is public");
        }
        if !found.is_empty() {
            eprintln!(
                "WARNING: anybody can make what this configuration accepts: never use it in production"
            );
        }
    }
}

/// The time that `--at` names, else that of the clock.
fn time(at: Option<At>) -> UnixTime {
    at.map_or_else(clock::now, |At(at)| at)
}

/// Reads the text, as the filter does, and not the value.
fn settings(document: &Value) -> Result<Settings, Invalid> {
    Settings::from_json(document.to_string().as_bytes()).map_err(invalid)
}

#[allow(clippy::needless_pass_by_value)] // for `map_err`
fn invalid(errors: ConfigErrors) -> Invalid {
    Invalid {
        problems: errors.iter().map(|error| (error.path.clone(), error.message.clone())).collect(),
        unreadable: false,
    }
}

/// The lines of a file, or of the standard input for `-`, as bytes and without their ends.
fn lines(path: &Path) -> anyhow::Result<Box<dyn Iterator<Item = io::Result<Vec<u8>>>>> {
    if path == Path::new("-") {
        return Ok(Box::new(io::stdin().lock().split(b'\n')));
    }
    let file = std::fs::File::open(path).with_context(|| format!("`{}` cannot be read", path.display()))?;
    Ok(Box::new(io::BufReader::new(file).split(b'\n')))
}

/// Writes one JSON value as a line, now: others read along.
fn write_line(out: &mut dyn Write, value: &impl serde::Serialize) -> anyhow::Result<()> {
    let text = serde_json::to_string(value)?;
    writeln!(out, "{text}")?;
    out.flush()?;
    Ok(())
}

/// Columns as wide as their widest cell; the last one as it comes.
fn table<const N: usize>(out: &mut dyn Write, rows: &[[String; N]]) -> io::Result<()> {
    let mut widths = [0; N];
    for row in rows {
        for (width, cell) in widths.iter_mut().zip(row) {
            *width = cell.chars().count().max(*width);
        }
    }
    for row in rows {
        let cells = row.iter().zip(widths).map(|(cell, width)| format!("{cell:<width$}"));
        writeln!(out, "{}", cells.collect::<Vec<_>>().join("  ").trim_end())?;
    }
    Ok(())
}
