//! What decides besides the configuration: policies, their data and the authority records.
//!
//! A [`Builder`] takes them one by one, checks each and compiles the rule sets; what it finishes is
//! valid as a whole and is put in force as a whole.

mod records;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use serde_json::{Map, Value};

use crate::config::{self, InputFormat, Limits};
use crate::exceptions::Exception;
use crate::grants::Grants;
use crate::policy::{Entry, Library, RuleSet};
use crate::reads::Reads;
use crate::settings::ConfigError;

/// A valid bundle.
#[derive(Debug, Default)]
pub struct Bundle {
    pub(crate) grants: Grants,
    pub(crate) exceptions: Vec<Arc<Exception>>,
    pub(crate) rule_sets: Vec<RuleSet>,
}

impl Bundle {
    /// The compiled rule sets that grants name.
    pub fn rule_sets(&self) -> &[RuleSet] {
        &self.rule_sets
    }

    /// The exceptions, soonest expiry first.
    pub fn exceptions(&self) -> Vec<&Exception> {
        let mut exceptions: Vec<&Exception> = self.exceptions.iter().map(|exception| &**exception).collect();
        exceptions.sort_by_key(|exception| (exception.valid_until, exception.id.as_str()));
        exceptions
    }

    /// What its rule sets read of `input`, taken together.
    pub(crate) fn reads(&self) -> Reads {
        let mut reads = Reads::default();
        self.rule_sets.iter().for_each(|rules| reads.merge(rules.reads()));
        reads
    }
}

/// A bundle in the making. What is wrong is noted under the path that the caller gives, and
/// building goes on, so that all mistakes are reported at once.
pub(crate) struct Builder {
    limits: Limits,
    errors: Vec<ConfigError>,
    library: Library,
    /// All modules could be parsed so far.
    parses: bool,
    grants: Grants,
    grant_ids: BTreeSet<String>,
    exceptions: Vec<Arc<Exception>>,
    rule_sets: Vec<RuleSet>,
    /// What grants call a rule set: the index, if it compiles.
    compiled: BTreeMap<Option<String>, Option<usize>>,
    /// Rule sets with options that no grant has named so far: where they stand.
    entries: BTreeMap<String, (String, Entry)>,
}

impl Builder {
    pub(crate) fn new(limits: &Limits) -> Self {
        Self {
            limits: limits.clone(),
            errors: Vec::new(),
            library: Library::default(),
            parses: true,
            grants: Grants::default(),
            grant_ids: BTreeSet::new(),
            exceptions: Vec::new(),
            rule_sets: Vec::new(),
            compiled: BTreeMap::new(),
            entries: BTreeMap::new(),
        }
    }

    /// What policies see as `data`. Before any grant.
    pub(crate) fn data(&mut self, data: Map<String, Value>) {
        self.library.set_data(data);
    }

    /// One Rego module. Before any grant: a grant's rule set is compiled when it comes.
    pub(crate) fn policy(&mut self, at: &str, file: &str, source: &str) {
        if let Err(message) = self.library.add(file, source) {
            self.parses = false;
            self.error(at, message);
        }
    }

    /// The options of one rule set. Before any grant.
    pub(crate) fn rule_set_options(&mut self, at: &str, name: String, options: config::RuleSet) {
        let config::RuleSet { input_format, entrypoint } = options;
        let entry = match (input_format, &entrypoint) {
            (InputFormat::OpaEnvoy, entrypoint) => Entry::opa(entrypoint.as_deref()),
            (InputFormat::Everycall, None) => Ok(Entry::named(Some(&name))),
            (InputFormat::Everycall, Some(_)) => {
                Err("only with `input_format: opa-envoy`; else the package is named after the rule set"
                    .into())
            }
        };
        match entry {
            Ok(entry) => drop(self.entries.insert(name, (at.to_owned(), entry))),
            Err(message) => self.error(format!("{at}.entrypoint"), message),
        }
    }

    /// One entitlement.
    pub(crate) fn grant(&mut self, at: &str, grant: config::Grant) {
        if !self.grant_ids.insert(grant.id.clone()) {
            self.error(format!("{at}.id"), format!("duplicate grant id `{}`", grant.id));
        }
        let rule_set = self.rule_set(&format!("{at}.policy"), grant.policy.as_deref());
        self.resolve_grant(at, grant, rule_set.unwrap_or(usize::MAX));
    }

    /// The bundle, or everything that is wrong with it.
    ///
    /// # Errors
    /// What was noted.
    pub(crate) fn finish(mut self) -> Result<Bundle, Vec<ConfigError>> {
        // A name that is written wrong would leave its rule set without its options.
        for (name, (at, _)) in std::mem::take(&mut self.entries) {
            self.error(at, format!("no grant names the rule set `{name}` as its `policy`"));
        }
        let Self { errors, grants, exceptions, rule_sets, .. } = self;
        match errors.is_empty() {
            true => Ok(Bundle { grants, exceptions, rule_sets }),
            false => Err(errors),
        }
    }

    /// The exceptions that came so far.
    pub(crate) fn exceptions(&self) -> &[Arc<Exception>] {
        &self.exceptions
    }

    /// The index of the rule set that a grant names, compiled at its first use.
    fn rule_set(&mut self, at: &str, policy: Option<&str>) -> Option<usize> {
        let name = policy.map(str::to_owned);
        if let Some(known) = self.compiled.get(&name) {
            return *known;
        }
        let entry = policy.and_then(|name| Some(self.entries.remove(name)?.1));
        let entry = entry.unwrap_or_else(|| Entry::named(policy));
        // A module that does not parse was reported; what is missing because of it is not.
        let compiled = match self.parses.then(|| self.library.rule_set(entry, self.limits.instructions)) {
            Some(Ok(rules)) => {
                self.rule_sets.push(rules);
                Some(self.rule_sets.len().saturating_sub(1))
            }
            Some(Err(message)) => {
                self.error(at, message);
                None
            }
            None => None,
        };
        self.compiled.insert(name, compiled);
        compiled
    }

    fn error(&mut self, path: impl AsRef<str>, message: impl Into<String>) {
        self.errors.push(ConfigError::new(path.as_ref(), message));
    }
}
