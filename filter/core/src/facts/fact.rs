//! What the facts of all feeds have in common: how a line is read, and how long its texts may be.

use serde::de::DeserializeOwned;
use serde_json::Value;

use crate::base::json;
use crate::base::time::{self, UnixTime};

/// The longest issuer, id, reason or ticket, in bytes.
const MAX_TEXT: usize = 2048;

/// Reads a line.
///
/// # Errors
/// The member that is wrong, and what is wrong with it.
pub(crate) fn read<T: DeserializeOwned>(line: &Value) -> Result<T, String> {
    json::typed(line).map_err(|wrong| wrong.to_string())
}

/// Whether those of these texts that are there are neither empty nor too long.
///
/// # Errors
/// The first that is.
pub(crate) fn check_texts<'t>(
    texts: impl IntoIterator<Item = (&'static str, Option<&'t String>)>,
) -> Result<(), String> {
    for (name, text) in texts {
        if text.is_some_and(|text| !(1..=MAX_TEXT).contains(&text.len())) {
            return Err(format!("{name}: not 1 to {MAX_TEXT} bytes"));
        }
    }
    Ok(())
}

/// An instant of RFC 3339.
///
/// # Errors
/// It is none.
pub(crate) fn instant(name: &str, text: &str) -> Result<UnixTime, String> {
    time::instant(text).map_err(|message| format!("{name}: {message}"))
}
