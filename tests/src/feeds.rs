//! The server of a feed, and lists that it may send instead of its own.

use everycall::clock;
use everycall::feed_file::{test_feed_documents, FeedIssue};
use everycall::mint::TestKey;
use everycall::publisher::{Asked, Publisher, DELTA};
use everycall_core::facts::FeedKind;
use everycall_core::UnixTime;
use serde_json::Value;

use crate::server::{Answer, Received};

/// A full list that is signed at this time, and counts for an hour.
pub fn issue(feed: FeedKind, sequence: u64, issued_at: UnixTime) -> FeedIssue {
    let expires_at = UnixTime::from_secs(issued_at.secs() + 3_600);
    FeedIssue { feed, sequence, since: None, issued_at, expires_at }
}

/// The first document of a list of these facts.
///
/// # Panics
/// There is none.
pub fn document(facts: &[Value], issue: &FeedIssue, key: &TestKey) -> Vec<u8> {
    test_feed_documents(facts, issue, key).unwrap().swap_remove(0)
}

/// What a request asks for, by its path and its headers: the protocol over HTTP, as far as the filter speaks it.
///
/// # Panics
/// The page is no number.
pub fn asked(path: &str, header: impl Fn(&str) -> Option<String>) -> Asked {
    Asked {
        page: path.split_once("?page=").map(|(_, page)| page.parse().unwrap()),
        known: header("if-none-match"),
        of: header("if-match"),
        delta: header("a-im").as_deref() == Some(DELTA),
    }
}

/// What the server says to a request.
///
/// # Panics
/// The filter does not ask so, or there is no answer.
pub fn answer(publisher: &mut Publisher, request: &Received) -> Answer {
    let header =
        |name: &str| request.all(name).first().map(|value| String::from_utf8_lossy(value).into_owned());
    let answer = publisher.answer(&asked(&request.path, header), clock::now()).unwrap();
    let etag = answer.etag.map(|etag| ("etag".to_owned(), etag));
    Answer::Full(answer.status, etag.into_iter().collect(), answer.body)
}
