//! `time.*` in UTC. Other zones end the evaluation: their tables are no part of the module.
//! `time.now_ns` is the evaluation's own.

use super::{row, text, Answer, Builtin};
use crate::budget::{Budget, Failure};
use crate::number::Number;
use crate::value::Value;

pub(super) const TABLE: &[Builtin] = &[
    row("time.add_date", 4, add_date),
    row("time.clock", 1, clock),
    row("time.date", 1, date),
    row("time.diff", 2, diff),
    row("time.parse_duration_ns", 1, parse_duration),
    row("time.parse_rfc3339_ns", 1, parse_rfc3339),
    row("time.weekday", 1, weekday),
];

const SECOND: i64 = 1_000_000_000;
const DAY: i64 = 86_400;
const WEEKDAYS: [&str; 7] = ["Thursday", "Friday", "Saturday", "Sunday", "Monday", "Tuesday", "Wednesday"];

/// A time of day on a day of the calendar.
#[derive(Debug, Clone, Copy)]
struct Civil {
    year: i64,
    month: i64,
    day: i64,
    hour: i64,
    minute: i64,
    second: i64,
}

impl Civil {
    fn new(nanoseconds: i64) -> Self {
        let seconds = nanoseconds.div_euclid(SECOND);
        let (days, of_day) = (seconds.div_euclid(DAY), seconds.rem_euclid(DAY));
        // Years that begin in March, in cycles of 400.
        let days = days.saturating_add(719_468);
        let (cycle, of_cycle) = (days.div_euclid(146_097), days.rem_euclid(146_097));
        let leap_days =
            (of_cycle / 1460).saturating_sub(of_cycle / 36_524).saturating_add(of_cycle / 146_096);
        let year = of_cycle.saturating_sub(leap_days) / 365;
        let before = year.saturating_mul(365).saturating_add(year / 4).saturating_sub(year / 100);
        let of_year = of_cycle.saturating_sub(before);
        let march = of_year.saturating_mul(5).saturating_add(2) / 153;
        let day = of_year.saturating_sub(march.saturating_mul(153).saturating_add(2) / 5).saturating_add(1);
        let month = if march < 10 { march.saturating_add(3) } else { march.saturating_sub(9) };
        let year = cycle.saturating_mul(400).saturating_add(year).saturating_add(i64::from(month <= 2));
        Self { year, month, day, hour: of_day / 3600, minute: of_day / 60 % 60, second: of_day % 60 }
    }

    /// Seconds since 1970; the month and the day may be any.
    fn seconds(self) -> i64 {
        let months = self.month.saturating_sub(1);
        let year = self.year.saturating_add(months.div_euclid(12));
        let march = months.rem_euclid(12).saturating_add(10) % 12;
        let year = if march >= 10 { year.saturating_sub(1) } else { year };
        let leap_days =
            year.div_euclid(4).saturating_sub(year.div_euclid(100)).saturating_add(year.div_euclid(400));
        let of_year = march.saturating_mul(153).saturating_add(2) / 5;
        let days = [leap_days, of_year, self.day, -719_469];
        let days = days.into_iter().fold(year.saturating_mul(365), i64::saturating_add);
        let of_day = self.hour.saturating_mul(60).saturating_add(self.minute).saturating_mul(60);
        days.saturating_mul(DAY).saturating_add(of_day).saturating_add(self.second)
    }

    const fn days_of_month(self) -> i64 {
        match self.month {
            2 if self.year % 4 == 0 && (self.year % 100 != 0 || self.year % 400 == 0) => 29,
            2 => 28,
            4 | 6 | 9 | 11 => 30,
            _ => 31,
        }
    }
}

/// Nanoseconds, if they are in the range that OPA has.
fn nanoseconds(seconds: i64, nanoseconds: i64) -> Answer {
    let all = i128::from(seconds).saturating_mul(SECOND.into()).saturating_add(nanoseconds.into());
    i64::try_from(all).map(Value::from).map_err(|_| Failure::Error("a time from 1677 to 2262"))
}

fn integer(values: &[Value], at: usize) -> Result<i64, Failure> {
    match values.get(at) {
        Some(Value::Number(number)) => number.as_index().ok_or(Failure::Error("a whole number is expected")),
        _ => Err(Failure::Error("a number is expected")),
    }
}

/// Nanoseconds, or an array of them with the zone and the layout.
fn moment(values: &[Value], at: usize) -> Result<i64, Failure> {
    let value = values.get(at).ok_or(Failure::Error("a time is expected"))?;
    let parts = match value {
        Value::Number(_) => std::slice::from_ref(value),
        Value::Array(parts) => parts,
        _ => return Err(Failure::Error("a time is expected")),
    };
    let Some(Value::Number(number)) = parts.first() else {
        return Err(Failure::Error("a number is expected"));
    };
    if parts.len() > 1 {
        let utc = matches!(text(parts, 1)?, "" | "UTC");
        if parts.len() > 2 && utc {
            text(parts, 2)?;
        }
        if !utc {
            return Err(Failure::Limit);
        }
    }
    number.as_index().ok_or_else(|| not_whole(number))
}

/// OPA computes with 64 binary digits, so that it takes some fractions for whole numbers.
fn not_whole(number: &Number) -> Failure {
    let text = number.to_string();
    let rounded = text.parse::<f64>().unwrap_or_default();
    let digits = text.bytes().all(|byte| byte == b'-' || byte.is_ascii_digit());
    if !digits && rounded.abs() < 1.9e19 && rounded.fract() == 0.0 {
        return Failure::Limit;
    }
    Failure::Error("whole nanoseconds are expected")
}

fn date(budget: &mut Budget, values: &[Value]) -> Answer {
    budget.charge(20)?;
    let Civil { year, month, day, .. } = Civil::new(moment(values, 0)?);
    Ok(Value::from([year, month, day].map(Value::from).to_vec()))
}

fn clock(budget: &mut Budget, values: &[Value]) -> Answer {
    budget.charge(20)?;
    let Civil { hour, minute, second, .. } = Civil::new(moment(values, 0)?);
    Ok(Value::from([hour, minute, second].map(Value::from).to_vec()))
}

fn weekday(budget: &mut Budget, values: &[Value]) -> Answer {
    budget.charge(4)?;
    let days = moment(values, 0)?.div_euclid(SECOND.saturating_mul(DAY));
    let name = usize::try_from(days.rem_euclid(7)).ok().and_then(|day| WEEKDAYS.get(day));
    Ok(Value::from(name.copied().unwrap_or_default()))
}

fn add_date(budget: &mut Budget, values: &[Value]) -> Answer {
    budget.charge(10)?;
    let moment = moment(values, 0)?;
    let added = [integer(values, 1)?, integer(values, 2)?, integer(values, 3)?];
    // Beyond it Go's numbers overflow.
    if added.iter().any(|added| added.unsigned_abs() > SECOND.unsigned_abs()) {
        return Err(Failure::Limit);
    }
    let [years, months, days] = added;
    let mut civil = Civil::new(moment);
    civil.year = civil.year.saturating_add(years);
    civil.month = civil.month.saturating_add(months);
    civil.day = civil.day.saturating_add(days);
    nanoseconds(civil.seconds(), moment.rem_euclid(SECOND))
}

/// What the calendar and the clock say between two times: years, months, days, hours, minutes, seconds.
fn diff(budget: &mut Budget, values: &[Value]) -> Answer {
    budget.charge(20)?;
    let (a, b) = (moment(values, 0)?, moment(values, 1)?);
    let (from, to) = (Civil::new(a.min(b)), Civil::new(a.max(b)));
    let parts = [
        (to.second, from.second, 60),
        (to.minute, from.minute, 60),
        (to.hour, from.hour, 24),
        (to.day, from.day, from.days_of_month()),
        (to.month, from.month, 12),
        (to.year, from.year, 0),
    ];
    let mut borrowed = 0;
    let mut all = Vec::with_capacity(6);
    for (to, from, size) in parts {
        let part = to.saturating_sub(from).saturating_sub(borrowed);
        borrowed = i64::from(part < 0 && size > 0);
        all.push(Value::from(part.saturating_add(borrowed.saturating_mul(size))));
    }
    all.reverse();
    Ok(Value::from(all))
}

/// As Go reads it: hours of one digit, fractions after a comma and offsets of a day are fine.
fn parse_rfc3339(budget: &mut Budget, values: &[Value]) -> Answer {
    let text = text(values, 0)?;
    budget.charge(text.len().saturating_add(10))?;
    let (seconds, fraction) = rfc3339(text).ok_or(Failure::Error("a time as in RFC 3339"))?;
    nanoseconds(seconds, fraction)
}

fn rfc3339(text: &str) -> Option<(i64, i64)> {
    let (year, rest) = number(text, 4, 4, 0..=9999)?;
    let (month, rest) = number(rest.strip_prefix('-')?, 2, 2, 1..=12)?;
    let (day, rest) = number(rest.strip_prefix('-')?, 2, 2, 1..=31)?;
    let (hour, rest) = number(rest.strip_prefix('T')?, 1, 2, 0..=23)?;
    let (minute, rest) = number(rest.strip_prefix(':')?, 2, 2, 0..=59)?;
    let (second, mut rest) = number(rest.strip_prefix(':')?, 2, 2, 0..=59)?;
    let civil = Civil { year, month, day, hour, minute, second };
    if day > civil.days_of_month() {
        return None;
    }
    let mut nanoseconds = 0;
    if let Some(fraction) = rest.strip_prefix(['.', ',']) {
        let others = fraction.trim_start_matches(|c: char| c.is_ascii_digit());
        let digits = fraction.strip_suffix(others).filter(|digits| !digits.is_empty())?;
        for digit in digits.bytes().chain(std::iter::repeat(b'0')).take(9) {
            nanoseconds = i64::saturating_mul(nanoseconds, 10).saturating_add(i64::from(digit & 0xf));
        }
        rest = others;
    }
    let mut seconds = civil.seconds();
    if rest != "Z" {
        let (hours, minutes) = rest.strip_prefix(['+', '-'])?.split_once(':')?;
        let (hours, after) = number(hours, 2, 2, 0..=24)?;
        let (minutes, last) = number(minutes, 2, 2, 0..=60)?;
        if !after.is_empty() || !last.is_empty() {
            return None;
        }
        let offset = hours.saturating_mul(60).saturating_add(minutes).saturating_mul(60);
        let east = rest.starts_with('+');
        seconds = if east { seconds.saturating_sub(offset) } else { seconds.saturating_add(offset) };
    }
    Some((seconds, nanoseconds))
}

/// Digits, so many of them, that are a number in a range; and what follows.
fn number(
    text: &str,
    least: usize,
    most: usize,
    range: std::ops::RangeInclusive<i64>,
) -> Option<(i64, &str)> {
    let digits = text.bytes().take(most).take_while(u8::is_ascii_digit).count();
    let (digits, rest) = text.split_at_checked(digits).filter(|_| digits >= least)?;
    digits.parse().ok().filter(|number| range.contains(number)).map(|number| (number, rest))
}

fn parse_duration(budget: &mut Budget, values: &[Value]) -> Answer {
    let text = text(values, 0)?;
    budget.charge(text.len().saturating_add(4))?;
    duration(text).map(Value::from).ok_or(Failure::Error("a duration is expected"))
}

/// What a duration may be at most, without its sign.
const LONGEST: u64 = 1 << 63;
const HOUR: u64 = 3_600_000_000_000;

/// As Go's `ParseDuration`, with its way to round, and days, weeks and years of 365 days besides.
fn duration(text: &str) -> Option<i64> {
    let negative = text.starts_with('-');
    let mut rest = text.strip_prefix(['-', '+']).unwrap_or(text);
    if rest == "0" {
        return Some(0);
    }
    if rest.is_empty() {
        return None;
    }
    // Only Go's own units may be written with the Greek letter.
    let greek = rest.contains('\u{3bc}');
    let mut all = 0_u64;
    while !rest.is_empty() {
        let of_unit = rest.trim_start_matches(|c: char| c == '.' || c.is_ascii_digit());
        let number = rest.strip_suffix(of_unit)?;
        rest = of_unit.trim_start_matches(|c: char| c != '.' && !c.is_ascii_digit());
        let value = match of_unit.strip_suffix(rest)? {
            "ns" => times(number, 1),
            "us" | "\u{b5}s" | "\u{3bc}s" => times(number, 1000),
            "ms" => times(number, 1_000_000),
            "s" => times(number, 1_000_000_000),
            "m" => times(number, HOUR / 60),
            "h" => times(number, HOUR),
            "d" if !greek => hours(number, 24.0),
            "w" if !greek => hours(number, 168.0),
            "y" if !greek => hours(number, 8760.0),
            _ => None,
        };
        all = all.checked_add(value?).filter(|all| *all <= LONGEST)?;
    }
    match i64::try_from(all) {
        Ok(all) if negative => Some(all.saturating_neg()),
        Ok(all) => Some(all),
        Err(_) => negative.then_some(i64::MIN),
    }
}

/// OPA writes the hours out for Go to read.
fn hours(number: &str, hours: f64) -> Option<u64> {
    let hours = number.parse::<f64>().ok().map(|number| number * hours).filter(|hours| hours.is_finite())?;
    times(&hours.to_string(), HOUR)
}

/// A decimal number times a unit.
fn times(number: &str, unit: u64) -> Option<u64> {
    let (whole, digits) = number.split_once('.').unwrap_or((number, ""));
    if (whole.is_empty() && digits.is_empty()) || digits.contains('.') {
        return None;
    }
    let mut value = 0_u64;
    for digit in whole.bytes() {
        value =
            value.checked_mul(10)?.checked_add(u64::from(digit & 0xf)).filter(|value| *value <= LONGEST)?;
    }
    value = value.checked_mul(unit).filter(|value| *value <= LONGEST)?;
    value.checked_add(fraction_of(unit, digits)).filter(|value| *value <= LONGEST)
}

/// Digits after the point are left out where they no longer fit.
fn fraction_of(unit: u64, digits: &str) -> u64 {
    let (mut fraction, mut scale) = (0_u64, 1.0_f64);
    for digit in digits.bytes() {
        let more = fraction.saturating_mul(10).saturating_add(u64::from(digit & 0xf));
        if fraction > LONGEST.saturating_sub(1) / 10 || more > LONGEST {
            break;
        }
        fraction = more;
        scale *= 10.0;
    }
    // As Go converts them: each to the nearest number of 53 binary digits, and the result cut off.
    #[allow(clippy::cast_precision_loss, clippy::cast_possible_truncation, clippy::cast_sign_loss)]
    let part = (fraction as f64 * (unit as f64 / scale)) as u64;
    part
}
