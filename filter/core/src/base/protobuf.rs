//! As much of the protobuf wire format as we need. By hand and not generated, because generated
//! code skips the fields that it does not know: an order to change the request must not be overlooked.

/// A message that is being written.
#[derive(Debug, Default)]
pub struct Message(Vec<u8>);

/// The value of one field.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) enum Field<'a> {
    Varint(u64),
    Fixed64(u64),
    Bytes(&'a [u8]),
    Fixed32,
}

/// The bytes are no message, or not one of the type that is read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Broken;

impl Message {
    /// With room for so many bytes.
    pub fn with_capacity(bytes: usize) -> Self {
        Self(Vec::with_capacity(bytes))
    }

    fn varint(&mut self, mut value: u64) {
        while value >= 0x80 {
            self.0.push(u8::try_from(value & 0x7f).unwrap_or_default() | 0x80);
            value >>= 7;
        }
        self.0.push(u8::try_from(value).unwrap_or_default());
    }

    /// A whole number; written also if it is 0.
    pub(crate) fn number(&mut self, field: u32, value: u64) {
        self.varint(u64::from(field) << 3);
        self.varint(value);
    }

    /// Bytes; written also if there are none.
    pub fn bytes(&mut self, field: u32, bytes: &[u8]) {
        self.varint(u64::from(field) << 3 | 2);
        self.varint(u64::try_from(bytes.len()).unwrap_or(u64::MAX));
        self.0.extend_from_slice(bytes);
    }

    /// A text; an empty one is the same as none.
    pub(crate) fn text(&mut self, field: u32, text: &str) {
        if !text.is_empty() {
            self.bytes(field, text.as_bytes());
        }
    }

    pub(crate) fn message(&mut self, field: u32, message: &Message) {
        self.bytes(field, &message.0);
    }

    /// An entry of a `map<string, string>`.
    pub(crate) fn entry(&mut self, field: u32, key: &str, value: &str) {
        let mut entry = Message::default();
        entry.text(1, key);
        entry.text(2, value);
        self.message(field, &entry);
    }

    /// What was written.
    pub fn into_bytes(self) -> Vec<u8> {
        self.0
    }
}

/// The fields of a message, in order. Groups are no part of proto3.
pub(crate) fn fields(mut bytes: &[u8]) -> Result<Vec<(u64, Field<'_>)>, Broken> {
    let mut found = Vec::new();
    while !bytes.is_empty() {
        let key = varint(&mut bytes)?;
        let field = match key & 7 {
            0 => Field::Varint(varint(&mut bytes)?),
            1 => Field::Fixed64(u64::from_le_bytes(*take(&mut bytes, 8)?.first_chunk().ok_or(Broken)?)),
            2 => {
                let size = usize::try_from(varint(&mut bytes)?).map_err(|_| Broken)?;
                Field::Bytes(take(&mut bytes, size)?)
            }
            5 => {
                take(&mut bytes, 4)?;
                Field::Fixed32
            }
            _ => return Err(Broken),
        };
        match key >> 3 {
            0 => return Err(Broken),
            number => found.push((number, field)),
        }
    }
    Ok(found)
}

fn take<'a>(bytes: &mut &'a [u8], size: usize) -> Result<&'a [u8], Broken> {
    let (taken, rest) = bytes.split_at_checked(size).ok_or(Broken)?;
    *bytes = rest;
    Ok(taken)
}

fn varint(bytes: &mut &[u8]) -> Result<u64, Broken> {
    let mut value = 0u64;
    for shift in (0..64).step_by(7) {
        let byte = u64::from(*take(bytes, 1)?.first().ok_or(Broken)?);
        let part = byte & 0x7f;
        // The tenth byte has room for one bit.
        if shift == 63 && part > 1 {
            return Err(Broken);
        }
        value |= part << shift;
        if byte < 0x80 {
            return Ok(value);
        }
    }
    Err(Broken)
}

impl<'a> Field<'a> {
    pub(crate) fn as_bytes(self) -> Result<&'a [u8], Broken> {
        match self {
            Field::Bytes(bytes) => Ok(bytes),
            _ => Err(Broken),
        }
    }

    pub(crate) fn as_text(self) -> Result<&'a str, Broken> {
        std::str::from_utf8(self.as_bytes()?).map_err(|_| Broken)
    }

    pub(crate) fn as_number(self) -> Result<u64, Broken> {
        match self {
            Field::Varint(value) => Ok(value),
            _ => Err(Broken),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_written_is_read_again_and_what_was_cut_is_not() {
        let mut inner = Message::default();
        inner.number(1, 0);
        let mut message = Message::default();
        message.text(1, "text");
        message.text(2, "");
        message.number(3, 300);
        message.number(4, u64::MAX);
        message.message(5, &inner);
        message.entry(6, "k", "");
        let bytes = message.into_bytes();
        let read = fields(&bytes).unwrap();
        assert_eq!(read[0], (1, Field::Bytes(b"text")));
        assert_eq!(read[1..3], [(3, Field::Varint(300)), (4, Field::Varint(u64::MAX))]);
        assert_eq!(read[3], (5, Field::Bytes(&[8, 0])));
        assert_eq!(read[4], (6, Field::Bytes(b"\x0a\x01k")));
        for end in 1..bytes.len() {
            if let Ok(part) = fields(&bytes[..end]) {
                assert!(part.len() < read.len(), "{end}");
            }
        }
        for bad in
            [&[0u8][..], &[0, 0], &[0x0b], &[0x0c], &[0x0a, 5, 1], &[0xff; 11], &[0x08], &[9, 1], &[0x0d, 1]]
        {
            assert_eq!(fields(bad), Err(Broken), "{bad:?}");
        }
        assert_eq!(fields(&[0x0d, 1, 2, 3, 4]), Ok(vec![(1, Field::Fixed32)]));
    }
}
