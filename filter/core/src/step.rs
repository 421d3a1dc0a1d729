//! What the core asks of its caller. It performs no I/O: it says what it needs, and is told.

use std::fmt;

use crate::config::PdpProtocol;
use crate::decision::{Decision, Refusal};
use crate::engine::Waiting;
use crate::record::Record;
use crate::request::Headers;

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
    /// Keep the request until an [`Effect::Wake`] names its stream; resume without replies then.
    Wait {
        /// What waits.
        pending: Pending,
    },
}

/// A check that waits for replies, or to be woken. Consumed by them: it cannot be resumed twice.
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
    /// The largest body of a reply; a larger one is [`Failure::TooLarge`].
    pub max_body: usize,
    /// How often to try again if the server was not reached: it has seen nothing of the call then.
    pub connect_retries: u32,
    /// What is spoken, if it goes to a policy decision point.
    pub pdp: Option<PdpProtocol>,
}

/// What came of a call.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Reply {
    /// A whole HTTP response. Proxies make up 502, 503 and 504 themselves when the call failed.
    Http {
        /// The `:status`.
        status: u16,
        /// The other headers.
        headers: Headers,
        /// The body, of at most [`Call::max_body`] bytes.
        body: Vec<u8>,
        /// The trailers; gRPC puts its status there.
        trailers: Headers,
    },
    /// There is no whole response.
    Failed(Failure),
}

impl Reply {
    /// A whole response without headers of interest.
    pub fn http(status: u16, body: impl Into<Vec<u8>>) -> Self {
        Reply::Http { status, headers: Headers::default(), body: body.into(), trailers: Headers::default() }
    }
}

/// Why there is no whole response.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Failure {
    /// The call could not be made, or the response broke off.
    Unavailable,
    /// The response's body is larger than [`Call::max_body`].
    TooLarge,
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Failure::Unavailable => "there is no whole answer",
            Failure::TooLarge => "the answer is too large",
        })
    }
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
    /// End an admitted stream by a local reply, so that the access log says why. A stream that is
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
    /// Tell the operator.
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
