//! `glob.match` as OPA's index takes it: a text splits at delimiters, and its parts are the items of an array.

use everycall_rego_values::Value;

/// A constant pattern as an array, whose items are texts or anything, and its delimiters together. `None` where the
/// index doesn't take it.
pub(super) fn parts(pattern: &Value, delimiters: &Value) -> Option<(Vec<Option<Value>>, String)> {
    let Value::Array(items) = delimiters else { return None };
    let delimiters: String = items.iter().map(Value::as_str).collect::<Option<_>>()?;
    let delimiters = if items.is_empty() { ".".to_owned() } else { delimiters };
    let part = |part: &str| match part {
        "*" => Some(None),
        part => is_text(part).then(|| Some(Value::from(part))),
    };
    let parts = split(pattern.as_str()?, &delimiters).map(part).collect::<Option<_>>()?;
    Some((parts, delimiters))
}

/// Nothing in a part stands for other text.
fn is_text(part: &str) -> bool {
    let mut is_escaped = false;
    part.chars().all(|c| {
        if c == '\\' {
            is_escaped = !is_escaped;
            return true;
        }
        let is_plain = is_escaped || !"[?{*".contains(c);
        is_escaped = false;
        is_plain
    })
}

/// What stands between delimiters. Backslashes stay, and what one escapes is no delimiter.
pub(crate) fn split<'t>(text: &'t str, delimiters: &'t str) -> impl Iterator<Item = &'t str> {
    let mut is_escaped = false;
    text.split(move |c| {
        if c == '\\' || is_escaped {
            is_escaped = !is_escaped;
            return false;
        }
        delimiters.contains(c)
    })
}
