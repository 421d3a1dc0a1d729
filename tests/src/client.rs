//! An HTTP/1.1 client that sends exactly the bytes it is given: well-behaved libraries refuse to
//! send most of what the tests are about.

use std::io::{Read, Write};
use std::net::{IpAddr, SocketAddr, TcpStream};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use anyhow::{bail, Context};

/// A request, byte by byte.
#[derive(Debug, Clone, Default)]
pub struct RawRequest {
    /// The method.
    pub method: String,
    /// The request target.
    pub path: Vec<u8>,
    /// Headers in order, `host` included.
    pub headers: Vec<(String, Vec<u8>)>,
    /// The body; its `content-length` is added.
    pub body: Vec<u8>,
}

/// A response.
#[derive(Debug, Clone, Default)]
pub struct Response {
    /// The status.
    pub status: u16,
    /// Headers in order; names in lower case.
    pub headers: Vec<(String, String)>,
    /// The body, without chunk framing.
    pub body: Vec<u8>,
}

impl Response {
    /// The value of the first header of this name.
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(other, _)| other == name).map(|(_, value)| value.as_str())
    }
}

/// Sends one request from a chosen source address on a new connection.
///
/// # Errors
/// The connection failed, or no whole response came within `timeout`.
pub fn send(
    to: SocketAddr,
    from: IpAddr,
    request: &RawRequest,
    timeout: Duration,
) -> anyhow::Result<Response> {
    let socket = socket2::Socket::new(socket2::Domain::IPV4, socket2::Type::STREAM, None)?;
    socket.bind(&SocketAddr::new(from, 0).into()).with_context(|| format!("bind to {from}"))?;
    socket.connect_timeout(&to.into(), timeout).with_context(|| format!("connect to {to}"))?;
    let mut stream: TcpStream = socket.into();
    stream.set_read_timeout(Some(timeout))?;
    let mut head = format!("{} ", request.method).into_bytes();
    head.extend(&request.path);
    head.extend(b" HTTP/1.1\r\n");
    for (name, value) in &request.headers {
        head.extend(name.as_bytes());
        head.extend(b": ");
        head.extend(value);
        head.extend(b"\r\n");
    }
    if !request.body.is_empty() {
        head.extend(format!("content-length: {}\r\n", request.body.len()).as_bytes());
    }
    // Without `connection: close`: what a busy worker has not written before `delayed_close_timeout` is dropped.
    head.extend(b"\r\n");
    head.extend(&request.body);
    // The server may answer and close before it has read everything.
    let _ = stream.write_all(&head);
    let mut bytes = Vec::new();
    let mut buffer = [0; 16 * 1024];
    // The end of the response is what its head says, not the end of the connection.
    while !is_whole(&bytes, request.method == "HEAD") {
        match stream.read(&mut buffer) {
            Ok(0) => break,
            Ok(size) => bytes.extend(&buffer[..size]),
            Err(_) if !bytes.is_empty() => break,
            Err(error) => return Err(error).context("no response"),
        }
    }
    parse(&bytes)
}

fn is_whole(bytes: &[u8], to_head: bool) -> bool {
    let Ok(response) = parse(bytes) else { return false };
    if to_head {
        return true;
    }
    let framed = bytes.len() - bytes.windows(4).position(|window| window == b"\r\n\r\n").unwrap_or(0) - 4;
    match (response.header("content-length"), response.header("transfer-encoding")) {
        (Some(length), _) => length.parse().is_ok_and(|length: usize| framed >= length),
        (None, Some("chunked")) => bytes.ends_with(b"0\r\n\r\n"),
        (None, _) => matches!(response.status, 204 | 304),
    }
}

fn parse(bytes: &[u8]) -> anyhow::Result<Response> {
    let Some(end) = bytes.windows(4).position(|window| window == b"\r\n\r\n") else {
        bail!("no whole response head in {} bytes", bytes.len());
    };
    let head = String::from_utf8_lossy(&bytes[..end]).into_owned();
    let mut lines = head.split("\r\n");
    let status = lines.next().and_then(|line| line.split(' ').nth(1)).context("no status line")?.parse()?;
    let headers: Vec<(String, String)> = lines
        .filter_map(|line| line.split_once(':'))
        .map(|(name, value)| (name.to_ascii_lowercase(), value.trim().to_owned()))
        .collect();
    let mut response = Response { status, headers, body: bytes[end + 4..].to_vec() };
    if response.header("transfer-encoding") == Some("chunked") {
        response.body = unchunk(&response.body);
    }
    Ok(response)
}

fn unchunk(mut rest: &[u8]) -> Vec<u8> {
    let mut body = Vec::new();
    while let Some(end) = rest.windows(2).position(|window| window == b"\r\n") {
        let size = usize::from_str_radix(&String::from_utf8_lossy(&rest[..end]), 16).unwrap_or(0);
        let start = end + 2;
        if size == 0 || rest.len() < start + size {
            break;
        }
        body.extend(&rest[start..start + size]);
        rest = rest.get(start + size + 2..).unwrap_or_default();
    }
    body
}

/// The headers that ask for a WebSocket.
pub const WEBSOCKET: [(&str, &str); 4] = [
    ("connection", "upgrade"),
    ("upgrade", "websocket"),
    ("sec-websocket-version", "13"),
    ("sec-websocket-key", "dGhlIHNhbXBsZSBub25jZQ=="),
];

/// A response that goes on, read on a thread of its own.
pub struct OpenStream {
    /// The status.
    pub status: u16,
    stream: TcpStream,
    seen: Arc<Mutex<Seen>>,
}

#[derive(Default)]
struct Seen {
    bytes: usize,
    last: Option<Instant>,
    ended: Option<Instant>,
}

impl OpenStream {
    /// Sends a request with exactly these headers and reads the head of its response.
    ///
    /// # Errors
    /// No head came within ten seconds.
    pub fn open(to: SocketAddr, request: &RawRequest) -> anyhow::Result<Self> {
        let mut stream = TcpStream::connect(to)?;
        stream.set_read_timeout(Some(Duration::from_secs(10)))?;
        let mut head = format!("{} ", request.method).into_bytes();
        head.extend(&request.path);
        head.extend(b" HTTP/1.1\r\n");
        for (name, value) in &request.headers {
            head.extend([name.as_bytes(), b": ", value, b"\r\n"].concat());
        }
        stream.write_all(&[&*head, b"\r\n"].concat())?;
        let mut bytes = Vec::new();
        let mut buffer = [0; 4096];
        let response = loop {
            let size = stream.read(&mut buffer).context("no response")?;
            bytes.extend(&buffer[..size]);
            match parse(&bytes) {
                Err(_) if size > 0 => {}
                parsed => break parsed?,
            }
        };
        stream.set_read_timeout(None)?;
        let seen: Arc<Mutex<Seen>> = Arc::default();
        let (mut reader, for_reader) = (stream.try_clone()?, Arc::clone(&seen));
        std::thread::spawn(move || {
            while let Ok(size @ 1..) = reader.read(&mut buffer) {
                let mut seen = for_reader.lock().unwrap();
                (seen.bytes, seen.last) = (seen.bytes + size, Some(Instant::now()));
            }
            for_reader.lock().unwrap().ended = Some(Instant::now());
        });
        Ok(Self { status: response.status, stream, seen })
    }

    /// Bytes of the response so far, without its head.
    pub fn bytes(&self) -> usize {
        self.seen.lock().unwrap().bytes
    }

    /// When the last of them came.
    pub fn last(&self) -> Option<Instant> {
        self.seen.lock().unwrap().last
    }

    /// When the server ended the connection, if it did.
    pub fn ended(&self) -> Option<Instant> {
        self.seen.lock().unwrap().ended
    }

    /// Waits for the end; `None` if there was none in this time.
    pub fn wait(&self, time: Duration) -> Option<Instant> {
        let deadline = Instant::now() + time;
        while self.ended().is_none() && Instant::now() < deadline {
            std::thread::sleep(Duration::from_millis(2));
        }
        self.ended()
    }

    /// Sends more.
    ///
    /// # Errors
    /// The connection has ended.
    pub fn send(&mut self, bytes: &[u8]) -> std::io::Result<()> {
        self.stream.write_all(bytes)
    }

    /// Ends the connection.
    pub fn close(self) {
        // Gone already is as good.
        let _ = self.stream.shutdown(std::net::Shutdown::Both);
    }
}
