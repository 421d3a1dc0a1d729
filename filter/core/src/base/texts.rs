//! Texts that many tokens have in common: names of claims, the issuer, the caller, the audience. Each is held
//! once for all remembered tokens that say it.

use std::collections::BTreeSet;
use std::sync::Arc;

/// The longest text that is kept in mind, in bytes.
const MAX_LENGTH: usize = 256;

/// A bounded number of texts. When there are too many it begins anew: what was shared so far stays so.
#[derive(Debug, Default)]
pub(crate) struct Texts {
    capacity: usize,
    known: BTreeSet<Arc<str>>,
}

impl Texts {
    /// The default has room for none: it shares nothing, and costs nothing.
    pub(crate) const fn new(capacity: usize) -> Self {
        Self { capacity, known: BTreeSet::new() }
    }

    /// The text, shared with those who asked for the same before.
    pub(crate) fn share(&mut self, text: &str) -> Arc<str> {
        if let Some(known) = self.known.get(text) {
            return Arc::clone(known);
        }
        let new: Arc<str> = text.into();
        if self.capacity > 0 && text.len() <= MAX_LENGTH {
            if self.known.len() >= self.capacity {
                self.known.clear();
            }
            self.known.insert(Arc::clone(&new));
        }
        new
    }
}

/// Names in words: `a` or `b`.
pub(crate) fn list<T: AsRef<str>>(names: &[T]) -> String {
    names.iter().map(|name| format!("`{}`", name.as_ref())).collect::<Vec<_>>().join(" or ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_text_is_held_once_and_few_are_kept_in_mind() {
        let mut texts = Texts::new(3);
        let first = texts.share("a");
        assert!(Arc::ptr_eq(&first, &texts.share("a")) && !Arc::ptr_eq(&first, &texts.share("b")));
        let long = "x".repeat(MAX_LENGTH + 1);
        assert!(!Arc::ptr_eq(&texts.share(&long), &texts.share(&long)));
        for number in 0..100 {
            texts.share(&number.to_string());
            assert!(texts.known.len() <= 3);
        }
        assert_eq!(*texts.share("a"), *first);
        let mut none = Texts::default();
        assert!(!Arc::ptr_eq(&none.share("a"), &none.share("a")) && none.known.is_empty());
    }
}
