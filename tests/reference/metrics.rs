//! What Prometheus is told: the labels that the rendered bootstrap makes, and the names that the pages speak of.

use std::collections::BTreeSet;

use everycall_filter::METRICS;
use everycall_tests::envoy::root;
use serde_json::Value;

use crate::page::{file, files_below};
use crate::rendered::ENVOY;

#[test]
fn the_bootstrap_makes_a_label_of_each_that_a_metric_has() {
    let envoy: Value = serde_yaml_ng::from_str(&file(ENVOY.0)).unwrap();
    let tags = envoy["stats_config"]["stats_tags"].as_array().unwrap();
    let made: BTreeSet<&str> = tags.iter().map(|tag| tag["tag_name"].as_str().unwrap()).collect();
    assert_eq!(made.len(), tags.len(), "one stands twice");
    let had: BTreeSet<&str> = METRICS.iter().flat_map(|metric| metric.labels).copied().collect();
    assert_eq!(made, had);
    for tag in tags {
        let name = tag["tag_name"].as_str().unwrap();
        assert_eq!(tag["regex"].as_str().unwrap(), format!("(;{name}=([^;]*))"));
    }
}

/// What a page says of a metric in the form of Prometheus: its name, and the labels in braces.
fn spoken_of(text: &str) -> Vec<(String, Vec<String>)> {
    let mut found = Vec::new();
    for (at, _) in text.match_indices("everycall_") {
        let part_of_another =
            text[..at].ends_with(|before: char| before.is_alphanumeric() || "_-./".contains(before));
        let rest = &text[at..];
        let name: String = rest.chars().take_while(|c| c.is_ascii_alphanumeric() || *c == '_').collect();
        let labels = rest[name.len()..].strip_prefix('{').and_then(|rest| rest.split_once('}'));
        let labels = labels.map(|(labels, _)| labels.split(',')).into_iter().flatten();
        let labels = labels.filter_map(|label| label.split(['=', '!']).next());
        // `%RESPONSE_CODE_DETAILS%` of a refusal, and of a stream that was cut.
        let is_details = ["everycall_denied", "everycall_cut"].contains(&name.as_str());
        if !part_of_another && !is_details {
            found.push((name, labels.map(|label| label.trim().to_owned()).collect()));
        }
    }
    found
}

/// An alert on a name that is not there never fires.
#[test]
fn pages_name_metrics_and_labels_that_there_are() {
    let pages =
        files_below(&root()).into_iter().filter(|path| path.extension().is_some_and(|end| end == "md"));
    let mut count = 0;
    for page in pages {
        for (name, labels) in spoken_of(&std::fs::read_to_string(&page).unwrap()) {
            count += 1;
            let metric = METRICS.iter().find(|metric| metric.is_exposed_as(&name));
            let metric = metric.unwrap_or_else(|| panic!("{}: there is no metric `{name}`", page.display()));
            for label in labels {
                let has = metric.labels.contains(&label.as_str());
                assert!(has, "{}: `{name}` has no label `{label}`", page.display());
            }
        }
    }
    assert!(count >= 5, "only {count} are spoken of");
}

#[test]
fn what_a_page_says_is_found() {
    let text = "`everycall_feed{state!=\"fresh\", feed=\"x\"}`, time() - everycall_bundle_issued_at, \
                everycall_denied{reason=…} and a/everycall_x";
    let expected = [
        ("everycall_feed".to_owned(), vec!["state".to_owned(), "feed".to_owned()]),
        ("everycall_bundle_issued_at".to_owned(), Vec::new()),
    ];
    assert_eq!(spoken_of(text), expected);
}
