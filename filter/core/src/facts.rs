//! What lists say of callers: that access has ended, or what is known about them.

pub(crate) mod content;
pub(crate) mod fact;
pub(crate) mod record;
pub(crate) mod revocations;
pub(crate) mod signals;

pub use content::FeedKind;
pub use revocations::{Revocation, RevocationKind};
pub use signals::{About, Signal};
