//! What one evaluation may cost. It counts no time, so that a decision comes out the same on every
//! machine and when it is made again from its record.

use crate::eval::Halt;
use crate::value::Value;

/// Values inside each other.
pub(crate) const MAX_DEPTH: usize = 256;

/// Why a builtin gives no value.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Failure {
    /// Its arguments are not what it takes: undefined, as in OPA. What was expected, for people.
    Error(&'static str),
    /// The budget is used up: the evaluation ends.
    Limit,
}

/// What is left of an evaluation's limits.
#[derive(Debug, Clone)]
pub struct Budget {
    /// Steps of the evaluation itself.
    pub(crate) steps: u64,
    /// Units of work of builtins and of making values; a unit is at most about 20 ns of the module.
    pub(crate) work: u64,
}

impl Budget {
    /// So many steps, and so many units of work.
    pub const fn new(steps: u64, work: u64) -> Self {
        Self { steps, work }
    }

    /// Takes the reading of a result.
    ///
    /// # Errors
    /// It is not left.
    pub fn take(&mut self, result: &Value) -> Result<(), Halt> {
        self.charge_size(result).map_err(|_| Halt::Limit("much work"))
    }

    /// Takes units of work. Call it before the work is done.
    pub(crate) fn charge(&mut self, work: usize) -> Result<(), Failure> {
        let work = u64::try_from(work).unwrap_or(u64::MAX);
        self.work = self.work.checked_sub(work).ok_or(Failure::Limit)?;
        Ok(())
    }

    /// Takes the size of a value: bytes of text and numbers, and one for each value, of the whole tree.
    pub(crate) fn charge_size(&mut self, value: &Value) -> Result<(), Failure> {
        match value {
            Value::Null | Value::Bool(_) => self.charge(1),
            Value::Number(number) => self.charge(number.digits()),
            Value::String(text) => self.charge(text.len().saturating_add(1)),
            Value::Array(items) => self.charge_all(items),
            Value::Set(items) => self.charge_all(items),
            Value::Object(members) => {
                self.charge(1)?;
                members.iter().try_for_each(|(key, value)| {
                    self.charge_size(key)?;
                    self.charge_size(value)
                })
            }
        }
    }

    fn charge_all(&mut self, items: &[Value]) -> Result<(), Failure> {
        self.charge(1)?;
        items.iter().try_for_each(|item| self.charge_size(item))
    }
}
