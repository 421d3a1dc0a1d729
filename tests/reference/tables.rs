//! Tables of the pages that are made of the code: they stand between `<!-- rendered: NAME -->` and `<!-- end -->`.
//! `make render` writes them anew: it runs this test with EVERYCALL_RENDER set.

use std::collections::BTreeSet;

use everycall_tests::envoy::root;

use crate::page::{file, COMMANDS, CONFIGURATION, POLICIES, RECORDS};
use crate::{configuration, contract, lints, lists};

/// The commands of `everycall`.
fn commands() -> String {
    let rows = everycall::commands::commands();
    table(
        &["command", "what it does"],
        rows.into_iter().map(|(name, about)| vec![format!("`{name}`"), cell(&about)]),
    )
}

/// A page, the name of a table on it, and the table.
type Rendered = (&'static str, &'static str, fn() -> String);

const TABLES: &[Rendered] = &[
    (RECORDS, "reasons", lists::reasons),
    (RECORDS, "metrics", lists::metrics),
    (RECORDS, "record", lists::record),
    (RECORDS, "the end of a stream", lists::stream_record),
    (CONFIGURATION, "keys", configuration::table_of_keys),
    (COMMANDS, "commands", commands),
    (POLICIES, "input", contract::input),
    (POLICIES, "lints", lints::lints),
];

const BEGIN: &str = "<!-- rendered: ";
const END: &str = "<!-- end -->";

/// A table of Markdown.
pub fn table(columns: &[&str], rows: impl IntoIterator<Item = Vec<String>>) -> String {
    let line = |cells: &[String]| format!("| {} |\n", cells.join(" | "));
    let columns: Vec<String> = columns.iter().map(|column| (*column).to_owned()).collect();
    let mut text = line(&columns) + "|" + &"---|".repeat(columns.len()) + "\n";
    for row in rows {
        assert_eq!(row.len(), columns.len(), "{row:?}");
        let cells = row.iter().map(|cell| cell.replace('|', "\\|"));
        text += &line(&cells.collect::<Vec<_>>());
    }
    text
}

/// A sentence of a doc comment, as a cell: on one line, without the dot at its end.
pub fn cell(text: &str) -> String {
    let text = text.split_whitespace().collect::<Vec<_>>().join(" ");
    text.strip_suffix('.').map(str::to_owned).unwrap_or(text)
}

/// A word in the sentence of a row, and where it leads.
pub type Link = (&'static str, &'static str, &'static str);

/// The sentence of a row as a cell, with its links.
pub fn linked(links: &[Link], name: &str, text: &str) -> String {
    let mut cell = cell(text);
    for (_, word, target) in links.iter().filter(|(of, _, _)| *of == name) {
        assert!(cell.contains(word), "{name}: no `{word}` in `{cell}`");
        cell = cell.replacen(word, &format!("[{word}]({target})"), 1);
    }
    cell
}

/// A page with a table in the place of what stands between its marks.
fn with(page: &str, name: &str, table: &str) -> String {
    let mark = format!("{BEGIN}{name} -->\n");
    let text = file(page);
    let (before, rest) = text.split_once(&mark).unwrap_or_else(|| panic!("{page} has no `{mark}`"));
    let (_, after) = rest.split_once(END).unwrap_or_else(|| panic!("{page}: `{name}` does not end"));
    format!("{before}{mark}\n{table}\n{END}{after}")
}

#[test]
fn committed_tables_are_current() {
    for (page, name, table) in TABLES {
        let current = with(page, name, &table());
        if std::env::var_os("EVERYCALL_RENDER").is_some() {
            std::fs::write(root().join(page), &current).unwrap();
        }
        let committed = file(page);
        let differs =
            committed.lines().zip(current.lines()).find(|(committed, current)| committed != current);
        assert!(
            committed == current,
            "{page}: `{name}` is not what the code says now: run `make render`: {differs:#?}"
        );
    }
}

/// A table that nothing renders is nobody's.
#[test]
fn marked_tables_are_rendered() {
    for page in TABLES.iter().map(|(page, _, _)| page).collect::<BTreeSet<_>>() {
        let text = file(page);
        let marked = text.split(BEGIN).skip(1).map(|rest| rest.split_once(" -->").unwrap().0);
        let known = TABLES.iter().filter(|(of, _, _)| of == page).map(|(_, name, _)| *name);
        let (mut marked, mut known): (Vec<_>, Vec<_>) = (marked.collect(), known.collect());
        marked.sort_unstable();
        known.sort_unstable();
        assert_eq!(marked, known, "{page}");
    }
}
