//! The configuration, resolved: what exists here is valid, and the engine reads nothing else.

mod configuring;
mod offline;
mod resolve;

use std::collections::BTreeMap;
use std::io;
use std::sync::Arc;

use serde_json::Value;
use sha2::{Digest as _, Sha256};

use crate::authority::exceptions::ApiKey;
use crate::authority::network::Network;
use crate::authority::observe::{Observe, MAX_OBSERVE_DAYS};
use crate::base::reads::{Names, Reads};
use crate::base::reason::Denied;
use crate::base::texts::Texts;
use crate::base::time::UnixTime;
use crate::bundle::{Bundle, BundleSource};
use crate::config::{self, ConfigError, ConfigErrors, Dpop, Limits, Mtls, Pdp, SourceFrom};
use crate::credential::token::source::CredentialSource;
use crate::credential::token::{self, Failure, Issuer};
use crate::facts::content::FeedKind;
use crate::http::attributes::{self, Attribute, ATTRIBUTES, CONNECTION_SOURCE, PROOF_ATTRIBUTES};
use crate::http::host::ANY_PORT;
use crate::http::request::{is_spelling, Headers, Request, SECRET_HEADERS};
use crate::http::target::{Target, TargetError};
use crate::identity::Identity;
use crate::jose::checks::Checks;
use crate::jose::keys::KeySet;
use crate::jose::signature::SignatureVerifier;
use crate::sync::feed::FeedSource;
pub use configuring::Configuring;
pub use offline::FeedRules;

/// A bundle that decides too and is not obeyed.
#[derive(Debug)]
pub(crate) struct Shadow {
    pub(crate) bundle: Bundle,
    pub(crate) max_stale_s: Option<i64>,
}

/// A valid configuration.
#[derive(Debug)]
pub struct Settings {
    pub(crate) instance: Arc<str>,
    /// Digest of the whole configuration.
    pub(crate) revision: Arc<str>,
    /// Digest of the parts that credentials are judged by.
    pub(crate) credential_digest: [u8; 32],
    /// Changes when anything changes that a verified token rests on.
    pub(crate) token_generation: u64,
    pub(crate) issuers: Vec<Issuer>,
    pub(crate) credentials: Vec<CredentialSource>,
    /// By lower-case name.
    pub(crate) trusted_headers: Vec<String>,
    pub(crate) dpop: Dpop,
    pub(crate) mtls: Option<Mtls>,
    pub(crate) api_keys: Vec<ApiKey>,
    /// The one that the configuration holds; an engine takes it out.
    pub(crate) bundle: Bundle,
    pub(crate) bundle_source: BundleSource,
    /// An engine takes it out, too.
    test_keys: Vec<(String, String)>,
    pub(crate) shadow: Option<Shadow>,
    pub(crate) revocations: Option<FeedSource>,
    pub(crate) signals: Option<FeedSource>,
    pub(crate) pdps: BTreeMap<String, Pdp>,
    /// By host as in grants.
    pub(crate) hosts: BTreeMap<String, config::Host>,
    pub(crate) source: Option<SourceFrom>,
    pub(crate) networks: Vec<Network>,
    pub(crate) limits: Limits,
    pub(crate) streams: config::Streams,
    pub(crate) log: config::Log,
    pub(crate) observe: Option<Observe>,
}

impl Settings {
    /// Where a feed comes from, if it is configured.
    pub(crate) const fn feed(&self, feed: FeedKind) -> Option<&FeedSource> {
        match feed {
            FeedKind::Revocations => self.revocations.as_ref(),
            FeedKind::Signals => self.signals.as_ref(),
        }
    }

    /// Reads a configuration from JSON text, at once.
    ///
    /// # Errors
    /// Everything that is wrong with it; nothing is half-applied.
    pub fn from_json(text: impl AsRef<[u8]>) -> Result<Self, ConfigErrors> {
        Configuring::begin(text)?.finish()
    }

    /// Reads a configuration from a JSON document.
    ///
    /// # Errors
    /// Everything that is wrong with it; nothing is half-applied.
    pub fn from_value(document: Value) -> Result<Self, ConfigErrors> {
        Configuring::of(document)?.finish()
    }

    /// What only the time tells to be wrong, for callers who have a clock when they take a configuration.
    ///
    /// # Errors
    /// Everything that is wrong with it now.
    pub fn check_at(&self, now: UnixTime) -> Result<(), ConfigErrors> {
        match &self.observe {
            Some(observe) if observe.is_too_far(now) => {
                let until = observe.until;
                let message = format!("`{until}` is more than {MAX_OBSERVE_DAYS} days ahead");
                Err(ConfigErrors(vec![ConfigError::new("observe.until", message)]))
            }
            _ => Ok(()),
        }
    }

    /// When observed routes begin to refuse, if there are any.
    pub fn observed_until(&self) -> Option<UnixTime> {
        self.observe.as_ref().map(|observe| observe.until)
    }

    /// The name of the engine that this configuration is for.
    pub fn instance(&self) -> &str {
        &self.instance
    }

    /// Digest of the configuration.
    pub fn revision(&self) -> &str {
        &self.revision
    }

    /// The issuers of tokens.
    pub fn issuers(&self) -> &[Issuer] {
        &self.issuers
    }

    /// Each trusted key that is marked as a test key, whose secret is public: where it stands, and its id. Callers
    /// warn of them.
    pub fn test_keys(&self) -> &[(String, String)] {
        &self.test_keys
    }

    /// Each key of an issuer's inline set that is of a kind or an algorithm that is not offered: where it stands, and why
    /// it is left out. Callers warn of them.
    pub fn keys_left_out(&self) -> impl Iterator<Item = (String, &str)> {
        self.issuers.iter().enumerate().flat_map(|(index, issuer)| {
            let left_out = issuer.keys.inline().into_iter().flat_map(KeySet::left_out);
            left_out.map(move |(path, why)| (format!("issuers[{index}].keys.inline.{path}"), why.as_str()))
        })
    }

    /// The bundle that the configuration holds.
    pub const fn bundle(&self) -> &Bundle {
        &self.bundle
    }

    /// Verifies one token against the issuers whose keys are in the configuration, and answers who calls. Proofs of
    /// possession belong to requests and are not looked at.
    ///
    /// # Errors
    /// The first rule that the token breaks.
    pub fn verify(
        &self,
        token: &str,
        verifier: &dyn SignatureVerifier,
        now: UnixTime,
    ) -> Result<Identity, Denied> {
        let (checks, mut texts) = (Checks::unbounded(verifier), Texts::default());
        let limit = *self.limits.token_bytes;
        match token::check(
            token,
            limit,
            &self.issuers,
            |_, issuer| issuer.keys.inline(),
            checks,
            &mut texts,
            now,
        ) {
            Ok(proven) => Ok(proven.identity),
            Err(Failure::Rejected(rejection) | Failure::KeyUnknown { rejection, .. }) => Err(rejection),
        }
    }

    /// The shadow bundle, which decides too and is not obeyed.
    pub fn shadow(&self) -> Option<&Bundle> {
        self.shadow.as_ref().map(|shadow| &shadow.bundle)
    }

    /// Id and subject of the API keys that an exception allows.
    pub fn api_keys_of<'s>(&'s self, exception: &'s str) -> impl Iterator<Item = (&'s str, &'s str)> {
        let keys = self.api_keys.iter().filter(move |key| key.exception == exception);
        keys.map(|key| (key.id.as_str(), key.subject.as_str()))
    }

    /// The bounds.
    pub const fn limits(&self) -> &Limits {
        &self.limits
    }

    /// The headers of a request, as the client spelled them, that hold credentials which are not for the upstream.
    pub(crate) fn kept_back(&self, request: &Request) -> Vec<String> {
        let kept = self.credentials.iter().filter(|source| !source.forward);
        kept.flat_map(|source| request.spelled(&source.header)).map(str::to_owned).collect()
    }

    /// Whether a header's values are for nobody: no policy, no record and, unless it is told so, no policy
    /// decision point.
    pub(crate) fn is_secret(&self, header: &str) -> bool {
        let mut names =
            SECRET_HEADERS.into_iter().chain(self.credentials.iter().map(|source| &*source.header));
        names.any(|name| is_spelling(name, header))
    }

    /// The request's target, with the path as the server behind its host compares paths.
    ///
    /// # Errors
    /// Those of [`Target::read`].
    pub(crate) fn target(&self, headers: &Headers) -> Result<Target, TargetError> {
        let mut target = Target::read(headers)?;
        if !self.hosts.is_empty() {
            let any_port = || self.hosts.get(&format!("{}{ANY_PORT}", target.host_name()));
            if let Some(host) = self.hosts.get(&target.host).or_else(any_port).copied() {
                target.fold(host);
            }
        }
        Ok(target)
    }

    /// Whether a filter in front tells the client's address, so that a request without it is refused.
    pub(crate) const fn takes_source_of_connection(&self) -> bool {
        matches!(self.source, Some(SourceFrom::Connection))
    }

    /// Whether the policies of these bundles, an elevation or a policy decision point go by the client's address,
    /// which nobody tells.
    pub fn lacks_source(&self, bundles: &[&Bundle]) -> bool {
        self.source.is_none() && self.needed(bundles).any(|attribute| attribute.name == attributes::SOURCE_IP)
    }

    /// The attributes of the connection to ask the host for.
    pub fn attributes(&self, bundles: &[&Bundle]) -> Vec<&'static Attribute> {
        let needed = self.needed(bundles).filter(|attribute| {
            let from_host = matches!(self.source, Some(SourceFrom::UseRemoteAddress));
            attribute.name != attributes::SOURCE_IP || from_host
        });
        let source = self.takes_source_of_connection().then_some(&CONNECTION_SOURCE);
        needed.chain(source).chain(PROOF_ATTRIBUTES.iter().filter(|_| self.mtls.is_some())).collect()
    }

    /// What the policies of these bundles, an elevation, a proof of possession or a policy decision point need of
    /// the connection.
    fn needed<'s>(&'s self, bundles: &[&Bundle]) -> impl Iterator<Item = &'static Attribute> + use<'s> {
        let mut reads = Reads::default();
        bundles.iter().for_each(|bundle| reads.merge(&bundle.reads()));
        let connection = Names::of(&reads, &["connection"]);
        let by_network = bundles.iter().any(|bundle| bundle.elevations.by_network());
        let proves = move |name: &str| self.mtls.is_some() && name == "mtls";
        let told = move |name: &str| self.pdps.values().any(|pdp| pdp.is_told(name));
        ATTRIBUTES.iter().filter(move |attribute| {
            let name = attribute.name;
            let by_network = name == attributes::SOURCE_IP && by_network;
            attributes::is_read(name, &connection) || proves(name) || told(name) || by_network
        })
    }
}

fn digest<'v>(values: impl IntoIterator<Item = &'v Value>) -> [u8; 32] {
    let mut hash = Hash(Sha256::new());
    for value in values {
        // What takes every byte has no errors.
        let _ = serde_json::to_writer(&mut hash, value);
        hash.0.update([0]);
    }
    hash.0.finalize().into()
}

/// Takes a text in pieces: the whole may be long.
struct Hash(Sha256);

impl io::Write for Hash {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.update(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
