//! Reads a configuration as people write it, and makes it the self-contained document that the
//! filter takes.
//!
//! YAML is allowed here, and references that only the command line resolves, all relative to the
//! configuration's file: `bundle: {directory: DIR}`, `bundle: {file: FILE}` (and the same of `shadow`) and `keys: {file: JWKS}`.

mod directory;
mod references;
mod yaml;

use std::fmt;
use std::io::Read as _;
use std::path::{Path, PathBuf};

use everycall_core::json;
use serde_json::{json, Map, Value};

pub(crate) use references::with_references;

/// A configuration, or a file that it refers to, can't be read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LoadError {
    file: String,
    path: String,
    message: String,
    unreadable: bool,
}

impl LoadError {
    fn new(file: &Path, path: impl Into<String>, message: impl fmt::Display) -> Self {
        let file = file.display().to_string();
        Self { file, path: path.into(), message: message.to_string(), unreadable: false }
    }

    fn unreadable(file: &Path, path: impl Into<String>, cause: &std::io::Error) -> Self {
        Self { unreadable: true, ..Self::new(file, path, format!("cannot be read: {cause}")) }
    }

    /// JSON path of the offending key, in the file that [`Self::message`] names.
    pub fn path(&self) -> &str {
        &self.path
    }

    /// The file and what is wrong with it.
    pub fn message(&self) -> String {
        format!("`{}`: {}", self.file, self.message)
    }

    /// The file itself can't be read; nothing is known of what it holds.
    pub const fn is_unreadable(&self) -> bool {
        self.unreadable
    }
}

impl fmt::Display for LoadError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.path.as_str() {
            "" => write!(f, "{}: {}", self.file, self.message),
            path => write!(f, "{}: {path}: {}", self.file, self.message),
        }
    }
}

impl std::error::Error for LoadError {}

/// Reads a configuration: YAML if the name ends in `.yaml` or `.yml`, else strict JSON; `-` is
/// JSON on the standard input.
///
/// # Errors
/// The first thing that can't be read, with its file and JSON path. What the document says is not
/// looked at beyond its references: `Settings` does that.
pub fn load(path: &Path) -> Result<Value, LoadError> {
    let mut document = if path == Path::new("-") { parse_json(path, &stdin(path)?)? } else { read(path)? };
    let base = path.parent().unwrap_or(Path::new(""));
    for place in ["bundle", "shadow"] {
        resolve_bundle(&mut document, place, base)?;
    }
    for place in ["revocations", "signals"] {
        if let Some(feed) = document.get_mut(place).and_then(Value::as_object_mut) {
            resolve_signers(feed, place, base)?;
        }
    }
    resolve_keys(&mut document, base)?;
    Ok(document)
}

/// The reference configuration of the workspace at `root`.
///
/// # Errors
/// As [`load`].
pub fn reference_config(root: &Path) -> Result<Value, LoadError> {
    load(&root.join("policies/everycall.yaml"))
}

fn stdin(path: &Path) -> Result<Vec<u8>, LoadError> {
    let mut bytes = Vec::new();
    match std::io::stdin().lock().read_to_end(&mut bytes) {
        Ok(_) => Ok(bytes),
        Err(cause) => Err(LoadError::unreadable(path, "", &cause)),
    }
}

/// Reads one document by its file's name.
fn read(path: &Path) -> Result<Value, LoadError> {
    let bytes = std::fs::read(path).map_err(|cause| LoadError::unreadable(path, "", &cause))?;
    match path.extension().and_then(|extension| extension.to_str()) {
        Some("yaml" | "yml") => {
            yaml::parse(&bytes).map_err(|(at, message)| LoadError::new(path, at, message))
        }
        _ => parse_json(path, &bytes),
    }
}

fn parse_json(path: &Path, bytes: &[u8]) -> Result<Value, LoadError> {
    json::parse(bytes).map_err(|cause| LoadError::new(path, "", format!("not strict JSON: {cause}")))
}

/// A file that a configuration refers to: that it is missing is the configuration's mistake.
fn read_referred(path: &Path, key: &str) -> Result<Value, LoadError> {
    read(path).map_err(|error| {
        if error.unreadable {
            LoadError { path: key.to_owned(), unreadable: false, ..error }
        } else {
            error
        }
    })
}

fn resolve_bundle(document: &mut Value, place: &str, base: &Path) -> Result<(), LoadError> {
    let Some(bundle) = document.get_mut(place).and_then(Value::as_object_mut) else { return Ok(()) };
    let key = format!("{place}.directory");
    if let Some(directory) = take_text(bundle, "directory", &key, base)? {
        if bundle.contains_key("inline") {
            return Err(LoadError::new(&directory, key, "`directory` and `inline` exclude each other"));
        }
        bundle.insert("inline".to_owned(), directory::read(&directory, &key)?);
    }
    let key = format!("{place}.file");
    if let Some(file) = take_text(bundle, "file", &key, base)? {
        if bundle.contains_key("signed") {
            return Err(LoadError::new(&file, key, "`file` and `signed` exclude each other"));
        }
        let text = std::fs::read_to_string(&file)
            .map_err(|cause| LoadError::new(&file, &key, format!("cannot be read: {cause}")))?;
        bundle.insert("signed".to_owned(), Value::from(text));
    }
    resolve_signers(bundle, place, base)
}

/// The keys of those who may sign what stands at `place`.
fn resolve_signers(signed: &mut Map<String, Value>, place: &str, base: &Path) -> Result<(), LoadError> {
    let key = format!("{place}.keys.file");
    let keys = signed.get_mut("keys").and_then(Value::as_object_mut);
    if let Some(keys) = keys.filter(|keys| !keys.contains_key("keys")) {
        if let Some(file) = take_text(keys, "file", &key, base)? {
            signed.insert("keys".to_owned(), read_referred(&file, &key)?);
        }
    }
    Ok(())
}

/// The parts of a bundle that a directory holds: the members of `bundle.inline`.
///
/// # Errors
/// The first thing that can't be read.
pub fn bundle_directory(directory: &Path) -> Result<Map<String, Value>, LoadError> {
    match directory::read(directory, "")? {
        Value::Object(parts) => Ok(parts),
        _ => Err(LoadError::new(directory, "", "holds no bundle")),
    }
}

fn resolve_keys(document: &mut Value, base: &Path) -> Result<(), LoadError> {
    let issuers = document.get_mut("issuers").and_then(Value::as_array_mut);
    for (index, issuer) in issuers.into_iter().flatten().enumerate() {
        let key = format!("issuers[{index}].keys.file");
        let Some(keys) = issuer.get_mut("keys").and_then(Value::as_object_mut) else { continue };
        let Some(file) = take_text(keys, "file", &key, base)? else { continue };
        if keys.contains_key("inline") {
            return Err(LoadError::new(&file, key, "`file` and `inline` exclude each other"));
        }
        keys.insert("inline".to_owned(), read_referred(&file, &key)?);
    }
    Ok(())
}

/// Takes out a member that names a file or directory below `base`.
fn take_text(
    members: &mut Map<String, Value>,
    name: &str,
    key: &str,
    base: &Path,
) -> Result<Option<PathBuf>, LoadError> {
    match members.remove(name) {
        None => Ok(None),
        Some(Value::String(text)) => Ok(Some(base.join(text))),
        Some(other) => Err(LoadError::new(base, key, format!("`{other}` is not text"))),
    }
}

/// A bundle of these parts.
fn inline_bundle(policies: Map<String, Value>, data: Value, grants: Value) -> Value {
    json!({"policies": policies, "data": data, "grants": grants})
}
