//! The verbs: how an argument is printed, filled up to its width.

use num_bigint::Sign;

use super::floats::{general, plain, scientific};
use super::*;

impl Printer<'_> {
    pub(super) fn argument(
        &mut self,
        argument: &Argument,
        verb: char,
        budget: &mut Budget,
    ) -> Result<(), Failure> {
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

/// The first so many characters.
fn truncated(text: &str, precision: Option<usize>) -> &str {
    let end = precision.and_then(|precision| text.char_indices().nth(precision));
    end.and_then(|(end, _)| text.get(..end)).unwrap_or(text)
}

/// The character with this code.
fn character(code: i64) -> char {
    u32::try_from(code).ok().and_then(char::from_u32).unwrap_or(char::REPLACEMENT_CHARACTER)
}
