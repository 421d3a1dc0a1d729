//! Entries that all workers of a proxy see. Others may write there too (Istio gives all plugins one
//! map), so every entry of ours carries an HMAC under a key that comes from the configuration.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::fmt;
use std::rc::Rc;

use hmac::{Hmac, Mac as _};
use sha2::{Digest as _, Sha256};

use crate::base::hex;
use crate::base::time::UnixTime;
use crate::jose::signature::Unavailable;

const MAC: usize = 32;

/// The proxy's map of shared entries. No call may come back into the engine.
pub trait SharedData {
    /// An entry and its version number, if it was ever written.
    ///
    /// # Errors
    /// The host failed.
    fn get(&self, key: &str) -> Result<Option<(Vec<u8>, u32)>, Unavailable>;

    /// Writes an entry if its version number is still `expect`; `None`: if it was never written.
    /// Answers whether it was written.
    ///
    /// # Errors
    /// The host failed.
    fn put(&self, key: &str, bytes: &[u8], expect: Option<u32>) -> Result<bool, Unavailable>;
}

/// A map for one engine alone: for the command line, and for proxies that have none.
#[derive(Debug, Default)]
pub struct LocalData {
    entries: RefCell<BTreeMap<String, (Vec<u8>, u32)>>,
}

impl LocalData {
    /// The names of all entries.
    pub fn names(&self) -> Vec<String> {
        self.entries.borrow().keys().cloned().collect()
    }
}

impl SharedData for LocalData {
    fn get(&self, key: &str) -> Result<Option<(Vec<u8>, u32)>, Unavailable> {
        Ok(self.entries.borrow().get(key).cloned())
    }

    fn put(&self, key: &str, bytes: &[u8], expect: Option<u32>) -> Result<bool, Unavailable> {
        let mut entries = self.entries.borrow_mut();
        let version = entries.get(key).map(|(_, version)| *version);
        if version != expect {
            return Ok(false);
        }
        let next = version.unwrap_or_default().wrapping_add(1);
        entries.insert(key.to_owned(), (bytes.to_vec(), next));
        Ok(true)
    }
}

/// What stands at a name.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum SharedEntry {
    /// Nothing was ever written.
    Absent,
    /// Ours.
    Ours { payload: Vec<u8>, version: u32 },
    /// Not written by an engine of this configuration.
    Foreign { version: u32 },
}

impl SharedEntry {
    /// What [`Shared::write`] has to expect in order to replace this.
    pub(crate) const fn version(&self) -> Option<u32> {
        match self {
            SharedEntry::Absent => None,
            SharedEntry::Ours { version, .. } | SharedEntry::Foreign { version } => Some(*version),
        }
    }
}

/// The entries of one configuration.
#[derive(Clone)]
pub(crate) struct Shared {
    data: Rc<dyn SharedData>,
    prefix: String,
    key: [u8; 32],
}

impl fmt::Debug for Shared {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Shared({})", self.prefix)
    }
}

impl Shared {
    /// Entries that rest on these parts of a configuration: `digest` is of them.
    pub(crate) fn new(data: Rc<dyn SharedData>, digest: &[u8; 32]) -> Self {
        let derive = |label: &str| Sha256::new().chain_update(label).chain_update(digest).finalize();
        let prefix = hex::encode(&derive("everycall shared name")).chars().take(16).collect();
        Self { data, prefix, key: derive("everycall shared key").into() }
    }

    /// Entries that all configurations on this proxy have together. Their names and key are no
    /// secret.
    pub(crate) fn common(data: Rc<dyn SharedData>) -> Self {
        Self::new(data, &[0; 32])
    }

    /// The entries of whatever is followed at one place, under a configuration with this digest.
    pub(crate) fn of_place(&self, digest: &[u8; 32], kind: &str, place: [&str; 3]) -> Self {
        let mut hash = Sha256::new_with_prefix("everycall follows");
        hash.update(digest);
        for part in [kind].into_iter().chain(place) {
            hash.update(part.len().to_le_bytes());
            hash.update(part);
        }
        self.of(&hash.finalize().into())
    }

    /// The entries of another configuration.
    pub(crate) fn of(&self, digest: &[u8; 32]) -> Self {
        Self::new(Rc::clone(&self.data), digest)
    }

    /// # Errors
    /// The host failed.
    pub(crate) fn read(&self, name: &str) -> Result<SharedEntry, Unavailable> {
        let Some((bytes, version)) = self.data.get(&self.full(name))? else { return Ok(SharedEntry::Absent) };
        let Some((mac, payload)) = bytes.split_at_checked(MAC) else {
            return Ok(SharedEntry::Foreign { version });
        };
        Ok(match self.mac(name, payload)?.verify_slice(mac) {
            Ok(()) => SharedEntry::Ours { payload: payload.to_vec(), version },
            Err(_) => SharedEntry::Foreign { version },
        })
    }

    /// Replaces what was read; `false` if another worker was faster.
    ///
    /// # Errors
    /// The host failed.
    pub(crate) fn write(&self, name: &str, payload: &[u8], read: &SharedEntry) -> Result<bool, Unavailable> {
        let mut bytes = self.mac(name, payload)?.finalize().into_bytes().to_vec();
        bytes.extend_from_slice(payload);
        self.data.put(&self.full(name), &bytes, read.version())
    }

    /// Writes a payload unless what stands there is enough. Several workers may write at a time: the last word is that of
    /// whoever's is enough for the others.
    pub(crate) fn raise(&self, name: &str, payload: &[u8], is_enough: impl Fn(&SharedEntry) -> bool) {
        for _ in 0..8 {
            let Ok(entry) = self.read(name) else { return };
            if is_enough(&entry) || self.write(name, payload, &entry) != Ok(false) {
                return;
            }
        }
    }

    fn full(&self, name: &str) -> String {
        format!("everycall/{}/{name}", self.prefix)
    }

    /// Over the name too: an entry must not stand in for another one.
    fn mac(&self, name: &str, payload: &[u8]) -> Result<Hmac<Sha256>, Unavailable> {
        let mac = Hmac::<Sha256>::new_from_slice(&self.key).map_err(|_| Unavailable)?;
        Ok(mac.chain_update(name).chain_update([0]).chain_update(payload))
    }
}

/// The time that a payload begins with, and the rest of it.
pub(crate) fn read_time(bytes: &[u8]) -> Option<(UnixTime, &[u8])> {
    let (micros, rest) = bytes.split_first_chunk::<8>()?;
    Some((UnixTime::from_micros(i64::from_le_bytes(*micros)), rest))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn entries_are_seen_by_the_same_configuration_only_and_can_not_be_forged() {
        let data = Rc::new(LocalData::default());
        let shared = |digest: u8| Shared::new(Rc::<LocalData>::clone(&data), &[digest; 32]);
        let (one, two, other) = (shared(1), shared(1), shared(2));
        assert!(one.write("a", b"payload", &SharedEntry::Absent).unwrap());
        let read = two.read("a").unwrap();
        assert!(matches!(&read, SharedEntry::Ours { payload, .. } if payload == b"payload"));
        assert_eq!(other.read("a").unwrap(), SharedEntry::Absent);
        // Lost races.
        assert!(!two.write("a", b"x", &SharedEntry::Absent).unwrap());
        assert!(two.write("a", b"y", &read).unwrap());
        assert!(!two.write("a", b"z", &read).unwrap());
        // Each byte counts, and the name does.
        let (bytes, _) = data.get(&one.full("a")).unwrap().unwrap();
        for at in 0..bytes.len() {
            let mut forged = bytes.clone();
            forged[at] ^= 1;
            data.entries.borrow_mut().insert(one.full("a"), (forged, 9));
            assert_eq!(one.read("a").unwrap(), SharedEntry::Foreign { version: 9 });
        }
        data.entries.borrow_mut().insert(one.full("b"), (bytes.clone(), 9));
        assert_eq!(one.read("b").unwrap(), SharedEntry::Foreign { version: 9 });
        for short in [&bytes[..0], &bytes[..31], &bytes[..32]] {
            data.entries.borrow_mut().insert(one.full("a"), (short.to_vec(), 9));
            assert_eq!(one.read("a").unwrap(), SharedEntry::Foreign { version: 9 });
        }
    }
}
