//! Texts as bytes: their characters as Go decodes them, and where something is in them.

use crate::budget::{Budget, Failure};

/// The first character, and how many bytes it takes; as Go, one for a byte that is part of none.
pub(super) fn decode(text: &[u8]) -> (char, usize) {
    let start = text.get(..text.len().min(4)).unwrap_or_default();
    let valid = match std::str::from_utf8(start) {
        Ok(valid) => valid,
        Err(error) => {
            std::str::from_utf8(start.get(..error.valid_up_to()).unwrap_or_default()).unwrap_or_default()
        }
    };
    match valid.chars().next() {
        Some(c) => (c, c.len_utf8()),
        None => (char::REPLACEMENT_CHARACTER, usize::from(!text.is_empty())),
    }
}

/// Characters, and where they start.
pub(super) fn runes(text: &[u8]) -> impl Iterator<Item = (usize, char)> + '_ {
    let mut at = 0_usize;
    std::iter::from_fn(move || {
        let (c, width) = decode(text.get(at..)?);
        let start = at;
        at = at.saturating_add(width);
        (width > 0).then_some((start, c))
    })
}

pub(super) fn find(text: &[u8], part: &str) -> Option<usize> {
    if part.is_empty() {
        return Some(0);
    }
    text.windows(part.len()).position(|window| window == part.as_bytes())
}

pub(super) fn find_last(text: &[u8], part: &str) -> Option<usize> {
    text.windows(part.len().max(1)).rposition(|window| window == part.as_bytes())
}

/// Where the first of these characters that is there at all is first.
pub(super) fn index_of_any(
    text: &[u8],
    chars: &[char],
    budget: &mut Budget,
) -> Result<Option<usize>, Failure> {
    for c in chars {
        budget.charge((text.len() / 4).saturating_add(1))?;
        let found = find(text, c.encode_utf8(&mut [0; 4]));
        if found.is_some() {
            return Ok(found);
        }
    }
    Ok(None)
}
