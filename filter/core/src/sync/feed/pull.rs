//! Follows one feed in one worker: asks the server for changes under a lease that all workers share,
//! reads what the others were told, and fetches the full list where there is no way from here to there.
//!
//! A document is taken if its signature is good and it leads on from what is known. How fresh the list
//! is follows from when its server signed it, so an answer that nothing has changed renews nothing.

use serde_json::Value;
use sha2::{Digest as _, Sha256};

use super::document::{Bounds, Document};
use super::head::{FeedHead, MAX_FEED_PAGE};
use super::relay::{self, Notice};
use crate::base::time::UnixTime;
use crate::config::{RemoteFeed, WhenStale};
use crate::facts::content::{Content, FeedKind};
use crate::http::call::{FetchId, Reply};
use crate::jose::keys::KeySet;
use crate::jose::signature::SignatureVerifier;
use crate::sync::fetch::{Ask, Fetch, FetchStats, Fetched, Place};
use crate::sync::floor::{Floor, Offer};
use crate::sync::lease::Lease;
use crate::sync::shared::Shared;
use crate::sync::signed::{self, FileError, FileFault, MAX_HEAD};
use crate::sync::Event;

/// What a request for changes accepts (RFC 3229 section 10.5.3).
const DELTA: &str = "everycall-delta";
/// The largest answer.
const MAX_BODY: usize = MAX_FEED_PAGE + MAX_HEAD + 1;
/// Facts that are looked at in one slice.
const TIDY_SLICE: usize = 1_000;
/// The longest time between two tries of one worker, in milliseconds, unless the interval is longer.
const MAX_BACKOFF_MS: i64 = 5_000;
/// How long, in seconds, a warning is not repeated.
const QUIET_S: i64 = 60;

/// Where a feed comes from, and how old it may be.
#[derive(Debug)]
pub(crate) struct FeedSource {
    /// What the configuration holds.
    pub(crate) inline: Vec<Value>,
    /// `None`: there is no more than that.
    pub(crate) remote: Option<RemoteFeed>,
    /// Of those who may sign.
    pub(crate) keys: KeySet,
    pub(crate) max_age_s: i64,
    pub(crate) when_stale: WhenStale,
}

/// How fresh a feed is in one worker.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum FeedState {
    /// There is no list yet.
    Missing,
    /// It is as young as it has to be.
    Fresh,
    /// It is older.
    Stale,
}

/// Figures of one feed in one worker.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FeedStats {
    /// Which feed.
    pub feed: FeedKind,
    /// How fresh it is.
    pub state: FeedState,
    /// Number and time of signing of the list, if there is one.
    pub signed: Option<(u64, UnixTime)>,
    /// Facts that are known.
    pub entries: usize,
    /// What came of fetches. One that brought changes of another list has failed.
    pub fetches: FetchStats,
}

/// Everything about one feed from a server, in one worker.
pub(crate) struct Feed {
    kind: FeedKind,
    fetch: Fetch,
    shared: Shared,
    lease: Lease,
    floor: Floor,
    /// The list that is known.
    list: Option<List>,
    /// Facts of a newer list count, and it is not complete: changes of the older one would undo them.
    broken: bool,
    /// Others know more, and did not leave the way there.
    behind: bool,
    /// Of the last answer that was taken.
    etag: Option<String>,
    /// What another worker shared and this one has no use for.
    passed: Option<Notice>,
    gathering: Option<Gathering>,
    work: Option<Work>,
    /// When this worker may fetch without the lease.
    retry_at: UnixTime,
    /// Fetches without success, one after the other.
    misses: u32,
    /// Differs between workers and grows: they don't all come at once.
    chance: u64,
    /// The last warning.
    said: Option<(String, UnixTime)>,
}

/// What is remembered of a list.
#[derive(Debug, Clone)]
struct List {
    sequence: u64,
    issued_at: UnixTime,
    expires_at: UnixTime,
    /// Of the full list's first page, if it came as one.
    digest: Option<[u8; 32]>,
    key: [u8; 32],
}

/// A full list of several pages that are fetched one after the other.
struct Gathering {
    /// Of the first page.
    head: FeedHead,
    etag: Option<String>,
    next: u32,
    /// Facts so far.
    facts: usize,
}

/// What is done in slices.
enum Work {
    Begin(Vec<u8>, From),
    Read(Box<Document>, From),
    /// A full list is complete: what it did not name goes.
    Sweep,
}

/// Where a document came from.
enum From {
    Server { etag: Option<String> },
    Worker { notice: Notice, etag: Option<String> },
}

/// What is in force besides the feed.
pub(crate) struct World<'w> {
    pub(crate) source: &'w FeedSource,
    pub(crate) remote: &'w RemoteFeed,
    pub(crate) verifier: &'w dyn SignatureVerifier,
    pub(crate) content: &'w mut dyn Content,
    pub(crate) next_id: &'w mut dyn FnMut() -> FetchId,
}

impl Feed {
    /// `digest` is of the configuration's other parts, `seed` differs between workers.
    pub(crate) fn new(
        kind: FeedKind,
        remote: &RemoteFeed,
        shared: &Shared,
        digest: &[u8; 32],
        seed: &[u8],
    ) -> Self {
        let hash = Sha256::new().chain_update(seed).chain_update(kind.as_str()).finalize();
        Self {
            kind,
            fetch: Fetch::new(place(remote)),
            shared: relay::entries(shared, digest, kind, remote),
            lease: Lease::default(),
            floor: Floor::default(),
            list: None,
            broken: false,
            behind: false,
            etag: None,
            passed: None,
            gathering: None,
            work: None,
            retry_at: UnixTime::default(),
            misses: 0,
            chance: hash.first_chunk().copied().map(u64::from_le_bytes).unwrap_or_default(),
            said: None,
        }
    }

    /// Whether this follows what is at the server.
    pub(crate) fn is_for(&self, remote: &RemoteFeed) -> bool {
        self.fetch.is_of(&place(remote))
    }

    /// A new configuration with the same server. The list stays known if its key may still sign.
    pub(crate) fn configure(
        &mut self,
        source: &FeedSource,
        remote: &RemoteFeed,
        shared: &Shared,
        digest: &[u8; 32],
        content: &mut dyn Content,
    ) {
        self.shared = relay::entries(shared, digest, self.kind, remote);
        self.floor.publish(&self.shared);
        self.fetch.forget();
        if !matches!(self.work, Some(Work::Sweep)) {
            content.abandon();
            self.broken |= self.work.take().is_some() || self.gathering.take().is_some();
        }
        if self.list.as_ref().is_some_and(|list| !source.keys.holds(&list.key)) {
            self.list = None;
            self.broken = true;
        }
        self.etag = None;
        self.passed = None;
        self.retry_at = UnixTime::default();
    }

    /// The clock went back: what was counted by the old time means nothing.
    pub(crate) fn clock_stepped(&mut self, now: UnixTime) {
        self.lease.clock_stepped(now);
        self.retry_at = now;
        self.fetch.forget();
        self.said = None;
    }

    /// Whether the list is as young as it has to be; if not, why.
    ///
    /// # Errors
    /// There is none, or it is older than `max_age_s`.
    pub(crate) fn is_fresh(&self, max_age_s: i64, now: UnixTime) -> Result<(), String> {
        let Some(list) = &self.list else { return Err(format!("there are no {} yet", self.kind)) };
        let name = format_args!("the list with the sequence {}", list.sequence);
        signed::judge_times(&name, list.issued_at, list.expires_at, Some(max_age_s), now)
            .map_err(|error| error.errors().first().map(|error| error.message.clone()).unwrap_or_default())
    }

    /// Number and time of signing of the list, if there is one.
    pub(crate) fn signed(&self) -> Option<(u64, UnixTime)> {
        self.list.as_ref().map(|list| (list.sequence, list.issued_at))
    }

    pub(crate) fn stats(&self, max_age_s: i64, entries: usize, now: UnixTime) -> FeedStats {
        let state = match (&self.list, self.is_fresh(max_age_s, now)) {
            (None, _) => FeedState::Missing,
            (_, Ok(())) => FeedState::Fresh,
            (_, Err(_)) => FeedState::Stale,
        };
        FeedStats {
            feed: self.kind,
            state,
            signed: self.signed(),
            entries,
            fetches: self.fetch.stats().clone(),
        }
    }

    /// Whether there is work for [`Self::slice`].
    pub(crate) const fn is_busy(&self) -> bool {
        self.work.is_some()
    }

    /// Looks at what others were told, and asks the server if it is this worker's turn.
    pub(crate) fn tick(&mut self, world: &mut World<'_>, now: UnixTime) -> Vec<Event> {
        let is_open = self.fetch.is_open(world.remote.timeout_ms, now);
        if self.is_busy() {
            return Vec::new();
        }
        if let Some(list) = &self.list {
            world.content.tidy(TIDY_SLICE, list.issued_at, false);
        }
        if self.gathering.is_none() {
            self.look(now);
        }
        if self.is_busy() || is_open || !self.may_fetch(world.remote, now) {
            return Vec::new();
        }
        vec![self.fetch(world, now)]
    }

    /// Whether this is the fetch that is open.
    pub(crate) fn awaits(&self, id: FetchId) -> bool {
        self.fetch.awaits(id)
    }

    /// Takes the reply to a fetch of this feed's.
    pub(crate) fn fetched(
        &mut self,
        id: FetchId,
        reply: Reply,
        remote: &RemoteFeed,
        now: UnixTime,
    ) -> Vec<Event> {
        match self.fetch.reply(id, reply) {
            None => Vec::new(),
            Some(Fetched::File { text, etag }) => {
                self.work = Some(Work::Begin(text, From::Server { etag }));
                Vec::new()
            }
            Some(Fetched::Unchanged) => {
                self.succeeded();
                Vec::new()
            }
            Some(Fetched::Failed { status: Some(412), .. }) if self.gathering.take().is_some() => {
                self.missed_fetch("the list changed while its pages were fetched", remote, now)
            }
            Some(Fetched::Failed { why, .. }) => self.missed_fetch(&why, remote, now),
        }
    }

    /// One slice of the work.
    pub(crate) fn slice(&mut self, world: &mut World<'_>, now: UnixTime) -> Vec<Event> {
        match self.work.take() {
            None => Vec::new(),
            Some(Work::Begin(text, from)) => self.begin(text, from, world, now),
            Some(Work::Read(mut document, from)) => {
                let max = world.remote.max_entries;
                let gathered = self.gathering.as_ref().map_or(0, |gathering| gathering.facts);
                let is_full = document.head().since.is_none();
                // While a full list is merged, what it replaces is still there.
                let facts = if is_full { max.saturating_mul(2) } else { max };
                let bounds = Bounds { lines: max.saturating_sub(gathered), facts };
                let step = document.step(world.content, bounds);
                self.broken |= is_full && document.is_committing();
                match step {
                    Ok(true) => {
                        self.work = Some(Work::Read(document, from));
                        Vec::new()
                    }
                    Ok(false) => self.taken(*document, from, world, now),
                    Err(error) => {
                        self.broken |= document.is_committing();
                        world.content.abandon();
                        self.gathering = None;
                        self.refuse(&error, from, world.remote, now)
                    }
                }
            }
            Some(Work::Sweep) => {
                let signed_at = self.list.as_ref().map(|list| list.issued_at).unwrap_or_default();
                let more = world.content.tidy(TIDY_SLICE, signed_at, true);
                self.work = more.then_some(Work::Sweep);
                Vec::new()
            }
        }
    }

    /// Reads what another worker shared, if it leads on from here.
    fn look(&mut self, now: UnixTime) {
        let (Some(list), false) = (&self.list, self.broken) else { return };
        let Some(notice) = Notice::read(&self.shared) else { return };
        if !notice.is_newer(list.sequence, list.issued_at) {
            return;
        }
        let from = [list.sequence, notice.since].into_iter().filter(|since| *since <= list.sequence);
        let shared = from.filter(|_| self.passed != Some(notice));
        // Where a server has full lists only, nothing leads on; what stands there is of the time when this
        // list was signed again.
        let mut shared = shared.filter_map(|since| relay::changes(&self.shared, since));
        match shared.find(|(to, ..)| to.is_newer(list.sequence, list.issued_at)) {
            Some((_, etag, text)) => {
                self.work = Some(Work::Begin(text, From::Worker { notice, etag }));
            }
            None if notice.sequence > list.sequence && !self.behind => {
                self.behind = true;
                let spread = i64::try_from(self.next_chance() % 100).unwrap_or_default();
                self.retry_at = self.retry_at.max(now.plus_millis(spread));
            }
            None => {}
        }
    }

    /// Without a way on from what is known, a worker fetches whoever has the lease.
    fn may_fetch(&mut self, remote: &RemoteFeed, now: UnixTime) -> bool {
        if self.list.is_none() || self.broken || self.behind || self.gathering.is_some() {
            let may = now >= self.retry_at;
            if may {
                self.retry_at = now.plus_millis(self.jittered(i64::from(remote.interval_ms)));
            }
            return may;
        }
        let interval_ms = self.jittered(i64::from(remote.interval_ms));
        self.lease.take(&self.shared, "lease", interval_ms, now)
    }

    /// Asks for what is new, or for the next page.
    fn fetch(&mut self, world: &mut World<'_>, now: UnixTime) -> Event {
        let header = |name: &str, value: &str| (name.to_owned(), value.to_owned());
        let (mut query, mut known, mut headers) = (None, None, Vec::new());
        if let Some(gathering) = &self.gathering {
            query = Some(format!("page={}", gathering.next));
            // A weak one is never matched (RFC 9110 section 13.1.1); the heads tell, too.
            let strong = gathering.etag.as_ref().filter(|etag| !etag.starts_with("W/"));
            headers.extend(strong.map(|etag| header("if-match", etag)));
        } else if let (Some(etag), Some(_), false) = (&self.etag, &self.list, self.broken) {
            known = Some(etag.clone());
            headers.push(header("a-im", DELTA));
        }
        let timeout_ms = world.remote.timeout_ms;
        let ask = Ask { query, known, headers, timeout_ms, max_body: MAX_BODY };
        self.fetch.begin((world.next_id)(), ask, now)
    }

    /// What to do with a document, by its head.
    fn begin(&mut self, text: Vec<u8>, from: From, world: &mut World<'_>, now: UnixTime) -> Vec<Event> {
        let head = signed::split(&text)
            .and_then(|(line, _)| FeedHead::read(self.kind, line, &world.source.keys, world.verifier))
            .and_then(|head| self.admit(&head, now).map(|()| head));
        let head = match head {
            Ok(head) => head,
            Err(error) => {
                // Of another list, or of none: this one does not go on.
                self.gathering = None;
                return self.refuse(&error, from, world.remote, now);
            }
        };
        let known = self.list.as_ref().filter(|_| !self.broken).map(|list| list.sequence);
        match head.since {
            // It says that the list is still what it was; its head is all that is needed to know that.
            _ if known == Some(head.sequence) && self.gathering.is_none() => {
                self.renewed(&head, from, &text);
                return Vec::new();
            }
            // Overtaken by what another worker shared.
            Some(_) if known.is_some_and(|known| head.sequence < known) => {
                self.nothing_new(&from);
                return Vec::new();
            }
            // Each line stands for itself, so what is known of these changes does no harm.
            Some(since) if known.is_some_and(|known| since <= known) => {}
            Some(since) => {
                self.etag = None;
                let why = format!("changes of the sequence {since} came, which is not what is known");
                return self.failed(&why, world.remote, now);
            }
            None if head.page == 1 => world.content.begin_full(),
            None => {}
        }
        match Document::begin(text, head) {
            Ok(document) => {
                self.work = Some(Work::Read(Box::new(document), from));
                Vec::new()
            }
            Err(error) => {
                self.gathering = None;
                self.refuse(&error, from, world.remote, now)
            }
        }
    }

    /// The rules on a head whose signature is good.
    fn admit(&self, head: &FeedHead, now: UnixTime) -> Result<(), FileError> {
        // How old it may be is a question for each request: an old list is better than none.
        head.judge_times(None, now)?;
        let fits = match &self.gathering {
            Some(gathering) => head.page == gathering.next && head.is_page_with(&gathering.head),
            None => head.page == 1,
        };
        if !fits {
            let message = format!("page {} of {} is not the one that was asked for", head.page, head.pages);
            return Err(FileError::new(FileFault::Malformed, "line 1", message));
        }
        let known = self.list.as_ref();
        if head.since.is_some() && known.is_some() {
            // Changes lead on from what is known, or are not taken.
            return Ok(());
        }
        let digest = (head.since.is_none() && head.page == 1).then_some(head.digest);
        let offer = Offer { name: self.kind.as_str(), sequence: head.sequence, digest };
        self.floor.admit(offer, known.map(|list| (list.sequence, list.digest)), &self.shared)
    }

    /// The list that is known was signed again.
    fn renewed(&mut self, head: &FeedHead, from: From, text: &[u8]) {
        let Some(list) = self.list.as_mut().filter(|list| head.issued_at > list.issued_at) else {
            return self.nothing_new(&from);
        };
        let digest = list.digest.or(head.since.is_none().then_some(head.digest));
        *list = List { digest, ..List::of(head) };
        if let (From::Server { etag }, Ok((line, _))) = (&from, signed::split(text)) {
            self.share(head, head.sequence, etag.as_deref(), &[line, b"\n"].concat());
        }
        self.judged(from);
    }

    /// A good document that tells nothing that is not known.
    fn nothing_new(&mut self, from: &From) {
        match from {
            From::Worker { notice, .. } => self.passed = Some(*notice),
            From::Server { .. } => self.succeeded(),
        }
    }

    /// All facts of a document count.
    fn taken(&mut self, document: Document, from: From, world: &mut World<'_>, now: UnixTime) -> Vec<Event> {
        let head = document.head().clone();
        if let Some(since) = head.since {
            self.list = Some(List::of(&head));
            self.floor.raise(head.sequence, None, &self.shared);
            if let From::Server { etag } = &from {
                self.share(&head, since, etag.as_deref(), &document.into_text());
            }
            self.judged(from);
            // There may be more.
            self.look(now);
            return Vec::new();
        }
        let gathered = self.gathering.take();
        let facts = gathered.as_ref().map_or(0, |gathering| gathering.facts);
        let facts = facts.saturating_add(document.lines());
        let (first, etag) = match (gathered, &from) {
            (Some(gathering), _) => (gathering.head, gathering.etag),
            (None, From::Server { etag } | From::Worker { etag, .. }) => (head.clone(), etag.clone()),
        };
        if head.page < head.pages {
            self.gathering = Some(Gathering { head: first, etag, next: head.page.saturating_add(1), facts });
            return vec![self.fetch(world, now)];
        }
        self.floor.raise(first.sequence, Some(first.digest), &self.shared);
        self.list = Some(List { digest: Some(first.digest), ..List::of(&first) });
        self.broken = false;
        let FeedHead { sequence, issued_at, .. } = first;
        Notice { sequence, issued_at, since: sequence }.announce(&self.shared);
        self.work = Some(Work::Sweep);
        world.content.begin_tidy();
        self.judged(From::Server { etag });
        let message = format!(
            "the full list of {} (sequence {}, {facts} entries) is in force",
            self.kind, first.sequence
        );
        self.said = None;
        vec![Event::Warn(message)]
    }

    /// Lets the other workers know. `text` leads from `since` to where its head is.
    fn share(&self, head: &FeedHead, since: u64, etag: Option<&str>, text: &[u8]) {
        let notice = Notice { sequence: head.sequence, issued_at: head.issued_at, since };
        notice.share(&self.shared, etag, text);
    }

    /// There is no need to see this document again.
    fn judged(&mut self, from: From) {
        self.etag = match from {
            From::Server { etag } | From::Worker { etag, .. } => etag,
        };
        self.succeeded();
    }

    fn succeeded(&mut self) {
        self.misses = 0;
        self.behind = false;
    }

    fn refuse(&mut self, error: &FileError, from: From, remote: &RemoteFeed, now: UnixTime) -> Vec<Event> {
        self.fetch.refused(error.fault());
        if let From::Worker { notice, .. } = from {
            self.passed = Some(notice);
        }
        let message = format!("a list of {} is refused, what was in force stays: {error}", self.kind);
        self.missed(message, remote, now)
    }

    fn failed(&mut self, why: &str, remote: &RemoteFeed, now: UnixTime) -> Vec<Event> {
        self.fetch.failed();
        self.missed_fetch(why, remote, now)
    }

    fn missed_fetch(&mut self, why: &str, remote: &RemoteFeed, now: UnixTime) -> Vec<Event> {
        self.missed(format!("the {} can't be fetched: {why}", self.kind), remote, now)
    }

    /// Waits longer with each time, and warns, but not of the same again and again.
    fn missed(&mut self, message: String, remote: &RemoteFeed, now: UnixTime) -> Vec<Event> {
        let interval = i64::from(remote.interval_ms);
        let doubled = interval.saturating_mul(1_i64.checked_shl(self.misses.min(8)).unwrap_or(1));
        self.misses = self.misses.saturating_add(1);
        let wait = doubled.min(MAX_BACKOFF_MS.max(interval));
        self.retry_at = now.plus_millis(self.jittered(wait));
        let known = self.said.as_ref().filter(|(said, _)| *said == message);
        if known.is_some_and(|(_, at)| now.secs().saturating_sub(at.secs()) < QUIET_S) {
            return Vec::new();
        }
        self.said = Some((message.clone(), now));
        vec![Event::Warn(message)]
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
}

impl List {
    fn of(head: &FeedHead) -> Self {
        let FeedHead { sequence, issued_at, expires_at, key, .. } = *head;
        Self { sequence, issued_at, expires_at, digest: None, key }
    }
}

fn place(RemoteFeed { cluster, host, path, .. }: &RemoteFeed) -> Place {
    Place { cluster: cluster.clone(), host: host.clone(), path: path.clone() }
}
