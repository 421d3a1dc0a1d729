//! Feeds in the engine: what follows them, and whether a call may go on by what they tell.

use super::case::{Case, Occasion, Refused};
use super::layers::Layers;
use super::worker::Worker;
use crate::base::reads::Reads;
use crate::base::reason::Reason;
use crate::base::time::UnixTime;
use crate::config::WhenStale;
use crate::credential::token::cache::Verified;
use crate::engine::staleness::Age;
use crate::facts::content::{Content, FeedKind};
use crate::facts::revocations::Revocations;
use crate::facts::signals::Signals;
use crate::http::call::FetchId;
use crate::record::{DecisionRecord, FeedRecord, SignalsRecord};
use crate::settings::Settings;
use crate::sync::feed::{self, Feed, FeedSource, World};
use crate::sync::follower::{Follower, FollowerStats, Source as _};
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
    fn configure(&mut self, kind: FeedKind, settings: &Settings, worker: &Worker) {
        let source = settings.feed(kind);
        let Self { facts, feed, sweeping } = self;
        if let Some((source, remote)) = source.and_then(|source| Some((source, source.remote.as_ref()?))) {
            let server = feed::server(remote);
            let shared = worker.shared_at(settings, kind.as_str(), &server);
            let world = World { source, verifier: worker.verifier(), content: facts };
            match feed.as_mut().filter(|feed| feed.is_at(&server)) {
                Some(feed) => feed.reconfigure(world, server, shared),
                None => {
                    world.content.abandon();
                    *feed = Some(worker.follow(Feed::new(kind), server, shared));
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
        worker: &Worker,
        work: impl FnOnce(&mut Follower<Feed>, &mut World<'_>) -> Vec<Event>,
    ) -> Vec<Event> {
        let (Some(feed), Some(source)) = (&mut self.feed, source) else { return Vec::new() };
        work(feed, &mut World { source, verifier: worker.verifier(), content: &mut self.facts })
    }

    /// One slice of the work that there is.
    fn slice(&mut self, source: Option<&FeedSource>, worker: &Worker, now: UnixTime) -> Vec<Event> {
        if self.sweeping {
            self.sweeping = self.facts.tidy(TIDY_SLICE, UnixTime::default(), true);
            return Vec::new();
        }
        self.follow(source, worker, |feed, world| feed.slice(world, now))
    }

    pub(super) fn clock_stepped(&mut self, now: UnixTime) {
        if let Some(feed) = &mut self.feed {
            feed.clock_stepped(now);
        }
    }

    fn age(&self, ages: &mut Vec<Age>, kind: FeedKind, settings: &Settings, now: UnixTime) {
        if let (Some(feed), Some(source)) = (&self.feed, settings.feed(kind)) {
            ages.push((
                ["the list of ", kind.as_str()].concat(),
                feed.source.freshness(source.max_age_s, now),
            ));
        }
    }

    fn stats(&self, kind: FeedKind, settings: &Settings, now: UnixTime) -> Option<FollowerStats> {
        let (follower, source) = (self.feed.as_ref()?, settings.feed(kind)?);
        let Follower { source: feed, .. } = follower;
        let figures = follower.figures(kind.as_str(), feed.freshness(source.max_age_s, now).0, feed.signed());
        Some(FollowerStats { entries: self.facts.len(), ..figures })
    }
}

/// All feeds of an engine.
#[derive(Default)]
pub(super) struct Feeds {
    pub(super) revocations: Followed<Revocations>,
    pub(super) signals: Followed<Signals>,
}

impl Feeds {
    /// A configuration came: lists of the same servers stay known, others go.
    pub(super) fn configure(&mut self, settings: &Settings, worker: &Worker) {
        self.revocations.configure(FeedKind::Revocations, settings, worker);
        self.signals.configure(FeedKind::Signals, settings, worker);
    }

    pub(super) fn clock_stepped(&mut self, now: UnixTime) {
        self.revocations.clock_stepped(now);
        self.signals.clock_stepped(now);
    }

    /// Lets the feeds ask for what is new.
    pub(super) fn tick(&mut self, settings: &Settings, worker: &Worker, now: UnixTime) -> Vec<Event> {
        let tick = |feed: &mut Follower<Feed>, world: &mut World<'_>| feed.tick(world, now);
        let mut events = self.revocations.follow(settings.revocations.as_ref(), worker, tick);
        events.extend(self.signals.follow(settings.signals.as_ref(), worker, tick));
        events
    }

    /// Whether there is work for [`Self::slice`].
    pub(super) fn is_busy(&self) -> bool {
        self.revocations.is_busy() || self.signals.is_busy()
    }

    /// One slice of work. What was read counts when it returns.
    pub(super) fn slice(&mut self, settings: &Settings, worker: &Worker, now: UnixTime) -> Vec<Event> {
        if self.revocations.is_busy() {
            self.revocations.slice(settings.revocations.as_ref(), worker, now)
        } else {
            self.signals.slice(settings.signals.as_ref(), worker, now)
        }
    }

    /// The feed whose fetch this is.
    pub(super) fn awaits(&mut self, id: FetchId) -> Option<&mut Follower<Feed>> {
        let Self { revocations, signals } = self;
        [&mut revocations.feed, &mut signals.feed].into_iter().flatten().find(|feed| feed.awaits(id))
    }

    /// How fresh each list is that comes from a server.
    pub(super) fn ages(&self, ages: &mut Vec<Age>, settings: &Settings, now: UnixTime) {
        self.revocations.age(ages, FeedKind::Revocations, settings, now);
        self.signals.age(ages, FeedKind::Signals, settings, now);
    }

    /// Current figures of those that come from servers.
    pub(super) fn stats(&self, settings: &Settings, now: UnixTime) -> Vec<FollowerStats> {
        let stats = [
            self.revocations.stats(FeedKind::Revocations, settings, now),
            self.signals.stats(FeedKind::Signals, settings, now),
        ];
        stats.into_iter().flatten().collect()
    }
}

impl Layers<'_> {
    /// Does all of it still hold? Asked of each request, however long the caller is known.
    pub(super) fn not_revoked(
        &self,
        record: &mut DecisionRecord,
        caller: &Verified,
        now: UnixTime,
    ) -> Result<(), Refused> {
        let Some(source) = &self.settings.revocations else { return Ok(()) };
        let (list, goes_on) = self.feeds.revocations.judged(source, now);
        record.revocations = list;
        if let Some(kind) = self.feeds.revocations.facts.check(&caller.revocable, now) {
            return Err(Refused::new(Reason::Revoked, format!("its {} was revoked", kind.as_str())));
        }
        goes_on.map_err(|why| Refused::new(Reason::RevocationsStale, why))
    }

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
        let (list, goes_on) = self.feeds.signals.judged(source, now);
        if let Err(why) = goes_on {
            case.record.signals = Some(SignalsRecord { list, ..SignalsRecord::default() });
            return Err(Refused::new(Reason::SignalsStale, why));
        }
        case.signals_at = Some(self.feeds.signals.facts.version());
        let found = self.feeds.signals.facts.of_call(caller.map(|caller| &caller.revocable), reads, now);
        Ok(SignalsRecord { list, ..found })
    }
}
