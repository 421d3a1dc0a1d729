//! The host's shared data behind the core's trait.

use everycall_core::jose::Unavailable;
use everycall_core::sync::SharedData;

use crate::host::{self, Error};

/// One map for all workers of the proxy.
#[derive(Debug)]
pub(crate) struct HostData;

impl SharedData for HostData {
    fn get(&self, key: &str) -> Result<Option<(Vec<u8>, u32)>, Unavailable> {
        match host::shared_data(key) {
            Ok(entry) => Ok(Some(entry)),
            Err(Error::NotFound) => Ok(None),
            Err(Error::Changed | Error::Failed) => Err(Unavailable),
        }
    }

    fn put(&self, key: &str, bytes: &[u8], expect: Option<u32>) -> Result<bool, Unavailable> {
        // 0 would write without looking; any other number creates a missing entry, for one writer
        // only if all of them name the same.
        match host::set_shared_data(key, bytes, expect.map_or(u32::MAX, |version| version.max(1))) {
            Ok(()) => Ok(true),
            Err(Error::Changed) => Ok(false),
            Err(Error::NotFound | Error::Failed) => Err(Unavailable),
        }
    }
}
