//! `base64*`, `hex.*` and `urlquery.*`. What is decoded may be bytes that are no text.

use std::sync::Arc;

use base64::alphabet::{Alphabet, STANDARD, URL_SAFE};
use base64::engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig};
use base64::Engine;

use super::{row, text, Answer, Builtin};
use crate::budget::{Budget, Failure};
use crate::bytes::{has_bytes, of_text, to_text};
use crate::json;
use crate::value::{Object, Value};

pub(super) const TABLE: &[Builtin] = &[
    row("base64.decode", 1, |budget, values| decode(text(values, 0)?, &PLAIN, budget)),
    row("base64.encode", 1, |budget, values| encode(text(values, 0)?, &PLAIN, budget)),
    row("base64.is_valid", 1, base64_is_valid),
    row("base64url.decode", 1, base64url_decode),
    row("base64url.encode", 1, |budget, values| encode(text(values, 0)?, &URL, budget)),
    row("base64url.encode_no_pad", 1, |budget, values| encode(text(values, 0)?, &UNPADDED, budget)),
    row("hex.decode", 1, hex_decode),
    row("hex.encode", 1, hex_encode),
    row("urlquery.decode", 1, query_decode),
    row("urlquery.decode_object", 1, query_decode_object),
    row("urlquery.encode", 1, query_encode),
    row("urlquery.encode_object", 1, query_encode_object),
];

const fn engine(alphabet: &Alphabet, pad: bool) -> GeneralPurpose {
    let config = GeneralPurposeConfig::new()
        .with_encode_padding(pad)
        .with_decode_padding_mode(DecodePaddingMode::RequireCanonical)
        .with_decode_allow_trailing_bits(true);
    GeneralPurpose::new(alphabet, config)
}

static PLAIN: GeneralPurpose = engine(&STANDARD, true);
static URL: GeneralPurpose = engine(&URL_SAFE, true);
static UNPADDED: GeneralPurpose = engine(&URL_SAFE, false);

fn encode(text: &str, engine: &GeneralPurpose, budget: &mut Budget) -> Answer {
    budget.charge(text.len())?;
    Ok(engine.encode(of_text(text)).into())
}

/// Go skips line breaks wherever they stand.
fn bytes(text: &str, engine: &GeneralPurpose) -> Result<Vec<u8>, Failure> {
    let lines: String = text.split(['\r', '\n']).collect();
    engine.decode(lines).map_err(|_| Failure::Error("base64 is expected"))
}

/// The text that these bytes are, unless a character of it stands for a byte here.
fn decoded(bytes: Vec<u8>) -> Answer {
    if bytes.utf8_chunks().any(|chunk| has_bytes(chunk.valid())) {
        return Err(Failure::Limit);
    }
    Ok(Value::String(Arc::from(to_text(bytes))))
}

fn decode(text: &str, engine: &GeneralPurpose, budget: &mut Budget) -> Answer {
    budget.charge(text.len())?;
    decoded(bytes(text, engine)?)
}

fn base64_is_valid(budget: &mut Budget, arguments: &[Value]) -> Answer {
    let Some(Value::String(text)) = arguments.first() else { return Ok(Value::Bool(false)) };
    budget.charge(text.len())?;
    Ok(Value::Bool(bytes(text, &PLAIN).is_ok()))
}

/// Padding may be left out, which is told by the length with line breaks.
fn base64url_decode(budget: &mut Budget, arguments: &[Value]) -> Answer {
    let text = text(arguments, 0)?;
    budget.charge(text.len())?;
    let padding = match text.len() & 3 {
        _ if text.ends_with('=') => "",
        0 => "",
        2 => "==",
        3 => "=",
        _ => return Err(Failure::Error("base64url is expected")),
    };
    decode(&[text, padding].concat(), &URL, budget)
}

fn hex_encode(budget: &mut Budget, arguments: &[Value]) -> Answer {
    let text = text(arguments, 0)?;
    budget.charge(text.len().saturating_mul(2))?;
    let mut out = String::with_capacity(text.len().saturating_mul(2));
    of_text(text).iter().for_each(|byte| push_hex(&mut out, *byte, false));
    Ok(out.into())
}

fn push_hex(out: &mut String, byte: u8, upper: bool) {
    for digit in [byte.wrapping_shr(4), byte & 15] {
        let digit = char::from_digit(digit.into(), 16).unwrap_or_default();
        out.push(if upper { digit.to_ascii_uppercase() } else { digit });
    }
}

fn hex_byte(digits: &[u8]) -> Option<u8> {
    let digits =
        std::str::from_utf8(digits).ok().filter(|text| text.bytes().all(|b| b.is_ascii_hexdigit()))?;
    (digits.len() == 2).then(|| u8::from_str_radix(digits, 16).ok()).flatten()
}

fn hex_decode(budget: &mut Budget, arguments: &[Value]) -> Answer {
    let text = text(arguments, 0)?;
    budget.charge(text.len())?;
    let bytes = text.as_bytes().chunks(2).map(hex_byte).collect::<Option<Vec<_>>>();
    decoded(bytes.ok_or(Failure::Error("hexadecimal digits are expected"))?)
}

fn escape(out: &mut String, text: &str) {
    for byte in of_text(text).iter().copied() {
        match byte {
            b'0'..=b'9' | b'A'..=b'Z' | b'a'..=b'z' | b'-' | b'_' | b'.' | b'~' => out.push(char::from(byte)),
            b' ' => out.push('+'),
            other => {
                out.push('%');
                push_hex(out, other, true);
            }
        }
    }
}

fn unescape(text: &[u8]) -> Result<Vec<u8>, Failure> {
    let mut out = Vec::with_capacity(text.len());
    let mut rest = text;
    while let Some((byte, after)) = rest.split_first() {
        rest = after;
        out.push(match byte {
            b'+' => b' ',
            b'%' => {
                let (digits, after) = rest.split_at_checked(2).unwrap_or_default();
                rest = after;
                hex_byte(digits).ok_or(Failure::Error("an escaped text is expected"))?
            }
            other => *other,
        });
    }
    Ok(out)
}

fn query_encode(budget: &mut Budget, arguments: &[Value]) -> Answer {
    let text = text(arguments, 0)?;
    budget.charge(text.len().saturating_mul(3))?;
    let mut out = String::with_capacity(text.len());
    escape(&mut out, text);
    Ok(out.into())
}

fn query_decode(budget: &mut Budget, arguments: &[Value]) -> Answer {
    let text = text(arguments, 0)?;
    budget.charge(text.len())?;
    decoded(unescape(&of_text(text))?)
}

fn query_encode_object(budget: &mut Budget, arguments: &[Value]) -> Answer {
    let expected = Failure::Error("an object of strings, or of arrays or sets of them, is expected");
    let Some(Value::Object(object)) = arguments.first() else { return Err(expected) };
    let mut out = String::new();
    for (name, value) in json::members(budget, object)? {
        let values = match value {
            Value::String(_) => std::slice::from_ref(value),
            Value::Array(items) => items,
            Value::Set(items) => items,
            _ => return Err(expected),
        };
        for value in values {
            let value = value.as_str().ok_or(expected)?;
            budget.charge(name.len().saturating_add(value.len()).saturating_mul(3).saturating_add(2))?;
            if !out.is_empty() {
                out.push('&');
            }
            escape(&mut out, &name);
            out.push('=');
            escape(&mut out, value);
        }
    }
    Ok(out.into())
}

/// Parameters that Go reads in one query.
const MAX_PARAMETERS: usize = 10_000;

fn query_decode_object(budget: &mut Budget, arguments: &[Value]) -> Answer {
    let text = text(arguments, 0)?;
    budget.charge(text.len().saturating_mul(2))?;
    if text.split('&').count() > MAX_PARAMETERS {
        return Err(Failure::Error("fewer parameters are expected"));
    }
    let mut members: Vec<(Vec<u8>, Vec<u8>)> = Vec::new();
    for part in text.split('&').filter(|part| !part.is_empty()) {
        if part.contains(';') {
            return Err(Failure::Error("no semicolon is expected"));
        }
        budget.charge(16)?;
        let (name, value) = part.split_once('=').unwrap_or((part, ""));
        members.push((unescape(&of_text(name))?, unescape(&of_text(value))?));
    }
    members.sort_by(|(a, _), (b, _)| a.cmp(b));
    let mut object: Vec<(Value, Value)> = Vec::new();
    for group in members.chunk_by(|(a, _), (b, _)| a == b) {
        let name = group.first().map(|(name, _)| name.clone()).unwrap_or_default();
        let values = group.iter().map(|(_, value)| decoded(value.clone()));
        object.push((decoded(name)?, values.collect::<Result<Vec<_>, _>>()?.into()));
    }
    Ok(Object::from(object).into())
}

#[cfg(test)]
mod tests {
    use crate::builtins::testing::{ask, compare};

    #[test]
    fn they_answer_as_opa() {
        compare(&[
            ("base64.encode", r#"["é?>"]"#, r#""w6k/Pg==""#),
            ("base64.decode", r#"["YQ=\n=\r\n"]"#, r#""a""#),
            ("base64.decode", r#"["YR=="]"#, r#""a""#),
            ("base64.decode", r#"["YQ"]"#, "error"),
            ("base64.decode", r#"["Y Q=="]"#, "error"),
            ("base64.decode", r#"["YQ==YQ=="]"#, "error"),
            ("base64.decode", r#"["/w=="]"#, "\"\\ufffd\""),
            ("base64.is_valid", r#"["/w=="]"#, "true"),
            ("base64.is_valid", "[1]", "false"),
            ("base64url.encode", r#"["é?>"]"#, r#""w6k_Pg==""#),
            ("base64url.encode_no_pad", r#"["é?>"]"#, r#""w6k_Pg""#),
            ("base64url.decode", r#"["w6k_Pg"]"#, r#""é?\u003e""#),
            ("base64url.decode", r#"["YQ\n"]"#, "error"),
            ("base64url.decode", r#"["YQ="]"#, "error"),
            ("hex.encode", r#"["é\u0001"]"#, r#""c3a901""#),
            ("hex.decode", r#"["4a4B"]"#, r#""JK""#),
            ("hex.decode", r#"["4a4"]"#, "error"),
            ("hex.decode", r#"["+1"]"#, "error"),
            ("hex.decode", r#"["ff"]"#, "\"\\ufffd\""),
            ("urlquery.encode", r#"["a b&é~-_.*"]"#, r#""a+b%26%C3%A9~-_.%2A""#),
            ("urlquery.decode", r#"["a+b%20%c3%A9"]"#, r#""a b é""#),
            ("urlquery.decode", r#"["%"]"#, "error"),
            ("urlquery.decode", r#"["%zz"]"#, "error"),
            ("urlquery.decode", r#"["%ff"]"#, "\"\\ufffd\""),
            ("urlquery.decode", r#"["%F4%8F%BE%80"]"#, "limit"),
            ("urlquery.decode", r#"["%F4%8F%BD%BF"]"#, "\"\u{10ff7f}\""),
            ("urlquery.decode_object", r#"["%F4%8F%BE%80=a"]"#, "limit"),
            ("base64.decode", r#"["9I++gA=="]"#, "limit"),
            ("hex.decode", r#"["f48fbfbf"]"#, "limit"),
            (
                "urlquery.decode_object",
                r#"["a=1&b=2&a=3&c&&=x%3D"]"#,
                r#"{"":["x="],"a":["1","3"],"b":["2"],"c":[""]}"#,
            ),
            ("urlquery.decode_object", r#"["a=1;b=2"]"#, "error"),
            (
                "urlquery.encode_object",
                r#"[{"b": "x y", "a": ["2", "1"], "c": {"set": ["z", "y"]}, "d": []}]"#,
                r#""a=2\u0026a=1\u0026b=x+y\u0026c=y\u0026c=z""#,
            ),
            (
                "urlquery.encode_object",
                r#"[{"object": [[1, "x"], [["a"], "y"]]}]"#,
                r#""1=x\u0026%5B%22a%22%5D=y""#,
            ),
            ("urlquery.encode_object", r#"[{"a": 1}]"#, "error"),
        ]);
        assert_eq!(ask("urlquery.decode_object", &format!("[{:?}]", "&".repeat(9_999))), "{}");
        assert_eq!(ask("urlquery.decode_object", &format!("[{:?}]", "&".repeat(10_000))), "error");
    }
}
