//! The text of a module, parsed by regorus' parser, and what keeps it from being kept busy: it goes
//! down into brackets and expressions, and its time doubles with each bracket.

use std::sync::Arc;

use regorus::unstable as ast;
use regorus::unstable::{Expr, Rule, RuleHead};

use crate::hir::{Path, Site};
use crate::library::Module;
use crate::tokens::{tokens, Token};

/// Brackets inside each other in a module: the parser's time doubles with each.
const MAX_BRACKETS: usize = 12;
/// What is joined to one expression, such as `a + b[c].d`, is as many frames deep, those around it included.
const MAX_LINKS: usize = 100;
/// Digits of a number in a module, and of its exponent: `1e999999999` is written out as it is read.
const MAX_DIGITS: usize = 32;
const MAX_EXPONENT_DIGITS: usize = 3;
/// What the parser says of rules that need no `if` in Rego v0.
const V0: &str = "keyword is required before rule body";

/// Parses one module.
///
/// # Errors
/// `file:line:column: message`.
pub(crate) fn parse(file: &str, text: &str) -> Result<Module, String> {
    check_text(file, text)?;
    let failed = |error: &str| {
        let message = position(file, error);
        match message.contains(V0) {
            true => format!("{message}: this is Rego v0; `opa fmt --write --v0-v1` rewrites it"),
            false => message,
        }
    };
    let parsed = || {
        let source = ast::Source::from_contents(file.to_owned(), text.to_owned())?;
        let mut parser = ast::Parser::new(&source)?;
        parser.enable_rego_v1()?;
        parser.parse()
    };
    let parsed = parsed().map_err(|error| failed(&error.to_string()))?;
    let package = constant_path(&parsed.package.refr);
    let mut imports = Vec::new();
    for import in &parsed.imports {
        let path = constant_path(&import.refr);
        let root = path.first().map_or("", |root| &**root);
        if matches!(root, "rego" | "future") {
            continue;
        }
        let alias =
            import.r#as.as_ref().map_or_else(|| path.last().map_or("", |last| &**last), |span| span.text());
        imports.push((alias.to_owned(), path));
    }
    Ok(Module { file: file.to_owned(), text: Arc::from(text), package, imports, rules: parsed.policy })
}

/// The components of a path that holds nothing but names.
pub(crate) fn constant_path(expr: &Expr) -> Path {
    let (mut names, _) = components(expr);
    names.shrink_to_fit();
    names
}

/// The components of a reference as far as they are texts, and whether there are more.
pub(crate) fn components(expr: &Expr) -> (Path, bool) {
    let mut chain = Vec::new();
    let mut open = expr;
    loop {
        match open {
            Expr::RefDot { refr, field, .. } => {
                chain.push(Some(Arc::from(field.0.text())));
                open = refr;
            }
            Expr::RefBrack { refr, index, .. } => {
                chain.push(string(index));
                open = refr;
            }
            Expr::Var { span, .. } => {
                chain.push(Some(Arc::from(span.text())));
                break;
            }
            _ => {
                chain.push(None);
                break;
            }
        }
    }
    let all = chain.len();
    let names: Path = chain.into_iter().rev().map_while(|name| name).collect();
    let more = names.len() < all;
    (names, more)
}

/// The text of a string literal.
pub(crate) fn string(expr: &Expr) -> Option<Arc<str>> {
    match expr {
        Expr::String { value, .. } | Expr::RawString { value, .. } => {
            value.as_string().ok().map(|text| Arc::from(&**text))
        }
        _ => None,
    }
}

/// The constant components of a rule's head, and whether there are others behind them.
pub(crate) fn head_path(rule: &Rule) -> (Path, bool) {
    match rule {
        Rule::Default { refr, .. } => components(refr),
        Rule::Spec { head, .. } => match head {
            RuleHead::Compr { refr, .. } | RuleHead::Func { refr, .. } | RuleHead::Set { refr, .. } => {
                components(refr)
            }
        },
    }
}

/// A place in a module.
pub(crate) fn site(module: usize, span: &ast::Span) -> Site {
    Site {
        module: u32::try_from(module).unwrap_or(u32::MAX),
        start: span.start,
        end: span.end,
        line: span.line,
    }
}

/// The parser says `--> file:line:col` above a picture of the place; we want one line.
fn position(file: &str, error: &str) -> String {
    let place = error.lines().find_map(|line| line.trim_start().strip_prefix("--> "));
    let message = error
        .lines()
        .map(str::trim)
        .filter_map(|line| line.strip_prefix("error: ").or_else(|| line.strip_prefix("Error: ")))
        .next_back()
        .map(str::to_owned)
        .unwrap_or_else(|| error.split_whitespace().collect::<Vec<_>>().join(" "));
    format!("{}: {message}", place.unwrap_or(file))
}

/// Refuses text that would keep the parser busy for ever.
///
/// # Errors
/// The line at which brackets stand too deep, an expression has too many parts or a number is too long.
pub(crate) fn check_text(file: &str, source: &str) -> Result<(), String> {
    // The parser takes it for the end, and what is behind it for nothing.
    if let Some((before, _)) = source.split_once('\0') {
        let line = before.matches('\n').count().saturating_add(1);
        return Err(format!("{file}:{line}: a NUL character"));
    }
    let (mut line, mut depth): (usize, usize) = (1, 0);
    let mut exponent = false;
    let mut links = Links::default();
    for token in tokens(source) {
        if links.joined(&token) > MAX_LINKS {
            return Err(format!(
                "{file}:{line}: more than {MAX_LINKS} operators, brackets or names in one expression"
            ));
        }
        let mut number = None;
        match token {
            Token::Mark('\n') => line = line.saturating_add(1),
            Token::Mark('{' | '(' | '[') => depth = depth.saturating_add(1),
            Token::Mark('}' | ')' | ']') => depth = depth.saturating_sub(1),
            Token::Name(name) if name.starts_with(|c: char| c.is_ascii_digit()) => number = Some(name),
            _ => {}
        }
        if depth > MAX_BRACKETS {
            return Err(format!("{file}:{line}: more than {MAX_BRACKETS} brackets inside each other"));
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
    Ok(())
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
    use super::check_text;

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
            assert!(check_text("f", &text).is_err(), "{text}");
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
            assert_eq!(check_text("f", &text), Ok(()), "{text:.80}");
        }
    }
}
