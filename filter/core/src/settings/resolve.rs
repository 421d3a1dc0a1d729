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
use crate::config::ranges::{self, Range};
use crate::config::{
    self, instant, is_label, is_plain_host, Config, ConfigError, Limits, Source, SourceFrom, VERSION,
};
use crate::facts::content::FeedKind;
use crate::http::host::NO_HOST;
use crate::http::request::{IDENTITY_HEADERS, REMOVED_HEADERS};
use crate::jose::keys::{KeySet, TEST_KEY_PREFIX};

#[derive(Default)]
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
    fn error(&mut self, path: impl AsRef<str>, message: impl Into<String>) {
        self.errors.push(ConfigError::new(path.as_ref(), message));
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
        self.limits(&limits);
        self.streams(streams, log);
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
            self.error(format!("hosts.{host}"), format!("`{host}` {NO_HOST}"));
        }
        let source = source.map(|source| self.source(source));
        let networks = self.networks(networks);
        let dpop = self.dpop(&dpop);
        let mtls = mtls.map(|mtls| self.mtls(mtls));
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
        self.range("source.trusted_hops", i64::from(trusted_hops), ranges::TRUSTED_HOPS);
        if from == SourceFrom::Connection && trusted_hops > 0 {
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
                self.error(format!("observe.hosts[{index}]"), format!("`{host}` {NO_HOST}"));
            }
        }
        let mut templates = Vec::with_capacity(paths.len());
        for (index, path) in paths.iter().enumerate() {
            match Template::parse(path) {
                Ok(template) => templates.push(template),
                Err(message) => self.error(format!("observe.paths[{index}]"), message),
            }
        }
        match instant(until) {
            Ok(until) => Some(Observe { hosts: hosts.clone(), paths: templates, until }),
            Err(message) => {
                self.error("observe.until", message);
                None
            }
        }
    }

    fn limits(&mut self, limits: &Limits) {
        let Limits {
            instructions,
            builtin_work,
            input_bytes,
            pdp_questions,
            pdp_rounds,
            max_pending,
            tokens_cached,
            tokens_cached_bytes,
            signature_ms,
            token_bytes,
            exception_days,
            elevation_hours,
            break_glass_minutes,
        } = limits;
        for (name, value, range) in [
            ("instructions", *instructions, ranges::INSTRUCTIONS),
            ("builtin_work", *builtin_work, ranges::BUILTIN_WORK),
            ("input_bytes", *input_bytes, ranges::INPUT_BYTES),
            ("pdp_questions", *pdp_questions, ranges::PDP_QUESTIONS),
            ("pdp_rounds", *pdp_rounds, ranges::PDP_ROUNDS),
            ("max_pending", *max_pending, ranges::MAX_PENDING),
            ("tokens_cached", *tokens_cached, ranges::TOKENS_CACHED),
            ("tokens_cached_bytes", *tokens_cached_bytes, ranges::TOKENS_CACHED_BYTES),
            ("signature_ms", *signature_ms, ranges::SIGNATURE_MS),
            ("token_bytes", *token_bytes, ranges::TOKEN_BYTES),
            ("exception_days", *exception_days, ranges::EXCEPTION_DAYS),
            ("elevation_hours", *elevation_hours, ranges::ELEVATION_HOURS),
            ("break_glass_minutes", *break_glass_minutes, ranges::BREAK_GLASS_MINUTES),
        ] {
            self.range(format!("limits.{name}"), i64::try_from(value).unwrap_or(i64::MAX), range);
        }
    }

    fn range(&mut self, at: impl AsRef<str>, value: i64, (low, high): Range) {
        if !(low..=high).contains(&value) {
            self.error(at, format!("{value} is out of range; expected {low} to {high}"));
        }
    }

    fn streams(&mut self, streams: config::Streams, log: config::Log) {
        let config::Streams { sweep_ms, redecide_s, max_s } = streams;
        for (path, value, range) in [
            ("streams.sweep_ms", sweep_ms, ranges::SWEEP_MS),
            ("streams.redecide_s", redecide_s, ranges::REDECIDE_S),
            ("streams.max_s", max_s, ranges::STREAM_MAX_S),
            ("log.streams_after_s", log.streams_after_s, ranges::STREAMS_AFTER_S),
        ] {
            self.range(path, i64::from(value), range);
        }
        let value_bytes = i64::try_from(log.value_bytes).unwrap_or(i64::MAX);
        self.range("log.value_bytes", value_bytes, ranges::VALUE_BYTES);
    }

    fn networks(&mut self, networks: BTreeMap<String, Vec<String>>) -> Vec<Network> {
        let mut resolved = Vec::with_capacity(networks.len());
        for (name, ranges) in networks {
            let mut parsed = Vec::with_capacity(ranges.len());
            for (index, range) in ranges.iter().enumerate() {
                match range.parse::<IpNet>() {
                    Ok(IpNet::V6(net)) if net.network().to_ipv4_mapped().is_some() => {
                        // An IPv4 client is looked for by its IPv4 address, whatever the listener is.
                        let ip = net.network().to_canonical();
                        let bits = net.prefix_len().saturating_sub(96);
                        self.error(
                            format!("networks.{name}[{index}]"),
                            format!(
                                "`{range}` holds IPv4 addresses in the form of IPv6; expected `{ip}/{bits}`"
                            ),
                        );
                    }
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
}
