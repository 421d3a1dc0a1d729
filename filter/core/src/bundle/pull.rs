//! Bundles that come from a server: fetched once for all workers, prepared in slices, and the one in
//! force kept while there is no better one.
//!
//! One worker at a time holds the lease to fetch. What it fetched and put in force it shares in
//! chunks; the others read it as strictly as if they had fetched it themselves. No bundle is taken
//! that is older than one that was in force: that is shared, too, so that a VM that starts anew
//! knows it.

use super::{Bundle, BundleHead, Origin, Preparation, Progress};
use crate::base::time::UnixTime;
use crate::config::{Limits, RemoteBundle};
use crate::jose::keys::KeySet;
use crate::jose::signature::SignatureVerifier;
use crate::sync::follower::{Answer, Ask, Follower, Link, Server, Source};
use crate::sync::relay::{self, Notice, Sender};
use crate::sync::rollback::RollbackProtection;
use crate::sync::shared::Shared;
use crate::sync::signed::{FileError, FileFault};

/// Bytes of one chunk: shared data copies whole entries, and none may take long.
const CHUNK: usize = 64 * 1024;

/// Where bundles come from that the configuration does not hold, and what makes one good.
#[derive(Debug, Default)]
pub(crate) struct BundleSource {
    pub(crate) remote: Option<RemoteBundle>,
    /// Of those who may sign.
    pub(crate) keys: KeySet,
    pub(crate) max_stale_s: Option<i64>,
}

/// Everything about bundles from one server, in one worker.
#[derive(Default)]
pub(crate) struct Puller {
    work: Option<Work>,
    rollback: RollbackProtection,
    /// Of the last file that was judged for good.
    etag: Option<String>,
    /// What another worker shared and this one refused.
    refused: Option<Notice>,
    /// The bundle in force came from the server, and was built under these limits.
    in_force: Option<Limits>,
}

/// What is done in slices.
enum Work {
    /// A text on its way out of shared data.
    Gather {
        notice: Notice,
        text: Vec<u8>,
    },
    Begin(Vec<u8>, Sender),
    Prepare(Box<Preparation>, Sender),
    /// A text on its way into shared data.
    Share {
        notice: Notice,
        text: Vec<u8>,
        chunk: usize,
    },
}

/// What is in force besides the puller.
pub(crate) struct World<'w> {
    pub(crate) source: &'w BundleSource,
    pub(crate) limits: &'w Limits,
    pub(crate) verifier: &'w dyn SignatureVerifier,
    pub(crate) bundle: &'w mut Bundle,
    /// Another one was put in force.
    pub(crate) swapped: bool,
    /// What is to be taken apart: what was in force until now, or did not get there.
    pub(crate) remains: &'w mut Vec<Bundle>,
}

/// The server of a bundle.
pub(crate) fn server(remote: &RemoteBundle) -> Server {
    let RemoteBundle { cluster, host, path, interval_s, timeout_ms, max_bytes } = remote;
    Server {
        cluster: cluster.clone(),
        host: host.clone(),
        path: path.clone(),
        accept: "application/x-ndjson",
        timeout_ms: **timeout_ms,
        interval_ms: interval_s.saturating_mul(1_000),
        max_body: **max_bytes,
    }
}

impl Puller {
    /// The rules on a head whose signature is good.
    fn admit(
        &self,
        head: &BundleHead,
        link: &Link,
        world: &World<'_>,
        now: UnixTime,
    ) -> Result<(), FileError> {
        head.judge_times(world.source.max_stale_s, now)?;
        let current = world.bundle.head().map(|head| (head.sequence, Some(head.digest)));
        self.rollback.admit(head.offer(), current, &link.shared)
    }

    fn adopted(&mut self, preparation: Preparation, sender: Sender, link: &mut Link, limits: &Limits) {
        let head = preparation.head().clone();
        self.in_force = Some(limits.clone());
        self.rollback.raise(head.sequence, Some(head.digest), &link.shared);
        let BundleHead { sequence, issued_at, about, .. } = head;
        link.now_in_force(format!("the bundle `{}` (sequence {sequence}) is in force", about.revision));
        if let Sender::Server { etag } = &sender {
            let text = preparation.file.into_text();
            let number = u64::try_from(text.len()).unwrap_or(u64::MAX);
            let notice = Notice { sequence, issued_at, number, etag: etag.clone() };
            self.work = Some(Work::Share { notice, text, chunk: 0 });
        }
        self.etag = sender.etag().clone();
    }

    fn refuse(&mut self, error: &FileError, sender: Sender, link: &mut Link, now: UnixTime) {
        let message = format!("a bundle is refused, what was in force stays: {error}");
        link.refused(error.fault(), message, now);
        // What is wrong with these may be right later.
        let passes = matches!(error.fault(), FileFault::NotYetValid | FileFault::Unverifiable);
        match sender {
            Sender::Server { .. } if passes => self.etag = None,
            Sender::Worker { .. } if passes => {}
            Sender::Worker { notice, .. } => self.refused = Some(notice),
            Sender::Server { etag } => self.etag = etag,
        }
    }

    /// The one in force was built under limits that are gone.
    fn must_rebuild(&self, world: &World<'_>) -> bool {
        self.in_force.as_ref().is_some_and(|limits| limits != world.limits)
    }

    /// One slice of a preparation.
    fn prepare(
        &mut self,
        mut preparation: Box<Preparation>,
        sender: Sender,
        link: &mut Link,
        world: &mut World<'_>,
        now: UnixTime,
    ) {
        let known = world.bundle.head().filter(|_| !self.must_rebuild(world)).map(|head| head.digest);
        match preparation.step(known) {
            Ok(Progress::More) => self.work = Some(Work::Prepare(preparation, sender)),
            // The server sends it again and again.
            Ok(Progress::Same) if world.bundle.head() == Some(preparation.head()) => {
                self.etag = sender.etag().clone();
            }
            Ok(Progress::Same) => {
                world.bundle.origin = Origin::Signed(preparation.head().clone());
                self.adopted(*preparation, sender, link, world.limits);
            }
            Ok(Progress::Built(bundle)) => {
                // Whole, at once: a decision sees the one or the other.
                world.remains.push(std::mem::replace(world.bundle, bundle));
                world.swapped = true;
                self.adopted(*preparation, sender, link, world.limits);
            }
            Err(error) => {
                world.remains.extend(preparation.remains.take());
                self.refuse(&error, sender, link, now);
            }
        }
    }
}

impl Source for Puller {
    type World<'w> = World<'w>;

    fn name(&self) -> String {
        "the bundle".to_owned()
    }

    fn is_busy(&self) -> bool {
        self.work.is_some()
    }

    fn look(&mut self, link: &mut Link, world: &mut World<'_>, now: UnixTime) {
        let waits = world.bundle.origin == Origin::Absent;
        if link.is_open() || !link.is_time_to_look(waits, now) {
            return;
        }
        let Some(notice) = Notice::newest(&link.shared) else { return };
        let is_new = world.bundle.head().is_none_or(|head| {
            let known = (head.sequence, head.issued_at);
            notice.age() > known || (self.must_rebuild(world) && notice.age() == known)
        });
        let fits = usize::try_from(notice.number).is_ok_and(|length| length <= link.server().max_body);
        if is_new && fits && self.refused.as_ref() != Some(&notice) {
            self.work = Some(Work::Gather { notice, text: Vec::new() });
        }
    }

    fn turn(&mut self, link: &mut Link, world: &mut World<'_>, now: UnixTime) -> Option<Ask> {
        let is_stale = world.bundle.origin == Origin::Absent || self.must_rebuild(world);
        let known = self.etag.clone().filter(|_| !is_stale);
        link.has_lease(false, now).then(|| Ask { known, ..Ask::default() })
    }

    fn take(&mut self, _: &mut Link, answer: Answer, _: UnixTime) -> Result<Option<Ask>, String> {
        self.work = Some(Work::Begin(answer.text, Sender::Server { etag: answer.etag }));
        Ok(None)
    }

    fn slice(&mut self, link: &mut Link, world: &mut World<'_>, now: UnixTime) -> Option<Ask> {
        match self.work.take()? {
            Work::Gather { notice, mut text } => {
                let length = usize::try_from(notice.number).unwrap_or_default();
                let chunk = text.len().checked_div(CHUNK).unwrap_or_default();
                let found = relay::get(&link.shared, &name(chunk)).filter(|(of, more)| {
                    let rest = length.saturating_sub(text.len());
                    *of == notice && !more.is_empty() && more.len() == rest.min(CHUNK)
                });
                match found {
                    // The one who shares has put another one there, or somebody else has.
                    None => self.refused = Some(notice),
                    Some((_, more)) => {
                        text.extend(more);
                        self.work = Some(if text.len() < length {
                            Work::Gather { notice, text }
                        } else {
                            Work::Begin(text, Sender::Worker { etag: notice.etag.clone(), notice })
                        });
                    }
                }
            }
            Work::Begin(text, sender) => {
                let begun = Preparation::begin(text, &world.source.keys, world.verifier, world.limits);
                match begun.and_then(|begun| self.admit(begun.head(), link, world, now).map(|()| begun)) {
                    Ok(begun) => self.work = Some(Work::Prepare(Box::new(begun), sender)),
                    Err(error) => self.refuse(&error, sender, link, now),
                }
            }
            Work::Prepare(preparation, sender) => self.prepare(preparation, sender, link, world, now),
            Work::Share { notice, text, chunk } => match text.chunks(CHUNK).nth(chunk) {
                None => notice.publish(&link.shared),
                // Where it can't be shared, the others fetch for themselves.
                Some(bytes) => {
                    if relay::put(&link.shared, &name(chunk), &notice, bytes) {
                        self.work = Some(Work::Share { notice, text, chunk: chunk.saturating_add(1) });
                    }
                }
            },
        }
        None
    }
}

impl Follower<Puller> {
    /// A new configuration with the same server. Whether the bundle in force stays: it came from the
    /// server, its key may still sign, and what the configuration holds is not newer. Under other
    /// limits it goes on deciding until it is built again.
    pub(crate) fn reconfigure(
        &mut self,
        source: &BundleSource,
        server: Server,
        shared: Shared,
        (old, new): (&Bundle, &Bundle),
    ) -> bool {
        let (puller, shared) = self.configure(server, shared);
        puller.rollback.publish(shared);
        puller.work = None;
        puller.etag = None;
        puller.refused = None;
        let Some(head) = old.head().filter(|_| puller.in_force.is_some()) else { return false };
        let newer = new.head().is_some_and(|new| new.sequence > head.sequence);
        let keeps = source.keys.holds(&head.key) && !newer;
        if !keeps {
            puller.in_force = None;
        }
        keeps
    }
}

fn name(chunk: usize) -> String {
    format!("chunk/{chunk}")
}
