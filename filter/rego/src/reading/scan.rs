//! A module's text, looked through before it is parsed: what parsing it takes, line by line, and what is refused.

use super::*;
use crate::tokens::Tokens;

/// Brackets inside each other: each is a few frames deep.
const MAX_BRACKETS: usize = 12;
/// What is joined to one expression, such as `a + b[c].d`, is as many frames deep, those around it included.
const MAX_LINKS: usize = 100;
/// Digits of a number in a module, and of its exponent: `1e999999999` is written out as it is read.
const MAX_DIGITS: usize = 32;
const MAX_EXPONENT_DIGITS: usize = 3;
/// What parsing takes: a byte counts 1, also of comments and blanks, and each token this besides. What comes first in
/// `n` of such brackets counts 2^n times.
const TOKEN: u64 = 16;
/// Bytes that are looked through at a time.
const SCANNED: usize = 16 * 1024;
/// Names behind which a square bracket is an array.
const KEYWORDS: [&str; 10] =
    ["as", "contains", "default", "else", "every", "if", "in", "not", "some", "with"];

/// A line of a module.
pub(super) struct Line {
    /// The place behind it.
    pub(super) end: usize,
    /// What parsing takes up to there.
    pub(super) work: u64,
    /// It ends inside brackets.
    pub(super) inside: bool,
}

/// Looks through a module, token by token.
#[derive(Default)]
pub(super) struct Scan {
    pub(super) lines: Vec<Line>,
    /// How far it came, and what parsing takes up to there.
    at: usize,
    work: u64,
    brackets: Brackets,
    links: Links,
    /// The last token is a number that ends in `e`.
    exponent: bool,
    /// It says the word that is watched for, as a name or in a string.
    pub(super) mentions: bool,
}

impl Scan {
    /// Looks through some of it; whether there is more.
    ///
    /// # Errors
    /// The line at which brackets stand too deep, an expression has too many parts or a number is too long.
    pub(super) fn go_on(&mut self, file: &str, source: &str, watched: Option<&str>) -> Result<bool, String> {
        let end = self.at.saturating_add(SCANNED);
        let mut tokens = Tokens::behind(source, self.at);
        while let Some((token, behind)) = tokens.next() {
            let text = source.get(self.at..behind).unwrap_or_default();
            self.mentions |= watched.is_some_and(|word| mentions(&token, text, word));
            self.see(file, &token, text.len(), behind)?;
            self.at = behind;
            if behind >= end && tokens.is_between() {
                return Ok(true);
            }
        }
        let bytes = u64::try_from(source.len().saturating_sub(self.at)).unwrap_or(u64::MAX);
        self.work = self.work.saturating_add(bytes);
        self.lines.push(Line { end: source.len(), work: self.work, inside: false });
        Ok(false)
    }

    /// Sees the next token, which is so many bytes long with what stands before it.
    fn see(&mut self, file: &str, token: &Token<'_>, bytes: usize, end: usize) -> Result<(), String> {
        let line = self.lines.len().saturating_add(1);
        if line > MAX_LINES {
            return Err(format!("{file}: more than {MAX_LINES} lines"));
        }
        if self.links.joined(token) > MAX_LINKS {
            return Err(format!(
                "{file}:{line}: more than {MAX_LINKS} operators, brackets or names in one expression"
            ));
        }
        self.brackets.see(token);
        if self.brackets.open.len() > MAX_BRACKETS {
            return Err(format!("{file}:{line}: more than {MAX_BRACKETS} brackets inside each other"));
        }
        let weight = TOKEN.saturating_add(u64::try_from(bytes).unwrap_or(u64::MAX));
        self.work = self.work.saturating_add(self.brackets.tries().saturating_mul(weight));
        if *token == Token::Mark('\n') {
            self.lines.push(Line { end, work: self.work, inside: !self.brackets.open.is_empty() });
            return Ok(());
        }
        let number = match token {
            Token::Name(name) => Some(name).filter(|name| name.starts_with(|c: char| c.is_ascii_digit())),
            _ => None,
        };
        if let Some(number) = number {
            let after = number.split_once(['e', 'E']).map(|(_, digits)| digits);
            let power = if self.exponent { Some(*number) } else { after };
            if number.len() > MAX_DIGITS || power.is_some_and(|power| power.len() > MAX_EXPONENT_DIGITS) {
                return Err(format!("{file}:{line}: a number of more than {MAX_DIGITS} digits"));
            }
            self.exponent = after == Some("");
        } else if !matches!(token, Token::Mark('+' | '-')) {
            self.exponent = false;
        }
        Ok(())
    }
}

/// Whether a token of this text says a word.
fn mentions(token: &Token<'_>, text: &str, word: &str) -> bool {
    match token {
        Token::Name(name) => *name == word,
        Token::Text(text) => text.contains(word),
        // A letter may be written by its number.
        Token::Opaque => text.contains(word) || text.contains("\\u"),
        Token::Mark(_) => false,
    }
}

/// The brackets around a token.
#[derive(Default)]
struct Brackets {
    /// Of each, whether the parser tries twice what stands here in it.
    open: Vec<bool>,
    /// The last token ends a reference, a name or a call: a square bracket behind it has a key in it.
    behind_reference: bool,
}

impl Brackets {
    fn see(&mut self, token: &Token<'_>) {
        match token {
            Token::Mark('[') => self.open.push(!self.behind_reference),
            Token::Mark('{') => self.open.push(true),
            Token::Mark('(') => self.open.push(false),
            Token::Mark(']' | '}' | ')') => drop(self.open.pop()),
            Token::Mark(',') => self.open.last_mut().iter_mut().for_each(|twice| **twice = false),
            _ => {}
        }
        self.behind_reference = match token {
            Token::Name(name) => !KEYWORDS.contains(name),
            Token::Mark(mark) => matches!(mark, ']' | ')'),
            Token::Text(_) | Token::Opaque => false,
        };
    }

    /// How often the parser looks at a token here.
    fn tries(&self) -> u64 {
        self.open.iter().filter(|twice| **twice).fold(1, |tries, _| tries.saturating_mul(2))
    }
}

/// Counts what is joined to the expression that is being read, and to those around it.
struct Links {
    /// For each open bracket.
    counts: Vec<usize>,
    /// The last token joins what comes next.
    joins: bool,
    /// A line ended since then.
    ended: bool,
}

impl Default for Links {
    fn default() -> Self {
        Self { counts: vec![0], joins: false, ended: false }
    }
}

impl Links {
    /// How many there are, with this token and in all that stands around it.
    fn joined(&mut self, token: &Token<'_>) -> usize {
        if *token == Token::Mark('\n') {
            self.ended = true;
            return 0;
        }
        let joins = match token {
            Token::Mark(mark) => "+-*/%|&.[".contains(*mark),
            Token::Name(name) => ["else", "not"].contains(name),
            _ => false,
        };
        let ends = matches!(token, Token::Mark(',' | ';')) || (self.ended && !self.joins && !joins);
        if let Some(count) = self.counts.last_mut() {
            *count = if ends { 0 } else { count.saturating_add(usize::from(joins)) };
        }
        let joined = self.counts.iter().fold(0, |sum: usize, count| sum.saturating_add(*count));
        match token {
            Token::Mark('(' | '[' | '{') => self.counts.push(0),
            Token::Mark(')' | ']' | '}') if self.counts.len() > 1 => drop(self.counts.pop()),
            _ => {}
        }
        // A list that starts a line joins nothing behind it.
        (self.joins, self.ended) = (joins && *token != Token::Mark('['), false);
        joined
    }
}
