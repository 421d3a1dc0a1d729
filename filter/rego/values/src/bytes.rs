//! Bytes in texts. A text of OPA is any bytes, as `base64.decode` makes them; ours is Unicode. A byte that
//! is no part of a character is held as a character of its own, from the end of the last private plane,
//! which nothing else uses: so texts that differ in OPA differ here, each such byte counts as one
//! character, and what is hashed or encoded is the bytes.

use std::borrow::Cow;

/// The character that stands for byte 0.
const FIRST: u32 = 0x10_FF00;

fn character(byte: u8) -> char {
    char::from_u32(FIRST.saturating_add(u32::from(byte))).unwrap_or(char::REPLACEMENT_CHARACTER)
}

/// The byte that a character stands for. Bytes below 128 are characters themselves.
pub(crate) fn byte(character: char) -> Option<u8> {
    u8::try_from(u32::from(character).checked_sub(FIRST)?).ok().filter(|byte| *byte >= 0x80)
}

/// Whether any character stands for a byte.
pub fn has_bytes(text: &str) -> bool {
    !text.is_ascii() && text.chars().any(|character| byte(character).is_some())
}

/// The text that these bytes are.
pub(crate) fn to_text(bytes: Vec<u8>) -> String {
    match String::from_utf8(bytes) {
        Ok(text) => text,
        Err(error) => {
            let mut text = String::new();
            let bytes = error.into_bytes();
            // Each byte of what is no character counts for itself, as for Go.
            for chunk in bytes.utf8_chunks() {
                text.push_str(chunk.valid());
                text.extend(chunk.invalid().iter().map(|byte| character(*byte)));
            }
            text
        }
    }
}

/// The bytes that a text is.
pub fn of_text(text: &str) -> Cow<'_, [u8]> {
    if !has_bytes(text) {
        return Cow::Borrowed(text.as_bytes());
    }
    let mut bytes = Vec::with_capacity(text.len());
    for character in text.chars() {
        match byte(character) {
            Some(byte) => bytes.push(byte),
            None => bytes.extend_from_slice(character.encode_utf8(&mut [0; 4]).as_bytes()),
        }
    }
    Cow::Owned(bytes)
}

/// The text as JSON shows it.
pub(crate) fn shown(text: &str) -> Cow<'_, str> {
    if !has_bytes(text) {
        Cow::Borrowed(text)
    } else {
        let shown =
            |character| if byte(character).is_some() { char::REPLACEMENT_CHARACTER } else { character };
        Cow::Owned(text.chars().map(shown).collect())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bytes_come_back_as_they_were() {
        for bytes in [
            &b"a\xff\xc3\xa9\xc3"[..],
            b"",
            b"\x80\x80",
            "é\u{10ffff}".as_bytes().get(..3).unwrap_or_default(),
        ] {
            assert_eq!(*of_text(&to_text(bytes.to_vec())), *bytes);
        }
        assert_eq!(to_text(b"\xe2\x82".to_vec()).chars().count(), 2);
        assert_eq!(shown(&to_text(b"a\xffb".to_vec())), "a\u{fffd}b");
        assert_eq!(shown("é"), "é");
    }
}
