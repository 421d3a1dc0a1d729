//! `everycall decide`: the decisions of the filter for requests in a file, by the same core.

use std::io::Write;
use std::path::PathBuf;

use everycall_core::engine::StreamClose;
use everycall_core::{DecisionRecord, Engine, IdSeed, Settings, Step, StreamId, UnixTime};

use super::feed_lists::FeedListArgs;
use super::offline::BundleArg;
use super::pdp::{Answers, Pdp};
use super::remote_keys::RemoteKeysArg;
use super::replay::{self, Line, Passed};
use super::{explain, request, ConfigArg, Configuration, Outcome};
use crate::wire::WireRequest;
use crate::{clock, At};

/// Decide requests as the filter would, one JSON request a line in, one JSON record a line out
#[derive(clap::Args)]
#[command(after_help = "Example:\n  \
    echo '{\"method\":\"GET\",\"host\":\"orders.shop.example\",\"path\":\"/healthz\",\"headers\":[]}' \\\n    \
    | everycall decide --config policies/everycall.yaml --explain\n\n\
    A request has `method`, `host`, `path`, `headers` as [[name, value], ...] and may have `scheme`,\n\
    `source_ip`, `peer_id` and `at`. `path` and header values are text or {\"b64\": \"...\"}.\n\
    Exit code 1 if a line was malformed; the others are decided all the same.\n\n\
    Why a call was refused that is in a log:\n  \
    everycall decide --config c.yaml --record envoy.log --id 4534e7f22102a684f26ff0697927241b --explain\n\n\
    With a bundle and revocations on servers (`bundle.remote`, `revocations.remote`):\n  \
    everycall decide --config c.yaml --bundle shop.bundle --revocations revoked.jsonl --requests requests.jsonl")]
pub(super) struct Args {
    #[command(flatten)]
    config: ConfigArg,
    #[command(flatten)]
    keys: RemoteKeysArg,
    #[command(flatten)]
    bundle: BundleArg,
    #[command(flatten)]
    feed_lists: FeedListArgs,
    /// Requests, one JSON object a line; `-` is the standard input
    #[arg(long, value_name = "FILE", default_value = "-")]
    requests: PathBuf,
    /// Decide at this time, an RFC 3339 instant or Unix seconds; a request's own `at` goes before it
    #[arg(long, value_name = "TIME", allow_negative_numbers = true)]
    at: Option<At>,
    /// Who answers the questions of policies: `allow`, `deny`, `down` or a URL; absent: a decision
    /// that asks is printed as it waits
    #[arg(long, value_name = "ANSWER")]
    pdp: Option<Pdp>,
    /// Decide the decisions again that are recorded in this log instead: the proxy's, or an access log with records in
    /// it. `-` is the standard input; lines of something else are passed over
    #[arg(long, value_name = "FILE", conflicts_with_all = ["requests", "at", "pdp"])]
    record: Option<PathBuf>,
    /// Only the decision with this id, which each refusal and each log line has
    #[arg(long, value_name = "ID", requires = "record")]
    id: Option<String>,
    /// Explain each decision to a person instead of printing its record
    #[arg(long)]
    explain: bool,
}

pub(super) fn run(args: &Args, out: &mut dyn Write) -> anyhow::Result<Outcome> {
    let file = args.record.as_ref().unwrap_or(&args.requests);
    let configuration = args.keys.apply(args.config.read_beside(file)?)?;
    let at = args.at.map(|At(at)| at);
    // A record may be of a time when a bundle served that does not any more.
    let now = args.record.is_none().then(|| at.unwrap_or_else(clock::now));
    let configuration = args.feed_lists.apply(args.bundle.apply(configuration, now)?, now)?;
    configuration.needs_bundle()?;
    configuration.warn_of_unread();
    // A record tells what was known.
    if args.record.is_none() {
        configuration.warn_of_untold();
    }
    let mut decider = Decider::new(configuration, at)?;
    let answers = args.pdp.as_ref().map(Answers::new).transpose()?;
    let id = args.id.as_deref();
    let mut passed = Passed::default();
    let (mut good, mut found) = (true, false);
    for (index, line) in super::lines(file)?.enumerate() {
        let line = line?;
        if line.trim_ascii().is_empty() {
            continue;
        }
        let result = if args.record.is_some() {
            let line = Line::read(&line);
            // Of one that is looked for, others don't matter.
            match line {
                Err(_) if id.is_some() => continue,
                Err(wrong) => Err(wrong),
                Ok(Line::Record(record)) if id.is_none_or(|id| id == record.id) => {
                    found = true;
                    replay::again(&mut decider, &record, args.explain)
                }
                Ok(line) => {
                    passed.count(&line, id);
                    continue;
                }
            }
        } else {
            one(&mut decider, &line, answers.as_ref(), args.explain)
        };
        match result {
            Ok(text) => {
                writeln!(out, "{text}")?;
                out.flush()?;
            }
            Err(message) => {
                good = false;
                eprintln!("{}:{}: {message}", file.display(), index.saturating_add(1));
            }
        }
    }
    if args.record.is_some() {
        passed.report(found, id).iter().for_each(|said| eprintln!("{}: {said}", file.display()));
        good &= found;
    }
    Ok(Outcome::from_good(good))
}

fn one(decider: &mut Decider, line: &[u8], answers: Option<&Answers>, human: bool) -> Result<String, String> {
    let (wire, at) = request::read(line)?;
    let record = decider.decide(&wire, at, answers).map_err(|error| error.to_string())?;
    if human {
        decider.explain(&record).map_err(|error| error.to_string())
    } else {
        serde_json::to_string(&record).map_err(|error| error.to_string())
    }
}

/// An engine for requests in any order of time.
pub(super) struct Decider {
    configuration: Configuration,
    engine: Engine,
    at: Option<UnixTime>,
    seed: Vec<u8>,
    latest: UnixTime,
    streams: u64,
}

impl Decider {
    fn new(configuration: Configuration, at: Option<UnixTime>) -> Result<Self, super::Invalid> {
        // With a fixed time the ids are fixed too: the same input gives the same output.
        let seed = at.map_or_else(
            || format!("{} {}", clock::now().micros(), std::process::id()),
            |at| at.micros().to_string(),
        );
        let seed = seed.into_bytes();
        let engine = new_engine(configuration.again()?, &seed, 0);
        Ok(Self { configuration, engine, at, seed, latest: UnixTime::default(), streams: 0 })
    }

    /// An engine's time does not run backwards; a file's may. A fresh engine has no past.
    pub(super) fn engine_at(&mut self, now: UnixTime) -> Result<&mut Engine, super::Invalid> {
        self.streams = self.streams.wrapping_add(1);
        if now < self.latest {
            self.engine = new_engine(self.configuration.again()?, &self.seed, self.streams);
        }
        self.latest = now;
        Ok(&mut self.engine)
    }

    /// The decision for people.
    pub(super) fn explain(&self, record: &DecisionRecord) -> anyhow::Result<String> {
        let traces = match record.policy {
            // An engine of its own: explaining sets the clock.
            Some(_) => {
                let mut engine = new_engine(self.configuration.again()?, &self.seed, u64::MAX);
                engine.traces();
                engine.replay(record);
                engine.traces()
            }
            None => Vec::new(),
        };
        Ok(explain::text(record, &traces, &explain::Policies::of(&self.configuration.opened()?.document)))
    }

    pub(super) fn decide(
        &mut self,
        wire: &WireRequest,
        at: Option<UnixTime>,
        answers: Option<&Answers>,
    ) -> Result<DecisionRecord, super::Invalid> {
        let now = at.or(self.at).unwrap_or_else(clock::now);
        let engine = self.engine_at(now)?;
        let stream = StreamId(0);
        let mut step = engine.check(wire.to_core(stream), now);
        loop {
            match (step, answers) {
                (Step::Done(decision), _) => return Ok(decision.record),
                (Step::Ask { calls, pending }, Some(answers)) => {
                    step = engine.resume(pending, answers.replies(calls), now);
                }
                (Step::Ask { pending, .. } | Step::Wait { pending }, _) => {
                    engine.ended(stream, StreamClose::default(), now);
                    return Ok(pending.record().clone());
                }
            }
        }
    }
}

fn new_engine(settings: Settings, seed: &[u8], number: u64) -> Engine {
    let seed = IdSeed::derive(&[b"everycall decide", seed, &number.to_le_bytes()]);
    Engine::standalone(settings, seed)
}
