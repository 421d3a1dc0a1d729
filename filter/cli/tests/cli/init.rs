//! `everycall init`: what it writes is valid, tested, and never written over something else.

use crate::common::{everycall, Files};

#[test]
fn what_is_written_passes_the_check_and_every_change_to_it_is_noticed() {
    let files = Files::new();
    let directory = files.name("new/policies");
    let output = everycall(&["init", &directory], "");
    assert_eq!((output.code, output.err.as_str()), (0, ""));
    for text in ["wrote ", "/orders.rego", "everycall test ", "--mutate"] {
        assert!(output.out.contains(text), "{text}: {}", output.out);
    }
    let config = files.name("new/policies/everycall.yaml");
    let result = everycall(&["check", "--json", &config], "").json().remove(0);
    assert_eq!((&result["ok"], &result["lints"]), (&true.into(), &serde_json::json!([])), "{result}");
    let output = everycall(&["test", &directory, "--coverage-min", "100", "--mutate", "--json"], "");
    let result = &output.json()[0];
    assert_eq!((output.code, &result["coverage"]["percent"]), (0, &100.into()), "{result}");
    assert_eq!(result["mutation"]["survivors"], serde_json::json!([]), "{result}");
    assert!(result["mutation"]["changes"].as_u64().unwrap() >= 6, "{result}");
}

#[test]
fn nothing_is_overwritten() {
    let files = Files::new();
    let mine = files.put("p/data.yaml", "mine");
    let output = everycall(&["init", &files.name("p")], "");
    assert!(output.code == 2 && output.err.contains("nothing was written"), "{}", output.all());
    assert_eq!(std::fs::read_to_string(mine).unwrap(), "mine");
    assert!(!files.path("p/everycall.yaml").exists() && !files.path("p/cases").exists());
    // Beside other files is fine, twice is not.
    let other = Files::new();
    other.put("p/README.md", "x");
    assert_eq!(everycall(&["init", &other.name("p")], "").code, 0);
    assert_eq!(everycall(&["init", &other.name("p")], "").code, 2);
}
