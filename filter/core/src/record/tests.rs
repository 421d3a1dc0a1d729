use super::*;

fn with(headers: Value, query: Value) -> DecisionRecord {
    let record = json!({"v": 1, "id": "i", "time": 0, "instance": "i", "revision": "r", "decision": "deny",
            "reason": null, "status": 0, "layer": "policy", "connection": {}, "identity": null, "grant": null,
            "policy": null, "pdp": [], "request": {"id": null, "method": "GET", "scheme": "", "host": "h", "path": "/",
            "headers": headers, "query": query}});
    serde_json::from_value(record).unwrap()
}

#[test]
fn long_values_are_cut_and_told() {
    let whole = with(json!({"a": ["12345678", ""], "b": []}), json!({"q": ["12345678"]}));
    assert_eq!(whole.cut(8), None);
    assert!(whole.cut_values().is_empty());
    let cut = with(json!({"a": ["1", "123456789"], "b": ["1234567é"]}), json!({"q": ["é23456789"]}))
        .cut(8)
        .unwrap();
    let beginning = |begins: &str, whole: &str| json!({"begins": begins, "bytes": whole.len(), "sha256": hex::encode(&Sha256::digest(whole))});
    let headers = &cut.request.headers;
    assert_eq!(headers["a"], json!(["1", beginning("12345678", "123456789")]));
    assert_eq!(headers["b"], json!([beginning("1234567", "1234567é")]));
    assert_eq!(cut.request.query["q"], json!([beginning("é234567", "é23456789")]));
    assert_eq!(cut.cut_values(), ["a", "b", "q"]);
    let read: DecisionRecord = serde_json::from_str(&serde_json::to_string(&cut).unwrap()).unwrap();
    assert_eq!(read, cut);
}

/// What a client's bytes can make a record of does not grow with how often it repeats them.
#[test]
fn many_values_are_cut_however_short() {
    let values = |text: &str, count: usize| with(json!({"a": vec![text; count]}), json!({}));
    let cut = |record: &DecisionRecord| record.cut(200);
    let text = "x".repeat(200);
    assert_eq!(cut(&values(&text, CUT_VALUES)), None);
    let many = cut(&values(&text, 100)).unwrap();
    let held = many.request.headers["a"].as_array().unwrap();
    assert_eq!(held.iter().filter(|value| value.is_string()).count(), CUT_VALUES);
    assert_eq!((&held[99]["begins"], &held[99]["bytes"]), (&json!(""), &json!(200)));
    let bytes = |record: &DecisionRecord| json::line(record).unwrap().len();
    assert!(bytes(&many) < bytes(&values("", 0)) + CUT_VALUES * 200 + 100 * CUT_BYTES);
    // Their digests would be longer than they are.
    let short = values("12345678", 1_000);
    assert_eq!(cut(&short), Some(short.clone()));
}
