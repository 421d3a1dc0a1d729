//! Values to JSON text.

use std::borrow::Cow;

use super::*;
use crate::budget::MAX_DEPTH;
use crate::bytes::of_text;

/// What stands before each line, and what before it for each level. `None`: all in one line.
pub(crate) type Layout<'l> = Option<(&'l str, &'l str)>;

/// Writes a value as OPA's `json.marshal` does.
pub(crate) fn write(budget: &mut Budget, value: &Value, layout: Layout<'_>) -> Result<String, Failure> {
    let mut out = String::new();
    Writer { budget, layout, out: &mut out }.value(value, 0)?;
    Ok(out)
}

/// A key as the name of a member: what is no text is named by its JSON.
pub(super) fn name<'v>(budget: &mut Budget, key: &'v Value) -> Result<Cow<'v, str>, Failure> {
    match key {
        Value::String(text) => Ok(Cow::Borrowed(text)),
        other => write(budget, other, None).map(Cow::Owned),
    }
}

/// The members of an object by their names, in their order. Of several of one name the last one counts.
pub(crate) fn members<'v>(
    budget: &mut Budget,
    object: &'v Object,
) -> Result<Vec<(Cow<'v, str>, &'v Value)>, Failure> {
    budget.charge(object.len().saturating_mul(2))?;
    let mut members = Vec::with_capacity(object.len());
    for (key, value) in object.iter().rev() {
        members.push((name(budget, key)?, value));
    }
    members.sort_by(|(a, _), (b, _)| of_text(a).cmp(&of_text(b)));
    members.dedup_by(|(a, _), (b, _)| a == b);
    Ok(members)
}

struct Writer<'w, 'l> {
    budget: &'w mut Budget,
    layout: Layout<'l>,
    out: &'w mut String,
}

impl Writer<'_, '_> {
    fn push(&mut self, text: &str) -> Result<(), Failure> {
        self.budget.charge(text.len())?;
        self.out.push_str(text);
        Ok(())
    }

    fn line(&mut self, depth: usize) -> Result<(), Failure> {
        if let Some((prefix, indent)) = self.layout {
            self.push("\n")?;
            self.push(prefix)?;
            for _ in 0..depth {
                self.push(indent)?;
            }
        }
        Ok(())
    }

    fn value(&mut self, value: &Value, depth: usize) -> Result<(), Failure> {
        if depth > MAX_DEPTH {
            return Err(Failure::Limit);
        }
        // What it takes beside its text.
        self.budget.charge(2)?;
        match value {
            Value::Null => self.push("null"),
            Value::Bool(true) => self.push("true"),
            Value::Bool(false) => self.push("false"),
            Value::Number(number) => self.push(&number.to_string()),
            Value::String(text) => self.string(text),
            Value::Array(items) => self.items(items, depth),
            Value::Set(items) => self.items(items, depth),
            Value::Object(own) => {
                let members = members(self.budget, own)?;
                let inner = depth.saturating_add(1);
                self.push("{")?;
                for (at, (name, value)) in members.iter().enumerate() {
                    self.push(if at == 0 { "" } else { "," })?;
                    self.line(inner)?;
                    self.string(name)?;
                    self.push(if self.layout.is_some() { ": " } else { ":" })?;
                    self.value(value, inner)?;
                }
                if !members.is_empty() {
                    self.line(depth)?;
                }
                self.push("}")
            }
        }
    }

    fn items(&mut self, items: &[Value], depth: usize) -> Result<(), Failure> {
        let inner = depth.saturating_add(1);
        self.push("[")?;
        for (at, item) in items.iter().enumerate() {
            self.push(if at == 0 { "" } else { "," })?;
            self.line(inner)?;
            self.value(item, inner)?;
        }
        if !items.is_empty() {
            self.line(depth)?;
        }
        self.push("]")
    }

    /// Go also writes what HTML and JavaScript would take for more than text by its number.
    fn string(&mut self, text: &str) -> Result<(), Failure> {
        self.push("\"")?;
        let special = |c| c < ' ' || "\"\\<>&\u{2028}\u{2029}".contains(c) || byte(c).is_some();
        for plain in text.split_inclusive(special) {
            let last = plain.chars().next_back().unwrap_or_default();
            let escaped: &str = match last {
                '"' => "\\\"",
                '\\' => "\\\\",
                '\n' => "\\n",
                '\r' => "\\r",
                '\t' => "\\t",
                '\u{8}' => "\\b",
                '\u{c}' => "\\f",
                '<' | '>' | '&' | '\u{2028}' | '\u{2029}' | '\0'..='\u{1f}' => "\\u",
                _ if byte(last).is_some() => "\\ufffd",
                _ => {
                    self.push(plain)?;
                    continue;
                }
            };
            self.push(plain.strip_suffix(last).unwrap_or_default())?;
            self.push(escaped)?;
            if escaped == "\\u" {
                for shift in [12_u32, 8, 4, 0] {
                    let digit = u32::from(last).checked_shr(shift).unwrap_or_default() & 15;
                    self.out.push(char::from_digit(digit, 16).unwrap_or_default());
                }
            }
        }
        self.push("\"")
    }
}
