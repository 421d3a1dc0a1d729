//! A source is read in one go: it is short, or says at its beginning why it is not.

use std::collections::BTreeSet;

use everycall_tests::envoy::root;

use crate::page::{file, files_below};

/// Where sources are.
const FOLDERS: [&str; 5] = ["filter", "bench", "tests", "policies", "envoy"];
/// The most lines of a source that gives no reason.
const LINES: usize = 400;
/// How many lines it has to give one.
const BEGINNING: usize = 12;
/// The words for it.
const REASON: &str = "why it is long";

/// What is wrong with the length of a source.
fn fault(source: &str) -> Option<String> {
    let lines = source.lines().count();
    let reason = source.lines().take(BEGINNING).any(|line| line.contains(REASON));
    match (lines > LINES, reason) {
        (true, false) => Some(format!("{lines} lines, and not a word on `{REASON}`")),
        (false, true) => Some(format!("{lines} lines, and `{REASON}`")),
        _ => None,
    }
}

#[test]
fn sources_are_short_or_say_why_they_are_not() {
    let root = root();
    let all = FOLDERS.iter().flat_map(|folder| files_below(&root.join(folder)));
    let names: BTreeSet<String> = all
        .filter(|path| path.extension().is_some_and(|extension| extension == "rs"))
        .map(|path| path.strip_prefix(&root).unwrap().to_string_lossy().into_owned())
        .collect();
    assert!(names.len() > 300, "only {} sources", names.len());
    let faults: Vec<String> =
        names.iter().filter_map(|name| Some(format!("{name}: {}", fault(&file(name))?))).collect();
    assert!(faults.is_empty(), "{} of {}:\n{}", faults.len(), names.len(), faults.join("\n"));
}

#[test]
fn a_reason_is_for_what_is_long_and_stands_at_the_beginning() {
    let code = |lines: usize| "//! What it is.\n".repeat(lines);
    let reason = format!("//! All of one table, which is {REASON}.\n");
    assert_eq!(fault(&code(LINES)), None);
    assert!(fault(&code(LINES + 1)).is_some());
    assert_eq!(fault(&(reason.clone() + &code(LINES))), None);
    assert!(fault(&(reason.clone() + &code(LINES - 1))).is_some(), "it is short");
    assert_eq!(fault(&(code(BEGINNING - 1) + &reason + &code(LINES))), None);
    assert!(fault(&(code(BEGINNING) + &reason + &code(LINES))).is_some(), "nobody reads so far");
}
