//! What a configuration may say and should not: the filter takes it, and an author would be surprised.
//! One file for each family. [`LINTS`] is the list; the page's table is compared with it.

mod allows;
mod elevations;
mod grants;
mod negation;
mod opened;
mod program;
mod rules;

use everycall_core::{Bundle, Settings, UnixTime};
use serde::Serialize;
use serde_json::Value;

use crate::rego::RegoFile;
use program::Program;

/// How bad it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Level {
    /// A check fails.
    Error,
    /// A check says so and passes.
    Warning,
}

impl Level {
    /// `error` or `warning`.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Error => "error",
            Self::Warning => "warning",
        }
    }
}

/// One thing that is looked for.
#[derive(Debug)]
pub struct Lint {
    /// Its name.
    pub code: &'static str,
    /// How bad it is.
    pub level: Level,
}

const NEGATION: Lint = Lint { code: "negation_can_fail", level: Level::Error };
const DEFAULT_ALLOW: Lint = Lint { code: "default_allow", level: Level::Error };
const ALLOW_NOT_BOOLEAN: Lint = Lint { code: "allow_not_boolean", level: Level::Error };
const ALLOW_WITHOUT_IDENTITY: Lint = Lint { code: "allow_without_identity", level: Level::Warning };
const UNKNOWN_OBLIGATION: Lint = Lint { code: "unknown_obligation", level: Level::Error };
const UNREACHABLE_RULE: Lint = Lint { code: "unreachable_rule", level: Level::Warning };
const CONSTANT_FALSE: Lint = Lint { code: "constant_false", level: Level::Warning };
const GRANT_NEVER_MATCHES: Lint = Lint { code: "grant_never_matches", level: Level::Error };
const GRANT_EXPIRED: Lint = Lint { code: "grant_expired", level: Level::Warning };
const SHADOWED_PATH: Lint = Lint { code: "shadowed_path", level: Level::Warning };
const PATH_OPENED: Lint = Lint { code: "path_opened", level: Level::Warning };
const PATH_VARIANT: Lint = Lint { code: "path_variant", level: Level::Warning };
const ELEVATION_MISSING: Lint = Lint { code: "elevation_missing", level: Level::Warning };
const ELEVATION_NEVER_SERVES: Lint = Lint { code: "elevation_never_serves", level: Level::Error };
const ELEVATION_UNUSED: Lint = Lint { code: "elevation_unused", level: Level::Warning };
const ELEVATION_WITHOUT_CEILING: Lint = Lint { code: "elevation_without_ceiling", level: Level::Warning };
const MISSING_OWNER: Lint = Lint { code: "missing_owner", level: Level::Error };
const SOURCE_MISSING: Lint = Lint { code: "source_missing", level: Level::Error };
const BAD_ALLOW: Lint = Lint { code: "bad_allow_comment", level: Level::Error };

/// Everything that is looked for.
pub const LINTS: &[Lint] = &[
    NEGATION,
    DEFAULT_ALLOW,
    ALLOW_NOT_BOOLEAN,
    ALLOW_WITHOUT_IDENTITY,
    UNKNOWN_OBLIGATION,
    UNREACHABLE_RULE,
    CONSTANT_FALSE,
    GRANT_NEVER_MATCHES,
    GRANT_EXPIRED,
    SHADOWED_PATH,
    PATH_OPENED,
    PATH_VARIANT,
    ELEVATION_MISSING,
    ELEVATION_NEVER_SERVES,
    ELEVATION_UNUSED,
    ELEVATION_WITHOUT_CEILING,
    MISSING_OWNER,
    SOURCE_MISSING,
    BAD_ALLOW,
];

/// Something that was found.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize)]
pub struct Finding {
    /// How bad it is.
    pub level: Level,
    /// `file:line` of a policy, or the JSON path in the configuration.
    pub place: String,
    /// The lint's name.
    pub code: &'static str,
    /// What is wrong, and what to do.
    pub message: String,
}

impl Finding {
    fn new(lint: &Lint, place: impl Into<String>, message: impl Into<String>) -> Self {
        Self { level: lint.level, place: place.into(), code: lint.code, message: message.into() }
    }
}

impl std::fmt::Display for Finding {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}: {}: {} ({})", self.place, self.level.as_str(), self.message, self.code)
    }
}

/// Looks for all of [`LINTS`] in a configuration that holds; errors come first.
pub fn lint(document: &Value, now: UnixTime) -> Vec<Finding> {
    let modules = RegoFile::all(document);
    let program = Program::new(document, &modules);
    let mut found = Vec::new();
    negation::lint(&program, &mut found);
    rules::lint(&program, &mut found);
    grants::lint(document, now, &mut found);
    opened::lint(document, &mut found);
    elevations::lint(&program, document, now, &mut found);
    allows::lint(&program, &mut found);
    found.sort();
    found.dedup();
    found
}

/// Looks for a source address that is gone by and that nobody tells.
pub fn lint_source(settings: &Settings) -> Option<Finding> {
    let bundles: Vec<&Bundle> = [settings.bundle()].into_iter().chain(settings.shadow()).collect();
    settings.lacks_source(&bundles).then(|| {
        let message =
            "policies, elevations or a decision point go by the client's address, which is not known: \
                       set `source`";
        Finding::new(&SOURCE_MISSING, "source", message)
    })
}

/// Notes what was found in a module, unless the comment above allows it.
fn note(found: &mut Vec<Finding>, file: &RegoFile, line: usize, lint: &Lint, message: impl Into<String>) {
    if !file.allowed(line, lint.code) {
        found.push(Finding::new(lint, format!("{}:{line}", file.name), message));
    }
}

#[cfg(test)]
mod tests;
