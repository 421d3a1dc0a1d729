//! Says once when something that decides becomes stale, and when it is well again.

use crate::base::freshness::Freshness;
use crate::base::time::UnixTime;
use crate::engine::step::Effect;

/// How often it is looked, in seconds.
const LOOK_S: i64 = 1;

/// What was said last, by what it is of.
#[derive(Debug, Default)]
pub(super) struct Staleness {
    known: Vec<(String, Freshness)>,
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
    pub(super) fn look(&mut self, ages: Vec<Age>) -> Vec<Effect> {
        let mut effects = Vec::new();
        let before = std::mem::take(&mut self.known);
        for (name, (freshness, why)) in ages {
            let known = before.iter().find(|(known, _)| *known == name).map(|(_, known)| *known);
            let how = match (known.unwrap_or(Freshness::Missing), freshness) {
                (Freshness::Stale | Freshness::Expired, Freshness::Fresh) => Some(" is fresh again"),
                (known, Freshness::Stale) if known != Freshness::Stale => Some(" is stale: "),
                (known, Freshness::Expired) if known != Freshness::Expired => Some(" has expired: "),
                _ => None,
            };
            if let Some(how) = how {
                let message = [&name, how, &why].concat();
                let is_well = freshness == Freshness::Fresh;
                effects.push(if is_well { Effect::Info { message } } else { Effect::Warn { message } });
            }
            self.known.push((name, freshness));
        }
        effects
    }

    /// The clock went back: it is looked at once.
    pub(super) fn clock_stepped(&mut self) {
        self.look_at = UnixTime::default();
    }
}
