//! The lines of a bundle file below its head, from the parts as people write them.

use serde_json::{json, Map, Value};

use super::prepare::MAX_BUNDLE_LINE;
use crate::base::json::{self, MAX_VALUES};

/// How much data goes into one line, roughly.
const DATA_LINE: usize = 32 * 1024;

/// The content of a bundle file for an inline bundle: `policies`, `data`, `rule_sets`, `exceptions`, `elevations`
/// and `grants`. The same bundle gives the same bytes. What the parts say is not looked at.
///
/// # Errors
/// An unknown part, or one that is longer than a line may be.
pub fn bundle_content(inline: &Map<String, Value>) -> Result<Vec<u8>, String> {
    let mut lines = Lines::default();
    const LISTS: [(&str, &str); 3] =
        [("exceptions", "exception"), ("elevations", "elevation"), ("grants", "grant")];
    let known = |name: &&String| {
        matches!(name.as_str(), "policies" | "data" | "rule_sets")
            || LISTS.iter().any(|(list, _)| list == name)
    };
    if let Some(name) = inline.keys().find(|name| !known(name)) {
        return Err(format!("`{name}` is not a part of a bundle"));
    }
    for (file, text) in inline.get("policies").and_then(Value::as_object).into_iter().flatten() {
        lines.push(&format!("policy `{file}`"), &json!({"policy": {"file": file, "text": text}}))?;
    }
    match inline.get("data") {
        Some(Value::Object(data)) => lines.data(&mut Vec::new(), data)?,
        Some(_) => return Err("`data` is not an object".into()),
        None => {}
    }
    for (name, options) in inline.get("rule_sets").and_then(Value::as_object).into_iter().flatten() {
        lines
            .push(&format!("rule set `{name}`"), &json!({"rule_set": {"name": name, "options": options}}))?;
    }
    for (list, name) in LISTS {
        for (index, item) in inline.get(list).and_then(Value::as_array).into_iter().flatten().enumerate() {
            let line: Map<String, Value> = [(name.to_owned(), item.clone())].into_iter().collect();
            lines.push(&format!("{list}[{index}]"), &Value::Object(line))?;
        }
    }
    Ok(lines.bytes)
}

#[derive(Default)]
struct Lines {
    bytes: Vec<u8>,
}

impl Lines {
    fn push(&mut self, what: &str, value: &Value) -> Result<(), String> {
        let text = value.to_string();
        if text.len() > MAX_BUNDLE_LINE {
            return Err(format!("{what}: {} bytes; a line holds at most {MAX_BUNDLE_LINE}", text.len()));
        }
        let values = json::values(value);
        if values > MAX_VALUES {
            return Err(format!("{what}: {values} values; a line holds at most {MAX_VALUES}"));
        }
        self.bytes.extend_from_slice(text.as_bytes());
        self.bytes.push(b'\n');
        Ok(())
    }

    /// Data is cut between the members of objects; each piece holds its whole path.
    fn data(&mut self, path: &mut Vec<String>, members: &Map<String, Value>) -> Result<(), String> {
        let mut piece = Map::new();
        let mut size: usize = 0;
        for (name, value) in members {
            let length = value.to_string().len();
            match value {
                Value::Object(below) if length > DATA_LINE => {
                    path.push(name.clone());
                    self.data(path, below)?;
                    path.pop();
                }
                _ => {
                    if size.saturating_add(length) > DATA_LINE {
                        self.piece(path, std::mem::take(&mut piece))?;
                        size = 0;
                    }
                    size = size.saturating_add(length).saturating_add(name.len());
                    piece.insert(name.clone(), value.clone());
                }
            }
        }
        self.piece(path, piece)
    }

    fn piece(&mut self, path: &[String], members: Map<String, Value>) -> Result<(), String> {
        if members.is_empty() {
            return Ok(());
        }
        let name = members.keys().next().cloned().unwrap_or_default();
        let wrap = |value, name: &String| Value::Object([(name.clone(), value)].into_iter().collect());
        let data = path.iter().rev().fold(Value::Object(members), wrap);
        let what = format!("data.{}", path.iter().chain([&name]).cloned().collect::<Vec<_>>().join("."));
        self.push(&what, &json!({"data": data}))
    }
}
