//! Data that comes in pieces, until they are put together.

use super::*;

/// Data in the making.
pub(super) enum Pieces {
    /// An object whose members came in pieces.
    Members(BTreeMap<Value, Pieces>),
    /// What came at once.
    Whole(Value),
}

impl Default for Pieces {
    fn default() -> Self {
        Self::Members(BTreeMap::new())
    }
}

impl Pieces {
    /// Objects become one; anything else must not meet. As deep as JSON that was read may be.
    pub(super) fn add(&mut self, piece: &Value) -> Result<(), String> {
        if let Self::Whole(Value::Object(known)) = self {
            let whole = |(name, value): &(Value, Value)| (name.clone(), Self::Whole(value.clone()));
            *self = Self::Members(known.iter().map(whole).collect());
        }
        let (Self::Members(known), Value::Object(members)) = (self, piece) else {
            return Err("`data` has two values at one place".to_owned());
        };
        for (name, value) in members.iter() {
            match known.get_mut(name) {
                Some(known) => known.add(value).map_err(|_| {
                    format!("`data` has two values at `{}`", name.as_str().unwrap_or_default())
                })?,
                None => drop(known.insert(name.clone(), Self::Whole(value.clone()))),
            }
        }
        Ok(())
    }

    /// Drops one of the smaller parts; how many values that were. `None`: it is empty.
    pub(super) fn drop_one(&mut self) -> Option<usize> {
        let Self::Members(members) = self else { return None };
        let mut last = members.last_entry()?;
        if let Some(size) = last.get_mut().drop_one() {
            return Some(size);
        }
        match last.remove() {
            Self::Whole(value) => Some(values(&value)),
            Self::Members(_) => Some(1),
        }
    }

    pub(super) fn value(&self) -> Value {
        match self {
            Self::Whole(value) => value.clone(),
            Self::Members(members) => {
                let members = members.iter().map(|(name, piece)| (name.clone(), piece.value()));
                Value::Object(Object::from(members.collect::<Vec<_>>()))
            }
        }
    }
}

/// How many values it is made of.
pub(super) fn values(value: &Value) -> usize {
    let sum = |values: &mut dyn Iterator<Item = &Value>| {
        values.fold(1, |sum: usize, value| sum.saturating_add(self::values(value)))
    };
    match value {
        Value::Array(items) => sum(&mut items.iter()),
        Value::Object(members) => sum(&mut members.values()),
        _ => 1,
    }
}
