//! Who may do what: records of a bundle, and how they are found for a call.

pub(crate) mod elevations;
pub(crate) mod exceptions;
pub(crate) mod grants;
pub(crate) mod network;
pub(crate) mod observe;

pub use exceptions::{api_key_hash, is_api_key_id, Exception, API_KEY_PREFIX};
