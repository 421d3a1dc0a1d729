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
    pub fn has_rule(&self, path: &str) -> bool {
        let path: Path = path.split('.').map(Arc::from).collect();
        self.tree().is_ok_and(|tree| tree.documents.contains_key(&path))
    }

    /// Compiles what the entries need: paths below `data` such as `everycall.decision`. An entry at which
    /// nothing stands is no error: it is not in the plan, and `Plan::has` says so.
    ///
    /// # Errors
    /// Everything that does not compile or is not offered, as `file:line: message`.
    pub fn plan(&self, entries: &[&str]) -> Result<Plan, Vec<String>> {
        let tree = self.tree()?;
        let mut mocked = Vec::new();
        loop {
            let mut planner = Planner::new(self, tree, mocked);
            let plan = planner.plan(entries)?;
            // Functions that `with` replaces are known only now, and calls of them must look.
            if planner.mocked.len() == planner.known_mocks {
                return Ok(plan);
            }
            mocked = planner.mocked;
        }
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

/// A node of the tree of rules as it is read.
struct ReadNode {
    node: Node,
    /// Those below it that are read; `None` for what is not a name.
    keys: Vec<Option<Arc<str>>>,
    /// How many of them are known when it is read.
    closed: usize,
    /// Documents that whoever reads it reads.
    reads: BTreeSet<DocumentId>,
}

struct Planner<'l> {
    library: &'l Library,
    tree: &'l Tree,
    mocked: Vec<String>,
    known_mocks: usize,
    /// By path, and by how many keys below it are given when it is read.
    ids: BTreeMap<(Path, usize), DocumentId>,
    /// Documents that were asked for, in the order of their ids.
    wanted: Vec<(Path, usize)>,
    inputs: Vec<Path>,
    input_sites: Vec<Site>,
    conditions: Vec<(Site, usize)>,
    bases: Vec<Path>,
    nodes: Vec<ReadNode>,
    reads_now: bool,
    /// Documents that the one in the making reads.
    reads: BTreeSet<DocumentId>,
    /// Functions of which it is given what they must come to.
    given: BTreeSet<DocumentId>,
    /// Functions that `with` puts into the place of others.
    replacing: BTreeSet<DocumentId>,
}

impl<'l> Planner<'l> {
    fn new(library: &'l Library, tree: &'l Tree, mocked: Vec<String>) -> Self {
        Self {
            library,
            tree,
            known_mocks: mocked.len(),
            mocked,
            ids: BTreeMap::new(),
            wanted: Vec::new(),
            inputs: Vec::new(),
            input_sites: Vec::new(),
            conditions: Vec::new(),
            bases: Vec::new(),
            nodes: Vec::new(),
            reads_now: false,
            reads: BTreeSet::new(),
            given: BTreeSet::new(),
            replacing: BTreeSet::new(),
        }
    }

    fn plan(&mut self, entries: &[&str]) -> Result<Plan, Vec<String>> {
        let mut found = Vec::with_capacity(entries.len());
        for entry in entries {
            let path: Path = entry.split('.').filter(|name| !name.is_empty()).map(Arc::from).collect();
            let is_there =
                self.has_below(&path) || !self.is_base(&path) || descend(&self.library.data, &path).is_some();
            found.push(is_there.then(|| self.document(&path, 0)));
        }
        let mut documents = Vec::new();
        let mut calls: Vec<BTreeSet<DocumentId>> = Vec::new();
        let mut problems = Vec::new();
        while let Some((path, keys)) = self.wanted.get(documents.len()).cloned() {
            self.reads.clear();
            match self.make(&path, keys) {
                Ok(document) => documents.push(document),
                Err(problem) => {
                    problems.extend(
                        problem.into_iter().filter(|problem| !problems.contains(problem)).collect::<Vec<_>>(),
                    );
                    documents.push(Document::complete(path, Vec::new()));
                }
            }
            calls.push(std::mem::take(&mut self.reads));
        }
        if !self.given.is_empty() {
            self.given.append(&mut self.replacing);
        }
        for (id, document) in documents.iter_mut().enumerate() {
            document.whole = self.ids.get(&(document.path.clone(), 0)).copied();
            document.is_given = self.given.contains(&id);
        }
        if problems.is_empty() {
            problems.extend(calls::circle(&calls, &self.wanted));
        }
        if !problems.is_empty() {
            return Err(problems);
        }
        let bases =
            self.bases.iter().map(|path| (path.clone(), stored(&self.library.data, path).cloned())).collect();
        Ok(Plan {
            documents,
            inputs: std::mem::take(&mut self.inputs),
            input_sites: std::mem::take(&mut self.input_sites),
            conditions: std::mem::take(&mut self.conditions),
            bases,
            nodes: std::mem::take(&mut self.nodes).into_iter().map(|read| read.node).collect(),
            entries: found,
            data: self.library.data.clone(),
            reads_now: self.reads_now,
        })
    }

    /// The id of a document of which so many keys are given. It is made later.
    fn document(&mut self, path: &Path, keys: usize) -> DocumentId {
        let wanted = (path.clone(), keys);
        if let Some(id) = self.ids.get(&wanted) {
            self.reads.insert(*id);
            return *id;
        }
        let id = self.wanted.len();
        self.wanted.push(wanted.clone());
        self.ids.insert(wanted, id);
        self.reads.insert(id);
        id
    }

    fn kind(&self, path: &Path) -> Result<Kind, Problem> {
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
        Ok(first)
    }

    /// A message for the first definition of a document.
    fn at(&self, path: &Path, message: &str) -> Problem {
        let first = self.tree.documents.get(path).and_then(|document| document.definitions.first());
        let name = format!("`data.{}`: {message}", path.join("."));
        match first {
            Some(first) => {
                let site = crate::syntax::site(first.module, first.rule.span());
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

    /// How many keys of a document its rules take, where it is read by keys.
    fn keys(&self, path: &Path) -> usize {
        let definitions = self.tree.documents.get(path).map(|document| document.definitions.as_slice());
        definitions.unwrap_or_default().iter().map(resolve::head_keys).max().unwrap_or(0)
    }

    fn make(&mut self, path: &Path, keys: usize) -> Result<Document, Vec<Problem>> {
        if !self.tree.documents.contains_key(path) {
            return self.query(path);
        }
        let kind = self.kind(path).map_err(|problem| vec![problem])?;
        let (mut rules, mut needs, mut default, mut problems) = (Vec::new(), Vec::new(), None, Vec::new());
        let definitions: Vec<Definition> =
            self.tree.documents.get(path).map(|document| document.definitions.clone()).unwrap_or_default();
        for definition in &definitions {
            let is_default = matches!(&*definition.rule, ast::Rule::Default { .. });
            match self.rule(definition, keys) {
                Ok(_) if is_default && default.is_some() => {
                    problems.push(self.at(path, "it has two defaults"))
                }
                Ok(_) if is_default && !matches!(kind, Kind::Complete | Kind::Function(_)) => {
                    problems.push(self.at(path, "a default has no place where rules add members"));
                }
                Ok((rule, _)) if is_default => default = Some(rule),
                Ok((rule, needed)) => {
                    let bare = rule.branches.first().is_some_and(|branch| branch.tail.is_empty());
                    if kind == Kind::Object && bare {
                        problems.push(
                            self.at(path, "one rule is the whole document, and others are parts of it"),
                        );
                    }
                    rules.push(rule);
                    needs.push(needed);
                }
                Err(problem) => problems.push(problem),
            }
        }
        if !problems.is_empty() {
            return Err(problems);
        }
        let is_order_open = index::guard(&mut rules, needs);
        let branches = || rules.iter().flat_map(|rule| &rule.branches);
        let one_is_enough = match branches().next().map(Branch::constant) {
            Some(Some(first)) if branches().all(|branch| branch.constant() == Some(first)) => Some(true),
            _ if branches().all(|branch| branch.constant().is_none()) => Some(false),
            _ => None,
        };
        Ok(Document {
            path: path.clone(),
            kind,
            whole: None,
            rules,
            one_is_enough,
            is_order_open,
            default,
            is_given: false,
        })
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
                let (pattern, register) = match is_form(key) {
                    true => {
                        let pattern = body.pattern(key, &mut Vec::new());
                        (pattern.map_err(|stop| unbound(rule.site, stop))?, None)
                    }
                    false => {
                        let register = body.temporary();
                        (Pattern::Bind(register), Some(register))
                    }
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
        let slot = place(&mut self.inputs, path);
        if self.input_sites.len() < self.inputs.len() {
            self.input_sites.push(site);
        }
        Expr::Input(slot)
    }

    fn base(&mut self, path: Path) -> Expr {
        Expr::Base(place(&mut self.bases, path))
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

    /// The node at this path, with what is below it at these keys. Any key may be where a name is missing,
    /// and any path behind the last one.
    fn node(&mut self, path: &[Arc<str>], keys: &[Option<Arc<str>>], closed: usize) -> usize {
        let is_it = |read: &ReadNode| read.node.path == path && read.keys == keys && read.closed == closed;
        if let Some(known) = self.nodes.iter().position(is_it) {
            self.reads.extend(self.nodes.get(known).into_iter().flat_map(|read| &read.reads));
            return known;
        }
        let at = self.nodes.len();
        let node = Node { path: path.to_vec(), children: Vec::new() };
        self.nodes.push(ReadNode { node, keys: keys.to_vec(), closed, reads: BTreeSet::new() });
        let before = std::mem::take(&mut self.reads);
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
            let child = match self.tree.documents.contains_key(&below) {
                true if matches!(self.kind(&below), Ok(Kind::Function(_))) => continue,
                true => {
                    let behind = closed.saturating_sub(1).min(self.keys(&below));
                    let by_keys = (behind > 0).then(|| (self.document(&below, behind), behind));
                    Child::Document(self.document(&below, 0), by_keys)
                }
                false => Child::Node(self.node(&below, keys, closed.saturating_sub(1))),
            };
            children.push((name, child));
        }
        let reads = std::mem::replace(&mut self.reads, before);
        self.reads.extend(&reads);
        if let Some(read) = self.nodes.get_mut(at) {
            read.node.children = children;
            read.reads = reads;
        }
        at
    }

    fn mock(&self, name: &str) -> Option<usize> {
        self.mocked.iter().position(|known| known == name)
    }

    fn callee(&mut self, function: &Function) -> Result<(Callee, String), Problem> {
        match function {
            Function::Builtin(builtin) => Ok((Callee::Builtin(builtin), builtin.name.to_owned())),
            Function::Now => {
                self.reads_now = true;
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

/// The place of a path in a list, which it is added to where it is missing.
fn place(list: &mut Vec<Path>, path: Path) -> usize {
    match list.iter().position(|known| *known == path) {
        Some(known) => known,
        None => {
            list.push(path);
            list.len().saturating_sub(1)
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
