//! The builtins that are offered, one table. Each charges its work before it does it, so that no
//! call takes longer than its evaluation may, and answers as OPA's builtin of that name.

mod aggregates;
mod arrays;
#[cfg(test)]
mod as_opa;
mod bits;
mod crypto;
mod encoding;
mod glob;
mod graph;
mod json;
mod json_patch;
mod net;
pub(crate) mod numbers;
mod objects;
mod printable;
mod regex;
mod semver;
mod sets;
pub(crate) mod sprintf;
mod strings;
#[cfg(test)]
mod testing;
mod time;
mod types;
mod units;
mod uuid;

use crate::budget::{Budget, Failure};
use crate::value::Value;

pub use numbers::{arithmetic, Arithmetic};
pub use sets::{set_and, set_or};

/// What a builtin comes to.
pub type Answer = Result<Value, Failure>;

/// A builtin. It is called with as many arguments as its row says.
#[derive(Debug)]
pub struct Builtin {
    /// As policies write it.
    pub name: &'static str,
    /// How many arguments it takes.
    pub arguments: usize,
    /// What it comes to, its work taken from the budget before it is done.
    pub call: fn(&mut Budget, &[Value]) -> Answer,
}

/// The builtin of this name.
pub fn find(name: &str) -> Option<&'static Builtin> {
    TABLES.iter().flat_map(|table| table.iter()).find(|builtin| builtin.name == name)
}

/// All of them.
#[rustfmt::skip]
const TABLES: &[&[Builtin]] = &[
    aggregates::TABLE,
    arrays::TABLE,
    bits::TABLE,
    crypto::TABLE,
    encoding::TABLE,
    glob::TABLE,
    graph::TABLE,
    json::TABLE,
    net::TABLE,
    numbers::TABLE,
    objects::TABLE,
    regex::TABLE,
    semver::TABLE,
    sets::TABLE,
    sprintf::TABLE,
    strings::TABLE,
    time::TABLE,
    types::TABLE,
    units::TABLE,
    uuid::TABLE,
];

/// The names of the builtins that policies may call, sorted.
pub fn offered_builtins() -> Vec<&'static str> {
    let mut names: Vec<_> =
        TABLES.iter().flat_map(|table| table.iter()).map(|builtin| builtin.name).collect();
    names.sort_unstable();
    names
}

/// A row of a table.
const fn row(name: &'static str, arguments: usize, call: fn(&mut Budget, &[Value]) -> Answer) -> Builtin {
    Builtin { name, arguments, call }
}

/// The text in this place.
fn text(arguments: &[Value], at: usize) -> Result<&str, Failure> {
    arguments.get(at).and_then(Value::as_str).ok_or(Failure::Error("a string is expected"))
}
