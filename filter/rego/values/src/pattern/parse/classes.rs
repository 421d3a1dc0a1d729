//! Classes of characters, in brackets and by their names, and characters that are escaped.

use super::*;
use crate::pattern::unicode;

impl Parser<'_, '_> {
    /// The class that stands after `\`, if one does.
    pub(super) fn class_escape(&mut self) -> Parse<Option<Class>> {
        let Some(letter) = self.peek() else { return Ok(None) };
        let name = match letter.to_ascii_lowercase() {
            'd' => "digit",
            's' => "perl space",
            'w' => "word",
            'p' => {
                self.rest.next();
                return self.property(letter == 'P').map(Some);
            }
            _ => return Ok(None),
        };
        self.rest.next();
        self.ascii_class(name, letter.is_ascii_uppercase()).map(Some)
    }

    /// What follows `\p`.
    fn property(&mut self, negated: bool) -> Parse<Class> {
        self.budget.charge(unicode::LOOKUP_WORK)?;
        let mut letter = [0; 4];
        let name = match self.next()? {
            '{' => self.until("}").ok_or(Failure::Error("missing closing }"))?,
            c => c.encode_utf8(&mut letter),
        };
        let (name, circumflex) = name.strip_prefix('^').map_or((name, false), |name| (name, true));
        let class = match unicode::named(name) {
            Some(class) => class,
            // Which scripts of several words there are depends on Go's version.
            None if name.contains(['_', '-', ' ']) => return Err(Failure::Limit),
            None => return Err(Failure::Error("a name of a category or a script")),
        };
        self.group_class(class, negated != circumflex)
    }

    fn ascii_class(&mut self, name: &str, negated: bool) -> Parse<Class> {
        const LOWER: (u32, u32) = (0x61, 0x7a);
        const UPPER: (u32, u32) = (0x41, 0x5a);
        const DIGIT: (u32, u32) = (0x30, 0x39);
        let class = match name {
            "alnum" => Class::from([DIGIT, UPPER, LOWER]),
            "alpha" => Class::from([UPPER, LOWER]),
            "ascii" => Class::from([(0, 0x7f)]),
            "blank" => Class::from([(9, 9), (0x20, 0x20)]),
            "cntrl" => Class::from([(0, 0x1f), (0x7f, 0x7f)]),
            "digit" => Class::from([DIGIT]),
            "graph" => Class::from([(0x21, 0x7e)]),
            "lower" => Class::from([LOWER]),
            "print" => Class::from([(0x20, 0x7e)]),
            "punct" => Class::from([(0x21, 0x2f), (0x3a, 0x40), (0x5b, 0x60), (0x7b, 0x7e)]),
            "space" => Class::from([(9, 0xd), (0x20, 0x20)]),
            "perl space" => Class::from([(9, 0xa), (0xc, 0xd), (0x20, 0x20)]),
            "upper" => Class::from([UPPER]),
            "word" => Class::from([DIGIT, UPPER, (0x5f, 0x5f), LOWER]),
            "xdigit" => Class::from([DIGIT, (0x41, 0x46), (0x61, 0x66)]),
            _ => return Err(Failure::Error("a name of a class")),
        };
        self.group_class(class, negated)
    }

    fn group_class(&mut self, class: Class, negated: bool) -> Parse<Class> {
        let class = if self.flags.fold { self.folded(class)? } else { class };
        Ok(if negated { class.negated() } else { class })
    }

    /// With the other cases of its characters.
    pub(super) fn folded(&mut self, mut class: Class) -> Parse<Class> {
        let few = class.characters() <= 128;
        self.budget.charge(if few { 8 } else { unicode::FOLDING_WORK })?;
        if !few {
            unicode::fold(&mut class);
            return Ok(class);
        }
        let mut all = Vec::new();
        for c in class.ranges().iter().flat_map(|(lo, hi)| *lo..=*hi) {
            // `k` and `s` have another case outside of ASCII.
            match u8::try_from(c).ok().filter(u8::is_ascii).map(char::from) {
                Some(c) if !matches!(c, 'K' | 'S' | 'k' | 's') => {
                    all.extend(
                        [c.to_ascii_lowercase(), c.to_ascii_uppercase()].map(|c| (c.into(), c.into())),
                    );
                }
                _ => {
                    self.budget.charge(60)?;
                    all.extend(unicode::cases(c).map(|c| (c, c)));
                }
            }
        }
        Ok(Class::new(all))
    }

    /// What follows `[`.
    pub(super) fn bracket(&mut self) -> Parse<Class> {
        let negated = self.eat('^');
        let mut ranges = Vec::new();
        // Ranges and single characters, whose other cases are added together.
        let mut plain = Vec::new();
        let mut first = true;
        while first || !self.eat(']') {
            first = false;
            let text = self.rest.as_str();
            if let Some((name, after)) = text.strip_prefix("[:").and_then(|text| text.split_once(":]")) {
                let (name, circumflex) = name.strip_prefix('^').map_or((name, false), |name| (name, true));
                self.rest = after.chars();
                ranges.extend_from_slice(self.ascii_class(name, circumflex)?.ranges());
                continue;
            }
            let start = self.rest.clone();
            if self.eat('\\') {
                if let Some(class) = self.class_escape()? {
                    self.budget.charge(class.ranges().len())?;
                    ranges.extend_from_slice(class.ranges());
                    continue;
                }
            }
            self.rest = start;
            let lo = self.bracket_char()?;
            let mut hi = lo;
            let after = self.rest.as_str();
            if after.len() >= 2 && after.starts_with('-') && !after.starts_with("-]") {
                self.rest.next();
                hi = self.bracket_char()?;
                if hi < lo {
                    return Err(Failure::Error("a range in its order"));
                }
            }
            plain.push((lo, hi));
        }
        let mut plain = Class::new(plain);
        if self.flags.fold {
            plain = self.folded(plain)?;
        }
        ranges.extend_from_slice(plain.ranges());
        let class = Class::new(ranges);
        Ok(if negated { class.negated() } else { class })
    }

    fn bracket_char(&mut self) -> Parse<u32> {
        match self.next()? {
            '\\' => self.escape(),
            c => Ok(c.into()),
        }
    }

    /// The one character that stands after `\`.
    pub(super) fn escape(&mut self) -> Parse<u32> {
        let c = self.next()?;
        let octal = |c: Option<char>| c.and_then(|c| c.to_digit(8));
        let c = match c {
            '1'..='7' if octal(self.peek()).is_none() => {
                return Err(Failure::Error("no reference to a group"))
            }
            '0'..='7' => {
                let mut value = octal(Some(c)).unwrap_or_default();
                for _ in 0..2 {
                    let Some(digit) = octal(self.peek()) else { break };
                    self.rest.next();
                    value = value.saturating_mul(8).saturating_add(digit);
                }
                return Ok(value);
            }
            'x' => return self.hexadecimal(),
            'a' => '\x07',
            'f' => '\x0c',
            'n' => '\n',
            'r' => '\r',
            't' => '\t',
            'v' => '\x0b',
            c if c.is_ascii() && !c.is_ascii_alphanumeric() => c,
            _ => return Err(Failure::Error("an escape sequence")),
        };
        Ok(c.into())
    }

    fn hexadecimal(&mut self) -> Parse<u32> {
        let wrong = Failure::Error("hexadecimal digits");
        let braces = self.eat('{');
        let mut value = 0_u32;
        let mut digits = 0_u32;
        loop {
            let c = self.next()?;
            if braces && c == '}' && digits > 0 {
                return Ok(value);
            }
            value = value.saturating_mul(16).saturating_add(c.to_digit(16).ok_or(wrong)?);
            digits = digits.saturating_add(1);
            if value > MAX {
                return Err(wrong);
            }
            if !braces && digits == 2 {
                return Ok(value);
            }
        }
    }
}
