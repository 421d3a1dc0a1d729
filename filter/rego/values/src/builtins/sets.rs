//! Sets: `&`, `|`, `intersection` and `union`, and what comparing values costs.

use super::{row, Answer, Builtin};
use crate::budget::{Budget, Failure};
use crate::value::{Set, Value};

pub(super) const TABLE: &[Builtin] = &[
    row("and", 2, |budget, values| two(budget, values, set_and)),
    row("or", 2, |budget, values| two(budget, values, set_or)),
    row("intersection", 1, intersection),
    row("union", 1, union),
];

const EXPECTED: Failure = Failure::Error("a set is expected");

/// What comparing this value with others takes at most each time, in units. Finding it out of a
/// composite value is charged.
pub(super) fn weight(budget: &mut Budget, value: &Value) -> Result<usize, Failure> {
    Ok(match value {
        Value::Null | Value::Bool(_) => 1,
        // What is no small whole number is read again each time.
        Value::Number(number) if number.as_i64().is_none() => number.digits(),
        Value::Number(_) => 1,
        Value::String(text) => 1_usize.saturating_add(text.len().wrapping_shr(4)),
        composite => {
            let before = budget.work;
            budget.charge_size(composite)?;
            usize::try_from(before.saturating_sub(budget.work)).unwrap_or(usize::MAX)
        }
    })
}

/// Comparisons that finding one among so many takes.
pub(super) const fn rounds(many: usize) -> usize {
    (usize::BITS.saturating_sub(many.leading_zeros()) as usize).saturating_add(1)
}

/// Charges for finding this value among so many.
pub(super) fn charge_finding(budget: &mut Budget, value: &Value, among: usize) -> Result<(), Failure> {
    let weight = weight(budget, value)?;
    budget.charge(weight.saturating_mul(rounds(among)))
}

/// A set of values in any order. Of equal ones the first one stays, as it may be written differently.
pub(super) fn collect(budget: &mut Budget, mut items: Vec<Value>) -> Result<Set, Failure> {
    for item in &items {
        charge_finding(budget, item, items.len())?;
    }
    items.sort();
    items.dedup();
    Ok(Set::from(items))
}

fn two(budget: &mut Budget, values: &[Value], of: fn(&mut Budget, &Value, &Value) -> Answer) -> Answer {
    match values {
        [left, right] => of(budget, left, right),
        _ => Err(EXPECTED),
    }
}

/// `left & right`.
pub fn set_and(budget: &mut Budget, left: &Value, right: &Value) -> Answer {
    intersect(budget, left.as_set().ok_or(EXPECTED)?, right.as_set().ok_or(EXPECTED)?).map(Value::from)
}

/// `left | right`.
pub fn set_or(budget: &mut Budget, left: &Value, right: &Value) -> Answer {
    let (left, right) = (left.as_set().ok_or(EXPECTED)?, right.as_set().ok_or(EXPECTED)?);
    budget.charge(left.len().saturating_add(right.len()))?;
    collect(budget, [&**left, &**right].concat()).map(Value::from)
}

fn intersect(budget: &mut Budget, left: &Set, right: &Set) -> Result<Set, Failure> {
    let (fewer, more) = if right.len() < left.len() { (right, left) } else { (left, right) };
    let mut both = Vec::new();
    for item in fewer.iter() {
        charge_finding(budget, item, more.len())?;
        if more.contains(item) {
            both.push(item.clone());
        }
    }
    Ok(both.into())
}

fn intersection(budget: &mut Budget, arguments: &[Value]) -> Answer {
    let sets = arguments.first().and_then(Value::as_set).ok_or(EXPECTED)?;
    let mut common: Option<Set> = None;
    for set in sets.iter() {
        let set = set.as_set().ok_or(EXPECTED)?;
        common = Some(match common {
            None => set.clone(),
            Some(common) => intersect(budget, &common, set)?,
        });
    }
    Ok(common.unwrap_or_default().into())
}

fn union(budget: &mut Budget, arguments: &[Value]) -> Answer {
    let sets = arguments.first().and_then(Value::as_set).ok_or(EXPECTED)?;
    let mut all = Vec::new();
    for set in sets.iter() {
        let set = set.as_set().ok_or(EXPECTED)?;
        budget.charge(set.len().saturating_add(1))?;
        all.extend_from_slice(set);
    }
    collect(budget, all).map(Value::from)
}

#[cfg(test)]
mod tests {
    use crate::builtins::testing::compare;

    #[test]
    fn they_answer_as_opa() {
        compare(&[
            ("and", r#"[{"set": [1, 2]}, {"set": [2, "a"]}]"#, "[2]"),
            ("and", r#"[{"set": [1]}, [1]]"#, "error"),
            ("or", r#"[{"set": [2, 1]}, {"set": ["a", 1]}]"#, r#"[1,2,"a"]"#),
            ("or", "[1, 2]", "error"),
            // Of equal numbers the one on the left is written, or the one of the smaller set.
            ("or", r#"[{"set": [1.0]}, {"set": [1, 2]}]"#, "[1.0,2]"),
            ("and", r#"[{"set": [1.0, 2]}, {"set": [1]}]"#, "[1]"),
            ("and", r#"[{"set": [1.0]}, {"set": [1]}]"#, "[1.0]"),
            ("union", r#"[{"set": [{"set": [1]}, {"set": [2, 1]}]}]"#, "[1,2]"),
            ("union", r#"[{"set": []}]"#, "[]"),
            ("union", r#"[{"set": [1]}]"#, "error"),
            ("union", r#"[[{"set": [1]}]]"#, "error"),
            ("intersection", r#"[{"set": [{"set": [1, 3]}, {"set": [2, 1]}]}]"#, "[1]"),
            ("intersection", r#"[{"set": []}]"#, "[]"),
            ("intersection", r#"[{"set": [1, {"set": []}]}]"#, "error"),
        ]);
    }
}
