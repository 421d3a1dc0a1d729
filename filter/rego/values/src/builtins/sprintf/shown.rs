//! Values and texts as OPA and Go show them.

use super::*;

/// The text of a value as OPA prints it: strings are in quotes.
pub(crate) fn value_text(value: &Value, budget: &mut Budget) -> Result<String, Failure> {
    let mut out = Text::default();
    out.value(value, budget)?;
    Ok(out.0)
}

#[derive(Default)]
struct Text(String);

impl Text {
    fn push(&mut self, text: &str, budget: &mut Budget) -> Result<(), Failure> {
        budget.charge((text.len() / 8).saturating_add(1))?;
        self.0.push_str(text);
        Ok(())
    }

    /// As deep as values are, which is bounded where they are made.
    fn value(&mut self, value: &Value, budget: &mut Budget) -> Result<(), Failure> {
        match value {
            Value::Null => self.push("null", budget),
            Value::Bool(true) => self.push("true", budget),
            Value::Bool(false) => self.push("false", budget),
            Value::Number(number) => {
                budget.charge(number.digits())?;
                self.push(&number.to_string(), budget)
            }
            Value::String(text) => {
                budget.charge(text.len())?;
                self.push(&quoted(text, '"', false), budget)
            }
            Value::Array(items) => self.items(items, ["[", "]"], budget),
            Value::Set(items) if items.is_empty() => self.push("set()", budget),
            Value::Set(items) => self.items(items, ["{", "}"], budget),
            Value::Object(members) => {
                self.push("{", budget)?;
                for (at, (key, value)) in members.iter().enumerate() {
                    if at > 0 {
                        self.push(", ", budget)?;
                    }
                    self.value(key, budget)?;
                    self.push(": ", budget)?;
                    self.value(value, budget)?;
                }
                self.push("}", budget)
            }
        }
    }

    fn items(&mut self, items: &[Value], around: [&str; 2], budget: &mut Budget) -> Result<(), Failure> {
        let [open, close] = around;
        self.push(open, budget)?;
        for (at, item) in items.iter().enumerate() {
            if at > 0 {
                self.push(", ", budget)?;
            }
            self.value(item, budget)?;
        }
        self.push(close, budget)
    }
}

/// As Go quotes it (`strconv.Quote`).
pub(super) fn quoted(text: &str, quote: char, ascii: bool) -> String {
    let mut out = String::with_capacity(text.len().saturating_add(2));
    out.push(quote);
    for character in text.chars() {
        let escape = match character {
            '\u{7}' => 'a',
            '\u{8}' => 'b',
            '\u{c}' => 'f',
            '\n' => 'n',
            '\r' => 'r',
            '\t' => 't',
            '\u{b}' => 'v',
            '\\' => '\\',
            other if other == quote => quote,
            other if is_printable(other) && (other.is_ascii() || !ascii) => {
                out.push(other);
                continue;
            }
            other => {
                let (kind, digits) = match u32::from(other) {
                    0..=0x20 | 0x7f => ('x', 2),
                    0x21..=0xffff => ('u', 4),
                    _ => ('U', 8),
                };
                out.push('\\');
                out.push(kind);
                let code = format!("{:x}", u32::from(other));
                zeros(&mut out, code.len(), digits);
                out.push_str(&code);
                continue;
            }
        };
        out.push('\\');
        out.push(escape);
    }
    out.push(quote);
    out
}
