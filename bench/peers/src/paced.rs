//! A fixed number of requests each second, whatever becomes of them, on connections that are kept. The
//! time of each counts from when it was due, so that a pause is seen by all that fall into it. The client
//! never sleeps: waking up would take longer than what is measured.

use std::collections::VecDeque;
use std::io::{ErrorKind, Read as _, Write as _};
use std::net::{SocketAddr, TcpStream};
use std::time::{Duration, Instant};

use anyhow::{bail, ensure, Context};
use everycall_tests::worker::{waited_for_processor, WorkerTime};

use crate::wrk::CONNECTIONS;

pub const PER_SECOND: u32 = 1_000;
/// Of the first ones the connections are new.
const NOT_COUNTED: usize = 200;
/// Requests that none is answered of for so long are lost.
const LOST: Duration = Duration::from_secs(10);
/// Where the worker or the client had to wait this long for a processor, something else had it.
const DISTURBED: Duration = Duration::from_micros(100);

/// Microseconds that requests took.
#[derive(Default)]
pub struct Took {
    pub all: Vec<f64>,
    /// Those during which neither the worker nor the client had to wait for a processor.
    pub undisturbed: Vec<f64>,
}

struct Connection {
    stream: TcpStream,
    due: Instant,
    answer: Vec<u8>,
}

/// Sends requests for so long; it is an error if one is not admitted.
pub fn run(
    to: SocketAddr,
    requests: &[Vec<u8>],
    from: u64,
    time: Duration,
    worker: &WorkerTime,
) -> anyhow::Result<Took> {
    let mut idle = VecDeque::new();
    for _ in 0..CONNECTIONS {
        let stream = TcpStream::connect(to)?;
        stream.set_nodelay(true)?;
        stream.set_nonblocking(true)?;
        idle.push_back(Connection { stream, due: Instant::now(), answer: Vec::with_capacity(1024) });
    }
    let mut busy: Vec<Connection> = Vec::with_capacity(CONNECTIONS);
    let interval = Duration::from_secs(1) / PER_SECOND;
    let count = NOT_COUNTED + usize::try_from(time.as_nanos() / interval.as_nanos())?;
    let mut coming = requests.iter().cycle().skip(usize::try_from(from)? % requests.len());
    let waits = || -> anyhow::Result<[Duration; 2]> { Ok([worker.waited()?, waited_for_processor()?]) };
    let (mut took, mut sent) = (Took::default(), 0);
    // Since no request was open.
    let (mut since, mut waited) = (Vec::new(), waits()?);
    let mut due = Instant::now() + interval;
    let mut last = Instant::now();
    while sent < count || !busy.is_empty() {
        if sent < count && Instant::now() >= due {
            // If all are busy it waits, and its time is running.
            if let Some(mut connection) = idle.pop_front() {
                connection.stream.write_all(coming.next().context("no requests")?)?;
                connection.due = due;
                busy.push(connection);
                (sent, due) = (sent + 1, due + interval);
            }
        }
        let mut at = 0;
        while at < busy.len() {
            if busy[at].is_answered()? {
                let connection = busy.swap_remove(at);
                last = Instant::now();
                since.push(last.duration_since(connection.due).as_secs_f64() * 1e6);
                idle.push_back(connection);
            } else {
                at += 1;
            }
        }
        if busy.is_empty() && !since.is_empty() {
            let now = waits()?;
            let most = (0..2).map(|of| now[of].saturating_sub(waited[of])).max().unwrap_or_default();
            waited = now;
            if sent > NOT_COUNTED {
                took.all.extend(&since);
                took.undisturbed.extend(since.iter().filter(|_| most < DISTURBED));
            }
            since.clear();
        }
        ensure!(last.elapsed() < LOST, "{} requests were not answered", busy.len());
    }
    Ok(took)
}

impl Connection {
    fn is_answered(&mut self) -> anyhow::Result<bool> {
        let mut bytes = [0; 4096];
        match self.stream.read(&mut bytes) {
            Ok(0) => bail!("a connection was closed"),
            Ok(read) => self.answer.extend(&bytes[..read]),
            Err(error) if error.kind() == ErrorKind::WouldBlock => return Ok(false),
            Err(error) => return Err(error.into()),
        }
        let Some(whole) = is_whole(&self.answer)? else { return Ok(false) };
        ensure!(whole == self.answer.len(), "an answer has {} bytes, not {whole}", self.answer.len());
        self.answer.clear();
        Ok(true)
    }
}

/// The length of a whole answer at the start of these bytes; anything but a yes is an error.
pub fn is_whole(bytes: &[u8]) -> anyhow::Result<Option<usize>> {
    let Some(end) = bytes.windows(4).position(|window| window == b"\r\n\r\n") else { return Ok(None) };
    let head = String::from_utf8_lossy(&bytes[..end]).to_ascii_lowercase();
    ensure!(head.starts_with("http/1.1 200 "), "a request was not admitted: {head}");
    let length = head.lines().find_map(|line| line.strip_prefix("content-length: "));
    let whole = end + 4 + length.context("an answer without a length")?.trim().parse::<usize>()?;
    Ok((bytes.len() >= whole).then_some(whole))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_answer_is_whole_when_its_body_is() {
        let whole = b"HTTP/1.1 200 OK\r\nContent-Length: 3\r\nx: y\r\n\r\nok\n";
        for cut in 0..whole.len() {
            assert_eq!(is_whole(&whole[..cut]).unwrap(), None, "{cut}");
        }
        assert_eq!(is_whole(whole).unwrap(), Some(whole.len()));
    }

    #[test]
    fn a_refusal_is_an_error() {
        assert!(is_whole(b"HTTP/1.1 403 Forbidden\r\ncontent-length: 0\r\n\r\n").is_err());
    }

    #[test]
    fn a_pause_of_the_server_is_seen_by_all_that_were_due() {
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let to = listener.local_addr().unwrap();
        std::thread::spawn(move || {
            let begun = Instant::now();
            for stream in listener.incoming().flatten() {
                std::thread::spawn(move || {
                    let mut stream = stream;
                    let mut bytes = [0; 1024];
                    while let Ok(1..) = stream.read(&mut bytes) {
                        // Nothing is answered until then.
                        std::thread::sleep(Duration::from_millis(400).saturating_sub(begun.elapsed()));
                        stream.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n").unwrap();
                    }
                });
            }
        });
        let worker = WorkerTime::of_this_thread();
        let request = b"GET / HTTP/1.1\r\n\r\n".to_vec();
        let took = run(to, &[request], 0, Duration::from_millis(300), &worker).unwrap();
        let paused = took.all.iter().filter(|took| **took > 10_000.0).count();
        assert!(paused > 100, "{paused}");
    }
}
