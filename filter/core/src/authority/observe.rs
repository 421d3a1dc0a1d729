//! The first days of a route: what would be refused there is passed on and written down, so that a
//! policy can be seen at work before anybody depends on it. For so many days, and for refusals of
//! grants and policies only: `Reason::observable` says which.

use crate::authority::grants::Template;
use crate::base::time::UnixTime;
use crate::http::host::ANY_PORT;
use crate::http::target::Target;

/// How far ahead the end may be.
pub(crate) const MAX_OBSERVE_DAYS: i64 = 30;

/// Where refusals are passed on, and until when.
#[derive(Debug)]
pub(crate) struct Observe {
    pub(crate) hosts: Vec<String>,
    pub(crate) paths: Vec<Template>,
    pub(crate) until: UnixTime,
}

impl Observe {
    pub(crate) fn covers(&self, target: &Target) -> bool {
        let names = |host: &String| match host.strip_suffix(ANY_PORT) {
            Some(name) => name == target.host_name(),
            None => *host == target.host,
        };
        self.hosts.iter().any(names) && self.paths.iter().any(|template| template.matches(target))
    }

    /// Whether the end is near enough, and has not come. There is no clock where a configuration is
    /// read: so an end that is too far away is one that never begins.
    pub(crate) fn is_on(&self, now: UnixTime) -> bool {
        now < self.until && !self.is_too_far(now)
    }

    pub(crate) fn is_too_far(&self, now: UnixTime) -> bool {
        self.until > now.plus_secs(MAX_OBSERVE_DAYS.saturating_mul(86_400))
    }
}
