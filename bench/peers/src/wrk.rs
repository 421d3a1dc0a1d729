//! As many requests as get through, by wrk: one thread, 16 connections that are kept.

use std::fs;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use anyhow::{ensure, Context};

pub const CONNECTIONS: usize = 16;

/// wrk, with its script in a file.
pub struct Wrk {
    script: PathBuf,
}

impl Wrk {
    /// # Errors
    /// It is not installed.
    pub fn new(directory: &Path) -> anyhow::Result<Self> {
        // With `-v` it says what it is, and ends with 1.
        Command::new("wrk").arg("-v").output().context("wrk is missing: run `make bench-peers`")?;
        let script = directory.join("wrk.lua");
        fs::write(&script, include_str!("wrk.lua"))?;
        Ok(Self { script })
    }

    /// Requests per second, of those in this file from the one with this number on.
    pub fn run(&self, to: SocketAddr, requests: &Path, from: u64, time: Duration) -> anyhow::Result<f64> {
        let output = Command::new("wrk")
            .args(["--threads", "1", "--connections", &CONNECTIONS.to_string()])
            .args(["--duration", &format!("{}s", time.as_secs().max(1)), "--script"])
            .arg(&self.script)
            .arg(format!("http://{to}/"))
            .arg("--")
            .arg(requests)
            .arg(from.to_string())
            .output()?;
        let text = String::from_utf8_lossy(&output.stdout);
        ensure!(output.status.success(), "wrk: {text}{}", String::from_utf8_lossy(&output.stderr));
        per_second(&text)
    }
}

/// What wrk says at its end: requests per second, if all were answered with a yes.
fn per_second(text: &str) -> anyhow::Result<f64> {
    for trouble in ["Non-2xx or 3xx responses:", "Socket errors:"] {
        if let Some(line) = text.lines().find(|line| line.trim_start().starts_with(trouble)) {
            anyhow::bail!("wrk: {}", line.trim());
        }
    }
    let line = text.lines().find_map(|line| line.trim().strip_prefix("Requests/sec:"));
    let rate: f64 = line.with_context(|| format!("wrk said: {text}"))?.trim().parse()?;
    ensure!(rate > 0.0, "wrk: no request was answered");
    Ok(rate)
}

#[cfg(test)]
mod tests {
    use super::*;

    const WHOLE: &str = "Running 3s test @ http://127.0.0.1:10000/\n  1 threads and 16 connections\n  \
        Thread Stats   Avg      Stdev     Max   +/- Stdev\n    Latency     0.91ms  401.77us  11.05ms   79.30%\n    \
        Req/Sec    17.68k     1.44k   19.77k    73.33%\n  52779 requests in 3.00s, 8.05MB read\n\
        Requests/sec:  17587.43\nTransfer/sec:      2.68MB\n";

    #[test]
    fn the_rate_is_read() {
        assert_eq!(per_second(WHOLE).unwrap(), 17_587.43);
    }

    #[test]
    fn requests_that_were_refused_or_lost_are_an_error() {
        for line in
            ["  Non-2xx or 3xx responses: 3\n", "  Socket errors: connect 0, read 1, write 0, timeout 0\n"]
        {
            let text = WHOLE.replace("Requests/sec", &format!("{line}Requests/sec"));
            let error = per_second(&text).unwrap_err().to_string();
            assert!(error.contains(line.trim()), "{error}");
        }
        for text in ["", "unable to connect to 127.0.0.1:1 Connection refused\n", "Requests/sec:      0.00\n"]
        {
            assert!(per_second(text).is_err(), "{text}");
        }
    }
}
