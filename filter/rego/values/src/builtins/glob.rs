//! `glob.*`.

use super::{row, text, Answer, Builtin};
use crate::budget::{Budget, Failure};
use crate::glob;
use crate::value::Value;

pub(super) const TABLE: &[Builtin] = &[row("glob.match", 3, is_match), row("glob.quote_meta", 1, quote_meta)];

fn is_match(budget: &mut Budget, values: &[Value]) -> Answer {
    let (pattern, text) = (text(values, 0)?, text(values, 2)?);
    // None for null, and a dot for an empty array.
    let delimiters = match values.get(1) {
        Some(Value::Null) => Vec::new(),
        Some(Value::Array(items)) if items.is_empty() => vec!['.'],
        Some(Value::Array(items)) => {
            budget.charge(items.len())?;
            items.iter().map(delimiter).collect::<Result<_, _>>()?
        }
        _ => return Err(Failure::Error("an array or null is expected")),
    };
    glob::is_match(pattern, &delimiters, text, budget).map(Value::from)
}

fn delimiter(value: &Value) -> Result<char, Failure> {
    let mut chars = value.as_str().unwrap_or_default().chars();
    chars.next().filter(|_| chars.next().is_none()).ok_or(Failure::Error("delimiters of one character"))
}

fn quote_meta(budget: &mut Budget, values: &[Value]) -> Answer {
    let text = text(values, 0)?;
    budget.charge(text.len().saturating_mul(2).saturating_add(8))?;
    let mut quoted = String::with_capacity(text.len().saturating_mul(2));
    for c in text.chars() {
        if r"*?\[]{}".contains(c) {
            quoted.push('\\');
        }
        quoted.push(c);
    }
    Ok(Value::from(quoted))
}
