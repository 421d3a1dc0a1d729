//! A pattern's tree, to instructions for the search.

use super::class::Class;
use super::tree::{Kind, Node, Parsed, Place, Repeat};
use crate::budget::{Budget, Failure};

/// One goes on with the instruction after it, unless it says where.
#[derive(Debug, Clone, Copy)]
pub(super) enum Instruction {
    Char(u32),
    Class(usize),
    Place(Place),
    /// Writes the position down.
    Save(usize),
    /// Two ways, the better one first.
    Split(usize, usize),
    Jump(usize),
    Match,
}

#[derive(Debug)]
pub(super) struct Program {
    pub(super) code: Vec<Instruction>,
    pub(super) classes: Vec<Class>,
}

impl Program {
    pub(super) fn new(parsed: Parsed, budget: &mut Budget) -> Result<Self, Failure> {
        let mut program = Self { code: Vec::new(), classes: parsed.classes };
        program.emit(&parsed.root, budget)?;
        program.push(Instruction::Match, budget)?;
        Ok(program)
    }

    fn push(&mut self, instruction: Instruction, budget: &mut Budget) -> Result<usize, Failure> {
        budget.charge(1)?;
        self.code.push(instruction);
        Ok(self.code.len().saturating_sub(1))
    }

    fn set(&mut self, at: usize, instruction: Instruction) {
        if let Some(place) = self.code.get_mut(at) {
            *place = instruction;
        }
    }

    /// The tree's depth is bounded where it is made.
    fn emit(&mut self, node: &Node, budget: &mut Budget) -> Result<(), Failure> {
        let one = match &node.kind {
            Kind::Empty => return Ok(()),
            Kind::Char(c) => Instruction::Char(*c),
            Kind::Class(class) => Instruction::Class(*class),
            Kind::Place(place) => Instruction::Place(*place),
            Kind::Group(number, inner) => {
                let slot = number.saturating_mul(2);
                self.push(Instruction::Save(slot), budget)?;
                self.emit(inner, budget)?;
                Instruction::Save(slot.saturating_add(1))
            }
            Kind::Repeat(repeat, inner) => return self.repeat(*repeat, inner, budget),
            Kind::Concat(nodes) => return nodes.iter().try_for_each(|node| self.emit(node, budget)),
            Kind::Any(nodes) => {
                let mut ends = Vec::new();
                for (at, node) in nodes.iter().enumerate() {
                    if at.saturating_add(1) == nodes.len() {
                        self.emit(node, budget)?;
                        break;
                    }
                    let split = self.push(Instruction::Match, budget)?;
                    self.emit(node, budget)?;
                    ends.push(self.push(Instruction::Match, budget)?);
                    self.set(split, Instruction::Split(split.saturating_add(1), self.code.len()));
                }
                for end in ends {
                    self.set(end, Instruction::Jump(self.code.len()));
                }
                return Ok(());
            }
        };
        self.push(one, budget).map(drop)
    }

    /// As Go: `x{2,4}` is `xx(x(x)?)?`, and `x{2,}` is `xx+`.
    fn repeat(&mut self, repeat: Repeat, node: &Node, budget: &mut Budget) -> Result<(), Failure> {
        let Repeat { min, max, greedy } = repeat;
        let split = |into, beside| {
            if greedy {
                Instruction::Split(into, beside)
            } else {
                Instruction::Split(beside, into)
            }
        };
        let Some(max) = max else {
            for _ in 1..min {
                self.emit(node, budget)?;
            }
            // What may match nothing is tried once before it is repeated, for the order of the ways.
            let entry = match (min, node.empty) {
                (0, true) => Some(self.push(Instruction::Match, budget)?),
                _ => None,
            };
            let start = self.code.len();
            if min == 0 && !node.empty {
                self.push(Instruction::Match, budget)?;
                self.emit(node, budget)?;
                self.push(Instruction::Jump(start), budget)?;
                self.set(start, split(start.saturating_add(1), self.code.len()));
            } else {
                self.emit(node, budget)?;
                let after = self.code.len().saturating_add(1);
                self.push(split(start, after), budget)?;
            }
            if let Some(entry) = entry {
                self.set(entry, split(start, self.code.len()));
            }
            return Ok(());
        };
        for _ in 0..min {
            self.emit(node, budget)?;
        }
        let mut splits = Vec::new();
        for _ in min..max {
            splits.push(self.push(Instruction::Match, budget)?);
            self.emit(node, budget)?;
        }
        for at in splits {
            self.set(at, split(at.saturating_add(1), self.code.len()));
        }
        Ok(())
    }
}

impl Program {
    /// The character that all matches start with.
    pub(super) fn first_char(&self) -> Option<char> {
        match self.code.iter().find(|one| !matches!(one, Instruction::Save(_))) {
            Some(Instruction::Char(c)) => char::from_u32(*c),
            _ => None,
        }
    }

    /// Whether it can match at the start of a text only.
    pub(super) fn starts_at_text_start(&self) -> bool {
        let first = self.code.iter().find(|one| !matches!(one, Instruction::Save(_)));
        matches!(first, Some(Instruction::Place(Place::TextStart)))
    }
}
