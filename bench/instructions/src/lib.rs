//! The stages of a decision, for two ways to measure them: natively in instructions (`main.rs`), and in the
//! time that they take in V8 (`v8.rs`). A stage is a whole decision that goes further than the one before it.

pub mod memory;
pub mod stages;
#[cfg(target_arch = "wasm32")]
mod v8;
