//! The case files of the project, and the configuration they run under.

use std::fs;

use anyhow::Context;
use serde_json::Value;

use crate::envoy::root;

/// The reference configuration, and each case file's name and text, in order.
///
/// # Errors
/// A file can't be read.
pub fn all() -> anyhow::Result<(Value, Vec<(String, String)>)> {
    let base = reference()?;
    let mut files = Vec::new();
    for directory in ["policies/cases", "tests/cases"] {
        let path = root().join(directory);
        for entry in fs::read_dir(&path).with_context(|| path.display().to_string())? {
            let entry = entry?.path();
            if entry.extension().is_some_and(|extension| extension == "json") {
                let name = format!("{directory}/{}", entry.file_name().unwrap_or_default().to_string_lossy());
                files.push((name, fs::read_to_string(&entry)?));
            }
        }
    }
    files.sort();
    Ok((base, files))
}

/// The reference configuration, self-contained and without a server of revocations: where there is none,
/// nobody with a credential gets in.
///
/// # Errors
/// It can't be read.
pub fn reference() -> anyhow::Result<Value> {
    let mut config = whole_reference()?;
    if let Some(members) = config.as_object_mut() {
        members.remove("revocations");
    }
    Ok(config)
}

/// The reference configuration, self-contained.
///
/// # Errors
/// It can't be read.
pub fn whole_reference() -> anyhow::Result<Value> {
    Ok(everycall::load::reference_config(&root())?)
}
