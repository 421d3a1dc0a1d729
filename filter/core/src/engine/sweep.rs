//! Streams that stay open: what they rest on when they are admitted, and what becomes of them when
//! that changes. Everything is done in slices; [`Streams::slice`] does the next one.

use std::sync::Arc;

use super::authenticator::Authenticator;
use super::authority::Authority;
use super::case::{Case, Occasion, Refused};
use super::feeds::Feeds;
use super::journal::Journal;
use super::layers::Layers;
use crate::authority::grants::Granted;
use crate::base::reason::{Layer, Reason};
use crate::base::time::UnixTime;
use crate::credential::token::cache::Verified;
use crate::engine::decision::{Decision, Denial};
use crate::engine::step::{Effect, Step};
use crate::engine::streams::{
    Admission, Cut, Deadline, HeldRequest, PackedRequest, StreamClose, Streams, MAX_PACKED,
};
use crate::http::request::StreamId;
use crate::policy::RuleSet;
use crate::record::{Record, StreamEnd, StreamIdentity, StreamRecord, RECORD_VERSION};
use crate::settings::Settings;

/// Streams that one slice looks at, of those about which little is to be done.
const MANY: usize = 32;
/// Streams that one slice cuts: the host takes them apart after the callback.
const CUTS: usize = 4;
/// Streams that one slice decides again.
pub(super) const DECISIONS: usize = 4;
/// How far the host's timers may be ahead of its clock, in milliseconds.
const CLOCKS_MS: i64 = 1_000;
/// When it is tried again to decide a stream about which nothing could be decided, in milliseconds.
const AGAIN_MS: i64 = 1_000;

/// What is in force for streams.
pub(super) struct InForce<'e> {
    pub(super) settings: &'e Settings,
    pub(super) authority: &'e Authority,
    pub(super) feeds: &'e Feeds,
}

impl Admission {
    /// What an allowed request rests on. Its stream is over when the first part of that is.
    pub(super) fn of(
        in_force: &InForce<'_>,
        case: &Case,
        caller: Option<Arc<Verified>>,
        granted: &Granted,
        max_stream_s: Option<u32>,
        now: UnixTime,
    ) -> Box<Self> {
        let since = case.open_since().unwrap_or(now);
        let elevation = granted.elevated.as_ref().map(|elevated| Arc::clone(&elevated.elevation));
        let ends = [
            granted.grant.valid_until.map(|at| Deadline { at, reason: Reason::NotGranted }),
            elevation.as_ref().map(|it| Deadline { at: it.valid_until, reason: Reason::ElevationInactive }),
            max_stream_s.map(|secs| duration_cap(since, secs)),
        ];
        let basis = Basis { caller, ends: ends.into_iter().flatten().min(), since };
        let admission = Self::rests_on(in_force, case, basis);
        Box::new(Self { grant: Some(Arc::clone(&granted.grant)), elevation, ..admission })
    }

    /// The same for a request that is passed on although it would be refused for this reason.
    pub(super) fn observed(in_force: &InForce<'_>, case: &Case, reason: Reason, now: UnixTime) -> Box<Self> {
        let ends = in_force.settings.observe.as_ref().map(|observe| Deadline { at: observe.until, reason });
        let since = case.open_since().unwrap_or(now);
        let basis = Basis { caller: case.caller.clone().flatten(), ends, since };
        Box::new(Self::rests_on(in_force, case, basis))
    }

    fn rests_on(in_force: &InForce<'_>, case: &Case, Basis { caller, ends, since }: Basis) -> Self {
        let cap = duration_cap(since, *in_force.settings.streams.max_s);
        let credential = caller.as_ref().and_then(|caller| match (&caller.exception, caller.issuer) {
            (Some(exception), _) => {
                Some(Deadline { at: exception.valid_until, reason: Reason::ExceptionExpired })
            }
            (None, Some(_)) => {
                Some(Deadline { at: caller.identity.expires_at, reason: Reason::TokenExpired })
            }
            // A certificate: its end is not known here.
            (None, None) => None,
        });
        Self {
            stream: case.request.stream,
            decision_id: case.record.id.clone(),
            since,
            caller,
            grant: None,
            elevation: None,
            end: [credential, ends].into_iter().flatten().fold(cap, Deadline::min),
            request: HeldRequest::Dropped,
            attributes: Arc::clone(&case.attributes),
            generation: in_force.authority.generation,
            signals: case.signals_at,
        }
    }
}

impl Streams {
    /// Takes note of a request that goes on. From now on its stream is accounted for.
    pub(super) fn admitted(&mut self, settings: &Settings, mut admission: Box<Admission>) {
        // There may be many before the next sweep: a small request stays whole until then, most are over by then.
        if admission.request.bytes() > MAX_PACKED {
            admission.bring_down(settings);
        }
        self.insert(admission);
    }

    /// A stream is gone. Answers why it ended, if it did not just end, and the record of that where it is due.
    pub(super) fn ended(
        &mut self,
        settings: &Settings,
        stream: StreamId,
        close: StreamClose,
        now: UnixTime,
    ) -> Option<(Option<Reason>, Option<Record>)> {
        let (admission, cut) = self.remove(stream)?;
        let Deadline { at, reason } = admission.end;
        // The host has a clock of its own for the end, which may be ahead of ours by a little.
        let is_past = at <= now || (close.timed_out && near(at) <= now);
        let cut = cut.or_else(|| is_past.then_some(Cut { reason, detail: None }));
        let end = cut.as_ref().map_or(StreamEnd::Closed, |cut| StreamEnd::Over(cut.reason));
        self.count_end(end);
        let reason = cut.as_ref().map(|cut| cut.reason);
        let is_recorded = Journal::takes_end(settings, end, admission.is_old(settings, now));
        let record = is_recorded.then(|| {
            let detail = cut.and_then(|cut| cut.detail);
            Record::Stream(Box::new(admission.end_record(settings, end, detail, close, now)))
        });
        Some((reason, record))
    }

    /// One slice of work on open streams, of a fraction of a millisecond: those that are to be cut, or else those that
    /// are to be decided again.
    pub(super) fn slice(&mut self, in_force: &InForce<'_>, now: UnixTime) -> Slice {
        let cuts = self.take_cuts(now, CUTS);
        if !cuts.is_empty() {
            let cut = |(stream, reason, id): (StreamId, Reason, String)| Effect::Cut {
                stream,
                refusal: Denial::new(reason, &id).cut(),
            };
            return Slice::Cuts(cuts.into_iter().map(cut).collect());
        }
        if self.is_looking() {
            let suspects = self.suspects(MANY);
            suspects.into_iter().for_each(|stream| self.look(in_force, stream, now));
            return Slice::Nothing;
        }
        if self.take_signalled(MANY) || self.take_due(now, MANY) > 0 {
            return Slice::Nothing;
        }
        let young = self.take_young(MANY);
        if !young.is_empty() {
            young.into_iter().for_each(|admission| self.settle_young(in_force, admission, now));
            return Slice::Nothing;
        }
        self.walk(in_force.authority.generation, MANY);
        Slice::Again
    }

    /// Ends a stream if its caller was revoked.
    fn look(&mut self, in_force: &InForce<'_>, stream: StreamId, now: UnixTime) {
        let Some((Admission { caller: Some(caller), .. }, None)) = self.get(stream) else { return };
        let Some(kind) = in_force.feeds.revocations.facts.check(&caller.revocable, now) else { return };
        if let Some(young) = self.take_one_young(stream) {
            self.settle_young(in_force, young, now);
        }
        let detail = Some(format!("its {} was revoked", kind.as_str()));
        self.end(stream, Cut { reason: Reason::Revoked, detail });
    }

    /// A stream stays open: its request is brought down to what it takes to decide it again.
    fn settle_young(&mut self, in_force: &InForce<'_>, mut admission: Box<Admission>, now: UnixTime) {
        admission.bring_down(in_force.settings);
        let stream = admission.stream;
        let is_news = |version| version != in_force.feeds.signals.facts.version();
        let is_old =
            admission.generation != in_force.authority.generation || admission.signals.is_some_and(is_news);
        let due = admission.due(in_force, now);
        self.settle(admission, due);
        if is_old {
            self.decide_again(stream);
        }
    }

    /// The case of an open stream that is decided again, from the grant on: its caller is known. `None`: it ends, or is
    /// gone.
    pub(super) fn case_again(
        &mut self,
        layers: &Layers<'_>,
        authority: &Authority,
        authenticator: &Authenticator,
        stream: StreamId,
        now: UnixTime,
    ) -> Option<Case> {
        let (admission, _) = self.get(stream)?;
        let not_kept = |detail: &str| Cut {
            reason: Reason::StreamNotKept,
            detail: Some(format!("what decides has changed, and {detail}")),
        };
        let caller = admission.caller.as_ref();
        let case = match &admission.request {
            HeldRequest::Packed(kept) if authority.was_told(&admission.attributes) => {
                let caller = caller.map(|caller| authenticator.caller_again(layers, caller, now)).transpose();
                caller.map_err(|Refused { reason, detail, .. }| Cut { reason, detail }).map(|caller| {
                    let (id, attributes) = (admission.decision_id.clone(), Arc::clone(&admission.attributes));
                    let case = Case::new(kept.request(stream), id, now, layers.settings, attributes);
                    Case { occasion: Occasion::OpenStream { caller, since: admission.since }, ..case }
                })
            }
            HeldRequest::Packed(_) => Err(not_kept("reads facts of the connection that were not asked for")),
            HeldRequest::Whole(_) | HeldRequest::Dropped => {
                Err(not_kept("its request was too large to be kept"))
            }
        };
        case.map_err(|cut| self.end(stream, cut)).ok()
    }

    /// Nobody answers for this stream any more: it is tried again.
    pub(super) fn unanswered(&mut self, stream: StreamId, now: UnixTime) {
        self.set_asking(stream, false);
        self.schedule_again(stream, now.plus_millis(AGAIN_MS));
    }

    /// Acts on what an open stream came to.
    pub(super) fn decided_again(
        &mut self,
        in_force: &InForce<'_>,
        stream: StreamId,
        step: Step,
        now: UnixTime,
    ) -> Option<Effect> {
        match step {
            Step::Done(Decision { verdict: Ok(permit), .. }) => {
                let (_, decided) = permit.into_parts();
                let Admission { caller, grant, elevation, end, attributes, generation, signals, .. } =
                    *decided;
                let admission = self.get_mut(stream)?;
                // The host was told the first end, and can't be told a later one.
                let end = end.min(admission.end);
                *admission = Admission {
                    stream,
                    decision_id: std::mem::take(&mut admission.decision_id),
                    since: admission.since,
                    request: std::mem::replace(&mut admission.request, HeldRequest::Dropped),
                    caller,
                    grant,
                    elevation,
                    end,
                    attributes,
                    generation,
                    signals,
                };
                let due = self.get(stream).map(|(admission, _)| admission.due(in_force, now))?;
                self.schedule_again(stream, due);
                None
            }
            // Nothing was decided: that there is no bundle, no news of revocations or signals, or too
            // much to do, is not about the stream.
            Step::Done(Decision { verdict: Err(denial), .. })
                if denial.layer() == Layer::Service || denial.reason == Reason::RevocationsStale =>
            {
                self.schedule_again(stream, now.plus_millis(AGAIN_MS));
                None
            }
            Step::Done(Decision { verdict: Err(Denial { reason, .. }), record }) => {
                self.end(stream, Cut { reason, detail: record.detail });
                None
            }
            Step::Ask { calls, pending } => {
                self.set_asking(stream, true);
                Some(Effect::Ask { stream, calls, pending })
            }
            // Who calls is known: there are no keys to wait for.
            Step::Wait { .. } => {
                self.schedule_again(stream, now.plus_millis(AGAIN_MS));
                None
            }
        }
    }
}

/// What a slice comes to.
pub(super) enum Slice {
    Nothing,
    /// Streams to be cut.
    Cuts(Vec<Effect>),
    /// Those that [`Streams::next_again`] names are to be decided again.
    Again,
}

impl Admission {
    /// Of a request what it takes to decide it again.
    fn bring_down(&mut self, settings: &Settings) {
        if let HeldRequest::Whole(request) = &self.request {
            let kept = PackedRequest::of(request, |name| settings.is_secret(name));
            self.request = kept.map_or(HeldRequest::Dropped, HeldRequest::Packed);
        }
    }

    /// When to decide a stream again that was decided under what is in force: time alone may change
    /// what its policy says, or end what is known of its caller. Else when it ends.
    fn due(&self, in_force: &InForce<'_>, now: UnixTime) -> UnixTime {
        let rules =
            self.grant.as_ref().and_then(|grant| in_force.authority.bundle.rule_sets.get(grant.rule_set));
        if rules.is_some_and(RuleSet::reads_time) || self.signals.is_some() {
            now.plus_secs((*in_force.settings.streams.redecide_s).into())
        } else {
            self.end.at
        }
    }

    /// Whether its end is worth a record.
    fn is_old(&self, settings: &Settings, now: UnixTime) -> bool {
        now >= self.since.plus_secs((*settings.log.streams_after_s).into())
    }

    fn end_record(
        &self,
        settings: &Settings,
        reason: StreamEnd,
        detail: Option<String>,
        close: StreamClose,
        now: UnixTime,
    ) -> StreamRecord {
        #[allow(clippy::cast_precision_loss)] // milliseconds of years stay below 2^53
        let open_s = now.millis_since(self.since).max(0) as f64 / 1e3;
        StreamRecord {
            v: RECORD_VERSION,
            event: "stream_ended",
            id: self.decision_id.clone(),
            time: now,
            instance: settings.instance.clone(),
            reason,
            detail,
            cut: reason != StreamEnd::Closed,
            open_s,
            bytes_received: close.received,
            bytes_sent: close.sent,
            identity: self.caller.as_ref().map(|caller| StreamIdentity::from(&*caller.identity)),
            grant: self.grant.as_ref().map(|grant| grant.id.to_string()),
            elevation: self.elevation.as_ref().map(|elevation| elevation.id.clone()),
        }
    }
}

/// A stream that was admitted, and is open.
pub struct OpenStream<'e> {
    pub(super) settings: &'e Settings,
    pub(super) authority: &'e Authority,
    pub(super) admission: &'e Admission,
    pub(super) cut: Option<&'e Cut>,
}

impl OpenStream<'_> {
    /// Whether it is to end before its time.
    pub const fn is_cut(&self) -> bool {
        self.cut.is_some()
    }

    /// Whether it matters what the host tells of its end.
    pub fn asks_for_close(&self, now: UnixTime) -> bool {
        let is_old = self.admission.is_old(self.settings, now);
        self.is_cut()
            || now >= near(self.admission.end.at)
            || Journal::takes_end(self.settings, StreamEnd::Closed, is_old)
    }

    /// Whether a field of its request's trailers is kept from the upstream. Some servers take trailers for headers
    /// (RFC 9110 section 6.5.1): so each that was not there when it was decided, and that a client must not set, that
    /// frames or authenticates the message, or that a policy reads.
    pub fn withholds_trailer(&self, name: &str) -> bool {
        self.authority.withholds_trailer(self.settings, name)
    }
}

/// What else than the configuration an admission rests on.
struct Basis {
    caller: Option<Arc<Verified>>,
    /// The first end of what admits it.
    ends: Option<Deadline>,
    since: UnixTime,
}

/// From then on a stream may have ended for its age by the host's clock.
fn near(end: UnixTime) -> UnixTime {
    end.plus_millis(-CLOCKS_MS)
}

fn duration_cap(since: UnixTime, secs: u32) -> Deadline {
    Deadline { at: since.plus_secs(secs.into()), reason: Reason::DurationCap }
}
