//! The outcome of a check: a permit or a denial, and the one place where a reason becomes an
//! HTTP answer.

use serde_json::json;

use crate::grants::Granted;
use crate::identity::Identity;
use crate::keys::Algorithm;
use crate::reason::{Layer, Reason};
use crate::record::DecisionRecord;
use crate::request::Request;
use crate::time::UnixTime;

/// The outcome, and what it rests on.
#[derive(Debug)]
pub struct Decision {
    /// A permit, or why there is none.
    pub verdict: Result<Permit, Denial>,
    /// Its inputs.
    pub record: DecisionRecord,
}

/// The proof that a request may pass. Only the engine makes one; `admit` cannot be called without.
#[derive(Debug, PartialEq, Eq)]
pub struct Permit {
    remove: Vec<String>,
    set: Vec<(&'static str, String)>,
}

impl Permit {
    /// Names, as the client spelled them, of the headers to take out before the request goes on.
    pub fn headers_to_remove(&self) -> &[String] {
        &self.remove
    }

    /// Headers to set, replacing any of the same name. Values hold visible ASCII only.
    pub fn headers_to_set(&self) -> impl Iterator<Item = (&'static str, &str)> {
        self.set.iter().map(|(name, value)| (*name, value.as_str()))
    }

    pub(crate) fn new(
        decision_id: &str,
        request: &Request,
        caller: Option<&Identity>,
        granted: &Granted,
        now: UnixTime,
    ) -> Self {
        let mut set = vec![
            ("x-everycall-decision-id", decision_id.to_owned()),
            ("x-everycall-grant", visible_ascii(&granted.grant.id)),
        ];
        if let Some(caller) = caller {
            set.push(("x-everycall-identity", visible_ascii(&caller.id)));
            set.push(("x-everycall-kind", caller.kind.as_str().to_owned()));
            for (name, value) in
                [("x-everycall-principal", &caller.principal), ("x-everycall-task", &caller.task)]
            {
                if let Some(value) = value {
                    set.push((name, visible_ascii(value)));
                }
            }
            // Envoy ends the stream by itself then, also when this module is gone.
            let left = caller.expires_at.millis_since(now);
            set.push(("x-envoy-upstream-stream-duration-ms", left.max(1).to_string()));
        }
        Self { remove: request.removed().to_vec(), set }
    }
}

/// Why a request may not pass.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Denial {
    /// From the fixed list.
    pub reason: Reason,
    /// The decision id that stands in the answer and in the record.
    pub decision_id: String,
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
}

/// The HTTP answer to a refused request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Refusal {
    /// 400, 401, 403 or 503.
    pub status: u16,
    /// Response headers; fixed text and the decision id, nothing from the client.
    pub headers: Vec<(&'static str, String)>,
    /// Problem details (RFC 9457).
    pub body: Vec<u8>,
    /// For the access log's response code details.
    pub details: String,
}

impl Denial {
    /// The answer. All refused tokens share one body: it tells nobody how near a forgery came.
    pub fn refusal(&self) -> Refusal {
        let reason = self.reason;
        let challenge = match (reason.status(), reason) {
            (401, Reason::CredentialMissing) => Some(Challenge::Missing),
            (401, Reason::BindingMissing) => Some(Challenge::MissingProof),
            (401, Reason::DpopInvalid | Reason::DpopReplayed) => Some(Challenge::InvalidProof),
            (401, _) => Some(Challenge::InvalidToken),
            _ => None,
        };
        let title = match reason.status() {
            400 => "Bad Request",
            401 => "Unauthorized",
            403 => "Forbidden",
            _ => "Service Unavailable",
        };
        let public = match challenge {
            Some(Challenge::InvalidToken | Challenge::MissingProof | Challenge::InvalidProof) => {
                "invalid_token"
            }
            _ => reason.code(),
        };
        let body = json!({
            "type": "about:blank",
            "title": title,
            "status": reason.status(),
            "reason": public,
            "decision_id": self.decision_id,
        });
        let mut headers = vec![
            ("content-type", "application/problem+json".to_owned()),
            ("cache-control", "no-store".to_owned()),
        ];
        let ask = match challenge {
            Some(Challenge::Missing) => Some(r#"Bearer realm="everycall""#.to_owned()),
            Some(Challenge::InvalidToken) => {
                Some(r#"Bearer realm="everycall", error="invalid_token""#.to_owned())
            }
            Some(Challenge::MissingProof) => Some(ask_for_proof("invalid_token")),
            Some(Challenge::InvalidProof) => Some(ask_for_proof("invalid_dpop_proof")),
            None => None,
        };
        headers.extend(ask.map(|ask| ("www-authenticate", ask)));
        if reason.status() == 503 {
            headers.push(("retry-after", "1".to_owned()));
        }
        Refusal {
            status: reason.status(),
            headers,
            body: body.to_string().into_bytes(),
            details: format!("everycall_denied{{reason={}}}", reason.code()),
        }
    }

    /// The layer that refused.
    pub const fn layer(&self) -> Layer {
        self.reason.layer()
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
            let refusal = Denial { reason, decision_id: "d1".into() }.refusal();
            assert_eq!(refusal.status, reason.status());
            let body: serde_json::Value = serde_json::from_slice(&refusal.body).unwrap();
            assert_eq!(body["decision_id"], "d1");
            let has = |name: &str| refusal.headers.iter().any(|(n, _)| *n == name);
            assert_eq!(has("www-authenticate"), refusal.status == 401, "{reason}");
            assert_eq!(has("retry-after"), refusal.status == 503, "{reason}");
        }
    }

    #[test]
    fn refused_tokens_share_one_body() {
        let body = |reason| Denial { reason, decision_id: "d".into() }.refusal().body;
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
