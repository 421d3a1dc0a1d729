//! The evaluator that is under test.

use everycall_rego::{Budget, Halt, InputDocument, Library, Value};

/// Far more than a case needs.
const STEPS: u64 = 10_000_000;
const WORK: u64 = 1_000_000_000;
/// Any time: no case may depend on it.
const NOW_NS: i64 = 1_790_000_000_000_000_000;

/// What evaluating a query comes to.
#[derive(Clone, PartialEq)]
pub enum Ours {
    Value(Value),
    Undefined,
    /// An error of the evaluation, such as a conflict.
    Error(String),
    /// Not offered: refused when it is compiled.
    Refused(String),
    /// Ended by a limit.
    Limit,
}

impl std::fmt::Display for Ours {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Value(value) => write!(f, "{}", value.to_json()),
            Self::Undefined => f.write_str("undefined"),
            Self::Error(message) => write!(f, "error: {message}"),
            Self::Refused(message) => write!(f, "refused: {message}"),
            Self::Limit => f.write_str("limit"),
        }
    }
}

/// An evaluator: ours, or one to compare with.
pub type Evaluate = fn(&[(String, String)], &Value, Option<&Value>, &str) -> Ours;

/// Compiles modules and evaluates `query` (a path such as `data.a.b`, possibly a call `data.x.p(1)`), as
/// OPA does.
pub fn evaluate(modules: &[(String, String)], data: &Value, input: Option<&Value>, entry: &str) -> Ours {
    let mut library = Library::default();
    for (file, text) in modules {
        if let Err(message) = library.add(file, text) {
            return Ours::Refused(message);
        }
    }
    if let Err(message) = library.add_data(data.clone()) {
        return Ours::Refused(message);
    }
    let path = entry.strip_prefix("data.").unwrap_or(if entry == "data" { "" } else { entry });
    let plan = match library.plan(&[path]) {
        Ok(plan) if plan.has(0) => plan,
        // Nothing stands there, or it is a call.
        Ok(_) => {
            let query = format!("package everycall_query\n\nresult := {entry}\n");
            let asked = library.add("query.rego", &query).map_err(|message| vec![message]);
            match asked.and_then(|()| library.plan(&["everycall_query.result"])) {
                Ok(plan) => plan,
                Err(messages) => return Ours::Refused(messages.join("\n")),
            }
        }
        Err(messages) => return Ours::Refused(messages.join("\n")),
    };
    let facts = InputDocument::new(&plan, input, Some(NOW_NS));
    match plan.evaluate(0, &facts, &mut Budget::new(STEPS, WORK)) {
        Ok(Some(value)) => Ours::Value(value),
        Ok(None) => Ours::Undefined,
        Err(Halt::Limit(_)) => Ours::Limit,
        Err(error) => Ours::Error(error.to_string()),
    }
}
