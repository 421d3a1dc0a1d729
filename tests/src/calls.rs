//! A client of answers of gRPC that go on.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use tonic::transport::Endpoint;
use tonic::Code;

use crate::grpc::{LoadReportingServiceClient, LoadStatsRequest, Status};

/// Answers of gRPC that go on, each on a task of its own.
pub struct Calls {
    // Its thread ends with it.
    runtime: tokio::runtime::Runtime,
    /// When and how those that are over ended, by their number.
    pub ended: Arc<Mutex<BTreeMap<usize, (Instant, Code)>>>,
    /// How many messages came to each that got one.
    pub messages: Arc<Mutex<BTreeMap<usize, usize>>>,
}

impl Calls {
    /// Calls the host `t` with each of these tokens, each on a connection of its own.
    ///
    /// # Panics
    /// Nobody listens there, or a token is no header value.
    pub fn start<T: AsRef<str>>(address: SocketAddr, tokens: &[T]) -> Self {
        Self::start_on(address, tokens, 1, Duration::ZERO)
    }

    /// The same with so many calls on each connection, one after the other at this distance.
    ///
    /// # Panics
    /// As above.
    pub fn start_on<T: AsRef<str>>(
        address: SocketAddr,
        tokens: &[T],
        shared_by: usize,
        between: Duration,
    ) -> Self {
        let runtime =
            tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
        let calls = Self { runtime, ended: Arc::default(), messages: Arc::default() };
        let endpoint =
            Endpoint::from_shared(format!("http://{address}")).unwrap().origin("http://t".parse().unwrap());
        for (connection, tokens) in tokens.chunks(shared_by).enumerate() {
            let channel = calls.runtime.block_on(endpoint.connect()).unwrap();
            for (index, token) in tokens.iter().enumerate() {
                let index = connection * shared_by + index;
                let (ended, messages) = (Arc::clone(&calls.ended), Arc::clone(&calls.messages));
                let (channel, token) = (channel.clone(), token.as_ref().parse().unwrap());
                let wait = between * u32::try_from(index).unwrap();
                calls.runtime.spawn(async move {
                    tokio::time::sleep(wait).await;
                    let mut client = LoadReportingServiceClient::new(channel);
                    let mut request =
                        tonic::Request::new(futures_util::stream::pending::<LoadStatsRequest>());
                    request.metadata_mut().insert("authorization", token);
                    let status = match client.stream_load_stats(request).await {
                        Err(status) => status,
                        Ok(answer) => {
                            let mut answer = answer.into_inner();
                            loop {
                                match answer.message().await {
                                    Ok(Some(_)) => *messages.lock().unwrap().entry(index).or_default() += 1,
                                    Ok(None) => break Status::ok(""),
                                    Err(status) => break status,
                                }
                            }
                        }
                    };
                    ended.lock().unwrap().insert(index, (Instant::now(), status.code()));
                });
            }
        }
        calls
    }

    /// Waits for something.
    ///
    /// # Panics
    /// It has not come after ten seconds.
    pub fn wait(&self, what: impl Fn(&Self) -> bool) {
        let deadline = Instant::now() + Duration::from_secs(10);
        while !what(self) {
            assert!(Instant::now() < deadline, "{:?} {:?}", self.messages, self.ended);
            std::thread::sleep(Duration::from_millis(5));
        }
    }
}
