//! A module on its way: its text is looked through and then parsed in parts, each of which takes a few milliseconds at
//! most, and what would keep the parser busy for ever is refused.
//!
//! regorus' parser goes down into brackets and expressions, and tries twice what stands first in square and curly
//! brackets: its time doubles with each. What it takes is known from the tokens before it begins.

mod scan;

use std::sync::Arc;

use regorus::unstable as ast;

use crate::library::{Module, Origin};
use crate::syntax::constant_path;
use crate::tokens::{tokens, Token};
use scan::Scan;

/// The longest module.
const MAX_BYTES: usize = 1024 * 1024;
const MAX_LINES: usize = 20_000;
/// The parser takes 1,024 characters, which are no more bytes than these.
const MAX_LINE: usize = 4_096;
const MAX_IMPORTS: usize = 100;
/// What parsing a part takes, which has several rules or one.
const PART: u64 = 40_000;
/// What one rule may take where a part is a slice of a worker's time.
pub(crate) const MAX_PART: u64 = 110_000;

type Failed = Box<dyn std::error::Error + Send + Sync>;

/// What the parser says of rules that need no `if` in Rego v0.
const V0: &str = "keyword is required before rule body";

/// A module of which a part is still to be read.
pub(crate) struct Reading {
    pub(crate) module: Module,
    scan: Scan,
    stage: Stage,
    /// Where the next part begins, and how many lines end before that.
    at: usize,
    line: usize,
    limits: Limits,
    /// What the last part took, if no rule ended in it, and what the parser said then.
    failed: u64,
    error: Option<String>,
    pub(crate) rules: Vec<(Origin, ast::Ref<ast::Rule>)>,
}

/// What is asked of modules.
#[derive(Clone, Copy)]
pub(crate) struct Limits {
    /// What parsing one rule may take.
    pub(crate) max_part: u64,
    /// A word for which they are looked through.
    pub(crate) watched: Option<&'static str>,
}

/// What is done to a module next.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Stage {
    Scan,
    Head,
    Rules,
}

impl Reading {
    /// Takes a module.
    ///
    /// # Errors
    /// `file:line: message`.
    pub(crate) fn begin(file: &str, text: &str, limits: Limits) -> Result<Self, String> {
        if text.len() > MAX_BYTES {
            return Err(format!("{file}: more than {MAX_BYTES} bytes"));
        }
        // The parser takes it for the end, and what is behind it for nothing.
        if let Some((before, _)) = text.split_once('\0') {
            let line = line_ends(before).saturating_add(1);
            return Err(format!("{file}:{line}: a NUL character"));
        }
        if let Some(at) = text.split('\n').position(|line| line.len() > MAX_LINE) {
            let line = at.saturating_add(1);
            return Err(format!("{file}:{line}: a line of more than {MAX_LINE} bytes"));
        }
        let module = Module {
            file: file.to_owned(),
            text: Arc::from(text),
            package: Vec::new(),
            imports: Vec::new(),
            mentions: false,
        };
        Ok(Self {
            module,
            scan: Scan::default(),
            stage: Stage::Scan,
            at: 0,
            line: 0,
            limits,
            failed: 0,
            error: None,
            rules: Vec::new(),
        })
    }

    /// Does a part of the work; whether there is more.
    ///
    /// # Errors
    /// `file:line:column: message`.
    pub(crate) fn part(&mut self) -> Result<bool, String> {
        match self.stage {
            Stage::Scan => {
                if !self.scan.go_on(&self.module.file, &self.module.text, self.limits.watched)? {
                    self.stage = Stage::Head;
                    self.module.mentions = self.scan.mentions;
                }
                Ok(true)
            }
            Stage::Head => {
                self.head()?;
                self.stage = Stage::Rules;
                Ok(true)
            }
            Stage::Rules => self.some_rules(),
        }
    }

    /// Reads the package and the imports.
    fn head(&mut self) -> Result<(), String> {
        let Module { file, text, .. } = &self.module;
        let head = head(text);
        if head.imports > MAX_IMPORTS {
            return Err(format!("{file}: more than {MAX_IMPORTS} imports"));
        }
        let place = Place { file, line: 0, column: 0 };
        let part = text.get(..head.end).unwrap_or_default();
        let parsed = parsed(&place, part, |parser| Ok(parser.parse()?))?;
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
        (self.at, self.line) = (head.end, line_ends(part));
        self.module.package = constant_path(&parsed.package.refr);
        self.module.imports = imports;
        Ok(())
    }

    /// Reads some rules; whether there may be more.
    fn some_rules(&mut self) -> Result<bool, String> {
        let file = &self.module.file;
        let rest = self.module.text.get(self.at..).unwrap_or_default();
        if words(rest).next().is_none() {
            return Ok(false);
        }
        let lines = &self.scan.lines;
        let first = lines.partition_point(|line| line.end <= self.at);
        let before = first.checked_sub(1).and_then(|at| lines.get(at)).map_or(0, |line| line.work);
        let target = match self.failed {
            0 => PART,
            failed => failed.saturating_add(PART).min(self.limits.max_part),
        };
        let mut part = None;
        for line in lines.iter().skip(first).filter(|line| !line.inside) {
            let takes = line.work.saturating_sub(before);
            if takes > target && part.is_some_and(|(_, takes)| takes > self.failed) {
                break;
            }
            part = Some((line.end, takes));
        }
        let (end, takes) = part.unwrap_or((self.module.text.len(), u64::MAX));
        if takes > self.limits.max_part {
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
        let message = if message.contains(V0) {
            format!("{message}: this is Rego v0; `opa fmt --write --v0-v1` rewrites it")
        } else {
            message
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

/// The package and the imports of a module.
#[derive(Default)]
struct ModuleHead {
    /// Where they end. Of what begins otherwise, the first token.
    end: usize,
    imports: usize,
}

fn head(text: &str) -> ModuleHead {
    let mut tokens = words(text).peekable();
    let mut head = ModuleHead::default();
    while let Some((token, behind)) = tokens.peek() {
        match token {
            Token::Name("import") if head.imports > MAX_IMPORTS => break,
            Token::Name("import") => head.imports = head.imports.saturating_add(1),
            Token::Name("package") => {}
            _ if head.end > 0 => break,
            _ => return ModuleHead { end: *behind, ..head },
        }
        head.end = *behind;
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
            head.end = *behind;
            tokens.next();
        }
    }
    head
}

#[cfg(test)]
mod tests;
