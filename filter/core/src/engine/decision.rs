//! The outcome of a check: a permit or a denial, and the one place where a reason becomes an
//! HTTP answer.

use std::borrow::Cow;

use serde_json::json;

use crate::base::ascii;
use crate::base::reason::{Layer, Reason};
use crate::base::time::UnixTime;
use crate::engine::admission::{Admission, HeldRequest};
use crate::http::request::Request;
use crate::identity::{Binding, Identity};
use crate::jose::keys::Algorithm;
use crate::obligations::{HeaderChanges, Obligations, Response, StepUp};
use crate::record::DecisionRecord;

/// The outcome, and what it rests on.
#[derive(Debug)]
pub struct Decision {
    /// A permit, or why there is none.
    pub verdict: Result<Permit, Denial>,
    /// Its inputs.
    pub record: DecisionRecord,
}

/// The proof that a request may pass. Only the engine makes one; `admit` cannot be called without.
#[derive(Debug)]
pub struct Permit {
    remove: Vec<String>,
    set: Vec<(Cow<'static, str>, String)>,
    response: HeaderChanges,
    admission: Box<Admission>,
}

impl Permit {
    /// Names, as the client spelled them, of the headers to take out before the request goes on.
    pub fn headers_to_remove(&self) -> &[String] {
        &self.remove
    }

    /// Headers to set, replacing any of the same name. Values hold visible ASCII only.
    pub fn headers_to_set(&self) -> impl Iterator<Item = (&str, &str)> {
        self.set.iter().map(|(name, value)| (&**name, value.as_str()))
    }

    /// What is to be done to the response's headers when they come, and what the engine wants to
    /// know of when the request goes on.
    pub fn into_parts(self) -> (HeaderChanges, Box<Admission>) {
        (self.response, self.admission)
    }

    pub(crate) fn new(
        request: Request,
        kept_back: Vec<String>,
        obligations: Obligations,
        admission: Box<Admission>,
        now: UnixTime,
    ) -> Self {
        let Obligations { request_headers, response_headers, .. } = obligations;
        let mut remove = Vec::new();
        for name in request_headers.names() {
            // An upstream that takes `_` for `-` must not see the client's value beside the policy's.
            remove.extend(request.spellings(name).map(str::to_owned));
        }
        remove.extend(request_headers.remove);
        let mut permit = Self::bare(request, kept_back, admission, now);
        permit.remove.extend(remove);
        if let Some(grant) = &permit.admission.grant {
            permit.set.push(("x-everycall-grant".into(), visible_ascii(&grant.id)));
        }
        permit.set.extend(request_headers.set.into_iter().map(|(name, value)| (name.into(), value)));
        permit.response = response_headers;
        permit
    }

    /// For a request that is passed on though it would be refused.
    pub(crate) fn observed(
        request: Request,
        kept_back: Vec<String>,
        admission: Box<Admission>,
        reason: Reason,
        now: UnixTime,
    ) -> Self {
        let mut permit = Self::bare(request, kept_back, admission, now);
        permit.set.push(("x-everycall-observed".into(), reason.code().to_owned()));
        permit
    }

    /// What every permit has: the client's own claims are gone, as are credentials that are not for the upstream, and
    /// what was verified is there.
    fn bare(request: Request, kept_back: Vec<String>, mut admission: Box<Admission>, now: UnixTime) -> Self {
        let mut set = vec![("x-everycall-decision-id".into(), admission.decision_id.clone())];
        if let Some(caller) = admission.caller.as_ref().map(|caller| &caller.identity) {
            set.push(("x-everycall-identity".into(), visible_ascii(&caller.id)));
            set.push(("x-everycall-kind".into(), caller.kind.as_str().to_owned()));
            for (name, value) in
                [("x-everycall-on-behalf-of", &caller.on_behalf_of), ("x-everycall-task", &caller.task)]
            {
                if let Some(value) = value {
                    set.push((name.into(), visible_ascii(value)));
                }
            }
        }
        // Envoy ends the stream by itself then, also when this module is gone.
        let left = admission.end.at.millis_since(now).max(1);
        set.push(("x-envoy-upstream-stream-duration-ms".into(), left.to_string()));
        let remove = [request.removed(), &kept_back].concat();
        admission.request = HeldRequest::Whole(request);
        Self { remove, set, response: HeaderChanges::default(), admission }
    }
}

/// Why a request may not pass.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Denial {
    /// From the fixed list.
    pub reason: Reason,
    /// The decision id that stands in the answer and in the record.
    pub decision_id: String,
    obligations: Option<Box<Obligations>>,
    /// The scheme by which the caller is asked for another token.
    scheme: &'static str,
}

/// How a 401 asks for a credential.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Challenge {
    /// None was presented (RFC 6750 section 3: no error code then).
    Missing,
    /// The one presented is not accepted (RFC 6750 section 3.1).
    InvalidToken,
    /// It is accepted with a proof only (RFC 9449 section 7.1).
    MissingProof,
    /// The proof that came with it is not accepted (RFC 9449 section 7.1).
    InvalidProof,
    /// The user has to authenticate in another way, or again (RFC 9470 section 3).
    StepUp,
}

/// The HTTP answer to a refused request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Refusal {
    /// 400, 401, 403 or 503, or what the policy chose.
    pub status: u16,
    /// Response headers: fixed text, the decision id, and what the policy chose.
    pub headers: Vec<(Cow<'static, str>, String)>,
    /// Problem details (RFC 9457), or what the policy chose.
    pub body: Vec<u8>,
    /// For the access log's response code details.
    pub details: String,
}

impl Denial {
    /// A refusal with the usual answer.
    pub fn new(reason: Reason, decision_id: &str) -> Self {
        Self::obliged(reason, decision_id, None, None)
    }

    /// A refusal of this caller, with what the policy wants done.
    pub(crate) fn obliged(
        reason: Reason,
        decision_id: &str,
        obligations: Option<Box<Obligations>>,
        caller: Option<&Identity>,
    ) -> Self {
        let proves = |binding| matches!(binding, Binding::Dpop | Binding::Both);
        let scheme =
            if caller.and_then(|caller| caller.bound).is_some_and(proves) { "DPoP" } else { "Bearer" };
        Self { reason, decision_id: decision_id.to_owned(), obligations, scheme }
    }

    /// The status of the answer.
    pub fn status(&self) -> u16 {
        self.obligations.as_ref().and_then(|all| all.status()).unwrap_or(self.reason.status())
    }

    /// The answer. All refused tokens share one body: it tells nobody how near a forgery came.
    pub fn refusal(&self) -> Refusal {
        let reason = self.reason;
        let challenge = match (reason.status(), reason) {
            (401, Reason::CredentialMissing) => Some(Challenge::Missing),
            (401, Reason::StepUpRequired) => Some(Challenge::StepUp),
            (401, Reason::BindingMissing) => Some(Challenge::MissingProof),
            (401, Reason::DpopInvalid | Reason::DpopReplayed) => Some(Challenge::InvalidProof),
            (401, _) => Some(Challenge::InvalidToken),
            _ => None,
        };
        let status = self.status();
        let public = match challenge {
            Some(Challenge::InvalidToken | Challenge::MissingProof | Challenge::InvalidProof) => {
                "invalid_token"
            }
            _ => reason.code(),
        };
        let body = json!({
            "type": "about:blank",
            "title": title(status),
            "status": status,
            "reason": public,
            "decision_id": self.decision_id,
        });
        let mut headers: Vec<(Cow<'static, str>, String)> = vec![("cache-control".into(), "no-store".into())];
        let body = match self.response().and_then(Response::content) {
            Some((content_type, body)) => {
                headers.push(("content-type".into(), content_type.into()));
                headers.push(("x-everycall-decision-id".into(), self.decision_id.clone()));
                body
            }
            None => {
                headers.push(("content-type".into(), "application/problem+json".into()));
                body.to_string().into_bytes()
            }
        };
        let ask = match challenge {
            Some(Challenge::Missing) => Some(r#"Bearer realm="everycall""#.to_owned()),
            Some(Challenge::InvalidToken) => {
                Some(r#"Bearer realm="everycall", error="invalid_token""#.to_owned())
            }
            Some(Challenge::MissingProof) => Some(ask_for_proof("invalid_token")),
            Some(Challenge::InvalidProof) => Some(ask_for_proof("invalid_dpop_proof")),
            Some(Challenge::StepUp) => Some(self.ask_for_step_up()),
            None => None,
        };
        headers.extend(ask.map(|ask| ("www-authenticate".into(), ask)));
        if reason.status() == 503 {
            headers.push(("retry-after".into(), "1".to_owned()));
        }
        let chosen = self.obligations.iter().flat_map(|all| &all.response_headers.set);
        headers.extend(chosen.map(|(name, value)| (name.clone().into(), value.clone())));
        Refusal { status, headers, body, details: format!("everycall_denied{{reason={}}}", reason.code()) }
    }

    /// The answer by which a stream is cut that was admitted: the same, but for what the access log
    /// says. Only a client that has seen nothing of its response yet sees more than the end of it.
    pub fn cut(&self) -> Refusal {
        Refusal { details: format!("everycall_cut{{reason={}}}", self.reason), ..self.refusal() }
    }

    /// The layer that refused.
    pub const fn layer(&self) -> Layer {
        self.reason.layer()
    }

    fn response(&self) -> Option<&Response> {
        self.obligations.as_ref()?.response.as_ref()
    }

    fn ask_for_step_up(&self) -> String {
        let step_up = self.obligations.as_ref().and_then(|all| all.step_up.as_ref());
        let parameters = step_up.map(StepUp::parameters).unwrap_or_default();
        format!(r#"{} realm="everycall", error="insufficient_user_authentication"{parameters}"#, self.scheme)
    }
}

/// The name of a status that refusals can have (RFC 9110, 4918, 6585, 7725).
const fn title(status: u16) -> &'static str {
    match status {
        400 => "Bad Request",
        401 => "Unauthorized",
        403 => "Forbidden",
        404 => "Not Found",
        409 => "Conflict",
        410 => "Gone",
        422 => "Unprocessable Content",
        423 => "Locked",
        428 => "Precondition Required",
        429 => "Too Many Requests",
        451 => "Unavailable For Legal Reasons",
        _ => "Service Unavailable",
    }
}

fn ask_for_proof(error: &str) -> String {
    let algorithms: Vec<&str> = Algorithm::ALL.iter().map(|algorithm| algorithm.as_str()).collect();
    format!(r#"DPoP realm="everycall", error="{error}", algs="{}""#, algorithms.join(" "))
}

/// Percent-encodes whatever is not visible ASCII, and `%` itself: ids go into headers, and an id
/// from a token must neither end a line nor look like another id.
fn visible_ascii(text: &str) -> String {
    use std::fmt::Write as _;
    if ascii::is_graphic(text.as_bytes()) && !text.contains('%') {
        return text.to_owned();
    }
    let mut encoded = String::with_capacity(text.len());
    for byte in text.bytes() {
        match byte {
            b'%' => encoded.push_str("%25"),
            0x21..=0x7e => encoded.push(char::from(byte)),
            other => {
                // Writing to a String does not fail.
                let _ = write!(encoded, "%{other:02X}");
            }
        }
    }
    encoded
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn refusals_follow_from_the_table() {
        for reason in Reason::ALL.iter().copied().filter(|reason| !reason.is_allow()) {
            let refusal = Denial::new(reason, "d1").refusal();
            assert_eq!(refusal.status, reason.status());
            let body: serde_json::Value = serde_json::from_slice(&refusal.body).unwrap();
            assert_eq!(body["decision_id"], "d1");
            let has = |name: &str| refusal.headers.iter().any(|(n, _)| n == name);
            assert_eq!(has("www-authenticate"), refusal.status == 401, "{reason}");
            assert_eq!(has("retry-after"), refusal.status == 503, "{reason}");
        }
    }

    #[test]
    fn refused_tokens_share_one_body() {
        let body = |reason| Denial::new(reason, "d").refusal().body;
        assert_eq!(body(Reason::TokenSignature), body(Reason::TokenExpired));
        assert_eq!(body(Reason::TokenIssuer), body(Reason::BindingMissing));
        assert_eq!(body(Reason::TokenIssuer), body(Reason::DpopReplayed));
        assert_eq!(body(Reason::TokenIssuer), body(Reason::ApiKeyInvalid));
        assert_ne!(body(Reason::TokenIssuer), body(Reason::CredentialMissing));
    }

    #[test]
    fn ids_in_headers_cannot_end_a_line_or_collide() {
        assert_eq!(visible_ascii("spiffe://a/b"), "spiffe://a/b");
        assert_eq!(visible_ascii("a\r\nb c%20\u{e9}"), "a%0D%0Ab%20c%2520%C3%A9");
    }
}
