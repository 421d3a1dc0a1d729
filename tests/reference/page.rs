//! The pages, as far as tests read them: sections, their first table, their code blocks.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use everycall_tests::envoy::root;

/// What it is, for a stranger.
pub const FRONT: &str = "README.md";
/// Loading it into Envoy and Istio, and running it.
pub const PROXY: &str = "envoy/README.md";
/// All keys.
pub const CONFIGURATION: &str = "envoy/configuration.md";
/// Issuers, certificates, proofs.
pub const IDENTITY: &str = "envoy/identity.md";
/// Reasons, metrics, records.
pub const RECORDS: &str = "envoy/records.md";
/// Writing policies.
pub const POLICIES: &str = "policies/README.md";
/// Which Rego there is.
pub const REGO: &str = "filter/rego/README.md";
/// The command line.
pub const COMMANDS: &str = "filter/cli/README.md";

/// A part of a page: from its heading to the next one of the same or a higher rank.
pub struct Section {
    heading: String,
    text: String,
}

/// A file of the project.
pub fn file(path: &str) -> String {
    std::fs::read_to_string(root().join(path)).unwrap_or_else(|error| panic!("{path}: {error}"))
}

/// All files below a folder, but for what is built and fetched.
pub fn files_below(folder: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        let name = path.file_name().unwrap().to_string_lossy().into_owned();
        match path.is_dir() {
            true if name.starts_with('.') || ["target", "node_modules"].contains(&name.as_str()) => {}
            true => found.extend(files_below(&path)),
            false => found.push(path),
        }
    }
    found
}

/// The section of a page with this heading, `#` marks included.
pub fn section(page: &str, heading: &str) -> Section {
    let rank = |line: &str| line.bytes().take_while(|byte| *byte == b'#').count();
    let whole = file(page);
    let mut inside = false;
    let mut code = false;
    let mut text = String::new();
    for line in whole.lines() {
        code ^= line.starts_with("```");
        let is_heading = !code && rank(line) > 0;
        if inside && is_heading && rank(line) <= rank(heading) {
            break;
        }
        if inside {
            text += line;
            text.push('\n');
        }
        inside |= is_heading && line == heading;
    }
    assert!(inside, "{page} has no heading `{heading}`");
    Section { heading: heading.to_owned(), text }
}

impl Section {
    /// The cells of its first table, without the head, whose names must be these.
    pub fn table(&self, columns: &[&str]) -> Vec<Vec<String>> {
        let mut lines = self
            .text
            .lines()
            .skip_while(|line| !line.starts_with('|'))
            .take_while(|line| line.starts_with('|'));
        let head = lines.next().map(cells).unwrap_or_default();
        assert_eq!(head, columns, "the columns of the table below `{}`", self.heading);
        let rows: Vec<Vec<String>> = lines.skip(1).map(cells).collect();
        for row in &rows {
            assert_eq!(row.len(), columns.len(), "a row below `{}`: {row:?}", self.heading);
        }
        rows
    }

    /// The rows of its first table by the code in their first cell.
    pub fn by_name(&self, columns: &[&str]) -> BTreeMap<String, Vec<String>> {
        let mut rows = BTreeMap::new();
        for row in self.table(columns) {
            let name = code(&row[0]).pop().unwrap_or_else(|| panic!("no name in {row:?}"));
            assert!(
                rows.insert(name.clone(), row).is_none(),
                "`{name}` stands twice below `{}`",
                self.heading
            );
        }
        rows
    }

    /// The text of its first code block in this language.
    pub fn block(&self, language: &str) -> String {
        let fence = format!("```{language}\n");
        let (_, rest) =
            self.text.split_once(&fence).unwrap_or_else(|| panic!("no {fence}below `{}`", self.heading));
        rest.split_once("```").map(|(block, _)| block.to_owned()).unwrap_or_default()
    }
}

fn cells(line: &str) -> Vec<String> {
    // A bar in a cell is written `\|`.
    let line = line.replace("\\|", "\u{1}");
    let inner = line.trim().trim_start_matches('|').trim_end_matches('|');
    inner.split('|').map(|cell| cell.trim().replace('\u{1}', "|")).collect()
}

/// What stands in backticks.
pub fn code(text: &str) -> Vec<String> {
    text.split('`').skip(1).step_by(2).map(str::to_owned).collect()
}

/// Two lists of names are the same.
pub fn same<'a>(
    what: &str,
    documented: impl IntoIterator<Item = &'a String>,
    real: impl IntoIterator<Item = String>,
) {
    let documented: BTreeSet<String> = documented.into_iter().cloned().collect();
    let real: BTreeSet<String> = real.into_iter().collect();
    let missing: Vec<&String> = real.difference(&documented).collect();
    let invented: Vec<&String> = documented.difference(&real).collect();
    assert!(
        missing.is_empty() && invented.is_empty(),
        "{what}: without a row: {missing:?}; a row, and nothing in the code: {invented:?}"
    );
}

/// The names of a document's leaves: `a.b`, a list's members as `a[].b`. What stands below the
/// names of `free` is chosen by somebody else, and not listed.
pub fn leaves(document: &serde_json::Value, free: &[&str]) -> BTreeSet<String> {
    fn walk(value: &serde_json::Value, path: &str, free: &[&str], found: &mut BTreeSet<String>) {
        match value {
            serde_json::Value::Object(members) if !members.is_empty() && !free.contains(&path) => {
                for (name, member) in members {
                    let path = if path.is_empty() { name.clone() } else { format!("{path}.{name}") };
                    walk(member, &path, free, found);
                }
            }
            serde_json::Value::Array(items) if items.iter().any(serde_json::Value::is_object) => {
                items.iter().for_each(|item| walk(item, &format!("{path}[]"), free, found));
            }
            _ => drop(found.insert(path.to_owned())),
        }
    }
    let mut found = BTreeSet::new();
    walk(document, "", free, &mut found);
    found
}
