//! `units.parse` and `units.parse_bytes`: amounts with a unit.

// Big integers do not overflow, and no exponent here is large.
#![allow(clippy::arithmetic_side_effects)]

use num_bigint::{BigInt, BigUint, Sign};

use super::{row, text, Answer, Builtin};
use crate::budget::{Budget, Failure};
use crate::number::{Float, Number};
use crate::value::Value;

/// Digits of an exponent that OPA looks at.
const MAX_EXPONENT_DIGITS: usize = 6;

pub(super) const TABLE: &[Builtin] =
    &[row("units.parse", 1, parse), row("units.parse_bytes", 1, parse_bytes)];

/// The amount and the unit. An `e` is a unit, unless a digit or a sign follows it.
fn split(amount: &str) -> Result<(&str, &str), Failure> {
    let bytes = amount.as_bytes();
    let digits = |from: usize| bytes.iter().skip(from).take_while(|byte| byte.is_ascii_digit()).count();
    let mut at = 0_usize;
    while let Some(byte) = bytes.get(at) {
        let next = at + 1;
        match byte {
            b'0'..=b'9' | b'.' | b'+' | b'-' => {}
            b'e' | b'E' => match bytes.get(next) {
                Some(b'+' | b'-') if digits(next + 1) > MAX_EXPONENT_DIGITS => return Err(TOO_LARGE),
                Some(b'+' | b'-') => at = next,
                Some(b'0'..=b'9') if digits(next) > MAX_EXPONENT_DIGITS => return Err(TOO_LARGE),
                Some(b'0'..=b'9') => {}
                _ => break,
            },
            _ => break,
        }
        at += 1;
    }
    amount
        .split_at_checked(at)
        .filter(|(number, _)| !number.is_empty())
        .ok_or(Failure::Error("an amount is expected"))
}

const TOO_LARGE: Failure = Failure::Error("an exponent of up to 6 digits is expected");
const UNKNOWN: Failure = Failure::Error("a known unit is expected");

/// Lower case as Go has it, as far as a unit can come of it: of all other characters, two have a lower case that is
/// ASCII.
fn lower(unit: &str) -> String {
    unit.chars()
        .map(|character| match character {
            '\u{212a}' => 'k',
            '\u{130}' => 'i',
            other => other.to_ascii_lowercase(),
        })
        .collect()
}

/// 1000 or 1024 to this power, by the letter.
fn factor(letter: char, binary: bool) -> Option<u64> {
    let power = u32::try_from("kmgtpe".find(letter)?).ok()? + 1;
    Some(if binary { 1024_u64 } else { 1000 }.pow(power))
}

/// What both take: no quotes, no spaces.
fn prepared(budget: &mut Budget, values: &[Value]) -> Result<String, Failure> {
    let amount = text(values, 0)?;
    budget.charge(amount.len().saturating_mul(4).saturating_add(200))?;
    if amount.contains(' ') {
        return Err(Failure::Error("no spaces are expected"));
    }
    Ok(amount.replace('"', ""))
}

fn parse_bytes(budget: &mut Budget, values: &[Value]) -> Answer {
    let amount = lower(&prepared(budget, values)?);
    let (number, unit) = split(&amount)?;
    let mut letters = unit.chars();
    let factor = match (letters.next(), letters.as_str()) {
        (None, _) => 1,
        (Some(letter), "" | "b") => factor(letter, false).ok_or(UNKNOWN)?,
        (Some(letter), "i" | "ib") => factor(letter, true).ok_or(UNKNOWN)?,
        _ => return Err(UNKNOWN),
    };
    let number = Number::read(number)?;
    budget.charge(number.work())?;
    let bytes = number.to_float().times(&Float::whole(&BigInt::from(factor)), 64).truncated();
    Number::from_integer(&bytes).map(Value::from)
}

fn parse(budget: &mut Budget, values: &[Value]) -> Answer {
    let amount = prepared(budget, values)?;
    let (number, unit) = split(&amount)?;
    let mut letters = unit.chars();
    // `m` is a thousandth, `M` a million.
    let (factor, binary_places) = match (letters.next(), lower(letters.as_str()).as_str()) {
        (None, _) => (1, 0),
        // The double next to it.
        (Some('m'), "") => (1_152_921_504_606_847, 60),
        (Some(letter), "") => (factor(letter.to_ascii_lowercase(), false).ok_or(UNKNOWN)?, 0),
        (Some(letter), "i") => (factor(letter.to_ascii_lowercase(), true).ok_or(UNKNOWN)?, 0),
        _ => return Err(UNKNOWN),
    };
    let number = Number::read(number)?;
    budget.charge(number.work().saturating_mul(4))?;
    let (negative, digits, exponent) = number.parts();
    let power = |exponent: i64| BigUint::from(10_u8).pow(u32::try_from(exponent).unwrap_or(0));
    let numerator = digits * factor * power(exponent);
    let denominator = power(exponent.saturating_neg()) << binary_places;
    let sign = if negative { Sign::Minus } else { Sign::Plus };
    let whole = &numerator / &denominator;
    if &whole * &denominator == numerator {
        return Number::from_integer(&BigInt::from_biguint(sign, whole)).map(Value::from);
    }
    // Ten places, of two that are as near the one farther from zero.
    let twice: BigUint = (numerator * 2_u8 * power(10) + &denominator) / (denominator * 2_u8);
    let places = format!("{:0>11}", twice.to_str_radix(10));
    let (whole, fraction) = places.split_at_checked(places.len().saturating_sub(10)).ok_or(Failure::Limit)?;
    let sign = if negative { "-" } else { "" };
    Number::read(&format!("{sign}{whole}.{fraction}")).map(Value::from)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::builtins::numbers::tests::call;

    #[test]
    fn amounts_are_what_opa_reads() {
        for (amount, parsed, bytes) in [
            ("10", "10", "10"),
            ("1.5K", "1500", "1500"),
            ("1.5\"ki\"", "1536", "1536"),
            ("100m", "0.1000000000", "100000000"),
            ("-0.5M", "-500000", "-500000"),
            ("0.00000000005", "0.0000000001", "0"),
            ("1e3Gi", "1073741824000", "1073741824000"),
            ("1E", "1000000000000000000", "1000000000000000000"),
            ("1Kib", "error", "1024"),
            ("1\u{212a}iB", "error", "1024"),
            ("1k\u{130}", "1024", "1024"),
            ("1 k", "error", "error"),
            ("k", "error", "error"),
            ("", "error", "error"),
            ("1.2.3k", "error", "error"),
            ("1e+k", "error", "error"),
            ("1e1234567", "error", "error"),
            ("1e999999", "limit", "limit"),
        ] {
            let argument = [Value::from(amount)];
            assert_eq!(call("units.parse", &argument), parsed, "{amount}");
            assert_eq!(call("units.parse_bytes", &argument), bytes, "{amount}");
        }
    }
}
