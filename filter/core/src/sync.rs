//! What workers follow at servers: files and keys, fetched, verified, and shared between workers.

pub(crate) mod feed;
pub(crate) mod follower;
pub(crate) mod keyring;
mod lease;
mod link;
pub(crate) mod relay;
pub(crate) mod rollback;
pub(crate) mod shared;
pub(crate) mod signed;

pub use crate::base::freshness::Freshness;
pub use feed::{read_feed, FeedHead, FeedPart, MAX_FEED_LINE, MAX_FEED_PAGE};
pub use follower::{FetchStats, FollowerStats};
pub use shared::{LocalData, SharedData};
pub use signed::{FileFault, FileKind, Head};

use crate::http::call::{Call, FetchId};
use crate::http::request::StreamId;

/// What following a server asks for.
#[derive(Debug)]
pub(crate) enum Event {
    /// Make this call; its reply belongs to no request.
    Fetch { id: FetchId, call: Call },
    /// What this stream waited for is there.
    Wake(StreamId),
    /// Tell the operator, in one line with nothing secret in it, that all is well.
    Info(String),
    /// Likewise, that something is not.
    Warn(String),
}
