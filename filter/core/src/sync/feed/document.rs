//! One document of a feed, read in slices: a worker decides requests in between.

use serde_json::Value;
use sha2::{Digest as _, Sha256};

use super::head::{FeedHead, MAX_FEED_LINE};
use crate::base::json;
use crate::base::time::UnixTime;
use crate::config::ConfigError;
use crate::facts::content::{Content, FeedKind, Full};
use crate::jose::keys::KeySet;
use crate::jose::signature::SignatureVerifier;
use crate::sync::signed::{self, FileError, FileFault};

/// Bytes that one slice hashes.
const HASH_SLICE: usize = 64 * 1024;
/// Bytes of lines that one slice reads.
const LINES_SLICE: usize = 16 * 1024;
/// Facts that count after one slice.
const COMMIT_SLICE: usize = 500;

/// A document on its way.
pub(super) struct Document {
    text: Vec<u8>,
    head: FeedHead,
    /// Everything before this was done in the present stage.
    at: usize,
    stage: Stage,
    /// Its facts.
    lines: usize,
}

/// How many facts there may be.
#[derive(Debug, Clone, Copy)]
pub(super) struct Bounds {
    /// In this document.
    pub(super) lines: usize,
    /// With those that count already.
    pub(super) facts: usize,
}

enum Stage {
    Hash(Sha256),
    Lines,
    Commit,
    Over,
}

impl Document {
    /// Takes the bytes of a document and the head that was read from them.
    ///
    /// # Errors
    /// It is not as long as was signed.
    pub(super) fn begin(text: Vec<u8>, head: FeedHead) -> Result<Self, FileError> {
        let (line, below) = signed::split(&text)?;
        let bytes = u64::try_from(below.len()).unwrap_or(u64::MAX);
        if bytes != head.bytes {
            let message = format!("{bytes} bytes follow; {} were signed", head.bytes);
            return Err(FileError::new(FileFault::Digest, "line 1", message));
        }
        let at = line.len().saturating_add(1);
        Ok(Self { text, head, at, stage: Stage::Hash(Sha256::new()), lines: 0 })
    }

    pub(super) const fn head(&self) -> &FeedHead {
        &self.head
    }

    /// How many facts it has, as far as it was read.
    pub(super) const fn lines(&self) -> usize {
        self.lines
    }

    /// Some of its facts may count already.
    pub(super) const fn is_committing(&self) -> bool {
        matches!(self.stage, Stage::Commit)
    }

    /// The bytes that it was begun with.
    pub(super) fn into_text(self) -> Vec<u8> {
        self.text
    }

    /// One slice of the work; whether there is more.
    ///
    /// # Errors
    /// It is not what was signed, holds a fact that is not understood, or too many of them.
    pub(super) fn step(&mut self, content: &mut dyn Content, bounds: Bounds) -> Result<bool, FileError> {
        let rest = self.text.get(self.at..).unwrap_or_default();
        match std::mem::replace(&mut self.stage, Stage::Over) {
            Stage::Hash(mut hash) => {
                let (slice, more) = rest.split_at_checked(HASH_SLICE).unwrap_or((rest, &[]));
                hash.update(slice);
                self.at = self.at.saturating_add(slice.len());
                if !more.is_empty() {
                    self.stage = Stage::Hash(hash);
                    return Ok(true);
                }
                if hash.finalize()[..] != self.head.digest {
                    let message = "`digest` is not that of what follows";
                    return Err(FileError::new(FileFault::Digest, "line 1", message));
                }
                let below = usize::try_from(self.head.bytes).unwrap_or_default();
                self.at = self.text.len().saturating_sub(below);
                self.stage = Stage::Lines;
                Ok(true)
            }
            Stage::Lines => {
                let mut done: usize = 0;
                while done < LINES_SLICE {
                    let rest = rest.get(done..).unwrap_or_default();
                    if rest.is_empty() {
                        self.stage = Stage::Commit;
                        return Ok(true);
                    }
                    let end = rest.iter().take(MAX_FEED_LINE.saturating_add(1)).position(|b| *b == b'\n');
                    self.lines = self.lines.saturating_add(1);
                    let staged = match end.and_then(|end| rest.get(..end)) {
                        None => Err(format!("no line end in {MAX_FEED_LINE} bytes")),
                        Some(line) => {
                            done = done.saturating_add(line.len()).saturating_add(1);
                            read(line).and_then(|fact| content.stage(fact))
                        }
                    };
                    if let Err(message) = staged {
                        let line = format!("line {}", self.lines.saturating_add(1));
                        return Err(FileError::invalid(vec![ConfigError::new(&line, message)]));
                    }
                    if self.lines > bounds.lines {
                        return Err(too_many(&Full::ENTRIES));
                    }
                }
                self.at = self.at.saturating_add(done);
                self.stage = Stage::Lines;
                Ok(true)
            }
            Stage::Commit => {
                self.stage = Stage::Commit;
                content
                    .commit(COMMIT_SLICE, self.head.issued_at, bounds.facts)
                    .map_err(|full| too_many(&full))
            }
            Stage::Over => Err(FileError::new(FileFault::Invalid, "", "it was refused before")),
        }
    }
}

fn read(line: &[u8]) -> Result<Value, String> {
    match json::parse(line) {
        Ok(fact @ Value::Object(_)) => Ok(fact),
        Ok(_) => Err("not an object".to_owned()),
        Err(error) => Err(format!("not strict JSON: {error}")),
    }
}

fn too_many(Full(which): &Full) -> FileError {
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
    let (line, _) = signed::split(text)?;
    let head = FeedHead::read(feed, line, keys, verifier)?;
    let mut document = Document::begin(text.to_vec(), head)?;
    let mut facts = Facts { feed, facts: Vec::new() };
    let bounds = Bounds { lines: usize::MAX, facts: usize::MAX };
    while document.step(&mut facts, bounds)? {}
    Ok((document.head, facts.facts))
}

/// Facts to look at.
struct Facts {
    feed: FeedKind,
    facts: Vec<Value>,
}

impl Content for Facts {
    fn stage(&mut self, fact: Value) -> Result<(), String> {
        self.feed.check(fact.clone())?;
        self.facts.push(fact);
        Ok(())
    }

    fn abandon(&mut self) {}

    fn commit(&mut self, _: usize, _: UnixTime, _: usize) -> Result<bool, Full> {
        Ok(false)
    }

    fn begin_full(&mut self) {}

    fn tidy(&mut self, _: usize, _: UnixTime, _: bool) -> bool {
        false
    }

    fn begin_tidy(&mut self) {}

    fn len(&self) -> usize {
        self.facts.len()
    }
}
