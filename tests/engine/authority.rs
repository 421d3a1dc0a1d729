//! Authority records over time, and the groups of cases that the README's truth table names.

use super::*;

/// Cases of `tests/cases/FILE` come out as they expect, in a fresh engine.
fn cases(file: &str, names: &[&str]) {
    let (base, files) = everycall_tests::cases::all().unwrap();
    let (name, text) = files.iter().find(|(name, _)| name.ends_with(file)).unwrap();
    let parsed = CaseFile::parse(name, text).unwrap();
    let config = parsed.config(&base, NOW);
    let mut engine = engine(&config);
    for name in names {
        let case = parsed.cases.iter().find(|case| case.name == *name);
        let case = case.unwrap_or_else(|| panic!("{file}: no case `{name}`"));
        let decision = run_case(&mut engine, case, &config, NOW).unwrap();
        case.expect.compare(&decision.record).unwrap_or_else(|wrong| panic!("{file}: {name}: {wrong}"));
    }
}

#[test]
fn grant_of_a_prefix() {
    cases(
        "selectors.json",
        &[
            "below the prefix",
            "the prefix without its slash is nobody below it",
            "a segment that only begins like the prefix",
            "another segment",
            "nobody is not below a prefix",
        ],
    );
}

#[test]
fn grant_by_claims() {
    cases(
        "selectors.json",
        &[
            "claims",
            "the claim is missing",
            "another text of the claim",
            "the claim is a list that holds the text",
            "the claims of another issuer",
            "claims tell of the subject, not of who acts for it",
        ],
    );
}

#[test]
fn grant_for_a_chain() {
    cases(
        "selectors.json",
        &[
            "a chain of named actors",
            "a chain that goes on behind the named actors",
            "a chain with somebody else in it",
            "one between, where nobody may",
        ],
    );
}

#[test]
fn grant_requires_binding() {
    cases(
        "binding.json",
        &[
            "a grant that requires DPoP",
            "a grant that requires DPoP, and the token is not bound",
            "a grant that requires a certificate, and it is DPoP",
            "a grant that requires any binding, and the token has none",
        ],
    );
}
