//! One feed in one worker: asks the server for changes under a lease that all workers share, reads what the others were
//! told, and fetches the full list where there is no way from here to there.
//!
//! A document is taken if its signature is good and it leads on from what is known. How fresh the list
//! is follows from when its server signed it, so an answer that nothing has changed renews nothing.

use super::document::{self, too_many, Document};
use super::head::{FeedHead, FeedPart};
use super::list::{Gathering, List};
use super::relay;
use super::source::World;
use crate::base::freshness::Freshness;
use crate::base::time::UnixTime;
use crate::facts::content::FeedKind;
use crate::sync::follower::{Answer, Ask, Follower, Link, Server, Source};
use crate::sync::relay::{Notice, Sender};
use crate::sync::rollback::{Offer, RollbackProtection};
use crate::sync::shared::Shared;
use crate::sync::signed::{FileError, FileFault};

/// Facts that count after one slice.
const COMMIT_SLICE: usize = 500;
/// Facts that are looked at in one slice.
const TIDY_SLICE: usize = 1_000;
/// How far, in milliseconds, workers spread that have no way on from what they know.
const SPREAD_MS: u64 = 100;

/// Everything about one feed from a server, in one worker.
pub(crate) struct Feed {
    kind: FeedKind,
    rollback: RollbackProtection,
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
}

/// What is done in slices.
enum Work {
    Begin(Vec<u8>, Sender),
    /// Is it what was signed?
    Hash(Box<Document>),
    Read(Box<Document>),
    Commit(Box<Document>),
    /// A full list is complete: what it did not name goes.
    Sweep,
}

impl Feed {
    pub(crate) fn new(kind: FeedKind) -> Self {
        Self {
            kind,
            rollback: RollbackProtection::default(),
            list: None,
            broken: false,
            behind: false,
            etag: None,
            passed: None,
            gathering: None,
            work: None,
        }
    }

    /// Whether the list is as young as it has to be; if not, why.
    ///
    /// # Errors
    /// There is none, or it is older than `max_age_s`.
    pub(crate) fn is_fresh(&self, max_age_s: i64, now: UnixTime) -> Result<(), String> {
        let Some(list) = &self.list else { return Err(format!("there are no {} yet", self.kind)) };
        list.head.judge_times(Some(max_age_s), now).map_err(|error| error.first())
    }

    /// The same in a word.
    pub(crate) fn freshness(&self, max_age_s: i64, now: UnixTime) -> (Freshness, String) {
        Freshness::of(self.list.is_none(), self.is_fresh(max_age_s, now))
    }

    /// Number and time of signing of the list, if there is one.
    pub(crate) fn signed(&self) -> Option<(u64, UnixTime)> {
        self.list.as_ref().map(|List { head, .. }| (head.sequence, head.issued_at))
    }

    /// The sequence that changes may lead on from.
    fn known(&self) -> Option<u64> {
        self.list.as_ref().filter(|_| !self.broken).map(|list| list.head.sequence)
    }

    /// Whether a document says that the list is still what it was.
    fn is_renewal(&self, head: &FeedHead) -> bool {
        self.known() == Some(head.sequence) && self.gathering.is_none()
    }

    /// What to do with a document that is what was signed, by its head.
    fn judge(&mut self, document: Box<Document>, link: &mut Link, world: &mut World<'_>, now: UnixTime) {
        let FeedHead { sequence, about, .. } = document.file.head();
        let known = self.known();
        match about.since {
            _ if self.is_renewal(document.file.head()) => return self.renewed(*document, link),
            // Overtaken by what another worker shared.
            Some(_) if known.is_some_and(|known| *sequence < known) => {
                return self.nothing_new(document.sender, link);
            }
            // Each line stands for itself, so what is known of these changes does no harm.
            Some(since) if known.is_some_and(|known| since <= known) => {}
            Some(since) => {
                self.etag = None;
                let why = format!("changes of the sequence {since} came, which is not what is known");
                return link.useless(format!("the {} can't be fetched: {why}", self.kind), now);
            }
            None if about.page == 1 => world.content.begin_full(),
            None => {}
        }
        self.work = Some(Work::Read(document));
    }

    /// The rules on a head whose signature is good.
    fn admit(&self, head: &FeedHead, link: &Link, now: UnixTime) -> Result<(), FileError> {
        // How old it may be is a question for each request: an old list is better than none.
        head.judge_times(None, now)?;
        let FeedPart { since, page, pages, .. } = head.about;
        let fits = match &self.gathering {
            Some(gathering) => page == gathering.next && head.is_page_with(&gathering.head),
            None => page == 1,
        };
        if !fits {
            let message = format!("page {page} of {pages} is not the one that was asked for");
            return Err(FileError::new(FileFault::Malformed, "line 1", message));
        }
        let known = self.list.as_ref();
        if since.is_some() && known.is_some() {
            // Changes lead on from what is known, or are not taken.
            return Ok(());
        }
        let digest = (since.is_none() && page == 1).then_some(head.digest);
        let offer = Offer { name: self.kind.as_str(), sequence: head.sequence, digest };
        self.rollback.admit(offer, known.map(|list| (list.head.sequence, list.digest)), &link.shared)
    }

    /// The list that is known was signed again.
    fn renewed(&mut self, Document { file, sender, .. }: Document, link: &mut Link) {
        let head = file.head();
        let Some(list) = self.list.as_mut().filter(|list| head.issued_at > list.head.issued_at) else {
            return self.nothing_new(sender, link);
        };
        let digest = list.digest.or(head.about.since.is_none().then_some(head.digest));
        *list = List { head: head.clone(), digest };
        if let Sender::Server { etag } = &sender {
            relay::share(&link.shared, &notice(head, head.sequence, etag), file.first_line());
        }
        self.judged(&sender, link);
    }

    /// A good document that tells nothing that is not known.
    fn nothing_new(&mut self, sender: Sender, link: &mut Link) {
        match sender {
            Sender::Worker { notice, .. } => self.passed = Some(notice),
            Sender::Server { .. } => self.succeeded(link),
        }
    }

    /// All facts of a document count. What to ask for next.
    fn taken(
        &mut self,
        Document { file, lines, sender }: Document,
        link: &mut Link,
        world: &mut World<'_>,
        now: UnixTime,
    ) -> Option<Ask> {
        let head = file.head().clone();
        if let Some(since) = head.about.since {
            self.rollback.raise(head.sequence, None, &link.shared);
            if let Sender::Server { etag } = &sender {
                relay::share(&link.shared, &notice(&head, since, etag), &file.into_text());
            }
            self.list = Some(List { head, digest: None });
            self.judged(&sender, link);
            // There may be more.
            self.follow_on(link, now);
            return None;
        }
        let FeedPart { page, pages, .. } = head.about;
        let mut gathered = self.gathering.take().unwrap_or_else(|| Gathering {
            head,
            etag: sender.etag().clone(),
            next: 1,
            facts: 0,
        });
        gathered.facts = gathered.facts.saturating_add(lines);
        if page < pages {
            gathered.next = page.saturating_add(1);
            return Some(self.gathering.insert(gathered).ask());
        }
        let Gathering { head, etag, facts, .. } = gathered;
        self.rollback.raise(head.sequence, Some(head.digest), &link.shared);
        // It is too much to be shared: each worker fetches it for itself.
        notice(&head, head.sequence, &None).raise(&link.shared);
        link.now_in_force(format!(
            "the full list of {} (sequence {}, {facts} entries) is in force",
            self.kind, head.sequence
        ));
        self.list = Some(List { digest: Some(head.digest), head });
        self.broken = false;
        self.work = Some(Work::Sweep);
        world.content.begin_tidy();
        self.judged(&Sender::Server { etag }, link);
        None
    }

    /// Reads what another worker shared, if it leads on from here.
    fn follow_on(&mut self, link: &mut Link, now: UnixTime) {
        let (Some(List { head, .. }), false) = (&self.list, self.broken) else { return };
        let age = (head.sequence, head.issued_at);
        let Some(notice) = Notice::newest(&link.shared).filter(|notice| notice.age() > age) else { return };
        let from = [head.sequence, notice.number].into_iter().filter(|since| *since <= head.sequence);
        let shared = from.filter(|_| self.passed.as_ref() != Some(&notice));
        // Where a server has full lists only, nothing leads on; what stands there is of the time when this
        // list was signed again.
        let mut shared = shared.filter_map(|since| relay::changes(&link.shared, since));
        match shared.find(|(to, _)| to.age() > age) {
            Some((to, text)) => {
                self.work = Some(Work::Begin(text, Sender::Worker { notice, etag: to.etag }));
            }
            None if notice.sequence > head.sequence && !self.behind => {
                self.behind = true;
                link.spread_retry(SPREAD_MS, now);
            }
            None => {}
        }
    }

    /// There is no need to see this document again.
    fn judged(&mut self, sender: &Sender, link: &mut Link) {
        self.etag = sender.etag().clone();
        self.succeeded(link);
    }

    fn succeeded(&mut self, link: &mut Link) {
        self.behind = false;
        link.succeeded();
    }

    /// A document is not taken. Of another list, or of none: what was gathered does not go on.
    fn refuse(
        &mut self,
        error: &FileError,
        sender: &Sender,
        link: &mut Link,
        world: &mut World<'_>,
        now: UnixTime,
    ) {
        world.content.abandon();
        self.gathering = None;
        if let Sender::Worker { notice, .. } = sender {
            self.passed = Some(notice.clone());
        }
        let message = format!("a list of {} is refused, what was in force stays: {error}", self.kind);
        link.refused(error.fault(), message, now);
    }
}

impl Source for Feed {
    type World<'w> = World<'w>;

    fn name(&self) -> String {
        format!("the {}", self.kind)
    }

    fn is_busy(&self) -> bool {
        self.work.is_some()
    }

    fn look(&mut self, link: &mut Link, world: &mut World<'_>, now: UnixTime) {
        if let Some(List { head, .. }) = &self.list {
            world.content.tidy(TIDY_SLICE, head.issued_at, false);
        }
        if self.gathering.is_none() {
            self.follow_on(link, now);
        }
    }

    /// Without a way on from what is known, a worker fetches whoever has the lease.
    fn turn(&mut self, link: &mut Link, _: &mut World<'_>, now: UnixTime) -> Option<Ask> {
        let is_lost = self.list.is_none() || self.broken || self.behind || self.gathering.is_some();
        let may = if is_lost { link.may_retry(now) } else { link.has_lease(true, now) };
        may.then(|| match &self.gathering {
            Some(gathering) => gathering.ask(),
            None => {
                let known = self.etag.clone().filter(|_| self.list.is_some() && !self.broken);
                Ask { delta: known.is_some(), known, ..Ask::default() }
            }
        })
    }

    fn take(&mut self, _: &mut Link, answer: Answer, _: UnixTime) -> Result<Option<Ask>, String> {
        self.work = Some(Work::Begin(answer.text, Sender::Server { etag: answer.etag }));
        Ok(None)
    }

    fn unchanged(&mut self) {
        self.behind = false;
    }

    fn failed(&mut self, status: Option<u16>) -> Option<String> {
        (status == Some(412) && self.gathering.take().is_some())
            .then(|| "the list changed while its pages were fetched".to_owned())
    }

    fn slice(&mut self, link: &mut Link, world: &mut World<'_>, now: UnixTime) -> Option<Ask> {
        match self.work.take()? {
            Work::Begin(text, sender) => {
                let file = document::begin(self.kind, text, &world.source.keys, world.verifier)
                    .and_then(|file| self.admit(file.head(), link, now).map(|()| file));
                match file {
                    Ok(file) => self.work = Some(Work::Hash(Box::new(Document { file, lines: 0, sender }))),
                    Err(error) => self.refuse(&error, &sender, link, world, now),
                }
            }
            // Another worker, which has seen all of it, shared its head alone.
            Work::Hash(document) if document.is_of_worker() && self.is_renewal(document.file.head()) => {
                self.judge(document, link, world, now);
            }
            Work::Hash(mut document) => match document.file.hash() {
                Ok(true) => self.work = Some(Work::Hash(document)),
                Ok(false) => self.judge(document, link, world, now),
                Err(error) => self.refuse(&error, &document.sender, link, world, now),
            },
            Work::Read(mut document) => {
                let gathered = self.gathering.as_ref().map_or(0, |gathering| gathering.facts);
                let most = world.max_entries().saturating_sub(gathered);
                match document.read(most, |fact| world.content.stage(fact)) {
                    Ok(true) => self.work = Some(Work::Read(document)),
                    Ok(false) => self.work = Some(Work::Commit(document)),
                    Err(error) => self.refuse(&error, &document.sender, link, world, now),
                }
            }
            Work::Commit(document) => {
                let head = document.file.head();
                let is_full = head.about.since.is_none();
                self.broken |= is_full;
                // While a full list is merged, what it replaces is still there.
                let max = world.max_entries().saturating_mul(if is_full { 2 } else { 1 });
                match world.content.commit(COMMIT_SLICE, head.issued_at, max) {
                    Ok(true) => self.work = Some(Work::Commit(document)),
                    Ok(false) => return self.taken(*document, link, world, now),
                    Err(full) => {
                        self.broken = true;
                        self.refuse(&too_many(&full), &document.sender, link, world, now);
                    }
                }
            }
            Work::Sweep => {
                let signed_at = self.list.as_ref().map(|list| list.head.issued_at).unwrap_or_default();
                let more = world.content.tidy(TIDY_SLICE, signed_at, true);
                self.work = more.then_some(Work::Sweep);
            }
        }
        None
    }
}

impl Follower<Feed> {
    /// A new configuration with the same server. The list stays known if its key may still sign.
    pub(crate) fn reconfigure(&mut self, world: World<'_>, server: Server, shared: Shared) {
        let (feed, shared) = self.configure(server, shared);
        feed.rollback.publish(shared);
        if !matches!(feed.work, Some(Work::Sweep)) {
            world.content.abandon();
            feed.broken |= feed.work.take().is_some() || feed.gathering.take().is_some();
        }
        if feed.list.as_ref().is_some_and(|list| !world.source.keys.holds(&list.head.key)) {
            feed.list = None;
            feed.broken = true;
        }
        feed.etag = None;
        feed.passed = None;
    }
}

/// Tells the other workers of a document that changes `since`.
fn notice(head: &FeedHead, since: u64, etag: &Option<String>) -> Notice {
    Notice { sequence: head.sequence, issued_at: head.issued_at, number: since, etag: etag.clone() }
}
