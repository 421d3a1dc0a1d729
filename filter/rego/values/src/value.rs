//! What policies compute with. `undefined` is no value: it is the absence of one (`Option::None`).

mod collections;

use std::borrow::Cow;
use std::fmt;
use std::sync::Arc;

use crate::bytes;
use crate::number::Number;
pub use collections::{Array, Object, Set};

/// A value of Rego. The order of the variants is OPA's order of types, so that the derived order of
/// values is the one that `<`, `sort`, `min` and the order of sets and objects follow.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord)]
pub enum Value {
    /// `null`.
    Null,
    /// `false` before `true`.
    Bool(bool),
    /// By what it is worth: `1.0` equals `1`.
    Number(Number),
    /// By its bytes.
    String(Arc<str>),
    /// Element by element, then by length.
    Array(Array),
    /// Member by member, then by length.
    Object(Object),
    /// As an array of its elements in their order.
    Set(Set),
}

/// Claims and headers live in it: never printed by accident.
impl fmt::Debug for Value {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.type_name())
    }
}

impl Value {
    /// As OPA's `type_name`.
    pub const fn type_name(&self) -> &'static str {
        match self {
            Self::Null => "null",
            Self::Bool(_) => "boolean",
            Self::Number(_) => "number",
            Self::String(_) => "string",
            Self::Array(_) => "array",
            Self::Object(_) => "object",
            Self::Set(_) => "set",
        }
    }

    /// The text, if it is one.
    pub fn as_str(&self) -> Option<&str> {
        match self {
            Self::String(text) => Some(text),
            _ => None,
        }
    }

    /// The elements, if it is an array.
    pub fn as_array(&self) -> Option<&[Value]> {
        match self {
            Self::Array(items) => Some(items),
            _ => None,
        }
    }

    /// The object, if it is one.
    pub const fn as_object(&self) -> Option<&Object> {
        match self {
            Self::Object(members) => Some(members),
            _ => None,
        }
    }

    /// The set, if it is one.
    pub const fn as_set(&self) -> Option<&Set> {
        match self {
            Self::Set(items) => Some(items),
            _ => None,
        }
    }

    /// How many arrays, objects and sets are inside each other.
    pub fn depth(&self) -> usize {
        usize::from(match self {
            Self::Array(items) => items.1,
            Self::Set(items) => items.1,
            Self::Object(members) => members.1,
            _ => 0,
        })
    }

    /// Elements or members, or 1 for what has neither.
    pub fn elements(&self) -> usize {
        match self {
            Self::Array(items) => items.len(),
            Self::Set(items) => items.len(),
            Self::Object(members) => members.len(),
            _ => 1,
        }
    }

    /// How many members it has.
    pub fn members(&self) -> usize {
        match self {
            Self::Array(_) | Self::Set(_) | Self::Object(_) => self.elements(),
            _ => 0,
        }
    }

    /// Whether it has no members: no array, object or set.
    pub const fn is_scalar(&self) -> bool {
        !matches!(self, Self::Array(_) | Self::Set(_) | Self::Object(_))
    }

    /// Whether one of its members is this value.
    pub fn has_member(&self, value: &Value) -> bool {
        match self {
            Self::Array(items) => items.contains(value),
            Self::Set(items) => items.get(value).is_some(),
            Self::Object(members) => members.iter().any(|(_, member)| member == value),
            _ => false,
        }
    }

    /// The place of a member, as [`Value::member`] counts them.
    pub fn place_of(&self, value: &Value) -> Option<usize> {
        match self {
            Self::Array(items) => items.iter().position(|item| item == value),
            Self::Set(items) => items.iter().position(|item| item == value),
            Self::Object(members) => members.iter().position(|(_, member)| member == value),
            _ => None,
        }
    }

    /// The key and the value of a member, in their order.
    pub fn member(&self, at: usize) -> Option<(Value, &Value)> {
        match self {
            Self::Array(items) => items.get(at).map(|item| (Value::from(at), item)),
            Self::Set(items) => items.at(at).map(|item| (item.clone(), item)),
            Self::Object(members) => members.at(at).map(|(key, value)| (key.clone(), value)),
            _ => None,
        }
    }

    /// What `value[key]` is. Of a set, the element that equals `key`.
    #[inline]
    pub fn get(&self, key: &Value) -> Option<&Value> {
        match (self, key) {
            (Self::Object(members), key) => members.get(key),
            (Self::Array(items), Self::Number(index)) => items.get(usize::try_from(index.as_index()?).ok()?),
            (Self::Set(items), key) => items.get(key),
            _ => None,
        }
    }

    /// What `value[key]` is in base data, which OPA keeps in a store whose paths are texts.
    pub fn get_stored(&self, key: &Value) -> Option<&Value> {
        match (self, key) {
            (Self::Object(members), Self::Number(number)) => members.get_str(&number.to_string()),
            (Self::Array(items), Self::String(text)) => {
                let index = text.parse().ok().or_else(|| Number::parse(text)?.as_index())?;
                items.get(usize::try_from(index).ok()?)
            }
            (value, key) => value.get(key),
        }
    }

    /// What `value.name` is.
    #[inline]
    pub fn get_str(&self, name: &str) -> Option<&Value> {
        match self {
            Self::Object(members) => members.get_str(name),
            Self::Set(items) => items.get_str(name),
            _ => None,
        }
    }
}

impl From<bool> for Value {
    fn from(value: bool) -> Self {
        Self::Bool(value)
    }
}

impl From<i64> for Value {
    fn from(value: i64) -> Self {
        Self::Number(Number::from(value))
    }
}

impl From<usize> for Value {
    fn from(value: usize) -> Self {
        Self::from(i64::try_from(value).unwrap_or(i64::MAX))
    }
}

impl From<Number> for Value {
    fn from(value: Number) -> Self {
        Self::Number(value)
    }
}

/// Texts from outside. Characters that stand for bytes in ours are taken for what is no character.
impl From<&str> for Value {
    fn from(value: &str) -> Self {
        Self::String(Arc::from(&*bytes::shown(value)))
    }
}

impl From<String> for Value {
    fn from(value: String) -> Self {
        Self::from(value.as_str())
    }
}

impl From<Arc<str>> for Value {
    fn from(value: Arc<str>) -> Self {
        match bytes::shown(&value) {
            Cow::Borrowed(_) => Self::String(value),
            Cow::Owned(text) => Self::from(text.as_str()),
        }
    }
}

impl From<Set> for Value {
    fn from(items: Set) -> Self {
        Self::Set(items)
    }
}

impl From<Object> for Value {
    fn from(members: Object) -> Self {
        Self::Object(members)
    }
}

#[cfg(test)]
mod tests;
