//! What the figures were taken on.

use std::fs;
use std::path::Path;
use std::process::Command;

use anyhow::Context;
use everycall_tests::envoy;
use serde_json::{json, Value};
use sha2::{Digest as _, Sha256};

/// Machine, Envoy, wrk and the module.
pub fn machine(module: &Path) -> anyhow::Result<Value> {
    let bytes = fs::read(module)?;
    let digest: String = Sha256::digest(&bytes).iter().map(|byte| format!("{byte:02x}")).collect();
    let read = |path: &str| fs::read_to_string(path).unwrap_or_default();
    let load = read("/proc/loadavg");
    Ok(json!({
        "cpu": cpu_model(&read("/proc/cpuinfo")),
        "cores": std::thread::available_parallelism()?.get(),
        "kernel": read("/proc/sys/kernel/osrelease").trim(),
        "load": load.split(' ').next(),
        "envoy": envoy_version(&said(Command::new(envoy::binary()?).arg("--version"))?),
        "wrk": wrk_version(&said(Command::new("wrk").arg("-v"))?),
        "module_sha256": digest,
        "module_bytes": bytes.len(),
    }))
}

fn said(command: &mut Command) -> anyhow::Result<String> {
    let output = command.output().with_context(|| format!("{command:?}"))?;
    Ok(String::from_utf8_lossy(&[output.stdout, output.stderr].concat()).into_owned())
}

fn cpu_model(cpuinfo: &str) -> &str {
    let line = cpuinfo.lines().find(|line| line.starts_with("model name"));
    line.and_then(|line| line.split_once(':')).map_or("unknown", |(_, model)| model.trim())
}

/// Of `PATH  version: HASH/1.40.0/Clean/RELEASE/BoringSSL`.
fn envoy_version(text: &str) -> &str {
    let version = text.split_once("version: ").map_or("", |(_, version)| version);
    version.split('/').nth(1).unwrap_or("unknown")
}

/// Of `wrk 4.2.0 [epoll] Copyright …`, in which Debian puts a slash.
fn wrk_version(text: &str) -> &str {
    let name = text.trim_start().trim_start_matches("wrk ");
    name.split(' ').next().unwrap_or("unknown").trim_start_matches("debian/")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions_and_models_are_read() {
        assert_eq!(cpu_model("processor\t: 0\nmodel name\t: AMD EPYC\nmodel name\t: B\n"), "AMD EPYC");
        assert_eq!(cpu_model(""), "unknown");
        let text = "\n/some/where/envoy  version: 123abc/1.40.0/Clean/RELEASE/BoringSSL\n";
        assert_eq!(envoy_version(text), "1.40.0");
        assert_eq!(envoy_version("what/ever"), "unknown");
        assert_eq!(wrk_version("wrk debian/4.1.0-3+b2 [epoll] Copyright (C)\nUsage: wrk\n"), "4.1.0-3+b2");
        assert_eq!(wrk_version("wrk 4.2.0 [epoll] Copyright (C)\n"), "4.2.0");
    }
}
