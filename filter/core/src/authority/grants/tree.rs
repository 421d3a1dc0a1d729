//! The route tree: host, then path segments, most specific first. One tree for all subjects: its
//! size follows from the number of routes, not from the number of callers.
//!
//! Nodes are numbers and edges are one flat map: nothing is allocated for a node, so that a large
//! tree is built and dropped in small parts.

use std::sync::Arc;

use super::sharded::ShardedMap;
use super::template::{Part, Template};
use crate::http::host::ANY_PORT;

/// A place in the tree where templates end.
pub(super) type NodeId = u32;
/// A segment, as a number.
type Word = u32;

const ROOT: NodeId = 0;
/// Edges that are no segment. The words of segments begin behind them.
const PARAM: Word = 0;
const REST: Word = 1;
const STAR: Word = 2;
/// Below it stand the hosts that are named without regard to their ports.
const ANY: Word = 3;
const WORDS: Word = 4;

/// Where templates end that are alike: below a host as it came, and below its name for any port. What is for the
/// one or the other is for the same call, so both are walked at once, by one order.
pub(super) type Places = [Option<NodeId>; 2];

#[derive(Debug, Default)]
pub(super) struct Tree {
    words: ShardedMap<Arc<str>, Word>,
    edges: ShardedMap<(NodeId, Word), NodeId>,
}

/// What a path is walked with: where the walk may end.
pub(super) trait Visit<'p> {
    /// One more place is tried. True ends the walk.
    fn tries(&mut self) -> bool;

    /// Templates end here, with these values of their parameters. True ends the walk.
    fn visit(&mut self, places: Places, values: &[&'p str], rest: &'p [String]) -> bool;
}

impl Tree {
    /// The node in which this host and template end; made if it is new.
    pub(super) fn insert(&mut self, host: &str, template: &Template) -> NodeId {
        let mut node = match host.strip_suffix(ANY_PORT) {
            Some(name) => {
                let (any, name) = (self.next(ROOT, ANY), self.word(name));
                self.next(any, name)
            }
            None => {
                let host = self.word(host);
                self.next(ROOT, host)
            }
        };
        for part in template.parts() {
            let word = match part {
                Part::Literal(text) => self.word(text),
                Part::Param(_) => PARAM,
                Part::Rest(_) => REST,
                Part::Star => STAR,
            };
            node = self.next(node, word);
        }
        node
    }

    /// Drops some of it; whether there is more.
    pub(super) fn take_apart(&mut self, many: usize) -> bool {
        self.words.take_apart(many) || self.edges.take_apart(many)
    }

    fn word(&mut self, text: &str) -> Word {
        if let Some(known) = self.words.get(text) {
            return *known;
        }
        let new = number(self.words.len()).saturating_add(WORDS);
        self.words.add(text.into(), new);
        new
    }

    /// Each node but the root is the end of one edge: their count is the next number.
    fn next(&mut self, node: NodeId, word: Word) -> NodeId {
        if let Some(known) = self.edge(node, word) {
            return known;
        }
        let new = number(self.edges.len()).saturating_add(1);
        self.edges.add((node, word), new);
        new
    }

    fn literals(&self, places: Places, text: &str) -> Option<Places> {
        self.edges(places, *self.words.get(text)?)
    }

    /// Where this word leads to; `None` if it leads nowhere.
    fn edges(&self, places: Places, word: Word) -> Option<Places> {
        let ends = places.map(|place| self.edge(place?, word));
        (ends != [None; 2]).then_some(ends)
    }

    fn edge(&self, node: NodeId, word: Word) -> Option<NodeId> {
        self.edges.get(&(node, word)).copied()
    }

    /// Below which templates are for this host, whose name without a port is `name`; `None` if none is.
    pub(super) fn host(&self, host: &str, name: &str) -> Option<Places> {
        let literal = |node: NodeId, text: &str| self.edge(node, *self.words.get(text)?);
        let places = [literal(ROOT, host), self.edge(ROOT, ANY).and_then(|any| literal(any, name))];
        (places != [None; 2]).then_some(places)
    }

    /// Visits the ends of all templates below `host` that match, the most specific first.
    pub(super) fn walk<'p>(&self, host: Places, segments: &'p [String], visit: &mut impl Visit<'p>) {
        self.descend(host, segments, &mut Vec::new(), visit);
    }

    /// Visits the end of the template `*`, which the path `/*` is not.
    pub(super) fn star<'p>(&self, host: Places, visit: &mut impl Visit<'p>) {
        if let Some(ends) = self.edges(host, STAR) {
            visit.visit(ends, &[], &[]);
        }
    }

    /// A literal, then a parameter, then the rest. The depth is bounded by the number of segments
    /// that a target may have. True: the walk is over.
    fn descend<'p>(
        &self,
        places: Places,
        segments: &'p [String],
        values: &mut Vec<&'p str>,
        visit: &mut impl Visit<'p>,
    ) -> bool {
        if visit.tries() {
            return true;
        }
        let Some((segment, after)) = segments.split_first() else {
            return visit.visit(places, values, &[]);
        };
        if let Some(next) = self.literals(places, segment) {
            if self.descend(next, after, values, visit) {
                return true;
            }
        }
        // An empty last segment is a trailing slash: never a value, and part of a rest wherever that begins, so
        // that no broader template takes what a more specific one leaves.
        if let Some(next) = self.edges(places, PARAM).filter(|_| !segment.is_empty()) {
            values.push(segment);
            if self.descend(next, after, values, visit) {
                return true;
            }
            values.pop();
        }
        match self.edges(places, REST) {
            Some(next) => visit.visit(next, values, segments),
            None => false,
        }
    }
}

pub(super) fn number(count: usize) -> u32 {
    u32::try_from(count).unwrap_or(u32::MAX)
}
