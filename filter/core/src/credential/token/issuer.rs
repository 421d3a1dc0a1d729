//! Issuers of tokens, and where their keys are.

use super::profile::{Preset, Template};
use crate::config::{KindRule, Profile, RemoteKeys};
use crate::identity::{Kind, RequiredBinding};
use crate::jose::keys::{Algorithm, KeySet};
use crate::sync::keyring::RemoteIssuer;

/// An issuer of tokens.
#[derive(Debug)]
pub struct Issuer {
    pub(crate) issuer: String,
    pub(crate) preset: &'static Preset,
    pub(crate) audiences: Vec<String>,
    pub(crate) algorithms: Vec<Algorithm>,
    pub(crate) max_lifetime_s: i64,
    pub(crate) leeway_s: i64,
    pub(crate) keys: KeySource,
    pub(crate) kind: Kind,
    pub(crate) kinds: Vec<KindRule>,
    pub(crate) actor_kind: Option<Kind>,
    pub(crate) id: Template,
    pub(crate) task_claim: Option<String>,
    pub(crate) types: Vec<String>,
    pub(crate) required_claims: Vec<String>,
    pub(crate) trust_domains: Vec<String>,
    pub(crate) required_binding: Option<RequiredBinding>,
    pub(crate) peer_match: bool,
}

/// Where an issuer's keys are.
#[derive(Debug)]
pub(crate) enum KeySource {
    /// In the configuration.
    Inline(KeySet),
    /// On a server.
    Remote(RemoteKeys),
}

impl KeySource {
    pub(crate) const fn inline(&self) -> Option<&KeySet> {
        match self {
            KeySource::Inline(keys) => Some(keys),
            KeySource::Remote(_) => None,
        }
    }
}

impl Issuer {
    /// Whether its tokens are JWT-SVIDs.
    pub(crate) fn is_spiffe(&self) -> bool {
        self.preset.profile == Some(Profile::Spiffe)
    }

    /// The word for its tokens in records.
    pub(crate) fn credential(&self) -> &'static str {
        match self.is_spiffe() {
            true => "jwt_svid",
            false => "jwt",
        }
    }

    /// The server of its keys, if there is one.
    pub(crate) fn remote_issuer(&self) -> Option<RemoteIssuer> {
        let KeySource::Remote(remote) = &self.keys else { return None };
        Some(RemoteIssuer {
            issuer: self.issuer.clone(),
            remote: remote.clone(),
            algorithms: self.algorithms.clone(),
            usage: self.preset.usage(),
        })
    }
}
