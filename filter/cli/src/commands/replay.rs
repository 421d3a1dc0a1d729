//! `everycall decide --record`: a recorded decision, made again under this configuration.

use std::fmt::Write as _;

use everycall_core::record::{BundleRecord, ShadowOutcome};
use everycall_core::{json, DecisionRecord, Reason};
use serde_json::Value;

use super::decide::Decider;
use super::{explain, request};

/// Decides a record again. What stands before the first `{` is a log's prefix; the line of an access log
/// may hold the record as a member.
pub(super) fn run(decider: &mut Decider, line: &[u8], human: bool) -> Result<String, String> {
    let start = line.iter().position(|byte| *byte == b'{').ok_or("there is no record in this line")?;
    let text = line.get(start..).unwrap_or_default();
    let recorded = match held(text) {
        Some(record) => request::parse(&record)?,
        None => request::parse::<DecisionRecord>(text)?,
    };
    if let names @ [_, ..] = recorded.cut_values().as_slice() {
        let names = names.iter().map(|name| format!("`{name}`")).collect::<Vec<_>>().join(", ");
        return Err(format!(
            "{}: it can't be decided again: the record holds only beginnings of {names} (`log.value_bytes`)",
            recorded.id
        ));
    }
    let invalid = |error: super::Invalid| error.to_string();
    let record = decider.engine_at(recorded.time).map_err(invalid)?.replay(&recorded).record;
    if human {
        Ok(decider.explain(&record).map_err(|error| error.to_string())? + &compare(&recorded, &record))
    } else {
        serde_json::to_string(&record).map_err(|error| error.to_string())
    }
}

/// The record that is a member of this object, as text or as an object; an object with `v` is one itself.
/// Members of other names may repeat what a client sent, and that may look like a record.
fn held(text: &[u8]) -> Option<Vec<u8>> {
    let mut members = json::parse_object(text).ok().filter(|members| !members.contains_key("v"))?;
    match ["record", "decision"].into_iter().find_map(|name| members.remove(name))? {
        Value::String(text) => Some(text.into_bytes()),
        member => Some(member.to_string().into_bytes()),
    }
}

fn compare(recorded: &DecisionRecord, record: &DecisionRecord) -> String {
    let mut text = String::new();
    let outcome = |record: &DecisionRecord| {
        let reason = record.reason.map_or("none", Reason::code);
        format!("{} {reason}", explain::verdict(record.decision))
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
