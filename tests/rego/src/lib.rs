//! Whether policies mean here what they mean in OPA. OPA's own cases, programs made at random that the
//! real OPA and regorus' interpreter answer too, and policies as people write them for Envoy.

pub mod cases;
pub mod generate;
pub mod interpreter;
pub mod oracle;
pub mod ours;
pub mod random;
pub mod stored;
pub mod tree;
