//! What records keep of lists and of what they tell.

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use crate::base::time::UnixTime;

/// The state of a feed.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct FeedRecord {
    /// Its number.
    pub sequence: u64,
    /// When it was signed, in Unix seconds.
    pub issued_at: UnixTime,
    /// It was older than it may be.
    pub stale: bool,
}

/// What is known of a call: values by the names of signals.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct SignalsRecord {
    /// The list of signals that was looked in; null if it comes from no server.
    pub list: Option<FeedRecord>,
    /// About the caller.
    pub identity: Map<String, Value>,
    /// About the one that it acts for.
    #[serde(alias = "principal")]
    pub on_behalf_of: Map<String, Value>,
    /// About each prior actor.
    pub actors: Vec<Map<String, Value>>,
    /// About the task.
    pub task: Map<String, Value>,
}

impl SignalsRecord {
    fn parts(&self) -> impl Iterator<Item = &Map<String, Value>> {
        [&self.identity, &self.on_behalf_of, &self.task].into_iter().chain(&self.actors)
    }

    /// How long it is as text.
    pub(crate) fn bytes(&self) -> usize {
        let value = |value: &Value| value.as_str().map_or(8, str::len);
        let one = |(name, of): (&String, &Value)| name.len().saturating_add(value(of));
        self.parts().flatten().map(one).fold(0, usize::saturating_add)
    }

    /// All that several of one call tell.
    pub(crate) fn merged<'r>(all: impl Iterator<Item = &'r Self>) -> Option<Self> {
        all.cloned().reduce(|mut first, next| {
            let Self { list: _, identity, on_behalf_of, actors, task } = next;
            first.identity.extend(identity);
            first.on_behalf_of.extend(on_behalf_of);
            first.task.extend(task);
            if first.actors.is_empty() {
                first.actors = actors;
            }
            first
        })
    }
}
