//! `net.cidr_*`. Left out: `net.lookup_ip_addr`.

use std::net::{IpAddr, Ipv6Addr};

use super::{row, Answer, Builtin};
use crate::budget::{Budget, Failure};
use crate::value::{Set, Value};

pub(super) const TABLE: &[Builtin] = &[
    row("net.cidr_contains", 2, contains),
    row("net.cidr_contains_matches", 2, contains_matches),
    row("net.cidr_expand", 1, expand),
    row("net.cidr_intersects", 2, intersects),
    row("net.cidr_is_valid", 1, is_valid),
    row("net.cidr_merge", 1, merge),
];

/// Where addresses of version 4 are among those of version 6.
const MAPPED: u128 = 0xffff_0000_0000;

/// A network; those of version 4 are where they are mapped to.
#[derive(Debug, Clone, Copy)]
struct Network {
    first: u128,
    /// 128 at most, and 96 at least if it is of version 4.
    prefix: u32,
    /// Whether it is of version 4 but was written as one of version 6.
    written_mapped: bool,
}

impl Network {
    const fn last(self) -> u128 {
        self.first | host_bits(self.prefix)
    }

    /// No network of version 6 contains an address of version 4.
    const fn contains(self, address: u128) -> bool {
        (self.prefix >= 96 || !is_mapped(address)) && address & !host_bits(self.prefix) == self.first
    }
}

const fn host_bits(prefix: u32) -> u128 {
    match u128::MAX.checked_shr(prefix) {
        Some(bits) => bits,
        None => 0,
    }
}

const fn is_mapped(address: u128) -> bool {
    address & !host_bits(96) == MAPPED
}

fn address(text: &str) -> Option<u128> {
    match text.parse().ok()? {
        IpAddr::V4(address) => Some(MAPPED | u128::from(u32::from(address))),
        IpAddr::V6(address) => Some(u128::from(address)),
    }
}

fn network(text: &str) -> Option<Network> {
    let (first, prefix) = text.split_once('/')?;
    let short = !first.contains(':');
    let first = address(first)?;
    if prefix.is_empty() || !prefix.bytes().all(|byte| byte.is_ascii_digit()) {
        return None;
    }
    let prefix: u32 = prefix.parse().ok().filter(|prefix| *prefix <= if short { 32 } else { 128 })?;
    let prefix = if short { prefix.saturating_add(96) } else { prefix };
    let first = first & !host_bits(prefix);
    Some(Network { first, prefix, written_mapped: !short && is_mapped(first) })
}

fn network_at(budget: &mut Budget, value: &Value) -> Result<Network, Failure> {
    let text = value.as_str().ok_or(Failure::Error("a string is expected"))?;
    budget.charge((text.len() / 4).saturating_add(6))?;
    network(text).ok_or(Failure::Error("a network is expected"))
}

fn write(address: u128) -> String {
    let address = Ipv6Addr::from(address);
    address.to_ipv4_mapped().map_or_else(|| address.to_string(), |address| address.to_string())
}

fn write_network(first: u128, prefix: u32) -> Value {
    let prefix = if is_mapped(first) { prefix.saturating_sub(96) } else { prefix };
    Value::from(format!("{}/{prefix}", write(first)))
}

fn is_valid(budget: &mut Budget, values: &[Value]) -> Answer {
    match values.first().map(|value| network_at(budget, value)) {
        Some(Err(Failure::Limit)) => Err(Failure::Limit),
        answer => Ok(Value::from(matches!(answer, Some(Ok(_))))),
    }
}

fn contains(budget: &mut Budget, values: &[Value]) -> Answer {
    match values {
        [outer, inner] => contains_one(budget, outer, inner).map(Value::from),
        _ => Err(Failure::Error("two networks are expected")),
    }
}

/// The second may be an address.
fn contains_one(budget: &mut Budget, outer: &Value, inner: &Value) -> Result<bool, Failure> {
    let outer = network_at(budget, outer)?;
    let text = inner.as_str().ok_or(Failure::Error("a string is expected"))?;
    budget.charge((text.len() / 4).saturating_add(6))?;
    if let Some(address) = address(text) {
        return Ok(outer.contains(address));
    }
    let inner = network_at(budget, inner)?;
    Ok(outer.contains(inner.first) && outer.contains(inner.last()))
}

fn intersects(budget: &mut Budget, values: &[Value]) -> Answer {
    let [a, b] = values else { return Err(Failure::Error("two networks are expected")) };
    let (a, b) = (network_at(budget, a)?, network_at(budget, b)?);
    Ok(Value::from(a.contains(b.first) || b.contains(a.first)))
}

/// Which of the first contain which of the second, by their keys.
fn contains_matches(budget: &mut Budget, values: &[Value]) -> Answer {
    let [outer, inner] = values else { return Err(Failure::Error("two collections are expected")) };
    let inner = keyed(budget, inner)?;
    let mut matches = Vec::new();
    for (network, key) in keyed(budget, outer)? {
        let network = element(network)?;
        for (candidate, candidate_key) in &inner {
            budget.charge(2)?;
            if contains_one(budget, network, element(candidate)?)? {
                matches.push(Value::from(vec![key.clone(), candidate_key.clone()]));
            }
        }
    }
    Ok(Value::from(Set::from(matches)))
}

/// Elements with their keys; a text is its own. What has no elements has none.
fn keyed<'v>(budget: &mut Budget, value: &'v Value) -> Result<Vec<(&'v Value, Value)>, Failure> {
    budget.charge(value.elements())?;
    Ok(match value {
        Value::String(_) => vec![(value, value.clone())],
        Value::Array(items) => items.iter().enumerate().map(|(at, item)| (item, Value::from(at))).collect(),
        Value::Set(items) => items.iter().map(|item| (item, item.clone())).collect(),
        Value::Object(members) => members.iter().map(|(key, item)| (item, key.clone())).collect(),
        _ => Vec::new(),
    })
}

/// The text, or the first element of an array.
fn element(value: &Value) -> Result<&Value, Failure> {
    match value {
        Value::String(_) => Some(value),
        Value::Array(items) => items.first(),
        _ => None,
    }
    .ok_or(Failure::Error("a string or an array with elements is expected"))
}

fn expand(budget: &mut Budget, values: &[Value]) -> Answer {
    let network = network_at(budget, values.first().ok_or(Failure::Error("a network is expected"))?)?;
    let count = network.last().abs_diff(network.first).saturating_add(1);
    budget.charge(usize::try_from(count).unwrap_or(usize::MAX).saturating_mul(16))?;
    let all = (network.first..=network.last()).map(|address| Value::from(write(address)));
    Ok(Value::from(all.collect::<Set>()))
}

/// Addresses from one to another, and how to write them if they have not been merged.
struct Range {
    last: u128,
    first: u128,
    own: Option<Value>,
}

fn merge(budget: &mut Budget, values: &[Value]) -> Answer {
    let items = match values {
        [Value::Array(items)] => &**items,
        [Value::Set(items)] => items,
        _ => return Err(Failure::Error("an array or a set is expected")),
    };
    let mut ranges = Vec::with_capacity(items.len());
    for item in items {
        ranges.push(range(budget, item)?);
    }
    ranges.sort_unstable_by_key(|range| (range.last, range.first));
    let mut merged: Vec<Range> = Vec::with_capacity(ranges.len());
    while let Some(range) = ranges.pop() {
        // It stays where it is, or goes on with the one before it.
        let before = previous(range.first);
        match ranges.last_mut() {
            Some(other) if before <= other.last => {
                if is_mapped(range.first) != is_mapped(other.first) {
                    return Err(Failure::Limit);
                }
                *other = Range { last: range.last, first: range.first.min(other.first), own: None };
            }
            _ => merged.push(range),
        }
    }
    let mut networks = Vec::new();
    for range in merged {
        match range.own {
            Some(own) => networks.push(own),
            None => split(budget, range.first, range.last, &mut networks)?,
        }
    }
    Ok(Value::from(Set::from(networks)))
}

/// An address of version 4 stands for the network of its class, and goes on being written as it is.
fn range(budget: &mut Budget, item: &Value) -> Result<Range, Failure> {
    let text = item.as_str().ok_or(Failure::Error("a string is expected"))?;
    budget.charge(text.len().saturating_add(20))?;
    let Some(address) = address(text) else {
        let network = network(text).ok_or(Failure::Error("a network is expected"))?;
        // OPA mixes the two ways to write such a network up.
        if network.written_mapped {
            return Err(Failure::Limit);
        }
        let own = Some(write_network(network.first, network.prefix));
        return Ok(Range { first: network.first, last: network.last(), own });
    };
    if !is_mapped(address) {
        return Err(Failure::Error("a network is expected"));
    }
    let prefix = match (address >> 24) & 0xff {
        0..=127 => 104,
        128..=191 => 112,
        _ => 120,
    };
    let first = address & !host_bits(prefix);
    Ok(Range { first, last: first | host_bits(prefix), own: Some(write_network(address, prefix)) })
}

/// The address before it; the first one of its version has none.
const fn previous(address: u128) -> u128 {
    if address == MAPPED {
        address
    } else {
        address.saturating_sub(1)
    }
}

/// The fewest networks from one address to another.
fn split(budget: &mut Budget, first: u128, last: u128, networks: &mut Vec<Value>) -> Result<(), Failure> {
    if !is_mapped(first) {
        // Where OPA loses zeros at the start, or mixes the versions up.
        let spanning = first & !host_bits((first ^ last).leading_zeros());
        if (spanning != 0 && spanning.leading_zeros() >= 8)
            || is_mapped(previous(first))
            || is_mapped(last.saturating_add(1))
        {
            return Err(Failure::Limit);
        }
    }
    let mut next = Some(first);
    while let Some(first) = next.filter(|first| *first <= last) {
        budget.charge(20)?;
        // The largest one that starts here and ends in time.
        let zeros = first.trailing_zeros().min(128);
        let mut prefix = 128_u32.saturating_sub(zeros);
        if is_mapped(first) {
            prefix = prefix.max(96);
        }
        while first | host_bits(prefix) > last {
            prefix = prefix.saturating_add(1);
        }
        networks.push(write_network(first, prefix));
        next = (first | host_bits(prefix)).checked_add(1);
    }
    Ok(())
}
