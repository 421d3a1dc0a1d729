//! The verdict over what the suites gave on each target. A disagreement is listed with its reason, or
//! it is a failure; and a list that says more than what was found is one too.

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};

use crate::suite::Suite;

/// A case in which ours is not the published outcome, on purpose.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Deviation {
    pub suite: String,
    pub case: String,
    pub reason: String,
}

/// What one target gave.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Results {
    pub target: String,
    pub suites: Vec<SuiteResults>,
}

#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SuiteResults {
    pub name: String,
    pub cases: Vec<Case>,
}

#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Case {
    pub id: String,
    pub agrees: bool,
    pub note: String,
}

/// One suite on one target. What is wrong with it as a whole counts as failed, too.
#[derive(Debug, PartialEq, Eq, Serialize)]
pub struct Row {
    pub name: String,
    pub target: String,
    pub passed: usize,
    pub failed: usize,
    pub deviations: usize,
}

/// The verdict: a pass without failures.
#[derive(Debug, Default)]
pub struct Report {
    pub rows: Vec<Row>,
    pub failures: Vec<String>,
}

/// Merges the results of all targets.
pub fn check(suites: &[Suite], deviations: &[Deviation], results: &[Results]) -> Report {
    let mut report = Report::default();
    report.failures.extend(deviations.iter().filter_map(|entry| unusable(entry, suites)));
    let mut listed = BTreeSet::new();
    for entry in deviations {
        if !listed.insert((entry.suite.as_str(), entry.case.as_str())) {
            report.failures.push(format!("deviations: {} {:?} is listed twice", entry.suite, entry.case));
        }
    }
    let others = results.iter().map(|results| results.target.as_str());
    let targets: BTreeSet<&str> =
        suites.iter().flat_map(|suite| suite.targets.iter().copied()).chain(others).collect();
    for target in targets {
        let mut found: BTreeMap<&str, Vec<&Case>> = BTreeMap::new();
        for suite in results.iter().filter(|results| results.target == target).flat_map(|r| &r.suites) {
            found.entry(&suite.name).or_default().extend(&suite.cases);
        }
        for suite in suites {
            let cases = match found.remove(suite.name) {
                Some(cases) => cases,
                None if suite.targets.contains(&target) => Vec::new(),
                None => continue,
            };
            let listed = deviations.iter().filter(|entry| entry.suite == suite.name);
            let listed = listed.map(|entry| entry.case.as_str()).collect();
            let (passed, explained, failures) = suite_verdict(suite, &cases, &listed);
            report.rows.push(Row {
                name: suite.name.to_owned(),
                target: target.to_owned(),
                passed,
                failed: failures.len(),
                deviations: explained,
            });
            let failures = failures.into_iter().map(|failure| format!("{target}: {} {failure}", suite.name));
            report.failures.extend(failures);
        }
        report.failures.extend(found.keys().map(|name| format!("{target}: {name} is not a suite")));
    }
    report
}

/// Passed, deviations, and what failed.
fn suite_verdict(suite: &Suite, cases: &[&Case], listed: &BTreeSet<&str>) -> (usize, usize, Vec<String>) {
    let (mut passed, mut explained, mut failures) = (0, 0, Vec::new());
    let mut seen = BTreeSet::new();
    for case in cases {
        let id = &case.id;
        match (case.agrees, listed.contains(id.as_str())) {
            _ if !seen.insert(id.as_str()) => failures.push(format!("{id:?}: a second case of this name")),
            (true, false) => passed += 1,
            (false, true) => explained += 1,
            (false, false) => failures.push(format!("{id:?}: {}", case.note)),
            (true, true) => failures.push(format!("{id:?}: listed as a deviation, and agrees")),
        }
    }
    let missing = listed.iter().filter(|id| !seen.contains(**id));
    failures.extend(missing.map(|id| format!("{id:?}: listed as a deviation, and did not run")));
    if cases.len() < suite.minimum {
        failures.push(format!("has {} cases; expected at least {}", cases.len(), suite.minimum));
    }
    (passed, explained, failures)
}

/// Why an entry explains nothing.
fn unusable(entry: &Deviation, suites: &[Suite]) -> Option<String> {
    let Deviation { suite, case, reason } = entry;
    let exact = |name: &str| !name.trim().is_empty() && !name.contains('*');
    let why = match () {
        () if !exact(suite) || !exact(case) => "expected the exact names of one suite and one case",
        () if reason.trim().is_empty() => "without a reason",
        () if suites.iter().all(|known| known.name != suite) => "there is no such suite",
        () => return None,
    };
    Some(format!("deviations: {suite:?} {case:?}: {why}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn suite(name: &'static str, minimum: usize) -> Suite {
        Suite { name, minimum, targets: &["native", "wasm32"], run: |_| Vec::new() }
    }

    fn suites() -> Vec<Suite> {
        vec![suite("jws", 3), suite("jwk", 1)]
    }

    fn deviation(suite: &str, case: &str, reason: &str) -> Deviation {
        Deviation { suite: suite.into(), case: case.into(), reason: reason.into() }
    }

    /// One deviation, and nothing else to say.
    fn list() -> Vec<Deviation> {
        vec![deviation("jws", "2", "RFC 8725 section 3.1")]
    }

    fn on(target: &str) -> Results {
        let case = |id: &str, agrees| Case { id: id.into(), agrees, note: "a note".into() };
        let jws = vec![case("1", true), case("2", false), case("3", true)];
        let suites = vec![
            SuiteResults { name: "jws".into(), cases: jws },
            SuiteResults { name: "jwk".into(), cases: vec![case("1", true)] },
        ];
        Results { target: target.into(), suites }
    }

    fn failures(deviations: &[Deviation], results: &[Results]) -> Vec<String> {
        check(&suites(), deviations, results).failures
    }

    /// What fails if the native results are changed like this.
    fn changed(change: impl FnOnce(&mut Results)) -> Vec<String> {
        let mut native = on("native");
        change(&mut native);
        failures(&list(), &[native, on("wasm32")])
    }

    #[test]
    fn explained_deviations_pass_and_are_counted() {
        let report = check(&suites(), &list(), &[on("native"), on("wasm32")]);
        assert_eq!(report.failures, [""; 0]);
        let row = |name: &str, target: &str, passed, deviations| Row {
            name: name.into(),
            target: target.into(),
            passed,
            failed: 0,
            deviations,
        };
        let rows = [("native", "jws"), ("native", "jwk"), ("wasm32", "jws"), ("wasm32", "jwk")];
        let rows = rows.map(|(target, name)| match name {
            "jws" => row(name, target, 2, 1),
            _ => row(name, target, 1, 0),
        });
        assert_eq!(report.rows, rows);
    }

    #[test]
    fn a_disagreement_that_is_not_listed_fails_with_its_note() {
        assert_eq!(changed(|native| native.suites[0].cases[0].agrees = false), ["native: jws \"1\": a note"]);
    }

    #[test]
    fn a_stale_deviation_fails() {
        let agrees = changed(|native| native.suites[0].cases[1].agrees = true);
        assert_eq!(agrees, ["native: jws \"2\": listed as a deviation, and agrees"]);
        let renamed = changed(|native| native.suites[0].cases[1].id = "4".into());
        assert_eq!(
            renamed,
            ["native: jws \"4\": a note", "native: jws \"2\": listed as a deviation, and did not run"]
        );
    }

    #[test]
    fn an_entry_that_explains_nothing_fails() {
        for entry in [
            deviation("jws", "*", "why"),
            deviation("j*", "2", "why"),
            deviation("jws", " ", "why"),
            deviation("", "2", "why"),
            deviation("jws", "2", " "),
            deviation("other", "2", "why"),
            deviation("jws", "2", "once more"),
        ] {
            let entries = [list(), vec![entry.clone()]].concat();
            let failures = failures(&entries, &[on("native"), on("wasm32")]);
            assert!(failures.iter().any(|failure| failure.starts_with("deviations: ")), "{entry:?}");
        }
        assert!(serde_json::from_str::<Vec<Deviation>>(r#"[{"suite": "jws", "case": "2"}]"#).is_err());
    }

    #[test]
    fn a_missing_target_suite_or_case_fails() {
        let report = check(&suites(), &list(), &[on("native")]);
        assert!(report.failures.contains(&"wasm32: jwk has 0 cases; expected at least 1".to_owned()));
        assert!(report.rows.iter().filter(|row| row.target == "wasm32").all(|row| row.failed > 0));
        let missing = changed(|native| drop(native.suites.pop()));
        assert_eq!(missing, ["native: jwk has 0 cases; expected at least 1"]);
        let fewer = changed(|native| drop(native.suites[0].cases.pop()));
        assert_eq!(fewer, ["native: jws has 2 cases; expected at least 3"]);
    }

    #[test]
    fn a_case_or_suite_that_is_not_known_fails() {
        let twice = changed(|native| native.suites[0].cases[2].id = "1".into());
        assert_eq!(twice, ["native: jws \"1\": a second case of this name"]);
        let unknown = changed(|native| native.suites.push(on("").suites.remove(0)));
        assert_eq!(unknown.len(), 3, "{unknown:?}");
        let other = changed(|native| {
            native.suites.push(SuiteResults { name: "jwe".into(), cases: Vec::new() });
        });
        assert_eq!(other, ["native: jwe is not a suite"]);
    }

    #[test]
    fn another_target_may_bring_some_suites_and_is_judged_like_the_others() {
        let mut envoy = on("envoy");
        envoy.suites.pop();
        assert_eq!(failures(&list(), &[on("native"), on("wasm32"), envoy.clone()]), [""; 0]);
        envoy.suites[0].cases[0].agrees = false;
        let failures = failures(&list(), &[on("native"), on("wasm32"), envoy]);
        assert_eq!(failures, ["envoy: jws \"1\": a note"]);
    }
}
