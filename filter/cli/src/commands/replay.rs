//! `everycall decide --record`: a recorded decision, made again under this configuration.

use std::fmt::Write as _;

use everycall_core::record::{BundleRecord, ShadowOutcome};
use everycall_core::{json, DecisionRecord, Reason};
use serde_json::{Map, Value};

use super::decide::Decider;
use super::request;

/// A line of a log.
pub(super) enum Line {
    Record(Box<DecisionRecord>),
    /// A decision in short, which can't be decided again, and its id.
    Summary(String),
    /// Anything else, such as the end of a stream.
    Other,
}

impl Line {
    /// Reads a line. What stands before the first `{` is a log's prefix; the line of an access log may hold the record
    /// as a member, as text or as an object.
    ///
    /// # Errors
    /// It holds a record that is malformed or cut, and what is wrong with it.
    pub(super) fn read(line: &[u8]) -> Result<Self, String> {
        let Some(start) = line.iter().position(|byte| *byte == b'{') else { return Ok(Self::Other) };
        let text = line.get(start..).unwrap_or_default();
        let Ok(members) = json::parse_object(text) else {
            return if text.starts_with(b"{\"v\":") { Self::record(text) } else { Ok(Self::Other) };
        };
        if members.contains_key("v") {
            return Self::of(&members, text);
        }
        // Members of other names may repeat what a client sent, and that may look like a record.
        let held = ["record", "decision"].into_iter().find_map(|name| members.get(name));
        let text = match held {
            Some(Value::String(text)) => text.clone(),
            Some(member) => member.to_string(),
            None => return Ok(Self::Other),
        };
        match json::parse_object(text.as_bytes()) {
            Ok(members) => Self::of(&members, text.as_bytes()),
            Err(_) => Ok(Self::Other),
        }
    }

    fn of(members: &Map<String, Value>, text: &[u8]) -> Result<Self, String> {
        match (members.contains_key("v"), members.get("id")) {
            (true, _) if members.contains_key("event") => Ok(Self::Other),
            (true, _) => Self::record(text),
            (false, Some(Value::String(id))) => Ok(Self::Summary(id.clone())),
            (false, _) => Ok(Self::Other),
        }
    }

    fn record(text: &[u8]) -> Result<Self, String> {
        request::parse(text).map(Box::new).map(Self::Record)
    }
}

/// Decides a record again.
///
/// # Errors
/// It does not hold what is needed for that.
pub(super) fn again(decider: &mut Decider, recorded: &DecisionRecord, human: bool) -> Result<String, String> {
    if let names @ [_, ..] = recorded.cut_values().as_slice() {
        let names = names.iter().map(|name| format!("`{name}`")).collect::<Vec<_>>().join(", ");
        return Err(format!(
            "{}: it can't be decided again: the record holds only beginnings of {names} (`log.value_bytes`)",
            recorded.id
        ));
    }
    let invalid = |error: super::Invalid| error.to_string();
    let record = decider.engine_at(recorded.time).map_err(invalid)?.replay(recorded).record;
    if human {
        Ok(decider.explain(&record).map_err(|error| error.to_string())? + &compare(recorded, &record))
    } else {
        serde_json::to_string(&record).map_err(|error| error.to_string())
    }
}

/// What lines of a log there were that hold no record.
#[derive(Default)]
pub(super) struct Passed {
    others: usize,
    summaries: usize,
    /// The decision that was looked for is there in short.
    in_short: bool,
}

impl Passed {
    /// Looks at one more; `id` is looked for.
    pub(super) fn count(&mut self, line: &Line, id: Option<&str>) {
        match line {
            Line::Record(_) => {}
            Line::Summary(own) => {
                self.summaries = self.summaries.saturating_add(1);
                self.in_short |= id == Some(own);
            }
            Line::Other => self.others = self.others.saturating_add(1),
        }
    }

    /// What to say of them, where `found` records were looked for in vain or not.
    pub(super) fn report(&self, found: bool, id: Option<&str>) -> Vec<String> {
        const WHERE: &str =
            "records are in the proxy's log, or, with `log.to: access_log`, in the access log";
        let mut said = Vec::new();
        match (found, id) {
            (false, Some(id)) if self.in_short => {
                said.push(format!("the decision `{id}` is here only in short: {WHERE}"));
            }
            (false, Some(id)) => said.push(format!("there is no record of the decision `{id}`")),
            (false, None) if self.summaries > 0 => {
                said.push(format!("there is no record here, only decisions in short: {WHERE}"));
            }
            (false, None) => said.push("there is no record here".to_owned()),
            (true, _) => {}
        }
        let lines = |count: usize| if count == 1 { "1 line".to_owned() } else { format!("{count} lines") };
        if id.is_none() && self.others > 0 {
            said.push(format!("{} of something else passed over", lines(self.others)));
        }
        if id.is_none() && self.summaries > 0 && found {
            said.push(format!("{} with a decision in short passed over: {WHERE}", lines(self.summaries)));
        }
        said
    }
}

fn compare(recorded: &DecisionRecord, record: &DecisionRecord) -> String {
    let mut text = String::new();
    let outcome = |record: &DecisionRecord| {
        let reason = record.reason.map_or("none", Reason::code);
        format!("{} {reason}", record.decision)
    };
    // Writing to a String does not fail.
    let _ = if (recorded.decision, recorded.reason) == (record.decision, record.reason) {
        write!(text, "\n  recorded    the same outcome")
    } else {
        write!(text, "\n  recorded    ANOTHER outcome: {}", outcome(recorded))
    };
    let outcomes = |record: &DecisionRecord| -> Vec<(String, ShadowOutcome)> {
        record.shadow.iter().map(|shadow| (shadow.name.clone(), shadow.outcome)).collect()
    };
    for (name, outcome) in outcomes(recorded).iter().filter(|known| !outcomes(record).contains(known)) {
        let _ = write!(text, "\n  recorded    another outcome of the shadow `{name}`: {}", outcome.as_str());
    }
    if recorded.revision != record.revision {
        let _ = write!(text, "\n  recorded    under another configuration: revision {}", recorded.revision);
    }
    if recorded.bundle != record.bundle {
        let name = |bundle: &BundleRecord| format!("`{}`, sequence {}", bundle.revision, bundle.sequence);
        let bundle = recorded.bundle.as_ref().map_or("one that is not signed".to_owned(), name);
        let _ = write!(text, "\n  recorded    under another bundle: {bundle}");
    }
    text
}
