//! What somebody could have meant.

use std::collections::BTreeSet;

/// The path that is spelled most like this one, if it is much like it: a third of the last name may differ.
pub(super) fn nearest<'k>(wrong: &str, known: &'k BTreeSet<String>) -> Option<&'k str> {
    let name = wrong.rsplit('.').next().unwrap_or(wrong).chars().count();
    let most = name.div_euclid(3).max(1);
    let measured = known.iter().map(|known| (distance(wrong, known, most), known));
    let (distance, near) = measured.min()?;
    (distance <= most).then_some(near)
}

/// How many characters are to be put in, left out or changed; more than `most` where their lengths say so already.
fn distance(a: &str, b: &str, most: usize) -> usize {
    let (a, b): (Vec<char>, Vec<char>) = (a.chars().collect(), b.chars().collect());
    if a.len().abs_diff(b.len()) > most {
        return most.saturating_add(1);
    }
    let mut row: Vec<usize> = (0..=b.len()).collect();
    for (at, x) in a.iter().enumerate() {
        let mut last = at.saturating_add(1);
        let mut next = vec![last];
        for (y, above) in b.iter().zip(row.windows(2)) {
            let [corner, above] = above else { continue };
            let changed = corner.saturating_add(usize::from(x != y));
            last = changed.min(above.saturating_add(1)).min(last.saturating_add(1));
            next.push(last);
        }
        row = next;
    }
    row.last().copied().unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn little_may_differ() {
        let known = ["a.issuer", "a.id", "a.kind"].map(str::to_owned).into_iter().collect();
        for (wrong, near) in [
            ("a.isuer", Some("a.issuer")),
            ("a.issuers", Some("a.issuer")),
            ("a.kinds", Some("a.kind")),
            ("a.ip", Some("a.id")),
            ("a.name", None),
            ("a.is", Some("a.id")),
            ("a.ends", None),
        ] {
            assert_eq!(nearest(wrong, &known), near, "{wrong}");
        }
        assert_eq!(nearest("a", &BTreeSet::new()), None);
    }
}
