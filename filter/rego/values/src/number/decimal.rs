//! Decimal text of numbers: what it is worth, and whether it is short enough to compute with.

use std::cmp::Ordering;

use num_bigint::{BigInt, BigUint, Sign};

/// Bytes of a text.
const MAX_LENGTH: usize = 1_000;
/// Of the last digit.
const MIN_EXPONENT: i64 = -1_000;

/// `whole.fraction * 10^exponent`.
#[derive(Default)]
pub(super) struct Decimal<'t> {
    negative: bool,
    whole: &'t str,
    fraction: &'t str,
    exponent: i64,
}

impl<'t> Decimal<'t> {
    /// What Go calls a decimal number: a digit before or after the point.
    pub(super) fn read(text: &'t str) -> Option<Self> {
        let unsigned = text.strip_prefix(['-', '+']).unwrap_or(text);
        let (mantissa, exponent) = match unsigned.split_once(['e', 'E']) {
            Some((mantissa, exponent)) => (mantissa, read_exponent(exponent)?),
            None => (unsigned, 0),
        };
        let (whole, fraction) = mantissa.split_once('.').unwrap_or((mantissa, ""));
        if whole.is_empty() && fraction.is_empty() || !are_digits(whole) || !are_digits(fraction) {
            return None;
        }
        Some(Self { negative: text.starts_with('-'), whole, fraction, exponent })
    }

    /// Whether JSON allows it, as it is written.
    pub(super) fn is_json(&self, text: &str) -> bool {
        let zero = self.whole.starts_with('0') && self.whole.len() > 1;
        let point = text.contains('.') && self.fraction.is_empty();
        !(text.starts_with('+') || self.whole.is_empty() || zero || point)
    }

    /// Whether it is short enough, and means in OPA what it is worth.
    pub(super) fn is_usable(&self, text: &str) -> bool {
        if text.len() > MAX_LENGTH {
            return false;
        }
        if self.is_zero() {
            return true;
        }
        let value: f64 = text.parse().unwrap_or(f64::INFINITY);
        if !value.is_finite() || self.last_exponent() < MIN_EXPONENT {
            return false;
        }
        // OPA takes two of these for equal if they are so as floating point of 53 bits, and else goes by what
        // they are worth. That is no order: a = b and b = c, yet a < c. It is one while each is what its
        // floating point is written as.
        let trimmed = text.trim_end_matches(['.', '0']);
        if text.contains('.') && trimmed.len() < text.len() && trimmed.contains('.') {
            return compare(text, &format!("{value:e}")) == Ordering::Equal;
        }
        true
    }

    fn is_zero(&self) -> bool {
        self.significant().next().is_none()
    }

    /// The digits from the first that is not zero.
    fn significant(&self) -> impl Iterator<Item = u8> + use<'t> {
        self.whole.bytes().chain(self.fraction.bytes()).skip_while(|digit| *digit == b'0')
    }

    fn last_exponent(&self) -> i64 {
        self.exponent.saturating_sub(length(self.fraction))
    }

    /// Where the point is, after so many significant digits.
    fn point(&self) -> i64 {
        let digits = i64::try_from(self.significant().count()).unwrap_or(i64::MAX);
        digits.saturating_add(self.last_exponent())
    }

    /// The digits it takes to write it without an exponent.
    pub(super) fn places(&self) -> usize {
        let exponent = if self.is_zero() { 0 } else { self.last_exponent().unsigned_abs() };
        let exponent = usize::try_from(exponent).unwrap_or(usize::MAX);
        self.whole.len().saturating_add(self.fraction.len()).saturating_add(exponent)
    }

    pub(super) fn parts(&self) -> (bool, BigUint, i64) {
        let digits: Vec<u8> = self.significant().collect();
        let exponent = if digits.is_empty() { 0 } else { self.last_exponent() };
        (self.negative, BigUint::parse_bytes(&digits, 10).unwrap_or_default(), exponent)
    }

    /// If it is whole.
    pub(super) fn to_integer(&self) -> Option<BigInt> {
        let mut digits: Vec<u8> = self.significant().collect();
        let mut exponent = self.last_exponent();
        while digits.last() == Some(&b'0') && exponent < 0 {
            digits.pop();
            exponent = exponent.saturating_add(1);
        }
        if digits.is_empty() {
            return Some(BigInt::ZERO);
        }
        digits.resize(digits.len().checked_add(usize::try_from(exponent).ok()?)?, b'0');
        let magnitude = BigUint::parse_bytes(&digits, 10)?;
        Some(BigInt::from_biguint(if self.negative { Sign::Minus } else { Sign::Plus }, magnitude))
    }
}

/// By what they are worth. Both are decimal texts.
pub(super) fn compare(a: &str, b: &str) -> Ordering {
    let [a, b] = [a, b].map(|text| Decimal::read(text).unwrap_or_default());
    let sign = |number: &Decimal<'_>| match (number.is_zero(), number.negative) {
        (true, _) => 0,
        (_, true) => -1,
        _ => 1,
    };
    let larger = || {
        let (mut ours, mut others) = (a.significant(), b.significant());
        loop {
            match (ours.next(), others.next()) {
                (None, None) => return Ordering::Equal,
                (x, y) => match x.unwrap_or(b'0').cmp(&y.unwrap_or(b'0')) {
                    Ordering::Equal => {}
                    other => return other,
                },
            }
        }
    };
    match (sign(&a), sign(&b)) {
        (0, 0) => Ordering::Equal,
        (x, y) if x != y => x.cmp(&y),
        (x, _) => {
            let magnitude = a.point().cmp(&b.point()).then_with(larger);
            if x < 0 {
                magnitude.reverse()
            } else {
                magnitude
            }
        }
    }
}

fn read_exponent(text: &str) -> Option<i64> {
    let digits = text.strip_prefix(['-', '+']).unwrap_or(text);
    if digits.is_empty() || !are_digits(digits) {
        return None;
    }
    // Beyond any that is computed with.
    let exponent = digits.parse::<i64>().unwrap_or(i64::MAX).min(i64::from(i32::MAX));
    Some(if text.starts_with('-') { exponent.saturating_neg() } else { exponent })
}

fn are_digits(text: &str) -> bool {
    text.bytes().all(|byte| byte.is_ascii_digit())
}

fn length(text: &str) -> i64 {
    i64::try_from(text.len()).unwrap_or(i64::MAX)
}
