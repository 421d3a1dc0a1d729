//! Rego as OPA means it, for policies that decide at every call.
//!
//! A [`Library`] holds modules and data. [`Library::plan`] compiles what some entries need to a [`Plan`], and
//! [`Plan::evaluate`] answers from [`Facts`], within a [`Budget`]: no clock, no I/O, no panic.
//!
//! The way of a policy: `reading` (text to the parser's tree, in parts) -> `resolve` (what each name means) -> `lower`
//! (the order of statements, registers, documents) -> `plan` -> `eval`. Values and builtins are a crate below,
//! `values`. People and lints read plans by `trace`, `reads` and `fail_open`.
//!
//! # What is undefined, false or twice
//!
//! OPA's documentation is meant by the names in the last column: [policy language], [reference].
//!
//! | construct | undefined | `false` | `null` | error in a builtin | several values |
//! |---|---|---|---|---|---|
//! | statement that is an expression | does not hold | does not hold | holds | does not hold | holds for each (Multiple Expressions) |
//! | `x := e`, `x = e` | does not hold | holds | holds | does not hold | holds for each (Assignment, Unification) |
//! | `e == f` and other comparisons | does not hold | compared | compared, types in their order | does not hold | for each |
//! | `not e`, of a reference, a call, an equality | holds | holds | does not hold | holds | (Negation) |
//! | what stands in `e` under `not`: operands, arguments, keys | does not hold: they are evaluated before | a value | a value | does not hold | |
//! | `some k, v in e` | no solution | no solution: no collection | no solution | no solution | each member (Membership) |
//! | `every k, v in e { … }` | does not hold | does not hold | does not hold | does not hold | all members must hold (Every) |
//! | `e in f` | does not hold | `false` where `f` is no collection | as `false` | does not hold | |
//! | element, key or argument | the whole is undefined | a value | a value | the whole is undefined | one whole for each |
//! | comprehension | its solution is left out | a value | a value | its solution is left out | all; an object's key with two values is a conflict (Comprehensions) |
//! | reference `e[k]` | undefined | undefined below | undefined below | | each member where `k` is not bound (References) |
//! | complete rule | `default`, or undefined | a value | a value | that body does not hold | a conflict if they differ (Complete Definitions) |
//! | partial set, partial object | empty | a value | a value | that solution is left out | all; a key with two values is a conflict (Partial Rules) |
//! | function | `default`, or undefined; an argument that is undefined: undefined | a value | a value | that body does not hold | a conflict if they differ (Functions) |
//! | `else` | tried where the bodies before it do not hold or their value is undefined | not tried | not tried | tried | (Else Keyword) |
//! | `with e as f` | does not hold where `f` is undefined | a value | a value | does not hold | for each (With Keyword) |
//! | `walk(e)` | no solution | one solution, itself | as `false` | | each path and value |
//!
//! A conflict ends the evaluation with [`Halt::Conflict`]. So does a limit, with [`Halt::Limit`]: never with a
//! value, and never as undefined. Base data is found by texts: `data.list["1"]` and `data.object[1]` are what
//! they are in OPA, whose store has such paths.
//!
//! # What comes first
//!
//! It can be seen where one part ends in a conflict and another is undefined, and is as in OPA: first guards,
//! which are facts that must be there, be a constant, or have a form or a member (of one fact what several
//! statements say are alternatives, behind which nothing more is asked; a variable is what it is made equal to; where
//! a constant is asked for, what has it as a member may be tried); then each statement as soon as what it needs is
//! bound, with the parts of the head behind those of the body; in a statement calls before all
//! else, what `not` and `with` are given before them, and of two references the left one. What rules add to is
//! evaluated by the keys that are read, and makes nothing else. A call of which is known what it must come to
//! tries the definitions for that, and what it finds is known to other calls.
//!
//! [policy language]: https://www.openpolicyagent.org/docs/policy-language
//! [reference]: https://www.openpolicyagent.org/docs/policy-reference

pub mod advice;
mod eval;
mod facts;
mod fail_open;
mod hir;
mod library;
mod lower;
mod plan;
mod reading;
mod reads;
mod resolve;
mod syntax;
mod tokens;
mod trace;

pub use eval::Halt;
pub use everycall_rego_values::{offered_builtins, Array, Budget, Failure, Number, Object, Set, Value};
pub use facts::{Facts, InputDocument};
pub use fail_open::{Denial, FailOpen, InputContract, Kind, Sure};
pub use hir::Site;
pub use library::Library;
pub use lower::Planning;
pub use plan::Plan;
pub use reads::Reads;
/// The parser's syntax tree, for what looks at a module's text.
pub use regorus::unstable as syntax_tree;
pub use trace::BodyTrace;
