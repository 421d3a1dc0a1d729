//! All protocols side by side.

use super::*;

fn question(text: &str) -> Question {
    Question::read(serde_json::from_str(text).unwrap()).unwrap()
}

const ENTITY: &str =
    r#""subject":{"type":"t","id":"s"},"action":{"name":"a"},"resource":{"type":"t","id":"r"}"#;

#[test]
fn each_protocol_takes_its_questions_and_no_others() {
    use PdpProtocol::{Authzen, ExtAuthz, Opa};
    for (members, takers) in [
        (ENTITY.to_owned(), &[Authzen, Opa, ExtAuthz][..]),
        (r#""input":{"a":1}"#.to_owned(), &[Opa]),
        (format!(r#"{ENTITY},"input":{{}}"#), &[]),
        (r#""subject":{"type":"t","id":"s"}"#.to_owned(), &[ExtAuthz]),
        (ENTITY.replace(r#""id":"r""#, r#""id":1"#), &[ExtAuthz]),
        (ENTITY.replace(r#""name":"a""#, r#""name":"a","properties":{"b":1}"#), &[Authzen, Opa, ExtAuthz]),
        (ENTITY.replace(r#""name":"a""#, r#""name":"a","properties":[]"#), &[ExtAuthz]),
        (ENTITY.replace(r#""id":"s""#, r#""id":"s","properties":null"#), &[ExtAuthz]),
        (r#""context":{}"#.to_owned(), &[ExtAuthz]),
    ] {
        let question = question(&format!(r#"{{"id":"q",{members}}}"#));
        for protocol in [Authzen, Opa, ExtAuthz] {
            assert_eq!(
                question.check(protocol).is_ok(),
                takers.contains(&protocol),
                "{protocol:?} {members}"
            );
        }
    }
}

fn pdp(protocol: PdpProtocol) -> Pdp {
    Pdp {
        protocol,
        cluster: "c".into(),
        host: "h".into(),
        path: "/p".into(),
        headers: None,
        timeout_ms: 1,
        max_in_flight: 1,
        connect_retries: 0,
        breaker: None,
    }
}

#[test]
fn a_plain_reply_is_an_answer_in_its_protocol_and_no_yes_in_another() {
    let all = [PdpProtocol::Authzen, PdpProtocol::Opa, PdpProtocol::ExtAuthz];
    for spoken in all {
        for heard in all {
            for yes in [true, false] {
                let answer = answer(&pdp(heard), &spoken.reply(yes), &mut MAX_ANSWER.clone()).to_json();
                match spoken == heard {
                    true => assert_eq!(answer["decision"], yes, "{spoken:?}"),
                    false => assert_ne!(answer["decision"], true, "{spoken:?} heard as {heard:?}"),
                }
            }
        }
    }
}

#[test]
fn what_a_caller_can_bring_about_is_no_outage() {
    let life = |status: u16| {
        answer(&pdp(PdpProtocol::Authzen), &Reply::http(status, ""), &mut MAX_ANSWER.clone())
            .is_sign_of_life()
    };
    for status in [400, 401, 403, 404, 413, 422] {
        assert!(life(status), "{status}");
    }
    for status in [200, 204, 302, 408, 429, 500, 502, 503, 504] {
        assert!(!life(status), "{status}");
    }
}
