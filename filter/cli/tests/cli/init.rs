//! `everycall init`: what it writes is valid, tested, and never written over something else.

use serde_json::{json, Value};

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
    assert_eq!((&result["ok"], &result["lints"]), (&true.into(), &json!([])), "{result}");
    let output = everycall(&["test", &directory, "--coverage-min", "100", "--mutate", "--json"], "");
    let result = &output.json()[0];
    assert_eq!((output.code, &result["coverage"]["percent"]), (0, &100.into()), "{result}");
    assert_eq!(result["mutation"]["survivors"], json!([]), "{result}");
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

/// The schema that a file names, if the file is there.
fn named(directory: &Files, file: &str) -> Option<Value> {
    let text = std::fs::read_to_string(directory.path(file)).unwrap();
    let name = if file.ends_with(".json") {
        serde_json::from_str::<Value>(&text).unwrap()["$schema"].as_str()?.to_owned()
    } else {
        let first = text.lines().next()?;
        first.strip_prefix("# yaml-language-server: $schema=")?.to_owned()
    };
    let schema = directory.path(file).parent()?.join(name);
    Some(serde_json::from_str(&std::fs::read_to_string(schema).unwrap()).unwrap())
}

#[test]
fn each_file_names_the_schema_that_is_written_beside_it() {
    let files = Files::new();
    assert_eq!(everycall(&["init", &files.name("")], "").code, 0);
    for (file, arguments) in [
        ("everycall.yaml", &["config"][..]),
        ("grants.yaml", &["bundle", "--file", "grants"]),
        ("cases/orders.json", &["cases"]),
    ] {
        let printed = serde_json::from_str(&everycall(&[&["schema"], arguments].concat(), "").out).unwrap();
        assert_eq!(named(&files, file), Some(printed), "{file}");
    }
    // What the rules look up has whatever shape they want, and Rego is no JSON.
    for file in ["data.yaml", "orders.rego"] {
        assert_eq!(named(&files, file), None, "{file}");
    }
    // A schema that is there already is somebody's, as any other file.
    let other = Files::new();
    let mine = other.put("schemas/cases.json", "{}");
    let output = everycall(&["init", &other.name("")], "");
    assert!(
        output.code == 2 && output.err.contains("schemas/cases.json` is there already"),
        "{}",
        output.err
    );
    assert_eq!(std::fs::read_to_string(mine).unwrap(), "{}");
    assert!(!other.path("everycall.yaml").exists());
}

#[test]
fn a_case_file_says_where_its_schema_is_and_nothing_else_in_its_place() {
    let files = Files::new();
    assert_eq!(everycall(&["init", &files.name("")], "").code, 0);
    let text = std::fs::read_to_string(files.path("cases/orders.json")).unwrap();
    let with = |member: &str, value: Value| {
        let mut document: Value = serde_json::from_str(&text).unwrap();
        document.as_object_mut().unwrap().remove("$schema");
        document[member] = value;
        files.put("cases/orders.json", &document.to_string());
        everycall(&["test", &files.name("")], "")
    };
    // It is for editors: nothing is read from there.
    assert_eq!(with("$schema", json!("https://schemas.example/nowhere.json")).code, 0);
    for (member, value, message) in [
        ("$schema", json!(1), "$schema: invalid type: integer `1`, expected a string"),
        ("schema", json!("../schemas/cases.json"), "schema: unknown field `schema`"),
        ("_schema", json!("../schemas/cases.json"), "_schema: unknown field `_schema`"),
    ] {
        let output = with(member, value);
        assert!(output.code == 1 && output.err.contains(message), "{member}: {}", output.err);
    }
}
