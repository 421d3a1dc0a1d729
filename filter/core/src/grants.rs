//! The grant layer: is this identity entitled to this route at all? Necessary, never sufficient.
//!
//! By subject, then a tree over host and path segments: the cost does not grow with the number of
//! grants. Of several matching grants the one with the most specific path is taken, and of those
//! the first in the configuration.

use std::collections::BTreeMap;
use std::sync::Arc;

use crate::identity::{Identity, Kinds};
use crate::policy::PolicyValue;
use crate::target::Target;
use crate::time::UnixTime;

/// The subject of grants that need no credential.
pub(crate) const ANONYMOUS: &str = "anonymous";

/// One entitlement, resolved.
#[derive(Debug)]
pub(crate) struct Grant {
    pub(crate) id: String,
    pub(crate) owner: String,
    pub(crate) purpose: String,
    pub(crate) sensitivity: Option<String>,
    /// Empty for those that need no credential.
    pub(crate) kinds: Kinds,
    /// `None`: any issuer.
    pub(crate) issuer: Option<String>,
    pub(crate) methods: Vec<String>,
    pub(crate) valid_from: Option<UnixTime>,
    pub(crate) valid_until: Option<UnixTime>,
    pub(crate) delegation: Option<Delegation>,
    pub(crate) semicolons: bool,
    /// Index of the rule set that decides.
    pub(crate) rule_set: usize,
    /// `input.grant` but for `params`.
    pub(crate) input: PolicyValue,
}

/// On whose behalf the subject may call.
#[derive(Debug)]
pub(crate) struct Delegation {
    /// `None`: any principal.
    pub(crate) principals: Option<Vec<String>>,
}

/// A grant that admits the call, with the values of its path template.
#[derive(Debug, Clone)]
pub(crate) struct Granted {
    pub(crate) grant: Arc<Grant>,
    pub(crate) params: Vec<(String, String)>,
}

/// All grants, by subject.
#[derive(Debug, Default)]
pub(crate) struct Grants {
    by_subject: BTreeMap<String, BTreeMap<String, Node>>,
}

#[derive(Debug, Default)]
struct Node {
    literal: BTreeMap<String, Node>,
    param: Option<Box<Node>>,
    /// Grants whose template ends here.
    end: Vec<Leaf>,
    /// Grants whose template ends here with `{name...}`.
    rest: Vec<Leaf>,
    /// At a host's root: grants for the target `*`, which is not the path `/*`.
    star: Vec<Leaf>,
}

#[derive(Debug)]
struct Leaf {
    grant: Arc<Grant>,
    /// Names of the template's parameters, in order.
    names: Arc<[String]>,
}

/// A path template, parsed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Template {
    parts: Vec<Part>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Part {
    Literal(String),
    Param(String),
    /// One or more segments, the last part only.
    Rest(String),
    /// The target `*`, the only part.
    Star,
}

impl Template {
    /// Parses `/a/{b}/c/{d...}`; `*` is the target of CONNECT and OPTIONS without a path.
    ///
    /// # Errors
    /// What is wrong with the text.
    pub(crate) fn parse(text: &str) -> Result<Self, String> {
        if text == "*" {
            return Ok(Self { parts: vec![Part::Star] });
        }
        let relative = text.strip_prefix('/').ok_or("expected a path that starts with `/`")?;
        let mut parts: Vec<Part> = Vec::new();
        if relative.is_empty() {
            return Ok(Self { parts });
        }
        let segments: Vec<&str> = relative.split('/').collect();
        let last = segments.len().saturating_sub(1);
        for (index, segment) in segments.into_iter().enumerate() {
            let part = match segment.strip_prefix('{').and_then(|s| s.strip_suffix('}')) {
                Some(name) => {
                    let (name, is_rest) = match name.strip_suffix("...") {
                        Some(name) => (name, true),
                        None => (name, false),
                    };
                    let plain = name.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_');
                    if name.is_empty() || !plain {
                        return Err(format!("`{{{name}}}` is not a parameter name"));
                    }
                    if parts.iter().any(|part| matches!(part, Part::Param(other) if other == name)) {
                        return Err(format!("the parameter `{name}` is repeated"));
                    }
                    match is_rest {
                        true if index != last => {
                            return Err(format!("`{{{name}...}}` is not the last segment"))
                        }
                        true => Part::Rest(name.to_owned()),
                        false => Part::Param(name.to_owned()),
                    }
                }
                None if segment.is_empty() && index != last => {
                    return Err("an empty segment never matches: such paths are refused".into())
                }
                None if matches!(segment, "." | "..") => {
                    return Err("a dot segment never matches: such paths are refused".into())
                }
                None if segment.contains(['{', '}', '%', '\\', '#', '?']) => {
                    return Err(format!(
                        "the segment `{segment}` never matches: segments are compared decoded"
                    ))
                }
                None => Part::Literal(segment.to_owned()),
            };
            parts.push(part);
        }
        Ok(Self { parts })
    }

    fn names(&self) -> Arc<[String]> {
        self.parts
            .iter()
            .filter_map(|part| match part {
                Part::Literal(_) | Part::Star => None,
                Part::Param(name) | Part::Rest(name) => Some(name.clone()),
            })
            .collect()
    }
}

impl Grants {
    pub(crate) fn insert(&mut self, subject: &str, hosts: &[String], paths: &[Template], grant: &Arc<Grant>) {
        let by_host = self.by_subject.entry(subject.to_owned()).or_default();
        for host in hosts {
            for template in paths {
                let mut node = by_host.entry(host.clone()).or_default();
                for part in &template.parts {
                    match part {
                        Part::Literal(text) => node = node.literal.entry(text.clone()).or_default(),
                        Part::Param(_) => node = node.param.get_or_insert_default(),
                        Part::Rest(_) | Part::Star => {}
                    }
                }
                let leaf = Leaf { grant: Arc::clone(grant), names: template.names() };
                match template.parts.last() {
                    Some(Part::Rest(_)) => node.rest.push(leaf),
                    Some(Part::Star) => node.star.push(leaf),
                    _ => node.end.push(leaf),
                }
            }
        }
    }

    /// The grant that admits this caller, `None` for one without a credential, to this target now.
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
        let mut search = Search { caller, target, now, captured: Vec::new(), miss: None };
        // A caller whose id reads `anonymous` must not match the grants for callers without one.
        let by_host = match caller.is_some() && subject == ANONYMOUS {
            true => None,
            false => self.by_subject.get(subject),
        };
        let Some(by_host) = by_host else {
            return Err(format!("no grant names `{subject}`"));
        };
        let Some(root) = by_host.get(&target.host) else {
            return Err(format!("no grant of `{subject}` names the host `{}`", target.host));
        };
        let found = match target.path.as_str() {
            "*" => search.pick(&root.star, &[]),
            _ => search.walk(root, &target.segments),
        };
        match found {
            Some(granted) => Ok(granted),
            None => Err(search.miss.unwrap_or_else(|| format!("no grant of `{subject}` covers the path"))),
        }
    }
}

struct Search<'a> {
    caller: Option<&'a Identity>,
    target: &'a Target,
    now: UnixTime,
    captured: Vec<&'a str>,
    miss: Option<String>,
}

impl<'a> Search<'a> {
    /// Most specific first: a literal, then a parameter, then the rest. The depth is bounded by the
    /// number of segments that a target may have.
    fn walk(&mut self, node: &'a Node, segments: &'a [String]) -> Option<Granted> {
        let Some((segment, after)) = segments.split_first() else {
            return self.pick(&node.end, &[]);
        };
        if let Some(next) = node.literal.get(segment) {
            if let Some(granted) = self.walk(next, after) {
                return Some(granted);
            }
        }
        // An empty last segment is a trailing slash: a literal, never a value.
        if !segment.is_empty() {
            if let Some(next) = &node.param {
                self.captured.push(segment);
                if let Some(granted) = self.walk(next, after) {
                    return Some(granted);
                }
                self.captured.pop();
            }
        }
        // `/files/` is not a file below `/files`.
        match segment.is_empty() {
            true => None,
            false => self.pick(&node.rest, segments),
        }
    }

    fn pick(&mut self, leaves: &'a [Leaf], rest: &[String]) -> Option<Granted> {
        for leaf in leaves {
            match admits(&leaf.grant, self.caller, self.target, self.now) {
                Ok(()) => {
                    let rest = (!rest.is_empty()).then(|| rest.join("/"));
                    let values = self.captured.iter().map(|value| (*value).to_owned()).chain(rest);
                    let params = leaf.names.iter().cloned().zip(values).collect();
                    return Some(Granted { grant: Arc::clone(&leaf.grant), params });
                }
                Err(miss) => self.miss = Some(format!("grant `{}` {miss}", leaf.grant.id)),
            }
        }
        None
    }
}

/// The rules of one grant whose subject, host and path match.
fn admits(grant: &Grant, caller: Option<&Identity>, target: &Target, now: UnixTime) -> Result<(), String> {
    if !grant.methods.contains(&target.method) {
        return Err(format!("does not name the method `{}`", target.method));
    }
    if caller.is_some_and(|identity| !grant.kinds.holds(identity.kind)) {
        return Err("is for another kind of caller".into());
    }
    if grant.issuer.is_some() && grant.issuer.as_ref() != caller.map(|identity| &identity.issuer) {
        return Err("is for callers of another issuer".into());
    }
    if let Some(principal) = caller.and_then(|identity| identity.principal.as_ref()) {
        match &grant.delegation {
            None => return Err("does not admit calls on behalf of a principal".into()),
            Some(Delegation { principals: Some(only) }) if !only.contains(principal) => {
                return Err(format!("does not name the principal `{principal}`"))
            }
            Some(_) => {}
        }
    }
    if grant.valid_from.is_some_and(|from| now < from) {
        return Err("is not valid yet".into());
    }
    if grant.valid_until.is_some_and(|until| now >= until) {
        return Err("is not valid any more".into());
    }
    if target.has_semicolon && !grant.semicolons {
        return Err("does not admit paths with `;`".into());
    }
    Ok(())
}
