//! Why a bundle is not taken. The one before it stays in force.

use std::fmt;

use crate::settings::ConfigError;

/// Kinds of refusals, for metrics.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum BundleFault {
    /// It does not have the form of a bundle file.
    Malformed,
    /// It is not signed by one of the configured keys.
    Signature,
    /// The signature could not be checked.
    Unverifiable,
    /// It is not what was signed.
    Digest,
    /// It is older than one that was in force, or another one of the same sequence.
    Older,
    /// It has expired, or is older than `bundle.max_stale_s`.
    Expired,
    /// It was signed in the future.
    NotYetValid,
    /// It is larger than `bundle.remote.max_bytes`.
    TooLarge,
    /// Something in it is wrong, or does not compile.
    Invalid,
}

impl BundleFault {
    /// All kinds.
    pub const ALL: [Self; 9] = [
        Self::Malformed,
        Self::Signature,
        Self::Unverifiable,
        Self::Digest,
        Self::Older,
        Self::Expired,
        Self::NotYetValid,
        Self::TooLarge,
        Self::Invalid,
    ];

    /// The word for it in metrics.
    pub const fn code(self) -> &'static str {
        match self {
            Self::Malformed => "malformed",
            Self::Signature => "signature",
            Self::Unverifiable => "unverifiable",
            Self::Digest => "digest",
            Self::Older => "older",
            Self::Expired => "expired",
            Self::NotYetValid => "not_yet_valid",
            Self::TooLarge => "too_large",
            Self::Invalid => "invalid",
        }
    }
}

/// A bundle that is not taken, and everything that is wrong with it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BundleError {
    fault: BundleFault,
    errors: Vec<ConfigError>,
}

impl BundleError {
    pub(super) fn invalid(errors: Vec<ConfigError>) -> Self {
        Self { fault: BundleFault::Invalid, errors }
    }

    pub(crate) fn new(fault: BundleFault, at: &str, message: impl Into<String>) -> Self {
        Self { fault, errors: vec![ConfigError::new(at, message)] }
    }

    /// Its kind.
    pub const fn fault(&self) -> BundleFault {
        self.fault
    }

    /// What is wrong, never empty; each with the line it is in.
    pub fn errors(&self) -> &[ConfigError] {
        &self.errors
    }
}

/// One line, however much is wrong.
impl fmt::Display for BundleError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        const SHOWN: usize = 3;
        let text = |error: &ConfigError| match error.path.as_str() {
            "" => error.message.clone(),
            path => format!("{path}: {}", error.message),
        };
        let shown: Vec<String> = self.errors.iter().take(SHOWN).map(text).collect();
        write!(f, "{}: {}", self.fault.code(), shown.join("; "))?;
        match self.errors.len().saturating_sub(SHOWN) {
            0 => Ok(()),
            more => write!(f, "; and {more} more"),
        }
    }
}

impl std::error::Error for BundleError {}
