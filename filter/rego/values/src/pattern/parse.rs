//! The syntax of Go's `regexp`, with Perl's extensions as `regexp.Compile` has them, to a tree.

mod classes;

use std::str::Chars;

use super::class::{Class, MAX};
use super::tree::{Kind, Node, Parsed, Place, Repeat, MAX_DEPTH, MAX_REPEAT};
use crate::budget::{Budget, Failure};

/// Bytes of a pattern.
const MAX_LENGTH: usize = 1 << 15;

#[derive(Clone, Copy)]
struct Flags {
    fold: bool,
    multi_line: bool,
    dot_all: bool,
    lazy: bool,
}

/// What stands between a parenthesis and the one that closes it.
struct Open {
    /// The flags that count again after it.
    outer: Flags,
    /// The number of the group, if it captures.
    group: Option<usize>,
    alternatives: Vec<Node>,
    sequence: Vec<Node>,
}

struct Parser<'p, 'b> {
    rest: Chars<'p>,
    budget: &'b mut Budget,
    flags: Flags,
    open: Vec<Open>,
    classes: Vec<Class>,
    names: Vec<Box<str>>,
}

pub(super) type Parse<T> = Result<T, Failure>;

/// Reads a pattern. What Go refuses is an error, and what is beyond our limits is `Limit`.
pub(super) fn parse(pattern: &str, budget: &mut Budget) -> Parse<Parsed> {
    budget.charge(pattern.len().saturating_mul(4))?;
    if pattern.len() > MAX_LENGTH {
        return Err(Failure::Limit);
    }
    let flags = Flags { fold: false, multi_line: false, dot_all: false, lazy: false };
    let mut parser = Parser {
        rest: pattern.chars(),
        budget,
        flags,
        open: vec![Open::new(flags, None)],
        classes: Vec::new(),
        names: Vec::new(),
    };
    parser.run()?;
    match (parser.open.pop(), parser.open.is_empty()) {
        (Some(outermost), true) => {
            Ok(Parsed { root: outermost.close()?, classes: parser.classes, names: parser.names })
        }
        _ => Err(Failure::Error("missing closing )")),
    }
}

impl Open {
    fn new(outer: Flags, group: Option<usize>) -> Self {
        Self { outer, group, alternatives: Vec::new(), sequence: Vec::new() }
    }

    fn next_alternative(&mut self) -> Parse<()> {
        let sequence = Node::joined(std::mem::take(&mut self.sequence), Kind::Concat)?;
        self.alternatives.push(sequence);
        Ok(())
    }

    fn close(mut self) -> Parse<Node> {
        self.next_alternative()?;
        Node::joined(self.alternatives, Kind::Any)
    }
}

impl<'p> Parser<'p, '_> {
    fn run(&mut self) -> Parse<()> {
        // Whether what stands before is a repetition.
        let mut repeated = false;
        while let Some(c) = self.rest.next() {
            let after_repeat = std::mem::take(&mut repeated);
            match c {
                '(' if self.eat('?') => self.flags_or_group()?,
                '(' => self.open_group(Some(""))?,
                ')' => self.close_group()?,
                '|' => self.last_open()?.next_alternative()?,
                '^' if self.flags.multi_line => self.place(Place::LineStart)?,
                '^' => self.place(Place::TextStart)?,
                '$' if self.flags.multi_line => self.place(Place::LineEnd)?,
                '$' => self.place(Place::TextEnd)?,
                '.' if self.flags.dot_all => self.class(Class::from([(0, MAX)]))?,
                '.' => self.class(Class::from([(0, 9), (0xb, MAX)]))?,
                '[' => {
                    let class = self.bracket()?;
                    self.class(class)?;
                }
                '*' | '+' | '?' | '{' => {
                    let (min, max) = match c {
                        '*' => (0, None),
                        '+' => (1, None),
                        '?' => (0, Some(1)),
                        _ => match self.count()? {
                            Some(count) => count,
                            None => {
                                self.literal(c)?;
                                continue;
                            }
                        },
                    };
                    let greedy = self.eat('?') == self.flags.lazy;
                    if after_repeat {
                        return Err(Failure::Error("nested repetition operator"));
                    }
                    let sequence = &mut self.last_open()?.sequence;
                    let node = sequence.pop().ok_or(Failure::Error("nothing to repeat"))?;
                    sequence.push(node.repeated(Repeat { min, max, greedy })?);
                    repeated = true;
                }
                '\\' => self.backslash()?,
                c => self.literal(c)?,
            }
        }
        Ok(())
    }

    fn last_open(&mut self) -> Parse<&mut Open> {
        self.open.last_mut().ok_or(Failure::Error("unexpected )"))
    }

    fn push(&mut self, node: Node) -> Parse<()> {
        self.last_open()?.sequence.push(node);
        Ok(())
    }

    fn place(&mut self, place: Place) -> Parse<()> {
        self.push(Node::leaf(Kind::Place(place), true))
    }

    fn class(&mut self, class: Class) -> Parse<()> {
        self.budget.charge(class.ranges().len().saturating_add(8))?;
        self.classes.push(class);
        self.push(Node::leaf(Kind::Class(self.classes.len().saturating_sub(1)), false))
    }

    fn literal(&mut self, c: impl Into<u32>) -> Parse<()> {
        let c = c.into();
        if self.flags.fold {
            let class = self.folded(Class::from([(c, c)]))?;
            if class.characters() > 1 {
                return self.class(class);
            }
        }
        self.push(Node::leaf(Kind::Char(c), false))
    }

    fn eat(&mut self, c: char) -> bool {
        let mut ahead = self.rest.clone();
        let eaten = ahead.next() == Some(c);
        if eaten {
            self.rest = ahead;
        }
        eaten
    }

    fn peek(&self) -> Option<char> {
        self.rest.clone().next()
    }

    fn next(&mut self) -> Parse<char> {
        self.rest.next().ok_or(Failure::Error("the pattern ends too early"))
    }

    /// What stands before `end`, which is taken, too.
    fn until(&mut self, end: &str) -> Option<&'p str> {
        let (before, after) = self.rest.as_str().split_once(end)?;
        self.rest = after.chars();
        Some(before)
    }

    fn open_group(&mut self, name: Option<&str>) -> Parse<()> {
        if self.open.len() >= usize::from(MAX_DEPTH) {
            return Err(Failure::Limit);
        }
        if let Some(name) = name {
            self.names.push(Box::from(name));
        }
        let number = name.map(|_| self.names.len());
        self.open.push(Open::new(self.flags, number));
        Ok(())
    }

    fn close_group(&mut self) -> Parse<()> {
        let closed = self.open.pop().filter(|_| !self.open.is_empty());
        let closed = closed.ok_or(Failure::Error("unexpected )"))?;
        self.flags = closed.outer;
        let node = match closed.group {
            Some(number) => closed.close()?.group(number)?,
            None => closed.close()?,
        };
        self.push(node)
    }

    /// What follows `(?`.
    fn flags_or_group(&mut self) -> Parse<()> {
        let text = self.rest.as_str();
        if let Some(named) = text.strip_prefix("P<").or_else(|| text.strip_prefix('<')) {
            let (name, after) = named
                .split_once('>')
                .filter(|(name, _)| !name.is_empty())
                .ok_or(Failure::Error("a group's name"))?;
            if !name.bytes().all(|byte| byte == b'_' || byte.is_ascii_alphanumeric()) {
                return Err(Failure::Error("a group's name"));
            }
            self.rest = after.chars();
            return self.open_group(Some(name));
        }
        let mut flags = self.flags;
        let mut on = true;
        let mut any = true;
        loop {
            let flag = self.next()?;
            match flag {
                'i' => flags.fold = on,
                'm' => flags.multi_line = on,
                's' => flags.dot_all = on,
                'U' => flags.lazy = on,
                '-' if on => {
                    on = false;
                    any = false;
                    continue;
                }
                ':' | ')' if any => {
                    if flag == ':' {
                        self.open_group(None)?;
                    }
                    self.flags = flags;
                    return Ok(());
                }
                _ => return Err(Failure::Error("unsupported Perl syntax")),
            }
            any = true;
        }
    }

    /// What follows `{`, if it is a count: `{2}`, `{2,}` or `{2,4}`.
    fn count(&mut self) -> Parse<Option<(u32, Option<u32>)>> {
        let before = self.rest.clone();
        let count = self.count_or_text();
        match count {
            None => {
                self.rest = before;
                Ok(None)
            }
            Some((min, max)) if min > MAX_REPEAT || max.is_some_and(|max| max > MAX_REPEAT || max < min) => {
                Err(Failure::Error("a repeat count of 1000 at most"))
            }
            count => Ok(count),
        }
    }

    fn count_or_text(&mut self) -> Option<(u32, Option<u32>)> {
        let min = self.number()?;
        let mut max = Some(min);
        if self.eat(',') {
            max = if self.peek() == Some('}') { None } else { Some(self.number()?) };
        }
        self.eat('}').then_some((min, max))
    }

    /// A number without leading zeros.
    fn number(&mut self) -> Option<u32> {
        let digits = self.rest.as_str();
        let others = digits.trim_start_matches(|c: char| c.is_ascii_digit());
        let digits = digits.strip_suffix(others).filter(|digits| !digits.is_empty())?;
        if digits.len() > 1 && digits.starts_with('0') {
            return None;
        }
        self.rest = others.chars();
        Some(digits.parse().unwrap_or(u32::MAX))
    }

    /// What follows `\` outside of brackets.
    fn backslash(&mut self) -> Parse<()> {
        let place = match self.peek() {
            Some('A') => Place::TextStart,
            Some('b') => Place::Boundary,
            Some('B') => Place::NoBoundary,
            Some('z') => Place::TextEnd,
            Some('Q') => {
                self.rest.next();
                let all = self.rest.as_str();
                let (literal, after) = all.split_once("\\E").unwrap_or((all, ""));
                self.rest = after.chars();
                return literal.chars().try_for_each(|c| self.literal(c));
            }
            _ => {
                return match self.class_escape()? {
                    Some(class) => self.class(class),
                    None => {
                        let c = self.escape()?;
                        self.literal(c)
                    }
                };
            }
        };
        self.rest.next();
        self.place(place)
    }
}
