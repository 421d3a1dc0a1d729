//! JSON text and values of `serde`, to values of Rego and back. Text is read as Go's `encoding/json`
//! reads it for OPA and written as it writes: numbers keep the text they came as.

mod reader;
mod writer;

use std::fmt;

use serde::de::{self, MapAccess, SeqAccess};
use serde::ser::{SerializeMap, SerializeSeq};
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use crate::budget::{Budget, Failure};
use crate::bytes::{byte, shown};
use crate::number::Number;
use crate::value::{Object, Value};
use reader::holdable;
pub(crate) use reader::{read, read_first};
use writer::name;
pub(crate) use writer::{members, write, Layout};

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

#[cfg(test)]
mod tests;
