//! Attacks by answers of decision points.

use everycall_core::http::Failure;
use everycall_core::pdp::MAX_ANSWER;
use everycall_core::{Decision, Headers, Reply, Step};
use serde_json::{json, Value};

use super::world::{bearer, came, config, done, token, Row, World, NOW};
use crate::suite::Vectors;

/// A policy that asks one question, or two.
fn asking(questions: &[&str], rule: &str) -> Value {
    let mut config = config();
    let body = r#""subject": {"type": "t", "id": "s"}, "action": {"name": "a"}, "resource": {"type": "t", "id": "r"}"#;
    let asks: Vec<String> =
        questions.iter().map(|id| format!("ask contains {{\"id\": \"{id}\", {body}}} if true")).collect();
    config["bundle"]["inline"]["policies"] =
        json!({"ask.rego": format!("package everycall\n{}\n{rule}\n", asks.join("\n"))});
    config["pdps"]["default"] = json!({"protocol": "authzen", "cluster": "pdp", "host": "pdp"});
    config
}

fn answered(world: &mut World, replies: Vec<Reply>) -> Decision {
    match world.step(&bearer(&token()), NOW) {
        Step::Ask { pending, .. } => done(world.engine.resume(pending, replies, NOW)),
        other => done(other),
    }
}

pub fn a53(row: &mut Row, _: &Vectors) {
    let rules = [
        "decision := {\"allow\": true} if input.pdp.q.decision",
        // Sloppy policies: what is no answer must not be one for them either.
        "decision := {\"allow\": true} if input.pdp.q.decision == true",
        "decision := {\"allow\": true} if input.pdp.q",
        "decision := {\"allow\": true} if not input.pdp.q.decision == false",
        "decision := {\"allow\": true} if not input.pdp.q.error",
    ];
    for rule in rules {
        let mut world = World::new(&asking(&["q"], rule));
        let yes = Reply::http(200, r#"{"decision":true}"#);
        row.is(&format!("yes, {rule}"), &answered(&mut world, vec![yes.clone()]), 200);
        for (name, reply) in bad_answers() {
            let decision = answered(&mut world, vec![reply]);
            row.any(&format!("{name}, {rule}"), &decision, &[403, 503]);
            let logged = decision.record.pdp.first().and_then(|exchange| exchange.answer.clone());
            row.expect(&format!("{name} is logged"), logged.is_some(), "no answer in the record");
        }
    }
    let mut world = World::new(&asking(&["q"], rules[0]));
    row.is("no", &answered(&mut world, vec![Reply::http(200, r#"{"decision":false}"#)]), 403);
    row.any("no reply", &answered(&mut world, Vec::new()), &[403, 503]);
    // Unknown members are no reason to refuse; several answers to one question are not asked for.
    let extra = Reply::http(200, r#"{"decision":true,"context":{"reason":"r"},"evaluations":[]}"#);
    row.is("unknown members", &answered(&mut world, vec![extra]), 200);
    let mut two = World::new(&asking(
        &["q", "r"],
        "decision := {\"allow\": true} if { input.pdp.q.decision; input.pdp.r.decision }",
    ));
    let reply = |decision: bool| Reply::http(200, format!("{{\"decision\":{decision}}}"));
    row.is("two of two", &answered(&mut two, vec![reply(true), reply(true)]), 200);
    row.any("one of two", &answered(&mut two, vec![reply(true)]), &[403, 503]);
    row.any("none of two", &answered(&mut two, vec![]), &[403, 503]);
    row.is("yes and no", &answered(&mut two, vec![reply(true), reply(false)]), 403);
    row.is("no and yes", &answered(&mut two, vec![reply(false), reply(true)]), 403);
    row.is(
        "no, and one more than asked",
        &answered(&mut two, vec![reply(true), reply(false), reply(true)]),
        403,
    );
    let (down, array) = (
        Reply::Failed(Failure::Unavailable),
        Reply::http(200, r#"{"evaluations":[{"decision":true},{"decision":true}]}"#),
    );
    row.any("yes and a failure", &answered(&mut two, vec![reply(true), down]), &[403, 503]);
    row.any("an array for the first", &answered(&mut two, vec![array, reply(true)]), &[403, 503]);
}

fn bad_answers() -> Vec<(&'static str, Reply)> {
    let yes = r#"{"decision":true}"#;
    let moved = |status| Reply::Http {
        status,
        headers: Headers::new(vec![("location".into(), b"https://evil.example/".to_vec())]),
        body: yes.into(),
        trailers: Headers::default(),
    };
    let mut answers = vec![
        ("redirect", moved(302)),
        ("moved", moved(308)),
        ("unreachable", Reply::Failed(Failure::Unavailable)),
        ("too large", Reply::Failed(Failure::TooLarge)),
        ("timeout", Reply::http(504, "upstream request timeout")),
        ("a slow drip that was cut", Reply::http(504, yes)),
    ];
    for status in [201, 202, 204, 206, 400, 401, 403, 404, 429, 500, 502, 503] {
        answers.push(("another status with a yes", Reply::http(status, yes)));
    }
    for body in [
        "",
        "yes",
        "true",
        "null",
        "1",
        "[]",
        "[true]",
        "{}",
        "\"true\"",
        "<html>true</html>",
        "decision=true",
        r#"{"decision":"true"}"#,
        r#"{"decision":"yes"}"#,
        r#"{"decision":1}"#,
        r#"{"decision":null}"#,
        r#"{"decision":[true]}"#,
        r#"{"decision":{"allow":true}}"#,
        r#"{"Decision":true}"#,
        r#"{"DECISION":true}"#,
        r#"{"decision ":true}"#,
        r#"{"allow":true}"#,
        r#"{"result":true}"#,
        r#"{"result":{"decision":true}}"#,
        r#"{"error":"x"}"#,
        r#"{"error":{"status":500}}"#,
        r#"{"context":{"decision":true}}"#,
        r#"{"decision":false,"decision":true}"#,
        r#"{"decision":true,"decision":false}"#,
        r#"{"decision":true,"decision":true}"#,
        r#"{"decision":true}{}"#,
        r#"{"decision":true}x"#,
        r#"{"decision":true"#,
        r#"{"decision":true,}"#,
        r#"{"decision":tru"#,
        r#"{"decision":true}{"decision":false}"#,
        "{\"decision\":true}\0",
        "\u{feff}{\"decision\":true}",
        r#"{"evaluations":[{"decision":true}]}"#,
        r#"[{"decision":true}]"#,
        r#"{"decision":TRUE}"#,
        r#"{'decision':true}"#,
        r#"{"decision":true,"context":[]}"#,
        r#"{"decision":true,"context":"x"}"#,
        r#"{"decision":true,"context":null}"#,
        r#"{"decision":true,"context":{"obligations":[{"id":"x"}]}}"#,
        r#"{"decision":true,"context":{"obligations":"x"}}"#,
    ] {
        answers.push((body, Reply::http(200, body)));
    }
    answers
        .push(("bytes that are no text", Reply::http(200, b"{\"decision\":true,\"x\":\"\xff\"}".to_vec())));
    answers.push((
        "deep",
        Reply::http(200, format!("{{\"decision\":true,\"x\":{}1{}}}", "[".repeat(5_000), "]".repeat(5_000))),
    ));
    answers
}

/// A host that hands in more than it was told to is outside the core's word, but not believed blindly.
pub fn a53_size(row: &mut Row, _: &Vectors) {
    let mut world = World::new(&asking(&["q"], "decision := {\"allow\": true} if input.pdp.q.decision"));
    match world.step(&bearer(&token()), NOW) {
        Step::Ask { calls, pending } => {
            let most = calls.iter().map(|call| call.max_body).max().unwrap_or_default();
            row.expect("the largest body", (1..=MAX_ANSWER).contains(&most), most);
            let timeouts = calls.iter().all(|call| (1..=60_000).contains(&call.timeout_ms));
            row.expect("a timeout", timeouts, "there is none");
            drop(pending);
        }
        other => row.expect("a question", false, came(&done(other))),
    }
}
