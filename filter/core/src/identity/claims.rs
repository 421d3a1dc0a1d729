//! The claims of a verified caller, in the two forms that decisions need: as JSON text, which is copied into
//! records, and as a value for policies. As many are held as tokens are remembered, and a tree for the
//! record would take three times as much as its text.

use everycall_rego::{Object, Value};
use serde::{Deserialize, Deserializer, Serialize};
use serde_json::value::{to_raw_value, RawValue};
use serde_json::{Map, Value as Json};

use crate::base::texts::Texts;

/// All verified claims of a token, as one JSON object.
#[derive(Debug, Clone, Serialize)]
#[serde(transparent)]
pub struct Claims {
    text: Box<RawValue>,
    #[serde(skip)]
    value: Value,
}

impl Claims {
    /// Texts that were seen before are shared.
    pub(crate) fn new(claims: Map<String, Json>, texts: &mut Texts) -> Self {
        let claims = Json::Object(claims);
        Self {
            // Names and values of JSON always have a text.
            text: to_raw_value(&claims).unwrap_or_default(),
            value: shared(claims, texts),
        }
    }

    /// As JSON text.
    pub fn text(&self) -> &str {
        self.text.get()
    }

    /// As policies see them.
    pub(crate) const fn value(&self) -> &Value {
        &self.value
    }

    /// The number that a claim is.
    pub(crate) fn number(&self, name: &str) -> Option<f64> {
        match self.value.get_str(name)? {
            Value::Number(number) => number.to_string().parse().ok(),
            _ => None,
        }
    }

    /// The text that the claim at a path is, a name or a JSON Pointer (RFC 6901): the one that is found in the
    /// token while it is verified.
    pub fn find_text(&self, path: &str) -> Option<&str> {
        let claims = &self.value;
        let found = match path.strip_prefix('/') {
            None => claims.get_str(path)?,
            Some(pointer) => pointer.split('/').try_fold(claims, |value, part| match value {
                Value::Array(items) => items.get(index(part)?),
                _ => value.get_str(&part.replace("~1", "/").replace("~0", "~")),
            })?,
        };
        found.as_str()
    }
}

impl Default for Claims {
    fn default() -> Self {
        Self::from(Map::new())
    }
}

impl From<Map<String, Json>> for Claims {
    fn from(claims: Map<String, Json>) -> Self {
        Self::new(claims, &mut Texts::default())
    }
}

impl PartialEq for Claims {
    fn eq(&self, other: &Self) -> bool {
        self.text() == other.text()
    }
}

impl<'de> Deserialize<'de> for Claims {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Map::deserialize(deserializer).map(Self::from)
    }
}

/// RFC 6901 section 4: no sign, and no zero before other digits.
fn index(part: &str) -> Option<usize> {
    let is_plain = part.bytes().all(|byte| byte.is_ascii_digit()) && (part == "0" || !part.starts_with('0'));
    part.parse().ok().filter(|_| is_plain)
}

fn shared(value: Json, texts: &mut Texts) -> Value {
    match value {
        Json::String(text) => Value::from(texts.share(&text)),
        Json::Array(items) => {
            Value::from(items.into_iter().map(|item| shared(item, texts)).collect::<Vec<_>>())
        }
        Json::Object(members) => {
            let each = members
                .into_iter()
                .map(|(name, value)| (Value::from(texts.share(&name)), shared(value, texts)));
            Value::Object(Object::from(each.collect::<Vec<_>>()))
        }
        plain @ (Json::Null | Json::Bool(_) | Json::Number(_)) => Value::from(plain),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::credential::token::lookup;

    fn claims() -> Map<String, Json> {
        let claims = json!({"sub": "s", "a/b": "slash", "m~n": "tilde", "~1": "both", "": "empty", "n": 1.50, "big": 1e300,
            "huge": 18_446_744_073_709_551_615_u64, "no": null, "yes": true, "list": ["x", ["y"], {"k": "z"}],
            "deep": {"list": [[1, "one"]], "": {"": "nothing"}, "0": "zero"}});
        claims.as_object().cloned().unwrap()
    }

    #[test]
    fn both_forms_say_what_was_written() {
        let claims = claims();
        let held = Claims::new(claims.clone(), &mut Texts::new(1_000));
        assert_eq!(held.text(), Json::Object(claims.clone()).to_string());
        assert_eq!(serde_json::to_string(&held).unwrap(), held.text());
        assert_eq!(serde_json::to_value(&held).unwrap(), Json::Object(claims.clone()));
        assert_eq!(*held.value(), Value::from(Json::Object(claims.clone())));
        let again: Claims = serde_json::from_str(held.text()).unwrap();
        assert!(again == held && again.value() == held.value());
        assert_eq!((held.number("n"), held.number("sub"), held.number("none")), (Some(1.5), None, None));
    }

    #[test]
    fn paths_lead_where_they_lead_in_the_token() {
        let claims = claims();
        let held = Claims::from(claims.clone());
        for path in [
            "sub",
            "a/b",
            "m~n",
            "~1",
            "",
            "none",
            "n",
            "list",
            "/sub",
            "/a~1b",
            "/m~0n",
            "/~01",
            "/~1",
            "/",
            "//",
            "/none",
            "/list/0",
            "/list/00",
            "/list/+0",
            "/list/-",
            "/list/1/0",
            "/list/2/k",
            "/list/3",
            "/list/0/0",
            "/list/",
            "/deep/list/0/1",
            "/deep/list/0/0",
            "/deep//",
            "/deep/0",
            "/sub/",
            "/sub/0",
            "/no/0",
            "/yes",
        ] {
            let expected = lookup(&claims, path).and_then(Json::as_str);
            assert_eq!(held.find_text(path), expected, "`{path}`");
        }
    }
}
