//! The search: all ways through a program at once, position by position, so that it takes time in
//! proportion to the text whatever the pattern is. Of several matches it finds the one that Go finds.

use super::program::{Instruction, Program};
use super::tree::Place;
use crate::budget::{Budget, Failure};

/// A position that nothing was found at.
const NOWHERE: usize = usize::MAX;

/// Ways that have come to the same position, the best one first.
#[derive(Default)]
struct Ways {
    /// The instruction that each way waits at for its character.
    at: Vec<usize>,
    /// What each way has written down, one after the other.
    saved: Vec<usize>,
    /// The instructions that were come to, and where in `seen` each one is.
    seen: Vec<usize>,
    place: Vec<usize>,
}

impl Ways {
    fn clear(&mut self) {
        self.at.clear();
        self.saved.clear();
        self.seen.clear();
    }

    /// Whether it is the first one that comes to this instruction.
    fn is_new(&mut self, at: usize) -> bool {
        let Some(place) = self.place.get_mut(at) else { return false };
        if self.seen.get(*place) == Some(&at) {
            return false;
        }
        *place = self.seen.len();
        self.seen.push(at);
        true
    }
}

/// What is still to do while the ways from one instruction are followed.
enum Task {
    Follow(usize),
    /// What was written down before a way that has been followed.
    Restore(usize, usize),
}

/// The memory of a search, for all searches for one pattern in one text.
pub(super) struct Search<'s> {
    program: &'s Program,
    text: &'s str,
    /// How many positions ways write down: two for the match, and two for each group.
    slots: usize,
    ways: Ways,
    next: Ways,
    tasks: Vec<Task>,
    saved: Vec<usize>,
    work: usize,
}

impl<'s> Search<'s> {
    pub(super) fn new(
        program: &'s Program,
        text: &'s str,
        slots: usize,
        budget: &mut Budget,
    ) -> Result<Self, Failure> {
        let size = program.code.len();
        budget.charge((size / 8).saturating_add(slots / 4).saturating_add(8))?;
        let ways = || Ways { place: vec![0; size], ..Ways::default() };
        let (ways, next) = (ways(), ways());
        Ok(Self { program, text, slots, ways, next, tasks: Vec::new(), saved: vec![NOWHERE; slots], work: 0 })
    }

    /// The first match from a position on: the positions that were written down. Without slots it ends
    /// at once where one is found.
    pub(super) fn find(&mut self, from: usize, budget: &mut Budget) -> Result<Option<Vec<usize>>, Failure> {
        self.ways.clear();
        self.next.clear();
        let mut found: Option<Vec<usize>> = None;
        let mut before = self.text.get(..from).and_then(|text| text.chars().next_back());
        let mut rest = self.text.get(from..).unwrap_or_default().chars();
        let anchored = self.program.starts_at_text_start();
        let first = self.program.first_char();
        loop {
            if let Some(first) = first.filter(|_| found.is_none() && self.ways.at.is_empty()) {
                let here = rest.as_str();
                let skipped = here.find(first).unwrap_or(here.len());
                budget.charge(skipped / 16)?;
                let (skipped, here) = here.split_at_checked(skipped).ok_or(Failure::Limit)?;
                before = skipped.chars().next_back().or(before);
                rest = here.chars();
            }
            let position = self.text.len().saturating_sub(rest.as_str().len());
            let c = rest.next();
            if found.is_none() && !(anchored && position > 0) {
                self.saved.fill(NOWHERE);
                if let Some(start) = self.saved.first_mut() {
                    *start = position;
                }
                self.follow(0, position, before, c, false);
            }
            if self.ways.at.is_empty() && (found.is_some() || anchored) {
                break;
            }
            let after = rest.clone().next();
            if self.step(position, c, after, &mut found) && self.slots == 0 {
                break;
            }
            let slots_work = self.work.saturating_mul(self.slots) / 8;
            budget.charge(std::mem::take(&mut self.work).saturating_add(slots_work).saturating_add(1))?;
            std::mem::swap(&mut self.ways, &mut self.next);
            self.next.clear();
            if c.is_none() {
                break;
            }
            before = c;
        }
        budget.charge(std::mem::take(&mut self.work))?;
        Ok(found)
    }

    /// Takes one character on every way; whether there is a match before it.
    fn step(
        &mut self,
        position: usize,
        c: Option<char>,
        after: Option<char>,
        found: &mut Option<Vec<usize>>,
    ) -> bool {
        let next_position = position.saturating_add(c.map_or(0, char::len_utf8));
        let ways = std::mem::take(&mut self.ways);
        let mut matched = false;
        for (way, at) in ways.at.iter().enumerate() {
            self.work = self.work.saturating_add(1);
            let goes_on = match self.program.code.get(*at) {
                Some(Instruction::Char(wanted)) => c.is_some_and(|c| u32::from(c) == *wanted),
                Some(Instruction::Class(class)) => c.is_some_and(|c| {
                    self.program.classes.get(*class).is_some_and(|class| class.contains(c.into()))
                }),
                Some(Instruction::Match) => {
                    let start = way.saturating_mul(self.slots);
                    let saved = ways.saved.get(start..start.saturating_add(self.slots)).unwrap_or_default();
                    let mut saved = saved.to_vec();
                    if let Some(end) = saved.get_mut(1) {
                        *end = position;
                    }
                    *found = Some(saved);
                    matched = true;
                    // Ways after it are worse.
                    break;
                }
                _ => false,
            };
            if goes_on {
                let start = way.saturating_mul(self.slots);
                if let Some(saved) = ways.saved.get(start..start.saturating_add(self.slots)) {
                    self.saved.copy_from_slice(saved);
                }
                self.follow(at.saturating_add(1), next_position, c, after, true);
            }
        }
        self.ways = ways;
        matched
    }

    /// Adds the ways from an instruction up to where each takes a character.
    fn follow(&mut self, at: usize, position: usize, before: Option<char>, after: Option<char>, next: bool) {
        let ways = if next { &mut self.next } else { &mut self.ways };
        self.tasks.push(Task::Follow(at));
        while let Some(task) = self.tasks.pop() {
            let mut at = match task {
                Task::Follow(at) => at,
                Task::Restore(slot, value) => {
                    if let Some(slot) = self.saved.get_mut(slot) {
                        *slot = value;
                    }
                    continue;
                }
            };
            while ways.is_new(at) {
                self.work = self.work.saturating_add(1);
                let Some(instruction) = self.program.code.get(at) else { break };
                at = match *instruction {
                    Instruction::Jump(to) => to,
                    Instruction::Split(better, other) => {
                        self.tasks.push(Task::Follow(other));
                        better
                    }
                    Instruction::Save(slot) => {
                        if let Some(place) = self.saved.get_mut(slot) {
                            self.tasks.push(Task::Restore(slot, *place));
                            *place = position;
                        }
                        at.saturating_add(1)
                    }
                    Instruction::Place(place) if is_at(place, before, after, position) => {
                        at.saturating_add(1)
                    }
                    Instruction::Place(_) => break,
                    Instruction::Char(_) | Instruction::Class(_) | Instruction::Match => {
                        ways.at.push(at);
                        ways.saved.extend_from_slice(&self.saved);
                        break;
                    }
                };
            }
        }
    }
}

/// Whether a position is such a place.
fn is_at(place: Place, before: Option<char>, after: Option<char>, position: usize) -> bool {
    let word = |c: Option<char>| c.is_some_and(|c| c == '_' || c.is_ascii_alphanumeric());
    match place {
        Place::TextStart => position == 0,
        Place::TextEnd => after.is_none(),
        Place::LineStart => position == 0 || before == Some('\n'),
        Place::LineEnd => after.is_none_or(|c| c == '\n'),
        Place::Boundary => word(before) != word(after),
        Place::NoBoundary => word(before) == word(after),
    }
}
