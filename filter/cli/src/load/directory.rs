//! A bundle as a directory: `**/*.rego`, `data.yaml` or `data.json`, `grants.yaml`, and `rule_sets.yaml`,
//! `elevations.yaml` and `exceptions.yaml` if there are any. Links are followed within it, as a mounted volume needs;
//! one that leads out of it is an error, so that nothing else gets into a bundle.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use serde_json::{Map, Value};

use super::{inline_bundle, read_referred, LoadError};

/// Directories below each other; a link to a parent ends here.
const MAX_DEPTH: usize = 16;

/// The inline bundle that a directory holds. `key` is the configuration's key that names it.
pub(super) fn read(directory: &Path, key: &str) -> Result<Value, LoadError> {
    let mut policies = BTreeMap::new();
    let root = directory
        .canonicalize()
        .map_err(|cause| LoadError::new(directory, key, format!("cannot be read: {cause}")))?;
    let inside = |file: &Path| match file.canonicalize() {
        Ok(target) if target.starts_with(&root) => Ok(()),
        Ok(_) => Err(LoadError::new(file, key, "is a link that leads out of the bundle's directory")),
        Err(cause) => Err(LoadError::new(file, key, format!("cannot be read: {cause}"))),
    };
    collect(directory, "", 0, key, &inside, &mut policies)?;
    let read = |file: &Path| {
        inside(file)?;
        read_referred(file, key)
    };
    let mut texts = Map::new();
    for (name, file) in policies {
        let text = std::fs::read_to_string(&file)
            .map_err(|cause| LoadError::new(&file, key, format!("cannot be read: {cause}")))?;
        texts.insert(name, Value::from(text));
    }
    let (yaml, json) = (directory.join("data.yaml"), directory.join("data.json"));
    let data = match (yaml.exists(), json.exists()) {
        (false, false) => Value::Object(Map::new()),
        (true, false) => read(&yaml)?,
        (false, true) => read(&json)?,
        (true, true) => return Err(LoadError::new(directory, key, "holds both `data.yaml` and `data.json`")),
    };
    if !data.is_object() {
        return Err(LoadError::new(directory, key, "its `data` is not an object"));
    }
    let grants = read(&directory.join("grants.yaml"))?;
    if !grants.is_array() {
        return Err(LoadError::new(directory, key, "its `grants.yaml` is not a list"));
    }
    let mut bundle = inline_bundle(texts, data, grants);
    let rule_sets = directory.join("rule_sets.yaml");
    if rule_sets.exists() {
        let options = read(&rule_sets)?;
        if !options.is_object() {
            return Err(LoadError::new(directory, key, "its `rule_sets.yaml` is not an object"));
        }
        if let Some(members) = bundle.as_object_mut() {
            members.insert("rule_sets".to_owned(), options);
        }
    }
    for name in ["elevations", "exceptions"] {
        let file = directory.join(format!("{name}.yaml"));
        if !file.exists() {
            continue;
        }
        let list = read(&file)?;
        if !list.is_array() {
            return Err(LoadError::new(directory, key, format!("its `{name}.yaml` is not a list")));
        }
        if let Some(members) = bundle.as_object_mut() {
            members.insert(name.to_owned(), list);
        }
    }
    Ok(bundle)
}

/// Relative name to file, for each policy below a directory. Tests of policies are not shipped, and
/// names that start with a dot are not looked at: mounted volumes keep copies in them.
fn collect(
    directory: &Path,
    prefix: &str,
    depth: usize,
    key: &str,
    inside: &dyn Fn(&Path) -> Result<(), LoadError>,
    files: &mut BTreeMap<String, PathBuf>,
) -> Result<(), LoadError> {
    let unreadable =
        |cause: std::io::Error| LoadError::new(directory, key, format!("cannot be read: {cause}"));
    if depth >= MAX_DEPTH {
        return Err(LoadError::new(directory, key, format!("more than {MAX_DEPTH} directories deep")));
    }
    for entry in std::fs::read_dir(directory).map_err(unreadable)? {
        let entry = entry.map_err(unreadable)?;
        let Ok(name) = entry.file_name().into_string() else {
            return Err(LoadError::new(&entry.path(), key, "the name is not UTF-8"));
        };
        if name.starts_with('.') {
            continue;
        }
        let path = entry.path();
        let relative = format!("{prefix}{name}");
        if path.metadata().map_err(unreadable)?.is_dir() {
            inside(&path)?;
            collect(&path, &format!("{relative}/"), depth.saturating_add(1), key, inside, files)?;
        } else if name.ends_with(".rego") && !name.ends_with("_test.rego") {
            inside(&path)?;
            files.insert(relative, path);
        }
    }
    Ok(())
}
