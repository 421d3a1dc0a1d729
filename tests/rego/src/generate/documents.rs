//! The input and the data that programs read, and what is known about their parts.

use serde_json::{json, Map, Value};

use super::types::Ty;
use crate::random::Random;

/// A path into a document, with what is there.
#[derive(Clone)]
pub struct Known {
    pub path: String,
    pub ty: Ty,
    /// `None`: nothing is there.
    pub value: Option<Value>,
}

pub const TEXTS: &[&str] = &[
    "alice", "bob", "admin", "dev", "ops", "read", "write", "a", "b", "c", "", "GET", "POST", "/a/b",
    "a.b.c", "x-y", "é", "A b", "null", "0", "10",
];
pub const NUMBERS: &[&str] =
    &["0", "1", "2", "3", "4", "5", "7", "10", "-1", "-3", "0.5", "1.5", "100", "2.0", "1e3", "12345678901"];

/// The members of `input`.
pub fn input_shape() -> Vec<(&'static str, Ty)> {
    vec![
        ("user", Ty::Str),
        ("method", Ty::Str),
        ("path", Ty::arr(Ty::Str)),
        ("n", Ty::Num),
        ("m", Ty::Num),
        ("flag", Ty::Bool),
        ("off", Ty::Bool),
        ("roles", Ty::arr(Ty::Str)),
        ("tags", Ty::obj(Ty::Str)),
        ("items", Ty::arr(Ty::Rec(0))),
        ("nums", Ty::arr(Ty::Num)),
        ("matrix", Ty::arr(Ty::arr(Ty::Num))),
        ("mixed", Ty::arr(Ty::Any)),
        ("nil", Ty::Null),
        ("scores", Ty::obj(Ty::Num)),
        ("claims", Ty::Rec(2)),
    ]
}

/// The members of `data.base`.
pub fn data_shape() -> Vec<(&'static str, Ty)> {
    vec![
        ("roles", Ty::obj(Ty::arr(Ty::Str))),
        ("users", Ty::obj(Ty::Rec(1))),
        ("list", Ty::arr(Ty::Num)),
        ("flags", Ty::obj(Ty::Bool)),
        ("limits", Ty::obj(Ty::Num)),
        ("owners", Ty::obj(Ty::Str)),
        ("deep", Ty::obj(Ty::obj(Ty::Num))),
        ("graph", Ty::obj(Ty::arr(Ty::Str))),
        ("mixed", Ty::arr(Ty::Any)),
        ("who", Ty::Str),
        ("on", Ty::Bool),
    ]
}

/// The members of records.
pub fn record(which: u8) -> Vec<(&'static str, Ty)> {
    match which {
        0 => vec![("id", Ty::Num), ("name", Ty::Str), ("ok", Ty::Bool), ("tags", Ty::arr(Ty::Str))],
        1 => vec![("roles", Ty::arr(Ty::Str)), ("age", Ty::Num), ("active", Ty::Bool), ("team", Ty::Str)],
        _ => vec![("role", Ty::Str), ("groups", Ty::arr(Ty::Str)), ("level", Ty::Num), ("sub", Ty::Str)],
    }
}

/// Makes a document of a shape. `wild`: members may be something else than the shape says.
pub fn document(random: &mut Random, shape: &[(&'static str, Ty)], wild: bool) -> Value {
    let mut members = Map::new();
    for (name, ty) in shape {
        if random.percent(9) {
            continue;
        }
        let value = match wild {
            true if random.percent(12) => Value::Null,
            true if random.percent(8) => value(random, &Ty::Any, wild),
            _ => value(random, ty, wild),
        };
        members.insert((*name).to_owned(), value);
    }
    members.into()
}

/// A value of a type.
pub fn value(random: &mut Random, ty: &Ty, wild: bool) -> Value {
    match ty {
        Ty::Null => Value::Null,
        Ty::Bool => random.percent(60).into(),
        Ty::Num => serde_json::from_str(random.pick::<&str>(NUMBERS)).unwrap_or_default(),
        Ty::Str => (*random.pick(TEXTS)).into(),
        Ty::Arr(item) | Ty::Set(item) => (0..random.below(4)).map(|_| value(random, item, wild)).collect(),
        Ty::Obj(member) => {
            let mut members = Map::new();
            for _ in 0..random.below(4) {
                members.insert((*random.pick(&TEXTS[..10])).to_owned(), value(random, member, wild));
            }
            members.into()
        }
        Ty::Rec(which) => document(random, &record(*which), wild),
        Ty::Any => match random.below(9) {
            0 => json!(null),
            1 => json!(true),
            2 => json!(false),
            3 => json!([]),
            4 => json!({"a": 1}),
            5 => value(random, &Ty::Num, wild),
            6 => json!([1, "a"]),
            _ => value(random, &Ty::Str, wild),
        },
    }
}

/// What is known of a document: its paths, three deep, and some where nothing is.
pub fn known(path: &str, value: Option<&Value>, ty: &Ty, depth: usize, into: &mut Vec<Known>) {
    into.push(Known { path: path.to_owned(), ty: ty.clone(), value: value.cloned() });
    if depth == 0 {
        return;
    }
    let member =
        |name: &str| match name.chars().all(|c| c.is_ascii_lowercase()) && !name.is_empty() && name != "null"
        {
            true => format!("{path}.{name}"),
            false => format!("{path}[{name:?}]"),
        };
    match ty {
        Ty::Rec(which) => {
            for (name, ty) in record(*which) {
                known(&member(name), value.and_then(|value| value.get(name)), &ty, depth - 1, into);
            }
        }
        Ty::Obj(inner) => {
            for (name, value) in value.and_then(Value::as_object).into_iter().flatten() {
                known(&member(name), Some(value), inner, depth - 1, into);
            }
            into.push(Known { path: member("absent"), ty: (**inner).clone(), value: None });
        }
        Ty::Arr(inner) => {
            for (at, value) in value.and_then(Value::as_array).into_iter().flatten().enumerate() {
                known(&format!("{path}[{at}]"), Some(value), inner, depth - 1, into);
            }
        }
        _ => {}
    }
}
