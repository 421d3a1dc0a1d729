//! What is counted of a run, and what of it is as it should be.

use std::collections::BTreeMap;

use everycall_rego_tests::generate::CONSTRUCTS;
use everycall_rego_tests::oracle::Opa;
use everycall_rego_tests::ours::Ours;
use everycall_rego_tests::tree::{Program, Reader};

use super::{Arguments, Verdict};

/// What was counted.
#[derive(Default)]
pub struct Totals {
    programs: usize,
    refused: usize,
    undecided: usize,
    by_interpreter: usize,
    undefined: usize,
    errors: usize,
    differences: usize,
    limited: usize,
    /// Of those, by what we say.
    differences_by: BTreeMap<&'static str, usize>,
    /// Other answers that are none, by why.
    excused: BTreeMap<&'static str, usize>,
    kept: usize,
    refusals: BTreeMap<String, usize>,
    undecided_by: BTreeMap<String, usize>,
    constructs: BTreeMap<&'static str, usize>,
    builtins: BTreeMap<&'static str, usize>,
}

/// Whether a difference is to be kept.
pub fn count_one(
    totals: &mut Totals,
    builtins: &[&'static str],
    program: &Program,
    opa: &Opa,
    verdict: &Verdict,
    (differs, excused): (Option<&Ours>, Option<&'static str>),
    keep: usize,
) -> bool {
    totals.programs += 1;
    let group = |message: &str| {
        let mut words =
            message.split_whitespace().filter(|word| !word.ends_with(':') || word.contains("_error"));
        let words: Vec<_> = words.by_ref().filter(|word| !word.contains(".rego")).take(9).collect();
        words.join(" ")
    };
    match opa {
        Opa::Refused(message) => {
            totals.refused += 1;
            if std::env::var_os("SHOW_REFUSED").is_some() {
                eprintln!("REFUSED {message}");
            }
            *totals.refusals.entry(group(message)).or_default() += 1;
            return false;
        }
        Opa::Undecided(message) => {
            totals.undecided += 1;
            let message = message.split("_error: ").last().unwrap_or(message);
            *totals
                .undecided_by
                .entry(message.split_whitespace().take(4).collect::<Vec<_>>().join(" "))
                .or_default() += 1;
        }
        Opa::Undefined => totals.undefined += 1,
        Opa::Conflict(_) => totals.errors += 1,
        Opa::Value(..) => {}
    }
    if let Verdict::Wanted { by_opa: false, .. } = verdict {
        totals.by_interpreter += 1;
    }
    for construct in &program.constructs {
        *totals.constructs.entry(construct).or_default() += 1;
    }
    let texts = program.texts(Reader::Us);
    for builtin in builtins {
        let called = |(_, text): &(String, String)| {
            text.match_indices(builtin).any(|(at, _)| {
                text[at + builtin.len()..].starts_with('(')
                    && !text[..at].ends_with(|c: char| c.is_ascii_alphanumeric() || c == '.' || c == '_')
            })
        };
        if texts.iter().any(called)
            || (*builtin == "time.now_ns" && texts.iter().any(|(_, text)| text.contains(builtin)))
        {
            *totals.builtins.entry(builtin).or_default() += 1;
        }
    }
    let Some(differs) = differs else { return false };
    if matches!(differs, Ours::Limit) {
        totals.limited += 1;
        return false;
    }
    if let Some(excuse) = excused {
        *totals.excused.entry(excuse).or_default() += 1;
        return false;
    }
    let kind = match (differs, verdict) {
        (_, Verdict::Wanted { by_opa: false, .. }) => "from regorus' interpreter, where OPA doesn't decide",
        (Ours::Refused(_), _) => "refused here",
        _ => "another answer here",
    };
    totals.differences += 1;
    let same = totals.differences_by.entry(kind).or_default();
    *same += 1;
    let kept = *same <= keep;
    totals.kept += usize::from(kept);
    kept
}

/// Prints what was counted. Whether all is as it should be.
pub fn report(arguments: &Arguments, builtins: &[&'static str], totals: &Totals) -> bool {
    let share = |count: usize| count as f64 * 100.0 / totals.programs.max(1) as f64;
    println!("constructs:");
    for construct in CONSTRUCTS {
        println!("  {:>7} {construct}", totals.constructs.get(construct).copied().unwrap_or(0));
    }
    println!("builtins:");
    for builtin in builtins {
        println!("  {:>7} {builtin}", totals.builtins.get(builtin).copied().unwrap_or(0));
    }
    let largest = |counts: &BTreeMap<String, usize>| {
        let mut all: Vec<_> = counts.iter().collect();
        all.sort_by_key(|(_, count)| std::cmp::Reverse(**count));
        for (message, count) in all.iter().take(12) {
            println!("  {count:>7} {message}");
        }
    };
    println!("not taken by OPA, for:");
    largest(&totals.refusals);
    println!("not decided by OPA, for:");
    largest(&totals.undecided_by);
    let decided = totals.programs - totals.refused - totals.undecided;
    println!(
        "{} programs: {} ({:.1} %) not taken by OPA, {} ({:.1} %) not decided by it ({} then by regorus' interpreter)",
        totals.programs,
        totals.refused,
        share(totals.refused),
        totals.undecided,
        share(totals.undecided),
        totals.by_interpreter
    );
    println!(
        "{decided} decided: {} undefined, {} errors; {} ended by a limit here, which OPA has none of (at most 0.1 %)",
        totals.undefined, totals.errors, totals.limited
    );
    let never: Vec<&str> = CONSTRUCTS
        .iter()
        .filter(|name| !totals.constructs.contains_key(*name))
        .chain(builtins.iter().filter(|name| !totals.builtins.contains_key(*name)))
        .copied()
        .collect();
    if !never.is_empty() {
        println!("never occurred: {}", never.join(", "));
    }
    for (excuse, count) in &totals.excused {
        println!("{count} otherwise, and no difference (at most 0.02 %): {excuse}");
    }
    println!("{} differences", totals.differences);
    for (kind, count) in &totals.differences_by {
        println!("  {count:>7} {kind}");
    }
    let enough = totals.programs < 20_000 || never.is_empty();
    let excused = totals.excused.values().sum();
    let few = share(totals.undecided) <= 10.0 && share(totals.limited) <= 0.1 && share(excused) <= 0.02;
    totals.differences == 0 && enough && few && !arguments.dry
}
