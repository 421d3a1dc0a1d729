//! Operators that cost more than one step: `x * x`, `a == b`, a list made of lists. In front of each goes
//! a call that takes its work off the same budget as that of builtins.
//!
//! A value is counted as it is written out, because that is how it is compared: a list that holds one
//! list twice, twenty times over, takes little memory and a million steps. It is counted when it is put
//! into another value too, so that none gets so deep that dropping it ends the stack.

use std::collections::BTreeSet;
use std::sync::Arc;

use regorus::rvm::instructions::{BuiltinCallParams, LiteralOrRegister};
use regorus::rvm::program::{BuiltinInfo, Program};
use regorus::rvm::Instruction;
use regorus::{LimitError, Value};

use super::bounds::{called, left, take};
use super::work::{calculation, elements, is_flat, size};

/// What a call in front of an instruction counts.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Charge {
    /// Numbers are multiplied or divided, or sets subtracted.
    Arithmetic,
    /// The first two are compared: at most the smaller one is read.
    Compare,
    /// The second is looked for in the first.
    Search,
    /// All of them are put into a value.
    Hold,
    /// They are looked for in an object or a set, or put there.
    Key,
    /// As many rules are gone through as the number says.
    Rules,
}

const CHARGES: [(Charge, &str); 6] = [
    (Charge::Arithmetic, "__charge.arithmetic"),
    (Charge::Compare, "__charge.compare"),
    (Charge::Search, "__charge.search"),
    (Charge::Hold, "__charge.hold"),
    (Charge::Key, "__charge.key"),
    (Charge::Rules, "__charge.rules"),
];

/// Registers of one call.
const ARGUMENTS: usize = 8;
/// Going through a rule that a lookup below `data` comes upon, and copying to where its value goes.
const RULE: u64 = 200;

/// Where a rule's instructions start, and the rule.
type Owners = std::collections::BTreeMap<usize, usize>;

/// Puts the calls in.
///
/// # Errors
/// The rules become too long, or a rule has no register left.
pub(super) fn insert(program: &mut Program, owners: &Owners) -> Result<(), String> {
    let targets = targets(program);
    let mut instructions = Vec::with_capacity(program.instructions.len());
    let mut spans = Vec::with_capacity(program.instructions.len());
    let mut moved = Vec::with_capacity(program.instructions.len());
    let mut scratch = BTreeSet::new();
    let mut before = None;
    for (place, instruction) in std::mem::take(&mut program.instructions).into_iter().enumerate() {
        moved.push(instructions.len());
        let span = program.instruction_spans.get(place).cloned().flatten();
        // What stands before all rules calls them, and no more.
        if let Some((_, rule)) = owners.range(..=place).next_back() {
            let literal = before.filter(|_| !targets.contains(&place));
            let rules = called(program, &instruction).len();
            if matches!(instruction, Instruction::VirtualDataDocumentLookup { .. }) && rules > 0 {
                let info = program.rule_infos.get(*rule);
                // The register of the calls that count.
                let dest = info.map_or(u8::MAX, |info| info.num_registers);
                let number = u16::try_from(program.add_literal(Value::from(rules)));
                let literal_idx = number.map_err(|_| "the rules are too long")?;
                instructions.push(Instruction::Load { dest, literal_idx });
                spans.push(span.clone());
                instructions.push(call(program, *rule, Charge::Rules, &[dest])?);
                spans.push(span.clone());
                scratch.insert(*rule);
            }
            for (charge, registers) in charges(program, *rule, &instruction, literal) {
                for registers in registers.chunks(ARGUMENTS) {
                    scratch.insert(*rule);
                    instructions.push(call(program, *rule, charge, registers)?);
                    spans.push(span.clone());
                }
            }
        }
        before = scalar(program, &instruction);
        instructions.push(instruction);
        spans.push(span);
    }
    if instructions.len() > Program::MAX_INSTRUCTIONS {
        return Err("the rules are too long".to_owned());
    }
    moved.push(instructions.len());
    program.instructions = instructions;
    program.instruction_spans = spans;
    for rule in scratch {
        let Some(info) = program.rule_infos.get_mut(rule) else { continue };
        info.num_registers = info.num_registers.saturating_add(1);
    }
    relocate(program, &moved);
    Ok(())
}

/// The register that this loads a text, a number or the like into.
fn scalar(program: &Program, instruction: &Instruction) -> Option<u8> {
    match instruction {
        Instruction::Load { dest, literal_idx } => {
            let literal = program.literals.get(usize::from(*literal_idx))?;
            matches!(literal, Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_))
                .then_some(*dest)
        }
        Instruction::LoadTrue { dest }
        | Instruction::LoadFalse { dest }
        | Instruction::LoadNull { dest }
        | Instruction::LoadBool { dest, .. } => Some(*dest),
        _ => None,
    }
}

/// What has to be counted before this instruction, if `literal` was just loaded.
fn charges(
    program: &Program,
    rule: usize,
    instruction: &Instruction,
    literal: Option<u8>,
) -> Vec<(Charge, Vec<u8>)> {
    use Instruction::*;
    let data = &program.instruction_data;
    let registers = |path: &[LiteralOrRegister]| {
        let registers = path.iter().filter_map(|part| match part {
            LiteralOrRegister::Register(register) => Some(*register),
            LiteralOrRegister::Literal(_) => None,
        });
        registers.collect::<Vec<_>>()
    };
    let (charge, registers) = match instruction {
        Add { left, right, .. }
        | Sub { left, right, .. }
        | Mul { left, right, .. }
        | Div { left, right, .. }
        | Mod { left, right, .. } => (Charge::Arithmetic, vec![*left, *right]),
        Eq { left, right, .. }
        | Ne { left, right, .. }
        | Lt { left, right, .. }
        | Le { left, right, .. }
        | Gt { left, right, .. }
        | Ge { left, right, .. }
        | AssertEq { left, right } => match literal {
            // Comparing with a literal reads no more than the literal.
            Some(literal) if literal == *left || literal == *right => return Vec::new(),
            _ => (Charge::Compare, vec![*left, *right]),
        },
        Contains { collection, value, .. } => (Charge::Search, vec![*collection, *value]),
        Index { key, .. } if literal == Some(*key) => return Vec::new(),
        Index { key, .. } => (Charge::Key, vec![*key]),
        ChainedIndex { params_index } => {
            let params = data.get_chained_index_params(*params_index);
            (Charge::Key, params.map_or_else(Vec::new, |params| registers(&params.path_components)))
        }
        VirtualDataDocumentLookup { params_index } => {
            let params = data.get_virtual_data_document_lookup_params(*params_index);
            (Charge::Key, params.map_or_else(Vec::new, |params| registers(&params.path_components)))
        }
        ArrayPush { value, .. } | ArrayPushDefined { value, .. } => (Charge::Hold, vec![*value]),
        SetAdd { value, .. } => (Charge::Key, vec![*value]),
        ObjectSet { key, value, .. } => {
            return vec![(Charge::Key, vec![*key]), (Charge::Hold, vec![*value])];
        }
        // Of a list, a set or an object: the comprehension says which, and that is elsewhere.
        ComprehensionYield { value_reg, key_reg } => {
            (Charge::Key, key_reg.iter().chain([value_reg]).copied().collect())
        }
        ArrayCreate { params_index } => {
            let params = data.get_array_create_params(*params_index);
            (Charge::Hold, params.map_or_else(Vec::new, |params| params.elements.clone()))
        }
        SetCreate { params_index } => {
            let params = data.get_set_create_params(*params_index);
            (Charge::Key, params.map_or_else(Vec::new, |params| params.elements.clone()))
        }
        ObjectCreate { params_index } => {
            let params = data.get_object_create_params(*params_index);
            let of = |params: &regorus::rvm::instructions::ObjectCreateParams| {
                let literal = params.literal_key_fields.iter().map(|(_, value)| *value);
                literal.chain(params.fields.iter().flat_map(|(key, value)| [*key, *value])).collect()
            };
            (Charge::Hold, params.map_or_else(Vec::new, of))
        }
        // The values of several definitions are compared.
        RuleReturn {} => match program.rule_infos.get(rule) {
            Some(info) if info.definitions.len() > 1 && !info.early_exit_on_first_success => {
                (Charge::Hold, vec![info.result_reg])
            }
            _ => return Vec::new(),
        },
        _ => return Vec::new(),
    };
    vec![(charge, registers)]
}

/// A call of the function that counts.
fn call(program: &mut Program, rule: usize, charge: Charge, registers: &[u8]) -> Result<Instruction, String> {
    let info = program.rule_infos.get(rule);
    // One more than the rule uses.
    let dest = info.map_or(u8::MAX, |info| info.num_registers);
    if dest == u8::MAX {
        let name = info.map_or("", |info| info.name.as_str());
        return Err(format!("the rule `{name}` has too many values: split it"));
    }
    let name = CHARGES.iter().find(|(known, _)| *known == charge).map_or("", |(_, name)| name);
    let name = format!("{name}.{}", registers.len());
    let known = program.builtin_info_table.iter().position(|info| info.name == name);
    let index = match known {
        Some(index) => index,
        None => {
            let num_args = u16::try_from(registers.len()).unwrap_or(u16::MAX);
            program.builtin_info_table.push(BuiltinInfo { name, num_args });
            let function = match charge {
                Charge::Arithmetic => charge_arithmetic,
                Charge::Compare => charge_compare,
                Charge::Search => charge_search,
                Charge::Hold => charge_hold,
                Charge::Key => charge_key,
                Charge::Rules => charge_rules,
            };
            program.resolved_builtins.push((function, u8::try_from(num_args).unwrap_or(u8::MAX)));
            program.builtin_info_table.len().saturating_sub(1)
        }
    };
    let mut args = [0; ARGUMENTS];
    args.iter_mut().zip(registers).for_each(|(arg, register)| *arg = *register);
    let params_index = program.instruction_data.builtin_call_params.len();
    program.instruction_data.builtin_call_params.push(BuiltinCallParams {
        dest,
        builtin_index: u16::try_from(index).map_err(|_| "the rules are too long")?,
        num_args: u8::try_from(registers.len()).unwrap_or(u8::MAX),
        args,
    });
    let params_index = u16::try_from(params_index).map_err(|_| "the rules are too long")?;
    Ok(Instruction::BuiltinCall { params_index })
}

/// A function that takes the work for its arguments off the budget.
macro_rules! counted {
    ($name:ident, $work:expr) => {
        fn $name<S, E, R: From<LimitError>>(_: &S, _: &[E], values: &[Value], _: bool) -> Result<Value, R> {
            take($work(values))?;
            Ok(Value::Bool(true))
        }
    };
}

counted!(charge_arithmetic, |values: &[Value]| match values {
    [Value::Number(_), Value::Number(_)] => calculation(values),
    _ => hold(values).saturating_mul(8),
});
counted!(charge_compare, |values: &[Value]| match values {
    [a, b] if is_flat(a) || is_flat(b) => flat(a).min(flat(b)),
    [a, b] if elements(b) < elements(a) => size(b, left()),
    [a, _] => size(a, left()),
    _ => u64::MAX,
});
counted!(charge_search, |values: &[Value]| match values {
    [collection, value] if is_flat(value) => elements(collection).saturating_mul(flat(value)),
    [collection, _] => size(collection, left()),
    _ => u64::MAX,
});
counted!(charge_hold, hold);
// It is compared with as many as the logarithm of what is there.
counted!(charge_key, |values: &[Value]| values.iter().fold(0_u64, |sum, value| {
    let weight = if is_flat(value) { 1 } else { 8 };
    sum.saturating_add(size(value, left()).saturating_mul(weight))
}));
counted!(charge_rules, |values: &[Value]| match values {
    [Value::Number(rules)] => rules.as_u64().unwrap_or(u64::MAX).saturating_mul(RULE),
    _ => u64::MAX,
});

fn hold(values: &[Value]) -> u64 {
    values.iter().fold(0, |sum, value| sum.saturating_add(size(value, left())))
}

/// Steps of comparing a value that is flat; a list that is compared with it is not looked into.
fn flat(value: &Value) -> u64 {
    let bytes = match value {
        Value::String(text) => u64::try_from(text.len()).unwrap_or(u64::MAX),
        _ => 1,
    };
    bytes.saturating_div(8).saturating_add(1)
}

/// The instructions that are reached from elsewhere than the one before.
fn targets(program: &Program) -> BTreeSet<usize> {
    let mut targets: BTreeSet<usize> = program.entry_points.values().copied().collect();
    for params in &program.instruction_data.loop_params {
        targets.extend([params.body_start, params.loop_end].map(usize::from));
    }
    for params in &program.instruction_data.comprehension_begin_params {
        targets.extend([params.body_start, params.comprehension_end].map(usize::from));
    }
    for info in &program.rule_infos {
        let starts = info.definitions.iter().flatten().chain(info.destructuring_blocks.iter().flatten());
        targets.extend(starts.filter_map(|start| usize::try_from(*start).ok()));
    }
    targets
}

/// Points everything that names a place to where that went: in front of the calls before it.
fn relocate(program: &mut Program, moved: &[usize]) {
    let place = |old: usize| moved.get(old).copied().unwrap_or(usize::MAX);
    let short = |old: &mut u16| *old = u16::try_from(place(usize::from(*old))).unwrap_or(u16::MAX);
    let long = |old: &mut u32| {
        *old = usize::try_from(*old).ok().and_then(|old| u32::try_from(place(old)).ok()).unwrap_or(u32::MAX);
    };
    for instruction in &mut program.instructions {
        match instruction {
            Instruction::LoopNext { body_start, loop_end } => {
                short(body_start);
                short(loop_end);
            }
            Instruction::LogicalBlockStart { end_pc, .. }
            | Instruction::AllOfNext { end_pc, .. }
            | Instruction::AnyOfNext { end_pc, .. } => short(end_pc),
            _ => {}
        }
    }
    for params in &mut program.instruction_data.loop_params {
        short(&mut params.body_start);
        short(&mut params.loop_end);
    }
    for params in &mut program.instruction_data.comprehension_begin_params {
        short(&mut params.body_start);
        short(&mut params.comprehension_end);
    }
    for info in &mut program.rule_infos {
        Arc::make_mut(&mut info.definitions).iter_mut().flatten().for_each(long);
        info.destructuring_blocks.iter_mut().flatten().for_each(long);
    }
    program.entry_points.values_mut().for_each(|start| *start = place(*start));
    long(&mut program.main_entry_point);
}
