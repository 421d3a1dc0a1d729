//! Matchers. Each says whether it takes a text as a whole, and where in a text it is found first with
//! the lengths that it may have there. Texts are bytes: some matchers count characters where the next
//! ones count bytes, so that a text may begin or end within a character.

use std::rc::Rc;

use super::text::{decode, find, find_last, index_of_any, runes};
use crate::budget::{Budget, Failure};

#[derive(Debug)]
pub(super) enum Matcher {
    Nothing,
    Super,
    Any(Rc<[char]>),
    Single(Rc<[char]>),
    List(Rc<[char]>, bool),
    Range(char, char, bool),
    Text(Rc<str>),
    /// So many characters at least.
    Min(usize),
    /// So many characters at most.
    Max(usize),
    /// With it somewhere, or without it.
    Contains(Rc<str>, bool),
    Prefix(Rc<str>),
    Suffix(Rc<str>),
    PrefixSuffix(Rc<str>, Rc<str>),
    PrefixAny(Rc<str>, Rc<[char]>),
    SuffixAny(Rc<str>, Rc<[char]>),
    AnyOf(Vec<Rc<Matcher>>),
    EveryOf(Vec<Rc<Matcher>>),
    /// One after the other, of so many characters in all.
    Row(usize, Vec<Rc<Matcher>>),
    Tree(Tree),
}

/// A matcher with what stands before and behind it.
#[derive(Debug, Clone)]
pub(super) struct Tree {
    pub(super) value: Rc<Matcher>,
    pub(super) left: Option<Rc<Matcher>>,
    pub(super) right: Option<Rc<Matcher>>,
    /// Lengths as they were before anything was optimized.
    left_length: Option<usize>,
    right_length: Option<usize>,
    length: Option<usize>,
}

impl Tree {
    pub(super) fn new(value: Rc<Matcher>, left: Option<Rc<Matcher>>, right: Option<Rc<Matcher>>) -> Self {
        let length_of = |side: &Option<Rc<Matcher>>| side.as_ref().map_or(Some(0), |side| side.length());
        let (left_length, right_length) = (length_of(&left), length_of(&right));
        let sides = left_length.zip(right_length).map(|(left, right)| left.saturating_add(right));
        let length = sides.zip(value.length()).map(|(sides, own)| sides.saturating_add(own));
        Self { value, left, right, left_length, right_length, length }
    }

    fn matches(&self, text: &[u8], budget: &mut Budget) -> Result<bool, Failure> {
        if self.length.is_some_and(|length| length > text.len()) {
            return Ok(false);
        }
        let side = |side: &Option<Rc<Matcher>>, text: &[u8], budget: &mut Budget| match side {
            Some(matcher) => matcher.matches(text, budget),
            None => Ok(text.is_empty()),
        };
        let mut offset = self.left_length.unwrap_or(0);
        let Some(limit) = text.len().checked_sub(self.right_length.unwrap_or(0)) else { return Ok(false) };
        while offset < limit {
            let within = text.get(offset..limit).unwrap_or_default();
            let Some((index, segments)) = self.value.index(within, budget)? else { return Ok(false) };
            let start = offset.saturating_add(index);
            if side(&self.left, text.get(..start).ok_or(Failure::Limit)?, budget)? {
                for length in segments.iter().rev() {
                    let rest = text.get(start.saturating_add(*length)..).unwrap_or_default();
                    if side(&self.right, rest, budget)? {
                        return Ok(true);
                    }
                }
            }
            let (_, step) = decode(text.get(start..).unwrap_or_default());
            offset = start.saturating_add(step);
            if step == 0 {
                // It would look at the same place for ever.
                return if offset < limit { Err(Failure::Limit) } else { Ok(false) };
            }
        }
        Ok(false)
    }
}

/// A place where it is found, and the lengths that it may have there.
type Index = Option<(usize, Vec<usize>)>;

impl Matcher {
    /// How many characters it takes, if that is always the same.
    pub(super) fn length(&self) -> Option<usize> {
        match self {
            Self::Nothing => Some(0),
            Self::Single(_) | Self::List(..) | Self::Range(..) => Some(1),
            Self::Text(text) => Some(text.chars().count()),
            Self::Row(length, _) => Some(*length),
            Self::Tree(tree) => tree.length,
            Self::AnyOf(matchers) => {
                // An unknown length is forgotten where it comes first.
                let mut length = None;
                for matcher in matchers {
                    let own = matcher.length();
                    match length {
                        None => length = own,
                        known if known != own => return None,
                        _ => {}
                    }
                }
                length
            }
            _ => None,
        }
    }

    pub(super) fn matches(&self, text: &[u8], budget: &mut Budget) -> Result<bool, Failure> {
        budget.charge((text.len() / 4).saturating_add(3))?;
        Ok(match self {
            Self::Nothing => text.is_empty(),
            Self::Super => true,
            Self::Any(delimiters) => index_of_any(text, delimiters, budget)?.is_none(),
            Self::Single(_) | Self::List(..) | Self::Range(..) => {
                let (c, width) = decode(text);
                text.len() <= width && self.takes(c)
            }
            Self::Text(own) => own.as_bytes() == text,
            Self::Min(least) => runes(text).take(*least).count() == *least,
            Self::Max(most) => runes(text).take(most.saturating_add(1)).count() <= *most,
            Self::Contains(part, not) => find(text, part).is_some() != *not,
            Self::Prefix(prefix) => text.starts_with(prefix.as_bytes()),
            Self::Suffix(suffix) => text.ends_with(suffix.as_bytes()),
            // They may lie on each other.
            Self::PrefixSuffix(prefix, suffix) => {
                text.starts_with(prefix.as_bytes()) && text.ends_with(suffix.as_bytes())
            }
            Self::PrefixAny(prefix, delimiters) => match text.strip_prefix(prefix.as_bytes()) {
                Some(rest) => index_of_any(rest, delimiters, budget)?.is_none(),
                None => false,
            },
            Self::SuffixAny(suffix, delimiters) => match text.strip_suffix(suffix.as_bytes()) {
                Some(rest) => index_of_any(rest, delimiters, budget)?.is_none(),
                None => false,
            },
            Self::AnyOf(matchers) => {
                for matcher in matchers {
                    if matcher.matches(text, budget)? {
                        return Ok(true);
                    }
                }
                false
            }
            Self::EveryOf(matchers) => {
                for matcher in matchers {
                    if !matcher.matches(text, budget)? {
                        return Ok(false);
                    }
                }
                true
            }
            Self::Row(length, matchers) => {
                runes(text).take(length.saturating_add(1)).count() == *length && row(matchers, text, budget)?
            }
            Self::Tree(tree) => return tree.matches(text, budget),
        })
    }

    /// Whether it takes this one character.
    fn takes(&self, c: char) -> bool {
        match self {
            Self::Single(delimiters) => !delimiters.contains(&c),
            Self::List(list, not) => list.contains(&c) != *not,
            Self::Range(lo, hi, not) => (*lo..=*hi).contains(&c) != *not,
            _ => false,
        }
    }

    fn index(&self, text: &[u8], budget: &mut Budget) -> Result<Index, Failure> {
        budget.charge(text.len().saturating_add(6))?;
        let all = |text: &[u8], offset: usize| {
            let starts = runes(text).map(|(at, _)| at).chain([text.len()]);
            starts.map(|at| at.saturating_add(offset)).collect::<Vec<_>>()
        };
        let ends = |text: &[u8], offset: usize| {
            let ends = runes(text).map(|(at, c)| at.saturating_add(c.len_utf8()).saturating_add(offset));
            std::iter::once(offset).chain(ends).collect::<Vec<_>>()
        };
        Ok(match self {
            Self::Nothing => Some((0, vec![0])),
            Self::Super => Some((0, all(text, 0))),
            Self::Any(delimiters) => match index_of_any(text, delimiters, budget)? {
                None => Some((0, all(text, 0))),
                Some(end) => {
                    Some((0, if end == 0 { vec![0] } else { all(text.get(..end).unwrap_or_default(), 0) }))
                }
            },
            Self::Single(_) | Self::List(..) | Self::Range(..) => {
                runes(text).find(|(_, c)| self.takes(*c)).map(|(at, c)| (at, vec![c.len_utf8()]))
            }
            Self::Text(own) => find(text, own).map(|at| (at, vec![own.len()])),
            Self::Min(least) => {
                let ends: Vec<_> = runes(text)
                    .skip(least.saturating_sub(1))
                    .map(|(at, c)| at.saturating_add(c.len_utf8()))
                    .collect();
                (text.len() >= *least && !ends.is_empty()).then_some((0, ends))
            }
            Self::Max(most) => {
                let mut ends = ends(text, 0);
                ends.truncate(most.saturating_add(1));
                Some((0, ends))
            }
            Self::Contains(part, false) => find(text, part).map(|at| {
                let offset = at.saturating_add(part.len());
                (0, all(text.get(offset..).unwrap_or_default(), offset))
            }),
            Self::Contains(part, true) => {
                let end = find(text, part).unwrap_or(text.len());
                Some((0, all(text.get(..end).unwrap_or_default(), 0)))
            }
            Self::Prefix(prefix) => find(text, prefix).map(|at| {
                let rest = text.get(at.saturating_add(prefix.len())..).unwrap_or_default();
                (at, ends(rest, prefix.len()))
            }),
            Self::Suffix(suffix) => find(text, suffix).map(|at| (0, vec![at.saturating_add(suffix.len())])),
            Self::PrefixSuffix(prefix, suffix) => {
                let Some(at) = find(text, prefix) else { return Ok(None) };
                let mut rest = text.get(at..).unwrap_or_default();
                let mut ends = Vec::new();
                while let Some(start) = find_last(rest, suffix).filter(|_| !suffix.is_empty()) {
                    budget.charge((rest.len() / 4).saturating_add(1))?;
                    ends.push(start.saturating_add(suffix.len()));
                    rest = rest.get(..start).unwrap_or_default();
                }
                ends.reverse();
                (!ends.is_empty()).then_some((at, ends))
            }
            Self::PrefixAny(prefix, delimiters) => {
                let Some(at) = find(text, prefix) else { return Ok(None) };
                let rest = text.get(at.saturating_add(prefix.len())..).unwrap_or_default();
                let end = index_of_any(rest, delimiters, budget)?.unwrap_or(rest.len());
                Some((at, ends(rest.get(..end).unwrap_or_default(), prefix.len())))
            }
            Self::SuffixAny(suffix, delimiters) => {
                let Some(at) = find(text, suffix) else { return Ok(None) };
                let before = text.get(..at).unwrap_or_default();
                let mut start = 0;
                for delimiter in delimiters.iter() {
                    budget.charge((before.len() / 4).saturating_add(1))?;
                    let mut bytes = [0; 4];
                    if let Some(found) = find_last(before, delimiter.encode_utf8(&mut bytes)) {
                        // Go's search for any other character does not end well.
                        if !delimiter.is_ascii() {
                            return Err(Failure::Limit);
                        }
                        start = found.saturating_add(1);
                        break;
                    }
                }
                Some((start, vec![at.saturating_add(suffix.len()).saturating_sub(start)]))
            }
            Self::AnyOf(matchers) => {
                let mut first: Index = None;
                for matcher in matchers {
                    let Some((at, segments)) = matcher.index(text, budget)? else { continue };
                    match &mut first {
                        Some((known, all)) if *known == at => {
                            all.extend(segments);
                            all.sort_unstable();
                            all.dedup();
                        }
                        Some((known, _)) if *known < at => {}
                        _ => first = Some((at, segments)),
                    }
                }
                first
            }
            Self::EveryOf(matchers) => return every(matchers, text, budget),
            Self::Row(length, matchers) => {
                for (at, _) in runes(text) {
                    let rest = text.get(at..).unwrap_or_default();
                    if rest.len() < *length {
                        break;
                    }
                    if row(matchers, rest, budget)? {
                        return Ok(Some((at, vec![*length])));
                    }
                }
                None
            }
            Self::Tree(_) => None,
        })
    }
}

/// Where all of them are found, with the lengths that they share.
fn every(matchers: &[Rc<Matcher>], text: &[u8], budget: &mut Budget) -> Result<Index, Failure> {
    let (mut index, mut offset) = (0_usize, 0_usize);
    let mut current: Vec<usize> = Vec::new();
    let mut rest = text;
    for (which, matcher) in matchers.iter().enumerate() {
        let Some((at, segments)) = matcher.index(rest, budget)? else { return Ok(None) };
        let start = at.saturating_add(offset);
        if which == 0 {
            current = segments;
        } else {
            budget.charge(current.len().saturating_mul(segments.len()) / 4)?;
            let mut next = Vec::new();
            for known in &current {
                let wanted = known.saturating_add(index).checked_sub(start);
                next.extend(segments.iter().filter(|segment| Some(**segment) == wanted));
            }
            if next.is_empty() {
                return Ok(None);
            }
            current = next;
        }
        index = start;
        rest = text.get(index..).ok_or(Failure::Limit)?;
        offset = offset.saturating_add(at);
    }
    Ok(Some((index, current)))
}

/// Whether a text starts with all of them. The last character of each is taken for one byte.
fn row(matchers: &[Rc<Matcher>], text: &[u8], budget: &mut Budget) -> Result<bool, Failure> {
    let mut rest = text;
    for matcher in matchers {
        budget.charge(4)?;
        let length = matcher.length().unwrap_or(0);
        // Nothing looks through all of it.
        let (mut count, mut last) = (0_usize, 0);
        for (at, _) in runes(rest) {
            count = count.saturating_add(1);
            last = at;
            if count == length {
                break;
            }
        }
        if count < length {
            return Ok(false);
        }
        let (own, after) = rest.split_at_checked(last.saturating_add(1)).ok_or(Failure::Limit)?;
        if !matcher.matches(own, budget)? {
            return Ok(false);
        }
        rest = after;
    }
    Ok(true)
}
