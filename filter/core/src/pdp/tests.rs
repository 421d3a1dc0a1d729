//! All protocols side by side.

use super::*;
use crate::http::request::Headers;

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
    serde_json::from_value(json!({"protocol": protocol.name(), "cluster": "c", "host": "h"})).unwrap()
}

/// One that says yes or no.
fn reply(protocol: PdpProtocol, yes: bool) -> Reply {
    let headers = |name: &str, value: &str| Headers::new(vec![(name.to_owned(), value.as_bytes().to_vec())]);
    match protocol {
        PdpProtocol::Authzen => Reply::http(200, json!({"decision": yes}).to_string()),
        PdpProtocol::Opa => Reply::http(200, json!({"result": yes}).to_string()),
        PdpProtocol::ExtAuthz => Reply::Http {
            status: 200,
            headers: headers("content-type", "application/grpc"),
            body: grpc::frame(&[0x0a, 2, 8, if yes { 0 } else { 7 }]),
            trailers: headers("grpc-status", "0"),
        },
    }
}

#[test]
fn a_plain_reply_is_an_answer_in_its_protocol_and_no_yes_in_another() {
    for spoken in PdpProtocol::ALL.iter().copied() {
        for heard in PdpProtocol::ALL.iter().copied() {
            for yes in [true, false] {
                let answer = answer(&pdp(heard), &reply(spoken, yes), &mut MAX_ANSWER.clone()).to_json();
                if spoken == heard {
                    assert_eq!(answer["decision"], yes, "{spoken:?}")
                } else {
                    assert_ne!(answer["decision"], true, "{spoken:?} heard as {heard:?}")
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
