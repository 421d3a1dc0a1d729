//! Requests and responses against the published JSON Schemas: whatever a policy asks, nothing is sent that the
//! schema refuses; and of responses that it refuses none is a yes.

use everycall::cases::CaseFile;
use everycall_core::Reply;
use serde_json::{json, Value};

use super::{decide, scenario};
use crate::json_schema;
use crate::suite::{CaseResult, Vectors, REFERENCE};
use crate::suites::attacks::world::{add_grant, anonymous, config, with, World, NOW};

/// Cases that ask: of the reference bundle, and of ways to fail.
const CASES: [(&str, &str); 3] = [
    ("refunds", include_str!("../../../../policies/cases/refunds.json")),
    ("pdp", include_str!("../../../cases/pdp.json")),
    ("pdp_failed", include_str!("../../../cases/pdp_failed.json")),
];

/// Asks what a header says, whatever that is.
const ECHO: &str = r#"package everycall

ask contains object.union({"id": "q"}, json.unmarshal(input.request.headers["x-question"][0])) if true

decision := {"allow": true, "reason": "yes"} if input.pdp.q.decision
"#;

fn published(vectors: &Vectors, name: &str) -> Value {
    vectors.json(&format!("authzen/api/schemas/{name}.schema.json"))
}

fn echo() -> World {
    let mut config = config();
    config["pdps"] = json!({"default": {"protocol": "authzen", "cluster": "pdp", "host": "pdp"}});
    config["bundle"]["inline"]["policies"] = json!({"echo.rego": ECHO});
    add_grant(&mut config, anonymous());
    World::new(&config)
}

/// Questions that the schema refuses: its own example, with each known member gone or of each other type.
fn bad_questions(request: &Value) -> Vec<(String, Value)> {
    let example = &request["examples"][0];
    let mut bad = Vec::new();
    let mut spoil = |path: &[&str], optional: bool, good: fn(&Value) -> bool| {
        let (last, above) = path.split_last().expect("a path");
        let name = path.join(".");
        let mut spoiled = |how: String, change: &dyn Fn(&mut serde_json::Map<String, Value>)| {
            let mut question = example.clone();
            let parent = above.iter().fold(&mut question, |value, name| &mut value[*name]);
            change(parent.as_object_mut().expect("an object"));
            bad.push((format!("{name} {how}"), question));
        };
        if !optional {
            spoiled("is gone".into(), &|members| drop(members.remove(*last)));
        }
        for value in [json!(null), json!(true), json!(1), json!("text"), json!(["text"]), json!({})] {
            if !good(&value) {
                spoiled(format!("is {value}"), &|members| {
                    drop(members.insert((*last).into(), value.clone()))
                });
            }
        }
    };
    for (entity, names) in
        [("subject", ["type", "id"].as_slice()), ("resource", &["type", "id"]), ("action", &["name"])]
    {
        // An empty object is refused as well, for what it lacks.
        spoil(&[entity], false, |_| false);
        for name in names {
            spoil(&[entity, name], false, Value::is_string);
        }
        spoil(&[entity, "properties"], true, Value::is_object);
    }
    spoil(&["context"], true, Value::is_object);
    bad
}

/// The check can fail; and what fails it is not sent.
pub fn refused(vectors: &Vectors) -> Vec<CaseResult> {
    let request = published(vectors, "evaluation-request");
    let mut world = echo();
    let mut outcome = |(id, question): (String, Value)| {
        let refused = json_schema::check(&request, &question);
        let text = question.to_string();
        let (asked, decision) = decide(&mut world, &with(&[("x-question", &text)]), NOW, |_, _| {
            Reply::http(200, r#"{"decision":true}"#)
        });
        let note = format!("the schema: {refused:?}; asked: {asked:?}; ours: {}", decision.record.status);
        CaseResult { id, agrees: refused.is_err() && asked.is_empty() && decision.verdict.is_err(), note }
    };
    bad_questions(&request).into_iter().map(&mut outcome).collect()
}

/// Everything that is sent is as the schema says.
pub fn sent(vectors: &Vectors) -> Vec<CaseResult> {
    let request = published(vectors, "evaluation-request");
    let mut results = Vec::new();
    let mut add = |id: String, asked: Vec<Value>| {
        if let Some(first) = asked.first() {
            let wrong = asked.iter().find_map(|question| json_schema::check(&request, question).err());
            results.push(CaseResult {
                id,
                agrees: wrong.is_none(),
                note: format!("{}: {first}", wrong.unwrap_or_default()),
            });
        }
    };
    for suite in ["authzen-interop", "authzen-coaz"] {
        let scenario = scenario(suite, vectors, NOW);
        let mut world = World::new(&scenario.config);
        for row in &scenario.rows {
            let no = |_: &str, _: &Value| Reply::http(200, r#"{"decision":false}"#);
            add(format!("{suite} {}", row.id), decide(&mut world, &row.request, NOW, no).0);
        }
    }
    let base = REFERENCE.get().expect("whoever runs suites sets the reference configuration");
    for (name, text) in CASES {
        let file = CaseFile::parse(name, text).unwrap_or_else(|error| panic!("{error}"));
        let config = file.config(base, NOW);
        let mut world = World::new(&config);
        for case in &file.cases {
            let wire = case.request(&config, NOW).unwrap_or_else(|error| panic!("{name}: {error}"));
            let no = |_: &str, _: &Value| Reply::http(200, r#"{"decision":false}"#);
            add(format!("{name} {}", case.name), decide(&mut world, &wire, NOW, no).0);
        }
    }
    // Members that the schema does not name are sent as they are.
    let mut world = echo();
    for (index, example) in request["examples"].as_array().expect("examples").iter().enumerate() {
        let mut more = example.clone();
        more["subject"]["more"] = json!({"properties": 1});
        more["resource"]["properties"] = json!({"type": 1, "id": null});
        for (kind, question) in [("as it is", example), ("with more", &more)] {
            let text = question.to_string();
            let yes = |_: &str, _: &Value| Reply::http(200, r#"{"decision":true}"#);
            let (asked, decision) = decide(&mut world, &with(&[("x-question", &text)]), NOW, yes);
            assert!(decision.verdict.is_ok() && asked == [question.clone()], "{question}: {asked:?}");
            add(format!("example {index} {kind}"), asked);
        }
    }
    results
}

/// A yes, a no, or nothing: what the schema refuses is never an answer.
pub fn answers(vectors: &Vectors) -> Vec<CaseResult> {
    let request = published(vectors, "evaluation-request");
    let response = published(vectors, "evaluation-response");
    let question = request["examples"][0].to_string();
    let mut world = echo();
    let bodies = [
        json!({"decision": true}),
        json!({"decision": false}),
        json!({"decision": true, "context": {}}),
        json!({"decision": true, "context": {"id": "0", "reason_user": {"403": "no"}}}),
        json!({"decision": false, "context": {"reason_admin": {"en": "no"}}}),
        json!({"decision": true, "more": [1]}),
        json!({"decision": true, "context": null}),
        json!({"decision": true, "context": []}),
        json!({"decision": true, "context": "none"}),
        json!({"decision": "true"}),
        json!({"decision": 1}),
        json!({"decision": null}),
        json!({"decision": [true]}),
        json!({"decision": {"decision": true}}),
        json!({"Decision": true}),
        json!({"context": {}}),
        json!({}),
        json!([{"decision": true}]),
        json!(true),
        json!("true"),
        json!(null),
    ];
    let mut outcome = |body: &Value| {
        let expected = match (json_schema::check(&response, body), &body["decision"]) {
            (Ok(()), Value::Bool(true)) => 200,
            (Ok(()), _) => 403,
            (Err(_), _) => 503,
        };
        let reply = |_: &str, _: &Value| Reply::http(200, body.to_string());
        let (_, decision) = decide(&mut world, &with(&[("x-question", &question)]), NOW, reply);
        let status = decision.record.status;
        CaseResult {
            id: body.to_string(),
            agrees: status == expected && decision.verdict.is_ok() == (expected == 200),
            note: format!("by the schema: {expected}; ours: {status}"),
        }
    };
    bodies.iter().map(&mut outcome).collect()
}
