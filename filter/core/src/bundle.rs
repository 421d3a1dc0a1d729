//! What decides besides the configuration: policies, their data and the authority records.
//!
//! A [`Builder`] takes them one by one, checks each and compiles the rule sets; what it finishes is
//! valid as a whole and is put in force as a whole. The parts come from the configuration, or from
//! a signed file: its first line is in `head`, the others in `content`, and `prepare` reads it.

mod head;
mod item;
mod prepare;
mod pull;
mod records;

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::fmt::Display;
use std::sync::Arc;

use serde_json::{Map, Value};

use crate::authority::elevations::Elevations;
use crate::authority::exceptions::Exception;
use crate::authority::grants::Grants;
use crate::base::freshness::Freshness;
use crate::base::reads::Reads;
use crate::base::reason::Reason;
use crate::base::time::UnixTime;
use crate::config::{self, ConfigError, InputFormat, Limits};
use crate::jose::keys::KeySet;
use crate::jose::signature::SignatureVerifier;
use crate::policy::{Compiling, Entrypoint, Library, RuleSet};
use crate::sync::signed::{FileError, FileFault};

pub use head::{BundleHead, BundleName};
pub(crate) use item::Item;
pub use prepare::MAX_BUNDLE_LINE;
pub(crate) use prepare::{Preparation, Progress, DROP_SLICE};
pub(crate) use pull::{server, BundleSource, Puller, World};

/// Where a bundle comes from, which says how long it may serve.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) enum Origin {
    /// There is none: nothing can be decided.
    #[default]
    Absent,
    /// The configuration, unsigned.
    Inline,
    /// A signed file.
    Signed(BundleHead),
}

/// A valid bundle.
#[derive(Debug, Default)]
pub struct Bundle {
    pub(crate) origin: Origin,
    pub(crate) grants: Grants,
    /// By id.
    pub(crate) exceptions: BTreeMap<Arc<str>, Arc<Exception>>,
    pub(crate) elevations: Elevations,
    /// The networks that elevations name: the first place where they do.
    pub(crate) networks: BTreeMap<String, String>,
    pub(crate) rule_sets: Vec<RuleSet>,
    /// By index of a rule set: the name and the index of the one that decides too and is not obeyed.
    pub(crate) shadows: BTreeMap<usize, (Arc<str>, usize)>,
}

/// What the shadow bundle is called where rule sets have their own names.
pub(crate) const SHADOW_BUNDLE: &str = "bundle";

impl Bundle {
    /// Reads a bundle file at once and verifies it with these keys. Its times are not looked at.
    ///
    /// # Errors
    /// What is wrong with it.
    pub fn from_signed(
        text: &[u8],
        keys: &KeySet,
        verifier: &dyn SignatureVerifier,
        limits: &Limits,
    ) -> Result<Self, FileError> {
        let mut preparation = Preparation::begin(text.to_vec(), keys, verifier, limits)?;
        loop {
            if let Progress::Built(bundle) = preparation.step(None)? {
                return Ok(bundle);
            }
        }
    }

    /// What it says of itself, if it is signed.
    pub const fn head(&self) -> Option<&BundleHead> {
        match &self.origin {
            Origin::Signed(head) => Some(head),
            Origin::Absent | Origin::Inline => None,
        }
    }

    /// Whether it may decide now; `max_stale_s` is the configuration's bound on its age.
    pub(crate) fn serves_at(&self, now: UnixTime, max_stale_s: Option<i64>) -> Result<(), (Reason, String)> {
        match &self.origin {
            Origin::Inline => Ok(()),
            Origin::Absent => Err((Reason::NotReady, "there is no bundle yet".into())),
            Origin::Signed(head) => head.judge_times(max_stale_s, now).map_err(|error| {
                let reason = match error.fault() {
                    FileFault::NotYetValid => Reason::NotReady,
                    _ => Reason::BundleStale,
                };
                (reason, error.first())
            }),
        }
    }

    /// How fresh it is; if it does not serve, why.
    pub(crate) fn freshness(&self, now: UnixTime, max_stale_s: Option<i64>) -> (Freshness, String) {
        let served = self.serves_at(now, max_stale_s).map_err(|(_, why)| why);
        Freshness::of(self.origin == Origin::Absent, served)
    }

    /// The compiled rule sets that grants name.
    pub fn rule_sets(&self) -> &[RuleSet] {
        &self.rule_sets
    }

    /// The exceptions, soonest expiry first.
    pub fn exceptions(&self) -> Vec<&Exception> {
        let mut exceptions: Vec<&Exception> =
            self.exceptions.values().map(|exception| &**exception).collect();
        exceptions.sort_by_key(|exception| (exception.valid_until, exception.id.as_str()));
        exceptions
    }

    /// Takes some of it apart; whether there is more. To drop a large one at once takes long.
    pub(crate) fn take_apart(&mut self, many: usize) -> bool {
        if let Some(rules) = self.rule_sets.last_mut() {
            if !rules.take_apart() {
                self.rule_sets.pop();
            }
            return true;
        }
        self.elevations.take_apart(many)
            || self.grants.take_apart(many)
            || (0..many).all(|_| self.exceptions.pop_first().is_some())
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
#[derive(Default)]
pub(crate) struct Builder {
    limits: Limits,
    errors: Vec<ConfigError>,
    library: Library,
    /// A module could not be parsed: it was reported, and what is missing because of it is not.
    unparsed: bool,
    grants: Grants,
    grant_ids: BTreeSet<Arc<str>>,
    /// Texts that many records have in common, held once.
    texts: BTreeSet<Arc<str>>,
    exceptions: BTreeMap<Arc<str>, Arc<Exception>>,
    elevations: Elevations,
    elevation_ids: BTreeSet<String>,
    /// The grants that elevations name: the first place where they do.
    elevated_grants: BTreeMap<String, String>,
    /// Likewise the networks.
    networks: BTreeMap<String, String>,
    rule_sets: Vec<RuleSet>,
    /// What grants call a rule set: its index, once all compile.
    wanted: BTreeMap<Option<String>, usize>,
    /// Rule sets that are still to be compiled, in the order of their indexes, each with where it is named.
    uncompiled: VecDeque<(String, Compiling)>,
    /// The module that is read, where it stands.
    reading: Option<String>,
    /// Rule sets with options that no grant has named so far: where they stand.
    entries: BTreeMap<String, (String, Entrypoint)>,
    /// Rule sets that have a shadow: where that is named, and its name.
    shadowed: BTreeMap<String, (String, Arc<str>)>,
    shadows: BTreeMap<usize, (Arc<str>, usize)>,
}

impl Builder {
    pub(crate) fn new(limits: &Limits) -> Self {
        Self { limits: limits.clone(), ..Self::default() }
    }

    /// What policies see as `data`, or a piece of it. Before any grant.
    pub(crate) fn data(&mut self, at: &str, data: Map<String, Value>) {
        if let Err(message) = self.library.add_data(data) {
            self.error(at, message);
        }
    }

    /// One Rego module, which [`Self::work`] reads. Before any grant: a grant's rule set is compiled when it comes.
    pub(crate) fn policy(&mut self, at: &str, file: &str, source: &str) {
        match self.library.begin(file, source) {
            Ok(()) => self.reading = Some(at.to_owned()),
            Err(message) => self.does_not_parse(at, message),
        }
    }

    fn does_not_parse(&mut self, at: &str, message: String) {
        self.unparsed = true;
        self.error(at, message);
    }

    /// Whether [`Self::work`] has something to do.
    pub(crate) fn is_busy(&self) -> bool {
        self.reading.is_some() || !self.uncompiled.is_empty()
    }

    /// Does some of the work that the last part made, a few milliseconds of it: reads a module, or compiles a rule
    /// set. Whether there may be more, which comes before the next part.
    pub(crate) fn work(&mut self) -> bool {
        if let Some(at) = self.reading.take() {
            match self.library.read() {
                Ok(true) => self.reading = Some(at),
                Ok(false) => {}
                Err(message) => self.does_not_parse(&at, message),
            }
            return true;
        }
        let Some((at, mut compiling)) = self.uncompiled.pop_front() else { return false };
        if !self.unparsed {
            match self.library.compile(&mut compiling, &self.limits) {
                Ok(Some(rules)) => self.rule_sets.push(rules),
                Ok(None) => self.uncompiled.push_front((at, compiling)),
                Err(messages) => messages.into_iter().for_each(|message| self.error(&at, message)),
            }
        }
        true
    }

    /// The options of one rule set. Before any grant.
    pub(crate) fn rule_set_options(&mut self, at: &str, name: String, options: config::RuleSet) {
        let config::RuleSet { input_format, entrypoint, shadow } = options;
        if let Some(shadow) = shadow {
            self.shadowed.entry(name.clone()).or_insert((format!("{at}.shadow"), shadow.into()));
        }
        let entry = match (input_format, &entrypoint) {
            (InputFormat::OpaEnvoy, entrypoint) => Entrypoint::opa(entrypoint.as_deref()),
            (InputFormat::Everycall, None) => Ok(Entrypoint::named(Some(&name))),
            (InputFormat::Everycall, Some(_)) => {
                Err("only with `input_format: opa-envoy`; else the package is named after the rule set"
                    .into())
            }
        };
        match entry {
            Ok(_) if self.entries.contains_key(&name) => {
                self.error(at, format!("the rule set `{name}` has options already"));
            }
            Ok(entry) => drop(self.entries.insert(name, (at.to_owned(), entry))),
            Err(message) => self.error(format!("{at}.entrypoint"), message),
        }
    }

    /// One entitlement. `at` is written out only where something is wrong: there may be many.
    pub(crate) fn grant(&mut self, at: &dyn Display, grant: config::Grant) {
        let rule_set = self.rule_set(&format_args!("{at}.policy"), grant.policy.as_deref());
        self.resolve_grant(at, grant, rule_set);
    }

    /// Does some of what is left once all parts have come, and drops what was needed for it; whether there
    /// is more.
    pub(crate) fn tidy(&mut self, many: usize) -> bool {
        self.grants_named(many)
            || self.library.take_apart()
            || (0..many).all(|_| {
                self.grant_ids.pop_first().is_some()
                    || self.texts.pop_first().is_some()
                    || self.elevation_ids.pop_first().is_some()
            })
    }

    /// Looks for some of the grants that elevations name; whether there are more.
    fn grants_named(&mut self, many: usize) -> bool {
        for _ in 0..many {
            let Some((grant, at)) = self.elevated_grants.pop_first() else { return false };
            if !self.grant_ids.contains(grant.as_str()) {
                self.error(at, format!("there is no grant `{grant}`"));
            }
        }
        true
    }

    /// The bundle, and everything that is wrong with it.
    pub(crate) fn finish(mut self) -> (Bundle, Vec<ConfigError>) {
        // A name that is written wrong would leave its rule set without its options.
        for (name, (at, _)) in std::mem::take(&mut self.entries) {
            if self.shadowed.values().all(|(_, shadow)| **shadow != *name) {
                self.error(at, format!("no grant names the rule set `{name}` as its `policy`"));
            }
        }
        self.grants_named(usize::MAX);
        let Self { errors, grants, exceptions, elevations, networks, rule_sets, shadows, .. } = self;
        let origin = Origin::Inline;
        (Bundle { origin, grants, exceptions, elevations, networks, rule_sets, shadows }, errors)
    }

    /// The index of the rule set with this name, which is compiled at its first use, along with its shadow.
    /// `at` is where it is named.
    fn rule_set(&mut self, at: &dyn Display, policy: Option<&str>) -> usize {
        let name = policy.map(str::to_owned);
        if let Some(known) = self.wanted.get(&name) {
            return *known;
        }
        let entry = policy.and_then(|name| Some(self.entries.remove(name)?.1));
        let entry = entry.unwrap_or_else(|| Entrypoint::named(policy));
        let index = self.wanted.len();
        self.wanted.insert(name, index);
        match self.library.begin_rule_set(entry) {
            Ok(compiling) => self.uncompiled.push_back((at.to_string(), compiling)),
            Err(_) if self.unparsed => {}
            Err(message) => self.error(at.to_string(), message),
        }
        if let Some(name) = policy {
            self.shadow(index, name);
        }
        index
    }

    /// Finds the shadow of the rule set `name`, if it has one.
    fn shadow(&mut self, index: usize, name: &str) {
        let Some((at, shadow)) = self.shadowed.get(name).cloned() else { return };
        let wrong = match &*shadow {
            itself if itself == name => "a rule set is not its own shadow".to_owned(),
            SHADOW_BUNDLE => format!("`{SHADOW_BUNDLE}` is what a shadow bundle is called"),
            // What is compiled below has no shadow: this goes no deeper.
            other if self.shadowed.contains_key(other) => {
                format!("the rule set `{shadow}` has a shadow itself")
            }
            _ => {
                let found = self.rule_set(&at, Some(&shadow));
                return drop(self.shadows.insert(index, (shadow, found)));
            }
        };
        self.error(at, wrong);
    }

    /// The text, held once.
    fn shared(&mut self, text: &str) -> Arc<str> {
        match self.texts.get(text) {
            Some(known) => Arc::clone(known),
            None => {
                let new: Arc<str> = text.into();
                self.texts.insert(Arc::clone(&new));
                new
            }
        }
    }

    fn error(&mut self, path: impl AsRef<str>, message: impl Into<String>) {
        self.errors.push(ConfigError::new(path.as_ref(), message));
    }
}
