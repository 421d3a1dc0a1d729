//! AuthZEN Authorization API 1.0: the Access Evaluation API.

use serde_json::{Map, Value};

use super::{Answer, AnswerError, Question};
use crate::json;
use crate::settings::Pdp;
use crate::step::Call;

/// The members that the specification requires of an evaluation request.
///
/// # Errors
/// The one that is missing or is not text.
pub(super) fn check(id: &str, body: &Map<String, Value>) -> Result<(), String> {
    for (entity, member) in
        [("subject", "type"), ("subject", "id"), ("action", "name"), ("resource", "type"), ("resource", "id")]
    {
        if !body.get(entity).and_then(|entity| entity.get(member)).is_some_and(Value::is_string) {
            return Err(format!("question `{id}` has no `{entity}.{member}`"));
        }
    }
    Ok(())
}

pub(super) fn call(pdp: &Pdp, question: &Question, decision_id: &str) -> Call {
    let header = |name: &str, value: &str| (name.to_owned(), value.to_owned());
    Call {
        cluster: pdp.cluster.clone(),
        headers: vec![
            header(":method", "POST"),
            header(":path", &pdp.path),
            header(":authority", &pdp.host),
            header("content-type", "application/json"),
            header("accept", "application/json"),
            header("x-request-id", decision_id),
        ],
        // A map of JSON values always serialises; an empty body would be answered with an error.
        body: serde_json::to_vec(&question.body).unwrap_or_default(),
        timeout_ms: pdp.timeout_ms,
        max_body: super::MAX_ANSWER,
    }
}

/// Unknown members are ignored, as the specification wants; what is known must be exactly right.
pub(super) fn answer(body: &[u8]) -> Answer {
    let invalid = Answer::Error(AnswerError::Invalid);
    let Ok(mut response) = json::parse_object(body) else { return invalid };
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
