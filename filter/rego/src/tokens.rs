//! Rego in tokens, as far as looking through a text needs.

/// One token of Rego, as far as reading it needs.
#[derive(Debug, PartialEq)]
pub(crate) enum Token<'a> {
    Name(&'a str),
    /// A string literal without escapes.
    Text(&'a str),
    /// One with escapes.
    Opaque,
    /// Any other character that is not blank; line ends included.
    Mark(char),
}

/// The tokens of a text, each with the place behind it, without comments and blanks.
pub(crate) struct Tokens<'a> {
    source: &'a str,
    at: usize,
    /// Line ends in the string literal that was read last.
    line_ends: usize,
}

/// The text in tokens.
pub(crate) const fn tokens(source: &str) -> Tokens<'_> {
    Tokens::behind(source, 0)
}

impl<'a> Tokens<'a> {
    /// Those behind a place that is behind one of them.
    pub(crate) const fn behind(source: &'a str, at: usize) -> Self {
        Self { source, at, line_ends: 0 }
    }

    /// The next one is at the place behind the last one.
    pub(crate) const fn is_between(&self) -> bool {
        self.line_ends == 0
    }
}

impl<'a> Iterator for Tokens<'a> {
    type Item = (Token<'a>, usize);

    fn next(&mut self) -> Option<Self::Item> {
        if self.line_ends > 0 {
            self.line_ends = self.line_ends.saturating_sub(1);
            return Some((Token::Mark('\n'), self.at));
        }
        loop {
            let rest = self.source.get(self.at..)?;
            let first = rest.chars().next()?;
            let (token, length) = match first {
                '#' => (None, rest.find('\n').unwrap_or(rest.len())),
                '"' => {
                    let (token, length) = literal(rest);
                    (Some(token), length)
                }
                '`' => {
                    let inner = rest.get(1..).unwrap_or_default();
                    let text = inner.split_once('`').map_or(inner, |(text, _)| text);
                    self.line_ends = text.matches('\n').count();
                    (Some(Token::Text(text)), text.len().saturating_add(2).min(rest.len()))
                }
                c if is_of_name(c) => {
                    let end = rest.find(|c: char| !is_of_name(c)).unwrap_or(rest.len());
                    (rest.get(..end).map(Token::Name), end)
                }
                c if is_blank(c) => (None, rest.find(|c| !is_blank(c)).unwrap_or(rest.len())),
                c => (Some(Token::Mark(c)), c.len_utf8()),
            };
            self.at = self.at.saturating_add(length);
            if let Some(token) = token {
                return Some((token, self.at));
            }
        }
    }
}

const fn is_of_name(c: char) -> bool {
    c.is_ascii_alphanumeric() || c == '_'
}

fn is_blank(c: char) -> bool {
    c.is_whitespace() && c != '\n'
}

/// The string literal that a text begins with, and its length.
fn literal(text: &str) -> (Token<'_>, usize) {
    let (mut escaped, mut opaque) = (false, false);
    let mut end = text.len();
    for (at, c) in text.char_indices().skip(1) {
        match c {
            _ if escaped => escaped = false,
            '\\' => (escaped, opaque) = (true, true),
            '"' => {
                end = at;
                break;
            }
            _ => {}
        }
    }
    let token = match text.get(1..end) {
        Some(inner) if !opaque => Token::Text(inner),
        _ => Token::Opaque,
    };
    (token, end.saturating_add(1).min(text.len()))
}
