//! The callers of credentials that are no tokens: API keys and client certificates.

use std::sync::Arc;

use super::case::Refused;
use super::layers::Layers;
use crate::authority::exceptions::{self, ApiKey, API_KEY_ISSUER};
use crate::base::reason::Reason;
use crate::base::spiffe::SpiffeId;
use crate::base::time::UnixTime;
use crate::config::Mtls;
use crate::credential::peer;
use crate::credential::token::cache::Verified;
use crate::credential::token::source::Presented;
use crate::http::request::Request;
use crate::identity::{Claims, Identity, Kind};

/// How long, in seconds, a caller is believed whose credential does not end by itself soon.
const CREDENTIAL_SPAN_S: i64 = 3_600;

impl Layers<'_> {
    /// The caller that an API key stands for.
    pub(super) fn api_key(&self, presented: &Presented<'_>, now: UnixTime) -> Result<Arc<Verified>, Refused> {
        if presented.is_dpop {
            return Err(Refused::new(Reason::ApiKeyInvalid, "an API key has no proof of possession"));
        }
        self.api_key_caller(exceptions::find(presented.text, &self.settings.api_keys)?, now)
    }

    /// The caller that an API key stands for whose secret was shown.
    pub(super) fn api_key_caller(&self, key: &ApiKey, now: UnixTime) -> Result<Arc<Verified>, Refused> {
        let Some(exception) = self.bundle.exceptions.get(key.exception.as_str()) else {
            // Of a bundle that was fetched nobody could know before.
            let detail =
                format!("the bundle has no exception `{}`, by which this API key exists", key.exception);
            return Err(Refused::new(Reason::ExceptionExpired, detail));
        };
        exception.valid_at(now)?;
        let identity = Identity {
            key_id: Some(key.id.as_str().into()),
            not_before: exception.valid_from,
            expires_at: span(now).min(exception.valid_until),
            ..bare(Kind::Legacy, key.subject.clone(), API_KEY_ISSUER, "api_key")
        };
        Ok(Arc::new(Verified { exception: Some(Arc::clone(exception)), ..Verified::new(identity) }))
    }

    /// The caller that the client's certificate stands for, where the configuration says so.
    pub(super) fn peer_caller(
        &self,
        request: &Request,
        now: UnixTime,
    ) -> Result<Option<Arc<Verified>>, Refused> {
        let Some((mtls, kind)) = self.settings.mtls.as_ref().and_then(|mtls| Some((mtls, mtls.kind?))) else {
            return Ok(None);
        };
        let Some(peer) = peer::find(request, mtls)? else { return Ok(None) };
        let id = peer.id.map_err(|why| Refused::new(Reason::PeerInvalid, why))?;
        certificate_caller(mtls, kind, id, now).map(Some)
    }
}

/// The caller that a verified certificate stands for.
pub(super) fn certificate_caller(
    mtls: &Mtls,
    kind: Kind,
    id: String,
    now: UnixTime,
) -> Result<Arc<Verified>, Refused> {
    let domain = SpiffeId::parse(&id).map(|id| id.trust_domain().to_owned()).unwrap_or_default();
    if !mtls.trust_domains.contains(&domain) {
        let detail = format!("`{id}` is not of a trust domain in `mtls.trust_domains`");
        return Err(Refused::new(Reason::PeerInvalid, detail));
    }
    let issuer = format!("spiffe://{domain}");
    let identity = Identity { expires_at: span(now), not_before: now, ..bare(kind, id, &issuer, "mtls") };
    Ok(Arc::new(Verified::new(identity)))
}

fn span(now: UnixTime) -> UnixTime {
    UnixTime::from_secs(now.secs().saturating_add(CREDENTIAL_SPAN_S))
}

/// A caller without claims.
fn bare(kind: Kind, id: String, issuer: &str, credential: &str) -> Identity {
    Identity {
        kind,
        id,
        issuer: issuer.into(),
        credential: credential.into(),
        on_behalf_of: None,
        actors: Vec::new(),
        task: None,
        token_id: None,
        key_id: None,
        bound: None,
        not_before: UnixTime::default(),
        expires_at: UnixTime::default(),
        claims: Claims::default(),
    }
}
