//! `everycall completion`: what a shell needs to complete command lines.

use std::io::Write;

use clap_complete::Shell;

use super::Outcome;

/// Print the script by which a shell completes command lines of `everycall`
#[derive(clap::Args)]
#[command(after_help = "Example:\n  \
    everycall completion bash > ~/.local/share/bash-completion/completions/everycall\n  \
    everycall completion zsh > ~/.zfunc/_everycall      # with ~/.zfunc in `fpath`\n  \
    everycall completion fish > ~/.config/fish/completions/everycall.fish\n\n\
    Write it anew after an update.")]
pub(super) struct Args {
    /// Which shell
    shell: Shell,
}

pub(super) fn run(args: &Args, out: &mut dyn Write) -> anyhow::Result<Outcome> {
    // Not to `out` itself: the generator panics where it can't write, as when a reader has seen enough.
    let mut script = Vec::new();
    clap_complete::generate(args.shell, &mut super::cli(), "everycall", &mut script);
    out.write_all(&script)?;
    Ok(Outcome::Good)
}
