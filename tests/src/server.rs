//! An HTTP/1.1 server on a free loopback port that remembers what it got, byte by byte, and answers
//! what it is told to: the upstream that nothing refused may reach, and decision points that fail.

use std::io::{BufRead, BufReader, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::{Arc, Mutex};
use std::time::Duration;

/// A request as it came.
#[derive(Debug, Clone, Default)]
pub struct Received {
    /// The method.
    pub method: String,
    /// The request target.
    pub path: String,
    /// Headers in order; names in lower case.
    pub headers: Vec<(String, Vec<u8>)>,
    /// The body.
    pub body: Vec<u8>,
}

impl Received {
    /// All values of one header.
    pub fn all(&self, name: &str) -> Vec<&[u8]> {
        self.headers.iter().filter(|(other, _)| other == name).map(|(_, value)| value.as_slice()).collect()
    }
}

/// What to do with a request.
#[derive(Debug, Clone)]
pub enum Answer {
    /// Answer with this status and body.
    Http(u16, Vec<u8>),
    /// Answer with this status, headers and body.
    Full(u16, Vec<(String, String)>, Vec<u8>),
    /// Answer with an event every 50 ms until the client is gone.
    Events,
    /// The same with so much time between them.
    EventsEvery(Duration),
    /// Switch to another protocol: send back what comes.
    Echo,
    /// Close the connection without an answer.
    Close,
    /// Answer nothing for so long, then close.
    Silence(Duration),
}

type Handler = dyn Fn(&Received) -> Answer + Send + Sync;

/// A running server. Its threads end with the process.
#[derive(Clone)]
pub struct Server {
    address: SocketAddr,
    received: Arc<Mutex<Vec<Received>>>,
}

impl Server {
    /// Starts a server that answers what `handler` says.
    ///
    /// # Errors
    /// No port is free.
    pub fn start(handler: impl Fn(&Received) -> Answer + Send + Sync + 'static) -> anyhow::Result<Self> {
        let listener = TcpListener::bind("127.0.0.1:0")?;
        let server = Self { address: listener.local_addr()?, received: Arc::default() };
        let (received, handler): (_, Arc<Handler>) = (Arc::clone(&server.received), Arc::new(handler));
        std::thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let (received, handler) = (Arc::clone(&received), Arc::clone(&handler));
                std::thread::spawn(move || serve(stream, &received, &*handler));
            }
        });
        Ok(server)
    }

    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Everything that came since the last call.
    pub fn take(&self) -> Vec<Received> {
        std::mem::take(&mut *self.received.lock().unwrap())
    }
}

fn serve(stream: TcpStream, received: &Mutex<Vec<Received>>, handler: &Handler) {
    let Ok(mut writer) = stream.try_clone() else { return };
    let mut reader = BufReader::new(stream);
    while let Some(request) = read(&mut reader) {
        let answer = handler(&request);
        received.lock().unwrap().push(request);
        let answer = match answer {
            Answer::Http(status, body) => Answer::Full(status, Vec::new(), body),
            Answer::Events => Answer::EventsEvery(Duration::from_millis(50)),
            other => other,
        };
        match answer {
            Answer::Http(..) | Answer::Events => return,
            Answer::Full(status, headers, body) => {
                let headers: String =
                    headers.iter().map(|(name, value)| format!("{name}: {value}\r\n")).collect();
                let length = body.len();
                let head = format!("HTTP/1.1 {status} Status\r\n{headers}content-length: {length}\r\n\r\n");
                // In one piece: the second one would wait for the peer's delayed ACK.
                if writer.write_all(&[head.as_bytes(), &body].concat()).is_err() {
                    return;
                }
            }
            Answer::EventsEvery(time) => {
                const HEAD: &[u8] =
                    b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ntransfer-encoding: chunked\r\n\r\n";
                let mut next = writer.write_all(HEAD);
                while next.is_ok() {
                    next = writer.write_all(b"9\r\ndata: a\n\n\r\n");
                    std::thread::sleep(time);
                }
                return;
            }
            Answer::Echo => {
                const HEAD: &[u8] =
                    b"HTTP/1.1 101 Switching Protocols\r\nconnection: upgrade\r\nupgrade: websocket\r\n\r\n";
                // However it ends, it is over.
                let _ = writer.write_all(HEAD).and_then(|()| std::io::copy(&mut reader, &mut writer));
                return;
            }
            Answer::Close => return,
            Answer::Silence(time) => {
                std::thread::sleep(time);
                return;
            }
        }
    }
}

fn read(reader: &mut impl BufRead) -> Option<Received> {
    let mut line = Vec::new();
    let mut request = Received::default();
    reader.read_until(b'\n', &mut line).ok().filter(|size| *size > 0)?;
    let first = String::from_utf8_lossy(&line).into_owned();
    let mut words = first.split_whitespace();
    request.method = words.next()?.to_owned();
    request.path = words.next()?.to_owned();
    let mut length = 0usize;
    loop {
        line.clear();
        reader.read_until(b'\n', &mut line).ok().filter(|size| *size > 0)?;
        let trimmed = line.strip_suffix(b"\r\n").unwrap_or(&line);
        if trimmed.is_empty() {
            break;
        }
        let colon = trimmed.iter().position(|b| *b == b':')?;
        let name = String::from_utf8_lossy(&trimmed[..colon]).to_ascii_lowercase();
        let value = trimmed[colon + 1..].trim_ascii().to_vec();
        if name == "content-length" {
            length = String::from_utf8_lossy(&value).parse().ok()?;
        }
        request.headers.push((name, value));
    }
    request.body = vec![0; length];
    reader.read_exact(&mut request.body).ok()?;
    Some(request)
}
