use crate::builtins::testing::ask;

#[test]
fn it_answers_as_opa() {
    let rows = [
        (r#"{"a": {"b": 1}}"#, r#"{"op": "move", "path": "/c", "from": "/a"}"#, r#"{"c":{"b":1}}"#),
        (r#"{"a": [1, 2]}"#, r#"{"op": "add", "path": "/a/-", "value": 3}"#, r#"{"a":[1,2,3]}"#),
        (
            r#"{"a": 1}"#,
            r#"{"op": "replace", "path": "", "value": [1, 2]}, {"op": "remove", "path": "/0"}"#,
            "[2]",
        ),
        (r#"{"a": 1}"#, r#"{"op": "test", "path": "a", "value": 2}"#, "error"),
        (r#"{"a": 1}"#, r#"{"op": "remove", "path": "/b"}"#, "error"),
        (r#"{"a": 1}"#, r#"{"op": "copy", "path": "/a/b", "from": ""}"#, "error"),
        (r#"{"a": 1}"#, r#"{"op": "add", "path": "/b"}"#, "error"),
        (r#"{"a": 1}"#, r#"1"#, "error"),
        (r#"{"set": [1, "a", [1]]}"#, r#"{"op": "add", "path": [[1], 0], "value": 3}"#, r#"[1,"a",[3,1]]"#),
        (
            r#"{"set": [1, "a"]}"#,
            r#"{"op": "remove", "path": "a"}, {"op": "add", "path": [2], "value": 2}"#,
            "[1,2]",
        ),
        (r#"{"set": [1, "a"]}"#, r#"{"op": "add", "path": "b", "value": "c"}"#, "error"),
        ("[5, 6, 7]", r#"{"op": "remove", "path": "/1.0"}"#, "[5,7]"),
        ("[5, 6, 7]", r#"{"op": "remove", "path": "/01"}"#, "error"),
        ("[5, 6, 7]", r#"{"op": "remove", "path": "/."}"#, "[6,7]"),
        // Elements that no patch came to are looked up where they were at first.
        (
            "[1, 2, 3]",
            r#"{"op": "remove", "path": "/0"}, {"op": "copy", "path": "/-", "from": "/0"}"#,
            "[1,3,1]",
        ),
        (
            "[[1], [2]]",
            r#"{"op": "add", "path": "/0", "value": 7}, {"op": "test", "path": "/1", "value": [1]}"#,
            "error",
        ),
        // OPA does not survive these.
        (r#"{"a": 1}"#, r#"{"op": "remove", "path": ""}"#, "limit"),
        (
            "[]",
            r#"{"op": "add", "path": "/-", "value": 1}, {"op": "add", "path": "/-", "value": [2]},
                     {"op": "add", "path": "/0", "value": 0}"#,
            "limit",
        ),
    ];
    for (document, operations, expected) in rows {
        assert_eq!(ask("json.patch", &format!("[{document}, [{operations}]]")), expected, "{operations}");
    }
}

#[test]
fn what_it_makes_is_bounded() {
    let copies = vec![r#"{"op": "copy", "path": "/a", "from": ""}"#; 300].join(",");
    assert_eq!(ask("json.patch", &format!(r#"[{{"a": 1}}, [{copies}]]"#)), "limit");
    let twice = r#"{"op": "copy", "path": "/a", "from": ""}, {"op": "copy", "path": "/b", "from": ""}"#;
    assert_eq!(ask("json.patch", &format!(r#"[{{"a": 1}}, [{}]]"#, vec![twice; 60].join(","))), "limit");
}
