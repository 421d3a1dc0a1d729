//! Rules on `bundle`: what is in the configuration is read here, what is on a server later.

use super::Resolver;
use crate::authority::network::Network;
use crate::bundle::{Builder, Bundle, BundleSource, Origin, Preparation};
use crate::config::{self, Limits};
use crate::jose::keys::{Algorithm, Jwks, KeyRules, KeySet, Usage};
use crate::jose::signature::PureRust;
use crate::settings::configuring::{of_file, Building, ShadowBuilding};
use crate::settings::Settings;

/// Where the shadow bundle stands.
const PLACE: &str = "shadow";

impl Resolver {
    /// The bundle that the configuration holds at `place`, to be built, and where others come from.
    pub(super) fn bundle(
        &mut self,
        place: &str,
        written: config::Bundle,
        limits: &Limits,
    ) -> (Building, BundleSource) {
        let config::Bundle { inline, signed, remote, keys, max_stale_s } = written;
        let is_signed = signed.is_some() || remote.is_some();
        if let (None, None, None) = (&inline, &signed, &remote) {
            self.error(place, "expected `inline`, `signed` or `remote`");
        }
        if inline.is_some() && signed.is_some() {
            self.error(place, "`inline` and `signed` exclude each other");
        }
        if max_stale_s.is_some() && !is_signed {
            self.error(format!("{place}.max_stale_s"), "a bundle that is not signed has no age");
        }
        let keys = self.signing_keys(place, keys, is_signed);
        if let Some(remote) = &remote {
            self.server("bundle.remote", &remote.cluster, &remote.host);
            self.path("bundle.remote.path", &remote.path);
        }
        let bundle = match (inline, signed) {
            (Some(inline), _) => Building::inline(&format!("{place}.inline"), inline, Builder::new(limits)),
            (None, Some(text)) => self.signed_bundle(&format!("{place}.signed"), text, &keys, limits),
            (None, None) => Building::Done(Box::default()),
        };
        (bundle, BundleSource { remote, keys, max_stale_s: max_stale_s.as_deref().copied() })
    }

    /// The bundle that is not obeyed.
    pub(super) fn shadow(&mut self, written: config::Bundle, limits: &Limits) -> Option<ShadowBuilding> {
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
        let (bundle, source) = self.bundle(PLACE, written, limits);
        Some(ShadowBuilding { bundle, max_stale_s: source.max_stale_s })
    }

    /// What bundles and the rest of the configuration say of each other. `exceptions` are those that API keys name.
    pub(in crate::settings) fn beside_bundles(&mut self, settings: &Settings, exceptions: &[String]) {
        let Settings { bundle, bundle_source, shadow, signals, networks, .. } = settings;
        // Of a bundle on a server it can't be known yet.
        if bundle.origin != Origin::Absent && bundle_source.remote.is_none() {
            for (index, id) in exceptions.iter().enumerate() {
                if !bundle.exceptions.contains_key(id.as_str()) {
                    self.error(
                        format!("api_keys[{index}].exception"),
                        format!("there is no exception `{id}`"),
                    );
                }
            }
        }
        let shadow = shadow.as_ref().map(|shadow| &shadow.bundle);
        for bundle in [bundle].into_iter().chain(shadow) {
            self.networks_named(bundle, networks);
            if signals.is_none() {
                self.reads_no_signals(bundle);
            }
        }
        if shadow.is_some_and(|shadow| !shadow.shadows.is_empty()) {
            self.error(PLACE, "rule sets of a shadow bundle have no shadows of their own");
        }
    }

    /// Elevations name networks of this configuration. Of a bundle on a server it can't be known yet:
    /// there, a name that is not one holds nobody.
    fn networks_named(&mut self, bundle: &Bundle, networks: &[Network]) {
        for (name, at) in &bundle.networks {
            if !networks.iter().any(|network| network.name == *name) {
                self.error(at, format!("there is no network `{name}` in `networks`"));
            }
        }
    }

    fn signed_bundle(&mut self, place: &str, text: String, keys: &KeySet, limits: &Limits) -> Building {
        match Preparation::begin(text.into_bytes(), keys, &PureRust, limits) {
            Ok(preparation) => Building::Signed(place.to_owned(), Box::new(preparation)),
            Err(error) => {
                self.errors.extend(of_file(place, &error));
                Building::Done(Box::default())
            }
        }
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
        let keys = KeySet::read(&set, &rules).unwrap_or_else(|errors| {
            for (member, message) in errors {
                self.error(format!("{place}.keys.{member}"), message);
            }
            KeySet::default()
        });
        self.note_test_keys(&format!("{place}.keys"), keys.ids());
        keys
    }
}
