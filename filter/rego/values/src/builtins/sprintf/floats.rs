//! The digits of floating point, as Go's `strconv` writes them.

use super::zeros;

/// More places than any floating point has.
const PLACES: usize = 1_100;

/// `%f`
pub(super) fn plain(number: f64, precision: usize) -> String {
    let mut out = format!("{number:.*}", precision.min(PLACES));
    zeros(&mut out, PLACES, precision);
    out
}

/// The digits of a number with so many behind the point, or as few as tell it from all others, and its
/// exponent.
fn digits(number: f64, precision: Option<usize>) -> (String, i64) {
    let text = match precision {
        Some(precision) => format!("{number:.*e}", precision.min(PLACES)),
        None => format!("{number:e}"),
    };
    let (digits, exponent) = text.split_once('e').unwrap_or((&text, "0"));
    (digits.replace('.', ""), exponent.parse().unwrap_or(0))
}

/// `d.ddde+dd`
fn with_exponent(digits: &str, exponent: i64) -> String {
    let (first, rest) = digits.split_at_checked(1).unwrap_or((digits, ""));
    let point = if rest.is_empty() { "" } else { "." };
    let sign = if exponent < 0 { '-' } else { '+' };
    format!("{first}{point}{rest}e{sign}{:02}", exponent.unsigned_abs())
}

/// `%e`
pub(super) fn scientific(number: f64, precision: usize) -> String {
    let (mut digits, exponent) = digits(number, Some(precision));
    zeros(&mut digits, PLACES, precision);
    with_exponent(&digits, exponent)
}

/// `%g`
pub(super) fn general(number: f64, precision: Option<usize>) -> String {
    let precision = precision.map(|precision| precision.max(1));
    let (digits, exponent) = digits(number, precision.map(|precision| precision.saturating_sub(1)));
    let digits = digits.trim_end_matches('0');
    if digits.is_empty() {
        return String::from("0");
    }
    let count = i64::try_from(digits.len()).unwrap_or(i64::MAX);
    let point = exponent.saturating_add(1);
    let most = match precision.map(|precision| i64::try_from(precision).unwrap_or(i64::MAX)) {
        None => 6,
        Some(precision) if precision > count && count >= point => count,
        Some(precision) => precision,
    };
    if exponent < -4 || exponent >= most {
        return with_exponent(digits, exponent);
    }
    let mut out = String::new();
    if point <= 0 {
        out.push_str("0.");
        out.extend((point..0).map(|_| '0'));
    }
    for (at, digit) in (0_i64..).zip(digits.chars()) {
        if at == point && at > 0 {
            out.push('.');
        }
        out.push(digit);
    }
    out.extend((count..point).map(|_| '0'));
    out
}
