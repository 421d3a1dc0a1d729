//! What policies compute with, and the builtins that compute: values, numbers and texts as OPA has them.
//!
//! It knows of no rule. Whatever a policy can make long or large takes it from a [`Budget`] first.
//!
//! It is a crate of its own because it is built for size, where the evaluator above it is built for speed:
//! of 132 builtins a decision calls a few.

mod budget;
mod builtins;
mod bytes;
mod glob;
mod json;
mod number;
mod pattern;
mod value;

pub use budget::{Budget, Failure, MAX_DEPTH};
pub use builtins::{arithmetic, find, offered_builtins, set_and, set_or, Answer, Arithmetic, Builtin};
pub use bytes::{has_bytes, of_text};
pub use number::Number;
pub use value::{Array, Object, Set, Value};
