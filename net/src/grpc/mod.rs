//! Unary gRPC with framing of our own: the message is received into one piece of memory under reservation, and sent
//! without being copied (`transport.md`).

mod balancer;
mod call;
mod channel;
mod client;
mod link;
mod server;
mod service;
mod status;
mod timeout;

pub use balancer::Balancing;
pub use call::{CallError, CallStatus, Outgoing, Response};
pub use client::{Client, ClientSettings, Keepalive};
pub use server::Server;
pub use service::{Admission, Refused, Reply, Request, UnaryService};
pub use status::{FieldViolation, bad_request, retry_delay, unavailable};
pub use tonic::{Code, Status};
