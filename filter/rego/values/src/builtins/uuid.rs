//! `uuid.parse`. Left out: `uuid.rfc4122`, which is random.

use super::{row, text, Answer, Builtin};
use crate::budget::{Budget, Failure};
use crate::value::{Object, Value};

pub(super) const TABLE: &[Builtin] = &[row("uuid.parse", 1, parse)];

fn parse(budget: &mut Budget, values: &[Value]) -> Answer {
    budget.charge(200)?;
    let id = read(text(values, 0)?).ok_or(Failure::Error("a UUID is expected"))?;
    let bits = |from: u32, count: u32| {
        let shift = 128_u32.saturating_sub(from).saturating_sub(count);
        let mask = 1_u128.wrapping_shl(count).wrapping_sub(1);
        i64::try_from(id.wrapping_shr(shift) & mask).unwrap_or_default()
    };
    let version = bits(48, 4);
    let variant = match bits(64, 3) {
        0b100 | 0b101 => "RFC4122",
        0b110 => "Microsoft",
        0b111 => "Future",
        _ => "Reserved",
    };
    let mut members =
        vec![(Value::from("variant"), Value::from(variant)), (Value::from("version"), Value::from(version))];
    let mut add = |name: &str, value: Value| members.push((Value::from(name), value));
    if matches!(version, 1 | 2) {
        let since_1582 = bits(0, 32) | bits(32, 16).wrapping_shl(32) | bits(52, 12).wrapping_shl(48);
        let nanoseconds = since_1582.wrapping_sub(0x01B2_1DD2_1381_4000).wrapping_mul(100);
        add("time", Value::from(nanoseconds));
        add("clocksequence", Value::from(bits(66, 14)));
        let mac = match bits(80, 8) & 0b11 {
            0b11 => "local:multicast",
            0b01 => "global:multicast",
            0b10 => "local:unicast",
            _ => "global:unicast",
        };
        add("macvariables", Value::from(mac));
        let node =
            (0..6_u32).map(|byte| format!("{:02x}", bits(byte.saturating_mul(8).saturating_add(80), 8)));
        add("nodeid", Value::from(node.collect::<Vec<_>>().join("-")));
        if version == 2 {
            let domain = match bits(72, 8) {
                0 => "Person".to_owned(),
                1 => "Group".to_owned(),
                2 => "Org".to_owned(),
                other => format!("Domain{other}"),
            };
            add("domain", Value::from(domain));
            add("id", Value::from(bits(0, 32)));
        }
    }
    Ok(Value::from(Object::from(members)))
}

/// Digits with hyphens or without, also behind `urn:uuid:` or with a character on either side.
fn read(text: &str) -> Option<u128> {
    let bytes = text.as_bytes();
    let (digits, hyphens) = match bytes.len() {
        36 => (bytes, true),
        45 if bytes.get(..9)?.eq_ignore_ascii_case(b"urn:uuid:") => (bytes.get(9..)?, true),
        38 => (bytes.get(1..37)?, true),
        32 => (bytes, false),
        _ => return None,
    };
    let mut id = 0_u128;
    for (at, byte) in digits.iter().enumerate() {
        if hyphens && matches!(at, 8 | 13 | 18 | 23) {
            if *byte != b'-' {
                return None;
            }
        } else {
            id = id.wrapping_shl(4) | u128::from(char::from(*byte).to_digit(16)?);
        }
    }
    Some(id)
}
