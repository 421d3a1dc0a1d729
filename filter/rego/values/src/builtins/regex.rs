//! `regex.*`. Left out: `regex.globs_match`.

use super::{row, text, Answer, Builtin};
use crate::budget::{Budget, Failure};
use crate::pattern::{self, Match, Pattern};
use crate::value::Value;

pub(super) const TABLE: &[Builtin] = &[
    row("regex.find_all_string_submatch_n", 3, find_groups),
    row("regex.find_n", 3, find),
    row("regex.is_valid", 1, is_valid),
    row("regex.match", 2, is_match),
    row("regex.replace", 3, replace),
    row("regex.split", 2, split),
    row("regex.template_match", 4, template_match),
];

/// False for what is no text, as in OPA.
fn is_valid(budget: &mut Budget, values: &[Value]) -> Answer {
    let pattern = values.first().and_then(Value::as_str);
    pattern.map_or(Ok(false), |pattern| pattern::is_valid(pattern, budget)).map(Value::from)
}

fn is_match(budget: &mut Budget, values: &[Value]) -> Answer {
    let (pattern, text) = (text(values, 0)?, text(values, 1)?);
    pattern::compile(pattern, budget)?.is_match(text, budget).map(Value::from)
}

fn find(budget: &mut Budget, values: &[Value]) -> Answer {
    let text = text(values, 1)?;
    let (_, found) = find_all(budget, values, false)?;
    found.iter().map(|found| part(text, found, 0, budget)).collect::<Result<Vec<_>, _>>().map(Value::from)
}

/// Each match as an array of it and its groups; empty where a group takes no part.
fn find_groups(budget: &mut Budget, values: &[Value]) -> Answer {
    let text = text(values, 1)?;
    let (pattern, found) = find_all(budget, values, true)?;
    let all = found.iter().map(|found| {
        let parts = (0..=pattern.groups()).map(|number| part(text, found, number, budget));
        parts.collect::<Result<Vec<_>, _>>().map(Value::from)
    });
    all.collect::<Result<Vec<_>, _>>().map(Value::from)
}

fn find_all(budget: &mut Budget, values: &[Value], groups: bool) -> Result<(Pattern, Vec<Match>), Failure> {
    let (pattern, text) = (text(values, 0)?, text(values, 1)?);
    let most = match values.get(2) {
        Some(Value::Number(number)) => {
            number.as_index().ok_or(Failure::Error("a whole number is expected"))?
        }
        _ => return Err(Failure::Error("a number is expected")),
    };
    let pattern = pattern::compile(pattern, budget)?;
    // All of them, if it is negative.
    let found = pattern.find_all(text, usize::try_from(most).unwrap_or(usize::MAX), groups, budget)?;
    Ok((pattern, found))
}

fn part(text: &str, found: &Match, number: usize, budget: &mut Budget) -> Answer {
    let part = found.group(number).and_then(|(start, end)| text.get(start..end)).unwrap_or_default();
    budget.charge((part.len() / 16).saturating_add(4))?;
    Ok(Value::from(part))
}

fn split(budget: &mut Budget, values: &[Value]) -> Answer {
    let (pattern, text) = (text(values, 0)?, text(values, 1)?);
    // An empty text has one part, whatever the pattern; an empty pattern parts all characters.
    let compiled = pattern::compile(pattern, budget)?;
    if !pattern.is_empty() && text.is_empty() {
        return Ok(Value::from(vec![Value::from("")]));
    }
    let mut parts = Vec::new();
    let (mut start, mut end) = (0, 0);
    for found in compiled.find_all(text, usize::MAX, false, budget)? {
        let Some((from, to)) = found.group(0) else { continue };
        end = from;
        if to != 0 {
            budget.charge(2)?;
            parts.push(Value::from(text.get(start..from).unwrap_or_default()));
        }
        start = to;
    }
    if end != text.len() {
        parts.push(Value::from(text.get(start..).unwrap_or_default()));
    }
    Ok(Value::from(parts))
}

fn replace(budget: &mut Budget, values: &[Value]) -> Answer {
    let (text, pattern, template) = (text(values, 0)?, text(values, 1)?, text(values, 2)?);
    let pattern = pattern::compile(pattern, budget)?;
    let mut result = String::new();
    let mut start = 0;
    for found in pattern.find_all(text, usize::MAX, template.contains('$'), budget)? {
        let Some((from, to)) = found.group(0) else { continue };
        append(&mut result, text.get(start..from).unwrap_or_default(), budget)?;
        expand(&mut result, template, text, &found, &pattern, budget)?;
        start = to;
    }
    append(&mut result, text.get(start..).unwrap_or_default(), budget)?;
    Ok(Value::from(result))
}

fn append(result: &mut String, text: &str, budget: &mut Budget) -> Result<(), Failure> {
    budget.charge((text.len() / 16).saturating_add(1))?;
    result.push_str(text);
    Ok(())
}

/// Appends the template with what `$1`, `$name` and `${name}` stand for. A name is as long as it can be.
fn expand(
    result: &mut String,
    mut template: &str,
    text: &str,
    found: &Match,
    pattern: &Pattern,
    budget: &mut Budget,
) -> Result<(), Failure> {
    while let Some((before, after)) = template.split_once('$') {
        append(result, before, budget)?;
        template = after;
        if let Some(after) = template.strip_prefix('$') {
            append(result, "$", budget)?;
            template = after;
            continue;
        }
        let braced = template.strip_prefix('{');
        let rest = braced.unwrap_or(template);
        let mut after = rest;
        while let Some(c) = after.chars().next() {
            if c != '_' {
                budget.charge(if c.is_ascii() { 1 } else { 2000 })?;
                if !pattern::is_letter_or_digit(c) {
                    break;
                }
            }
            after = after.strip_prefix(c).unwrap_or_default();
        }
        let name = rest.strip_suffix(after).unwrap_or_default();
        if braced.is_some() {
            after = match after.strip_prefix('}') {
                Some(after) => after,
                None => {
                    append(result, "$", budget)?;
                    continue;
                }
            };
        }
        if name.is_empty() {
            append(result, "$", budget)?;
            continue;
        }
        template = after;
        // A number has no leading zero and less than ten digits; anything else is a name.
        let is_number =
            name.bytes().all(|byte| byte.is_ascii_digit()) && (name == "0" || !name.starts_with('0'));
        let number = name.parse().ok().filter(|number: &u64| is_number && *number < 1_000_000_000);
        let part = |number: usize| found.group(number).and_then(|(start, end)| text.get(start..end));
        let part = match number {
            Some(number) => usize::try_from(number).ok().and_then(part),
            None => {
                budget.charge(pattern.groups())?;
                // The first group of that name that takes part.
                let named = (1_usize..).zip(pattern.names()).filter(|(_, known)| *known == name);
                named.into_iter().find_map(|(number, _)| part(number))
            }
        };
        append(result, part.unwrap_or_default(), budget)?;
    }
    append(result, template, budget)
}

/// A text with patterns between delimiters, as a pattern for the whole of another text.
fn template_match(budget: &mut Budget, values: &[Value]) -> Answer {
    let (template, text) = (text(values, 0)?, text(values, 1)?);
    let delimiter = |at| match self::text(values, at)?.as_bytes() {
        [one] => Ok(char::from(*one)),
        _ => Err(Failure::Error("a delimiter of one character")),
    };
    let (open, close) = (delimiter(2)?, delimiter(3)?);
    budget.charge(template.len())?;
    let unbalanced = Failure::Error("delimiters in pairs");
    let mut pattern = String::from("^");
    let mut inner = String::new();
    let mut level = 0_usize;
    for c in template.chars() {
        // A delimiter that is both only opens.
        if c == open {
            level = level.saturating_add(1);
            if level == 1 {
                inner.clear();
                continue;
            }
        } else if c == close {
            level = level.checked_sub(1).ok_or(unbalanced)?;
            if level == 0 {
                // By itself, too, so that no part closes a group that it has not opened.
                pattern::compile(&format!("^{inner}$"), budget)?;
                pattern.push('(');
                pattern.push_str(&inner);
                pattern.push(')');
                continue;
            }
        }
        if level > 0 {
            inner.push(c);
        } else {
            if r"\.+*?()|[]{}^$".contains(c) {
                pattern.push('\\');
            }
            pattern.push(c);
        }
    }
    if level > 0 {
        return Err(unbalanced);
    }
    pattern.push('$');
    pattern::compile(&pattern, budget)?.is_match(text, budget).map(Value::from)
}
