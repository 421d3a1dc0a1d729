//! AuthZEN Authorization API 1.0: the Access Evaluation API.

use serde_json::{Map, Value};

use super::{json_body, json_headers, json_object, Answer, AnswerError, PathRule, Protocol};

pub(super) static PROTOCOL: Protocol = Protocol {
    path: PathRule::Default("/access/v1/evaluation"),
    told: None,
    check: |question| question.has_no_input().and_then(|()| question.has_entities()),
    headers: json_headers,
    body: |_, question, _| json_body(&question.body),
    answer: |reply| json_object(reply).map_or_else(Answer::Error, decision),
    #[cfg(feature = "cases")]
    played: super::Played {
        is_asked: |call| super::asks_in_json(call, false),
        says: |yes| crate::http::call::Reply::http(200, format!(r#"{{"decision":{yes}}}"#)),
    },
};

/// An object with `decision`, and maybe `context`. Unknown members are ignored, as the specification wants; what is
/// known must be exactly right.
pub(super) fn decision(mut response: Map<String, Value>) -> Answer {
    let invalid = Answer::Error(AnswerError::Invalid);
    let Some(Value::Bool(decision)) = response.get("decision").cloned() else { return invalid };
    let context = match response.remove("context") {
        None => Map::new(),
        Some(Value::Object(context)) => context,
        Some(_) => return invalid,
    };
    let obligations = has_obligations(&context);
    Answer::Decision { decision, context, obligations }
}

/// Anything but an absent or empty list: what can't be read can't be fulfilled.
pub(super) fn has_obligations(context: &Map<String, Value>) -> bool {
    !matches!(context.get("obligations"), None | Some(Value::Null))
        && context.get("obligations") != Some(&Value::Array(Vec::new()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::http::call::Reply;

    fn answer(body: &[u8]) -> Answer {
        (PROTOCOL.answer)(&Reply::http(200, body))
    }

    #[test]
    fn only_a_boolean_decision_is_an_answer() {
        let yes = answer(br#"{"decision":true,"context":{"reason":"r"},"extra":1}"#);
        assert!(matches!(yes, Answer::Decision { decision: true, obligations: false, .. }));
        assert!(matches!(answer(br#"{"decision":false}"#), Answer::Decision { decision: false, .. }));
        for bad in [
            "",
            "{}",
            "null",
            "true",
            "[]",
            "nope",
            r#"{"decision":"true"}"#,
            r#"{"decision":1}"#,
            r#"{"decision":null}"#,
            r#"{"decision":false,"decision":true}"#,
            r#"{"decision":true}{}"#,
            r#"{"decision":true,"context":[]}"#,
            r#"{"Decision":true}"#,
            r#"{"decision":true,"context":null}"#,
        ] {
            assert_eq!(answer(bad.as_bytes()), Answer::Error(AnswerError::Invalid), "{bad}");
        }
    }

    #[test]
    fn obligations_turn_a_yes_into_a_no() {
        for text in [r#"[{"id":"x"}]"#, r#"{"a":1}"#, r#""x""#, "true"] {
            let body = format!(r#"{{"decision":true,"context":{{"obligations":{text}}}}}"#);
            let answer = answer(body.as_bytes());
            assert!(matches!(answer, Answer::Decision { obligations: true, .. }), "{text}");
            assert_eq!(answer.to_json()["decision"], Value::Bool(false));
        }
        let none = answer(br#"{"decision":true,"context":{"obligations":[]}}"#);
        assert!(matches!(none, Answer::Decision { obligations: false, .. }));
    }
}
