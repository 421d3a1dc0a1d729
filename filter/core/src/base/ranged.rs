//! Numbers whose type says what they may be: it is what refuses others, and what the schema says.

use std::fmt;
use std::ops::Deref;

use serde::de::{Deserialize, DeserializeSeed, Deserializer, Error, SeqAccess, Unexpected, Visitor};

/// What our own deserializer knows such a number by.
pub(crate) const RANGED: &str = "Ranged";

/// A whole number from `MIN` to `MAX`, which `T` holds. It is `DEFAULT` where it is absent and has to be something.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[cfg_attr(feature = "schema", derive(serde::Serialize))]
pub struct Ranged<T, const MIN: i64, const MAX: i64, const DEFAULT: i64 = { i64::MIN }>(T);

/// How long an answer may take, in milliseconds. A host reads 0 as "wait for ever".
pub type Timeout<const DEFAULT: i64> = Ranged<u32, 1, 60_000, DEFAULT>;

impl<T, const MIN: i64, const MAX: i64, const DEFAULT: i64> Ranged<T, MIN, MAX, DEFAULT> {
    /// The greatest.
    pub const MAX: i64 = MAX;

    /// The greatest that it could be.
    pub const fn most(&self) -> i64 {
        MAX
    }
}

impl<T, const MIN: i64, const MAX: i64, const DEFAULT: i64> Deref for Ranged<T, MIN, MAX, DEFAULT> {
    type Target = T;

    fn deref(&self) -> &T {
        &self.0
    }
}

impl<T: fmt::Display, const MIN: i64, const MAX: i64, const DEFAULT: i64> fmt::Display
    for Ranged<T, MIN, MAX, DEFAULT>
{
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

macro_rules! held_by {
    ($($number:ty)+) => {$(
        impl<const MIN: i64, const MAX: i64, const DEFAULT: i64> Ranged<$number, MIN, MAX, DEFAULT> {
            /// One that is known to be in the range.
            const fn of(value: i64) -> Self {
                const { assert!(MIN <= MAX && MIN as $number as i64 == MIN && MAX as $number as i64 == MAX) };
                Self(value as $number)
            }
        }

        impl<const MIN: i64, const MAX: i64, const DEFAULT: i64> Default for Ranged<$number, MIN, MAX, DEFAULT> {
            fn default() -> Self {
                const { assert!(MIN <= DEFAULT && DEFAULT <= MAX) };
                Self::of(DEFAULT)
            }
        }

        impl<'de, const MIN: i64, const MAX: i64, const DEFAULT: i64> Deserialize<'de>
            for Ranged<$number, MIN, MAX, DEFAULT>
        {
            fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                read(deserializer, Within(MIN, MAX)).map(Self::of)
            }
        }
    )+};
}

held_by!(u32 i64 usize);

/// A range; whatever it is, one code reads a number of it.
#[derive(Clone, Copy)]
struct Within(i64, i64);

#[inline(never)]
fn read<'de, D: Deserializer<'de>>(deserializer: D, range: Within) -> Result<i64, D::Error> {
    deserializer.deserialize_newtype_struct(RANGED, range)
}

impl Within {
    fn check<E: Error>(self, value: i64) -> Result<i64, E> {
        let Self(min, max) = self;
        if (min..=max).contains(&value) {
            Ok(value)
        } else {
            Err(E::custom(format_args!("{value} is out of range; expected {min} to {max}")))
        }
    }
}

impl<'de> Visitor<'de> for Within {
    type Value = i64;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "an integer from {} to {}", self.0, self.1)
    }

    fn visit_i64<E: Error>(self, value: i64) -> Result<i64, E> {
        self.check(value)
    }

    fn visit_u64<E: Error>(self, value: u64) -> Result<i64, E> {
        match i64::try_from(value) {
            Ok(value) => self.check(value),
            Err(_) => Err(E::invalid_value(Unexpected::Unsigned(value), &self)),
        }
    }

    fn visit_newtype_struct<D: Deserializer<'de>>(self, deserializer: D) -> Result<i64, D::Error> {
        self.deserialize(deserializer)
    }

    // Of our own deserializer. There is no number where it has noted that it is out of range, and goes on.
    fn visit_seq<A: SeqAccess<'de>>(self, mut number: A) -> Result<i64, A::Error> {
        match number.next_element_seed(self)? {
            Some(value) => Ok(value),
            None => Ok(number.next_element::<i64>()?.unwrap_or_default().clamp(self.0, self.1)),
        }
    }
}

impl<'de> DeserializeSeed<'de> for Within {
    type Value = i64;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<i64, D::Error> {
        deserializer.deserialize_i64(self)
    }
}

#[cfg(feature = "schema")]
impl<T, const MIN: i64, const MAX: i64, const DEFAULT: i64> schemars::JsonSchema
    for Ranged<T, MIN, MAX, DEFAULT>
{
    fn inline_schema() -> bool {
        true
    }

    fn schema_name() -> std::borrow::Cow<'static, str> {
        RANGED.into()
    }

    fn json_schema(_: &mut schemars::SchemaGenerator) -> schemars::Schema {
        schemars::json_schema!({"type": "integer", "minimum": MIN, "maximum": MAX})
    }
}
