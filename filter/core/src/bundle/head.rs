//! What the first line of a bundle file says.

use std::sync::Arc;

use serde::Deserialize;

use crate::sync::rollback::Offer;
use crate::sync::signed::{FileKind, Head};

/// What a signed bundle says of itself.
pub type BundleHead = Head<BundleName>;

/// Which bundle it is.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct BundleName {
    /// Its author's name for this state of things.
    pub revision: Arc<str>,
}

impl FileKind for BundleName {
    const TYPE: &'static str = "everycall-bundle+jwt";
    const CLAIMS: &'static [&'static str] = &["revision"];

    fn check(head: &BundleHead) -> Result<(), String> {
        let revision = &head.about.revision;
        let is_good = (1..=128).contains(&revision.len()) && revision.bytes().all(|b| b.is_ascii_graphic());
        is_good.then_some(()).ok_or_else(|| "`revision` is not 1 to 128 printable ASCII characters".into())
    }

    fn name(head: &BundleHead) -> String {
        format!("the bundle `{}`", head.about.revision)
    }
}

impl BundleHead {
    /// To be compared with what was in force.
    pub(crate) fn offer(&self) -> Offer<'_> {
        Offer { name: &self.about.revision, sequence: self.sequence, digest: Some(self.digest) }
    }
}
