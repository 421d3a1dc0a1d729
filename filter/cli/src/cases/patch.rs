//! How a case changes the configuration, and how it says "now".

use everycall_core::UnixTime;
use serde_json::{Map, Value};

/// Applies a JSON merge patch (RFC 7396).
pub fn merge(target: &mut Value, patch: &Value) {
    let Value::Object(members) = patch else {
        *target = patch.clone();
        return;
    };
    if !target.is_object() {
        *target = Value::Object(Map::new());
    }
    let Value::Object(target) = target else { return };
    for (name, value) in members {
        match value {
            Value::Null => drop(target.remove(name)),
            value => merge(target.entry(name.as_str()).or_insert(Value::Null), value),
        }
    }
}

/// The value with each `{"$now": n}` as the number `now + n`, each `{"$instant": n}` as that time in
/// RFC 3339, each `{"$null": 0}` as a null that removes nothing, and each `{"$long": n}` as a text of
/// so many letters.
pub fn at(value: &Value, now: UnixTime) -> Value {
    match value {
        Value::Object(members) => match placeholder(members, now) {
            Some(value) => value,
            None => {
                Value::Object(members.iter().map(|(name, value)| (name.clone(), at(value, now))).collect())
            }
        },
        Value::Array(items) => Value::Array(items.iter().map(|item| at(item, now)).collect()),
        other => other.clone(),
    }
}

fn placeholder(members: &Map<String, Value>, now: UnixTime) -> Option<Value> {
    let (name, offset) = members.iter().next().filter(|_| members.len() == 1)?;
    let offset = offset.as_i64()?;
    match name.as_str() {
        "$now" => Some(Value::from(moment(offset, now).secs())),
        "$instant" => Some(Value::from(moment(offset, now).to_string())),
        "$null" => Some(Value::Null),
        "$long" => Some(Value::from("a".repeat(usize::try_from(offset).unwrap_or_default()))),
        _ => None,
    }
}

/// So many seconds after `now`.
pub(super) fn moment(offset: i64, now: UnixTime) -> UnixTime {
    UnixTime::from_secs(now.secs().saturating_add(offset))
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    /// The examples of RFC 7396, appendix A.
    #[test]
    fn patches_merge_as_the_rfc_says() {
        for (target, patch, result) in [
            (json!({"a": "b"}), json!({"a": "c"}), json!({"a": "c"})),
            (json!({"a": "b"}), json!({"b": "c"}), json!({"a": "b", "b": "c"})),
            (json!({"a": "b"}), json!({"a": null}), json!({})),
            (json!({"a": "b", "b": "c"}), json!({"a": null}), json!({"b": "c"})),
            (json!({"a": ["b"]}), json!({"a": "c"}), json!({"a": "c"})),
            (json!({"a": "c"}), json!({"a": ["b"]}), json!({"a": ["b"]})),
            (json!({"a": {"b": "c"}}), json!({"a": {"b": "d", "c": null}}), json!({"a": {"b": "d"}})),
            (json!({"a": [{"b": "c"}]}), json!({"a": [1]}), json!({"a": [1]})),
            (json!(["a", "b"]), json!(["c", "d"]), json!(["c", "d"])),
            (json!({"a": "b"}), json!(["c"]), json!(["c"])),
            (json!({"a": "foo"}), json!(null), json!(null)),
            (json!({"a": "foo"}), json!("bar"), json!("bar")),
            (json!({"e": null}), json!({"a": 1}), json!({"e": null, "a": 1})),
            (json!([1, 2]), json!({"a": "b", "c": null}), json!({"a": "b"})),
            (json!({}), json!({"a": {"bb": {"ccc": null}}}), json!({"a": {"bb": {}}})),
        ] {
            let mut merged = target.clone();
            merge(&mut merged, &patch);
            assert_eq!(merged, result, "{target} + {patch}");
        }
    }

    #[test]
    fn placeholders_become_times() {
        let now = UnixTime::from_micros(60_500_000);
        let value = json!({"a": [{"$now": -10}, {"$instant": 60}], "b": {"$now": "x"}, "c": {"$now": 1, "d": 2}, "e": {"$null": 0}, "f": {"$long": 3}});
        let expected = json!({"a": [50, "1970-01-01T00:02:00Z"], "b": {"$now": "x"}, "c": {"$now": 1, "d": 2}, "e": null, "f": "aaa"});
        assert_eq!(at(&value, now), expected);
    }
}
