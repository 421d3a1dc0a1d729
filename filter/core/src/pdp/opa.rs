//! The Data API of Open Policy Agent: `POST /v1/data/PATH` with an `input`, a `result` back.

use serde_json::{json, Map, Value};

use super::{
    authzen, json_body, json_headers, json_object, Answer, AnswerError, PathRule, Protocol, Question,
};

pub(super) static PROTOCOL: Protocol = Protocol {
    path: PathRule::Needed("`/v1/data/` and the rule, such as `/v1/data/shop/allow`"),
    told: None,
    check,
    headers: json_headers,
    body: |_, question, _| json_body(&document(question)),
    answer: |reply| json_object(reply).map_or_else(Answer::Error, answer),
    #[cfg(feature = "cases")]
    played: super::Played {
        is_asked: |call| super::asks_in_json(call, true),
        says: |yes| crate::http::call::Reply::http(200, format!(r#"{{"result":{yes}}}"#)),
    },
};

/// Members of a result that ask for a change of request or response: conventions of OPA's Envoy plugin.
const ORDERS: [&str; 7] = [
    "headers",
    "request_headers_to_remove",
    "response_headers_to_add",
    "query_parameters_to_set",
    "query_parameters_to_remove",
    "body",
    "http_status",
];

/// Any `input` is taken in the place of the entities.
fn check(question: &Question) -> Result<(), String> {
    if !question.body.contains_key("input") {
        return question.has_entities();
    }
    if question.body.len() > 1 {
        return Err(format!("question `{}` has `input` and other members", question.id));
    }
    Ok(())
}

/// The document: the question's own `input`, or all of the question.
fn document(question: &Question) -> Value {
    match question.body.get("input") {
        Some(input) => json!({"input": input}),
        None => json!({"input": question.body}),
    }
}

/// A boolean `result` is the decision; in an object it is `allow`, or `decision` as in AuthZEN. Without
/// a `result` the rule is undefined: a no, since in OPA nothing is allowed that no rule allows.
fn answer(mut response: Map<String, Value>) -> Answer {
    let mut answer = match response.remove("result") {
        None => Answer::Decision { decision: false, context: Map::new(), obligations: false },
        Some(Value::Bool(decision)) => Answer::Decision { decision, context: Map::new(), obligations: false },
        Some(Value::Object(result)) => of_object(result),
        Some(_) => Answer::Error(AnswerError::Invalid),
    };
    if let (Answer::Decision { context, .. }, Some(Value::String(id))) =
        (&mut answer, response.remove("decision_id"))
    {
        context.entry("decision_id").or_insert(Value::String(id));
    }
    answer
}

fn of_object(mut result: Map<String, Value>) -> Answer {
    match (result.remove("allow"), result.contains_key("decision")) {
        (None, true) => authzen::decision(result),
        (Some(Value::Bool(decision)), false) => {
            let ordered: Vec<Value> = ORDERS
                .iter()
                .filter(|name| result.get(**name).is_some_and(|order| !is_empty(order)))
                .map(|name| Value::from(*name))
                .collect();
            if !ordered.is_empty() && !authzen::has_obligations(&result) {
                result.insert("obligations".to_owned(), Value::Array(ordered));
            }
            let obligations = authzen::has_obligations(&result);
            Answer::Decision { decision, context: result, obligations }
        }
        _ => Answer::Error(AnswerError::Invalid),
    }
}

fn is_empty(order: &Value) -> bool {
    match order {
        Value::Null => true,
        Value::String(text) => text.is_empty(),
        Value::Array(items) => items.is_empty(),
        Value::Object(members) => members.is_empty(),
        Value::Bool(_) | Value::Number(_) => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::http::call::Reply;

    fn of(body: &str) -> Answer {
        (PROTOCOL.answer)(&Reply::http(200, body))
    }

    #[test]
    fn a_boolean_or_an_object_with_one_is_an_answer() {
        for (body, decision, context) in [
            (r#"{"result":true}"#, true, json!({})),
            (r#"{"result":false}"#, false, json!({})),
            (r#"{}"#, false, json!({})),
            (r#"{"warning":{"code":"api_usage_warning"}}"#, false, json!({})),
            (r#"{"result":true,"decision_id":"d"}"#, true, json!({"decision_id": "d"})),
            (r#"{"result":{"allow":true,"limit":100}}"#, true, json!({"limit": 100})),
            (r#"{"result":{"allow":false,"headers":{}}}"#, false, json!({"headers": {}})),
            (r#"{"result":{"decision":true,"context":{"a":1}}}"#, true, json!({"a": 1})),
        ] {
            let Answer::Decision { decision: got, context: seen, obligations } = of(body) else {
                panic!("{body}");
            };
            assert_eq!((got, Value::Object(seen), obligations), (decision, context, false), "{body}");
        }
    }

    #[test]
    fn anything_else_is_invalid() {
        for body in [
            "",
            "true",
            "null",
            r#"{"result":"true"}"#,
            r#"{"result":1}"#,
            r#"{"result":null}"#,
            r#"{"result":[]}"#,
            r#"{"result":[true]}"#,
            r#"{"result":{}}"#,
            r#"{"result":{"allow":"true"}}"#,
            r#"{"result":{"allow":1}}"#,
            r#"{"result":{"allow":null}}"#,
            r#"{"result":{"allow":true,"decision":true}}"#,
            r#"{"result":{"allowed":true}}"#,
            r#"{"result":{"decision":"true"}}"#,
            r#"{"result":{"decision":true,"context":1}}"#,
            r#"{"result":false,"result":true}"#,
            r#"{"result":true}x"#,
            r#"{"result":true"#,
        ] {
            assert_eq!(of(body), Answer::Error(AnswerError::Invalid), "{body}");
        }
    }

    #[test]
    fn orders_turn_a_yes_into_a_no() {
        for order in [
            r#""headers":{"x":"y"}"#,
            r#""request_headers_to_remove":["x"]"#,
            r#""obligations":["x"]"#,
            r#""http_status":200"#,
        ] {
            let answer = of(&format!(r#"{{"result":{{"allow":true,{order}}}}}"#));
            assert!(matches!(answer, Answer::Decision { obligations: true, .. }), "{order}");
            assert_eq!(answer.to_json()["decision"], false);
            assert_eq!(
                Answer::from_json(&answer.to_json()).map(|answer| answer.to_json()),
                Some(answer.to_json())
            );
        }
        let inside = of(r#"{"result":{"decision":true,"context":{"obligations":["x"]}}}"#);
        assert!(matches!(inside, Answer::Decision { obligations: true, .. }));
    }
}
