//! A moment as people write it: an instant of RFC 3339, or Unix seconds.

use std::fmt;
use std::str::FromStr;

use everycall_core::UnixTime;
use serde::de::{Error, Unexpected, Visitor};
use serde::{Deserialize, Deserializer};

/// The first second of the year 0 and the last one of the year 9999: what RFC 3339 can write. Whoever writes
/// milliseconds is told so.
const FIRST: i64 = -62_167_219_200;
const LAST: i64 = 253_402_300_799;

const EXPECTED: &str =
    "an RFC 3339 instant such as `2026-01-31T09:00:00Z`, or Unix seconds such as `1769850000`";

/// A moment that somebody names: `2026-01-31T09:00:00Z`, or seconds since 1970 such as `1769850000` or
/// `1769850000.5`, from the year 0 to the year 9999. To the microsecond.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct At(pub UnixTime);

impl At {
    fn from_secs(secs: i64) -> Option<Self> {
        (FIRST..=LAST).contains(&secs).then(|| Self(UnixTime::from_secs(secs)))
    }

    /// From seconds and a fraction of one.
    fn from_fraction(secs: f64) -> Option<Self> {
        #[allow(clippy::cast_precision_loss)] // these two are whole numbers far below 2^53
        let within = (FIRST as f64..=LAST as f64).contains(&secs);
        #[allow(clippy::cast_possible_truncation)] // in this range nothing is cut but parts of a microsecond
        within.then(|| Self(UnixTime::from_micros((secs * 1e6).round() as i64)))
    }

    fn read(text: &str) -> Option<Self> {
        // Rust reads `inf` and `1e9` as numbers as well.
        if text.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'.' | b'-')) {
            let whole = text.parse().ok().and_then(Self::from_secs);
            whole.or_else(|| text.parse().ok().and_then(Self::from_fraction))
        } else {
            UnixTime::parse_rfc3339(text).map(Self)
        }
    }
}

/// For options, whose parser names the value.
impl FromStr for At {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        Self::read(text).ok_or_else(|| format!("expected {EXPECTED}"))
    }
}

impl<'de> Deserialize<'de> for At {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(TextOrNumber)
    }
}

struct TextOrNumber;

impl Visitor<'_> for TextOrNumber {
    type Value = At;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(EXPECTED)
    }

    /// An instant: a number in quotes is a mistake, as it is elsewhere in JSON.
    fn visit_str<E: Error>(self, text: &str) -> Result<At, E> {
        let instant = UnixTime::parse_rfc3339(text).map(At);
        instant.ok_or_else(|| E::invalid_value(Unexpected::Str(text), &self))
    }

    fn visit_i64<E: Error>(self, secs: i64) -> Result<At, E> {
        At::from_secs(secs).ok_or_else(|| E::invalid_value(Unexpected::Signed(secs), &self))
    }

    fn visit_u64<E: Error>(self, secs: u64) -> Result<At, E> {
        let at = i64::try_from(secs).ok().and_then(At::from_secs);
        at.ok_or_else(|| E::invalid_value(Unexpected::Unsigned(secs), &self))
    }

    fn visit_f64<E: Error>(self, secs: f64) -> Result<At, E> {
        At::from_fraction(secs).ok_or_else(|| E::invalid_value(Unexpected::Float(secs), &self))
    }
}

#[cfg(feature = "cli")]
impl schemars::JsonSchema for At {
    fn schema_name() -> std::borrow::Cow<'static, str> {
        "At".into()
    }

    fn json_schema(_: &mut schemars::SchemaGenerator) -> schemars::Schema {
        schemars::json_schema!({"description": "An instant of RFC 3339, or Unix seconds.", "anyOf": [
            {"type": "string", "pattern": everycall_core::schema::INSTANT},
            {"type": "number", "minimum": FIRST, "maximum": LAST},
        ]})
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::{json, Value};

    /// Text as on the command line, and in microseconds.
    const GOOD: &[(&str, i64)] = &[
        ("1970-01-01T00:01:00Z", 60_000_000),
        ("1970-01-01T01:01:00+01:00", 60_000_000),
        ("1970-01-01T00:00:00.25Z", 250_000),
        ("60", 60_000_000),
        ("-60", -60_000_000),
        ("1769850000.000001", 1_769_850_000_000_001),
        ("253402300799", 253_402_300_799_000_000),
        ("9999-12-31T23:59:59Z", 253_402_300_799_000_000),
    ];

    #[test]
    fn instants_and_seconds_are_read_from_options_and_from_json() {
        for (text, micros) in GOOD {
            let expected = At(UnixTime::from_micros(*micros));
            assert_eq!(text.parse(), Ok(expected), "{text}");
            let value = serde_json::from_str(text).unwrap_or_else(|_| Value::from(*text));
            assert_eq!(serde_json::from_value::<At>(value).unwrap(), expected, "{text}");
        }
    }

    #[test]
    fn what_is_neither_is_refused_with_what_was_expected() {
        for text in [
            "yesterday",
            "",
            " ",
            "2026-01-31",
            "2026-01-31T09:00:00",
            "2026-02-30T09:00:00Z",
            "09:00",
            "1e9",
            "inf",
            "NaN",
            "0x10",
            "--1",
            "1.2.3",
            "-",
            ".",
            // Milliseconds.
            "1769850000000",
            "253402300800",
            "-62167219201",
            "99999999999999999999",
        ] {
            let error = text.parse::<At>().unwrap_err();
            assert!(error.starts_with("expected an RFC 3339 instant such as"), "{text}: {error}");
        }
        for (value, named) in [
            (json!("soon"), "string \"soon\", expected an RFC 3339 instant"),
            (json!("60"), "string \"60\", expected"),
            (json!(1_769_850_000_000_i64), "integer `1769850000000`, expected"),
            (json!(u64::MAX), "integer `18446744073709551615`, expected"),
            (json!(1e300), "floating point `1e+300`, expected"),
            (json!(true), "boolean `true`, expected"),
            (json!(null), "null, expected"),
        ] {
            let error = serde_json::from_value::<At>(value).unwrap_err().to_string();
            assert!(error.contains(named), "{error}");
        }
    }
}
