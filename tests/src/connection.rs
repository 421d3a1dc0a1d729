//! A client that asks one request after the other on one connection.

use std::io::{Read as _, Write as _};
use std::net::{SocketAddr, TcpStream};
use std::time::Duration;

use serde_json::Value;

/// Lets this process, and the Envoy that it starts, have as many connections as the system allows it.
///
/// # Errors
/// The system refuses.
pub fn allow_many() -> anyhow::Result<()> {
    let limit = rustix::process::getrlimit(rustix::process::Resource::Nofile);
    let raised = rustix::process::Rlimit { current: limit.maximum, maximum: limit.maximum };
    Ok(rustix::process::setrlimit(rustix::process::Resource::Nofile, raised)?)
}

/// A client that keeps its connection.
pub struct Connection {
    stream: TcpStream,
    buffer: Vec<u8>,
}

impl Connection {
    /// Connects.
    ///
    /// # Panics
    /// Nobody listens there.
    pub fn new(to: SocketAddr) -> Self {
        let stream = TcpStream::connect(to).unwrap();
        stream.set_nodelay(true).unwrap();
        stream.set_read_timeout(Some(Duration::from_secs(10))).unwrap();
        Self { stream, buffer: Vec::new() }
    }

    /// Asks the host `h` for a path: status, and the reason of a refusal.
    pub fn get(&mut self, path: &str) -> Option<(u16, String)> {
        self.get_with(path, "")
    }

    /// The same with more header lines, each with its end; `None` if the connection ended.
    pub fn get_with(&mut self, path: &str, headers: &str) -> Option<(u16, String)> {
        let head = format!("GET {path} HTTP/1.1\r\nhost: h\r\n{headers}\r\n");
        self.stream.write_all(head.as_bytes()).ok()?;
        let mut chunk = [0; 4096];
        loop {
            if let Some((answer, length)) = whole(&self.buffer) {
                self.buffer.drain(..length);
                return Some(answer);
            }
            match self.stream.read(&mut chunk) {
                Ok(0) | Err(_) => return None,
                Ok(read) => self.buffer.extend(&chunk[..read]),
            }
        }
    }
}

fn whole(bytes: &[u8]) -> Option<((u16, String), usize)> {
    let end = bytes.windows(4).position(|window| window == b"\r\n\r\n")? + 4;
    let head = std::str::from_utf8(&bytes[..end]).unwrap().to_ascii_lowercase();
    let length = head
        .lines()
        .find_map(|line| line.strip_prefix("content-length: "))
        .map_or(0, |l| l.trim().parse().unwrap());
    let body = bytes.get(end..end + length)?;
    let reason = serde_json::from_slice::<Value>(body)
        .ok()
        .and_then(|body| body["reason"].as_str().map(str::to_owned));
    let status = head.split(' ').nth(1).unwrap().parse().unwrap();
    Some(((status, reason.unwrap_or_default()), end + length))
}
