//! Forwards OTLP/gRPC requests byte by byte with this crate's server and client: what the transport alone costs.
//!
//! `relay --listen 127.0.0.1:4317 --to 127.0.0.1:4318 [--frame BYTES]`; runs until it is killed.

use std::sync::Arc;

use http::HeaderMap;
use sluice_net::compression::DecompressLimits;
use sluice_net::grpc::{
    Admission, CallError, Client, ClientSettings, Outgoing, Reply, Request, Server, Status, UnaryService, unavailable,
};
use sluice_net::{Endpoint, Listener, ListenerSettings, RequestHead, Unlimited};

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

const PATHS: [&str; 3] = [
    "/opentelemetry.proto.collector.trace.v1.TraceService/Export",
    "/opentelemetry.proto.collector.metrics.v1.MetricsService/Export",
    "/opentelemetry.proto.collector.logs.v1.LogsService/Export",
];

struct Relay {
    client: Client,
}

impl UnaryService for Relay {
    type Route = &'static str;
    type Context = ();

    fn route(&self, path: &str) -> Option<&'static str> {
        PATHS.into_iter().find(|known| *known == path)
    }

    async fn admit(&self, _route: &&'static str, _head: &RequestHead) -> Result<Admission<()>, Status> {
        Ok(Admission {
            context: (),
            reserve: Arc::new(Unlimited),
            max_wire_bytes: 64 << 20,
            decompress: DecompressLimits::default(),
        })
    }

    async fn call(&self, request: Request<&'static str, ()>) -> Result<Reply, Status> {
        let outgoing = Outgoing {
            path: request.route,
            message: request.body.bytes.into(),
            encoding: request.body.encoding,
            timeout: Some(std::time::Duration::from_secs(5)),
            headers: HeaderMap::new(),
        };
        match self.client.call(outgoing).await {
            Ok(response) => Ok(Reply::from(response.message)),
            Err(CallError::Status(status)) => Err(Status::new(status.code, status.message)),
            Err(error) => Err(unavailable(error.to_string())),
        }
    }
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), sluice_net::Error> {
    let arguments: Vec<String> = std::env::args().collect();
    let argument = |name: &str| {
        let at = arguments.iter().position(|argument| argument == name)?;
        arguments.get(at + 1).cloned()
    };
    let mut settings = ListenerSettings::tcp(argument("--listen").unwrap_or_else(|| "127.0.0.1:4317".to_owned()));
    if let Some(frame) = argument("--frame").and_then(|frame| frame.parse().ok()) {
        settings.limits.frame_bytes = frame;
    }
    let to = argument("--to").unwrap_or_else(|| "127.0.0.1:4318".to_owned());
    let client = Client::new(ClientSettings::new(Endpoint::parse(&to)?))?;
    let listener = Listener::bind(settings).await?;
    let _server = listener.serve(Server::new(Arc::new(Relay { client })));
    std::future::pending().await
}
