//! A document in the making: one definition after the other.

use super::*;

const UNBOUND: &str = "a variable is bound by nothing";

/// Branches that the rules of one document may have, and what these ask of facts and arguments: when all are made
/// they are put into order at once.
const MAX_ORDERED: usize = 4_000;

impl Planner<'_> {
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
    pub(super) fn open(&mut self, path: &Path, keys: usize) -> Result<Option<OpenDocument>, Problem> {
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
    pub(super) fn define(&mut self, open: &mut OpenDocument, definition: &Definition) {
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
