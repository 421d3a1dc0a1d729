//! The table of configuration keys against what the core says when they are wrong.

mod table;
mod valid;

use std::collections::BTreeMap;

use everycall_core::config::{Config, Grant, Limits};
use everycall_core::Settings;
use serde_json::{json, Map, Value};

use crate::page::{code, same, section, CONFIGURATION};
pub use table::table_of_keys;
use valid::{valid, valid_with, BUNDLE, FEED, OBJECTS, REMOTE, SIGNALS};

const COLUMNS: [&str; 4] = ["key", "type", "default", "meaning"];

fn documented() -> BTreeMap<String, Vec<String>> {
    section(CONFIGURATION, "## Keys").by_name(&COLUMNS)
}

/// What an object of the configuration holds, by its name in the table.
fn object<'a>(config: &'a mut Value, name: &str) -> &'a mut Map<String, Value> {
    let mut value = config;
    for part in name.split('.').filter(|part| !part.is_empty()) {
        value = match part.strip_suffix("[]") {
            Some(list) => &mut value[list][0],
            None if part == "*" => value.as_object_mut().unwrap().values_mut().next().unwrap(),
            None => &mut value[part],
        };
    }
    value.as_object_mut().unwrap_or_else(|| panic!("`{name}` is no object"))
}

/// `a[].b` is the member `b` of `a[]`.
fn split(key: &str) -> (&str, &str) {
    key.rsplit_once('.').unwrap_or(("", key))
}

/// What the core says of a configuration in which this key has this value, or none.
fn complaint(key: &str, value: Option<Value>) -> Option<String> {
    let (parent, member) = split(key);
    let mut config = valid_with(parent);
    let members = object(&mut config, parent);
    match value {
        Some(value) => drop(members.insert(member.to_owned(), value)),
        None => drop(members.remove(member)),
    }
    let mut path = key.replace("[]", "[0]");
    for (map, name) in [("pdps", "default"), ("rule_sets", "orders"), ("hosts", "h")] {
        path = path.replace(&format!("{map}.*"), &format!("{map}.{name}"));
    }
    let errors = Settings::from_value(config).err()?;
    let about = errors.iter().find(|error| error.path.starts_with(&path));
    about.map(|error| error.message.clone())
}

/// The keys of an object, as the core lists them when one is unknown.
fn keys_of(parent: &str) -> Vec<String> {
    let mut config = valid_with(parent);
    object(&mut config, parent).insert("zzz".into(), json!(1));
    let errors = Settings::from_value(config).unwrap_err();
    let error = errors.iter().find(|error| error.message.starts_with("unknown field `zzz`")).unwrap();
    let (_, expected) = error.message.split_once("expected").unwrap();
    let prefix = if parent.is_empty() { String::new() } else { format!("{parent}.") };
    code(expected).into_iter().map(move |name| format!("{prefix}{name}")).collect()
}

/// Every key of every object.
fn keys() -> Vec<String> {
    OBJECTS.iter().flat_map(|parent| keys_of(parent)).collect()
}

/// Whether a configuration without it is refused.
fn is_required(key: &str) -> bool {
    complaint(key, None).is_some_and(|message| message.starts_with("missing"))
}

/// What an integer may be. The value fits every integer type, and no range.
fn range(key: &str) -> Option<String> {
    let message = complaint(key, Some(json!(4_000_000_000_u32)))?;
    message.split_once("expected ").map(|(_, range)| range.to_owned())
}

#[test]
fn every_key_has_a_row() {
    assert!(Settings::from_value(valid()).is_ok());
    same("configuration", documented().keys(), keys());
}

#[test]
fn objects_are_taken_apart() {
    for (key, row) in documented() {
        let below = match row[1].as_str() {
            "object" => key.clone(),
            "list of objects" => format!("{key}[]"),
            "map of objects" => format!("{key}.*"),
            _ => continue,
        };
        assert!(OBJECTS.contains(&below.as_str()), "what is in `{key}`?");
    }
}

#[test]
fn required_keys_are_required_and_no_others() {
    for (key, row) in documented() {
        assert_eq!(row[2] == "required", is_required(&key), "`{key}`: {}", row[2]);
    }
}

#[test]
fn types_are_what_the_core_expects() {
    for (key, row) in documented() {
        if row[1] == "text, number or boolean" {
            // The core looks at it by itself, and tests say at what.
            continue;
        }
        let of_list = row[1].strip_prefix("list of ");
        // A value that is of the wrong type wherever it stands, and a word that is in no list.
        let wrong = if row[1] == "boolean" { json!(1) } else { json!(true) };
        let word = |text: &str| if of_list.is_some() { json!([text]) } else { json!(text) };
        let options = code(&row[1]);
        let message = match options.is_empty() {
            true => complaint(&key, Some(wrong)).unwrap(),
            false => complaint(&key, Some(word("zzz"))).unwrap(),
        };
        if !options.is_empty() {
            let (_, expected) = message.split_once("expected").unwrap();
            assert_eq!(options, code(expected), "`{key}`: {message}");
            continue;
        }
        let expected = message.rsplit("expected ").next().unwrap();
        let kind = match expected {
            "a string" => "text",
            // The version, which is one.
            "u32" => "integer",
            number if number.starts_with("an integer from ") => "integer",
            "a sequence" => "list of",
            "a boolean" => "boolean",
            "an object" => "object",
            "a map" => "map of",
            "a JWK set" => "JWK set",
            other => panic!("`{key}`: `{other}` has no word in the table"),
        };
        assert!(row[1].starts_with(kind), "`{key}` is {}; the core expects {expected}", row[1]);
    }
}

#[test]
fn ranges_are_what_the_core_admits() {
    for (key, row) in documented().into_iter().filter(|(_, row)| row[1].starts_with("integer")) {
        assert_eq!(row[1].strip_prefix("integer, "), range(&key).as_deref(), "`{key}`");
    }
}

#[test]
fn defaults_are_what_is_taken() {
    let mut written = valid();
    for optional in ["credentials", "dpop", "networks", "limits", "log"] {
        written.as_object_mut().unwrap().remove(optional);
    }
    let config: Config = serde_json::from_value(written).unwrap();
    let (issuer, pdp) = (&config.issuers[0], &config.pdps["default"]);
    let credentials: Vec<Value> = (config.credentials.iter())
        .map(|credential| {
            let everycall_core::config::Credential { header, scheme, forward } = credential;
            json!({"header": header, "scheme": scheme, "forward": forward})
        })
        .collect();
    let bare: everycall_core::config::Credential = serde_json::from_value(json!({"header": "x"})).unwrap();
    let inline = config.bundle.inline.as_ref().unwrap();
    let grant: Grant = serde_json::from_value(inline.grants[0].clone()).unwrap();
    let mut defaults = BTreeMap::from([
        ("credentials".to_owned(), json!(credentials)),
        ("credentials[].scheme".to_owned(), json!(bare.scheme)),
        ("credentials[].forward".to_owned(), json!(bare.forward)),
        ("issuers[].peer_match".to_owned(), json!(issuer.peer_match)),
        ("dpop.max_age_s".to_owned(), json!(config.dpop.max_age_s)),
        ("dpop.max_rsa_bits".to_owned(), json!(config.dpop.max_rsa_bits)),
        ("dpop.leeway_s".to_owned(), json!(config.dpop.leeway_s)),
        ("hosts.*.path_case".to_owned(), serde_json::to_value(config.hosts["h"].path_case).unwrap()),
        (
            "hosts.*.trailing_slash".to_owned(),
            serde_json::to_value(config.hosts["h"].trailing_slash).unwrap(),
        ),
        ("source.trusted_hops".to_owned(), json!(config.source.map(|source| source.trusted_hops))),
        ("issuers[].leeway_s".to_owned(), json!(issuer.leeway_s)),
        ("pdps.*.timeout_ms".to_owned(), json!(200)),
        ("pdps.*.max_in_flight".to_owned(), json!(pdp.max_in_flight)),
        ("bundle.inline.rule_sets.*.input_format".to_owned(), json!("everycall")),
        ("bundle.inline.grants[].semicolons".to_owned(), json!(grant.semicolons)),
        ("bundle.inline.grants[].requires_elevation".to_owned(), json!(grant.requires_elevation)),
        ("bundle.inline.grants[].break_glass_kinds".to_owned(), json!(grant.break_glass_kinds)),
        ("bundle.inline.elevations[].break_glass".to_owned(), json!(inline.elevations[0].break_glass)),
        ("pdps.*.connect_retries".to_owned(), json!(pdp.connect_retries)),
    ]);
    let pdp: everycall_core::config::Pdp =
        serde_json::from_value(json!({"protocol": "authzen", "cluster": "c", "host": "h"})).unwrap();
    defaults.insert("pdps.*.timeout_ms".into(), json!(pdp.timeout_ms));
    let remote = valid_with(REMOTE)["issuers"][0]["keys"]["remote"].clone();
    let remote: everycall_core::config::RemoteKeys = serde_json::from_value(remote).unwrap();
    for (name, value) in [
        ("discovery", json!(remote.discovery)),
        ("timeout_ms", json!(remote.timeout_ms)),
        ("refresh_s", json!(remote.refresh_s)),
        ("interval_s", json!(remote.interval_s)),
        ("max_stale_s", json!(remote.max_stale_s)),
        ("wait_ms", json!(remote.wait_ms)),
        ("max_waiting", json!(remote.max_waiting)),
    ] {
        defaults.insert(format!("{REMOTE}.{name}"), value);
    }
    let remote = valid_with(BUNDLE)["bundle"]["remote"].clone();
    let remote: everycall_core::config::RemoteBundle = serde_json::from_value(remote).unwrap();
    for (name, value) in [
        ("timeout_ms", json!(remote.timeout_ms)),
        ("interval_s", json!(remote.interval_s)),
        ("max_bytes", json!(remote.max_bytes)),
    ] {
        defaults.insert(format!("{BUNDLE}.{name}"), value);
    }
    let feed = config.revocations.as_ref().unwrap();
    assert_eq!(feed.when_stale, everycall_core::config::WhenStale::Refuse);
    defaults.insert("revocations.when_stale".into(), json!("refuse"));
    defaults.insert("revocations.max_age_s".into(), json!(feed.max_age_s));
    let feed = config.signals.as_ref().unwrap();
    assert_eq!(feed.when_stale, everycall_core::config::WhenStale::Refuse);
    defaults.insert("signals.when_stale".into(), json!("refuse"));
    defaults.insert("signals.max_age_s".into(), json!(feed.max_age_s));
    let remote = valid_with(FEED)["revocations"]["remote"].clone();
    let remote: everycall_core::config::RemoteFeed = serde_json::from_value(remote).unwrap();
    for feed in [FEED, SIGNALS] {
        for (name, value) in [
            ("interval_ms", json!(remote.interval_ms)),
            ("timeout_ms", json!(remote.timeout_ms)),
            ("max_entries", json!(remote.max_entries)),
        ] {
            defaults.insert(format!("{feed}.{name}"), value);
        }
    }
    let records = match config.log.records {
        everycall_core::config::LogRecords::All => "all",
        everycall_core::config::LogRecords::Refusals => "refusals",
        everycall_core::config::LogRecords::Off => "off",
    };
    defaults.insert("log.records".into(), json!(records));
    assert_eq!(config.log.to, everycall_core::config::LogTo::ProxyLog);
    defaults.insert("log.to".into(), json!("proxy_log"));
    defaults.insert("log.value_bytes".into(), json!(config.log.value_bytes));
    defaults.insert("log.streams_after_s".into(), json!(config.log.streams_after_s));
    let streams = config.streams;
    for (name, value) in [
        ("sweep_ms", json!(streams.sweep_ms)),
        ("redecide_s", json!(streams.redecide_s)),
        ("max_s", json!(streams.max_s)),
    ] {
        defaults.insert(format!("streams.{name}"), value);
    }
    let limits = serde_json::to_value(Limits::default()).unwrap();
    defaults.extend(
        limits.as_object().unwrap().iter().map(|(name, value)| (format!("limits.{name}"), value.clone())),
    );
    // Absent means that there is none of it.
    for (key, row) in documented().into_iter().filter(|(_, row)| row[2] != "required") {
        let default = code(&row[2]).pop();
        match defaults.remove(&key) {
            Some(real) => {
                let text = default.unwrap_or_else(|| panic!("`{key}`: no default in `{}`", row[2]));
                let text: Value = serde_json::from_str(&text).unwrap_or(Value::String(text));
                assert_eq!(text, real, "`{key}`");
            }
            None => assert_eq!(row[2], "none", "`{key}`"),
        }
    }
    assert!(defaults.is_empty(), "not in the table: {defaults:?}");
}

#[test]
fn what_only_the_command_line_resolves_is_named() {
    let rows = section(CONFIGURATION, "### Read by the command line only").by_name(&["key", "meaning"]);
    same(
        "keys of the command line",
        rows.keys(),
        [
            "bundle.directory",
            "bundle.file",
            "bundle.keys.file",
            "revocations.keys.file",
            "signals.keys.file",
            "issuers[].keys.file",
        ]
        .map(str::to_owned),
    );
    // These two are in use, and both are gone from what the filter gets.
    let written: Value = serde_yaml_ng::from_str(&crate::page::file("policies/everycall.yaml")).unwrap();
    assert!(written["bundle"]["directory"].is_string() && written["issuers"][0]["keys"]["file"].is_string());
    let resolved = everycall_tests::cases::reference().unwrap();
    assert!(resolved["bundle"]["inline"].is_object() && resolved["bundle"].get("directory").is_none());
    assert!(
        resolved["issuers"][0]["keys"]["inline"].is_object()
            && resolved["issuers"][0]["keys"].get("file").is_none()
    );
}
