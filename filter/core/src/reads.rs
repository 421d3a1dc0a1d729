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
    /// The word `signals` is somewhere in its text.
    signals: bool,
}

impl Reads {
    /// Scans the module of `package` and every module it mentions, through all of `modules`
    /// (package path to source texts).
    pub(crate) fn of(package: &str, modules: &BTreeMap<String, Vec<&str>>) -> Self {
        let mut reads = Self::default();
        for package in reach(package, modules) {
            for source in modules.get(&package).into_iter().flatten() {
                reads.paths.extend(sites(source).into_iter().map(|site| site.path));
                // A letter may be written by its number.
                reads.signals |=
                    source.contains("\\u") || tokens(source).iter().any(Token::speaks_of_signals);
            }
        }
        reads
    }

    /// The same in another document's terms: each pair says where a part of this one is in that.
    pub(crate) fn translated(&self, pairs: &[(&[&str], &[&str])]) -> Self {
        let mut translated = Self { signals: self.signals, ..Self::default() };
        for read in &self.paths {
            for (from, to) in pairs {
                if read.iter().zip(*from).all(|(a, b)| a == b) {
                    let below = read.iter().skip(from.len()).cloned();
                    translated.paths.insert(to.iter().map(|part| (*part).to_owned()).chain(below).collect());
                }
            }
        }
        translated
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

    /// Whether signals are named: of all of `input`, read as a whole, they are no part otherwise.
    pub(crate) const fn speaks_of_signals(&self) -> bool {
        self.signals
    }

    pub(crate) fn merge(&mut self, other: &Self) {
        self.paths.extend(other.paths.iter().cloned());
        self.signals |= other.signals;
    }
}

/// `data.a.b.c` mentions package `a`, `a.b`, `a.b.c` (a rule or package below) and `a.b.c.d`.
fn mentions(path: &[String], package: &str) -> bool {
    path.iter().skip(1).map(String::as_str).zip(package.split('.')).all(|(a, b)| a == b)
}

/// The package, and all that its modules mention, directly or not.
pub(crate) fn reach(package: &str, modules: &BTreeMap<String, Vec<&str>>) -> BTreeSet<String> {
    let mut open = vec![package.to_owned()];
    let mut seen = BTreeSet::new();
    while let Some(package) = open.pop() {
        if !seen.insert(package.clone()) {
            continue;
        }
        for path in modules.get(&package).into_iter().flatten().flat_map(|source| references(source)) {
            if path.path.first().is_some_and(|root| root == "data") {
                open.extend(modules.keys().filter(|other| mentions(&path.path, other)).cloned());
            }
        }
    }
    seen
}

/// One place of a text that reads `input`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Site {
    pub(crate) line: usize,
    /// The literal components behind the root.
    pub(crate) path: Vec<String>,
}

/// Every place of the text that reads `input`, names that `import` gives to parts of it included.
pub(crate) fn sites(source: &str) -> Vec<Site> {
    let mut sites = references(source);
    sites.retain(|site| site.path.first().is_some_and(|root| root == "input"));
    sites.iter_mut().for_each(|site| drop(site.path.remove(0)));
    sites
}

/// Members of `input` that are null where there is nothing to say.
const NULLABLE: &[&[&str]] = &[
    &["input", "identity"],
    &["input", "identity", "principal"],
    &["input", "identity", "task"],
    &["input", "identity", "bound"],
    &["input", "grant", "sensitivity"],
    &["input", "grant", "source"],
    &["input", "grant", "ticket"],
    &["input", "request", "id"],
    &["input", "elevation"],
    &["input", "elevation", "owner"],
    &["input", "elevation", "break_glass_reason"],
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
        let (mut path, rest) = chain("input", tokens.get(at.saturating_add(1)..).unwrap_or_default());
        // Where OPA-Envoy's input is given, ours stands below this member.
        if path.get(1).is_some_and(|member| member == "everycall") {
            path.remove(1);
        }
        if ends(rest.first()) && NULLABLE.iter().any(|nullable| path == *nullable) {
            let before = tokens.get(..at).unwrap_or_default();
            let line = before.iter().filter(|token| **token == Token::Mark('\n')).count();
            return Some((line.saturating_add(1), path.join(".")));
        }
    }
    None
}

/// Every chain in the text that starts with `input`, `data` or a name that `import` gives to a part
/// of them: line, and literal components with the root.
fn references(source: &str) -> Vec<Site> {
    let tokens = tokens(source);
    let mut names: BTreeMap<&str, Vec<String>> =
        ["input", "data"].map(|root| (root, vec![root.to_owned()])).into();
    let mut found = Vec::new();
    let mut line: usize = 1;
    let mut previous = None;
    let mut rest = tokens.as_slice();
    while let Some((token, after)) = rest.split_first() {
        rest = after;
        match token {
            Token::Mark('\n') => {
                line = line.saturating_add(1);
                continue;
            }
            Token::Name(name) if previous != Some(&Token::Mark('.')) => {
                if let Some(path) = names.get(name) {
                    let (path, mut after) = chain_from(path.clone(), rest);
                    if previous == Some(&Token::Name("import")) {
                        // Reads nothing by itself: what bears its name does.
                        let alias = match after {
                            [Token::Name("as"), Token::Name(alias), ..] => Some(*alias),
                            _ => last_name(rest, after),
                        };
                        if let [Token::Name("as"), Token::Name(_), behind @ ..] = after {
                            after = behind;
                        }
                        match (alias, path.first().map(String::as_str)) {
                            (Some(alias), _) => drop(names.insert(alias, path.clone())),
                            (None, Some("input")) => found.push(Site { line, path: path.clone() }),
                            (None, _) => {}
                        }
                        if path.first().is_some_and(|root| root == "data") {
                            found.push(Site { line, path });
                        }
                    } else {
                        found.push(Site { line, path });
                    }
                    let read = rest.len().saturating_sub(after.len());
                    let ends = rest.iter().take(read).filter(|token| **token == Token::Mark('\n')).count();
                    line = line.saturating_add(ends);
                    rest = after;
                }
            }
            _ => {}
        }
        previous = Some(token);
    }
    found
}

/// The name that an import without `as` gives: its last component, if that is a plain name.
fn last_name<'s>(before: &[Token<'s>], after: &[Token<'s>]) -> Option<&'s str> {
    let read = before.get(..before.len().saturating_sub(after.len()))?;
    match read.iter().rev().find(|token| **token != Token::Mark('\n')) {
        Some(Token::Name(name)) => Some(name),
        _ => None,
    }
}

/// The literal components of a chain, and what comes behind it.
fn chain<'t, 's>(root: &str, rest: &'t [Token<'s>]) -> (Vec<String>, &'t [Token<'s>]) {
    chain_from(vec![root.to_owned()], rest)
}

/// As [`chain`], behind a path. Lines may end inside of it.
fn chain_from<'t, 's>(mut path: Vec<String>, mut rest: &'t [Token<'s>]) -> (Vec<String>, &'t [Token<'s>]) {
    loop {
        let mut next = rest;
        while let [Token::Mark('\n'), after @ ..] = next {
            next = after;
        }
        match next {
            [Token::Mark('.'), Token::Name(part), after @ ..] => {
                path.push((*part).to_owned());
                rest = after;
            }
            // A list in a line of its own is no index.
            _ if matches!(rest, [Token::Mark('\n'), ..]) => return (path, rest),
            [Token::Mark('['), Token::Text(part), Token::Mark(']'), after @ ..] => {
                path.push(part.clone());
                rest = after;
            }
            _ => return (path, rest),
        }
    }
}

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

impl Token<'_> {
    fn speaks_of_signals(&self) -> bool {
        match self {
            Self::Name(name) => *name == "signals",
            Self::Text(text) => text.contains("signals"),
            Self::Opaque | Self::Mark(_) => false,
        }
    }
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
        for source in [
            "input.request.headers[name]",
            "h := input.request.headers",
            "import input.request as r\nx := r[y]",
        ] {
            assert_eq!(of(source).names(&["request", "headers"]), None, "{source}");
        }
        assert!(of("x if {\n  input\n    .connection\n    .sni\n}").any(&["connection", "sni"]));
    }

    #[test]
    fn names_that_import_gives_are_followed() {
        let names = |source: &str| -> Option<Vec<String>> {
            let reads = of(source);
            Some(reads.names(&["request", "headers"])?.into_iter().map(str::to_owned).collect())
        };
        assert_eq!(names("import input.request as r\nx if r.headers.a"), Some(vec!["a".into()]));
        assert_eq!(names("import input.request\nx if request.headers[\"a-b\"]"), Some(vec!["a-b".into()]));
        assert_eq!(names("import input.request\nx if y.request.headers"), Some(Vec::new()));
        assert_eq!(names("import input.request as r\nimport input.grant\nx := f(r)"), None);
        assert_eq!(names("import input as i\nx if i.request.headers.a"), Some(vec!["a".into()]));
        assert_eq!(names("import input\nx := f(input)"), None);
        let lines: Vec<usize> = sites("import input.request as r\n\nx if {\n r\n.id\n r.id }")
            .into_iter()
            .map(|site| site.line)
            .collect();
        assert_eq!(lines, [4, 6]);
    }

    #[test]
    fn bare_nullable_members_are_found() {
        for (source, line) in [
            ("allow if input.identity", 1),
            ("allow if {\n\t# a comment\n\tinput.identity.task\n}", 3),
            ("allow if { x := `a\nb`; input.elevation; y }", 2),
            ("allow if {\n  input[\"exception\"]\n}", 2),
            ("allow if input.everycall.identity", 1),
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
