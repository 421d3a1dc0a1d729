//! Arrays, sets and objects: what they hold in order, and how deep that is.

use super::*;

/// Elements or members that are looked through one by one.
pub(super) const FEW: usize = 12;

impl From<Vec<Value>> for Value {
    fn from(items: Vec<Value>) -> Self {
        let depth = around(items.iter());
        Self::Array(Array(Arc::from(items), depth))
    }
}

/// The depth of what holds these.
fn around<'v>(inside: impl Iterator<Item = &'v Value>) -> u16 {
    let deepest = inside.map(Value::depth).max().unwrap_or(0);
    u16::try_from(deepest).unwrap_or(u16::MAX).saturating_add(1)
}

/// Elements in their places, and their depth.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Array(Arc<[Value]>, pub(super) u16);

impl std::ops::Deref for Array {
    type Target = [Value];
    fn deref(&self) -> &[Value] {
        &self.0
    }
}

/// Elements in their order, each once, and their depth.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Set(Arc<[Value]>, pub(super) u16);

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

    pub(super) fn get_str(&self, text: &str) -> Option<&Value> {
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
pub struct Object(Arc<[(Value, Value)]>, pub(super) u16);

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
