//! What is wrong with a value, and where.

use std::fmt;

use serde::de::{self, Unexpected};

/// What is wrong with a value.
#[derive(Debug)]
pub(crate) struct Wrong(Box<Parts>);

#[derive(Debug)]
struct Parts {
    /// Each step with the sign before it: `.keys[0].kty`.
    steps: String,
    message: serde_json::Error,
    missing: Option<&'static str>,
}

impl Wrong {
    /// The JSON path of what is wrong, such as `keys[0].kty`; empty for the value itself.
    pub(crate) fn path(&self) -> &str {
        self.0.steps.strip_prefix('.').unwrap_or(&self.0.steps)
    }

    /// What is wrong there.
    pub(crate) fn message(&self) -> String {
        self.0.message.to_string()
    }

    /// The member that is missing there, if that is what is wrong.
    pub(crate) fn missing(&self) -> Option<&'static str> {
        self.0.missing
    }

    #[cold]
    pub(super) fn put_inside(&mut self, step: fmt::Arguments<'_>) {
        self.0.steps = format!("{step}{}", self.0.steps);
    }

    pub(super) fn in_member(mut self, name: &str) -> Self {
        self.put_inside(format_args!(".{name}"));
        self
    }

    #[cold]
    pub(super) fn new(message: serde_json::Error) -> Self {
        Self(Box::new(Parts { steps: String::new(), message, missing: None }))
    }
}

/// The path, if there is one, and the message.
impl fmt::Display for Wrong {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.path() {
            "" => self.0.message.fmt(f),
            path => write!(f, "{path}: {}", self.0.message),
        }
    }
}

impl std::error::Error for Wrong {}

impl de::Error for Wrong {
    fn custom<T: fmt::Display>(message: T) -> Self {
        Self::new(serde_json::Error::custom(message))
    }

    // As serde_json names what it found: null, not a unit.
    fn invalid_type(found: Unexpected<'_>, expected: &dyn de::Expected) -> Self {
        Self::new(serde_json::Error::invalid_type(found, expected))
    }

    fn invalid_value(found: Unexpected<'_>, expected: &dyn de::Expected) -> Self {
        Self::new(serde_json::Error::invalid_value(found, expected))
    }

    fn missing_field(name: &'static str) -> Self {
        let mut wrong = Self::new(serde_json::Error::missing_field(name));
        wrong.0.missing = Some(name);
        wrong
    }
}
