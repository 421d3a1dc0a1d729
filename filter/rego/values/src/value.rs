//! What policies compute with. `undefined` is no value: it is the absence of one (`Option::None`).

use std::borrow::Cow;
use std::fmt;
use std::sync::Arc;

use crate::bytes;
use crate::number::Number;

/// Elements or members that are looked through one by one.
const FEW: usize = 12;

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

impl From<Vec<Value>> for Value {
    fn from(items: Vec<Value>) -> Self {
        let depth = around(items.iter());
        Self::Array(Array(Arc::from(items), depth))
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

/// The depth of what holds these.
fn around<'v>(inside: impl Iterator<Item = &'v Value>) -> u16 {
    let deepest = inside.map(Value::depth).max().unwrap_or(0);
    u16::try_from(deepest).unwrap_or(u16::MAX).saturating_add(1)
}

/// Elements in their places, and their depth.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Array(Arc<[Value]>, u16);

impl std::ops::Deref for Array {
    type Target = [Value];
    fn deref(&self) -> &[Value] {
        &self.0
    }
}

/// Elements in their order, each once, and their depth.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Set(Arc<[Value]>, u16);

impl Set {
    /// Whether `value` is in it.
    pub fn contains(&self, value: &Value) -> bool {
        self.get(value).is_some()
    }

    /// The element that equals `value`.
    #[inline]
    pub fn get(&self, value: &Value) -> Option<&Value> {
        match value {
            Value::String(text) => self.get_str(text),
            value => self.0.binary_search(value).ok().and_then(|at| self.0.get(at)),
        }
    }

    /// The element at this place in their order.
    pub fn at(&self, place: usize) -> Option<&Value> {
        self.0.get(place)
    }

    fn get_str(&self, text: &str) -> Option<&Value> {
        place_of_str(&self.0, |item| item, text).and_then(|at| self.0.get(at))
    }
}

impl Default for Set {
    fn default() -> Self {
        Self(Arc::from([]), 1)
    }
}

impl std::ops::Deref for Set {
    type Target = [Value];
    fn deref(&self) -> &[Value] {
        &self.0
    }
}

impl From<Vec<Value>> for Set {
    fn from(mut items: Vec<Value>) -> Self {
        if !items.is_sorted_by(|a, b| a < b) {
            // Of equal elements that are written differently, such as `1` and `1.0`, the first stays.
            items.sort();
            items.dedup();
        }
        let depth = around(items.iter());
        Self(Arc::from(items), depth)
    }
}

impl FromIterator<Value> for Set {
    fn from_iter<I: IntoIterator<Item = Value>>(items: I) -> Self {
        Self::from(items.into_iter().collect::<Vec<_>>())
    }
}

/// Members in the order of their keys, each key once, and their depth.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Object(Arc<[(Value, Value)]>, u16);

impl Object {
    /// `None` if a key has two values that differ.
    pub fn unique(mut members: Vec<(Value, Value)>) -> Option<Self> {
        if !members.is_sorted_by(|(a, _), (b, _)| a < b) {
            members.sort();
            members.dedup();
            if !members.is_sorted_by(|(a, _), (b, _)| a < b) {
                return None;
            }
        }
        Some(Self::of(members))
    }

    fn of(members: Vec<(Value, Value)>) -> Self {
        let depth = around(members.iter().flat_map(|(key, value)| [key, value]));
        Self(Arc::from(members), depth)
    }

    /// The value at `key`.
    #[inline]
    pub fn get(&self, key: &Value) -> Option<&Value> {
        if let Value::String(name) = key {
            return self.get_str(name);
        }
        let at = self.0.binary_search_by(|(known, _)| known.cmp(key)).ok()?;
        self.0.get(at).map(|(_, value)| value)
    }

    /// The member at this place in their order.
    pub fn at(&self, place: usize) -> Option<&(Value, Value)> {
        self.0.get(place)
    }

    /// The value at the key that is this text.
    #[inline]
    pub fn get_str(&self, name: &str) -> Option<&Value> {
        let at = place_of_str(&self.0, |(key, _)| key, name)?;
        self.0.get(at).map(|(_, value)| value)
    }

    /// The keys, in their order.
    pub fn keys(&self) -> impl Iterator<Item = &Value> {
        self.0.iter().map(|(key, _)| key)
    }

    /// The values, in the order of their keys.
    pub fn values(&self) -> impl Iterator<Item = &Value> {
        self.0.iter().map(|(_, value)| value)
    }
}

impl Default for Object {
    fn default() -> Self {
        Self(Arc::from([]), 1)
    }
}

impl std::ops::Deref for Object {
    type Target = [(Value, Value)];
    fn deref(&self) -> &[(Value, Value)] {
        &self.0
    }
}

/// Of several values of one key, the last one counts.
impl From<Vec<(Value, Value)>> for Object {
    // Once in the module, and not in everything that makes an object.
    #[inline(never)]
    fn from(mut members: Vec<(Value, Value)>) -> Self {
        if !members.is_sorted_by(|(a, _), (b, _)| a < b) {
            // The last one of equal keys comes first, and stays.
            members.reverse();
            members.sort_by(|(a, _), (b, _)| a.cmp(b));
            members.dedup_by(|(a, _), (b, _)| a == b);
        }
        Self::of(members)
    }
}

impl FromIterator<(Value, Value)> for Object {
    fn from_iter<I: IntoIterator<Item = (Value, Value)>>(members: I) -> Self {
        Self::from(members.into_iter().collect::<Vec<_>>())
    }
}

/// Where a text is among values in their order.
#[inline]
fn place_of_str<T>(sorted: &[T], key: impl Fn(&T) -> &Value, text: &str) -> Option<usize> {
    // Lengths tell a few texts apart sooner than their order does.
    if sorted.len() <= FEW {
        return sorted.iter().position(|item| key(item).as_str() == Some(text));
    }
    sorted.binary_search_by(|item| order_with_str(key(item), text)).ok()
}

/// How a value stands to a text.
fn order_with_str(value: &Value, text: &str) -> std::cmp::Ordering {
    match value {
        Value::String(own) => (**own).cmp(text),
        Value::Null | Value::Bool(_) | Value::Number(_) => std::cmp::Ordering::Less,
        Value::Array(_) | Value::Object(_) | Value::Set(_) => std::cmp::Ordering::Greater,
    }
}

#[cfg(test)]
mod tests;
