//! From rules with resolved names to a plan: the order of statements, which variable is bound where,
//! and which documents are needed.
//!
//! A statement comes as soon as all it needs is bound, and before those written behind it: OPA's
//! order. Whether it can come is tried: what was made of it so far is dropped where something is
//! missing.

mod body;
mod calls;
pub(crate) mod glob;
mod index;
mod needs;
mod order;
mod places;
mod rules;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use everycall_rego_values::{Object, Set, Value};
use regorus::unstable as ast;

use crate::eval::stored;
use crate::hir::{
    Closure, Collected, Function, Head, Kind as Statement, Literal, Operator, Path, Replacement, Site,
    Target, Term, Var,
};
use crate::library::{Definition, Library, Tree};
use crate::plan::{
    Branch, Call, Callee, Child, Collect, Document, DocumentId, Expr, Fit, Form, Guard, Kind, Node, Operand,
    Pattern, Plan, Rank, Rule, Step, StepKind, With,
};
use crate::resolve::{self, Problem};
use body::{Body, Whole};
use needs::Needs;
use places::List;

impl Library {
    /// Whether rules have this path below `data`, such as `everycall.decision`.
    pub fn has_rule(&mut self, path: &str) -> bool {
        let path: Path = path.split('.').map(Arc::from).collect();
        self.tidy().is_ok() && self.tree.documents.contains_key(&path)
    }

    /// Compiles what the entries need: paths below `data` such as `everycall.decision`. An entry at which
    /// nothing stands is no error: it is not in the plan, and `Plan::has` says so.
    ///
    /// # Errors
    /// Everything that does not compile or is not offered, as `file:line: message`.
    pub fn plan(&mut self, entries: &[&str]) -> Result<Plan, Vec<String>> {
        let mut planning = Planning::of(entries);
        loop {
            if let Some(plan) = self.go_on(&mut planning)? {
                return Ok(plan);
            }
        }
    }

    /// Compiles one more rule, a few milliseconds at most; the plan, once it is complete. Nothing is added to the
    /// library in between.
    ///
    /// # Errors
    /// As [`Self::plan`].
    pub fn go_on(&mut self, planning: &mut Planning) -> Result<Option<Plan>, Vec<String>> {
        self.tidy()?;
        let draft = std::mem::take(&mut planning.draft);
        let mut planner = Planner { library: self, tree: &self.tree, draft, waited: 0 };
        let done = if planner.draft.entries.is_none() {
            planner.begin(&planning.entries);
            None
        } else if planner.make_some() {
            planner.too_much().map(|problem| Err(vec![problem]))
        } else {
            Some(planner.finish())
        };
        planning.draft = planner.draft;
        let Some(plan) = done.transpose()? else { return Ok(None) };
        // Functions that `with` replaces are known only now, and calls of them must look.
        let mocked = std::mem::take(&mut planning.draft.mocked);
        if mocked.len() == planning.draft.known_mocks {
            return Ok(Some(plan));
        }
        planning.draft = Draft { known_mocks: mocked.len(), mocked, ..Draft::default() };
        Ok(None)
    }
}

/// A plan in the making.
pub struct Planning {
    entries: Vec<String>,
    draft: Draft,
}

impl Planning {
    /// Of these entries, as [`Library::plan`] takes them.
    pub fn of(entries: &[&str]) -> Self {
        let entries = entries.iter().map(|entry| (*entry).to_owned()).collect();
        Self { entries, draft: Draft::default() }
    }
}

impl std::fmt::Debug for Planning {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Planning({:?})", self.entries)
    }
}

/// Why a statement is not made.
enum Stop {
    /// This variable is not bound yet.
    Unready(Var),
    /// A variable that nothing binds: what this says.
    Unbound(Problem),
    Problem(Problem),
}

impl From<Problem> for Stop {
    fn from(problem: Problem) -> Self {
        Self::Problem(problem)
    }
}

type Made<T> = Result<T, Stop>;

/// Documents that a plan may be made of, and paths of data: what is known of them is dropped at once.
const MAX_DOCUMENTS: usize = 3_000;
/// Facts that it may read: each is looked up in the table of facts, at once.
const MAX_FACTS: usize = 500;

/// A node of the tree of rules as it is read.
struct ReadNode {
    node: Node,
    /// Documents that whoever reads it reads.
    reads: BTreeSet<DocumentId>,
}

/// What is made so far.
#[derive(Default)]
struct Draft {
    /// What stands at each entry, once they were looked at.
    entries: Option<Vec<Option<DocumentId>>>,
    /// In the order in which they were asked for.
    documents: Vec<Document>,
    /// By document, those that it reads.
    calls: Vec<BTreeSet<DocumentId>>,
    problems: Vec<Problem>,
    /// The document in the making.
    open: Option<OpenDocument>,
    mocked: Vec<String>,
    known_mocks: usize,
    /// By path, and by how many keys below it are given when it is read.
    ids: BTreeMap<(Path, usize), DocumentId>,
    /// Documents that were asked for, in the order of their ids.
    wanted: Vec<(Path, usize)>,
    /// What documents are, and how many keys their rules take where they are read by keys.
    kinds: BTreeMap<Path, (Kind, usize)>,
    inputs: List<Path>,
    input_sites: Vec<Site>,
    conditions: BTreeSet<(Site, usize)>,
    bases: List<Path>,
    base_sites: Vec<Site>,
    nodes: Vec<ReadNode>,
    known_nodes: List<NodeKey>,
    /// Names below what was read by keys that are found when it is evaluated.
    names_below: usize,
    reads_now: bool,
    /// Documents that the one in the making reads.
    reads: BTreeSet<DocumentId>,
    /// Functions of which it is given what they must come to.
    given: BTreeSet<DocumentId>,
    /// Functions that `with` puts into the place of others.
    replacing: BTreeSet<DocumentId>,
}

/// A document of which some definitions are made.
struct OpenDocument {
    path: Path,
    kind: Kind,
    /// How many keys below it are given.
    keys: usize,
    definitions: std::vec::IntoIter<Definition>,
    rules: Vec<Rule>,
    needs: Vec<Vec<Needs>>,
    /// How much of it is to be put into order.
    ordered: usize,
    default: Option<Rule>,
    problems: Vec<Problem>,
}

/// The path of a node, the names below it that are read (`None` for what is no name), and how many of those are
/// known when it is read.
type NodeKey = (Path, Vec<Option<Arc<str>>>, usize);

struct Planner<'l> {
    library: &'l Library,
    tree: &'l Tree,
    draft: Draft,
    /// How often statements of the rule in the making were tried too early.
    waited: u32,
}

impl Planner<'_> {
    fn begin(&mut self, entries: &[String]) {
        let mut found = Vec::with_capacity(entries.len());
        for entry in entries {
            let path: Path = entry.split('.').filter(|name| !name.is_empty()).map(Arc::from).collect();
            let is_there =
                self.has_below(&path) || !self.is_base(&path) || descend(&self.library.data, &path).is_some();
            found.push(is_there.then(|| self.document(&path, 0)));
        }
        self.draft.entries = Some(found);
    }

    /// Makes one more definition of what is asked for; whether there was one.
    fn make_some(&mut self) -> bool {
        let Some(mut open) = self.draft.open.take() else {
            let Some((path, keys)) = self.draft.wanted.get(self.draft.documents.len()).cloned() else {
                return false;
            };
            self.draft.reads.clear();
            match self.open(&path, keys) {
                Ok(open) => self.draft.open = open,
                Err(problem) => self.close(path, Err(vec![problem])),
            }
            return true;
        };
        match open.definitions.next() {
            Some(definition) => {
                self.define(&mut open, &definition);
                self.draft.open = Some(open);
            }
            None => {
                let OpenDocument { path, kind, mut rules, needs, default, problems, .. } = open;
                let order = if problems.is_empty() {
                    index::guard(&mut rules, needs).map_err(|problem| vec![self.at(&path, &problem)])
                } else {
                    Err(problems)
                };
                let made = order.map(|is_order_open| {
                    let one_is_enough = one_is_enough(&rules);
                    let document = Document::complete(path.clone(), rules);
                    Document { kind, default, is_order_open, one_is_enough, ..document }
                });
                self.close(path, made);
            }
        }
        true
    }

    /// What of it is too much.
    fn too_much(&self) -> Option<Problem> {
        let draft = &self.draft;
        if draft.inputs.items.len() > MAX_FACTS {
            let site = draft.input_sites.last().copied().unwrap_or_default();
            let message = format!("more than {MAX_FACTS} different parts of `input` are read");
            return Some(self.library.message(site, &message));
        }
        if draft.wanted.len() > MAX_DOCUMENTS || draft.bases.items.len() > MAX_DOCUMENTS {
            let (path, _) = draft.wanted.last()?;
            return Some(
                self.at(path, &format!("with it more than {MAX_DOCUMENTS} rules or parts of data are read")),
            );
        }
        None
    }

    fn close(&mut self, path: Path, made: Result<Document, Vec<Problem>>) {
        let document = made.unwrap_or_else(|problems| {
            for problem in problems {
                if !self.draft.problems.contains(&problem) {
                    self.draft.problems.push(problem);
                }
            }
            Document::complete(path, Vec::new())
        });
        self.draft.documents.push(document);
        self.draft.calls.push(std::mem::take(&mut self.draft.reads));
    }

    fn finish(&mut self) -> Result<Plan, Vec<String>> {
        let draft = &mut self.draft;
        if !draft.given.is_empty() {
            draft.given.append(&mut draft.replacing);
        }
        for (id, (document, (path, keys))) in draft.documents.iter_mut().zip(&draft.wanted).enumerate() {
            document.whole = match keys {
                0 => Some(id),
                _ => draft.ids.get(&(path.clone(), 0)).copied(),
            };
            document.is_given = draft.given.contains(&id);
        }
        if draft.problems.is_empty() {
            draft.problems.extend(calls::circle(&draft.calls, &draft.wanted));
        }
        if !draft.problems.is_empty() {
            return Err(std::mem::take(&mut draft.problems));
        }
        let data = &self.library.data;
        let bases =
            draft.bases.items.iter().map(|path| (path.clone(), stored(data, path).cloned())).collect();
        Ok(Plan {
            documents: std::mem::take(&mut draft.documents),
            inputs: std::mem::take(&mut draft.inputs).items,
            input_sites: std::mem::take(&mut draft.input_sites),
            conditions: std::mem::take(&mut draft.conditions),
            bases,
            base_sites: std::mem::take(&mut draft.base_sites),
            nodes: std::mem::take(&mut draft.nodes).into_iter().map(|read| read.node).collect(),
            entries: draft.entries.take().unwrap_or_default(),
            data: data.clone(),
            reads_now: draft.reads_now,
        })
    }

    /// What a document is, and how many keys its rules take where it is read by keys.
    fn kind(&mut self, path: &Path) -> Result<(Kind, usize), Problem> {
        if let Some(known) = self.draft.kinds.get(path) {
            return Ok(*known);
        }
        let Some(document) = self.tree.documents.get(path) else {
            return Err(format!("no rule `data.{}`", path.join(".")));
        };
        let mut kinds = document.definitions.iter().filter_map(|definition| match &*definition.rule {
            ast::Rule::Default { args, .. } if !args.is_empty() => Some(Kind::Function(args.len())),
            ast::Rule::Default { .. } => None,
            ast::Rule::Spec { head: ast::RuleHead::Func { args, .. }, .. } => {
                Some(Kind::Function(args.len()))
            }
            ast::Rule::Spec { .. } if document.open => Some(Kind::Object),
            ast::Rule::Spec { head: ast::RuleHead::Set { .. }, .. } => Some(Kind::Set),
            ast::Rule::Spec { .. } => Some(Kind::Complete),
        });
        let first = kinds.next().unwrap_or(Kind::Complete);
        if kinds.any(|kind| kind != first) {
            return Err(self.at(
                path,
                "its rules are of different kinds, or functions of different numbers of arguments",
            ));
        }
        let keys = document.definitions.iter().map(resolve::head_keys).max().unwrap_or(0);
        self.draft.kinds.insert(path.clone(), (first, keys));
        Ok((first, keys))
    }

    /// A message for the first definition of a document.
    fn at(&self, path: &Path, message: &str) -> Problem {
        let first = self.tree.documents.get(path).and_then(|document| document.definitions.first());
        let name = format!("`data.{}`: {message}", path.join("."));
        match first {
            Some(first) => {
                let site = crate::syntax::site(first.origin, first.rule.span());
                self.library.message(site, &name)
            }
            None => name,
        }
    }
}

/// Whether the first of a document's rules that holds says all: they all say the same, or each says what is found
/// when it is evaluated. `None` if some say one thing, and some another.
fn one_is_enough(rules: &[Rule]) -> Option<bool> {
    let branches = || rules.iter().flat_map(|rule| &rule.branches);
    match branches().next().map(Branch::constant) {
        Some(Some(first)) if branches().all(|branch| branch.constant() == Some(first)) => Some(true),
        _ if branches().all(|branch| branch.constant().is_none()) => Some(false),
        _ => None,
    }
}

/// What stands at a path of names.
pub(crate) fn descend<'v>(value: &'v Value, path: &[Arc<str>]) -> Option<&'v Value> {
    path.iter().try_fold(value, |value, name| value.get_str(name))
}

fn name(key: &Term) -> Option<Arc<str>> {
    match key {
        Term::Const(Value::String(text)) => Some(Arc::clone(text)),
        _ => None,
    }
}
