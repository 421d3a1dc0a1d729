//! By what a caller can be revoked, and what stands for a thing that can be.

use std::fmt;
use std::sync::atomic::AtomicU64;

use serde_json::Value;
use sha2::{Digest as _, Sha256};

use super::RevocationKind;
use crate::identity::Identity;

/// Stands for a thing that can be revoked: the start of SHA-256 over kind, issuer and id. Whoever
/// finds two things with one handle gets both of them revoked. A number, because two numbers are
/// compared faster than bytes.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Handle(u128);

impl Handle {
    pub(crate) fn of(kind: RevocationKind, issuer: Option<&str>, id: &str) -> Self {
        let mut hash = Sha256::new_with_prefix("everycall revocation");
        // Lengths keep the borders, and no issuer is not an empty one.
        for part in [Some(kind.as_str()), issuer, Some(id)] {
            hash.update([u8::from(part.is_some())]);
            let part = part.unwrap_or_default();
            hash.update(u64::try_from(part.len()).unwrap_or(u64::MAX).to_le_bytes());
            hash.update(part);
        }
        Self(hash.finalize().first_chunk().copied().map(u128::from_be_bytes).unwrap_or_default())
    }
}

impl fmt::Debug for Handle {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:032x}", self.0)
    }
}

/// By what a caller can be revoked.
#[derive(Debug)]
pub(crate) struct Revocable {
    pub(super) handles: Box<[(RevocationKind, Handle)]>,
    /// What signals find prior actors by, in their order: with the issuer, and without it.
    actors: Box<[[Handle; 2]]>,
    /// When its credential was issued, in seconds, if that is known.
    pub(super) issued_at: Option<u32>,
    /// The version of the revocations that were found to say nothing of it.
    pub(super) clear_at: AtomicU64,
}

impl Revocable {
    pub(crate) fn of(identity: &Identity) -> Self {
        use RevocationKind::{Actor, Issuer, Key, Subject, Task, Token};
        let issuer = identity.issuer.as_str();
        let mut handles = Vec::new();
        let mut by_id = |kind, id: Option<&String>, scopes: &[Option<&str>]| {
            let Some(id) = id else { return };
            handles.extend(scopes.iter().map(|scope| (kind, Handle::of(kind, *scope, id))));
        };
        let (with, both) = ([Some(issuer)], [Some(issuer), None]);
        by_id(Token, identity.token_id.as_ref(), &with);
        by_id(Subject, Some(&identity.id), &both);
        if identity.principal.is_some() {
            by_id(Subject, identity.principal.as_ref(), &both);
            by_id(Actor, Some(&identity.id), &both);
        }
        for actor in &identity.actors {
            by_id(Actor, Some(actor), &both);
        }
        by_id(Task, identity.task.as_ref(), &both);
        by_id(Key, identity.key_id.as_ref(), &with);
        // Certificates are another matter than the tokens of a trust domain.
        if identity.credential != "mtls" {
            handles.push((Issuer, Handle::of(Issuer, Some(issuer), "")));
        }
        let issued_at = identity.claims.get("iat").and_then(Value::as_f64);
        #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss)] // `as` saturates
        let issued_at = issued_at.map(|secs| secs.floor() as u32);
        let actors = identity.actors.iter().map(|actor| both.map(|scope| Handle::of(Subject, scope, actor)));
        let actors = actors.collect();
        Self { handles: handles.into(), actors, issued_at, clear_at: AtomicU64::default() }
    }

    /// What revocations and signals find it by.
    pub(crate) fn handles(&self) -> impl Iterator<Item = Handle> + '_ {
        self.handles.iter().map(|(_, handle)| *handle).chain(self.actors.iter().flatten().copied())
    }

    /// The handles of the caller, and then of the principal if there is one: each with the issuer, and
    /// without it.
    pub(crate) fn subjects(&self) -> impl Iterator<Item = [Handle; 2]> + '_ {
        self.pairs(RevocationKind::Subject)
    }

    /// Those of the task.
    pub(crate) fn task(&self) -> Option<[Handle; 2]> {
        self.pairs(RevocationKind::Task).next()
    }

    /// Those of the prior actors, in their order.
    pub(crate) const fn actors(&self) -> &[[Handle; 2]] {
        &self.actors
    }

    fn pairs(&self, kind: RevocationKind) -> impl Iterator<Item = [Handle; 2]> + '_ {
        let mut of = self.handles.iter().filter(move |(of, _)| *of == kind).map(|(_, handle)| *handle);
        std::iter::from_fn(move || Some([of.next()?, of.next()?]))
    }
}
