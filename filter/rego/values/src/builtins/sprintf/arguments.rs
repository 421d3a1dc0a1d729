//! What OPA hands to Go's `fmt`.

use super::*;

/// What OPA hands to Go for a value.
pub(super) enum Argument {
    Int(i64),
    Big(BigInt),
    Float(f64),
    Text(String),
}

impl Argument {
    pub(super) fn of(value: &Value, budget: &mut Budget) -> Result<Self, Failure> {
        Ok(match value {
            Value::Number(number) => Self::of_number(number, budget)?,
            Value::String(text) => {
                budget.charge(text.len() / 8)?;
                Self::Text(text.to_string())
            }
            other => Self::Text(value_text(other, budget)?),
        })
    }

    /// A number with an exponent and no point is its text.
    fn of_number(number: &Number, budget: &mut Budget) -> Result<Self, Failure> {
        if let Some(small) = number.as_i64() {
            return Ok(Self::Int(small));
        }
        budget.charge(number.work())?;
        let text = number.as_text().unwrap_or_default();
        if text.contains('.') {
            return text.parse().map(Self::Float).map_err(|_| Failure::Limit);
        }
        if text.contains(['e', 'E']) {
            return Ok(Self::Text(text.to_owned()));
        }
        number.to_integer().map(Self::Big).ok_or(Failure::Limit)
    }

    pub(super) const fn type_name(&self) -> &'static str {
        match self {
            Self::Int(_) => "int64",
            Self::Big(_) => "*big.Int",
            Self::Float(_) => "float64",
            Self::Text(_) => "string",
        }
    }
}
