//! The contract for policies and upstreams: what a policy gets to see, which builtins it
//! may call, which headers are removed and set.

use std::collections::BTreeSet;

use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use base64::Engine as _;
use everycall::cases::CaseFile;
use everycall_core::http::{ATTRIBUTES, IDENTITY_HEADERS, OWN_HEADER_PREFIX, REMOVED_HEADERS};
use everycall_core::obligations::{FORBIDDEN_HEADERS, FORBIDDEN_PREFIXES, RESPONSE_STATUSES};
use everycall_core::policy::offered_builtins;
use everycall_core::{
    Connection, Decision, Engine, Headers, IdSeed, Reason, Reply, Request, Settings, Step, StreamId, UnixTime,
};
use everycall_tests::envoy::root;
use serde_json::{json, Value};

use crate::page::{code, file, leaves, same, section, FRONT, POLICIES, PROXY, REGO};
use crate::tables::{linked, table, Link};

/// Shows its whole input to the decision point in a second round, when answers are there as well.
const SHOWS_ALL: &str = r#"package everycall.shows_all
question := {"subject": {"type": "t", "id": "i"}, "action": {"name": "a"}, "resource": {"type": "t", "id": "i"}}
ask contains object.union(question, {"id": "yes"}) if true
ask contains object.union(question, {"id": "failed"}) if true
ask contains object.union(question, {"id": "input", "context": shown}) if { input.pdp; not input.pdp.input }
shown := object.union(input, {"signals": input.signals})
decision := {"allow": true, "without_pdp": true} if input.pdp.input.decision
"#;

/// The whole input of a delegated call, and the headers that its permit sets.
fn shown() -> (Value, BTreeSet<String>) {
    let mut config = everycall_tests::cases::reference().unwrap();
    config["source"] = json!({"from": "use_remote_address"});
    config["networks"] = json!({"here": ["127.0.0.0/8"]});
    config["signals"] = json!({"inline": []});
    config["bundle"]["inline"]["policies"]["shows_all.rego"] = json!(SHOWS_ALL);
    let grants = config["bundle"]["inline"]["grants"].as_array_mut().unwrap();
    let grant = grants.iter_mut().find(|grant| grant["id"] == "support-read-orders").unwrap();
    grant["policy"] = json!("shows_all");
    let now = UnixTime::from_secs(1_790_000_000);
    config["bundle"]["inline"]["elevations"] = json!([{"id": "e", "subject": "spiffe://shop.example/agent/support-bot",
        "grants": ["support-read-orders"], "approver": "user:carol", "ticket": "t", "reason": "r",
        "valid_from": now.to_string(), "valid_until": UnixTime::from_secs(1_790_003_600).to_string()}]);
    let case = json!({"about": "a", "cases": [{
        "name": "a", "expect": {"decision": "allow"},
        "request": {"method": "GET", "host": "orders.shop.example", "path": "/orders/o-1?q=1"},
        "token": {"issuer": "https://id.shop.example/agents",
                  "claims": {"sub": "user:alice", "act": {"sub": "spiffe://shop.example/agent/support-bot"}, "task": "t"}}}]});
    let case = CaseFile::parse("inline", &case.to_string()).unwrap().cases.remove(0);
    let wire = case.request(&config, now).unwrap();
    let headers = wire.to_core(StreamId(1)).headers().clone();
    let mut connection = Connection::default();
    for attribute in ATTRIBUTES {
        let bytes: &[u8] = match attribute.name {
            "mtls" => &[1],
            "source_ip" | "destination_ip" => b"127.0.0.1:1",
            _ => b"x",
        };
        connection.set(attribute, bytes);
    }
    decide(config, Request::new(StreamId(1), headers, connection), now)
}

/// The input that the policy `shows_all` gets to see, and the headers that the permit sets.
fn decide(config: Value, request: Request, now: UnixTime) -> (Value, BTreeSet<String>) {
    let settings = Settings::from_value(config).unwrap();
    let mut engine = Engine::standalone(settings, IdSeed::derive(&[]));
    let mut step = engine.check(request, now);
    let mut input = None;
    loop {
        match step {
            Step::Ask { pending, .. } => {
                let open = pending.record().pdp.iter().filter(|exchange| exchange.answer.is_none());
                let replies: Vec<Reply> = open
                    .map(|exchange| {
                        if exchange.id == "input" {
                            input = exchange.question.get("context").cloned();
                        }
                        let status = if exchange.id == "failed" { 500 } else { 200 };
                        Reply::http(status, br#"{"decision":true}"#)
                    })
                    .collect();
                step = engine.resume(pending, replies, now);
            }
            Step::Wait { .. } => panic!("waits for keys"),
            Step::Done(decision) => {
                let permit =
                    decision.verdict.unwrap_or_else(|denial| panic!("{denial:?}: {:?}", decision.record));
                let set = permit.headers_to_set().map(|(name, _)| name.to_owned()).collect();
                return (input.unwrap(), set);
            }
        }
    }
}

/// What `input.exception` holds for a caller who has one; `shown` has none.
fn shown_exception() -> Value {
    let mut config = everycall_tests::cases::reference().unwrap();
    config["source"] = json!({"from": "use_remote_address"});
    config["signals"] = json!({"inline": []});
    let (salt, secret) = ([0; 16], "A".repeat(22));
    let encode = |bytes: &[u8]| URL_SAFE_NO_PAD.encode(bytes);
    config["api_keys"] = json!([{"id": "a", "subject": "legacy:a", "salt": encode(&salt),
        "hash": encode(&everycall_core::authority::api_key_hash(&salt, &secret)), "exception": "e"}]);
    let bundle = &mut config["bundle"]["inline"];
    bundle["exceptions"] = json!([{"id": "e", "owner": "o", "reason": "r", "compensating_control": "c",
        "valid_from": "2026-09-01T00:00:00Z", "valid_until": "2026-11-01T00:00:00Z"}]);
    bundle["policies"]["shows_all.rego"] = json!(SHOWS_ALL);
    bundle["elevations"] = json!([]);
    bundle["grants"] = json!([{"id": "g", "owner": "o", "purpose": "p", "subject": "legacy:a", "kinds": ["legacy"],
        "hosts": ["h"], "methods": ["GET"], "paths": ["/"], "policy": "shows_all"}]);
    let pairs = [
        (":method", "GET".to_owned()),
        (":scheme", "http".to_owned()),
        (":authority", "h".to_owned()),
        (":path", "/".to_owned()),
        ("authorization", format!("Bearer ek_a_{secret}")),
    ];
    let headers = pairs.map(|(name, value)| (name.to_owned(), value.into_bytes())).to_vec();
    let request = Request::new(StreamId(1), Headers::new(headers), Connection::default());
    decide(config, request, UnixTime::from_secs(1_790_000_000)).0["exception"].take()
}

/// What stands below is chosen by clients, issuers and configurations.
const FREE: [&str; 4] = ["request.headers", "request.query", "identity.claims", "grant.params"];

/// What the sentences on `input` name, and where it is.
const LINKS: &[Link] = &[
    ("connection.source_ip", "`source`", "../envoy/identity.md#the-source-address"),
    ("signals.identity", "Signals", "../envoy/configuration.md#signals"),
];

/// All of `input`, by path.
pub fn input() -> String {
    let rows = everycall_core::input::input_rows()
        .into_iter()
        .map(|row| vec![format!("`{}`", row.path), row.kind.clone(), linked(LINKS, &row.path, row.meaning)]);
    table(&["`input.`", "type", "meaning"], rows)
}

#[test]
fn the_policy_input_is_what_is_documented() {
    let rows = section(POLICIES, "## Input").by_name(&["`input.`", "type", "meaning"]);
    let (mut input, _) = shown();
    input["exception"] = shown_exception();
    let names: BTreeSet<String> = leaves(&input, &FREE)
        .into_iter()
        // The answers stand below the questions' ids.
        .map(|name| {
            ["yes", "failed"].iter().fold(name, |name, id| name.replace(&format!("pdp.{id}."), "pdp.ID."))
        })
        .collect();
    same("policy input", rows.keys(), names);
    for (name, row) in rows {
        let pointer = format!(
            "/{}",
            name.replace("pdp.ID.error", "pdp.failed.error").replace(".ID.", ".yes.").replace('.', "/")
        );
        let kind = match input.pointer(&pointer).unwrap() {
            Value::String(_) => "text",
            Value::Number(_) => "number",
            Value::Bool(_) => "boolean",
            Value::Array(_) if name == "signals.actors" => "list of objects",
            Value::Array(_) => "list of text",
            Value::Object(_) => "object",
            Value::Null => "null",
        };
        let documented: Vec<&str> = row[1].split(" or ").collect();
        assert!(documented.contains(&kind), "{name} is {kind} here, and documented as {}", row[1]);
    }
}

#[test]
fn builtins_are_those_that_are_offered() {
    let listed: Vec<String> =
        section(REGO, "## Builtins").block("text").split_whitespace().map(str::to_owned).collect();
    assert_eq!(listed, offered_builtins());
}

#[test]
fn removed_and_set_headers_are_those_of_the_core() {
    let rows = section(PROXY, "## Headers to the upstream").by_name(&["header", "meaning"]);
    let all = shown().1.into_iter().chain(["x-everycall-observed".to_owned()]);
    same("headers that are set", rows.keys(), all);
    let text = section(PROXY, "### Removed from the client's request").block("text");
    let listed: Vec<String> = text.split_whitespace().map(str::to_owned).collect();
    let own = format!("{OWN_HEADER_PREFIX}*");
    let real: Vec<&str> = std::iter::once(own.as_str()).chain(REMOVED_HEADERS.iter().copied()).collect();
    assert_eq!(listed, real);
    let text = section(PROXY, "### Removed from the client's request").block("http");
    assert_eq!(text.split_whitespace().collect::<Vec<_>>(), IDENTITY_HEADERS);
}

/// What the core makes of an obligation, with an allow or a refusal: the reason and the fact.
fn obliged(name: &str, value: &Value, allow: bool) -> (Reason, String) {
    let mut config = everycall_tests::cases::reference().unwrap();
    config["source"] = json!({"from": "use_remote_address"});
    let bundle = &mut config["bundle"]["inline"];
    bundle["policies"]["everycall.rego"] = json!("package everycall\ndecision := data.result");
    bundle["data"]["result"] = json!({"allow": allow, "obligations": {name: value}});
    bundle["elevations"] = json!([]);
    bundle["grants"] = json!([{"id": "g", "owner": "o", "purpose": "p", "subject": "anonymous", "hosts": ["h"],
        "methods": ["GET"], "paths": ["/"]}]);
    let mut engine = Engine::standalone(Settings::from_value(config).unwrap(), IdSeed::derive(&[]));
    let pairs = [(":method", "GET"), (":scheme", "http"), (":authority", "h"), (":path", "/")];
    let pairs = pairs.map(|(name, value)| (name.to_owned(), value.as_bytes().to_vec())).to_vec();
    let request = Request::new(StreamId(1), Headers::new(pairs), Connection::default());
    match engine.check(request, UnixTime::from_secs(1_790_000_000)) {
        Step::Done(Decision { record, .. }) => (record.reason.unwrap(), record.detail.unwrap_or_default()),
        step => panic!("{step:?}"),
    }
}

#[test]
fn obligations_are_those_of_the_core() {
    let section = section(POLICIES, "## Obligations");
    let rows = section.by_name(&["obligation", "comes with", "example", "what is done"]);
    let (reason, detail) = obliged("zzz", &json!({}), true);
    assert_eq!(reason, Reason::ObligationUnknown);
    same("obligations", rows.keys(), code(detail.split_once("expected").unwrap().1));
    for (name, row) in &rows {
        let example: Value = serde_json::from_str(&code(&row[2])[0]).unwrap();
        for (outcome, allow) in [("allow", true), ("refusal", false)] {
            let (reason, detail) = obliged(name, &example, allow);
            let done = reason != Reason::ObligationInvalid;
            assert_eq!(row[1].split(", ").any(|word| word == outcome), done, "`{name}`: {reason} {detail}");
        }
    }
    let statuses: Vec<String> = RESPONSE_STATUSES.iter().map(u16::to_string).collect();
    assert_eq!(section.block("text").trim(), statuses.join(" "));
    let listed: BTreeSet<String> = section.block("http").split_whitespace().map(str::to_owned).collect();
    let prefixes = FORBIDDEN_PREFIXES.iter().map(|prefix| format!("{prefix}*"));
    let names = FORBIDDEN_HEADERS.iter().map(|name| (*name).to_owned());
    assert_eq!(listed, names.chain(prefixes).collect());
}

/// Rules of the library by package and name, and those that the page lists.
#[test]
fn the_library_is_documented() {
    let mut rules = BTreeSet::new();
    for entry in std::fs::read_dir(root().join("policies/lib")).unwrap() {
        let text = std::fs::read_to_string(entry.unwrap().path()).unwrap();
        let package = text.lines().find_map(|line| line.strip_prefix("package everycall.lib.")).unwrap();
        let heads =
            text.lines().filter(|line| line.contains(" if ") && line.starts_with(char::is_alphabetic));
        let names = heads.filter_map(|line| line.split(['(', ' ']).next());
        rules.extend(names.map(|name| format!("{package}.{name}")));
    }
    let rows = section(POLICIES, "## The library").by_name(&["rule", "holds if"]);
    let listed = rows.keys().map(|rule| rule.split('(').next().unwrap_or_default().to_owned());
    assert_eq!(listed.collect::<BTreeSet<String>>(), rules);
}

/// The policy and its case that the front page explains are the ones in force.
#[test]
fn the_policy_and_the_case_are_real() {
    let section = section(FRONT, "## A policy");
    assert_eq!(section.block("rego"), file("policies/support.rego"));
    let case: Value = serde_json::from_str(section.block("json").trim().trim_end_matches(',')).unwrap();
    let cases: Value = serde_json::from_str(&file("policies/cases/support.json")).unwrap();
    assert!(cases["cases"].as_array().unwrap().contains(&case), "{case}");
    let grant = section.block("yaml");
    assert!(file("policies/grants.yaml").contains(&grant), "{grant}");
}
