//! What must hold before a branch is tried, and how values fit that: OPA's index over rules.

use super::*;
use crate::lower::glob::split;

/// What must be there, or be of a form, before anything else of a body is tried: as OPA's index does.
pub(crate) struct Guard {
    /// The place of its operand among those that are asked about in the document.
    pub(crate) level: usize,
    pub(crate) operand: Operand,
    /// Of which it must have one.
    pub(crate) forms: Vec<Form>,
    /// A text is also taken as the array of its parts between these, each by itself.
    pub(crate) delimiters: Vec<String>,
}

/// Where a branch is found: how it fits by level. What asks nothing on a level is before what does.
pub(crate) type Rank = Vec<(Reverse<usize>, Fit)>;

/// What a guard asks for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Form {
    Any,
    /// This scalar, or a collection that has it as a member: OPA's index keeps both in one place.
    Scalar(Value),
    /// An array of so many items, some of which are constants.
    Array(Vec<Option<Value>>),
}

/// How a value fits a guard, in the order in which OPA's index finds rules by that.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Fit {
    No,
    Any,
    /// By which of its items are constants.
    Array(u64),
    Scalar,
    /// A collection that has the scalar at this place.
    Member(usize),
    /// A text whose parts are the array.
    Parts(u64),
    /// A text that has the scalar as a part.
    Part,
}

impl Fit {
    /// It is what a guard of one form asks for, and not only something that the index takes for it.
    pub(crate) const fn is_all(self) -> bool {
        matches!(self, Self::Any | Self::Array(_) | Self::Scalar)
    }
}

impl Guard {
    /// How a value fits, and the work of finding out. Constants are small.
    #[inline]
    pub(crate) fn fits(&self, value: &Value) -> (Fit, usize) {
        match self.forms.as_slice() {
            [Form::Any] => (Fit::Any, 0),
            [Form::Scalar(constant)] if value.is_scalar() && self.delimiters.is_empty() => {
                (if value == constant { Fit::Scalar } else { Fit::No }, 0)
            }
            [Form::Array(items)] if self.delimiters.is_empty() => (fits_array(items, value), items.len()),
            _ => (self.fits_some(value), self.work(value)),
        }
    }

    fn fits_some(&self, value: &Value) -> Fit {
        let as_is = |form: &Form| match form {
            Form::Any => Fit::Any,
            Form::Scalar(constant) if value == constant => Fit::Scalar,
            Form::Scalar(constant) => value.place_of(constant).map_or(Fit::No, Fit::Member),
            Form::Array(items) => fits_array(items, value),
        };
        match (first(self.forms.iter().map(as_is)), value.as_str()) {
            (Fit::No, Some(text)) if !self.delimiters.is_empty() => self.fits_parts(text),
            (fit, _) => fit,
        }
    }

    fn fits_parts(&self, text: &str) -> Fit {
        let sets = || self.delimiters.iter();
        let in_parts = |form: &Form| match form {
            Form::Any => Fit::Any,
            Form::Scalar(constant) => {
                let is_part = |set: &String| split(text, set).any(|part| constant.as_str() == Some(part));
                if sets().any(is_part) {
                    Fit::Part
                } else {
                    Fit::No
                }
            }
            Form::Array(items) => {
                let are_parts = |set: &String| {
                    are_items(items, split(text, set), |item, part| item.as_str() == Some(part))
                };
                if sets().any(are_parts) {
                    Fit::Parts(constants(items))
                } else {
                    Fit::No
                }
            }
        };
        first(self.forms.iter().map(in_parts))
    }

    fn work(&self, value: &Value) -> usize {
        let form = |form: &Form| match form {
            Form::Any => 0,
            Form::Scalar(_) => value.members(),
            Form::Array(items) => items.len(),
        };
        let text = value.as_str().map_or(0, str::len).saturating_mul(self.delimiters.len());
        self.forms.iter().fold(text, |work, each| work.saturating_add(form(each)))
    }
}

/// By which of several forms a rule is found first.
fn first(fits: impl Iterator<Item = Fit>) -> Fit {
    fits.filter(|fit| *fit != Fit::No).min().unwrap_or(Fit::No)
}

/// Which items are constants, a bit for each of the first ones: what may be anything is found before.
pub(crate) fn constants(items: &[Option<Value>]) -> u64 {
    items.iter().take(64).fold(0, |bits, item| (bits << 1) | u64::from(item.is_some()))
}

fn fits_array(items: &[Option<Value>], value: &Value) -> Fit {
    match value {
        Value::Array(values) if are_items(items, values.iter(), |item, value| item == value) => {
            Fit::Array(constants(items))
        }
        _ => Fit::No,
    }
}

/// Whether there are so many items, and each is what is asked of it.
fn are_items<T>(
    asked: &[Option<Value>],
    mut items: impl Iterator<Item = T>,
    is_it: impl Fn(&Value, T) -> bool,
) -> bool {
    let each = |asked: &Option<Value>| {
        items.next().is_some_and(|item| asked.as_ref().is_none_or(|asked| is_it(asked, item)))
    };
    asked.iter().all(each) && items.next().is_none()
}

/// What a guard looks at: a slot, and constant keys below it.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Operand {
    Input(usize, Vec<Value>),
    Base(usize, Vec<Value>),
    Argument(usize),
}
