//! Which parts of `input` a rule set reads, found in its text.
//!
//! The filter fetches and copies only what a policy reads, and the record holds the same values.
//! The scan is lexical and errs on the side of more: `input` used in a way it cannot follow
//! (`f(input)`, `input[x]`) counts as everything below that point.

use std::collections::{BTreeMap, BTreeSet};

/// The paths below `input` that a rule set reads; a path stands for everything below it.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Reads {
    paths: BTreeSet<Vec<String>>,
}

impl Reads {
    /// Scans the module of `package` and every module it mentions, through all of `modules`
    /// (package path to source texts).
    pub(crate) fn of(package: &str, modules: &BTreeMap<String, Vec<&str>>) -> Self {
        let mut reads = Self::default();
        let mut open = vec![package.to_owned()];
        let mut seen = BTreeSet::new();
        while let Some(package) = open.pop() {
            if !seen.insert(package.clone()) {
                continue;
            }
            for source in modules.get(&package).into_iter().flatten() {
                for mut path in references(source) {
                    match path.first().map(String::as_str) {
                        Some("input") => {
                            path.remove(0);
                            reads.paths.insert(path);
                        }
                        _ => open.extend(modules.keys().filter(|other| mentions(&path, other)).cloned()),
                    }
                }
            }
        }
        reads
    }

    /// Whether anything at, below or above this path is read.
    pub(crate) fn any(&self, path: &[&str]) -> bool {
        self.paths.iter().any(|read| read.iter().zip(path).all(|(a, b)| a == b))
    }

    /// Names read below this path; `None` means all of them.
    pub(crate) fn names(&self, path: &[&str]) -> Option<BTreeSet<&str>> {
        let mut names = BTreeSet::new();
        for read in &self.paths {
            if read.iter().zip(path).any(|(a, b)| a != b) {
                continue;
            }
            names.insert(read.get(path.len())?.as_str());
        }
        Some(names)
    }

    pub(crate) fn merge(&mut self, other: &Self) {
        self.paths.extend(other.paths.iter().cloned());
    }
}

/// `data.a.b.c` mentions package `a`, `a.b`, `a.b.c` (a rule or package below) and `a.b.c.d`.
fn mentions(path: &[String], package: &str) -> bool {
    path.iter().skip(1).map(String::as_str).zip(package.split('.')).all(|(a, b)| a == b)
}

/// Members of `input` that are null where there is nothing to say.
const NULLABLE: &[&[&str]] = &[
    &["input", "identity"],
    &["input", "identity", "principal"],
    &["input", "identity", "task"],
    &["input", "identity", "bound"],
    &["input", "grant", "sensitivity"],
    &["input", "request", "id"],
    &["input", "elevation"],
    &["input", "exception"],
];

/// The first condition of the text that is nothing but a nullable member, with its line. To Rego
/// null is as good as true: `allow if input.identity` holds for a caller without a credential.
pub(crate) fn bare_nullable(source: &str) -> Option<(usize, String)> {
    let tokens = tokens(source);
    let ends = |token: Option<&Token<'_>>| matches!(token, None | Some(Token::Mark('\n' | ';' | '}')));
    let starts =
        |token: Option<&Token<'_>>| matches!(token, Some(Token::Mark('\n' | ';' | '{') | Token::Name("if")));
    for (at, token) in tokens.iter().enumerate() {
        if *token != Token::Name("input") || !starts(at.checked_sub(1).and_then(|before| tokens.get(before)))
        {
            continue;
        }
        let (path, rest) = chain("input", tokens.get(at.saturating_add(1)..).unwrap_or_default());
        if ends(rest.first()) && NULLABLE.iter().any(|nullable| path == *nullable) {
            let before = tokens.get(..at).unwrap_or_default();
            let line = before.iter().filter(|token| **token == Token::Mark('\n')).count();
            return Some((line.saturating_add(1), path.join(".")));
        }
    }
    None
}

/// Every chain in the text that starts with `input` or `data`, as its literal components.
fn references(source: &str) -> Vec<Vec<String>> {
    let tokens: Vec<Token<'_>> =
        tokens(source).into_iter().filter(|token| *token != Token::Mark('\n')).collect();
    let mut found = Vec::new();
    let mut previous = None;
    let mut rest = tokens.as_slice();
    while let Some((token, after)) = rest.split_first() {
        rest = after;
        if let Token::Name(name @ ("input" | "data")) = token {
            if previous != Some(&Token::Mark('.')) {
                let (path, after) = chain(name, rest);
                found.push(path);
                rest = after;
            }
        }
        previous = Some(token);
    }
    found
}

/// The literal components of a chain, and what comes behind it.
fn chain<'t, 's>(root: &str, mut rest: &'t [Token<'s>]) -> (Vec<String>, &'t [Token<'s>]) {
    let mut path = vec![root.to_owned()];
    loop {
        match rest {
            [Token::Mark('.'), Token::Name(part), after @ ..] => {
                path.push((*part).to_owned());
                rest = after;
            }
            [Token::Mark('['), Token::Text(part), Token::Mark(']'), after @ ..] => {
                path.push(part.clone());
                rest = after;
            }
            _ => return (path, rest),
        }
    }
}

#[derive(Debug, PartialEq)]
enum Token<'a> {
    Name(&'a str),
    /// A string literal without escapes; one with escapes is `Opaque`.
    Text(String),
    Opaque,
    /// Any other character that is not blank; line ends included.
    Mark(char),
}

fn tokens(source: &str) -> Vec<Token<'_>> {
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

#[cfg(test)]
mod tests {
    use super::*;

    fn of(source: &str) -> Reads {
        Reads::of("p", &BTreeMap::from([("p".to_owned(), vec![source])]))
    }

    #[test]
    fn chains_are_followed_to_their_literal_end() {
        let reads = of(r#"
            # input.comment is not read
            x if input.request.headers["x-a"][0] == "input.text"
            y if input.connection.source_ip
        "#);
        assert!(reads.any(&["connection", "source_ip"]) && reads.any(&["connection"]));
        assert!(!reads.any(&["connection", "sni"]) && !reads.any(&["comment"]) && !reads.any(&["text"]));
        assert_eq!(reads.names(&["request", "headers"]), Some(BTreeSet::from(["x-a"])));
        assert_eq!(reads.names(&["request", "query"]), Some(BTreeSet::new()));
    }

    #[test]
    fn what_cannot_be_followed_is_everything_below() {
        for source in [
            "f(input)",
            "input[x]",
            "x := input",
            "i := input; i.connection.sni",
            "input[\"conn\\u0065ction\"]",
        ] {
            assert!(of(source).any(&["connection", "sni"]), "{source}");
        }
        for source in
            ["input.request.headers[name]", "h := input.request.headers", "import input.request as r"]
        {
            assert_eq!(of(source).names(&["request", "headers"]), None, "{source}");
        }
        assert!(of("x if {\n  input\n    .connection\n    .sni\n}").any(&["connection", "sni"]));
    }

    #[test]
    fn bare_nullable_members_are_found() {
        for (source, line) in [
            ("allow if input.identity", 1),
            ("allow if {\n\t# a comment\n\tinput.identity.task\n}", 3),
            ("allow if { x := `a\nb`; input.elevation; y }", 2),
            ("allow if {\n  input[\"exception\"]\n}", 2),
        ] {
            assert_eq!(bare_nullable(source).map(|(line, _)| line), Some(line), "{source}");
        }
        for source in [
            "allow if input.identity.id",
            "allow if input.identity != null",
            "allow if f(input.identity)",
            "allow if {\n\tinput.identity.task.id == \"x\"\n}",
            "allow if x == input.identity",
            "# input.identity\n",
            "x := input.identity",
            "allow if input.identity.kind",
            "allow if input.connection",
        ] {
            assert_eq!(bare_nullable(source), None, "{source}");
        }
    }

    #[test]
    fn imported_packages_count_and_others_do_not() {
        let modules = BTreeMap::from([
            ("a".to_owned(), vec!["import data.lib.tasks\nx if tasks.ok"]),
            ("lib.tasks".to_owned(), vec!["ok if input.identity.task"]),
            ("other".to_owned(), vec!["ok if input.connection.sni"]),
        ]);
        let reads = Reads::of("a", &modules);
        assert!(reads.any(&["identity", "task"]) && !reads.any(&["connection"]));
    }

    quickcheck::quickcheck! {
        fn any_text_is_scanned(source: String) -> bool {
            references(&source);
            bare_nullable(&source);
            true
        }
    }
}
