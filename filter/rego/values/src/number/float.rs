//! The floating point of OPA: Go's `big.Float`, bit for bit, with its decimal texts.

// Big integers do not overflow; what could panic or not fit into memory (a difference below zero, a division
// by zero, a long shift) is excluded where it is written.
#![allow(clippy::arithmetic_side_effects)]

use num_bigint::{BigInt, BigUint, Sign};

/// Bits that a number has which was read from text.
const READ: u64 = 64;

/// `mantissa * 2^exponent`, rounded to so many bits. There is a negative zero, and nothing infinite.
#[derive(Clone)]
pub(crate) struct Float {
    negative: bool,
    mantissa: BigUint,
    exponent: i64,
    precision: u64,
}

impl Float {
    /// What Go reads `digits * 10^exponent` as. It rounds once, but by a power of five that is itself
    /// rounded where it is large.
    pub(super) fn read(negative: bool, digits: BigUint, exponent: i64) -> Self {
        let exact = Self { negative, mantissa: digits, exponent, precision: READ };
        if exact.is_zero() || exponent == 0 {
            return Self::rounded(negative, exact.mantissa, 0, false, READ);
        }
        let power = power_of_five(exponent.unsigned_abs());
        if exponent < 0 {
            exact.divide(&power, READ)
        } else {
            exact.times(&power, READ)
        }
    }

    /// All digits of a whole number.
    pub(crate) fn whole(value: &BigInt) -> Self {
        let mantissa = value.magnitude().clone();
        let precision = mantissa.bits().max(READ);
        Self { negative: value.sign() == Sign::Minus, mantissa, exponent: 0, precision }
    }

    /// 1/2.
    pub(crate) fn half(negative: bool) -> Self {
        Self { negative, mantissa: BigUint::from(1_u8), exponent: -1, precision: 53 }
    }

    /// 1, with the bits that a constant has.
    pub(crate) fn one(negative: bool) -> Self {
        Self { negative, mantissa: BigUint::from(1_u8), exponent: 0, precision: 53 }
    }

    /// Rounds to the nearest, of two to the even one. `more`: there is something behind the mantissa
    /// (which then has more bits than wanted).
    fn rounded(negative: bool, mantissa: BigUint, exponent: i64, more: bool, precision: u64) -> Self {
        let excess = mantissa.bits().saturating_sub(precision);
        let Some(below) = excess.checked_sub(1) else {
            return Self { negative, mantissa, exponent, precision };
        };
        let half = mantissa.bit(below);
        let rest = more || mantissa.trailing_zeros().is_some_and(|zeros| zeros < below);
        let mut kept = mantissa >> excess;
        if half && (rest || kept.bit(0)) {
            kept += 1_u8;
        }
        let exponent = exponent.saturating_add_unsigned(excess);
        Self { negative, mantissa: kept, exponent, precision }
    }

    /// Whether its exponent is one that numbers may have, so that it takes no longer to compute with.
    pub(crate) fn is_usable(&self) -> bool {
        self.exponent.unsigned_abs() < 4_096
    }

    pub(crate) fn is_zero(&self) -> bool {
        self.mantissa.bits() == 0
    }

    /// Also of zero.
    pub(crate) fn is_negative(&self) -> bool {
        self.negative
    }

    pub(crate) fn is_whole(&self) -> bool {
        let fraction = u64::try_from(self.exponent.saturating_neg()).unwrap_or(0);
        self.mantissa.trailing_zeros().is_none_or(|zeros| zeros >= fraction)
    }

    /// The whole part, towards zero.
    pub(crate) fn truncated(&self) -> BigInt {
        let magnitude = shifted(&self.mantissa, self.exponent);
        BigInt::from_biguint(if self.negative { Sign::Minus } else { Sign::Plus }, magnitude)
    }

    pub(crate) fn abs(self) -> Self {
        Self { negative: false, ..self }
    }

    pub(crate) fn negated(self) -> Self {
        Self { negative: !self.negative, ..self }
    }

    pub(crate) fn plus(&self, other: &Self, precision: u64) -> Self {
        if self.is_zero() && other.is_zero() {
            return Self { negative: self.negative && other.negative, precision, ..self.clone() };
        }
        let exponent = match (self.is_zero(), other.is_zero()) {
            (true, _) => other.exponent,
            (_, true) => self.exponent,
            _ => self.exponent.min(other.exponent),
        };
        let [a, b] = [self, other].map(|f| shifted(&f.mantissa, f.exponent.saturating_sub(exponent)));
        let (negative, sum) = if self.negative == other.negative {
            (self.negative, a + b)
        } else if a > b {
            (self.negative, a - b)
        } else if a < b {
            (other.negative, b - a)
        } else {
            (false, BigUint::ZERO)
        };
        Self::rounded(negative, sum, exponent, false, precision)
    }

    pub(crate) fn times(&self, other: &Self, precision: u64) -> Self {
        let exponent = self.exponent.saturating_add(other.exponent);
        let product = &self.mantissa * &other.mantissa;
        Self::rounded(self.negative != other.negative, product, exponent, false, precision)
    }

    /// `other` is not zero.
    pub(crate) fn divide(&self, other: &Self, precision: u64) -> Self {
        let negative = self.negative != other.negative;
        if self.is_zero() || other.is_zero() {
            return Self { negative, mantissa: BigUint::ZERO, exponent: 0, precision };
        }
        // As many bits as it takes to know the one behind the last.
        let wanted = precision.saturating_add(2).saturating_add(other.mantissa.bits());
        let shift = wanted.saturating_sub(self.mantissa.bits());
        let dividend = &self.mantissa << shift;
        let quotient = &dividend / &other.mantissa;
        let more = &quotient * &other.mantissa != dividend;
        let exponent = self.exponent.saturating_sub(other.exponent).saturating_sub_unsigned(shift);
        Self::rounded(negative, quotient, exponent, more, precision)
    }

    /// As OPA writes it: the fewest digits that give the number back when they are read; whole numbers
    /// without an exponent.
    pub(crate) fn text(&self) -> String {
        let mut digits = Decimal::exact(&self.mantissa, self.exponent);
        self.shorten(&mut digits);
        let mut text = String::from(if self.negative { "-" } else { "" });
        let point = digits.point;
        if self.is_whole() || (-3..=6).contains(&point) {
            digits.write_plain(&mut text);
        } else {
            digits.write_scientific(&mut text);
        }
        text
    }

    /// `roundShortest` of Go, which does not align the digits of the three numbers where their lengths differ.
    fn shorten(&self, digits: &mut Decimal) {
        if self.is_zero() {
            return;
        }
        // Twice as many as there can be: half a unit in the last place is 1.
        let bits = i64::try_from(self.precision.saturating_add(1)).unwrap_or(i64::MAX);
        let has = i64::try_from(self.mantissa.bits()).unwrap_or(i64::MAX);
        let shift = bits.saturating_sub(has);
        let mantissa = shifted(&self.mantissa, shift);
        let exponent = self.exponent.saturating_sub(shift);
        let lower = Decimal::exact(&(&mantissa - 1_u8), exponent);
        let upper = Decimal::exact(&(&mantissa + 1_u8), exponent);
        let inclusive = !mantissa.bit(1);
        for (at, digit) in digits.digits.clone().into_iter().enumerate() {
            let (below, above) = (lower.at(at), upper.at(at));
            let next = at.saturating_add(1);
            let down = below != digit || (inclusive && next == lower.digits.len());
            let up =
                digit != above && (inclusive || digit.saturating_add(1) < above || next < upper.digits.len());
            if down || up {
                digits.round(next, if down && up { digits.rounds_up(next) } else { up });
                return;
            }
        }
    }
}

/// `value * 2^by`, without what is behind the point.
fn shifted(value: &BigUint, by: i64) -> BigUint {
    match u64::try_from(by) {
        Ok(left) => value << left,
        Err(_) => value >> by.unsigned_abs(),
    }
}

/// As Go computes it: exact up to 5^55, then rounded at each step.
fn power_of_five(power: u64) -> Float {
    const EXACT: u64 = 27;
    let five = BigUint::from(5_u8);
    let whole = |mantissa, precision| Float { negative: false, mantissa, exponent: 0, precision };
    let first = power.min(EXACT);
    let mut result = whole(five.pow(u32::try_from(first).unwrap_or(0)), 128);
    let mut factor = whole(five, 192);
    let mut rest = power.saturating_sub(first);
    while rest > 0 {
        if rest & 1 == 1 {
            result = result.times(&factor, 128);
        }
        factor = factor.times(&factor, 192);
        rest >>= 1;
    }
    result
}

/// `0.digits * 10^point`, without zeros at the end.
struct Decimal {
    digits: Vec<u8>,
    point: i64,
}

impl Decimal {
    /// All digits of `mantissa * 2^exponent`.
    fn exact(mantissa: &BigUint, exponent: i64) -> Self {
        let zeros = mantissa.trailing_zeros().unwrap_or(0);
        let fraction = u64::try_from(exponent.saturating_neg()).unwrap_or(0);
        let common = zeros.min(fraction);
        let fraction = fraction.saturating_sub(common);
        let mut value = mantissa >> common;
        if fraction > 0 {
            value *= BigUint::from(5_u8).pow(u32::try_from(fraction).unwrap_or(u32::MAX));
        } else {
            value = shifted(&value, exponent.max(0));
        }
        let digits = value.to_str_radix(10).into_bytes();
        let point = i64::try_from(digits.len()).unwrap_or(i64::MAX).saturating_sub_unsigned(fraction);
        let mut decimal = Self { digits, point };
        decimal.trim();
        decimal
    }

    fn trim(&mut self) {
        while self.digits.last() == Some(&b'0') {
            self.digits.pop();
        }
        if self.digits.is_empty() {
            self.point = 0;
        }
    }

    fn at(&self, at: usize) -> u8 {
        self.digits.get(at).copied().unwrap_or(b'0')
    }

    /// Whether the nearest with `keep` digits is the larger one.
    fn rounds_up(&self, keep: usize) -> bool {
        match self.digits.get(keep) {
            Some(b'5') if self.digits.len() == keep.saturating_add(1) => {
                keep > 0 && self.at(keep.saturating_sub(1)) & 1 == 1
            }
            Some(digit) => *digit >= b'5',
            None => false,
        }
    }

    fn round(&mut self, keep: usize, up: bool) {
        if keep >= self.digits.len() {
            return;
        }
        self.digits.truncate(keep);
        if up {
            while self.digits.last() == Some(&b'9') {
                self.digits.pop();
            }
            match self.digits.last_mut() {
                Some(last) => *last = last.saturating_add(1),
                None => {
                    self.digits.push(b'1');
                    self.point = self.point.saturating_add(1);
                }
            }
        } else {
            self.trim();
        }
    }

    fn write_plain(&self, text: &mut String) {
        let whole = usize::try_from(self.point).unwrap_or(0);
        if whole == 0 {
            text.push('0');
        }
        text.extend((0..whole).map(|at| char::from(self.at(at))));
        if self.digits.len() > whole {
            text.push('.');
            text.extend((self.point..0).map(|_| '0'));
            text.extend(self.digits.iter().skip(whole).map(|digit| char::from(*digit)));
        }
    }

    fn write_scientific(&self, text: &mut String) {
        for (at, digit) in self.digits.iter().enumerate() {
            if at == 1 {
                text.push('.');
            }
            text.push(char::from(*digit));
        }
        let exponent = self.point.saturating_sub(1);
        text.push_str(if exponent < 0 { "e-" } else { "e+" });
        let exponent = exponent.unsigned_abs();
        if exponent < 10 {
            text.push('0');
        }
        text.push_str(&exponent.to_string());
    }
}
