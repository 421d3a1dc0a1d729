//! Grants that admit nothing, and records that nobody answers for.

use std::collections::BTreeSet;

use everycall_core::UnixTime;
use serde_json::Value;

use super::{Finding, GRANT_EXPIRED, GRANT_NEVER_MATCHES, MISSING_OWNER, SHADOWED_PATH};

/// What people write where they do not know.
const NOBODY: &[&str] =
    &["-", "?", "fixme", "n/a", "na", "nobody", "none", "null", "tbd", "todo", "unknown", "x", "xxx"];

pub(super) fn lint(document: &Value, now: UnixTime, found: &mut Vec<Finding>) {
    let callers = Callers::of(document);
    let grants = list(document.pointer("/bundle/inline/grants"));
    for (index, grant) in grants.iter().enumerate() {
        let at = format!("bundle.inline.grants[{index}]");
        let until = text(grant, "valid_until").and_then(UnixTime::parse_rfc3339);
        if until.is_some_and(|until| now >= until) {
            found.push(Finding::new(
                &GRANT_EXPIRED,
                format!("{at}.valid_until"),
                "it is over: the grant admits nothing any more",
            ));
        }
        for (path, message) in callers.impossible(grant) {
            found.push(Finding::new(&GRANT_NEVER_MATCHES, format!("{at}.{path}"), message));
        }
        semicolons(grant, &at, found);
        shadowed(grants, index, grant, &at, found);
    }
    for kind in ["grants", "elevations", "exceptions"] {
        for (index, record) in
            list(document.pointer("/bundle/inline").and_then(|bundle| bundle.get(kind))).iter().enumerate()
        {
            let owner = text(record, "owner").map(|owner| owner.trim().to_ascii_lowercase());
            if let Some(owner) = owner.filter(|owner| NOBODY.contains(&owner.as_str())) {
                let at = format!("bundle.inline.{kind}[{index}].owner");
                found.push(Finding::new(
                    &MISSING_OWNER,
                    at,
                    format!("`{owner}` answers for nothing: name a person or a team"),
                ));
            }
        }
    }
}

/// Who can call at all.
struct Callers {
    issuers: BTreeSet<String>,
    kinds: BTreeSet<String>,
    trust_domains: BTreeSet<String>,
    certificates: bool,
}

impl Callers {
    fn of(document: &Value) -> Self {
        let mut all = Self {
            issuers: BTreeSet::new(),
            kinds: BTreeSet::new(),
            trust_domains: BTreeSet::new(),
            certificates: document.get("mtls").is_some_and(Value::is_object),
        };
        let texts = |value: Option<&Value>| {
            list(value).iter().filter_map(|item| item.as_str().map(str::to_owned)).collect::<Vec<_>>()
        };
        for issuer in list(document.get("issuers")) {
            let name = text(issuer, "issuer").unwrap_or_default();
            all.issuers.insert(name.to_owned());
            all.trust_domains.extend(name.strip_prefix("spiffe://").map(str::to_owned));
            all.trust_domains.extend(texts(issuer.get("trust_domains")));
            let own = [text(issuer, "kind"), text(issuer, "actor_kind")];
            let rules = list(issuer.get("kinds")).iter().map(|rule| text(rule, "kind"));
            all.kinds.extend(own.into_iter().chain(rules).flatten().map(str::to_owned));
        }
        if let Some(mtls) = document.get("mtls") {
            let domains = texts(mtls.get("trust_domains"));
            all.issuers.extend(domains.iter().map(|domain| format!("spiffe://{domain}")));
            all.trust_domains.extend(domains);
            all.kinds.extend(text(mtls, "kind").map(str::to_owned));
        }
        if !list(document.get("api_keys")).is_empty() {
            all.issuers.insert("api_keys".to_owned());
            all.kinds.insert("legacy".to_owned());
        }
        all
    }

    /// Members of a grant that no caller fits, and why.
    fn impossible(&self, grant: &Value) -> Vec<(String, String)> {
        let mut found = Vec::new();
        if let Some(issuer) = text(grant, "issuer").filter(|issuer| !self.issuers.contains(*issuer)) {
            found.push(("issuer".to_owned(), format!("no issuer `{issuer}` is configured")));
        }
        for (index, kind) in list(grant.get("kinds")).iter().enumerate() {
            if let Some(kind) = kind.as_str().filter(|kind| !self.kinds.contains(*kind)) {
                found.push((
                    format!("kinds[{index}]"),
                    format!("nothing that is configured makes callers of the kind `{kind}`"),
                ));
            }
        }
        for name in ["subject", "subject_prefix"] {
            let domain = text(grant, name)
                .and_then(|id| id.strip_prefix("spiffe://"))
                .and_then(|id| id.split('/').next());
            if let Some(domain) = domain.filter(|domain| !self.trust_domains.contains(*domain)) {
                found.push((
                    name.to_owned(),
                    format!("no issuer and no certificate may name ids of the trust domain `{domain}`"),
                ));
            }
        }
        if text(grant, "requires_binding") == Some("certificate") && !self.certificates {
            found.push((
                "requires_binding".to_owned(),
                "no certificate is looked at without `mtls`".to_owned(),
            ));
        }
        found
    }
}

/// A path with `;` is refused unless the grant admits it.
fn semicolons(grant: &Value, at: &str, found: &mut Vec<Finding>) {
    if grant.get("semicolons") == Some(&Value::Bool(true)) {
        return;
    }
    for (index, path) in list(grant.get("paths")).iter().enumerate() {
        if path.as_str().is_some_and(|path| path.contains(';')) {
            let at = format!("{at}.paths[{index}]");
            found.push(Finding::new(
                &GRANT_NEVER_MATCHES,
                at,
                "paths with `;` are refused without `semicolons: true`",
            ));
        }
    }
}

/// Templates of which another one of the same grant, or of an earlier one for the same callers, takes
/// every path.
fn shadowed(grants: &[Value], index: usize, grant: &Value, at: &str, found: &mut Vec<Finding>) {
    let paths = list(grant.get("paths"));
    for (path_index, path) in paths.iter().enumerate() {
        let Some(path) = path.as_str() else { continue };
        let at = format!("{at}.paths[{path_index}]");
        let before = paths.iter().take(path_index).filter_map(Value::as_str);
        if let Some(other) = before.into_iter().find(|other| shape(other) == shape(path)) {
            found.push(Finding::new(
                &SHADOWED_PATH,
                at,
                format!("never reached: `{other}` takes the same paths"),
            ));
            continue;
        }
        let earlier = grants.iter().take(index).find(|other| {
            covers(other, grant)
                && list(other.get("paths"))
                    .iter()
                    .filter_map(Value::as_str)
                    .any(|other| shape(other) == shape(path))
        });
        if let Some(other) = earlier {
            let id = text(other, "id").unwrap_or_default();
            found.push(Finding::new(
                &SHADOWED_PATH,
                at,
                format!("never reached: grant `{id}` comes first and takes the same calls"),
            ));
        }
    }
}

/// A template but for the names of its parameters.
fn shape(path: &str) -> Vec<&str> {
    let part = |segment| match segment {
        segment if !str::starts_with(segment, '{') => segment,
        segment if segment.ends_with("...}") => "{...}",
        _ => "{}",
    };
    path.split('/').map(part).collect()
}

/// Whether one grant admits every call of the other's hosts and methods.
fn covers(one: &Value, other: &Value) -> bool {
    let same = |name: &str| one.get(name) == other.get(name);
    let within = |name: &str| {
        let all = list(one.get(name));
        list(other.get(name)).iter().all(|item| all.contains(item))
    };
    let free = |name: &str| one.get(name).is_none() || same(name);
    ["subject", "subject_prefix", "claims", "delegation", "semicolons"].into_iter().all(same)
        && ["kinds", "hosts", "methods"].into_iter().all(within)
        && ["issuer", "valid_from", "valid_until"].into_iter().all(free)
}

fn list(value: Option<&Value>) -> &[Value] {
    value.and_then(Value::as_array).map_or(&[], Vec::as_slice)
}

fn text<'v>(record: &'v Value, name: &str) -> Option<&'v str> {
    record.get(name).and_then(Value::as_str)
}
