//! A pattern as a tree, which says how large it becomes.

use super::class::Class;
use super::parse::Parse;
use crate::budget::Failure;

/// How deep a tree may be. Go takes 1000.
pub(super) const MAX_DEPTH: u16 = 300;
/// Instructions. Go takes three millions.
const MAX_SIZE: u32 = 20_000;
/// What Go repeats at most, all repetitions inside each other multiplied.
pub(super) const MAX_REPEAT: u32 = 1000;

/// A place that takes no character.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Place {
    LineStart,
    LineEnd,
    TextStart,
    TextEnd,
    Boundary,
    NoBoundary,
}

#[derive(Debug)]
pub(super) enum Kind {
    Empty,
    Char(u32),
    /// By its place in the table of classes.
    Class(usize),
    Place(Place),
    /// A group that captures, by its number.
    Group(usize, Box<Node>),
    Repeat(Repeat, Box<Node>),
    Concat(Vec<Node>),
    /// The first one that matches.
    Any(Vec<Node>),
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Repeat {
    pub(super) min: u32,
    pub(super) max: Option<u32>,
    pub(super) greedy: bool,
}

#[derive(Debug)]
pub(super) struct Node {
    pub(super) kind: Kind,
    /// Whether it can match without a character.
    pub(super) empty: bool,
    depth: u16,
    size: u32,
    /// How often the innermost repeated part comes.
    copies: u32,
}

/// A pattern's tree, and what it refers to.
#[derive(Debug)]
pub(super) struct Parsed {
    pub(super) root: Node,
    pub(super) classes: Vec<Class>,
    /// Names of the groups from the first one; empty where a group has none.
    pub(super) names: Vec<Box<str>>,
}

impl Node {
    pub(super) const fn leaf(kind: Kind, empty: bool) -> Self {
        Self { kind, empty, depth: 1, size: 1, copies: 1 }
    }

    pub(super) fn joined(mut nodes: Vec<Self>, kind: fn(Vec<Self>) -> Kind) -> Parse<Self> {
        match nodes.len() {
            0 => return Ok(Self::leaf(Kind::Empty, true)),
            1 => return nodes.pop().ok_or(Failure::Limit),
            _ => {}
        }
        let depth = nodes.iter().map(|node| node.depth).max().unwrap_or_default();
        let copies = nodes.iter().map(|node| node.copies).max().unwrap_or_default();
        let size = nodes.iter().fold(0_u32, |size, node| size.saturating_add(node.size).saturating_add(2));
        let empty_ones = nodes.iter().filter(|node| node.empty).count();
        let all = nodes.len();
        let kind = kind(nodes);
        let empty = if matches!(kind, Kind::Any(_)) { empty_ones > 0 } else { empty_ones == all };
        Self { kind, empty, depth, size, copies }.deeper()
    }

    pub(super) fn group(self, number: usize) -> Parse<Self> {
        let Self { empty, depth, size, copies, .. } = self;
        let size = size.saturating_add(2);
        Self { kind: Kind::Group(number, Box::new(self)), empty, depth, size, copies }.deeper()
    }

    pub(super) fn repeated(self, repeat: Repeat) -> Parse<Self> {
        let times = repeat.max.unwrap_or(repeat.min);
        // What is there no time at all is no longer counted.
        let copies = if repeat.max == Some(0) { 1 } else { self.copies.saturating_mul(times.max(1)) };
        if copies > MAX_REPEAT {
            return Err(Failure::Error("a repeat count of 1000 at most"));
        }
        let size = self.size.saturating_add(2).saturating_mul(times.max(1)).saturating_add(2);
        let empty = self.empty || repeat.min == 0;
        let depth = self.depth;
        Self { kind: Kind::Repeat(repeat, Box::new(self)), empty, depth, size, copies }.deeper()
    }

    /// With one more level, if that is not too much.
    fn deeper(mut self) -> Parse<Self> {
        self.depth = self.depth.saturating_add(1);
        if self.depth > MAX_DEPTH || self.size > MAX_SIZE {
            return Err(Failure::Limit);
        }
        Ok(self)
    }
}
