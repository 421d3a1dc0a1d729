//! Calls that the proxy makes for us, and what comes of them.

use std::fmt;

use crate::http::request::Headers;

/// The name of a call that belongs to no single request.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct FetchId(pub u64);

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
