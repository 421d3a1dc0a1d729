//! The modules that plans are made of, and the tree of their rules below `data`.

use std::cell::OnceCell;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use everycall_rego_values::{Object, Value};
use regorus::unstable as ast;

use crate::hir::{Path, Site};
use crate::plan::Plan;
use crate::syntax;
use crate::tokens::{tokens, Token};

/// Modules, parsed, and data.
pub struct Library {
    pub(crate) modules: Vec<Module>,
    pub(crate) data: Value,
    tree: OnceCell<Result<Tree, Vec<String>>>,
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
    pub(crate) rules: Vec<ast::Ref<ast::Rule>>,
}

/// One definition.
#[derive(Clone)]
pub(crate) struct Definition {
    pub(crate) module: usize,
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

impl Default for Library {
    fn default() -> Self {
        Self { modules: Vec::new(), data: Value::Object(Object::default()), tree: OnceCell::new() }
    }
}

impl Library {
    /// A piece of what policies see as `data`.
    ///
    /// # Errors
    /// Two pieces have a value at one place.
    pub fn add_data(&mut self, piece: Value) -> Result<(), String> {
        self.data = merge(&self.data, &piece)?;
        Ok(())
    }

    /// Parses one module.
    ///
    /// # Errors
    /// `file:line:column: message`.
    pub fn add(&mut self, file: &str, text: &str) -> Result<(), String> {
        self.tree = OnceCell::new();
        let module = syntax::parse(file, text)?;
        self.modules.push(module);
        Ok(())
    }

    /// The package of each module, in the order in which they were added.
    pub fn packages(&self) -> impl Iterator<Item = String> + '_ {
        self.modules.iter().map(|module| module.package.join("."))
    }

    /// Whether a module of this package has a rule of this name, or rules below it.
    pub fn declares(&self, package: &str, rule: &str) -> bool {
        self.modules
            .iter()
            .filter(|module| module.package.iter().map(|name| &**name).eq(package.split('.')))
            .any(|module| {
                let first = |head: &ast::Ref<ast::Rule>| syntax::head_path(head).0.first().cloned();
                module.rules.iter().filter_map(first).any(|name| *name == *rule)
            })
    }

    /// The file of a place, and its text.
    pub fn source(&self, site: Site) -> Option<(&str, &str)> {
        let module = self.modules.get(usize::try_from(site.module).ok()?)?;
        let range = usize::try_from(site.start).ok()?..usize::try_from(site.end).ok()?;
        Some((&module.file, module.text.get(range)?))
    }

    /// Whether a module whose rules are in this plan says the word, as a name or in a string.
    pub fn mentions(&self, plan: &Plan, word: &str) -> bool {
        let rules = plan.documents.iter().flat_map(|document| document.rules.iter().chain(&document.default));
        let sites = rules.flat_map(|rule| &rule.branches).map(|branch| branch.site);
        let modules: BTreeSet<u32> = sites.filter(|site| site.end > 0).map(|site| site.module).collect();
        modules.iter().filter_map(|at| self.modules.get(usize::try_from(*at).ok()?)).any(|module| {
            // A letter may be written by its number.
            module.text.contains("\\u")
                || tokens(&module.text).iter().any(|token| match token {
                    Token::Name(name) => *name == word,
                    Token::Text(text) => text.contains(word),
                    Token::Opaque | Token::Mark(_) => false,
                })
        })
    }

    /// Rules at whose paths base data stands, or below what is no object: `data` would have two values there.
    pub fn overlaps(&self) -> Vec<String> {
        let Ok(tree) = self.tree() else { return Vec::new() };
        let mut found = Vec::new();
        for path in tree.documents.keys() {
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

    /// The tree of all rules.
    pub(crate) fn tree(&self) -> Result<&Tree, Vec<String>> {
        self.tree.get_or_init(|| self.plant()).as_ref().map_err(Clone::clone)
    }

    fn plant(&self) -> Result<Tree, Vec<String>> {
        let mut packages = BTreeSet::new();
        let mut tree: BTreeMap<Path, Document> = BTreeMap::new();
        for (at, module) in self.modules.iter().enumerate() {
            packages.insert(module.package.clone());
            for rule in &module.rules {
                let (names, more) = syntax::head_path(rule);
                let mut path = module.package.clone();
                path.extend(names.iter().cloned());
                let document = tree.entry(path).or_default();
                document.open |= more;
                document.definitions.push(Definition { module: at, rule: rule.clone(), named: names.len() });
            }
        }
        // What is below a document whose keys are found when it is evaluated, is part of it.
        let open: Vec<Path> =
            tree.iter().filter(|(_, document)| document.open).map(|(path, _)| path.clone()).collect();
        for path in open {
            let below: Vec<Path> = tree
                .range(path.clone()..)
                .skip(1)
                .map(|(other, _)| other.clone())
                .take_while(|other| other.starts_with(&path))
                .collect();
            for other in below {
                let Some(inner) = tree.remove(&other) else { continue };
                let deeper = other.len().saturating_sub(path.len());
                let inner = inner.definitions.into_iter().map(|definition| Definition {
                    named: definition.named.saturating_sub(deeper),
                    ..definition
                });
                if let Some(document) = tree.get_mut(&path) {
                    document.definitions.extend(inner);
                }
            }
        }
        let mut problems = Vec::new();
        let mut above: Option<&Path> = None;
        for path in tree.keys() {
            match above {
                Some(above) if path.starts_with(above) => problems.push(format!(
                    "the rule `data.{}` stands below the rule `data.{}`",
                    path.join("."),
                    above.join(".")
                )),
                _ => above = Some(path),
            }
        }
        if problems.is_empty() {
            Ok(Tree { documents: tree, packages })
        } else {
            Err(problems)
        }
    }
}

/// Objects become one; anything else must not meet. As deep as JSON that was read may be.
pub(crate) fn merge(into: &Value, piece: &Value) -> Result<Value, String> {
    let (Value::Object(known), Value::Object(piece)) = (into, piece) else {
        return Err("`data` has two values at one place".to_owned());
    };
    let mut members: Vec<(Value, Value)> = known.to_vec();
    for (name, value) in piece.iter() {
        let value = match known.get(name) {
            Some(known) => merge(known, value)
                .map_err(|_| format!("`data` has two values at `{}`", name.as_str().unwrap_or_default()))?,
            None => value.clone(),
        };
        members.push((name.clone(), value));
    }
    Ok(Value::Object(Object::from(members)))
}
