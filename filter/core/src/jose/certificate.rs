//! What the X.509-SVID rules need of a client certificate, since the proxy tells only its first URI
//! name. The proxy has verified the chain: nothing here looks at a signature or at the time.

use std::collections::BTreeMap;

use base64::engine::general_purpose::STANDARD;
use base64::Engine as _;
use der::asn1::{AnyRef, BitStringRef, ContextSpecific, Ia5StringRef, IntRef, ObjectIdentifier};
use der::asn1::{OctetStringRef, UintRef};
use der::{Decode as _, Reader as _, Tag, TagMode, TagNumber, Tagged as _};

use crate::base::spiffe::SpiffeId;

/// The longest PEM text, in bytes.
const MAX_BYTES: usize = 64 * 1024;

/// RFC 5280 section 4.2.1.3.
const KEY_USAGE: ObjectIdentifier = ObjectIdentifier::new_unwrap("2.5.29.15");
/// RFC 5280 section 4.2.1.6.
const SUBJECT_ALT_NAME: ObjectIdentifier = ObjectIdentifier::new_unwrap("2.5.29.17");
/// RFC 5280 section 4.2.1.9.
const BASIC_CONSTRAINTS: ObjectIdentifier = ObjectIdentifier::new_unwrap("2.5.29.19");

/// Bits of the key usage.
const KEY_CERT_SIGN: usize = 5;
const CRL_SIGN: usize = 6;

/// The certificate that a client presented for itself.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Leaf {
    /// The URI names, in order.
    pub(crate) uris: Vec<String>,
    /// Whether the basic constraints name a CA.
    pub(crate) is_ca: bool,
    /// Whether the key may sign certificates or revocation lists.
    pub(crate) signs_certificates: bool,
}

impl Leaf {
    /// Reads one certificate in PEM (RFC 7468 section 5), with no text before or behind it.
    ///
    /// # Errors
    /// What is wrong with the text or the certificate.
    pub(crate) fn parse_pem(pem: &[u8]) -> Result<Self, &'static str> {
        if pem.len() > MAX_BYTES {
            return Err("the certificate is longer than 64 KiB");
        }
        let text = std::str::from_utf8(pem).map_err(|_| "the certificate is not PEM")?;
        let mut lines = text.lines();
        if lines.next() != Some("-----BEGIN CERTIFICATE-----") {
            return Err("the certificate is not PEM");
        }
        let mut body = String::new();
        loop {
            match lines.next().ok_or("the certificate is cut off")? {
                "-----END CERTIFICATE-----" => break,
                line => body.push_str(line),
            }
        }
        if lines.next().is_some() {
            return Err("there is more than one certificate");
        }
        let der = STANDARD.decode(body).map_err(|_| "the certificate is not strict base64")?;
        Self::parse_der(&der)
    }

    fn parse_der(der: &[u8]) -> Result<Self, &'static str> {
        let mut extensions = BTreeMap::new();
        for (id, value) in read_extensions(der).map_err(|_| "the certificate is not strict DER")? {
            // RFC 5280 section 4.2. Two readers could take two different ones.
            if extensions.insert(id, value).is_some() {
                return Err("an extension of the certificate is repeated");
            }
        }
        let value = |id| extensions.get(&id).copied();
        let uris = value(SUBJECT_ALT_NAME).map(read_uris).transpose();
        let is_ca = value(BASIC_CONSTRAINTS).map(read_is_ca).transpose();
        let signs = value(KEY_USAGE).map(read_signs_certificates).transpose();
        Ok(Self {
            uris: uris.map_err(|_| "the alternative names are not strict DER")?.unwrap_or_default(),
            is_ca: is_ca.map_err(|_| "the basic constraints are not strict DER")?.unwrap_or_default(),
            signs_certificates: signs.map_err(|_| "the key usage is not strict DER")?.unwrap_or_default(),
        })
    }

    /// The SPIFFE ID of the client.
    ///
    /// # Errors
    /// Which rule of X509-SVID the certificate breaks: more or less than one URI name (section 2), a
    /// signing certificate (sections 4.1, 4.3 and 5.2), not a SPIFFE ID, or one without a path
    /// (section 3.1).
    pub(crate) fn svid_id(&self) -> Result<&str, &'static str> {
        let [uri] = self.uris.as_slice() else {
            return Err("the certificate has not exactly one URI name");
        };
        if self.is_ca {
            return Err("the certificate is a CA");
        }
        if self.signs_certificates {
            return Err("the key of the certificate may sign certificates or revocation lists");
        }
        match SpiffeId::parse(uri)?.path() {
            "" => Err("the SPIFFE ID of the certificate has no path"),
            _ => Ok(uri),
        }
    }
}

/// The extensions of a certificate (RFC 5280 section 4.1): their ids and DER values.
fn read_extensions(der: &[u8]) -> der::Result<Vec<(ObjectIdentifier, &[u8])>> {
    let to_be_signed = AnyRef::from_der(der)?.sequence(|certificate| {
        let to_be_signed: AnyRef<'_> = certificate.decode()?;
        let _algorithm: AnyRef<'_> = certificate.decode()?;
        let _signature: BitStringRef<'_> = certificate.decode()?;
        Ok(to_be_signed)
    })?;
    let list = to_be_signed.sequence(|fields| {
        let _version: Option<u8> = fields.context_specific(TagNumber::N0, TagMode::Explicit)?;
        let _serial_number: IntRef<'_> = fields.decode()?;
        for _field in ["signature", "issuer", "validity", "subject", "subjectPublicKeyInfo"] {
            fields.decode::<AnyRef<'_>>()?.tag().assert_eq(Tag::Sequence)?;
        }
        // Skips issuerUniqueID [1] and subjectUniqueID [2].
        ContextSpecific::<AnyRef<'_>>::decode_explicit(fields, TagNumber::N3)
    })?;
    let Some(list) = list else { return Ok(Vec::new()) };
    list.value.sequence(|list| {
        let mut extensions = Vec::new();
        while !list.is_finished() {
            extensions.push(list.decode::<AnyRef<'_>>()?.sequence(|extension| {
                let id = extension.decode()?;
                let _critical: Option<bool> = extension.decode()?;
                Ok((id, extension.decode::<OctetStringRef<'_>>()?.as_bytes()))
            })?);
        }
        Ok(extensions)
    })
}

/// The URIs of the subject alternative names (RFC 5280 section 4.2.1.6).
fn read_uris(value: &[u8]) -> der::Result<Vec<String>> {
    AnyRef::from_der(value)?.sequence(|names| {
        let mut uris = Vec::new();
        while !names.is_finished() {
            let name: AnyRef<'_> = names.decode()?;
            match name.tag() {
                Tag::ContextSpecific { number: TagNumber::N6, constructed: false } => {
                    uris.push(Ia5StringRef::new(name.value())?.as_str().to_owned());
                }
                // A constructed URI is BER: another reader could put it together and see one more.
                Tag::ContextSpecific { number, .. } if number != TagNumber::N6 => {}
                tag => return Err(tag.unexpected_error(None)),
            }
        }
        Ok(uris)
    })
}

/// `cA` of the basic constraints (RFC 5280 section 4.2.1.9).
fn read_is_ca(value: &[u8]) -> der::Result<bool> {
    AnyRef::from_der(value)?.sequence(|constraints| {
        let is_ca: Option<bool> = constraints.decode()?;
        let _path_length: Option<UintRef<'_>> = constraints.decode()?;
        Ok(is_ca.unwrap_or_default())
    })
}

/// `keyCertSign` or `cRLSign` of the key usage (RFC 5280 section 4.2.1.3).
fn read_signs_certificates(value: &[u8]) -> der::Result<bool> {
    let usage = BitStringRef::from_der(value)?;
    Ok(usage.bits().enumerate().any(|(bit, set)| set && matches!(bit, KEY_CERT_SIGN | CRL_SIGN)))
}

#[cfg(test)]
mod tests;
