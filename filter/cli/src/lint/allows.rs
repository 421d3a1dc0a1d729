//! Comments that allow something: they name what there is, and say why.

use super::{Finding, Program, BAD_ALLOW, LINTS};
use crate::suite::SURVIVOR_CODE;

pub(super) fn lint(program: &Program<'_>, found: &mut Vec<Finding>) {
    for file in program.modules {
        for allow in file.allows() {
            let known = allow.code == SURVIVOR_CODE
                || LINTS.iter().any(|lint| lint.code == allow.code && lint.code != BAD_ALLOW.code);
            let message = match (known, allow.reason.is_empty()) {
                (false, _) => format!("`{}` is nothing that can be allowed", allow.code),
                (true, true) => format!("no reason is given for allowing `{}`", allow.code),
                (true, false) => continue,
            };
            found.push(Finding::new(&BAD_ALLOW, format!("{}:{}", file.name, allow.line), message));
        }
    }
}
