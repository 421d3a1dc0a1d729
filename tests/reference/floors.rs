//! The floors of the core: what each folder stands on, as its README draws it.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::PathBuf;

use crate::page::{file, files_below};

const SOURCES: &str = "filter/core/src";

/// The rows of the table: a folder, and those that it stands on.
fn drawn() -> Vec<(String, Vec<String>)> {
    let readme = file("filter/core/README.md");
    let rows = readme.lines().filter_map(|line| line.strip_prefix("| `"));
    rows.map(|row| {
        let cells: Vec<&str> = row.split('|').map(str::trim).collect();
        let names = cells[2].split(", ").filter(|name| !name.is_empty());
        (
            cells[0].trim_end_matches('`').to_owned(),
            names.map(|name| name.trim_matches('`').to_owned()).collect(),
        )
    })
    .collect()
}

/// The names behind `crate::` in a source, without those of its tests.
fn named(source: &str) -> BTreeSet<String> {
    let code = source.split("#[cfg(test)]\nmod tests {").next().unwrap_or_default();
    let lines = code.lines().filter(|line| !line.trim_start().starts_with("//"));
    let mut names = BTreeSet::new();
    for line in lines {
        for (at, _) in line.match_indices("crate::") {
            let rest = &line[at + "crate::".len()..];
            let name: String = rest.chars().take_while(|c| c.is_alphanumeric() || *c == '_').collect();
            assert!(!name.is_empty(), "a group of folders is named at once: {line}");
            names.insert(name);
        }
    }
    names
}

/// By folder, what it imports of the others.
fn built() -> BTreeMap<String, BTreeSet<String>> {
    let root = everycall_tests::envoy::root().join(SOURCES);
    let mut folders: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
    for path in files_below(&root) {
        let inside = path.strip_prefix(&root).unwrap().to_string_lossy().into_owned();
        let folder = inside.split('/').next().unwrap().trim_end_matches(".rs").to_owned();
        if folder == "lib" || inside.ends_with("tests.rs") || inside.contains("/tests/") {
            continue;
        }
        folders.entry(folder).or_default().extend(named(&fs::read_to_string(&path).unwrap()));
    }
    let all: BTreeSet<String> = folders.keys().cloned().collect();
    for (folder, names) in &mut folders {
        // What the crate exports by itself is nobody's floor.
        assert!(names.iter().all(|name| all.contains(name)), "{folder} names what is no folder: {names:?}");
        names.remove(folder);
    }
    folders
}

#[test]
fn each_folder_stands_on_those_below_it_and_the_picture_says_on_which() {
    let (drawn, built) = (drawn(), built());
    let order: Vec<&str> = drawn.iter().map(|(folder, _)| folder.as_str()).collect();
    let mut sorted: Vec<&str> = order.clone();
    sorted.sort_unstable();
    assert_eq!(sorted, built.keys().map(String::as_str).collect::<Vec<_>>(), "the folders");
    for (at, (folder, on)) in drawn.iter().enumerate() {
        let below = order.iter().skip(at + 1);
        let real = &built[folder];
        let expected: Vec<&str> = below.copied().filter(|other| real.contains(*other)).collect();
        assert_eq!(expected.len(), real.len(), "`{folder}` imports what is not below it: {real:?}");
        assert_eq!(on, &expected, "`{folder}` stands on `{}`", expected.join("`, `"));
    }
}

/// The lines between the one that begins so and the one that closes it.
fn block<'s>(source: &'s str, begins: &str) -> Vec<&'s str> {
    let lines = source.lines().skip_while(|line| !line.starts_with(begins)).skip(1);
    lines.take_while(|line| *line != "}").collect()
}

/// A part that grows shows here before it is a second engine.
#[test]
fn the_engine_is_of_parts_and_one_file_uses_them() {
    let root = everycall_tests::envoy::root().join(SOURCES);
    let code = |path: &PathBuf| fs::read_to_string(path).unwrap();
    let with_engine: Vec<PathBuf> =
        files_below(&root).into_iter().filter(|path| code(path).contains("impl Engine {")).collect();
    assert_eq!(with_engine, [root.join("engine.rs")]);
    let source = code(&root.join("engine.rs"));
    let fields = block(&source, "pub struct Engine {").iter().filter(|line| line.contains(": ")).count();
    assert!((1..=10).contains(&fields), "{fields} fields");
    let methods = block(&source, "impl Engine {");
    let public = methods.iter().filter(|line| line.starts_with("    pub ")).count();
    assert!((1..=18).contains(&public), "{public} public methods");
}

/// What a caller of the core has to know of is on one page.
#[test]
fn the_core_exports_few_names() {
    let source = file(&format!("{SOURCES}/lib.rs"));
    let exported = source.lines().skip_while(|line| !line.starts_with("pub ")).collect::<Vec<_>>().join(" ");
    let statements: Vec<&str> = exported.split(';').filter(|one| one.contains("pub ")).collect();
    let names = |statement: &&str| statement.matches(',').count() + 1;
    let count: usize = statements.iter().map(names).sum();
    assert!((20..=60).contains(&count), "{count} names: {statements:?}");
}
