//! YAML as far as it is JSON: text keys only, no duplicate keys, no tags, finite numbers.

use everycall_core::json::is_held;
use serde_json::{Map, Number, Value};
use serde_yaml_ng::Value as Yaml;

/// What is wrong, and the JSON path where.
type YamlError = (String, String);

/// Parses one YAML document. serde_json's own value would keep the last of two equal keys; YAML's
/// refuses them.
pub(super) fn parse(bytes: &[u8]) -> Result<Value, YamlError> {
    let document: Yaml =
        serde_yaml_ng::from_slice(bytes).map_err(|cause| (String::new(), format!("not YAML: {cause}")))?;
    json(document, "", &not_held(bytes))
}

/// What of the text may be a number and is another one as a value.
fn not_held(text: &[u8]) -> Vec<f64> {
    let is_inside = |byte: &u8| byte.is_ascii_digit() || b".eE+-".contains(byte);
    let words = text.split(|byte| !is_inside(byte)).filter_map(|word| std::str::from_utf8(word).ok());
    let numbers = words.map(|word| word.trim_start_matches('+')).filter(|word| !is_held(word));
    numbers.filter_map(|number| number.parse().ok()).collect()
}

fn json(value: Yaml, path: &str, not_held: &[f64]) -> Result<Value, YamlError> {
    let error = |message: &str| Err((path.to_owned(), message.to_owned()));
    match value {
        Yaml::Null => Ok(Value::Null),
        Yaml::Bool(value) => Ok(Value::Bool(value)),
        Yaml::String(value) => Ok(Value::String(value)),
        Yaml::Number(number) => {
            let number = match (number.as_i64(), number.as_u64()) {
                (Some(number), _) => Some(number.into()),
                (None, Some(number)) => Some(number.into()),
                (None, None) => match number.as_f64() {
                    Some(number) if not_held.contains(&number) => {
                        return error("a number that 64 bits do not hold as it is written");
                    }
                    number => number.and_then(Number::from_f64),
                },
            };
            number.map_or_else(|| error("not a finite number"), |number| Ok(Value::Number(number)))
        }
        Yaml::Sequence(items) => {
            let items = items
                .into_iter()
                .enumerate()
                .map(|(index, item)| json(item, &format!("{path}[{index}]"), not_held));
            items.collect::<Result<_, _>>().map(Value::Array)
        }
        Yaml::Mapping(mapping) => {
            let mut members = Map::new();
            for (name, value) in mapping {
                let Yaml::String(name) = name else {
                    return error("a key that is not text; quote it");
                };
                let below = if path.is_empty() { name.clone() } else { format!("{path}.{name}") };
                members.insert(name, json(value, &below, not_held)?);
            }
            Ok(Value::Object(members))
        }
        Yaml::Tagged(_) => error("YAML tags are not accepted"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn what_is_json_passes_and_the_rest_is_refused_with_its_path() {
        assert_eq!(
            parse(b"a: {b: [1, -2, 1.5, yes, 'x', null, true]}\nc: |\n  d\n"),
            Ok(json!({"a": {"b": [1, -2, 1.5, "yes", "x", null, true]}, "c": "d\n"}))
        );
        assert_eq!(
            parse(b"a: '123456789012345678901234567890' # 0.10000000000000000001\nb: 1.50"),
            Ok(json!({"a": "123456789012345678901234567890", "b": 1.5}))
        );
        for (text, path, message) in [
            ("a: 1\na: 2", "", "duplicate"),
            ("a: {b: 1, b: 2}", "", "duplicate"),
            ("a:\n  - 1: x", "a[0]", "quote it"),
            ("a: .nan", "a", "finite"),
            ("a: [!secret x]", "a[0]", "tags"),
            ("a: [0.5, 9007199254740993.0]", "a[1]", "64 bits"),
            ("a: 123456789012345678901234567890", "", "not YAML"),
            ("a: +0.10000000000000000001", "a", "64 bits"),
            ("a: [", "", "not YAML"),
            ("a: 1\n---\na: 2", "", "not YAML"),
        ] {
            let (at, found) = parse(text.as_bytes()).unwrap_err();
            assert!(at == path && found.contains(message), "{text}: {at}: {found}");
        }
    }
}
