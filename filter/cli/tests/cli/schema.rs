//! `everycall schema`: what is printed, and what is asked of it by mistake.

use serde_json::Value;

use crate::common::everycall;

#[test]
fn each_schema_names_its_dialect_and_its_subject() {
    for (arguments, title) in [
        (&["config"][..], "The configuration of Everycall"),
        (&["config", "--resolved"], "The configuration of Everycall"),
        (&["record"], "The record of a decision of Everycall"),
        (&["cases"], "Cases for `everycall test`"),
        (&["bundle"], "The parts of an Everycall bundle"),
        (&["bundle", "--file", "rule_sets"], "`rule_sets.yaml` of an Everycall bundle"),
    ] {
        let output = everycall(&[&["schema"], arguments].concat(), "");
        assert_eq!((output.code, output.err.as_str()), (0, ""), "{arguments:?}");
        let schema: Value = serde_json::from_str(&output.out).unwrap();
        assert_eq!(schema["$schema"], "https://json-schema.org/draft/2020-12/schema");
        assert_eq!(schema["title"], title);
    }
}

/// Nobody knows the formats of Rust's integers, and a default of null is none.
#[test]
fn nothing_in_a_schema_is_rusts_alone() {
    for what in ["config", "record", "cases", "bundle"] {
        let text = everycall(&["schema", what], "").out;
        for noise in ["\"uint", "\"int32", "\"int64", "\"default\": null"] {
            assert!(!text.contains(noise), "{what} holds {noise}");
        }
    }
}

#[test]
fn options_that_go_with_another_schema_are_mistakes() {
    for (arguments, message) in [
        (&["record", "--resolved"][..], "`--resolved` goes with `config`"),
        (&["bundle", "--resolved"], "`--resolved` goes with `config`"),
        (&["config", "--file", "grants"], "`--file` goes with `bundle`"),
        (&["bundle", "--file", "policies"], "invalid value"),
        (&["grants"], "invalid value"),
        (&[], "required"),
    ] {
        let output = everycall(&[&["schema"], arguments].concat(), "");
        assert_eq!((output.code, output.out.as_str()), (2, ""), "{arguments:?}");
        assert!(output.err.contains(message), "{arguments:?}: {}", output.err);
    }
    let help = everycall(&["schema", "--help"], "").out;
    assert!(help.contains("Example:") && help.contains("yaml-language-server"), "{help}");
}
