//! What was written down: each decision once, and each decided again by the core natively, under the configuration
//! and the bundle that its record names.

use everycall_tests::RECORD_BEGINS;
use std::collections::{BTreeMap, BTreeSet, HashSet};
use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{bail, ensure, Context as _};
use everycall::commands;
use everycall_core::engine::not_decided_again;
use everycall_core::{DecisionRecord, Reason};
use serde_json::{json, Map, Value};

use crate::clients::{Answered, Kind};
use crate::proxy::{Inbound, Proxy};

/// So many differences are printed.
const SHOWN: usize = 10;

/// What the records of one or more instances come to.
#[derive(Default)]
pub struct Records {
    /// Records of decisions.
    pub written: u64,
    /// Records of decisions that another one tells of already.
    pub twice: u64,
    /// Lines of the access log without a record: the client was gone before a decision.
    pub undecided: u64,
    /// Decided again, with the same outcome and the same record but for its duration.
    pub again: u64,
    /// Refusals that rest on what no record holds, such as the token: replay lets them stand. By reason.
    pub standing: BTreeMap<String, u64>,
    /// Records that hold only the beginnings of values. By kind of request.
    pub cut: BTreeMap<Kind, u64>,
    /// Records that name no revision that was published, or nothing that can be read.
    pub unknown: u64,
    /// Records that came out differently.
    pub different: u64,
    /// Records whose reason is not one that their request can come to, or none of a known request.
    pub unexpected: u64,
    /// Requests that could not be served for a moment, such as for want of keys.
    pub busy: u64,
    /// How often each kind came to each reason.
    pub reasons: BTreeMap<(Kind, &'static str), u64>,
    /// How often each kind came to each status.
    pub statuses: Answered,
    /// In what members records came out differently.
    pub members: BTreeMap<String, u64>,
    /// The first of what is wrong, of each sort.
    pub shown: BTreeMap<&'static str, Vec<String>>,
}

/// A record and its line.
struct Line {
    record: DecisionRecord,
    text: String,
}

impl Records {
    /// Reads and decides again what an instance wrote down.
    pub fn of(
        proxy: &Proxy,
        inbound: &Inbound,
        bundles: &BTreeMap<u64, PathBuf>,
        directory: &Path,
    ) -> anyhow::Result<Self> {
        let mut records = Self::default();
        let mut by_bundle = BTreeMap::<u64, Vec<Line>>::new();
        let mut ids = HashSet::new();
        for text in read(proxy, inbound)? {
            let Some(record) = record_of(&text)? else {
                records.undecided += 1;
                continue;
            };
            records.written += 1;
            records.twice += u64::from(!ids.insert(record.id.clone()));
            records.look_at(&record);
            let sequence = record.bundle.as_ref().map(|bundle| bundle.sequence);
            let cut = !record.cut_values().is_empty();
            match (sequence, Kind::of(&record.request.path)) {
                (_, Some(kind)) if cut => *records.cut.entry(kind).or_default() += 1,
                (Some(sequence), _) if bundles.contains_key(&sequence) => {
                    by_bundle.entry(sequence).or_default().push(Line { record, text });
                }
                _ => {
                    records.unknown += 1;
                    records.show("a record of no bundle that was published", text);
                }
            }
        }
        for (sequence, lines) in by_bundle {
            let bundle = bundles.get(&sequence).context("a bundle that is gone")?;
            records.decide(inbound, bundle, lines, directory)?;
        }
        Ok(records)
    }

    /// What can be told from the record alone: is its reason one that its request can come to?
    fn look_at(&mut self, record: &DecisionRecord) {
        let (Some(kind), Some(reason)) = (Kind::of(&record.request.path), record.reason) else {
            self.unexpected += 1;
            return self.show("a record of no request of ours", text(record));
        };
        *self.reasons.entry((kind, reason.code())).or_default() += 1;
        *self.statuses.entry((kind, record.status)).or_default() += 1;
        if kind.reasons().contains(&reason) {
            return;
        }
        if matches!(reason, Reason::Overloaded | Reason::KeysUnavailable | Reason::NotReady) {
            self.busy += 1;
        } else {
            self.unexpected += 1;
            self.show("a record that says what can't become of its request", text(record));
        }
    }

    /// Decides these again by `everycall decide --record`, all under one bundle.
    fn decide(
        &mut self,
        inbound: &Inbound,
        bundle: &Path,
        mut lines: Vec<Line>,
        directory: &Path,
    ) -> anyhow::Result<()> {
        // An engine's time does not run backwards; of each step back a new one would be made.
        lines.sort_by_key(|line| line.record.time);
        let file = directory.join(format!("{}.jsonl", inbound.instance));
        let texts: Vec<&str> = lines.iter().map(|line| &*line.text).collect();
        fs::write(&file, texts.join("\n") + "\n")?;
        let mut out = Vec::new();
        let arguments = [
            "everycall".as_ref(),
            "decide".as_ref(),
            "--config".as_ref(),
            inbound.config.as_os_str(),
            "--bundle".as_ref(),
            bundle.as_os_str(),
            "--record".as_ref(),
            file.as_os_str(),
        ];
        let code = commands::run(arguments, &mut out);
        let out = String::from_utf8(out)?;
        let again: Vec<&str> = out.lines().collect();
        ensure!(
            code == 0 && again.len() == lines.len(),
            "`everycall decide --record` came to {code}, with {} of {} records",
            again.len(),
            lines.len()
        );
        for (line, again) in lines.iter().zip(again) {
            let again: DecisionRecord = serde_json::from_str(again)?;
            let differences = differences(&line.record, &again)?;
            match (differences.is_empty(), not_decided_again(&line.record)) {
                (true, None) => self.again += 1,
                (true, Some(reason)) => *self.standing.entry(reason.code().to_owned()).or_default() += 1,
                (false, _) => {
                    self.different += 1;
                    let names: Vec<&str> = differences.iter().map(|(name, _)| &**name).collect();
                    *self.members.entry(names.join(", ")).or_default() += 1;
                    let differences: String =
                        differences.iter().map(|(name, values)| format!("  {name}: {values}\n")).collect();
                    self.show("a record that comes out differently", format!("{differences}  {}", line.text));
                }
            }
        }
        Ok(())
    }

    fn show(&mut self, what: &'static str, text: String) {
        let shown = self.shown.entry(what).or_default();
        if shown.len() < SHOWN {
            shown.push(text);
        }
    }

    /// With those of another instance.
    pub fn and(mut self, other: Self) -> Self {
        self.written += other.written;
        self.twice += other.twice;
        self.undecided += other.undecided;
        self.again += other.again;
        self.unknown += other.unknown;
        self.different += other.different;
        self.unexpected += other.unexpected;
        self.busy += other.busy;
        other.standing.into_iter().for_each(|(key, count)| *self.standing.entry(key).or_default() += count);
        other.cut.into_iter().for_each(|(key, count)| *self.cut.entry(key).or_default() += count);
        other.reasons.into_iter().for_each(|(key, count)| *self.reasons.entry(key).or_default() += count);
        other.statuses.into_iter().for_each(|(key, count)| *self.statuses.entry(key).or_default() += count);
        other.members.into_iter().for_each(|(key, count)| *self.members.entry(key).or_default() += count);
        for (what, texts) in other.shown {
            texts.into_iter().for_each(|text| self.show(what, text));
        }
        self
    }

    /// How many records are not decided again because they hold beginnings only.
    pub fn cut_of(&self, is_wanted: impl Fn(Kind) -> bool) -> u64 {
        self.cut.iter().filter(|(kind, _)| is_wanted(**kind)).map(|(_, count)| count).sum()
    }

    /// Outcomes that a kind of request should have come to and never did.
    pub fn never_came_up(&self) -> Vec<String> {
        let all = Kind::all().flat_map(|kind| kind.must_come_up().iter().map(move |reason| (kind, reason)));
        all.filter(|(kind, reason)| !self.reasons.contains_key(&(*kind, reason.code())))
            .map(|(kind, reason)| format!("`{}` never came to `{}`", kind.name(), reason.code()))
            .collect()
    }

    pub fn print(&self) {
        println!("requests by kind, and what became of them, by their records");
        for kind in Kind::all() {
            let of_kind = self.reasons.iter().filter(|((of, _), _)| *of == kind);
            let reasons: Vec<String> =
                of_kind.map(|((_, reason), count)| format!("{reason} {count}")).collect();
            println!("  {:10} {}", kind.name(), reasons.join(", "));
        }
        let standing: Vec<String> =
            self.standing.iter().map(|(reason, count)| format!("{reason} {count}")).collect();
        println!("refusals that rest on what no record holds, and stand: {}", standing.join(", "));
        for (names, count) in &self.members {
            println!("{count} records come out differently in: {names}");
        }
    }

    pub fn json(&self) -> Value {
        let mut reasons = Map::new();
        for ((kind, reason), count) in &self.reasons {
            let of_kind = reasons.entry(kind.name()).or_insert_with(|| json!({}));
            of_kind[reason] = json!(count);
        }
        let cut: Map<String, Value> =
            self.cut.iter().map(|(kind, count)| (kind.name().to_owned(), json!(count))).collect();
        json!({"written": self.written, "twice": self.twice, "undecided": self.undecided, "decided_again": self.again,
            "standing": self.standing, "cut": cut, "unknown": self.unknown, "different": self.different,
            "unexpected": self.unexpected, "busy": self.busy, "reasons": reasons})
    }
}

/// The lines that hold records of an instance.
fn read(proxy: &Proxy, inbound: &Inbound) -> anyhow::Result<Vec<String>> {
    let (file, of_this) = match inbound.to {
        "access_log" => (format!("{}.log", inbound.instance), "{\"code\":".to_owned()),
        _ => ("envoy.log".to_owned(), format!("{RECORD_BEGINS}\"id\":")),
    };
    let mut lines = Vec::new();
    for line in proxy.lines(&file)? {
        let line = line?;
        if line.contains(&of_this) {
            lines.push(line);
        }
    }
    Ok(lines)
}

/// How many records an instance has written by now.
pub fn written(proxy: &Proxy, inbound: &Inbound) -> anyhow::Result<u64> {
    let lines = read(proxy, inbound)?;
    Ok(lines.iter().filter(|line| line.contains(&format!("{RECORD_BEGINS}\"id\":"))).count() as u64)
}

/// The record in a line; `None`: the access log tells of a request without a decision.
fn record_of(line: &str) -> anyhow::Result<Option<DecisionRecord>> {
    match line.find(&format!("{RECORD_BEGINS}\"id\":")) {
        None if line.contains("\"record\":-}") => Ok(None),
        None => bail!("neither a record nor a request without one: {line}"),
        Some(start) => {
            let record = serde_json::Deserializer::from_str(&line[start..]).into_iter().next();
            Ok(Some(record.context("an empty record")?.with_context(|| line.to_owned())?))
        }
    }
}

/// What another decision says otherwise: by the member of the record, both values. Of all but how long it took.
fn differences(recorded: &DecisionRecord, again: &DecisionRecord) -> anyhow::Result<Vec<(String, String)>> {
    let members = |record: &DecisionRecord| -> anyhow::Result<Map<String, Value>> {
        let mut members = serde_json::to_value(record)?.as_object().cloned().context("no object")?;
        members.remove("duration_us");
        Ok(members)
    };
    let (recorded, again) = (members(recorded)?, members(again)?);
    let names: BTreeSet<&String> = recorded.keys().chain(again.keys()).collect();
    let differ = names.into_iter().filter(|name| recorded.get(*name) != again.get(*name));
    let show =
        |members: &Map<String, Value>, name| members.get(name).map_or("-".to_owned(), Value::to_string);
    Ok(differ
        .map(|name| (name.clone(), format!("{}, and again {}", show(&recorded, name), show(&again, name))))
        .collect())
}

fn text(record: &DecisionRecord) -> String {
    serde_json::to_string(record).unwrap_or_default()
}
