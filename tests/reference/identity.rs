//! The page's profiles against those of the core, and its examples against tokens that are really
//! made and verified.

use everycall::mint::TestKey;
use everycall_core::token::{Preset, PRESETS};
use everycall_core::{Algorithm, PureRust, Settings, UnixTime};
use serde_json::{json, Map, Value};

use crate::page::{file, section, IDENTITY};

const COLUMNS: [&str; 7] = ["profile", "typ", "ceiling", "id", "task", "required claims", "rules"];

fn list(names: &[&str]) -> String {
    let cells = names.iter().map(|name| match name.is_empty() {
        true => "none".to_owned(),
        false => format!("`{name}`"),
    });
    cells.collect::<Vec<_>>().join(", ")
}

#[test]
fn profiles_are_those_of_the_core() {
    let real: Vec<Vec<String>> = PRESETS
        .iter()
        .map(|preset| {
            vec![
                list(&[preset.name]),
                list(preset.types),
                preset.max_lifetime_s.map_or("none".into(), |secs| secs.to_string()),
                list(&[preset.id]),
                list(&[preset.task_claim.unwrap_or_default()]),
                list(preset.required_claims),
                preset.rules.to_owned(),
            ]
        })
        .collect();
    assert_eq!(section(IDENTITY, "## Profiles").table(&COLUMNS), real);
}

/// The issuer's own keys are not here: a test key of its first algorithm takes their place.
pub fn with_test_key(issuer: &Value) -> (Value, TestKey) {
    let algorithm = Algorithm::named(issuer["algorithms"][0].as_str().unwrap()).unwrap();
    let key = TestKey::of(algorithm).unwrap();
    let mut jwk = key.public_jwk();
    if issuer["profile"] == "spiffe" {
        jwk["use"] = json!("jwt-svid");
    }
    let mut issuer = issuer.clone();
    issuer["keys"] = json!({"inline": {"keys": [jwk]}});
    (issuer, key)
}

pub fn settings(issuer: &Value) -> Settings {
    let mut config = everycall_tests::cases::reference().unwrap();
    config["issuers"] = json!([issuer]);
    Settings::from_value(config).unwrap()
}

/// A token with these claims, as the profile's issuers make it.
fn mint(preset: &Preset, key: &TestKey, claims: &Map<String, Value>) -> String {
    let mut header = key.header();
    match preset.types {
        ["", ..] => drop(header.remove("typ")),
        [typ, ..] => drop(header.insert("typ".into(), json!(typ))),
        [] => panic!("`{}` accepts no token", preset.name),
    }
    key.sign(&header, claims).unwrap()
}

#[test]
fn every_profile_has_an_example_that_is_true() {
    for preset in PRESETS {
        let section = section(IDENTITY, &format!("### `{}`", preset.name));
        let issuers: Value = serde_yaml_ng::from_str(&section.block("yaml")).unwrap();
        let [issuer] = issuers.as_array().unwrap().as_slice() else { panic!("{issuers}") };
        assert_eq!(issuer["profile"], preset.name);
        // As it is written, it would be taken.
        settings(issuer);
        let (issuer, key) = with_test_key(issuer);
        let settings = settings(&issuer);
        let claims: Map<String, Value> = serde_json::from_str(&section.block("json")).unwrap();
        let now = UnixTime::from_secs(claims["iat"].as_i64().unwrap());
        let verify =
            |claims: &Map<String, Value>| settings.verify(&mint(preset, &key, claims), &PureRust, now);
        let identity = verify(&claims).unwrap_or_else(|refused| panic!("{}: {refused:?}", preset.name));
        let none = || "none".to_owned();
        let caller = format!(
            "kind          {}\nid            {}\non_behalf_of  {}\ntask          {}\n",
            identity.kind.as_str(),
            identity.id,
            identity.on_behalf_of.clone().unwrap_or_else(none),
            identity.task.clone().unwrap_or_else(none),
        );
        assert_eq!(section.block("text"), caller, "{}", preset.name);
        // The claims that the table asks for are there, and missed if they are not.
        for name in preset.required_claims.iter().filter(|name| !name.starts_with('/')) {
            let mut less = claims.clone();
            assert!(less.remove(*name).is_some(), "{}: `{name}`", preset.name);
            assert!(verify(&less).is_err(), "{}: `{name}`", preset.name);
        }
    }
}

/// The states and commands that the texts name exist.
#[test]
fn states_and_commands_are_those_of_the_code() {
    let states: Vec<String> = section(IDENTITY, "## Keys from servers")
        .table(&["state", "when", "what a request sees"])
        .into_iter()
        .map(|row| row[0].trim_matches('`').to_owned())
        .collect();
    assert_eq!(states, ["missing", "fresh", "stale", "expired"]);
    let metrics = file("filter/proxy-wasm/src/metrics/figures.rs");
    for state in states {
        assert!(metrics.contains(&format!("state={state}\"")), "{state}");
    }
    let commands = section(IDENTITY, "## API keys and exceptions").block("sh");
    for line in commands.lines().map(|line| line.split(" #").next().unwrap_or_default()) {
        let mut out = Vec::new();
        let root = everycall_tests::envoy::root().canonicalize().unwrap();
        let line = line.replace("policies/", &format!("{}/policies/", root.display()));
        let code = everycall::commands::run(line.split_whitespace(), &mut out);
        assert_eq!(code, 0, "{line}: {}", String::from_utf8_lossy(&out));
    }
}
