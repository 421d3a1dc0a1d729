//! Which paths lead anywhere below `input`: a policy that reads another one finds nothing, whatever the call. For the
//! command line, by the same facts that answer policies.

use std::collections::BTreeSet;
use std::sync::Arc;

use everycall_rego::Kind;

use super::facts::FACTS;
use super::opa;
use super::slots::Fact;
use crate::config::InputFormat;
use crate::http::attributes::ATTRIBUTES;
use crate::http::request::SECRET_HEADERS;

/// A path at which nothing ever stands.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Nowhere {
    /// As far as the first name that is wrong, as it is written in a policy.
    pub path: String,
    /// Why, where it is not that the name is unknown.
    pub because: Option<String>,
    /// What is surely meant.
    pub instead: Option<String>,
    /// What there is beside it.
    pub beside: BTreeSet<String>,
}

/// Which names lead further.
enum Below {
    /// These, and no other.
    Names(BTreeSet<&'static str>),
    /// Any: callers, configurations and decision points choose them.
    Any,
    /// Any in lower case, and these.
    Headers(BTreeSet<&'static str>),
    /// None, as it is no object.
    No(Kind),
}

/// What is wrong with a path below `input`, if nothing can stand there in this form of it.
pub fn nowhere(format: InputFormat, path: &[Arc<str>]) -> Option<Nowhere> {
    let names: Vec<&str> = path.iter().map(|name| &**name).collect();
    let (end, because, known, instead) = (0..names.len()).find_map(|at| {
        let (above, name) = (names.get(..at)?, *names.get(at)?);
        let lower = name.to_ascii_lowercase();
        match below(format, above) {
            Below::Names(_) if at == 0 && format == InputFormat::Everycall && is_opa(name) => {
                let because =
                    "OPA-Envoy's input has it, which is given with `input_format: opa-envoy`".to_owned();
                Some((at, Some(because), BTreeSet::new(), None))
            }
            Below::Names(known) if !known.contains(name) => Some((at, None, known, None)),
            Below::No(kind) => Some((at, Some(kind_of(kind).to_owned()), BTreeSet::new(), None)),
            Below::Headers(_) if name != lower => {
                let instead = above.iter().copied().chain([lower.as_str()]).collect::<Vec<_>>();
                let because = "names of headers are in lower case".to_owned();
                Some((at, Some(because), BTreeSet::new(), Some(written(&instead))))
            }
            Below::Headers(known) if name.starts_with(':') && !known.contains(name) => {
                Some((at, Some("no such header is told".to_owned()), known, None))
            }
            Below::Headers(_) if SECRET_HEADERS.contains(&name) => {
                let because = "no policy sees credentials".to_owned();
                Some((at, Some(because), BTreeSet::new(), Some(written(claims(format)))))
            }
            Below::Names(_) | Below::Headers(_) | Below::Any => None,
        }
    })?;
    let (above, name) = (names.get(..end)?, *names.get(end)?);
    let beside = |known: &&'static str| written(&above.iter().copied().chain([*known]).collect::<Vec<_>>());
    Some(Nowhere {
        path: written(names.get(..=end)?),
        instead: instead.or_else(|| because.is_none().then(|| elsewhere(format, above, name)).flatten()),
        because,
        beside: known.iter().map(beside).collect(),
    })
}

/// Whether it is a member of the other form.
fn is_opa(name: &str) -> bool {
    names_below(opa::FACTS, &[]).contains(name)
}

const fn claims(format: InputFormat) -> &'static [&'static str] {
    match format {
        InputFormat::Everycall => &["identity", "claims"],
        InputFormat::OpaEnvoy => &[opa::OWN, "identity", "claims"],
    }
}

/// What leads further from a path that leads somewhere.
fn below(format: InputFormat, path: &[&str]) -> Below {
    match (format, path.split_first()) {
        (InputFormat::Everycall, _) => below_own(path),
        (InputFormat::OpaEnvoy, Some((&opa::OWN, rest))) => below_own(rest),
        (InputFormat::OpaEnvoy, first) => {
            let mut names = names_below(opa::FACTS, path);
            if first.is_none() {
                names.insert(opa::OWN);
            }
            leads(opa::FACTS, path, names)
        }
    }
}

fn below_own(path: &[&str]) -> Below {
    let mut names = names_below(FACTS, path);
    match path {
        ["connection"] => {
            names.extend(ATTRIBUTES.iter().map(|attribute| attribute.name));
            Below::Names(names)
        }
        // An answer, which its question names.
        ["pdp", _] => Below::Names(names_below(FACTS, &["pdp", "ID"])),
        ["pdp", _, _, ..] | ["pdp"] => Below::Any,
        _ => leads(FACTS, path, names),
    }
}

fn leads(facts: &'static [Fact], path: &[&str], names: BTreeSet<&'static str>) -> Below {
    let Some(fact) = fact_at(facts, path) else {
        // What stands below a fact is answered by it; everything else has others below.
        return if names.is_empty() { Below::Any } else { Below::Names(names) };
    };
    match fact.kind() {
        _ if fact.has_lower_case() => Below::Headers(names),
        _ if fact.takes_any_name() => Below::Any,
        Kind::Object | Kind::Any if names.is_empty() => Below::Any,
        Kind::Object | Kind::Any => Below::Names(names),
        kind => Below::No(kind),
    }
}

fn fact_at(facts: &'static [Fact], path: &[&str]) -> Option<&'static Fact> {
    facts.iter().find(|fact| fact.names().eq(path.iter().copied()))
}

/// The names that stand right below a path, those of facts and those below them.
fn names_below(facts: &'static [Fact], path: &[&str]) -> BTreeSet<&'static str> {
    let next = |names: &mut dyn Iterator<Item = &'static str>| {
        path.iter().all(|name| names.next() == Some(name)).then(|| names.next()).flatten()
    };
    let members =
        |fact: &'static Fact| fact.members().map(|(below, ..)| fact.names().chain(below.split('.')));
    let below = facts.iter().flat_map(members).filter_map(|mut names| next(&mut names));
    facts.iter().filter_map(|fact| next(&mut fact.names())).chain(below).collect()
}

/// Where a name stands that is not here, in the same part of the input: `method` is below `request`. The shortest path,
/// if there are several.
fn elsewhere(format: InputFormat, above: &[&str], name: &str) -> Option<String> {
    let mut own: Vec<Vec<&str>> = FACTS.iter().map(|fact| fact.names().collect()).collect();
    own.extend(ATTRIBUTES.iter().map(|attribute| vec!["connection", attribute.name]));
    own.extend(["request", "grant", "connection"].map(|whole| vec![whole]));
    let mut all: Vec<Vec<&str>> = match format {
        InputFormat::Everycall => own,
        InputFormat::OpaEnvoy => {
            let below = own.into_iter().map(|path| [vec![opa::OWN], path].concat());
            opa::FACTS.iter().map(|fact| fact.names().collect()).chain(below).collect()
        }
    };
    all.retain(|path| path.last() == Some(&name) && (above.is_empty() || path.first() == above.first()));
    all.sort_by_key(Vec::len);
    all.first().map(|path| written(path))
}

/// A path as it is written in a policy.
fn written(path: &[&str]) -> String {
    let mut text = "input".to_owned();
    for name in path {
        let is_plain = !name.starts_with(|c: char| c.is_ascii_digit())
            && !name.is_empty()
            && name.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_');
        text.push_str(&if is_plain { format!(".{name}") } else { format!("[{name:?}]") });
    }
    text
}

const fn kind_of(kind: Kind) -> &'static str {
    match kind {
        Kind::Text => "it stands below a text",
        Kind::Number => "it stands below a number",
        Kind::Boolean => "it stands below a boolean",
        Kind::Array | Kind::Set => "it stands below a list, which has no names",
        Kind::Object | Kind::Any => "nothing stands there",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn path(text: &str) -> Vec<Arc<str>> {
        text.split_whitespace().map(Arc::from).collect()
    }

    #[test]
    fn every_row_leads_somewhere_and_its_neighbours_do_not() {
        for row in crate::input::input_rows() {
            let names = path(&row.path.replace('.', " "));
            assert_eq!(nowhere(InputFormat::Everycall, &names), None, "{}", row.path);
            let below: Vec<_> = [Arc::from(opa::OWN)].into_iter().chain(names.iter().cloned()).collect();
            assert_eq!(nowhere(InputFormat::OpaEnvoy, &below), None, "{}", row.path);
            // Without its own input's name it is not in the other form.
            assert!(nowhere(InputFormat::OpaEnvoy, &names).is_some(), "{}", row.path);
        }
        for fact in opa::FACTS {
            let names = path(&fact.path().replace('.', " "));
            assert_eq!(nowhere(InputFormat::OpaEnvoy, &names), None, "{}", fact.path());
            assert!(nowhere(InputFormat::Everycall, &names).is_some(), "{}", fact.path());
        }
    }

    #[test]
    fn names_are_known_where_nobody_chooses_them() {
        let own = |text| nowhere(InputFormat::Everycall, &path(text));
        for (text, end) in [
            ("identity isuer", "input.identity.isuer"),
            ("identity task kind", "input.identity.task.kind"),
            ("identity id x y", "input.identity.id.x"),
            ("identity actors first", "input.identity.actors.first"),
            ("conection", "input.conection"),
            ("connection source", "input.connection.source"),
            ("request header x-a", "input.request.header"),
            ("request headers X-A", "input.request.headers[\"X-A\"]"),
            ("request headers :path", "input.request.headers[\":path\"]"),
            ("request headers authorization", "input.request.headers.authorization"),
            ("pdp risk allow", "input.pdp.risk.allow"),
            ("signals identity_risk", "input.signals.identity_risk"),
            ("elevation approved_by", "input.elevation.approved_by"),
        ] {
            assert_eq!(own(text).map(|found| found.path), Some(end.to_owned()), "{text}");
        }
        for text in [
            "",
            "request",
            "identity claims whatever it says",
            "grant params Order",
            "request headers x-a",
            "request headers x_a",
            "request query X-A",
            "signals task X y",
            "pdp any_id context x y",
            "pdp any_id",
        ] {
            assert_eq!(own(text), None, "{text}");
        }
    }

    #[test]
    fn what_is_meant_is_told_where_it_is_sure() {
        let instead = |format, text| nowhere(format, &path(text)).and_then(|found| found.instead);
        for (format, text, expected) in [
            (InputFormat::Everycall, "method", Some("input.request.method")),
            (InputFormat::Everycall, "claims", Some("input.identity.claims")),
            (InputFormat::Everycall, "request headers X-A", Some("input.request.headers[\"x-a\"]")),
            (InputFormat::Everycall, "attributes request", None),
            (InputFormat::Everycall, "nonsense", None),
            (InputFormat::OpaEnvoy, "attributes source address Address SocketAddress", None),
            (InputFormat::OpaEnvoy, "identity kind", Some("input.everycall.identity")),
            (
                InputFormat::OpaEnvoy,
                "attributes request headers",
                Some("input.attributes.request.http.headers"),
            ),
        ] {
            assert_eq!(instead(format, text).as_deref(), expected, "{text}");
        }
    }
}
