//! Clients that hold and multiply: header lines that a few bytes stand for, requests byte by byte, streams that stay
//! open, and clients that are gone before they are answered.

use std::io::{Read as _, Write as _};
use std::net::{SocketAddr, TcpStream};
use std::time::{Duration, Instant};

use anyhow::{bail, ensure};
use everycall_tests::client::{OpenStream, RawRequest};
use everycall_tests::h2::{Event, Field, H2};

use crate::callers::Flaw;
use crate::clients::Kind;
use crate::proxy::Servers;
use crate::run::Run;

/// Between two floods.
const FLOODS: Duration = Duration::from_secs(12);
/// Streams of one: 13 times 4,000 bytes of header lines each, in 13 bytes.
const FLOOD: usize = 60;
/// Those of them whose policy reads the header. Their records hold the beginning of it only, so that nobody can
/// decide them again: they are few, and as many as are sent.
const READ: usize = 3;

/// How many requests were flooded with, and how many of them had their header read.
pub fn flood(inbounds: &[SocketAddr], run: &Run) -> anyhow::Result<(u64, u64)> {
    let (mut sent, mut read) = (0, 0);
    // An entry takes 32 bytes besides (RFC 7541 section 4.1), and the table has 4,096.
    let origin = vec![b'o'; 4_000];
    while run.sleep(FLOODS) {
        for to in inbounds {
            let mut client = H2::connect(*to)?;
            client.request(&fields(b"/flood/flood-0", &[Field::Remembered("origin", &origin)]), true)?;
            client.requests((1..FLOOD).map(|_| fields(b"/flood/flood-1", &[Field::Known(0); 13])))?;
            client.requests((0..READ).map(|_| fields(b"/read/read-1", &[Field::Known(0); 13])))?;
            let mut statuses = 0;
            while statuses < FLOOD + READ {
                match client.event(Duration::from_secs(30))? {
                    Some(Event::Status(_, 204)) => statuses += 1,
                    Some(Event::End(_)) => {}
                    other => bail!("a flood came to {other:?} after {statuses} answers"),
                }
            }
            sent += FLOOD as u64;
            read += READ as u64;
        }
    }
    Ok((sent, read))
}

fn fields<'f>(path: &'f [u8], more: &[Field<'f>]) -> Vec<Field<'f>> {
    let plain = [(":method", &b"GET"[..]), (":scheme", b"http"), (":authority", b"h"), (":path", path)];
    plain.map(|(name, value)| Field::Plain(name, value)).into_iter().chain(more.iter().copied()).collect()
}

/// Sends requests byte by byte, and some of them never to their end; how many were whole.
pub fn slow(inbounds: &[SocketAddr], run: &Run) -> anyhow::Result<u64> {
    let mut whole = 0;
    for (number, to) in inbounds.iter().cycle().enumerate() {
        let (request, is_whole) = match number / 2 % 3 {
            0 => (format!("GET /page/slow-{number} HTTP/1.1\r\nhost: h\r\n\r\n"), true),
            // Headers that stop in the middle.
            1 => (format!("GET /page/slow-{number} HTTP/1.1\r\nhost: h\r\nx-more: "), false),
            // A body that comes in drops.
            _ => (
                format!(
                    "POST /upload/upload-{number} HTTP/1.1\r\nhost: h\r\ncontent-length: 64\r\n\r\n{}",
                    "b".repeat(64)
                ),
                true,
            ),
        };
        let mut stream = TcpStream::connect(to)?;
        stream.set_nodelay(true)?;
        stream.set_read_timeout(Some(Duration::from_secs(20)))?;
        for byte in request.as_bytes() {
            stream.write_all(&[*byte])?;
            std::thread::sleep(Duration::from_millis(15));
        }
        if is_whole {
            let mut head = [0; 12];
            stream.read_exact(&mut head)?;
            ensure!(head == *b"HTTP/1.1 200", "a slow request came to {}", String::from_utf8_lossy(&head));
            whole += 1;
        }
        if run.is_over() {
            break;
        }
    }
    Ok(whole)
}

/// Sends requests and is gone before the answer: while a decision point is asked, and while the upstream is silent.
/// How many were sent.
pub fn leave(servers: &Servers, inbounds: &[SocketAddr], run: &Run) -> anyhow::Result<u64> {
    let mut sent = 0;
    while run.sleep(Duration::from_millis(500)) {
        let to = inbounds[usize::try_from(sent)? % inbounds.len()];
        let mut stream = TcpStream::connect(to)?;
        let token = servers.issuer.token("left", "left", Flaw::None)?;
        // The first kind may be gone before there is a decision.
        let (path, wait) = match sent / 2 % 2 {
            0 => (format!("/asked/left-{sent}"), 10),
            _ => (format!("/page/left-{sent}-late"), 300),
        };
        write!(stream, "GET {path} HTTP/1.1\r\nhost: h\r\nauthorization: Bearer {token}\r\n\r\n")?;
        std::thread::sleep(Duration::from_millis(wait));
        sent += 1;
    }
    Ok(sent)
}

/// What became of open streams.
#[derive(Debug, Default)]
pub struct Streams {
    /// Their task ended.
    pub to_be_cut: u64,
    pub missed: u64,
    /// Their task did not end.
    pub to_stay: u64,
    pub cut_wrongly: u64,
    /// The client left.
    pub left: u64,
}

/// What is not cut by then is missed: `make bench-continuous` measures how soon it is, and here the server of
/// revocations fails for some seconds now and then.
const MISSED: Duration = Duration::from_secs(8);
/// Streams of each task.
const EACH: usize = 4;

/// Opens streams and ends the tasks of some, until the run is over.
pub fn stream(servers: &Servers, inbounds: &[SocketAddr], run: &Run) -> anyhow::Result<Streams> {
    let mut seen = Streams::default();
    let mut number = 0;
    let mut open = |task: &str| -> anyhow::Result<Vec<OpenStream>> {
        let token = servers.issuer.token("stream", task, Flaw::None)?;
        let mut streams = Vec::new();
        for each in 0..EACH {
            number += 1;
            let path = format!("/events/{}-{number}", Kind::Event.name()).into_bytes();
            let headers = [("host", "h".to_owned()), ("authorization", format!("Bearer {token}"))];
            let headers = headers.map(|(name, value)| (name.to_owned(), value.into_bytes())).to_vec();
            let request = RawRequest { method: "GET".into(), path, headers, body: Vec::new() };
            let stream = OpenStream::open(inbounds[each % inbounds.len()], &request)?;
            ensure!(stream.status == 200, "a stream came to {}", stream.status);
            streams.push(stream);
        }
        Ok(streams)
    };
    let mut round = 0;
    while run.sleep(Duration::from_millis(500)) {
        round += 1;
        let task = format!("stream-{round}");
        let targets = open(&task)?;
        let stay = open(&format!("{task}-stays"))?;
        let leave = open(&format!("{task}-leaves"))?;
        run.sleep(Duration::from_secs(2));
        leave.into_iter().for_each(OpenStream::close);
        seen.left += EACH as u64;
        servers.tasks.end(&task);
        let deadline = Instant::now() + MISSED;
        for stream in &targets {
            seen.to_be_cut += 1;
            let ended = stream.wait(deadline.saturating_duration_since(Instant::now()));
            seen.missed += u64::from(ended.is_none());
        }
        // Who is cut wrongly may be cut later.
        run.sleep(Duration::from_millis(500));
        for stream in stay {
            seen.to_stay += 1;
            seen.cut_wrongly += u64::from(stream.ended().is_some());
            stream.close();
        }
        targets.into_iter().for_each(OpenStream::close);
    }
    Ok(seen)
}
