//! The files of a folder of vectors.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

/// Each file at any depth, by its path below the folder. Hidden ones, such as `.git`, are left out.
pub fn files_below(folder: &Path) -> BTreeMap<String, PathBuf> {
    let mut found = BTreeMap::new();
    let entries = fs::read_dir(folder).unwrap_or_else(|error| panic!("{}: {error}", folder.display()));
    for entry in entries {
        let entry = entry.expect("a readable folder");
        let name = entry.file_name().into_string().expect("a name in UTF-8");
        match entry.path() {
            _ if name.starts_with('.') => {}
            path if path.is_dir() => {
                found.extend(
                    files_below(&path).into_iter().map(|(below, file)| (format!("{name}/{below}"), file)),
                );
            }
            path => drop(found.insert(name, path)),
        }
    }
    found
}
