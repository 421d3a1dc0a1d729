use serde_json::json;

use super::*;
use crate::http::request::IDENTITY_HEADERS;

fn read(written: Value, allow: bool) -> Result<Obligations, Reason> {
    let Value::Object(written) = written else { panic!("{written}") };
    Obligations::read(written, allow).map_err(|failure| failure.reason)
}

fn is_invalid(written: &Value, allow: bool) -> bool {
    read(written.clone(), allow) == Err(Reason::ObligationInvalid)
}

#[test]
fn what_is_well_formed_is_taken() {
    let all = read(
        json!({"request_headers": {"set": {"x-tenant": "a b"}, "remove": ["x-old"]},
                   "response_headers": {"remove": ["server"]}, "max_stream_s": 60}),
        true,
    )
    .unwrap();
    assert_eq!(all.request_headers.names().collect::<Vec<_>>(), ["x-tenant", "x-old"]);
    assert_eq!(all.max_stream_s, Some(60));
    assert_eq!(all.written.len(), 3);
    let all = read(json!({"response": {"status": 404}, "response_headers": {"set": {"x-a": "b"}}}), false);
    assert_eq!(all.unwrap().reason_of_refusal(), Reason::PolicyDenied);
    let step_up = read(json!({"step_up": {"acr_values": ["a", "b"], "max_age": 0, "scope": "c d"}}), false);
    let step_up = step_up.unwrap();
    assert_eq!(step_up.reason_of_refusal(), Reason::StepUpRequired);
    let parameters = step_up.step_up.unwrap().parameters();
    assert_eq!(parameters, r#", acr_values="a b", max_age="0", scope="c d""#);
}

#[test]
fn unknown_ones_are_refused_with_either_outcome() {
    for allow in [true, false] {
        for name in ["mask", "", "Request_headers", "response_header"] {
            assert_eq!(read(json!({name: {}}), allow), Err(Reason::ObligationUnknown), "{name}");
        }
    }
}

#[test]
fn each_makes_sense_for_one_outcome_only() {
    for (name, value) in [("request_headers", json!({})), ("max_stream_s", json!(1))] {
        assert!(read(json!({name: value}), true).is_ok(), "{name}");
        assert!(is_invalid(&json!({name: value}), false), "{name}");
    }
    for (name, value) in [("response", json!({"status": 403})), ("step_up", json!({"max_age": 1}))] {
        assert!(read(json!({name: value}), false).is_ok(), "{name}");
        assert!(is_invalid(&json!({name: value}), true), "{name}");
    }
    assert!(is_invalid(&json!({"response": {"status": 403}, "step_up": {"max_age": 1}}), false));
    assert!(is_invalid(&json!({"response_headers": {"remove": ["x-a"]}}), false));
    for name in ["content-type", "cache_control", "www-authenticate"] {
        let changes = json!({"response_headers": {"set": {name: "a"}}});
        assert!(read(changes.clone(), true).is_ok(), "{name}");
        assert!(is_invalid(&changes, false), "{name}");
    }
}

#[test]
fn forbidden_headers_are_refused_in_every_spelling() {
    let prefixed = FORBIDDEN_PREFIXES.iter().map(|prefix| format!("{prefix}x"));
    let names = FORBIDDEN_HEADERS.iter().chain(REMOVED_HEADERS).map(|name| (*name).to_owned());
    for name in names.chain(prefixed) {
        for name in [name.replace('-', "_"), name.replacen('-', ".", 1), name.to_ascii_uppercase(), name] {
            for block in ["request_headers", "response_headers"] {
                assert!(is_invalid(&json!({block: {"set": {&name: "a"}}}), true), "{block}: {name}");
                assert!(is_invalid(&json!({block: {"remove": [&name]}}), true), "{block}: {name}");
            }
        }
    }
}

#[test]
fn who_the_upstream_is_to_take_for_the_caller_is_for_policies_to_say() {
    for name in IDENTITY_HEADERS {
        assert!(read(json!({"request_headers": {"set": {*name: "a"}}}), true).is_ok(), "{name}");
        assert!(read(json!({"request_headers": {"remove": [*name]}}), true).is_ok(), "{name}");
    }
}

#[test]
fn names_and_values_cannot_leave_their_place() {
    for name in ["", ":path", "X-A", "x a", "x-a:", "x-a\r\nx-b", "x\0", "x-\u{e9}", &"a".repeat(65)] {
        assert!(is_invalid(&json!({"request_headers": {"set": {name: "a"}}}), true), "{name:?}");
        assert!(is_invalid(&json!({"response_headers": {"remove": [name]}}), true), "{name:?}");
    }
    for value in ["", " a", "a ", "a\r\nx-b: c", "a\n", "a\0", "a\tb", "\u{e9}", "\u{7f}", &"a".repeat(1_025)]
    {
        for (block, allow) in
            [("request_headers", true), ("response_headers", true), ("response_headers", false)]
        {
            assert!(is_invalid(&json!({block: {"set": {"x-a": value}}}), allow), "{block}: {value:?}");
        }
    }
    for value in ["a\"", "a\\", "a b", "", "a\r\n", "\u{e9}"] {
        assert!(is_invalid(&json!({"step_up": {"acr_values": [value]}}), false), "{value:?}");
    }
    for scope in ["", " a", "a  b", "a\"b", "a\nb"] {
        assert!(is_invalid(&json!({"step_up": {"scope": scope}}), false), "{scope:?}");
    }
}

#[test]
fn other_shapes_are_refused() {
    let many: Map<String, Value> = (0..17).map(|n| (format!("x-{n}"), json!("a"))).collect();
    for changes in [
        json!([]),
        json!(null),
        json!("x-a"),
        json!({"add": {"x-a": "b"}}),
        json!({"set": ["x-a"]}),
        json!({"set": {"x-a": 1}}),
        json!({"set": {"x-a": ["b"]}}),
        json!({"set": {"x-a": null}}),
        json!({"set": null}),
        json!({"remove": "x-a"}),
        json!({"remove": [1]}),
        json!({"set": {"x-a": "b"}, "remove": ["x-a"]}),
        json!({"set": many}),
    ] {
        assert!(is_invalid(&json!({"request_headers": changes}), true), "{changes}");
        assert!(is_invalid(&json!({"response_headers": changes}), true), "{changes}");
    }
    for limit in [json!(0), json!(-1), json!(86_401), json!(1.5), json!("60"), json!(true), json!(null)] {
        assert!(is_invalid(&json!({"max_stream_s": limit}), true), "{limit}");
    }
    for response in [
        json!({}),
        json!(403),
        json!({"status": "403"}),
        json!({"status": 200}),
        json!({"status": 302}),
        json!({"status": 401}),
        json!({"status": 407}),
        json!({"status": 503}),
        json!({"status": 403, "body": ["a"]}),
        json!({"status": 403, "body": 1}),
        json!({"status": 403, "body": null}),
        json!({"status": 403, "body": "a".repeat(4_097)}),
        json!({"status": 403, "body": {"a": "a".repeat(4_090)}}),
        json!({"status": 403, "headers": {}}),
        json!({"status": 403, "content_type": "text/html"}),
    ] {
        assert!(is_invalid(&json!({"response": response}), false), "{response}");
    }
    for step_up in [
        json!({}),
        json!("acr"),
        json!({"acr_values": "a"}),
        json!({"acr_values": []}),
        json!({"acr_values": vec!["a"; 9]}),
        json!({"max_age": -1}),
        json!({"max_age": "60"}),
        json!({"max_age": null, "acr_values": ["a"]}),
        json!({"acr": ["a"]}),
    ] {
        assert!(is_invalid(&json!({"step_up": step_up}), false), "{step_up}");
    }
}
