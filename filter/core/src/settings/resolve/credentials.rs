//! Rules on who may issue credentials, where they are found and what they are bound to.

use std::collections::BTreeSet;

use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use base64::Engine as _;

use super::Resolver;
use crate::authority::exceptions::{is_api_key_id, ApiKey, API_KEY_ISSUER, MIN_SALT};
use crate::base::spiffe::{is_trust_domain, SpiffeId};
use crate::config::{self, Profile, RemoteKeys};
use crate::credential::token::source::CredentialSource;
use crate::credential::token::{Issuer, KeySource, Preset, Template};
use crate::jose::keys::{Algorithm, KeyRules, KeySet};

impl Resolver {
    pub(super) fn issuers(&mut self, issuers: Vec<config::Issuer>) -> Vec<Issuer> {
        if issuers.is_empty() {
            self.error("issuers", "expected at least one issuer");
        }
        let mut names = BTreeSet::new();
        let mut resolved = Vec::with_capacity(issuers.len());
        for (index, written) in issuers.into_iter().enumerate() {
            let at = format!("issuers[{index}]");
            if written.issuer.is_empty() {
                self.error(format!("{at}.issuer"), "must not be empty");
            }
            // Grants would take its callers for those with an API key.
            if written.issuer == API_KEY_ISSUER {
                self.error(format!("{at}.issuer"), format!("`{API_KEY_ISSUER}` stands for API keys"));
            }
            if !names.insert(written.issuer.clone()) {
                self.error(format!("{at}.issuer"), format!("duplicate issuer `{}`", written.issuer));
            }
            resolved.extend(self.issuer(&at, written));
        }
        resolved
    }

    fn issuer(&mut self, at: &str, mut written: config::Issuer) -> Option<Issuer> {
        let preset = Preset::of(written.profile);
        let issuer = &*written.issuer;
        if written.audiences.is_empty() || written.audiences.iter().any(String::is_empty) {
            self.error(format!("{at}.audiences"), "expected at least one audience, none of them empty");
        }
        self.algorithms(at, &written.algorithms, preset);
        let max_lifetime_s = written.max_lifetime_s.as_deref().copied().or(preset.max_lifetime_s);
        if max_lifetime_s.is_none() {
            self.error(format!("{at}.max_lifetime_s"), "missing; only a profile has a ceiling of its own");
        }
        for (name, value) in [("task_claim", &written.task_claim), ("id", &written.id)] {
            if value.as_deref() == Some("") {
                self.error(format!("{at}.{name}"), "must not be empty");
            }
        }
        let types = self.types(at, written.types.take(), preset);
        for (index, domain) in written.trust_domains.iter().enumerate() {
            self.trust_domain(&format!("{at}.trust_domains[{index}]"), domain);
        }
        if written.profile == Some(Profile::Spiffe) {
            match SpiffeId::parse(issuer) {
                Ok(own) if own.path().is_empty() && written.trust_domains.is_empty() => {
                    written.trust_domains.push(own.trust_domain().to_owned());
                }
                Ok(own) if own.path().is_empty() => {
                    self.error(format!("{at}.trust_domains"), "the profile `spiffe` has the one of `issuer`");
                }
                _ => self.error(
                    format!("{at}.issuer"),
                    format!(
                        "`{issuer}` is not `spiffe://` and a trust domain, as the profile `spiffe` wants"
                    ),
                ),
            }
        } else if issuer.starts_with("spiffe://") {
            self.error(format!("{at}.profile"), format!("`{issuer}` needs the profile `spiffe`"));
        }
        // Their rules are about the subject that the preset makes.
        if matches!(written.profile, Some(Profile::Spiffe | Profile::Kubernetes)) && written.id.is_some() {
            self.error(format!("{at}.id"), format!("the profile `{}` has its own", preset.name));
        }
        if let Some(claim) = &written.audience_claim {
            let place = format!("{at}.audience_claim");
            if claim.is_empty() {
                self.error(place, "must not be empty");
            } else if written.profile.is_some() {
                self.error(place, format!("tokens of the profile `{}` have `aud`", preset.name));
            } else if written.required_values.is_empty() {
                // An ID token of the same client would be as good.
                let message =
                    "expected `required_values` beside it: what tells its tokens from others of the issuer";
                self.error(place, message);
            }
        }
        for (claim, value) in &written.required_values {
            if claim.is_empty() || value.is_empty() {
                self.error(
                    format!("{at}.required_values.{claim}"),
                    "neither the claim nor its text may be empty",
                );
            }
        }
        // Where callers are named by other claims, nothing is said by `sub`.
        let is_named_otherwise = preset.profile.is_none() && written.id.is_some();
        let required = preset.required_claims.iter().filter(|claim| **claim != "sub" || !is_named_otherwise);
        written.required_claims.extend(required.map(|claim| (*claim).to_owned()));
        let id = Template::parse(written.id.as_deref().unwrap_or(preset.id));
        let id = self.noted(format!("{at}.id"), id)?;
        let keys = std::mem::take(&mut written.keys);
        let keys = self.keys(at, keys, &written.issuer, &written.algorithms, preset)?;
        let task_claim = written.task_claim.take().or_else(|| preset.task_claim.map(str::to_owned));
        let max_lifetime_s = max_lifetime_s.unwrap_or_default();
        Some(Issuer { written, preset, max_lifetime_s, keys, id, task_claim, types })
    }

    fn algorithms(&mut self, at: &str, algorithms: &[Algorithm], preset: &Preset) {
        if algorithms.is_empty() {
            let offered = Algorithm::list(&Algorithm::ALL, "or");
            self.error(format!("{at}.algorithms"), format!("expected at least one of {offered}"));
        }
        // JWT-SVID section 2.1.
        if preset.profile == Some(Profile::Spiffe) && algorithms.contains(&Algorithm::EdDsa) {
            self.error(format!("{at}.algorithms"), "`EdDSA` is not an algorithm of the profile `spiffe`");
        }
    }

    fn types(&mut self, at: &str, types: Option<Vec<String>>, preset: &Preset) -> Vec<String> {
        let types = match types {
            None => return preset.types.iter().map(|typ| (*typ).to_owned()).collect(),
            Some(types) => types,
        };
        if types.is_empty() {
            self.error(format!("{at}.types"), "expected at least one `typ`");
        }
        if preset.profile.is_some() {
            self.error(format!("{at}.types"), format!("the profile `{}` has its own", preset.name));
        }
        let types: Vec<String> = types.iter().map(|typ| typ.to_ascii_lowercase()).collect();
        if let Some(typ) = types.iter().find(|typ| typ.starts_with("application/")) {
            self.error(format!("{at}.types"), format!("`{typ}`: write it without `application/`"));
        }
        types
    }

    fn keys(
        &mut self,
        at: &str,
        keys: config::Keys,
        issuer: &str,
        algorithms: &[Algorithm],
        preset: &Preset,
    ) -> Option<KeySource> {
        let usage = preset.usage();
        match keys {
            config::Keys { inline: Some(jwks), remote: None } => {
                // Without an algorithm no key can be used, and that was said.
                if algorithms.is_empty() {
                    return Some(KeySource::Inline(KeySet::default()));
                }
                let keys = KeySet::read(&jwks, &KeyRules { algorithms, usage });
                let keys = keys.map_err(|errors| {
                    for (path, message) in errors {
                        self.error(format!("{at}.keys.inline.{path}"), message);
                    }
                });
                Some(KeySource::Inline(keys.unwrap_or_default()))
            }
            config::Keys { inline: None, remote: Some(remote) } => {
                self.remote_keys(&format!("{at}.keys.remote"), &remote, issuer);
                Some(KeySource::Remote(remote))
            }
            _ => {
                self.error(format!("{at}.keys"), "expected exactly one of `inline` and `remote`");
                None
            }
        }
    }

    fn remote_keys(&mut self, at: &str, remote: &RemoteKeys, issuer: &str) {
        let RemoteKeys { cluster, host, path, discovery, refresh_s, interval_s, max_stale_s, .. } = remote;
        self.server(at, cluster, host);
        match (path, discovery) {
            (Some(path), false) => self.path(&format!("{at}.path"), path),
            (None, true) if issuer.starts_with("https://") || issuer.starts_with("http://") => {}
            (None, true) => self.error(format!("{at}.discovery"), "the issuer is not a URL to discover at"),
            _ => self.error(format!("{at}.path"), "expected either `path` or `discovery: true`"),
        }
        if **refresh_s < **interval_s {
            self.error(
                format!("{at}.refresh_s"),
                format!("expected at least `interval_s`, {}", **interval_s),
            );
        }
        if **max_stale_s < **refresh_s {
            self.error(
                format!("{at}.max_stale_s"),
                format!("expected at least `refresh_s`, {}", **refresh_s),
            );
        }
    }

    pub(super) fn credentials(&mut self, credentials: Vec<config::Credential>) -> Vec<CredentialSource> {
        if credentials.is_empty() {
            self.error("credentials", "expected at least one header");
        }
        let mut resolved: Vec<CredentialSource> = Vec::new();
        for (index, config::Credential { header, scheme, forward }) in credentials.into_iter().enumerate() {
            let at = format!("credentials[{index}]");
            let header = header.to_ascii_lowercase();
            if !is_header_name(&header) {
                self.error(format!("{at}.header"), format!("`{header}` is not a header name"));
            }
            if matches!(header.as_str(), "dpop" | "x-forwarded-client-cert") {
                self.error(format!("{at}.header"), format!("`{header}` holds proofs, not credentials"));
            }
            if !scheme.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-') {
                self.error(format!("{at}.scheme"), format!("`{scheme}` is not an authentication scheme"));
            }
            let known = resolved.iter_mut().find(|other| other.header == header);
            match known {
                None => resolved.push(CredentialSource { header, schemes: vec![scheme], forward }),
                Some(known) if known.forward != forward => {
                    self.error(
                        format!("{at}.forward"),
                        format!("`{forward}`, and another above for `{header}`"),
                    );
                }
                Some(known) if known.schemes.iter().any(|other| other.eq_ignore_ascii_case(&scheme)) => {
                    self.error(format!("{at}.header"), format!("duplicate header `{header}`"));
                }
                Some(known) => known.schemes.push(scheme),
            }
        }
        resolved
    }

    pub(super) fn mtls(&mut self, mtls: &config::Mtls) {
        let config::Mtls { trust_domains, kind, forwarded } = mtls;
        if trust_domains.is_empty() && kind.is_some() {
            self.error("mtls.trust_domains", "an empty list admits nobody; expected at least one");
        }
        for (index, domain) in trust_domains.iter().enumerate() {
            self.trust_domain(&format!("mtls.trust_domains[{index}]"), domain);
        }
        if let Some(forwarded) = forwarded {
            if forwarded.hops.is_empty() {
                self.error("mtls.forwarded.hops", "an empty list trusts nobody; expected at least one");
            }
            for (index, hop) in forwarded.hops.iter().enumerate() {
                if SpiffeId::parse(hop).map_or(true, |id| id.path().is_empty()) {
                    self.error(
                        format!("mtls.forwarded.hops[{index}]"),
                        format!("`{hop}` is not the SPIFFE ID of a workload"),
                    );
                }
            }
        }
    }

    pub(super) fn api_keys(&mut self, keys: Vec<config::ApiKey>) -> Vec<ApiKey> {
        let mut resolved: Vec<ApiKey> = Vec::with_capacity(keys.len());
        for (index, config::ApiKey { id, subject, salt, hash, exception }) in keys.into_iter().enumerate() {
            let at = format!("api_keys[{index}]");
            if !is_api_key_id(&id) {
                self.error(format!("{at}.id"), format!("`{id}` is not 1 to 64 of `a-z`, `0-9` and `-`"));
            }
            if resolved.iter().any(|other| other.id == id) {
                self.error(format!("{at}.id"), format!("duplicate API key id `{id}`"));
            }
            if subject.trim().is_empty() || subject.starts_with("spiffe:") {
                self.error(
                    format!("{at}.subject"),
                    format!("`{subject}` is not the name of a legacy caller"),
                );
            }
            let salt = URL_SAFE_NO_PAD.decode(salt).ok().filter(|salt| salt.len() >= MIN_SALT);
            if salt.is_none() {
                self.error(format!("{at}.salt"), format!("not base64url of at least {MIN_SALT} bytes"));
            }
            let hash = URL_SAFE_NO_PAD.decode(hash).ok().and_then(|hash| <[u8; 32]>::try_from(hash).ok());
            if hash.is_none() {
                self.error(format!("{at}.hash"), "not a SHA-256 in base64url; `everycall key new` makes one");
            }
            if let (Some(salt), Some(hash)) = (salt, hash) {
                resolved.push(ApiKey { id, subject, salt, hash, exception });
            }
        }
        resolved
    }

    fn trust_domain(&mut self, at: &str, domain: &str) {
        if !is_trust_domain(domain) {
            self.error(at, format!("`{domain}` is not a trust domain such as `shop.example`"));
        }
    }
}

fn is_header_name(text: &str) -> bool {
    (1..=64).contains(&text.len())
        && text.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || matches!(b, b'-' | b'_'))
}
