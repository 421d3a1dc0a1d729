//! `negation_can_fail`: what stands under `not`, in an emptiness test, in the domain of `every`, in place of a
//! default or before an `else` must not be able to fail or to be undefined. An error skips its rule, so a rule
//! that should have said no is silent then, and its negation holds. It goes by the plan, as decisions do.

use everycall_rego::Denial;

use super::program::{Program, DECISION};
use super::{note, Finding, NEGATION};
use crate::rego::number;

pub(super) fn lint(program: &Program<'_>, found: &mut Vec<Finding>) {
    for entry in &program.entries {
        let Some(plan) = &entry.plan else { continue };
        for place in plan.fails_open(DECISION, &program.library, &entry.format()) {
            let Some(file) = program.modules.get(number(place.site.module)) else { continue };
            let message = match place.what {
                Denial::Operand => format!(
                    "what `not` is applied to can fail, and then neither it nor its negation holds: {}; check that \
                     it is there, and its type, beside the negation",
                    place.why
                ),
                denial => format!(
                    "{} holds where what it denies fails: {}; check that it is there, and its type, beside the \
                     negation",
                    name(denial),
                    place.why
                ),
            };
            note(found, file, number(place.site.line), &NEGATION, message);
        }
    }
}

const fn name(denial: Denial) -> &'static str {
    match denial {
        Denial::Not | Denial::Operand => "`not`",
        Denial::Every => "`every`",
        Denial::Emptiness => "an emptiness test",
        Denial::Bound => "a bound on what is counted",
        Denial::Default => "what is so by default, or behind an `else`,",
        Denial::Else => "what stands behind the `else`",
    }
}
