//! One change at a time, everywhere in a document.

use serde_json::{json, Value};

/// A change at a JSON Pointer.
#[derive(Debug, Clone)]
pub struct Change {
    pointer: String,
    /// `None`: it is taken out.
    value: Option<Value>,
}

impl Change {
    /// This value, in the place of what is there or beside the other members.
    pub fn put(pointer: &str, value: Value) -> Self {
        Self { pointer: pointer.to_owned(), value: Some(value) }
    }

    pub fn pointer(&self) -> &str {
        &self.pointer
    }

    pub fn is_removal(&self) -> bool {
        self.value.is_none()
    }

    pub fn is_list_for_object(&self, document: &Value) -> bool {
        self.value.as_ref().is_some_and(Value::is_array)
            && document.pointer(&self.pointer).is_some_and(Value::is_object)
    }

    pub fn apply(&self, document: &Value) -> Value {
        let mut document = document.clone();
        let (parent, name) = self.pointer.rsplit_once('/').unwrap();
        let name = name.replace("~1", "/").replace("~0", "~");
        match (document.pointer_mut(parent).unwrap(), self.value.clone()) {
            (Value::Object(members), Some(value)) => drop(members.insert(name, value)),
            (Value::Object(members), None) => drop(members.remove(&name)),
            (Value::Array(items), Some(value)) => items[name.parse::<usize>().unwrap()] = value,
            (Value::Array(items), None) => drop(items.remove(name.parse().unwrap())),
            _ => panic!("nothing is at {}", self.pointer),
        }
        document
    }
}

/// All changes of everything below the document itself.
pub fn changes(document: &Value) -> Vec<Change> {
    let mut found = Vec::new();
    walk("", document, &mut found);
    found
}

fn walk(pointer: &str, value: &Value, found: &mut Vec<Change>) {
    if !pointer.is_empty() {
        let values = [
            json!(null),
            json!(true),
            json!(0),
            json!(-1),
            json!(1.5),
            json!(5_000_000_000_i64),
            json!(""),
            json!(" "),
            json!("zzz"),
            json!("Zz!ö"),
            json!([]),
            json!([1]),
            json!(["zzz"]),
            json!([{}]),
            json!({}),
            json!({"zzz": 1}),
        ];
        found.extend(values.into_iter().map(|value| Change::put(pointer, value)));
        found.push(Change { pointer: pointer.to_owned(), value: None });
    }
    match value {
        Value::Object(members) => {
            found.push(Change::put(&format!("{pointer}/zzz"), json!(1)));
            for (name, member) in members {
                walk(&format!("{pointer}/{}", escape(name)), member, found);
            }
        }
        Value::Array(items) => {
            for (index, item) in items.iter().enumerate() {
                walk(&format!("{pointer}/{index}"), item, found);
            }
        }
        _ => {}
    }
}

fn escape(name: &str) -> String {
    name.replace('~', "~0").replace('/', "~1")
}
