//! Rules on `bundle`: what is in the configuration is read here, what is on a server later.

use super::Resolver;
use crate::bundle::{Builder, Bundle, BundleSource, Origin};
use crate::config::{self, is_host, is_path, ranges, InlineBundle, Limits, RemoteBundle};
use crate::keys::{Algorithm, Jwks, KeyRules, KeySet, Usage};
use crate::network::Network;
use crate::settings::Shadow;
use crate::signature::PureRust;

impl Resolver {
    /// The bundle that the configuration holds at `place`, and where others come from. `needed` are the
    /// exceptions that API keys name.
    pub(super) fn bundle<'k>(
        &mut self,
        place: &str,
        written: config::Bundle,
        needed: impl Iterator<Item = &'k str>,
        limits: &Limits,
    ) -> (Bundle, BundleSource) {
        let config::Bundle { inline, signed, remote, keys, max_stale_s } = written;
        let is_signed = signed.is_some() || remote.is_some();
        if let (None, None, None) = (&inline, &signed, &remote) {
            self.error(place, "expected `inline`, `signed` or `remote`");
        }
        if inline.is_some() && signed.is_some() {
            self.error(place, "`inline` and `signed` exclude each other");
        }
        if let Some(max) = max_stale_s {
            self.range(format!("{place}.max_stale_s"), max, ranges::BUNDLE_MAX_STALE_S);
            if !is_signed {
                self.error(format!("{place}.max_stale_s"), "a bundle that is not signed has no age");
            }
        }
        let keys = self.signing_keys(place, keys, is_signed);
        if let Some(remote) = &remote {
            self.remote_bundle(remote);
        }
        let bundle = match (inline, signed) {
            (Some(inline), _) => self.inline_bundle(&format!("{place}.inline"), inline, limits),
            (None, Some(text)) => self.signed_bundle(&format!("{place}.signed"), &text, &keys, limits),
            (None, None) => Bundle::default(),
        };
        // Of a bundle on a server it can't be known yet.
        if bundle.origin != Origin::Absent && remote.is_none() {
            for (index, id) in needed.enumerate() {
                if !bundle.exceptions().iter().any(|known| known.id == id) {
                    self.error(
                        format!("api_keys[{index}].exception"),
                        format!("there is no exception `{id}`"),
                    );
                }
            }
        }
        (bundle, BundleSource { remote, keys, max_stale_s })
    }

    /// The bundle that is not obeyed.
    pub(super) fn shadow(&mut self, written: config::Bundle, limits: &Limits) -> Option<Shadow> {
        const PLACE: &str = "shadow";
        match &written {
            config::Bundle { remote: Some(_), .. } => {
                self.error(
                    format!("{PLACE}.remote"),
                    "a shadow bundle is not fetched; expected it in `inline` or `signed`",
                );
                return None;
            }
            config::Bundle { inline: None, signed: None, .. } => {
                self.error(PLACE, "expected `inline` or `signed`");
                return None;
            }
            _ => {}
        }
        let (bundle, source) = self.bundle(PLACE, written, std::iter::empty(), limits);
        if !bundle.shadows.is_empty() {
            self.error(PLACE, "rule sets of a shadow bundle have no shadows of their own");
        }
        Some(Shadow { bundle, max_stale_s: source.max_stale_s })
    }

    /// Elevations name networks of this configuration. Of a bundle on a server it can't be known yet:
    /// there, a name that is not one holds nobody.
    pub(super) fn networks_named(&mut self, bundle: &Bundle, networks: &[Network]) {
        for (name, at) in &bundle.networks {
            if !networks.iter().any(|network| network.name == *name) {
                self.error(at, format!("there is no network `{name}` in `networks`"));
            }
        }
    }

    fn inline_bundle(&mut self, place: &str, mut inline: InlineBundle, limits: &Limits) -> Bundle {
        // Grants that can't be read before the rest is not looked at.
        const MAX_UNREAD: usize = 100;
        let mut builder = Builder::new(limits);
        let grants = std::mem::take(&mut inline.grants);
        for (at, item) in inline.items(place) {
            builder.add(&at, item);
            while builder.work() {}
        }
        let mut unread: usize = 0;
        for (index, grant) in grants.into_iter().enumerate() {
            unread = unread.saturating_add(builder.written_grant(&format!("{place}.grants[{index}]"), grant));
            if unread >= MAX_UNREAD {
                break;
            }
        }
        let (bundle, errors) = builder.finish();
        match errors.is_empty() {
            true => bundle,
            false => {
                self.errors.extend(errors);
                Bundle::default()
            }
        }
    }

    fn signed_bundle(&mut self, place: &str, text: &str, keys: &KeySet, limits: &Limits) -> Bundle {
        Bundle::from_signed(text.as_bytes(), keys, &PureRust, limits).unwrap_or_else(|error| {
            for error in error.errors() {
                self.error(place, format!("{}: {}", error.path, error.message));
            }
            Bundle::default()
        })
    }

    /// Of those who may sign what is below `place`.
    pub(super) fn signing_keys(&mut self, place: &str, keys: Option<Jwks>, needed: bool) -> KeySet {
        let Some(set) = keys else {
            if needed {
                self.error(
                    format!("{place}.keys"),
                    "missing; what is signed needs the keys of those who may sign",
                );
            }
            return KeySet::default();
        };
        if !needed {
            self.error(format!("{place}.keys"), "an `inline` bundle is not signed");
        }
        let rules = KeyRules { algorithms: &Algorithm::ALL, usage: Usage::Signer };
        KeySet::read(&set, &rules).unwrap_or_else(|errors| {
            for (member, message) in errors {
                self.error(format!("{place}.keys.{member}"), message);
            }
            KeySet::default()
        })
    }

    fn remote_bundle(&mut self, remote: &RemoteBundle) {
        let RemoteBundle { cluster, host, path, timeout_ms, interval_s, max_bytes } = remote;
        if cluster.is_empty() {
            self.error("bundle.remote.cluster", "must not be empty");
        }
        if !is_host(host) {
            self.error("bundle.remote.host", format!("`{host}` is not a host"));
        }
        if !is_path(path) {
            self.error("bundle.remote.path", format!("`{path}` is not a path"));
        }
        self.range("bundle.remote.timeout_ms", i64::from(*timeout_ms), ranges::TIMEOUT_MS);
        self.range("bundle.remote.interval_s", *interval_s, ranges::BUNDLE_INTERVAL_S);
        let bytes = i64::try_from(*max_bytes).unwrap_or(i64::MAX);
        self.range("bundle.remote.max_bytes", bytes, ranges::BUNDLE_BYTES);
    }
}
