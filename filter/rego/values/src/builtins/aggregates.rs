//! `count`, `sum`, `product`, `min`, `max` and `sort`.

use num_bigint::BigInt;

use super::{row, Answer, Builtin};
use crate::budget::{Budget, Failure};
use crate::number::{Float, Number};
use crate::value::Value;

pub(super) const TABLE: &[Builtin] = &[
    row("count", 1, count),
    row("max", 1, |budget, values| extreme(budget, values, true)),
    row("min", 1, |budget, values| extreme(budget, values, false)),
    row("product", 1, product),
    row("sort", 1, sort),
    row("sum", 1, sum),
];

/// The elements of the array or set.
fn items(values: &[Value]) -> Result<&[Value], Failure> {
    match values.first() {
        Some(Value::Array(items)) => Ok(items),
        Some(Value::Set(items)) => Ok(items),
        _ => Err(Failure::Error("an array or a set is expected")),
    }
}

fn count(budget: &mut Budget, values: &[Value]) -> Answer {
    match values.first() {
        Some(Value::String(text)) => {
            budget.charge(text.len() / 16)?;
            Ok(Value::from(text.chars().count()))
        }
        Some(value @ (Value::Array(_) | Value::Set(_) | Value::Object(_))) => {
            Ok(Value::from(value.elements()))
        }
        _ => Err(Failure::Error("an array, a set, an object or a string is expected")),
    }
}

fn sum(budget: &mut Budget, values: &[Value]) -> Answer {
    // The first number gives the sum its bits.
    let add = |sum: Float, value: &Float| sum.plus(value, 64);
    fold(
        budget,
        items(values)?,
        0,
        i64::checked_add,
        |x, y| x.checked_add(y),
        Float::whole(&BigInt::ZERO),
        add,
    )
}

fn product(budget: &mut Budget, values: &[Value]) -> Answer {
    // It starts from a constant, which has the bits of a double.
    let multiply = |product: Float, value: &Float| product.times(value, 53);
    fold(budget, items(values)?, 1, i64::checked_mul, |x, y| x.checked_mul(y), Float::one(false), multiply)
}

/// Exact, if all are whole numbers; else floating point.
fn fold(
    budget: &mut Budget,
    items: &[Value],
    start: i64,
    small: fn(i64, i64) -> Option<i64>,
    exact: fn(&BigInt, &BigInt) -> Option<BigInt>,
    first: Float,
    float: fn(Float, &Float) -> Float,
) -> Answer {
    budget.charge(items.len())?;
    let quick = items.iter().try_fold(start, |so_far, item| match item {
        Value::Number(number) => small(so_far, number.as_i64()?),
        _ => None,
    });
    if let Some(result) = quick {
        return Ok(Value::from(result));
    }
    let numbers = items.iter().map(|item| match item {
        Value::Number(number) => Ok(number),
        _ => Err(Failure::Error("numbers are expected")),
    });
    let numbers = numbers.collect::<Result<Vec<&Number>, _>>()?;
    for number in &numbers {
        budget.charge(number.work().saturating_add(100))?;
    }
    // What becomes too large on the way is so even if a zero follows.
    let integers: Option<Vec<BigInt>> = numbers.iter().map(|number| number.to_integer()).collect();
    if let Some(integers) = integers {
        let mut so_far = BigInt::from(start);
        for integer in &integers {
            so_far = exact(&so_far, integer).ok_or(Failure::Limit)?;
            if so_far.bits() > 2_048 {
                return Err(Failure::Limit);
            }
        }
        return Number::from_integer(&so_far).map(Value::from);
    }
    let mut so_far = first;
    for number in numbers {
        so_far = float(so_far, &number.to_float());
        if !so_far.is_usable() {
            return Err(Failure::Limit);
        }
    }
    Number::from_float(&so_far).map(Value::from)
}

/// Of several that are equal, the last.
fn extreme(budget: &mut Budget, values: &[Value], largest: bool) -> Answer {
    let items = items(values)?;
    budget.charge(items.len())?;
    for item in items {
        budget.charge_size(item)?;
    }
    let mut items = items.iter();
    let first = items.next().ok_or(Failure::Error("elements are expected"))?;
    let better = |best, next| if largest { next >= best } else { next <= best };
    Ok(items.fold(first, |best, next| if better(best, next) { next } else { best }).clone())
}

fn sort(budget: &mut Budget, values: &[Value]) -> Answer {
    let items = items(values)?;
    charge_comparisons(budget, items, items.len())?;
    let mut sorted = items.to_vec();
    sorted.sort();
    Ok(Value::from(sorted))
}

/// What finding the place of each among so many others takes: as many comparisons as their number has bits.
pub(super) fn charge_comparisons(budget: &mut Budget, items: &[Value], others: usize) -> Result<(), Failure> {
    let times = usize::BITS.saturating_sub(others.leading_zeros()).saturating_add(1);
    for item in items {
        let before = budget.work;
        budget.charge_size(item)?;
        let size = usize::try_from(before.saturating_sub(budget.work)).unwrap_or(usize::MAX);
        budget.charge(size.saturating_mul(usize::try_from(times).unwrap_or(usize::MAX)))?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::builtins::numbers::tests::{call, n};

    fn of(name: &str, texts: &[&str]) -> String {
        call(name, &[Value::from(texts.iter().map(|text| n(text)).collect::<Vec<_>>())])
    }

    #[test]
    fn sums_and_products_are_exact_if_all_are_whole_else_floating_point_as_in_opa() {
        assert_eq!(of("sum", &[]), "0");
        assert_eq!(of("sum", &["9223372036854775807", "1"]), "9223372036854775808");
        assert_eq!(of("sum", &["0.1", "0.2"]), "0.3");
        assert_eq!(of("sum", &["-0.0", "1e0"]), "1");
        assert_eq!(of("product", &[]), "1");
        assert_eq!(of("product", &["0.1", "3"]), "0.30000000000000004");
        assert_eq!(of("product", &["1.1", "1.1", "1.1"]), "1.3310000000000002");
        assert_eq!(of("product", &["0.5", "-0.0"]), "-0");
        assert_eq!(of("product", &["1e200", "1e200"]), "limit");
        assert_eq!(call("sum", &[Value::from(vec![n("1.5"), Value::Null])]), "error");
    }

    #[test]
    fn of_those_that_are_equal_the_last_is_the_largest_and_the_smallest() {
        assert_eq!(of("max", &["1", "1.0"]), "1.0");
        assert_eq!(of("min", &["1.0", "1"]), "1");
        assert_eq!(of("max", &[]), "error");
        assert_eq!(of("sort", &["3", "1.5", "-1", "1e0"]), "[-1, 1e0, 1.5, 3]");
        assert_eq!(call("count", &[Value::from("e\u{301}\u{1f600}")]), "3");
        assert_eq!(call("count", &[n("5")]), "error");
    }
}
