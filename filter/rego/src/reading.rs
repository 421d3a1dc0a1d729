//! A module on its way: its text is read in parts, each of which takes a few milliseconds at most, and what would
//! keep the parser busy for ever is refused.
//!
//! regorus' parser goes down into brackets and expressions, and tries what stands in square and curly brackets
//! twice: its time doubles with each. What it takes is known from the tokens before it begins.

use std::sync::Arc;

use regorus::unstable as ast;

use crate::library::{Module, Origin};
use crate::syntax::constant_path;
use crate::tokens::{tokens, Token};

/// The longest module.
const MAX_BYTES: usize = 1024 * 1024;
const MAX_LINES: usize = 20_000;
const MAX_IMPORTS: usize = 100;
/// Brackets inside each other: each is a few frames deep.
const MAX_BRACKETS: usize = 12;
/// What is joined to one expression, such as `a + b[c].d`, is as many frames deep, those around it included.
const MAX_LINKS: usize = 100;
/// Digits of a number in a module, and of its exponent: `1e999999999` is written out as it is read.
const MAX_DIGITS: usize = 32;
const MAX_EXPONENT_DIGITS: usize = 3;
/// What parsing a part takes, in tokens, where one inside `n` brackets counts 2^n times, and a bracket three times
/// that; a part has several rules or one.
const PART: u64 = 2_500;
const BRACKET: u64 = 3;
/// What one rule may take where a part is a slice of a worker's time.
pub(crate) const MAX_PART: u64 = 11_000;
/// Names behind which a square bracket is an array.
const KEYWORDS: [&str; 10] =
    ["as", "contains", "default", "else", "every", "if", "in", "not", "some", "with"];

type Failed = Box<dyn std::error::Error + Send + Sync>;

/// What the parser says of rules that need no `if` in Rego v0.
const V0: &str = "keyword is required before rule body";

/// A module of which a part is still to be read.
pub(crate) struct Reading {
    pub(crate) module: Module,
    lines: Vec<Line>,
    /// Where the next part begins, and how many lines end before that.
    at: usize,
    line: usize,
    /// What one rule may take.
    max_part: u64,
    /// What the last part took, if no rule ended in it, and what the parser said then.
    failed: u64,
    error: Option<String>,
    pub(crate) rules: Vec<(Origin, ast::Ref<ast::Rule>)>,
}

/// A line of a module.
struct Line {
    /// The place behind it.
    end: usize,
    /// What parsing takes up to there.
    work: u64,
    /// It ends inside brackets.
    inside: bool,
}

impl Reading {
    /// Takes a module, and reads its package and its imports.
    ///
    /// # Errors
    /// `file:line:column: message`.
    pub(crate) fn begin(file: &str, text: &str, max_part: u64) -> Result<Self, String> {
        let lines = lines(file, text)?;
        let at = head(text);
        let place = Place { file, line: 0, column: 0 };
        let head = text.get(..at).unwrap_or_default();
        let parsed = parsed(&place, head, |parser| Ok(parser.parse()?))?;
        if parsed.imports.len() > MAX_IMPORTS {
            return Err(format!("{file}: more than {MAX_IMPORTS} imports"));
        }
        let package = constant_path(&parsed.package.refr);
        let mut imports = Vec::new();
        for import in &parsed.imports {
            let path = constant_path(&import.refr);
            let root = path.first().map_or("", |root| &**root);
            if matches!(root, "rego" | "future") {
                continue;
            }
            let last = path.last().map_or("", |last| &**last);
            let alias = import.r#as.as_ref().map_or(last, |span| span.text());
            imports.push((alias.to_owned(), path));
        }
        let module = Module { file: file.to_owned(), text: Arc::from(text), package, imports };
        let line = line_ends(head);
        Ok(Self { module, lines, at, line, max_part, failed: 0, error: None, rules: Vec::new() })
    }

    /// Reads a part; whether there is more.
    ///
    /// # Errors
    /// `file:line:column: message`.
    pub(crate) fn part(&mut self) -> Result<bool, String> {
        let file = &self.module.file;
        let rest = self.module.text.get(self.at..).unwrap_or_default();
        if words(rest).next().is_none() {
            return Ok(false);
        }
        let first = self.lines.partition_point(|line| line.end <= self.at);
        let before = first.checked_sub(1).and_then(|at| self.lines.get(at)).map_or(0, |line| line.work);
        let target = match self.failed {
            0 => PART,
            failed => failed.saturating_add(PART).min(self.max_part),
        };
        let mut part = None;
        for line in self.lines.iter().skip(first).filter(|line| !line.inside) {
            let takes = line.work.saturating_sub(before);
            if takes > target && part.is_some_and(|(_, takes)| takes > self.failed) {
                break;
            }
            part = Some((line.end, takes));
        }
        let (end, takes) = part.unwrap_or((self.module.text.len(), u64::MAX));
        if takes > self.max_part {
            if let Some(error) = self.error.take() {
                return Err(error);
            }
            let blank = rest.len().saturating_sub(rest.trim_start().len());
            let line =
                self.line.saturating_add(line_ends(rest.get(..blank).unwrap_or_default())).saturating_add(1);
            return Err(format!(
                "{file}:{line}: from here on one rule is too long, or too much of it stands in brackets inside each other, or a bracket is not closed"
            ));
        }
        let is_last = end == self.module.text.len();
        // The token behind it says whether its last rule is complete.
        let behind = self.module.text.get(end..).unwrap_or_default();
        let more = words(behind).next().map_or(0, |(_, more)| more);
        let part = self.module.text.get(self.at..end.saturating_add(more)).unwrap_or_default();
        let place = Place { file, line: self.line, column: self.column() };
        let Rules { read, behind, error } = parsed(&place, part, |parser| rules(parser, part, is_last))?;
        let line = u32::try_from(self.line).unwrap_or(u32::MAX);
        let start = u32::try_from(self.at).unwrap_or(u32::MAX);
        let origin = Origin { module: 0, start, line };
        // What is wrong before the last line is not wrong because the part ends there.
        let lines = line_ends(part.trim_end());
        self.error = error
            .map(|error| place.locate(&*error))
            .filter(|error| error.line <= lines)
            .map(|error| error.text);
        self.failed = if read.is_empty() { takes } else { 0 };
        let read_some = !read.is_empty();
        self.rules.extend(read.into_iter().map(|rule| (origin, ast::Ref::new(rule))));
        // What is left of the last line, unless something stands there.
        let left = part.get(behind..).unwrap_or_default().split_inclusive('\n').next().unwrap_or_default();
        let is_blank = words(left).next().is_none();
        let behind = if is_blank && read_some { behind.saturating_add(left.len()) } else { behind };
        self.line = self.line.saturating_add(line_ends(part.get(..behind).unwrap_or_default()));
        self.at = self.at.saturating_add(behind);
        Ok(true)
    }

    /// How far in its line the next part begins.
    fn column(&self) -> usize {
        let before = self.module.text.get(..self.at).unwrap_or_default();
        before.chars().rev().take_while(|c| *c != '\n').count()
    }
}

/// The tokens but for line ends.
fn words(text: &str) -> impl Iterator<Item = (Token<'_>, usize)> {
    tokens(text).filter(|(token, _)| *token != Token::Mark('\n'))
}

fn line_ends(text: &str) -> usize {
    text.matches('\n').count()
}

/// What comes out of a part.
struct Rules {
    read: Vec<ast::Rule>,
    /// The place behind them.
    behind: usize,
    /// Why the next one is not among them.
    error: Option<Failed>,
}

/// Reads the rules of a part. Of one that is not the last, a rule counts if another token stands behind it: else
/// there may be more of it.
fn rules(parser: &mut ast::Parser<'_>, part: &str, is_last: bool) -> Result<Rules, Failed> {
    let mut tokens = words(part).peekable();
    let mut rules = Rules { read: Vec::new(), behind: 0, error: None };
    // Where the two see the end at different places, the parser says what it can't read there.
    while tokens.peek().is_some() || (is_last && !parser.token_text().is_empty()) {
        let rule = match parser.parse_rule() {
            Ok(rule) => rule,
            Err(error) if is_last => return Err(error.into()),
            Err(error) => {
                rules.error = Some(error.into());
                break;
            }
        };
        // Its span ends within the quotes of a string.
        let end = usize::try_from(rule.span().end).unwrap_or(usize::MAX);
        let mut behind = rules.behind;
        while behind < end {
            match tokens.next() {
                Some((_, at)) => behind = at,
                None => break,
            }
        }
        if tokens.peek().is_none() && !is_last {
            break;
        }
        rules.behind = behind;
        rules.read.push(rule);
    }
    Ok(rules)
}

/// Where a part stands.
struct Place<'a> {
    file: &'a str,
    /// Lines before it, and characters before it in its first line.
    line: usize,
    column: usize,
}

/// What comes out of parsing a part.
fn parsed<T>(
    place: &Place<'_>,
    part: &str,
    parse: impl FnOnce(&mut ast::Parser<'_>) -> Result<T, Failed>,
) -> Result<T, String> {
    let parsed = || {
        let source = ast::Source::from_contents(place.file.to_owned(), part.to_owned())?;
        let mut parser = ast::Parser::new(&source)?;
        parser.enable_rego_v1()?;
        parse(&mut parser)
    };
    parsed().map_err(|error| place.locate(&*error).text)
}

/// What the parser says of a part.
struct Located {
    /// The line of the part.
    line: usize,
    /// `file:line:column: message`, of the module.
    text: String,
}

impl Place<'_> {
    /// The parser says `--> file:line:column` above a picture of the place; we want one line.
    fn locate(&self, error: &dyn std::error::Error) -> Located {
        let error = error.to_string();
        let place = error.lines().find_map(|line| line.trim_start().strip_prefix("--> "));
        let message = error
            .lines()
            .map(str::trim)
            .filter_map(|line| line.strip_prefix("error: ").or_else(|| line.strip_prefix("Error: ")))
            .next_back()
            .map(str::to_owned)
            .unwrap_or_else(|| error.split_whitespace().collect::<Vec<_>>().join(" "));
        let message = match message.contains(V0) {
            true => format!("{message}: this is Rego v0; `opa fmt --write --v0-v1` rewrites it"),
            false => message,
        };
        let numbers = place.and_then(|place| {
            let (rest, column) = place.rsplit_once(':')?;
            let (_, line) = rest.rsplit_once(':')?;
            Some((line.parse::<usize>().ok()?, column.parse::<usize>().ok()?))
        });
        let Self { file, line: before, column: beside } = self;
        let Some((line, column)) = numbers else {
            return Located { line: 0, text: format!("{}: {message}", place.unwrap_or(file)) };
        };
        let beside = if line == 1 { *beside } else { 0 };
        let (whole, column) = (before.saturating_add(line), beside.saturating_add(column));
        Located { line, text: format!("{file}:{whole}:{column}: {message}") }
    }
}

/// Where the package and the imports of a module end. Of what begins otherwise, the first token.
fn head(text: &str) -> usize {
    let mut tokens = words(text).peekable();
    let mut end = 0;
    while let Some((token, behind)) = tokens.peek() {
        if !matches!(token, Token::Name("package" | "import")) {
            return if end == 0 { *behind } else { end };
        }
        end = *behind;
        tokens.next();
        // A name belongs to the path that it is the first of, or behind a dot.
        let mut joined = true;
        while let Some((token, behind)) = tokens.peek() {
            match token {
                Token::Name(_) if joined => joined = false,
                Token::Name("as") | Token::Mark('.') => joined = true,
                Token::Mark('[' | ']') | Token::Text(_) | Token::Opaque => {}
                _ => break,
            }
            end = *behind;
            tokens.next();
        }
    }
    end
}

/// Looks through a module, line by line.
///
/// # Errors
/// The line at which brackets stand too deep, an expression has too many parts or a number is too long.
fn lines(file: &str, source: &str) -> Result<Vec<Line>, String> {
    if source.len() > MAX_BYTES {
        return Err(format!("{file}: more than {MAX_BYTES} bytes"));
    }
    // The parser takes it for the end, and what is behind it for nothing.
    if let Some((before, _)) = source.split_once('\0') {
        let line = line_ends(before).saturating_add(1);
        return Err(format!("{file}:{line}: a NUL character"));
    }
    let mut lines: Vec<Line> = Vec::new();
    let mut work: u64 = 0;
    let mut brackets = Brackets::default();
    let mut exponent = false;
    let mut links = Links::default();
    for (token, end) in tokens(source) {
        let line = lines.len().saturating_add(1);
        if links.joined(&token) > MAX_LINKS {
            return Err(format!(
                "{file}:{line}: more than {MAX_LINKS} operators, brackets or names in one expression"
            ));
        }
        brackets.see(&token);
        if brackets.open.len() > MAX_BRACKETS {
            return Err(format!("{file}:{line}: more than {MAX_BRACKETS} brackets inside each other"));
        }
        if token == Token::Mark('\n') {
            lines.push(Line { end, work, inside: !brackets.open.is_empty() });
            continue;
        }
        let weight = if matches!(token, Token::Mark('[' | '{' | ']' | '}')) { BRACKET } else { 1 };
        work = work.saturating_add(brackets.tries().saturating_mul(weight));
        let mut number = None;
        if let Token::Name(name) = token {
            number = Some(name).filter(|name| name.starts_with(|c: char| c.is_ascii_digit()));
        }
        if let Some(number) = number {
            let after = number.split_once(['e', 'E']).map(|(_, digits)| digits);
            let power = if exponent { Some(number) } else { after };
            if number.len() > MAX_DIGITS || power.is_some_and(|power| power.len() > MAX_EXPONENT_DIGITS) {
                return Err(format!("{file}:{line}: a number of more than {MAX_DIGITS} digits"));
            }
            exponent = after == Some("");
        } else if !matches!(token, Token::Mark('+' | '-')) {
            exponent = false;
        }
    }
    if lines.len() >= MAX_LINES {
        return Err(format!("{file}: more than {MAX_LINES} lines"));
    }
    lines.push(Line { end: source.len(), work, inside: false });
    Ok(lines)
}

/// The brackets around a token.
#[derive(Default)]
struct Brackets {
    /// Of each, whether the parser tries twice what stands in it.
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn long_expressions_are_refused_and_long_modules_are_not() {
        for text in [
            format!("x := 1{}", " + 1".repeat(101)),
            format!("x := 1{}", "\n+ 1".repeat(101)),
            format!("x := 1{}", " +\n1".repeat(101)),
            format!("x := 1{}", " + f(1, 2)".repeat(101)),
            format!("x := a{}", ".b".repeat(101)),
            format!("x := a{}", "[0]".repeat(101)),
            format!("x := a{}", "[\n0]".repeat(101)),
            format!("x := [a{}]", "[\n0,\n]".repeat(101)),
            format!("x if {}true", "not ".repeat(101)),
            format!("x := 1 if {{ a }}{}", "\nelse := 2 if { a }".repeat(101)),
            format!("x := 1 if {{ a }}{}", "\nelse := 2 if {\na\n}".repeat(101)),
            format!("x := {}1", "-".repeat(101)),
            // In brackets inside each other, each with less.
            format!("x := {}1", format!("[{}", "-".repeat(10)).repeat(10)),
            format!("x := {}1", format!("({}", "1 + ".repeat(10)).repeat(11)),
            format!("x := {}1", format!("{{1, {}", "not ".repeat(20)).repeat(6)),
        ] {
            assert!(lines("f", &text).is_err(), "{text}");
        }
        for text in [
            format!("x := 1{}", " + 1".repeat(100)),
            format!("x := {}1", format!("({}", "1 + ".repeat(9)).repeat(11)),
            "x := a.b.c + 1\n".repeat(300),
            "x if { not a.b; a.c[0].d == 1 }\n".repeat(300),
            format!("x := {{{}}}", "\"a\": [1, 2],\n".repeat(300)),
            format!("x := [{}]", "[a.b, a.c],\n".repeat(300)),
            format!("x if {{\n{}}}", "a.b[c] == 1\nnot d.e\n".repeat(300)),
            "x := 1 if {\na.b\n} else := 2 if {\na.c\n}\n\n".repeat(300),
            "f(x) := y if y := x.a + 1\n".repeat(300),
            "# a comment. With dots. And more.\nx := 1\n".repeat(300),
        ] {
            assert_eq!(lines("f", &text).map(|_| ()), Ok(()), "{text:.80}");
        }
    }

    /// The rules of a module: where each begins and ends, and its line.
    fn read(text: &str) -> Result<(Vec<crate::hir::Site>, usize), String> {
        let mut reading = Reading::begin("f", text, MAX_PART)?;
        let parts = std::iter::from_fn(|| reading.part().map(|more| more.then_some(())).transpose());
        let parts = parts.collect::<Result<Vec<()>, _>>()?.len();
        let sites = reading.rules.iter().map(|(origin, rule)| crate::syntax::site(*origin, rule.span()));
        Ok((sites.collect(), parts))
    }

    #[test]
    fn parts_have_the_rules_that_the_whole_has() {
        let shapes = [
            "a := \"text\"\n",
            "b := `raw\ntext ] } \"`\n\n",
            "c contains \"x\" if { input.a == \"}\" } # a comment with } and \"\n",
            "d[k] := v if {\n\tsome k, v in {\"x\": [1, 2],\n\"y\": {3}}\n\tk != \"\"\n}\n",
            "e := 1 if {\n\tinput.a\n} else := 2 if {\n\tinput.b\n}\n\nelse := \"3\"\n",
            "default f(_) := \"\"\n",
            "f(x) := y if {\n  y := [z |\n    some z in x\n    z > 1\n  ]\n}\n",
            "g := 1 h := \"2\" default e := 3\n",
            "i if {\n\tinput.a\n}\n{\n\tinput.b\n}\n",
            "j := {\"a\": {\"b\": {\"c\": [[1], [\"\"]]}}}\n",
            "k := 1 +\n  2\n",
            "l if x[\"a\"][0] in [\"]\"]\n",
            "m := \"\u{e9}\\u00e9\\\"\" \r\n",
        ];
        let mut long =
            "# ] {\npackage p.q[\"r\"]\n\nimport data.x.y as z\nimport input.as\nimport rego.v1\n".to_owned();
        for at in 0..1_500 {
            long.push_str(shapes[at * 7 % shapes.len()]);
        }
        let (sites, parts) = read(&long).unwrap();
        assert!(parts > 10, "{parts}");
        let source = ast::Source::from_contents("f".to_owned(), long.clone()).unwrap();
        let mut parser = ast::Parser::new(&source).unwrap();
        parser.enable_rego_v1().unwrap();
        let whole = parser.parse().unwrap();
        let whole: Vec<_> =
            whole.policy.iter().map(|rule| (rule.span().start, rule.span().end, rule.span().line)).collect();
        let sites: Vec<_> = sites.iter().map(|site| (site.start, site.end, site.line)).collect();
        assert_eq!(sites, whole);
    }

    #[test]
    fn what_is_wrong_is_told_where_it_stands() {
        let rules = "a if { input.b == \"c\" }\n".repeat(1_000);
        let one = |wrong: &str| read(&format!("package p\n{rules}{wrong}\n{rules}")).unwrap_err();
        assert!(one("a if }").starts_with("f:1002:6: "), "{}", one("a if }"));
        assert!(one("x := 1 a if }").starts_with("f:1002:13: "), "{}", one("x := 1 a if }"));
        assert!(one("\n\n\"a\"").starts_with("f:1004:"), "{}", one("\n\n\"a\""));
        assert!(one("a { true }").contains("this is Rego v0"), "{}", one("a { true }"));
        for open in ["a if {", "a := [", "a := f(", "a if { input.b == \"c"] {
            assert!(one(open).starts_with("f:1002"), "{}", one(open));
        }
        for head in [
            "",
            "# nothing\n",
            "a := 1",
            "package",
            "package p\nimport",
            "package p\nimport foo.bar",
            "package \"p\"",
        ] {
            assert!(read(head).is_err(), "{head}");
        }
        assert!(read(&format!("package p\n{}", "import data.x\n".repeat(101))).is_err());
        assert_eq!(read("package p").unwrap().0.len(), 0);
        assert_eq!(read("package p # a comment\nimport data.a\n# another").unwrap().0.len(), 0);
        assert_eq!(read("package p x := 1 y := 2").unwrap().0.len(), 2);
    }

    #[test]
    fn what_takes_long_is_refused() {
        let nested = |open: &str, depth: usize, close: &str| {
            format!("package p\nx := {}1{}\n", open.repeat(depth), close.repeat(depth))
        };
        for (open, close, taken) in
            [("[", "]", 10), ("{", "}", 10), ("{1: ", "}", 9), ("(", ")", 12), ("a[", "]", 12)]
        {
            assert!(read(&nested(open, taken, close)).is_ok(), "{open}");
            assert!(read(&nested(open, taken + 1, close)).is_err(), "{open}");
        }
        assert!(read(&nested("y in [", 12, "]")).is_err());
        // Each by itself, however many there are.
        let one = format!("x contains {}1{}\n", "[".repeat(10), "]".repeat(10));
        assert_eq!(read(&format!("package p\n{}", one.repeat(10))).unwrap().0.len(), 10);
        let table =
            |rows: usize| format!("package p\nx := {{\n{}}}\n", "\"k\": [\"a\", \"b\"],\n".repeat(rows));
        assert!(read(&table(300)).is_ok() && read(&table(1_000)).is_err());
    }
}
