//! The parts of a bundle, one by one: the one form in which configurations and bundle files hand
//! them to the builder. A new kind of part is a variant here.

use serde::Deserialize;
use serde_json::{Map, Value};

use super::Builder;
use crate::config::{self, InlineBundle};

/// One part. In a bundle file a line each: an object with one member, which is the variant's name.
/// Parts of a file come in this order.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "snake_case", expecting = "an object with one member")]
pub(crate) enum Item {
    Policy(Policy),
    /// Merged with what came before.
    Data(Map<String, Value>),
    RuleSet(Options),
    Exception(config::Exception),
    Elevation(config::Elevation),
    Grant(Box<config::Grant>),
}

/// One Rego module.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields, expecting = "an object")]
pub(crate) struct Policy {
    pub(crate) file: String,
    pub(crate) text: String,
}

/// The options of one rule set.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields, expecting = "an object")]
pub(crate) struct Options {
    pub(crate) name: String,
    pub(crate) options: config::RuleSet,
}

impl Item {
    /// Its place in the order of a file.
    pub(super) const fn rank(&self) -> u8 {
        match self {
            Item::Policy(_) => 0,
            Item::Data(_) => 1,
            Item::RuleSet(_) => 2,
            Item::Exception(_) => 3,
            Item::Elevation(_) => 4,
            Item::Grant(_) => 5,
        }
    }
}

impl InlineBundle {
    /// All parts, with the path of each in the configuration, where all of it stands at `place`.
    pub(crate) fn items(self, place: &str) -> impl Iterator<Item = (String, Item)> + '_ {
        let Self { policies, data, rule_sets, grants, elevations, exceptions } = self;
        let at = move |list: &str, index: usize| format!("{place}.{list}[{index}]");
        let policies = policies.into_iter().map(move |(file, text)| {
            let at = format!("{place}.policies[{file:?}]");
            (at, Item::Policy(Policy { file, text }))
        });
        let rule_sets = rule_sets.into_iter().map(move |(name, options)| {
            (format!("{place}.rule_sets.{name}"), Item::RuleSet(Options { name, options }))
        });
        let exceptions = exceptions.into_iter().enumerate();
        let elevations = elevations.into_iter().enumerate();
        let grants = grants.into_iter().enumerate();
        policies
            .chain([(format!("{place}.data"), Item::Data(data))])
            .chain(rule_sets)
            .chain(exceptions.map(move |(index, one)| (at("exceptions", index), Item::Exception(one))))
            .chain(elevations.map(move |(index, one)| (at("elevations", index), Item::Elevation(one))))
            .chain(grants.map(move |(index, one)| (at("grants", index), Item::Grant(Box::new(one)))))
    }
}

impl Builder {
    /// Takes one part; `at` is where it stands.
    pub(crate) fn add(&mut self, at: &str, item: Item) {
        match item {
            Item::Policy(Policy { file, text }) => self.policy(at, &file, &text),
            Item::Data(data) => self.data(at, data),
            Item::RuleSet(Options { name, options }) => self.rule_set_options(at, name, options),
            Item::Exception(exception) => self.exception(at, exception),
            Item::Elevation(elevation) => self.elevation(at, elevation),
            Item::Grant(grant) => self.grant(&at, *grant),
        }
    }
}
