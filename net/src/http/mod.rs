//! HTTP/1.1 and HTTP/2 on one listener, and a client for requests that carry one body.

mod addresses;
mod client;
mod connector;
mod retry_after;
mod server;
mod service;
mod unix;

pub use ::http::{HeaderMap, HeaderName, HeaderValue, Method, Response, StatusCode, Uri, Version, header};
pub use addresses::AddressPolicy;
pub use client::{Answer, Client, ClientSettings, Outgoing, SendError};
pub use retry_after::retry_after;
pub use server::Server;
pub use service::{Admission, HttpService, Refusal, Request};
pub use unix::send_to_socket;

pub use crate::listen::ResponseBody;
pub use crate::proxy::{Proxy, ProxyRules};
