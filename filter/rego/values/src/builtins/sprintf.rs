//! `sprintf`, as Go's `fmt` writes what OPA hands it, and the text of values.
//!
//! Refused, as the evaluation's limit is: hexadecimal and binary floating point, `#` with floating point,
//! and what Go prints of the memory of a long number (`%p`, `%w`).

use num_bigint::{BigInt, Sign};

use super::printable::is_printable;
use super::{row, text, Answer, Builtin};
use crate::budget::{Budget, Failure};
use crate::number::Number;
use crate::value::Value;

pub(super) const TABLE: &[Builtin] = &[row("sprintf", 2, sprintf)];

/// The largest width and precision.
const MAX_WIDTH: usize = 1_000_000;

/// The text of a value as OPA prints it: strings are in quotes.
pub(crate) fn value_text(value: &Value, budget: &mut Budget) -> Result<String, Failure> {
    let mut out = Text::default();
    out.value(value, budget)?;
    Ok(out.0)
}

#[derive(Default)]
struct Text(String);

impl Text {
    fn push(&mut self, text: &str, budget: &mut Budget) -> Result<(), Failure> {
        budget.charge((text.len() / 8).saturating_add(1))?;
        self.0.push_str(text);
        Ok(())
    }

    /// As deep as values are, which is bounded where they are made.
    fn value(&mut self, value: &Value, budget: &mut Budget) -> Result<(), Failure> {
        match value {
            Value::Null => self.push("null", budget),
            Value::Bool(true) => self.push("true", budget),
            Value::Bool(false) => self.push("false", budget),
            Value::Number(number) => {
                budget.charge(number.digits())?;
                self.push(&number.to_string(), budget)
            }
            Value::String(text) => {
                budget.charge(text.len())?;
                self.push(&quoted(text, '"', false), budget)
            }
            Value::Array(items) => self.items(items, ["[", "]"], budget),
            Value::Set(items) if items.is_empty() => self.push("set()", budget),
            Value::Set(items) => self.items(items, ["{", "}"], budget),
            Value::Object(members) => {
                self.push("{", budget)?;
                for (at, (key, value)) in members.iter().enumerate() {
                    if at > 0 {
                        self.push(", ", budget)?;
                    }
                    self.value(key, budget)?;
                    self.push(": ", budget)?;
                    self.value(value, budget)?;
                }
                self.push("}", budget)
            }
        }
    }

    fn items(&mut self, items: &[Value], around: [&str; 2], budget: &mut Budget) -> Result<(), Failure> {
        let [open, close] = around;
        self.push(open, budget)?;
        for (at, item) in items.iter().enumerate() {
            if at > 0 {
                self.push(", ", budget)?;
            }
            self.value(item, budget)?;
        }
        self.push(close, budget)
    }
}

/// As Go quotes it (`strconv.Quote`).
fn quoted(text: &str, quote: char, ascii: bool) -> String {
    let mut out = String::with_capacity(text.len().saturating_add(2));
    out.push(quote);
    for character in text.chars() {
        let escape = match character {
            '\u{7}' => 'a',
            '\u{8}' => 'b',
            '\u{c}' => 'f',
            '\n' => 'n',
            '\r' => 'r',
            '\t' => 't',
            '\u{b}' => 'v',
            '\\' => '\\',
            other if other == quote => quote,
            other if is_printable(other) && (other.is_ascii() || !ascii) => {
                out.push(other);
                continue;
            }
            other => {
                let (kind, digits) = match u32::from(other) {
                    0..=0x20 | 0x7f => ('x', 2),
                    0x21..=0xffff => ('u', 4),
                    _ => ('U', 8),
                };
                out.push('\\');
                out.push(kind);
                let code = format!("{:x}", u32::from(other));
                zeros(&mut out, code.len(), digits);
                out.push_str(&code);
                continue;
            }
        };
        out.push('\\');
        out.push(escape);
    }
    out.push(quote);
    out
}

/// Zeros in front of what is `length` long, so that it becomes `wanted` long.
fn zeros(out: &mut String, length: usize, wanted: usize) {
    out.extend((length..wanted).map(|_| '0'));
}

/// What OPA hands to Go for a value.
enum Argument {
    Int(i64),
    Big(BigInt),
    Float(f64),
    Text(String),
}

impl Argument {
    fn of(value: &Value, budget: &mut Budget) -> Result<Self, Failure> {
        Ok(match value {
            Value::Number(number) => Self::of_number(number, budget)?,
            Value::String(text) => {
                budget.charge(text.len() / 8)?;
                Self::Text(text.to_string())
            }
            other => Self::Text(value_text(other, budget)?),
        })
    }

    /// A number with an exponent and no point is its text.
    fn of_number(number: &Number, budget: &mut Budget) -> Result<Self, Failure> {
        if let Some(small) = number.as_i64() {
            return Ok(Self::Int(small));
        }
        budget.charge(number.work())?;
        let text = number.as_text().unwrap_or_default();
        if text.contains('.') {
            return text.parse().map(Self::Float).map_err(|_| Failure::Limit);
        }
        if text.contains(['e', 'E']) {
            return Ok(Self::Text(text.to_owned()));
        }
        number.to_integer().map(Self::Big).ok_or(Failure::Limit)
    }

    const fn type_name(&self) -> &'static str {
        match self {
            Self::Int(_) => "int64",
            Self::Big(_) => "*big.Int",
            Self::Float(_) => "float64",
            Self::Text(_) => "string",
        }
    }
}

/// What stands between `%` and the verb.
#[derive(Default, Clone, Copy)]
struct Flags {
    sharp: bool,
    zero: bool,
    plus: bool,
    minus: bool,
    space: bool,
    /// `%#v`, which shows as Go source.
    source: bool,
    /// `%+v`.
    fields: bool,
    width: Option<usize>,
    precision: Option<usize>,
}

fn sprintf(budget: &mut Budget, values: &[Value]) -> Answer {
    let format = text(values, 0)?;
    let arguments = values.get(1).and_then(Value::as_array).ok_or(Failure::Error("an array is expected"))?;
    budget.charge(format.len().saturating_add(arguments.len()))?;
    let arguments =
        arguments.iter().map(|value| Argument::of(value, budget)).collect::<Result<Vec<_>, _>>()?;
    let mut printer = Printer { rest: format, arguments: &arguments, ..Printer::default() };
    printer.run(budget)?;
    Ok(Value::from(printer.out))
}

/// `doPrintf` of Go.
#[derive(Default)]
struct Printer<'f> {
    out: String,
    rest: &'f str,
    arguments: &'f [Argument],
    /// The argument that comes next.
    next: usize,
    /// Whether arguments were chosen by number, as in `%[2]d`.
    reordered: bool,
    /// Whether the last number was one of an argument.
    good: bool,
    flags: Flags,
}

impl Printer<'_> {
    fn run(&mut self, budget: &mut Budget) -> Result<(), Failure> {
        while let Some((before, rest)) = self.rest.split_once('%') {
            self.out.push_str(before);
            self.rest = rest;
            self.good = true;
            self.flags = Flags::default();
            if !self.verb(budget)? {
                break;
            }
        }
        self.out.push_str(self.rest);
        if !self.reordered {
            self.extra(budget)?;
        }
        Ok(())
    }

    /// The arguments that nothing asked for.
    fn extra(&mut self, budget: &mut Budget) -> Result<(), Failure> {
        let arguments = self.arguments;
        let Some(extra) = arguments.get(self.next..).filter(|extra| !extra.is_empty()) else {
            return Ok(());
        };
        self.flags = Flags::default();
        self.out.push_str("%!(EXTRA ");
        for (at, argument) in extra.iter().enumerate() {
            if at > 0 {
                self.out.push_str(", ");
            }
            self.out.push_str(argument.type_name());
            self.out.push('=');
            self.argument(argument, 'v', budget)?;
        }
        self.out.push(')');
        Ok(())
    }

    /// Takes the character from what is left of the format.
    fn take(&mut self, character: char) -> bool {
        let rest = self.rest.strip_prefix(character);
        self.rest = rest.unwrap_or(self.rest);
        rest.is_some()
    }

    /// One directive, behind its `%`. False at the end of the format.
    fn verb(&mut self, budget: &mut Budget) -> Result<bool, Failure> {
        loop {
            let flag = match self.rest.bytes().next() {
                Some(b'#') => &mut self.flags.sharp,
                Some(b'0') => &mut self.flags.zero,
                Some(b'+') => &mut self.flags.plus,
                Some(b'-') => &mut self.flags.minus,
                Some(b' ') => &mut self.flags.space,
                _ => break,
            };
            *flag = true;
            self.rest = self.rest.get(1..).unwrap_or_default();
        }
        let mut after_index = self.index();
        if self.take('*') {
            match self.argument_as_width() {
                Some(width) => {
                    self.flags.width = Some(usize::try_from(width.unsigned_abs()).unwrap_or(MAX_WIDTH));
                    if width < 0 {
                        self.flags.minus = true;
                        self.flags.zero = false;
                    }
                }
                None => self.out.push_str("%!(BADWIDTH)"),
            }
            after_index = false;
        } else {
            self.flags.width = self.number();
            if after_index && self.flags.width.is_some() {
                self.good = false;
            }
        }
        // A point at the very end is the verb.
        if self.rest.len() > 1 && self.take('.') {
            if after_index {
                self.good = false;
            }
            after_index = self.index();
            if self.take('*') {
                let precision =
                    self.argument_as_width().and_then(|precision| usize::try_from(precision).ok());
                self.flags.precision = precision;
                if precision.is_none() {
                    self.out.push_str("%!(BADPREC)");
                }
                after_index = false;
            } else {
                self.flags.precision = Some(self.number().unwrap_or(0));
            }
        }
        if !after_index {
            self.index();
        }
        let mut characters = self.rest.chars();
        let Some(verb) = characters.next() else {
            self.out.push_str("%!(NOVERB)");
            return Ok(false);
        };
        self.rest = characters.as_str();
        let arguments = self.arguments;
        if verb == '%' {
            self.out.push('%');
        } else if !self.good {
            self.problem(verb, "BADINDEX");
        } else if let Some(argument) = arguments.get(self.next) {
            if verb == 'v' || verb == 'w' {
                self.flags.source = std::mem::take(&mut self.flags.sharp);
                self.flags.fields = std::mem::take(&mut self.flags.plus);
            }
            self.argument(argument, verb, budget)?;
            self.next = self.next.saturating_add(1);
        } else {
            self.problem(verb, "MISSING");
        }
        Ok(true)
    }

    fn problem(&mut self, verb: char, problem: &str) {
        self.out.push_str("%!");
        self.out.push(verb);
        self.out.push('(');
        self.out.push_str(problem);
        self.out.push(')');
    }

    /// A number in the format. One that is too large takes all that is left of it.
    fn number(&mut self) -> Option<usize> {
        let mut number: Option<usize> = None;
        while let Some(digit) = self.rest.bytes().next().filter(u8::is_ascii_digit) {
            let so_far = number.unwrap_or(0);
            if so_far > MAX_WIDTH {
                self.rest = "";
                return None;
            }
            let digit = usize::from(digit.saturating_sub(b'0'));
            number = Some(so_far.saturating_mul(10).saturating_add(digit));
            self.rest = self.rest.get(1..).unwrap_or_default();
        }
        number
    }

    /// The number of an argument in brackets. Whether there was one.
    fn index(&mut self) -> bool {
        if !self.rest.starts_with('[') {
            return false;
        }
        self.reordered = true;
        let inside = self.rest.get(1..).unwrap_or_default();
        let Some((number, rest)) = inside.split_once(']').filter(|_| inside.len() > 1) else {
            self.good = false;
            self.rest = inside;
            return false;
        };
        self.rest = rest;
        let mut digits = Printer { rest: number, ..Printer::default() };
        let index = digits.number().filter(|_| digits.rest.is_empty() && !number.is_empty());
        // One past the limit is read, and then is no argument.
        match index.map(|index| index.checked_sub(1)) {
            Some(Some(index)) if index < self.arguments.len() => {
                self.next = index;
                true
            }
            known => {
                self.good = false;
                known.is_some()
            }
        }
    }

    /// The next argument, for a `*`.
    fn argument_as_width(&mut self) -> Option<i64> {
        let argument = self.arguments.get(self.next)?;
        self.next = self.next.saturating_add(1);
        let fits = |width: i64| usize::try_from(width.unsigned_abs()).is_ok_and(|width| width <= MAX_WIDTH);
        match argument {
            Argument::Int(width) if fits(*width) => Some(*width),
            _ => None,
        }
    }

    fn argument(&mut self, argument: &Argument, verb: char, budget: &mut Budget) -> Result<(), Failure> {
        let flags = self.flags;
        budget.charge(flags.width.unwrap_or(0).max(flags.precision.unwrap_or(0)).saturating_add(20))?;
        if verb == 'T' {
            self.string(argument.type_name());
            return Ok(());
        }
        match (argument, verb) {
            (Argument::Int(value), 'v' | 'd' | 'b' | 'o' | 'O' | 'x' | 'X') => {
                self.integer(&BigInt::from(*value), verb, false);
            }
            (Argument::Int(value), 'c') => self.pad(&character(*value).to_string(), flags.zero),
            (Argument::Int(value), 'q') => {
                let text = quoted(&character(*value).to_string(), '\'', flags.plus);
                self.pad(&text, flags.zero);
            }
            (Argument::Int(value), 'U') => self.code_point(*value),
            (Argument::Big(_), 'p' | 'w') => return Err(Failure::Limit),
            (Argument::Big(value), 'v' | 's' | 'd' | 'b' | 'o' | 'O' | 'x' | 'X') => {
                budget.charge(4_000)?;
                self.integer(value, verb, true);
            }
            (Argument::Big(value), _) => {
                budget.charge(4_000)?;
                self.problem(verb, &format!("big.Int={value}"));
            }
            (Argument::Float(_), 'b' | 'x' | 'X') => return Err(Failure::Limit),
            (Argument::Float(value), 'v' | 'e' | 'E' | 'f' | 'F' | 'g' | 'G') => {
                if flags.sharp {
                    return Err(Failure::Limit);
                }
                budget.charge(1_000)?;
                self.float(*value, verb);
            }
            (Argument::Text(text), 'v' | 's' | 'q' | 'x' | 'X') => {
                budget.charge(text.len())?;
                self.text(text, verb);
            }
            _ => {
                self.out.push_str("%!");
                self.out.push(verb);
                self.out.push('(');
                self.out.push_str(argument.type_name());
                self.out.push('=');
                self.argument(argument, 'v', budget)?;
                self.out.push(')');
            }
        }
        Ok(())
    }

    /// Fills up to the width, with zeros only on the left.
    fn pad(&mut self, text: &str, zero: bool) {
        let missing = self.flags.width.unwrap_or(0).saturating_sub(text.chars().count());
        let (left, right) = if self.flags.minus { (0, missing) } else { (missing, 0) };
        self.out.extend((0..left).map(|_| if zero { '0' } else { ' ' }));
        self.out.push_str(text);
        self.out.extend((0..right).map(|_| ' '));
    }

    /// Cut to the precision, and filled.
    fn string(&mut self, text: &str) {
        self.pad(truncated(text, self.flags.precision), self.flags.zero);
    }

    fn text(&mut self, text: &str, verb: char) {
        let flags = self.flags;
        match verb {
            'x' | 'X' => self.hexadecimal(text, verb),
            'q' => self.quote(text),
            'v' if flags.source => self.quote(text),
            _ => self.string(text),
        }
    }

    fn quote(&mut self, text: &str) {
        let flags = self.flags;
        let text = truncated(text, flags.precision);
        let raw = |c: char| (c >= ' ' || c == '\t') && !matches!(c, '`' | '\u{7f}' | '\u{feff}');
        if flags.sharp && text.chars().all(raw) {
            self.pad(&format!("`{text}`"), flags.zero);
        } else {
            self.pad(&quoted(text, '"', flags.plus), flags.zero);
        }
    }

    /// The bytes of a text.
    fn hexadecimal(&mut self, text: &str, verb: char) {
        let flags = self.flags;
        let mut out = String::new();
        for (at, byte) in text.bytes().take(flags.precision.unwrap_or(usize::MAX)).enumerate() {
            if flags.space && at > 0 {
                out.push(' ');
            }
            if flags.sharp && (flags.space || at == 0) {
                out.push('0');
                out.push(verb);
            }
            out.push_str(&if verb == 'x' { format!("{byte:02x}") } else { format!("{byte:02X}") });
        }
        self.pad(&out, flags.zero);
    }

    /// Long numbers format themselves, a little unlike others: a prefix is part of the width, `%+v` has a
    /// sign, and an octal always has its prefix.
    fn integer(&mut self, value: &BigInt, verb: char, long: bool) {
        let flags = self.flags;
        let radix = match verb {
            'b' => 2,
            'o' | 'O' => 8,
            'x' | 'X' => 16,
            _ => 10,
        };
        let mut digits = value.magnitude().to_str_radix(radix);
        if verb == 'X' {
            digits.make_ascii_uppercase();
        }
        let sign = match (value.sign(), flags.plus || (long && flags.fields), flags.space) {
            (Sign::Minus, ..) => "-",
            (_, true, _) => "+",
            (_, _, true) => " ",
            _ => "",
        };
        let prefix = match verb {
            'O' => "0o",
            'b' if flags.sharp => "0b",
            'o' if flags.sharp && long => "0",
            'x' if flags.sharp => "0x",
            'X' if flags.sharp => "0X",
            _ => "",
        };
        let wanted = match (flags.precision, flags.width) {
            (Some(0), width) if digits == "0" => {
                let fill = if long { 0 } else { width.unwrap_or(0) };
                self.out.extend((0..fill).map(|_| ' '));
                return;
            }
            (Some(precision), _) => precision,
            (None, Some(width)) if flags.zero && !flags.minus => {
                width.saturating_sub(sign.len()).saturating_sub(if long { prefix.len() } else { 0 })
            }
            _ => 0,
        };
        let mut out = format!("{sign}{prefix}");
        let octal = flags.sharp && !long && radix == 8;
        if octal && digits.len() >= wanted && !digits.starts_with('0') {
            out.push('0');
        }
        zeros(&mut out, digits.len(), wanted);
        out.push_str(&digits);
        self.pad(&out, false);
    }

    /// `%U`
    fn code_point(&mut self, value: i64) {
        let code = format!("{value:X}");
        let mut out = String::from("U+");
        zeros(&mut out, code.len(), self.flags.precision.unwrap_or(4).max(4));
        out.push_str(&code);
        let shown = u32::try_from(value).ok().and_then(char::from_u32).filter(|c| is_printable(*c));
        if let Some(character) = shown.filter(|_| self.flags.sharp) {
            out.push_str(" '");
            out.push(character);
            out.push('\'');
        }
        self.pad(&out, false);
    }

    fn float(&mut self, value: f64, verb: char) {
        let flags = self.flags;
        let number = value.abs();
        let mut out = match verb {
            'e' | 'E' => scientific(number, flags.precision.unwrap_or(6)),
            'f' | 'F' => plain(number, flags.precision.unwrap_or(6)),
            _ => general(number, flags.precision),
        };
        if matches!(verb, 'E' | 'G') {
            out.make_ascii_uppercase();
        }
        let sign = match (value.is_sign_negative(), flags.plus, flags.space) {
            (true, ..) => "-",
            (_, true, _) => "+",
            (_, _, true) => " ",
            _ => "",
        };
        if flags.zero && !flags.minus {
            let mut padded = String::from(sign);
            zeros(&mut padded, out.len().saturating_add(sign.len()), flags.width.unwrap_or(0));
            out.insert_str(0, &padded);
        } else {
            out.insert_str(0, sign);
        }
        self.pad(&out, false);
    }
}

/// More places than any floating point has.
const PLACES: usize = 1_100;

/// `%f`
fn plain(number: f64, precision: usize) -> String {
    let mut out = format!("{number:.*}", precision.min(PLACES));
    zeros(&mut out, PLACES, precision);
    out
}

/// The digits of a number with so many behind the point, or as few as tell it from all others, and its
/// exponent.
fn digits(number: f64, precision: Option<usize>) -> (String, i64) {
    let text = match precision {
        Some(precision) => format!("{number:.*e}", precision.min(PLACES)),
        None => format!("{number:e}"),
    };
    let (digits, exponent) = text.split_once('e').unwrap_or((&text, "0"));
    (digits.replace('.', ""), exponent.parse().unwrap_or(0))
}

/// `d.ddde+dd`
fn with_exponent(digits: &str, exponent: i64) -> String {
    let (first, rest) = digits.split_at_checked(1).unwrap_or((digits, ""));
    let point = if rest.is_empty() { "" } else { "." };
    let sign = if exponent < 0 { '-' } else { '+' };
    format!("{first}{point}{rest}e{sign}{:02}", exponent.unsigned_abs())
}

/// `%e`
fn scientific(number: f64, precision: usize) -> String {
    let (mut digits, exponent) = digits(number, Some(precision));
    zeros(&mut digits, PLACES, precision);
    with_exponent(&digits, exponent)
}

/// `%g`
fn general(number: f64, precision: Option<usize>) -> String {
    let precision = precision.map(|precision| precision.max(1));
    let (digits, exponent) = digits(number, precision.map(|precision| precision.saturating_sub(1)));
    let digits = digits.trim_end_matches('0');
    if digits.is_empty() {
        return String::from("0");
    }
    let count = i64::try_from(digits.len()).unwrap_or(i64::MAX);
    let point = exponent.saturating_add(1);
    let most = match precision.map(|precision| i64::try_from(precision).unwrap_or(i64::MAX)) {
        None => 6,
        Some(precision) if precision > count && count >= point => count,
        Some(precision) => precision,
    };
    if exponent < -4 || exponent >= most {
        return with_exponent(digits, exponent);
    }
    let mut out = String::new();
    if point <= 0 {
        out.push_str("0.");
        out.extend((point..0).map(|_| '0'));
    }
    for (at, digit) in (0_i64..).zip(digits.chars()) {
        if at == point && at > 0 {
            out.push('.');
        }
        out.push(digit);
    }
    out.extend((count..point).map(|_| '0'));
    out
}

/// The first so many characters.
fn truncated(text: &str, precision: Option<usize>) -> &str {
    let end = precision.and_then(|precision| text.char_indices().nth(precision));
    end.and_then(|(end, _)| text.get(..end)).unwrap_or(text)
}

/// The character with this code.
fn character(code: i64) -> char {
    u32::try_from(code).ok().and_then(char::from_u32).unwrap_or(char::REPLACEMENT_CHARACTER)
}

#[cfg(test)]
mod tests;
