//! What a case expects of the record of its decision.

use std::collections::BTreeMap;

use everycall_core::record::ShadowOutcome;
use everycall_core::{DecisionRecord, Reason, Verdict};
use serde::Deserialize;
use serde_json::{Map, Value};

/// The expected outcome. Only what is written is compared; an allow has the reason `allowed`.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[cfg_attr(feature = "cli", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct Expect {
    /// `allow` or `deny`.
    pub decision: Verdict,
    /// From the fixed list; absent on an allow: `allowed`, on a denial: any.
    reason: Option<Reason>,
    /// The policy's own code for the rule that decided.
    pub rule: Option<String>,
    /// The id of the grant.
    pub grant: Option<String>,
    /// The id of the active elevation.
    pub elevation: Option<String>,
    /// The status of the answer; 200 where the request is passed on.
    pub status: Option<u16>,
    /// The caller's id.
    pub identity: Option<String>,
    /// The reason of the refusal that was passed on, where `observe` is on.
    pub would_refuse: Option<Reason>,
    /// By the name of a shadow: how what it says compares with the decision.
    pub shadow: Option<BTreeMap<String, ShadowOutcome>>,
    /// What the policy wanted done, and was done.
    pub obligations: Option<Map<String, Value>>,
}

impl Expect {
    /// The expected reason.
    pub fn reason(&self) -> Option<Reason> {
        self.reason.or((self.decision == Verdict::Allow).then_some(Reason::Allowed))
    }

    /// Compares with what came out.
    ///
    /// # Errors
    /// Every member that differs, with both values and the fact behind the outcome.
    pub fn compare(&self, record: &DecisionRecord) -> Result<(), String> {
        let mut wrong = Vec::new();
        let mut compare = |name: &str, expected: Option<String>, found: Option<String>| {
            if expected.is_some() && expected != found {
                let text =
                    |value: Option<String>| value.map_or("none".to_owned(), |value| format!("`{value}`"));
                wrong.push(format!("{name}: expected {}, found {}", text(expected), text(found)));
            }
        };
        compare("decision", Some(self.decision.to_string()), Some(record.decision.to_string()));
        let code = |reason: Reason| reason.code().to_owned();
        compare("reason", self.reason().map(code), record.reason.map(code));
        compare("rule", self.rule.clone(), record.policy.as_ref().and_then(|policy| policy.rule.clone()));
        compare("grant", self.grant.clone(), record.grant.as_ref().map(|grant| grant.id.to_string()));
        compare(
            "elevation",
            self.elevation.clone(),
            record.elevation.as_ref().map(|elevation| elevation.id.clone()),
        );
        compare("status", self.status.map(|status| status.to_string()), Some(record.status.to_string()));
        compare(
            "identity",
            self.identity.clone(),
            record.identity.as_ref().map(|identity| identity.id.clone()),
        );
        let text = |all: &Map<String, Value>| Value::Object(all.clone()).to_string();
        compare(
            "would_refuse",
            self.would_refuse.map(code),
            record.would_refuse.as_ref().map(|would| code(would.reason)),
        );
        let outcomes = |all: &BTreeMap<String, ShadowOutcome>| {
            let texts: Vec<String> =
                all.iter().map(|(name, outcome)| format!("{name} {}", outcome.as_str())).collect();
            texts.join(", ")
        };
        let found = record.shadow.iter().map(|shadow| (shadow.name.clone(), shadow.outcome)).collect();
        compare("shadow", self.shadow.as_ref().map(outcomes), Some(outcomes(&found)));
        compare("obligations", self.obligations.as_ref().map(text), Some(text(&record.obligations)));
        if wrong.is_empty() {
            Ok(())
        } else {
            let detail = record.detail.as_deref().unwrap_or("no detail");
            Err(format!("{} ({detail})", wrong.join("; ")))
        }
    }
}
