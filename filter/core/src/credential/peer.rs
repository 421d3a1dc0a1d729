//! The mTLS peer: who holds the private key at the other end, or at the other end of a trusted hop.
//!
//! The proxy must require and verify client certificates; what it says of one that it did not verify
//! looks the same.

use serde_json::Value;

use crate::base::hex;
use crate::base::reason::{Denied, Reason};
use crate::base::spiffe::SpiffeId;
use crate::config::Mtls;
use crate::http::attributes::{PEER_CERTIFICATE, PEER_DIGEST};
use crate::http::request::Request;
use crate::http::xfcc;
use crate::jose::certificate::Leaf;

const XFCC: &str = "x-forwarded-client-cert";

/// A client certificate.
#[derive(Debug)]
pub(crate) struct Peer {
    /// Its SPIFFE ID, or why it has none.
    pub(crate) id: Result<String, &'static str>,
    /// The SHA-256 digest of its DER form.
    pub(crate) digest: Option<[u8; 32]>,
}

/// The certificate of the client, directly or through a trusted hop; `None` if there is none.
///
/// # Errors
/// [`Reason::PeerInvalid`] if a trusted hop does not say clearly whom it speaks for.
pub(crate) fn find(request: &Request, mtls: &Mtls) -> Result<Option<Peer>, Denied> {
    if request.connection.get("mtls") != Some(&Value::Bool(true)) {
        return Ok(None);
    }
    let text = |name: &str| request.connection.get(name).and_then(Value::as_str);
    let id = match text(PEER_CERTIFICATE) {
        Some(pem) => Leaf::parse_pem(pem.as_bytes()).and_then(|leaf| leaf.svid_id().map(str::to_owned)),
        None => Err("the proxy does not show the client's certificate"),
    };
    let direct = Peer { id, digest: text(PEER_DIGEST).and_then(hex::decode) };
    match (&mtls.forwarded, &direct.id) {
        (Some(forwarded), Ok(id)) if forwarded.hops.contains(id) => {
            forwarded_peer(request, forwarded.appends).map(Some)
        }
        // The header of anybody else is the client's own word.
        _ => Ok(Some(direct)),
    }
}

/// The nearest client that a trusted hop names: its element is the last one, before our own.
fn forwarded_peer(request: &Request, appends: bool) -> Result<Peer, Denied> {
    let bad = |why: &str| Denied { reason: Reason::PeerInvalid, detail: format!("`{XFCC}`: {why}") };
    let mut values = request.headers().all(XFCC);
    let value = match (values.next(), values.next()) {
        (Some(value), None) => value,
        (None, _) => return Err(bad("the trusted hop names no client")),
        (Some(_), Some(_)) => return Err(bad("it is repeated")),
    };
    let mut elements = xfcc::parse(value).map_err(bad)?;
    if appends {
        elements.pop();
    }
    let element = elements.pop().ok_or_else(|| bad("the trusted hop names no client"))?;
    let id = match element.uris.as_slice() {
        [uri] => match SpiffeId::parse(uri) {
            Ok(id) if !id.path().is_empty() => Ok(uri.clone()),
            Ok(_) => Err("the SPIFFE ID of the forwarded client has no path"),
            Err(why) => Err(why),
        },
        _ => Err("the forwarded client has not exactly one URI name"),
    };
    Ok(Peer { id, digest: element.hash.as_deref().and_then(hex::decode) })
}
