//! Regular expressions as Go's `regexp` has them, which is what they mean in OPA. Any other engine
//! differs in what it takes and in what it matches, and a pattern decides who may call.
//!
//! A pattern that Go refuses is an error, and one that is beyond our limits ends the evaluation.

mod class;
mod parse;
mod program;
mod search;
mod tree;
mod unicode;

use std::cell::RefCell;
use std::rc::Rc;

use crate::budget::{Budget, Failure};
use program::Program;
use search::Search;

pub(crate) use unicode::is_letter_or_digit;

/// A pattern, ready to search for.
#[derive(Debug, Clone)]
pub(crate) struct Pattern(Rc<Compiled>);

#[derive(Debug)]
struct Compiled {
    program: Program,
    names: Vec<Box<str>>,
}

/// Where a match is: its start and end, then those of each group.
#[derive(Debug, Clone)]
pub(crate) struct Match(Vec<usize>);

impl Match {
    /// Where the group is, or the whole match for 0; `None` if it takes no part in the match.
    pub(crate) fn group(&self, number: usize) -> Option<(usize, usize)> {
        let at = number.checked_mul(2)?;
        let found = (*self.0.get(at)?, *self.0.get(at.checked_add(1)?)?);
        (found.0 <= found.1 && found.1 != usize::MAX).then_some(found)
    }
}

/// Whether Go takes it.
pub(crate) fn is_valid(pattern: &str, budget: &mut Budget) -> Result<bool, Failure> {
    match parse::parse(pattern, budget) {
        Ok(_) => Ok(true),
        Err(Failure::Error(_)) => Ok(false),
        Err(Failure::Limit) => Err(Failure::Limit),
    }
}

/// Makes it ready. The work that it takes depends on the pattern alone, also where it is already known.
pub(crate) fn compile(pattern: &str, budget: &mut Budget) -> Result<Pattern, Failure> {
    if let Some((known, work)) = KNOWN.with_borrow(|known| find(known, pattern)) {
        budget.charge(work)?;
        return Ok(known);
    }
    let before = budget.work;
    let parsed = parse::parse(pattern, budget)?;
    let names = parsed.names.clone();
    let program = Program::new(parsed, budget)?;
    let work = usize::try_from(before.saturating_sub(budget.work)).unwrap_or(usize::MAX);
    let compiled = Pattern(Rc::new(Compiled { program, names }));
    if work <= MAX_KEPT {
        KNOWN.with_borrow_mut(|known| {
            known.truncate(KEPT.saturating_sub(1));
            known.insert(0, (pattern.into(), compiled.clone(), work));
        });
    }
    Ok(compiled)
}

/// How many patterns are kept, and what each may have taken, which bounds how large it is.
const KEPT: usize = 16;
const MAX_KEPT: usize = 4000;

type Known = Vec<(Box<str>, Pattern, usize)>;

thread_local! {
    /// Those made last, the last one first. Policies ask for the same ones at each call.
    static KNOWN: RefCell<Known> = const { RefCell::new(Vec::new()) };
}

fn find(known: &Known, pattern: &str) -> Option<(Pattern, usize)> {
    let (_, compiled, work) = known.iter().find(|(text, ..)| **text == *pattern)?;
    Some((compiled.clone(), *work))
}

impl Pattern {
    /// How many groups it has.
    pub(crate) fn groups(&self) -> usize {
        self.0.names.len()
    }

    /// The names of its groups, from the first one; empty where one has none.
    pub(crate) fn names(&self) -> impl Iterator<Item = &str> {
        self.0.names.iter().map(|name| &**name)
    }

    /// Whether it matches anywhere in the text.
    pub(crate) fn is_match(&self, text: &str, budget: &mut Budget) -> Result<bool, Failure> {
        Ok(Search::new(&self.0.program, text, 0, budget)?.find(0, budget)?.is_some())
    }

    /// Up to `most` matches, each after the one before it, with their groups if they are wanted.
    pub(crate) fn find_all(
        &self,
        text: &str,
        most: usize,
        groups: bool,
        budget: &mut Budget,
    ) -> Result<Vec<Match>, Failure> {
        let groups = if groups { self.groups() } else { 0 };
        let slots = groups.saturating_add(1).saturating_mul(2);
        let mut search = Search::new(&self.0.program, text, slots, budget)?;
        let mut all = Vec::new();
        let mut from = 0;
        let mut last_end = None;
        while all.len() < most && from <= text.len() {
            let Some(found) = search.find(from, budget)?.map(Match) else { break };
            let Some((start, end)) = found.group(0) else { break };
            // No empty match right after a match.
            let wanted = end != from || last_end != Some(start);
            from = if end == from {
                let next = text.get(from..).and_then(|rest| rest.chars().next());
                from.saturating_add(next.map_or(1, char::len_utf8))
            } else {
                end
            };
            last_end = Some(end);
            if wanted {
                budget.charge(8)?;
                all.push(found);
            }
        }
        Ok(all)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn work(pattern: &str, text: &str, budget: u64) -> (Result<bool, Failure>, u64) {
        let mut left = Budget::new(0, budget);
        let answer = compile(pattern, &mut left).and_then(|compiled| compiled.is_match(text, &mut left));
        (answer, budget.saturating_sub(left.work))
    }

    #[test]
    fn the_work_is_the_same_whether_a_pattern_is_known_or_not() {
        let first = work("(?i)^/users/[^/]+$", "/users/alice", 100_000);
        let again = work("(?i)^/users/[^/]+$", "/users/alice", 100_000);
        assert_eq!(first, again);
        let short = first.1.saturating_sub(1);
        assert_eq!(work("(?i)^/users/[^/]+$", "/users/alice", short).0, Err(Failure::Limit));
    }

    #[test]
    fn the_work_is_in_proportion_to_the_text_whatever_the_pattern_is() {
        for pattern in ["(x+x+)+y", "(a|aa)+$", "(.*)*z", "(x?){20}x{20}y"] {
            let of = |length| work(pattern, &"x".repeat(length), 10_000_000).1;
            assert!(of(2000) < of(1000).saturating_mul(2).saturating_add(1000), "{pattern}");
        }
    }

    #[test]
    fn what_is_beyond_our_limits_ends_the_evaluation() {
        let nested = format!("{}a{}", "(".repeat(400), ")".repeat(400));
        let large = "(?:abcdefghijklmnopqrstuvwxyz){1000}";
        let starred = format!("a{}", "(?i)*(?i)+".repeat(200));
        for pattern in [&nested, large, &starred, &"a".repeat(40_000), r"\p{Old_Italic}"] {
            assert_eq!(work(pattern, "a", 10_000_000).0, Err(Failure::Limit));
        }
    }
}
