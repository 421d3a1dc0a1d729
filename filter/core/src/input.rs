//! What policies see as `input`: facts, each answered from what the core holds, and only those that are read.

mod contract;
mod described;
mod facts;
#[cfg(feature = "schema")]
mod known;
mod opa;
mod slots;
#[cfg(test)]
mod tests;

use std::fmt;
use std::sync::Arc;

use everycall_rego::{Object, Value};
use serde_json::{Map, Value as Json};

use crate::authority::exceptions::Exception;
use crate::authority::grants::Granted;
use crate::authority::network::Network;
use crate::base::texts::Texts;
use crate::base::time::UnixTime;
use crate::http::target::Target;
use crate::identity::{Binding, Identity};
use crate::pdp::Answer;
use crate::record::{RequestRecord, SignalsRecord};
pub(crate) use contract::renamed;
#[cfg(feature = "schema")]
pub use described::{input_rows, InputRow};
#[cfg(feature = "schema")]
pub use known::{nowhere, Nowhere};
pub(crate) use slots::Slots;

/// What is known of a verified caller.
#[derive(Clone, Copy)]
pub(crate) struct Caller<'a> {
    pub(crate) identity: &'a Identity,
    /// By which its credential exists.
    pub(crate) exception: Option<&'a Exception>,
    /// [`identity_once`] of it.
    pub(crate) value: &'a Value,
}

/// What a decision's facts are taken from. The request's part is the record's: the two cannot disagree.
pub(crate) struct Sources<'a> {
    pub(crate) now: UnixTime,
    pub(crate) request: &'a RequestRecord,
    pub(crate) target: &'a Target,
    pub(crate) connection: &'a Map<String, Json>,
    pub(crate) caller: Option<Caller<'a>>,
    pub(crate) granted: &'a Granted,
    /// Absent: the policy does not read them.
    pub(crate) signals: Option<&'a SignalsRecord>,
    pub(crate) networks: &'a [Network],
}

/// The facts of one decision for one rule set. INVARIANT: they stay as they are for as long as it takes: only
/// answers of policy decision points are added.
#[derive(Clone)]
pub(crate) struct PolicyInput {
    slots: Vec<Option<Value>>,
    now: UnixTime,
}

/// Claims and headers live in it: never printed.
impl fmt::Debug for PolicyInput {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("PolicyInput(..)")
    }
}

impl everycall_rego::Facts for PolicyInput {
    fn fact(&self, slot: usize) -> Option<&Value> {
        self.slots.get(slot)?.as_ref()
    }

    fn now_ns(&self) -> Option<i64> {
        self.now.secs().checked_mul(1_000_000_000)
    }
}

impl PolicyInput {
    /// All that the slots read. Bounded by the caller.
    pub(crate) fn new(slots: &Slots, of: &Sources<'_>) -> Self {
        Self { slots: slots.values(of), now: of.now }
    }

    /// Adds the answers to the questions so far.
    pub(crate) fn put_answers<'a>(
        &mut self,
        slots: &Slots,
        answers: impl Iterator<Item = (&'a str, &'a Answer)>,
    ) {
        if slots.read_answers() {
            let answers = answers.map(|(id, answer)| (Value::from(id), Value::from(answer.to_json())));
            slots.put_answers(&mut self.slots, &Value::Object(answers.collect::<Object>()));
        }
    }

    /// Facts that one document holds.
    #[cfg(test)]
    pub(crate) fn of_document<'p>(paths: impl Iterator<Item = &'p [Arc<str>]>, document: &Value) -> Self {
        let slots = paths.map(|path| slots::descend(document, path)).collect();
        Self { slots, now: UnixTime::from_secs(0) }
    }

    /// What was read, as one document.
    pub(crate) fn document<'p>(&self, paths: impl Iterator<Item = &'p [Arc<str>]>) -> Json {
        let mut read: Vec<_> = paths.zip(&self.slots).collect();
        // What is read as a whole holds what is read of it.
        read.sort_by_key(|(path, _)| path.len());
        let mut document = Json::Object(Map::new());
        for (path, value) in read {
            if let Some(value) = value {
                place(&mut document, path, value);
            }
        }
        document
    }
}

fn place(into: &mut Json, path: &[Arc<str>], value: &Value) {
    let mut here = into;
    for name in path {
        let Json::Object(members) = here else { return };
        here = members.entry(&**name).or_insert_with(|| Json::Object(Map::new()));
    }
    *here = value.to_json();
}

/// `input.identity` but for `expires_in`, which changes with every use.
pub(crate) fn identity_once(identity: &Identity, texts: &mut Texts) -> Value {
    let mut shared = |text: &str| Value::from(texts.share(text));
    let mut text = |text: Option<&str>| text.map_or(Value::Null, &mut shared);
    let actors: Vec<Value> = identity.actors.iter().map(|actor| text(Some(actor))).collect();
    let task = identity.task.as_deref().map(|task| vec![(text(Some("id")), text(Some(task)))]);
    let members = [
        ("actors", Value::from(actors)),
        ("bound", text(identity.bound.map(Binding::as_str))),
        ("claims", identity.claims.value().clone()),
        ("credential", text(Some(&identity.credential))),
        ("id", text(Some(&identity.id))),
        ("issuer", text(Some(&identity.issuer))),
        ("kind", text(Some(identity.kind.as_str()))),
        ("on_behalf_of", text(identity.on_behalf_of.as_deref())),
        ("task", task.map_or(Value::Null, |task| Value::Object(Object::from(task)))),
    ];
    let members = members.into_iter().map(|(name, value)| (shared(name), value));
    Value::Object(Object::from(members.collect::<Vec<_>>()))
}
