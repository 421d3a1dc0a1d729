//! Says once when something that decides becomes stale, and when it is well again.

use std::collections::BTreeMap;

use crate::base::time::UnixTime;
use crate::engine::step::Effect;
use crate::sync::follower::Freshness;

/// How often it is looked, in seconds.
const LOOK_S: i64 = 1;

/// What was said last, by what it is of.
#[derive(Debug, Default)]
pub(super) struct Staleness {
    known: BTreeMap<String, Freshness>,
    look_at: UnixTime,
}

/// How fresh something is: its name, and what is wrong with its age.
pub(super) type Age = (String, (Freshness, String));

impl Staleness {
    /// Whether it is time to look.
    pub(super) fn is_due(&mut self, now: UnixTime) -> bool {
        let is_due = now >= self.look_at;
        if is_due {
            self.look_at = now.plus_secs(LOOK_S);
        }
        is_due
    }

    /// Looks at everything that there is.
    pub(super) fn look(&mut self, ages: impl IntoIterator<Item = Age>) -> Vec<Effect> {
        let mut effects = Vec::new();
        let before = std::mem::take(&mut self.known);
        for (name, (freshness, why)) in ages {
            match (before.get(&name).copied().unwrap_or(Freshness::Missing), freshness) {
                (Freshness::Stale | Freshness::Expired, Freshness::Fresh) => {
                    effects.push(Effect::Info { message: format!("{name} is fresh again") });
                }
                (known, Freshness::Stale) if known != Freshness::Stale => {
                    effects.push(Effect::Warn { message: format!("{name} is stale: {why}") });
                }
                (known, Freshness::Expired) if known != Freshness::Expired => {
                    effects.push(Effect::Warn { message: format!("{name} has expired: {why}") });
                }
                _ => {}
            }
            self.known.insert(name, freshness);
        }
        effects
    }

    /// The clock went back: it is looked at once.
    pub(super) fn clock_stepped(&mut self) {
        self.look_at = UnixTime::default();
    }
}
