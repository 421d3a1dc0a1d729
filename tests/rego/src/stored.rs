//! Programs with the answers that OPA gave, which need no OPA any more.

use everycall_rego::Value;
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

use crate::cases::plain;
use crate::oracle::Opa;
use crate::ours::{Evaluate, Ours};
use crate::tree::{Program, Reader};

/// A program, and what it comes to.
#[derive(Serialize, Deserialize)]
pub struct Stored {
    pub modules: Vec<String>,
    pub data: Box<RawValue>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub input: Option<Box<RawValue>>,
    pub query: String,
    pub want: Want,
    /// What we said to it, when it was a difference.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub got: Option<String>,
}

/// What it comes to.
#[derive(Serialize, Deserialize, Clone)]
#[serde(rename_all = "snake_case")]
pub enum Want {
    Value(Box<RawValue>),
    Undefined,
    Error,
}

impl Want {
    /// What OPA says, if it decides.
    pub fn of(opa: &Opa) -> Option<Self> {
        match opa {
            Opa::Value(_, text) => Some(Self::Value(text.clone())),
            Opa::Undefined => Some(Self::Undefined),
            Opa::Conflict(_) => Some(Self::Error),
            Opa::Undecided(_) | Opa::Refused(_) => None,
        }
    }

    /// Whether this is it.
    pub fn is(&self, got: &Ours) -> bool {
        match (self, got) {
            (Self::Value(text), Ours::Value(got)) => {
                Value::from_json(text.get()).is_some_and(|want| plain(&want) == plain(got))
            }
            (Self::Undefined, Ours::Undefined) | (Self::Error, Ours::Error(_)) => true,
            _ => false,
        }
    }
}

impl std::fmt::Display for Want {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Value(text) => f.write_str(text.get()),
            Self::Undefined => f.write_str("undefined"),
            Self::Error => f.write_str("an error"),
        }
    }
}

impl Stored {
    /// A program, with what it has to come to.
    pub fn new(program: &Program, want: Want, got: Option<String>) -> serde_json::Result<Self> {
        Ok(Self {
            modules: program.texts(Reader::Us).into_iter().map(|(_, text)| text).collect(),
            data: serde_json::value::to_raw_value(&program.data)?,
            input: program.input.as_ref().map(serde_json::value::to_raw_value).transpose()?,
            query: program.query.clone(),
            want,
            got,
        })
    }

    /// What is wrong, if it comes to something else.
    pub fn check(&self, evaluate: Evaluate) -> Result<(), String> {
        let modules: Vec<_> =
            self.modules.iter().enumerate().map(|(at, text)| (format!("m{at}.rego"), text.clone())).collect();
        let read =
            |text: &RawValue| Value::from_json(text.get()).ok_or_else(|| format!("{text} can't be read"));
        let data = read(&self.data)?;
        let input = self.input.as_deref().map(read).transpose()?;
        let got = evaluate(&modules, &data, input.as_ref(), &self.query);
        if self.want.is(&got) {
            return Ok(());
        }
        let mut text = format!("{} is {} in OPA, and here {got}\n", self.query, self.want);
        for module in &self.modules {
            text.push_str("-- \n");
            text.push_str(module);
        }
        text.push_str(&format!("-- data: {}\n", self.data));
        if let Some(input) = &self.input {
            text.push_str(&format!("-- input: {input}\n"));
        }
        Err(text)
    }
}
