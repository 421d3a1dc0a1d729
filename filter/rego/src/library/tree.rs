//! The tree of rules below `data`, and the definitions that stand in it.

use super::*;

/// Where a part of a module begins that was parsed by itself.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Origin {
    pub(crate) module: usize,
    /// Bytes and line ends before it.
    pub(crate) start: u32,
    pub(crate) line: u32,
}

/// One definition.
#[derive(Clone)]
pub(crate) struct Definition {
    pub(crate) origin: Origin,
    pub(crate) rule: ast::Ref<ast::Rule>,
    /// Components of the head's reference that name the document it belongs to.
    pub(crate) named: usize,
}

/// What stands at one path: all definitions of one rule.
#[derive(Default)]
pub(crate) struct Document {
    pub(crate) definitions: Vec<Definition>,
    /// Some definition has a head that is not constant, or a key that is no text.
    pub(crate) open: bool,
}

/// What stands below `data` but for base data.
#[derive(Default)]
pub(crate) struct Tree {
    /// By path.
    pub(crate) documents: BTreeMap<Path, Document>,
    /// Packages, also those without rules: each is an object.
    pub(crate) packages: BTreeSet<Path>,
}

impl Tree {
    /// The paths of documents and packages at this path and below, but for those of packages that are
    /// documents' too.
    pub(crate) fn below<'t>(&'t self, path: &'t [Arc<str>]) -> impl Iterator<Item = &'t Path> {
        let documents = self.documents.range(path.to_vec()..).map(|(known, _)| known);
        let packages = self.packages.range(path.to_vec()..);
        let within = |known: &&Path| known.starts_with(path);
        documents.take_while(within).chain(packages.take_while(within))
    }
}

impl Tree {
    /// Adds a definition.
    pub(super) fn plant(&mut self, package: &[Arc<str>], origin: Origin, rule: ast::Ref<ast::Rule>) {
        let (names, more) = syntax::head_path(&rule);
        let path = package.iter().chain(&names).cloned().collect();
        let document = self.documents.entry(path).or_default();
        document.open |= more;
        document.definitions.push(Definition { origin, rule, named: names.len() });
    }

    /// What is below a document whose keys are found when it is evaluated, becomes part of it.
    pub(super) fn join(&mut self) {
        let open: Vec<Path> = self
            .documents
            .iter()
            .filter(|(_, document)| document.open)
            .map(|(path, _)| path.clone())
            .collect();
        for path in open {
            let below: Vec<Path> = self
                .documents
                .range(path.clone()..)
                .skip(1)
                .map(|(other, _)| other.clone())
                .take_while(|other| other.starts_with(&path))
                .collect();
            for other in below {
                let Some(inner) = self.documents.remove(&other) else { continue };
                let deeper = other.len().saturating_sub(path.len());
                let inner = inner.definitions.into_iter().map(|definition| Definition {
                    named: definition.named.saturating_sub(deeper),
                    ..definition
                });
                if let Some(document) = self.documents.get_mut(&path) {
                    document.definitions.extend(inner);
                }
            }
        }
    }

    /// A message for each rule that stands below another one.
    pub(super) fn below_others(&self) -> Vec<String> {
        let mut problems = Vec::new();
        let mut above: Option<&Path> = None;
        for path in self.documents.keys() {
            match above {
                Some(above) if path.starts_with(above) => problems.push(format!(
                    "the rule `data.{}` stands below the rule `data.{}`",
                    path.join("."),
                    above.join(".")
                )),
                _ => above = Some(path),
            }
        }
        problems
    }
}
