//! A gRPC server of `envoy.service.auth.v3.Authorization` on a free loopback port, by tonic and the
//! types of envoy-types: made by others, so that it tells whether what we speak is the protocol.

use std::net::{SocketAddr, TcpListener};
use std::pin::Pin;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use envoy_types::ext_authz::v3::pb::{Authorization, AuthorizationServer};
pub use envoy_types::ext_authz::v3::pb::{CheckRequest, CheckResponse};
pub use envoy_types::ext_authz::v3::{CheckRequestExt, CheckResponseExt};
use envoy_types::pb::envoy::service::load_stats::v3::load_reporting_service_server::{
    LoadReportingService, LoadReportingServiceServer,
};
pub use envoy_types::pb::envoy::service::load_stats::v3::{
    load_reporting_service_client::LoadReportingServiceClient, LoadStatsRequest, LoadStatsResponse,
};
use futures_util::stream::{self, Stream};
pub use tonic::{Code, Status};

/// What to do with a request.
#[derive(Debug, Clone)]
pub enum Answer {
    /// Answer this.
    Check(Box<CheckResponse>),
    /// End the call with a status of gRPC.
    Status(Code, &'static str),
    /// Answer nothing for so long, then yes.
    Silence(Duration),
}

impl Answer {
    /// A plain yes, or a plain no.
    pub fn says(yes: bool) -> Self {
        let status = if yes { Status::ok("") } else { Status::permission_denied("no") };
        Answer::Check(Box::new(CheckResponse::with_status(status)))
    }
}

/// A request as it came, with the metadata of its call.
#[derive(Debug, Clone)]
pub struct Received {
    /// The headers of the call.
    pub metadata: tonic::metadata::MetadataMap,
    /// The message.
    pub check: CheckRequest,
}

type Handler = dyn Fn(&CheckRequest) -> Answer + Send + Sync;

/// A running server. Its thread ends with the process.
#[derive(Clone)]
pub struct GrpcServer {
    address: SocketAddr,
    received: Arc<Mutex<Vec<Received>>>,
}

struct Service {
    handler: Box<Handler>,
    received: Arc<Mutex<Vec<Received>>>,
}

#[tonic::async_trait]
impl Authorization for Service {
    async fn check(
        &self,
        request: tonic::Request<CheckRequest>,
    ) -> Result<tonic::Response<CheckResponse>, Status> {
        let (metadata, _, check) = request.into_parts();
        let answer = (self.handler)(&check);
        self.received.lock().unwrap().push(Received { metadata, check });
        match answer {
            Answer::Check(response) => Ok(tonic::Response::new(*response)),
            Answer::Status(code, message) => Err(Status::new(code, message)),
            Answer::Silence(time) => {
                tokio::time::sleep(time).await;
                Ok(tonic::Response::new(CheckResponse::with_status(Status::ok(""))))
            }
        }
    }
}

/// A service whose answer goes on: a message now, and again after each such time.
struct Events(Duration);

/// The method of [`Events`].
pub const EVENTS: &str = "/envoy.service.load_stats.v3.LoadReportingService/StreamLoadStats";

#[tonic::async_trait]
impl LoadReportingService for Events {
    type StreamLoadStatsStream = Pin<Box<dyn Stream<Item = Result<LoadStatsResponse, Status>> + Send>>;

    /// Until the caller is gone.
    async fn stream_load_stats(
        &self,
        _: tonic::Request<tonic::Streaming<LoadStatsRequest>>,
    ) -> Result<tonic::Response<Self::StreamLoadStatsStream>, Status> {
        let every = self.0;
        let messages = stream::unfold(Duration::ZERO, move |wait| async move {
            tokio::time::sleep(wait).await;
            Some((Ok(LoadStatsResponse::default()), every))
        });
        Ok(tonic::Response::new(Box::pin(messages)))
    }
}

impl GrpcServer {
    /// Starts a server that answers what `handler` says. Messages of [`EVENTS`] come every 50 ms.
    ///
    /// # Errors
    /// No port is free.
    pub fn start(handler: impl Fn(&CheckRequest) -> Answer + Send + Sync + 'static) -> anyhow::Result<Self> {
        Self::start_with(handler, Duration::from_millis(50))
    }

    /// The same with so much time between messages.
    ///
    /// # Errors
    /// No port is free.
    pub fn start_with(
        handler: impl Fn(&CheckRequest) -> Answer + Send + Sync + 'static,
        every: Duration,
    ) -> anyhow::Result<Self> {
        let listener = TcpListener::bind("127.0.0.1:0")?;
        listener.set_nonblocking(true)?;
        let server = Self { address: listener.local_addr()?, received: Arc::default() };
        let service = Service { handler: Box::new(handler), received: Arc::clone(&server.received) };
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        std::thread::spawn(move || {
            runtime.block_on(async {
                let listener = tokio::net::TcpListener::from_std(listener).unwrap();
                tonic::transport::Server::builder()
                    .add_service(AuthorizationServer::new(service))
                    .add_service(LoadReportingServiceServer::new(Events(every)))
                    .serve_with_incoming(tonic::transport::server::TcpIncoming::from(listener))
                    .await
                    .unwrap();
            });
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
