//! What became of each rule in one evaluation, for people and for coverage: never for decisions.
//!
//! The program is stepped through once more with the same input. Each body of a rule knows where its
//! instructions start, and the compiled policy knows where the body is written.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::Range;
use std::sync::Arc;

use regorus::languages::rego::compiler::Compiler;
use regorus::rvm::program::{Program, RuleInfo};
use regorus::rvm::vm::{ExecutionMode, ExecutionState};
use regorus::rvm::Instruction;
use regorus::unstable::Rule;
use regorus::Value;

use super::{calls, PolicyValue, RuleSet};

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

/// A program whose rules can be watched.
///
/// The machine's step mode loses its way where a rule calls one that stands before it, so every rule
/// is an entry point here, in an order in which calls go forward only. It does not stop inside of a
/// lookup below `data`, so lookups of rules are calls here.
struct Tracer {
    program: Arc<Program>,
    /// Where the instructions of each body start, and those that take a function's arguments apart:
    /// there the ones before end.
    starts: BTreeSet<usize>,
    /// By instruction: a path below `data` whose rules are evaluated where they can't be watched.
    looked_up: BTreeMap<usize, String>,
}

/// The instructions that were carried out and went on to the next, and those of them that gave a
/// value.
#[derive(Default)]
struct Seen {
    visited: BTreeSet<usize>,
    gave: BTreeSet<usize>,
}

impl RuleSet {
    /// Evaluates `ask`, and `decision` if it was `decided`, step by step.
    pub(crate) fn trace(&mut self, input: &PolicyValue, decided: bool) -> Trace {
        let rules = self.tracer().map(|tracer| self.rules_in(&tracer, input, decided));
        Trace {
            package: self.package().to_owned(),
            input: serde_json::to_value(&input.0).unwrap_or_default(),
            decided,
            shadow: false,
            rules: rules.unwrap_or_default(),
        }
    }

    /// `None` if there are more rules than entry points can be.
    fn tracer(&self) -> Option<Tracer> {
        let mut order = Vec::new();
        for index in 0..self.program.rule_infos.len() {
            callees_first(&self.program, index, &mut order);
        }
        let names = order.iter().rev().filter_map(|index| self.program.rule_infos.get(*index));
        let names: Vec<&str> = names.map(|info| info.name.as_str()).collect();
        let mut program = Arc::unwrap_or_clone(Compiler::compile_from_policy(&self.policy, &names).ok()?);
        let looked_up = calls::in_place_of_lookups(&mut program);
        let starts = program.rule_infos.iter().flat_map(starts_of).collect();
        Some(Tracer { program: Arc::new(program), starts, looked_up })
    }

    fn rules_in(&mut self, tracer: &Tracer, input: &PolicyValue, decided: bool) -> Vec<RuleTrace> {
        self.vm.load_program(Arc::clone(&tracer.program));
        let mut seen = Seen::default();
        let mut open = vec![format!("data.{}.ask", self.entry.package)];
        open.extend(decided.then(|| format!("data.{}.{}", self.entry.package, self.entry.rule)));
        let mut done = BTreeSet::new();
        while let Some(rule) = open.pop() {
            let Some(entry_point) = tracer.program.entry_points.get_index_of(&rule) else { continue };
            if !done.insert(rule) {
                continue;
            }
            self.step(tracer, entry_point, input, &mut seen);
            // What a lookup came upon is evaluated once more, where it can be watched.
            let paths = tracer.looked_up.iter().filter(|(pc, _)| seen.visited.contains(pc));
            for (_, path) in paths {
                let rules = tracer.program.rule_infos.iter().filter(|rule| rule.function_info.is_none());
                open.extend(rules.filter(|rule| overlap(&rule.name, path)).map(|rule| rule.name.clone()));
            }
        }
        self.vm.load_program(Arc::clone(&self.program));
        self.rule_traces(tracer, &seen)
    }

    fn step(&mut self, tracer: &Tracer, entry_point: usize, input: &PolicyValue, seen: &mut Seen) {
        self.vm.set_input(input.0.clone());
        self.vm.set_execution_mode(ExecutionMode::Suspendable);
        self.vm.set_step_mode(true);
        super::bounds::begin(self.work);
        let mut result = self.vm.execute_entry_point_by_index(entry_point);
        let mut latest: BTreeMap<usize, usize> = BTreeMap::new();
        while result.is_ok() && matches!(self.vm.execution_state(), ExecutionState::Suspended { .. }) {
            let pc = self.vm.get_pc();
            let body = tracer.starts.range(..=pc).next_back().copied().unwrap_or_default();
            // A condition that does not hold in a loop shows as the instruction before the loop's end,
            // which was not carried out: it does not follow the latest one of its body.
            let before = latest.insert(body, pc);
            if pc == body || before.is_some_and(|before| before.checked_add(1) == Some(pc)) {
                seen.visited.insert(pc);
                if self.gives_a_value(tracer, pc) {
                    seen.gave.insert(pc);
                }
            }
            result = self.vm.resume(None);
        }
        self.vm.set_step_mode(false);
        self.vm.set_execution_mode(ExecutionMode::RunToCompletion);
        self.vm.set_input(Value::Null);
    }

    /// Whether the instruction that was just carried out moved a value; what stands behind `:=` can be
    /// undefined.
    fn gives_a_value(&self, tracer: &Tracer, pc: usize) -> bool {
        let source = match tracer.program.instructions.get(pc) {
            Some(Instruction::Move { src, .. }) => src,
            Some(Instruction::SetAdd { value, .. } | Instruction::ObjectSet { value, .. }) => value,
            _ => return false,
        };
        let value = self.vm.get_registers().get(usize::from(*source));
        value.is_some_and(|value| *value != Value::Undefined)
    }

    fn rule_traces(&self, tracer: &Tracer, seen: &Seen) -> Vec<RuleTrace> {
        let mut traces = Vec::new();
        let program = &tracer.program;
        for info in &program.rule_infos {
            let rules = self.policy.get_rules().get(info.name.as_str());
            let written = rules.into_iter().flatten().filter_map(|rule| match rule.as_ref() {
                Rule::Spec { span, bodies, .. } => Some((span, bodies)),
                Rule::Default { .. } => None,
            });
            // The compiler goes through the definitions in this order, too.
            for ((span, bodies), definition) in written.zip(info.definitions.iter()) {
                for (index, pc) in definition.iter().enumerate() {
                    let Ok(start) = usize::try_from(*pc) else { continue };
                    let end = tracer.starts.range(start.saturating_add(1)..).next().copied();
                    let body = start..end.unwrap_or(program.instructions.len());
                    let place = match bodies.get(index).filter(|_| index > 0) {
                        Some(body) => &body.span,
                        None => span,
                    };
                    let held = seen.gave.range(body.clone()).any(|pc| is_result(program, info, *pc));
                    let entered = seen.visited.contains(&start);
                    let stopped = (entered && !held).then(|| {
                        let line = stopped(program, &seen.visited, body).unwrap_or(number(span.line));
                        let text = span.source.get_contents().lines().nth(line.saturating_sub(1));
                        (line, text.unwrap_or_default().trim().to_owned())
                    });
                    traces.push(RuleTrace {
                        rule: info.name.strip_prefix("data.").unwrap_or(&info.name).to_owned(),
                        file: span.source.get_path().clone(),
                        start: number(place.start),
                        line: number(place.line),
                        entered,
                        held,
                        stopped,
                    });
                }
            }
        }
        traces
    }
}

/// Whether this instruction writes the rule's value.
fn is_result(program: &Program, info: &RuleInfo, pc: usize) -> bool {
    match program.instructions.get(pc) {
        Some(Instruction::Move { dest, .. }) => *dest == info.result_reg,
        Some(Instruction::SetAdd { set, .. }) => *set == info.result_reg,
        Some(Instruction::ObjectSet { obj, .. }) => *obj == info.result_reg,
        _ => false,
    }
}

/// The line of the instruction after the last one that was carried out: the one that failed.
fn stopped(program: &Program, visited: &BTreeSet<usize>, body: Range<usize>) -> Option<usize> {
    let goes_round = |pc: &usize| matches!(program.instructions.get(*pc), Some(Instruction::LoopNext { .. }));
    let last = visited.range(body.clone()).rev().find(|pc| !goes_round(pc))?;
    let span = (last.saturating_add(1)..body.end).find_map(|pc| program.get_instruction_span(pc))?;
    (span.line > 0).then_some(span.line)
}

/// Whether one path leads to the other, or below it.
fn overlap(a: &str, b: &str) -> bool {
    let below = |long: &str, short: &str| {
        long.strip_prefix(short).is_some_and(|rest| rest.is_empty() || rest.starts_with(['.', '[']))
    };
    below(a, b) || below(b, a)
}

/// Where a rule's bodies and the taking apart of its arguments start.
fn starts_of(info: &RuleInfo) -> impl Iterator<Item = usize> + '_ {
    let starts = info.definitions.iter().flatten().chain(info.destructuring_blocks.iter().flatten());
    starts.filter_map(|pc| usize::try_from(*pc).ok())
}

/// Adds a rule behind all that it calls. Rules are not recursive.
fn callees_first(program: &Program, index: usize, order: &mut Vec<usize>) {
    let Some(info) = program.rule_infos.get(index) else { return };
    if order.contains(&index) {
        return;
    }
    let all: BTreeSet<usize> = program.rule_infos.iter().flat_map(starts_of).collect();
    for start in starts_of(info) {
        let end = all.range(start.saturating_add(1)..).next().copied().unwrap_or(program.instructions.len());
        for pc in start..end {
            let called = match program.instructions.get(pc) {
                Some(Instruction::CallRule { rule_index, .. }) => Some(usize::from(*rule_index)),
                Some(Instruction::FunctionCall { params_index }) => {
                    let params = program.instruction_data.get_function_call_params(*params_index);
                    params.map(|params| usize::from(params.func_rule_index))
                }
                _ => None,
            };
            called.iter().for_each(|called| callees_first(program, *called, order));
        }
    }
    order.push(index);
}

fn number(n: u32) -> usize {
    usize::try_from(n).unwrap_or(usize::MAX)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::super::{Entry, Library};
    use super::*;

    /// Rule, line, entered, held and where it stopped.
    fn trace(modules: &[(&str, &str)], input: serde_json::Value) -> Vec<(String, bool, bool, usize)> {
        let mut library = Library::default();
        for (file, source) in modules {
            library.add(file, source).unwrap();
        }
        let mut rules = library.rule_set(Entry::named(None), &crate::config::Limits::default()).unwrap();
        let input = PolicyValue(Value::from(input));
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
