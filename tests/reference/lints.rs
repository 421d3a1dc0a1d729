//! The lints, against what the page says of them, and on the reference configuration.

use everycall::lint::{lint, LINTS};
use everycall_core::UnixTime;
use everycall_tests::{cases, envoy::root};

use crate::page::{same, section, POLICIES};

#[test]
fn lints_are_documented() {
    let rows = section(POLICIES, "## Lints").by_name(&["lint", "level", "finds"]);
    same("lints", rows.keys(), LINTS.iter().map(|lint| lint.code.to_owned()));
    for lint in LINTS {
        assert_eq!(rows[lint.code][1], lint.level.as_str(), "{}", lint.code);
    }
}

#[test]
fn the_reference_configuration_has_no_findings() {
    let found = lint(&cases::reference().unwrap(), UnixTime::from_secs(1_790_000_000));
    let found: Vec<String> = found.iter().map(ToString::to_string).collect();
    assert!(found.is_empty(), "{}: {found:#?}", root().display());
}
