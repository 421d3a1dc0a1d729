//! What a conformance suite is: a pure function from published vectors to results, so that the same
//! suite runs natively and on the module's target.

use std::collections::BTreeMap;
use std::sync::OnceLock;

use everycall_core::jose::SignatureVerifier;
use everycall_core::PureRust;

/// Who verifies in suites on signatures: pure Rust, unless it was set.
pub static VERIFIER: OnceLock<Box<dyn SignatureVerifier + Send + Sync>> = OnceLock::new();

/// As [`VERIFIER`] says.
pub fn verifier() -> &'static dyn SignatureVerifier {
    VERIFIER.get().map_or(&PureRust, |verifier| &**verifier)
}

/// The reference configuration, self-contained. A module under Node can't load it: who runs suites sets it.
pub static REFERENCE: OnceLock<serde_json::Value> = OnceLock::new();

/// The vectors: path below the folder of vectors to content.
pub struct Vectors(pub BTreeMap<String, Vec<u8>>);

impl Vectors {
    /// The text of one file.
    pub fn text(&self, path: &str) -> &str {
        let bytes = self.0.get(path).unwrap_or_else(|| panic!("`{path}` is not in the folder of vectors"));
        std::str::from_utf8(bytes).unwrap_or_else(|error| panic!("`{path}`: {error}"))
    }

    /// One file as JSON.
    pub fn json(&self, path: &str) -> serde_json::Value {
        serde_json::from_str(self.text(path)).unwrap_or_else(|error| panic!("`{path}`: {error}"))
    }
}

/// One published case and what came of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CaseResult {
    /// Names the case within its suite, such as `346` or `A07 jku to a metadata address`.
    pub id: String,
    /// Ours is the published outcome.
    pub agrees: bool,
    /// What was expected and what came, in a line; shown for cases that don't agree.
    pub note: String,
}

impl CaseResult {
    /// Compares an accept or refusal with the published one.
    pub fn compare(id: impl Into<String>, accept: bool, got: Result<(), String>) -> Self {
        let expected = if accept { "accepted" } else { "refused" };
        let came = got.as_ref().map_or_else(|why| format!("refused: {why}"), |()| "accepted".to_owned());
        Self {
            id: id.into(),
            agrees: got.is_ok() == accept,
            note: format!("published: {expected}; ours: {came}"),
        }
    }
}

/// Targets: the core in pure Rust, natively and as WebAssembly; the module in a real Envoy.
pub const IN_RUST: &[&str] = &["native", "wasm32"];
pub const IN_ENVOY_TOO: &[&str] = &["native", "wasm32", "envoy"];

/// A named suite. A run without one of its targets, or with fewer cases than `minimum`, fails: vectors
/// got lost.
pub struct Suite {
    pub name: &'static str,
    pub minimum: usize,
    pub targets: &'static [&'static str],
    pub run: fn(&Vectors) -> Vec<CaseResult>,
}
