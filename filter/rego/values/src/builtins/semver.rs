//! `semver.*`, by the rules of OPA: a leading `v` and leading zeros are allowed.

use std::cmp::Ordering;

use super::{row, text, Answer, Builtin};
use crate::budget::{Budget, Failure};
use crate::value::Value;

pub(super) const TABLE: &[Builtin] =
    &[row("semver.compare", 2, compare), row("semver.is_valid", 1, is_valid)];

struct Version<'t> {
    numbers: [i64; 3],
    before_release: &'t str,
}

fn is_valid(budget: &mut Budget, arguments: &[Value]) -> Answer {
    let Some(Value::String(text)) = arguments.first() else { return Ok(Value::Bool(false)) };
    budget.charge(text.len())?;
    Ok(Value::Bool(parse(text).is_some()))
}

fn compare(budget: &mut Budget, arguments: &[Value]) -> Answer {
    let (a, b) = (text(arguments, 0)?, text(arguments, 1)?);
    budget.charge(a.len().saturating_add(b.len()))?;
    let (Some(a), Some(b)) = (parse(a), parse(b)) else {
        return Err(Failure::Error("a version is expected"));
    };
    let order = match a.numbers.cmp(&b.numbers) {
        Ordering::Equal => order_before_release(a.before_release, b.before_release)?,
        order => order,
    };
    Ok(Value::from(match order {
        Ordering::Less => -1_i64,
        Ordering::Equal => 0,
        Ordering::Greater => 1,
    }))
}

fn parse(text: &str) -> Option<Version<'_>> {
    let text = text.strip_prefix('v').unwrap_or(text);
    let (text, build) = text.split_once('+').unwrap_or((text, ""));
    let (text, before_release) = text.split_once('-').unwrap_or((text, ""));
    let well_formed = |identifiers: &str| {
        identifiers.is_empty()
            || identifiers
                .split('.')
                .all(|part| !part.is_empty() && part.bytes().all(|b| b == b'-' || b.is_ascii_alphanumeric()))
    };
    if !well_formed(build) || !well_formed(before_release) {
        return None;
    }
    let mut parts = text.split('.').map(|part| part.parse::<i64>().ok());
    let numbers = [parts.next()??, parts.next()??, parts.next()??];
    parts.next().is_none().then_some(Version { numbers, before_release })
}

fn order_before_release(a: &str, b: &str) -> Result<Ordering, Failure> {
    if a == b {
        return Ok(Ordering::Equal);
    }
    // The release itself comes last.
    if a.is_empty() || b.is_empty() {
        return Ok(b.len().cmp(&a.len()));
    }
    let (mut of_a, mut of_b) = (a.split('.'), b.split('.'));
    loop {
        let order = match (of_a.next(), of_b.next()) {
            (Some(a), Some(b)) => match (number(a), number(b)) {
                (Some(a), Some(b)) => a.cmp(&b),
                (Some(_), None) => Ordering::Less,
                (None, Some(_)) => Ordering::Greater,
                (None, None) => a.cmp(b),
            },
            (Some(_), None) => Ordering::Greater,
            (None, Some(_)) => Ordering::Less,
            // `1` and `01`: OPA does not come to an end here.
            (None, None) => return Err(Failure::Limit),
        };
        if order != Ordering::Equal {
            return Ok(order);
        }
    }
}

/// What consists of digits is a number; one that is too large counts as the largest.
fn number(text: &str) -> Option<i64> {
    text.bytes().all(|byte| byte.is_ascii_digit()).then(|| text.parse().unwrap_or(i64::MAX))
}

#[cfg(test)]
mod tests {
    use crate::builtins::testing::{ask, compare};

    #[test]
    fn versions_are_in_the_order_of_opa() {
        // `-1` is no number: it comes after all that are.
        let ascending = [
            "1.0.0-0",
            "1.0.0-2",
            "1.0.0-10",
            "1.0.0-99999999999999999999",
            "1.0.0--1",
            "1.0.0-1a",
            "1.0.0-A",
            "1.0.0-a",
            "1.0.0-a.1",
            "1.0.0-a.1.x",
            "1.0.0-a.b",
            "v1.0.0+b",
            "1.0.1",
            "1.2.0",
            "1.10.0",
            "9223372036854775807.0.0",
        ];
        for pair in ascending.windows(2) {
            assert_eq!(ask("semver.compare", &format!("{pair:?}")), "-1", "{pair:?}");
            assert_eq!(ask("semver.compare", &format!(r#"["{}", "{}"]"#, pair[1], pair[0])), "1", "{pair:?}");
        }
    }

    #[test]
    fn what_is_a_version_is_one_in_opa() {
        compare(&[
            ("semver.compare", r#"["v01.0.0+a", "1.0.0-+b"]"#, "0"),
            ("semver.compare", r#"["1.0", "1.0.0"]"#, "error"),
            ("semver.compare", r#"["1.0.0-1", "1.0.0-01"]"#, "limit"),
            ("semver.is_valid", r#"["1.0.0-a..b"]"#, "false"),
            ("semver.is_valid", r#"["vv1.0.0"]"#, "false"),
            ("semver.is_valid", r#"["1.0.0\n"]"#, "false"),
            ("semver.is_valid", r#"["9223372036854775808.0.0"]"#, "false"),
            ("semver.is_valid", "[1]", "false"),
        ]);
    }
}
