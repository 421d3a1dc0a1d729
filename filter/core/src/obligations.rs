//! Obligations: what a policy wants done along with its decision. All of it or nothing: one that is
//! unknown, malformed, forbidden or senseless for the outcome turns the decision into a refusal.

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use crate::base::reason::{Denied, Reason};
use crate::http::request::{dashed, OWN_HEADER_PREFIX, REMOVED_HEADERS};

/// Statuses that a policy may choose for its refusals: none that proxies or clients act upon by
/// themselves, as they do on redirects, 401, 407 and 5xx.
pub const RESPONSE_STATUSES: &[u16] = &[403, 404, 409, 410, 422, 423, 428, 429, 451];

/// Headers that no policy sets or removes, also when spelled with `_`: they carry credentials, frame
/// the message, or tell somebody else than the policy's author what to believe. Those that are
/// removed from the client's request are forbidden as well.
pub const FORBIDDEN_HEADERS: &[&str] = &[
    "authorization",
    "connection",
    "content-length",
    "cookie",
    "dpop",
    "host",
    "keep-alive",
    "set-cookie",
    "te",
    "trailer",
    "transfer-encoding",
    "upgrade",
    "x-forwarded-client-cert",
    "x-forwarded-for",
    "x-forwarded-proto",
];

/// Beginnings of further such headers.
pub const FORBIDDEN_PREFIXES: &[&str] = &["proxy-", "x-envoy-", OWN_HEADER_PREFIX];

/// Headers that belong to the answer of a refusal itself.
const HEADERS_OF_REFUSALS: &[&str] = &["cache-control", "content-type", "www-authenticate"];

/// The names of obligations.
pub const OBLIGATIONS: &[&str] =
    &["max_stream_s", "request_headers", "response", "response_headers", "step_up"];
/// Headers in one list of changes.
const MAX_HEADERS: usize = 16;
/// Length of a header's name.
const MAX_NAME: usize = 64;
/// Length of a header's value, of an `acr` value and of a scope.
const MAX_TEXT: usize = 1_024;
/// Length of a response's body.
const MAX_BODY: usize = 4_096;
/// Members of `acr_values`.
const MAX_ACR_VALUES: usize = 8;
/// Seconds in the range of `max_stream_s`: a day.
const MAX_STREAM_S: u32 = 86_400;

/// What is done along with a decision. Valid by construction.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Obligations {
    /// As the policy wrote them: for the record.
    pub(crate) written: Map<String, Value>,
    pub(crate) request_headers: HeaderChanges,
    pub(crate) response_headers: HeaderChanges,
    pub(crate) response: Option<Response>,
    pub(crate) step_up: Option<StepUp>,
    pub(crate) max_stream_s: Option<u32>,
}

/// Changes to the headers of a message. Names are in lower case, values hold visible ASCII and
/// blanks only.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, default, expecting = "an object")]
pub struct HeaderChanges {
    /// Names and values to set, replacing all of the name.
    pub set: BTreeMap<String, String>,
    /// Names to remove.
    pub remove: BTreeSet<String>,
}

/// The answer to a refused request.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, expecting = "an object")]
pub(crate) struct Response {
    /// One of [`RESPONSE_STATUSES`].
    pub(crate) status: u16,
    /// Text or an object; without one the answer is the usual problem document.
    #[serde(default)]
    pub(crate) body: Option<Value>,
}

/// How the user has to authenticate for this (RFC 9470).
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize, Serialize)]
#[serde(deny_unknown_fields, default, expecting = "an object")]
pub(crate) struct StepUp {
    /// Authentication contexts, one of which is wanted; the preferred one first.
    acr_values: Vec<String>,
    /// Seconds since the user authenticated.
    max_age: Option<u32>,
    /// Scopes that the new token needs (RFC 6750 section 3).
    scope: Option<String>,
}

impl Obligations {
    /// Reads what came with a decision.
    ///
    /// # Errors
    /// `obligation_unknown` or `obligation_invalid`, with what is wrong.
    pub(crate) fn read(written: Map<String, Value>, allow: bool) -> Result<Self, Denied> {
        let mut all = Self::default();
        for (name, value) in &written {
            let result = match (name.as_str(), allow) {
                ("request_headers", true) => {
                    read(value).and_then(HeaderChanges::checked).map(|changes| all.request_headers = changes)
                }
                ("response_headers", _) => read(value)
                    .and_then(HeaderChanges::checked)
                    .and_then(|changes| if allow { Ok(changes) } else { changes.for_refusal() })
                    .map(|changes| all.response_headers = changes),
                ("response", false) => {
                    read(value).and_then(Response::checked).map(|response| all.response = Some(response))
                }
                ("step_up", false) => {
                    read(value).and_then(StepUp::checked).map(|step_up| all.step_up = Some(step_up))
                }
                ("max_stream_s", true) => stream_seconds(value).map(|limit| all.max_stream_s = Some(limit)),
                ("request_headers" | "max_stream_s", false) => Err("makes no sense for a refusal".into()),
                ("response" | "step_up", true) => Err("makes no sense for an allow".into()),
                _ => {
                    let known = OBLIGATIONS.join("`, `");
                    let detail = format!("obligation `{name}`; expected one of `{known}`");
                    return Err(Denied { reason: Reason::ObligationUnknown, detail });
                }
            };
            result.map_err(|why| invalid(format!("obligation `{name}`: {why}")))?;
        }
        if all.step_up.is_some() && all.response.is_some() {
            return Err(invalid("`step_up` and `response` are two answers"));
        }
        all.written = written;
        Ok(all)
    }

    /// The status of a refusal that has these, if they choose one.
    pub(crate) fn status(&self) -> Option<u16> {
        self.response.as_ref().map(|response| response.status)
    }

    /// The reason of a refusal that has these.
    pub(crate) const fn reason_of_refusal(&self) -> Reason {
        match self.step_up {
            Some(_) => Reason::StepUpRequired,
            None => Reason::PolicyDenied,
        }
    }
}

/// Whether these can be done along with a decision.
///
/// # Errors
/// The decision is a refusal: what is wrong with them.
pub fn check(written: Map<String, Value>, allow: bool) -> Result<(), Denied> {
    Obligations::read(written, allow).map(drop)
}

fn invalid(detail: impl Into<String>) -> Denied {
    Denied { reason: Reason::ObligationInvalid, detail: detail.into() }
}

fn read<'v, T: Deserialize<'v>>(value: &'v Value) -> Result<T, String> {
    // What is optional is left out, not null: a value that could not be had must not go unseen.
    let members = value.as_object().ok_or("expected an object")?;
    if let Some((name, _)) = members.iter().find(|(_, member)| member.is_null()) {
        return Err(format!("`{name}` is null"));
    }
    T::deserialize(value).map_err(|error| error.to_string())
}

fn stream_seconds(value: &Value) -> Result<u32, String> {
    let seconds = value.as_u64().and_then(|seconds| u32::try_from(seconds).ok());
    seconds
        .filter(|seconds| (1..=MAX_STREAM_S).contains(seconds))
        .ok_or_else(|| format!("expected a whole number from 1 to {MAX_STREAM_S}"))
}

impl HeaderChanges {
    /// Whether there is nothing to do.
    pub fn is_empty(&self) -> bool {
        self.set.is_empty() && self.remove.is_empty()
    }

    /// All names.
    pub(crate) fn names(&self) -> impl Iterator<Item = &str> {
        self.set.keys().chain(&self.remove).map(String::as_str)
    }

    fn checked(self) -> Result<Self, String> {
        if self.set.len() > MAX_HEADERS || self.remove.len() > MAX_HEADERS {
            return Err(format!("more than {MAX_HEADERS} headers"));
        }
        for name in self.names() {
            if !is_name(name) {
                return Err(format!(
                    "`{name}` is not a header name of 1 to {MAX_NAME} of `a-z`, `0-9`, `-`, `_`, `.`"
                ));
            }
            if no_policy_changes(name) {
                return Err(format!("the header `{name}` is not a policy's to change"));
            }
        }
        if let Some(twice) = self.remove.iter().find(|name| self.set.contains_key(*name)) {
            return Err(format!("`{twice}` is both set and removed"));
        }
        match self.set.iter().find(|(_, value)| !is_value(value)) {
            Some((name, _)) => Err(format!("the value of `{name}` is not 1 to {MAX_TEXT} of visible ASCII")),
            None => Ok(self),
        }
    }

    fn for_refusal(self) -> Result<Self, String> {
        if !self.remove.is_empty() {
            return Err("a refusal has nothing to remove".into());
        }
        match self.set.keys().find(|name| HEADERS_OF_REFUSALS.contains(&dashed(name).as_str())) {
            Some(name) => Err(format!("the header `{name}` of a refusal is not a policy's to change")),
            None => Ok(self),
        }
    }
}

impl Response {
    fn checked(self) -> Result<Self, String> {
        if !RESPONSE_STATUSES.contains(&self.status) {
            return Err(format!("{} is not one of {RESPONSE_STATUSES:?}", self.status));
        }
        let size = match &self.body {
            None => 0,
            Some(Value::String(text)) => text.len(),
            Some(object @ Value::Object(_)) => object.to_string().len(),
            Some(_) => return Err("`body` is neither text nor an object".into()),
        };
        if size > MAX_BODY {
            Err(format!("`body` has {size} bytes; the limit is {MAX_BODY}"))
        } else {
            Ok(self)
        }
    }

    /// Content type and bytes of the body, if there is one.
    pub(crate) fn content(&self) -> Option<(&'static str, Vec<u8>)> {
        match self.body.as_ref()? {
            Value::String(text) => Some(("text/plain; charset=utf-8", text.clone().into_bytes())),
            object => Some(("application/json", object.to_string().into_bytes())),
        }
    }
}

impl StepUp {
    fn checked(self) -> Result<Self, String> {
        if self.acr_values.is_empty() && self.max_age.is_none() && self.scope.is_none() {
            return Err("expected `acr_values`, `max_age` or `scope`".into());
        }
        if self.acr_values.len() > MAX_ACR_VALUES {
            return Err(format!("more than {MAX_ACR_VALUES} `acr_values`"));
        }
        if !self.acr_values.iter().all(|value| is_word(value)) {
            return Err("`acr_values` holds what can't stand in a challenge".into());
        }
        if self.scope.as_deref().is_some_and(|scope| !scope.split(' ').all(is_word)) {
            Err("`scope` is not words with single blanks between".into())
        } else {
            Ok(self)
        }
    }

    /// The parameters of the challenge, behind its error code (RFC 9470 section 3).
    pub(crate) fn parameters(&self) -> String {
        let acr_values =
            (!self.acr_values.is_empty()).then(|| format!(r#", acr_values="{}""#, self.acr_values.join(" ")));
        let max_age = self.max_age.map(|age| format!(r#", max_age="{age}""#));
        let scope = self.scope.as_ref().map(|scope| format!(r#", scope="{scope}""#));
        [acr_values, max_age, scope].into_iter().flatten().collect()
    }
}

fn is_name(text: &str) -> bool {
    (1..=MAX_NAME).contains(&text.len())
        && text
            .bytes()
            .all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || matches!(b, b'-' | b'_' | b'.'))
}

/// Whether no policy may change a header.
pub(crate) fn no_policy_changes(name: &str) -> bool {
    let name = dashed(name);
    let name = name.as_str();
    FORBIDDEN_HEADERS.contains(&name)
        || REMOVED_HEADERS.contains(&name)
        || FORBIDDEN_PREFIXES.iter().any(|prefix| name.starts_with(prefix))
}

/// Nothing that ends a line: the proxy does not look at the headers of its own answers.
fn is_value(text: &str) -> bool {
    (1..=MAX_TEXT).contains(&text.len())
        && text.bytes().all(|b| matches!(b, 0x20..=0x7e))
        && text.trim_matches(' ').len() == text.len()
}

/// What may stand between quotes as one of several words (RFC 6749 appendix A.4).
fn is_word(text: &str) -> bool {
    (1..=MAX_TEXT).contains(&text.len())
        && text.bytes().all(|b| matches!(b, 0x21 | 0x23..=0x5b | 0x5d..=0x7e))
}

#[cfg(test)]
mod tests;
