//! Issuers of tokens, and where their keys are.

use std::ops::Deref;

use super::profile::{Preset, Template};
use crate::config::{self, Profile, RemoteKeys};
use crate::jose::keys::KeySet;
use crate::sync::keyring::RemoteIssuer;

/// An issuer of tokens: as it is written, but for what its profile adds and what had to be read.
#[derive(Debug)]
pub struct Issuer {
    pub(crate) written: config::Issuer,
    pub(crate) preset: &'static Preset,
    pub(crate) max_lifetime_s: i64,
    pub(crate) keys: KeySource,
    pub(crate) id: Template,
    pub(crate) task_claim: Option<String>,
    pub(crate) types: Vec<String>,
}

impl Deref for Issuer {
    type Target = config::Issuer;

    fn deref(&self) -> &config::Issuer {
        &self.written
    }
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
        if self.is_spiffe() {
            "jwt_svid"
        } else {
            "jwt"
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
