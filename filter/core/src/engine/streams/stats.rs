//! What is counted of streams, and what the host tells at their ends.

use std::collections::BTreeMap;

use crate::base::reason::Reason;
use crate::record::StreamEnd;

/// What the host tells of a stream that has ended; nothing by default.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct StreamClose {
    /// Bytes from the client, headers included.
    pub received: Option<u64>,
    /// Bytes to the client, headers included.
    pub sent: Option<u64>,
    /// The host ended it because it was open for as long as it may be.
    pub timed_out: bool,
}

/// Figures of the streams of an engine, for metrics.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct StreamStats {
    /// Admitted requests that are open.
    pub open: usize,
    /// Those that ended, by why.
    pub ended: BTreeMap<StreamEnd, u64>,
    /// Those that were told to end, by why.
    pub cut: BTreeMap<Reason, u64>,
}
