//! JSON text to values.

use super::*;

/// Arrays and objects inside each other that are read. Values may be deeper, so that what is read
/// can be put into them.
pub(super) const MAX_TEXT_DEPTH: usize = 128;

const NOT_JSON: Failure = Failure::Error("a JSON text is expected");

/// No text that is read has the characters that stand for bytes here.
pub(super) fn holdable(text: &str) -> Result<&str, Failure> {
    if !text.chars().any(|character| byte(character).is_some()) {
        Ok(text)
    } else {
        Err(Failure::Limit)
    }
}

/// Reads one JSON text. `Limit` for what OPA may read and we do not.
pub(crate) fn read(text: &str) -> Result<Value, Failure> {
    match read_first(text)? {
        (value, "") => Ok(value),
        _ => Err(NOT_JSON),
    }
}

/// Reads the JSON text at the start, and gives what comes after it and spaces.
pub(crate) fn read_first(text: &str) -> Result<(Value, &str), Failure> {
    let mut reader = Reader { text, at: 0 };
    let value = reader.value(0)?;
    reader.space();
    Ok((value, text.get(reader.at..).unwrap_or_default()))
}

struct Reader<'t> {
    text: &'t str,
    at: usize,
}

impl<'t> Reader<'t> {
    fn peek(&self) -> Option<u8> {
        self.text.as_bytes().get(self.at).copied()
    }

    fn skip(&mut self) {
        self.at = self.at.saturating_add(1);
    }

    /// Whether the next byte is this one, which is taken then.
    fn takes(&mut self, byte: u8) -> bool {
        let found = self.peek() == Some(byte);
        if found {
            self.skip();
        }
        found
    }

    fn space(&mut self) {
        while matches!(self.peek(), Some(b' ' | b'\t' | b'\n' | b'\r')) {
            self.skip();
        }
    }

    fn since(&self, start: usize) -> &'t str {
        self.text.get(start..self.at).unwrap_or_default()
    }

    fn word(&mut self, word: &str, value: Value) -> Result<Value, Failure> {
        word.bytes().all(|byte| self.takes(byte)).then_some(value).ok_or(NOT_JSON)
    }

    fn value(&mut self, depth: usize) -> Result<Value, Failure> {
        if depth > MAX_TEXT_DEPTH {
            return Err(Failure::Limit);
        }
        self.space();
        match self.peek() {
            Some(b'{') => self.object(depth.saturating_add(1)),
            Some(b'[') => self.array(depth.saturating_add(1)),
            Some(b'"') => self.string(),
            Some(b't') => self.word("true", Value::Bool(true)),
            Some(b'f') => self.word("false", Value::Bool(false)),
            Some(b'n') => self.word("null", Value::Null),
            _ => self.number(),
        }
    }

    fn array(&mut self, depth: usize) -> Result<Value, Failure> {
        self.skip();
        let mut items = Vec::new();
        self.space();
        if self.takes(b']') {
            return Ok(items.into());
        }
        loop {
            items.push(self.value(depth)?);
            self.space();
            if self.takes(b']') {
                return Ok(items.into());
            }
            if !self.takes(b',') {
                return Err(NOT_JSON);
            }
        }
    }

    fn object(&mut self, depth: usize) -> Result<Value, Failure> {
        self.skip();
        let mut members = Vec::new();
        self.space();
        if self.takes(b'}') {
            return Ok(Object::default().into());
        }
        loop {
            self.space();
            let name = self.string()?;
            self.space();
            if !self.takes(b':') {
                return Err(NOT_JSON);
            }
            members.push((name, self.value(depth)?));
            self.space();
            if self.takes(b'}') {
                return Ok(Object::from(members).into());
            }
            if !self.takes(b',') {
                return Err(NOT_JSON);
            }
        }
    }

    fn digits(&mut self) -> Result<(), Failure> {
        let start = self.at;
        while matches!(self.peek(), Some(b'0'..=b'9')) {
            self.skip();
        }
        if self.at == start {
            return Err(NOT_JSON);
        }
        Ok(())
    }

    fn number(&mut self) -> Result<Value, Failure> {
        let start = self.at;
        self.takes(b'-');
        if !self.takes(b'0') {
            self.digits()?;
        }
        if self.takes(b'.') {
            self.digits()?;
        }
        if self.takes(b'e') || self.takes(b'E') {
            let _sign = self.takes(b'+') || self.takes(b'-');
            self.digits()?;
        }
        Number::parse(self.since(start)).map(Value::Number).ok_or(Failure::Limit)
    }

    fn string(&mut self) -> Result<Value, Failure> {
        if !self.takes(b'"') {
            return Err(NOT_JSON);
        }
        let mut whole: Option<String> = None;
        loop {
            let start = self.at;
            while !matches!(self.peek(), None | Some(b'"' | b'\\' | 0..=0x1f)) {
                self.skip();
            }
            let part = holdable(self.since(start))?;
            if self.takes(b'"') {
                return Ok(match whole {
                    None => Value::from(part),
                    Some(mut whole) => {
                        whole.push_str(part);
                        whole.into()
                    }
                });
            }
            if !self.takes(b'\\') {
                return Err(NOT_JSON);
            }
            let escape = self.peek();
            self.skip();
            let character = match escape {
                Some(byte @ (b'"' | b'\\' | b'/')) => char::from(byte),
                Some(b'b') => '\u{8}',
                Some(b'f') => '\u{c}',
                Some(b'n') => '\n',
                Some(b'r') => '\r',
                Some(b't') => '\t',
                Some(b'u') => self.escaped()?,
                _ => return Err(NOT_JSON),
            };
            let whole = whole.get_or_insert_default();
            whole.push_str(part);
            whole.push(character);
            if byte(character).is_some() {
                return Err(Failure::Limit);
            }
        }
    }

    /// What follows `\u`. Half of a pair stands for no character.
    fn escaped(&mut self) -> Result<char, Failure> {
        let first = self.four()?;
        let after = self.at;
        if (0xd800..0xdc00).contains(&first) && self.takes(b'\\') && self.takes(b'u') {
            let second = self.four()?;
            if let Some(Ok(character)) = char::decode_utf16([first, second]).next() {
                return Ok(character);
            }
        }
        self.at = after;
        Ok(char::from_u32(first.into()).unwrap_or(char::REPLACEMENT_CHARACTER))
    }

    fn four(&mut self) -> Result<u16, Failure> {
        let start = self.at;
        self.at = start.saturating_add(4);
        let digits = self.text.get(start..self.at).filter(|text| text.bytes().all(|b| b.is_ascii_hexdigit()));
        digits.and_then(|text| u16::from_str_radix(text, 16).ok()).ok_or(NOT_JSON)
    }
}
