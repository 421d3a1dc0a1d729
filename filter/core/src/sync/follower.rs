//! Follows what is at a server, in one worker: looks at what the other workers shared, asks the server when it is this
//! worker's turn, waits longer after each failure, and does not say the same again and again. What it is that is
//! followed, and what makes it good, is its [`Source`]'s matter.

use std::cell::Cell;
use std::collections::BTreeMap;
use std::rc::Rc;

use sha2::{Digest as _, Sha256};

use super::lease::Lease;
use super::shared::Shared;
use super::signed::FileFault;
use super::Event;
use crate::base::time::UnixTime;
use crate::http::call::{Call, Failure, FetchId, Reply};
use crate::http::request::StreamId;

/// How often a worker looks at what another may have fetched, in seconds.
const LOOK_S: i64 = 1;
/// The longest time between two tries of one worker, in milliseconds, unless the interval is longer.
const MAX_BACKOFF_MS: i64 = 5_000;
/// How long, in seconds, a warning is not repeated.
const QUIET_S: i64 = 60;
/// What a request for changes accepts (RFC 3229 section 10.5.3).
const DELTA: &str = "everycall-delta";

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

/// A server, and how it is asked.
#[derive(Debug, Clone)]
pub(crate) struct Server {
    pub(crate) cluster: String,
    pub(crate) host: String,
    pub(crate) path: String,
    /// The media type that is asked for.
    pub(crate) accept: &'static str,
    pub(crate) timeout_ms: u32,
    pub(crate) interval_ms: i64,
    /// The largest answer.
    pub(crate) max_body: usize,
}

impl Server {
    /// Where it is.
    pub(crate) fn place(&self) -> [&str; 3] {
        [&self.cluster, &self.host, &self.path]
    }
}

/// What to ask for.
#[derive(Debug, Default)]
pub(crate) struct Ask {
    /// Another path than the server's.
    pub(crate) path: Option<String>,
    /// A part of what is there, as a query.
    pub(crate) query: Option<String>,
    /// The entity tag of what is known: nothing is to be sent if it is still that.
    pub(crate) known: Option<String>,
    /// What changed since is enough.
    pub(crate) delta: bool,
    /// The entity tag of what it is to be a part of.
    pub(crate) part_of: Option<String>,
}

/// What a server sent.
pub(crate) struct Answer {
    pub(crate) text: Vec<u8>,
    pub(crate) etag: Option<String>,
    /// How long it is fresh (RFC 9111 section 5.2.2.1).
    pub(crate) max_age_s: Option<i64>,
    /// When it was asked for: it is no older than this.
    pub(crate) asked_at: UnixTime,
}

/// What came of the fetches of one worker.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct FetchStats {
    /// Those that brought something.
    pub fetched: u64,
    /// Those whose answer was that nothing has changed.
    pub unchanged: u64,
    /// Those that failed.
    pub failed: u64,
    /// Files that were not taken, and why.
    pub refused: BTreeMap<FileFault, u64>,
}

/// The ids of all fetches of one engine.
#[derive(Debug, Clone, Default)]
pub(crate) struct FetchIds(Rc<Cell<u64>>);

impl FetchIds {
    fn next(&self) -> FetchId {
        self.0.set(self.0.get().wrapping_add(1));
        FetchId(self.0.get())
    }
}

/// A fetch whose reply has not come.
#[derive(Debug)]
struct Open {
    id: FetchId,
    /// Of the first of those that bring one thing.
    asked_at: UnixTime,
    conditional: bool,
    delta: bool,
}

/// One worker's link to a server, and to the workers that follow the same.
#[derive(Debug)]
pub(crate) struct Link {
    server: Server,
    pub(crate) shared: Shared,
    lease: Lease,
    ids: FetchIds,
    open: Option<Open>,
    stats: FetchStats,
    /// When to look next at what others shared.
    look_at: UnixTime,
    /// When this worker may fetch without the lease.
    retry_at: UnixTime,
    /// Fetches without success, one after the other.
    misses: u32,
    /// Differs between workers and grows: they don't all come at once.
    chance: u64,
    /// The last warning.
    said: Option<(String, UnixTime)>,
    events: Vec<Event>,
}

impl Link {
    pub(crate) const fn server(&self) -> &Server {
        &self.server
    }

    /// Whether a reply is awaited.
    pub(crate) const fn is_open(&self) -> bool {
        self.open.is_some()
    }

    /// Whether it is time to look at what others shared, as it is each second, or in a hurry.
    pub(crate) fn is_time_to_look(&mut self, hurry: bool, now: UnixTime) -> bool {
        let is_time = hurry || now >= self.look_at;
        if is_time {
            self.look_at = now.plus_secs(LOOK_S);
        }
        is_time
    }

    /// Whether it is this worker's turn, which comes once for each interval and all workers.
    pub(crate) fn has_lease(&mut self, jitter: bool, now: UnixTime) -> bool {
        let interval_ms = self.server.interval_ms;
        let interval_ms = if jitter { self.jittered(interval_ms) } else { interval_ms };
        self.lease.take(&self.shared, "lease", interval_ms, now)
    }

    /// Whether this worker, which can't go on without, may ask whoever has the lease.
    pub(crate) fn may_retry(&mut self, now: UnixTime) -> bool {
        let may = now >= self.retry_at;
        if may {
            self.retry_at = now.plus_millis(self.jittered(self.server.interval_ms));
        }
        may
    }

    /// Puts the next such try off by less than so many milliseconds.
    pub(crate) fn spread_retry(&mut self, millis: u64, now: UnixTime) {
        let spread = i64::try_from(self.next_chance().checked_rem(millis).unwrap_or_default());
        self.retry_at = self.retry_at.max(now.plus_millis(spread.unwrap_or_default()));
    }

    pub(crate) fn warn(&mut self, message: String) {
        self.events.push(Event::Warn(message));
    }

    pub(crate) fn wake(&mut self, stream: StreamId) {
        self.events.push(Event::Wake(stream));
    }

    /// What was asked for came, and is good.
    pub(crate) fn succeeded(&mut self) {
        self.misses = 0;
    }

    /// Something is in force: what was wrong before is worth a word again.
    pub(crate) fn now_in_force(&mut self, message: String) {
        self.said = None;
        self.warn(message);
    }

    /// Counts a file that is not taken, waits longer with each, and warns.
    pub(crate) fn refused(&mut self, fault: FileFault, message: String, now: UnixTime) {
        count(self.stats.refused.entry(fault).or_default());
        self.missed(message, now);
    }

    /// Counts an answer that was of no use after all.
    pub(crate) fn useless(&mut self, message: String, now: UnixTime) {
        count(&mut self.stats.failed);
        self.missed(message, now);
    }

    /// Waits longer with each time, and warns, but not of the same again and again.
    fn missed(&mut self, message: String, now: UnixTime) {
        let interval = self.server.interval_ms;
        let doubled = interval.saturating_mul(1_i64.checked_shl(self.misses.min(8)).unwrap_or(1));
        self.misses = self.misses.saturating_add(1);
        let wait = doubled.min(MAX_BACKOFF_MS.max(interval));
        self.retry_at = now.plus_millis(self.jittered(wait));
        let known = self.said.as_ref().filter(|(said, _)| *said == message);
        if known.is_none_or(|(_, at)| now.secs().saturating_sub(at.secs()) >= QUIET_S) {
            self.said = Some((message.clone(), now));
            self.warn(message);
        }
    }

    /// So many milliseconds, a tenth more or less.
    fn jittered(&mut self, millis: i64) -> i64 {
        let share = i64::try_from(self.next_chance() % 201).unwrap_or_default();
        millis.saturating_mul(share.saturating_add(900)).saturating_div(1_000)
    }

    fn next_chance(&mut self) -> u64 {
        self.chance = self.chance.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
        self.chance >> 33
    }

    /// Asks the server. What is asked for next, after a first answer, was asked for when that was.
    fn ask(&mut self, ask: Ask, asked_at: UnixTime) {
        let Ask { path, query, known, delta, part_of } = ask;
        let Server { cluster, host, accept, timeout_ms, max_body, .. } = &self.server;
        let mut path = path.unwrap_or_else(|| self.server.path.clone());
        if let Some(query) = query {
            path.push(if path.contains('?') { '&' } else { '?' });
            path.push_str(&query);
        }
        let id = self.ids.next();
        self.open = Some(Open { id, asked_at, conditional: known.is_some(), delta });
        let first =
            [(":method", "GET"), (":path", &path), (":authority", host), ("accept", accept)].map(Some);
        // A weak one is never matched (RFC 9110 section 13.1.1).
        let part_of = part_of.as_deref().filter(|etag| !etag.starts_with("W/"));
        let more = [
            known.as_deref().map(|etag| ("if-none-match", etag)),
            delta.then_some(("a-im", DELTA)),
            part_of.map(|etag| ("if-match", etag)),
        ];
        let headers = first.into_iter().chain(more).flatten();
        let call = Call {
            cluster: cluster.clone(),
            headers: headers.map(|(name, value)| (name.to_owned(), value.to_owned())).collect(),
            body: Vec::new(),
            timeout_ms: *timeout_ms,
            max_body: *max_body,
            connect_retries: 1,
        };
        self.events.push(Event::Fetch { id, call });
    }
}

fn count(counter: &mut u64) {
    *counter = counter.saturating_add(1);
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

    pub(crate) const fn stats(&self) -> &FetchStats {
        &self.link.stats
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
