//! `everycall init`: a first configuration, a grant, a rule set and its cases, to be changed.

use std::io::Write;
use std::path::PathBuf;

use anyhow::Context as _;

use super::schema::{self, File, What};
use super::Outcome;
use crate::mint::TestKey;

const FILES: &[(&str, &str)] = &[
    ("everycall.yaml", include_str!("init/everycall.yaml")),
    ("grants.yaml", include_str!("init/grants.yaml")),
    ("data.yaml", include_str!("init/data.yaml")),
    ("orders.rego", include_str!("init/orders.rego")),
    ("cases/orders.json", include_str!("init/cases/orders.json")),
];
const KEYS: &str = "keys/test-only-es256.jwks.json";
/// What the first lines of the files name, for editors.
const SCHEMAS: [(&str, What, Option<File>); 3] = [
    ("schemas/config.json", What::Config, None),
    ("schemas/grants.json", What::Bundle, Some(File::Grants)),
    ("schemas/cases.json", What::Cases, None),
];

/// Write a first configuration, one grant, one rule set and its cases, to be changed
#[derive(clap::Args)]
#[command(after_help = "Example:\n  everycall init policies\n\n\
    Nothing is overwritten: if one of the files is there, none is written. Editors complete and check the files\n\
    by the JSON Schemas in DIR/schemas; after an update: everycall schema config > policies/schemas/config.json,\n\
    and so on.")]
pub(super) struct Args {
    /// Where to write them; made if it is not there
    #[arg(default_value = "policies", value_name = "DIR")]
    directory: PathBuf,
}

pub(super) fn run(args: &Args, out: &mut dyn Write) -> anyhow::Result<Outcome> {
    let mut made = vec![(KEYS, serde_json::to_string_pretty(&TestKey::es256()?.public_jwks())? + "\n")];
    for (name, what, file) in SCHEMAS {
        made.push((name, schema::text(what, file)?));
    }
    let made = made.iter().map(|(name, text)| (*name, text.as_str()));
    let files: Vec<(PathBuf, &str)> =
        FILES.iter().copied().chain(made).map(|(name, text)| (args.directory.join(name), text)).collect();
    if let Some((path, _)) = files.iter().find(|(path, _)| path.symlink_metadata().is_ok()) {
        anyhow::bail!("`{}` is there already: nothing was written", path.display());
    }
    for (path, text) in &files {
        let failed = || format!("`{}` cannot be written", path.display());
        if let Some(directory) = path.parent() {
            std::fs::create_dir_all(directory).with_context(failed)?;
        }
        let mut file = std::fs::File::create_new(path).with_context(failed)?;
        file.write_all(text.as_bytes()).with_context(failed)?;
        writeln!(out, "wrote {}", path.display())?;
    }
    let directory = args.directory.display();
    writeln!(out, "\nNext:")?;
    for (command, what) in [
        (format!("everycall check {directory}/everycall.yaml"), "is it valid, and what looks odd"),
        (
            format!("everycall test {directory} --coverage-min 100 --mutate"),
            "do the rules do what the cases say",
        ),
        (format!("everycall render envoy --config {directory}/everycall.yaml"), "a bootstrap for Envoy"),
    ] {
        writeln!(out, "  {command}   # {what}")?;
    }
    writeln!(out, "\nReplace the TEST ONLY key before anything else: its private half is public.")?;
    Ok(Outcome::Good)
}
