//! Requests as the proxy hands them in, and what they are about.

pub(crate) mod attributes;
pub(crate) mod call;
pub(crate) mod host;
pub(crate) mod request;
pub(crate) mod target;
pub(crate) mod xfcc;

pub use attributes::{Attribute, Encoding, ATTRIBUTES, CONNECTION_SOURCE, PROOF_ATTRIBUTES, SOURCE_STATE};
pub use call::Failure;
pub use request::{IDENTITY_HEADERS, OWN_HEADER_PREFIX, REMOVED_HEADERS};
pub use target::Target;
