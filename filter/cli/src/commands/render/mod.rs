//! `everycall render`: the configuration in the form that its reader takes.

mod address;
mod envoy;
mod istio;
mod source;
mod yaml;

use std::fmt::Write as _;
use std::io::Write;

use serde_json::Value;

pub use address::{ClusterAddress, HostPort};
pub use envoy::{bootstrap, Bootstrap};

use super::{ConfigArg, Configuration, Outcome};

/// Render a configuration for the filter, for Envoy or for Istio
#[derive(clap::Args)]
pub(super) struct Args {
    #[command(subcommand)]
    command: Command,
}

#[derive(clap::Subcommand)]
enum Command {
    Config(ConfigArgs),
    Envoy(envoy::Args),
    Istio(istio::Args),
}

/// Print the self-contained document that the filter takes
#[derive(clap::Args)]
#[command(
    after_help = "Example:\n  everycall render config --config policies/everycall.yaml > everycall.json"
)]
struct ConfigArgs {
    #[command(flatten)]
    config: ConfigArg,
}

pub(super) fn run(args: &Args, out: &mut dyn Write) -> anyhow::Result<Outcome> {
    let config = match &args.command {
        Command::Config(args) => &args.config,
        Command::Envoy(args) => &args.config,
        Command::Istio(args) => &args.config,
    };
    // Only what the filter would take is rendered.
    let configuration = Configuration::read(&config.config)?;
    configuration.warn_of_test_keys();
    let document = &configuration.document;
    let text = match &args.command {
        Command::Config(_) => ascii_json(document)?,
        Command::Envoy(args) => bootstrap(&args.bootstrap, document)?,
        Command::Istio(args) => istio::render(args, document)?,
    };
    writeln!(out, "{}", text.trim_end())?;
    Ok(Outcome::Good)
}

/// Indented JSON in ASCII: YAML takes some other characters for line ends.
fn ascii_json(document: &Value) -> anyhow::Result<String> {
    let text = serde_json::to_string_pretty(document)?;
    let mut ascii = String::with_capacity(text.len());
    for c in text.chars() {
        if c.is_ascii() && c != '\u{7f}' {
            ascii.push(c);
            continue;
        }
        // Outside of strings JSON is ASCII, so this is inside one.
        for unit in c.encode_utf16(&mut [0; 2]) {
            write!(ascii, "\\u{unit:04x}")?;
        }
    }
    Ok(ascii)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ascii_json_is_the_same_document() {
        let document = serde_json::json!({"a\u{2028}": "\u{7f}\u{85}é\u{1f600}\n\"\\"});
        let text = ascii_json(&document).unwrap();
        assert!(text.bytes().all(|byte| matches!(byte, b'\n' | 0x20..=0x7e)), "{text}");
        assert_eq!(serde_json::from_str::<Value>(&text).unwrap(), document);
    }
}
