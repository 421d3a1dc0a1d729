//! What is written, to a tree.

use crate::budget::Failure;

/// How many parts a pattern may have, which bounds how deep its matchers are.
const MAX_PARTS: usize = 128;

#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Node {
    Nothing,
    Text(String),
    /// `*`
    Any,
    /// `**`
    Super,
    /// `?`
    Single,
    /// Characters of which it is one, or none.
    List(Vec<char>, bool),
    /// From the first to the last, or none of them.
    Range(char, char, bool),
    Pattern(Vec<Node>),
    AnyOf(Vec<Node>),
}

pub(super) fn parse(pattern: &str) -> Result<Node, Failure> {
    // It would end the pattern, or go missing in it.
    if pattern.contains('\0') {
        return Err(Failure::Limit);
    }
    if pattern.contains(char::REPLACEMENT_CHARACTER) {
        return Err(Failure::Error("a character"));
    }
    let mut chars = pattern.chars().peekable();
    // The patterns that are open: those of each alternative so far, and what the last one has.
    let mut alternatives: Vec<Vec<Node>> = Vec::new();
    let mut open: Vec<Vec<Node>> = Vec::new();
    let mut current: Vec<Node> = Vec::new();
    let mut parts = 0_usize;
    while let Some(c) = chars.peek().copied() {
        parts = parts.saturating_add(1);
        if parts > MAX_PARTS {
            return Err(Failure::Limit);
        }
        let in_terms = !open.is_empty();
        match c {
            '{' => {
                chars.next();
                open.push(std::mem::take(&mut current));
                alternatives.push(Vec::new());
            }
            ',' if in_terms => {
                chars.next();
                if let Some(known) = alternatives.last_mut() {
                    known.push(Node::Pattern(std::mem::take(&mut current)));
                }
            }
            '}' if in_terms => {
                chars.next();
                close(&mut alternatives, &mut open, &mut current);
            }
            '[' => {
                chars.next();
                current.push(range(&mut chars)?);
            }
            '?' => {
                chars.next();
                current.push(Node::Single);
            }
            '*' => {
                chars.next();
                let twice = chars.next_if_eq(&'*').is_some();
                current.push(if twice { Node::Super } else { Node::Any });
            }
            _ => {
                let breaks =
                    |c: char| matches!(c, '?' | '*' | '[' | '{') || (in_terms && matches!(c, '}' | ','));
                let text = text(&mut chars, breaks);
                if !text.is_empty() {
                    current.push(Node::Text(text));
                }
            }
        }
    }
    // What is not closed ends with the pattern.
    while !open.is_empty() {
        close(&mut alternatives, &mut open, &mut current);
    }
    Ok(Node::Pattern(current))
}

fn close(alternatives: &mut Vec<Vec<Node>>, open: &mut Vec<Vec<Node>>, current: &mut Vec<Node>) {
    let mut known = alternatives.pop().unwrap_or_default();
    known.push(Node::Pattern(std::mem::replace(current, open.pop().unwrap_or_default())));
    current.push(Node::AnyOf(known));
}

type Chars<'p> = std::iter::Peekable<std::str::Chars<'p>>;

/// Up to a character that breaks it and has no backslash before it.
fn text(chars: &mut Chars<'_>, breaks: impl Fn(char) -> bool) -> String {
    let mut text = String::new();
    while let Some(c) = chars.next_if(|c| !breaks(*c)) {
        match c {
            '\\' => text.extend(chars.next()),
            c => text.push(c),
        }
    }
    text
}

/// What follows `[`.
fn range(chars: &mut Chars<'_>) -> Result<Node, Failure> {
    let wrong = Failure::Error("a range of characters");
    let not = chars.next_if_eq(&'!').is_some();
    let mut ahead = chars.clone();
    let lo = ahead.next().ok_or(wrong)?;
    let node = if ahead.next() == Some('-') {
        let hi = ahead.next().filter(|hi| *hi >= lo).ok_or(wrong)?;
        *chars = ahead;
        Node::Range(lo, hi, not)
    } else {
        let list: Vec<char> = text(chars, |c| c == ']').chars().collect();
        if list.is_empty() {
            return Err(wrong);
        }
        Node::List(list, not)
    };
    chars.next_if_eq(&']').map(|_| node).ok_or(wrong)
}
