//! Hashes of `crypto.*`. Left out: certificates and keys.

use hmac::digest::core_api::BlockSizeUser;
use hmac::digest::Digest;
use hmac::{Mac, SimpleHmac};
use md5::Md5;
use sha1::Sha1;
use sha2::{Sha256, Sha512};

use super::{row, text, Answer, Builtin};
use crate::budget::{Budget, Failure};
use crate::bytes::of_text;
use crate::value::Value;

pub(super) const TABLE: &[Builtin] = &[
    row("crypto.hmac.equal", 2, equal),
    row("crypto.hmac.md5", 2, hmac::<Md5>),
    row("crypto.hmac.sha1", 2, hmac::<Sha1>),
    row("crypto.hmac.sha256", 2, hmac::<Sha256>),
    row("crypto.hmac.sha512", 2, hmac::<Sha512>),
    row("crypto.md5", 1, hash::<Md5>),
    row("crypto.sha1", 1, hash::<Sha1>),
    row("crypto.sha256", 1, hash::<Sha256>),
];

fn hash<D: Digest>(budget: &mut Budget, values: &[Value]) -> Answer {
    let text = text(values, 0)?;
    budget.charge((text.len() / 2).saturating_add(50))?;
    Ok(hexadecimal(&D::digest(of_text(text))))
}

fn hmac<D: Digest + BlockSizeUser>(budget: &mut Budget, values: &[Value]) -> Answer {
    let (message, key) = (text(values, 0)?, text(values, 1)?);
    budget.charge((message.len().saturating_add(key.len()) / 2).saturating_add(200))?;
    let mac = SimpleHmac::<D>::new_from_slice(&of_text(key)).map_err(|_| Failure::Error("a key"))?;
    Ok(hexadecimal(&mac.chain_update(of_text(message)).finalize().into_bytes()))
}

/// Takes the same time wherever they differ.
fn equal(budget: &mut Budget, values: &[Value]) -> Answer {
    let (a, b) = (text(values, 0)?.as_bytes(), text(values, 1)?.as_bytes());
    budget.charge(a.len().saturating_add(1))?;
    let difference = a.iter().zip(b).fold(0, |bits, (a, b)| bits | (a ^ b));
    Ok(Value::from(a.len() == b.len() && std::hint::black_box(difference) == 0))
}

fn hexadecimal(bytes: &[u8]) -> Value {
    let digit = |nibble: u8| char::from_digit(u32::from(nibble), 16).unwrap_or_default();
    Value::from(bytes.iter().flat_map(|byte| [digit(byte >> 4), digit(byte & 0xf)]).collect::<String>())
}
