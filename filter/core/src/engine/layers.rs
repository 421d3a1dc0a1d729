//! The layers that look things up in a bundle: the one in force, or another whose opinion is asked.
//!
//! `grant` is here, the others in `elevation` and `facts`.

use super::case::{Case, Refused};
use super::feeds::Feeds;
use super::worker::Worker;
use crate::authority::grants::Granted;
use crate::base::reason::Reason;
use crate::base::time::UnixTime;
use crate::bundle::Bundle;
use crate::credential::token;
use crate::credential::token::cache::Verified;
use crate::http::target::Target;
use crate::settings::Settings;

/// A bundle that decides, under the settings in force.
#[derive(Clone, Copy)]
pub(super) struct Layers<'a> {
    pub(super) settings: &'a Settings,
    pub(super) bundle: &'a Bundle,
    pub(super) feeds: &'a Feeds,
    pub(super) worker: &'a Worker,
}

impl Layers<'_> {
    /// Is this caller entitled to this route? Routes that are open to everybody are open to
    /// verified callers too.
    pub(super) fn grant(
        &self,
        case: &mut Case,
        caller: Option<&Verified>,
        target: &Target,
        now: UnixTime,
    ) -> Result<Granted, Refused> {
        let grants = &self.bundle.grants;
        let identity = caller.map(|caller| &*caller.identity);
        let granted = match grants.find(identity, target, now) {
            Err(miss) if identity.is_some() => grants.find(None, target, now).map_err(|_| miss),
            found => found,
        };
        match granted {
            Ok(granted) => {
                case.record.grant = Some(granted.to_record());
                match granted.grant.missing_binding(identity) {
                    None => Ok(granted),
                    Some(binding) => Err(Refused::new(
                        Reason::BindingRequired,
                        format!("grant `{}` requires a token {}", granted.grant.id, binding.bound_to()),
                    )),
                }
            }
            // Two servers read it differently, and no grant says that this upstream is safe.
            Err(_) if target.has_semicolon => Err(Refused::new(Reason::PathAmbiguous, "the path holds `;`")),
            Err(miss) if identity.is_some() => Err(Refused::new(Reason::NotGranted, miss)),
            Err(miss) => Err(Refused::new(Reason::CredentialMissing, miss)),
        }
    }

    /// What may have ended while a request waited. A record that is looked at again was decided by what was known of
    /// revocations then.
    pub(super) fn still_valid(
        &self,
        case: &mut Case,
        caller: Option<&Verified>,
        granted: &Granted,
        now: UnixTime,
    ) -> Result<(), Refused> {
        if let Some(caller) = caller {
            token::valid_at(caller.identity.not_before, caller.identity.expires_at, now)?;
            if !case.is_replay() {
                self.not_revoked(&mut case.record, caller, now)?;
            }
        }
        let grant = &granted.grant;
        grant
            .valid_at(now)
            .map_err(|miss| Refused::new(Reason::NotGranted, format!("grant `{}` {miss}", grant.id)))?;
        let Some(elevation) = granted.elevated.as_ref().map(|elevated| &elevated.elevation) else {
            return Ok(());
        };
        elevation.valid_at(now).map_err(|miss| {
            Refused::new(Reason::ElevationInactive, format!("elevation `{}` {miss}", elevation.id))
        })
    }
}
