//! One request on its way through the layers, and the record that grows with it.

use std::sync::Arc;

use serde_json::Map;

use crate::authority::elevations::Elevated;
use crate::authority::grants::Granted;
use crate::base::reason::{Denied, Layer, Reason};
use crate::base::texts::Texts;
use crate::base::time::UnixTime;
use crate::bundle::BundleHead;
use crate::credential::token::cache::Verified;
use crate::credential::token::{Confirmation, Proven};
use crate::engine::step::Pending;
use crate::facts::revocations::Revocable;
use crate::http::attributes::{Attribute, SOURCE_IP};
use crate::http::request::{Request, StreamId};
use crate::http::target::Target;
use crate::identity::Identity;
use crate::input::{self, PolicyInput};
use crate::obligations::Obligations;
use crate::pdp::{Answer, Question};
use crate::record::{
    begins, BundleRecord, DecisionRecord, ElevationRecord, RequestRecord, SignalsRecord, Verdict,
    RECORD_VERSION,
};
use crate::settings::Settings;

/// How much of a fact is told: it may quote what a client sent. In bytes.
const MAX_DETAIL: usize = 500;
/// The longest `x-request-id` that is kept, in bytes. Envoy's own have 36.
const MAX_REQUEST_ID: usize = 128;

/// One request on its way through the layers.
#[derive(Debug)]
pub(super) struct Case {
    pub(super) request: Request,
    /// What was asked of the host about its connection.
    pub(super) attributes: Arc<[&'static Attribute]>,
    pub(super) record: DecisionRecord,
    pub(super) occasion: Occasion,
    /// The version of the signals that its policy reads; none if it reads none.
    pub(super) signals_at: Option<u64>,
    /// Who calls, once that is known: none without a credential.
    pub(super) caller: Option<Option<Arc<Verified>>>,
    /// Questions that were answered, with their answers.
    pub(super) answered: Vec<(Question, Answer)>,
    /// What was answered under what was in force before, and may be asked again.
    pub(super) known: Vec<(Question, Answer)>,
    pub(super) rounds: usize,
    /// Its target is one that is observed.
    pub(super) observed: bool,
    /// It was begun anew already because the configuration changed while it waited.
    pub(super) redecided: bool,
    /// Its proof of possession was claimed: by this request, so it is not a replay.
    pub(super) proof_claimed: bool,
}

/// Why a case is decided. Where no request came, the caller need not be found: no token is known.
#[derive(Debug)]
pub(super) enum Occasion {
    /// A request came.
    Request,
    /// A record is looked at again, which was decided by what was in force then.
    Replay { caller: Option<Arc<Verified>>, signals: Option<SignalsRecord> },
    /// A stream is open that was admitted then, and what it rests on has changed.
    OpenStream { caller: Option<Arc<Verified>>, since: UnixTime },
}

/// A case that waits.
#[derive(Debug)]
pub(crate) struct Waiting {
    pub(super) case: Case,
    pub(super) cause: Cause,
}

/// What a case waits for.
#[derive(Debug)]
pub(super) enum Cause {
    /// The keys of its caller's issuer.
    Keys,
    /// Replies to questions.
    Answers(Asked),
}

/// How far a case got that waits for replies to `open`.
#[derive(Debug)]
pub(super) struct Asked {
    pub(super) caller: Option<Arc<Verified>>,
    pub(super) granted: Granted,
    pub(super) input: PolicyInput,
    pub(super) open: Vec<Question>,
    pub(super) generation: u64,
}

/// A layer said no: the reason, and the fact behind it for the record.
pub(super) struct Refused {
    pub(super) reason: Reason,
    pub(super) detail: Option<String>,
    /// What the policy wants done about it.
    pub(super) obligations: Option<Box<Obligations>>,
}

impl Refused {
    pub(super) fn new(reason: Reason, detail: impl Into<String>) -> Self {
        let mut detail = detail.into();
        if detail.len() > MAX_DETAIL {
            detail.truncate(begins(&detail, MAX_DETAIL).len());
            detail.push('…');
        }
        Self { reason, detail: Some(detail), obligations: None }
    }
}

impl From<(Reason, &'static str)> for Refused {
    fn from((reason, detail): (Reason, &'static str)) -> Self {
        Self::new(reason, detail)
    }
}

impl From<Denied> for Refused {
    fn from(Denied { reason, detail }: Denied) -> Self {
        Self::new(reason, detail)
    }
}

impl Pending {
    /// The record as it stands, for callers that show what is awaited.
    pub fn record(&self) -> &DecisionRecord {
        &self.0.case.record
    }

    /// The stream that waits.
    pub fn stream(&self) -> StreamId {
        self.0.case.request.stream
    }
}

impl Case {
    pub(super) fn new(
        mut request: Request,
        id: String,
        now: UnixTime,
        settings: &Settings,
        attributes: Arc<[&'static Attribute]>,
    ) -> Self {
        request.withhold(&settings.trusted_headers);
        if settings.source.is_none() {
            request.connection.withhold(SOURCE_IP);
        }
        let record = begun(&request, id, now, settings);
        Self {
            request,
            attributes,
            record,
            occasion: Occasion::Request,
            signals_at: None,
            caller: None,
            answered: Vec::new(),
            known: Vec::new(),
            rounds: 0,
            observed: false,
            redecided: false,
            proof_claimed: false,
        }
    }

    /// When its stream was admitted, if this is about an open one.
    pub(super) const fn open_since(&self) -> Option<UnixTime> {
        match self.occasion {
            Occasion::OpenStream { since, .. } => Some(since),
            Occasion::Request | Occasion::Replay { .. } => None,
        }
    }

    pub(super) const fn is_replay(&self) -> bool {
        matches!(self.occasion, Occasion::Replay { .. })
    }

    /// A target that is refused is recorded as it came, the path without the query.
    pub(super) fn note_as_it_came(&mut self) {
        let (request, record) = (&self.request, &mut self.record.request);
        record.method = request.lossy(":method");
        record.scheme = request.lossy(":scheme");
        record.host = request.lossy(":authority");
        record.path = request.lossy(":path").split('?').next().unwrap_or_default().to_owned();
    }

    /// Starts the record anew from the target: also when a case is begun again.
    pub(super) fn note_target(&mut self, target: &Target) {
        self.record.request.method.clone_from(&target.method);
        self.record.request.scheme.clone_from(&target.scheme);
        self.record.request.host.clone_from(&target.host);
        self.record.request.path.clone_from(&target.path);
        self.record.request.path_and_query = None;
        self.record.request.headers.clear();
        self.record.request.query.clear();
        self.record.identity = None;
        self.record.exception = None;
        self.record.grant = None;
        self.record.elevation = None;
        self.record.connection.clear();
        self.record.policy = None;
        self.record.signals = None;
        self.signals_at = None;
        self.caller = None;
    }
}

/// A record that knows no more than what came.
pub(super) fn begun(request: &Request, id: String, now: UnixTime, settings: &Settings) -> DecisionRecord {
    DecisionRecord {
        v: RECORD_VERSION,
        id,
        time: now,
        instance: Arc::clone(&settings.instance),
        revision: Arc::clone(&settings.revision),
        bundle: None,
        decision: Verdict::Ask,
        reason: None,
        status: 0,
        layer: Layer::Request,
        detail: None,
        would_refuse: None,
        request: RequestRecord { id: request_id(request), ..RequestRecord::default() },
        connection: Map::new(),
        identity: None,
        exception: None,
        revocations: None,
        grant: None,
        elevation: None,
        signals: None,
        policy: None,
        pdp: Vec::new(),
        obligations: Map::new(),
        shadow: Vec::new(),
        duration_us: None,
    }
}

/// The client's name for the request, unless it is more than a name.
fn request_id(request: &Request) -> Option<String> {
    let id = request.headers().only("x-request-id").filter(|id| id.len() <= MAX_REQUEST_ID)?;
    Some(String::from_utf8_lossy(id).into_owned())
}

impl BundleHead {
    pub(super) fn to_record(&self) -> BundleRecord {
        BundleRecord { revision: Arc::clone(&self.about.revision), sequence: self.sequence }
    }
}

impl Elevated {
    pub(super) fn to_record(&self) -> ElevationRecord {
        let elevation = &self.elevation;
        ElevationRecord {
            id: elevation.id.clone(),
            owner: elevation.owner.clone(),
            approver: elevation.approver.clone(),
            ticket: elevation.ticket.clone(),
            reason: elevation.reason.clone(),
            valid_from: elevation.valid_from,
            valid_until: elevation.valid_until,
            break_glass: elevation.break_glass,
            break_glass_reason: self.break_glass_reason.clone(),
        }
    }
}

impl Verified {
    /// Of a caller whom nothing is kept of.
    pub(crate) fn new(identity: Identity) -> Self {
        Self::sharing(identity, &mut Texts::default())
    }

    fn sharing(identity: Identity, texts: &mut Texts) -> Self {
        Self {
            input: input::identity_once(&identity, texts),
            bytes: identity.claims.text().len(),
            revocable: Revocable::of(&identity),
            identity: Arc::new(identity),
            issuer: None,
            key: [0; 32],
            confirmation: Confirmation::default(),
            exception: None,
        }
    }

    pub(super) fn of_token(proven: Proven, texts: &mut Texts) -> Self {
        let Proven { identity, confirmation, issuer, key } = proven;
        Self { issuer: Some(issuer), key, confirmation, ..Self::sharing(identity, texts) }
    }
}
