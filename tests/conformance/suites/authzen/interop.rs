//! The decisions of the working group's todo application. A policy asks each question with the members that
//! it was published with; the decision point answers as published.

use serde_json::{json, Value};

use super::{Row, Scenario};
use crate::suite::Vectors;
use crate::suites::attacks::world::{add_grant, anonymous, config, get};

const FOLDER: &str = "authzen/interop/authzen-todo-backend/test";
const FILES: [&str; 4] = [
    "decisions",
    "decisions-authorization-api-1_0-00",
    "decisions-authorization-api-1_0-01",
    "decisions-authorization-api-1_0-02",
];

const POLICY: &str = r#"package everycall

questions := data.questions[input.request.segments[0]]

ask contains question if some question in questions

decision := {"allow": true, "reason": "todo"} if {
	every question in questions { input.pdp[question.id].decision }
}
"#;

pub fn scenario(vectors: &Vectors) -> Scenario {
    let mut config = config();
    config["pdps"] = json!({"default": {"protocol": "authzen", "cluster": "pdp", "host": "pdp"}});
    config["bundle"]["inline"]["policies"] = json!({"todo.rego": POLICY});
    config["bundle"]["inline"]["data"] = json!({"questions": {}});
    add_grant(&mut config, anonymous());
    let mut scenario = Scenario { config, rows: Vec::new() };
    for file in FILES {
        let all = vectors.json(&format!("{FOLDER}/{file}.json"));
        let list = |name: &str| all[name].as_array().cloned().unwrap_or_default();
        for (index, case) in list("evaluation").into_iter().chain(list("decisions")).enumerate() {
            scenario
                .add(&format!("{file}-{index}"), vec![(case["request"].clone(), case["expected"].as_bool())]);
        }
        // Of a boxcarred request each member is a question of its own, all of one round.
        for (index, case) in list("evaluations").into_iter().enumerate() {
            let members = case["request"]["evaluations"].as_array().expect("evaluations");
            let expected = case["expected"].as_array().expect("a decision for each");
            let asks = members.iter().zip(expected).map(|(member, expected)| {
                let mut question = case["request"].as_object().expect("an object").clone();
                question.remove("evaluations");
                question.extend(member.as_object().expect("an object").clone());
                (Value::Object(question), expected["decision"].as_bool())
            });
            scenario.add(&format!("{file}-evaluations-{index}"), asks.collect());
        }
    }
    scenario
}

impl Scenario {
    fn add(&mut self, id: &str, asks: Vec<(Value, Option<bool>)>) {
        assert!(asks.iter().all(|(_, decision)| decision.is_some()), "{id}: a decision is a boolean");
        let with_id = |(index, (question, _)): (usize, &(Value, _))| {
            let mut question = question.clone();
            question["id"] = json!(format!("todo-{index}"));
            question
        };
        let questions: Vec<Value> = asks.iter().enumerate().map(with_id).collect();
        self.config["bundle"]["inline"]["data"]["questions"][id] = json!(questions);
        let status = if asks.iter().all(|(_, decision)| *decision == Some(true)) { 200 } else { 403 };
        self.rows.push(Row { id: id.to_owned(), request: get(&format!("/{id}")), asks, status, code: None });
    }
}
