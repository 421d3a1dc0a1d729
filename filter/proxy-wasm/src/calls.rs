//! Calls under way, and what waits for their replies.

use everycall_core::http::Failure;
use everycall_core::{Call, Pending, Reply};

use crate::host::{self, ReplySize};

/// A decision that waits for the replies to its calls.
pub(crate) struct Calls {
    pending: Pending,
    replies: Vec<Awaited>,
}

/// A reply, or the callout that will bring it.
enum Awaited {
    /// Its token, and the largest body that its reply may have.
    Callout(u32, usize),
    Reply(Reply),
}

impl Calls {
    /// Makes the calls, from the context whose callback runs.
    pub(crate) fn make(calls: &[Call], pending: Pending) -> Self {
        let awaited = |call: &Call| match host::http_call(call) {
            Ok(token) => Awaited::Callout(token, call.max_body),
            Err(_) => Awaited::Reply(Reply::Failed(Failure::Unavailable)),
        };
        Self { pending, replies: calls.iter().map(awaited).collect() }
    }

    /// Takes the reply that is being delivered, if it is to one of these calls.
    pub(crate) fn take_reply(&mut self, token: u32, size: ReplySize) {
        for awaited in &mut self.replies {
            match *awaited {
                Awaited::Callout(id, max_body) if id == token => {
                    *awaited = Awaited::Reply(host::call_reply(size, max_body));
                }
                _ => {}
            }
        }
    }

    /// The callouts whose replies have not come.
    pub(crate) fn callouts(&self) -> impl Iterator<Item = u32> + use<'_> {
        self.replies.iter().filter_map(|awaited| match awaited {
            Awaited::Callout(token, _) => Some(*token),
            Awaited::Reply(_) => None,
        })
    }

    /// Whether every call is answered, failed or timed out.
    pub(crate) fn is_complete(&self) -> bool {
        self.callouts().next().is_none()
    }

    /// What waits, and the replies in the calls' order.
    pub(crate) fn into_parts(self) -> (Pending, Vec<Reply>) {
        let reply = |awaited| match awaited {
            Awaited::Reply(reply) => reply,
            Awaited::Callout(..) => Reply::Failed(Failure::Unavailable),
        };
        (self.pending, self.replies.into_iter().map(reply).collect())
    }
}
