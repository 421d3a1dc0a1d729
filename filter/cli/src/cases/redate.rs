//! Authority records that never grow old: elevations and exceptions end within hours or days, and
//! the cases about them must hold next year, too.

use everycall_core::UnixTime;
use serde::{Deserialize, Deserializer};
use serde_json::Value;

/// An instant of RFC 3339.
#[derive(Debug, Clone, Copy)]
pub(super) struct Instant(pub(super) UnixTime);

impl<'de> Deserialize<'de> for Instant {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        let parsed = UnixTime::parse_rfc3339(&text);
        parsed
            .map(Instant)
            .ok_or_else(|| serde::de::Error::custom(format!("`{text}` is not an RFC 3339 instant")))
    }
}

/// Moves the validity of all authority records of a configuration from `as_of` to `now`.
pub fn redate(config: &mut Value, as_of: UnixTime, now: UnixTime) {
    let seconds = now.secs().saturating_sub(as_of.secs());
    for kind in ["grants", "elevations", "exceptions"] {
        let records = config.pointer_mut(&format!("/bundle/inline/{kind}")).and_then(Value::as_array_mut);
        for record in records.into_iter().flatten() {
            for end in ["valid_from", "valid_until"] {
                if let Some(value) = record.get_mut(end) {
                    let written = value.as_str().and_then(UnixTime::parse_rfc3339);
                    // What is no instant is reported by who reads the configuration.
                    if let Some(written) = written {
                        *value = Value::from(super::patch::moment(seconds, written).to_string());
                    }
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn validity_moves_and_nothing_else_does() {
        let mut config = json!({"bundle": {"inline": {
            "grants": [{"id": "g"}, {"id": "h", "valid_until": "2026-01-02T00:00:00Z", "purpose": "2026-01-02T00:00:00Z"}],
            "elevations": [{"valid_from": "2026-01-01T00:00:00Z", "valid_until": "soon"}],
        }}});
        let instant = |text| UnixTime::parse_rfc3339(text).unwrap();
        redate(&mut config, instant("2026-01-01T12:00:00Z"), instant("2027-01-01T12:00:30Z"));
        let expected = json!({"bundle": {"inline": {
            "grants": [{"id": "g"}, {"id": "h", "valid_until": "2027-01-02T00:00:30Z", "purpose": "2026-01-02T00:00:00Z"}],
            "elevations": [{"valid_from": "2027-01-01T00:00:30Z", "valid_until": "soon"}],
        }}});
        assert_eq!(config, expected);
    }
}
