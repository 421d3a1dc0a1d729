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

use super::BUILTINS;

/// Rules that call each other in a chain. Each is some frames of the module's stack of 1 MB.
const MAX_CALLS: usize = 24;
/// Brackets inside each other in a module: the parser's time doubles with each.
const MAX_BRACKETS: usize = 12;
/// Digits of a number in a module, and of its exponent: `1e999999999` is written out as it is read.
const MAX_DIGITS: usize = 32;
const MAX_EXPONENT_DIGITS: usize = 2;
/// Bits of a number. One that is beyond a float's range panics where it is written in an error.
const MAX_BITS: u64 = 1_000;
/// Values inside each other; JSON ends at 128 in any case. Dropping a value takes a frame for each.
const MAX_DEPTH: u32 = 256;
/// Compiling a pattern, whatever its length; for each of its bytes; and if it counts repetitions.
const PATTERN: u64 = 5_000;
const PATTERN_BYTE: u64 = 500;
const REPETITION: u64 = 200_000;

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
    let builtin = BUILT_IN.get(PLACE).and_then(OnceLock::get);
    match builtin.and_then(|builtin| builtin.downcast_ref::<Builtin<S, E, R>>()) {
        Some(builtin) => builtin(span, expressions, arguments, strict),
        None => Err(LimitError::MemoryLimitExceeded { usage: work, limit: 0 }.into()),
    }
}

/// How a builtin's work follows from its arguments.
enum Work {
    Constant,
    /// One step, but for text, which is counted, and what has no elements: that is written out in an error.
    Count,
    /// As many steps as the arguments have elements, not counting what is inside of them.
    Shallow,
    /// As many steps as the arguments are large.
    Linear,
    /// The logarithm of that besides, or a large constant.
    Sorting,
    /// The arguments are multiplied with each other.
    Product,
    /// Digits are read, which takes the square of their number.
    Digits,
    /// Numbers are multiplied.
    Numbers,
    /// The last argument may replace each byte of the first.
    Replace,
    /// Text is searched for a pattern: where the text stands, where the pattern, and whether it is
    /// searched again behind each match.
    Pattern {
        text: usize,
        pattern: usize,
        again: bool,
    },
}

fn work_of(name: &str) -> Work {
    match name {
        "is_array" | "is_boolean" | "is_null" | "is_number" | "is_object" | "is_set" | "is_string"
        | "type_name" => Work::Constant,
        "count" => Work::Count,
        "array.concat" | "array.reverse" | "array.slice" => Work::Shallow,
        "intersection"
        | "json.filter"
        | "json.remove"
        | "max"
        | "min"
        | "object.filter"
        | "object.keys"
        | "object.remove"
        | "object.subset"
        | "object.union"
        | "object.union_n"
        | "sort"
        | "split"
        | "union"
        | "json.marshal"
        | "__builtin_sets.union"
        | "__builtin_sets.intersection" => Work::Sorting,
        "concat"
        | "indexof_n"
        | "strings.any_prefix_match"
        | "strings.any_suffix_match"
        | "trim"
        | "trim_left"
        | "trim_right" => Work::Product,
        "json.is_valid" | "json.unmarshal" | "to_number" => Work::Digits,
        "product" => Work::Numbers,
        "replace" => Work::Replace,
        "glob.match" => Work::Pattern { text: 2, pattern: 0, again: false },
        "regex.is_valid" => Work::Pattern { text: 1, pattern: 0, again: false },
        "regex.match" => Work::Pattern { text: 1, pattern: 0, again: false },
        "regex.find_n" | "regex.split" => Work::Pattern { text: 1, pattern: 0, again: true },
        "regex.replace" => Work::Pattern { text: 0, pattern: 1, again: true },
        _ => Work::Linear,
    }
}

fn work(work: &Work, arguments: &[Value], left: u64) -> u64 {
    let size = |at: usize| arguments.get(at).map_or(1, |value| size(value, left));
    let sizes = || (0..arguments.len()).fold(1_u64, |sum, at| sum.saturating_add(size(at)));
    match *work {
        Work::Constant => 0,
        Work::Count => match arguments {
            [Value::Array(_) | Value::Set(_) | Value::Object(_)] => 1,
            _ => sizes(),
        },
        Work::Shallow => (0..arguments.len()).fold(1_u64, |sum, at| {
            sum.saturating_add(match arguments.get(at) {
                // An element is copied with all that it takes: 24 bytes, and a count of its owners.
                Some(list @ Value::Array(_)) => elements(list).saturating_mul(16),
                _ => size(at),
            })
        }),
        Work::Linear => sizes(),
        Work::Sorting => sizes().saturating_mul(8),
        Work::Product => (0..arguments.len())
            .fold(1_u64, |product, at| product.saturating_mul(size(at)))
            .saturating_add(sizes()),
        Work::Digits => sizes().saturating_add(sizes().saturating_mul(sizes()).saturating_div(256)),
        Work::Numbers => match calculation(arguments) {
            u64::MAX => u64::MAX,
            _ => sizes(),
        },
        Work::Replace => size(0).saturating_mul(size(2)).saturating_add(sizes()),
        Work::Pattern { text, pattern, again } => {
            let source = arguments.get(pattern).and_then(|value| value.as_string().ok());
            let counts = source.is_some_and(|source| source.contains('{'));
            let bytes = size(pattern);
            let compiled = bytes.saturating_mul(PATTERN_BYTE).saturating_add(PATTERN);
            let compiled = compiled.saturating_add(if counts { REPETITION } else { 0 });
            // States that a byte of the text may be compared with.
            let states = if counts { 5_000 } else { bytes.saturating_mul(4) };
            let once = size(text).saturating_mul(states);
            let searched = if again { once.saturating_mul(size(text)).saturating_div(8) } else { once };
            // A replacement is written for each match.
            let written = if pattern == 1 { size(0).saturating_mul(size(2)) } else { 0 };
            compiled.saturating_add(searched).saturating_add(written)
        }
    }
}

pub(super) fn elements(value: &Value) -> u64 {
    let count = match value {
        Value::Array(items) => items.len(),
        Value::Set(items) => items.len(),
        Value::Object(members) => members.len(),
        _ => 1,
    };
    u64::try_from(count).unwrap_or(u64::MAX)
}

/// Bits that a number takes.
fn bits(value: &Value) -> u64 {
    match value {
        Value::Number(number) => match number.as_i64() {
            Some(small) => u64::from(64_u32.saturating_sub(small.unsigned_abs().leading_zeros())),
            None if number.is_integer() => number.as_big().map_or(64, |big| big.bits()),
            None => 64,
        },
        Value::Array(items) => items.iter().fold(0, |sum: u64, item| sum.saturating_add(bits(item))),
        Value::Set(items) => items.iter().fold(0, |sum: u64, item| sum.saturating_add(bits(item))),
        _ => 0,
    }
}

/// The work of calculating with these: small, or more than there can be.
pub(super) fn calculation(values: &[Value]) -> u64 {
    match values.iter().fold(0, |sum: u64, value| sum.saturating_add(bits(value))) {
        0..=MAX_BITS => 1,
        _ => u64::MAX,
    }
}

/// Bytes of text and numbers, and one for each value, of the whole tree. A part that stands in it
/// twice counts twice, as it is visited twice; looks no further than `most`. What is too deep is too
/// large.
pub(super) fn size(value: &Value, most: u64) -> u64 {
    let mut open = vec![(value, 0_u32)];
    let mut sum: u64 = 0;
    while let Some((value, depth)) = open.pop() {
        let inner = depth.saturating_add(1);
        let own = match value {
            Value::String(text) => u64::try_from(text.len()).unwrap_or(u64::MAX),
            Value::Number(_) => bits(value).saturating_div(8),
            Value::Array(items) => {
                open.extend(items.iter().map(|item| (item, inner)));
                0
            }
            Value::Set(items) => {
                open.extend(items.iter().map(|item| (item, inner)));
                0
            }
            Value::Object(members) => {
                open.extend(members.iter().flat_map(|(key, value)| [(key, inner), (value, inner)]));
                0
            }
            _ => 0,
        };
        sum = sum.saturating_add(own).saturating_add(1);
        if sum > most || depth > MAX_DEPTH {
            return u64::MAX;
        }
    }
    sum
}

/// Refuses text that would keep the parser busy for ever.
///
/// # Errors
/// The line at which brackets stand too deep, or a number is too long.
pub(super) fn check_text(file: &str, source: &str) -> Result<(), String> {
    use crate::reads::{tokens, Token};
    let (mut line, mut depth): (usize, usize) = (1, 0);
    let mut exponent = false;
    for token in tokens(source) {
        let mut number = None;
        match token {
            Token::Mark('\n') => line = line.saturating_add(1),
            Token::Mark('{' | '(' | '[') => depth = depth.saturating_add(1),
            Token::Mark('}' | ')' | ']') => depth = depth.saturating_sub(1),
            Token::Name(name) if name.starts_with(|c: char| c.is_ascii_digit()) => number = Some(name),
            _ => {}
        }
        if depth > MAX_BRACKETS {
            return Err(format!("{file}:{line}: more than {MAX_BRACKETS} brackets inside each other"));
        }
        if let Some(number) = number {
            let after = number.split_once(['e', 'E']).map(|(_, digits)| digits);
            let power = if exponent { Some(number) } else { after };
            if number.len() > MAX_DIGITS || power.is_some_and(|power| power.len() > MAX_EXPONENT_DIGITS) {
                return Err(format!("{file}:{line}: a number of more than {MAX_DIGITS} digits"));
            }
            exponent = after == Some("");
        } else if !matches!(token, Token::Mark('+' | '-')) {
            exponent = false;
        }
    }
    Ok(())
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
        let called = calls.entry(*owner).or_default();
        match instruction {
            Instruction::CallRule { rule_index, .. } => drop(called.insert(usize::from(*rule_index))),
            Instruction::FunctionCall { params_index } => {
                let params = program.instruction_data.get_function_call_params(*params_index);
                called.extend(params.map(|params| usize::from(params.func_rule_index)));
            }
            Instruction::VirtualDataDocumentLookup { params_index } => {
                let lookups = &program.instruction_data.virtual_data_document_lookup_params;
                let Some(params) = lookups.get(usize::from(*params_index)) else { continue };
                let prefix = params.path_components.iter().map_while(|component| match component {
                    LiteralOrRegister::Literal(index) => {
                        let literal = program.literals.get(usize::from(*index))?;
                        Some(literal.as_string().ok()?.to_string())
                    }
                    LiteralOrRegister::Register(_) => None,
                });
                let prefix: Vec<String> = std::iter::once("data".to_owned()).chain(prefix).collect();
                let rules = program.rule_infos.iter().enumerate();
                called.extend(rules.filter_map(|(rule, info)| {
                    let name = info.name.split('.');
                    // Any rule at, below or above the path that is looked up.
                    name.zip(&prefix).all(|(a, b)| a == b).then_some(rule)
                }));
            }
            _ => {}
        }
    }
    calls
}
