//! Follows what is at a server, in one worker: looks at what the other workers shared, asks the server when it is this
//! worker's turn, waits longer after each failure, and does not say the same again and again. What it is that is
//! followed, and what makes it good, is its [`Source`]'s matter.

use sha2::{Digest as _, Sha256};

use super::lease::Lease;
use super::link::{count, Open};
pub(crate) use super::link::{Answer, Ask, FetchIds, Link, Server};
pub use super::link::{FetchStats, FollowerStats};
use super::shared::Shared;
use super::signed::FileFault;
use super::Event;
use crate::base::freshness::Freshness;
use crate::base::time::UnixTime;
use crate::http::call::{Failure, FetchId, Reply};

/// What can be followed.
pub(crate) trait Source {
    /// What is in force besides, and what it puts in force.
    type World<'w>;

    /// What it is called in messages.
    fn name(&self) -> String;

    /// Whether there is work for [`Self::slice`]: nothing is looked for or asked for meanwhile.
    fn is_busy(&self) -> bool {
        false
    }

    /// Looks at what other workers shared.
    fn look(&mut self, link: &mut Link, world: &mut Self::World<'_>, now: UnixTime);

    /// What to ask the server now, if it is this worker's turn.
    fn turn(&mut self, link: &mut Link, world: &mut Self::World<'_>, now: UnixTime) -> Option<Ask>;

    /// Takes an answer; what to ask for next, if that was not all.
    ///
    /// # Errors
    /// It is of no use.
    fn take(&mut self, link: &mut Link, answer: Answer, now: UnixTime) -> Result<Option<Ask>, String>;

    /// The server has nothing new.
    fn unchanged(&mut self) {}

    /// A fetch failed. Answers why, if it knows better than the status does.
    fn failed(&mut self, _status: Option<u16>) -> Option<String> {
        None
    }

    /// One slice of the work; what to ask for next.
    fn slice(&mut self, _: &mut Link, _: &mut Self::World<'_>, _now: UnixTime) -> Option<Ask> {
        None
    }

    /// Called when everything else is done: wakes whoever waited for it.
    fn wake(&mut self, _: &mut Link, _now: UnixTime) {}

    /// The clock went back: what was counted by the old time means nothing.
    fn clock_stepped(&mut self, _now: UnixTime) {}
}

/// What is followed at one server, in one worker.
#[derive(Debug)]
pub(crate) struct Follower<S> {
    pub(crate) source: S,
    link: Link,
}

impl<S: Source> Follower<S> {
    /// `shared` is of this server alone; `seed` differs between workers.
    pub(crate) fn new(source: S, server: Server, shared: Shared, ids: &FetchIds, seed: &[u8]) -> Self {
        let hash = Sha256::new().chain_update(seed).chain_update(source.name()).finalize();
        let link = Link {
            server,
            shared,
            lease: Lease::default(),
            ids: ids.clone(),
            open: None,
            stats: FetchStats::default(),
            look_at: UnixTime::default(),
            retry_at: UnixTime::default(),
            misses: 0,
            chance: hash.first_chunk().copied().map(u64::from_le_bytes).unwrap_or_default(),
            said: None,
            events: Vec::new(),
        };
        Self { source, link }
    }

    /// Where it follows it.
    pub(crate) fn is_at(&self, server: &Server) -> bool {
        self.link.server.place() == server.place()
    }

    /// A new configuration with the same server: what was asked for by the old one does not matter any more.
    pub(crate) fn configure(&mut self, server: Server, shared: Shared) -> (&mut S, &Shared) {
        self.link.server = server;
        self.link.open = None;
        self.link.retry_at = UnixTime::default();
        self.link.shared = shared;
        (&mut self.source, &self.link.shared)
    }

    /// The same, for workers of a configuration with these entries.
    pub(crate) fn sharing(self, shared: Shared) -> Self {
        Self { link: Link { shared, ..self.link }, ..self }
    }

    /// Its figures, for those who know the rest of them.
    pub(crate) fn figures(
        &self,
        name: &str,
        freshness: Freshness,
        signed: Option<(u64, UnixTime)>,
    ) -> FollowerStats {
        let (name, fetches) = (name.to_owned(), self.link.stats.clone());
        FollowerStats { name, freshness, signed, entries: 0, fetches }
    }

    /// The clock went back: what was counted by the old time means nothing.
    pub(crate) fn clock_stepped(&mut self, now: UnixTime) {
        self.link.lease.clock_stepped(now);
        self.link.look_at = now;
        self.link.retry_at = now;
        self.link.open = None;
        self.link.said = None;
        self.source.clock_stepped(now);
    }

    /// Looks at what others shared, and asks the server if it is this worker's turn.
    pub(crate) fn tick(&mut self, world: &mut S::World<'_>, now: UnixTime) -> Vec<Event> {
        let Self { source, link } = self;
        // A reply that has not come for long never will: the context that asked is gone.
        let lost = i64::from(link.server.timeout_ms).saturating_mul(2).saturating_add(1_000);
        link.open.take_if(|open| now.millis_since(open.asked_at) > lost);
        if !source.is_busy() {
            source.look(link, world, now);
        }
        if !source.is_busy() && !link.is_open() {
            if let Some(ask) = source.turn(link, world, now) {
                link.ask(ask, now);
            }
        }
        self.done(now)
    }

    /// Whether this is the fetch that is open.
    pub(crate) fn awaits(&self, id: FetchId) -> bool {
        self.link.open.as_ref().is_some_and(|open| open.id == id)
    }

    /// Takes the reply to the fetch that is open.
    pub(crate) fn fetched(&mut self, reply: Reply, now: UnixTime) -> Vec<Event> {
        let Self { source, link } = self;
        let Some(Open { asked_at, conditional, delta, .. }) = link.open.take() else { return Vec::new() };
        let failed = match reply {
            Reply::Http { status: 304, .. } if conditional => {
                count(&mut link.stats.unchanged);
                link.succeeded();
                source.unchanged();
                return self.done(now);
            }
            // No redirect is followed.
            Reply::Http { status, headers, body, .. } if status == 200 || (status == 226 && delta) => {
                let directives =
                    headers.all("cache-control").filter_map(|value| std::str::from_utf8(value).ok());
                let max_age_s = directives.flat_map(|value| value.split(',')).find_map(|directive| {
                    directive.trim().to_ascii_lowercase().strip_prefix("max-age=")?.parse().ok()
                });
                let answer = Answer { text: body, etag: headers.etag(), max_age_s, asked_at };
                match source.take(link, answer, now) {
                    Ok(next) => {
                        match next {
                            Some(next) => link.ask(next, asked_at),
                            None => count(&mut link.stats.fetched),
                        }
                        return self.done(now);
                    }
                    Err(why) => why,
                }
            }
            Reply::Http { status, .. } => {
                source.failed(Some(status)).unwrap_or_else(|| format!("the answer has status {status}"))
            }
            Reply::Failed(failure) => {
                if failure == Failure::TooLarge {
                    count(link.stats.refused.entry(FileFault::TooLarge).or_default());
                }
                source.failed(None).unwrap_or_else(|| failure.to_string())
            }
        };
        link.useless(format!("{} can't be fetched: {failed}", source.name()), now);
        self.done(now)
    }

    /// One slice of the work.
    pub(crate) fn slice(&mut self, world: &mut S::World<'_>, now: UnixTime) -> Vec<Event> {
        let Self { source, link } = self;
        if let Some(ask) = source.slice(link, world, now) {
            link.ask(ask, now);
        }
        self.done(now)
    }

    fn done(&mut self, now: UnixTime) -> Vec<Event> {
        self.source.wake(&mut self.link, now);
        std::mem::take(&mut self.link.events)
    }
}
