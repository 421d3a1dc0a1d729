//! What was revoked: facts that end tokens, callers, tasks and keys before their time.
//!
//! A fact and what it is about meet by a [`Handle`], a digest of kind, issuer and id. A caller's are
//! computed once, when its credential is verified; to check it again is a few look-ups.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::atomic::{AtomicU64, Ordering};

use serde::{Deserialize, Serialize};
use serde_json::Value;
use sha2::{Digest as _, Sha256};
use time::format_description::well_known::Rfc3339;
use time::OffsetDateTime;

use crate::feed::{Content, Full};
use crate::identity::Identity;
#[cfg(feature = "schema")]
use crate::schema::{patterns, relations};
use crate::time::UnixTime;

/// The longest issuer, id, reason or ticket of a revocation, in bytes.
const MAX_TEXT: usize = 2048;

/// What a revocation ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "snake_case")]
pub enum RevocationKind {
    /// One token, by its `jti` and issuer.
    Token,
    /// All that somebody does or that is done for them: the caller, or the principal it acts for.
    Subject,
    /// All that somebody does for others: the actor of a delegated call, or a prior one.
    Actor,
    /// All credentials that are bound to a task.
    Task,
    /// All tokens that a key signed, by its id and issuer; an API key, with the issuer `api_keys`.
    Key,
    /// All tokens of an issuer that were issued before a time.
    Issuer,
}

impl RevocationKind {
    /// All kinds.
    pub const ALL: [Self; 6] = [Self::Token, Self::Subject, Self::Actor, Self::Task, Self::Key, Self::Issuer];

    /// The word in feeds and records.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Token => "token",
            Self::Subject => "subject",
            Self::Actor => "actor",
            Self::Task => "task",
            Self::Key => "key",
            Self::Issuer => "issuer",
        }
    }

    /// An id of this kind means nothing without its issuer.
    const fn needs_issuer(self) -> bool {
        matches!(self, Self::Token | Self::Key | Self::Issuer)
    }
}

/// One revocation as it is written: a line of a feed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields, expecting = "an object")]
#[cfg_attr(feature = "schema", schemars(transform = relations::revocation))]
pub struct Revocation {
    /// What it ends.
    pub revoke: RevocationKind,
    /// The issuer as it is configured. Needed for `token`, `key` and `issuer`; absent for others:
    /// whoever issued it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "schema", schemars(length(min = 1, max = 2048)))]
    pub issuer: Option<String>,
    /// The id of what it ends, exactly; absent for `issuer`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "schema", schemars(length(min = 1, max = 2048)))]
    pub id: Option<String>,
    /// RFC 3339; present: what was issued then or later is not concerned. What does not tell when it
    /// was issued is. Needed for `issuer`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "schema", schemars(regex(pattern = patterns::INSTANT)))]
    pub issued_before: Option<String>,
    /// RFC 3339; from then on it counts no more. One that lies before the time of its list withdraws
    /// what was said before.
    #[cfg_attr(feature = "schema", schemars(regex(pattern = patterns::INSTANT)))]
    pub expires_at: String,
    /// Why.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "schema", schemars(length(min = 1, max = 2048)))]
    pub reason: Option<String>,
    /// Its number in the system that it comes from.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "schema", schemars(length(min = 1, max = 2048)))]
    pub ticket: Option<String>,
}

impl Revocation {
    /// Reads a line.
    ///
    /// # Errors
    /// It is not one.
    pub fn read(line: Value) -> Result<Self, String> {
        serde_path_to_error::deserialize(line).map_err(|error| match error.path().to_string().as_str() {
            "." => error.into_inner().to_string(),
            path => format!("{path}: {}", error.into_inner()),
        })
    }

    /// Whether it can be understood.
    ///
    /// # Errors
    /// The member that is wrong, and what is wrong with it.
    pub fn check(&self) -> Result<(), String> {
        self.resolve().map(drop)
    }

    pub(crate) fn resolve(&self) -> Result<Resolved, String> {
        let Self { revoke, issuer, id, issued_before, expires_at, reason, ticket } = self;
        for (name, text) in [("issuer", issuer), ("id", id), ("reason", reason), ("ticket", ticket)] {
            if text.as_ref().is_some_and(|text| !(1..=MAX_TEXT).contains(&text.len())) {
                return Err(format!("{name}: not 1 to {MAX_TEXT} bytes"));
            }
        }
        let kind = revoke.as_str();
        if revoke.needs_issuer() && issuer.is_none() {
            return Err(format!("issuer: missing; `{kind}` means nothing without it"));
        }
        let id = match (revoke, id) {
            (RevocationKind::Issuer, Some(_)) => return Err("id: an issuer has none".into()),
            (RevocationKind::Issuer, None) => "",
            (_, Some(id)) => id,
            (_, None) => return Err(format!("id: missing; which {kind}?")),
        };
        if *revoke == RevocationKind::Issuer && issued_before.is_none() {
            return Err("issued_before: missing; an issuer is revoked up to a time".into());
        }
        let before = match issued_before {
            Some(text) => seconds_after("issued_before", text)?,
            None => ANY,
        };
        Ok(Resolved {
            kind: *revoke,
            handle: Handle::of(*revoke, issuer.as_deref(), id),
            expires: seconds_after("expires_at", expires_at)?,
            before,
        })
    }
}

/// The first whole second at or after an instant: tokens tell whole seconds, and a revocation must
/// not miss one that was issued in the second in which it ends.
fn seconds_after(name: &str, text: &str) -> Result<u32, String> {
    let instant = OffsetDateTime::parse(text, &Rfc3339)
        .map_err(|_| format!("{name}: `{text}` is not an RFC 3339 instant such as `2026-01-31T00:00:00Z`"))?;
    let secs = instant.unix_timestamp().saturating_add(i64::from(instant.nanosecond() > 0));
    Ok(to_u32(secs))
}

/// Saturates: before 1970, and after 2106.
fn to_u32(secs: i64) -> u32 {
    u32::try_from(secs.max(0)).unwrap_or(u32::MAX)
}

/// A revocation, read.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Resolved {
    kind: RevocationKind,
    handle: Handle,
    expires: u32,
    before: u32,
}

/// `issued_before` of what is revoked whenever it was issued.
const ANY: u32 = u32::MAX;

/// Stands for a thing that can be revoked: the start of SHA-256 over kind, issuer and id. Whoever
/// finds two things with one handle gets both of them revoked. A number, because two numbers are
/// compared faster than bytes.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Handle(u128);

impl Handle {
    pub(crate) fn of(kind: RevocationKind, issuer: Option<&str>, id: &str) -> Self {
        let mut hash = Sha256::new_with_prefix("everycall revocation");
        // Lengths keep the borders, and no issuer is not an empty one.
        for part in [Some(kind.as_str()), issuer, Some(id)] {
            hash.update([u8::from(part.is_some())]);
            let part = part.unwrap_or_default();
            hash.update(u64::try_from(part.len()).unwrap_or(u64::MAX).to_le_bytes());
            hash.update(part);
        }
        Self(hash.finalize().first_chunk().copied().map(u128::from_be_bytes).unwrap_or_default())
    }
}

impl fmt::Debug for Handle {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:032x}", self.0)
    }
}

/// By what a caller can be revoked.
#[derive(Debug)]
pub(crate) struct Revocable {
    handles: Box<[(RevocationKind, Handle)]>,
    /// What signals find prior actors by, in their order: with the issuer, and without it.
    actors: Box<[[Handle; 2]]>,
    /// When its credential was issued, in seconds, if that is known.
    issued_at: Option<u32>,
    /// The version of the revocations that were found to say nothing of it.
    clear_at: AtomicU64,
}

impl Revocable {
    pub(crate) fn of(identity: &Identity) -> Self {
        use RevocationKind::{Actor, Issuer, Key, Subject, Task, Token};
        let issuer = identity.issuer.as_str();
        let mut handles = Vec::new();
        let mut by_id = |kind, id: Option<&String>, scopes: &[Option<&str>]| {
            let Some(id) = id else { return };
            handles.extend(scopes.iter().map(|scope| (kind, Handle::of(kind, *scope, id))));
        };
        let (with, both) = ([Some(issuer)], [Some(issuer), None]);
        by_id(Token, identity.token_id.as_ref(), &with);
        by_id(Subject, Some(&identity.id), &both);
        if identity.principal.is_some() {
            by_id(Subject, identity.principal.as_ref(), &both);
            by_id(Actor, Some(&identity.id), &both);
        }
        for actor in &identity.actors {
            by_id(Actor, Some(actor), &both);
        }
        by_id(Task, identity.task.as_ref(), &both);
        by_id(Key, identity.key_id.as_ref(), &with);
        // Certificates are another matter than the tokens of a trust domain.
        if identity.credential != "mtls" {
            handles.push((Issuer, Handle::of(Issuer, Some(issuer), "")));
        }
        let issued_at = identity.claims.get("iat").and_then(Value::as_f64);
        #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss)] // `as` saturates
        let issued_at = issued_at.map(|secs| secs.floor() as u32);
        let actors = identity.actors.iter().map(|actor| both.map(|scope| Handle::of(Subject, scope, actor)));
        let actors = actors.collect();
        Self { handles: handles.into(), actors, issued_at, clear_at: AtomicU64::default() }
    }

    /// What revocations and signals find it by.
    pub(crate) fn handles(&self) -> impl Iterator<Item = Handle> + '_ {
        self.handles.iter().map(|(_, handle)| *handle).chain(self.actors.iter().flatten().copied())
    }

    /// The handles of the caller, and then of the principal if there is one: each with the issuer, and
    /// without it.
    pub(crate) fn subjects(&self) -> impl Iterator<Item = [Handle; 2]> + '_ {
        self.pairs(RevocationKind::Subject)
    }

    /// Those of the task.
    pub(crate) fn task(&self) -> Option<[Handle; 2]> {
        self.pairs(RevocationKind::Task).next()
    }

    /// Those of the prior actors, in their order.
    pub(crate) const fn actors(&self) -> &[[Handle; 2]] {
        &self.actors
    }

    fn pairs(&self, kind: RevocationKind) -> impl Iterator<Item = [Handle; 2]> + '_ {
        let mut of = self.handles.iter().filter(move |(of, _)| *of == kind).map(|(_, handle)| *handle);
        std::iter::from_fn(move || Some([of.next()?, of.next()?]))
    }
}

/// What is kept of one revocation. Bytes, because padding would make it a tenth larger.
#[derive(Debug, Clone, Copy)]
struct Entry {
    expires: [u8; 4],
    before: [u8; 4],
    /// The full list that named it last.
    round: u8,
}

impl Entry {
    const fn expires(self) -> u32 {
        u32::from_le_bytes(self.expires)
    }

    const fn before(self) -> u32 {
        u32::from_le_bytes(self.before)
    }
}

/// All revocations that are known.
///
/// A full list is merged into what is there: it is in force line by line, and what it does not name
/// any more goes when it is complete. Entries are dropped by the time that their list was signed at,
/// never by this machine's clock, which may be wrong.
#[derive(Debug, Default)]
pub(crate) struct Revocations {
    /// By kind, in the order of [`RevocationKind::ALL`].
    sets: [BTreeMap<Handle, Entry>; 6],
    len: usize,
    round: u8,
    /// Grows whenever more is revoked.
    version: u64,
    /// Where the next [`Content::tidy`] goes on.
    cursor: (usize, Option<Handle>),
    /// Read, and not in force yet.
    staged: Vec<Resolved>,
    /// What was revoked since somebody asked for it.
    newly: Vec<Handle>,
}

impl Revocations {
    /// Whether this caller is revoked now, and by what.
    pub(crate) fn check(&self, caller: &Revocable, now: UnixTime) -> Option<RevocationKind> {
        // Most requests come while nothing new was revoked.
        if self.len == 0 || caller.clear_at.load(Ordering::Relaxed) == self.version {
            return None;
        }
        let now = to_u32(now.secs());
        let mut is_clear = true;
        for (kind, handle) in &caller.handles {
            let Some(entry) = self.set(*kind).and_then(|set| set.get(handle)) else { continue };
            let is_before = entry.before() == ANY || caller.issued_at.is_none_or(|at| at < entry.before());
            if is_before && now < entry.expires() {
                return Some(*kind);
            }
            // That is so at this time.
            is_clear = false;
        }
        if is_clear {
            caller.clear_at.store(self.version, Ordering::Relaxed);
        }
        None
    }

    /// Takes one from a list that was signed at `signed_at`. Answers the handle of what is revoked by
    /// it and was not before.
    ///
    /// # Errors
    /// It is one more than `max`.
    fn insert(&mut self, one: &Resolved, signed_at: UnixTime, max: usize) -> Result<Option<Handle>, Full> {
        let Resolved { kind, handle, expires, before } = *one;
        let (len, round) = (self.len, self.round);
        let Some(set) = self.sets.get_mut(index(kind)) else { return Ok(None) };
        if expires <= to_u32(signed_at.secs()) {
            if set.remove(&handle).is_some() {
                self.len = len.saturating_sub(1);
            }
            return Ok(None);
        }
        let known = set.get(&handle).copied();
        if known.is_none() && len >= max {
            return Err(Full::ENTRIES);
        }
        let entry = Entry { expires: expires.to_le_bytes(), before: before.to_le_bytes(), round };
        set.insert(handle, entry);
        if known.is_none() {
            self.len = len.saturating_add(1);
        }
        let is_new = known.is_none_or(|known| before > known.before() || expires > known.expires());
        if is_new {
            self.version = self.version.wrapping_add(1);
        }
        Ok(is_new.then_some(handle))
    }

    /// The handles of what was revoked since the last time.
    pub(crate) fn take_newly(&mut self) -> Vec<Handle> {
        std::mem::take(&mut self.newly)
    }

    fn set(&self, kind: RevocationKind) -> Option<&BTreeMap<Handle, Entry>> {
        self.sets.get(index(kind))
    }
}

impl Content for Revocations {
    fn stage(&mut self, fact: Value) -> Result<(), String> {
        self.staged.push(Revocation::read(fact)?.resolve()?);
        Ok(())
    }

    fn abandon(&mut self) {
        self.staged.clear();
    }

    fn commit(&mut self, many: usize, signed_at: UnixTime, max: usize) -> Result<bool, Full> {
        // In the order of the lines: a later one on the same thing counts.
        let mut staged = std::mem::take(&mut self.staged);
        let later = staged.split_off(many.min(staged.len()));
        self.staged = later;
        for one in staged {
            if let Some(handle) = self.insert(&one, signed_at, max)? {
                self.newly.push(handle);
            }
        }
        Ok(!self.staged.is_empty())
    }

    fn begin_full(&mut self) {
        self.round = self.round.wrapping_add(1);
    }

    fn begin_tidy(&mut self) {
        self.cursor = (0, None);
    }

    fn tidy(&mut self, many: usize, signed_at: UnixTime, named_only: bool) -> bool {
        let now = to_u32(signed_at.secs());
        let round = self.round;
        let (at, from) = self.cursor;
        let Some(set) = self.sets.get_mut(at) else {
            self.cursor = (0, None);
            return false;
        };
        let start = from.map_or(std::ops::Bound::Unbounded, std::ops::Bound::Excluded);
        let mut last = None;
        let mut seen: usize = 0;
        let mut gone = Vec::new();
        for (handle, entry) in set.range((start, std::ops::Bound::Unbounded)).take(many) {
            seen = seen.saturating_add(1);
            last = Some(*handle);
            if entry.expires() <= now || (named_only && entry.round != round) {
                gone.push(*handle);
            }
        }
        for handle in &gone {
            set.remove(handle);
        }
        self.len = self.len.saturating_sub(gone.len());
        self.cursor = if seen < many { (at.saturating_add(1), None) } else { (at, last) };
        true
    }

    fn len(&self) -> usize {
        self.len
    }
}

const fn index(kind: RevocationKind) -> usize {
    kind as usize
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::identity::Kind;

    const NOW: UnixTime = UnixTime::from_secs(1_800_000_000);
    const HOUR: i64 = 3_600;

    fn at(secs: i64) -> UnixTime {
        NOW.plus_secs(secs)
    }

    /// An agent that acts for `alice`, with `planner` before it in the chain.
    fn identity() -> Identity {
        Identity {
            kind: Kind::Agent,
            id: "agent".into(),
            issuer: "https://id".into(),
            credential: "jwt".into(),
            principal: Some("alice".into()),
            actors: vec!["planner".into()],
            task: Some("t-1".into()),
            token_id: Some("j-1".into()),
            key_id: Some("k-1".into()),
            bound: None,
            not_before: NOW,
            expires_at: at(HOUR),
            claims: json!({"iat": NOW.secs()}).as_object().cloned().unwrap(),
        }
    }

    fn read(line: Value) -> Result<Resolved, String> {
        Revocation::read(line)?.resolve()
    }

    /// What a caller is refused for after this line.
    fn revoked_by(mut line: Value, identity: &Identity) -> Option<RevocationKind> {
        let members = line.as_object_mut().unwrap();
        members.entry("expires_at").or_insert_with(|| json!(at(HOUR).to_string()));
        let mut all = Revocations::default();
        all.insert(&read(line).unwrap(), NOW, 10).unwrap();
        all.check(&Revocable::of(identity), NOW)
    }

    /// For each kind the line that hits, and its nearest neighbours that do not.
    #[test]
    fn each_kind_ends_what_it_names_and_nothing_near_it() {
        use RevocationKind::{Actor, Issuer, Key, Subject, Task, Token};
        let now = NOW.to_string();
        let hits = [
            (Token, json!({"revoke": "token", "issuer": "https://id", "id": "j-1"})),
            (Subject, json!({"revoke": "subject", "issuer": "https://id", "id": "agent"})),
            (Subject, json!({"revoke": "subject", "id": "agent"})),
            (Subject, json!({"revoke": "subject", "issuer": "https://id", "id": "alice"})),
            (Subject, json!({"revoke": "subject", "id": "alice"})),
            (Actor, json!({"revoke": "actor", "issuer": "https://id", "id": "agent"})),
            (Actor, json!({"revoke": "actor", "id": "agent"})),
            (Actor, json!({"revoke": "actor", "issuer": "https://id", "id": "planner"})),
            (Actor, json!({"revoke": "actor", "id": "planner"})),
            (Task, json!({"revoke": "task", "issuer": "https://id", "id": "t-1"})),
            (Task, json!({"revoke": "task", "id": "t-1"})),
            (Key, json!({"revoke": "key", "issuer": "https://id", "id": "k-1"})),
            (Issuer, json!({"revoke": "issuer", "issuer": "https://id", "issued_before": at(1).to_string()})),
        ];
        for (kind, line) in hits {
            assert_eq!(revoked_by(line.clone(), &identity()), Some(kind), "{line}");
            let mut near = Vec::new();
            let mut change = |member: &str, value: Value| {
                let mut other = line.clone();
                other[member] = value;
                near.push(other);
            };
            // A token that was issued in this very second is not issued before it.
            change("issued_before", json!(now));
            change("expires_at", json!(now));
            if let Some(issuer) = line["issuer"].as_str() {
                change("issuer", json!(format!("{issuer}/")));
                change("issuer", json!(issuer.get(..issuer.len() - 1)));
                change("issuer", json!("j-1"));
            }
            if let Some(id) = line["id"].as_str() {
                change("id", json!(id.get(..id.len() - 1)));
                change("id", json!(format!("{id} ")));
                change("id", json!(id.to_uppercase()));
                for other in RevocationKind::ALL.iter().filter(|other| **other != kind && **other != Issuer) {
                    // The agent is a subject and an actor.
                    if id == "agent" && matches!(other, Subject | Actor) {
                        continue;
                    }
                    let mut of_other = line.clone();
                    of_other["revoke"] = json!(other.as_str());
                    of_other["issuer"] = json!("https://id");
                    near.push(of_other);
                }
            }
            for line in near {
                assert_eq!(revoked_by(line.clone(), &identity()), None, "{line}");
            }
        }
    }

    #[test]
    fn callers_are_found_by_what_they_are() {
        // Nobody acts for anybody here.
        let plain =
            Identity { principal: None, actors: Vec::new(), task: None, token_id: None, ..identity() };
        for line in [
            json!({"revoke": "actor", "id": "agent"}),
            json!({"revoke": "subject", "id": "alice"}),
            json!({"revoke": "task", "id": "t-1"}),
            json!({"revoke": "token", "issuer": "https://id", "id": "j-1"}),
        ] {
            assert_eq!(revoked_by(line.clone(), &plain), None, "{line}");
        }
        // A prior actor is not the subject.
        assert_eq!(revoked_by(json!({"revoke": "subject", "id": "planner"}), &identity()), None);
        // What tells no time of issue is issued before any time.
        let older = json!({"revoke": "subject", "id": "agent", "issued_before": "1970-01-01T00:00:01Z"});
        assert_eq!(revoked_by(older.clone(), &identity()), None);
        let timeless = Identity { claims: serde_json::Map::new(), ..identity() };
        assert_eq!(revoked_by(older, &timeless), Some(RevocationKind::Subject));
        // The tokens of a trust domain are not its certificates.
        let peer = Identity { credential: "mtls".into(), key_id: None, ..timeless };
        let line = json!({"revoke": "issuer", "issuer": "https://id", "issued_before": at(1).to_string()});
        assert_eq!(revoked_by(line, &peer), None);
        assert_eq!(
            revoked_by(json!({"revoke": "subject", "id": "agent"}), &peer),
            Some(RevocationKind::Subject)
        );
    }

    #[test]
    fn times_round_to_where_nothing_is_missed() {
        let line = |before: &str| json!({"revoke": "task", "id": "t-1", "issued_before": before});
        let mut identity = identity();
        identity.claims = json!({"iat": 100.7}).as_object().cloned().unwrap();
        for (before, revoked) in [
            ("1970-01-01T00:01:40Z", false),
            ("1970-01-01T00:01:40.5Z", true),
            ("1970-01-01T00:01:41Z", true),
            ("1970-01-01T01:01:41+01:00", true),
            ("1970-01-01T01:01:40+01:00", false),
            ("9999-01-01T00:00:00Z", true),
        ] {
            assert_eq!(revoked_by(line(before), &identity).is_some(), revoked, "{before}");
        }
    }

    #[test]
    fn lines_that_are_not_understood_are_errors() {
        let good = json!({"revoke": "task", "id": "t", "expires_at": at(1).to_string()});
        assert!(read(good.clone()).is_ok());
        for (member, value, error) in [
            ("revoke", json!("jti"), "revoke: unknown variant `jti`"),
            ("revoke", json!(null), "revoke: invalid type"),
            ("ids", json!("t"), "ids: unknown field `ids`"),
            ("id", json!(""), "id: not 1 to 2048 bytes"),
            ("id", json!("x".repeat(2049)), "id: not 1 to 2048 bytes"),
            ("id", json!(null), "id: missing"),
            ("issuer", json!(""), "issuer: not 1 to 2048 bytes"),
            ("ticket", json!(""), "ticket: not 1 to 2048 bytes"),
            ("revoke", json!("token"), "issuer: missing"),
            ("revoke", json!("key"), "issuer: missing"),
            ("revoke", json!("issuer"), "issuer: missing"),
            ("expires_at", json!("tomorrow"), "expires_at: `tomorrow` is not"),
            ("expires_at", json!(1), "expires_at: invalid type"),
            ("issued_before", json!("2026-01-01"), "issued_before: `2026-01-01` is not"),
        ] {
            let mut line = good.clone();
            line[member] = value;
            let message = read(line).unwrap_err();
            assert!(message.starts_with(error), "{message}");
        }
        let issuer = json!({"revoke": "issuer", "issuer": "i", "expires_at": at(1).to_string()});
        assert!(read(issuer.clone()).unwrap_err().starts_with("issued_before: missing"));
        let mut named = issuer;
        named["issued_before"] = json!(at(1).to_string());
        assert!(read(named.clone()).is_ok());
        named["id"] = json!("x");
        assert!(read(named).unwrap_err().starts_with("id: an issuer has none"));
        let mut endless = good;
        endless.as_object_mut().unwrap().remove("expires_at");
        assert!(read(endless).unwrap_err().starts_with("missing field `expires_at`"));
    }

    fn task(id: &str, before: Option<i64>, expires: i64) -> Resolved {
        let before = before.map(|before| at(before).to_string());
        read(json!({"revoke": "task", "id": id, "issued_before": before, "expires_at": at(expires).to_string()}))
            .unwrap()
    }

    #[test]
    fn what_became_effective_is_told_once() {
        let mut all = Revocations::default();
        let handle = Handle::of(RevocationKind::Task, None, "t-1");
        let caller = Revocable::of(&identity());
        assert!(caller.handles().any(|one| one == handle));
        assert_eq!(all.insert(&task("t-1", Some(-5), 10), NOW, 10), Ok(Some(handle)));
        assert_eq!(all.insert(&task("t-1", Some(-5), 10), NOW, 10), Ok(None), "the same");
        assert_eq!(all.check(&caller, NOW), None, "it was issued later");
        assert_eq!(all.insert(&task("t-1", Some(5), 10), NOW, 10), Ok(Some(handle)), "more is revoked");
        assert_eq!(all.insert(&task("t-1", Some(-5), 10), NOW, 10), Ok(None), "less is revoked");
        assert_eq!(all.insert(&task("t-1", None, 10), NOW, 10), Ok(Some(handle)));
        assert_eq!(all.check(&caller, at(9)), Some(RevocationKind::Task));
        assert_eq!(all.check(&caller, at(10)), None, "it has expired");
        assert_eq!(all.insert(&task("t-1", None, 20), NOW, 10), Ok(Some(handle)), "it lasts longer");
        assert_eq!(all.check(&caller, at(10)), Some(RevocationKind::Task));
        assert_eq!(all.insert(&task("t-1", None, -1), NOW, 10), Ok(None), "withdrawn");
        assert_eq!((all.check(&caller, NOW), all.len()), (None, 0));
    }

    #[test]
    fn the_number_of_entries_is_bounded_and_what_is_over_goes_by_the_time_of_the_list() {
        let mut all = Revocations::default();
        for number in 0..10 {
            all.insert(&task(&format!("t-{number}"), None, 10 + number), NOW, 10).unwrap();
        }
        assert_eq!(all.insert(&task("more", None, 10), NOW, 10), Err(Full::ENTRIES));
        assert!(all.insert(&task("t-1", None, 100), NOW, 10).is_ok(), "that is there already");
        let tidy = |all: &mut Revocations, time| {
            let mut slices = 0;
            while all.tidy(3, time, false) {
                slices += 1;
            }
            slices
        };
        assert!(tidy(&mut all, at(9)) > 3, "in slices");
        assert_eq!(all.len(), 10);
        tidy(&mut all, at(12));
        assert_eq!(all.len(), 8, "t-0 and t-2 are over");
        assert_eq!(all.check(&Revocable::of(&identity()), at(12)), Some(RevocationKind::Task));
        tidy(&mut all, at(100));
        assert_eq!(all.len(), 0);
    }

    #[test]
    fn a_full_list_is_in_force_line_by_line_and_what_it_leaves_out_goes_at_its_end() {
        let mut all = Revocations::default();
        let caller = Revocable::of(&identity());
        all.insert(&task("t-1", None, 10), NOW, 10).unwrap();
        all.insert(&task("other", None, 10), NOW, 10).unwrap();
        all.begin_full();
        all.insert(&task("third", None, 10), NOW, 10).unwrap();
        assert_eq!((all.check(&caller, NOW), all.len()), (Some(RevocationKind::Task), 3));
        while all.tidy(1, NOW, false) {}
        assert_eq!(all.len(), 3, "it is not complete");
        all.insert(&task("other", None, 10), NOW, 10).unwrap();
        while all.tidy(1, NOW, true) {}
        assert_eq!((all.check(&caller, NOW), all.len()), (None, 2));
    }
}
