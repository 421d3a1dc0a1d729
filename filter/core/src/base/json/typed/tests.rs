//! What is read, and what is told of what cannot be.

use std::collections::BTreeMap;

use serde::Deserialize;
use serde_json::json;

use super::*;

#[derive(Debug, PartialEq, Deserialize)]
#[serde(deny_unknown_fields, expecting = "an object")]
struct Outer {
    name: String,
    #[serde(default)]
    list: Vec<Inner>,
    #[serde(default)]
    map: BTreeMap<String, Choice>,
}

#[derive(Debug, PartialEq, Deserialize)]
#[serde(expecting = "an object")]
struct Inner {
    whole: Option<u16>,
    real: f64,
    flag: bool,
}

#[derive(Debug, PartialEq, Deserialize)]
#[serde(rename_all = "snake_case")]
enum Choice {
    Bare,
    Number(i64),
    Fields { any: Value },
}

#[test]
fn every_kind_of_value_is_read() {
    let document = json!({
        "name": "n",
        "list": [{"whole": 7, "real": 1, "flag": true, "unknown": [1]}, {"whole": null, "real": -0.5, "flag": false}],
        "map": {"a": "bare", "b": {"number": -3}, "c": {"fields": {"any": {"x": [null, 1.5]}}}, "d": {"bare": null}},
    });
    let read: Outer = typed(&document).unwrap();
    assert_eq!(read.list[0], Inner { whole: Some(7), real: 1.0, flag: true });
    assert_eq!(read.list[1], Inner { whole: None, real: -0.5, flag: false });
    assert_eq!(read.map["a"], Choice::Bare);
    assert_eq!(read.map["b"], Choice::Number(-3));
    assert_eq!(read.map["c"], Choice::Fields { any: json!({"x": [null, 1.5]}) });
    assert_eq!(read.map["d"], Choice::Bare);
}

#[test]
fn what_is_wrong_is_told_with_its_path() {
    for (document, expected) in [
        (json!(null), "invalid type: null, expected an object"),
        (json!({}), "missing field `name`"),
        (json!({"name": 1}), "name: invalid type: integer `1`, expected a string"),
        (
            json!({"name": "n", "nome": 1}),
            "nome: unknown field `nome`, expected one of `name`, `list`, `map`",
        ),
        (json!({"name": "n", "list": {}}), "list: invalid type: map, expected a sequence"),
        (json!({"name": "n", "list": [{"real": 1, "flag": true}, {}]}), "list[1]: missing field `real`"),
        (
            json!({"name": "n", "list": [{"whole": 65536}]}),
            "list[0].whole: invalid value: integer `65536`, expected u16",
        ),
        (
            json!({"name": "n", "list": [{"whole": 1.5}]}),
            "list[0].whole: invalid type: floating point `1.5`, expected u16",
        ),
        (
            json!({"name": "n", "list": [{"flag": "true"}]}),
            "list[0].flag: invalid type: string \"true\", expected a boolean",
        ),
        (
            json!({"name": "n", "map": {"a": "none"}}),
            "map.a: unknown variant `none`, expected one of `bare`, `number`, `fields`",
        ),
        (
            json!({"name": "n", "map": {"a": {"number": "1"}}}),
            "map.a.number: invalid type: string \"1\", expected i64",
        ),
        (
            json!({"name": "n", "map": {"a": {"bare": 1}}}),
            "map.a.bare: invalid type: integer `1`, expected unit",
        ),
        (
            json!({"name": "n", "map": {"a": {"bare": null, "number": 1}}}),
            "map.a: invalid value: map, expected map with a single key",
        ),
    ] {
        assert_eq!(typed::<Outer>(&document).unwrap_err().to_string(), expected, "{document}");
    }
}

#[test]
fn an_array_is_no_object() {
    for document in [json!(["n"]), json!({"name": "n", "list": [[1, 1.0, true]]})] {
        let error = typed::<Outer>(&document).unwrap_err();
        assert!(error.message().starts_with("invalid type: sequence, expected an object"), "{error}");
    }
}
