use super::collections::FEW;
use super::*;

fn n(value: i64) -> Value {
    Value::from(value)
}

#[test]
fn types_are_in_the_order_of_opa() {
    let ascending = [
        Value::Null,
        Value::Bool(false),
        Value::Bool(true),
        n(-1),
        n(2),
        Value::from(""),
        Value::from("a"),
        Value::from(vec![]),
        Value::from(vec![n(1)]),
        Value::from(Object::default()),
        Value::from(Set::default()),
    ];
    assert!(ascending.is_sorted_by(|a, b| a < b));
}

#[test]
fn depth_is_that_of_the_deepest() {
    let list = |item: Value| Value::from(vec![n(1), item]);
    let object = |key: Value, value: Value| Value::from(Object::from(vec![(key, value)]));
    assert_eq!([n(1), Value::from(vec![]), list(list(n(1)))].map(|value| value.depth()), [0, 1, 2]);
    assert_eq!(object(list(list(n(1))), n(1)).depth(), 3);
    assert_eq!(object(n(1), Value::from(Set::from(vec![list(n(1)), n(1)]))).depth(), 3);
    let deep = (0..1_000).fold(n(1), |value, _| list(value));
    assert_eq!(deep.depth(), 1_000);
}

#[test]
fn the_last_value_of_a_key_counts_and_two_that_differ_are_no_object() {
    let members = vec![(n(1), n(10)), (n(0), n(5)), (n(1), n(20))];
    let object = Object::from(members.clone());
    assert_eq!((object.len(), object.get(&n(1)) == Some(&n(20))), (2, true));
    assert!(Object::unique(members).is_none());
    assert!(Object::unique(vec![(n(1), n(10)), (n(0), n(5)), (n(1), n(10))]).is_some());
}

#[test]
fn members_are_found_by_text_among_keys_of_other_types() {
    let keys = [Value::Null, n(3), Value::from("a"), Value::from("b"), Value::from(vec![])];
    let object: Object = keys.iter().map(|key| (key.clone(), n(1))).collect();
    assert!(object.get_str("a").is_some() && object.get_str("b").is_some());
    assert!(object.get_str("").is_none() && object.get_str("c").is_none());
    assert!(keys.iter().all(|key| object.get(key).is_some()));
    // As few and as many as are looked for in different ways.
    for count in [1, FEW, FEW + 1, 40] {
        let names: Vec<Value> = (0..count).map(|at| Value::from(format!("k{at}").as_str())).collect();
        let set: Set = names.iter().cloned().collect();
        let object: Object = names.iter().map(|name| (name.clone(), name.clone())).collect();
        for name in &names {
            assert!(object.get(name) == Some(name) && set.get(name) == Some(name));
            assert!(object.get_str(name.as_str().unwrap()) == Some(name));
        }
        let absent = ["", "k", "k00", "k99", "l"].map(Value::from);
        assert!(absent.iter().chain(&keys).all(|key| object.get(key).is_none() && set.get(key).is_none()));
    }
}
