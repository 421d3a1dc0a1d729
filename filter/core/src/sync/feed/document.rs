//! One document of a feed, read in slices: a worker decides requests in between.

use serde_json::Value;

use super::head::{FeedHead, FeedPart, MAX_FEED_LINE};
use crate::base::json;
use crate::config::ConfigError;
use crate::facts::content::{FeedKind, Full};
use crate::jose::keys::KeySet;
use crate::jose::signature::SignatureVerifier;
use crate::sync::relay::Sender;
use crate::sync::signed::{FileError, FileFault, SignedFile};

/// Bytes of lines that one slice reads.
const LINES_SLICE: usize = 16 * 1024;

/// Takes the bytes of a document and verifies its head.
///
/// # Errors
/// There is no head, or it is not of this feed and one of these keys.
pub(super) fn begin(
    feed: FeedKind,
    text: Vec<u8>,
    keys: &KeySet,
    verifier: &dyn SignatureVerifier,
) -> Result<SignedFile<FeedPart>, FileError> {
    let file = SignedFile::begin(text, feed.as_str(), keys, verifier)?;
    let malformed = |message| FileError::new(FileFault::Malformed, "line 1", message);
    file.head().is_of(feed).map_err(malformed)?;
    Ok(file)
}

/// A document on its way.
pub(super) struct Document {
    pub(super) file: SignedFile<FeedPart>,
    /// How many of its facts were read.
    pub(super) lines: usize,
    pub(super) sender: Sender,
}

impl Document {
    pub(super) const fn is_of_worker(&self) -> bool {
        matches!(self.sender, Sender::Worker { .. })
    }

    /// Reads some of the facts of a document that is known to be what was signed, of which there may be `most`.
    /// Whether there may be more.
    ///
    /// # Errors
    /// It holds a fact that is not understood, or too many of them.
    pub(super) fn read(
        &mut self,
        most: usize,
        mut stage: impl FnMut(Value) -> Result<(), String>,
    ) -> Result<bool, FileError> {
        let mut done: usize = 0;
        while done < LINES_SLICE {
            let Some(line) = self.file.line(MAX_FEED_LINE) else { return Ok(false) };
            self.lines = self.lines.saturating_add(1);
            let staged = line.and_then(|line| {
                done = done.saturating_add(line.len()).saturating_add(1);
                fact(line).and_then(&mut stage)
            });
            if let Err(message) = staged {
                let line = format!("line {}", self.lines.saturating_add(1));
                return Err(FileError::invalid(vec![ConfigError::new(&line, message)]));
            }
            if self.lines > most {
                return Err(too_many(&Full::ENTRIES));
            }
        }
        Ok(true)
    }
}

fn fact(line: &[u8]) -> Result<Value, String> {
    match json::parse(line) {
        Ok(fact @ Value::Object(_)) => Ok(fact),
        Ok(_) => Err("not an object".to_owned()),
        Err(error) => Err(format!("not strict JSON: {error}")),
    }
}

pub(super) fn too_many(Full(which): &Full) -> FileError {
    FileError::new(FileFault::TooLarge, "", *which)
}

/// Reads a document at once and verifies it with these keys: its head and its facts. Of times it says
/// nothing.
///
/// # Errors
/// What is wrong with it.
pub fn read_feed(
    feed: FeedKind,
    text: &[u8],
    keys: &KeySet,
    verifier: &dyn SignatureVerifier,
) -> Result<(FeedHead, Vec<Value>), FileError> {
    let mut file = begin(feed, text.to_vec(), keys, verifier)?;
    while file.hash()? {}
    let mut document = Document { file, lines: 0, sender: Sender::Server { etag: None } };
    let mut facts = Vec::new();
    let mut take = |fact: Value| {
        facts.push(fact.clone());
        feed.check(fact)
    };
    while document.read(usize::MAX, &mut take)? {}
    Ok((document.file.head().clone(), facts))
}
