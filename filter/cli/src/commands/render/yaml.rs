//! YAML that every reader takes for the same JSON. Kubernetes reads YAML 1.1, where `no`, `on` and
//! `1_000` are not text: what could be anything else is quoted.

use std::fmt::Write as _;

use serde_json::{Map, Value};

/// The document in block style, objects in the order of their keys.
pub(super) fn text(members: &Map<String, Value>) -> String {
    let mut text = String::new();
    object(&mut text, members, 0, false);
    text.push('\n');
    text
}

/// `beside`: the first line goes behind the `-` that stands there already.
fn object(text: &mut String, members: &Map<String, Value>, depth: usize, mut beside: bool) {
    for (name, value) in members {
        start(text, depth, std::mem::take(&mut beside));
        text.push_str(&scalar(name));
        text.push(':');
        below(text, value, depth, false);
    }
}

fn array(text: &mut String, items: &[Value], depth: usize, mut beside: bool) {
    for item in items {
        start(text, depth, std::mem::take(&mut beside));
        text.push('-');
        below(text, item, depth, true);
    }
}

/// A value behind `name:` or `-`: on the same line, or on lines of its own, one level deeper.
fn below(text: &mut String, value: &Value, depth: usize, item: bool) {
    let deeper = depth.saturating_add(1);
    match value {
        Value::Object(members) if !members.is_empty() => object(text, members, deeper, item),
        Value::Array(items) if !items.is_empty() => array(text, items, deeper, item),
        Value::String(lines) if is_block(lines) => {
            text.push_str(if lines.ends_with('\n') { " |" } else { " |-" });
            for line in lines.lines() {
                match line {
                    "" => text.push('\n'),
                    line => {
                        start(text, deeper, false);
                        text.push_str(line);
                    }
                }
            }
        }
        Value::String(value) => text.extend([" ", &scalar(value)]),
        // YAML 1.1 takes `1e+21` for text: its numbers with an exponent have a point.
        Value::Number(number) if !number.to_string().contains('.') => {
            text.extend([" ", &number.to_string().replace('e', ".0e")]);
        }
        other => text.extend([" ", &other.to_string()]),
    }
}

/// A line at this depth.
fn start(text: &mut String, depth: usize, beside: bool) {
    if beside {
        text.push(' ');
        return;
    }
    if !text.is_empty() {
        text.push('\n');
    }
    text.extend(std::iter::repeat_n("  ", depth));
}

/// Plain if it can be nothing but text, else as in JSON.
fn scalar(text: &str) -> String {
    const WORDS: &[&str] = &["true", "false", "null", "yes", "no", "on", "off", "y", "n", "nan", "inf"];
    let safe = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'_' | b'-' | b'.' | b'/' | b'@');
    let plain = text.bytes().next().is_some_and(|first| first.is_ascii_alphabetic() || first == b'/')
        && text.bytes().all(safe)
        && !WORDS.contains(&text.to_ascii_lowercase().as_str());
    if plain {
        return text.to_owned();
    }
    let mut quoted = String::with_capacity(text.len().saturating_add(2));
    for c in Value::from(text).to_string().chars() {
        match c {
            // All of them are in the basic plane: one escape each.
            c if is_odd(c) => drop(write!(quoted, "\\u{:04x}", u32::from(c))),
            c => quoted.push(c),
        }
    }
    quoted
}

/// Characters that some readers refuse, drop or take for line ends.
fn is_odd(c: char) -> bool {
    c.is_control() || matches!(c, '\u{2028}' | '\u{2029}' | '\u{feff}' | '\u{fffe}' | '\u{ffff}')
}

/// Several lines that are readable, and the same, as a block.
fn is_block(text: &str) -> bool {
    text.trim_end_matches('\n').contains('\n')
        && !text.ends_with("\n\n")
        && !text.starts_with(char::is_whitespace)
        && !text.chars().any(|c| is_odd(c) && !matches!(c, '\n' | '\t'))
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn the_text_is_the_same_document() {
        let words = [
            "yes",
            "No",
            "ON",
            "y",
            "0o17",
            "010",
            "1_000",
            "12:30:45",
            "1e3",
            ".5",
            "+1",
            "~",
            "null",
            "2026-01-01",
            "=",
            "<<",
            "a: b",
            "a #b",
            "#x",
            " x",
            "x ",
            "- x",
            "é\u{2028}",
            "\u{1f600}\u{7f}",
            "",
            "'",
            "\"\\",
            "%a",
            "a-",
            "@a",
            "a\nb",
            "a\nb\n",
            "a\n\nb",
            "\na\nb",
            " a\nb",
            "a\nb\n\n",
            "a\r\nb",
            "a\n\tb",
            "\n",
            "a\n",
            "a \nb \n  c",
            "# a\n- b: c",
            "package everycall\n\nx := {\n\t\"a\": 1,\n}\n",
        ];
        let document = json!({
            "words": words.as_slice(), "empty": [{}, [], [[]], [[1, [2]], {"a": {"b": [{"c": null, "d": true}]}}]],
            "numbers": [0, -1, 1.5, 1e21, 12_345_678_901_234_567_u64], "no": {"a b": 1, "": 2, "0": 3},
        });
        let text = text(document.as_object().unwrap());
        assert_eq!(serde_yaml_ng::from_str::<Value>(&text).unwrap(), document, "{text}");
        for word in ["yes", "No", "ON", "y", "1_000", "12:30:45", "2026-01-01"] {
            assert!(text.contains(&format!("- \"{word}\"\n")), "{word} in {text}");
        }
        assert!(
            text.contains("\"no\":\n") && text.contains("- |\n    package everycall\n\n    x := {"),
            "{text}"
        );
    }
}
