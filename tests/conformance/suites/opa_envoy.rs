//! The sample policies, requests and quick start of OPA's plugin for Envoy. Policies run as they are, or
//! are reported with file, line and a way out; then they run as the report says to write them.

use everycall::mint::TestKey;
use everycall::WireRequest;
use everycall_core::{Settings, UnixTime};
use serde_json::{json, Value};

use super::attacks::world::{came, config, get, grant, Forge, World, ISSUER, NOW};
use super::istio::{KeyServer, Row};
use crate::suite::{CaseResult, Suite, Vectors, IN_ENVOY_TOO, IN_RUST};

pub fn suites() -> Vec<Suite> {
    vec![
        Suite { name: "opa-envoy-policies", minimum: 20, targets: IN_RUST, run: policies },
        Suite { name: "opa-envoy-reports", minimum: 5, targets: IN_RUST, run: reports },
        // Envoy mends some of these paths before the filter sees them.
        Suite {
            name: "opa-envoy-paths",
            minimum: 9,
            targets: IN_RUST,
            run: |vectors| decided(paths(vectors)),
        },
        Suite {
            name: "opa-envoy-requests",
            minimum: 22,
            targets: IN_ENVOY_TOO,
            run: |vectors| decided(rows(vectors, NOW)),
        },
    ]
}

const FOLDER: &str = "opa-envoy-plugin";
const BOOKINFO: &str = include_str!("opa_envoy/bookinfo.rego");
const QUICK_START: &str = include_str!("opa_envoy/quick_start.rego");

/// A configuration in which this policy decides for everybody, and for some by name.
fn policy(file: &str, text: &str, rule: &str) -> Value {
    let mut config = config();
    let mut grants = vec![];
    for subject in ["anonymous", "alice", "bob"] {
        let mut grant = grant(subject);
        grant["policy"] = json!("sample");
        // The names that the published requests are sent to, besides ours.
        grant["hosts"] = json!(["192.168.99.100:31380", "api.example"]);
        if subject == "anonymous" {
            grant.as_object_mut().expect("an object").remove("kinds");
        }
        grants.push(grant);
    }
    config["bundle"]["inline"] = json!({"policies": {file: text}, "grants": grants,
        "rule_sets": {"sample": {"input_format": "opa-envoy", "entrypoint": format!("envoy.authz.{rule}")}}});
    config
}

/// The sample policies: file name, text, and the rule that the plugin's tests evaluate.
fn samples(vectors: &Vectors) -> Vec<(String, String, &'static str)> {
    let prefix = format!("{FOLDER}/policies/");
    let files = vectors.0.keys().filter_map(|path| path.strip_prefix(&prefix));
    files
        .map(|name| {
            let text = vectors.text(&format!("{prefix}{name}")).to_owned();
            let rule = if text.contains("result") { "result" } else { "allow" };
            (name.to_owned(), text, rule)
        })
        .collect()
}

/// The policy that the plugin's quick start puts into a ConfigMap.
fn quick_start(vectors: &Vectors) -> String {
    let text = vectors.text(&format!("{FOLDER}/quick_start.yaml"));
    let (_, policy) = text.split_once("policy.rego: |\n").expect("the quick start holds a policy");
    policy.lines().map(|line| line.strip_prefix("    ").unwrap_or(line)).collect::<Vec<_>>().join("\n")
}

/// Every message about a policy; none if it is taken.
fn messages(file: &str, text: &str, rule: &str) -> Vec<String> {
    match Settings::from_value(policy(file, text, rule)) {
        Ok(_) => Vec::new(),
        Err(errors) => errors.iter().map(|error| error.message.clone()).collect(),
    }
}

fn policies(vectors: &Vectors) -> Vec<CaseResult> {
    let mut all = samples(vectors);
    all.push(("quick_start.rego".into(), quick_start(vectors), "allow"));
    all.iter()
        .map(|(file, text, rule)| {
            let messages = messages(file, text, rule);
            CaseResult {
                id: file.clone(),
                agrees: messages.is_empty(),
                note: format!("published: it runs; ours: {}", messages.join("; ")),
            }
        })
        .collect()
}

/// A policy that does not run says where and why, and what to write: nothing is left to guess.
fn reports(vectors: &Vectors) -> Vec<CaseResult> {
    let mut all = samples(vectors);
    all.push(("quick_start.rego".into(), quick_start(vectors), "allow"));
    let reported = all.iter().filter_map(|(file, text, rule)| {
        let messages = messages(file, text, rule);
        let well = |message: &String| {
            let line = message.strip_prefix(&format!("{file}:"))?.split(':').next()?.parse::<usize>().ok()?;
            let says = message.contains("` is not there: ") || message.contains("` is not offered: ");
            Some((1..=text.lines().count()).contains(&line) && says)
        };
        let agrees = messages.iter().all(|message| well(message).unwrap_or(false));
        (!messages.is_empty()).then(|| CaseResult { id: file.clone(), agrees, note: messages.join("; ") })
    });
    reported.collect()
}

/// The plugin's requests with the policies they are for, and those of its quick start: what goes through is 200 here and there.
pub fn rows(vectors: &Vectors, now: UnixTime) -> Vec<Row> {
    let sample = |name: &str, rule: &str| {
        let file = format!("{name}.rego");
        policy(&file, vectors.text(&format!("{FOLDER}/policies/{file}")), rule)
    };
    let bookinfo = policy("bookinfo.rego", BOOKINFO, "result");
    let path = sample("TestCheckAllowBooleanDecisionDynamicMetadata_0", "allow");
    let object = sample("testAuthzServerWithObjectDecision_0", "allow");
    let mut rows = Vec::new();
    let file = vectors.json(&format!("{FOLDER}/check_requests.json"));
    for (policy, config, request, caller, status) in [
        ("bookinfo", &bookinfo, "exampleAllowedRequest", Some("bob"), 200),
        ("bookinfo", &bookinfo, "exampleDeniedRequest", Some("alice"), 403),
        ("bookinfo", &bookinfo, "exampleAllowedRequestParsedPath", None, 200),
        ("bookinfo", &bookinfo, "exampleAllowedRequestParsedBody", None, 200),
        ("bookinfo", &bookinfo, "exampleDeniedRequestParsedBody", None, 403),
        ("boolean", &path, "exampleAllowedRequestParsedPath", None, 200),
        ("boolean", &path, "exampleRequest", None, 403),
        ("object", &object, "exampleAllowedRequestParsedPath", None, 200),
        ("object", &object, "exampleRequest", None, 301),
        ("version v3", &sample("TestVersionInfoInputV3_0", "allow"), "exampleRequest", None, 200),
        ("version v2", &sample("TestVersionInfoInputV2_0", "allow"), "exampleRequest", None, 403),
        ("two values", &sample("TestCheckEvalErrorWithLogger_0", "allow"), "exampleRequest", None, 403),
        ("a number", &sample("TestCheckIllegalDecisionWithLogger_0", "allow"), "exampleRequest", None, 403),
    ] {
        let http = &file["check_requests"][request]["attributes"]["request"]["http"];
        assert!(http.is_object(), "there is no request `{request}`");
        rows.push(Row {
            id: format!("{policy}: {request}"),
            config: config.clone(),
            key_server: KeyServer::Unused,
            request: published(http, caller, now),
            status,
        });
    }
    rows.extend(started(vectors, now));
    rows
}

/// A published CheckRequest as it would come in, for a caller with a token of our issuer.
fn published(http: &Value, caller: Option<&str>, now: UnixTime) -> WireRequest {
    let text = |name: &str| http[name].as_str();
    let mut request = get(text("path").unwrap_or("/"));
    request.method = text("method").unwrap_or("GET").to_owned();
    request.scheme = "http".into();
    request.host = text("host").unwrap_or("api.example").to_owned();
    for (name, value) in http["headers"].as_object().into_iter().flatten() {
        let plain = !name.starts_with(':') && !matches!(name.as_str(), "authorization" | "content-length");
        // What Envoy sets itself.
        if plain && !name.starts_with("x-envoy-") {
            request.headers.push((name.clone(), value.as_str().unwrap_or_default().as_bytes().to_vec()));
        }
    }
    if let Some(caller) = caller {
        let role = if caller == "bob" { "admin" } else { "guest" };
        request.headers.push(bearer(caller, role, now));
    }
    request
}

fn bearer(caller: &str, role: &str, now: UnixTime) -> (String, Vec<u8>) {
    let key = TestKey::es256().expect("the test key");
    let token = Forge::new(&key)
        .claim("iss", ISSUER)
        .claim("sub", caller)
        .claim("role", role)
        .claim("iat", now.secs())
        .claim("exp", now.secs() + 300)
        .signed(&key);
    ("authorization".to_owned(), format!("Bearer {token}").into_bytes())
}

/// Each published path is allowed by a policy that expects its published parts.
fn paths(vectors: &Vectors) -> Vec<Row> {
    let file = vectors.json(&format!("{FOLDER}/parsed_path_cases.json"));
    let cases = file["cases"].as_array().expect("the file has cases");
    cases
        .iter()
        .map(|case| {
            let (path, query) = (&case["parsed_path"], &case["parsed_query"]);
            let text = format!(
                "package envoy.authz\n\nallow if {{\n\tinput.parsed_path == {path}\n\tinput.parsed_query == {query}\n}}\n"
            );
            let path = case["path"].as_str().unwrap_or_default();
            Row {
                id: path.to_owned(),
                config: policy("paths.rego", &text, "allow"),
                key_server: KeyServer::Unused,
                request: WireRequest { scheme: "http".into(), ..get(path) },
                status: 200,
            }
        })
        .collect()
}

/// The quick start's requests, and those of Istio's book shop.
fn started(vectors: &Vectors, now: UnixTime) -> Vec<Row> {
    let file = vectors.json(&format!("{FOLDER}/quickstart_request_cases.json"));
    let row = |index: usize, case: &Value, config: Value, name: &str, caller: &str| {
        let text = |name: &str| case[name].as_str().unwrap_or_default();
        let role = if caller == "bob" { "admin" } else { "guest" };
        let mut request = get(text("path"));
        request.scheme = "http".into();
        request.method = case["method"].as_str().unwrap_or("GET").to_owned();
        request.headers.push(bearer(caller, role, now));
        Row {
            id: format!("{name} {}: {caller} {} {}", index + 1, request.method, text("path")),
            config,
            key_server: KeyServer::Unused,
            request,
            status: case["expect"].as_u64().and_then(|status| u16::try_from(status).ok()).unwrap_or_default(),
        }
    };
    let mut rows = Vec::new();
    for (index, case) in file["cases"].as_array().into_iter().flatten().enumerate() {
        let caller = case["token"].as_str().unwrap_or_default();
        rows.push(row(index, case, policy("quick_start.rego", QUICK_START, "allow"), "quick start", caller));
    }
    for (index, case) in file["istio_bookinfo"]["cases"].as_array().into_iter().flatten().enumerate() {
        let caller = case["user"].as_str().and_then(|user| user.split(':').next()).unwrap_or_default();
        rows.push(row(index, case, policy("bookinfo.rego", BOOKINFO, "result"), "book shop", caller));
    }
    rows
}

fn decided(rows: Vec<Row>) -> Vec<CaseResult> {
    rows.into_iter()
        .map(|row| {
            let decision = World::new(&row.config).check(&row.request);
            let agrees =
                decision.record.status == row.status && decision.verdict.is_ok() == (row.status == 200);
            CaseResult {
                id: row.id,
                agrees,
                note: format!("published: {}; ours: {}", row.status, came(&decision)),
            }
        })
        .collect()
}
