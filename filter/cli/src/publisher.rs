//! What a server of a feed does: keeps the facts, numbers the changes, and answers who asks with what
//! is new to them. No I/O and no clock: for the reference server and for tests.
//!
//! A state is signed anew every few seconds: who knows it gets a heartbeat, changes of nothing, and
//! everybody else the full list. The pages of a list are answered for as long as it is kept; each is
//! signed when it is asked for.

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;

use everycall_core::facts::FeedKind;
use everycall_core::UnixTime;
use serde_json::Value;

use crate::feed_file::{feed_content, test_feed_documents, test_feed_page, FeedIssue};
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
const MAX_LISTS: usize = 16;
/// Made-up facts that are written at once: about a page.
const MADE_UP_AT_ONCE: usize = 6_000;

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
    lists: VecDeque<List>,
    /// Pages of facts that stand in full lists only.
    made_up: Vec<Arc<[u8]>>,
}

/// A full list that somebody may be fetching.
struct List {
    tag: String,
    issue: FeedIssue,
    /// What is below the heads of its pages.
    contents: Vec<Arc<[u8]>>,
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
            made_up: Vec::new(),
        }
    }

    /// The number of the present state.
    pub const fn sequence(&self) -> u64 {
        self.sequence
    }

    /// What counts now.
    pub fn facts(&self) -> impl ExactSizeIterator<Item = &Value> {
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

    /// Lets full lists hold these pages more, in the place of those that were given before. There is no
    /// way to the new state but a full list.
    pub fn fill(&mut self, pages: MadeUp) {
        let MadeUp(pages) = pages;
        if pages.is_empty() && self.made_up.is_empty() {
            return;
        }
        self.made_up = pages;
        self.sequence = self.sequence.saturating_add(1);
        self.signed_at = None;
        self.changes.clear();
    }

    /// Answers a request.
    ///
    /// # Errors
    /// A fact is too long, or the key can't sign.
    pub fn answer(&mut self, asked: &Asked, now: UnixTime) -> Result<Answer, String> {
        if let Some(page) = asked.page.filter(|page| *page > 1) {
            return self.page(page, asked.of.as_deref());
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
        if self.lists.back().is_none_or(|list| list.tag != tag) {
            let same = self.lists.back().filter(|list| list.issue.sequence == self.sequence);
            let contents = match same {
                Some(list) => list.contents.clone(),
                None => self.contents()?,
            };
            self.lists.push_back(List { tag, issue: self.issue(None, signed_at), contents });
            if self.lists.len() > MAX_LISTS {
                self.lists.pop_front();
            }
        }
        self.lists.back().map_or_else(|| Ok(gone()), |list| list.page(1, &self.key))
    }

    /// What full lists hold now, page by page.
    fn contents(&self) -> Result<Vec<Arc<[u8]>>, String> {
        let facts: Vec<Value> = self.facts.values().cloned().collect();
        let pages = feed_content(&facts)?.into_iter().map(Arc::from);
        Ok(pages.chain(self.made_up.iter().cloned()).collect())
    }

    /// A later page, of the newest list if it is not said of which.
    fn page(&self, page: usize, of: Option<&str>) -> Result<Answer, String> {
        match self.lists.iter().rev().find(|list| of.is_none_or(|of| of == list.tag)) {
            Some(list) => list.page(page, &self.key),
            None => Ok(Answer { status: 412, ..gone() }),
        }
    }

    /// What changed since a state, if all of it is still known and not too much.
    fn changes_since(&self, since: u64) -> Option<Vec<Value>> {
        let Some(&(oldest, _)) = self.changes.front() else {
            return (since == self.sequence).then(Vec::new);
        };
        // Of the oldest change a part may be gone.
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

/// Pages of facts that were made up.
pub struct MadeUp(Vec<Arc<[u8]>>);

impl MadeUp {
    /// So many facts, each made of its number.
    ///
    /// # Errors
    /// One is too long.
    pub fn new(facts: usize, fact: impl Fn(usize) -> Value) -> Result<Self, String> {
        let mut pages = Vec::new();
        for first in (0..facts).step_by(MADE_UP_AT_ONCE) {
            let last = first.saturating_add(MADE_UP_AT_ONCE).min(facts);
            let lines: Vec<Value> = (first..last).map(&fact).collect();
            pages.extend(feed_content(&lines)?.into_iter().map(Arc::from));
        }
        Ok(Self(pages))
    }
}

impl List {
    fn page(&self, page: usize, key: &TestKey) -> Result<Answer, String> {
        let Some(content) = self.contents.get(page.saturating_sub(1)) else { return Ok(gone()) };
        let number = |count: usize| u32::try_from(count).map_err(|error| error.to_string());
        let (page, pages) = (number(page)?, number(self.contents.len())?);
        let body = test_feed_page(content, &self.issue, (page, pages), key)?;
        Ok(Answer { status: 200, etag: Some(self.tag.clone()), body })
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
    let members = ["revoke", "about", "issuer", "id", "signal"];
    members.map(|member| fact.get(member).unwrap_or(&Value::Null).to_string()).join(" ")
}

fn is_over(fact: &Value, now: UnixTime) -> bool {
    let expires_at = fact.get("expires_at").and_then(Value::as_str).and_then(UnixTime::parse_rfc3339);
    expires_at.is_some_and(|expires_at| expires_at < now)
}

#[cfg(test)]
#[allow(clippy::arithmetic_side_effects)] // small numbers
mod tests {
    use everycall_core::jose::{Jwks, KeyRules, Usage};
    use everycall_core::sync::{read_feed, FeedHead};
    use everycall_core::{Algorithm, KeySet, PureRust};
    use serde_json::json;

    use super::*;

    const START: i64 = 1_790_000_000;

    fn at(secs: i64) -> UnixTime {
        UnixTime::from_secs(START + secs)
    }

    fn publisher() -> Publisher {
        Publisher::new(FeedKind::Revocations, TestKey::es256().unwrap(), at(0))
    }

    fn task(id: usize) -> Value {
        json!({"revoke": "task", "id": format!("t-{id}"), "expires_at": "2100-01-01T00:00:00Z"})
    }

    fn read(answer: &Answer) -> (FeedHead, Vec<Value>) {
        let jwks: Jwks = serde_json::from_value(TestKey::es256().unwrap().public_jwks()).unwrap();
        let rules = KeyRules { algorithms: &Algorithm::ALL, usage: Usage::Signature };
        let keys = KeySet::read(&jwks, &rules).unwrap();
        read_feed(FeedKind::Revocations, &answer.body, &keys, &PureRust).unwrap()
    }

    /// Who knows the state of this answer asks what is new.
    fn next(publisher: &mut Publisher, known: &Answer, now: UnixTime) -> Answer {
        let asked = Asked { known: known.etag.clone(), delta: true, ..Asked::default() };
        publisher.answer(&asked, now).unwrap()
    }

    #[test]
    fn a_state_is_signed_again_every_few_seconds() {
        let mut publisher = publisher();
        let first = publisher.answer(&Asked::default(), at(0)).unwrap();
        assert_eq!((first.status, read(&first).1.len()), (200, 0));
        assert_eq!(next(&mut publisher, &first, at(4)).status, 304);
        let beat = next(&mut publisher, &first, at(5));
        let (head, facts) = read(&beat);
        assert_eq!((beat.status, head.about.since, facts.len()), (226, Some(head.sequence), 0));
        assert_eq!((head.sequence, head.issued_at), (publisher.sequence(), at(5)));
        assert_eq!(next(&mut publisher, &beat, at(9)).status, 304);
        // Who does not know of changes, too; for hours.
        for secs in [5, 10, 100_000] {
            let asked = Asked { known: first.etag.clone(), ..Asked::default() };
            let full = publisher.answer(&asked, at(secs)).unwrap();
            assert_eq!((full.status, read(&full).0.issued_at), (200, at(secs)));
        }
    }

    #[test]
    fn changes_lead_from_each_known_state_to_the_present_one() {
        let mut publisher = publisher();
        let known: Vec<Answer> = (0..3)
            .map(|id| {
                let answer = publisher.answer(&Asked::default(), at(0)).unwrap();
                publisher.publish([task(id)], at(0));
                answer
            })
            .collect();
        for (behind, answer) in known.iter().rev().enumerate() {
            let delta = next(&mut publisher, answer, at(0));
            let (head, facts) = read(&delta);
            assert_eq!((delta.status, facts.len()), (226, behind + 1));
            assert_eq!(
                (head.about.since, head.sequence),
                (Some(read(answer).0.sequence), publisher.sequence())
            );
        }
        let (_, facts) = read(&publisher.answer(&Asked::default(), at(0)).unwrap());
        assert_eq!(facts.len(), 3);
        for unknown in ["\"0-0\"", "\"99999999999999-0\"", "W/\"1-1\"", "\"x\"", "*"] {
            let asked = Asked { known: Some(unknown.into()), delta: true, ..Asked::default() };
            assert_eq!(publisher.answer(&asked, at(0)).unwrap().status, 200, "{unknown}");
        }
    }

    #[test]
    fn more_changes_than_fit_are_a_full_list() {
        let mut publisher = publisher();
        let first = publisher.answer(&Asked::default(), at(0)).unwrap();
        publisher.publish((0..MAX_DELTA).map(task), at(0));
        assert_eq!(next(&mut publisher, &first, at(0)).status, 226);
        let second = publisher.answer(&Asked::default(), at(0)).unwrap();
        publisher.publish([task(0)], at(0));
        assert_eq!(next(&mut publisher, &first, at(0)).status, 200);
        publisher.publish((0..MAX_CHANGES).map(task), at(0));
        assert_eq!(next(&mut publisher, &second, at(0)).status, 200, "the oldest changes are forgotten");
    }

    #[test]
    fn pages_are_of_one_list_while_it_is_kept() {
        let mut publisher = publisher();
        publisher.publish([task(0)], at(0));
        let known = publisher.answer(&Asked::default(), at(0)).unwrap();
        publisher.fill(MadeUp::new(10_000, |id| task(id + 1)).unwrap());
        let first = next(&mut publisher, &known, at(0));
        let (head, facts) = read(&first);
        assert_eq!(
            (first.status, head.about.page, head.about.pages, facts.len()),
            (200, 1, 3, 1),
            "no way but this"
        );
        publisher.publish([task(0)], at(7));
        let page = |publisher: &mut Publisher, page, of: &Answer| {
            let asked = Asked { page: Some(page), of: of.etag.clone(), ..Asked::default() };
            publisher.answer(&asked, at(8)).unwrap()
        };
        let mut facts = facts.len();
        for number in 2..=3 {
            let next = page(&mut publisher, number, &first);
            let (of, lines) = read(&next);
            assert_eq!((of.sequence, of.issued_at, next.etag == first.etag), (head.sequence, at(0), true));
            facts += lines.len();
        }
        assert_eq!(facts, 10_001);
        assert_eq!(page(&mut publisher, 4, &first).status, 404);
        for secs in 0..20 {
            publisher.answer(&Asked::default(), at(10 + 5 * secs)).unwrap();
        }
        assert_eq!(page(&mut publisher, 2, &first).status, 412);

        publisher.fill(MadeUp::new(0, task).unwrap());
        let (head, facts) = read(&publisher.answer(&Asked::default(), at(200)).unwrap());
        assert_eq!((head.about.pages, facts.len()), (1, 1));
    }
}
