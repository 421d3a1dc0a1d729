//! Streams that stay open: what they rest on when they are admitted, and what becomes of them when
//! that changes. Everything is done in slices; [`Engine::sweep`] does the next one.

use std::sync::Arc;

use super::case::{Case, Occasion, Refused};
use super::Engine;
use crate::authority::grants::Granted;
use crate::base::reason::{Layer, Reason};
use crate::base::time::UnixTime;
use crate::config::LogRecords;
use crate::credential::token::cache::Verified;
use crate::engine::decision::{Decision, Denial};
use crate::engine::step::{Effect, Pending, Step};
use crate::engine::streams::{Admission, End, Farewell, Kept, Over, Remembered, StreamStats, MAX_KEPT};
use crate::http::call::Reply;
use crate::http::request::StreamId;
use crate::policy::RuleSet;
use crate::record::{Record, StreamEnd, StreamIdentity, StreamRecord};

/// Streams that one slice looks at, of those about which little is to be done.
const MANY: usize = 32;
/// Streams that one slice cuts: the host takes them apart after the callback.
const CUTS: usize = 4;
/// Streams that one slice decides again.
const DECISIONS: usize = 4;
/// How far the host's timers may be ahead of its clock, in milliseconds.
const CLOCKS_MS: i64 = 1_000;
/// When it is tried again to decide a stream about which nothing could be decided, in milliseconds.
const AGAIN_MS: i64 = 1_000;

impl Engine {
    /// What an allowed request rests on. Its stream is over when the first part of that is.
    pub(super) fn admission(
        &self,
        case: &Case,
        caller: Option<Arc<Verified>>,
        granted: &Granted,
        max_stream_s: Option<u32>,
        now: UnixTime,
    ) -> Box<Admission> {
        let since = case.open_since().unwrap_or(now);
        let elevation = granted.elevated.as_ref().map(|elevated| Arc::clone(&elevated.elevation));
        let ends = [
            granted.grant.valid_until.map(|at| End { at, reason: Reason::NotGranted }),
            elevation.as_ref().map(|it| End { at: it.valid_until, reason: Reason::ElevationInactive }),
            max_stream_s.map(|secs| duration_cap(since, secs)),
        ];
        let basis = Basis { caller, ends: ends.into_iter().flatten().min(), since };
        let admission = self.rests_on(case, basis);
        Box::new(Admission { grant: Some(Arc::clone(&granted.grant)), elevation, ..admission })
    }

    /// The same for a request that is passed on although it would be refused for this reason.
    pub(super) fn observed_admission(&self, case: &Case, reason: Reason) -> Box<Admission> {
        let ends = self.settings.observe.as_ref().map(|observe| End { at: observe.until, reason });
        let since = case.open_since().unwrap_or(self.latest);
        let basis = Basis { caller: case.caller.clone().flatten(), ends, since };
        Box::new(self.rests_on(case, basis))
    }

    fn rests_on(&self, case: &Case, Basis { caller, ends, since }: Basis) -> Admission {
        let cap = duration_cap(since, self.settings.streams.max_s);
        let credential = caller.as_ref().and_then(|caller| match (&caller.exception, caller.issuer) {
            (Some(exception), _) => Some(End { at: exception.valid_until, reason: Reason::ExceptionExpired }),
            (None, Some(_)) => Some(End { at: caller.identity.expires_at, reason: Reason::TokenExpired }),
            // A certificate: its end is not known here.
            (None, None) => None,
        });
        Admission {
            stream: case.request.stream,
            decision_id: case.record.id.clone(),
            since,
            caller,
            grant: None,
            elevation: None,
            end: [credential, ends].into_iter().flatten().fold(cap, End::min),
            request: Remembered::Gone,
            attributes: Arc::clone(&case.attributes),
            generation: self.generation,
            signals: case.signals_at,
        }
    }

    /// Takes note of a request that goes on. From now on its stream is accounted for.
    pub fn admitted(&mut self, mut admission: Box<Admission>) {
        // There may be many before the next sweep: a small request stays whole until then, most are over by then.
        if admission.request.bytes() > MAX_KEPT {
            self.bring_down(&mut admission);
        }
        self.streams.insert(admission);
    }

    /// Of a request what it takes to decide it again.
    fn bring_down(&self, admission: &mut Admission) {
        if let Remembered::Whole(request) = &admission.request {
            let kept = Kept::of(request, |name| self.settings.is_secret(name));
            admission.request = kept.map_or(Remembered::Gone, Remembered::Kept);
        }
    }

    /// Whether it matters what the host tells of the end of this stream.
    pub fn asks_farewell(&self, stream: StreamId, now: UnixTime) -> bool {
        let Some((admission, over)) = self.streams.get(stream) else { return false };
        over.is_some() || now >= near(admission.end.at) || self.is_recorded(admission, StreamEnd::Closed, now)
    }

    fn is_recorded(&self, admission: &Admission, end: StreamEnd, now: UnixTime) -> bool {
        let after = admission.since.plus_secs(self.settings.log.streams_after_s.into());
        match (self.settings.log.records, end) {
            (LogRecords::Off, _) | (LogRecords::Refusals, StreamEnd::Closed) => false,
            (LogRecords::All | LogRecords::Refusals, StreamEnd::Over(_)) => true,
            (LogRecords::All, StreamEnd::Closed) => now >= after,
        }
    }

    /// Whether this stream was admitted and is to end before its time.
    pub fn is_cut(&self, stream: StreamId) -> bool {
        self.streams.get(stream).is_some_and(|(_, over)| over.is_some())
    }

    /// A stream is gone. What it waited for is forgotten, and its end is recorded where it is due;
    /// the caller drops its `Pending`. Answers why it ended, if it did not just end.
    pub fn ended(&mut self, stream: StreamId, farewell: Farewell, now: UnixTime) -> Option<Reason> {
        let now = self.clock(now);
        self.pdps.forget(stream, now);
        self.forget_waiting(stream);
        let (admission, over) = self.streams.remove(stream)?;
        let End { at, reason } = admission.end;
        // The host has a clock of its own for the end, which may be ahead of ours by a little.
        let is_over = at <= now || (farewell.timed_out && near(at) <= now);
        let over = over.or_else(|| is_over.then_some(Over { reason, detail: None }));
        let end = over.as_ref().map_or(StreamEnd::Closed, |over| StreamEnd::Over(over.reason));
        self.streams.count_end(end);
        let reason = over.as_ref().map(|over| over.reason);
        if self.is_recorded(&admission, end, now) {
            let detail = over.and_then(|over| over.detail);
            let record = self.end_record(&admission, end, detail, farewell, now);
            self.write_down(Record::Stream(Box::new(record)));
        }
        reason
    }

    fn end_record(
        &self,
        admission: &Admission,
        reason: StreamEnd,
        detail: Option<String>,
        farewell: Farewell,
        now: UnixTime,
    ) -> StreamRecord {
        #[allow(clippy::cast_precision_loss)] // milliseconds of years stay below 2^53
        let open_s = now.millis_since(admission.since).max(0) as f64 / 1e3;
        StreamRecord {
            v: 1,
            event: "stream_ended",
            id: admission.decision_id.clone(),
            time: now,
            instance: self.settings.instance.clone(),
            reason,
            detail,
            cut: reason != StreamEnd::Closed,
            open_s,
            bytes_received: farewell.received,
            bytes_sent: farewell.sent,
            identity: admission.caller.as_ref().map(|caller| StreamIdentity::from(&*caller.identity)),
            grant: admission.grant.as_ref().map(|grant| grant.id.to_string()),
            elevation: admission.elevation.as_ref().map(|elevation| elevation.id.clone()),
        }
    }

    /// Current figures of the streams.
    pub fn stream_stats(&self) -> StreamStats {
        self.streams.stats()
    }

    /// What is in force has changed: requests that wait are decided anew, and open streams, too.
    pub(super) fn new_generation(&mut self) {
        self.generation = self.generation.wrapping_add(1);
        self.streams.begin_walk();
    }

    /// Whether there is work for [`Self::sweep`].
    pub fn is_sweeping(&self) -> bool {
        self.streams.is_busy()
    }

    /// One slice of work on open streams, of a fraction of a millisecond; with cuts, the last one
    /// that a callback should do.
    pub fn sweep(&mut self, now: UnixTime) -> Vec<Effect> {
        let now = self.clock(now);
        let cuts = self.streams.take_cuts(now, CUTS);
        if !cuts.is_empty() {
            let cut = |(stream, reason, id): (StreamId, Reason, String)| Effect::Cut {
                stream,
                refusal: Denial::new(reason, &id).cut(),
            };
            return cuts.into_iter().map(cut).collect();
        }
        if self.streams.is_looking() {
            let suspects = self.streams.suspects(MANY);
            suspects.into_iter().for_each(|stream| self.look(stream, now));
            return Vec::new();
        }
        if self.streams.take_signalled(MANY) {
            return Vec::new();
        }
        if self.streams.take_due(now, MANY) > 0 {
            return Vec::new();
        }
        let young = self.streams.take_young(MANY);
        if !young.is_empty() {
            young.into_iter().for_each(|admission| self.settle(admission, now));
            return Vec::new();
        }
        self.streams.walk(self.generation, MANY);
        let mut effects = Vec::new();
        for _ in 0..DECISIONS {
            let Some(stream) = self.streams.next_again() else { break };
            effects.extend(self.decide_again(stream, now));
        }
        effects
    }

    /// Ends a stream if its caller was revoked.
    fn look(&mut self, stream: StreamId, now: UnixTime) {
        let Some((Admission { caller: Some(caller), .. }, None)) = self.streams.get(stream) else { return };
        let Some(kind) = self.revocations.facts.check(&caller.revocable, now) else { return };
        if let Some(young) = self.streams.take_one_young(stream) {
            self.settle(young, now);
        }
        let detail = Some(format!("its {} was revoked", kind.as_str()));
        self.streams.end(stream, Over { reason: Reason::Revoked, detail });
    }

    /// A stream stays open: its request is brought down to what it takes to decide it again.
    fn settle(&mut self, mut admission: Box<Admission>, now: UnixTime) {
        self.bring_down(&mut admission);
        let stream = admission.stream;
        let is_news = |version| version != self.signals.facts.version();
        let is_old = admission.generation != self.generation || admission.signals.is_some_and(is_news);
        let due = self.due(&admission, now);
        self.streams.settle(admission, due);
        if is_old {
            self.streams.decide_again(stream);
        }
    }

    /// When to decide a stream again that was decided under what is in force: time alone may change
    /// what its policy says, or end what is known of its caller. Else when it ends.
    fn due(&self, admission: &Admission, now: UnixTime) -> UnixTime {
        let rules = admission.grant.as_ref().and_then(|grant| self.bundle.rule_sets.get(grant.rule_set));
        match rules.is_some_and(RuleSet::reads_time) || admission.signals.is_some() {
            true => now.plus_secs(self.settings.streams.redecide_s.into()),
            false => admission.end.at,
        }
    }

    /// Decides an open stream again, from the grant on: its caller is known.
    fn decide_again(&mut self, stream: StreamId, now: UnixTime) -> Option<Effect> {
        let (admission, _) = self.streams.get(stream)?;
        let Remembered::Kept(kept) = &admission.request else {
            let detail = "what decides has changed, and its request was too large to be kept".to_owned();
            self.streams.end(stream, Over { reason: Reason::StreamNotKept, detail: Some(detail) });
            return None;
        };
        // INVARIANT: a fact that was not asked for reads like one that is not so.
        let is_told = self.attributes.iter().all(|attribute| admission.attributes.contains(attribute));
        if !is_told {
            let detail =
                "what decides has changed, and reads facts of the connection that were not asked for";
            self.streams.end(stream, Over { reason: Reason::StreamNotKept, detail: Some(detail.into()) });
            return None;
        }
        let request = kept.request(stream);
        let (id, since) = (admission.decision_id.clone(), admission.since);
        let attributes = Arc::clone(&admission.attributes);
        let caller = match admission.caller.as_ref().map(|caller| self.caller_again(caller, now)) {
            None => None,
            Some(Ok(caller)) => Some(caller),
            Some(Err(Refused { reason, detail, .. })) => {
                self.streams.end(stream, Over { reason, detail });
                return None;
            }
        };
        let mut case = Case::new(request, id, now, &self.settings, attributes);
        case.occasion = Occasion::OpenStream { caller, since };
        let step = self.run(case, now);
        self.decided_again(stream, step, now)
    }

    /// The replies to the calls of an [`Effect::Ask`], in the calls' order.
    pub fn answered(&mut self, pending: Pending, replies: Vec<Reply>, now: UnixTime) -> Vec<Effect> {
        let now = self.clock(now);
        let stream = pending.stream();
        self.streams.set_asking(stream, false);
        if self.streams.get_mut(stream).is_none() {
            // It is gone, or will be; its questions were forgotten or are here.
            self.pdps.forget(stream, now);
            return Vec::new();
        }
        let step = self.resume(pending, replies, now);
        self.decided_again(stream, step, now).into_iter().collect()
    }

    /// Nobody answers for this stream any more: it is tried again.
    pub fn unanswered(&mut self, stream: StreamId, now: UnixTime) {
        let now = self.clock(now);
        self.pdps.forget(stream, now);
        self.streams.set_asking(stream, false);
        self.streams.schedule_again(stream, now.plus_millis(AGAIN_MS));
    }

    /// Acts on what an open stream came to.
    fn decided_again(&mut self, stream: StreamId, step: Step, now: UnixTime) -> Option<Effect> {
        match step {
            Step::Done(Decision { verdict: Ok(permit), .. }) => {
                let (_, decided) = permit.into_parts();
                let Admission { caller, grant, elevation, end, attributes, generation, signals, .. } =
                    *decided;
                let admission = self.streams.get_mut(stream)?;
                // The host was told the first end, and can't be told a later one.
                let end = end.min(admission.end);
                *admission = Admission {
                    stream,
                    decision_id: std::mem::take(&mut admission.decision_id),
                    since: admission.since,
                    request: std::mem::replace(&mut admission.request, Remembered::Gone),
                    caller,
                    grant,
                    elevation,
                    end,
                    attributes,
                    generation,
                    signals,
                };
                let due = self.streams.get(stream).map(|(admission, _)| self.due(admission, now))?;
                self.streams.schedule_again(stream, due);
                None
            }
            // Nothing was decided: that there is no bundle, no news of revocations or signals, or too
            // much to do, is not about the stream.
            Step::Done(Decision { verdict: Err(denial), .. })
                if denial.layer() == Layer::Service || denial.reason == Reason::RevocationsStale =>
            {
                self.streams.schedule_again(stream, now.plus_millis(AGAIN_MS));
                None
            }
            Step::Done(Decision { verdict: Err(Denial { reason, .. }), record }) => {
                self.streams.end(stream, Over { reason, detail: record.detail });
                None
            }
            Step::Ask { calls, pending } => {
                self.streams.set_asking(stream, true);
                Some(Effect::Ask { stream, calls, pending })
            }
            // Who calls is known: there are no keys to wait for.
            Step::Wait { .. } => {
                self.streams.schedule_again(stream, now.plus_millis(AGAIN_MS));
                None
            }
        }
    }
}

/// What else than the configuration an admission rests on.
struct Basis {
    caller: Option<Arc<Verified>>,
    /// The first end of what admits it.
    ends: Option<End>,
    since: UnixTime,
}

/// From then on a stream may have ended for its age by the host's clock.
fn near(end: UnixTime) -> UnixTime {
    end.plus_millis(-CLOCKS_MS)
}

fn duration_cap(since: UnixTime, secs: u32) -> End {
    End { at: since.plus_secs(secs.into()), reason: Reason::DurationCap }
}
