//! What an admitted request rests on: its stream is over when the first part of that is.

use std::sync::Arc;

use super::authority::Authority;
use super::case::Case;
use super::feeds::Feeds;
use super::streams::{PackedRequest, StreamClose};
use crate::authority::elevations::Elevation;
use crate::authority::grants::{Grant, Granted};
use crate::base::reason::Reason;
use crate::base::time::UnixTime;
use crate::credential::token::cache::Verified;
use crate::facts::revocations::Handle;
use crate::http::attributes::Attribute;
use crate::http::request::{Request, StreamId};
use crate::policy::RuleSet;
use crate::record::{StreamEnd, StreamIdentity, StreamRecord, RECORD_VERSION};
use crate::settings::Settings;

/// How far the host's timers may be ahead of its clock, in milliseconds.
const CLOCKS_MS: i64 = 1_000;

/// When an admitted request is over at the latest, and why.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Deadline {
    pub(crate) at: UnixTime,
    pub(crate) reason: Reason,
}

/// What the admission of one request rests on. Handed back to the engine when the request goes on.
#[derive(Debug)]
pub struct Admission {
    pub(crate) stream: StreamId,
    pub(crate) decision_id: String,
    pub(crate) since: UnixTime,
    pub(crate) caller: Option<Arc<Verified>>,
    /// Absent for a request that was passed on though it would have been refused.
    pub(crate) grant: Option<Arc<Grant>>,
    pub(crate) elevation: Option<Arc<Elevation>>,
    pub(crate) end: Deadline,
    pub(crate) request: HeldRequest,
    /// What was asked of the host about its connection.
    pub(crate) attributes: Arc<[&'static Attribute]>,
    /// Of the settings and the bundle that decided.
    pub(crate) generation: u64,
    /// The version of the signals that its policy read; none if it read none.
    pub(crate) signals: Option<u64>,
}

/// How much is known of a request.
#[derive(Debug)]
pub(crate) enum HeldRequest {
    /// All of it: the stream is young.
    Whole(Request),
    /// What it takes to decide again.
    Packed(PackedRequest),
    /// It was too large.
    Dropped,
}

impl HeldRequest {
    /// How much it holds, in bytes, as far as a client makes it long.
    pub(crate) fn bytes(&self) -> usize {
        match self {
            HeldRequest::Whole(request) => request.headers().bytes(),
            HeldRequest::Packed(kept) => kept.bytes(),
            HeldRequest::Dropped => 0,
        }
    }
}

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

    /// Of a request what it takes to decide it again.
    pub(super) fn bring_down(&mut self, settings: &Settings) {
        if let HeldRequest::Whole(request) = &self.request {
            let kept = PackedRequest::of(request, |name| settings.is_secret(name));
            self.request = kept.map_or(HeldRequest::Dropped, HeldRequest::Packed);
        }
    }

    /// When to decide a stream again that was decided under what is in force: time alone may change
    /// what its policy says, or end what is known of its caller. Else when it ends.
    pub(super) fn due(&self, in_force: &InForce<'_>, now: UnixTime) -> UnixTime {
        let rules =
            self.grant.as_ref().and_then(|grant| in_force.authority.bundle.rule_sets.get(grant.rule_set));
        if rules.is_some_and(RuleSet::reads_time) || self.signals.is_some() {
            now.plus_secs((*in_force.settings.streams.redecide_s).into())
        } else {
            self.end.at
        }
    }

    /// Whether its end is worth a record.
    pub(super) fn is_old(&self, settings: &Settings, now: UnixTime) -> bool {
        now >= self.since.plus_secs((*settings.log.streams_after_s).into())
    }

    pub(super) fn end_record(
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

    /// What revocations find it by.
    pub(super) fn handles(&self) -> impl Iterator<Item = Handle> + '_ {
        self.caller.iter().flat_map(|caller| caller.revocable.handles())
    }

    pub(super) fn shift(&mut self, from: UnixTime, to: UnixTime) {
        self.since = self.since.shifted(from, to);
        self.end.at = self.end.at.shifted(from, to);
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
pub(super) fn near(end: UnixTime) -> UnixTime {
    end.plus_millis(-CLOCKS_MS)
}

fn duration_cap(since: UnixTime, secs: u32) -> Deadline {
    Deadline { at: since.plus_secs(secs.into()), reason: Reason::DurationCap }
}
