//! `bits.*`: whole numbers of any size as two's complement.

// Big integers do not overflow; how far one is shifted is bounded.
#![allow(clippy::arithmetic_side_effects)]

use num_bigint::{BigInt, Sign};

use super::numbers::integer;
use super::{row, Answer, Builtin};
use crate::budget::{Budget, Failure};
use crate::number::Number;
use crate::value::Value;

/// More than any number has.
const MAX_SHIFT: u64 = 4_096;

pub(super) const TABLE: &[Builtin] = &[
    row("bits.and", 2, |budget, values| of_two(budget, values, |a, b| a & b)),
    row("bits.lsh", 2, |budget, values| shift(budget, values, true)),
    row("bits.negate", 1, |budget, values| answer(&!integer(budget, values, 0)?)),
    row("bits.or", 2, |budget, values| of_two(budget, values, |a, b| a | b)),
    row("bits.rsh", 2, |budget, values| shift(budget, values, false)),
    row("bits.xor", 2, |budget, values| of_two(budget, values, |a, b| a ^ b)),
];

fn answer(value: &BigInt) -> Answer {
    Number::from_integer(value).map(Value::from)
}

fn of_two(budget: &mut Budget, values: &[Value], of: fn(BigInt, BigInt) -> BigInt) -> Answer {
    let (a, b) = (integer(budget, values, 0)?, integer(budget, values, 1)?);
    answer(&of(a, b))
}

fn shift(budget: &mut Budget, values: &[Value], left: bool) -> Answer {
    let (value, by) = (integer(budget, values, 0)?, integer(budget, values, 1)?);
    if by.sign() == Sign::Minus {
        return Err(Failure::Error("a shift of 0 or more is expected"));
    }
    // Of a longer number OPA takes the last 64 bits.
    let by = by.magnitude().iter_u64_digits().next().unwrap_or(0);
    if left && by > MAX_SHIFT && value != BigInt::ZERO {
        return Err(Failure::Limit);
    }
    let by = by.min(MAX_SHIFT);
    answer(&if left { value << by } else { value >> by })
}
