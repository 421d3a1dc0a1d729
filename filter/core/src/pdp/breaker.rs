//! The circuit breaker of a decision point: after failures in a row it is left alone for a while, and
//! questions to it fail at once. Then one question is tried, and its answer decides.

use serde::Deserialize;

use crate::base::ranged::Ranged;
use crate::base::time::UnixTime;
use crate::http::request::StreamId;

/// When to stop asking, and for how long.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema), schemars(rename = "Breaker"))]
#[serde(deny_unknown_fields, expecting = "an object")]
pub struct BreakerRule {
    /// Failures in a row, per worker, that open it.
    pub failures: Ranged<u32, 1, 1_000>,
    /// How long questions fail at once then; after it one is tried, and its answer decides.
    pub open_ms: Ranged<u32, 10, 600_000>,
}

/// The state of one breaker, in one worker.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Breaker {
    /// Questions go out.
    Closed {
        /// Failures since the last answer.
        failures: u32,
    },
    /// Nothing is asked.
    Open { until: UnixTime },
    /// One question is out, of this stream; nothing else is asked.
    Trying(StreamId),
}

impl Default for Breaker {
    fn default() -> Self {
        Breaker::Closed { failures: 0 }
    }
}

impl Breaker {
    /// Whether a question of this stream may go out now.
    pub(crate) fn lets_through(&mut self, stream: StreamId, now: UnixTime) -> bool {
        match *self {
            Breaker::Closed { .. } => true,
            Breaker::Open { until } if now >= until => {
                *self = Breaker::Trying(stream);
                true
            }
            Breaker::Open { .. } | Breaker::Trying(_) => false,
        }
    }

    /// Notes how a question of this stream came back.
    pub(crate) fn note(&mut self, rule: BreakerRule, stream: StreamId, answered: bool, now: UnixTime) {
        let open = || {
            let micros = i64::from(*rule.open_ms).saturating_mul(1_000);
            Breaker::Open { until: UnixTime::from_micros(now.micros().saturating_add(micros)) }
        };
        *self = match (*self, answered) {
            (Breaker::Closed { .. }, true) => Breaker::default(),
            (Breaker::Closed { failures }, false) => match failures.saturating_add(1) {
                failures if failures >= *rule.failures => open(),
                failures => Breaker::Closed { failures },
            },
            (Breaker::Trying(tried), true) if tried == stream => Breaker::default(),
            (Breaker::Trying(tried), false) if tried == stream => open(),
            // A question from before it opened says nothing of now.
            (state @ (Breaker::Open { .. } | Breaker::Trying(_)), _) => state,
        };
    }

    /// The stream is gone, and with it the answer that was to decide: the next question is tried.
    pub(crate) fn forget(&mut self, stream: StreamId, now: UnixTime) {
        if *self == Breaker::Trying(stream) {
            *self = Breaker::Open { until: now };
        }
    }

    /// Whether questions fail at once.
    pub(crate) const fn is_open(&self) -> bool {
        matches!(self, Breaker::Open { .. } | Breaker::Trying(_))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ONE: StreamId = StreamId(1);
    const TWO: StreamId = StreamId(2);

    fn at(secs: i64) -> UnixTime {
        UnixTime::from_secs(secs)
    }

    fn rule() -> BreakerRule {
        serde_json::from_str(r#"{"failures": 2, "open_ms": 1000}"#).unwrap()
    }

    fn opened() -> Breaker {
        let mut breaker = Breaker::default();
        breaker.note(rule(), ONE, false, at(0));
        assert!(breaker.lets_through(ONE, at(0)));
        breaker.note(rule(), ONE, false, at(0));
        assert!(breaker.is_open());
        breaker
    }

    #[test]
    fn failures_in_a_row_open_it_and_one_answer_closes_it() {
        let mut breaker = opened();
        assert!(!breaker.lets_through(ONE, UnixTime::from_micros(999_999)));
        assert!(breaker.lets_through(ONE, at(1)));
        assert!(!breaker.lets_through(TWO, at(1)) && !breaker.lets_through(ONE, at(100)), "one at a time");
        breaker.note(rule(), TWO, true, at(1));
        assert!(breaker.is_open(), "an answer from before it opened");
        breaker.note(rule(), ONE, true, at(1));
        assert_eq!(breaker, Breaker::default());
        breaker.note(rule(), ONE, false, at(2));
        breaker.note(rule(), ONE, true, at(2));
        breaker.note(rule(), ONE, false, at(2));
        assert!(!breaker.is_open(), "not in a row");
    }

    #[test]
    fn a_try_that_fails_opens_it_for_as_long_again() {
        let mut breaker = opened();
        assert!(breaker.lets_through(ONE, at(1)));
        breaker.note(rule(), ONE, false, at(2));
        assert!(!breaker.lets_through(TWO, UnixTime::from_micros(2_999_999)));
        assert!(breaker.lets_through(TWO, at(3)));
    }

    #[test]
    fn a_try_whose_client_leaves_gives_its_place_to_the_next() {
        let mut breaker = opened();
        assert!(breaker.lets_through(ONE, at(1)));
        breaker.forget(TWO, at(1));
        assert!(!breaker.lets_through(TWO, at(1)));
        breaker.forget(ONE, at(1));
        assert!(breaker.lets_through(TWO, at(1)));
    }
}
