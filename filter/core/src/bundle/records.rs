//! Rules on authority records.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Display;
use std::sync::Arc;

use super::Builder;
use crate::authority::elevations::{is_same_person, Elevation};
use crate::authority::exceptions::Exception;
use crate::authority::grants::{
    Clash, Delegation, Grant, Selector, Template, ANONYMOUS, MAX_ALIKE, MAX_CLAIM_SETS,
};
use crate::base::spiffe::SpiffeId;
use crate::base::time::UnixTime;
use crate::config::{self, instant, is_label, is_plain_host};
use crate::http::host::no_host;

/// Hosts times paths of one grant.
const MAX_PLACES: usize = 1_000;
/// Hosts times segments of all paths of one grant.
const MAX_STEPS: usize = 10_000;
/// Methods of one grant.
const MAX_METHODS: usize = 32;
/// Paths that one grant excepts: a call looks at each.
const MAX_EXCEPT: usize = 100;
/// Claims that one grant asks for.
const MAX_CLAIMS: usize = 16;
/// Grants and networks of one elevation.
const MAX_ELEVATED: usize = 1_000;

const EMPTY: &str = "an empty list admits nothing; expected at least one";

impl Builder {
    /// One entitlement, with the index of its rule set.
    pub(super) fn resolve_grant(&mut self, at: &dyn Display, written: config::Grant, rule_set: usize) {
        let config::Grant {
            id,
            owner,
            purpose,
            subject,
            subject_prefix,
            claims,
            kinds,
            issuer,
            hosts,
            methods,
            paths,
            except,
            policy: _,
            sensitivity,
            source,
            ticket,
            valid_from,
            valid_until,
            delegation,
            semicolons,
            requires_elevation,
            break_glass_kinds,
            requires_binding,
        } = written;
        let id: Arc<str> = id.into();
        let is_new = self.grant_ids.insert(Arc::clone(&id));
        self.named(at, "grant", &id, is_new);
        let texts = [("source", &source), ("ticket", &ticket), ("sensitivity", &sensitivity)];
        let optional = texts.into_iter().filter_map(|(name, text)| Some((name, text.as_ref()?)));
        self.filled(at, [("owner", &owner), ("purpose", &purpose)].into_iter().chain(optional));
        let segments = paths.iter().map(|path| path.matches('/').count()).fold(0, usize::saturating_add);
        let places = hosts.len().saturating_mul(paths.len());
        for (name, many, most, what) in [
            ("paths", places, MAX_PLACES, "hosts times paths"),
            ("paths", hosts.len().saturating_mul(segments), MAX_STEPS, "hosts times segments of paths"),
            ("methods", methods.len(), MAX_METHODS, "methods"),
            ("except", except.as_ref().map_or(0, Vec::len), MAX_EXCEPT, "paths"),
            ("claims", claims.as_ref().map_or(0, BTreeMap::len), MAX_CLAIMS, "claims"),
        ] {
            // What is too long is not looked at any further.
            if many > most {
                return self.wrong(at, name, format!("{many} {what}; a grant has at most {most}"));
            }
        }
        let selector = self.selector(at, subject, subject_prefix, claims, issuer.as_deref());
        if matches!(&selector, Selector::Subject(subject) if subject == ANONYMOUS) {
            for (name, is_there, message) in [
                ("kinds", !kinds.is_empty(), "an anonymous caller has no kind"),
                ("issuer", issuer.is_some(), "an anonymous caller has no issuer"),
                ("delegation", delegation.is_some(), "an anonymous caller has no principal"),
                ("requires_elevation", requires_elevation, "an anonymous caller is never elevated"),
                ("requires_binding", requires_binding.is_some(), "an anonymous caller has no token"),
            ] {
                if is_there {
                    self.wrong(at, name, message);
                }
            }
        } else if kinds.is_empty() {
            self.wrong(at, "kinds", "missing; expected a list of `workload`, `agent`, `human` or `legacy`");
        }
        if matches!(selector, Selector::Claims { .. }) && delegation.is_some() {
            let message = "claims tell of the token's subject, not of who acts for it; expected `subject`";
            self.wrong(at, "delegation", message);
        }
        self.routes(at, &hosts, &methods);
        let mut templates = Vec::with_capacity(paths.len());
        for template in self.templates(at, "paths", &paths) {
            let names = self.shared(&template.names());
            templates.push((template, names));
        }
        let exceptions = except.map(|except| self.templates(at, "except", &except)).unwrap_or_default();
        let mut instant =
            |name: &str, text: Option<String>| self.instant(&format_args!("{at}.{name}"), &text?);
        let valid_from = instant("valid_from", valid_from);
        let valid_until = instant("valid_until", valid_until);
        if let (Some(from), Some(until)) = (valid_from, valid_until) {
            if until <= from {
                self.wrong(at, "valid_until", "is not after `valid_from`");
            }
        }
        let delegation = delegation.map(|delegation| self.delegation(at, delegation));
        let mut shared = |text: Option<String>| Some(self.shared(&text?));
        let (sensitivity, source, issuer) = (shared(sensitivity), shared(source), shared(issuer));
        let grant = Grant {
            id,
            owner: self.shared(&owner),
            purpose: self.shared(&purpose),
            sensitivity,
            source,
            ticket: ticket.map(Into::into),
            kinds: kinds.into_iter().collect(),
            issuer,
            methods: self.shared(&methods.join(",")),
            except: exceptions.into(),
            valid_from,
            valid_until,
            delegation,
            semicolons,
            requires_elevation,
            break_glass_kinds: break_glass_kinds.into_iter().collect(),
            requires_binding,
            rule_set,
        };
        if !self.grants.has_room_for(&selector) {
            let message =
                format!("more than {MAX_CLAIM_SETS} different sets of claims are asked for of this issuer");
            return self.wrong(at, "claims", message);
        }
        // Numbers of paths count only if all of them could be read.
        let whole = templates.len() == paths.len();
        for Clash { path, message } in self.grants.insert(selector, &hosts, &templates, grant) {
            if whole {
                self.error(format!("{at}.paths[{path}]"), message);
            }
        }
    }

    /// The path templates of a list, which is not empty.
    fn templates(&mut self, at: &dyn Display, name: &str, paths: &[String]) -> Vec<Template> {
        if paths.is_empty() {
            self.wrong(at, name, EMPTY);
        }
        let mut templates = Vec::with_capacity(paths.len());
        for (index, path) in paths.iter().enumerate() {
            match Template::parse(path) {
                Ok(template) => templates.push(template),
                Err(message) => self.error(format!("{at}.{name}[{index}]"), message),
            }
        }
        templates
    }

    /// Whom a grant is for: exactly one of the three.
    fn selector(
        &mut self,
        at: &dyn Display,
        subject: Option<String>,
        prefix: Option<String>,
        claims: Option<BTreeMap<String, String>>,
        issuer: Option<&str>,
    ) -> Selector {
        match (subject, prefix, claims) {
            (Some(subject), None, None) => {
                if subject.trim().is_empty() {
                    self.wrong(at, "subject", "must not be empty");
                }
                self.no_wildcard(format_args!("{at}.subject"), &subject);
                Selector::Subject(subject)
            }
            (None, Some(prefix), None) => {
                let id = prefix.strip_suffix('/');
                if id.is_none_or(|id| SpiffeId::parse(id).is_err()) {
                    let message = format!("`{prefix}` is not a SPIFFE ID with `/` behind it");
                    self.wrong(at, "subject_prefix", message);
                }
                Selector::Prefix(prefix)
            }
            (None, None, Some(claims)) => {
                if claims.is_empty() {
                    self.wrong(at, "claims", "no claim admits every caller; expected at least one");
                }
                for (claim, text) in &claims {
                    self.no_wildcard(format_args!("{at}.claims.{claim}"), text);
                    if claim.is_empty() || claim == "/" || text.is_empty() {
                        self.error(
                            format!("{at}.claims.{claim}"),
                            "neither the claim nor its text may be empty",
                        );
                    }
                }
                if issuer.is_none() {
                    self.wrong(at, "issuer", "missing; claims mean what their issuer says they mean");
                }
                Selector::Claims { issuer: issuer.unwrap_or_default().to_owned(), claims }
            }
            (subject, ..) => {
                self.error(
                    at.to_string(),
                    "expected exactly one of `subject`, `subject_prefix` and `claims`",
                );
                Selector::Subject(subject.unwrap_or_default())
            }
        }
    }

    /// What is compared as it is, and written as if it were a pattern, would never match.
    fn no_wildcard(&mut self, at: impl Display, text: &str) {
        if text == "*" || text.ends_with("/*") || text.ends_with(":*") {
            self.error(at.to_string(), format!("`{text}` is compared as it is: `*` stands for nothing else"));
        }
    }

    fn routes(&mut self, at: &dyn Display, hosts: &[String], methods: &[String]) {
        for (name, list) in [("hosts", hosts), ("methods", methods)] {
            if list.is_empty() {
                self.wrong(at, name, EMPTY);
            }
        }
        let mut seen = BTreeSet::new();
        for (index, host) in hosts.iter().enumerate() {
            if !is_plain_host(host) {
                self.error(format!("{at}.hosts[{index}]"), no_host(host));
            }
            if !seen.insert(host) {
                self.error(format!("{at}.hosts[{index}]"), format!("`{host}` is repeated"));
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
    }

    fn delegation(&mut self, at: &dyn Display, written: config::Delegation) -> Box<Delegation> {
        let config::Delegation { on_behalf_of, actors } = written;
        if on_behalf_of.as_ref().is_some_and(Vec::is_empty) {
            self.error(
                format!("{at}.delegation.on_behalf_of"),
                "an empty list admits nobody; expected at least one",
            );
        }
        for (name, list) in [("on_behalf_of", &on_behalf_of), ("actors", &actors)] {
            for (index, text) in list.iter().flatten().enumerate() {
                self.no_wildcard(format_args!("{at}.delegation.{name}[{index}]"), text);
            }
        }
        let sorted = |list: Option<Vec<String>>| {
            let mut list = list?;
            list.sort_unstable();
            Some(list)
        };
        Box::new(Delegation { on_behalf_of: sorted(on_behalf_of), actors: sorted(actors) })
    }

    /// One elevation. What it names is looked for when everything has come.
    pub(crate) fn elevation(&mut self, at: &str, written: config::Elevation) {
        let config::Elevation {
            id,
            owner,
            subject,
            grants,
            approver,
            ticket,
            reason,
            valid_from,
            valid_until,
            networks,
            break_glass,
        } = written;
        let is_new = self.elevation_ids.insert(id.clone());
        self.named(&at, "elevation", &id, is_new);
        let texts =
            [("subject", &subject), ("approver", &approver), ("ticket", &ticket), ("reason", &reason)];
        self.filled(&at, texts.into_iter().chain(owner.as_ref().map(|owner| ("owner", owner))));
        if subject == ANONYMOUS {
            self.wrong(&at, "subject", "an anonymous caller is never elevated");
        }
        self.no_wildcard(format_args!("{at}.subject"), &subject);
        if is_same_person(&approver, &subject) && !break_glass {
            self.wrong(&at, "approver", "is the subject; expected somebody else, or `break_glass: true`");
        }
        for (name, list) in [("grants", Some(&grants)), ("networks", networks.as_ref())] {
            if list.is_some_and(Vec::is_empty) {
                self.wrong(&at, name, EMPTY);
            }
        }
        for (name, many) in [("grants", grants.len()), ("networks", networks.as_ref().map_or(0, Vec::len))] {
            if many > MAX_ELEVATED {
                let message = format!("{many} {name}; an elevation has at most {MAX_ELEVATED}");
                return self.wrong(&at, name, message);
            }
        }
        let mut seen = BTreeSet::new();
        for (index, grant) in grants.iter().enumerate() {
            let place = || format!("{at}.grants[{index}]");
            if !seen.insert(grant) {
                self.error(place(), format!("`{grant}` is repeated"));
            }
            self.elevated_grants.entry(grant.clone()).or_insert_with(place);
        }
        for (index, network) in networks.iter().flatten().enumerate() {
            self.networks.entry(network.clone()).or_insert_with(|| format!("{at}.networks[{index}]"));
        }
        let (most, unit, seconds, limit) = if break_glass {
            (*self.limits.break_glass_minutes, "minutes", 60, "break_glass_minutes")
        } else {
            (*self.limits.elevation_hours, "hours", 3_600, "elevation_hours")
        };
        let span = self.span(at, (&valid_from, &valid_until), most, (unit, seconds), limit);
        let Some((valid_from, valid_until)) = span else { return };
        let elevation =
            Elevation { id, owner, approver, ticket, reason, valid_from, valid_until, networks, break_glass };
        if let Some(index) = self.elevations.insert(&subject, &grants, elevation) {
            let message = format!("more than {MAX_ALIKE} elevations are of this subject for this grant");
            self.error(format!("{at}.grants[{index}]"), message);
        }
    }

    /// One documented exception.
    pub(crate) fn exception(&mut self, at: &str, written: config::Exception) {
        let config::Exception { id, owner, reason, compensating_control, valid_from, valid_until } = written;
        let is_new = !self.exceptions.contains_key(&*id);
        self.named(&at, "exception", &id, is_new);
        let texts = [("owner", &owner), ("reason", &reason), ("compensating_control", &compensating_control)];
        self.filled(&at, texts);
        let days = *self.limits.exception_days;
        let span = self.span(at, (&valid_from, &valid_until), days, ("days", 86_400), "exception_days");
        let Some((valid_from, valid_until)) = span else { return };
        let exception = Exception { id, owner, reason, compensating_control, valid_from, valid_until };
        self.exceptions.insert(exception.id.as_str().into(), Arc::new(exception));
    }

    /// The id of a record, which is a name, and its own.
    fn named(&mut self, at: &dyn Display, what: &str, id: &str, is_new: bool) {
        if !is_label(id) {
            let message = format!("`{id}` is not a name of 1 to 64 letters, digits, `-`, `_` or `.`");
            self.wrong(&at, "id", message);
        }
        if !is_new {
            self.wrong(&at, "id", format!("duplicate {what} id `{id}`"));
        }
    }

    fn wrong(&mut self, at: &dyn Display, member: &str, message: impl Into<String>) {
        self.error(format!("{at}.{member}"), message);
    }

    fn filled<'t>(&mut self, at: &dyn Display, texts: impl IntoIterator<Item = (&'t str, &'t String)>) {
        for (name, text) in texts {
            if text.trim().is_empty() {
                self.wrong(at, name, "must not be empty");
            }
        }
    }

    /// From when until when a record is valid: for no longer than `most` units of so many seconds, as a limit has it.
    fn span(
        &mut self,
        at: &str,
        (from, until): (&str, &str),
        most: usize,
        (unit, seconds): (&str, i64),
        limit: &str,
    ) -> Option<(UnixTime, UnixTime)> {
        let from = self.instant(&format_args!("{at}.valid_from"), from);
        let until = self.instant(&format_args!("{at}.valid_until"), until);
        let (from, until) = (from?, until?);
        let ceiling = i64::try_from(most).unwrap_or(i64::MAX).saturating_mul(seconds);
        if !(1..=ceiling).contains(&until.secs().saturating_sub(from.secs())) {
            let message =
                format!("`{until}` is not within {most} {unit} after `valid_from` (`limits.{limit}`)");
            self.wrong(&at, "valid_until", message);
        }
        Some((from, until))
    }

    fn instant(&mut self, path: &dyn Display, text: &str) -> Option<UnixTime> {
        instant(text).map_err(|message| self.error(path.to_string(), message)).ok()
    }
}
