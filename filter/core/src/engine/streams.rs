//! Admitted requests that are still open. What each of them rests on is in `admission`.
//!
//! Most requests end within milliseconds: they cost one insert and one remove. A stream that is
//! still open after a sweep is *settled*: what is kept of its request is brought down to a few
//! hundred bytes, and it is found by the time at which something is due, and by what its caller can
//! be revoked by. Nothing is decided here; `sweep` does that, in slices.

mod packed;
mod stats;

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use crate::base::reason::Reason;
use crate::base::time::UnixTime;
use crate::engine::admission::{Admission, Deadline, HeldRequest};
use crate::facts::revocations::Handle;
use crate::http::request::StreamId;
use crate::record::StreamEnd;
pub(crate) use packed::{PackedRequest, MAX_PACKED};
pub use stats::{StreamClose, StreamStats};

/// Streams about which decision points are asked at a time: requests need them, too.
const MAX_ASKING: usize = 16;
/// Bytes of all requests that are kept, in order to decide them again. One beyond them is not kept.
pub(crate) const MAX_HELD: usize = 32 * 1024 * 1024;
/// When a cut that the host did not carry out is tried again, in milliseconds.
const CUT_AGAIN_MS: i64 = 1_000;

/// Why a stream is to end before its time.
#[derive(Debug, Clone)]
pub(crate) struct Cut {
    pub(crate) reason: Reason,
    pub(crate) detail: Option<String>,
}

/// A settled stream.
#[derive(Debug)]
struct Settled {
    admission: Box<Admission>,
    /// When something is to be done about it; as in `Streams::due`.
    due: UnixTime,
    cut: Option<Cut>,
    /// A decision point is being asked about it.
    asking: bool,
    /// It was to be decided again meanwhile.
    once_more: bool,
}

/// All open streams of an engine.
#[derive(Debug, Default)]
pub(crate) struct Streams {
    young: BTreeMap<StreamId, Box<Admission>>,
    settled: BTreeMap<StreamId, Settled>,
    /// When to look at each of the settled ones: what it rests on ends, or is to be decided again.
    due: BTreeSet<(UnixTime, StreamId)>,
    /// The settled ones by what revocations find them by.
    index: BTreeSet<(Handle, StreamId)>,
    /// Revoked, and which stream of that to look at next.
    revoked: VecDeque<(Handle, StreamId)>,
    /// About which there is news, and which stream of that to look at next.
    signalled: VecDeque<(Handle, StreamId)>,
    /// While it is looked for revoked ones among the young: the next to be looked at.
    look: Option<StreamId>,
    /// To be cut, in this order.
    cutting: VecDeque<StreamId>,
    /// To be decided again, in this order.
    again: VecDeque<StreamId>,
    /// While it is looked for streams of an older generation: the next to be looked at.
    walk: Option<StreamId>,
    /// How many wait for a decision point.
    asking: usize,
    swept_at: UnixTime,
    /// A sweep has begun, and what is due has not all been seen.
    sweeping: bool,
    /// The youngest stream when the last sweep began, and the one before: up to that one, they settle.
    youngest: (Option<StreamId>, Option<StreamId>),
    stats: StreamStats,
    /// How many bytes of requests are kept.
    held: usize,
}

impl Streams {
    pub(crate) fn insert(&mut self, mut admission: Box<Admission>) {
        // A host that names two streams alike has ended the first one.
        self.remove(admission.stream);
        self.hold(&mut admission);
        self.young.insert(admission.stream, admission);
    }

    fn hold(&mut self, admission: &mut Admission) {
        match self.held.saturating_add(admission.request.bytes()) {
            held @ ..=MAX_HELD => self.held = held,
            _ => admission.request = HeldRequest::Dropped,
        }
    }

    fn let_go(&mut self, admission: &Admission) {
        self.held = self.held.saturating_sub(admission.request.bytes());
    }

    /// Takes out a stream that has ended, with the reason for which it was to end, if there was one.
    pub(crate) fn remove(&mut self, stream: StreamId) -> Option<(Box<Admission>, Option<Cut>)> {
        if let Some(admission) = self.take_one_young(stream) {
            return Some((admission, None));
        }
        let Settled { admission, due, cut, asking, .. } = self.settled.remove(&stream)?;
        self.let_go(&admission);
        self.due.remove(&(due, stream));
        for handle in admission.handles() {
            self.index.remove(&(handle, stream));
        }
        self.asking = self.asking.saturating_sub(usize::from(asking));
        Some((admission, cut))
    }

    pub(crate) fn stats(&self) -> StreamStats {
        StreamStats { open: self.young.len().saturating_add(self.settled.len()), ..self.stats.clone() }
    }

    pub(crate) fn count_end(&mut self, end: StreamEnd) {
        let count = self.stats.ended.entry(end).or_default();
        *count = count.saturating_add(1);
    }

    /// An open stream, with the reason for which it is to end, if there is one.
    pub(crate) fn get(&self, stream: StreamId) -> Option<(&Admission, Option<&Cut>)> {
        let settled = || self.settled.get(&stream).map(|open| (&*open.admission, open.cut.as_ref()));
        self.young.get(&stream).map(|young| (&**young, None)).or_else(settled)
    }

    /// A settled stream that goes on.
    pub(crate) fn get_mut(&mut self, stream: StreamId) -> Option<&mut Admission> {
        let open = self.settled.get_mut(&stream).filter(|open| open.cut.is_none())?;
        Some(&mut open.admission)
    }

    /// Whether there is something to be done now.
    pub(crate) fn is_busy(&self) -> bool {
        let decides = !self.again.is_empty() && self.asking < MAX_ASKING;
        let signalled = !self.signalled.is_empty();
        self.is_looking()
            || signalled
            || self.sweeping
            || self.walk.is_some()
            || !self.cutting.is_empty()
            || decides
    }

    /// Begins a sweep, if it is time for one.
    pub(crate) fn begin_sweep(&mut self, now: UnixTime, every_ms: u32) {
        if now.millis_since(self.swept_at) >= i64::from(every_ms) {
            self.swept_at = now;
            self.sweeping = true;
            self.youngest = (self.young.last_key_value().map(|(id, _)| *id), self.youngest.0);
        }
    }

    /// These were revoked: whoever is found by them is to be looked at.
    pub(crate) fn revoked(&mut self, handles: Vec<Handle>) {
        if !handles.is_empty() && !self.young.is_empty() {
            self.look = Some(StreamId(0));
        }
        // Of a million facts most are about nobody who is here.
        let index = &self.index;
        let all = |handle| (handle, StreamId(0))..=(handle, StreamId(u64::MAX));
        let found = handles.into_iter().filter(|handle| index.range(all(*handle)).next().is_some());
        self.revoked.extend(found.map(|handle| (handle, StreamId(0))));
    }

    /// Whether there are streams that may have been revoked.
    pub(crate) fn is_looking(&self) -> bool {
        self.look.is_some() || !self.revoked.is_empty()
    }

    /// Looks for streams that may have been revoked, up to `many`.
    pub(crate) fn suspects(&mut self, many: usize) -> Vec<StreamId> {
        let mut found = Vec::new();
        let mut left = many;
        while let Some((handle, from)) = self.revoked.pop_front() {
            if left == 0 {
                self.revoked.push_front((handle, from));
                return found;
            }
            // To find nobody is work, too.
            left = left.saturating_sub(1);
            let before = found.len();
            let of = self.index.range((handle, from)..=(handle, StreamId(u64::MAX)));
            found.extend(of.take(left).map(|(_, stream)| *stream));
            let taken = found.len().saturating_sub(before);
            match found.last() {
                Some(last) if taken == left && taken > 0 => {
                    self.revoked.push_front((handle, StreamId(last.0.saturating_add(1))));
                    return found;
                }
                _ => left = left.saturating_sub(taken),
            }
        }
        let Some(from) = self.look else { return found };
        let mut young = self.young.range(from..).map(|(stream, _)| *stream);
        found.extend(young.by_ref().take(left));
        self.look = young.next();
        found
    }

    /// There is news about these: streams of whoever is found by them, and whose policy reads signals,
    /// are to be decided again. Of the young ones their version tells when they settle.
    pub(crate) fn signalled(&mut self, handles: BTreeSet<Handle>) {
        let index = &self.index;
        let all = |handle| (handle, StreamId(0))..=(handle, StreamId(u64::MAX));
        let found = handles.into_iter().filter(|handle| index.range(all(*handle)).next().is_some());
        self.signalled.extend(found.map(|handle| (handle, StreamId(0))));
    }

    /// Goes through up to `many` of those; whether there were any.
    pub(crate) fn take_signalled(&mut self, many: usize) -> bool {
        let any = !self.signalled.is_empty();
        let mut left = many;
        while let Some((handle, from)) = self.signalled.pop_front() {
            if left == 0 {
                self.signalled.push_front((handle, from));
                break;
            }
            // To find nobody is work, too.
            left = left.saturating_sub(1);
            let mut of = self.index.range((handle, from)..=(handle, StreamId(u64::MAX))).map(|(_, id)| *id);
            for stream in of.by_ref().take(left) {
                left = left.saturating_sub(1);
                let reads = |open: &Settled| open.cut.is_none() && open.admission.signals.is_some();
                if self.settled.get(&stream).is_some_and(reads) {
                    self.again.push_back(stream);
                }
            }
            if let Some(next) = of.next() {
                self.signalled.push_front((handle, next));
                break;
            }
        }
        any
    }

    /// What decides has changed: whatever is of another generation is to be decided again.
    pub(crate) fn begin_walk(&mut self) {
        self.walk = Some(StreamId(0));
    }

    /// The clock was wrong by so much: what was to last a while lasts as long as it would have.
    pub(crate) fn clock_stepped(&mut self, from: UnixTime, to: UnixTime) {
        self.swept_at = to;
        for admission in self.young.values_mut() {
            admission.shift(from, to);
        }
        self.due.clear();
        for (stream, open) in &mut self.settled {
            open.admission.shift(from, to);
            open.due = open.due.shifted(from, to);
            self.due.insert((open.due, *stream));
        }
    }

    /// The streams of up to `many` that are to be cut: told to the host now.
    pub(crate) fn take_cuts(&mut self, now: UnixTime, many: usize) -> Vec<(StreamId, Reason, String)> {
        let mut cuts = Vec::new();
        while cuts.len() < many {
            let Some(stream) = self.cutting.pop_front() else { break };
            let Some(open) = self.settled.get(&stream) else { continue };
            let Some(cut) = &open.cut else { continue };
            let count = self.stats.cut.entry(cut.reason).or_default();
            *count = count.saturating_add(1);
            cuts.push((stream, cut.reason, open.admission.decision_id.clone()));
            self.schedule(stream, now.plus_millis(CUT_AGAIN_MS));
        }
        cuts
    }

    /// Goes through up to `many` for which something is due; how many there were.
    pub(crate) fn take_due(&mut self, now: UnixTime, many: usize) -> usize {
        let mut taken = 0usize;
        while taken < many {
            let Some((_, stream)) = self.due.first().copied().filter(|(at, _)| *at <= now) else { break };
            self.due.pop_first();
            taken = taken.saturating_add(1);
            let Some(open) = self.settled.get(&stream) else { continue };
            let Deadline { at, reason } = open.admission.end;
            match (&open.cut, at <= now) {
                (Some(_), _) => self.cutting.push_back(stream),
                (None, true) => self.end(stream, Cut { reason, detail: None }),
                (None, false) => self.again.push_back(stream),
            }
        }
        taken
    }

    /// Up to `many` streams that have been open for a sweep; the sweep is over when there are none.
    #[allow(clippy::vec_box)] // as they came, and as they stay
    pub(crate) fn take_young(&mut self, many: usize) -> Vec<Box<Admission>> {
        let until = self.youngest.1;
        let mut taken = Vec::new();
        while taken.len() < many {
            match self.young.first_entry().filter(|first| Some(*first.key()) <= until) {
                Some(first) => taken.push(first.remove()),
                None => break,
            }
        }
        taken.iter().for_each(|admission| self.let_go(admission));
        self.sweeping = self.sweeping && !taken.is_empty();
        taken
    }

    /// Takes out one that is to settle at once.
    pub(crate) fn take_one_young(&mut self, stream: StreamId) -> Option<Box<Admission>> {
        let admission = self.young.remove(&stream)?;
        self.let_go(&admission);
        Some(admission)
    }

    /// Takes a young stream among the settled ones: it is to be decided again then, or ends before.
    pub(crate) fn settle(&mut self, mut admission: Box<Admission>, again: UnixTime) {
        self.hold(&mut admission);
        let stream = admission.stream;
        let due = again.min(admission.end.at);
        self.index.extend(admission.handles().map(|handle| (handle, stream)));
        self.settled.insert(stream, Settled { admission, due, cut: None, asking: false, once_more: false });
        self.due.insert((due, stream));
    }

    /// Changes when the stream is decided again, if it does not end before.
    pub(crate) fn schedule_again(&mut self, stream: StreamId, at: UnixTime) {
        if let Some(end) = self.get_mut(stream).map(|admission| admission.end.at) {
            self.schedule(stream, at.min(end));
        }
    }

    fn schedule(&mut self, stream: StreamId, at: UnixTime) {
        let Some(open) = self.settled.get_mut(&stream) else { return };
        self.due.remove(&(std::mem::replace(&mut open.due, at), stream));
        self.due.insert((at, stream));
    }

    /// The stream is to be cut. The first reason counts.
    pub(crate) fn end(&mut self, stream: StreamId, cut: Cut) {
        let Some(open) = self.settled.get_mut(&stream).filter(|open| open.cut.is_none()) else { return };
        open.cut = Some(cut);
        self.due.remove(&(open.due, stream));
        self.cutting.push_back(stream);
    }

    /// The stream is to be decided again.
    pub(crate) fn decide_again(&mut self, stream: StreamId) {
        self.again.push_back(stream);
    }

    /// Looks at up to `many` for those that were decided under another generation.
    pub(crate) fn walk(&mut self, generation: u64, many: usize) {
        let Some(from) = self.walk else { return };
        let mut left = many;
        self.walk = None;
        for (stream, open) in self.settled.range(from..) {
            if left == 0 {
                self.walk = Some(*stream);
                return;
            }
            left = left.saturating_sub(1);
            if open.admission.generation != generation {
                self.again.push_back(*stream);
            }
        }
    }

    /// The next that is to be decided again and about which nobody is being asked.
    pub(crate) fn next_again(&mut self) -> Option<StreamId> {
        while self.asking < MAX_ASKING {
            let stream = self.again.pop_front()?;
            match self.settled.get_mut(&stream).filter(|open| open.cut.is_none()) {
                // The answer that it waits for is to a question of before.
                Some(open) if open.asking => open.once_more = true,
                Some(_) => return Some(stream),
                None => {}
            }
        }
        None
    }

    /// A decision point is asked about the stream, or is no more.
    pub(crate) fn set_asking(&mut self, stream: StreamId, asking: bool) {
        let Some(open) = self.settled.get_mut(&stream) else { return };
        match (std::mem::replace(&mut open.asking, asking), asking) {
            (false, true) => self.asking = self.asking.saturating_add(1),
            (true, false) => {
                self.asking = self.asking.saturating_sub(1);
                if std::mem::take(&mut open.once_more) {
                    self.again.push_back(stream);
                }
            }
            _ => {}
        }
    }
}
