//! The record of a decision: its inputs, not just its outcome. Serialised as one JSON object.
//!
//! It holds what is needed to reproduce the decision, and never the token or a header that no
//! policy read.

mod shadow;
mod stream;

use std::sync::Arc;

use serde::{Deserialize, Serialize};
use serde_json::{json, Map, Value};
use sha2::{Digest as _, Sha256};

use crate::authority::exceptions::Exception;
pub use crate::authority::grants::GrantRecord;
use crate::base::reason::{Layer, Reason};
use crate::base::time::UnixTime;
use crate::base::words::words;
use crate::base::{hex, json};
pub use crate::facts::record::{FeedRecord, SignalsRecord};
use crate::identity::{Identity, Kind};
pub use shadow::{ShadowOutcome, ShadowReads, ShadowRecord};
pub use stream::{StreamEnd, StreamIdentity, StreamRecord};

/// The version of the schema of records. Before 2 `on_behalf_of` was called `principal`; such records are still read.
pub(crate) const RECORD_VERSION: u32 = 2;

/// How many values of the greatest length a record holds, or as many bytes in more of them.
const CUT_VALUES: usize = 8;

/// About what length, digest and their names take: shorter values are not cut.
const CUT_BYTES: usize = 128;

/// What the record of a stream's end takes besides its texts.
const STREAM_BYTES: usize = 512;

/// What is written down: one line each.
#[derive(Debug, Clone, PartialEq)]
pub enum Record {
    /// A decision, as its line: what it is made of is still at hand when it is made.
    Decision(String),
    /// The end of a stream.
    Stream(Box<StreamRecord>),
}

impl Record {
    /// How much it holds, in bytes, as far as it can be long.
    pub(crate) fn bytes(&self) -> usize {
        match self {
            Record::Decision(line) => line.len(),
            Record::Stream(record) => {
                let identity = record.identity.iter().flat_map(|identity| {
                    let StreamIdentity { id, issuer, on_behalf_of, task, token_id, key_id } = identity;
                    [
                        Some(id),
                        Some(issuer),
                        on_behalf_of.as_ref(),
                        task.as_ref(),
                        token_id.as_ref(),
                        key_id.as_ref(),
                    ]
                });
                let texts = identity.chain([record.detail.as_ref()]).flatten();
                texts.map(String::len).fold(STREAM_BYTES, usize::saturating_add)
            }
        }
    }

    /// As one line of JSON. No value in it can start a line of its own.
    ///
    /// # Errors
    /// A value has no form in JSON.
    pub fn into_line(self) -> Result<String, serde_json::Error> {
        match self {
            Record::Decision(line) => Ok(line),
            Record::Stream(record) => json::line(&record),
        }
    }
}

/// A decision in short, for an access log.
#[derive(Debug, Serialize)]
struct Summary<'r> {
    id: &'r str,
    decision: Verdict,
    reason: Option<Reason>,
    layer: Layer,
    rule: Option<&'r str>,
    identity: Option<&'r str>,
    kind: Option<Kind>,
    on_behalf_of: Option<&'r str>,
    task: Option<&'r str>,
    grant: Option<&'r str>,
    would_refuse: Option<Reason>,
    duration_us: Option<u64>,
}

/// One decision. The schema's version is `v`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct DecisionRecord {
    /// The schema's version: 2.
    #[cfg_attr(feature = "schema", schemars(extend("const" = RECORD_VERSION)))]
    pub v: u32,
    /// The decision id, unique over workers and restarts; it stands in the answer, too.
    pub id: String,
    /// When the request arrived, in Unix seconds.
    pub time: UnixTime,
    /// Which engine decided.
    pub instance: Arc<str>,
    /// Digest of the configuration that decided.
    pub revision: Arc<str>,
    /// The signed bundle that decided; null for one that is not signed.
    #[serde(default)]
    pub bundle: Option<BundleRecord>,
    /// `allow` or `deny`; `ask` while it waits, in the command line's output only.
    pub decision: Verdict,
    /// From the list of reasons; null while it waits.
    pub reason: Option<Reason>,
    /// Of the answer, as the policy may have chosen it; 200 where the request was passed on.
    pub status: u16,
    /// The layer that came to the outcome; `pdp` for an allow with answers.
    pub layer: Layer,
    /// The fact behind a refusal.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub detail: Option<String>,
    /// With the reason `observed`: the refusal that was passed on.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub would_refuse: Option<WouldRefuse>,
    /// The request, with the headers and query values that the policy read.
    pub request: RequestRecord,
    /// The connection's attributes that the policy read, and the source if an elevation is for some networks.
    pub connection: Map<String, Value>,
    /// The verified caller; null without one.
    pub identity: Option<Arc<Identity>>,
    /// The exception by which the credential exists; null without one.
    #[serde(default)]
    pub exception: Option<Arc<Exception>>,
    /// The list of revocations that the caller was looked for in; null if it comes from no server, and without a
    /// credential.
    #[serde(default)]
    pub revocations: Option<FeedRecord>,
    /// The grant that admits the call; null without one.
    pub grant: Option<GrantRecord>,
    /// The elevation that is active for the call; null without one.
    #[serde(default)]
    pub elevation: Option<ElevationRecord>,
    /// What the policy read of signals; null for a policy that reads none.
    #[serde(default)]
    pub signals: Option<SignalsRecord>,
    /// What the policy did; null if it was not reached.
    pub policy: Option<PolicyRecord>,
    /// Questions and answers, in order.
    pub pdp: Vec<PdpExchange>,
    /// What the policy wanted done along with its decision, and was done.
    #[serde(default)]
    pub obligations: Map<String, Value>,
    /// What shadows say, who are not obeyed; absent without any.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub shadow: Vec<ShadowRecord>,
    /// Microseconds from arrival to decision, waiting included.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub duration_us: Option<u64>,
}

impl DecisionRecord {
    /// In short, as one line of JSON: values from tokens are escaped, none can end a log line.
    ///
    /// # Errors
    /// A value has no form in JSON.
    pub fn summary(&self) -> Result<String, serde_json::Error> {
        let identity = self.identity.as_deref();
        json::line(&Summary {
            id: &self.id,
            decision: self.decision,
            reason: self.reason,
            layer: self.layer,
            rule: self.policy.as_ref().and_then(|policy| policy.rule.as_deref()),
            identity: identity.map(|identity| &*identity.id),
            kind: identity.map(|identity| identity.kind),
            on_behalf_of: identity.and_then(|identity| identity.on_behalf_of.as_deref()),
            task: identity.and_then(|identity| identity.task.as_deref()),
            grant: self.grant.as_ref().map(|grant| &*grant.id),
            would_refuse: self.would_refuse.as_ref().map(|would| would.reason),
            duration_us: self.duration_us,
        })
    }

    /// The same with the beginnings of values of headers and query parameters that are longer than `most` bytes, the
    /// length and the digest; of what goes beyond some of them no beginning. `None` if there is no such value.
    pub(crate) fn cut(&self, most: usize) -> Option<Self> {
        let is_long = |value: &Value| value.as_str().is_some_and(|text| text.len() > most);
        let bytes = |map: &Map<String, Value>| {
            let texts = map.values().filter_map(Value::as_array).flatten().filter_map(Value::as_str);
            texts.map(str::len).fold(0, usize::saturating_add)
        };
        let has_long =
            |map: &&Map<String, Value>| map.values().filter_map(Value::as_array).flatten().any(is_long);
        let room = most.saturating_mul(CUT_VALUES);
        let sum = self.values().map(bytes).fold(0, usize::saturating_add);
        if sum <= room && !self.values().any(|map| has_long(&map)) {
            return None;
        }
        let mut cut = self.clone();
        let mut room = room;
        for value in cut.values_mut().flat_map(|map| map.values_mut()) {
            for one in value.as_array_mut().into_iter().flatten() {
                let Some(text) = one.as_str() else { continue };
                if text.len() <= most.min(room.max(CUT_BYTES)) {
                    room = room.saturating_sub(text.len())
                } else {
                    let begins = begins(text, most.min(room));
                    room = room.saturating_sub(begins.len());
                    let digest = hex::encode(&Sha256::digest(text));
                    *one = json!({"begins": begins, "bytes": text.len(), "sha256": digest});
                }
            }
        }
        Some(cut)
    }

    /// Names of the headers and query parameters of which it does not hold all values: it can't be decided again.
    pub fn cut_values(&self) -> Vec<&str> {
        let is_cut = |value: &Value| value.as_array().into_iter().flatten().any(Value::is_object);
        let mut names: Vec<&str> = self
            .values()
            .flatten()
            .filter(|(_, value)| is_cut(value))
            .map(|(name, _)| name.as_str())
            .collect();
        names.dedup();
        names
    }

    /// Values of headers and of query parameters, by their names.
    fn values(&self) -> impl Iterator<Item = &Map<String, Value>> {
        let read = self.shadow.iter().flat_map(|shadow| [&shadow.read.headers, &shadow.read.query]);
        [&self.request.headers, &self.request.query].into_iter().chain(read)
    }

    fn values_mut(&mut self) -> impl Iterator<Item = &mut Map<String, Value>> {
        let read =
            self.shadow.iter_mut().flat_map(|shadow| [&mut shadow.read.headers, &mut shadow.read.query]);
        [&mut self.request.headers, &mut self.request.query].into_iter().chain(read)
    }

    /// Somebody breaks the glass, or tried to and gave no reason.
    pub fn is_break_glass(&self) -> bool {
        self.elevation.as_ref().is_some_and(|elevation| elevation.break_glass)
            || self.reason == Some(Reason::BreakGlassReason)
    }

    /// A shadow says the opposite, or came to no decision.
    pub fn has_dispute(&self) -> bool {
        let disputes =
            |shadow: &ShadowRecord| matches!(shadow.outcome, ShadowOutcome::Differs | ShadowOutcome::Error);
        self.shadow.iter().any(disputes)
    }

    /// Files a refusal that the caller of the engine had to make after an allow.
    pub fn overrule(&mut self, reason: Reason, detail: &str) {
        self.decision = if reason.is_allow() { Verdict::Allow } else { Verdict::Deny };
        self.reason = Some(reason);
        self.status = reason.status();
        self.obligations.clear();
        self.would_refuse = None;
        self.layer = reason.layer();
        self.detail = Some(detail.to_owned());
    }
}

/// The first bytes of a text, whole characters.
pub(crate) fn begins(text: &str, most: usize) -> &str {
    let end = (0..=most.min(text.len())).rev().find(|end| text.is_char_boundary(*end));
    end.and_then(|end| text.get(..end)).unwrap_or_default()
}

/// A signed bundle.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct BundleRecord {
    /// Its author's name for it.
    pub revision: Arc<str>,
    /// Its number.
    pub sequence: u64,
}

/// A refusal that was passed on because the route is observed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct WouldRefuse {
    /// Why the request would have been refused.
    pub reason: Reason,
    /// The status that the answer would have had.
    pub status: u16,
    /// The layer that said no.
    pub layer: Layer,
    /// The fact behind it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub detail: Option<String>,
}

words! {
    /// The outcome in data.
    pub enum Verdict {
        /// The request is passed on.
        Allow = "allow",
        /// It is refused.
        Deny = "deny",
        /// It waits for a policy decision point.
        Ask = "ask",
    }
}

/// The request as far as it matters.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct RequestRecord {
    /// The client's `x-request-id`, if it has at most 128 bytes.
    pub id: Option<String>,
    /// The method.
    pub method: String,
    /// `http`, `https` or empty, as the request says; `input.request.scheme` is the connection's.
    pub scheme: String,
    /// The host; as it came if it was refused.
    pub host: String,
    /// The path without the query; as it came if it was refused.
    pub path: String,
    /// The path with the query as it came, if a policy in the form of OPA-Envoy read it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub path_and_query: Option<String>,
    /// Values of the headers that the policy read; in the place of a long one `{"begins": …, "bytes": …, "sha256":
    /// …}` (`log.value_bytes`): such a record can't be decided again.
    pub headers: Map<String, Value>,
    /// Values of the query parameters that the policy read, likewise.
    pub query: Map<String, Value>,
}

/// The elevation that is active for a call.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct ElevationRecord {
    /// Its name.
    pub id: String,
    /// Who answers for it.
    pub owner: Option<String>,
    /// Who approved it.
    pub approver: String,
    /// Its number in the system that it comes from.
    pub ticket: String,
    /// Why it was needed.
    pub reason: String,
    /// From when on it is active.
    pub valid_from: UnixTime,
    /// From when on it is not.
    pub valid_until: UnixTime,
    /// It breaks the glass.
    pub break_glass: bool,
    /// The reason that the request gave for that.
    pub break_glass_reason: Option<String>,
}

/// What the policy did.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct PolicyRecord {
    /// The package.
    pub rule_set: Arc<str>,
    /// The policy's own code for the rule that decided.
    pub rule: Option<String>,
    /// The rule's allow counts although a question failed.
    pub without_pdp: bool,
}

/// One question to a policy decision point, and what came back.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct PdpExchange {
    /// The question's id.
    pub id: String,
    /// Which decision point.
    pub pdp: String,
    /// What was asked.
    pub question: Map<String, Value>,
    /// What stands in `input.pdp`; null while it is awaited.
    pub answer: Option<Value>,
}

#[cfg(test)]
mod tests;
