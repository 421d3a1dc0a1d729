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

const UNBOUND: &str = "a variable is bound by nothing";

/// Branches that the rules of one document may have, and what these ask of facts and arguments: when all are made
/// they are put into order at once.
const MAX_ORDERED: usize = 4_000;
/// Documents that a plan may be made of, and paths of data: what is known of them is dropped at once.
const MAX_DOCUMENTS: usize = 3_000;
/// Names that may lead to the rules and packages below what is read by keys that are found when it is evaluated, or as
/// a whole: of one such place, and of all that a plan reads.
const MAX_BELOW: usize = 1_000;
const MAX_ALL_BELOW: usize = 10_000;
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
            nodes: std::mem::take(&mut draft.nodes).into_iter().map(|read| read.node).collect(),
            entries: draft.entries.take().unwrap_or_default(),
            data: data.clone(),
            reads_now: draft.reads_now,
        })
    }

    /// The id of a document of which so many keys are given. It is made later.
    fn document(&mut self, path: &Path, keys: usize) -> DocumentId {
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

    /// A path that is read and names no rule: a package, a part of a rule, or data.
    fn query(&mut self, path: &Path) -> Result<Document, Vec<Problem>> {
        let keys: Vec<Term> = path.iter().map(|name| Term::Const(Value::String(Arc::clone(name)))).collect();
        let mut body = Body {
            bound: Vec::new(),
            depths: Vec::new(),
            depth: 0,
            apart: true,
            planner: self,
            steps: Vec::new(),
            site: Site::default(),
        };
        let value = match body.reference(&Head::Data, &keys) {
            Ok(value) => value,
            Err(Stop::Problem(problem) | Stop::Unbound(problem)) => return Err(vec![problem]),
            Err(Stop::Unready(_)) => Expr::Const(Value::Null),
        };
        let branch = Branch {
            site: Site::default(),
            steps: std::mem::take(&mut body.steps),
            tail: Vec::new(),
            value,
            guards: Vec::new(),
            last: None,
        };
        let rule =
            Rule { frame: body.depths.len(), arguments: Vec::new(), branches: vec![branch], contains: false };
        Ok(Document::complete(path.clone(), vec![rule]))
    }

    /// Begins a document. One that is no rule's is made at once, which is `None`.
    fn open(&mut self, path: &Path, keys: usize) -> Result<Option<OpenDocument>, Problem> {
        let Some(document) = self.tree.documents.get(path) else {
            let made = self.query(path);
            self.close(path.clone(), made);
            return Ok(None);
        };
        let (kind, _) = self.kind(path)?;
        Ok(Some(OpenDocument {
            path: path.clone(),
            kind,
            keys,
            definitions: document.definitions.clone().into_iter(),
            rules: Vec::new(),
            needs: Vec::new(),
            ordered: 0,
            default: None,
            problems: Vec::new(),
        }))
    }

    /// Makes one definition of a document.
    fn define(&mut self, open: &mut OpenDocument, definition: &Definition) {
        let is_default = matches!(&*definition.rule, ast::Rule::Default { .. });
        let problem = match self.rule(definition, open.keys) {
            Ok(_) if is_default && open.default.is_some() => self.at(&open.path, "it has two defaults"),
            Ok(_) if is_default && !matches!(open.kind, Kind::Complete | Kind::Function(_)) => {
                self.at(&open.path, "a default has no place where rules add members")
            }
            Ok((rule, _)) if is_default => {
                open.default = Some(rule);
                return;
            }
            Ok((rule, needed)) => {
                let bare = rule.branches.first().is_some_and(|branch| branch.tail.is_empty());
                open.rules.push(rule);
                let asked =
                    needed.iter().fold(0, |sum: usize, needs| sum.saturating_add(needs.counted.len()));
                open.ordered = open.ordered.saturating_add(needed.len()).saturating_add(asked);
                open.needs.push(needed);
                if open.ordered > MAX_ORDERED {
                    open.definitions = Vec::new().into_iter();
                    let message = format!(
                        "more than {MAX_ORDERED} rules, `else` and conditions: a table belongs into data"
                    );
                    self.at(&open.path, &message)
                } else if open.kind == Kind::Object && bare {
                    self.at(&open.path, "one rule is the whole document, and others are parts of it")
                } else {
                    return;
                }
            }
            Err(problem) => problem,
        };
        open.problems.push(problem);
    }

    /// A definition, and what each of its branches needs. Its first keys are arguments.
    fn rule(&mut self, definition: &Definition, keys: usize) -> Result<(Rule, Vec<Needs>), Problem> {
        let rule = resolve::rule(self.library, self.tree, definition)?;
        let made = match self.rule_so(&rule, keys, true) {
            // OPA takes some whose parts wait for each other: `[a, f([b | b := k])] = [input.xs[k], c]`.
            Err(Stop::Unbound(problem)) => {
                self.rule_so(&rule, keys, false).map_err(|_| Stop::Unbound(problem))
            }
            made => made,
        };
        made.map_err(|stop| match stop {
            Stop::Problem(problem) | Stop::Unbound(problem) => problem,
            Stop::Unready(_) => self.library.message(rule.site, UNBOUND),
        })
    }

    fn rule_so(&mut self, rule: &crate::hir::Rule, keys: usize, apart: bool) -> Made<(Rule, Vec<Needs>)> {
        let mut body = Body {
            bound: vec![false; rule.depths.len()],
            depths: rule.depths.clone(),
            depth: 0,
            apart,
            planner: self,
            steps: Vec::new(),
            site: rule.site,
        };
        let library = body.planner.library;
        let unbound = |site: Site, stop: Stop| match stop {
            Stop::Unready(_) => Stop::Unbound(library.message(site, UNBOUND)),
            stop => stop,
        };
        let mut arguments = Vec::with_capacity(rule.arguments.len());
        let mut deferred = Vec::new();
        for argument in &rule.arguments {
            arguments.push(body.pattern(argument, &mut deferred).map_err(|stop| unbound(rule.site, stop))?);
        }
        body.after(deferred).map_err(|stop| unbound(rule.site, stop))?;
        let function = arguments.len();
        let mut given = Vec::new();
        if let (Some(branch), 1..) = (rule.branches.first(), keys) {
            let element = rule.contains.then_some(&branch.value);
            for key in branch.tail.iter().chain(element).take(keys) {
                let (pattern, register) = if is_form(key) {
                    let pattern = body.pattern(key, &mut Vec::new());
                    (pattern.map_err(|stop| unbound(rule.site, stop))?, None)
                } else {
                    let register = body.temporary();
                    (Pattern::Bind(register), Some(register))
                };
                arguments.push(pattern);
                given.push(register);
            }
        }
        let first = std::mem::take(&mut body.steps);
        let outer = body.bound.clone();
        let mut branches = Vec::with_capacity(rule.branches.len());
        let mut needs = Vec::new();
        if !first.is_empty() && rule.branches.len() > 1 {
            let message = "`else` behind a head that computes its arguments";
            return Err(Stop::Problem(library.message(rule.site, message)));
        }
        let mut prologue = Some(first);
        for branch in &rule.branches {
            body.bound.clone_from(&outer);
            body.bound.resize(body.depths.len(), false);
            body.steps = prologue.take().unwrap_or_default();
            let heads: Vec<&Term> = branch.tail.iter().chain([&branch.value]).collect();
            let mut whole = body
                .with_heads(&branch.body, &heads, &given, branch.site)
                .map_err(|stop| unbound(branch.site, stop))?;
            let value = whole.values.pop().unwrap_or(Expr::Const(Value::Null));
            let steps = std::mem::take(&mut body.steps);
            let arguments = arguments.get(..function).unwrap_or_default();
            needs.push(needs::Reader::of(body.planner, arguments).read(&whole, branch.site));
            let (site, tail) = (branch.site, whole.values);
            branches.push(Branch { site, guards: Vec::new(), last: None, steps, tail, value });
        }
        let frame = body.depths.len();
        Ok((Rule { frame, arguments, branches, contains: rule.contains }, needs))
    }

    fn input(&mut self, path: Path, site: Site) -> Expr {
        let (slot, is_new) = self.draft.inputs.place(path);
        if is_new {
            self.draft.input_sites.push(site);
        }
        Expr::Input(slot)
    }

    fn base(&mut self, path: Path) -> Expr {
        Expr::Base(self.draft.bases.place(path).0)
    }

    /// No rule stands at, above or below this path.
    fn is_base(&self, path: &[Arc<str>]) -> bool {
        let above = (1..=path.len())
            .filter_map(|end| path.get(..end))
            .any(|above| self.tree.documents.contains_key(above));
        !above && !self.has_below(path)
    }

    /// A rule or a package stands at this path or below.
    fn has_below(&self, path: &[Arc<str>]) -> bool {
        self.tree.below(path).next().is_some()
    }

    /// Looks whether so much may be read as stands below a path.
    fn read_below(&mut self, site: Site, path: &[Arc<str>]) -> Result<(), Problem> {
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
    fn node(&mut self, path: &[Arc<str>], keys: &[Option<Arc<str>>], closed: usize) -> usize {
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

    fn mock(&self, name: &str) -> Option<usize> {
        self.draft.mocked.iter().position(|known| known == name)
    }

    fn callee(&mut self, function: &Function) -> Result<(Callee, String), Problem> {
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

/// Things that are each held once.
struct List<T> {
    items: Vec<T>,
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

/// What stands at a path of names.
pub(crate) fn descend<'v>(value: &'v Value, path: &[Arc<str>]) -> Option<&'v Value> {
    path.iter().try_fold(value, |value, name| value.get_str(name))
}

/// Nothing of it is computed.
fn is_form(term: &Term) -> bool {
    match term {
        Term::Const(_) | Term::Var(_) => true,
        Term::Array(items) => items.iter().all(is_form),
        Term::Object(members) => {
            members.iter().all(|(key, value)| matches!(key, Term::Const(_)) && is_form(value))
        }
        _ => false,
    }
}

fn name(key: &Term) -> Option<Arc<str>> {
    match key {
        Term::Const(Value::String(text)) => Some(Arc::clone(text)),
        _ => None,
    }
}
