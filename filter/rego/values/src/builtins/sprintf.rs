//! `sprintf`, as Go's `fmt` writes what OPA hands it, and the text of values.
//!
//! Refused, as the evaluation's limit is: hexadecimal and binary floating point, `#` with floating point,
//! and what Go prints of the memory of a long number (`%p`, `%w`).

mod arguments;
mod floats;
mod shown;
mod verbs;

use num_bigint::BigInt;

use super::printable::is_printable;
use super::{row, text, Answer, Builtin};
use crate::budget::{Budget, Failure};
use crate::number::Number;
use crate::value::Value;
use arguments::Argument;
use shown::quoted;
pub(crate) use shown::value_text;

pub(super) const TABLE: &[Builtin] = &[row("sprintf", 2, sprintf)];

/// The largest width and precision.
const MAX_WIDTH: usize = 1_000_000;

/// Zeros in front of what is `length` long, so that it becomes `wanted` long.
fn zeros(out: &mut String, length: usize, wanted: usize) {
    out.extend((length..wanted).map(|_| '0'));
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
}

#[cfg(test)]
mod tests;
