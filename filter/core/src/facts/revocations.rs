//! What was revoked: facts that end tokens, callers, tasks and keys before their time.
//!
//! A fact and what it is about meet by a [`Handle`], a digest of kind, issuer and id. A caller's are
//! computed once, when its credential is verified; to check it again is a few look-ups.

mod known;
mod revocable;
#[cfg(test)]
mod tests;

use serde::{Deserialize, Serialize};
use serde_json::Value;

#[cfg(feature = "schema")]
use crate::base::patterns;
#[cfg(feature = "schema")]
use crate::base::relations;
use crate::base::words::words;
use crate::facts::fact;

pub(crate) use known::Revocations;
pub(crate) use revocable::{Handle, Revocable};

words! {
    /// What a revocation ends.
    pub enum RevocationKind {
        /// One token, by its `jti` and issuer.
        Token = "token",
        /// All that somebody does or that is done for them: the caller, or the principal it acts for.
        Subject = "subject",
        /// All that somebody does for others: the actor of a delegated call, or a prior one.
        Actor = "actor",
        /// All credentials that are bound to a task.
        Task = "task",
        /// All tokens that a key signed, by its id and issuer; an API key, with the issuer `api_keys`.
        Key = "key",
        /// All tokens of an issuer that were issued before a time.
        Issuer = "issuer",
    }
}

impl RevocationKind {
    /// An id of this kind means nothing without its issuer.
    const fn needs_issuer(self) -> bool {
        matches!(self, Self::Token | Self::Key | Self::Issuer)
    }
}

/// One revocation as it is written: a line of a feed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields, expecting = "an object")]
#[cfg_attr(feature = "schema", schemars(transform = relations::revocation))]
pub struct Revocation {
    /// What it ends.
    pub revoke: RevocationKind,
    /// The issuer as configured; required for `token`, `key` and `issuer`. Without it: whoever issued it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "schema", schemars(length(min = 1, max = 2048)))]
    pub issuer: Option<String>,
    /// The id of what it ends, exactly; required but for `issuer`, which has none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "schema", schemars(length(min = 1, max = 2048)))]
    pub id: Option<String>,
    /// RFC 3339; what was issued then or later is not concerned, what does not tell when it was issued is. Required
    /// for `issuer`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "schema", schemars(regex(pattern = patterns::INSTANT)))]
    pub issued_before: Option<String>,
    /// RFC 3339; from then on it counts no more. One that lies before the time of its list withdraws what was said
    /// before.
    #[cfg_attr(feature = "schema", schemars(regex(pattern = patterns::INSTANT)))]
    pub expires_at: String,
    /// Why.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "schema", schemars(length(min = 1, max = 2048)))]
    pub reason: Option<String>,
    /// Its number in the system that it comes from.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "schema", schemars(length(min = 1, max = 2048)))]
    pub ticket: Option<String>,
}

impl Revocation {
    /// Reads a line.
    ///
    /// # Errors
    /// It is not one.
    pub fn read(line: Value) -> Result<Self, String> {
        fact::read(&line)
    }

    /// Whether it can be understood.
    ///
    /// # Errors
    /// The member that is wrong, and what is wrong with it.
    pub fn check(&self) -> Result<(), String> {
        self.resolve().map(drop)
    }

    pub(crate) fn resolve(&self) -> Result<Resolved, String> {
        let Self { revoke, issuer, id, issued_before, expires_at, reason, ticket } = self;
        let texts = [("issuer", issuer), ("id", id), ("reason", reason), ("ticket", ticket)];
        fact::check_texts(texts.map(|(name, text)| (name, text.as_ref())))?;
        let kind = revoke.as_str();
        if revoke.needs_issuer() && issuer.is_none() {
            return Err(format!("issuer: missing; `{kind}` means nothing without it"));
        }
        let id = match (revoke, id) {
            (RevocationKind::Issuer, Some(_)) => return Err("id: an issuer has none".into()),
            (RevocationKind::Issuer, None) => "",
            (_, Some(id)) => id,
            (_, None) => return Err(format!("id: missing; which {kind}?")),
        };
        if *revoke == RevocationKind::Issuer && issued_before.is_none() {
            return Err("issued_before: missing; an issuer is revoked up to a time".into());
        }
        let before = match issued_before {
            Some(text) => seconds_after("issued_before", text)?,
            None => ANY,
        };
        Ok(Resolved {
            kind: *revoke,
            handle: Handle::of(*revoke, issuer.as_deref(), id),
            expires: seconds_after("expires_at", expires_at)?,
            before,
        })
    }
}

/// The first whole second at or after an instant: tokens tell whole seconds, and a revocation must
/// not miss one that was issued in the second in which it ends.
fn seconds_after(name: &str, text: &str) -> Result<u32, String> {
    Ok(to_u32(fact::instant(name, text)?.next_sec()))
}

/// Saturates: before 1970, and after 2106.
fn to_u32(secs: i64) -> u32 {
    u32::try_from(secs.max(0)).unwrap_or(u32::MAX)
}

/// A revocation, read.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Resolved {
    kind: RevocationKind,
    handle: Handle,
    expires: u32,
    before: u32,
}

/// `issued_before` of what is revoked whenever it was issued.
const ANY: u32 = u32::MAX;
