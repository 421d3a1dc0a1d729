//! What stands below `input` for whatever call, in the form that a rule set is given: what a negation may be sure of.

use std::sync::Arc;

use everycall_rego::{InputContract, Kind, Sure};

use super::facts::FACTS;
use super::opa;
use super::slots::Fact;
use crate::config::InputFormat;

impl InputContract for InputFormat {
    fn sure(&self, path: &[Arc<str>]) -> Option<Sure> {
        match (self, path.split_first()) {
            (Self::Everycall, _) => Fact::sure(FACTS, path),
            (Self::OpaEnvoy, Some((first, []))) if **first == *opa::OWN => {
                Some(Sure { kind: Kind::Object, nullable: 0 })
            }
            (Self::OpaEnvoy, Some((first, rest))) if **first == *opa::OWN => {
                Fact::sure(FACTS, rest).map(|sure| Sure {
                    // Its own name is a part of the path to what may be null.
                    nullable: sure.nullable.saturating_add(usize::from(sure.nullable > 0)),
                    ..sure
                })
            }
            (Self::OpaEnvoy, _) => Fact::sure(opa::FACTS, path),
        }
    }
}

/// What was called otherwise before: where a policy that reads it would find nothing, silently.
const RENAMED: [([&str; 2], &str); 2] = [
    (["identity", "principal"], "it is called `on_behalf_of`, beside it"),
    (["signals", "principal"], "it is called `on_behalf_of`, beside it"),
];

/// A path that is not there any more, and what to read instead.
pub(crate) fn renamed(format: InputFormat, path: &[Arc<str>]) -> Option<(String, &'static str)> {
    let own = match format {
        InputFormat::Everycall => path,
        InputFormat::OpaEnvoy => path.split_first().filter(|(first, _)| ***first == *opa::OWN)?.1,
    };
    let (_, instead) = RENAMED
        .iter()
        .find(|(old, _)| own.len() >= old.len() && own.iter().zip(old).all(|(a, b)| **a == **b))?;
    Some((path.join("."), instead))
}
