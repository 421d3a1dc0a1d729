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
mod tests {
    use serde_json::json;

    use super::*;
    use crate::http::request::IDENTITY_HEADERS;

    fn read(written: Value, allow: bool) -> Result<Obligations, Reason> {
        let Value::Object(written) = written else { panic!("{written}") };
        Obligations::read(written, allow).map_err(|failure| failure.reason)
    }

    fn is_invalid(written: &Value, allow: bool) -> bool {
        read(written.clone(), allow) == Err(Reason::ObligationInvalid)
    }

    #[test]
    fn what_is_well_formed_is_taken() {
        let all = read(
            json!({"request_headers": {"set": {"x-tenant": "a b"}, "remove": ["x-old"]},
                   "response_headers": {"remove": ["server"]}, "max_stream_s": 60}),
            true,
        )
        .unwrap();
        assert_eq!(all.request_headers.names().collect::<Vec<_>>(), ["x-tenant", "x-old"]);
        assert_eq!(all.max_stream_s, Some(60));
        assert_eq!(all.written.len(), 3);
        let all =
            read(json!({"response": {"status": 404}, "response_headers": {"set": {"x-a": "b"}}}), false);
        assert_eq!(all.unwrap().reason_of_refusal(), Reason::PolicyDenied);
        let step_up =
            read(json!({"step_up": {"acr_values": ["a", "b"], "max_age": 0, "scope": "c d"}}), false);
        let step_up = step_up.unwrap();
        assert_eq!(step_up.reason_of_refusal(), Reason::StepUpRequired);
        let parameters = step_up.step_up.unwrap().parameters();
        assert_eq!(parameters, r#", acr_values="a b", max_age="0", scope="c d""#);
    }

    #[test]
    fn unknown_ones_are_refused_with_either_outcome() {
        for allow in [true, false] {
            for name in ["mask", "", "Request_headers", "response_header"] {
                assert_eq!(read(json!({name: {}}), allow), Err(Reason::ObligationUnknown), "{name}");
            }
        }
    }

    #[test]
    fn each_makes_sense_for_one_outcome_only() {
        for (name, value) in [("request_headers", json!({})), ("max_stream_s", json!(1))] {
            assert!(read(json!({name: value}), true).is_ok(), "{name}");
            assert!(is_invalid(&json!({name: value}), false), "{name}");
        }
        for (name, value) in [("response", json!({"status": 403})), ("step_up", json!({"max_age": 1}))] {
            assert!(read(json!({name: value}), false).is_ok(), "{name}");
            assert!(is_invalid(&json!({name: value}), true), "{name}");
        }
        assert!(is_invalid(&json!({"response": {"status": 403}, "step_up": {"max_age": 1}}), false));
        assert!(is_invalid(&json!({"response_headers": {"remove": ["x-a"]}}), false));
        for name in ["content-type", "cache_control", "www-authenticate"] {
            let changes = json!({"response_headers": {"set": {name: "a"}}});
            assert!(read(changes.clone(), true).is_ok(), "{name}");
            assert!(is_invalid(&changes, false), "{name}");
        }
    }

    #[test]
    fn forbidden_headers_are_refused_in_every_spelling() {
        let prefixed = FORBIDDEN_PREFIXES.iter().map(|prefix| format!("{prefix}x"));
        let names = FORBIDDEN_HEADERS.iter().chain(REMOVED_HEADERS).map(|name| (*name).to_owned());
        for name in names.chain(prefixed) {
            for name in [name.replace('-', "_"), name.replacen('-', ".", 1), name.to_ascii_uppercase(), name]
            {
                for block in ["request_headers", "response_headers"] {
                    assert!(is_invalid(&json!({block: {"set": {&name: "a"}}}), true), "{block}: {name}");
                    assert!(is_invalid(&json!({block: {"remove": [&name]}}), true), "{block}: {name}");
                }
            }
        }
    }

    #[test]
    fn who_the_upstream_is_to_take_for_the_caller_is_for_policies_to_say() {
        for name in IDENTITY_HEADERS {
            assert!(read(json!({"request_headers": {"set": {*name: "a"}}}), true).is_ok(), "{name}");
            assert!(read(json!({"request_headers": {"remove": [*name]}}), true).is_ok(), "{name}");
        }
    }

    #[test]
    fn names_and_values_cannot_leave_their_place() {
        for name in ["", ":path", "X-A", "x a", "x-a:", "x-a\r\nx-b", "x\0", "x-\u{e9}", &"a".repeat(65)] {
            assert!(is_invalid(&json!({"request_headers": {"set": {name: "a"}}}), true), "{name:?}");
            assert!(is_invalid(&json!({"response_headers": {"remove": [name]}}), true), "{name:?}");
        }
        for value in
            ["", " a", "a ", "a\r\nx-b: c", "a\n", "a\0", "a\tb", "\u{e9}", "\u{7f}", &"a".repeat(1_025)]
        {
            for (block, allow) in
                [("request_headers", true), ("response_headers", true), ("response_headers", false)]
            {
                assert!(is_invalid(&json!({block: {"set": {"x-a": value}}}), allow), "{block}: {value:?}");
            }
        }
        for value in ["a\"", "a\\", "a b", "", "a\r\n", "\u{e9}"] {
            assert!(is_invalid(&json!({"step_up": {"acr_values": [value]}}), false), "{value:?}");
        }
        for scope in ["", " a", "a  b", "a\"b", "a\nb"] {
            assert!(is_invalid(&json!({"step_up": {"scope": scope}}), false), "{scope:?}");
        }
    }

    #[test]
    fn other_shapes_are_refused() {
        let many: Map<String, Value> = (0..17).map(|n| (format!("x-{n}"), json!("a"))).collect();
        for changes in [
            json!([]),
            json!(null),
            json!("x-a"),
            json!({"add": {"x-a": "b"}}),
            json!({"set": ["x-a"]}),
            json!({"set": {"x-a": 1}}),
            json!({"set": {"x-a": ["b"]}}),
            json!({"set": {"x-a": null}}),
            json!({"set": null}),
            json!({"remove": "x-a"}),
            json!({"remove": [1]}),
            json!({"set": {"x-a": "b"}, "remove": ["x-a"]}),
            json!({"set": many}),
        ] {
            assert!(is_invalid(&json!({"request_headers": changes}), true), "{changes}");
            assert!(is_invalid(&json!({"response_headers": changes}), true), "{changes}");
        }
        for limit in [json!(0), json!(-1), json!(86_401), json!(1.5), json!("60"), json!(true), json!(null)] {
            assert!(is_invalid(&json!({"max_stream_s": limit}), true), "{limit}");
        }
        for response in [
            json!({}),
            json!(403),
            json!({"status": "403"}),
            json!({"status": 200}),
            json!({"status": 302}),
            json!({"status": 401}),
            json!({"status": 407}),
            json!({"status": 503}),
            json!({"status": 403, "body": ["a"]}),
            json!({"status": 403, "body": 1}),
            json!({"status": 403, "body": null}),
            json!({"status": 403, "body": "a".repeat(4_097)}),
            json!({"status": 403, "body": {"a": "a".repeat(4_090)}}),
            json!({"status": 403, "headers": {}}),
            json!({"status": 403, "content_type": "text/html"}),
        ] {
            assert!(is_invalid(&json!({"response": response}), false), "{response}");
        }
        for step_up in [
            json!({}),
            json!("acr"),
            json!({"acr_values": "a"}),
            json!({"acr_values": []}),
            json!({"acr_values": vec!["a"; 9]}),
            json!({"max_age": -1}),
            json!({"max_age": "60"}),
            json!({"max_age": null, "acr_values": ["a"]}),
            json!({"acr": ["a"]}),
        ] {
            assert!(is_invalid(&json!({"step_up": step_up}), false), "{step_up}");
        }
    }
}
