//! Feeds in the engine: what follows them, and whether a caller may go on by what they tell.

use super::case::Refused;
use super::upkeep::next_fetch;
use super::Engine;
use crate::config::WhenStale;
use crate::feed::{Content as _, Feed, FeedKind, FeedStats, World};
use crate::reason::Reason;
use crate::record::{DecisionRecord, FeedRecord};
use crate::settings::FeedSource;
use crate::step::Effect;
use crate::time::UnixTime;
use crate::token::cache::Verified;

/// Facts that are looked at in one slice.
const TIDY_SLICE: usize = 1_000;

impl Engine {
    /// Does all of it still hold? Asked of each request, however long the caller is known.
    pub(super) fn not_revoked(
        &self,
        record: &mut DecisionRecord,
        caller: &Verified,
        now: UnixTime,
    ) -> Result<(), Refused> {
        let Some(source) = &self.settings.revocations else { return Ok(()) };
        let fresh = match (&source.remote, &self.revocation_feed) {
            (Some(_), Some(feed)) => {
                let fresh = feed.is_fresh(source.max_age_s, now);
                let stale = fresh.is_err();
                record.revocations =
                    feed.signed().map(|(sequence, issued_at)| FeedRecord { sequence, issued_at, stale });
                fresh
            }
            _ => Ok(()),
        };
        if let Some(kind) = self.revocations.check(&caller.revocable, now) {
            return Err(Refused::new(Reason::Revoked, format!("its {} was revoked", kind.as_str())));
        }
        match (fresh, source.when_stale, &record.revocations) {
            (Ok(()), ..) | (Err(_), WhenStale::LastKnown, Some(_)) => Ok(()),
            (Err(why), ..) => Err(Refused::new(Reason::RevocationsStale, why)),
        }
    }

    /// A configuration came: the list of the same server stays known, others go.
    pub(super) fn assign_feeds(&mut self) {
        let Self { settings, revocations, revocation_feed, shared, seed, streams, .. } = self;
        let digest = &settings.credential_digest;
        let source = settings.revocations.as_ref();
        if let Some((source, remote)) = source.and_then(|source| Some((source, source.remote.as_ref()?))) {
            match revocation_feed.as_mut().filter(|feed| feed.is_for(remote)) {
                Some(feed) => feed.configure(source, remote, shared, digest, revocations),
                None => {
                    revocations.abandon();
                    *revocation_feed =
                        Some(Feed::new(FeedKind::Revocations, remote, shared, digest, &seed.0));
                }
            }
            return;
        }
        *revocation_feed = None;
        self.sweeping = revocations.len() > 0;
        revocations.abandon();
        revocations.begin_full();
        for line in source.into_iter().flat_map(|source| &source.inline) {
            // Those of a configuration were looked at.
            let _ = revocations.stage(line.clone());
        }
        let _ = revocations.commit(usize::MAX, UnixTime::default(), usize::MAX);
        revocations.begin_tidy();
        streams.revoked(revocations.take_newly());
    }

    /// Lets the feeds ask for what is new.
    pub(super) fn follow_feeds(&mut self, now: UnixTime) -> Vec<Effect> {
        self.follow(|feed, world| feed.tick(world, now))
    }

    /// Whether there is work for [`Self::feed_slice`].
    pub(super) fn feeds_are_busy(&self) -> bool {
        self.sweeping || self.revocation_feed.as_ref().is_some_and(Feed::is_busy)
    }

    /// One slice of work on feeds. What was revoked counts when it returns.
    pub(super) fn feed_slice(&mut self, now: UnixTime) -> Vec<Effect> {
        if self.sweeping {
            self.sweeping = self.revocations.tidy(TIDY_SLICE, UnixTime::default(), true);
            return Vec::new();
        }
        let effects = self.follow(|feed, world| feed.slice(world, now));
        self.streams.revoked(self.revocations.take_newly());
        effects
    }

    fn follow(&mut self, work: impl FnOnce(&mut Feed, &mut World<'_>) -> Vec<Effect>) -> Vec<Effect> {
        let Self { settings, verifier, revocations, revocation_feed, fetches, .. } = self;
        let source = settings.revocations.as_ref();
        let (Some(feed), Some(source)) = (revocation_feed, source) else { return Vec::new() };
        let FeedSource { remote: Some(remote), .. } = source else { return Vec::new() };
        let world = &mut World {
            source,
            remote,
            verifier: &**verifier,
            content: revocations,
            next_id: &mut || next_fetch(fetches),
        };
        work(feed, world)
    }

    /// Current figures of the feeds that come from servers.
    pub fn feed_stats(&self) -> Vec<FeedStats> {
        let (Some(feed), Some(source)) = (&self.revocation_feed, &self.settings.revocations) else {
            return Vec::new();
        };
        vec![feed.stats(source.max_age_s, self.revocations.len(), self.latest)]
    }
}
