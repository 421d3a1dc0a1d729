//! One worker's link to a server, and to the workers that follow the same: what is asked, and what came of it.

use std::cell::Cell;
use std::collections::BTreeMap;
use std::rc::Rc;

use super::lease::Lease;
use super::shared::Shared;
use super::signed::FileFault;
use super::Event;
use crate::base::freshness::Freshness;
use crate::base::time::UnixTime;
use crate::http::call::{Call, FetchId};
use crate::http::request::StreamId;

/// How often a worker looks at what another may have fetched, in seconds.
const LOOK_S: i64 = 1;
/// The longest time between two tries of one worker, in milliseconds, unless the interval is longer.
const MAX_BACKOFF_MS: i64 = 5_000;
/// How long, in seconds, a warning is not repeated.
const QUIET_S: i64 = 60;
/// What a request for changes accepts (RFC 3229 section 10.5.3).
const DELTA: &str = "everycall-delta";

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

/// Figures of what is followed at one server, in one worker.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FollowerStats {
    /// What it is: the issuer whose keys it is, the feed, or `bundle`.
    pub name: String,
    /// How fresh it is.
    pub freshness: Freshness,
    /// Number and time of signing of what is in force, if it is signed.
    pub signed: Option<(u64, UnixTime)>,
    /// Facts of a feed that are known.
    pub entries: usize,
    /// What came of fetches.
    pub fetches: FetchStats,
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
pub(super) struct Open {
    pub(super) id: FetchId,
    /// Of the first of those that bring one thing.
    pub(super) asked_at: UnixTime,
    pub(super) conditional: bool,
    pub(super) delta: bool,
}

/// One worker's link to a server, and to the workers that follow the same.
#[derive(Debug)]
pub(crate) struct Link {
    pub(super) server: Server,
    pub(crate) shared: Shared,
    pub(super) lease: Lease,
    pub(super) ids: FetchIds,
    pub(super) open: Option<Open>,
    pub(super) stats: FetchStats,
    /// When to look next at what others shared.
    pub(super) look_at: UnixTime,
    /// When this worker may fetch without the lease.
    pub(super) retry_at: UnixTime,
    /// Fetches without success, one after the other.
    pub(super) misses: u32,
    /// Differs between workers and grows: they don't all come at once.
    pub(super) chance: u64,
    /// The last warning.
    pub(super) said: Option<(String, UnixTime)>,
    pub(super) events: Vec<Event>,
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
        self.events.push(Event::Info(message));
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
    pub(super) fn ask(&mut self, ask: Ask, asked_at: UnixTime) {
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

pub(super) fn count(counter: &mut u64) {
    *counter = counter.saturating_add(1);
}
