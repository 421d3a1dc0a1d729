//! Strict JSON: what two parsers could read in two ways is refused.
//!
//! serde_json keeps the last of two members with one name and recurses 128 levels deep. A token or
//! a PDP's answer with `"decision": false, "decision": true` must not depend on who reads it.

mod typed;

use std::cell::Cell;
use std::fmt;

use serde::de::{DeserializeSeed, Error as _, MapAccess, SeqAccess, Visitor};
use serde::Serialize;
use serde_json::{Map, Number, Value};
pub(crate) use typed::{typed, typed_noting, Wrong};

use crate::base::ascii;

/// What most records take, in bytes: to grow is to copy.
const ROOM: usize = 1_536;

/// Levels of nesting that tokens, key sets, configurations and PDP answers may have.
pub const MAX_DEPTH: usize = 32;

/// What is said of a text with more values than it may have.
const TOO_MUCH: &str = "too many values";

/// What an object with members counts for where values are counted: it takes as long as so many others.
const OBJECT: usize = 4;
/// Values that a token, a key set, an answer or a line of a bundle may be made of.
pub const MAX_VALUES: usize = 20_000;

/// Parses one JSON text: duplicate members, more than [`MAX_DEPTH`] levels, numbers that 64 bits do not hold as they
/// are written, and anything after the value are errors. The error never repeats a value of the text.
pub fn parse(text: &[u8]) -> Result<Value, serde_json::Error> {
    parse_at_most(text, usize::MAX)
}

/// As [`parse`], with more than `values` values as an error: small ones take longer than their bytes do.
pub(crate) fn parse_at_most(text: &[u8], values: usize) -> Result<Value, serde_json::Error> {
    let mut deserializer = serde_json::Deserializer::from_slice(text);
    let (left, has_fractions) = (Cell::new(values), Cell::new(false));
    let strict = Strict { depth: MAX_DEPTH, left: &left, has_fractions: &has_fractions };
    let value = strict.deserialize(&mut deserializer)?;
    deserializer.end()?;
    let lost = || numbers(text).find(|(_, number)| !is_held(number));
    if let Some((at, _)) = has_fractions.get().then(lost).flatten() {
        let before = text.get(..at).unwrap_or_default();
        let line = before.split(|byte| *byte == b'\n').count();
        let column = before.iter().rev().take_while(|byte| **byte != b'\n').count().saturating_add(1);
        return Err(serde_json::Error::custom(format_args!(
            "a number that 64 bits do not hold as it is written at line {line} column {column}"
        )));
    }
    Ok(value)
}

/// The numbers of a text that was parsed, and where they are.
fn numbers(text: &[u8]) -> impl Iterator<Item = (usize, &str)> {
    let mut rest = text;
    std::iter::from_fn(move || loop {
        let at = text.len().saturating_sub(rest.len());
        let (first, behind) = rest.split_first()?;
        rest = match first {
            b'"' => string_end(behind),
            b'-' | b'0'..=b'9' => {
                let is_inside = |byte: &u8| matches!(byte, b'0'..=b'9' | b'.' | b'e' | b'E' | b'+' | b'-');
                let end = rest.iter().position(|byte| !is_inside(byte)).unwrap_or(rest.len());
                let (number, behind) = rest.split_at_checked(end)?;
                rest = behind;
                return Some((at, std::str::from_utf8(number).ok()?));
            }
            _ => behind,
        };
    })
}

/// What stands behind a string that was begun.
fn string_end(text: &[u8]) -> &[u8] {
    let mut bytes = text.iter();
    loop {
        match bytes.next() {
            Some(b'\\') => drop(bytes.next()),
            Some(b'"') | None => return bytes.as_slice(),
            Some(_) => {}
        }
    }
}

/// Whether 64 bits hold a number of JSON as it is written. OPA keeps all of its digits: with fewer of them it would be
/// equal to others than there.
pub fn is_held(number: &str) -> bool {
    if number.parse::<i64>().is_ok() || number.parse::<u64>().is_ok() {
        return true;
    }
    let held = number.parse().ok().and_then(Number::from_f64);
    held.is_some_and(|held| decimal(number) == decimal(&held.to_string()))
}

/// The digits of a number without zeros on either side, and the power of ten of the last one.
fn decimal(number: &str) -> Option<(String, i64)> {
    let number = number.trim_start_matches('-');
    let (number, power) = number.split_once(['e', 'E']).unwrap_or((number, "0"));
    let (whole, fraction) = number.split_once('.').unwrap_or((number, ""));
    let digits = [whole, fraction].concat();
    let known = digits.trim_end_matches('0');
    let behind = i64::try_from(fraction.len()).ok()?;
    let zeros = i64::try_from(digits.len().saturating_sub(known.len())).ok()?;
    match known.trim_start_matches('0') {
        "" => Some((String::new(), 0)),
        known => {
            let power: i64 = power.parse().ok()?;
            Some((known.to_owned(), power.saturating_sub(behind).saturating_add(zeros)))
        }
    }
}

/// As [`parse`], for a text that must hold an object, of at most [`MAX_VALUES`].
pub fn parse_object(text: &[u8]) -> Result<Map<String, Value>, serde_json::Error> {
    match parse_at_most(text, MAX_VALUES)? {
        Value::Object(members) => Ok(members),
        _ => Err(serde_json::Error::custom("expected an object")),
    }
}

/// How many values it is made of, itself and all that are inside.
pub fn values(value: &Value) -> usize {
    let sum = |first, values: &mut dyn Iterator<Item = &Value>| {
        values.fold(first, |sum: usize, value| sum.saturating_add(self::values(value)))
    };
    match value {
        Value::Array(items) => sum(1, &mut items.iter()),
        Value::Object(members) if !members.is_empty() => sum(OBJECT, &mut members.values()),
        _ => 1,
    }
}

/// Whether a text had more values than it may have.
pub(crate) fn is_too_much(error: &serde_json::Error) -> bool {
    error.is_data() && error.to_string().starts_with(TOO_MUCH)
}

/// One line of JSON for a log. serde_json leaves DEL, the C1 controls and Unicode's own line ends as
/// they are: a terminal or a log reader may act on them.
pub fn line<T: Serialize>(value: &T) -> Result<String, serde_json::Error> {
    let mut text = Vec::with_capacity(ROOM);
    serde_json::to_writer(&mut text, value)?;
    let text = String::from_utf8(text).map_err(serde_json::Error::custom)?;
    // Those that act are DEL and characters beyond ASCII.
    if ascii::is_below_del(text.as_bytes()) {
        return Ok(text);
    }
    let acts = |c: char| c.is_control() || matches!(c, '\u{2028}' | '\u{2029}');
    // Outside of strings there is no such character.
    let mut line = String::with_capacity(text.len().saturating_mul(2));
    let mut rest = text.as_str();
    while let Some((at, c)) = rest.char_indices().find(|(_, c)| acts(*c)) {
        line.push_str(rest.get(..at).unwrap_or_default());
        line.push_str("\\u");
        for shift in [12, 8, 4, 0] {
            line.extend(char::from_digit(u32::from(c) >> shift & 0xf, 16));
        }
        rest = rest.get(at.saturating_add(c.len_utf8())..).unwrap_or_default();
    }
    line.push_str(rest);
    Ok(line)
}

#[derive(Clone, Copy)]
struct Strict<'l> {
    depth: usize,
    /// Values that may still come.
    left: &'l Cell<usize>,
    /// Some number was no integer of 64 bits.
    has_fractions: &'l Cell<bool>,
}

impl Strict<'_> {
    fn inner<E: serde::de::Error>(self) -> Result<Self, E> {
        let depth = self.depth.checked_sub(1).ok_or_else(|| E::custom("nested too deep"))?;
        Ok(Self { depth, ..self })
    }
}

impl Strict<'_> {
    fn count<E: serde::de::Error>(self, values: usize) -> Result<(), E> {
        self.left.set(self.left.get().checked_sub(values).ok_or_else(|| E::custom(TOO_MUCH))?);
        Ok(())
    }
}

impl<'de> DeserializeSeed<'de> for Strict<'_> {
    type Value = Value;

    fn deserialize<D: serde::Deserializer<'de>>(self, deserializer: D) -> Result<Value, D::Error> {
        self.count(1)?;
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Strict<'_> {
    type Value = Value;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a JSON value")
    }

    fn visit_unit<E>(self) -> Result<Value, E> {
        Ok(Value::Null)
    }

    fn visit_bool<E>(self, value: bool) -> Result<Value, E> {
        Ok(Value::Bool(value))
    }

    fn visit_i64<E>(self, value: i64) -> Result<Value, E> {
        Ok(Value::from(value))
    }

    fn visit_u64<E>(self, value: u64) -> Result<Value, E> {
        Ok(Value::from(value))
    }

    fn visit_f64<E: serde::de::Error>(self, value: f64) -> Result<Value, E> {
        self.has_fractions.set(true);
        Number::from_f64(value).map(Value::Number).ok_or_else(|| E::custom("number out of range"))
    }

    fn visit_str<E>(self, value: &str) -> Result<Value, E> {
        Ok(Value::from(value))
    }

    fn visit_string<E>(self, value: String) -> Result<Value, E> {
        Ok(Value::String(value))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<Value, A::Error> {
        let inner = self.inner()?;
        let mut items = Vec::new();
        while let Some(item) = seq.next_element_seed(inner)? {
            items.push(item);
        }
        // Most lists are short, and a configuration has very many of them.
        items.shrink_to_fit();
        Ok(Value::Array(items))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Value, A::Error> {
        let inner = self.inner()?;
        let mut members = Map::new();
        while let Some(name) = map.next_key::<String>()? {
            if members.is_empty() {
                self.count(OBJECT.saturating_sub(1))?;
            }
            let value = map.next_value_seed(inner)?;
            if members.insert(name, value).is_some() {
                return Err(A::Error::custom("duplicate member"));
            }
        }
        Ok(Value::Object(members))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_hold_nothing_that_acts_and_read_back_the_same() {
        let value = serde_json::json!({"a\u{7f}": "x\n\u{85}\u{9b}31m\u{2028}\u{2029}\u{e9}\u{1f600}"});
        let text = line(&value).unwrap();
        assert!(!text.contains(|c: char| c.is_control() || matches!(c, '\u{2028}' | '\u{2029}')), "{text}");
        assert!(text.contains("\u{e9}\u{1f600}"));
        assert_eq!(parse(text.as_bytes()).unwrap(), value);
    }

    #[test]
    fn values_are_counted() {
        let text = |numbers: usize| format!("{{\"a\":[{}0]}}", "0,".repeat(numbers - 1));
        for (text, count) in [
            ("0", 1),
            ("{}", 1),
            ("[]", 1),
            ("[{},[],\"\",null]", 5),
            ("{\"a\":0}", 5),
            ("{\"a\":0,\"b\":0}", 6),
            ("{\"a\":{\"b\":[1,2]}}", 11),
        ] {
            assert_eq!(values(&parse(text.as_bytes()).unwrap()), count, "{text}");
            assert!(parse_at_most(text.as_bytes(), count).is_ok(), "{text}");
            let error = parse_at_most(text.as_bytes(), count - 1).unwrap_err();
            assert!(is_too_much(&error), "{text}: {error}");
        }
        // The object and the array come before what is in it.
        assert!(parse_object(text(MAX_VALUES - 5).as_bytes()).is_ok());
        assert!(parse_object(text(MAX_VALUES - 4).as_bytes()).is_err());
        assert!(parse(text(MAX_VALUES * 2).as_bytes()).is_ok());
    }

    #[test]
    fn a_number_is_what_it_is_written_as_or_refused() {
        for held in [
            "0",
            "-0",
            "-0.0",
            "0e99",
            "0.1",
            "-2.50",
            "1e5",
            "1E+5",
            "1.5e-10",
            "18446744073709551615",
            "-9223372036854775808",
            "1700000000.123456",
            "0.30000000000000004",
            "123456789012345680000",
            "1e300",
            "1.7976931348623157e308",
            "5e-324",
            "1.000000000000000000000",
        ] {
            let text = format!("{{\"1.11111111111111111111\\\"\":[{held},\"\\\\\"],\"b\":{held}}}");
            assert!(parse(text.as_bytes()).is_ok(), "{text}");
        }
        for refused in [
            "18446744073709551616",
            "-9223372036854775809",
            "123456789012345678901234567890",
            "0.1000000000000000000001",
            "1700000000.123456789",
            "9007199254740993.0",
            "4e-324",
            "1e-400",
            "1.79769313486231570001e308",
            "1e999",
        ] {
            for text in [refused.to_owned(), format!("{{\"\\\\\":[0.5,{{\"a\":{refused}}}]}}")] {
                let error = parse(text.as_bytes()).unwrap_err().to_string();
                assert!(!error.contains(refused) && error.contains("number"), "{text}: {error}");
            }
        }
        let error = parse(b"[1.5,\n  {\"a\": 0.10000000000000000001}]").unwrap_err().to_string();
        assert_eq!(error, "a number that 64 bits do not hold as it is written at line 2 column 9");
    }

    #[test]
    fn duplicates_depth_and_trailing_bytes_are_refused() {
        assert!(parse(br#"{"a":{"b":[1,2.5,"x",null,true]}} "#).is_ok());
        for bad in
            [r#"{"a":1,"a":2}"#, r#"{"a":1,"\u0061":2}"#, "{}x", "{}{}", "", "1e999", "{'a':1}", "\u{feff}{}"]
        {
            assert!(parse(bad.as_bytes()).is_err(), "{bad}");
        }
        assert!(parse(b"{\"a\":\"\xff\"}").is_err());
        let deep = |n: usize| format!("{}{}", "[".repeat(n), "]".repeat(n));
        assert!(parse(deep(MAX_DEPTH).as_bytes()).is_ok());
        assert!(parse(deep(MAX_DEPTH + 1).as_bytes()).is_err());
        assert!(parse(deep(100_000).as_bytes()).is_err());
    }
}
