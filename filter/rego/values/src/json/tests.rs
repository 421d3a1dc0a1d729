use super::reader::MAX_TEXT_DEPTH;
use super::*;

#[test]
fn numbers_keep_their_text() {
    let text = r#"{"a":[1.50,-0,1E+5,12345678901234567890,0.1],"b":null}"#;
    let value = Value::from_json(text).unwrap();
    assert_eq!(write(&mut unlimited(), &value, None).unwrap(), text);
    assert_eq!(serde_json::to_string(&value).unwrap(), text);
    assert!(serde_json::from_str::<Value>(text).unwrap() == value);
    assert!(Value::from(value.to_json()) == value);
}

#[test]
fn what_is_no_json_is_not_read() {
    for text in [
        "",
        " ",
        "01",
        "-",
        "1.",
        ".5",
        "1e",
        "+1",
        "[1,]",
        "{\"a\"}",
        "{a:1}",
        "tru",
        "1 2",
        "\"\n\"",
        "'a'",
        "\u{feff}1",
    ] {
        assert!(Value::from_json(text).is_none(), "{text}");
    }
    let nested = |depth| Value::from_json(&format!("{}{}", "[".repeat(depth), "]".repeat(depth))).is_some();
    assert!(nested(MAX_TEXT_DEPTH) && !nested(MAX_TEXT_DEPTH + 2) && !nested(1_000_000));
}

#[test]
fn members_are_named_as_by_opa() {
    let value: Object = [
        (Value::from(1_i64), Value::from("late")),
        (Value::from("1"), Value::from("wins")),
        (vec![Value::from("<")].into(), Value::Null),
    ]
    .into_iter()
    .collect();
    let expected = r#"{"1":"wins","[\"\\u003c\"]":null}"#;
    assert_eq!(serde_json::to_string(&Value::from(value.clone())).unwrap(), expected);
    assert_eq!(Value::from(value).to_json().to_string(), expected);
}

#[test]
fn bytes_that_are_no_text_are_written_as_go_does_and_never_read() {
    let bytes = |bytes: &[u8]| Value::String(crate::bytes::to_text(bytes.to_vec()).into());
    let members =
        [(bytes(b"\xff"), 1_i64), (bytes(b"\xfe"), 2), (Value::from("é"), 3), (Value::from("a"), 0)];
    let object: Object = members.into_iter().map(|(key, n)| (key, Value::from(n))).collect();
    let written = |value: &Value| write(&mut unlimited(), value, None).unwrap();
    assert_eq!(written(&object.into()), r#"{"a":0,"é":3,"\ufffd":2,"\ufffd":1}"#);
    assert_eq!(written(&bytes(b"\xff<")), r#""\ufffd\u003c""#);
    assert_eq!(written(&Value::from("\u{fffd}")), "\"\u{fffd}\"");
    for text in ["\"\u{10ff80}\"", "\"a\\n\u{10ffff}\"", r#""\udbff\udf80""#] {
        assert!(matches!(read(text), Err(Failure::Limit)), "{text}");
    }
    assert!(read("\"\u{10ff7f}\"").is_ok() && read(r#""\udbff\udf7f""#).is_ok());
}
