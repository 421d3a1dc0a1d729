//! The published JSON Schemas against the parsers: what we write validates; what the parsers refuse for its shape,
//! the schemas refuse; and no schema refuses what its parser takes.

#[path = "schemas/change.rs"]
mod change;
#[path = "schemas/everything.rs"]
mod everything;
#[path = "../../filter/core/tests/mistakes/mod.rs"]
mod mistakes;

use std::collections::BTreeMap;

use everycall::cases::{decide_case, CaseFile};
use everycall_core::config::Config;
use everycall_core::{DecisionRecord, Engine, IdSeed, Settings, StreamId, UnixTime};
use everycall_tests::json_schema::check;
use serde_json::{json, Value};

use crate::page::{code, file, section, COMMANDS, CONFIGURATION};
use change::{changes, Change};

/// What `everycall schema` prints.
pub fn schema(arguments: &[&str]) -> Value {
    let mut out = Vec::new();
    let line = ["everycall", "schema"].iter().chain(arguments);
    assert_eq!(everycall::commands::run(line, &mut out), 0, "{arguments:?}");
    let schema: Value = serde_json::from_slice(&out).unwrap();
    assert_eq!(schema["$schema"], "https://json-schema.org/draft/2020-12/schema");
    schema
}

fn yaml(path: &str) -> Value {
    serde_yaml_ng::from_str(&file(path)).unwrap()
}

fn parses<T: serde::de::DeserializeOwned>(value: &Value) -> bool {
    T::deserialize(value).is_ok()
}

#[test]
fn what_is_written_here_validates() {
    let config = schema(&["config"]);
    assert_eq!(check(&config, &yaml("policies/everycall.yaml")), Ok(()));
    let first = "filter/cli/src/commands/init";
    assert_eq!(check(&config, &yaml(&format!("{first}/everycall.yaml"))), Ok(()));
    let (reference, cases) = everycall_tests::cases::all().unwrap();
    assert_eq!(check(&config, &reference), Ok(()));
    assert_eq!(check(&schema(&["config", "--resolved"]), &reference), Ok(()));
    assert_eq!(check(&schema(&["bundle"]), &reference["bundle"]["inline"]), Ok(()));
    for directory in ["policies", first] {
        for part in ["grants", "elevations", "exceptions", "rule_sets"] {
            let name = format!("{directory}/{part}.yaml");
            if everycall_tests::envoy::root().join(&name).exists() {
                assert_eq!(check(&schema(&["bundle", "--file", part]), &yaml(&name)), Ok(()), "{name}");
            }
        }
    }
    let schema = schema(&["cases"]);
    assert!(cases.len() > 30);
    let first = (format!("{first}/cases/orders.json"), file(&format!("{first}/cases/orders.json")));
    for (name, text) in cases.iter().chain([&first]) {
        assert_eq!(check(&schema, &serde_json::from_str(text).unwrap()), Ok(()), "{name}");
    }
}

/// The configuration of each case file is one that the filter takes, and its records are real ones.
#[test]
fn the_configurations_and_records_of_all_cases_validate() {
    let now = UnixTime::from_secs(1_790_000_000);
    let (config_schema, record_schema) = (schema(&["config", "--resolved"]), schema(&["record"]));
    let (base, cases) = everycall_tests::cases::all().unwrap();
    let mut records = 0;
    for (name, text) in cases {
        let file = CaseFile::parse(&name, &text).unwrap();
        for (now, cases) in file.by_time(now) {
            let config = file.config(&base, now);
            assert_eq!(check(&config_schema, &config), Ok(()), "{name}");
            let settings = Settings::from_value(config.clone()).unwrap();
            let mut engine = Engine::standalone(settings, IdSeed::derive(&[b"schemas"]));
            for case in cases {
                let wire = case.request(&config, now).unwrap();
                let decision = decide_case(&mut engine, case, &wire, now);
                let mut asked = Vec::new();
                if let everycall_core::Step::Ask { pending, .. } =
                    engine.check(wire.to_core(StreamId(2)), now)
                {
                    asked.push(pending.record().clone());
                }
                for record in asked.iter().chain([&decision.record]) {
                    let value = serde_json::to_value(record).unwrap();
                    assert_eq!(check(&record_schema, &value), Ok(()), "{name}: {}: {value}", case.name);
                    assert!(parses::<DecisionRecord>(&value));
                    records += 1;
                }
            }
        }
    }
    assert!(records > 500, "{records}");
    let full = serde_json::to_value(crate::lists::full()).unwrap();
    assert_eq!(check(&record_schema, &full), Ok(()));
}

/// What a schema can't know: a pointer, what stands there, why.
fn unknowable(pointer: &str, value: &Value) -> Option<&'static str> {
    const KEY: &str = "what a key is good for";
    const REGO: &str = "Rego";
    const OTHER: &str = "another member or record";
    const TIME: &str = "arithmetic with times";
    const TEXT: &str = "beyond regular expressions of both dialects";
    let key = "/issuers/0/keys/inline/keys/0";
    let grant = "/bundle/inline/grants/0";
    let text = value.to_string();
    let below = |parent: &str| pointer.strip_prefix(parent).and_then(|rest| rest.strip_prefix('/'));
    Some(match pointer {
        "/issuers/0/algorithms" if text == r#"["ES256"]"# => KEY,
        _ if matches!(below(key), Some("x" | "crv" | "alg" | "use" | "key_ops")) => KEY,
        "/issuers/0/issuer" if text == r#""api_keys""# => OTHER,
        "/issuers/0/peer_match" => OTHER,
        "/credentials" if text.contains("dpop") => OTHER,
        "/credentials" if text.matches("header").count() == 2 => OTHER,
        "/mtls" if text.contains("\"kind\"") => OTHER,
        "/networks/office" if text.contains("10.0.0.1/8") => TEXT,
        "/bundle/inline/exceptions" if !text.contains("soon") => TIME,
        "/bundle/inline/policies" => REGO,
        _ if below(grant) == Some("policy") => REGO,
        _ if below(grant) == Some("paths") && text.contains("/{a}/{a}") => TEXT,
        _ if below(grant) == Some("paths") && text.contains("..\"") => TEXT,
        _ if below(grant) == Some("paths") && text.contains("/../") => TEXT,
        _ if below(grant) == Some("paths") && text.matches('/').count() == 2 && text.contains(',') => OTHER,
        _ => return None,
    })
}

#[test]
fn mistakes_that_the_parser_names_are_mistakes_for_the_schema() {
    let schema = schema(&["config", "--resolved"]);
    assert_eq!(check(&schema, &mistakes::valid()), Ok(()));
    let (mut refused, mut unknown) = (0, BTreeMap::<&str, usize>::new());
    for (pointer, value, _, message) in mistakes::mistakes() {
        let document = Change::put(&pointer, value.clone()).apply(&mistakes::valid());
        match (check(&schema, &document), unknowable(&pointer, &value)) {
            (Err(_), None) => refused += 1,
            (Ok(()), Some(why)) => *unknown.entry(why).or_default() += 1,
            (Ok(()), None) => panic!("the schema admits {value} at {pointer} ({message})"),
            (Err(how), Some(why)) => panic!("{value} at {pointer} is listed ({why}), and refused: {how}"),
        }
    }
    assert!(refused >= 70, "{refused}; {unknown:?}");
}

/// Each value of a document in turn becomes one of each other type, goes, or gets a member that nobody knows. What the
/// type refuses, the schema refuses; what the schema refuses, the parser refuses.
fn agree(
    schema: &Value,
    document: &Value,
    is_type: impl Fn(&Value) -> bool,
    is_good: impl Fn(&Value) -> bool,
) {
    assert_eq!(check(schema, document), Ok(()));
    assert!(is_type(document) && is_good(document));
    let mut refused = 0;
    for change in changes(document) {
        let changed = change.apply(document);
        match check(schema, &changed) {
            Ok(()) => assert!(is_type(&changed), "the schema admits {change:?}"),
            // serde takes a list of an object's members in their order for the object: nobody writes that.
            Err(_) if change.is_list_for_object(document) => {}
            Err(how) => {
                refused += 1;
                assert!(!is_type(&changed) || !is_good(&changed), "the schema refuses {change:?}: {how}");
            }
        }
    }
    assert!(refused > 200, "{refused}");
}

#[test]
fn schema_and_parser_agree_on_every_change_of_a_configuration() {
    let resolved = schema(&["config", "--resolved"]);
    let takes = |document: &Value| Settings::from_value(document.clone()).is_ok();
    for document in [everything::inline(), everything::from_a_server()] {
        agree(&resolved, &document, parses::<Config>, takes);
    }
}

#[test]
fn schema_and_parser_agree_on_every_change_of_a_case_file() {
    let takes = |document: &Value| CaseFile::parse("x", &document.to_string()).is_ok();
    agree(&schema(&["cases"]), &everything::cases(), parses::<CaseFile>, takes);
}

#[test]
fn schema_and_reader_agree_on_every_change_of_a_record() {
    let record = serde_json::to_value(crate::lists::full()).unwrap();
    let schema = schema(&["record"]);
    let mut refused = 0;
    for change in changes(&record) {
        let changed = change.apply(&record);
        match (check(&schema, &changed), parses::<DecisionRecord>(&changed)) {
            (Ok(()), true) => {}
            (Ok(()), false) => panic!("the schema admits {change:?}"),
            (Err(_), false) => refused += 1,
            // Older records lack some members, and are read all the same.
            (Err(_), true) if change.is_removal() || change.is_list_for_object(&record) => {}
            // The reader leaves this to who made the record.
            (Err(_), true) if change.pointer() == "/v" => {}
            (Err(how), true) => panic!("the schema refuses {change:?}: {how}"),
        }
    }
    assert!(refused > 300, "{refused}");
}

/// Where the command line resolves references, exactly one of each pair stands.
#[test]
fn references_stand_in_the_place_of_what_they_name() {
    let (written, resolved) = (schema(&["config"]), schema(&["config", "--resolved"]));
    let base = mistakes::valid();
    let inline = base["bundle"]["inline"].clone();
    let set = base["issuers"][0]["keys"]["inline"].clone();
    for (pointer, value, good) in [
        ("/bundle", json!({"directory": "."}), true),
        ("/bundle", json!({"directory": ".", "inline": inline}), false),
        ("/bundle", json!({"directory": "."  , "file": "b", "keys": set}), false),
        ("/bundle", json!({"file": "b", "keys": {"file": "k"}}), true),
        ("/bundle", json!({"file": "b", "keys": set, "max_stale_s": 60}), true),
        ("/bundle", json!({"file": "b"}), false),
        ("/bundle", json!({"file": "b", "keys": {}}), false),
        ("/bundle", json!({"directory": ".", "keys": {"file": "k"}}), false),
        ("/bundle", json!({"directory": 1}), false),
        ("/bundle", json!({"folder": "."}), false),
        ("/shadow", json!({"directory": "."}), true),
        (
            "/revocations",
            json!({"keys": {"file": "k"}, "remote": {"cluster": "c", "host": "h", "path": "/p"}}),
            true,
        ),
        (
            "/signals",
            json!({"keys": {"file": "k"}, "remote": {"cluster": "c", "host": "h", "path": "/p"}}),
            true,
        ),
        ("/issuers/0/keys", json!({"file": "k"}), true),
        ("/issuers/0/keys", json!({"file": "k", "inline": set}), false),
        (
            "/issuers/0/keys",
            json!({"file": "k", "remote": {"cluster": "c", "host": "h", "path": "/p"}}),
            false,
        ),
    ] {
        let document = Change::put(pointer, value.clone()).apply(&base);
        assert_eq!(check(&written, &document).is_ok(), good, "{pointer} = {value}");
        assert!(check(&resolved, &document).is_err(), "{pointer} = {value}");
    }
}

/// What a part of a schema refers to, or itself.
fn inner<'s>(schema: &'s Value, part: &'s Value) -> &'s Value {
    let forms = part.get("anyOf").and_then(Value::as_array).into_iter().flatten();
    let reference = forms.chain([part]).find_map(|form| form.get("$ref")?.as_str());
    reference.and_then(|text| schema.pointer(text.strip_prefix('#')?)).unwrap_or(part)
}

/// Whether what holds this key always has it.
pub fn is_required(schema: &Value, key: &str) -> bool {
    let (parent, name) = key.rsplit_once('.').unwrap_or(("", key));
    let parent = if parent.is_empty() { Some(schema) } else { about(schema, parent) };
    let required = parent.and_then(|parent| inner(schema, parent)["required"].as_array());
    required.is_some_and(|names| names.iter().any(|required| required == name))
}

/// The part of a schema about a key of the page's table, such as `issuers[].keys.remote`.
pub fn about<'s>(schema: &'s Value, key: &str) -> Option<&'s Value> {
    let mut part = schema;
    for step in key.split('.') {
        let (name, is_list) = step.strip_suffix("[]").map_or((step, false), |name| (name, true));
        let object = inner(schema, part);
        part = match name {
            "*" => object.get("additionalProperties")?,
            name => object.get("properties")?.get(name)?,
        };
        if is_list {
            part = part.get("items")?;
        }
    }
    Some(part)
}

/// The page's table is held to the code by its own tests; so the schema that says the same is right.
#[test]
fn the_schema_says_what_the_page_says() {
    let schema = schema(&["config", "--resolved"]);
    let rows = section(CONFIGURATION, "## Keys").by_name(&["key", "type", "default", "meaning"]);
    let mut ranges = 0;
    for (key, row) in &rows {
        let part = about(&schema, key).unwrap_or_else(|| panic!("the schema has no `{key}`"));
        assert!(part.get("description").is_some(), "`{key}` has no description");
        if let Some((low, high)) = row[1].strip_prefix("integer, ").and_then(|range| range.split_once(" to "))
        {
            let range = (part["minimum"].to_string(), part["maximum"].to_string());
            assert_eq!(range, (low.to_owned(), high.to_owned()), "`{key}`");
            ranges += 1;
        }
        let default = code(&row[2]).pop();
        let default = default.map(|text| serde_json::from_str(&text).unwrap_or(Value::String(text)));
        if key == "log" || key == "limits" || key == "dpop" {
            continue;
        }
        // What is empty where it is absent has no default in the table.
        let said = part.get("default").filter(|value| ![json!([]), json!({})].contains(value)).cloned();
        assert_eq!(said, default, "`{key}`");
    }
    assert!(ranges > 25, "{ranges}");
}

#[test]
fn the_commands_are_those_of_the_page() {
    let rows = section(COMMANDS, "## JSON Schemas").by_name(&["command", "describes"]);
    assert_eq!(rows.len(), 6);
    for command in rows.keys() {
        let words: Vec<&str> = command.split_whitespace().collect();
        assert_eq!(words[..2], ["everycall", "schema"]);
        assert!(schema(&words[2..])["title"].is_string(), "{command}");
    }
}
