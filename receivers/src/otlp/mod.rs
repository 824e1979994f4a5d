//! Receiver `otlp`: OTLP/gRPC and OTLP/HTTP (protobuf and JSON), three signals on each port.
//!
//! A request is admitted by bytes before its body is read, decompressed within limits, checked down to item framing, and
//! handed to the [`Ingress`](sluice_pipeline::receiver::Ingress). The answer says what became of it, in the words of
//! delivery §6.

mod config;
mod grpc;
mod http;
mod intake;
mod receiver;
mod reserve;

pub use config::{
    Config, GrpcServer, HttpServer, Keepalive, KeepaliveEnforcement, KeepaliveServer, Protocols, ServerTls,
};
pub use receiver::OtlpReceiver;
