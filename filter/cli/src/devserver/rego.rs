//! The PDP's policy: Rego from files, with the meaning that it has in the filter.

use std::path::Path;

use anyhow::{anyhow, bail, Context as _};
use everycall_rego::{Budget, InputDocument, Library, Plan, Value};

/// The rule that answers.
const ENTRY_POINT: &str = "pdp.decision";
/// Steps of one evaluation, and units of work.
const MAX_STEPS: u64 = 1_000_000;
const MAX_WORK: u64 = 10_000_000;

/// A compiled policy.
pub(super) struct Policy(Plan);

impl Policy {
    /// Compiles the `*.rego` files of a directory.
    pub(super) fn load(directory: &Path) -> anyhow::Result<Self> {
        let context = || format!("policies `{}`", directory.display());
        let mut files = Vec::new();
        for entry in std::fs::read_dir(directory).with_context(context)? {
            let path = entry.with_context(context)?.path();
            if path.extension().is_some_and(|extension| extension == "rego") {
                files.push(path);
            }
        }
        files.sort();
        if files.is_empty() {
            bail!("policies `{}`: no `*.rego` file", directory.display());
        }
        let mut library = Library::default();
        for path in files {
            let name = path.display().to_string();
            let source = std::fs::read_to_string(&path).with_context(|| format!("policy `{name}`"))?;
            library.add(&name, &source).map_err(|error| anyhow!(error))?;
        }
        if !library.has_rule(ENTRY_POINT) {
            bail!("policies `{}`: no rule `data.{ENTRY_POINT}`", directory.display());
        }
        let plan = library.plan(&[ENTRY_POINT]).map_err(|errors| anyhow!(errors.join("\n")))?;
        Ok(Self(plan))
    }

    /// What the policy says of this input; `None` if no rule holds.
    pub(super) fn evaluate(&self, input: &serde_json::Value) -> anyhow::Result<Option<serde_json::Value>> {
        let input = Value::from(input);
        let facts = InputDocument::new(&self.0, Some(&input), None);
        let value = self.0.evaluate(0, &facts, &mut Budget::new(MAX_STEPS, MAX_WORK));
        Ok(value.map_err(|halt| anyhow!("{halt}"))?.map(|value| value.to_json()))
    }
}
