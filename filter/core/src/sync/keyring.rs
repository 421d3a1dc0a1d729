//! The keys of an issuer that come from a server: fetched in the background, once for all workers,
//! kept while the server is down, and never older than configured.
//!
//! One worker at a time holds the lease to fetch, for `interval_s` whatever comes of it. What it
//! fetched is shared, and read again by each worker as strictly as if it had fetched it itself.

mod discovery;

use std::collections::BTreeMap;

use sha2::{Digest as _, Sha256};

use crate::base::bounded::BoundedMap;
use crate::base::time::UnixTime;
use crate::config::RemoteKeys;
use crate::http::call::{Call, FetchId, Reply};
use crate::http::request::StreamId;
use crate::jose::keys::{Algorithm, KeyRules, KeySet, Usage};
use crate::sync::lease::Lease;
use crate::sync::shared::{read_time, Entry, Shared};
use crate::sync::Event;

/// The largest key set, and discovery document, in bytes.
const MAX_SET: usize = 256 * 1024;
/// How often a worker looks at what another may have fetched, in seconds.
const LOOK_S: i64 = 1;
/// Ids of keys that a fresh set did not have.
const MAX_GONE: usize = 256;

/// Where the keys of one issuer come from, and what they may be used for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Source {
    pub(crate) issuer: String,
    pub(crate) remote: RemoteKeys,
    pub(crate) algorithms: Vec<Algorithm>,
    pub(crate) usage: Usage,
}

/// How old the keys of an issuer are.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum KeyState {
    /// None were ever fetched.
    Missing,
    /// Younger than the server or the configuration wants them.
    Fresh,
    /// Older than that; they serve, since none could be fetched.
    Stale,
    /// Older than `max_stale_s`: they don't serve.
    Expired,
}

/// Figures of one issuer's keys in this worker.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KeyStats {
    /// The issuer.
    pub issuer: String,
    /// How old its keys are.
    pub state: KeyState,
    /// Fetches of this worker that brought a usable set.
    pub fetched: u64,
    /// Fetches of this worker that did not.
    pub failed: u64,
}

/// What to say to a token whose key is not at hand.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Answer {
    /// A set that is fresh enough to tell has no such key.
    Unknown,
    /// Keep the request until a `Wake`.
    Wait,
    /// It can't be told in time.
    Unavailable,
}

#[derive(Debug)]
struct Current {
    keys: KeySet,
    /// When the fetch began: the server's answer is no older than this.
    asked_at: UnixTime,
    /// How long the set is fresh.
    lifetime_s: i64,
    digest: [u8; 32],
    sequence: Option<u64>,
}

#[derive(Debug)]
struct Flight {
    id: FetchId,
    asked_at: UnixTime,
    stage: Stage,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Stage {
    Discovery,
    Keys,
}

#[derive(Debug)]
struct Waiter {
    since: UnixTime,
    key_id: Option<String>,
}

/// The keys of one issuer.
#[derive(Debug)]
pub(crate) struct Keyring {
    pub(crate) source: Source,
    current: Option<Current>,
    flight: Option<Flight>,
    look_at: UnixTime,
    lease: Lease,
    /// Ids that a set asked for at this time did not have.
    gone: BoundedMap<String, UnixTime>,
    waiting: BTreeMap<StreamId, Waiter>,
    fetched: u64,
    failed: u64,
    /// 0 to 999, another one in each worker: they don't all come at once.
    spread: i64,
}

impl Keyring {
    pub(crate) fn new(source: Source, seed: &[u8]) -> Self {
        let hash = Sha256::new().chain_update(seed).chain_update(&source.issuer).finalize();
        let spread = hash.first_chunk::<2>().copied().map(u16::from_le_bytes).unwrap_or_default();
        Self {
            source,
            current: None,
            flight: None,
            look_at: UnixTime::default(),
            lease: Lease::default(),
            gone: BoundedMap::new(MAX_GONE),
            waiting: BTreeMap::new(),
            fetched: 0,
            failed: 0,
            spread: i64::from(spread % 1000),
        }
    }

    /// The keys, unless they are older than `max_stale_s`.
    pub(crate) fn usable(&self, now: UnixTime) -> Option<&KeySet> {
        let current = self.current.as_ref()?;
        (age_s(current, now) <= self.source.remote.max_stale_s).then_some(&current.keys)
    }

    /// What to say to a request that came at `since` with a key id that is not in the set, or when
    /// there is no set.
    pub(crate) fn answer(
        &mut self,
        stream: StreamId,
        key_id: Option<&str>,
        since: UnixTime,
        now: UnixTime,
    ) -> Answer {
        let remote = &self.source.remote;
        if let (Some(key_id), Some(current)) = (key_id, self.usable(now).and(self.current.as_ref())) {
            let asked = self.gone.get(&key_id.to_owned());
            let recent = |at: &UnixTime| now.secs().saturating_sub(at.secs()) < remote.interval_s;
            if current.asked_at >= since || asked.is_some_and(recent) {
                return Answer::Unknown;
            }
        }
        // A request from before the clock went back has waited for nobody knows how long.
        let in_time = since <= now && now.millis_since(since) < i64::from(remote.wait_ms);
        if !in_time || self.waiting.len() >= remote.max_waiting {
            return Answer::Unavailable;
        }
        self.waiting.insert(stream, Waiter { since, key_id: key_id.map(str::to_owned) });
        Answer::Wait
    }

    /// The stream is gone.
    pub(crate) fn forget(&mut self, stream: StreamId) {
        self.waiting.remove(&stream);
    }

    /// Requests that wait.
    pub(crate) fn waiting(&self) -> usize {
        self.waiting.len()
    }

    /// Streams that wait, when nothing will be fetched for them any more.
    pub(crate) fn into_waiting(self) -> impl Iterator<Item = StreamId> {
        self.waiting.into_keys()
    }

    pub(crate) fn stats(&self, now: UnixTime) -> KeyStats {
        let state = match &self.current {
            None => KeyState::Missing,
            Some(_) if self.usable(now).is_none() => KeyState::Expired,
            Some(current) if age_s(current, now) > current.lifetime_s => KeyState::Stale,
            Some(_) => KeyState::Fresh,
        };
        KeyStats { issuer: self.source.issuer.clone(), state, fetched: self.fetched, failed: self.failed }
    }

    /// The clock went back: an age that was counted by the old time means nothing.
    pub(crate) fn clock_stepped(&mut self, now: UnixTime) {
        if let Some(current) = &mut self.current {
            current.asked_at = current.asked_at.min(now);
        }
        for waiter in self.waiting.values_mut() {
            waiter.since = waiter.since.min(now);
        }
        self.look_at = now;
        self.lease.clock_stepped(now);
        self.gone.clear();
        self.flight = None;
    }

    /// Looks at what others fetched, and fetches if it is this worker's turn.
    pub(crate) fn tick(
        &mut self,
        shared: &Shared,
        next_id: &mut dyn FnMut() -> FetchId,
        now: UnixTime,
    ) -> Vec<Event> {
        let mut events = Vec::new();
        if now >= self.look_at || self.wants(now) {
            self.look_at = now.plus_secs(LOOK_S);
            self.look(shared, now, &mut events);
        }
        // A reply that never came: the context that asked is gone.
        let lost = i64::from(self.source.remote.timeout_ms).saturating_mul(2).saturating_add(1_000);
        if self.flight.as_ref().is_some_and(|flight| now.millis_since(flight.asked_at) > lost) {
            self.flight = None;
        }
        let interval_ms = self.source.remote.interval_s.saturating_mul(1_000);
        let may_fetch = self.flight.is_none()
            && self.wants(now)
            && self.lease.take(shared, &self.entry("lease"), interval_ms, now);
        if may_fetch {
            let stage = if self.source.remote.discovery { Stage::Discovery } else { Stage::Keys };
            let path = match stage {
                Stage::Discovery => discovery::path(&self.source.issuer),
                Stage::Keys => self.source.remote.path.clone().unwrap_or_default(),
            };
            let id = next_id();
            self.flight = Some(Flight { id, asked_at: now, stage });
            events.push(Event::Fetch { id, call: self.call(path) });
        }
        self.wake(now, &mut events);
        events
    }

    /// Takes the reply to a fetch; `None` if it is not one of this keyring's.
    pub(crate) fn fetched(
        &mut self,
        id: FetchId,
        reply: &Reply,
        shared: &Shared,
        next_id: &mut dyn FnMut() -> FetchId,
        now: UnixTime,
    ) -> Option<Vec<Event>> {
        let Flight { asked_at, stage, .. } = self.flight.take_if(|flight| flight.id == id)?;
        let mut events = Vec::new();
        let taken = body(reply).and_then(|(body, max_age_s)| match stage {
            Stage::Discovery => {
                let path = discovery::read(body, &self.source.issuer, &self.source.remote.host)?;
                let id = next_id();
                self.flight = Some(Flight { id, asked_at, stage: Stage::Keys });
                events.push(Event::Fetch { id, call: self.call(path) });
                Ok(())
            }
            Stage::Keys => {
                self.adopt(body, asked_at, max_age_s, &mut events)?;
                self.fetched = self.fetched.saturating_add(1);
                self.share(shared, body, asked_at, max_age_s);
                Ok(())
            }
        });
        if let Err(why) = taken {
            self.failed = self.failed.saturating_add(1);
            events.push(Event::Warn(format!("the keys of `{}` can't be fetched: {why}", self.source.issuer)));
        }
        self.wake(now, &mut events);
        Some(events)
    }

    fn wants(&self, now: UnixTime) -> bool {
        let due = |current: &Current| {
            // Before the end of its life, and not when every other worker does.
            let share = self.spread.saturating_div(5).saturating_add(700);
            age_s(current, now) >= current.lifetime_s.saturating_mul(share).saturating_div(1000)
        };
        !self.waiting.is_empty() || self.current.as_ref().is_none_or(due)
    }

    /// Takes a set, if it is one.
    fn adopt(
        &mut self,
        body: &[u8],
        asked_at: UnixTime,
        max_age_s: Option<i64>,
        events: &mut Vec<Event>,
    ) -> Result<(), String> {
        let Source { issuer, remote, algorithms, usage } = &self.source;
        let digest: [u8; 32] = Sha256::digest(body).into();
        let fetched = KeySet::fetched(body, &KeyRules { algorithms, usage: *usage })?;
        let known = self.current.as_ref().and_then(|before| before.sequence);
        if let (Some(known), Some(now)) = (known, fetched.sequence) {
            if now < known {
                return Err(format!("`spiffe_sequence` went back from {known} to {now}"));
            }
        }
        let before = self.current.take();
        if before.as_ref().is_none_or(|before| before.digest != digest) {
            for (path, why) in &fetched.skipped {
                events.push(Event::Warn(format!("a key of `{issuer}` is not used: {path}: {why}")));
            }
        }
        let hint = fetched.refresh_hint_s.and_then(|hint| i64::try_from(hint).ok());
        let shortest = [max_age_s, hint].into_iter().flatten().fold(remote.refresh_s, i64::min);
        let current = Current {
            keys: fetched.keys,
            asked_at,
            lifetime_s: shortest.max(remote.interval_s),
            digest,
            sequence: fetched.sequence,
        };
        // Nobody has to wait for a key that was taken away, or that this set does not have.
        let removed = before.iter().flat_map(|before| before.keys.ids()).map(str::to_owned);
        let asked = self.waiting.values().filter(|waiter| waiter.since <= asked_at);
        let asked = asked.filter_map(|waiter| waiter.key_id.clone());
        for id in removed.chain(asked).filter(|id| current.keys.find(id).is_none()) {
            self.gone.insert(id, asked_at);
        }
        self.current = Some(current);
        Ok(())
    }

    fn wake(&mut self, now: UnixTime, events: &mut Vec<Event>) {
        let usable = self.usable(now);
        let asked_at = self.current.as_ref().map(|current| current.asked_at);
        let wait_ms = i64::from(self.source.remote.wait_ms);
        let gone = &self.gone;
        let done = |waiter: &Waiter| match (&waiter.key_id, usable) {
            _ if now.millis_since(waiter.since) >= wait_ms => true,
            (_, None) => false,
            (None, Some(_)) => true,
            (Some(id), Some(keys)) => {
                keys.find(id).is_some() || gone.get(id).is_some() || asked_at >= Some(waiter.since)
            }
        };
        let ready: Vec<StreamId> =
            self.waiting.iter().filter(|(_, waiter)| done(waiter)).map(|(stream, _)| *stream).collect();
        for stream in ready {
            self.waiting.remove(&stream);
            events.push(Event::Wake(stream));
        }
    }

    fn call(&self, path: String) -> Call {
        let remote = &self.source.remote;
        let header = |name: &str, value: &str| (name.to_owned(), value.to_owned());
        Call {
            cluster: remote.cluster.clone(),
            headers: vec![
                header(":method", "GET"),
                header(":path", &path),
                header(":authority", &remote.host),
                header("accept", "application/json"),
            ],
            body: Vec::new(),
            timeout_ms: remote.timeout_ms,
            max_body: MAX_SET,
            connect_retries: 1,
            pdp: None,
        }
    }

    /// Puts a set where the other workers see it: the body first, so that the head never tells of
    /// one that is not there.
    fn share(&self, shared: &Shared, body: &[u8], asked_at: UnixTime, max_age_s: Option<i64>) {
        let mut head = asked_at.micros().to_le_bytes().to_vec();
        head.extend_from_slice(&max_age_s.unwrap_or(-1).to_le_bytes());
        head.extend_from_slice(&Sha256::digest(body));
        for (name, payload) in [(self.entry("body"), body), (self.entry("head"), &head)] {
            let written = shared.read(&name).and_then(|read| shared.write(&name, payload, &read));
            // The others will fetch for themselves.
            if written != Ok(true) {
                return;
            }
        }
    }

    /// Takes what another worker has shared, if it is newer.
    fn look(&mut self, shared: &Shared, now: UnixTime, events: &mut Vec<Event>) {
        let Ok(Entry::Ours { payload: head, .. }) = shared.read(&self.entry("head")) else { return };
        let Some((asked_at, rest)) = read_time(&head) else { return };
        let Some((max_age_s, digest)) = read_time(rest) else { return };
        let newer = self.current.as_ref().is_none_or(|current| asked_at > current.asked_at);
        if !newer || asked_at > now {
            return;
        }
        let max_age_s = Some(max_age_s.micros()).filter(|max_age_s| *max_age_s >= 0);
        if let Some(current) = self.current.as_mut().filter(|current| current.digest == digest) {
            current.asked_at = asked_at;
            return;
        }
        let Ok(Entry::Ours { payload: body, .. }) = shared.read(&self.entry("body")) else { return };
        if Sha256::digest(&body)[..] != *digest {
            return;
        }
        if let Err(why) = self.adopt(&body, asked_at, max_age_s, events) {
            events.push(Event::Warn(format!("shared keys of `{}` are not used: {why}", self.source.issuer)));
        }
    }

    fn entry(&self, part: &str) -> String {
        format!("keys/{}/{part}", self.source.issuer)
    }
}

fn age_s(current: &Current, now: UnixTime) -> i64 {
    now.secs().saturating_sub(current.asked_at.secs())
}

/// The body of a good reply and its `max-age` (RFC 9111 section 5.2.2.1). No redirect is followed.
fn body(reply: &Reply) -> Result<(&[u8], Option<i64>), String> {
    match reply {
        Reply::Http { status: 200, headers, body, .. } => {
            let directives = headers.all("cache-control").filter_map(|value| std::str::from_utf8(value).ok());
            let max_age = directives.flat_map(|value| value.split(',')).find_map(|directive| {
                directive.trim().to_ascii_lowercase().strip_prefix("max-age=")?.parse().ok()
            });
            Ok((body, max_age))
        }
        Reply::Http { status, .. } => Err(format!("the answer has status {status}")),
        Reply::Failed(failure) => Err(format!("{failure}")),
    }
}
