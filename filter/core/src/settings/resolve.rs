//! From the configuration as it is written to settings: every rule on a value is here.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use ipnet::IpNet;

use super::{ConfigError, CredentialSource, Issuer, Network, Pdp, Settings};
use crate::attributes::{self, ATTRIBUTES};
use crate::config::{self, Config, Limits};
use crate::grants::{Delegation, Grant, Grants, Template, ANONYMOUS};
use crate::input;
use crate::keys::KeySet;
use crate::policy::{self, Library, RuleSet};
use crate::reads::Reads;
use crate::time::UnixTime;

/// The one version of the configuration format.
const VERSION: u32 = 1;
/// Leeway that may be configured, in seconds.
const MAX_LEEWAY_S: i64 = 60;

#[derive(Default)]
pub(super) struct Resolver {
    pub(super) errors: Vec<ConfigError>,
}

impl Resolver {
    fn error(&mut self, path: impl AsRef<str>, message: impl Into<String>) {
        self.errors.push(ConfigError::new(path.as_ref(), message));
    }

    /// Resolves everything. The result counts only if no error was noted.
    pub(super) fn settings(&mut self, config: Config, revision: &str, token_generation: &str) -> Settings {
        // A new key must be looked at here before it can be accepted.
        let Config { version, instance, issuers, credentials, bundle, pdps, networks, limits, log } = config;
        if version != VERSION {
            self.error("version", format!("`{version}` is not supported; expected {VERSION}"));
        }
        if !is_label(&instance) {
            self.error(
                "instance",
                format!("`{instance}` is not a name of 1 to 64 letters, digits, `-`, `_` or `.`"),
            );
        }
        self.limits(&limits);
        let issuers = self.issuers(issuers);
        let credentials = self.credentials(credentials);
        let pdps = self.pdps(pdps);
        let networks = self.networks(networks);
        let (grants, rule_sets) = self.bundle(bundle.inline, &limits);
        let mut reads = Reads::default();
        rule_sets.iter().for_each(|rules| reads.merge(rules.reads()));
        let attributes =
            ATTRIBUTES.iter().filter(|attribute| attributes::is_read(attribute.name, &reads)).collect();
        Settings {
            instance,
            revision: revision.to_owned(),
            token_generation: u64::from_str_radix(token_generation, 16).unwrap_or_default(),
            issuers,
            credentials,
            grants,
            rule_sets,
            pdps,
            networks,
            limits,
            log_records: log.records,
            attributes,
        }
    }

    fn limits(&mut self, limits: &Limits) {
        let Limits {
            instructions,
            input_bytes,
            pdp_questions,
            pdp_rounds,
            max_pending,
            tokens_cached,
            token_bytes,
        } = limits;
        for (name, value, range) in [
            ("instructions", *instructions, 100..=10_000_000),
            ("input_bytes", *input_bytes, 1_024..=1_048_576),
            ("pdp_questions", *pdp_questions, 0..=64),
            ("pdp_rounds", *pdp_rounds, 0..=16),
            ("max_pending", *max_pending, 0..=100_000),
            ("tokens_cached", *tokens_cached, 0..=1_000_000),
            ("token_bytes", *token_bytes, 256..=65_536),
        ] {
            if !range.contains(&value) {
                let (low, high) = (range.start(), range.end());
                self.error(
                    format!("limits.{name}"),
                    format!("{value} is out of range; expected {low} to {high}"),
                );
            }
        }
    }

    fn issuers(&mut self, issuers: Vec<config::Issuer>) -> Vec<Issuer> {
        if issuers.is_empty() {
            self.error("issuers", "expected at least one issuer");
        }
        let mut names = BTreeSet::new();
        let mut resolved = Vec::with_capacity(issuers.len());
        for (index, written) in issuers.into_iter().enumerate() {
            let at = format!("issuers[{index}]");
            let config::Issuer {
                issuer,
                audiences,
                algorithms,
                max_lifetime_s,
                keys,
                kind,
                task_claim,
                types,
                leeway_s,
            } = written;
            if issuer.is_empty() {
                self.error(format!("{at}.issuer"), "must not be empty");
            }
            if !names.insert(issuer.clone()) {
                self.error(format!("{at}.issuer"), format!("duplicate issuer `{issuer}`"));
            }
            if audiences.is_empty() || audiences.iter().any(String::is_empty) {
                self.error(format!("{at}.audiences"), "expected at least one audience, none of them empty");
            }
            if algorithms.is_empty() {
                self.error(format!("{at}.algorithms"), "expected at least one of `RS256`, `ES256`, `EdDSA`");
            }
            if !(1..=86_400).contains(&max_lifetime_s) {
                self.error(
                    format!("{at}.max_lifetime_s"),
                    format!("{max_lifetime_s} is out of range; expected 1 to 86400"),
                );
            }
            if !(0..=MAX_LEEWAY_S).contains(&leeway_s) {
                self.error(
                    format!("{at}.leeway_s"),
                    format!("{leeway_s} is out of range; expected 0 to {MAX_LEEWAY_S}"),
                );
            }
            if task_claim.as_deref() == Some("") {
                self.error(format!("{at}.task_claim"), "must not be empty");
            }
            if types.is_empty() {
                self.error(format!("{at}.types"), "expected at least one `typ`");
            }
            let types: Vec<String> = types.iter().map(|typ| typ.to_ascii_lowercase()).collect();
            if let Some(typ) = types.iter().find(|typ| typ.starts_with("application/")) {
                self.error(format!("{at}.types"), format!("`{typ}`: write it without `application/`"));
            }
            // Without an algorithm no key can be used, and that was said.
            let keys = match algorithms.is_empty() {
                true => Ok(KeySet::default()),
                false => KeySet::read(&keys.inline, &algorithms),
            };
            let keys = keys.unwrap_or_else(|errors| {
                for (path, message) in errors {
                    self.error(format!("{at}.keys.inline.{path}"), message);
                }
                KeySet::default()
            });
            resolved.push(Issuer {
                issuer,
                audiences,
                max_lifetime_s,
                leeway_s,
                keys,
                kind,
                task_claim,
                types,
            });
        }
        resolved
    }

    fn credentials(&mut self, credentials: Vec<config::Credential>) -> Vec<CredentialSource> {
        if credentials.is_empty() {
            self.error("credentials", "expected at least one header");
        }
        let mut resolved: Vec<CredentialSource> = Vec::new();
        for (index, config::Credential { header, scheme }) in credentials.into_iter().enumerate() {
            let at = format!("credentials[{index}]");
            let header = header.to_ascii_lowercase();
            if !is_header_name(&header) {
                self.error(format!("{at}.header"), format!("`{header}` is not a header name"));
            }
            if resolved.iter().any(|other| other.header == header) {
                self.error(format!("{at}.header"), format!("duplicate header `{header}`"));
            }
            if !scheme.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-') {
                self.error(format!("{at}.scheme"), format!("`{scheme}` is not an authentication scheme"));
            }
            resolved.push(CredentialSource { header, scheme });
        }
        resolved
    }

    fn pdps(&mut self, pdps: BTreeMap<String, config::Pdp>) -> BTreeMap<String, Pdp> {
        let mut resolved = BTreeMap::new();
        for (name, written) in pdps {
            let at = format!("pdps.{name}");
            let config::Pdp { protocol, cluster, host, path, timeout_ms, max_in_flight } = written;
            if cluster.is_empty() {
                self.error(format!("{at}.cluster"), "must not be empty");
            }
            if host.is_empty() || !host.bytes().all(|b| b.is_ascii_graphic()) {
                self.error(format!("{at}.host"), format!("`{host}` is not a host"));
            }
            if !path.starts_with('/') || !path.bytes().all(|b| b.is_ascii_graphic()) {
                self.error(format!("{at}.path"), format!("`{path}` is not a path"));
            }
            // A host reads 0 as "wait for ever".
            if !(1..=60_000).contains(&timeout_ms) {
                self.error(
                    format!("{at}.timeout_ms"),
                    format!("{timeout_ms} is out of range; expected 1 to 60000"),
                );
            }
            if !(1..=100_000).contains(&max_in_flight) {
                self.error(
                    format!("{at}.max_in_flight"),
                    format!("{max_in_flight} is out of range; expected 1 to 100000"),
                );
            }
            resolved.insert(name, Pdp { protocol, cluster, host, path, timeout_ms, max_in_flight });
        }
        resolved
    }

    fn networks(&mut self, networks: BTreeMap<String, Vec<String>>) -> Vec<Network> {
        let mut resolved = Vec::with_capacity(networks.len());
        for (name, ranges) in networks {
            let mut parsed = Vec::with_capacity(ranges.len());
            for (index, range) in ranges.iter().enumerate() {
                match range.parse::<IpNet>() {
                    Ok(net) if net == net.trunc() => parsed.push(net),
                    Ok(net) => self.error(
                        format!("networks.{name}[{index}]"),
                        format!("`{range}` has host bits set; expected `{}`", net.trunc()),
                    ),
                    Err(_) => self
                        .error(format!("networks.{name}[{index}]"), format!("`{range}` is not a CIDR range")),
                }
            }
            resolved.push(Network { name, ranges: parsed });
        }
        resolved
    }

    fn bundle(&mut self, bundle: config::InlineBundle, limits: &Limits) -> (Grants, Vec<RuleSet>) {
        let config::InlineBundle { policies, data, grants: written, elevations, exceptions } = bundle;
        for (name, records) in [("elevations", &elevations), ("exceptions", &exceptions)] {
            if !records.is_empty() {
                self.error(format!("bundle.inline.{name}"), "not supported yet; expected an empty list");
            }
        }
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
        (grants, rule_sets)
    }

    fn grant(&mut self, at: &str, written: config::Grant, rule_set: usize, grants: &mut Grants) {
        let config::Grant {
            id,
            owner,
            purpose,
            subject,
            kind,
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
        let mut instant = |name: &str, text: Option<String>| {
            let text = text?;
            let parsed = UnixTime::parse_rfc3339(&text);
            if parsed.is_none() {
                self.error(
                    format!("{at}.{name}"),
                    format!("`{text}` is not an RFC 3339 instant such as `2026-01-31T00:00:00Z`"),
                );
            }
            parsed
        };
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
}

fn is_label(text: &str) -> bool {
    (1..=64).contains(&text.len())
        && text.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'_' | b'.'))
}

fn is_header_name(text: &str) -> bool {
    (1..=64).contains(&text.len())
        && text.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || matches!(b, b'-' | b'_'))
}
