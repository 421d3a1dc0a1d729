//! JSON values into our own types, with the path of what is wrong.
//!
//! Every type is read through this one deserializer: each further one would put the readers of all
//! types into the module once more. An object must be an object: serde's own would also take an array.

#[cfg(test)]
mod tests;
mod wrong;

use std::cell::RefCell;
use std::fmt;

use serde::de::value::BorrowedStrDeserializer;
use serde::de::{
    self, DeserializeSeed, Deserializer, EnumAccess, Error as _, MapAccess, SeqAccess, Unexpected,
    VariantAccess, Visitor,
};
use serde_json::{Map, Value};

use crate::base::ranged::RANGED;
pub(crate) use wrong::Wrong;

/// Reads a value. Texts may be borrowed from it.
///
/// # Errors
/// What is wrong, and where.
pub(crate) fn typed<'v, T: de::Deserialize<'v>>(value: &'v Value) -> Result<T, Wrong> {
    T::deserialize(At { value, noted: None })
}

/// As [`typed`], but numbers that are out of their ranges are noted, and others are read in their place.
pub(crate) fn typed_noting<'v, T: de::Deserialize<'v>>(
    value: &'v Value,
    noted: &'v RefCell<Vec<Wrong>>,
) -> Result<T, Wrong> {
    T::deserialize(At { value, noted: Some(noted) })
}

#[derive(Clone, Copy)]
struct At<'v> {
    value: &'v Value,
    noted: Option<&'v RefCell<Vec<Wrong>>>,
}

impl<'v> At<'v> {
    /// Another value, inside.
    const fn inside(self, value: &'v Value) -> Self {
        Self { value, ..self }
    }

    /// Reads this, which stands at `step`.
    fn read<S: DeserializeSeed<'v>>(self, seed: S, step: fmt::Arguments<'_>) -> Result<S::Value, Wrong> {
        let before = self.noted();
        let mut read = seed.deserialize(self);
        if read.is_err() || self.noted() > before {
            self.put_inside(read.as_mut().err(), before, step);
        }
        read
    }

    /// How much was noted.
    fn noted(self) -> usize {
        self.noted.map_or(0, |noted| noted.borrow().len())
    }

    /// What is wrong, and what was noted since, is inside of this step.
    #[cold]
    fn put_inside(self, wrong: Option<&mut Wrong>, before: usize, step: fmt::Arguments<'_>) {
        let mut noted = self.noted.map(RefCell::borrow_mut);
        let since = noted.iter_mut().flat_map(|noted| noted.iter_mut().skip(before));
        since.chain(wrong).for_each(|wrong| wrong.put_inside(step));
    }

    #[cold]
    fn instead_of(self, expected: &dyn de::Expected) -> Wrong {
        let found = match self.value {
            Value::Null => Unexpected::Unit,
            Value::Bool(value) => Unexpected::Bool(*value),
            Value::Number(number) => match (number.as_u64(), number.as_i64()) {
                (Some(value), _) => Unexpected::Unsigned(value),
                (None, Some(value)) => Unexpected::Signed(value),
                (None, None) => Unexpected::Float(number.as_f64().unwrap_or(f64::NAN)),
            },
            Value::String(text) => Unexpected::Str(text),
            Value::Array(_) => Unexpected::Seq,
            Value::Object(_) => Unexpected::Map,
        };
        Wrong::invalid_type(found, expected)
    }
}

// Each method offers a visitor what its type can be, and no more: what a type cannot be needs no code.
impl<'v> Deserializer<'v> for At<'v> {
    type Error = Wrong;

    fn deserialize_any<V: Visitor<'v>>(self, visitor: V) -> Result<V::Value, Wrong> {
        match self.value {
            Value::Null => visitor.visit_unit(),
            Value::Bool(value) => visitor.visit_bool(*value),
            Value::Number(_) => self.deserialize_f64(visitor),
            Value::String(text) => visitor.visit_borrowed_str(text),
            Value::Array(items) => visitor.visit_seq(Items { list: self, items: items.iter(), next: 0 }),
            Value::Object(members) => visitor.visit_map(Members::of(self, members)),
        }
    }

    fn deserialize_bool<V: Visitor<'v>>(self, visitor: V) -> Result<V::Value, Wrong> {
        match self.value {
            Value::Bool(value) => visitor.visit_bool(*value),
            _ => Err(self.instead_of(&visitor)),
        }
    }

    // Whole numbers too: what fits is the visitor's business.
    fn deserialize_f64<V: Visitor<'v>>(self, visitor: V) -> Result<V::Value, Wrong> {
        let Value::Number(number) = self.value else { return Err(self.instead_of(&visitor)) };
        match (number.as_u64(), number.as_i64(), number.as_f64()) {
            (Some(value), ..) => visitor.visit_u64(value),
            (None, Some(value), _) => visitor.visit_i64(value),
            (None, None, Some(value)) => visitor.visit_f64(value),
            (None, None, None) => Err(self.instead_of(&visitor)),
        }
    }

    fn deserialize_u8<V: Visitor<'v>>(self, visitor: V) -> Result<V::Value, Wrong> {
        self.deserialize_f64(visitor)
    }

    fn deserialize_u16<V: Visitor<'v>>(self, visitor: V) -> Result<V::Value, Wrong> {
        self.deserialize_f64(visitor)
    }

    fn deserialize_u32<V: Visitor<'v>>(self, visitor: V) -> Result<V::Value, Wrong> {
        self.deserialize_f64(visitor)
    }

    fn deserialize_u64<V: Visitor<'v>>(self, visitor: V) -> Result<V::Value, Wrong> {
        self.deserialize_f64(visitor)
    }

    fn deserialize_i64<V: Visitor<'v>>(self, visitor: V) -> Result<V::Value, Wrong> {
        self.deserialize_f64(visitor)
    }

    fn deserialize_str<V: Visitor<'v>>(self, visitor: V) -> Result<V::Value, Wrong> {
        match self.value {
            Value::String(text) => visitor.visit_borrowed_str(text),
            _ => Err(self.instead_of(&visitor)),
        }
    }

    fn deserialize_string<V: Visitor<'v>>(self, visitor: V) -> Result<V::Value, Wrong> {
        self.deserialize_str(visitor)
    }

    fn deserialize_option<V: Visitor<'v>>(self, visitor: V) -> Result<V::Value, Wrong> {
        match self.value {
            Value::Null => visitor.visit_none(),
            _ => visitor.visit_some(self),
        }
    }

    fn deserialize_newtype_struct<V: Visitor<'v>>(self, name: &str, visitor: V) -> Result<V::Value, Wrong> {
        match name {
            RANGED => visitor.visit_seq(Number(self)),
            _ => visitor.visit_newtype_struct(self),
        }
    }

    fn deserialize_seq<V: Visitor<'v>>(self, visitor: V) -> Result<V::Value, Wrong> {
        match self.value {
            Value::Array(items) => visitor.visit_seq(Items { list: self, items: items.iter(), next: 0 }),
            _ => Err(self.instead_of(&visitor)),
        }
    }

    fn deserialize_map<V: Visitor<'v>>(self, visitor: V) -> Result<V::Value, Wrong> {
        match self.value {
            Value::Object(members) => visitor.visit_map(Members::of(self, members)),
            _ => Err(self.instead_of(&visitor)),
        }
    }

    fn deserialize_struct<V: Visitor<'v>>(
        self,
        _: &'static str,
        _: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, Wrong> {
        self.deserialize_map(visitor)
    }

    fn deserialize_enum<V: Visitor<'v>>(
        self,
        _: &'static str,
        _: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, Wrong> {
        match self.value {
            Value::String(variant) => visitor.visit_enum(Variant { name: variant, value: None }),
            Value::Object(members) => {
                let mut all = members.iter();
                match (all.next(), all.next()) {
                    (Some((name, value)), None) => {
                        visitor.visit_enum(Variant { name, value: Some(self.inside(value)) })
                    }
                    _ => Err(Wrong::invalid_value(Unexpected::Map, &"map with a single key")),
                }
            }
            _ => Err(self.instead_of(&"string or map")),
        }
    }

    fn deserialize_ignored_any<V: Visitor<'v>>(self, visitor: V) -> Result<V::Value, Wrong> {
        visitor.visit_unit()
    }

    serde::forward_to_deserialize_any! {
        <V: Visitor<'v>>
        i8 i16 i32 i128 u128 f32 char bytes byte_buf unit unit_struct tuple tuple_struct identifier
    }
}

/// A number of a range: as what its type may be, then as it is written.
struct Number<'v>(At<'v>);

impl<'v> SeqAccess<'v> for Number<'v> {
    type Error = Wrong;

    fn next_element_seed<S: DeserializeSeed<'v>>(&mut self, seed: S) -> Result<Option<S::Value>, Wrong> {
        match (seed.deserialize(self.0), self.0.noted) {
            (Err(wrong), Some(noted)) if self.0.value.is_i64() => {
                noted.borrow_mut().push(wrong);
                Ok(None)
            }
            (read, _) => read.map(Some),
        }
    }
}

struct Items<'v> {
    list: At<'v>,
    items: std::slice::Iter<'v, Value>,
    next: usize,
}

impl<'v> SeqAccess<'v> for Items<'v> {
    type Error = Wrong;

    fn next_element_seed<S: DeserializeSeed<'v>>(&mut self, seed: S) -> Result<Option<S::Value>, Wrong> {
        let Some(item) = self.items.next() else { return Ok(None) };
        let index = self.next;
        self.next = index.saturating_add(1);
        self.list.inside(item).read(seed, format_args!("[{index}]")).map(Some)
    }

    fn size_hint(&self) -> Option<usize> {
        Some(self.items.len())
    }
}

struct Members<'v> {
    object: At<'v>,
    members: serde_json::map::Iter<'v>,
    current: Option<(&'v str, &'v Value)>,
}

impl<'v> Members<'v> {
    fn of(object: At<'v>, members: &'v Map<String, Value>) -> Self {
        Self { object, members: members.iter(), current: None }
    }
}

impl<'v> MapAccess<'v> for Members<'v> {
    type Error = Wrong;

    fn next_key_seed<S: DeserializeSeed<'v>>(&mut self, seed: S) -> Result<Option<S::Value>, Wrong> {
        let Some((name, value)) = self.members.next() else { return Ok(None) };
        self.current = Some((name, value));
        let key = seed.deserialize(BorrowedStrDeserializer::new(name));
        key.map(Some).map_err(|wrong: Wrong| wrong.in_member(name))
    }

    fn next_value_seed<S: DeserializeSeed<'v>>(&mut self, seed: S) -> Result<S::Value, Wrong> {
        let Some((name, value)) = self.current else { return Err(Wrong::custom("value is missing")) };
        self.object.inside(value).read(seed, format_args!(".{name}"))
    }

    fn size_hint(&self) -> Option<usize> {
        Some(self.members.len())
    }
}

/// An enum: a name alone, or an object with one member.
struct Variant<'v> {
    name: &'v str,
    value: Option<At<'v>>,
}

impl<'v> EnumAccess<'v> for Variant<'v> {
    type Error = Wrong;
    type Variant = Self;

    fn variant_seed<S: DeserializeSeed<'v>>(self, seed: S) -> Result<(S::Value, Self), Wrong> {
        Ok((seed.deserialize(BorrowedStrDeserializer::new(self.name))?, self))
    }
}

impl<'v> VariantAccess<'v> for Variant<'v> {
    type Error = Wrong;

    fn unit_variant(self) -> Result<(), Wrong> {
        match self.value {
            None | Some(At { value: Value::Null, .. }) => Ok(()),
            Some(at) => Err(at.instead_of(&"unit").in_member(self.name)),
        }
    }

    fn newtype_variant_seed<S: DeserializeSeed<'v>>(self, seed: S) -> Result<S::Value, Wrong> {
        match self.value {
            Some(at) => at.read(seed, format_args!(".{}", self.name)),
            None => {
                let wrong = Wrong::invalid_type(Unexpected::UnitVariant, &"newtype variant");
                Err(wrong.in_member(self.name))
            }
        }
    }

    fn tuple_variant<V: Visitor<'v>>(self, _: usize, _: V) -> Result<V::Value, Wrong> {
        Err(Wrong::custom("tuple variants are not read"))
    }

    fn struct_variant<V: Visitor<'v>>(
        self,
        _: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, Wrong> {
        match self.value {
            Some(at @ At { value: Value::Object(members), .. }) => {
                visitor.visit_map(Members::of(at, members)).map_err(|wrong| wrong.in_member(self.name))
            }
            Some(at) => Err(at.instead_of(&"struct variant").in_member(self.name)),
            None => {
                let wrong = Wrong::invalid_type(Unexpected::UnitVariant, &"struct variant");
                Err(wrong.in_member(self.name))
            }
        }
    }
}
