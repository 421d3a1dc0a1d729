//! `array.*`.

use super::{row, Answer, Builtin};
use crate::budget::{Budget, Failure};
use crate::value::Value;

pub(super) const TABLE: &[Builtin] = &[
    row("array.concat", 2, concat),
    row("array.flatten", 1, flatten),
    row("array.reverse", 1, reverse),
    row("array.slice", 3, slice),
];

/// The array in this place.
pub(super) fn array(arguments: &[Value], at: usize) -> Result<&[Value], Failure> {
    arguments.get(at).and_then(Value::as_array).ok_or(Failure::Error("an array is expected"))
}

/// The elements of the array or set in this place.
pub(super) fn items(arguments: &[Value], at: usize) -> Result<&[Value], Failure> {
    match arguments.get(at) {
        Some(Value::Array(items)) => Ok(items),
        Some(Value::Set(items)) => Ok(items),
        _ => Err(Failure::Error("an array or a set is expected")),
    }
}

/// The whole number in this place.
pub(super) fn whole(arguments: &[Value], at: usize) -> Result<i64, Failure> {
    match arguments.get(at) {
        Some(Value::Number(number)) => number.as_index(),
        _ => None,
    }
    .ok_or(Failure::Error("a whole number is expected"))
}

/// As a place in what is in memory: 0 for what is negative, and the last one for what is more.
pub(super) fn place(number: i64) -> usize {
    usize::try_from(number.max(0)).unwrap_or(usize::MAX)
}

fn concat(budget: &mut Budget, arguments: &[Value]) -> Answer {
    let (first, second) = (array(arguments, 0)?, array(arguments, 1)?);
    budget.charge(first.len().saturating_add(second.len()))?;
    Ok([first, second].concat().into())
}

/// One level, and arrays only.
fn flatten(budget: &mut Budget, arguments: &[Value]) -> Answer {
    let mut flat = Vec::new();
    for item in array(arguments, 0)? {
        let inner = item.as_array().unwrap_or(std::slice::from_ref(item));
        budget.charge(inner.len().saturating_add(1))?;
        flat.extend_from_slice(inner);
    }
    Ok(flat.into())
}

fn reverse(budget: &mut Budget, arguments: &[Value]) -> Answer {
    let items = array(arguments, 0)?;
    budget.charge(items.len())?;
    Ok(items.iter().rev().cloned().collect::<Vec<_>>().into())
}

fn slice(budget: &mut Budget, arguments: &[Value]) -> Answer {
    let items = array(arguments, 0)?;
    let (start, stop) = (place(whole(arguments, 1)?), place(whole(arguments, 2)?).min(items.len()));
    let part = items.get(start.min(stop)..stop).unwrap_or_default();
    budget.charge(part.len())?;
    Ok(part.to_vec().into())
}

#[cfg(test)]
mod tests {
    use crate::builtins::testing::compare;

    #[test]
    fn they_answer_as_opa() {
        compare(&[
            ("array.concat", "[[1], [[2]]]", "[1,[2]]"),
            ("array.concat", r#"[[1], {"set": [2]}]"#, "error"),
            ("array.flatten", r#"[[1, [2, [3]], [], {"set": [4]}]]"#, "[1,2,[3],[4]]"),
            ("array.flatten", r#"[{"set": [1]}]"#, "error"),
            ("array.reverse", "[[1, 2, 3]]", "[3,2,1]"),
            ("array.slice", "[[1, 2, 3], 1, 9]", "[2,3]"),
            ("array.slice", "[[1, 2, 3], -5, 2]", "[1,2]"),
            ("array.slice", "[[1, 2, 3], 2, 1]", "[]"),
            ("array.slice", "[[1, 2, 3], 0, -1]", "[]"),
            ("array.slice", "[[1, 2, 3], 0, 99999999999999999999]", "error"),
            ("array.slice", "[[1, 2, 3], 0.5, 2]", "error"),
        ]);
    }
}
