//! What the policy decision point of a case does about a question.

use std::fmt;

use everycall_core::{Failure, Reply, MAX_ANSWER};
use serde::de::value::{MapAccessDeserializer, StrDeserializer};
use serde::de::{Error, MapAccess, Visitor};
use serde::{Deserialize, Deserializer};

/// An answer to one question: `"allow"`, `"deny"`, `"down"`, `"timeout"`, or a response as it is
/// written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum PdpAnswer {
    /// Yes.
    Allow,
    /// No.
    Deny,
    /// It can't be reached: the proxy answers 503 in its place.
    Down,
    /// It takes too long: the proxy answers 504 in its place.
    Timeout,
    /// This response, whatever it means.
    Http {
        /// The status.
        status: u16,
        /// The body.
        body: String,
    },
    /// There is no response at all.
    Absent,
}

impl PdpAnswer {
    /// The reply as the proxy hands it in.
    pub fn reply(&self) -> Reply {
        let (status, body) = match self {
            Self::Allow => (200, r#"{"decision":true}"#),
            Self::Deny => (200, r#"{"decision":false}"#),
            Self::Down => (503, "upstream connect error or disconnect/reset before headers"),
            Self::Timeout => (504, "upstream request timeout"),
            Self::Http { status, body } => (*status, body.as_str()),
            Self::Absent => return Reply::Failed(Failure::Unavailable),
        };
        match body.len() > MAX_ANSWER {
            true => Reply::Failed(Failure::TooLarge),
            false => Reply::http(status, body),
        }
    }
}

impl<'de> Deserialize<'de> for PdpAnswer {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(NameOrResponse)
    }
}

struct NameOrResponse;

impl<'de> Visitor<'de> for NameOrResponse {
    type Value = PdpAnswer;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("`allow`, `deny`, `down`, `timeout` or {\"status\": …, \"body\": …}")
    }

    fn visit_str<E: Error>(self, name: &str) -> Result<PdpAnswer, E> {
        #[derive(Deserialize)]
        #[serde(rename_all = "snake_case")]
        enum Name {
            Allow,
            Deny,
            Down,
            Timeout,
        }
        Ok(match Name::deserialize(StrDeserializer::new(name))? {
            Name::Allow => PdpAnswer::Allow,
            Name::Deny => PdpAnswer::Deny,
            Name::Down => PdpAnswer::Down,
            Name::Timeout => PdpAnswer::Timeout,
        })
    }

    fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<PdpAnswer, A::Error> {
        #[derive(Deserialize)]
        #[serde(deny_unknown_fields)]
        struct Response {
            status: u16,
            body: String,
            /// Blanks after the body, for one that is too large to write down.
            #[serde(default)]
            blanks: u32,
        }
        let Response { status, body, blanks } = Response::deserialize(MapAccessDeserializer::new(map))?;
        Ok(PdpAnswer::Http { status, body: body + &" ".repeat(usize::try_from(blanks).unwrap_or_default()) })
    }
}
