//! `everycall exceptions`: what is allowed against the rules, by whom, and for how long still.

use std::io::Write;

use everycall_core::authority::Exception;
use everycall_core::{Settings, UnixTime};
use serde_json::{json, Value};

use super::offline::BundleArg;
use super::{explain, OnlyConfigArg, Outcome};
use crate::At;

const DAY_S: i64 = 86_400;
const HEAD: [&str; 6] = ["id", "valid until", "days left", "owner", "API keys", "compensating control"];

/// List the exceptions of a configuration, soonest expiry first
#[derive(clap::Args)]
#[command(after_help = "Example:\n  everycall exceptions policies/everycall.yaml\n\n\
    Exit code 1 if any exception has expired.")]
pub(super) struct Args {
    #[command(flatten)]
    config: OnlyConfigArg,
    #[command(flatten)]
    bundle: BundleArg,
    /// Judge at this time: an RFC 3339 instant or Unix seconds
    #[arg(long, value_name = "TIME", allow_negative_numbers = true)]
    at: Option<At>,
    /// Print one JSON object
    #[arg(long)]
    json: bool,
}

pub(super) fn run(args: &Args, out: &mut dyn Write) -> anyhow::Result<Outcome> {
    let now = super::time(args.at);
    let configuration = args.bundle.apply(args.config.read()?, Some(now))?;
    configuration.needs_bundle()?;
    configuration.warn_of_unread();
    let settings = &configuration.settings;
    let exceptions = settings.bundle().exceptions();
    if args.json {
        let list: Vec<Value> =
            exceptions.iter().map(|exception| document(settings, exception, now)).collect();
        super::write_line(out, &json!({"exceptions": list}))?;
    } else if exceptions.is_empty() {
        writeln!(out, "no exceptions")?;
    } else {
        let rows = exceptions.iter().map(|exception| row(settings, exception, now));
        super::table(out, &std::iter::once(HEAD.map(str::to_owned)).chain(rows).collect::<Vec<_>>())?;
    }
    Ok(Outcome::from_good(!exceptions.iter().any(|exception| is_over(exception, now))))
}

/// Whether it is not valid any more.
pub(super) fn is_over(exception: &Exception, now: UnixTime) -> bool {
    now >= exception.valid_until
}

/// Whole days until it ends; negative after that.
pub(super) fn days_left(exception: &Exception, now: UnixTime) -> i64 {
    exception.valid_until.secs().saturating_sub(now.secs()).div_euclid(DAY_S)
}

fn document(settings: &Settings, exception: &Exception, now: UnixTime) -> Value {
    let keys = settings.api_keys_of(&exception.id).map(|(id, subject)| json!({"id": id, "subject": subject}));
    json!({
        "id": exception.id,
        "owner": exception.owner,
        "reason": exception.reason,
        "compensating_control": exception.compensating_control,
        "valid_from": exception.valid_from,
        "valid_until": exception.valid_until,
        "expired": is_over(exception, now),
        "days_left": days_left(exception, now),
        "api_keys": keys.collect::<Vec<_>>(),
    })
}

fn row(settings: &Settings, exception: &Exception, now: UnixTime) -> [String; 6] {
    let left = match (is_over(exception, now), now < exception.valid_from) {
        (true, _) => "expired".to_owned(),
        (false, true) => format!("from {}", exception.valid_from),
        (false, false) => days_left(exception, now).to_string(),
    };
    let keys: Vec<String> =
        settings.api_keys_of(&exception.id).map(|(id, subject)| format!("{id} ({subject})")).collect();
    let keys = if keys.is_empty() { "none".to_owned() } else { keys.join(", ") };
    let until = exception.valid_until.to_string();
    [&exception.id, &until, &left, &exception.owner, &keys, &exception.compensating_control]
        .map(|text| explain::visible(text))
}
