//! A file in the place of what a server of bundles would send, for those who do not fetch.

use super::super::Bundle;
use crate::settings::Settings;
use crate::signature::PureRust;
use crate::signed::{FileError, FileFault};
use crate::time::UnixTime;

impl Settings {
    /// Whether bundles come from a server besides what the configuration holds.
    pub const fn has_bundle_server(&self) -> bool {
        self.bundle_source.remote.is_some()
    }

    /// Takes a bundle file as if the server had sent it and nothing before it: in the place of what the
    /// configuration holds, and by the rules on what is fetched. Without `now` its times are not looked at.
    ///
    /// # Errors
    /// Why the filter would not take it; what the configuration holds stays then.
    pub fn take_bundle(&mut self, file: &[u8], now: Option<UnixTime>) -> Result<(), FileError> {
        let source = &self.bundle_source;
        let max_bytes = source.remote.as_ref().map_or(usize::MAX, |remote| remote.max_bytes);
        if file.len() > max_bytes {
            let message = format!("{} bytes; `bundle.remote.max_bytes` is {max_bytes}", file.len());
            return Err(FileError::new(FileFault::TooLarge, "", message));
        }
        let bundle = Bundle::from_signed(file, &source.keys, &PureRust, &self.limits)?;
        if let Some(head) = bundle.head() {
            if let Some(now) = now {
                head.judge_times(now, source.max_stale_s)?;
            }
            head.offer().not_older(self.bundle.head().map(|known| (known.sequence, Some(known.digest))))?;
        }
        self.bundle = bundle;
        Ok(())
    }

    /// Whether the bundle that the configuration holds may decide now.
    ///
    /// # Errors
    /// It is signed and has expired, is too old, or is not valid yet.
    pub fn judge_bundle(&self, now: UnixTime) -> Result<(), FileError> {
        self.bundle.head().map_or(Ok(()), |head| head.judge_times(now, self.bundle_source.max_stale_s))
    }
}
