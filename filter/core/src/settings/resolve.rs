//! From the configuration as it is written to settings: every rule on a value is here, or below.

mod bundle;
mod credentials;
mod feeds;
mod pdps;

use std::collections::BTreeMap;

use ipnet::IpNet;

use super::configuring::{Building, ShadowBuilding};
use super::Settings;
use crate::authority::grants::Template;
use crate::authority::network::Network;
use crate::authority::observe::Observe;
use crate::bundle::Bundle;
use crate::config::{
    self, instant, is_host, is_label, is_path, is_plain_host, Config, ConfigError, Source, SourceFrom,
    VERSION,
};
use crate::facts::content::FeedKind;
use crate::http::host::{instead_of_host, no_host};
use crate::http::request::{IDENTITY_HEADERS, REMOVED_HEADERS};
use crate::jose::keys::{KeySet, TEST_KEY_PREFIX};

pub(super) struct Resolver {
    pub(super) errors: Vec<ConfigError>,
    /// Trusted keys that are marked as test keys: where they stand, and their ids.
    test_keys: Vec<(String, String)>,
}

/// A configuration, resolved but for what stands in its bundles.
pub(super) struct Written {
    pub(super) settings: Settings,
    pub(super) bundle: Building,
    pub(super) shadow: Option<ShadowBuilding>,
    /// The exceptions that its API keys name, in their order.
    pub(super) exceptions: Vec<String>,
}

impl Resolver {
    /// Notes what is wrong besides these.
    pub(super) fn new(errors: Vec<ConfigError>) -> Self {
        Self { errors, test_keys: Vec::new() }
    }

    fn error(&mut self, path: impl AsRef<str>, message: impl Into<String>) {
        self.errors.push(ConfigError::new(path.as_ref(), message));
    }

    /// What was read; else it is noted what is wrong there.
    fn noted<T>(&mut self, path: impl AsRef<str>, read: Result<T, impl Into<String>>) -> Option<T> {
        read.map_err(|message| self.error(path, message)).ok()
    }

    /// Where a server is.
    fn server(&mut self, at: &str, cluster: &str, host: &str) {
        if cluster.is_empty() {
            self.error(format!("{at}.cluster"), "must not be empty");
        }
        if !is_host(host) {
            self.error(format!("{at}.host"), format!("`{host}` is not a host{}", instead_of_host(host)));
        }
    }

    fn path(&mut self, at: &str, path: &str) {
        if !is_path(path) {
            self.error(at, format!("`{path}` is not a path"));
        }
    }

    /// Resolves everything but the bundles. The result counts only if no error was noted.
    pub(super) fn settings(
        &mut self,
        config: Config,
        revision: &str,
        credential_digest: [u8; 32],
    ) -> Written {
        // A new key must be looked at here before it can be accepted.
        let Config {
            version,
            instance,
            issuers,
            credentials,
            trusted_headers,
            dpop,
            mtls,
            api_keys,
            bundle,
            shadow,
            revocations,
            signals,
            pdps,
            hosts,
            source,
            networks,
            limits,
            streams,
            log,
            observe,
        } = config;
        if version != VERSION {
            self.error("version", format!("`{version}` is not supported; expected {VERSION}"));
        }
        if !is_label(&instance) {
            self.error(
                "instance",
                format!("`{instance}` is not a name of 1 to 64 letters, digits, `-`, `_` or `.`"),
            );
        }
        let issuers = self.issuers(issuers);
        for (index, issuer) in issuers.iter().enumerate() {
            let ids = issuer.keys.inline().into_iter().flat_map(KeySet::ids);
            self.note_test_keys(&format!("issuers[{index}].keys"), ids);
        }
        let credentials = self.credentials(credentials);
        let revocations = revocations.map(|written| self.feed(FeedKind::Revocations, written));
        let signals = signals.map(|written| self.feed(FeedKind::Signals, written));
        let pdps = self.pdps(pdps);
        for host in hosts.keys().filter(|host| !is_plain_host(host)) {
            self.error(format!("hosts.{host}"), no_host(host));
        }
        let source = source.map(|source| self.source(source));
        let networks = self.networks(networks);
        if let Some(mtls) = &mtls {
            self.mtls(mtls);
        }
        let (bundle, bundle_source) = self.bundle("bundle", bundle, &limits);
        let shadow = shadow.and_then(|shadow| self.shadow(shadow, &limits));
        let exceptions = api_keys.iter().map(|key| key.exception.clone()).collect();
        let api_keys = self.api_keys(api_keys);
        self.note_test_keys("api_keys", api_keys.iter().map(|key| key.id.as_str()));
        if mtls.is_none() {
            for (index, issuer) in issuers.iter().enumerate().filter(|(_, issuer)| issuer.peer_match) {
                self.error(
                    format!("issuers[{index}].peer_match"),
                    format!("`{}` needs `mtls`, which is missing", issuer.issuer),
                );
            }
        }
        let token_generation = credential_digest.first_chunk::<8>().copied().map(u64::from_le_bytes);
        let settings = Settings {
            instance: instance.into(),
            revision: revision.into(),
            credential_digest,
            token_generation: token_generation.unwrap_or_default(),
            issuers,
            credentials,
            trusted_headers: self.trusted_headers(trusted_headers),
            dpop,
            mtls,
            api_keys,
            bundle: Bundle::default(),
            bundle_source,
            shadow: None,
            revocations,
            signals,
            pdps,
            hosts,
            source,
            networks,
            limits,
            streams,
            log,
            observe: observe.and_then(|observe| self.observe(&observe)),
            test_keys: std::mem::take(&mut self.test_keys),
        };
        Written { settings, bundle, shadow, exceptions }
    }

    fn note_test_keys<'k>(&mut self, place: &str, ids: impl Iterator<Item = &'k str>) {
        let marked = ids.filter(|id| id.starts_with(TEST_KEY_PREFIX));
        self.test_keys.extend(marked.map(|id| (place.to_owned(), id.to_owned())));
    }

    fn trusted_headers(&mut self, written: Vec<String>) -> Vec<String> {
        let mut names = Vec::with_capacity(written.len());
        for (index, name) in written.into_iter().enumerate() {
            let name = name.to_ascii_lowercase();
            if !REMOVED_HEADERS.contains(&&*name) && !IDENTITY_HEADERS.contains(&&*name) {
                self.error(
                    format!("trusted_headers[{index}]"),
                    format!("`{name}` is not one of the headers that are removed from the client's request"),
                );
            }
            names.push(name);
        }
        names
    }

    fn source(&mut self, Source { from, trusted_hops }: Source) -> SourceFrom {
        if from == SourceFrom::Connection && *trusted_hops > 0 {
            self.error(
                "source.trusted_hops",
                "proxies in front are believed with `from: use_remote_address` only",
            );
        }
        from
    }

    fn observe(&mut self, written: &config::Observe) -> Option<Observe> {
        let config::Observe { hosts, paths, until } = written;
        for (name, list) in [("hosts", hosts), ("paths", paths)] {
            if list.is_empty() {
                self.error(
                    format!("observe.{name}"),
                    "an empty list observes nothing; expected at least one",
                );
            }
        }
        for (index, host) in hosts.iter().enumerate() {
            if !is_plain_host(host) {
                self.error(format!("observe.hosts[{index}]"), no_host(host));
            }
        }
        let mut templates = Vec::with_capacity(paths.len());
        for (index, path) in paths.iter().enumerate() {
            templates.extend(self.noted(format!("observe.paths[{index}]"), Template::parse(path)));
        }
        let until = self.noted("observe.until", instant(until))?;
        Some(Observe { hosts: hosts.clone(), paths: templates, until })
    }

    fn networks(&mut self, networks: BTreeMap<String, Vec<String>>) -> Vec<Network> {
        let mut resolved = Vec::with_capacity(networks.len());
        for (name, written) in networks {
            let mut ranges = Vec::with_capacity(written.len());
            for (index, text) in written.iter().enumerate() {
                ranges.extend(self.noted(format!("networks.{name}[{index}]"), range(text)));
            }
            resolved.push(Network { name, ranges });
        }
        resolved
    }
}

/// A CIDR range, spelled in the one way that it has.
fn range(text: &str) -> Result<IpNet, String> {
    match text.parse::<IpNet>() {
        Ok(IpNet::V6(net)) if net.network().to_ipv4_mapped().is_some() => {
            // An IPv4 client is looked for by its IPv4 address, whatever the listener is.
            let ip = net.network().to_canonical();
            let bits = net.prefix_len().saturating_sub(96);
            Err(format!("`{text}` holds IPv4 addresses in the form of IPv6; expected `{ip}/{bits}`"))
        }
        Ok(net) if net == net.trunc() => Ok(net),
        Ok(net) => Err(format!("`{text}` has host bits set; expected `{}`", net.trunc())),
        Err(_) => Err(format!("`{text}` is not a CIDR range")),
    }
}
