//! What the policy decision point of a case does about a question.

use std::fmt;

use everycall_core::config::PdpProtocol;
use everycall_core::http::Failure;
use everycall_core::pdp::MAX_ANSWER;
use everycall_core::record::PdpExchange;
use everycall_core::{json as strict, Call, Reply};
use serde::de::value::{MapAccessDeserializer, StrDeserializer};
use serde::de::{Error, MapAccess, Visitor};
use serde::{Deserialize, Deserializer};
use serde_json::Value;

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
    pub fn reply(&self, protocol: PdpProtocol) -> Reply {
        let (status, body) = match self {
            Self::Allow => return protocol.says(true),
            Self::Deny => return protocol.says(false),
            Self::Down => (503, "upstream connect error or disconnect/reset before headers"),
            Self::Timeout => (504, "upstream request timeout"),
            Self::Http { status, body } => (*status, body.as_str()),
            Self::Absent => return Reply::Failed(Failure::Unavailable),
        };
        if body.len() > MAX_ANSWER {
            Reply::Failed(Failure::TooLarge)
        } else {
            Reply::http(status, body)
        }
    }
}

/// The protocol of a call to a decision point, as its server tells it.
pub fn spoken(call: &Call) -> PdpProtocol {
    PdpProtocol::of_call(call).unwrap_or(PdpProtocol::Authzen)
}

/// Whether a call with this body asks a recorded question, in whichever protocol.
pub fn asks(exchange: &PdpExchange, body: &[u8]) -> bool {
    let question = Value::Object(exchange.question.clone());
    match strict::parse(body) {
        Ok(body) => body == question || body.get("input") == Some(question.get("input").unwrap_or(&question)),
        // ext_authz: the entry `id` of its `context_extensions`.
        Err(_) => {
            let id = exchange.id.as_bytes();
            let entry = [b"\x0a\x02id\x12", &[u8::try_from(id.len()).unwrap_or(u8::MAX)][..], id].concat();
            body.windows(entry.len()).any(|part| part == entry)
        }
    }
}

#[cfg(feature = "cli")]
super::schema_of!(PdpAnswer, "what the decision point does about a question", Name, Response);

impl<'de> Deserialize<'de> for PdpAnswer {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(NameOrResponse)
    }
}

struct NameOrResponse;

#[derive(Deserialize)]
#[cfg_attr(feature = "cli", derive(schemars::JsonSchema))]
#[serde(rename_all = "snake_case")]
enum Name {
    /// Yes.
    Allow,
    /// No.
    Deny,
    /// It can't be reached.
    Down,
    /// It takes too long.
    Timeout,
}

/// A response, whatever it means.
#[derive(Deserialize)]
#[cfg_attr(feature = "cli", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
struct Response {
    /// The status.
    status: u16,
    /// The body.
    body: String,
    /// Blanks after the body, for one that is too large to write down.
    #[cfg_attr(feature = "cli", schemars(range(max = u32::MAX)))]
    #[serde(default)]
    blanks: u32,
}

impl<'de> Visitor<'de> for NameOrResponse {
    type Value = PdpAnswer;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("`allow`, `deny`, `down`, `timeout` or {\"status\": …, \"body\": …}")
    }

    fn visit_str<E: Error>(self, name: &str) -> Result<PdpAnswer, E> {
        Ok(match Name::deserialize(StrDeserializer::new(name))? {
            Name::Allow => PdpAnswer::Allow,
            Name::Deny => PdpAnswer::Deny,
            Name::Down => PdpAnswer::Down,
            Name::Timeout => PdpAnswer::Timeout,
        })
    }

    fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<PdpAnswer, A::Error> {
        let Response { status, body, blanks } = Response::deserialize(MapAccessDeserializer::new(map))?;
        Ok(PdpAnswer::Http { status, body: body + &" ".repeat(usize::try_from(blanks).unwrap_or_default()) })
    }
}
