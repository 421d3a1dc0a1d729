//! A plan's slots: which fact answers each of them, found once when the plan is made.

use std::collections::BTreeMap;
use std::sync::Arc;

use everycall_rego::{Kind, Object, Sure, Value};

use super::described::{Description, Member};
use super::facts::FACTS;
use super::{opa, Sources};
use crate::base::reads::{Path, Reads};
use crate::config::InputFormat;

/// One fact: where it stands in an input, and what answers it. What is read of all that stands below a
/// path is made of the facts below it.
pub(crate) struct Fact {
    path: &'static str,
    answer: Answer,
    nullable: bool,
    /// What it is for whatever call; `None` if it may be absent.
    kind: Option<Kind>,
    timed: bool,
    reads: Option<&'static str>,
    pub(super) description: Description,
}

/// What answers a fact.
enum Answer {
    /// Its value. What is read below is looked up in it. Where others stand below, an empty object lets them
    /// in, and anything else stands for all of them.
    One(fn(&Sources<'_>) -> Option<Value>),
    /// The member of this name, or an object of all.
    Members(fn(&Sources<'_>, Option<&str>) -> Option<Value>),
    /// The answers of policy decision points, which come later.
    Answers,
}

pub(super) const fn one(path: &'static str, value: fn(&Sources<'_>) -> Option<Value>) -> Fact {
    fact(path, Answer::One(value))
}

pub(super) const fn members(
    path: &'static str,
    value: fn(&Sources<'_>, Option<&str>) -> Option<Value>,
) -> Fact {
    fact(path, Answer::Members(value)).always(Kind::Object)
}

pub(super) const fn answers(path: &'static str) -> Fact {
    fact(path, Answer::Answers)
}

const fn fact(path: &'static str, answer: Answer) -> Fact {
    Fact {
        path,
        answer,
        nullable: false,
        kind: None,
        timed: false,
        reads: None,
        description: Description::NOTHING,
    }
}

impl Fact {
    /// It is null where there is nothing to say, which to Rego is as good as true.
    pub(super) const fn nullable(self, kind: Kind) -> Self {
        Self { nullable: true, kind: Some(Kind::Any), ..self }.sometimes(kind)
    }

    /// What it is where it is anything.
    pub(super) const fn sometimes(self, kind: Kind) -> Self {
        Self { description: self.description.kind(kind), ..self }
    }

    /// It is there for whatever call, where nothing above it is null: a negation may be sure of it.
    pub(super) const fn always(self, kind: Kind) -> Self {
        Self { kind: Some(kind), ..self }.sometimes(kind)
    }

    /// What it is, for people.
    pub(super) const fn says(self, meaning: &'static str) -> Self {
        Self { description: self.description.says(meaning), ..self }
    }

    /// The names below it are headers': in lower case.
    pub(super) const fn in_lower_case(self) -> Self {
        Self { description: self.description.lower_case(), ..self }
    }

    /// What the members of its list are, where they are no texts.
    pub(super) const fn of(self, items: Kind) -> Self {
        Self { description: self.description.items(items), ..self }
    }

    /// What stands below it, for people.
    pub(super) const fn holding(self, members: &'static [Member]) -> Self {
        Self { description: self.description.members(members), ..self }
    }

    /// Time alone changes it.
    pub(super) const fn timed(self) -> Self {
        Self { timed: true, ..self }
    }

    /// What it is made from, as a path of our own input.
    pub(super) const fn made_from(self, path: &'static str) -> Self {
        Self { reads: Some(path), ..self }
    }

    #[cfg(feature = "schema")]
    pub(super) const fn path(&self) -> &'static str {
        self.path
    }

    #[cfg(feature = "schema")]
    pub(super) const fn is_null_at_times(&self) -> bool {
        self.nullable
    }

    #[cfg(feature = "schema")]
    pub(super) const fn kind(&self) -> Kind {
        self.description.what()
    }

    #[cfg(feature = "schema")]
    pub(super) fn members(&self) -> impl Iterator<Item = &'static Member> {
        self.description.below().iter()
    }

    #[cfg(feature = "schema")]
    pub(super) const fn has_lower_case(&self) -> bool {
        self.description.is_lower_case()
    }

    /// Whether what stands below it may have any name.
    #[cfg(feature = "schema")]
    pub(super) const fn takes_any_name(&self) -> bool {
        matches!(self.answer, Answer::Members(_) | Answer::Answers)
    }

    pub(super) fn names(&self) -> impl Iterator<Item = &'static str> {
        self.path.split('.')
    }

    /// What is at this path for whatever call, as far as a table of facts says.
    pub(super) fn sure(facts: &[Self], path: &[Arc<str>]) -> Option<Sure> {
        let at = |path: &[Arc<str>]| facts.iter().find(|fact| fact.depth() == path.len() && fact.holds(path));
        let kind = match at(path) {
            Some(fact) => fact.kind?,
            // What others stand below.
            None => {
                let mut below = facts.iter().filter_map(|fact| fact.below(path));
                below.next().filter(|_| !path.is_empty()).map(|_| Kind::Object)?
            }
        };
        let above = |end: &usize| path.get(..*end).and_then(at).is_some_and(|fact| fact.nullable);
        let nullable = (1..path.len()).find(above).unwrap_or_default();
        Some(Sure { kind, nullable })
    }

    /// How many names lead to it.
    fn depth(&self) -> usize {
        self.names().count()
    }

    /// Whether it is at this path or above.
    fn holds(&self, path: &[Arc<str>]) -> bool {
        self.depth() <= path.len() && self.names().zip(path).all(|(own, name)| own == &**name)
    }

    /// Its name in the object at this path; `None` if it is not below.
    fn below(&self, path: &[Arc<str>]) -> Option<&'static str> {
        let mut names = self.names();
        path.iter().all(|name| names.next() == Some(name)).then(|| names.next()).flatten()
    }

    /// What stands at the path below it.
    fn value(&self, of: &Sources<'_>, rest: &[Arc<str>]) -> Option<Value> {
        match (&self.answer, rest.split_first()) {
            (Answer::One(value), None) => value(of),
            (Answer::One(value), Some(_)) => descend(&value(of)?, rest),
            (Answer::Members(value), None) => value(of, None),
            (Answer::Members(value), Some((name, []))) => value(of, Some(name)),
            (Answer::Members(value), Some((name, rest))) => descend(&value(of, Some(name))?, rest),
            (Answer::Answers, _) => None,
        }
    }
}

/// What stands at a path of names.
pub(super) fn descend(value: &Value, path: &[Arc<str>]) -> Option<Value> {
    path.iter().try_fold(value, |value, name| value.get_str(name)).cloned()
}

/// How one slot is answered.
enum Read {
    /// Nothing can stand there.
    Nothing,
    Fact(&'static Fact, Path),
    /// All that stands below: a fact that stands there itself, and the members, in the order of their names.
    Tree(Option<&'static Fact>, Vec<(Value, Read)>),
}

impl Read {
    fn of(facts: &'static [Fact], path: &[Arc<str>]) -> Self {
        let mut names: Vec<&'static str> = facts.iter().filter_map(|fact| fact.below(path)).collect();
        let holding = facts.iter().filter(|fact| fact.holds(path)).max_by_key(|fact| fact.depth());
        if names.is_empty() {
            let rest = |fact: &Fact| path.get(fact.depth()..).unwrap_or_default().to_vec();
            return holding.map_or(Self::Nothing, |fact| Self::Fact(fact, rest(fact)));
        }
        names.sort_unstable();
        names.dedup();
        let member = |name: &&'static str| {
            let name: Arc<str> = Arc::from(*name);
            let below: Path = path.iter().chain([&name]).cloned().collect();
            (Value::String(name), Self::of(facts, &below))
        };
        Self::Tree(holding.filter(|fact| fact.depth() == path.len()), names.iter().map(member).collect())
    }

    fn of_format(format: InputFormat, path: &[Arc<str>]) -> Self {
        match (format, path.split_first()) {
            (InputFormat::Everycall, _) => Self::of(FACTS, path),
            (InputFormat::OpaEnvoy, Some((first, rest))) if **first == *opa::OWN => Self::of(FACTS, rest),
            (InputFormat::OpaEnvoy, None) => match Self::of(opa::FACTS, path) {
                Self::Tree(base, mut members) => {
                    members.push((Value::from(opa::OWN), Self::of(FACTS, &[])));
                    members.sort_by(|(a, _), (b, _)| a.cmp(b));
                    Self::Tree(base, members)
                }
                other => other,
            },
            (InputFormat::OpaEnvoy, _) => Self::of(opa::FACTS, path),
        }
    }

    fn value(&self, of: &Sources<'_>) -> Option<Value> {
        match self {
            Self::Nothing => None,
            Self::Fact(fact, rest) => fact.value(of, rest),
            Self::Tree(base, members) => {
                let mut all = match base.map(|fact| fact.value(of, &[])) {
                    None => Vec::with_capacity(members.len()),
                    Some(Some(Value::Object(base))) => base.to_vec(),
                    Some(whole) => return whole,
                };
                all.extend(members.iter().filter_map(|(name, read)| Some((name.clone(), read.value(of)?))));
                Some(Value::Object(Object::from(all)))
            }
        }
    }

    /// Every fact that answers it, with the path that is looked up below.
    fn visit<'r>(&'r self, each: &mut impl FnMut(&'static Fact, &'r [Arc<str>])) {
        match self {
            Self::Nothing => {}
            Self::Fact(fact, rest) => each(fact, rest),
            Self::Tree(base, members) => {
                base.iter().for_each(|fact| each(fact, &[]));
                members.iter().for_each(|(_, read)| read.visit(each));
            }
        }
    }
}

/// A path that the path of another slot is above: the longest of those.
struct Within {
    slot: usize,
    whole: usize,
    /// What is left of the path.
    rest: Path,
}

impl Within {
    fn of(paths: &BTreeMap<&[Arc<str>], usize>, path: &[Arc<str>], slot: usize) -> Option<Self> {
        let above = |end| Some((path.split_at_checked(end)?, *paths.get(path.get(..end)?)?));
        let ((_, rest), whole) = (0..path.len()).rev().find_map(above)?;
        Some(Self { slot, whole, rest: rest.to_vec() })
    }
}

/// A plan's slots.
pub(crate) struct Slots {
    /// By slot. Of one that is within another, nothing is made here.
    reads: Vec<(Read, bool)>,
    /// Those that are within others, shorter paths first.
    within: Vec<Within>,
    /// Slots that hold answers of policy decision points: what is read of those; `None` where all of the
    /// input is.
    answers: Vec<(usize, Option<Path>)>,
    timed: bool,
}

impl Slots {
    /// Finds the facts for a plan's paths, and what they read of our own input.
    pub(crate) fn resolve<'p>(
        format: InputFormat,
        paths: impl Iterator<Item = &'p [Arc<str>]>,
    ) -> (Self, Reads) {
        let paths: Vec<&[Arc<str>]> = paths.collect();
        let known: BTreeMap<&[Arc<str>], usize> =
            paths.iter().enumerate().map(|(slot, path)| (*path, slot)).collect();
        let mut slots = Self { reads: Vec::new(), within: Vec::new(), answers: Vec::new(), timed: false };
        let mut reads = Reads::default();
        for (at, path) in paths.iter().copied().enumerate() {
            let read = Read::of_format(format, path);
            let own = match (format, path.split_first()) {
                (InputFormat::Everycall, _) => Some(path),
                (InputFormat::OpaEnvoy, None) => Some(path),
                (InputFormat::OpaEnvoy, Some((first, rest))) => (**first == *opa::OWN).then_some(rest),
            };
            own.iter().for_each(|path| reads.add(path.to_vec()));
            read.visit(&mut |fact, rest| {
                slots.timed |= fact.timed;
                let rest = match fact.answer {
                    Answer::Members(_) => rest,
                    Answer::One(_) | Answer::Answers => &[],
                };
                if let Some(from) = fact.reads {
                    reads.add(from.split('.').map(Arc::from).chain(rest.iter().cloned()).collect());
                }
            });
            match (&read, format) {
                (Read::Fact(Fact { answer: Answer::Answers, .. }, rest), InputFormat::Everycall) => {
                    slots.answers.push((at, Some(rest.clone())));
                }
                (Read::Tree(..), InputFormat::Everycall) if path.is_empty() => {
                    slots.answers.push((at, None));
                }
                _ => {}
            }
            let within = Within::of(&known, path, at);
            slots.reads.push((read, within.is_some()));
            slots.within.extend(within);
        }
        slots.within.sort_by_key(|within| paths.get(within.slot).map(|path| path.len()));
        (slots, reads)
    }

    /// What the slots hold.
    pub(super) fn values(&self, of: &Sources<'_>) -> Vec<Option<Value>> {
        let own = |(read, is_within): &(Read, bool)| if *is_within { None } else { read.value(of) };
        let mut values: Vec<Option<Value>> = self.reads.iter().map(own).collect();
        for Within { slot, whole, rest } in &self.within {
            let value = values.get(*whole).and_then(Option::as_ref).and_then(|whole| descend(whole, rest));
            if let Some(place) = values.get_mut(*slot) {
                *place = value;
            }
        }
        values
    }

    /// Puts the answers where they are read.
    pub(super) fn put_answers(&self, values: &mut [Option<Value>], answers: &Value) {
        for (at, rest) in &self.answers {
            let Some(place) = values.get_mut(*at) else { continue };
            *place = match (rest, place.take()) {
                (Some(rest), _) => descend(answers, rest),
                (None, Some(Value::Object(input))) => {
                    let mut all = input.to_vec();
                    all.push((Value::from("pdp"), answers.clone()));
                    Some(Value::Object(Object::from(all)))
                }
                (None, other) => other,
            };
        }
    }

    /// Whether answers are read at all.
    pub(super) fn read_answers(&self) -> bool {
        !self.answers.is_empty()
    }

    /// Whether time alone changes what they hold.
    pub(crate) const fn are_timed(&self) -> bool {
        self.timed
    }

    /// Whether this slot is nothing but a fact that is null where there is nothing to say.
    pub(crate) fn is_nullable(&self, slot: usize) -> bool {
        match self.reads.get(slot) {
            Some((Read::Fact(fact, rest), _)) => fact.nullable && rest.is_empty(),
            Some((Read::Tree(Some(fact), _), _)) => fact.nullable,
            Some((Read::Tree(None, _) | Read::Nothing, _)) | None => false,
        }
    }
}
