//! Where a plan reads `input` from.

use everycall_rego_values::Value;

use crate::lower::descend;
use crate::plan::Plan;

/// Where facts come from: what a plan reads of `input`.
pub trait Facts {
    /// What stands at the plan's path of this number; `None` if nothing does.
    fn fact(&self, slot: usize) -> Option<&Value>;

    /// The time of the decision, in nanoseconds since 1970; `None` if there is none.
    fn now_ns(&self) -> Option<i64>;
}

/// Facts that are one document: what `input` is in OPA.
#[derive(Debug)]
pub struct InputDocument<'a> {
    plan: &'a Plan,
    input: Option<&'a Value>,
    now_ns: Option<i64>,
}

impl<'a> InputDocument<'a> {
    /// `None` where there is no input at all.
    pub const fn new(plan: &'a Plan, input: Option<&'a Value>, now_ns: Option<i64>) -> Self {
        Self { plan, input, now_ns }
    }
}

impl Facts for InputDocument<'_> {
    fn fact(&self, slot: usize) -> Option<&Value> {
        descend(self.input?, self.plan.inputs.get(slot)?)
    }

    fn now_ns(&self) -> Option<i64> {
        self.now_ns
    }
}
