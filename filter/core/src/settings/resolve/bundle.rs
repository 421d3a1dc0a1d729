//! Rules on policies and authority records.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use super::{instant, is_label, Resolver};
use crate::config::{self, Limits};
use crate::exceptions::Exception;
use crate::grants::{Delegation, Grant, Grants, Template, ANONYMOUS};
use crate::input;
use crate::policy::{self, Library, RuleSet};
use crate::time::UnixTime;

impl Resolver {
    /// Grants, the rule sets that they name, and exceptions.
    pub(super) fn bundle(
        &mut self,
        bundle: config::InlineBundle,
        limits: &Limits,
    ) -> (Grants, Vec<RuleSet>, Vec<Arc<Exception>>) {
        let config::InlineBundle { policies, data, grants: written, elevations, exceptions } = bundle;
        if !elevations.is_empty() {
            self.error("bundle.inline.elevations", "not supported yet; expected an empty list");
        }
        let exceptions = self.exceptions(exceptions, limits);
        let mut library = Library::new(data);
        let mut parses = true;
        for (file, source) in &policies {
            if let Err(message) = library.add(file, source) {
                parses = false;
                self.error(format!("bundle.inline.policies[{file:?}]"), message);
            }
        }
        let mut grants = Grants::default();
        let mut rule_sets: Vec<RuleSet> = Vec::new();
        let mut compiled: BTreeMap<String, Option<usize>> = BTreeMap::new();
        let mut ids = BTreeSet::new();
        for (index, grant) in written.into_iter().enumerate() {
            let at = format!("bundle.inline.grants[{index}]");
            if !ids.insert(grant.id.clone()) {
                self.error(format!("{at}.id"), format!("duplicate grant id `{}`", grant.id));
            }
            let package = policy::package(grant.policy.as_deref());
            let rule_set = *compiled.entry(package.clone()).or_insert_with(|| {
                // A module that does not parse was reported; what is missing because of it is not.
                if !parses {
                    return None;
                }
                match library.rule_set(&package, limits.instructions) {
                    Ok(rules) => {
                        rule_sets.push(rules);
                        Some(rule_sets.len().saturating_sub(1))
                    }
                    Err(message) => {
                        self.error(format!("{at}.policy"), message);
                        None
                    }
                }
            });
            self.grant(&at, grant, rule_set.unwrap_or(usize::MAX), &mut grants);
        }
        (grants, rule_sets, exceptions)
    }

    fn grant(&mut self, at: &str, written: config::Grant, rule_set: usize, grants: &mut Grants) {
        let config::Grant {
            id,
            owner,
            purpose,
            subject,
            kind,
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
        match (subject.as_str(), kind) {
            (ANONYMOUS, Some(_)) => self.error(format!("{at}.kind"), "an anonymous caller has no kind"),
            (ANONYMOUS, None) => {
                if issuer.is_some() {
                    self.error(format!("{at}.issuer"), "an anonymous caller has no issuer");
                }
                if delegation.is_some() {
                    self.error(format!("{at}.delegation"), "an anonymous caller has no principal");
                }
            }
            (_, None) => {
                self.error(format!("{at}.kind"), "missing; expected `workload`, `agent`, `human` or `legacy`")
            }
            (_, Some(_)) => {}
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
            kind,
            issuer,
            methods,
            valid_from,
            valid_until,
            delegation,
            semicolons,
            rule_set,
            input,
        });
        grants.insert(&subject, &hosts, &templates, &grant);
    }

    fn exceptions(&mut self, exceptions: Vec<config::Exception>, limits: &Limits) -> Vec<Arc<Exception>> {
        let mut resolved: Vec<Arc<Exception>> = Vec::with_capacity(exceptions.len());
        for (index, written) in exceptions.into_iter().enumerate() {
            let at = format!("bundle.inline.exceptions[{index}]");
            let config::Exception { id, owner, reason, compensating_control, valid_from, valid_until } =
                written;
            if !is_label(&id) {
                self.error(
                    format!("{at}.id"),
                    format!("`{id}` is not a name of 1 to 64 letters, digits, `-`, `_` or `.`"),
                );
            }
            if resolved.iter().any(|other| other.id == id) {
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
            let (Some(valid_from), Some(valid_until)) = (from, until) else { continue };
            let seconds = valid_until.secs().saturating_sub(valid_from.secs());
            let days = i64::try_from(limits.exception_days).unwrap_or(i64::MAX);
            if !(1..=days.saturating_mul(86_400)).contains(&seconds) {
                self.error(
                    format!("{at}.valid_until"),
                    format!("`{valid_until}` is not within {days} days after `valid_from` (`limits.exception_days`)"),
                );
            }
            let exception = Exception { id, owner, reason, compensating_control, valid_from, valid_until };
            resolved.push(Arc::new(exception));
        }
        resolved
    }

    fn instant(&mut self, path: &str, text: &str) -> Option<UnixTime> {
        instant(text).map_err(|message| self.error(path, message)).ok()
    }
}
