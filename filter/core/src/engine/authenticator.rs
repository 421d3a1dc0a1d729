//! The credential layer: who is calling, with what proof? And what is known for that: keys, verified tokens, used proofs.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::callers::certificate_caller;
use super::case::{Case, Occasion, Refused};
use super::layers::Layers;
use super::worker::Worker;
use crate::authority::exceptions::{ApiKey, API_KEY_PREFIX};
use crate::base::reason::Reason;
use crate::base::time::UnixTime;
use crate::config::Limits;
use crate::credential::peer::{self, Peer};
use crate::credential::replay;
use crate::credential::token::cache::{TokenCache, Verified};
use crate::credential::token::dpop::{self, Proof};
use crate::credential::token::source::{self, Presented};
use crate::credential::token::{self, Failure, Issuer};
use crate::engine::staleness::Age;
use crate::http::call::FetchId;
use crate::http::request::{Request, StreamId};
use crate::http::target::Target;
use crate::identity::RequiredBinding;
use crate::jose::checks::CheckBudget;
use crate::jose::keys::KeySet;
use crate::record::DecisionRecord;
use crate::settings::Settings;
use crate::sync::follower::{Follower, FollowerStats};
use crate::sync::keyring::{Keyring, Lookup};
use crate::sync::Event;

/// What the layer comes to.
pub(super) enum Credential {
    /// The caller, or one without a credential.
    Caller(Option<Arc<Verified>>),
    /// The caller's token can be judged when keys have come.
    AwaitsKeys,
}

/// What it takes to know who calls.
pub(super) struct Authenticator {
    /// By index of the issuer: the keys of those that have a server for them.
    keyrings: BTreeMap<usize, Follower<Keyring>>,
    /// Streams to wake whose keyring is gone.
    orphans: Vec<StreamId>,
    tokens: TokenCache,
    check_budget: CheckBudget,
    /// Somebody carries out fetches, so it is worth waiting for them.
    pub(super) fetching: bool,
}

impl Authenticator {
    pub(super) fn new(settings: &Settings, worker: &Worker) -> Self {
        let Limits { tokens_cached, tokens_cached_bytes, .. } = &settings.limits;
        let mut authenticator = Self {
            keyrings: BTreeMap::new(),
            orphans: Vec::new(),
            tokens: TokenCache::new(**tokens_cached, **tokens_cached_bytes),
            check_budget: CheckBudget::default(),
            fetching: true,
        };
        authenticator.configure(settings, worker);
        authenticator
    }

    /// Keys live on with the source that they are from.
    pub(super) fn configure(&mut self, settings: &Settings, worker: &Worker) {
        self.tokens.set_bounds(*settings.limits.tokens_cached, *settings.limits.tokens_cached_bytes);
        let mut before: Vec<Follower<Keyring>> = std::mem::take(&mut self.keyrings).into_values().collect();
        for (index, issuer) in settings.issuers.iter().enumerate() {
            let Some(source) = issuer.remote_issuer() else { continue };
            let server = source.server();
            let shared = worker.shared_at(settings, &source.issuer, &server);
            let keyring = match before.iter().position(|keyring| keyring.source.source == source) {
                Some(at) => before.swap_remove(at).sharing(shared),
                None => worker.follow(Keyring::new(source, worker.seed()), server, shared),
            };
            self.keyrings.insert(index, keyring);
        }
        self.orphans.extend(before.into_iter().flat_map(|keyring| keyring.source.into_waiting()));
    }

    /// Time went back: what was believed because of the old one is forgotten.
    pub(super) fn clock_stepped(&mut self, now: UnixTime) {
        self.tokens.clear();
        self.keyrings.values_mut().for_each(|keyring| keyring.clock_stepped(now));
    }

    pub(super) fn tick(&mut self, now: UnixTime) -> Vec<Event> {
        let orphans = std::mem::take(&mut self.orphans).into_iter().map(Event::Wake);
        let keyrings = self.keyrings.values_mut();
        orphans.chain(keyrings.flat_map(|keyring| keyring.tick(&mut (), now))).collect()
    }

    /// The keys that this fetch is for.
    pub(super) fn awaits(&mut self, id: FetchId) -> Option<&mut Follower<Keyring>> {
        self.keyrings.values_mut().find(|keyring| keyring.awaits(id))
    }

    /// The stream waits no more.
    pub(super) fn forget(&mut self, stream: StreamId) {
        self.keyrings.values_mut().for_each(|keyring| keyring.source.forget(stream));
    }

    /// Requests that wait for keys.
    pub(super) fn waiting(&self) -> usize {
        self.keyrings.values().map(|keyring| keyring.source.waiting()).sum()
    }

    /// Verified tokens that are remembered.
    pub(super) fn tokens_cached(&self) -> usize {
        self.tokens.len()
    }

    /// How fresh each set of keys is that comes from a server.
    pub(super) fn ages(&self, ages: &mut Vec<Age>, now: UnixTime) {
        for Follower { source: keyring, .. } in self.keyrings.values() {
            ages.push((["the key set of `", &*keyring.source.issuer, "`"].concat(), keyring.freshness(now)));
        }
    }

    pub(super) fn key_stats(&self, now: UnixTime) -> Vec<FollowerStats> {
        let figures = |keyring: &Follower<Keyring>| {
            let Keyring { source, .. } = &keyring.source;
            keyring.figures(&source.issuer, keyring.source.freshness(now).0, None)
        };
        self.keyrings.values().map(figures).collect()
    }

    /// Who is calling? A bad credential is refused, also where none is needed.
    pub(super) fn credential(
        &mut self,
        layers: &Layers<'_>,
        case: &mut Case,
        target: &Target,
        now: UnixTime,
    ) -> Result<Credential, Refused> {
        if let Occasion::Replay { caller, .. } | Occasion::OpenStream { caller, .. } = &case.occasion {
            known(&mut case.record, caller.as_ref(), now)?;
            return Ok(Credential::Caller(caller.clone()));
        }
        let presented = source::find(case.request.headers(), &layers.settings.credentials)?;
        let caller = match &presented {
            Some(presented) if presented.text.starts_with(API_KEY_PREFIX) => {
                Some(layers.api_key(presented, now)?)
            }
            Some(presented) => {
                match self.token(layers, presented.text, case.request.stream, case.record.time, now)? {
                    Some(caller) => Some(caller),
                    None => return Ok(Credential::AwaitsKeys),
                }
            }
            None => layers.peer_caller(&case.request, now)?,
        };
        known(&mut case.record, caller.as_ref(), now)?;
        if let Some(caller) = &caller {
            layers.not_revoked(&mut case.record, caller, now)?;
        }
        if let (Some(caller), Some(presented)) = (&caller, &presented) {
            let proof = self.proof(layers, &case.request, caller, presented, target, now)?;
            // Once for each request, also if it is decided again.
            if let Some(proof) = proof.filter(|_| !std::mem::replace(&mut case.proof_claimed, true)) {
                replay::claim(&layers.worker.common, &proof, now)?;
            }
        }
        Ok(Credential::Caller(caller))
    }

    /// The caller that a token proves; `None`: it is to be tried again when keys have come.
    fn token(
        &mut self,
        layers: &Layers<'_>,
        text: &str,
        stream: StreamId,
        since: UnixTime,
        now: UnixTime,
    ) -> Result<Option<Arc<Verified>>, Refused> {
        let settings = layers.settings;
        let generation = settings.token_generation;
        let Self { keyrings, tokens, check_budget, .. } = self;
        let keys = |index, issuer| keys_of(keyrings, index, issuer, now);
        if let Some(verified) = tokens.get(text, generation) {
            // The key may have been withdrawn since, or be too old to count.
            let set = verified.issuer.and_then(|index| keys(index, settings.issuers.get(index)?));
            if set.is_some_and(|set| set.holds(&verified.key)) {
                return Ok(Some(verified));
            }
            tokens.remove(text);
        }
        let checks = check_budget.at(now, *settings.limits.signature_ms, layers.worker.verifier());
        match token::check(
            text,
            *settings.limits.token_bytes,
            &settings.issuers,
            keys,
            checks,
            tokens.texts(),
            now,
        ) {
            Ok(proven) => {
                let verified = Arc::new(Verified::of_token(proven, self.tokens.texts()));
                self.tokens.insert(text, generation, Arc::clone(&verified));
                Ok(Some(verified))
            }
            Err(Failure::Rejected(rejection)) => Err(rejection.into()),
            Err(Failure::KeyUnknown { issuer, kid, rejection }) => {
                let Some(keyring) = self.keyrings.get_mut(&issuer).filter(|_| self.fetching) else {
                    return Err(rejection.into());
                };
                match keyring.source.answer(stream, kid.as_deref(), since, now) {
                    Lookup::Wait => Ok(None),
                    Lookup::Unknown => Err(rejection.into()),
                    Lookup::Unavailable => Err(Refused::new(Reason::KeysUnavailable, rejection.detail)),
                }
            }
        }
    }

    /// The caller of a stream that was admitted, as it would be found now: is it still one that the
    /// configuration knows? What its token says is not judged anew; the token is not known any more.
    pub(super) fn caller_again(
        &self,
        layers: &Layers<'_>,
        caller: &Arc<Verified>,
        now: UnixTime,
    ) -> Result<Arc<Verified>, Refused> {
        let identity = &caller.identity;
        match &*identity.credential {
            "api_key" => {
                let same = |key: &&ApiKey| {
                    Some(&*key.id) == identity.key_id.as_deref() && key.subject == identity.id
                };
                match layers.settings.api_keys.iter().find(same) {
                    Some(key) => layers.api_key_caller(key, now),
                    None => {
                        Err(Refused::new(Reason::ApiKeyInvalid, "the API key is not configured any more"))
                    }
                }
            }
            "mtls" => match layers.settings.mtls.as_ref().and_then(|mtls| Some((mtls, mtls.kind?))) {
                Some((mtls, kind)) => certificate_caller(mtls, kind, identity.id.clone(), now),
                None => Err(Refused::new(Reason::PeerInvalid, "certificates are no credentials any more")),
            },
            _ => {
                let mut issuers = layers.settings.issuers.iter().enumerate();
                let Some((index, issuer)) = issuers.find(|(_, issuer)| issuer.issuer == *identity.issuer)
                else {
                    return Err(Refused::new(Reason::TokenIssuer, "the issuer is not configured any more"));
                };
                match keys_of(&self.keyrings, index, issuer, now) {
                    Some(keys) if !keys.holds(&caller.key) => {
                        Err(Refused::new(Reason::TokenKeyUnknown, "the token's key was withdrawn"))
                    }
                    _ => Ok(Arc::clone(caller)),
                }
            }
        }
    }

    /// Is the token in the hands that it was given to? All that it is bound to is proven with each
    /// request, and what its issuer insists on.
    fn proof(
        &self,
        layers: &Layers<'_>,
        request: &Request,
        caller: &Verified,
        presented: &Presented<'_>,
        target: &Target,
        now: UnixTime,
    ) -> Result<Option<Proof>, Refused> {
        let bound = &caller.confirmation;
        let issuer = caller.issuer.and_then(|index| layers.settings.issuers.get(index));
        let required = issuer.and_then(|issuer| issuer.required_binding);
        let satisfied = match required {
            None => true,
            Some(RequiredBinding::Dpop) => bound.jkt.is_some(),
            Some(RequiredBinding::Certificate) => bound.x5t.is_some(),
            Some(RequiredBinding::Any) => bound.binding().is_some(),
        };
        if !satisfied {
            return Err(Refused::new(
                Reason::BindingMissing,
                "the issuer's tokens must be bound, and this is not",
            ));
        }
        let peer_match = issuer.is_some_and(|issuer| issuer.peer_match);
        if bound.x5t.is_some() || peer_match {
            let peer = match &layers.settings.mtls {
                Some(mtls) => peer::find(request, mtls)?,
                None => None,
            };
            certificate(
                peer.as_ref(),
                bound.x5t.as_deref(),
                peer_match.then_some(caller.identity.id.as_str()),
            )?;
        }
        // RFC 9449 section 7.1: the scheme says that a proof comes with it, and bound tokens have no
        // other.
        match (&bound.jkt, presented.is_dpop) {
            (None, false) => Ok(None),
            (None, true) => Err(Refused::new(
                Reason::BindingMissing,
                "the scheme is DPoP, and the token is not bound to a key",
            )),
            (Some(_), false) => Err(Refused::new(
                Reason::BindingMissing,
                "the token is bound to a key, and came without the scheme DPoP",
            )),
            (Some(thumbprint), true) => {
                let proof = dpop::check(
                    request.headers(),
                    presented.text,
                    thumbprint,
                    target,
                    &layers.settings.dpop,
                    self.check_budget.at(now, *layers.settings.limits.signature_ms, layers.worker.verifier()),
                    now,
                )?;
                Ok(Some(proof))
            }
        }
    }
}

/// The keys of an issuer that count now.
fn keys_of<'k>(
    keyrings: &'k BTreeMap<usize, Follower<Keyring>>,
    index: usize,
    issuer: &'k Issuer,
    now: UnixTime,
) -> Option<&'k KeySet> {
    match issuer.keys.inline() {
        Some(keys) => Some(keys),
        None => keyrings.get(&index)?.source.usable(now),
    }
}

/// Files the caller in the record. What counts is whether it is valid now.
fn known(record: &mut DecisionRecord, caller: Option<&Arc<Verified>>, now: UnixTime) -> Result<(), Refused> {
    let Some(caller) = caller else { return Ok(()) };
    record.identity = Some(Arc::clone(&caller.identity));
    record.exception.clone_from(&caller.exception);
    Ok(token::valid_at(caller.identity.not_before, caller.identity.expires_at, now)?)
}

/// The rules on the client's certificate: the one that the token is bound to (RFC 8705 section 3),
/// the one of the caller itself.
fn certificate(peer: Option<&Peer>, x5t: Option<&[u8; 32]>, caller: Option<&str>) -> Result<(), Refused> {
    if let Some(bound_to) = x5t {
        match peer.and_then(|peer| peer.digest) {
            Some(digest) if digest == *bound_to => {}
            Some(_) => {
                return Err(Refused::new(
                    Reason::CertificateMismatch,
                    "the client's certificate is another than the token's",
                ))
            }
            None => {
                return Err(Refused::new(
                    Reason::BindingMissing,
                    "the token is bound to a certificate, and the client shows none",
                ))
            }
        }
    }
    if let Some(caller) = caller {
        match peer.map(|peer| &peer.id) {
            Some(Ok(id)) if id == caller => {}
            Some(Ok(id)) => {
                return Err(Refused::new(
                    Reason::PeerMismatch,
                    format!("the client's certificate is of `{id}`, the token of `{caller}`"),
                ))
            }
            Some(Err(why)) => return Err(Refused::new(Reason::PeerMismatch, *why)),
            None => return Err(Refused::new(Reason::PeerMismatch, "the client shows no certificate")),
        }
    }
    Ok(())
}
