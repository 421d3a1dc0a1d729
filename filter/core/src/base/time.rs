//! The one representation of wall-clock time. Nothing in the core reads a clock.

use std::fmt;

use serde::Serialize;
use time::format_description::well_known::Rfc3339;
use time::OffsetDateTime;

/// A wall-clock instant in microseconds since 1970-01-01T00:00:00Z.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Default)]
pub struct UnixTime(i64);

impl UnixTime {
    /// From whole seconds; saturates at the ends of the range.
    pub const fn from_secs(secs: i64) -> Self {
        Self(secs.saturating_mul(1_000_000))
    }

    /// From microseconds.
    pub const fn from_micros(micros: i64) -> Self {
        Self(micros)
    }

    /// Whole seconds, rounded towards the past.
    pub const fn secs(self) -> i64 {
        self.0.div_euclid(1_000_000)
    }

    /// Microseconds.
    pub const fn micros(self) -> i64 {
        self.0
    }

    /// So many seconds later.
    pub(crate) const fn plus_secs(self, secs: i64) -> Self {
        Self(self.0.saturating_add(secs.saturating_mul(1_000_000)))
    }

    /// So many milliseconds later.
    pub(crate) const fn plus_millis(self, millis: i64) -> Self {
        Self(self.0.saturating_add(millis.saturating_mul(1_000)))
    }

    /// As much later as the one instant is after the other; earlier if it is before it.
    pub(crate) const fn shifted(self, from: Self, to: Self) -> Self {
        Self(self.0.saturating_add(to.0.saturating_sub(from.0)))
    }

    /// Whole milliseconds since then.
    pub(crate) const fn millis_since(self, earlier: Self) -> i64 {
        self.0.saturating_sub(earlier.0) / 1000
    }

    /// Parses an RFC 3339 instant such as `2026-01-31T00:00:00Z`, with whatever fraction of a second down to
    /// microseconds.
    pub fn parse_rfc3339(text: &str) -> Option<Self> {
        let instant = OffsetDateTime::parse(text, &Rfc3339).ok()?;
        i64::try_from(instant.unix_timestamp_nanos().div_euclid(1_000)).ok().map(Self::from_micros)
    }

    /// The first whole second at or after it.
    pub(crate) const fn next_sec(self) -> i64 {
        // Divided the other way round, it is rounded the other way.
        self.0.saturating_neg().div_euclid(1_000_000).saturating_neg()
    }

    /// The UTC calendar fields, or `None` outside the years that a calendar covers.
    pub(crate) fn utc(self) -> Option<OffsetDateTime> {
        OffsetDateTime::from_unix_timestamp(self.secs()).ok()
    }
}

impl fmt::Display for UnixTime {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.utc().and_then(|utc| utc.format(&Rfc3339).ok()) {
            Some(text) => f.write_str(&text),
            None => write!(f, "@{}", self.secs()),
        }
    }
}

/// Serialised as seconds with six decimals, the NumericDate of RFC 7519 section 2.
impl Serialize for UnixTime {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        #[allow(clippy::cast_precision_loss)] // micros of this century stay below 2^53
        serializer.serialize_f64(self.0 as f64 / 1e6)
    }
}

impl<'de> serde::Deserialize<'de> for UnixTime {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let secs = f64::deserialize(deserializer)?;
        #[allow(clippy::cast_possible_truncation)] // `as` saturates, and NaN becomes 0
        Ok(Self((secs * 1e6).round() as i64))
    }
}

/// An instant of RFC 3339.
///
/// # Errors
/// It is none.
pub(crate) fn instant(text: &str) -> Result<UnixTime, String> {
    UnixTime::parse_rfc3339(text)
        .ok_or_else(|| format!("`{text}` is not an RFC 3339 instant such as `2026-01-31T00:00:00Z`"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn seconds_round_towards_the_past() {
        assert_eq!(UnixTime::from_micros(1_999_999).secs(), 1);
        assert_eq!(UnixTime::from_micros(-1).secs(), -1);
    }

    #[test]
    fn rfc3339_needs_an_offset() {
        assert_eq!(UnixTime::parse_rfc3339("1970-01-01T00:01:00Z"), Some(UnixTime::from_secs(60)));
        assert_eq!(UnixTime::parse_rfc3339("1970-01-01T01:00:00+01:00"), Some(UnixTime::from_secs(0)));
        for (text, micros, next) in [
            ("1970-01-01T00:00:00.9Z", 900_000, 1),
            ("1970-01-01T00:00:01.0000019Z", 1_000_001, 2),
            ("1970-01-01T00:00:02.000Z", 2_000_000, 2),
            ("1969-12-31T23:59:59.25Z", -750_000, 0),
        ] {
            let instant = UnixTime::parse_rfc3339(text).unwrap();
            assert_eq!((instant.micros(), instant.next_sec()), (micros, next), "{text}");
        }
        for bad in ["1970-01-01", "1970-01-01T00:00:00", "", "0"] {
            assert_eq!(UnixTime::parse_rfc3339(bad), None, "{bad}");
        }
    }
}
