//! One entitlement, and its rules.

use std::sync::Arc;

use super::Template;
use crate::base::time::UnixTime;
use crate::http::target::Target;
use crate::identity::{Binding, Identity, Kinds, RequiredBinding};

/// One entitlement, resolved. Texts that many grants have in common are shared.
#[derive(Debug, PartialEq)]
pub(crate) struct Grant {
    pub(crate) id: Arc<str>,
    pub(crate) owner: Arc<str>,
    pub(crate) purpose: Arc<str>,
    pub(crate) sensitivity: Option<Arc<str>>,
    /// Where it was granted, and under which number.
    pub(crate) source: Option<Arc<str>>,
    pub(crate) ticket: Option<Arc<str>>,
    /// Empty for those that need no credential.
    pub(crate) kinds: Kinds,
    /// `None`: any issuer.
    pub(crate) issuer: Option<Arc<str>>,
    /// With `,` between them.
    pub(crate) methods: Arc<str>,
    /// What it does not admit of its paths.
    pub(crate) except: Box<[Template]>,
    pub(crate) valid_from: Option<UnixTime>,
    pub(crate) valid_until: Option<UnixTime>,
    pub(crate) delegation: Option<Box<Delegation>>,
    pub(crate) semicolons: bool,
    pub(crate) requires_elevation: bool,
    pub(crate) break_glass_kinds: Kinds,
    pub(crate) requires_binding: Option<RequiredBinding>,
    /// Index of the rule set that decides.
    pub(crate) rule_set: usize,
}

/// On whose behalf the subject may call, and through whom.
#[derive(Debug, PartialEq)]
pub(crate) struct Delegation {
    /// Sorted; `None`: any principal.
    pub(crate) on_behalf_of: Option<Vec<String>>,
    /// Sorted; `None`: any prior actors.
    pub(crate) actors: Option<Vec<String>>,
}

impl Grant {
    /// The rules of a grant whose subject, host and path match.
    pub(super) fn admits(
        &self,
        caller: Option<&Identity>,
        target: &Target,
        now: UnixTime,
    ) -> Result<(), String> {
        if !self.methods.split(',').any(|method| method == target.method) {
            return Err(format!("does not name the method `{}`", target.method));
        }
        if self.except.iter().any(|template| template.matches(target)) {
            return Err("excepts the path".into());
        }
        if let Some(caller) = caller.filter(|caller| !self.kinds.holds(caller.kind)) {
            return Err(format!("is not for callers of the kind `{}`", caller.kind.as_str()));
        }
        if self.issuer.is_some() && self.issuer.as_deref() != caller.map(|identity| &*identity.issuer) {
            return Err("is for callers of another issuer".into());
        }
        if let Some(caller) = caller {
            self.delegates(caller)?;
        }
        self.valid_at(now)?;
        if target.has_semicolon && !self.semicolons {
            return Err("does not admit paths with `;`".into());
        }
        Ok(())
    }

    /// A call on somebody's behalf needs a grant that says so. Prior actors are told of, not proven
    /// (RFC 8693 section 4.1): a grant may refuse for their sake, never admit.
    fn delegates(&self, caller: &Identity) -> Result<(), String> {
        let Some(on_behalf_of) = &caller.on_behalf_of else { return Ok(()) };
        let Some(delegation) = &self.delegation else {
            return Err("does not admit calls on behalf of a principal".into());
        };
        let names = |list: &Option<Vec<String>>, text: &String| {
            list.as_ref().is_none_or(|list| list.binary_search(text).is_ok())
        };
        if !names(&delegation.on_behalf_of, on_behalf_of) {
            return Err(format!("does not name `{on_behalf_of}`, on whose behalf the call is made"));
        }
        match caller.actors.iter().find(|actor| !names(&delegation.actors, actor)) {
            Some(actor) => Err(format!("does not name the prior actor `{actor}`")),
            None => Ok(()),
        }
    }

    /// # Errors
    /// In words, outside its validity.
    pub(crate) fn valid_at(&self, now: UnixTime) -> Result<(), String> {
        if self.valid_from.is_some_and(|from| now < from) {
            return Err("is not valid yet".into());
        }
        if self.valid_until.is_some_and(|until| now >= until) {
            Err("is not valid any more".into())
        } else {
            Ok(())
        }
    }

    /// What the caller's credential must be bound to and is not. A client certificate that is itself
    /// the credential is proven by the connection.
    pub(crate) fn missing_binding(&self, caller: Option<&Identity>) -> Option<RequiredBinding> {
        let required = self.requires_binding?;
        let bound = caller.and_then(|caller| caller.bound);
        let dpop = matches!(bound, Some(Binding::Dpop | Binding::Both));
        let certificate = matches!(bound, Some(Binding::Certificate | Binding::Both))
            || caller.is_some_and(|caller| *caller.credential == *"mtls");
        let proven = match required {
            RequiredBinding::Dpop => dpop,
            RequiredBinding::Certificate => certificate,
            RequiredBinding::Any => dpop || certificate,
        };
        (!proven).then_some(required)
    }

    /// Some call is admitted by both, if one subject and path are.
    pub(super) fn overlaps(&self, other: &Self) -> bool {
        let begins_before_end =
            |a: &Self, b: &Self| a.valid_from.zip(b.valid_until).is_none_or(|(from, until)| from < until);
        let issuers = self.issuer.as_ref().zip(other.issuer.as_ref());
        self.methods.split(',').any(|method| other.methods.split(',').any(|same| same == method))
            && (self.kinds.meets(other.kinds) || self.kinds == other.kinds)
            && issuers.is_none_or(|(one, other)| one == other)
            && begins_before_end(self, other)
            && begins_before_end(other, self)
    }
}
