//! One input of the fuzzer: a line of JSON with `data` and `input`, then modules, each behind a line `----`.
//! What must hold for all of them is here; what finds them is `fuzz_targets/policies.rs`.

use everycall_rego::{Budget, InputDocument, Library, Value};

/// What stands between modules.
pub const BETWEEN: &str = "\n----\n";
/// The defaults of `limits.instructions` and `limits.builtin_work`.
const STEPS: u64 = 50_000;
const WORK: u64 = 125_000;
/// Any time.
const NOW_NS: i64 = 1_790_000_000_000_000_000;

/// What an input comes to, for those who count.
#[derive(Debug, PartialEq, Eq)]
pub enum Outcome {
    /// No input, or no module.
    Unread,
    /// It is not compiled.
    Refused,
    /// It is evaluated, to whatever.
    Evaluated,
}

/// Reads, compiles and evaluates an input: each package by itself, and all of `data`.
///
/// # Panics
/// Something does not hold. That is what is looked for.
pub fn run(bytes: &[u8]) -> Outcome {
    let Ok(text) = std::str::from_utf8(bytes) else { return Outcome::Unread };
    let mut parts = text.split(BETWEEN);
    let documents = parts.next().and_then(Value::from_json).unwrap_or(Value::Null);
    let mut library = Library::default();
    for (at, module) in parts.enumerate() {
        if library.add(&format!("m{at}.rego"), module).is_err() {
            return Outcome::Unread;
        }
    }
    if let Some(data @ Value::Object(_)) = documents.get_str("data") {
        if library.add_data(data.clone()).is_err() {
            return Outcome::Unread;
        }
    }
    let packages: Vec<String> = library.packages().collect();
    let entries: Vec<&str> = packages.iter().map(String::as_str).chain([""]).collect();
    let plan = match library.plan(&entries) {
        Ok(plan) => plan,
        Err(messages) => {
            assert!(!messages.is_empty(), "refused without a word");
            return Outcome::Refused;
        }
    };
    let facts = InputDocument::new(&plan, documents.get_str("input"), Some(NOW_NS));
    for entry in 0..entries.len() {
        let evaluate = || {
            let mut budget = Budget::new(STEPS, WORK);
            let value = plan.evaluate(entry, &facts, &mut budget);
            (value, format!("{budget:?}"))
        };
        let [(value, left), again] = [evaluate(), evaluate()];
        assert!((&value, &left) == (&again.0, &again.1), "evaluated twice, with two ends");
        if let Ok(Some(value)) = &value {
            let _ = value.to_json().to_string();
        }
    }
    let all: Vec<usize> = (0..entries.len()).collect();
    for body in plan.trace(&all, &facts, &Budget::new(STEPS, WORK)) {
        assert!(!body.held || body.entered, "a body held that nobody tried: {body:?}");
        assert!(library.source(body.site).is_some() || body.site.end == 0, "a body without a text: {body:?}");
    }
    Outcome::Evaluated
}
