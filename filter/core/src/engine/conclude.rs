//! What a policy's outcome and the answers it was formed with come to.

use super::case::Refused;
use crate::base::reason::Reason;
use crate::input::PolicyInput;
use crate::obligations::Obligations;
use crate::pdp::{Answer, Question};
use crate::policy::{Outcome, RuleSet};
use crate::record::DecisionRecord;

/// What the rules say when no question is open.
pub(super) fn judge(
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
