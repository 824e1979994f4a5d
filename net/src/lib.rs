//! The one room that sets up HTTP/1, HTTP/2, TLS and compression for Sluice.
//!
//! It moves bytes, paths and statuses; it knows nothing of telemetry. Servers hand a request to their service twice:
//! once before the body is read ([`grpc::UnaryService::admit`], [`http::HttpService::admit`]), so that authentication
//! and byte reservation come first, and once with the whole body, still compressed as it came.
//!
//! What it must never do: trust a length before reserving it, wait for a peer without a timer, grow with a peer's
//! input beyond a limit of [`ListenerLimits`], or panic on anything a peer sends.

mod address;
pub mod body;
pub mod compression;
mod connect;
mod error;
pub mod grpc;
pub mod http;
mod landing;
mod limits;
pub mod listen;
mod pieces;
mod pool;
mod proxy;
mod reserve;
mod survivor;
pub mod tls;
mod tunnel;
mod turns;

pub use address::Endpoint;
pub use compression::Encoding;
pub use error::Error;
pub use landing::{Page, PageSource};
pub use limits::{IpPrefix, ListenerLimits};
pub use listen::{Bind, ConnectionInfo, Listener, ListenerSettings, Peer, RequestHead, Server};
pub use pieces::Pieces;
pub use pool::BufferPool;
pub use proxy::{Proxy, ProxyRules};
pub use reserve::{Exhausted, Reservation, Reserve, Unlimited};
pub use survivor::MustFinish;
