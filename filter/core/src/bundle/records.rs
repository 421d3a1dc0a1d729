//! Rules on authority records.

use std::sync::Arc;

use super::Builder;
use crate::config;
use crate::exceptions::Exception;
use crate::grants::{Delegation, Grant, Template, ANONYMOUS};
use crate::input;
use crate::settings::{instant, is_label};
use crate::time::UnixTime;

impl Builder {
    /// One entitlement, with the index of its rule set.
    pub(super) fn resolve_grant(&mut self, at: &str, written: config::Grant, rule_set: usize) {
        let config::Grant {
            id,
            owner,
            purpose,
            subject,
            kinds,
            issuer,
            hosts,
            methods,
            paths,
            policy: _,
            sensitivity,
            valid_from,
            valid_until,
            delegation,
            semicolons,
        } = written;
        if !is_label(&id) {
            self.error(
                format!("{at}.id"),
                format!("`{id}` is not a name of 1 to 64 letters, digits, `-`, `_` or `.`"),
            );
        }
        for (name, value) in [("owner", &owner), ("purpose", &purpose), ("subject", &subject)] {
            if value.trim().is_empty() {
                self.error(format!("{at}.{name}"), "must not be empty");
            }
        }
        match (subject.as_str(), kinds.as_slice()) {
            (ANONYMOUS, [_, ..]) => self.error(format!("{at}.kinds"), "an anonymous caller has no kind"),
            (ANONYMOUS, []) => {
                if issuer.is_some() {
                    self.error(format!("{at}.issuer"), "an anonymous caller has no issuer");
                }
                if delegation.is_some() {
                    self.error(format!("{at}.delegation"), "an anonymous caller has no principal");
                }
            }
            (_, []) => self.error(
                format!("{at}.kinds"),
                "missing; expected a list of `workload`, `agent`, `human` or `legacy`",
            ),
            (_, [_, ..]) => {}
        }
        for (name, list) in [("hosts", &hosts), ("methods", &methods), ("paths", &paths)] {
            if list.is_empty() {
                self.error(format!("{at}.{name}"), "an empty list admits nothing; expected at least one");
            }
        }
        for (index, host) in hosts.iter().enumerate() {
            let plain = host
                .bytes()
                .all(|b| matches!(b, b'a'..=b'z' | b'0'..=b'9' | b'-' | b'_' | b'.' | b':' | b'[' | b']'));
            if host.is_empty() || !plain || host.ends_with('.') {
                self.error(format!("{at}.hosts[{index}]"), format!("`{host}` is not a host in lower case"));
            }
        }
        for (index, method) in methods.iter().enumerate() {
            if method.is_empty() || !method.bytes().all(|b| b.is_ascii_uppercase() || b == b'-') {
                self.error(
                    format!("{at}.methods[{index}]"),
                    format!("`{method}` is not a method in upper case"),
                );
            }
        }
        let mut templates = Vec::with_capacity(paths.len());
        for (index, path) in paths.iter().enumerate() {
            match Template::parse(path) {
                Ok(template) => templates.push(template),
                Err(message) => self.error(format!("{at}.paths[{index}]"), message),
            }
        }
        let mut instant = |name: &str, text: Option<String>| self.instant(&format!("{at}.{name}"), &text?);
        let valid_from = instant("valid_from", valid_from);
        let valid_until = instant("valid_until", valid_until);
        if let (Some(from), Some(until)) = (valid_from, valid_until) {
            if until <= from {
                self.error(format!("{at}.valid_until"), "is not after `valid_from`");
            }
        }
        let delegation = delegation.map(|config::Delegation { principals }| Delegation { principals });
        if delegation.as_ref().and_then(|d| d.principals.as_ref()).is_some_and(Vec::is_empty) {
            self.error(
                format!("{at}.delegation.principals"),
                "an empty list admits nobody; expected at least one",
            );
        }
        let input = input::grant_once(&id, &purpose, &owner, sensitivity.as_deref());
        let grant = Arc::new(Grant {
            id,
            owner,
            purpose,
            sensitivity,
            kinds: kinds.iter().copied().collect(),
            issuer,
            methods,
            valid_from,
            valid_until,
            delegation,
            semicolons,
            rule_set,
            input,
        });
        self.grants.insert(&subject, &hosts, &templates, &grant);
    }

    /// One documented exception.
    pub(crate) fn exception(&mut self, at: &str, written: config::Exception) {
        let config::Exception { id, owner, reason, compensating_control, valid_from, valid_until } = written;
        if !is_label(&id) {
            self.error(
                format!("{at}.id"),
                format!("`{id}` is not a name of 1 to 64 letters, digits, `-`, `_` or `.`"),
            );
        }
        if self.exceptions.iter().any(|other| other.id == id) {
            self.error(format!("{at}.id"), format!("duplicate exception id `{id}`"));
        }
        for (name, value) in
            [("owner", &owner), ("reason", &reason), ("compensating_control", &compensating_control)]
        {
            if value.trim().is_empty() {
                self.error(format!("{at}.{name}"), "must not be empty");
            }
        }
        let from = self.instant(&format!("{at}.valid_from"), &valid_from);
        let until = self.instant(&format!("{at}.valid_until"), &valid_until);
        let (Some(valid_from), Some(valid_until)) = (from, until) else { return };
        let seconds = valid_until.secs().saturating_sub(valid_from.secs());
        let days = i64::try_from(self.limits.exception_days).unwrap_or(i64::MAX);
        if !(1..=days.saturating_mul(86_400)).contains(&seconds) {
            self.error(
                format!("{at}.valid_until"),
                format!(
                    "`{valid_until}` is not within {days} days after `valid_from` (`limits.exception_days`)"
                ),
            );
        }
        let exception = Exception { id, owner, reason, compensating_control, valid_from, valid_until };
        self.exceptions.push(Arc::new(exception));
    }

    fn instant(&mut self, path: &str, text: &str) -> Option<UnixTime> {
        instant(text).map_err(|message| self.error(path, message)).ok()
    }
}
