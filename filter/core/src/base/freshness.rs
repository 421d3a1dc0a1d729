//! How old what decides is, in a word.

/// How fresh something is that is followed, in one worker.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Freshness {
    /// There is none yet.
    Missing,
    /// It is as young as it has to be.
    Fresh,
    /// It is older. Keys serve all the same while their server is down; what rests on a bundle or a feed is refused,
    /// unless the configuration says that a feed's last known facts do.
    Stale,
    /// Keys that are older than even then: they don't serve.
    Expired,
}

impl Freshness {
    /// Of what serves only while it is fresh, and why it does not.
    pub(crate) fn of(is_missing: bool, served: Result<(), String>) -> (Self, String) {
        match served {
            Ok(()) => (Self::Fresh, String::new()),
            Err(why) => (if is_missing { Self::Missing } else { Self::Stale }, why),
        }
    }
}
