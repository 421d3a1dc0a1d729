//! What is wrong with a configuration, or with a part of it that comes from elsewhere.

use std::fmt;

use serde::Serialize;

use crate::base::json::Wrong;

/// One thing that is wrong with a configuration.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct ConfigError {
    /// JSON path of the offending key, such as `issuers[0].audiences`.
    pub path: String,
    /// What is wrong and what was expected.
    pub message: String,
}

impl ConfigError {
    pub(crate) fn new(path: &str, message: impl Into<String>) -> Self {
        Self { path: path.to_owned(), message: message.into() }
    }

    /// What is wrong with a value that stands at `place`.
    pub(crate) fn of(place: &str, wrong: &Wrong) -> Self {
        let steps = [place, wrong.path(), wrong.missing().unwrap_or_default()];
        let steps: Vec<&str> = steps.into_iter().filter(|step| !step.is_empty()).collect();
        Self { path: steps.join("."), message: wrong.message() }
    }
}

impl fmt::Display for ConfigError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.path.as_str() {
            "" => write!(f, "configuration: {}", self.message),
            path => write!(f, "{path}: {}", self.message),
        }
    }
}

/// Everything that is wrong with a configuration, never empty.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ConfigErrors(pub(crate) Vec<ConfigError>);

impl ConfigErrors {
    /// The errors, in order of the document as far as possible.
    pub fn iter(&self) -> impl Iterator<Item = &ConfigError> {
        self.0.iter()
    }
}

impl fmt::Display for ConfigErrors {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let lines: Vec<String> = self.0.iter().map(ToString::to_string).collect();
        f.write_str(&lines.join("; "))
    }
}

impl std::error::Error for ConfigErrors {}
