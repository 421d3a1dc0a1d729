//! Streams that stay open: what they rest on when they are admitted, and what becomes of them when
//! that changes. Everything is done in slices; [`Streams::slice`] does the next one.

use std::sync::Arc;

use super::authenticator::Authenticator;
use super::authority::Authority;
use super::case::{Case, Occasion, Refused};
use super::journal::Journal;
use super::layers::Layers;
use crate::base::reason::{Layer, Reason};
use crate::base::time::UnixTime;
use crate::engine::admission::{near, Admission, Deadline, HeldRequest, InForce};
use crate::engine::decision::{Decision, Denial};
use crate::engine::step::{Effect, Step};
use crate::engine::streams::{Cut, StreamClose, Streams, MAX_PACKED};
use crate::http::request::StreamId;
use crate::record::{Record, StreamEnd};
use crate::settings::Settings;

/// Streams that one slice looks at, of those about which little is to be done.
const MANY: usize = 32;
/// Streams that one slice cuts: the host takes them apart after the callback.
const CUTS: usize = 4;
/// Streams that one slice decides again.
pub(super) const DECISIONS: usize = 4;
/// When it is tried again to decide a stream about which nothing could be decided, in milliseconds.
const AGAIN_MS: i64 = 1_000;

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
