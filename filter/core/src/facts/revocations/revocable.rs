//! By what a caller can be revoked, and what stands for a thing that can be.

use std::fmt;
use std::sync::atomic::AtomicU64;

use sha2::{Digest as _, Sha256};

use super::RevocationKind;
use crate::identity::Identity;

/// Stands for a thing that can be revoked: the start of SHA-256 over kind, issuer and id. Whoever
/// finds two things with one handle gets both of them revoked. Numbers, because they are compared faster
/// than bytes; two, because one of 16 bytes would take twice its room beside a kind.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Handle(u64, u64);

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
        let digest = hash.finalize();
        let number = |bytes: Option<&[u8; 8]>| bytes.copied().map(u64::from_be_bytes).unwrap_or_default();
        let (first, second) = digest.split_at(8);
        Self(number(first.first_chunk()), number(second.first_chunk()))
    }
}

impl fmt::Debug for Handle {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:016x}{:016x}", self.0, self.1)
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
        let issuer = &*identity.issuer;
        let mut handles = Vec::new();
        let mut by_id = |kind, id: Option<&str>, scopes: &[Option<&str>]| {
            let Some(id) = id else { return };
            handles.extend(scopes.iter().map(|scope| (kind, Handle::of(kind, *scope, id))));
        };
        let (with, both) = ([Some(issuer)], [Some(issuer), None]);
        by_id(Token, identity.token_id.as_deref(), &with);
        by_id(Subject, Some(&identity.id), &both);
        if identity.on_behalf_of.is_some() {
            by_id(Subject, identity.on_behalf_of.as_deref(), &both);
            by_id(Actor, Some(&identity.id), &both);
        }
        for actor in &identity.actors {
            by_id(Actor, Some(actor), &both);
        }
        by_id(Task, identity.task.as_deref(), &both);
        by_id(Key, identity.key_id.as_deref(), &with);
        // Certificates are another matter than the tokens of a trust domain.
        if *identity.credential != *"mtls" {
            handles.push((Issuer, Handle::of(Issuer, Some(issuer), "")));
        }
        let issued_at = identity.claims.number("iat");
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
