//! What became of each rule in one evaluation, for people and for coverage: never for decisions. The plan is
//! evaluated once more with the same facts, and watched.

use everycall_rego::{BodyTrace, Site};

use super::{RuleSet, ASK, DECISION};
use crate::input::PolicyInput;

/// One evaluation of a rule set.
#[derive(Clone, PartialEq)]
pub struct Trace {
    /// Its package.
    pub package: String,
    /// What it saw as `input`.
    pub input: serde_json::Value,
    /// `decision` was evaluated; else only `ask`, because questions were open.
    pub decided: bool,
    /// It is a shadow, which is not obeyed.
    pub shadow: bool,
    /// Every body of every rule that `decision` or `ask` may use.
    pub rules: Vec<RuleTrace>,
}

/// Claims and headers live in it: never printed by accident.
impl std::fmt::Debug for Trace {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Trace({}, {:?})", self.package, self.rules)
    }
}

/// What became of one body of a rule.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RuleTrace {
    /// The rule's path, such as `everycall.lib.purpose`.
    pub rule: String,
    /// The file that holds it.
    pub file: String,
    /// The first byte of the body in the file; of the whole rule for its first body.
    pub start: usize,
    /// The line of `start`, from 1.
    pub line: usize,
    /// It was evaluated. Rules are tried only where something refers to them.
    pub entered: bool,
    /// It gave a value.
    pub held: bool,
    /// Line and text of the condition that did not hold, if it was evaluated and gave no value.
    pub stopped: Option<(usize, String)>,
}

impl RuleSet {
    /// Evaluates `ask`, and `decision` if it was `decided`, and watches the rules.
    pub(crate) fn trace(&self, input: &PolicyInput, decided: bool) -> Trace {
        let entries = [ASK, DECISION];
        let entries = if decided { &entries } else { entries.get(..1).unwrap_or_default() };
        let bodies = self.plan.trace(entries, input, &self.budget);
        Trace {
            package: self.package().to_owned(),
            input: input.document(self.plan.inputs().map(|(path, _)| path)),
            decided,
            shadow: false,
            rules: bodies.into_iter().map(|body| self.rule_trace(body)).collect(),
        }
    }

    fn rule_trace(&self, body: BodyTrace) -> RuleTrace {
        let BodyTrace { rule, site, entered, held, stopped } = body;
        let source = |site: Site| self.sources.get(number(site.module));
        // Where all of its conditions hold, its value is undefined.
        let stopped = (entered && !held).then(|| {
            let at = stopped.unwrap_or(site);
            let line = number(at.line);
            let text = source(at).and_then(|source| source.text.lines().nth(line.saturating_sub(1)));
            (line, text.unwrap_or_default().trim().to_owned())
        });
        RuleTrace {
            rule,
            file: source(site).map(|source| source.file.clone()).unwrap_or_default(),
            start: number(site.start),
            line: number(site.line),
            entered,
            held,
            stopped,
        }
    }
}

fn number(n: u32) -> usize {
    usize::try_from(n).unwrap_or(usize::MAX)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::super::{Entrypoint, Library};
    use crate::input::PolicyInput;

    /// Rule, line, entered, held and where it stopped.
    fn trace(modules: &[(&str, &str)], input: serde_json::Value) -> Vec<(String, bool, bool, usize)> {
        let mut library = Library::default();
        for (file, source) in modules {
            library.add(file, source).unwrap();
        }
        let rules = library.rule_set(Entrypoint::named(None), &crate::config::Limits::default()).unwrap();
        let input = PolicyInput::of_document(rules.plan.inputs().map(|(path, _)| path), &input.into());
        let mut traces: Vec<_> = rules
            .trace(&input, true)
            .rules
            .into_iter()
            .map(|rule| {
                let stopped = rule.stopped.map_or(0, |(line, _)| line);
                (format!("{}:{}", rule.file, rule.line), rule.entered, rule.held, stopped)
            })
            .collect();
        traces.sort();
        traces
    }

    fn row(place: &str, entered: bool, held: bool, stopped: usize) -> (String, bool, bool, usize) {
        (place.to_owned(), entered, held, stopped)
    }

    #[test]
    fn every_body_is_told_apart_with_its_file_also_in_a_package_of_two_modules() {
        let a = "package everycall\n\nimport data.lib\n\ndecision := {\"allow\": true} if {\n\tlib.ok(input.n)\n\tpositive\n}\n\ndecision := {\"allow\": true, \"reason\": \"b\"} if {\n\tinput.n == 7\n}\n";
        let b = "package everycall\n\npositive if {\n\tinput.n > 0\n\tsome x in input.list\n\tx == 1\n}\n\nunused if true\n";
        let lib = "package lib\n\nok(n) if {\n\tis_number(n)\n\tn < 5\n} else if {\n\tn < 10\n}\n\nok([x]) if x == 1\n";
        let modules = [("a.rego", a), ("b.rego", b), ("lib.rego", lib)];
        assert_eq!(
            trace(&modules, json!({"n": 3, "list": [2, 1]})),
            [
                row("a.rego:10", true, false, 11),
                row("a.rego:5", true, true, 0),
                row("b.rego:3", true, true, 0),
                row("lib.rego:10", false, false, 0),
                row("lib.rego:3", true, true, 0),
                row("lib.rego:6", false, false, 0),
            ]
        );
        assert_eq!(
            trace(&modules, json!({"n": 7, "list": [2]})),
            [
                row("a.rego:10", true, true, 0),
                row("a.rego:5", true, false, 7),
                row("b.rego:3", true, false, 6),
                row("lib.rego:10", false, false, 0),
                row("lib.rego:3", true, false, 5),
                row("lib.rego:6", true, true, 0),
            ]
        );
    }

    #[test]
    fn a_value_that_is_undefined_and_a_set_that_stays_empty_do_not_hold() {
        let a = "package everycall\n\ndecision := {\"allow\": x} if {\n\tcount(s) == 0\n\tn\n}\n\nx := input.x\n\nn := input.n if true\n\ns contains input.s\n\ns contains y if {\n\tsome y in input.t\n\ty > 1\n}\n";
        let module = [("a.rego", a)];
        assert_eq!(
            trace(&module, json!({"n": 1, "x": true, "s": 1, "t": [1, 2]})),
            [
                row("a.rego:10", false, false, 0),
                row("a.rego:12", true, true, 0),
                row("a.rego:14", true, true, 0),
                row("a.rego:3", true, false, 4),
                row("a.rego:8", false, false, 0),
            ]
        );
        assert_eq!(
            trace(&module, json!({"n": 1, "t": [1]})),
            [
                row("a.rego:10", true, true, 0),
                row("a.rego:12", true, false, 12),
                row("a.rego:14", true, false, 16),
                row("a.rego:3", true, false, 3),
                row("a.rego:8", true, false, 8),
            ]
        );
    }
}
