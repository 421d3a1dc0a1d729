//! Rego in tokens, as far as looking through a text needs.

/// One token of Rego, as far as reading it needs.
#[derive(Debug, PartialEq)]
pub(crate) enum Token<'a> {
    Name(&'a str),
    /// A string literal without escapes; one with escapes is `Opaque`.
    Text(String),
    Opaque,
    /// Any other character that is not blank; line ends included.
    Mark(char),
}

/// The text in tokens, without comments and blanks.
pub(crate) fn tokens(source: &str) -> Vec<Token<'_>> {
    let mut tokens = Vec::new();
    let mut rest = source;
    while let Some(first) = rest.chars().next() {
        let take = |rest: &'_ str, n: usize| -> usize { n.min(rest.len()) };
        match first {
            '#' => rest = rest.find('\n').and_then(|end| rest.get(end..)).unwrap_or_default(),
            '"' => {
                let mut escaped = false;
                let mut opaque = false;
                let mut text = String::new();
                let mut end = rest.len();
                for (at, c) in rest.char_indices().skip(1) {
                    match c {
                        _ if escaped => escaped = false,
                        '\\' => (escaped, opaque) = (true, true),
                        '"' => {
                            end = at.saturating_add(1);
                            break;
                        }
                        c => text.push(c),
                    }
                }
                tokens.push(if opaque { Token::Opaque } else { Token::Text(text) });
                rest = rest.get(take(rest, end)..).unwrap_or_default();
            }
            '`' => {
                let inner = rest.get(1..).unwrap_or_default();
                let (text, after) = inner.split_once('`').unwrap_or((inner, ""));
                tokens.push(Token::Text(text.to_owned()));
                tokens.extend(text.matches('\n').map(|_| Token::Mark('\n')));
                rest = after;
            }
            c if c.is_ascii_alphanumeric() || c == '_' => {
                let end = rest.find(|c: char| !(c.is_ascii_alphanumeric() || c == '_')).unwrap_or(rest.len());
                let (name, after) = rest.split_at_checked(end).unwrap_or((rest, ""));
                tokens.push(Token::Name(name));
                rest = after;
            }
            c if c.is_whitespace() && c != '\n' => rest = rest.get(c.len_utf8()..).unwrap_or_default(),
            c => {
                tokens.push(Token::Mark(c));
                rest = rest.get(c.len_utf8()..).unwrap_or_default();
            }
        }
    }
    tokens
}
