//! Arithmetic, comparisons, rounding, ranges and the texts of numbers.

use num_bigint::{BigInt, Sign};

use super::aggregates::charge_comparisons;
use super::{row, Answer, Builtin};
use crate::budget::{Budget, Failure};
use crate::number::{self, Float, Number};
use crate::value::{Set, Value};

pub(super) const TABLE: &[Builtin] = &[
    row("abs", 1, |budget, values| unary(budget, values, Float::abs)),
    row("ceil", 1, |budget, values| unary(budget, values, |value| towards(&value, false))),
    row("div", 2, |budget, values| of_two(budget, Arithmetic::Divide, values)),
    row("equal", 2, |budget, values| compare(budget, values, |a, b| a == b)),
    row("floor", 1, |budget, values| unary(budget, values, |value| towards(&value, true))),
    row("format_int", 2, format_int),
    row("gt", 2, |budget, values| compare(budget, values, |a, b| a > b)),
    row("gte", 2, |budget, values| compare(budget, values, |a, b| a >= b)),
    row("lt", 2, |budget, values| compare(budget, values, |a, b| a < b)),
    row("lte", 2, |budget, values| compare(budget, values, |a, b| a <= b)),
    row("minus", 2, |budget, values| of_two(budget, Arithmetic::Minus, values)),
    row("mul", 2, |budget, values| of_two(budget, Arithmetic::Times, values)),
    row("neq", 2, |budget, values| compare(budget, values, |a, b| a != b)),
    row("numbers.range", 2, range),
    row("numbers.range_step", 3, range),
    row("plus", 2, |budget, values| of_two(budget, Arithmetic::Plus, values)),
    row("rem", 2, |budget, values| of_two(budget, Arithmetic::Remainder, values)),
    row("round", 1, |budget, values| unary(budget, values, |value| round(&value))),
    row("to_number", 1, to_number),
];

/// The operators of arithmetic.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Arithmetic {
    /// `+`
    Plus,
    /// `-`, also the difference of two sets.
    Minus,
    /// `*`
    Times,
    /// `/`
    Divide,
    /// `%`
    Remainder,
}

/// `a + b` and the like, and the difference of two sets.
pub fn arithmetic(budget: &mut Budget, op: Arithmetic, a: &Value, b: &Value) -> Answer {
    let (a, b) = match (op, a, b) {
        (_, Value::Number(a), Value::Number(b)) => (a, b),
        (Arithmetic::Minus, Value::Set(a), Value::Set(b)) => return difference(budget, a, b),
        _ => return Err(Failure::Error("numbers are expected")),
    };
    // Small whole numbers that give one cost no more than the step that they are part of.
    let free = match (a.as_i64(), b.as_i64()) {
        (Some(x), Some(y)) => op != Arithmetic::Divide || (x != 0 && x.checked_rem(y) == Some(0)),
        _ => false,
    };
    if !free {
        budget.charge(a.work().saturating_add(b.work()))?;
    }
    let compute = match op {
        Arithmetic::Plus => number::plus,
        Arithmetic::Minus => number::minus,
        Arithmetic::Times => number::times,
        Arithmetic::Divide => number::divide,
        Arithmetic::Remainder => number::remainder,
    };
    compute(a, b).map(Value::from)
}

fn of_two(budget: &mut Budget, op: Arithmetic, values: &[Value]) -> Answer {
    match values {
        [a, b] => arithmetic(budget, op, a, b),
        _ => Err(Failure::Error("two values are expected")),
    }
}

fn difference(budget: &mut Budget, a: &Set, b: &Set) -> Answer {
    charge_comparisons(budget, a, b.len())?;
    Ok(Value::from(a.iter().filter(|item| !b.contains(item)).cloned().collect::<Set>()))
}

fn compare(budget: &mut Budget, values: &[Value], holds: fn(&Value, &Value) -> bool) -> Answer {
    match values {
        [a, b] => {
            budget.charge_size(a)?;
            budget.charge_size(b)?;
            Ok(Value::Bool(holds(a, b)))
        }
        _ => Err(Failure::Error("two values are expected")),
    }
}

/// The number in this place.
pub(super) fn number(values: &[Value], at: usize) -> Result<&Number, Failure> {
    match values.get(at) {
        Some(Value::Number(number)) => Ok(number),
        _ => Err(Failure::Error("a number is expected")),
    }
}

/// The whole number in this place.
pub(super) fn integer(budget: &mut Budget, values: &[Value], at: usize) -> Result<BigInt, Failure> {
    let number = number(values, at)?;
    budget.charge(number.work())?;
    number.to_integer().ok_or(Failure::Error("a whole number is expected"))
}

/// Whole numbers of 32 bits stay as they are, but for their sign; others are floating point, and lose
/// what is behind their 64th bit.
fn unary(budget: &mut Budget, values: &[Value], of: fn(Float) -> Float) -> Answer {
    let number = number(values, 0)?;
    if let Some(small) = number.as_i64().and_then(|whole| i32::try_from(whole).ok()) {
        let whole = Float::whole(&BigInt::from(small));
        return Ok(Value::from(of(whole).truncated().try_into().unwrap_or(0_i64)));
    }
    budget.charge(number.work().saturating_mul(2))?;
    Number::from_float(&of(number.to_float())).map(Value::from)
}

/// The whole number next to it. It looks at the sign of the whole part, as OPA does: `ceil(-0.5)` is 1.
fn towards(value: &Float, down: bool) -> Float {
    let whole = Float::whole(&value.truncated());
    if whole.is_negative() != down || value.is_whole() {
        return whole;
    }
    whole.plus(&Float::one(down), 64)
}

fn round(value: &Float) -> Float {
    Float::whole(&value.plus(&Float::half(value.is_negative()), 64).truncated())
}

/// From the first to the second, both included.
fn range(budget: &mut Budget, values: &[Value]) -> Answer {
    let first = integer(budget, values, 0)?;
    let last = integer(budget, values, 1)?;
    let step = match values.len() {
        3 => integer(budget, values, 2)?,
        _ => BigInt::from(1_u8),
    };
    if step.sign() != Sign::Plus {
        return Err(Failure::Error("a step above 0 is expected"));
    }
    let distance =
        BigInt::from_biguint(Sign::Plus, last.checked_sub(&first).unwrap_or_default().magnitude().clone());
    let steps = distance.checked_div(&step).unwrap_or_default();
    let steps = usize::try_from(&steps).map_err(|_| Failure::Limit)?;
    let small = i64::try_from(&first).is_ok() && i64::try_from(&last).is_ok();
    budget.charge(steps.saturating_add(1).saturating_mul(if small { 4 } else { 100 }))?;
    let step = if first > last { BigInt::from_biguint(Sign::Minus, step.magnitude().clone()) } else { step };
    let mut items = Vec::with_capacity(steps.saturating_add(1));
    let mut next = first;
    for _ in 0..=steps {
        items.push(Value::from(Number::from_integer(&next)?));
        next = next.checked_add(&step).unwrap_or_default();
    }
    Ok(Value::from(items))
}

fn format_int(budget: &mut Budget, values: &[Value]) -> Answer {
    let number = number(values, 0)?;
    let radix = match values.get(1) {
        Some(Value::Number(base)) => match base.as_text().map_or(base.as_i64(), |_| None) {
            Some(base @ (2 | 8 | 10 | 16)) => u32::try_from(base).unwrap_or(10),
            _ => return Err(Failure::Error("base 2, 8, 10 or 16 is expected")),
        },
        _ => return Err(Failure::Error("a number is expected")),
    };
    budget.charge(number.work().saturating_mul(4))?;
    // Only what is written with digits alone is exact.
    let whole = match (number.as_i64(), number.as_text()) {
        (Some(small), _) => BigInt::from(small),
        (None, Some(text)) if text.contains(['.', 'e', 'E']) => number.to_float().truncated(),
        _ => number.to_integer().unwrap_or_default(),
    };
    Ok(Value::from(whole.to_str_radix(radix)))
}

fn to_number(budget: &mut Budget, values: &[Value]) -> Answer {
    match values.first() {
        Some(Value::Null) => Ok(Value::from(0_i64)),
        Some(Value::Bool(value)) => Ok(Value::from(i64::from(*value))),
        Some(Value::Number(number)) => Ok(Value::from(number.clone())),
        Some(Value::String(text)) => {
            budget.charge(text.len().saturating_mul(4).saturating_add(10))?;
            read_number(text).map(Value::from)
        }
        _ => Err(Failure::Error("null, a boolean, a number or a string is expected")),
    }
}

fn is_digit(character: char) -> bool {
    character.is_ascii_digit()
}

/// What Go's `ParseFloat` reads, and what it refuses. It also reads hexadecimal numbers and, between
/// digits, `_`: those end the evaluation.
fn read_number(text: &str) -> Result<Number, Failure> {
    let unsigned = text.strip_prefix(['-', '+']).unwrap_or(text);
    let hexadecimal = unsigned.starts_with("0x") || unsigned.starts_with("0X");
    if hexadecimal && unsigned.contains(['p', 'P']) {
        return Err(Failure::Limit);
    }
    if text.contains('_') {
        let pieces: Vec<&str> = text.split('_').collect();
        let digits = |piece: &&str| piece.ends_with(is_digit) && piece.starts_with(is_digit);
        let inner = pieces.get(1..pieces.len().saturating_sub(1)).unwrap_or_default();
        let whole = inner.iter().all(digits)
            && pieces.first().is_some_and(|piece| piece.ends_with(is_digit))
            && pieces.last().is_some_and(|piece| piece.starts_with(is_digit));
        return match Number::read(&pieces.concat()) {
            Err(Failure::Error(error)) => Err(Failure::Error(error)),
            _ if whole => Err(Failure::Limit),
            _ => Err(Failure::Error("a number is expected")),
        };
    }
    match Number::read(text) {
        // Out of the range of floating point is an error, as opposed to too many digits.
        Err(Failure::Limit) if text.parse().is_ok_and(f64::is_infinite) => {
            Err(Failure::Error("a number in the range of floating point is expected"))
        }
        other => other,
    }
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;
    use crate::builtins::find;
    use crate::builtins::sprintf::value_text;

    pub(crate) fn n(text: &str) -> Value {
        Value::from(Number::read(text).unwrap())
    }

    /// The text of what a builtin gives.
    pub(crate) fn call(name: &str, values: &[Value]) -> String {
        let mut budget = Budget::new(0, 1_000_000);
        let builtin = find(name).unwrap();
        assert_eq!(builtin.arguments, values.len());
        match (builtin.call)(&mut budget, values).and_then(|value| value_text(&value, &mut budget)) {
            Ok(text) => text,
            Err(Failure::Error(_)) => String::from("error"),
            Err(Failure::Limit) => String::from("limit"),
        }
    }

    fn of(name: &str, texts: &[&str]) -> String {
        call(name, &texts.iter().map(|text| n(text)).collect::<Vec<_>>())
    }

    #[test]
    fn arithmetic_gives_the_digits_of_opa() {
        for (name, a, b, expected) in [
            ("plus", "0.1", "0.2", "0.3"),
            ("plus", "1e20", "1", "100000000000000000001"),
            ("plus", "1e30", "0.5", "1000000000000000000000000000000"),
            ("plus", "9223372036854775807", "1", "9223372036854775808"),
            ("plus", "007", "+.5", "7.5"),
            ("minus", "0.1", "0.1", "0"),
            ("minus", "18446744073709551617.0", "0", "18446744073709551617"),
            ("mul", "0.1", "3", "0.3"),
            ("mul", "5e-324", "5e-324", "2.4999999999999999999e-647"),
            ("mul", "1e200", "1e200", "limit"),
            ("div", "7", "2", "3.5"),
            ("div", "1", "3", "0.33333333333333333334"),
            ("div", "2147483648", "3", "7.158278826666666667e+08"),
            ("div", "1e300", "3", concat!("333333333333333333340000000000000000000000000000000000000000000000000",
                "00000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000",
                "00000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000",
                "00000000000000000000000000000000000000000")),
            ("div", "0", "-5", "-0"),
            ("div", "1", "0", "error"),
            ("div", "1", "0e5", "error"),
            ("rem", "-5", "3", "-2"),
            ("rem", "10", "18446744073709551616", "10"),
            ("rem", "-9223372036854775808", "-1", "0"),
            ("rem", "5", "2.0", "1"),
            ("rem", "5", "2.5", "error"),
            ("rem", "5", "0", "error"),
            ("bits.lsh", "-3", "2", "-12"),
            ("bits.lsh", "5", "18446744073709551617", "10"),
            ("bits.lsh", "1", "1000000000", "limit"),
            ("bits.lsh", "0", "1000000000", "0"),
            ("bits.lsh", "1", "-1", "error"),
            ("bits.rsh", "-3", "1", "-2"),
            ("bits.xor", "-5", "3", "-8"),
            ("bits.and", "1e30", "1e31", "957909298137742301415316914176"),
            ("bits.or", "1.5", "1", "error"),
            ("format_int", "-15.9", "16", "\"-f\""),
            ("format_int", "1e30", "10", "\"1000000000000000000024696061952\""),
            ("format_int", "18446744073709551617", "16", "\"10000000000000001\""),
            ("format_int", "5", "10.0", "error"),
            ("numbers.range", "1.0", "-2", "[1, 0, -1, -2]"),
            ("numbers.range", "1", "1000000000000", "limit"),
            ("numbers.range", "18446744073709551617", "18446744073709551616", "[18446744073709551617, 18446744073709551616]"),
        ] {
            assert_eq!(of(name, &[a, b]), expected, "{name}({a}, {b})");
        }
        assert_eq!(of("numbers.range_step", &["0", "10", "4"]), "[0, 4, 8]");
        assert_eq!(of("numbers.range_step", &["0", "10", "0"]), "error");
    }

    #[test]
    fn rounding_looks_at_64_bits_and_at_the_sign_of_the_whole_part() {
        for (name, a, expected) in [
            ("abs", "-0.0", "0"),
            ("abs", "-12345678901234567890123", "12345678901234567890000"),
            ("ceil", "-0.5", "1"),
            ("ceil", "1e30", "1000000000000000000024696061952"),
            ("floor", "-0.5", "0"),
            ("floor", "-1.5", "-2"),
            ("floor", "36893488147419103235", "36893488147419103236"),
            ("round", "2.5", "3"),
            ("round", "-0.5", "-1"),
            ("round", "0.49999999999999999999", "1"),
            ("bits.negate", "1e2", "-101"),
        ] {
            assert_eq!(of(name, &[a]), expected, "{name}({a})");
        }
    }

    #[test]
    fn the_difference_of_sets_goes_by_worth() {
        let set = |texts: &[&str]| Value::from(texts.iter().map(|text| n(text)).collect::<Set>());
        assert_eq!(call("minus", &[set(&["1", "2"]), set(&["1.0"])]), "{2}");
        assert_eq!(call("minus", &[set(&["1"]), n("1")]), "error");
        assert_eq!(call("plus", &[set(&["1"]), set(&["1"])]), "error");
    }

    #[test]
    fn text_is_a_number_where_go_reads_one() {
        for (text, expected) in [
            ("01", "01"),
            ("+1", "+1"),
            (".5", ".5"),
            ("1.", "1."),
            ("-0", "-0"),
            ("1E5", "1E5"),
            ("0x1p4", "limit"),
            ("1_000", "limit"),
            ("1__0", "error"),
            ("0x10", "error"),
            ("", "error"),
            (" 1", "error"),
            ("1e400", "error"),
            ("inf", "error"),
            ("NaN", "error"),
            ("1e", "error"),
        ] {
            assert_eq!(call("to_number", &[Value::from(text)]), expected, "{text}");
        }
        assert_eq!(call("to_number", &[Value::Bool(true)]), "1");
        assert_eq!(call("to_number", &[Value::from(vec![])]), "error");
    }
}
