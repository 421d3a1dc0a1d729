//! Envoy's external authorization over gRPC, `envoy.service.auth.v3.Authorization/Check`: the request
//! that waits, as Envoy's own filter would describe it, with the question beside it.
//!
//! Field numbers are those of `external_auth.proto` and `attribute_context.proto`.

use serde_json::{json, Map, Number, Value};

use super::{grpc, Answer, AnswerError, Asker, PathRule, Pdp, Protocol, Question};
use crate::base::protobuf::{fields, Broken, Field, Message};
use crate::base::time::UnixTime;
use crate::http::attributes::{self, DESTINATION_IP, PEER_ID, SNI, SOURCE_IP, TLS_VERSION};

/// It tells of the request anyway, whatever the question is.
pub(super) static PROTOCOL: Protocol = Protocol {
    path: PathRule::Only("/envoy.service.auth.v3.Authorization/Check"),
    told: Some(&[SOURCE_IP, PEER_ID, DESTINATION_IP, attributes::PROTOCOL, SNI, TLS_VERSION]),
    check: Question::has_no_input,
    headers: |pdp| grpc::headers(*pdp.timeout_ms),
    body: |pdp, question, asker| grpc::frame(&request(pdp, question, asker)),
    answer: |reply| grpc::message(reply).map_or_else(Answer::Error, answer),
    #[cfg(feature = "cases")]
    played: super::Played {
        is_asked: |call| call.headers.iter().any(|(_, value)| value == "application/grpc"),
        says,
    },
};

/// `CheckResponse` with a status of OK or PERMISSION_DENIED, in one frame.
#[cfg(feature = "cases")]
fn says(yes: bool) -> crate::http::call::Reply {
    use crate::http::call::Reply;
    use crate::http::request::Headers;

    let header = |name: &str, value: &str| Headers::new(vec![(name.to_owned(), value.as_bytes().to_vec())]);
    Reply::Http {
        status: 200,
        headers: header("content-type", "application/grpc"),
        body: vec![0, 0, 0, 0, 4, 0x0a, 2, 0x08, if yes { 0 } else { 7 }],
        trailers: header("grpc-status", "0"),
    }
}

/// How deep metadata may nest.
const MAX_DEPTH: usize = 32;

/// `CheckRequest`.
fn request(pdp: &Pdp, question: &Question, asker: &Asker<'_>) -> Vec<u8> {
    let attribute =
        |name: &str| asker.request.connection.get(name).and_then(Value::as_str).unwrap_or_default();
    let mut source = peer(attribute(SOURCE_IP));
    source.text(4, attribute(PEER_ID));

    let mut request = Message::default();
    request.message(1, &timestamp(asker.now));
    request.message(2, &http(pdp, asker));

    let mut attributes = Message::default();
    attributes.message(1, &source);
    attributes.message(2, &peer(attribute(DESTINATION_IP)));
    attributes.message(4, &request);
    for (key, value) in extensions(question) {
        attributes.entry(10, &key, &value);
    }
    if !attribute(SNI).is_empty() {
        let mut session = Message::default();
        session.text(1, attribute(SNI));
        attributes.message(12, &session);
    }
    let mut check = Message::default();
    check.message(1, &attributes);
    check.into_bytes()
}

/// `AttributeContext.Peer` with the address, if it is known.
fn peer(ip: &str) -> Message {
    let mut peer = Message::default();
    if !ip.is_empty() {
        let mut socket = Message::default();
        socket.text(2, ip);
        // The port is not known; one of the ways to say it must be there.
        socket.number(3, 0);
        let mut address = Message::default();
        address.message(1, &socket);
        peer.message(1, &address);
    }
    peer
}

fn timestamp(now: UnixTime) -> Message {
    let mut time = Message::default();
    time.number(1, u64::try_from(now.secs()).unwrap_or_default());
    let micros = now.micros().rem_euclid(1_000_000);
    time.number(2, u64::try_from(micros).unwrap_or_default().saturating_mul(1_000));
    time
}

/// `AttributeContext.HttpRequest`.
fn http(pdp: &Pdp, asker: &Asker<'_>) -> Message {
    let mut merged: Vec<(&str, String)> = Vec::new();
    for (name, value) in asker.request.headers().iter() {
        let told = match &pdp.headers {
            Some(names) => names.iter().any(|told| told == name),
            None => !(asker.is_secret)(name) && name != "cookie",
        };
        if !told && !name.starts_with(':') {
            continue;
        }
        // As Envoy does: a text holds no other bytes, and repeated headers are one list.
        let value = String::from_utf8_lossy(value);
        match merged.iter_mut().find(|(other, _)| *other == name) {
            Some((_, all)) => {
                all.push_str(if name == "cookie" { "; " } else { "," });
                all.push_str(&value);
            }
            None => merged.push((name, value.into_owned())),
        }
    }
    let header = |name: &str| {
        merged.iter().find(|(other, _)| *other == name).map(|(_, value)| value.as_str()).unwrap_or_default()
    };
    let mut http = Message::default();
    http.text(1, asker.decision_id);
    http.text(2, header(":method"));
    for (name, value) in &merged {
        http.entry(3, name, value);
    }
    http.text(4, header(":path"));
    http.text(5, header(":authority"));
    http.text(6, asker.request.connection.scheme());
    // Not known: it has not come yet.
    http.number(9, u64::MAX);
    let protocol = asker.request.connection.get(attributes::PROTOCOL).and_then(Value::as_str);
    http.text(10, protocol.unwrap_or_default());
    http
}

/// `context_extensions`: what of the question is text.
fn extensions(question: &Question) -> Vec<(String, String)> {
    let mut all = vec![("id".to_owned(), question.id.clone())];
    for (entity, member) in super::ENTITIES {
        if let Some(text) = question.body.get(entity).and_then(|entity| entity.get(member)?.as_str()) {
            all.push((format!("{entity}.{member}"), text.to_owned()));
        }
    }
    let context = question.body.get("context").and_then(Value::as_object);
    for (name, value) in context.into_iter().flatten() {
        if let Value::String(text) = value {
            all.push((format!("context.{name}"), text.clone()));
        }
    }
    all
}

/// `CheckResponse`: the decision is its status, which must be there. Whatever else a yes asks for can't be
/// fulfilled here, and counts as an obligation.
fn answer(message: &[u8]) -> Answer {
    response(message).unwrap_or(Answer::Error(AnswerError::Invalid))
}

fn response(message: &[u8]) -> Result<Answer, Broken> {
    let (mut status, mut metadata, mut denied) = (None, None, false);
    let mut obligations: Vec<Value> = Vec::new();
    for (number, field) in fields(message)? {
        match number {
            1 => once(&mut status, read_status(field.as_bytes()?)?)?,
            2 => denied = true,
            3 => {
                for (number, field) in fields(field.as_bytes()?)? {
                    match number {
                        2 => obligations.push("headers".into()),
                        3 => once(&mut metadata, read_struct(field.as_bytes()?, 0)?)?,
                        5 => obligations.push("headers_to_remove".into()),
                        6 => obligations.push("response_headers_to_add".into()),
                        7 => obligations.push("query_parameters_to_set".into()),
                        8 => obligations.push("query_parameters_to_remove".into()),
                        other => obligations.push(format!("ok_response field {other}").into()),
                    }
                }
            }
            4 => once(&mut metadata, read_struct(field.as_bytes()?, 0)?)?,
            other => obligations.push(format!("field {other}").into()),
        }
    }
    let (code, text) = status.ok_or(Broken)?;
    let decision = code == 0;
    if decision && denied {
        return Err(Broken);
    }
    let mut context = Map::new();
    context.insert("code".to_owned(), json!(code));
    if !text.is_empty() {
        context.insert("message".to_owned(), Value::from(text));
    }
    if let Some(metadata) = metadata {
        context.insert("metadata".to_owned(), Value::Object(metadata));
    }
    obligations.dedup();
    let obliged = decision && !obligations.is_empty();
    if obliged {
        context.insert("obligations".to_owned(), Value::Array(obligations));
    }
    Ok(Answer::Decision { decision, context, obligations: obliged })
}

/// Of two values the readers of protobuf take the last, or mix them: so there is one.
fn once<T>(place: &mut Option<T>, value: T) -> Result<(), Broken> {
    match place.replace(value) {
        None => Ok(()),
        Some(_) => Err(Broken),
    }
}

/// `google.rpc.Status`: code and message.
fn read_status(bytes: &[u8]) -> Result<(u64, String), Broken> {
    let (mut code, mut text) = (None, None);
    for (number, field) in fields(bytes)? {
        match number {
            1 => once(&mut code, field.as_number()?)?,
            2 => once(&mut text, field.as_text()?.to_owned())?,
            _ => {}
        }
    }
    Ok((code.unwrap_or_default(), text.unwrap_or_default()))
}

/// `google.protobuf.Struct`.
fn read_struct(bytes: &[u8], depth: usize) -> Result<Map<String, Value>, Broken> {
    let mut members = Map::new();
    for (number, field) in fields(bytes)? {
        if number != 1 {
            return Err(Broken);
        }
        let (mut name, mut value) = (None, None);
        for (number, field) in fields(field.as_bytes()?)? {
            match number {
                1 => once(&mut name, field.as_text()?.to_owned())?,
                2 => once(&mut value, read_value(field.as_bytes()?, depth)?)?,
                _ => return Err(Broken),
            }
        }
        if members.insert(name.unwrap_or_default(), value.unwrap_or_default()).is_some() {
            return Err(Broken);
        }
    }
    Ok(members)
}

/// `google.protobuf.Value`.
fn read_value(bytes: &[u8], depth: usize) -> Result<Value, Broken> {
    let depth = depth.saturating_add(1);
    let [(number, field)] = fields(bytes)?.try_into().map_err(|_| Broken)?;
    if depth > MAX_DEPTH {
        return Err(Broken);
    }
    Ok(match (number, field) {
        (1, Field::Varint(_)) => Value::Null,
        (2, Field::Fixed64(bits)) => Value::Number(Number::from_f64(f64::from_bits(bits)).ok_or(Broken)?),
        (3, field) => Value::from(field.as_text()?),
        (4, Field::Varint(value)) => Value::Bool(value != 0),
        (5, field) => Value::Object(read_struct(field.as_bytes()?, depth)?),
        (6, field) => {
            let mut items = Vec::new();
            for (number, field) in fields(field.as_bytes()?)? {
                match number {
                    1 => items.push(read_value(field.as_bytes()?, depth)?),
                    _ => return Err(Broken),
                }
            }
            Value::Array(items)
        }
        _ => return Err(Broken),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn message(build: impl FnOnce(&mut Message)) -> Message {
        let mut message = Message::default();
        build(&mut message);
        message
    }

    fn with_status(code: u64, build: impl FnOnce(&mut Message)) -> Answer {
        let status = message(|status| {
            status.number(1, code);
            status.text(2, "why");
        });
        let response = message(|response| {
            response.message(1, &status);
            build(response);
        });
        answer(&response.into_bytes())
    }

    fn decided(answer: Answer) -> (bool, bool, Value) {
        match answer {
            Answer::Decision { decision, context, obligations } => {
                (decision, obligations, Value::Object(context))
            }
            Answer::Error(error) => panic!("{error:?}"),
        }
    }

    #[test]
    fn the_status_decides() {
        assert_eq!(decided(with_status(0, |_| {})), (true, false, json!({"code": 0, "message": "why"})));
        for code in [1, 7, 14, 16, u64::MAX] {
            assert!(!decided(with_status(code, |_| {})).0, "{code}");
        }
        assert!(decided(answer(&[0x0a, 0x02, 0x08, 0x00])).0);
        assert!(decided(answer(&[0x0a, 0x00])).0, "a status with the default code");
        // A no may come with an answer of its own; ours is given.
        assert!(
            !decided(with_status(7, |response| response.message(2, &message(|denied| denied.text(3, "x")))))
                .0
        );
        assert!(!decided(with_status(7, |response| response.message(3, &Message::default()))).0);
    }

    #[test]
    fn without_one_clear_status_it_is_invalid() {
        for bytes in [
            &[][..],
            &[0x0a],
            &[0x0a, 0x05, 0x08, 0x00],
            &[0x08, 0x00],
            &[0x0a, 0x02, 0x0a, 0x00],
            &[0x0a, 0x04, 0x08, 0x00, 0x08, 0x00],
            &[0x0a, 0x02, 0x08, 0x00, 0x0a, 0x02, 0x08, 0x07],
            &[0x0a, 0x02, 0x08, 0x07, 0x0a, 0x02, 0x08, 0x00],
            &[0x0a, 0x02, 0x08, 0x00, 0xff],
            &[0x1a, 0x00],
            &[0x0a, 0x02, 0x08, 0x00, 0x18, 0x01],
            &[0x0b],
            b"{\"decision\":true}",
            b"<html>",
        ] {
            assert_eq!(answer(bytes), Answer::Error(AnswerError::Invalid), "{bytes:?}");
        }
        let contradiction = with_status(0, |response| response.message(2, &Message::default()));
        assert_eq!(contradiction, Answer::Error(AnswerError::Invalid));
    }

    #[test]
    fn a_yes_that_asks_for_changes_is_no_yes() {
        for field in [1, 2, 4, 5, 6, 7, 8, 9] {
            let order = message(|ok| ok.text(field, "x"));
            let answer = with_status(0, |response| response.message(3, &order));
            assert_eq!(answer.to_json()["decision"], false, "{field}");
            assert!(decided(answer).1, "{field}");
        }
        assert!(decided(with_status(0, |response| response.text(9, "what is this"))).1);
        assert!(!decided(with_status(0, |response| response.message(3, &Message::default()))).1);
    }

    #[test]
    fn metadata_is_context() {
        let value = |build: &dyn Fn(&mut Message)| message(|value| build(value));
        let member = |name: &str, value: &Message| {
            message(|entry| {
                entry.text(1, name);
                entry.message(2, value);
            })
        };
        let list = value(&|v| v.message(6, &message(|list| list.message(1, &value(&|v| v.number(1, 0))))));
        let metadata = message(|all| {
            all.message(1, &member("text", &value(&|v| v.text(3, "x"))));
            all.message(1, &member("yes", &value(&|v| v.number(4, 1))));
            all.message(1, &member("list", &list));
            all.message(1, &member("empty", &value(&|v| v.message(5, &Message::default()))));
        });
        let (decision, obligations, context) =
            decided(with_status(0, |response| response.message(4, &metadata)));
        assert!(decision && !obligations);
        assert_eq!(context["metadata"], json!({"text": "x", "yes": true, "list": [null], "empty": {}}));
        let twice = message(|all| {
            for _ in 0..2 {
                all.message(1, &member("a", &value(&|v| v.number(4, 1))));
            }
        });
        assert_eq!(with_status(0, |r| r.message(4, &twice)), Answer::Error(AnswerError::Invalid));
        let mut deep = value(&|v| v.number(1, 0));
        for _ in 0..40 {
            deep = message(|v| v.message(6, &message(|list| list.message(1, &deep))));
        }
        let deep = message(|all| all.message(1, &member("a", &deep)));
        assert_eq!(with_status(0, |r| r.message(4, &deep)), Answer::Error(AnswerError::Invalid));
    }
}
