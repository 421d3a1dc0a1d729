//! What a configuration may say and should not: the filter takes it, and an author would be surprised.
//! One file for each family. [`LINTS`] is the list; `make render` puts it into the page on policies.

mod allows;
mod elevations;
mod grants;
mod nearest;
mod negation;
mod nowhere;
mod opened;
mod program;
mod results;
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
    /// What it finds, for the page on writing policies.
    pub finds: &'static str,
}

const NEGATION: Lint = Lint {
    code: "negation_can_fail",
    level: Level::Error,
    finds: "`not`, an emptiness test (`count(x) == 0`, `x == set()`), a bound on what is counted \
        (`count(x) < 3`), the domain of `every`, what is so by default or behind an `else`, over \
        what can fail or be undefined, also through rules, functions and comprehensions, where \
        that helps the decision to say yes: an error skips a rule, so `deny contains \"x\" if \
        to_number(input.n) > 1` is silent for `\"zz\"`, and `count(deny) == 0` allows. Check \
        that the value is there and of its type beside the negation: `is_number(n)`, then `not n \
        > 1`",
};
const DEFAULT_ALLOW: Lint = Lint {
    code: "default_allow",
    level: Level::Error,
    finds: "a decision that allows by default: a rule that fails says nothing",
};
const ALLOW_NOT_BOOLEAN: Lint = Lint {
    code: "allow_not_boolean",
    level: Level::Error,
    finds: "`allow` with a constant that is no boolean, such as `\"true\"`",
};
const ALLOW_WITHOUT_IDENTITY: Lint = Lint {
    code: "allow_without_identity",
    level: Level::Warning,
    finds: "a rule that allows callers with a credential and depends on nothing below \
        `input.identity`",
};
const UNKNOWN_OBLIGATION: Lint = Lint {
    code: "unknown_obligation",
    level: Level::Error,
    finds: "an obligation that does not exist: the decision is a refusal",
};
const DECISION_NEVER_VALID: Lint = Lint {
    code: "decision_never_valid",
    level: Level::Error,
    finds: "a result that the filter refuses whatever the call, as its constants say: a `decision` that \
        is no object, has no `allow` or a member that is unknown, a `reason` that is no code (`a-z`, \
        `0-9` and `_`), an obligation of a form, a status or a header that can never be valid, or for \
        the other outcome; likewise of OPA-Envoy's form. What only the evaluation knows is taken to be \
        right",
};
const INPUT_UNKNOWN: Lint = Lint {
    code: "input_unknown",
    level: Level::Error,
    finds: "a member of `input` that is never there, at the first place of a rule set that reads it, with \
        the one that was probably meant: `input.identity.isuer`, `input.method`, \
        `input.request.headers[\"X-Tenant\"]` (names of headers are in lower case). Not looked at is \
        what keys find that only the evaluation knows, and what `with` replaces",
};
const DATA_ABSENT: Lint = Lint {
    code: "data_absent",
    level: Level::Warning,
    finds: "a path below `data` that no module and no data of the bundle provides, such as `data.limit` \
        beside `limits:`, at the first place of a rule set that reads it; not what `with` replaces",
};
const UNREACHABLE_RULE: Lint = Lint {
    code: "unreachable_rule",
    level: Level::Warning,
    finds: "a rule that no `decision` and no `ask` of a granted rule set depends on, but for those \
        of `everycall.lib`",
};
const CONSTANT_FALSE: Lint = Lint {
    code: "constant_false",
    level: Level::Warning,
    finds: "a condition that never holds, such as `false` or `1 == 2`",
};
const GRANT_NEVER_MATCHES: Lint = Lint {
    code: "grant_never_matches",
    level: Level::Error,
    finds: "a grant for an issuer, a kind (of that issuer), a trust domain, a binding or an API key \
        that the configuration has not, for a path with `;` without `semicolons`, or for `*` \
        without CONNECT and OPTIONS",
};
const GRANT_EXPIRED: Lint =
    Lint { code: "grant_expired", level: Level::Warning, finds: "a grant whose `valid_until` is over" };
const SHADOWED_PATH: Lint = Lint {
    code: "shadowed_path",
    level: Level::Warning,
    finds: "a path template that is never reached: another one of the same grant, or of an earlier \
        one for the same callers, takes the same paths",
};
const PATH_OPENED: Lint = Lint {
    code: "path_opened",
    level: Level::Warning,
    finds: "a path of a grant for many callers that takes, by a broader template, what a more \
        specific path of another grant is for, and so lets in whom that one does not choose. \
        `except` closes it",
};
const PATH_VARIANT: Lint = Lint {
    code: "path_variant",
    level: Level::Warning,
    finds: "a grant beside a broader one for the same callers that has no `requires_elevation` or \
        `requires_binding` as it has, or another `policy` or `sensitivity`, to which a path \
        falls that is spelled with another letter case, or a slash at its end, where `hosts` \
        does not say whether the server tells these apart",
};
const ELEVATION_MISSING: Lint = Lint {
    code: "elevation_missing",
    level: Level::Warning,
    finds: "a grant with `requires_elevation` that nobody passes as things are: no elevation names \
        it, none that does can serve it, or all are over",
};
const ELEVATION_NEVER_SERVES: Lint = Lint {
    code: "elevation_never_serves",
    level: Level::Error,
    finds: "an elevation that is never active for a grant it names: the grant is for somebody else, \
        or at another time, none of its kinds may break the glass, or no network of the \
        elevation holds an address",
};
const ELEVATION_UNUSED: Lint = Lint {
    code: "elevation_unused",
    level: Level::Warning,
    finds: "an elevation for a grant that requires none and whose policy does not look at \
        `input.elevation`",
};
const ELEVATION_WITHOUT_CEILING: Lint = Lint {
    code: "elevation_without_ceiling",
    level: Level::Warning,
    finds: "`limits.elevation_hours` or `limits.break_glass_minutes` at the most that can be \
        written; elevations of one subject for one grant that take over from each other, and \
        together last longer than one may",
};
const MISSING_OWNER: Lint = Lint {
    code: "missing_owner",
    level: Level::Error,
    finds: "a record whose owner is `todo`, `unknown`, `-` or the like",
};
const SOURCE_MISSING: Lint = Lint {
    code: "source_missing",
    level: Level::Error,
    finds: "a policy, an elevation or an `ext_authz` server goes by the client's address, and \
        `source` is not set",
};
const BAD_ALLOW: Lint = Lint {
    code: "bad_allow_comment",
    level: Level::Error,
    finds: "`# everycall:allow` without a reason, or with a code that does not exist",
};

/// Everything that is looked for.
pub const LINTS: &[Lint] = &[
    NEGATION,
    DEFAULT_ALLOW,
    ALLOW_NOT_BOOLEAN,
    ALLOW_WITHOUT_IDENTITY,
    UNKNOWN_OBLIGATION,
    DECISION_NEVER_VALID,
    INPUT_UNKNOWN,
    DATA_ABSENT,
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
    results::lint(&program, &mut found);
    nowhere::lint(&program, document, &mut found);
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
