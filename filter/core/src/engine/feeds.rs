//! Feeds in the engine: what follows them, and whether a call may go on by what they tell.

use super::case::{Case, Occasion, Refused};
use super::layers::Layers;
use super::{Engine, IdSeed};
use crate::base::reads::Reads;
use crate::base::reason::Reason;
use crate::base::time::UnixTime;
use crate::config::WhenStale;
use crate::credential::token::cache::Verified;
use crate::facts::content::{Content, FeedKind};
use crate::http::call::{FetchId, Reply};
use crate::jose::signature::SignatureVerifier;
use crate::record::{DecisionRecord, FeedRecord, SignalsRecord};
use crate::sync::feed::{self, Feed, FeedSource, FeedStats, World};
use crate::sync::follower::{FetchIds, Follower, Source as _};
use crate::sync::shared::Shared;
use crate::sync::Event;

/// Facts that are looked at in one slice.
const TIDY_SLICE: usize = 1_000;

/// The facts of one kind, from a server or from the configuration.
#[derive(Default)]
pub(super) struct Followed<C> {
    pub(super) facts: C,
    /// Present if there is a server.
    feed: Option<Follower<Feed>>,
    /// Facts of an earlier configuration are to go.
    sweeping: bool,
}

impl<C: Content> Followed<C> {
    /// Number and age of the list, if a server has it.
    ///
    /// # Errors
    /// What makes it too old to go on by; the record says of which list.
    fn judged(&self, source: &FeedSource, now: UnixTime) -> (Option<FeedRecord>, Result<(), String>) {
        let (Some(_), Some(feed)) = (&source.remote, &self.feed) else { return (None, Ok(())) };
        let feed = &feed.source;
        let fresh = feed.is_fresh(source.max_age_s, now);
        let stale = fresh.is_err();
        let record = feed.signed().map(|(sequence, issued_at)| FeedRecord { sequence, issued_at, stale });
        let goes_on = source.when_stale == WhenStale::LastKnown && record.is_some();
        (record, if goes_on { Ok(()) } else { fresh })
    }

    /// A configuration came: the list of the same server stays known, others go.
    fn assign(
        &mut self,
        kind: FeedKind,
        source: Option<&FeedSource>,
        verifier: &dyn SignatureVerifier,
        (shared, digest): (&Shared, &[u8; 32]),
        (ids, seed): (&FetchIds, &IdSeed),
    ) {
        let Self { facts, feed, sweeping } = self;
        if let Some((source, remote)) = source.and_then(|source| Some((source, source.remote.as_ref()?))) {
            let server = feed::server(remote);
            let shared = shared.of_place(digest, kind.as_str(), server.place());
            match feed.as_mut().filter(|feed| feed.is_at(&server)) {
                Some(feed) => {
                    feed.reconfigure(&mut World { source, verifier, content: facts }, server, shared)
                }
                None => {
                    facts.abandon();
                    *feed = Some(Follower::new(Feed::new(kind), server, shared, ids, &seed.0));
                }
            }
            return;
        }
        *feed = None;
        *sweeping = facts.len() > 0;
        facts.abandon();
        facts.begin_full();
        for line in source.into_iter().flat_map(|source| &source.inline) {
            // Those of a configuration were looked at.
            let _ = facts.stage(line.clone());
        }
        let _ = facts.commit(usize::MAX, UnixTime::default(), usize::MAX);
        facts.begin_tidy();
    }

    fn is_busy(&self) -> bool {
        self.sweeping || self.feed.as_ref().is_some_and(|feed| feed.source.is_busy())
    }

    /// Lets the feed work, with what it needs to know.
    fn follow(
        &mut self,
        source: Option<&FeedSource>,
        verifier: &dyn SignatureVerifier,
        work: impl FnOnce(&mut Follower<Feed>, &mut World<'_>) -> Vec<Event>,
    ) -> Vec<Event> {
        let (Some(feed), Some(source)) = (&mut self.feed, source) else { return Vec::new() };
        work(feed, &mut World { source, verifier, content: &mut self.facts })
    }

    /// One slice of the work that there is.
    fn slice(
        &mut self,
        source: Option<&FeedSource>,
        verifier: &dyn SignatureVerifier,
        now: UnixTime,
    ) -> Vec<Event> {
        if self.sweeping {
            self.sweeping = self.facts.tidy(TIDY_SLICE, UnixTime::default(), true);
            return Vec::new();
        }
        self.follow(source, verifier, |feed, world| feed.slice(world, now))
    }

    /// The feed, if this fetch is its own.
    fn awaits(&mut self, id: FetchId) -> Option<&mut Follower<Feed>> {
        self.feed.as_mut().filter(|feed| feed.awaits(id))
    }

    pub(super) fn clock_stepped(&mut self, now: UnixTime) {
        if let Some(feed) = &mut self.feed {
            feed.clock_stepped(now);
        }
    }

    fn stats(&self, source: Option<&FeedSource>, now: UnixTime) -> Option<FeedStats> {
        Some(self.feed.as_ref()?.feed_stats(source?.max_age_s, self.facts.len(), now))
    }
}

impl Engine {
    /// Does all of it still hold? Asked of each request, however long the caller is known.
    pub(super) fn not_revoked(
        &self,
        record: &mut DecisionRecord,
        caller: &Verified,
        now: UnixTime,
    ) -> Result<(), Refused> {
        let Some(source) = &self.settings.revocations else { return Ok(()) };
        let (list, goes_on) = self.revocations.judged(source, now);
        record.revocations = list;
        if let Some(kind) = self.revocations.facts.check(&caller.revocable, now) {
            return Err(Refused::new(Reason::Revoked, format!("its {} was revoked", kind.as_str())));
        }
        goes_on.map_err(|why| Refused::new(Reason::RevocationsStale, why))
    }

    /// A configuration came: lists of the same servers stay known, others go.
    pub(super) fn assign_feeds(&mut self) {
        let Self { settings, revocations, signals, verifier, shared, seed, fetches, .. } = self;
        let (of, own) = ((&*shared, &settings.credential_digest), (&*fetches, &*seed));
        revocations.assign(FeedKind::Revocations, settings.revocations.as_ref(), &**verifier, of, own);
        signals.assign(FeedKind::Signals, settings.signals.as_ref(), &**verifier, of, own);
        self.pass_on();
    }

    /// Lets the open streams know what is new.
    fn pass_on(&mut self) {
        self.streams.revoked(self.revocations.facts.take_newly());
        self.streams.signalled(self.signals.facts.take_newly());
    }

    /// Lets the feeds ask for what is new.
    pub(super) fn follow_feeds(&mut self, now: UnixTime) -> Vec<Event> {
        let Self { settings, verifier, revocations, signals, .. } = self;
        let sources = (settings.revocations.as_ref(), settings.signals.as_ref());
        let mut events = revocations.follow(sources.0, &**verifier, |feed, world| feed.tick(world, now));
        events.extend(signals.follow(sources.1, &**verifier, |feed, world| feed.tick(world, now)));
        self.pass_on();
        events
    }

    /// Whether there is work for [`Self::feed_slice`].
    pub(super) fn feeds_are_busy(&self) -> bool {
        self.revocations.is_busy() || self.signals.is_busy()
    }

    /// One slice of work on feeds. What was read counts when it returns.
    pub(super) fn feed_slice(&mut self, now: UnixTime) -> Vec<Event> {
        let Self { settings, verifier, revocations, signals, .. } = self;
        let events = match revocations.is_busy() {
            true => revocations.slice(settings.revocations.as_ref(), &**verifier, now),
            false => signals.slice(settings.signals.as_ref(), &**verifier, now),
        };
        self.pass_on();
        events
    }

    /// Takes the reply to a fetch, if a feed waits for it.
    ///
    /// # Errors
    /// The reply, which is for others.
    #[allow(clippy::result_large_err)] // no error: it is somebody else's
    pub(super) fn feed_fetched(
        &mut self,
        id: FetchId,
        reply: Reply,
        now: UnixTime,
    ) -> Result<Vec<Event>, Reply> {
        let Self { revocations, signals, .. } = self;
        match revocations.awaits(id).or_else(|| signals.awaits(id)) {
            Some(feed) => Ok(feed.fetched(reply, now)),
            None => Err(reply),
        }
    }

    /// Current figures of the feeds that come from servers.
    pub fn feed_stats(&self) -> Vec<FeedStats> {
        let Self { settings, revocations, signals, latest, .. } = self;
        let stats = [
            revocations.stats(settings.revocations.as_ref(), *latest),
            signals.stats(settings.signals.as_ref(), *latest),
        ];
        stats.into_iter().flatten().collect()
    }
}

impl Layers<'_> {
    /// What is known of the call, for a policy that reads it. Of a record that is decided again: what was
    /// known then.
    pub(super) fn signals(
        &self,
        case: &mut Case,
        caller: Option<&Verified>,
        reads: &Reads,
        now: UnixTime,
    ) -> Result<SignalsRecord, Refused> {
        if let Occasion::Replay { signals, .. } = &case.occasion {
            return Ok(signals.clone().unwrap_or_default());
        }
        // INVARIANT: a signal that is not known reads like one that was not raised.
        let Some(source) = &self.settings.signals else {
            return Err(Refused::new(Reason::SignalsStale, "no `signals` are configured"));
        };
        let (list, goes_on) = self.signals.judged(source, now);
        if let Err(why) = goes_on {
            case.record.signals = Some(SignalsRecord { list, ..SignalsRecord::default() });
            return Err(Refused::new(Reason::SignalsStale, why));
        }
        case.signals_at = Some(self.signals.facts.version());
        let found = self.signals.facts.of_call(caller.map(|caller| &caller.revocable), reads, now);
        Ok(SignalsRecord { list, ..found })
    }
}
