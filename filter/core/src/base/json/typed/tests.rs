//! What is read, and what is told of what cannot be.

use std::collections::BTreeMap;

use serde::Deserialize;
use serde_json::json;

use super::*;
use crate::base::ranged::Ranged;

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

#[derive(Debug, Deserialize)]
struct Bounds {
    required: Ranged<u32, 1, 10>,
    #[serde(default)]
    absent: Ranged<usize, 0, 100, 7>,
    optional: Option<Ranged<i64, -5, 5>>,
}

#[test]
fn numbers_that_are_out_of_their_ranges_are_noted_or_wrong() {
    let document =
        json!([{"required": 0, "optional": -6}, {"required": 10, "absent": 101}, {"required": -1}]);
    let noted = RefCell::default();
    let read: Vec<Bounds> = typed_noting(&document, &noted).unwrap();
    let values = |one: &Bounds| (*one.required, *one.absent, one.optional.as_deref().copied());
    let read: Vec<_> = read.iter().map(values).collect();
    assert_eq!(read, [(1, 7, Some(-5)), (10, 100, None), (1, 7, None)]);
    let noted: Vec<String> = noted.take().iter().map(ToString::to_string).collect();
    assert_eq!(
        noted,
        [
            "[0].optional: -6 is out of range; expected -5 to 5",
            "[0].required: 0 is out of range; expected 1 to 10",
            "[1].absent: 101 is out of range; expected 0 to 100",
            "[2].required: -1 is out of range; expected 1 to 10",
        ]
    );
    let wrong = typed::<Vec<Bounds>>(&document).unwrap_err().to_string();
    assert_eq!(wrong, "[0].optional: -6 is out of range; expected -5 to 5");
    for (other, found) in [
        (json!("1"), "invalid type: string \"1\""),
        (json!(1.5), "invalid type: floating point `1.5`"),
        (json!(u64::MAX), "invalid value: integer `18446744073709551615`"),
        (json!(null), "invalid type: null"),
    ] {
        let noted = RefCell::default();
        let wrong = typed_noting::<Bounds>(&json!({"required": other}), &noted).unwrap_err().to_string();
        assert_eq!(wrong, format!("required: {found}, expected an integer from 1 to 10"));
        assert!(noted.take().is_empty());
    }
    // Another deserializer refuses what is out of range, too.
    assert!(serde_json::from_value::<Bounds>(json!({"required": 1})).is_ok());
    assert!(serde_json::from_value::<Bounds>(json!({"required": 0})).is_err());
}
