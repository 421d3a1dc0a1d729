//! Where what is read has its place in the plan: facts, base data, other documents, functions and nodes of the
//! tree of rules.

use super::*;

/// Names that may lead to the rules and packages below what is read by keys that are found when it is evaluated, or as
/// a whole: of one such place, and of all that a plan reads.
const MAX_BELOW: usize = 1_000;
const MAX_ALL_BELOW: usize = 10_000;

/// Things that are each held once.
pub(super) struct List<T> {
    pub(super) items: Vec<T>,
    places: BTreeMap<T, usize>,
}

impl<T> Default for List<T> {
    fn default() -> Self {
        Self { items: Vec::new(), places: BTreeMap::new() }
    }
}

impl<T: Ord + Clone> List<T> {
    /// The place of one, and whether it is new.
    fn place(&mut self, item: T) -> (usize, bool) {
        match self.places.get(&item) {
            Some(known) => (*known, false),
            None => {
                let new = self.items.len();
                self.items.push(item.clone());
                self.places.insert(item, new);
                (new, true)
            }
        }
    }
}

impl Planner<'_> {
    /// The id of a document of which so many keys are given. It is made later.
    pub(super) fn document(&mut self, path: &Path, keys: usize) -> DocumentId {
        let wanted = (path.clone(), keys);
        if let Some(id) = self.draft.ids.get(&wanted) {
            self.draft.reads.insert(*id);
            return *id;
        }
        let id = self.draft.wanted.len();
        self.draft.wanted.push(wanted.clone());
        self.draft.ids.insert(wanted, id);
        self.draft.reads.insert(id);
        id
    }

    pub(super) fn input(&mut self, path: Path, site: Site) -> Expr {
        let (slot, is_new) = self.draft.inputs.place(path);
        if is_new {
            self.draft.input_sites.push(site);
        }
        Expr::Input(slot)
    }

    pub(super) fn base(&mut self, path: Path, site: Site) -> Expr {
        let (slot, is_new) = self.draft.bases.place(path);
        if is_new {
            self.draft.base_sites.push(site);
        }
        Expr::Base(slot)
    }

    /// No rule stands at, above or below this path.
    pub(super) fn is_base(&self, path: &[Arc<str>]) -> bool {
        let above = (1..=path.len())
            .filter_map(|end| path.get(..end))
            .any(|above| self.tree.documents.contains_key(above));
        !above && !self.has_below(path)
    }

    /// A rule or a package stands at this path or below.
    pub(super) fn has_below(&self, path: &[Arc<str>]) -> bool {
        self.tree.below(path).next().is_some()
    }

    /// Looks whether so much may be read as stands below a path.
    pub(super) fn read_below(&mut self, site: Site, path: &[Arc<str>]) -> Result<(), Problem> {
        let lengths = self.tree.below(path).map(|below| below.len().saturating_sub(path.len()));
        let names = lengths.fold(0, usize::saturating_add);
        self.draft.names_below = self.draft.names_below.saturating_add(names);
        if names <= MAX_BELOW && self.draft.names_below <= MAX_ALL_BELOW {
            return Ok(());
        }
        let name = path.join(".");
        let message = format!("`data.{name}` is read by keys that are found when it is evaluated, or as a whole, and more than {MAX_BELOW} names lead to the rules below it, or more than {MAX_ALL_BELOW} to those below all that is read so");
        Err(self.library.message(site, &message))
    }

    /// The node at this path, with what is below it at these keys. Any key may be where a name is missing,
    /// and any path behind the last one.
    pub(super) fn node(&mut self, path: &[Arc<str>], keys: &[Option<Arc<str>>], closed: usize) -> usize {
        let (at, is_new) = self.draft.known_nodes.place((path.to_vec(), keys.to_vec(), closed));
        if !is_new {
            self.draft.reads.extend(self.draft.nodes.get(at).into_iter().flat_map(|read| &read.reads));
            return at;
        }
        let node = Node { path: path.to_vec(), children: Vec::new() };
        self.draft.nodes.push(ReadNode { node, reads: BTreeSet::new() });
        let before = std::mem::take(&mut self.draft.reads);
        let names: BTreeSet<Arc<str>> =
            self.tree.below(path).filter_map(|known| known.get(path.len())).cloned().collect();
        let (key, keys) = keys.split_first().map_or((None, keys), |(key, rest)| (key.as_ref(), rest));
        let mut children = Vec::with_capacity(names.len());
        for name in names {
            if key.is_some_and(|key| *key != name) {
                continue;
            }
            let mut below = path.to_vec();
            below.push(Arc::clone(&name));
            let child = if self.tree.documents.contains_key(&below) {
                // What is no document, because its rules don't agree, says so when it is made.
                let (kind, keys) = self.kind(&below).unwrap_or((Kind::Complete, 0));
                if let Kind::Function(_) = kind {
                    continue;
                }
                let behind = closed.saturating_sub(1).min(keys);
                let by_keys = (behind > 0).then(|| (self.document(&below, behind), behind));
                Child::Document(self.document(&below, 0), by_keys)
            } else {
                Child::Node(self.node(&below, keys, closed.saturating_sub(1)))
            };
            children.push((name, child));
        }
        let reads = std::mem::replace(&mut self.draft.reads, before);
        self.draft.reads.extend(&reads);
        if let Some(read) = self.draft.nodes.get_mut(at) {
            read.node.children = children;
            read.reads = reads;
        }
        at
    }

    pub(super) fn mock(&self, name: &str) -> Option<usize> {
        self.draft.mocked.iter().position(|known| known == name)
    }

    pub(super) fn callee(&mut self, function: &Function) -> Result<(Callee, String), Problem> {
        match function {
            Function::Builtin(builtin) => Ok((Callee::Builtin(builtin), builtin.name.to_owned())),
            Function::Now => {
                self.draft.reads_now = true;
                Ok((Callee::Now, "time.now_ns".to_owned()))
            }
            Function::Rule(path) => {
                let id = self.document(path, 0);
                Ok((Callee::Rule(id), format!("data.{}", path.join("."))))
            }
            Function::Walk | Function::Operator(_) => Err("it has no name to be called by".to_owned()),
        }
    }
}
