//! Text, or bytes that no JSON text can hold: `"text"` or `{"b64": "/w=="}`.

use std::fmt;

use base64::engine::general_purpose::STANDARD;
use base64::Engine as _;
use serde::de::value::MapAccessDeserializer;
use serde::de::{Error, MapAccess, Visitor};
use serde::{Deserialize, Deserializer};

/// Bytes as they are written in requests and cases.
#[derive(Clone, PartialEq, Eq)]
pub struct Bytes(pub Vec<u8>);

/// No content: it may be a credential.
impl fmt::Debug for Bytes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Bytes({})", self.0.len())
    }
}

#[cfg(feature = "cli")]
crate::cases::schema_of!(Bytes, "text, or bytes that no JSON text can hold", String, Base64);

impl<'de> Deserialize<'de> for Bytes {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(TextOrBase64)
    }
}

struct TextOrBase64;

/// With padding.
#[cfg(feature = "cli")]
pub(crate) const BASE64: &str = "^([A-Za-z0-9+/]{4})*([A-Za-z0-9+/]{2}==|[A-Za-z0-9+/]{3}=)?$";

#[derive(Deserialize)]
#[cfg_attr(feature = "cli", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
struct Base64 {
    /// Base64 of the bytes.
    #[cfg_attr(feature = "cli", schemars(regex(pattern = BASE64)))]
    b64: String,
}

impl<'de> Visitor<'de> for TextOrBase64 {
    type Value = Bytes;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("text or {\"b64\": …}")
    }

    fn visit_str<E: Error>(self, text: &str) -> Result<Bytes, E> {
        Ok(Bytes(text.as_bytes().to_vec()))
    }

    fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<Bytes, A::Error> {
        let Base64 { b64 } = Base64::deserialize(MapAccessDeserializer::new(map))?;
        from_base64(&b64).map(Bytes)
    }
}

/// Decodes a `b64` member.
pub(crate) fn from_base64<E: Error>(text: &str) -> Result<Vec<u8>, E> {
    STANDARD.decode(text).map_err(|_| E::custom("`b64` is not base64"))
}
