//! JSON text and values of `serde`, to values of Rego and back. Text is read as Go's `encoding/json`
//! reads it for OPA and written as it writes: numbers keep the text they came as.

use std::borrow::Cow;
use std::fmt;

use serde::de::{self, MapAccess, SeqAccess};
use serde::ser::{SerializeMap, SerializeSeq};
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use crate::budget::{Budget, Failure, MAX_DEPTH};
use crate::bytes::{byte, of_text, shown};
use crate::number::Number;
use crate::value::{Object, Value};

/// Arrays and objects inside each other that are read. Values may be deeper, so that what is read
/// can be put into them.
const MAX_TEXT_DEPTH: usize = 128;

const NOT_JSON: Failure = Failure::Error("a JSON text is expected");

impl From<serde_json::Value> for Value {
    fn from(json: serde_json::Value) -> Self {
        Self::from(&json)
    }
}

impl From<&serde_json::Value> for Value {
    fn from(json: &serde_json::Value) -> Self {
        match json {
            serde_json::Value::Null => Self::Null,
            serde_json::Value::Bool(value) => Self::Bool(*value),
            serde_json::Value::Number(number) => Self::Number(number.into()),
            serde_json::Value::String(text) => Self::from(text.as_str()),
            serde_json::Value::Array(items) => Self::from(items.iter().map(Self::from).collect::<Vec<_>>()),
            serde_json::Value::Object(members) => {
                let members = members.iter().map(|(name, value)| (Self::from(name.as_str()), value.into()));
                Self::from(Object::from(members.collect::<Vec<_>>()))
            }
        }
    }
}

impl Value {
    /// Reads one JSON text, keeping numbers as they are written. `None` too if it is nested too deep
    /// or has a number too long to compute with.
    pub fn from_json(text: &str) -> Option<Self> {
        read(text).ok()
    }

    /// As OPA writes results: sets as arrays, keys that are no texts as their JSON.
    pub fn to_json(&self) -> serde_json::Value {
        match self {
            Self::Null => serde_json::Value::Null,
            Self::Bool(value) => (*value).into(),
            Self::Number(number) => {
                let text = number.to_string();
                // serde_json reads some fractions as their neighbours.
                match text.parse::<u64>() {
                    Ok(whole) => whole.into(),
                    Err(_) => match number.as_i64() {
                        Some(whole) if text.parse() == Ok(whole) => whole.into(),
                        _ => text.parse::<f64>().map(serde_json::Value::from).unwrap_or_default(),
                    },
                }
            }
            Self::String(text) => shown(text).into(),
            Self::Array(items) => items.iter().map(Self::to_json).collect(),
            Self::Set(items) => items.iter().map(Self::to_json).collect(),
            Self::Object(members) => members
                .iter()
                .map(|(key, value)| {
                    let name = name(&mut unlimited(), key).unwrap_or_default();
                    (shown(&name).into_owned(), value.to_json())
                })
                .collect(),
        }
    }
}

/// For what is written outside of evaluations.
const fn unlimited() -> Budget {
    Budget::new(u64::MAX, u64::MAX)
}

impl Serialize for Value {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            Self::Null => serializer.serialize_unit(),
            Self::Bool(value) => serializer.serialize_bool(*value),
            Self::Number(number) => match number.as_i64() {
                Some(small) if small.to_string() == number.to_string() => serializer.serialize_i64(small),
                _ => serde_json::value::RawValue::from_string(number.to_string())
                    .map_err(serde::ser::Error::custom)?
                    .serialize(serializer),
            },
            Self::String(text) => serializer.serialize_str(&shown(text)),
            Self::Array(items) => serialize_all(items, serializer),
            Self::Set(items) => serialize_all(items, serializer),
            Self::Object(own) => {
                let members = members(&mut unlimited(), own)
                    .map_err(|_| serde::ser::Error::custom("nested too deep"))?;
                let mut map = serializer.serialize_map(Some(members.len()))?;
                members.iter().try_for_each(|(name, value)| map.serialize_entry(&*shown(name), value))?;
                map.end()
            }
        }
    }
}

fn serialize_all<S: Serializer>(items: &[Value], serializer: S) -> Result<S::Ok, S::Error> {
    let mut seq = serializer.serialize_seq(Some(items.len()))?;
    items.iter().try_for_each(|item| seq.serialize_element(item))?;
    seq.end()
}

/// Numbers come as the format at hand has them: text that must keep them is for [`Value::from_json`].
impl<'de> Deserialize<'de> for Value {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(Visitor)
    }
}

struct Visitor;

impl<'de> de::Visitor<'de> for Visitor {
    type Value = Value;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a JSON value")
    }

    fn visit_unit<E>(self) -> Result<Value, E> {
        Ok(Value::Null)
    }

    fn visit_none<E>(self) -> Result<Value, E> {
        Ok(Value::Null)
    }

    fn visit_some<D: Deserializer<'de>>(self, deserializer: D) -> Result<Value, D::Error> {
        Value::deserialize(deserializer)
    }

    fn visit_bool<E>(self, value: bool) -> Result<Value, E> {
        Ok(Value::Bool(value))
    }

    fn visit_i64<E>(self, value: i64) -> Result<Value, E> {
        Ok(Value::from(value))
    }

    fn visit_u64<E>(self, value: u64) -> Result<Value, E> {
        Ok(Value::Number((&serde_json::Number::from(value)).into()))
    }

    fn visit_f64<E: de::Error>(self, value: f64) -> Result<Value, E> {
        let number = serde_json::Number::from_f64(value).ok_or_else(|| E::custom("a number is expected"))?;
        Ok(Value::Number((&number).into()))
    }

    fn visit_str<E: de::Error>(self, value: &str) -> Result<Value, E> {
        holdable(value).map(Value::from).map_err(|_| E::custom("a text that can be held is expected"))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<Value, A::Error> {
        let mut items: Vec<Value> = Vec::new();
        while let Some(item) = seq.next_element()? {
            items.push(item);
        }
        Ok(items.into())
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Value, A::Error> {
        let mut members: Vec<(Value, Value)> = Vec::new();
        while let Some(member) = map.next_entry()? {
            members.push(member);
        }
        Ok(Object::from(members).into())
    }
}

/// No text that is read has the characters that stand for bytes here.
fn holdable(text: &str) -> Result<&str, Failure> {
    if !text.chars().any(|character| byte(character).is_some()) {
        Ok(text)
    } else {
        Err(Failure::Limit)
    }
}

/// Reads one JSON text. `Limit` for what OPA may read and we do not.
pub(crate) fn read(text: &str) -> Result<Value, Failure> {
    match read_first(text)? {
        (value, "") => Ok(value),
        _ => Err(NOT_JSON),
    }
}

/// Reads the JSON text at the start, and gives what comes after it and spaces.
pub(crate) fn read_first(text: &str) -> Result<(Value, &str), Failure> {
    let mut reader = Reader { text, at: 0 };
    let value = reader.value(0)?;
    reader.space();
    Ok((value, text.get(reader.at..).unwrap_or_default()))
}

struct Reader<'t> {
    text: &'t str,
    at: usize,
}

impl<'t> Reader<'t> {
    fn peek(&self) -> Option<u8> {
        self.text.as_bytes().get(self.at).copied()
    }

    fn skip(&mut self) {
        self.at = self.at.saturating_add(1);
    }

    /// Whether the next byte is this one, which is taken then.
    fn takes(&mut self, byte: u8) -> bool {
        let found = self.peek() == Some(byte);
        if found {
            self.skip();
        }
        found
    }

    fn space(&mut self) {
        while matches!(self.peek(), Some(b' ' | b'\t' | b'\n' | b'\r')) {
            self.skip();
        }
    }

    fn since(&self, start: usize) -> &'t str {
        self.text.get(start..self.at).unwrap_or_default()
    }

    fn word(&mut self, word: &str, value: Value) -> Result<Value, Failure> {
        word.bytes().all(|byte| self.takes(byte)).then_some(value).ok_or(NOT_JSON)
    }

    fn value(&mut self, depth: usize) -> Result<Value, Failure> {
        if depth > MAX_TEXT_DEPTH {
            return Err(Failure::Limit);
        }
        self.space();
        match self.peek() {
            Some(b'{') => self.object(depth.saturating_add(1)),
            Some(b'[') => self.array(depth.saturating_add(1)),
            Some(b'"') => self.string(),
            Some(b't') => self.word("true", Value::Bool(true)),
            Some(b'f') => self.word("false", Value::Bool(false)),
            Some(b'n') => self.word("null", Value::Null),
            _ => self.number(),
        }
    }

    fn array(&mut self, depth: usize) -> Result<Value, Failure> {
        self.skip();
        let mut items = Vec::new();
        self.space();
        if self.takes(b']') {
            return Ok(items.into());
        }
        loop {
            items.push(self.value(depth)?);
            self.space();
            if self.takes(b']') {
                return Ok(items.into());
            }
            if !self.takes(b',') {
                return Err(NOT_JSON);
            }
        }
    }

    fn object(&mut self, depth: usize) -> Result<Value, Failure> {
        self.skip();
        let mut members = Vec::new();
        self.space();
        if self.takes(b'}') {
            return Ok(Object::default().into());
        }
        loop {
            self.space();
            let name = self.string()?;
            self.space();
            if !self.takes(b':') {
                return Err(NOT_JSON);
            }
            members.push((name, self.value(depth)?));
            self.space();
            if self.takes(b'}') {
                return Ok(Object::from(members).into());
            }
            if !self.takes(b',') {
                return Err(NOT_JSON);
            }
        }
    }

    fn digits(&mut self) -> Result<(), Failure> {
        let start = self.at;
        while matches!(self.peek(), Some(b'0'..=b'9')) {
            self.skip();
        }
        if self.at == start {
            return Err(NOT_JSON);
        }
        Ok(())
    }

    fn number(&mut self) -> Result<Value, Failure> {
        let start = self.at;
        self.takes(b'-');
        if !self.takes(b'0') {
            self.digits()?;
        }
        if self.takes(b'.') {
            self.digits()?;
        }
        if self.takes(b'e') || self.takes(b'E') {
            let _sign = self.takes(b'+') || self.takes(b'-');
            self.digits()?;
        }
        Number::parse(self.since(start)).map(Value::Number).ok_or(Failure::Limit)
    }

    fn string(&mut self) -> Result<Value, Failure> {
        if !self.takes(b'"') {
            return Err(NOT_JSON);
        }
        let mut whole: Option<String> = None;
        loop {
            let start = self.at;
            while !matches!(self.peek(), None | Some(b'"' | b'\\' | 0..=0x1f)) {
                self.skip();
            }
            let part = holdable(self.since(start))?;
            if self.takes(b'"') {
                return Ok(match whole {
                    None => Value::from(part),
                    Some(mut whole) => {
                        whole.push_str(part);
                        whole.into()
                    }
                });
            }
            if !self.takes(b'\\') {
                return Err(NOT_JSON);
            }
            let escape = self.peek();
            self.skip();
            let character = match escape {
                Some(byte @ (b'"' | b'\\' | b'/')) => char::from(byte),
                Some(b'b') => '\u{8}',
                Some(b'f') => '\u{c}',
                Some(b'n') => '\n',
                Some(b'r') => '\r',
                Some(b't') => '\t',
                Some(b'u') => self.escaped()?,
                _ => return Err(NOT_JSON),
            };
            let whole = whole.get_or_insert_default();
            whole.push_str(part);
            whole.push(character);
            if byte(character).is_some() {
                return Err(Failure::Limit);
            }
        }
    }

    /// What follows `\u`. Half of a pair stands for no character.
    fn escaped(&mut self) -> Result<char, Failure> {
        let first = self.four()?;
        let after = self.at;
        if (0xd800..0xdc00).contains(&first) && self.takes(b'\\') && self.takes(b'u') {
            let second = self.four()?;
            if let Some(Ok(character)) = char::decode_utf16([first, second]).next() {
                return Ok(character);
            }
        }
        self.at = after;
        Ok(char::from_u32(first.into()).unwrap_or(char::REPLACEMENT_CHARACTER))
    }

    fn four(&mut self) -> Result<u16, Failure> {
        let start = self.at;
        self.at = start.saturating_add(4);
        let digits = self.text.get(start..self.at).filter(|text| text.bytes().all(|b| b.is_ascii_hexdigit()));
        digits.and_then(|text| u16::from_str_radix(text, 16).ok()).ok_or(NOT_JSON)
    }
}

/// What stands before each line, and what before it for each level. `None`: all in one line.
pub(crate) type Layout<'l> = Option<(&'l str, &'l str)>;

/// Writes a value as OPA's `json.marshal` does.
pub(crate) fn write(budget: &mut Budget, value: &Value, layout: Layout<'_>) -> Result<String, Failure> {
    let mut out = String::new();
    Writer { budget, layout, out: &mut out }.value(value, 0)?;
    Ok(out)
}

/// A key as the name of a member: what is no text is named by its JSON.
fn name<'v>(budget: &mut Budget, key: &'v Value) -> Result<Cow<'v, str>, Failure> {
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

#[cfg(test)]
mod tests;
