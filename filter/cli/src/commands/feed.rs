//! `everycall revocations` and `everycall signals`: documents of feeds, made, looked into and verified,
//! for people's own servers.

use std::collections::BTreeMap;
use std::io::Write;
use std::path::{Path, PathBuf};

use everycall_core::facts::FeedKind;
use everycall_core::sync::{read_feed, FeedHead};
use everycall_core::{json as strict, PureRust};
use serde_json::{json, Value};

use super::signed::{self, SignArgs};
use super::{explain, Outcome};
use crate::feed_file::{feed_documents, FeedIssue};
use crate::At;

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
}

/// Make a signed list, or signed changes, of facts in JSON, one a line
#[derive(clap::Args)]
#[command(after_help = "Example:\n  \
    everycall bundle keygen -o feed.key.json > feed.jwks.json\n  \
    echo '{\"revoke\":\"subject\",\"id\":\"user:alice\",\"expires_at\":\"2027-01-01T00:00:00Z\"}' |\n    \
    everycall revocations build - -o revocations --sign-key feed.key.json\n  \
    everycall signals build signals.jsonl -o signals --sign-key feed.key.json\n\n\
    A list that is longer than a page of 1 MiB goes into FILE, FILE.2, FILE.3 ...: what a server answers\n\
    without a page and with `?page=2`, `?page=3` ... Sign it again before it is older than the filter's\n\
    `max_age_s`: with the same sequence if nothing has changed. Exit code 1 if a line is none of the\n\
    kind: nothing is written then.")]
struct BuildArgs {
    /// Files with one fact a line; `-` is the standard input
    #[arg(required = true, value_name = "FILE")]
    lines: Vec<PathBuf>,
    /// Where the first page goes; replaced as a whole
    #[arg(short, long, value_name = "FILE")]
    output: PathBuf,
    #[command(flatten)]
    sign: SignArgs,
    /// Must grow with each change; default: the Unix time in milliseconds
    #[arg(long, value_name = "NUMBER")]
    sequence: Option<u64>,
    /// The lines are what changed since the list with this sequence; absent: they are the full list
    #[arg(long, value_name = "NUMBER")]
    since: Option<u64>,
    /// How long it counts, such as `90s`, `10m` or `24h`
    #[arg(long, value_name = "SPAN", default_value = "1h", value_parser = signed::span)]
    expires_in: i64,
    /// Print one JSON object
    #[arg(long)]
    json: bool,
}

/// Show what a list says of itself and what it holds. The signature is not looked at
#[derive(clap::Args)]
#[command(
    after_help = "Example:\n  everycall revocations show revocations --list\n  everycall signals show signals --list"
)]
struct ShowArgs {
    /// The document: a full list, a page of one, or changes
    file: PathBuf,
    /// Show each fact, too
    #[arg(long)]
    list: bool,
    /// Print one JSON object
    #[arg(long)]
    json: bool,
}

/// Verify a list: signature, digest, times, and that each line is of its kind
#[derive(clap::Args)]
#[command(after_help = "Example:\n  \
    everycall revocations verify revocations --keys feed.jwks.json --max-age 60s\n  \
    everycall signals verify signals --keys feed.jwks.json --max-age 60s\n\n\
    Exit code 1 if the filter would not take it.")]
struct VerifyArgs {
    /// The document; of a list with several pages all of them, in their order
    #[arg(required = true, value_name = "FILE")]
    files: Vec<PathBuf>,
    /// The JWK set of those who may sign, as in `revocations.keys` or `signals.keys`
    #[arg(long, value_name = "FILE")]
    keys: PathBuf,
    /// How old it may be, as in their `max_age_s`
    #[arg(long, value_name = "SPAN", value_parser = signed::span)]
    max_age: Option<i64>,
    /// Verify at this time: an RFC 3339 instant or Unix seconds
    #[arg(long, value_name = "TIME", allow_negative_numbers = true)]
    at: Option<At>,
    /// Print one JSON object
    #[arg(long)]
    json: bool,
}

pub(super) fn run(feed: FeedKind, args: &Args, out: &mut dyn Write) -> anyhow::Result<Outcome> {
    match &args.command {
        Command::Build(args) => build(feed, args, out),
        Command::Show(args) => show(feed, args, out),
        Command::Verify(args) => verify(feed, args, out),
    }
}

fn build(feed: FeedKind, args: &BuildArgs, out: &mut dyn Write) -> anyhow::Result<Outcome> {
    let mut facts = Vec::new();
    for file in &args.lines {
        for (index, line) in super::lines(file)?.enumerate() {
            let line = line?;
            if !line.trim_ascii().is_empty() {
                let number = index.saturating_add(1);
                let place = format!("{}: line {number}", file.display());
                facts.push(fact(feed, &line).map_err(|message| signed::bad(&place, message))?);
            }
        }
    }
    let key = args.sign.key()?;
    let issued_at = args.sign.issued_at();
    let millis = || u64::try_from(issued_at.micros() / 1_000).unwrap_or_default();
    let issue = FeedIssue {
        feed,
        sequence: args.sequence.unwrap_or_else(millis),
        since: args.since,
        issued_at,
        expires_at: signed::later(issued_at, args.expires_in),
    };
    let pages = feed_documents(&facts, &issue, (key.id(), key.algorithm()), |message| key.sign(message))
        .map_err(|message| signed::bad(feed.as_str(), message))?;
    // What is written is what was read back, by the code of the filter.
    let keys = signed::own_keys(&key)?;
    let mut read = Vec::new();
    for page in &pages {
        read.push(read_feed(feed, page, &keys, &PureRust).map_err(|error| signed::invalid(&error))?);
    }
    // The first page comes last: who has read it finds the others.
    for (index, page) in pages.iter().enumerate().rev() {
        signed::replace(&page_file(&args.output, index.saturating_add(1)), page)?;
    }
    let Some((head, _)) = read.first() else { anyhow::bail!("the list has no page") };
    let size: usize = pages.iter().map(Vec::len).sum();
    let counts = count(feed, read.iter().flat_map(|(_, facts)| facts));
    print(out, args.json, feed, head, counts, &[("size", json!(size)), ("key", json!(key.id()))])?;
    Ok(Outcome::Good)
}

fn show(feed: FeedKind, args: &ShowArgs, out: &mut dyn Write) -> anyhow::Result<Outcome> {
    let file = signed::read(&args.file)?;
    let place = args.file.display().to_string();
    let (header, head) = FeedHead::unverified(&file)
        .and_then(|(header, head)| head.is_of(feed).map(|()| (header, head)))
        .map_err(|error| signed::bad(&place, error))?;
    let lines = file.split(|byte| *byte == b'\n').zip(1_usize..).skip(1);
    let facts = lines.filter(|(line, _)| !line.is_empty()).map(|(line, number)| {
        fact(feed, line).map_err(|message| signed::bad(&format!("{place}: line {number}"), message))
    });
    let facts: Vec<Value> = facts.collect::<Result<_, _>>()?;
    let key = header.get("kid").and_then(Value::as_str).unwrap_or_default();
    let mut more = vec![("size", json!(file.len())), ("key", json!(key))];
    if args.list && args.json {
        more.push((feed.as_str(), json!(facts)));
    }
    print(out, args.json, feed, &head, count(feed, &facts), &more)?;
    if args.list && !args.json {
        writeln!(out)?;
        match feed {
            FeedKind::Revocations => {
                table(
                    out,
                    &facts,
                    ["revoke", "issuer", "id", "issued_before", "expires_at", "ticket", "reason"],
                )?;
            }
            FeedKind::Signals => table(
                out,
                &facts,
                ["about", "issuer", "id", "signal", "value", "expires_at", "ticket", "reason"],
            )?,
        }
    }
    Ok(Outcome::Good)
}

fn verify(feed: FeedKind, args: &VerifyArgs, out: &mut dyn Write) -> anyhow::Result<Outcome> {
    let keys = signed::trusted(&args.keys)?;
    let now = super::time(args.at);
    let mut read: Vec<(FeedHead, Vec<Value>)> = Vec::new();
    for file in &args.files {
        let text = signed::read(file)?;
        let page = read_feed(feed, &text, &keys, &PureRust)
            .and_then(|(head, facts)| head.judge_times(args.max_age, now).map(|()| (head, facts)));
        match page {
            Ok(page) => read.push(page),
            Err(error) => {
                if args.files.len() > 1 {
                    eprintln!("`{}`:", file.display());
                }
                return signed::refuse(out, args.json, &error);
            }
        }
    }
    let heads: Vec<&FeedHead> = read.iter().map(|(head, _)| head).collect();
    if let Err(message) = one_list(&heads) {
        if args.json {
            let errors = [json!({"path": "", "message": message})];
            super::write_line(out, &json!({"ok": false, "fault": "malformed", "errors": errors}))?;
            return Ok(Outcome::Bad);
        }
        return Err(signed::bad("pages", message).into());
    }
    let Some(head) = heads.first() else { anyhow::bail!("there is no page") };
    let counts = count(feed, read.iter().flat_map(|(_, facts)| facts));
    print(out, args.json, feed, head, counts, &[("ok", json!(true))])?;
    Ok(Outcome::Good)
}

/// Whether these are all the pages of one list, in their order.
pub(super) fn one_list(heads: &[&FeedHead]) -> Result<(), String> {
    let Some(first) = heads.first() else { return Ok(()) };
    let of = |head: &FeedHead| (head.sequence, head.about.since, head.about.pages, head.issued_at);
    for (head, number) in heads.iter().zip(1_u32..) {
        if of(head) != of(first) {
            return Err(format!("page {number} is of another list than the first one"));
        }
        if head.about.page != number {
            return Err(format!("page {} stands in the place of page {number}", head.about.page));
        }
    }
    if u32::try_from(heads.len()) == Ok(first.about.pages) {
        Ok(())
    } else {
        Err(format!("{} of {} pages were given", heads.len(), first.about.pages))
    }
}

/// The facts, with a column for each of these members.
fn table<const N: usize>(out: &mut dyn Write, facts: &[Value], columns: [&str; N]) -> anyhow::Result<()> {
    let cell = |fact: &Value, name: &str| match fact.get(name) {
        None => String::new(),
        Some(Value::String(text)) => explain::visible(text),
        Some(other) => explain::visible(&other.to_string()),
    };
    let rows = facts.iter().map(|fact| columns.map(|name| cell(fact, name)));
    let head = columns.map(|name| name.replace('_', " "));
    Ok(super::table(out, &std::iter::once(head).chain(rows).collect::<Vec<_>>())?)
}

/// One line, if it is of this kind.
pub(super) fn fact(feed: FeedKind, line: &[u8]) -> Result<Value, String> {
    let members = strict::parse_object(line).map_err(|error| format!("not a strict JSON object: {error}"))?;
    let fact = Value::Object(members);
    feed.check(fact.clone())?;
    Ok(fact)
}

/// Where a page goes.
fn page_file(first: &Path, number: usize) -> PathBuf {
    if number == 1 {
        return first.to_owned();
    }
    let mut name = first.file_name().unwrap_or_default().to_owned();
    name.push(format!(".{number}"));
    first.with_file_name(name)
}

/// How many facts of each kind there are.
fn count<'f>(feed: FeedKind, facts: impl IntoIterator<Item = &'f Value>) -> BTreeMap<&'f str, usize> {
    let mut counts = BTreeMap::new();
    let kind = match feed {
        FeedKind::Revocations => "revoke",
        FeedKind::Signals => "about",
    };
    for kind in facts.into_iter().filter_map(|fact| fact.get(kind)?.as_str()) {
        let count: &mut usize = counts.entry(kind).or_default();
        *count = count.saturating_add(1);
    }
    counts
}

fn print(
    out: &mut dyn Write,
    as_json: bool,
    feed: FeedKind,
    head: &FeedHead,
    counts: BTreeMap<&str, usize>,
    more: &[(&str, Value)],
) -> anyhow::Result<()> {
    let members = [
        ("feed", json!(feed.as_str())),
        ("sequence", json!(head.sequence)),
        ("since", json!(head.about.since)),
        ("page", json!(head.about.page)),
        ("pages", json!(head.about.pages)),
        ("issued_at", json!(head.issued_at.secs())),
        ("expires_at", json!(head.expires_at.secs())),
        ("entries", json!(counts)),
    ];
    signed::print(out, as_json, &[&members, more].concat())
}
