//! Grants that open, by a broader path, what a more specific one is for: each admits by itself, and none closes
//! anything, whatever its path looks like beside another's.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::Value;

use super::grants::{list, shape, text, REST, VALUE};
use super::{Finding, PATH_OPENED, PATH_VARIANT};

/// A host and a path template without the names of its values.
type Route<'d> = (&'d str, Vec<&'d str>);

/// Paths of grants that are for more than one caller, and all that routes begin with.
#[derive(Default)]
struct Broad<'d> {
    paths: BTreeMap<Route<'d>, Vec<(usize, usize)>>,
    beginnings: BTreeSet<Route<'d>>,
    /// By their names without ports.
    hosts: BTreeMap<&'d str, BTreeSet<&'d str>>,
}

/// A host without its port.
fn name(host: &str) -> &str {
    match host.rsplit_once(':') {
        Some((name, port)) if !port.ends_with(']') => name,
        _ => host,
    }
}

pub(super) fn lint(document: &Value, found: &mut Vec<Finding>) {
    let grants = list(document.pointer("/bundle/inline/grants"));
    variants(document, grants, found);
    let mut broad = Broad::default();
    for (at, grant) in grants.iter().enumerate().filter(|(_, grant)| is_for_many(grant)) {
        broad.add(at, grant);
    }
    let mut opened: BTreeMap<(usize, usize), (&str, &str)> = BTreeMap::new();
    for (at, grant) in grants.iter().enumerate() {
        for path in list(grant.get("paths")).iter().filter_map(Value::as_str) {
            let shape = shape(path);
            for host in list(grant.get("hosts")).iter().filter_map(Value::as_str) {
                for host in broad.meeting(host) {
                    broad.over(host, &mut Vec::new(), &shape, false, &mut |other @ (by, _)| {
                        let opens = |by: &Value| is_wider(by, grant) && !excepts(by, &shape);
                        if by != at && grants.get(by).is_some_and(opens) {
                            opened.entry(other).or_insert((path, text(grant, "id").unwrap_or_default()));
                        }
                    });
                }
            }
        }
    }
    for ((grant, path), (taken, guard)) in opened {
        found.push(Finding::new(
            &PATH_OPENED,
            format!("bundle.inline.grants[{grant}].paths[{path}]"),
            format!(
                "takes `{taken}` too: whom grant `{guard}` does not choose there comes in here; name such paths in \
                 `except`"
            ),
        ));
    }
}

/// Grants that ask for more, or something else, than a broader one for the same callers: to a server that folds letter case, or a slash at
/// the end, a path in another spelling is theirs, and falls to the broader one here.
fn variants(document: &Value, grants: &[Value], found: &mut Vec<Finding>) {
    let mut broad = Broad::default();
    for (at, grant) in grants.iter().enumerate() {
        broad.add(at, grant);
    }
    let is_said = |host: &str| {
        let hosts = document.get("hosts").and_then(Value::as_object);
        hosts
            .is_some_and(|hosts| hosts.contains_key(host) || hosts.contains_key(&format!("{}:*", name(host))))
    };
    for (at, grant) in grants.iter().enumerate() {
        for (index, path) in list(grant.get("paths")).iter().enumerate() {
            let Some(path) = path.as_str() else { continue };
            let shape = shape(path);
            if shape.iter().all(|segment| matches!(*segment, "" | VALUE | REST)) {
                continue;
            }
            let mut falls_to = None;
            for host in
                list(grant.get("hosts")).iter().filter_map(Value::as_str).filter(|host| !is_said(host))
            {
                for host in broad.meeting(host) {
                    broad.over(host, &mut Vec::new(), &shape, false, &mut |(by, _)| {
                        let lax = |by: &&Value| asks_for_more(grant, by) && is_for_same(by, grant);
                        falls_to = falls_to.or(grants.get(by).filter(lax));
                    });
                }
            }
            if let Some(other) = falls_to {
                found.push(Finding::new(
                    &PATH_VARIANT,
                    format!("bundle.inline.grants[{at}].paths[{index}]"),
                    format!(
                        "asks for other things than grant `{}`, to which another spelling of it falls: say in `hosts` \
                         whether the server tells letter case and a slash at the end apart",
                        text(other, "id").unwrap_or_default()
                    ),
                ));
            }
        }
    }
}

/// Whether it matters that a path of the one falls to the other: that asks for less, or for something else.
fn asks_for_more(grant: &Value, other: &Value) -> bool {
    let differs = |name: &str| grant.get(name) != other.get(name);
    let is_elevated = |grant: &Value| grant.get("requires_elevation") == Some(&Value::Bool(true));
    let is_bound = |grant: &Value| grant.get("requires_binding").is_some();
    differs("policy")
        || differs("sensitivity")
        || is_elevated(grant) && !is_elevated(other)
        || is_bound(grant) && !is_bound(other)
}

/// Whether a call may be for both, by a method and a caller of both.
fn is_for_same(one: &Value, other: &Value) -> bool {
    let methods = list(one.get("methods"));
    let who = |grant: &Value| ["subject", "subject_prefix", "claims"].map(|name| grant.get(name).cloned());
    list(other.get("methods")).iter().any(|method| methods.contains(method))
        && (who(one) == who(other) || is_wider(one, other))
}

impl<'d> Broad<'d> {
    fn add(&mut self, at: usize, grant: &'d Value) {
        for (index, path) in list(grant.get("paths")).iter().enumerate() {
            let Some(path) = path.as_str().filter(|path| path.starts_with('/')) else { continue };
            let shape = shape(path);
            for host in list(grant.get("hosts")).iter().filter_map(Value::as_str) {
                self.hosts.entry(name(host)).or_default().insert(host);
                for end in 0..shape.len() {
                    self.beginnings.insert((host, shape.get(..end).unwrap_or_default().to_vec()));
                }
                self.paths.entry((host, shape.clone())).or_default().push((at, index));
            }
        }
    }

    /// The hosts that some call is for which is for this one.
    fn meeting(&self, host: &'d str) -> impl Iterator<Item = &'d str> + use<'_, 'd> {
        let alike = self.hosts.get(name(host)).into_iter().flatten().copied();
        alike.filter(move |other| *other == host || other.ends_with(":*") || host.ends_with(":*"))
    }

    /// Calls `each` for the paths that take all that this one takes, and more.
    fn over(
        &self,
        host: &'d str,
        before: &mut Vec<&'d str>,
        rest: &[&'d str],
        is_broader: bool,
        each: &mut impl FnMut((usize, usize)),
    ) {
        let Some((segment, after)) = rest.split_first() else {
            if is_broader {
                self.paths.get(&(host, before.clone())).into_iter().flatten().copied().for_each(each);
            }
            return;
        };
        if !self.beginnings.contains(&(host, before.clone())) {
            return;
        }
        let mut go = |instead: &'d str, after: &[&'d str], is_broader: bool| {
            before.push(instead);
            self.over(host, before, after, is_broader, each);
            before.pop();
        };
        go(segment, after, is_broader);
        if !matches!(*segment, "" | VALUE | REST) {
            go(VALUE, after, true);
        }
        if *segment != REST || !after.is_empty() {
            go(REST, &[], true);
        }
    }
}

/// It is not for one caller alone.
fn is_for_many(grant: &Value) -> bool {
    text(grant, "subject").is_none_or(|subject| subject == ANONYMOUS)
}

const ANONYMOUS: &str = "anonymous";

/// Whether a grant may be for callers whom the other one leaves out of those it chooses from, by a method of both.
fn is_wider(wide: &Value, narrow: &Value) -> bool {
    let share = |name: &str| {
        let all = list(wide.get(name));
        list(narrow.get(name)).iter().any(|item| all.contains(item))
    };
    if !share("methods") {
        return false;
    }
    if text(wide, "subject") == Some(ANONYMOUS) {
        return text(narrow, "subject") != Some(ANONYMOUS);
    }
    let issuers = text(wide, "issuer").zip(text(narrow, "issuer"));
    if !share("kinds") || issuers.is_some_and(|(one, other)| one != other) {
        return false;
    }
    if let Some(prefix) = text(wide, "subject_prefix") {
        let own = text(narrow, "subject").or(text(narrow, "subject_prefix"));
        return own.is_some_and(|own| own != prefix && own.starts_with(prefix));
    }
    let (Some(wide), Some(narrow)) = (wide.get("claims"), narrow.get("claims")) else { return false };
    // Every token of the issuer has that claim.
    let members = |claims: &Value| -> BTreeMap<String, Value> {
        let claims = claims.as_object().into_iter().flatten().filter(|(name, _)| *name != "iss");
        claims.map(|(name, value)| (name.clone(), value.clone())).collect()
    };
    let (wide, narrow) = (members(wide), members(narrow));
    // Who fits more claims than the other asks for fits those as well.
    !narrow.iter().all(|(name, value)| wide.get(name) == Some(value))
}

/// Whether it says that it does not take these paths.
fn excepts(grant: &Value, shape_of: &[&str]) -> bool {
    list(grant.get("except")).iter().filter_map(Value::as_str).any(|path| takes(&shape(path), shape_of))
}

/// Whether a template takes every path that another takes.
fn takes(template: &[&str], other: &[&str]) -> bool {
    match (template.split_first(), other.split_first()) {
        (Some((&REST, _)), Some(_)) => true,
        (Some((&VALUE, after)), Some((segment, rest))) => {
            !matches!(*segment, "" | REST) && takes(after, rest)
        }
        (Some((text, after)), Some((segment, rest))) => text == segment && takes(after, rest),
        (one, other) => one.is_none() && other.is_none(),
    }
}
