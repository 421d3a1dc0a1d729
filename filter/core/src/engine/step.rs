//! What the core asks of its caller. It performs no I/O: it says what it needs, and is told.

use crate::engine::decision::{Decision, Refusal};
use crate::engine::Waiting;
use crate::http::call::{Call, FetchId};
use crate::http::request::StreamId;
use crate::record::Record;

/// What to do with a request next.
#[must_use]
#[derive(Debug)]
#[allow(clippy::large_enum_variant)] // the large one is the common one: a box would be an allocation each
pub enum Step {
    /// It is decided.
    Done(Decision),
    /// Make these calls, all at once; resume with one reply each, in the same order.
    Ask {
        /// The calls.
        calls: Vec<Call>,
        /// What waits for the replies.
        pending: Pending,
    },
    /// Keep the request until an [`Effect::Wake`] names its stream; resume without replies then.
    Wait {
        /// What waits.
        pending: Pending,
    },
}

/// A check that waits for replies, or to be woken. Consumed by them: it cannot be resumed twice.
#[derive(Debug)]
pub struct Pending(pub(crate) Box<Waiting>);

/// Work for the caller that belongs to no single request.
#[must_use]
#[derive(Debug)]
pub enum Effect {
    /// Make this call from a context that outlives streams; answer through `Engine::fetched`.
    Fetch {
        /// Names the answer.
        id: FetchId,
        /// The call.
        call: Call,
    },
    /// Deadline an admitted stream by a local reply, so that the access log says why. A stream that is
    /// gone already is as good.
    Cut {
        /// The stream.
        stream: StreamId,
        /// The reply.
        refusal: Refusal,
    },
    /// What this waiting stream waited for is there: check it again.
    Wake {
        /// The stream.
        stream: StreamId,
    },
    /// Decide an admitted stream again: make the calls, and answer through `Engine::answered`.
    Ask {
        /// The stream.
        stream: StreamId,
        /// The calls.
        calls: Vec<Call>,
        /// What waits for the replies.
        pending: Pending,
    },
    /// Tell the operator: nothing is wrong.
    Info {
        /// One line; nothing secret in it.
        message: String,
    },
    /// Tell the operator what is wrong.
    Warn {
        /// One line; nothing secret in it.
        message: String,
    },
    /// Write a record down.
    Emit {
        /// The record.
        record: Record,
    },
}
