//! Compact JWS (RFC 7515 section 7.1), taken apart strictly and not yet believed.

use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use base64::Engine as _;
use serde_json::{Map, Value};

use crate::base::json;
use crate::base::reason::{reject, Denied, Reason};
use crate::base::texts::list;
use crate::jose::checks::Checks;
use crate::jose::keys::{Algorithm, Key};

/// A token that was taken apart and not yet believed: with its claims, or with the bytes of a
/// payload of any kind.
pub(crate) struct Unverified<'a, Payload = Map<String, Value>> {
    pub(crate) header: Map<String, Value>,
    pub(crate) claims: Payload,
    pub(crate) signed: &'a str,
    pub(crate) signature: Vec<u8>,
}

impl<'a> Unverified<'a> {
    /// Takes a compact JWS apart. `max_bytes` bounds its length.
    ///
    /// # Errors
    /// [`Reason::TokenTooLarge`] beyond that, and [`Reason::TokenMalformed`] for anything but three parts of strict base64url with a strict
    /// JSON object in the first two.
    pub(crate) fn parse(token: &'a str, max_bytes: usize) -> Result<Self, Denied> {
        if token.len() > max_bytes {
            return reject(Reason::TokenTooLarge, format!("the token is longer than {max_bytes} bytes"));
        }
        let Unverified { header, claims, signed, signature } = Unverified::of_bytes(token)?;
        Ok(Self { header, claims: object(&claims, "payload")?, signed, signature })
    }
}

impl<'a> Unverified<'a, Vec<u8>> {
    /// As [`Unverified::parse`], whatever the payload and however long.
    pub(crate) fn of_bytes(token: &'a str) -> Result<Self, Denied> {
        let mut parts = token.splitn(4, '.');
        let (Some(header), Some(payload), Some(signature), None) =
            (parts.next(), parts.next(), parts.next(), parts.next())
        else {
            return reject(Reason::TokenMalformed, "not three parts separated by dots");
        };
        let signed = token.get(..token.len().saturating_sub(signature.len()).saturating_sub(1));
        let decode = |part: &str, name: &str| match URL_SAFE_NO_PAD.decode(part) {
            Ok(bytes) => Ok(bytes),
            Err(_) => reject(Reason::TokenMalformed, format!("the {name} is not strict base64url")),
        };
        Ok(Self {
            header: object(&decode(header, "header")?, "header")?,
            claims: decode(payload, "payload")?,
            signed: signed.unwrap_or_default(),
            signature: decode(signature, "signature")?,
        })
    }
}

impl<Payload> Unverified<'_, Payload> {
    /// `alg`, if it is text.
    pub(crate) fn algorithm(&self) -> Option<&str> {
        self.header.get("alg")?.as_str()
    }

    /// `kid` (RFC 7515 section 4.1.4).
    pub(crate) fn key_id(&self) -> Result<Option<&str>, Denied> {
        match self.header.get("kid") {
            None => Ok(None),
            Some(Value::String(kid)) => Ok(Some(kid)),
            Some(_) => reject(Reason::TokenMalformed, "`kid` is not a string"),
        }
    }

    /// Rules on header parameters that hold whatever the token is.
    pub(crate) fn header_rules(&self) -> Result<(), Denied> {
        // RFC 7515 section 4.1.11 and RFC 7797: we understand no extension. `enc` and `zip` belong to
        // JWE. `jku`, `x5u`, `jwk` and `x5c` are not looked at: the key comes from configuration.
        for name in ["crit", "b64", "enc", "zip"] {
            if self.header.contains_key(name) {
                return reject(Reason::TokenCritical, format!("header parameter `{name}` is not accepted"));
            }
        }
        Ok(())
    }

    /// The key signed it, with the key's own algorithm (RFC 8725 section 3.1).
    pub(crate) fn signed_by(&self, key: &Key, checks: Checks<'_>) -> Result<(), Denied> {
        let algorithm = key.algorithm();
        match self.algorithm() {
            Some(alg) if Algorithm::named(alg) == Some(algorithm) => {}
            Some(alg) => {
                return reject(
                    Reason::TokenAlgorithm,
                    format!("`alg` is `{alg}`; the key's algorithm is `{algorithm}`"),
                )
            }
            None => return reject(Reason::TokenAlgorithm, "`alg` is missing or not a string"),
        }
        match checks.verify(key, self.signed.as_bytes(), &self.signature) {
            Ok(true) => Ok(()),
            Ok(false) => reject(Reason::TokenSignature, "the signature does not fit the key"),
            Err((reason, detail)) => reject(reason, detail),
        }
    }

    /// RFC 8725 section 3.11: a token of another type is another token. Media type rules: the case
    /// does not matter, and `application/` may be left out. An empty text in `types` stands for
    /// tokens without `typ`, and for those only.
    pub(crate) fn type_rule<T: AsRef<str>>(&self, types: &[T]) -> Result<(), Denied> {
        let expected = || list(types);
        let typ = match self.header.get("typ") {
            None if types.iter().any(|typ| typ.as_ref().is_empty()) => return Ok(()),
            None => return reject(Reason::TokenType, format!("no `typ`; expected {}", expected())),
            Some(Value::String(typ)) => typ,
            Some(_) => return reject(Reason::TokenType, "`typ` is not a string"),
        };
        let lower = typ.to_ascii_lowercase();
        let short = lower.strip_prefix("application/").unwrap_or(&lower);
        if !short.is_empty() && types.iter().any(|accepted| accepted.as_ref() == short) {
            Ok(())
        } else {
            reject(Reason::TokenType, format!("`typ` is `{typ}`; expected {}", expected()))
        }
    }
}

fn object(bytes: &[u8], name: &str) -> Result<Map<String, Value>, Denied> {
    match json::parse_object(bytes) {
        Ok(members) => Ok(members),
        Err(_) => reject(Reason::TokenMalformed, format!("the {name} is not a strict JSON object")),
    }
}
