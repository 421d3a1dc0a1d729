//! The parts of a bundle, one by one: the one form in which configurations and bundle files hand
//! them to the builder. A new kind of part is a variant here.

use serde::Deserialize;
use serde_json::{Map, Value};

use super::Builder;
use crate::base::json;
use crate::config::{self, ConfigError, InlineBundle};

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
    /// All parts but the grants, with the path of each in the configuration, where all of it stands at `place`.
    pub(crate) fn items(self, place: String) -> impl Iterator<Item = (String, Item)> {
        let Self { policies, data, rule_sets, grants: _, elevations, exceptions } = self;
        let policies = policies
            .into_iter()
            .map(|(file, text)| (format!("policies[{file:?}]"), Item::Policy(Policy { file, text })));
        let rule_sets = rule_sets
            .into_iter()
            .map(|(name, options)| (format!("rule_sets.{name}"), Item::RuleSet(Options { name, options })));
        let exceptions = exceptions.into_iter().enumerate();
        let elevations = elevations.into_iter().enumerate();
        policies
            .chain([("data".to_owned(), Item::Data(data))])
            .chain(rule_sets)
            .chain(exceptions.map(|(index, one)| (format!("exceptions[{index}]"), Item::Exception(one))))
            .chain(elevations.map(|(index, one)| (format!("elevations[{index}]"), Item::Elevation(one))))
            .map(move |(at, item)| (format!("{place}.{at}"), item))
    }
}

impl Builder {
    /// Takes one grant of a configuration, as it is written at `at`. Whether it could be read.
    pub(crate) fn written_grant(&mut self, at: &str, written: &Value) -> bool {
        let read = json::typed::<config::Grant>(written);
        match read {
            Ok(grant) => {
                self.grant(&at, grant);
                true
            }
            Err(wrong) => {
                self.errors.push(ConfigError::of(at, &wrong));
                // What names it names something.
                self.grant_ids.extend(written.get("id").and_then(Value::as_str).map(Into::into));
                false
            }
        }
    }

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
