//! Reads the written configuration and goes on after mistakes, so that all are reported at once.

use serde::de::DeserializeOwned;
use serde_json::{Map, Value};

use super::{Config, ConfigError};
use crate::base::json;

/// The mirror as far as it could be read, and everything that is wrong with the document.
pub(crate) struct Parsed<T> {
    /// `None` if not even placeholders could make the document readable.
    pub(crate) read: Option<T>,
    pub(crate) errors: Vec<ConfigError>,
    /// Paths whose value is a placeholder: what is wrong below them was said already.
    pub(crate) placeholders: Vec<String>,
}

/// Reads a configuration, but for the grants and the data that it holds: those are handed on as they are written.
/// All of them in both forms at once would take as much memory as a worker needs for everything else.
pub(crate) fn parse(mut document: Value) -> Parsed<Config> {
    let [bundle, shadow] = ["/bundle/inline", "/shadow/inline"].map(|place| {
        let inline = document.pointer_mut(place);
        // What is wrong with them is said below.
        inline.map_or_else(Default::default, |inline| {
            let grants = inline.get_mut("grants").and_then(Value::as_array_mut).map(std::mem::take);
            let data = inline.get_mut("data").and_then(Value::as_object_mut).map(std::mem::take);
            (grants.unwrap_or_default(), data.unwrap_or_default())
        })
    });
    let mut parsed = parse_part::<Config>(document);
    if let Some(config) = &mut parsed.read {
        for (into, (grants, data)) in [(Some(&mut config.bundle), bundle), (config.shadow.as_mut(), shadow)] {
            if let Some(inline) = into.and_then(|bundle| bundle.inline.as_mut()) {
                (inline.grants, inline.data) = (grants, data);
            }
        }
    }
    parsed
}

/// Reads the document and goes on after each mistake, so that all of them are reported at once:
/// an unknown key is dropped, a wrong or missing value is replaced by a placeholder. A document
/// with errors is never used.
pub(crate) fn parse_part<T: DeserializeOwned>(mut document: Value) -> Parsed<T> {
    // Each round reads the whole document.
    const MAX_ROUNDS: usize = 100;
    let mut rounds: usize = 0;
    let mut errors = Vec::new();
    let mut placeholders = Vec::new();
    loop {
        let (path, message) = match read::<T>(&document) {
            Ok(read) => return Parsed { read: Some(read), errors, placeholders },
            Err(error) => error,
        };
        let mended = mend(&mut document, &path, &message, &|document| read::<T>(document).map(drop));
        let path = match &mended {
            Mended::Missing(name) => join(&path, name),
            _ => path,
        };
        // What is wrong below a placeholder is an echo of an error that was reported already.
        if !placeholders.iter().any(|placeholder: &String| path.starts_with(placeholder.as_str())) {
            errors.push(ConfigError::new(&path, message));
        }
        match mended {
            Mended::Dropped => {}
            Mended::Replaced | Mended::Missing(_) => placeholders.push(path),
            Mended::No => return Parsed { read: None, errors, placeholders },
        }
        rounds = rounds.saturating_add(1);
        if rounds >= MAX_ROUNDS {
            return Parsed { read: None, errors, placeholders };
        }
    }
}

/// Where, and what.
type Wrong = (String, String);

fn read<T: DeserializeOwned>(document: &Value) -> Result<T, Wrong> {
    json::typed(document).map_err(|wrong| (wrong.path().to_owned(), wrong.message()))
}

enum Mended {
    Dropped,
    Replaced,
    Missing(String),
    No,
}

fn mend(
    document: &mut Value,
    path: &str,
    message: &str,
    read: &dyn Fn(&Value) -> Result<(), Wrong>,
) -> Mended {
    let quoted = |message: &str| message.split('`').nth(1).map(str::to_owned);
    if message.starts_with("unknown field") {
        let Some(name) = quoted(message) else { return Mended::No };
        let container = path.strip_suffix(name.as_str()).map(|p| p.strip_suffix('.').unwrap_or(p));
        for container in [Some(path), container].into_iter().flatten() {
            if let Some(Value::Object(members)) = find(document, container) {
                if members.remove(&name).is_some() {
                    return Mended::Dropped;
                }
            }
        }
        return Mended::No;
    }
    let missing = message.strip_prefix("missing field").and_then(quoted);
    let at = match &missing {
        Some(name) => join(path, name),
        None => path.to_owned(),
    };
    // One of each type; for an enum, the first option that its message names.
    let option = |message: &str| message.split("expected").nth(1).and_then(quoted).map(Value::String);
    let mut candidates = vec![
        Value::Bool(false),
        Value::Object(Map::new()),
        Value::Array(Vec::new()),
        Value::from(1),
        Value::String(String::new()),
    ];
    candidates.extend(option(message));
    while let Some(candidate) = candidates.pop() {
        let slot = match &missing {
            Some(name) => match find(document, path) {
                Some(Value::Object(members)) => members.entry(name.clone()).or_insert(Value::Null),
                _ => return Mended::No,
            },
            None => match find(document, path) {
                Some(slot) => slot,
                None => return Mended::No,
            },
        };
        let was_text = candidate == Value::String(String::new());
        *slot = candidate;
        // Good if the next error, if any, is elsewhere: at a missing member of the placeholder too.
        let good = match read(document) {
            Ok(()) => true,
            Err((next, message)) if next == at && !message.starts_with("missing field") => {
                candidates.extend(option(&message).filter(|_| was_text));
                false
            }
            Err(_) => true,
        };
        if good {
            return match missing {
                Some(name) => Mended::Missing(name),
                None => Mended::Replaced,
            };
        }
    }
    Mended::No
}

fn join(path: &str, name: &str) -> String {
    match path {
        "" => name.to_owned(),
        path => format!("{path}.{name}"),
    }
}

/// The value at a path such as `issuers[0].keys`; keys that hold dots are tried as a whole first.
fn find<'a>(value: &'a mut Value, path: &str) -> Option<&'a mut Value> {
    if path.is_empty() {
        return Some(value);
    }
    if let Some(rest) = path.strip_prefix('[') {
        let (index, rest) = rest.split_once(']')?;
        let item = value.as_array_mut()?.get_mut(index.parse::<usize>().ok()?)?;
        return find(item, rest.strip_prefix('.').unwrap_or(rest));
    }
    let members = value.as_object_mut()?;
    let name = members
        .keys()
        .filter(|name| {
            path.strip_prefix(name.as_str())
                .is_some_and(|rest| rest.is_empty() || rest.starts_with(['.', '[']))
        })
        .max_by_key(|name| name.len())?
        .clone();
    let rest = path.strip_prefix(name.as_str())?;
    find(members.get_mut(&name)?, rest.strip_prefix('.').unwrap_or(rest))
}
