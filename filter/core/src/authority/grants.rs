//! The grant layer: is this identity entitled to this route at all? Necessary, never sufficient.
//!
//! Of the grants that admit a call one decides: the one with the most specific path; of those the
//! one that names the caller most precisely (exactly, by the longest prefix, by the most claims);
//! of those one that names the host as it came before one for any of its ports; of those the one that
//! was written first. What it then requires (an elevation, a binding) is
//! required: a grant that is less specific does not make up for it.
//!
//! A call costs a few look-ups per path segment, and a look-up costs the same however many grants
//! there are. A grant takes about six allocations, and no step of building or dropping touches more
//! than one in 256 of them.

mod grant;
mod selectors;
mod sharded;
mod template;
mod tree;

use std::collections::BTreeSet;
use std::sync::Arc;

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use crate::authority::elevations::Elevated;
use crate::base::time::UnixTime;
use crate::http::target::Target;
use crate::identity::Identity;
pub(crate) use grant::{Delegation, Grant};
use selectors::{Fit, SelectorId, Selectors};
pub(crate) use selectors::{Selector, ANONYMOUS, MAX_CLAIM_SETS};
use sharded::ShardedMap;
pub(crate) use template::Template;
use tree::{NodeId, Places, Tree, Visit};

/// How many grants may be for one caller, host and path template: each is looked at.
pub(crate) const MAX_ALIKE: usize = 256;
/// Clashes of one grant that are reported.
const MAX_CLASHES: usize = 20;

/// A grant that admits the call, with the values of its path template.
#[derive(Debug, Clone)]
pub(crate) struct Granted {
    pub(crate) grant: Arc<Grant>,
    pub(crate) params: Vec<(String, String)>,
    /// The caller's elevation; added by the layer of elevations.
    pub(crate) elevated: Option<Elevated>,
}

/// The grant that admits a call.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct GrantRecord {
    /// Its name.
    pub id: Arc<str>,
    /// Why it exists.
    pub purpose: Arc<str>,
    /// Who answers for it.
    pub owner: Arc<str>,
    /// How sensitive what lies behind it is.
    pub sensitivity: Option<Arc<str>>,
    /// Which system it comes from.
    #[serde(default)]
    pub source: Option<Arc<str>>,
    /// Its number there.
    #[serde(default)]
    pub ticket: Option<Arc<str>>,
    /// Values of the path template.
    pub params: Map<String, Value>,
}

impl Granted {
    /// What is written down of it.
    pub(crate) fn to_record(&self) -> GrantRecord {
        let params = self.params.iter().map(|(name, value)| (name.clone(), Value::from(value.as_str())));
        GrantRecord {
            id: Arc::clone(&self.grant.id),
            purpose: Arc::clone(&self.grant.purpose),
            owner: Arc::clone(&self.grant.owner),
            sensitivity: self.grant.sensitivity.clone(),
            source: self.grant.source.clone(),
            ticket: self.grant.ticket.clone(),
            params: params.collect(),
        }
    }
}

/// What finding the grant of a call may take: places of the tree, look-ups there, grants, and segments of the templates
/// that they except.
const MAX_TRIED: usize = 20_000;

/// All grants, by route and subject.
#[derive(Debug, Default)]
pub(crate) struct Grants {
    tree: Tree,
    selectors: Selectors,
    entries: Entries,
    /// How many were inserted.
    count: u32,
}

/// By where a template ends and whom it is for: those that are alike, in the order of writing.
type Entries = ShardedMap<(NodeId, SelectorId), Vec<PlacedGrant>>;

#[derive(Debug)]
struct PlacedGrant {
    grant: Arc<Grant>,
    /// Names of the template's parameters, in order, with `,` between them.
    names: Arc<str>,
    /// Which grant it is in the order of writing.
    order: u32,
}

/// Two grants that can't both stand.
#[derive(Debug)]
pub(crate) struct Clash {
    /// Index of the path template in question.
    pub(crate) path: usize,
    /// What is wrong, in words.
    pub(crate) message: String,
}

impl Grants {
    /// Drops some of them; whether there are more. All at once takes long.
    pub(crate) fn take_apart(&mut self, many: usize) -> bool {
        self.entries.take_apart(many) || self.tree.take_apart(many) || self.selectors.take_apart(many)
    }

    /// Whether a grant for these may be inserted.
    pub(crate) fn has_room_for(&self, selector: &Selector) -> bool {
        self.selectors.has_room_for(selector)
    }

    /// Adds a grant with its templates and the names of their parameters. What it can't stand beside
    /// is returned.
    pub(crate) fn insert(
        &mut self,
        selector: Selector,
        hosts: &[String],
        paths: &[(Template, Arc<str>)],
        grant: Grant,
    ) -> Vec<Clash> {
        let grant = Arc::new(grant);
        let selector = self.selectors.insert(selector);
        let order = self.count;
        self.count = order.saturating_add(1);
        let mut clashes: Vec<Clash> = Vec::new();
        // A host that is repeated is reported as such.
        let mut seen = BTreeSet::new();
        for host in hosts.iter().filter(|host| seen.insert(*host)) {
            for (path, (template, names)) in paths.iter().enumerate() {
                let node = self.tree.insert(host, template);
                let entry = PlacedGrant { grant: Arc::clone(&grant), names: Arc::clone(names), order };
                let Some(alike) = self.entries.slot((node, selector)) else { continue };
                let clash = alike.iter().find_map(|other| clash(other, &entry));
                let many = (alike.len() >= MAX_ALIKE)
                    .then(|| format!("more than {MAX_ALIKE} grants are for this caller, host and path"));
                if let Some(message) = clash.or(many) {
                    // Once, not for each host.
                    if clashes.len() < MAX_CLASHES && clashes.iter().all(|known| known.message != message) {
                        clashes.push(Clash { path, message });
                    }
                }
                if alike.len() < MAX_ALIKE {
                    // Most stay the only one.
                    alike.reserve_exact(1);
                    alike.push(entry);
                }
            }
        }
        clashes
    }

    /// The grant that decides for this caller, `None` for one without a credential, on this target now.
    ///
    /// # Errors
    /// The nearest miss, in words for the record.
    pub(crate) fn find(
        &self,
        caller: Option<&Identity>,
        target: &Target,
        now: UnixTime,
    ) -> Result<Granted, String> {
        let subject = caller.map_or(ANONYMOUS, |identity| identity.id.as_str());
        let fits = self.selectors.of(caller);
        if fits.is_empty() {
            return Err(format!("no grant names `{subject}`"));
        }
        let Some(host) = self.tree.host(&target.host, target.host_name()) else {
            return Err(format!("no grant names the host `{}`", target.host));
        };
        let left = MAX_TRIED;
        let mut search =
            Search { entries: &self.entries, fits, caller, target, now, left, found: None, miss: None };
        match target.path.as_str() {
            "*" => self.tree.star(host, &mut search),
            _ => self.tree.walk(host, &target.segments, &mut search),
        }
        if search.left == 0 {
            // A broader one must not take what one that was not tried may forbid.
            return Err("more grants are about such a path than are tried".into());
        }
        search.found.ok_or_else(|| {
            search.miss.unwrap_or_else(|| format!("no grant of `{subject}` covers the path on this host"))
        })
    }
}

struct Search<'a> {
    entries: &'a Entries,
    fits: Vec<Fit>,
    caller: Option<&'a Identity>,
    target: &'a Target,
    now: UnixTime,
    /// How much may still be tried; with nothing left, nothing is found.
    left: usize,
    found: Option<Granted>,
    miss: Option<String>,
}

impl Search<'_> {
    /// Whether there is nothing left once so much more is tried.
    fn spend(&mut self, tried: usize) -> bool {
        self.left = self.left.saturating_sub(tried);
        self.left == 0
    }
}

impl<'p> Visit<'p> for Search<'_> {
    fn tries(&mut self) -> bool {
        self.spend(1)
    }

    fn visit(&mut self, places: Places, values: &[&'p str], rest: &'p [String]) -> bool {
        let entries = self.entries;
        let mut here: Vec<(u32, usize, &PlacedGrant)> = Vec::new();
        let mut tried: usize = 0;
        for Fit { rank, selector } in &self.fits {
            for (at, node) in places.iter().enumerate() {
                let Some(node) = *node else { continue };
                let alike = entries.get(&(node, *selector)).map_or(&[][..], Vec::as_slice);
                tried = tried.saturating_add(alike.len()).saturating_add(1);
                here.extend(alike.iter().map(|entry| (*rank, at, entry)));
            }
        }
        if self.spend(tried) {
            return true;
        }
        here.sort_by_key(|(rank, at, entry)| (*rank, *at, entry.order));
        for (_, _, PlacedGrant { grant, names, .. }) in here {
            if self.spend(grant.except.len().saturating_mul(self.target.segments.len())) {
                return true;
            }
            match grant.admits(self.caller, self.target, self.now) {
                Ok(()) => {
                    let rest = (!rest.is_empty()).then(|| rest.join("/"));
                    let values = values.iter().map(|value| (*value).to_owned()).chain(rest);
                    let params = names.split(',').map(str::to_owned).zip(values).collect();
                    self.found = Some(Granted { grant: Arc::clone(grant), params, elevated: None });
                    return true;
                }
                Err(miss) => self.miss = Some(format!("grant `{}` {miss}", grant.id)),
            }
        }
        false
    }
}

/// Why two grants for one subject, host and path can't both stand: some call is admitted by both,
/// and it would matter which of them decides. Those that differ in nothing but what is recorded, or
/// in whom they admit, may: the first one written decides.
fn clash(one: &PlacedGrant, other: &PlacedGrant) -> Option<String> {
    let (a, b) = (&*one.grant, &*other.grant);
    if Arc::ptr_eq(&one.grant, &other.grant) {
        return Some("matches what another path of this grant matches".into());
    }
    // Two of one id are one mistake, which is reported as such.
    if a.id == b.id || !a.overlaps(b) {
        return None;
    }
    let differs = [
        (a.rule_set != b.rule_set, "policy"),
        (a.sensitivity != b.sensitivity, "sensitivity"),
        (a.requires_elevation != b.requires_elevation, "requires_elevation"),
        (a.break_glass_kinds != b.break_glass_kinds, "break_glass_kinds"),
        (a.requires_binding != b.requires_binding, "requires_binding"),
    ];
    if let Some((_, name)) = differs.iter().find(|(differs, _)| *differs) {
        return Some(format!(
            "conflicts with grant `{}`: both are for the same caller, host, path, method and time, and differ in `{name}`",
            a.id
        ));
    }
    if one.names != other.names {
        return Some(format!(
            "is ambiguous beside grant `{}`: both match the same paths, and name the parameters `{}` and `{}`",
            a.id, one.names, other.names
        ));
    }
    let same = (&a.owner, &a.purpose, &a.source, &a.ticket, a.kinds, &a.issuer, &a.methods)
        == (&b.owner, &b.purpose, &b.source, &b.ticket, b.kinds, &b.issuer, &b.methods)
        && a.except == b.except
        && (a.valid_from, a.valid_until, &a.delegation, a.semicolons)
            == (b.valid_from, b.valid_until, &b.delegation, b.semicolons);
    same.then(|| format!("repeats grant `{}`: they differ in nothing but their ids", a.id))
}
