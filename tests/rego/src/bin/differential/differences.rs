//! Differences: whether one is in meaning, and the small program of one that is.

use std::collections::BTreeSet;
use std::io;
use std::path::Path;

use everycall_rego::Value;
use everycall_rego_tests::oracle::{Opa, Oracle};
use everycall_rego_tests::ours::Ours;
use everycall_rego_tests::stored::{Stored, Want};
use everycall_rego_tests::tree::{Program, Reader};
use everycall_rego_tests::{cases, interpreter, ours};

use super::{evaluate, verdict, Arguments, Verdict};

/// Where a small program of a difference is kept.
const DIFFERENCES: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/cases/differences");

pub fn differs(arguments: &Arguments, program: &Program, want: &Want) -> Option<Ours> {
    let got = evaluate(if arguments.interpreter { interpreter::evaluate } else { ours::evaluate }, program);
    (!want.is(&got)).then_some(got)
}

/// Why another answer is no difference in meaning.
pub fn excuse(
    oracle: &mut Oracle,
    program: &Program,
    want: &Want,
    by_opa: bool,
    got: &Ours,
) -> io::Result<Option<&'static str>> {
    if !by_opa {
        let excused = is_interpreters_fault(oracle, program, want, got)?;
        return Ok(excused.then_some("regorus' interpreter is wrong: OPA says so by members"));
    }
    if !matches!(got, Ours::Error(_)) {
        let without = match want {
            Want::Error => oracle.ask_without_comprehension_index(program)?,
            _ => None,
        };
        let excused = without.as_ref().and_then(Want::of).is_some_and(|want| want.is(got));
        return Ok(excused.then_some("the same in OPA without its index of comprehensions"));
    }
    let excused = matches!(oracle.ask_without_early_exit(program)?, Some(Opa::Conflict(_)));
    Ok(excused.then_some("an error here, and in OPA without its early exit"))
}

/// Whether OPA, which can't decide the whole program, decides each member of its answer in which the interpreter
/// differs from us, and says what we say.
fn is_interpreters_fault(
    oracle: &mut Oracle,
    program: &Program,
    want: &Want,
    got: &Ours,
) -> io::Result<bool> {
    let (Want::Value(want), Ours::Value(Value::Object(got))) = (want, got) else { return Ok(false) };
    let Some(Value::Object(want)) = Value::from_json(want.get()) else { return Ok(false) };
    let plain = |value: Option<&Value>| value.map(cases::plain);
    let names: BTreeSet<&Value> = want.iter().chain(got.iter()).map(|(name, _)| name).collect();
    let names: Vec<&Value> =
        names.into_iter().filter(|name| plain(want.get(name)) != plain(got.get(name))).collect();
    let members: Vec<Program> = names
        .iter()
        .map(|name| Program { query: format!("{}[{}]", program.query, name.to_json()), ..program.clone() })
        .collect();
    let answers = oracle.ask(&members)?;
    Ok(names.iter().zip(&answers).all(|(name, opa)| match opa {
        Opa::Value(value, _) => Some(value) == plain(got.get(name)).as_ref(),
        Opa::Undefined => got.get(name).is_none(),
        _ => false,
    }))
}

/// Makes a program smaller as long as the answers differ, and keeps it as a case.
pub fn keep_difference(
    arguments: &Arguments,
    oracle: &mut Oracle,
    seed: u64,
    mut program: Program,
    (mut want, by_opa, mut got): (Want, bool, Ours),
) -> io::Result<()> {
    // Refused, limited, wrong: it stays what it is.
    let kind = std::mem::discriminant(&got);
    // What couldn't go before something else went is tried again when all else was tried.
    let (mut from, mut gone) = (0, false);
    'smaller: loop {
        let candidates = program.smaller();
        let rest = candidates.get(from..).unwrap_or_default();
        for (chunk, candidates) in rest.chunks(30).enumerate() {
            let answers = oracle.ask(candidates)?;
            for (at, (candidate, opa)) in candidates.iter().zip(&answers).enumerate() {
                let Verdict::Wanted { want: wanted, by_opa: by } = verdict(arguments, candidate, opa) else {
                    continue;
                };
                let Some(other) = differs(arguments, candidate, &wanted) else { continue };
                if by == by_opa
                    && std::mem::discriminant(&other) == kind
                    && !is_mistaken(candidate)
                    && excuse(oracle, candidate, &wanted, by, &other)?.is_none()
                {
                    (program, want, got) = (candidate.clone(), wanted, other);
                    (from, gone) = (from + chunk * 30 + at, true);
                    continue 'smaller;
                }
            }
        }
        if !gone {
            break;
        }
        (from, gone) = (0, false);
    }
    let stored = Stored::new(&program, want, Some(got.to_string()))?;
    let text = serde_json::to_string_pretty(&stored)?;
    let oracle = if by_opa { "OPA" } else { "regorus' interpreter" };
    eprintln!("DIFFERENCE from {oracle} (seed {seed}): {} there, here {got}", stored.want);
    for module in &stored.modules {
        eprintln!("{module}--");
    }
    eprintln!(
        "input: {:?}\ndata: {}\nquery: {}\n",
        stored.input.as_ref().map(|text| text.get()),
        stored.data,
        stored.query
    );
    if arguments.interpreter {
        return Ok(());
    }
    std::fs::create_dir_all(DIFFERENCES)?;
    std::fs::write(Path::new(DIFFERENCES).join(format!("{seed}.json")), text + "\n")
}

/// OPA 1.20 forgets the `not` of a body that is `not true` alone, where the head reads something: the rule
/// holds. Nobody writes that, and it isn't what its documentation says.
fn is_mistaken(program: &Program) -> bool {
    program.texts(Reader::Us).iter().any(|(_, text)| text.contains("not true"))
}
