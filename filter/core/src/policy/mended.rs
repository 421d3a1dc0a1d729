//! Calls of builtins that regorus answers with a panic, which would end the module, or otherwise where
//! numbers have 32 bits, as in the module, than where they have 64.

use regorus::Value;

/// What the builtin says of these arguments, if it can't be asked itself.
pub(super) fn answer(name: &str, arguments: &[Value]) -> Option<Value> {
    match (name, arguments) {
        // Empty text is in front of each character, and at the end.
        ("strings.count", [Value::String(text), Value::String(part)]) if part.is_empty() => {
            Some(Value::from(text.chars().count().saturating_add(1)))
        }
        ("object.subset", [whole, part]) => Some(Value::Bool(is_subset(whole, part))),
        ("substring", [Value::String(text), Value::Number(offset), Value::Number(length)]) => {
            let (offset, length) = (offset.as_i64()?, length.as_i64()?);
            let Ok(offset) = u64::try_from(offset) else { return Some(Value::Undefined) };
            // What is longer than any text is the rest of it, and so is what is below zero.
            let place = |number| usize::try_from(number).unwrap_or(usize::MAX);
            let length = u64::try_from(length).map_or(usize::MAX, place);
            let part: String = text.chars().skip(place(offset)).take(length).collect();
            Some(Value::String(part.into()))
        }
        ("array.slice", [Value::Array(list), Value::Number(from), Value::Number(to)])
            if to.as_i64().is_some_and(|to| to > i64::from(u32::MAX)) =>
        {
            let from = usize::try_from(from.as_i64()?.max(0)).unwrap_or(usize::MAX);
            Some(Value::from(list.as_slice().get(from..).unwrap_or_default().to_vec()))
        }
        ("array.slice", [Value::Array(_), Value::Number(from), _])
            if from.as_i64().is_some_and(|from| from > i64::from(u32::MAX)) =>
        {
            Some(Value::new_array())
        }
        _ => None,
    }
}

/// As in OPA: what is in `part` is in `whole`, of objects at each depth, of lists side by side.
fn is_subset(whole: &Value, part: &Value) -> bool {
    match (whole, part) {
        (Value::Object(whole), Value::Object(part)) => {
            part.iter().all(|(key, part)| whole.get(key).is_some_and(|whole| is_subset(whole, part)))
        }
        (Value::Set(whole), Value::Set(part)) => part.iter().all(|item| whole.contains(item)),
        (Value::Array(_), Value::Array(part)) if part.is_empty() => true,
        (Value::Array(whole), Value::Array(part)) => {
            whole.as_slice().windows(part.len()).any(|window| window == part.as_slice())
        }
        (Value::Array(whole), Value::Set(part)) => {
            part.iter().all(|item| whole.iter().any(|other| other == item))
        }
        (whole, part) => whole == part,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn says(name: &str, arguments: &[serde_json::Value]) -> Option<Value> {
        answer(name, &arguments.iter().cloned().map(Value::from).collect::<Vec<_>>())
    }

    #[test]
    fn empty_text_and_empty_lists_do_not_panic() {
        assert_eq!(says("strings.count", &[json!("aß"), json!("")]), Some(Value::from(3_u64)));
        assert_eq!(says("strings.count", &[json!("aa"), json!("a")]), None);
        for (whole, part, is) in [
            (json!([1, 2]), json!([]), true),
            (json!([]), json!([]), true),
            (json!([1, 2, 3]), json!([2, 3]), true),
            (json!([1, 2, 3]), json!([1, 3]), false),
            (json!([1]), json!([1, 2]), false),
            (json!({"a": {"b": [1]}}), json!({"a": {"b": []}}), true),
            (json!({"a": {"b": 1}}), json!({"a": {"b": []}}), false),
            (json!({"a": 1, "b": 2}), json!({"b": 2}), true),
            (json!({"a": 1}), json!({"b": 2}), false),
            (json!("a"), json!("a"), true),
            (json!("ab"), json!("a"), false),
        ] {
            let said = says("object.subset", &[whole.clone(), part.clone()]);
            assert_eq!(said, Some(Value::Bool(is)), "{whole} {part}");
        }
    }

    #[test]
    fn numbers_beyond_32_bits_are_no_small_ones() {
        let far = json!(1_u64 << 32);
        assert_eq!(says("substring", &[json!("abc"), far.clone(), json!(1)]), Some(Value::from("")));
        assert_eq!(says("substring", &[json!("abc"), json!(1), far.clone()]), Some(Value::from("bc")));
        assert_eq!(says("substring", &[json!("abc"), json!(1), json!(-1)]), Some(Value::from("bc")));
        assert_eq!(says("substring", &[json!("abc"), json!(1), json!(1)]), Some(Value::from("b")));
        assert_eq!(says("substring", &[json!("abc"), json!(-1), json!(1)]), Some(Value::Undefined));
        assert_eq!(says("array.slice", &[json!([1]), far.clone(), json!(9)]), Some(Value::new_array()));
        assert_eq!(says("array.slice", &[json!([1]), far.clone(), far.clone()]), Some(Value::new_array()));
        assert_eq!(
            says("array.slice", &[json!([1, 2]), json!(1), far]),
            Some(Value::from(vec![Value::from(2)]))
        );
        assert_eq!(says("array.slice", &[json!([1]), json!(0), json!(1)]), None);
    }
}
