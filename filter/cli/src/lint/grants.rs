//! Grants that admit nothing, and records that nobody answers for.

use std::collections::{BTreeMap, BTreeSet};

use everycall_core::UnixTime;
use serde_json::Value;

use super::{Finding, GRANT_EXPIRED, GRANT_NEVER_MATCHES, MISSING_OWNER, SHADOWED_PATH};

/// The issuer of callers with API keys.
const API_KEYS: &str = "api_keys";
/// What people write where they do not know.
const NOBODY: &[&str] =
    &["-", "?", "fixme", "n/a", "na", "nobody", "none", "null", "tbd", "todo", "unknown", "x", "xxx"];

pub(super) fn lint(document: &Value, now: UnixTime, found: &mut Vec<Finding>) {
    let callers = Callers::of(document);
    let grants = list(document.pointer("/bundle/inline/grants"));
    let mut earlier = Earlier::new();
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
        paths(document, grant, &at, found);
        shadowed(&mut earlier, grant, &at, found);
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
    /// By issuer: the kinds of callers that it vouches for.
    kinds: BTreeMap<String, BTreeSet<String>>,
    trust_domains: BTreeSet<String>,
    /// Subjects of API keys.
    keyed: BTreeSet<String>,
    certificates: bool,
    dpop: bool,
}

impl Callers {
    fn of(document: &Value) -> Self {
        let schemes = document.get("credentials").map(|all| list(Some(all)).iter());
        let is_dpop =
            |place: &Value| text(place, "scheme").is_some_and(|name| name.eq_ignore_ascii_case("dpop"));
        let mut all = Self {
            kinds: BTreeMap::new(),
            trust_domains: BTreeSet::new(),
            keyed: BTreeSet::new(),
            certificates: document.get("mtls").is_some_and(Value::is_object),
            dpop: schemes.is_none_or(|mut places| places.any(is_dpop)),
        };
        let texts = |value: Option<&Value>| {
            list(value).iter().filter_map(|item| item.as_str().map(str::to_owned)).collect::<Vec<_>>()
        };
        for issuer in list(document.get("issuers")) {
            let name = text(issuer, "issuer").unwrap_or_default();
            all.trust_domains.extend(name.strip_prefix("spiffe://").map(str::to_owned));
            all.trust_domains.extend(texts(issuer.get("trust_domains")));
            let own = [text(issuer, "kind"), text(issuer, "actor_kind")];
            let rules = list(issuer.get("kinds")).iter().map(|rule| text(rule, "kind"));
            let kinds = own.into_iter().chain(rules).flatten().map(str::to_owned);
            all.kinds.entry(name.to_owned()).or_default().extend(kinds);
        }
        if let Some(mtls) = document.get("mtls") {
            for domain in texts(mtls.get("trust_domains")) {
                let kinds = all.kinds.entry(format!("spiffe://{domain}")).or_default();
                kinds.extend(text(mtls, "kind").map(str::to_owned));
                all.trust_domains.insert(domain);
            }
        }
        let keys = list(document.get("api_keys"));
        if !keys.is_empty() {
            all.kinds.entry(API_KEYS.to_owned()).or_default().insert("legacy".to_owned());
            all.keyed.extend(keys.iter().filter_map(|key| text(key, "subject")).map(str::to_owned));
        }
        all
    }

    /// Members of a grant that no caller fits, and why.
    fn impossible(&self, grant: &Value) -> Vec<(String, String)> {
        let mut found = Vec::new();
        let issuer = text(grant, "issuer");
        if let Some(issuer) = issuer.filter(|issuer| !self.kinds.contains_key(*issuer)) {
            found.push(("issuer".to_owned(), format!("no issuer `{issuer}` is configured")));
        }
        let makers = |kind: &str| -> Vec<&str> {
            let vouching = self.kinds.iter().filter(|(_, kinds)| kinds.contains(kind));
            vouching.map(|(maker, _)| maker.as_str()).collect()
        };
        // Callers of these kinds have no other credential than a key of the configuration.
        let mut by_key = text(grant, "subject").is_some_and(|subject| !self.keyed.contains(subject));
        for (index, kind) in list(grant.get("kinds")).iter().enumerate() {
            let Some(kind) = kind.as_str() else { continue };
            let makers = makers(kind);
            by_key &= issuer == Some(API_KEYS) || makers == [API_KEYS];
            let why = match issuer.filter(|issuer| self.kinds.contains_key(*issuer)) {
                _ if makers.is_empty() => {
                    format!("nothing that is configured makes callers of the kind `{kind}`")
                }
                Some(issuer) if !makers.contains(&issuer) => {
                    format!("`{issuer}` vouches for no callers of the kind `{kind}`")
                }
                _ => continue,
            };
            found.push((format!("kinds[{index}]"), why));
        }
        if by_key && !list(grant.get("kinds")).is_empty() && found.is_empty() {
            let why = "these callers have API keys, and no key is for this subject";
            found.push(("subject".to_owned(), why.to_owned()));
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
        let (certificate, dpop) = (
            "no certificate is looked at without `mtls`",
            "`credentials` has no place for the scheme `DPoP`",
        );
        let why = match text(grant, "requires_binding") {
            Some("certificate") if !self.certificates => certificate.to_owned(),
            Some("dpop") if !self.dpop => dpop.to_owned(),
            Some("any") if !self.certificates && !self.dpop => format!("{certificate}, and {dpop}"),
            _ => return found,
        };
        found.push(("requires_binding".to_owned(), why));
        found
    }
}

/// Paths that no request of the grant's has: with `;`, which is refused unless the grant admits it, or
/// `*`, which is of two methods only.
fn paths(document: &Value, grant: &Value, at: &str, found: &mut Vec<Finding>) {
    let methods = list(grant.get("methods"));
    let has_star = methods.iter().any(|method| method == "CONNECT" || method == "OPTIONS");
    let semicolons = grant.get("semicolons") == Some(&Value::Bool(true));
    let folds = |what: &str| {
        let mut hosts = list(grant.get("hosts")).iter().filter_map(Value::as_str);
        hosts.any(|host| {
            let rules = document.get("hosts").and_then(|hosts| hosts.get(host));
            rules.and_then(|rules| rules.get(what)).is_some_and(|folded| folded == "fold")
        })
    };
    let (case, slash) = (folds("path_case"), folds("trailing_slash"));
    let literals = |path: &str| path.split('/').filter(|part| !part.starts_with('{')).collect::<String>();
    for (index, path) in list(grant.get("paths")).iter().enumerate() {
        let why = match path.as_str() {
            Some("*") if !has_star => "only CONNECT and OPTIONS have the target `*`",
            Some(path) if path.contains(';') && !semicolons => {
                "paths with `;` are refused without `semicolons: true`"
            }
            Some(path) if case && literals(path).chars().any(char::is_uppercase) => {
                "`hosts` says that paths are compared in lower case there"
            }
            Some(path) if slash && path.len() > 1 && path.ends_with('/') => {
                "`hosts` says that paths are compared without a slash at the end there"
            }
            _ => continue,
        };
        found.push(Finding::new(&GRANT_NEVER_MATCHES, format!("{at}.paths[{index}]"), why));
    }
}

/// Grants so far, by the callers they are for and the shape of a path: those that a later one can be hidden by.
type Earlier<'d> = BTreeMap<(String, Vec<&'d str>), Vec<&'d Value>>;

/// Templates of which another one of the same grant, or of an earlier one for the same callers, takes
/// every path.
fn shadowed<'d>(earlier: &mut Earlier<'d>, grant: &'d Value, at: &str, found: &mut Vec<Finding>) {
    let callers = CALLERS.map(|name| grant.get(name).unwrap_or(&Value::Null).to_string()).join(" ");
    let mut own = BTreeMap::new();
    for (index, path) in list(grant.get("paths")).iter().enumerate() {
        let Some(path) = path.as_str() else { continue };
        let at = format!("{at}.paths[{index}]");
        let shape = shape(path);
        if let Some(other) = own.get(&shape) {
            let message = format!("never reached: `{other}` takes the same paths");
            found.push(Finding::new(&SHADOWED_PATH, at, message));
            continue;
        }
        let before = earlier.entry((callers.clone(), shape.clone())).or_default();
        if let Some(other) = before.iter().find(|other| covers(other, grant)) {
            let id = text(other, "id").unwrap_or_default();
            let message = format!("never reached: grant `{id}` comes first and takes the same calls");
            found.push(Finding::new(&SHADOWED_PATH, at, message));
        }
        before.push(grant);
        own.insert(shape, path);
    }
}

/// A value and a rest in a [`shape`].
pub(super) const VALUE: &str = "{}";
pub(super) const REST: &str = "{...}";

/// A template but for the names of its parameters.
pub(super) fn shape(path: &str) -> Vec<&str> {
    // The root has no segment, which is not an empty one.
    if path == "/" {
        return vec![""];
    }
    let part = |segment| match segment {
        segment if !str::starts_with(segment, '{') => segment,
        segment if segment.ends_with("...}") => REST,
        _ => VALUE,
    };
    path.split('/').map(part).collect()
}

/// What must be the same in two grants for the one to hide the other.
const CALLERS: [&str; 5] = ["subject", "subject_prefix", "claims", "delegation", "semicolons"];

/// Whether one grant admits every call of another one's hosts and methods; both are for [`CALLERS`] alike.
fn covers(one: &Value, other: &Value) -> bool {
    let same = |name: &str| one.get(name) == other.get(name);
    let within = |name: &str| {
        let all = list(one.get(name));
        list(other.get(name)).iter().all(|item| all.contains(item))
    };
    let free = |name: &str| one.get(name).is_none() || same(name);
    ["kinds", "hosts", "methods"].into_iter().all(within)
        && ["issuer", "valid_from", "valid_until"].into_iter().all(free)
}

pub(super) fn list(value: Option<&Value>) -> &[Value] {
    value.and_then(Value::as_array).map_or(&[], Vec::as_slice)
}

pub(super) fn text<'v>(record: &'v Value, name: &str) -> Option<&'v str> {
    record.get(name).and_then(Value::as_str)
}
