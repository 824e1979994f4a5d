//! Servers and clients against each other and against other implementations, over loopback sockets.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "tests")]

mod common;
mod grpc_client;
mod grpc_server;
mod grpc_traps;
mod http;
mod limits;
mod proxy;
mod rotation;
mod takeover;
mod tls;
mod unix;
