//! Requests as the proxy hands them in, and what they are about.

pub(crate) mod attributes;
pub(crate) mod call;
pub(crate) mod host;
pub(crate) mod request;
pub(crate) mod target;
pub(crate) mod xfcc;
