//! The whole flow of a decision. [`Engine::decide`] is the place to start reading.
//!
//! `check` and `resume` take a request through the layers. What belongs to no single request is in
//! `upkeep`. Nothing here performs I/O or reads a clock.

mod case;
mod credential;
pub(crate) mod decision;
mod elevation;
mod facts;
mod feeds;
mod layers;
mod memory;
mod questions;
mod replay;
mod shadow;
pub(crate) mod step;
pub(crate) mod streams;
mod sweep;
mod trace;
mod upkeep;

use std::collections::{BTreeMap, VecDeque};
use std::fmt;
use std::sync::Arc;

use sha2::{Digest as _, Sha256};

use crate::authority::grants::Granted;
use crate::base::reason::{Layer, Reason};
use crate::base::time::UnixTime;
use crate::bundle::{Bundle, BundleHead, Puller};
use crate::credential::token;
use crate::credential::token::cache::{TokenCache, Verified};
use crate::engine::decision::{Decision, Denial, Permit};
use crate::engine::step::{Pending, Step};
use crate::engine::streams::Streams;
use crate::facts::revocations::Revocations;
use crate::facts::signals::Signals;
use crate::http::attributes::{Attribute, SOURCE_IP, SOURCE_STATE};
use crate::http::call::Reply;
use crate::http::request::{Request, StreamId};
use crate::input::PolicyInput;
use crate::jose::checks::CheckBudget;
use crate::jose::signature::SignatureVerifier;
use crate::obligations::Obligations;
use crate::pdp::{Answer, Question};
use crate::policy::{Outcome, RuleSet};
use crate::record::{DecisionRecord, Record, Verdict, WouldRefuse};
use crate::settings::{Settings, Shadow};
use crate::sync::follower::{FetchIds, Follower};
use crate::sync::keyring::Keyring;
use crate::sync::shared::Shared;

pub(crate) use case::Waiting;
use case::{Asked, Case, Cause, Occasion, Refused};
use credential::Credential;
use feeds::Followed;
use layers::Layers;
pub use questions::PdpStats;
use questions::Pdps;
pub use replay::not_decided_again;
use trace::Watched;
pub(crate) use upkeep::WAITING_BYTES;

/// What decision ids are derived from. Needs no randomness, but must differ between workers and
/// restarts: SHA-256 over node id, VM start time and a worker number does.
#[derive(Debug, Clone, Copy)]
pub struct IdSeed([u8; 32]);

impl IdSeed {
    /// From parts that, taken together, no other engine has.
    pub fn derive(parts: &[&[u8]]) -> Self {
        let mut hash = Sha256::new();
        for part in parts {
            // Lengths keep the borders: ("a", "bc") is not ("ab", "c").
            hash.update(part.len().to_le_bytes());
            hash.update(part);
        }
        Self(hash.finalize().into())
    }
}

/// Figures of an engine, for gauges.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
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
}

/// Every decision of one instance in one worker.
pub struct Engine {
    settings: Settings,
    /// What is in force of policies and authority records.
    bundle: Bundle,
    /// What decides too and is not obeyed.
    shadow: Option<Shadow>,
    /// Grows when settings or bundle are replaced: what waits was decided under those of its number.
    generation: u64,
    /// Where others come from.
    puller: Option<Follower<Puller>>,
    /// What is not in force any more, and is taken apart little by little.
    remains: Vec<Bundle>,
    /// The attributes that a check needs to be told.
    attributes: Arc<[&'static Attribute]>,
    verifier: Box<dyn SignatureVerifier>,
    check_budget: CheckBudget,
    /// What the workers of this configuration share.
    shared: Shared,
    /// What all configurations of the proxy share: proofs that were used.
    common: Shared,
    /// By index of the issuer: the keys of those that have a server for them.
    keyrings: BTreeMap<usize, Follower<Keyring>>,
    /// Somebody carries out fetches, so it is worth waiting for them.
    fetching: bool,
    /// Streams to wake whose keyring is gone.
    orphans: Vec<StreamId>,
    fetches: FetchIds,
    seed: IdSeed,
    counter: u64,
    latest: UnixTime,
    tokens: TokenCache,
    revocations: Followed<Revocations>,
    signals: Followed<Signals>,
    pdps: Pdps,
    records: VecDeque<Record>,
    /// How much they hold.
    record_bytes: usize,
    /// Admitted requests that are open.
    streams: Streams,
    stats: Stats,
    /// What policies were evaluated with, while somebody wants to know.
    watched: Option<Vec<Watched>>,
}

impl fmt::Debug for Engine {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
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
    /// Decides a request, or says what it needs to know first.
    pub fn check(&mut self, request: Request, now: UnixTime) -> Step {
        let now = self.clock(now);
        let attributes = Arc::clone(&self.attributes);
        let case = Case::new(request, self.next_id(), now, &self.settings, attributes);
        self.run(case, now)
    }

    /// Goes on with the replies to all calls of a `Step::Ask`, in the calls' order; without any after
    /// a `Step::Wait`.
    pub fn resume(&mut self, pending: Pending, replies: Vec<Reply>, now: UnixTime) -> Step {
        let now = self.clock(now);
        let Waiting { mut case, cause } = *pending.0;
        // It may be another one than when the request came.
        case.record.revision.clone_from(&self.settings.revision);
        let Asked { caller, granted, input, open, generation } = match cause {
            Cause::Answers(asked) => asked,
            Cause::Keys => {
                self.forget_waiting(case.request.stream);
                return self.run(case, now);
            }
        };
        self.note_answers(&mut case, open, replies);
        if generation != self.generation {
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
        let progress = self.in_force(&mut case, now);
        let progress = progress.and_then(|()| self.still_valid(&mut case, caller.as_deref(), &granted, now));
        let progress = progress.and_then(|()| self.policy(&mut case, caller, granted, input));
        self.finish(case, progress, now)
    }

    /// What to do with a [`Pending`] if there is no clock to go on by.
    pub fn refuse_without_clock(&mut self, pending: Pending) -> Step {
        let Waiting { case, .. } = *pending.0;
        self.pdps.forget(case.request.stream, self.latest);
        self.forget_waiting(case.request.stream);
        Step::Done(self.denied(case, Refused::new(Reason::NotReady, "the host tells no time")))
    }

    fn run(&mut self, mut case: Case, now: UnixTime) -> Step {
        let progress = self.decide(&mut case, now);
        self.finish(case, progress, now)
    }

    /// The layers, in order. Each `?` is a refusal; only the last line can allow.
    fn decide(&mut self, case: &mut Case, now: UnixTime) -> Result<Progress, Refused> {
        let target = match self.settings.target(case.request.headers()) {
            Ok(target) => target,
            Err(wrong) => {
                case.note_as_it_came();
                return Err(wrong.into());
            }
        };
        case.note_target(&target);
        case.observed = self.settings.observe.as_ref().is_some_and(|observe| observe.covers(&target));
        self.in_force(case, now)?;
        let caller = match self.credential(case, &target, now)? {
            Credential::Caller(caller) => caller,
            Credential::AwaitsKeys => return Ok(Progress::AwaitsKeys),
        };
        case.caller = Some(caller.clone());
        let layers = Layers { settings: &self.settings, bundle: &self.bundle, signals: &self.signals };
        let granted = layers.grant(case, caller.as_deref(), &target, now)?;
        let granted = layers.elevation(case, caller.as_deref(), granted, now)?;
        let rule_set = granted.grant.rule_set;
        let input = layers.input(case, caller.as_deref(), &granted, rule_set, &target, now)?;
        self.policy(case, caller, granted, input)
    }

    /// Is there something to decide by? A record that is looked at again was decided by what was in
    /// force then.
    fn in_force(&self, case: &mut Case, now: UnixTime) -> Result<(), Refused> {
        case.record.bundle = self.bundle.head().map(BundleHead::to_record);
        if case.is_replay() {
            return Ok(());
        }
        let served = self.bundle.serves_at(now, self.settings.bundle_source.max_stale_s);
        served.map_err(|(reason, detail)| Refused::new(reason, detail))?;
        let untold = self.settings.takes_source_of_connection()
            && matches!(case.occasion, Occasion::Request)
            && case.request.connection.get(SOURCE_IP).is_none();
        if untold {
            return Err(Refused::new(
                Reason::NotReady,
                format!("no filter in front tells the source address, as `{SOURCE_STATE}`"),
            ));
        }
        // INVARIANT: a fact that was not asked for reads like one that is not so.
        let unchanged = Arc::ptr_eq(&self.attributes, &case.attributes);
        match unchanged || self.attributes.iter().all(|attribute| case.attributes.contains(attribute)) {
            true => Ok(()),
            false => Err(Refused::new(
                Reason::NotReady,
                "the bundle in force reads facts of the connection that were not asked for when the request came",
            )),
        }
    }

    /// Does this call, in this context, proceed? The policy may ask first.
    fn policy(
        &mut self,
        case: &mut Case,
        caller: Option<Arc<Verified>>,
        granted: Granted,
        mut input: PolicyInput,
    ) -> Result<Progress, Refused> {
        let Some(rules) = self.bundle.rule_sets.get(granted.grant.rule_set) else {
            return Err(Refused::new(Reason::PolicyError, "the grant has no rule set"));
        };
        rules.put_answers(&mut input, &case.answered);
        if let Some(watched) = &mut self.watched {
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
            self.may_ask(case, &open)?;
            let open = self.spare(case, open);
            return match open.is_empty() {
                // All of them were answered at once.
                true => self.policy(case, caller, granted, input),
                false => Ok(Progress::Asks { caller, granted, input, open }),
            };
        }
        if let Some(watched) = self.watched.as_mut().and_then(|watched| watched.last_mut()) {
            watched.decided = true;
        }
        let obligations = judge(rules, &input, &case.answered, &mut case.record)?;
        Ok(Progress::Allowed(caller, granted, obligations))
    }

    /// What may have ended while a request waited. A record that is looked at again was decided by what was known of
    /// revocations then.
    fn still_valid(
        &self,
        case: &mut Case,
        caller: Option<&Verified>,
        granted: &Granted,
        now: UnixTime,
    ) -> Result<(), Refused> {
        if let Some(caller) = caller {
            token::valid_at(caller.identity.not_before, caller.identity.expires_at, now)?;
            if !case.is_replay() {
                self.not_revoked(&mut case.record, caller, now)?;
            }
        }
        let grant = &granted.grant;
        grant
            .valid_at(now)
            .map_err(|miss| Refused::new(Reason::NotGranted, format!("grant `{}` {miss}", grant.id)))?;
        let Some(elevation) = granted.elevated.as_ref().map(|elevated| &elevated.elevation) else {
            return Ok(());
        };
        elevation.valid_at(now).map_err(|miss| {
            Refused::new(Reason::ElevationInactive, format!("elevation `{}` {miss}", elevation.id))
        })
    }

    fn finish(&mut self, mut case: Case, progress: Result<Progress, Refused>, now: UnixTime) -> Step {
        self.hear_shadows(&mut case, &progress, now);
        match progress {
            Ok(Progress::AwaitsKeys) => {
                case.record.layer = Layer::Credential;
                Step::Wait { pending: Pending(Box::new(Waiting { case, cause: Cause::Keys })) }
            }
            Ok(Progress::Allowed(caller, granted, mut obligations)) => {
                case.record.obligations = std::mem::take(&mut obligations.written);
                let admission = self.admission(&case, caller, &granted, obligations.max_stream_s, now);
                let permit = Permit::new(case.request, obligations, admission, now);
                case.record.decision = Verdict::Allow;
                case.record.reason = Some(Reason::Allowed);
                case.record.status = Reason::Allowed.status();
                case.record.layer = match case.answered.is_empty() {
                    true => Layer::Policy,
                    false => Layer::Pdp,
                };
                Step::Done(Decision { verdict: Ok(permit), record: case.record })
            }
            Ok(Progress::Asks { caller, granted, input, open }) => {
                let calls = self.ask(&case, &open);
                case.record.layer = Layer::Pdp;
                let generation = self.generation;
                let cause = Cause::Answers(Asked { caller, granted, input, open, generation });
                Step::Ask { calls, pending: Pending(Box::new(Waiting { case, cause })) }
            }
            Err(refused) => Step::Done(self.denied(case, refused)),
        }
    }

    fn denied(&self, mut case: Case, refused: Refused) -> Decision {
        let Refused { reason, detail, mut obligations } = refused;
        let observe = self.settings.observe.as_ref().filter(|observe| observe.is_on(self.latest));
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
        let admission = self.observed_admission(&case, reason);
        let status = obligations.and_then(Obligations::status).unwrap_or(reason.status());
        case.record.would_refuse = Some(WouldRefuse { reason, status, layer, detail });
        case.record.decision = Verdict::Allow;
        case.record.reason = Some(Reason::Observed);
        case.record.status = Reason::Observed.status();
        case.record.layer = layer;
        let permit = Permit::observed(case.request, admission, reason, self.latest);
        Decision { verdict: Ok(permit), record: case.record }
    }
}

/// What the rules say when no question is open.
fn judge(
    rules: &RuleSet,
    input: &PolicyInput,
    answered: &[(Question, Answer)],
    record: &mut DecisionRecord,
) -> Result<Obligations, Refused> {
    let outcome = rules.decide(input)?;
    if let (Some(record), Some(outcome)) = (&mut record.policy, &outcome) {
        record.rule.clone_from(&outcome.rule);
        record.without_pdp = outcome.without_pdp;
    }
    conclude(outcome, answered)
}

/// What an outcome and the answers it was formed with come to. One arm allows.
fn conclude(outcome: Option<Outcome>, answered: &[(Question, Answer)]) -> Result<Obligations, Refused> {
    let failed = answered.iter().find(|(_, answer)| matches!(answer, Answer::Error(_)));
    let obliged =
        answered.iter().find(|(_, answer)| matches!(answer, Answer::Decision { obligations: true, .. }));
    let refused =
        answered.iter().find(|(_, answer)| matches!(answer, Answer::Decision { decision: false, .. }));
    let about = |reason, what: &str, id: &str| Err(Refused::new(reason, format!("question `{id}` {what}")));
    let Some(outcome) = outcome else {
        return match (failed, obliged, refused) {
            (Some((question, _)), _, _) => about(Reason::PdpUnavailable, "failed", &question.id),
            (_, Some((question, _)), _) => {
                about(Reason::ObligationUnknown, "came back with obligations", &question.id)
            }
            (_, _, Some((question, _))) => about(Reason::PdpDenied, "was answered with no", &question.id),
            (None, None, None) => Err(Refused::new(Reason::PolicyUndefined, "no rule of `decision` holds")),
        };
    };
    let obligations = Obligations::read(outcome.obligations, outcome.allow)?;
    match (outcome.allow, obliged, failed) {
        (false, _, _) => {
            let rule = outcome.rule.as_deref().unwrap_or("a rule without a code");
            let reason = obligations.reason_of_refusal();
            let obligations = Some(Box::new(obligations));
            Err(Refused { obligations, ..Refused::new(reason, format!("the policy says no: {rule}")) })
        }
        (true, Some((question, _)), _) => {
            about(Reason::ObligationUnknown, "came back with obligations", &question.id)
        }
        // Once any question failed an allow does not count, unless the rule says that it can do without.
        (true, _, Some((question, _))) if !outcome.without_pdp => {
            about(Reason::PdpUnavailable, "failed", &question.id)
        }
        (true, None, _) => Ok(obligations),
    }
}
