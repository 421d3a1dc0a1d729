//! The lints, against what the page says of them, and on the reference configuration.

use everycall::lint::{lint, LINTS};
use everycall_core::UnixTime;
use everycall_tests::{cases, envoy::root};

use crate::tables::{linked, table, Link};

/// What the lints' sentences name, and where it is.
const LINKS: &[Link] = &[
    ("path_opened", "`except`", "#which-grant-decides"),
    ("path_variant", "`hosts`", "../envoy/configuration.md#keys"),
    ("source_missing", "`source`", "../envoy/identity.md#the-source-address"),
];

/// All lints, in the order of the code.
pub fn lints() -> String {
    let rows = LINTS.iter().map(|lint| {
        let code = format!("`{}`", lint.code);
        vec![code, lint.level.as_str().to_owned(), linked(LINKS, lint.code, lint.finds)]
    });
    table(&["lint", "level", "finds"], rows)
}

#[test]
fn the_reference_configuration_has_no_findings() {
    let found = lint(&cases::reference().unwrap(), UnixTime::from_secs(1_790_000_000));
    let found: Vec<String> = found.iter().map(ToString::to_string).collect();
    assert!(found.is_empty(), "{}: {found:#?}", root().display());
}
