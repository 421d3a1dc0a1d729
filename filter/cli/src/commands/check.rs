//! `everycall check`: is this configuration one that the filter would take?

use std::io::Write;

use everycall_core::{Bundle, FileError, UnixTime};
use serde_json::{json, Value};

use super::offline::{BundleArg, Opened};
use super::{exceptions, explain, Configuration, Invalid, OnlyConfigArg, Outcome};
use crate::lint::{lint, lint_source, Finding, Level};
use crate::At;

/// Exceptions that end within so many days are warned of.
const SOON_DAYS: i64 = 7;

/// Check a configuration and report every error in it
#[derive(clap::Args)]
#[command(after_help = "Example:\n  everycall check policies/everycall.yaml\n\n\
    Each error is one line on the standard error, `path: message`. Exit code 1 if there is any.\n\
    What the filter would take and an author should look at is told as well, as an error or a warning;\n\
    `# everycall:allow CODE reason` in the line above says that it is meant.\n\n\
    With a bundle on a server (`bundle.remote`):\n  \
    everycall check c.yaml --bundle shop.bundle")]
pub(super) struct Args {
    #[command(flatten)]
    config: OnlyConfigArg,
    #[command(flatten)]
    bundle: BundleArg,
    /// Check as at this time: an RFC 3339 instant or Unix seconds
    #[arg(long, value_name = "TIME", allow_negative_numbers = true)]
    at: Option<At>,
    /// Print the result as one JSON object on the standard output
    #[arg(long)]
    json: bool,
}

pub(super) fn run(args: &Args, out: &mut dyn Write) -> anyhow::Result<Outcome> {
    let now = super::time(args.at);
    let configuration = match read(args, now) {
        Ok(configuration) => configuration,
        Err(error) => match error.downcast_ref::<Invalid>() {
            Some(invalid) if args.json && !invalid.unreadable => {
                super::write_line(out, &errors(invalid))?;
                return Ok(Outcome::Bad);
            }
            _ => return Err(error),
        },
    };
    configuration.warn_of_test_keys();
    for (place, why) in configuration.settings.keys_left_out() {
        eprintln!("WARNING: {place} is left out: {why}");
    }
    configuration.warn_of_unread();
    warn_of_bundle(&configuration, now);
    warn_of_exceptions(&configuration, now);
    warn_of_observe(&configuration, now);
    let findings = findings(&configuration, now)?;
    let ok = findings.iter().all(|finding| finding.level != Level::Error);
    let facts = facts(&configuration)?;
    if args.json {
        let first = [("ok", json!(ok)), ("lints", json!(findings))].into_iter();
        let result: Value = first.chain(facts).map(|(name, value)| (name.to_owned(), value)).collect();
        super::write_line(out, &result)?;
    } else {
        for (name, value) in facts {
            writeln!(out, "{name:<12}{}", plain(&value))?;
        }
        for finding in findings {
            eprintln!("{}", explain::visible(&finding.to_string()));
        }
    }
    Ok(Outcome::from_good(ok))
}

fn read(args: &Args, now: UnixTime) -> anyhow::Result<Configuration> {
    let configuration = args.config.read()?;
    configuration.settings.check_at(now).map_err(super::invalid)?;
    args.bundle.apply(configuration, Some(now))
}

/// What is odd in the bundle and in its shadow, by where they really are.
fn findings(configuration: &Configuration, now: UnixTime) -> anyhow::Result<Vec<Finding>> {
    let in_place = |opened: &Opened<'_>| {
        let placed = |mut finding: Finding| {
            if let Some(rest) = finding.place.strip_prefix("bundle.inline") {
                finding.place = format!("{}{rest}", opened.place);
            } else if opened.place.starts_with("shadow") && !finding.place.starts_with("limits.") {
                finding.place = format!("shadow: {}", finding.place);
            }
            finding
        };
        lint(&opened.document, now).into_iter().map(placed).collect::<Vec<_>>()
    };
    let mut found = in_place(&configuration.opened()?);
    found.extend(configuration.opened_shadow()?.iter().flat_map(in_place));
    found.extend(lint_source(&configuration.settings));
    found.sort();
    found.dedup();
    Ok(found)
}

/// A bundle that does not serve is as good as none.
fn warn_of_bundle(configuration: &Configuration, now: UnixTime) {
    if let Some(error) =
        configuration.settings.judge_bundle(now).err().iter().flat_map(FileError::errors).next()
    {
        let message = explain::visible(&error.message);
        eprintln!("WARNING: `bundle.signed`: {message}: every request is refused");
    }
}

/// A credential that stops working surprises nobody who reads this.
fn warn_of_exceptions(configuration: &Configuration, now: UnixTime) {
    for exception in configuration.settings.bundle().exceptions() {
        let id = explain::visible(&exception.id);
        let until = exception.valid_until;
        if exceptions::is_over(exception, now) {
            eprintln!("WARNING: the exception `{id}` expired at {until}: what it allowed is refused");
        } else if exceptions::days_left(exception, now) < SOON_DAYS {
            eprintln!("WARNING: the exception `{id}` ends within {SOON_DAYS} days, at {until}");
        }
    }
}

/// Nobody should forget that refusals are passed on somewhere.
fn warn_of_observe(configuration: &Configuration, now: UnixTime) {
    match configuration.settings.observed_until() {
        Some(until) if now < until => {
            eprintln!("WARNING: `observe` passes refusals on until {until}, on the routes that it names");
        }
        Some(until) => eprintln!("WARNING: `observe` ended at {until}: refusals are refusals everywhere"),
        None => {}
    }
}

fn errors(invalid: &Invalid) -> Value {
    let errors = invalid.problems.iter().map(|(path, message)| json!({"path": path, "message": message}));
    json!({"ok": false, "errors": errors.collect::<Vec<_>>()})
}

/// What a reader wants to see first.
fn facts(configuration: &Configuration) -> anyhow::Result<[(&'static str, Value); 7]> {
    let Configuration { settings, .. } = configuration;
    let Opened { document, .. } = configuration.opened()?;
    let issuers = document.get("issuers").and_then(Value::as_array).into_iter().flatten();
    let grants = document.pointer("/bundle/inline/grants").and_then(Value::as_array);
    let bundles: Vec<&Bundle> = [settings.bundle()].into_iter().chain(settings.shadow()).collect();
    let attributes = settings.attributes(&bundles).into_iter().map(|attribute| json!(attribute.name));
    Ok([
        ("instance", json!(settings.instance())),
        ("revision", json!(settings.revision())),
        ("issuers", issuers.filter_map(|issuer| issuer.get("issuer").cloned()).collect()),
        ("grants", json!(grants.map_or(0, Vec::len))),
        ("rule_sets", settings.bundle().rule_sets().iter().map(|rules| json!(rules.package())).collect()),
        ("attributes", attributes.collect()),
        ("unread", json!(configuration.unread())),
    ])
}

fn plain(value: &Value) -> String {
    match value {
        Value::String(text) => text.clone(),
        Value::Array(items) if items.is_empty() => "none".to_owned(),
        Value::Array(items) => items.iter().map(plain).collect::<Vec<_>>().join(", "),
        other => other.to_string(),
    }
}
