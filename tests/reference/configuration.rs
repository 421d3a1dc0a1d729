//! The table of configuration keys against what the core says when they are wrong.

use std::collections::BTreeMap;

use everycall_core::config::{Config, Grant, Limits};
use everycall_core::Settings;
use serde_json::{json, Map, Value};

use crate::page::{code, same, section, CONFIGURATION};
use crate::schemas::about;
use crate::tables::{linked, table, Link};

const COLUMNS: [&str; 4] = ["key", "type", "default", "meaning"];

/// The objects of a configuration: their names in the table, `*` for any name and `[]` for any
/// place in a list.
const OBJECTS: &[&str] = &[
    "",
    "issuers[]",
    "issuers[].keys",
    REMOTE,
    "issuers[].kinds[]",
    "credentials[]",
    "dpop",
    "mtls",
    "mtls.forwarded",
    "hosts.*",
    "source",
    "api_keys[]",
    "bundle",
    BUNDLE,
    "bundle.inline",
    "bundle.inline.rule_sets.*",
    "bundle.inline.grants[]",
    "bundle.inline.grants[].delegation",
    "bundle.inline.elevations[]",
    "bundle.inline.exceptions[]",
    "revocations",
    "revocations.inline[]",
    FEED,
    "signals",
    "signals.inline[]",
    SIGNALS,
    "pdps.*",
    "pdps.*.breaker",
    "limits",
    "streams",
    "log",
    "observe",
];

/// What the keys' sentences name, and where it is.
const LINKS: &[Link] = &[
    ("issuers[].profile", "A preset", "identity.md#profiles"),
    ("trusted_headers", "removed from the client's request", "README.md#removed-from-the-clients-request"),
    ("bundle.remote", "signed bundle files", "#bundles-from-a-server"),
    (
        "bundle.inline.rule_sets.*.input_format",
        "that of OPA's plugin for Envoy",
        "../policies/README.md#policies-of-opa-envoy",
    ),
    ("bundle.inline.rule_sets.*.shadow", "not obeyed", "../policies/README.md#shadows"),
    ("bundle.inline.grants", "Who is entitled to what", "../policies/README.md#which-grant-decides"),
    ("bundle.inline.grants[].requires_elevation", "elevation", "../policies/README.md#elevations"),
    ("bundle.inline.elevations", "approved for hours", "../policies/README.md#elevations"),
    ("bundle.inline.exceptions", "somebody answers for", "identity.md#api-keys-and-exceptions"),
    ("pdps.*.protocol", "speaks", "../policies/README.md#decision-points"),
    ("pdps.*.headers", "all but secret ones", "../policies/README.md#decision-points"),
    ("source", "Where the client's address comes from", "identity.md#the-source-address"),
    ("streams", "Admitted requests that stay open", "README.md#streams"),
    ("log.to", "into the access log", "README.md#operations"),
    ("shadow", "not obeyed", "../policies/README.md#shadows"),
    ("revocations", "was revoked", "#revocations"),
    ("signals", "known of callers and tasks", "#signals"),
    ("observe", "the first days", "../policies/README.md#the-first-days"),
];

/// The one object that excludes another: `issuers[].keys.inline`.
const REMOTE: &str = "issuers[].keys.remote";

/// The one that needs another beside it: `bundle.keys`.
const BUNDLE: &str = "bundle.remote";

/// The other ones that exclude what is inline.
const FEED: &str = "revocations.remote";
const SIGNALS: &str = "signals.remote";

/// A valid configuration with at least one of each object, and this one.
fn valid_with(object: &str) -> Value {
    let mut config = valid();
    if object == REMOTE {
        config["issuers"][0]["keys"] = json!({"remote": {"cluster": "c", "host": "h", "path": "/p"}});
    }
    if object == BUNDLE {
        config["bundle"]["remote"] = json!({"cluster": "c", "host": "h", "path": "/p"});
        config["bundle"]["keys"] = everycall::mint::TestKey::es256().unwrap().public_jwks();
    }
    if let Some(feed) = [FEED, SIGNALS].into_iter().find(|feed| *feed == object) {
        let feed = feed.strip_suffix(".remote").unwrap();
        config[feed] = json!({"remote": {"cluster": "c", "host": "h", "path": "/p"},
            "keys": everycall::mint::TestKey::es256().unwrap().public_jwks()});
    }
    config
}

/// A valid configuration with at least one of each object but those four.
fn valid() -> Value {
    let mut config = everycall_tests::cases::reference().unwrap();
    config["limits"] = json!({});
    config["streams"] = json!({});
    config["hosts"] = json!({"h": {}});
    config["dpop"] = json!({});
    config["pdps"]["default"]["breaker"] = json!({"failures": 5, "open_ms": 1000});
    config["observe"] = json!({"hosts": ["h"], "paths": ["/"], "until": "2026-12-01T00:00:00Z"});
    let hop = "spiffe://shop.example/ns/edge/sa/gateway";
    config["mtls"] =
        json!({"trust_domains": ["shop.example"], "forwarded": {"hops": [hop], "appends": true}});
    config["issuers"][0]["kinds"] = json!([{"claim": "c", "value": "v", "kind": "agent"}]);
    config["revocations"] =
        json!({"inline": [{"revoke": "task", "id": "t", "expires_at": "2026-12-01T00:00:00Z"}]});
    config["signals"] = json!({"inline": [{"about": "task", "id": "t", "signal": "risk", "value": 1,
        "expires_at": "2026-12-01T00:00:00Z"}]});
    let zeros = "A".repeat(43);
    config["api_keys"] =
        json!([{"id": "a", "subject": "legacy:a", "salt": zeros, "hash": zeros, "exception": "e"}]);
    config["bundle"]["inline"]["exceptions"] = json!([{"id": "e", "owner": "o", "reason": "r",
        "compensating_control": "c", "valid_from": "2026-01-01T00:00:00Z", "valid_until": "2026-03-01T00:00:00Z"}]);
    config["bundle"]["inline"]["rule_sets"] = json!({"orders": {}});
    config["networks"]["office"] = json!(["10.0.0.0/8"]);
    let grant = config["bundle"]["inline"]["grants"][0]["id"].clone();
    config["bundle"]["inline"]["elevations"] = json!([{"id": "e", "subject": "s", "grants": [grant], "approver": "a",
        "ticket": "t", "reason": "r", "valid_from": "2026-01-01T00:00:00Z", "valid_until": "2026-01-01T01:00:00Z"}]);
    let grants = config["bundle"]["inline"]["grants"].as_array_mut().unwrap();
    let delegated = grants.iter().position(|grant| grant.get("delegation").is_some()).unwrap();
    grants.swap(0, delegated);
    config
}

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

/// What stands below a key, if it is an object, or a list or a map of them.
fn objects_below(key: &str) -> Option<(&'static str, String)> {
    let forms = [("object", ""), ("list of objects", "[]"), ("map of objects", ".*")];
    let mut forms = forms.into_iter().map(|(word, suffix)| (word, format!("{key}{suffix}")));
    forms.find(|(_, name)| OBJECTS.contains(&name.as_str()))
}

/// The word for what the schema says of a value.
fn word(schema: &Value, part: &Value) -> String {
    let forms = part.get("anyOf").or_else(|| part.get("oneOf")).and_then(Value::as_array);
    let forms: Vec<&Value> =
        forms.into_iter().flatten().filter(|form| form.get("type") != Some(&json!("null"))).collect();
    let words = |values: &[&Value]| {
        let words = values.iter().map(|value| format!("`{}`", value.as_str().unwrap()));
        words.collect::<Vec<_>>().join(", ")
    };
    if let Some(reference) = part.get("$ref").and_then(Value::as_str) {
        return match reference.strip_prefix("#/$defs/").unwrap() {
            "Jwks" => "JWK set".into(),
            name => word(schema, &schema["$defs"][name]),
        };
    }
    if let Some(values) = part.get("enum").and_then(Value::as_array) {
        return words(&values.iter().filter(|value| !value.is_null()).collect::<Vec<_>>());
    }
    let constants: Vec<&Value> = forms.iter().filter_map(|form| form.get("const")).collect();
    if !constants.is_empty() && constants.len() == forms.len() {
        return words(&constants);
    }
    if let [form] = forms[..] {
        return word(schema, form);
    }
    let types: Vec<&str> = match &part["type"] {
        Value::String(one) => vec![one],
        Value::Array(all) => all.iter().filter_map(Value::as_str).filter(|one| *one != "null").collect(),
        _ => Vec::new(),
    };
    match types[..] {
        ["string"] => "text".into(),
        ["integer"] => "integer".into(),
        ["boolean"] => "boolean".into(),
        ["array"] => format!("list of {}", word(schema, &part["items"])),
        ["object"] => match &part["additionalProperties"] {
            Value::Bool(true) | Value::Null => "map of any values".into(),
            value => format!("map of {}", word(schema, value).replace("list of", "lists of")),
        },
        ["string", "number", "boolean"] => "text, number or boolean".into(),
        _ => panic!("no word for {part}"),
    }
}

/// JSON with blanks between.
fn spaced(value: &Value) -> String {
    let list = |items: Vec<String>| items.join(", ");
    match value {
        Value::Array(items) => format!("[{}]", list(items.iter().map(spaced).collect())),
        Value::Object(members) => {
            let member = |(name, value): (&String, &Value)| format!("{name:?}: {}", spaced(value));
            format!("{{{}}}", list(members.iter().map(member).collect()))
        }
        other => other.to_string(),
    }
}

/// The rows of an object, those of what stands below a key behind it.
fn rows(schema: &Value, parent: &str, into: &mut Vec<Vec<String>>) {
    for key in keys_of(parent) {
        let part = about(schema, &key).unwrap_or_else(|| panic!("the schema has no `{key}`"));
        let below = objects_below(&key);
        let kind = match &below {
            Some((word, _)) => (*word).to_owned(),
            // What stands in it is said once.
            None if key == "shadow" => "object, as bundle".into(),
            None => match word(schema, part).as_str() {
                "integer" => format!("integer, {}", range(&key).unwrap()),
                other => other.to_owned(),
            },
        };
        let default = match part.get("default") {
            _ if is_required(&key) => "required".into(),
            None | Some(Value::Object(_)) => "none".into(),
            Some(Value::Array(items)) if items.is_empty() => "none".into(),
            Some(Value::String(text)) if !text.is_empty() => format!("`{text}`"),
            Some(value) => format!("`{}`", spaced(value)),
        };
        let meaning = linked(LINKS, &key, part["description"].as_str().unwrap());
        into.push(vec![format!("`{key}`"), kind, default, meaning]);
        if let Some((_, below)) = below {
            rows(schema, &below, into);
        }
    }
}

/// All keys: in their order, with their ranges and whether they are required, as the core has it; with types,
/// defaults and meanings as the schema has them. The tests below hold the one to the other.
pub fn table_of_keys() -> String {
    let mut all = Vec::new();
    rows(&crate::schemas::schema(&["config", "--resolved"]), "", &mut all);
    table(&COLUMNS, all)
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
        .map(|credential| json!({"header": credential.header, "scheme": credential.scheme}))
        .collect();
    let bare: everycall_core::config::Credential = serde_json::from_value(json!({"header": "x"})).unwrap();
    let inline = config.bundle.inline.as_ref().unwrap();
    let grant: Grant = serde_json::from_value(inline.grants[0].clone()).unwrap();
    let mut defaults = BTreeMap::from([
        ("credentials".to_owned(), json!(credentials)),
        ("credentials[].scheme".to_owned(), json!(bare.scheme)),
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
