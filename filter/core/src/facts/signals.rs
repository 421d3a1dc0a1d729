//! Signals: facts about callers and tasks that change while these are at work, such as a risk that was
//! raised. Policies read them as `input.signals`; each ends by itself.
//!
//! A fact is found by the [`Handle`] of what it is about, as revocations are: what a caller is looked
//! for by is computed once, and so is what an open stream is found by when there is news.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::Bound;

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

#[cfg(feature = "schema")]
use crate::base::patterns;
use crate::base::reads::Reads;
use crate::base::time::UnixTime;
use crate::base::words::words;
use crate::facts::content::{Content, Full};
use crate::facts::fact;
use crate::facts::record::SignalsRecord;
use crate::facts::revocations::{Handle, Revocable, RevocationKind};

/// The longest name, in bytes.
const MAX_NAME: usize = 64;
/// The longest value as text, in bytes.
const MAX_VALUE: usize = 256;
/// How many signals there may be about one thing.
const MAX_ABOUT_ONE: usize = 16;

words! {
    /// What a signal is about.
    pub enum About {
        /// Somebody, in whatever part: the caller, the principal it acts for, a prior actor.
        Identity = "identity",
        /// A task.
        Task = "task",
    }
}

/// One signal as it is written: a line of a feed.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields, expecting = "an object")]
pub struct Signal {
    /// What it is about.
    pub about: About,
    /// The issuer as configured. Without it: whoever issued it. A signal that names the issuer counts before one that
    /// does not.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "schema", schemars(length(min = 1, max = 2048)))]
    pub issuer: Option<String>,
    /// The id of that identity or task, exactly.
    #[cfg_attr(feature = "schema", schemars(length(min = 1, max = 2048)))]
    pub id: String,
    /// Its name, by which policies read it: a lower-case letter, and up to 63 of them, digits and `_`.
    #[cfg_attr(feature = "schema", schemars(regex(pattern = patterns::SIGNAL)))]
    pub signal: String,
    /// What it says; a text has at most 256 bytes.
    #[cfg_attr(feature = "schema", schemars(extend("type" = ["string", "number", "boolean"])))]
    pub value: Value,
    /// RFC 3339; from then on it counts no more. One that lies before the time of its list withdraws what was said
    /// before.
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

impl Signal {
    /// Reads a line.
    ///
    /// # Errors
    /// It is not one.
    pub fn read(line: Value) -> Result<Self, String> {
        fact::read(&line)
    }

    /// Whether it can be understood.
    ///
    /// # Errors
    /// The member that is wrong, and what is wrong with it.
    pub fn check(&self) -> Result<(), String> {
        self.clone().resolve().map(drop)
    }

    fn resolve(self) -> Result<Resolved, String> {
        let Self { about, issuer, id, signal, value, expires_at, reason, ticket } = self;
        fact::check_texts([
            ("issuer", issuer.as_ref()),
            ("id", Some(&id)),
            ("reason", reason.as_ref()),
            ("ticket", ticket.as_ref()),
        ])?;
        // Such a name stands behind a dot in Rego.
        let rest = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'_';
        let is_name = signal.starts_with(|first: char| first.is_ascii_lowercase())
            && signal.len() <= MAX_NAME
            && signal.bytes().all(rest);
        if !is_name {
            return Err(format!(
                "signal: `{signal}` is not a letter and up to {} letters, digits or `_`, in lower case",
                MAX_NAME - 1
            ));
        }
        let long = match &value {
            Value::String(text) => text.len() > MAX_VALUE,
            Value::Number(number) => number.to_string().len() > MAX_VALUE,
            Value::Bool(_) => false,
            _ => return Err("value: not a text, a number or a boolean".to_owned()),
        };
        if long {
            return Err(format!("value: more than {MAX_VALUE} bytes"));
        }
        let expires = fact::instant("expires_at", &expires_at)?;
        let kind = match about {
            // One handle, whatever part somebody has in a call.
            About::Identity => RevocationKind::Subject,
            About::Task => RevocationKind::Task,
        };
        let handle = Handle::of(kind, issuer.as_deref(), &id);
        Ok(Resolved { handle, name: signal.into(), value, expires })
    }
}

/// A signal, read.
#[derive(Debug)]
struct Resolved {
    handle: Handle,
    name: Box<str>,
    value: Value,
    expires: UnixTime,
}

/// What is kept of one signal.
#[derive(Debug)]
struct RaisedSignal {
    value: Value,
    expires: UnixTime,
    /// The full list that named it last.
    round: u8,
}

/// What it is about, and its name.
type Key = (Handle, Box<str>);

/// All signals that are known.
///
/// Full lists are merged into what is there, as those of revocations are, and entries are dropped by
/// the time that their list was signed at. Whether one counts is asked again at each decision.
#[derive(Debug, Default)]
pub(crate) struct Signals {
    facts: BTreeMap<Key, RaisedSignal>,
    round: u8,
    /// Grows whenever one comes, changes or goes.
    version: u64,
    /// Where the next [`Content::tidy`] goes on.
    cursor: Option<Key>,
    /// Read, and not in force yet.
    staged: Vec<Resolved>,
    /// About whom or what there is news since somebody asked.
    newly: BTreeSet<Handle>,
}

impl Signals {
    /// What is known of a call: of the names that are read, all that counts now.
    pub(crate) fn of_call(&self, caller: Option<&Revocable>, reads: &Reads, now: UnixTime) -> SignalsRecord {
        let mut found = SignalsRecord::default();
        let Some(caller) = caller else { return found };
        let of = |part: &str, handles: Option<[Handle; 2]>| {
            let wanted = reads.names(&["signals", part]);
            handles.map(|handles| self.about(handles, wanted.as_ref(), now)).unwrap_or_default()
        };
        let mut subjects = caller.subjects();
        found.identity = of("identity", subjects.next());
        found.on_behalf_of = of("on_behalf_of", subjects.next());
        found.task = of("task", caller.task());
        found.actors = caller.actors().iter().map(|actor| self.about(*actor, None, now)).collect();
        found
    }

    /// The handles are those with the issuer and without it.
    fn about(
        &self,
        [issued, any]: [Handle; 2],
        wanted: Option<&BTreeSet<&str>>,
        now: UnixTime,
    ) -> Map<String, Value> {
        let mut found = Map::new();
        // What is said of the one with the issuer replaces what is said of any.
        for handle in [any, issued] {
            let is_wanted = |name: &str| wanted.is_none_or(|wanted| wanted.contains(name));
            let counts = self.of(handle).filter(|(name, entry)| now < entry.expires && is_wanted(name));
            found.extend(counts.map(|(name, entry)| (name.to_owned(), entry.value.clone())));
        }
        found
    }

    fn of(&self, handle: Handle) -> impl Iterator<Item = (&str, &RaisedSignal)> {
        let all = self.facts.range((handle, Box::default())..);
        all.take_while(move |((of, _), _)| *of == handle).map(|((_, name), entry)| (&**name, entry))
    }

    /// Grows with all news.
    pub(crate) const fn version(&self) -> u64 {
        self.version
    }

    /// The handles about which there is news since the last time.
    pub(crate) fn take_newly(&mut self) -> BTreeSet<Handle> {
        std::mem::take(&mut self.newly)
    }

    /// Takes one from a list that was signed at `signed_at`.
    fn insert(&mut self, one: Resolved, signed_at: UnixTime, max: usize) -> Result<(), Full> {
        let Resolved { handle, name, value, expires } = one;
        let round = self.round;
        let key = (handle, name);
        if expires <= signed_at {
            if self.facts.remove(&key).is_some() {
                self.is_news(handle);
            }
            return Ok(());
        }
        let Some(known) = self.facts.get_mut(&key) else {
            // While a full list is merged, what it replaces is still there.
            let named = self.of(handle).filter(|(_, entry)| entry.round == round).count();
            if named >= MAX_ABOUT_ONE {
                return Err(Full("there are more than 16 signals about one thing"));
            }
            if self.facts.len() >= max {
                return Err(Full::ENTRIES);
            }
            self.facts.insert(key, RaisedSignal { value, expires, round });
            self.is_news(handle);
            return Ok(());
        };
        known.round = round;
        if known.value != value || known.expires != expires {
            (known.value, known.expires) = (value, expires);
            self.is_news(handle);
        }
        Ok(())
    }

    fn is_news(&mut self, handle: Handle) {
        self.version = self.version.wrapping_add(1);
        self.newly.insert(handle);
    }
}

impl Content for Signals {
    fn stage(&mut self, fact: Value) -> Result<(), String> {
        self.staged.push(Signal::read(fact)?.resolve()?);
        Ok(())
    }

    fn abandon(&mut self) {
        self.staged.clear();
    }

    fn commit(&mut self, many: usize, signed_at: UnixTime, max: usize) -> Result<bool, Full> {
        // In the order of the lines: a later one on the same thing counts.
        let mut staged = std::mem::take(&mut self.staged);
        self.staged = staged.split_off(many.min(staged.len()));
        for one in staged {
            self.insert(one, signed_at, max)?;
        }
        Ok(!self.staged.is_empty())
    }

    fn begin_full(&mut self) {
        self.round = self.round.wrapping_add(1);
    }

    fn begin_tidy(&mut self) {
        self.cursor = None;
    }

    fn tidy(&mut self, many: usize, signed_at: UnixTime, named_only: bool) -> bool {
        let start = self.cursor.take().map_or(Bound::Unbounded, Bound::Excluded);
        let mut last = None;
        let mut seen: usize = 0;
        let mut gone = Vec::new();
        for (key, entry) in self.facts.range((start, Bound::Unbounded)).take(many) {
            seen = seen.saturating_add(1);
            last = Some(key);
            if entry.expires <= signed_at || (named_only && entry.round != self.round) {
                gone.push(key.clone());
            }
        }
        let more = seen >= many;
        self.cursor = last.filter(|_| more).cloned();
        for key in gone {
            self.facts.remove(&key);
            self.is_news(key.0);
        }
        more
    }

    fn len(&self) -> usize {
        self.facts.len()
    }
}

#[cfg(test)]
mod tests;
