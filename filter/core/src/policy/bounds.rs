//! What one evaluation may cost beyond its instructions: a builtin's work grows with its arguments, and
//! a rule that calls itself grows the stack, whose end is a trap.
//!
//! Every builtin whose cost is not constant is called through [`guarded`], which takes its work, known
//! from the arguments before the call, off what is left of `limits.builtin_work`. It counts no time, so a
//! decision comes out the same on every machine and when it is made again from its record.

use std::any::Any;
use std::cell::Cell;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::OnceLock;

use regorus::rvm::instructions::LiteralOrRegister;
use regorus::rvm::program::Program;
use regorus::rvm::vm::VmError;
use regorus::rvm::Instruction;
use regorus::{LimitError, Value};

use super::work::{size, work, work_of, Work};
use super::{mended, BUILTINS};

/// Rules that call each other in a chain. Each is some frames of the module's stack of 1 MB.
const MAX_CALLS: usize = 24;

thread_local! {
    /// What is left for the evaluation in progress. A builtin is a plain function: there is no other
    /// place that it can take this from.
    static LEFT: Cell<u64> = const { Cell::new(0) };
}

/// The builtins themselves, by their places in [`BUILTINS`]. Their type has no public name.
static BUILT_IN: [OnceLock<Box<dyn Any + Send + Sync>>; PLACES] = [const { OnceLock::new() }; PLACES];
const PLACES: usize = 96;
/// Operators that the compiler spells as calls.
const OPERATORS: [&str; 2] = ["__builtin_sets.union", "__builtin_sets.intersection"];

/// Starts an evaluation.
pub(super) fn begin(work: u64) {
    LEFT.set(work);
}

/// What is left of the evaluation's budget.
pub(super) fn left() -> u64 {
    LEFT.get()
}

/// Takes work off the budget.
///
/// # Errors
/// It is not left. A limit ends the evaluation, where any other error only skips a rule.
pub(super) fn take(work: u64) -> Result<(), LimitError> {
    let left = LEFT.get();
    LEFT.set(left.checked_sub(work).ok_or(LimitError::MemoryLimitExceeded { usage: work, limit: left })?);
    Ok(())
}

/// Takes the reading of an evaluation's result off its budget.
///
/// # Errors
/// It is not left.
pub(super) fn take_result(value: &Value) -> Result<(), VmError> {
    let (usage, limit) = (size(value, LEFT.get()), LEFT.get());
    take(usage).map_err(|_| VmError::MemoryLimitExceeded { usage, limit, pc: 0 })
}

fn names() -> impl Iterator<Item = &'static str> {
    BUILTINS.iter().copied().chain(OPERATORS)
}

/// Puts guards in front of the program's builtins.
///
/// # Errors
/// There are more builtins than guards.
pub(super) fn guard(program: &mut Program) -> Result<(), String> {
    for (info, slot) in program.builtin_info_table.iter().zip(&mut program.resolved_builtins) {
        let Some(place) = names().position(|name| name == info.name) else { continue };
        if !matches!(work_of(&info.name), Work::Constant) {
            slot.0 = guarded_as(place, slot.0).ok_or("more builtins than guards")?;
        }
    }
    Ok(())
}

type Builtin<S, E, R> = fn(&S, &[E], &[Value], bool) -> Result<Value, R>;

macro_rules! guards {
    ($place:expr, $($n:literal)*) => {
        match $place { $($n => guarded::<$n, S, E, R> as Builtin<S, E, R>,)* _ => return None }
    };
}

fn guarded_as<S: 'static, E: 'static, R: From<LimitError> + 'static>(
    place: usize,
    builtin: Builtin<S, E, R>,
) -> Option<Builtin<S, E, R>> {
    let guard = guards!(place, 0 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16 17 18 19 20 21 22 23 24 25 26 27 28 29 30 31
        32 33 34 35 36 37 38 39 40 41 42 43 44 45 46 47 48 49 50 51 52 53 54 55 56 57 58 59 60 61 62 63 64 65 66 67
        68 69 70 71 72 73 74 75 76 77 78 79 80 81 82 83 84 85 86 87 88 89 90 91 92 93 94 95);
    // Programs share builtins: the first one fills the place.
    BUILT_IN.get(place)?.get_or_init(|| Box::new(builtin));
    Some(guard)
}

/// The builtin at this place, if enough is left for its work.
fn guarded<const PLACE: usize, S: 'static, E: 'static, R: From<LimitError> + 'static>(
    span: &S,
    expressions: &[E],
    arguments: &[Value],
    strict: bool,
) -> Result<Value, R> {
    let work = names().nth(PLACE).map_or(u64::MAX, |name| work(&work_of(name), arguments, LEFT.get()));
    take(work)?;
    if let Some(value) = names().nth(PLACE).and_then(|name| mended::answer(name, arguments)) {
        return Ok(value);
    }
    let builtin = BUILT_IN.get(PLACE).and_then(OnceLock::get);
    match builtin.and_then(|builtin| builtin.downcast_ref::<Builtin<S, E, R>>()) {
        Some(builtin) => builtin(span, expressions, arguments, strict),
        None => Err(LimitError::MemoryLimitExceeded { usage: work, limit: 0 }.into()),
    }
}

/// Refuses rules that call themselves, directly or not, and chains of calls that are too long.
///
/// # Errors
/// The rules.
pub(super) fn check_calls(program: &Program) -> Result<(), String> {
    let calls = calls(program);
    let mut depths: BTreeMap<usize, usize> = BTreeMap::new();
    for rule in 0..program.rule_infos.len() {
        depth(rule, &calls, program, &mut Vec::new(), &mut depths)?;
    }
    Ok(())
}

/// How many rules stand in the longest chain from this one.
fn depth(
    rule: usize,
    calls: &BTreeMap<usize, BTreeSet<usize>>,
    program: &Program,
    chain: &mut Vec<usize>,
    depths: &mut BTreeMap<usize, usize>,
) -> Result<usize, String> {
    if let Some(depth) = depths.get(&rule) {
        return Ok(*depth);
    }
    let name = |rule: usize| program.rule_infos.get(rule).map_or("", |info| info.name.as_str());
    if let Some(start) = chain.iter().position(|open| *open == rule) {
        let circle = chain.iter().skip(start).chain([&rule]).map(|rule| name(*rule));
        return Err(format!("rules that call themselves: {}", circle.collect::<Vec<_>>().join(" → ")));
    }
    if chain.len() > MAX_CALLS {
        return Err(format!(
            "more than {MAX_CALLS} rules call each other in a chain, up to `{}`",
            name(rule)
        ));
    }
    chain.push(rule);
    let mut deepest: usize = 0;
    for called in calls.get(&rule).into_iter().flatten() {
        deepest = deepest.max(depth(*called, calls, program, chain, depths)?);
    }
    chain.pop();
    let depth = deepest.saturating_add(1);
    if depth > MAX_CALLS {
        return Err(format!("more than {MAX_CALLS} rules call each other in a chain, from `{}`", name(rule)));
    }
    depths.insert(rule, depth);
    Ok(depth)
}

/// Where instructions of a rule start, and the rule. They end where the next ones start.
pub(super) fn owners(program: &Program) -> BTreeMap<usize, usize> {
    let mut owners = BTreeMap::new();
    for (rule, info) in program.rule_infos.iter().enumerate() {
        let starts = info.definitions.iter().flatten().chain(info.destructuring_blocks.iter().flatten());
        owners.extend(starts.filter_map(|start| Some((usize::try_from(*start).ok()?, rule))));
    }
    owners
}

/// Rule to the rules that its instructions call.
fn calls(program: &Program) -> BTreeMap<usize, BTreeSet<usize>> {
    let owners = owners(program);
    let mut calls: BTreeMap<usize, BTreeSet<usize>> = BTreeMap::new();
    for (place, instruction) in program.instructions.iter().enumerate() {
        // What stands before all rules are the entry points, which nothing calls.
        let Some((_, owner)) = owners.range(..=place).next_back() else { continue };
        calls.entry(*owner).or_default().extend(called(program, instruction));
    }
    calls
}

/// The rules that an instruction calls.
pub(super) fn called(program: &Program, instruction: &Instruction) -> BTreeSet<usize> {
    match instruction {
        Instruction::CallRule { rule_index, .. } => BTreeSet::from([usize::from(*rule_index)]),
        Instruction::FunctionCall { params_index } => {
            let params = program.instruction_data.get_function_call_params(*params_index);
            params.map(|params| usize::from(params.func_rule_index)).into_iter().collect()
        }
        Instruction::VirtualDataDocumentLookup { params_index } => {
            let lookups = &program.instruction_data.virtual_data_document_lookup_params;
            let Some(params) = lookups.get(usize::from(*params_index)) else { return BTreeSet::new() };
            let prefix = params.path_components.iter().map_while(|component| match component {
                LiteralOrRegister::Literal(index) => {
                    let literal = program.literals.get(usize::from(*index))?;
                    Some(literal.as_string().ok()?.to_string())
                }
                LiteralOrRegister::Register(_) => None,
            });
            let prefix: Vec<String> = std::iter::once("data".to_owned()).chain(prefix).collect();
            let rules = program.rule_infos.iter().enumerate();
            let overlapping = rules.filter(|(_, rule)| {
                let name = rule.name.split('.');
                // Any rule at, below or above the path that is looked up.
                name.zip(&prefix).all(|(a, b)| a == b)
            });
            overlapping.map(|(rule, _)| rule).collect()
        }
        _ => BTreeSet::new(),
    }
}
