//! The modules that plans are made of, and the tree of their rules below `data`.

mod pieces;
mod tree;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use everycall_rego_values::{Object, Value};
use regorus::unstable as ast;

use crate::hir::{Path, Site};
use crate::plan::Plan;
use crate::reading::{Limits, Reading, MAX_PART};
use crate::syntax;
use pieces::{values, Pieces};
pub(crate) use tree::{Definition, Document, Origin, Tree};

/// How many values there may be in data: they are put together at once, and dropped at once.
const MAX_VALUES: usize = 40_000;
/// How many rules there may be: the tree is looked through at once.
const MAX_RULES: usize = 10_000;
/// Rules that are put into the tree at a time.
const PLANTED: usize = 500;
/// Rules that are dropped at a time, in bytes of their texts, and what one counts besides.
pub(crate) const DROPPED: usize = 16 * 1024;
pub(crate) const DROPPED_EACH: usize = 40;

/// Modules, parsed, and data.
pub struct Library {
    pub(crate) modules: Vec<Module>,
    pub(crate) data: Value,
    /// The pieces that it is made of, and how many values they have.
    pieces: Pieces,
    values: usize,
    limits: Limits,
    /// The module that is being read.
    reading: Option<Reading>,
    /// What the rules of the modules are part of.
    pub(crate) tree: Tree,
    /// How many rules there are.
    rules: usize,
    /// Rules came since the tree was looked through.
    untidy: bool,
    /// Rules that stand below others.
    misplaced: Vec<String>,
}

impl std::fmt::Debug for Library {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Library({} modules)", self.modules.len())
    }
}

/// One module.
pub(crate) struct Module {
    pub(crate) file: String,
    pub(crate) text: Arc<str>,
    pub(crate) package: Path,
    /// Alias to what it stands for: `input` or `data` and a path below.
    pub(crate) imports: Vec<(String, Path)>,
    /// It says the word that modules are looked through for.
    pub(crate) mentions: bool,
}

impl Default for Library {
    fn default() -> Self {
        let data = Value::Object(Object::default());
        Self {
            modules: Vec::new(),
            data,
            pieces: Pieces::default(),
            values: 0,
            limits: Limits { max_part: u64::MAX, watched: None },
            reading: None,
            tree: Tree::default(),
            rules: 0,
            untidy: false,
            misplaced: Vec::new(),
        }
    }
}

impl Library {
    /// One whose modules are read and compiled in slices: a rule that would take much longer than a few
    /// milliseconds to parse is refused. They are looked through for a word, for [`Self::mentions`].
    pub fn in_slices(watched: &'static str) -> Self {
        let limits = Limits { max_part: MAX_PART, watched: Some(watched) };
        Self { limits, ..Self::default() }
    }

    /// A piece of what policies see as `data`.
    ///
    /// # Errors
    /// Two pieces have a value at one place, or there is too much of it.
    pub fn add_data(&mut self, piece: Value) -> Result<(), String> {
        self.values = self.values.saturating_add(values(&piece));
        if self.values > MAX_VALUES {
            return Err(format!("`data` has more than {MAX_VALUES} values"));
        }
        self.untidy = true;
        self.pieces.add(&piece)
    }

    /// Parses one module.
    ///
    /// # Errors
    /// `file:line:column: message`.
    pub fn add(&mut self, file: &str, text: &str) -> Result<(), String> {
        self.begin(file, text)?;
        while self.read()? {}
        Ok(())
    }

    /// Takes one module, which [`Self::read`] parses. What was not read to its end before is dropped.
    ///
    /// # Errors
    /// `file:line:column: message`.
    pub fn begin(&mut self, file: &str, text: &str) -> Result<(), String> {
        self.reading = Some(Reading::begin(file, text, self.limits)?);
        Ok(())
    }

    /// Parses a part of the module that was begun: a few milliseconds at most. Whether there is more.
    ///
    /// # Errors
    /// `file:line:column: message`. The library is as if the module had not been begun.
    pub fn read(&mut self) -> Result<bool, String> {
        let Some(mut reading) = self.reading.take() else { return Ok(false) };
        if !reading.part()? {
            if self.rules.saturating_add(reading.rules.len()) > MAX_RULES {
                return Err(format!(
                    "{}: with this module there are more than {MAX_RULES} rules",
                    reading.module.file
                ));
            }
            let module = self.modules.len();
            let many = reading.rules.len().min(PLANTED);
            self.untidy = true;
            self.rules = self.rules.saturating_add(many);
            for (origin, rule) in reading.rules.drain(..many) {
                self.tree.plant(&reading.module.package, Origin { module, ..origin }, rule);
            }
            if reading.rules.is_empty() {
                self.tree.packages.insert(reading.module.package.clone());
                self.modules.push(reading.module);
                return Ok(false);
            }
        }
        self.reading = Some(reading);
        Ok(true)
    }

    /// The package of each module, in the order in which they were added.
    pub fn packages(&self) -> impl Iterator<Item = String> + '_ {
        self.modules.iter().map(|module| module.package.join("."))
    }

    /// Whether a module has this package.
    pub fn has_package(&self, package: &str) -> bool {
        self.tree.packages.contains(&package.split('.').map(Arc::from).collect::<Path>())
    }

    /// Whether a module of this package has a rule of this name, or rules below it.
    pub fn declares(&self, package: &str, rule: &str) -> bool {
        let package: Path = package.split('.').map(Arc::from).collect();
        let path: Path = package.iter().cloned().chain([Arc::from(rule)]).collect();
        let below =
            self.tree.documents.range(path.clone()..).take_while(|(known, _)| known.starts_with(&path));
        // A document above may have keys that are found when it is evaluated, and what is below it is part of it.
        let above = (0..path.len()).filter_map(|end| self.tree.documents.get(path.get(..end)?));
        below.map(|(_, document)| document).chain(above).flat_map(|document| &document.definitions).any(
            |definition| {
                let first =
                    || syntax::head_path(&definition.rule).0.first().is_some_and(|name| **name == *rule);
                self.is_of(definition, &package) && first()
            },
        )
    }

    /// Whether a definition stands in a module of this package.
    pub(crate) fn is_of(&self, definition: &Definition, package: &[Arc<str>]) -> bool {
        self.modules.get(definition.origin.module).is_some_and(|module| module.package == package)
    }

    /// The file of a place, and its text.
    pub fn source(&self, site: Site) -> Option<(&str, &str)> {
        let module = self.modules.get(usize::try_from(site.module).ok()?)?;
        let range = usize::try_from(site.start).ok()?..usize::try_from(site.end).ok()?;
        Some((&module.file, module.text.get(range)?))
    }

    /// Whether a module whose rules are in this plan says the word that modules are looked through for, as a name or
    /// in a string.
    pub fn mentions(&self, plan: &Plan) -> bool {
        let rules = plan.documents.iter().flat_map(|document| document.rules.iter().chain(&document.default));
        let sites = rules.flat_map(|rule| &rule.branches).map(|branch| branch.site);
        let modules: BTreeSet<u32> = sites.filter(|site| site.end > 0).map(|site| site.module).collect();
        modules
            .iter()
            .filter_map(|at| self.modules.get(usize::try_from(*at).ok()?))
            .any(|module| module.mentions)
    }

    /// Rules at whose paths base data stands, or below what is no object: `data` would have two values there.
    pub fn overlaps(&self) -> Vec<String> {
        let mut found = Vec::new();
        for path in self.tree.documents.keys() {
            let mut here = Some(&self.data);
            for name in path {
                here = match here {
                    Some(Value::Object(members)) => members.get_str(name),
                    other => other,
                };
            }
            if here.is_some() {
                found.push(format!("data.{}", path.join(".")));
            }
        }
        found
    }

    /// `file:line: message`.
    pub(crate) fn message(&self, site: Site, message: &str) -> String {
        let file = self.source(site).map_or("", |(file, _)| file);
        format!("{file}:{}: {message}", site.line)
    }

    /// Drops some of what it holds: to drop all at once would take long. Whether there is more.
    pub fn take_apart(&mut self) -> bool {
        let mut dropped: usize = 0;
        while dropped < PLANTED {
            let Some(size) = self.pieces.drop_one() else { break };
            dropped = dropped.saturating_add(size);
        }
        dropped = 0;
        while dropped < DROPPED {
            let Some(mut document) = self.tree.documents.first_entry() else {
                return self.modules.pop().is_some();
            };
            let Some(definition) = document.get_mut().definitions.pop() else {
                document.remove();
                continue;
            };
            let span = definition.rule.span();
            let bytes = usize::try_from(span.end.saturating_sub(span.start)).unwrap_or(usize::MAX);
            dropped = dropped.saturating_add(bytes).saturating_add(DROPPED_EACH);
        }
        true
    }

    /// Makes one document of what is part of one, and one value of all data, before anything is planned.
    ///
    /// # Errors
    /// Rules that stand below others.
    pub(crate) fn tidy(&mut self) -> Result<(), Vec<String>> {
        if std::mem::take(&mut self.untidy) {
            self.data = self.pieces.value();
            self.tree.join();
            self.misplaced = self.tree.below_others();
        }
        if self.misplaced.is_empty() {
            Ok(())
        } else {
            Err(self.misplaced.clone())
        }
    }
}
