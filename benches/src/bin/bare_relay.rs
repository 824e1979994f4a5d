//! The yardstick: a tonic server and a tonic client with a codec that hands the same bytes on untouched, all settings as
//! tonic has them but for nodelay and the size limit. What a collector costs beyond this is its own doing.

use bytes::{Buf, BufMut, Bytes};
use clap::Parser;
use http::{Request, Response};
use sluice_benches::encoding::Encoding;
use sluice_benches::error::{Error, OfPeer};
use sluice_benches::signal::Signal;
use std::convert::Infallible;
use std::future::Future;
use std::net::SocketAddr;
use std::pin::Pin;
use std::task::{Context, Poll};
use tonic::Status;
use tonic::codec::{Codec, CompressionEncoding, DecodeBuf, Decoder, EncodeBuf, Encoder};
use tonic::server::{NamedService, UnaryService};
use tonic::transport::{Channel, Endpoint, Server};
use tower_service::Service;

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

const LIMIT: usize = 64 << 20;

#[derive(Debug, Parser)]
#[command(about = "Forwards OTLP/gRPC requests byte by byte: the yardstick")]
struct Options {
    #[arg(long, default_value = "127.0.0.1:4317")]
    listen: SocketAddr,
    /// host:port of the next hop
    #[arg(long)]
    target: String,
    /// Compression towards the next hop; compressed requests are always accepted
    #[arg(long, value_enum, default_value = "none")]
    compression: Encoding,
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Error> {
    let options = Options::parse();
    let peer = options.target.as_str();
    let channel = Endpoint::from_shared(format!("http://{}", options.target)).of_peer(peer)?.connect_lazy();
    let compression = match options.compression {
        Encoding::None => None,
        Encoding::Gzip => Some(CompressionEncoding::Gzip),
        Encoding::Zstd => Some(CompressionEncoding::Zstd),
    };
    let forward = |signal| Forward { signal, channel: channel.clone(), compression };
    Server::builder()
        .add_service(Traces(forward(Signal::Traces)))
        .add_service(Logs(forward(Signal::Logs)))
        .add_service(Metrics(forward(Signal::Metrics)))
        .serve_with_shutdown(options.listen, sluice_benches::stop_signal())
        .await
        .of_peer(&options.listen.to_string())
}

/// The codec: a message is its bytes.
#[derive(Debug, Clone, Copy, Default)]
struct Raw;

impl Codec for Raw {
    type Encode = Bytes;
    type Decode = Bytes;
    type Encoder = Self;
    type Decoder = Self;

    fn encoder(&mut self) -> Self {
        Self
    }

    fn decoder(&mut self) -> Self {
        Self
    }
}

impl Encoder for Raw {
    type Item = Bytes;
    type Error = Status;

    fn encode(&mut self, message: Bytes, out: &mut EncodeBuf<'_>) -> Result<(), Status> {
        out.put(message);
        Ok(())
    }
}

impl Decoder for Raw {
    type Item = Bytes;
    type Error = Status;

    fn decode(&mut self, message: &mut DecodeBuf<'_>) -> Result<Option<Bytes>, Status> {
        Ok(Some(message.copy_to_bytes(message.remaining())))
    }
}

/// Forwards the calls of one signal.
#[derive(Debug, Clone)]
struct Forward {
    signal: Signal,
    channel: Channel,
    compression: Option<CompressionEncoding>,
}

impl UnaryService<Bytes> for Forward {
    type Response = Bytes;
    type Future = Pin<Box<dyn Future<Output = Result<tonic::Response<Bytes>, Status>> + Send>>;

    fn call(&mut self, request: tonic::Request<Bytes>) -> Self::Future {
        let Self { signal, channel, compression } = self.clone();
        Box::pin(async move {
            let mut client = tonic::client::Grpc::new(channel).max_decoding_message_size(LIMIT);
            if let Some(encoding) = compression {
                client = client.send_compressed(encoding).accept_compressed(encoding);
            }
            client.ready().await.map_err(|error| Status::unavailable(error.to_string()))?;
            let path = http::uri::PathAndQuery::from_static(signal.grpc_path());
            client.unary(tonic::Request::new(request.into_inner()), path, Raw).await
        })
    }
}

fn answer(forward: &Forward, request: Request<tonic::body::Body>) -> Answering {
    let forward = forward.clone();
    Box::pin(async move {
        let mut server = tonic::server::Grpc::new(Raw)
            .max_decoding_message_size(LIMIT)
            .accept_compressed(CompressionEncoding::Gzip)
            .accept_compressed(CompressionEncoding::Zstd);
        Ok(server.unary(forward, request).await)
    })
}

type Answering = Pin<Box<dyn Future<Output = Result<Response<tonic::body::Body>, Infallible>> + Send>>;

/// tonic routes by a name that belongs to the type, so each signal needs a type.
macro_rules! service {
    ($name:ident, $path:literal) => {
        #[derive(Debug, Clone)]
        struct $name(Forward);

        impl NamedService for $name {
            const NAME: &'static str = $path;
        }

        impl Service<Request<tonic::body::Body>> for $name {
            type Response = Response<tonic::body::Body>;
            type Error = Infallible;
            type Future = Answering;

            fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
                Poll::Ready(Ok(()))
            }

            fn call(&mut self, request: Request<tonic::body::Body>) -> Answering {
                answer(&self.0, request)
            }
        }
    };
}

service!(Traces, "opentelemetry.proto.collector.trace.v1.TraceService");
service!(Logs, "opentelemetry.proto.collector.logs.v1.LogsService");
service!(Metrics, "opentelemetry.proto.collector.metrics.v1.MetricsService");
