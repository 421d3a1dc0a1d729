//! Reads the written configuration.

use std::cell::RefCell;

use serde_json::{Map, Value};

use super::{Config, ConfigError};
use crate::base::json;

/// Reads a configuration, with all numbers in it that are out of their ranges. The grants and the data that it holds
/// are handed on as they are written: all of them in both forms at once would take as much memory as a worker needs
/// for everything else.
///
/// # Errors
/// Those numbers, and the first thing that is not of the form that was expected: what stands behind it is not read.
pub(crate) fn parse(mut document: Value) -> Result<(Config, Vec<ConfigError>), Vec<ConfigError>> {
    let [bundle, shadow] =
        ["/bundle/inline", "/shadow/inline"].map(|place| take_bulk(document.pointer_mut(place)));
    let noted = RefCell::default();
    let read = json::typed_noting::<Config>(&document, &noted);
    let mut errors: Vec<ConfigError> =
        noted.take().into_iter().map(|wrong| ConfigError::of("", &wrong)).collect();
    let mut config = match read {
        Ok(config) => config,
        Err(wrong) => {
            errors.push(ConfigError::of("", &wrong));
            return Err(errors);
        }
    };
    for (into, (grants, data)) in [(Some(&mut config.bundle), bundle), (config.shadow.as_mut(), shadow)] {
        if let Some(inline) = into.and_then(|bundle| bundle.inline.as_mut()) {
            (inline.grants, inline.data) = (grants, data);
        }
    }
    Ok((config, errors))
}

/// Of an inline bundle. What is wrong with their types is said where they are read.
fn take_bulk(inline: Option<&mut Value>) -> (Vec<Value>, Map<String, Value>) {
    inline.map_or_else(Default::default, |inline| {
        let grants = inline.get_mut("grants").and_then(Value::as_array_mut).map(std::mem::take);
        let data = inline.get_mut("data").and_then(Value::as_object_mut).map(std::mem::take);
        (grants.unwrap_or_default(), data.unwrap_or_default())
    })
}
