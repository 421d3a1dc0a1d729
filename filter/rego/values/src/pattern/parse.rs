//! The syntax of Go's `regexp`, with Perl's extensions as `regexp.Compile` has them, to a tree.

use std::str::Chars;

use super::class::{Class, MAX};
use super::unicode;
use crate::budget::{Budget, Failure};

/// How deep a tree may be. Go takes 1000.
const MAX_DEPTH: u16 = 300;
/// Instructions. Go takes three millions.
const MAX_SIZE: u32 = 20_000;
/// Bytes of a pattern.
const MAX_LENGTH: usize = 1 << 15;
/// What Go repeats at most, all repetitions inside each other multiplied.
const MAX_REPEAT: u32 = 1000;

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

type Parse<T> = Result<T, Failure>;

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

impl Node {
    const fn leaf(kind: Kind, empty: bool) -> Self {
        Self { kind, empty, depth: 1, size: 1, copies: 1 }
    }

    fn joined(mut nodes: Vec<Self>, kind: fn(Vec<Self>) -> Kind) -> Parse<Self> {
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

    fn group(self, number: usize) -> Parse<Self> {
        let Self { empty, depth, size, copies, .. } = self;
        let size = size.saturating_add(2);
        Self { kind: Kind::Group(number, Box::new(self)), empty, depth, size, copies }.deeper()
    }

    fn repeated(self, repeat: Repeat) -> Parse<Self> {
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

    /// The class that stands after `\`, if one does.
    fn class_escape(&mut self) -> Parse<Option<Class>> {
        let Some(letter) = self.peek() else { return Ok(None) };
        let name = match letter.to_ascii_lowercase() {
            'd' => "digit",
            's' => "perl space",
            'w' => "word",
            'p' => {
                self.rest.next();
                return self.property(letter == 'P').map(Some);
            }
            _ => return Ok(None),
        };
        self.rest.next();
        self.ascii_class(name, letter.is_ascii_uppercase()).map(Some)
    }

    /// What follows `\p`.
    fn property(&mut self, negated: bool) -> Parse<Class> {
        self.budget.charge(unicode::LOOKUP_WORK)?;
        let mut letter = [0; 4];
        let name = match self.next()? {
            '{' => self.until("}").ok_or(Failure::Error("missing closing }"))?,
            c => c.encode_utf8(&mut letter),
        };
        let (name, circumflex) = name.strip_prefix('^').map_or((name, false), |name| (name, true));
        let class = match unicode::named(name) {
            Some(class) => class,
            // Which scripts of several words there are depends on Go's version.
            None if name.contains(['_', '-', ' ']) => return Err(Failure::Limit),
            None => return Err(Failure::Error("a name of a category or a script")),
        };
        self.group_class(class, negated != circumflex)
    }

    fn ascii_class(&mut self, name: &str, negated: bool) -> Parse<Class> {
        const LOWER: (u32, u32) = (0x61, 0x7a);
        const UPPER: (u32, u32) = (0x41, 0x5a);
        const DIGIT: (u32, u32) = (0x30, 0x39);
        let class = match name {
            "alnum" => Class::from([DIGIT, UPPER, LOWER]),
            "alpha" => Class::from([UPPER, LOWER]),
            "ascii" => Class::from([(0, 0x7f)]),
            "blank" => Class::from([(9, 9), (0x20, 0x20)]),
            "cntrl" => Class::from([(0, 0x1f), (0x7f, 0x7f)]),
            "digit" => Class::from([DIGIT]),
            "graph" => Class::from([(0x21, 0x7e)]),
            "lower" => Class::from([LOWER]),
            "print" => Class::from([(0x20, 0x7e)]),
            "punct" => Class::from([(0x21, 0x2f), (0x3a, 0x40), (0x5b, 0x60), (0x7b, 0x7e)]),
            "space" => Class::from([(9, 0xd), (0x20, 0x20)]),
            "perl space" => Class::from([(9, 0xa), (0xc, 0xd), (0x20, 0x20)]),
            "upper" => Class::from([UPPER]),
            "word" => Class::from([DIGIT, UPPER, (0x5f, 0x5f), LOWER]),
            "xdigit" => Class::from([DIGIT, (0x41, 0x46), (0x61, 0x66)]),
            _ => return Err(Failure::Error("a name of a class")),
        };
        self.group_class(class, negated)
    }

    fn group_class(&mut self, class: Class, negated: bool) -> Parse<Class> {
        let class = if self.flags.fold { self.folded(class)? } else { class };
        Ok(if negated { class.negated() } else { class })
    }

    /// With the other cases of its characters.
    fn folded(&mut self, mut class: Class) -> Parse<Class> {
        let few = class.characters() <= 128;
        self.budget.charge(if few { 8 } else { unicode::FOLDING_WORK })?;
        if !few {
            unicode::fold(&mut class);
            return Ok(class);
        }
        let mut all = Vec::new();
        for c in class.ranges().iter().flat_map(|(lo, hi)| *lo..=*hi) {
            // `k` and `s` have another case outside of ASCII.
            match u8::try_from(c).ok().filter(u8::is_ascii).map(char::from) {
                Some(c) if !matches!(c, 'K' | 'S' | 'k' | 's') => {
                    all.extend(
                        [c.to_ascii_lowercase(), c.to_ascii_uppercase()].map(|c| (c.into(), c.into())),
                    );
                }
                _ => {
                    self.budget.charge(60)?;
                    all.extend(unicode::cases(c).map(|c| (c, c)));
                }
            }
        }
        Ok(Class::new(all))
    }

    /// What follows `[`.
    fn bracket(&mut self) -> Parse<Class> {
        let negated = self.eat('^');
        let mut ranges = Vec::new();
        // Ranges and single characters, whose other cases are added together.
        let mut plain = Vec::new();
        let mut first = true;
        while first || !self.eat(']') {
            first = false;
            let text = self.rest.as_str();
            if let Some((name, after)) = text.strip_prefix("[:").and_then(|text| text.split_once(":]")) {
                let (name, circumflex) = name.strip_prefix('^').map_or((name, false), |name| (name, true));
                self.rest = after.chars();
                ranges.extend_from_slice(self.ascii_class(name, circumflex)?.ranges());
                continue;
            }
            let start = self.rest.clone();
            if self.eat('\\') {
                if let Some(class) = self.class_escape()? {
                    self.budget.charge(class.ranges().len())?;
                    ranges.extend_from_slice(class.ranges());
                    continue;
                }
            }
            self.rest = start;
            let lo = self.bracket_char()?;
            let mut hi = lo;
            let after = self.rest.as_str();
            if after.len() >= 2 && after.starts_with('-') && !after.starts_with("-]") {
                self.rest.next();
                hi = self.bracket_char()?;
                if hi < lo {
                    return Err(Failure::Error("a range in its order"));
                }
            }
            plain.push((lo, hi));
        }
        let mut plain = Class::new(plain);
        if self.flags.fold {
            plain = self.folded(plain)?;
        }
        ranges.extend_from_slice(plain.ranges());
        let class = Class::new(ranges);
        Ok(if negated { class.negated() } else { class })
    }

    fn bracket_char(&mut self) -> Parse<u32> {
        match self.next()? {
            '\\' => self.escape(),
            c => Ok(c.into()),
        }
    }

    /// The one character that stands after `\`.
    fn escape(&mut self) -> Parse<u32> {
        let c = self.next()?;
        let octal = |c: Option<char>| c.and_then(|c| c.to_digit(8));
        let c = match c {
            '1'..='7' if octal(self.peek()).is_none() => {
                return Err(Failure::Error("no reference to a group"))
            }
            '0'..='7' => {
                let mut value = octal(Some(c)).unwrap_or_default();
                for _ in 0..2 {
                    let Some(digit) = octal(self.peek()) else { break };
                    self.rest.next();
                    value = value.saturating_mul(8).saturating_add(digit);
                }
                return Ok(value);
            }
            'x' => return self.hexadecimal(),
            'a' => '\x07',
            'f' => '\x0c',
            'n' => '\n',
            'r' => '\r',
            't' => '\t',
            'v' => '\x0b',
            c if c.is_ascii() && !c.is_ascii_alphanumeric() => c,
            _ => return Err(Failure::Error("an escape sequence")),
        };
        Ok(c.into())
    }

    fn hexadecimal(&mut self) -> Parse<u32> {
        let wrong = Failure::Error("hexadecimal digits");
        let braces = self.eat('{');
        let mut value = 0_u32;
        let mut digits = 0_u32;
        loop {
            let c = self.next()?;
            if braces && c == '}' && digits > 0 {
                return Ok(value);
            }
            value = value.saturating_mul(16).saturating_add(c.to_digit(16).ok_or(wrong)?);
            digits = digits.saturating_add(1);
            if value > MAX {
                return Err(wrong);
            }
            if !braces && digits == 2 {
                return Ok(value);
            }
        }
    }
}
