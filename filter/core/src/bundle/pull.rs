//! Bundles that come from a server: fetched once for all workers, prepared in slices, and the one in
//! force kept while there is no better one.
//!
//! One worker at a time holds the lease to fetch. What it fetched and put in force it shares in
//! chunks; the others read it as strictly as if they had fetched it themselves. No bundle is taken
//! that is older than one that was in force: the floor is shared, too, so that a VM that starts anew
//! knows it.

mod relay;

use super::{Bundle, BundleHead, Origin, Preparation, Progress};
use crate::base::time::UnixTime;
use crate::config::{Limits, RemoteBundle};
use crate::http::call::{FetchId, Reply};
use crate::jose::keys::KeySet;
use crate::jose::signature::SignatureVerifier;
use crate::sync::fetch::{Ask, Fetch, FetchStats, Fetched, Place};
use crate::sync::floor::Floor;
use crate::sync::lease::Lease;
use crate::sync::shared::Shared;
use crate::sync::signed::{FileError, FileFault};
use crate::sync::Event;
use relay::{Gathering, Notice, Sharing};

/// How often a worker looks at what another may have fetched, in seconds.
const LOOK_S: i64 = 1;

/// Where bundles come from that the configuration does not hold, and what makes one good.
#[derive(Debug, Default)]
pub(crate) struct BundleSource {
    pub(crate) remote: Option<RemoteBundle>,
    /// Of those who may sign.
    pub(crate) keys: KeySet,
    pub(crate) max_stale_s: Option<i64>,
}

/// How good the bundle of a worker is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum BundleState {
    /// There is none: requests are refused.
    Missing,
    /// It decides.
    Serving,
    /// It has expired, or is too old: requests are refused.
    Stale,
}

/// Figures of the bundle in one worker.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BundleStats {
    /// How good it is.
    pub state: BundleState,
    /// Number and time of signing of the one in force, if it is signed.
    pub signed: Option<(u64, UnixTime)>,
    /// What came of fetches.
    pub fetches: FetchStats,
}

/// Everything about bundles from one server, in one worker.
pub(crate) struct Puller {
    fetch: Fetch,
    shared: Shared,
    lease: Lease,
    look_at: UnixTime,
    work: Option<Work>,
    floor: Floor,
    /// Of the last file that was judged for good.
    etag: Option<String>,
    /// What another worker shared and this one refused.
    refused_notice: Option<Notice>,
    /// The bundle in force came from the server, and was built under these limits.
    in_force: Option<Limits>,
}

/// What is done in slices.
enum Work {
    Gather(Gathering),
    Begin(Vec<u8>, From),
    Prepare(Box<Preparation>, From),
    Share(Sharing),
}

/// Where the text of a bundle came from.
enum From {
    Server { etag: Option<String> },
    Worker(Notice),
}

/// What is in force besides the puller.
pub(crate) struct World<'w> {
    pub(crate) source: &'w BundleSource,
    pub(crate) limits: &'w Limits,
    pub(crate) verifier: &'w dyn SignatureVerifier,
    pub(crate) bundle: &'w mut Bundle,
}

/// What came of a slice.
#[derive(Default)]
pub(crate) struct Slice {
    pub(crate) events: Vec<Event>,
    /// Was put in force.
    pub(crate) swapped: bool,
    /// What is to be taken apart: what was in force until now, or did not get there.
    pub(crate) remains: Option<Bundle>,
}

impl Puller {
    /// `digest` is that of the parts of the configuration that credentials are judged by: workers share
    /// what they fetched under one.
    pub(crate) fn new(remote: &RemoteBundle, shared: &Shared, digest: &[u8; 32]) -> Self {
        Self {
            fetch: Fetch::new(place(remote)),
            shared: relay::entries(shared, digest, remote),
            lease: Lease::default(),
            look_at: UnixTime::default(),
            work: None,
            floor: Floor::default(),
            etag: None,
            refused_notice: None,
            in_force: None,
        }
    }

    /// Whether this is the puller for the server.
    pub(crate) fn is_for(&self, remote: &RemoteBundle) -> bool {
        self.fetch.is_of(&place(remote))
    }

    /// A new configuration with the same server. Whether the bundle in force stays: it came from the
    /// server, its key may still sign, and what the configuration holds is not newer. Under other
    /// limits it goes on deciding until it is built again.
    pub(crate) fn configure(
        &mut self,
        source: &BundleSource,
        shared: &Shared,
        digest: &[u8; 32],
        old: &Bundle,
        new: &Bundle,
    ) -> bool {
        if let Some(remote) = &source.remote {
            self.shared = relay::entries(shared, digest, remote);
            self.floor.publish(&self.shared);
        }
        self.work = None;
        self.fetch.forget();
        self.etag = None;
        self.refused_notice = None;
        let Some(head) = old.head().filter(|_| self.in_force.is_some()) else { return false };
        let newer = new.head().is_some_and(|new| new.sequence > head.sequence);
        let keeps = source.keys.holds(&head.key) && !newer;
        if !keeps {
            self.in_force = None;
        }
        keeps
    }

    /// The clock went back: what was counted by the old time means nothing.
    pub(crate) fn clock_stepped(&mut self, now: UnixTime) {
        self.lease.clock_stepped(now);
        self.look_at = now;
        self.fetch.forget();
    }

    pub(crate) fn stats(&self, bundle: &Bundle, max_stale_s: Option<i64>, now: UnixTime) -> BundleStats {
        let state = match (&bundle.origin, bundle.serves_at(now, max_stale_s)) {
            (Origin::Absent, _) => BundleState::Missing,
            (_, Ok(())) => BundleState::Serving,
            (_, Err(_)) => BundleState::Stale,
        };
        BundleStats {
            state,
            signed: bundle.head().map(|head| (head.sequence, head.issued_at)),
            fetches: self.fetch.stats().clone(),
        }
    }

    /// Whether there is work for [`Self::slice`].
    pub(crate) const fn is_busy(&self) -> bool {
        self.work.is_some()
    }

    /// Looks at what others fetched, and fetches if it is this worker's turn.
    pub(crate) fn tick(
        &mut self,
        world: &World<'_>,
        next_id: &mut dyn FnMut() -> FetchId,
        now: UnixTime,
    ) -> Vec<Event> {
        let Some(remote) = &world.source.remote else { return Vec::new() };
        let waits = world.bundle.origin == Origin::Absent;
        let is_open = self.fetch.is_open(remote.timeout_ms, now);
        if self.is_busy() || is_open || (now < self.look_at && !waits) {
            return Vec::new();
        }
        self.look_at = now.plus_secs(LOOK_S);
        if let Some(notice) = Notice::read(&self.shared) {
            let is_new = match world.bundle.head() {
                Some(head) => notice.is_newer(head) || (self.must_rebuild(world) && notice.is_of(head)),
                None => true,
            };
            if is_new && self.refused_notice.as_ref() != Some(&notice) && notice.length <= remote.max_bytes {
                self.work = Some(Work::Gather(Gathering::of(notice)));
                return Vec::new();
            }
        }
        if !self.lease.take(&self.shared, "lease", remote.interval_s.saturating_mul(1_000), now) {
            return Vec::new();
        }
        let ask = Ask {
            query: None,
            known: self.etag.clone().filter(|_| !waits && !self.must_rebuild(world)),
            headers: Vec::new(),
            timeout_ms: remote.timeout_ms,
            max_body: remote.max_bytes,
        };
        vec![self.fetch.begin(next_id(), ask, now)]
    }

    /// Takes the reply to a fetch of this puller's.
    pub(crate) fn fetched(&mut self, id: FetchId, reply: Reply) -> Vec<Event> {
        match self.fetch.reply(id, reply) {
            None | Some(Fetched::Unchanged) => {}
            Some(Fetched::File { text, etag }) => self.work = Some(Work::Begin(text, From::Server { etag })),
            Some(Fetched::Failed { why, .. }) => {
                return vec![Event::Warn(format!("the bundle can't be fetched: {why}"))]
            }
        }
        Vec::new()
    }

    /// One slice of the work.
    pub(crate) fn slice(&mut self, world: World<'_>, now: UnixTime) -> Slice {
        let mut slice = Slice::default();
        match self.work.take() {
            None => {}
            Some(Work::Gather(mut gathering)) => match gathering.step(&self.shared) {
                // The one who shares has put another one there, or somebody else has.
                None => self.refused_notice = Some(gathering.notice),
                Some(false) => self.work = Some(Work::Gather(gathering)),
                Some(true) => {
                    self.work = Some(Work::Begin(gathering.text, From::Worker(gathering.notice)));
                }
            },
            Some(Work::Begin(text, from)) => {
                let begun = Preparation::begin(text, &world.source.keys, world.verifier, world.limits);
                match begun.and_then(|begun| self.admit(begun.head(), &world, now).map(|()| begun)) {
                    // The server sends it again and again.
                    Ok(begun) if world.bundle.head() == Some(begun.head()) && !self.must_rebuild(&world) => {
                        self.judged(from);
                    }
                    Ok(begun) => self.work = Some(Work::Prepare(Box::new(begun), from)),
                    Err(error) => self.refuse(&error, from, &mut slice),
                }
            }
            Some(Work::Prepare(mut preparation, from)) => {
                let known =
                    world.bundle.head().filter(|_| !self.must_rebuild(&world)).map(|head| head.digest);
                match preparation.step(known) {
                    Ok(Progress::More) => self.work = Some(Work::Prepare(preparation, from)),
                    Ok(Progress::Same) => {
                        world.bundle.origin = Origin::Signed(preparation.head().clone());
                        self.adopted(*preparation, from, world.limits, &mut slice);
                    }
                    Ok(Progress::Built(bundle)) => {
                        // Whole, at once: a decision sees the one or the other.
                        slice.remains = Some(std::mem::replace(world.bundle, bundle));
                        slice.swapped = true;
                        self.adopted(*preparation, from, world.limits, &mut slice);
                    }
                    Err(error) => {
                        slice.remains = preparation.remains.take();
                        self.refuse(&error, from, &mut slice);
                    }
                }
            }
            Some(Work::Share(mut sharing)) => {
                let more = sharing.step(&self.shared);
                self.work = more.then_some(Work::Share(sharing));
            }
        }
        slice
    }

    /// The rules on a head whose signature is good.
    fn admit(&self, head: &BundleHead, world: &World<'_>, now: UnixTime) -> Result<(), FileError> {
        head.judge_times(now, world.source.max_stale_s)?;
        let current = world.bundle.head().map(|head| (head.sequence, Some(head.digest)));
        self.floor.admit(head.offer(), current, &self.shared)
    }

    fn adopted(&mut self, preparation: Preparation, from: From, limits: &Limits, slice: &mut Slice) {
        let head = preparation.head().clone();
        self.in_force = Some(limits.clone());
        self.floor.raise(head.sequence, Some(head.digest), &self.shared);
        let message = format!("the bundle `{}` (sequence {}) is in force", head.revision, head.sequence);
        slice.events.push(Event::Warn(message));
        if let From::Server { etag } = &from {
            self.work = Some(Work::Share(Sharing::of(&head, etag.as_deref(), preparation.into_text())));
        }
        self.judged(from);
    }

    /// There is no need to see this file again.
    fn judged(&mut self, from: From) {
        self.etag = match from {
            From::Server { etag } => etag,
            From::Worker(notice) => notice.etag,
        };
    }

    fn refuse(&mut self, error: &FileError, from: From, slice: &mut Slice) {
        self.fetch.refused(error.fault());
        let message = format!("a bundle is refused, what was in force stays: {error}");
        slice.events.push(Event::Warn(message));
        // What is wrong with these may be right later.
        let passes = matches!(error.fault(), FileFault::NotYetValid | FileFault::Unverifiable);
        match from {
            From::Server { .. } if passes => self.etag = None,
            From::Worker(_) if passes => {}
            From::Worker(notice) => self.refused_notice = Some(notice),
            From::Server { etag } => self.etag = etag,
        }
    }

    /// The one in force was built under limits that are gone.
    fn must_rebuild(&self, world: &World<'_>) -> bool {
        self.in_force.as_ref().is_some_and(|limits| limits != world.limits)
    }
}

fn place(RemoteBundle { cluster, host, path, .. }: &RemoteBundle) -> Place {
    Place { cluster: cluster.clone(), host: host.clone(), path: path.clone() }
}
