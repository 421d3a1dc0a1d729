//! A file at a server that is fetched again and again: where it is, the fetch that is open, and what
//! came of those before.

use std::collections::BTreeMap;

use crate::base::time::UnixTime;
use crate::http::call::{Call, Failure, FetchId, Reply};
use crate::sync::signed::FileFault;
use crate::sync::Event;

/// Where a file is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Place {
    pub(crate) cluster: String,
    pub(crate) host: String,
    pub(crate) path: String,
}

/// What came of the fetches of one worker.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct FetchStats {
    /// Those that brought a file.
    pub fetched: u64,
    /// Those whose answer was that nothing has changed.
    pub unchanged: u64,
    /// Those that failed.
    pub failed: u64,
    /// Files that were not taken, and why.
    pub refused: BTreeMap<FileFault, u64>,
}

/// The fetches of one file in one worker.
pub(crate) struct Fetch {
    place: Place,
    open: Option<Open>,
    stats: FetchStats,
}

struct Open {
    id: FetchId,
    asked_at: UnixTime,
    conditional: bool,
}

/// How to ask for a file this time.
pub(crate) struct Ask {
    /// A part of the file, as a query.
    pub(crate) query: Option<String>,
    /// The entity tag of what is known: nothing is to be sent, or less, if it is still that.
    pub(crate) known: Option<String>,
    /// More headers.
    pub(crate) headers: Vec<(String, String)>,
    pub(crate) timeout_ms: u32,
    /// The largest answer.
    pub(crate) max_body: usize,
}

/// What a fetch came to.
pub(crate) enum Fetched {
    File { text: Vec<u8>, etag: Option<String> },
    Unchanged,
    Failed { status: Option<u16>, why: String },
}

impl Fetch {
    pub(crate) fn new(place: Place) -> Self {
        Self { place, open: None, stats: FetchStats::default() }
    }

    pub(crate) fn is_of(&self, place: &Place) -> bool {
        self.place == *place
    }

    pub(crate) const fn stats(&self) -> &FetchStats {
        &self.stats
    }

    /// Whether a reply is awaited. One that has not come for long never will: the context that asked
    /// is gone.
    pub(crate) fn is_open(&mut self, timeout_ms: u32, now: UnixTime) -> bool {
        let lost = i64::from(timeout_ms).saturating_mul(2).saturating_add(1_000);
        if self.open.as_ref().is_some_and(|open| now.millis_since(open.asked_at) > lost) {
            self.open = None;
        }
        self.open.is_some()
    }

    /// Whether this is the fetch that is open.
    pub(crate) fn awaits(&self, id: FetchId) -> bool {
        self.open.as_ref().is_some_and(|open| open.id == id)
    }

    /// Whatever is open does not matter any more.
    pub(crate) fn forget(&mut self) {
        self.open = None;
    }

    pub(crate) fn begin(&mut self, id: FetchId, ask: Ask, now: UnixTime) -> Event {
        let Ask { query, known, headers, timeout_ms, max_body } = ask;
        let Place { cluster, host, path } = &self.place;
        let path = match query {
            Some(query) if path.contains('?') => format!("{path}&{query}"),
            Some(query) => format!("{path}?{query}"),
            None => path.clone(),
        };
        self.open = Some(Open { id, asked_at: now, conditional: known.is_some() });
        let header = |name: &str, value: &str| (name.to_owned(), value.to_owned());
        let first = [
            header(":method", "GET"),
            header(":path", &path),
            header(":authority", host),
            header("accept", "application/x-ndjson"),
        ];
        let condition = known.map(|etag| ("if-none-match".to_owned(), etag));
        let call = Call {
            cluster: cluster.clone(),
            headers: first.into_iter().chain(condition).chain(headers).collect(),
            body: Vec::new(),
            timeout_ms,
            max_body,
            connect_retries: 1,
            pdp: None,
        };
        Event::Fetch { id, call }
    }

    /// Takes the reply to the fetch that is open; `None` for any other.
    pub(crate) fn reply(&mut self, id: FetchId, reply: Reply) -> Option<Fetched> {
        let open = self.open.take_if(|open| open.id == id)?;
        let failed = match reply {
            Reply::Http { status: 200 | 226, headers, body, .. } => {
                count(&mut self.stats.fetched);
                return Some(Fetched::File { text: body, etag: headers.etag() });
            }
            Reply::Http { status: 304, .. } if open.conditional => {
                count(&mut self.stats.unchanged);
                return Some(Fetched::Unchanged);
            }
            Reply::Http { status, .. } => {
                Fetched::Failed { status: Some(status), why: format!("the answer has status {status}") }
            }
            Reply::Failed(failure) => {
                if failure == Failure::TooLarge {
                    self.refused(FileFault::TooLarge);
                }
                Fetched::Failed { status: None, why: failure.to_string() }
            }
        };
        self.failed();
        Some(failed)
    }

    /// Counts an answer that was of no use.
    pub(crate) fn failed(&mut self) {
        count(&mut self.stats.failed);
    }

    /// Counts a file that was not taken.
    pub(crate) fn refused(&mut self, fault: FileFault) {
        count(self.stats.refused.entry(fault).or_default());
    }
}

fn count(counter: &mut u64) {
    *counter = counter.saturating_add(1);
}
