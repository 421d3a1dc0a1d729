//! The whole flow of a decision. [`Engine::decide`] is the place to start reading.
//!
//! All that an engine does is in this file, which is why it is long: `check` and `resume` take a request through the
//! layers, the rest belongs to no single request. How things are done is in its parts. Nothing here performs I/O or
//! reads a clock.

pub(crate) mod admission;
mod authenticator;
mod authority;
mod callers;
mod case;
mod clock;
mod conclude;
pub(crate) mod decision;
mod elevation;
mod facts;
mod feeds;
mod journal;
mod layers;
mod memory;
mod pdps;
mod replay;
mod shadow;
mod staleness;
pub(crate) mod step;
pub(crate) mod streams;
mod sweep;
mod trace;
mod worker;

use std::rc::Rc;
use std::sync::Arc;

use crate::authority::grants::Granted;
use crate::base::reason::{Layer, Reason};
use crate::base::time::UnixTime;
use crate::credential::token::cache::Verified;
use crate::engine::decision::{Decision, Denial, Permit};
use crate::engine::staleness::Staleness;
use crate::engine::step::{Effect, Pending, Step};
use crate::engine::streams::Streams;
use crate::http::attributes::Attribute;
use crate::http::call::{FetchId, Reply};
use crate::http::request::{Request, StreamId};
use crate::input::PolicyInput;
use crate::jose::signature::{PureRust, SignatureVerifier};
use crate::obligations::Obligations;
use crate::pdp::Question;
use crate::policy::Trace;
use crate::record::{DecisionRecord, Verdict, WouldRefuse};
use crate::settings::Settings;
use crate::sync::follower::FollowerStats;
use crate::sync::shared::{LocalData, SharedData};
use crate::sync::Event;

pub use admission::Admission;
use admission::InForce;
use authenticator::{Authenticator, Credential};
use authority::Authority;
pub(crate) use case::Waiting;
use case::{Asked, Case, Cause, Refused};
use clock::Clock;
use conclude::judge;
pub use decision::{Challenge, Refusal};
use feeds::Feeds;
use journal::Journal;
pub(crate) use journal::WAITING_BYTES;
use layers::Layers;
pub use pdps::PdpStats;
use pdps::Pdps;
pub use replay::not_decided_again;
pub use streams::{StreamClose, StreamStats};
pub use sweep::OpenStream;
use sweep::{Slice, DECISIONS};
use trace::Watched;
pub use worker::IdSeed;
use worker::Worker;

/// Records that one slice hands out.
const RECORDS: usize = 20;

/// Figures of an engine, for gauges.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Stats {
    /// Requests that wait for replies.
    pub pending: usize,
    /// Requests that wait for keys.
    pub awaiting_keys: usize,
    /// Verified tokens that are remembered.
    pub tokens_cached: usize,
    /// Times the clock went back by more than 300 s.
    pub clock_stepped: u64,
    /// Records that could not be written down.
    pub records_dropped: u64,
    /// Keys that come from servers.
    pub keys: Vec<FollowerStats>,
    /// The bundle, if bundles come from a server.
    pub bundle: Option<FollowerStats>,
    /// Feeds that come from servers.
    pub feeds: Vec<FollowerStats>,
    /// Decision points.
    pub pdps: Vec<PdpStats>,
    /// Streams.
    pub streams: StreamStats,
}

/// Work that is done between requests, in slices of a few milliseconds at most.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Work {
    /// Bundles and feeds are read.
    Updates,
    /// Open streams are looked at. A slice with cuts is the last one that a callback of the host should do.
    Streams,
    /// Records are handed out, a few at a time.
    Records,
    /// Those are for which there is no room until the next tick.
    Overflow,
}

/// Every decision of one instance in one worker.
pub struct Engine {
    settings: Settings,
    worker: Worker,
    clock: Clock,
    authenticator: Authenticator,
    authority: Authority,
    feeds: Feeds,
    pdps: Pdps,
    /// Admitted requests that are open.
    streams: Streams,
    staleness: Staleness,
    journal: Journal,
}

impl std::fmt::Debug for Engine {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Engine({}, {})", self.settings.instance, self.settings.revision)
    }
}

/// Where a case stands after the layers ran.
enum Progress {
    AwaitsKeys,
    Allowed(Option<Arc<Verified>>, Granted, Obligations),
    Asks { caller: Option<Arc<Verified>>, granted: Granted, input: PolicyInput, open: Vec<Question> },
}

impl Engine {
    /// An engine with nothing cached. `shared` is what all workers of the proxy see.
    pub fn new(
        mut settings: Settings,
        verifier: Box<dyn SignatureVerifier>,
        shared: Rc<dyn SharedData>,
        seed: IdSeed,
    ) -> Self {
        let worker = Worker::new(&settings, verifier, shared, seed);
        let mut engine = Self {
            authenticator: Authenticator::new(&settings, &worker),
            authority: Authority::new(&mut settings, &worker),
            settings,
            worker,
            clock: Clock::default(),
            feeds: Feeds::default(),
            pdps: Pdps::default(),
            streams: Streams::default(),
            staleness: Staleness::default(),
            journal: Journal::default(),
        };
        engine.pdps.reset(&engine.settings);
        engine.feeds.configure(&engine.settings, &engine.worker);
        engine.pass_on();
        engine
    }

    /// An engine for a process of its own: signatures in pure Rust, nothing shared, nothing fetched.
    /// A token whose keys are not at hand is refused at once.
    pub fn standalone(settings: Settings, seed: IdSeed) -> Self {
        let mut engine = Self::new(settings, Box::new(PureRust), Rc::<LocalData>::default(), seed);
        engine.authenticator.fetching = false;
        engine
    }

    /// Takes a new configuration. Caches live on; what no longer fits them is found by generation.
    pub fn configure(&mut self, mut settings: Settings) {
        let is_new = settings.revision != self.settings.revision;
        self.authority.configure(&mut settings, &self.worker);
        self.settings = settings;
        let Self { settings, worker, authenticator, feeds, pdps, .. } = self;
        authenticator.configure(settings, worker);
        feeds.configure(settings, worker);
        pdps.reset(settings);
        if is_new {
            self.new_generation();
        }
        self.pass_on();
    }

    /// The attributes of the connection that a check needs to be told.
    pub fn attributes(&self) -> Arc<[&'static Attribute]> {
        Arc::clone(&self.authority.attributes)
    }

    /// Decides a request, or says what it needs to know first.
    pub fn check(&mut self, request: Request, now: UnixTime) -> Step {
        let now = self.clock(now);
        let case = Case::new(request, self.worker.next_id(), now, &self.settings, self.attributes());
        self.run(case, now)
    }

    /// Goes on with the replies to all calls of a `Step::Ask`, in the calls' order; without any after
    /// a `Step::Wait`. Without a clock nothing can go on: it is refused.
    pub fn resume(
        &mut self,
        pending: Pending,
        replies: Vec<Reply>,
        now: impl Into<Option<UnixTime>>,
    ) -> Step {
        let Waiting { mut case, cause } = *pending.0;
        let Some(now) = now.into() else {
            self.forget(case.request.stream, self.clock.latest());
            return Step::Done(self.denied(case, Refused::new(Reason::NotReady, "the host tells no time")));
        };
        let now = self.clock(now);
        // It may be another one than when the request came.
        case.record.revision.clone_from(&self.settings.revision);
        let Asked { caller, granted, input, open, generation } = match cause {
            Cause::Answers(asked) => asked,
            Cause::Keys => {
                self.authenticator.forget(case.request.stream);
                return self.run(case, now);
            }
        };
        self.pdps.note_answers(&self.settings, &mut case, (open, replies), now);
        if generation != self.authority.generation {
            // INVARIANT: `granted` and `input` belong to settings or a bundle that are gone; nothing of
            // them is used again. Answers count for questions that are asked again word for word.
            if std::mem::replace(&mut case.redecided, true) {
                let refused =
                    Refused::new(Reason::NotReady, "the configuration changed twice while it waited");
                return Step::Done(self.denied(case, refused));
            }
            case.rounds = 0;
            case.known = std::mem::take(&mut case.answered);
            case.record.pdp.clear();
            return self.run(case, now);
        }
        let progress = self.authority.serves(&self.settings, &mut case, now);
        let progress = progress
            .and_then(|()| self.layers().still_valid(&mut case, caller.as_deref(), &granted, now))
            .and_then(|()| self.policy(&mut case, caller, granted, input, now));
        self.finish(case, progress, now)
    }

    fn run(&mut self, mut case: Case, now: UnixTime) -> Step {
        let progress = self.decide(&mut case, now);
        self.finish(case, progress, now)
    }

    /// The layers, in order. Each `?` is a refusal; only the last line can allow.
    fn decide(&mut self, case: &mut Case, now: UnixTime) -> Result<Progress, Refused> {
        let Self { settings, worker, authenticator, authority, feeds, .. } = self;
        let layers = Layers { settings, bundle: &authority.bundle, feeds, worker };
        let target = settings.target(case.request.headers()).map_err(|wrong| {
            case.note_as_it_came();
            Refused::from(wrong)
        })?;
        case.note_target(&target);
        case.observed = settings.observe.as_ref().is_some_and(|observe| observe.covers(&target));
        authority.serves(settings, case, now)?;
        let caller = match authenticator.credential(&layers, case, &target, now)? {
            Credential::Caller(caller) => caller,
            Credential::AwaitsKeys => return Ok(Progress::AwaitsKeys),
        };
        case.caller = Some(caller.clone());
        let granted = layers.grant(case, caller.as_deref(), &target, now)?;
        let granted = layers.elevation(case, caller.as_deref(), granted, now)?;
        let rule_set = granted.grant.rule_set;
        let input = layers.input(case, caller.as_deref(), &granted, rule_set, &target, now)?;
        self.policy(case, caller, granted, input, now)
    }

    /// Does this call, in this context, proceed? The policy may ask first.
    fn policy(
        &mut self,
        case: &mut Case,
        caller: Option<Arc<Verified>>,
        granted: Granted,
        mut input: PolicyInput,
        now: UnixTime,
    ) -> Result<Progress, Refused> {
        let Some(rules) = self.authority.bundle.rule_sets.get(granted.grant.rule_set) else {
            return Err(Refused::new(Reason::PolicyError, "the grant has no rule set"));
        };
        rules.put_answers(&mut input, &case.answered);
        if let Some(watched) = &mut self.journal.watched {
            watched.push(Watched {
                rule_set: granted.grant.rule_set,
                input: input.clone(),
                decided: false,
                shadow: false,
            });
        }
        let mut open = Vec::new();
        for question in rules.questions(&input)? {
            match case.answered.iter().find(|(asked, _)| asked.id == question.id) {
                Some((asked, _)) if *asked == question => {}
                Some(_) => {
                    return Err(Refused::new(
                        Reason::PolicyResult,
                        format!("question `{}` changed", question.id),
                    ))
                }
                None => open.push(question),
            }
        }
        if !open.is_empty() {
            self.pdps.may_ask(&self.settings, case, &open)?;
            let open = self.pdps.left_to_ask(&self.settings, case, open, now);
            if open.is_empty() {
                // All of them were answered at once.
                return self.policy(case, caller, granted, input, now);
            }
            return Ok(Progress::Asks { caller, granted, input, open });
        }
        if let Some(watched) = self.journal.watched.as_mut().and_then(|watched| watched.last_mut()) {
            watched.decided = true;
        }
        let obligations = judge(rules, &input, &case.answered, &mut case.record)?;
        Ok(Progress::Allowed(caller, granted, obligations))
    }

    fn finish(&mut self, mut case: Case, progress: Result<Progress, Refused>, now: UnixTime) -> Step {
        let Self { settings, worker, authority, feeds, journal, .. } = self;
        let layers = Layers { settings, bundle: &authority.bundle, feeds, worker };
        let watched = &mut journal.watched;
        shadow::decide_shadows(layers, authority.shadow.as_ref(), watched, &mut case, &progress, now);
        match progress {
            Ok(Progress::AwaitsKeys) => {
                case.record.layer = Layer::Credential;
                Step::Wait { pending: Pending(Box::new(Waiting { case, cause: Cause::Keys })) }
            }
            Ok(Progress::Allowed(caller, granted, mut obligations)) => {
                case.record.obligations = std::mem::take(&mut obligations.written);
                let admission =
                    Admission::of(&self.in_force(), &case, caller, &granted, obligations.max_stream_s, now);
                let kept_back = self.settings.kept_back(&case.request);
                let permit = Permit::new(case.request, kept_back, obligations, admission, now);
                case.record.decision = Verdict::Allow;
                case.record.reason = Some(Reason::Allowed);
                case.record.status = Reason::Allowed.status();
                case.record.layer = if case.answered.is_empty() { Layer::Policy } else { Layer::Pdp };
                Step::Done(Decision { verdict: Ok(permit), record: case.record })
            }
            Ok(Progress::Asks { caller, granted, input, open }) => {
                let calls = self.pdps.ask(&self.settings, &case, &open);
                case.record.layer = Layer::Pdp;
                let generation = self.authority.generation;
                let cause = Cause::Answers(Asked { caller, granted, input, open, generation });
                Step::Ask { calls, pending: Pending(Box::new(Waiting { case, cause })) }
            }
            Err(refused) => Step::Done(self.denied(case, refused)),
        }
    }

    fn denied(&self, mut case: Case, refused: Refused) -> Decision {
        let Refused { reason, detail, mut obligations } = refused;
        let observe = self.settings.observe.as_ref().filter(|observe| observe.is_on(self.clock.latest()));
        if case.observed && reason.observable() && observe.is_some() {
            return self.observed(case, reason, obligations.as_deref(), detail);
        }
        let written = obligations.as_mut().map(|all| std::mem::take(&mut all.written));
        case.record.obligations = written.unwrap_or_default();
        let denial = Denial::obliged(reason, &case.record.id, obligations, case.record.identity.as_deref());
        case.record.decision = Verdict::Deny;
        case.record.reason = Some(reason);
        case.record.status = denial.status();
        case.record.layer = reason.layer();
        case.record.detail = detail;
        Decision { verdict: Err(denial), record: case.record }
    }

    /// Passes on what would be refused. The permit is no more than who was verified.
    fn observed(
        &self,
        mut case: Case,
        reason: Reason,
        obligations: Option<&Obligations>,
        detail: Option<String>,
    ) -> Decision {
        let layer = reason.layer();
        let now = self.clock.latest();
        let admission = Admission::observed(&self.in_force(), &case, reason, now);
        let status = obligations.and_then(Obligations::status).unwrap_or(reason.status());
        case.record.would_refuse = Some(WouldRefuse { reason, status, layer, detail });
        case.record.decision = Verdict::Allow;
        case.record.reason = Some(Reason::Observed);
        case.record.status = Reason::Observed.status();
        case.record.layer = layer;
        let kept_back = self.settings.kept_back(&case.request);
        let permit = Permit::observed(case.request, kept_back, admission, reason, now);
        Decision { verdict: Ok(permit), record: case.record }
    }

    fn layers(&self) -> Layers<'_> {
        let Self { settings, worker, authority, feeds, .. } = self;
        Layers { settings, bundle: &authority.bundle, feeds, worker }
    }

    fn in_force(&self) -> InForce<'_> {
        let Self { settings, authority, feeds, .. } = self;
        InForce { settings, authority, feeds }
    }

    /// Takes note of a request that goes on. From now on its stream is accounted for.
    pub fn admitted(&mut self, admission: Box<Admission>) {
        self.streams.admitted(&self.settings, admission);
    }

    /// Takes the record of a decision that was acted upon; [`Self::work`] hands it out. Answers what the
    /// access log is to show: the decision in short, or the record if that is where records go.
    pub fn record(&mut self, record: &DecisionRecord) -> String {
        self.journal.decided(&self.settings, record)
    }

    /// A stream that was admitted and is open.
    pub fn open_stream(&self, stream: StreamId) -> Option<OpenStream<'_>> {
        let Self { settings, authority, .. } = self;
        self.streams.get(stream).map(|(admission, cut)| OpenStream { settings, authority, admission, cut })
    }

    /// A stream is gone. What it waited for is forgotten, and its end is recorded where it is due;
    /// the caller drops its `Pending`. Answers why it ended, if it did not just end.
    pub fn ended(&mut self, stream: StreamId, close: StreamClose, now: UnixTime) -> Option<Reason> {
        let now = self.clock(now);
        self.forget(stream, now);
        let (reason, record) = self.streams.ended(&self.settings, stream, close, now)?;
        record.into_iter().for_each(|record| self.journal.write_down(record));
        reason
    }

    fn forget(&mut self, stream: StreamId, now: UnixTime) {
        self.pdps.forget(stream, now);
        self.authenticator.forget(stream);
    }

    /// What is due now. Work in slices is [`Self::work`]'s.
    pub fn tick(&mut self, now: UnixTime) -> Vec<Effect> {
        let now = self.clock(now);
        let Self { settings, worker, authenticator, authority, feeds, streams, staleness, .. } = self;
        let mut events = authenticator.tick(now);
        events.extend(feeds.tick(settings, worker, now));
        events.extend(authority.tick(settings, worker, now));
        streams.begin_sweep(now, *settings.streams.sweep_ms);
        let mut effects: Vec<Effect> = events.into_iter().map(Effect::from).collect();
        if staleness.is_due(now) {
            let mut ages = Vec::new();
            authenticator.ages(&mut ages, now);
            authority.ages(&mut ages, settings, now);
            feeds.ages(&mut ages, settings, now);
            effects.append(&mut staleness.look(ages));
        }
        self.pass_on();
        effects
    }

    /// Whether there is such work.
    pub fn has_work(&self, work: Work) -> bool {
        match work {
            Work::Updates => self.feeds.is_busy() || self.authority.is_busy(),
            Work::Streams => self.streams.is_busy(),
            Work::Records => !self.journal.is_empty(),
            Work::Overflow => self.journal.overflows(),
        }
    }

    /// One slice of such work: requests are decided in between.
    pub fn work(&mut self, work: Work, now: UnixTime) -> Vec<Effect> {
        let now = self.clock(now);
        let Self { settings, worker, authority, feeds, journal, .. } = self;
        let emit = |record| Effect::Emit { record };
        let events = match work {
            Work::Records => return journal.take(RECORDS).into_iter().map(emit).collect(),
            Work::Overflow => return journal.take_overflow().into_iter().map(emit).collect(),
            Work::Streams => return self.sweep(now),
            // What is revoked does not wait for a bundle.
            Work::Updates if feeds.is_busy() => {
                let events = feeds.slice(settings, worker, now);
                self.pass_on();
                events
            }
            Work::Updates => {
                let (events, is_another) = authority.slice(settings, worker, now);
                if is_another {
                    self.new_generation();
                }
                events
            }
        };
        events.into_iter().map(Effect::from).collect()
    }

    /// The answer to an `Effect::Fetch`.
    pub fn fetched(&mut self, id: FetchId, reply: Reply, now: UnixTime) -> Vec<Effect> {
        let now = self.clock(now);
        let events = if let Some(feed) = self.feeds.awaits(id) {
            feed.fetched(reply, now)
        } else if let Some(keys) = self.authenticator.awaits(id) {
            keys.fetched(reply, now)
        } else if let Some(bundle) = self.authority.awaits(id) {
            bundle.fetched(reply, now)
        } else {
            // Nobody asked: the source is not configured any more.
            Vec::new()
        };
        events.into_iter().map(Effect::from).collect()
    }

    /// The replies to the calls of an [`Effect::Ask`], in the calls' order. Without a clock they count for nothing.
    pub fn answered(
        &mut self,
        pending: Pending,
        replies: Vec<Reply>,
        now: impl Into<Option<UnixTime>>,
    ) -> Vec<Effect> {
        let (stream, now) = (pending.stream(), now.into());
        let Some(now) = now.map(|now| self.clock(now)) else {
            let latest = self.clock.latest();
            self.pdps.forget(stream, latest);
            self.streams.unanswered(stream, latest);
            return Vec::new();
        };
        self.streams.set_asking(stream, false);
        if self.streams.get_mut(stream).is_none() {
            // It is gone, or will be; its questions were forgotten or are here.
            self.pdps.forget(stream, now);
            return Vec::new();
        }
        let step = self.resume(pending, replies, now);
        self.decided_again(stream, step, now).into_iter().collect()
    }

    /// One slice of work on open streams.
    fn sweep(&mut self, now: UnixTime) -> Vec<Effect> {
        let Self { settings, authority, feeds, streams, .. } = self;
        match streams.slice(&InForce { settings, authority, feeds }, now) {
            Slice::Nothing => Vec::new(),
            Slice::Cuts(cuts) => cuts,
            Slice::Again => {
                let mut effects = Vec::new();
                for _ in 0..DECISIONS {
                    let Some(stream) = self.streams.next_again() else { break };
                    effects.extend(self.decide_again(stream, now));
                }
                effects
            }
        }
    }

    fn decide_again(&mut self, stream: StreamId, now: UnixTime) -> Option<Effect> {
        let Self { settings, worker, authenticator, authority, feeds, streams, .. } = self;
        let layers = Layers { settings, bundle: &authority.bundle, feeds, worker };
        let case = streams.case_again(&layers, authority, authenticator, stream, now)?;
        let step = self.run(case, now);
        self.decided_again(stream, step, now)
    }

    fn decided_again(&mut self, stream: StreamId, step: Step, now: UnixTime) -> Option<Effect> {
        let Self { settings, authority, feeds, streams, .. } = self;
        streams.decided_again(&InForce { settings, authority, feeds }, stream, step, now)
    }

    /// What is in force has changed: requests that wait are decided anew, and open streams, too.
    fn new_generation(&mut self) {
        self.authority.generation = self.authority.generation.wrapping_add(1);
        self.streams.begin_walk();
    }

    /// Lets the open streams know what feeds tell.
    fn pass_on(&mut self) {
        self.streams.revoked(self.feeds.revocations.facts.take_newly());
        self.streams.signalled(self.feeds.signals.facts.take_newly());
    }

    /// Current figures.
    pub fn stats(&self) -> Stats {
        let (settings, now) = (&self.settings, self.clock.latest());
        Stats {
            pending: self.pdps.waiting(),
            awaiting_keys: self.authenticator.waiting(),
            tokens_cached: self.authenticator.tokens_cached(),
            clock_stepped: self.clock.steps(),
            records_dropped: self.journal.dropped,
            keys: self.authenticator.key_stats(now),
            bundle: self.authority.bundle_stats(settings, now),
            feeds: self.feeds.stats(settings, now),
            pdps: self.pdps.stats(settings),
            streams: self.streams.stats(),
        }
    }

    /// Time never runs backwards by a little. By a lot it is followed, and what was believed
    /// because of the old time is forgotten.
    fn clock(&mut self, now: UnixTime) -> UnixTime {
        if let Some(before) = self.clock.tell(now) {
            self.authenticator.clock_stepped(now);
            self.pdps.reset(&self.settings);
            self.authority.clock_stepped(now);
            self.feeds.clock_stepped(now);
            self.streams.clock_stepped(before, now);
            self.staleness.clock_stepped();
        }
        self.clock.latest()
    }

    /// Decides a recorded request again, under the configuration in force: the recorded caller, the
    /// recorded values, the recorded answers. Sets the engine's clock to the record's time: for engines that do
    /// nothing else.
    ///
    /// Refusals that rest on what no record holds, such as the token, the bytes of a malformed
    /// request or how busy the worker was, stand as they are.
    pub fn replay(&mut self, record: &DecisionRecord) -> Decision {
        self.clock.set(record.time);
        let mut case = Case::of_record(record, &self.settings, &self.authority.attributes);
        if let Some(reason) = not_decided_again(record) {
            let refused = case.stands(record, reason);
            return self.denied(case, refused);
        }
        // What was valid when the request came may have ended before it was answered.
        let waited = record.duration_us.and_then(|micros| i64::try_from(micros).ok()).unwrap_or_default();
        let answered = UnixTime::from_micros(record.time.micros().saturating_add(waited));
        let mut step = self.run(case, record.time);
        loop {
            match step {
                Step::Done(decision) => return decision,
                Step::Ask { mut pending, .. } | Step::Wait { mut pending } => {
                    pending.answer_as(record);
                    step = self.resume(pending, Vec::new(), answered);
                }
            }
        }
    }

    /// What became of the rules in each evaluation since the last call, in order; those of a shadow bundle are not
    /// among them. From the first call on, what policies are evaluated with is kept, without bound: not for an engine
    /// that serves.
    pub fn traces(&mut self) -> Vec<Trace> {
        let watched = self.journal.watched.replace(Vec::new()).unwrap_or_default();
        watched.into_iter().filter_map(|watched| watched.trace(&self.authority.bundle)).collect()
    }
}

impl From<Event> for Effect {
    fn from(event: Event) -> Self {
        match event {
            Event::Fetch { id, call } => Effect::Fetch { id, call },
            Event::Wake(stream) => Effect::Wake { stream },
            Event::Info(message) => Effect::Info { message },
            Event::Warn(message) => Effect::Warn { message },
        }
    }
}
