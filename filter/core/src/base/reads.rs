//! Which parts of our own input a rule set reads: what follows from its plan's slots. The filter fetches and
//! copies only that, and the record holds the same values.

use std::collections::BTreeSet;
use std::sync::Arc;

/// A path below an input.
pub(crate) type Path = Vec<Arc<str>>;

/// The paths below `input` that a rule set reads; a path stands for everything below it.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Reads {
    paths: BTreeSet<Path>,
    signals: bool,
}

impl Reads {
    pub(crate) fn add(&mut self, path: Path) {
        self.signals |= path.first().is_some_and(|first| **first == *"signals");
        self.paths.insert(path);
    }

    /// Whether anything at, below or above this path is read.
    pub(crate) fn any(&self, path: &[&str]) -> bool {
        self.paths.iter().any(|read| read.iter().zip(path).all(|(a, b)| **a == **b))
    }

    /// Names read below this path; `None` means all of them.
    pub(crate) fn names(&self, path: &[&str]) -> Option<BTreeSet<&str>> {
        let mut names = BTreeSet::new();
        for read in &self.paths {
            if read.iter().zip(path).any(|(a, b)| **a != **b) {
                continue;
            }
            names.insert(&**read.get(path.len())?);
        }
        Some(names)
    }

    /// Whether signals are named: of all of `input`, read as a whole, they are no part otherwise.
    pub(crate) const fn speaks_of_signals(&self) -> bool {
        self.signals
    }

    /// They are named without being read by themselves.
    pub(crate) fn name_signals(&mut self) {
        self.signals = true;
    }

    pub(crate) fn merge(&mut self, other: &Self) {
        self.paths.extend(other.paths.iter().cloned());
        self.signals |= other.signals;
    }
}

/// Names that are read below one path.
#[derive(Debug)]
pub(crate) enum Names {
    All,
    /// In the order of their lengths, which tell most names apart: they are few.
    These(Vec<Arc<str>>),
}

impl Names {
    pub(crate) fn of(reads: &Reads, path: &[&str]) -> Self {
        let Some(names) = reads.names(path) else { return Self::All };
        let mut these: Vec<Arc<str>> = names.into_iter().map(Arc::from).collect();
        these.sort_by_key(|name| name.len());
        Self::These(these)
    }

    /// Whether this one is read.
    pub(crate) fn hold(&self, name: &str) -> bool {
        match self {
            Self::All => true,
            Self::These(names) => {
                names.iter().take_while(|known| known.len() <= name.len()).any(|known| **known == *name)
            }
        }
    }

    pub(crate) fn are_none(&self) -> bool {
        matches!(self, Self::These(names) if names.is_empty())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn reads(paths: &[&[&str]]) -> Reads {
        let mut reads = Reads::default();
        paths.iter().for_each(|path| reads.add(path.iter().map(|name| Arc::from(*name)).collect()));
        reads
    }

    #[test]
    fn a_path_stands_for_all_below_it() {
        let one = reads(&[&["request", "headers", "x-a"], &["connection", "sni"]]);
        assert!(one.any(&["connection", "sni"]) && one.any(&["connection"]) && one.any(&[]));
        assert!(!one.any(&["connection", "mtls"]) && !one.any(&["identity"]));
        assert_eq!(one.names(&["request", "headers"]), Some(BTreeSet::from(["x-a"])));
        assert_eq!(one.names(&["request", "query"]), Some(BTreeSet::new()));
        let (headers, query) = (["request", "headers"], ["request", "query"]);
        assert!(Names::of(&one, &headers).hold("x-a") && !Names::of(&one, &headers).hold("x-b"));
        assert!(Names::of(&one, &query).are_none());
        let some =
            reads(&[["headers", "b"], ["headers", "aaa"], ["headers", "a"]].each_ref().map(|path| &path[..]));
        let held = Names::of(&some, &["headers"]);
        assert!(["a", "b", "aaa"].iter().all(|name| held.hold(name)));
        assert!(["", "c", "aa", "aab", "aaaa", "A"].iter().all(|name| !held.hold(name)));
        for all in [reads(&[&[]]), reads(&[&["request"]]), reads(&[&headers])] {
            assert!(all.any(&["request", "headers", "any"]) && all.names(&headers).is_none());
            assert!(Names::of(&all, &headers).hold("any") && !all.speaks_of_signals());
        }
        assert!(reads(&[&["signals", "task"]]).speaks_of_signals());
        let mut both = one.clone();
        both.merge(&reads(&[&["signals"]]));
        assert!(
            both.speaks_of_signals() && both.any(&["signals", "task"]) && both.any(&["connection", "sni"])
        );
    }
}
