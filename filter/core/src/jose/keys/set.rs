//! Key sets: of a configuration, where every mistake is an error, and of a server, where a key with one is left out. A
//! key of a kind that is not offered is no mistake, and left out of both (RFC 7517 section 5).

use serde_json::Value;

use super::jwk::{self, Jwk, Jwks};
use super::{Algorithm, Key};
use crate::base::json;

/// The most keys of one set, usable or not.
pub(crate) const MAX_KEYS: usize = 100;

/// A member of a key set that can't be used: its path below the set, and why.
pub type KeyError = (String, String);

/// Which keys of a set are used, and for what.
#[derive(Debug, Clone, Copy)]
pub struct KeyRules<'a> {
    /// What keys may serve. A key without `alg` serves the one of these that is of its type.
    pub algorithms: &'a [Algorithm],
    /// What keys must be meant for.
    pub usage: Usage,
}

/// What `use` must say. Keys for something else are left alone, and so are keys whose `key_ops` is
/// there without `verify`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Usage {
    /// `sig`, or nothing (RFC 7517 section 4.2).
    Signature,
    /// The same, and a `kid` must be there: whoever signs files names the key.
    Signer,
    /// `jwt-svid`, and a `kid` must be there (SPIFFE Trust Domain and Bundle, section 4.2.1).
    JwtSvid,
}

/// The usable keys of one issuer.
#[derive(Debug, Default)]
pub struct KeySet {
    keys: Vec<Key>,
    /// Those of a configuration that are of no kind that is offered.
    left_out: Vec<KeyError>,
}

/// A key set that came from a server.
#[derive(Debug, Default)]
pub struct Fetched {
    /// The keys that can be used. Empty only for a SPIFFE bundle that revokes all of them.
    pub keys: KeySet,
    /// The keys that can't.
    pub skipped: Vec<KeyError>,
    /// `spiffe_sequence`: grows with every change of the bundle.
    pub sequence: Option<u64>,
    /// `spiffe_refresh_hint`: how often to ask for the bundle, in seconds.
    pub refresh_hint_s: Option<u64>,
}

impl KeySet {
    /// Reads a key set of a configuration.
    ///
    /// # Errors
    /// Each key that is malformed, private, weak, or repeats a `kid`; more than 100 keys; a set without a key for this
    /// use; of signers also each key of another kind or algorithm.
    pub fn read(set: &Jwks, rules: &KeyRules<'_>) -> Result<Self, Vec<KeyError>> {
        if let Err(error) = bounded(set.keys.len()) {
            return Err(vec![error]);
        }
        let mut found = Self::default();
        let mut errors = Vec::new();
        for (index, jwk) in set.keys.iter().enumerate() {
            match jwk.read(rules) {
                Ok(None) => {}
                Ok(Some(key)) => errors.extend(found.add(key, index, rules.usage).err()),
                Err(error) if rules.usage != Usage::Signer && jwk.is_of_another_kind(rules) => {
                    found.left_out.push(below(index, error));
                }
                Err(error) => errors.push(below(index, error)),
            }
        }
        if found.keys.is_empty() && errors.is_empty() {
            // What was left out is why.
            errors.append(&mut found.left_out);
            if errors.is_empty() {
                errors.push(("keys".into(), "holds no key for signatures".into()));
            }
        }
        if errors.is_empty() {
            Ok(found)
        } else {
            Err(errors)
        }
    }

    /// Reads the key set that a server answered. Keys that can't be used are skipped.
    ///
    /// # Errors
    /// Anything but strict JSON with an object that has an array `keys`; more than 100 keys; two
    /// usable keys with one `kid` or without; no usable key, unless it is a SPIFFE bundle with an
    /// empty array; SPIFFE's own members if they are not whole numbers.
    pub fn fetched(body: &[u8], rules: &KeyRules<'_>) -> Result<Fetched, String> {
        let set = json::parse_object(body).map_err(|error| format!("not a strict JSON object: {error}"))?;
        let Some(keys) = set.get("keys").and_then(Value::as_array) else {
            return Err("`keys` is missing or not an array".into());
        };
        let whole = |(member, message): KeyError| format!("`{member}`: {message}");
        bounded(keys.len()).map_err(whole)?;
        let number = |member: &str| match set.get(member).map(Value::as_u64) {
            Some(None) => Err(format!("`{member}` is not a whole number")),
            number => Ok(number.flatten()),
        };
        let mut fetched = Fetched::default();
        if rules.usage == Usage::JwtSvid {
            fetched.sequence = number("spiffe_sequence")?;
            fetched.refresh_hint_s = number("spiffe_refresh_hint")?;
        }
        for (index, key) in keys.iter().enumerate() {
            match Jwk::parse(key).and_then(|jwk| jwk.read(rules)) {
                Ok(None) => {}
                Ok(Some(key)) => fetched.keys.add(key, index, rules.usage).map_err(whole)?,
                Err(error) => fetched.skipped.push(below(index, error)),
            }
        }
        let all_revoked = rules.usage == Usage::JwtSvid && keys.is_empty();
        if fetched.keys.keys.is_empty() && !all_revoked {
            Err("no usable key".into())
        } else {
            Ok(fetched)
        }
    }

    /// Which of two keys of one id and algorithm the issuer means can't be known: no choice is made. What signs files
    /// is named by its id alone.
    fn add(&mut self, key: Key, index: usize, usage: Usage) -> Result<(), KeyError> {
        let alike = |other: &&Key| {
            other.id == key.id
                && (other.algorithm == key.algorithm || key.id.is_none() || usage == Usage::Signer)
        };
        if let Some(other) = self.keys.iter().find(alike) {
            if other.fingerprint == key.fingerprint && usage != Usage::Signer {
                return Ok(());
            }
            let message = match key.id.as_deref() {
                Some(kid) => format!("duplicate key id `{}`", jwk::quoted(kid)),
                None => "missing, and another key has none either".to_owned(),
            };
            return Err(below(index, ("kid".into(), message)));
        }
        self.keys.push(key);
        Ok(())
    }

    /// The keys of a configuration that are left out, and why.
    pub fn left_out(&self) -> &[KeyError] {
        &self.left_out
    }

    /// The ids of the keys that have one.
    pub fn ids(&self) -> impl Iterator<Item = &str> {
        self.keys.iter().filter_map(Key::id)
    }

    /// The first key with this id.
    pub fn find(&self, id: &str) -> Option<&Key> {
        self.keys.iter().find(|key| key.id() == Some(id))
    }

    /// The keys that may have signed what names this id, or none, and this algorithm (RFC 7515 section 4.1.4): the
    /// one with the id, and with the algorithm where several have it, or the only one of a set if it has no id; without
    /// an id the only one, or those that serve the algorithm.
    pub fn candidates<'k, 'i>(
        &'k self,
        id: Option<&'i str>,
        algorithm: Option<&'i str>,
    ) -> impl Iterator<Item = &'k Key> + Clone + use<'k, 'i> {
        let is_only = self.keys.len() == 1;
        let is_shared = id.is_some() && self.ids().filter(|own| Some(*own) == id).nth(1).is_some();
        let algorithm = algorithm.and_then(Algorithm::named);
        self.keys.iter().filter(move |key| match (id, key.id()) {
            (Some(id), Some(own)) => id == own && (!is_shared || algorithm == Some(key.algorithm())),
            (Some(_), None) => is_only,
            (None, _) => is_only || algorithm == Some(key.algorithm()),
        })
    }

    /// The fingerprints of all keys.
    pub fn fingerprints(&self) -> impl Iterator<Item = &[u8; 32]> {
        self.keys.iter().map(Key::fingerprint)
    }

    /// Whether the key with this [fingerprint](Key::fingerprint) is one of them.
    pub fn holds(&self, fingerprint: &[u8; 32]) -> bool {
        self.fingerprints().any(|other| other == fingerprint)
    }
}

fn bounded(keys: usize) -> Result<(), KeyError> {
    if keys <= MAX_KEYS {
        Ok(())
    } else {
        Err(("keys".into(), format!("{keys} keys; expected at most {MAX_KEYS}")))
    }
}

fn below(index: usize, (member, message): KeyError) -> KeyError {
    let dot = if member.is_empty() { "" } else { "." };
    (format!("keys[{index}]{dot}{member}"), message)
}
