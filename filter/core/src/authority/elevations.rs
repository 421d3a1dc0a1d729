//! The elevation layer: what a grant gives only while somebody has approved it, for hours at most.
//!
//! An elevation never entitles to anything by itself: it stands beside a grant that requires one.

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::sync::Arc;

use crate::authority::grants::{Grant, MAX_ALIKE};
use crate::authority::network::Network;
use crate::base::reason::Reason;
use crate::base::time::UnixTime;
use crate::base::unicode::is_invisible;
use crate::identity::Identity;

/// How long the reason for a break-glass call may be, in characters.
const REASON_CHARS: std::ops::RangeInclusive<usize> = 10..=200;

/// One elevation, resolved.
#[derive(Debug)]
pub(crate) struct Elevation {
    pub(crate) id: String,
    pub(crate) owner: Option<String>,
    pub(crate) approver: String,
    pub(crate) ticket: String,
    pub(crate) reason: String,
    pub(crate) valid_from: UnixTime,
    pub(crate) valid_until: UnixTime,
    /// Names of networks, one of which must hold the source; `None`: from anywhere.
    pub(crate) networks: Option<Vec<String>>,
    pub(crate) break_glass: bool,
}

/// An elevation that is active for a call.
#[derive(Debug, Clone)]
pub(crate) struct Elevated {
    pub(crate) elevation: Arc<Elevation>,
    /// What the request gave as its reason, for one that breaks the glass.
    pub(crate) break_glass_reason: Option<String>,
}

/// All elevations, by subject and the id of the grant.
#[derive(Debug, Default)]
pub(crate) struct Elevations {
    by_subject: BTreeMap<Arc<str>, ByGrant>,
    by_network: bool,
}

/// Those of one subject for one grant: the one that ends last comes first.
type ByGrant = BTreeMap<Arc<str>, Vec<Arc<Elevation>>>;

/// What is asked of an elevation.
pub(crate) struct ElevatedCall<'a> {
    pub(crate) caller: &'a Identity,
    pub(crate) grant: &'a Grant,
    /// `None`: the host does not tell.
    pub(crate) source: Option<IpAddr>,
    pub(crate) networks: &'a [Network],
    /// The values of the header that gives a reason to break the glass.
    pub(crate) reasons: &'a [Vec<u8>],
    pub(crate) now: UnixTime,
}

impl Elevations {
    /// Drops at least `many` of them if there are as many; whether there are more.
    pub(crate) fn take_apart(&mut self, many: usize) -> bool {
        let mut dropped: usize = 0;
        while dropped < many {
            let Some(mut subject) = self.by_subject.last_entry() else { return false };
            match subject.get_mut().pop_last() {
                Some((_, list)) => dropped = dropped.saturating_add(list.len()),
                None => drop(subject.remove()),
            }
        }
        true
    }

    /// Adds an elevation. The index of the first grant for which its subject has [`MAX_ALIKE`] already is returned:
    /// the elevation is not among those.
    pub(crate) fn insert(&mut self, subject: &str, grants: &[String], elevation: Elevation) -> Option<usize> {
        self.by_network |= elevation.networks.is_some();
        let elevation = Arc::new(elevation);
        let by_grant = self.by_subject.entry(subject.into()).or_default();
        let mut full = None;
        for (index, grant) in grants.iter().enumerate() {
            let list = by_grant.entry(grant.as_str().into()).or_default();
            if list.len() >= MAX_ALIKE {
                full = full.or(Some(index));
                continue;
            }
            let at = list.partition_point(|other| other.valid_until >= elevation.valid_until);
            list.insert(at, Arc::clone(&elevation));
        }
        full
    }

    /// Whether some elevation holds only for some source addresses.
    pub(crate) const fn by_network(&self) -> bool {
        self.by_network
    }

    /// The elevations of this subject for this grant, whether they are active or not.
    pub(crate) fn of(&self, subject: &str, grant: &str) -> &[Arc<Elevation>] {
        let by_grant = self.by_subject.get(subject);
        by_grant.and_then(|by_grant| by_grant.get(grant)).map_or(&[], Vec::as_slice)
    }
}

/// The one of `known` that is active for the call: an approved one before one that breaks the glass.
///
/// # Errors
/// Why there is none.
pub(crate) fn active(
    known: &[Arc<Elevation>],
    call: &ElevatedCall<'_>,
) -> Result<Elevated, (Reason, String)> {
    let mut nearest = None;
    // All behind one that is over are over, too.
    let current = known.iter().take_while(|elevation| call.now < elevation.valid_until);
    let mut glass = None;
    for elevation in current {
        match elevation.admits(call) {
            Ok(()) if elevation.break_glass => glass = glass.or(Some(elevation)),
            Ok(()) => return Ok(Elevated { elevation: Arc::clone(elevation), break_glass_reason: None }),
            Err(miss) => nearest = nearest.or(Some(format!("elevation `{}` {miss}", elevation.id))),
        }
    }
    if let Some(elevation) = glass {
        return match break_glass_reason(call.reasons) {
            Ok(reason) => Ok(Elevated { elevation: Arc::clone(elevation), break_glass_reason: Some(reason) }),
            Err(why) => Err((
                Reason::BreakGlassReason,
                format!("elevation `{}` breaks the glass: {why}", elevation.id),
            )),
        };
    }
    match nearest.or_else(|| Some(format!("elevation `{}` is over", known.first()?.id))) {
        Some(miss) => Err((Reason::ElevationInactive, miss)),
        None => Err((
            Reason::ElevationRequired,
            format!(
                "grant `{}` requires an elevation, and `{}` has none for it",
                call.grant.id, call.caller.id
            ),
        )),
    }
}

impl Elevation {
    /// The rules of an elevation of this subject for this grant.
    fn admits(&self, call: &ElevatedCall<'_>) -> Result<(), String> {
        self.valid_at(call.now)?;
        if let Some(networks) = &self.networks {
            let Some(source) = call.source else {
                return Err("is for some networks, and the source address is not known".into());
            };
            let holds = |network: &Network| networks.contains(&network.name) && network.holds(source);
            // A name that no configuration has any more holds nobody.
            if !call.networks.iter().any(holds) {
                return Err(format!("is not for calls from {source}"));
            }
        }
        let kind = call.caller.kind;
        if self.break_glass && !call.grant.break_glass_kinds.holds(kind) {
            return Err(format!(
                "breaks the glass, which is not for callers of the kind `{}`",
                kind.as_str()
            ));
        }
        // Nobody approves what is then done on their own behalf.
        let approved = |who: &String| is_same_person(who, &self.approver);
        if !self.break_glass && call.caller.on_behalf_of.as_ref().is_some_and(approved) {
            return Err("was approved by the principal of this call".into());
        }
        Ok(())
    }

    /// # Errors
    /// In words, outside its validity.
    pub(crate) fn valid_at(&self, now: UnixTime) -> Result<(), String> {
        match (now < self.valid_from, now < self.valid_until) {
            (true, _) => Err("has not begun".into()),
            (false, true) => Ok(()),
            (false, false) => Err("is over".into()),
        }
    }
}

/// Whether two names are one person's, as far as can be seen: blanks, letter case and what is invisible tell nobody
/// apart.
pub(crate) fn is_same_person(first: &str, second: &str) -> bool {
    let seen = |name: &str| -> String {
        let plain = name.chars().filter(|c| !c.is_whitespace() && !is_invisible(*c));
        plain.flat_map(char::to_lowercase).collect()
    };
    seen(first) == seen(second)
}

/// The reason that a request gives for breaking the glass: once, 10 to 200 printable characters.
fn break_glass_reason(values: &[Vec<u8>]) -> Result<String, &'static str> {
    let value = match values {
        [] => return Err("the request gives no reason"),
        [value] => value,
        _ => return Err("the request gives more than one reason"),
    };
    let Ok(text) = std::str::from_utf8(value) else { return Err("the reason is not UTF-8") };
    let text = text.trim_matches(' ');
    // Nothing that is invisible, or that turns the text around in a log.
    let is_printable = |c: char| c == ' ' || c.is_ascii_graphic() || c.is_alphanumeric();
    if !text.chars().all(is_printable) {
        return Err("the reason is not printable");
    }
    if REASON_CHARS.contains(&text.chars().count()) {
        Ok(text.to_owned())
    } else {
        Err("the reason is not of 10 to 200 characters")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_not_seen_tells_nobody_apart() {
        for same in [
            "boss",
            " boss",
            "boss ",
            "bo ss",
            "boss\u{a0}",
            "bo\u{200b}ss",
            "\u{feff}boss",
            "Boss",
            "bo\u{ad}ss",
            "boss\u{0}",
        ] {
            assert!(is_same_person("boss", same) && is_same_person(same, "boss"), "{same:?}");
        }
        for other in ["", "bos", "bosss", "b0ss", "boss-2", "boß"] {
            assert!(!is_same_person("boss", other), "{other:?}");
        }
    }

    #[test]
    fn a_reason_is_one_printable_line_of_some_length() {
        let of =
            |values: &[&[u8]]| break_glass_reason(&values.iter().map(|v| v.to_vec()).collect::<Vec<_>>());
        assert_eq!(of(&[b"db is down"]).unwrap(), "db is down");
        assert_eq!(of(&["größer ✓".as_bytes()]), Err("the reason is not printable"));
        assert_eq!(of(&["Störung 日本 INC-1".as_bytes()]).unwrap(), "Störung 日本 INC-1");
        assert_eq!(of(&[b"x".repeat(200).as_slice()]).unwrap().len(), 200);
        let long = b"x".repeat(201);
        let wrong: [&[&[u8]]; 10] = [
            &[],
            &[b"db is down", b"db is down"],
            &[b"too short"],
            &[b"   padded   "],
            &[long.as_slice()],
            &[b"line\nanother line"],
            &[b"tab\tanother word"],
            &[b"\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff"],
            &["right\u{202e}to left".as_bytes()],
            &["zero\u{200b}width space".as_bytes()],
        ];
        for wrong in wrong {
            assert!(of(wrong).is_err(), "{wrong:?}");
        }
    }
}
