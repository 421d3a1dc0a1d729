//! From the bytes of a bundle file to a bundle, in slices: a worker decides requests in between, and
//! none may wait long for one.

use serde_json::Value;

use super::head::BundleName;
use super::item::Item;
use super::{Builder, Bundle, BundleHead, Origin};
use crate::base::json::{self, MAX_VALUES};
use crate::config::{ConfigError, Limits};
use crate::jose::keys::KeySet;
use crate::jose::signature::SignatureVerifier;
use crate::sync::signed::{FileError, FileFault, SignedFile};

/// The longest line: it is parsed at once.
pub const MAX_BUNDLE_LINE: usize = 96 * 1024;
/// Bytes of lines that one slice reads.
const LINES_SLICE: usize = 16 * 1024;
/// Small things that one slice drops.
pub(crate) const DROP_SLICE: usize = 1_000;
/// Mistakes that are noted before the rest is not looked at.
const MAX_ERRORS: usize = 20;

/// A bundle file on its way.
pub(crate) struct Preparation {
    pub(super) file: SignedFile<BundleName>,
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
    Hash(Limits),
    Lines { builder: Box<Builder>, number: usize, rank: u8 },
    Finish(Box<Builder>),
    Over,
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
        let file = SignedFile::begin(text, "bundles", keys, verifier)?;
        Ok(Self { file, stage: Stage::Hash(limits.clone()), remains: None })
    }

    pub(crate) const fn head(&self) -> &BundleHead {
        self.file.head()
    }

    /// One slice of the work. A content with the digest `known` is not built again.
    ///
    /// # Errors
    /// It is not what was signed, or not a valid bundle.
    pub(crate) fn step(&mut self, known: Option<[u8; 32]>) -> Result<Progress, FileError> {
        match std::mem::replace(&mut self.stage, Stage::Over) {
            Stage::Hash(limits) => {
                if self.file.hash()? {
                    self.stage = Stage::Hash(limits);
                } else if known == Some(self.head().digest) {
                    return Ok(Progress::Same);
                } else {
                    let builder = Box::new(Builder::new(&limits));
                    self.stage = Stage::Lines { builder, number: 1, rank: 0 };
                }
                Ok(Progress::More)
            }
            Stage::Lines { mut builder, mut number, mut rank } => {
                let mut done: usize = 0;
                // What a line made to do comes before the next one.
                let mut more = builder.work();
                while !more && done < LINES_SLICE && builder.errors.len() < MAX_ERRORS {
                    let Some(line) = self.file.line(MAX_BUNDLE_LINE) else {
                        self.stage = Stage::Finish(builder);
                        return Ok(Progress::More);
                    };
                    number = number.saturating_add(1);
                    match line {
                        Ok(line) => {
                            done = done.saturating_add(line.len()).saturating_add(1);
                            read(&mut builder, &mut rank, number, line);
                        }
                        Err(message) => builder.error(format!("line {number}"), message),
                    }
                    more = builder.is_busy();
                }
                self.stage = if builder.errors.len() < MAX_ERRORS {
                    Stage::Lines { builder, number, rank }
                } else {
                    Stage::Finish(builder)
                };
                Ok(Progress::More)
            }
            Stage::Finish(mut builder) => {
                if builder.tidy(DROP_SLICE) {
                    self.stage = Stage::Finish(builder);
                    return Ok(Progress::More);
                }
                let (bundle, errors) = builder.finish();
                let bundle = Bundle { origin: Origin::Signed(self.head().clone()), ..bundle };
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

fn read(builder: &mut Builder, rank: &mut u8, number: usize, line: &[u8]) {
    let at = format!("line {number}");
    let value = match json::parse_at_most(line, MAX_VALUES) {
        Ok(value @ Value::Object(_)) => value,
        Ok(_) => return builder.error(at, "not an object"),
        Err(error) => return builder.error(at, format!("not strict JSON: {error}")),
    };
    match json::typed::<Item>(&value) {
        Ok(item) if item.rank() < *rank => {
            builder.error(at, "out of order: policies come first, grants last");
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
