//! `everycall devserver`: the reference server for demos and tests, with the test keys.

use std::io::Write;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;

use super::{ConfigArg, Configuration, Outcome};
use crate::devserver::{serve, signalled, with_test_keys, Options, TestKeys};
use anyhow::Context as _;

/// Run the reference server for demos and tests: issuer, PDP, log sink, upstream. NOT FOR PRODUCTION
#[derive(clap::Args)]
#[command(
    after_help = "Example:\n  everycall devserver --config policies/everycall.yaml --listen 127.0.0.1:8081\n  \
    curl http://127.0.0.1:8081/\n\n\
    NOT FOR PRODUCTION: it gives tokens to whoever asks. When it is ready it prints one JSON line,\n\
    {\"address\":\"127.0.0.1:8081\",\"ready\":true}. SIGTERM or SIGINT stops it."
)]
pub(super) struct Args {
    #[command(flatten)]
    config: ConfigArg,
    /// Where to listen; port 0 takes a free one
    #[arg(long, value_name = "ADDRESS", default_value = "127.0.0.1:0")]
    listen: SocketAddr,
    /// Also run an echo upstream here that remembers what arrives
    #[arg(long, value_name = "ADDRESS")]
    upstream: Option<SocketAddr>,
    /// The directory with the PDP's Rego, package `pdp`; without it the PDP says no to everything
    #[arg(long, value_name = "DIR")]
    policies: Option<PathBuf>,
    /// Give out this bundle file at `/bundle`; read anew at each request
    #[arg(long, value_name = "FILE")]
    bundle: Option<PathBuf>,
    /// Append received decision records to this file
    #[arg(long, value_name = "FILE")]
    log: Option<PathBuf>,
}

pub(super) fn run(args: Args, out: &mut dyn Write) -> anyhow::Result<Outcome> {
    let Args { config, listen, upstream, policies, bundle, log } = args;
    let configuration = Configuration::read(&config.config)?;
    let config = with_test_keys(configuration.document)?;
    let signer = Arc::new(TestKeys::of(&config)?);
    let options = Options { listen, upstream, config, signer, policies, bundle, log };
    let runtime = tokio::runtime::Runtime::new().context("cannot start the runtime")?;
    runtime.block_on(async {
        serve(options, signalled()?, |ready| {
            // Whoever waits for the line has left if it can't be written; the server can go on.
            let _ = writeln!(out, "{ready}").and_then(|()| out.flush());
        })
        .await
    })?;
    Ok(Outcome::Good)
}
