//! Elevations that can never serve or have no end, and grants that wait for one in vain.

use std::collections::{BTreeMap, BTreeSet};

use everycall_core::config::Limits;
use everycall_core::UnixTime;
use serde_json::Value;

use super::grants::{list, text};
use super::program::{entry, Entry, Program, ASK, DECISION};
use super::{
    Finding, ELEVATION_MISSING, ELEVATION_NEVER_SERVES, ELEVATION_UNUSED, ELEVATION_WITHOUT_CEILING,
};

pub(super) fn lint(program: &Program<'_>, document: &Value, now: UnixTime, found: &mut Vec<Finding>) {
    let records = Records::of(document, now);
    let mut looks = BTreeMap::new();
    let mut looks_at_elevations = |grant: &Value| {
        let policy = text(grant, "policy").map(str::to_owned);
        *looks.entry(policy.clone()).or_insert_with(|| policy_looks(program, document, policy.as_deref()))
    };
    for (index, elevation) in records.elevations.iter().enumerate().filter(|(_, one)| !records.is_over(one)) {
        for (at, id) in texts(elevation.get("grants")).enumerate() {
            let Some(grant) = records.grants.get(id) else { continue };
            let place = format!("bundle.inline.elevations[{index}].grants[{at}]");
            if let Some(why) = records.never(elevation, grant) {
                found.push(Finding::new(
                    &ELEVATION_NEVER_SERVES,
                    place,
                    format!("not for grant `{id}`: {why}"),
                ));
            } else if !requires(grant) && !looks_at_elevations(grant) {
                found.push(Finding::new(
                    &ELEVATION_UNUSED,
                    place,
                    format!("grant `{id}` requires no elevation, and its policy does not look at one"),
                ));
            }
        }
    }
    missing(&records, document, found);
    ceilings(document, found);
    standing(&records, document, found);
}

/// What is looked up while elevations are looked at.
struct Records<'d> {
    elevations: &'d [Value],
    /// By id.
    grants: BTreeMap<&'d str, &'d Value>,
    /// Names of networks that hold an address.
    networks: BTreeSet<&'d str>,
    now: UnixTime,
}

impl<'d> Records<'d> {
    fn of(document: &'d Value, now: UnixTime) -> Self {
        let grants = list(document.pointer("/bundle/inline/grants"));
        let networks = document.get("networks").and_then(Value::as_object).into_iter().flatten();
        Self {
            elevations: list(document.pointer("/bundle/inline/elevations")),
            grants: grants.iter().filter_map(|grant| Some((text(grant, "id")?, grant))).collect(),
            networks: networks
                .filter(|(_, ranges)| !list(Some(ranges)).is_empty())
                .map(|(name, _)| name.as_str())
                .collect(),
            now,
        }
    }

    fn is_over(&self, record: &Value) -> bool {
        instant(record, "valid_until").is_some_and(|until| self.now >= until)
    }

    /// Why no call on this grant is ever elevated by this elevation.
    fn never(&self, elevation: &Value, grant: &Value) -> Option<String> {
        let subject = text(elevation, "subject").unwrap_or_default();
        let other = match (text(grant, "subject"), text(grant, "subject_prefix")) {
            (Some(other), _) => (other != subject).then_some(other),
            (_, Some(prefix)) => (!subject.starts_with(prefix) || subject == prefix).then_some(prefix),
            // Which ids have the claims is not known.
            (None, None) => None,
        };
        if let Some(other) = other {
            return Some(format!("that is for `{other}`, and this for `{subject}`"));
        }
        if elevation.get("break_glass") == Some(&Value::Bool(true)) {
            let admitted: Vec<&str> = match grant.get("break_glass_kinds") {
                Some(kinds) => texts(Some(kinds)).collect(),
                None => vec!["human"],
            };
            if !texts(grant.get("kinds")).any(|kind| admitted.contains(&kind)) {
                return Some(
                    "none of its `kinds` may break the glass there (`break_glass_kinds`)".to_owned(),
                );
            }
        }
        let starts_after = |one: &Value, other: &Value| {
            instant(one, "valid_from")
                .zip(instant(other, "valid_until"))
                .is_some_and(|(from, until)| from >= until)
        };
        // A grant that is over is told of as such.
        if !self.is_over(grant) && (starts_after(grant, elevation) || starts_after(elevation, grant)) {
            return Some("the two are never valid at the same time".to_owned());
        }
        let networks = elevation.get("networks").and_then(Value::as_array)?;
        let holds = |name: &Value| name.as_str().is_some_and(|name| self.networks.contains(name));
        (!networks.iter().any(holds)).then(|| "none of its networks holds any address".to_owned())
    }
}

/// Grants that nobody passes until another elevation comes.
fn missing(records: &Records<'_>, document: &Value, found: &mut Vec<Finding>) {
    let mut named: BTreeMap<&str, Vec<&Value>> = BTreeMap::new();
    for elevation in records.elevations {
        for id in texts(elevation.get("grants")) {
            named.entry(id).or_default().push(elevation);
        }
    }
    let grants = list(document.pointer("/bundle/inline/grants")).iter().enumerate();
    for (index, grant) in grants.filter(|(_, grant)| requires(grant) && !records.is_over(grant)) {
        let elevations = named.get(text(grant, "id").unwrap_or_default()).map_or(&[][..], Vec::as_slice);
        let serving: Vec<_> = elevations.iter().filter(|one| records.never(one, grant).is_none()).collect();
        let why = match (elevations.is_empty(), serving.is_empty()) {
            (true, _) => "none in the bundle names this grant",
            (false, true) => "none of those that name this grant can serve it",
            (false, false) if serving.iter().all(|one| records.is_over(one)) => {
                "all of those that name this grant are over"
            }
            (false, false) => continue,
        };
        found.push(Finding::new(
            &ELEVATION_MISSING,
            format!("bundle.inline.grants[{index}].requires_elevation"),
            format!("nobody passes without an elevation, and {why}"),
        ));
    }
}

/// Ceilings that are as wide as they can be written.
fn ceilings(document: &Value, found: &mut Vec<Finding>) {
    let limits = Limits::default();
    for (limit, unit, most) in [
        ("elevation_hours", "hours", limits.elevation_hours.most()),
        ("break_glass_minutes", "minutes", limits.break_glass_minutes.most()),
    ] {
        let written = document.pointer(&format!("/limits/{limit}")).and_then(Value::as_i64);
        if written == Some(most) {
            found.push(Finding::new(
                &ELEVATION_WITHOUT_CEILING,
                format!("limits.{limit}"),
                format!("{most} {unit} are the most that can be written: no ceiling for what is meant for a while"),
            ));
        }
    }
}

/// From when to when an elevation is valid, and which one it is.
type Span = (UnixTime, UnixTime, usize);

/// Elevations that take over from each other, so that together they last longer than one may.
fn standing(records: &Records<'_>, document: &Value, found: &mut Vec<Finding>) {
    let mut alike: BTreeMap<(&str, &str, bool), Vec<Span>> = BTreeMap::new();
    for (index, elevation) in records.elevations.iter().enumerate() {
        let times = instant(elevation, "valid_from").zip(instant(elevation, "valid_until"));
        let (Some((from, until)), Some(subject)) = (times, text(elevation, "subject")) else { continue };
        let glass = elevation.get("break_glass") == Some(&Value::Bool(true));
        for grant in texts(elevation.get("grants")) {
            alike.entry((subject, grant, glass)).or_default().push((from, until, index));
        }
    }
    let mut told = BTreeSet::new();
    for ((subject, grant, glass), mut spans) in alike {
        let (ceiling, limit) = ceiling(document, glass);
        spans.sort_unstable();
        let mut since: Option<(UnixTime, UnixTime)> = None;
        for (from, until, index) in spans {
            let (start, end) = match since {
                Some((start, end)) if from <= end => (start, end.max(until)),
                _ => (from, until),
            };
            since = Some((start, end));
            let lasts = end.secs().saturating_sub(start.secs());
            if lasts > ceiling && records.now < end && told.insert(index) {
                found.push(Finding::new(
                    &ELEVATION_WITHOUT_CEILING,
                    format!("bundle.inline.elevations[{index}].valid_until"),
                    format!(
                        "with those before it `{subject}` is elevated for grant `{grant}` from {start} to {end} without a break: longer than one may last (`limits.{limit}`)"
                    ),
                ));
            }
        }
    }
}

/// How long one elevation may last, in seconds, and the limit that says so.
fn ceiling(document: &Value, glass: bool) -> (i64, &'static str) {
    let default = Limits::default();
    let (limit, otherwise, seconds) = if glass {
        ("break_glass_minutes", *default.break_glass_minutes, 60)
    } else {
        ("elevation_hours", *default.elevation_hours, 3_600)
    };
    let written = document.pointer(&format!("/limits/{limit}")).and_then(Value::as_i64);
    let most = written.unwrap_or_else(|| i64::try_from(otherwise).unwrap_or(i64::MAX));
    (most.saturating_mul(seconds), limit)
}

/// Whether the rules that a grant names see the elevation, be it only to refuse one.
fn policy_looks(program: &Program<'_>, document: &Value, policy: Option<&str>) -> bool {
    let named = entry(document, policy);
    let is_it = |entry: &&Entry| (&entry.package, &entry.rule) == (&named.package, &named.rule);
    let Some(entry) = program.entries.iter().find(is_it) else { return true };
    // Of what does not compile nothing is said.
    let Some(plan) = &entry.plan else { return true };
    let member = if entry.ours { "elevation" } else { "everycall" };
    [DECISION, ASK].iter().any(|at| plan.entry_reads(*at).has_member(member))
}

fn requires(grant: &Value) -> bool {
    grant.get("requires_elevation") == Some(&Value::Bool(true))
}

fn texts(value: Option<&Value>) -> impl Iterator<Item = &str> {
    list(value).iter().filter_map(Value::as_str)
}

fn instant(record: &Value, name: &str) -> Option<UnixTime> {
    text(record, name).and_then(UnixTime::parse_rfc3339)
}
