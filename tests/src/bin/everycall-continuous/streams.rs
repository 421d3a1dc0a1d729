//! Many open streams of all kinds.

use std::net::SocketAddr;
use std::time::{Duration, Instant};

use anyhow::ensure;
use everycall_tests::calls::Calls;
use everycall_tests::client::{OpenStream, RawRequest, WEBSOCKET};

/// How often streams bring an event: what is measured is their end.
pub const EVERY: Duration = Duration::from_millis(500);
/// Calls of gRPC that share a connection.
const SHARED_BY: usize = 4;

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Kind {
    Sse,
    Websocket,
    Grpc,
}

impl Kind {
    pub const ALL: [Self; 3] = [Self::Sse, Self::Websocket, Self::Grpc];

    pub const fn name(self) -> &'static str {
        match self {
            Kind::Sse => "sse",
            Kind::Websocket => "websocket",
            Kind::Grpc => "grpc",
        }
    }

    /// All of them in turn.
    pub fn nth(number: usize) -> Self {
        Self::ALL[number % Self::ALL.len()]
    }
}

/// Streams by their number.
pub struct Streams {
    open: Vec<Open>,
    calls: Calls,
}

enum Open {
    Http(OpenStream),
    /// With its number among the calls.
    Grpc(usize),
}

impl Streams {
    /// Opens one for each of these tokens.
    pub fn open(to: SocketAddr, wanted: &[(Kind, &str)]) -> anyhow::Result<Self> {
        let grpc: Vec<&str> =
            wanted.iter().filter(|(kind, _)| *kind == Kind::Grpc).map(|(_, token)| *token).collect();
        let calls = Calls::start_on(to, &grpc, SHARED_BY, Duration::ZERO);
        let (mut open, mut called) = (Vec::new(), 0);
        for (kind, token) in wanted {
            let (path, more, status): (_, &[(&str, &str)], _) = match kind {
                Kind::Sse => ("/t/events", &[], 200),
                Kind::Websocket => ("/t/socket", &WEBSOCKET, 101),
                Kind::Grpc => {
                    open.push(Open::Grpc(called));
                    called += 1;
                    continue;
                }
            };
            let headers = [("host", "t"), ("authorization", token)].into_iter().chain(more.iter().copied());
            let headers = headers.map(|(name, value)| (name.to_owned(), value.as_bytes().to_vec())).collect();
            let request = RawRequest { method: "GET".into(), path: path.into(), headers, body: Vec::new() };
            let stream = OpenStream::open(to, &request)?;
            ensure!(stream.status == status, "a stream ({}) came to {}", kind.name(), stream.status);
            open.push(Open::Http(stream));
        }
        calls.wait(|calls| calls.messages.lock().unwrap().len() == grpc.len());
        Ok(Self { open, calls })
    }

    /// When a stream ended, if it did.
    pub fn ended(&self, number: usize) -> Option<Instant> {
        match &self.open[number] {
            Open::Http(stream) => stream.ended(),
            Open::Grpc(call) => self.calls.ended.lock().unwrap().get(call).map(|(at, _)| *at),
        }
    }

    /// Waits until these have ended, at most until then.
    pub fn wait(&self, numbers: &[usize], until: Instant) {
        while Instant::now() < until && !numbers.iter().all(|number| self.ended(*number).is_some()) {
            std::thread::sleep(Duration::from_millis(20));
        }
    }

    /// Ends those that are open.
    pub fn close(self) {
        for open in self.open {
            if let Open::Http(stream) = open {
                stream.close();
            }
        }
    }
}
