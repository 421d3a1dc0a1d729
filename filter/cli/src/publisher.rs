//! What a server of a feed does: keeps the facts, numbers the changes, and answers who asks with what
//! is new to them. No I/O and no clock: for the reference server and for tests.
//!
//! A page of a full list is answered for as long as its list is kept. A list that was signed once
//! serves until the facts change; that it is still good is told by a heartbeat, changes of nothing,
//! which is signed anew every few seconds.

use std::collections::{BTreeMap, VecDeque};

use everycall_core::{FeedIssue, FeedKind, UnixTime};
use serde_json::Value;

use crate::feed_file::test_feed_documents;
use crate::mint::TestKey;

/// What a request for changes has to accept (RFC 3229), and the answer says it is.
pub const DELTA: &str = "everycall-delta";
/// How long a document counts, in seconds.
const LIFETIME_S: i64 = 3_600;
/// How often a state is signed again, in seconds.
const HEARTBEAT_S: i64 = 5;
/// Changes that are kept: whoever knows less gets the full list.
const MAX_CHANGES: usize = 10_000;
/// Changes that one answer holds; for more, a full list is as good.
const MAX_DELTA: usize = 1_000;
/// Full lists that are kept for those who are fetching their pages.
const MAX_LISTS: usize = 3;

/// A feed at its source.
pub struct Publisher {
    feed: FeedKind,
    key: TestKey,
    /// By what they are about: the last one counts.
    facts: BTreeMap<String, Value>,
    sequence: u64,
    /// With the sequence that each led to.
    changes: VecDeque<(u64, Value)>,
    /// When the present state was signed last.
    signed_at: Option<UnixTime>,
    /// Full lists: entity tag, sequence and pages.
    lists: VecDeque<(String, u64, Vec<Vec<u8>>)>,
}

/// What a request asks for.
#[derive(Debug, Clone, Default)]
pub struct Asked {
    /// Which page; `None`: what is new.
    pub page: Option<usize>,
    /// `If-None-Match`: the state that is known.
    pub known: Option<String>,
    /// `If-Match`: the list that the page is of.
    pub of: Option<String>,
    /// `A-IM` names [`DELTA`].
    pub delta: bool,
}

/// An answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Answer {
    /// 200, 226, 304, 404 or 412.
    pub status: u16,
    /// `ETag`.
    pub etag: Option<String>,
    /// The document.
    pub body: Vec<u8>,
}

impl Publisher {
    /// Without facts. Its numbers begin at the time, so that they are higher than those of a server
    /// that forgot everything.
    pub fn new(feed: FeedKind, key: TestKey, now: UnixTime) -> Self {
        let sequence = u64::try_from(now.micros() / 1_000).unwrap_or_default();
        Self {
            feed,
            key,
            facts: BTreeMap::new(),
            sequence,
            changes: VecDeque::new(),
            signed_at: None,
            lists: VecDeque::new(),
        }
    }

    /// The number of the present state.
    pub const fn sequence(&self) -> u64 {
        self.sequence
    }

    /// What counts now.
    pub fn facts(&self) -> impl Iterator<Item = &Value> {
        self.facts.values()
    }

    /// Takes facts, as one change.
    pub fn publish(&mut self, facts: impl IntoIterator<Item = Value>, now: UnixTime) {
        self.sequence = self.sequence.saturating_add(1);
        self.signed_at = None;
        self.facts.retain(|_, fact| !is_over(fact, now));
        for fact in facts {
            self.facts.insert(thing(&fact), fact.clone());
            self.changes.push_back((self.sequence, fact));
        }
        while self.changes.len() > MAX_CHANGES {
            self.changes.pop_front();
        }
    }

    /// Answers a request.
    ///
    /// # Errors
    /// A fact is too long, or the key can't sign.
    pub fn answer(&mut self, asked: &Asked, now: UnixTime) -> Result<Answer, String> {
        if let Some(page) = asked.page.filter(|page| *page > 1) {
            return Ok(self.page(page, asked.of.as_deref()));
        }
        let signed_at = match self.signed_at.filter(|at| now.secs().saturating_sub(at.secs()) < HEARTBEAT_S) {
            Some(at) => at,
            None => *self.signed_at.insert(UnixTime::from_secs(now.secs())),
        };
        let tag = format!("\"{}-{}\"", self.sequence, signed_at.secs());
        if asked.known.as_ref() == Some(&tag) {
            return Ok(Answer { status: 304, etag: Some(tag), body: Vec::new() });
        }
        let known = asked.known.as_deref().and_then(state).filter(|_| asked.delta);
        if let Some(delta) = known.and_then(|since| self.changes_since(since)) {
            let issue = self.issue(known, signed_at);
            if let [document] = test_feed_documents(&delta, &issue, &self.key)?.as_slice() {
                return Ok(Answer { status: 226, etag: Some(tag), body: document.clone() });
            }
        }
        if self.lists.back().is_none_or(|(_, sequence, _)| *sequence != self.sequence) {
            let facts: Vec<Value> = self.facts.values().cloned().collect();
            let pages = test_feed_documents(&facts, &self.issue(None, signed_at), &self.key)?;
            self.lists.push_back((tag, self.sequence, pages));
            if self.lists.len() > MAX_LISTS {
                self.lists.pop_front();
            }
        }
        Ok(self.lists.back().map_or_else(gone, |(tag, _, pages)| full(tag, pages, 1)))
    }

    fn page(&self, page: usize, of: Option<&str>) -> Answer {
        match self.lists.iter().find(|(tag, ..)| of.is_none_or(|of| of == tag)) {
            Some((tag, _, pages)) => full(tag, pages, page),
            None => Answer { status: 412, ..gone() },
        }
    }

    /// What changed since a state, if all of it is still known and not too much.
    fn changes_since(&self, since: u64) -> Option<Vec<Value>> {
        // Of the oldest change a part may be gone.
        let oldest = self.changes.front().map_or(self.sequence, |(sequence, _)| *sequence);
        let whole = self.changes.len() < MAX_CHANGES && since.saturating_add(1) == oldest;
        if since > self.sequence || !(since >= oldest || whole) {
            return None;
        }
        let changes = self.changes.iter().filter(|(sequence, _)| *sequence > since);
        let changes: Vec<Value> = changes.map(|(_, fact)| fact.clone()).collect();
        (changes.len() <= MAX_DELTA).then_some(changes)
    }

    fn issue(&self, since: Option<u64>, issued_at: UnixTime) -> FeedIssue {
        let expires_at = UnixTime::from_secs(issued_at.secs().saturating_add(LIFETIME_S));
        FeedIssue { feed: self.feed, sequence: self.sequence, since, issued_at, expires_at }
    }
}

fn full(tag: &str, pages: &[Vec<u8>], page: usize) -> Answer {
    match pages.get(page.saturating_sub(1)) {
        Some(body) => Answer { status: 200, etag: Some(tag.to_owned()), body: body.clone() },
        None => gone(),
    }
}

fn gone() -> Answer {
    Answer { status: 404, etag: None, body: Vec::new() }
}

/// The state that an entity tag of ours names.
fn state(tag: &str) -> Option<u64> {
    tag.trim_matches('"').split_once('-')?.0.parse().ok()
}

/// What a fact is about.
fn thing(fact: &Value) -> String {
    ["revoke", "issuer", "id"].map(|member| fact.get(member).unwrap_or(&Value::Null).to_string()).join(" ")
}

fn is_over(fact: &Value, now: UnixTime) -> bool {
    let expires_at = fact.get("expires_at").and_then(Value::as_str).and_then(UnixTime::parse_rfc3339);
    expires_at.is_some_and(|expires_at| expires_at < now)
}
