use super::PublicKey;
use crate::base::words::words;

words! {
    /// A JWS algorithm that is offered (RFC 7518 section 3.1, RFC 8037 section 3.1).
    ///
    /// No `HS*` and no `none`: what verifies must not be able to sign. No `ES256K` and `ES512`.
    pub enum Algorithm {
        /// RSASSA-PKCS1-v1_5 with SHA-256.
        Rs256 = "RS256",
        /// RSASSA-PKCS1-v1_5 with SHA-384.
        Rs384 = "RS384",
        /// RSASSA-PKCS1-v1_5 with SHA-512.
        Rs512 = "RS512",
        /// RSASSA-PSS with SHA-256 and a salt of 32 bytes.
        Ps256 = "PS256",
        /// RSASSA-PSS with SHA-384 and a salt of 48 bytes.
        Ps384 = "PS384",
        /// RSASSA-PSS with SHA-512 and a salt of 64 bytes.
        Ps512 = "PS512",
        /// ECDSA on P-256 with SHA-256.
        Es256 = "ES256",
        /// ECDSA on P-384 with SHA-384.
        Es384 = "ES384",
        /// Ed25519. Tokens and keys may call it `Ed25519`, too (RFC 9864): of what `EdDSA` names it is all that is offered.
        EdDsa = "EdDSA",
    }
}

impl Algorithm {
    /// The algorithm with this `alg` value, byte for byte.
    pub fn named(name: &str) -> Option<Self> {
        let name = if name == "Ed25519" { "EdDSA" } else { name };
        Self::ALL.into_iter().find(|algorithm| algorithm.as_str() == name)
    }

    pub(super) const fn fits(self, key: &PublicKey) -> bool {
        match self {
            Self::Rs256 | Self::Rs384 | Self::Rs512 | Self::Ps256 | Self::Ps384 | Self::Ps512 => {
                matches!(key, PublicKey::Rsa(_))
            }
            Self::Es256 => matches!(key, PublicKey::P256(_)),
            Self::Es384 => matches!(key, PublicKey::P384(_)),
            Self::EdDsa => matches!(key, PublicKey::Ed25519(_)),
        }
    }

    /// Their names for a message: "`A`, `B` and `C`".
    pub(crate) fn list(algorithms: &[Self], conjunction: &str) -> String {
        let name = |algorithm: &Self| format!("`{}`", algorithm.as_str());
        match algorithms {
            [] => String::new(),
            [only] => name(only),
            [others @ .., last] => {
                let others: Vec<String> = others.iter().map(name).collect();
                format!("{} {conjunction} {}", others.join(", "), name(last))
            }
        }
    }
}
