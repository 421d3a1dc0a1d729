//! Second opinions: what a shadow would have decided. It runs when the decision stands, on a record
//! of its own; nothing comes of it but its line in the record. Its time is added to the request's.

use serde_json::{Map, Value};

use super::case::{begun, Case, Refused};
use super::conclude::judge;
use super::layers::Layers;
use super::trace::Watched;
use super::Progress;
use crate::authority::grants::Granted;
use crate::base::reason::{Layer, Reason};
use crate::base::time::UnixTime;
use crate::bundle::{BundleHead, SHADOW_BUNDLE};
use crate::credential::token::cache::Verified;
use crate::http::request::BREAK_GLASS_HEADER;
use crate::http::target::Target;
use crate::pdp::{Answer, Question};
use crate::record::{BundleRecord, DecisionRecord, ShadowOutcome, ShadowReads, ShadowRecord, Verdict};
use crate::settings::Shadow;

/// What a shadow comes to that does not refuse.
enum ShadowDecision {
    Allow,
    /// It asks a question that was not asked: its id.
    Asks(String),
}

/// What a shadow decides about: never changed by it.
struct Shadowed<'a> {
    layers: Layers<'a>,
    caller: Option<&'a Verified>,
    target: &'a Target,
    now: UnixTime,
}

/// Lets the shadows decide what was decided, if that rests on what bundles say.
///
/// INVARIANT: `progress` is only looked at, and of the case nothing is changed but `record.shadow`.
pub(super) fn decide_shadows(
    layers: Layers<'_>,
    shadow: Option<&Shadow>,
    watched: &mut Option<Vec<Watched>>,
    case: &mut Case,
    progress: &Result<Progress, Refused>,
    now: UnixTime,
) {
    // Of a stream that is decided again they did when it was admitted.
    if (shadow.is_none() && layers.bundle.shadows.is_empty()) || case.open_since().is_some() {
        return;
    }
    let allowed = match progress {
        Ok(Progress::Allowed(..)) => true,
        Err(refused) if is_judged(refused.reason) => false,
        Ok(Progress::AwaitsKeys | Progress::Asks { .. }) | Err(_) => return,
    };
    let (Some(caller), Ok(target)) = (case.caller.clone(), layers.settings.target(case.request.headers()))
    else {
        return;
    };
    let shadowed = Shadowed { layers, caller: caller.as_deref(), target: &target, now };
    let blank = begun(&case.request, String::new(), case.record.time, layers.settings);
    let decided = std::mem::replace(&mut case.record, blank);
    let signals_at = case.signals_at;
    let mut records = Vec::new();
    case.note_target(&target);
    if let Some((name, decision)) = shadowed.by_rule_set(case, &decided, watched) {
        records.push(compare(&name, None, decision, allowed, &case.record, &decided));
    }
    if let Some(Shadow { bundle, max_stale_s }) = shadow {
        case.note_target(&target);
        let head = bundle.head().map(BundleHead::to_record);
        let serves = if case.is_replay() { Ok(()) } else { bundle.serves_at(now, *max_stale_s) };
        let decision = match serves {
            Ok(()) => Shadowed { layers: Layers { bundle, ..layers }, ..shadowed }.by_bundle(case),
            Err((reason, detail)) => Err(Refused::new(reason, detail)),
        };
        records.push(compare(SHADOW_BUNDLE, head, decision, allowed, &case.record, &decided));
    }
    case.caller = Some(caller);
    case.signals_at = signals_at;
    case.record = DecisionRecord { shadow: records, ..decided };
}

/// Whether such a refusal says what a bundle says, and not that somebody is not who they claim to
/// be, or that nothing could be decided. Without a credential it is the grants that say so.
fn is_judged(reason: Reason) -> bool {
    match reason.layer() {
        Layer::Service => false,
        Layer::Credential => reason == Reason::CredentialMissing,
        Layer::Request | Layer::Grant | Layer::Elevation | Layer::Policy | Layer::Pdp => true,
    }
}

impl Shadowed<'_> {
    /// What the shadow says of the rule set that decided, in whose place it stands: nothing if
    /// none decided, or it has no shadow.
    fn by_rule_set(
        &self,
        case: &mut Case,
        decided: &DecisionRecord,
        watched: &mut Option<Vec<Watched>>,
    ) -> Option<(String, Result<ShadowDecision, Refused>)> {
        decided.policy.as_ref()?;
        let granted = self.granted(case).ok()?;
        // Another grant may be the one by now, after a wait.
        if decided.grant.as_ref()?.id != granted.grant.id {
            return None;
        }
        let (name, rule_set) = self.layers.bundle.shadows.get(&granted.grant.rule_set).cloned()?;
        Some((name.to_string(), self.policy(case, &granted, rule_set, watched)))
    }

    /// What another bundle says, in all its layers.
    fn by_bundle(&self, case: &mut Case) -> Result<ShadowDecision, Refused> {
        let granted = self.granted(case)?;
        self.policy(case, &granted, granted.grant.rule_set, &mut None)
    }

    fn granted(&self, case: &mut Case) -> Result<Granted, Refused> {
        let granted = self.layers.grant(case, self.caller, self.target, self.now)?;
        self.layers.elevation(case, self.caller, granted, self.now)
    }

    fn policy(
        &self,
        case: &mut Case,
        granted: &Granted,
        rule_set: usize,
        watched: &mut Option<Vec<Watched>>,
    ) -> Result<ShadowDecision, Refused> {
        let mut input = self.layers.input(case, self.caller, granted, rule_set, self.target, self.now)?;
        let Some(rules) = self.layers.bundle.rule_sets.get(rule_set) else {
            return Err(Refused::new(Reason::PolicyError, "the grant has no rule set"));
        };
        // Its questions are not sent: what the decision asked word for word is answered as it was.
        let rounds = *self.layers.settings.limits.pdp_rounds;
        let mut known: Vec<(Question, Answer)> = Vec::new();
        for _ in 0..=rounds {
            rules.put_answers(&mut input, &known);
            let mut open = rules.questions(&input)?;
            open.retain(|question| known.iter().all(|(asked, _)| asked != question));
            if let Some(watched) = watched {
                let (input, decided) = (input.clone(), open.is_empty());
                watched.push(Watched { rule_set, input, decided, shadow: true });
            }
            if open.is_empty() {
                return judge(rules, &input, &known, &mut case.record).map(|_| ShadowDecision::Allow);
            }
            for question in open {
                match case.answered.iter().find(|(asked, _)| *asked == question) {
                    Some(answer) => known.push(answer.clone()),
                    None => return Ok(ShadowDecision::Asks(question.id)),
                }
            }
        }
        Err(Refused::new(Reason::PolicyLimit, format!("more than {rounds} rounds of questions")))
    }
}

/// What is written down of it. `own` is what the shadow's layers wrote.
fn compare(
    name: &str,
    bundle: Option<BundleRecord>,
    decision: Result<ShadowDecision, Refused>,
    allowed: bool,
    own: &DecisionRecord,
    decided: &DecisionRecord,
) -> ShadowRecord {
    let same = |it: bool| if it == allowed { ShadowOutcome::Same } else { ShadowOutcome::Differs };
    let (decision, reason, outcome, detail) = match decision {
        Ok(ShadowDecision::Allow) => (Verdict::Allow, Some(Reason::Allowed), same(true), None),
        Ok(ShadowDecision::Asks(id)) => {
            let detail = format!("question `{id}` was not asked");
            (Verdict::Ask, None, ShadowOutcome::Unknown, Some(detail))
        }
        Err(Refused { reason, detail, .. }) => {
            let outcome = if is_failure(reason) { ShadowOutcome::Error } else { same(false) };
            (Verdict::Deny, Some(reason), outcome, detail)
        }
    };
    let rule = own.policy.as_ref().and_then(|policy| policy.rule.clone());
    ShadowRecord {
        name: name.to_owned(),
        bundle,
        outcome,
        decision,
        reason,
        rule,
        detail,
        read: besides(own, decided),
    }
}

/// Whether it could not decide, rather than decided to refuse.
fn is_failure(reason: Reason) -> bool {
    matches!(
        reason,
        Reason::PolicyError
            | Reason::PolicyLimit
            | Reason::PolicyResult
            | Reason::ObligationInvalid
            | Reason::NotReady
            | Reason::BundleStale
            | Reason::SignalsStale
    )
}

/// What a shadow read that the decision did not: without it the two could not be decided again.
fn besides(own: &DecisionRecord, decided: &DecisionRecord) -> ShadowReads {
    let less = |own: &Map<String, Value>, known: &Map<String, Value>| {
        own.iter()
            .filter(|(name, _)| !known.contains_key(*name))
            .map(|(name, value)| (name.clone(), value.clone()))
            .collect::<Map<_, _>>()
    };
    let mut headers = less(&own.request.headers, &decided.request.headers);
    let said = |record: &DecisionRecord| record.elevation.as_ref()?.break_glass_reason.clone();
    if let (Some(reason), None) = (said(own), said(decided)) {
        headers.insert(BREAK_GLASS_HEADER.to_owned(), Value::from(vec![reason]));
    }
    let whole = own.request.path_and_query.as_ref();
    ShadowReads {
        path_and_query: whole.filter(|_| decided.request.path_and_query.is_none()).cloned(),
        headers,
        query: less(&own.request.query, &decided.request.query),
        connection: less(&own.connection, &decided.connection),
        signals: own.signals.as_ref().filter(|_| own.signals != decided.signals).cloned(),
    }
}
