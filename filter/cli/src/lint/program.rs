//! The rules of all modules by their paths, and what the rules that decide are compiled to.

use std::collections::BTreeMap;

use everycall_core::config::InputFormat;
use everycall_rego::syntax_tree::{Expr, Rule};
use everycall_rego::{Library, Plan, Site, Value as Rego};
use serde_json::Value;

use crate::rego::{number, Body, RegoFile};

/// All modules of a bundle.
pub(super) struct Program<'m> {
    pub(super) modules: &'m [RegoFile],
    /// Bodies by the rule's path, each with its module.
    pub(super) rules: BTreeMap<String, Vec<(&'m RegoFile, Body<'m>)>>,
    /// Values of `default` rules by the rule's path.
    pub(super) defaults: BTreeMap<String, (&'m RegoFile, usize, &'m Expr)>,
    /// The modules compiled, with the bundle's data.
    pub(super) library: Library,
    /// The rules that decide, and whether a grant without a credential leads there.
    pub(super) entries: Vec<Entry>,
}

/// The plan's entry that decides.
pub(super) const DECISION: usize = 0;
/// The plan's entry that asks.
pub(super) const ASK: usize = 1;

/// A rule set that grants name.
pub(super) struct Entry {
    pub(super) package: String,
    pub(super) rule: String,
    pub(super) anonymous: bool,
    /// Its result has our form.
    pub(super) ours: bool,
    /// What it is compiled to: its decision, and in our form what it asks. `None` if it does not compile.
    pub(super) plan: Option<Plan>,
}

impl Entry {
    /// The form of its input.
    pub(super) const fn format(&self) -> InputFormat {
        if self.ours {
            InputFormat::Everycall
        } else {
            InputFormat::OpaEnvoy
        }
    }

    fn compile(&self, library: &mut Library) -> Option<Plan> {
        let decides = format!("{}.{}", self.package, self.rule);
        let asks = self.ours.then(|| format!("{}.ask", self.package));
        let paths: Vec<&str> = [Some(decides.as_str()), asks.as_deref()].into_iter().flatten().collect();
        library.plan(&paths).ok()
    }
}

impl<'m> Program<'m> {
    pub(super) fn new(document: &Value, modules: &'m [RegoFile]) -> Self {
        let mut rules: BTreeMap<String, Vec<_>> = BTreeMap::new();
        let mut defaults = BTreeMap::new();
        let mut library = Library::default();
        for file in modules {
            // What does not compile is an error of its own: plans are not made then.
            let _ = library.add(&file.name, &file.text);
            for body in file.bodies() {
                rules.entry(body.rule.clone()).or_default().push((file, body));
            }
            for rule in &file.module.policy {
                if let Rule::Default { span, value, .. } = rule.as_ref() {
                    let line = usize::try_from(span.line).unwrap_or_default();
                    defaults.insert(file.rule_path(rule), (file, line, value.as_ref()));
                }
            }
        }
        let data = document.pointer("/bundle/inline/data").map(Value::to_string);
        if let Some(data @ Rego::Object(_)) = data.and_then(|data| Rego::from_json(&data)) {
            let _ = library.add_data(data);
        }
        let mut entries = entries(document);
        entries.iter_mut().for_each(|entry| entry.plan = entry.compile(&mut library));
        Self { modules, rules, defaults, library, entries }
    }

    /// Where the plans have a body.
    pub(super) fn site(&self, plan: &Plan, body: &Body<'_>) -> Option<Site> {
        let (file, start) = &body.place;
        let is_it = |site: &Site| {
            self.modules.get(number(site.module)).is_some_and(|module| module.name == *file)
                && number(site.start) == *start
        };
        plan.bodies().find(is_it)
    }
}

fn entries(document: &Value) -> Vec<Entry> {
    let text = |value: &Value, name: &str| value.get(name).and_then(Value::as_str).map(str::to_owned);
    let mut entries: BTreeMap<(String, String), Entry> = BTreeMap::new();
    let grants = document.pointer("/bundle/inline/grants").and_then(Value::as_array);
    let options =
        |name: Option<&String>| document.pointer("/bundle/inline/rule_sets").and_then(|all| all.get(name?));
    let policies = grants.into_iter().flatten().flat_map(|grant| {
        let policy = text(grant, "policy");
        let shadow = options(policy.as_ref()).and_then(|options| text(options, "shadow"));
        [Some(policy), shadow.map(Some)].into_iter().flatten().map(move |policy| (grant, policy))
    });
    for (grant, policy) in policies {
        let entry = entry(document, policy.as_deref());
        let key = (entry.package.clone(), entry.rule.clone());
        let entry = entries.entry(key).or_insert(entry);
        entry.anonymous |= text(grant, "subject").as_deref() == Some("anonymous");
    }
    entries.into_values().collect()
}

/// Where the rule set is that grants call this.
pub(super) fn entry(document: &Value, policy: Option<&str>) -> Entry {
    let text = |value: &Value, name: &str| value.get(name).and_then(Value::as_str).map(str::to_owned);
    let options = document.pointer("/bundle/inline/rule_sets").and_then(|all| all.get(policy?));
    let opa = options.filter(|options| text(options, "input_format").as_deref() == Some("opa-envoy"));
    let (package, rule) = match opa {
        Some(options) => {
            let entry = text(options, "entrypoint").unwrap_or_else(|| "envoy.authz.allow".to_owned());
            entry.rsplit_once('.').map(|(a, b)| (a.to_owned(), b.to_owned())).unwrap_or_default()
        }
        None => {
            let package = policy.map_or("everycall".to_owned(), |name| format!("everycall.{name}"));
            (package, "decision".to_owned())
        }
    };
    Entry { package, rule, anonymous: false, ours: opa.is_none(), plan: None }
}
