//! Sets of characters.

/// The last character.
pub(super) const MAX: u32 = 0x0010_ffff;

/// Ranges in their order, apart from each other. Surrogates may be in them; no text has any.
#[derive(Debug, Clone, Default)]
pub(super) struct Class {
    ranges: Vec<(u32, u32)>,
    /// Which of the first 128 characters are in it.
    ascii: u128,
}

impl Class {
    /// Ranges in any order.
    pub(super) fn new(ranges: impl IntoIterator<Item = (u32, u32)>) -> Self {
        Self::of(ranges.into_iter().collect())
    }

    fn of(mut sorted: Vec<(u32, u32)>) -> Self {
        if !sorted.is_sorted() {
            sorted.sort_unstable();
        }
        let mut ranges: Vec<(u32, u32)> = Vec::with_capacity(sorted.len());
        for (lo, hi) in sorted {
            match ranges.last_mut() {
                Some((_, end)) if lo <= end.saturating_add(1) => *end = hi.max(*end),
                _ => ranges.push((lo, hi)),
            }
        }
        let small = ranges.iter().flat_map(|(lo, hi)| *lo..=127.min(*hi));
        let ascii = small.fold(0, |bits, c| bits | 1_u128.wrapping_shl(c));
        Self { ranges, ascii }
    }

    pub(super) fn ranges(&self) -> &[(u32, u32)] {
        &self.ranges
    }

    pub(super) fn contains(&self, c: u32) -> bool {
        if c < 128 {
            return self.ascii.wrapping_shr(c) & 1 == 1;
        }
        let at = self.ranges.partition_point(|(_, hi)| *hi < c);
        self.ranges.get(at).is_some_and(|(lo, _)| *lo <= c)
    }

    /// All other characters.
    pub(super) fn negated(self) -> Self {
        let mut next = 0_u32;
        let mut ranges = Vec::with_capacity(self.ranges.len().saturating_add(1));
        for (lo, hi) in self.ranges {
            if let Some(end) = lo.checked_sub(1).filter(|end| next <= *end) {
                ranges.push((next, end));
            }
            next = hi.saturating_add(1);
        }
        if next <= MAX {
            ranges.push((next, MAX));
        }
        Self::new(ranges)
    }

    /// How many characters are in it.
    pub(super) fn characters(&self) -> u32 {
        let sizes = self.ranges.iter().map(|(lo, hi)| hi.saturating_sub(*lo).saturating_add(1));
        sizes.fold(0, u32::saturating_add)
    }
}

impl<const N: usize> From<[(u32, u32); N]> for Class {
    fn from(ranges: [(u32, u32); N]) -> Self {
        Self::new(ranges)
    }
}
