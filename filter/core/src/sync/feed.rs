//! Feeds: lists of facts that a server signs and numbers, and that every worker follows within a
//! second. What the facts are is their [`crate::facts::content::Content`]'s matter.
//!
//! A document of a feed is a signed file: its first line is in `head`, the facts are below, a line
//! each. `document` reads one in slices, `pull` fetches what is new and passes it on to the other
//! workers.

mod document;
mod head;
mod list;
mod pull;
mod relay;
mod source;

pub use document::read_feed;
pub use head::{FeedHead, FeedPart, MAX_FEED_LINE, MAX_FEED_PAGE};
pub(crate) use pull::Feed;
pub(crate) use source::{server, FeedSource, World};
