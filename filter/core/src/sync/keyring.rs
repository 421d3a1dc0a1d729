//! The keys of an issuer that come from a server: fetched in the background, once for all workers,
//! kept while the server is down, and never older than configured.
//!
//! One worker at a time holds the lease to fetch, for `interval_s` whatever comes of it. What it
//! fetched is shared, and read again by each worker as strictly as if it had fetched it itself.

mod discovery;

use std::collections::BTreeMap;

use sha2::{Digest as _, Sha256};

use crate::base::bounded::BoundedMap;
use crate::base::freshness::Freshness;
use crate::base::time::UnixTime;
use crate::config::RemoteKeys;
use crate::http::request::StreamId;
use crate::jose::keys::{Algorithm, KeyRules, KeySet, Usage};
use crate::sync::follower::{Answer, Ask, Link, Server, Source};
use crate::sync::relay::{self, Notice};

/// The largest key set, and discovery document, in bytes.
const MAX_SET: usize = 256 * 1024;
/// Ids of keys that a fresh set did not have.
const MAX_GONE: usize = 256;
/// The name of the newest set where the other workers see it.
const SET: &str = "set";

/// Where the keys of one issuer come from, and what they may be used for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct RemoteIssuer {
    pub(crate) issuer: String,
    pub(crate) remote: RemoteKeys,
    pub(crate) algorithms: Vec<Algorithm>,
    pub(crate) usage: Usage,
}

impl RemoteIssuer {
    /// The server of its keys.
    pub(crate) fn server(&self) -> Server {
        let RemoteKeys { cluster, host, path, timeout_ms, interval_s, .. } = &self.remote;
        Server {
            cluster: cluster.clone(),
            host: host.clone(),
            path: path.clone().unwrap_or_else(|| discovery::path(&self.issuer)),
            accept: "application/json",
            timeout_ms: **timeout_ms,
            interval_ms: interval_s.saturating_mul(1_000),
            max_body: MAX_SET,
        }
    }
}

/// What to say to a token whose key is not at hand.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Lookup {
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
struct Waiter {
    since: UnixTime,
    key_id: Option<String>,
}

/// The keys of one issuer.
#[derive(Debug)]
pub(crate) struct Keyring {
    pub(crate) source: RemoteIssuer,
    current: Option<Current>,
    /// The path of the set is to be asked for.
    discovering: bool,
    /// Ids that a set asked for at this time did not have.
    gone: BoundedMap<String, UnixTime>,
    waiting: BTreeMap<StreamId, Waiter>,
    /// 0 to 999, another one in each worker: they don't all come at once.
    spread: i64,
}

impl Keyring {
    pub(crate) fn new(source: RemoteIssuer, seed: &[u8]) -> Self {
        let hash = Sha256::new().chain_update(seed).chain_update(&source.issuer).finalize();
        let spread = hash.first_chunk::<2>().copied().map(u16::from_le_bytes).unwrap_or_default();
        Self {
            source,
            current: None,
            discovering: false,
            gone: BoundedMap::new(MAX_GONE),
            waiting: BTreeMap::new(),
            spread: i64::from(spread % 1000),
        }
    }

    /// The keys, unless they are older than `max_stale_s`.
    pub(crate) fn usable(&self, now: UnixTime) -> Option<&KeySet> {
        let current = self.current.as_ref()?;
        (age_s(current, now) <= *self.source.remote.max_stale_s).then_some(&current.keys)
    }

    /// What to say to a request that came at `since` with a key id that is not in the set, or when
    /// there is no set.
    pub(crate) fn answer(
        &mut self,
        stream: StreamId,
        key_id: Option<&str>,
        since: UnixTime,
        now: UnixTime,
    ) -> Lookup {
        let remote = &self.source.remote;
        if let (Some(key_id), Some(current)) = (key_id, self.usable(now).and(self.current.as_ref())) {
            let asked = self.gone.get(&key_id.to_owned());
            let recent = |at: &UnixTime| now.secs().saturating_sub(at.secs()) < *remote.interval_s;
            if current.asked_at >= since || asked.is_some_and(recent) {
                return Lookup::Unknown;
            }
        }
        // A request from before the clock went back has waited for nobody knows how long.
        let in_time = since <= now && now.millis_since(since) < i64::from(*remote.wait_ms);
        if !in_time || self.waiting.len() >= *remote.max_waiting {
            return Lookup::Unavailable;
        }
        self.waiting.insert(stream, Waiter { since, key_id: key_id.map(str::to_owned) });
        Lookup::Wait
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

    /// How fresh its keys are; if they are not, for how long they serve all the same.
    pub(crate) fn freshness(&self, now: UnixTime) -> (Freshness, String) {
        let Some(current) = &self.current else { return (Freshness::Missing, String::new()) };
        let (age_s, max_s) = (age_s(current, now), *self.source.remote.max_stale_s);
        if age_s <= current.lifetime_s {
            return (Freshness::Fresh, String::new());
        }
        let is_over = age_s > max_s;
        let freshness = if is_over { Freshness::Expired } else { Freshness::Stale };
        (freshness, format!("it is {age_s} s old; keys serve for {max_s} s at most"))
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
        link: &mut Link,
    ) -> Result<(), String> {
        let RemoteIssuer { issuer, remote, algorithms, usage } = &self.source;
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
                link.warn(format!("a key of `{issuer}` is not used: {path}: {why}"));
            }
        }
        let hint = fetched.refresh_hint_s.and_then(|hint| i64::try_from(hint).ok());
        let shortest = [max_age_s, hint].into_iter().flatten().fold(*remote.refresh_s, i64::min);
        let current = Current {
            keys: fetched.keys,
            asked_at,
            lifetime_s: shortest.max(*remote.interval_s),
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
}

impl Source for Keyring {
    type World<'w> = ();

    fn name(&self) -> String {
        format!("the keys of `{}`", self.source.issuer)
    }

    /// Takes what another worker has shared, if it is newer.
    fn look(&mut self, link: &mut Link, (): &mut (), now: UnixTime) {
        if !link.is_time_to_look(self.wants(now), now) {
            return;
        }
        let is_news = |asked_at: UnixTime, current: &Option<Current>| {
            asked_at <= now && current.as_ref().is_none_or(|current| asked_at > current.asked_at)
        };
        let newest = Notice::newest(&link.shared).filter(|newest| is_news(newest.issued_at, &self.current));
        let Some((notice, body)) = newest.and_then(|_| relay::get(&link.shared, SET)) else { return };
        let asked_at = notice.issued_at;
        if !is_news(asked_at, &self.current) {
            return;
        }
        let digest = Sha256::digest(&body);
        if let Some(current) = self.current.as_mut().filter(|current| current.digest == *digest) {
            current.asked_at = asked_at;
        } else if let Err(why) = self.adopt(&body, asked_at, i64::try_from(notice.number).ok(), link) {
            link.warn(format!("shared keys of `{}` are not used: {why}", self.source.issuer));
        }
    }

    fn turn(&mut self, link: &mut Link, (): &mut (), now: UnixTime) -> Option<Ask> {
        let may_fetch = self.wants(now) && link.has_lease(false, now);
        may_fetch.then(|| {
            self.discovering = self.source.remote.discovery;
            Ask::default()
        })
    }

    fn take(&mut self, link: &mut Link, answer: Answer, _: UnixTime) -> Result<Option<Ask>, String> {
        let Answer { text, max_age_s, asked_at, .. } = answer;
        if std::mem::take(&mut self.discovering) {
            let path = discovery::read(&text, &self.source.issuer, &self.source.remote.host)?;
            return Ok(Some(Ask { path: Some(path), ..Ask::default() }));
        }
        self.adopt(&text, asked_at, max_age_s, link)?;
        let number = max_age_s.and_then(|secs| u64::try_from(secs).ok()).unwrap_or(u64::MAX);
        let notice = Notice { sequence: 0, issued_at: asked_at, number, etag: None };
        // Where it can't be shared, the others fetch for themselves.
        if relay::put(&link.shared, SET, &notice, &text) {
            notice.publish(&link.shared);
        }
        Ok(None)
    }

    fn wake(&mut self, link: &mut Link, now: UnixTime) {
        let usable = self.usable(now);
        let asked_at = self.current.as_ref().map(|current| current.asked_at);
        let wait_ms = i64::from(*self.source.remote.wait_ms);
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
            link.wake(stream);
        }
    }

    fn clock_stepped(&mut self, now: UnixTime) {
        if let Some(current) = &mut self.current {
            current.asked_at = current.asked_at.min(now);
        }
        for waiter in self.waiting.values_mut() {
            waiter.since = waiter.since.min(now);
        }
        self.gone.clear();
    }
}

fn age_s(current: &Current, now: UnixTime) -> i64 {
    now.secs().saturating_sub(current.asked_at.secs())
}
