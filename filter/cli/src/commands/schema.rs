//! `everycall schema`: JSON Schemas of what people write and read, made from the types themselves.

use std::io::Write;

use everycall_core::schema;
use serde_json::{json, Value};

use super::Outcome;
use crate::cases::CaseFile;
use crate::load;

/// Print the JSON Schema (draft 2020-12) of a file, for editors and CI
#[derive(clap::Args)]
#[command(after_help = "Example:\n  everycall schema config > everycall.schema.json\n\n\
    And in the first line of everycall.yaml:\n  # yaml-language-server: $schema=everycall.schema.json\n\n\
    A schema knows the shape of a file. `everycall check` also knows what refers to what, keys and Rego.")]
pub(super) struct Args {
    /// What to describe
    what: What,
    /// With `config`: as the filter takes it, without what only the command line reads
    #[arg(long)]
    resolved: bool,
    /// With `bundle`: one file of a bundle directory
    #[arg(long, value_name = "FILE")]
    file: Option<File>,
}

#[derive(Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub(super) enum What {
    /// The configuration
    Config,
    /// The record of a decision
    Record,
    /// A file of cases
    Cases,
    /// The parts of a bundle, as in `bundle.inline`
    Bundle,
}

/// The files of a bundle directory, by the part of the bundle that they hold.
#[derive(Clone, Copy, clap::ValueEnum)]
pub(super) enum File {
    /// `grants.yaml`
    Grants,
    /// `elevations.yaml`
    Elevations,
    /// `exceptions.yaml`
    Exceptions,
    /// `rule_sets.yaml`
    #[value(name = "rule_sets")]
    RuleSets,
}

pub(super) fn run(args: &Args, out: &mut dyn Write) -> anyhow::Result<Outcome> {
    let wrong = match (args.what, args.resolved, args.file) {
        (What::Config, _, None) | (What::Bundle, false, _) | (_, false, None) => None,
        (_, true, _) => Some("`--resolved` goes with `config`"),
        (_, false, Some(_)) => Some("`--file` goes with `bundle`"),
    };
    if let Some(wrong) = wrong {
        anyhow::bail!("{wrong}");
    }
    let text = if args.resolved { pretty(&schema::configuration())? } else { text(args.what, args.file)? };
    out.write_all(text.as_bytes())?;
    Ok(Outcome::Good)
}

/// The schema of what people write, as it is printed; `file` is one of a bundle directory.
pub(super) fn text(what: What, file: Option<File>) -> anyhow::Result<String> {
    pretty(&match (what, file) {
        (What::Config, _) => load::with_references(schema::configuration()),
        (What::Record, _) => schema::record(),
        (What::Cases, _) => schema::written::<CaseFile>("Cases for `everycall test`"),
        (What::Bundle, None) => schema::bundle(),
        (What::Bundle, Some(file)) => one_file(schema::bundle(), file),
    })
}

fn pretty(schema: &Value) -> anyhow::Result<String> {
    Ok(serde_json::to_string_pretty(schema)? + "\n")
}

/// The schema of one part of a bundle.
fn one_file(mut bundle: Value, file: File) -> Value {
    let name = match file {
        File::Grants => "grants",
        File::Elevations => "elevations",
        File::Exceptions => "exceptions",
        File::RuleSets => "rule_sets",
    };
    let mut part = bundle.pointer_mut(&format!("/properties/{name}")).map(Value::take).unwrap_or_default();
    if let Some(members) = part.as_object_mut() {
        for name in ["$schema", "$defs"] {
            members.insert(name.to_owned(), bundle.get_mut(name).map(Value::take).unwrap_or_default());
        }
        members.insert("title".to_owned(), json!(format!("`{name}.yaml` of an Everycall bundle")));
    }
    part
}
