//! What the core asks of its caller. It performs no I/O: it says what it needs, and is told.

use crate::engine::Waiting;
use crate::reason::Reason;
use crate::record::DecisionRecord;
use crate::Decision;

/// The caller's name for a stream.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct StreamId(pub u64);

/// The engine's name for a fetch.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct FetchId(pub u64);

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
}

/// A check that waits for replies. Consumed by them: it cannot be resumed twice.
#[derive(Debug)]
pub struct Pending(pub(crate) Box<Waiting>);

/// One HTTP call to a cluster of the proxy.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Call {
    /// The cluster's name.
    pub cluster: String,
    /// Headers, pseudo-headers first.
    pub headers: Vec<(String, String)>,
    /// The body.
    pub body: Vec<u8>,
    /// How long the reply may take; never 0, which hosts read as "for ever".
    pub timeout_ms: u32,
}

/// What came of a call.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Reply {
    /// A whole HTTP response. Proxies make up 502, 503 and 504 themselves when the call failed.
    Http {
        /// The `:status`.
        status: u16,
        /// The body, of at most [`Reply::MAX_BODY`] bytes.
        body: Vec<u8>,
    },
    /// There is no whole response.
    Failed(Failure),
}

impl Reply {
    /// The largest body that is handed in; a larger one is [`Failure::TooLarge`].
    pub const MAX_BODY: usize = 64 * 1024;
}

/// Why there is no whole response.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Failure {
    /// The call could not be made, or the response broke off.
    Unavailable,
    /// The response's body is larger than [`Reply::MAX_BODY`].
    TooLarge,
}

/// How much work one tick may do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Budget {
    /// Records to hand out.
    pub records: usize,
}

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
    /// Put bytes where the other workers see them, if the entry is still as expected.
    Share {
        /// The entry.
        key: String,
        /// Its new value.
        bytes: Vec<u8>,
        /// The host's version number that it must have.
        expect: Option<u32>,
    },
    /// End an admitted stream by a local reply, so that the access log says why.
    Cut {
        /// The stream.
        stream: StreamId,
        /// Why.
        reason: Reason,
    },
    /// What this waiting stream waited for is there: check it again.
    Wake {
        /// The stream.
        stream: StreamId,
    },
    /// Decide an admitted stream again: make the calls and resume.
    Ask {
        /// The stream.
        stream: StreamId,
        /// The calls.
        calls: Vec<Call>,
        /// What waits for the replies.
        pending: Pending,
    },
    /// Write a record down.
    Emit {
        /// The record.
        record: Box<DecisionRecord>,
    },
}
