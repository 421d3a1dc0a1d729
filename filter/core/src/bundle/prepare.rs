//! From the bytes of a bundle file to a bundle, in slices: a worker decides requests in between, and
//! none may wait long for one.

use serde_json::Value;
use sha2::{Digest as _, Sha256};

use super::item::Item;
use super::{Builder, Bundle, BundleHead, Origin};
use crate::base::json::{self, MAX_VALUES};
use crate::config::{ConfigError, Limits};
use crate::jose::keys::KeySet;
use crate::jose::signature::SignatureVerifier;
use crate::sync::signed::{self, FileError, FileFault};

/// The longest line: it is parsed at once.
pub const MAX_BUNDLE_LINE: usize = 96 * 1024;
/// Bytes that one slice hashes.
const HASH_SLICE: usize = 64 * 1024;
/// Bytes of lines that one slice reads.
const LINES_SLICE: usize = 16 * 1024;
/// Small things that one slice drops.
pub(crate) const DROP_SLICE: usize = 1_000;
/// Mistakes that are noted before the rest is not looked at.
const MAX_ERRORS: usize = 20;

/// A bundle file on its way.
pub(crate) struct Preparation {
    text: Vec<u8>,
    head: BundleHead,
    /// Everything before this was done in the present stage.
    at: usize,
    stage: Stage,
    /// What was built of one that turned out bad.
    pub(super) remains: Option<Bundle>,
}

/// How far a slice got.
#[derive(Debug)]
#[allow(clippy::large_enum_variant)] // moved once for each bundle
pub(crate) enum Progress {
    /// There is more to do.
    More,
    /// It is what was signed, and its content is known.
    Same,
    /// It is done.
    Built(Bundle),
}

enum Stage {
    Hash { hash: Sha256, limits: Limits },
    Lines { builder: Box<Builder>, number: usize, rank: u8 },
    Finish { builder: Box<Builder> },
    Over,
}

impl std::fmt::Debug for Preparation {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Preparation({}, at {} of {})", self.head.revision, self.at, self.text.len())
    }
}

impl Preparation {
    /// Takes the bytes of a file and verifies its head.
    ///
    /// # Errors
    /// There is no head, or it is not one of these keys.
    pub(crate) fn begin(
        text: Vec<u8>,
        keys: &KeySet,
        verifier: &dyn SignatureVerifier,
        limits: &Limits,
    ) -> Result<Self, FileError> {
        let (line, _) = signed::split(&text)?;
        let head = BundleHead::read(line, keys, verifier)?;
        let at = line.len().saturating_add(1);
        let bytes = u64::try_from(text.len().saturating_sub(at)).unwrap_or(u64::MAX);
        if bytes != head.bytes {
            let message = format!("{bytes} bytes follow; {} were signed", head.bytes);
            return Err(FileError::new(FileFault::Digest, "line 1", message));
        }
        Ok(Self {
            text,
            head,
            at,
            stage: Stage::Hash { hash: Sha256::new(), limits: limits.clone() },
            remains: None,
        })
    }

    pub(crate) const fn head(&self) -> &BundleHead {
        &self.head
    }

    /// The bytes that it was begun with.
    pub(crate) fn into_text(self) -> Vec<u8> {
        self.text
    }

    /// One slice of the work. A content with the digest `known` is not built again.
    ///
    /// # Errors
    /// It is not what was signed, or not a valid bundle.
    pub(crate) fn step(&mut self, known: Option<[u8; 32]>) -> Result<Progress, FileError> {
        let rest = self.text.get(self.at..).unwrap_or_default();
        match std::mem::replace(&mut self.stage, Stage::Over) {
            Stage::Hash { mut hash, limits } => {
                let (slice, more) = rest.split_at_checked(HASH_SLICE).unwrap_or((rest, &[]));
                hash.update(slice);
                self.at = self.at.saturating_add(slice.len());
                if !more.is_empty() {
                    self.stage = Stage::Hash { hash, limits };
                    return Ok(Progress::More);
                }
                if hash.finalize()[..] != self.head.digest {
                    return Err(FileError::new(
                        FileFault::Digest,
                        "line 1",
                        "`digest` is not that of what follows",
                    ));
                }
                if known == Some(self.head.digest) {
                    return Ok(Progress::Same);
                }
                let below = usize::try_from(self.head.bytes).unwrap_or_default();
                self.at = self.text.len().saturating_sub(below);
                self.stage = Stage::Lines { builder: Box::new(Builder::new(&limits)), number: 1, rank: 0 };
                Ok(Progress::More)
            }
            Stage::Lines { mut builder, mut number, mut rank } => {
                if builder.work() {
                    self.stage = Stage::Lines { builder, number, rank };
                    return Ok(Progress::More);
                }
                let mut done: usize = 0;
                while let Some(line) = line(rest.get(done..).unwrap_or_default()) {
                    number = number.saturating_add(1);
                    done = done.saturating_add(line.len()).saturating_add(1);
                    read(&mut builder, &mut rank, number, line);
                    if line.len() > MAX_BUNDLE_LINE {
                        // Where the next one begins would have to be looked for.
                        done = rest.len();
                    }
                    // What it made to do comes first.
                    if done >= LINES_SLICE || builder.is_busy() {
                        break;
                    }
                }
                self.at = self.at.saturating_add(done);
                if done > 0 && builder.errors.len() < MAX_ERRORS {
                    self.stage = Stage::Lines { builder, number, rank };
                    return Ok(Progress::More);
                }
                if self.at < self.text.len() && builder.errors.is_empty() {
                    builder.error(format!("line {}", number.saturating_add(1)), "it has no end");
                }
                self.stage = Stage::Finish { builder };
                Ok(Progress::More)
            }
            Stage::Finish { mut builder } => {
                if builder.tidy(DROP_SLICE) {
                    self.stage = Stage::Finish { builder };
                    return Ok(Progress::More);
                }
                let (bundle, errors) = builder.finish();
                let bundle = Bundle { origin: Origin::Signed(self.head.clone()), ..bundle };
                if errors.is_empty() {
                    return Ok(Progress::Built(bundle));
                }
                self.remains = Some(bundle);
                Err(FileError::invalid(errors))
            }
            Stage::Over => Err(FileError::new(FileFault::Invalid, "", "it was refused before")),
        }
    }
}

/// The first line, without its end; `None` if there is no end. Of one that is too long it is as much as shows that.
fn line(rest: &[u8]) -> Option<&[u8]> {
    let start = rest.get(..=MAX_BUNDLE_LINE).unwrap_or(rest);
    match start.iter().position(|byte| *byte == b'\n') {
        Some(end) => rest.get(..end),
        None => (start.len() > MAX_BUNDLE_LINE).then_some(start),
    }
}

fn read(builder: &mut Builder, rank: &mut u8, number: usize, line: &[u8]) {
    let at = format!("line {number}");
    if line.len() > MAX_BUNDLE_LINE {
        return builder.error(at, format!("longer than {MAX_BUNDLE_LINE} bytes"));
    }
    let value = match json::parse_at_most(line, MAX_VALUES) {
        Ok(value @ Value::Object(_)) => value,
        Ok(_) => return builder.error(at, "not an object"),
        Err(error) => return builder.error(at, format!("not strict JSON: {error}")),
    };
    match json::typed::<Item>(&value) {
        Ok(item) if item.rank() < *rank => {
            builder.error(at, "out of order: policies come first, grants last")
        }
        Ok(item) => {
            *rank = item.rank();
            builder.add(&at, item);
        }
        Err(error) => {
            let path = match error.path() {
                "" => at,
                path => format!("{at}: {path}"),
            };
            builder.errors.push(ConfigError::new(&path, error.message()));
        }
    }
}
