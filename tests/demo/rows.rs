//! What came of the calls, as rows of a table.

use std::io::IsTerminal;
use std::time::Duration;

use anyhow::Context;
use serde_json::{json, Value};

use crate::calls::Call;
use crate::world::{Outcome, World};

/// What came of one call.
pub struct Row<'a> {
    number: usize,
    pub call: &'a Call,
    decision: Value,
    status: u16,
    arrived: usize,
    /// Why it was cut, and how long that took.
    cut: Option<(String, Duration)>,
    pub right: bool,
}

impl<'a> Row<'a> {
    /// Makes the call, and compares what came of it with what should.
    pub fn of(world: &World, call: &'a Call, number: usize) -> anyhow::Result<Self> {
        world.upstream.take();
        let Outcome { status, cut } = world.make(call)?;
        let arrived = world.upstream.take().len();
        let line = world.line(number)?;
        let decision = line["decision"].as_str().with_context(|| format!("no decision in {line}"))?;
        let decision: Value = serde_json::from_str(decision)?;
        let (outcome, reason, rule) = call.expected;
        let passed = outcome == "allow";
        let right = decision["decision"] == outcome
            && decision["reason"] == reason
            && decision["rule"].as_str() == rule
            // Nothing refused reaches the upstream, and everything admitted does, once.
            && arrived == usize::from(passed)
            && (status == 200) == passed
            && cut.is_some() == call.cut_by_end_of.is_some()
            && (cut.is_none() || line["cut"] == "revoked");
        let cut = cut.map(|after| (line["cut"].as_str().unwrap_or_default().to_owned(), after));
        Ok(Self { number, call, decision, status, arrived, cut, right })
    }

    /// For programs.
    pub fn json(&self) -> Value {
        let cut = self
            .cut
            .as_ref()
            .map(|(reason, after)| json!({"reason": reason, "after_s": after.as_secs_f64()}));
        json!({
            "cut": cut, "number": self.number, "request": self.call.what, "who": self.call.who, "status": self.status,
            "decision": self.decision, "reached_upstream": self.arrived, "as_expected": self.right,
        })
    }

    fn cells(&self) -> [String; 7] {
        let text = |name: &str| self.decision[name].as_str().unwrap_or("").to_owned();
        let reason = match self.decision["rule"].as_str() {
            Some(rule) => format!("{}: {rule}", text("reason")),
            None => text("reason"),
        };
        let (decision, reason) = match &self.cut {
            Some((cut, after)) => (
                format!("{} {}, cut", text("decision"), self.status),
                format!("{reason}; {cut} after {:.1} s", after.as_secs_f64()),
            ),
            None => (format!("{} {}", text("decision"), self.status), reason),
        };
        [
            self.number.to_string(),
            self.call.what.to_owned(),
            self.call.who.to_owned(),
            decision,
            reason,
            text("layer"),
            self.decision["duration_us"].to_string(),
        ]
    }
}

/// Prints them to a person.
pub fn print_table(rows: &[Row<'_>]) {
    let head = ["#", "request", "who", "decision", "reason", "layer", "added us"].map(str::to_owned);
    let cells: Vec<[String; 7]> = std::iter::once(head).chain(rows.iter().map(Row::cells)).collect();
    let width = |column: usize| cells.iter().map(|row| row[column].chars().count()).max().unwrap_or(0);
    let widths: Vec<usize> = (0..7).map(width).collect();
    let colour = std::io::stdout().is_terminal();
    for (index, row) in cells.iter().enumerate() {
        let mut line = String::new();
        for (column, cell) in row.iter().enumerate() {
            let pad = " ".repeat(widths[column].saturating_sub(cell.chars().count()));
            line +=
                &if matches!(column, 0 | 6) { format!("{pad}{cell}  ") } else { format!("{cell}{pad}  ") };
        }
        let wrong = index > 0 && !rows[index - 1].right;
        let mark = if wrong { "NOT AS EXPECTED" } else { "" };
        match (colour, row[3].split(' ').next()) {
            (true, Some("allow")) => println!("\x1b[32m{line}\x1b[0m{mark}"),
            (true, Some("deny")) => println!("\x1b[31m{line}\x1b[0m{mark}"),
            _ => println!("{}", format!("{line}{mark}").trim_end()),
        }
        if index == 0 {
            println!("{}", "-".repeat(line.trim_end().chars().count()));
        }
    }
}
