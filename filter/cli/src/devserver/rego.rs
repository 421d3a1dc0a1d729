//! The PDP's policy: Rego from files, compiled to one program of regorus' VM. The same VM as in the
//! filter, because the interpreter differs in what an error does to a rule.

use std::path::Path;
use std::sync::Mutex;

use anyhow::{bail, Context as _};
use regorus::languages::rego::compiler::Compiler;
use regorus::rvm::vm::RegoVM;
use regorus::Value;

use super::lock;

/// The rule that answers.
const ENTRY_POINT: &str = "data.pdp.decision";
/// VM instructions of one evaluation.
const MAX_INSTRUCTIONS: usize = 1_000_000;

/// A compiled policy.
pub(super) struct Policy(Mutex<RegoVM>);

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
        let mut engine = regorus::Engine::new();
        // Strict mode turns comparisons of mixed types into skipped rules.
        engine.set_strict_builtin_errors(false);
        for path in files {
            let name = path.display().to_string();
            let source = std::fs::read_to_string(&path).with_context(|| format!("policy `{name}`"))?;
            engine.add_policy(name, source)?;
        }
        Self::compile(engine).with_context(context)
    }

    fn compile(mut engine: regorus::Engine) -> anyhow::Result<Self> {
        let context = || format!("rule `{ENTRY_POINT}`");
        let policy = engine.compile_with_entrypoint(&ENTRY_POINT.into()).with_context(context)?;
        let program = Compiler::compile_from_policy(&policy, &[ENTRY_POINT]).with_context(context)?;
        let mut vm = RegoVM::new();
        vm.set_max_instructions(MAX_INSTRUCTIONS);
        vm.set_compiled_policy(policy);
        vm.load_program(program);
        vm.set_data(Value::new_object())?;
        Ok(Self(Mutex::new(vm)))
    }

    /// What the policy says of this input; `None` if no rule holds.
    pub(super) fn evaluate(&self, input: serde_json::Value) -> anyhow::Result<Option<serde_json::Value>> {
        let mut vm = lock(&self.0);
        vm.set_input(Value::from(input));
        let result = vm.execute_entry_point_by_index(0);
        vm.set_input(Value::Null);
        match result? {
            Value::Undefined => Ok(None),
            value => Ok(Some(serde_json::to_value(&value)?)),
        }
    }
}
